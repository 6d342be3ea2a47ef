/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fold pass on vectors: the idioms for zero and all ones, and moves that cancel.
 */
#include "ir/fold.h"

static bool is_vconst(const struct fold *f, ir_val v, int64_t imm)
{
    return fold_def(f, v)->op == IR_VCONST && fold_def(f, v)->imm == imm;
}

static ir_val make_vconst(struct fold *f, int64_t imm)
{
    return fold_value(f, &(struct ir_insn){ .op = IR_VCONST, .type = IR_V128, .imm = imm });
}

static ir_val fold_logic(struct fold *f, struct ir_insn *in)
{
    ir_val a = in->arg[0], b = in->arg[1];

    if (a == b)
        return in->op == IR_VAND || in->op == IR_VOR ? a : make_vconst(f, 0);
    if (is_vconst(f, a, 0))
        return in->op == IR_VAND ? a : b;
    if (is_vconst(f, b, 0))
        return in->op == IR_VAND || in->op == IR_VANDN ? b : a;
    if (in->op == IR_VAND && is_vconst(f, a, -1))
        return b;
    if (in->op == IR_VAND && is_vconst(f, b, -1))
        return a;
    if (in->op == IR_VANDN && is_vconst(f, a, -1))
        return make_vconst(f, 0);
    return IR_NO_VAL;
}

static ir_val fold_vtoi(struct fold *f, struct ir_insn *in)
{
    const struct ir_insn *d = fold_def(f, in->arg[0]);
    enum ir_type has;

    if (d->op == IR_VCONST)
        return fold_const(f, in->type, d->imm);
    if (d->op != IR_VFROMI)
        return IR_NO_VAL;
    has = fold_type(f, d->arg[0]);
    if (has == in->type)
        return d->arg[0];
    return fold_op1(f, has > (enum ir_type)in->type ? IR_TRUNC : IR_ZEXT, in->type, 0, d->arg[0]);
}

/* Are all bits of v from n up zero? Scalar ops hand their first operand's on. */
static bool zero_above(const struct fold *f, ir_val v, unsigned n)
{
    for (unsigned depth = 0; depth < 16; depth++) {
        const struct ir_insn *d = fold_def(f, v);
        unsigned lane = d->sub & ~IR_SCALAR & 0xff;

        lane = lane < IR_V128 ? ir_type_bits[lane] : 128; /* where sub is a lane */

        switch (d->op) {
        case IR_VCONST: return !d->imm;
        case IR_VZEXTLO: return lane <= n;
        case IR_VFROMI: return ir_type_bits[fold_type(f, d->arg[0])] <= n;
        case IR_LD:
        case IR_LDH: return 8u << (d->sub & IR_MEM_SIZE) <= n;
        case IR_VFCVTHF: return d->imm & 1 && n >= 32;
        case IR_VFCVTFH: return n >= (d->imm & 1 ? 16 : 64);
        case IR_VFCVTIF:
        case IR_VFCVTUF:
            if (lane > n)
                return false;
            break;
        case IR_VFCVTFF:
            if (!(d->sub & IR_SCALAR) || 96 - lane > n) /* of the other type */
                return false;
            break;
        default:
            if (d->op < IR_VFADD || d->op > IR_VFIX || !(d->sub & IR_SCALAR) || lane > n ||
                d->op == IR_VFCOM || d->op == IR_VFCVTFI)
                return false;
        }
        v = d->arg[0];
    }
    return false;
}

static ir_val fold_zextlo(struct fold *f, struct ir_insn *in)
{
    unsigned n = ir_type_bits[in->sub & ~IR_SCALAR & 0xff];

    return zero_above(f, in->arg[0], n) ? in->arg[0] : IR_NO_VAL;
}

ir_val fold_vec(struct fold *f, struct ir_insn *in)
{
    const struct ir_insn *d;

    switch (in->op) {
    case IR_VAND:
    case IR_VOR:
    case IR_VXOR:
    case IR_VANDN: return fold_logic(f, in);
    case IR_VSUB:
        if (in->arg[0] == in->arg[1] && !(in->sub & IR_SCALAR))
            return make_vconst(f, 0);
        return is_vconst(f, in->arg[1], 0) ? in->arg[0] : IR_NO_VAL;
    case IR_VCMPGT:
        return in->arg[0] == in->arg[1] && !(in->sub & IR_SCALAR) ? make_vconst(f, 0) : IR_NO_VAL;
    case IR_VCMPEQ:
        return in->arg[0] == in->arg[1] && !(in->sub & IR_SCALAR) ? make_vconst(f, -1) : IR_NO_VAL;
    case IR_VADD: return is_vconst(f, in->arg[1], 0) ? in->arg[0] : IR_NO_VAL;
    case IR_VSHLI:
    case IR_VSHRI:
    case IR_VSARI:
    case IR_VBSHL:
    case IR_VBSHR: return in->imm ? IR_NO_VAL : in->arg[0];
    case IR_VTOI: return fold_vtoi(f, in);
    case IR_VFROMI:
        return fold_is_const(f, in->arg[0]) && !fold_imm(f, in->arg[0]) ? make_vconst(f, 0)
                                                                        : IR_NO_VAL;
    case IR_VZEXTLO: return fold_zextlo(f, in);
    case IR_VMERGELO: /* only lane 0 of b counts */
        d = fold_def(f, in->arg[1]);
        if (d->op == IR_VZEXTLO && d->sub == in->sub)
            in->arg[1] = d->arg[0];
        return in->arg[0] == in->arg[1] ? in->arg[0] : IR_NO_VAL;
    default: return IR_NO_VAL;
    }
}
