/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Refcount structures written anew: blocks and table go behind everything that the file has, are
 * made durable, and then one write of the header switches to them, width included. Until then the
 * old ones are untouched; from then on their clusters are free.
 */
#include <assert.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/qcow2/meta.h"

enum { MAX_TABLE_BYTES = 8 << 20 };

struct plan {
    struct disk *d;
    struct qcow2_refs *refs;
    unsigned order;
    uint64_t per_block;
    uint64_t start;    /* first cluster of the new structures: blocks, then the table */
    uint64_t blocks;   /* that are needed */
    uint64_t entries;  /* of the table */
    uint64_t clusters; /* of blocks and table */
};

static uint64_t table_clusters(const struct plan *p)
{
    const struct qcow2 *q = p->d->priv;

    return MAX((p->entries * 8 + q->cluster_mask) >> q->h.cluster_bits, 1u);
}

/* Blocks that clusters before start need. Sets the index of the last one plus one. */
static uint64_t blocks_before(const struct plan *p, uint64_t *ret_entries)
{
    uint64_t n = 0;

    *ret_entries = 0;
    for (uint64_t c = qcow2_refs_next(p->refs, 0); c < p->start; c = qcow2_refs_next(p->refs, c)) {
        n++;
        *ret_entries = c / p->per_block + 1;
        c = *ret_entries * p->per_block;
    }
    return n;
}

static int make_plan(struct plan *p)
{
    const struct qcow2 *q = p->d->priv;
    uint64_t size = disk_size(p->d->file), before, last_before;
    int r;

    p->start = (size + q->cluster_mask) >> q->h.cluster_bits;
    before = blocks_before(p, &last_before);
    /* the new clusters need counting too: until it no longer grows */
    for (p->clusters = 1;;) {
        uint64_t first = p->start / p->per_block,
                 last = (p->start + p->clusters - 1) / p->per_block;
        uint64_t need;

        p->blocks = before + last - first + (last_before == first + 1 ? 0 : 1);
        p->entries = last + 1;
        need = p->blocks + table_clusters(p);
        if (need <= p->clusters)
            break;
        p->clusters = need;
    }
    p->clusters = p->blocks + table_clusters(p);
    if (p->entries * 8 > MAX_TABLE_BYTES)
        return -EFBIG;
    r = qcow2_refs_extend(p->refs, p->start + p->clusters);
    for (uint64_t c = p->start; r == 0 && c < p->start + p->clusters; c++) {
        qcow2_refs_clear(p->refs, c);
        qcow2_refs_add(p->refs, c, 1);
    }
    return r;
}

static int write_block(const struct plan *p, uint64_t n, uint8_t *buf, uint64_t at)
{
    const struct qcow2 *q = p->d->priv;
    uint64_t max = p->order == 6 ? UINT64_MAX : BIT(1u << p->order) - 1;
    uint64_t end = MIN((n + 1) * p->per_block, qcow2_refs_count(p->refs));

    memset(buf, 0, q->cluster_size);
    for (uint64_t c = qcow2_refs_next(p->refs, n * p->per_block); c < end;
         c = qcow2_refs_next(p->refs, c + 1)) {
        uint64_t count = qcow2_refs_get(p->refs, c);

        if (count > max)
            return -ERANGE;
        qcow2_store_refcount(p->order, buf, c % p->per_block, count);
    }
    return qcow2_file_write(p->d, at, buf, q->cluster_size);
}

/* Writes blocks and table; fills the table in host order. */
static int write_structures(const struct plan *p, uint64_t *table, uint64_t *ret_table_offset)
{
    const struct qcow2 *q = p->d->priv;
    uint64_t bytes = table_clusters(p) << q->h.cluster_bits, at = p->start << q->h.cluster_bits;
    AUTO_FREE uint8_t *buf = aligned_alloc(4096, ALIGN_UP(MAX(bytes, q->cluster_size), 4096));
    uint64_t c = qcow2_refs_next(p->refs, 0);
    int r = buf ? 0 : -ENOMEM;

    while (r == 0 && c < qcow2_refs_count(p->refs)) {
        uint64_t n = c / p->per_block;

        r = write_block(p, n, buf, at);
        table[n] = at;
        at += q->cluster_size;
        c = qcow2_refs_next(p->refs, (n + 1) * p->per_block);
    }
    if (r < 0)
        return r;
    assert(at == (p->start + p->blocks) << q->h.cluster_bits);
    memset(buf, 0, bytes);
    for (uint64_t i = 0; i < p->entries; i++)
        st_be64(buf + 8 * i, table[i]);
    *ret_table_offset = at;
    r = qcow2_file_write(p->d, at, buf, bytes);
    return r < 0 ? r : disk_flush(p->d->file);
}

int qcow2_rebuild_refcounts(struct disk *d, struct qcow2_refs *refs, unsigned order)
{
    struct qcow2 *q = d->priv;
    struct plan p = { .d = d, .refs = refs, .order = order };
    struct qcow2_header old = q->h;
    AUTO_FREE uint64_t *table = NULL;
    uint64_t offset = 0;
    int r;

    p.per_block = ((uint64_t)q->cluster_size * 8) >> order;
    if ((r = make_plan(&p)) < 0)
        return r;
    table = xnew_array(uint64_t, (table_clusters(&p) << q->h.cluster_bits) / 8);
    if ((r = write_structures(&p, table, &offset)) < 0 ||
        (r = qcow2_cache_empty(q->refcount_cache)) < 0)
        return r;
    q->h.refcount_order = order;
    q->h.refcount_table_offset = offset;
    q->h.refcount_table_clusters = (uint32_t)table_clusters(&p);
    if ((r = qcow2_write_header(d)) < 0 || (r = disk_flush(d->file)) < 0) {
        q->h = old;
        return r;
    }
    free(q->refcount_table);
    q->refcount_table = TAKE(table);
    q->refcount_table_entries =
        (uint32_t)(((uint64_t)q->h.refcount_table_clusters << q->h.cluster_bits) / 8);
    q->refcount_bits = 1u << order;
    q->refcount_dirty_lo = q->refcount_dirty_hi = 0;
    q->free_cluster_hint = 0;
    q->packed_left = 0;
    q->data->file_end = MAX(q->data->file_end, disk_size(d->file));
    return 0;
}
