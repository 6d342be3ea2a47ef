/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guest memory in direct mode (user mode): a guest address is a host address, plus the GS base when
 * env.with_base. Each memory instruction may fault and has an entry in the fault table: whatever
 * allocation emits comes before it, and nothing it destroys is a pinned slot. A misaligned
 * IR_MEM_ALIGN access takes the slow path, which raises.
 */
#include "host/x86_64/cg.h"
#include "host/x86_64/ops.h"

static struct rm with_base(const struct cg *c, struct rm x)
{
    x.gs = c->env.with_base;
    return x;
}

static bool checks_alignment(const struct ir_insn *n)
{
    return n->sub & IR_MEM_ALIGN && n->sub & IR_MEM_SIZE;
}

/* The memory at a + imm; its registers are locked. */
static struct rm operand(struct cg *c, const struct ir_insn *n)
{
    unsigned a = n->arg[0], base;
    int64_t at;

    if (c->val[a].folded) {
        const struct ir_insn *sum = insn_of(c, a);

        base = use_reg(c, sum->arg[0]);
        return with_base(c, rm_sib(base, use_reg(c, sum->arg[1]), sum->op == IR_LEA ? sum->sub : 0,
                                   (int32_t)(n->imm + (sum->op == IR_LEA ? sum->imm : 0))));
    }
    if (is_const(c, a) && !checks_alignment(n)) {
        at = (int64_t)((uint64_t)insn_of(c, a)->imm + (uint64_t)n->imm);
        if (fits32(at))
            return with_base(c, rm_abs((int32_t)at));
    }
    return with_base(c, rm_mem(use_reg(c, a), (int32_t)n->imm));
}

/* A register whose low bits tell the alignment of x; to be asked for before args_done(). */
static unsigned align_reg(struct cg *c, const struct ir_insn *n, struct rm x)
{
    int32_t mask = (1 << (n->sub & IR_MEM_SIZE)) - 1;

    if (!checks_alignment(n))
        return NOREG;
    return x.disp & mask ? scratch(c, false) : x.base;
}

/* Goes to cold code when x is not aligned. NULL: nothing to check. */
static struct cold *align_check(struct cg *c, const struct ir_insn *n, struct rm x, unsigned t,
                                enum cold_kind kind)
{
    int32_t mask = (1 << (n->sub & IR_MEM_SIZE)) - 1;
    struct cold *k;

    if (t == NOREG)
        return NULL;
    if (t != x.base)
        as_lea(&c->as, false, t, rm_mem(x.base, x.disp));
    as_test_imm(&c->as, 0, rm_reg(t), mask);
    k = cold_new(c, kind);
    k->from[0] = as_jcc(&c->as, CC_NE);
    k->addr = x.base;
    k->disp = x.disp;
    k->flags = n->sub;
    return k;
}

static void align_end(struct cg *c, struct cold *k, unsigned reg)
{
    if (!k)
        return;
    k->reg = (uint8_t)reg;
    k->back = c->as.p;
    fault_snap(c, k);
}

void direct_ld(struct cg *c, const struct ir_insn *n)
{
    unsigned size = n->sub & IR_MEM_SIZE, d, t;
    bool vec = is_vec_type(n->type), small = vec && size < 2;
    struct rm x = operand(c, n);
    struct cold *k;

    t = align_reg(c, n, x);
    if (small) {
        d = scratch(c, false);
    } else {
        args_done(c);
        d = def_reg(c, 0, vec ? 64 : mem_zbits(n, size));
    }
    k = align_check(c, n, x, t, !vec || small ? COLD_LOAD : size == 4 ? COLD_LOADV : COLD_LOAD_VEC);
    fault_insn(c);
    if (vec && !small)
        mem_load_vec(c, size, d, x);
    else
        mem_load_int(c, n, size, d, x);
    if (k)
        k->narrow = !vec && n->sub & IR_MEM_SIGN && !wide(n->type);
    align_end(c, k, d);
    if (small)
        as_op(&c->as, OP_0F | OP_66 | 0x6e, def_reg(c, 0, 64), rm_reg(d)); /* movd */
}

void direct_st(struct cg *c, const struct ir_insn *n)
{
    unsigned v = n->arg[1], r = NOREG, size = n->sub & IR_MEM_SIZE, t;
    enum cold_kind kind = COLD_STORE_IMM;
    struct cold *k;
    struct rm x;

    if (!is_imm(c, v)) {
        r = mem_store_value(c, v, size);
        kind = r < XMM0 ? COLD_STORE : size == 4 ? COLD_STOREV : COLD_STORE_VEC;
    }
    x = operand(c, n);
    t = align_reg(c, n, x);
    k = align_check(c, n, x, t, kind);
    fault_insn(c);
    if (r == NOREG)
        as_store_imm(&c->as, size, x, insn_of(c, v)->imm);
    else if (r < XMM0)
        as_store(&c->as, size, x, r);
    else
        mem_store_vec(c, size, x, r);
    if (k)
        k->imm = r == NOREG ? insn_of(c, v)->imm : 0;
    align_end(c, k, r);
}

/* The guest address itself. */
void direct_xlate(struct cg *c, const struct ir_insn *n)
{
    unsigned a = n->arg[0], d;
    struct rm x;

    if (is_const(c, a) && !checks_alignment(n)) {
        d = def_reg(c, 0, 64);
        as_mov_imm(&c->as, d, (int64_t)((uint64_t)insn_of(c, a)->imm + (uint64_t)n->imm));
        return;
    }
    x = rm_mem(use_reg(c, a), (int32_t)n->imm);
    align_end(c, align_check(c, n, x, align_reg(c, n, x), COLD_ALIGN), NOREG);
    if (!n->imm) {
        def_alias(c, a);
        return;
    }
    args_done(c);
    as_lea(&c->as, true, def_reg(c, 0, 64), x);
}

/* ---- atomics ---- */

static struct rm atomic_operand(struct cg *c, const struct ir_insn *n)
{
    struct rm x = operand(c, n);
    unsigned t = align_reg(c, n, x);

    align_end(c, align_check(c, n, x, t, COLD_ALIGN), NOREG);
    if (t != NOREG && t != x.base)
        c->locked &= ~(1u << t);
    return x;
}

/* The old value comes in a temporary, never in the slot's register: the store may fault. */
void direct_exchange(struct cg *c, const struct ir_insn *n)
{
    static const unsigned width[4] = { OP_B, OP_66 | 1, 1, OP_W | 1 };
    struct rm x = atomic_operand(c, n);
    unsigned t = scratch(c, false), r;

    if (n->op == IR_AT_XCHG && !c->parallel) {
        r = use_reg(c, n->arg[1]);
        fault_insn(c);
        as_movzx(&c->as, n->type, t, x);
        fault_insn(c);
        as_store(&c->as, n->type, x, r);
        def_in(c, t, ir_type_bits[n->type]);
        return;
    }
    load_to(c, t, n->arg[1]);
    fault_insn(c);
    if (n->op == IR_AT_ADD)
        mem_lock(c);
    as_op_flags(&c->as, host_op_of(n->op)->code[0] | width[n->type], t, x);
    def_in(c, t, mem_int_zbits(n));
}

void direct_cas(struct cg *c, const struct ir_insn *n)
{
    struct rm x;
    unsigned r;

    take(c, RAX);
    x = atomic_operand(c, n);
    r = use_reg(c, n->arg[2]);
    load_to(c, RAX, n->arg[1]);
    fault_insn(c);
    mem_cmpxchg(c, n->type, x, r);
    def_in(c, RAX, 64);
}

/* and, or, xor */
void direct_atomic(struct cg *c, const struct ir_insn *n)
{
    unsigned op = host_op_of(n->op)->code[0], r = NOREG, u;
    bool wanted = c->val[c->i].last;
    const uint8_t *again;
    struct rm x;

    if (wanted)
        take(c, RAX);
    x = atomic_operand(c, n);
    if (wanted || !is_imm(c, n->arg[1]))
        r = use_reg(c, n->arg[1]);
    if (!wanted) {
        fault_insn(c);
        mem_lock_op(c, n, op, x, r);
        return;
    }
    u = scratch(c, false);
    fault_insn(c);
    as_movzx(&c->as, n->type, RAX, x);
    again = c->as.p;
    as_mov(&c->as, true, u, RAX);
    as_alu(&c->as, op, wide(n->type) ? 3 : 2, u, rm_reg(r));
    fault_insn(c);
    if (c->parallel) {
        mem_cmpxchg(c, n->type, x, u);
        as_jcc_to(&c->as, CC_NE, again);
    } else {
        as_store(&c->as, n->type, x, u);
    }
    def_in(c, RAX, mem_int_zbits(n));
}
