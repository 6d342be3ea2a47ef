/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Host code of typical pieces of IR, against tests/host/golden.txt: so that a change of code
 * quality is seen in review. Hot code only, as bytes, disassembled where capstone is there (those
 * lines are not compared); without optional instructions, so that it is the same on all machines.
 * UPDATE=FILE writes the file. Then what only linked regions show: the jump cache, predicted
 * returns, loops.
 */
#include "../unit/test.h"

#include <stdlib.h>

#include "hostrun.h"

static struct hostrun h;
static struct irgen g;
static struct ir ir;

static void begin(unsigned mode)
{
    setenv("RHEA_HOST_CPU", "base", 1);
    irgen_init_at(&g, offsetof(struct hr_cpu, s), mode == HR_DIRECT ? 0x100000 : 0);
    ir_init(&ir, g.slots, g.slot_count, g.slot_pc);
    CHECK(hr_init(&h, &g, mode));
    memset(&h.cpu.s, 0, sizeof(h.cpu.s));
}

static void end(void)
{
    hr_finish(&h);
    ir_finish(&ir);
    irgen_finish(&g);
}

static ir_val r(unsigned k)
{
    return ir_get(&ir, g.first_r + k);
}

static void set_r(unsigned k, ir_val v)
{
    ir_put(&ir, g.first_r + k, v);
}

static ir_val x(unsigned k)
{
    return ir_get(&ir, g.first_x + k);
}

static void set_x(unsigned k, ir_val v)
{
    ir_put(&ir, g.first_x + k, v);
}

/* ---- the pieces; r0..r7 and x0..x3 are pinned ---- */

static void p_load_add_store(void)
{
    ir_val v = ir_ld(&ir, IR_I64, r(1), 8, 3);

    set_r(2, ir_add(&ir, r(2), v));
    ir_st(&ir, r(1), 16, r(2), 3);
}

static void p_indexed(void)
{
    ir_val a = ir_add(&ir, r(1), ir_shli(&ir, r(2), 2));

    set_r(0, ir_ld(&ir, IR_I64, a, 4, 2 | IR_MEM_SIGN));
}

static void p_unpinned(void)
{
    set_r(12, ir_addi(&ir, r(12), 1));
    set_r(13, ir_add(&ir, r(12), r(0)));
}

static void p_compare(void)
{
    unsigned taken = ir_new_label(&ir);
    ir_val a = r(0), b = r(1);

    set_r(10, a);
    set_r(11, b);
    ir_brcond(&ir, IR_LTS, a, b, taken);
    ir_exit_jmp(&ir, 0x1040, 0);
    ir_label(&ir, taken);
}

static void p_setcond(void)
{
    set_r(0, ir_setcondi(&ir, IR_I64, IR_LTU, r(1), 100));
    set_r(2, ir_select(&ir, IR_EQ, r(3), r(4), r(5), r(6)));
}

static void p_call(void)
{
    set_r(1, ir_const(&ir, IR_I64, 0x1004));
    ir_retaddr(&ir, 0x1004);
}

static void p_loop(void)
{
    set_r(12, ir_addi(&ir, r(12), 8));
    set_r(0, ir_add(&ir, r(0), ir_ld(&ir, IR_I64, r(12), 0, 3)));
}

static void p_scalar_add(void)
{
    ir_val a = ir_vop1(&ir, IR_VZEXTLO, IR_F64, x(0), 0), b = x(1);
    ir_val s = ir_vop2(&ir, IR_VFADD, IR_F64 | IR_SCALAR, a, b, 0);

    s = ir_vop1(&ir, IR_VFCANON, IR_F64 | IR_SCALAR, s, INT64_C(0x7ff8000000000000));
    set_x(0, ir_vop1(&ir, IR_VZEXTLO, IR_F64, s, 0));
}

static void p_lanes(void)
{
    set_x(2, ir_vop2(&ir, IR_VADD, IR_I32, x(0), x(1), 0));
    set_x(3, ir_vop2(&ir, IR_VTRN1, IR_I16, x(3), x(2), 0));
}

static void p_atomic(void)
{
    set_r(0, ir_atomic(&ir, IR_AT_ADD, r(1), r(2), 0));
    ir_atomic(&ir, IR_AT_OR, r(1), r(3), 0);
}

static void p_narrow(void)
{
    ir_val v = ir_trunc(&ir, IR_I32, r(1));

    set_r(0, ir_sext(&ir, IR_I64, ir_addi(&ir, v, 5)));
    set_r(2, ir_zext(&ir, IR_I64, ir_shri(&ir, v, 3)));
}

static const struct piece {
    const char *name;
    unsigned mode;
    void (*write)(void);
    gva_t exit;
} pieces[] = {
    { "load, add, store", HR_DIRECT, p_load_add_store, 0x1010 },
    { "load, add, store with a guest base", HR_DIRECT_BASE, p_load_add_store, 0x1010 },
    { "load, add, store by soft TLB", HR_SOFT, p_load_add_store, 0x1010 },
    { "indexed load", HR_DIRECT, p_indexed, 0x1010 },
    { "slots in memory", HR_DIRECT, p_unpinned, 0x1010 },
    { "compare and branch", HR_DIRECT, p_compare, 0x1080 },
    { "setcond, select", HR_DIRECT, p_setcond, 0x1010 },
    { "call", HR_DIRECT, p_call, 0x2000 },
    { "loop", HR_DIRECT, p_loop, 0x1000 },
    { "scalar add", HR_DIRECT, p_scalar_add, 0x1010 },
    { "vector lanes", HR_DIRECT, p_lanes, 0x1010 },
    { "atomics of one thread", HR_DIRECT, p_atomic, 0x1010 },
    { "32-bit arithmetic", HR_DIRECT, p_narrow, 0x1010 },
};

static void compile_piece(const struct piece *p)
{
    ir_begin(&ir, 0x1000);
    ir_insn_start(&ir, 0x1000);
    p->write();
    ir_exit_jmp(&ir, p->exit,
                p->exit == 0x1000 ? IR_EXIT_POLL | IR_EXIT_SAMEPAGE : IR_EXIT_SAMEPAGE);
    ir_optimize(&ir);
    CHECK(hr_compile(&h, &ir, 0));
}

/* The code up to the end of its last exit's jump. */
static uint32_t hot_size(void)
{
    uint32_t last = 0;

    for (unsigned k = 0; k < h.region.exit_count; k++) {
        const struct host_exit *e = &h.region.exits[k];
        uint32_t at = (e->self_patch ? e->self_patch : e->patch) + 4 - h.region.code;

        last = at > last ? at : last;
    }
    return last;
}

static void print_piece(FILE *f, const struct piece *p)
{
    uint32_t size = hot_size();
    uint8_t code[4096];
    struct host_code_buf buf = { .rw = code, .rx = code, .size = sizeof(code), .used = size };

    fprintf(f, "piece: %s\n", p->name);
    memcpy(code, h.buf.rw + h.region.code, size);
    for (uint32_t k = 0; k < size; k++)
        fprintf(f, "%s%02x%s", k % 32 ? "" : "  ", code[k],
                k % 32 == 31 || k + 1 == size ? "\n" : "");
    host_x86_64.disassemble(f, &buf, 0, size);
}

/* The next line that counts. */
static bool next_line(FILE *f, char *line, int size)
{
    while (fgets(line, size, f))
        if (!strncmp(line, "piece:", 6) || !strncmp(line, "  ", 2))
            return true;
    return false;
}

TEST(golden)
{
    const char *update = getenv("UPDATE");
    char want[256], got[256], *text = NULL;
    size_t len = 0;
    FILE *out = update ? fopen(update, "w") : open_memstream(&text, &len), *golden;

    if (!out)
        return;
    for (unsigned k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
        begin(pieces[k].mode);
        compile_piece(&pieces[k]);
        print_piece(out, &pieces[k]);
        end();
    }
    fclose(out);
    if (update)
        return;
    golden = fopen(GOLDEN, "r");
    out = fmemopen(text, len, "r");
    if (!golden || !out) {
        TEST_FAIL("cannot read %s", GOLDEN);
    } else {
        while (next_line(out, got, sizeof(got))) {
            if (next_line(golden, want, sizeof(want)) && !strcmp(want, got))
                continue;
            TEST_FAIL("code differs; look at it, then UPDATE=tests/host/golden.txt: %.60s", got);
            break;
        }
        fclose(golden);
    }
    if (out)
        fclose(out);
    free(text);
}

TEST(op_tables)
{
    char why[128] = "";

    if (!host_x86_64.check(why, sizeof(why)))
        TEST_FAIL("%s", why);
}

/* ---- linked regions ---- */

TEST(loop_with_exchanged_slots)
{
    uint64_t *mem;
    unsigned flags, done;

    begin(HR_DIRECT);
    mem = (uint64_t *)g.mem;
    for (unsigned k = 0; k < IRGEN_MEM_SIZE / 8; k++)
        mem[k] = k;
    done = ir_new_label(&ir);
    ir_begin(&ir, 0x1000);
    done = ir_new_label(&ir);
    ir_insn_start(&ir, 0x1000);
    set_r(12, ir_addi(&ir, r(12), 8));
    ir_insn_start(&ir, 0x1004);
    set_r(13, ir_add(&ir, r(13), ir_ld(&ir, IR_I64, r(12), 0, 3)));
    ir_insn_start(&ir, 0x1008);
    ir_brcondi(&ir, IR_EQ, r(12), 0x100000 + 8 * 1000, done);
    ir_exit_jmp(&ir, 0x1000, IR_EXIT_POLL);
    ir_label(&ir, done);
    ir_exit_jmp(&ir, 0x100c, 0);
    ir_optimize(&ir);
    CHECK(hr_compile(&h, &ir, 0));
    for (unsigned k = 0; k < h.region.exit_count; k++)
        if (h.region.exits[k].pc == 0x1000) {
            CHECK(h.region.exits[k].self_patch);
            host_x86_64.link(h.state, &h.region.exits[k], h.region.code);
        }
    for (unsigned k = 0; k < 14; k++)
        h.cpu.s.r[k] = 100 + k;
    h.cpu.s.r[12] = 0x100000;
    h.cpu.s.r[13] = 5;
    CHECK_EQ(hr_run(&h, &flags), IR_LEFT_JMP);
    CHECK_EQ(h.cpu.s.pc, 0x100c);
    CHECK_EQ(h.cpu.s.r[12], 0x100000 + 8000);
    CHECK_EQ(h.cpu.s.r[13], 5 + 1000 * 1001 / 2);
    for (unsigned k = 0; k < 12; k++)
        CHECK_EQ(h.cpu.s.r[k], 100 + k);
    /* a fault in the middle: the memory ends before the loop does */
    h.cpu.s.r[12] = 0x100000 + 8 * 1000;
    h.cpu.s.r[13] = 7;
    CHECK_EQ(hr_run(&h, &flags), IRGEN_RAISED);
    CHECK_EQ(h.cpu.s.pc, 0x1004);
    CHECK_EQ(h.cpu.s.r[12], 0x100000 + IRGEN_MEM_SIZE);
    CHECK_EQ(h.cpu.s.r[13], 7 + 8191 * 8192 / 2 - 1000 * 1001 / 2);
    for (unsigned k = 0; k < 12; k++)
        CHECK_EQ(h.cpu.s.r[k], 100 + k);
    /* and unlinked: one round */
    for (unsigned k = 0; k < h.region.exit_count; k++)
        if (h.region.exits[k].self_patch)
            host_x86_64.unlink(h.state, &h.region.exits[k]);
    h.cpu.s.r[12] = 0x100000;
    h.cpu.s.r[13] = 0;
    CHECK_EQ(hr_run(&h, &flags), IR_LEFT_JMP);
    CHECK_EQ(h.cpu.s.pc, 0x1000);
    CHECK_EQ(h.cpu.s.r[12], 0x100008);
    CHECK_EQ(h.cpu.s.r[13], 1);
    for (unsigned k = 0; k < 12; k++)
        CHECK_EQ(h.cpu.s.r[k], 100 + k);
    end();
}

/* An indirect jump finds its target by host_jump_hash(). */
static void jump_cache(unsigned mode)
{
    struct host_jump_entry *j;
    struct host_region target;
    gva_t pc = 0x7f1234567894;
    unsigned flags;

    begin(mode);
    ir_begin(&ir, pc);
    ir_insn_start(&ir, pc);
    set_r(0, ir_const(&ir, IR_I64, 42));
    ir_exit_jmp(&ir, pc + 4, 0);
    CHECK(hr_compile(&h, &ir, 0));
    target = h.region;
    j = &h.jumps[host_jump_hash(pc, HR_JUMP_BITS, HR_JUMP_SHIFT)];
    *j = (struct host_jump_entry){ pc, h.cpu.jump_tag, target.code };
    ir_begin(&ir, 0x1000);
    ir_insn_start(&ir, 0x1000);
    ir_exit_ind(&ir, r(1), IR_IND_JUMP);
    CHECK(hr_compile(&h, &ir, 0));
    h.cpu.s.r[1] = pc;
    hr_run(&h, &flags);
    CHECK_EQ(h.cpu.s.r[0], 42);
    end();
}

TEST(jump_cache)
{
    jump_cache(HR_SOFT);
    jump_cache(HR_DIRECT);
}

/* A call, the callee's return, and a return that is not the predicted one. */
TEST(predicted_returns)
{
    struct host_region callee, back, caller;
    unsigned flags;

    begin(HR_DIRECT);
    ir_begin(&ir, 0x2000);
    ir_insn_start(&ir, 0x2000);
    set_r(2, ir_addi(&ir, r(2), 1));
    ir_exit_ind(&ir, r(1), IR_IND_RET);
    CHECK(hr_compile(&h, &ir, 0));
    callee = h.region;
    ir_begin(&ir, 0x1004);
    ir_insn_start(&ir, 0x1004);
    set_r(3, ir_addi(&ir, r(3), 1));
    ir_put(&ir, g.slot_pc, ir_const(&ir, IR_I64, 0x1008));
    ir_exit_loop(&ir, IR_REASON_NEXT);
    CHECK(hr_compile(&h, &ir, 0));
    back = h.region;
    ir_begin(&ir, 0x1000);
    ir_insn_start(&ir, 0x1000);
    set_r(1, ir_add(&ir, r(4), ir_const(&ir, IR_I64, 0x1004)));
    ir_retaddr(&ir, 0x1004);
    ir_exit_jmp(&ir, 0x2000, 0);
    CHECK(hr_compile(&h, &ir, 0));
    caller = h.region;
    for (unsigned k = 0; k < caller.exit_count; k++)
        host_x86_64.link(h.state, &caller.exits[k],
                         caller.exits[k].pc == 0x2000 ? callee.code : back.code);
    CHECK_EQ(hr_run(&h, &flags), IR_LEFT_LOOP);
    CHECK_EQ(h.cpu.s.pc, 0x1008);
    CHECK_EQ(h.cpu.s.r[2], 1);
    CHECK_EQ(h.cpu.s.r[3], 1);
    h.cpu.s.r[4] = 0x100; /* returns to 0x1104, which nobody knows */
    CHECK_EQ(hr_run(&h, &flags), IR_LEFT_IND);
    CHECK_EQ(h.cpu.s.pc, 0x1104);
    CHECK_EQ(h.cpu.s.r[2], 2);
    CHECK_EQ(h.cpu.s.r[3], 1);
    end();
}
