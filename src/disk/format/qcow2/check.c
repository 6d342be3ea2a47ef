/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Check and repair of a qcow2 image: counts all references (check_walk.c), compares and mends
 * (check_fix.c), rebuilds refcount structures that cannot be mended (rebuild.c). The same code
 * heals an image that a crash left dirty. meta is held all the while; tables are read past the
 * caches.
 */
#include <stdarg.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "disk/format/qcow2/meta.h"

enum { MAX_LINES = 20000 };

void qcow2_say(struct qcow2_scan *s, const char *fmt, ...)
{
    char line[256];
    va_list args;

    if (!s->c->say || s->lines > MAX_LINES)
        return;
    if (s->lines++ == MAX_LINES) {
        s->c->say(s->c, "... more of this is counted, but not listed");
        return;
    }
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    s->c->say(s->c, line);
}

int qcow2_scan_read(struct qcow2_scan *s, uint64_t offset, void *buf, size_t len)
{
    uint8_t *p = buf;
    size_t there = offset >= s->file_size ? 0 : (size_t)MIN((uint64_t)len, s->file_size - offset);

    memset(p + there, 0, len - there);
    while (s->sparse && there) {
        struct disk_extent e;

        if (disk_map(s->d->file, offset, there, &e) < 0 || !(e.flags & DISK_MAP_ZERO) ||
            (e.flags & DISK_MAP_DATA))
            break;
        e.len = MIN(e.len, (uint64_t)there);
        memset(p, 0, e.len);
        offset += e.len;
        p += e.len;
        there -= e.len;
    }
    return there ? disk_read(s->d->file, offset, p, there) : 0;
}

bool qcow2_scan_hole(struct qcow2_scan *s, uint64_t offset, uint64_t len, struct qcow2_hole *h)
{
    struct disk_extent e;

    if (!s->sparse || len > s->file_size || offset > s->file_size - len)
        return false;
    if (offset >= h->start && offset + len <= h->end)
        return true;
    if (disk_map(s->d->file, offset, s->file_size - offset, &e) < 0 || !(e.flags & DISK_MAP_ZERO) ||
        (e.flags & DISK_MAP_DATA))
        return false;
    *h = (struct qcow2_hole){ offset, offset + e.len };
    return offset + len <= h->end;
}

static int scan_begin(struct qcow2_scan *s, struct disk *d, struct disk_check *c, unsigned fix)
{
    const struct qcow2 *q = d->priv;
    int64_t allocated = disk_allocated_bytes(d->file);
    uint64_t on_host;
    int r;

    *s = (struct qcow2_scan){ .d = d, .c = c, .fix = fix, .lines = s->lines };
    pthread_mutex_init(&s->lock, NULL);
    s->file_size = disk_size(d->file);
    s->clusters = (s->file_size + q->cluster_mask) >> q->h.cluster_bits;
    on_host = allocated < 0 ? s->file_size : (uint64_t)allocated;
    s->sparse = s->file_size / 16 > on_host + (16u << 20);
    s->refs = qcow2_refs_new(s->clusters, on_host, &r);
    if (s->refs && s->clusters / 8 <= on_host / 8 + (32u << 20))
        s->ones = xnew_array(uint64_t, s->clusters / 64 + 1);
    return r;
}

static void scan_end(struct qcow2_scan *s)
{
    qcow2_refs_free(s->refs);
    pthread_mutex_destroy(&s->lock);
    free(s->ones);
    free(s->tables);
    free(s->times);
    free(s->odd);
}

/* Counts everything; once more when L2 entries were mended on the way. */
static int scan_all(struct qcow2_scan *s, struct disk *d, struct disk_check *c, unsigned fix,
                    bool without_refcounts)
{
    int64_t corruptions = c->corruptions;
    int r;

    for (unsigned round = 0;; round++) {
        r = scan_begin(s, d, c, fix);
        s->without_refcounts = without_refcounts;
        if (r == 0 && !without_refcounts && s->ones)
            r = qcow2_load_ones(s);
        c->allocated_clusters = c->fragmented_clusters = c->compressed_clusters = 0;
        if (r == 0)
            r = qcow2_scan_tables(s);
        if (r < 0 || !s->fixed_entries || round > 0)
            return r;
        scan_end(s);
        c->corruptions = corruptions;
    }
}

struct qcow2_refs *qcow2_count_references(struct disk *d, int64_t *ret_corruptions, int *ret)
{
    struct disk_check quiet = { 0 };
    struct qcow2_scan s = { 0 };
    struct qcow2_refs *refs;

    *ret = scan_all(&s, d, &quiet, 0, true);
    refs = *ret < 0 ? NULL : TAKE(s.refs);
    *ret_corruptions = quiet.corruptions;
    scan_end(&s);
    return refs;
}

/* Sets the refcounts right, in place or anew. */
static int fix_refcounts(struct qcow2_scan *s, unsigned fix, int64_t corruptions_before)
{
    struct qcow2 *q = s->d->priv;
    struct disk_check *c = s->c;
    struct qcow2_refs *refs;
    int64_t entry_corruptions; /* said already */
    int r;

    if (s->rebuild && !(fix & DISK_FIX_ERRORS)) {
        qcow2_say(s, "ERROR need to rebuild refcount structures");
        return -EIO;
    }
    if (s->rebuild) {
        qcow2_say(s, "Rebuilding refcount structure");
        refs = qcow2_count_references(s->d, &entry_corruptions, &r);
        if (!refs)
            return r;
        r = qcow2_rebuild_refcounts(s->d, refs, q->h.refcount_order);
        qcow2_refs_free(refs);
        if (r < 0)
            return r;
        /* corruptions found by the walk stay; those of refcounts are gone */
        c->corruptions_fixed += c->corruptions - s->entry_corruptions;
        c->corruptions = s->entry_corruptions;
        c->leaks_fixed += c->leaks;
        c->leaks = 0;
        c->image_end_offset = (int64_t)disk_size(s->d->file);
        return 0;
    }
    c->leaks = 0;
    c->corruptions = corruptions_before;
    return qcow2_compare(s, fix);
}

static int check_refcounts(struct qcow2_scan *s, unsigned fix)
{
    struct disk_check *c = s->c;
    int64_t before = c->corruptions, leaks = c->leaks;
    bool changed = false;
    int r = qcow2_compare(s, 0);

    if (r == 0 && fix && (c->corruptions != before || c->leaks != leaks || s->rebuild)) {
        r = fix_refcounts(s, fix, before);
        changed = true;
    } else if (r == 0 && (fix & DISK_FIX_LEAKS)) {
        r = qcow2_compare(s, fix); /* finds none to speak of, takes back those beyond the end */
    }
    if (r == 0 && changed) {
        s->file_size = disk_size(s->d->file);
        s->clusters = (s->file_size + ((struct qcow2 *)s->d->priv)->cluster_mask) >>
                      ((struct qcow2 *)s->d->priv)->h.cluster_bits;
        r = qcow2_refs_extend(s->refs, s->clusters);
    }
    return r < 0 ? r : qcow2_check_copied(s, fix, changed || !s->ones);
}

/* Everything is right again: the image says so. */
static int mark_sound(struct disk *d)
{
    struct qcow2 *q = d->priv;
    int r = disk_flush(d->file);

    if (r < 0 || !(q->h.incompatible & (INCOMPAT_DIRTY | INCOMPAT_CORRUPT)))
        return r;
    q->h.incompatible &= ~(uint64_t)(INCOMPAT_DIRTY | INCOMPAT_CORRUPT);
    q->corrupt = q->marked_dirty = q->leaked = false;
    r = qcow2_write_header(d);
    return r < 0 ? r : disk_flush(d->file);
}

static int fix_snapshot_table(struct disk *d, struct disk_check *c, unsigned fix)
{
    struct qcow2 *q = d->priv;
    struct qcow2_scan s = { .d = d, .c = c };
    struct qcow2_snapshot *list;
    int r;

    if (!q->snapshot_table_errors)
        return 0;
    if (!(fix & DISK_FIX_ERRORS)) {
        qcow2_say(&s, "ERROR the snapshot table has %u incomplete or oversized entries",
                  q->snapshot_table_errors);
        c->corruptions += q->snapshot_table_errors;
        return 0;
    }
    qcow2_say(&s, "Repairing %u entries of the snapshot table", q->snapshot_table_errors);
    list = xnew_array(struct qcow2_snapshot, q->snapshot_count + 1);
    if (q->snapshot_count)
        memcpy(list, q->snapshots, q->snapshot_count * sizeof(list[0]));
    c->corruptions_fixed += q->snapshot_table_errors;
    r = qcow2_write_snapshots(d, list, q->snapshot_count);
    if (r < 0)
        free(list);
    return r;
}

/* Tables are read and written past the caches: these must be empty. */
static int empty_caches(struct disk *d)
{
    struct qcow2 *q = d->priv;
    int r;

    if ((r = qcow2_settle(d)) < 0 || (r = qcow2_cache_empty(q->refcount_cache)) < 0)
        return r;
    return qcow2_cache_empty(q->l2_cache);
}

static int check_locked(struct disk *d, struct disk_check *c, unsigned fix)
{
    struct qcow2 *q = d->priv;
    struct qcow2_scan s = { 0 };
    int r;

    c->total_clusters = (int64_t)((atomic_load(&d->size) + q->cluster_mask) >> q->h.cluster_bits);
    if (!d->read_only && (r = empty_caches(d)) < 0)
        return r;
    r = scan_all(&s, d, c, fix, false);
    if (r == 0)
        r = check_refcounts(&s, fix);
    scan_end(&s);
    q->free_cluster_hint = 0;
    if (r == 0)
        r = fix_snapshot_table(d, c, fix);
    if (!d->read_only && fix) {
        int e = empty_caches(d);

        r = r < 0 ? r : e;
    }
    if (r < 0 && r != -EINTR)
        c->check_errors++;
    if (r == 0 && fix && !c->corruptions && !c->check_errors && !c->leaks)
        r = mark_sound(d);
    return r;
}

int qcow2_check(struct disk *d, struct disk_check *c, unsigned fix)
{
    struct qcow2 *q = d->priv;
    int r = 0;

    if (fix && d->read_only)
        return -EACCES;
    WITH_LOCK (&q->meta)
        r = check_locked(d, c, fix);
    return r;
}

bool qcow2_repair_dirty(struct disk *d, struct error *err)
{
    struct disk_check c = { 0 };
    int r = qcow2_check(d, &c, DISK_FIX_LEAKS | DISK_FIX_ERRORS);

    if (r == 0 && !c.corruptions && !c.check_errors)
        return true;
    if (r < 0)
        fail(err, -r, "the image was not closed cleanly and cannot be repaired: %s", strerror(-r));
    else
        fail(err, EIO,
             "the image was not closed cleanly; %" PRId64 " errors in it cannot be repaired",
             c.corruptions + c.check_errors);
    return fail_hint(err, "rhea-img check tells what is wrong; it still opens read-only");
}
