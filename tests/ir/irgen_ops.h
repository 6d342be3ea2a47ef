/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Between the files of the random program generator.
 */
#pragma once

#include "irgen.h"

uint64_t irgen_random(struct irgen *g);
unsigned irgen_below(struct irgen *g, unsigned n);        /* 0..n-1 */
ir_val irgen_operand(struct irgen *g, enum ir_type type); /* integer or v128 */
enum ir_type irgen_int_type(struct irgen *g);

/* One random op (with what it needs); its value or IR_NO_VAL. */
ir_val irgen_integer(struct irgen *g);
ir_val irgen_memory(struct irgen *g);
ir_val irgen_vector(struct irgen *g);
ir_val irgen_call(struct irgen *g);

void irgen_raise(struct irgen *g); /* longjmp to g->env */
