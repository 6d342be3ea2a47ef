/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Vector ops as C calls, by the interpreter's functions: for backends whose processor lacks the
 * instruction. They run in the guest's fp environment.
 */
#pragma once

#include "ir/ir.h"

/* By the number of operands, 1 to 3, all v128: f(cpu, &result, operands..., ir_op_word()). */
extern const struct helper ir_op_helpers[4];

/* What the op is, with an imm of 0..65535. */
static inline uint64_t ir_op_word(const struct ir_insn *in)
{
    return in->op | (uint64_t)in->sub << 8 | (uint64_t)(uint16_t)in->imm << 16;
}
