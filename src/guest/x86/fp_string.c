/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM. All four come from IntRes2 and the flags, which the
 * host's PCMPESTRM gives, or portable C. (SDM volume 2, 4.1.)
 */
#include <immintrin.h>

#include "guest/x86/fp.h"

enum { IMM_WORDS = 1, IMM_SIGNED = 2, IMM_NEGATE = 0x10, IMM_MASKED = 0x20, IMM_TOP = 0x40 };
enum { AGG_ANY, AGG_RANGES, AGG_EACH, AGG_ORDERED }; /* imm bits 3-2 */

static int element(const v128 *v, unsigned i, uint8_t imm)
{
    switch (imm & (IMM_WORDS | IMM_SIGNED)) {
    case 0: return v->u8[i];
    case IMM_WORDS: return v->u16[i];
    case IMM_SIGNED: return v->s8[i];
    default: return v->s16[i];
    }
}

/* One bit of IntRes1, for element j of b. */
static bool aggregate(const v128 *a, const v128 *b, unsigned la, unsigned lb, unsigned j,
                      uint8_t imm)
{
    unsigned n = imm & IMM_WORDS ? 8 : 16;
    bool valid = j < lb;
    int bj = element(b, j, imm);

    switch (imm >> 2 & 3) {
    case AGG_ANY:
        for (unsigned i = 0; i < la; i++)
            if (valid && element(a, i, imm) == bj)
                return true;
        return false;
    case AGG_RANGES:
        for (unsigned i = 0; i + 1 < la; i += 2)
            if (valid && element(a, i, imm) <= bj && bj <= element(a, i + 1, imm))
                return true;
        return false;
    case AGG_EACH: return valid && j < la ? element(a, j, imm) == bj : !valid && j >= la;
    default:
        for (unsigned i = 0; i < la && j + i < n; i++)
            if (j + i >= lb || element(a, i, imm) != element(b, j + i, imm))
                return false;
        return true;
    }
}

uint32_t fp_soft_pcmpstr(const v128 *a, const v128 *b, unsigned la, unsigned lb, uint8_t imm)
{
    unsigned n = imm & IMM_WORDS ? 8 : 16, res = 0;

    for (unsigned j = 0; j < n; j++) {
        bool bit = aggregate(a, b, la, lb, j, imm);
        bool flip = imm & IMM_NEGATE && (!(imm & IMM_MASKED) || j < lb);
        res |= (unsigned)(bit ^ flip) << j;
    }
    unsigned flags =
        (res ? X86_CF : 0) | (lb < n ? X86_ZF : 0) | (la < n ? X86_SF : 0) | (res & 1 ? X86_OF : 0);
    return res | flags << 16;
}

#define STRM(imm)                                                                                  \
    case imm:                                                                                      \
        __asm__("pcmpestrm %[i], %[b], %[a]"                                                       \
                : "=Yz"(mask), "=@ccc"(cf), "=@ccz"(zf), "=@ccs"(sf), "=@cco"(of)                  \
                : [i] "i"(imm), [a] "x"(va), [b] "x"(vb), "a"(la), "d"(lb));                       \
        break;
#define STRM4(n)  STRM(n) STRM((n) + 1) STRM((n) + 2) STRM((n) + 3)
#define STRM16(n) STRM4(n) STRM4((n) + 4) STRM4((n) + 8) STRM4((n) + 12)

__attribute__((target("sse4.2"))) static uint32_t native_pcmpstr(const v128 *a, const v128 *b,
                                                                 unsigned la, unsigned lb,
                                                                 uint8_t imm)
{
    __m128i va = _mm_load_si128((const __m128i *)a), vb = _mm_load_si128((const __m128i *)b),
            mask = va;
    bool cf = false, zf = false, sf = false, of = false;

    switch (imm & 0x3f) {
        STRM16(0)
        STRM16(16)
        STRM16(32)
        STRM16(48)
    }
    unsigned flags = (cf ? X86_CF : 0) | (zf ? X86_ZF : 0) | (sf ? X86_SF : 0) | (of ? X86_OF : 0);
    return (_mm_cvtsi128_si32(mask) & 0xffff) | flags << 16;
}

/* Elements before the first zero. */
static unsigned implicit_length(const v128 *v, bool words)
{
    __m128i x = _mm_load_si128((const __m128i *)v), zero = _mm_setzero_si128();
    unsigned mask = _mm_movemask_epi8(words ? _mm_cmpeq_epi16(x, zero) : _mm_cmpeq_epi8(x, zero));

    return __builtin_ctz(mask | 0x10000) >> words;
}

/* what: see string_lengths in tr_sse_int.c */
static uint32_t compare(const v128 *a, const v128 *b, uint64_t what)
{
    uint8_t imm = what >> 16 & 0xff;
    unsigned la = what & 0xff, lb = what >> 8 & 0xff;

    if (what & BIT(31)) {
        la = implicit_length(a, imm & IMM_WORDS);
        lb = implicit_length(b, imm & IMM_WORDS);
    }
    return (__builtin_cpu_supports("sse4.2") ? native_pcmpstr : fp_soft_pcmpstr)(a, b, la, lb, imm);
}

/* ECX, and the flags in the upper half. */
static uint64_t pcmpstri(struct cpu *cpu, const v128 *a, const v128 *b, uint64_t what)
{
    uint32_t v = compare(a, b, what), res = v & 0xffff, imm = what >> 16;
    uint64_t index = imm & IMM_WORDS ? 8 : 16;

    if (res)
        index = imm & IMM_TOP ? 31 - __builtin_clz(res) : __builtin_ctz(res);
    return index | (uint64_t)(v >> 16) << 32;
}

static void pcmpstrm(struct cpu *cpu, v128 *r, const v128 *a, const v128 *b, uint64_t what)
{
    uint32_t res = compare(a, b, what) & 0xffff, imm = what >> 16;
    v128 out = { .u64 = { res, 0 } };

    if (imm & IMM_TOP) {
        for (unsigned i = 0; i < 16; i++)
            out.u8[i] = res >> (imm & IMM_WORDS ? i / 2 : i) & 1 ? 0xff : 0;
    }
    *r = out;
}

static unsigned clamp(int64_t v, unsigned max)
{
    uint64_t mag = v < 0 ? -(uint64_t)v : (uint64_t)v;

    return MIN(mag, max);
}

static uint64_t lengths64(struct cpu *cpu, uint64_t rax, uint64_t rdx, uint64_t imm)
{
    unsigned max = imm & IMM_WORDS ? 8 : 16;

    return clamp((int64_t)rax, max) | clamp((int64_t)rdx, max) << 8 | imm << 16;
}

static uint64_t lengths(struct cpu *cpu, uint64_t rax, uint64_t rdx, uint64_t imm)
{
    return lengths64(cpu, (uint64_t)(int32_t)rax, (uint64_t)(int32_t)rdx, imm);
}

const struct helper h_pcmpstri = { "x86_pcmpstri", (helper_fn *)pcmpstri, "i64 v128 v128 i64",
                                   HELPER_PURE };
const struct helper h_pcmpstrm = { "x86_pcmpstrm", (helper_fn *)pcmpstrm, "v128 v128 v128 i64",
                                   HELPER_PURE };
const struct helper h_pcmpstr_lengths = { "x86_pcmpstr_lengths", (helper_fn *)lengths,
                                          "i64 i64 i64 i64", HELPER_PURE };
const struct helper h_pcmpstr_lengths64 = { "x86_pcmpstr_lengths64", (helper_fn *)lengths64,
                                            "i64 i64 i64 i64", HELPER_PURE };
