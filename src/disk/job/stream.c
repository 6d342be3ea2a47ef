/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream: an image gets what it has from the layers below, down to base, which then is its backing
 * file. Each cluster is copied up while writes to it wait (filter/copy_up.h).
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "disk/filter/copy_up.h"
#include "disk/job/chain.h"
#include "disk/job/copy.h"
#include "disk/node.h"

struct stream {
    struct disk *d, *base; /* references; base may be NULL */
    char *backing_file;
    struct copy copy;
    struct chain_access access;
};

static int stream_range(struct copy *c, struct copy_range *r, void *buf)
{
    int error = disk_copy_up(c->source, c->base, r->offset, r->len);

    (void)buf;
    r->write = error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
    return error;
}

static bool stream_run(struct job *j, struct error *err)
{
    struct stream *s = j->priv;
    uint64_t size = disk_size(s->d);
    int r;

    s->copy.job = j;
    copy_start(&s->copy);
    job_set_total(j, size);
    if (!copy_all(&s->copy, size, err))
        return false;
    r = disk_flush(s->d);
    return !r || fail(err, -r, "flushing '%s': %s", disk_node_name(s->d), strerror(-r));
}

static bool stream_prepare(struct job *j, struct error *err)
{
    struct stream *s = j->priv;

    return chain_set_backing(s->d, s->base, s->backing_file, err);
}

static void stream_clean(struct job *j)
{
    struct stream *s = j->priv;

    copy_finish(&s->copy);
    chain_restore(&s->access);
    disk_unref(s->d);
    disk_unref(s->base);
    free(s->backing_file);
    s->d = s->base = NULL;
}

static const struct job_type stream_type = {
    .name = "stream",
    .doc = "Copies into an image what it has from its backing files, and cuts them off.",
    .size = sizeof(struct stream),
    .run = stream_run,
    .prepare = stream_prepare,
    .clean = stream_clean,
};

struct job *job_stream(const struct job_options *o, struct disk *d, struct disk *base,
                       const char *backing_file, struct error *err)
{
    struct disk *image = chain_skip_filters(d);
    struct stream *s;
    struct job *j;

    if (base && !chain_has(image, base)) {
        fail(err, EINVAL, "stream: '%s' is not in the backing chain of '%s'", disk_node_name(base),
             disk_node_name(d));
        fail_hint(err, "name one of the images below it, or none");
        return NULL;
    }
    j = job_new(&stream_type, o);
    s = j->priv;
    s->d = disk_ref(image);
    s->base = base ? disk_ref(base) : NULL;
    s->backing_file = xstrdup(backing_file);
    s->copy.source = s->copy.target = image;
    s->copy.base = base;
    s->copy.skip_holes = s->copy.skip_top = s->copy.fail_late = true;
    s->copy.run = stream_range;
    if (chain_make_writable(image, &s->access, err))
        return j;
    job_free(j);
    return NULL;
}
