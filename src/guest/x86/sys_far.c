/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Far JMP, CALL and RET: direct, through call gates of 16, 32 and 64 bits, task gates and task
 * state segments. SDM volume 2A, CALL and JMP; volume 2B, RET; volume 3A 5.8.
 */
#include "guest/x86/sys.h"

struct far { /* one far JMP or CALL */
    struct x86_cpu *x;
    unsigned sel, size; /* operand size in bytes */
    uint64_t off, next;
    bool call;
};

static void far_real(const struct far *f)
{
    struct x86_cpu *x = f->x;
    struct x86_seg cs = x->seg[X86_CS];
    struct x86_stack st;
    bool vm = x->eflags & X86_VM;

    if (f->off > (vm ? 0xffff : cs.limit))
        x86_raise_error(x, X86_GP, 0);
    if (f->call) {
        x86_stack_current(x, &st);
        x86_stack_push(&st, cs.selector, f->size);
        x86_stack_push(&st, f->next, f->size);
        x86_stack_commit(x, &st);
    }
    if (vm)
        x86_seg_vm86(&cs, f->sel);
    else
        x86_seg_real(&cs, f->sel);
    x86_set_seg(x, X86_CS, &cs);
    x->rip = f->off;
}

static void check_present(struct x86_cpu *x, unsigned sel, const struct x86_desc *d)
{
    if (!(d->hi & X86_D_P))
        x86_raise_error(x, X86_NP, sel & 0xfffc);
}

static void check_long_code(struct x86_cpu *x, unsigned sel, const struct x86_desc *d)
{
    if (x86_lma(x) && (d->hi & (X86_D_L | X86_D_DB)) == (X86_D_L | X86_D_DB))
        x86_raise_error(x, X86_GP, sel & 0xfffc);
}

/* Straight to a code segment of the same privilege. */
static void far_code(const struct far *f, struct x86_desc *d)
{
    struct x86_cpu *x = f->x;
    unsigned dpl = x86_d_dpl(d);
    struct x86_stack st;

    if (x86_d_is_conforming(d) ? dpl > x->cpl : (f->sel & 3) > x->cpl || dpl != x->cpl)
        x86_raise_error(x, X86_GP, f->sel & 0xfffc);
    check_long_code(x, f->sel, d);
    check_present(x, f->sel, d);
    x86_stack_current(x, &st);
    if (f->call) {
        x86_stack_push(&st, x->seg[X86_CS].selector, f->size);
        x86_stack_push(&st, f->next, f->size);
    }
    x86_check_target(x, d, f->off, 0);
    x86_desc_set_accessed(x, d);
    x86_stack_commit(x, &st);
    x86_set_cs(x, f->sel, x->cpl, d);
    x->rip = f->off;
}

/* ---- call gates ---- */

struct gate {
    unsigned sel, params, size; /* size of the gate: 2, 4, 8 */
    uint64_t rip;
    struct x86_desc cs;
};

static void read_gate(const struct far *f, const struct x86_desc *d, struct gate *g)
{
    struct x86_cpu *x = f->x;
    uint32_t high = 0, high_type = 0;

    g->sel = d->lo >> 16;
    g->params = d->hi & 31;
    g->size = x86_lma(x) ? 8 : x86_d_type(d) == X86_T_CALL32 ? 4 : 2;
    if (g->size == 8) {
        if (!x86_desc_read_high(x, f->sel, d, &high, &high_type) || high_type)
            x86_raise_error(x, X86_GP, f->sel & 0xfffc);
        g->params = 0;
    }
    g->rip = (d->lo & 0xffff) | (g->size > 2 ? d->hi & 0xffff0000 : 0) | (uint64_t)high << 32;
    if (x86_sel_null(g->sel))
        x86_raise_error(x, X86_GP, 0);
    x86_desc_need(x, g->sel, X86_GP, 0, &g->cs);
    if (!x86_d_is_code(&g->cs) || x86_d_dpl(&g->cs) > x->cpl ||
        (!f->call && !x86_d_is_conforming(&g->cs) && x86_d_dpl(&g->cs) != x->cpl))
        x86_raise_error(x, X86_GP, g->sel & 0xfffc);
    if (g->size == 8 && (g->cs.hi & (X86_D_L | X86_D_DB)) != X86_D_L)
        x86_raise_error(x, X86_GP, g->sel & 0xfffc);
    check_present(x, g->sel, &g->cs);
}

static void call_inner64(struct x86_cpu *x, const struct gate *g, unsigned cpl, uint64_t next)
{
    uint64_t frame[4] = { next, x->seg[X86_CS].selector, x->gpr[X86_RSP], x->seg[X86_SS].selector };
    uint64_t rsp = x86_ring_stack64(x, cpl, 0, 0) - sizeof(frame);

    if (!x86_canonical(rsp))
        x86_raise_error(x, X86_SS_VEC, 0);
    if (!x86_canonical(g->rip))
        x86_raise_error(x, X86_GP, 0);
    cpu_store_bytes(&x->c, rsp, frame, sizeof(frame), x86_mmu_of(x, cpl));
    x->gpr[X86_RSP] = rsp;
    x86_null_seg(x, X86_SS, cpl);
}

static void call_inner(struct x86_cpu *x, const struct gate *g, unsigned cpl, uint64_t next)
{
    struct x86_stack old, st;
    struct x86_seg ss;
    uint64_t sp, param[31];

    x86_ring_stack(x, cpl, 0, &ss, &sp);
    x86_stack_in(x, &st, &ss, sp, cpl, ss.selector & 0xfffc);
    x86_stack_current(x, &old);
    for (unsigned i = 0; i < g->params; i++)
        param[i] = x86_stack_peek(&old, i * g->size, g->size);
    x86_stack_push(&st, x->seg[X86_SS].selector, g->size);
    x86_stack_push(&st, x->gpr[X86_RSP], g->size);
    for (unsigned i = g->params; i--;)
        x86_stack_push(&st, param[i], g->size);
    x86_stack_push(&st, x->seg[X86_CS].selector, g->size);
    x86_stack_push(&st, next, g->size);
    x86_check_target(x, &g->cs, g->rip, 0);
    x86_set_seg(x, X86_SS, &ss);
    x86_stack_commit(x, &st);
}

static void far_gate(const struct far *f, const struct x86_desc *d)
{
    struct x86_cpu *x = f->x;
    struct x86_stack st;
    struct gate g;
    unsigned cpl = x->cpl;

    read_gate(f, d, &g);
    x86_desc_set_accessed(x, &g.cs);
    if (f->call && !x86_d_is_conforming(&g.cs) && x86_d_dpl(&g.cs) < x->cpl) {
        cpl = x86_d_dpl(&g.cs);
        if (g.size == 8)
            call_inner64(x, &g, cpl, f->next);
        else
            call_inner(x, &g, cpl, f->next);
    } else {
        x86_stack_current(x, &st);
        if (f->call) {
            x86_stack_push(&st, x->seg[X86_CS].selector, g.size);
            x86_stack_push(&st, f->next, g.size);
        }
        x86_check_target(x, &g.cs, g.rip, 0);
        x86_stack_commit(x, &st);
    }
    x86_set_cs(x, g.sel, cpl, &g.cs);
    x->rip = g.rip;
}

/* ---- system descriptors ---- */

static void far_system(const struct far *f, struct x86_desc *d)
{
    enum {
        LEGACY = 1 << X86_T_TSS16 | 1 << X86_T_TSS32 | 1 << X86_T_CALL16 | 1 << X86_T_CALL32 |
                 1 << X86_T_TASK
    };
    struct x86_cpu *x = f->x;
    unsigned type = x86_d_type(d);
    struct x86_desc tss;
    unsigned sel = f->sel;

    if (!((x86_lma(x) ? 1u << X86_T_CALL32 : LEGACY) >> type & 1) || x86_d_dpl(d) < x->cpl ||
        x86_d_dpl(d) < (sel & 3))
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    if ((type == X86_T_TSS16 || type == X86_T_TSS32) && sel & 4)
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    check_present(x, sel, d);
    if (type == X86_T_CALL16 || type == X86_T_CALL32) {
        far_gate(f, d);
        return;
    }
    tss = *d;
    if (type == X86_T_TASK)
        sel = x86_task_gate(x, d, 0, &tss);
    x86_task_switch(x, sel, &tss, f->call ? X86_TASK_CALL : X86_TASK_JMP, f->next, NULL);
}

static void far_transfer(struct x86_cpu *x, uint64_t sel, uint64_t off, uint64_t size,
                         uint64_t next, bool call)
{
    struct far f = { .x = x,
                     .sel = sel & 0xffff,
                     .off = off,
                     .size = (unsigned)(uint32_t)size,
                     .next = next,
                     .call = call };
    struct x86_desc d;

    if (!x86_protected(x)) {
        far_real(&f);
        cpu_mode_changed(&x->c);
        return;
    }
    if (x86_sel_null(f.sel))
        x86_raise_error(x, X86_GP, 0);
    x86_desc_need(x, f.sel, X86_GP, 0, &d);
    if (x86_d_is_code(&d))
        far_code(&f, &d);
    else if (d.hi & X86_D_S)
        x86_raise_error(x, X86_GP, f.sel & 0xfffc);
    else
        far_system(&f, &d);
    cpu_mode_changed(&x->c);
}

static void h_jmp_far(struct x86_cpu *x, uint64_t sel, uint64_t off, uint64_t size, uint64_t next)
{
    far_transfer(x, sel, off, size, next, false);
}

static void h_call_far(struct x86_cpu *x, uint64_t sel, uint64_t off, uint64_t size, uint64_t next)
{
    far_transfer(x, sel, off, size, next, true);
}
const struct helper x86_h_jmp_far = { "x86_jmp_far", (helper_fn *)h_jmp_far, "- i32 i64 i32 i64",
                                      0 };
const struct helper x86_h_call_far = { "x86_call_far", (helper_fn *)h_call_far, "- i32 i64 i32 i64",
                                       0 };

/* ---- far RET ---- */

static void ret_real(struct x86_cpu *x, unsigned size, unsigned extra)
{
    struct x86_seg cs = x->seg[X86_CS];
    struct x86_stack st;
    bool vm = x->eflags & X86_VM;
    uint64_t rip;
    unsigned sel;

    x86_stack_current(x, &st);
    rip = x86_stack_pop(&st, size);
    sel = (unsigned)x86_stack_pop(&st, size) & 0xffff;
    if (rip > (vm ? 0xffff : cs.limit))
        x86_raise_error(x, X86_GP, 0);
    if (vm)
        x86_seg_vm86(&cs, sel);
    else
        x86_seg_real(&cs, sel);
    x86_set_seg(x, X86_CS, &cs);
    st.sp += extra;
    x86_stack_commit(x, &st);
    x->rip = rip;
}

static void check_ret_cs(struct x86_cpu *x, unsigned sel, struct x86_desc *d)
{
    unsigned rpl = sel & 3;

    if (x86_sel_null(sel))
        x86_raise_error(x, X86_GP, 0);
    x86_desc_need(x, sel, X86_GP, 0, d);
    if (!x86_d_is_code(d) || rpl < x->cpl ||
        (x86_d_is_conforming(d) ? x86_d_dpl(d) > rpl : x86_d_dpl(d) != rpl))
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    check_long_code(x, sel, d);
    check_present(x, sel, d);
}

/* SS of the outer ring. */
static void ret_ss(struct x86_cpu *x, unsigned sel, unsigned rpl, bool to64, struct x86_seg *ret)
{
    struct x86_desc d;

    if (x86_sel_null(sel) && to64 && rpl != 3) {
        *ret =
            (struct x86_seg){ .selector = (uint16_t)sel,
                              .null = true,
                              .flags = X86_SEG_P | X86_SEG_S | X86_SEG_W | X86_SEG_A | rpl << 5 };
        return;
    }
    if (x86_sel_null(sel))
        x86_raise_error(x, X86_GP, 0);
    x86_desc_need(x, sel, X86_GP, 0, &d);
    if ((sel & 3) != rpl || x86_d_dpl(&d) != rpl ||
        (d.hi & (X86_D_S | X86_D_CODE | X86_D_W)) != (X86_D_S | X86_D_W))
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    if (!(d.hi & X86_D_P))
        x86_raise_error(x, X86_SS_VEC, sel & 0xfffc);
    x86_desc_set_accessed(x, &d);
    x86_seg_from_desc(ret, sel, &d);
}

static void ret_outer(struct x86_cpu *x, struct x86_stack *st, unsigned size, unsigned extra,
                      unsigned sel, struct x86_desc *cs, uint64_t rip)
{
    unsigned rpl = sel & 3;
    struct x86_seg ss;
    uint64_t rsp;
    bool to64 = x86_lma(x) && cs->hi & X86_D_L;

    st->sp = (st->sp & ~st->mask) | ((st->sp + extra) & st->mask);
    rsp = x86_stack_pop(st, size);
    ret_ss(x, (unsigned)x86_stack_pop(st, size) & 0xffff, rpl, to64, &ss);
    x86_check_target(x, cs, rip, 0);
    x86_desc_set_accessed(x, cs);
    x86_set_cs(x, sel, rpl, cs);
    x86_set_seg(x, X86_SS, &ss);
    rsp += extra;
    if (to64)
        x->gpr[X86_RSP] = rsp;
    else if (ss.flags & X86_SEG_DB)
        x->gpr[X86_RSP] = (uint32_t)rsp;
    else
        x->gpr[X86_RSP] = (x->gpr[X86_RSP] & ~UINT64_C(0xffff)) | (rsp & 0xffff);
    x86_drop_segs(x, rpl);
    x->rip = rip;
}

static void h_ret_far(struct x86_cpu *x, uint64_t size, uint64_t extra)
{
    unsigned bytes = (unsigned)(uint32_t)size, sel;
    struct x86_stack st;
    struct x86_desc cs;
    uint64_t rip;

    extra &= 0xffff;
    if (!x86_protected(x)) {
        ret_real(x, bytes, (unsigned)extra);
        cpu_mode_changed(&x->c);
        return;
    }
    x86_stack_current(x, &st);
    rip = x86_stack_pop(&st, bytes);
    sel = (unsigned)x86_stack_pop(&st, bytes) & 0xffff;
    check_ret_cs(x, sel, &cs);
    if ((sel & 3) > x->cpl) {
        ret_outer(x, &st, bytes, (unsigned)extra, sel, &cs, rip);
    } else {
        x86_check_target(x, &cs, rip, 0);
        x86_desc_set_accessed(x, &cs);
        st.sp += extra;
        x86_stack_commit(x, &st);
        x86_set_cs(x, sel, x->cpl, &cs);
        x->rip = rip;
    }
    cpu_mode_changed(&x->c);
}
const struct helper x86_h_ret_far = { "x86_ret_far", (helper_fn *)h_ret_far, "- i32 i32", 0 };
