/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "user/mm_map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/bits.h"

void mm_map_finish(struct mm_map *m)
{
    free(m->r);
    *m = (struct mm_map){ 0 };
}

size_t mm_map_find(const struct mm_map *m, gva_t addr)
{
    size_t lo = 0, hi = m->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (m->r[mid].end > addr)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

const struct mm_region *mm_map_at(const struct mm_map *m, gva_t addr)
{
    size_t i = mm_map_find(m, addr);
    return i < m->count && m->r[i].start <= addr ? &m->r[i] : NULL;
}

bool mm_map_covered(const struct mm_map *m, gva_t start, gva_t end)
{
    for (size_t i = mm_map_find(m, start); start < end; i++) {
        if (i == m->count || m->r[i].start > start)
            return false;
        start = m->r[i].end;
    }
    return true;
}

bool mm_map_free(const struct mm_map *m, gva_t start, gva_t end)
{
    size_t i = mm_map_find(m, start);
    return i == m->count || m->r[i].start >= end;
}

bool mm_map_has_code(const struct mm_map *m, gva_t start, gva_t end)
{
    for (size_t i = mm_map_find(m, start); i < m->count && m->r[i].start < end; i++)
        if (m->r[i].code)
            return true;
    return false;
}

bool mm_map_has_exec(const struct mm_map *m, gva_t start, gva_t end)
{
    for (size_t i = mm_map_find(m, start); i < m->count && m->r[i].start < end; i++)
        if (m->r[i].prot & PROT_EXEC)
            return true;
    return false;
}

/* Room for n more regions at index i. */
static void open_room(struct mm_map *m, size_t i, size_t n)
{
    if (m->count + n > m->room) {
        m->room = MAX(m->room * 2, (size_t)64);
        m->r = xrealloc_array(m->r, m->room, sizeof *m->r);
    }
    memmove(&m->r[i + n], &m->r[i], (m->count - i) * sizeof *m->r);
    m->count += n;
}

static void close_room(struct mm_map *m, size_t i, size_t n)
{
    memmove(&m->r[i], &m->r[i + n], (m->count - i - n) * sizeof *m->r);
    m->count -= n;
}

/* Makes addr a border if it lies within a region; index of the first region at or behind addr. */
static size_t split(struct mm_map *m, gva_t addr)
{
    size_t i = mm_map_find(m, addr);
    if (i == m->count || m->r[i].start >= addr)
        return i;
    open_room(m, i, 1);
    m->r[i].end = addr;
    m->r[i + 1].start = addr;
    m->r[i + 1].grows = false; /* only the lowest part does */
    return i + 1;
}

static bool alike(const struct mm_region *a, const struct mm_region *b)
{
    return a->end == b->start && a->prot == b->prot && a->code == b->code && !b->grows;
}

/* Joins equal neighbours among regions [i - 1, k]. */
static void join(struct mm_map *m, size_t i, size_t k)
{
    size_t from = i ? i - 1 : 0, to = MIN(k + 1, m->count), at = from;
    if (to <= from + 1)
        return;
    for (size_t s = from + 1; s < to; s++) {
        if (alike(&m->r[at], &m->r[s]))
            m->r[at].end = m->r[s].end;
        else
            m->r[++at] = m->r[s];
    }
    if (at + 1 < to)
        close_room(m, at + 1, to - at - 1);
}

void mm_map_remove(struct mm_map *m, gva_t start, gva_t end)
{
    if (start >= end)
        return;
    size_t i = split(m, start), k = split(m, end);
    if (k > i)
        close_room(m, i, k - i);
    if (end >= m->gap_hint) /* a gap that the hint does not know may exist above it now */
        m->gap_hint = 0;
}

void mm_map_add(struct mm_map *m, gva_t start, gva_t end, uint8_t prot)
{
    if (start >= end)
        return;
    size_t i = split(m, start), k = split(m, end);
    if (k > i + 1)
        close_room(m, i + 1, k - i - 1);
    else if (k == i)
        open_room(m, i, 1);
    m->r[i] = (struct mm_region){ .start = start, .end = end, .prot = prot };
    join(m, i, i + 1);
}

void mm_map_protect(struct mm_map *m, gva_t start, gva_t end, uint8_t prot)
{
    if (start >= end)
        return;
    size_t i = split(m, start), k = split(m, end);
    for (size_t n = i; n < k; n++)
        m->r[n].prot = prot;
    join(m, i, k);
}

void mm_map_set_code(struct mm_map *m, gva_t start, gva_t end, bool code)
{
    if (start >= end)
        return;
    size_t i = split(m, start), k = split(m, end);
    for (size_t n = i; n < k; n++)
        m->r[n].code = code;
    join(m, i, k);
}

void mm_map_set_grows(struct mm_map *m, gva_t addr)
{
    size_t i = split(m, addr);
    if (i < m->count)
        m->r[i].grows = true;
}

void mm_map_extend_down(struct mm_map *m, size_t i, gva_t start)
{
    m->r[i].start = start;
}

/* From the top down; *passed grows to the greatest gap that was too small. */
static gva_t search(const struct mm_map *m, uint64_t len, uint64_t align, gva_t low, gva_t top,
                    uint64_t *passed)
{
    size_t i = mm_map_find(m, top - 1);
    if (i < m->count && m->r[i].start < top)
        top = m->r[i].start;
    for (;; i--, top = m->r[i].start) {
        gva_t below = i ? m->r[i - 1].end : 0, floor = MAX(below, low);
        if (top > floor && top - floor >= len) {
            gva_t at = ALIGN_DOWN(top - len, align);
            if (at >= floor)
                return at;
        }
        if (top > floor)
            *passed = MAX(*passed, top - floor);
        if (below <= low)
            return 0;
    }
}

gva_t mm_map_gap(struct mm_map *m, uint64_t len, uint64_t align, gva_t low, gva_t high)
{
    uint64_t none = 0;
    gva_t at;
    if (len == 0 || low == 0 || len > high || high - len < low)
        return 0;
    if (high != m->gap_high) /* a search of a special kind: the hint is not for it */
        return search(m, len, align, low, high, &none);
    if (m->gap_hint && len > m->gap_passed) {
        at = search(m, len, align, low, m->gap_hint, &m->gap_passed);
    } else {
        m->gap_passed = 0;
        at = search(m, len, align, low, high, &m->gap_passed);
    }
    m->gap_hint = at ? at + len : 0;
    return at;
}
