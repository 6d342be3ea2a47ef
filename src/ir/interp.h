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

void ir_interp_vec(struct interp *r, const struct ir_insn *in,
                   union ir_v128 *d); /* VCONST..VINSERTPS */
void ir_interp_fp(struct interp *r, const struct ir_insn *in,
                  union ir_v128 *d); /* VFADD..VFCVTPFI */

/* One floating point op. d enters as operand a and leaves as the result; integers in u64[0]. */
struct fp_op {
    enum ir_op op;
    enum ir_type type; /* of the result */
    uint8_t sub;
    uint8_t imm;
    enum ir_type int_type; /* VFCVTIF: of the integer operand */
};
void ir_fp_portable(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b);
#if defined(__x86_64__)
void ir_fp_sse(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b);
#endif
