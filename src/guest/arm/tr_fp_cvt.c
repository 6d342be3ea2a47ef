/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Conversions between floating point and integers, and between floating-point formats: scalars of
 * A64's FP, and the lanes of Advanced SIMD. What x86 converts out of range gives its "indefinite"
 * integer, which FIX and VFIX catch.
 */
#include "guest/arm/tr_vec.h"

static bool size_of(const struct tr *t, int ty, enum fp_size *ret)
{
    static const uint8_t sizes[4] = { FP_S, FP_D, 0, FP_H };

    *ret = (enum fp_size)sizes[ty];
    return ty != 2 && fp_has(t, *ret);
}

static unsigned lane_of(enum fp_size s, unsigned lanes)
{
    return (s == FP_D ? IR_F64 : IR_F32) | (lanes == 1 ? IR_SCALAR : 0);
}

/* 2^k in all lanes */
static ir_val power_of_2(struct tr *t, enum fp_size s, int k)
{
    uint64_t one = fp_inf(s) >> 1 & fp_inf(s);

    return vec_const(t, vec_int(s), one + (uint64_t)((int64_t)k * (int64_t)BIT(fp_frac_bits(s))));
}

/* ---- to integers ---- */

/* May the host convert? Once flags are watched, only where its flags are right, too. */
static bool host_to_int(const struct tr *t, enum fp_size s, enum fp_rmode mode, bool is_unsigned,
                        unsigned fbits)
{
    if (s == FP_H || fp_exact(t))
        return false;
    return !(t->mode & A64_MODE_FPSR) || (mode == FP_RZ && !is_unsigned && !fbits);
}

/* n * 2^fbits, rounded to an integral number. */
static ir_val prepare(struct tr *t, enum fp_size s, unsigned lanes, ir_val n, enum fp_rmode mode,
                      unsigned fbits)
{
    static const uint8_t host[4] = { 0, 2, 1, 3 };

    if (fbits)
        n = vec_2(t, IR_VFMUL, lane_of(s, lanes), n, power_of_2(t, s, (int)fbits));
    if (mode == FP_RZ)
        return n;
    if (mode == FP_TIEAWAY)
        return fp_rint(t, FPO_RINT, s, lanes, n, mode);
    return ir_vop2(t->b, IR_VFROUND, lane_of(s, lanes), n, n, host[mode]);
}

/* Below 2^63 the host converts; above, the result is made negative for FIX. */
static ir_val to_u64(struct tr *t, enum fp_size s, ir_val n)
{
    ir_val in_range = vec_2(t, IR_VCMPGT, vec_int(s), power_of_2(t, s, 63), n), r, out;

    r = ir_vfcvtfi(t->b, IR_I64, lane_of(s, 1), vec_and(t, n, in_range), true);
    out = ir_vtoi(t->b, s == FP_D ? IR_I64 : IR_I32, vec_not(t, in_range));
    r = ir_or(t->b, r, ir_sext(t->b, IR_I64, out));
    return ir_fix(t->b, IR_LTS, r, 0, &fp_h_fix_int[s == FP_D][1][1], n, IR_NO_VAL);
}

ir_val fp_to_int(struct tr *t, enum ir_type type, enum fp_size s, ir_val n, enum fp_rmode mode,
                 bool is_unsigned, unsigned fbits)
{
    bool is_64 = type == IR_I64;
    ir_val r;

    if (!host_to_int(t, s, mode, is_unsigned, fbits)) {
        uint32_t desc = fp_int_desc(s, mode, is_unsigned, is_64, fbits);

        r = tr_call(t, &fp_h_to_int, n, tr_c32(t, (int32_t)desc), IR_NO_VAL, IR_NO_VAL);
        return ir_trunc(t->b, type, r);
    }
    n = prepare(t, s, 1, n, mode, fbits);
    if (!is_unsigned) {
        r = ir_vfcvtfi(t->b, type, lane_of(s, 1), n, true);
        return ir_fix(t->b, IR_EQ, r, is_64 ? INT64_MIN : INT32_MIN,
                      &fp_h_fix_int[s == FP_D][0][is_64], n, IR_NO_VAL);
    }
    if (is_64)
        return to_u64(t, s, n);
    r = ir_vfcvtfi(t->b, IR_I64, lane_of(s, 1), n, true);
    r = ir_fix(t->b, IR_GTU, r, 0xffffffff, &fp_h_fix_int[s == FP_D][1][0], n, IR_NO_VAL);
    return ir_trunc(t->b, IR_I32, r);
}

static ir_val to_lanes_d(struct tr *t, ir_val n)
{
    ir_val hi = vec_2(t, IR_VUNPCKH, IR_I64, n, n);
    ir_val a = ir_vfcvtfi(t->b, IR_I64, IR_F64, n, true);
    ir_val b = ir_vfcvtfi(t->b, IR_I64, IR_F64, hi, true);

    a = vec_low_pair(t, vec_1(t, IR_VFROMI, 0, a, 0), vec_1(t, IR_VFROMI, 0, b, 0));
    return ir_vfix(t->b, IR_I64, &fp_h_fix_ints[1][0], a, n, IR_NO_VAL, IR_NO_VAL);
}

/* Negative results and what is 2^31 or more become the minimum, for VFIX. */
static ir_val to_lanes_u32(struct tr *t, ir_val n)
{
    ir_val big = vec_2(t, IR_VCMPGT, IR_I32, n, ir_vconst(t->b, 0x4effffff4effffff));
    ir_val r = vec_1(t, IR_VFCVTPFI, IR_F32, vec_andn(t, big, n), 1);
    ir_val neg = vec_1(t, IR_VSARI, IR_I32, r, 31);

    r = vec_or(t, vec_andn(t, neg, r), vec_1(t, IR_VSHLI, IR_I32, vec_or(t, neg, big), 31));
    return ir_vfix(t->b, IR_I32, &fp_h_fix_ints[0][1], r, n, IR_NO_VAL, IR_NO_VAL);
}

ir_val fp_to_lanes(struct tr *t, enum fp_size s, unsigned lanes, ir_val n, enum fp_rmode mode,
                   bool is_unsigned, unsigned fbits)
{
    if (lanes == 1 && s != FP_H) {
        n = fp_to_int(t, s == FP_D ? IR_I64 : IR_I32, s, n, mode, is_unsigned, fbits);
        return vec_1(t, IR_VFROMI, 0, n, 0);
    }
    if (!host_to_int(t, s, mode, is_unsigned, fbits) || (s == FP_D && is_unsigned))
        return tr_call(
            t, &fp_h_direct, n, ir_vconst(t->b, fbits), n,
            tr_c32(t, (int32_t)fp_desc(is_unsigned ? FPO_TO_U : FPO_TO_S, s, lanes, mode)));
    n = prepare(t, s, lanes, n, mode, fbits);
    if (s == FP_D)
        return to_lanes_d(t, n);
    if (is_unsigned)
        return to_lanes_u32(t, n);
    return ir_vfix(t->b, IR_I32, &fp_h_fix_ints[0][0], vec_1(t, IR_VFCVTPFI, IR_F32, n, 1), n,
                   IR_NO_VAL, IR_NO_VAL);
}

/* ---- from integers ---- */

static ir_val from_int(struct tr *t, enum fp_size s, ir_val n, bool is_unsigned)
{
    bool is_64 = ir_type_of(t->b, n) == IR_I64;

    if (is_unsigned && is_64)
        return ir_vop2(t->b, IR_VFCVTUF, lane_of(s, 1), vec_zero(t), n, 0);
    if (is_unsigned)
        n = ir_zext(t->b, IR_I64, n);
    return ir_vop2(t->b, IR_VFCVTIF, lane_of(s, 1), vec_zero(t), n, 0);
}

ir_val fp_from_int(struct tr *t, enum fp_size s, ir_val n, bool is_unsigned, unsigned fbits)
{
    bool is_64 = ir_type_of(t->b, n) == IR_I64;
    ir_val v;

    if (s == FP_H)
        return tr_call(t, &fp_h_from_int, ir_zext(t->b, IR_I64, n),
                       tr_c32(t, (int32_t)fp_int_desc(s, FP_RN, is_unsigned, is_64, fbits)),
                       IR_NO_VAL, IR_NO_VAL);
    v = from_int(t, s, n, is_unsigned);
    if (fbits) /* exact */
        v = vec_2(t, IR_VFMUL, lane_of(s, 1), v, power_of_2(t, s, -(int)fbits));
    return v;
}

static ir_val from_lanes_s(struct tr *t, ir_val n, bool is_unsigned)
{
    ir_val hi, lo;

    if (!is_unsigned)
        return vec_1(t, IR_VFCVTPIF, IR_F32, n, 0);
    /* both halves convert exactly; the sum rounds once */
    hi = vec_1(t, IR_VFCVTPIF, IR_F32, vec_1(t, IR_VSHRI, IR_I32, n, 16), 0);
    lo = vec_1(t, IR_VFCVTPIF, IR_F32, vec_and(t, n, ir_vconst(t->b, 0x0000ffff0000ffff)), 0);
    return vec_2(t, IR_VFADD, IR_F32, vec_2(t, IR_VFMUL, IR_F32, hi, power_of_2(t, FP_S, 16)), lo);
}

ir_val fp_from_lanes(struct tr *t, enum fp_size s, unsigned lanes, ir_val n, bool is_unsigned,
                     unsigned fbits)
{
    ir_val v;

    if (s == FP_H)
        return tr_call(
            t, &fp_h_direct, n, n, n,
            tr_c32(t, (int32_t)fp_desc(is_unsigned ? FPO_FROM_U : FPO_FROM_S, s, lanes, fbits)));
    if (lanes == 1)
        return fp_from_int(t, s, ir_vtoi(t->b, s == FP_D ? IR_I64 : IR_I32, n), is_unsigned, fbits);
    if (s == FP_D)
        v = vec_low_pair(t, from_int(t, s, ir_vtoi(t->b, IR_I64, n), is_unsigned),
                         from_int(t, s, vec_1(t, IR_VEXTRACT, IR_I64, n, 1), is_unsigned));
    else
        v = from_lanes_s(t, n, is_unsigned);
    if (fbits)
        v = vec_2(t, IR_VFMUL, lane_of(s, lanes), v, power_of_2(t, s, -(int)fbits));
    return v;
}

/* ---- between formats ---- */

static ir_val cvt_wide(struct tr *t, enum fp_size to, unsigned lanes, ir_val n) /* S to D, D to S */
{
    unsigned lane = lane_of(to == FP_D ? FP_S : FP_D, lanes);
    bool fix = t->mode & A64_MODE_DN;
    ir_val r = vec_2(t, IR_VFCVTFF, lane, lanes == 1 ? vec_zero(t) : n, n);

    if (to == FP_S && t->mode & (A64_MODE_FZ | A64_MODE_FPSR)) { /* tininess: see tr_fp_lanes.c */
        ir_val abs = vec_and(t, r, vec_const(t, IR_I32, 0x7fffffff));

        r = vec_or(t, r, vec_2(t, IR_VCMPEQ, IR_I32, abs, vec_const(t, IR_I32, 0x00800000)));
        fix = true;
    }
    if (!fix)
        return r;
    return ir_vfix(t->b, lane_of(to, lanes), to == FP_D ? &fp_h_fix_sd : &fp_h_fix_ds, r, n,
                   IR_NO_VAL, IR_NO_VAL);
}

ir_val fp_cvt(struct tr *t, enum fp_size to, enum fp_size from, unsigned lanes, ir_val n, bool odd)
{
    uint32_t special = A64_MODE_DN | A64_MODE_AHP;
    uint32_t desc =
        to | (uint32_t)from << 4 | lanes << 8 | (uint32_t)(odd ? FP_ODD : fp_mode(t)) << 12;

    if (to == FP_H)
        special |= A64_MODE_FPSR;
    if (!odd && !fp_exact(t)) {
        if (to != FP_H && from != FP_H)
            return cvt_wide(t, to, lanes, n);
        if (!(t->mode & special) && to == FP_S)
            return vec_1(t, IR_VFCVTHF, IR_F32, n, lanes == 1);
        if (!(t->mode & special) && from == FP_S)
            return vec_1(t, IR_VFCVTFH, IR_F32, n, lanes == 1);
        if (!(t->mode & special) && to == FP_D) /* exact in two steps */
            return cvt_wide(t, FP_D, lanes, vec_1(t, IR_VFCVTHF, IR_F32, n, lanes == 1));
    }
    return tr_call(t, &fp_h_cvt, n, tr_c32(t, (int32_t)desc), IR_NO_VAL, IR_NO_VAL);
}

/* ---- the scalar instructions ---- */

static bool convert(struct tr *t, const struct arg_f1 *a, enum fp_size to)
{
    static const uint8_t sizes[4] = { FP_S, FP_D, 0, FP_H }; /* no need for FEAT_FP16 */
    enum fp_size from = (enum fp_size)sizes[a->ty];

    if (a->ty == 2 || from == to)
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_set(t, a->rd, fp_cvt(t, to, from, 1, vec_get(t, a->rn, fp_bits(from)), false), fp_bits(to));
    return true;
}

bool tr_fcvt_to_s(struct tr *t, const struct arg_f1 *a)
{
    return convert(t, a, FP_S);
}

bool tr_fcvt_to_d(struct tr *t, const struct arg_f1 *a)
{
    return convert(t, a, FP_D);
}

bool tr_fcvt_to_h(struct tr *t, const struct arg_f1 *a)
{
    return convert(t, a, FP_H);
}

static bool to_int(struct tr *t, const struct arg_fint *a, enum fp_rmode mode, bool is_unsigned)
{
    enum fp_size s;

    if (!size_of(t, a->ty, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    tr_set_reg(
        t, a->sf, (unsigned)a->rd,
        fp_to_int(t, tr_type(a->sf), s, vec_get(t, a->rn, fp_bits(s)), mode, is_unsigned, 0));
    return true;
}

static bool of_int(struct tr *t, const struct arg_fint *a, bool is_unsigned)
{
    enum fp_size s;

    if (!size_of(t, a->ty, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    tr_set_v(t, (unsigned)a->rd,
             fp_from_int(t, s, tr_reg(t, a->sf, (unsigned)a->rn), is_unsigned, 0));
    return true;
}

#define TO_INT(name, mode, u)                                                                      \
    bool tr_##name##_s(struct tr *t, const struct arg_fint *a)                                     \
    {                                                                                              \
        return to_int(t, a, mode, u);                                                              \
    }
TO_INT(fcvtns, FP_RN, false)
TO_INT(fcvtnu, FP_RN, true)
TO_INT(fcvtps, FP_RP, false)
TO_INT(fcvtpu, FP_RP, true)
TO_INT(fcvtms, FP_RM, false)
TO_INT(fcvtmu, FP_RM, true)
TO_INT(fcvtzs, FP_RZ, false)
TO_INT(fcvtzu, FP_RZ, true)
TO_INT(fcvtas, FP_TIEAWAY, false)
TO_INT(fcvtau, FP_TIEAWAY, true)

bool tr_scvtf_s(struct tr *t, const struct arg_fint *a)
{
    return of_int(t, a, false);
}

bool tr_ucvtf_s(struct tr *t, const struct arg_fint *a)
{
    return of_int(t, a, true);
}

/* Fixed point: 64 - scale fraction bits. */
static bool fixed(struct tr *t, const struct arg_ffix *a, bool to, bool is_unsigned)
{
    unsigned fbits = 64 - (unsigned)a->scale;
    enum fp_size s;

    if (!size_of(t, a->ty, &s) || (!a->sf && a->scale < 32))
        return false;
    if (!tr_fp_check(t))
        return true;
    if (to)
        tr_set_reg(t, a->sf, (unsigned)a->rd,
                   fp_to_int(t, tr_type(a->sf), s, vec_get(t, a->rn, fp_bits(s)), FP_RZ,
                             is_unsigned, fbits));
    else
        tr_set_v(t, (unsigned)a->rd,
                 fp_from_int(t, s, tr_reg(t, a->sf, (unsigned)a->rn), is_unsigned, fbits));
    return true;
}

bool tr_fcvtzs_fix(struct tr *t, const struct arg_ffix *a)
{
    return fixed(t, a, true, false);
}

bool tr_fcvtzu_fix(struct tr *t, const struct arg_ffix *a)
{
    return fixed(t, a, true, true);
}

bool tr_scvtf_fix(struct tr *t, const struct arg_ffix *a)
{
    return fixed(t, a, false, false);
}

bool tr_ucvtf_fix(struct tr *t, const struct arg_ffix *a)
{
    return fixed(t, a, false, true);
}

/* ---- FJCVTZS ---- */

static uint64_t do_js(struct cpu *cpu, const union ir_v128 *n)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };
    bool exact;
    uint64_t r = fp_to_js(&e, n->u64[0], &exact);

    x->fpsr_soft |= e.flags;
    return r | (uint64_t)exact << 32;
}
static const struct helper h_js = { "a64_fjcvtzs", (helper_fn *)do_js, "i64 v128",
                                    HELPER_NO_RAISE };

bool tr_fjcvtzs(struct tr *t, const struct arg_fint *a)
{
    ir_val r;

    if (!tr_fp_check(t))
        return true;
    r = tr_call(t, &h_js, tr_v(t, (unsigned)a->rn), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    tr_set_reg(t, false, (unsigned)a->rd, ir_trunc(t->b, IR_I32, r));
    tr_set_nzcv(t, ir_shli(t->b, ir_trunc(t->b, IR_I32, ir_shri(t->b, r, 32)), 30));
    return true;
}
