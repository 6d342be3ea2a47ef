/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fork and wait; each child writes a page. */
#include <sys/wait.h>

#include "bench.h"

static uint64_t work(unsigned n)
{
    static char page[65536];
    uint64_t h = 0;
    int status;

    memset(page, 1, sizeof(page));
    for (unsigned i = 0; i < n; i++) {
        pid_t pid = fork();

        if (!pid) {
            page[i % sizeof(page)]++;
            _exit((int)(i & 63));
        }
        if (waitpid(pid, &status, 0) == pid)
            h += (unsigned)WEXITSTATUS(status);
    }
    return h;
}
