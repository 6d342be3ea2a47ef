/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SSE with an exception unmasked (X86_MODE_XM). The host has all of them masked, so translated code
 * calls x86_xm_begin, which clears the sticky flags, does the operation, and calls x86_xm_end,
 * which looks at the flags that came and raises #XM before the result is written. (SDM volume
 * 1, 4.9, 11.5.)
 *
 * Masked and unmasked responses differ in two flags: unmasked underflow needs no inexact result,
 * and after unmasked overflow or underflow PE says whether the result is exact when its exponent is
 * not bounded. So when these come, x86_xm_end_arith does the operation again, lane by lane, and
 * asks the x87, which has room for such exponents, at 24 or 53 bits of precision.
 */
#include <immintrin.h>

#include "guest/x86/fp.h"

/* Clears the sticky flags. Returns MXCSR as it was. FTZ has no effect while underflow is unmasked.
 */
static uint64_t xm_begin(struct x86_cpu *x)
{
    uint32_t old = cpu_fpcsr_read(&x->c);

    cpu_fpcsr_write(&x->c, old & ~(MXCSR_FLAGS | (old & MXCSR_UM ? 0 : MXCSR_FTZ)));
    return old;
}

static uint32_t unmasked_of(uint32_t mxcsr)
{
    return ~mxcsr >> MXCSR_MASK_SHIFT & MXCSR_FLAGS;
}

/* The flags of a step by the rule of pre-computation exceptions. */
static uint32_t step_flags(uint32_t mxcsr, uint32_t flags)
{
    const uint32_t before =
        MXCSR_IE | MXCSR_DE | MXCSR_ZE; /* found before computing: the others then do not arise */

    return flags & unmasked_of(mxcsr) & before ? flags & before : flags;
}

static void check(struct x86_cpu *x, uint32_t old, uint32_t flags)
{
    cpu_fpcsr_write(&x->c, old | flags);
    if (flags & unmasked_of(old))
        x86_raise(x, x->cr4 & X86_CR4_OSXMMEXCPT ? X86_XM : X86_UD);
}

static void xm_end(struct x86_cpu *x, uint64_t old)
{
    check(x, (uint32_t)old, step_flags((uint32_t)old, cpu_fpcsr_read(&x->c) & MXCSR_FLAGS));
}

/* ---- lane by lane ---- */

struct lanes {
    uint32_t csr;   /* the guest's */
    uint32_t flags; /* of all lanes so far */
    bool f32;       /* results are single precision */
};

/* The operand's value. NaN and infinity never come here. */
static long double value_of(uint64_t v, bool f32, bool daz)
{
    union {
        float f;
        double d;
        uint64_t u;
    } b = { .u = v };
    bool denormal = f32 ? !(v >> 23 & 0xff) : !(v >> 52 & 0x7ff);

    return daz && denormal ? 0 : f32 ? (long double)b.f : (long double)b.d;
}

/* Is op(a, b) inexact at the lane's precision, whatever its exponent? */
static bool inexact(const struct lanes *l, enum fp_arith op, uint64_t a, uint64_t b)
{
    bool daz = l->csr & MXCSR_DAZ, from_f32 = l->f32 && op != FP_NARROW;
    long double r = op == FP_NARROW ? 0 : value_of(a, from_f32, daz),
                s = value_of(b, from_f32, daz);
    uint16_t cw = X87_FLAGS | 0x40 | (l->csr >> 13 & 3) << 10 | (l->f32 ? 0 : 2) << 8,
             usual = X87_CW_RESET, sw;

    __asm__ volatile("fnclex\n\tfldcw %0" : : "m"(cw));
    switch (op) {
    case FP_SUB:
        __asm__ volatile("fsub %%st(1), %%st\n\tfnstsw %1" : "+t"(r), "=a"(sw) : "u"(s));
        break;
    case FP_MUL:
        __asm__ volatile("fmul %%st(1), %%st\n\tfnstsw %1" : "+t"(r), "=a"(sw) : "u"(s));
        break;
    case FP_DIV:
        __asm__ volatile("fdiv %%st(1), %%st\n\tfnstsw %1" : "+t"(r), "=a"(sw) : "u"(s));
        break;
    default:
        __asm__ volatile("fadd %%st(1), %%st\n\tfnstsw %1" : "+t"(r), "=a"(sw) : "u"(s));
        break;
    }
    __asm__ volatile("fldcw %0" : : "m"(usual));
    return sw & X87_PE;
}

static bool is_tiny(uint64_t v, bool f32)
{
    return f32 ? !(v >> 23 & 0xff) && (uint32_t)v << 1 : !(v >> 52 & 0x7ff) && v << 1;
}

#define LANE_OP(insn) __asm__ volatile(insn " %1, %0" : "+x"(r) : "x"(s))

/* One lane's result; its flags are added to l->flags. MXCSR is as xm_begin left it. */
static uint64_t lane(struct lanes *l, enum fp_arith op, uint64_t a, uint64_t b)
{
    __m128i r = _mm_cvtsi64_si128((int64_t)a), s = _mm_cvtsi64_si128((int64_t)b);
    uint32_t unmasked = unmasked_of(l->csr), flags;

    _mm_setcsr((l->csr & ~(MXCSR_FLAGS | (l->csr & MXCSR_UM ? 0 : MXCSR_FTZ))) | MXCSR_MASKS);
    switch (op) {
    case FP_ADD:
        if (l->f32)
            LANE_OP("addss");
        else
            LANE_OP("addsd");
        break;
    case FP_SUB:
        if (l->f32)
            LANE_OP("subss");
        else
            LANE_OP("subsd");
        break;
    case FP_MUL:
        if (l->f32)
            LANE_OP("mulss");
        else
            LANE_OP("mulsd");
        break;
    case FP_DIV:
        if (l->f32)
            LANE_OP("divss");
        else
            LANE_OP("divsd");
        break;
    default: LANE_OP("cvtsd2ss"); break;
    }
    flags = _mm_getcsr() & MXCSR_FLAGS;
    uint64_t v = (uint64_t)_mm_cvtsi128_si64(r);
    if (l->f32)
        v = (uint32_t)v;
    if (unmasked & MXCSR_UE && is_tiny(v, l->f32))
        flags |= MXCSR_UE;
    if (flags & unmasked & (MXCSR_OE | MXCSR_UE))
        flags = (flags & ~MXCSR_PE) | (inexact(l, op, a, b) ? MXCSR_PE : 0);
    l->flags |= flags;
    return v;
}

static uint64_t element(const v128 *v, unsigned i, bool f32)
{
    return f32 ? v->u32[i] : v->u64[i];
}

/* Ends a step of an instruction that has several. False: an exception ends the instruction here. */
static bool end_step(struct lanes *l, uint32_t *sum)
{
    uint32_t flags = step_flags(l->csr, l->flags);

    *sum |= flags;
    l->flags = 0;
    return !(flags & unmasked_of(l->csr));
}

/* DPPS, DPPD: products chosen by imm 7-4, then sums in pairs. Returns the flags. */
static uint32_t dot_product(struct lanes *l, const v128 *a, const v128 *b, unsigned imm)
{
    unsigned n = l->f32 ? 4 : 2;
    uint64_t p[4] = { 0 };
    uint32_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        if (imm >> (4 + i) & 1)
            p[i] = lane(l, FP_MUL, element(a, i, l->f32), element(b, i, l->f32));
    if (!end_step(l, &sum))
        return sum;
    p[0] = lane(l, FP_ADD, p[0], p[1]);
    if (n == 4)
        p[2] = lane(l, FP_ADD, p[2], p[3]);
    if (!end_step(l, &sum) || n == 2)
        return sum;
    lane(l, FP_ADD, p[0], p[2]);
    end_step(l, &sum);
    return sum;
}

static void horizontal(struct lanes *l, enum fp_arith op, const v128 *v)
{
    for (unsigned i = 0; i < (l->f32 ? 4 : 2); i += 2)
        lane(l, op, element(v, i, l->f32), element(v, i + 1, l->f32));
}

/* what: enum fp_arith in bits 7-0, lane type and IR_SCALAR in 15-8 (of the result), immediate in
 * 23-16 */
static void xm_end_arith(struct x86_cpu *x, uint64_t old, const v128 *a, const v128 *b,
                         uint64_t what)
{
    enum fp_arith op = what & 0xff;
    unsigned type = what >> 8 & 0xff;
    struct lanes l = { .csr = (uint32_t)old, .f32 = (type & ~IR_SCALAR) == IR_F32 };
    unsigned n = type & IR_SCALAR ? 1 : l.f32 && op != FP_NARROW ? 4 : 2;
    uint32_t flags = cpu_fpcsr_read(&x->c) & MXCSR_FLAGS, unmasked = unmasked_of((uint32_t)old);

    if (op == FP_DP) {
        check(x, (uint32_t)old, dot_product(&l, a, b, what >> 16 & 0xff));
        return;
    }
    if (!(unmasked & (MXCSR_OE | MXCSR_UE))) {
        check(x, (uint32_t)old, step_flags((uint32_t)old, flags));
        return;
    }
    if (op == FP_HADD || op == FP_HSUB)
        for (unsigned k = 0; k < 2; k++)
            horizontal(&l, op == FP_HADD ? FP_ADD : FP_SUB, k ? b : a);
    else
        for (unsigned i = 0; i < n; i++)
            lane(&l,
                 op != FP_ADDSUB ? op
                 : i & 1         ? FP_ADD
                                 : FP_SUB,
                 element(a, i, l.f32), element(b, i, l.f32 && op != FP_NARROW));
    check(x, (uint32_t)old, step_flags((uint32_t)old, l.flags));
}

const struct helper h_xm_begin = { "x86_xm_begin", (helper_fn *)xm_begin, "i64", HELPER_NO_RAISE };
const struct helper h_xm_end = { "x86_xm_end", (helper_fn *)xm_end, "- i64", 0 };
const struct helper h_xm_end_arith = { "x86_xm_end_arith", (helper_fn *)xm_end_arith,
                                       "- i64 v128 v128 i64", 0 };
