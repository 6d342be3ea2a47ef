/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lazy flags in the translator: an instruction notes its operands and what it did (tr_cc); a reader
 * turns that into one compare where it can (tr_condition), else asks x86_cc_flags(). cc.c has the
 * rules in C.
 */
#include "guest/x86/tr_core.h"

static uint64_t do_cc_flags(struct x86_cpu *x, uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
    return x86_cc_flags((uint32_t)op, a, b, c);
}

static const struct helper h_cc_flags = { "x86_cc_flags", (helper_fn *)do_cc_flags,
                                          "i32 i32 i64 i64 i64", HELPER_PURE };

/* ---- writing ---- */

static void put_cc(struct tr *t, unsigned slot, ir_val v)
{
    if (v)
        ir_put(t->b, slot, ir_zext(t->b, IR_I64, v));
}

void tr_cc(struct tr *t, enum x86_cc op, unsigned size, ir_val a, ir_val b, ir_val c)
{
    unsigned n = op == X86_CC_EFLAGS ? op : op + tr_log2(size);

    put_cc(t, X86_SLOT_CC_A, a);
    put_cc(t, X86_SLOT_CC_B, b);
    put_cc(t, X86_SLOT_CC_C, c);
    ir_put(t->b, X86_SLOT_CC_OP, tr_c32(t, n));
    t->cc = n;
    t->cf_val = IR_NO_VAL;
}

void tr_cc_flags(struct tr *t, ir_val flags)
{
    tr_cc(t, X86_CC_EFLAGS, 1, flags, IR_NO_VAL, IR_NO_VAL);
}

void tr_cc_carry(struct tr *t, ir_val cf)
{
    ir_val others = ir_andi(t->b, tr_cc_compute(t), ~(int64_t)X86_CF);

    tr_cc_flags(t, ir_or(t->b, others, cf));
    t->cf_val = cf;
}

/* ---- reading ---- */

/* CF without looking into the image, when its value is at hand: made in this IR block, by
 * tr_cc_carry. */
static ir_val known_carry(const struct tr *t)
{
    if (t->cc != X86_CC_EFLAGS || !t->cf_val)
        return IR_NO_VAL;
    for (unsigned n = t->b->count; --n > t->cf_val;)
        if (ir_op_info[t->b->insn[n].op].flags & IR_FLAG_BB)
            return IR_NO_VAL;
    return t->cf_val;
}

static ir_val cc_slot(struct tr *t, unsigned slot, enum ir_type type)
{
    return ir_get_low(t->b, slot, type);
}

ir_val tr_cc_compute(struct tr *t)
{
    if (t->cc == X86_CC_EFLAGS)
        return cc_slot(t, X86_SLOT_CC_A, IR_I32);
    return tr_call(t, &h_cc_flags, ir_get(t->b, X86_SLOT_CC_OP), ir_get(t->b, X86_SLOT_CC_A),
                   ir_get(t->b, X86_SLOT_CC_B), ir_get(t->b, X86_SLOT_CC_C));
}

static enum x86_cc cc_kind(const struct tr *t)
{
    return t->cc == X86_CC_DYNAMIC ? X86_CC_DYNAMIC : (enum x86_cc)(t->cc & ~3);
}

static enum ir_type cc_type(const struct tr *t)
{
    return (enum ir_type)(IR_I8 + (t->cc & 3));
}

/* 1 where r = first + second + carry carried out: r < first, or r == first with a carry in. */
static ir_val carry_out(struct tr *t, enum ir_type type, ir_val r, ir_val first, ir_val carry)
{
    ir_val less = ir_setcond(t->b, type, IR_LTU, r, first);
    ir_val same = ir_setcond(t->b, type, IR_EQ, r, first);

    return ir_or(t->b, less, ir_and(t->b, same, ir_trunc(t->b, type, carry)));
}

/* v's bit 0 in another type. */
static ir_val as_type(struct tr *t, enum ir_type type, ir_val v)
{
    enum ir_type from = ir_type_of(t->b, v);

    return from < type ? ir_zext(t->b, type, v) : ir_trunc(t->b, type, v);
}

ir_val tr_cf(struct tr *t, enum ir_type type)
{
    enum ir_type ct = cc_type(t);
    ir_val a, b, c;

    switch (cc_kind(t)) {
    case X86_CC_ADD:
        return ir_setcond(t->b, type, IR_LTU, cc_slot(t, X86_SLOT_CC_A, ct),
                          cc_slot(t, X86_SLOT_CC_B, ct));
    case X86_CC_SUB:
        return ir_setcond(t->b, type, IR_LTU, cc_slot(t, X86_SLOT_CC_A, ct),
                          cc_slot(t, X86_SLOT_CC_B, ct));
    case X86_CC_ADC:
        a = cc_slot(t, X86_SLOT_CC_A, ct);
        b = cc_slot(t, X86_SLOT_CC_B, ct);
        c = ir_get(t->b, X86_SLOT_CC_C);
        return as_type(
            t, type,
            carry_out(t, ct, ir_add(t->b, ir_add(t->b, a, b), ir_trunc(t->b, ct, c)), a, c));
    case X86_CC_SBB:
        a = cc_slot(t, X86_SLOT_CC_A, ct);
        b = cc_slot(t, X86_SLOT_CC_B, ct);
        return as_type(t, type, carry_out(t, ct, a, b, ir_get(t->b, X86_SLOT_CC_C)));
    case X86_CC_LOGIC: return ir_const(t->b, type, 0);
    case X86_CC_INC:
    case X86_CC_DEC: return as_type(t, type, ir_get(t->b, X86_SLOT_CC_B));
    case X86_CC_SHL:
        return as_type(t, type,
                       ir_extract(t->b, ir_get(t->b, X86_SLOT_CC_B), ir_type_bits[ct] - 1, 1));
    case X86_CC_SHR: return as_type(t, type, ir_extract(t->b, ir_get(t->b, X86_SLOT_CC_B), 0, 1));
    case X86_CC_MUL: return ir_setcondi(t->b, type, IR_NE, ir_get(t->b, X86_SLOT_CC_B), 0);
    default:
        if (known_carry(t))
            return as_type(t, type, t->cf_val);
        return as_type(t, type, ir_andi(t->b, tr_cc_compute(t), X86_CF));
    }
}

/* A condition in the making: a <cond> b. */
struct compare {
    enum ir_cond cond;
    ir_val a, b;
};

static struct compare compare_zero(struct tr *t, enum ir_cond cond, ir_val a)
{
    return (struct compare){ cond, a, ir_const(t->b, ir_type_of(t->b, a), 0) };
}

/* From the flags as an image: any condition (without its negation), by cc >> 1. */
static struct compare from_image(struct tr *t, unsigned what, ir_val f)
{
    static const uint16_t masks[8] = { X86_OF, X86_CF, X86_ZF, X86_CF | X86_ZF,
                                       X86_SF, X86_PF, X86_SF, X86_SF | X86_ZF };

    if (what >= 6) { /* L, LE: SF != OF. OF >> 4 lies on SF. */
        ir_val differ = ir_andi(t->b, ir_xor(t->b, ir_shri(t->b, f, 4), f), X86_SF);
        f = what == 6 ? differ : ir_or(t->b, differ, ir_andi(t->b, f, X86_ZF));
    }
    return (struct compare){ IR_TST, f, tr_c32(t, masks[what]) };
}

/* PF of a result: even parity of its low byte. */
static struct compare parity(struct tr *t, ir_val r)
{
    ir_val low = ir_zext(t->b, IR_I32, ir_trunc(t->b, IR_I8, r));

    return (struct compare){ IR_TSTN, ir_op1(t->b, IR_POPCNT, low), tr_c32(t, 1) };
}

/* SF, ZF and PF conditions of a result. False: the condition needs more than the result. */
static bool from_result(struct tr *t, unsigned what, ir_val r, struct compare *ret)
{
    switch (what) {
    case 2: *ret = compare_zero(t, IR_EQ, r); return true;
    case 4: *ret = compare_zero(t, IR_LTS, r); return true;
    case 5: *ret = parity(t, r); return true;
    default: return false;
    }
}

/* After a subtraction a - b. */
static bool from_sub(struct tr *t, unsigned what, ir_val a, ir_val b, struct compare *ret)
{
    static const uint8_t conds[8] = {
        [1] = IR_LTU, [2] = IR_EQ, [3] = IR_LEU, [6] = IR_LTS, [7] = IR_LES
    };

    if (what == 0)
        return false;
    if (what == 4 || what == 5)
        return from_result(t, what, ir_sub(t->b, a, b), ret);
    *ret = (struct compare){ (enum ir_cond)conds[what], a, b };
    return true;
}

/* After AND, OR, XOR, TEST: CF and OF are 0. */
static bool from_logic(struct tr *t, unsigned what, ir_val r, struct compare *ret)
{
    switch (what) {
    case 0:
    case 1: *ret = compare_zero(t, IR_LTU, r); return true; /* never */
    case 3: *ret = compare_zero(t, IR_EQ, r); return true;
    case 6: *ret = compare_zero(t, IR_LTS, r); return true;
    case 7: *ret = compare_zero(t, IR_LES, r); return true;
    default: return from_result(t, what, r, ret);
    }
}

static bool from_known(struct tr *t, unsigned what, struct compare *ret)
{
    enum x86_cc kind = cc_kind(t);
    enum ir_type ct = cc_type(t);

    if (kind == X86_CC_DYNAMIC || (kind == X86_CC_EFLAGS && !known_carry(t)))
        return false;
    if (what == 1 && kind == X86_CC_EFLAGS) {
        *ret = compare_zero(t, IR_NE, t->cf_val);
        return true;
    }
    if (kind == X86_CC_EFLAGS)
        return false;
    ir_val a = cc_slot(t, X86_SLOT_CC_A, ct);
    if (kind == X86_CC_SUB)
        return from_sub(t, what, a, cc_slot(t, X86_SLOT_CC_B, ct), ret);
    if (kind == X86_CC_LOGIC)
        return from_logic(t, what, a, ret);
    if (what == 1) { /* CF */
        *ret = compare_zero(t, IR_NE, tr_cf(t, IR_I32));
        return true;
    }
    if (kind == X86_CC_DEC && what >= 6) /* a is x - 1: as after CMP x, 1 */
        return from_sub(t, what, ir_addi(t->b, a, 1), ir_const(t->b, ct, 1), ret);
    if (kind == X86_CC_ADC) {
        ir_val sum = ir_add(t->b, a, cc_slot(t, X86_SLOT_CC_B, ct));
        return from_result(t, what, ir_add(t->b, sum, cc_slot(t, X86_SLOT_CC_C, ct)), ret);
    }
    if (kind == X86_CC_SBB) {
        ir_val diff = ir_sub(t->b, a, cc_slot(t, X86_SLOT_CC_B, ct));
        return from_result(t, what, ir_sub(t->b, diff, cc_slot(t, X86_SLOT_CC_C, ct)), ret);
    }
    return from_result(t, what, a, ret);
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

void tr_condition(struct tr *t, unsigned cc, enum ir_cond *cond, ir_val *a, ir_val *b)
{
    struct compare c;

    if (!from_known(t, cc >> 1, &c))
        c = from_image(t, cc >> 1, tr_cc_compute(t));
    *cond = cc & 1 ? negate(c.cond) : c.cond;
    *a = c.a;
    *b = c.b;
}
