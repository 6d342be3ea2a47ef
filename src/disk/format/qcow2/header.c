/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header cluster of a qcow2 image: fixed fields, extensions, the backing file's name. It is
 * read and validated once (spec "Header", "Header extensions") and always written as a whole, so
 * that what we do not know of it survives.
 */
#include <inttypes.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/reader.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/format/qcow2/qcow2.h"

enum {
    V2_HEADER = 72,
    V3_HEADER = 104, /* the least; with the compression type 112 */
    KNOWN_HEADER = 112,
    MAX_BACKING_NAME = 1023,
    MAX_L1_BYTES = 32 << 20,
    MAX_REFCOUNT_TABLE_BYTES = 8 << 20,
    MAX_SNAPSHOTS = 65536,
    FEATURE_BYTES = 48,
    SECTOR = 512,
};

static const struct feature {
    uint8_t kind, bit;
    const char *name;
} features[] = {
    { 0, 0, "dirty bit" },        { 0, 1, "corrupt bit" },         { 0, 2, "external data file" },
    { 0, 3, "compression type" }, { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" },
    { 2, 0, "bitmaps" },          { 2, 1, "raw external data" },
};

static bool check_table(const struct qcow2 *q, uint64_t offset, uint64_t bytes, const char *what,
                        struct error *err)
{
    uint64_t end;

    if (!checked_add(offset, bytes, &end) || end > BIT(56))
        return fail(err, EINVAL, "%s lies beyond 2^56 bytes", what);
    if (bytes && offset & q->cluster_mask)
        return fail(err, EINVAL, "%s offset %#" PRIx64 " is not at a cluster boundary", what,
                    offset);
    if (bytes && !offset)
        return fail(err, EINVAL, "%s offset is 0", what);
    return true;
}

/* The fixed part; r stands after magic. */
static bool parse_fields(struct disk *d, struct reader *r, uint64_t *ret_backing,
                         uint32_t *ret_backing_len, struct error *err)
{
    struct qcow2 *q = d->priv;
    struct qcow2_header *h = &q->h;

    h->version = rd_be32(r);
    if (h->version < 2 || h->version > 3)
        return fail(err, ENOTSUP, "Unsupported qcow2 version %u", h->version);
    *ret_backing = rd_be64(r);
    *ret_backing_len = rd_be32(r);
    h->cluster_bits = rd_be32(r);
    h->size = rd_be64(r);
    h->crypt_method = rd_be32(r);
    h->l1_entries = rd_be32(r);
    h->l1_offset = rd_be64(r);
    h->refcount_table_offset = rd_be64(r);
    h->refcount_table_clusters = rd_be32(r);
    h->snapshot_count = rd_be32(r);
    h->snapshots_offset = rd_be64(r);
    h->refcount_order = 4;
    h->header_length = V2_HEADER;
    if (h->version == 3) {
        h->incompatible = rd_be64(r);
        h->compatible = rd_be64(r);
        h->autoclear = rd_be64(r);
        h->refcount_order = rd_be32(r);
        h->header_length = rd_be32(r);
        if (h->header_length < V3_HEADER)
            return fail(err, EINVAL, "qcow2 header too short: %u bytes", h->header_length);
        if (h->header_length > V3_HEADER)
            h->compression = rd_u8(r);
    }
    if (!rd_ok(r))
        return fail(err, EINVAL, "the file is too short for a qcow2 header");
    if (h->cluster_bits < 9 || h->cluster_bits > 21)
        return fail(err, EINVAL, "Unsupported cluster size: 2^%u", h->cluster_bits);
    return true;
}

static bool check_fields(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    struct qcow2_header *h = &q->h;
    uint64_t l1_needed, span;

    if (h->refcount_order > 6)
        return fail(err, EINVAL, "Reference count entry width too large; may not exceed 64 bits");
    if (h->header_length > q->cluster_size)
        return fail(err, EINVAL, "qcow2 header exceeds cluster size");
    if (h->crypt_method > 2)
        return fail(err, EINVAL, "Unsupported encryption method %u", h->crypt_method);
    if (h->compression > 1)
        return fail(err, ENOTSUP, "Unsupported compression type %u", h->compression);
    if (h->compression && !(h->incompatible & INCOMPAT_COMPRESSION))
        return fail(err, EINVAL, "a compression type is set without its feature bit");
    if (q->extended_l2 && h->cluster_bits < 14)
        return fail(err, EINVAL, "extended L2 entries need clusters of 16k or more");
    if ((uint64_t)h->l1_entries * 8 > MAX_L1_BYTES)
        return fail(err, EFBIG, "Active L1 table too large");
    if (((uint64_t)h->refcount_table_clusters << h->cluster_bits) > MAX_REFCOUNT_TABLE_BYTES)
        return fail(err, EINVAL, "Image claims more than %u MiB of reference count table",
                    MAX_REFCOUNT_TABLE_BYTES >> 20);
    if (!h->refcount_table_clusters && !(d->open_flags & DISK_CHECK))
        return fail(err, EINVAL, "Image does not contain a reference count table");
    if (h->snapshot_count > MAX_SNAPSHOTS && !(d->open_flags & DISK_CHECK))
        return fail(err, EINVAL, "Snapshot table too large: %u snapshots", h->snapshot_count);
    if (h->size > DISK_MAX_SIZE)
        return fail(err, EFBIG, "Image is too big: %" PRIu64 " bytes", h->size);
    span = (uint64_t)q->l2_entries << h->cluster_bits;
    l1_needed = h->size / span + (h->size % span != 0);
    if (l1_needed > MAX_L1_BYTES / 8)
        return fail(err, EFBIG, "Image is too big for its cluster size");
    if (h->l1_entries < l1_needed)
        return fail(err, EINVAL, "L1 table is too small");
    return check_table(q, h->l1_offset, (uint64_t)h->l1_entries * 8, "Active L1 table", err) &&
           check_table(q, h->refcount_table_offset,
                       (uint64_t)h->refcount_table_clusters << h->cluster_bits,
                       "Reference count table", err) &&
           check_table(q, h->snapshots_offset, h->snapshot_count ? 40ull * h->snapshot_count : 0,
                       "Snapshot table", err);
}

static void derive(struct disk *d)
{
    struct qcow2 *q = d->priv;
    struct qcow2_header *h = &q->h;

    q->cluster_size = 1u << h->cluster_bits;
    q->cluster_mask = q->cluster_size - 1;
    q->extended_l2 = h->incompatible & INCOMPAT_EXTENDED_L2;
    q->has_data_file = h->incompatible & INCOMPAT_DATA_FILE;
    q->l2_entry_size = q->extended_l2 ? 16 : 8;
    q->l2_entries = q->cluster_size / q->l2_entry_size;
    q->subclusters = q->extended_l2 ? 32 : 1;
    q->subcluster_size = q->cluster_size / q->subclusters;
    q->refcount_bits = 1u << (h->refcount_order & 7);
    q->data_file_raw = h->autoclear & AUTOCLEAR_RAW_EXTERNAL;
}

/* "Unsupported qcow2 feature(s): NAME, ..." with names from the image's own table (spec "Feature
 * name table"). */
static bool refuse_unknown(const struct qcow2 *q, uint64_t mask, struct error *err)
{
    char list[120] = "";

    for (unsigned bit = 0; bit < 64; bit++) {
        char name[47] = "";
        size_t used = strlen(list);

        if (!(mask & BIT(bit)))
            continue;
        for (uint32_t at = 0; at + FEATURE_BYTES <= q->feature_names_len; at += FEATURE_BYTES) {
            const uint8_t *f = q->feature_names + at;

            if (f[0] == 0 && f[1] == bit)
                snprintf(name, sizeof(name), "%.46s", (const char *)f + 2);
        }
        if (!name[0])
            snprintf(name, sizeof(name), "Unknown incompatible feature: %" PRIx64, BIT(bit));
        for (char *c = name; *c; c++)
            if ((unsigned char)*c < 32 || *c == 127)
                *c = '?';
        snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "", name);
    }
    (void)fail(err, ENOTSUP, "Unsupported qcow2 feature(s): %s", list);
    return fail_hint(err, "a newer program wrote this image; convert it there without the feature");
}

static bool take_text(struct reader *r, uint32_t len, char **ret)
{
    const char *p = rd_take(r, len);

    free(*ret);
    *ret = p ? xstrndup(p, strnlen(p, len)) : NULL;
    return p != NULL;
}

static bool take_bitmaps(struct qcow2 *q, struct reader *r, uint32_t len, struct error *err)
{
    if (len != 24)
        return fail(err, EINVAL, "bitmaps extension has %u bytes, not 24", len);
    q->bitmap_count = rd_be32(r);
    rd_skip(r, 4);
    q->bitmap_dir_size = rd_be64(r);
    q->bitmap_dir_offset = rd_be64(r);
    if (!(q->h.autoclear & AUTOCLEAR_BITMAPS)) /* someone wrote without keeping them right */
        q->bitmap_count = q->bitmap_dir_size = q->bitmap_dir_offset = 0;
    return true;
}

static bool take_crypto(struct qcow2 *q, struct reader *r, uint32_t len, struct error *err)
{
    if (q->h.crypt_method != 2)
        return fail(err, EINVAL, "CRYPTO header extension only expected with LUKS encryption");
    if (len != 16)
        return fail(err, EINVAL, "CRYPTO header extension has %u bytes, not 16", len);
    q->crypto_offset = rd_be64(r);
    q->crypto_len = rd_be64(r);
    if (q->crypto_len > 128u << 20)
        return fail(err, EINVAL, "encryption header of %" PRIu64 " bytes is too large",
                    q->crypto_len);
    return check_table(q, q->crypto_offset, q->crypto_len, "Encryption header", err);
}

static bool take_ext(struct disk *d, struct reader *r, uint32_t magic, uint32_t len,
                     struct error *err)
{
    struct qcow2 *q = d->priv;
    struct qcow2_unknown_ext *e;

    switch (magic) {
    case (uint32_t)EXT_BACKING_FORMAT: return take_text(r, len, &d->backing_format);
    case EXT_DATA_FILE: return take_text(r, len, &q->data_file_name);
    case EXT_BITMAPS: return take_bitmaps(q, r, len, err);
    case EXT_CRYPTO: return take_crypto(q, r, len, err);
    case EXT_IN_USE:
        if (q->h.version < 3)
            q->h.incompatible |= INCOMPAT_DIRTY;
        return true;
    case EXT_FEATURE_NAMES:
        free(q->feature_names);
        q->feature_names = xnew_array(uint8_t, len + 1);
        q->feature_names_len = len;
        rd_bytes(r, q->feature_names, len);
        return true;
    default:
        e = xnew(struct qcow2_unknown_ext);
        e->magic = magic;
        e->len = len;
        e->data = xnew_array(uint8_t, len + 1);
        rd_bytes(r, e->data, len);
        for (struct qcow2_unknown_ext **p = &q->unknown_exts;; p = &(*p)->next)
            if (!*p) {
                *p = e;
                return true;
            }
    }
}

static bool parse_exts(struct disk *d, const uint8_t *buf, size_t end, struct error *err)
{
    struct qcow2 *q = d->priv;
    struct reader r = reader(buf, end);

    rd_seek(&r, q->h.header_length);
    while (rd_left(&r) >= 8) {
        uint32_t magic = rd_be32(&r), len = rd_be32(&r);
        size_t at = rd_offset(&r);

        if (magic == EXT_END)
            return true;
        if (len > rd_left(&r))
            return fail(err, EINVAL, "Header extension too large");
        if (!take_ext(d, &r, magic, len, err))
            return false;
        rd_seek(&r, MIN(ALIGN_UP(at + len, 8), end));
    }
    return true;
}

static bool parse_backing(struct disk *d, const uint8_t *buf, size_t len, uint64_t offset,
                          uint32_t name_len, struct error *err)
{
    if (!offset)
        return true;
    if (name_len > MAX_BACKING_NAME || offset > len || name_len > len - offset)
        return fail(err, EINVAL, "Backing file name too long");
    d->backing_name =
        xstrndup((const char *)buf + offset, strnlen((const char *)buf + offset, name_len));
    return true;
}

bool qcow2_read_header(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    uint8_t head[KNOWN_HEADER] = { 0 };
    struct reader r = reader(head, sizeof(head));
    uint64_t backing = 0, ext_end, unknown;
    uint32_t backing_len = 0;
    int ret = qcow2_file_read(d, 0, head, sizeof(head));

    if (ret < 0)
        return fail(err, -ret, "Could not read qcow2 header: %s", strerror(-ret));
    if (rd_be32(&r) != QCOW2_MAGIC)
        return fail(err, EINVAL, "Image is not in qcow2 format");
    if (!parse_fields(d, &r, &backing, &backing_len, err))
        return false;
    derive(d);
    if (q->h.header_length > q->cluster_size)
        return fail(err, EINVAL, "qcow2 header exceeds cluster size");

    AUTO_FREE uint8_t *buf = xnew_array(uint8_t, q->cluster_size);
    ret = qcow2_file_read(d, 0, buf, q->cluster_size);
    if (ret < 0)
        return fail(err, -ret, "Could not read qcow2 header: %s", strerror(-ret));
    if (backing > q->cluster_size)
        return fail(err, EINVAL, "Invalid backing file offset");
    ext_end = backing ? backing : q->cluster_size;
    if (ext_end < q->h.header_length)
        return fail(err, EINVAL, "Invalid backing file offset");
    if (q->h.header_length > KNOWN_HEADER) {
        q->rest.fields_len = q->h.header_length - KNOWN_HEADER;
        q->rest.fields = xmemdup(buf + KNOWN_HEADER, q->rest.fields_len);
    }
    /* Names of features first: they are for the message about unknown ones. */
    if (!parse_exts(d, buf, ext_end, err))
        return false;
    unknown = q->h.incompatible & ~(uint64_t)INCOMPAT_KNOWN;
    if (unknown)
        return refuse_unknown(q, unknown, err);
    return check_fields(d, err) &&
           parse_backing(d, buf, q->cluster_size, backing, backing_len, err);
}

void qcow2_free_header(struct disk *d)
{
    struct qcow2 *q = d->priv;

    while (q->unknown_exts) {
        struct qcow2_unknown_ext *e = q->unknown_exts;

        q->unknown_exts = e->next;
        free(e->data);
        free(e);
    }
    free(TAKE(q->feature_names));
    free(TAKE(q->data_file_name));
    free(TAKE(q->rest.fields));
}

/* A buffer that is filled front to back. */
struct out {
    uint8_t *buf;
    size_t at, max;
    bool full;
};

static void put_ext(struct out *o, uint32_t magic, const void *data, size_t len)
{
    size_t need = 8 + ALIGN_UP(len, 8);

    if (o->full || need > o->max - o->at) {
        o->full = true;
        return;
    }
    st_be32(o->buf + o->at, magic);
    st_be32(o->buf + o->at + 4, (uint32_t)len);
    if (len)
        memcpy(o->buf + o->at + 8, data, len);
    o->at += need;
}

static void put_feature_names(const struct qcow2 *q, struct out *o)
{
    uint8_t table[ARRAY_SIZE(features) * FEATURE_BYTES] = { 0 };

    if (q->feature_names) {
        put_ext(o, EXT_FEATURE_NAMES, q->feature_names, q->feature_names_len);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        uint8_t *f = table + (size_t)i * FEATURE_BYTES;

        f[0] = features[i].kind;
        f[1] = features[i].bit;
        memcpy(f + 2, features[i].name, strlen(features[i].name));
    }
    put_ext(o, EXT_FEATURE_NAMES, table, sizeof(table));
}

static void put_fields(const struct qcow2 *q, uint8_t *buf)
{
    const struct qcow2_header *h = &q->h;

    st_be32(buf, QCOW2_MAGIC);
    st_be32(buf + 4, h->version);
    st_be32(buf + 20, h->cluster_bits);
    st_be64(buf + 24, h->size);
    st_be32(buf + 32, h->crypt_method);
    st_be32(buf + 36, h->l1_entries);
    st_be64(buf + 40, h->l1_offset);
    st_be64(buf + 48, h->refcount_table_offset);
    st_be32(buf + 56, h->refcount_table_clusters);
    st_be32(buf + 60, h->snapshot_count);
    st_be64(buf + 64, h->snapshots_offset);
    if (h->version < 3)
        return;
    st_be64(buf + 72, h->incompatible);
    st_be64(buf + 80, h->compatible);
    st_be64(buf + 88, h->autoclear);
    st_be32(buf + 96, h->refcount_order);
    st_be32(buf + 100, h->header_length);
    if (h->header_length > V3_HEADER)
        buf[104] = h->compression;
    if (q->rest.fields_len)
        memcpy(buf + KNOWN_HEADER, q->rest.fields, q->rest.fields_len);
}

/* Everything into o; the backing name last, as its place ends the extensions. */
static void put_header(struct disk *d, struct out *o, bool with_names)
{
    struct qcow2 *q = d->priv;
    uint8_t ext[24] = { 0 };

    memset(o->buf, 0, o->max);
    put_fields(q, o->buf);
    o->at = q->h.header_length;
    o->full = o->at > o->max;
    if (d->backing_name && d->backing_format)
        put_ext(o, EXT_BACKING_FORMAT, d->backing_format, strlen(d->backing_format));
    if (q->data_file_name && qcow2_has_data_file(q))
        put_ext(o, EXT_DATA_FILE, q->data_file_name, strlen(q->data_file_name));
    if (q->crypto_len) {
        st_be64(ext, q->crypto_offset);
        st_be64(ext + 8, q->crypto_len);
        put_ext(o, EXT_CRYPTO, ext, 16);
    }
    if (with_names && q->h.version >= 3)
        put_feature_names(q, o);
    if (q->h.version < 3 && q->h.incompatible & INCOMPAT_DIRTY)
        put_ext(o, EXT_IN_USE, NULL, 0);
    if (q->bitmap_count) {
        st_be32(ext, q->bitmap_count);
        st_be32(ext + 4, 0);
        st_be64(ext + 8, q->bitmap_dir_size);
        st_be64(ext + 16, q->bitmap_dir_offset);
        put_ext(o, EXT_BITMAPS, ext, 24);
    }
    for (struct qcow2_unknown_ext *e = q->unknown_exts; e; e = e->next)
        put_ext(o, e->magic, e->data, e->len);
    put_ext(o, EXT_END, NULL, 0);
    if (d->backing_name && !o->full) {
        size_t len = strlen(d->backing_name);

        if (len > o->max - o->at) {
            o->full = true;
            return;
        }
        memcpy(o->buf + o->at, d->backing_name, len);
        st_be64(o->buf + 8, o->at);
        st_be32(o->buf + 16, (uint32_t)len);
        o->at += len;
    }
}

int qcow2_write_header(struct disk *d)
{
    struct qcow2 *q = d->priv;
    AUTO_FREE uint8_t *buf = xnew_array(uint8_t, q->cluster_size);
    struct out o = { buf, 0, q->cluster_size, false };

    if (q->h.version >= 3 && q->h.header_length < KNOWN_HEADER && q->h.compression)
        q->h.header_length = KNOWN_HEADER;
    if (d->backing_name && strlen(d->backing_name) > MAX_BACKING_NAME)
        return -EINVAL;
    /* All in the first sector if it can be: then a cut leaves the old header or the new one. */
    o.max = MIN((uint32_t)SECTOR, q->cluster_size);
    put_header(d, &o, true);
    if (o.full) /* the names of features are a courtesy */
        put_header(d, &o, false);
    if (o.full) {
        o.max = q->cluster_size;
        put_header(d, &o, true);
    }
    if (o.full)
        put_header(d, &o, false);
    if (o.full)
        return -ENOSPC;
    /* What an older, longer header had after the end must not be taken for names. */
    return qcow2_file_write(d, 0, buf, MIN(ALIGN_UP(o.at, 4096), q->cluster_size));
}

int qcow2_mark_dirty(struct disk *d)
{
    struct qcow2 *q = d->priv;
    int ret;

    if (q->marked_dirty || d->open_flags & DISK_NEW)
        return 0;
    q->h.incompatible |= INCOMPAT_DIRTY;
    ret = qcow2_write_header(d);
    if (ret == 0)
        ret = disk_flush(d->file);
    if (ret < 0) {
        q->h.incompatible &= ~(uint64_t)INCOMPAT_DIRTY;
        return ret;
    }
    q->marked_dirty = true;
    return 0;
}

int qcow2_mark_clean(struct disk *d)
{
    struct qcow2 *q = d->priv;
    int ret;

    if (!(q->h.incompatible & INCOMPAT_DIRTY))
        return 0;
    ret = disk_flush(d->file);
    if (ret < 0)
        return ret;
    q->h.incompatible &= ~(uint64_t)INCOMPAT_DIRTY;
    ret = qcow2_write_header(d);
    if (ret == 0)
        ret = disk_flush(d->file);
    if (ret < 0) {
        q->h.incompatible |= INCOMPAT_DIRTY;
        return ret;
    }
    q->marked_dirty = false;
    return 0;
}

int qcow2_mark_corrupt(struct disk *d, const char *why)
{
    struct qcow2 *q = d->priv;

    if (q->corrupt)
        return -EIO;
    q->corrupt = true;
    if (d->read_only || q->h.version < 3) {
        log_text("qcow2: Image is corrupt: %s; further corruption events will be suppressed\n",
                 why);
        return -EIO;
    }
    log_text("qcow2: Marking image as corrupt: %s; further corruption events will be suppressed; "
             "repair it with check -r all\n",
             why);
    q->h.incompatible |= INCOMPAT_CORRUPT;
    if (qcow2_write_header(d) < 0 || disk_flush(d->file) < 0)
        log_text("qcow2: the corrupt mark could not be written\n");
    return -EIO;
}
