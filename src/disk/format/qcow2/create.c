/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making an image: header, refcount table and its first block are written by hand into the empty
 * file; all else (encryption header, L1 table, preallocation) is done by the opened image.
 */
#include <inttypes.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/qcow2/flight.h"
#include "disk/luks.h"

static bool is_one_of(const char *text, const char *const *names)
{
    for (; *names; names++)
        if (!strcmp(text, *names))
            return true;
    return false;
}

static bool check_version(const struct qcow2_create *o, struct error *err)
{
    static const char *const known[] = { "0.10", "1.1", "v2", "v3", NULL };

    if (o->compat && !is_one_of(o->compat, known)) {
        (void)fail(err, EINVAL, "Invalid parameter '%s' for compat", o->compat);
        return fail_hint(err, "it takes 0.10 (or v2) and 1.1 (or v3)");
    }
    if (qcow2_create_version(o) >= 3)
        return true;
    if (o->lazy_refcounts)
        return fail(err, EINVAL,
                    "Lazy refcounts only supported with compatibility level 1.1 and above");
    if (o->refcount_bits != 16)
        return fail(err, EINVAL,
                    "Different refcount widths than 16 bits require compatibility "
                    "level 1.1 or above");
    if (o->extended_l2)
        return fail(
            err, EINVAL,
            "Extended L2 entries are only supported with compatibility level 1.1 and above");
    if (o->data_file)
        return fail(
            err, EINVAL,
            "External data files are only supported with compatibility level 1.1 and above");
    if (o->compression_type && strcmp(o->compression_type, "zlib"))
        return fail(err, EINVAL,
                    "Non-zlib compression type is only supported with compatibility "
                    "level 1.1 and above");
    return true;
}

static bool check_data_file(const struct qcow2_create *o, struct error *err)
{
    if (o->data_file_raw && !o->data_file)
        return fail(err, EINVAL, "data-file-raw requires data-file");
    if (o->data_file_raw && o->backing_file)
        return fail(err, EINVAL, "Backing file and data-file-raw cannot be used at the same time");
    return true;
}

static bool check_encryption(struct qcow2_create *o, struct error *err)
{
    if (o->encryption && !o->encrypt_format) {
        (void)fail(err, ENOTSUP, "encryption=on is the old AES encryption, which is not safe");
        return fail_hint(err, "use encrypt.format=luks with encrypt.key-secret");
    }
    if (!o->encrypt_format)
        return true;
    if (strcmp(o->encrypt_format, "luks")) {
        (void)fail(err, ENOTSUP, "Unknown encryption format %s", o->encrypt_format);
        return fail_hint(err, "the only one is luks");
    }
    return true;
}

int qcow2_create_version(const struct qcow2_create *o)
{
    return o->compat && (!strcmp(o->compat, "0.10") || !strcmp(o->compat, "v2")) ? 2 : 3;
}

bool qcow2_create_check(struct qcow2_create *o, struct error *err)
{
    static const char *const compressions[] = { "zlib", "zstd", NULL };

    o->cluster_size = o->cluster_size ? o->cluster_size : 65536;
    o->refcount_bits = o->refcount_bits ? o->refcount_bits : 16;
    if (!is_pow2(o->cluster_size) || o->cluster_size < 512 || o->cluster_size > 2 << 20)
        return fail(err, EINVAL, "Cluster size must be a power of two between 512 and 2048k");
    if (!is_pow2(o->refcount_bits) || o->refcount_bits > 64)
        return fail(err, EINVAL,
                    "Refcount width must be a power of two and may not exceed 64 bits");
    if (o->extended_l2 && o->cluster_size < 16384)
        return fail(err, EINVAL,
                    "Extended L2 entries are only supported with cluster sizes of at "
                    "least 16384 bytes");
    if (o->compression_type && !is_one_of(o->compression_type, compressions)) {
        (void)fail(err, EINVAL, "Invalid parameter '%s' for compression_type", o->compression_type);
        return fail_hint(err, "it takes zlib and zstd");
    }
    if (o->backing_file && !o->extended_l2 && o->preallocation && strcmp(o->preallocation, "off"))
        return fail(err, EINVAL,
                    "Backing file and preallocation can only be used at the same time "
                    "if extended_l2 is enabled");
    return check_version(o, err) && check_data_file(o, err) && check_encryption(o, err);
}

static struct luks_create luks_options(const struct qcow2_create *o)
{
    return (struct luks_create){
        .cipher_alg = o->encrypt_cipher_alg,
        .cipher_mode = o->encrypt_cipher_mode,
        .ivgen_alg = o->encrypt_ivgen_alg,
        .ivgen_hash_alg = o->encrypt_ivgen_hash_alg,
        .hash_alg = o->encrypt_hash_alg,
        .iter_time_ms = o->encrypt_iter_time,
    };
}

bool qcow2_create_luks_size(const struct qcow2_create *o, uint64_t *ret, struct error *err)
{
    struct luks_create lc = luks_options(o);
    uint64_t bytes = 0;

    if (o->encrypt_format && !luks_header_size(&lc, &bytes, err))
        return false;
    *ret = ALIGN_UP(bytes, o->cluster_size);
    return true;
}

/* Clusters 0 to 2: header, refcount table, refcount block. */
static int write_first_clusters(struct disk *file, const struct qcow2_create *o)
{
    uint64_t cs = o->cluster_size;
    unsigned order = (unsigned)__builtin_ctz(o->refcount_bits), version;
    AUTO_FREE uint8_t *buf = xnew_array(uint8_t, cs * 3);
    uint64_t incompatible = 0;

    version = (unsigned)qcow2_create_version(o);
    st_be32(buf, QCOW2_MAGIC);
    st_be32(buf + 4, version);
    st_be32(buf + 20, (uint32_t)__builtin_ctzll(cs));
    st_be64(buf + 48, cs);
    st_be32(buf + 56, 1);
    if (version >= 3) {
        if (o->data_file)
            incompatible |= INCOMPAT_DATA_FILE;
        if (o->compression_type && !strcmp(o->compression_type, "zstd")) {
            incompatible |= INCOMPAT_COMPRESSION;
            buf[104] = 1;
        }
        if (o->extended_l2)
            incompatible |= INCOMPAT_EXTENDED_L2;
        st_be64(buf + 72, incompatible);
        st_be64(buf + 80, o->lazy_refcounts ? COMPAT_LAZY_REFCOUNTS : 0);
        st_be64(buf + 88, o->data_file_raw ? AUTOCLEAR_RAW_EXTERNAL : 0);
        st_be32(buf + 96, order);
        st_be32(buf + 100, 112);
    }
    st_be64(buf + cs, cs * 2);
    for (unsigned i = 0; i < 3; i++)
        qcow2_store_refcount(order, buf + cs * 2, i, 1);
    return disk_write(file, 0, buf, cs * 3, 0);
}

static bool make_data_file(const struct disk_create *c, const struct qcow2_create *o,
                           struct error *err)
{
    struct optlist opts = { 0 };
    bool ok;

    optlist_add(&opts, "size", "0");
    ok = disk_create(c->graph, "raw", o->data_file, &opts, err);
    optlist_finish(&opts);
    if (!ok)
        err_prefix(err, "data file: ");
    return ok;
}

static struct disk *open_new(const struct disk_create *c, const struct qcow2_create *o,
                             struct error *err)
{
    struct optlist opts = { 0 };
    struct disk *d;

    optlist_add(&opts, "driver", "qcow2");
    optlist_add(&opts, "file", disk_node_name(c->file));
    if (o->data_file) {
        optlist_add(&opts, "data-file.driver", "file");
        optlist_add(&opts, "data-file.filename", o->data_file);
    }
    d = disk_open(c->graph, NULL, &opts, DISK_RDWR | DISK_NEW | DISK_NO_BACKING | DISK_RESIZE, err);
    optlist_finish(&opts);
    return d;
}

static bool add_encryption(struct disk *d, const struct disk_create *c,
                           const struct qcow2_create *o, struct error *err)
{
    struct qcow2 *q = d->priv;
    struct luks_create lc = luks_options(o);
    struct luks_store store = qcow2_luks_store(d);
    uint64_t bytes;
    int64_t offset = 0;

    if (!luks_header_size(&lc, &bytes, err))
        return false;
    WITH_LOCK (&q->meta)
        offset = qcow2_alloc(d, bytes);
    if (offset < 0)
        return fail(err, (int)-offset, "Cannot allocate cluster for LUKS header size %" PRIu64,
                    bytes);
    q->crypto_offset = (uint64_t)offset;
    q->crypto_len = bytes;
    q->crypt = luks_create(&store, &lc, disk_graph_objects(c->graph), o->encrypt_key_secret, err);
    q->h.crypt_method = 2;
    return q->crypt != NULL;
}

static bool fill_image(struct disk *d, const struct disk_create *c, const struct qcow2_create *o,
                       struct error *err)
{
    struct qcow2 *q = d->priv;
    int ret = 0;

    if (o->encrypt_format && !add_encryption(d, c, o, err))
        return false;
    if (c->backing_file) {
        d->backing_name = xstrdup(c->backing_file);
        d->backing_format = xstrdup(c->backing_fmt);
        if (strlen(d->backing_name) > 1023)
            return fail(err, EINVAL, "Backing file name too long (over 1023 bytes)");
    }
    q->data_file_name = xstrdup(o->data_file);
    WITH_LOCK (&q->meta)
        ret = qcow2_write_header(d);
    if (ret < 0) {
        (void)fail(err, -ret, "Could not write the header: %s", strerror(-ret));
        return ret == -ENOSPC && q->cluster_size < 4096
                   ? fail_hint(err, "a header with these names needs larger clusters")
                   : false;
    }
    return c->size == 0 || disk_resize(d, c->size, c->prealloc, true, err);
}

bool qcow2_create(const struct disk_create *c, struct error *err)
{
    struct qcow2_create *o = c->opts;
    struct disk *d;
    bool ok;
    int ret;

    if (!qcow2_create_check(o, err) || (o->data_file && !make_data_file(c, o, err)))
        return false;
    ret = write_first_clusters(c->file, o);
    if (ret < 0)
        return fail(err, -ret, "Could not write qcow2 header: %s", strerror(-ret));
    d = open_new(c, o, err);
    if (!d)
        return false;
    ok = fill_image(d, c, o, err);
    ret = disk_close(d);
    if (ok && ret < 0)
        return fail(err, -ret, "Could not write the image: %s", strerror(-ret));
    return ok;
}

bool qcow2_change_backing(struct disk *d, const char *filename, const char *format,
                          struct error *err)
{
    struct qcow2 *q = d->priv;
    char *name = d->backing_name, *fmt = d->backing_format;
    int ret = 0;

    if (filename && strlen(filename) > 1023)
        return fail(err, EINVAL, "Backing file name too long (over 1023 bytes)");
    if (filename && q->data_file_raw)
        return fail(err, EINVAL, "Backing file and data-file-raw cannot be used at the same time");
    WITH_LOCK (&q->meta) {
        d->backing_name = filename && *filename ? xstrdup(filename) : NULL;
        d->backing_format = format && *format ? xstrdup(format) : NULL;
        ret = qcow2_write_header(d);
        if (ret == 0)
            ret = qcow2_barrier(d);
        if (ret < 0) {
            free(d->backing_name);
            free(d->backing_format);
            d->backing_name = name;
            d->backing_format = fmt;
        }
    }
    if (ret < 0)
        return fail(err, -ret, "Could not write the header: %s", strerror(-ret));
    free(name);
    free(fmt);
    return true;
}

int qcow2_make_empty(struct disk *d)
{
    struct qcow2 *q = d->priv;
    int ret = qcow2_discard_all(d, 0, ALIGN_UP(q->h.size, (uint64_t)q->cluster_size));

    if (ret == 0)
        WITH_LOCK (&q->meta) {
            ret = qcow2_settle(d);
            if (ret == 0)
                ret = qcow2_cut_file(d);
        }
    q->leaked |= ret < 0; /* some of it is freed, some is not */
    return ret;
}
