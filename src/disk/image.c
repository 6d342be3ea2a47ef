/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/image.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"

struct disk *disk_format_node(struct disk *d)
{
    while (d->driver->is_filter && d->children)
        d = d->file ? d->file : d->children->node;
    return d;
}

int disk_check(struct disk *d, struct disk_check *c, unsigned fix)
{
    d = disk_format_node(d);
    if (!d->driver->check)
        return -ENOTSUP;
    if (fix && d->read_only)
        return -EROFS;
    return d->driver->check(d, c, fix);
}

bool disk_measure(const char *format, struct optlist *create_opts, struct disk *source,
                  uint64_t size, struct disk_measure *ret, struct error *err)
{
    const struct disk_driver *drv = disk_driver_find(format);

    if (!drv)
        return fail(err, ENOENT, "Unknown file format '%s'", format);
    if (!drv->measure)
        return fail(err, ENOTSUP, "Block driver '%s' does not support size measurement", format);
    void *opts = xcalloc(1, drv->create_size + 1);
    bool ok = optlist_apply(create_opts, drv->create_options, opts, err);
    /* those of every format, and of files, which change nothing here */
    static const char *const general[] = { "size",          "backing_file", "backing_fmt",
                                           "preallocation", "nocow",        "extent_size_hint" };
    for (unsigned i = 0; i < ARRAY_SIZE(general); i++)
        (void)optlist_take(create_opts, general[i]);
    ok = ok && optlist_done(create_opts, format, err) && drv->measure(opts, source, size, ret, err);
    field_free_strings(opts, drv->create_options);
    free(opts);
    return ok;
}

/* Members that nobody named keep what they are: the driver looks at the list of names given. */
bool disk_amend(struct disk *d, struct optlist *options, bool force, struct disk_progress *p,
                struct error *err)
{
    d = disk_format_node(d);
    const struct disk_driver *drv = d->driver;

    if (!drv->amend)
        return fail(err, ENOTSUP, "Format driver '%s' does not support option amendment",
                    drv->name);
    if (d->read_only)
        return fail(err, EROFS, "the image is open for reading only");
    void *opts = xcalloc(1, drv->create_size + 1);
    bool ok = optlist_apply(options, drv->amend_options, opts, err) &&
              optlist_done(options, drv->name, err) && drv->amend(d, opts, options, force, p, err);
    field_free_strings(opts, drv->amend_options);
    free(opts);
    return ok;
}

int disk_make_empty(struct disk *d)
{
    d = disk_format_node(d);
    if (!d->driver->make_empty)
        return -ENOTSUP;
    return d->read_only ? -EROFS : d->driver->make_empty(d);
}

static const struct disk_snapshot_ops *ops_of(struct disk **d)
{
    *d = disk_format_node(*d);
    return (*d)->driver->snapshots;
}

static bool no_snapshots(const struct disk *d, struct error *err)
{
    fail(err, ENOTSUP, "the format '%s' has no snapshots", d->driver->name);
    return fail_hint(err, "convert the image to qcow2, or use an overlay: create -b");
}

int disk_snapshot_list(struct disk *d, struct disk_snapshot **ret_list, unsigned *ret_count)
{
    const struct disk_snapshot_ops *ops = ops_of(&d);
    *ret_list = NULL;
    *ret_count = 0;
    return ops && ops->list ? ops->list(d, ret_list, ret_count) : -ENOTSUP;
}

void disk_snapshots_free(struct disk_snapshot *own_list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(own_list[i].id);
        free(own_list[i].name);
    }
    free(own_list);
}

bool disk_snapshot_create(struct disk *d, struct disk_snapshot *s, struct error *err)
{
    const struct disk_snapshot_ops *ops = ops_of(&d);
    return ops && ops->create ? ops->create(d, s, err) : no_snapshots(d, err);
}

bool disk_snapshot_apply(struct disk *d, const char *id_or_name, struct error *err)
{
    const struct disk_snapshot_ops *ops = ops_of(&d);
    return ops && ops->apply ? ops->apply(d, id_or_name, err) : no_snapshots(d, err);
}

bool disk_snapshot_remove(struct disk *d, const char *id_or_name, struct error *err)
{
    const struct disk_snapshot_ops *ops = ops_of(&d);
    return ops && ops->remove ? ops->remove(d, id_or_name, err) : no_snapshots(d, err);
}

bool disk_snapshot_load(struct disk *d, const char *id_or_name, struct error *err)
{
    const struct disk_snapshot_ops *ops = ops_of(&d);
    return ops && ops->load ? ops->load(d, id_or_name, err) : no_snapshots(d, err);
}
