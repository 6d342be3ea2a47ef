/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the integer ops compute, said once for the interpreter and for constant folding. Private to
 * ir/. Integers are held zero-extended in a uint64_t.
 */
#pragma once

#include "base/bits.h"
#include "ir/ir.h"

static inline uint64_t ir_mask(enum ir_type type)
{
    return ~UINT64_C(0) >> (64 - ir_type_bits[type]);
}

/* a <cond> b for integers of this type; their bits above it do not count. */
bool ir_eval_cond(unsigned cond, enum ir_type type, uint64_t a, uint64_t b);

/* ADD..SELECT. arg_type is the type of operand a, which differs from in->type for ZEXT, SETCOND and
 * the like. Divisors must not be 0 and quotients must fit. */
uint64_t ir_eval(const struct ir_insn *in, enum ir_type arg_type, const uint64_t arg[4]);

static inline bool ir_evaluates(unsigned op)
{
    return op >= IR_ADD && op <= IR_SELECT;
}
