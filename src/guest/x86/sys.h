/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the system part (sys_*.c, walk.c, msr.c, cpuid.c, guest.c, tr_sys*.c) share:
 * descriptors, stacks, event delivery, and the helpers that tr_sys*.c calls. SDM volume 3A chapters
 * 3, 5, 6, 7; AMD APM volume 2.
 */
#pragma once

#include "guest/x86/x86.h"

/* ---- descriptors (sys_desc.c) ---- */
struct x86_desc {
    uint32_t lo, hi;
    gva_t at; /* linear address of the descriptor */
};
enum { /* in struct x86_desc.hi */
       X86_D_A = 1 << 8,
       X86_D_W = 1 << 9,
       X86_D_E = 1 << 10,
       X86_D_CODE = 1 << 11,
       X86_D_S = 1 << 12,
       X86_D_P = 1 << 15,
       X86_D_L = 1 << 21,
       X86_D_DB = 1 << 22,
       X86_D_G = 1 << 23,
       X86_D_BUSY = 1 << 9, /* TSS */
};
enum { /* system descriptor types, bits 8-11 of hi with S = 0 */
       X86_T_TSS16 = 1,
       X86_T_LDT = 2,
       X86_T_TSS16_BUSY = 3,
       X86_T_CALL16 = 4,
       X86_T_TASK = 5,
       X86_T_INT16 = 6,
       X86_T_TRAP16 = 7,
       X86_T_TSS32 = 9,
       X86_T_TSS32_BUSY = 11,
       X86_T_CALL32 = 12,
       X86_T_INT32 = 14,
       X86_T_TRAP32 = 15,
};
static inline unsigned x86_d_type(const struct x86_desc *d)
{
    return d->hi >> 8 & 15;
}
static inline unsigned x86_d_dpl(const struct x86_desc *d)
{
    return d->hi >> 13 & 3;
}
static inline uint32_t x86_d_base(const struct x86_desc *d)
{
    return d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
}
static inline uint32_t x86_d_limit(const struct x86_desc *d)
{
    uint32_t limit = (d->lo & 0xffff) | (d->hi & 0xf0000);

    return d->hi & X86_D_G ? limit << 12 | 0xfff : limit;
}
static inline bool x86_d_is_code(const struct x86_desc *d)
{
    return (d->hi & (X86_D_S | X86_D_CODE)) == (X86_D_S | X86_D_CODE);
}
static inline bool x86_d_is_conforming(const struct x86_desc *d)
{
    return d->hi & X86_D_E;
}
static inline bool x86_sel_null(unsigned sel)
{
    return !(sel & 0xfffc);
}

static inline bool x86_lma(const struct x86_cpu *x)
{
    return x->efer & X86_EFER_LMA;
}
static inline bool x86_code64(const struct x86_cpu *x)
{
    return x86_lma(x) && x->seg[X86_CS].flags & X86_SEG_L;
}
/* Neither real nor virtual-8086 mode. */
static inline bool x86_protected(const struct x86_cpu *x)
{
    return x->cr0 & X86_CR0_PE && !(x->eflags & X86_VM);
}
static inline unsigned x86_iopl(const struct x86_cpu *x)
{
    return x->eflags >> 12 & 3;
}
static inline bool x86_canonical(gva_t va)
{
    return (uint64_t)sext(va, 48) == va;
}
/* The MMU index that accesses at privilege `cpl` use now. */
unsigned x86_mmu_of(const struct x86_cpu *x, unsigned cpl);
/* Address of a system structure: 32 bits wide outside long mode. */
static inline gva_t x86_sys_addr(const struct x86_cpu *x, gva_t va)
{
    return x86_lma(x) ? va : (uint32_t)va;
}

/* user.c: in user mode the table is not in guest memory. */
void x86_user_init64(struct cpu *cpu);
void x86_user_init32(struct cpu *cpu);
void x86_user_fetch_fault(struct cpu *cpu, gva_t va);
bool x86_user_desc_read(const struct x86_cpu *x, unsigned sel, struct x86_desc *ret);
extern const struct helper x86_h_user_int; /* INT n, INT3, INTO, INT1 */

/* Reads the descriptor that sel names. False when sel is beyond its table. Raises the page faults
 * of the read. */
bool x86_desc_read(struct x86_cpu *x, unsigned sel, struct x86_desc *ret);
/* The same, raising `vector` with sel as error code when it is beyond. */
void x86_desc_need(struct x86_cpu *x, unsigned sel, int vector, uint32_t ext, struct x86_desc *ret);
/* The upper half of a 16-byte system descriptor: false when it is beyond the table. */
bool x86_desc_read_high(struct x86_cpu *x, unsigned sel, const struct x86_desc *d,
                        uint32_t *ret_base_high, uint32_t *ret_type_high);
void x86_desc_set_accessed(struct x86_cpu *x, struct x86_desc *d);
void x86_seg_from_desc(struct x86_seg *s, unsigned sel, const struct x86_desc *d);
void x86_seg_real(struct x86_seg *s, unsigned sel); /* keeps limit and rights (real mode) */
void x86_seg_vm86(struct x86_seg *s, unsigned sel);
void x86_seg_flat(struct x86_seg *s, unsigned sel, uint32_t flags);
void x86_set_seg(struct x86_cpu *x, unsigned n, const struct x86_seg *s);
void x86_null_seg(struct x86_cpu *x, unsigned n, unsigned sel);
/* Null data segments that privilege `cpl` may not keep (returns to an outer ring). */
void x86_drop_segs(struct x86_cpu *x, unsigned cpl);
/* Loads ES, SS, DS, FS or GS as MOV does. Changes nothing when it raises. The caller calls
 * cpu_mode_changed. */
void x86_load_seg(struct x86_cpu *x, unsigned n, unsigned sel);
/* CS for a far transfer: sets selector with the given RPL, and cpl to it. */
void x86_set_cs(struct x86_cpu *x, unsigned sel, unsigned cpl, const struct x86_desc *d);
/* RIP of a far transfer fits the segment that d describes, or #GP(ext). */
void x86_check_target(struct x86_cpu *x, const struct x86_desc *d, uint64_t rip, uint32_t ext);
/* May [off, off + size) be accessed in s (limits, expand-down, rights)? Not for 64-bit code. */
bool x86_seg_allows(const struct x86_seg *s, uint32_t off, unsigned size, bool write);

/* ---- stacks of transfers (sys_stack.c) ---- */
struct x86_stack {
    struct x86_cpu *x;
    uint64_t sp, base, mask;   /* sp: as it will be after the pushes or pops so far */
    const struct x86_seg *seg; /* NULL: 64-bit stack, no limits */
    unsigned mmu;
    int vector; /* of a limit violation: #SS or #TS */
    uint32_t error;
};
void x86_stack_current(struct x86_cpu *x, struct x86_stack *st);
/* A stack in a segment that is not loaded yet. */
void x86_stack_in(struct x86_cpu *x, struct x86_stack *st, const struct x86_seg *seg, uint64_t sp,
                  unsigned cpl, uint32_t error);
void x86_stack_push(struct x86_stack *st, uint64_t v, unsigned size);
uint64_t x86_stack_pop(struct x86_stack *st, unsigned size);
uint64_t x86_stack_peek(const struct x86_stack *st, unsigned off, unsigned size); /* above sp */
void x86_stack_commit(struct x86_cpu *x, const struct x86_stack *st); /* rSP, by its width */
/* SS:rSP for ring `ring` from the TSS, checked; #TS, #NP, #SS as the SDM says. Legacy modes. */
void x86_ring_stack(struct x86_cpu *x, unsigned ring, uint32_t ext, struct x86_seg *ret_ss,
                    uint64_t *ret_sp);
uint64_t x86_ring_stack64(struct x86_cpu *x, unsigned ring, unsigned ist,
                          uint32_t ext); /* RSP from the 64-bit TSS */

/* ---- events (sys_exc.c, sys_gate.c) ---- */
struct x86_event {
    int vector;
    bool has_error, software; /* software: INT n, INT3, INTO: the gate's DPL is checked */
    uint32_t error;
    uint64_t rip;    /* to push */
    uint32_t eflags; /* to push (RF as it must be) */
    uint32_t ext;    /* EXT bit of errors raised on the way */
};
/* Records an exception as pending without leaving (the walk). */
void x86_record(struct x86_cpu *x, int vector, uint32_t error, bool has_error);
/* A pending #GP(0) of a non-canonical address becomes #SS(0) when the access went through SS. */
void x86_fix_non_canonical(struct x86_cpu *x);
/* Goes through the IDT. Raises when that fails: nothing of the state has changed then. */
void x86_deliver_event(struct x86_cpu *x, const struct x86_event *ev);
void x86_deliver_long(struct x86_cpu *x, const struct x86_event *ev);
void x86_deliver_protected(struct x86_cpu *x, const struct x86_event *ev);
void x86_deliver_real(struct x86_cpu *x, const struct x86_event *ev);
void x86_deliver(struct cpu *cpu);                      /* guest->deliver */
bool x86_take_events(struct cpu *cpu, uint32_t events); /* guest->take_events */
bool x86_wakes(const struct cpu *cpu, uint32_t events);
void x86_reset(struct cpu *cpu);
void x86_reset_state(struct x86_cpu *x, bool init); /* init: INIT keeps FPU, caches, MSRs */
/* After IF may have become 1: a waiting event is looked at at the next poll. */
static inline void x86_poll_soon(struct x86_cpu *x)
{
    if (atomic_load_explicit(&x->c.events, memory_order_relaxed))
        atomic_store_explicit(&x->c.exit_request, 1, memory_order_relaxed);
}

/* Triple fault and the like: stands still until a reset, which the board is asked for. */
void x86_shut_down(struct x86_cpu *x, const char *why);

/* ---- system management mode (sys_smm.c) ---- */
bool x86_has_smm(const struct x86_cpu *x); /* else an SMI is dropped */
void x86_enter_smm(struct x86_cpu *x, bool halted);
void x86_leave_smm(struct x86_cpu *x); /* for resets: no state comes back */
extern const struct helper x86_h_rsm;

/* ---- task switches (sys_task.c) ---- */
enum x86_task_source { X86_TASK_JMP, X86_TASK_CALL, X86_TASK_INT, X86_TASK_IRET };
/* Switches to the task that sel names; d is its TSS descriptor, checked by the caller for type, DPL
 * and presence. next_rip goes into the old TSS. ev: pushes its error code on the new stack
 * (X86_TASK_INT). */
void x86_task_switch(struct x86_cpu *x, unsigned sel, struct x86_desc *d,
                     enum x86_task_source source, uint64_t next_rip, const struct x86_event *ev);
/* Task gate in d: reads and checks the TSS it names into *ret_tss; returns its selector. */
unsigned x86_task_gate(struct x86_cpu *x, const struct x86_desc *d, uint32_t ext,
                       struct x86_desc *ret_tss);

/* ---- helpers (sys_far.c, sys_iret.c, sys_call.c, sys_cr.c, sys_io.c, sys_seg.c) ---- */
extern const struct helper x86_h_jmp_far, x86_h_call_far, x86_h_ret_far, x86_h_iret;
extern const struct helper x86_h_syscall, x86_h_sysret, x86_h_sysenter, x86_h_sysexit, x86_h_swapgs;
extern const struct helper x86_h_load_seg, x86_h_lar, x86_h_lsl, x86_h_verr, x86_h_verw, x86_h_lldt,
    x86_h_ltr, x86_h_lgdt, x86_h_lidt;
extern const struct helper x86_h_write_cr, x86_h_read_cr8, x86_h_lmsw, x86_h_clts, x86_h_write_dr,
    x86_h_read_dr;
extern const struct helper x86_h_invlpg, x86_h_invpcid, x86_h_hlt, x86_h_set_flags, x86_h_set_ac,
    x86_h_set_base, x86_h_pushf_vm;
extern const struct helper x86_h_in, x86_h_out, x86_h_io_check, x86_h_ins, x86_h_outs, x86_h_int,
    x86_h_poll;
extern const struct helper x86_h_cpuid, x86_h_rdtsc, x86_h_rdtscp, x86_h_rdpmc, x86_h_rdmsr,
    x86_h_wrmsr;
void x86_set_cr0(struct x86_cpu *x, uint64_t v);
void x86_set_cr3(struct x86_cpu *x, uint64_t v, bool keep);
void x86_set_cr4(struct x86_cpu *x, uint64_t v);
/* False: a reserved bit is set; nothing changed. */
bool x86_load_pdptes(struct x86_cpu *x, uint64_t cr3);
/* Tells the soft TLB which space CR3 and CR4 name. */
void x86_set_space(struct x86_cpu *x, bool keep);
uint64_t x86_cr4_allowed(const struct x86_cpu *x);

/* ---- paging (walk.c) ---- */
bool x86_walk(struct cpu *cpu, gva_t va, enum cpu_access access, unsigned mmu, bool probe,
              struct cpu_walk *ret);

/* ---- MSRs and CPUID (msr.c, cpuid.c) ---- */
bool x86_read_msr(struct x86_cpu *x, uint32_t msr, uint64_t *ret); /* false: #GP(0) */
bool x86_write_msr(struct x86_cpu *x, uint32_t msr, uint64_t v);
struct x86_cpuid {
    uint32_t eax, ebx, ecx, edx;
};
struct x86_cpuid x86_cpuid(struct x86_cpu *x, uint32_t leaf, uint32_t sub);
bool x86_model_init(struct x86_cpu *x, const char *spec, struct error *err) MUST_CHECK;
uint32_t x86_model_signature(const struct x86_cpu *x); /* CPUID.1:EAX */
void x86_models_help(FILE *f);

/* ---- data breakpoints (sys_debug.c) ---- */
bool x86_watched_page(const struct x86_cpu *x, gva_t va); /* does one lie on va's page? */
bool x86_watch(struct cpu *cpu, gva_t va, unsigned len, enum cpu_access access, bool record);
void x86_insn_done(struct cpu *cpu); /* guest->insn_done */
