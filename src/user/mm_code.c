/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages of which translations exist. A page that the guest may write is write-protected on the host
 * from its first translation on ("watched"); the write faults, its translations are dropped, and
 * the page is writable until code of it is translated again.
 */
#include "user/mm_priv.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"

enum { WATCHES_MIN = 64 };

static size_t slot_of(const struct mm_watches *w, gva_t page)
{
    uint64_t hash = (page / USER_PAGE) * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (hash >> 32) & (w->size - 1);
    while (w->slot[i].page && w->slot[i].page != page)
        i = (i + 1) & (w->size - 1);
    return i;
}

static struct mm_watch *find(const struct mm_watches *w, gva_t page)
{
    if (!w->count)
        return NULL;
    struct mm_watch *s = &w->slot[slot_of(w, page)];
    return s->page ? s : NULL;
}

static void insert(struct mm_watches *w, gva_t page, uint64_t turn)
{
    if (w->count * 2 >= w->size) {
        struct mm_watches bigger = { .size = MAX(w->size * 2, (size_t)WATCHES_MIN) };
        bigger.slot = xnew_array(struct mm_watch, bigger.size);
        bigger.count = w->count;
        for (size_t i = 0; i < w->size; i++)
            if (w->slot[i].page)
                bigger.slot[slot_of(&bigger, w->slot[i].page)] = w->slot[i];
        free(w->slot);
        *w = bigger;
    }
    w->slot[slot_of(w, page)] = (struct mm_watch){ page, turn, false };
    w->count++;
}

/* Linear probing without tombstones: later members of the run move up. */
static void erase(struct mm_watches *w, struct mm_watch *s)
{
    size_t hole = s - w->slot;
    w->slot[hole].page = 0;
    w->count--;
    for (size_t i = (hole + 1) & (w->size - 1); w->slot[i].page; i = (i + 1) & (w->size - 1)) {
        struct mm_watch move = w->slot[i];
        w->slot[i].page = 0;
        w->slot[slot_of(w, move.page)] = move;
    }
}

/* Calls fn for each watched page of the range; fn may erase it. */
static void each_watched(struct mm *mm, gva_t start, gva_t end,
                         void (*fn)(struct mm *, struct mm_watch *))
{
    struct mm_watches *w = &mm->watches;
    if (!w->count)
        return;
    if ((end - start) / USER_PAGE <= w->size) {
        for (gva_t page = start; page < end && w->count; page += USER_PAGE) {
            struct mm_watch *s = find(w, page);
            if (s)
                fn(mm, s);
        }
        return;
    }
    for (size_t i = 0; i < w->size;) {
        gva_t page = w->slot[i].page;
        if (page >= start && page < end && page)
            fn(mm, &w->slot[i]);
        if (w->slot[i].page == page || !w->slot[i].page)
            i++; /* otherwise another page moved here */
    }
}

static void set_closed(struct mm *mm, struct mm_watch *s, bool closed)
{
    if (s->closed == closed)
        return;
    s->closed = closed;
    if (closed) {
        bool first = !atomic_load(&mm->closed);
        gva_t low = atomic_load(&mm->closed_low), high = atomic_load(&mm->closed_high);
        atomic_store(&mm->closed_low, first ? s->page : MIN(low, s->page));
        atomic_store(&mm->closed_high, first ? s->page : MAX(high, s->page));
    }
    atomic_fetch_add_explicit(&mm->closed, closed ? 1 : (size_t)-1, memory_order_release);
}

static void forget(struct mm *mm, struct mm_watch *s)
{
    set_closed(mm, s, false);
    erase(&mm->watches, s);
}

static void mark_open(struct mm *mm, struct mm_watch *s)
{
    set_closed(mm, s, false);
}

/* Gives the guest's protection back. */
static void open_page(struct mm *mm, struct mm_watch *s)
{
    const struct mm_region *r = s->closed ? mm_map_at(&mm->map, s->page) : NULL;
    if (r)
        (void)mprotect(mm_host(mm, s->page), USER_PAGE, mm_host_prot(r->prot));
    forget(mm, s);
}

bool mm_unwatch(struct mm *mm, gva_t start, gva_t end)
{
    size_t closed = atomic_load(&mm->closed);
    each_watched(mm, start, end, forget);
    return atomic_load(&mm->closed) != closed;
}

int mm_protect_host(struct mm *mm, gva_t start, gva_t end, uint8_t prot, bool code)
{
    int host = mm_host_prot(prot);
    gva_t from = start;
    if (!(prot & PROT_WRITE) || !code) {
        if (mprotect(mm_host(mm, start), end - start, host))
            return -errno;
        each_watched(mm, start, end, mark_open);
        return 0;
    }
    for (gva_t page = start; page <= end; page += USER_PAGE) {
        struct mm_watch *s = page < end ? find(&mm->watches, page) : NULL;
        if (page < end && !s)
            continue;
        if (page > from && mprotect(mm_host(mm, from), page - from, host))
            return -errno;
        from = page + USER_PAGE;
        if (s)
            set_closed(mm, s, true);
    }
    return 0;
}

void mm_drop_code(struct mm *mm, gva_t start, uint64_t len)
{
    WITH_LOCK (&mm->inner)
        mm_map_set_code(&mm->map, start, start + len, false);
    if (user_self)
        (void)cpu_code_written(user_self->cpu, start, len);
}

void mm_release(struct mm *mm, gva_t start, uint64_t len)
{
    bool code = false;
    WITH_LOCK (&mm->inner)
        code = mm_map_has_code(&mm->map, start, start + len);
    if (!code)
        return;
    mm_drop_code(mm, start, len);
    WITH_LOCK (&mm->inner) {
        each_watched(mm, start, start + len, open_page);
    }
}

bool mm_may_exec(void *proc, gva_t va)
{
    struct mm *mm = ((struct user_proc *)proc)->mm;
    bool exec = false;
    WITH_LOCK (&mm->inner) {
        const struct mm_region *r = mm_map_at(&mm->map, va);
        exec = r && r->prot & PROT_EXEC;
    }
    return exec;
}

bool mm_guarded(void *proc, gva_t va)
{
    struct mm *mm = ((struct user_proc *)proc)->mm;
    bool guarded = false;
    WITH_LOCK (&mm->inner) {
        const struct mm_region *r = mm_map_at(&mm->map, va);
        guarded = r && r->prot & USER_BTI;
    }
    return guarded;
}

void mm_watch_code(void *proc, gva_t page)
{
    struct mm *mm = ((struct user_proc *)proc)->mm;
    page = ALIGN_DOWN(page, USER_PAGE);
    WITH_LOCK (&mm->inner) {
        const struct mm_region *r = mm_map_at(&mm->map, page);
        bool writable = r && r->prot & PROT_WRITE;
        if (r && !r->code)
            mm_map_set_code(&mm->map, r->start, r->end, true);
        if (r && !find(&mm->watches, page))
            insert(&mm->watches, page, 0);
        struct mm_watch *s = find(&mm->watches, page);
        if (s)
            s->turn = ++mm->turn;
        if (s && writable && !s->closed) {
            (void)mprotect(mm_host(mm, page), USER_PAGE, PROT_READ);
            set_closed(mm, s, true);
        }
    }
}

/* Under change. True: the guest may write there, so try again. */
static bool lift(struct mm *mm, struct user_thread *t, gva_t page, bool *ret_current)
{
    bool watched = false, writable = false;
    uint64_t turn = 0;
    WITH_LOCK (&mm->inner) {
        const struct mm_region *r = mm_map_at(&mm->map, page);
        writable = r && r->prot & PROT_WRITE;
        struct mm_watch *s = find(&mm->watches, page);
        watched = s && s->closed;
        turn = s ? s->turn : 0;
    }
    if (!writable || !watched)
        return writable;
    if (t && cpu_code_written(t->cpu, page, USER_PAGE))
        *ret_current = true;
    WITH_LOCK (&mm->inner) {
        struct mm_watch *s = find(&mm->watches, page);
        /* translated again meanwhile? Then the next try faults again. */
        if (s && s->turn == turn)
            open_page(mm, s);
    }
    return true;
}

bool mm_write_fault(struct user_thread *t, gva_t addr, bool *ret_current)
{
    struct mm *mm = t->proc->mm;
    bool again = false;
    *ret_current = false;
    if (!mm_in_range(mm, addr, 1))
        return false;
    WITH_LOCK (&mm->change)
        again = lift(mm, t, ALIGN_DOWN(addr, USER_PAGE), ret_current);
    return again;
}

void mm_prepare_write(struct user_proc *p, gva_t addr, uint64_t len)
{
    struct mm *mm = p->mm;
    bool current;
    if (!len || !atomic_load_explicit(&mm->closed, memory_order_acquire))
        return;
    if (!mm_in_range(mm, addr, len))
        return;
    gva_t start = ALIGN_DOWN(addr, USER_PAGE), end = ALIGN_UP(addr + len, USER_PAGE);
    if (end <= atomic_load_explicit(&mm->closed_low, memory_order_relaxed) ||
        start > atomic_load_explicit(&mm->closed_high, memory_order_relaxed))
        return;
    WITH_LOCK (&mm->change) {
        bool any = false;
        WITH_LOCK (&mm->inner)
            any = mm_map_has_code(&mm->map, start, end);
        for (gva_t page = start; any && page < end; page += USER_PAGE)
            (void)lift(mm, user_self, page, &current);
    }
}
