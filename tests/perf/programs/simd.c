/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE floating point: matrix product, saxpy, dot product. */
#include <emmintrin.h>

#include "bench.h"

enum { N = 96, LEN = 4096 };

static float a[N][N] __attribute__((aligned(16))), b[N][N] __attribute__((aligned(16))),
    c[N][N] __attribute__((aligned(16)));
static float x[LEN] __attribute__((aligned(16))), y[LEN] __attribute__((aligned(16)));
static double u[LEN] __attribute__((aligned(16)));

static void matmul(void)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j += 8) {
            __m128 s0 = _mm_setzero_ps(), s1 = s0;

            for (int k = 0; k < N; k++) {
                __m128 v = _mm_set1_ps(a[i][k]);

                s0 = _mm_add_ps(s0, _mm_mul_ps(v, _mm_load_ps(&b[k][j])));
                s1 = _mm_add_ps(s1, _mm_mul_ps(v, _mm_load_ps(&b[k][j + 4])));
            }
            _mm_store_ps(&c[i][j], s0);
            _mm_store_ps(&c[i][j + 4], s1);
        }
    }
}

static void saxpy(float f)
{
    __m128 v = _mm_set1_ps(f);

    for (int i = 0; i < LEN; i += 4)
        _mm_store_ps(y + i, _mm_add_ps(_mm_load_ps(y + i), _mm_mul_ps(v, _mm_load_ps(x + i))));
}

static double dot(void)
{
    __m128d s = _mm_setzero_pd();
    double out[2];

    for (int i = 0; i < LEN; i += 2) {
        __m128d v = _mm_load_pd(u + i);

        s = _mm_add_pd(s, _mm_mul_pd(v, v));
    }
    _mm_storeu_pd(out, s);
    return out[0] + out[1];
}

static uint64_t work(unsigned n)
{
    uint64_t h = 0;

    for (int i = 0; i < N * N; i++) {
        a[i / N][i % N] = (float)(i % 17) * 0.25f;
        b[i / N][i % N] = (float)(i % 13) * 0.5f;
    }
    for (int i = 0; i < LEN; i++) {
        x[i] = (float)(i % 11);
        u[i] = i * 0.001;
    }
    while (n--) {
        matmul();
        for (int i = 0; i < 40; i++)
            saxpy(0.125f);
        for (int i = 0; i < 40; i++) {
            u[i] += 0.5;
            h = mix(h, (uint64_t)dot());
        }
        h = mix(h, (uint64_t)(c[3][5] + c[95][17] + y[33]));
    }
    return h;
}
