/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking up and touching an address space: register accesses of the CPU, its physical loads and
 * stores, DMA, and the pages that translated code was made from. Safe on any thread: all of it
 * starts from one read of the published view.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "base/log.h"
#include "mem/dirty.h"
#include "mem/mem.h"
#include "mem/mem_priv.h"

static bool covers(const struct mem_view_entry *e, gpa_t a)
{
    return a - e->base <= e->size - 1 && a >= e->base;
}

const struct mem_view_entry *mem_view_find(struct mem_view *v, gpa_t a)
{
    uint32_t lo = 0, hi = v->count - 1;
    uint32_t hint = atomic_load_explicit(&v->last_hit, memory_order_relaxed);

    if (likely(covers(&v->e[hint], a)))
        return &v->e[hint];
    while (lo < hi) {
        uint32_t mid = (lo + hi + 1) / 2;

        if (v->e[mid].base <= a)
            lo = mid;
        else
            hi = mid - 1;
    }
    atomic_store_explicit(&v->last_hit, lo, memory_order_relaxed);
    return &v->e[lo];
}

const struct mem_view_entry *mem_find(struct mem *m, gpa_t a)
{
    return mem_view_find(atomic_load_explicit(&m->view, memory_order_acquire), a);
}

/* --- translated code --- */

static uint64_t code_bit(gra_t gra)
{
    return BIT((gra >> MEM_PAGE_BITS) % 64);
}

static _Atomic(uint64_t) *code_word(const struct mem *m, gra_t gra)
{
    assert(gra < m->ram_max);
    return &m->code_bits[(gra >> MEM_PAGE_BITS) / 64];
}

void mem_code_set(struct mem *m, gra_t page)
{
    atomic_fetch_or(code_word(m, page), code_bit(page));
}

void mem_code_clear(struct mem *m, gra_t page)
{
    atomic_fetch_and(code_word(m, page), ~code_bit(page));
}

bool mem_code_test(const struct mem *m, gra_t page)
{
    return atomic_load_explicit(code_word(m, page), memory_order_relaxed) & code_bit(page);
}

static void tell_code_write(struct mem *m, gra_t gra, uint64_t len)
{
    for (struct mem_listener *l = m->listeners; l; l = l->next)
        if (l->code_write)
            l->code_write(l->opaque, gra, len);
}

void mem_written(struct mem *m, gra_t gra, uint64_t len)
{
    gra_t end = gra + len;

    if (!len)
        return;
    m = m->root;
    mem_dirty_mark(m, gra, len);
    /* Pairs with mem_code_set(): the bytes are out before the bit is looked at. */
    atomic_thread_fence(memory_order_seq_cst);
    while (gra < end) {
        gra_t next = MIN(end, ALIGN_DOWN(gra, MEM_PAGE_SIZE) + MEM_PAGE_SIZE);

        if (unlikely(mem_code_test(m, gra)))
            tell_code_write(m, gra, next - gra);
        gra = next;
    }
}

/* --- accesses of the CPU --- */

static uint64_t ram_read(const uint8_t *p, unsigned size)
{
    if (likely(((uintptr_t)p & (size - 1)) == 0)) {
        switch (size) {
        case 1: return __atomic_load_n(p, __ATOMIC_RELAXED);
        case 2: return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
        case 4: return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
        default: return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
        }
    }
    return size == 2 ? ld_le16(p) : size == 4 ? ld_le32(p) : ld_le64(p);
}

static void ram_write(uint8_t *p, uint64_t val, unsigned size)
{
    if (likely(((uintptr_t)p & (size - 1)) == 0)) {
        switch (size) {
        case 1: __atomic_store_n(p, (uint8_t)val, __ATOMIC_RELAXED); return;
        case 2: __atomic_store_n((uint16_t *)p, (uint16_t)val, __ATOMIC_RELAXED); return;
        case 4: __atomic_store_n((uint32_t *)p, (uint32_t)val, __ATOMIC_RELAXED); return;
        default: __atomic_store_n((uint64_t *)p, val, __ATOMIC_RELAXED); return;
        }
    }
    if (size == 2)
        st_le16(p, (uint16_t)val);
    else if (size == 4)
        st_le32(p, (uint32_t)val);
    else
        st_le64(p, val);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "aligned accesses above are native");

/* The size of the next piece of an access that ops can take, at most `size`. */
static unsigned piece_size(const struct mem_io_ops *ops, uint64_t off, unsigned size)
{
    unsigned piece = ops->max_size ? ops->max_size : 8;

    while (piece > size || (!ops->unaligned && (off & (piece - 1))))
        piece /= 2;
    return piece;
}

static uint64_t io_read(const struct mem_region *r, uint64_t off, unsigned size)
{
    const struct mem_io_ops *ops = r->ops;
    uint64_t val = 0;

    for (unsigned done = 0, n; done < size; done += n) {
        uint64_t at = off + done, part;
        unsigned min = ops->min_size;

        n = piece_size(ops, at, size - done);
        if (n < min)
            part = ops->read(r->opaque, ALIGN_DOWN(at, min), min) >> (8 * (at & (min - 1)));
        else
            part = ops->read(r->opaque, at, n);
        val |= (part & BITS(8 * n - 1, 0)) << (8 * done);
    }
    return val;
}

static void io_write(const struct mem_region *r, uint64_t off, uint64_t val, unsigned size)
{
    const struct mem_io_ops *ops = r->ops;

    for (unsigned done = 0, n; done < size; done += n) {
        uint64_t at = off + done, part;
        unsigned min = ops->min_size;

        n = piece_size(ops, at, size - done);
        part = (val >> (8 * done)) & BITS(8 * n - 1, 0);
        if (n < min)
            ops->write(r->opaque, ALIGN_DOWN(at, min), part << (8 * (at & (min - 1))), min);
        else
            ops->write(r->opaque, at, part, n);
    }
}

/* true: this call took the lock and the caller gives it back */
static bool lock_for_io(struct mem *m)
{
    if (loop_locked_by_me(m->loop))
        return false;
    loop_lock(m->loop);
    return true;
}

uint64_t mem_io_read(struct mem *m, const struct mem_view_entry *e, gpa_t a, unsigned size)
{
    uint64_t off = a - e->base, val = 0;
    bool locked;

    if (unlikely(size - 1 > e->size - 1 - off)) {
        for (unsigned i = 0; i < size; i++)
            val |= mem_io_read(m, mem_find(m, a + i), a + i, 1) << (8 * i);
        return val;
    }
    switch (e->kind) {
    case MEM_RAM:
    case MEM_ROM: return ram_read(e->host + off, size);
    case MEM_IO:
        locked = lock_for_io(m);
        val = io_read(e->region, e->region_off + off, size);
        if (locked)
            loop_unlock(m->loop);
        return val;
    default:
        if (log_enabled(LOG_GUEST_ERRORS))
            log_write(LOG_GUEST_ERRORS, "%s: read of %u bytes at unassigned %#llx\n", m->name, size,
                      (unsigned long long)a);
        return BITS(8 * size - 1, 0);
    }
}

void mem_io_write(struct mem *m, const struct mem_view_entry *e, gpa_t a, uint64_t val,
                  unsigned size)
{
    uint64_t off = a - e->base;
    bool locked;

    if (unlikely(size - 1 > e->size - 1 - off)) {
        for (unsigned i = 0; i < size; i++)
            mem_io_write(m, mem_find(m, a + i), a + i, (val >> (8 * i)) & 0xff, 1);
        return;
    }
    switch (e->kind) {
    case MEM_RAM:
        ram_write(e->host + off, val, size);
        mem_written(m, e->gra + off, size);
        break;
    case MEM_IO:
        if (unlikely(e->bells) && mem_ring(m, a, val, size))
            break;
        locked = lock_for_io(m);
        io_write(e->region, e->region_off + off, val, size);
        if (locked)
            loop_unlock(m->loop);
        break;
    case MEM_ROM:
        if (e->region->ops) {
            locked = lock_for_io(m);
            io_write(e->region, e->region_off + off, val, size);
            if (locked)
                loop_unlock(m->loop);
            break;
        }
        /* fall through */
    default:
        if (log_enabled(LOG_GUEST_ERRORS))
            log_write(LOG_GUEST_ERRORS, "%s: write of %#llx, %u bytes, at %s %#llx\n", m->name,
                      (unsigned long long)val, size, e->kind == MEM_ROM ? "ROM" : "unassigned",
                      (unsigned long long)a);
        break;
    }
}

static uint64_t load(struct mem *m, gpa_t a, unsigned size)
{
    return mem_io_read(m, mem_find(m, a), a, size);
}

static void store(struct mem *m, gpa_t a, uint64_t val, unsigned size)
{
    mem_io_write(m, mem_find(m, a), a, val, size);
}

uint8_t mem_load8(struct mem *m, gpa_t a)
{
    return (uint8_t)load(m, a, 1);
}

uint16_t mem_load16(struct mem *m, gpa_t a)
{
    return (uint16_t)load(m, a, 2);
}

uint32_t mem_load32(struct mem *m, gpa_t a)
{
    return (uint32_t)load(m, a, 4);
}

uint64_t mem_load64(struct mem *m, gpa_t a)
{
    return load(m, a, 8);
}

void mem_store8(struct mem *m, gpa_t a, uint8_t val)
{
    store(m, a, val, 1);
}

void mem_store16(struct mem *m, gpa_t a, uint16_t val)
{
    store(m, a, val, 2);
}

void mem_store32(struct mem *m, gpa_t a, uint32_t val)
{
    store(m, a, val, 4);
}

void mem_store64(struct mem *m, gpa_t a, uint64_t val)
{
    store(m, a, val, 8);
}

/* Host address for an atomic access, or NULL when it is not aligned RAM. */
static void *atomic_place(const struct mem_view_entry *e, gpa_t a, unsigned size)
{
    uint64_t off = a - e->base;

    if (e->kind != MEM_RAM || (a & (size - 1)) || size - 1 > e->size - 1 - off)
        return NULL;
    return e->host + off;
}

bool mem_cmpxchg32(struct mem *m, gpa_t a, uint32_t want, uint32_t val, uint32_t *ret_old)
{
    const struct mem_view_entry *e = mem_find(m, a);
    uint32_t *p = atomic_place(e, a, 4);
    uint32_t old = want;

    if (likely(p)) {
        if (__atomic_compare_exchange_n(p, &old, val, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            mem_written(m, e->gra + (a - e->base), 4);
    } else {
        old = mem_load32(m, a);
        if (old == want)
            mem_store32(m, a, val);
    }
    if (ret_old)
        *ret_old = old;
    return old == want;
}

bool mem_cmpxchg64(struct mem *m, gpa_t a, uint64_t want, uint64_t val, uint64_t *ret_old)
{
    const struct mem_view_entry *e = mem_find(m, a);
    uint64_t *p = atomic_place(e, a, 8);
    uint64_t old = want;

    if (likely(p)) {
        if (__atomic_compare_exchange_n(p, &old, val, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            mem_written(m, e->gra + (a - e->base), 8);
    } else {
        old = mem_load64(m, a);
        if (old == want)
            mem_store64(m, a, val);
    }
    if (ret_old)
        *ret_old = old;
    return old == want;
}

/* --- DMA --- */

static bool dma_reaches(const struct mem_view_entry *e, bool write)
{
    return e->kind == MEM_RAM || (e->kind == MEM_ROM && !write);
}

/* Bytes of e from a on, at most len. */
static uint64_t span(const struct mem_view_entry *e, gpa_t a, uint64_t len)
{
    uint64_t left = e->size - (a - e->base);

    return MIN(left, len);
}

static bool dma_allowed(struct mem_view *v, gpa_t a, uint64_t len, bool write)
{
    gpa_t end;

    if (!checked_add(a, len, &end))
        return false;
    while (len) {
        const struct mem_view_entry *e = mem_view_find(v, a);
        uint64_t n = span(e, a, len);

        if (!dma_reaches(e, write))
            return false;
        a += n;
        len -= n;
    }
    return true;
}

int dma_read(struct mem *m, gpa_t a, void *buf, size_t len)
{
    struct mem_view *v = atomic_load_explicit(&m->view, memory_order_acquire);
    uint8_t *to = buf;

    if (!dma_allowed(v, a, len, false))
        return -EFAULT;
    while (len) {
        const struct mem_view_entry *e = mem_view_find(v, a);
        uint64_t n = span(e, a, len);

        memcpy(to, e->host + (a - e->base), n);
        to += n;
        a += n;
        len -= n;
    }
    return 0;
}

int dma_write(struct mem *m, gpa_t a, const void *buf, size_t len)
{
    struct mem_view *v = atomic_load_explicit(&m->view, memory_order_acquire);
    const uint8_t *from = buf;

    if (!dma_allowed(v, a, len, true))
        return -EFAULT;
    while (len) {
        const struct mem_view_entry *e = mem_view_find(v, a);
        uint64_t n = span(e, a, len);

        memcpy(e->host + (a - e->base), from, n);
        mem_written(m, e->gra + (a - e->base), n);
        from += n;
        a += n;
        len -= n;
    }
    return 0;
}

void *dma_map(struct mem *m, gpa_t a, uint64_t *len, bool write)
{
    const struct mem_view_entry *e = mem_find(m, a);

    if (!*len || !dma_reaches(e, write))
        return NULL;
    *len = span(e, a, *len);
    return e->host + (a - e->base);
}

void dma_unmap(struct mem *m, void *host, uint64_t len, bool write)
{
    gra_t gra = (gra_t)((uint8_t *)host - m->ram_base);

    assert(gra < m->root->ram_used && len <= m->root->ram_used - gra);
    if (write)
        mem_written(m, gra, len);
}
