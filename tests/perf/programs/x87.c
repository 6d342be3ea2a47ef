/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 80-bit floating point. */
#include <math.h>

#include "bench.h"

static uint64_t work(unsigned n)
{
    long double s = 0, x = 1;

    for (unsigned i = 1; i <= n; i++) {
        x = x * 1.0000001L + 1.0L / (long double)i;
        s += sqrtl(x) / (1.0L + x);
    }
    return (uint64_t)(s * 1000);
}
