/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dirty bitmaps: which granules of a node were written since the bitmap was made or cleared. A node
 * has any number of them, by name; those that are persistent are stored by its format (qcow2). Jobs
 * use nameless ones. All calls from any thread.
 */
#ifndef DISK_BITMAP_H
#define DISK_BITMAP_H

#include "disk/disk.h"

struct disk_bitmap;

/* granularity: bytes per bit, power of two, 512 to 2 GiB; 0 chooses (the cluster size within 4 KiB
 * to 64 KiB). name is NULL for a job's. Fails when the name is taken. */
struct disk_bitmap *disk_bitmap_add(struct disk *d, const char *name, uint32_t granularity,
                                    struct error *err);
bool disk_bitmap_remove(struct disk_bitmap *own_b,
                        struct error *err) MUST_CHECK; /* and from the image */
struct disk_bitmap *disk_bitmap_find(struct disk *d, const char *name);
struct disk_bitmap *disk_bitmap_next(struct disk *d, struct disk_bitmap *b); /* NULL starts */

const char *disk_bitmap_name(const struct disk_bitmap *b);
uint32_t disk_bitmap_granularity(const struct disk_bitmap *b);
uint64_t disk_bitmap_size(const struct disk_bitmap *b); /* bytes of disk it covers */

/* Enabled ones record; persistent ones are stored at close; inconsistent ones can only be removed;
 * busy ones belong to an operation for now. */
enum {
    BITMAP_ENABLED = 1,
    BITMAP_PERSISTENT = 2,
    BITMAP_INCONSISTENT = 4,
    BITMAP_BUSY = 8,
    BITMAP_READ_ONLY = 16
};
unsigned disk_bitmap_flags(const struct disk_bitmap *b);
void disk_bitmap_set_flags(struct disk_bitmap *b, unsigned set, unsigned clear);

void disk_bitmap_mark(struct disk_bitmap *b, uint64_t offset, uint64_t len);
void disk_bitmap_unmark(struct disk_bitmap *b, uint64_t offset, uint64_t len);
bool disk_bitmap_clear(struct disk_bitmap *b, struct error *err) MUST_CHECK;
/* dst gets each mark of src, which may have another granularity. */
bool disk_bitmap_merge(struct disk_bitmap *dst, const struct disk_bitmap *src,
                       struct error *err) MUST_CHECK;
uint64_t disk_bitmap_dirty_bytes(const struct disk_bitmap *b);

/* The next run at or after *offset: true with its start and length (cut at end of disk); false:
 * none. */
bool disk_bitmap_next_dirty(const struct disk_bitmap *b, uint64_t *offset, uint64_t *ret_len);
/* Whether offset is dirty, and how many bytes from it are the same. */
bool disk_bitmap_run(const struct disk_bitmap *b, uint64_t offset, uint64_t *ret_len);
/* Atomically finds and clears the next dirty run, at most max bytes: for jobs that copy. */
bool disk_bitmap_take_dirty(struct disk_bitmap *b, uint64_t *offset, uint64_t max,
                            uint64_t *ret_len);

/* Raw bits, as qcow2 stores them: bit i of byte i/8 (LSB first) is granule i. */
void disk_bitmap_serialise(const struct disk_bitmap *b, uint64_t first_byte, uint8_t *buf,
                           size_t len);
void disk_bitmap_deserialise(struct disk_bitmap *b, uint64_t first_byte, const uint8_t *buf,
                             size_t len);

/* Called by the request layer for each completed write, zero and discard. */
void disk_bitmaps_written(struct disk *d, uint64_t offset, uint64_t len);

/* Called by the core: d has another size now (drained); d is closed, persistent ones are stored. */
void disk_bitmaps_resized(struct disk *d);
void disk_bitmaps_free(struct disk *d);

#endif
