/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages of an image's tables: a hash of 32 KiB pages with a mask of dirty sectors for each level.
 * Pages that are dirty, or whose bytes are being written, stay; clean ones leave by a clock.
 */
#include "disk/format/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"

struct page {
    struct page *next;
    uint64_t offset;             /* in the file, a multiple of PAGE_BYTES */
    uint64_t dirty[PAGE_LEVELS]; /* a bit for each sector */
    bool writing, used;
    uint8_t data[PAGE_BYTES];
};
_Static_assert(PAGE_BYTES / PAGE_SECTOR == 64, "a mask is a uint64_t");

void pages_init(struct pages *p, struct disk *file, pthread_mutex_t *lock)
{
    *p = (struct pages){ .file = file, .lock = lock, .granule = PAGE_SECTOR, .max = PAGES_MAX };
    pthread_mutex_init(&p->write_lock, NULL);
}

void pages_drop(struct pages *p)
{
    for (size_t i = 0; i < ARRAY_SIZE(p->buckets); i++) {
        while (p->buckets[i]) {
            struct page *page = p->buckets[i];

            p->buckets[i] = page->next;
            free(page);
        }
    }
    p->count = p->dirty = 0;
}

void pages_finish(struct pages *p)
{
    if (!p->lock)
        return;
    pages_drop(p);
    pthread_mutex_destroy(&p->write_lock);
    p->lock = NULL;
}

static struct page **bucket_of(struct pages *p, uint64_t page_offset)
{
    return &p->buckets[page_offset / PAGE_BYTES % ARRAY_SIZE(p->buckets)];
}

static bool is_dirty(const struct page *page)
{
    return page->dirty[0] || page->dirty[1];
}

/* Frees one clean page that was not used since the hand came by; if there is none, memory grows
 * until the next pages_write(). */
static void evict(struct pages *p)
{
    for (size_t tries = 2 * ARRAY_SIZE(p->buckets); tries > 0; tries--) {
        struct page **at = &p->buckets[p->hand++ % ARRAY_SIZE(p->buckets)];

        for (struct page *page; (page = *at); at = &page->next) {
            if (is_dirty(page) || page->writing)
                continue;
            if (page->used) {
                page->used = false;
                continue;
            }
            *at = page->next;
            free(page);
            p->count--;
            return;
        }
    }
}

static int load(struct pages *p, uint64_t offset, struct page **ret)
{
    struct page *page = malloc(sizeof(*page));
    uint64_t size = disk_size(p->file);
    size_t have = offset < size ? MIN(size - offset, PAGE_BYTES) : 0;
    int r = 0;

    if (!page)
        return -ENOMEM;
    if (have)
        r = disk_read(p->file, offset, page->data, have);
    if (r < 0) {
        free(page);
        return r;
    }
    memset(page->data + have, 0, PAGE_BYTES - have);
    page->offset = offset;
    page->dirty[0] = page->dirty[1] = 0;
    page->writing = false;
    if (p->count >= p->max)
        evict(p);
    struct page **at = bucket_of(p, offset);
    page->next = *at;
    *at = page;
    p->count++;
    *ret = page;
    return 0;
}

static int find(struct pages *p, uint64_t off, bool cached_only, struct page **ret)
{
    uint64_t offset = ALIGN_DOWN(off, (uint64_t)PAGE_BYTES);
    struct page *page = *bucket_of(p, offset);

    while (page && page->offset != offset)
        page = page->next;
    if (!page) {
        if (cached_only)
            return -EAGAIN;
        int r = load(p, offset, &page);
        if (r < 0)
            return r;
    }
    page->used = true;
    *ret = page;
    return 0;
}

int pages_get(struct pages *p, uint64_t off, bool cached_only, const uint8_t **ret)
{
    struct page *page;
    int r = find(p, off, cached_only, &page);

    if (r == 0)
        *ret = page->data + off % PAGE_BYTES;
    return r;
}

int pages_put(struct pages *p, uint64_t off, unsigned level, uint8_t **ret)
{
    struct page *page;
    int r = find(p, off, false, &page);

    if (r < 0)
        return r;
    if (!is_dirty(page))
        p->dirty++;
    page->dirty[level] |= (BIT(p->granule / PAGE_SECTOR) - 1)
                          << ALIGN_DOWN(off % PAGE_BYTES, (uint64_t)p->granule) / PAGE_SECTOR;
    *ret = page->data + off % PAGE_BYTES;
    return 0;
}

struct piece_list {
    struct page_piece *items;
    size_t count, room;
};

static void collect_page(struct page *page, unsigned level, struct piece_list *l)
{
    uint64_t mask = page->dirty[level];

    for (unsigned s = 0; s < 64; s++) {
        unsigned first = s;

        while (s < 64 && mask & BIT(s))
            s++;
        if (s == first)
            continue;
        if (l->count == l->room) {
            l->room = l->room ? 2 * l->room : 16;
            l->items = xrealloc_array(l->items, l->room, sizeof(*l->items));
        }
        uint32_t len = (s - first) * PAGE_SECTOR;
        struct page_piece *piece = &l->items[l->count++];
        *piece = (struct page_piece){ page->offset + first * PAGE_SECTOR, len, level,
                                      xnew_array(uint8_t, len) };
        memcpy(piece->data, page->data + first * PAGE_SECTOR, len);
    }
    page->dirty[level] = 0;
    page->writing = true;
}

static int by_place(const void *a, const void *b)
{
    const struct page_piece *x = a, *y = b;

    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Takes copies of all that is dirty. A sector dirty at both levels is written at the later one. */
static void collect(struct pages *p, struct piece_list *l)
{
    for (size_t i = 0; i < ARRAY_SIZE(p->buckets) && p->dirty; i++) {
        for (struct page *page = p->buckets[i]; page; page = page->next) {
            if (!is_dirty(page))
                continue;
            page->dirty[0] &= ~page->dirty[1];
            collect_page(page, 0, l);
            collect_page(page, 1, l);
        }
    }
    p->dirty = 0;
    if (l->count)
        qsort(l->items, l->count, sizeof(*l->items), by_place);
}

static void unmark(struct pages *p, const struct piece_list *l, size_t written)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct page_piece *piece = &l->items[i];
        struct page *page;

        if (find(p, piece->offset, true, &page) < 0)
            continue;
        page->writing = false;
        if (i < written)
            continue;
        if (!is_dirty(page))
            p->dirty++;
        for (uint32_t done = 0; done < piece->len; done += PAGE_SECTOR)
            page->dirty[piece->level] |= BIT((piece->offset + done) % PAGE_BYTES / PAGE_SECTOR);
    }
}

static int write_plainly(struct pages *p, const struct page_piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int r = disk_write(p->file, pieces[i].offset, pieces[i].data, pieces[i].len, 0);
        if (r < 0)
            return r;
    }
    return disk_flush(p->file);
}

static int write_list(struct pages *p, const struct piece_list *l,
                      int (*write)(void *, const struct page_piece *, size_t), void *arg,
                      size_t *written)
{
    while (*written < l->count) {
        size_t n = *written;

        while (n < l->count && l->items[n].level == l->items[*written].level)
            n++;
        const struct page_piece *first = l->items + *written;
        int r = write ? write(arg, first, n - *written) : write_plainly(p, first, n - *written);
        if (r < 0)
            return r;
        *written = n;
    }
    return 0;
}

int pages_write(struct pages *p, int (*write)(void *, const struct page_piece *, size_t), void *arg)
{
    struct piece_list l = { 0 };
    size_t written = 0;
    int r = 0;

    WITH_LOCK (&p->write_lock) {
        WITH_LOCK (p->lock) {
            collect(p, &l);
        }
        r = disk_flush(p->file);
        if (r == 0)
            r = write_list(p, &l, write, arg, &written);
        WITH_LOCK (p->lock) {
            unmark(p, &l, written);
        }
    }
    for (size_t i = 0; i < l.count; i++)
        free(l.items[i].data);
    free(l.items);
    return r;
}
