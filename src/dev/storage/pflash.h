/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parallel NOR flash with the Intel command set and a CFI table (JEDEC JESD68, Intel 28F640J3): the
 * firmware and its variables. Read as plain memory, it is memory to the guest (code runs from it);
 * any other mode shows registers. What is written goes to the drive's image.
 */
#ifndef DEV_STORAGE_PFLASH_H
#define DEV_STORAGE_PFLASH_H

#include "dev/device.h"

extern const struct device_type cfi_pflash01_type;

/* Bytes, after init; a multiple of the sector length. */
uint64_t pflash_size(const struct device *dev);
gra_t pflash_gra(const struct device *dev); /* its content in the mem of ctx.dma */
void pflash_map(struct device *dev, gpa_t base, int priority);
/* Before init. secure=on: writes count while it returns true only (in SMM). */
void pflash_set_gate(struct device *dev, bool (*may_write)(void *opaque), void *opaque);

#endif
