/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Operands of MMX and SSE instructions, shared by the SIMD translators. A value is always a v128;
 * MMX operands are zero-extended.
 *
 * Order in a translator: vec_begin (gates), vec_get (may fault), the operation, vec_set or
 * vec_set_int (may fault, then PUTs).
 */
#pragma once

#include "guest/x86/fp.h"
#include "guest/x86/tr.h"
#include "guest/x86/x86_tr.h"

/* The gates for the operands that i has: #UD, #NM, pending #MF for MMX. True when the instruction
 * may go on. */
bool vec_begin(struct tr *t, const struct x86_insn *i);
/* Operand n: XMM (the whole register), MMX, or memory of its size with zeros above. */
ir_val vec_get(struct tr *t, const struct x86_insn *i, unsigned n);
/* Operand n = v: XMM the whole register, MMX the low half, memory the low bytes. */
void vec_set(struct tr *t, const struct x86_insn *i, unsigned n, ir_val v);
/* Integer operand n (general register or memory) = v, which has at least its size. */
void vec_set_int(struct tr *t, const struct x86_insn *i, unsigned n, ir_val v);
bool vec_is_mmx(const struct x86_insn *i); /* an operand is an MMX register */
static inline unsigned vec_imm(const struct x86_insn *i)
{
    return i->imm & 0xff;
}
static inline ir_val vec_zero(struct tr *t)
{
    return ir_vconst(t->b, 0);
}
/* Around a floating-point operation, behind its loads: nothing unless X86_MODE_XM. fp_end raises
 * #XM before the result is PUT. */
ir_val vec_fp_begin(struct tr *t, const struct x86_insn *i);
void vec_fp_end(struct tr *t, ir_val old);
/* The same for operations that may overflow or underflow; lane: of the result, with IR_SCALAR. */
void vec_fp_end_arith(struct tr *t, ir_val old, enum fp_arith op, unsigned lane, ir_val a, ir_val b,
                      unsigned imm);
/* Ends the region at run time when `changed` (i64) is not zero: the helper changed the mode word.
 * Last in its instruction. */
void vec_end_if(struct tr *t, ir_val changed);
/* #MF (or FERR#) when an x87 exception is pending: all waiting x87 and all MMX instructions. */
void x87_wait_check(struct tr *t);
