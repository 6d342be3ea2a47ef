/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From a guest pc to a block that can run: find it, or translate, optimise, compile and publish it.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/trace.h"
#include "cpu/engine.h"
#include "host/native.h"

unsigned engine_helper_index(void *opaque, const struct helper *h)
{
    struct cache *c = opaque;
    unsigned slot = (unsigned)((uintptr_t)h >> 4) % HELPER_MAX, n = 0;

    while (slot < HOST_FN_COUNT || (c->helper_of[slot] && c->helper_of[slot] != h)) {
        slot = (slot + 1) % HELPER_MAX;
        if (++n > HELPER_MAX)
            assert(!"more helpers than HELPER_MAX");
    }
    if (c->helper_of[slot])
        return slot;
    c->helper_of[slot] = h;
    for (struct engine *v = c->vcpus; v; v = v->next_vcpu)
        v->tail->helpers[slot] = h->fn;
    return slot;
}

static void log_in_asm(struct engine *e, const struct block *b)
{
    struct cpu *cpu = e->cpu;
    gva_t linear = cpu->guest->linear_pc(cpu, b->pc, b->aux);
    uint8_t *code = xnew_array(uint8_t, b->size + 1);
    unsigned got = cpu_fetch(cpu, linear, code, b->size);
    FILE *f;

    if (got < b->size)
        cpu_fetch(cpu, linear + got, code + got, b->size - got);
    f = log_lock();
    fprintf(f, "IN: pc %#llx mode %#x, %u insns\n", (unsigned long long)b->pc, b->mode,
            e->cache->ir.insn_count);
    if (cpu->guest->print_insns)
        cpu->guest->print_insns(f, code, b->size, b->pc, b->mode);
    fprintf(f, "\n");
    log_unlock(f);
    free(code);
}

static void log_ir(struct engine *e, const char *title)
{
    FILE *f = log_lock();

    fprintf(f, "%s:\n", title);
    ir_print(f, &e->cache->ir);
    fprintf(f, "\n");
    log_unlock(f);
}

static void log_out_asm(struct engine *e, const struct host_region *r)
{
    FILE *f = log_lock();

    fprintf(f, "OUT: %u bytes\n", r->code_size);
    if (e->host->disassemble)
        e->host->disassemble(f, &e->cache->code, r->code, r->code_size);
    fprintf(f, "\n");
    log_unlock(f);
}

static struct ir *copy_ir(const struct ir *from)
{
    struct ir *ir = xnew(struct ir);

    *ir = *from;
    ir->scratch = NULL; /* a copy is run, not optimised again */
    ir->insn = xmemdup(from->insn, from->count * sizeof(*from->insn));
    ir->cap = from->count;
    return ir;
}

static void optimise(struct engine *e, struct block *b)
{
    char why[128];

    if (log_enabled(LOG_IN_ASM))
        log_in_asm(e, b);
    if (log_enabled(LOG_OP))
        log_ir(e, "IR");
    if (e->cache->verify && !ir_verify(&e->cache->ir, why, sizeof(why))) {
        ir_print(stderr, &e->cache->ir);
        fprintf(stderr, "translation of pc %#llx is wrong: %s\n", (unsigned long long)b->pc, why);
        assert(!"IR verifies");
    }
    ir_optimize(&e->cache->ir);
    if (log_enabled(LOG_OP_OPT))
        log_ir(e, "IR, optimised");
}

enum compiled { COMPILED, CACHE_FULL, TOO_BIG };

static enum compiled compile(struct engine *e, struct block *b)
{
    struct cache *c = e->cache;

    if (atomic_load(&c->block_count) == c->block_cap)
        return CACHE_FULL;
    if (!c->host) {
        b->ir = copy_ir(&c->ir);
        return COMPILED;
    }
    if (!c->host->compile(c->host_state, &c->ir, c->exit_count, &c->arena, &b->host))
        return b->host.too_big ? TOO_BIG : CACHE_FULL;
    b->exit_base = c->exit_count;
    if (log_enabled(LOG_OUT_ASM))
        log_out_asm(e, &b->host);
    return COMPILED;
}

/* RAM offset of code at linear, or MEM_GRA_NONE when it runs from something that is not RAM. */
static gra_t code_gra(struct engine *e, const struct host_tlb_entry *en, gva_t linear)
{
    if (en->exec_tag & TLB_IO)
        return MEM_GRA_NONE;
    return (gra_t)(linear + en->addend - (uint64_t)mem_ram_base(e->cpu->mem));
}

/* A spanning block found by its first page: is its second page still the one it was made from? */
static bool second_page_same(struct engine *e, const struct block *b, gva_t linear)
{
    gva_t second = (linear & ~UINT64_C(0xfff)) + 0x1000;
    struct host_tlb_entry *en = engine_tlb_lookup(e, second, CPU_EXEC, e->cpu->mmu_index, true);

    return en && code_gra(e, en, second) == b->page[1];
}

/* The second page of a block that reaches into it. */
static void set_pages(struct engine *e, struct block *b, gva_t linear)
{
    gva_t last = linear + b->size - 1;
    struct host_tlb_entry *en;

    b->spans = b->gra != MEM_GRA_NONE && (linear & 0xfff) + b->size > 0x1000;
    if (!b->spans)
        return;
    if (e->cache->user) {
        b->page[1] = last & ~UINT64_C(0xfff);
        return;
    }
    en = engine_tlb_lookup(e, last, CPU_EXEC, e->cpu->mmu_index, true);
    assert(en);
    b->page[1] = code_gra(e, en, last & ~UINT64_C(0xfff));
    if (b->page[1] == MEM_GRA_NONE) {
        b->spans = false;
        b->gra = MEM_GRA_NONE;
    }
}

static void write_insns(struct engine *e, struct block *b, unsigned max)
{
    struct cpu *cpu = e->cpu;
    struct cache *c = e->cache;
    struct translation t = { .pc = b->pc,
                             .mode = b->mode,
                             .aux = b->aux,
                             .user = c->user != NULL,
                             .slow = b->variant == BLOCK_SLOW,
                             .alone = e->unwatched,
                             .max_insns = max };

    e->fetch_ok = UINT64_MAX;
    cpu->guest->translate(cpu, &c->ir, &t);
    if (t.fault)
        cpu_raise(cpu);
    b->size = t.size;
    b->exclusive = t.exclusive;
}

/* ---- blocks of pages that are not watched (user mode) ---- */

enum { CHECKED_BYTES = 1024, CHECK_TRIES = 8, CHECK_PIECE = 64 };

/* The running block's code is not what it was made from. */
static void do_stale(struct cpu *cpu)
{
    struct engine *e = cpu->engine;
    struct block *b = engine_current_block(e);

    engine_lock(e);
    if (!atomic_load(&b->dead))
        engine_block_kill(e->cache, b);
    engine_unlock(e);
}

static const struct helper h_stale = { "stale", (helper_fn *)do_stale, "-", 0 };

/* Compares n bytes at linear with `code`; goes to the label when they differ. */
static void write_check(struct ir *ir, gva_t linear, const uint8_t *code, unsigned n,
                        unsigned label)
{
    ir_val at = ir_const(ir, IR_I64, (int64_t)linear), all = ir_const(ir, IR_I64, 0);

    for (unsigned k = 0; k < n;) {
        unsigned log2 = n - k >= 8 ? 3 : n - k >= 4 ? 2 : n - k >= 2 ? 1 : 0;
        uint64_t want = 0;

        memcpy(&want, code + k, 1u << log2);
        all = ir_or(ir, all, ir_xori(ir, ir_ld(ir, IR_I64, at, (int32_t)k, log2), (int64_t)want));
        k += 1u << log2;
    }
    ir_brcondi(ir, IR_NE, all, 0, label);
}

/* Translates again behind a comparison of the code with what it is now. False: the code keeps
 * changing. */
static bool write_checked(struct engine *e, struct block *b, gva_t linear, unsigned max)
{
    struct ir *ir = &e->cache->ir;
    const void *host = direct_ptr(e->cpu, linear);
    uint8_t code[CHECKED_BYTES], again[CHECKED_BYTES];
    uint32_t size = b->size;
    unsigned stale;

    if (size > sizeof(code) || !host_copy_guarded(code, host, size))
        return false;
    ir_begin(ir, b->pc);
    stale = ir_new_label(ir);
    ir_insn_start(ir, b->pc);
    for (unsigned k = 0; k < size; k += CHECK_PIECE)
        write_check(ir, linear + k, code + k, MIN(size - k, (unsigned)CHECK_PIECE), stale);
    write_insns(e, b, max);
    ir_label(ir, stale);
    ir_insn_start(ir, b->pc);
    ir_put(ir, ir->slot_pc, ir_const(ir, IR_I64, (int64_t)b->pc));
    ir_call(ir, &h_stale, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    ir_exit_loop(ir, IR_REASON_NEXT);
    return b->size == size && host_copy_guarded(again, host, size) && !memcmp(code, again, size);
}

static enum compiled translate_insns(struct engine *e, struct block *b, gva_t linear, unsigned max)
{
    struct cache *c = e->cache;
    bool checked = false;

    e->watch = b->gra != MEM_GRA_NONE;
    e->unwatched = false;
    ir_begin(&c->ir, b->pc);
    c->ir.loop_exits = b->variant != BLOCK_NORMAL || log_enabled(LOG_NOCHAIN);
    write_insns(e, b, max);
    if (unlikely(e->unwatched)) {
        for (unsigned n = 0; !checked && n < CHECK_TRIES; n++)
            checked = write_checked(e, b, linear, max);
        if (!checked)
            b->gra = MEM_GRA_NONE;
    }
    set_pages(e, b, linear);
    optimise(e, b);
    return compile(e, b);
}

/* NULL: the cache is full. */
static struct block *translate(struct engine *e, const struct block *proto, gva_t linear)
{
    unsigned max = proto->variant == BLOCK_NORMAL ? e->cache->max_insns : 1;
    struct block b;

    for (;; max /= 2) {
        memcpy(&b, proto, sizeof(b));
        switch (translate_insns(e, &b, linear, max)) {
        case TOO_BIG: assert(max > 1); continue;
        case CACHE_FULL: return NULL;
        case COMPILED: break;
        }
        TRACE(cpu, "pc %#" PRIx64 " mode %#x: %u guest bytes, %u host bytes", b.pc, b.mode, b.size,
              b.host.code_size);
        return engine_block_add(e, &b);
    }
}

static void make_room(struct engine *e)
{
    if (e->alone) {
        engine_flush_blocks(e);
        return;
    }
    engine_exit(e);
    engine_exclusive_begin(e);
    engine_flush_blocks(e);
    engine_exclusive_end(e);
    engine_enter(e);
}

static struct block *make_block(struct engine *e, gra_t gra, gva_t pc, gva_t linear,
                                enum block_variant v)
{
    struct cpu *cpu = e->cpu;
    struct block proto, *b;

    memset(&proto, 0, sizeof(proto));
    proto.gra = gra;
    proto.pc = pc;
    proto.mode = cpu->mode;
    proto.aux = cpu->aux;
    proto.variant = (uint8_t)v;
    proto.page[0] = gra & ~UINT64_C(0xfff);
    for (;;) {
        engine_lock(e);
        b = gra == MEM_GRA_NONE ? NULL
                                : engine_block_find(e->cache, gra, pc, cpu->mode, cpu->aux, v);
        if (!b)
            b = translate(e, &proto, linear);
        engine_unlock(e);
        if (b)
            return b;
        make_room(e);
    }
}

struct block *engine_block_for(struct engine *e, gva_t pc, enum block_variant v)
{
    struct cpu *cpu = e->cpu;
    gva_t linear = cpu->guest->linear_pc(cpu, pc, cpu->aux);
    struct host_tlb_entry *en;
    gra_t gra = linear;
    struct block *b = NULL;

    if (e->cache->user) {
        if (v != BLOCK_NORMAL)
            gra = MEM_GRA_NONE; /* runs once, its page not watched */
    } else {
        en = engine_tlb_lookup(e, linear, CPU_EXEC, cpu->mmu_index, false);
        if (unlikely(!en))
            cpu_raise(cpu);
        gra = code_gra(e, en, linear);
    }
    if (gra != MEM_GRA_NONE)
        b = engine_block_find(e->cache, gra, pc, cpu->mode, cpu->aux, v);
    if (likely(b != NULL)) {
        if (!b->spans || e->cache->user || second_page_same(e, b, linear))
            return b;
        engine_lock(e);
        engine_block_kill(e->cache, b);
        engine_unlock(e);
    }
    return make_block(e, gra, pc, linear, v);
}
