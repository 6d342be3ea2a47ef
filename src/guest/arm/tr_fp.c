/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A64 scalar floating point: arithmetic, compares, selects, moves. Conversions: tr_fp_cvt.c.
 */
#include "guest/arm/tr_vec.h"

/* ptype. False: reserved, or halves without the feature. */
static bool size_of(const struct tr *t, int ty, enum fp_size *ret)
{
    static const uint8_t sizes[4] = { FP_S, FP_D, 0, FP_H };

    *ret = (enum fp_size)sizes[ty];
    return ty != 2 && fp_has(t, *ret);
}

/* ---- arithmetic: the result's zeros above come from the first operand ---- */

static bool two(struct tr *t, const struct arg_f2 *a, enum fp_op op)
{
    enum fp_size s;

    if (!size_of(t, a->ty, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_set(
        t, a->rd,
        fp_lanes(t, op, s, 1, vec_get(t, a->rn, fp_bits(s)), tr_v(t, (unsigned)a->rm), IR_NO_VAL),
        fp_bits(s));
    return true;
}

#define TWO(name, op)                                                                              \
    bool tr_##name##_s(struct tr *t, const struct arg_f2 *a)                                       \
    {                                                                                              \
        return two(t, a, FPO_##op);                                                                \
    }
TWO(fmul, MUL)
TWO(fdiv, DIV)
TWO(fadd, ADD)
TWO(fsub, SUB)
TWO(fmax, MAX)
TWO(fmin, MIN)
TWO(fmaxnm, MAXNM)
TWO(fminnm, MINNM)
TWO(fnmul, NMUL)

static bool three(struct tr *t, const struct arg_f3 *a, enum fp_op op)
{
    enum fp_size s;
    unsigned bits;

    if (!size_of(t, a->ty, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    bits = fp_bits(s);
    vec_set(t, a->rd,
            fp_lanes(t, op, s, 1, vec_get(t, a->rn, bits), tr_v(t, (unsigned)a->rm),
                     tr_v(t, (unsigned)a->ra)),
            bits);
    return true;
}

#define THREE(name, op)                                                                            \
    bool tr_##name##_s(struct tr *t, const struct arg_f3 *a)                                       \
    {                                                                                              \
        return three(t, a, FPO_##op);                                                              \
    }
THREE(fmadd, FMA)
THREE(fmsub, FMS)
THREE(fnmadd, NMA)
THREE(fnmsub, NMS)

bool tr_fsqrt_s(struct tr *t, const struct arg_f1 *a)
{
    enum fp_size s;
    ir_val n;

    if (!size_of(t, a->ty, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    n = vec_get(t, a->rn, fp_bits(s));
    vec_set(t, a->rd, fp_lanes(t, FPO_SQRT, s, 1, n, n, n), fp_bits(s));
    return true;
}

static bool round_int(struct tr *t, const struct arg_f1 *a, enum fp_op op, enum fp_rmode mode)
{
    enum fp_size s;

    if (!size_of(t, a->ty, &s) || (s == FP_H && op >= FPO_RINT32))
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_set(t, a->rd, fp_rint(t, op, s, 1, vec_get(t, a->rn, fp_bits(s)), mode), fp_bits(s));
    return true;
}

#define ROUND(name, op, mode)                                                                      \
    bool tr_##name##_s(struct tr *t, const struct arg_f1 *a)                                       \
    {                                                                                              \
        return round_int(t, a, FPO_##op, mode);                                                    \
    }
ROUND(frintn, RINT, FP_RN)
ROUND(frintp, RINT, FP_RP)
ROUND(frintm, RINT, FP_RM)
ROUND(frintz, RINT, FP_RZ)
ROUND(frinta, RINT, FP_TIEAWAY)
ROUND(frinti, RINT, fp_mode(t))
ROUND(frintx, RINTX, fp_mode(t))
ROUND(frint32z, RINT32, FP_RZ)
ROUND(frint32x, RINT32, fp_mode(t))
ROUND(frint64z, RINT64, FP_RZ)
ROUND(frint64x, RINT64, fp_mode(t))

/* ---- moves: bits, no flags ---- */

enum bits_op { BITS_MOV, BITS_ABS, BITS_NEG };

static bool move_bits(struct tr *t, const struct arg_f1 *a, enum bits_op op)
{
    enum fp_size s;
    ir_val v;

    if (!size_of(t, a->ty, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    v = tr_v(t, (unsigned)a->rn);
    if (op == BITS_ABS)
        v = vec_and(t, v, ir_vconst(t->b, ~fp_sign_bit(s)));
    if (op == BITS_NEG)
        v = vec_xor(t, v, ir_vconst(t->b, fp_sign_bit(s)));
    vec_set(t, a->rd, v, fp_bits(s));
    return true;
}

bool tr_fmov_s(struct tr *t, const struct arg_f1 *a)
{
    return move_bits(t, a, BITS_MOV);
}

bool tr_fabs_s(struct tr *t, const struct arg_f1 *a)
{
    return move_bits(t, a, BITS_ABS);
}

bool tr_fneg_s(struct tr *t, const struct arg_f1 *a)
{
    return move_bits(t, a, BITS_NEG);
}

bool tr_fmov_imm(struct tr *t, const struct arg_fimm *a)
{
    enum fp_size s;

    if (!size_of(t, a->ty, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    tr_set_v(t, (unsigned)a->rd,
             vec_1(t, IR_VFROMI, 0, tr_c64(t, (int64_t)fp_bits_of_imm8(s, (unsigned)a->imm)), 0));
    return true;
}

/* The general register's width must be the FP one's; a half goes with both. */
static bool move_size(const struct tr *t, const struct arg_fint *a, enum fp_size *ret)
{
    return size_of(t, a->ty, ret) && (*ret == FP_H || (*ret == FP_D) == (a->sf != 0));
}

bool tr_fmov_to_int(struct tr *t, const struct arg_fint *a)
{
    enum fp_size s;
    ir_val v;

    if (!move_size(t, a, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    v = ir_vtoi(t->b, tr_type(a->sf), tr_v(t, (unsigned)a->rn));
    tr_set_reg(t, a->sf, (unsigned)a->rd, s == FP_H ? ir_andi(t->b, v, 0xffff) : v);
    return true;
}

bool tr_fmov_of_int(struct tr *t, const struct arg_fint *a)
{
    enum fp_size s;
    ir_val v;

    if (!move_size(t, a, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    v = tr_reg(t, a->sf, (unsigned)a->rn);
    if (s == FP_H)
        v = ir_andi(t->b, v, 0xffff);
    tr_set_v(t, (unsigned)a->rd, vec_1(t, IR_VFROMI, 0, v, 0));
    return true;
}

bool tr_fmov_to_top(struct tr *t, const struct arg_fint *a)
{
    if (!tr_fp_check(t))
        return true;
    tr_set_reg(t, true, (unsigned)a->rd,
               vec_1(t, IR_VEXTRACT, IR_I64, tr_v(t, (unsigned)a->rn), 1));
    return true;
}

bool tr_fmov_of_top(struct tr *t, const struct arg_fint *a)
{
    if (!tr_fp_check(t))
        return true;
    tr_set_v(t, (unsigned)a->rd,
             ir_vop2(t->b, IR_VINSERT, IR_I64, tr_v(t, (unsigned)a->rd),
                     tr_reg(t, true, (unsigned)a->rn), 1));
    return true;
}

/* ---- compares ---- */

static uint64_t do_compare(struct cpu *cpu, const union ir_v128 *n, const union ir_v128 *m,
                           uint64_t desc)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };
    enum fp_size s = (enum fp_size)(desc & 3);
    uint64_t mask = s == FP_D ? ~0ull : BIT(fp_bits(s)) - 1;
    unsigned nzcv = fp_compare(&e, s, n->u64[0] & mask, m->u64[0] & mask, desc & 4);

    x->fpsr_soft |= e.flags;
    return (uint64_t)nzcv << 28;
}
static const struct helper h_compare = { "a64_fcmp", (helper_fn *)do_compare, "i32 v128 v128 i32",
                                         HELPER_NO_RAISE };

/* Sets the flags where asked (i64 0 or 1, or IR_NO_VAL: always), else to otherwise. */
static void compare_flags(struct tr *t, enum fp_size s, ir_val n, ir_val m, bool signals,
                          ir_val asked, unsigned otherwise)
{
    unsigned op = A64_CC_FCOM;
    ir_val v, mask;

    if (asked) { /* no flag for what is not compared */
        mask = vec_1(t, IR_VFROMI, 0, ir_neg(t->b, asked), 0);
        n = vec_and(t, n, mask);
        m = vec_and(t, m, mask);
    }
    if (s == FP_H || fp_exact(t)) {
        v = tr_call(t, &h_compare, n, m, tr_c32(t, (int)s | signals << 2), IR_NO_VAL);
        op = A64_CC_NZCV;
    } else {
        v = ir_vop2(t->b, IR_VFCOM, (s == FP_D ? IR_F64 : IR_F32) | IR_SCALAR, n, m, signals);
    }
    if (asked)
        op |= A64_CC_COND | otherwise << A64_CC_ELSE;
    tr_cc(t, op, v, IR_NO_VAL, asked);
}

static bool compare(struct tr *t, const struct arg_f2c *a, bool zero, bool signals)
{
    enum fp_size s;

    if (!size_of(t, a->ty, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    compare_flags(t, s, tr_v(t, (unsigned)a->rn), zero ? vec_zero(t) : tr_v(t, (unsigned)a->rm),
                  signals, IR_NO_VAL, 0);
    return true;
}

bool tr_fcmp(struct tr *t, const struct arg_f2c *a)
{
    return compare(t, a, false, false);
}

bool tr_fcmp0(struct tr *t, const struct arg_f2c *a)
{
    return compare(t, a, true, false);
}

bool tr_fcmpe(struct tr *t, const struct arg_f2c *a)
{
    return compare(t, a, false, true);
}

bool tr_fcmpe0(struct tr *t, const struct arg_f2c *a)
{
    return compare(t, a, true, true);
}

bool tr_fccmp(struct tr *t, const struct arg_fcc *a)
{
    ir_val asked = IR_NO_VAL, x, y;
    enum ir_cond cond;
    enum fp_size s;

    if (!size_of(t, a->ty, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    if (a->cond < 14) {
        tr_condition(t, (unsigned)a->cond, &cond, &x, &y);
        asked = ir_setcond(t->b, IR_I64, cond, x, y);
    }
    compare_flags(t, s, tr_v(t, (unsigned)a->rn), tr_v(t, (unsigned)a->rm), a->e, asked,
                  (unsigned)a->nzcv);
    return true;
}

bool tr_fcsel(struct tr *t, const struct arg_fsel *a)
{
    enum ir_type type;
    enum fp_size s;
    ir_val v;

    if (!size_of(t, a->ty, &s))
        return false;
    if (!tr_fp_check(t))
        return true;
    type = s == FP_D ? IR_I64 : IR_I32;
    v = tr_cond_select(t, (unsigned)a->cond, ir_vtoi(t->b, type, tr_v(t, (unsigned)a->rn)),
                       ir_vtoi(t->b, type, tr_v(t, (unsigned)a->rm)));
    if (s == FP_H)
        v = ir_andi(t->b, v, 0xffff);
    tr_set_v(t, (unsigned)a->rd, vec_1(t, IR_VFROMI, 0, v, 0));
    return true;
}
