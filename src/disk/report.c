/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a node says about itself. */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "disk/node_priv.h"

const char *disk_driver_name(const struct disk *d)
{
    return d->driver->name;
}

const char *disk_node_name(const struct disk *d)
{
    return d->node_name ? d->node_name : "";
}

const char *disk_filename(const struct disk *d)
{
    if (d->core->shown_name)
        return d->core->shown_name;
    return d->filename ? d->filename : "";
}

uint64_t disk_size(const struct disk *d)
{
    while (d->driver->is_filter && d->file && !d->driver->own_size)
        d = d->file;
    if (d->driver->query_size)
        return d->driver->query_size((struct disk *)d);
    return atomic_load_explicit(&d->size, memory_order_relaxed);
}

void disk_set_size(struct disk *d, uint64_t size)
{
    atomic_store(&d->size, size);
}

bool disk_read_only(const struct disk *d)
{
    return d->read_only;
}

uint32_t disk_alignment(const struct disk *d)
{
    uint32_t align = MAX(d->align, 1u);

    for (; d->file; d = d->file)
        align = MAX(align, d->file->align);
    return align;
}

uint32_t disk_cluster_size(const struct disk *d)
{
    while (!d->cluster_size && d->driver->is_filter && d->file)
        d = d->file;
    return d->cluster_size;
}

/* A format occupies what its files do; a backing file is not its own. */
int64_t disk_allocated_bytes(struct disk *d)
{
    int64_t sum = 0;

    if (d->driver->allocated)
        return d->driver->allocated(d);
    if (!d->children)
        return -ENOTSUP;
    for (struct disk_edge *e = d->children; e; e = e->next_child) {
        int64_t n = e->role == ROLE_BACKING ? 0 : disk_allocated_bytes(e->node);

        if (n < 0)
            return n;
        sum += n;
    }
    return sum;
}

json_t *disk_format_info(struct disk *d)
{
    return d->driver->info ? d->driver->info(d) : NULL;
}

const struct disk_driver *disk_driver_find(const char *name)
{
    for (const struct disk_driver *const *p = disk_drivers; *p; p++) {
        if (!strcmp((*p)->name, name))
            return *p;
    }
    return NULL;
}
