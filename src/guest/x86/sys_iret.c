/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * IRET in every mode: real, virtual-8086, protected (same ring, outer ring, back to virtual-8086,
 * nested task), long. SDM volume 2A, IRET.
 */
#include "guest/x86/sys.h"

enum { FLAGS_USER = X86_ARITH | X86_TF | X86_DF | X86_NT | X86_RF | X86_AC | X86_ID };

/* Flags that IRET may change at privilege cpl with operands of `size` bytes. */
static uint32_t flag_mask(const struct x86_cpu *x, unsigned size)
{
    uint32_t mask = FLAGS_USER;

    if (x->cpl <= x86_iopl(x))
        mask |= X86_IF;
    if (x->cpl == 0)
        mask |= X86_IOPL | X86_VIF | X86_VIP;
    return size == 2 ? mask & 0xffff : mask;
}

static void set_flags(struct x86_cpu *x, uint64_t value, uint32_t mask)
{
    x86_set_eflags(x, (uint32_t)value, mask);
    if (!(x->dr[7] & 0xff))
        x->eflags &= ~(uint32_t)X86_RF; /* acts on instruction breakpoints only */
    x->nmi_blocked = false;
    x86_poll_soon(x);
}

static void iret_real(struct x86_cpu *x, unsigned size)
{
    bool vm = x->eflags & X86_VM;
    uint32_t mask =
        (FLAGS_USER | X86_IF | (vm ? 0 : X86_IOPL)) & (size == 2 ? 0xffff : ~(uint32_t)0);
    struct x86_seg cs = x->seg[X86_CS];
    struct x86_stack st;
    uint64_t rip, sel, flags;

    if (vm && x86_iopl(x) < 3)
        x86_raise_error(x, X86_GP, 0);
    x86_stack_current(x, &st);
    rip = x86_stack_pop(&st, size);
    sel = x86_stack_pop(&st, size);
    flags = x86_stack_pop(&st, size);
    if (rip > (vm ? 0xffff : x->seg[X86_CS].limit))
        x86_raise_error(x, X86_GP, 0);
    if (vm)
        x86_seg_vm86(&cs, (unsigned)sel);
    else
        x86_seg_real(&cs, (unsigned)sel);
    x86_set_seg(x, X86_CS, &cs);
    x86_stack_commit(x, &st);
    x->rip = rip;
    set_flags(x, flags, mask);
}

static void iret_task(struct x86_cpu *x, uint64_t next)
{
    struct x86_desc d;
    unsigned sel;

    if (x86_lma(x))
        x86_raise_error(x, X86_GP, 0);
    sel = (unsigned)cpu_load(&x->c, (uint32_t)x->tr.base, 2, X86_MMU_KERNEL);
    if (sel & 4 || x86_sel_null(sel))
        x86_raise_error(x, X86_TS, sel & 0xfffc);
    x86_desc_need(x, sel, X86_TS, 0, &d);
    if (d.hi & X86_D_S ||
        (x86_d_type(&d) != X86_T_TSS16_BUSY && x86_d_type(&d) != X86_T_TSS32_BUSY))
        x86_raise_error(x, X86_TS, sel & 0xfffc);
    if (!(d.hi & X86_D_P))
        x86_raise_error(x, X86_NP, sel & 0xfffc);
    x86_task_switch(x, sel, &d, X86_TASK_IRET, next, NULL);
    x->nmi_blocked = false;
}

static void iret_to_vm86(struct x86_cpu *x, struct x86_stack *st, uint64_t rip, unsigned cs,
                         uint32_t flags)
{
    static const uint8_t order[] = { X86_SS, X86_ES, X86_DS, X86_FS, X86_GS };
    struct x86_seg seg[6];
    uint64_t rsp = x86_stack_pop(st, 4);

    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        x86_seg_vm86(&seg[order[i]], (unsigned)x86_stack_pop(st, 4));
    x86_seg_vm86(&seg[X86_CS], cs);
    if (rip > 0xffff)
        x86_raise_error(x, X86_GP, 0);
    set_flags(x, flags, FLAGS_USER | X86_IF | X86_IOPL | X86_VIF | X86_VIP | X86_VM);
    for (unsigned i = 0; i < 6; i++)
        x86_set_seg(x, i, &seg[i]);
    x->cpl = 3;
    x->gpr[X86_RSP] = (uint32_t)rsp;
    x->rip = rip;
}

static void check_cs(struct x86_cpu *x, unsigned sel, struct x86_desc *d)
{
    unsigned rpl = sel & 3;

    if (x86_sel_null(sel))
        x86_raise_error(x, X86_GP, 0);
    x86_desc_need(x, sel, X86_GP, 0, d);
    if (!x86_d_is_code(d) || rpl < x->cpl ||
        (x86_d_is_conforming(d) ? x86_d_dpl(d) > rpl : x86_d_dpl(d) != rpl))
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    if (x86_lma(x) && (d->hi & (X86_D_L | X86_D_DB)) == (X86_D_L | X86_D_DB))
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    if (!(d->hi & X86_D_P))
        x86_raise_error(x, X86_NP, sel & 0xfffc);
}

/* SS of a return to ring rpl; *ret is what to load. */
static void check_ss(struct x86_cpu *x, unsigned sel, unsigned rpl, bool to64, struct x86_seg *ret)
{
    struct x86_desc d;

    if (x86_sel_null(sel)) {
        if (!to64 || rpl == 3)
            x86_raise_error(x, X86_GP, 0);
        *ret =
            (struct x86_seg){ .selector = (uint16_t)sel,
                              .null = true,
                              .flags = X86_SEG_P | X86_SEG_S | X86_SEG_W | X86_SEG_A | rpl << 5 };
        return;
    }
    x86_desc_need(x, sel, X86_GP, 0, &d);
    if ((sel & 3) != rpl || x86_d_dpl(&d) != rpl ||
        (d.hi & (X86_D_S | X86_D_CODE | X86_D_W)) != (X86_D_S | X86_D_W))
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    if (!(d.hi & X86_D_P))
        x86_raise_error(x, X86_SS_VEC, sel & 0xfffc);
    x86_desc_set_accessed(x, &d);
    x86_seg_from_desc(ret, sel, &d);
}

static void set_rsp(struct x86_cpu *x, uint64_t rsp, unsigned size)
{
    if (x86_code64(x))
        x->gpr[X86_RSP] = rsp;
    else if (x->seg[X86_SS].flags & X86_SEG_DB)
        x->gpr[X86_RSP] = size == 2 ? (x->gpr[X86_RSP] & 0xffff0000) | rsp : (uint32_t)rsp;
    else
        x->gpr[X86_RSP] = (x->gpr[X86_RSP] & ~UINT64_C(0xffff)) | (rsp & 0xffff);
}

static void iret_protected(struct x86_cpu *x, unsigned size)
{
    bool from64 = x86_code64(x);
    uint32_t mask = flag_mask(x, size);
    struct x86_desc cs;
    struct x86_stack st;
    struct x86_seg ss;
    uint64_t rip, rsp = 0, flags;
    unsigned sel, rpl;
    bool outer;

    x86_stack_current(x, &st);
    rip = x86_stack_pop(&st, size);
    sel = (unsigned)x86_stack_pop(&st, size) & 0xffff;
    flags = x86_stack_pop(&st, size);
    if (flags & X86_VM && size == 4 && x->cpl == 0 && !x86_lma(x)) {
        iret_to_vm86(x, &st, rip, sel, (uint32_t)flags);
        return;
    }
    rpl = sel & 3;
    check_cs(x, sel, &cs);
    outer = rpl > x->cpl;
    if (outer || from64) {
        rsp = x86_stack_pop(&st, size);
        check_ss(x, (unsigned)x86_stack_pop(&st, size) & 0xffff, rpl, x86_lma(x) && cs.hi & X86_D_L,
                 &ss);
    }
    x86_check_target(x, &cs, rip, 0);
    x86_desc_set_accessed(x, &cs);
    x86_set_cs(x, sel, rpl, &cs);
    if (outer || from64) {
        x86_set_seg(x, X86_SS, &ss);
        set_rsp(x, rsp, size);
    } else {
        x86_stack_commit(x, &st);
    }
    if (outer)
        x86_drop_segs(x, rpl);
    x->rip = rip;
    set_flags(x, flags, mask);
}

static void h_iret(struct x86_cpu *x, uint64_t size, uint64_t next)
{
    unsigned bytes = (unsigned)(uint32_t)size;

    if (!x86_protected(x))
        iret_real(x, bytes);
    else if (x->eflags & X86_NT)
        iret_task(x, next);
    else
        iret_protected(x, bytes);
    cpu_mode_changed(&x->c);
}
const struct helper x86_h_iret = { "x86_iret", (helper_fn *)h_iret, "- i32 i64", 0 };
