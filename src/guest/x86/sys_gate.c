/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An event goes through the interrupt table: real mode's vectors, protected mode's gates, long
 * mode's gates with IST. Everything that may fault comes before the first change of a register. SDM
 * volume 3A 6.10-6.14.
 */
#include "guest/x86/sys.h"

enum { GATE_CLEARS = X86_TF | X86_NT | X86_VM | X86_RF };

static uint32_t idt_error(const struct x86_event *ev)
{
    return (uint32_t)ev->vector * 8 + 2 + ev->ext;
}

/* Type, DPL and presence of an IDT gate, common to protected and long mode. */
static void check_gate(struct x86_cpu *x, const struct x86_event *ev, const struct x86_desc *gate,
                       unsigned types)
{
    if (gate->hi & X86_D_S || !(types >> x86_d_type(gate) & 1))
        x86_raise_error(x, X86_GP, idt_error(ev));
    if (ev->software && x86_d_dpl(gate) < x->cpl)
        x86_raise_error(x, X86_GP, (uint32_t)ev->vector * 8 + 2);
    if (!(gate->hi & X86_D_P))
        x86_raise_error(x, X86_NP, idt_error(ev));
}

static uint32_t flags_after(const struct x86_cpu *x, unsigned gate_type)
{
    uint32_t flags = x->eflags & ~(uint32_t)GATE_CLEARS;

    return gate_type & 1 ? flags : flags & ~(uint32_t)X86_IF; /* even types are interrupt gates */
}

/* The handler's code segment; returns its privilege. */
static unsigned read_handler(struct x86_cpu *x, unsigned sel, uint32_t ext, struct x86_desc *cs)
{
    if (x86_sel_null(sel))
        x86_raise_error(x, X86_GP, ext);
    x86_desc_need(x, sel, X86_GP, ext, cs);
    if (!x86_d_is_code(cs) || x86_d_dpl(cs) > x->cpl)
        x86_raise_error(x, X86_GP, (sel & 0xfffc) | ext);
    if (!(cs->hi & X86_D_P))
        x86_raise_error(x, X86_NP, (sel & 0xfffc) | ext);
    return x86_d_is_conforming(cs) ? x->cpl : x86_d_dpl(cs);
}

/* ---- real mode ---- */

void x86_deliver_real(struct x86_cpu *x, const struct x86_event *ev)
{
    struct x86_stack st;
    struct x86_seg cs = x->seg[X86_CS];
    uint32_t entry;

    if ((uint32_t)ev->vector * 4 + 3 > x->idt.limit)
        x86_raise_error(x, X86_GP, (uint32_t)ev->vector * 8 + 2);
    entry = (uint32_t)cpu_load(&x->c, (uint32_t)(x->idt.base + (uint32_t)ev->vector * 4), 4,
                               X86_MMU_KERNEL);
    x86_stack_current(x, &st);
    x86_stack_push(&st, ev->eflags & 0xffff, 2);
    x86_stack_push(&st, x->seg[X86_CS].selector, 2);
    x86_stack_push(&st, ev->rip & 0xffff, 2);
    x86_stack_commit(x, &st);
    x86_seg_real(&cs, entry >> 16);
    x86_set_seg(x, X86_CS, &cs);
    x->rip = entry & 0xffff;
    x->eflags &= ~(uint32_t)(X86_IF | X86_TF | X86_RF | X86_AC);
}

/* ---- protected mode ---- */

static void deliver_task_gate(struct x86_cpu *x, const struct x86_event *ev,
                              const struct x86_desc *gate)
{
    struct x86_desc tss;
    unsigned sel = x86_task_gate(x, gate, ev->ext, &tss);

    x86_task_switch(x, sel, &tss, X86_TASK_INT, ev->rip, ev);
}

static void push_frame(struct x86_cpu *x, struct x86_stack *st, const struct x86_event *ev,
                       unsigned size, bool inner)
{
    static const uint8_t vm_segs[] = { X86_GS, X86_FS, X86_DS, X86_ES };

    if (x->eflags & X86_VM)
        for (unsigned i = 0; i < ARRAY_SIZE(vm_segs); i++)
            x86_stack_push(st, x->seg[vm_segs[i]].selector, size);
    if (inner) {
        x86_stack_push(st, x->seg[X86_SS].selector, size);
        x86_stack_push(st, x->gpr[X86_RSP], size);
    }
    x86_stack_push(st, ev->eflags, size);
    x86_stack_push(st, x->seg[X86_CS].selector, size);
    x86_stack_push(st, ev->rip, size);
    if (ev->has_error)
        x86_stack_push(st, ev->error, size);
}

void x86_deliver_protected(struct x86_cpu *x, const struct x86_event *ev)
{
    enum {
        TYPES = 1 << X86_T_TASK | 1 << X86_T_INT16 | 1 << X86_T_TRAP16 | 1 << X86_T_INT32 |
                1 << X86_T_TRAP32
    };
    static const uint8_t data[] = { X86_ES, X86_DS, X86_FS, X86_GS };
    struct x86_desc gate, cs;
    struct x86_stack st;
    struct x86_seg ss;
    uint64_t v, sp;

    if ((uint32_t)ev->vector * 8 + 7 > x->idt.limit)
        x86_raise_error(x, X86_GP, idt_error(ev));
    v = cpu_load(&x->c, (uint32_t)(x->idt.base + (uint32_t)ev->vector * 8), 8, X86_MMU_KERNEL);
    gate = (struct x86_desc){ .lo = (uint32_t)v, .hi = v >> 32 };
    check_gate(x, ev, &gate, TYPES);
    if (x86_d_type(&gate) == X86_T_TASK) {
        deliver_task_gate(x, ev, &gate);
        return;
    }
    unsigned size = x86_d_type(&gate) >= X86_T_INT32 ? 4 : 2, sel = gate.lo >> 16;
    unsigned cpl = read_handler(x, sel, ev->ext, &cs);
    bool vm = x->eflags & X86_VM, inner = cpl < x->cpl;
    uint64_t rip = (gate.lo & 0xffff) | (size == 4 ? gate.hi & 0xffff0000 : 0);

    if (vm && cpl != 0)
        x86_raise_error(x, X86_GP, (sel & 0xfffc) | ev->ext);
    if (inner) {
        x86_ring_stack(x, cpl, ev->ext, &ss, &sp);
        x86_stack_in(x, &st, &ss, sp, cpl, (ss.selector & 0xfffc) | ev->ext);
    } else {
        x86_stack_current(x, &st);
        st.error = ev->ext;
    }
    x86_check_target(x, &cs, rip, ev->ext);
    x86_desc_set_accessed(x, &cs);
    push_frame(x, &st, ev, size, inner);
    if (inner)
        x86_set_seg(x, X86_SS, &ss);
    x86_stack_commit(x, &st);
    x->eflags = flags_after(x, x86_d_type(&gate));
    for (unsigned i = 0; vm && i < ARRAY_SIZE(data); i++)
        x86_null_seg(x, data[i], 0);
    x86_set_cs(x, sel, cpl, &cs);
    x->rip = rip;
}

/* ---- long mode ---- */

void x86_deliver_long(struct x86_cpu *x, const struct x86_event *ev)
{
    uint64_t at = x->idt.base + (uint64_t)ev->vector * 16, frame[6], v[2], rip, rsp;
    struct x86_desc gate, cs;
    unsigned n = 0, cpl, ist, sel;

    if ((uint32_t)ev->vector * 16 + 15 > x->idt.limit)
        x86_raise_error(x, X86_GP, idt_error(ev));
    cpu_load_bytes(&x->c, at, v, 16, X86_MMU_KERNEL);
    gate = (struct x86_desc){ .lo = (uint32_t)v[0], .hi = v[0] >> 32 };
    check_gate(x, ev, &gate, 1 << X86_T_INT32 | 1 << X86_T_TRAP32);
    sel = gate.lo >> 16;
    rip = (gate.lo & 0xffff) | (gate.hi & 0xffff0000) | v[1] << 32;
    ist = gate.hi & 7;
    cpl = read_handler(x, sel, ev->ext, &cs);
    if ((cs.hi & (X86_D_L | X86_D_DB)) != X86_D_L)
        x86_raise_error(x, X86_GP, (sel & 0xfffc) | ev->ext);
    rsp = cpl < x->cpl || ist ? x86_ring_stack64(x, cpl, ist, ev->ext) : x->gpr[X86_RSP];
    if (!x86_canonical(rip))
        x86_raise_error(x, X86_GP, ev->ext);
    rsp &= ~UINT64_C(15);
    if (ev->has_error)
        frame[n++] = ev->error;
    frame[n++] = ev->rip;
    frame[n++] = x->seg[X86_CS].selector;
    frame[n++] = ev->eflags;
    frame[n++] = x->gpr[X86_RSP];
    frame[n++] = x->seg[X86_SS].selector;
    rsp -= n * 8;
    if (!x86_canonical(rsp))
        x86_raise_error(x, X86_SS_VEC, ev->ext);
    x86_desc_set_accessed(x, &cs);
    cpu_store_bytes(&x->c, rsp, frame, n * 8, x86_mmu_of(x, cpl));
    x->gpr[X86_RSP] = rsp;
    x->eflags = flags_after(x, x86_d_type(&gate));
    if (cpl < x->cpl)
        x86_null_seg(x, X86_SS, cpl);
    x86_set_cs(x, sel, cpl, &cs);
    x->rip = rip;
}
