/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Advanced SIMD floating point. Arithmetic itself: tr_fp_lanes.c; conversions: tr_fp_cvt.c.
 */
#include "guest/arm/tr_simd.h"

/* Element size of an instruction; half: the FP16 rows. False: reserved. */
static bool size_of(const struct arg_v *a, bool half, enum fp_size *ret)
{
    *ret = half ? FP_H : a->size & 1 ? FP_D : FP_S;
    return *ret != FP_D || a->q || a->sc;
}

static unsigned width(const struct arg_v *a, enum fp_size s)
{
    return a->sc ? fp_bits(s) : a->q ? 128 : 64;
}

/* ---- three registers ---- */

static bool three(struct tr *t, const struct arg_v *a, enum fp_op op, bool half)
{
    enum fp_size s;
    unsigned bits;

    if (!size_of(a, half, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    bits = width(a, s);
    vec_set(t, a->rd,
            fp_lanes(t, op, s, vec_lanes(a->sc, a->q, s), vec_get(t, a->rn, bits),
                     vec_get(t, a->rm, bits),
                     op == FPO_FMA || op == FPO_FMS ? vec_get(t, a->rd, bits) : IR_NO_VAL),
            bits);
    return true;
}

static bool pairs(struct tr *t, const struct arg_v *a, enum fp_op op, bool half)
{
    ir_val even, odd;
    enum fp_size s;

    if (!size_of(a, half, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_pairs(t, vec_int(s), a->q, tr_v(t, (unsigned)a->rn), tr_v(t, (unsigned)a->rm), &even, &odd);
    vec_set(t, a->rd, fp_lanes(t, op, s, vec_lanes(false, a->q, s), even, odd, IR_NO_VAL),
            width(a, s));
    return true;
}

#define FN(name, call)                                                                             \
    bool tr_##name(struct tr *t, const struct arg_v *a)                                            \
    {                                                                                              \
        return call;                                                                               \
    }
#define THREE(name, op)                                                                            \
    FN(name##_v, three(t, a, FPO_##op, false))                                                     \
    FN(name##_vh, three(t, a, FPO_##op, true))
#define THREE_S(name, op)                                                                          \
    THREE(name, op)                                                                                \
    FN(name##_vs, three(t, a, FPO_##op, false))                                                    \
    FN(name##_vsh, three(t, a, FPO_##op, true))
#define PAIRS(name, op)                                                                            \
    FN(name##_v, pairs(t, a, FPO_##op, false))                                                     \
    FN(name##_vh, pairs(t, a, FPO_##op, true))
THREE(fadd, ADD)
THREE(fsub, SUB)
THREE(fmul, MUL)
THREE(fdiv, DIV)
THREE(fmla, FMA)
THREE(fmls, FMS)
THREE(fmax, MAX)
THREE(fmin, MIN)
THREE(fmaxnm, MAXNM)
THREE(fminnm, MINNM)
THREE_S(fabd, ABD)
THREE_S(fmulx, MULX)
THREE_S(fcmeq, CMEQ)
THREE_S(fcmge, CMGE)
THREE_S(fcmgt, CMGT)
THREE_S(facge, ACGE)
THREE_S(facgt, ACGT)
THREE_S(frecps, RECPS)
THREE_S(frsqrts, RSQRTS)
PAIRS(faddp, ADD)
PAIRS(fmaxp, MAX)
PAIRS(fminp, MIN)
PAIRS(fmaxnmp, MAXNM)
PAIRS(fminnmp, MINNM)

/* ---- across ---- */

/* Lanes 0 and 1. */
static bool pair_scalar(struct tr *t, const struct arg_v *a, enum fp_op op, bool half)
{
    enum fp_size s = half ? FP_H : a->size & 1 ? FP_D : FP_S;
    unsigned bits = fp_bits(s);
    ir_val n, second;

    if (!tr_fp_check(t))
        return true;
    n = tr_v(t, (unsigned)a->rn);
    second = vec_zext(t, vec_1(t, IR_VBSHR, IR_I8, n, bits / 8), bits);
    vec_set(t, a->rd, fp_lanes(t, op, s, 1, vec_zext(t, n, bits), second, IR_NO_VAL), bits);
    return true;
}

static bool across(struct tr *t, const struct arg_v *a, enum fp_op op, bool half)
{
    enum fp_size s = half ? FP_H : FP_S;
    unsigned lanes = vec_lanes(false, a->q, s), bits;
    ir_val v, even;

    if (!tr_fp_check(t))
        return true;
    v = vec_get(t, a->rn, a->q ? 128 : 64);
    while (lanes > 1) { /* neighbours first */
        lanes /= 2;
        bits = lanes * fp_bits(s);
        even = vec_zext(t, vec_2(t, IR_VUZP1, vec_int(s), v, v), bits);
        v = fp_lanes(t, op, s, lanes, even, vec_zext(t, vec_2(t, IR_VUZP2, vec_int(s), v, v), bits),
                     IR_NO_VAL);
    }
    vec_set(t, a->rd, v, fp_bits(s));
    return true;
}

#define ACROSS(name, op)                                                                           \
    FN(name##v, across(t, a, FPO_##op, false))                                                     \
    FN(name##vh, across(t, a, FPO_##op, true))                                                     \
    FN(name##p_vs, pair_scalar(t, a, FPO_##op, false))                                             \
    FN(name##p_vsh, pair_scalar(t, a, FPO_##op, true))
ACROSS(fmax, MAX)
ACROSS(fmin, MIN)
ACROSS(fmaxnm, MAXNM)
ACROSS(fminnm, MINNM)
FN(faddp_vs, pair_scalar(t, a, FPO_ADD, false))
FN(faddp_vsh, pair_scalar(t, a, FPO_ADD, true))

/* ---- two registers ---- */

static bool one(struct tr *t, const struct arg_v *a, enum fp_op op, bool half)
{
    enum fp_size s;
    ir_val n;

    if (!size_of(a, half, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    n = vec_get(t, a->rn, width(a, s));
    vec_set(t, a->rd, fp_lanes(t, op, s, vec_lanes(a->sc, a->q, s), n, n, n), width(a, s));
    return true;
}

/* Compare with zero; below: zero with the operand. */
static bool zero(struct tr *t, const struct arg_v *a, enum fp_op op, bool below, bool half)
{
    enum fp_size s;
    ir_val n, z = vec_zero(t);

    if (!size_of(a, half, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    n = vec_get(t, a->rn, width(a, s));
    vec_set(t, a->rd,
            fp_lanes(t, op, s, vec_lanes(a->sc, a->q, s), below ? z : n, below ? n : z, IR_NO_VAL),
            width(a, s));
    return true;
}

static bool round_lanes(struct tr *t, const struct arg_v *a, enum fp_op op, enum fp_rmode mode,
                        bool half)
{
    enum fp_size s;

    if (!size_of(a, half, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_set(t, a->rd,
            fp_rint(t, op, s, vec_lanes(a->sc, a->q, s), vec_get(t, a->rn, width(a, s)), mode),
            width(a, s));
    return true;
}

static bool to_int(struct tr *t, const struct arg_v *a, enum fp_rmode mode, bool half)
{
    enum fp_size s;

    if (!size_of(a, half, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_set(
        t, a->rd,
        fp_to_lanes(t, s, vec_lanes(a->sc, a->q, s), vec_get(t, a->rn, width(a, s)), mode, a->u, 0),
        width(a, s));
    return true;
}

static bool from_int(struct tr *t, const struct arg_v *a, bool half)
{
    enum fp_size s;

    if (!size_of(a, half, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_set(t, a->rd,
            fp_from_lanes(t, s, vec_lanes(a->sc, a->q, s), vec_get(t, a->rn, width(a, s)), a->u, 0),
            width(a, s));
    return true;
}

static bool sign(struct tr *t, const struct arg_v *a, bool negate, bool half)
{
    enum fp_size s;
    ir_val n;

    if (!size_of(a, half, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    n = tr_v(t, (unsigned)a->rn);
    if (negate)
        n = vec_xor(t, n, vec_const(t, vec_int(s), fp_sign_bit(s)));
    else
        n = vec_and(t, n, vec_const(t, vec_int(s), ~fp_sign_bit(s)));
    vec_set(t, a->rd, n, width(a, s));
    return true;
}

#define TWO(name, call, ...)                                                                       \
    FN(name##_v, call(t, a, __VA_ARGS__, false))                                                   \
    FN(name##_vh, call(t, a, __VA_ARGS__, true))
#define TWO_S(name, call, ...)                                                                     \
    TWO(name, call, __VA_ARGS__)                                                                   \
    FN(name##_vs, call(t, a, __VA_ARGS__, false))                                                  \
    FN(name##_vsh, call(t, a, __VA_ARGS__, true))
TWO(fsqrt, one, FPO_SQRT)
TWO_S(frecpe, one, FPO_RECPE)
TWO_S(frsqrte, one, FPO_RSQRTE)
FN(frecpx_vs, one(t, a, FPO_RECPX, false))
FN(frecpx_vsh, one(t, a, FPO_RECPX, true))
TWO_S(fcmgt0, zero, FPO_CMGT, false)
TWO_S(fcmge0, zero, FPO_CMGE, false)
TWO_S(fcmeq0, zero, FPO_CMEQ, false)
TWO_S(fcmle0, zero, FPO_CMGE, true)
TWO_S(fcmlt0, zero, FPO_CMGT, true)
TWO(fabs, sign, false)
TWO(fneg, sign, true)
TWO(frintn, round_lanes, FPO_RINT, FP_RN)
TWO(frintp, round_lanes, FPO_RINT, FP_RP)
TWO(frintm, round_lanes, FPO_RINT, FP_RM)
TWO(frintz, round_lanes, FPO_RINT, FP_RZ)
TWO(frinta, round_lanes, FPO_RINT, FP_TIEAWAY)
TWO(frinti, round_lanes, FPO_RINT, fp_mode(t))
TWO(frintx, round_lanes, FPO_RINTX, fp_mode(t))
FN(frint32z_v, round_lanes(t, a, FPO_RINT32, FP_RZ, false))
FN(frint32x_v, round_lanes(t, a, FPO_RINT32, fp_mode(t), false))
FN(frint64z_v, round_lanes(t, a, FPO_RINT64, FP_RZ, false))
FN(frint64x_v, round_lanes(t, a, FPO_RINT64, fp_mode(t), false))
TWO_S(fcvtns, to_int, FP_RN)
TWO_S(fcvtnu, to_int, FP_RN)
TWO_S(fcvtps, to_int, FP_RP)
TWO_S(fcvtpu, to_int, FP_RP)
TWO_S(fcvtms, to_int, FP_RM)
TWO_S(fcvtmu, to_int, FP_RM)
TWO_S(fcvtzs, to_int, FP_RZ)
TWO_S(fcvtzu, to_int, FP_RZ)
TWO_S(fcvtas, to_int, FP_TIEAWAY)
TWO_S(fcvtau, to_int, FP_TIEAWAY)
FN(scvtf_v, from_int(t, a, false))
FN(scvtf_vs, from_int(t, a, false))
FN(scvtf_vh, from_int(t, a, true))
FN(scvtf_vsh, from_int(t, a, true))
FN(ucvtf_v, from_int(t, a, false))
FN(ucvtf_vs, from_int(t, a, false))
FN(ucvtf_vh, from_int(t, a, true))
FN(ucvtf_vsh, from_int(t, a, true))

/* ---- between formats ---- */

static bool narrow(struct tr *t, const struct arg_v *a, bool odd)
{
    enum fp_size to = a->size & 1 ? FP_S : FP_H, from = to + 1;
    unsigned lanes = a->sc ? 1 : 8u >> to;
    ir_val v;

    if (!tr_fp_check(t))
        return true;
    v = fp_cvt(t, to, from, lanes, vec_get(t, a->rn, a->sc ? 64 : 128), odd);
    if (a->sc)
        vec_set(t, a->rd, v, 32);
    else
        vec_set_narrow(t, a->rd, vec_zext(t, v, 64), a->q);
    return true;
}

bool tr_fcvtn_v(struct tr *t, const struct arg_v *a)
{
    return narrow(t, a, false);
}

bool tr_fcvtxn_v(struct tr *t, const struct arg_v *a)
{
    return narrow(t, a, true);
}

bool tr_fcvtxn_vs(struct tr *t, const struct arg_v *a)
{
    return narrow(t, a, true);
}

bool tr_fcvtl_v(struct tr *t, const struct arg_v *a)
{
    enum fp_size from = a->size & 1 ? FP_S : FP_H;
    ir_val n;

    if (!tr_fp_check(t))
        return true;
    n = tr_v(t, (unsigned)a->rn);
    n = a->q ? vec_1(t, IR_VBSHR, IR_I8, n, 8) : vec_zext(t, n, 64);
    tr_set_v(t, (unsigned)a->rd, fp_cvt(t, from + 1, from, 8u >> from, n, false));
    return true;
}

/* ---- halves multiplied to singles ---- */

static bool fhm(struct tr *t, const struct arg_v *a, unsigned flags)
{
    if (!tr_fp_check(t))
        return true;
    flags |= a->q ? 0 : FHM_64;
    vec_set(t, a->rd,
            tr_call(t, &fp_h_fhm, tr_v(t, (unsigned)a->rn), tr_v(t, (unsigned)a->rm),
                    tr_v(t, (unsigned)a->rd), tr_c32(t, (int32_t)flags)),
            a->q ? 128 : 64);
    return true;
}

FN(fmlal_v, fhm(t, a, 0))
FN(fmlsl_v, fhm(t, a, FHM_NEG))
FN(fmlal2_v, fhm(t, a, FHM_HIGH))
FN(fmlsl2_v, fhm(t, a, FHM_HIGH | FHM_NEG))

/* ---- complex numbers ---- */

static bool complex_op(struct tr *t, const struct arg_vrot *a, const struct helper *h, unsigned rot)
{
    enum fp_size s = (enum fp_size)a->size;
    unsigned lanes = vec_lanes(false, a->q, s);

    if (a->size == 0 || (a->size == 3 && !a->q) || !fp_has(t, s))
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_set(t, a->rd,
            tr_call(t, h, tr_v(t, (unsigned)a->rn), tr_v(t, (unsigned)a->rm),
                    tr_v(t, (unsigned)a->rd), tr_c32(t, (int32_t)(s | rot << 4 | lanes << 8))),
            a->q ? 128 : 64);
    return true;
}

bool tr_fcmla_v(struct tr *t, const struct arg_vrot *a)
{
    return complex_op(t, a, &fp_h_fcmla, (unsigned)a->rot);
}

bool tr_fcadd_v(struct tr *t, const struct arg_vrot *a)
{
    return complex_op(t, a, &fp_h_fcadd, (unsigned)a->rot >> 1);
}
