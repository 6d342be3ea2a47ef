/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compressed clusters (spec "Compressed Clusters Descriptor"): raw deflate by libdeflate, or zstd.
 * Packing and unpacking run outside meta on any number of threads; the bytes are laid one after
 * another in the file. The clusters unpacked last are kept, as readers come back for the next 4
 * KiB.
 */
#include <libdeflate.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/event.h"
#include "disk/format/qcow2/flight.h"

enum { KEPT = 8, DEFLATE_LEVEL = 3, ZSTD_LEVEL = 3 };

/* Work space of one thread at a time. */
struct codec {
    struct libdeflate_compressor *deflate;
    struct libdeflate_decompressor *inflate;
    ZSTD_CCtx *zc;
    ZSTD_DCtx *zd;
    uint8_t *packed; /* a cluster and some */
    struct codec *next;
};

struct qcow2_unpacked {
    pthread_mutex_t lock;
    struct codec *idle;
    struct kept {
        uint64_t entry; /* L2 entry; 0: none */
        uint8_t *bytes; /* a cluster */
    } kept[KEPT];
    unsigned next;
};

void qcow2_unpacked_init(struct qcow2 *q)
{
    q->data->unpacked = xnew(struct qcow2_unpacked);
    pthread_mutex_init(&q->data->unpacked->lock, NULL);
}

static void codec_free(struct codec *c)
{
    libdeflate_free_compressor(c->deflate);
    libdeflate_free_decompressor(c->inflate);
    (void)ZSTD_freeCCtx(c->zc);
    (void)ZSTD_freeDCtx(c->zd);
    free(c->packed);
    free(c);
}

void qcow2_unpacked_free(struct qcow2 *q)
{
    struct qcow2_unpacked *u = q->data->unpacked;

    if (!u)
        return;
    while (u->idle) {
        struct codec *c = u->idle;

        u->idle = c->next;
        codec_free(c);
    }
    for (unsigned i = 0; i < KEPT; i++)
        free(u->kept[i].bytes);
    pthread_mutex_destroy(&u->lock);
    free(TAKE(q->data->unpacked));
}

void qcow2_unpacked_forget(struct qcow2 *q)
{
    struct qcow2_unpacked *u = q->data->unpacked;

    WITH_LOCK (&u->lock)
        for (unsigned i = 0; i < KEPT; i++)
            u->kept[i].entry = 0;
}

static struct codec *take_codec(struct qcow2 *q)
{
    struct qcow2_unpacked *u = q->data->unpacked;
    struct codec *c;

    WITH_LOCK (&u->lock) {
        c = u->idle;
        if (c)
            u->idle = c->next;
    }
    if (!c) {
        c = xnew(struct codec);
        c->packed = xnew_array(uint8_t, q->cluster_size + 1024u);
    }
    return c;
}

static void put_codec(struct qcow2 *q, struct codec *c)
{
    struct qcow2_unpacked *u = q->data->unpacked;

    WITH_LOCK (&u->lock) {
        c->next = u->idle;
        u->idle = c;
    }
}

static int inflate_zlib(struct codec *c, size_t in_len, uint8_t *out, size_t len)
{
    size_t used, made;

    if (!c->inflate)
        c->inflate = libdeflate_alloc_decompressor();
    if (!c->inflate)
        return -ENOMEM;
    if (libdeflate_deflate_decompress_ex(c->inflate, c->packed, in_len, out, len, &used, &made) !=
            LIBDEFLATE_SUCCESS ||
        made != len)
        return -EIO;
    return 0;
}

/* Frames need not say how long their content is, and padding follows them. */
static int inflate_zstd(struct codec *c, size_t in_len, uint8_t *out, size_t len)
{
    ZSTD_inBuffer in = { c->packed, in_len, 0 };
    ZSTD_outBuffer o = { out, len, 0 };

    if (!c->zd)
        c->zd = ZSTD_createDCtx();
    if (!c->zd)
        return -ENOMEM;
    (void)ZSTD_DCtx_reset(c->zd, ZSTD_reset_session_only);
    while (o.pos < o.size) {
        size_t in_before = in.pos, out_before = o.pos, r = ZSTD_decompressStream(c->zd, &o, &in);

        if (ZSTD_isError(r) || (in.pos == in_before && o.pos == out_before))
            return -EIO;
    }
    return 0;
}

/* The cluster that the entry names, into out (a whole cluster). */
static int unpack(struct disk *d, uint64_t entry, uint8_t *out)
{
    struct qcow2 *q = d->priv;
    struct codec *c;
    uint64_t offset;
    uint32_t len;
    int ret;

    qcow2_compressed_place(q, entry, &offset, &len);
    c = take_codec(q);
    len = MIN(len, q->cluster_size + 1024u); /* more cannot belong to it */
    ret = qcow2_file_read(d, offset, c->packed, len);
    if (ret == 0)
        ret = q->h.compression ? inflate_zstd(c, len, out, q->cluster_size)
                               : inflate_zlib(c, len, out, q->cluster_size);
    put_codec(q, c);
    return ret;
}

static bool read_kept(struct qcow2 *q, uint64_t entry, uint32_t skip, const struct disk_vec *v)
{
    struct qcow2_unpacked *u = q->data->unpacked;

    WITH_LOCK (&u->lock)
        for (unsigned i = 0; i < KEPT; i++)
            if (u->kept[i].entry == entry) {
                vec_from_buf(v, u->kept[i].bytes + skip);
                return true;
            }
    return false;
}

int qcow2_read_compressed(struct disk *d, uint64_t entry, uint32_t skip, struct disk_vec v)
{
    struct qcow2 *q = d->priv;
    struct qcow2_unpacked *u = q->data->unpacked;
    uint8_t *flat = v.len == q->cluster_size ? vec_flat(&v) : NULL, *bytes;
    int ret;

    if (flat)
        return unpack(d, entry, flat);
    if (read_kept(q, entry, skip, &v))
        return 0;
    bytes = xnew_array(uint8_t, q->cluster_size);
    ret = unpack(d, entry, bytes);
    if (ret == 0) {
        vec_from_buf(&v, bytes + skip);
        WITH_LOCK (&u->lock) { /* the oldest makes room */
            struct kept *k = &u->kept[u->next++ % KEPT];
            uint8_t *old = k->bytes;

            *k = (struct kept){ entry, bytes };
            bytes = old;
        }
    }
    free(bytes);
    return ret;
}

/* Bytes of the packed cluster in c->packed, or 0 when it would not be smaller. */
static size_t pack(struct qcow2 *q, struct codec *c, const uint8_t *in)
{
    size_t max = q->cluster_size - 1, n;

    if (!q->h.compression) {
        if (!c->deflate)
            c->deflate = libdeflate_alloc_compressor(DEFLATE_LEVEL);
        return c->deflate
                   ? libdeflate_deflate_compress(c->deflate, in, q->cluster_size, c->packed, max)
                   : 0;
    }
    if (!c->zc)
        c->zc = ZSTD_createCCtx();
    if (!c->zc)
        return 0;
    n = ZSTD_compressCCtx(c->zc, c->packed, max, in, q->cluster_size, ZSTD_LEVEL);
    return ZSTD_isError(n) ? 0 : n;
}

static int link_packed(struct disk *d, uint64_t guest, uint64_t host, uint32_t len)
{
    struct qcow2 *q = d->priv;
    unsigned x = 62 - (q->h.cluster_bits - 8);
    uint64_t sectors = ((host + len - 1) >> 9) - (host >> 9), old;
    uint32_t i;
    uint8_t *p;
    void *slice;
    int ret = qcow2_writable_l2(d, guest, &slice, &i);

    if (ret < 0)
        return ret;
    disk_event(d->file, EVENT_L2_UPDATE_COMPRESSED);
    if (!(q->lazy && q->marked_dirty))
        ret = qcow2_cache_depend(q->l2_cache, q->refcount_cache);
    if (ret == 0)
        ret = qcow2_cache_depend(q->l2_cache, NULL);
    if (ret == 0) {
        p = (uint8_t *)slice + (size_t)i * q->l2_entry_size;
        old = ld_be64(p);
        st_be64(p, L2_COMPRESSED | sectors << x | host);
        if (q->extended_l2)
            st_be64(p + 8, 0);
        qcow2_cache_dirty_range(q->l2_cache, slice, i * q->l2_entry_size, q->l2_entry_size);
        qcow2_free_cluster_of(d, old, Q2_DISCARD_OTHER);
    }
    qcow2_cache_put(q->l2_cache, &slice);
    return ret;
}

/* Puts packed bytes into the file and names them. */
static int store_packed(struct disk *d, uint64_t guest, const uint8_t *bytes, uint32_t len)
{
    struct qcow2 *q = d->priv;
    struct qcow2_flight f = { guest, guest + q->cluster_size, NULL };
    int64_t host = 0;
    int ret = 0;

    WITH_LOCK (&q->meta) {
        (void)qcow2_flight_wait(q, f.start, f.end);
        disk_event(d->file, EVENT_CLUSTER_ALLOC_BYTES);
        host = q->corrupt ? -EIO : qcow2_alloc_bytes(d, len);
        if (host >= 0)
            qcow2_flight_add(q, &f);
    }
    if (host < 0)
        return (int)host;
    disk_event(d->file, EVENT_WRITE_COMPRESSED);
    ret = disk_write(d->file, (uint64_t)host, bytes, len, 0);
    WITH_LOCK (&q->meta) {
        if (ret == 0)
            ret = link_packed(d, guest, (uint64_t)host, len);
        if (ret < 0)
            qcow2_free(d, (uint64_t)host, len, Q2_DISCARD_OTHER);
        qcow2_flight_remove(q, &f);
    }
    return ret;
}

struct job {
    struct disk *d;
    uint64_t offset;
    struct disk_vec v;
};

static int write_one(void *arg, unsigned i)
{
    struct job *j = arg;
    struct qcow2 *q = j->d->priv;
    uint64_t skip = (uint64_t)i * q->cluster_size, n = MIN(j->v.len - skip, q->cluster_size);
    struct disk_vec v = vec_slice(j->v, skip, n);
    uint8_t *in = n == q->cluster_size ? vec_flat(&v) : NULL;
    AUTO_FREE uint8_t *bounce = in ? NULL : xnew_array(uint8_t, q->cluster_size);
    struct codec *c = take_codec(q);
    size_t len;
    int ret;

    if (!in) { /* the disk's last piece is filled up with zeroes */
        vec_to_buf(&v, bounce);
        in = bounce;
    }
    len = pack(q, c, in);
    if (len)
        ret = store_packed(j->d, j->offset + skip, c->packed, (uint32_t)len);
    else
        ret = qcow2_write(j->d, j->offset + skip, v, 0);
    put_codec(q, c);
    return ret;
}

int qcow2_write_compressed(struct disk *d, uint64_t offset, struct disk_vec v)
{
    struct qcow2 *q = d->priv;
    struct job j = { d, offset, v };
    unsigned n = (unsigned)((v.len + q->cluster_mask) >> q->h.cluster_bits);

    if (qcow2_has_data_file(q) || q->crypt)
        return -ENOTSUP;
    if (offset & q->cluster_mask || (v.len & q->cluster_mask && offset + v.len != d->size))
        return -EINVAL;
    return n == 1 ? write_one(&j, 0) : disk_parallel(d->graph, n, write_one, &j);
}
