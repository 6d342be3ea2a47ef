/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing guest data. Clusters that are ours alone are written in place. For others a run of new
 * clusters is allocated, filled outside meta (one write: what must be kept before and behind the
 * data is put around it), then linked into the L2 table, in that order.
 */
#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/event.h"
#include "disk/format/qcow2/flight.h"

/* One allocating write within one L2 slice. */
struct filling {
    struct qcow2_flight flight;
    uint64_t pos, end;           /* guest bytes of the request's part */
    uint64_t cow_start, cow_end; /* what is written: around [pos, end) what was there before */
    uint64_t host, clusters;     /* host cluster of flight.start; how many */
    bool made;                   /* the clusters are new, not the entries' own */
    bool fresh;                  /* they read as zeroes */
    bool head_zero, tail_zero;   /* [cow_start, pos), [end, cow_end) are zeroes */
};

/* The entry's cluster is ours alone: no allocation for it. */
static bool owned(const struct qcow2_run *r)
{
    return r->copied &&
           (r->type == Q2_NORMAL || r->type == Q2_ZERO_ALLOC || r->type == Q2_UNALLOCATED_HOST);
}

static bool reads_zero(struct disk *d, const struct qcow2_run *r, uint64_t offset)
{
    if (r->type == Q2_UNALLOCATED || r->type == Q2_UNALLOCATED_HOST)
        return offset >= qcow2_backing_end(d);
    return r->type == Q2_ZERO_PLAIN || r->type == Q2_ZERO_ALLOC;
}

static int range_is_zero(struct disk *d, uint64_t start, uint64_t end, bool *ret)
{
    *ret = true;
    while (start < end && *ret) {
        struct qcow2_run run;
        int r = qcow2_lookup(d, start, end - start, &run);

        if (r < 0)
            return r;
        *ret = reads_zero(d, &run, start);
        start += run.len;
    }
    return 0;
}

/* Whether a subcluster-sized copy is enough around the data in this cluster. */
static int keeps_subclusters(struct disk *d, uint64_t cluster, bool made, bool *ret)
{
    struct qcow2 *q = d->priv;
    struct qcow2_run run;
    int r;

    *ret = q->extended_l2;
    if (!q->extended_l2 || !made)
        return 0;
    for (uint64_t at = cluster; at < cluster + q->cluster_size && *ret; at += run.len) {
        r = qcow2_lookup(d, at, cluster + q->cluster_size - at, &run);
        if (r < 0)
            return r;
        *ret = run.type == Q2_UNALLOCATED || run.type == Q2_ZERO_PLAIN ||
               run.type == Q2_ZERO_ALLOC || run.type == Q2_UNALLOCATED_HOST;
    }
    return 0;
}

/* What is to be copied around [pos, end), and whether that is zeroes. */
static int plan_edges(struct disk *d, struct filling *f)
{
    struct qcow2 *q = d->priv;
    uint64_t size = q->cluster_size, last = f->flight.end - size;
    bool sub;
    int r = keeps_subclusters(d, f->flight.start, f->made, &sub);

    if (r < 0)
        return r;
    f->cow_start = sub ? ALIGN_DOWN(f->pos, (uint64_t)q->subcluster_size) : f->flight.start;
    if (last != f->flight.start) {
        r = keeps_subclusters(d, last, f->made, &sub);
        if (r < 0)
            return r;
    }
    f->cow_end = sub ? ALIGN_UP(f->end, (uint64_t)q->subcluster_size) : f->flight.end;
    r = range_is_zero(d, f->cow_start, f->pos, &f->head_zero);
    return r < 0 ? r : range_is_zero(d, f->end, f->cow_end, &f->tail_zero);
}

/* How far clusters of the same need (new ones, or their own contiguous ones) go; at most end. */
static int plan_extent(struct disk *d, struct filling *f, const struct qcow2_run *first)
{
    struct qcow2 *q = d->priv;
    uint64_t at = f->pos, span = (uint64_t)q->slice_entries << q->h.cluster_bits;
    uint64_t end = MIN(f->end, ALIGN_DOWN(f->pos, span) + span);
    struct qcow2_run run = *first;

    f->made = !owned(first);
    f->host = first->host_offset & ~q->cluster_mask;
    for (;;) {
        int r;

        at += run.len;
        if (f->made)
            at = ALIGN_UP(at, (uint64_t)q->cluster_size); /* decided by its first subcluster */
        if (at >= end)
            break;
        r = qcow2_lookup(d, at, end - at, &run);
        if (r < 0)
            break; /* reported when it is its turn */
        if (owned(&run) == f->made)
            break;
        if (!f->made && (run.type == Q2_NORMAL ||
                         run.host_offset - (at - (f->pos & ~q->cluster_mask)) != f->host))
            break;
    }
    f->end = MIN(at, end);
    return 0;
}

/* New clusters for the whole extent, or the first part of it. */
static int take_clusters(struct disk *d, struct filling *f)
{
    struct qcow2 *q = d->priv;
    uint64_t n =
        (ALIGN_UP(f->end, (uint64_t)q->cluster_size) - f->flight.start) >> q->h.cluster_bits;
    uint64_t got = n, before = q->data->file_end;
    int64_t offset;

    f->clusters = n;
    if (!f->made)
        return 0;
    if (qcow2_has_data_file(q)) { /* there the host offset is the guest's */
        f->host = f->flight.start;
        return 0;
    }
    disk_event(d->file, EVENT_CLUSTER_ALLOC);
    offset = qcow2_alloc_some(d, n, &got);
    if (offset < 0)
        return (int)offset;
    f->host = (uint64_t)offset;
    f->clusters = got;
    f->fresh = f->host >= before && !q->crypt;
    f->end = MIN(f->end, f->flight.start + (got << q->h.cluster_bits));
    return 0;
}

static void give_back(struct disk *d, const struct filling *f)
{
    struct qcow2 *q = d->priv;

    if (f->made && f->clusters && !qcow2_has_data_file(q))
        qcow2_free(d, f->host, f->clusters << q->h.cluster_bits, Q2_DISCARD_OTHER);
}

/* Copies what was in [start, start + len) of the guest to buf. */
static int read_around(struct disk *d, uint64_t start, uint8_t *buf, size_t len, bool zero)
{
    if (zero || !len)
        return 0; /* buf is zeroed */
    disk_event(d->file, EVENT_COW_READ);
    return qcow2_read(d, start, vec_of(buf, len));
}

/* Fills the clusters with one write. v is [pos, end). */
static int fill(struct disk *d, const struct filling *f, struct disk_vec v)
{
    uint64_t start = f->fresh && f->head_zero ? f->pos : f->cow_start;
    uint64_t stop = f->fresh && f->tail_zero ? f->end : f->cow_end;
    size_t head = f->pos - start, tail = stop - f->end, covered = 0;
    uint64_t host = f->host + (start - f->flight.start);
    int ret;

    disk_event(d->file, EVENT_WRITE_AIO);
    if (!head && !tail)
        return qcow2_write_host(d, host, v);

    AUTO_FREE uint8_t *around = xnew_array(uint8_t, head + tail);
    AUTO_FREE struct iovec *iov = xnew_array(struct iovec, (v.iov ? v.count : 1) + 2ull);
    uint32_t n = 0;

    ret = read_around(d, start, around, head, f->head_zero);
    if (ret == 0)
        ret = read_around(d, f->end, around + head, tail, f->tail_zero);
    if (ret < 0)
        return ret;
    disk_event(d->file, EVENT_COW_WRITE);
    if (head)
        iov[n++] = (struct iovec){ around, head };
    n += vec_fill(&v, iov + n, v.iov ? v.count : 1, &covered);
    assert(covered == v.len);
    if (tail)
        iov[n++] = (struct iovec){ around + head, tail };
    return qcow2_write_host(d, host, vec_of_iov(iov, n));
}

/* Bits of the subclusters of cluster i that hold data now. */
static uint64_t written_bits(const struct qcow2 *q, const struct filling *f, uint64_t i)
{
    uint64_t base = f->flight.start + (i << q->h.cluster_bits);
    uint64_t lo = f->cow_start > base ? (f->cow_start - base) / q->subcluster_size : 0;
    uint64_t hi =
        MIN((ALIGN_UP(f->cow_end, (uint64_t)q->subcluster_size) - base) / q->subcluster_size, 32u);

    return (BIT(hi) - 1) & ~(BIT(lo) - 1);
}

/* Makes the L2 entries name the filled clusters; frees what they named. */
static int link_clusters(struct disk *d, const struct filling *f)
{
    struct qcow2 *q = d->priv;
    uint32_t first;
    void *slice;
    int ret = qcow2_writable_l2(d, f->flight.start, &slice, &first);

    if (ret < 0)
        return ret;
    disk_event(d->file, EVENT_L2_UPDATE);
    if (f->made && !(q->lazy && q->marked_dirty))
        ret = qcow2_cache_depend(q->l2_cache, q->refcount_cache);
    if (ret == 0)
        ret = qcow2_cache_depend(q->l2_cache, NULL); /* the copied bytes come first */
    for (uint64_t i = 0; i < f->clusters && ret == 0; i++) {
        uint8_t *p = (uint8_t *)slice + (first + i) * q->l2_entry_size;
        uint64_t old = ld_be64(p), bits;

        st_be64(p, (f->host + (i << q->h.cluster_bits)) | ENTRY_COPIED);
        if (q->extended_l2) {
            bits = written_bits(q, f, i);
            st_be64(p + 8, (ld_be64(p + 8) & ~(bits | bits << 32)) | bits);
        }
        if (f->made)
            qcow2_free_cluster_of(d, old, Q2_DISCARD_OTHER);
    }
    qcow2_cache_dirty_range(q->l2_cache, slice, first * q->l2_entry_size,
                            (uint32_t)f->clusters * q->l2_entry_size);
    qcow2_cache_put(q->l2_cache, &slice);
    return ret;
}

/* Under meta: plans the next part of [offset, offset + len). In place: f->clusters is 0, *ret_side
 * an op. Else a flight has begun. */
static int begin(struct disk *d, uint64_t offset, uint64_t len, struct filling *f,
                 unsigned *ret_side)
{
    struct qcow2 *q = d->priv;
    struct qcow2_run run;
    int ret;

    *f = (struct filling){ .pos = offset, .end = offset + len };
    if (q->corrupt)
        return -EIO;
    do {
        ret = qcow2_lookup(d, offset, len, &run);
        if (ret < 0)
            return ret;
        if (run.type == Q2_NORMAL && run.copied) {
            f->host = run.host_offset;
            f->end = offset + run.len;
            *ret_side = qcow2_op_begin(q);
            return 0;
        }
        f->end = offset + len;
        ret = plan_extent(d, f, &run);
        if (ret < 0)
            return ret;
        f->flight.start = offset & ~q->cluster_mask;
        f->flight.end = ALIGN_UP(f->end, (uint64_t)q->cluster_size);
    } while (qcow2_flight_wait(q, f->flight.start, f->flight.end));
    ret = take_clusters(d, f);
    if (ret < 0)
        return ret;
    f->flight.end = f->flight.start + (f->clusters << q->h.cluster_bits);
    ret = plan_edges(d, f);
    if (ret < 0) {
        give_back(d, f);
        return ret;
    }
    qcow2_flight_add(q, &f->flight);
    return 0;
}

int qcow2_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    struct qcow2 *q = d->priv;
    size_t done = 0;

    (void)flags;
    while (done < v.len) {
        struct filling f;
        unsigned side = 0;
        size_t n;
        int ret;

        WITH_LOCK (&q->meta)
            ret = begin(d, offset + done, v.len - done, &f, &side);
        if (ret < 0)
            return ret;
        n = f.end - f.pos;
        if (!f.clusters) {
            disk_event(d->file, EVENT_WRITE_AIO);
            ret = qcow2_write_host(d, f.host, vec_slice(v, done, n));
            qcow2_op_end(q, side);
        } else {
            ret = fill(d, &f, vec_slice(v, done, n));
            WITH_LOCK (&q->meta) {
                if (ret == 0)
                    ret = link_clusters(d, &f);
                if (ret < 0)
                    give_back(d, &f);
                qcow2_flight_remove(q, &f.flight);
            }
        }
        if (ret < 0)
            return ret;
        done += n;
    }
    return 0;
}
