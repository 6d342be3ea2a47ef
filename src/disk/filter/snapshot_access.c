/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot-access: reads through a copy-before-write node what the disk was when that was made.
 */
#include <errno.h>

#include "disk/filter/copy_before_write.h"
#include "disk/filter/filter.h"

static bool snapshot_access_open(struct disk *d, struct error *err)
{
    if (!cbw_of(d->file)) {
        fail(err, EINVAL, "snapshot-access: its file is a %s node", d->file->driver->name);
        return fail_hint(err, "it has to be a copy-before-write node");
    }
    filter_inherit(d);
    d->read_only = true;
    return true;
}

static int snapshot_access_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    return cbw_read_snapshot(cbw_of(d->file), offset, v);
}

static int snapshot_access_map(struct disk *d, uint64_t offset, uint64_t len,
                               struct disk_extent *ret)
{
    (void)d, (void)offset;
    *ret = (struct disk_extent){ .len = len, .flags = DISK_MAP_DATA | DISK_MAP_ALLOCATED };
    return 0;
}

const struct disk_driver snapshot_access_driver = {
    .name = "snapshot-access",
    .doc = "Reads a disk as it was when the copy-before-write node below was made.",
    .open = snapshot_access_open,
    .read = snapshot_access_read,
    .map = snapshot_access_map,
};
