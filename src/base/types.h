/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The three kinds of guest address. Host pointers are pointers; a bare uint64_t is never an
 * address.
 */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest physical address */
typedef uint64_t gva_t; /* guest virtual address (x86: linear) */
typedef uint64_t gra_t; /* offset in guest RAM */

#endif
