/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two processes that wake each other through pipes. */
#include <sys/wait.h>

#include "bench.h"

static uint64_t work(unsigned n)
{
    int there[2], back[2];
    uint64_t h = 0;
    char c = 0;
    pid_t pid;

    if (pipe(there) || pipe(back))
        return 0;
    pid = fork();
    if (!pid) {
        for (unsigned i = 0; i < n; i++) {
            if (read(there[0], &c, 1) != 1)
                _exit(1);
            c++;
            if (write(back[1], &c, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    for (unsigned i = 0; i < n; i++) {
        if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
            break;
        h += (uint8_t)c;
    }
    waitpid(pid, NULL, 0);
    return h;
}
