/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code emitted once per buffer: entering and leaving, calls of C, slow paths of memory. System V
 * calling convention. Every call of C keeps the pinned registers: integer slots are written to
 * memory first (fault lookup and helpers look there), vectors only while they are live.
 */
#include <stddef.h>

#include "host/x86_64/ops.h"

enum {
    SAVED_COUNT = 6,
    HOST_MXCSR = 16,
    SCRATCH_MXCSR = 20,
    MXCSR_FLAGS = 0x3f,
    MXCSR_MASKS = 0x1f80,
    CALLER_SAVED = 0xf << R8
};

static const uint8_t callee_saved[SAVED_COUNT] = { RBX, RBP, R12, R13, R14, R15 };

static uint32_t here(struct cg *c)
{
    as_nops(&c->as, (unsigned)-(uintptr_t)c->as.p & 15);
    return (uint32_t)(c->as.p - c->buf->rw);
}

/* Pinned registers of mask to or from their slots. */
static void pins(struct cg *c, uint32_t mask, bool store)
{
    for (uint32_t m = c->pinned & mask; m; m &= m - 1) {
        unsigned r = (unsigned)__builtin_ctz(m);
        struct rm x = slot_mem(c, c->pin_slot[r]);

        if (r >= XMM0)
            as_op(&c->as, OP_0F | (store ? 0x29 : 0x28), r, x);
        else if (store)
            as_store(&c->as, 3, x, r);
        else
            as_load(&c->as, true, r, x);
    }
}

enum { INTS = 0xffff };
#define VECS 0xffff0000u

static void temps(struct cg *c, bool store)
{
    for (uint32_t m = TEMPS_INT; m; m &= m - 1) {
        unsigned r = (unsigned)__builtin_ctz(m);
        struct rm x = cpu_mem(c->env.off_saved + 8 * r);

        if (store)
            as_store(&c->as, 3, x, r);
        else
            as_load(&c->as, true, r, x);
    }
}

/* xmm0-3 to or from the stack */
static void vec_temps(struct cg *c, bool store)
{
    for (unsigned k = 0; k < 4; k++)
        as_op(&c->as, OP_0F | (store ? 0x29 : 0x28), XMM0 + k, rm_mem(RSP, (int32_t)k * 16));
}

static uint8_t *test_vec_live(struct cg *c, unsigned cc)
{
    as_alu_imm(&c->as, ALU_CMP, 0, cpu_mem(c->env.off_vec_live), 0);
    return as_jcc(&c->as, cc);
}

/* An empty stack of predicted returns: its last entry is of a pc that is none. */
static void start_returns(struct cg *c)
{
    struct as *as = &c->as;

    as_store(as, 3, stack_top(c), RSP);
    as_lea(as, true, RAX, rm_mem(RSP, -RSTACK_BYTES));
    as_store(as, 3, stack_limit(c), RAX);
    as_lea_rip(as, RAX, as->p); /* the code address is not used */
    as_store(as, 3, rm_mem(RSP, 0), RAX);
    as_mov_imm(as, RAX, (int64_t)UINT64_C(0x8001fffffffffff1));
    as_store(as, 3, rm_mem(RSP, 8), RAX);
}

static void emit_enter(struct cg *c)
{
    struct as *as = &c->as;

    c->stub.enter = here(c);
    for (unsigned k = 0; k < SAVED_COUNT; k++)
        as_push(as, callee_saved[k]);
    as_alu_imm(as, ALU_SUB, 3, rm_reg(RSP), FRAME_BYTES);
    as_lea(as, true, RBP, rm_mem(RDI, CPU_BIAS));
    if (c->env.direct)
        start_returns(c);
    as_op(as, OP_0F | 0xae, 3, rm_mem(RSP, HOST_MXCSR)); /* stmxcsr */
    as_load(as, false, RAX, cpu_mem(c->env.off_fpcsr));
    as_movzx(as, 1, RAX, rm_reg(RAX));
    as_alu_imm(as, ALU_OR, 2, rm_reg(RAX), MXCSR_MASKS);
    as_store(as, 2, rm_mem(RSP, SCRATCH_MXCSR), RAX);
    as_op(as, OP_0F | 0xae, 2, rm_mem(RSP, SCRATCH_MXCSR)); /* ldmxcsr */
    as_store_imm(as, 0, cpu_mem(c->env.off_vec_live), 0);
    pins(c, INTS, false);
    as_op(as, 0xff, 4, rm_reg(RSI)); /* jmp rsi */
}

static void emit_leave(struct cg *c)
{
    struct as *as = &c->as;
    uint8_t *skip;

    c->stub.leave_exit = here(c);
    as_mov_imm(as, RAX, HOST_LEFT_EXIT);
    c->stub.leave = (uint32_t)(as->p - c->buf->rw);
    if (c->env.direct)
        as_load(as, true, RSP, stack_top(c));
    pins(c, INTS, true);
    skip = test_vec_live(c, CC_E);
    pins(c, VECS, true);
    as_store_imm(as, 0, cpu_mem(c->env.off_vec_live), 0);
    as_patch(skip, as->p);
    as_op(as, OP_0F | 0xae, 3, rm_mem(RSP, SCRATCH_MXCSR));
    as_load(as, false, RCX, rm_mem(RSP, SCRATCH_MXCSR));
    as_alu_imm(as, ALU_AND, 2, rm_reg(RCX), MXCSR_FLAGS);
    as_op(as, 0x09, RCX, cpu_mem(c->env.off_fpcsr)); /* or [image], ecx */
    as_op(as, OP_0F | 0xae, 2, rm_mem(RSP, HOST_MXCSR));
    as_alu_imm(as, ALU_ADD, 3, rm_reg(RSP), FRAME_BYTES);
    for (unsigned k = SAVED_COUNT; k--;)
        as_pop(as, callee_saved[k]);
    as_u8(as, 0xc3);

    c->stub.leave_poll = here(c);
    as_mov_imm(as, RAX, HOST_LEFT_POLL);
    as_jmp_to(as, stub_at(c, c->stub.leave));
    c->stub.leave_ind = here(c);
    as_mov_imm(as, RAX, HOST_LEFT_IND);
    as_jmp_to(as, stub_at(c, c->stub.leave));
}

static void ret(struct cg *c, unsigned pop)
{
    as_u8(&c->as, 0xc2);
    as_u8(&c->as, pop);
    as_u8(&c->as, 0);
}

/* Stack: return address, table offset of the helper. */
static void emit_call_stub(struct cg *c)
{
    struct as *as = &c->as;
    uint8_t *live;

    c->stub.call = here(c);
    pins(c, INTS, true);
    as_mov(as, true, R8, RAX);
    as_mov(as, true, R9, RDI);
    as_load(as, true, R10, rm_mem(RSP, 0));
    as_store(as, 3, cpu_mem(c->env.off_host_ra), R10);
    as_load(as, true, R11, rm_mem(RSP, 8));
    as_lea(as, true, RDI, rm_mem(RBP, -CPU_BIAS));
    live = test_vec_live(c, CC_NE);
    as_op(as, 0xff, 2, rm_sib(RBP, R11, 0, (int32_t)c->env.off_helpers - CPU_BIAS));
    pins(c, INTS, false);
    ret(c, 8);
    as_patch(live, as->p);
    pins(c, VECS, true);
    as_op(as, 0xff, 2, rm_sib(RBP, R11, 0, (int32_t)c->env.off_helpers - CPU_BIAS));
    pins(c, INTS | VECS, false);
    ret(c, 8);
}

/* The same for pure helpers: what C may destroy is kept. */
static void emit_pure_stub(struct cg *c)
{
    struct as *as = &c->as;
    struct rm fn = rm_sib(RBP, R11, 0, (int32_t)c->env.off_helpers - CPU_BIAS);
    uint8_t *live;

    c->stub.pure = here(c);
    pins(c, CALLER_SAVED, true);
    as_mov(as, true, R8, RAX);
    as_mov(as, true, R9, RDI);
    as_load(as, true, R11, rm_mem(RSP, 8));
    as_lea(as, true, RDI, rm_mem(RBP, -CPU_BIAS));
    live = test_vec_live(c, CC_NE);
    as_op(as, 0xff, 2, fn);
    pins(c, CALLER_SAVED, false);
    ret(c, 8);
    as_patch(live, as->p);
    pins(c, VECS, true);
    as_op(as, 0xff, 2, fn);
    pins(c, CALLER_SAVED | VECS, false);
    ret(c, 8);
}

struct slow {
    enum host_fn fn;
    unsigned words; /* on the stack above the return address: flags, address, and a value */
    bool result;    /* replaces the address; the caller pops it */
};

/* C's arguments from the stack, where the address is at rsp + at + 16. */
static void slow_args(struct cg *c, const struct slow *s, int32_t at)
{
    struct as *as = &c->as;

    as_lea(as, true, RDI, rm_mem(RBP, -CPU_BIAS));
    as_load(as, true, RSI, rm_mem(RSP, at + 16));
    as_load(as, false, RDX, rm_mem(RSP, at + 8));
    switch (s->fn) {
    case HOST_FN_STORE:
        as_mov(as, false, RCX, RDX);
        as_load(as, true, RDX, rm_mem(RSP, at + 24));
        break;
    case HOST_FN_LOADV:
    case HOST_FN_STOREV:
        as_mov(as, false, RCX, RDX);
        as_lea(as, true, RDX, cpu_mem(c->env.off_scratch));
        break;
    case HOST_FN_XLATE: /* flags: log2 of the size, IR_MEM_WRITE */
        as_mov(as, false, RCX, RDX);
        as_alu_imm(as, ALU_AND, 2, rm_reg(RCX), IR_MEM_SIZE);
        as_mov_imm(as, RAX, 1);
        as_shift_cl(as, SH_SHL, 2, RAX);
        as_mov(as, false, RCX, RDX);
        as_shift_imm(as, SH_SHR, 2, RCX, 4);
        as_mov(as, false, RDX, RAX);
        break;
    default: break;
    }
}

static void slow_call(struct cg *c, const struct slow *s, int32_t at)
{
    slow_args(c, s, at);
    as_op(&c->as, 0xff, 2, cpu_mem(c->env.off_helpers + s->fn * (uint32_t)sizeof(helper_fn *)));
    if (s->result)
        as_store(&c->as, 3, rm_mem(RSP, at + 16), RAX);
}

/* Keeps every register. */
static uint32_t emit_slow(struct cg *c, const struct slow *s)
{
    struct as *as = &c->as;
    int32_t pad = s->words & 1 ? 0 : 8, frame = 64 + pad;
    uint32_t at = here(c);
    uint8_t *live;

    temps(c, true);
    pins(c, INTS, true);
    as_load(as, true, RAX, rm_mem(RSP, 0));
    as_store(as, 3, cpu_mem(c->env.off_host_ra), RAX);
    live = test_vec_live(c, CC_NE);
    if (pad)
        as_lea(as, true, RSP, rm_mem(RSP, -pad));
    slow_call(c, s, pad);
    if (pad)
        as_lea(as, true, RSP, rm_mem(RSP, pad));
    pins(c, CALLER_SAVED, false);
    temps(c, false);
    ret(c, (s->words - s->result) * 8);
    as_patch(live, as->p);
    as_lea(as, true, RSP, rm_mem(RSP, -frame));
    vec_temps(c, true);
    pins(c, VECS, true);
    slow_call(c, s, frame);
    vec_temps(c, false);
    as_lea(as, true, RSP, rm_mem(RSP, frame));
    pins(c, CALLER_SAVED | VECS, false);
    temps(c, false);
    ret(c, (s->words - s->result) * 8);
    return at;
}

/* Stack: return address, bytes less 1, address. The address becomes the page's addend, or 0 when
 * not all bytes are on one page that the soft TLB has. Keeps every register. */
static uint32_t emit_probe(struct cg *c, uint32_t tag)
{
    struct as *as = &c->as;
    uint32_t at = here(c);
    uint8_t *miss;

    as_push(as, RAX);
    as_push(as, RCX);
    as_push(as, RDX);
    as_load(as, true, RAX, rm_mem(RSP, 40));
    as_mov(as, true, RDX, RAX);
    as_alu(as, ALU_ADD, 3, RDX, rm_mem(RSP, 32));
    tlb_index(c, RCX, RAX, 0);
    as_alu_imm(as, ALU_AND, 3, rm_reg(RDX), -(1 << c->env.page_bits));
    as_alu(as, ALU_ADD, 3, RCX, cpu_mem(c->env.off_tlb));
    as_alu(as, ALU_CMP, 3, RDX, rm_mem(RCX, (int32_t)tag));
    as_mov_imm(as, RAX, 0);
    miss = as_jcc(as, CC_NE);
    as_load(as, true, RAX, rm_mem(RCX, offsetof(struct host_tlb_entry, addend)));
    as_patch(miss, as->p);
    as_store(as, 3, rm_mem(RSP, 40), RAX);
    as_pop(as, RDX);
    as_pop(as, RCX);
    as_pop(as, RAX);
    ret(c, 8);
    return at;
}

static void emit_vec_live(struct cg *c)
{
    c->stub.vec_live = here(c);
    pins(c, VECS, false);
    as_store_imm(&c->as, 0, cpu_mem(c->env.off_vec_live), 1);
    as_u8(&c->as, 0xc3);
}

static void all_vecs(struct cg *c, bool store)
{
    for (unsigned k = 0; k < 16; k++)
        as_op(&c->as, OP_0F | (store ? 0x29 : 0x28), XMM0 + k,
              cpu_mem(c->env.off_scratch + 16 * k));
}

/* Lane 0 of the size in rdx's low bits, or all, of the vector at rsp goes to rbp + rdx. */
static void store_result(struct cg *c)
{
    static const unsigned code[3] = { OP_0F | OP_F3 | 0x11, OP_0F | 0x13, OP_0F | 0x29 };
    struct as *as = &c->as;
    uint8_t *done[2];

    as_op(as, OP_0F | 0x28, XMM0, rm_mem(RSP, 0));
    for (unsigned k = 0; k < 3; k++) { /* movss, movlps, movaps */
        int32_t size = k < 2 ? 4 << k : 0;
        uint8_t *other = NULL;

        if (size) {
            as_test_imm(as, 0, rm_reg(RDX), size);
            other = as_jcc(as, CC_E);
        }
        as_op(as, code[k], XMM0, rm_sib(RBP, RDX, 0, -size));
        if (size) {
            done[k] = as_jmp(as);
            as_patch(other, as->p);
        }
    }
    as_patch(done[0], as->p);
    as_patch(done[1], as->p);
}

/* Stack: return address, table offset of a pure helper, places of its n vectors, a word for the
 * integer result or the place of the vector. Places count from rbp; those of registers are in the
 * scratch area. Keeps every register but the result's; the integer is left on the stack. */
static uint32_t emit_fix(struct cg *c, unsigned n, bool vec)
{
    static const uint8_t arg[5] = { RSI, RDX, RCX, R8, R9 };
    enum { SAVED_RSP = 16, FRAME = 32 };
    int32_t result = 16 + 8 * (int32_t)n;
    struct as *as = &c->as;
    uint32_t at = here(c);

    temps(c, true);
    pins(c, CALLER_SAVED, true);
    all_vecs(c, true);
    as_mov(as, true, RAX, RSP);
    as_lea(as, true, RSP, rm_mem(RSP, -FRAME));
    as_alu_imm(as, ALU_AND, 3, rm_reg(RSP), -16);
    as_store(as, 3, rm_mem(RSP, SAVED_RSP), RAX);
    for (unsigned k = 0; k < n; k++) {
        as_load(as, true, arg[k + vec], rm_mem(RAX, 16 + 8 * (int32_t)k));
        as_alu(as, ALU_ADD, 3, arg[k + vec], rm_reg(RBP));
    }
    if (vec)
        as_mov(as, true, RSI, RSP);
    as_load(as, true, R10, rm_mem(RAX, 8));
    as_lea(as, true, RDI, rm_mem(RBP, -CPU_BIAS));
    as_op(as, 0xff, 2, rm_sib(RBP, R10, 0, (int32_t)c->env.off_helpers - CPU_BIAS));
    as_load(as, true, RCX, rm_mem(RSP, SAVED_RSP));
    if (vec) {
        as_load(as, true, RDX, rm_mem(RCX, result));
        store_result(c);
    } else {
        as_store(as, 3, rm_mem(RCX, result), RAX);
    }
    as_mov(as, true, RSP, RCX);
    all_vecs(c, false);
    pins(c, CALLER_SAVED, false);
    temps(c, false);
    ret(c, 8 * (n + 1 + vec));
    return at;
}

/* rax: the pc of an indirect jump. Jumps there if the jump cache knows it, else returns. */
static uint32_t emit_probe_jump(struct cg *c)
{
    uint32_t at = here(c);

    jump_probe(c, RAX, RCX, RDX);
    return at;
}

void stubs_emit(struct cg *c)
{
    emit_enter(c);
    emit_leave(c);
    emit_call_stub(c);
    emit_pure_stub(c);
    c->stub.load = emit_slow(c, &(struct slow){ HOST_FN_LOAD, 2, true });
    c->stub.store = emit_slow(c, &(struct slow){ HOST_FN_STORE, 3, false });
    c->stub.loadv = emit_slow(c, &(struct slow){ HOST_FN_LOADV, 2, false });
    c->stub.storev = emit_slow(c, &(struct slow){ HOST_FN_STOREV, 2, false });
    c->stub.xlate = emit_slow(c, &(struct slow){ HOST_FN_XLATE, 2, true });
    emit_vec_live(c);
    for (unsigned n = 0; n < 3; n++)
        c->stub.fix_int[n] = emit_fix(c, n, false);
    for (unsigned n = 1; n < 5; n++)
        c->stub.fix_vec[n] = emit_fix(c, n, true);
    c->stub.consts = here(c);
    c->as.p += CONST_COUNT * 16;
    if (c->env.direct) {
        c->stub.probe_jump = emit_probe_jump(c);
        return;
    }
    c->stub.probe_read = emit_probe(c, offsetof(struct host_tlb_entry, read_tag));
    c->stub.probe_write = emit_probe(c, offsetof(struct host_tlb_entry, write_tag));
}
