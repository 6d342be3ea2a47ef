/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The block cache: found by (RAM offset of the code, pc, mode, aux, variant), by host code offset,
 * and by the guest page they were made from. Only blocks that overlap a write die.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/trace.h"
#include "cpu/engine.h"

enum { HASH_BITS = 17, DEFAULT_CODE_MIB = 256 };

/* ---- code memory: one file, two mappings ---- */

static bool map_code(struct engine *e, size_t size, struct error *err)
{
    int fd = memfd_create("rhea-code", MFD_CLOEXEC);
    void *rw, *rx;

    if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
        if (fd >= 0)
            close(fd);
        return fail(err, errno, "memory for translated code (%zu MiB): %s", size >> 20,
                    strerror(errno));
    }
    rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    rx = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    close(fd);
    e->code = (struct host_code_buf){ .rw = rw == MAP_FAILED ? NULL : rw,
                                      .rx = rx == MAP_FAILED ? NULL : rx,
                                      .size = size };
    if (!e->code.rw || !e->code.rx)
        return fail(err, errno, "mapping memory for translated code: %s", strerror(errno));
    return true;
}

bool engine_blocks_init(struct engine *e, struct error *err)
{
    size_t size = e->config.tb_size ? e->config.tb_size : (size_t)DEFAULT_CODE_MIB << 20;

    e->hash_bits = HASH_BITS;
    e->hash = xnew_array(struct block *, 1u << HASH_BITS);
    e->exit_cap = 1024;
    e->exits = xnew_array(struct exit_rec, e->exit_cap);
    if (!e->host)
        return true;
    if (!map_code(e, size, err))
        return false;
    e->host_state = e->host->init(&e->code, &e->env, err);
    e->code_start = e->code.used;
    return e->host_state != NULL;
}

static void free_pages(struct engine *e)
{
    memset(e->pages, 0, sizeof(e->pages)); /* the records themselves lie in the arena */
}

static void free_interp_ir(struct engine *e)
{
    for (unsigned i = 0; i < e->block_count; i++)
        if (e->by_code[i]->ir) {
            ir_finish(e->by_code[i]->ir);
            free(e->by_code[i]->ir);
        }
}

void engine_blocks_finish(struct engine *e)
{
    free_interp_ir(e);
    if (e->host_state)
        e->host->finish(e->host_state);
    if (e->code.rw)
        munmap(e->code.rw, e->code.size);
    if (e->code.rx)
        munmap(e->code.rx, e->code.size);
    free(e->hash);
    free(e->by_code);
    free(e->exits);
    free(e->spanning);
    arena_finish(&e->arena);
}

/* ---- pages ---- */

static struct code_page **page_bucket(struct engine *e, gra_t page)
{
    return &e->pages[(page >> 12 ^ page >> 24) & (PAGE_HASH - 1)];
}

static struct code_page *page_find(struct engine *e, gra_t page)
{
    struct code_page *p = *page_bucket(e, page);

    while (p && p->page != page)
        p = p->next;
    return p;
}

static struct code_page *page_get(struct engine *e, gra_t page)
{
    struct code_page *p = page_find(e, page), **bucket = page_bucket(e, page);

    if (p)
        return p;
    p = arena_alloc(&e->arena, sizeof(*p), 8);
    *p = (struct code_page){ .page = page, .next = *bucket };
    *bucket = p;
    return p;
}

/* Bytes of b on its page number n, as offsets [*from, *to). */
static void extent(const struct block *b, unsigned n, unsigned *from, unsigned *to)
{
    unsigned start = b->gra & 0xfff;

    *from = n ? 0 : start;
    *to = n ? start + b->size - 0x1000 : MIN(start + b->size, 0x1000u);
}

static uint64_t granule_mask(unsigned from, unsigned to)
{
    unsigned first = from >> 6, last = (to - 1) >> 6;

    return BITS(last, first);
}

static void page_add(struct engine *e, struct block *b, unsigned n)
{
    struct code_page *p = page_get(e, b->page[n]);
    unsigned from, to;

    extent(b, n, &from, &to);
    p->granules |= granule_mask(from, to);
    b->page_next[n] = p->blocks;
    p->blocks = b;
}

static struct block **page_next(struct block *b, gra_t page)
{
    return &b->page_next[b->page[0] == page ? 0 : 1];
}

static void page_remove(struct engine *e, struct block *b, gra_t page)
{
    struct code_page *p = page_find(e, page);
    struct block **link = &p->blocks;

    while (*link != b)
        link = page_next(*link, page);
    *link = *page_next(b, page);
}

static void page_update(struct engine *e, struct code_page *p)
{
    unsigned from, to;

    p->granules = 0;
    for (struct block *b = p->blocks; b; b = *page_next(b, p->page)) {
        extent(b, b->page[0] == p->page ? 0 : 1, &from, &to);
        p->granules |= granule_mask(from, to);
    }
    if (!p->blocks)
        mem_code_clear(e->cpu->mem, p->page);
}

/* ---- finding ---- */

static unsigned hash_of(const struct engine *e, gra_t gra, gva_t pc, uint32_t mode, uint64_t aux,
                        unsigned v)
{
    uint64_t h = gra * UINT64_C(0x9e3779b97f4a7c15) ^ (pc >> 12) * UINT64_C(0xc2b2ae3d27d4eb4f) ^
                 mode * UINT64_C(0x165667b19e3779f9) ^ aux ^ (uint64_t)v << 40;

    return (unsigned)((h * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - e->hash_bits));
}

struct block *engine_block_find(struct engine *e, gra_t gra, gva_t pc, uint32_t mode, uint64_t aux,
                                enum block_variant v)
{
    struct block *b = e->hash[hash_of(e, gra, pc, mode, aux, v)];

    while (b &&
           (b->gra != gra || b->pc != pc || b->mode != mode || b->aux != aux || b->variant != v))
        b = b->hash_next;
    return b;
}

/* Publishes a block; its page(s) are watched already. */
struct block *engine_block_add(struct engine *e, const struct block *proto)
{
    struct block *b = arena_alloc(&e->arena, sizeof(*b), 16);
    unsigned h = hash_of(e, proto->gra, proto->pc, proto->mode, proto->aux, proto->variant);

    *b = *proto;
    if (e->block_count == e->block_cap) {
        e->block_cap = e->block_cap ? e->block_cap * 2 : 4096;
        e->by_code = xrealloc_array(e->by_code, e->block_cap, sizeof(*e->by_code));
    }
    e->by_code[e->block_count++] = b;
    if (b->gra != MEM_GRA_NONE) { /* else it runs once: nothing would tell that its code changed */
        b->hash_next = e->hash[h];
        e->hash[h] = b;
        page_add(e, b, 0);
        if (b->spans)
            page_add(e, b, 1);
    }
    for (unsigned i = 0; i < b->host.exit_count; i++) {
        if (e->exit_count == e->exit_cap) {
            e->exit_cap *= 2;
            e->exits = xrealloc_array(e->exits, e->exit_cap, sizeof(*e->exits));
        }
        e->exits[e->exit_count++] = (struct exit_rec){ .e = b->host.exits[i], .from = b };
    }
    return b;
}

struct block *engine_block_by_code(struct engine *e, uint32_t off)
{
    unsigned lo = 0, hi = e->block_count;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (e->by_code[mid]->host.code + e->by_code[mid]->host.code_size <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < e->block_count && e->by_code[lo]->host.code <= off ? e->by_code[lo] : NULL;
}

/* ---- links ---- */

void engine_link(struct engine *e, uint32_t exit, struct block *to)
{
    struct exit_rec *x = &e->exits[exit];

    if (x->linked || x->from->dead || to->dead || to->gra == MEM_GRA_NONE)
        return;
    if (to->spans) {
        if (e->spanning_count == e->spanning_cap) {
            e->spanning_cap = e->spanning_cap ? e->spanning_cap * 2 : 256;
            e->spanning = xrealloc_array(e->spanning, e->spanning_cap, sizeof(*e->spanning));
        }
        e->spanning[e->spanning_count++] = exit;
    }
    e->host->link(e->host_state, &x->e, to->host.code);
    x->linked = true;
    x->to = to;
    x->next_in = to->incoming;
    to->incoming = exit + 1;
}

/* A mapping changed: the second page of a spanning block may be another one now. */
void engine_unlink_spanning(struct engine *e)
{
    for (unsigned i = 0; i < e->spanning_count; i++) {
        uint32_t exit = e->spanning[i], *link;
        struct exit_rec *x = &e->exits[exit];

        if (!x->linked)
            continue;
        e->host->unlink(e->host_state, &x->e);
        x->linked = false;
        for (link = &x->to->incoming; *link != exit + 1; link = &e->exits[*link - 1].next_in)
            ;
        *link = x->next_in;
    }
    e->spanning_count = 0;
}

void engine_block_kill(struct engine *e, struct block *b)
{
    struct block **link = &e->hash[hash_of(e, b->gra, b->pc, b->mode, b->aux, b->variant)];

    TRACE(cpu, "block at pc %#" PRIx64 " dies", b->pc);
    while (*link != b)
        link = &(*link)->hash_next;
    *link = b->hash_next;
    for (uint32_t n = b->incoming; n; n = e->exits[n - 1].next_in) {
        e->host->unlink(e->host_state, &e->exits[n - 1].e);
        e->exits[n - 1].linked = false;
    }
    b->incoming = 0;
    b->dead = true;
    page_remove(e, b, b->page[0]);
    if (b->spans)
        page_remove(e, b, b->page[1]);
    if (e->host) {
        struct host_jump_entry *j = &e->cpu->jump_cache[host_jump_hash(b->pc, JUMP_BITS)];

        if (j->code == b->host.code)
            memset(j, 0xff, sizeof(*j));
        memset(e->tail->rstack, 0xff, sizeof(e->tail->rstack));
    }
}

bool engine_code_written(struct engine *e, gra_t gra, uint64_t len, const struct block *current)
{
    bool hit = false;

    for (uint64_t at = gra & ~UINT64_C(0xfff); at < gra + len; at += 0x1000) {
        struct code_page *p = page_find(e, at);
        unsigned lo = at < gra ? (unsigned)(gra - at) : 0, from, to;
        unsigned hi = (unsigned)MIN(gra + len - at, UINT64_C(0x1000));
        bool killed = false;

        if (!p || !(p->granules & granule_mask(lo, hi)))
            continue;
        for (struct block *b = p->blocks, *next; b; b = next) {
            next = *page_next(b, at);
            extent(b, b->page[0] == at ? 0 : 1, &from, &to);
            if (from >= hi || to <= lo)
                continue;
            hit |= b == current;
            engine_block_kill(e, b);
            killed = true;
        }
        if (killed)
            page_update(e, p);
    }
    return hit;
}

void engine_flush_blocks(struct engine *e)
{
    TRACE(cpu, "code cache emptied: %u blocks, %zu bytes", e->block_count, e->code.used);
    for (unsigned i = 0; i < PAGE_HASH; i++)
        for (struct code_page *p = e->pages[i]; p; p = p->next)
            mem_code_clear(e->cpu->mem, p->page);
    free_interp_ir(e);
    free_pages(e);
    memset(e->hash, 0, sizeof(*e->hash) << e->hash_bits);
    e->block_count = 0;
    e->exit_count = 0;
    e->spanning_count = 0;
    e->code.used = e->code_start;
    e->running = NULL;
    e->flushes++;
    arena_reset(&e->arena);
    engine_jump_clear(e);
}
