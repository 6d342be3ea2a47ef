/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Doorbells: places in an IO region where a guest's write makes an eventfd readable and does
 * nothing else: the region's write is not called, the machine lock is not taken. Under translation
 * the write path writes the eventfd; an accelerator that follows the map gives it to the kernel
 * (KVM_IOEVENTFD).
 *
 *     q->bell = (struct mem_doorbell){ .off = n * 4, .size = 0, .fd = eventfd(0, EFD_NONBLOCK) };
 *     mem_doorbell_add(&dev->notify_region, &q->bell);
 *     ...
 *     mem_doorbell_remove(&q->bell);      (then the fd may be closed)
 */
#ifndef MEM_DOORBELL_H
#define MEM_DOORBELL_H

#include "mem/mem.h"

/* Embedded in its owner; the first block is filled by the owner and constant while it is added. */
struct mem_doorbell {
    uint64_t off;   /* in the region */
    unsigned size;  /* of the write: 1, 2, 4, 8; 0: any */
    bool match;     /* only writes of `value` (size not 0) */
    uint64_t value; /* no wider than size */
    int fd;         /* an eventfd, EFD_NONBLOCK */
    /* mem/'s; guarded by the machine lock */
    struct mem_region *region; /* NULL: not added */
    struct mem_doorbell *next;
};

/* The region may be mapped or not, shown through aliases, moved: the doorbell goes with it. It must
 * be an IO region and no alias. Machine lock held. Several changes between mem_begin() and
 * mem_end() cost one. */
void mem_doorbell_add(struct mem_region *r, struct mem_doorbell *d);

/* When it returns nobody writes the eventfd any more (a write before may be unread). No-op when not
 * added. Machine lock held; not between mem_begin() and mem_end(). */
void mem_doorbell_remove(struct mem_doorbell *d);

/* A doorbell where the current map shows it. */
struct mem_doorbell_at {
    gpa_t addr;
    uint64_t value;
    int fd;
    uint8_t size; /* 0: any */
    bool match;
};

/* All that the current map shows, in order of address: *ret_count of them, valid until the next
 * change. Machine lock held. For accelerators. */
const struct mem_doorbell_at *mem_doorbells(struct mem *m, uint32_t *ret_count);

#endif
