/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How large a file becomes: for measure, and for preallocation. */
#include "base/alloc.h"
#include "base/scope.h"
#include "disk/format/qcow2/flight.h"

extern const struct disk_driver qcow2_driver;

static uint64_t div_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/* Refcount blocks and table for `clusters` other clusters: both count themselves. */
static uint64_t refcount_clusters(uint64_t clusters, uint64_t cluster_size, unsigned refcount_bits)
{
    uint64_t per_block = cluster_size * 8 / refcount_bits, per_table = cluster_size / 8;
    uint64_t blocks = 0, table = 0, last;

    do {
        last = blocks + table;
        blocks = div_up(clusters + last, per_block);
        table = div_up(blocks, per_table);
    } while (blocks + table > last);
    return blocks + table;
}

uint64_t qcow2_full_size(const struct qcow2_create *o, uint64_t size)
{
    uint64_t cluster = o->cluster_size, data = div_up(size, cluster);
    uint64_t l2 = div_up(data, cluster / (o->extended_l2 ? 16 : 8));
    uint64_t l1 = div_up(l2 * 8, cluster), n = 1 + data + l2 + l1;

    return (n + refcount_clusters(n, cluster, o->refcount_bits)) * cluster;
}

/* Bytes of clusters that a copy of source would write. */
static int count_data(struct disk *source, uint64_t cluster, uint64_t *ret)
{
    uint64_t size = disk_size(source), at = 0, counted = 0;

    *ret = 0;
    while (at < size) {
        struct disk_extent e;
        int r = disk_map_above(source, NULL, at, size - at, &e);

        if (r < 0)
            return r;
        if (e.flags & DISK_MAP_DATA && !(e.flags & DISK_MAP_ZERO)) {
            uint64_t lo = MAX(ALIGN_DOWN(at, cluster), counted);

            counted = MAX(ALIGN_UP(at + e.len, cluster), lo);
            *ret += counted - lo;
        }
        at += e.len;
    }
    return 0;
}

bool qcow2_measure(const void *opts, struct disk *source, uint64_t size, struct disk_measure *ret,
                   struct error *err)
{
    struct qcow2_create o = *(const struct qcow2_create *)opts;
    uint64_t needed, luks = 0;
    int r;

    if (!qcow2_create_check(&o, err))
        return false;
    if (source)
        size = disk_size(source);
    if (div_up(size, o.cluster_size) > BIT(35))
        return fail(err, EFBIG, "The image size is too large (try using a larger cluster size)");
    if (!qcow2_create_luks_size(&o, &luks, err))
        return false;
    ret->fully_allocated = qcow2_full_size(&o, size) + luks;
    needed = size;
    if (o.preallocation && (!strcmp(o.preallocation, "falloc") || !strcmp(o.preallocation, "full")))
        needed = ALIGN_UP(size, o.cluster_size);
    else if (source) {
        r = count_data(source, o.cluster_size, &needed);
        if (r < 0)
            return fail(err, -r, "Unable to get block status: %s", strerror(-r));
    } else {
        needed = 0;
    }
    if (o.data_file)
        needed = 0;
    if (source && source->driver->open == qcow2_driver.open && qcow2_create_version(&o) >= 3 &&
        ((const struct qcow2 *)source->priv)->h.version >= 3) {
        ret->has_bitmaps = true;
        ret->bitmaps = qcow2_bitmap_ops.measure ? qcow2_bitmap_ops.measure(source) : 0;
    }
    ret->required = ret->fully_allocated - ALIGN_UP(size, o.cluster_size) + needed;
    return true;
}
