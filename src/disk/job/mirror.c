/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror, and commit of the active layer: a bitmap records what is written to the source while what
 * it marks is copied. A mark is taken before its range is read, so a write meanwhile marks it
 * again. When nothing is left the job is ready; at the end the source is drained, the rest copied
 * by the job's own thread, and the target takes its place.
 */
#include "disk/job/mirror.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "disk/bitmap.h"
#include "disk/job/chain.h"
#include "disk/job/copy.h"
#include "disk/node_priv.h"

#define MAX_TAKE   (UINT64_C(1) << 28)  /* marks taken at once, where all is zero */
#define FINAL_REST (UINT64_C(64) << 20) /* dirty bytes that may be copied while drained */
#define POLL_NS    UINT64_C(50000000)   /* between looks at the bitmap when all is copied */

struct mirror {
    struct disk *source, *target; /* references */
    struct disk *base;            /* what is initially copied lies above it; borrowed from source */
    bool into_base;               /* commit: the target is base */
    enum disk_sync sync;
    struct disk_bitmap *dirty;
    struct copy copy;
    struct chain_access access;
    bool drained, keep_graph;
};

/* Marks what is to be copied at first. */
static bool mark_initial(struct job *j, struct mirror *m, struct error *err)
{
    uint64_t size = disk_size(m->source);
    struct disk_extent x;

    if (m->sync == DISK_SYNC_NONE)
        return true;
    for (uint64_t offset = 0; offset < size; offset += x.len) {
        int r = disk_map_above(m->source, m->base, offset, size - offset, &x);

        if (!job_pause_point(j))
            return false;
        if (r) {
            x.len = 0;
            if (!job_handle_error(j, false, r, err))
                return false;
            continue;
        }
        if (!m->base || (x.flags & DISK_MAP_ALLOCATED))
            disk_bitmap_mark(m->dirty, offset, x.len);
    }
    return true;
}

/* Marks again what failed, when the policy says so. */
static bool handle_failed(struct mirror *m, struct error *err)
{
    struct copy_range r;

    while (copy_take_failed(&m->copy, &r)) {
        disk_bitmap_mark(m->dirty, r.offset, r.len);
        if (!job_handle_error(m->copy.job, r.write, r.error, err))
            return false;
    }
    return true;
}

/* Takes the next marks: a chunk, or as much as reads as zeroes. False: there are none. */
static bool take_next(struct mirror *m, uint64_t *offset, uint64_t *ret_len)
{
    uint64_t run, max = COPY_CHUNK;
    struct disk_extent x;

    if (!disk_bitmap_next_dirty(m->dirty, offset, &run)) {
        *offset = 0;
        if (!disk_bitmap_next_dirty(m->dirty, offset, &run))
            return false;
    }
    if (run > max && !disk_map_above(m->source, NULL, *offset, MIN(run, MAX_TAKE), &x) &&
        (x.flags & DISK_MAP_ZERO))
        max = MAX(max, x.len);
    return disk_bitmap_take_dirty(m->dirty, offset, max, ret_len);
}

/* All that is marked, by this thread, which holds the drain. */
static bool copy_rest(struct mirror *m, void *buf, struct error *err)
{
    uint64_t offset = 0, len;
    bool ok = true;

    request_nested_begin(); /* the gate of the drain is ours */
    while (ok && take_next(m, &offset, &len)) {
        struct copy_range r = { .offset = offset, .len = len };

        r.error = copy_bytes(&m->copy, &r, buf);
        if (r.error)
            ok = fail(err, -r.error, "%s while completing: %s",
                      r.write ? "writing the target" : "reading the source", strerror(-r.error));
        offset += len;
    }
    request_nested_end();
    return ok;
}

static bool finish_run(struct mirror *m, struct error *err)
{
    void *buf = NULL;
    bool ok;
    int r;

    copy_wait_idle(&m->copy);
    if (posix_memalign(&buf, 4096, COPY_CHUNK))
        return fail(err, ENOMEM, "no memory for a buffer of a megabyte");
    disk_drain_begin(m->source);
    m->drained = true;
    ok = handle_failed(m, err) && copy_rest(m, buf, err);
    free(buf);
    if (!ok)
        return false;
    request_nested_begin();
    r = disk_flush(m->target);
    request_nested_end();
    return !r || fail(err, -r, "flushing the target: %s", strerror(-r));
}

static void show(struct mirror *m)
{
    struct job *j = m->copy.job;

    job_set_total(j, atomic_load(&j->done) + disk_bitmap_dirty_bytes(m->dirty));
    job_show_progress(j);
}

/* Nothing is left to copy for now: ready, unless it is so already. */
static bool synced(struct mirror *m, struct error *err)
{
    struct job *j = m->copy.job;
    int r;

    if (job_status(j) == JOB_READY) {
        job_sleep(j, POLL_NS);
        return true;
    }
    r = disk_flush(m->target);
    if (r)
        return job_handle_error(j, true, r, err);
    job_set_ready(j);
    return true;
}

static bool mirror_run(struct job *j, struct error *err)
{
    struct mirror *m = j->priv;
    uint64_t offset = 0, len;

    m->copy.job = j;
    copy_start(&m->copy);
    if (!mark_initial(j, m, err))
        return false;
    for (;;) {
        bool ending = job_is_completing(j) || job_soft_cancelled(j);

        show(m);
        if (!copy_pause_point(&m->copy) || !handle_failed(m, err))
            return false;
        if (ending && job_status(j) == JOB_READY && disk_bitmap_dirty_bytes(m->dirty) <= FINAL_REST)
            break;
        if (take_next(m, &offset, &len)) {
            if (!job_wait_speed(j, MIN(len, COPY_CHUNK))) {
                disk_bitmap_mark(m->dirty, offset, len);
                return false;
            }
            copy_push(&m->copy, offset, len);
            offset += len;
            continue;
        }
        copy_wait_idle(&m->copy);
        if (copy_is_idle(&m->copy) && !disk_bitmap_dirty_bytes(m->dirty) && !synced(m, err))
            return false;
    }
    m->keep_graph = job_soft_cancelled(j);
    return finish_run(m, err);
}

static bool mirror_prepare(struct job *j, struct error *err)
{
    struct mirror *m = j->priv;

    if (m->keep_graph)
        return true;
    if (m->into_base)
        m->access.node = NULL; /* it is the active layer now and stays writable */
    return disk_replace(m->source, m->target, err);
}

static void mirror_clean(struct job *j)
{
    struct mirror *m = j->priv;
    struct error err = { 0 };
    bool removed;

    copy_finish(&m->copy);
    if (m->drained)
        disk_drain_end(m->source);
    removed = !m->dirty || disk_bitmap_remove(m->dirty, &err);
    assert(removed);
    m->dirty = NULL;
    chain_restore(&m->access);
    disk_unref(m->source);
    disk_unref(m->target);
    m->source = m->target = NULL;
}

static const struct job_type mirror_type = {
    .name = "mirror",
    .doc = "Copies a disk and follows what is written to it until the copy takes its place.",
    .size = sizeof(struct mirror),
    .run = mirror_run,
    .prepare = mirror_prepare,
    .clean = mirror_clean,
};

static const struct job_type commit_active_type = {
    .name = "commit",
    .doc = "Copies the active layer into a layer below and goes on there.",
    .size = sizeof(struct mirror),
    .run = mirror_run,
    .prepare = mirror_prepare,
    .clean = mirror_clean,
};

/* Both sides need room for the larger one; a target never shrinks. */
static bool grow_target(struct disk *source, struct disk *target, struct error *err)
{
    if (disk_size(target) >= disk_size(source))
        return true;
    if (disk_resize(target, disk_size(source), DISK_PREALLOC_OFF, false, err))
        return true;
    err_prefix(err, "growing '%s': ", disk_node_name(target));
    return false;
}

static struct job *mirror_new(const struct job_type *type, const struct job_options *o,
                              struct mirror *set, uint32_t granularity, struct error *err)
{
    struct job *j = job_new(type, o);
    struct mirror *m = j->priv;

    *m = *set;
    m->source = disk_ref(set->source);
    m->target = disk_ref(set->target);
    m->copy.source = m->source;
    m->copy.target = m->target;
    if (!chain_make_writable(m->target, &m->access, err) ||
        (m->into_base && !grow_target(m->source, m->target, err)) ||
        !(m->dirty = disk_bitmap_add(m->source, NULL, granularity, err))) {
        job_free(j);
        return NULL;
    }
    return j;
}

struct job *mirror_commit_active(const struct job_options *o, struct disk *active,
                                 struct disk *base, struct error *err)
{
    struct mirror set = {
        .source = active, .target = base, .base = base, .into_base = true, .sync = DISK_SYNC_TOP
    };

    set.copy.base = base;
    set.copy.skip_holes = true;
    return mirror_new(&commit_active_type, o, &set, 0, err);
}

struct job *job_mirror(const struct job_options *o, struct disk *source, struct disk *target,
                       enum disk_sync sync, uint32_t granularity, struct error *err)
{
    struct mirror set = { .source = source, .target = target, .sync = sync };

    if (sync > DISK_SYNC_NONE) {
        fail(err, EINVAL, "mirror: sync is top, full or none");
        return NULL;
    }
    if (source == target) {
        fail(err, EINVAL, "Can't mirror node into itself");
        return NULL;
    }
    if (disk_size(target) != disk_size(source)) {
        fail(err, EINVAL, "mirror: the target '%s' has another size than '%s'",
             disk_node_name(target), disk_node_name(source));
        fail_hint(err, "make it with the size of the source");
        return NULL;
    }
    if (sync == DISK_SYNC_TOP)
        set.base = disk_backing(source);
    set.copy.new_target = sync == DISK_SYNC_FULL;
    set.copy.zero_flags = DISK_MAY_UNMAP;
    return mirror_new(&mirror_type, o, &set, granularity, err);
}
