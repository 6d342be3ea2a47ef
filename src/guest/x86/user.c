/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linux user mode: the state that a kernel gives its programs, segments from a descriptor table
 * that is not in guest memory, and exceptions that are recorded for user/ and never delivered.
 */
#include <string.h>

#include "guest/x86/sys.h"

enum {
    PF_USER = 4,
    PF_FETCH = 16,
    FLAT_CODE32 = 0x00cffb00,
    FLAT_DATA = 0x00cff300,
    FLAT_CODE64 = 0x00affb00,
    XSAVE = X86_FEATURE(1, 26),
    AVX = X86_FEATURE(1, 28),
    FSGSBASE = X86_FEATURE(4, 0),
    UMIP = X86_FEATURE(5, 2),
};

/* ---- descriptors ---- */

bool x86_user_desc_read(const struct x86_cpu *x, unsigned sel, struct x86_desc *ret)
{
    unsigned n = (sel & 0xffff) >> 3;

    if (sel & 4 || n >= ARRAY_SIZE(x->user_gdt))
        return false;
    ret->at = 0;
    ret->lo = (uint32_t)x->user_gdt[n];
    ret->hi = (uint32_t)(x->user_gdt[n] >> 32);
    return true;
}

static void set_desc(struct x86_cpu *x, unsigned sel, uint32_t hi)
{
    x->user_gdt[sel >> 3] = (uint64_t)hi << 32 | 0xffff;
}

/* The selectors are good ones. */
static void set_seg(struct x86_cpu *x, unsigned n, unsigned sel)
{
    struct x86_desc d;
    struct x86_seg s;

    x86_user_desc_read(x, sel, &d);
    x86_seg_from_desc(&s, sel, &d);
    x86_set_seg(x, n, &s);
}

bool x86_user_set_tls(struct cpu *cpu, unsigned entry, uint64_t desc)
{
    if (entry < X86_GDT_TLS || entry >= X86_GDT_TLS + X86_GDT_TLS_COUNT)
        return false;
    x86_of(cpu)->user_gdt[entry] = desc;
    return true;
}

uint64_t x86_user_tls(const struct cpu *cpu, unsigned entry)
{
    const struct x86_cpu *x = (const struct x86_cpu *)cpu;

    return entry < ARRAY_SIZE(x->user_gdt) ? x->user_gdt[entry] : 0;
}

bool x86_user_load_seg(struct cpu *cpu, enum x86_segreg seg, uint16_t sel)
{
    struct x86_cpu *x = x86_of(cpu);
    struct x86_desc d;
    bool code;

    if (x86_sel_null(sel)) {
        if (seg == X86_CS || (seg == X86_SS && !x86_code64(x)))
            return false;
        x86_null_seg(x, seg, sel);
        cpu_mode_changed(cpu);
        return true;
    }
    if (!x86_user_desc_read(x, sel, &d) || !(d.hi & X86_D_P) || !(d.hi & X86_D_S) ||
        x86_d_dpl(&d) != 3)
        return false;
    code = d.hi & X86_D_CODE;
    if ((seg == X86_CS) != code || (seg == X86_SS && !(d.hi & X86_D_W)))
        return false;
    set_seg(x, seg, sel | 3);
    cpu_mode_changed(cpu);
    return true;
}

bool x86_user_set_base(struct cpu *cpu, enum x86_segreg seg, uint64_t base)
{
    struct x86_cpu *x = x86_of(cpu);

    if (base >> 47)
        return false;
    x->seg[seg].base = x->seg_base[seg] = base;
    return true;
}

/* ---- state at the start ---- */

static void init_control(struct x86_cpu *x)
{
    bool xsave = x86_has(x, XSAVE);

    x->user = true;
    x->cpl = 3;
    x->eflags = 2 | X86_IF;
    x->cr0 =
        X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_PG;
    x->cr4 = X86_CR4_DE | X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_OSFXSR |
             X86_CR4_OSXMMEXCPT | (xsave ? X86_CR4_OSXSAVE : 0) |
             (x86_has(x, FSGSBASE) ? X86_CR4_FSGSBASE : 0) | (x86_has(x, UMIP) ? X86_CR4_UMIP : 0);
    x->efer = X86_EFER_SCE | X86_EFER_NXE;
    x->xcr0 = xsave ? 3 | (x86_has(x, AVX) ? 4 : 0) : 1;
    x->gdt.limit = sizeof(x->user_gdt) - 1;
    x->idt.limit = 0;
    x->tr.limit = 0; /* no I/O permission map */
    x->ldt.null = true;
    memset(x->user_gdt, 0, sizeof(x->user_gdt));
    set_desc(x, X86_USER32_CS, FLAT_CODE32);
    set_desc(x, X86_USER_DS, FLAT_DATA);
    set_desc(x, X86_USER_CS, FLAT_CODE64);
    memset(x->gpr, 0, sizeof(x->gpr));
    x->rip = 0;
    x->c.halted = 0;
}

void x86_user_init64(struct cpu *cpu)
{
    struct x86_cpu *x = x86_of(cpu);

    init_control(x);
    x->efer |= X86_EFER_LME | X86_EFER_LMA;
    set_seg(x, X86_CS, X86_USER_CS);
    set_seg(x, X86_SS, X86_USER_DS);
    x86_null_seg(x, X86_DS, 0);
    x86_null_seg(x, X86_ES, 0);
    x86_null_seg(x, X86_FS, 0);
    x86_null_seg(x, X86_GS, 0);
}

void x86_user_init32(struct cpu *cpu)
{
    struct x86_cpu *x = x86_of(cpu);

    init_control(x);
    set_desc(x, X86_USER_CS, 0);
    set_seg(x, X86_CS, X86_USER32_CS);
    set_seg(x, X86_SS, X86_USER_DS);
    set_seg(x, X86_DS, X86_USER_DS);
    set_seg(x, X86_ES, X86_USER_DS);
    x86_null_seg(x, X86_FS, 0);
    x86_null_seg(x, X86_GS, 0);
}

/* ---- exceptions ---- */

void x86_user_fetch_fault(struct cpu *cpu, gva_t va)
{
    struct x86_cpu *x = x86_of(cpu);

    x86_record(x, X86_PF_VEC, PF_USER | PF_FETCH, true);
    x->exc_cr2 = va;
}

/* Linux lets programs use the vectors of INT3 and INTO; INT1 has none to check. */
static void h_user_int(struct x86_cpu *x, uint64_t vector, uint64_t next, uint64_t kind)
{
    enum { INT_N, INT_SHORT, INT_ICE };
    unsigned n = (uint32_t)vector;

    if ((uint32_t)kind == INT_N && n != X86_BP && n != X86_OF_VEC)
        x86_raise_error(x, X86_GP, n << 3 | 2);
    x86_record(x, (int)n, 0, false);
    x->exc_software = (uint32_t)kind != INT_ICE;
    x->exc_icebp = (uint32_t)kind == INT_ICE;
    x->exc_dr6 = 0;
    x->exc_next_rip = next;
    cpu_raise(&x->c);
}
const struct helper x86_h_user_int = { "x86_user_int", (helper_fn *)h_user_int, "- i32 i64 i32",
                                       0 };
