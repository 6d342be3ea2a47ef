/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/arena.h"

#include <assert.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/bits.h"

#define CHUNK_MIN (64 * 1024)
#define ALIGN_MAX 64

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    _Alignas(ALIGN_MAX) char data[];
};

static struct arena_chunk *chunk_new(size_t size)
{
    size_t total;
    struct arena_chunk *c;

    size = MAX(size, CHUNK_MIN - sizeof(*c));
    if (!checked_add(size, sizeof(*c) + ALIGN_MAX, &total))
        abort();
    c = aligned_alloc(ALIGN_MAX, ALIGN_UP(total, (size_t)ALIGN_MAX));
    if (!c)
        abort();
    c->next = NULL;
    c->size = size;
    return c;
}

/* Makes the next chunk of at least size bytes the current one. */
static void next_chunk(struct arena *a, size_t size)
{
    struct arena_chunk **link = a->now ? &a->now->next : &a->first;

    if (!*link || (*link)->size < size) {
        struct arena_chunk *c = chunk_new(size);

        c->next = *link;
        *link = c;
    }
    a->now = *link;
    a->used = 0;
}

void *arena_alloc(struct arena *a, size_t size, size_t align)
{
    size_t at = ALIGN_UP(a->used, align);

    assert(is_pow2(align) && align <= ALIGN_MAX);
    if (unlikely(!a->now || at > a->now->size || size > a->now->size - at)) {
        next_chunk(a, size);
        at = 0;
    }
    a->used = at + size;
    return a->now->data + at;
}

void arena_reset(struct arena *a)
{
    a->now = NULL;
    a->used = 0;
}

void arena_finish(struct arena *a)
{
    while (a->first) {
        struct arena_chunk *next = a->first->next;

        free(a->first);
        a->first = next;
    }
    arena_reset(a);
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){ a->now, a->used };
}

void arena_release(struct arena *a, struct arena_mark mark)
{
    a->now = mark.chunk;
    a->used = mark.used;
}
