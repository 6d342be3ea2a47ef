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

/* What the host offers to a vCPU that an accelerator runs: struct cpu_accel.host_cpu. */
struct x86_host {
    uint32_t features[16];  /* words as in struct x86_cpu */
    struct x86_model model; /* of -cpu host; its texts are those below */
    char vendor[13], model_id[49];
    uint8_t phys_bits;
};

extern const struct x86_model x86_models[]; /* ends with a NULL name */
