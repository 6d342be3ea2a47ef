/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The RISC-V CPU's state and what the parts of guest/riscv share. Manual: "The RISC-V Instruction Set
 * Manual", volumes I (unprivileged) and II (privileged).
 */
#pragma once

#include "cpu/cpu.h"
#include "cpu/guest.h"
#include "ir/ir.h"

enum rv_cause { /* mcause, scause */
                RV_FETCH_MISALIGNED = 0,
                RV_FETCH_FAULT = 1,
                RV_ILLEGAL = 2,
                RV_BREAKPOINT = 3,
                RV_LOAD_MISALIGNED = 4,
                RV_LOAD_FAULT = 5,
                RV_STORE_MISALIGNED = 6,
                RV_STORE_FAULT = 7,
                RV_ECALL_U = 8,
                RV_FETCH_PAGE = 12,
                RV_LOAD_PAGE = 13,
                RV_STORE_PAGE = 15,
};

struct rv_cpu {
    struct cpu c;
    uint64_t pc;
    uint64_t x[32];        /* x[0] stays 0 */
    union ir_v128 f[32];   /* the low 64 bits are the register; single precision is NaN-boxed */
    uint8_t frm;           /* rounding mode as written; the host's form is in c.fpcsr */
    uint8_t frm_soft;      /* frm is RMM or reserved: FP by helpers */
    uint64_t lr_addr;      /* reservation: address (~0: none) and value loaded */
    uint64_t lr_value;
    /* the pending exception: of deliver(), or read by user/ after CPU_LEFT_EXCEPTION */
    uint32_t cause;
    uint64_t tval;
    uint64_t ext; /* extensions of the model: RV_EXT_* */
};

extern const struct guest guest_riscv64;

/* fcsr (frm and fflags) of a CPU that stands still or calls from a helper. */
uint32_t rv_fcsr_read(struct cpu *cpu);
void rv_fcsr_write(struct cpu *cpu, uint32_t value);
/* AT_HWCAP of Linux: bit per single-letter extension. */
uint64_t rv_hwcap(const struct cpu *cpu);
