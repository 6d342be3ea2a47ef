/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arrows between nodes. What a node does to its children follows from its role and from what is
 * done to itself; where it ends in a file, that becomes the file's locks.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "disk/node_priv.h"

static struct disk **shortcut(struct disk *parent, const char *name)
{
    if (!strcmp(name, parent->driver->file_name ? parent->driver->file_name : "file"))
        return &parent->file;
    if (!strcmp(name, "backing"))
        return &parent->backing;
    if (!strcmp(name, "data-file"))
        return &parent->data;
    return NULL;
}

struct disk_edge *edge_add(struct disk *parent, struct disk *own_node, const char *name,
                           enum disk_role role)
{
    struct disk_edge *e = xnew(struct disk_edge);
    struct disk **end = shortcut(parent, name);

    e->parent = parent;
    e->node = own_node;
    e->role = role;
    snprintf(e->name, sizeof(e->name), "%s", name);
    edge_perms(parent, role, &e->perm, &e->shared);
    WITH_LOCK (&parent->graph->lock) {
        struct disk_edge **p = &parent->children;

        while (*p) /* in the order they were opened */
            p = &(*p)->next_child;
        *p = e;
        e->next_parent = own_node->parents;
        own_node->parents = e;
        if (end)
            *end = own_node;
    }
    return e;
}

void edge_remove(struct disk_edge *e)
{
    struct disk **end = shortcut(e->parent, e->name);

    WITH_LOCK (&e->parent->graph->lock) {
        struct disk_edge **p = &e->parent->children;

        while (*p != e)
            p = &(*p)->next_child;
        *p = e->next_child;
        for (p = &e->node->parents; *p != e;)
            p = &(*p)->next_parent;
        *p = e->next_parent;
        if (end)
            *end = NULL;
    }
    disk_unref(e->node);
    free(e);
}

void edge_perms(const struct disk *parent, enum disk_role role, unsigned *ret_perm,
                unsigned *ret_shared)
{
    unsigned perm = parent->core->perm, shared = parent->core->shared;
    const unsigned change = PERM_WRITE | PERM_RESIZE;

    switch (role) {
    case ROLE_FILTERED:
    case ROLE_IMAGE: break;
    case ROLE_STORAGE:
        /* metadata: nobody else may change it under us, whatever others may do to the data */
        perm = PERM_READ | (parent->read_only ? 0 : change);
        shared = PERM_ALL & ~change;
        break;
    case ROLE_DATA:
        perm = PERM_READ | (parent->read_only ? 0 : change);
        shared &= ~PERM_RESIZE;
        break;
    case ROLE_BACKING:
        perm = PERM_READ;
        shared = PERM_READ | PERM_WRITE_UNCHANGED;
        break;
    }
    if (parent->open_flags & DISK_FORCE_SHARE)
        shared = PERM_ALL;
    *ret_perm = perm;
    *ret_shared = shared;
}

bool edge_update_perms(struct disk *d, struct error *err)
{
    struct disk_private *c = d->core;
    unsigned perm = c->user_perm, shared = c->user_shared;

    for (struct disk_edge *e = d->parents; e; e = e->next_parent) {
        edge_perms(e->parent, e->role, &e->perm, &e->shared);
        e->perm |= e->take;
        e->shared &= ~e->unshare;
        perm |= e->perm;
        shared &= e->shared;
    }
    if (perm == c->perm && shared == c->shared)
        return true;
    if (d->driver->set_perm && !d->driver->set_perm(d, perm, shared, err))
        return false;
    c->perm = perm;
    c->shared = shared;
    for (struct disk_edge *e = d->children; e; e = e->next_child) {
        if (!edge_update_perms(e->node, err))
            return false;
    }
    return true;
}

struct disk *disk_child(const struct disk *d, const char *role)
{
    for (struct disk_edge *e = d->children; e; e = e->next_child) {
        if (!strcmp(e->name, role))
            return e->node;
    }
    return NULL;
}

struct disk *disk_backing(const struct disk *d)
{
    while (!d->backing && d->driver->is_filter && d->children)
        d = d->file ? d->file : d->children->node;
    return d->backing;
}
