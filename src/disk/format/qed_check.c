/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checking and repairing QED images: entries that lead outside, clusters used twice, clusters that
 * nothing leads to: those at the end are cut off, others are given to zeroes of the disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/qed.h"

struct walk {
    struct qed *q;
    struct disk_check *c;
    unsigned fix;
    uint64_t file_clusters, used, end; /* clusters, clusters, bytes */
    uint64_t last;
    uint8_t *seen; /* a bit for each cluster of the file */
    bool counting; /* only the end is wanted */
    bool bad;
};

enum { SEEN_MAX = 1 << 28 }; /* clusters: 32 MiB of bits */

/* Marks n clusters at offset; false when they are outside or in use already. */
static bool mark(struct walk *w, uint64_t offset, uint64_t n)
{
    uint64_t first = offset / w->q->h.cluster_size;
    bool fresh = true;

    if (!qed_offset_ok(w->q, offset) || first >= w->file_clusters || n > w->file_clusters - first)
        return false;
    w->end = MAX(w->end, offset + n * w->q->h.cluster_size);
    for (uint64_t i = first; w->seen && i < first + n; i++) {
        fresh = fresh && !(w->seen[i / 8] & (1 << i % 8));
        w->used += !(w->seen[i / 8] & (1 << i % 8));
        w->seen[i / 8] |= 1 << i % 8;
    }
    return fresh;
}

/* An entry that leads nowhere good: freed when errors are fixed. */
static int bad_entry(struct walk *w, uint64_t at, uint64_t entry)
{
    char line[100];
    uint8_t *p;
    int r;

    w->bad = true;
    if (w->counting)
        return 0;
    w->c->corruptions++;
    snprintf(line, sizeof(line), "%s table entry at %#lx leads to %#lx",
             w->fix & DISK_FIX_ERRORS ? "Repairing" : "ERROR", (unsigned long)at,
             (unsigned long)entry);
    if (w->c->say && w->c->corruptions < 1000)
        w->c->say(w->c, line);
    if (!(w->fix & DISK_FIX_ERRORS))
        return 0;
    r = pages_put(&w->q->b.pages, at, 1, &p);
    if (r < 0)
        return r;
    st_le64(p, 0);
    w->c->corruptions_fixed++;
    return 0;
}

static int walk_l2(struct walk *w, uint64_t l2)
{
    w->last = 0;
    for (uint64_t i = 0; i < w->q->table_entries; i++) {
        const uint8_t *p;
        int r = pages_get(&w->q->b.pages, l2 + i * 8, false, &p);

        if (r < 0)
            return r;
        if (i % 64 == 0 && buf_is_zero(p, 512)) {
            i += 63; /* a sector of free entries */
            continue;
        }
        uint64_t entry = ld_le64(p);
        if (entry <= QED_ZERO)
            continue;
        if (!mark(w, entry, 1)) {
            r = bad_entry(w, l2 + i * 8, entry);
            if (r < 0 || w->c->corruptions > 1 << 20)
                return r;
            continue;
        }
        w->c->allocated_clusters++;
        if (w->last && entry != w->last + w->q->h.cluster_size)
            w->c->fragmented_clusters++;
        w->last = entry;
    }
    return 0;
}

static int walk_tables(struct walk *w)
{
    struct qed *q = w->q;
    int r = 0;

    (void)mark(w, (uint64_t)q->h.header_size * q->h.cluster_size, 0);
    w->end = (uint64_t)q->h.header_size * q->h.cluster_size;
    for (uint64_t i = 0; w->seen && i < MIN(q->h.header_size, w->file_clusters); i++, w->used++)
        w->seen[i / 8] |= 1 << i % 8;
    if (!mark(w, q->h.l1, q->h.table_size))
        w->bad = true;
    for (uint64_t i = 0; i < q->table_entries && r == 0; i++) {
        const uint8_t *p;

        r = pages_get(&q->b.pages, q->h.l1 + i * 8, false, &p);
        if (r < 0)
            break;
        uint64_t l2 = ld_le64(p);
        if (!l2)
            continue;
        r = mark(w, l2, q->h.table_size) ? walk_l2(w, l2) : bad_entry(w, q->h.l1 + i * 8, l2);
        if (w->c->corruptions > 1 << 20)
            break; /* no image: enough was said */
    }
    return r;
}

static void begin_walk(struct walk *w)
{
    uint64_t size = disk_size(w->q->b.file), cluster = w->q->h.cluster_size;

    w->file_clusters = (size + cluster - 1) / cluster;
    if (w->file_clusters <= SEEN_MAX)
        w->seen = calloc(1, w->file_clusters / 8 + 1);
}

int qed_find_end(struct blocks *b, uint64_t *ret)
{
    struct disk_check c = { 0 };
    struct walk w = { .q = b->opaque, .c = &c, .counting = true };
    int r;

    begin_walk(&w);
    r = walk_tables(&w);
    free(w.seen);
    if (w.bad) /* nothing is cut off a damaged image */
        w.end = MAX(w.end, disk_size(b->file));
    *ret = (w.end + b->block_size - 1) / b->block_size * b->block_size;
    return r;
}

/* The next level 2 entry from *index on (a cluster of the disk) that may get a cluster of zeroes
 * without a reader seeing it; 0: there is none. */
static int free_slot(struct qed *q, uint64_t *index, uint64_t *ret_at)
{
    uint64_t clusters = (q->h.image_size + q->h.cluster_size - 1) / q->h.cluster_size;
    const uint8_t *p;

    for (*ret_at = 0; *index < clusters; ++*index) {
        uint64_t n = *index % q->table_entries;
        int r = pages_get(&q->b.pages, q->h.l1 + *index / q->table_entries * 8, false, &p);

        if (r < 0)
            return r;
        uint64_t l2 = ld_le64(p);
        if (!l2 || !qed_offset_ok(q, l2)) {
            *index += q->table_entries - n - 1;
            continue;
        }
        r = pages_get(&q->b.pages, l2 + n * 8, false, &p);
        if (r < 0)
            return r;
        if (ld_le64(p) == QED_ZERO || (!ld_le64(p) && !(q->h.features & QED_F_BACKING))) {
            *ret_at = l2 + n * 8;
            ++*index;
            return 0;
        }
    }
    return 0;
}

/* A leak between clusters in use becomes a cluster of zeroes of the disk, where it has such. */
static int adopt(struct walk *w, uint64_t cluster, uint64_t *index)
{
    uint64_t offset = cluster * w->q->h.cluster_size, at;
    uint8_t *p;
    int r = free_slot(w->q, index, &at);

    if (r < 0 || !at)
        return r;
    r = disk_zero(w->q->b.file, offset, w->q->h.cluster_size, DISK_MAY_UNMAP);
    if (r == 0)
        r = pages_put(&w->q->b.pages, at, 0, &p);
    if (r < 0)
        return r;
    st_le64(p, offset);
    w->c->leaks_fixed++;
    return 0;
}

static int fix_leaks(struct walk *w)
{
    uint64_t cluster = w->q->h.cluster_size, end = w->end / cluster, index = 0;
    struct error err;
    int r = 0;

    if (!(w->fix & DISK_FIX_LEAKS) || w->bad)
        return 0;
    if (end < w->file_clusters) {
        if (!disk_resize(w->q->b.file, w->end, DISK_PREALLOC_OFF, true, &err))
            return -(err.code ? err.code : EIO);
        w->c->leaks_fixed += w->file_clusters - end;
    }
    for (uint64_t c = 0; w->seen && c < end && r == 0; c++) {
        if (!(w->seen[c / 8] & (1 << c % 8)))
            WITH_LOCK (&w->q->b.lock)
                r = adopt(w, c, &index);
    }
    return r == 0 && w->q->b.pages.dirty ? blocks_flush(&w->q->b) : r;
}

int qed_check(struct disk *d, struct disk_check *c, unsigned fix)
{
    struct qed *q = d->priv;
    struct walk w = { .q = q, .c = c, .fix = fix };
    int r;

    begin_walk(&w);
    c->total_clusters = (q->h.image_size + q->h.cluster_size - 1) / q->h.cluster_size;
    c->allocated_clusters = c->fragmented_clusters = 0;
    WITH_LOCK (&q->b.lock) {
        r = walk_tables(&w);
    }
    if (r == 0 && w.seen && w.file_clusters > w.used)
        c->leaks += w.file_clusters - w.used;
    if (r == 0 && q->b.pages.dirty)
        r = blocks_flush(&q->b);
    if (r == 0)
        r = fix_leaks(&w);
    free(w.seen);
    if (r == 0 && fix && q->h.features & QED_F_NEED_CHECK &&
        c->corruptions <= c->corruptions_fixed) {
        q->h.features &= ~(uint64_t)QED_F_NEED_CHECK;
        r = qed_write_header(q);
        if (r == 0)
            r = disk_flush(d->file);
    }
    return r;
}
