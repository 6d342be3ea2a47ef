/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Doorbells. Each view has those that it shows, by address. A writer counts itself in `ringing`
 * before it looks into the current view; who takes a doorbell away publishes a view without it and
 * waits until nobody is ringing: then no thread can still use its descriptor.
 */
#include "mem/doorbell.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "mem/mem_priv.h"

static int compare_bells(const void *a, const void *b)
{
    const struct mem_doorbell_at *x = a, *y = b;

    if (x->addr != y->addr)
        return x->addr < y->addr ? -1 : 1;
    if (x->match != y->match) /* exact ones are tried first */
        return x->match ? -1 : 1;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

void mem_view_add_bells(struct mem_view *v)
{
    uint32_t room = 0;

    for (uint32_t i = 0; i < v->count; i++) {
        struct mem_view_entry *e = &v->e[i];

        for (const struct mem_doorbell *d = e->region ? e->region->doorbells : NULL; d;
             d = d->next) {
            if (d->off < e->region_off || d->off - e->region_off > e->size - 1)
                continue;
            if (v->bell_count == room) {
                room = MAX(16, room * 2);
                v->bells = xrealloc_array(v->bells, room, sizeof *v->bells);
            }
            v->bells[v->bell_count++] =
                (struct mem_doorbell_at){ .addr = e->base + (d->off - e->region_off),
                                          .value = d->value,
                                          .fd = d->fd,
                                          .size = (uint8_t)d->size,
                                          .match = d->match };
            e->bells = true;
        }
    }
    if (v->bell_count)
        qsort(v->bells, v->bell_count, sizeof *v->bells, compare_bells);
}

static const struct mem_doorbell_at *find_bell(const struct mem_view *v, gpa_t a, uint64_t val,
                                               unsigned size)
{
    uint32_t lo = 0, hi = v->bell_count;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (v->bells[mid].addr < a)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < v->bell_count && v->bells[lo].addr == a; lo++) {
        const struct mem_doorbell_at *b = &v->bells[lo];

        if (b->size && b->size != size)
            continue;
        if (!b->match || b->value == (val & BITS(8 * size - 1, 0)))
            return b;
    }
    return NULL;
}

bool mem_ring(struct mem *m, gpa_t a, uint64_t val, unsigned size)
{
    const struct mem_doorbell_at *b;
    const uint64_t one = 1;
    ssize_t ignored = 0;

    atomic_fetch_add(&m->root->ringing, 1);
    b = find_bell(atomic_load(&m->view), a, val, size);
    /* A full counter is as readable as it can be; other errors are a bug of who gave the fd. */
    if (b)
        ignored = write(b->fd, &one, sizeof one);
    (void)ignored;
    atomic_fetch_sub(&m->root->ringing, 1);
    return b != NULL;
}

void mem_doorbell_add(struct mem_region *r, struct mem_doorbell *d)
{
    assert(r->kind == MEM_IO && !r->alias && !d->region && d->off < r->size);
    assert(!d->match || d->size);
    d->region = r;
    d->next = r->doorbells;
    r->doorbells = d;
    if (r->shown)
        mem_changed(r->shown);
}

void mem_doorbell_remove(struct mem_doorbell *d)
{
    struct mem_region *r = d->region;
    struct mem_doorbell **p;

    if (!r)
        return;
    for (p = &r->doorbells; *p != d; p = &(*p)->next)
        ;
    *p = d->next;
    d->region = NULL;
    if (!r->shown)
        return;
    mem_changed(r->shown);
    while (atomic_load(&r->shown->ringing))
        sched_yield();
}

const struct mem_doorbell_at *mem_doorbells(struct mem *m, uint32_t *ret_count)
{
    const struct mem_view *v = atomic_load(&m->view);

    *ret_count = v->bell_count;
    return v->bells;
}
