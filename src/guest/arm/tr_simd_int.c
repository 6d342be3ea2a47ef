/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Advanced SIMD on integers, operands and result of one shape.
 *
 * A scalar is one lane with zeros above; most operations on zero lanes give zero, and saturate
 * nothing, so scalars and 64-bit vectors are the 128-bit operation on clean operands.
 */
#include "guest/arm/tr_simd.h"

void vec_saturated(struct tr *t, ir_val v)
{
    ir_put(t->b, A64_SLOT_FPSR_QC, vec_or(t, ir_get(t->b, A64_SLOT_FPSR_QC), v));
}

/* ---- lane operations ---- */

#define PLAIN(name, op)                                                                            \
    ir_val vec_##name(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)               \
    {                                                                                              \
        return vec_2(t, IR_##op, lane, n, m);                                                      \
    }
PLAIN(add, VADD)
PLAIN(sub, VSUB)
PLAIN(mul, VMUL)
PLAIN(smin, VMINS)
PLAIN(smax, VMAXS)
PLAIN(umin, VMINU)
PLAIN(umax, VMAXU)

static ir_val top(struct tr *t, enum ir_type lane) /* the sign bit in all lanes */
{
    return vec_const(t, lane, BIT(lane_bits(lane) - 1));
}

static ir_val sign_mask(struct tr *t, enum ir_type lane, ir_val v)
{
    return vec_1(t, IR_VSARI, lane, v, lane_bits(lane) - 1);
}

/* b's lanes where mask is all ones, else a's */
static ir_val blend(struct tr *t, ir_val mask, ir_val a, ir_val b)
{
    return ir_vop3(t->b, IR_VBLENDV, IR_I8, a, b, mask);
}

ir_val vec_mla(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_add(t, lane, d, vec_mul(t, lane, n, m, d), d);
}

ir_val vec_mls(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_sub(t, lane, d, vec_mul(t, lane, n, m, d), d);
}

ir_val vec_sabd(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_sub(t, lane, vec_smax(t, lane, n, m, d), vec_smin(t, lane, n, m, d), d);
}

ir_val vec_uabd(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_sub(t, lane, vec_umax(t, lane, n, m, d), vec_umin(t, lane, n, m, d), d);
}

static ir_val saba(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_add(t, lane, d, vec_sabd(t, lane, n, m, d), d);
}

static ir_val uaba(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_add(t, lane, d, vec_uabd(t, lane, n, m, d), d);
}

/* Halving: a + b = 2 (a & b) + (a ^ b) = 2 (a | b) - (a ^ b); a - b = (a ^ b) - 2 (~a & b). */
static ir_val shadd(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_add(t, lane, vec_and(t, n, m), vec_1(t, IR_VSARI, lane, vec_xor(t, n, m), 1), d);
}

static ir_val uhadd(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_add(t, lane, vec_and(t, n, m), vec_1(t, IR_VSHRI, lane, vec_xor(t, n, m), 1), d);
}

static ir_val srhadd(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_sub(t, lane, vec_or(t, n, m), vec_1(t, IR_VSARI, lane, vec_xor(t, n, m), 1), d);
}

static ir_val urhadd(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    if (lane <= IR_I16)
        return vec_2(t, IR_VAVGU, lane, n, m);
    return vec_sub(t, lane, vec_or(t, n, m), vec_1(t, IR_VSHRI, lane, vec_xor(t, n, m), 1), d);
}

static ir_val shsub(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_sub(t, lane, vec_1(t, IR_VSARI, lane, vec_xor(t, n, m), 1), vec_andn(t, n, m), d);
}

static ir_val uhsub(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_sub(t, lane, vec_1(t, IR_VSHRI, lane, vec_xor(t, n, m), 1), vec_andn(t, n, m), d);
}

static ir_val saturate(struct tr *t, enum ir_type lane, enum ir_op host, enum ir_op plain, ir_val n,
                       ir_val m)
{
    ir_val w = vec_2(t, plain, lane, n, m), r, over, limit;

    if (lane <= IR_I16) {
        r = vec_2(t, host, lane, n, m);
    } else { /* overflow where the result's sign is not what it must be */
        over = vec_xor(t, w, n);
        if (plain == IR_VADD)
            over = vec_andn(t, vec_xor(t, n, m), over);
        else
            over = vec_and(t, vec_xor(t, n, m), over);
        limit = vec_xor(t, sign_mask(t, lane, n), vec_const(t, lane, BIT(lane_bits(lane) - 1) - 1));
        r = ir_vop3(t->b, IR_VBLENDV, lane == IR_I32 ? IR_F32 : IR_F64, w, limit, over);
    }
    vec_saturated(t, vec_xor(t, r, w));
    return r;
}

ir_val vec_sqadd(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return saturate(t, lane, IR_VADDSS, IR_VADD, n, m);
}

ir_val vec_sqsub(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return saturate(t, lane, IR_VSUBSS, IR_VSUB, n, m);
}

ir_val vec_uqadd(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    ir_val w = vec_2(t, IR_VADD, lane, n, m), over = vec_2(t, IR_VCMPGTU, lane, n, w);

    vec_saturated(t, over);
    return vec_or(t, w, over);
}

ir_val vec_uqsub(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    ir_val under = vec_2(t, IR_VCMPGTU, lane, m, n);

    vec_saturated(t, under);
    return vec_andn(t, under, vec_2(t, IR_VSUB, lane, n, m));
}

static ir_val cmgt(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VCMPGT, lane, n, m);
}

static ir_val cmge(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_not(t, vec_2(t, IR_VCMPGT, lane, m, n));
}

static ir_val cmhi(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VCMPGTU, lane, n, m);
}

static ir_val cmhs(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    if (lane <= IR_I32)
        return vec_2(t, IR_VCMPEQ, lane, vec_2(t, IR_VMAXU, lane, n, m), n);
    return vec_not(t, vec_2(t, IR_VCMPGTU, lane, m, n));
}

static ir_val cmeq(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VCMPEQ, lane, n, m);
}

static ir_val cmtst(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_not(t, vec_2(t, IR_VCMPEQ, lane, vec_and(t, n, m), vec_zero(t)));
}

static ir_val pmul(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_help(t, SO_PMUL, 0, n, m, m);
}

/* Count: the low byte of m's lane, signed. A count that is negative is huge as unsigned. */
static ir_val shift_count(struct tr *t, enum ir_type lane, ir_val m)
{
    unsigned k = lane_bits(lane) - 8;

    return vec_1(t, IR_VSARI, lane, vec_1(t, IR_VSHLI, lane, m, k), k);
}

static ir_val ushl(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    ir_val k = shift_count(t, lane, m), neg = vec_2(t, IR_VSUB, lane, vec_zero(t), k);

    return vec_or(t, vec_2(t, IR_VSHLVV, lane, n, k), vec_2(t, IR_VSHRVV, lane, n, neg));
}

static ir_val sshl(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    ir_val k = shift_count(t, lane, m), neg = vec_2(t, IR_VSUB, lane, vec_zero(t), k);

    return blend(t, sign_mask(t, lane, k), vec_2(t, IR_VSHLVV, lane, n, k),
                 vec_2(t, IR_VSARVV, lane, n, neg));
}

#define BY_HELPER(name, op)                                                                        \
    static ir_val name(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)              \
    {                                                                                              \
        return vec_help(t, SO_##op, lane - IR_I8, n, m, d);                                        \
    }
BY_HELPER(srshl, SRSHL)
BY_HELPER(urshl, URSHL)
BY_HELPER(sqshl, SQSHL)
BY_HELPER(uqshl, UQSHL)
BY_HELPER(sqrshl, SQRSHL)
BY_HELPER(uqrshl, UQRSHL)
BY_HELPER(suqadd, SUQADD)
BY_HELPER(usqadd, USQADD)
BY_HELPER(cls, CLS)
BY_HELPER(clz, CLZ)
BY_HELPER(rbit, RBIT)
BY_HELPER(urecpe, URECPE)
BY_HELPER(ursqrte, URSQRTE)

ir_val vec_sqrdmlah(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_help(t, SO_SQRDMLAH, lane - IR_I8, n, m, d);
}

ir_val vec_sqrdmlsh(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_help(t, SO_SQRDMLSH, lane - IR_I8, n, m, d);
}

/* The doubled product's high half; it is the minimum only for minimum times minimum. */
static ir_val double_high(struct tr *t, enum ir_type lane, ir_val n, ir_val m, bool rounds)
{
    ir_val r, p0, p1, max;

    if (lane == IR_I16 && rounds) {
        r = vec_2(t, IR_VMULHRS, lane, n, m);
    } else if (lane == IR_I16) {
        r = vec_2(t, IR_VADD, lane, vec_1(t, IR_VSHLI, lane, vec_2(t, IR_VMULHS, lane, n, m), 1),
                  vec_1(t, IR_VSHRI, lane, vec_2(t, IR_VMUL, lane, n, m), 15));
    } else {
        p0 = vec_2(t, IR_VMULWS, IR_I32, n, m);
        p1 = vec_2(t, IR_VMULWS, IR_I32, vec_1(t, IR_VSHRI, IR_I64, n, 32),
                   vec_1(t, IR_VSHRI, IR_I64, m, 32));
        if (rounds) {
            p0 = vec_2(t, IR_VADD, IR_I64, p0, ir_vconst(t->b, BIT(30)));
            p1 = vec_2(t, IR_VADD, IR_I64, p1, ir_vconst(t->b, BIT(30)));
        }
        r = vec_or(
            t, vec_and(t, vec_1(t, IR_VSHRI, IR_I64, p0, 31), ir_vconst(t->b, 0xffffffff)),
            vec_and(t, vec_1(t, IR_VSHLI, IR_I64, p1, 1), ir_vconst(t->b, 0xffffffff00000000)));
    }
    max = vec_2(t, IR_VCMPEQ, lane, r, top(t, lane));
    vec_saturated(t, max);
    return vec_xor(t, r, max);
}

ir_val vec_sqdmulh(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return double_high(t, lane, n, m, false);
}

ir_val vec_sqrdmulh(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return double_high(t, lane, n, m, true);
}

/* Sums of four byte products: pairs by pmaddwd, then pairs of those. */
static ir_val dot(struct tr *t, enum ir_op widen, ir_val n, ir_val m, ir_val d)
{
    ir_val nh = vec_1(t, IR_VBSHR, IR_I8, n, 8), mh = vec_1(t, IR_VBSHR, IR_I8, m, 8);
    ir_val lo = vec_2(t, IR_VMADD, IR_I16, vec_1(t, widen, IR_I8, n, IR_I16),
                      vec_1(t, widen, IR_I8, m, IR_I16));
    ir_val hi = vec_2(t, IR_VMADD, IR_I16, vec_1(t, widen, IR_I8, nh, IR_I16),
                      vec_1(t, widen, IR_I8, mh, IR_I16));

    return vec_2(t, IR_VADD, IR_I32, d, vec_2(t, IR_VHADD, IR_I32, lo, hi));
}

ir_val vec_sdot(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return dot(t, IR_VEXTENDS, n, m, d);
}

ir_val vec_udot(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return dot(t, IR_VEXTENDU, n, m, d);
}

/* ---- three registers ---- */

enum { CLEAN = 16 }; /* the operands need zeros above */

static bool three(struct tr *t, const struct arg_v *a, vec_fn *fn, unsigned sizes)
{
    unsigned bits = vec_width(a), get = a->sc || sizes & CLEAN ? bits : 128;

    if (!(sizes >> a->size & 1) || (a->size == 3 && !a->q && !a->sc))
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_set(t, a->rd,
            fn(t, vec_int((unsigned)a->size), vec_get(t, a->rn, get), vec_get(t, a->rm, get),
               vec_get(t, a->rd, get)),
            bits);
    return true;
}

#define V(name, fn, sizes)                                                                         \
    bool tr_##name(struct tr *t, const struct arg_v *a)                                            \
    {                                                                                              \
        return three(t, a, fn, sizes);                                                             \
    }
V(shadd_v, shadd, SZ_BHS)
V(uhadd_v, uhadd, SZ_BHS)
V(srhadd_v, srhadd, SZ_BHS)
V(urhadd_v, urhadd, SZ_BHS)
V(shsub_v, shsub, SZ_BHS)
V(uhsub_v, uhsub, SZ_BHS)
V(sqadd_v, vec_sqadd, SZ_ALL | CLEAN)
V(sqadd_vs, vec_sqadd, SZ_ALL)
V(uqadd_v, vec_uqadd, SZ_ALL | CLEAN)
V(uqadd_vs, vec_uqadd, SZ_ALL)
V(sqsub_v, vec_sqsub, SZ_ALL | CLEAN)
V(sqsub_vs, vec_sqsub, SZ_ALL)
V(uqsub_v, vec_uqsub, SZ_ALL | CLEAN)
V(uqsub_vs, vec_uqsub, SZ_ALL)
V(cmgt_v, cmgt, SZ_ALL)
V(cmgt_vs, cmgt, SZ_D)
V(cmhi_v, cmhi, SZ_ALL)
V(cmhi_vs, cmhi, SZ_D)
V(cmge_v, cmge, SZ_ALL)
V(cmge_vs, cmge, SZ_D)
V(cmhs_v, cmhs, SZ_ALL)
V(cmhs_vs, cmhs, SZ_D)
V(cmtst_v, cmtst, SZ_ALL)
V(cmtst_vs, cmtst, SZ_D)
V(cmeq_v, cmeq, SZ_ALL)
V(cmeq_vs, cmeq, SZ_D)
V(sshl_v, sshl, SZ_ALL)
V(sshl_vs, sshl, SZ_D)
V(ushl_v, ushl, SZ_ALL)
V(ushl_vs, ushl, SZ_D)
V(sqshl_v, sqshl, SZ_ALL | CLEAN)
V(sqshl_vs, sqshl, SZ_ALL)
V(uqshl_v, uqshl, SZ_ALL | CLEAN)
V(uqshl_vs, uqshl, SZ_ALL)
V(srshl_v, srshl, SZ_ALL)
V(srshl_vs, srshl, SZ_D)
V(urshl_v, urshl, SZ_ALL)
V(urshl_vs, urshl, SZ_D)
V(sqrshl_v, sqrshl, SZ_ALL | CLEAN)
V(sqrshl_vs, sqrshl, SZ_ALL)
V(uqrshl_v, uqrshl, SZ_ALL | CLEAN)
V(uqrshl_vs, uqrshl, SZ_ALL)
V(smax_v, vec_smax, SZ_BHS)
V(umax_v, vec_umax, SZ_BHS)
V(smin_v, vec_smin, SZ_BHS)
V(umin_v, vec_umin, SZ_BHS)
V(sabd_v, vec_sabd, SZ_BHS)
V(uabd_v, vec_uabd, SZ_BHS)
V(saba_v, saba, SZ_BHS)
V(uaba_v, uaba, SZ_BHS)
V(add_v, vec_add, SZ_ALL)
V(add_vs, vec_add, SZ_D)
V(sub_v, vec_sub, SZ_ALL)
V(sub_vs, vec_sub, SZ_D)
V(mla_v, vec_mla, SZ_BHS)
V(mls_v, vec_mls, SZ_BHS)
V(mul_v, vec_mul, SZ_BHS)
V(pmul_v, pmul, SZ_B)
V(sqdmulh_v, vec_sqdmulh, SZ_HS | CLEAN)
V(sqdmulh_vs, vec_sqdmulh, SZ_HS)
V(sqrdmulh_v, vec_sqrdmulh, SZ_HS | CLEAN)
V(sqrdmulh_vs, vec_sqrdmulh, SZ_HS)
V(sqrdmlah_v, vec_sqrdmlah, SZ_HS | CLEAN)
V(sqrdmlah_vs, vec_sqrdmlah, SZ_HS)
V(sqrdmlsh_v, vec_sqrdmlsh, SZ_HS | CLEAN)
V(sqrdmlsh_vs, vec_sqrdmlsh, SZ_HS)
V(sdot_v, vec_sdot, SZ_S)
V(udot_v, vec_udot, SZ_S)

/* ---- bitwise ---- */

enum logic { L_AND, L_BIC, L_ORR, L_ORN, L_EOR, L_BSL, L_BIT, L_BIF };

static bool logic(struct tr *t, const struct arg_v *a, enum logic op)
{
    ir_val n, m, d, v;

    if (!tr_fp_check(t))
        return true;
    n = tr_v(t, (unsigned)a->rn);
    m = tr_v(t, (unsigned)a->rm);
    d = tr_v(t, (unsigned)a->rd);
    switch (op) {
    case L_AND: v = vec_and(t, n, m); break;
    case L_BIC: v = vec_andn(t, m, n); break;
    case L_ORR: v = vec_or(t, n, m); break;
    case L_ORN: v = vec_or(t, n, vec_not(t, m)); break;
    case L_EOR: v = vec_xor(t, n, m); break;
    case L_BSL: v = vec_xor(t, m, vec_and(t, vec_xor(t, m, n), d)); break;
    case L_BIT: v = vec_xor(t, d, vec_and(t, vec_xor(t, d, n), m)); break;
    default: v = vec_xor(t, d, vec_andn(t, m, vec_xor(t, d, n))); break;
    }
    vec_set(t, a->rd, v, a->q ? 128 : 64);
    return true;
}

#define LOGIC(name, op)                                                                            \
    bool tr_##name##_v(struct tr *t, const struct arg_v *a)                                        \
    {                                                                                              \
        return logic(t, a, op);                                                                    \
    }
LOGIC(and, L_AND)
LOGIC(bic, L_BIC)
LOGIC(orr, L_ORR)
LOGIC(orn, L_ORN)
LOGIC(eor, L_EOR)
LOGIC(bsl, L_BSL)
LOGIC(bit, L_BIT)
LOGIC(bif, L_BIF)

/* ---- pairs ---- */

void vec_pairs(struct tr *t, enum ir_type lane, bool q, ir_val n, ir_val m, ir_val *ret_even,
               ir_val *ret_odd)
{
    if (!q) {
        n = m = vec_low_pair(t, n, m);
        *ret_even = vec_zext(t, vec_2(t, IR_VUZP1, lane, n, m), 64);
        *ret_odd = vec_zext(t, vec_2(t, IR_VUZP2, lane, n, m), 64);
        return;
    }
    *ret_even = vec_2(t, IR_VUZP1, lane, n, m);
    *ret_odd = vec_2(t, IR_VUZP2, lane, n, m);
}

static bool pairwise(struct tr *t, const struct arg_v *a, vec_fn *fn, unsigned sizes)
{
    enum ir_type lane = vec_int((unsigned)a->size);
    ir_val even, odd;

    if (!(sizes >> a->size & 1) || (a->size == 3 && !a->q))
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_pairs(t, lane, a->q, tr_v(t, (unsigned)a->rn), tr_v(t, (unsigned)a->rm), &even, &odd);
    tr_set_v(t, (unsigned)a->rd, fn(t, lane, even, odd, even));
    return true;
}

#define PAIRWISE(name, fn, sizes)                                                                  \
    bool tr_##name##_v(struct tr *t, const struct arg_v *a)                                        \
    {                                                                                              \
        return pairwise(t, a, fn, sizes);                                                          \
    }
PAIRWISE(addp, vec_add, SZ_ALL)
PAIRWISE(smaxp, vec_smax, SZ_BHS)
PAIRWISE(umaxp, vec_umax, SZ_BHS)
PAIRWISE(sminp, vec_smin, SZ_BHS)
PAIRWISE(uminp, vec_umin, SZ_BHS)

bool tr_addp_vs(struct tr *t, const struct arg_v *a)
{
    ir_val n;

    if (!tr_fp_check(t))
        return true;
    n = tr_v(t, (unsigned)a->rn);
    vec_set(t, a->rd, vec_2(t, IR_VADD, IR_I64, n, vec_2(t, IR_VUNPCKH, IR_I64, n, n)), 64);
    return true;
}

/* ---- two registers ---- */

static ir_val sqneg(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_sqsub(t, lane, vec_zero(t), n, d);
}

static ir_val sqabs(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    ir_val sign = sign_mask(t, lane, n);
    ir_val r = vec_sub(t, lane, vec_xor(t, n, sign), sign, d);
    ir_val min = vec_2(t, IR_VCMPEQ, lane, r, top(t, lane));

    vec_saturated(t, min);
    return vec_xor(t, r, min);
}

static ir_val neg(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VSUB, lane, vec_zero(t), n);
}

static ir_val absolute(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    ir_val sign;

    if (lane <= IR_I32)
        return vec_1(t, IR_VABS, lane, n, 0);
    sign = sign_mask(t, lane, n);
    return vec_sub(t, lane, vec_xor(t, n, sign), sign, d);
}

static ir_val cmgt0(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VCMPGT, lane, n, vec_zero(t));
}

static ir_val cmge0(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_not(t, vec_2(t, IR_VCMPGT, lane, vec_zero(t), n));
}

static ir_val cmeq0(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VCMPEQ, lane, n, vec_zero(t));
}

static ir_val cmle0(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_not(t, vec_2(t, IR_VCMPGT, lane, n, vec_zero(t)));
}

static ir_val cmlt0(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_2(t, IR_VCMPGT, lane, vec_zero(t), n);
}

static ir_val cnt(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_1(t, IR_VPOPCNT, IR_I8, n, 0);
}

static ir_val not_fn(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_not(t, n);
}

static ir_val rev64(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_1(t, IR_VREV, lane, n, 3);
}

static ir_val rev32(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_1(t, IR_VREV, lane, n, 2);
}

static ir_val rev16(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d)
{
    return vec_1(t, IR_VREV, lane, n, 1);
}

/* The operand fields are rn and rd alone; rm is part of the opcode. */
static bool two(struct tr *t, const struct arg_v *a, vec_fn *fn, unsigned sizes)
{
    struct arg_v b = *a;

    b.rm = a->rn;
    return three(t, &b, fn, sizes);
}

#define W(name, fn, sizes)                                                                         \
    bool tr_##name(struct tr *t, const struct arg_v *a)                                            \
    {                                                                                              \
        return two(t, a, fn, sizes);                                                               \
    }
W(rev64_v, rev64, SZ_BHS)
W(rev32_v, rev32, SZ_B | SZ_H)
W(rev16_v, rev16, SZ_B)
W(suqadd_v, suqadd, SZ_ALL | CLEAN)
W(suqadd_vs, suqadd, SZ_ALL)
W(usqadd_v, usqadd, SZ_ALL | CLEAN)
W(usqadd_vs, usqadd, SZ_ALL)
W(cls_v, cls, SZ_BHS)
W(clz_v, clz, SZ_BHS)
W(cnt_v, cnt, SZ_B)
W(not_v, not_fn, SZ_B)
W(rbit_v, rbit, SZ_H) /* bytes, in spite of its size field */
W(sqabs_v, sqabs, SZ_ALL | CLEAN)
W(sqabs_vs, sqabs, SZ_ALL)
W(sqneg_v, sqneg, SZ_ALL | CLEAN)
W(sqneg_vs, sqneg, SZ_ALL)
W(cmgt0_v, cmgt0, SZ_ALL)
W(cmgt0_vs, cmgt0, SZ_D)
W(cmge0_v, cmge0, SZ_ALL)
W(cmge0_vs, cmge0, SZ_D)
W(cmeq0_v, cmeq0, SZ_ALL)
W(cmeq0_vs, cmeq0, SZ_D)
W(cmle0_v, cmle0, SZ_ALL)
W(cmle0_vs, cmle0, SZ_D)
W(cmlt0_v, cmlt0, SZ_ALL)
W(cmlt0_vs, cmlt0, SZ_D)
W(abs_v, absolute, SZ_ALL)
W(abs_vs, absolute, SZ_D)
W(neg_v, neg, SZ_ALL)
W(neg_vs, neg, SZ_D)
W(urecpe_v, urecpe, SZ_S)
W(ursqrte_v, ursqrte, SZ_S)
