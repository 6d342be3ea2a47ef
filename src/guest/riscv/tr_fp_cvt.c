/* SPDX-License-Identifier: GPL-2.0-or-later */
/* F, D, Zfhmin: conversions and moves between register files. */
#include "guest/riscv/tr_fp.h"

/* ---- between floats ---- */

static bool soft_cvt(struct tr *t, const struct arg_cvt *a, int mode)
{
    int64_t desc = rv_soft_desc(RV_SOFT_CVT, a->sz, (unsigned)mode, (unsigned)a->from);

    rv_set_f_bits(t, a->rd, a->sz,
                  rv_soft_call(t, desc, rv_f_bits(t, a->rs1), IR_NO_VAL, IR_NO_VAL));
    return true;
}

bool tr_fcvt(struct tr *t, const struct arg_cvt *a)
{
    int mode = rv_effective_rm(t, a->rm);
    ir_val v;

    if (mode == RV_RM_BAD)
        return false;
    if (a->sz == 1 || a->from == 1) /* halves are rare */
        return soft_cvt(t, a, mode);
    if (a->sz == 3) { /* exact */
        rv_expect(t, 2, 1u << a->rs1);
        v = rv_f(t, a->rs1, 2);
        v = ir_vop2(t->b, IR_VFCVTFF, IR_F32 | IR_SCALAR, v, v, 0);
    } else if (rv_host_rounds(t, mode)) {
        v = ir_vop2(t->b, IR_VFCVTFF, IR_F64 | IR_SCALAR, rv_ones(t), rv_f(t, a->rs1, 3), 0);
    } else {
        return soft_cvt(t, a, mode);
    }
    rv_set_f(t, a->rd, a->sz, rv_canonical(t, a->sz, v));
    return true;
}

/* ---- to integer ---- */

/* The host's "indefinite" (the minimum) came out: NaN and what is too big become the maximum. Its
 * invalid flag is ours. */
static uint64_t do_fix_to_w_s(void *cpu, const union ir_v128 *v)
{
    return v->f32[0] < 0 ? (uint32_t)INT32_MIN : INT32_MAX;
}
static uint64_t do_fix_to_l_s(void *cpu, const union ir_v128 *v)
{
    return v->f32[0] < 0 ? (uint64_t)INT64_MIN : INT64_MAX;
}
static uint64_t do_fix_to_w_d(void *cpu, const union ir_v128 *v)
{
    return v->s64[0] < 0 && v->f64[0] == v->f64[0] ? (uint32_t)INT32_MIN : INT32_MAX;
}
static uint64_t do_fix_to_l_d(void *cpu, const union ir_v128 *v)
{
    return v->s64[0] < 0 && v->f64[0] == v->f64[0] ? (uint64_t)INT64_MIN : INT64_MAX;
}

static const struct helper h_fix_to[2][2] = {
    /* [double][64 bits] */
    { { "rv_fix_to_w_s", (helper_fn *)do_fix_to_w_s, "i32 v128", HELPER_PURE },
      { "rv_fix_to_l_s", (helper_fn *)do_fix_to_l_s, "i64 v128", HELPER_PURE } },
    { { "rv_fix_to_w_d", (helper_fn *)do_fix_to_w_d, "i32 v128", HELPER_PURE },
      { "rv_fix_to_l_d", (helper_fn *)do_fix_to_l_d, "i64 v128", HELPER_PURE } },
};

/* The host has neither unsigned conversions with the right flags nor all rounding modes. */
bool tr_f_to_i(struct tr *t, const struct arg_fi *a)
{
    enum ir_type type = a->i64 ? IR_I64 : IR_I32;
    int mode = rv_effective_rm(t, a->rm);
    ir_val v, r;

    if (mode == RV_RM_BAD)
        return false;
    if (a->u || (mode != RV_RTZ && !rv_host_rounds(t, mode))) {
        int64_t desc =
            rv_soft_desc(RV_SOFT_TO_INT, a->sz, (unsigned)mode, (unsigned)(a->u | a->i64 << 1));

        rv_set_x(t, a->rd, rv_soft_call(t, desc, rv_f_bits(t, a->rs1), IR_NO_VAL, IR_NO_VAL));
        return true;
    }
    rv_expect(t, a->sz, 1u << a->rs1);
    v = rv_f(t, a->rs1, a->sz);
    r = ir_vfcvtfi(t->b, type, rv_lane(a->sz), v, mode == RV_RTZ);
    r = ir_fix(t->b, IR_EQ, r, a->i64 ? INT64_MIN : INT32_MIN, &h_fix_to[a->sz == 3][a->i64], v,
               IR_NO_VAL);
    rv_set_x(t, a->rd, ir_sext(t->b, IR_I64, r));
    return true;
}

/* ---- from integer ---- */

bool tr_i_to_f(struct tr *t, const struct arg_fi *a)
{
    int mode = rv_effective_rm(t, a->rm);
    bool exact = a->sz == 3 && !a->i64;
    ir_val v, base = rv_ones(t);

    if (mode == RV_RM_BAD)
        return false;
    if (!exact && !rv_host_rounds(t, mode)) {
        int64_t desc =
            rv_soft_desc(RV_SOFT_FROM_INT, a->sz, (unsigned)mode, (unsigned)(a->u | a->i64 << 1));

        v = rv_soft_call(t, desc, rv_x(t, a->rs1), IR_NO_VAL, IR_NO_VAL);
        rv_set_f_bits(t, a->rd, a->sz, v);
        return true;
    }
    if (a->u && a->i64) {
        v = ir_vop2(t->b, IR_VFCVTUF, rv_lane(a->sz), base, rv_x(t, a->rs1), 0);
    } else {
        v = a->i64 ? rv_x(t, a->rs1)
            : a->u ? ir_zext(t->b, IR_I64, rv_w(t, a->rs1))
                   : rv_w(t, a->rs1);
        v = ir_vop2(t->b, IR_VFCVTIF, rv_lane(a->sz), base, v, 0);
    }
    rv_set_f(t, a->rd, a->sz, v);
    return true;
}

/* ---- moves of bits ---- */

bool tr_fmv_to_x(struct tr *t, const struct arg_fi *a)
{
    ir_val v = rv_f_bits(t, a->rs1);

    if (a->sz < 3)
        v = ir_sext(t->b, IR_I64, ir_trunc(t->b, a->sz == 2 ? IR_I32 : IR_I16, v));
    rv_set_x(t, a->rd, v);
    return true;
}

bool tr_fmv_to_f(struct tr *t, const struct arg_fi *a)
{
    ir_val v = rv_x(t, a->rs1);

    if (a->sz < 3)
        v = ir_ori(t->b, v, (int64_t)(~UINT64_C(0) << (8 << a->sz)));
    rv_set_f_bits(t, a->rd, a->sz, v);
    return true;
}
