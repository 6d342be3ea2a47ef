/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies where: the extents of each context. */
#include "nbd/server_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/bits.h"

/* One extent at offset of the node: its length, at most len, and flags. 0 or -errno. */
typedef int query_fn(struct nbd_export *e, unsigned context, uint64_t offset, uint64_t len,
                     uint64_t *ret_len, uint32_t *ret_flags);

static int query_base(struct nbd_export *e, unsigned context, uint64_t offset, uint64_t len,
                      uint64_t *ret_len, uint32_t *ret_flags)
{
    struct disk_extent x;
    int r = disk_map_above(e->disk, NULL, offset, len, &x);
    if (r)
        return r;
    *ret_len = x.len;
    *ret_flags = (x.flags & DISK_MAP_DATA ? 0 : NBD_STATE_HOLE) |
                 (x.flags & DISK_MAP_ZERO ? NBD_STATE_ZERO : 0);
    return 0;
}

/* 0: nowhere; 1: the top layer; 2: its backing file; ... */
static int query_depth(struct nbd_export *e, unsigned context, uint64_t offset, uint64_t len,
                       uint64_t *ret_len, uint32_t *ret_flags)
{
    struct disk_extent x;
    uint32_t depth = 1;
    for (struct disk *d = e->disk; d; d = disk_backing(d), depth++) {
        uint64_t size = disk_size(d);
        if (offset >= size)
            break; /* a backing file that is shorter: zeroes that nobody allocated */
        int r = disk_map(d, offset, MIN(len, size - offset), &x);
        if (r)
            return r;
        len = MIN(len, x.len);
        if (x.flags & DISK_MAP_ALLOCATED) {
            *ret_len = len;
            *ret_flags = depth;
            return 0;
        }
    }
    *ret_len = len;
    *ret_flags = 0;
    return 0;
}

static int query_bitmap(struct nbd_export *e, unsigned context, uint64_t offset, uint64_t len,
                        uint64_t *ret_len, uint32_t *ret_flags)
{
    const struct disk_bitmap *b = e->bitmaps[context - NBD_CONTEXT_BITMAP];
    uint64_t size = disk_bitmap_size(b);
    if (offset >= size) { /* grown since: a bitmap of a backing file may be shorter */
        *ret_len = len;
        *ret_flags = 0;
        return 0;
    }
    *ret_flags = disk_bitmap_run(b, offset, ret_len) ? NBD_STATE_DIRTY : 0;
    return 0;
}

struct nbd_extents *nbd_status(struct nbd_export *e, unsigned context, uint64_t offset,
                               uint32_t len, unsigned max, int *ret_errno)
{
    query_fn *query = context == NBD_CONTEXT_BASE    ? query_base
                      : context == NBD_CONTEXT_DEPTH ? query_depth
                                                     : query_bitmap;
    unsigned room = MIN(max, 64);
    struct nbd_extents *x = xcalloc(1, sizeof(*x) + room * sizeof(x->e[0]));
    for (uint32_t done = 0; done < len;) {
        uint64_t n;
        uint32_t flags;
        int r = query(e, context, e->offset + offset + done, len - done, &n, &flags);
        if (r || !n) {
            free(x);
            *ret_errno = r ? -r : EIO;
            return NULL;
        }
        n = MIN(n, len - done);
        if (x->count && x->e[x->count - 1].flags == flags) {
            x->e[x->count - 1].len += (uint32_t)n;
        } else if (x->count == max) {
            break;
        } else {
            if (x->count == room) {
                room = MIN(room * 2, max);
                x = xrealloc_array(x, 1, sizeof(*x) + room * sizeof(x->e[0]));
            }
            x->e[x->count++] = (struct nbd_extent){ (uint32_t)n, flags };
        }
        done += (uint32_t)n;
    }
    return x;
}
