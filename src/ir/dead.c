/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One backward pass: a PUT that is overwritten before anything can see it and every value that
 * nobody uses become NOPs, and KILLs when they have said what they know. It leaves in each insn's
 * aux what IR_LAST_USE and IR_USES read. A slot is seen by a GET, by a helper that is not pure, by
 * everything that may raise or leave, and across the edges of an IR block.
 */
#include "ir/scratch.h"

#include <string.h>

/* A region has too few insns for more than 65535 uses. */
static inline void count_uses(struct ir_insn *insns, const struct ir_insn *in, unsigned i)
{
    for (unsigned k = 0; k < in->nargs; k++) {
        uint32_t *aux = &insns[in->arg[k]].aux;

        *aux = (*aux ? *aux : i) + 0x10000;
    }
}
_Static_assert(IR_MAX_INSNS * 4 <= 65536, "uses fit 16 bits");

static inline void make_nop(struct ir_insn *in)
{
    *in = (struct ir_insn){ .op = IR_NOP, .type = IR_NONE };
}

void ir_pass_dead(struct ir *ir)
{
    struct ir_insn *insns = ir->insn;
    uint32_t *put = ir->scratch->slot; /* == epoch: overwritten further down, unseen in between */
    uint32_t epoch = 1;

    memset(put, 0, ir->slot_count * sizeof(*put));
    for (unsigned i = 0; i < ir->count; i++)
        insns[i].aux = 0;
    for (unsigned i = ir->count - 1; i > 0; i--) {
        struct ir_insn *in = &insns[i];
        unsigned flags = ir_op_info[in->op].flags;

        if (in->op == IR_PUT) {
            if (put[in->imm] == epoch) {
                make_nop(in);
                continue;
            }
            put[in->imm] = epoch;
        } else if (in->op == IR_KILL) {
            put[in->imm] = epoch;
            make_nop(in);
            continue;
        } else if (in->op == IR_CALL) {
            if (((const struct helper *)(intptr_t)in->imm)->flags & HELPER_PURE)
                flags = 0;
        }
        if (!(flags & IR_FLAG_SIDE) && !in->aux) {
            make_nop(in);
            continue;
        }
        if (in->op == IR_GET)
            put[in->imm] = 0;
        if (in->op == IR_CALL ? flags != 0 : flags & (IR_FLAG_FAULT | IR_FLAG_BB | IR_FLAG_END))
            epoch++;
        count_uses(insns, in, i);
    }
}
