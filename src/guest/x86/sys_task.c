/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Task switches through 16- and 32-bit task state segments. SDM volume 3A chapter 7. Errors before
 * the commit leave the old task as it was; errors after it belong to the new task.
 */
#include "base/endian.h"
#include "guest/x86/sys.h"

enum { DR6_BT = 1 << 15 };

struct task {
    bool is32;
    uint32_t cr3, eip, eflags, gpr[8];
    uint16_t seg[6], ldt;
    bool trap;
};

static const uint8_t seg_order[6] = { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS };

static bool is_tss32(const struct x86_desc *d)
{
    return x86_d_type(d) >= X86_T_TSS32;
}

unsigned x86_task_gate(struct x86_cpu *x, const struct x86_desc *d, uint32_t ext,
                       struct x86_desc *ret_tss)
{
    unsigned sel = d->lo >> 16;

    if (sel & 4 || x86_sel_null(sel))
        x86_raise_error(x, X86_GP, (sel & 0xfffc) | ext);
    x86_desc_need(x, sel, X86_GP, ext, ret_tss);
    if (ret_tss->hi & X86_D_S ||
        (x86_d_type(ret_tss) != X86_T_TSS16 && x86_d_type(ret_tss) != X86_T_TSS32))
        x86_raise_error(x, X86_GP, (sel & 0xfffc) | ext);
    if (!(ret_tss->hi & X86_D_P))
        x86_raise_error(x, X86_NP, (sel & 0xfffc) | ext);
    return sel;
}

static void read_task(struct x86_cpu *x, uint32_t base, bool is32, struct task *t)
{
    uint8_t buf[104];

    cpu_load_bytes(&x->c, base, buf, is32 ? 104 : 44, X86_MMU_KERNEL);
    t->is32 = is32;
    if (is32) {
        t->cr3 = ld_le32(buf + 0x1c);
        t->eip = ld_le32(buf + 0x20);
        t->eflags = ld_le32(buf + 0x24);
        for (unsigned i = 0; i < 8; i++)
            t->gpr[i] = ld_le32(buf + 0x28 + i * 4);
        for (unsigned i = 0; i < 6; i++)
            t->seg[i] = ld_le16(buf + 0x48 + i * 4);
        t->ldt = ld_le16(buf + 0x60);
        t->trap = buf[0x64] & 1;
        return;
    }
    t->eip = ld_le16(buf + 0xe);
    t->eflags = ld_le16(buf + 0x10);
    for (unsigned i = 0; i < 8; i++)
        t->gpr[i] = ld_le16(buf + 0x12 + i * 2) | 0xffff0000;
    for (unsigned i = 0; i < 4; i++)
        t->seg[i] = ld_le16(buf + 0x22 + i * 2);
    t->ldt = ld_le16(buf + 0x2a);
}

static void save_task(struct x86_cpu *x, uint32_t eip, uint32_t eflags)
{
    bool is32 = (x->tr.flags & X86_SEG_TYPE) >= X86_T_TSS32;
    uint8_t buf[64];
    unsigned n = 0;

    if (is32) {
        st_le32(buf, eip);
        st_le32(buf + 4, eflags);
        for (n = 0; n < 8; n++)
            st_le32(buf + 8 + n * 4, (uint32_t)x->gpr[n]);
        for (n = 0; n < 6; n++) /* the upper halves are reserved: as they are */
            cpu_store(&x->c, (uint32_t)(x->tr.base + 0x48 + n * 4), x->seg[seg_order[n]].selector,
                      2, X86_MMU_KERNEL);
        cpu_store_bytes(&x->c, (uint32_t)(x->tr.base + 0x20), buf, 40, X86_MMU_KERNEL);
        return;
    }
    st_le16(buf, (uint16_t)eip);
    st_le16(buf + 2, (uint16_t)eflags);
    for (n = 0; n < 8; n++)
        st_le16(buf + 4 + n * 2, (uint16_t)x->gpr[n]);
    for (n = 0; n < 4; n++)
        st_le16(buf + 20 + n * 2, x->seg[seg_order[n]].selector);
    cpu_store_bytes(&x->c, (uint32_t)(x->tr.base + 0xe), buf, 28, X86_MMU_KERNEL);
}

/* Sets or clears the busy bit of the TSS descriptor that sel names. */
static void set_busy(struct x86_cpu *x, unsigned sel, bool busy)
{
    gva_t at = (uint32_t)(x->gdt.base + (sel & 0xfff8) + 4);
    uint32_t hi = (uint32_t)cpu_load(&x->c, at, 4, X86_MMU_KERNEL);

    cpu_store(&x->c, at, busy ? hi | X86_D_BUSY : hi & ~(uint32_t)X86_D_BUSY, 4, X86_MMU_KERNEL);
}

/* ---- the new task's segments: errors are the new task's ---- */

static _Noreturn void fail_task(struct x86_cpu *x, int vector, unsigned sel, uint32_t ext)
{
    x86_raise_error(x, vector, (sel & 0xfffc) | ext);
}

static void load_ldt(struct x86_cpu *x, unsigned sel, uint32_t ext)
{
    struct x86_desc d;

    x->ldt = (struct x86_seg){ .selector = (uint16_t)sel, .null = true };
    if (x86_sel_null(sel))
        return;
    if (sel & 4 || !x86_desc_read(x, sel, &d) || d.hi & X86_D_S || x86_d_type(&d) != X86_T_LDT ||
        !(d.hi & X86_D_P))
        fail_task(x, X86_TS, sel, ext);
    x86_seg_from_desc(&x->ldt, sel, &d);
}

static void load_task_cs(struct x86_cpu *x, unsigned sel, uint32_t ext)
{
    struct x86_desc d;
    unsigned rpl = sel & 3;

    if (x86_sel_null(sel) || !x86_desc_read(x, sel, &d) || !x86_d_is_code(&d) ||
        (x86_d_is_conforming(&d) ? x86_d_dpl(&d) > rpl : x86_d_dpl(&d) != rpl))
        fail_task(x, X86_TS, sel, ext);
    if (!(d.hi & X86_D_P))
        fail_task(x, X86_NP, sel, ext);
    x86_desc_set_accessed(x, &d);
    x86_set_cs(x, sel, rpl, &d);
}

static void load_task_ss(struct x86_cpu *x, unsigned sel, uint32_t ext)
{
    struct x86_desc d;
    struct x86_seg s;

    if (x86_sel_null(sel) || !x86_desc_read(x, sel, &d) ||
        (d.hi & (X86_D_S | X86_D_CODE | X86_D_W)) != (X86_D_S | X86_D_W) ||
        x86_d_dpl(&d) != x->cpl || (sel & 3) != x->cpl)
        fail_task(x, X86_TS, sel, ext);
    if (!(d.hi & X86_D_P))
        fail_task(x, X86_SS_VEC, sel, ext);
    x86_desc_set_accessed(x, &d);
    x86_seg_from_desc(&s, sel, &d);
    x86_set_seg(x, X86_SS, &s);
}

static void load_task_data(struct x86_cpu *x, unsigned n, unsigned sel, uint32_t ext)
{
    struct x86_desc d;
    struct x86_seg s;
    bool nonconforming;

    if (x86_sel_null(sel))
        return;
    if (!x86_desc_read(x, sel, &d) || !(d.hi & X86_D_S) || (d.hi & X86_D_CODE && !(d.hi & X86_D_W)))
        fail_task(x, X86_TS, sel, ext);
    nonconforming = !(d.hi & X86_D_CODE) || !(d.hi & X86_D_E);
    if (nonconforming && (x86_d_dpl(&d) < (sel & 3) || x86_d_dpl(&d) < x->cpl))
        fail_task(x, X86_TS, sel, ext);
    if (!(d.hi & X86_D_P))
        fail_task(x, X86_NP, sel, ext);
    x86_desc_set_accessed(x, &d);
    x86_seg_from_desc(&s, sel, &d);
    x86_set_seg(x, n, &s);
}

static void load_segments(struct x86_cpu *x, const struct task *t, uint32_t ext)
{
    for (unsigned i = 0; i < 6; i++)
        x86_null_seg(x, seg_order[i], t->seg[i]);
    if (x->eflags & X86_VM) {
        x->cpl = 3;
        for (unsigned i = 0; i < 6; i++) {
            struct x86_seg s;

            x86_seg_vm86(&s, t->seg[i]);
            x86_set_seg(x, seg_order[i], &s);
        }
        load_ldt(x, t->ldt, ext);
        return;
    }
    x->cpl = t->seg[1] & 3;
    load_ldt(x, t->ldt, ext);
    load_task_cs(x, t->seg[1], ext);
    load_task_ss(x, t->seg[2], ext);
    load_task_data(x, X86_ES, t->seg[0], ext);
    load_task_data(x, X86_DS, t->seg[3], ext);
    load_task_data(x, X86_FS, t->seg[4], ext);
    load_task_data(x, X86_GS, t->seg[5], ext);
}

/* ---- the switch ---- */

static void push_error(struct x86_cpu *x, const struct x86_event *ev, bool is32)
{
    struct x86_stack st;

    if (!ev || !ev->has_error)
        return;
    x86_stack_current(x, &st);
    st.error = ev->ext;
    x86_stack_push(&st, ev->error, is32 ? 4 : 2);
    x86_stack_commit(x, &st);
}

static void enter_task(struct x86_cpu *x, const struct task *t, bool nested)
{
    if (t->is32 && x->cr0 & X86_CR0_PG && t->cr3 != x->cr3)
        x86_set_cr3(x, t->cr3, false);
    x->rip = t->eip;
    x->c.host_ra = 0; /* from here on faults show the new task's state, not the old instruction's */
    for (unsigned i = 0; i < 8; i++)
        x->gpr[i] = t->gpr[i];
    x86_set_eflags(x, t->eflags | (nested ? X86_NT : 0), t->is32 ? 0x3f7fd5 : 0xffff);
    if (!t->is32)
        x->eflags &= ~(uint32_t)X86_VM;
    x->cr0 |= X86_CR0_TS;
    x->dr[7] &= ~UINT64_C(0x155);
}

void x86_task_switch(struct x86_cpu *x, unsigned sel, struct x86_desc *d,
                     enum x86_task_source source, uint64_t next_rip, const struct x86_event *ev)
{
    uint32_t base = x86_d_base(d), limit = x86_d_limit(d), flags = ev ? ev->eflags : x86_eflags(x),
             ext = ev ? ev->ext : 0;
    bool nested = source == X86_TASK_CALL || source == X86_TASK_INT;
    unsigned old = x->tr.selector,
             old_size = (x->tr.flags & X86_SEG_TYPE) >= X86_T_TSS32 ? 104 : 44;
    struct task t = { 0 };

    if (limit < (is_tss32(d) ? 103 : 43))
        x86_raise_error(x, X86_TS, (sel & 0xfffc) | ext);
    read_task(x, base, is_tss32(d), &t);
    cpu_probe(&x->c, (uint32_t)x->tr.base, old_size, CPU_WRITE, X86_MMU_KERNEL);
    if (nested)
        cpu_probe(&x->c, base, 2, CPU_WRITE, X86_MMU_KERNEL);
    if (source == X86_TASK_JMP || source == X86_TASK_IRET)
        set_busy(x, old, false);
    if (source == X86_TASK_IRET)
        flags &= ~(uint32_t)X86_NT;
    save_task(x, (uint32_t)next_rip, flags);
    if (nested)
        cpu_store(&x->c, base, old, 2, X86_MMU_KERNEL);
    if (source != X86_TASK_IRET)
        set_busy(x, sel, true);
    x86_seg_from_desc(&x->tr, sel, d);
    x->tr.flags |= 2;
    enter_task(x, &t, nested);
    x->delivering = -1;
    load_segments(x, &t, ext);
    cpu_mode_changed(&x->c);
    push_error(x, ev, t.is32);
    if (!(x->eflags & X86_VM) && x->rip > x->seg[X86_CS].limit)
        x86_raise_error(x, X86_GP, 0);
    if (t.trap) {
        x->exc_dr6 = DR6_BT;
        x->exc_next_rip = x->rip;
        x86_raise(x, X86_DB);
    }
}
