/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the integer translator share besides tr.h. */
#pragma once

#include "guest/arm/tr.h"

#pragma redefine_extname tr_add_flags a64_tr_add_flags
#pragma redefine_extname tr_sub_flags a64_tr_sub_flags

/* a + b and a - b, and their flags. */
ir_val tr_add_flags(struct tr *t, bool sf, ir_val a, ir_val b);
ir_val tr_sub_flags(struct tr *t, bool sf, ir_val a, ir_val b);

/* The immediate of logical instructions (DecodeBitMasks). False: reserved. */
bool a64_bitmask(bool sf, unsigned n, unsigned imms, unsigned immr, uint64_t *ret);
