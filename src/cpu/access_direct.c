/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guest memory in user mode, for helpers and the interpreter: host memory at a fixed distance. A
 * fault is a signal of the host (cpu/signal.c), which leaves to the run loop from here.
 */
#include <string.h>

#include "cpu/engine.h"

/* the guest aligns, or does not */
typedef uint16_t any_u16 __attribute__((aligned(1)));
typedef uint32_t any_u32 __attribute__((aligned(1)));
typedef uint64_t any_u64 __attribute__((aligned(1)));

/* One host instruction where the size has one: not torn for other threads. */
uint64_t direct_load(struct cpu *cpu, gva_t va, unsigned size)
{
    const volatile void *p = direct_ptr(cpu, va);

    switch (size) {
    case 1: return *(const volatile uint8_t *)p;
    case 2: return *(const volatile any_u16 *)p;
    case 4: return *(const volatile any_u32 *)p;
    default: return *(const volatile any_u64 *)p;
    }
}

void direct_store(struct cpu *cpu, gva_t va, uint64_t value, unsigned size)
{
    volatile void *p = direct_ptr(cpu, va);

    switch (size) {
    case 1: *(volatile uint8_t *)p = (uint8_t)value; break;
    case 2: *(volatile any_u16 *)p = (uint16_t)value; break;
    case 4: *(volatile any_u32 *)p = (uint32_t)value; break;
    default: *(volatile any_u64 *)p = value; break;
    }
}

void direct_probe(struct cpu *cpu, gva_t va, unsigned len, enum cpu_access access)
{
    gva_t last = va + len - 1;

    for (gva_t at = va;; at = (at & ~UINT64_C(0xfff)) + 0x1000) {
        uint8_t *p = direct_ptr(cpu, at);

        if (access == CPU_WRITE)
            __atomic_fetch_or(p, 0, __ATOMIC_RELAXED);
        else
            *(volatile uint8_t *)p;
        if ((at ^ last) < 0x1000)
            return;
    }
}

void direct_load_bytes(struct cpu *cpu, gva_t va, void *buf, unsigned len)
{
    if (len == 8) /* one host instruction, as for the other sizes that have one */
        memcpy(buf, direct_ptr(cpu, va), 8);
    else if (len == 4)
        memcpy(buf, direct_ptr(cpu, va), 4);
    else if (len == 2)
        memcpy(buf, direct_ptr(cpu, va), 2);
    else
        memcpy(buf, direct_ptr(cpu, va), len);
}

/* All or nothing: bytes behind a page end are tried first. */
void direct_store_bytes(struct cpu *cpu, gva_t va, const void *buf, unsigned len)
{
    if (len && (va & 0xfff) + len > 0x1000)
        direct_probe(cpu, va, len, CPU_WRITE);
    memcpy(direct_ptr(cpu, va), buf, len);
}
