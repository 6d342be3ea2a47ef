/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Advanced SIMD on integers whose result is wider or narrower than an operand, and sums across
 * lanes. lane names the narrow type.
 */
#include "guest/arm/tr_simd.h"

static enum ir_type wider(enum ir_type lane)
{
    return lane + 1;
}

/* ---- wider ---- */

ir_val vec_widen(struct tr *t, enum ir_type lane, ir_val v, bool high, bool is_unsigned)
{
    if (high)
        v = vec_1(t, IR_VBSHR, IR_I8, v, 8);
    return vec_1(t, is_unsigned ? IR_VEXTENDU : IR_VEXTENDS, lane, v, wider(lane));
}

/* The operands below are in the low half already. */
static ir_val multiply(struct tr *t, enum ir_type lane, ir_val n, ir_val m, bool is_unsigned)
{
    if (lane == IR_I8)
        return vec_2(t, IR_VMUL, IR_I16, vec_widen(t, lane, n, false, is_unsigned),
                     vec_widen(t, lane, m, false, is_unsigned));
    if (lane == IR_I16)
        return vec_2(t, IR_VUNPCKL, IR_I16, vec_2(t, IR_VMUL, IR_I16, n, m),
                     vec_2(t, is_unsigned ? IR_VMULHU : IR_VMULHS, IR_I16, n, m));
    return vec_2(t, is_unsigned ? IR_VMULWU : IR_VMULWS, IR_I32,
                 vec_1(t, IR_VSHUF32, IR_I32, n, 0x50), vec_1(t, IR_VSHUF32, IR_I32, m, 0x50));
}

ir_val vec_smull(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return multiply(t, lane, n, m, false);
}

ir_val vec_umull(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return multiply(t, lane, n, m, true);
}

ir_val vec_smlal(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VADD, wider(lane), d, multiply(t, lane, n, m, false));
}

ir_val vec_umlal(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VADD, wider(lane), d, multiply(t, lane, n, m, true));
}

ir_val vec_smlsl(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VSUB, wider(lane), d, multiply(t, lane, n, m, false));
}

ir_val vec_umlsl(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VSUB, wider(lane), d, multiply(t, lane, n, m, true));
}

ir_val vec_sqdmull(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    ir_val p = multiply(t, lane, n, m, false);

    return vec_sqadd(t, wider(lane), p, p, d);
}

ir_val vec_sqdmlal(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_sqadd(t, wider(lane), d, vec_sqdmull(t, lane, n, m, d), d);
}

ir_val vec_sqdmlsl(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_sqsub(t, wider(lane), d, vec_sqdmull(t, lane, n, m, d), d);
}

static ir_val abd_wide(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d,
                       bool is_unsigned)
{
    ir_val v = is_unsigned ? vec_uabd(t, lane, n, m, d) : vec_sabd(t, lane, n, m, d);

    return vec_widen(t, lane, v, false, true);
}

static ir_val sabdl(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return abd_wide(t, lane, n, m, d, false);
}

static ir_val uabdl(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return abd_wide(t, lane, n, m, d, true);
}

static ir_val sabal(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VADD, wider(lane), d, abd_wide(t, lane, n, m, d, false));
}

static ir_val uabal(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VADD, wider(lane), d, abd_wide(t, lane, n, m, d, true));
}

/* Both operands widened, or (w) the second one only. */
#define SUM(name, op, u)                                                                           \
    static ir_val name##l(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)           \
    {                                                                                              \
        return vec_2(t, op, wider(lane), vec_widen(t, lane, n, false, u),                          \
                     vec_widen(t, lane, m, false, u));                                             \
    }                                                                                              \
    static ir_val name##w(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)           \
    {                                                                                              \
        return vec_2(t, op, wider(lane), n, vec_widen(t, lane, m, false, u));                      \
    }
SUM(sadd, IR_VADD, false)
SUM(uadd, IR_VADD, true)
SUM(ssub, IR_VSUB, false)
SUM(usub, IR_VSUB, true)

/* n and m are the low or, with q, the high halves; wide: n is of the wide type, whole. */
static bool longer(struct tr *t, const struct arg_v *a, vec_fn *fn, unsigned sizes, bool wide)
{
    ir_val n, m;

    if (!(sizes >> a->size & 1))
        return false;
    if (!tr_fp_check(t))
        return true;
    if (a->sc) {
        unsigned bits = 8u << a->size;

        vec_set(t, a->rd,
                fn(t, vec_int((unsigned)a->size), vec_get(t, a->rn, bits), vec_get(t, a->rm, bits),
                   vec_get(t, a->rd, bits * 2)),
                bits * 2);
        return true;
    }
    n = tr_v(t, (unsigned)a->rn);
    m = tr_v(t, (unsigned)a->rm);
    if (a->q) {
        m = vec_1(t, IR_VBSHR, IR_I8, m, 8);
        n = wide ? n : vec_1(t, IR_VBSHR, IR_I8, n, 8);
    }
    tr_set_v(t, (unsigned)a->rd, fn(t, vec_int((unsigned)a->size), n, m, tr_v(t, (unsigned)a->rd)));
    return true;
}

#define L(name, fn, sizes, wide)                                                                   \
    bool tr_##name(struct tr *t, const struct arg_v *a)                                            \
    {                                                                                              \
        return longer(t, a, fn, sizes, wide);                                                      \
    }
L(saddl_v, saddl, SZ_BHS, false)
L(uaddl_v, uaddl, SZ_BHS, false)
L(ssubl_v, ssubl, SZ_BHS, false)
L(usubl_v, usubl, SZ_BHS, false)
L(saddw_v, saddw, SZ_BHS, true)
L(uaddw_v, uaddw, SZ_BHS, true)
L(ssubw_v, ssubw, SZ_BHS, true)
L(usubw_v, usubw, SZ_BHS, true)
L(sabal_v, sabal, SZ_BHS, false)
L(uabal_v, uabal, SZ_BHS, false)
L(sabdl_v, sabdl, SZ_BHS, false)
L(uabdl_v, uabdl, SZ_BHS, false)
L(smlal_v, vec_smlal, SZ_BHS, false)
L(umlal_v, vec_umlal, SZ_BHS, false)
L(smlsl_v, vec_smlsl, SZ_BHS, false)
L(umlsl_v, vec_umlsl, SZ_BHS, false)
L(smull_v, vec_smull, SZ_BHS, false)
L(umull_v, vec_umull, SZ_BHS, false)
L(sqdmull_v, vec_sqdmull, SZ_HS, false)
L(sqdmull_vs, vec_sqdmull, SZ_HS, false)
L(sqdmlal_v, vec_sqdmlal, SZ_HS, false)
L(sqdmlal_vs, vec_sqdmlal, SZ_HS, false)
L(sqdmlsl_v, vec_sqdmlsl, SZ_HS, false)
L(sqdmlsl_vs, vec_sqdmlsl, SZ_HS, false)

bool tr_pmull_v(struct tr *t, const struct arg_v *a)
{
    ir_val n, m;

    if (a->size != 0 && !(a->size == 3 && tr_has(t, A64_FEAT_PMULL)))
        return false;
    if (!tr_fp_check(t))
        return true;
    n = tr_v(t, (unsigned)a->rn);
    m = tr_v(t, (unsigned)a->rm);
    if (a->size == 3) {
        tr_set_v(t, (unsigned)a->rd, ir_vop2(t->b, IR_VCLMUL, 0, n, m, a->q ? 0x11 : 0));
        return true;
    }
    if (a->q) {
        n = vec_1(t, IR_VBSHR, IR_I8, n, 8);
        m = vec_1(t, IR_VBSHR, IR_I8, m, 8);
    }
    tr_set_v(t, (unsigned)a->rd, vec_help(t, SO_PMULL8, 0, n, m, m));
    return true;
}

/* Adjacent pairs added, to lanes of double width. */
static ir_val add_pairs(struct tr *t, enum ir_type lane, ir_val v, bool is_unsigned)
{
    unsigned bits = ir_type_bits[lane];
    ir_val ones = vec_const(t, IR_I8, 1), even, odd;

    if (lane == IR_I8) /* first operand unsigned, second signed */
        return vec_2(t, IR_VMADDUBS, IR_I8, is_unsigned ? v : ones, is_unsigned ? ones : v);
    if (lane == IR_I16 && !is_unsigned)
        return vec_2(t, IR_VMADD, IR_I16, v, vec_const(t, IR_I16, 1));
    if (is_unsigned) {
        even = vec_and(t, v, vec_const(t, wider(lane), BIT(bits) - 1));
        odd = vec_1(t, IR_VSHRI, wider(lane), v, bits);
    } else {
        even = vec_1(t, IR_VSARI, wider(lane), vec_1(t, IR_VSHLI, wider(lane), v, bits), bits);
        odd = vec_1(t, IR_VSARI, wider(lane), v, bits);
    }
    return vec_2(t, IR_VADD, wider(lane), even, odd);
}

static bool addlp(struct tr *t, const struct arg_v *a, bool is_unsigned, bool accumulate)
{
    enum ir_type lane = vec_int((unsigned)a->size);
    ir_val v;

    if (a->size == 3)
        return false;
    if (!tr_fp_check(t))
        return true;
    v = add_pairs(t, lane, tr_v(t, (unsigned)a->rn), is_unsigned);
    if (accumulate)
        v = vec_2(t, IR_VADD, wider(lane), tr_v(t, (unsigned)a->rd), v);
    vec_set(t, a->rd, v, a->q ? 128 : 64);
    return true;
}

#define ADDLP(name, u, acc)                                                                        \
    bool tr_##name##_v(struct tr *t, const struct arg_v *a)                                        \
    {                                                                                              \
        return addlp(t, a, u, acc);                                                                \
    }
ADDLP(saddlp, false, false)
ADDLP(uaddlp, true, false)
ADDLP(sadalp, false, true)
ADDLP(uadalp, true, true)

bool tr_shll_v(struct tr *t, const struct arg_v *a)
{
    enum ir_type lane = vec_int((unsigned)a->size);

    if (a->size == 3)
        return false;
    if (!tr_fp_check(t))
        return true;
    tr_set_v(t, (unsigned)a->rd,
             vec_1(t, IR_VSHLI, wider(lane),
                   vec_widen(t, lane, tr_v(t, (unsigned)a->rn), a->q, true), ir_type_bits[lane]));
    return true;
}

/* ---- narrower ---- */

void vec_set_narrow(struct tr *t, int rd, ir_val v, bool high)
{
    if (high)
        v = vec_low_pair(t, tr_v(t, (unsigned)rd), v);
    tr_set_v(t, (unsigned)rd, v);
}

static ir_val narrow(struct tr *t, enum ir_type wide, ir_val v)
{
    return vec_1(t, IR_VNARROW, wide, v, 0);
}

/* Marks the lanes of v that r, widened again, does not equal. */
static ir_val narrowed(struct tr *t, enum ir_type wide, ir_val v, ir_val r, bool is_unsigned)
{
    vec_saturated(t, vec_xor(t, v, vec_widen(t, wide - 1, r, false, is_unsigned)));
    return r;
}

ir_val vec_sqxtn(struct tr *t, enum ir_type wide, ir_val v)
{
    if (wide == IR_I64)
        return vec_help(t, SO_SQXTN, 2, v, v, v);
    return narrowed(t, wide, v, vec_zext(t, vec_2(t, IR_VPACKSS, wide, v, v), 64), false);
}

ir_val vec_sqxtun(struct tr *t, enum ir_type wide, ir_val v)
{
    if (wide == IR_I64)
        return vec_help(t, SO_SQXTUN, 2, v, v, v);
    return narrowed(t, wide, v, vec_zext(t, vec_2(t, IR_VPACKUS, wide, v, v), 64), true);
}

ir_val vec_uqxtn(struct tr *t, enum ir_type wide, ir_val v)
{
    ir_val r;

    if (wide == IR_I64)
        return vec_help(t, SO_UQXTN, 2, v, v, v);
    r = vec_2(t, IR_VMINU, wide, v, vec_const(t, wide, BIT(ir_type_bits[wide] / 2) - 1));
    return narrowed(t, wide, v, narrow(t, wide, r), true);
}

enum narrow { N_XTN, N_SQXTN, N_SQXTUN, N_UQXTN };

static bool narrow_op(struct tr *t, const struct arg_v *a, enum narrow op)
{
    enum ir_type wide = vec_int((unsigned)a->size + 1);
    unsigned bits = 8u << a->size;
    ir_val v;

    if (a->size == 3)
        return false;
    if (!tr_fp_check(t))
        return true;
    v = vec_get(t, a->rn, a->sc ? bits * 2 : 128);
    switch (op) {
    case N_XTN: v = narrow(t, wide, v); break;
    case N_SQXTN: v = vec_sqxtn(t, wide, v); break;
    case N_SQXTUN: v = vec_sqxtun(t, wide, v); break;
    default: v = vec_uqxtn(t, wide, v); break;
    }
    vec_set_narrow(t, a->rd, v, a->q && !a->sc);
    return true;
}

#define NARROW(name, op)                                                                           \
    bool tr_##name(struct tr *t, const struct arg_v *a)                                            \
    {                                                                                              \
        return narrow_op(t, a, op);                                                                \
    }
NARROW(xtn_v, N_XTN)
NARROW(sqxtn_v, N_SQXTN)
NARROW(sqxtn_vs, N_SQXTN)
NARROW(sqxtun_v, N_SQXTUN)
NARROW(sqxtun_vs, N_SQXTUN)
NARROW(uqxtn_v, N_UQXTN)
NARROW(uqxtn_vs, N_UQXTN)

/* ADDHN and its like: the high halves of the sums. */
static bool high_half(struct tr *t, const struct arg_v *a, enum ir_op op, bool rounds)
{
    enum ir_type wide = vec_int((unsigned)a->size + 1);
    unsigned bits = 8u << a->size;
    ir_val v;

    if (a->size == 3)
        return false;
    if (!tr_fp_check(t))
        return true;
    v = vec_2(t, op, wide, tr_v(t, (unsigned)a->rn), tr_v(t, (unsigned)a->rm));
    if (rounds)
        v = vec_2(t, IR_VADD, wide, v, vec_const(t, wide, BIT(bits - 1)));
    vec_set_narrow(t, a->rd, narrow(t, wide, vec_1(t, IR_VSHRI, wide, v, bits)), a->q);
    return true;
}

#define HIGH(name, op, rounds)                                                                     \
    bool tr_##name##_v(struct tr *t, const struct arg_v *a)                                        \
    {                                                                                              \
        return high_half(t, a, op, rounds);                                                        \
    }
HIGH(addhn, IR_VADD, false)
HIGH(raddhn, IR_VADD, true)
HIGH(subhn, IR_VSUB, false)
HIGH(rsubhn, IR_VSUB, true)

/* ---- across lanes ---- */

/* fn over all lanes by halves, into lane 0; what comes in from above the vector stays above. */
static ir_val reduce(struct tr *t, enum ir_type lane, ir_val v, unsigned bytes, vec_fn *fn)
{
    for (unsigned k = bytes / 2; k >= ir_type_bits[lane] / 8; k /= 2)
        v = fn(t, lane, v, vec_1(t, IR_VBSHR, IR_I8, v, k), v);
    return v;
}

static bool across(struct tr *t, const struct arg_v *a, vec_fn *fn, bool widen, bool is_unsigned)
{
    enum ir_type lane = vec_int((unsigned)a->size);
    unsigned bits = 8u << a->size, bytes = a->q ? 16 : 8;
    ir_val v;

    if (a->size == 3 || (a->size == 2 && !a->q))
        return false;
    if (!tr_fp_check(t))
        return true;
    v = vec_get(t, a->rn, a->q ? 128 : 64);
    if (lane == IR_I8 && fn == vec_add && (is_unsigned || !widen)) { /* sums per 64 bits */
        v = vec_2(t, IR_VSAD, IR_I8, v, vec_zero(t));
        lane = IR_I64;
    } else if (widen) {
        v = add_pairs(t, lane, v, is_unsigned);
        lane = wider(lane);
    }
    vec_set(t, a->rd, reduce(t, lane, v, bytes, fn), widen ? bits * 2 : bits);
    return true;
}

#define ACROSS(name, fn, widen, u)                                                                 \
    bool tr_##name(struct tr *t, const struct arg_v *a)                                            \
    {                                                                                              \
        return across(t, a, fn, widen, u);                                                         \
    }
ACROSS(saddlv, vec_add, true, false)
ACROSS(uaddlv, vec_add, true, true)
ACROSS(addv, vec_add, false, false)
ACROSS(smaxv, vec_smax, false, false)
ACROSS(umaxv, vec_umax, false, true)
ACROSS(sminv, vec_smin, false, false)
ACROSS(uminv, vec_umin, false, true)
