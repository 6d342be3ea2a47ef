/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that is given back all at once. One thread at a time. A zeroed struct arena is ready; the
 * chunks stay for reuse after a reset or release. Allocations are not zeroed.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *first; /* owned list */
    struct arena_chunk *now;   /* chunk in use, NULL before the first allocation */
    size_t used;               /* bytes used in it */
};

struct arena_mark {
    struct arena_chunk *chunk;
    size_t used;
};

/* align is a power of two, at most 64. Never NULL. */
void *arena_alloc(struct arena *a, size_t size, size_t align);

/* Forgets every allocation, keeps the memory. */
void arena_reset(struct arena *a);

/* Gives the memory back to the host. */
void arena_finish(struct arena *a);

/* arena_release() forgets what was allocated since the mark. */
struct arena_mark arena_mark(const struct arena *a);
void arena_release(struct arena *a, struct arena_mark mark);

#endif
