/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory that a controller moves data to or from: pieces by guest address, mapped to host
 * addresses as they are added. What is not RAM is refused. Machine lock held.
 */
#ifndef DEV_STORAGE_SG_H
#define DEV_STORAGE_SG_H

#include "disk/vec.h"
#include "mem/mem.h"

struct sg {
    struct mem *mem;   /* NULL: no memory can be reached (bus master off) */
    bool to_guest;     /* direction */
    struct iovec *iov; /* grows; kept from one use to the next */
    uint32_t count, room;
    size_t len; /* bytes added */
};

enum { SG_PIECES_MAX = 1 << 17 }; /* a PRD table of AHCI has 65535 */

void sg_begin(struct sg *s, struct mem *mem, bool to_guest);
/* Adds len bytes at a. False: a part is not RAM, or too many pieces; nothing of it is added. */
bool sg_add(struct sg *s, gpa_t a, uint64_t len) MUST_CHECK;
/* Copies between a buffer and bytes from `at` on; returns how many were there. */
size_t sg_put(struct sg *s, size_t at, const void *buf, size_t len);
size_t sg_get(const struct sg *s, size_t at, void *buf, size_t len);
struct disk_vec sg_vec(const struct sg *s, size_t at, size_t len);
/* Done: the first `written` bytes were changed (to_guest). */
void sg_end(struct sg *s, size_t written);
void sg_finish(struct sg *s); /* frees; a zeroed one is fine */

#endif
