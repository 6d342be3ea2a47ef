/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fcsr: the rounding mode and the sticky flags. Both live in the host's MXCSR while code runs: the
 * rounding modes there are in another order, RMM has none (its instructions go to fp_soft.c), and
 * x86's denormal flag means nothing here.
 */
#include "guest/riscv/riscv.h"

enum { MX_IE = 1, MX_DE = 2, MX_ZE = 4, MX_OE = 8, MX_UE = 16, MX_PE = 32, MX_MASKS = 0x1f80 };
enum { MX_RC_SHIFT = 13 };

static uint32_t from_host(uint32_t mx)
{
    return (mx & MX_IE ? RV_NV : 0) | (mx & MX_ZE ? RV_DZ : 0) | (mx & MX_OE ? RV_OF : 0) |
           (mx & MX_UE ? RV_UF : 0) | (mx & MX_PE ? RV_NX : 0);
}

static uint32_t to_host(uint32_t fflags)
{
    return (fflags & RV_NV ? MX_IE : 0) | (fflags & RV_DZ ? MX_ZE : 0) |
           (fflags & RV_OF ? MX_OE : 0) | (fflags & RV_UF ? MX_UE : 0) |
           (fflags & RV_NX ? MX_PE : 0);
}

static uint32_t host_rc(unsigned frm)
{
    static const uint8_t rc[8] = { [RV_RTZ] = 3, [RV_RDN] = 1, [RV_RUP] = 2 };

    return (uint32_t)rc[frm] << MX_RC_SHIFT;
}

uint32_t rv_fcsr_read(struct cpu *cpu)
{
    return from_host(cpu_fpcsr_read(cpu)) | (uint32_t)rv_of(cpu)->frm << 5;
}

void rv_fcsr_write(struct cpu *cpu, uint32_t value)
{
    struct rv_cpu *r = rv_of(cpu);
    uint8_t frm = value >> 5 & 7;
    bool changed = frm != r->frm;

    r->frm = frm;
    r->frm_soft = frm >= RV_RMM;
    cpu_fpcsr_write(cpu, MX_MASKS | host_rc(frm) | to_host(value & 31));
    if (changed)
        cpu_mode_changed(cpu);
}

void rv_fflags_raise(struct cpu *cpu, uint32_t fflags)
{
    if (fflags)
        cpu_fpcsr_write(cpu, cpu_fpcsr_read(cpu) | to_host(fflags));
}
