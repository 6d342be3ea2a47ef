/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Page walks: 32-bit, PAE, and 4-level long-mode tables, with NX, WP, SMEP, SMAP, reserved bits,
 * accessed and dirty bits. SDM volume 3A chapter 4. This is the soft TLB's miss path. Non-canonical
 * addresses are recorded as #GP(0); x86_deliver turns that into #SS(0) where the access went
 * through SS.
 */
#include "base/log.h"
#include "guest/x86/sys.h"
#include "mem/mem.h"

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 32, PTE_D = 64, PTE_PS = 128, PTE_G = 256 };
#define PTE_NX BIT(63)
enum { ERR_P = 1, ERR_W = 2, ERR_U = 4, ERR_RSVD = 8, ERR_I = 16 };

struct walk {
    struct x86_cpu *x;
    gva_t va;
    enum cpu_access access;
    unsigned mmu;
    bool user,
        smap; /* user: an access of CPL 3; smap: supervisor data accesses to user pages fault */
    uint64_t allow; /* AND of W, U of the levels */
    bool nx;
    uint64_t leaf;
    gpa_t leaf_at;
    unsigned leaf_size; /* bytes of the entry: 4 or 8 */
    unsigned page_shift;
    uint32_t error; /* of a fault */
};

static gpa_t phys(const struct walk *w, gpa_t a)
{
    return a & w->x->a20_mask;
}

/* Sets A (and D) in the entry that was read as `e`. False: it changed meanwhile, walk again. */
static bool mark(const struct walk *w, gpa_t at, uint64_t e, uint64_t set, unsigned size)
{
    struct mem *m = w->x->c.mem;
    uint64_t old64;
    uint32_t old32;

    if ((e & set) == set)
        return true;
    if (size == 8) {
        if (mem_cmpxchg64(m, at, e, e | set, &old64))
            return true;
        return old64 == e; /* tables outside of RAM stay as they are */
    }
    if (mem_cmpxchg32(m, at, (uint32_t)e, (uint32_t)(e | set), &old32))
        return true;
    return old32 == (uint32_t)e;
}

static bool fault(struct walk *w, uint32_t bits_)
{
    w->error = bits_ | (w->access == CPU_WRITE ? ERR_W : 0) | (w->user ? ERR_U : 0);
    if (w->access == CPU_EXEC &&
        (w->x->cr4 & X86_CR4_SMEP || (w->x->efer & X86_EFER_NXE && w->x->cr4 & X86_CR4_PAE)))
        w->error |= ERR_I;
    return false;
}

/* An entry of a 64-bit format: present, reserved bits, rights. */
static bool accept64(struct walk *w, uint64_t e, uint64_t reserved)
{
    if (!(e & PTE_P))
        return fault(w, 0);
    if (e & reserved)
        return fault(w, ERR_P | ERR_RSVD);
    w->allow &= e;
    w->nx |= e >> 63;
    return true;
}

static void set_leaf(struct walk *w, gpa_t at, uint64_t e, unsigned size, unsigned shift)
{
    w->leaf = e;
    w->leaf_at = at;
    w->leaf_size = size;
    w->page_shift = shift;
}

enum { WALK_AGAIN = 2 };

/* Levels of 512 entries from `shift` down; table: address of the first one. 0: fault, 1: found,
 * WALK_AGAIN. */
static int walk_levels(struct walk *w, gpa_t table, unsigned shift, bool huge_ok)
{
    uint64_t high = BITS(62, w->x->phys_bits) & BITS(51, 0), e;

    if (!(w->x->efer & X86_EFER_NXE))
        high |= PTE_NX;
    if (!x86_lma(w->x))
        high |= BITS(62, 52);
    for (;; shift -= 9) {
        gpa_t at = phys(w, table + (w->va >> shift & 511) * 8);
        bool leaf = shift == 12, large = false;
        uint64_t reserved = high;

        e = mem_load64(w->x->c.mem, at);
        if (!leaf && e & PTE_PS) {
            large = shift == 21 || (shift == 30 && huge_ok);
            reserved |= large ? BITS(shift - 1, 13) : PTE_PS;
        }
        if (!accept64(w, e, reserved))
            return 0;
        if (leaf || large) {
            set_leaf(w, at, e, 8, shift);
            return 1;
        }
        if (!mark(w, at, e, PTE_A, 8))
            return WALK_AGAIN;
        table = e & BITS(51, 12);
    }
}

static int walk_pae(struct walk *w)
{
    uint64_t pdpte = w->x->pdpte[w->va >> 30 & 3];

    if (!(pdpte & PTE_P))
        return fault(w, 0);
    return walk_levels(w, pdpte & BITS(51, 12), 21, false);
}

static int walk_32(struct walk *w)
{
    struct x86_cpu *x = w->x;
    gpa_t at = phys(w, (x->cr3 & 0xfffff000) + (w->va >> 22 & 1023) * 4);
    uint32_t e = mem_load32(x->c.mem, at);

    if (!(e & PTE_P))
        return fault(w, 0);
    w->allow &= e;
    if (e & PTE_PS && x->cr4 & X86_CR4_PSE) {
        unsigned extra =
            x86_has(x, X86_FEATURE(0, 17)) ? MIN((unsigned)x->phys_bits, 40u) - 32 : 0; /* PSE-36 */
        uint64_t reserved = BIT(21) | (BITS(20, 13) & ~(BITS(12 + extra, 13)));

        if (extra == 0)
            reserved = BITS(21, 13);
        if (e & reserved)
            return fault(w, ERR_P | ERR_RSVD);
        set_leaf(w, at, e, 4, 22);
        return 1;
    }
    if (!mark(w, at, e, PTE_A, 4))
        return WALK_AGAIN;
    at = phys(w, (e & 0xfffff000) + (w->va >> 12 & 1023) * 4);
    e = mem_load32(x->c.mem, at);
    if (!(e & PTE_P))
        return fault(w, 0);
    w->allow &= e;
    set_leaf(w, at, e, 4, 12);
    return 1;
}

static int walk_tables(struct walk *w)
{
    struct x86_cpu *x = w->x;

    w->allow = PTE_W | PTE_U;
    w->nx = false;
    if (!(x->cr4 & X86_CR4_PAE))
        return walk_32(w);
    if (!x86_lma(x))
        return walk_pae(w);
    return walk_levels(w, x->cr3 & BITS(51, 12), 39, x86_has(x, X86_FEATURE(2, 26)));
}

/* ---- rights ---- */

struct rights {
    bool read, write, exec;
};

static struct rights rights_of(const struct walk *w)
{
    const struct x86_cpu *x = w->x;
    bool user_page = w->allow & PTE_U, writable = w->allow & PTE_W;
    struct rights r;

    if (w->user)
        return (struct rights){ user_page, user_page && writable, user_page && !w->nx };
    r.read = !(user_page && w->smap);
    r.write = r.read && (writable || !(x->cr0 & X86_CR0_WP));
    r.exec = !w->nx && !(user_page && x->cr4 & X86_CR4_SMEP);
    return r;
}

static gpa_t frame_of(const struct walk *w)
{
    uint64_t e = w->leaf;
    gpa_t base;

    if (w->leaf_size == 8)
        base = e & BITS(51, 12) & ~(BIT(w->page_shift) - 1);
    else if (w->page_shift == 22)
        base = (e & 0xffc00000) | (e >> 13 & 0xff) << 32;
    else
        base = e & 0xfffff000;
    return phys(w, base | (w->va & (BIT(w->page_shift) - 1)));
}

static bool finish(struct walk *w, struct cpu_walk *ret)
{
    struct rights r = rights_of(w);
    bool ok = w->access == CPU_READ ? r.read : w->access == CPU_WRITE ? r.write : r.exec;
    uint64_t set = PTE_A | (w->access == CPU_WRITE ? PTE_D : 0);

    if (!ok)
        return fault(w, ERR_P);
    if (!mark(w, w->leaf_at, w->leaf, set, w->leaf_size)) {
        w->error = UINT32_MAX; /* changed under us: again */
        return false;
    }
    ret->gpa = frame_of(w);
    ret->page_size = BIT(w->page_shift);
    ret->read = r.read;
    ret->write = r.write && (w->leaf | set) & PTE_D;
    ret->exec = r.exec;
    ret->global = w->leaf & PTE_G && w->x->cr4 & X86_CR4_PGE;
    return true;
}

static void record(const struct walk *w)
{
    struct x86_cpu *x = w->x;

    x86_record(x, X86_PF_VEC, w->error, true);
    x->exc_cr2 = w->va;
    if (log_enabled(LOG_MMU))
        log_write(LOG_MMU, "page fault at %#llx, error %#x\n", (unsigned long long)w->va, w->error);
}

static bool walk_paged(struct walk *w, bool probe, struct cpu_walk *ret)
{
    for (;;) {
        int found = walk_tables(w);

        if (found == WALK_AGAIN)
            continue;
        if (found && finish(w, ret))
            return true;
        if (found && w->error == UINT32_MAX)
            continue;
        if (!probe)
            record(w);
        return false;
    }
}

bool x86_walk(struct cpu *cpu, gva_t va, enum cpu_access access, unsigned mmu, bool probe,
              struct cpu_walk *ret)
{
    struct x86_cpu *x = x86_of(cpu);
    struct walk w = { .x = x,
                      .va = va,
                      .access = access,
                      .mmu = mmu,
                      .user = mmu == X86_MMU_USER,
                      .smap = mmu == X86_MMU_KERNEL && x->cr4 & X86_CR4_SMAP };

    if (!(x->cr0 & X86_CR0_PG)) {
        *ret = (struct cpu_walk){ .gpa = (x86_lma(x) ? va : (uint32_t)va) & x->a20_mask,
                                  .page_size = 4096,
                                  .read = true,
                                  .write = true,
                                  .exec = true,
                                  .slow = x86_watched_page(x, va) };
        return true;
    }
    if (!x86_lma(x))
        w.va = (uint32_t)va; /* an access across 4 GiB wraps */
    else if (!x86_canonical(va)) {
        if (!probe) {
            x86_record(x, X86_GP, 0, true);
            x->exc_noncanonical = access != CPU_EXEC && x->delivering < 0;
            x->exc_cr2 = va;
        }
        return false;
    }
    if (!walk_paged(&w, probe, ret))
        return false;
    ret->slow = x86_watched_page(x, va);
    return true;
}
