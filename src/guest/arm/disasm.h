/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The printer behind the generated disassembler. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct a64_print_arg {
    const char *name;
    int32_t value;
};

/* Writes text with each {name:kind} replaced: the argument called name, as kind says (disasm.c has
 * the kinds; an unknown one, or none, is a number). args end with a NULL name. */
void a64_print(char *out, size_t size, uint64_t pc, uint32_t word, const char *text,
               const struct a64_print_arg *args);
