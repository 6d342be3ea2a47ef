/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer SIMD made by the compiler: sums of differences, blends, saturation, searches. */
#include "bench.h"

enum { LEN = 65536 };

static uint8_t a[LEN], b[LEN], c[LEN];
static int16_t w[LEN];

static uint64_t differences(void)
{
    uint32_t s = 0;

    for (int i = 0; i < LEN; i++)
        s += (uint32_t)(a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]);
    return s;
}

static void blend(void)
{
    for (int i = 0; i < LEN; i++)
        c[i] = (uint8_t)((a[i] * 77 + b[i] * 179) >> 8);
}

static void widen(void)
{
    for (int i = 0; i < LEN; i++) {
        int v = (a[i] - b[i]) * 3;

        w[i] = (int16_t)(v > 255 ? 255 : v < -255 ? -255 : v);
    }
}

static uint64_t find(uint8_t value)
{
    uint32_t n = 0;

    for (int i = 0; i < LEN; i++)
        n += c[i] == value;
    return n;
}

static uint64_t work(unsigned n)
{
    uint32_t seed = 77;
    uint64_t h = 0;

    for (int i = 0; i < LEN; i++) {
        a[i] = (uint8_t)rnd(&seed);
        b[i] = (uint8_t)(rnd(&seed) >> 8);
    }
    while (n--) {
        h = mix(h, differences());
        blend();
        widen();
        h = mix(h, find((uint8_t)n) + (uint16_t)w[n % LEN]);
        a[n % LEN] = c[(n * 7) % LEN];
    }
    return h;
}
