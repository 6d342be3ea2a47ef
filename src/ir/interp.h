/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the interpreter's files share. Private to ir/ (tests excepted).
 */
#pragma once

#include "ir/ir.h"

struct interp {
    const struct ir *ir;
    uint8_t *cpu;
    const struct ir_interp_ops *ops;
    union ir_v128 *v;      /* values; integers zero-extended in u64[0] */
    const uint16_t *label; /* label -> index */
    unsigned next;         /* insn to run next */
    bool done;
    enum ir_exit_kind left;
};

/* in is the insn, d the place of its result. */
typedef void interp_fn(struct interp *r, const struct ir_insn *in, union ir_v128 *d);

static inline const union ir_v128 *interp_arg(const struct interp *r, const struct ir_insn *in,
                                              unsigned k)
{
    return &r->v[in->arg[k]];
}

/* The sticky flags of this thread's FP environment in MXCSR's form. */
uint32_t interp_fp_flags(void);
void interp_set_fp_flags(uint32_t flags);
void ir_interp_vec(struct interp *r, const struct ir_insn *in,
                   union ir_v128 *d); /* VCONST..VAESIMC */
void ir_interp_fp(struct interp *r, const struct ir_insn *in,
                  union ir_v128 *d); /* VFADD..VFCVTFH, without VFIX */
/* d is zeroed, and none of the operands */
typedef void interp_vec_fn(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                           const union ir_v128 *b);
extern interp_vec_fn *const ir_interp_simd_ops[IR_OP_COUNT];

/* interp_crypto.c */
void ir_aes(enum ir_op op, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *key);
void ir_clmul(union ir_v128 *d, uint64_t a, uint64_t b);
uint32_t ir_sum_crc32c(uint32_t sum, uint64_t data, unsigned bytes);

/* One floating point op. d enters as operand a and leaves as the result; integers in u64[0]. */
struct fp_op {
    enum ir_op op;
    enum ir_type type; /* of the result */
    uint8_t sub;
    uint8_t imm;
    enum ir_type int_type;  /* VFCVTIF, VFCVTUF: of the integer operand */
    const union ir_v128 *c; /* VFMADD */
    uint64_t pattern;       /* VFCANON */
};
/* VFMADD and what follows it, portable */
void ir_fp_convert(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b);
void ir_fp_portable(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b);
#if defined(__x86_64__)
void ir_fp_sse(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b);
#endif
