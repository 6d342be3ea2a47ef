/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside format/qcow2/: the image's state and the seams between its files. The format is QEMU's
 * docs/interop/qcow2.txt, "the spec" below. Order on disk: a table entry is never made durable
 * before what it points at and before the refcount of it, so a cut at any moment leaves leaks at
 * worst; version 3 images carry the dirty bit while they are changed, so the next open heals those.
 */
#ifndef QCOW2_QCOW2_H
#define QCOW2_QCOW2_H

#include "base/bits.h"
#include "disk/bitmap.h"
#include "disk/node.h"

#define QCOW2_MAGIC UINT32_C(0x514649fb)

enum { /* incompatible features */
       INCOMPAT_DIRTY = BIT(0),
       INCOMPAT_CORRUPT = BIT(1),
       INCOMPAT_DATA_FILE = BIT(2),
       INCOMPAT_COMPRESSION = BIT(3),
       INCOMPAT_EXTENDED_L2 = BIT(4),
       INCOMPAT_KNOWN = 31,
};
enum { COMPAT_LAZY_REFCOUNTS = 1 };
enum { AUTOCLEAR_BITMAPS = 1, AUTOCLEAR_RAW_EXTERNAL = 2 };

/* L1 and L2 entries. */
#define ENTRY_OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define ENTRY_COPIED      BIT(63) /* refcount is exactly one */
#define L2_COMPRESSED     BIT(62)
#define L2_ZERO           BIT(0) /* version 3, without extended L2 */

enum {
    EXT_END = 0,
    EXT_BACKING_FORMAT = 0xe2792aca,
    EXT_FEATURE_NAMES = 0x6803f857,
    EXT_BITMAPS = 0x23852875,
    EXT_CRYPTO = 0x0537be77,
    EXT_DATA_FILE = 0x44415441
};

struct qcow2_snapshot {
    struct disk_snapshot s;
    uint64_t l1_offset;
    uint32_t l1_entries;
    uint8_t *unknown_extra; /* owned, kept as found */
    uint32_t unknown_extra_len;
};

/* What the header says, validated, in host order. */
struct qcow2_header {
    uint32_t version, cluster_bits, refcount_order, header_length;
    uint64_t size, l1_offset, refcount_table_offset, snapshots_offset;
    uint32_t l1_entries, refcount_table_clusters, snapshot_count;
    uint32_t crypt_method; /* 0 none, 1 AES (read: refused with advice), 2 LUKS */
    uint8_t compression;   /* 0 zlib, 1 zstd */
    uint64_t incompatible, compatible, autoclear;
};

struct qcow2_unknown_ext {
    uint32_t magic, len;
    uint8_t *data;
    struct qcow2_unknown_ext *next;
};

struct qcow2_cache; /* cache.c: tables of the image, write-back, in order of dependencies */
struct luks;        /* disk/luks.h */

struct qcow2 {
    /* options, set before open */
    bool lazy_refcounts, pass_discard_request, pass_discard_snapshot, pass_discard_other,
        discard_no_unref;
    char *overlap_check;
    uint64_t cache_size, l2_cache_size, l2_cache_entry_size, refcount_cache_size,
        cache_clean_interval;
    char *encrypt_format, *encrypt_key_secret;

    /* constant after open */
    struct qcow2_header h; /* changed by header.c under meta */
    uint32_t cluster_size, l2_entries, l2_entry_size, subclusters, subcluster_size, refcount_bits;
    uint64_t cluster_mask;
    bool extended_l2, data_file_raw;
    struct luks *crypt; /* NULL: none */

    /* guarded by meta: the recursive-free mutex of all metadata. Held for table look-ups and
     * changes, never while guest data moves */
    pthread_mutex_t meta;
    uint64_t *l1; /* host order, h.l1_entries */
    uint64_t *refcount_table;
    uint32_t refcount_table_entries;
    struct qcow2_cache *l2_cache, *refcount_cache;
    uint64_t free_cluster_hint;
    struct qcow2_snapshot *snapshots;
    uint32_t snapshot_count;
    struct qcow2_unknown_ext *unknown_exts;
    uint8_t *feature_names; /* as found, kept */
    uint32_t feature_names_len;
    char *data_file_name;
    uint64_t crypto_offset, crypto_len;          /* EXT_CRYPTO */
    uint64_t bitmap_dir_offset, bitmap_dir_size; /* EXT_BITMAPS */
    uint32_t bitmap_count;
    bool marked_dirty, corrupt;
    void *data_path; /* allocations in flight, deferred frees: data.c */
};

/* header.c: reads, checks, writes the header and its extensions in one go (spec "Header"). */
bool qcow2_read_header(struct disk *d, struct error *err) MUST_CHECK;
int qcow2_write_header(struct disk *d) MUST_CHECK; /* meta held */
int qcow2_mark_dirty(struct disk *d)
    MUST_CHECK; /* meta held; durable before it returns; no-op when marked */
int qcow2_mark_clean(struct disk *d) MUST_CHECK; /* meta held; everything is flushed */
int qcow2_mark_corrupt(struct disk *d,
                       const char *why); /* returns -EIO; later writes fail; says so once */

/* cache.c: write-back cache of clusters (or slices) of tables; meta held. A table stays valid until
 * put. */
struct qcow2_cache *qcow2_cache_new(struct disk *d, size_t table_bytes, unsigned tables);
void qcow2_cache_free(struct qcow2_cache *c);
int qcow2_cache_get(struct qcow2_cache *c, uint64_t offset, void **ret_table) MUST_CHECK;
int qcow2_cache_get_empty(struct qcow2_cache *c, uint64_t offset, void **ret_table) MUST_CHECK;
void qcow2_cache_dirty(struct qcow2_cache *c, void *table);
void qcow2_cache_put(struct qcow2_cache *c, void **table);
void *qcow2_cache_peek(struct qcow2_cache *c,
                       uint64_t offset); /* only if it is there; not to be put */
int qcow2_cache_write(struct qcow2_cache *c)
    MUST_CHECK; /* all dirty ones, after what it depends on */
int qcow2_cache_flush(struct qcow2_cache *c) MUST_CHECK; /* and the file */
/* c's dirty tables are written only after dep's are durable. */
int qcow2_cache_depend(struct qcow2_cache *c, struct qcow2_cache *dep) MUST_CHECK;
void qcow2_cache_forget(struct qcow2_cache *c, uint64_t offset); /* the cluster was freed */
int qcow2_cache_empty(struct qcow2_cache *c) MUST_CHECK;         /* write and drop all */

/* refcount.c: who owns clusters of the file; meta held. */
int qcow2_refcount_init(struct disk *d) MUST_CHECK;
void qcow2_refcount_finish(struct disk *d);
int qcow2_get_refcount(struct disk *d, uint64_t cluster, uint64_t *ret) MUST_CHECK;
/* Changes by +-n each cluster that [offset, offset + len) touches. */
int qcow2_change_refcount(struct disk *d, uint64_t offset, uint64_t len, int64_t by) MUST_CHECK;
int64_t qcow2_alloc(struct disk *d,
                    uint64_t bytes) MUST_CHECK; /* contiguous clusters; offset or -errno */
int64_t qcow2_alloc_bytes(struct disk *d,
                          uint32_t bytes) MUST_CHECK; /* compressed data packs into clusters */
/* As many clusters as are free right at offset, at most n; may be 0. */
int64_t qcow2_alloc_at(struct disk *d, uint64_t offset, uint64_t n) MUST_CHECK;
enum qcow2_discard { Q2_DISCARD_NEVER, Q2_DISCARD_REQUEST, Q2_DISCARD_SNAPSHOT, Q2_DISCARD_OTHER };
void qcow2_free(struct disk *d, uint64_t offset, uint64_t len, enum qcow2_discard why);
void qcow2_free_cluster_of(struct disk *d, uint64_t l2_entry,
                           enum qcow2_discard why); /* any type */
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

/* map.c: guest offset to host; meta held. */
enum qcow2_type { Q2_UNALLOCATED, Q2_ZERO_PLAIN, Q2_ZERO_ALLOC, Q2_NORMAL, Q2_COMPRESSED };
struct qcow2_run {
    enum qcow2_type type;
    uint64_t len; /* guest bytes from the asked offset with this type, contiguous on the host */
    uint64_t host_offset; /* of the asked byte (NORMAL, ZERO_ALLOC); the descriptor (COMPRESSED) */
    bool copied;
};
int qcow2_lookup(struct disk *d, uint64_t offset, uint64_t len, struct qcow2_run *ret) MUST_CHECK;
int qcow2_grow_l1(struct disk *d, uint32_t entries, bool exact) MUST_CHECK;
int qcow2_shrink_l1(struct disk *d, uint32_t entries) MUST_CHECK;
/* The L2 table (slice) for writing: made, or copied when shared with a snapshot. */
int qcow2_writable_l2(struct disk *d, uint64_t offset, void **ret_slice,
                      uint32_t *ret_index) MUST_CHECK;
/* Adds by to the refcounts of all that an L1 table reaches and sets COPIED flags right (snapshots).
 */
int qcow2_update_l1_refcounts(struct disk *d, uint64_t l1_offset, uint32_t entries,
                              int by) MUST_CHECK;

/* data.c, compress.c, create.c, resize.c: the data path. snapshot.c, check.c, amend.c, bitmaps.c:
 * the rest. Slots of the record in qcow2.c; each is documented where struct disk_driver names it.
 */
int qcow2_read(struct disk *d, uint64_t offset, struct disk_vec v);
int qcow2_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags);
int qcow2_write_compressed(struct disk *d, uint64_t offset, struct disk_vec v);
int qcow2_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags);
int qcow2_discard(struct disk *d, uint64_t offset, uint64_t len);
bool qcow2_resize(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                  struct error *err);
bool qcow2_create(const struct disk_create *c, struct error *err);
bool qcow2_measure(const void *opts, struct disk *source, uint64_t size, struct disk_measure *ret,
                   struct error *err);
int qcow2_check(struct disk *d, struct disk_check *c, unsigned fix);
bool qcow2_amend(struct disk *d, const void *opts, const struct optlist *given, bool force,
                 struct disk_progress *p, struct error *err);
json_t *qcow2_info(struct disk *d);
int qcow2_make_empty(struct disk *d);
extern const struct disk_snapshot_ops qcow2_snapshot_ops;
extern const struct disk_bitmap_ops qcow2_bitmap_ops;
bool qcow2_read_snapshots(struct disk *d, struct error *err) MUST_CHECK; /* at open */
bool qcow2_load_bitmaps(struct disk *d, struct error *err) MUST_CHECK;   /* at open */
/* Expand all zero clusters and the like for a version 2 header: amend.c. */

/* Creation options (create.c), also for amend and measure. */
struct qcow2_create {
    uint64_t size, cluster_size;
    char *backing_file, *backing_fmt, *compat, *preallocation, *data_file, *compression_type;
    bool lazy_refcounts, data_file_raw, extended_l2, encryption;
    uint16_t refcount_bits;
    char *encrypt_format, *encrypt_key_secret, *encrypt_cipher_alg, *encrypt_cipher_mode,
        *encrypt_ivgen_alg, *encrypt_ivgen_hash_alg, *encrypt_hash_alg;
    uint64_t encrypt_iter_time;
};

#endif
