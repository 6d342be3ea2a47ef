/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changing the size of an open node. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "disk/bitmap.h"
#include "disk/node_priv.h"

const char *const disk_preallocation_names[] = { "off", "metadata", "falloc", "full", NULL };

/* An overlay that grows over a longer backing file would show that file's data where the disk ended
 * before; a new part of a disk is zero. */
static bool hide_backing(struct disk *d, uint64_t old_size, struct error *err)
{
    struct disk *b = disk_backing(d);
    uint64_t end = b ? MIN(disk_size(b), disk_size(d)) : 0;
    int r;

    if (end <= old_size)
        return true;
    r = disk_zero(d, old_size, end - old_size, 0);
    if (!r)
        return true;
    return fail(err, -r, "could not zero the part that the backing file would show: %s",
                strerror(-r));
}

static bool do_resize(struct disk *d, uint64_t size, enum disk_preallocation prealloc, bool exact,
                      struct error *err)
{
    struct disk *child = d->file ? d->file : d->children ? d->children->node : NULL;
    uint64_t old_size = disk_size(d);

    if (d->read_only)
        return fail(err, EACCES, "Image is read-only");
    if (size > DISK_MAX_SIZE)
        return fail(err, EFBIG, "Required too big image size, it must be not greater than %" PRIu64,
                    DISK_MAX_SIZE);
    if (d->driver->resize) {
        if (!d->driver->resize(d, size, prealloc, exact, err))
            return false;
        atomic_store(&d->size, size);
    } else if (d->driver->is_filter && child) {
        if (!disk_resize(child, size, prealloc, exact, err))
            return false;
    } else {
        return fail(err, ENOTSUP, "Image format driver does not support resize");
    }
    if (atomic_load(&d->bitmaps))
        disk_bitmaps_resized(d);
    if (d->driver->is_transport)
        atomic_fetch_add(&d->core->write_gen, 1);
    return size <= old_size || hide_backing(d, old_size, err);
}

bool disk_resize(struct disk *d, uint64_t size, enum disk_preallocation prealloc, bool exact,
                 struct error *err)
{
    bool entered = !request_is_nested(), ok;

    if (entered) {
        request_enter(d);
        request_nested_begin();
    }
    ok = do_resize(d, size, prealloc, exact, err);
    if (entered) {
        request_nested_end();
        request_leave(d);
    }
    return ok;
}
