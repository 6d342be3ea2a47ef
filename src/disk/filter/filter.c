/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/filter/filter.h"

#include "base/alloc.h"
#include "base/optlist.h"
#include "base/scope.h"

void filter_inherit(struct disk *d)
{
    const struct disk *c = d->file;

    atomic_store(&d->size, atomic_load(&c->size));
    d->align = c->align;
    d->memory_align = c->memory_align;
    d->zero_align = c->zero_align;
    d->discard_align = c->discard_align;
    d->max_transfer = c->max_transfer;
    d->cluster_size = c->cluster_size;
    d->subcluster_size = c->subcluster_size;
    /* calls of the child cope with every flag */
    d->write_flags = DISK_FUA | DISK_UNCHANGED;
    d->zero_flags = DISK_FUA | DISK_MAY_UNMAP | DISK_NO_FALLBACK | DISK_UNCHANGED;
}

int filter_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    return disk_map(d->file, offset, len, ret);
}

bool filter_option_list(struct disk *d, const char *prefix, const struct field *table,
                        const void *fresh, size_t size,
                        bool (*add)(struct disk *d, void *item, struct error *err),
                        struct error *err)
{
    struct optlist *all = disk_open_options(d);
    bool ok = true;

    for (unsigned i = 0; ok && all; i++) {
        AUTO_FREE char *name = xasprintf("%s.%u", prefix, i);
        AUTO_FREE void *item = xmemdup(fresh, size);
        struct optlist sub = { 0 };

        optlist_move_prefix(all, name, &sub);
        if (!sub.count) {
            optlist_finish(&sub);
            break;
        }
        ok = optlist_apply(&sub, table, item, err) && optlist_done(&sub, name, err) &&
             add(d, item, err);
        optlist_finish(&sub);
        if (!ok)
            field_free_strings(item, table);
    }
    return ok;
}

struct disk *filter_below(struct disk *d, const struct disk_driver *driver)
{
    while (d && d->driver != driver)
        d = d->file;
    return d;
}

struct disk *filter_below_format(struct disk *d)
{
    while (d && d->driver->is_filter && d->file)
        d = d->file;
    return d;
}
