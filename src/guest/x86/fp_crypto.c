/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * AES, PCLMULQDQ and SHA: the host's instructions where it has them, else portable C (fp_soft_*).
 * The unit test compares both. (FIPS 197, FIPS 180-4; SDM volume 2.)
 */
#include <immintrin.h>
#include <string.h>

#include "guest/x86/fp.h"

/* ---- AES: byte 4c+r of the register is row r, column c of the state ---- */

static const uint8_t sbox[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
    0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
    0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
    0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
    0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
    0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
    0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
    0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
    0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
    0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
    0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
    0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
    0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};

static const uint8_t inv_sbox[256] = {
    0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
    0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
    0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
    0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
    0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
    0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
    0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
    0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
    0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
    0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
    0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
    0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
    0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
    0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
    0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
    0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};

static uint8_t xtime(uint8_t v)
{
    return v << 1 ^ (v & 0x80 ? 0x1b : 0);
}

static void mix_column(uint8_t *c)
{
    uint8_t all = c[0] ^ c[1] ^ c[2] ^ c[3], first = c[0];

    for (unsigned r = 0; r < 4; r++)
        c[r] ^= all ^ xtime(c[r] ^ (r < 3 ? c[r + 1] : first));
}

static void inv_mix_column(uint8_t *c)
{
    uint8_t u = xtime(xtime(c[0] ^ c[2])), v = xtime(xtime(c[1] ^ c[3]));

    c[0] ^= u;
    c[2] ^= u;
    c[1] ^= v;
    c[3] ^= v;
    mix_column(c);
}

static void xor_key(v128 *s, const v128 *key)
{
    s->u64[0] ^= key->u64[0];
    s->u64[1] ^= key->u64[1];
}

void fp_soft_aesenc(v128 *r, const v128 *a, const v128 *b, bool last)
{
    v128 s;

    for (unsigned c = 0; c < 4; c++)
        for (unsigned row = 0; row < 4; row++)
            s.u8[4 * c + row] = sbox[a->u8[4 * ((c + row) & 3) + row]];
    for (unsigned c = 0; c < 4 && !last; c++)
        mix_column(s.u8 + 4 * c);
    xor_key(&s, b);
    *r = s;
}

void fp_soft_aesdec(v128 *r, const v128 *a, const v128 *b, bool last)
{
    v128 s;

    for (unsigned c = 0; c < 4; c++)
        for (unsigned row = 0; row < 4; row++)
            s.u8[4 * ((c + row) & 3) + row] = inv_sbox[a->u8[4 * c + row]];
    for (unsigned c = 0; c < 4 && !last; c++)
        inv_mix_column(s.u8 + 4 * c);
    xor_key(&s, b);
    *r = s;
}

void fp_soft_aesimc(v128 *r, const v128 *a)
{
    v128 s = *a;

    for (unsigned c = 0; c < 4; c++)
        inv_mix_column(s.u8 + 4 * c);
    *r = s;
}

static uint32_t sub_word(uint32_t w)
{
    return sbox[w & 0xff] | sbox[w >> 8 & 0xff] << 8 | sbox[w >> 16 & 0xff] << 16 |
           (uint32_t)sbox[w >> 24] << 24;
}

static uint32_t ror(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}

static uint32_t rol(uint32_t v, unsigned n)
{
    return ror(v, 32 - n);
}

void fp_soft_aeskeygenassist(v128 *r, const v128 *a, uint8_t imm)
{
    uint32_t x1 = sub_word(a->u32[1]), x3 = sub_word(a->u32[3]);

    *r = (v128){ .u32 = { x1, ror(x1, 8) ^ imm, x3, ror(x3, 8) ^ imm } };
}

#define NATIVE(features) __attribute__((target(features)))
#define LOAD(p)          _mm_load_si128((const __m128i *)(p))
#define STORE(p, v)      _mm_store_si128((__m128i *)(p), v)

NATIVE("aes") static void native_aesenc(v128 *r, const v128 *a, const v128 *b, bool last)
{
    STORE(r, last ? _mm_aesenclast_si128(LOAD(a), LOAD(b)) : _mm_aesenc_si128(LOAD(a), LOAD(b)));
}

NATIVE("aes") static void native_aesdec(v128 *r, const v128 *a, const v128 *b, bool last)
{
    STORE(r, last ? _mm_aesdeclast_si128(LOAD(a), LOAD(b)) : _mm_aesdec_si128(LOAD(a), LOAD(b)));
}

NATIVE("aes") static void native_aesimc(v128 *r, const v128 *a)
{
    STORE(r, _mm_aesimc_si128(LOAD(a)));
}

NATIVE("aes") static void native_aeskeygenassist(v128 *r, const v128 *a, uint8_t imm)
{
    STORE(r, _mm_xor_si128(_mm_aeskeygenassist_si128(LOAD(a), 0), _mm_set_epi32(imm, 0, imm, 0)));
}

static void enc(v128 *r, const v128 *a, const v128 *b, bool last)
{
    (__builtin_cpu_supports("aes") ? native_aesenc : fp_soft_aesenc)(r, a, b, last);
}

static void dec(v128 *r, const v128 *a, const v128 *b, bool last)
{
    (__builtin_cpu_supports("aes") ? native_aesdec : fp_soft_aesdec)(r, a, b, last);
}

static void aesenc(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b)
{
    enc(r, a, b, false);
}

static void aesenclast(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b)
{
    enc(r, a, b, true);
}

static void aesdec(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b)
{
    dec(r, a, b, false);
}

static void aesdeclast(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b)
{
    dec(r, a, b, true);
}

static void aesimc(struct cpu *cpu, v128 *r, const v128 *a)
{
    (__builtin_cpu_supports("aes") ? native_aesimc : fp_soft_aesimc)(r, a);
}

static void aeskeygenassist(struct cpu *cpu, v128 *r, const v128 *a, uint64_t imm)
{
    (__builtin_cpu_supports("aes") ? native_aeskeygenassist : fp_soft_aeskeygenassist)(r, a, imm);
}

/* ---- PCLMULQDQ ---- */

void fp_soft_pclmulqdq(v128 *r, const v128 *a, const v128 *b, uint8_t imm)
{
    uint64_t x = a->u64[imm & 1], y = b->u64[imm >> 4 & 1], lo = 0, hi = 0;

    for (unsigned n = 0; n < 64; n++)
        if (y >> n & 1) {
            lo ^= x << n;
            hi ^= n ? x >> (64 - n) : 0;
        }
    *r = (v128){ .u64 = { lo, hi } };
}

NATIVE("pclmul") static void native_pclmulqdq(v128 *r, const v128 *a, const v128 *b, uint8_t imm)
{
    __m128i x = _mm_cvtsi64_si128(a->s64[imm & 1]), y = _mm_cvtsi64_si128(b->s64[imm >> 4 & 1]);

    STORE(r, _mm_clmulepi64_si128(x, y, 0));
}

static void pclmulqdq(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b, uint64_t imm)
{
    (__builtin_cpu_supports("pclmul") ? native_pclmulqdq : fp_soft_pclmulqdq)(r, a, b, imm);
}

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
    return __builtin_cpu_supports("sha");
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

const struct helper h_aesenc = { "x86_aesenc", (helper_fn *)aesenc, "v128 v128 v128", HELPER_PURE };
const struct helper h_aesenclast = { "x86_aesenclast", (helper_fn *)aesenclast, "v128 v128 v128",
                                     HELPER_PURE };
const struct helper h_aesdec = { "x86_aesdec", (helper_fn *)aesdec, "v128 v128 v128", HELPER_PURE };
const struct helper h_aesdeclast = { "x86_aesdeclast", (helper_fn *)aesdeclast, "v128 v128 v128",
                                     HELPER_PURE };
const struct helper h_aesimc = { "x86_aesimc", (helper_fn *)aesimc, "v128 v128", HELPER_PURE };
const struct helper h_aeskeygenassist = { "x86_aeskeygenassist", (helper_fn *)aeskeygenassist,
                                          "v128 v128 i64", HELPER_PURE };
const struct helper h_pclmulqdq = { "x86_pclmulqdq", (helper_fn *)pclmulqdq, "v128 v128 v128 i64",
                                    HELPER_PURE };
const struct helper h_sha1rnds4 = { "x86_sha1rnds4", (helper_fn *)sha1rnds4, "v128 v128 v128 i64",
                                    HELPER_PURE };
const struct helper h_sha256rnds2 = { "x86_sha256rnds2", (helper_fn *)sha256rnds2,
                                      "v128 v128 v128 v128", HELPER_PURE };
