/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE2 integer: sums of differences, saturating mixes, shuffles, 16-bit products. */
#include <emmintrin.h>

#include "bench.h"

enum { LEN = 65536 };

static uint8_t a[LEN] __attribute__((aligned(16))), b[LEN] __attribute__((aligned(16))),
    c[LEN] __attribute__((aligned(16)));

static uint64_t differences(void)
{
    __m128i s = _mm_setzero_si128();
    uint64_t out[2];

    for (int i = 0; i < LEN; i += 16)
        s = _mm_add_epi64(s, _mm_sad_epu8(_mm_load_si128((__m128i *)(a + i)),
                                          _mm_load_si128((__m128i *)(b + i))));
    _mm_storeu_si128((__m128i *)out, s);
    return out[0] + out[1];
}

static void blend(void)
{
    const __m128i zero = _mm_setzero_si128(), f = _mm_set1_epi16(77), g = _mm_set1_epi16(179);

    for (int i = 0; i < LEN; i += 16) {
        __m128i p = _mm_load_si128((__m128i *)(a + i)), q = _mm_load_si128((__m128i *)(b + i));
        __m128i lo = _mm_add_epi16(_mm_mullo_epi16(_mm_unpacklo_epi8(p, zero), f),
                                   _mm_mullo_epi16(_mm_unpacklo_epi8(q, zero), g));
        __m128i hi = _mm_add_epi16(_mm_mullo_epi16(_mm_unpackhi_epi8(p, zero), f),
                                   _mm_mullo_epi16(_mm_unpackhi_epi8(q, zero), g));

        p = _mm_packus_epi16(_mm_srli_epi16(lo, 8), _mm_srli_epi16(hi, 8));
        p = _mm_max_epu8(_mm_subs_epu8(p, _mm_set1_epi8(3)), _mm_avg_epu8(p, q));
        _mm_store_si128((__m128i *)(c + i), _mm_shuffle_epi32(p, 0x1b));
    }
}

static uint64_t find(uint8_t value)
{
    __m128i v = _mm_set1_epi8((char)value);
    uint64_t n = 0;

    for (int i = 0; i < LEN; i += 16)
        n += (unsigned)__builtin_popcount(
            (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_load_si128((__m128i *)(c + i)), v)));
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
        h = mix(h, find((uint8_t)n));
        a[n % LEN] = c[(n * 7) % LEN];
    }
    return h;
}
