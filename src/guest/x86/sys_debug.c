/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Data breakpoints (SDM volume 3B, 18.2): pages that hold one are walked as "slow", so that each
 * access to them is seen; an access that hits makes its instruction run again alone, and #DB
 * follows as a trap.
 */
#include "guest/x86/sys.h"

enum { RW_WRITE = 1, RW_IO = 2, RW_ACCESS = 3 };

/* [*start, *start + *size) of data breakpoint n; false when it is off or not one of data. */
static bool range(const struct x86_cpu *x, unsigned n, gva_t *start, unsigned *size, unsigned *rw)
{
    static const uint8_t sizes[4] = { 1, 2, 8, 4 };

    *rw = x->dr[7] >> (16 + n * 4) & 3;
    *size = sizes[x->dr[7] >> (18 + n * 4) & 3];
    *start = x->dr[n] & ~(gva_t)(*size - 1);
    return (x->dr[7] >> (n * 2) & 3) && (*rw == RW_WRITE || *rw == RW_ACCESS);
}

bool x86_watched_page(const struct x86_cpu *x, gva_t va)
{
    unsigned size, rw;
    gva_t start;

    if (likely(!(x->dr[7] & 0xff)))
        return false;
    for (unsigned n = 0; n < 4; n++)
        if (range(x, n, &start, &size, &rw) && (start ^ va) >> 12 == 0)
            return true;
    return false;
}

bool x86_watch(struct cpu *cpu, gva_t va, unsigned len, enum cpu_access access, bool record)
{
    struct x86_cpu *x = x86_of(cpu);
    unsigned size, rw, hits = 0;
    gva_t start;

    for (unsigned n = 0; n < 4; n++)
        if (range(x, n, &start, &size, &rw) && (rw == RW_ACCESS || access == CPU_WRITE) &&
            va < start + size && start < va + len)
            hits |= 1u << n;
    if (record)
        x->watch_hits |= (uint8_t)hits;
    return hits != 0;
}

void x86_insn_done(struct cpu *cpu)
{
    struct x86_cpu *x = x86_of(cpu);

    if (!x->watch_hits)
        return;
    x->exc_dr6 = x->watch_hits;
    x->exc_next_rip = x->rip;
    x->watch_hits = 0;
    x86_raise(x, X86_DB);
}
