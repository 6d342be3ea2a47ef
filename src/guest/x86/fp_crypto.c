/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SHA: the host's instructions where it has them, else portable C (fp_soft_*).
 * The unit test compares both. (FIPS 180-4; SDM volume 2.)
 */
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#include "guest/x86/fp.h"

static uint32_t ror(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}

static uint32_t rol(uint32_t v, unsigned n)
{
    return ror(v, 32 - n);
}

#define NATIVE(features) __attribute__((target(features)))
#define LOAD(p)          _mm_load_si128((const __m128i *)(p))
#define STORE(p, v)      _mm_store_si128((__m128i *)(p), v)

/* ---- SHA-1: lane 3 holds the first of four values ---- */

void fp_soft_sha1nexte(v128 *r, const v128 *a, const v128 *b)
{
    v128 out = *b;

    out.u32[3] += rol(a->u32[3], 30);
    *r = out;
}

void fp_soft_sha1msg1(v128 *r, const v128 *a, const v128 *b)
{
    const uint32_t w[6] = { a->u32[3], a->u32[2], a->u32[1], a->u32[0], b->u32[3], b->u32[2] };

    *r = (v128){ .u32 = { w[5] ^ w[3], w[4] ^ w[2], w[3] ^ w[1], w[2] ^ w[0] } };
}

void fp_soft_sha1msg2(v128 *r, const v128 *a, const v128 *b)
{
    uint32_t w16 = rol(a->u32[3] ^ b->u32[2], 1), w17 = rol(a->u32[2] ^ b->u32[1], 1);
    uint32_t w18 = rol(a->u32[1] ^ b->u32[0], 1), w19 = rol(a->u32[0] ^ w16, 1);

    *r = (v128){ .u32 = { w19, w18, w17, w16 } };
}

static uint32_t maj(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (x & z) ^ (y & z);
}

static uint32_t ch(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (~x & z);
}

static uint32_t sha1_f(unsigned kind, uint32_t b, uint32_t c, uint32_t d)
{
    switch (kind) {
    case 0: return ch(b, c, d);
    case 2: return maj(b, c, d);
    default: return b ^ c ^ d;
    }
}

void fp_soft_sha1rnds4(v128 *r, const v128 *src1, const v128 *src2, uint8_t imm)
{
    static const uint32_t k[4] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };
    uint32_t a = src1->u32[3], b = src1->u32[2], c = src1->u32[1], d = src1->u32[0], e = 0;

    for (unsigned n = 0; n < 4; n++) {
        uint32_t next = sha1_f(imm & 3, b, c, d) + rol(a, 5) + src2->u32[3 - n] + e + k[imm & 3];
        e = d;
        d = c;
        c = rol(b, 30);
        b = a;
        a = next;
    }
    *r = (v128){ .u32 = { d, c, b, a } };
}

/* ---- SHA-256 ---- */

void fp_soft_sha256rnds2(v128 *r, const v128 *src1, const v128 *src2, const v128 *wk)
{
    uint32_t a = src2->u32[3], b = src2->u32[2], c = src1->u32[3], d = src1->u32[2];
    uint32_t e = src2->u32[1], f = src2->u32[0], g = src1->u32[1], h = src1->u32[0];

    for (unsigned n = 0; n < 2; n++) {
        uint32_t t1 = ch(e, f, g) + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + wk->u32[n] + h;
        uint32_t t2 = maj(a, b, c) + (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    *r = (v128){ .u32 = { f, e, b, a } };
}

static uint32_t sigma0(uint32_t v)
{
    return ror(v, 7) ^ ror(v, 18) ^ v >> 3;
}

static uint32_t sigma1(uint32_t v)
{
    return ror(v, 17) ^ ror(v, 19) ^ v >> 10;
}

void fp_soft_sha256msg1(v128 *r, const v128 *a, const v128 *b)
{
    v128 out;

    for (unsigned n = 0; n < 4; n++)
        out.u32[n] = a->u32[n] + sigma0(n < 3 ? a->u32[n + 1] : b->u32[0]);
    *r = out;
}

void fp_soft_sha256msg2(v128 *r, const v128 *a, const v128 *b)
{
    v128 out;

    out.u32[0] = a->u32[0] + sigma1(b->u32[2]);
    out.u32[1] = a->u32[1] + sigma1(b->u32[3]);
    out.u32[2] = a->u32[2] + sigma1(out.u32[0]);
    out.u32[3] = a->u32[3] + sigma1(out.u32[1]);
    *r = out;
}

/* The six with two operands alone. */
#define SHA2(name, intrinsic)                                                                      \
    NATIVE("sha") static void native_##name(v128 *r, const v128 *a, const v128 *b)                 \
    {                                                                                              \
        STORE(r, intrinsic(LOAD(a), LOAD(b)));                                                     \
    }                                                                                              \
    static void name(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b)                       \
    {                                                                                              \
        (has_sha() ? native_##name : fp_soft_##name)(r, a, b);                                     \
    }                                                                                              \
    const struct helper h_##name = { "x86_" #name, (helper_fn *)name, "v128 v128 v128",            \
                                     HELPER_PURE };

static bool has_sha(void)
{
#ifdef __clang__ /* its version 14 does not know the name */
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
#else
    return __builtin_cpu_supports("sha");
#endif
}

SHA2(sha1nexte, _mm_sha1nexte_epu32)
SHA2(sha1msg1, _mm_sha1msg1_epu32)
SHA2(sha1msg2, _mm_sha1msg2_epu32)
SHA2(sha256msg1, _mm_sha256msg1_epu32)
SHA2(sha256msg2, _mm_sha256msg2_epu32)

NATIVE("sha") static void native_sha1rnds4(v128 *r, const v128 *a, const v128 *b, uint8_t imm)
{
    switch (imm & 3) {
    case 0: STORE(r, _mm_sha1rnds4_epu32(LOAD(a), LOAD(b), 0)); break;
    case 1: STORE(r, _mm_sha1rnds4_epu32(LOAD(a), LOAD(b), 1)); break;
    case 2: STORE(r, _mm_sha1rnds4_epu32(LOAD(a), LOAD(b), 2)); break;
    case 3: STORE(r, _mm_sha1rnds4_epu32(LOAD(a), LOAD(b), 3)); break;
    }
}

NATIVE("sha") static void native_sha256rnds2(v128 *r, const v128 *a, const v128 *b, const v128 *k)
{
    STORE(r, _mm_sha256rnds2_epu32(LOAD(a), LOAD(b), LOAD(k)));
}

static void sha1rnds4(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b, uint64_t imm)
{
    (has_sha() ? native_sha1rnds4 : fp_soft_sha1rnds4)(r, a, b, imm);
}

static void sha256rnds2(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b, const v128 *k)
{
    (has_sha() ? native_sha256rnds2 : fp_soft_sha256rnds2)(r, a, b, k);
}

const struct helper h_sha1rnds4 = { "x86_sha1rnds4", (helper_fn *)sha1rnds4, "v128 v128 v128 i64",
                                    HELPER_PURE };
const struct helper h_sha256rnds2 = { "x86_sha256rnds2", (helper_fn *)sha256rnds2,
                                      "v128 v128 v128 v128", HELPER_PURE };
