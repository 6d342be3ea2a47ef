/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scalar floating point: planets under gravity. */
#include <math.h>

#include "bench.h"

struct body {
    double x[3], v[3], m;
};

static struct body sky[5] = {
    { { 0, 0, 0 }, { 0, 0, 0 }, 39.47 },
    { { 4.84, -1.16, -0.10 }, { 0.606, 2.81, -0.02 }, 0.0376 },
    { { 8.34, 4.12, -0.40 }, { -1.01, 1.82, 0.008 }, 0.0112 },
    { { 12.89, -15.11, -0.22 }, { 1.08, 0.868, -0.01 }, 0.0017 },
    { { 15.37, -25.9, 0.179 }, { 0.979, 0.594, -0.034 }, 0.002 },
};

static void step(double dt)
{
    for (int i = 0; i < 5; i++) {
        for (int j = i + 1; j < 5; j++) {
            double d[3], r2 = 0, f;

            for (int k = 0; k < 3; k++) {
                d[k] = sky[i].x[k] - sky[j].x[k];
                r2 += d[k] * d[k];
            }
            f = dt / (r2 * sqrt(r2));
            for (int k = 0; k < 3; k++) {
                sky[i].v[k] -= d[k] * sky[j].m * f;
                sky[j].v[k] += d[k] * sky[i].m * f;
            }
        }
    }
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 3; k++)
            sky[i].x[k] += dt * sky[i].v[k];
    }
}

static uint64_t work(unsigned n)
{
    uint64_t h = 0, v;

    for (unsigned i = 0; i < n; i++)
        step(0.01);
    for (int i = 0; i < 5; i++) {
        memcpy(&v, &sky[i].x[i % 3], 8);
        h = mix(h, v);
    }
    return h;
}
