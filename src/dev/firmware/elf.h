/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF kernels for x86 that start through PVH: loadable segments by physical address and the 32-bit
 * entry point of the Xen note. The file is untrusted; nothing here touches a guest.
 */
#ifndef DEV_FIRMWARE_ELF_H
#define DEV_FIRMWARE_ELF_H

#include "base/error.h"
#include "base/types.h"

enum { ELF_SEGMENTS_MAX = 32 };

struct elf_segment {
    gpa_t at;
    uint64_t file_off, file_size, mem_size; /* the file part lies inside the file */
};

struct elf_kernel {
    struct elf_segment seg[ELF_SEGMENTS_MAX];
    unsigned seg_count;
    uint32_t pvh_entry;
    gpa_t first, last; /* of all segments */
};

bool elf_probe(const void *data, size_t len);
bool elf_parse(const void *data, size_t len, struct elf_kernel *ret, struct error *err) MUST_CHECK;

/* struct hvm_start_info and its tables (xen/include/public/arch-x86/hvm/start_info.h). */
struct e820_entry;
struct pvh_info {
    gpa_t at; /* where the block will lie */
    gpa_t cmdline, initrd, rsdp;
    uint64_t initrd_size;
    const struct e820_entry *e820;
    unsigned e820_count;
};
enum { PVH_BLOCK_MAX = 4096 };
/* Returns the bytes used. */
size_t pvh_start_info(const struct pvh_info *in, uint8_t block[PVH_BLOCK_MAX]);

#endif
