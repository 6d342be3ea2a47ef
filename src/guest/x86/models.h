/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The shape of a CPU model.
 */
#pragma once

#include <stdint.h>

struct x86_model {
    const char *name, *doc;
    const char *vendor;     /* twelve characters of CPUID.0 */
    uint16_t family, model; /* as displayed: with the extended fields added */
    uint8_t stepping;
    uint32_t level,
        xlevel;           /* highest basic and extended leaf; raised for features that need more */
    const char *model_id; /* CPUID.80000002-4 */
    const char *features; /* names, separated by blanks; NULL: all that are implemented */
};

extern const struct x86_model x86_models[]; /* ends with a NULL name */
