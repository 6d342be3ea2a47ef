/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer arithmetic without memory: SHA-256 rounds, 64-bit products and divisions. */
#include "bench.h"

static uint32_t ror(uint32_t v, int n)
{
    return v >> n | v << (32 - n);
}

static void rounds(uint32_t s[8], const uint32_t in[16])
{
    uint32_t w[64], v[8];

    memcpy(w, in, 64);
    memcpy(v, s, 32);
    for (int i = 16; i < 64; i++) {
        uint32_t p = w[i - 15], q = w[i - 2];

        w[i] = w[i - 16] + (ror(p, 7) ^ ror(p, 18) ^ p >> 3) + w[i - 7] +
               (ror(q, 17) ^ ror(q, 19) ^ q >> 10);
    }
    for (int i = 0; i < 64; i++) {
        uint32_t e = v[4], a = v[0];
        uint32_t t = v[7] + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & v[5]) ^ (~e & v[6])) +
                     0x428a2f98u * (uint32_t)(i + 1) + w[i];
        uint32_t u =
            (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

        memmove(v + 1, v, 28);
        v[4] += t;
        v[0] = t + u;
    }
    for (int i = 0; i < 8; i++)
        s[i] += v[i];
}

static uint64_t work(unsigned n)
{
    uint32_t s[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, in[16] = { 0 };
    uint64_t h = 1;

    for (unsigned i = 0; i < n; i++) {
        in[i & 15] ^= i;
        rounds(s, in);
        h = h * UINT64_C(6364136223846793005) + s[i & 7];
        h ^= (uint64_t)(((unsigned __int128)h * h) >> 64) % (i + 3);
    }
    return h;
}
