/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accelerators by name: "tcg" (the translator) and "interp" are cpu/'s own, "kvm" is kvm.c's.
 */
#ifndef ACCEL_ACCEL_H
#define ACCEL_ACCEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "cpu/accel.h"

struct accel_config {
    const char *names;         /* "kvm:tcg": the first one that works; NULL: "tcg" */
    const char *kvm_device;    /* NULL: /dev/kvm */
    enum irqchip_mode irqchip; /* of kvm */
    uint64_t kvm_shadow_pages; /* of the kernel's shadow page tables; 0: its default */
};

/* Makes the accelerator. *ret_name is its name as cpu_config.accel wants it; *ret is NULL for those
 * of cpu/. A name that was passed over is told in a line of the log with the reason. */
bool accel_new(const struct accel_config *c, struct cpu_accel **ret, const char **ret_name,
               struct error *err) MUST_CHECK;
void accel_free(struct cpu_accel *a); /* NULL is fine */

/* Checks the names only; err names the nearest one. */
bool accel_check_names(const char *names, struct error *err) MUST_CHECK;
void accel_help(FILE *f);
/* The properties of one; false when there is no accelerator of that name. */
bool accel_props_help(const char *name, FILE *f);

/* kvm.c */
struct cpu_accel *kvm_new(const struct accel_config *c, struct error *err);

#endif
