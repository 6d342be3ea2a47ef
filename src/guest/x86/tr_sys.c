/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Translators of system instructions without segments: flags, control and debug registers, ports,
 * MSRs, time, HLT, CPUID. What cannot fault and is hot (CLI, STI, PUSHF, POPF at sufficient
 * privilege) is inline; the rest are helpers.
 */
#include "guest/x86/sys.h"
#include "guest/x86/tr.h"
#include "guest/x86/x86_tr.h"

enum { POPF_FLAGS = X86_ARITH | X86_TF | X86_DF | X86_NT | X86_AC | X86_ID };

static unsigned cpl(const struct tr *t)
{
    return t->mode & X86_MODE_CPL;
}
static unsigned iopl(const struct tr *t)
{
    return (t->mode & X86_MODE_IOPL) >> 8;
}
static bool is_vm(const struct tr *t)
{
    return t->mode & X86_MODE_VM;
}

static ir_val call0(struct tr *t, const struct helper *h)
{
    return tr_call(t, h, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
}

static ir_val call1(struct tr *t, const struct helper *h, ir_val a)
{
    return tr_call(t, h, a, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
}

/* The region goes on at the next instruction in a block of its own: the mode is what it was. */
static bool end_same_mode(struct tr *t)
{
    tr_jump(t, t->next_pc);
    return true;
}

/* The same after a change of mappings: the jump cache's entries carry the address space. */
static bool end_remapped(struct tr *t)
{
    if (t->mode & (X86_MODE_TF | X86_MODE_BREAK) || t->req->max_insns == 1)
        tr_end_irq(t);
    else
        tr_jump_ind(t, tr_c64(t, (int64_t)t->next_pc), IR_IND_JUMP);
    return true;
}

/* ---- flags ---- */

bool tr_cli(struct tr *t, const struct x86_insn *i)
{
    if (cpl(t) > iopl(t)) {
        tr_raise(t, X86_GP);
        return true;
    }
    ir_put(t->b, X86_SLOT_EFLAGS, ir_andi(t->b, ir_get(t->b, X86_SLOT_EFLAGS), ~X86_IF));
    return true;
}

/* The shadow covers one instruction, if interrupts were off. The region goes on: nothing polls
 * before the next instruction, at whose start the shadow ends. Only when an event waits already,
 * the run loop is asked to look; it runs the next instruction alone. */
bool tr_sti(struct tr *t, const struct x86_insn *i)
{
    bool alone = t->req->max_insns == 1 || t->mode & (X86_MODE_TF | X86_MODE_BREAK);
    unsigned none;
    ir_val old;

    if (cpl(t) > iopl(t)) {
        tr_raise(t, X86_GP);
        return true;
    }
    old = ir_get(t->b, X86_SLOT_EFLAGS);
    ir_put(t->b, X86_SLOT_EFLAGS, ir_ori(t->b, old, X86_IF));
    ir_put(t->b, X86_SLOT_INHIBIT,
           ir_trunc(t->b, IR_I8, ir_xori(t->b, ir_extract(t->b, old, 9, 1), 1)));
    if (alone) {
        tr_end_irq(t);
        return true;
    }
    none = ir_new_label(t->b);
    ir_brcondi(t->b, IR_EQ, ir_get(t->b, X86_SLOT_EVENTS), 0, none);
    tr_end_irq(t);
    ir_label(t->b, none);
    t->done = false;
    t->shadow = true;
    return true;
}

bool tr_pushf(struct tr *t, const struct x86_insn *i)
{
    ir_val f;

    if (is_vm(t) && iopl(t) < 3) {
        tr_raise(t, X86_GP);
        return true;
    }
    f = ir_andi(t->b, ir_get(t->b, X86_SLOT_EFLAGS),
                ~(int64_t)(X86_VM | X86_RF | X86_ARITH | X86_DF));
    f = ir_or(t->b, f, tr_cc_compute(t));
    f = ir_or(t->b, f, ir_get(t->b, X86_SLOT_DF));
    if (i->opsize == 8)
        f = ir_zext(t->b, IR_I64, f);
    else if (i->opsize == 2)
        f = ir_trunc(t->b, IR_I16, f);
    tr_push(t, f, i->opsize);
    return true;
}

/* System flags that POPF may change at this privilege. */
static uint32_t popf_mask(const struct tr *t, const struct x86_insn *i)
{
    uint32_t mask = POPF_FLAGS;

    if (cpl(t) <= iopl(t))
        mask |= X86_IF;
    if (cpl(t) == 0)
        mask |= X86_IOPL;
    return i->opsize == 2 ? mask & 0xffff : mask;
}

/* Inline when nothing changes that the mode word depends on, and IF does not rise while an event
 * waits; otherwise the helper. */
bool tr_popf(struct tr *t, const struct x86_insn *i)
{
    enum { MODE_FLAGS = X86_TF | X86_NT | X86_IOPL | X86_AC };
    uint32_t mask = popf_mask(t, i), watched = mask & (MODE_FLAGS | X86_IF);
    unsigned slow = ir_new_label(t->b);
    ir_val f, old, changed;

    if (is_vm(t) && iopl(t) < 3) {
        tr_raise(t, X86_GP);
        return true;
    }
    f = tr_pop_value(t, i->opsize);
    f = i->opsize == 8 ? ir_trunc(t->b, IR_I32, f) : ir_zext(t->b, IR_I32, f);
    tr_add_sp(t, i->opsize);
    old = ir_get(t->b, X86_SLOT_EFLAGS);
    changed = ir_andi(t->b, ir_xor(t->b, old, f), watched & MODE_FLAGS);
    if (watched & X86_IF) {
        ir_val rises = ir_extract(t->b, ir_andc(t->b, f, old), 9, 1);
        changed =
            ir_or(t->b, changed, ir_and(t->b, ir_neg(t->b, rises), ir_get(t->b, X86_SLOT_EVENTS)));
    }
    ir_val image = ir_andi(t->b, f, mask);
    ir_put(t->b, X86_SLOT_DF, ir_andi(t->b, f, X86_DF));
    tr_cc_flags(t, ir_andi(t->b, f, X86_ARITH));
    ir_put(t->b, X86_SLOT_EFLAGS,
           ir_or(t->b, ir_andi(t->b, old, ~(int64_t)(mask & ~(uint32_t)(X86_ARITH | X86_DF))),
                 ir_andi(t->b, image, ~(int64_t)(X86_ARITH | X86_DF))));
    ir_brcondi(t->b, IR_NE, changed, 0, slow);
    tr_jump(t, t->next_pc);
    ir_label(t->b, slow);
    tr_call(t, &x86_h_set_flags, tr_c32(t, 0), tr_c32(t, 0), IR_NO_VAL, IR_NO_VAL);
    tr_end_irq(t);
    return true;
}

bool tr_clac(struct tr *t, const struct x86_insn *i)
{
    if (cpl(t))
        return false;
    call1(t, &x86_h_set_ac, tr_c32(t, 0));
    return end_same_mode(t);
}

bool tr_stac(struct tr *t, const struct x86_insn *i)
{
    if (cpl(t))
        return false;
    call1(t, &x86_h_set_ac, tr_c32(t, X86_AC));
    return end_same_mode(t);
}

/* ---- control and debug registers ---- */

static uint64_t h_cr0(struct x86_cpu *x)
{
    return x->cr0;
}
static uint64_t h_cr3(struct x86_cpu *x)
{
    return x->cr3;
}
static uint64_t h_cr4(struct x86_cpu *x)
{
    return x->cr4;
}
static const struct helper read_cr0 = { "x86_read_cr0", (helper_fn *)h_cr0, "i64",
                                        HELPER_NO_RAISE };
static const struct helper read_cr3 = { "x86_read_cr3", (helper_fn *)h_cr3, "i64",
                                        HELPER_NO_RAISE };
static const struct helper read_cr4 = { "x86_read_cr4", (helper_fn *)h_cr4, "i64",
                                        HELPER_NO_RAISE };

bool tr_mov_r_cr(struct tr *t, const struct x86_insn *i)
{
    ir_val v;

    switch (i->opnd[1].reg) {
    case 0: v = call0(t, &read_cr0); break;
    case 2: v = ir_get(t->b, X86_SLOT_CR2); break;
    case 3: v = call0(t, &read_cr3); break;
    case 4: v = call0(t, &read_cr4); break;
    case 8: v = call0(t, &x86_h_read_cr8); break;
    default: return false;
    }
    if (i->opnd[0].size == 4)
        v = ir_trunc(t->b, IR_I32, v);
    tr_set(t, i, 0, v);
    return true;
}

bool tr_mov_cr_r(struct tr *t, const struct x86_insn *i)
{
    unsigned n = i->opnd[0].reg;
    ir_val v = ir_zext(t->b, IR_I64, tr_get(t, i, 1));

    if (n == 2) {
        ir_put(t->b, X86_SLOT_CR2, v);
        return true;
    }
    if (n != 0 && n != 3 && n != 4 && n != 8)
        return false;
    tr_call(t, &x86_h_write_cr, tr_c32(t, n), v, IR_NO_VAL, IR_NO_VAL);
    return n == 8 ? true : end_remapped(t);
}

bool tr_mov_r_dr(struct tr *t, const struct x86_insn *i)
{
    ir_val v = call1(t, &x86_h_read_dr, tr_c32(t, i->opnd[1].reg));

    tr_set(t, i, 0, i->opnd[0].size == 4 ? ir_trunc(t->b, IR_I32, v) : v);
    return true;
}

bool tr_mov_dr_r(struct tr *t, const struct x86_insn *i)
{
    ir_val v = ir_zext(t->b, IR_I64, tr_get(t, i, 1));

    tr_call(t, &x86_h_write_dr, tr_c32(t, i->opnd[0].reg), v, IR_NO_VAL, IR_NO_VAL);
    tr_end_next(t);
    return true;
}

static uint64_t h_umip(struct x86_cpu *x)
{
    if (x->cr4 & X86_CR4_UMIP && x->cpl == 3)
        x86_raise_error(x, X86_GP, 0);
    return x->cr0;
}
static const struct helper umip_cr0 = { "x86_umip_cr0", (helper_fn *)h_umip, "i64", 0 };

bool tr_smsw(struct tr *t, const struct x86_insn *i)
{
    ir_val v = call0(t, &umip_cr0);
    unsigned size = i->opnd[0].size;

    tr_set(t, i, 0, size == 8 ? v : ir_trunc(t->b, tr_type(size), v));
    return true;
}

bool tr_lmsw(struct tr *t, const struct x86_insn *i)
{
    call1(t, &x86_h_lmsw, ir_zext(t->b, IR_I32, tr_get(t, i, 0)));
    tr_end_next(t);
    return true;
}

bool tr_clts(struct tr *t, const struct x86_insn *i)
{
    call0(t, &x86_h_clts);
    return end_remapped(t);
}

/* ---- TLB and caches ---- */

bool tr_invlpg(struct tr *t, const struct x86_insn *i)
{
    call1(t, &x86_h_invlpg, tr_seg(t, i->mem.seg, tr_ea(t, i)));
    return end_remapped(t);
}

bool tr_invpcid(struct tr *t, const struct x86_insn *i)
{
    ir_val at = tr_addr(t, i, 16, CPU_READ), pcid = tr_load(t, IR_I64, at, 3);
    ir_val va = tr_load(t, IR_I64, ir_addi(t->b, at, 8), 3);

    tr_call(t, &x86_h_invpcid, ir_zext(t->b, IR_I64, tr_get(t, i, 0)), pcid, va, IR_NO_VAL);
    return end_remapped(t);
}

bool tr_invd(struct tr *t, const struct x86_insn *i)
{
    return true;
}
bool tr_wbinvd(struct tr *t, const struct x86_insn *i)
{
    return true;
}

/* ---- MSRs, identification, time ---- */

bool tr_rdmsr(struct tr *t, const struct x86_insn *i)
{
    call0(t, &x86_h_rdmsr);
    return true;
}

bool tr_wrmsr(struct tr *t, const struct x86_insn *i)
{
    call0(t, &x86_h_wrmsr); /* no MSR is part of the mode word; an interrupt that it causes is seen
                               at the next poll */
    return true;
}

bool tr_cpuid(struct tr *t, const struct x86_insn *i)
{
    call0(t, &x86_h_cpuid);
    return true;
}

static bool tsc_forbidden(struct tr *t)
{
    if (!(t->mode & X86_MODE_TSD) || !cpl(t))
        return false;
    tr_raise(t, X86_GP);
    return true;
}

static void put_edx_eax(struct tr *t, ir_val v)
{
    ir_put(t->b, X86_SLOT_GPR + X86_RAX, ir_andi(t->b, v, UINT32_MAX));
    ir_put(t->b, X86_SLOT_GPR + X86_RDX, ir_shri(t->b, v, 32));
}

bool tr_rdtsc(struct tr *t, const struct x86_insn *i)
{
    if (!x86_has(t->x, X86_FEATURE(0, 4)))
        return false;
    if (!tsc_forbidden(t))
        put_edx_eax(t, call0(t, &x86_h_rdtsc));
    return true;
}

static uint64_t h_tsc_aux(struct x86_cpu *x)
{
    return x->tsc_aux;
}
static const struct helper read_tsc_aux = { "x86_tsc_aux", (helper_fn *)h_tsc_aux, "i64",
                                            HELPER_NO_RAISE };

bool tr_rdtscp(struct tr *t, const struct x86_insn *i)
{
    if (tsc_forbidden(t))
        return true;
    put_edx_eax(t, call0(t, &x86_h_rdtsc));
    ir_put(t->b, X86_SLOT_GPR + X86_RCX, call0(t, &read_tsc_aux));
    return true;
}

bool tr_rdpid(struct tr *t, const struct x86_insn *i)
{
    ir_val v = call0(t, &read_tsc_aux);

    tr_set(t, i, 0, i->opnd[0].size == 4 ? ir_trunc(t->b, IR_I32, v) : v);
    return true;
}

bool tr_rdpmc(struct tr *t, const struct x86_insn *i)
{
    put_edx_eax(t, call1(t, &x86_h_rdpmc, tr_reg(t, 4, X86_RCX)));
    return true;
}

/* ---- waiting ---- */

bool tr_hlt(struct tr *t, const struct x86_insn *i)
{
    call1(t, &x86_h_hlt, tr_c64(t, (int64_t)t->next_pc));
    tr_end_irq(t);
    return true;
}

bool tr_monitor(struct tr *t, const struct x86_insn *i)
{
    ir_val at;

    if (cpl(t))
        return false;
    tr_raise_if(t, IR_NE, tr_reg(t, 4, X86_RCX), tr_c32(t, 0), X86_GP);
    at = ir_zext(t->b, IR_I64, tr_reg(t, i->addrsize == 2 ? 2 : i->addrsize, X86_RAX));
    tr_load(t, IR_I32, tr_seg(t, i->seg == X86_NO_REG ? X86_DS : i->seg, at), 0);
    return true;
}

/* No watching of memory: with interrupts on it waits for one, without it is a pause. */
bool tr_mwait(struct tr *t, const struct x86_insn *i)
{
    unsigned off = ir_new_label(t->b);

    if (cpl(t))
        return false;
    tr_raise_if(t, IR_GTU, tr_reg(t, 4, X86_RCX), tr_c32(t, 1), X86_GP);
    ir_brcond(t->b, IR_TSTN, ir_get(t->b, X86_SLOT_EFLAGS), tr_c32(t, X86_IF), off);
    call1(t, &x86_h_hlt, tr_c64(t, (int64_t)t->next_pc));
    tr_end_irq(t);
    ir_label(t->b, off);
    tr_end_irq(t);
    return true;
}

/* ---- ports ---- */

static ir_val port_of(struct tr *t, const struct x86_insn *i, unsigned n)
{
    if (i->opnd[n].kind == X86_K_IMM)
        return tr_c32(t, i->imm & 0xff);
    return ir_zext(t->b, IR_I32, tr_reg(t, 2, X86_RDX));
}

static void check_port(struct tr *t, ir_val port, unsigned size)
{
    if (t->mode & X86_MODE_PE && (cpl(t) > iopl(t) || is_vm(t)))
        tr_call(t, &x86_h_io_check, port, tr_c32(t, size), IR_NO_VAL, IR_NO_VAL);
}

bool tr_in(struct tr *t, const struct x86_insn *i)
{
    unsigned size = i->opnd[0].size;
    ir_val port = port_of(t, i, 1), v;

    check_port(t, port, size);
    v = tr_call(t, &x86_h_in, port, tr_c32(t, size), IR_NO_VAL, IR_NO_VAL);
    tr_set_reg(t, size, X86_RAX, size == 4 ? v : ir_trunc(t->b, tr_type(size), v));
    return true;
}

/* What the write brings about (SMI, an interrupt) comes before the next instruction. */
bool tr_out(struct tr *t, const struct x86_insn *i)
{
    unsigned size = i->opnd[1].size, none;
    ir_val port = port_of(t, i, 0);

    check_port(t, port, size);
    tr_call(t, &x86_h_out, port, ir_zext(t->b, IR_I32, tr_reg(t, size, X86_RAX)), tr_c32(t, size),
            IR_NO_VAL);
    none = ir_new_label(t->b);
    ir_brcondi(t->b, IR_EQ, ir_get(t->b, X86_SLOT_EVENTS), 0, none);
    tr_end_irq(t);
    ir_label(t->b, none);
    t->done = false;
    return true;
}

static bool string_io(struct tr *t, const struct x86_insn *i, const struct helper *h, unsigned size,
                      unsigned seg)
{
    uint32_t kind = size | (uint32_t)i->addrsize << 8 | seg << 16 | (i->rep ? 1u << 24 : 0);

    check_port(t, port_of(t, i, 3), size);
    tr_call(t, h, tr_c32(t, (int32_t)kind), tr_c64(t, (int64_t)t->pc),
            tr_c64(t, (int64_t)t->next_pc), IR_NO_VAL);
    ir_exit_loop(t->b, IR_REASON_IRQ);
    t->done = true;
    return true;
}

bool tr_ins(struct tr *t, const struct x86_insn *i)
{
    return string_io(t, i, &x86_h_ins, i->opnd[0].size ? i->opnd[0].size : i->opsize, X86_ES);
}

bool tr_outs(struct tr *t, const struct x86_insn *i)
{
    return string_io(t, i, &x86_h_outs, i->opnd[1].size ? i->opnd[1].size : i->opsize, i->mem.seg);
}
