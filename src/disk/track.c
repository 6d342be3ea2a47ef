/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is inside a node. A request that comes from outside is counted at the node it enters; what a
 * driver asks of its children on the way belongs to it and is not counted again (this thread knows
 * that it works inside one). So a drain of a node keeps newcomers out of it and of all that lies
 * above, and waits for those counters.
 *
 * Writes are listed in nodes where requests may have to wait for each other (blocks larger than
 * what is written, DISK_SERIALISE): there a later request waits for earlier ones that overlap, if
 * one of the two serialises. Elsewhere a write only raises a counter, untracked, until the first
 * serialising request turns the list on.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/node_priv.h"

static _Thread_local unsigned nested; /* requests this thread is inside of */

void request_nested_begin(void)
{
    nested++;
}

void request_nested_end(void)
{
    nested--;
}

bool request_is_nested(void)
{
    return nested;
}

bool request_try_enter(struct disk *d)
{
    struct disk_private *c = d->core;

    atomic_fetch_add(&c->in_flight, 1);
    if (likely(!atomic_load(&c->gates)))
        return true;
    request_leave(d);
    return false;
}

void request_enter(struct disk *d)
{
    struct disk_private *c = d->core;

    while (!request_try_enter(d)) {
        WITH_LOCK (&c->lock) {
            while (atomic_load(&c->gates))
                pthread_cond_wait(&c->changed, &c->lock);
        }
    }
}

/* Once the count is down the node may be gone: only the graph is looked at after that. */
void request_leave(struct disk *d)
{
    struct disk_graph *g = d->graph;

    if (atomic_fetch_sub(&d->core->in_flight, 1) > 1 || likely(!atomic_load(&g->draining)))
        return;
    WITH_LOCK (&g->drain_lock)
        pthread_cond_broadcast(&g->left);
}

/* What one drain stopped: d and all above it, each held by a reference. It is kept, for the graph
 * may be another when it ends. */
struct drain {
    struct drain *outer;
    unsigned count;
    struct disk *nodes[];
};

static void collect(struct disk *d, struct drain **list)
{
    for (unsigned i = 0; i < (*list)->count; i++) {
        if ((*list)->nodes[i] == d)
            return;
    }
    *list = xrealloc_array(*list, 1, sizeof(**list) + ((size_t)(*list)->count + 1) * sizeof(d));
    (*list)->nodes[(*list)->count++] = disk_ref(d);
    for (struct disk_edge *e = d->parents; e; e = e->next_parent)
        collect(e->parent, list);
}

static void tell_drivers(const struct drain *list, bool on)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->nodes[i]->driver->drain)
            list->nodes[i]->driver->drain(list->nodes[i], on);
}

void disk_drain_begin(struct disk *d)
{
    struct drain *list = xcalloc(1, sizeof(*list));

    WITH_LOCK (&d->graph->lock) {
        collect(d, &list);
        list->outer = d->core->drains;
        d->core->drains = list;
        for (unsigned i = 0; i < list->count; i++)
            atomic_fetch_add(&list->nodes[i]->core->gates, 1);
    }
    tell_drivers(list, true);
    atomic_fetch_add(&d->graph->draining, 1);
    WITH_LOCK (&d->graph->drain_lock) {
        for (unsigned i = 0; i < list->count; i++)
            while (atomic_load(&list->nodes[i]->core->in_flight))
                pthread_cond_wait(&d->graph->left, &d->graph->drain_lock);
    }
    atomic_fetch_sub(&d->graph->draining, 1);
}

void disk_drain_end(struct disk *d)
{
    struct drain *list = NULL;

    WITH_LOCK (&d->graph->lock) {
        list = d->core->drains;
        d->core->drains = list->outer;
    }
    tell_drivers(list, false);
    for (unsigned i = 0; i < list->count; i++) {
        struct disk_private *c = list->nodes[i]->core;

        if (atomic_fetch_sub(&c->gates, 1) == 1) {
            WITH_LOCK (&c->lock)
                pthread_cond_broadcast(&c->changed);
        }
        disk_unref(list->nodes[i]);
    }
    free(list);
}

/* In the way: earlier, overlapping, and one of the two serialises. core->lock held. */
static bool blocked(struct disk_private *c, const struct track *me, uint64_t offset, uint64_t end,
                    bool serialise)
{
    for (struct track *t = c->tracks; t; t = t->next) {
        if (t != me && t->offset < end && offset < t->end && (serialise || t->serialising))
            return true;
    }
    return false;
}

static void list_track(struct disk_private *c, struct track *t)
{
    t->listed = true;
    t->next = c->tracks;
    t->link = &c->tracks;
    if (t->next)
        t->next->link = &t->next;
    c->tracks = t;
}

void track_enable(struct disk *d)
{
    struct disk_private *c = d->core;

    /* whoever turned it on first may still be waiting below: so must the others */
    atomic_store(&c->tracking, true);
    if (likely(!atomic_load(&c->untracked)))
        return;
    /* writes that did not see the flag end without waiting for anybody */
    WITH_LOCK (&c->lock) {
        while (atomic_load(&c->untracked))
            pthread_cond_wait(&c->changed, &c->lock);
    }
}

static void leave_untracked(struct disk_private *c)
{
    if (atomic_fetch_sub(&c->untracked, 1) > 1 || likely(!atomic_load(&c->tracking)))
        return;
    WITH_LOCK (&c->lock)
        pthread_cond_broadcast(&c->changed);
}

/* Raises untracked unless the list is on. */
static bool enter_untracked(struct disk_private *c)
{
    atomic_fetch_add(&c->untracked, 1);
    if (likely(!atomic_load(&c->tracking)))
        return true;
    leave_untracked(c);
    return false;
}

static void set_range(struct track *t, uint64_t offset, uint64_t len, bool serialise)
{
    t->offset = offset;
    t->end = offset + len;
    t->serialising = serialise;
    t->listed = false;
}

void track_begin(struct disk *d, struct track *t, uint64_t offset, uint64_t len, bool serialise)
{
    struct disk_private *c = d->core;

    set_range(t, offset, len, serialise);
    if (serialise)
        track_enable(d);
    else if (enter_untracked(c))
        return;
    WITH_LOCK (&c->lock) {
        while (blocked(c, t, t->offset, t->end, serialise))
            pthread_cond_wait(&c->changed, &c->lock);
        list_track(c, t);
    }
}

bool track_try(struct disk *d, struct track *t, uint64_t offset, uint64_t len)
{
    struct disk_private *c = d->core;
    bool ok = false;

    set_range(t, offset, len, false);
    if (enter_untracked(c))
        return true;
    WITH_LOCK (&c->lock) {
        ok = !blocked(c, t, t->offset, t->end, false);
        if (ok)
            list_track(c, t);
    }
    return ok;
}

void track_end(struct disk *d, struct track *t)
{
    struct disk_private *c = d->core;

    if (!t->listed) {
        leave_untracked(c);
        return;
    }
    WITH_LOCK (&c->lock) {
        *t->link = t->next;
        if (t->next)
            t->next->link = t->link;
        pthread_cond_broadcast(&c->changed);
    }
}
