/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vectors in plain C that the compiler makes SIMD of: saxpy, stream's four loops, dot product,
 * conversions, minimum and square root. All sums are exact. */
#include <math.h>

#include "bench.h"

enum { LEN = 4096 };

static float x[LEN], y[LEN];
static double a[LEN], b[LEN], c[LEN];
static int32_t k[LEN];

static void saxpy(float f)
{
    for (int i = 0; i < LEN; i++)
        y[i] = f * x[i] + y[i];
}

static void stream(double q)
{
    for (int i = 0; i < LEN; i++)
        c[i] = a[i];
    for (int i = 0; i < LEN; i++)
        b[i] = q * c[i];
    for (int i = 0; i < LEN; i++)
        c[i] = a[i] + b[i];
    for (int i = 0; i < LEN; i++)
        a[i] = b[i] - q * c[i] + c[i];
}

static float dot(void)
{
    float s[8] = { 0 };

    for (int i = 0; i < LEN; i += 8)
        for (int j = 0; j < 8; j++)
            s[j] += x[i + j] * x[LEN - 8 - i + j];
    return s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];
}

static int64_t convert(void)
{
    int64_t s = 0;

    for (int i = 0; i < LEN; i++)
        k[i] = (int32_t)(x[i] * 4) ^ i;
    for (int i = 0; i < LEN; i++)
        x[i] = (float)(k[i] ^ i) * 0.25f;
    for (int i = 0; i < LEN; i++)
        s += k[i];
    return s;
}

static void roots(void)
{
    for (int i = 0; i < LEN; i++)
        c[i] = sqrt(fabs(a[i])) < 3 ? a[i] : -a[i];
}

static uint64_t work(unsigned n)
{
    uint64_t h = 0;

    for (int i = 0; i < LEN; i++) {
        x[i] = (float)(i % 11);
        y[i] = (float)(i % 7);
        a[i] = i % 29;
    }
    while (n--) {
        saxpy(n & 1 ? 2.0f : -2.0f);
        stream(1.0);
        h = mix(h, (uint64_t)dot());
        h = mix(h, (uint64_t)convert());
        roots();
        h = mix(h, (uint64_t)(int64_t)(c[n % LEN] + y[n % LEN]));
    }
    return h;
}
