/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside mem/ only: the struct behind struct mem. */
#ifndef MEM_MEM_PRIV_H
#define MEM_MEM_PRIV_H

#include <stdatomic.h>

#include "loop/loop.h"
#include "mem/doorbell.h"
#include "mem/mem.h"

struct mem_dirty;

/* Immutable once published, but for the look-up hint. Covers 0..2^64-1 without gaps. */
struct mem_view {
    atomic_uint last_hit;
    uint32_t count;
    uint64_t replaced_at;          /* generation that replaced it (machine lock) */
    struct mem_view *next;         /* in the list of old ones (machine lock) */
    struct mem_doorbell_at *bells; /* by address; own memory */
    uint32_t bell_count;
    struct mem_view_entry e[];
};

struct mem {
    /* constant after init */
    struct loop *loop;
    const char *name;
    gpa_t last; /* highest address of the space */
    uint8_t *ram_base;
    uint64_t ram_max;
    _Atomic(uint64_t) *code_bits; /* one per page of ram_max; bits atomic */
    struct mem_listener *listeners;
    struct mem *root; /* whose RAM, listeners and dirty bits count: itself, or what it overlays */
    struct mem *overlay; /* on top of this one, or NULL (machine lock) */

    _Atomic(struct mem_dirty *) dirty; /* dirty.c's; NULL until somebody watches */
    _Atomic(uint32_t) ringing;         /* threads that are about to write a doorbell's eventfd */
    _Atomic(struct mem_view *) view;   /* published under the machine lock, read anywhere */
    _Atomic(uint64_t) generation;

    /* guarded by the machine lock */
    uint64_t ram_used;
    struct mem_region **regions; /* mapped ones, in no order */
    uint32_t region_count, region_room;
    uint64_t next_serial;
    unsigned depth; /* mem_begin() nesting */
    bool changed;
    struct mem_view *old_first, **old_last; /* replaced views, oldest first */
    uint32_t old_count;
    struct mem_reader *readers;
};

const struct mem_view_entry *mem_view_find(struct mem_view *v, gpa_t a);

/* mem.c: a new view, because something other than the mapping changed. Machine lock held. */
void mem_changed(struct mem *m);

/* doorbell.c */
void mem_view_add_bells(struct mem_view *v);
/* A write to an entry with doorbells: true when one took it. Any thread. */
bool mem_ring(struct mem *m, gpa_t a, uint64_t val, unsigned size);

/* dirty.c */
void mem_dirty_finish(struct mem *m);

#endif
