/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One more or one less reference to everything an L1 table reaches, for snapshots, and the COPIED
 * flags that follow from the counts. Under meta, with no request in flight and after
 * qcow2_settle(), so that the counts are exact.
 */
#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/qcow2/qcow2.h"

struct walk {
    struct disk *d;
    int by;
    uint64_t done, limit; /* references changed; stop before this many */
};

/* Changes one reference; -EDOM: the limit is reached. */
static int change(struct walk *w, uint64_t offset, uint64_t len)
{
    int ret;

    if (!w->by)
        return 0;
    if (w->done == w->limit)
        return -EDOM;
    ret = w->by < 0 ? qcow2_free_now(w->d, offset, len, Q2_DISCARD_SNAPSHOT)
                    : qcow2_change_refcount(w->d, offset, len, w->by);
    if (ret == 0)
        w->done++;
    return ret;
}

/* The entry with its COPIED flag as the refcount of its cluster says. */
static int with_copied(struct walk *w, uint64_t entry, uint64_t *ret)
{
    struct qcow2 *q = w->d->priv;
    uint64_t refcount;
    int r = qcow2_get_refcount(w->d, (entry & ENTRY_OFFSET_MASK) >> q->h.cluster_bits, &refcount);

    *ret = refcount == 1 ? entry | ENTRY_COPIED : entry & ~ENTRY_COPIED;
    return r;
}

static int walk_entry(struct walk *w, uint8_t *p, bool *ret_changed)
{
    struct qcow2 *q = w->d->priv;
    uint64_t entry = ld_be64(p), now = entry, offset;
    uint32_t len;
    int ret;

    if (entry & L2_COMPRESSED) {
        qcow2_compressed_place(q, entry, &offset, &len);
        ret = change(w, offset, len);
        now = entry & ~ENTRY_COPIED;
    } else {
        offset = entry & ENTRY_OFFSET_MASK;
        if (!offset)
            return 0;
        if (offset & q->cluster_mask)
            return qcow2_mark_corrupt(w->d, "an L2 entry's offset is not at a cluster boundary");
        ret = change(w, offset, q->cluster_size);
        if (ret == 0)
            ret = with_copied(w, entry, &now);
    }
    if (ret == 0 && now != entry) {
        st_be64(p, now);
        *ret_changed = true;
    }
    return ret;
}

static int walk_table(struct walk *w, uint64_t l2_offset)
{
    struct qcow2 *q = w->d->priv;
    uint32_t slice_bytes = q->slice_entries * q->l2_entry_size;
    int ret = 0;

    for (uint32_t at = 0; at < q->cluster_size && ret == 0; at += slice_bytes) {
        bool changed = false;
        void *slice;

        ret = qcow2_cache_get(q->l2_cache, l2_offset + at, &slice);
        if (ret < 0)
            return ret;
        for (uint32_t i = 0; i < q->slice_entries && ret == 0; i++)
            ret = walk_entry(w, (uint8_t *)slice + (size_t)i * q->l2_entry_size, &changed);
        if (changed) {
            if (w->by > 0) {
                int r = qcow2_cache_depend(q->l2_cache, q->refcount_cache);

                ret = ret < 0 ? ret : r;
            }
            qcow2_cache_dirty(q->l2_cache, slice);
        }
        qcow2_cache_put(q->l2_cache, &slice);
    }
    return ret;
}

static int walk_l1(struct walk *w, uint64_t *l1, uint32_t entries, bool *ret_changed)
{
    struct qcow2 *q = w->d->priv;
    int ret = 0;

    for (uint32_t i = 0; i < entries && ret == 0; i++) {
        uint64_t offset = l1[i] & ENTRY_OFFSET_MASK, now = l1[i];

        if (!offset)
            continue;
        if (offset & q->cluster_mask)
            return qcow2_mark_corrupt(w->d, "an L2 table's offset is not at a cluster boundary");
        ret = walk_table(w, offset);
        if (ret == 0)
            ret = change(w, offset, q->cluster_size);
        if (ret == 0)
            ret = with_copied(w, l1[i], &now);
        if (ret == 0 && now != l1[i]) {
            l1[i] = now;
            *ret_changed = true;
        }
    }
    return ret;
}

int qcow2_update_l1_refcounts(struct disk *d, uint64_t l1_offset, uint32_t entries, int by)
{
    struct qcow2 *q = d->priv;
    bool active = l1_offset == q->h.l1_offset, changed = false;
    struct walk w = { d, by, 0, UINT64_MAX };
    uint64_t *l1 = q->l1;
    int ret = 0;

    entries = active ? MIN(entries, q->h.l1_entries) : entries;
    if (entries > (32u << 20) / 8)
        return -EFBIG;

    AUTO_FREE uint64_t *copy = active ? NULL : xnew_array(uint64_t, entries + 1u);

    if (!active) {
        l1 = copy;
        ret = qcow2_file_read(d, l1_offset, l1, entries * 8ull);
        for (uint32_t i = 0; i < entries; i++)
            l1[i] = ld_be64(&l1[i]);
    }
    if (ret == 0)
        ret = walk_l1(&w, l1, entries, &changed);
    if (ret < 0 && by > 0) { /* as it was: give back what was taken, flags too */
        struct walk back = { d, -by, 0, w.done };

        (void)walk_l1(&back, l1, entries, &changed);
    }
    if (active && changed)
        qcow2_l1_changed(q, 0, entries);
    return ret;
}
