/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One case of x86_random: an instruction, the state before, and the states after. Lives at the same
 * address in both worlds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guest/x86/decode.h"

enum { AREA = 0x10000000, SCRATCH = 4096, SCRATCH_MID = 2048, NO_VECTOR = 255, FX_COMPARED = 416 };

struct case_data {
    uint8_t fx_in[512], fx_out[512]; /* FXSAVE images; 16-byte aligned */
    uint64_t in[16], out[16];
    uint64_t flags_in, flags_out, vector, insn_at, resume_value;
    uint32_t undefined; /* flags that are not compared */
    uint32_t bits;
    uint8_t far_ptr[8], insn[15], len;
    bool fp; /* FPU state is random, not the initial one */
    char name[24];
    uint8_t pad[4096 - 1024 - 256 - 40 - 8 - 8 - 16 - 1 - 24];
    uint8_t scratch[SCRATCH];
};
_Static_assert(sizeof(struct case_data) == 4096 + SCRATCH, "a page, then the scratch page");

void case_seed(uint64_t seed);
/* The guest's features: BIT(X86_IFEAT_*). Only instructions that it has, and that mean the same
 * with all features, are chosen. */
void case_features(uint64_t features);
/* A new random case at its final address. */
void case_make(struct case_data *d, unsigned bits);
/* Byte n of the FXSAVE image says nothing (last-instruction pointers, reserved, approximations). */
bool case_fx_ignored(const struct case_data *d, unsigned n);
