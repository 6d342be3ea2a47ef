/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle: its requests wait until the group's limits let them pass.
 */
#include "base/throttle.h"

#include <errno.h>

#include "disk/filter/filter.h"

struct throttle {
    char *throttle_group; /* option */
    struct throttle_member *member;
};

static const struct field options[] = {
    FIELD(struct throttle, throttle_group, .doc = "id of a throttle-group object"),
    { 0 },
};

static bool throttle_open(struct disk *d, struct error *err)
{
    struct throttle *t = d->priv;
    struct throttle_group *g =
        object_find(disk_graph_objects(d->graph), t->throttle_group, &throttle_group_type, err);

    if (!g)
        return false;
    t->member = throttle_join(g);
    filter_inherit(d);
    return true;
}

static void throttle_close(struct disk *d)
{
    struct throttle *t = d->priv;

    throttle_leave(t->member);
}

static int throttle_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    const struct throttle *t = d->priv;

    throttle_wait(t->member, false, v.len);
    return disk_readv(d->file, offset, v);
}

static int throttle_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    const struct throttle *t = d->priv;

    throttle_wait(t->member, true, v.len);
    return disk_writev(d->file, offset, v, flags);
}

static int throttle_write_compressed(struct disk *d, uint64_t offset, struct disk_vec v)
{
    return throttle_write(d, offset, v, DISK_COMPRESSED);
}

static int throttle_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    const struct throttle *t = d->priv;

    throttle_wait(t->member, true, len);
    return disk_zero(d->file, offset, len, flags);
}

static int throttle_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    const struct throttle *t = d->priv;

    throttle_wait(t->member, true, len);
    return disk_discard(d->file, offset, len);
}

static void throttle_drain(struct disk *d, bool on)
{
    const struct throttle *t = d->priv;

    if (on)
        throttle_hurry_begin(t->member);
    else
        throttle_hurry_end(t->member);
}

const struct disk_driver throttle_driver = {
    .name = "throttle",
    .doc = "Slows requests down to the limits of a group.",
    .is_filter = true,
    .size = sizeof(struct throttle),
    .options = options,
    .open = throttle_open,
    .close = throttle_close,
    .read = throttle_read,
    .write = throttle_write,
    .write_compressed = throttle_write_compressed,
    .zero = throttle_zero,
    .discard = throttle_discard,
    .map = filter_map,
    .drain = throttle_drain,
};
