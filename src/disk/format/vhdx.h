/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside vhdx*.c: Microsoft's [MS-VHDX]. Little endian; GUIDs as they lie in the file. */
#ifndef FORMAT_VHDX_H
#define FORMAT_VHDX_H

#include <string.h>

#include "disk/format/blocks.h"

#define VHDX_MIB UINT64_C(0x100000)
#define VHDX_MAX (UINT64_C(64) << 40) /* bytes of a disk */

enum {
    VHDX_HEADER_AT = 64 << 10, /* and twice that */
    VHDX_HEADER_BYTES = 4096,
    VHDX_REGIONS_AT = 192 << 10, /* and 256 KiB */
    VHDX_REGIONS_BYTES = 64 << 10,
    VHDX_REGIONS_MAX = 2047,
    VHDX_METADATA_MAX = 2047,
    VHDX_SECTOR = 4096, /* of the log */
    VHDX_BLOCK_MAX = 256 << 20,
    VHDX_SCAN_MAX = 1 << 24, /* entries of the block table: 128 MiB in the file */
};

enum { /* states of a block */
       VHDX_NOT_PRESENT = 0,
       VHDX_UNDEFINED = 1,
       VHDX_ZERO = 2,
       VHDX_UNMAPPED = 3,
       VHDX_PRESENT = 6,
       VHDX_PARTIAL = 7,
};
#define VHDX_OFFSET_MASK (~(VHDX_MIB - 1))

struct guid {
    uint8_t b[16];
};
extern const struct guid vhdx_bat_region, vhdx_metadata_region;
/* Items of the metadata table. */
extern const struct guid vhdx_file_parameters, vhdx_disk_size, vhdx_page83, vhdx_logical_sector,
    vhdx_physical_sector, vhdx_parent_locator;

struct vhdx_header {
    uint64_t sequence, log_offset;
    uint32_t log_bytes;
    struct guid file_write, data_write, log;
};

struct vhdx_region {
    uint64_t offset;
    uint32_t len; /* 0: not there */
};

struct vhdx {
    struct blocks b; /* first: the slots of blocks.c */
    /* constant after open */
    struct vhdx_region bat, metadata;
    uint64_t blocks, entries, disk_size; /* entries: with those of bitmaps between */
    uint32_t block_size, chunk_blocks, logical_sector;
    bool has_parent;

    struct vhdx_header h;          /* guarded by b.pages.write_lock after open */
    unsigned current;              /* which of the two header places is in use */
    uint64_t log_at, log_sequence; /* where the next log entry goes, from log_offset */
    bool log_pending;              /* the image was opened with a log that was not replayed */
    _Atomic(bool) announced;       /* the header has the GUIDs of this writer */
};

uint32_t vhdx_crc32c(uint32_t crc, const void *buf, size_t len); /* begin with 0 */
bool vhdx_new_guid(struct guid *g, struct error *err);
static inline bool vhdx_guid_equal(const struct guid *a, const struct guid *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}
static inline bool vhdx_guid_is_zero(const struct guid *g)
{
    static const struct guid none;

    return memcmp(g, &none, sizeof(none)) == 0;
}

/* Headers and tables: vhdx_meta.c. */
bool vhdx_read_header(struct vhdx *v, struct error *err);
bool vhdx_read_regions(struct vhdx *v, struct error *err);
bool vhdx_read_metadata(struct vhdx *v, struct error *err);
/* Writes h to the other header place, then it is current. Stable when it returns. */
int vhdx_write_header(struct vhdx *v);
void vhdx_fill_header(const struct vhdx_header *h, uint8_t *buf);

/* The log: vhdx_log.c. */
bool vhdx_log_replay(struct vhdx *v, struct error *err);
int vhdx_log_write(void *vhdx, const struct page_piece *pieces, size_t count);

/* Index of block i's entry in the block table. */
static inline uint64_t vhdx_entry(const struct vhdx *v, uint64_t i)
{
    return i + i / v->chunk_blocks;
}

bool vhdx_create(const struct disk_create *c, struct error *err);
struct vhdx_create {
    uint64_t block_size, log_size;
    char *subformat;
    bool block_state_zero;
};

#endif
