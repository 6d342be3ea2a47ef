/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dirty bitmaps. One bit per page in each of: watched (per client), dirty (per client), armed. A
 * page is armed when a client watches it and its dirty bit there is clear.
 */
#include "mem/dirty.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "mem/mem_priv.h"

typedef _Atomic(uint64_t) word_t;

struct mem_dirty {
    word_t *armed;
    word_t *watched[MEM_DIRTY_CLIENTS], *dirty[MEM_DIRTY_CLIENTS];
};

static uint64_t word_count(const struct mem *m)
{
    return (m->ram_max >> MEM_PAGE_BITS) / 64 + 1;
}

static struct mem_dirty *dirty_of(const struct mem *m)
{
    return atomic_load_explicit(&((struct mem *)m)->root->dirty, memory_order_acquire);
}

/* Made when somebody watches first, and kept: readers need no lock. */
static struct mem_dirty *make(struct mem *m)
{
    struct mem_dirty *d = dirty_of(m);

    if (d)
        return d;
    d = xnew(struct mem_dirty);
    d->armed = (void *)xnew_array(uint64_t, word_count(m));
    for (unsigned c = 0; c < MEM_DIRTY_CLIENTS; c++) {
        d->watched[c] = (void *)xnew_array(uint64_t, word_count(m));
        d->dirty[c] = (void *)xnew_array(uint64_t, word_count(m));
    }
    atomic_store_explicit(&m->root->dirty, d, memory_order_release);
    return d;
}

void mem_dirty_finish(struct mem *m)
{
    struct mem_dirty *d = dirty_of(m);

    if (!d)
        return;
    free((void *)d->armed);
    for (unsigned c = 0; c < MEM_DIRTY_CLIENTS; c++) {
        free((void *)d->watched[c]);
        free((void *)d->dirty[c]);
    }
    free(d);
}

/* Bits of word w that pages first..last cover. */
static uint64_t mask_in(uint64_t w, uint64_t first, uint64_t last)
{
    uint64_t lo = MAX(first, w * 64) - w * 64, hi = MIN(last, w * 64 + 63) - w * 64;

    return BITS(hi, lo);
}

static void page_range(const struct mem *m, gra_t gra, uint64_t len, uint64_t *first,
                       uint64_t *last)
{
    assert(len && gra < m->ram_max && len <= m->ram_max - gra);
    *first = gra >> MEM_PAGE_BITS;
    *last = (gra + len - 1) >> MEM_PAGE_BITS;
}

static void tell_watch(struct mem *m)
{
    for (struct mem_listener *l = m->root->listeners; l; l = l->next)
        if (l->dirty_watch)
            l->dirty_watch(l->opaque);
}

static void tell_armed(struct mem *m)
{
    for (struct mem_listener *l = m->root->listeners; l; l = l->next)
        if (l->dirty_armed)
            l->dirty_armed(l->opaque);
}

void mem_dirty_start(struct mem *m, enum mem_dirty_client c, gra_t gra, uint64_t len)
{
    struct mem_dirty *d = make(m);
    uint64_t first, last;

    page_range(m, gra, len, &first, &last);
    for (uint64_t w = first / 64; w <= last / 64; w++) {
        atomic_fetch_or(&d->dirty[c][w], mask_in(w, first, last));
        atomic_fetch_or(&d->watched[c][w], mask_in(w, first, last));
    }
    tell_watch(m);
}

void mem_dirty_stop(struct mem *m, enum mem_dirty_client c, gra_t gra, uint64_t len)
{
    struct mem_dirty *d = make(m);
    uint64_t first, last;

    page_range(m, gra, len, &first, &last);
    for (uint64_t w = first / 64; w <= last / 64; w++) {
        atomic_fetch_and(&d->watched[c][w], ~mask_in(w, first, last));
        atomic_fetch_and(&d->dirty[c][w], ~mask_in(w, first, last));
    }
    tell_watch(m); /* pages that stay armed lose the bit with their next write */
}

uint64_t mem_dirty_fetch(struct mem *m, enum mem_dirty_client c, gra_t gra, uint64_t pages,
                         uint64_t *ret_bitmap)
{
    struct mem_dirty *d = make(m);
    uint64_t first, last, total = 0, words = (pages + 63) / 64;
    unsigned shift;

    memset(ret_bitmap, 0, words * 8);
    if (!pages)
        return 0;
    page_range(m, gra, pages << MEM_PAGE_BITS, &first, &last);
    for (struct mem_listener *l = m->root->listeners; l; l = l->next)
        if (l->dirty_sync)
            l->dirty_sync(l->opaque, gra, pages << MEM_PAGE_BITS);
    shift = first % 64;
    for (uint64_t w = first / 64; w <= last / 64; w++) {
        uint64_t mask = mask_in(w, first, last);
        uint64_t got = atomic_fetch_and(&d->dirty[c][w], ~mask) & mask;
        uint64_t i = w - first / 64;

        if (!got)
            continue;
        total += (unsigned)__builtin_popcountll(got);
        atomic_fetch_or(&d->armed[w], got);
        if (i < words)
            ret_bitmap[i] |= got >> shift;
        if (shift && i)
            ret_bitmap[i - 1] |= got << (64 - shift);
    }
    if (total)
        tell_armed(m);
    return total;
}

bool mem_dirty_watched(const struct mem *m, gra_t gra, uint64_t len)
{
    struct mem_dirty *d = dirty_of(m);
    uint64_t first, last;

    if (!d || !len)
        return false;
    page_range(m, gra, len, &first, &last);
    for (unsigned c = 0; c < MEM_DIRTY_CLIENTS; c++)
        for (uint64_t w = first / 64; w <= last / 64; w++)
            if (atomic_load_explicit(&d->watched[c][w], memory_order_relaxed) &
                mask_in(w, first, last))
                return true;
    return false;
}

bool mem_dirty_armed(const struct mem *m, gra_t page)
{
    struct mem_dirty *d = dirty_of(m);
    uint64_t n = page >> MEM_PAGE_BITS;

    return d && atomic_load_explicit(&d->armed[n / 64], memory_order_relaxed) & BIT(n % 64);
}

void mem_dirty_mark(struct mem *m, gra_t gra, uint64_t len)
{
    struct mem_dirty *d = dirty_of(m);
    uint64_t first, last;

    if (likely(!d) || !len)
        return;
    page_range(m, gra, len, &first, &last);
    atomic_thread_fence(memory_order_seq_cst); /* the bytes are out before the bits are looked at */
    for (uint64_t w = first / 64; w <= last / 64; w++) {
        uint64_t mask = mask_in(w, first, last);

        /* disarm first: a fetch that clears a mark set below arms the page again after it */
        if (!(atomic_load(&d->armed[w]) & mask))
            continue;
        atomic_fetch_and(&d->armed[w], ~mask);
        for (unsigned c = 0; c < MEM_DIRTY_CLIENTS; c++)
            atomic_fetch_or(&d->dirty[c][w], mask & atomic_load(&d->watched[c][w]));
    }
}
