/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine with a toy guest of its own: blocks, chaining, exact faults, self-modifying code, soft
 * TLB and address spaces, on the interpreter and on the host backend. No real guest is involved.
 *
 * Toy code: four bytes each, { op, d, s, i }. Eight 64-bit registers; linear = pc; memory is mapped
 * through a one-level table that the test writes: page n of the address space shows page map[n].
 */
#include <unistd.h>

#include "base/alloc.h"
#include "cpu/engine.h"
#include "loop/loop.h"
#include "tests/unit/test.h"

enum { OP_ADDI, OP_ADD, OP_LD, OP_ST, OP_JMP, OP_BNZ, OP_END, OP_JR, OP_FLUSHPG, OP_SPACE };
enum { PAGES = 32, REGS = 8, SLOT_PC = REGS, SLOT_COUNT };
enum { NO_PAGE = 255 };

struct toy {
    struct cpu c;
    uint64_t pc, r[REGS];
    uint8_t map[2][PAGES]; /* per space */
    unsigned space;
    uint64_t fault_va, fault_pc, faults, ends;
};

#define REG(n, p)                                                                                  \
    {                                                                                              \
        "r" #n, offsetof(struct toy, r) + 8 * n, IR_I64, p                                         \
    }
static const struct ir_slot toy_slots[SLOT_COUNT] = {
    REG(0, 1), REG(1, 2), REG(2, 0),
    REG(3, 0), REG(4, 3), REG(5, 0),
    REG(6, 0), REG(7, 0), [SLOT_PC] = { "pc", offsetof(struct toy, pc), IR_I64, 0 },
};

static struct toy *toy_of(struct cpu *cpu)
{
    return (struct toy *)cpu;
}

static void do_end(struct toy *t)
{
    t->ends++;
    t->c.engine->quit = true;
    cpu_sync_pc(&t->c);
    cpu_leave(&t->c);
}

static void do_flush_page(struct toy *t, uint64_t va, uint64_t page)
{
    t->map[t->space][va >> 12] = (uint8_t)page;
    cpu_tlb_flush_page(&t->c, va);
}

static void do_space(struct toy *t, uint64_t space)
{
    t->space = (unsigned)space;
    cpu_tlb_set_space(&t->c, space, true);
}

static const struct helper h_end = { "end", (helper_fn *)do_end, "-", 0 };
static const struct helper h_flush = { "flush", (helper_fn *)do_flush_page, "- i64 i64", 0 };
static const struct helper h_space = { "space", (helper_fn *)do_space, "- i64", 0 };

/* Returns false at the end of a region. */
static bool translate_one(struct ir *ir, const uint8_t *c, gva_t pc)
{
    ir_val none = IR_NO_VAL;
    unsigned label;

    ir_insn_start(ir, pc);
    switch (c[0]) {
    case OP_ADDI: ir_put(ir, c[1], ir_addi(ir, ir_get(ir, c[2]), (int8_t)c[3])); return true;
    case OP_ADD: ir_put(ir, c[1], ir_add(ir, ir_get(ir, c[2]), ir_get(ir, c[3]))); return true;
    case OP_LD: ir_put(ir, c[1], ir_ld(ir, IR_I64, ir_get(ir, c[2]), (int8_t)c[3], 3)); return true;
    case OP_ST: ir_st(ir, ir_get(ir, c[2]), (int8_t)c[3], ir_get(ir, c[1]), 3); return true;
    case OP_JMP:
        ir_exit_jmp(ir, pc + (uint64_t)(4 * (int8_t)c[3]),
                    IR_EXIT_POLL |
                        ((pc ^ (pc + (uint64_t)(4 * (int8_t)c[3]))) >> 12 ? 0 : IR_EXIT_SAMEPAGE));
        return false;
    case OP_BNZ:
        label = ir_new_label(ir);
        ir_brcondi(ir, IR_EQ, ir_get(ir, c[1]), 0, label);
        ir_exit_jmp(ir, pc + (uint64_t)(4 * (int8_t)c[3]), IR_EXIT_POLL | IR_EXIT_SAMEPAGE);
        ir_label(ir, label);
        ir_exit_jmp(ir, pc + 4, IR_EXIT_SAMEPAGE);
        return false;
    case OP_JR: ir_exit_ind(ir, ir_get(ir, c[1]), IR_IND_JUMP); return false;
    case OP_FLUSHPG: ir_call(ir, &h_flush, ir_get(ir, c[1]), ir_get(ir, c[2]), none, none); break;
    case OP_SPACE: ir_call(ir, &h_space, ir_get(ir, c[1]), none, none, none); break;
    default: ir_call(ir, &h_end, none, none, none, none); break;
    }
    ir_put(ir, SLOT_PC, ir_const(ir, IR_I64, (int64_t)pc + 4));
    ir_exit_loop(ir, IR_REASON_NEXT);
    return false;
}

static void toy_translate(struct cpu *cpu, struct ir *ir, struct translation *t)
{
    gva_t pc = t->pc;
    uint8_t c[4];

    for (unsigned n = 0;; n++, pc += 4) {
        if (cpu_fetch(cpu, pc, c, 4) != 4) {
            t->fault = true;
            return;
        }
        ir->insn_count++;
        t->size = (uint32_t)(pc + 4 - t->pc);
        if (!translate_one(ir, c, pc))
            return;
        if (n + 1 == t->max_insns || !((pc + 4) & 0xfff)) {
            ir_exit_jmp(ir, pc + 4, ((pc ^ (pc + 4)) >> 12) ? 0 : IR_EXIT_SAMEPAGE);
            return;
        }
    }
}

static bool toy_walk(struct cpu *cpu, gva_t va, enum cpu_access access, unsigned mmu, bool probe,
                     struct cpu_walk *w)
{
    struct toy *t = toy_of(cpu);
    unsigned page = va >> 12 < PAGES ? t->map[t->space][va >> 12] : NO_PAGE;

    if (page == NO_PAGE) {
        t->fault_va = va;
        return false;
    }
    *w = (struct cpu_walk){ .gpa = (uint64_t)page << 12 | (va & 0xfff),
                            .page_size = 4096,
                            .read = true,
                            .write = true,
                            .exec = true };
    return true;
}

static void toy_deliver(struct cpu *cpu)
{
    struct toy *t = toy_of(cpu);

    t->fault_pc = t->pc;
    t->faults++;
    cpu->engine->quit = true;
}

static bool toy_init(struct cpu *cpu, const char *model, struct error *err)
{
    return true;
}
static void toy_reset(struct cpu *cpu)
{
    toy_of(cpu)->pc = 0;
}
static uint32_t toy_mode(struct cpu *cpu, uint64_t *aux, unsigned *mmu)
{
    *aux = *mmu = 0;
    return 1;
}
static gva_t toy_linear(const struct cpu *cpu, gva_t pc, uint64_t aux)
{
    return pc;
}
static bool toy_no(const struct cpu *cpu)
{
    return false;
}
static void toy_nothing(struct cpu *cpu)
{
}
static bool toy_wakes(const struct cpu *cpu, uint32_t ev)
{
    return true;
}
static bool toy_take_events(struct cpu *cpu, uint32_t ev)
{
    cpu_event_clear(cpu, ev);
    return true;
}

static const struct guest toy_guest = {
    .name = "toy",
    .cpu_size = sizeof(struct toy),
    .page_bits = 12,
    .slots = toy_slots,
    .slot_count = SLOT_COUNT,
    .slot_pc = SLOT_PC,
    .default_model = "toy",
    .init = toy_init,
    .reset = toy_reset,
    .translate = toy_translate,
    .walk = toy_walk,
    .deliver = toy_deliver,
    .compute_mode = toy_mode,
    .linear_pc = toy_linear,
    .one_insn = toy_no,
    .shadow_done = toy_nothing,
    .wakes = toy_wakes,
    .take_events = toy_take_events,
};

struct rig {
    struct loop *loop;
    struct mem *mem;
    struct mem_region ram;
    struct cpu *cpu;
    struct toy *t;
    uint8_t *host;
};

static bool rig_init(struct rig *r, const char *accel)
{
    struct error err = { 0 };
    struct cpu_config config = { .accel = accel, .tb_size = 1 << 20 };
    gra_t gra;

    memset(r, 0, sizeof(*r));
    r->loop = loop_new(&err);
    r->mem = mem_new(r->loop, "memory", 0, PAGES << 12, &err);
    if (!r->loop || !r->mem || !mem_ram_alloc(r->mem, PAGES << 12, &gra, &err)) {
        TEST_FAIL("%s", err.msg);
        return false;
    }
    mem_region_init_ram(&r->ram, "ram", gra, PAGES << 12);
    mem_map(r->mem, 0, &r->ram, 0);
    config.mem = r->mem;
    config.loop = r->loop;
    r->cpu = cpu_new(&toy_guest, &config, &err);
    if (!r->cpu) {
        TEST_FAIL("%s", err.msg);
        return false;
    }
    r->cpu->engine->cache->verify = true;
    r->t = toy_of(r->cpu);
    r->host = mem_ram_base(r->mem) + gra;
    for (unsigned i = 0; i < PAGES; i++)
        r->t->map[0][i] = r->t->map[1][i] = (uint8_t)i;
    return true;
}

static void rig_finish(struct rig *r)
{
    cpu_free(r->cpu);
    mem_free(r->mem);
    loop_free(r->loop);
}

static void code(struct rig *r, unsigned at, const uint8_t (*insns)[4], unsigned n)
{
    memcpy(r->host + at, insns, n * 4);
}
#define CODE(r, at, ...)                                                                           \
    code(r, at, (const uint8_t[][4]){ __VA_ARGS__ },                                               \
         sizeof((const uint8_t[][4]){ __VA_ARGS__ }) / 4)

static void run_from(struct rig *r, uint64_t pc)
{
    r->t->pc = pc;
    r->cpu->engine->quit = false;
    engine_thread(r->cpu);
}

static const char *const accels[] = { "interp", "tcg" };
#define EACH_ACCEL(r)                                                                              \
    for (unsigned a_ = 0; a_ < 2; a_++)                                                            \
        for (bool go_ = rig_init(r, accels[a_]); go_; go_ = false, rig_finish(r))

TEST(loop_counts)
{
    struct rig r;

    EACH_ACCEL(&r)
    {
        CODE(&r, 0, { OP_ADD, 1, 1, 0 }, { OP_ADD, 2, 2, 1 }, { OP_ADDI, 0, 0, 0xff },
             { OP_BNZ, 0, 0, (uint8_t)-3 }, { OP_END });
        r.t->r[0] = 1000;
        run_from(&r, 0);
        CHECK_EQ(r.t->r[1], 500500);
        CHECK_EQ(r.t->r[0], 0);
        CHECK_EQ(r.t->ends, 1);
    }
}

TEST(fault_shows_exact_state)
{
    struct rig r;

    EACH_ACCEL(&r)
    {
        CODE(&r, 0, { OP_ADDI, 2, 2, 5 }, { OP_ADDI, 1, 1, 7 }, { OP_ADDI, 3, 2, 1 },
             { OP_LD, 3, 5, 0 }, { OP_ADDI, 2, 2, 1 }, { OP_ADDI, 3, 3, 1 }, { OP_END });
        r.t->map[0][9] = NO_PAGE;
        r.t->r[5] = 0x9010;
        run_from(&r, 0);
        CHECK_EQ(r.t->faults, 1);
        CHECK_EQ(r.t->fault_pc, 12);
        CHECK_EQ(r.t->fault_va, 0x9010);
        CHECK_EQ(r.t->r[2], 5);
        CHECK_EQ(r.t->r[1], 7);
        CHECK_EQ(r.t->r[3], 6);
        r.t->map[0][9] = 9;
        run_from(&r, r.t->pc); /* and it goes on as if nothing had been */
        CHECK_EQ(r.t->r[2], 6);
        CHECK_EQ(r.t->r[3], 1);
    }
}

TEST(page_crossing_access)
{
    struct rig r;

    EACH_ACCEL(&r)
    {
        r.t->map[0][4] = 6; /* pages 4 and 5 show 6 and 5 */
        CODE(&r, 0, { OP_ST, 1, 2, 0 }, { OP_LD, 3, 2, 0 }, { OP_END });
        r.t->r[1] = UINT64_C(0x1122334455667788);
        r.t->r[2] = 0x4ffd;
        run_from(&r, 0);
        CHECK_EQ(r.t->r[3], r.t->r[1]);
        CHECK_EQ(r.host[0x6fff], 0x66);
        CHECK_EQ(r.host[0x5000], 0x55);
        CHECK_EQ(r.host[0x7000], 0);
        r.t->map[0][5] = NO_PAGE; /* not half a store */
        cpu_flush_all(r.cpu);
        r.t->r[1] = 0;
        run_from(&r, 0);
        CHECK_EQ(r.t->faults, 1);
        CHECK_EQ(r.t->fault_va, 0x5000);
        CHECK_EQ(r.host[0x6fff], 0x66);
    }
}

TEST(code_that_changes_the_next_instruction)
{
    struct rig r;
    const uint8_t insn[8] = { OP_ADDI, 2, 2, 9, OP_END };
    uint64_t bytes;

    memcpy(&bytes, insn, 8);
    EACH_ACCEL(&r)
    {
        CODE(&r, 0x40, { OP_ADDI, 3, 3, 1 }, { OP_ST, 1, 5, 0 }, { OP_ADDI, 2, 2, 1 }, { OP_END });
        r.t->r[1] = bytes;
        r.t->r[5] = 0x48;
        run_from(&r, 0x40);
        CHECK_EQ(r.t->r[2], 9);
        CHECK_EQ(r.t->r[3], 1);
    }
}

TEST(data_on_a_code_page)
{
    struct rig r;

    EACH_ACCEL(&r)
    {
        CODE(&r, 0, { OP_ST, 1, 5, 0 }, { OP_ADDI, 1, 1, 1 }, { OP_ADDI, 0, 0, 0xff },
             { OP_BNZ, 0, 0, (uint8_t)-3 }, { OP_END });
        r.t->r[0] = 100;
        r.t->r[5] = 0x800;
        run_from(&r, 0);
        CHECK_EQ(r.host[0x800], 99);
        CHECK_EQ(r.cpu->engine->cache->block_count <= 4, true);
    }
}

TEST(remapped_code_page)
{
    struct rig r;

    EACH_ACCEL(&r)
    { /* page 2 is called twice and shows another page the second time */
        CODE(&r, 0, { OP_JR, 1 }, { OP_FLUSHPG, 1, 2 }, { OP_JR, 1 }, { OP_END });
        CODE(&r, 0x2000, { OP_ADDI, 3, 3, 1 }, { OP_ADDI, 4, 4, 4 }, { OP_JR, 4 });
        CODE(&r, 0x3000, { OP_ADDI, 3, 3, 16 }, { OP_ADDI, 4, 4, 8 }, { OP_JR, 4 });
        r.t->r[1] = 0x2000;
        r.t->r[2] = 3;
        r.t->r[4] = 0;
        run_from(&r, 0);
        CHECK_EQ(r.t->r[3], 17);
        CHECK_EQ(r.t->ends, 1);
    }
}

TEST(address_spaces_keep_their_entries)
{
    struct rig r;

    EACH_ACCEL(&r)
    {
        r.t->map[1][4] = 5;
        r.host[0x4000] = 1;
        r.host[0x5000] = 2;
        CODE(&r, 0, { OP_LD, 3, 5, 0 }, { OP_SPACE, 6 }, { OP_LD, 4, 5, 0 }, { OP_SPACE, 7 },
             { OP_LD, 2, 5, 0 }, { OP_END });
        r.t->r[5] = 0x4000;
        r.t->r[6] = 1;
        run_from(&r, 0);
        CHECK_EQ(r.t->r[3], 1);
        CHECK_EQ(r.t->r[4], 2);
        CHECK_EQ(r.t->r[2], 1);
    }
}

TEST(dma_into_code)
{
    struct rig r;
    const uint8_t insn[4] = { OP_ADDI, 2, 2, 3 };

    EACH_ACCEL(&r)
    {
        CODE(&r, 0, { OP_ADDI, 2, 2, 1 }, { OP_END });
        run_from(&r, 0);
        CHECK_EQ(r.t->r[2], 1);
        CHECK_EQ(dma_write(r.mem, 0, insn, 4), 0);
        run_from(&r, 0);
        CHECK_EQ(r.t->r[2], 4);
    }
}

TEST(full_code_buffer_starts_over)
{
    struct rig r;

    EACH_ACCEL(&r)
    { /* many blocks, each run once */
        for (unsigned pass = 0; pass < 400; pass++) {
            for (unsigned at = 0; at < 0x1000; at += 8)
                CODE(&r, at, { OP_ADDI, 2, 2, 1 }, { OP_JMP, 0, 0, 1 });
            CODE(&r, 0x1000, { OP_END });
            engine_code_written(r.cpu->engine, 0, 0x1004, NULL);
            r.t->r[2] = 0;
            run_from(&r, 0);
            CHECK_EQ(r.t->r[2], 512);
            if (r.t->r[2] != 512)
                break;
        }
    }
}

/* The machine is taken apart under its lock; a vCPU that stands still with an interrupt waiting
 * must not want that lock any more. */
TEST(freed_with_an_interrupt_waiting)
{
    struct rig r;
    struct error err = { 0 };

    alarm(60);
    EACH_ACCEL(&r)
    {
        CODE(&r, 0, { OP_ADDI, 2, 2, 1 }, { OP_BNZ, 2, 0, 0xff });
        CHECK(cpu_start(r.cpu, &err));
        cpu_stop(r.cpu);
        cpu_event_raise(r.cpu, CPU_EVENT_INTR);
        loop_lock(r.loop);
        cpu_free(r.cpu);
        loop_unlock(r.loop);
        r.cpu = NULL;
    }
    alarm(0);
}

TEST(stopped_right_after_it_was_resumed)
{
    struct rig r;
    struct error err = { 0 };

    alarm(60);
    EACH_ACCEL(&r)
    {
        CODE(&r, 0, { OP_ADDI, 2, 2, 1 }, { OP_BNZ, 2, 0, 0xff });
        CHECK(cpu_start(r.cpu, &err));
        for (unsigned i = 0; i < 20000; i++) {
            cpu_stop(r.cpu);
            cpu_resume(r.cpu);
        }
        cpu_stop(r.cpu);
    }
    alarm(0);
}
