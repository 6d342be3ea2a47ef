/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The soft TLB: one set of direct-mapped tables per address space (so that a switch back finds its
 * entries), one table per MMU index, and the generations that keep the jump cache honest.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/trace.h"
#include "cpu/engine.h"
#include "mem/dirty.h"

static unsigned slot_of(gva_t va)
{
    return va >> 12 & (TLB_SIZE - 1);
}

static void clear_entry(struct host_tlb_entry *t)
{
    t->read_tag = t->write_tag = t->exec_tag = TLB_NONE;
}

static struct tlb_table *table_new(void)
{
    struct tlb_table *t = aligned_alloc(64, ALIGN_UP(sizeof(*t), 64));

    if (!t)
        abort();
    memset(t->entry, 0xff, sizeof(t->entry));
    t->filled_count = 0;
    return t;
}

static void table_flush(struct tlb_table *t, bool global_too)
{
    unsigned kept = 0;

    if (!t)
        return;
    for (unsigned n = 0; n < t->filled_count; n++) {
        unsigned i = t->filled[n];
        struct host_tlb_entry *en = &t->entry[i];

        if (en->exec_tag == TLB_NONE)
            continue;
        if (!global_too && en->exec_tag & TLB_GLOBAL)
            t->filled[kept++] = (uint16_t)i;
        else
            clear_entry(en);
    }
    t->filled_count = kept;
}

static struct tlb_table *table_of(struct engine *e, unsigned mmu)
{
    struct tlb_space *s = e->cur;

    if (unlikely(!s->table[mmu])) {
        struct tlb_table *t = table_new();

        engine_tlb_lock(e);
        s->table[mmu] = t;
        engine_tlb_unlock(e);
    }
    return s->table[mmu];
}

/* Held by others for as long as marking pages takes. */
void engine_tlb_lock_slow(struct engine *e)
{
    for (unsigned n = 1; atomic_flag_test_and_set_explicit(&e->tlb_busy, memory_order_acquire); n++)
        if (n % 64 == 0)
            sched_yield();
        else
            __builtin_ia32_pause();
}

/* ---- jump cache generations ---- */

/* Entries are 0 at first: no tag is. */
void engine_jump_clear(struct engine *e)
{
    memset(e->cpu->jump_cache, 0xff, sizeof(struct host_jump_entry) << JUMP_BITS);
    memset(e->tail->rstack, 0xff, sizeof(e->tail->rstack));
    memset(e->exec_pages, 0, sizeof(e->exec_pages));
}

static uint32_t new_gen(struct engine *e)
{
    if (e->gen_next == 1u << 24) { /* generations wrapped: old entries must not look new */
        engine_jump_clear(e);
        e->gen_next = 1;
        e->kernel_gen = e->gen_next++;
        for (unsigned i = 0; i < CPU_SPACE_COUNT; i++)
            e->space[i].gen = e->gen_next++;
    }
    return e->gen_next++;
}

static unsigned mode_number(struct engine *e)
{
    struct cpu *cpu = e->cpu;

    for (unsigned i = 0; i < e->mode_count; i++)
        if (e->modes[i].mode == cpu->mode && e->modes[i].aux == cpu->aux)
            return i;
    if (e->mode_count == ARRAY_SIZE(e->modes)) {
        engine_jump_clear(e);
        e->mode_count = 0;
    }
    e->modes[e->mode_count] = (struct engine_mode){ cpu->mode, cpu->aux };
    return e->mode_count++;
}

/* The user index has the address space's generation; the others share one, since kernels are mapped
 * globally. An entry that is not is remembered (kernel_nonglobal) and ends the shared generation
 * too. */
static bool shares_gen(const struct engine *e)
{
    return e->cpu->mmu_index != e->cpu->guest->mmu_user;
}

void engine_tag_update(struct engine *e)
{
    struct cpu *cpu = e->cpu;
    uint32_t gen;

    if (!e->cache) /* an accelerator runs it */
        return;
    gen = shares_gen(e) ? e->kernel_gen : e->cur->gen;
    cpu->jump_tag = gen << 8 | mode_number(e);
    if (!e->cache->user)
        cpu->tlb = table_of(e, cpu->mmu_index)->entry;
}

static uint64_t *exec_bit(struct engine *e, gva_t va, uint64_t *ret_mask)
{
    uint64_t page = va >> 12;
    unsigned h = (unsigned)(page ^ page >> EXEC_PAGE_BITS) & ((1u << EXEC_PAGE_BITS) - 1);

    *ret_mask = BIT(h & 63);
    return &e->exec_pages[h >> 6];
}

static void note_exec(struct engine *e, gva_t linear)
{
    uint64_t mask, *word = exec_bit(e, linear, &mask);
    struct host_tlb_entry *en = &table_of(e, e->cpu->mmu_index)->entry[slot_of(linear)];

    *word |= mask;
    if (shares_gen(e) && !(en->exec_tag & TLB_GLOBAL))
        e->kernel_nonglobal = true;
}

void engine_jump_insert(struct engine *e, const struct block *b)
{
    struct cpu *cpu = e->cpu;
    struct host_jump_entry *j = &cpu->jump_cache[engine_jump_index(e->cache, b->pc)];
    gva_t linear = cpu->guest->linear_pc(cpu, b->pc, b->aux);

    if (!e->cache->user) {
        note_exec(e, linear);
        if (b->spans)
            note_exec(e, linear + b->size - 1);
    }
    __atomic_store_n(&j->pc, UINT64_MAX, __ATOMIC_RELAXED);
    j->tag = cpu->jump_tag;
    __atomic_store_n(&j->code, b->host.code, __ATOMIC_SEQ_CST);
    __atomic_store_n(&j->pc, b->pc, __ATOMIC_SEQ_CST);
    if (atomic_load(&b->dead)) /* see forget_jumps() */
        __atomic_store_n(&j->pc, UINT64_MAX, __ATOMIC_SEQ_CST);
}

static void unlink_spanning(struct engine *e)
{
    if (e->cache->parallel)
        return; /* nothing is linked to them: see engine_link() */
    engine_lock(e);
    engine_unlink_spanning(e);
    engine_unlock(e);
}

/* Mappings of the current space changed: jumps learnt in it are void. */
static void end_gen(struct engine *e, bool shared_too)
{
    e->cur->gen = new_gen(e);
    if (shared_too || e->kernel_nonglobal) {
        e->kernel_gen = new_gen(e);
        e->kernel_nonglobal = false;
    }
    unlink_spanning(e);
    engine_tag_update(e);
}

/* ---- fill ---- */

static void remember(struct tlb_table *t, unsigned i)
{
    if (t->entry[i].exec_tag != TLB_NONE)
        return;                        /* already listed */
    if (t->filled_count == TLB_SIZE) { /* holes of single-page flushes: rebuild */
        t->filled_count = 0;
        for (unsigned n = 0; n < TLB_SIZE; n++)
            if (t->entry[n].exec_tag != TLB_NONE)
                t->filled[t->filled_count++] = (uint16_t)n;
    }
    t->filled[t->filled_count++] = (uint16_t)i;
}

/* Large mappings are cached as 4 KiB pieces; a filter by 2 MiB tells a single-page flush when it
 * must drop them all. */
static uint64_t *large_bit(struct tlb_space *s, gva_t va, uint64_t *ret_mask)
{
    uint64_t n = va >> 21;
    unsigned h = (unsigned)(n ^ n >> 12 ^ n >> 24) & 4095;

    *ret_mask = BIT(h & 63);
    return &s->large_filter[h >> 6];
}

static void note_large(struct tlb_space *s, gva_t va, uint64_t size)
{
    uint64_t mask, *word;

    if (size > UINT64_C(4) << 20) {
        s->has_huge = true;
        return;
    }
    for (gva_t a = va & ~(size - 1), end = a + size; a != end; a += UINT64_C(2) << 20) {
        word = large_bit(s, a, &mask);
        *word |= mask;
    }
}

/* Writes to the page go the slow way: it holds translated code, or is clean in a dirty bitmap. */
static bool watched_page(const struct mem *m, gra_t page)
{
    return mem_code_test(m, page) || mem_dirty_armed(m, page);
}

static void fill(struct engine *e, struct host_tlb_entry *en, struct tlb_table *t, gva_t va,
                 const struct cpu_walk *w)
{
    struct cpu *cpu = e->cpu;
    gva_t page = va & ~UINT64_C(0xfff);
    gpa_t gpa = w->gpa & ~UINT64_C(0xfff);
    const struct mem_view_entry *v = mem_find(cpu->mem, gpa);
    bool whole = gpa - v->base + 0x1000 <= v->size && (v->kind == MEM_RAM || v->kind == MEM_ROM);
    unsigned flags = (whole ? 0 : TLB_IO) | (w->slow ? TLB_SLOW : 0);
    unsigned i = (unsigned)(en - t->entry);

    engine_tlb_lock(e);
    remember(t, i);
    en->addend = whole ? (uint64_t)(v->host + (gpa - v->base)) - page : 0;
    t->gpa[i] = gpa;
    en->read_tag = w->read ? page | flags : TLB_NONE;
    en->write_tag = TLB_NONE;
    if (w->write) {
        en->write_tag = page | flags;
        if (whole && v->kind == MEM_ROM)
            en->write_tag |= TLB_IO;
        else if (whole && watched_page(cpu->mem, (v->gra + (gpa - v->base)) & ~UINT64_C(0xfff)))
            en->write_tag |= TLB_CODE;
    }
    en->exec_tag = page | flags | (w->exec ? 0 : TLB_NOEXEC) | (w->global ? TLB_GLOBAL : 0);
    engine_tlb_unlock(e);
    if (w->page_size > 4096)
        note_large(e->cur, va, w->page_size);
}

struct host_tlb_entry *engine_tlb_lookup(struct engine *e, gva_t va, enum cpu_access access,
                                         unsigned mmu, bool probe)
{
    struct tlb_table *t = table_of(e, mmu);
    struct host_tlb_entry *en = &t->entry[slot_of(va)];
    gva_t page = va & ~UINT64_C(0xfff);
    uint64_t tag = access == CPU_READ    ? en->read_tag
                   : access == CPU_WRITE ? en->write_tag
                                         : en->exec_tag;
    struct cpu_walk w;

    if (likely((tag & ~UINT64_C(0x7ff)) == page && (access != CPU_EXEC || !(tag & TLB_NOEXEC))))
        return en;
    memset(&w, 0, sizeof(w));
    if (!e->cpu->guest->walk(e->cpu, va, access, mmu, probe, &w))
        return NULL;
    fill(e, en, t, va, &w);
    return en;
}

gpa_t engine_tlb_gpa(struct engine *e, gva_t va, unsigned mmu)
{
    return table_of(e, mmu)->gpa[slot_of(va)] | (va & 0xfff);
}

static void protect_table(struct tlb_table *t, uint64_t host, uint64_t len)
{
    for (unsigned n = 0; n < t->filled_count; n++) {
        struct host_tlb_entry *en = &t->entry[t->filled[n]];

        if (!(en->write_tag & (TLB_INVALID | TLB_IO)) &&
            (en->write_tag & ~UINT64_C(0xfff)) + en->addend - host < len)
            __atomic_fetch_or(&en->write_tag, TLB_CODE, __ATOMIC_SEQ_CST);
    }
}

void engine_tlb_protect(struct cache *c, gra_t page, uint64_t len)
{
    uint64_t host = (uint64_t)(mem_ram_base(c->mem) + page);

    for (struct engine *v = c->vcpus; v; v = v->next_vcpu) {
        engine_tlb_lock(v);
        for (unsigned s = 0; s < CPU_SPACE_COUNT; s++)
            for (unsigned m = 0; m < CPU_MMU_COUNT; m++)
                if (v->space[s].table[m])
                    protect_table(v->space[s].table[m], host, len);
        engine_tlb_unlock(v);
    }
}

static void arm_table(const struct mem *m, struct tlb_table *t)
{
    uint64_t base = (uint64_t)mem_ram_base(m);

    for (unsigned n = 0; n < t->filled_count; n++) {
        struct host_tlb_entry *en = &t->entry[t->filled[n]];

        if (!(en->write_tag & (TLB_INVALID | TLB_IO)) &&
            mem_dirty_armed(m, (en->write_tag & ~UINT64_C(0xfff)) + en->addend - base))
            __atomic_fetch_or(&en->write_tag, TLB_CODE, __ATOMIC_SEQ_CST);
    }
}

void engine_tlb_arm(struct cache *c)
{
    for (struct engine *v = c->vcpus; v; v = v->next_vcpu) {
        engine_tlb_lock(v);
        for (unsigned s = 0; s < CPU_SPACE_COUNT; s++)
            for (unsigned m = 0; m < CPU_MMU_COUNT; m++)
                if (v->space[s].table[m])
                    arm_table(c->mem, v->space[s].table[m]);
        engine_tlb_unlock(v);
    }
}

void engine_tlb_relax(struct engine *e, struct host_tlb_entry *en, gra_t page)
{
    engine_tlb_lock(e); /* who makes the page one of code sets the bit, then looks here */
    if (!watched_page(e->cpu->mem, page))
        en->write_tag &= ~(uint64_t)TLB_CODE;
    engine_tlb_unlock(e);
}

/* ---- flushes ---- */

static void flush_space(struct engine *e, struct tlb_space *s, bool global_too)
{
    engine_tlb_lock(e);
    for (unsigned m = 0; m < CPU_MMU_COUNT; m++)
        table_flush(s->table[m], global_too);
    engine_tlb_unlock(e);
    if (global_too) {
        s->has_huge = false;
        memset(s->large_filter, 0, sizeof(s->large_filter));
    }
}

void cpu_tlb_set_space(struct cpu *cpu, uint64_t id, bool keep)
{
    struct engine *e = cpu->engine;
    struct tlb_space *s = NULL, *oldest = &e->space[0];

    if (cpu->accel) /* an accelerator runs it */
        return;
    for (unsigned i = 0; i < CPU_SPACE_COUNT; i++) {
        if (e->space[i].used && e->space[i].id == id)
            s = &e->space[i];
        if (!e->space[i].used || (oldest->used && e->space[i].last_used < oldest->last_used))
            oldest = &e->space[i];
    }
    TRACE(tlb, "space %#" PRIx64 "%s%s", id, s ? "" : " new", keep ? " keep" : "");
    if (!s) {
        s = oldest;
        flush_space(e, s, true);
        s->gen = new_gen(e);
        s->id = id;
        s->used = true;
        keep = true;
    }
    s->last_used = ++e->use_clock;
    e->cur = s;
    if (!keep) {
        flush_space(e, s, false);
        s->gen = new_gen(e);
    }
    if (e->kernel_nonglobal) {
        e->kernel_gen = new_gen(e);
        e->kernel_nonglobal = false;
    }
    unlink_spanning(e);
    engine_tag_update(e);
}

void cpu_tlb_flush(struct cpu *cpu, bool global_too)
{
    struct engine *e = cpu->engine;

    if (cpu->accel) /* an accelerator runs it */
        return;
    if (global_too) {
        cpu_tlb_flush_all_spaces(cpu);
        return;
    }
    flush_space(e, e->cur, false);
    end_gen(e, false);
}

void cpu_tlb_flush_space(struct cpu *cpu, uint64_t id)
{
    struct engine *e = cpu->engine;

    if (cpu->accel) /* an accelerator runs it */
        return;
    for (unsigned i = 0; i < CPU_SPACE_COUNT; i++)
        if (e->space[i].used && e->space[i].id == id) {
            flush_space(e, &e->space[i], false);
            e->space[i].gen = new_gen(e);
        }
    end_gen(e, false);
}

void engine_tlb_drop_all(struct engine *e)
{
    if (e->cpu->accel) /* an accelerator runs it */
        return;
    TRACE(tlb, "all spaces emptied");
    for (unsigned i = 0; i < CPU_SPACE_COUNT; i++) {
        flush_space(e, &e->space[i], true);
        e->space[i].gen = new_gen(e);
    }
    memset(e->exec_pages, 0, sizeof(e->exec_pages));
    end_gen(e, true);
}

void cpu_tlb_flush_all_spaces(struct cpu *cpu)
{
    if (cpu->accel) /* an accelerator runs it */
        return;
    engine_tlb_drop_all(cpu->engine);
}

static bool drop_page(struct engine *e, struct tlb_space *s, gva_t page)
{
    uint64_t mask, *word = large_bit(s, page, &mask);

    if (s->has_huge || *word & mask) {
        flush_space(e, s, true);
        return true;
    }
    engine_tlb_lock(e);
    for (unsigned m = 0; m < CPU_MMU_COUNT; m++) {
        struct host_tlb_entry *en = s->table[m] ? &s->table[m]->entry[slot_of(page)] : NULL;

        if (en && (en->exec_tag & ~UINT64_C(0xfff)) == page) {
            /* stays listed as filled until the next flush; a refill must list it again */
            clear_entry(en);
        }
    }
    engine_tlb_unlock(e);
    return false;
}

void cpu_tlb_flush_page(struct cpu *cpu, gva_t va)
{
    struct engine *e = cpu->engine;
    gva_t page = va & ~UINT64_C(0xfff);
    if (cpu->accel) /* an accelerator runs it */
        return;
    uint64_t mask, *word = exec_bit(e, page, &mask);
    bool large = false;

    TRACE(tlb, "page %#" PRIx64, page);
    for (unsigned i = 0; i < CPU_SPACE_COUNT; i++)
        if (e->space[i].used && drop_page(e, &e->space[i], page))
            large = true;
    if (large || *word & mask) {
        for (unsigned i = 0; i < CPU_SPACE_COUNT; i++)
            e->space[i].gen = new_gen(e);
        end_gen(e, true);
    }
}

/* ---- life ---- */

void engine_tlb_init(struct engine *e)
{
    e->cpu->jump_cache = xnew_array(struct host_jump_entry, JUMP_SIZE);
    e->gen_next = 1;
    e->kernel_gen = e->gen_next++;
    for (unsigned i = 0; i < CPU_SPACE_COUNT; i++)
        e->space[i].gen = e->gen_next++;
    e->cur = &e->space[0];
    e->cur->used = true;
}

void engine_tlb_finish(struct engine *e)
{
    for (unsigned s = 0; s < CPU_SPACE_COUNT; s++)
        for (unsigned m = 0; m < CPU_MMU_COUNT; m++)
            free(e->space[s].table[m]);
    free(e->cpu->jump_cache);
}
