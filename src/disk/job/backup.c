/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backup: the target becomes what the source was when the job was made. A copy-before-write node
 * over the source copies what is about to be overwritten; the job asks it for the rest.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "disk/bitmap.h"
#include "disk/filter/copy_before_write.h"
#include "disk/job/chain.h"
#include "disk/job/copy.h"
#include "disk/node.h"

struct backup {
    struct disk *source, *target, *filter; /* references */
    bool inserted;
    struct cbw *cbw;
    enum disk_sync sync;
    struct disk_bitmap *bitmap; /* of the source; busy while the job lives */
    struct disk_bitmap *before; /* INCREMENTAL: its marks of before, given back on failure */
    bool succeeded;
    struct copy copy;
    struct chain_access access;
};

static int backup_range(struct copy *c, struct copy_range *r, void *buf)
{
    struct backup *b = c->job->priv;

    (void)buf;
    return cbw_copy(b->cbw, r->offset, r->len, &r->write);
}

/* SYNC_TOP: what the layers below have the target's backing file has too. Only granules without
 * anything of source's own layer are left out; *len becomes what the answer is about. */
static bool skip_lower_layers(struct backup *b, uint64_t offset, uint64_t *len)
{
    struct disk *below = disk_backing(b->source);
    uint64_t granule = cbw_granularity(b->cbw);
    struct disk_extent x;

    if (b->sync != DISK_SYNC_TOP || !below || disk_map_above(b->source, below, offset, *len, &x))
        return false;
    if (x.flags & DISK_MAP_ALLOCATED || x.len < granule) {
        *len = MIN(*len, ALIGN_UP(x.len, granule));
        return false;
    }
    *len = ALIGN_DOWN(x.len, granule);
    cbw_forget(b->cbw, offset, *len);
    return true;
}

static bool copy_pending(struct job *j, struct backup *b, struct error *err)
{
    for (uint64_t offset = 0, len; cbw_next(b->cbw, &offset, &len); offset += len) {
        if (!skip_lower_layers(b, offset, &len)) {
            len = MIN(len, COPY_CHUNK);
            len = MAX(len, cbw_granularity(b->cbw));
            if (!job_wait_speed(j, len))
                return false;
            copy_push(&b->copy, offset, len);
        }
        job_show_progress(j);
        if (!copy_pause_point(&b->copy) || !copy_retry_failed(&b->copy, err))
            return false;
    }
    while (copy_wait_idle(&b->copy), !copy_is_idle(&b->copy))
        if (!copy_retry_failed(&b->copy, err))
            return false;
    return !job_is_cancelled(j);
}

static bool backup_run(struct job *j, struct error *err)
{
    struct backup *b = j->priv;
    uint64_t total = 0;
    int r;

    b->copy.job = j;
    copy_start(&b->copy);
    for (uint64_t at = 0, len; cbw_next(b->cbw, &at, &len); at += len)
        total += len;
    job_set_total(j, total);
    while (b->sync == DISK_SYNC_NONE) { /* the guest's writes are all; ended by a cancel */
        job_sleep(j, UINT64_C(1000000000));
        if (!job_pause_point(j))
            return false;
    }
    if (!copy_pending(j, b, err))
        return false;
    r = cbw_error(b->cbw);
    if (!r)
        r = disk_flush(b->target);
    return !r || fail(err, -r, "writing the target: %s", strerror(-r));
}

static void backup_commit(struct job *j)
{
    struct backup *b = j->priv;

    b->succeeded = true;
}

/* The marks of an incremental backup that failed are needed again. */
static void finish_bitmap(struct backup *b)
{
    struct error err = { 0 };
    bool ok = true;

    if (b->bitmap)
        disk_bitmap_set_flags(b->bitmap, 0, BITMAP_BUSY);
    if (b->before && !b->succeeded)
        ok = disk_bitmap_merge(b->bitmap, b->before, &err);
    if (b->before)
        ok &= disk_bitmap_remove(b->before, &err);
    assert(ok);
    b->bitmap = b->before = NULL;
}

static void backup_clean(struct job *j)
{
    struct backup *b = j->priv;

    copy_finish(&b->copy);
    if (b->inserted)
        disk_remove_filter(b->source, b->filter);
    finish_bitmap(b);
    disk_unref(b->filter);
    chain_restore(&b->access);
    disk_unref(b->source);
    disk_unref(b->target);
    b->source = b->target = b->filter = NULL;
}

static const struct job_type backup_type = {
    .name = "backup",
    .doc = "Copies a disk as it is at one moment.",
    .size = sizeof(struct backup),
    .run = backup_run,
    .commit = backup_commit,
    .clean = backup_clean,
};

static bool find_bitmap(struct backup *b, const char *name, struct error *err)
{
    bool wanted = b->sync == DISK_SYNC_INCREMENTAL || b->sync == DISK_SYNC_BITMAP;
    unsigned flags, bad = BITMAP_BUSY | BITMAP_INCONSISTENT;

    if (!name && !wanted)
        return true;
    if (!name || !wanted) {
        fail(err, EINVAL,
             name ? "backup: a bitmap is given, but sync is not incremental"
                  : "must provide a valid bitmap name for incremental sync mode");
        return false;
    }
    b->bitmap = disk_bitmap_find(b->source, name);
    bad |= b->sync == DISK_SYNC_INCREMENTAL ? BITMAP_READ_ONLY : 0;
    if (!b->bitmap)
        return fail(err, ENOENT, "Bitmap '%s' could not be found", name);
    flags = disk_bitmap_flags(b->bitmap);
    if (flags & (BITMAP_BUSY | BITMAP_INCONSISTENT)) {
        b->bitmap = NULL;
        return fail(err, EBUSY, "Bitmap '%s' is %s and cannot be used", name,
                    flags & BITMAP_BUSY ? "currently in use by another operation" : "inconsistent");
    }
    return true;
}

/* With the source drained: what the bitmap says now is what is copied. */
static bool insert_filter(struct backup *b, const char *bitmap, bool compress, struct error *err)
{
    struct optlist opts = { 0 };
    bool ok;

    optlist_add(&opts, "driver", "copy-before-write");
    optlist_add(&opts, "file", disk_node_name(b->source));
    optlist_add(&opts, "target", disk_node_name(b->target));
    if (bitmap) {
        optlist_add(&opts, "bitmap.node", disk_node_name(b->source));
        optlist_add(&opts, "bitmap.name", bitmap);
    }
    b->filter = disk_open(b->source->graph, NULL, &opts,
                          b->source->open_flags & (DISK_RDWR | DISK_UNMAP), err);
    optlist_finish(&opts);
    if (!b->filter)
        return false;
    b->cbw = cbw_of(b->filter);
    cbw_set_write_flags(b->cbw, compress ? DISK_COMPRESSED : 0);
    if (b->sync == DISK_SYNC_INCREMENTAL) {
        b->before = disk_bitmap_add(b->source, NULL, disk_bitmap_granularity(b->bitmap), err);
        if (!b->before)
            return false;
        disk_bitmap_set_flags(b->before, 0, BITMAP_ENABLED);
        if (!disk_bitmap_merge(b->before, b->bitmap, err) || !disk_bitmap_clear(b->bitmap, err))
            return false;
    }
    ok = disk_insert_filter(b->source, b->filter, err);
    b->inserted = ok;
    if (ok && b->bitmap)
        disk_bitmap_set_flags(b->bitmap, BITMAP_BUSY, 0);
    return ok;
}

static bool check_backup(struct disk *source, struct disk *target, bool compress, struct error *err)
{
    if (source == target)
        return fail(err, EINVAL, "Source and target cannot be the same");
    if (disk_size(source) != disk_size(target)) {
        fail(err, EINVAL, "backup: the target '%s' has another size than '%s'",
             disk_node_name(target), disk_node_name(source));
        return fail_hint(err, "make it with the size of the source");
    }
    if (compress && !chain_skip_filters(target)->driver->write_compressed)
        return fail(err, ENOTSUP, "Compression is not supported for underlying format: %s",
                    chain_skip_filters(target)->driver->name);
    return true;
}

struct job *job_backup(const struct job_options *o, struct disk *source, struct disk *target,
                       enum disk_sync sync, const char *bitmap, bool compress, struct error *err)
{
    struct backup *b;
    struct job *j;
    bool ok;

    if (!check_backup(source, target, compress, err))
        return NULL;
    j = job_new(&backup_type, o);
    b = j->priv;
    b->source = disk_ref(source);
    b->target = disk_ref(target);
    b->sync = sync;
    b->copy.source = source;
    b->copy.target = target;
    b->copy.run = backup_range;
    if (find_bitmap(b, bitmap, err) && chain_make_writable(target, &b->access, err)) {
        disk_drain_begin(source);
        ok = insert_filter(b, bitmap, compress, err);
        disk_drain_end(source);
        if (ok)
            return j;
    }
    job_free(j);
    return NULL;
}
