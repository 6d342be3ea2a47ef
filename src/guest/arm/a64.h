/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The AArch64 CPU's state and what the parts of guest/arm share. Manual: Arm ARM DDI 0487.
 */
#pragma once

#include "cpu/cpu.h"
#include "cpu/guest.h"
#include "ir/ir.h"

/* Lazy NZCV: cc_op says how the flags follow from cc_a and cc_b. +0: 32 bits, +1: 64 bits. */
enum a64_cc {
    A64_CC_NZCV,      /* cc_a = NZCV in bits 31..28 */
    A64_CC_ADD = 2,   /* cc_a = result, cc_b = second operand */
    A64_CC_SUB = 4,   /* cc_a = first, cc_b = second operand */
    A64_CC_LOGIC = 6, /* cc_a = result; C and V are 0 */
};

enum a64_exception { /* pending exception; far = address, iss = what user/ and ESR need */
                     A64_EXC_NONE,
                     A64_EXC_UNDEF,
                     A64_EXC_BRK,   /* iss = imm16 */
                     A64_EXC_FETCH, /* far */
                     A64_EXC_DATA,  /* far; iss bit 6 write */
                     A64_EXC_PC_ALIGN,
                     A64_EXC_SP_ALIGN,
                     A64_EXC_BTI,
                     A64_EXC_ALIGN, /* far: an exclusive or atomic access that is not aligned */
};

struct a64_cpu {
    struct cpu c;
    uint64_t pc;
    uint64_t x[32]; /* x[31] is SP (of the current exception level) */
    uint64_t cc_a, cc_b;
    uint32_t cc_op;
    uint32_t btype;           /* PSTATE.BTYPE, 0..3 */
    union ir_v128 v[32];
    uint32_t fpcr;            /* as written; the host's form of rounding and flushing is in c.fpcsr */
    uint32_t fpsr_qc;         /* FPSR.QC (bit 27) and IDC (bit 7), which the host does not collect */
    uint64_t tpidr_el0, tpidrro_el0;
    uint64_t excl_addr;       /* exclusive monitor: address (~0: none), and the value loaded */
    uint64_t excl_lo, excl_hi;
    /* the pending exception */
    uint32_t exception;
    uint32_t iss;
    uint64_t far;
    uint64_t features;        /* of the model: BIT(A64_FEAT_*) */
    uint64_t pac_key[5][2];   /* IA IB DA DB GA */
};

extern const struct guest guest_aarch64;

/* Of a CPU that stands still or calls from a helper. NZCV in bits 31..28. */
uint32_t a64_nzcv(const struct cpu *cpu);
void a64_set_nzcv(struct cpu *cpu, uint32_t nzcv);
uint32_t a64_fpsr_read(struct cpu *cpu);
void a64_fpsr_write(struct cpu *cpu, uint32_t value);
void a64_fpcr_write(struct cpu *cpu, uint32_t value);
/* AT_HWCAP and AT_HWCAP2 of Linux that match the model. */
uint64_t a64_hwcap(const struct cpu *cpu);
uint64_t a64_hwcap2(const struct cpu *cpu);
