/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Floating-point arithmetic of single and double as host arithmetic, lane by lane; scalars are one
 * lane. NaN results go through VFIX, whose cold helper computes those lanes again by Arm's rules.
 * Halves, and what is rare, are computed by a helper.
 *
 * Where the hosts differ beyond NaNs: Arm finds tininess before rounding. A result that was rounded
 * up to the smallest normal number raises underflow on Arm (with FZ: is flushed) and not on x86. So
 * with FZ, or once the program has touched FPSR, such results are made NaN for VFIX to look at.
 * FZ and FPSR in use at once: all by helpers (fp_exact). Before FPSR is first touched, the flags of
 * these are not kept: that underflow; inexact of FCVTA*; a spurious inexact or overflow of
 * conversions to integers that are out of range, a spurious invalid of FRECPS and FRSQRTS.
 */
#include "guest/arm/tr_vec.h"

bool fp_has(const struct tr *t, enum fp_size s)
{
    return s != FP_H || tr_has(t, A64_FEAT_FP16);
}

ir_val vec_const(struct tr *t, enum ir_type lane, uint64_t v)
{
    switch (lane) {
    case IR_I8: v = (v & 0xff) * 0x0101010101010101; break;
    case IR_I16: v = (v & 0xffff) * 0x0001000100010001; break;
    case IR_I32:
    case IR_F32: v = (v & 0xffffffff) * 0x0000000100000001; break;
    default: break;
    }
    return ir_vconst(t->b, v);
}

ir_val vec_zext(struct tr *t, ir_val v, unsigned bits)
{
    switch (bits) {
    case 128: return v;
    case 64: return vec_1(t, IR_VZEXTLO, IR_F64, v, 0);
    case 32: return vec_1(t, IR_VZEXTLO, IR_F32, v, 0);
    default: return vec_and(t, vec_1(t, IR_VZEXTLO, IR_F32, v, 0), ir_vconst(t->b, BIT(bits) - 1));
    }
}

uint64_t fp_bits_of_imm8(enum fp_size s, unsigned imm8)
{
    unsigned e = s == FP_H ? 5 : s == FP_S ? 8 : 11, f = fp_frac_bits(s);
    uint64_t exp = (imm8 & 0x40 ? BIT(e - 3) - 1 : 0) << 2 | (imm8 >> 4 & 3);

    exp |= imm8 & 0x40 ? 0 : BIT(e - 1);
    return (imm8 & 0x80 ? fp_sign_bit(s) : 0) | exp << f | (uint64_t)(imm8 & 15) << (f - 4);
}

/* ---- lane types ---- */

static enum ir_type flane(enum fp_size s)
{
    return s == FP_D ? IR_F64 : IR_F32;
}

static unsigned lane_of(enum fp_size s, unsigned lanes)
{
    return flane(s) | (lanes == 1 ? IR_SCALAR : 0);
}

static bool partial(enum fp_size s, unsigned lanes)
{
    return lanes > 1 && lanes << s < 16;
}

static ir_val fconst(struct tr *t, enum fp_size s, uint64_t v)
{
    return vec_const(t, flane(s), v);
}

static ir_val direct(struct tr *t, enum fp_op op, enum fp_size s, unsigned lanes, ir_val n,
                     ir_val m, ir_val d, unsigned how)
{
    return tr_call(t, &fp_h_direct, n, m ? m : n, d ? d : n,
                   tr_c32(t, (int32_t)fp_desc(op, s, lanes, how)));
}

/* ---- arithmetic ---- */

/* Results of the smallest normal magnitude become NaN. */
static ir_val mark_tiny(struct tr *t, enum fp_size s, ir_val r)
{
    ir_val abs = vec_and(t, r, fconst(t, s, ~fp_sign_bit(s)));

    if (!(t->mode & (A64_MODE_FZ | A64_MODE_FPSR)))
        return r;
    return vec_or(t, r, vec_2(t, IR_VCMPEQ, vec_int(s), abs, fconst(t, s, BIT(fp_frac_bits(s)))));
}

/* x86's min and max raise invalid for quiet NaNs: lanes with a NaN are kept from them. */
static ir_val min_max(struct tr *t, enum fp_op op, enum fp_size s, unsigned lanes, ir_val n,
                      ir_val m)
{
    bool max = op == FPO_MAX || op == FPO_MAXNM;
    enum ir_op host = max ? IR_VFMAX : IR_VFMIN;
    unsigned lane = lane_of(s, lanes);
    ir_val nan = ir_vop2(t->b, IR_VFCMP, lane, n, m, 3), a, b, r;

    if (t->mode & A64_MODE_FZ) { /* flushes inputs */
        ir_val one = fconst(t, s, fp_inf(s) >> 1 & fp_inf(s));

        n = ir_vop2(t->b, IR_VFMUL, lane, n, one, 0);
        m = ir_vop2(t->b, IR_VFMUL, lane, m, one, 0);
    }
    a = vec_andn(t, nan, n);
    b = vec_andn(t, nan, m);
    /* both orders: they differ for zeros of both signs only */
    r = ir_vop2(t->b, max ? IR_VAND : IR_VOR, IR_I64, vec_2(t, host, lane, a, b),
                vec_2(t, host, lane, b, a), 0);
    return vec_or(t, r, nan);
}

static ir_val divide(struct tr *t, enum fp_size s, unsigned lanes, ir_val n, ir_val m)
{
    if (partial(s, lanes)) /* no 0/0 above the lanes */
        m = vec_2(t, IR_VMERGELO, IR_F64, fconst(t, s, fp_inf(s) >> 1 & fp_inf(s)), m);
    return vec_2(t, IR_VFDIV, lane_of(s, lanes), n, m);
}

static ir_val compare(struct tr *t, enum fp_op op, enum fp_size s, unsigned lanes, ir_val n,
                      ir_val m)
{
    unsigned lane = lane_of(s, lanes);
    ir_val abs = fconst(t, s, ~fp_sign_bit(s));

    if (op == FPO_ACGE || op == FPO_ACGT) {
        n = vec_and(t, n, abs);
        m = vec_and(t, m, abs);
    }
    switch (op) {
    case FPO_CMEQ: return ir_vop2(t->b, IR_VFCMP, lane, n, m, 0);
    case FPO_CMGE:
    case FPO_ACGE: return ir_vop2(t->b, IR_VFCMP, lane, m, n, 2);
    default: return ir_vop2(t->b, IR_VFCMP, lane, m, n, 1);
    }
}

/* 2 - n * m, and (3 - n * m) / 2, where what overflows before the halving is left to VFIX. */
static ir_val step(struct tr *t, enum fp_op op, enum fp_size s, unsigned lanes, ir_val n, ir_val m)
{
    unsigned lane = lane_of(s, lanes);
    uint64_t one = fp_inf(s) >> 1 & fp_inf(s), two = one + BIT(fp_frac_bits(s));
    ir_val r, abs, over;

    if (op == FPO_RECPS)
        return ir_vfmadd(t->b, lane, n, m, fconst(t, s, two), 1);
    r = ir_vfmadd(t->b, lane, n, m, fconst(t, s, two | fp_quiet_bit(s)), 1);
    abs = vec_and(t, r, fconst(t, s, ~fp_sign_bit(s)));
    over = vec_2(t, IR_VCMPGT, vec_int(s), abs, fconst(t, s, fp_inf(s) - 2));
    return vec_or(t, vec_2(t, IR_VFMUL, lane, r, fconst(t, s, one - BIT(fp_frac_bits(s)))), over);
}

static ir_val host_op(struct tr *t, enum fp_op op, enum fp_size s, unsigned lanes, ir_val n,
                      ir_val m, ir_val d)
{
    unsigned lane = lane_of(s, lanes);
    ir_val sign = fconst(t, s, fp_sign_bit(s));

    switch (op) {
    case FPO_ADD: return vec_2(t, IR_VFADD, lane, n, m);
    case FPO_SUB: return vec_2(t, IR_VFSUB, lane, n, m);
    case FPO_MUL: return mark_tiny(t, s, vec_2(t, IR_VFMUL, lane, n, m));
    case FPO_DIV: return mark_tiny(t, s, divide(t, s, lanes, n, m));
    case FPO_FMA: return mark_tiny(t, s, ir_vfmadd(t->b, lane, n, m, d, 0));
    case FPO_FMS: return mark_tiny(t, s, ir_vfmadd(t->b, lane, n, m, d, 1));
    case FPO_NMA: return mark_tiny(t, s, ir_vfmadd(t->b, lane, n, m, d, 3));
    case FPO_NMS: return mark_tiny(t, s, ir_vfmadd(t->b, lane, n, m, d, 2));
    case FPO_NMUL: return mark_tiny(t, s, vec_xor(t, vec_2(t, IR_VFMUL, lane, n, m), sign));
    case FPO_ABD: return vec_and(t, vec_2(t, IR_VFSUB, lane, n, m), fconst(t, s, ~fp_sign_bit(s)));
    case FPO_SQRT: return vec_2(t, IR_VFSQRT, lane, n, n);
    case FPO_RECPS:
    case FPO_RSQRTS: return step(t, op, s, lanes, n, m);
    default: return min_max(t, op, s, lanes, n, m);
    }
}

ir_val fp_lanes(struct tr *t, enum fp_op op, enum fp_size s, unsigned lanes, ir_val n, ir_val m,
                ir_val d)
{
    const struct helper *fix = &fp_h_fix[op][s == FP_D];
    bool cmp = op >= FPO_CMEQ && op <= FPO_ACGT;
    bool helper = s == FP_H || fp_exact(t) || !(fix->name || cmp);

    if (op == FPO_RECPS || op == FPO_RSQRTS) /* the host's flags for infinity times zero differ */
        helper |= (t->mode & A64_MODE_FPSR) != 0;
    if (helper)
        return direct(t, op, s, lanes, n, m, d, 0);
    if (cmp)
        return compare(t, op, s, lanes, n, m);
    if (op == FPO_SQRT)
        m = d = IR_NO_VAL;
    else if (op < FPO_FMA || op > FPO_NMS)
        d = IR_NO_VAL;
    return ir_vfix(t->b, lane_of(s, lanes), fix, host_op(t, op, s, lanes, n, m, d), n, m, d);
}

/* ---- rounding to integral ---- */

/* To nearest, ties away: what is 2^23 (2^52) or more stays; else a half or more is rounded up. */
static ir_val rint_away(struct tr *t, enum fp_size s, unsigned lanes, ir_val n)
{
    unsigned lane = lane_of(s, lanes), f = fp_frac_bits(s);
    uint64_t one = fp_inf(s) >> 1 & fp_inf(s);
    ir_val abs = fconst(t, s, ~fp_sign_bit(s)), sign = vec_and(t, n, fconst(t, s, fp_sign_bit(s)));
    ir_val big = vec_2(t, IR_VCMPGT, vec_int(s), vec_and(t, n, abs),
                       fconst(t, s, one + ((uint64_t)f << f) - 1));
    ir_val small = vec_andn(t, big, n);
    ir_val cut = ir_vop2(t->b, IR_VFROUND, lane, small, small, 11);
    ir_val rest = vec_and(t, vec_2(t, IR_VFSUB, lane, small, cut), abs);
    ir_val up = vec_2(t, IR_VCMPGT, vec_int(s), rest, fconst(t, s, one - BIT(f) - 1));
    ir_val add = vec_or(t, vec_and(t, up, fconst(t, s, one)), sign);

    return vec_or(t, vec_or(t, vec_2(t, IR_VFADD, lane, cut, add), sign), vec_and(t, n, big));
}

ir_val fp_rint(struct tr *t, enum fp_op op, enum fp_size s, unsigned lanes, ir_val n,
               enum fp_rmode mode)
{
    static const uint8_t host[4] = { 0, 2, 1, 3 }; /* RN RP RM RZ */
    unsigned imm;
    ir_val r;

    if (s == FP_H || fp_exact(t) || op == FPO_RINT32 || op == FPO_RINT64)
        return direct(t, op, s, lanes, n, n, n, mode);
    if (mode == FP_TIEAWAY)
        return ir_vfix(t->b, lane_of(s, lanes), &fp_h_fix[FPO_RINT][s == FP_D],
                       rint_away(t, s, lanes, n), n, IR_NO_VAL, IR_NO_VAL);
    imm = op == FPO_RINTX ? 4 : 8 | host[mode];
    r = ir_vop2(t->b, IR_VFROUND, lane_of(s, lanes), n, n, imm);
    if (!(t->mode & A64_MODE_DN))
        return r;
    return ir_vfix(t->b, lane_of(s, lanes), &fp_h_fix[FPO_RINT][s == FP_D], r, n, IR_NO_VAL,
                   IR_NO_VAL);
}
