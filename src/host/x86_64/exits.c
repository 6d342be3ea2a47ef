/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Control flow within a region and out of it. A direct exit to the same page is a jump that link()
 * patches; its cold stub leaves with the exit's number. Other exits probe the jump cache inline.
 * All slots are in memory or pinned here: nothing is pending at an exit.
 *
 * In direct mode a guest call is a host call: on the stack are the guest's return pc and the host's
 * return address, behind which is an exit to that pc. A guest return is a host ret when the pc
 * matches; else the stack starts anew, at its top. Calls and matching returns need no poll:
 * whatever goes on for ever in them alone fills the stack, and that is a poll. Leaving emitted
 * code, which every change of mode or mapping takes, empties it; blocks that die unlink the exits
 * to them.
 */
#include "host/x86_64/cg.h"
#include "host/x86_64/ops.h"

/* The one place that decides how a direct exit leaves. A mapping may change under a link across
 * pages, so that only exits within the page are linked; in direct mode a change of mappings takes
 * the blocks away. */
static bool linkable(const struct cg *c, const struct ir_insn *n)
{
    return c->env.direct || n->sub & IR_EXIT_SAMEPAGE;
}

static struct rm pc_mem(const struct cg *c)
{
    return slot_mem(c, c->ir->slot_pc);
}

static void emit_poll(struct cg *c, unsigned reg, gva_t pc)
{
    struct cold *k = cold_new(c, COLD_POLL);

    as_alu_imm(&c->as, ALU_CMP, 2, cpu_mem(c->env.off_exit_request), 0);
    k->from[0] = as_jcc(&c->as, CC_NE);
    k->reg = (uint8_t)reg;
    k->imm = (int64_t)pc;
}

/* A direct exit whose rel32 is aligned: it may be patched while other threads run it. jump: its
 * opcode, of two bytes from 0x100 on. */
static void exit_linked(struct cg *c, unsigned jump, gva_t pc, unsigned flags)
{
    struct host_exit *e = &c->ret->exits[c->ret->exit_count];
    struct cold *k = cold_new(c, COLD_EXIT);

    as_nops(&c->as, (unsigned)((jump < 0x100 ? 3 : 2) - (uintptr_t)c->as.p) & 3);
    if (jump >= 0x100)
        as_u8(&c->as, 0x0f);
    as_u8(&c->as, jump & 0xff);
    k->from[0] = c->as.p;
    as_u32(&c->as, 0);
    k->imm = c->ret->exit_count++;
    *e = (struct host_exit){ .patch = (uint32_t)(k->from[0] - c->buf->rw),
                             .pc = pc,
                             .flags = (uint8_t)flags };
}

/* Pushes the entry's pc; the call pushes the code. It goes to reg, or pc if that is NOREG. */
static void call_begin(struct cg *c, unsigned reg, gva_t pc)
{
    struct cold *k = cold_new(c, COLD_STACK);

    as_alu(&c->as, ALU_CMP, 3, RSP, stack_limit(c));
    k->from[0] = as_jcc(&c->as, CC_B);
    k->back = c->as.p;
    k->reg = (uint8_t)reg;
    k->imm = (int64_t)pc;
    if (fits32((int64_t)c->ret_pc)) {
        as_push_imm(&c->as, (int32_t)c->ret_pc);
        return;
    }
    as_lea(&c->as, true, RSP, rm_mem(RSP, -8));
    as_store_imm(&c->as, 2, rm_mem(RSP, 0), (int64_t)(c->ret_pc & UINT32_MAX));
    as_store_imm(&c->as, 2, rm_mem(RSP, 4), (int64_t)(c->ret_pc >> 32));
}

/* Where the predicted return comes to. */
static void call_end(struct cg *c)
{
    as_lea(&c->as, true, RSP, rm_mem(RSP, 8));
    exit_linked(c, 0xe9, c->ret_pc, 0);
    c->calls = false;
}

/* A jump on condition cc, or NOREG. */
static void jump_linked(struct cg *c, unsigned cc, const struct ir_insn *n)
{
    if (c->calls)
        call_begin(c, NOREG, (gva_t)n->imm);
    exit_linked(c, c->calls ? 0xe8 : cc == NOREG ? 0xe9 : 0x180 | cc, (gva_t)n->imm, n->sub);
    if (c->calls)
        call_end(c);
}

/* t = the entry of the jump cache for pc, compared with pc */
static void jump_index(struct cg *c, unsigned pc, unsigned t)
{
    unsigned bits = c->env.jump_cache_bits;

    as_mov(&c->as, true, t, pc);
    as_shift_imm(&c->as, SH_SHR, 3, t, bits);
    as_alu(&c->as, ALU_XOR, 2, t, rm_reg(pc));
    as_shift_imm(&c->as, SH_SHL, 2, t, 4 - c->env.jump_shift); /* an entry has 16 bytes */
    as_alu_imm(&c->as, ALU_AND, 2, rm_reg(t), (int32_t)((1u << bits) - 1) << 4);
    as_alu(&c->as, ALU_ADD, 3, t, cpu_mem(c->env.off_jump_cache));
    as_alu(&c->as, ALU_CMP, 3, pc, rm_mem(t, 0));
}

/* u = the code of entry t */
static void jump_code(struct cg *c, unsigned t, unsigned u, int32_t disp)
{
    as_load(&c->as, false, u, rm_mem(t, disp + (int32_t)offsetof(struct host_jump_entry, code)));
    as_lea_rip(&c->as, t, c->buf->rw);
    as_alu(&c->as, ALU_ADD, 3, u, rm_reg(t));
}

static void tag_compare(struct cg *c, unsigned t, unsigned u, int32_t disp)
{
    as_load(&c->as, false, u, cpu_mem(c->env.off_jump_tag));
    as_alu(&c->as, ALU_CMP, 2, u, rm_mem(t, disp + (int32_t)offsetof(struct host_jump_entry, tag)));
}

/* t holds the entry whose pc matched: compares the tag and jumps to its code. */
static void jump_entry(struct cg *c, unsigned t, unsigned u, int32_t disp, struct cold *k)
{
    tag_compare(c, t, u, disp);
    k->from[1] = as_jcc(&c->as, CC_NE);
    jump_code(c, t, u, disp);
    if (c->calls)
        call_begin(c, k->reg, (gva_t)k->imm);
    as_op(&c->as, 0xff, c->calls ? 2 : 4, rm_reg(u));
    if (c->calls)
        call_end(c);
}

void jump_probe(struct cg *c, unsigned pc, unsigned t, unsigned u)
{
    uint8_t *miss[3];

    as_alu_imm(&c->as, ALU_CMP, 2, cpu_mem(c->env.off_exit_request), 0); /* returns have no poll */
    miss[2] = as_jcc(&c->as, CC_NE);
    jump_index(c, pc, t);
    miss[0] = as_jcc(&c->as, CC_NE);
    tag_compare(c, t, u, 0);
    miss[1] = as_jcc(&c->as, CC_NE);
    jump_code(c, t, u, 0);
    as_lea(&c->as, true, RSP, rm_mem(RSP, 8));
    as_op(&c->as, 0xff, 4, rm_reg(u));
    as_patch(miss[0], c->as.p);
    as_patch(miss[1], c->as.p);
    as_patch(miss[2], c->as.p);
    as_u8(&c->as, 0xc3);
}

/* The jump cache entry of a constant pc. */
static void probe_const(struct cg *c, gva_t pc)
{
    struct cold *k = cold_new(c, COLD_IND);
    int32_t disp = (int32_t)(host_jump_hash(pc, c->env.jump_cache_bits, c->env.jump_shift) *
                             sizeof(struct host_jump_entry));

    k->reg = NOREG;
    k->imm = (int64_t)pc;
    as_load(&c->as, true, RAX, cpu_mem(c->env.off_jump_cache));
    if (fits32((int64_t)pc)) {
        as_alu_imm(&c->as, ALU_CMP, 3, rm_mem(RAX, disp), (int64_t)pc);
    } else {
        as_mov_imm(&c->as, RCX, (int64_t)pc);
        as_alu(&c->as, ALU_CMP, 3, RCX, rm_mem(RAX, disp));
    }
    k->from[0] = as_jcc(&c->as, CC_NE);
    jump_entry(c, RAX, RCX, disp, k);
}

/* A jump back to the region's entry: linked to the region itself, to the body. */
static void jump_self(struct cg *c, const struct ir_insn *n)
{
    struct host_exit *e = &c->ret->exits[c->ret->exit_count];
    struct cold *k;

    if (n->sub & IR_EXIT_POLL) {
        emit_poll(c, NOREG, (gva_t)n->imm);
        c->cold[c->cold_count - 1].leaves = true;
    }
    exit_linked(c, 0xe9, (gva_t)n->imm, n->sub);
    k = &c->cold[c->cold_count - 1];
    k->kind = COLD_SELF;
    e->self_patch = (uint32_t)(k->from[0] - c->buf->rw);
    e->self_code = (uint32_t)(c->start - c->buf->rw);
    e->self_entry = c->loop_body;
}

static void emit_exit_jmp(struct cg *c, const struct ir_insn *n)
{
    if (c->loops && !c->calls && (gva_t)n->imm == c->ir->pc) {
        jump_self(c, n);
        return;
    }
    loop_leave(c);
    if (n->sub & IR_EXIT_POLL && !c->calls)
        emit_poll(c, NOREG, (gva_t)n->imm);
    if (linkable(c, n))
        jump_linked(c, NOREG, n);
    else
        probe_const(c, (gva_t)n->imm);
}

static void emit_exit_ind(struct cg *c, const struct ir_insn *n)
{
    unsigned a = use_reg(c, n->arg[0]), t, u;
    struct cold *k;

    if (c->swap_count && loop_has(c, a)) {
        t = scratch(c, false);
        as_mov(&c->as, true, t, a);
        a = t;
    }
    loop_leave(c);
    if (c->env.direct && n->sub == IR_IND_RET) { /* needs no poll: its call is behind it */
        as_alu(&c->as, ALU_CMP, 3, a, rm_mem(RSP, 8));
        k = cold_new(c, COLD_RETURN);
        k->reg = (uint8_t)a;
        k->from[0] = as_jcc(&c->as, CC_NE);
        as_u8(&c->as, 0xc3);
        return;
    }
    t = scratch(c, false);
    u = scratch(c, false);
    emit_poll(c, a, 0);
    k = cold_new(c, COLD_IND);
    k->reg = (uint8_t)a;
    jump_index(c, a, t);
    k->from[0] = as_jcc(&c->as, CC_NE);
    jump_entry(c, t, u, 0, k);
}

static void leave(struct cg *c, uint32_t stub)
{
    as_jmp_to(&c->as, stub_at(c, stub));
}

static void emit_exit_loop(struct cg *c, const struct ir_insn *n)
{
    loop_leave(c);
    as_mov_imm(&c->as, RDX, n->sub);
    as_mov_imm(&c->as, RAX, HOST_LEFT_LOOP);
    leave(c, c->stub.leave);
}

static void store_pc(struct cg *c, unsigned reg, gva_t pc)
{
    if (reg != NOREG) {
        as_store(&c->as, 3, pc_mem(c), reg);
    } else if (fits32((int64_t)pc)) {
        as_store_imm(&c->as, 3, pc_mem(c), (int64_t)pc);
    } else {
        as_mov_imm(&c->as, RAX, (int64_t)pc);
        as_store(&c->as, 3, pc_mem(c), RAX);
    }
}

void cold_exit(struct cg *c, struct cold *k)
{
    struct host_exit *e;

    for (unsigned i = 0; i < 2; i++)
        if (k->from[i])
            as_patch(k->from[i], c->as.p);
    switch (k->kind) {
    case COLD_SELF:
        e = &c->ret->exits[k->imm];
        e->self_stub = (uint32_t)(c->as.p - c->buf->rw);
        loop_leave(c);
        as_nops(&c->as, (unsigned)(3 - (uintptr_t)c->as.p) & 3);
        e->patch = (uint32_t)(as_jmp(&c->as) - c->buf->rw);
        /* fall through */
    case COLD_EXIT:
        e = &c->ret->exits[k->imm];
        e->unlinked = (uint32_t)(c->as.p - c->buf->rw);
        store_pc(c, NOREG, e->pc);
        as_mov_imm(&c->as, RDX, c->exit_base + (uint32_t)k->imm);
        leave(c, c->stub.leave_exit);
        break;
    case COLD_POLL:
        if (k->leaves)
            loop_leave(c);
        store_pc(c, k->reg, (gva_t)k->imm);
        leave(c, c->stub.leave_poll);
        break;
    case COLD_IND:
        store_pc(c, k->reg, (gva_t)k->imm);
        leave(c, c->stub.leave_ind);
        break;
    case COLD_RETURN: /* longjmp and the like, or a deep recursion comes back */
        as_load(&c->as, true, RSP, stack_top(c));
        if (k->reg != RAX)
            as_mov(&c->as, true, RAX, k->reg);
        as_call_to(&c->as, stub_at(c, c->stub.probe_jump));
        store_pc(c, RAX, 0);
        leave(c, c->stub.leave_ind);
        break;
    case COLD_STACK:
        as_load(&c->as, true, RSP, stack_top(c));
        as_alu_imm(&c->as, ALU_CMP, 2, cpu_mem(c->env.off_exit_request), 0);
        as_jcc_to(&c->as, CC_E, k->back);
        store_pc(c, k->reg, (gva_t)k->imm);
        leave(c, c->stub.leave_poll);
        break;
    default: /* COLD_VEC_LIVE */
        as_call_to(&c->as, stub_at(c, c->stub.vec_live));
        as_jmp_to(&c->as, k->back);
        break;
    }
}

/* ---- within the region ---- */

static void emit_label(struct cg *c, const struct ir_insn *n)
{
    struct label *l = &c->label[n->imm];

    if (!l->refs && l->closed &&
        l->exit) { /* all branches to it became jumps to the exit's target */
        c->skip = l->exit + 1u;
        return;
    }
    l->at = (uint32_t)(c->as.p - c->start);
    alloc_label(c);
}

static void emit_br(struct cg *c, const struct ir_insn *n)
{
    uint32_t at = c->label[n->imm].at;

    if (at != UINT32_MAX)
        as_jmp_to(&c->as, c->start + at);
    else if (insn_of(c, c->i + 1)->op != IR_LABEL || insn_of(c, c->i + 1)->imm != n->imm)
        label_ref(c, as_jmp(&c->as), (unsigned)n->imm);
    alloc_label(c);
}

static unsigned next_insn(const struct cg *c, unsigned i)
{
    do
        i++;
    while (i + 1 < c->ir->count && insn_of(c, i)->op == IR_NOP);
    return i;
}

static bool is_label(const struct cg *c, unsigned i, int64_t label)
{
    return i < c->ir->count && insn_of(c, i)->op == IR_LABEL && insn_of(c, i)->imm == label;
}

/* An exit that is one jump, so that a condition can be on it. */
static bool is_plain_exit(const struct cg *c, const struct ir_insn *n)
{
    return n->op == IR_EXIT_JMP && !c->swap_count && linkable(c, n) && !(n->sub & IR_EXIT_POLL);
}

static void emit_brcond(struct cg *c, const struct ir_insn *n)
{
    struct label *l = &c->label[n->imm];
    unsigned cc = emit_compare(c, n->sub, n->arg[0], n->arg[1]), next = next_insn(c, c->i);

    c->calls = false;
    if (l->at != UINT32_MAX) {
        as_jcc_to(&c->as, cc, c->start + l->at);
    } else if (l->exit && is_plain_exit(c, insn_of(c, l->exit))) {
        jump_linked(c, cc, insn_of(c, l->exit));
        l->refs--;
    } else if (is_plain_exit(c, insn_of(c, next)) && is_label(c, next_insn(c, next), n->imm)) {
        jump_linked(c, cc ^ 1, insn_of(c, next)); /* and fall into the label */
        c->skip = next + 1;
        l->closed = false;
    } else {
        label_ref(c, as_jcc(&c->as, cc), (unsigned)n->imm);
    }
    alloc_label(c);
}

/* The exit behind it is the call. In system mode EXIT_IND's probe serves returns, whose host jump
 * the processor predicts by history. */
static void emit_retaddr(struct cg *c, const struct ir_insn *n)
{
    c->calls = c->env.direct;
    c->ret_pc = (gva_t)n->imm;
}

static void emit_nothing(struct cg *c, const struct ir_insn *n)
{
    (void)c;
    (void)n;
}

static void emit_insn(struct cg *c, const struct ir_insn *n)
{
    c->pc = (gva_t)n->imm;
}

static void emit_const(struct cg *c, const struct ir_insn *n)
{
    (void)n;
    def_const(c);
}

static void emit_put(struct cg *c, const struct ir_insn *n)
{
    put_slot(c, (unsigned)n->imm, n->arg[0]);
}

const struct host_op ops_flow[IR_OP_COUNT] = {
    [IR_NOP] = { emit_nothing, "-" },
    [IR_INSN] = { emit_insn, "-" },
    [IR_CONST] = { emit_const, "*" },
    [IR_GET] = { get_slot, "*" },
    [IR_PUT] = { emit_put, "-,*me" },
    [IR_LABEL] = { emit_label, "-" },
    [IR_BR] = { emit_br, "-" },
    [IR_BRCOND] = { emit_brcond, "-,mr,re" },
    [IR_CALL] = { emit_call, "*,*,*,*,*" },
    [IR_EXIT_JMP] = { emit_exit_jmp, "-" },
    [IR_EXIT_IND] = { emit_exit_ind, "-,r" },
    [IR_EXIT_LOOP] = { emit_exit_loop, "-" },
    [IR_KILL] = { emit_nothing, "-" },
    [IR_RETADDR] = { emit_retaddr, "-" },
};
