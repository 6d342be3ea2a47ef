/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The CPU's state for a kernel that is entered without firmware: Linux's 64-bit entry
 * (identity-mapped long mode) or 32-bit protected mode with flat segments (bzImage's code32_start,
 * PVH). Linux Documentation/arch/x86/boot.rst; Xen's PVH.
 */
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "guest/x86/sys.h"
#include "mem/mem.h"

enum { GDT_OFFSET = 0x6000, SEL_CODE = 0x10, SEL_DATA = 0x18, TABLE_PAGES = 6 };

/* GDT of the boot protocol: 0x10 code, 0x18 data. */
static bool write_gdt(struct x86_cpu *x, gpa_t at, bool is64, struct error *err)
{
    uint8_t gdt[32] = { 0 };
    int r;

    st_le64(gdt + SEL_CODE, is64 ? UINT64_C(0x00af9b000000ffff) : UINT64_C(0x00cf9b000000ffff));
    st_le64(gdt + SEL_DATA, UINT64_C(0x00cf93000000ffff));
    r = dma_write(x->c.mem, at, gdt, sizeof(gdt));
    if (r < 0)
        return fail(err, -r, "no guest RAM for the boot descriptor table at %#llx",
                    (unsigned long long)at);
    x->gdt.base = at;
    x->gdt.limit = sizeof(gdt) - 1;
    return true;
}

/* The first 4 GiB mapped one to one by 2 MiB pages: one PML4, one PDPT, four directories. */
static bool write_tables(struct x86_cpu *x, gpa_t at, struct error *err)
{
    uint8_t page[4096];
    int r = 0;

    for (unsigned n = 0; n < TABLE_PAGES && r >= 0; n++) {
        memset(page, 0, sizeof(page));
        if (n == 0)
            st_le64(page, (at + 0x1000) | 3);
        for (unsigned i = 0; n == 1 && i < 4; i++)
            st_le64(page + i * 8, (at + 0x2000 + i * 0x1000) | 3);
        for (unsigned i = 0; n > 1 && i < 512; i++)
            st_le64(page + i * 8, ((uint64_t)(n - 2) << 30 | (uint64_t)i << 21) | 0x83);
        r = dma_write(x->c.mem, at + n * 0x1000, page, sizeof(page));
    }
    if (r < 0)
        return fail(err, -r, "no guest RAM for the boot page tables at %#llx",
                    (unsigned long long)at);
    return true;
}

static void set_segments(struct x86_cpu *x, bool is64)
{
    struct x86_seg s;

    x86_seg_flat(&s, SEL_CODE, X86_SEG_CODE | X86_SEG_W | (is64 ? X86_SEG_L : X86_SEG_DB));
    x86_set_seg(x, X86_CS, &s);
    x86_seg_flat(&s, SEL_DATA, X86_SEG_W | X86_SEG_DB);
    for (unsigned n = 0; n < X86_SEG_COUNT; n++)
        if (n != X86_CS)
            x86_set_seg(x, n, &s);
}

/* Memory types as a PC's firmware leaves them: RAM write-back, the adapter area below 1 MiB and the
 * last 512 MiB below 4 GiB not. */
static void set_mtrrs(struct x86_cpu *x)
{
    enum { ENABLED = 0xc00, UNCACHED = 0, WRITE_PROTECTED = 5, WRITE_BACK = 6, VALID = 0x800 };
    const uint64_t each = UINT64_C(0x0101010101010101);

    if (!x86_has(x, X86_FEATURE(0, 12)))
        return;
    x->mtrr_def_type = ENABLED | WRITE_BACK;
    x->mtrr_fixed[0] = x->mtrr_fixed[1] = WRITE_BACK * each;
    x->mtrr_fixed[2] = UNCACHED;
    for (unsigned i = 3; i < ARRAY_SIZE(x->mtrr_fixed); i++)
        x->mtrr_fixed[i] = WRITE_PROTECTED * each;
    x->mtrr_var[0] = UINT64_C(0xe0000000) | UNCACHED;
    x->mtrr_var[1] = (BITS(x->phys_bits - 1u, 0) & ~UINT64_C(0x1fffffff)) | VALID;
}

bool x86_set_boot_state(struct cpu *cpu, const struct x86_boot_state *s, struct error *err)
{
    struct x86_cpu *x = x86_of(cpu);
    bool is64 = s->kind == X86_BOOT_LONG64;

    if (is64 && !x86_has(x, X86_FEATURE(2, 29)))
        return fail(err, ENOTSUP, "the kernel needs a 64-bit processor") ||
               fail_hint(err, "choose another -cpu, such as qemu64");
    if (!write_gdt(x, s->tables + GDT_OFFSET, is64, err) ||
        (is64 && !write_tables(x, s->tables, err)))
        return false;
    set_segments(x, is64);
    set_mtrrs(x);
    x->idt.base = 0;
    x->idt.limit = 0;
    x->cr0 = X86_CR0_PE | X86_CR0_ET;
    x->cr4 = 0;
    x->efer = 0;
    if (is64) {
        x->cr4 = X86_CR4_PAE;
        x->cr3 = s->tables;
        x->efer = X86_EFER_LME | X86_EFER_LMA;
        x->cr0 |= X86_CR0_PG;
    }
    x->tr = (struct x86_seg){ .limit = 0x67, .flags = X86_SEG_P | X86_T_TSS32_BUSY };
    x->eflags = 2;
    x->gpr[X86_RSI] = s->rsi;
    x->gpr[X86_RBX] = s->rbx;
    x->gpr[X86_RSP] = s->rsp;
    x->rip = s->rip;
    x86_set_space(x, false);
    cpu_tlb_flush_all_spaces(cpu);
    cpu_mode_changed(cpu);
    return true;
}
