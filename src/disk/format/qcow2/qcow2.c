/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The qcow2 driver's record, and what opening and closing an image are made of.
 */
#include <inttypes.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/format/qcow2/flight.h"
#include "disk/luks.h"

static int probe(const uint8_t *head, size_t len, const char *filename)
{
    (void)filename;
    return len >= 8 && ld_be32(head) == QCOW2_MAGIC && ld_be32(head + 4) >= 2 ? 100 : 0;
}

static bool tristate(const char *name, const char *text, bool standard, bool *ret,
                     struct error *err)
{
    *ret = standard;
    if (!text || parse_bool(text, ret, err))
        return true;
    err_prefix(err, "%s: ", name);
    return false;
}

static bool read_options(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    bool *pass = q->pass_discard;

    if (!tristate("lazy-refcounts", q->lazy_refcounts, q->h.compatible & COMPAT_LAZY_REFCOUNTS,
                  &q->lazy, err) ||
        !tristate("pass-discard-request", q->pass_discard_request, d->open_flags & DISK_UNMAP,
                  &pass[Q2_DISCARD_REQUEST], err) ||
        !tristate("pass-discard-snapshot", q->pass_discard_snapshot, true,
                  &pass[Q2_DISCARD_SNAPSHOT], err) ||
        !tristate("pass-discard-other", q->pass_discard_other, false, &pass[Q2_DISCARD_OTHER], err))
        return false;
    if (q->lazy && q->h.version < 3)
        return fail(err, EINVAL,
                    "Lazy refcounts require a qcow2 image with at least qemu 1.1 "
                    "compatibility level");
    return true;
}

/* Sizes of both caches. Their memory comes as it is used, so they may be large. */
static bool make_caches(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    uint64_t slice = q->l2_cache_entry_size, l2 = q->l2_cache_size, rc = q->refcount_cache_size;
    uint64_t total = q->cache_size, cs = q->cluster_size;

    if (slice && (!is_pow2(slice) || slice < 512 || slice > cs))
        return fail(err, EINVAL,
                    "L2 cache entry size must be a power of two between 512 and the "
                    "cluster size (%u)",
                    q->cluster_size);
    if (total && l2 && rc)
        return fail(err, EINVAL,
                    "cache-size, l2-cache-size and refcount-cache-size may not be set "
                    "at the same time");
    if (total && (l2 > total || rc > total))
        return fail(err, EINVAL, "%s may not exceed cache-size",
                    l2 > total ? "l2-cache-size" : "refcount-cache-size");
    slice = slice ? slice : MIN(cs, 16 * KIB);
    q->slice_entries = (uint32_t)(slice / q->l2_entry_size);
    rc = rc ? rc : l2 && total ? total - l2 : MAX(4 * cs, MIB);
    l2 = l2 ? l2 : total ? total - MIN(rc, total) : 32 * MIB;
    q->l2_cache = qcow2_cache_new(d, slice, (unsigned)MAX(MIN(l2, 8 * GIB) / slice, 8u));
    q->refcount_cache = qcow2_cache_new(d, cs, (unsigned)MAX(MIN(rc, 8 * GIB) / cs, 4u));
    if (!q->l2_cache || !q->refcount_cache)
        return fail(err, ENOMEM, "no memory for metadata caches");
    return true;
}

static bool open_data_file(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;

    if (!qcow2_has_data_file(q)) {
        if (q->data_file_raw)
            q->data_file_raw = false;
        return true;
    }
    if (!disk_open_child(d, "data-file", q->data_file_name, ROLE_DATA, err)) {
        if (d->open_flags & DISK_NO_IO) { /* info tells what the file is called, lost or not */
            *err = (struct error){ 0 };
            return true;
        }
        if (!q->data_file_name) {
            (void)fail(err, EINVAL, "'data-file' is required for this image");
            return fail_hint(err, "name it: --image-opts driver=qcow2,data-file.filename=...");
        }
        err_prefix(err, "data file: ");
        return false;
    }
    return true;
}

static int luks_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
    struct disk *d = opaque;
    struct qcow2 *q = d->priv;

    if (offset > q->crypto_len || len > q->crypto_len - offset)
        return -EINVAL;
    return qcow2_file_read(d, q->crypto_offset + offset, buf, len);
}

static int luks_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
    struct disk *d = opaque;
    struct qcow2 *q = d->priv;

    if (offset > q->crypto_len || len > q->crypto_len - offset)
        return -EINVAL;
    return qcow2_file_write(d, q->crypto_offset + offset, buf, len);
}

struct luks_store qcow2_luks_store(struct disk *d)
{
    return (struct luks_store){ luks_read, luks_write, d };
}

static bool open_encryption(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    struct luks_store store = qcow2_luks_store(d);

    d->encrypted = q->h.crypt_method != 0;
    if (q->h.crypt_method == 1) {
        if (d->open_flags & (DISK_NO_IO | DISK_CHECK))
            return true;
        (void)fail(err, ENOTSUP, "the image uses the old AES encryption, which is not supported");
        return fail_hint(err, "convert it with qemu-img to a LUKS-encrypted or plain image");
    }
    if (!q->h.crypt_method)
        return true;
    if (q->encrypt_format && strcmp(q->encrypt_format, "luks"))
        return fail(err, EINVAL,
                    "Header reported 'luks' encryption format but options specify '%s'",
                    q->encrypt_format);
    if (!q->crypto_len)
        return fail(err, EINVAL, "the image has no encryption header");
    if (d->open_flags & (DISK_NO_IO | DISK_CHECK)) {
        q->crypt = luks_open(&store, disk_graph_objects(d->graph), NULL, err);
        return q->crypt != NULL;
    }
    if (!q->encrypt_key_secret) {
        (void)fail(err, EINVAL, "Parameter 'encrypt.key-secret' is required for cipher");
        return fail_hint(err, "--object secret,id=sec0,file=PASSWORD and encrypt.key-secret=sec0");
    }
    q->crypt = luks_open(&store, disk_graph_objects(d->graph), q->encrypt_key_secret, err);
    return q->crypt != NULL;
}

static bool load_tables(struct disk *d, struct error *err)
{
    int ret = qcow2_refcount_init(d);

    if (ret < 0)
        return fail(err, -ret, "Could not initialize refcount handling: %s", strerror(-ret));
    ret = qcow2_load_l1(d);
    if (ret < 0)
        return fail(err, -ret, "Could not read L1 table: %s", strerror(-ret));
    return true;
}

static void set_limits(struct disk *d)
{
    struct qcow2 *q = d->priv;

    d->size = q->h.size;
    d->align = q->crypt ? 512 : 1;
    d->zero_align = d->align;
    d->discard_align = q->cluster_size;
    d->cluster_size = q->cluster_size;
    d->subcluster_size = q->subcluster_size;
    d->zero_flags = DISK_MAY_UNMAP | DISK_NO_FALLBACK;
    d->write_flags = 0;
}

/* An image that will be written: what we do not know of it must go, and what a crash left. */
static bool prepare_writing(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    uint64_t known = AUTOCLEAR_BITMAPS | (qcow2_has_data_file(q) ? AUTOCLEAR_RAW_EXTERNAL : 0);
    int ret = 0;

    if (d->read_only || d->open_flags & DISK_CHECK)
        return true;
    if (q->h.incompatible & INCOMPAT_CORRUPT) {
        (void)fail(err, EACCES, "qcow2: Image is corrupt; cannot be opened read/write");
        return fail_hint(err, "repair it with rhea-img check -r all, or open it read-only");
    }
    if (q->h.autoclear & ~known) {
        q->h.autoclear &= known;
        ret = qcow2_write_header(d);
    }
    if (ret < 0)
        return fail(err, -ret, "Could not update qcow2 header: %s", strerror(-ret));
    return !(q->h.incompatible & INCOMPAT_DIRTY) || qcow2_repair_dirty(d, err);
}

static bool open_image(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;

    pthread_mutex_init(&q->meta, NULL);
    q->has_meta = true;
    if (!qcow2_read_header(d, err))
        return false;
    qcow2_data_init(d);
    if (!read_options(d, err) || !make_caches(d, err) || !open_data_file(d, err) ||
        !load_tables(d, err) || !open_encryption(d, err))
        return false;
    set_limits(d);
    return qcow2_overlap_init(d, err) && qcow2_read_snapshots(d, err) && prepare_writing(d, err) &&
           qcow2_load_bitmaps(d, err);
}

static bool same_caches(const struct qcow2 *a, const struct qcow2 *b)
{
    return a->cache_size == b->cache_size && a->l2_cache_size == b->l2_cache_size &&
           a->l2_cache_entry_size == b->l2_cache_entry_size &&
           a->refcount_cache_size == b->refcount_cache_size;
}

/* Caches of other sizes, empty. */
static bool change_caches(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    struct qcow2_cache *l2 = q->l2_cache, *rc = q->refcount_cache;
    uint32_t slice = q->slice_entries;
    int ret = 0;

    WITH_LOCK (&q->meta)
        ret = qcow2_write_metadata(d);
    if (ret < 0)
        return fail(err, -ret, "could not write metadata back: %s", strerror(-ret));
    q->l2_cache = q->refcount_cache = NULL;
    if (make_caches(d, err)) {
        qcow2_cache_free(l2);
        qcow2_cache_free(rc);
        return true;
    }
    qcow2_cache_free(q->l2_cache);
    qcow2_cache_free(q->refcount_cache);
    q->l2_cache = l2;
    q->refcount_cache = rc;
    q->slice_entries = slice;
    return false;
}

/* Under a drain. The options are the first members of struct qcow2; the core moves them in when all
 * nodes have agreed, so here they are only tried on. */
static bool reopen(struct disk *d, const void *new_priv, unsigned flags, struct error *err)
{
    struct qcow2 *q = d->priv, *old = xmemdup(q, sizeof(*q));
    unsigned old_flags = d->open_flags;
    bool was_ro = d->read_only, ok;
    int ret;

    memcpy(q, new_priv, offsetof(struct qcow2, h));
    d->open_flags = flags;
    ok = read_options(d, err) && qcow2_overlap_init(d, err) &&
         (same_caches(old, q) || change_caches(d, err));
    if (ok && was_ro && flags & DISK_RDWR) {
        d->read_only = false;
        ok = prepare_writing(d, err);
        ret = ok ? qcow2_bitmaps_writable(d) : 0;
        if (ret < 0)
            ok = fail(err, -ret, "bitmaps cannot be marked as in use: %s", strerror(-ret));
        d->read_only = was_ro;
    }
    memcpy(q, old, offsetof(struct qcow2, h));
    if (!ok) {
        q->lazy = old->lazy;
        memcpy(q->pass_discard, old->pass_discard, sizeof(q->pass_discard));
    }
    d->open_flags = old_flags;
    free(old);
    return ok;
}

/* On the host; that of a data file is its own. */
static int64_t allocated(struct disk *d)
{
    return disk_allocated_bytes(d->file);
}

/* Everything is written back; the dirty bit goes last. */
static int inactivate(struct disk *d)
{
    struct qcow2 *q = d->priv;
    struct error err;
    int ret = 0;

    if (d->read_only || q->corrupt)
        return 0;
    if (!qcow2_bitmap_ops.store(d, &err)) {
        log_text("qcow2: %s\n", err.msg);
        return -err.code;
    }
    WITH_LOCK (&q->meta) {
        ret = qcow2_settle(d);
        if (ret == 0 && q->marked_dirty && !q->leaked)
            ret = qcow2_mark_clean(d);
    }
    return ret;
}

static void close_image(struct disk *d)
{
    struct qcow2 *q = d->priv;

    if (!q->has_meta)
        return;
    luks_free(TAKE(q->crypt));
    qcow2_data_finish(d);
    qcow2_cache_free(TAKE(q->l2_cache));
    qcow2_cache_free(TAKE(q->refcount_cache));
    qcow2_refcount_finish(d);
    qcow2_free_snapshots(TAKE(q->snapshots), q->snapshot_count);
    free(TAKE(q->l1));
    qcow2_free_header(d);
    pthread_mutex_destroy(&q->meta);
    q->has_meta = false;
}

static const char *const strong_options[] = { "data-file", "encrypt.key-secret", NULL };

#define OPTION(m, ...) FIELD(struct qcow2, m, ##__VA_ARGS__)
#define OVERLAP(which, text)                                                                       \
    {                                                                                              \
        .name = "overlap_check." text,                                                             \
        .offset = offsetof(struct qcow2, overlap_check_kinds[which]), .kind = FIELD_STRING,        \
        .count = 1, .optional = true,                                                              \
        .doc = "whether this kind of metadata is looked at before metadata is written",            \
    }
#define CREATE(m, ...) FIELD(struct qcow2_create, m, ##__VA_ARGS__)

const struct disk_driver qcow2_driver = {
    .name = "qcow2",
    .doc = "QEMU's image format: grows as it fills; backing files, snapshots, compression",
    .backing = true,
    .strong_options = strong_options,
    .size = sizeof(struct qcow2),
    .options = FIELDS(
        OPTION(lazy_refcounts, .optional = true,
               .doc = "refcounts are written without order; on: as the image says otherwise"),
        OPTION(pass_discard_request, .optional = true, .doc = "a guest's discards reach the host"),
        OPTION(pass_discard_snapshot, .optional = true,
               .doc = "what deleted snapshots free is discarded on the host"),
        OPTION(pass_discard_other, .optional = true,
               .doc = "other freed clusters are discarded on the host"),
        OPTION(overlap_check, .optional = true,
               .doc =
                   "none, constant, cached or all: what is looked at before metadata is written"),
        OPTION(overlap_check_template, .optional = true, .wire = "overlap-check.template"),
        OVERLAP(Q2_HEADER, "main_header"), OVERLAP(Q2_ACTIVE_L1, "active_l1"),
        OVERLAP(Q2_ACTIVE_L2, "active_l2"), OVERLAP(Q2_REFCOUNT_TABLE, "refcount_table"),
        OVERLAP(Q2_REFCOUNT_BLOCK, "refcount_block"), OVERLAP(Q2_SNAPSHOT_TABLE, "snapshot_table"),
        OVERLAP(Q2_INACTIVE_L1, "inactive_l1"), OVERLAP(Q2_INACTIVE_L2, "inactive_l2"),
        OVERLAP(Q2_BITMAP_DIRECTORY, "bitmap_directory"),
        OPTION(cache_size, .is_size = true, .doc = "bytes of both metadata caches together"),
        OPTION(l2_cache_size, .is_size = true, .doc = "bytes of L2 tables in memory"),
        OPTION(l2_cache_entry_size, .is_size = true, .doc = "bytes read of an L2 table at once"),
        OPTION(refcount_cache_size, .is_size = true, .doc = "bytes of refcount blocks in memory"),
        OPTION(cache_clean_interval, .doc = "seconds after which unused tables leave memory"),
        OPTION(encrypt_format, .optional = true, .wire = "encrypt.format"),
        OPTION(encrypt_key_secret, .optional = true, .wire = "encrypt.key-secret",
               .doc = "the secret object with the passphrase")),
    .create_size = sizeof(struct qcow2_create),
    .create_options = FIELDS(
        CREATE(size, .is_size = true, .doc = "Virtual disk size"),
        CREATE(compat, .doc = "Compatibility level (v2 [0.10] or v3 [1.1])"),
        CREATE(backing_file, .doc = "File name of a base image"),
        CREATE(backing_fmt, .doc = "Image format of the base image"),
        CREATE(data_file, .doc = "File name of an external data file"),
        CREATE(data_file_raw, .doc = "The external data file must stay valid as a raw image"),
        CREATE(extended_l2, .doc = "Extended L2 tables"),
        CREATE(encryption, .doc = "Encrypt the image with format 'aes'. (Deprecated in favor of "
                                  "encrypt.format=luks)"),
        CREATE(encrypt_format, .wire = "encrypt.format", .doc = "Encrypt the image: luks"),
        CREATE(encrypt_key_secret, .wire = "encrypt.key-secret",
               .doc = "ID of the secret that provides the passphrase"),
        CREATE(encrypt_cipher_alg, .wire = "encrypt.cipher-alg", .doc = "Name of cipher algorithm"),
        CREATE(encrypt_cipher_mode, .wire = "encrypt.cipher-mode", .doc = "Name of cipher mode"),
        CREATE(encrypt_ivgen_alg, .wire = "encrypt.ivgen-alg",
               .doc = "Name of IV generator algorithm"),
        CREATE(encrypt_ivgen_hash_alg, .wire = "encrypt.ivgen-hash-alg",
               .doc = "Name of IV generator hash algorithm"),
        CREATE(encrypt_hash_alg, .wire = "encrypt.hash-alg",
               .doc = "Name of encryption hash "
                      "algorithm"),
        CREATE(encrypt_iter_time, .wire = "encrypt.iter-time",
               .doc = "Time to spend in PBKDF in milliseconds"),
        CREATE(cluster_size, .is_size = true, .doc = "qcow2 cluster size"),
        CREATE(preallocation, .doc = "Preallocation mode (allowed values: off, metadata, falloc, "
                                     "full)"),
        CREATE(lazy_refcounts, .doc = "Postpone refcount updates"),
        CREATE(refcount_bits, .doc = "Width of a reference count entry in bits"),
        CREATE(compression_type, .doc = "Compression method used for image cluster compression")),
    .probe = probe,
    .open = open_image,
    .close = close_image,
    .inactivate = inactivate,
    .reopen = reopen,
    .create = qcow2_create,
    .read = qcow2_read,
    .write = qcow2_write,
    .write_compressed = qcow2_write_compressed,
    .zero = qcow2_zero,
    .discard = qcow2_discard,
    .flush = qcow2_flush,
    .map = qcow2_map,
    .resize = qcow2_resize,
    .locate = qcow2_locate,
    .release = qcow2_release,
    .info = qcow2_info,
    .allocated = allocated,
    .measure = qcow2_measure,
    .change_backing = qcow2_change_backing,
    .make_empty = qcow2_make_empty,
    .check = qcow2_check,
    .amend = qcow2_amend,
    .amend_options = qcow2_amend_options,
    .snapshots = &qcow2_snapshot_ops,
    .bitmaps = &qcow2_bitmap_ops,
};
