/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From guest offsets to host clusters: the L1 table (in memory, host order) and slices of L2 tables
 * (in a cache, as in the file); spec "Cluster mapping". All under meta. Tables are made, or copied
 * away from a snapshot, when an entry is to change.
 */
#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/qcow2/qcow2.h"

#define MAX_L1_ENTRIES ((32u << 20) / 8)

enum qcow2_type qcow2_entry_type(const struct qcow2 *q, uint64_t entry, uint64_t bitmap,
                                 unsigned sc)
{
    bool host = entry & ENTRY_OFFSET_MASK || (qcow2_has_data_file(q) && entry & ENTRY_COPIED);

    if (entry & L2_COMPRESSED)
        return Q2_COMPRESSED;
    if (q->extended_l2) {
        if (bitmap >> 32 & BIT(sc))
            return host ? Q2_ZERO_ALLOC : Q2_ZERO_PLAIN;
        if (!host)
            return Q2_UNALLOCATED;
        return bitmap & BIT(sc) ? Q2_NORMAL : Q2_UNALLOCATED_HOST;
    }
    if (entry & L2_ZERO && q->h.version >= 3)
        return host ? Q2_ZERO_ALLOC : Q2_ZERO_PLAIN;
    return host ? Q2_NORMAL : Q2_UNALLOCATED;
}

int qcow2_check_entry(struct disk *d, uint64_t entry, uint64_t bitmap)
{
    struct qcow2 *q = d->priv;

    if (entry & L2_COMPRESSED) {
        if (bitmap)
            return qcow2_mark_corrupt(d, "a compressed cluster has subclusters");
        if (qcow2_has_data_file(q))
            return qcow2_mark_corrupt(d, "a compressed cluster in an image with a data file");
        return 0;
    }
    if (entry & ENTRY_OFFSET_MASK & q->cluster_mask)
        return qcow2_mark_corrupt(d, "an L2 entry's offset is not at a cluster boundary");
    if (bitmap & bitmap >> 32 & UINT32_MAX)
        return qcow2_mark_corrupt(d, "a subcluster is both allocated and zero");
    if ((uint32_t)bitmap && !(entry & ENTRY_OFFSET_MASK) &&
        !(qcow2_has_data_file(q) && entry & ENTRY_COPIED))
        return qcow2_mark_corrupt(d, "subclusters are allocated without a cluster");
    return 0;
}

void qcow2_compressed_place(const struct qcow2 *q, uint64_t entry, uint64_t *ret_offset,
                            uint32_t *ret_len)
{
    unsigned x = 62 - (q->h.cluster_bits - 8);
    uint64_t sectors;

    *ret_offset = entry & (BIT(x) - 1);
    sectors = (entry & (BIT(62) - 1)) >> x;
    *ret_len = (uint32_t)((sectors + 1) * 512 - (*ret_offset & 511));
}

int qcow2_load_l1(struct disk *d)
{
    struct qcow2 *q = d->priv;
    uint32_t n = q->h.l1_entries;
    uint64_t *l1 = xnew_array(uint64_t, n + 1u);
    int ret = qcow2_file_read(d, q->h.l1_offset, l1, n * 8ull);

    if (ret < 0) {
        free(l1);
        return ret;
    }
    for (uint32_t i = 0; i < n; i++)
        l1[i] = ld_be64(&l1[i]);
    free(q->l1);
    q->l1 = l1;
    q->l1_dirty_lo = q->l1_dirty_hi = 0;
    return 0;
}

void qcow2_l1_changed(struct qcow2 *q, uint32_t first, uint32_t n)
{
    if (!q->l1_dirty_hi)
        q->l1_dirty_lo = first;
    q->l1_dirty_lo = MIN(q->l1_dirty_lo, first);
    q->l1_dirty_hi = MAX(q->l1_dirty_hi, first + n);
}

static int write_l1_range(struct disk *d, uint64_t table_offset, uint32_t lo, uint32_t hi)
{
    struct qcow2 *q = d->priv;
    AUTO_FREE uint64_t *buf = xnew_array(uint64_t, hi - lo);

    for (uint32_t i = lo; i < hi && i < q->h.l1_entries; i++)
        st_be64(&buf[i - lo], q->l1[i]);

    int ret = qcow2_check_overlap(d, BIT(Q2_ACTIVE_L1), table_offset + lo * 8ull, (hi - lo) * 8ull);

    return ret < 0 ? ret : qcow2_file_write(d, table_offset + lo * 8ull, buf, (hi - lo) * 8ull);
}

int qcow2_write_l1(struct disk *d)
{
    struct qcow2 *q = d->priv;
    int ret;

    if (!q->l1_dirty_hi)
        return 0;
    ret = qcow2_cache_write(q->l2_cache);
    if (ret == 0)
        ret = qcow2_cache_write(q->refcount_cache);
    if (ret == 0)
        ret = qcow2_barrier(d);
    if (ret == 0) /* whole sectors; a table begins and ends with a cluster */
        ret = write_l1_range(d, q->h.l1_offset, ALIGN_DOWN(q->l1_dirty_lo, 64u),
                             ALIGN_UP(q->l1_dirty_hi, 64u));
    if (ret == 0)
        q->l1_dirty_lo = q->l1_dirty_hi = 0;
    return ret;
}

/* The L2 table of an L1 entry: 0 when there is none. */
static int l2_offset_of(struct disk *d, uint64_t l1_index, uint64_t *ret)
{
    struct qcow2 *q = d->priv;
    uint64_t entry = l1_index < q->h.l1_entries ? q->l1[l1_index] : 0;

    *ret = entry & ENTRY_OFFSET_MASK;
    if (*ret & q->cluster_mask)
        return qcow2_mark_corrupt(d, "an L2 table's offset is not at a cluster boundary");
    return 0;
}

/* Bytes from offset that the same slice maps. */
static uint64_t slice_left(const struct qcow2 *q, uint64_t offset)
{
    uint64_t span = (uint64_t)q->slice_entries << q->h.cluster_bits;

    return span - (offset & (span - 1));
}

/* To be put; with cached, -EAGAIN instead of reading it, and not to be put. */
static int get_slice(struct disk *d, uint64_t l2_offset, uint64_t offset, bool cached,
                     void **ret_slice, uint32_t *ret_index)
{
    struct qcow2 *q = d->priv;
    uint32_t i = (offset >> q->h.cluster_bits) & (q->l2_entries - 1);

    *ret_index = i & (q->slice_entries - 1);
    l2_offset += (uint64_t)(i - *ret_index) * q->l2_entry_size;
    if (!cached)
        return qcow2_cache_get(q->l2_cache, l2_offset, ret_slice);
    *ret_slice = qcow2_cache_peek(q->l2_cache, l2_offset);
    return *ret_slice ? 0 : -EAGAIN;
}

/* Extends the run over plain entries from index i on; returns the clusters it covers. */
static uint64_t count_plain(const struct qcow2 *q, const uint8_t *slice, uint32_t i, uint64_t max,
                            enum qcow2_type type)
{
    uint64_t first = ld_be64(slice + i * 8ull), step = 0, n = 1;

    if (type == Q2_COMPRESSED)
        return 1;
    if (type == Q2_NORMAL || type == Q2_ZERO_ALLOC)
        step = q->cluster_size;
    for (; n < max; n++) {
        uint64_t e = ld_be64(slice + (i + n) * 8ull);

        if (e != first + n * step)
            break;
    }
    return n;
}

/* The same by subclusters, from sc of cluster i on; returns subclusters. */
static int count_extended(struct disk *d, const uint8_t *slice, uint32_t i, unsigned sc,
                          uint64_t max, enum qcow2_type type, uint64_t *ret)
{
    const struct qcow2 *q = d->priv;
    uint64_t first = ld_be64(slice + i * 16ull), n = 0;
    bool host = type == Q2_NORMAL || type == Q2_ZERO_ALLOC || type == Q2_UNALLOCATED_HOST;

    if (type == Q2_COMPRESSED) {
        *ret = MIN(max, 32u - sc);
        return 0;
    }
    for (uint64_t c = 0; n < max; c++, sc = 0) {
        uint64_t e = ld_be64(slice + (i + c) * 16ull), bm = ld_be64(slice + (i + c) * 16ull + 8);
        int r = qcow2_check_entry(d, e, bm);

        if (r < 0)
            return n ? (*ret = n, 0) : r;
        if (c && host && e != first + c * q->cluster_size)
            break;
        for (; sc < 32 && n < max; sc++, n++)
            if (qcow2_entry_type(q, e, bm, sc) != type) {
                *ret = n;
                return 0;
            }
    }
    *ret = n;
    return 0;
}

static int lookup(struct disk *d, uint64_t offset, uint64_t len, bool cached, struct qcow2_run *ret)
{
    struct qcow2 *q = d->priv;
    uint64_t l2_offset, entry, bitmap = 0, in = offset & q->cluster_mask, n, unit;
    unsigned sc = 0;
    uint32_t i;
    void *slice;
    int r = l2_offset_of(d, qcow2_l1_index(q, offset), &l2_offset);

    if (r < 0)
        return r;
    if (!l2_offset) {
        uint64_t span = (uint64_t)q->l2_entries << q->h.cluster_bits;

        *ret =
            (struct qcow2_run){ Q2_UNALLOCATED, MIN(len, span - (offset & (span - 1))), 0, false };
        return 0;
    }
    r = get_slice(d, l2_offset, offset, cached, &slice, &i);
    if (r < 0)
        return r;
    len = MIN(len, slice_left(q, offset));
    entry = ld_be64((uint8_t *)slice + (size_t)i * q->l2_entry_size);
    if (q->extended_l2) {
        bitmap = ld_be64((uint8_t *)slice + i * 16ull + 8);
        sc = (unsigned)(in / q->subcluster_size);
    }
    r = qcow2_check_entry(d, entry, bitmap);
    if (r == 0) {
        ret->type = qcow2_entry_type(q, entry, bitmap, sc);
        ret->copied = entry & ENTRY_COPIED;
        ret->host_offset = ret->type == Q2_COMPRESSED ? entry : (entry & ENTRY_OFFSET_MASK) + in;
        unit = q->subcluster_size;
        n = (len + (offset & (unit - 1)) + unit - 1) / unit;
        if (q->extended_l2)
            r = count_extended(d, slice, i, sc, n, ret->type, &n);
        else
            n = count_plain(q, slice, i, n, ret->type);
        ret->len = MIN(len, n * unit - (offset & (unit - 1)));
    }
    if (!cached)
        qcow2_cache_put(q->l2_cache, &slice);
    return r;
}

int qcow2_lookup(struct disk *d, uint64_t offset, uint64_t len, struct qcow2_run *ret)
{
    return lookup(d, offset, len, false, ret);
}

int qcow2_lookup_cached(struct disk *d, uint64_t offset, uint64_t len, struct qcow2_run *ret)
{
    return lookup(d, offset, len, true, ret);
}

/* A table for the L1 entry: empty, or with what the shared one holds. */
static int make_l2(struct disk *d, uint32_t l1_index, uint64_t old_offset)
{
    struct qcow2 *q = d->priv;
    uint32_t slice_bytes = q->slice_entries * q->l2_entry_size;
    int64_t offset = qcow2_alloc(d, q->cluster_size);
    int ret;

    if (offset < 0)
        return (int)offset;
    ret = q->lazy && q->marked_dirty ? 0 : qcow2_cache_depend(q->l2_cache, q->refcount_cache);
    for (uint32_t at = 0; at < q->cluster_size && ret == 0; at += slice_bytes) {
        void *from = NULL, *to = NULL;

        ret = qcow2_cache_get_empty(q->l2_cache, (uint64_t)offset + at, &to);
        if (ret == 0 && old_offset)
            ret = qcow2_cache_get(q->l2_cache, old_offset + at, &from);
        if (ret == 0 && old_offset)
            memcpy(to, from, slice_bytes);
        qcow2_cache_put(q->l2_cache, &from);
        qcow2_cache_put(q->l2_cache, &to);
    }
    if (ret < 0) {
        qcow2_cache_forget(q->l2_cache, (uint64_t)offset, q->cluster_size);
        qcow2_free(d, (uint64_t)offset, q->cluster_size, Q2_DISCARD_OTHER);
        return ret;
    }
    q->l1[l1_index] = (uint64_t)offset | ENTRY_COPIED;
    qcow2_l1_changed(q, l1_index, 1);
    if (old_offset)
        qcow2_free(d, old_offset, q->cluster_size, Q2_DISCARD_OTHER);
    return 0;
}

int qcow2_writable_l2(struct disk *d, uint64_t offset, void **ret_slice, uint32_t *ret_index)
{
    struct qcow2 *q = d->priv;
    uint64_t i = qcow2_l1_index(q, offset), l2_offset = 0;
    int ret = 0;

    if (i >= MAX_L1_ENTRIES)
        return -EFBIG;
    if (i >= q->h.l1_entries)
        ret = qcow2_grow_l1(d, (uint32_t)i + 1, false);
    if (ret == 0)
        ret = qcow2_mark_dirty(d);
    if (ret == 0)
        ret = l2_offset_of(d, i, &l2_offset);
    if (ret == 0 && (!l2_offset || !(q->l1[i] & ENTRY_COPIED))) {
        ret = make_l2(d, (uint32_t)i, l2_offset);
        if (ret == 0)
            ret = l2_offset_of(d, i, &l2_offset);
    }
    return ret < 0 ? ret : get_slice(d, l2_offset, offset, false, ret_slice, ret_index);
}

int qcow2_grow_l1(struct disk *d, uint32_t entries, bool exact)
{
    struct qcow2 *q = d->priv;
    uint32_t old_entries = q->h.l1_entries, n = exact ? entries : MAX(entries, 1u);
    uint64_t old_offset = q->h.l1_offset;
    int64_t offset;
    int ret;

    if (entries <= old_entries)
        return 0;
    if (!exact)
        n = MIN(MAX(n, old_entries + old_entries / 2), MAX_L1_ENTRIES);
    if (entries > MAX_L1_ENTRIES)
        return -EFBIG;
    offset = qcow2_alloc(d, n * 8ull);
    if (offset < 0)
        return (int)offset;
    ret = qcow2_cache_write(q->l2_cache);
    if (ret == 0)
        ret = qcow2_cache_write(q->refcount_cache);
    if (ret < 0)
        goto fail;
    q->l1 = xrealloc_array(q->l1, n + 1u, sizeof(uint64_t));
    memset(q->l1 + old_entries, 0, (n - old_entries) * sizeof(uint64_t));
    q->h.l1_entries = n;
    ret = write_l1_range(d, (uint64_t)offset, 0, ALIGN_UP(n, q->cluster_size / 8));
    if (ret == 0)
        ret = qcow2_barrier(d);
    q->h.l1_offset = (uint64_t)offset;
    if (ret == 0)
        ret = qcow2_write_header(d);
    if (ret == 0) {
        q->l1_dirty_lo = q->l1_dirty_hi = 0;
        if (old_entries)
            qcow2_free(d, old_offset, old_entries * 8ull, Q2_DISCARD_OTHER);
        return qcow2_barrier(d);
    }
    q->h.l1_entries = old_entries;
    q->h.l1_offset = old_offset;
fail:
    qcow2_free(d, (uint64_t)offset, n * 8ull, Q2_DISCARD_OTHER);
    return ret;
}

int qcow2_shrink_l1(struct disk *d, uint32_t entries)
{
    struct qcow2 *q = d->priv;

    for (uint32_t i = entries; i < q->h.l1_entries; i++) {
        uint64_t offset = q->l1[i] & ENTRY_OFFSET_MASK;

        if (!q->l1[i])
            continue;
        q->l1[i] = 0;
        qcow2_l1_changed(q, i, 1);
        if (!(offset & q->cluster_mask) && offset)
            qcow2_free(d, offset, q->cluster_size, Q2_DISCARD_OTHER);
    }
    return qcow2_write_l1(d);
}
