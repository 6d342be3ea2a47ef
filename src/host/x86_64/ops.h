/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Emitters that the op tables share.
 */
#pragma once

#include "host/x86_64/cg.h"

/* ops_int.c: would def_tied give v's own register; and what it must not take when b is read later
 */
bool op_ties(const struct cg *c, unsigned v);
uint32_t op_avoid(const struct cg *c, unsigned a, struct rm b);

/* ops_bits.c */
emit_fn emit_shift, emit_rotate, emit_extend, emit_trunc, emit_extract, emit_deposit;

/* call.c */
emit_fn emit_call;

/* mem.c: t = offset of the soft TLB's entry for the page of addr + disp in its table */
void tlb_index(struct cg *c, unsigned t, unsigned addr, int32_t disp);
