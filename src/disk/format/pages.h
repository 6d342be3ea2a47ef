/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of an image (block maps, grain tables, L2 tables) cached in pages, written back in
 * order: what was marked at level 0 is stable before anything of level 1 is written, and all data
 * written before pages_write() is stable before either. So an entry never leads to bytes that a
 * power cut took away. The user's lock guards all but pages_write(), which takes it itself.
 */
#ifndef FORMAT_PAGES_H
#define FORMAT_PAGES_H

#include <pthread.h>

#include "disk/disk.h"

enum {
    PAGE_BYTES = 32768,
    PAGE_SECTOR = 512,
    PAGE_LEVELS = 2,
    PAGES_MAX = 512,       /* clean ones: 16 MiB */
    PAGES_MAX_DIRTY = 256, /* beyond that the user should call pages_write() */
};

struct page;

struct pages {
    struct disk *file;
    pthread_mutex_t *lock; /* the user's */
    uint32_t granule;      /* bytes written together: 512, VHDX 4096 */
    uint32_t max;          /* pages kept when clean */
    struct page *buckets[256];
    unsigned count, dirty;      /* pages in memory, pages with unwritten bytes */
    unsigned hand;              /* of the clock that evicts */
    pthread_mutex_t write_lock; /* one pages_write() at a time; taken before lock */
};

void pages_init(struct pages *p, struct disk *file, pthread_mutex_t *lock);
void pages_finish(struct pages *p);

/* The n <= 8 bytes at file offset off, which do not straddle a sector. With cached_only -EAGAIN
 * rather than reading. Bytes beyond the end of the file are zero. Lock held. */
int pages_get(struct pages *p, uint64_t off, bool cached_only, const uint8_t **ret) MUST_CHECK;

/* The same for changing: the sector is written back at that level. Lock held. */
int pages_put(struct pages *p, uint64_t off, unsigned level, uint8_t **ret) MUST_CHECK;

/* Forgets what is cached, written or not. Lock held. */
void pages_drop(struct pages *p);

/* One changed piece, whole sectors, as write_back gets it. */
struct page_piece {
    uint64_t offset;
    uint32_t len;
    unsigned level;
    uint8_t *data; /* owned by the list */
};

/* Flushes the file, then writes what is dirty, level by level, flushing after each. Takes the lock
 * only to collect. write (may be NULL) replaces the writing of one level's pieces, sorted by
 * offset; it makes them stable itself. */
int pages_write(struct pages *p,
                int (*write)(void *arg, const struct page_piece *pieces, size_t count),
                void *arg) MUST_CHECK;

#endif
