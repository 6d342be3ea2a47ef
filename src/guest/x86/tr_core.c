/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x86 translator's core: the loop that fetches, decodes and dispatches (x86_translate),
 * registers and operands, leaving a region, exceptions raised by translated code. Memory is in
 * tr_mem.c, flags in tr_flags.c.
 */
#include "guest/x86/tr_core.h"

#include "guest/x86/x86_tr.h"

enum {
    IR_ROOM_PER_INSN = 1000
}; /* a region ends when less is left; the longest instruction (PUSHA) takes 200 */

/* ---- registers ---- */

enum ir_type tr_type(unsigned size)
{
    static const uint8_t types[9] = { [1] = IR_I8, [2] = IR_I16, [4] = IR_I32, [8] = IR_I64 };

    assert(size == 1 || size == 2 || size == 4 || size == 8);
    return (enum ir_type)types[size];
}

ir_val tr_reg(struct tr *t, unsigned size, unsigned reg)
{
    return ir_get_low(t->b, X86_SLOT_GPR + reg, tr_type(size));
}

void tr_set_reg(struct tr *t, unsigned size, unsigned reg, ir_val v)
{
    unsigned slot = X86_SLOT_GPR + reg;

    if (size >= 4)
        ir_put(t->b, slot, ir_zext(t->b, IR_I64, v));
    else
        ir_put(t->b, slot,
               ir_deposit(t->b, ir_get(t->b, slot), ir_zext(t->b, IR_I64, v), 0, size * 8));
}

ir_val tr_reg8(struct tr *t, const struct x86_operand *o)
{
    if (o->kind != X86_K_GPRH)
        return tr_reg(t, 1, o->reg);
    return ir_trunc(t->b, IR_I8, ir_extract(t->b, ir_get(t->b, X86_SLOT_GPR + o->reg), 8, 8));
}

/* ---- operands ---- */

ir_val tr_get(struct tr *t, const struct x86_insn *i, unsigned n)
{
    const struct x86_operand *o = &i->opnd[n];

    switch (o->kind) {
    case X86_K_GPR: return tr_reg(t, o->size, o->reg);
    case X86_K_GPRH: return tr_reg8(t, o);
    case X86_K_MEM:
        return tr_load(t, tr_type(o->size), tr_addr(t, i, o->size, CPU_READ), tr_log2(o->size));
    case X86_K_IMM: return ir_const(t->b, tr_type(o->size), i->imm);
    case X86_K_IMM2: return ir_const(t->b, tr_type(o->size), i->imm2);
    case X86_K_MMX: return ir_get(t->b, X86_SLOT_ST + o->reg);
    default: assert(!"an integer operand"); return IR_NO_VAL;
    }
}

ir_val tr_get_sext(struct tr *t, const struct x86_insn *i, unsigned n, unsigned size)
{
    if (i->opnd[n].kind == X86_K_IMM)
        return ir_const(t->b, tr_type(size), i->imm);
    return ir_sext(t->b, tr_type(size), tr_get(t, i, n));
}

void tr_set(struct tr *t, const struct x86_insn *i, unsigned n, ir_val v)
{
    const struct x86_operand *o = &i->opnd[n];

    switch (o->kind) {
    case X86_K_GPR: tr_set_reg(t, o->size, o->reg, v); break;
    case X86_K_GPRH:
        ir_put(
            t->b, X86_SLOT_GPR + o->reg,
            ir_deposit(t->b, ir_get(t->b, X86_SLOT_GPR + o->reg), ir_zext(t->b, IR_I64, v), 8, 8));
        break;
    case X86_K_MEM: tr_store(t, tr_addr(t, i, o->size, CPU_WRITE), v, tr_log2(o->size)); break;
    default: assert(!"an integer destination");
    }
}

ir_val tr_rmw_begin(struct tr *t, const struct x86_insn *i, unsigned n, struct tr_rmw *m)
{
    const struct x86_operand *o = &i->opnd[n];

    *m = (struct tr_rmw){
        .mem = o->kind == X86_K_MEM, .slow = t->req->slow, .size = o->size, .n = n
    };
    if (!m->mem)
        return tr_get(t, i, n);
    m->addr = tr_addr(t, i, o->size, CPU_WRITE);
    if (m->slow)
        return tr_load(t, tr_type(o->size), m->addr, tr_log2(o->size));
    m->host = ir_xlate(t->b, m->addr, 0, tr_log2(o->size) | IR_MEM_WRITE);
    return ir_ldh(t->b, tr_type(o->size), m->host, 0, tr_log2(o->size));
}

void tr_rmw_end(struct tr *t, const struct x86_insn *i, const struct tr_rmw *m, ir_val v)
{
    if (!m->mem)
        tr_set(t, i, m->n, v);
    else if (m->slow)
        tr_store(t, m->addr, v, tr_log2(m->size));
    else
        ir_sth(t->b, m->host, 0, v, tr_log2(m->size));
}

/* ---- exceptions ---- */

static bool has_error_code(unsigned vector)
{
    return vector == X86_DF_VEC || (vector >= X86_TS && vector <= X86_PF_VEC) ||
           vector == X86_AC_VEC;
}

static void do_raise(struct x86_cpu *x, uint64_t vector, uint64_t error)
{
    if (has_error_code(vector))
        x86_raise_error(x, (int)vector, (uint32_t)error);
    x86_raise(x, (int)vector);
}

static void do_raise_if(struct x86_cpu *x, uint64_t yes, uint64_t vector)
{
    if ((uint32_t)yes)
        do_raise(x, vector, 0);
}

static const struct helper h_raise = { "x86_raise", (helper_fn *)do_raise, "- i32 i32", 0 };
static const struct helper h_raise_if = { "x86_raise_if", (helper_fn *)do_raise_if, "- i32 i32",
                                          0 };

void tr_raise_error(struct tr *t, int vector, uint32_t error)
{
    tr_call(t, &h_raise, tr_c32(t, vector), tr_c32(t, (int32_t)error), IR_NO_VAL, IR_NO_VAL);
    ir_exit_loop(t->b, IR_REASON_NEXT); /* not reached */
    t->done = true;
}

void tr_raise(struct tr *t, int vector)
{
    tr_raise_error(t, vector, 0);
}

void tr_raise_if(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, int vector)
{
    tr_call(t, &h_raise_if, ir_setcond(t->b, IR_I32, cond, a, b), tr_c32(t, vector), IR_NO_VAL,
            IR_NO_VAL);
}

ir_val tr_call(struct tr *t, const struct helper *h, ir_val a, ir_val b, ir_val c, ir_val d)
{
    return ir_call(t->b, h, a, b, c, d);
}

bool tr_sse_check(struct tr *t)
{
    if (t->mode & X86_MODE_SSE_UD)
        tr_raise(t, X86_UD);
    else if (t->mode & X86_MODE_TS)
        tr_raise(t, X86_NM);
    else
        return true;
    return false;
}

bool tr_mmx_check(struct tr *t)
{
    if (t->mode & X86_MODE_EM)
        tr_raise(t, X86_UD);
    else if (t->mode & X86_MODE_TS)
        tr_raise(t, X86_NM);
    else
        return true;
    return false;
}

bool tr_x87_check(struct tr *t)
{
    if (!(t->mode & X86_MODE_FPU_NM))
        return true;
    tr_raise(t, X86_NM);
    return false;
}

/* ---- leaving the region ---- */

/* Of jumps, whose targets are cut to their operand size already: in 16-bit code with 32-bit
 * operands and a wide limit (SMM) the pc has 32 bits. */
static gva_t code_mask(const struct tr *t)
{
    return t->code == 64 ? ~UINT64_C(0) : UINT32_MAX;
}

/* Behind the instruction at t->pc: 16-bit code within 64 KiB stays there. */
static gva_t pc_after(const struct tr *t, unsigned len)
{
    gva_t next = (t->pc + len) & code_mask(t);
    return t->code == 16 && t->pc <= UINT16_MAX ? (uint16_t)next : next;
}

/* #DB after an instruction under TF: a trap, so the pc pushed is the next one. */
static void do_single_step(struct x86_cpu *x, uint64_t next)
{
    enum { DR6_BS = 1 << 14 };

    x->exc_dr6 = DR6_BS;
    x->exc_next_rip = next;
    x86_raise(x, X86_DB);
}

static const struct helper h_single_step = { "x86_single_step", (helper_fn *)do_single_step,
                                             "- i64", 0 };

/* Under TF every way out of the instruction goes through #DB. True when that was emitted. */
static bool single_step(struct tr *t, ir_val next)
{
    t->done = true;
    if (!(t->mode & X86_MODE_TF))
        return false;
    ir_put(t->b, X86_SLOT_RIP, next);
    tr_call(t, &h_single_step, next, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    ir_exit_loop(t->b, IR_REASON_NEXT); /* not reached */
    return true;
}

void tr_sync_rip(struct tr *t, gva_t rip)
{
    ir_put(t->b, X86_SLOT_RIP, tr_c64(t, (int64_t)rip));
}

static void end_loop(struct tr *t, enum ir_reason reason)
{
    if (single_step(t, tr_c64(t, (int64_t)t->next_pc)))
        return;
    tr_sync_rip(t, t->next_pc);
    ir_exit_loop(t->b, reason);
}

void tr_end_next(struct tr *t)
{
    end_loop(t, IR_REASON_NEXT);
}

void tr_end_irq(struct tr *t)
{
    end_loop(t, IR_REASON_IRQ);
}

static void leave_to(struct tr *t, gva_t target, unsigned flags)
{
    gva_t base = t->req->aux;

    target &= code_mask(t);
    if (single_step(t, tr_c64(t, (int64_t)target)))
        return;
    if (((base + target) ^ (base + t->req->pc)) >> 12 == 0)
        flags |= IR_EXIT_SAMEPAGE;
    ir_exit_jmp(t->b, target, flags);
}

void tr_jump(struct tr *t, gva_t target)
{
    leave_to(t, target, (target & code_mask(t)) <= t->pc ? IR_EXIT_POLL : 0);
}

/* On to t->pc, the instruction behind those translated: no poll unless the pc wrapped. */
static void fall_through(struct tr *t)
{
    leave_to(t, t->pc, t->pc < t->req->pc ? IR_EXIT_POLL : 0);
}

bool tr_branch_later(struct tr *t, unsigned label, gva_t target)
{
    if (t->cc == X86_CC_DYNAMIC || t->sides == ARRAY_SIZE(t->side) || t->req->max_insns == 1 ||
        t->mode & X86_MODE_TF)
        return false;
    t->side[t->sides].label = label;
    t->side[t->sides].pc = t->pc;
    t->side[t->sides++].target = target;
    t->branch_open = true;
    return true;
}

static void write_side_exits(struct tr *t)
{
    for (unsigned n = 0; n < t->sides; n++) {
        ir_label(t->b, t->side[n].label);
        t->pc = t->side[n].pc;
        tr_jump(t, t->side[n].target);
    }
}

void tr_jump_ind(struct tr *t, ir_val target, unsigned kind)
{
    if (t->code != 64)
        target = ir_andi(t->b, target, (int64_t)code_mask(t));
    if (!single_step(t, target))
        ir_exit_ind(t->b, target, kind);
}

/* ---- the loop ---- */

/* Code bytes around the pc, fetched in chunks that do not cross a page. */
enum { FETCH_CHUNK = 256 };
struct fetcher {
    struct cpu *cpu;
    struct tr *t;
    uint8_t buf[FETCH_CHUNK + X86_INSN_MAX]; /* from linear `start` */
    gva_t start;
    unsigned have;
};

static gva_t linear_of(const struct tr *t, gva_t pc)
{
    gva_t linear = t->req->aux + pc;

    return t->code == 64 ? linear : (uint32_t)linear;
}

/* Instruction breakpoints are on: the check before each instruction. RF lets one instruction
 * through. */
static void do_check_break(struct x86_cpu *x, uint64_t linear)
{
    if (x->eflags & X86_RF) {
        x->eflags &= ~(uint32_t)X86_RF;
        return;
    }
    for (unsigned n = 0; n < 4; n++) {
        bool enabled = x->dr[7] >> (n * 2) & 3;
        bool exec = (x->dr[7] >> (16 + n * 4) & 15) == 0;
        if (enabled && exec && x->dr[n] == linear) {
            x->exc_dr6 = BIT(n);
            x->exc_next_rip = x->rip;
            cpu_sync_pc(&x->c);
            x->exc_next_rip = x->rip;
            x86_raise(x, X86_DB);
        }
    }
}

static const struct helper h_check_break = { "x86_check_break", (helper_fn *)do_check_break,
                                             "- i64", 0 };

/* The model's features as the decoder wants them. Those that only make #UD are all "there" and
 * tested afterwards, by has_feature(); what changes the meaning of the bytes must be right here. */
static uint64_t decode_features(const struct x86_cpu *x)
{
    static const uint8_t meaning[] = { X86_IFEAT_LZCNT, X86_IFEAT_TZCNT };
    uint64_t mask = ~UINT64_C(0);

    for (size_t n = 0; n < ARRAY_SIZE(meaning); n++)
        if (!x86_has(x, x86_insn_feature_cpuid[meaning[n]]))
            mask &= ~BIT(meaning[n]);
    return mask;
}

/* Fetch afresh from linear to the chunk's or the page's end. */
static bool fetch_chunk(struct fetcher *f, gva_t linear)
{
    unsigned to_page_end = 4096 - (unsigned)(linear & 4095);

    f->start = linear;
    f->have = cpu_fetch(f->cpu, linear, f->buf, MIN(to_page_end, (unsigned)FETCH_CHUNK));
    return f->have != 0;
}

/* Decode at t->pc, fetching more when the instruction reaches over the bytes at hand. *ret_cross:
 * it needs the next page, and was not decoded because it is not the region's first instruction.
 * MORE: the fetch faulted. */
static enum x86_decode_result decode_at(struct fetcher *f, struct x86_insn *insn, uint64_t features,
                                        bool first, bool *ret_cross)
{
    struct tr *t = f->t;
    gva_t linear = linear_of(t, t->pc);
    unsigned at = (unsigned)(linear - f->start);

    *ret_cross = false;
    for (;;) {
        if (at >= f->have) {
            if (!fetch_chunk(f, linear))
                return X86_DECODE_MORE;
            at = 0;
        }
        enum x86_decode_result r = x86_decode(insn, f->buf + at, f->have - at, t->code, features);
        if (r != X86_DECODE_MORE)
            return r;
        if ((f->start + f->have) % 4096 == 0)
            break;
        f->have = 0;
    }
    *ret_cross = !first;
    if (!first)
        return X86_DECODE_MORE;
    gva_t next = f->start + f->have;
    unsigned more =
        cpu_fetch(f->cpu, t->code == 64 ? next : (uint32_t)next, f->buf + f->have, X86_INSN_MAX);
    f->have += more;
    return more ? x86_decode(insn, f->buf + at, f->have - at, t->code, features) : X86_DECODE_MORE;
}

/* Checks that hold for all instructions of a kind. True when the instruction may be translated. */
static bool may_run(struct tr *t, const struct x86_insn *i)
{
    bool real = !(t->mode & X86_MODE_PE) || t->mode & X86_MODE_VM;

    if ((i->feature && !x86_has(t->x, x86_insn_feature_cpuid[i->feature])) ||
        (i->attr & X86_A_PROT && real) || (i->attr & X86_A_VEX && real)) {
        tr_raise(t, X86_UD);
        return false;
    }
    if (i->attr & X86_A_CPL0 && t->mode & X86_MODE_CPL) {
        tr_raise(t, X86_GP);
        return false;
    }
    return true;
}

static void translate_one(struct tr *t, const struct x86_insn *i)
{
    if (t->mode & X86_MODE_BREAK)
        tr_call(t, &h_check_break, tr_c64(t, (int64_t)linear_of(t, t->pc)), IR_NO_VAL, IR_NO_VAL,
                IR_NO_VAL);
    if (t->req->slow && (i->lock || (i->op == X86_OP_XCHG && i->opnd[0].kind == X86_K_MEM)))
        t->req->exclusive = true;
    if (may_run(t, i) && !x86_tr_fns[i->op](t, i) && !t->done)
        tr_raise(t, X86_UD);
}

/* The end of a region that ran out of room rather than of instructions. */
static bool region_full(const struct tr *t, unsigned count)
{
    return count >= t->req->max_insns || ir_room(t->b) < IR_ROOM_PER_INSN ||
           t->mode & (X86_MODE_TF | X86_MODE_BREAK) ||
           (linear_of(t, t->pc) ^ linear_of(t, t->req->pc)) >> 12;
}

static void init_tr(struct tr *t, struct cpu *cpu, struct ir *ir, struct translation *req)
{
    unsigned code = req->mode & X86_MODE_CODE;

    *t = (struct tr){
        .b = ir,
        .x = x86_of(cpu),
        .req = req,
        .mode = req->mode,
        .pc = req->pc,
        .cc = X86_CC_DYNAMIC,
        .code = code == X86_MODE_CODE64   ? 64
                : code == X86_MODE_CODE32 ? 32
                                          : 16,
    };
    t->stack_bits = t->code == 64 ? 64 : req->mode & X86_MODE_SS32 ? 32 : 16;
}

/* CS:pc is beyond the segment's limit. */
static bool beyond_limit(const struct tr *t, unsigned len)
{
    return t->code != 64 && t->mode & X86_MODE_LIMITS && t->pc + len - 1 > t->x->seg[X86_CS].limit;
}

void x86_translate(struct cpu *cpu, struct ir *ir, struct translation *req)
{
    struct fetcher f;
    struct tr t;
    struct x86_insn insn;
    uint64_t features = decode_features(x86_of(cpu));
    unsigned count = 0;

    init_tr(&t, cpu, ir, req);
    f.cpu = cpu;
    f.t = &t;
    f.start = linear_of(&t, t.pc);
    f.have = 0;
    while (!t.done) {
        bool cross;
        enum x86_decode_result r = decode_at(&f, &insn, features, count == 0, &cross);
        if (cross) {
            fall_through(&t);
            break;
        }
        if (r ==
            X86_DECODE_MORE) { /* the fetch faulted; only a region's first instruction gets here */
            req->fault = true;
            return;
        }
        if (t.branch_open && (r != X86_DECODE_OK || !(insn.flags_read & X86_IF_OSZAPC))) {
            fall_through(&t);
            break;
        }
        t.branch_open = false;
        ir_insn_start(ir, t.pc);
        if (t.shadow)
            ir_put(ir, X86_SLOT_INHIBIT, ir_const(ir, IR_I8, 0));
        t.shadow = false;
        count++;
        unsigned len = r == X86_DECODE_OK ? insn.len : 1;
        req->size = (uint32_t)(t.pc - req->pc) + len;
        t.next_pc = pc_after(&t, len);
        if (r == X86_DECODE_TOO_LONG || beyond_limit(&t, len))
            tr_raise(&t, X86_GP);
        else if (r == X86_DECODE_INVALID)
            tr_raise(&t, X86_UD);
        else
            translate_one(&t, &insn);
        t.pc = t.next_pc;
        if (!t.done && region_full(&t, count)) {
            if (t.shadow) { /* the run loop runs the next instruction alone */
                tr_sync_rip(&t, t.pc);
                ir_exit_loop(ir, IR_REASON_IRQ);
                break;
            }
            fall_through(&t);
        }
    }
    write_side_exits(&t);
    ir->guest_size = req->size;
}
