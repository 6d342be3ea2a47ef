/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fold pass on comparisons: SETCOND, SELECT and BRCOND share it. The inverse of a condition is
 * cond ^ 1.
 */
#include "ir/fold.h"

static const uint8_t swapped[IR_COND_COUNT] = {
    [IR_EQ] = IR_EQ,   [IR_NE] = IR_NE,   [IR_LTU] = IR_GTU, [IR_GEU] = IR_LEU,
    [IR_LTS] = IR_GTS, [IR_GES] = IR_LES, [IR_LEU] = IR_GEU, [IR_GTU] = IR_LTU,
    [IR_LES] = IR_GES, [IR_GTS] = IR_LTS, [IR_TST] = IR_TST, [IR_TSTN] = IR_TSTN,
};
_Static_assert(IR_EQ == (IR_NE ^ 1) && IR_LTU == (IR_GEU ^ 1) && IR_LTS == (IR_GES ^ 1) &&
                   IR_LEU == (IR_GTU ^ 1) && IR_LES == (IR_GTS ^ 1) && IR_TST == (IR_TSTN ^ 1),
               "inverse");

enum { UNKNOWN = -1, AGAIN = -2 };

struct compare {
    struct fold *f;
    uint8_t *cond;
    ir_val *a, *b;
};

static int rewrite(struct compare *c, unsigned cond, ir_val a, ir_val b)
{
    *c->cond = cond;
    *c->a = a;
    *c->b = b;
    return AGAIN;
}

static int same_operands(struct compare *c)
{
    switch (*c->cond) {
    case IR_EQ:
    case IR_GEU:
    case IR_GES:
    case IR_LEU:
    case IR_LES: return 1;
    case IR_TST:
    case IR_TSTN:
        return rewrite(c, *c->cond == IR_TST ? IR_NE : IR_EQ, *c->a,
                       fold_const(c->f, fold_type(c->f, *c->a), 0));
    default: return 0;
    }
}

/* EQ or NE with 0. */
static int with_zero(struct compare *c)
{
    struct fold *f = c->f;
    const struct ir_insn *d = fold_def(f, *c->a);
    unsigned eq = *c->cond == IR_EQ;

    switch (d->op) {
    case IR_SETCOND: return rewrite(c, d->sub ^ eq, d->arg[0], d->arg[1]);
    case IR_AND: return rewrite(c, eq ? IR_TSTN : IR_TST, d->arg[0], d->arg[1]);
    case IR_SUB:
    case IR_XOR: return rewrite(c, *c->cond, d->arg[0], d->arg[1]);
    case IR_NEG: return rewrite(c, *c->cond, d->arg[0], *c->b);
    default: return UNKNOWN;
    }
}

/* Comparison with a constant; m is it, zero-extended. */
static int with_const(struct compare *c, uint64_t m)
{
    struct fold *f = c->f;
    enum ir_type type = fold_type(f, *c->a);
    const struct ir_insn *d = fold_def(f, *c->a);
    uint64_t all = ir_mask(type);
    int64_t k;

    switch (*c->cond) {
    case IR_EQ:
    case IR_NE:
        if (!m)
            return with_zero(c);
        if (m == 1 && d->op == IR_SETCOND)
            return rewrite(c, d->sub ^ (*c->cond == IR_NE), d->arg[0], d->arg[1]);
        if (fold_is_op_const(f, *c->a, IR_ADD, &k))
            return rewrite(c, *c->cond, d->arg[0], fold_const(f, type, (int64_t)(m - (uint64_t)k)));
        if (fold_is_op_const(f, *c->a, IR_XOR, &k))
            return rewrite(c, *c->cond, d->arg[0], fold_const(f, type, (int64_t)(m ^ (uint64_t)k)));
        return UNKNOWN;
    case IR_LTU:
        return !m ? 0 : m == 1 ? rewrite(c, IR_EQ, *c->a, fold_const(f, type, 0)) : UNKNOWN;
    case IR_GEU:
        return !m ? 1 : m == 1 ? rewrite(c, IR_NE, *c->a, fold_const(f, type, 0)) : UNKNOWN;
    case IR_LEU: return m == all ? 1 : !m ? rewrite(c, IR_EQ, *c->a, *c->b) : UNKNOWN;
    case IR_GTU: return m == all ? 0 : !m ? rewrite(c, IR_NE, *c->a, *c->b) : UNKNOWN;
    case IR_TST:
    case IR_TSTN:
        if (!m)
            return *c->cond == IR_TSTN;
        if (!(~m & (~UINT64_C(0) >> (64 - fold_width(f, *c->a)))))
            return rewrite(c, *c->cond == IR_TST ? IR_NE : IR_EQ, *c->a, fold_const(f, type, 0));
        if (fold_is_op_const(f, *c->a, IR_AND, &k))
            return rewrite(c, *c->cond, d->arg[0], fold_const(f, type, (int64_t)(m & (uint64_t)k)));
        return UNKNOWN;
    default: return UNKNOWN;
    }
}

static bool is_signed(unsigned cond)
{
    return cond == IR_LTS || cond == IR_GES || cond == IR_LES || cond == IR_GTS;
}

/* Extended operands: compare what was extended. */
static int extended(struct compare *c)
{
    struct fold *f = c->f;
    const struct ir_insn *da = fold_def(f, *c->a), *db = fold_def(f, *c->b);
    enum ir_type type;
    uint64_t m;

    if (da->op != IR_ZEXT && da->op != IR_SEXT)
        return UNKNOWN;
    type = fold_type(f, da->arg[0]);
    if (db->op == da->op && fold_type(f, db->arg[0]) == type) {
        if (da->op == IR_SEXT ? *c->cond == IR_TST || *c->cond == IR_TSTN || !is_signed(*c->cond)
                              : is_signed(*c->cond))
            if (*c->cond != IR_EQ && *c->cond != IR_NE)
                return UNKNOWN;
        return rewrite(c, *c->cond, da->arg[0], db->arg[0]);
    }
    if (db->op != IR_CONST || da->op != IR_ZEXT || is_signed(*c->cond))
        return UNKNOWN;
    m = (uint64_t)db->imm & ir_mask(fold_type(f, *c->a));
    if (*c->cond == IR_TST || *c->cond == IR_TSTN)
        m &= ir_mask(type); /* the bits above are 0 in a */
    else if (m & ~ir_mask(type))
        return *c->cond == IR_NE || *c->cond == IR_LTU || *c->cond == IR_LEU; /* b is greater */
    return rewrite(c, *c->cond, da->arg[0], fold_const(f, type, (int64_t)m));
}

static int step(struct compare *c)
{
    struct fold *f = c->f;
    enum ir_type type = fold_type(f, *c->a);
    int r;

    if (fold_is_const(f, *c->a)) {
        if (fold_is_const(f, *c->b))
            return ir_eval_cond(*c->cond, type, (uint64_t)fold_imm(f, *c->a),
                                (uint64_t)fold_imm(f, *c->b));
        return rewrite(c, swapped[*c->cond], *c->b, *c->a);
    }
    if (*c->a == *c->b)
        return same_operands(c);
    if (fold_is_const(f, *c->b)) {
        r = with_const(c, (uint64_t)fold_imm(f, *c->b) & ir_mask(type));
        if (r != UNKNOWN)
            return r;
    }
    return extended(c);
}

int fold_compare(struct fold *f, uint8_t *cond, ir_val *a, ir_val *b)
{
    struct compare c = { f, cond, a, b };
    int r;

    do
        r = step(&c);
    while (r == AGAIN);
    return r;
}

ir_val fold_select(struct fold *f, struct ir_insn *in)
{
    int known = fold_compare(f, &in->sub, &in->arg[0], &in->arg[1]);
    int64_t yes, no;

    if (in->op == IR_SETCOND)
        return known >= 0 ? fold_const(f, in->type, known) : IR_NO_VAL;
    if (known >= 0)
        return in->arg[known ? 2 : 3];
    if (in->arg[2] == in->arg[3])
        return in->arg[2];
    if (!fold_is_const(f, in->arg[2]) || !fold_is_const(f, in->arg[3]))
        return IR_NO_VAL;
    yes = fold_imm(f, in->arg[2]);
    no = fold_imm(f, in->arg[3]);
    if ((yes == 1 && !no) || (!yes && no == 1))
        return fold_value(f, &(struct ir_insn){ .op = IR_SETCOND,
                                                .type = in->type,
                                                .sub = in->sub ^ (no == 1),
                                                .nargs = 2,
                                                .arg = { in->arg[0], in->arg[1] } });
    return IR_NO_VAL;
}
