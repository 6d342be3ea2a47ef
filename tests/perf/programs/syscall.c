/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System calls that do little. */
#include <sys/syscall.h>

#include "bench.h"

static uint64_t work(unsigned n)
{
    uint64_t h = 0;

    for (unsigned i = 0; i < n; i++)
        h += syscall(SYS_getppid) != 0;
    return h;
}
