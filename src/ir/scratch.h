/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Working arrays of the passes, kept from region to region so that no pass allocates. Private to
 * ir/.
 */
#pragma once

#include "ir/ir.h"

enum { IR_CSE_BITS = 10 };

struct ir_scratch {
    struct ir_insn *out; /* fold writes here, then swaps with ir->insn */
    unsigned out_cap;
    ir_val *map; /* old value -> new value; map_cap entries */
    unsigned map_cap;
    uint32_t *label_refs; /* label_cap entries */
    unsigned label_cap;
    uint32_t *slot; /* per slot: epoch << 16 | value (fold), epoch (dead) */
    ir_val
        cse[1 << IR_CSE_BITS]; /* stale entries are told by their content, so it is never cleared */
};

struct ir_scratch *ir_scratch_new(unsigned slot_count);
void ir_scratch_free(struct ir_scratch *s);

/* Makes room for a region of count insns and labels labels. */
void ir_scratch_reserve(struct ir_scratch *s, unsigned count, unsigned labels);
