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

enum { REGION_INSNS = 64 };

unsigned engine_helper_index(void *opaque, const struct helper *h)
{
    struct engine *e = opaque;
    unsigned slot = (unsigned)((uintptr_t)h >> 4) % HELPER_MAX, n = 0;

    while (slot < HOST_FN_COUNT || (e->helper_of[slot] && e->helper_of[slot] != h)) {
        slot = (slot + 1) % HELPER_MAX;
        if (++n > HELPER_MAX)
            assert(!"more helpers than HELPER_MAX");
    }
    e->helper_of[slot] = h;
    e->tail->helpers[slot] = h->fn;
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
            e->ir.insn_count);
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
    ir_print(f, &e->ir);
    fprintf(f, "\n");
    log_unlock(f);
}

static void log_out_asm(struct engine *e, const struct host_region *r)
{
    FILE *f = log_lock();

    fprintf(f, "OUT: %u bytes\n", r->code_size);
    if (e->host->disassemble)
        e->host->disassemble(f, &e->code, r->code, r->code_size);
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
    if (e->verify && !ir_verify(&e->ir, why, sizeof(why))) {
        ir_print(stderr, &e->ir);
        fprintf(stderr, "translation of pc %#llx is wrong: %s\n", (unsigned long long)b->pc, why);
        assert(!"IR verifies");
    }
    ir_optimize(&e->ir);
    if (log_enabled(LOG_OP_OPT))
        log_ir(e, "IR, optimised");
}

static void compile_host(struct engine *e, struct block *b)
{
    if (!e->host->compile(e->host_state, &e->ir, e->exit_count, &e->arena, &b->host)) {
        engine_flush_blocks(e); /* the code buffer is full: start over */
        if (!e->host->compile(e->host_state, &e->ir, e->exit_count, &e->arena, &b->host))
            assert(!"a region fits into an empty code buffer");
    }
    b->exit_base = e->exit_count;
    if (log_enabled(LOG_OUT_ASM))
        log_out_asm(e, &b->host);
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

static struct block *translate(struct engine *e, struct block *b, gva_t linear)
{
    struct cpu *cpu = e->cpu;
    struct translation t = { .pc = b->pc,
                             .mode = b->mode,
                             .aux = b->aux,
                             .slow = b->variant == BLOCK_SLOW,
                             .max_insns = b->variant == BLOCK_NORMAL ? REGION_INSNS : 1 };

    ir_begin(&e->ir, b->pc);
    e->ir.loop_exits = b->variant != BLOCK_NORMAL || log_enabled(LOG_NOCHAIN);
    cpu->guest->translate(cpu, &e->ir, &t);
    if (t.fault)
        cpu_raise(cpu);
    b->size = t.size;
    b->spans = b->gra != MEM_GRA_NONE && (linear & 0xfff) + t.size > 0x1000;
    if (b->spans) {
        struct host_tlb_entry *en =
            engine_tlb_lookup(e, linear + t.size - 1, CPU_EXEC, cpu->mmu_index, true);

        assert(en);
        b->page[1] = code_gra(e, en, (linear + t.size - 1) & ~UINT64_C(0xfff));
        if (b->page[1] == MEM_GRA_NONE) {
            b->spans = false;
            b->gra = MEM_GRA_NONE;
        }
    }
    optimise(e, b);
    if (e->host)
        compile_host(e, b);
    else
        b->ir = copy_ir(&e->ir);
    TRACE(cpu, "pc %#" PRIx64 " mode %#x: %u guest bytes, %u host bytes", b->pc, b->mode, b->size,
          b->host.code_size);
    return engine_block_add(e, b);
}

struct block *engine_block_for(struct engine *e, gva_t pc, enum block_variant v)
{
    struct cpu *cpu = e->cpu;
    gva_t linear = cpu->guest->linear_pc(cpu, pc, cpu->aux);
    struct host_tlb_entry *en = engine_tlb_lookup(e, linear, CPU_EXEC, cpu->mmu_index, false);
    struct block *b, proto;

    if (unlikely(!en))
        cpu_raise(cpu);
    memset(&proto, 0, sizeof(proto));
    proto.gra = code_gra(e, en, linear);
    if (proto.gra != MEM_GRA_NONE) {
        b = engine_block_find(e, proto.gra, pc, cpu->mode, cpu->aux, v);
        if (likely(b != NULL) && (!b->spans || second_page_same(e, b, linear)))
            return b;
        if (b)
            engine_block_kill(e, b);
    }
    proto.pc = pc;
    proto.mode = cpu->mode;
    proto.aux = cpu->aux;
    proto.variant = (uint8_t)v;
    proto.page[0] = proto.gra & ~UINT64_C(0xfff);
    return translate(e, &proto, linear);
}
