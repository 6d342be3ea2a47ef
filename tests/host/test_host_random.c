/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random programs: compiled for this machine they leave the same state, memory, exit and sticky
 * flags as in the interpreter, optimised or not, with every mix of soft TLB hits and slow paths.
 * IR_SEED picks the first seed, IR_SEEDS how many, IR_PRINT=1 shows the program and its code.
 */
#include "../unit/test.h"

#include <stdlib.h>

#include "hostrun.h"

static uint8_t wanted_mem[IRGEN_MEM_SIZE];
static struct hr_cpu want;
static struct hostrun h;

static void report(const struct ir *ir, uint64_t seed, const char *what)
{
    TEST_FAIL("seed %" PRIu64 ": %s", seed, what);
    if (!getenv("IR_PRINT"))
        return;
    ir_print(stdout, ir);
    hr_disassemble(&h);
}

static void report_state(const struct irgen *g)
{
    for (unsigned s = 0; s < g->slot_count; s++) {
        const uint8_t *a = (const uint8_t *)&want + g->slots[s].offset;
        const uint8_t *b = (const uint8_t *)&h.cpu + g->slots[s].offset;
        unsigned n = ir_type_bits[g->slots[s].type] / 8;

        if (!memcmp(a, b, n))
            continue;
        printf("  slot %s is", g->slots[s].name);
        for (unsigned k = n; k--;)
            printf(" %02x", b[k]);
        printf(", wanted");
        for (unsigned k = n; k--;)
            printf(" %02x", a[k]);
        printf("\n");
    }
}

static bool compare(struct irgen *g, const struct ir *ir, uint64_t seed, unsigned pages)
{
    unsigned want_fp, got_fp;
    int want_kind, got_kind;
    bool jmp_as_ind;

    hr_tlb(&h, pages);
    irgen_fill(g, &want, seed);
    want_kind = irgen_run(g, ir, &want, &want_fp);
    memcpy(wanted_mem, g->mem, IRGEN_MEM_SIZE);
    if (!hr_compile(&h, ir, 0)) {
        report(ir, seed, "does not compile");
        return false;
    }
    irgen_fill(g, &h.cpu, seed);
    got_kind = hr_run(&h, &got_fp);
    jmp_as_ind = want_kind == IR_LEFT_JMP && got_kind == IR_LEFT_IND; /* a direct exit not linked */
    if (want_kind != got_kind && !jmp_as_ind)
        report(ir, seed, "leaves otherwise");
    else if (memcmp(&want.s, &h.cpu.s, sizeof(want.s)))
        report(ir, seed, "state differs"), report_state(g);
    else if (memcmp(wanted_mem, g->mem, IRGEN_MEM_SIZE))
        report(ir, seed, "memory differs");
    else if ((want_fp ^ got_fp) & ~(g->fixes ? 2u : 0u))
        report(ir, seed, "sticky flags differ");
    else
        return true;
    return false;
}

static void run_in(unsigned mode, unsigned flags, unsigned count)
{
    const char *more = getenv("IR_SEEDS"), *first = getenv("IR_SEED");
    uint64_t seed = first ? strtoull(first, NULL, 0) : 1;
    struct irgen g;
    struct ir ir;

    irgen_init_at(&g, offsetof(struct hr_cpu, s), mode == HR_DIRECT ? 0x100000 : 0);
    ir_init(&ir, g.slots, g.slot_count, g.slot_pc);
    CHECK(hr_init(&h, &g, mode));
    if (more)
        count = (unsigned)strtoul(more, NULL, 0);
    for (uint64_t end = seed + count; h.state && seed < end; seed++) {
        static const unsigned pages[4] = { 0xffff, 0, 0x5555, 0x00ff };

        if (mode != HR_SOFT && h.state && !(seed & 63))
            host_x86_64.set_parallel(h.state, seed & 64);
        irgen_program(&g, &ir, seed, flags);
        if (!compare(&g, &ir, seed, pages[seed & 3]))
            break;
        ir_optimize(&ir);
        if (!compare(&g, &ir, seed, pages[seed >> 2 & 3]))
            break;
    }
    hr_finish(&h);
    ir_finish(&ir);
    irgen_finish(&g);
}

static void run(unsigned flags, unsigned count)
{
    run_in(HR_SOFT, flags, count);
}

TEST(integer)
{
    run(0, 4000);
}
TEST(integer_branches)
{
    run(IRGEN_BRANCH, 4000);
}
TEST(memory)
{
    run(IRGEN_MEM | IRGEN_BRANCH, 4000);
}
TEST(calls)
{
    run(IRGEN_CALL | IRGEN_MEM | IRGEN_BRANCH, 4000);
}
TEST(faults)
{
    run(IRGEN_CALL | IRGEN_MEM | IRGEN_BRANCH | IRGEN_FAULT, 4000);
}
TEST(vector)
{
    run(IRGEN_VECTOR, 4000);
}
TEST(floating_point)
{
    run(IRGEN_VECTOR | IRGEN_FP, 4000);
}
TEST(everything)
{
    run(IRGEN_ALL, 5000);
}
TEST(large)
{
    run(IRGEN_ALL & ~IRGEN_FAULT, 500);
    run(IRGEN_ALL | IRGEN_LONG, 200);
}
TEST(direct_memory)
{
    run_in(HR_DIRECT, IRGEN_MEM | IRGEN_BRANCH | IRGEN_FAULT | IRGEN_DIRECT, 3000);
    run_in(HR_DIRECT_BASE, IRGEN_MEM | IRGEN_BRANCH | IRGEN_FAULT | IRGEN_DIRECT, 3000);
}
TEST(direct_everything)
{
    run_in(HR_DIRECT, IRGEN_ALL | IRGEN_DIRECT, 4000);
    run_in(HR_DIRECT_BASE, IRGEN_ALL | IRGEN_DIRECT, 4000);
}
