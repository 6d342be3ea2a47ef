/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One address space of a guest: physical memory, or (a second instance) the x86 port space.
 * Regions with a size and a kind are mapped with a priority; the highest wins where they
 * overlap, the later one among equals. Each change builds a new immutable flat view that readers
 * reach through one atomic pointer, so a vCPU may look up without a lock. An entry pointer stays
 * valid for the MEM_VIEWS_KEPT map changes after the one that replaced it, and for a registered
 * reader (struct mem_reader) until it says that it holds none; drop cached entries when the map
 * listener runs.
 */
#ifndef MEM_MEM_H
#define MEM_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/types.h"

#define MEM_VIEWS_KEPT 256
#define MEM_PAGE_BITS  12
#define MEM_PAGE_SIZE  (UINT64_C(1) << MEM_PAGE_BITS)
#define MEM_GRA_NONE   UINT64_MAX

struct loop;
struct mem;
struct mem_doorbell;

enum mem_kind { MEM_NONE, MEM_RAM, MEM_ROM, MEM_IO };

/* Registers behind an IO region. Handlers run under the machine lock. Accesses outside
 * min_size..max_size (bytes; 0 means 1..8) are split into, or taken from, ones of those sizes,
 * little-endian; a narrow write reaches a wide register with zeroes beside it. Offsets are aligned
 * to the access size handed over unless .unaligned. */
struct mem_io_ops {
    uint64_t (*read)(void *opaque, uint64_t off, unsigned size);
    void (*write)(void *opaque, uint64_t off, uint64_t val, unsigned size);
    uint8_t min_size, max_size;
    bool unaligned;
};

/* Embedded in its owner, zeroed before mem_region_init_*(). Mapped in one place at a time; use an
 * alias for a second one. Fields are private to mem/ except name, size, kind and base. */
struct mem_region {
    /* constant after init */
    const char *name; /* borrowed */
    uint64_t size;
    enum mem_kind kind;
    const struct mem_io_ops *ops;
    void *opaque;
    gra_t gra;                /* RAM, ROM */
    struct mem_region *alias; /* not NULL: shows alias from alias_off */
    uint64_t alias_off;
    /* guarded by the machine lock */
    struct mem *mem;   /* where it is mapped */
    struct mem *shown; /* where it was shown last, maybe through an alias */
    gpa_t base;
    int priority;
    bool disabled;
    uint64_t serial;                /* order of mapping: ties between equal priorities */
    struct mem_doorbell *doorbells; /* mem/doorbell.h */
};

struct mem_view_entry {
    gpa_t base;
    uint64_t size; /* the last byte is base + size - 1 */
    enum mem_kind kind;
    uint8_t *host;             /* RAM and ROM: host address of base */
    gra_t gra;                 /* RAM and ROM: offset in guest RAM of base; else MEM_GRA_NONE */
    struct mem_region *region; /* NULL for MEM_NONE; never an alias */
    uint64_t region_off;       /* offset of base in region */
    bool bells;                /* doorbells lie in it */
};

/* --- set-up: machine lock held, or before any other thread runs --- */

/* A space of `size` bytes (0: all 2^64). ram_max bounds the RAM and ROM it can own: that much host
 * address space is reserved at once, memory is used only when touched. */
struct mem *mem_new(struct loop *loop, const char *name, uint64_t size, uint64_t ram_max,
                    struct error *err);
/* What a processor sees in a mode of its own (x86: system management mode): everything of `below`,
 * and on top the regions mapped here, whatever their priority. RAM is that of `below`, which is
 * freed after it and has one overlay at most. A change of either makes a new view and calls the
 * listeners of `below`. */
struct mem *mem_new_overlay(struct mem *below, const char *name);
void mem_free(struct mem *m);
const char *mem_name(const struct mem *m);

/* Backing for RAM or ROM: zeroed, page aligned, contiguous in the gra space. */
bool mem_ram_alloc(struct mem *m, uint64_t size, gra_t *ret_gra, struct error *err) MUST_CHECK;

/* Memory that was allocated and not used yet comes from a file from now on. Page aligned. shared:
 * its writes reach the file. */
bool mem_ram_from_file(struct mem *m, gra_t gra, uint64_t size, int fd, uint64_t offset,
                       bool shared, struct error *err) MUST_CHECK;

void mem_region_init_ram(struct mem_region *r, const char *name, gra_t gra, uint64_t size);
void mem_region_init_rom(struct mem_region *r, const char *name, gra_t gra, uint64_t size);
/* ROM whose writes reach ops->write, under the machine lock: flash memory. */
void mem_region_init_rom_device(struct mem_region *r, const char *name, gra_t gra, uint64_t size,
                                const struct mem_io_ops *ops, void *opaque);
void mem_region_init_io(struct mem_region *r, const char *name, const struct mem_io_ops *ops,
                        void *opaque, uint64_t size);
void mem_region_init_alias(struct mem_region *r, const char *name, struct mem_region *of,
                           uint64_t off, uint64_t size);

/* Show region at base. A region already mapped moves. Parts beyond the space are not seen. */
void mem_map(struct mem *m, gpa_t base, struct mem_region *r, int priority);
void mem_unmap(struct mem_region *r); /* no-op when not mapped */
void mem_region_enable(struct mem_region *r, bool enabled);

/* Changes between begin and the outermost end make one new view. */
void mem_begin(struct mem *m);
void mem_end(struct mem *m);

/* --- look-up and access: any thread --- */

/* The entry that covers a; never NULL (holes are MEM_NONE entries). */
const struct mem_view_entry *mem_find(struct mem *m, gpa_t a);

/* A thread that looks up without the machine lock, such as a vCPU: views that were replaced since
 * its last mem_quiet() are not freed. Add and remove under the machine lock. */
struct mem_reader {
    _Atomic(uint64_t) seen; /* generation at the last mem_quiet() */
    struct mem_reader *next;
};
void mem_reader_add(struct mem *m, struct mem_reader *r);
void mem_reader_remove(struct mem *m, struct mem_reader *r);

/* This reader's thread holds no entry pointer now. A load and a store: call it once per turn of the
 * vCPU's outer loop. */
void mem_quiet(const struct mem *m, struct mem_reader *r);

/* The number of views made so far; changes whenever the map does. */
uint64_t mem_generation(const struct mem *m);

/* Host address of guest RAM offset 0: host = mem_ram_base(m) + gra, for all RAM and ROM. */
uint8_t *mem_ram_base(const struct mem *m);
uint64_t mem_ram_size(const struct mem *m); /* bytes of gra space handed out */

/* Access of 1, 2, 4 or 8 bytes to any entry (RAM too). e is mem_find(m, a)'s answer. Takes the
 * machine lock for registers unless this thread holds it. Nothing there: all ones, writes dropped,
 * logged under guest_errors. An access across the end of an entry is split. */
uint64_t mem_io_read(struct mem *m, const struct mem_view_entry *e, gpa_t a, unsigned size);
void mem_io_write(struct mem *m, const struct mem_view_entry *e, gpa_t a, uint64_t val,
                  unsigned size);

/* Physical accesses of a CPU (page walks, task switches): host-atomic when aligned and in RAM. */
uint8_t mem_load8(struct mem *m, gpa_t a);
uint16_t mem_load16(struct mem *m, gpa_t a);
uint32_t mem_load32(struct mem *m, gpa_t a);
uint64_t mem_load64(struct mem *m, gpa_t a);
void mem_store8(struct mem *m, gpa_t a, uint8_t val);
void mem_store16(struct mem *m, gpa_t a, uint16_t val);
void mem_store32(struct mem *m, gpa_t a, uint32_t val);
void mem_store64(struct mem *m, gpa_t a, uint64_t val);

/* Compare and exchange, atomic in aligned RAM; true when the old value was `want`. Elsewhere it is
 * a load and, if equal, a store (which ROM and holes drop). *ret_old, if not NULL, gets the old. */
bool mem_cmpxchg32(struct mem *m, gpa_t a, uint32_t want, uint32_t val, uint32_t *ret_old);
bool mem_cmpxchg64(struct mem *m, gpa_t a, uint64_t want, uint64_t val, uint64_t *ret_old);

/* --- DMA of devices: reaches RAM (and ROM for reading) only, never a register --- */

/* 0, or -EFAULT when any byte is not RAM (or ROM for reads); then nothing was copied. */
int dma_read(struct mem *m, gpa_t a, void *buf, size_t len) MUST_CHECK;
int dma_write(struct mem *m, gpa_t a, const void *buf, size_t len) MUST_CHECK;

/* Direct pointer to RAM at a. *len is the wish and becomes what is contiguous (<= wish); NULL when
 * there is no RAM at all. After writing through it, dma_unmap() with the bytes written. */
void *dma_map(struct mem *m, gpa_t a, uint64_t *len, bool write);
void dma_unmap(struct mem *m, void *host, uint64_t len, bool write);

/* --- what the translator hangs on here --- */

/* Pages of guest RAM that translated code was made from. Any thread; bits are atomic. Set the
 * bit, then read the code: a writer writes, then tests the bit. */
void mem_code_set(struct mem *m, gra_t page);
void mem_code_clear(struct mem *m, gra_t page);
bool mem_code_test(const struct mem *m, gra_t page);

struct mem_listener {
    void *opaque;
    /* dma_write() or mem_store*() changed bytes of a page with its code bit set (the writing
     * thread; the machine lock may or may not be held); after the bytes were written */
    void (*code_write)(void *opaque, gra_t gra, uint64_t len);
    /* the map or its doorbells changed: flush what was cached from it (machine lock held) */
    void (*map_changed)(void *opaque);
    /* mem/dirty.h, machine lock held: which pages are watched changed; the accelerator's own log of
     * the range is wanted in the marks now; pages became armed */
    void (*dirty_watch)(void *opaque);
    void (*dirty_sync)(void *opaque, gra_t gra, uint64_t len);
    void (*dirty_armed)(void *opaque);
    struct mem_listener *next; /* mem/'s */
};

/* Borrowed until removed. Before vCPUs run, or while they stand still. */
void mem_listener_add(struct mem *m, struct mem_listener *listener);
void mem_listener_remove(struct mem *m, struct mem_listener *listener); /* no-op when not there */

/* Bytes gra..gra+len-1 were written: marks them dirty, and calls code_write when translated code
 * lies there. For owners of a RAM pointer, and for the translator's slow path. */
void mem_written(struct mem *m, gra_t gra, uint64_t len);

/* The map, as the accelerator sees it: entry number n of the current view, NULL behind the last.
 * Machine lock held. */
const struct mem_view_entry *mem_entry(struct mem *m, uint32_t n);

/* The map as text (`info mtree`). Machine lock held. */
void mem_print(struct mem *m, FILE *out);

#endif
