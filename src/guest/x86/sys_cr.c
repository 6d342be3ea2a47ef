/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Control and debug registers, TLB instructions, HLT, and EFLAGS changes with consequences. SDM
 * volume 3A 2.5, 4.10, 17.2.
 */
#include "guest/x86/sys.h"
#include "mem/mem.h"

enum { DR6_BD = 1 << 13, DR7_GD = 1 << 13 };

/* ---- address spaces ---- */

void x86_set_space(struct x86_cpu *x, bool keep)
{
    uint64_t id = 0;

    if (x->cr0 & X86_CR0_PG)
        id = x->cr4 & X86_CR4_PCIDE ? BIT(63) | (x->cr3 & 0xfff)
                                    : BIT(62) | (x->cr3 & ~UINT64_C(31));
    cpu_tlb_set_space(&x->c, id, keep);
}

bool x86_load_pdptes(struct x86_cpu *x, uint64_t cr3)
{
    uint64_t e[4], reserved = BITS(63, x->phys_bits) | BITS(8, 5) | BITS(2, 1);

    for (unsigned i = 0; i < 4; i++) {
        e[i] = mem_load64(x->c.mem, ((cr3 & 0xffffffe0) + i * 8) & x->a20_mask);
        if (e[i] & 1 && e[i] & reserved)
            return false;
    }
    for (unsigned i = 0; i < 4; i++)
        x->pdpte[i] = e[i];
    return true;
}

static bool pae_paging(const struct x86_cpu *x, uint64_t cr0, uint64_t cr4)
{
    return cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE && !(x->efer & X86_EFER_LME);
}

/* ---- CR0, CR3, CR4 ---- */

static void check_cr0(struct x86_cpu *x, uint64_t v)
{
    bool bad =
        v >> 32 || (v & X86_CR0_PG && !(v & X86_CR0_PE)) || (v & X86_CR0_NW && !(v & X86_CR0_CD));
    bool pg = v & X86_CR0_PG, was_pg = x->cr0 & X86_CR0_PG;

    if (pg && !was_pg && x->efer & X86_EFER_LME)
        bad |= !(x->cr4 & X86_CR4_PAE) || x->seg[X86_CS].flags & X86_SEG_L;
    if (!pg && was_pg)
        bad |= x86_code64(x) || x->cr4 & X86_CR4_PCIDE;
    if (bad)
        x86_raise_error(x, X86_GP, 0);
}

void x86_set_cr0(struct x86_cpu *x, uint64_t v)
{
    enum {
        KNOWN = X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_NE | X86_CR0_WP |
                X86_CR0_AM | X86_CR0_NW | X86_CR0_CD
    };
    uint64_t old = x->cr0, changed;

    check_cr0(x, v);
    v = (v & (KNOWN | X86_CR0_PG)) | X86_CR0_ET;
    changed = old ^ v;
    if (pae_paging(x, v, x->cr4) && changed & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW) &&
        !x86_load_pdptes(x, x->cr3))
        x86_raise_error(x, X86_GP, 0);
    x->cr0 = v;
    if (changed & X86_CR0_PG) {
        if (v & X86_CR0_PG && x->efer & X86_EFER_LME)
            x->efer |= X86_EFER_LMA;
        else
            x->efer &= ~(uint64_t)X86_EFER_LMA;
        x86_set_space(x, false);
    }
    if (changed & (X86_CR0_PG | X86_CR0_WP | X86_CR0_PE))
        cpu_tlb_flush_all_spaces(&x->c);
    if (changed & X86_CR0_PE && v & X86_CR0_PE)
        x->cpl = 0;
    cpu_mode_changed(&x->c);
}

void x86_set_cr3(struct x86_cpu *x, uint64_t v, bool keep)
{
    if (pae_paging(x, x->cr0, x->cr4) && !x86_load_pdptes(x, v))
        x86_raise_error(x, X86_GP, 0);
    x->cr3 = v;
    x86_set_space(x, keep);
}

static void write_cr3(struct x86_cpu *x, uint64_t v)
{
    bool pcide = x->cr4 & X86_CR4_PCIDE, keep = pcide && v >> 63;

    if (pcide)
        v &= ~BIT(63);
    if (x86_lma(x) && v & BITS(63, x->phys_bits))
        x86_raise_error(x, X86_GP, 0);
    x86_set_cr3(x, x86_code64(x) ? v : (uint32_t)v, keep);
}

uint64_t x86_cr4_allowed(const struct x86_cpu *x)
{
    static const struct {
        uint32_t bit;
        uint16_t feature;
    } needs[] = {
        { X86_CR4_VME | X86_CR4_PVI, X86_FEATURE(0, 1) },
        { X86_CR4_DE, X86_FEATURE(0, 2) },
        { X86_CR4_PSE, X86_FEATURE(0, 3) },
        { X86_CR4_TSD, X86_FEATURE(0, 4) },
        { X86_CR4_PAE, X86_FEATURE(0, 6) },
        { X86_CR4_MCE, X86_FEATURE(0, 7) },
        { X86_CR4_PGE, X86_FEATURE(0, 13) },
        { X86_CR4_OSFXSR, X86_FEATURE(0, 24) },
        { X86_CR4_OSXMMEXCPT, X86_FEATURE(0, 25) },
        { X86_CR4_PCIDE, X86_FEATURE(1, 17) },
        { X86_CR4_OSXSAVE, X86_FEATURE(1, 26) },
        { X86_CR4_FSGSBASE, X86_FEATURE(4, 0) },
        { X86_CR4_SMEP, X86_FEATURE(4, 7) },
        { X86_CR4_SMAP, X86_FEATURE(4, 20) },
        { X86_CR4_UMIP, X86_FEATURE(5, 2) },
    };
    uint64_t allowed = X86_CR4_PCE;

    for (unsigned i = 0; i < ARRAY_SIZE(needs); i++)
        if (x86_has(x, needs[i].feature))
            allowed |= needs[i].bit;
    return allowed;
}

void x86_set_cr4(struct x86_cpu *x, uint64_t v)
{
    enum {
        PAGING =
            X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCIDE | X86_CR4_SMEP | X86_CR4_SMAP
    };
    uint64_t changed = x->cr4 ^ v;
    bool bad = v & ~x86_cr4_allowed(x);

    if (x86_lma(x) && !(v & X86_CR4_PAE))
        bad = true;
    if (changed & v & X86_CR4_PCIDE && (!x86_lma(x) || x->cr3 & 0xfff))
        bad = true;
    if (bad)
        x86_raise_error(x, X86_GP, 0);
    if (pae_paging(x, x->cr0, v) &&
        changed & (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP) &&
        !x86_load_pdptes(x, x->cr3))
        x86_raise_error(x, X86_GP, 0);
    x->cr4 = v;
    if (changed & PAGING) {
        x86_set_space(x, false);
        cpu_tlb_flush_all_spaces(&x->c);
    }
    cpu_mode_changed(&x->c);
}

static void write_cr8(struct x86_cpu *x, uint64_t v)
{
    if (v >> 4)
        x86_raise_error(x, X86_GP, 0);
    if (!x->c.intc)
        return;
    cpu_machine_lock(&x->c);
    x->c.intc->set_tpr(x->c.intc_ctrl, v);
    cpu_machine_unlock(&x->c);
}

static void h_write_cr(struct x86_cpu *x, uint64_t n, uint64_t v)
{
    switch ((uint32_t)n) {
    case 0: x86_set_cr0(x, v); break;
    case 2: x->cr2 = v; break;
    case 3: write_cr3(x, v); break;
    case 4: x86_set_cr4(x, v); break;
    default: write_cr8(x, v); break;
    }
}
const struct helper x86_h_write_cr = { "x86_write_cr", (helper_fn *)h_write_cr, "- i32 i64", 0 };

static uint64_t h_read_cr8(struct x86_cpu *x)
{
    uint64_t v;

    if (!x->c.intc)
        return 0;
    cpu_machine_lock(&x->c);
    v = x->c.intc->get_tpr(x->c.intc_ctrl);
    cpu_machine_unlock(&x->c);
    return v;
}
const struct helper x86_h_read_cr8 = { "x86_read_cr8", (helper_fn *)h_read_cr8, "i64",
                                       HELPER_NO_RAISE };

static void h_lmsw(struct x86_cpu *x, uint64_t v)
{
    x86_set_cr0(x, (x->cr0 & ~UINT64_C(14)) | (v & 15)); /* sets PE, never clears it */
}
const struct helper x86_h_lmsw = { "x86_lmsw", (helper_fn *)h_lmsw, "- i32", 0 };

static void h_clts(struct x86_cpu *x)
{
    x->cr0 &= ~(uint64_t)X86_CR0_TS;
    cpu_mode_changed(&x->c);
}
const struct helper x86_h_clts = { "x86_clts", (helper_fn *)h_clts, "-", HELPER_NO_RAISE };

/* ---- debug registers ---- */

static unsigned debug_register(struct x86_cpu *x, uint64_t n)
{
    unsigned r = (unsigned)(uint32_t)n;

    if (r == 4 || r == 5) {
        if (x->cr4 & X86_CR4_DE)
            x86_raise(x, X86_UD);
        r += 2;
    }
    if (x->dr[7] & DR7_GD) {
        cpu_sync_pc(&x->c);
        x->exc_dr6 = DR6_BD;
        x->exc_next_rip = x->rip;
        x86_raise(x, X86_DB);
    }
    return r;
}

static uint64_t h_read_dr(struct x86_cpu *x, uint64_t n)
{
    return x->dr[debug_register(x, n)];
}
const struct helper x86_h_read_dr = { "x86_read_dr", (helper_fn *)h_read_dr, "i64 i32", 0 };

static void h_write_dr(struct x86_cpu *x, uint64_t n, uint64_t v)
{
    unsigned r = debug_register(x, n);

    if (r >= 6 && v >> 32)
        x86_raise_error(x, X86_GP, 0);
    if (r == 6)
        v = (v & 0xe00f) | 0xffff0ff0;
    if (r == 7)
        v = (v & 0xffff2bff) | 0x400;
    x->dr[r] = v;
    cpu_tlb_flush_all_spaces(&x->c); /* pages with data breakpoints are cached as such */
    cpu_mode_changed(&x->c);
}
const struct helper x86_h_write_dr = { "x86_write_dr", (helper_fn *)h_write_dr, "- i32 i64", 0 };

/* ---- TLB ---- */

static void h_invlpg(struct x86_cpu *x, uint64_t va)
{
    if (x86_canonical(va))
        cpu_tlb_flush_page(&x->c, va);
}
const struct helper x86_h_invlpg = { "x86_invlpg", (helper_fn *)h_invlpg, "- i64",
                                     HELPER_NO_RAISE };

/* INVPCID: type in a register, descriptor (PCID, address) loaded by the translator. */
static void h_invpcid(struct x86_cpu *x, uint64_t type, uint64_t pcid, uint64_t va)
{
    bool pcide = x->cr4 & X86_CR4_PCIDE;

    if (type > 3 || (type < 2 && pcid >> 12) || (type < 2 && !pcide && pcid) ||
        (type == 0 && !x86_canonical(va)))
        x86_raise_error(x, X86_GP, 0);
    if (type == 0)
        cpu_tlb_flush_page(&x->c, va);
    else if (type == 1)
        cpu_tlb_flush_space(&x->c, pcide ? BIT(63) | pcid : BIT(62) | (x->cr3 & ~UINT64_C(31)));
    else
        cpu_tlb_flush_all_spaces(&x->c);
}
const struct helper x86_h_invpcid = { "x86_invpcid", (helper_fn *)h_invpcid, "- i64 i64 i64", 0 };

/* ---- flags and halts ---- */

/* EFLAGS under mask (POPF, STI out of the fast path); the region ends behind it. */
static void h_set_flags(struct x86_cpu *x, uint64_t value, uint64_t mask)
{
    x86_set_eflags(x, (uint32_t)value, (uint32_t)mask);
    cpu_mode_changed(&x->c);
    x86_poll_soon(x);
}
const struct helper x86_h_set_flags = { "x86_set_flags", (helper_fn *)h_set_flags, "- i32 i32",
                                        HELPER_NO_RAISE };

/* STAC, CLAC: only the MMU index of the data accesses changes. */
static void h_set_ac(struct x86_cpu *x, uint64_t ac)
{
    x->eflags = (x->eflags & ~(uint32_t)X86_AC) | (uint32_t)ac;
    cpu_mode_changed(&x->c);
}
const struct helper x86_h_set_ac = { "x86_set_ac", (helper_fn *)h_set_ac, "- i32",
                                     HELPER_NO_RAISE };

static void h_hlt(struct x86_cpu *x, uint64_t next)
{
    x->rip = next;
    x->inhibit = false;
    cpu_halt(&x->c);
}
const struct helper x86_h_hlt = { "x86_hlt", (helper_fn *)h_hlt, "- i64", HELPER_NO_RAISE };

static void h_poll(struct x86_cpu *x)
{
    x86_poll_soon(x);
}
const struct helper x86_h_poll = { "x86_poll", (helper_fn *)h_poll, "-", HELPER_NO_RAISE };
