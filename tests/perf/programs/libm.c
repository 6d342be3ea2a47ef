/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libm: sine, exponential, logarithm, power, and conversions of text. */
#include <math.h>

#include "bench.h"

static uint64_t work(unsigned n)
{
    double s = 0;
    char text[40];

    for (unsigned i = 1; i <= n; i++) {
        double x = i * 0.37;

        s += sin(x) * exp(-x / n) + log(x + 1) * cos(x) + pow(x, 0.3) + atan2(x, 3.0) + fmod(s, 7);
        if (!(i & 15)) {
            snprintf(text, sizeof(text), "%.6f", s);
            s = strtod(text, NULL);
        }
    }
    /* glibc picks variants by CPU features: the last digits may differ */
    return (uint64_t)llround(s);
}
