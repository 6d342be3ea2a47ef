/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A64 data processing with registers (C4.1.95), but for bits and CRC (tr_dp_bits.c). */
#include "guest/arm/insn.h"
#include "guest/arm/tr_int.h"

/* ---- add, subtract, logical ---- */

ir_val tr_add_flags(struct tr *t, bool sf, ir_val a, ir_val b)
{
    ir_val r;

    /* Adding a constant sets flags as subtracting its negation does, but for 0 and the minimum. */
    if (ir_is_const(t->b, b) && ir_const_value(t->b, b) > 0)
        return tr_sub_flags(t, sf, a, ir_const(t->b, tr_type(sf), -ir_const_value(t->b, b)));
    r = ir_add(t->b, a, b);
    tr_cc(t, A64_CC_ADD | sf, r, b, IR_NO_VAL);
    return r;
}

ir_val tr_sub_flags(struct tr *t, bool sf, ir_val a, ir_val b)
{
    ir_val r = ir_sub(t->b, a, b);

    if (ir_is_const(t->b, b) &&
        ir_const_value(t->b, b) == sext((uint64_t)ir_const_value(t->b, b), 20))
        tr_cc(t, A64_CC_SUB | A64_CC_IMM | sf | (unsigned)ir_const_value(t->b, b) << 12, a,
              IR_NO_VAL, IR_NO_VAL);
    else
        tr_cc(t, A64_CC_SUB | sf, a, b, IR_NO_VAL);
    return r;
}

/* Rm shifted: LSL, LSR, ASR, ROR. IR_NO_VAL: reserved. */
static ir_val shifted(struct tr *t, const struct arg_shifted *a)
{
    static const uint8_t ops[4] = { IR_SHL, IR_SHR, IR_SAR, IR_ROR };

    if (!a->sf && a->imm > 31)
        return IR_NO_VAL;
    return ir_op2i(t->b, ops[a->shift], tr_reg(t, a->sf, a->rm), a->imm);
}

static bool logical(struct tr *t, const struct arg_shifted *a, enum ir_op op, bool invert)
{
    ir_val m = shifted(t, a);

    if (!m)
        return false;
    if (op == IR_OR && a->rn == 31) { /* MOV, MVN */
        tr_set_reg(t, a->sf, a->rd, invert ? ir_not(t->b, m) : m);
        return true;
    }
    if (op == IR_AND && invert)
        m = ir_andc(t->b, tr_reg(t, a->sf, a->rn), m);
    else
        m = ir_op2(t->b, op, tr_reg(t, a->sf, a->rn), invert ? ir_not(t->b, m) : m);
    tr_set_reg(t, a->sf, a->rd, m);
    return true;
}

bool tr_and_reg(struct tr *t, const struct arg_shifted *a)
{
    return logical(t, a, IR_AND, false);
}

bool tr_bic_reg(struct tr *t, const struct arg_shifted *a)
{
    return logical(t, a, IR_AND, true);
}

bool tr_orr_reg(struct tr *t, const struct arg_shifted *a)
{
    return logical(t, a, IR_OR, false);
}

bool tr_orn_reg(struct tr *t, const struct arg_shifted *a)
{
    return logical(t, a, IR_OR, true);
}

bool tr_eor_reg(struct tr *t, const struct arg_shifted *a)
{
    return logical(t, a, IR_XOR, false);
}

bool tr_eon_reg(struct tr *t, const struct arg_shifted *a)
{
    return logical(t, a, IR_XOR, true);
}

static bool and_flags(struct tr *t, const struct arg_shifted *a, enum ir_op op)
{
    ir_val m = shifted(t, a);

    if (!m)
        return false;
    m = ir_op2(t->b, op, tr_reg(t, a->sf, a->rn), m);
    tr_set_reg(t, a->sf, a->rd, m);
    tr_cc(t, A64_CC_LOGIC | a->sf, m, IR_NO_VAL, IR_NO_VAL);
    return true;
}

bool tr_ands_reg(struct tr *t, const struct arg_shifted *a)
{
    return and_flags(t, a, IR_AND);
}

bool tr_bics_reg(struct tr *t, const struct arg_shifted *a)
{
    return and_flags(t, a, IR_ANDC);
}

bool tr_add_reg(struct tr *t, const struct arg_shifted *a)
{
    ir_val rn = tr_reg(t, a->sf, a->rn), m;

    if (a->shift == 3)
        return false;
    if (a->shift == 0 && a->imm <= 3) {
        m = ir_lea(t->b, rn, tr_reg(t, a->sf, a->rm), (unsigned)a->imm, 0);
    } else {
        m = shifted(t, a);
        if (!m)
            return false;
        m = ir_add(t->b, rn, m);
    }
    tr_set_reg(t, a->sf, a->rd, m);
    return true;
}

bool tr_sub_reg(struct tr *t, const struct arg_shifted *a)
{
    ir_val m = a->shift == 3 ? IR_NO_VAL : shifted(t, a);

    if (!m)
        return false;
    if (a->rn == 31)
        m = ir_neg(t->b, m);
    else
        m = ir_sub(t->b, tr_reg(t, a->sf, a->rn), m);
    tr_set_reg(t, a->sf, a->rd, m);
    return true;
}

bool tr_adds_reg(struct tr *t, const struct arg_shifted *a)
{
    ir_val m = a->shift == 3 ? IR_NO_VAL : shifted(t, a);

    if (!m)
        return false;
    tr_set_reg(t, a->sf, a->rd, tr_add_flags(t, a->sf, tr_reg(t, a->sf, a->rn), m));
    return true;
}

bool tr_subs_reg(struct tr *t, const struct arg_shifted *a)
{
    ir_val m = a->shift == 3 ? IR_NO_VAL : shifted(t, a);

    if (!m)
        return false;
    tr_set_reg(t, a->sf, a->rd, tr_sub_flags(t, a->sf, tr_reg(t, a->sf, a->rn), m));
    return true;
}

/* Rm extended, then shifted by 0..4. IR_NO_VAL: reserved. */
static ir_val extended(struct tr *t, const struct arg_ext *a)
{
    static const uint8_t narrow[4] = { IR_I8, IR_I16, IR_I32, IR_I64 };
    enum ir_type type = tr_type(a->sf), from = narrow[a->opt & 3];
    ir_val v;

    if (a->shift > 4)
        return IR_NO_VAL;
    if (from >= type)
        v = tr_reg(t, a->sf, a->rm);
    else if (a->rm == 31)
        v = ir_const(t->b, type, 0);
    else if (a->opt & 4)
        v = ir_sext(t->b, type, ir_get_low(t->b, A64_SLOT_X + (unsigned)a->rm, from));
    else
        v = ir_zext(t->b, type, ir_get_low(t->b, A64_SLOT_X + (unsigned)a->rm, from));
    return ir_shli(t->b, v, a->shift);
}

bool tr_add_ext(struct tr *t, const struct arg_ext *a)
{
    ir_val m = extended(t, a);

    if (!m)
        return false;
    tr_set_reg_sp(t, a->sf, a->rd, ir_add(t->b, tr_reg_sp(t, a->sf, a->rn), m));
    return true;
}

bool tr_sub_ext(struct tr *t, const struct arg_ext *a)
{
    ir_val m = extended(t, a);

    if (!m)
        return false;
    tr_set_reg_sp(t, a->sf, a->rd, ir_sub(t->b, tr_reg_sp(t, a->sf, a->rn), m));
    return true;
}

bool tr_adds_ext(struct tr *t, const struct arg_ext *a)
{
    ir_val m = extended(t, a);

    if (!m)
        return false;
    tr_set_reg(t, a->sf, a->rd, tr_add_flags(t, a->sf, tr_reg_sp(t, a->sf, a->rn), m));
    return true;
}

bool tr_subs_ext(struct tr *t, const struct arg_ext *a)
{
    ir_val m = extended(t, a);

    if (!m)
        return false;
    tr_set_reg(t, a->sf, a->rd, tr_sub_flags(t, a->sf, tr_reg_sp(t, a->sf, a->rn), m));
    return true;
}

/* Rn + Rm + C, Rm inverted for SBC. */
static bool add_carry(struct tr *t, const struct arg_rrr *a, bool invert, bool flags)
{
    enum ir_type type = tr_type(a->sf);
    ir_val carry = tr_carry(t, type), m = tr_reg(t, a->sf, a->rm), r;

    if (invert)
        m = ir_not(t->b, m);
    r = ir_add(t->b, ir_add(t->b, tr_reg(t, a->sf, a->rn), m), carry);
    tr_set_reg(t, a->sf, a->rd, r);
    if (flags)
        tr_cc(t, A64_CC_ADC | a->sf, r, m, carry);
    return true;
}

bool tr_adc(struct tr *t, const struct arg_rrr *a)
{
    return add_carry(t, a, false, false);
}

bool tr_adcs(struct tr *t, const struct arg_rrr *a)
{
    return add_carry(t, a, false, true);
}

bool tr_sbc(struct tr *t, const struct arg_rrr *a)
{
    return add_carry(t, a, true, false);
}

bool tr_sbcs(struct tr *t, const struct arg_rrr *a)
{
    return add_carry(t, a, true, true);
}

/* ---- conditions ---- */

/* Flags of a compare where the condition holds, else those of the instruction. */
static void compare_if(struct tr *t, bool sf, unsigned cond, unsigned nzcv, bool add, ir_val a,
                       ir_val b)
{
    ir_val asked = IR_NO_VAL, x, y;
    enum ir_cond c;
    unsigned op;

    if (cond < 14) {
        tr_condition(t, cond, &c, &x, &y);
        asked = ir_setcond(t->b, IR_I64, c, x, y);
    }
    if (add)
        tr_add_flags(t, sf, a, b);
    else
        tr_sub_flags(t, sf, a, b);
    if (!asked)
        return;
    op = t->cc | A64_CC_COND | nzcv << A64_CC_ELSE;
    ir_put(t->b, A64_SLOT_CC_C, asked);
    ir_put(t->b, A64_SLOT_CC_OP, tr_c32(t, (int32_t)op));
    t->cc = op;
}

static bool compare_reg(struct tr *t, const struct arg_ccr *a, bool add)
{
    compare_if(t, a->sf, (unsigned)a->cond, (unsigned)a->nzcv, add, tr_reg(t, a->sf, a->rn),
               tr_reg(t, a->sf, a->rm));
    return true;
}

static bool compare_imm(struct tr *t, const struct arg_cci *a, bool add)
{
    compare_if(t, a->sf, (unsigned)a->cond, (unsigned)a->nzcv, add, tr_reg(t, a->sf, a->rn),
               ir_const(t->b, tr_type(a->sf), a->imm));
    return true;
}

bool tr_ccmn_reg(struct tr *t, const struct arg_ccr *a)
{
    return compare_reg(t, a, true);
}

bool tr_ccmp_reg(struct tr *t, const struct arg_ccr *a)
{
    return compare_reg(t, a, false);
}

bool tr_ccmn_imm(struct tr *t, const struct arg_cci *a)
{
    return compare_imm(t, a, true);
}

bool tr_ccmp_imm(struct tr *t, const struct arg_cci *a)
{
    return compare_imm(t, a, false);
}

bool tr_csel(struct tr *t, const struct arg_csel *a)
{
    tr_set_reg(
        t, a->sf, a->rd,
        tr_cond_select(t, (unsigned)a->cond, tr_reg(t, a->sf, a->rn), tr_reg(t, a->sf, a->rm)));
    return true;
}

/* CSET and CSETM: 0 or 1 by the inverse of the condition. IR_NO_VAL: not these. */
static ir_val cond_bit(struct tr *t, const struct arg_csel *a)
{
    enum ir_cond c;
    ir_val x, y;

    if (a->rn != 31 || a->rm != 31 || a->cond >= 14)
        return IR_NO_VAL;
    tr_condition(t, (unsigned)a->cond ^ 1, &c, &x, &y);
    return ir_setcond(t->b, tr_type(a->sf), c, x, y);
}

bool tr_csinc(struct tr *t, const struct arg_csel *a)
{
    ir_val v = cond_bit(t, a);

    if (!v)
        v = tr_cond_select(t, (unsigned)a->cond, tr_reg(t, a->sf, a->rn),
                           ir_addi(t->b, tr_reg(t, a->sf, a->rm), 1));
    tr_set_reg(t, a->sf, a->rd, v);
    return true;
}

bool tr_csinv(struct tr *t, const struct arg_csel *a)
{
    ir_val v = cond_bit(t, a);

    if (v)
        v = ir_neg(t->b, v);
    else
        v = tr_cond_select(t, (unsigned)a->cond, tr_reg(t, a->sf, a->rn),
                           ir_not(t->b, tr_reg(t, a->sf, a->rm)));
    tr_set_reg(t, a->sf, a->rd, v);
    return true;
}

bool tr_csneg(struct tr *t, const struct arg_csel *a)
{
    ir_val n = tr_reg(t, a->sf, a->rn), m = ir_neg(t->b, tr_reg(t, a->sf, a->rm));

    tr_set_reg(t, a->sf, a->rd, tr_cond_select(t, (unsigned)a->cond, n, m));
    return true;
}

/* ---- multiply and divide ---- */

static bool multiply_add(struct tr *t, const struct arg_mul4 *a, ir_val n, ir_val m, bool minus)
{
    ir_val p = ir_mul(t->b, n, m);

    if (a->ra != 31)
        p = minus ? ir_sub(t->b, tr_reg(t, a->sf, a->ra), p)
                  : ir_add(t->b, tr_reg(t, a->sf, a->ra), p);
    else if (minus)
        p = ir_neg(t->b, p);
    tr_set_reg(t, a->sf, a->rd, p);
    return true;
}

bool tr_madd(struct tr *t, const struct arg_mul4 *a)
{
    return multiply_add(t, a, tr_reg(t, a->sf, a->rn), tr_reg(t, a->sf, a->rm), false);
}

bool tr_msub(struct tr *t, const struct arg_mul4 *a)
{
    return multiply_add(t, a, tr_reg(t, a->sf, a->rn), tr_reg(t, a->sf, a->rm), true);
}

static ir_val wide(struct tr *t, int32_t reg, bool sign)
{
    ir_val v = tr_reg(t, false, (unsigned)reg);

    return sign ? ir_sext(t->b, IR_I64, v) : ir_zext(t->b, IR_I64, v);
}

bool tr_smaddl(struct tr *t, const struct arg_mul4 *a)
{
    return multiply_add(t, a, wide(t, a->rn, true), wide(t, a->rm, true), false);
}

bool tr_smsubl(struct tr *t, const struct arg_mul4 *a)
{
    return multiply_add(t, a, wide(t, a->rn, true), wide(t, a->rm, true), true);
}

bool tr_umaddl(struct tr *t, const struct arg_mul4 *a)
{
    return multiply_add(t, a, wide(t, a->rn, false), wide(t, a->rm, false), false);
}

bool tr_umsubl(struct tr *t, const struct arg_mul4 *a)
{
    return multiply_add(t, a, wide(t, a->rn, false), wide(t, a->rm, false), true);
}

bool tr_smulh(struct tr *t, const struct arg_mul4 *a)
{
    tr_set_reg(t, true, a->rd, ir_mulsh(t->b, tr_reg(t, true, a->rn), tr_reg(t, true, a->rm)));
    return true;
}

bool tr_umulh(struct tr *t, const struct arg_mul4 *a)
{
    tr_set_reg(t, true, a->rd, ir_muluh(t->b, tr_reg(t, true, a->rn), tr_reg(t, true, a->rm)));
    return true;
}

/* Division by 0 gives 0; the minimum by -1 gives itself. The IR's division wants neither. */
bool tr_udiv(struct tr *t, const struct arg_rrr *a)
{
    enum ir_type type = tr_type(a->sf);
    ir_val n = tr_reg(t, a->sf, a->rn), m = tr_reg(t, a->sf, a->rm), zero = ir_const(t->b, type, 0);
    ir_val safe = ir_or(t->b, m, ir_setcond(t->b, type, IR_EQ, m, zero));
    ir_val q = ir_op2(t->b, IR_UDIV, n, safe);

    tr_set_reg(t, a->sf, a->rd, ir_select(t->b, IR_EQ, m, zero, zero, q));
    return true;
}

bool tr_sdiv(struct tr *t, const struct arg_rrr *a)
{
    enum ir_type type = tr_type(a->sf);
    ir_val n = tr_reg(t, a->sf, a->rn), m = tr_reg(t, a->sf, a->rm);
    ir_val one = ir_const(t->b, type, 1);
    ir_val special = ir_addi(t->b, m, 1); /* 0 or 1 where m is -1 or 0 */
    ir_val q = ir_op2(t->b, IR_SDIV, n, ir_select(t->b, IR_LEU, special, one, one, m));
    /* by 1 instead: n * m is 0 for 0 and -n for -1 */
    ir_val other = ir_mul(t->b, n, m);

    tr_set_reg(t, a->sf, a->rd, ir_select(t->b, IR_LEU, special, one, other, q));
    return true;
}

/* ---- shifts by a register ---- */

static bool shift_reg(struct tr *t, const struct arg_rrr *a, enum ir_op op)
{
    ir_val count = ir_andi(t->b, tr_reg(t, a->sf, a->rm), a->sf ? 63 : 31);

    tr_set_reg(t, a->sf, a->rd, ir_op2(t->b, op, tr_reg(t, a->sf, a->rn), count));
    return true;
}

bool tr_lslv(struct tr *t, const struct arg_rrr *a)
{
    return shift_reg(t, a, IR_SHL);
}

bool tr_lsrv(struct tr *t, const struct arg_rrr *a)
{
    return shift_reg(t, a, IR_SHR);
}

bool tr_asrv(struct tr *t, const struct arg_rrr *a)
{
    return shift_reg(t, a, IR_SAR);
}

bool tr_rorv(struct tr *t, const struct arg_rrr *a)
{
    return shift_reg(t, a, IR_ROR);
}
