/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading, mapping and flushing: under meta the mapping of a request is looked up, a few runs at
 * once; the bytes move without it, as an op (flight.h).
 */
#include "base/alloc.h"
#include "base/scope.h"
#include "disk/event.h"
#include "disk/format/qcow2/flight.h"
#include "disk/luks.h"

struct disk *qcow2_data_node(struct disk *d)
{
    return qcow2_has_data_file(d->priv) ? d->data : d->file;
}

/* Files end where the last byte was written: beyond it are zeroes. */
static int read_padded(struct disk *node, uint64_t offset, struct disk_vec v)
{
    uint64_t size = disk_size(node), have = offset < size ? MIN(size - offset, v.len) : 0;
    struct disk_vec rest = vec_slice(v, have, v.len - have);
    int ret = have ? disk_readv(node, offset, vec_slice(v, 0, have)) : 0;

    if (rest.len)
        vec_clear(&rest);
    return ret;
}

int qcow2_file_read(struct disk *d, uint64_t offset, void *buf, size_t len)
{
    return read_padded(d->file, offset, vec_of(buf, len));
}

int qcow2_file_write(struct disk *d, uint64_t offset, const void *buf, size_t len)
{
    return disk_write(d->file, offset, buf, len, 0);
}

int qcow2_barrier(struct disk *d)
{
    int ret;

    if (d->open_flags & DISK_NEW) /* nobody uses half an image */
        return 0;
    ret = disk_flush(d->file);
    if (ret == 0 && qcow2_has_data_file(d->priv) && d->data)
        ret = disk_flush(d->data);
    return ret;
}

uint64_t qcow2_backing_end(struct disk *d)
{
    /* The VM state behind the disk's end has nothing below. */
    return d->backing ? MIN(disk_size(d->backing), d->size) : 0;
}

static int read_backing(struct disk *d, uint64_t offset, struct disk_vec v)
{
    uint64_t end = qcow2_backing_end(d), have = offset < end ? MIN(end - offset, v.len) : 0;
    struct disk_vec rest = vec_slice(v, have, v.len - have);

    if (rest.len)
        vec_clear(&rest);
    if (!have)
        return 0;
    disk_event(d->file, EVENT_READ_BACKING_AIO);
    return disk_readv(d->backing, offset, vec_slice(v, 0, have));
}

static int read_encrypted(struct disk *d, uint64_t host, struct disk_vec v)
{
    struct qcow2 *q = d->priv;
    void *flat = vec_flat(&v);
    AUTO_FREE void *bounce = flat ? NULL : aligned_alloc(4096, ALIGN_UP(v.len, 4096));
    void *buf = flat ? flat : bounce;
    int ret;

    if (!buf)
        return -ENOMEM;
    ret = read_padded(qcow2_data_node(d), host, vec_of(buf, v.len));
    if (ret == 0)
        ret = luks_decrypt(q->crypt, host, buf, v.len);
    if (ret == 0 && bounce)
        vec_from_buf(&v, bounce);
    return ret;
}

int qcow2_read_run(struct disk *d, const struct qcow2_run *run, uint64_t offset, struct disk_vec v)
{
    struct qcow2 *q = d->priv;

    switch (run->type) {
    case Q2_UNALLOCATED:
    case Q2_UNALLOCATED_HOST: return read_backing(d, offset, v);
    case Q2_ZERO_PLAIN:
    case Q2_ZERO_ALLOC: vec_clear(&v); return 0;
    case Q2_COMPRESSED:
        disk_event(d->file, EVENT_READ_COMPRESSED);
        return qcow2_read_compressed(d, run->host_offset, (uint32_t)(offset & q->cluster_mask), v);
    case Q2_NORMAL: break;
    }
    disk_event(d->file, EVENT_READ_AIO);
    if (q->crypt)
        return read_encrypted(d, run->host_offset, v);
    return read_padded(qcow2_data_node(d), run->host_offset, v);
}

/* Runs from offset on, looked up at once; *ret_n of them. An op protects what they name. */
static int lookup_some(struct disk *d, uint64_t offset, uint64_t len, struct qcow2_run *runs,
                       unsigned max, unsigned *ret_n, unsigned *ret_side)
{
    struct qcow2 *q = d->priv;
    unsigned n = 0;
    int ret = 0;

    WITH_LOCK (&q->meta) {
        for (; len && n < max; n++) {
            ret = qcow2_lookup(d, offset, len, &runs[n]);
            if (ret < 0)
                break;
            offset += runs[n].len;
            len -= runs[n].len;
        }
        if (n) {
            ret = 0; /* the rest fails when it is its turn */
            *ret_side = qcow2_op_begin(q);
        }
    }
    *ret_n = n;
    return ret;
}

int qcow2_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    struct qcow2 *q = d->priv;
    struct qcow2_run runs[8];
    size_t done = 0;

    while (done < v.len) {
        unsigned n, side = 0;
        int ret = lookup_some(d, offset + done, v.len - done, runs, ARRAY_SIZE(runs), &n, &side);

        if (ret < 0)
            return ret;
        for (unsigned i = 0; i < n && ret == 0; i++) {
            ret = qcow2_read_run(d, &runs[i], offset + done, vec_slice(v, done, runs[i].len));
            done += runs[i].len;
        }
        qcow2_op_end(q, side);
        if (ret < 0)
            return ret;
    }
    return 0;
}

int qcow2_write_host(struct disk *d, uint64_t host, struct disk_vec v)
{
    struct qcow2 *q = d->priv;
    int ret;

    if (!q->crypt)
        return disk_writev(qcow2_data_node(d), host, v, 0);

    AUTO_FREE void *buf = aligned_alloc(4096, ALIGN_UP(v.len, 4096));

    if (!buf)
        return -ENOMEM;
    vec_to_buf(&v, buf);
    ret = luks_encrypt(q->crypt, host, buf, v.len);
    return ret < 0 ? ret : disk_write(qcow2_data_node(d), host, buf, v.len, 0);
}

/* Whether clusters with data are holes in the file, by and large: it was preallocated. Then it pays
 * to ask the file. Found out once, by comparing what is in use with what the host has given. */
static bool has_holes(struct disk *d)
{
    struct qcow2 *q = d->priv;
    struct qcow2_data *t = q->data;
    uint64_t end = ALIGN_UP(disk_size(d->file), (uint64_t)q->cluster_size) >> q->h.cluster_bits;
    uint64_t used = 0, real, limit;
    int64_t bytes;

    if (t->holes_known)
        return t->holes;
    t->holes_known = true;
    bytes = disk_allocated_bytes(d->file); /* as qemu-img: not of the data file */
    if (bytes < 0)
        return false;
    real = (uint64_t)bytes >> q->h.cluster_bits;
    limit = MAX(real * 10 / 9, real + 2) - 1;
    for (uint64_t at = 0; at < end && used <= limit && end - at + used > limit;) {
        int64_t n = qcow2_cluster_run(d, at, end - at, true);

        at += n > 0 ? (uint64_t)n : 0;
        n = n < 0 ? n : qcow2_cluster_run(d, at, end - at, false);
        if (n < 0)
            return false;
        at += (uint64_t)n;
        used += (uint64_t)n;
    }
    return t->holes = used > limit;
}

static unsigned map_flags(const struct qcow2 *q, const struct qcow2_run *run)
{
    unsigned host = q->crypt ? 0 : DISK_MAP_OFFSET;

    switch (run->type) {
    case Q2_UNALLOCATED: return 0;
    case Q2_UNALLOCATED_HOST: return host;
    case Q2_ZERO_PLAIN: return DISK_MAP_ZERO | DISK_MAP_ALLOCATED;
    case Q2_ZERO_ALLOC: return DISK_MAP_ZERO | DISK_MAP_ALLOCATED | host;
    case Q2_COMPRESSED: return DISK_MAP_DATA | DISK_MAP_ALLOCATED | DISK_MAP_COMPRESSED;
    case Q2_NORMAL: break;
    }
    return DISK_MAP_DATA | DISK_MAP_ALLOCATED | host;
}

int qcow2_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    struct qcow2 *q = d->priv;
    uint64_t done = 0;
    struct qcow2_run run;
    int r = 0;

    WITH_LOCK (&q->meta) {
        while (done < len) {
            unsigned flags;

            r = qcow2_lookup(d, offset + done, len - done, &run);
            if (r < 0)
                break;
            flags = map_flags(q, &run);
            if (run.type == Q2_NORMAL && !has_holes(d))
                flags |= DISK_MAP_SOLID;
            if (!done) {
                ret->flags = flags;
                ret->host_offset = flags & DISK_MAP_OFFSET ? run.host_offset : 0;
                ret->file = flags & DISK_MAP_OFFSET ? qcow2_data_node(d) : NULL;
            } else if (flags != ret->flags ||
                       ((flags & DISK_MAP_OFFSET) && run.host_offset != ret->host_offset + done)) {
                break;
            }
            done += run.len;
        }
    }
    ret->len = done;
    return done ? 0 : r;
}

int qcow2_flush(struct disk *d)
{
    struct qcow2 *q = d->priv;
    uint64_t seq = 0;
    int ret;

    disk_event(d->file, EVENT_FLUSH_TO_OS);
    WITH_LOCK (&q->meta) {
        seq = q->data->next_seq - 1;
        ret = d->read_only ? 0 : qcow2_write_metadata(d);
    }
    if (ret == 0)
        ret = disk_flush(d->file);
    if (ret == 0 && qcow2_has_data_file(q) && d->data)
        ret = disk_flush(d->data);
    if (ret < 0 || d->read_only)
        return ret;
    WITH_LOCK (&q->meta) {
        q->data->durable_seq = MAX(q->data->durable_seq, seq);
        if (q->data->freed_count)
            ret = qcow2_reclaim(d);
    }
    return ret;
}

/* Fast path: what is cached, of one kind, and needs nothing but moving bytes. */
bool qcow2_locate(struct disk *d, enum disk_op op, uint64_t offset, size_t len,
                  struct disk_span *ret)
{
    struct qcow2 *q = d->priv;
    struct disk *node = qcow2_data_node(d);
    struct qcow2_run run;
    uint64_t end;
    bool ok = false;

    if (q->crypt || (op != DISK_OP_READ && op != DISK_OP_WRITE) || pthread_mutex_trylock(&q->meta))
        return false;
    if (atomic_load(&q->data->pause_fast) || q->corrupt ||
        qcow2_lookup_cached(d, offset, len, &run) < 0)
        goto out;
    ret->zero = false;
    ret->len = run.len;
    if (op == DISK_OP_WRITE) {
        ok = run.type == Q2_NORMAL && run.copied && !d->read_only;
        ret->node = node;
        ret->offset = run.host_offset;
    } else if (run.type == Q2_NORMAL) {
        end = disk_size(node);
        ok = run.host_offset < end;
        ret->node = node;
        ret->offset = run.host_offset;
        if (ok)
            ret->len = MIN(run.len, end - run.host_offset);
    } else if (run.type == Q2_UNALLOCATED || run.type == Q2_UNALLOCATED_HOST) {
        end = qcow2_backing_end(d);
        ok = true;
        ret->zero = offset >= end;
        ret->node = d->backing;
        ret->offset = offset;
        if (!ret->zero)
            ret->len = MIN(run.len, end - offset);
    } else {
        ok = ret->zero = run.type != Q2_COMPRESSED;
    }
    if (ok && !ret->zero) /* zeroes name nothing: no release follows */
        atomic_fetch_add(&q->data->fast, 1);
out:
    pthread_mutex_unlock(&q->meta);
    return ok;
}

void qcow2_release(struct disk *d, enum disk_op op, uint64_t offset, size_t len)
{
    struct qcow2 *q = d->priv;

    (void)op, (void)offset, (void)len;
    if (atomic_fetch_sub(&q->data->fast, 1) == 1)
        qcow2_wake_waiters(q);
}
