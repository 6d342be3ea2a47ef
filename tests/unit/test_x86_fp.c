/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The portable forms of the SIMD helpers against the host's instructions (the helpers' own choice),
 * and known answers where the host has none: FIPS 197 and 180-4 test vectors.
 */
#include "test.h"

#include <immintrin.h>
#include <stdlib.h>

#include "guest/x86/fp.h"

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}

static v128 rnd_vec(void)
{
    v128 v = { .u64 = { rnd(), rnd() } };

    if (rnd() % 2)
        for (unsigned i = 0; i < 16; i++)
            v.u8[i] &= 3;
    return v;
}

typedef void fn2(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b);
typedef void fn1(struct cpu *cpu, v128 *r, const v128 *a);
typedef void fn2i(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b, uint64_t imm);
typedef void fn1i(struct cpu *cpu, v128 *r, const v128 *a, uint64_t imm);
typedef void fn3(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b, const v128 *c);

enum { ROUNDS = 500 };

TEST(sha)
{
    static const struct {
        const struct helper *h;
        void (*soft)(v128 *, const v128 *, const v128 *);
    } two[] = {
        { &h_sha1nexte, fp_soft_sha1nexte },   { &h_sha1msg1, fp_soft_sha1msg1 },
        { &h_sha1msg2, fp_soft_sha1msg2 },     { &h_sha256msg1, fp_soft_sha256msg1 },
        { &h_sha256msg2, fp_soft_sha256msg2 },
    };
    v128 want, got;

    for (unsigned k = 0; k < ROUNDS; k++) {
        v128 a = rnd_vec(), b = rnd_vec(), c = rnd_vec();
        for (unsigned n = 0; n < ARRAY_SIZE(two); n++) {
            ((fn2 *)two[n].h->fn)(NULL, &want, &a, &b);
            two[n].soft(&got, &a, &b);
            CHECK_MEM(&want, &got, 16);
        }
        ((fn2i *)h_sha1rnds4.fn)(NULL, &want, &a, &b, k & 0xff);
        fp_soft_sha1rnds4(&got, &a, &b, k & 0xff);
        CHECK_MEM(&want, &got, 16);
        ((fn3 *)h_sha256rnds2.fn)(NULL, &want, &a, &b, &c);
        fp_soft_sha256rnds2(&got, &a, &b, &c);
        CHECK_MEM(&want, &got, 16);
    }
}

/* FIPS 180-4, SHA-256 of "abc": the first schedule words are the message, so rounds alone need no
 * MSG instructions. */
TEST(sha256_known_answer)
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2,
    };
    v128 abef = { .u32 = { 0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667 } },
         cdgh = { .u32 = { 0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372 } };
    const v128 abef0 = abef, cdgh0 = cdgh;
    v128 w[4] = { { .u32 = { 0x61626380, 0, 0, 0 } },
                  { .u64 = { 0, 0 } },
                  { .u64 = { 0, 0 } },
                  { .u32 = { 0, 0, 0, 24 } } };

    for (unsigned r = 0; r < 64; r += 4) {
        v128 wk, t = w[0];
        for (unsigned i = 0; i < 4; i++)
            wk.u32[i] = w[0].u32[i] + k[r + i];
        fp_soft_sha256rnds2(&cdgh, &cdgh, &abef, &wk);
        wk.u64[0] = wk.u64[1];
        fp_soft_sha256rnds2(&abef, &abef, &cdgh, &wk);
        fp_soft_sha256msg1(&t, &w[0], &w[1]);
        for (unsigned i = 0; i < 4; i++)
            t.u32[i] += i < 3 ? w[2].u32[i + 1] : w[3].u32[0];
        fp_soft_sha256msg2(&t, &t, &w[3]);
        w[0] = w[1];
        w[1] = w[2];
        w[2] = w[3];
        w[3] = t;
    }
    CHECK_EQ(abef.u32[3] + abef0.u32[3], 0xba7816bf);
    CHECK_EQ(abef.u32[2] + abef0.u32[2], 0x8f01cfea);
    CHECK_EQ(cdgh.u32[0] + cdgh0.u32[0], 0xf20015ad);
}

/* Every immediate and every pair of lengths. */
TEST(pcmpstr)
{
    typedef uint64_t fn(struct cpu * cpu, const v128 *a, const v128 *b, uint64_t what);

    for (unsigned imm = 0; imm < 128; imm++) {
        unsigned n = imm & 1 ? 8 : 16;
        for (unsigned la = 0; la <= n; la++)
            for (unsigned lb = 0; lb <= n; lb++) {
                v128 a = rnd_vec(), b = rnd_vec();
                uint32_t soft = fp_soft_pcmpstr(&a, &b, la, lb, imm), res = soft & 0xffff;
                uint64_t native =
                    ((fn *)h_pcmpstri.fn)(NULL, &a, &b, la | lb << 8 | (uint64_t)imm << 16);
                unsigned index = !res         ? n
                                 : imm & 0x40 ? 31 - (unsigned)__builtin_clz(res)
                                              : (unsigned)__builtin_ctz(res);
                CHECK_EQ(native >> 32, soft >> 16);
                CHECK_EQ((uint32_t)native, index);
            }
    }
}

TEST(pcmpstr_lengths)
{
    typedef uint64_t fn(struct cpu * cpu, uint64_t a, uint64_t b, uint64_t imm);
    fn *f32 = (fn *)h_pcmpstr_lengths.fn, *f64 = (fn *)h_pcmpstr_lengths64.fn;

    CHECK_EQ(f32(NULL, 5, UINT64_C(0xfffffffd), 0), 5 | 3 << 8);
    CHECK_EQ(f32(NULL, 0x80000000, UINT64_C(0x100000000), 1), 8 | 0 << 8 | 1 << 16);
    CHECK_EQ(f64(NULL, BIT(63), UINT64_C(0x100000000), 0x40), 16 | 16 << 8 | 0x40 << 16);
}

__attribute__((target("sse4.1"))) static void native_misc(unsigned n, v128 *r, const v128 *a,
                                                          const v128 *b)
{
    __m128i x = _mm_load_si128((const __m128i *)a), y = _mm_load_si128((const __m128i *)b), v;

    switch (n) {
    case 0: v = _mm_mpsadbw_epu8(x, y, 0); break;
    case 1: v = _mm_mpsadbw_epu8(x, y, 3); break;
    case 2: v = _mm_mpsadbw_epu8(x, y, 6); break;
    case 3: v = _mm_mpsadbw_epu8(x, y, 5); break;
    default: v = _mm_minpos_epu16(x); break;
    }
    _mm_store_si128((__m128i *)r, v);
}

TEST(sse41_misc)
{
    static const uint8_t imms[] = { 0, 3, 6, 5 };

    if (!__builtin_cpu_supports("sse4.1"))
        return;
    for (unsigned k = 0; k < ROUNDS; k++) {
        v128 a = rnd_vec(), b = rnd_vec(), want, got;
        native_misc(k % 5, &want, &a, &b);
        if (k % 5 == 4)
            fp_soft_phminposuw(&got, &a);
        else
            fp_soft_mpsadbw(&got, &a, &b, imms[k % 5]);
        CHECK_MEM(&want, &got, 16);
    }
}

/* ---- x87 state ---- */

TEST(x87_tags)
{
    struct x86_cpu *x = aligned_alloc(64, ALIGN_UP(sizeof(struct x86_cpu), 64));

    memset(x, 0, sizeof(*x));
    x87_init_state(x);
    CHECK_EQ(x87_full_tags(x), 0xffff);
    x->ftw = 0x1f;
    x->st[1].mant = BIT(63);
    x->st[1].se = 0x3fff;
    x->st[2].se = 0x7fff;
    x->st[3].mant = 1;
    x->st[4].mant = 1;
    x->st[4].se = 0x8001;
    CHECK_EQ(x87_full_tags(x), 0xfc00 | 2 << 8 | 2 << 6 | 2 << 4 | 0 << 2 | 1);
    x->fsw = X87_IE;
    x87_set_cw(x, 0xffff);
    x87_update_es(x);
    CHECK_EQ(x->fcw, 0x1f7f);
    CHECK_EQ(x->fsw, X87_IE);
    x87_set_cw(x, 0);
    x87_update_es(x);
    CHECK_EQ(x->fcw, 0x40);
    CHECK_EQ(x->fsw, X87_IE | X87_ES | X87_B);
    free(x);
}
