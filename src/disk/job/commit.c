/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commit of layers below the active one: nobody writes to them, and what base gets is what those
 * above it read anyway, so a plain copy is right at any moment. The active layer is mirrored
 * (mirror.c).
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "disk/job/chain.h"
#include "disk/job/copy.h"
#include "disk/job/mirror.h"
#include "disk/node.h"

struct commit {
    struct disk *active, *top, *base, *overlay; /* references */
    char *backing_file;
    struct copy copy;
    struct chain_access access;
};

static bool commit_run(struct job *j, struct error *err)
{
    struct commit *m = j->priv;
    uint64_t size = disk_size(m->top);
    int r;

    m->copy.job = j;
    copy_start(&m->copy);
    job_set_total(j, size);
    if (!copy_all(&m->copy, size, err))
        return false;
    r = disk_flush(m->base);
    return !r || fail(err, -r, "flushing '%s': %s", disk_node_name(m->base), strerror(-r));
}

static bool commit_prepare(struct job *j, struct error *err)
{
    struct commit *m = j->priv;

    return chain_set_backing(m->overlay, m->base, m->backing_file, err);
}

static void commit_clean(struct job *j)
{
    struct commit *m = j->priv;

    copy_finish(&m->copy);
    chain_restore(&m->access);
    disk_unref(m->overlay);
    disk_unref(m->top);
    disk_unref(m->base);
    disk_unref(m->active);
    free(m->backing_file);
    m->active = m->top = m->base = m->overlay = NULL;
}

static const struct job_type commit_type = {
    .name = "commit",
    .doc = "Copies layers into the one below them and takes them out of the chain.",
    .size = sizeof(struct commit),
    .run = commit_run,
    .prepare = commit_prepare,
    .clean = commit_clean,
};

static bool check_chain(struct disk *active, struct disk *top, struct disk *base, struct error *err)
{
    if (chain_skip_filters(top) == chain_skip_filters(base))
        return fail(err, EINVAL, "commit: top and base are the same image '%s'",
                    disk_node_name(top));
    if (top != active && !chain_has(active, top))
        return fail(err, EINVAL, "commit: '%s' is not in the backing chain of '%s'",
                    disk_node_name(top), disk_node_name(active));
    if (chain_has(top, base))
        return true;
    fail(err, EINVAL, "commit: '%s' is not in the backing chain of '%s'", disk_node_name(base),
         disk_node_name(top));
    return fail_hint(err, "name one of the images below it");
}

struct job *job_commit(const struct job_options *o, struct disk *active, struct disk *top,
                       struct disk *base, const char *backing_file, struct error *err)
{
    struct commit *m;
    struct job *j;

    if (!check_chain(active, top, base, err))
        return NULL;
    if (top == active)
        return mirror_commit_active(o, active, base, err);
    j = job_new(&commit_type, o);
    m = j->priv;
    m->active = disk_ref(active);
    m->top = disk_ref(top);
    m->base = disk_ref(base);
    m->overlay = disk_ref(chain_overlay_of(active, top));
    m->backing_file = xstrdup(backing_file);
    m->copy.source = top;
    m->copy.target = base;
    m->copy.base = base;
    m->copy.skip_holes = true;
    if (!chain_make_writable(base, &m->access, err))
        goto failed;
    if (disk_size(base) < disk_size(top) &&
        !disk_resize(base, disk_size(top), DISK_PREALLOC_OFF, false, err)) {
        err_prefix(err, "growing '%s': ", disk_node_name(base));
        goto failed;
    }
    return j;
failed:
    job_free(j);
    return NULL;
}
