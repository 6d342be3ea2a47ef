/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fold pass on integer arithmetic. Constants stand second (fold_value has swapped commutative
 * operands); all-constant insns never come here.
 */
#include "ir/fold.h"

static ir_val same_type_const(struct fold *f, const struct ir_insn *in, int64_t v)
{
    return fold_const(f, in->type, v);
}

static bool fits32(int64_t v)
{
    return v == (int32_t)v;
}

static bool has_lea(const struct ir_insn *in)
{
    return in->type == IR_I32 || in->type == IR_I64;
}

static ir_val make_lea(struct fold *f, enum ir_type type, ir_val a, ir_val b, unsigned shift,
                       int64_t disp)
{
    return fold_value(
        f,
        &(struct ir_insn){
            .op = IR_LEA, .type = type, .sub = shift, .nargs = 2, .arg = { a, b }, .imm = disp });
}

static int64_t wrap_add(enum ir_type type, int64_t a, int64_t b)
{
    return sext((uint64_t)a + (uint64_t)b, ir_type_bits[type]);
}

static ir_val fold_add_const(struct fold *f, const struct ir_insn *in)
{
    ir_val a = in->arg[0];
    const struct ir_insn *da = fold_def(f, a);
    int64_t b = fold_imm(f, in->arg[1]), c;

    if (!b)
        return a;
    if (fold_is_op_const(f, a, IR_ADD, &c))
        return fold_op2c(f, IR_ADD, da->arg[0], wrap_add(in->type, b, c));
    if (da->op == IR_LEA && fits32(wrap_add(in->type, da->imm, b)))
        return make_lea(f, in->type, da->arg[0], da->arg[1], da->sub,
                        wrap_add(in->type, da->imm, b));
    return IR_NO_VAL;
}

static ir_val fold_add(struct fold *f, struct ir_insn *in)
{
    int64_t c;

    if (fold_is_const(f, in->arg[1]))
        return fold_add_const(f, in);
    if (in->arg[0] == in->arg[1])
        return fold_op2c(f, IR_SHL, in->arg[0], 1);
    for (unsigned k = 0; k < 2; k++) {
        ir_val x = in->arg[k], y = in->arg[!k];
        const struct ir_insn *dy = fold_def(f, y);

        if (dy->op == IR_NEG)
            return fold_op2(f, IR_SUB, in->type, 0, x, dy->arg[0]);
        if (!has_lea(in))
            continue;
        if (fold_is_op_const(f, y, IR_SHL, &c) && c > 0 && c <= 3)
            return make_lea(f, in->type, x, dy->arg[0], c, 0);
        if (fold_is_op_const(f, y, IR_ADD, &c) && fits32(c))
            return make_lea(f, in->type, x, dy->arg[0], 0, c);
    }
    return IR_NO_VAL;
}

static ir_val fold_sub(struct fold *f, struct ir_insn *in)
{
    ir_val a = in->arg[0], b = in->arg[1];

    if (a == b)
        return same_type_const(f, in, 0);
    if (fold_is_const(f, b))
        return fold_op2c(f, IR_ADD, a, (int64_t)(0 - (uint64_t)fold_imm(f, b)));
    if (fold_is_const(f, a) && !fold_imm(f, a))
        return fold_op1(f, IR_NEG, in->type, 0, b);
    if (fold_def(f, b)->op == IR_NEG)
        return fold_op2(f, IR_ADD, in->type, 0, a, fold_def(f, b)->arg[0]);
    return IR_NO_VAL;
}

/* One operand constant moves into the displacement; inner additions and shifts join. */
static ir_val fold_lea(struct fold *f, struct ir_insn *in)
{
    ir_val a = in->arg[0], b = in->arg[1];
    int64_t c;

    if (fold_is_const(f, b))
        return fold_op2c(f, IR_ADD, a,
                         (int64_t)(((uint64_t)fold_imm(f, b) << in->sub) + (uint64_t)in->imm));
    if (fold_is_const(f, a)) {
        c = (int64_t)((uint64_t)fold_imm(f, a) + (uint64_t)in->imm);
        return fold_op2c(f, IR_ADD, in->sub ? fold_op2c(f, IR_SHL, b, in->sub) : b, c);
    }
    if (!in->sub && !in->imm)
        return fold_op2(f, IR_ADD, in->type, 0, a, b);
    if (fold_is_op_const(f, a, IR_ADD, &c) && fits32(wrap_add(in->type, in->imm, c)))
        return make_lea(f, in->type, fold_def(f, a)->arg[0], b, in->sub,
                        wrap_add(in->type, in->imm, c));
    if (fold_is_op_const(f, b, IR_ADD, &c)) {
        c = wrap_add(in->type, in->imm, (int64_t)((uint64_t)c << in->sub));
        if (fits32(c))
            return make_lea(f, in->type, a, fold_def(f, b)->arg[0], in->sub, c);
    }
    if (fold_is_op_const(f, b, IR_SHL, &c) && in->sub + c <= 3 && c > 0)
        return make_lea(f, in->type, a, fold_def(f, b)->arg[0], in->sub + c, in->imm);
    return IR_NO_VAL;
}

static ir_val fold_mul(struct fold *f, struct ir_insn *in)
{
    ir_val a = in->arg[0];
    uint64_t c;

    if (!fold_is_const(f, in->arg[1]))
        return IR_NO_VAL;
    if (fold_imm(f, in->arg[1]) == -1)
        return fold_op1(f, IR_NEG, in->type, 0, a);
    c = (uint64_t)fold_imm(f, in->arg[1]) & ir_mask(in->type);
    if (c <= 1)
        return c ? a : in->arg[1];
    if (is_pow2(c))
        return fold_op2c(f, IR_SHL, a, __builtin_ctzll(c));
    if (has_lea(in) && (c == 3 || c == 5 || c == 9))
        return make_lea(f, in->type, a, a, c == 3 ? 1 : c == 5 ? 2 : 3, 0);
    return IR_NO_VAL;
}

static ir_val fold_div(struct fold *f, struct ir_insn *in)
{
    uint64_t c;

    if (!fold_is_const(f, in->arg[1]))
        return IR_NO_VAL;
    c = (uint64_t)fold_imm(f, in->arg[1]) & ir_mask(in->type);
    if (in->op == IR_MULUH)
        return c <= 1 ? same_type_const(f, in, 0) : IR_NO_VAL;
    if (c == 1 && in->op != IR_MULSH)
        return in->op == IR_UDIV || in->op == IR_SDIV ? in->arg[0] : same_type_const(f, in, 0);
    if (in->op == IR_UDIV && is_pow2(c))
        return fold_op2c(f, IR_SHR, in->arg[0], __builtin_ctzll(c));
    if (in->op == IR_UREM && is_pow2(c))
        return fold_op2c(f, IR_AND, in->arg[0], (int64_t)(c - 1));
    return IR_NO_VAL;
}

static ir_val fold_and(struct fold *f, struct ir_insn *in)
{
    ir_val a = in->arg[0], b = in->arg[1];
    int64_t c, mask;

    if (a == b)
        return a;
    if (!fold_is_const(f, b))
        return IR_NO_VAL;
    mask = fold_imm(f, b);
    if (!mask)
        return b;
    if (!(~(uint64_t)mask & (~UINT64_C(0) >> (64 - fold_width(f, a)))))
        return a;
    if (fold_is_op_const(f, a, IR_AND, &c))
        return fold_op2c(f, IR_AND, fold_def(f, a)->arg[0], mask & c);
    return IR_NO_VAL;
}

static ir_val fold_or(struct fold *f, struct ir_insn *in)
{
    ir_val a = in->arg[0], b = in->arg[1];
    int64_t c;

    if (a == b)
        return a;
    if (!fold_is_const(f, b))
        return IR_NO_VAL;
    if (!fold_imm(f, b))
        return a;
    if (fold_imm(f, b) == -1)
        return b;
    if (fold_is_op_const(f, a, IR_OR, &c))
        return fold_op2c(f, IR_OR, fold_def(f, a)->arg[0], fold_imm(f, b) | c);
    return IR_NO_VAL;
}

static ir_val fold_xor(struct fold *f, struct ir_insn *in)
{
    ir_val a = in->arg[0], b = in->arg[1];
    const struct ir_insn *da = fold_def(f, a);
    int64_t c;

    if (a == b)
        return same_type_const(f, in, 0);
    if (!fold_is_const(f, b))
        return IR_NO_VAL;
    if (!fold_imm(f, b))
        return a;
    if (fold_imm(f, b) == -1)
        return fold_op1(f, IR_NOT, in->type, 0, a);
    if (fold_imm(f, b) == 1 && da->op == IR_SETCOND)
        return fold_value(f, &(struct ir_insn){ .op = IR_SETCOND,
                                                .type = in->type,
                                                .sub = da->sub ^ 1,
                                                .nargs = 2,
                                                .arg = { da->arg[0], da->arg[1] } });
    if (fold_is_op_const(f, a, IR_XOR, &c))
        return fold_op2c(f, IR_XOR, da->arg[0], fold_imm(f, b) ^ c);
    return IR_NO_VAL;
}

static ir_val fold_andc(struct fold *f, struct ir_insn *in)
{
    ir_val a = in->arg[0], b = in->arg[1];

    if (a == b)
        return same_type_const(f, in, 0);
    if (fold_is_const(f, b))
        return fold_op2c(f, IR_AND, a, ~fold_imm(f, b));
    if (fold_is_const(f, a) && !fold_imm(f, a))
        return a;
    if (fold_is_const(f, a) && fold_imm(f, a) == -1)
        return fold_op1(f, IR_NOT, in->type, 0, b);
    return IR_NO_VAL;
}

static ir_val fold_not(struct fold *f, struct ir_insn *in)
{
    const struct ir_insn *da = fold_def(f, in->arg[0]);

    if (da->op == in->op)
        return da->arg[0];
    if (in->op == IR_NEG && da->op == IR_SUB)
        return fold_op2(f, IR_SUB, in->type, 0, da->arg[1], da->arg[0]);
    return IR_NO_VAL;
}

/* A shift of a shift the same way by constants: together. */
static ir_val fold_shifts(struct fold *f, const struct ir_insn *in, int64_t count, int64_t inner)
{
    ir_val x = fold_def(f, in->arg[0])->arg[0];
    int64_t n = ir_type_bits[in->type], sum = count + inner;

    if (in->op == IR_ROL || in->op == IR_ROR)
        return fold_op2c(f, in->op, x, sum & (n - 1));
    if (sum < n)
        return fold_op2c(f, in->op, x, sum);
    return in->op == IR_SAR ? fold_op2c(f, IR_SAR, x, n - 1) : same_type_const(f, in, 0);
}

static ir_val fold_shift(struct fold *f, struct ir_insn *in)
{
    ir_val a = in->arg[0];
    int64_t n = ir_type_bits[in->type], count, c;

    if (fold_is_const(f, a) && !fold_imm(f, a))
        return a;
    if (!fold_is_const(f, in->arg[1]))
        return IR_NO_VAL;
    count = fold_imm(f, in->arg[1]);
    if (!count)
        return a;
    if (count < 0 || count >= n)
        return IR_NO_VAL; /* against the rules; not ours to decide */
    if (fold_is_op_const(f, a, in->op, &c) && c >= 0 && c < n)
        return fold_shifts(f, in, count, c);
    if (in->op == IR_SHR && fold_width(f, a) <= count)
        return same_type_const(f, in, 0);
    if (in->op == IR_SHR && fold_is_op_const(f, a, IR_SHL, &c) && c == count)
        return fold_op1(f, IR_EXTRACT, in->type, IR_FIELD(0, n - c), fold_def(f, a)->arg[0]);
    if (in->op == IR_SAR && fold_width(f, a) < n)
        return fold_op2c(f, IR_SHR, a, count);
    if (fold_type(f, in->arg[1]) != IR_I8)
        in->arg[1] = fold_const(f, IR_I8, count);
    return IR_NO_VAL;
}

ir_val fold_int(struct fold *f, struct ir_insn *in)
{
    switch (in->op) {
    case IR_ADD: return fold_add(f, in);
    case IR_SUB: return fold_sub(f, in);
    case IR_MUL: return fold_mul(f, in);
    case IR_MULUH:
    case IR_MULSH:
    case IR_UDIV:
    case IR_SDIV:
    case IR_UREM:
    case IR_SREM: return fold_div(f, in);
    case IR_AND: return fold_and(f, in);
    case IR_OR: return fold_or(f, in);
    case IR_XOR: return fold_xor(f, in);
    case IR_ANDC: return fold_andc(f, in);
    case IR_NOT:
    case IR_NEG: return fold_not(f, in);
    case IR_LEA: return fold_lea(f, in);
    default: return fold_shift(f, in);
    }
}
