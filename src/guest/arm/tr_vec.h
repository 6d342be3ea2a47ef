/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the translators of FP and Advanced SIMD share. A value is a v128; one of `bits` bits has
 * zeros above them unless said otherwise.
 */
#pragma once

#include "guest/arm/help_fp.h"
#include "guest/arm/insn.h"
#include "guest/arm/tr.h"

/* ---- registers ---- */
ir_val vec_zext(struct tr *t, ir_val v, unsigned bits); /* 8 .. 128 */
static inline ir_val vec_get(struct tr *t, int n, unsigned bits)
{
    return vec_zext(t, tr_v(t, (unsigned)n), bits);
}
static inline void vec_set(struct tr *t, int n, ir_val v, unsigned bits)
{
    tr_set_v(t, (unsigned)n, vec_zext(t, v, bits));
}
static inline ir_val vec_zero(struct tr *t)
{
    return ir_vconst(t->b, 0);
}
/* The constant in all lanes. */
ir_val vec_const(struct tr *t, enum ir_type lane, uint64_t v);
static inline enum ir_type vec_int(unsigned size) /* size: log2 of bytes */
{
    return (enum ir_type)(IR_I8 + size);
}
static inline ir_val vec_low_pair(struct tr *t, ir_val n, ir_val m) /* n's low 64 bits, then m's */
{
    return ir_vop2(t->b, IR_VUNPCKL, IR_I64, n, m, 0);
}
static inline ir_val vec_1(struct tr *t, enum ir_op op, unsigned lane, ir_val a, int64_t imm)
{
    return ir_vop1(t->b, op, lane, a, imm);
}
static inline ir_val vec_2(struct tr *t, enum ir_op op, unsigned lane, ir_val a, ir_val b)
{
    return ir_vop2(t->b, op, lane, a, b, 0);
}
static inline ir_val vec_and(struct tr *t, ir_val a, ir_val b)
{
    return ir_vop2(t->b, IR_VAND, IR_I64, a, b, 0);
}
static inline ir_val vec_or(struct tr *t, ir_val a, ir_val b)
{
    return ir_vop2(t->b, IR_VOR, IR_I64, a, b, 0);
}
static inline ir_val vec_xor(struct tr *t, ir_val a, ir_val b)
{
    return ir_vop2(t->b, IR_VXOR, IR_I64, a, b, 0);
}
static inline ir_val vec_andn(struct tr *t, ir_val a, ir_val b) /* ~a & b */
{
    return ir_vop2(t->b, IR_VANDN, IR_I64, a, b, 0);
}
static inline ir_val vec_not(struct tr *t, ir_val a)
{
    return vec_xor(t, a, ir_vconst(t->b, ~0ull));
}

/* ---- floating point (tr_fp_lanes.c). lanes of size s, zeros above them in n (of several lanes: in
 * m and d, too) ---- */
bool fp_has(const struct tr *t, enum fp_size s); /* halves need FEAT_FP16 */
/* op on n[, m[, d]]; the result may have anything above the lanes, unless lanes is 1. */
ir_val fp_lanes(struct tr *t, enum fp_op op, enum fp_size s, unsigned lanes, ir_val n, ir_val m,
                ir_val d);
ir_val fp_rint(struct tr *t, enum fp_op op, enum fp_size s, unsigned lanes, ir_val n,
               enum fp_rmode mode);
/* To integers of the lanes' size. One lane: see also fp_to_int. */
ir_val fp_to_lanes(struct tr *t, enum fp_size s, unsigned lanes, ir_val n, enum fp_rmode mode,
                   bool is_unsigned, unsigned fbits);
ir_val fp_from_lanes(struct tr *t, enum fp_size s, unsigned lanes, ir_val n, bool is_unsigned,
                     unsigned fbits);
/* Lane 0 to an integer of type (i32, i64), and back: a value with zeros above. */
ir_val fp_to_int(struct tr *t, enum ir_type type, enum fp_size s, ir_val n, enum fp_rmode mode,
                 bool is_unsigned, unsigned fbits);
ir_val fp_from_int(struct tr *t, enum fp_size s, ir_val n, bool is_unsigned, unsigned fbits);
/* Lane 0, or the low lanes that fill 64 bits on the narrower side. odd: FCVTXN. */
ir_val fp_cvt(struct tr *t, enum fp_size to, enum fp_size from, unsigned lanes, ir_val n, bool odd);
/* What the current rounding mode is. */
static inline enum fp_rmode fp_mode(const struct tr *t)
{
    return (enum fp_rmode)(t->mode >> A64_MODE_RMODE_SHIFT & 3);
}
/* The host's arithmetic does not do here: everything by helpers. */
static inline bool fp_exact(const struct tr *t)
{
    return t->mode & A64_MODE_FZ && t->mode & A64_MODE_FPSR;
}
uint64_t fp_bits_of_imm8(enum fp_size s, unsigned imm8); /* VFPExpandImm */
