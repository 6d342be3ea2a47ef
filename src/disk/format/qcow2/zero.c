/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making ranges read as zeroes without writing them (spec "zero flag", "Extended L2 Entries"), and
 * giving clusters back. Both are changes of L2 entries under meta, a slice at a time; what the
 * entries named is freed.
 */
#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/event.h"
#include "disk/format/qcow2/flight.h"

#define ALL_ZERO (UINT64_C(0xffffffff) << 32)

enum verb { ZERO, ZERO_UNMAP, DISCARD, DISCARD_ALL };

/* A change of the entries of guest bytes [start, end), which one slice maps. */
struct change {
    struct disk *d;
    enum verb verb;
    uint64_t start, end;
    enum qcow2_discard why;
};

/* Whether nothing needs to be done for such a run. */
static bool settled(struct disk *d, enum verb verb, const struct qcow2_run *r, uint64_t offset)
{
    const struct qcow2 *q = d->priv;

    switch (verb) {
    case ZERO: return r->type == Q2_ZERO_PLAIN || r->type == Q2_ZERO_ALLOC;
    case ZERO_UNMAP: return r->type == Q2_ZERO_PLAIN;
    case DISCARD:
        if (q->h.version < 3 && offset < qcow2_backing_end(d))
            return true; /* version 2 cannot hide the backing file's data */
        return r->type == Q2_ZERO_PLAIN || (r->type == Q2_UNALLOCATED && !d->backing);
    case DISCARD_ALL: return r->type == Q2_UNALLOCATED;
    }
    return true;
}

/* The whole cluster: what the entry becomes. */
static uint64_t new_entry(const struct change *c, uint64_t old, enum qcow2_type type,
                          uint64_t *bitmap)
{
    const struct qcow2 *q = c->d->priv;
    bool keep = c->verb == ZERO && type != Q2_COMPRESSED;
    uint64_t zero = q->extended_l2 || q->h.version < 3 ? 0 : L2_ZERO;

    *bitmap = c->verb == DISCARD_ALL ? 0 : ALL_ZERO;
    if (c->verb == DISCARD_ALL)
        return 0;
    return (keep ? old & (ENTRY_OFFSET_MASK | ENTRY_COPIED) : 0) | zero;
}

static void change_cluster(const struct change *c, uint8_t *p)
{
    struct qcow2 *q = c->d->priv;
    uint64_t old = ld_be64(p), bitmap = q->extended_l2 ? ld_be64(p + 8) : 0, entry;

    entry = new_entry(c, old, qcow2_entry_type(q, old, bitmap, 0), &bitmap);
    st_be64(p, entry);
    if (q->extended_l2)
        st_be64(p + 8, bitmap);
    if (!(entry & ENTRY_OFFSET_MASK) && !(entry & ENTRY_COPIED))
        qcow2_free_cluster_of(c->d, old, c->why);
}

/* Extended L2: subclusters [lo, hi) of one cluster. -EAGAIN: it is compressed. */
static int change_subclusters(const struct change *c, uint8_t *p, unsigned lo, unsigned hi)
{
    uint64_t bits = (BIT(hi) - 1) & ~(BIT(lo) - 1), bitmap = ld_be64(p + 8);

    if (c->verb == DISCARD || c->verb == DISCARD_ALL)
        return 0;
    if (ld_be64(p) & L2_COMPRESSED)
        return -EAGAIN;
    st_be64(p + 8, (bitmap & ~bits) | bits << 32);
    return 0;
}

static int change_slice(const struct change *c)
{
    struct qcow2 *q = c->d->priv;
    uint64_t size = q->cluster_size, at = c->start;
    uint32_t first, n = 0;
    void *slice;
    int ret = qcow2_writable_l2(c->d, c->start, &slice, &first);

    if (ret < 0)
        return ret;
    disk_event(c->d->file, EVENT_L2_UPDATE);
    for (; at < c->end && ret == 0; n++) {
        uint8_t *p = (uint8_t *)slice + (size_t)(first + n) * q->l2_entry_size;
        uint64_t base = at & ~q->cluster_mask, next = base + size;

        if (at == base && c->end >= next)
            change_cluster(c, p);
        else
            ret = change_subclusters(c, p, (unsigned)((at - base) / q->subcluster_size),
                                     (unsigned)((MIN(c->end, next) - base) / q->subcluster_size));
        at = next;
    }
    qcow2_cache_dirty_range(q->l2_cache, slice, first * q->l2_entry_size, n * q->l2_entry_size);
    qcow2_cache_put(q->l2_cache, &slice);
    return ret;
}

/* One step from *offset: a settled run is passed over, or a slice changed. Meta held. */
static int step(struct disk *d, enum verb verb, enum qcow2_discard why, uint64_t *offset,
                uint64_t end)
{
    struct qcow2 *q = d->priv;
    uint64_t span = (uint64_t)q->slice_entries << q->h.cluster_bits;
    struct change c = { d, verb, *offset, MIN(end, ALIGN_DOWN(*offset, span) + span), why };
    struct qcow2_run run;
    int ret;

    if (q->corrupt)
        return -EIO;
    do {
        ret = qcow2_lookup(d, *offset, end - *offset, &run);
        if (ret < 0)
            return ret;
    } while (qcow2_flight_wait(q, ALIGN_DOWN(*offset, (uint64_t)q->cluster_size), c.end));
    if (settled(d, verb, &run, *offset)) {
        /* Whole clusters: the state of the rest of this one may differ. */
        uint64_t past = *offset + run.len;

        if (past < end)
            past = MAX(ALIGN_DOWN(past, (uint64_t)q->cluster_size), *offset + q->subcluster_size);
        *offset = MIN(past, end);
        return 0;
    }
    ret = change_slice(&c);
    if (ret == 0)
        *offset = c.end;
    return ret;
}

/* A compressed cluster of which only a part shall be zero: written. */
static int write_zeroes(struct disk *d, uint64_t offset, uint64_t len)
{
    AUTO_FREE void *zeroes = xnew_array(uint8_t, len);

    return qcow2_write(d, offset, vec_of(zeroes, len), 0);
}

static int change_range(struct disk *d, enum verb verb, enum qcow2_discard why, uint64_t offset,
                        uint64_t end)
{
    struct qcow2 *q = d->priv;
    int ret = 0;

    while (offset < end && ret == 0) {
        WITH_LOCK (&q->meta)
            ret = step(d, verb, why, &offset, end);
        if (ret == -EAGAIN) {
            uint64_t stop =
                MIN(end, ALIGN_DOWN(offset, (uint64_t)q->cluster_size) + q->cluster_size);

            ret = write_zeroes(d, offset, stop - offset);
            offset = stop;
        }
    }
    return ret;
}

/* The last cluster counts as whole although the disk ends inside it. */
static uint64_t round_end(struct disk *d, uint64_t end)
{
    struct qcow2 *q = d->priv;

    return end == d->size ? ALIGN_UP(end, (uint64_t)q->cluster_size) : end;
}

/* Whether guest bytes read as zeroes by their mapping alone. Meta held. */
static int maps_zero(struct disk *d, uint64_t offset, uint64_t end, bool *ret)
{
    *ret = true;
    while (offset < end && *ret) {
        struct qcow2_run run;
        int r = qcow2_lookup(d, offset, end - offset, &run);

        if (r < 0)
            return r;
        *ret = run.type == Q2_ZERO_PLAIN || run.type == Q2_ZERO_ALLOC ||
               ((run.type == Q2_UNALLOCATED || run.type == Q2_UNALLOCATED_HOST) &&
                offset >= qcow2_backing_end(d));
        offset += run.len;
    }
    return 0;
}

/* Makes (sub)clusters [lo, hi) zero when all of them but [offset, end) is so already. Meta held
 * throughout, so that nobody writes there in between. */
static int zero_if_rest_is(struct disk *d, enum verb verb, uint64_t lo, uint64_t offset,
                           uint64_t end, uint64_t hi, bool *ret_done)
{
    struct qcow2 *q = d->priv;
    bool before, after = false;
    int ret;

    do {
        ret = maps_zero(d, lo, offset, &before);
        if (ret == 0)
            ret = maps_zero(d, end, hi, &after);
        if (ret < 0)
            return ret;
    } while (qcow2_flight_wait(q, ALIGN_DOWN(lo, (uint64_t)q->cluster_size),
                               ALIGN_UP(hi, (uint64_t)q->cluster_size)));
    *ret_done = before && after;
    while (*ret_done && lo < hi && ret == 0)
        ret = step(d, verb, Q2_DISCARD_REQUEST, &lo, hi);
    return ret;
}

/* A piece inside of one (sub)cluster: the whole becomes zero when its rest is so already; else
 * zeroes are written. */
static int zero_piece(struct disk *d, uint64_t offset, uint64_t end, unsigned flags)
{
    struct qcow2 *q = d->priv;
    uint64_t lo = ALIGN_DOWN(offset, (uint64_t)q->subcluster_size);
    uint64_t hi = ALIGN_UP(end, (uint64_t)q->subcluster_size);
    bool done = false;
    int ret = 0;

    if (q->h.version >= 3 && !q->data_file_raw)
        WITH_LOCK (&q->meta)
            ret = zero_if_rest_is(d, flags & DISK_MAY_UNMAP ? ZERO_UNMAP : ZERO, lo, offset, end,
                                  hi, &done);
    if (ret < 0 || done)
        return ret;
    return flags & DISK_NO_FALLBACK ? -ENOTSUP : write_zeroes(d, offset, end - offset);
}

static int zero_whole(struct disk *d, uint64_t offset, uint64_t end, unsigned flags)
{
    struct qcow2 *q = d->priv;
    bool unmap = flags & DISK_MAY_UNMAP;
    int ret;

    if (q->h.version < 3) { /* no zero flag: only holes that nothing lies below */
        if (offset < qcow2_backing_end(d) || !unmap)
            return -ENOTSUP;
        return change_range(d, DISCARD, Q2_DISCARD_REQUEST, offset, end);
    }
    if (q->data_file_raw) { /* the raw file by itself must read the same */
        ret = disk_zero(d->data, offset, MIN(end, d->size) - offset, flags);
        if (ret < 0)
            return ret;
    }
    return change_range(d, unmap ? ZERO_UNMAP : ZERO, Q2_DISCARD_REQUEST, offset, end);
}

int qcow2_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    struct qcow2 *q = d->priv;
    uint64_t end = round_end(d, offset + len), unit = q->subcluster_size;
    uint64_t first = ALIGN_UP(offset, unit), last = ALIGN_DOWN(end, unit);
    int ret;

    if (first > last) /* all inside of one */
        return zero_piece(d, offset, end, flags);
    ret = first < last ? zero_whole(d, first, last, flags) : 0;
    if (ret == 0 && offset < first)
        ret = zero_piece(d, offset, first, flags);
    if (ret == 0 && last < end)
        ret = zero_piece(d, last, end, flags);
    return ret;
}

int qcow2_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    struct qcow2 *q = d->priv;
    uint64_t end = ALIGN_DOWN(round_end(d, offset + len), (uint64_t)q->cluster_size);

    offset = ALIGN_UP(offset, (uint64_t)q->cluster_size);
    if (offset >= end)
        return 0;
    if (q->data_file_raw) {
        int ret = disk_zero(d->data, offset, MIN(end, d->size) - offset,
                            DISK_MAY_UNMAP | DISK_NO_FALLBACK);

        if (ret < 0)
            return ret == -ENOTSUP ? 0 : ret;
    }
    return change_range(d, DISCARD, Q2_DISCARD_REQUEST, offset, end);
}

int qcow2_discard_all(struct disk *d, uint64_t offset, uint64_t end)
{
    return change_range(d, DISCARD_ALL, Q2_DISCARD_OTHER, offset, end);
}
