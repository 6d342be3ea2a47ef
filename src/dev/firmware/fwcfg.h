/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The firmware configuration device ("QEMU fw_cfg" interface, with DMA): numbered items and named
 * files that the guest's firmware reads. Windows "ports" (2 ports, 0x510) and "dma" (8 ports,
 * 0x514). Content is given by the board before the guest runs; the guest can change only what is
 * made writable.
 */
#ifndef DEV_FIRMWARE_FWCFG_H
#define DEV_FIRMWARE_FWCFG_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum fwcfg_key {
    FWCFG_SIGNATURE = 0x00,
    FWCFG_ID = 0x01,
    FWCFG_UUID = 0x02,
    FWCFG_RAM_SIZE = 0x03,
    FWCFG_NOGRAPHIC = 0x04,
    FWCFG_NB_CPUS = 0x05,
    FWCFG_KERNEL_SIZE = 0x08,
    FWCFG_INITRD_SIZE = 0x0b,
    FWCFG_BOOT_DEVICE = 0x0c,
    FWCFG_NUMA = 0x0d,
    FWCFG_BOOT_MENU = 0x0e,
    FWCFG_MAX_CPUS = 0x0f,
    FWCFG_KERNEL_DATA = 0x11,
    FWCFG_INITRD_DATA = 0x12,
    FWCFG_CMDLINE_SIZE = 0x14,
    FWCFG_CMDLINE_DATA = 0x15,
    FWCFG_SETUP_SIZE = 0x17,
    FWCFG_SETUP_DATA = 0x18,
    FWCFG_FILE_DIR = 0x19,
    FWCFG_FILE_FIRST = 0x20,
    FWCFG_FILE_SLOTS = 0x60,
    FWCFG_ARCH_LOCAL = 0x8000,
    FWCFG_IRQ0_OVERRIDE = 0x8002,
    FWCFG_E820 = 0x8003,
    FWCFG_HPET = 0x8004,
};
enum { FWCFG_NAME_MAX = 55 };

struct device;
struct device_type;

extern const struct device_type fwcfg_type;

/* Called when the guest selects a file, before it reads: may change the bytes, not the length. */
typedef void fwcfg_refresh_fn(void *opaque, uint8_t *data, size_t len);

/* Items and files copy their bytes. Adding one that exists replaces it. */
void fwcfg_add(struct device *dev, uint16_t key, const void *data, size_t len);
void fwcfg_add_le(struct device *dev, uint16_t key, uint64_t value, unsigned bytes);
/* False when all slots are taken. */
bool fwcfg_add_file(struct device *dev, const char *name, const void *data, size_t len,
                    struct error *err) MUST_CHECK;
void fwcfg_set_refresh(struct device *dev, const char *name, fwcfg_refresh_fn *fn, void *opaque);

/* The guest may write the file by DMA; fn is called after each write, with all of it. */
void fwcfg_set_writable(struct device *dev, const char *name, fwcfg_refresh_fn *fn, void *opaque);

#endif
