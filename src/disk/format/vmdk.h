/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside vmdk*.c: VMware's "Virtual Disk Format 5.0". A text, the descriptor, names extents, each a
 * file or a part of one; sparse extents find grains through a grain directory and grain tables.
 * Offsets in those count in sectors of 512 bytes; little endian.
 */
#ifndef FORMAT_VMDK_H
#define FORMAT_VMDK_H

#include "disk/format/blocks.h"

enum {
    VMDK_SECTOR = 512,
    VMDK_DESCRIPTOR_MAX = 1 << 20,
    VMDK_EXTENTS_MAX = 4096,
    VMDK_GRAIN = 65536, /* of the extents made here */
    VMDK_TABLE = 512,   /* entries, likewise */
    VMDK_HEADER = 512,
    VMDK_MARKER = 12,    /* before a compressed grain: sector and length */
    VMDK_GRAIN_ZERO = 1, /* table entry: zeroes, with VMDK_F_ZEROED */
    VMDK_NAME_MAX = 1024,
};
#define VMDK_NO_PARENT UINT32_C(0xffffffff)
#define VMDK_GD_AT_END UINT64_MAX
enum { /* header flags */
       VMDK_F_NEWLINES = 1 << 0,
       VMDK_F_REDUNDANT = 1 << 1,
       VMDK_F_ZEROED = 1 << 2,
       VMDK_F_COMPRESSED = 1 << 16,
       VMDK_F_MARKERS = 1 << 17,
};

enum vmdk_kind { VMDK_FLAT, VMDK_ZERO, VMDK_HOSTED, VMDK_COWD, VMDK_SESPARSE };

struct vmdk_extent {
    struct blocks b; /* of sparse ones */
    enum vmdk_kind kind;
    bool compressed, zeroed, writable;
    const char *format; /* as the descriptor calls it; "" for a single embedded one */
    struct disk *file;  /* borrowed child; NULL: zeroes */
    char *path;
    uint64_t start, size;                  /* of the guest's bytes */
    uint64_t flat_offset;                  /* in file */
    uint64_t directory, redundant, tables; /* file offsets; redundant 0: none */
    uint64_t table_entries, directory_entries, grain;
    uint64_t metadata_end, grains; /* file offsets; grains: SESPARSE */
    pthread_mutex_t compress_lock; /* one writer of grains that exist */
};

/* What a descriptor says. */
struct vmdk_descriptor {
    char *text;  /* owned, NUL-terminated */
    size_t room; /* bytes it may take in its place; 0: a file of its own */
    uint64_t offset;
    uint32_t cid, parent_cid;
    char create_type[32], parent_hint[VMDK_NAME_MAX];
};

struct vmdk_extent_line {
    bool writable, no_access;
    uint64_t sectors, offset;
    char type[16], name[VMDK_NAME_MAX];
};

struct vmdk {
    struct vmdk_extent **extents; /* owned, in order of the disk */
    unsigned count;
    struct vmdk_descriptor desc;
    pthread_mutex_t lock; /* the descriptor's text and CID */
    bool alive;
    _Atomic(bool) cid_fresh; /* a new CID says that the data changed */
    _Atomic(int) parent_ok;  /* 0 not looked at, 1 its CID is the one expected, -1 it is not */
};

struct vmdk_create {
    char *adapter_type, *subformat, *hwversion, *toolsversion;
    bool compat6, zeroed_grain;
};

/* vmdk_descriptor.c */
bool vmdk_parse_descriptor(struct vmdk_descriptor *desc, struct error *err);
/* The next extent line from *at on; false at the end, or with err->code set when one is broken. */
bool vmdk_next_extent(const char **at, struct vmdk_extent_line *ret, struct error *err);
int vmdk_write_cid(struct disk *d, struct vmdk *v, uint32_t cid);

/* vmdk_extent.c */
bool vmdk_open_sparse(struct disk *d, struct vmdk_extent *e, struct error *err);
/* Reads the header of a hosted sparse extent: where its descriptor is (0: none). */
bool vmdk_embedded_descriptor(struct disk *file, uint64_t *ret_offset, uint64_t *ret_len,
                              struct error *err);
/* Writes to a compressed extent; offset in the guest's disk. */
int vmdk_write_compressed(struct vmdk_extent *e, uint64_t offset, struct disk_vec v);
/* Looks at every grain: those that lie behind the end of the file. */
int vmdk_check_extent(struct vmdk_extent *e, struct disk_check *c);

bool vmdk_create(const struct disk_create *c, struct error *err);

#endif
