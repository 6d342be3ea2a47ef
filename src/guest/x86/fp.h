/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the FP and SIMD files of guest/x86 share: helper records, x87 state handling, the SIMD
 * translators' operands. Helpers run on the vCPU's thread. Intel SDM volume 1 chapters 8 to 13,
 * volume 2.
 */
#pragma once

#include "guest/x86/x86.h"

/* ---- MXCSR ---- */
enum {
    MXCSR_IE = 1,
    MXCSR_DE = 2,
    MXCSR_ZE = 4,
    MXCSR_OE = 8,
    MXCSR_UE = 16,
    MXCSR_PE = 32,
    MXCSR_FLAGS = 63,
    MXCSR_DAZ = 64,
    MXCSR_MASKS = 0x1f80,
    MXCSR_MASK_SHIFT = 7,
    MXCSR_UM = 0x800,
    MXCSR_FTZ = 0x8000,
    MXCSR_VALID = 0xffff,
    MXCSR_RESET = 0x1f80,
};
/* Operations that may overflow or underflow, for h_xm_end_arith. FP_NARROW: double to single
 * precision. */
enum fp_arith {
    FP_NONE,
    FP_ADD,
    FP_SUB,
    FP_MUL,
    FP_DIV,
    FP_ADDSUB,
    FP_HADD,
    FP_HSUB,
    FP_DP,
    FP_NARROW
};
void fp_set_mxcsr(struct x86_cpu *x, uint32_t value); /* checked by the caller */

/* ---- x87 ---- */
enum {
    X87_IE = 1,
    X87_DE = 2,
    X87_ZE = 4,
    X87_OE = 8,
    X87_UE = 16,
    X87_PE = 32,
    X87_FLAGS = 63,
    X87_SF = 64,
    X87_ES = 0x80,
    X87_C0 = 0x100,
    X87_C1 = 0x200,
    X87_C2 = 0x400,
    X87_C3 = 0x4000,
    X87_B = 0x8000,
    X87_TOP = 0x3800,
    X87_TOP_SHIFT = 11,
    X87_CW_RESET = 0x37f,
    X87_CW_RC_PC = 0xf00,
};
/* The argument "where" of x87 helpers: pc in bits 47-0, opcode (11 bits) in 58-48, segment of the
 * memory operand in 61-59. */
enum { X87_WHERE_FOP = 48, X87_WHERE_SEG = 59, X87_SEG_NONE = 7 };

static inline unsigned x87_top(const struct x86_cpu *x)
{
    return x->fsw >> X87_TOP_SHIFT & 7;
}
static inline unsigned x87_phys(const struct x86_cpu *x, unsigned i)
{
    return (x87_top(x) + i) & 7;
}
static inline bool x87_used(const struct x86_cpu *x, unsigned i)
{
    return x->ftw >> x87_phys(x, i) & 1;
}
/* Sets ES and B from flags and masks. */
static inline void x87_update_es(struct x86_cpu *x)
{
    if (x->fsw & ~x->fcw & X87_FLAGS)
        x->fsw |= X87_ES | X87_B;
    else
        x->fsw &= ~(X87_ES | X87_B);
}
static inline void x87_set_cw(struct x86_cpu *x, uint16_t v)
{
    x->fcw = (v & 0x1f3f) | 0x40;
}
uint16_t x87_full_tags(
    const struct x86_cpu *x); /* two bits per physical register: valid, zero, special, empty */
void x87_init_state(struct x86_cpu *x);                              /* FNINIT */
void x87_note(struct x86_cpu *x, uint64_t where);                    /* FIP, FCS, FOP */
void x87_note_data(struct x86_cpu *x, uint64_t where, uint64_t fdp); /* FDP, FDS */

/* The whole x87 of the host runs one instruction on the guest's state (fp_x87_native.c). */
struct x87_image {
    uint32_t cw, sw, tag, ip, cs, dp, ds;
    uint8_t st[8][10];
} __attribute__((packed));
uint32_t x87_native(struct x87_image *image, const void *stub,
                    void *mem);         /* returns LAHF's flags */
const void *x87_stub_reg(unsigned fop); /* fop: opcode bits 2-0, ModRM (register form) */
const void *x87_stub_mem(unsigned fop);
/* Both run the instruction named by where on x; run_mem's buffer holds or gets the operand. True: a
 * store's operand was written. */
uint32_t x87_run_reg(struct x86_cpu *x, uint64_t where);
bool x87_run_mem(struct x86_cpu *x, uint64_t where, void *buf, struct x87_image *ret_image);
void x87_commit(struct x86_cpu *x, const struct x87_image *image);

/* ---- helpers ---- */
extern const struct helper h_xm_begin, h_xm_end, h_xm_end_arith, h_ldmxcsr, h_stmxcsr;
extern const struct helper h_fxsave, h_fxrstor, h_xsave, h_xrstor, h_xsetbv, h_xgetbv;
extern const struct helper h_maskmov;
extern const struct helper h_mpsadbw, h_phminposuw;
extern const struct helper h_sha1nexte, h_sha1msg1, h_sha1msg2, h_sha1rnds4, h_sha256rnds2,
    h_sha256msg1, h_sha256msg2;
extern const struct helper h_pcmpstr_lengths, h_pcmpstr_lengths64, h_pcmpstri, h_pcmpstrm;

/* x87: fast forms of the usual instructions, and one record for everything else */
enum x87_arith { X87_ADD, X87_MUL, X87_COM, X87_COMP, X87_SUB, X87_SUBR, X87_DIV, X87_DIVR };
extern const struct helper h_x87_arith_st[8], h_x87_arith_m32[8],
    h_x87_arith_m64[8]; /* [X87_COM], [X87_COMP]: compares */
extern const struct helper h_x87_comi, h_x87_fcmov, h_x87_fsqrt, h_x87_frndint, h_x87_fsin,
    h_x87_fcos;
extern const struct helper h_x87_fld_m32, h_x87_fld_m64, h_x87_fld_m80, h_x87_fild_m16,
    h_x87_fild_m32, h_x87_fild_m64;
extern const struct helper h_x87_fld_st, h_x87_fst_st, h_x87_fxch, h_x87_fld1, h_x87_fldz,
    h_x87_fchs, h_x87_fabs;
extern const struct helper h_x87_ffree, h_x87_fincstp, h_x87_fdecstp;
extern const struct helper h_x87_reg, h_x87_load, h_x87_load80, h_x87_store, h_x87_store_slow;
extern const struct helper h_x87_wait, h_x87_fnclex, h_x87_fninit, h_x87_fldcw;
extern const struct helper h_x87_fnstenv, h_x87_fldenv, h_x87_fnsave, h_x87_frstor;
enum { X87_ENV_32 = 1, X87_ENV_REAL = 2 }; /* layout of FNSTENV and friends */
enum {
    XSAVE_64 = 1,
    XSAVE_COMPACT = 2,
    XSAVE_SUPER = 4,
    XSAVE_INIT_OPT = 8,
    XSAVE_LONG = 16
}; /* forms: REX.W, C, S, OPT, 64-bit mode */

/* ---- portable forms of the helpers that use host instructions: for hosts without them and for the
 * tests ---- */
typedef union ir_v128 v128;
void fp_soft_sha1nexte(v128 *r, const v128 *a, const v128 *b);
void fp_soft_sha1msg1(v128 *r, const v128 *a, const v128 *b);
void fp_soft_sha1msg2(v128 *r, const v128 *a, const v128 *b);
void fp_soft_sha1rnds4(v128 *r, const v128 *a, const v128 *b, uint8_t imm);
void fp_soft_sha256rnds2(v128 *r, const v128 *a, const v128 *b, const v128 *k);
void fp_soft_sha256msg1(v128 *r, const v128 *a, const v128 *b);
void fp_soft_sha256msg2(v128 *r, const v128 *a, const v128 *b);
/* bits 15-0: IntRes2 of PCMPxSTRx, bits 31-16: the six flags. la, lb: valid elements */
uint32_t fp_soft_pcmpstr(const v128 *a, const v128 *b, unsigned la, unsigned lb, uint8_t imm);
void fp_soft_mpsadbw(v128 *r, const v128 *a, const v128 *b, uint8_t imm);
void fp_soft_phminposuw(v128 *r, const v128 *a);
