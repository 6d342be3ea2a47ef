/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Descriptor tables and segment registers: reading descriptors, filling segment registers, the
 * checks of MOV to a segment register, limits. SDM volume 3A 3.4, 5.2-5.6.
 */
#include <string.h>

#include "guest/x86/sys.h"

unsigned x86_mmu_of(const struct x86_cpu *x, unsigned cpl)
{
    if (cpl == 3)
        return X86_MMU_USER;
    return x->cr4 & X86_CR4_SMAP && x->eflags & X86_AC ? X86_MMU_KERNEL_NOSMAP : X86_MMU_KERNEL;
}

/* ---- tables ---- */

bool x86_desc_read(struct x86_cpu *x, unsigned sel, struct x86_desc *ret)
{
    bool local = sel & 4;
    uint64_t base = local ? x->ldt.base : x->gdt.base, v;
    uint32_t limit = local ? x->ldt.limit : x->gdt.limit;

    if (x->user)
        return x86_user_desc_read(x, sel, ret);
    if ((local && x->ldt.null) || (sel | 7) > limit)
        return false;
    ret->at = x86_sys_addr(x, base + (sel & 0xfff8));
    v = cpu_load(&x->c, ret->at, 8, X86_MMU_KERNEL);
    ret->lo = (uint32_t)v;
    ret->hi = v >> 32;
    return true;
}

void x86_desc_need(struct x86_cpu *x, unsigned sel, int vector, uint32_t ext, struct x86_desc *ret)
{
    if (!x86_desc_read(x, sel, ret))
        x86_raise_error(x, vector, (sel & 0xfffc) | ext);
}

bool x86_desc_read_high(struct x86_cpu *x, unsigned sel, const struct x86_desc *d,
                        uint32_t *ret_base_high, uint32_t *ret_type_high)
{
    uint64_t v;

    if ((sel & 0xfff8) + 15 > (sel & 4 ? x->ldt.limit : x->gdt.limit))
        return false;
    v = cpu_load(&x->c, d->at + 8, 8, X86_MMU_KERNEL);
    *ret_base_high = (uint32_t)v;
    *ret_type_high = v >> 40 & 31;
    return true;
}

void x86_desc_set_accessed(struct x86_cpu *x, struct x86_desc *d)
{
    if (d->hi & X86_D_A || x->user)
        return;
    d->hi |= X86_D_A;
    cpu_store(&x->c, d->at + 5, d->hi >> 8 & 0xff, 1, X86_MMU_KERNEL);
}

/* ---- segment registers ---- */

void x86_seg_from_desc(struct x86_seg *s, unsigned sel, const struct x86_desc *d)
{
    s->selector = (uint16_t)sel;
    s->base = x86_d_base(d);
    s->limit = x86_d_limit(d);
    s->flags = d->hi >> 8 & 0xf0ff;
    s->null = false;
}

void x86_seg_real(struct x86_seg *s, unsigned sel)
{
    s->selector = (uint16_t)sel;
    s->base = (uint32_t)(sel & 0xffff) << 4;
    if (s->null) { /* a null selector from protected mode left nothing usable behind */
        s->limit = 0xffff;
        s->flags = X86_SEG_P | X86_SEG_S | X86_SEG_W | X86_SEG_A;
        s->null = false;
    }
}

void x86_seg_vm86(struct x86_seg *s, unsigned sel)
{
    *s = (struct x86_seg){ .selector = (uint16_t)sel,
                           .base = (uint32_t)(sel & 0xffff) << 4,
                           .limit = 0xffff,
                           .flags = X86_SEG_P | X86_SEG_DPL | X86_SEG_S | X86_SEG_W | X86_SEG_A };
}

void x86_seg_flat(struct x86_seg *s, unsigned sel, uint32_t flags)
{
    *s = (struct x86_seg){ .selector = (uint16_t)sel,
                           .limit = UINT32_MAX,
                           .flags = flags | X86_SEG_P | X86_SEG_S | X86_SEG_A | X86_SEG_G };
}

void x86_set_seg(struct x86_cpu *x, unsigned n, const struct x86_seg *s)
{
    x->seg[n] = *s;
    x->seg_base[n] = s->base;
}

void x86_null_seg(struct x86_cpu *x, unsigned n, unsigned sel)
{
    struct x86_seg s = { .selector = (uint16_t)sel, .null = true };

    if (n == X86_SS) /* 64-bit mode: a usable stack all the same */
        s.flags = X86_SEG_P | X86_SEG_S | X86_SEG_W | X86_SEG_A | (sel & 3) << 5;
    x86_set_seg(x, n, &s);
}

void x86_drop_segs(struct x86_cpu *x, unsigned cpl)
{
    static const uint8_t data[] = { X86_ES, X86_DS, X86_FS, X86_GS };

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        const struct x86_seg *s = &x->seg[data[i]];
        bool conforming = (s->flags & (X86_SEG_CODE | X86_SEG_E)) == (X86_SEG_CODE | X86_SEG_E);

        if (s->null)
            x->seg[data[i]].selector = 0; /* the base stays: in long mode FS and GS have one */
        else if (!conforming && (s->flags & X86_SEG_DPL) >> 5 < cpl)
            x86_null_seg(x, data[i], 0);
    }
}

static bool null_stack_allowed(const struct x86_cpu *x, unsigned sel)
{
    return x86_code64(x) && x->cpl != 3 && (sel & 3) == x->cpl;
}

static void check_stack(struct x86_cpu *x, unsigned sel, const struct x86_desc *d)
{
    bool data = (d->hi & (X86_D_S | X86_D_CODE | X86_D_W)) == (X86_D_S | X86_D_W);

    if (!data || (sel & 3) != x->cpl || x86_d_dpl(d) != x->cpl)
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    if (!(d->hi & X86_D_P))
        x86_raise_error(x, X86_SS_VEC, sel & 0xfffc);
}

static void check_data(struct x86_cpu *x, unsigned sel, const struct x86_desc *d)
{
    bool readable = d->hi & X86_D_S && (!(d->hi & X86_D_CODE) || d->hi & X86_D_W);
    bool conforming = d->hi & X86_D_CODE && d->hi & X86_D_E;

    if (!readable || (!conforming && (x86_d_dpl(d) < (sel & 3) || x86_d_dpl(d) < x->cpl)))
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    if (!(d->hi & X86_D_P))
        x86_raise_error(x, X86_NP, sel & 0xfffc);
}

void x86_load_seg(struct x86_cpu *x, unsigned n, unsigned sel)
{
    struct x86_seg s = x->seg[n];
    struct x86_desc d;

    sel &= 0xffff;
    if (!x86_protected(x)) {
        if (x->eflags & X86_VM)
            x86_seg_vm86(&s, sel);
        else
            x86_seg_real(&s, sel);
        x86_set_seg(x, n, &s);
        return;
    }
    if (x86_sel_null(sel)) {
        if (n == X86_SS && !null_stack_allowed(x, sel))
            x86_raise_error(x, X86_GP, 0);
        x86_null_seg(x, n, sel);
        return;
    }
    x86_desc_need(x, sel, X86_GP, 0, &d);
    if (n == X86_SS)
        check_stack(x, sel, &d);
    else
        check_data(x, sel, &d);
    x86_desc_set_accessed(x, &d);
    x86_seg_from_desc(&s, sel, &d);
    x86_set_seg(x, n, &s);
}

void x86_set_cs(struct x86_cpu *x, unsigned sel, unsigned cpl, const struct x86_desc *d)
{
    struct x86_seg s;

    x86_seg_from_desc(&s, (sel & 0xfffc) | cpl, d);
    x86_set_seg(x, X86_CS, &s);
    x->cpl = (uint8_t)cpl;
}

void x86_check_target(struct x86_cpu *x, const struct x86_desc *d, uint64_t rip, uint32_t ext)
{
    if (x86_lma(x) && d->hi & X86_D_L ? !x86_canonical(rip) : rip > x86_d_limit(d))
        x86_raise_error(x, X86_GP, ext);
}

bool x86_seg_allows(const struct x86_seg *s, uint32_t off, unsigned size, bool write)
{
    uint32_t last = off + size - 1;
    bool code = s->flags & X86_SEG_CODE;

    if (s->null || !(s->flags & X86_SEG_P))
        return false;
    if (write ? code || !(s->flags & X86_SEG_W) : code && !(s->flags & X86_SEG_W))
        return false;
    if (!code && s->flags & X86_SEG_E) { /* expand-down: above the limit, below 64 KiB or 4 GiB */
        uint32_t top = s->flags & X86_SEG_DB ? UINT32_MAX : 0xffff;

        return off > s->limit && last <= top && last >= off;
    }
    return last <= s->limit && last >= off;
}
