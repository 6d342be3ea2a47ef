/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second half of a check: stored refcounts against what was counted, COPIED flags against
 * stored refcounts, and both mended in place. Refcounts that are raised are written before flags
 * that rely on them; blocks are written whole, in any order, since each write only brings counts
 * nearer to the truth.
 */
#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/qcow2/meta.h"

static uint64_t per_block(const struct qcow2 *q)
{
    return ((uint64_t)q->cluster_size * 8) >> q->h.refcount_order;
}

/* Offset of refcount block n as far as it can be read, else 0. */
static uint64_t block_offset(const struct qcow2_scan *s, uint64_t n)
{
    const struct qcow2 *q = s->d->priv;
    uint64_t offset = n < q->refcount_table_entries ? q->refcount_table[n] & ~UINT64_C(0x1ff) : 0;

    return (offset & q->cluster_mask) || offset >> q->h.cluster_bits >= s->clusters ? 0 : offset;
}

int qcow2_load_ones(struct qcow2_scan *s)
{
    const struct qcow2 *q = s->d->priv;
    uint64_t per = per_block(q), blocks = (s->clusters + per - 1) / per;
    AUTO_FREE uint8_t *buf = aligned_alloc(4096, ALIGN_UP(q->cluster_size, 4096));
    unsigned order = q->h.refcount_order;

    memset(s->ones, 0, (s->clusters / 64 + 1) * 8);
    for (uint64_t n = 0; n < MIN(blocks, (uint64_t)q->refcount_table_entries); n++) {
        uint64_t offset = block_offset(s, n), base = n * per, end = MIN(per, s->clusters - base);
        int r;

        if (!offset)
            continue;
        if ((r = qcow2_scan_read(s, offset, buf, q->cluster_size)) < 0)
            return r;
        for (uint64_t i = 0; i < end; i++)
            if ((order == 4 ? ld_be16(buf + 2 * i) : qcow2_load_refcount(order, buf, i)) == 1)
                s->ones[(base + i) / 64] |= BIT((base + i) % 64);
    }
    return 0;
}

/* One cluster whose stored refcount is not what was counted. Returns whether it was set right. */
static bool differs(struct qcow2_scan *s, unsigned fix, uint64_t cluster, uint64_t stored,
                    uint64_t counted)
{
    const struct qcow2 *q = s->d->priv;
    bool leak = stored > counted;
    bool mend = (fix & (leak ? DISK_FIX_LEAKS : DISK_FIX_ERRORS)) != 0;

    if (mend && counted > qcow2_max_refcount(q)) {
        qcow2_say(s, "ERROR cluster %" PRIu64 ": %" PRIu64 " references do not fit into %u bits",
                  cluster, counted, q->refcount_bits);
        s->c->check_errors++;
        mend = false;
    }
    qcow2_say(s, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
              mend   ? "Repairing"
              : leak ? "Leaked"
                     : "ERROR",
              cluster, stored, counted);
    if (mend)
        *(leak ? &s->c->leaks_fixed : &s->c->corruptions_fixed) += 1;
    else
        *(leak ? &s->c->leaks : &s->c->corruptions) += 1;
    return mend;
}

/* Compares one block; with fix changes buf. Returns whether it did. */
static bool compare_block(struct qcow2_scan *s, unsigned fix, uint64_t base, uint64_t count,
                          uint8_t *buf, uint64_t *ret_end)
{
    const struct qcow2 *q = s->d->priv;
    unsigned order = q->h.refcount_order;
    bool changed = false;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t stored = order == 4 ? ld_be16(buf + 2 * i) : qcow2_load_refcount(order, buf, i);
        uint64_t counted;

        if (!stored && !fix && s->sparse) {
            /* a hole of a huge file: go on where something was counted or stored */
            uint64_t next = MIN(qcow2_refs_next(s->refs, base + i) - base, count);

            while (i + 1 < next && !qcow2_load_refcount(order, buf, i + 1))
                i++;
            if (i < next)
                continue;
        }
        counted = qcow2_refs_get(s->refs, base + i);
        if (stored || counted)
            *ret_end = base + i + 1;
        if (likely(stored == counted) || !differs(s, fix, base + i, stored, counted))
            continue;
        qcow2_store_refcount(order, buf, i, counted);
        changed = true;
    }
    return changed;
}

/* Refcounts of clusters beyond the end of the file: what a crash left. Nobody counts them as leaks,
 * but the file would grow over them; a repair takes them back. */
static bool clear_beyond(const struct qcow2_scan *s, uint64_t base, uint8_t *buf)
{
    const struct qcow2 *q = s->d->priv;
    unsigned order = q->h.refcount_order;
    bool changed = false;

    for (uint64_t i = s->clusters > base ? s->clusters - base : 0; i < per_block(q); i++)
        if (qcow2_load_refcount(order, buf, i)) {
            qcow2_store_refcount(order, buf, i, 0);
            changed = true;
        }
    return changed;
}

int qcow2_compare(struct qcow2_scan *s, unsigned fix)
{
    struct qcow2 *q = s->d->priv;
    uint64_t per = per_block(q), blocks = (s->clusters + per - 1) / per, end = 0;
    AUTO_FREE uint8_t *buf = aligned_alloc(4096, ALIGN_UP(q->cluster_size, 4096));
    int r = 0;

    if (fix & DISK_FIX_LEAKS)
        blocks = MAX(blocks, (uint64_t)q->refcount_table_entries);
    for (uint64_t n = 0; n < blocks; n++) {
        uint64_t offset = block_offset(s, n), base = n * per;
        uint64_t count = base < s->clusters ? MIN(per, s->clusters - base) : 0;
        unsigned may = offset ? fix : 0;
        bool changed;

        if (!offset && !count)
            continue;
        if (!offset) {
            uint64_t next = qcow2_refs_next(s->refs, base);

            if (next >= base + count) { /* no block, and none is needed */
                n = MAX(n, next / per ? next / per - 1 : 0);
                continue;
            }
            s->rebuild = true;
            memset(buf, 0, q->cluster_size);
        } else if ((r = qcow2_scan_read(s, offset, buf, q->cluster_size)) < 0) {
            return r;
        }
        changed = compare_block(s, may, base, count, buf, &end);
        if (may & DISK_FIX_LEAKS)
            changed |= clear_beyond(s, base, buf);
        if (!changed)
            continue;
        if ((r = qcow2_check_overlap(s->d, BIT(Q2_REFCOUNT_BLOCK), offset, q->cluster_size)) < 0 ||
            (r = qcow2_file_write(s->d, offset, buf, q->cluster_size)) < 0)
            return r;
    }
    s->c->image_end_offset = (int64_t)(end << q->h.cluster_bits);
    return 0;
}

/* The stored refcounts, one block in memory. */
struct stored {
    struct qcow2_scan *s;
    uint8_t *buf;
    uint64_t block; /* that buf has; UINT64_MAX: none */
};

static int stored_refcount(struct stored *st, uint64_t offset, uint64_t *ret)
{
    const struct qcow2 *q = st->s->d->priv;
    uint64_t cluster = offset >> q->h.cluster_bits, n = cluster / per_block(q);
    uint64_t at = block_offset(st->s, n);

    *ret = 0;
    if (!at)
        return 0;
    if (n != st->block) {
        int r = qcow2_scan_read(st->s, at, st->buf, q->cluster_size);

        st->block = r < 0 ? UINT64_MAX : n;
        if (r < 0)
            return r;
    }
    *ret = qcow2_load_refcount(q->h.refcount_order, st->buf, cluster % per_block(q));
    return 0;
}

static void say_copied(struct qcow2_scan *s, bool mend)
{
    *(mend ? &s->c->corruptions_fixed : &s->c->corruptions) += 1;
}

/* The data clusters of one L2 table. */
static int check_copied_l2(struct stored *st, unsigned fix, uint64_t table, uint8_t *l2)
{
    struct qcow2_scan *s = st->s;
    struct qcow2 *q = s->d->priv;
    bool changed = false;
    int r = qcow2_scan_read(s, table, l2, q->cluster_size);

    for (uint32_t i = 0; r == 0 && i < q->l2_entries; i++) {
        uint8_t *p = l2 + (size_t)i * q->l2_entry_size;
        uint64_t e = ld_be64(p), offset = e & ENTRY_OFFSET_MASK, n;

        if ((e & L2_COMPRESSED) || !offset || (offset & q->cluster_mask))
            continue;
        r = stored_refcount(st, offset, &n);
        if (r < 0 || (n == 1) == ((e & ENTRY_COPIED) != 0))
            continue;
        qcow2_say(s, "%s OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64,
                  fix ? "Repairing" : "ERROR", e, n);
        say_copied(s, fix != 0);
        st_be64(p, n == 1 ? e | ENTRY_COPIED : e & ~ENTRY_COPIED);
        changed = true;
    }
    if (r < 0 || !changed || !fix)
        return r;
    r = qcow2_check_overlap(s->d, BIT(Q2_ACTIVE_L2), table, q->cluster_size);
    return r < 0 ? r : qcow2_file_write(s->d, table, l2, q->cluster_size);
}

static bool is_odd(const struct qcow2_scan *s, uint64_t table)
{
    uint64_t low = 0, high = s->odd_count;

    while (low < high) {
        uint64_t mid = (low + high) / 2;

        if (s->odd[mid] == table)
            return true;
        if (s->odd[mid] < table)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

int qcow2_check_copied(struct qcow2_scan *s, unsigned fix, bool all)
{
    struct qcow2 *q = s->d->priv;
    AUTO_FREE uint8_t *buf = aligned_alloc(4096, ALIGN_UP(q->cluster_size, 4096));
    AUTO_FREE uint8_t *l2 = aligned_alloc(4096, ALIGN_UP(q->cluster_size, 4096));
    struct stored st = { s, buf, UINT64_MAX };
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < q->h.l1_entries; i++) {
        uint64_t e = q->l1[i], table = e & ENTRY_OFFSET_MASK, n;

        if (!table || (table & q->cluster_mask) || table >> q->h.cluster_bits >= s->clusters)
            continue;
        if ((r = stored_refcount(&st, table, &n)) < 0)
            break;
        if ((n == 1) != ((e & ENTRY_COPIED) != 0)) {
            qcow2_say(
                s, "%s OFLAG_COPIED L2 cluster: l1_index=%u l1_entry=%" PRIx64 " refcount=%" PRIu64,
                fix ? "Repairing" : "ERROR", i, e, n);
            say_copied(s, fix != 0);
            if (fix) {
                q->l1[i] = n == 1 ? e | ENTRY_COPIED : e & ~ENTRY_COPIED;
                qcow2_l1_changed(q, i, 1);
                r = qcow2_write_l1(s->d);
            }
        }
        if (r == 0 && !qcow2_has_data_file(q) && (all || is_odd(s, table)))
            r = check_copied_l2(&st, fix, table, l2);
    }
    return r;
}
