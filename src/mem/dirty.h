/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages of guest RAM were written: a bitmap per client (display, migration), kept while the
 * client watches. Marks come from
 *   - devices' DMA, page walks and mem_store*(): by themselves;
 *   - an accelerator that keeps its own log: its listener's dirty_sync brings it in;
 *   - translated code: a page is "armed" while some client waits for its first write. The
 * translator sends writes to armed pages to its slow path, as with pages that hold translated code,
 * and that path calls mem_written(). dirty_armed tells it that pages became armed: when the
 * callback returns, no vCPU writes to an armed page unnoticed.
 *
 * A client that fetches the bitmap and then copies the pages misses nothing: a write that is not in
 * this bitmap and not yet in the memory that it copies is in the next one.
 */
#ifndef MEM_DIRTY_H
#define MEM_DIRTY_H

#include "mem/mem.h"

enum mem_dirty_client { MEM_DIRTY_DISPLAY, MEM_DIRTY_MIGRATION, MEM_DIRTY_CLIENTS };

/* Watch, or no longer watch, the pages that gra..gra+len-1 touches. Starting marks them all dirty:
 * the first fetch gives everything. Machine lock held. */
void mem_dirty_start(struct mem *m, enum mem_dirty_client c, gra_t gra, uint64_t len);
void mem_dirty_stop(struct mem *m, enum mem_dirty_client c, gra_t gra, uint64_t len);

/* Takes the marks of the watched pages among the `pages` ones from gra (page aligned) on: bit n of
 * ret_bitmap (room for `pages` bits, whole 64-bit words) is page n. Returns how many are set.
 * Machine lock held. */
uint64_t mem_dirty_fetch(struct mem *m, enum mem_dirty_client c, gra_t gra, uint64_t pages,
                         uint64_t *ret_bitmap);

/* --- for accelerators and the translator --- */

/* Does any client watch a page of the range? Machine lock held. */
bool mem_dirty_watched(const struct mem *m, gra_t gra, uint64_t len);

/* Would a write to the page be news to a client? Any thread; a hint that mem_written() repeats. */
bool mem_dirty_armed(const struct mem *m, gra_t page);

/* Marks the pages for all clients that watch them. Any thread, after the bytes were written. */
void mem_dirty_mark(struct mem *m, gra_t gra, uint64_t len);

#endif
