/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guest memory (direct mode: mem_direct.c): the soft TLB inline, the access by host address, and
 * its slow path. A slow path is a few bytes of cold code: address, value and flags on the stack, a
 * call of the common stub (which keeps every register), the result popped.
 */
#include "host/x86_64/cg.h"
#include "host/x86_64/ops.h"

/* ---- the inline check ---- */

struct check {
    unsigned addr; /* register of the address operand */
    unsigned t, u; /* temporaries: t ends as the addend; u is free again after the check */
    bool shared;   /* t holds the addend already, or 0 */
    bool share;    /* t is to serve the accesses after this one too */
    bool aligned;
    uint32_t tag;   /* offset of the tag in the entry */
    int32_t lo, hi; /* bytes to check, from the address operand */
    struct cold *cold;
};

/* t = offset of the entry for the page of addr + disp in the table */
void tlb_index(struct cg *c, unsigned t, unsigned addr, int32_t disp)
{
    unsigned shift = c->env.page_bits - 5;

    if (!disp && c->has & HAS_BMI2) {
        as_vex(&c->as, OP_3A | OP_F2 | 0xf0, t, 0, rm_reg(addr)); /* rorx */
        as_u8(&c->as, shift);
    } else {
        if (disp)
            as_lea(&c->as, false, t, rm_mem(addr, disp));
        else
            as_mov(&c->as, false, t, addr);
        as_shift_imm(&c->as, SH_SHR, 2, t, shift);
    }
    as_alu_imm(&c->as, ALU_AND, 2, rm_reg(t), (int32_t)((1u << c->env.tlb_bits) - 1) << 5);
}

/* t = the entry, u = page of the last byte (or with the bits that must be 0), compared with the
 * tag. */
static void tlb_compare(struct cg *c, unsigned t, unsigned u, unsigned addr, int32_t lo, int32_t hi,
                        uint32_t tag, bool aligned)
{
    int32_t page = -(1 << c->env.page_bits), disp = aligned ? lo : hi - 1;

    tlb_index(c, t, addr, lo);
    if (disp)
        as_lea(&c->as, true, u, rm_mem(addr, disp));
    else
        as_mov(&c->as, true, u, addr);
    as_alu_imm(&c->as, ALU_AND, 3, rm_reg(u), aligned ? page | (hi - lo - 1) : page);
    as_alu(&c->as, ALU_ADD, 3, t, cpu_mem(c->env.off_tlb));
    as_alu(&c->as, ALU_CMP, 3, u, rm_mem(t, (int32_t)tag));
}

static void check(struct cg *c, struct check *k, const struct ir_insn *n, enum cold_kind kind)
{
    k->cold = cold_new(c, kind);
    if (k->shared) {
        as_test(&c->as, 3, k->t, rm_reg(k->t));
        k->cold->from[0] = as_jcc(&c->as, CC_E);
    } else {
        tlb_compare(c, k->t, k->u, k->addr, k->lo, k->hi, k->tag, k->aligned);
        k->cold->from[0] = as_jcc(&c->as, CC_NE);
        as_load(&c->as, true, k->t, rm_mem(k->t, offsetof(struct host_tlb_entry, addend)));
    }
    k->cold->addr = (uint8_t)k->addr;
    k->cold->disp = (int32_t)n->imm;
    k->cold->flags = n->sub;
    if (k->share) {
        k->cold->probe = true;
        k->cold->probe_write = k->tag == offsetof(struct host_tlb_entry, write_tag);
        k->cold->addend = (uint8_t)k->t;
        k->cold->span_lo = k->lo;
        k->cold->span_hi = k->hi;
    }
}

static struct check check_one(struct cg *c, const struct ir_insn *n, bool write)
{
    struct check k = { .addr = use_reg(c, n->arg[0]), .lo = (int32_t)n->imm };

    k.hi = k.lo + (1 << (n->sub & IR_MEM_SIZE));
    k.aligned = n->sub & IR_MEM_ALIGN;
    k.tag = write ? offsetof(struct host_tlb_entry, write_tag)
                  : offsetof(struct host_tlb_entry, read_tag);
    k.t = scratch(c, false);
    k.u = scratch(c, false);
    return k;
}

/* LD and ST: accesses near each other off one base value share the first one's check of all their
 * bytes. Its addend stays in a register, 0 when the check failed (then they take the slow path).
 * Mappings do not change within: that takes a call, which ends the chain. */
static struct check check_begin(struct cg *c, const struct ir_insn *n, bool write)
{
    const struct val *x = &c->val[c->i];
    unsigned share = c->val[n->arg[0]].share;
    struct check k;

    if (share && c->val[share].access == n->arg[0] && c->val[share].loc == LOC_REG &&
        c->val[share].last >= c->i && !(n->sub & IR_MEM_ALIGN)) {
        k = (struct check){ .t = c->val[share].reg, .shared = true };
        c->locked |= 1u << k.t;
        k.addr = use_reg(c, n->arg[0]);
        k.u = scratch(c, false);
        return k;
    }
    k = check_one(c, n, write);
    if (x->access && !k.aligned) {
        k.share = true;
        k.lo = x->span_lo;
        k.hi = x->span_hi;
        if (x->span_write)
            k.tag = offsetof(struct host_tlb_entry, write_tag);
    }
    return k;
}

static struct rm host_mem(const struct check *k, const struct ir_insn *n)
{
    return rm_sib(k->t, k->addr, 0, (int32_t)n->imm);
}

/* The access is done: the slow path comes back here. */
static void check_end(struct cg *c, struct check *k, const struct ir_insn *n)
{
    unsigned last = c->i;

    k->cold->back = c->as.p;
    fault_snap(c, k->cold);
    if (!k->share)
        return;
    while (c->val[last].access)
        last = c->val[last].access;
    c->val[n->arg[0]].share = (uint16_t)share_new(c, k->t, n->arg[0], last);
}

/* ---- loads ---- */

unsigned mem_zbits(const struct ir_insn *n, unsigned size)
{
    if (n->sub & IR_MEM_SIGN)
        return wide(n->type) ? 64 : 32;
    return 8u << size;
}

void mem_load_int(struct cg *c, const struct ir_insn *n, unsigned size, unsigned d, struct rm x)
{
    if (n->sub & IR_MEM_SIGN && ir_type_bits[n->type] > 8u << size)
        as_movsx(&c->as, size, wide(n->type), d, x);
    else
        as_movzx(&c->as, size, d, x);
}

void mem_load_vec(struct cg *c, unsigned size, unsigned d, struct rm x)
{
    if (size == 4)
        as_op(&c->as, OP_0F | 0x10, d, x); /* movups */
    else if (size == 3)
        as_op(&c->as, OP_0F | OP_F3 | 0x7e, d, x); /* movq */
    else
        as_op(&c->as, OP_0F | OP_66 | 0x6e, d, x); /* movd */
}

static void soft_ld(struct cg *c, const struct ir_insn *n)
{
    struct check k = check_begin(c, n, false);
    unsigned size = n->sub & IR_MEM_SIZE;
    bool vec = is_vec_type(n->type), small = vec && size < 2;
    unsigned d = k.u;

    /* all that allocation emits comes before the check: the slow path comes back behind the load */
    if ((vec && !small) || (!vec && c->val[c->i].hint != NOREG))
        d = def_reg(c, 0, vec ? 64 : mem_zbits(n, size));
    check(c, &k, n, !vec || small ? COLD_LOAD : size == 4 ? COLD_LOADV : COLD_LOAD_VEC);
    if (vec && !small)
        mem_load_vec(c, size, d, host_mem(&k, n));
    else
        mem_load_int(c, n, size, d, host_mem(&k, n));
    k.cold->reg = (uint8_t)d;
    k.cold->narrow = !vec && n->sub & IR_MEM_SIGN && !wide(n->type);
    check_end(c, &k, n);
    if (small) {
        d = def_reg(c, 0, 64);
        as_op(&c->as, OP_0F | OP_66 | 0x6e, d, rm_reg(k.u));
    } else if (!vec && c->val[c->i].hint == NOREG) {
        def_in(c, d, mem_zbits(n, size));
    }
}

static void soft_ldh(struct cg *c, const struct ir_insn *n)
{
    unsigned size = n->sub & IR_MEM_SIZE, h = use_reg(c, n->arg[0]), d, t;
    struct rm x = rm_mem(h, (int32_t)n->imm);

    if (is_vec_type(n->type) && size < 2) {
        t = scratch(c, false);
        as_movzx(&c->as, size, t, x);
        x = rm_reg(t);
        size = 2;
    }
    args_done(c);
    d = def_reg(c, 0, is_vec_type(n->type) ? 64 : mem_zbits(n, size));
    if (is_vec_type(n->type))
        mem_load_vec(c, size, d, x);
    else
        mem_load_int(c, n, size, d, x);
}

/* ---- stores ---- */

void mem_store_vec(struct cg *c, unsigned size, struct rm x, unsigned v)
{
    if (size == 4)
        as_op(&c->as, OP_0F | 0x11, v, x); /* movups */
    else if (size == 3)
        as_op(&c->as, OP_0F | OP_66 | 0xd6, v, x); /* movq */
    else
        as_op(&c->as, OP_0F | OP_66 | 0x7e, v, x); /* movd */
}

/* The register to store: bytes and words of a vector by way of an integer one. */
unsigned mem_store_value(struct cg *c, unsigned v, unsigned size)
{
    unsigned r = use_reg(c, v), t;

    if (r < XMM0 || size >= 2)
        return r;
    t = scratch(c, false);
    as_op(&c->as, OP_0F | OP_66 | 0x7e, r, rm_reg(t));
    return t;
}

static void soft_st(struct cg *c, const struct ir_insn *n)
{
    unsigned v = n->arg[1], r = NOREG, size = n->sub & IR_MEM_SIZE;
    struct check k;

    if (!is_imm(c, v))
        r = mem_store_value(c, v, size);
    k = check_begin(c, n, true);
    if (r == NOREG) {
        check(c, &k, n, COLD_STORE_IMM);
        k.cold->imm = insn_of(c, v)->imm;
        as_store_imm(&c->as, size, host_mem(&k, n), insn_of(c, v)->imm);
    } else if (r < XMM0) {
        check(c, &k, n, COLD_STORE);
        as_store(&c->as, size, host_mem(&k, n), r);
    } else {
        check(c, &k, n, size == 4 ? COLD_STOREV : COLD_STORE_VEC);
        mem_store_vec(c, size, host_mem(&k, n), r);
    }
    k.cold->reg = (uint8_t)r;
    check_end(c, &k, n);
}

static void soft_sth(struct cg *c, const struct ir_insn *n)
{
    unsigned v = n->arg[1], r, size = n->sub & IR_MEM_SIZE;
    struct rm x = rm_mem(use_reg(c, n->arg[0]), (int32_t)n->imm);

    if (is_imm(c, v)) {
        as_store_imm(&c->as, size, x, insn_of(c, v)->imm);
        return;
    }
    r = mem_store_value(c, v, size);
    if (r < XMM0)
        as_store(&c->as, size, x, r);
    else
        mem_store_vec(c, size, x, r);
}

/* ---- host pointers and atomics ---- */

/* k.t = host pointer. Only k.t, and what was taken before, is still held afterwards. */
static struct check host_pointer(struct cg *c, const struct ir_insn *n, bool write)
{
    struct check k = check_one(c, n, write);

    check(c, &k, n, COLD_XLATE);
    if (n->imm)
        as_lea(&c->as, true, k.t, host_mem(&k, n));
    else
        as_alu(&c->as, ALU_ADD, 3, k.t, rm_reg(k.addr));
    k.cold->reg = (uint8_t)k.t;
    k.cold->narrow = write;
    check_end(c, &k, n);
    c->locked &= ~(1u << k.u | 1u << k.addr);
    return k;
}

static void soft_xlate(struct cg *c, const struct ir_insn *n)
{
    struct check k = host_pointer(c, n, n->sub & IR_MEM_WRITE);

    def_in(c, k.t, 64);
}

unsigned mem_int_zbits(const struct ir_insn *n)
{
    return n->type == IR_I32 ? 32 : 64;
}

void mem_lock(struct cg *c)
{
    if (c->parallel)
        as_u8(&c->as, 0xf0);
}

/* xchg, lock xadd: code is the opcode of the byte form */
static void soft_exchange(struct cg *c, const struct ir_insn *n)
{
    static const unsigned width[4] = { OP_B, OP_66 | 1, 1, OP_W | 1 };
    struct check k = host_pointer(c, n, true);
    unsigned d = def_tied(c, n->arg[1], 0, mem_int_zbits(n));

    if (n->op == IR_AT_ADD)
        mem_lock(c);
    as_op_flags(&c->as, host_op_of(n->op)->code[0] | width[n->type], d, rm_mem(k.t, 0));
}

void mem_cmpxchg(struct cg *c, unsigned type, struct rm x, unsigned r)
{
    static const unsigned op[4] = { 0xb0 | OP_B, 0xb1 | OP_66, 0xb1, 0xb1 | OP_W };

    mem_lock(c);
    as_op_flags(&c->as, op[type] | OP_0F, r, x);
}

static void soft_cas(struct cg *c, const struct ir_insn *n)
{
    struct check k;
    unsigned r;

    take(c, RAX);
    k = host_pointer(c, n, true);
    r = use_reg(c, n->arg[2]);
    load_to(c, RAX, n->arg[1]);
    mem_cmpxchg(c, n->type, rm_mem(k.t, 0), r);
    def_in(c, RAX, 64);
}

/* [x] op= b, where b is a constant or in register r */
void mem_lock_op(struct cg *c, const struct ir_insn *n, unsigned op, struct rm x, unsigned r)
{
    static const unsigned form[4] = { OP_B, OP_66 | 1, 1, OP_W | 1 };
    unsigned v = n->arg[1];

    mem_lock(c);
    if (is_imm(c, v))
        as_alu_imm(&c->as, op, n->type, x, insn_of(c, v)->imm);
    else
        as_op_flags(&c->as, form[n->type] | op << 3, r, x);
}

/* and, or, xor: a loop, or one instruction when nobody wants the old value */
static void soft_atomic_loop(struct cg *c, const struct ir_insn *n)
{
    unsigned op = host_op_of(n->op)->code[0], r, u;
    const uint8_t *again;
    struct check k;
    bool wanted = c->val[c->i].last;

    if (wanted)
        take(c, RAX);
    k = host_pointer(c, n, true);
    if (!wanted) {
        r = is_imm(c, n->arg[1]) ? (unsigned)NOREG : use_reg(c, n->arg[1]);
        mem_lock_op(c, n, op, rm_mem(k.t, 0), r);
        return;
    }
    r = use_reg(c, n->arg[1]);
    u = scratch(c, false);
    as_movzx(&c->as, n->type, RAX, rm_mem(k.t, 0));
    again = c->as.p;
    as_mov(&c->as, true, u, RAX);
    as_alu(&c->as, op, wide(n->type) ? 3 : 2, u, rm_reg(r));
    mem_cmpxchg(c, n->type, rm_mem(k.t, 0), u);
    as_jcc_to(&c->as, CC_NE, again);
    def_in(c, RAX, mem_int_zbits(n));
}

static void emit_fence(struct cg *c, const struct ir_insn *n)
{
    (void)n;
    if (!c->parallel)
        return;
    as_u8(&c->as, 0xf0); /* lock or dword [rsp], 0: a full barrier, cheaper than mfence */
    as_alu_imm(&c->as, ALU_OR, 2, rm_mem(RSP, 0), 0);
}

enum { MXCSR_FLAGS = 0x3f };

/* The sticky flags, by way of a word that calls use. The image keeps none that MXCSR has not. */
static void emit_fpflags(struct cg *c, const struct ir_insn *n)
{
    struct rm word = cpu_mem(c->env.off_saved);
    unsigned d = def_reg(c, 0, 32);

    (void)n;
    as_op(&c->as, OP_0F | 0xae, 3, word); /* stmxcsr */
    as_load(&c->as, false, d, word);
    as_alu_imm(&c->as, ALU_AND, 2, rm_reg(d), MXCSR_FLAGS);
}

/* Loading MXCSR costs more than a look, and mostly the flags are what they were. */
static void emit_setfpflags(struct cg *c, const struct ir_insn *n)
{
    struct rm word = cpu_mem(c->env.off_saved);
    unsigned r = use_reg(c, n->arg[0]), t = scratch(c, false);
    uint8_t *same;

    as_op(&c->as, OP_0F | 0xae, 3, word);
    as_load(&c->as, false, t, word);
    as_alu(&c->as, ALU_XOR, 2, t, rm_reg(r));
    as_alu_imm(&c->as, ALU_AND, 2, rm_reg(t), MXCSR_FLAGS);
    same = as_jcc(&c->as, CC_E);
    as_alu(&c->as, ALU_XOR, 2, t, word); /* those that differ are turned over */
    as_store(&c->as, 2, word, t);
    as_alu_imm(&c->as, ALU_AND, 2, cpu_mem(c->env.off_fpcsr), ~MXCSR_FLAGS);
    as_op(&c->as, OP_0F | 0xae, 2, word); /* ldmxcsr */
    as_patch(same, c->as.p);
}

/* ---- slow paths ---- */

static void push_address(struct cg *c, const struct cold *k)
{
    as_push(&c->as, k->addr);
    if (k->disp)
        as_alu_imm(&c->as, ALU_ADD, 3, rm_mem(RSP, 0), k->disp);
}

static void call_stub(struct cg *c, const struct cold *k, unsigned flags, uint32_t stub)
{
    as_push_imm(&c->as, (int32_t)flags);
    as_call_to(&c->as, stub_at(c, stub));
    fault_entry(c, k->pc, c->snap + k->snap, k->snap_size);
}

/* After the slow path of an access that others share: its addend, or 0. The stack may hold a
 * result. */
static void cold_probe(struct cg *c, const struct cold *k)
{
    if (!k->probe)
        return;
    as_push(&c->as, k->addr);
    if (k->span_lo)
        as_alu_imm(&c->as, ALU_ADD, 3, rm_mem(RSP, 0), k->span_lo);
    as_push_imm(&c->as, k->span_hi - k->span_lo - 1);
    as_call_to(&c->as, stub_at(c, k->probe_write ? c->stub.probe_write : c->stub.probe_read));
    as_pop(&c->as, k->addend);
}

static void cold_store(struct cg *c, const struct cold *k)
{
    if (k->kind == COLD_STORE) {
        as_push(&c->as, k->reg);
    } else if (k->kind == COLD_STORE_IMM) {
        as_push_imm(&c->as, (int32_t)k->imm);
    } else {
        as_push(&c->as, RAX);
        as_op(&c->as, OP_0F | OP_66 | 0xd6, k->reg, rm_mem(RSP, 0));
    }
    push_address(c, k);
    call_stub(c, k, k->flags, c->stub.store);
    cold_probe(c, k);
}

static void cold_load(struct cg *c, const struct cold *k)
{
    push_address(c, k);
    call_stub(c, k, k->flags, c->stub.load);
    cold_probe(c, k);
    if (k->kind == COLD_LOAD) {
        as_pop(&c->as, k->reg);
        if (k->narrow)
            as_mov(&c->as, false, k->reg, k->reg);
    } else {
        as_op(&c->as, OP_0F | OP_F3 | 0x7e, k->reg, rm_mem(RSP, 0));
        as_lea(&c->as, true, RSP, rm_mem(RSP, 8));
    }
}

void cold_mem(struct cg *c, struct cold *k)
{
    as_patch(k->from[0], c->as.p);
    switch (k->kind) {
    case COLD_LOAD:
    case COLD_LOAD_VEC: cold_load(c, k); break;
    case COLD_LOADV:
        push_address(c, k);
        call_stub(c, k, k->flags, c->stub.loadv);
        cold_probe(c, k);
        as_op(&c->as, OP_0F | 0x28, k->reg, cpu_mem(c->env.off_scratch));
        break;
    case COLD_STOREV:
        as_op(&c->as, OP_0F | 0x29, k->reg, cpu_mem(c->env.off_scratch));
        push_address(c, k);
        call_stub(c, k, k->flags, c->stub.storev);
        cold_probe(c, k);
        break;
    case COLD_XLATE:
        push_address(c, k);
        call_stub(c, k, (k->flags & IR_MEM_SIZE) | (k->narrow ? IR_MEM_WRITE : 0), c->stub.xlate);
        as_pop(&c->as, k->reg);
        break;
    case COLD_ALIGN:
        push_address(c, k);
        call_stub(c, k, k->flags, c->stub.load);
        as_lea(&c->as, true, RSP, rm_mem(RSP, 8));
        break;
    default: cold_store(c, k); break;
    }
    as_jmp_to(&c->as, k->back);
}

/* ---- which of the two ways ---- */

static void emit_ld(struct cg *c, const struct ir_insn *n)
{
    (c->env.direct ? direct_ld : soft_ld)(c, n);
}

static void emit_ldh(struct cg *c, const struct ir_insn *n)
{
    (c->env.direct ? direct_ld : soft_ldh)(c, n);
}

static void emit_st(struct cg *c, const struct ir_insn *n)
{
    (c->env.direct ? direct_st : soft_st)(c, n);
}

static void emit_sth(struct cg *c, const struct ir_insn *n)
{
    (c->env.direct ? direct_st : soft_sth)(c, n);
}

static void emit_xlate(struct cg *c, const struct ir_insn *n)
{
    (c->env.direct ? direct_xlate : soft_xlate)(c, n);
}

static void emit_exchange(struct cg *c, const struct ir_insn *n)
{
    (c->env.direct ? direct_exchange : soft_exchange)(c, n);
}

static void emit_cas(struct cg *c, const struct ir_insn *n)
{
    (c->env.direct ? direct_cas : soft_cas)(c, n);
}

static void emit_atomic_loop(struct cg *c, const struct ir_insn *n)
{
    (c->env.direct ? direct_atomic : soft_atomic_loop)(c, n);
}

const struct host_op ops_mem[IR_OP_COUNT] = {
    [IR_LD] = { emit_ld, "*,r" },
    [IR_ST] = { emit_st, "-,r,*e" },
    [IR_XLATE] = { emit_xlate, "r,r" },
    [IR_LDH] = { emit_ldh, "*,r" },
    [IR_STH] = { emit_sth, "-,r,*e" },
    [IR_AT_XCHG] = { emit_exchange, "r,r,0", .code = { 0x86 } },
    [IR_AT_ADD] = { emit_exchange, "r,r,0", .code = { OP_0F | 0xc0 } },
    [IR_AT_AND] = { emit_atomic_loop, "a,r,r", .code = { ALU_AND } },
    [IR_AT_OR] = { emit_atomic_loop, "a,r,r", .code = { ALU_OR } },
    [IR_AT_XOR] = { emit_atomic_loop, "a,r,r", .code = { ALU_XOR } },
    [IR_AT_CAS] = { emit_cas, "a,r,a,r" },
    [IR_FENCE] = { emit_fence, "-" },
    [IR_FPFLAGS] = { emit_fpflags, "r" },
    [IR_SETFPFLAGS] = { emit_setfpflags, "-,r" },
};
