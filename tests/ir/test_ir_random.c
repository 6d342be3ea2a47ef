/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random programs: they verify, and they leave the same state, memory, exit and sticky flags behind
 * when interpreted before and after the passes, each alone and all together.
 */
#include "../unit/test.h"

#include <stdlib.h>

#include "irgen.h"

struct machine {
    struct irgen_state s;
    uint8_t rest[IRGEN_STATE_SIZE];
} __attribute__((aligned(16)));

static uint8_t wanted_mem[IRGEN_MEM_SIZE];

static void report(const struct ir *ir, uint64_t seed, const char *what, const char *pass)
{
    TEST_FAIL("seed %" PRIu64 ", after %s: %s", seed, pass, what);
    if (getenv("IR_PRINT"))
        ir_print(stdout, ir);
}

/* The helper_state and others see the program's flags through g, so the same g serves both runs. */
static bool compare(struct irgen *g, struct ir *ir, uint64_t seed, unsigned flags,
                    const struct ir_pass *only)
{
    static struct machine want, got;
    unsigned want_fp, got_fp;
    int want_kind, got_kind;
    const char *pass = only ? only->name : "all";
    char why[200];

    irgen_program(g, ir, seed, flags);
    if (!ir_verify(ir, why, sizeof(why))) {
        report(ir, seed, why, "generation");
        return false;
    }
    irgen_fill(g, &want, seed);
    want_kind = irgen_run(g, ir, &want, &want_fp);
    memcpy(wanted_mem, g->mem, IRGEN_MEM_SIZE);
    if (only)
        only->run(ir);
    else
        ir_optimize(ir);
    if (!ir_verify(ir, why, sizeof(why))) {
        report(ir, seed, why, pass);
        return false;
    }
    irgen_fill(g, &got, seed);
    got_kind = irgen_run(g, ir, &got, &got_fp);
    if (want_kind != got_kind)
        report(ir, seed, "leaves otherwise", pass);
    else if (memcmp(&want.s, &got.s, sizeof(want.s)))
        report(ir, seed, "state differs", pass);
    else if (memcmp(wanted_mem, g->mem, IRGEN_MEM_SIZE))
        report(ir, seed, "memory differs", pass);
    else if (want_fp != got_fp)
        report(ir, seed, "sticky flags differ", pass);
    else
        return true;
    return false;
}

static void run(unsigned flags, unsigned count)
{
    const char *more = getenv("IR_SEEDS"), *first = getenv("IR_SEED");
    uint64_t seed = first ? strtoull(first, NULL, 0) : 1;
    struct irgen g;
    struct ir ir;

    irgen_init(&g, 0);
    ir_init(&ir, g.slots, g.slot_count, g.slot_pc);
    if (more)
        count = (unsigned)strtoul(more, NULL, 0);
    for (uint64_t end = seed + count; seed < end; seed++) {
        for (const struct ir_pass *p = ir_passes; p->name; p++)
            if (!compare(&g, &ir, seed, flags, p))
                goto out;
        if (!compare(&g, &ir, seed, flags, NULL))
            goto out;
    }
out:
    ir_finish(&ir);
    irgen_finish(&g);
}

TEST(integer)
{
    run(0, 2000);
}
TEST(integer_branches)
{
    run(IRGEN_BRANCH, 2000);
}
TEST(memory)
{
    run(IRGEN_MEM | IRGEN_BRANCH, 1500);
}
TEST(calls)
{
    run(IRGEN_CALL | IRGEN_MEM | IRGEN_BRANCH, 1500);
}
TEST(vector)
{
    run(IRGEN_VECTOR, 1500);
}
TEST(floating_point)
{
    run(IRGEN_VECTOR | IRGEN_FP, 1500);
}
TEST(faults)
{
    run(IRGEN_ALL, 3000);
}
TEST(large)
{
    run(IRGEN_ALL & ~IRGEN_FAULT, 0);
    run(IRGEN_ALL | IRGEN_LONG, 150);
}
