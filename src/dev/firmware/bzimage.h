/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linux bzImage kernels (Documentation/arch/x86/boot.rst, protocol 2.x): what the file's setup
 * header says, checked, and the zero page made from it. The file is untrusted; nothing here touches
 * a guest.
 */
#ifndef DEV_FIRMWARE_BZIMAGE_H
#define DEV_FIRMWARE_BZIMAGE_H

#include "base/error.h"
#include "base/types.h"

enum { ZERO_PAGE_SIZE = 4096, ZERO_PAGE_E820_MAX = 128, BZIMAGE_ENTRY64 = 0x200 };

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };
struct e820_entry {
    uint64_t base, size;
    enum e820_type type;
};

struct bzimage {
    uint16_t version;     /* 0x020c is 2.12 */
    uint32_t payload_off; /* of the protected-mode kernel in the file */
    uint32_t payload_size;
    uint32_t init_size; /* bytes it needs from its load address on */
    uint64_t load_at;   /* where it wants to be */
    bool relocatable;
    uint32_t alignment;   /* of other addresses, when relocatable */
    bool entry64;         /* has the 64-bit entry at BZIMAGE_ENTRY64 */
    uint32_t initrd_max;  /* last address an initrd may use */
    uint32_t cmdline_max; /* characters without the 0 */
    uint16_t header_len;  /* of the setup header, from 0x1f1 */
    uint8_t header[128];
};

/* Whether the bytes look like any Linux/x86 boot image (then parse errors are worth telling). */
bool bzimage_probe(const void *data, size_t len);
bool bzimage_parse(const void *data, size_t len, struct bzimage *ret, struct error *err) MUST_CHECK;

struct zero_page_info {
    gpa_t kernel, cmdline, initrd, setup_data, rsdp;
    uint64_t initrd_size;
    const struct e820_entry *e820;
    unsigned e820_count;
};
void bzimage_zero_page(const struct bzimage *k, const struct zero_page_info *in,
                       uint8_t page[ZERO_PAGE_SIZE]);

#endif
