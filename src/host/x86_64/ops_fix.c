/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For guests whose NaN and conversion rules differ from this processor's: results that are looked
 * at, and repaired by cold code; fused multiply-add, unsigned and half-precision conversions.
 */
#include "base/endian.h"
#include "host/x86_64/ops.h"

#define P66 (OP_0F | OP_66)
#define P38 (OP_38 | OP_66)
#define P3A (OP_3A | OP_66)

enum { MOVAPS = OP_0F | 0x28, PTEST = P38 | 0x17, PXOR = P66 | 0xef };

static unsigned lane_of(const struct ir_insn *n)
{
    return n->sub & ~IR_SCALAR & 0xff;
}

/* ---- FIX, VFIX, VFCANON: the hot path ---- */

/* Pinned registers of the operands from `first` on, which the cold code reads: the result must not
 * be made there. (From temporaries they may be evicted.) */
static uint32_t operand_regs(const struct cg *c, const struct ir_insn *n, unsigned first)
{
    uint32_t set = 0;

    for (unsigned k = first; k < n->nargs; k++) {
        const struct val *x = &c->val[n->arg[k]];

        if (x->loc == LOC_REG)
            set |= 1u << x->reg & ~(uint32_t)TEMPS;
    }
    return set;
}

static struct cold *fix_cold(struct cg *c, const struct ir_insn *n, enum cold_kind kind, unsigned d,
                             unsigned first)
{
    struct cold *k = cold_new(c, kind);
    const struct helper *h = (const struct helper *)(intptr_t)n->imm;

    k->reg = (uint8_t)d;
    k->flags = n->sub;
    k->imm = (int64_t)(c->env.helper_index(c->env.opaque, h) * sizeof(helper_fn *));
    for (unsigned a = first; a < n->nargs; a++) {
        const struct val *x = &c->val[n->arg[a]];
        uint64_t imm = (uint64_t)insn_of(c, n->arg[a])->imm;

        k->place[k->places++] = n->arg[a] == n->arg[0] ? rm_reg(d)
                                : x->loc == LOC_REG    ? rm_reg(x->reg)
                                : x->loc == LOC_CONST  ? const_vec(c, imm, imm)
                                : x->loc == LOC_SLOT   ? slot_mem(c, x->home)
                                                       : spill_mem(c, x->spill);
    }
    return k;
}

static void emit_fix(struct cg *c, const struct ir_insn *n)
{
    int64_t b = insn_of(c, n->arg[1])->imm;
    const struct val *a = &c->val[n->arg[0]];
    unsigned cc, d;
    unsigned zb = n->type == IR_I32 && a->loc == LOC_REG && a->zbits <= 32 ? 32 : 64;
    struct cold *k;

    if (n->sub == IR_EQ && n->type >= IR_I32 && b == (n->type == IR_I64 ? INT64_MIN : INT32_MIN)) {
        d = def_tied(c, n->arg[0], 0, zb);
        as_alu_imm(&c->as, ALU_CMP, type_size(n->type), rm_reg(d), 1);
        cc = CC_O;
    } else {
        cc = emit_compare(c, n->sub, n->arg[0], n->arg[1]);
        c->as.flags.kind = FLAGS_LIVE;
        d = def_tied(c, n->arg[0], 0, zb);
    }
    k = fix_cold(c, n, COLD_FIX, d, 2);
    k->narrow = n->type != IR_I64;
    k->from[0] = as_jcc(&c->as, cc);
    k->back = c->as.p;
    as_flags_lost(&c->as);
}

/* The condition under which d's lanes want repair; t: a vector temporary for packed ones, which
 * then holds the mask. */
static unsigned test_lanes(struct cg *c, const struct ir_insn *n, unsigned d, unsigned t)
{
    unsigned lane = lane_of(n), r;

    if (n->sub & IR_SCALAR && lane >= IR_F32) {
        as_op_flags(&c->as, (lane == IR_F64 ? P66 : OP_0F) | 0x2e, d, rm_reg(d)); /* ucomis */
        return CC_P;
    }
    if (n->sub & IR_SCALAR) {
        r = scratch(c, false);
        as_op(&c->as, P66 | 0x7e | (lane == IR_I64 ? OP_W : 0), d, rm_reg(r));
        as_alu_imm(&c->as, ALU_CMP, lane == IR_I64 ? 3 : 2, rm_reg(r), 1);
        return CC_O;
    }
    if (lane >= IR_F32) {
        if (c->has & HAS_AVX) {
            as_vex(&c->as, (lane == IR_F64 ? P66 : OP_0F) | 0xc2, t, d, rm_reg(d));
        } else {
            as_op(&c->as, MOVAPS, t, rm_reg(d));
            as_op(&c->as, (lane == IR_F64 ? P66 : OP_0F) | 0xc2, t, rm_reg(d));
        }
        as_u8(&c->as, 3); /* cmpunord */
    } else {
        as_op(&c->as, P66 | 0x76, t, rm_reg(t)); /* pcmpeqd: ones */
        as_op(&c->as, P66 | (lane == IR_I64 ? 0x73 : 0x72), 6, rm_reg(t));
        as_u8(&c->as, lane == IR_I64 ? 63 : 31);
        as_op(&c->as, lane == IR_I64 ? P38 | 0x29 : P66 | 0x76, t, rm_reg(d));
    }
    as_op_flags(&c->as, PTEST, t, rm_reg(t));
    return CC_NE;
}

static void emit_vfix(struct cg *c, const struct ir_insn *n)
{
    uint32_t avoid = operand_regs(c, n, 1);
    unsigned t = n->sub & IR_SCALAR ? (unsigned)NOREG : scratch(c, true), d, cc;
    struct cold *k;

    d = def_tied(c, n->arg[0], avoid, 64);
    cc = test_lanes(c, n, d, t);
    k = fix_cold(c, n, COLD_VFIX, d, 0);
    k->from[0] = as_jcc(&c->as, cc);
    k->back = c->as.p;
    as_flags_lost(&c->as);
}

static void emit_canon(struct cg *c, const struct ir_insn *n)
{
    unsigned t = n->sub & IR_SCALAR ? (unsigned)NOREG : scratch(c, true), d, cc;
    struct cold *k;

    if (c->val[n->arg[0]].loc != LOC_REG && live_after(c, n->arg[0]))
        use_reg(c, n->arg[0]);
    d = def_tied(c, n->arg[0], 0, 64);
    cc = test_lanes(c, n, d, t);
    k = cold_new(c, COLD_CANON);
    k->reg = (uint8_t)d;
    k->addr = (uint8_t)t;
    k->flags = n->sub;
    k->imm = n->imm;
    k->from[0] = as_jcc(&c->as, cc);
    k->back = c->as.p;
    as_flags_lost(&c->as);
}

/* ---- cold code ---- */

/* Where the stub finds argument a; constants are put there. */
static int32_t place(struct cg *c, struct rm x, unsigned a)
{
    struct rm at = cpu_mem(c->env.off_scratch + FIX_CONSTS + 16 * a);
    const uint8_t *from = c->buf->rw + x.disp;

    if (rm_is_reg(x))
        return cpu_mem(c->env.off_scratch + 16 * (x.reg - XMM0)).disp;
    if (x.base != RIP)
        return x.disp;
    for (unsigned k = 0; k < 4; k++, at.disp += 4)
        as_store_imm(&c->as, 2, at, (int64_t)ld_le32(from + 4 * k));
    return at.disp - 16;
}

static void cold_helper(struct cg *c, struct cold *k)
{
    unsigned lane = k->flags & IR_SCALAR ? ir_type_bits[k->flags & ~IR_SCALAR & 0xff] / 8 : 0;
    bool vec = k->kind == COLD_VFIX;
    int32_t at[4];

    for (unsigned a = 0; a < k->places; a++)
        at[a] = place(c, k->place[a], a);
    as_push_imm(&c->as, vec ? place(c, rm_reg(k->reg), 0) + (int32_t)lane : 0);
    for (unsigned a = k->places; a--;)
        as_push_imm(&c->as, at[a]);
    as_push_imm(&c->as, (int32_t)k->imm);
    as_call_to(&c->as, stub_at(c, vec ? c->stub.fix_vec[k->places] : c->stub.fix_int[k->places]));
    if (vec)
        return;
    as_pop(&c->as, k->reg);
    if (k->narrow)
        as_mov(&c->as, false, k->reg, k->reg);
}

static void push_64(struct cg *c, uint64_t v)
{
    as_push_imm(&c->as, (int32_t)v);
    if (!fits32((int64_t)v))
        as_store_imm(&c->as, 2, rm_mem(RSP, 4), (int64_t)(v >> 32));
}

/* Lanes of reg become the pattern: lane 0, or those of the mask in addr. */
static void cold_canon(struct cg *c, const struct cold *k)
{
    bool f64 = (k->flags & ~IR_SCALAR & 0xff) == IR_F64;
    uint64_t v = f64 ? (uint64_t)k->imm : (uint32_t)k->imm * UINT64_C(0x100000001);

    if (k->flags & IR_SCALAR) {
        push_64(c, v);
        as_op(&c->as, f64 ? P66 | 0x12 : P3A | 0x21, k->reg, rm_mem(RSP, 0)); /* movlpd, insertps */
        if (!f64)
            as_u8(&c->as, 0);
        as_lea(&c->as, true, RSP, rm_mem(RSP, 8));
        return;
    }
    push_64(c, v);
    push_64(c, v);
    as_lea(&c->as, true, RSP, rm_mem(RSP, -16));
    as_op(&c->as, OP_0F | 0x29, k->addr, rm_mem(RSP, 0));
    as_op(&c->as, P66 | 0xdf, k->addr, rm_reg(k->reg)); /* pandn: what stays */
    as_op(&c->as, MOVAPS, k->reg, rm_mem(RSP, 0));      /* the mask */
    as_op(&c->as, P66 | 0xdb, k->reg, rm_mem(RSP, 16)); /* pand: the pattern */
    as_op(&c->as, P66 | 0xeb, k->reg, rm_reg(k->addr)); /* por */
    as_lea(&c->as, true, RSP, rm_mem(RSP, 32));
}

/* The integer in addr, with bit 63 set, by half: its lowest bit stays to make the rounding right.
 */
static void cold_unsigned(struct cg *c, const struct cold *k)
{
    unsigned pp = (k->flags & 7) == IR_F64 ? OP_F2 : OP_F3, t = k->addend;

    as_mov(&c->as, true, t, k->addr);
    as_shift_imm(&c->as, SH_SHR, 3, t, 1);
    as_u8(&c->as, 0x70 | CC_AE);
    as_u8(&c->as, 4);
    as_alu_imm(&c->as, ALU_OR, 3, rm_reg(t), 1);
    as_op(&c->as, OP_0F | pp | 0x2a | OP_W, k->reg, rm_reg(t));
    as_op(&c->as, OP_0F | pp | 0x58, k->reg, rm_reg(k->reg));
}

void cold_fix(struct cg *c, struct cold *k)
{
    as_patch(k->from[0], c->as.p);
    switch (k->kind) {
    case COLD_CANON: cold_canon(c, k); break;
    case COLD_UNSIGNED: cold_unsigned(c, k); break;
    default: cold_helper(c, k); break;
    }
    as_jmp_to(&c->as, k->back);
}

/* ---- fused multiply-add ---- */

/* Forms: 132: d = d * x + v; 213: d = v * d + x; 231: d = v * x + d. Of NaNs the first of a, b, c
 * comes out: the multiplicand that is not x (132), v else. */
static void emit_fma(struct cg *c, const struct ir_insn *n)
{
    static const uint8_t op[4] = { 0x98, 0x9c, 0x9a, 0x9e }; /* 132; 213 and 231: + 0x10, 0x20 */
    unsigned scalar = n->sub & IR_SCALAR, code, v, d;
    struct rm x;

    if (!(c->has & HAS_FMA)) {
        emit_by_helper(c, n);
        return;
    }
    code = P38 | (lane_of(n) == IR_F64 ? OP_W : 0) | (op[n->imm & 3] + !!scalar);
    if (!scalar && op_ties(c, n->arg[2]) && n->arg[2] != n->arg[0] && n->arg[2] != n->arg[1]) {
        v = use_reg(c, n->arg[0]);
        x = use_rm(c, n->arg[1]);
        d = def_tied(c, n->arg[2], 1u << v | op_avoid(c, n->arg[2], x), 64);
        as_vex(&c->as, code + 0x20, d, v, x);
        return;
    }
    v = use_reg(c, n->arg[2]);
    x = use_rm(c, n->arg[1]);
    if (c->val[n->arg[0]].loc != LOC_REG && live_after(c, n->arg[0]))
        use_reg(c, n->arg[0]);
    d = def_tied(c, n->arg[0], (n->arg[2] == n->arg[0] ? 0 : 1u << v) | op_avoid(c, n->arg[0], x),
                 64);
    as_vex(&c->as, code, d, v, x);
}

/* ---- conversions ---- */

static void emit_unsigned(struct cg *c, const struct ir_insn *n)
{
    unsigned b = n->arg[1], pp = lane_of(n) == IR_F64 ? OP_F2 : OP_F3;
    unsigned r = use_reg(c, b), t = scratch(c, false), d;
    struct cold *k = NULL;

    if (insn_of(c, b)->type == IR_I32) {
        as_mov(&c->as, false, t, r);
        r = t;
    }
    d = def_tied(c, n->arg[0], 0, 64);
    if (insn_of(c, b)->type == IR_I64) {
        as_test(&c->as, 3, r, rm_reg(r));
        k = cold_new(c, COLD_UNSIGNED);
        k->from[0] = as_jcc(&c->as, CC_S);
        k->addr = (uint8_t)r;
        k->addend = (uint8_t)t;
        k->reg = (uint8_t)d;
        k->flags = n->sub;
    }
    as_op(&c->as, OP_0F | pp | 0x2a | OP_W, d, rm_reg(r)); /* cvtsi2sd */
    if (k)
        k->back = c->as.p;
    as_flags_lost(&c->as);
}

static void emit_half(struct cg *c, const struct ir_insn *n)
{
    bool to = n->op == IR_VFCVTFH;
    unsigned r, d;

    if (!(c->has & HAS_F16C)) {
        emit_by_helper(c, n);
        return;
    }
    r = use_reg(c, n->arg[0]);
    args_done(c);
    d = def_reg(c, 0, 64);
    if (n->imm & 1) {                                /* no flags of other lanes */
        as_vex(&c->as, P66 | 0x73, 7, d, rm_reg(r)); /* vpslldq */
        as_u8(&c->as, to ? 12 : 14);
        as_vex(&c->as, P66 | 0x73, 3, d, rm_reg(d)); /* vpsrldq */
        as_u8(&c->as, to ? 12 : 14);
        r = d;
    }
    if (to) {
        as_vex(&c->as, P3A | 0x1d, r, 0, rm_reg(d));
        as_u8(&c->as, 4); /* by MXCSR's mode */
    } else {
        as_vex(&c->as, P38 | 0x13, d, 0, rm_reg(r));
    }
}

const struct host_op ops_fix[IR_OP_COUNT] = {
    [IR_FIX] = { emit_fix, "r,0,re,mx,mx" },       [IR_VFIX] = { emit_vfix, "x,0,mx,mx,mx" },
    [IR_VFCANON] = { emit_canon, "x,0" },          [IR_VFMADD] = { emit_fma, "x,0,mx,x", HAS_FMA },
    [IR_VFCVTUF] = { emit_unsigned, "x,0,r" },     [IR_VFCVTHF] = { emit_half, "x,x", HAS_F16C },
    [IR_VFCVTFH] = { emit_half, "x,x", HAS_F16C },
};
