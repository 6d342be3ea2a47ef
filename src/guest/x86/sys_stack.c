/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stacks during far transfers and event delivery: pushes and pops that check limits and move a
 * private stack pointer, so that the register changes only when all of them have succeeded; stacks
 * of inner rings from the TSS.
 */
#include "guest/x86/sys.h"

static uint64_t mask_of(const struct x86_seg *ss)
{
    return ss->flags & X86_SEG_DB ? UINT32_MAX : 0xffff;
}

void x86_stack_in(struct x86_cpu *x, struct x86_stack *st, const struct x86_seg *seg, uint64_t sp,
                  unsigned cpl, uint32_t error)
{
    *st = (struct x86_stack){ .x = x,
                              .sp = sp,
                              .base = seg->base,
                              .mask = mask_of(seg),
                              .seg = seg,
                              .mmu = x86_mmu_of(x, cpl),
                              .vector = X86_SS_VEC,
                              .error = error };
    st->sp &= UINT32_MAX;
}

void x86_stack_current(struct x86_cpu *x, struct x86_stack *st)
{
    x86_stack_in(x, st, &x->seg[X86_SS], x->gpr[X86_RSP], x->cpl, 0);
    if (x86_code64(x)) {
        st->seg = NULL;
        st->base = 0;
        st->mask = UINT64_MAX;
        st->sp = x->gpr[X86_RSP];
    }
}

static gva_t address(const struct x86_stack *st, uint64_t sp, unsigned size, bool write)
{
    uint64_t off = sp & st->mask;

    if (!st->seg) {
        if (!x86_canonical(off) || !x86_canonical(off + size - 1))
            x86_raise_error(st->x, X86_SS_VEC, st->error);
        return off;
    }
    if (!x86_seg_allows(st->seg, (uint32_t)off, size, write))
        x86_raise_error(st->x, st->vector, st->error);
    return (uint32_t)(st->base + off);
}

void x86_stack_push(struct x86_stack *st, uint64_t v, unsigned size)
{
    uint64_t sp = st->sp - size;

    cpu_store(&st->x->c, address(st, sp, size, true), v, size, st->mmu);
    st->sp = (st->sp & ~st->mask) | (sp & st->mask);
}

uint64_t x86_stack_peek(const struct x86_stack *st, unsigned off, unsigned size)
{
    return cpu_load(&st->x->c, address(st, st->sp + off, size, false), size, st->mmu);
}

uint64_t x86_stack_pop(struct x86_stack *st, unsigned size)
{
    uint64_t v = x86_stack_peek(st, 0, size);

    st->sp = (st->sp & ~st->mask) | ((st->sp + size) & st->mask);
    return v;
}

void x86_stack_commit(struct x86_cpu *x, const struct x86_stack *st)
{
    uint64_t *rsp = &x->gpr[X86_RSP];

    if (st->mask == 0xffff)
        *rsp = (*rsp & ~UINT64_C(0xffff)) | (st->sp & 0xffff);
    else
        *rsp = st->sp & st->mask;
}

/* ---- stacks of inner rings ---- */

static void load_tss_stack(struct x86_cpu *x, unsigned ring, uint32_t ext, unsigned *ret_ss,
                           uint64_t *ret_sp)
{
    bool is32 = (x->tr.flags & X86_SEG_TYPE) >= X86_T_TSS32;
    uint32_t off = is32 ? 4 + ring * 8 : 2 + ring * 4, last = off + (is32 ? 5 : 3);
    gva_t at = x86_sys_addr(x, x->tr.base + off);

    if (last > x->tr.limit)
        x86_raise_error(x, X86_TS, (x->tr.selector & 0xfffc) | ext);
    *ret_sp = cpu_load(&x->c, at, is32 ? 4 : 2, X86_MMU_KERNEL);
    *ret_ss = (unsigned)cpu_load(&x->c, at + (is32 ? 4 : 2), 2, X86_MMU_KERNEL);
}

void x86_ring_stack(struct x86_cpu *x, unsigned ring, uint32_t ext, struct x86_seg *ret_ss,
                    uint64_t *ret_sp)
{
    struct x86_desc d;
    unsigned ss;
    uint64_t sp;

    load_tss_stack(x, ring, ext, &ss, &sp);
    if (x86_sel_null(ss))
        x86_raise_error(x, X86_TS, ext);
    x86_desc_need(x, ss, X86_TS, ext, &d);
    if ((ss & 3) != ring || x86_d_dpl(&d) != ring ||
        (d.hi & (X86_D_S | X86_D_CODE | X86_D_W)) != (X86_D_S | X86_D_W))
        x86_raise_error(x, X86_TS, (ss & 0xfffc) | ext);
    if (!(d.hi & X86_D_P))
        x86_raise_error(x, X86_SS_VEC, (ss & 0xfffc) | ext);
    x86_desc_set_accessed(x, &d);
    x86_seg_from_desc(ret_ss, ss, &d);
    *ret_sp = sp;
}

uint64_t x86_ring_stack64(struct x86_cpu *x, unsigned ring, unsigned ist, uint32_t ext)
{
    uint32_t off = ist ? 0x24 + (ist - 1) * 8 : 4 + ring * 8;
    uint64_t rsp;

    if (off + 7 > x->tr.limit)
        x86_raise_error(x, X86_TS, (x->tr.selector & 0xfffc) | ext);
    rsp = cpu_load(&x->c, x->tr.base + off, 8, X86_MMU_KERNEL);
    if (!x86_canonical(rsp))
        x86_raise_error(x, X86_SS_VEC, ext);
    return rsp;
}
