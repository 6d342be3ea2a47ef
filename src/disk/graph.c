/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changing the graph while it is in use: replacing a node, its backing file, what a header says. */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/node_priv.h"

static bool reaches_locked(struct disk *d, const struct disk *other)
{
    if (d == other)
        return true;
    for (struct disk_edge *e = d->children; e; e = e->next_child) {
        if (reaches_locked(e->node, other))
            return true;
    }
    return false;
}

bool node_reaches(struct disk *d, const struct disk *other)
{
    bool yes = false;

    WITH_LOCK (&d->graph->lock)
        yes = reaches_locked(d, other);
    return yes;
}

static struct disk **end_of(struct disk_edge *e)
{
    struct disk *p = e->parent;
    const char *file = p->driver->file_name ? p->driver->file_name : "file";

    return !strcmp(e->name, file)          ? &p->file
           : !strcmp(e->name, "backing")   ? &p->backing
           : !strcmp(e->name, "data-file") ? &p->data
                                           : NULL;
}

/* graph->lock held; references are the caller's to mend. */
static void point_at(struct disk_edge *e, struct disk *to)
{
    struct disk **end = end_of(e);
    struct disk_edge **p = &e->node->parents;

    while (*p != e)
        p = &(*p)->next_parent;
    *p = e->next_parent;
    e->node = to;
    e->next_parent = to->parents;
    to->parents = e;
    if (end)
        *end = to;
}

static unsigned move_parents(struct disk *from, struct disk *to, const struct disk *except)
{
    unsigned n = 0;

    WITH_LOCK (&from->graph->lock) {
        for (struct disk_edge *e = from->parents, *next; e; e = next) {
            next = e->next_parent;
            if (e->parent != except && !reaches_locked(to, e->parent)) {
                point_at(e, to);
                disk_ref(to);
                n++;
            }
        }
    }
    return n;
}

static bool replace_drained(struct disk *from, struct disk *to, struct error *err)
{
    unsigned n;

    if (disk_size(from) != disk_size(to) && from->parents)
        return fail(err, EINVAL, "cannot replace node '%s' by '%s': their sizes differ",
                    disk_node_name(from), disk_node_name(to));
    n = move_parents(from, to, to);
    if (!edge_update_perms(to, err)) {
        unsigned back = move_parents(to, from, NULL);

        for (unsigned i = 0; i < back; i++)
            disk_unref(to);
        return false;
    }
    if (!node_reaches(to, from)) { /* else users' requests would come to from by way of to */
        from->core->forward = disk_ref(to);
        from->core->user_perm = 0;
        from->core->user_shared = PERM_ALL;
    }
    for (unsigned i = 0; i < n; i++)
        disk_unref(from);
    return true;
}

bool disk_replace(struct disk *from, struct disk *to, struct error *err)
{
    bool ok;

    if (from == to)
        return true;
    if (node_reaches(from, to) && from->core->forward == to)
        return true;
    disk_ref(from);
    disk_drain_begin(from);
    disk_drain_begin(to);
    ok = replace_drained(from, to, err);
    disk_drain_end(to);
    disk_drain_end(from);
    disk_unref(from);
    return ok;
}

bool disk_insert_filter(struct disk *d, struct disk *filter, struct error *err)
{
    bool ok;

    assert(filter->driver->is_filter && node_reaches(filter, d) && !d->core->forward);
    disk_drain_begin(d);
    ok = replace_drained(d, filter, err);
    if (ok)
        d->core->forward = disk_ref(filter);
    disk_drain_end(d);
    return ok;
}

void disk_remove_filter(struct disk *d, struct disk *filter)
{
    unsigned n;

    disk_drain_begin(d); /* and so the filter, which is above */
    assert(d->core->forward == filter);
    d->core->forward = NULL;
    n = move_parents(filter, d, NULL);
    disk_drain_end(d);
    for (unsigned i = 0; i <= n; i++) /* theirs and the forward's */
        disk_unref(filter);
}

static struct disk_edge *backing_edge(struct disk *d)
{
    struct disk_edge *e = d->children;

    while (e && strcmp(e->name, "backing") != 0)
        e = e->next_child;
    return e;
}

static bool set_backing_drained(struct disk *d, struct disk *backing, struct error *err)
{
    struct disk_edge *old = backing_edge(d);
    struct disk *old_node = old ? disk_ref(old->node) : NULL;
    bool ok = true;

    if (old)
        edge_remove(old);
    if (backing) {
        struct disk_edge *e = edge_add(d, disk_ref(backing), "backing", ROLE_BACKING);

        ok = edge_update_perms(backing, err);
        if (!ok) {
            edge_remove(e);
            if (old_node)
                (void)edge_add(d, disk_ref(old_node), "backing", ROLE_BACKING);
        }
    }
    disk_unref(old_node);
    return ok;
}

bool disk_set_backing(struct disk *d, struct disk *backing, struct error *err)
{
    bool ok;

    if (backing && !d->driver->backing)
        return fail(err, ENOTSUP, "Driver '%s' of node '%s' does not support backing files",
                    d->driver->name, disk_node_name(d));
    if (backing && node_reaches(backing, d))
        return fail(err, ELOOP, "Making '%s' a backing child of '%s' would create a cycle",
                    disk_node_name(backing), disk_node_name(d));
    disk_drain_begin(d);
    ok = set_backing_drained(d, backing, err);
    disk_drain_end(d);
    return ok;
}

bool disk_change_backing_file(struct disk *d, const char *filename, const char *format,
                              struct error *err)
{
    AUTO_FREE char *name = xstrdup(filename), *fmt = xstrdup(format);
    bool ok;

    while (!d->driver->change_backing && d->driver->is_filter && d->file)
        d = d->file;
    if (!d->driver->change_backing)
        return fail(err, ENOTSUP, "Driver '%s' does not support backing files", d->driver->name);
    if (d->read_only)
        return fail(err, EACCES, "Image is read-only");
    disk_drain_begin(d);
    request_nested_begin();
    ok = d->driver->change_backing(d, name, fmt, err);
    request_nested_end();
    if (ok) {
        free(d->backing_name);
        free(d->backing_format);
        d->backing_name = name && *name ? TAKE(name) : NULL;
        d->backing_format = d->backing_name && fmt && *fmt ? TAKE(fmt) : NULL;
    }
    disk_drain_end(d);
    return ok;
}
