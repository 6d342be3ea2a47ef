/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which clusters of the file a new table or new data gets: the lowest free ones, found from a hint
 * below which none is free. Compressed clusters are packed byte after byte. All under meta.
 */
#include "base/scope.h"
#include "disk/format/qcow2/flight.h"

/* Cluster indexes end where offsets reach 2^56. */
static uint64_t cluster_limit(const struct qcow2 *q)
{
    return BIT(56 - q->h.cluster_bits);
}

/* Claims n clusters at first, which were free a moment ago. 0: blocks had to be made, look again.
 */
static int claim(struct disk *d, uint64_t first, uint64_t n)
{
    struct qcow2 *q = d->priv;
    int ret = qcow2_mark_dirty(d);

    if (ret == 0) /* damaged refcounts must not give away what holds metadata */
        ret = qcow2_check_overlap(d, 0, first << q->h.cluster_bits, n << q->h.cluster_bits);
    if (ret == 0)
        ret = qcow2_ensure_blocks(d, first, n);
    if (ret)
        return ret < 0 ? ret : 0;
    ret = qcow2_change_refcount(d, first << q->h.cluster_bits, n << q->h.cluster_bits, 1);
    if (ret < 0)
        return ret;
    if (q->free_cluster_hint == first)
        q->free_cluster_hint = first + n;
    q->data->file_end = MAX(q->data->file_end, (first + n) << q->h.cluster_bits);
    return 1;
}

/* Moves the hint to the first free cluster. */
static int advance_hint(struct disk *d)
{
    struct qcow2 *q = d->priv;
    int64_t used;

    q->free_cluster_hint =
        MAX(q->free_cluster_hint, 1u); /* 0 is the header's, whatever its count */
    used =
        qcow2_cluster_run(d, q->free_cluster_hint, cluster_limit(q) - q->free_cluster_hint, false);
    if (used < 0)
        return (int)used;
    q->free_cluster_hint += (uint64_t)used;
    return 0;
}

int64_t qcow2_alloc(struct disk *d, uint64_t bytes)
{
    struct qcow2 *q = d->priv;
    uint64_t n = (bytes >> q->h.cluster_bits) + ((bytes & q->cluster_mask) != 0), at;
    int ret;

    qcow2_reclaim_if_many(d);
    for (;;) {
        ret = advance_hint(d);
        if (ret < 0)
            return ret;
        for (at = q->free_cluster_hint; n <= cluster_limit(q) - at;) {
            int64_t run = qcow2_cluster_run(d, at, n, true);

            if (run < 0)
                return run;
            if ((uint64_t)run == n)
                break;
            at += (uint64_t)run;
            run = qcow2_cluster_run(d, at, cluster_limit(q) - at, false);
            if (run < 0)
                return run;
            at += (uint64_t)run;
        }
        if (n > cluster_limit(q) - at)
            return -EFBIG;
        ret = claim(d, at, n);
        if (ret)
            return ret < 0 ? ret : (int64_t)(at << q->h.cluster_bits);
    }
}

int64_t qcow2_alloc_some(struct disk *d, uint64_t max, uint64_t *ret_n)
{
    struct qcow2 *q = d->priv;

    qcow2_reclaim_if_many(d);
    for (;;) {
        int ret = advance_hint(d);
        uint64_t at = q->free_cluster_hint;
        int64_t run;

        if (ret < 0)
            return ret;
        if (at >= cluster_limit(q))
            return -EFBIG;
        run = qcow2_cluster_run(d, at, MIN(max, cluster_limit(q) - at), true);
        if (run < 0)
            return run;
        ret = claim(d, at, (uint64_t)run);
        if (ret < 0)
            return ret;
        if (ret) {
            *ret_n = (uint64_t)run;
            return (int64_t)(at << q->h.cluster_bits);
        }
    }
}

int64_t qcow2_alloc_at(struct disk *d, uint64_t offset, uint64_t n)
{
    struct qcow2 *q = d->priv;
    uint64_t first = offset >> q->h.cluster_bits;

    for (;;) {
        int64_t run;
        int ret;

        if (first >= cluster_limit(q) || !first)
            return 0;
        run = qcow2_cluster_run(d, first, MIN(n, cluster_limit(q) - first), true);
        if (run <= 0)
            return run;
        ret = claim(d, first, (uint64_t)run);
        if (ret)
            return ret < 0 ? ret : run;
    }
}

/* A compressed cluster takes any bytes of its clusters; each cluster counts those that touch it. */
int64_t qcow2_alloc_bytes(struct disk *d, uint32_t bytes)
{
    struct qcow2 *q = d->priv;
    uint64_t offset = q->packed_offset, refcount = 0;
    int64_t got;
    int ret;

    assert(bytes && bytes <= q->cluster_size);
    if (q->packed_left && q->packed_left < bytes) { /* go on in the next cluster if that is free */
        ret = qcow2_get_refcount(d, offset >> q->h.cluster_bits, &refcount);
        if (ret < 0)
            return ret;
        got = 0;
        if (refcount && refcount < qcow2_max_refcount(q)) {
            got = qcow2_alloc_at(d, ALIGN_UP(offset, (uint64_t)q->cluster_size), 1);
            if (got < 0)
                return got;
        }
        if (got) {
            ret = qcow2_change_refcount(d, offset, q->packed_left, 1);
            if (ret < 0) {
                qcow2_free(d, ALIGN_UP(offset, (uint64_t)q->cluster_size), 1, Q2_DISCARD_NEVER);
                return ret;
            }
            q->packed_left += q->cluster_size - bytes;
            q->packed_offset += bytes;
            return (int64_t)offset;
        }
        q->packed_left = 0;
    }
    if (q->packed_left) {
        ret = qcow2_get_refcount(d, offset >> q->h.cluster_bits, &refcount);
        if (ret == 0 && refcount && refcount < qcow2_max_refcount(q))
            ret = qcow2_change_refcount(d, offset, bytes, 1);
        else
            q->packed_left = 0; /* full, or freed meanwhile */
        if (ret < 0)
            return ret;
    }
    if (!q->packed_left) {
        got = qcow2_alloc(d, q->cluster_size);
        if (got < 0)
            return got;
        offset = (uint64_t)got;
        q->packed_left = q->cluster_size;
    }
    q->packed_offset = offset + bytes;
    q->packed_left -= bytes;
    return (int64_t)offset;
}
