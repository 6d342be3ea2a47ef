/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the translators of Advanced SIMD share.
 */
#pragma once

#include "guest/arm/tr_vec.h"

/* An operation on all lanes. lane: the operands'; in widening ones the narrow operands'. */
typedef ir_val vec_fn(struct tr *t, enum ir_type lane, ir_val n, ir_val m, ir_val d);

enum { /* element sizes that an instruction has: bit log2(bytes) */
       SZ_B = 1,
       SZ_H = 2,
       SZ_S = 4,
       SZ_D = 8,
       SZ_BHS = 7,
       SZ_HS = 6,
       SZ_ALL = 15
};

static inline unsigned vec_width(const struct arg_v *a) /* bits written */
{
    return a->sc ? 8u << a->size : a->q ? 128 : 64;
}
static inline unsigned vec_lanes(bool sc, bool q, enum fp_size s)
{
    return sc ? 1 : (q ? 16u : 8u) >> s;
}
static inline unsigned lane_bits(enum ir_type lane)
{
    return ir_type_bits[lane];
}

/* ---- tr_simd_int.c ---- */
/* FPSR.QC is set where v is not zero. */
void vec_saturated(struct tr *t, ir_val v);
vec_fn vec_add, vec_sub, vec_mul, vec_mla, vec_mls, vec_umin, vec_umax, vec_smin, vec_smax,
    vec_sabd, vec_uabd, vec_sqadd, vec_uqadd, vec_sqsub, vec_uqsub, vec_sqdmulh, vec_sqrdmulh,
    vec_sqrdmlah, vec_sqrdmlsh, vec_sdot, vec_udot;
/* Even and odd lanes of n:m; q: 128 bits each, else 64. */
void vec_pairs(struct tr *t, enum ir_type lane, bool q, ir_val n, ir_val m, ir_val *ret_even,
               ir_val *ret_odd);

/* ---- tr_simd_wide.c: lane is the narrow one ---- */
ir_val vec_widen(struct tr *t, enum ir_type lane, ir_val v, bool high, bool is_unsigned);
vec_fn vec_smull, vec_umull, vec_smlal, vec_umlal, vec_smlsl, vec_umlsl, vec_sqdmull, vec_sqdmlal,
    vec_sqdmlsl;
/* v's lanes (of the wide type) to half width, in the low 64 bits. */
ir_val vec_sqxtn(struct tr *t, enum ir_type wide, ir_val v);
ir_val vec_sqxtun(struct tr *t, enum ir_type wide, ir_val v);
ir_val vec_uqxtn(struct tr *t, enum ir_type wide, ir_val v);
/* Result of a narrowing instruction: the low half, zeros above; or (high) the high half. */
void vec_set_narrow(struct tr *t, int rd, ir_val v, bool high);

/* ---- help_simd.c ---- */
enum simd_op {
    SO_SRSHL, /* by m's lanes */
    SO_URSHL,
    SO_PMUL,
    SO_CLS,
    SO_CLZ,
    SO_RBIT,
    SO_URECPE,
    SO_URSQRTE,
    SO_PMULL8, /* low eight bytes to halves */
    /* from here on: may saturate */
    SO_SQSHL, /* by m's lanes */
    SO_UQSHL,
    SO_SQRSHL,
    SO_UQRSHL,
    SO_SQSHLU,
    SO_SUQADD, /* d + n */
    SO_USQADD,
    SO_SQRDMLAH,
    SO_SQRDMLSH,
    SO_SQXTN, /* size: the narrow one's */
    SO_SQXTUN,
    SO_UQXTN,
    SO_COUNT
};
static inline uint32_t simd_desc(enum simd_op op, unsigned size)
{
    return op | size << 8;
}
extern const struct helper simd_h;    /* v128(n, m, d, i32 simd_desc): all lanes of 128 bits */
extern const struct helper simd_h_qc; /* the same, for those that may set FPSR.QC */
static inline ir_val vec_help(struct tr *t, enum simd_op op, unsigned size, ir_val n, ir_val m,
                              ir_val d)
{
    return tr_call(t, op >= SO_SQSHL && op <= SO_UQXTN ? &simd_h_qc : &simd_h, n, m, d,
                   tr_c32(t, (int32_t)simd_desc(op, size)));
}
enum { FHM_NEG = 1, FHM_HIGH = 2, FHM_64 = 4 };
extern const struct helper fp_h_fhm;   /* v128(n, m, d, i32 flags): FMLAL, FMLSL */
extern const struct helper fp_h_fcmla; /* v128(n, m, d, i32 size | rot << 4 | lanes << 8) */
extern const struct helper fp_h_fcadd;
