/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The IR's tables, made from ops.def, and the life of a struct ir. One struct is used for region
 * after region: ir_begin keeps the arrays.
 */
#include "ir/ir.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "ir/scratch.h"

enum {
    SIDE = IR_FLAG_SIDE,
    FAULT = IR_FLAG_FAULT,
    END = IR_FLAG_END,
    BB = IR_FLAG_BB,
    COMM = IR_FLAG_COMM,
};

const struct ir_op_info ir_op_info[IR_OP_COUNT] = {
#define OP(name, result, operands, flags, meaning) { #name, result, operands, flags, meaning },
#include "ir/ops.def"
#undef OP
};

const char *const ir_type_names[IR_TYPE_COUNT] = {
    "i8", "i16", "i32", "i64", "f32", "f64", "v128", "v256", "-",
};

const char *const ir_cond_names[IR_COND_COUNT] = {
    "eq", "ne", "ltu", "geu", "lts", "ges", "leu", "gtu", "les", "gts", "tst", "tstn",
};

const uint8_t ir_type_bits[IR_TYPE_COUNT] = { 8, 16, 32, 64, 32, 64, 128, 255, 0 };

enum { FIRST_CAP = 1024 };

void ir_init(struct ir *ir, const struct ir_slot *slots, unsigned slot_count, uint16_t slot_pc)
{
    *ir = (struct ir){ .slots = slots, .slot_count = slot_count, .slot_pc = slot_pc };
    assert(slot_pc < slot_count);
    ir->cap = FIRST_CAP;
    ir->insn = xnew_array(struct ir_insn, ir->cap);
    ir->scratch = ir_scratch_new(slot_count);
    ir_begin(ir, 0);
}

void ir_finish(struct ir *ir)
{
    free(ir->insn);
    ir_scratch_free(ir->scratch);
    *ir = (struct ir){ 0 };
}

void ir_begin(struct ir *ir, gva_t pc)
{
    ir->insn[0] = (struct ir_insn){ .op = IR_NOP, .type = IR_NONE };
    ir->count = 1;
    ir->labels = 0;
    ir->pc = ir->cur_pc = pc;
    ir->insn_count = 0;
    ir->guest_size = 0;
}
