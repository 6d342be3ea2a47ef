/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A64 CPU models as data. */
#pragma once

#include "guest/arm/a64.h"

enum { A64_CNTFRQ = 62500000 }; /* CNTFRQ_EL0, Hz; divides a second in whole nanoseconds */

struct a64_model {
    const char *name, *doc;
    uint64_t features; /* BIT(A64_FEAT_*) */
    uint32_t midr, ctr;
};

bool a64_model_init(struct a64_cpu *x, const char *spec, struct error *err);
void a64_models_help(FILE *f);
