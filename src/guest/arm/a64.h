/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The AArch64 CPU's state and what the parts of guest/arm share. Manual: Arm ARM DDI 0487.
 */
#pragma once

#include "cpu/cpu.h"
#include "cpu/guest.h"
#include "ir/ir.h"

/* Lazy NZCV: cc_op says how the flags follow from cc_a, cc_b and cc_c. +1: of 64 bits. Values of
 * 32-bit operations are zero-extended. */
enum a64_cc {
    A64_CC_NZCV = 0,  /* cc_a = NZCV in bits 31..28, the rest 0 */
    A64_CC_ADD = 2,   /* cc_a = result, cc_b = second operand */
    A64_CC_SUB = 4,   /* cc_a = first, cc_b = second operand */
    A64_CC_LOGIC = 6, /* cc_a = result; C and V are 0 */
    A64_CC_ADC = 8,   /* cc_a = result, cc_b = second operand (SBC: inverted), cc_c = carry in */
    A64_CC_FCOM = 10, /* cc_a = what IR_VFCOM gave: bits 6, 2, 0 */
    A64_CC_KIND = 14, /* mask of the above */
    A64_CC_COND = 16, /* CCMP, CCMN: as said where cc_c is 1, else NZCV = cc_op bits 11..8 */
    A64_CC_IMM = 32,  /* SUB: the second operand is cc_op's signed bits 31..12, not cc_b */
    A64_CC_ELSE = 8,  /* shift of those */
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
                     A64_EXC_SVC,   /* system mode; iss = imm16 */
};

enum a64_feat { /* bits of a64_cpu.features, named as FEAT_* of the manual */
                A64_FEAT_AES,
                A64_FEAT_PMULL,
                A64_FEAT_SHA1,
                A64_FEAT_SHA256,
                A64_FEAT_SHA512,
                A64_FEAT_SHA3,
                A64_FEAT_SM3,
                A64_FEAT_SM4,
                A64_FEAT_CRC32,
                A64_FEAT_LSE,
                A64_FEAT_RDM,
                A64_FEAT_FP16,
                A64_FEAT_DOTPROD,
                A64_FEAT_FHM,
                A64_FEAT_JSCVT,
                A64_FEAT_FCMA,
                A64_FEAT_LRCPC,
                A64_FEAT_LRCPC2,
                A64_FEAT_DPB,
                A64_FEAT_DPB2,
                A64_FEAT_FLAGM,
                A64_FEAT_FLAGM2,
                A64_FEAT_FRINTTS,
                A64_FEAT_I8MM,
                A64_FEAT_BF16,
                A64_FEAT_PAUTH, /* addresses; with GA too: PACGA */
                A64_FEAT_BTI,
                A64_FEAT_SB,
                A64_FEAT_SSBS,
                A64_FEAT_LSE2,
                A64_FEAT_RNG,
                A64_FEAT_DIT,
                A64_FEAT_PAUTH_IMPDEF, /* the signing function is our own fast one, not QARMA5 */
                A64_FEAT_COUNT
};

enum a64_mode {                       /* mode word */
                A64_MODE_EL = 3,      /* exception level */
                A64_MODE_FP_TRAP = 4, /* FP and SIMD trap */
                A64_MODE_TAGS = 8,    /* addresses with a tag have been seen: mask the top byte */
                A64_MODE_BTI = 16,    /* guarded pages exist: BTYPE is kept and tested */
                /* of FPCR */
                A64_MODE_DN = BIT(8),
                A64_MODE_FZ = BIT(9),
                A64_MODE_FZ16 = BIT(10),
                A64_MODE_AHP = BIT(11),
                A64_MODE_RMODE_SHIFT = 12, /* 2 bits: FPCR.RMode */
                A64_MODE_RMODE = 3 << 12,
                A64_MODE_FPSR = BIT(14), /* FPSR was read or written: its flags must be exact */
};

enum a64_slot {
    A64_SLOT_X, /* 0..30 */
    A64_SLOT_SP = 31,
    A64_SLOT_V, /* 0..31 */
    A64_SLOT_PC = A64_SLOT_V + 32,
    A64_SLOT_CC_A,
    A64_SLOT_CC_B,
    A64_SLOT_CC_C,
    A64_SLOT_CC_OP,
    A64_SLOT_BTYPE,
    A64_SLOT_FPCR,
    A64_SLOT_FPSR_QC,
    A64_SLOT_FPCSR,
    A64_SLOT_TPIDR_EL0,
    A64_SLOT_TPIDRRO_EL0,
    A64_SLOT_EXCL_ADDR,
    A64_SLOT_EXCL_LO,
    A64_SLOT_EXCL_HI,
    A64_SLOT_DIT, /* PSTATE.DIT and SSBS, at their places */
    A64_SLOT_SSBS,
    A64_SLOT_TMP,  /* i64: within one instruction, across IR blocks */
    A64_SLOT_TMPV, /* v128: the same */
    A64_SLOT_COUNT
};
extern const struct ir_slot a64_slots[A64_SLOT_COUNT];

struct a64_model; /* models.c */
enum { A64_PAC_CACHE = 256 };
struct a64_pac_entry {
    uint64_t data, modifier, key_lo, key_hi, pac;
};

struct a64_cpu {
    struct cpu c;
    uint64_t pc;
    uint64_t x[32]; /* x[31] is SP (of the current exception level) */
    uint64_t cc_a, cc_b, cc_c;
    uint32_t cc_op;
    uint32_t btype;     /* PSTATE.BTYPE, 0..3 */
    uint64_t excl_addr; /* exclusive monitor: address (~0: none), and the value loaded */
    uint64_t excl_lo, excl_hi;
    uint32_t dit, ssbs; /* PSTATE bits 24 and 12 */
    uint64_t tpidr_el0, tpidrro_el0;
    uint64_t tmp;
    union ir_v128 v[32];
    union ir_v128 tmpv;
    uint32_t fpcr;         /* as written; the host's form of rounding and flushing is in c.fpcsr */
    uint32_t fpsr_soft;    /* FPSR flags that helpers found; no slot */
    union ir_v128 fpsr_qc; /* slot, v128: FPSR.QC is set when it is not zero */
    bool fpsr_watched;     /* A64_MODE_FPSR is on */
    /* the pending exception */
    uint32_t exception;
    uint32_t iss;
    uint64_t far;
    uint8_t el;    /* current exception level */
    uint8_t tags;  /* A64_MODE_TAGS is on */
    uint8_t guard; /* A64_MODE_BTI is on */
    bool user;     /* user mode (user_init was called) */
    /* constant after init */
    uint64_t features; /* of the model: BIT(A64_FEAT_*) */
    const struct a64_model *model;
    uint64_t pac_key[5][2]; /* IA IB DA DB GA: low, high half */
    struct a64_pac_entry pac_cache[A64_PAC_CACHE];
};

extern const struct guest guest_aarch64;

static inline struct a64_cpu *a64_of(struct cpu *cpu)
{
    return (struct a64_cpu *)cpu;
}
static inline bool a64_has(const struct a64_cpu *x, enum a64_feat f)
{
    return x->features >> f & 1;
}

/* Of a CPU that stands still or calls from a helper. NZCV in bits 31..28. */
uint32_t a64_nzcv(const struct cpu *cpu);
void a64_set_nzcv(struct cpu *cpu, uint32_t nzcv);
/* help_fp.c: FPSR and FPCR as the guest sees them; a write to FPCR may change the mode word. watch:
 * the program itself uses FPSR, so its flags are exact from now on; changes the mode word. */
void a64_fpsr_watch(struct cpu *cpu);
uint32_t a64_fpsr_read(struct cpu *cpu);
void a64_fpsr_write(struct cpu *cpu, uint32_t value);
void a64_fpcr_write(struct cpu *cpu, uint32_t value);
/* AT_HWCAP and AT_HWCAP2 of Linux that match the model. */
uint64_t a64_hwcap(const struct cpu *cpu);
uint64_t a64_hwcap2(const struct cpu *cpu);
/* Records the exception and leaves (helpers only). */
_Noreturn void a64_raise(struct a64_cpu *x, enum a64_exception exception, uint32_t iss);
/* The model's ID registers, MIDR_EL1, CTR_EL0 and the like as EL0 sees them under Linux; key is
 * op0:op1:CRn:CRm:op2 as in bits 20..5 of MRS. False: no such register. */
bool a64_id_register(const struct a64_cpu *x, uint32_t key, uint64_t *ret);
