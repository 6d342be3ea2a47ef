/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies where: one node's answer, refined by the file below, and the whole backing chain's. */
#include <errno.h>

#include "base/bits.h"
#include "disk/node_priv.h"

static int ask_driver(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    struct disk *child = d->file ? d->file : d->children ? d->children->node : NULL;

    if (d->driver->map)
        return d->driver->map(d, offset, len, ret);
    if (d->driver->is_filter && child)
        return disk_map(child, offset, len, ret);
    ret->len = len;
    ret->flags = DISK_MAP_DATA | DISK_MAP_ALLOCATED;
    if (d->driver->is_transport) {
        ret->flags |= DISK_MAP_OFFSET;
        ret->host_offset = offset;
        ret->file = d;
    }
    return 0;
}

/* Data of a format may be a hole of the file below, which reads as zeroes. */
static int ask_below(struct disk *d, struct disk_extent *x)
{
    struct disk_extent below;
    uint64_t size = disk_size(x->file);
    int r;

    if (x->host_offset >= size) {
        x->flags |= DISK_MAP_ZERO;
        return 0;
    }
    r = disk_map(x->file, x->host_offset, MIN(x->len, size - x->host_offset), &below);
    if (r)
        return 0; /* only a refinement */
    x->len = MIN(x->len, below.len);
    x->flags |= below.flags & DISK_MAP_ZERO;
    return 0;
}

int disk_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    uint64_t size = disk_size(d);
    const unsigned both = DISK_MAP_DATA | DISK_MAP_OFFSET;
    int r;

    if (offset >= size || !len)
        return -EINVAL;
    len = MIN(len, size - offset);
    *ret = (struct disk_extent){ 0 };
    r = ask_driver(d, offset, len, ret);
    if (r)
        return r;
    assert(ret->len);
    ret->len = MIN(ret->len, len);
    if ((ret->flags & both) == both &&
        !(ret->flags & (DISK_MAP_ZERO | DISK_MAP_COMPRESSED | DISK_MAP_SOLID)) && ret->file != d &&
        !d->driver->is_filter)
        r = ask_below(d, ret);
    ret->flags &= ~(DISK_MAP_EOF | DISK_MAP_SOLID);
    if (offset + ret->len == size)
        ret->flags |= DISK_MAP_EOF;
    return r;
}

static struct disk *skip_filters(struct disk *d)
{
    while (d && d->driver->is_filter && d->children)
        d = d->file ? d->file : d->children->node;
    return d;
}

/* One extent of the chain below top: the first layer that decides. A layer that is shorter than
 * what is asked leaves the rest to nobody: it is zero. */
int disk_map_above(struct disk *d, struct disk *base, uint64_t offset, uint64_t len,
                   struct disk_extent *ret)
{
    uint64_t size = disk_size(d);
    unsigned depth = 0;
    int r;

    if (offset >= size || !len)
        return -EINVAL;
    len = MIN(len, size - offset);
    base = skip_filters(base);
    for (struct disk *n = skip_filters(d); n && n != base; n = skip_filters(n->backing), depth++) {
        uint64_t n_size = disk_size(n);

        if (offset >= n_size) {
            *ret = (struct disk_extent){ len, DISK_MAP_ZERO | DISK_MAP_ALLOCATED, 0, NULL, depth };
            break;
        }
        r = disk_map(n, offset, MIN(len, n_size - offset), ret);
        if (r)
            return r;
        ret->depth = depth;
        len = MIN(len, ret->len);
        if (ret->flags & (DISK_MAP_ALLOCATED | DISK_MAP_DATA))
            break;
        if (!n->backing) { /* nobody below: zero */
            ret->flags |= DISK_MAP_ZERO;
            break;
        }
        ret->flags = 0;
    }
    ret->len = len;
    ret->flags &= ~DISK_MAP_EOF;
    if (offset + len == size)
        ret->flags |= DISK_MAP_EOF;
    return 0;
}
