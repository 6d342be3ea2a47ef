/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reference counts of the clusters of the file (spec "Host cluster management"): reading and
 * changing them, and making refcount blocks and a larger refcount table when the file outgrows
 * them. A new block describes itself where it can; table entries are written after the blocks they
 * name are durable. All under meta.
 */
#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/qcow2/flight.h"

#define MAX_TABLE_ENTRIES ((8u << 20) / 8)
#define RESERVED_MASK     UINT64_C(511)

uint64_t qcow2_load_refcount(unsigned order, const void *block, uint64_t index)
{
    const uint8_t *b = block;

    switch (order) {
    case 0: return b[index / 8] >> (index % 8) & 1;
    case 1: return b[index / 4] >> (index % 4 * 2) & 3;
    case 2: return b[index / 2] >> (index % 2 * 4) & 15;
    case 3: return b[index];
    case 4: return ld_be16(b + index * 2);
    case 5: return ld_be32(b + index * 4);
    default: return ld_be64(b + index * 8);
    }
}

void qcow2_store_refcount(unsigned order, void *block, uint64_t index, uint64_t value)
{
    uint8_t *b = block;
    unsigned width = 1u << order, shift;

    switch (order) {
    case 0:
    case 1:
    case 2:
        b += index * width / 8;
        shift = index * width % 8;
        *b = (uint8_t)((*b & ~(((1u << width) - 1) << shift)) | (unsigned)value << shift);
        return;
    case 3: b[index] = (uint8_t)value; return;
    case 4: st_be16(b + index * 2, (uint16_t)value); return;
    case 5: st_be32(b + index * 4, (uint32_t)value); return;
    default: st_be64(b + index * 8, value); return;
    }
}

uint64_t qcow2_max_refcount(const struct qcow2 *q)
{
    return ~UINT64_C(0) >> (64 - q->refcount_bits);
}

/* log2 of the clusters that one block counts. */
static unsigned block_bits(const struct qcow2 *q)
{
    return q->h.cluster_bits + 3 - q->h.refcount_order;
}

int qcow2_refcount_init(struct disk *d)
{
    struct qcow2 *q = d->priv;
    size_t bytes = (size_t)q->h.refcount_table_clusters << q->h.cluster_bits;
    int ret;

    q->refcount_table_entries = (uint32_t)(bytes / 8);
    q->refcount_table = xnew_array(uint64_t, q->refcount_table_entries + 1);
    q->free_cluster_hint = 0;
    q->refcount_dirty_lo = q->refcount_dirty_hi = 0;
    ret = qcow2_file_read(d, q->h.refcount_table_offset, q->refcount_table, bytes);
    if (ret < 0)
        return ret;
    for (uint32_t i = 0; i < q->refcount_table_entries; i++)
        q->refcount_table[i] = ld_be64(&q->refcount_table[i]);
    return 0;
}

void qcow2_refcount_finish(struct disk *d)
{
    struct qcow2 *q = d->priv;

    free(TAKE(q->refcount_table));
    q->refcount_table_entries = 0;
}

/* The block that counts the cluster: NULL in *ret when there is none. To be put. */
static int get_block(struct disk *d, uint64_t cluster, void **ret)
{
    struct qcow2 *q = d->priv;
    uint64_t i = cluster >> block_bits(q), offset;

    *ret = NULL;
    if (i >= q->refcount_table_entries || !q->refcount_table[i])
        return 0;
    offset = q->refcount_table[i];
    if (offset & RESERVED_MASK || offset & q->cluster_mask || offset >> 56)
        return qcow2_mark_corrupt(d, "a refcount block lies at an impossible offset");
    return qcow2_cache_get(q->refcount_cache, offset, ret);
}

int qcow2_get_refcount(struct disk *d, uint64_t cluster, uint64_t *ret)
{
    struct qcow2 *q = d->priv;
    void *block;
    int r = get_block(d, cluster, &block);

    if (r < 0)
        return r;
    *ret = block
               ? qcow2_load_refcount(q->h.refcount_order, block, cluster & (BIT(block_bits(q)) - 1))
               : 0;
    qcow2_cache_put(q->refcount_cache, &block);
    return 0;
}

int qcow2_write_refcount_table(struct disk *d)
{
    struct qcow2 *q = d->priv;
    uint32_t lo = ALIGN_DOWN(q->refcount_dirty_lo, 64u), hi = ALIGN_UP(q->refcount_dirty_hi, 64u);
    int ret;

    if (!q->refcount_dirty_hi || q->refcount_growing)
        return 0;
    hi = MIN(hi, (uint32_t)(((uint64_t)q->h.refcount_table_clusters << q->h.cluster_bits) / 8));

    AUTO_FREE uint64_t *buf = xnew_array(uint64_t, hi - lo);

    for (uint32_t i = lo; i < hi; i++)
        st_be64(&buf[i - lo], q->refcount_table[i]);
    ret = qcow2_barrier(d); /* the blocks are there before they are named */
    if (ret == 0)
        ret = qcow2_check_overlap(d, BIT(Q2_REFCOUNT_TABLE), q->h.refcount_table_offset + lo * 8ull,
                                  (hi - lo) * 8ull);
    if (ret == 0)
        ret = qcow2_file_write(d, q->h.refcount_table_offset + lo * 8ull, buf, (hi - lo) * 8ull);
    if (ret == 0)
        q->refcount_dirty_lo = q->refcount_dirty_hi = 0;
    return ret;
}

static void name_block(struct qcow2 *q, uint32_t index, uint64_t offset)
{
    q->refcount_table[index] = offset;
    if (!q->refcount_dirty_hi)
        q->refcount_dirty_lo = index;
    q->refcount_dirty_lo = MIN(q->refcount_dirty_lo, index);
    q->refcount_dirty_hi = MAX(q->refcount_dirty_hi, index + 1);
}

/* A block at cluster `at`, which it counts itself. */
static int make_block_here(struct disk *d, uint64_t at)
{
    struct qcow2 *q = d->priv;
    void *block;
    int ret = qcow2_check_overlap(d, 0, at << q->h.cluster_bits, q->cluster_size);

    if (ret == 0)
        ret = qcow2_cache_get_empty(q->refcount_cache, at << q->h.cluster_bits, &block);
    if (ret < 0)
        return ret;
    qcow2_store_refcount(q->h.refcount_order, block, at & (BIT(block_bits(q)) - 1), 1);
    qcow2_cache_put(q->refcount_cache, &block);
    name_block(q, (uint32_t)(at >> block_bits(q)), at << q->h.cluster_bits);
    q->data->file_end = MAX(q->data->file_end, (at + 1) << q->h.cluster_bits);
    return 0;
}

/* A table of at least `entries`, and what itself and its blocks need, takes the old one's place. */
static int grow_table(struct disk *d, uint64_t entries)
{
    struct qcow2 *q = d->priv;
    uint64_t per_cluster = q->cluster_size / 8, old_offset = q->h.refcount_table_offset;
    uint32_t old_clusters = q->h.refcount_table_clusters, clusters;
    int64_t offset;
    int ret;

    if (q->refcount_growing)
        return -EFBIG;
    entries = MAX(entries + entries / 4 + 2, (uint64_t)q->refcount_table_entries * 3 / 2);
    entries = ALIGN_UP(entries + entries / (BIT(block_bits(q)) * per_cluster) + 2, per_cluster);
    entries = MIN(entries, (uint64_t)MAX_TABLE_ENTRIES);
    if (entries <= q->refcount_table_entries)
        return -EFBIG;
    ret = qcow2_cache_write(q->refcount_cache);
    if (ret < 0)
        return ret;
    clusters = (uint32_t)(entries / per_cluster);
    q->refcount_table = xrealloc_array(q->refcount_table, entries, sizeof(uint64_t));
    memset(q->refcount_table + q->refcount_table_entries, 0,
           (entries - q->refcount_table_entries) * sizeof(uint64_t));
    q->refcount_table_entries = (uint32_t)entries;
    q->refcount_growing = true;
    offset = qcow2_alloc(d, (uint64_t)clusters << q->h.cluster_bits);
    ret = offset < 0 ? (int)offset : qcow2_cache_write(q->refcount_cache);
    if (ret == 0) {
        AUTO_FREE uint64_t *buf = xnew_array(uint64_t, entries);

        for (uint64_t i = 0; i < entries; i++)
            st_be64(&buf[i], q->refcount_table[i]);
        ret = qcow2_file_write(d, (uint64_t)offset, buf, entries * 8);
    }
    if (ret == 0)
        ret = qcow2_barrier(d);
    if (ret == 0) {
        q->h.refcount_table_offset = (uint64_t)offset;
        q->h.refcount_table_clusters = clusters;
        ret = qcow2_write_header(d);
        if (ret < 0) {
            q->h.refcount_table_offset = old_offset;
            q->h.refcount_table_clusters = old_clusters;
        }
    }
    q->refcount_growing = false;
    if (ret < 0) { /* the entries beyond the file's table cannot be kept */
        q->refcount_table_entries = (uint32_t)(((uint64_t)old_clusters << q->h.cluster_bits) / 8);
        q->refcount_dirty_hi = MIN(q->refcount_dirty_hi, q->refcount_table_entries);
        return ret;
    }
    q->refcount_dirty_lo = q->refcount_dirty_hi = 0;
    ret = qcow2_barrier(d);
    qcow2_free(d, old_offset, (uint64_t)old_clusters << q->h.cluster_bits, Q2_DISCARD_OTHER);
    return ret;
}

/* Sees to a block that counts `cluster`. */
static int ensure_block(struct disk *d, uint64_t cluster)
{
    struct qcow2 *q = d->priv;
    unsigned bits = block_bits(q);
    uint64_t index = cluster >> bits, at;
    int ret;

    while (index >= q->refcount_table_entries || !q->refcount_table[index]) {
        uint64_t refcount = 0;

        if (index >= q->refcount_table_entries) {
            ret = grow_table(d, index + 1);
            if (ret < 0)
                return ret;
            continue;
        }
        for (at = q->free_cluster_hint;; at++) { /* the first free cluster */
            ret = qcow2_get_refcount(d, at, &refcount);
            if (ret < 0)
                return ret;
            if (!refcount)
                break;
        }
        if (at >> bits >= q->refcount_table_entries)
            ret = grow_table(d, (at >> bits) + 1);
        else if (!q->refcount_table[at >> bits])
            ret = make_block_here(d, at);
        else { /* counted by a block that exists */
            void *block;

            ret = qcow2_change_refcount(d, at << q->h.cluster_bits, q->cluster_size, 1);
            if (ret == 0)
                ret = qcow2_cache_get_empty(q->refcount_cache, at << q->h.cluster_bits, &block);
            if (ret == 0) {
                qcow2_cache_put(q->refcount_cache, &block);
                q->data->file_end = MAX(q->data->file_end, (at + 1) << q->h.cluster_bits);
                name_block(q, (uint32_t)index, at << q->h.cluster_bits);
            }
        }
        if (ret < 0)
            return ret;
    }
    return 0;
}

int qcow2_ensure_blocks(struct disk *d, uint64_t first, uint64_t n)
{
    struct qcow2 *q = d->priv;
    unsigned bits = block_bits(q);
    int made = 0;

    for (uint64_t i = first >> bits; i <= (first + n - 1) >> bits; i++) {
        if (i < q->refcount_table_entries && q->refcount_table[i])
            continue;
        int ret = ensure_block(d, i << bits);

        if (ret < 0)
            return ret;
        made = 1;
    }
    return made;
}

int64_t qcow2_cluster_run(struct disk *d, uint64_t first, uint64_t max, bool free)
{
    struct qcow2 *q = d->priv;
    uint64_t mask = BIT(block_bits(q)) - 1, at = first;

    while (at - first < max) {
        uint64_t end = MIN(at | mask, first + max - 1);
        void *block;
        int ret = get_block(d, at, &block);

        if (ret < 0)
            return ret;
        if (!block && !free)
            break;
        if (!block) { /* nothing that it would count is in use, or that later ones would */
            at = at >> block_bits(q) < q->refcount_table_entries ? end + 1 : first + max;
            continue;
        }
        for (; at <= end; at++)
            if (!qcow2_load_refcount(q->h.refcount_order, block, at & mask) != free)
                break;
        qcow2_cache_put(q->refcount_cache, &block);
        if (at <= end)
            break;
    }
    return (int64_t)(at - first);
}

/* The part of a change that one block counts: clusters [first, last]. */
static int change_in_block(struct disk *d, uint64_t first, uint64_t last, int64_t by)
{
    struct qcow2 *q = d->priv;
    unsigned order = q->h.refcount_order;
    uint64_t mask = BIT(block_bits(q)) - 1, max = qcow2_max_refcount(q), at;
    uint32_t lo, hi;
    void *block;
    int ret = by > 0 ? ensure_block(d, first) : 0;

    if (ret == 0)
        ret = get_block(d, first, &block);
    if (ret < 0)
        return ret;
    if (!block)
        return qcow2_mark_corrupt(d, "a cluster in use has no refcount block");
    for (at = first; at <= last; at++) {
        uint64_t old = qcow2_load_refcount(order, block, at & mask);

        if (by < 0 ? old < (uint64_t)-by : (uint64_t)by > max - old) {
            ret = by > 0 ? -ERANGE : qcow2_mark_corrupt(d, "a refcount would fall below zero");
            break;
        }
        qcow2_store_refcount(order, block, at & mask, old + (uint64_t)by);
        if (by < 0 && old == (uint64_t)-by)
            q->free_cluster_hint = MIN(q->free_cluster_hint, at);
    }
    if (ret < 0) /* as it was */
        for (uint64_t i = first; i < at; i++)
            qcow2_store_refcount(order, block, i & mask,
                                 qcow2_load_refcount(order, block, i & mask) - (uint64_t)by);
    lo = (uint32_t)(((first & mask) << order) / 8);
    hi = (uint32_t)((((last & mask) + 1) << order) + 7) / 8;
    qcow2_cache_dirty_range(q->refcount_cache, block, lo, hi - lo);
    qcow2_cache_put(q->refcount_cache, &block);
    return ret;
}

int qcow2_change_refcount(struct disk *d, uint64_t offset, uint64_t len, int64_t by)
{
    struct qcow2 *q = d->priv;
    uint64_t first = offset >> q->h.cluster_bits, last, at;
    int ret = qcow2_mark_dirty(d);

    if (ret < 0 || !len || !by)
        return ret;
    if (!checked_add(offset, len - 1, &last) || last >> 56)
        return -EFBIG;
    last >>= q->h.cluster_bits;
    for (at = first; at <= last && ret == 0;) {
        uint64_t end = MIN(last, at | (BIT(block_bits(q)) - 1));

        ret = change_in_block(d, at, end, by);
        if (ret == 0)
            at = end + 1;
    }
    if (ret < 0 && at > first) { /* as it was */
        uint64_t bits = q->h.cluster_bits;

        if (qcow2_change_refcount(d, first << bits, (at - first) << bits, -by) < 0)
            return -EIO;
    }
    return ret;
}
