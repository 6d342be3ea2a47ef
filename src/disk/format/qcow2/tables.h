/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Metadata tables of a qcow2 image in memory, and who owns the clusters of its file: the cache,
 * refcounts, allocation, freeing, the overlap check. Included by qcow2.h. All under meta.
 */
#ifndef QCOW2_TABLES_H
#define QCOW2_TABLES_H

#include "disk/node.h"

struct qcow2;
struct qcow2_cache; /* cache.c: tables of the image, write-back, in order of dependencies */

/* cache.c: write-back cache of clusters (or slices) of tables; meta held. Tables are as in the
 * file, big-endian, and stay where they are until put. */
struct qcow2_cache *qcow2_cache_new(struct disk *d, size_t table_bytes, unsigned tables);
void qcow2_cache_free(struct qcow2_cache *c);
int qcow2_cache_get(struct qcow2_cache *c, uint64_t offset, void **ret_table) MUST_CHECK;
int qcow2_cache_get_empty(struct qcow2_cache *c, uint64_t offset, void **ret_table) MUST_CHECK;
/* All of it, or only bytes [at, at + len) of it, differ from the file now. */
void qcow2_cache_dirty(struct qcow2_cache *c, void *table);
void qcow2_cache_dirty_range(struct qcow2_cache *c, void *table, uint32_t at, uint32_t len);
void qcow2_cache_put(struct qcow2_cache *c, void **table);
void *qcow2_cache_peek(struct qcow2_cache *c,
                       uint64_t offset); /* only if it is there; not to be put */
int qcow2_cache_write(struct qcow2_cache *c)
    MUST_CHECK; /* all dirty ones, after what it depends on */
int qcow2_cache_flush(struct qcow2_cache *c) MUST_CHECK; /* and the file */
/* c's dirty tables are written only after dep's are durable (dep NULL: after a flush of the data
 * files). */
int qcow2_cache_depend(struct qcow2_cache *c, struct qcow2_cache *dep) MUST_CHECK;
void qcow2_cache_forget(struct qcow2_cache *c, uint64_t offset, uint64_t len); /* it was freed */
void qcow2_cache_clean(struct qcow2_cache *c); /* forgets what was not used since the last time */
int qcow2_cache_empty(struct qcow2_cache *c) MUST_CHECK; /* write and drop all */

/* refcount.c: who owns clusters of the file; meta held. */
int qcow2_refcount_init(struct disk *d) MUST_CHECK;
void qcow2_refcount_finish(struct disk *d);
int qcow2_get_refcount(struct disk *d, uint64_t cluster, uint64_t *ret) MUST_CHECK;
/* Changes by +-n each cluster that [offset, offset + len) touches. -ERANGE: a refcount does not
 * fit. Clusters that come to 0 are free at once: see qcow2_free(). */
int qcow2_change_refcount(struct disk *d, uint64_t offset, uint64_t len, int64_t by) MUST_CHECK;
int qcow2_write_refcount_table(struct disk *d) MUST_CHECK; /* its changed entries */
uint64_t qcow2_max_refcount(const struct qcow2 *q);
uint64_t qcow2_load_refcount(unsigned order, const void *block, uint64_t index); /* spec: width */
void qcow2_store_refcount(unsigned order, void *block, uint64_t index, uint64_t value);
/* Sees to blocks that count n clusters from first; 1: some had to be made (from free clusters). */
int qcow2_ensure_blocks(struct disk *d, uint64_t first, uint64_t n) MUST_CHECK;
/* How many clusters from first, at most max, are free (or are not). */
int64_t qcow2_cluster_run(struct disk *d, uint64_t first, uint64_t max, bool free) MUST_CHECK;

/* alloc.c; meta held. */
int64_t qcow2_alloc(struct disk *d,
                    uint64_t bytes) MUST_CHECK; /* contiguous clusters; offset or -errno */
int64_t qcow2_alloc_bytes(struct disk *d,
                          uint32_t bytes) MUST_CHECK; /* compressed data packs into clusters */
/* The first free clusters, at most max; how many: *ret_n. */
int64_t qcow2_alloc_some(struct disk *d, uint64_t max, uint64_t *ret_n) MUST_CHECK;
/* As many clusters as are free right at offset, at most n; may be 0. */
int64_t qcow2_alloc_at(struct disk *d, uint64_t offset, uint64_t n) MUST_CHECK;
enum qcow2_discard { Q2_DISCARD_NEVER, Q2_DISCARD_REQUEST, Q2_DISCARD_SNAPSHOT, Q2_DISCARD_OTHER };
/* Gives back one reference each, once nothing durable names the clusters and nobody still reads or
 * writes them: at the next qcow2_settle(). Until then their refcounts stay. */
void qcow2_free(struct disk *d, uint64_t offset, uint64_t len, enum qcow2_discard why);
void qcow2_free_cluster_of(struct disk *d, uint64_t l2_entry,
                           enum qcow2_discard why); /* any type */
/* Writes all metadata in order, makes it durable, then carries out what qcow2_free() promised.
 * Refcounts are exact afterwards when no request is in flight. Lets go of meta for moments. */
int qcow2_settle(struct disk *d) MUST_CHECK;
/* At once, for what nothing durable or in flight names; also leaves caches and host. */
int qcow2_free_now(struct disk *d, uint64_t offset, uint64_t len,
                   enum qcow2_discard why) MUST_CHECK;
/* Whether a metadata write to [offset, len) would hit other metadata: marks corrupt, -EIO (spec
 * none; RELIABILITY "metadata overlap check"). ignore: the kind being written. */
enum qcow2_kind {
    Q2_HEADER,
    Q2_ACTIVE_L1,
    Q2_ACTIVE_L2,
    Q2_REFCOUNT_TABLE,
    Q2_REFCOUNT_BLOCK,
    Q2_SNAPSHOT_TABLE,
    Q2_INACTIVE_L1,
    Q2_INACTIVE_L2,
    Q2_BITMAP_DIRECTORY,
    Q2_KIND_COUNT
};
int qcow2_check_overlap(struct disk *d, unsigned ignore_kinds, uint64_t offset,
                        uint64_t len) MUST_CHECK;
bool qcow2_overlap_init(struct disk *d, struct error *err) MUST_CHECK; /* at open: the options */

#endif
