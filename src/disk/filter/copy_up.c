/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/filter/copy_up.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "disk/event.h"
#include "disk/filter/filter.h"
#include "disk/node_priv.h"

#define PIECE (UINT64_C(1) << 20) /* read at once */

/* What lies below at offset: how many of len bytes, and whether they are copied, as zeroes or not.
 */
struct below {
    uint64_t len;
    bool copy, zero;
};

static int look_below(struct disk *d, struct disk *base, uint64_t offset, uint64_t len,
                      struct below *ret)
{
    uint64_t size = disk_size(d->backing);
    struct disk_extent x;
    int r;

    *ret = (struct below){ len, false, false };
    if (filter_below_format(d->backing) == filter_below_format(base))
        return 0;
    if (offset >= size) { /* zeroes, which a longer base must not shine through */
        ret->copy = ret->zero = true;
        return 0;
    }
    r = disk_map_above(d->backing, base, offset, MIN(len, size - offset), &x);
    if (r)
        return r;
    ret->len = x.len;
    ret->copy = x.flags & DISK_MAP_ALLOCATED;
    ret->zero = x.flags & DISK_MAP_ZERO;
    return 0;
}

static int store_zeroes(struct disk *d, uint64_t offset, uint64_t len, char *buf)
{
    int r = d->driver->zero ? d->driver->zero(d, offset, len, 0) : -ENOTSUP;

    if (r != -ENOTSUP)
        return r;
    memset(buf, 0, MIN(len, PIECE));
    r = 0;
    for (uint64_t done = 0; !r && done < len; done += PIECE)
        r = d->driver->write(d, offset + done, vec_of(buf, MIN(len - done, PIECE)), 0);
    return r;
}

/* A range that d does not have and that is held against writes. */
static int fill(struct disk *d, struct disk *base, uint64_t offset, uint64_t len, char *buf)
{
    struct below b;
    int r = 0;

    for (uint64_t done = 0; !r && done < len; done += b.len) {
        uint64_t at = offset + done;

        r = look_below(d, base, at, len - done, &b);
        if (r || !b.copy)
            continue;
        if (!b.zero) {
            b.len = MIN(b.len, PIECE);
            r = disk_read(d->backing, at, buf, b.len);
        }
        if (r)
            continue;
        disk_event(d->file, EVENT_COR_WRITE);
        r = b.zero ? store_zeroes(d, at, b.len, buf)
                   : d->driver->write(d, at, vec_of(buf, b.len), 0);
    }
    return r;
}

static int copy_held(struct disk *d, struct disk *base, uint64_t offset, uint64_t len, char *buf)
{
    struct disk_extent x;
    int r = 0;

    for (uint64_t done = 0; !r && done < len; done += x.len) {
        r = disk_map(d, offset + done, len - done, &x);
        if (!r && !(x.flags & DISK_MAP_ALLOCATED))
            r = fill(d, base, offset + done, x.len, buf);
    }
    return r;
}

int disk_copy_up(struct disk *d, struct disk *base, uint64_t offset, uint64_t len)
{
    bool nested = request_is_nested();
    uint64_t cluster, end;
    char *buf = NULL;
    int r = 0;

    d = filter_below_format(d);
    cluster = MAX(d->cluster_size, MAX(d->align, 1u));
    end = MIN(ALIGN_UP(offset + len, cluster), disk_size(d));
    offset = ALIGN_DOWN(offset, cluster);
    if (!d->backing)
        return 0;
    if (d->read_only)
        return -EPERM;
    if (posix_memalign((void **)&buf, 4096, PIECE))
        return -ENOMEM;
    if (!nested) {
        request_enter(d);
        request_nested_begin();
    }
    for (uint64_t n; !r && offset < end; offset += n) {
        struct track t;

        n = MIN(end - offset, MAX(PIECE, cluster));
        track_begin(d, &t, offset, n, true);
        r = copy_held(d, base, offset, n, buf);
        track_end(d, &t);
    }
    if (!nested) {
        request_nested_end();
        request_leave(d);
    }
    free(buf);
    return r;
}
