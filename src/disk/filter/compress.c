/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compress: what is written is stored compressed by the format below.
 */
#include <errno.h>

#include "base/bits.h"
#include "disk/filter/filter.h"

static bool compress_open(struct disk *d, struct error *err)
{
    const struct disk *format = filter_below_format(d->file);

    if (!format->driver->write_compressed) {
        fail(err, ENOTSUP, "Compression is not supported for underlying format: %s",
             format->driver->name);
        return fail_hint(err, "qcow2 and streamOptimized vmdk images store compressed data");
    }
    filter_inherit(d);
    /* only whole clusters are compressed: the core reads what a smaller write leaves out */
    d->align = MAX(d->align, d->file->cluster_size);
    return true;
}

static int compress_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    uint64_t size = disk_size(d->file);

    /* the end of an image may lie inside of a cluster */
    if (offset + v.len > size)
        v = vec_slice(v, 0, (size_t)(size - offset));
    return disk_writev(d->file, offset, v, flags | DISK_COMPRESSED);
}

const struct disk_driver compress_driver = {
    .name = "compress",
    .doc = "Stores what is written compressed.",
    .is_filter = true,
    .open = compress_open,
    .write = compress_write,
};
