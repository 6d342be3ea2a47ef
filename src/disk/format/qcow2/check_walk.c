/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting what the image's tables refer to. Each L2 table is read once, whatever number of
 * snapshots share it, several at a time on the workers; entries that are not as they should be only
 * make their table "odd", and odd tables are gone through again, one by one, to speak of them.
 */
#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/qcow2/meta.h"

#define L1_RESERVED     UINT64_C(0x7f000000000001ff)
#define L2_RESERVED     UINT64_C(0x3f000000000001fe)
#define L2_EXT_RESERVED UINT64_C(0x3f000000000001ff)

static bool outside(const struct qcow2_scan *s, uint64_t offset, uint64_t len)
{
    const struct qcow2 *q = s->d->priv;
    uint64_t end;

    /* the last cluster may be there in part */
    return !checked_add(offset, len, &end) ||
           (end > s->file_size && end - s->file_size >= q->cluster_size);
}

static void add_clusters(struct qcow2_scan *s, uint64_t offset, uint64_t len, uint32_t times)
{
    const struct qcow2 *q = s->d->priv;
    uint64_t first = offset >> q->h.cluster_bits, last = (offset + len - 1) >> q->h.cluster_bits;

    for (uint64_t c = first; c <= last; c++)
        qcow2_refs_add(s->refs, c, times);
}

void qcow2_scan_count(struct qcow2_scan *s, uint64_t offset, uint64_t len, uint32_t times)
{
    if (!len)
        return;
    if (outside(s, offset, len)) {
        qcow2_say(s,
                  "ERROR: counting reference for region exceeding the end of the file by one "
                  "cluster or more: offset %#" PRIx64 " size %#" PRIx64,
                  offset, len);
        s->c->corruptions++;
        return;
    }
    add_clusters(s, offset, len, times);
}

struct qcow2_entry qcow2_entry_of(const struct disk *d, const uint8_t *l2, uint32_t index)
{
    const struct qcow2 *q = d->priv;
    uint64_t e = ld_be64(l2 + (size_t)index * q->l2_entry_size);
    struct qcow2_entry ret = { .copied = e & ENTRY_COPIED };

    if (e & L2_COMPRESSED) {
        unsigned shift = 62 - (q->h.cluster_bits - 8);
        uint64_t at = e & (BIT(shift) - 1);
        uint64_t sectors = ((e >> shift) & (BIT(q->h.cluster_bits - 8) - 1)) + 1;

        ret.compressed = true;
        ret.offset = at & ~UINT64_C(511);
        ret.bytes = sectors * 512;
        return ret;
    }
    ret.reserved = e & (q->extended_l2 ? L2_EXT_RESERVED : L2_RESERVED);
    ret.zero = !q->extended_l2 && (e & L2_ZERO);
    ret.offset = e & ENTRY_OFFSET_MASK;
    ret.bytes = q->cluster_size;
    return ret;
}

/* What one worker found in its share of the tables. */
struct tally {
    int64_t allocated, fragmented, compressed;
};

static bool is_one(const struct qcow2_scan *s, uint64_t cluster)
{
    return cluster < s->clusters && (s->ones[cluster / 64] & BIT(cluster % 64));
}

/* Counts a table's entries. Returns whether something is to be said about it. */
static bool walk_table(struct qcow2_scan *s, const uint8_t *l2, uint32_t times, bool active,
                       struct tally *t)
{
    const struct qcow2 *q = s->d->priv;
    bool odd = false, external = qcow2_has_data_file(q);
    uint64_t next = 0, reserved = q->extended_l2 ? L2_EXT_RESERVED : L2_RESERVED;

    for (uint32_t i = 0; i < q->l2_entries; i++) {
        uint64_t e = ld_be64(l2 + (size_t)i * q->l2_entry_size), offset;

        if (!e)
            continue;
        if (e & L2_COMPRESSED) {
            struct qcow2_entry c = qcow2_entry_of(s->d, l2, i);

            odd |= c.copied || external || outside(s, c.offset, c.bytes);
            t->allocated++;
            t->compressed++;
            t->fragmented++;
            if (!external && !outside(s, c.offset, c.bytes))
                add_clusters(s, c.offset, c.bytes, times);
            continue;
        }
        odd |= (e & reserved) != 0;
        offset = e & ENTRY_OFFSET_MASK;
        if (!offset && !(external && (e & ENTRY_COPIED)))
            continue;
        t->allocated++;
        t->fragmented += next && offset != next;
        next = offset + q->cluster_size;
        if (external) {
            odd |= (offset & q->cluster_mask) != 0;
        } else if (unlikely((offset & q->cluster_mask) || outside(s, offset, q->cluster_size))) {
            odd = true;
            if (!outside(s, offset, q->cluster_size))
                add_clusters(s, offset, q->cluster_size, times);
        } else {
            uint64_t c = offset >> q->h.cluster_bits;

            qcow2_refs_add(s->refs, c, times);
            odd |= active && s->ones && is_one(s, c) != ((e & ENTRY_COPIED) != 0);
        }
    }
    return odd;
}

static void note_odd(struct qcow2_scan *s, uint64_t table)
{
    WITH_LOCK (&s->lock) {
        if (s->odd_count == s->odd_room) {
            s->odd_room = MAX(64u, 2 * s->odd_room);
            s->odd = xrealloc_array(s->odd, s->odd_room, sizeof(s->odd[0]));
        }
        s->odd[s->odd_count++] = table;
    }
}

static bool keep_going(struct qcow2_scan *s, uint64_t tables)
{
    struct disk_progress *p = s->c->progress;
    bool go = true;

    WITH_LOCK (&s->lock) {
        s->done += tables;
        if (p && p->step && !s->stopped && s->done - s->last_step >= s->table_count / 200 + 1) {
            s->last_step = s->done;
            s->stopped = !p->step(p, s->done, s->table_count);
        }
        go = !s->stopped;
    }
    return go;
}

/* Tables of one share, on a worker. */
static int walk_share(void *arg, unsigned share)
{
    struct qcow2_scan *s = arg;
    const struct qcow2 *q = s->d->priv;
    uint64_t first = s->table_count * share / s->shares;
    uint64_t end = s->table_count * (share + 1) / s->shares;
    AUTO_FREE uint8_t *l2 = aligned_alloc(4096, ALIGN_UP(q->cluster_size, 4096));
    struct qcow2_hole hole = { 0 };
    struct tally t = { 0 };
    int r = l2 ? 0 : -ENOMEM;

    for (uint64_t i = first; r == 0 && i < end; i++) {
        bool active = i < s->active_tables;
        struct tally unseen = { 0 };

        if (!qcow2_scan_hole(s, s->tables[i], q->cluster_size, &hole)) {
            r = qcow2_scan_read(s, s->tables[i], l2, q->cluster_size);
            if (r == 0 &&
                walk_table(s, l2, s->times ? s->times[i] : 1, active, active ? &t : &unseen))
                note_odd(s, s->tables[i]);
        }
        if (r == 0 && ((i & 15) == 15 || i + 1 == end) && !keep_going(s, (i & 15) + 1))
            r = -EINTR;
    }
    WITH_LOCK (&s->lock) {
        s->c->allocated_clusters += t.allocated;
        s->c->fragmented_clusters += t.fragmented;
        s->c->compressed_clusters += t.compressed;
    }
    return r;
}

static void add_table(struct qcow2_scan *s, uint64_t offset)
{
    if (s->table_count == s->table_room) {
        s->table_room = MAX(256u, s->table_room + s->table_room / 2);
        s->tables = xrealloc_array(s->tables, s->table_room, sizeof(s->tables[0]));
    }
    s->tables[s->table_count++] = offset;
}

static void scan_l1_entry(struct qcow2_scan *s, uint64_t e)
{
    const struct qcow2 *q = s->d->priv;
    uint64_t offset = e & ENTRY_OFFSET_MASK;

    if (!offset)
        return;
    if (e & L1_RESERVED) {
        qcow2_say(s, "ERROR found L1 entry with reserved bits set: %" PRIx64, e);
        s->c->corruptions++;
    }
    if (offset & q->cluster_mask) {
        qcow2_say(s,
                  "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 entry corrupted",
                  offset);
        s->c->corruptions++;
        qcow2_scan_count(s, offset, q->cluster_size, 1);
    } else if (outside(s, offset, q->cluster_size)) {
        qcow2_scan_count(s, offset, q->cluster_size, 1); /* says so */
    } else if (qcow2_refs_add(s->refs, offset >> q->h.cluster_bits, 1) == 0) {
        add_table(s, offset);
    } else {
        s->shared = true;
    }
}

/* The L2 tables of all L1 tables, before anything else is counted: a first reference is a table
 * not seen before. */
static int collect_tables(struct qcow2_scan *s)
{
    const struct qcow2 *q = s->d->priv;
    uint64_t l1_bytes = 0;
    int r = 0;

    for (uint32_t i = 0; i < q->h.l1_entries; i++)
        scan_l1_entry(s, q->l1[i]);
    s->active_tables = s->table_count;
    for (uint32_t n = 0; r == 0 && n < q->snapshot_count; n++) {
        const struct qcow2_snapshot *sn = &q->snapshots[n];
        uint32_t left = sn->l1_entries;
        uint64_t at = sn->l1_offset, buf[512];

        l1_bytes += (uint64_t)left * 8;
        if (l1_bytes > s->file_size) { /* they overlap: reading them all could take for ever */
            qcow2_say(s, "ERROR L1 tables of snapshots are larger than the file");
            s->c->corruptions++;
            return 0;
        }
        for (; r == 0 && left; left -= MIN(left, 512u), at += sizeof(buf)) {
            r = qcow2_scan_read(s, at, buf, MIN(left, 512u) * 8);
            for (uint32_t i = 0; r == 0 && i < MIN(left, 512u); i++)
                scan_l1_entry(s, ld_be64(&buf[i]));
        }
    }
    if (r == 0 && qcow2_refs_exhausted(s->refs))
        r = -EFBIG;
    if (!s->shared)
        return r;
    s->times = xnew_array(uint32_t, s->table_count + 1);
    for (uint64_t i = 0; i < s->table_count; i++)
        s->times[i] = (uint32_t)qcow2_refs_get(s->refs, s->tables[i] >> q->h.cluster_bits);
    return r;
}

static void count_refcount_blocks(struct qcow2_scan *s)
{
    struct qcow2 *q = s->d->priv;
    const char *verb = s->fix & DISK_FIX_ERRORS ? "Repairing" : "ERROR";

    for (uint32_t i = 0; i < q->refcount_table_entries; i++) {
        uint64_t offset = q->refcount_table[i] & ~UINT64_C(0x1ff), cluster;
        uint64_t seen;

        if (!offset)
            continue;
        if (offset & q->cluster_mask) {
            qcow2_say(s,
                      "ERROR refcount block %u is not cluster aligned; refcount table entry "
                      "corrupted",
                      i);
            s->c->corruptions++;
            s->rebuild = true;
            continue;
        }
        cluster = offset >> q->h.cluster_bits;
        if (cluster >= s->clusters) {
            qcow2_say(s, "%s refcount block %u is outside image", verb, i);
            s->c->corruptions++;
            s->rebuild = true;
            continue;
        }
        qcow2_scan_count(s, offset, q->cluster_size, 1);
        seen = qcow2_refs_get(s->refs, cluster);
        if (seen != 1) {
            qcow2_say(s, "ERROR refcount block %u refcount=%" PRIu64, i, seen);
            s->c->corruptions++;
            s->rebuild = true;
        }
    }
}

/* An L2 entry that zeroes instead of a cluster nobody can use. */
static int fix_entry(struct qcow2_scan *s, uint64_t table, uint8_t *l2, uint32_t i)
{
    struct qcow2 *q = s->d->priv;
    int r;

    st_be64(l2 + (size_t)i * q->l2_entry_size, q->extended_l2 ? 0 : L2_ZERO);
    if (q->extended_l2)
        st_be64(l2 + (size_t)i * 16 + 8, UINT64_C(0xffffffff00000000));
    r = qcow2_check_overlap(s->d, BIT(Q2_ACTIVE_L2), table, q->cluster_size);
    return r < 0 ? r : qcow2_file_write(s->d, table, l2, q->cluster_size);
}

/* Speaks of a table's odd entries; mends what can be mended without losing data. */
static int report_table(struct qcow2_scan *s, uint64_t table, uint8_t *l2)
{
    struct qcow2 *q = s->d->priv;
    int r = qcow2_scan_read(s, table, l2, q->cluster_size);

    for (uint32_t i = 0; r == 0 && i < q->l2_entries; i++) {
        struct qcow2_entry e = qcow2_entry_of(s->d, l2, i);

        if (e.reserved) {
            qcow2_say(s, "ERROR found l2 entry with reserved bits set: %" PRIx64,
                      ld_be64(l2 + (size_t)i * q->l2_entry_size));
            s->c->corruptions++;
        }
        if (e.compressed && e.copied) {
            qcow2_say(s,
                      "ERROR: coffset=%#" PRIx64
                      ": copied flag must never be set for compressed clusters",
                      e.offset);
            s->c->corruptions++;
        }
        if (e.compressed && qcow2_has_data_file(q)) {
            qcow2_say(s, "ERROR compressed cluster %u with data file", i);
            s->c->corruptions++;
        } else if (!e.compressed && (e.offset & q->cluster_mask)) {
            bool mend = e.zero && (s->fix & DISK_FIX_ERRORS);

            qcow2_say(
                s, "%s offset=%" PRIx64 ": %s cluster is not properly aligned; L2 entry corrupted.",
                mend ? "Repairing" : "ERROR", e.offset, e.zero ? "Preallocated" : "Data");
            if (mend) {
                r = fix_entry(s, table, l2, i);
                s->fixed_entries = true;
                s->c->corruptions_fixed++;
            } else {
                s->c->corruptions++;
            }
        } else if (e.offset && !qcow2_has_data_file(q) && outside(s, e.offset, e.bytes)) {
            qcow2_scan_count(s, e.offset, e.bytes, 1); /* says so */
        }
    }
    return r;
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int report_odd(struct qcow2_scan *s)
{
    const struct qcow2 *q = s->d->priv;
    AUTO_FREE uint8_t *l2 = NULL;
    int r = 0;

    if (!s->odd_count)
        return 0;
    qsort(s->odd, s->odd_count, sizeof(s->odd[0]), by_offset);
    l2 = aligned_alloc(4096, ALIGN_UP(q->cluster_size, 4096));
    for (uint64_t i = 0; r == 0 && i < s->odd_count; i++)
        r = report_table(s, s->odd[i], l2);
    return r;
}

static int walk_tables(struct qcow2_scan *s)
{
    unsigned workers = disk_worker_count(s->d->graph) + 1;

    if (!s->table_count)
        return 0;
    s->shares = (unsigned)MIN(s->table_count, (uint64_t)workers * 16);
    return disk_parallel(s->d->graph, s->shares, walk_share, s);
}

int qcow2_scan_tables(struct qcow2_scan *s)
{
    struct qcow2 *q = s->d->priv;
    int r = collect_tables(s);

    if (r < 0)
        return r;
    r = walk_tables(s);
    qcow2_scan_count(s, 0, q->cluster_size, 1);
    qcow2_scan_count(s, q->h.l1_offset, (uint64_t)q->h.l1_entries * 8, 1);
    for (uint32_t i = 0; i < q->snapshot_count; i++)
        qcow2_scan_count(s, q->snapshots[i].l1_offset, (uint64_t)q->snapshots[i].l1_entries * 8, 1);
    if (q->snapshot_count)
        qcow2_scan_count(s, q->h.snapshots_offset, q->snapshot_table_bytes, 1);
    if (q->crypto_len)
        qcow2_scan_count(s, q->crypto_offset, q->crypto_len, 1);
    if (r == 0)
        r = qcow2_count_bitmaps(s);
    if (r == 0)
        r = report_odd(s);
    s->entry_corruptions = s->c->corruptions;
    if (r == 0 && !s->without_refcounts) {
        qcow2_scan_count(s, q->h.refcount_table_offset,
                         (uint64_t)q->h.refcount_table_clusters << q->h.cluster_bits, 1);
        count_refcount_blocks(s);
    }
    return r == 0 && qcow2_refs_exhausted(s->refs) ? -EFBIG : r;
}
