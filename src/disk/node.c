/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes and the graph they hang off: birth, names, references, end. */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/bitmap.h"
#include "disk/node_priv.h"

struct disk_graph *disk_graph_new(struct object_set *objects)
{
    struct disk_graph *g = xnew(struct disk_graph);

    g->objects = objects;
    pthread_mutex_init(&g->lock, NULL);
    pthread_mutex_init(&g->drain_lock, NULL);
    pthread_cond_init(&g->left, NULL);
    pool_init(&g->pool);
    return g;
}

void disk_graph_free(struct disk_graph *g)
{
    if (!g)
        return;
    assert(!g->nodes);
    pool_finish(&g->pool);
    pthread_cond_destroy(&g->left);
    pthread_mutex_destroy(&g->drain_lock);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

struct object_set *disk_graph_objects(struct disk_graph *g)
{
    return g->objects;
}

static struct disk *find_locked(struct disk_graph *g, const char *node_name)
{
    for (struct disk *d = g->nodes; d; d = d->core->next_node) {
        if (d->node_name && !strcmp(d->node_name, node_name))
            return d;
    }
    return NULL;
}

struct disk *disk_graph_find(struct disk_graph *g, const char *node_name)
{
    struct disk *d = NULL;

    WITH_LOCK (&g->lock)
        d = find_locked(g, node_name);
    return d;
}

struct disk *node_new(struct disk_graph *g, const struct disk_driver *drv)
{
    struct disk *d = xnew(struct disk);

    d->core = xnew(struct disk_private);
    d->priv = xcalloc(1, drv->size);
    d->driver = drv;
    d->graph = g;
    atomic_init(&d->core->refs, 1);
    pthread_mutex_init(&d->core->lock, NULL);
    pthread_cond_init(&d->core->changed, NULL);
    pthread_mutex_init(&d->core->flush_lock, NULL);
    d->core->shared = d->core->user_shared = PERM_ALL;
    return d;
}

bool node_publish(struct disk *d, const char *node_name, struct error *err)
{
    struct disk_graph *g = d->graph;
    bool taken = false;

    WITH_LOCK (&g->lock) {
        if (node_name) {
            taken = find_locked(g, node_name) != NULL;
            d->node_name = xstrdup(node_name);
        } else {
            d->node_name = xasprintf("#block%03u", g->next_name++);
            d->core->is_implicit = true;
        }
        if (!taken) {
            d->core->next_node = g->nodes;
            d->core->node_link = &g->nodes;
            if (g->nodes)
                g->nodes->core->node_link = &d->core->next_node;
            g->nodes = d;
        }
    }
    if (taken)
        return fail(err, EEXIST, "Duplicate nodes with node-name='%s'", node_name);
    return true;
}

static void unpublish(struct disk *d)
{
    struct disk_private *c = d->core;

    if (!c->node_link)
        return;
    WITH_LOCK (&d->graph->lock) {
        *c->node_link = c->next_node;
        if (c->next_node)
            c->next_node->core->node_link = c->node_link;
        c->node_link = NULL;
    }
}

static void node_free(struct disk *d)
{
    disk_unref(d->core->forward);
    field_free_strings(d->priv, d->driver->options);
    optlist_finish(&d->core->opts);
    optlist_finish(&d->core->strong);
    free(d->core->shown_name);
    pthread_mutex_destroy(&d->core->lock);
    pthread_cond_destroy(&d->core->changed);
    pthread_mutex_destroy(&d->core->flush_lock);
    free(d->core);
    free(d->priv);
    free(d->node_name);
    free(d->filename);
    free(d->backing_name);
    free(d->backing_format);
    free(d);
}

int node_close(struct disk *d)
{
    int r = 0, r2;

    request_nested_begin();   /* the last user is this one */
    if (d->core->node_link) { /* open() went well */
        if (!d->read_only)
            r = disk_flush(d);
        if (d->driver->inactivate && (r2 = d->driver->inactivate(d)) && !r)
            r = r2;
    }
    unpublish(d);
    disk_bitmaps_free(d);
    if (d->driver->close)
        d->driver->close(d);
    while (d->children)
        edge_remove(d->children);
    node_free(d);
    request_nested_end();
    return r;
}

struct disk *disk_ref(struct disk *d)
{
    atomic_fetch_add(&d->core->refs, 1);
    return d;
}

int disk_close(struct disk *own_d)
{
    if (!own_d || atomic_fetch_sub(&own_d->core->refs, 1) > 1)
        return 0;
    return node_close(own_d);
}

void disk_unref(struct disk *d)
{
    (void)disk_close(d);
}
