/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Exact floating point in integer arithmetic, after the manual's shared pseudocode (Arm ARM J1.3,
 * names in comments): what the inline forms fall back on, and the oracle of the tests. It reads
 * nothing of the host's FP environment and changes nothing of it; flags collect in fp_env.
 */
#pragma once

#include "guest/arm/a64.h"

enum fp_size { FP_H = 1, FP_S = 2, FP_D = 3 }; /* log2 of bytes */

enum { /* FPSR */
       FP_IOC = 1,
       FP_DZC = 2,
       FP_OFC = 4,
       FP_UFC = 8,
       FP_IXC = 16,
       FP_IDC = 128,
       FP_QC = 1 << 27,
};
enum { /* FPCR */
       FPCR_FZ16 = 1 << 19,
       FPCR_FZ = 1 << 24,
       FPCR_DN = 1 << 25,
       FPCR_AHP = 1 << 26,
};
enum fp_rmode { FP_RN, FP_RP, FP_RM, FP_RZ, FP_TIEAWAY, FP_ODD }; /* the first four as FPCR.RMode */

struct fp_env {
    uint32_t fpcr, flags;
};

static inline enum fp_rmode fp_rmode(const struct fp_env *e)
{
    return (enum fp_rmode)(e->fpcr >> 22 & 3);
}
static inline unsigned fp_bits(enum fp_size s)
{
    return 8u << s;
}
static inline unsigned fp_frac_bits(enum fp_size s)
{
    return s == FP_H ? 10 : s == FP_S ? 23 : 52;
}
static inline uint64_t fp_sign_bit(enum fp_size s)
{
    return BIT(fp_bits(s) - 1);
}
static inline uint64_t fp_inf(enum fp_size s)
{
    return s == FP_H ? 0x7c00 : s == FP_S ? 0x7f800000 : 0x7ff0000000000000;
}
static inline uint64_t fp_quiet_bit(enum fp_size s)
{
    return BIT(fp_frac_bits(s) - 1);
}
static inline uint64_t fp_default_nan(enum fp_size s)
{
    return fp_inf(s) | fp_quiet_bit(s);
}
static inline bool fp_is_nan(enum fp_size s, uint64_t v)
{
    return (v & ~fp_sign_bit(s)) > fp_inf(s);
}
static inline bool fp_is_snan(enum fp_size s, uint64_t v)
{
    return fp_is_nan(s, v) && !(v & fp_quiet_bit(s));
}

/* What the manual calls a real number, with class and sign. */
enum fp_class { FP_ZERO, FP_FINITE, FP_INFINITE, FP_QNAN, FP_SNAN };
struct fp_num {
    enum fp_class cls;
    bool sign;
    int exp;             /* value = m * 2^exp */
    unsigned __int128 m; /* FP_FINITE: not 0; bit 0 may be sticky */
};

/* help_fp_soft.c */
struct fp_num fp_unpack(struct fp_env *e, enum fp_size s, uint64_t v);    /* FPUnpack */
struct fp_num fp_unpack_cv(struct fp_env *e, enum fp_size s, uint64_t v); /* FPUnpackCV */
uint64_t fp_round(struct fp_env *e, enum fp_size s, const struct fp_num *v,
                  enum fp_rmode mode); /* FPRound of a finite number */
uint64_t fp_round_cv(struct fp_env *e, enum fp_size s, const struct fp_num *v, enum fp_rmode mode);
uint64_t fp_nan1(struct fp_env *e, enum fp_size s, uint64_t v); /* FPProcessNaN */
/* FPProcessNaNs, FPProcessNaNs3: true when there is a NaN. */
bool fp_nan2(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b, uint64_t *ret);
bool fp_nan3(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b, uint64_t c, uint64_t *ret);
uint64_t fp_invalid(struct fp_env *e, enum fp_size s);      /* default NaN, and the flag */
struct fp_num fp_num_add(struct fp_num a, struct fp_num b); /* finite or zero; exact, or sticky */
struct fp_num fp_num_mul(struct fp_num a, struct fp_num b);

uint64_t fp_add(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b);
uint64_t fp_sub(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b);
uint64_t fp_mul(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b);
uint64_t fp_mulx(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b);
uint64_t fp_div(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b);
uint64_t fp_sqrt(struct fp_env *e, enum fp_size s, uint64_t a);
uint64_t fp_muladd(struct fp_env *e, enum fp_size s, uint64_t addend, uint64_t a, uint64_t b);
/* FPMulAddH: halves a and b, the sum in single precision */
uint64_t fp_muladdh(struct fp_env *e, uint64_t addend, uint64_t a, uint64_t b);
uint64_t fp_minmax(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b, bool max, bool nm);
/* NZCV in bits 3..0. signals: on quiet NaNs too. */
unsigned fp_compare(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b, bool signals);

/* help_fp_cvt.c */
uint64_t fp_recip_estimate(struct fp_env *e, enum fp_size s, uint64_t a);
uint64_t fp_rsqrt_estimate(struct fp_env *e, enum fp_size s, uint64_t a);
uint64_t fp_recip_step(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b);
uint64_t fp_rsqrt_step(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b);
uint64_t fp_recpx(struct fp_env *e, enum fp_size s, uint64_t a);
uint32_t fp_urecpe(uint32_t a);
uint32_t fp_ursqrte(uint32_t a);
uint64_t fp_round_int(struct fp_env *e, enum fp_size s, uint64_t a, enum fp_rmode mode, bool exact);
/* FRINT32, FRINT64: bits 32 or 64 */
uint64_t fp_round_int_n(struct fp_env *e, enum fp_size s, uint64_t a, enum fp_rmode mode,
                        unsigned bits);
uint64_t fp_to_fixed(struct fp_env *e, enum fp_size s, uint64_t a, unsigned fbits, bool is_unsigned,
                     enum fp_rmode mode, unsigned bits);
uint64_t fp_from_fixed(struct fp_env *e, enum fp_size s, uint64_t a, unsigned fbits,
                       bool is_unsigned, unsigned bits);
uint64_t fp_convert(struct fp_env *e, enum fp_size to, enum fp_size from, uint64_t a,
                    enum fp_rmode mode);
/* FJCVTZS; *ret_exact is PSTATE.Z */
uint32_t fp_to_js(struct fp_env *e, uint64_t a, bool *ret_exact);

/* ---- helpers (help_fp.c) ---- */
enum fp_op {
    FPO_ADD,
    FPO_SUB,
    FPO_MUL,
    FPO_DIV,
    FPO_FMA, /* d + n * m */
    FPO_FMS, /* d - n * m */
    FPO_NMA, /* -d - n * m */
    FPO_NMS, /* n * m - d */
    FPO_MAX,
    FPO_MIN,
    FPO_MAXNM,
    FPO_MINNM,
    FPO_NMUL,
    FPO_ABD,
    FPO_MULX,
    FPO_RECPS,
    FPO_RSQRTS,
    FPO_CMEQ,
    FPO_CMGE,
    FPO_CMGT,
    FPO_ACGE,
    FPO_ACGT,
    /* of n alone */
    FPO_SQRT,
    FPO_RECPE,
    FPO_RSQRTE,
    FPO_RECPX,
    FPO_RINT,  /* how: enum fp_rmode */
    FPO_RINTX, /* how: enum fp_rmode, raises inexact */
    FPO_RINT32,
    FPO_RINT64, /* how: enum fp_rmode */
    FPO_TO_S,
    FPO_TO_U, /* how: enum fp_rmode, m: fraction bits; the integer has the size */
    FPO_FROM_S,
    FPO_FROM_U, /* how: fraction bits */
    FPO_COUNT
};
/* One lane. */
uint64_t fp_do(struct fp_env *e, enum fp_op op, enum fp_size s, uint64_t n, uint64_t m, uint64_t d,
               unsigned how);

/* The fourth argument of fp_h_direct. */
static inline uint32_t fp_desc(enum fp_op op, enum fp_size s, unsigned lanes, unsigned how)
{
    return op | (uint32_t)s << 8 | lanes << 12 | how << 20;
}
extern const struct helper fp_h_direct; /* v128(n, m, d, i32 fp_desc): zeros above the lanes */
/* For VFIX on single and double (index 0, 1): lanes that are NaN are computed again from n, m[, d].
 * NULL name: there is none. */
extern const struct helper fp_h_fix[FPO_COUNT][2];

/* help_fp_int.c: conversions. The rounding mode in desc: enum fp_rmode. */
static inline uint32_t fp_int_desc(enum fp_size s, enum fp_rmode mode, bool is_unsigned, bool is_64,
                                   unsigned fbits)
{
    return s | (uint32_t)mode << 4 | is_unsigned << 8 | is_64 << 9 | fbits << 12;
}
extern const struct helper fp_h_to_int;   /* i64(v128, i32 fp_int_desc) */
extern const struct helper fp_h_from_int; /* v128(i64, i32 fp_int_desc) */
/* For FIX: lane 0 of the argument, truncated. [single, double][signed, unsigned][32, 64 bits];
 * unsigned of 32 bits returns i64. */
extern const struct helper fp_h_fix_int[2][2][2];
/* For VFIX on i32, i64: lanes that are the minimum are computed again from n, truncated.
 * [i32, i64][signed, unsigned] */
extern const struct helper fp_h_fix_ints[2][2];
extern const struct helper fp_h_cvt; /* v128(v128, i32 to | from << 4 | lanes << 8 | mode << 12) */
extern const struct helper fp_h_fix_sd, fp_h_fix_ds; /* for VFIX: to d from s, to s from d */
