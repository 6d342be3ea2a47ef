/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside vpc*.c: the Virtual Hard Disk format of Microsoft's specification 1.0. Big endian. */
#ifndef FORMAT_VPC_H
#define FORMAT_VPC_H

#include "disk/format/blocks.h"

enum {
    VHD_FOOTER = 512,
    VHD_DYNAMIC_HEADER = 1024,
    VHD_BLOCK = 2 << 20, /* of the images made here */
    VHD_FIXED = 2,
    VHD_DYNAMIC = 3,
    VHD_DIFFERENCING = 4,
    VHD_AT_CHECKSUM = 64,
};
#define VHD_CHS_MAX     (UINT64_C(65535) * 16 * 255) /* sectors that the geometry can say */
#define VHD_SECTORS_MAX UINT64_C(0xff000000)         /* 2040 GiB */

struct vpc {
    struct blocks b; /* first: the slots of blocks.c */
    char *force_size_calc;
    uint8_t footer[VHD_FOOTER];
    uint32_t type, entries, bitmap_bytes;
    uint64_t table, current_size, chs_size;
};

struct vpc_create {
    char *subformat;
    bool force_size;
};

/* Ones' complement of the sum of the bytes, with the field itself as zeroes. */
uint32_t vpc_checksum(const uint8_t *p, size_t len, size_t field);

bool vpc_create(const struct disk_create *c, struct error *err);

#endif
