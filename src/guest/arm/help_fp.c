/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * FPCR and FPSR, and the helpers of floating-point instructions: the cold ones behind VFIX, which
 * compute NaN lanes again, and the direct one that computes all lanes (halves, rare operations, and
 * the modes in which the host's arithmetic would differ).
 *
 * Flags that helpers find collect in a64_cpu.fpsr_soft, which is no slot.
 */
#include "guest/arm/help_fp.h"

#include "base/bits.h"

/* ---- FPCR, FPSR ---- */

enum { /* MXCSR */
       MX_IE = 1,
       MX_ZE = 4,
       MX_OE = 8,
       MX_UE = 16,
       MX_PE = 32,
       MX_FLAGS = 0x3f,
       MX_DAZ = 0x40,
       MX_MASKS = 0x1f80,
       MX_FZ = 0x8000,
};
enum { FPCR_MASK = FPCR_AHP | FPCR_DN | FPCR_FZ | FPCR_FZ16 | 3 << 22 };
enum { FPSR_MASK = FP_QC | FP_IDC | 31 };

static uint32_t flags_of_host(uint32_t mxcsr)
{
    return (mxcsr & MX_IE ? FP_IOC : 0) | (mxcsr & MX_ZE ? FP_DZC : 0) |
           (mxcsr & MX_OE ? FP_OFC : 0) | (mxcsr & MX_UE ? FP_UFC : 0) |
           (mxcsr & MX_PE ? FP_IXC : 0);
}

void a64_fpsr_watch(struct cpu *cpu)
{
    struct a64_cpu *x = a64_of(cpu);

    if (!x->fpsr_watched) {
        x->fpsr_watched = true;
        cpu_mode_changed(&x->c);
    }
}

uint32_t a64_fpsr_read(struct cpu *cpu)
{
    struct a64_cpu *x = a64_of(cpu);

    return (x->fpsr_soft & FPSR_MASK) | flags_of_host(cpu_fpcsr_read(cpu)) |
           (x->fpsr_qc.u64[0] | x->fpsr_qc.u64[1] ? (uint32_t)FP_QC : 0);
}

void a64_fpsr_write(struct cpu *cpu, uint32_t value)
{
    struct a64_cpu *x = a64_of(cpu);

    x->fpsr_soft = value & FPSR_MASK;
    x->fpsr_qc = (union ir_v128){ .u64 = { 0, 0 } };
    cpu_fpcsr_write(cpu, cpu_fpcsr_read(cpu) & ~(uint32_t)MX_FLAGS);
}

void a64_fpcr_write(struct cpu *cpu, uint32_t value)
{
    static const uint8_t rounding[4] = { 0, 2, 1, 3 }; /* RN RP RM RZ as MXCSR.RC */
    struct a64_cpu *x = a64_of(cpu);
    uint32_t old = cpu_fpcsr_read(cpu) & MX_FLAGS;

    if (!a64_has(x, A64_FEAT_FP16))
        value &= ~(uint32_t)FPCR_FZ16;
    x->fpcr = value & FPCR_MASK;
    cpu_fpcsr_write(cpu, old | MX_MASKS | (uint32_t)rounding[value >> 22 & 3] << 13 |
                             (value & FPCR_FZ ? MX_FZ | MX_DAZ : 0));
    cpu_mode_changed(cpu);
}

/* ---- one lane ---- */

static uint64_t do_compare(struct fp_env *e, enum fp_op op, enum fp_size s, uint64_t n, uint64_t m)
{
    uint64_t ones = s == FP_D ? ~0ull : BIT(fp_bits(s)) - 1, mag = ~fp_sign_bit(s);
    bool abs = op == FPO_ACGE || op == FPO_ACGT;
    unsigned nzcv = fp_compare(e, s, abs ? n & mag : n, abs ? m & mag : m, op != FPO_CMEQ);

    if (op == FPO_CMEQ)
        return nzcv == 6 ? ones : 0;
    if (op == FPO_CMGT || op == FPO_ACGT)
        return nzcv == 2 ? ones : 0;
    return nzcv == 2 || nzcv == 6 ? ones : 0;
}

static uint64_t do_one(struct fp_env *e, enum fp_op op, enum fp_size s, uint64_t n, uint64_t m,
                       unsigned how)
{
    unsigned bits = fp_bits(s);

    switch (op) {
    case FPO_SQRT: return fp_sqrt(e, s, n);
    case FPO_RECPE: return fp_recip_estimate(e, s, n);
    case FPO_RSQRTE: return fp_rsqrt_estimate(e, s, n);
    case FPO_RECPX: return fp_recpx(e, s, n);
    case FPO_RINT: return fp_round_int(e, s, n, (enum fp_rmode)how, false);
    case FPO_RINTX: return fp_round_int(e, s, n, (enum fp_rmode)how, true);
    case FPO_RINT32: return fp_round_int_n(e, s, n, (enum fp_rmode)how, 32);
    case FPO_RINT64: return fp_round_int_n(e, s, n, (enum fp_rmode)how, 64);
    case FPO_TO_S:
    case FPO_TO_U:
        return fp_to_fixed(e, s, n, (unsigned)m, op == FPO_TO_U, (enum fp_rmode)how, bits);
    case FPO_FROM_S:
    case FPO_FROM_U: return fp_from_fixed(e, s, n, how, op == FPO_FROM_U, bits);
    default: return do_compare(e, op, s, n, m);
    }
}

uint64_t fp_do(struct fp_env *e, enum fp_op op, enum fp_size s, uint64_t n, uint64_t m, uint64_t d,
               unsigned how)
{
    uint64_t sign = fp_sign_bit(s);

    switch (op) {
    case FPO_ADD: return fp_add(e, s, n, m);
    case FPO_SUB: return fp_sub(e, s, n, m);
    case FPO_MUL: return fp_mul(e, s, n, m);
    case FPO_DIV: return fp_div(e, s, n, m);
    case FPO_FMA: return fp_muladd(e, s, d, n, m);
    case FPO_FMS: return fp_muladd(e, s, d, n ^ sign, m);
    case FPO_NMA: return fp_muladd(e, s, d ^ sign, n ^ sign, m);
    case FPO_NMS: return fp_muladd(e, s, d ^ sign, n, m);
    case FPO_MAX: return fp_minmax(e, s, n, m, true, false);
    case FPO_MIN: return fp_minmax(e, s, n, m, false, false);
    case FPO_MAXNM: return fp_minmax(e, s, n, m, true, true);
    case FPO_MINNM: return fp_minmax(e, s, n, m, false, true);
    case FPO_NMUL: return fp_mul(e, s, n, m) ^ sign;
    case FPO_ABD: return fp_sub(e, s, n, m) & ~sign;
    case FPO_MULX: return fp_mulx(e, s, n, m);
    case FPO_RECPS: return fp_recip_step(e, s, n, m);
    case FPO_RSQRTS: return fp_rsqrt_step(e, s, n, m);
    default: return do_one(e, op, s, n, m, how);
    }
}

/* ---- helpers ---- */

static uint64_t lane_get(const union ir_v128 *v, enum fp_size s, unsigned i)
{
    return s == FP_H ? v->u16[i] : s == FP_S ? v->u32[i] : v->u64[i];
}

static void lane_set(union ir_v128 *v, enum fp_size s, unsigned i, uint64_t x)
{
    if (s == FP_H)
        v->u16[i] = (uint16_t)x;
    else if (s == FP_S)
        v->u32[i] = (uint32_t)x;
    else
        v->u64[i] = x;
}

static void h_direct(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *n,
                     const union ir_v128 *m, const union ir_v128 *d, uint64_t desc)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };
    enum fp_op op = (enum fp_op)(desc & 0xff);
    enum fp_size s = (enum fp_size)(desc >> 8 & 3);
    union ir_v128 r = { .u64 = { 0, 0 } };
    bool fixed = op == FPO_TO_S || op == FPO_TO_U; /* m: fraction bits */

    for (unsigned i = 0; i < (desc >> 12 & 15); i++)
        lane_set(&r, s, i,
                 fp_do(&e, op, s, lane_get(n, s, i), fixed ? m->u64[0] : lane_get(m, s, i),
                       lane_get(d, s, i), (unsigned)(desc >> 20 & 0xff)));
    *ret = r;
    x->fpsr_soft |= e.flags;
}
const struct helper fp_h_direct = { "a64_fp", (helper_fn *)h_direct, "v128 v128 v128 v128 i32",
                                    HELPER_NO_RAISE };

static void fix_lanes(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *v, enum fp_op op,
                      enum fp_size s, const union ir_v128 *n, const union ir_v128 *m,
                      const union ir_v128 *d)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };
    union ir_v128 r = *v;

    for (unsigned i = 0; i < 16u >> s; i++)
        if (fp_is_nan(s, lane_get(v, s, i)))
            lane_set(&r, s, i,
                     fp_do(&e, op, s, lane_get(n, s, i), lane_get(m, s, i), lane_get(d, s, i), 0));
    *ret = r;
    x->fpsr_soft |= e.flags;
}

#define FIX(op, s)                                                                                 \
    static void h_fix_##op##_##s(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *v,      \
                                 const union ir_v128 *n, const union ir_v128 *m,                   \
                                 const union ir_v128 *d)                                           \
    {                                                                                              \
        fix_lanes(cpu, ret, v, FPO_##op, FP_##s, n, m, d);                                         \
    }
#define FIX1(op, s)                                                                                \
    static void h_fix_##op##_##s(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *v,      \
                                 const union ir_v128 *n)                                           \
    {                                                                                              \
        fix_lanes(cpu, ret, v, FPO_##op, FP_##s, n, n, n);                                         \
    }
#define FIX2(op, s)                                                                                \
    static void h_fix_##op##_##s(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *v,      \
                                 const union ir_v128 *n, const union ir_v128 *m)                   \
    {                                                                                              \
        fix_lanes(cpu, ret, v, FPO_##op, FP_##s, n, m, m);                                         \
    }
/* clang-format off */
#define EACH_FIX(K1, K2, K3)                                                                       \
    K2(ADD) K2(SUB) K2(MUL) K2(DIV) K3(FMA) K3(FMS) K3(NMA) K3(NMS) K2(MAX) K2(MIN) K2(MAXNM)      \
    K2(MINNM) K2(NMUL) K2(ABD) K2(RECPS) K2(RSQRTS) K1(SQRT) K1(RINT)
/* clang-format on */
#define DEF1(op) FIX1(op, S) FIX1(op, D)
#define DEF2(op) FIX2(op, S) FIX2(op, D)
#define DEF3(op) FIX(op, S) FIX(op, D)
EACH_FIX(DEF1, DEF2, DEF3)

#define ROW(op, sig)                                                                               \
    [FPO_##op] = { { "a64_fix_" #op "_s", (helper_fn *)h_fix_##op##_S, sig, HELPER_PURE },         \
                   { "a64_fix_" #op "_d", (helper_fn *)h_fix_##op##_D, sig, HELPER_PURE } },
#define ROW1(op) ROW(op, "v128 v128 v128")
#define ROW2(op) ROW(op, "v128 v128 v128 v128")
#define ROW3(op) ROW(op, "v128 v128 v128 v128 v128")
const struct helper fp_h_fix[FPO_COUNT][2] = { EACH_FIX(ROW1, ROW2, ROW3) };
