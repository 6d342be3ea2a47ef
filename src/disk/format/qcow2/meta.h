/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the files of qcow2's metadata operations: snapshots, check and repair, rebuilding of
 * refcounts, amend. All calls with meta held unless said otherwise.
 */
#ifndef QCOW2_META_H
#define QCOW2_META_H

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/endian.h"
#include "disk/format/qcow2/flight.h"

/* snapshot_table.c */
/* Writes the table anew and switches the header to it. The list takes the place of q->snapshots
 * when it succeeds; strings may be shared with that. */
int qcow2_write_snapshots(struct disk *d, struct qcow2_snapshot *own_list,
                          uint32_t count) MUST_CHECK;

/*
 * refs.c: how often each cluster of the file is referenced, counted in memory: 16 bits per cluster,
 * carries beside. Adding is safe from several threads at once.
 */
struct qcow2_refs;
/* NULL with a negative *ret: more memory than an image of this size may cost. allocated: bytes the
 * host keeps for the file. */
struct qcow2_refs *qcow2_refs_new(uint64_t clusters, uint64_t allocated, int *ret);
void qcow2_refs_free(struct qcow2_refs *r);
uint64_t qcow2_refs_count(const struct qcow2_refs *r); /* clusters */
/* Returns the count before, as far as 16 bits tell. Clusters beyond the end are not counted. */
uint16_t qcow2_refs_add(struct qcow2_refs *r, uint64_t cluster, uint32_t times);
uint64_t qcow2_refs_get(const struct qcow2_refs *r, uint64_t cluster);
void qcow2_refs_clear(struct qcow2_refs *r, uint64_t cluster);
/* The first cluster at or after this one that has any; the number of clusters: none. */
uint64_t qcow2_refs_next(const struct qcow2_refs *r, uint64_t cluster);
/* Room for more clusters at the end. */
int qcow2_refs_extend(struct qcow2_refs *r, uint64_t clusters) MUST_CHECK;
bool qcow2_refs_exhausted(const struct qcow2_refs *r); /* the counts are not complete */

/* One run of check, from check.c through its helpers. */
struct qcow2_scan {
    struct disk *d;
    struct disk_check *c;
    unsigned fix;
    uint64_t file_size, clusters; /* of d->file */
    bool sparse;                  /* most of the file is holes: they are asked for before reading */
    bool rebuild;                 /* refcount structures cannot be mended in place */
    uint64_t lines;               /* said so far */
    bool fixed_entries;           /* L2 entries were changed: count again */
    bool without_refcounts;       /* count no refcount table and blocks: they are made anew */
    int64_t entry_corruptions;    /* found in L1 and L2 tables and bitmaps */
    struct qcow2_refs *refs;
    uint64_t *ones; /* bit per cluster: its stored refcount is one */

    /* L2 tables in the order of the L1 tables; the first active_tables belong to the active L1 */
    uint64_t *tables;
    uint32_t *times; /* how many L1 entries point there; NULL: one each */
    bool shared;     /* some table has more than one */
    uint64_t table_count, table_room, active_tables;

    pthread_mutex_t lock; /* of what follows: the walk runs on several threads */
    uint64_t *odd;        /* offsets of tables with something to say about, later sorted */
    uint64_t odd_count, odd_room;
    unsigned shares; /* of the walk */
    uint64_t done, last_step;
    bool stopped; /* by the user */
};

void qcow2_say(struct qcow2_scan *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The file as far as it exists, zeroes beyond; holes of a sparse file are not read. */
int qcow2_scan_read(struct qcow2_scan *s, uint64_t offset, void *buf, size_t len) MUST_CHECK;
struct qcow2_hole { /* the last one found: a zeroed struct at first */
    uint64_t start, end;
};
/* Whether it is known without reading that the file has only zeroes there. */
bool qcow2_scan_hole(struct qcow2_scan *s, uint64_t offset, uint64_t len, struct qcow2_hole *h);
/* Counts each cluster that [offset, offset + len) touches; what lies outside is an error found. */
void qcow2_scan_count(struct qcow2_scan *s, uint64_t offset, uint64_t len, uint32_t times);

/* check_walk.c: counts all references, and speaks of entries that cannot be right. */
int qcow2_scan_tables(struct qcow2_scan *s) MUST_CHECK;
/* The kinds of L2 entries as check sees them. */
struct qcow2_entry {
    bool compressed, zero, copied, reserved;
    uint64_t offset, bytes; /* in the file; offset 0: nothing */
};
struct qcow2_entry qcow2_entry_of(const struct disk *d, const uint8_t *l2, uint32_t index);

/* bitmaps.c: counts the bitmap directory, the tables and their clusters. */
int qcow2_count_bitmaps(struct qcow2_scan *s) MUST_CHECK;

/* check_fix.c: refcounts compared with what was counted, and mended in place; COPIED flags. */
int qcow2_load_ones(struct qcow2_scan *s) MUST_CHECK;
int qcow2_compare(struct qcow2_scan *s, unsigned fix) MUST_CHECK;
int qcow2_check_copied(struct qcow2_scan *s, unsigned fix, bool all) MUST_CHECK;
/* rebuild.c: writes all refcount structures anew from the counts, of 2^order bits each, beyond what
 * is in use, and switches the header to them in one write. */
int qcow2_rebuild_refcounts(struct disk *d, struct qcow2_refs *refs, unsigned order) MUST_CHECK;
/* check.c: counts all references except those of the refcount structures; entries that cannot be
 * right are not counted, but are numbered in *ret_corruptions. NULL with *ret. */
struct qcow2_refs *qcow2_count_references(struct disk *d, int64_t *ret_corruptions, int *ret);
#endif
