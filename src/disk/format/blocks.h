/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images made of equal blocks that a table finds: what vdi, vhdx, vpc, qed, parallels and the
 * sparse extents of vmdk have in common. The format says how a table entry is read and set; here
 * are the loops over a request, allocation at the end of the file, copying from the backing file,
 * waiting for another writer of the same new block, mapping and the fast path.
 *
 * Blocks never move and are never given back while the image is open, so a block that was found may
 * be read and written without the lock. New blocks take the end of what the image uses; the file is
 * cut there before the first allocation, so that what a killed writer left behind is gone.
 */
#ifndef FORMAT_BLOCKS_H
#define FORMAT_BLOCKS_H

#include "base/bits.h"
#include "disk/format/pages.h"
#include "disk/node.h"

enum block_state {
    BLOCK_HOLE, /* the backing file decides, or zeroes */
    BLOCK_ZERO,
    BLOCK_DATA,
    BLOCK_COMPRESSED, /* ret_offset is where it is stored; ops->decompress */
};

struct blocks;

struct block_ops {
    /* What block index is, and where its bytes begin in the file. cached_only: -EAGAIN rather than
     * read. Offsets must be checked against what the file may hold. Lock held. */
    int (*lookup)(struct blocks *b, uint64_t index, bool cached_only, enum block_state *ret,
                  uint64_t *ret_offset);
    /* Sets the entry of a block to DATA at offset, or to ZERO. Its bytes are written. Lock held. */
    int (*publish)(struct blocks *b, uint64_t index, enum block_state state, uint64_t offset);
    /* How many blocks from index (a hole) to index + max are holes, at least 1; NULL: they are
     * looked up one by one. Lock held. */
    uint64_t (*holes)(struct blocks *b, uint64_t index, uint64_t max);
    /* Before the first change of metadata since the image was opened or marked clean; may be NULL.
     * Lock held. */
    int (*begin)(struct blocks *b);
    /* Where a new block goes; NULL: at b->end. Lock held. */
    int (*reserve)(struct blocks *b, uint64_t index, uint64_t *ret_offset);
    /* Writes what precedes a new block's data (bitmaps); may be NULL. No lock. */
    int (*prepare)(struct blocks *b, uint64_t offset);
    /* The end of all that the image uses in the file, for the first allocation; NULL: b->end is
     * right. Lock held. */
    int (*find_end)(struct blocks *b, uint64_t *ret);
    /* One whole block stored compressed at offset. No lock. */
    int (*decompress)(struct blocks *b, uint64_t index, uint64_t offset, uint8_t *buf);
};

struct block_flight {
    uint64_t first, count; /* blocks being allocated */
    struct block_flight *next;
};

struct blocks {
    /* constant after open */
    struct disk *d, *file;
    const struct block_ops *ops;
    void *opaque;
    uint64_t start, size; /* the guest's bytes that the blocks hold, in d */
    uint32_t block_size;
    unsigned hole_flags; /* for map, besides ZERO where there is no backing file */
    unsigned data_flags; /* for map of data */
    bool can_zero;       /* publish knows BLOCK_ZERO */
    bool joined;         /* new blocks that follow each other are written in one go */

    pthread_mutex_t lock;
    pthread_cond_t landed;
    /* guarded by lock */
    struct block_flight *flights;
    uint64_t end;       /* file offset of the next new block */
    uint64_t zero_from; /* from here on the file reads as zeroes */
    uint64_t file_size; /* as we set it */
    bool begun, cut, alive;
    struct pages pages;
};

void blocks_init(struct blocks *b, struct disk *d, struct disk *file, const struct block_ops *ops,
                 void *opaque);
void blocks_finish(struct blocks *b); /* copes with a zeroed one */

/* Offsets are the guest's in d. The ranges lie inside start, size. Results as disk_read()'s. */
int blocks_read(struct blocks *b, uint64_t offset, struct disk_vec v) MUST_CHECK;
int blocks_write(struct blocks *b, uint64_t offset, struct disk_vec v) MUST_CHECK;
int blocks_zero(struct blocks *b, uint64_t offset, uint64_t len, unsigned flags) MUST_CHECK;
int blocks_discard(struct blocks *b, uint64_t offset, uint64_t len) MUST_CHECK;
int blocks_map(struct blocks *b, uint64_t offset, uint64_t len, struct disk_extent *ret) MUST_CHECK;
bool blocks_locate(struct blocks *b, enum disk_op op, uint64_t offset, size_t len,
                   struct disk_span *ret);
int blocks_flush(struct blocks *b) MUST_CHECK;

/* Writes all back and cuts the file where the image ends: before it is closed. */
int blocks_settle(struct blocks *b) MUST_CHECK;

/* The backing file of d at offset, zeroes beyond its end or without one. */
int blocks_read_backing(struct disk *d, uint64_t offset, struct disk_vec v) MUST_CHECK;

/* Takes len bytes at the end of what is used (a multiple of align), which read as zeroes. Lock
 * held. */
int blocks_take_space(struct blocks *b, uint64_t len, uint64_t align, uint64_t *ret) MUST_CHECK;

/* Runs ops->begin once. Lock held. */
int blocks_begin(struct blocks *b) MUST_CHECK;

/* The slots of a driver whose private struct begins with a struct blocks. */
int blocks_read_slot(struct disk *d, uint64_t offset, struct disk_vec v);
int blocks_write_slot(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags);
int blocks_zero_slot(struct disk *d, uint64_t offset, uint64_t len, unsigned flags);
int blocks_discard_slot(struct disk *d, uint64_t offset, uint64_t len);
int blocks_flush_slot(struct disk *d);
int blocks_map_slot(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret);
bool blocks_locate_slot(struct disk *d, enum disk_op op, uint64_t offset, size_t len,
                        struct disk_span *ret);

#endif
