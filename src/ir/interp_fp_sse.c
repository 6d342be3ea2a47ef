/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Floating point ops on an x86-64 host: each is one SSE instruction, in assembly, so that the
 * compiler can neither fold, swap operands (NaN payloads) nor move it across a change of MXCSR.
 * Where the instruction is newer than the host, the portable form.
 */
#if defined(__x86_64__)

#include "ir/interp.h"

#include <assert.h>
#include <emmintrin.h>

/*
 * void ir_fp_NAME(d, b): d = d NAME b. Those with an immediate are arrays of functions, FN_SIZE
 * bytes each, indexed by the immediate.
 */
__asm__(".text\n"
        ".macro fp_fn insn, src, imm=none\n"
        "    .balign 16\n"
        "    movaps (%rdi), %xmm0\n"
        "    movaps (\\src), %xmm1\n"
        "    .ifc \\imm, none\n"
        "    \\insn %xmm1, %xmm0\n"
        "    .else\n"
        "    \\insn $\\imm, %xmm1, %xmm0\n"
        "    .endif\n"
        "    movaps %xmm0, (%rdi)\n"
        "    ret\n"
        ".endm\n"
        ".macro fp_one insn\n"
        "    .balign 16\n"
        "ir_fp_\\insn:\n"
        "    fp_fn \\insn, %rsi\n"
        ".endm\n"
        ".macro fp_four name\n"
        "    fp_one \\name\\()ps\n"
        "    fp_one \\name\\()pd\n"
        "    fp_one \\name\\()ss\n"
        "    fp_one \\name\\()sd\n"
        ".endm\n"
        ".macro fp_imm insn, count\n"
        "    .balign 16\n"
        "ir_fp_\\insn:\n"
        "    .set ir_fp_n, 0\n"
        "    .rept \\count\n"
        "    fp_fn \\insn, %rsi, ir_fp_n\n"
        "    .set ir_fp_n, ir_fp_n + 1\n"
        "    .endr\n"
        ".endm\n"
        "    fp_four add\n"
        "    fp_four sub\n"
        "    fp_four mul\n"
        "    fp_four div\n"
        "    fp_four min\n"
        "    fp_four max\n"
        "    fp_four sqrt\n"
        "    fp_one rcpps\n"
        "    fp_one rcpss\n"
        "    fp_one rsqrtps\n"
        "    fp_one rsqrtss\n"
        "    fp_one addsubps\n"
        "    fp_one addsubpd\n"
        "    fp_one haddps\n"
        "    fp_one haddpd\n"
        "    fp_one hsubps\n"
        "    fp_one hsubpd\n"
        "    fp_one cvtps2pd\n"
        "    fp_one cvtpd2ps\n"
        "    fp_one cvtss2sd\n"
        "    fp_one cvtsd2ss\n"
        "    fp_one cvtdq2ps\n"
        "    fp_one cvtdq2pd\n"
        "    fp_one cvtps2dq\n"
        "    fp_one cvttps2dq\n"
        "    fp_one cvtpd2dq\n"
        "    fp_one cvttpd2dq\n"
        "    fp_imm cmpps, 8\n"
        "    fp_imm cmppd, 8\n"
        "    fp_imm cmpss, 8\n"
        "    fp_imm cmpsd, 8\n"
        "    fp_imm roundps, 16\n"
        "    fp_imm roundpd, 16\n"
        "    fp_imm roundss, 16\n"
        "    fp_imm roundsd, 16\n"
        "    fp_imm dpps, 256\n"
        "    fp_imm dppd, 256\n"
        ".purgem fp_fn\n .purgem fp_one\n .purgem fp_four\n .purgem fp_imm\n");

typedef void sse_fn(union ir_v128 *d, const union ir_v128 *b);
enum { FN_SIZE = 16 };

#pragma GCC visibility push(hidden)
extern sse_fn ir_fp_addps, ir_fp_addpd, ir_fp_addss, ir_fp_addsd;
extern sse_fn ir_fp_subps, ir_fp_subpd, ir_fp_subss, ir_fp_subsd;
extern sse_fn ir_fp_mulps, ir_fp_mulpd, ir_fp_mulss, ir_fp_mulsd;
extern sse_fn ir_fp_divps, ir_fp_divpd, ir_fp_divss, ir_fp_divsd;
extern sse_fn ir_fp_minps, ir_fp_minpd, ir_fp_minss, ir_fp_minsd;
extern sse_fn ir_fp_maxps, ir_fp_maxpd, ir_fp_maxss, ir_fp_maxsd;
extern sse_fn ir_fp_sqrtps, ir_fp_sqrtpd, ir_fp_sqrtss, ir_fp_sqrtsd;
extern sse_fn ir_fp_rcpps, ir_fp_rcpss, ir_fp_rsqrtps, ir_fp_rsqrtss;
extern sse_fn ir_fp_addsubps, ir_fp_addsubpd, ir_fp_haddps, ir_fp_haddpd, ir_fp_hsubps,
    ir_fp_hsubpd;
extern sse_fn ir_fp_cvtps2pd, ir_fp_cvtpd2ps, ir_fp_cvtss2sd, ir_fp_cvtsd2ss;
extern sse_fn ir_fp_cvtdq2ps, ir_fp_cvtdq2pd;
extern sse_fn ir_fp_cvtps2dq, ir_fp_cvttps2dq, ir_fp_cvtpd2dq, ir_fp_cvttpd2dq;
extern const char ir_fp_cmpps[], ir_fp_cmppd[], ir_fp_cmpss[], ir_fp_cmpsd[];
extern const char ir_fp_roundps[], ir_fp_roundpd[], ir_fp_roundss[], ir_fp_roundsd[];
extern const char ir_fp_dpps[], ir_fp_dppd[];
#pragma GCC visibility pop

enum { PS, PD, SS, SD };

static unsigned shape(const struct fp_op *f)
{
    return ((f->sub & ~IR_SCALAR & 0xff) == IR_F64 ? PD : PS) + (f->sub & IR_SCALAR ? SS : 0);
}

#define ROW(op) [op - IR_VFADD]
static sse_fn *const plain[][4] = {
    ROW(IR_VFADD) = { ir_fp_addps, ir_fp_addpd, ir_fp_addss, ir_fp_addsd },
    ROW(IR_VFSUB) = { ir_fp_subps, ir_fp_subpd, ir_fp_subss, ir_fp_subsd },
    ROW(IR_VFMUL) = { ir_fp_mulps, ir_fp_mulpd, ir_fp_mulss, ir_fp_mulsd },
    ROW(IR_VFDIV) = { ir_fp_divps, ir_fp_divpd, ir_fp_divss, ir_fp_divsd },
    ROW(IR_VFMIN) = { ir_fp_minps, ir_fp_minpd, ir_fp_minss, ir_fp_minsd },
    ROW(IR_VFMAX) = { ir_fp_maxps, ir_fp_maxpd, ir_fp_maxss, ir_fp_maxsd },
    ROW(IR_VFSQRT) = { ir_fp_sqrtps, ir_fp_sqrtpd, ir_fp_sqrtss, ir_fp_sqrtsd },
    ROW(IR_VFRCP) = { ir_fp_rcpps, NULL, ir_fp_rcpss, NULL },
    ROW(IR_VFRSQRT) = { ir_fp_rsqrtps, NULL, ir_fp_rsqrtss, NULL },
    ROW(IR_VFADDSUB) = { ir_fp_addsubps, ir_fp_addsubpd },
    ROW(IR_VFHADD) = { ir_fp_haddps, ir_fp_haddpd },
    ROW(IR_VFHSUB) = { ir_fp_hsubps, ir_fp_hsubpd },
    ROW(IR_VFCVTFF) = { ir_fp_cvtps2pd, ir_fp_cvtpd2ps, ir_fp_cvtss2sd, ir_fp_cvtsd2ss },
    ROW(IR_VFCVTPIF) = { ir_fp_cvtdq2ps, ir_fp_cvtdq2pd },
    ROW(IR_OP_COUNT) = { NULL },
};
#undef ROW

static void by_imm(const char *fns, unsigned imm, union ir_v128 *d, const union ir_v128 *b)
{
    ((sse_fn *)(uintptr_t)(fns + imm * FN_SIZE))(d, b);
}

static void run_cmp(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    static const char *const fns[] = { ir_fp_cmpps, ir_fp_cmppd, ir_fp_cmpss, ir_fp_cmpsd };

    by_imm(fns[shape(f)], f->imm & 7, d, b);
}

static void run_round(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    static const char *const fns[] = { ir_fp_roundps, ir_fp_roundpd, ir_fp_roundss, ir_fp_roundsd };

    by_imm(fns[shape(f)], f->imm & 15, d, b);
}

static void run_com(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    __m128i a = _mm_load_si128((const __m128i *)d), x = _mm_load_si128((const __m128i *)b);
    bool zero, parity, carry;

    if (shape(f) == SS && f->imm)
        __asm__ volatile("comiss %4, %3"
                         : "=@ccz"(zero), "=@ccp"(parity), "=@ccc"(carry)
                         : "x"(a), "x"(x));
    else if (shape(f) == SS)
        __asm__ volatile("ucomiss %4, %3"
                         : "=@ccz"(zero), "=@ccp"(parity), "=@ccc"(carry)
                         : "x"(a), "x"(x));
    else if (f->imm)
        __asm__ volatile("comisd %4, %3"
                         : "=@ccz"(zero), "=@ccp"(parity), "=@ccc"(carry)
                         : "x"(a), "x"(x));
    else
        __asm__ volatile("ucomisd %4, %3"
                         : "=@ccz"(zero), "=@ccp"(parity), "=@ccc"(carry)
                         : "x"(a), "x"(x));
    d->u64[0] = (uint64_t)zero << 6 | parity << 2 | carry;
}

/* Lane 0 of d = integer b. */
static void run_from_int(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    __m128i v = _mm_load_si128((const __m128i *)d);
    uint64_t i = b->u64[0];
    bool f64 = (f->sub & ~IR_SCALAR & 0xff) == IR_F64;

    if (f->int_type == IR_I64 && f64)
        __asm__ volatile("cvtsi2sdq %1, %0" : "+x"(v) : "r"(i));
    else if (f->int_type == IR_I64)
        __asm__ volatile("cvtsi2ssq %1, %0" : "+x"(v) : "r"(i));
    else if (f64)
        __asm__ volatile("cvtsi2sdl %1, %0" : "+x"(v) : "r"((uint32_t)i));
    else
        __asm__ volatile("cvtsi2ssl %1, %0" : "+x"(v) : "r"((uint32_t)i));
    _mm_store_si128((__m128i *)d, v);
}

/* d = integer of lane 0 of d. */
static void run_to_int(const struct fp_op *f, union ir_v128 *d)
{
    __m128i v = _mm_load_si128((const __m128i *)d);
    uint64_t i = 0;
    uint32_t w;

    switch ((f->type == IR_I64) << 2 | ((f->sub & ~IR_SCALAR & 0xff) == IR_F64) << 1 |
            (f->imm & 1)) {
    case 0:
        __asm__ volatile("cvtss2si %1, %0" : "=r"(w) : "x"(v));
        i = w;
        break;
    case 1:
        __asm__ volatile("cvttss2si %1, %0" : "=r"(w) : "x"(v));
        i = w;
        break;
    case 2:
        __asm__ volatile("cvtsd2si %1, %0" : "=r"(w) : "x"(v));
        i = w;
        break;
    case 3:
        __asm__ volatile("cvttsd2si %1, %0" : "=r"(w) : "x"(v));
        i = w;
        break;
    case 4: __asm__ volatile("cvtss2si %1, %0" : "=r"(i) : "x"(v)); break;
    case 5: __asm__ volatile("cvttss2si %1, %0" : "=r"(i) : "x"(v)); break;
    case 6: __asm__ volatile("cvtsd2si %1, %0" : "=r"(i) : "x"(v)); break;
    case 7: __asm__ volatile("cvttsd2si %1, %0" : "=r"(i) : "x"(v)); break;
    }
    d->u64[0] = i;
    d->u64[1] = 0;
}

/* FMA3 and F16C. */
__attribute__((target("fma"))) static __m128i fma_lanes(unsigned shape, unsigned negate, __m128i a,
                                                        __m128i b, __m128i c)
{
#define FORM(n, insn, suffix)                                                                      \
    case n:                                                                                        \
        __asm__ volatile(insn suffix " %2, %1, %0" : "+x"(a) : "x"(c), "x"(b));                    \
        break;
#define FORMS(n, suffix)                                                                           \
    FORM(n, "vfmadd132", suffix)                                                                   \
    FORM(n + 4, "vfnmadd132", suffix)                                                              \
    FORM(n + 8, "vfmsub132", suffix)                                                               \
    FORM(n + 12, "vfnmsub132", suffix)
    switch (shape + negate * 4) {
        FORMS(PS, "ps")
        FORMS(PD, "pd")
        FORMS(SS, "ss")
        FORMS(SD, "sd")
    }
#undef FORMS
#undef FORM
    return a;
}

static bool run_newer(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    __m128i a = _mm_load_si128((const __m128i *)d), x = _mm_load_si128((const __m128i *)b);

    if (f->op == IR_VFMADD) {
        if (!__builtin_cpu_supports("fma"))
            return false;
        a = fma_lanes(shape(f), f->imm & 3, a, x, _mm_load_si128((const __m128i *)f->c));
    } else {
        if (!__builtin_cpu_supports("avx2")) /* then there is F16C, whose name clang 14 lacks */
            return false;
        if (f->op == IR_VFCVTHF) {
            if (f->imm & 1)
                x = _mm_srli_epi64(_mm_slli_epi64(_mm_move_epi64(x), 48), 48);
            __asm__ volatile("vcvtph2ps %1, %0" : "=x"(a) : "x"(x));
            if (f->imm & 1)
                a = _mm_srli_si128(_mm_slli_si128(a, 12), 12);
        } else {
            if (f->imm & 1)
                x = _mm_srli_si128(_mm_slli_si128(x, 12), 12);
            __asm__ volatile("vcvtps2ph $4, %1, %0" : "=x"(a) : "x"(x));
        }
    }
    _mm_store_si128((__m128i *)d, a);
    return true;
}

void ir_fp_sse(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    bool f64 = (f->sub & ~IR_SCALAR & 0xff) == IR_F64, sse3 = __builtin_cpu_supports("sse3");

    switch (f->op) {
    case IR_VFCMP: run_cmp(f, d, b); return;
    case IR_VFCOM:
        run_com(&(struct fp_op){ .sub = f->sub | IR_SCALAR, .imm = f->imm }, d, b);
        return;
    case IR_VFCVTIF: run_from_int(f, d, b); return;
    case IR_VFCVTFI: run_to_int(f, d); return;
    case IR_VFCVTPFI:
        (f64          ? f->imm & 1 ? ir_fp_cvttpd2dq : ir_fp_cvtpd2dq
         : f->imm & 1 ? ir_fp_cvttps2dq
                      : ir_fp_cvtps2dq)(d, b);
        return;
    case IR_VFROUND:
    case IR_VFDP:
        if (!__builtin_cpu_supports("sse4.1"))
            ir_fp_portable(f, d, b);
        else if (f->op == IR_VFROUND)
            run_round(f, d, b);
        else
            by_imm(f64 ? ir_fp_dppd : ir_fp_dpps, f->imm, d, b);
        return;
    case IR_VFMADD:
    case IR_VFCVTHF:
    case IR_VFCVTFH:
        if (!run_newer(f, d, b))
            ir_fp_convert(f, d, b);
        return;
    case IR_VFCANON:
    case IR_VFCVTUF: ir_fp_convert(f, d, b); return;
    default: break;
    }
    if (f->op >= IR_VFADDSUB && f->op <= IR_VFHSUB && !sse3) {
        ir_fp_portable(f, d, b);
        return;
    }
    assert(plain[f->op - IR_VFADD][shape(f)]);
    plain[f->op - IR_VFADD][shape(f)](d, b);
}

#else
typedef int ir_fp_sse_is_for_x86_64; /* a file must not be empty */
#endif
