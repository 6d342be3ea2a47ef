/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside parallels*.c. */
#ifndef FORMAT_PARALLELS_H
#define FORMAT_PARALLELS_H

#include "disk/format/blocks.h"

enum {
    PARALLELS_HEADER = 64,
    PARALLELS_AT_IN_USE = 0x2c,
    PARALLELS_SCAN_MAX = 1 << 24, /* clusters: 64 MiB of table */
};
#define PARALLELS_IN_USE UINT32_C(0x746f6e59)

struct parallels {
    struct blocks b; /* first: the slots of blocks.c */
    /* constant after open */
    bool ext;          /* version 2: table entries count clusters, not sectors */
    uint32_t entries;  /* of the table, at PARALLELS_HEADER */
    uint64_t data;     /* file offset of the first cluster */
    uint64_t ext_area; /* file offset of the format extension, 0: none */
    bool was_in_use;
};

/* File offset of what a non-zero table entry names. */
static inline uint64_t parallels_offset(const struct parallels *p, uint32_t entry)
{
    return p->ext ? (uint64_t)entry * p->b.block_size : (uint64_t)entry * 512;
}

int parallels_find_end(struct blocks *b, uint64_t *ret);
int parallels_check(struct disk *d, struct disk_check *c, unsigned fix);
int parallels_set_in_use(struct parallels *p, bool in_use);

#endif
