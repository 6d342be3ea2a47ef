/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fold pass on widths and fields: extensions, truncations, extract and deposit see through each
 * other, so that the partial registers of the guest cost nothing where they are not partial.
 */
#include "ir/fold.h"

unsigned fold_width(const struct fold *f, ir_val v)
{
    const struct ir_insn *d = fold_def(f, v);
    unsigned n = ir_type_bits[d->type], w;
    int64_t c;

    switch (d->op) {
    case IR_CONST: return d->imm ? 64 - __builtin_clzll((uint64_t)d->imm & ir_mask(d->type)) : 1;
    case IR_ZEXT: return fold_width(f, d->arg[0]);
    case IR_TRUNC: w = fold_width(f, d->arg[0]); return MIN(w, n);
    case IR_EXTRACT: return IR_FIELD_LEN(d->imm);
    case IR_SETCOND: return 1;
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT: return 7;
    case IR_LD:
    case IR_LDH: return d->sub & IR_MEM_SIGN ? n : MIN(n, 8u << (d->sub & IR_MEM_SIZE));
    case IR_AND:
        if (fold_is_const(f, d->arg[1]))
            return fold_width(f, d->arg[1]);
        return n;
    case IR_SHR:
        if (fold_is_op_const(f, v, IR_SHR, &c) && c > 0 && c < n)
            return n - c;
        return n;
    default: return n;
    }
}

/* x, whose low bits are wanted, in this type. */
static ir_val in_type(struct fold *f, enum ir_type type, ir_val x)
{
    enum ir_type has = fold_type(f, x);

    if (has == type)
        return x;
    return fold_op1(f, has > type ? IR_TRUNC : IR_ZEXT, type, 0, x);
}

static ir_val setcond_in(struct fold *f, enum ir_type type, const struct ir_insn *d)
{
    return fold_value(f, &(struct ir_insn){ .op = IR_SETCOND,
                                            .type = type,
                                            .sub = d->sub,
                                            .nargs = 2,
                                            .arg = { d->arg[0], d->arg[1] } });
}

static ir_val fold_zext(struct fold *f, struct ir_insn *in)
{
    const struct ir_insn *d = fold_def(f, in->arg[0]);

    if (d->op == IR_ZEXT)
        return fold_op1(f, IR_ZEXT, in->type, 0, d->arg[0]);
    if (d->op == IR_SETCOND)
        return setcond_in(f, in->type, d);
    if (d->op == IR_TRUNC && fold_width(f, d->arg[0]) <= ir_type_bits[d->type])
        return in_type(f, in->type, d->arg[0]);
    return IR_NO_VAL;
}

/* Whether x is a load's result that is sign-extended from n bits or fewer. */
static bool is_signed_load(const struct fold *f, ir_val x, unsigned n)
{
    const struct ir_insn *d = fold_def(f, x);

    return (d->op == IR_LD || d->op == IR_LDH) && d->sub & IR_MEM_SIGN &&
           8u << (d->sub & IR_MEM_SIZE) <= n;
}

static ir_val fold_sext(struct fold *f, struct ir_insn *in)
{
    const struct ir_insn *d = fold_def(f, in->arg[0]);

    if (d->op == IR_TRUNC && fold_type(f, d->arg[0]) >= (enum ir_type)in->type &&
        is_signed_load(f, d->arg[0], ir_type_bits[d->type]))
        return in_type(f, in->type, d->arg[0]);
    if (d->op == IR_SEXT)
        return fold_op1(f, IR_SEXT, in->type, 0, d->arg[0]);
    if (fold_width(f, in->arg[0]) < ir_type_bits[d->type])
        return fold_op1(f, IR_ZEXT, in->type, 0, in->arg[0]);
    return IR_NO_VAL;
}

/* The operand of d that supplies its low n bits, if one does alone. */
static ir_val low_part(const struct fold *f, const struct ir_insn *d, unsigned n)
{
    uint64_t mask = ~UINT64_C(0) >> (64 - n);
    unsigned pos, len;

    switch (d->op) {
    case IR_DEPOSIT:
        pos = IR_FIELD_POS(d->imm);
        len = IR_FIELD_LEN(d->imm);
        if (!pos && len >= n)
            return d->arg[1];
        return pos >= n ? d->arg[0] : IR_NO_VAL;
    case IR_EXTRACT:
        return !IR_FIELD_POS(d->imm) && IR_FIELD_LEN(d->imm) >= (int)n ? d->arg[0] : IR_NO_VAL;
    case IR_AND:
        if (fold_is_const(f, d->arg[1]) && !(~(uint64_t)fold_imm(f, d->arg[1]) & mask))
            return d->arg[0];
        return IR_NO_VAL;
    case IR_OR:
    case IR_XOR:
        if (fold_is_const(f, d->arg[1]) && !((uint64_t)fold_imm(f, d->arg[1]) & mask))
            return d->arg[0];
        return IR_NO_VAL;
    case IR_TRUNC: return d->arg[0];
    case IR_ZEXT:
    case IR_SEXT: return ir_type_bits[fold_type(f, d->arg[0])] >= n ? d->arg[0] : IR_NO_VAL;
    default: return IR_NO_VAL;
    }
}

static ir_val fold_trunc(struct fold *f, struct ir_insn *in)
{
    const struct ir_insn *d = fold_def(f, in->arg[0]);
    ir_val x = low_part(f, d, ir_type_bits[in->type]);

    if (x)
        return in_type(f, in->type, x);
    if (d->op == IR_SETCOND)
        return setcond_in(f, in->type, d);
    if (d->op == IR_ZEXT || d->op == IR_SEXT) /* from a type that is narrower still */
        return fold_op1(f, d->op, in->type, 0, d->arg[0]);
    return IR_NO_VAL;
}

/* A field of a deposit: of what was put in, or of what was there. */
static ir_val extract_deposit(struct fold *f, const struct ir_insn *in, const struct ir_insn *d)
{
    int pos = IR_FIELD_POS(in->imm), end = pos + IR_FIELD_LEN(in->imm);
    int dpos = IR_FIELD_POS(d->imm), dend = dpos + IR_FIELD_LEN(d->imm);

    if (pos >= dpos && end <= dend)
        return fold_op1(f, IR_EXTRACT, in->type, IR_FIELD(pos - dpos, end - pos), d->arg[1]);
    if (end <= dpos || pos >= dend)
        return fold_op1(f, IR_EXTRACT, in->type, in->imm, d->arg[0]);
    return IR_NO_VAL;
}

static ir_val fold_extract(struct fold *f, struct ir_insn *in)
{
    const struct ir_insn *d = fold_def(f, in->arg[0]);
    int n = ir_type_bits[in->type], pos = IR_FIELD_POS(in->imm), len = IR_FIELD_LEN(in->imm);
    int width = (int)fold_width(f, in->arg[0]);
    int64_t c;

    if (len == n)
        return in->arg[0];
    if (pos >= width)
        return fold_const(f, in->type, 0);
    if (pos + len >= width)
        return pos ? fold_op2c(f, IR_SHR, in->arg[0], pos) : in->arg[0];
    if (d->op == IR_DEPOSIT)
        return extract_deposit(f, in, d);
    if (d->op == IR_EXTRACT) /* within it, or the test of the width would have caught it */
        return fold_op1(f, IR_EXTRACT, in->type, IR_FIELD(pos + IR_FIELD_POS(d->imm), len),
                        d->arg[0]);
    if (fold_is_op_const(f, in->arg[0], IR_SHR, &c) && c > 0 && pos + len + c <= n)
        return fold_op1(f, IR_EXTRACT, in->type, IR_FIELD(pos + c, len), d->arg[0]);
    if (fold_is_op_const(f, in->arg[0], IR_AND, &c) &&
        !(~bits((uint64_t)c, pos, len) << (64 - len)))
        return fold_op1(f, IR_EXTRACT, in->type, in->imm, d->arg[0]);
    return IR_NO_VAL;
}

static ir_val fold_deposit(struct fold *f, struct ir_insn *in)
{
    int pos = IR_FIELD_POS(in->imm), len = IR_FIELD_LEN(in->imm);
    const struct ir_insn *da = fold_def(f, in->arg[0]), *db;
    ir_val x;

    if (len == ir_type_bits[in->type])
        return in->arg[1];
    if (da->op == IR_DEPOSIT && da->imm == in->imm) {
        in->arg[0] = da->arg[0];
        da = fold_def(f, in->arg[0]);
    }
    /* bits of b above the field do not count */
    for (;;) {
        db = fold_def(f, in->arg[1]);
        x = low_part(f, db, len);
        if (x && fold_type(f, x) == in->type) {
            in->arg[1] = x;
        } else if (x && fold_def(f, x)->op == IR_TRUNC &&
                   fold_type(f, fold_def(f, x)->arg[0]) == in->type) {
            in->arg[1] = fold_def(f, x)->arg[0]; /* zext(trunc y) */
        } else {
            break;
        }
    }
    if (db->op == IR_EXTRACT && db->imm == in->imm && db->arg[0] == in->arg[0])
        return in->arg[0];
    if (!pos && in->arg[0] == in->arg[1])
        return in->arg[0];
    if (fold_is_const(f, in->arg[0]) && !fold_imm(f, in->arg[0]) && !pos)
        return fold_op1(f, IR_EXTRACT, in->type, in->imm, in->arg[1]);
    return IR_NO_VAL;
}

ir_val fold_bits(struct fold *f, struct ir_insn *in)
{
    switch (in->op) {
    case IR_ZEXT: return fold_zext(f, in);
    case IR_SEXT: return fold_sext(f, in);
    case IR_TRUNC: return fold_trunc(f, in);
    case IR_EXTRACT: return fold_extract(f, in);
    case IR_DEPOSIT: return fold_deposit(f, in);
    default: /* BSWAP */
        return fold_def(f, in->arg[0])->op == IR_BSWAP ? fold_def(f, in->arg[0])->arg[0]
                                                       : IR_NO_VAL;
    }
}
