/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * F and D: registers, arithmetic, sign injection, minimum and maximum, comparison, classes. The
 * host's scalar operations do the work in the guest's rounding mode, collecting its flags; NaNs
 * become canonical behind a test that branches away. Lane 1 of a single's value is all ones, which
 * operations on lane 0 leave there.
 */
#include <math.h>

#include "guest/riscv/tr_fp.h"

enum { CANONICAL_S = 0x7fc00000 };
#define CANONICAL_D UINT64_C(0x7ff8000000000000)
#define BOX_S       UINT64_C(0xffffffff00000000)

/* ---- rounding modes ---- */

int rv_effective_rm(const struct tr *t, int rm)
{
    int mode = rm == RV_DYN ? t->frm : rm;

    return mode > RV_RMM ? RV_RM_BAD : mode;
}

/* ---- registers ---- */

static uint64_t do_unbox(void *cpu, const union ir_v128 *v)
{
    (void)v;
    return BOX_S | CANONICAL_S;
}

static const struct helper h_unbox = { "rv_unbox", (helper_fn *)do_unbox, "i64 v128", HELPER_PURE };

void rv_expect(struct tr *t, int sz, uint32_t regs)
{
    if (sz == 3)
        return;
    for (regs &= ~t->boxed; regs; regs &= regs - 1)
        if (!rv_check_boxed(t, (unsigned)__builtin_ctz(regs)))
            return;
}

ir_val rv_f(struct tr *t, unsigned n, int sz)
{
    ir_val v = ir_get(t->b, RV_SLOT_F + n), bits;

    if (sz == 3 || t->boxed >> n & 1)
        return v;
    bits = ir_fix(t->b, IR_LTU, ir_vtoi(t->b, IR_I64, v), (int64_t)BOX_S, &h_unbox, v, IR_NO_VAL);
    return ir_vop1(t->b, IR_VFROMI, 0, bits, 0);
}

ir_val rv_f_bits(struct tr *t, unsigned n)
{
    return ir_vtoi(t->b, IR_I64, ir_get(t->b, RV_SLOT_F + n));
}

void rv_set_f(struct tr *t, unsigned n, int sz, ir_val v)
{
    ir_put(t->b, RV_SLOT_F + n, v);
    if (sz == 3)
        t->boxed &= ~(1u << n);
    else
        t->boxed |= 1u << n;
}

void rv_set_f_bits(struct tr *t, unsigned n, int sz, ir_val bits)
{
    rv_set_f(t, n, sz, ir_vop1(t->b, IR_VFROMI, 0, bits, 0));
}

ir_val rv_canonical(struct tr *t, int sz, ir_val v)
{
    return ir_vop1(t->b, IR_VFCANON, rv_lane(sz), v, sz == 3 ? (int64_t)CANONICAL_D : CANONICAL_S);
}

ir_val rv_ones(struct tr *t)
{
    return ir_vconst(t->b, (uint64_t)-1);
}

ir_val rv_soft_call(struct tr *t, int64_t desc, ir_val a, ir_val b, ir_val c)
{
    ir_val zero = rv_c64(t, 0);

    return ir_call(t->b, &rv_h_soft, ir_const(t->b, IR_I32, desc), a, b ? b : zero, c ? c : zero);
}

/* ---- loads and stores ---- */

bool tr_fload(struct tr *t, const struct arg_ld *a)
{
    ir_val addr = rv_x(t, a->rs1), v;

    if (a->sz == 1) {
        v = ir_ld(t->b, IR_I64, addr, a->imm, 1);
        rv_set_f_bits(t, a->rd, 1, ir_ori(t->b, v, ~INT64_C(0xffff)));
        return true;
    }
    v = ir_ld(t->b, IR_V128, addr, a->imm, (unsigned)a->sz);
    if (a->sz == 2)
        v = ir_vop2(t->b, IR_VMERGELO, IR_F32, rv_ones(t), v, 0);
    rv_set_f(t, a->rd, a->sz, v);
    return true;
}

bool tr_fstore(struct tr *t, const struct arg_st *a)
{
    ir_val v = a->sz == 1 ? rv_f_bits(t, a->rs2) : ir_get(t->b, RV_SLOT_F + a->rs2);

    ir_st(t->b, rv_x(t, a->rs1), a->imm, v, (unsigned)a->sz);
    return true;
}

/* ---- arithmetic ---- */

bool tr_farith(struct tr *t, const struct arg_fp2 *a)
{
    static const uint16_t ops[] = { IR_VFADD, IR_VFSUB, IR_VFMUL, IR_VFDIV };
    int mode = rv_effective_rm(t, a->rm);
    ir_val v;

    if (mode == RV_RM_BAD)
        return false;
    if (!rv_host_rounds(t, mode)) {
        int64_t desc = rv_soft_desc((enum rv_soft)(RV_SOFT_ADD + a->op), a->sz, (unsigned)mode, 0);

        v = rv_soft_call(t, desc, rv_f_bits(t, a->rs1), rv_f_bits(t, a->rs2), IR_NO_VAL);
        rv_set_f_bits(t, a->rd, a->sz, v);
        return true;
    }
    rv_expect(t, a->sz, 1u << a->rs1 | 1u << a->rs2);
    v = ir_vop2(t->b, (enum ir_op)ops[a->op], rv_lane(a->sz), rv_f(t, a->rs1, a->sz),
                rv_f(t, a->rs2, a->sz), 0);
    rv_set_f(t, a->rd, a->sz, rv_canonical(t, a->sz, v));
    return true;
}

bool tr_fsqrt(struct tr *t, const struct arg_fp1 *a)
{
    int mode = rv_effective_rm(t, a->rm);
    ir_val v;

    if (mode == RV_RM_BAD)
        return false;
    if (!rv_host_rounds(t, mode)) {
        v = rv_soft_call(t, rv_soft_desc(RV_SOFT_SQRT, a->sz, (unsigned)mode, 0),
                         rv_f_bits(t, a->rs1), IR_NO_VAL, IR_NO_VAL);
        rv_set_f_bits(t, a->rd, a->sz, v);
        return true;
    }
    rv_expect(t, a->sz, 1u << a->rs1);
    v = rv_f(t, a->rs1, a->sz);
    v = ir_vop2(t->b, IR_VFSQRT, rv_lane(a->sz), v, v, 0);
    rv_set_f(t, a->rd, a->sz, rv_canonical(t, a->sz, v));
    return true;
}

/* The product inf * 0 is invalid even when the addend is a quiet NaN, which the host does not say.
 * Raises it by multiplying again, in the guest's FP environment. */
static void do_fix_fma_d(void *cpu, union ir_v128 *ret, const union ir_v128 *v,
                         const union ir_v128 *a, const union ir_v128 *b)
{
    volatile double x = a->f64[0], y = b->f64[0];

    *ret = *v;
    ret->u64[0] = CANONICAL_D;
    if ((isinf(x) && y == 0) || (isinf(y) && x == 0))
        x = x * y;
    (void)cpu;
}

static void do_fix_fma_s(void *cpu, union ir_v128 *ret, const union ir_v128 *v,
                         const union ir_v128 *a, const union ir_v128 *b)
{
    volatile float x = a->f32[0], y = b->f32[0];

    *ret = *v;
    ret->u32[0] = CANONICAL_S;
    if ((isinf(x) && y == 0) || (isinf(y) && x == 0))
        x = x * y;
    (void)cpu;
}

static const struct helper h_fix_fma_d = { "rv_fix_fma_d", (helper_fn *)do_fix_fma_d,
                                           "v128 v128 v128 v128", HELPER_PURE };
static const struct helper h_fix_fma_s = { "rv_fix_fma_s", (helper_fn *)do_fix_fma_s,
                                           "v128 v128 v128 v128", HELPER_PURE };

bool tr_fmadd(struct tr *t, const struct arg_fp4 *a)
{
    int mode = rv_effective_rm(t, a->rm);
    ir_val x, y, z, v;

    if (mode == RV_RM_BAD)
        return false;
    if (!rv_host_rounds(t, mode)) {
        v = rv_soft_call(t, rv_soft_desc(RV_SOFT_FMA, a->sz, (unsigned)mode, (unsigned)a->op),
                         rv_f_bits(t, a->rs1), rv_f_bits(t, a->rs2), rv_f_bits(t, a->rs3));
        rv_set_f_bits(t, a->rd, a->sz, v);
        return true;
    }
    rv_expect(t, a->sz, 1u << a->rs1 | 1u << a->rs2 | 1u << a->rs3);
    x = rv_f(t, a->rs1, a->sz);
    y = rv_f(t, a->rs2, a->sz);
    z = rv_f(t, a->rs3, a->sz);
    v = ir_vfmadd(t->b, rv_lane(a->sz), x, y, z, (unsigned)a->op);
    v = ir_vfix(t->b, rv_lane(a->sz), a->sz == 3 ? &h_fix_fma_d : &h_fix_fma_s, v, x, y, IR_NO_VAL);
    rv_set_f(t, a->rd, a->sz, v);
    return true;
}

/* ---- signs ---- */

static ir_val sign_mask(struct tr *t, int sz)
{
    int64_t mask = sz == 3 ? INT64_MIN : INT64_C(0x80000000);

    return ir_vconst(t->b, (uint64_t)mask);
}

bool tr_fsgnj(struct tr *t, const struct arg_fp2 *a)
{
    enum { INJECT, NEGATED, XORED };
    ir_val x, y, mask, v;

    rv_expect(t, a->sz, 1u << a->rs1 | 1u << a->rs2);
    x = rv_f(t, a->rs1, a->sz);
    if (a->rs1 == a->rs2 && a->op == INJECT) { /* fmv */
        rv_set_f(t, a->rd, a->sz, x);
        return true;
    }
    mask = sign_mask(t, a->sz);
    if (a->rs1 == a->rs2) { /* fneg, fabs */
        v = a->op == NEGATED ? ir_vop2(t->b, IR_VXOR, 0, x, mask, 0)
                             : ir_vop2(t->b, IR_VANDN, 0, mask, x, 0);
    } else {
        y = ir_vop2(t->b, IR_VAND, 0, rv_f(t, a->rs2, a->sz), mask, 0);
        if (a->op == NEGATED)
            y = ir_vop2(t->b, IR_VXOR, 0, y, mask, 0);
        v = a->op == XORED ? ir_vop2(t->b, IR_VXOR, 0, x, y, 0)
                           : ir_vop2(t->b, IR_VOR, 0, ir_vop2(t->b, IR_VANDN, 0, mask, x, 0), y, 0);
    }
    rv_set_f(t, a->rd, a->sz, v);
    return true;
}

/* ---- minimum, maximum, comparison, class ---- */

/* One operand is NaN: the other one, or the canonical NaN (IEEE 754-2019 minimumNumber). */
static void do_fix_min_d(void *cpu, union ir_v128 *ret, const union ir_v128 *v,
                         const union ir_v128 *a, const union ir_v128 *b)
{
    bool a_nan = (a->u64[0] & INT64_MAX) > UINT64_C(0x7ff0000000000000);
    bool b_nan = (b->u64[0] & INT64_MAX) > UINT64_C(0x7ff0000000000000);

    *ret = *v;
    ret->u64[0] = !a_nan ? a->u64[0] : !b_nan ? b->u64[0] : CANONICAL_D;
    (void)cpu;
}

static void do_fix_min_s(void *cpu, union ir_v128 *ret, const union ir_v128 *v,
                         const union ir_v128 *a, const union ir_v128 *b)
{
    bool a_nan = (a->u32[0] & INT32_MAX) > 0x7f800000;
    bool b_nan = (b->u32[0] & INT32_MAX) > 0x7f800000;

    *ret = *v;
    ret->u64[0] = BOX_S | (!a_nan ? a->u32[0] : !b_nan ? b->u32[0] : (uint32_t)CANONICAL_S);
    (void)cpu;
}

static const struct helper h_fix_min_d = { "rv_fix_min_d", (helper_fn *)do_fix_min_d,
                                           "v128 v128 v128 v128", HELPER_PURE };
static const struct helper h_fix_min_s = { "rv_fix_min_s", (helper_fn *)do_fix_min_s,
                                           "v128 v128 v128 v128", HELPER_PURE };

/* The bits in an order of signed integers, -0 below +0. */
static ir_val ordered(struct tr *t, ir_val v, int sz)
{
    ir_val sign = ir_sari(t->b, v, sz == 3 ? 63 : 31);

    return ir_xor(t->b, v, ir_shri(t->b, sign, 1));
}

bool tr_fminmax(struct tr *t, const struct arg_fp2 *a)
{
    enum ir_type type = a->sz == 3 ? IR_I64 : IR_I32;
    enum ir_cond first = a->op ? IR_GES : IR_LTS;
    enum { UNORDERED = 3 };
    ir_val x, y, xi, yi, v, nan;

    rv_expect(t, a->sz, 1u << a->rs1 | 1u << a->rs2);
    x = rv_f(t, a->rs1, a->sz);
    y = rv_f(t, a->rs2, a->sz);
    xi = ir_vtoi(t->b, type, x);
    yi = ir_vtoi(t->b, type, y);
    v = ir_select(t->b, first, ordered(t, xi, a->sz), ordered(t, yi, a->sz), xi, yi);
    nan = ir_vop2(t->b, IR_VFCMP, rv_lane(a->sz), x, y, UNORDERED);
    /* all ones, a NaN, when one is; for singles lane 1 of x comes along, all ones, too */
    v = ir_vop2(t->b, IR_VOR, 0, ir_vop1(t->b, IR_VFROMI, 0, v, 0), nan, 0);
    v = ir_vfix(t->b, rv_lane(a->sz), a->sz == 3 ? &h_fix_min_d : &h_fix_min_s, v, x, y, IR_NO_VAL);
    rv_set_f(t, a->rd, a->sz, v);
    return true;
}

/* feq is quiet, flt and fle signal on any NaN: as the host's predicates. */
/* A quiet comparison as C's isless(), sqrt() and fmin() have it: frflags xN; flt; fsflags xN. When
 * the operands are ordered, there are no flags to be undone; else it is done again, as written. */
static bool quiet_cmp(struct tr *t, const struct arg_fp2 *a)
{
    enum { FSFLAGS = 0x00101073, EQUAL = 64, UNORDERED = 4, LESS = 1 };
    ir_val c, r;

    if (!a->op || t->flags_pc != t->pc - 4 ||
        t->behind != (FSFLAGS | (uint32_t)t->flags_reg << 15) || a->rd == t->flags_reg ||
        t->req->max_insns == 1 || t->sides + 2 >= RV_SIDES)
        return false;
    c = ir_vop2(t->b, IR_VFCOM, rv_lane(a->sz), rv_f(t, a->rs1, a->sz), rv_f(t, a->rs2, a->sz), 0);
    r = ir_andi(t->b, c, a->op == 1 ? LESS : LESS | EQUAL);
    rv_set_x(t, a->rd, ir_setcondi(t->b, IR_I64, IR_NE, r, 0));
    rv_branch(t, IR_TST, c, ir_const(t->b, IR_I32, UNORDERED), t->pc);
    t->quiet_pc = t->pc + 4;
    return true;
}

bool tr_fcmp(struct tr *t, const struct arg_fp2 *a)
{
    ir_val v;

    rv_expect(t, a->sz, 1u << a->rs1 | 1u << a->rs2);
    if (quiet_cmp(t, a))
        return true;
    v = ir_vop2(t->b, IR_VFCMP, rv_lane(a->sz), rv_f(t, a->rs1, a->sz), rv_f(t, a->rs2, a->sz),
                a->op);
    rv_set_x(t, a->rd, ir_andi(t->b, ir_vtoi(t->b, IR_I64, v), 1));
    return true;
}

static uint64_t do_fclass(void *cpu, uint64_t v, uint64_t sz)
{
    unsigned frac_bits = (uint32_t)sz == 3 ? 52 : 23, top = (uint32_t)sz == 3 ? 63 : 31;
    bool sign;
    uint64_t exp, frac;

    (void)cpu;
    if ((uint32_t)sz == 2 && v < BOX_S)
        return BIT(9);
    sign = v >> top & 1;
    frac = v & (BIT(frac_bits) - 1);
    exp = v >> frac_bits & (BIT(top - frac_bits) - 1);
    if (exp == BIT(top - frac_bits) - 1)
        return frac ? (frac >> (frac_bits - 1) ? BIT(9) : BIT(8)) : sign ? BIT(0) : BIT(7);
    if (exp)
        return sign ? BIT(1) : BIT(6);
    return frac ? (sign ? BIT(2) : BIT(5)) : sign ? BIT(3) : BIT(4);
}

static const struct helper h_fclass = { "rv_fclass", (helper_fn *)do_fclass, "i64 i64 i32",
                                        HELPER_PURE };

bool tr_fclass(struct tr *t, const struct arg_fp2 *a)
{
    rv_set_x(t, a->rd,
             ir_call(t->b, &h_fclass, rv_f_bits(t, a->rs1), ir_const(t->b, IR_I32, a->sz),
                     IR_NO_VAL, IR_NO_VAL));
    return true;
}
