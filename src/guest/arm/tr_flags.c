/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lazy NZCV in the translator: an instruction notes its operands and what it did (tr_cc); a reader
 * turns that into one compare where it can (tr_condition), else asks a64_cc_nzcv(). cc.c has the
 * rules in C.
 */
#include <assert.h>

#include "guest/arm/cc.h"
#include "guest/arm/tr.h"

static uint64_t do_cc_nzcv(struct a64_cpu *x, uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
    return a64_cc_nzcv((uint32_t)op, a, b, c);
}

static const struct helper h_cc_nzcv = { "a64_cc_nzcv", (helper_fn *)do_cc_nzcv,
                                         "i32 i32 i64 i64 i64", HELPER_PURE };

/* ---- writing ---- */

static void put_cc(struct tr *t, unsigned slot, ir_val v)
{
    if (v)
        ir_put(t->b, slot, ir_zext(t->b, IR_I64, v));
}

void tr_cc(struct tr *t, unsigned op, ir_val a, ir_val b, ir_val c)
{
    put_cc(t, A64_SLOT_CC_A, a);
    put_cc(t, A64_SLOT_CC_B, b);
    put_cc(t, A64_SLOT_CC_C, c);
    ir_put(t->b, A64_SLOT_CC_OP, tr_c32(t, (int32_t)op));
    t->cc = op;
    t->cc_dirty = true;
}

void tr_set_nzcv(struct tr *t, ir_val nzcv)
{
    tr_cc(t, A64_CC_NZCV, nzcv, IR_NO_VAL, IR_NO_VAL);
}

/* ---- reading ---- */

static unsigned kind_of(const struct tr *t)
{
    return t->cc & A64_CC_KIND;
}

static enum ir_type type_of(const struct tr *t)
{
    return tr_type(t->cc & 1);
}

static ir_val cc_slot(struct tr *t, unsigned slot)
{
    return ir_get_low(t->b, slot, type_of(t));
}

/* The second operand. */
static ir_val cc_second(struct tr *t)
{
    if (t->cc & A64_CC_IMM)
        return ir_const(t->b, type_of(t), (int32_t)t->cc >> 12);
    return cc_slot(t, A64_SLOT_CC_B);
}

ir_val tr_nzcv(struct tr *t)
{
    ir_val v;

    if (t->cc == A64_CC_NZCV)
        return ir_get_low(t->b, A64_SLOT_CC_A, IR_I32);
    v = tr_call(t, &h_cc_nzcv, ir_get(t->b, A64_SLOT_CC_OP), ir_get(t->b, A64_SLOT_CC_A),
                ir_get(t->b, A64_SLOT_CC_B), ir_get(t->b, A64_SLOT_CC_C));
    if (t->cc == A64_CC_DYNAMIC)
        tr_set_nzcv(t, v); /* the same flags in a form that is known from here on */
    return v;
}

/* A condition in the making: a <cond> b. */
struct compare {
    enum ir_cond cond;
    ir_val a, b;
};

static struct compare compare_const(struct tr *t, enum ir_cond cond, ir_val a, int64_t b)
{
    return (struct compare){ cond, a, ir_const(t->b, ir_type_of(t->b, a), b) };
}

static struct compare compare_zero(struct tr *t, enum ir_cond cond, ir_val a)
{
    return compare_const(t, cond, a, 0);
}

static enum ir_cond negate(enum ir_cond c)
{
    static const uint8_t opposite[IR_COND_COUNT] = {
        [IR_EQ] = IR_NE,   [IR_NE] = IR_EQ,   [IR_LTU] = IR_GEU,  [IR_GEU] = IR_LTU,
        [IR_LTS] = IR_GES, [IR_GES] = IR_LTS, [IR_LEU] = IR_GTU,  [IR_GTU] = IR_LEU,
        [IR_LES] = IR_GTS, [IR_GTS] = IR_LES, [IR_TST] = IR_TSTN, [IR_TSTN] = IR_TST,
    };
    return (enum ir_cond)opposite[c];
}

/* The functions below give conditions without their negation: what = cond >> 1, that is EQ, HS, MI,
 * VS, HI, GE, GT. */

static struct compare from_image(struct tr *t, unsigned what, ir_val f)
{
    static const uint32_t masks[4] = { A64_Z, A64_C, A64_N, A64_V };
    ir_val differ;

    if (what < 4)
        return (struct compare){ IR_TST, f, tr_c32(t, (int32_t)masks[what]) };
    if (what == 4)
        return compare_const(t, IR_EQ, ir_andi(t->b, f, A64_C | A64_Z), A64_C);
    differ = ir_xor(t->b, ir_shri(t->b, f, 3), f); /* bit 28: N != V */
    if (what == 5)
        return (struct compare){ IR_TSTN, differ, tr_c32(t, A64_V) };
    differ = ir_or(t->b, ir_andi(t->b, differ, A64_V), ir_andi(t->b, f, A64_Z));
    return compare_zero(t, IR_EQ, differ);
}

static struct compare from_sub(struct tr *t, unsigned what, ir_val a, ir_val b)
{
    static const uint8_t conds[7] = {
        [0] = IR_EQ, [1] = IR_GEU, [4] = IR_GTU, [5] = IR_GES, [6] = IR_GTS
    };
    ir_val r;

    if (what != 2 && what != 3)
        return (struct compare){ (enum ir_cond)conds[what], a, b };
    r = ir_sub(t->b, a, b);
    if (what == 3)
        r = ir_and(t->b, ir_xor(t->b, a, b), ir_xor(t->b, a, r));
    return compare_zero(t, IR_LTS, r);
}

static struct compare from_logic(struct tr *t, unsigned what, ir_val r)
{
    static const uint8_t conds[7] = { [0] = IR_EQ,  [1] = IR_LTU, [2] = IR_LTS, [3] = IR_LTU,
                                      [4] = IR_LTU, [5] = IR_GES, [6] = IR_GTS };

    return compare_zero(t, (enum ir_cond)conds[what], r); /* below 0 unsigned: never */
}

/* After r = a + b. False: the image is cheaper. */
static bool from_add(struct tr *t, unsigned what, ir_val r, ir_val b, struct compare *ret)
{
    ir_val a;

    switch (what) {
    case 0: *ret = compare_zero(t, IR_EQ, r); return true;
    case 1: *ret = (struct compare){ IR_LTU, r, b }; return true;
    case 2: *ret = compare_zero(t, IR_LTS, r); return true;
    case 3:
    case 5:
        a = ir_sub(t->b, r, b);
        a = ir_and(t->b, ir_xor(t->b, r, a), ir_xor(t->b, r, b)); /* sign: V */
        *ret = what == 3 ? compare_zero(t, IR_LTS, a) : compare_zero(t, IR_GES, ir_xor(t->b, a, r));
        return true;
    default: return false;
    }
}

/* Carry of r = a + b + c, c an i64 0 or 1, as a value of type. */
static ir_val adc_carry(struct tr *t, enum ir_type type, ir_val r, ir_val b)
{
    ir_val c = ir_get_low(t->b, A64_SLOT_CC_C, type);
    ir_val less = ir_setcond(t->b, type, IR_LTU, r, b);
    ir_val same = ir_setcond(t->b, type, IR_EQ, r, b);

    return ir_or(t->b, less, ir_and(t->b, same, c));
}

static bool from_adc(struct tr *t, unsigned what, ir_val r, struct compare *ret)
{
    switch (what) {
    case 0: *ret = compare_zero(t, IR_EQ, r); return true;
    case 1:
        *ret = compare_zero(t, IR_NE, adc_carry(t, IR_I64, r, cc_slot(t, A64_SLOT_CC_B)));
        return true;
    case 2: *ret = compare_zero(t, IR_LTS, r); return true;
    default: return false;
    }
}

/* After FCMP: v has bit 6 equal or unordered, bit 2 unordered, bit 0 less or unordered. */
static struct compare from_fcom(struct tr *t, unsigned what, ir_val v)
{
    switch (what) {
    case 0: return compare_const(t, IR_EQ, ir_andi(t->b, v, 0x44), 0x40);
    case 1: return compare_const(t, IR_NE, ir_andi(t->b, v, 5), 1); /* not less */
    case 2: return compare_const(t, IR_EQ, ir_andi(t->b, v, 5), 1);
    case 3: return (struct compare){ IR_TST, v, tr_c32(t, 4) };
    case 4: /* greater or unordered: less is 1, equal 0x40 */
        return compare_const(t, IR_GEU, ir_addi(t->b, ir_andi(t->b, v, 0x45), -1), 0x40);
    case 5: return (struct compare){ IR_TSTN, v, tr_c32(t, 1) };
    default: return (struct compare){ IR_TSTN, v, tr_c32(t, 0x41) };
    }
}

/* What the operation alone says, A64_CC_COND left aside. False: ask for the image. */
static bool from_known(struct tr *t, unsigned what, struct compare *ret)
{
    ir_val a;

    if (t->cc == A64_CC_DYNAMIC || kind_of(t) == A64_CC_NZCV)
        return false;
    a = cc_slot(t, A64_SLOT_CC_A);
    switch (kind_of(t)) {
    case A64_CC_ADD: return from_add(t, what, a, cc_second(t), ret);
    case A64_CC_SUB: *ret = from_sub(t, what, a, cc_second(t)); return true;
    case A64_CC_LOGIC: *ret = from_logic(t, what, a); return true;
    case A64_CC_ADC: return from_adc(t, what, a, ret);
    default: *ret = from_fcom(t, what, a); return true;
    }
}

/* After CCMP: where cc_c is 0, the flags of the instruction decide. */
static struct compare with_else(struct tr *t, unsigned what, struct compare c)
{
    ir_val asked = ir_get_low(t->b, A64_SLOT_CC_C, IR_I32);
    bool other = a64_cond_holds(what << 1, (t->cc >> A64_CC_ELSE & 15) << 28);

    if (!other)
        return (struct compare){ IR_TST, asked, ir_setcond(t->b, IR_I32, c.cond, c.a, c.b) };
    return (struct compare){ IR_TSTN, asked, ir_setcond(t->b, IR_I32, negate(c.cond), c.a, c.b) };
}

void tr_condition(struct tr *t, unsigned cond, enum ir_cond *ret_cond, ir_val *ret_a, ir_val *ret_b)
{
    unsigned what = cond >> 1;
    struct compare c;

    assert(what < 7);
    if (!from_known(t, what, &c))
        c = from_image(t, what, tr_nzcv(t));
    else if (t->cc & A64_CC_COND)
        c = with_else(t, what, c);
    *ret_cond = cond & 1 ? negate(c.cond) : c.cond;
    *ret_a = c.a;
    *ret_b = c.b;
}

ir_val tr_cond_select(struct tr *t, unsigned cond, ir_val yes, ir_val no)
{
    enum ir_cond c;
    ir_val a, b;

    if (cond >= 14)
        return yes;
    tr_condition(t, cond, &c, &a, &b);
    return ir_select(t->b, c, a, b, yes, no);
}

ir_val tr_carry(struct tr *t, enum ir_type type)
{
    enum ir_cond c;
    ir_val a, b;

    if (t->cc == A64_CC_NZCV) {
        ir_val f = ir_extract(t->b, tr_nzcv(t), 29, 1);
        return ir_zext(t->b, type, f);
    }
    tr_condition(t, 2, &c, &a, &b);
    return ir_setcond(t->b, type, c, a, b);
}
