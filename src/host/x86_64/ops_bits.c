/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shifts, rotates, extensions, bit fields.
 */
#include "host/x86_64/ops.h"

static unsigned op_size(unsigned type)
{
    return wide(type) ? 3 : 2;
}

static unsigned op_bits(unsigned type)
{
    return wide(type) ? 64 : 32;
}

static bool in_memory(const struct cg *c, unsigned v)
{
    return c->val[v].loc == LOC_SLOT || c->val[v].loc == LOC_SPILL;
}

static void cache(struct cg *c, unsigned v)
{
    if (in_memory(c, v) && live_after(c, v))
        use_reg(c, v);
}

/* The memory of a value that is in memory only. */
static struct rm place(const struct cg *c, unsigned v)
{
    const struct val *x = &c->val[v];

    return x->loc == LOC_SLOT ? slot_mem(c, x->home) : spill_mem(c, x->spill);
}

/* ---- shifts ---- */

/* The result register holding a, with the bits above a narrow type as a right shift needs them. */
static unsigned shift_operand(struct cg *c, const struct ir_insn *n, uint32_t avoid, unsigned zb)
{
    unsigned a = n->arg[0], bits = ir_type_bits[n->type], d, r;

    if (bits >= 32 || n->op == IR_SHL ||
        (n->op == IR_SHR && c->val[a].loc == LOC_REG && c->val[a].zbits <= bits)) {
        cache(c, a);
        return def_tied(c, a, avoid, zb);
    }
    r = use_reg(c, a);
    d = def_reg(c, avoid, zb);
    if (n->op == IR_SHR)
        as_movzx(&c->as, n->type, d, rm_reg(r));
    else
        as_movsx(&c->as, n->type, false, d, rm_reg(r));
    return d;
}

static void shift_const(struct cg *c, const struct ir_insn *n, unsigned count)
{
    const uint32_t *code = host_op_of(n->op)->code;
    unsigned a = n->arg[0], zb = op_bits(n->type), d, r;

    if (n->op == IR_SHL && count == 1 && c->val[a].loc == LOC_REG && !op_ties(c, a)) {
        r = use_reg(c, a);
        args_done(c);
        d = def_reg(c, 0, zb);
        as_lea(&c->as, wide(n->type), d, rm_sib(r, r, 0, 0));
        return;
    }
    if (n->op == IR_SHR && c->val[a].loc == LOC_REG)
        zb = MIN(zb, MIN((unsigned)ir_type_bits[n->type], (unsigned)c->val[a].zbits));
    else if (n->op == IR_SHR)
        zb = ir_type_bits[n->type];
    d = shift_operand(c, n, 0, n->op == IR_SHR ? MAX(zb, count + 1) - count : zb);
    as_shift_imm(&c->as, code[0], op_size(n->type), d, count);
    if (n->type >= IR_I32 && count) {
        c->as.flags.kind = FLAGS_RES;
        c->as.flags.type = n->type;
        c->as.flags.r = (uint16_t)c->i;
    }
}

void emit_shift(struct cg *c, const struct ir_insn *n)
{
    const uint32_t *code = host_op_of(n->op)->code;
    unsigned a = n->arg[0], b = n->arg[1], d, r, w = wide(n->type) ? OP_W : 0;
    struct rm x;

    if (is_const(c, b)) {
        shift_const(c, n, (unsigned)insn_of(c, b)->imm);
        return;
    }
    if (!(c->has & HAS_BMI2)) {
        take_with(c, RCX, b);
        d = shift_operand(c, n, 1u << RCX, op_bits(n->type));
        as_shift_cl(&c->as, code[0], op_size(n->type), d);
        return;
    }
    r = use_reg(c, b);
    if (n->type < IR_I32 && n->op != IR_SHL) {
        d = shift_operand(c, n, 1u << r, 32);
        as_vex(&c->as, OP_38 | 0xf7 | code[1], d, r, rm_reg(d));
        return;
    }
    x = is_const(c, a) ? rm_reg(use_reg(c, a)) : use_rm(c, a);
    args_done(c);
    d = def_reg(c, 0, op_bits(n->type));
    as_vex(&c->as, OP_38 | 0xf7 | code[1] | w, d, r, x);
}

void emit_rotate(struct cg *c, const struct ir_insn *n)
{
    unsigned op = host_op_of(n->op)->code[0], a = n->arg[0], b = n->arg[1], d, count;
    unsigned bits = ir_type_bits[n->type], zb = n->type == IR_I32 ? 32 : 64;

    if (!is_const(c, b)) {
        take_with(c, RCX, b);
        d = def_tied(c, a, 1u << RCX, zb);
        as_shift_cl(&c->as, op, n->type, d);
        return;
    }
    count = (unsigned)insn_of(c, b)->imm & (bits - 1);
    if (n->type >= IR_I32 && c->has & HAS_BMI2 && !op_ties(c, a)) {
        struct rm x = is_const(c, a) ? rm_reg(use_reg(c, a)) : use_rm(c, a);

        args_done(c);
        d = def_reg(c, 0, zb);
        as_vex(&c->as, OP_3A | OP_F2 | 0xf0 | (wide(n->type) ? OP_W : 0), d, 0, x);
        as_u8(&c->as, op == SH_ROL ? (bits - count) & (bits - 1) : count);
        return;
    }
    cache(c, a);
    d = def_tied(c, a, 0, zb);
    as_shift_imm(&c->as, op, n->type, d, count);
}

/* ---- extensions ---- */

static void extend_const(struct cg *c, const struct ir_insn *n, unsigned from)
{
    int64_t v = insn_of(c, n->arg[0])->imm;
    unsigned d = def_reg(c, 0, wide(n->type) ? 64 : 32);

    if (n->op == IR_ZEXT)
        v = (int64_t)bits((uint64_t)v, 0, ir_type_bits[from]);
    as_mov_imm(&c->as, d, wide(n->type) ? v : (int64_t)(uint32_t)v);
}

void emit_extend(struct cg *c, const struct ir_insn *n)
{
    unsigned a = n->arg[0], from = insn_of(c, a)->type, bits = ir_type_bits[from], d;
    bool sign = n->op == IR_SEXT;
    struct rm x;

    if (is_const(c, a)) {
        extend_const(c, n, from);
        return;
    }
    if (!sign && c->val[a].loc == LOC_REG && c->val[a].zbits <= bits) {
        def_alias(c, a);
        return;
    }
    if (in_memory(c, a) && live_after(c, a) && !sign) {
        use_reg(c, a);
        if (c->val[a].zbits <= bits) {
            def_alias(c, a);
            return;
        }
    }
    x = in_memory(c, a) ? place(c, a) : rm_reg(use_reg(c, a));
    args_done(c);
    d = def_reg(c, 0, sign ? (wide(n->type) ? 64 : 32) : bits);
    if (sign)
        as_movsx(&c->as, from, wide(n->type), d, x);
    else
        as_movzx(&c->as, from, d, x);
}

/* TRUNC and COPY: another name. */
void emit_trunc(struct cg *c, const struct ir_insn *n)
{
    unsigned a = n->arg[0], d;

    if (is_const(c, a)) {
        d = def_reg(c, 0, wide(n->type) ? 64 : 32);
        as_mov_imm(&c->as, d,
                   wide(n->type) ? insn_of(c, a)->imm : (int64_t)(uint32_t)insn_of(c, a)->imm);
        return;
    }
    def_alias(c, a);
}

/* ---- bit fields ---- */

/* Cuts the register to its low len bits. */
static void mask_low(struct cg *c, unsigned d, unsigned len)
{
    if (len == 64)
        return;
    if (len == 8 || len == 16 || len == 32) {
        as_movzx(&c->as, len == 8 ? 0 : len == 16 ? 1 : 2, d, rm_reg(d));
    } else if (len < 32) {
        as_alu_imm(&c->as, ALU_AND, 2, rm_reg(d), (int32_t)(BIT(len) - 1));
    } else {
        as_shift_imm(&c->as, SH_SHL, 3, d, 64 - len);
        as_shift_imm(&c->as, SH_SHR, 3, d, 64 - len);
    }
}

void emit_extract(struct cg *c, const struct ir_insn *n)
{
    unsigned pos = (unsigned)IR_FIELD_POS(n->imm), len = (unsigned)IR_FIELD_LEN(n->imm);
    unsigned a = n->arg[0], d, r, bits = op_bits(n->type);
    bool whole = len == 8 || len == 16 || len == 32;
    unsigned size = len == 8 ? 0 : len == 16 ? 1 : 2;

    if (in_memory(c, a) && whole && !(pos & 7) && !live_after(c, a)) {
        struct rm x = place(c, a);

        x.disp += (int32_t)pos / 8;
        d = def_reg(c, 0, len);
        as_movzx(&c->as, size, d, x);
        return;
    }
    r = use_reg(c, a);
    if (!pos && c->val[a].zbits <= len) {
        def_alias(c, a);
        return;
    }
    if (!pos && whole) {
        args_done(c);
        d = def_reg(c, 0, len);
        as_movzx(&c->as, size, d, rm_reg(r));
        return;
    }
    if (pos == 8 && len == 8 && r < 4) { /* ah ch dh bh */
        args_done(c);
        d = def_reg(c, 0xff00, 8);
        as_op(&c->as, OP_0F | 0xb6, d, rm_reg(r + 4));
        return;
    }
    d = def_tied(c, a, 0, len);
    as_shift_imm(&c->as, SH_SHR, op_size(n->type), d, pos);
    if (pos + len < bits)
        mask_low(c, d, len);
}

/* What def_tied's copy of a leaves above 32 bits stays when only a byte or word is written. */
static unsigned kept_zbits(const struct cg *c, const struct ir_insn *n)
{
    const struct val *x = &c->val[n->arg[0]];

    if (n->type != IR_I32 || ((x->loc == LOC_REG || x->loc == LOC_SPILL) && x->zbits > 32))
        return 64;
    return 32;
}

static void deposit_const(struct cg *c, const struct ir_insn *n, unsigned pos, unsigned len)
{
    uint64_t mask = (len == 64 ? UINT64_MAX : BIT(len) - 1),
             v = (uint64_t)insn_of(c, n->arg[1])->imm & mask;
    unsigned d;

    cache(c, n->arg[0]);
    d = def_tied(c, n->arg[0], 0, !pos && len == 8 ? kept_zbits(c, n) : wide(n->type) ? 64 : 32);
    if (!pos && len == 8) {
        as_op(&c->as, 0xc6 | OP_MB, 0, rm_reg(d));
        as_u8(&c->as, (unsigned)v);
        return;
    }
    if (v != mask)
        as_alu_imm(&c->as, ALU_AND, op_size(n->type), rm_reg(d), (int64_t) ~(mask << pos));
    if (v)
        as_alu_imm(&c->as, ALU_OR, op_size(n->type), rm_reg(d), (int64_t)(v << pos));
}

/* Masks that are imm32 of the type's operation? */
static bool mask_fits(const struct ir_insn *n, unsigned pos, unsigned len)
{
    return !wide(n->type) || pos + len < 32;
}

/* d, rotated so that the field is lowest, gets t's low len bits */
static void deposit_general(struct cg *c, const struct ir_insn *n, unsigned pos, unsigned len)
{
    unsigned b = n->arg[1], t = scratch(c, false), d, size = op_size(n->type);

    load_to(c, t, b);
    if (c->val[b].loc != LOC_REG || c->val[b].zbits > len)
        mask_low(c, t, len);
    cache(c, n->arg[0]);
    d = def_tied(c, n->arg[0], 1u << t, op_bits(n->type));
    if (mask_fits(n, pos, len)) {
        as_alu_imm(&c->as, ALU_AND, size, rm_reg(d), (int32_t) ~(uint32_t)((BIT(len) - 1) << pos));
        as_shift_imm(&c->as, SH_SHL, size, t, pos);
        as_alu(&c->as, ALU_OR, size, d, rm_reg(t));
        return;
    }
    as_shift_imm(&c->as, SH_ROR, size, d, pos);
    as_shift_imm(&c->as, SH_SHR, size, d, len);
    as_shift_imm(&c->as, SH_SHL, size, d, len);
    as_alu(&c->as, ALU_OR, size, d, rm_reg(t));
    as_shift_imm(&c->as, SH_ROL, size, d, pos);
}

void emit_deposit(struct cg *c, const struct ir_insn *n)
{
    unsigned pos = (unsigned)IR_FIELD_POS(n->imm), len = (unsigned)IR_FIELD_LEN(n->imm);
    unsigned a = n->arg[0], b = n->arg[1], d, r;

    if (len == ir_type_bits[n->type]) {
        if (is_const(c, b))
            as_mov_imm(&c->as, def_reg(c, 0, 64), insn_of(c, b)->imm);
        else
            def_alias(c, b);
        return;
    }
    if (is_const(c, b) && mask_fits(n, pos, len)) {
        deposit_const(c, n, pos, len);
        return;
    }
    if ((!pos && (len == 8 || len == 16)) || (pos == 8 && len == 8 && n->type >= IR_I32)) {
        r = use_reg(c, b);
        cache(c, a);
        if (pos && c->val[a].loc == LOC_REG && c->val[a].reg == r) { /* mov ch, cl: both are one */
            deposit_general(c, n, pos, len);
            return;
        }
        d = def_tied(c, a, op_avoid(c, a, rm_reg(r)), kept_zbits(c, n));
        if (!pos && len == 16) {
            as_op(&c->as, 0x8b | OP_66, d, rm_reg(r));
        } else if (!pos) {
            as_op(&c->as, 0x8a | OP_B, d, rm_reg(r));
        } else if (d < 4 && r < 4) { /* mov ah, bl */
            as_op(&c->as, 0x8a, d + 4, rm_reg(r));
        } else {
            as_shift_imm(&c->as, SH_ROR, op_size(n->type), d, 8);
            as_op(&c->as, 0x8a | OP_B, d, rm_reg(r));
            as_shift_imm(&c->as, SH_ROL, op_size(n->type), d, 8);
        }
        return;
    }
    deposit_general(c, n, pos, len);
}
