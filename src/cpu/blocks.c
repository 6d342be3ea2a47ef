/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The block cache: found by (RAM offset of the code, pc, mode, aux, variant), by host code offset,
 * and by the guest page they were made from. Only blocks that overlap a write die.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/trace.h"
#include "cpu/engine.h"

/* ---- pages ---- */

static struct code_page **page_bucket(struct cache *c, gra_t page)
{
    return &c->pages[(page >> 12 ^ page >> 24) & (PAGE_HASH - 1)];
}

struct code_page *engine_page_find(struct cache *c, gra_t page)
{
    struct code_page *p = *page_bucket(c, page);

    while (p && p->page != page)
        p = p->next;
    return p;
}

struct code_page *engine_page_get(struct cache *c, gra_t page)
{
    struct code_page *p = engine_page_find(c, page), **bucket = page_bucket(c, page);

    if (p)
        return p;
    p = arena_alloc(&c->arena, sizeof(*p), 8);
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

static void page_add(struct cache *c, struct block *b, unsigned n)
{
    struct code_page *p = engine_page_get(c, b->page[n]);
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

static void page_remove(struct cache *c, struct block *b, gra_t page)
{
    struct code_page *p = engine_page_find(c, page);
    struct block **link = &p->blocks;

    while (*link != b)
        link = page_next(*link, page);
    *link = *page_next(b, page);
}

static void page_update(struct cache *c, struct code_page *p)
{
    unsigned from, to;

    p->granules = 0;
    for (struct block *b = p->blocks; b; b = *page_next(b, p->page)) {
        extent(b, b->page[0] == p->page ? 0 : 1, &from, &to);
        p->granules |= granule_mask(from, to);
    }
    if (!p->blocks && c->mem)
        mem_code_clear(c->mem, p->page);
}

/* ---- finding ---- */

static unsigned hash_of(unsigned bits, gra_t gra, gva_t pc, uint32_t mode, uint64_t aux, unsigned v)
{
    uint64_t h = gra * UINT64_C(0x9e3779b97f4a7c15) ^ (pc >> 12) * UINT64_C(0xc2b2ae3d27d4eb4f) ^
                 mode * UINT64_C(0x165667b19e3779f9) ^ aux ^ (uint64_t)v << 40;

    return (unsigned)((h * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - bits));
}

static struct block *_Atomic *bucket_of(struct block_table *t, const struct block *b)
{
    return &t->bucket[hash_of(t->bits, b->gra, b->pc, b->mode, b->aux, b->variant)];
}

struct block *engine_block_find(struct cache *c, gra_t gra, gva_t pc, uint32_t mode, uint64_t aux,
                                enum block_variant v)
{
    struct block_table *t = atomic_load_explicit(&c->table, memory_order_acquire);
    struct block *b = atomic_load_explicit(&t->bucket[hash_of(t->bits, gra, pc, mode, aux, v)],
                                           memory_order_acquire);

    while (b &&
           (b->gra != gra || b->pc != pc || b->mode != mode || b->aux != aux || b->variant != v))
        b = atomic_load_explicit(&b->hash_next, memory_order_acquire);
    return b;
}

static void hash_insert(struct block_table *t, struct block *b)
{
    struct block *_Atomic *head = bucket_of(t, b);

    atomic_store_explicit(&b->hash_next, atomic_load(head), memory_order_release);
    atomic_store_explicit(head, b, memory_order_release);
}

/* Blocks move one by one: a reader in an old chain may end up in a new one, and miss. */
static void grow_table(struct cache *c)
{
    struct block_table *old = atomic_load(&c->table), *t;
    struct block *next;

    t = calloc(1, sizeof(*t) + (sizeof(t->bucket[0]) << (old->bits + 2)));
    if (!t)
        return; /* the chains get longer */
    t->bits = old->bits + 2;
    t->older = old;
    for (unsigned i = 0; i < 1u << old->bits; i++)
        for (struct block *b = atomic_load(&old->bucket[i]); b; b = next) {
            next = atomic_load(&b->hash_next);
            hash_insert(t, b);
        }
    atomic_store_explicit(&c->table, t, memory_order_release);
}

/* Publishes a block; its page(s) are watched already. */
struct block *engine_block_add(struct engine *e, const struct block *proto)
{
    struct cache *c = e->cache;
    struct block *b = arena_alloc(&c->arena, sizeof(*b), 16);
    unsigned n = atomic_load(&c->block_count);

    memcpy(b, proto, sizeof(*b));
    c->by_code[n] = b;
    atomic_store_explicit(&c->block_count, n + 1, memory_order_release);
    for (unsigned i = 0; i < b->host.exit_count; i++) {
        if (c->exit_count == c->exit_cap) {
            c->exit_cap *= 2;
            c->exits = xrealloc_array(c->exits, c->exit_cap, sizeof(*c->exits));
        }
        c->exits[c->exit_count++] = (struct exit_rec){ .e = b->host.exits[i], .from = b };
    }
    if (b->gra == MEM_GRA_NONE) /* it runs once: nothing would tell that its code changed */
        return b;
    page_add(c, b, 0);
    if (b->spans)
        page_add(c, b, 1);
    if (++c->hashed > 2u << atomic_load(&c->table)->bits)
        grow_table(c);
    hash_insert(atomic_load(&c->table), b);
    return b;
}

struct block *engine_block_by_code(struct cache *c, uint32_t off)
{
    unsigned lo = 0, count = atomic_load_explicit(&c->block_count, memory_order_acquire),
             hi = count;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (c->by_code[mid]->host.code + c->by_code[mid]->host.code_size <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < count && c->by_code[lo]->host.code <= off ? c->by_code[lo] : NULL;
}

void engine_block_discard(struct engine *e, struct block *b)
{
    struct cache *c = e->cache;
    unsigned last;

    engine_lock(e);
    last = atomic_load(&c->block_count) - 1;
    if (b->gra == MEM_GRA_NONE && last != UINT_MAX && c->by_code[last] == b) {
        if (b->ir)
            ir_finish(b->ir);
        free(b->ir);
        atomic_store(&c->block_count, last);
        c->exit_count -= b->host.exit_count;
        if (c->host)
            c->code.used = b->host.code;
    }
    engine_unlock(e);
}

/* ---- links ---- */

void engine_link(struct engine *e, uint32_t exit, struct block *to)
{
    struct cache *c = e->cache;
    struct exit_rec *x = &c->exits[exit];

    if (x->linked || x->from->dead || to->dead || to->gra == MEM_GRA_NONE)
        return;
    if (to->spans && !c->user && c->parallel) /* its second page is another one in each vCPU */
        return;
    if (to->spans && !c->user) {
        if (c->spanning_count == c->spanning_cap) {
            c->spanning_cap = c->spanning_cap ? c->spanning_cap * 2 : 256;
            c->spanning = xrealloc_array(c->spanning, c->spanning_cap, sizeof(*c->spanning));
        }
        c->spanning[c->spanning_count++] = exit;
    }
    c->host->link(c->host_state, &x->e, to->host.code);
    x->linked = true;
    x->to = to;
    x->next_in = to->incoming;
    to->incoming = exit + 1;
}

/* A mapping changed: the second page of a spanning block may be another one now. */
void engine_unlink_spanning(struct engine *e)
{
    struct cache *c = e->cache;

    for (unsigned i = 0; i < c->spanning_count; i++) {
        uint32_t exit = c->spanning[i], *link;
        struct exit_rec *x = &c->exits[exit];

        if (!x->linked)
            continue;
        c->host->unlink(c->host_state, &x->e);
        x->linked = false;
        for (link = &x->to->incoming; *link != exit + 1; link = &c->exits[*link - 1].next_in)
            ;
        *link = x->next_in;
    }
    c->spanning_count = 0;
}

/* The vCPUs' memories of the block. Theirs may be written meanwhile: engine_jump_insert() looks
 * again whether the block has died. */
static void forget_jumps(struct cache *c, const struct block *b)
{
    for (struct engine *v = c->vcpus; v; v = v->next_vcpu) {
        struct host_jump_entry *j = &v->cpu->jump_cache[engine_jump_index(c, b->pc)];

        if (__atomic_load_n(&j->code, __ATOMIC_SEQ_CST) == b->host.code)
            __atomic_store_n(&j->pc, UINT64_MAX, __ATOMIC_SEQ_CST);
        memset(v->tail->rstack, 0xff, sizeof(v->tail->rstack));
    }
}

/* A vCPU that goes round in a block that died is to find the new one. */
static void leave_dead(struct cache *c)
{
    const struct cpu *me = cpu_current();

    for (struct engine *v = c->vcpus; v; v = v->next_vcpu)
        if (v->cpu != me)
            atomic_store(&v->cpu->exit_request, 1);
}

void engine_block_kill(struct cache *c, struct block *b)
{
    struct block *_Atomic *link = bucket_of(atomic_load(&c->table), b);

    TRACE(cpu, "block at pc %#" PRIx64 " dies", b->pc);
    while (atomic_load(link) != b)
        link = &atomic_load(link)->hash_next;
    atomic_store(link, atomic_load(&b->hash_next));
    c->hashed--;
    for (uint32_t n = b->incoming; n; n = c->exits[n - 1].next_in) {
        c->host->unlink(c->host_state, &c->exits[n - 1].e);
        c->exits[n - 1].linked = false;
    }
    b->incoming = 0;
    atomic_store(&b->dead, true);
    page_remove(c, b, b->page[0]);
    if (b->spans)
        page_remove(c, b, b->page[1]);
    if (c->host)
        forget_jumps(c, b);
}

static bool kill_range(struct cache *c, struct code_page *p, unsigned lo, unsigned hi,
                       const struct block *current)
{
    bool hit = false, killed = false;
    unsigned from, to;

    for (struct block *b = p->blocks, *next; b; b = next) {
        next = *page_next(b, p->page);
        extent(b, b->page[0] == p->page ? 0 : 1, &from, &to);
        if (from >= hi || to <= lo)
            continue;
        hit |= b == current;
        engine_block_kill(c, b);
        killed = true;
    }
    if (killed) {
        page_update(c, p);
        leave_dead(c);
        if (p->watched && p->flips < FLIPS_MAX)
            p->flips++;
    }
    return hit;
}

/* As many pages as the range has, or all that hold code if those are fewer. */
static bool kill_pages(struct cache *c, gra_t gra, uint64_t len, const struct block *current)
{
    gra_t first = gra & ~UINT64_C(0xfff), last = (gra + len - 1) & ~UINT64_C(0xfff);
    struct code_page *p;
    bool hit = false;

    if ((last - first) >> 12 < PAGE_HASH) {
        for (gra_t at = first; at <= last; at += 0x1000)
            if ((p = engine_page_find(c, at))) {
                hit |= kill_range(c, p, 0, 0x1000, current);
                p->watched = false;
            }
        return hit;
    }
    for (unsigned i = 0; i < PAGE_HASH; i++)
        for (p = c->pages[i]; p; p = p->next)
            if (p->page >= first && p->page <= last) {
                hit |= kill_range(c, p, 0, 0x1000, current);
                p->watched = false;
            }
    return hit;
}

static bool kill_bytes(struct cache *c, gra_t gra, uint64_t len, const struct block *current)
{
    bool hit = false;

    for (uint64_t at = gra & ~UINT64_C(0xfff); at < gra + len; at += 0x1000) {
        struct code_page *p = engine_page_find(c, at);
        unsigned lo = at < gra ? (unsigned)(gra - at) : 0;
        unsigned hi = (unsigned)MIN(gra + len - at, UINT64_C(0x1000));

        if (p && p->granules & granule_mask(lo, hi))
            hit |= kill_range(c, p, lo, hi, current);
    }
    return hit;
}

bool engine_code_written(struct engine *e, gra_t gra, uint64_t len, const struct block *current)
{
    struct cache *c = e->cache;
    bool hit;

    if (!len)
        return false;
    engine_lock(e);
    hit = (c->user ? kill_pages : kill_bytes)(c, gra, len, current);
    engine_unlock(e);
    return hit;
}

void engine_code_killed(struct cache *c, gra_t gra, uint64_t len)
{
    (void)kill_bytes(c, gra, len, NULL);
}

void engine_take_writes(struct engine *e)
{
    struct cache *c = e->cache;

    cpu_event_clear(e->cpu, CPU_EVENT_CODE);
    engine_lock(e); /* first: who finds the queue empty finds the blocks dead */
    pthread_mutex_lock(&c->writes_lock);
    if (c->write_count > CODE_WRITES) {
        for (unsigned i = 0; i < PAGE_HASH; i++)
            for (struct code_page *p = c->pages[i]; p; p = p->next)
                (void)kill_range(c, p, 0, 0x1000, NULL);
    } else {
        for (unsigned i = 0; i < c->write_count; i++)
            (void)kill_bytes(c, c->writes[i].gra, c->writes[i].len, NULL);
    }
    c->write_count = 0;
    pthread_mutex_unlock(&c->writes_lock);
    engine_unlock(e);
}
