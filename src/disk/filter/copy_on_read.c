/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy-on-read: what is read from the layers below is stored in the image on the way.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "disk/filter/copy_up.h"
#include "disk/filter/filter.h"

struct copy_on_read {
    char *bottom;      /* option */
    struct disk *base; /* below bottom; NULL: all layers are copied from */
};

static const struct field options[] = {
    FIELD(struct copy_on_read, bottom, .doc = "node name of the lowest layer that is copied from"),
    { 0 },
};

static bool copy_on_read_open(struct disk *d, struct error *err)
{
    struct copy_on_read *c = d->priv;
    struct disk *bottom;

    filter_inherit(d);
    if (d->read_only) {
        fail(err, EACCES, "Block node is read-only");
        return fail_hint(err, "copy-on-read stores what it reads; open it with read-only=off");
    }
    if (!c->bottom)
        return true;
    bottom = disk_graph_find(d->graph, c->bottom);
    if (!bottom)
        return fail(err, ENOENT, "Bottom node '%s' not found", c->bottom);
    if (bottom->driver->is_filter)
        return fail(err, EINVAL, "Bottom node '%s' is a filter", c->bottom);
    c->base = disk_backing(bottom);
    return true;
}

/* Without a lock: most reads find all there. */
static bool all_there(struct disk *d, uint64_t offset, uint64_t len)
{
    struct disk_extent x;

    for (uint64_t done = 0; done < len; done += x.len)
        if (disk_map(d, offset + done, len - done, &x) || !(x.flags & DISK_MAP_ALLOCATED))
            return false;
    return true;
}

static int copy_on_read_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    const struct copy_on_read *c = d->priv;
    struct disk *image = filter_below_format(d);
    int r = 0;

    if (image->backing && !all_there(image, offset, v.len))
        r = disk_copy_up(image, c->base, offset, v.len);
    return r ? r : disk_readv(d->file, offset, v);
}

const struct disk_driver copy_on_read_driver = {
    .name = "copy-on-read",
    .doc = "Stores in the image what is read from its backing files.",
    .is_filter = true,
    .size = sizeof(struct copy_on_read),
    .options = options,
    .open = copy_on_read_open,
    .read = copy_on_read_read,
    .map = filter_map,
};
