/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lazy NZCV in C: what tr_flags.c emits for known operations, for all of them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { A64_N = 1u << 31, A64_Z = 1 << 30, A64_C = 1 << 29, A64_V = 1 << 28 };

/* NZCV in bits 31..28 of what cc_op, cc_a, cc_b, cc_c say (enum a64_cc). */
uint32_t a64_cc_nzcv(uint32_t op, uint64_t a, uint64_t b, uint64_t c);
/* Does condition 0..15 hold for these flags (bits 31..28)? */
bool a64_cond_holds(unsigned cond, uint32_t nzcv);
