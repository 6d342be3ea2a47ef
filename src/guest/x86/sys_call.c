/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS: the fast ways in and out of a kernel. They load flat
 * segments without looking at a descriptor. SDM volume 2B; AMD APM volume 2 6.1.
 */
#include "guest/x86/sys.h"

enum { CODE_RX = X86_SEG_CODE | X86_SEG_W, DATA_RW = X86_SEG_W };

static uint32_t dpl_flags(unsigned dpl)
{
    return dpl << 5;
}

static void set_flat(struct x86_cpu *x, unsigned n, unsigned sel, uint32_t flags)
{
    struct x86_seg s;

    x86_seg_flat(&s, sel, flags);
    x86_set_seg(x, n, &s);
}

static void set_code(struct x86_cpu *x, unsigned sel, unsigned cpl, bool is64)
{
    set_flat(x, X86_CS, sel, CODE_RX | dpl_flags(cpl) | (is64 ? X86_SEG_L : X86_SEG_DB));
    x->cpl = (uint8_t)cpl;
}

static void set_stack(struct x86_cpu *x, unsigned sel, unsigned cpl)
{
    set_flat(x, X86_SS, sel, DATA_RW | dpl_flags(cpl) | X86_SEG_DB);
}

static void h_syscall(struct x86_cpu *x, uint64_t next)
{
    unsigned sel = x->star >> 32 & 0xfffc;
    bool lma = x86_lma(x);

    if (!(x->efer & X86_EFER_SCE) || !(x->cr0 & X86_CR0_PE) || (!x86_code64(x) && !x->vendor))
        x86_raise(x, X86_UD);
    if (lma) {
        uint32_t flags = x86_eflags(x) & ~(uint32_t)X86_RF;

        x->gpr[X86_RCX] = next;
        x->gpr[11] = flags;
        x->rip = x86_code64(x) ? x->lstar : x->cstar;
        x86_set_eflags(x, flags & ~(uint32_t)x->sfmask, ~(uint32_t)0);
    } else {
        x->gpr[X86_RCX] = (uint32_t)next;
        x->rip = (uint32_t)x->star;
        x->eflags &= ~(uint32_t)(X86_IF | X86_RF | X86_VM);
    }
    set_code(x, sel, 0, lma);
    set_stack(x, sel + 8, 0);
    cpu_mode_changed(&x->c);
}
const struct helper x86_h_syscall = { "x86_syscall", (helper_fn *)h_syscall, "- i64", 0 };

static void h_sysret(struct x86_cpu *x, uint64_t opsize)
{
    unsigned sel = x->star >> 48 & 0xffff;
    bool to64 = (uint32_t)opsize == 8;

    if (!(x->efer & X86_EFER_SCE) || !(x->cr0 & X86_CR0_PE) || (!x86_code64(x) && !x->vendor))
        x86_raise(x, X86_UD);
    if (x->cpl != 0 || (to64 && !x->vendor && !x86_canonical(x->gpr[X86_RCX])))
        x86_raise_error(x, X86_GP, 0);
    x->rip = to64 ? x->gpr[X86_RCX] : (uint32_t)x->gpr[X86_RCX];
    if (x86_lma(x))
        x86_set_eflags(x, ((uint32_t)x->gpr[11] & 0x3c7fd7) | 2, ~(uint32_t)0);
    else
        x->eflags |= X86_IF;
    set_code(x, (to64 ? sel + 16 : sel) | 3, 3, to64);
    set_stack(x, (sel + 8) | 3, 3);
    cpu_mode_changed(&x->c);
    x86_poll_soon(x);
}
const struct helper x86_h_sysret = { "x86_sysret", (helper_fn *)h_sysret, "- i32", 0 };

static void h_sysenter(struct x86_cpu *x)
{
    unsigned sel = x->sysenter_cs & 0xfffc;
    bool lma = x86_lma(x);

    if (lma && x->vendor)
        x86_raise(x, X86_UD);
    if (!(x->cr0 & X86_CR0_PE) || !sel)
        x86_raise_error(x, X86_GP, 0);
    x->eflags &= ~(uint32_t)(X86_VM | X86_IF | X86_RF);
    x->gpr[X86_RSP] = lma ? x->sysenter_esp : (uint32_t)x->sysenter_esp;
    x->rip = lma ? x->sysenter_eip : (uint32_t)x->sysenter_eip;
    set_code(x, sel, 0, lma);
    set_stack(x, sel + 8, 0);
    cpu_mode_changed(&x->c);
}
const struct helper x86_h_sysenter = { "x86_sysenter", (helper_fn *)h_sysenter, "-", 0 };

static void h_sysexit(struct x86_cpu *x, uint64_t opsize)
{
    unsigned sel = x->sysenter_cs & 0xfffc;
    bool to64 = (uint32_t)opsize == 8;

    if (x86_lma(x) && x->vendor)
        x86_raise(x, X86_UD);
    if (!(x->cr0 & X86_CR0_PE) || !sel || x->cpl != 0)
        x86_raise_error(x, X86_GP, 0);
    if (to64 && (!x86_canonical(x->gpr[X86_RCX]) || !x86_canonical(x->gpr[X86_RDX])))
        x86_raise_error(x, X86_GP, 0);
    x->rip = to64 ? x->gpr[X86_RDX] : (uint32_t)x->gpr[X86_RDX];
    x->gpr[X86_RSP] = to64 ? x->gpr[X86_RCX] : (uint32_t)x->gpr[X86_RCX];
    set_code(x, (sel + (to64 ? 32 : 16)) | 3, 3, to64);
    set_stack(x, (sel + (to64 ? 40 : 24)) | 3, 3);
    cpu_mode_changed(&x->c);
}
const struct helper x86_h_sysexit = { "x86_sysexit", (helper_fn *)h_sysexit, "- i32", 0 };

/* WRFSBASE, WRGSBASE and SWAPGS write a base; RD*BASE read the slot. */
static void h_set_base(struct x86_cpu *x, uint64_t seg, uint64_t base)
{
    if (!x86_canonical(base))
        x86_raise_error(x, X86_GP, 0);
    x->seg[(uint32_t)seg].base = base;
    x->seg_base[(uint32_t)seg] = base;
}
const struct helper x86_h_set_base = { "x86_set_base", (helper_fn *)h_set_base, "- i32 i64", 0 };

static void h_swapgs(struct x86_cpu *x)
{
    uint64_t base = x->seg_base[X86_GS];

    x->seg[X86_GS].base = x->seg_base[X86_GS] = x->kernel_gs_base;
    x->kernel_gs_base = base;
}
const struct helper x86_h_swapgs = { "x86_swapgs", (helper_fn *)h_swapgs, "-", HELPER_NO_RAISE };
