/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside format/qcow2/: the image's state and the seams between its files. The format is QEMU's
 * docs/interop/qcow2.txt, "the spec" below. Order on disk: a table entry is never made durable
 * before what it points at and before the refcount of it, so a cut at any moment leaves leaks at
 * worst; version 3 images carry the dirty bit while they are changed, so the next open heals those.
 */
#ifndef QCOW2_QCOW2_H
#define QCOW2_QCOW2_H

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "disk/bitmap.h"
#include "disk/format/qcow2/tables.h"
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
    EXT_DATA_FILE = 0x44415441,
    /* Ours, in version 2 alone, which has no dirty bit: a writer has not closed the image. Others
     * keep or drop it; all it costs is a check at our next open for writing. */
    EXT_IN_USE = 0x52684479,
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
    /* options, set before open; strings that are NULL were not given */
    char *lazy_refcounts, *pass_discard_request, *pass_discard_snapshot, *pass_discard_other;
    char *overlap_check, *overlap_check_template;
    char *overlap_check_kinds[9]; /* by enum qcow2_kind: on, off */
    uint64_t cache_size, l2_cache_size, l2_cache_entry_size, refcount_cache_size,
        cache_clean_interval;
    char *encrypt_format, *encrypt_key_secret;

    /* constant after open */
    struct qcow2_header h; /* changed by header.c under meta */
    uint32_t cluster_size, l2_entries, l2_entry_size, subclusters, subcluster_size, refcount_bits;
    uint32_t slice_entries; /* L2 entries in one table of l2_cache */
    uint64_t cluster_mask;  /* cluster_size - 1 */
    bool extended_l2, has_data_file, data_file_raw;
    bool lazy;                 /* refcounts need no order against L2 entries */
    bool pass_discard[4];      /* by enum qcow2_discard */
    struct luks *crypt;        /* NULL: none */
    struct qcow2_data *data;   /* requests, allocations in flight, freed clusters: flight.h */
    struct qcow2_header_rest { /* kept as found */
        uint8_t *fields;       /* of the header, beyond those we know */
        uint32_t fields_len;
    } rest;

    /* guarded by meta: the mutex of all metadata, not recursive. Held for table look-ups and
     * changes, never while guest data moves */
    pthread_mutex_t meta;
    bool has_meta;            /* it was initialised */
    uint64_t *l1;             /* host order, h.l1_entries */
    uint64_t *refcount_table; /* host order; may have more entries than the file's table */
    uint32_t refcount_table_entries;
    uint32_t l1_dirty_lo, l1_dirty_hi;             /* entries not written yet: [lo, hi) */
    uint32_t refcount_dirty_lo, refcount_dirty_hi; /* entries not written yet: [lo, hi) */
    bool refcount_growing; /* the table is being moved: it is not written meanwhile */
    struct qcow2_cache *l2_cache, *refcount_cache;
    uint64_t free_cluster_hint;          /* index; all before it are in use */
    uint64_t packed_offset, packed_left; /* where the next compressed cluster goes */
    struct qcow2_snapshot *snapshots;
    uint32_t snapshot_count, snapshot_table_errors;
    uint64_t snapshot_table_bytes;
    struct qcow2_unknown_ext *unknown_exts;
    uint8_t *feature_names; /* as found, kept; else ours */
    uint32_t feature_names_len;
    char *data_file_name;
    uint64_t crypto_offset, crypto_len;          /* EXT_CRYPTO */
    uint64_t bitmap_dir_offset, bitmap_dir_size; /* EXT_BITMAPS */
    uint32_t bitmap_count;
    bool leaked;         /* a change stopped half-way: the dirty bit stays, the next open heals */
    bool bitmaps_loaded; /* those of the image are in memory, and marked in use in the image */
    bool marked_dirty;   /* INCOMPAT_DIRTY is durable in the file, by us */
    bool corrupt;
    unsigned overlap_kinds; /* which metadata is looked at before writes: overlap.c */
};

/* qcow2.c: the node that holds guest data, which may be an external data file. */
struct disk *qcow2_data_node(struct disk *d);
static inline bool qcow2_has_data_file(const struct qcow2 *q)
{
    return q->has_data_file;
}

/* Metadata in the image file. Reads beyond its end give zeroes. Any offset, any thread. */
int qcow2_file_read(struct disk *d, uint64_t offset, void *buf, size_t len) MUST_CHECK;
int qcow2_file_write(struct disk *d, uint64_t offset, const void *buf, size_t len) MUST_CHECK;
/* A flush that only order asks for; skipped while the image is being created. */
int qcow2_barrier(struct disk *d) MUST_CHECK;

/* header.c: reads, checks, writes the header and its extensions in one go (spec "Header"). */
bool qcow2_read_header(struct disk *d, struct error *err) MUST_CHECK;
int qcow2_write_header(struct disk *d) MUST_CHECK; /* meta held */
int qcow2_mark_dirty(struct disk *d)
    MUST_CHECK; /* meta held; durable before it returns; no-op when marked */
int qcow2_mark_clean(struct disk *d) MUST_CHECK; /* meta held; everything is flushed */
int qcow2_mark_corrupt(struct disk *d,
                       const char *why); /* returns -EIO; later writes fail; says so once */

void qcow2_free_header(struct disk *d); /* what read_header allocated */

/* map.c: guest offset to host; meta held. */
enum qcow2_type {
    Q2_UNALLOCATED,
    Q2_ZERO_PLAIN,
    Q2_ZERO_ALLOC,
    Q2_NORMAL,
    Q2_COMPRESSED,
    Q2_UNALLOCATED_HOST, /* a subcluster without data in a cluster that has a host cluster */
};
struct qcow2_run {
    enum qcow2_type type;
    uint64_t len; /* guest bytes from the asked offset with this type, contiguous on the host */
    uint64_t host_offset; /* of the asked byte (types with one); the L2 entry (COMPRESSED) */
    bool copied;
};
int qcow2_lookup(struct disk *d, uint64_t offset, uint64_t len, struct qcow2_run *ret) MUST_CHECK;
/* The same without reading the file: -EAGAIN when the table is not in the cache. */
int qcow2_lookup_cached(struct disk *d, uint64_t offset, uint64_t len,
                        struct qcow2_run *ret) MUST_CHECK;
/* What an L2 entry says of subcluster sc (0 without extended L2); bitmap is its second half. */
enum qcow2_type qcow2_entry_type(const struct qcow2 *q, uint64_t entry, uint64_t bitmap,
                                 unsigned sc);
/* Whether the entry's offset and flags are possible; else the image is marked corrupt: -EIO. */
int qcow2_check_entry(struct disk *d, uint64_t entry, uint64_t bitmap) MUST_CHECK;
/* Where a COMPRESSED entry's bytes lie, in whole sectors. */
void qcow2_compressed_place(const struct qcow2 *q, uint64_t entry, uint64_t *ret_offset,
                            uint32_t *ret_len);
static inline uint64_t qcow2_l1_index(const struct qcow2 *q, uint64_t offset)
{
    return (offset >> q->h.cluster_bits) / q->l2_entries;
}
/* q->l1[first..first + n) changed. They are written by qcow2_write_l1(), after the L2 tables they
 * name are durable: at the next flush or settle. */
void qcow2_l1_changed(struct qcow2 *q, uint32_t first, uint32_t n);
int qcow2_write_l1(struct disk *d) MUST_CHECK;
int qcow2_load_l1(struct disk *d) MUST_CHECK; /* as h.l1_offset and h.l1_entries say */
int qcow2_grow_l1(struct disk *d, uint32_t entries, bool exact) MUST_CHECK;
int qcow2_shrink_l1(struct disk *d, uint32_t entries) MUST_CHECK;
/* The L2 table (slice) for writing: made, or copied when shared with a snapshot. To be put. */
int qcow2_writable_l2(struct disk *d, uint64_t offset, void **ret_slice,
                      uint32_t *ret_index) MUST_CHECK;
/* Adds by to the refcounts of all that an L1 table reaches and sets COPIED flags right (snapshots).
 */
int qcow2_update_l1_refcounts(struct disk *d, uint64_t l1_offset, uint32_t entries,
                              int by) MUST_CHECK;

/* data.c, compress.c, create.c, resize.c: the data path. snapshot.c, check.c, amend.c, bitmaps.c:
 * the rest. Slots of the record in qcow2.c; each is documented where struct disk_driver names it.
 */
/* qcow2_read and qcow2_write also serve offsets beyond the size (the VM state, which no backing
 * file shows through). */
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
int qcow2_bitmaps_writable(struct disk *d) MUST_CHECK; /* reopened for writing: marks them in use */
json_t *qcow2_bitmaps_info(struct disk *d);            /* "bitmaps" of info; NULL: none */
void qcow2_free_snapshots(struct qcow2_snapshot *list, uint32_t count); /* at close; NULL is fine */
/* Heals what a crash left in an image with the dirty bit, without a word; at open for writing, when
 * tables are loaded. Clears the bit. meta not held. */
bool qcow2_repair_dirty(struct disk *d, struct error *err) MUST_CHECK;
uint64_t qcow2_vm_state_offset(struct disk *d); /* guest offset behind the disk */

/* Creation options (create.c), also for amend and measure. */
extern const struct field qcow2_amend_options[]; /* amend.c */
struct qcow2_create {
    uint64_t size, cluster_size;
    char *backing_file, *backing_fmt, *compat, *preallocation, *data_file, *compression_type;
    bool lazy_refcounts, data_file_raw, extended_l2, encryption;
    uint16_t refcount_bits;
    char *encrypt_format, *encrypt_key_secret, *encrypt_cipher_alg, *encrypt_cipher_mode,
        *encrypt_ivgen_alg, *encrypt_ivgen_hash_alg, *encrypt_hash_alg;
    uint64_t encrypt_iter_time;
    char *encrypt_state, *encrypt_new_secret, *encrypt_old_secret; /* amend alone */
    uint64_t encrypt_keyslot;
};

#endif
