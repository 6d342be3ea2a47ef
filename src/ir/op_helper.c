/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One vector op, run by the interpreter. See op_helper.h.
 */
#include "ir/op_helper.h"

#include "ir/interp.h"

static void run(union ir_v128 *d, const union ir_v128 *const arg[3], unsigned nargs, uint64_t word)
{
    struct ir_insn insns[4] = { 0 };
    struct ir ir = { .insn = insns };
    union ir_v128 v[4] = { 0 };
    struct interp r = { .ir = &ir, .v = v };
    struct ir_insn in = { .op = (uint8_t)word,
                          .type = IR_V128,
                          .sub = (uint8_t)(word >> 8),
                          .nargs = (uint8_t)nargs,
                          .imm = (int64_t)(uint16_t)(word >> 16) };

    for (unsigned k = 0; k < nargs; k++) {
        insns[k + 1].type = IR_V128;
        in.arg[k] = (ir_val)(k + 1);
        v[k + 1] = *arg[k];
    }
    (in.op >= IR_VFADD ? ir_interp_fp : ir_interp_vec)(&r, &in, d);
}

static void op1(void *cpu, union ir_v128 *d, const union ir_v128 *a, uint64_t word)
{
    (void)cpu;
    run(d, (const union ir_v128 *const[3]){ a }, 1, word);
}

static void op2(void *cpu, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
                uint64_t word)
{
    (void)cpu;
    run(d, (const union ir_v128 *const[3]){ a, b }, 2, word);
}

static void op3(void *cpu, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
                const union ir_v128 *c, uint64_t word)
{
    (void)cpu;
    run(d, (const union ir_v128 *const[3]){ a, b, c }, 3, word);
}

const struct helper ir_op_helpers[4] = {
    [1] = { "ir_op1", (helper_fn *)op1, "v128 v128 i64", HELPER_PURE },
    [2] = { "ir_op2", (helper_fn *)op2, "v128 v128 v128 i64", HELPER_PURE },
    [3] = { "ir_op3", (helper_fn *)op3, "v128 v128 v128 v128 i64", HELPER_PURE },
};
