/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Matrix products in plain C that the compiler makes SIMD of, in both precisions. Sums of small
 * numbers that are exact, so that a fused multiply-add gives the same result. */
#include "bench.h"

enum { N = 128 };

static float fa[N][N], fb[N][N], fc[N][N];
static double da[N][N], db[N][N], dc[N][N];

static void product_f(void)
{
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            float v = fa[i][k];

            for (int j = 0; j < N; j++)
                fc[i][j] += v * fb[k][j];
        }
}

static void product_d(void)
{
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            double v = da[i][k];

            for (int j = 0; j < N; j++)
                dc[i][j] += v * db[k][j];
        }
}

static uint64_t work(unsigned n)
{
    uint64_t h = 0;

    for (int i = 0; i < N * N; i++) {
        fa[i / N][i % N] = (float)(i % 17) * 0.25f;
        fb[i / N][i % N] = (float)(i % 13) * 0.5f;
        da[i / N][i % N] = (i % 19) * 0.5;
        db[i / N][i % N] = (i % 23) * 0.25;
    }
    while (n--) {
        memset(fc, 0, sizeof(fc));
        memset(dc, 0, sizeof(dc));
        product_f();
        product_d();
        h = mix(h, (uint64_t)(fc[n % N][5] * 8 + fc[95][17] * 8));
        h = mix(h, (uint64_t)(dc[n % N][7] * 8));
    }
    return h;
}
