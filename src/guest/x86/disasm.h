/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guest code as text for -d in_asm. Apart from everything else, since capstone's names collide with
 * ours.
 */
#pragma once

#include <stdio.h>

#include "base/types.h"

/* One line for each instruction in code[0..size). bits: 16, 32 or 64. */
void x86_disassemble(FILE *f, const uint8_t *code, size_t size, gva_t pc, unsigned bits);
