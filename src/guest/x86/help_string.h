/* SPDX-License-Identifier: GPL-2.0-or-later */
/* REP string helpers: "i32 i32"; the argument is made of STRING_*, the result is 1 when the
 * instruction has finished. */
#pragma once

#include "guest/x86/x86.h"

enum {
    STRING_SIZE = 3,       /* log2 of the element */
    STRING_ADDR_SHIFT = 2, /* log2 of the address size, two bits */
    STRING_SEG_SHIFT = 4,  /* of the source, three bits */
    STRING_REPNE = 1 << 7,
    STRING_ONE = 1 << 8, /* one element only (single step) */
    STRING_CODE64 = 1 << 9,
};

extern const struct helper x86_h_rep_movs, x86_h_rep_stos, x86_h_rep_lods, x86_h_rep_cmps,
    x86_h_rep_scas;
