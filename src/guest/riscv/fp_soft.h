/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Exact floating point in integer arithmetic, with the rules of RISC-V: NaN results are canonical,
 * tininess is detected after rounding. It serves what the host has not: round to nearest, ties away
 * (RMM), a rounding mode named by the instruction that is not frm's, unsigned and half conversions.
 */
#pragma once

#include <stdint.h>

#include "ir/ir.h"

enum rv_soft {
    RV_SOFT_ADD,
    RV_SOFT_SUB,
    RV_SOFT_MUL,
    RV_SOFT_DIV,
    RV_SOFT_SQRT,
    RV_SOFT_FMA,    /* RV_SOFT_NEG_PRODUCT, RV_SOFT_NEG_ADDEND */
    RV_SOFT_CVT,    /* from size `how` */
    RV_SOFT_TO_INT, /* how: bit 0 unsigned, bit 1 64 bits; the result as the register gets it */
    RV_SOFT_FROM_INT,
    RV_SOFT_COUNT
};
enum { RV_SOFT_NEG_PRODUCT = 1, RV_SOFT_NEG_ADDEND = 2 };

/* The helper's first argument: sz as in the tables (1 half, 2 single, 3 double). */
static inline int64_t rv_soft_desc(enum rv_soft op, int sz, unsigned rm, unsigned how)
{
    return (int64_t)(op | (unsigned)sz << 4 | rm << 8 | how << 12);
}

/* The operation on register values a, b, c (64 bits, narrower formats boxed: what is not boxed
 * properly counts as NaN). Returns the 64 bits of the register; adds to *fflags. Any thread. */
uint64_t rv_soft(uint32_t desc, uint64_t a, uint64_t b, uint64_t c, uint32_t *fflags);

/* i64(i32 desc, i64 a, i64 b, i64 c) */
extern const struct helper rv_h_soft;
