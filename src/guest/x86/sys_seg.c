/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Helpers of the segment instructions: MOV and POP to a segment register, LAR, LSL, VERR, VERW,
 * LLDT, LTR, LGDT, LIDT.
 */
#include "guest/x86/sys.h"

static void h_load_seg(struct x86_cpu *x, uint64_t n, uint64_t sel)
{
    x86_load_seg(x, (unsigned)(uint32_t)n, (unsigned)sel & 0xffff);
    cpu_mode_changed(&x->c);
}
const struct helper x86_h_load_seg = { "x86_load_seg", (helper_fn *)h_load_seg, "- i32 i32", 0 };

/* ---- LAR, LSL, VERR, VERW: look, never fault on what they see ---- */

/* The descriptor may be seen from here at this privilege. */
static bool visible(struct x86_cpu *x, unsigned sel, struct x86_desc *d)
{
    if (x86_sel_null(sel) || !x86_desc_read(x, sel, d))
        return false;
    if (x86_d_is_code(d) && x86_d_is_conforming(d))
        return true;
    return x86_d_dpl(d) >= x->cpl && x86_d_dpl(d) >= (sel & 3);
}

static bool system_type_in(const struct x86_cpu *x, const struct x86_desc *d, unsigned legacy,
                           unsigned lma)
{
    return d->hi & X86_D_S || (x86_lma(x) ? lma : legacy) >> x86_d_type(d) & 1;
}

/* Result in the low half, bit 63: ZF. */
static uint64_t h_lar(struct x86_cpu *x, uint64_t sel)
{
    enum {
        LEGACY = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 11 | 1 << 12,
        LMA = 1 << 2 | 1 << 9 | 1 << 11 | 1 << 12
    };
    struct x86_desc d;

    if (!visible(x, (unsigned)sel & 0xffff, &d) || !system_type_in(x, &d, LEGACY, LMA))
        return 0;
    return (d.hi & 0x00ffff00) | BIT(63);
}
const struct helper x86_h_lar = { "x86_lar", (helper_fn *)h_lar, "i64 i32", 0 };

static uint64_t h_lsl(struct x86_cpu *x, uint64_t sel)
{
    enum { LEGACY = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 9 | 1 << 11, LMA = 1 << 2 | 1 << 9 | 1 << 11 };
    struct x86_desc d;

    if (!visible(x, (unsigned)sel & 0xffff, &d) || !system_type_in(x, &d, LEGACY, LMA))
        return 0;
    return x86_d_limit(&d) | BIT(63);
}
const struct helper x86_h_lsl = { "x86_lsl", (helper_fn *)h_lsl, "i64 i32", 0 };

static uint64_t h_verr(struct x86_cpu *x, uint64_t sel)
{
    struct x86_desc d;

    return visible(x, (unsigned)sel & 0xffff, &d) && d.hi & X86_D_S &&
           (!(d.hi & X86_D_CODE) || d.hi & X86_D_W);
}
const struct helper x86_h_verr = { "x86_verr", (helper_fn *)h_verr, "i32 i32", 0 };

static uint64_t h_verw(struct x86_cpu *x, uint64_t sel)
{
    struct x86_desc d;

    return visible(x, (unsigned)sel & 0xffff, &d) && d.hi & X86_D_S && !(d.hi & X86_D_CODE) &&
           d.hi & X86_D_W;
}
const struct helper x86_h_verw = { "x86_verw", (helper_fn *)h_verw, "i32 i32", 0 };

/* ---- system segment registers ---- */

/* A system descriptor for LLDT and LTR, in the GDT; in long mode its base has 64 bits. */
static uint64_t read_system(struct x86_cpu *x, unsigned sel, unsigned types, struct x86_desc *d)
{
    uint32_t high = 0, type = 0;

    if (sel & 4)
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    x86_desc_need(x, sel, X86_GP, 0, d);
    if (d->hi & X86_D_S || !(types >> x86_d_type(d) & 1))
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    if (!(d->hi & X86_D_P))
        x86_raise_error(x, X86_NP, sel & 0xfffc);
    if (x86_lma(x) && (!x86_desc_read_high(x, sel, d, &high, &type) || type))
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    if (!x86_canonical(x86_d_base(d) | (uint64_t)high << 32))
        x86_raise_error(x, X86_GP, sel & 0xfffc);
    return (uint64_t)high << 32;
}

static void h_lldt(struct x86_cpu *x, uint64_t selector)
{
    unsigned sel = selector & 0xffff;
    struct x86_desc d;
    uint64_t high;

    if (x86_sel_null(sel)) {
        x->ldt.selector = (uint16_t)sel;
        x->ldt.null = true;
        return;
    }
    high = read_system(x, sel, 1 << X86_T_LDT, &d);
    x86_seg_from_desc(&x->ldt, sel, &d);
    x->ldt.base |= high;
}
const struct helper x86_h_lldt = { "x86_lldt", (helper_fn *)h_lldt, "- i32", 0 };

static void h_ltr(struct x86_cpu *x, uint64_t selector)
{
    unsigned sel = selector & 0xffff,
             types = x86_lma(x) ? 1 << X86_T_TSS32 : 1 << X86_T_TSS16 | 1 << X86_T_TSS32;
    struct x86_desc d;
    uint64_t high;

    if (x86_sel_null(sel))
        x86_raise_error(x, X86_GP, 0);
    high = read_system(x, sel, types, &d);
    d.hi |= X86_D_BUSY;
    cpu_store(&x->c, d.at + 4, d.hi, 4, X86_MMU_KERNEL);
    x86_seg_from_desc(&x->tr, sel, &d);
    x->tr.base |= high;
}
const struct helper x86_h_ltr = { "x86_ltr", (helper_fn *)h_ltr, "- i32", 0 };

static void h_lgdt(struct x86_cpu *x, uint64_t base, uint64_t limit)
{
    if (!x86_canonical(base))
        x86_raise_error(x, X86_GP, 0);
    x->gdt.base = base;
    x->gdt.limit = limit & 0xffff;
}
const struct helper x86_h_lgdt = { "x86_lgdt", (helper_fn *)h_lgdt, "- i64 i32", 0 };

static void h_lidt(struct x86_cpu *x, uint64_t base, uint64_t limit)
{
    if (!x86_canonical(base))
        x86_raise_error(x, X86_GP, 0);
    x->idt.base = base;
    x->idt.limit = limit & 0xffff;
}
const struct helper x86_h_lidt = { "x86_lidt", (helper_fn *)h_lidt, "- i64 i32", 0 };
