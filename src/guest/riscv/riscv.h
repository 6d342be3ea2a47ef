/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The RISC-V CPU's state and what the parts of guest/riscv share. Manual: "The RISC-V Instruction
 * Set Manual", volumes I (unprivileged) and II (privileged).
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

enum rv_ext { /* bits of rv_cpu.ext; names and order of -cpu help are in models.c */
              RV_EXT_M,
              RV_EXT_A,
              RV_EXT_F,
              RV_EXT_D,
              RV_EXT_C,
              RV_EXT_Zicsr,
              RV_EXT_Zifencei,
              RV_EXT_Zicntr,
              RV_EXT_Zihpm,
              RV_EXT_Zihintpause,
              RV_EXT_Zba,
              RV_EXT_Zbb,
              RV_EXT_Zbc,
              RV_EXT_Zbs,
              RV_EXT_Zicond,
              RV_EXT_Zfhmin,
              RV_EXT_Zicbom,
              RV_EXT_Zicbop,
              RV_EXT_Zicboz,
              RV_EXT_COUNT
};

enum rv_rm { RV_RNE, RV_RTZ, RV_RDN, RV_RUP, RV_RMM, RV_DYN = 7 }; /* rounding modes (I, 20.2) */
enum { RV_NX = 1, RV_UF = 2, RV_OF = 4, RV_DZ = 8, RV_NV = 16 };   /* fflags */

struct rv_cpu {
    struct cpu c;
    uint64_t pc;
    uint64_t x[32];      /* x[0] stays 0 */
    union ir_v128 f[32]; /* the low 64 bits are the register; single precision is NaN-boxed */
    uint8_t frm;         /* rounding mode as written; the host's form is in c.fpcsr */
    uint8_t unboxed;     /* a single was read that is no boxed one: code checks each */
    uint8_t frm_soft;    /* frm is RMM or reserved: FP by helpers */
    uint64_t lr_addr;    /* reservation: address (~0: none) and value loaded */
    uint64_t lr_value;
    /* the pending exception: of deliver(), or read by user/ after CPU_LEFT_EXCEPTION */
    uint32_t cause;
    uint64_t tval;
    uint64_t tmp; /* within an instruction */
    uint64_t ext; /* extensions of the model: BIT(RV_EXT_*) */
};

extern const struct guest guest_riscv64;

/* Slots. Vectors (V) get theirs behind F. */
enum {
    RV_SLOT_X = 0,
    RV_SLOT_F = 32,
    RV_SLOT_PC = 64,
    RV_SLOT_LR_ADDR,
    RV_SLOT_LR_VALUE,
    RV_SLOT_TMP,
    RV_SLOT_COUNT
};
extern const struct ir_slot rv_slots[RV_SLOT_COUNT];

/* The translation mode word: what the translator takes as constant. */
enum {
    RV_MODE_FRM = 7, /* bits 2..0: frm */
    RV_MODE_UNBOXED = 8,
};

static inline struct rv_cpu *rv_of(struct cpu *cpu)
{
    return (struct rv_cpu *)cpu;
}
static inline bool rv_has(const struct rv_cpu *r, enum rv_ext e)
{
    return r->ext >> e & 1;
}

/* fcsr (frm and fflags) of a CPU that stands still or calls from a helper. */
uint32_t rv_fcsr_read(struct cpu *cpu);
void rv_fcsr_write(struct cpu *cpu, uint32_t value);
/* AT_HWCAP of Linux: bit per single-letter extension. */
uint64_t rv_hwcap(const struct cpu *cpu);

/* ---- within guest/riscv ---- */
/* Records the exception and leaves (helpers only). */
_Noreturn void rv_raise(struct rv_cpu *r, enum rv_cause cause, uint64_t tval);
bool rv_model_init(struct rv_cpu *r, const char *model, struct error *err);
void rv_models_help(FILE *f);
void rv_translate(struct cpu *cpu, struct ir *ir, struct translation *req);
void rv_print_insns(FILE *f, const uint8_t *code, unsigned size, gva_t pc, uint32_t mode);
/* Adds to fflags; from helpers. */
void rv_fflags_raise(struct cpu *cpu, uint32_t fflags);
