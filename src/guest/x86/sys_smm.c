/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * System management mode: SMI, the state save area in its 64-bit form, RSM. AMD APM volume 2
 * chapter 10 (10.2.3: the map; 10.3: entry, return, relocation). In this mode the processor sees
 * physical memory through the board's overlay, which has SMRAM.
 */
#include "base/log.h"
#include "guest/x86/sys.h"
#include "mem/mem.h"

enum {
    SMM_ENTRY = 0x8000,     /* offset from SMBASE of the handler ... */
    SMM_AREA = 0x8000,      /* ... and of what the offsets below count from */
    SMM_REVISION = 0x20064, /* 64-bit map; bit 17: SMBASE may be relocated */
    SMM_SELECTOR_SHIFT = 4,
};

enum smm_offset {
    SMM_SEGS = 0x7e00, /* 16 bytes each, in the order of enum x86_segreg */
    SMM_GDTR = 0x7e60,
    SMM_LDTR = 0x7e70,
    SMM_IDTR = 0x7e80,
    SMM_TR = 0x7e90,
    SMM_AUTO_HALT = 0x7ec9, /* 1: RSM goes back to the halt */
    SMM_NMI_MASK = 0x7eca,
    SMM_EFER = 0x7ed0,
    SMM_REVISION_ID = 0x7efc,
    SMM_SMBASE = 0x7f00,
    SMM_CR4 = 0x7f48,
    SMM_CR3 = 0x7f50,
    SMM_CR0 = 0x7f58,
    SMM_DR7 = 0x7f60,
    SMM_DR6 = 0x7f68,
    SMM_RFLAGS = 0x7f70,
    SMM_RIP = 0x7f78,
    SMM_R15 = 0x7f80, /* down to R8, then RDI, RSI, RBP, RSP, RBX, RDX, RCX, RAX */
};

static const uint8_t gpr_order[16] = { 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0 };

/* The area's words, at the SMBASE that counts for this entry or return. */
struct area {
    struct mem *mem;
    gpa_t base;
};

static struct area area_of(const struct x86_cpu *x)
{
    return (struct area){ x->c.mem, (uint32_t)(x->smbase + SMM_AREA) };
}

static void put64(const struct area *a, unsigned at, uint64_t v)
{
    mem_store64(a->mem, a->base + at, v);
}

static void put32(const struct area *a, unsigned at, uint32_t v)
{
    mem_store32(a->mem, a->base + at, v);
}

static void put16(const struct area *a, unsigned at, uint16_t v)
{
    mem_store16(a->mem, a->base + at, v);
}

static uint64_t get64(const struct area *a, unsigned at)
{
    return mem_load64(a->mem, a->base + at);
}

static uint32_t get32(const struct area *a, unsigned at)
{
    return mem_load32(a->mem, a->base + at);
}

static uint16_t get16(const struct area *a, unsigned at)
{
    return mem_load16(a->mem, a->base + at);
}

/* ---- entry ---- */

/* A null segment has no P bit in its saved rights. */
static void put_seg(const struct area *a, unsigned at, const struct x86_seg *s)
{
    put16(a, at, s->selector);
    put16(a, at + 2, (uint16_t)(s->null ? s->flags & ~(uint32_t)X86_SEG_P : s->flags));
    put32(a, at + 4, s->limit);
    put64(a, at + 8, s->base);
}

static void put_table(const struct area *a, unsigned at, uint64_t base, uint32_t limit)
{
    put32(a, at + 4, limit);
    put64(a, at + 8, base);
}

static void save_state(const struct x86_cpu *x, bool halted)
{
    struct area a = area_of(x);

    for (unsigned n = 0; n < X86_SEG_COUNT; n++)
        put_seg(&a, SMM_SEGS + n * 16, &x->seg[n]);
    put_table(&a, SMM_GDTR, x->gdt.base, x->gdt.limit);
    put_table(&a, SMM_IDTR, x->idt.base, x->idt.limit);
    put_seg(&a, SMM_LDTR, &x->ldt);
    put_seg(&a, SMM_TR, &x->tr);
    mem_store8(a.mem, a.base + SMM_AUTO_HALT, halted);
    mem_store8(a.mem, a.base + SMM_NMI_MASK, x->nmi_blocked);
    put64(&a, SMM_EFER, x->efer);
    put32(&a, SMM_REVISION_ID, SMM_REVISION);
    put32(&a, SMM_SMBASE, (uint32_t)x->smbase);
    put64(&a, SMM_CR4, x->cr4);
    put64(&a, SMM_CR3, x->cr3);
    put64(&a, SMM_CR0, x->cr0);
    put64(&a, SMM_DR7, x->dr[7]);
    put64(&a, SMM_DR6, x->dr[6]);
    put64(&a, SMM_RFLAGS, x86_eflags(x));
    put64(&a, SMM_RIP, x->rip);
    for (unsigned n = 0; n < 16; n++)
        put64(&a, SMM_R15 + n * 8, x->gpr[gpr_order[n]]);
}

/* Real mode with limits of 4 GiB, paging off (APM table 10-3). */
static void enter_state(struct x86_cpu *x)
{
    struct x86_seg s = { .limit = UINT32_MAX,
                         .flags = X86_SEG_P | X86_SEG_S | X86_SEG_W | X86_SEG_A | X86_SEG_G };

    x->cr0 &= ~(uint64_t)(X86_CR0_PE | X86_CR0_EM | X86_CR0_TS | X86_CR0_PG);
    x->cr4 = 0;
    x->efer = 0;
    x->dr[7] = 0x400;
    x86_set_eflags(x, 2, ~UINT32_C(0));
    x->rip = SMM_ENTRY;
    x->cpl = 0;
    for (unsigned n = 0; n < X86_SEG_COUNT; n++)
        if (n != X86_CS)
            x86_set_seg(x, n, &s);
    s.flags |= X86_SEG_CODE;
    s.base = x->smbase;
    s.selector = (uint16_t)(x->smbase >> SMM_SELECTOR_SHIFT);
    x86_set_seg(x, X86_CS, &s);
}

/* The mode's own memory, or the ordinary one; A20M# does not count in it. */
static void set_smm(struct x86_cpu *x, bool on)
{
    x->smm = on;
    x->a20_mask = on ? ~UINT64_C(0) : x->a20_line;
    cpu_use_overlay(&x->c, on);
}

void x86_leave_smm(struct x86_cpu *x)
{
    if (x->smm)
        set_smm(x, false);
}

bool x86_has_smm(const struct x86_cpu *x)
{
    return x86_has(x, X86_FEATURE(2, 29)) && cpu_has_overlay(&x->c);
}

void x86_enter_smm(struct x86_cpu *x, bool halted)
{
    log_write(LOG_INT, "SMI: CPU %u, SMBASE %#llx, RIP %#llx\n", x->c.index,
              (unsigned long long)x->smbase, (unsigned long long)x->rip);
    set_smm(x, true);
    save_state(x, halted);
    x->nmi_blocked = true;
    x->inhibit = false;
    enter_state(x);
    x86_set_space(x, false);
    cpu_mode_changed(&x->c);
}

/* ---- return ---- */

static void get_seg(const struct area *a, unsigned at, struct x86_seg *s)
{
    *s = (struct x86_seg){ .selector = get16(a, at),
                           .flags = get16(a, at + 2) & 0xf0ffu,
                           .limit = get32(a, at + 4),
                           .base = get64(a, at + 8) };
}

struct controls {
    uint64_t cr0, cr3, cr4, efer;
};

/* What no MOV to a control register could make shuts the processor down (APM 10.3.3). */
static bool controls_valid(const struct x86_cpu *x, const struct controls *c)
{
    uint64_t known = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_FFXSR;
    bool lma = c->efer & X86_EFER_LME && c->cr0 & X86_CR0_PG;

    if (c->cr0 & X86_CR0_PG && !(c->cr0 & X86_CR0_PE))
        return false;
    if (c->cr0 >> 32 || (c->cr0 & X86_CR0_NW && !(c->cr0 & X86_CR0_CD)))
        return false;
    if (c->cr4 & ~x86_cr4_allowed(x) || c->efer & ~known || c->cr3 & BITS(63, x->phys_bits))
        return false;
    return !lma || c->cr4 & X86_CR4_PAE;
}

static void load_segments(struct x86_cpu *x, const struct area *a)
{
    struct x86_seg s;

    for (unsigned n = 0; n < X86_SEG_COUNT; n++) {
        get_seg(a, SMM_SEGS + n * 16, &s);
        s.null = n != X86_CS && !(s.flags & X86_SEG_P);
        x86_set_seg(x, n, &s);
    }
    get_seg(a, SMM_LDTR, &x->ldt);
    get_seg(a, SMM_TR, &x->tr);
    x->ldt.null = !(x->ldt.flags & X86_SEG_P);
    x->gdt.limit = get32(a, SMM_GDTR + 4) & 0xffff;
    x->gdt.base = get64(a, SMM_GDTR + 8);
    x->idt.limit = get32(a, SMM_IDTR + 4) & 0xffff;
    x->idt.base = get64(a, SMM_IDTR + 8);
}

static void load_registers(struct x86_cpu *x, const struct area *a, const struct controls *c)
{
    for (unsigned n = 0; n < 16; n++)
        x->gpr[gpr_order[n]] = get64(a, SMM_R15 + n * 8);
    x->rip = get64(a, SMM_RIP);
    x->dr[6] = get64(a, SMM_DR6);
    x->dr[7] = get64(a, SMM_DR7);
    x->cr0 = c->cr0 | X86_CR0_ET;
    x->cr3 = c->cr3;
    x->cr4 = c->cr4;
    x->efer = c->efer & ~(uint64_t)X86_EFER_LMA;
    if (c->efer & X86_EFER_LME && c->cr0 & X86_CR0_PG)
        x->efer |= X86_EFER_LMA;
    x86_set_eflags(x, (uint32_t)get64(a, SMM_RFLAGS) | 2, ~UINT32_C(0));
    load_segments(x, a);
    if (x->eflags & X86_VM)
        x->cpl = 3;
    else
        x->cpl = x->cr0 & X86_CR0_PE ? x->seg[X86_SS].flags >> 5 & 3 : 0;
}

static void h_rsm(struct x86_cpu *x)
{
    struct area a = area_of(x);
    struct controls c;
    bool halted;

    if (!x->smm)
        x86_raise(x, X86_UD);
    c = (struct controls){ get64(&a, SMM_CR0), get64(&a, SMM_CR3), get64(&a, SMM_CR4),
                           get64(&a, SMM_EFER) };
    if (!controls_valid(x, &c)) {
        x86_shut_down(x, "RSM to an impossible state");
        return;
    }
    load_registers(x, &a, &c);
    halted = mem_load8(a.mem, a.base + SMM_AUTO_HALT) & 1;
    x->nmi_blocked = mem_load8(a.mem, a.base + SMM_NMI_MASK) & 1;
    x->smbase = get32(&a, SMM_SMBASE);
    set_smm(x, false);
    if (x->cr0 & X86_CR0_PG && x->cr4 & X86_CR4_PAE && !x86_lma(x) && !x86_load_pdptes(x, x->cr3)) {
        x86_shut_down(x, "RSM to impossible page tables");
        return;
    }
    x86_set_space(x, false);
    cpu_mode_changed(&x->c);
    if (halted)
        cpu_halt(&x->c);
    x86_poll_soon(x);
}
const struct helper x86_h_rsm = { "x86_rsm", (helper_fn *)h_rsm, "-", 0 };
