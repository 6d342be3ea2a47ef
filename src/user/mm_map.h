/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The map of guest memory: which addresses are the guest's and with which protection it mapped
 * them. A sorted array of regions that do not touch unless they differ. What the host kernel knows
 * better (files, offsets, sharing) is not kept here. No lock, no system call: mm.c does both.
 */
#ifndef USER_MM_MAP_H
#define USER_MM_MAP_H

#include "base/types.h"

struct mm_region {
    gva_t start, end;
    uint8_t prot; /* PROT_READ, WRITE, EXEC and USER_BTI as the guest asked */
    bool code;    /* translations may exist of its pages */
    bool grows;   /* MAP_GROWSDOWN: the host may have extended it downwards meanwhile */
};

struct mm_map {
    struct mm_region *r;
    size_t count, room;
    /* searches below gap_high: all gaps above gap_hint (0: not known) have at most gap_passed bytes
     */
    gva_t gap_high, gap_hint;
    uint64_t gap_passed;
};

void mm_map_finish(struct mm_map *m);
/* Index of the first region that ends behind addr; count when there is none. */
size_t mm_map_find(const struct mm_map *m, gva_t addr);
/* The region that contains addr, or NULL. */
const struct mm_region *mm_map_at(const struct mm_map *m, gva_t addr);
/* Is all of [start, end) mapped? Is nothing of it? May translations exist of a part? */
bool mm_map_covered(const struct mm_map *m, gva_t start, gva_t end);
bool mm_map_free(const struct mm_map *m, gva_t start, gva_t end);
bool mm_map_has_code(const struct mm_map *m, gva_t start, gva_t end);
/* Some part of [start, end) is executable. */
bool mm_map_has_exec(const struct mm_map *m, gva_t start, gva_t end);
void mm_map_remove(struct mm_map *m, gva_t start, gva_t end);
/* Replaces what is there. */
void mm_map_add(struct mm_map *m, gva_t start, gva_t end, uint8_t prot);
/* Changes what is mapped in the range; holes stay holes. */
void mm_map_protect(struct mm_map *m, gva_t start, gva_t end, uint8_t prot);
/* Notes that translations exist of (or, false: of none of) the pages in the range. */
void mm_map_set_code(struct mm_map *m, gva_t start, gva_t end, bool code);
/* The region at addr grows downwards. */
void mm_map_set_grows(struct mm_map *m, gva_t addr);
/* Region i starts at start, which lies in the gap below it. */
void mm_map_extend_down(struct mm_map *m, size_t i, gva_t start);
/* The highest free range of len bytes within [low, high), its start a multiple of align; 0: none.
 */
gva_t mm_map_gap(struct mm_map *m, uint64_t len, uint64_t align, gva_t low, gva_t high);

#endif
