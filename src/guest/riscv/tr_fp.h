/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Floating point registers and rounding modes, for tr_fp.c and tr_fp_cvt.c. */
#pragma once

#include "guest/riscv/fp_soft.h"
#include "guest/riscv/rv_insn.h"
#include "guest/riscv/tr.h"

enum { RV_RM_BAD = -1, RV_RM_SOFT = -2 };

/* The lane of the vector operations: sz 2 single, 3 double. */
static inline unsigned rv_lane(int sz)
{
    return (sz == 3 ? IR_F64 : IR_F32) | IR_SCALAR;
}

/* The mode that an instruction with field rm rounds by, or RV_RM_BAD when that is reserved. */
int rv_effective_rm(const struct tr *t, int rm);
/* Does the host round so by itself here? */
static inline bool rv_host_rounds(const struct tr *t, int mode)
{
    return mode == t->frm && mode != RV_RMM;
}

/* Before the values of f[a], f[b], f[c] (bits of a mask) are read as singles: IR blocks end here.
 */
void rv_expect(struct tr *t, int sz, uint32_t regs);
/* f[n] as a value of that size: what is no boxed single counts as the canonical NaN. */
ir_val rv_f(struct tr *t, unsigned n, int sz);
ir_val rv_f_bits(struct tr *t, unsigned n); /* all 64 bits as they are */
/* v: lane 0 is the result; for singles lane 1 is all ones. */
void rv_set_f(struct tr *t, unsigned n, int sz, ir_val v);
void rv_set_f_bits(struct tr *t, unsigned n, int sz, ir_val bits); /* i64, boxed */
/* A value in which only NaNs' patterns may be wrong. */
ir_val rv_canonical(struct tr *t, int sz, ir_val v);
ir_val rv_ones(struct tr *t); /* what surrounds a single made from something else */
/* The exact helper on whole registers; b and c may be IR_NO_VAL. */
ir_val rv_soft_call(struct tr *t, int64_t desc, ir_val a, ir_val b, ir_val c);
