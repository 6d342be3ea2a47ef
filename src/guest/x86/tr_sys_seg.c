/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Translators of the instructions that deal with segments and leave the code segment: loads of
 * segment registers, descriptor tables, far transfers, interrupts, system calls.
 */
#include "guest/x86/sys.h"
#include "guest/x86/tr.h"
#include "guest/x86/x86_tr.h"

enum { INT_N, INT_SHORT, INT_ICE }; /* as in sys_exc.c */

/* The helper has set rip and perhaps the mode; the run loop finds the next block. */
static bool end_elsewhere(struct tr *t, enum ir_reason reason)
{
    ir_exit_loop(t->b, reason);
    t->done = true;
    return true;
}

/* The same for hot ways between privileges: the jump cache knows blocks by mode, too, and polls for
 * interrupts. */
static bool end_indirect(struct tr *t)
{
    if (t->mode & X86_MODE_TF || t->req->max_insns == 1)
        return end_elsewhere(t, IR_REASON_IRQ);
    ir_exit_ind(t->b, ir_get(t->b, X86_SLOT_RIP), IR_IND_JUMP);
    t->done = true;
    return true;
}

static ir_val next_pc(struct tr *t)
{
    return tr_c64(t, (int64_t)t->next_pc);
}

/* ---- segment registers ---- */

/* A helper that returns the selector of a segment register. */
static uint64_t h_selector(struct x86_cpu *x, uint64_t n)
{
    return x->seg[(uint32_t)n].selector;
}
static const struct helper selector = { "x86_selector", (helper_fn *)h_selector, "i32 i32",
                                        HELPER_NO_RAISE };

static ir_val get_selector(struct tr *t, unsigned seg)
{
    return tr_call(t, &selector, tr_c32(t, seg), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
}

static ir_val sized(struct tr *t, ir_val v32, unsigned size)
{
    return size == 2 ? ir_trunc(t->b, IR_I16, v32) : ir_zext(t->b, tr_type(size), v32);
}

/* After a load of segment `seg`. SS: no interrupt before the next instruction has run. */
static bool end_load(struct tr *t, unsigned seg)
{
    if (seg == X86_SS) {
        ir_put(t->b, X86_SLOT_INHIBIT, ir_const(t->b, IR_I8, 1));
        tr_sync_rip(t, t->next_pc);
        return end_elsewhere(
            t, IR_REASON_NEXT); /* not by tr_end_next: the single-step trap waits, too */
    }
    if (t->code != 64)
        tr_end_next(t);
    return true; /* 64-bit code: its mode depends on none of the others */
}

bool tr_mov_r_sreg(struct tr *t, const struct x86_insn *i)
{
    tr_set(t, i, 0, sized(t, get_selector(t, i->opnd[1].reg), i->opnd[0].size));
    return true;
}

bool tr_mov_sreg_r(struct tr *t, const struct x86_insn *i)
{
    unsigned seg = i->opnd[0].reg;

    tr_call(t, &x86_h_load_seg, tr_c32(t, seg), ir_zext(t->b, IR_I32, tr_get(t, i, 1)), IR_NO_VAL,
            IR_NO_VAL);
    return end_load(t, seg);
}

bool tr_push_sreg(struct tr *t, const struct x86_insn *i)
{
    tr_push(t, sized(t, get_selector(t, i->opnd[0].reg), i->opsize), i->opsize);
    return true;
}

bool tr_pop_sreg(struct tr *t, const struct x86_insn *i)
{
    unsigned seg = i->opnd[0].reg;
    ir_val v = tr_pop_value(t, i->opsize),
           sel = ir_zext(t->b, IR_I32, i->opsize == 2 ? v : ir_trunc(t->b, IR_I16, v));

    /* POP SS: the stack pointer moves by the size of the old stack segment; the helper changes the
     * segment only */
    tr_call(t, &x86_h_load_seg, tr_c32(t, seg), sel, IR_NO_VAL, IR_NO_VAL);
    tr_add_sp(t, i->opsize);
    return end_load(t, seg);
}

static bool load_far_pointer(struct tr *t, const struct x86_insn *i, unsigned seg)
{
    unsigned size = i->opnd[0].size;
    ir_val at = tr_addr(t, i, size + 2, CPU_READ);
    ir_val off = tr_load(t, tr_type(size), at, (unsigned)__builtin_ctz(size));
    ir_val sel = tr_load(t, IR_I32, ir_addi(t->b, at, size), 1);

    tr_call(t, &x86_h_load_seg, tr_c32(t, seg), sel, IR_NO_VAL, IR_NO_VAL);
    tr_set(t, i, 0, off);
    return end_load(t, seg);
}

bool tr_lds(struct tr *t, const struct x86_insn *i)
{
    return load_far_pointer(t, i, X86_DS);
}
bool tr_les(struct tr *t, const struct x86_insn *i)
{
    return load_far_pointer(t, i, X86_ES);
}
bool tr_lfs(struct tr *t, const struct x86_insn *i)
{
    return load_far_pointer(t, i, X86_FS);
}
bool tr_lgs(struct tr *t, const struct x86_insn *i)
{
    return load_far_pointer(t, i, X86_GS);
}
bool tr_lss(struct tr *t, const struct x86_insn *i)
{
    return load_far_pointer(t, i, X86_SS);
}

/* ---- FS and GS bases ---- */

static uint64_t h_check_fsgsbase(struct x86_cpu *x)
{
    if (!(x->cr4 & X86_CR4_FSGSBASE))
        x86_raise(x, X86_UD);
    return 0;
}
static const struct helper check_fsgsbase = { "x86_check_fsgsbase", (helper_fn *)h_check_fsgsbase,
                                              "i64", 0 };

static bool read_base(struct tr *t, const struct x86_insn *i, unsigned seg)
{
    ir_val v;

    tr_call(t, &check_fsgsbase, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    v = ir_get(t->b, X86_SLOT_SEG_BASE + seg);
    tr_set(t, i, 0, i->opnd[0].size == 4 ? ir_trunc(t->b, IR_I32, v) : v);
    return true;
}

static bool write_base(struct tr *t, const struct x86_insn *i, unsigned seg)
{
    ir_val v = ir_zext(t->b, IR_I64, tr_get(t, i, 0));

    tr_call(t, &check_fsgsbase, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    tr_call(t, &x86_h_set_base, tr_c32(t, seg), v, IR_NO_VAL, IR_NO_VAL);
    return true;
}

bool tr_rdfsbase(struct tr *t, const struct x86_insn *i)
{
    return read_base(t, i, X86_FS);
}
bool tr_rdgsbase(struct tr *t, const struct x86_insn *i)
{
    return read_base(t, i, X86_GS);
}
bool tr_wrfsbase(struct tr *t, const struct x86_insn *i)
{
    return write_base(t, i, X86_FS);
}
bool tr_wrgsbase(struct tr *t, const struct x86_insn *i)
{
    return write_base(t, i, X86_GS);
}

bool tr_swapgs(struct tr *t, const struct x86_insn *i)
{
    tr_call(t, &x86_h_swapgs, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return true;
}

/* ---- descriptor tables ---- */

static uint64_t h_umip(struct x86_cpu *x, uint64_t what)
{
    if (x->cr4 & X86_CR4_UMIP && x->cpl == 3)
        x86_raise_error(x, X86_GP, 0);
    switch ((uint32_t)what) {
    case 0: return x->ldt.selector;
    case 1: return x->tr.selector;
    case 2: return x->gdt.base;
    case 3: return x->gdt.limit;
    case 4: return x->idt.base;
    default: return x->idt.limit;
    }
}
static const struct helper umip_field = { "x86_umip_field", (helper_fn *)h_umip, "i64 i32", 0 };
enum { FIELD_LDT, FIELD_TR, FIELD_GDT_BASE, FIELD_GDT_LIMIT, FIELD_IDT_BASE, FIELD_IDT_LIMIT };

static ir_val system_field(struct tr *t, unsigned what)
{
    return tr_call(t, &umip_field, tr_c32(t, what), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
}

static bool store_selector(struct tr *t, const struct x86_insn *i, unsigned what)
{
    ir_val v = system_field(t, what);
    unsigned size = i->opnd[0].size;

    tr_set(t, i, 0, size == 8 ? v : ir_trunc(t->b, tr_type(size), v));
    return true;
}

bool tr_sldt(struct tr *t, const struct x86_insn *i)
{
    return store_selector(t, i, FIELD_LDT);
}
bool tr_str(struct tr *t, const struct x86_insn *i)
{
    return store_selector(t, i, FIELD_TR);
}

static bool store_table(struct tr *t, const struct x86_insn *i, unsigned base)
{
    unsigned size = t->code == 64 ? 8 : 4;
    ir_val at, v = system_field(t, base), limit = system_field(t, base + 1);

    at = tr_addr(t, i, size + 2, CPU_WRITE);
    if (!t->req->slow) { /* both pages, before the first store */
        ir_xlate(t->b, at, 0, IR_MEM_WRITE);
        ir_xlate(t->b, ir_addi(t->b, at, size + 1), 0, IR_MEM_WRITE);
    }
    tr_store(t, at, ir_trunc(t->b, IR_I16, limit), 1);
    tr_store(t, ir_addi(t->b, at, 2), size == 8 ? v : ir_trunc(t->b, IR_I32, v), size == 8 ? 3 : 2);
    return true;
}

bool tr_sgdt(struct tr *t, const struct x86_insn *i)
{
    return store_table(t, i, FIELD_GDT_BASE);
}
bool tr_sidt(struct tr *t, const struct x86_insn *i)
{
    return store_table(t, i, FIELD_IDT_BASE);
}

static bool load_table(struct tr *t, const struct x86_insn *i, const struct helper *h)
{
    unsigned size = t->code == 64 ? 8 : 4;
    ir_val at = tr_addr(t, i, size + 2, CPU_READ), limit = tr_load(t, IR_I32, at, 1);
    ir_val base = tr_load(t, IR_I64, ir_addi(t->b, at, 2), size == 8 ? 3 : 2);

    if (i->opsize == 2)
        base = ir_andi(t->b, base, 0xffffff);
    tr_call(t, h, base, limit, IR_NO_VAL, IR_NO_VAL);
    return true;
}

bool tr_lgdt(struct tr *t, const struct x86_insn *i)
{
    return load_table(t, i, &x86_h_lgdt);
}
bool tr_lidt(struct tr *t, const struct x86_insn *i)
{
    return load_table(t, i, &x86_h_lidt);
}

static ir_val selector_operand(struct tr *t, const struct x86_insn *i, unsigned n)
{
    return ir_zext(t->b, IR_I32, tr_get(t, i, n));
}

bool tr_lldt(struct tr *t, const struct x86_insn *i)
{
    tr_call(t, &x86_h_lldt, selector_operand(t, i, 0), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return true;
}

bool tr_ltr(struct tr *t, const struct x86_insn *i)
{
    tr_call(t, &x86_h_ltr, selector_operand(t, i, 0), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return true;
}

/* ZF = zf (0 or 1, i32), the other flags as they are. */
static void put_zf(struct tr *t, ir_val zf)
{
    ir_val flags = tr_cc_compute(t);

    tr_cc_flags(t, ir_deposit(t->b, flags, zf, 6, 1));
}

static bool verify(struct tr *t, const struct x86_insn *i, const struct helper *h)
{
    put_zf(t, tr_call(t, h, selector_operand(t, i, 0), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL));
    return true;
}

bool tr_verr(struct tr *t, const struct x86_insn *i)
{
    return verify(t, i, &x86_h_verr);
}
bool tr_verw(struct tr *t, const struct x86_insn *i)
{
    return verify(t, i, &x86_h_verw);
}

/* LAR, LSL: the helper's bit 63 says that the register is to be written. */
static bool look(struct tr *t, const struct x86_insn *i, const struct helper *h)
{
    unsigned size = i->opnd[0].size;
    ir_val r = tr_call(t, h, selector_operand(t, i, 1), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    ir_val old = ir_get(t->b, X86_SLOT_GPR + i->opnd[0].reg), v = ir_andi(t->b, r, UINT32_MAX);

    if (size == 2)
        v = ir_deposit(t->b, old, v, 0, 16);
    ir_put(t->b, X86_SLOT_GPR + i->opnd[0].reg, ir_select(t->b, IR_LTS, r, tr_c64(t, 0), v, old));
    put_zf(t, ir_trunc(t->b, IR_I32, ir_shri(t->b, r, 63)));
    return true;
}

bool tr_lar(struct tr *t, const struct x86_insn *i)
{
    return look(t, i, &x86_h_lar);
}
bool tr_lsl(struct tr *t, const struct x86_insn *i)
{
    return look(t, i, &x86_h_lsl);
}

/* ---- far transfers ---- */

static bool far_direct(struct tr *t, const struct x86_insn *i, const struct helper *h)
{
    tr_call(t, h, tr_c32(t, i->imm2), tr_c64(t, i->imm), tr_c32(t, i->opsize), next_pc(t));
    return end_elsewhere(t, IR_REASON_IRQ);
}

static bool far_indirect(struct tr *t, const struct x86_insn *i, const struct helper *h)
{
    unsigned size = i->opsize;
    ir_val at = tr_addr(t, i, size + 2, CPU_READ);
    ir_val off = tr_load(t, IR_I64, at, (unsigned)__builtin_ctz(size));
    ir_val sel = tr_load(t, IR_I32, ir_addi(t->b, at, size), 1);

    tr_call(t, h, sel, off, tr_c32(t, size), next_pc(t));
    return end_elsewhere(t, IR_REASON_IRQ);
}

bool tr_jmp_far(struct tr *t, const struct x86_insn *i)
{
    return far_direct(t, i, &x86_h_jmp_far);
}
bool tr_call_far(struct tr *t, const struct x86_insn *i)
{
    return far_direct(t, i, &x86_h_call_far);
}
bool tr_jmp_far_ind(struct tr *t, const struct x86_insn *i)
{
    return far_indirect(t, i, &x86_h_jmp_far);
}
bool tr_call_far_ind(struct tr *t, const struct x86_insn *i)
{
    return far_indirect(t, i, &x86_h_call_far);
}

bool tr_ret_far(struct tr *t, const struct x86_insn *i)
{
    tr_call(t, &x86_h_ret_far, tr_c32(t, i->opsize), tr_c32(t, i->nops ? i->imm & 0xffff : 0),
            IR_NO_VAL, IR_NO_VAL);
    return end_elsewhere(t, IR_REASON_IRQ);
}

bool tr_iret(struct tr *t, const struct x86_insn *i)
{
    tr_call(t, &x86_h_iret, tr_c32(t, i->opsize), next_pc(t), IR_NO_VAL, IR_NO_VAL);
    return end_indirect(t);
}

bool tr_rsm(struct tr *t, const struct x86_insn *i)
{
    if (t->req->user)
        return false;
    tr_call(t, &x86_h_rsm, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return end_elsewhere(t, IR_REASON_IRQ);
}

/* ---- software interrupts ---- */

/* User mode: the system call leaves to user/. Under TF the trap comes when it is over. */
static bool user_call(struct tr *t)
{
    tr_sync_rip(t, t->next_pc);
    ir_exit_loop(t->b, IR_REASON_SYSCALL);
    t->done = true;
    return true;
}

static bool interrupt(struct tr *t, unsigned vector, unsigned kind)
{
    if (t->req->user) {
        if (vector == 0x80 && t->code == 32)
            return user_call(t);
        tr_call(t, &x86_h_user_int, tr_c32(t, vector), next_pc(t), tr_c32(t, kind), IR_NO_VAL);
        return end_elsewhere(t, IR_REASON_NEXT);
    }
    tr_call(t, &x86_h_int, tr_c32(t, vector), next_pc(t), tr_c32(t, kind), IR_NO_VAL);
    return end_elsewhere(t, IR_REASON_NEXT);
}

bool tr_int(struct tr *t, const struct x86_insn *i)
{
    return interrupt(t, i->imm & 0xff, INT_N);
}
bool tr_int3(struct tr *t, const struct x86_insn *i)
{
    return interrupt(t, X86_BP, INT_SHORT);
}
bool tr_int1(struct tr *t, const struct x86_insn *i)
{
    return interrupt(t, X86_DB, INT_ICE);
}

bool tr_into(struct tr *t, const struct x86_insn *i)
{
    unsigned no = ir_new_label(t->b);

    ir_brcond(t->b, IR_TSTN, tr_cc_compute(t), tr_c32(t, X86_OF), no);
    interrupt(t, X86_OF_VEC, INT_SHORT);
    ir_label(t->b, no);
    tr_jump(t, t->next_pc);
    return true;
}

/* ---- system calls ---- */

bool tr_syscall(struct tr *t, const struct x86_insn *i)
{
    if (t->req->user) {
        if (t->code != 64)
            return false;
        ir_val flags = ir_zext(t->b, IR_I64, tr_cc_compute(t));
        ir_val rest = ir_or(t->b, ir_get(t->b, X86_SLOT_EFLAGS), ir_get(t->b, X86_SLOT_DF));
        ir_put(t->b, X86_SLOT_GPR + 11, ir_or(t->b, flags, ir_zext(t->b, IR_I64, rest)));
        ir_put(t->b, X86_SLOT_GPR + X86_RCX, next_pc(t));
        return user_call(t);
    }
    tr_call(t, &x86_h_syscall, next_pc(t), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return end_indirect(t);
}

bool tr_sysret(struct tr *t, const struct x86_insn *i)
{
    tr_call(t, &x86_h_sysret, tr_c32(t, i->opsize), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return end_indirect(t);
}

bool tr_sysenter(struct tr *t, const struct x86_insn *i)
{
    if (t->req->user) /* only a vDSO would use it */
        return false;
    tr_call(t, &x86_h_sysenter, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return end_indirect(t);
}

bool tr_sysexit(struct tr *t, const struct x86_insn *i)
{
    tr_call(t, &x86_h_sysexit, tr_c32(t, i->opsize), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return end_indirect(t);
}
