/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User mode of the engine with a toy guest: threads that share a cache, real SIGSEGVs, code that
 * changes, fork, kicks and exclusive sections, on the interpreter and on the host backend.
 *
 * Toy code: four bytes each, { op, d, s, i }. Eight 64-bit registers; code and data lie in one
 * mapping of PAGES pages at `mem`, whose watched pages are write-protected.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cpu/engine.h"
#include "tests/unit/test.h"

enum { OP_ADDI, OP_ADD, OP_LD, OP_ST, OP_BNZ, OP_JR, OP_CALL, OP_HLD, OP_HST, OP_AADD, OP_TRAP };
enum { PAGES = 64, REGS = 8, SLOT_PC = REGS, SLOT_COUNT, NR_EXIT = 99 };

struct toy {
    struct cpu c;
    uint64_t pc, r[REGS];
    uint64_t fault_va;
    int exception; /* 1: fetch, 2: trap */
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

static uint64_t do_load(struct cpu *cpu, uint64_t va)
{
    return cpu_load(cpu, va, 8, 0);
}
static void do_store(struct cpu *cpu, uint64_t va, uint64_t v)
{
    cpu_store(cpu, va, v, 8, 0);
}
static void do_trap(struct cpu *cpu)
{
    toy_of(cpu)->exception = 2;
    cpu_raise(cpu);
}
static const struct helper h_load = { "load", (helper_fn *)do_load, "i64 i64", 0 };
static const struct helper h_store = { "store", (helper_fn *)do_store, "- i64 i64", 0 };
static const struct helper h_trap = { "trap", (helper_fn *)do_trap, "-", 0 };

/* Returns false at the end of a region. */
static bool translate_one(struct ir *ir, const uint8_t *c, gva_t pc)
{
    ir_val none = IR_NO_VAL, v;
    unsigned label;

    ir_insn_start(ir, pc);
    switch (c[0]) {
    case OP_ADDI: ir_put(ir, c[1], ir_addi(ir, ir_get(ir, c[2]), (int8_t)c[3])); return true;
    case OP_ADD: ir_put(ir, c[1], ir_add(ir, ir_get(ir, c[2]), ir_get(ir, c[3]))); return true;
    case OP_LD: ir_put(ir, c[1], ir_ld(ir, IR_I64, ir_get(ir, c[2]), (int8_t)c[3], 3)); return true;
    case OP_ST: ir_st(ir, ir_get(ir, c[2]), (int8_t)c[3], ir_get(ir, c[1]), 3); return true;
    case OP_HLD:
        v = ir_call(ir, &h_load, ir_get(ir, c[2]), none, none, none);
        ir_put(ir, c[1], v);
        return true;
    case OP_HST: ir_call(ir, &h_store, ir_get(ir, c[2]), ir_get(ir, c[1]), none, none); return true;
    case OP_AADD:
        v = ir_atomic(ir, IR_AT_ADD, ir_get(ir, c[2]), ir_get(ir, c[1]), none);
        ir_put(ir, c[3], v);
        return true;
    case OP_BNZ:
        label = ir_new_label(ir);
        ir_brcondi(ir, IR_EQ, ir_get(ir, c[1]), 0, label);
        ir_exit_jmp(ir, pc + (uint64_t)(4 * (int8_t)c[3]), IR_EXIT_POLL);
        ir_label(ir, label);
        ir_exit_jmp(ir, pc + 4, 0);
        return false;
    case OP_JR: ir_exit_ind(ir, ir_get(ir, c[1]), IR_IND_JUMP); return false;
    case OP_CALL:
        ir_put(ir, SLOT_PC, ir_const(ir, IR_I64, (int64_t)pc + 4));
        ir_exit_loop(ir, IR_REASON_SYSCALL);
        return false;
    default:
        ir_call(ir, &h_trap, none, none, none, none);
        ir_put(ir, SLOT_PC, ir_const(ir, IR_I64, (int64_t)pc + 4));
        ir_exit_loop(ir, IR_REASON_NEXT);
        return false;
    }
}

static void toy_translate(struct cpu *cpu, struct ir *ir, struct translation *t)
{
    gva_t pc = t->pc;
    uint8_t c[4];

    for (unsigned n = 0;; n++, pc += 4) {
        if (cpu_fetch(cpu, pc, c, 4) != 4) {
            if (!n)
                t->fault = true;
            else
                ir_exit_jmp(ir, pc, 0);
            return;
        }
        ir->insn_count++;
        t->size = (uint32_t)(pc + 4 - t->pc);
        if (!translate_one(ir, c, pc))
            return;
        if (n + 1 == t->max_insns) {
            ir_exit_jmp(ir, pc + 4, 0);
            return;
        }
    }
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
static void toy_fetch_fault(struct cpu *cpu, gva_t va)
{
    toy_of(cpu)->exception = 1;
    toy_of(cpu)->fault_va = va;
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
    .user_init = toy_reset,
    .fetch_fault = toy_fetch_fault,
    .translate = toy_translate,
    .compute_mode = toy_mode,
    .linear_pc = toy_linear,
};

/* ---- what user/ does ---- */

static uint8_t *mem;
static uint64_t base; /* host address = guest address + base */
static _Atomic bool watched[PAGES];
static _Atomic unsigned write_faults;
static _Thread_local struct cpu *current;
static _Thread_local uint64_t fault_at;

static bool may_exec(void *opaque, gva_t va)
{
    uint64_t off = va + base - (uint64_t)mem;

    return off < (PAGES - 1) * 4096;
}

static void watch_code(void *opaque, gva_t page)
{
    uint64_t off = page + base - (uint64_t)mem;

    watched[off >> 12] = true;
    mprotect(mem + off, 4096, PROT_READ);
}

static void on_segv(int sig, siginfo_t *info, void *uc)
{
    uint64_t off = (uint64_t)info->si_addr - (uint64_t)mem;

    if (!current || !cpu_signal_is_guest(current, uc)) {
        signal(sig, SIG_DFL);
        return;
    }
    if (off < PAGES * 4096 && atomic_exchange(&watched[off >> 12], false)) {
        write_faults++;
        mprotect(mem + (off & ~UINT64_C(4095)), 4096, PROT_READ | PROT_WRITE);
        if (cpu_code_written(current, ((uint64_t)info->si_addr - base) & ~UINT64_C(4095), 4096))
            cpu_signal_restart(current, uc);
        return;
    }
    fault_at = (uint64_t)info->si_addr - base;
    cpu_signal_leave(current, uc);
}

static struct cpu_user user = { .may_exec = may_exec, .watch_code = watch_code };

static struct toy *rig_init(const char *accel, uint64_t guest_base)
{
    struct error err = { 0 };
    struct cpu_config config = { .accel = accel, .tb_size = 1 << 20, .user = &user };
    struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_NODEFER };
    struct cpu *cpu;

    sigaction(SIGSEGV, &sa, NULL);
    mem = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    base = user.base = guest_base;
    memset((void *)watched, 0, sizeof(watched));
    write_faults = 0;
    cpu = cpu_new(&toy_guest, &config, &err);
    if (!cpu) {
        TEST_FAIL("%s", err.msg);
        return NULL;
    }
    cpu->engine->cache->verify = true;
    current = cpu;
    return toy_of(cpu);
}

static void rig_finish(struct toy *t)
{
    cpu_free(&t->c);
    munmap(mem, PAGES * 4096);
    current = NULL;
}

static const struct {
    const char *accel;
    uint64_t base;
} rigs[] = { { "interp", 0 }, { "tcg", 0 }, { "tcg", 0x10000 } };
#define EACH_RIG(t)                                                                                \
    for (unsigned a_ = 0; a_ < ARRAY_SIZE(rigs); a_++)                                             \
        for (struct toy *t = rig_init(rigs[a_].accel, rigs[a_].base); t; rig_finish(t), t = NULL)

/* Guest address of an offset in mem. */
static uint64_t at(uint64_t off)
{
    return (uint64_t)mem + off - base;
}

static void put_code(unsigned off, const uint8_t (*insns)[4], unsigned n)
{
    memcpy(mem + off, insns, n * 4);
}
#define CODE(off, ...)                                                                             \
    put_code(off, (const uint8_t[][4]){ __VA_ARGS__ },                                             \
             sizeof((const uint8_t[][4]){ __VA_ARGS__ }) / 4)

static enum cpu_left run_from(struct toy *t, unsigned off)
{
    t->pc = at(off);
    return cpu_run(&t->c);
}

/* ---- one thread ---- */

TEST(calls_and_loops)
{
    EACH_RIG(t)
    {
        CODE(0, { OP_ADD, 1, 1, 0 }, { OP_ADDI, 0, 0, 0xff }, { OP_BNZ, 0, 0, (uint8_t)-2 },
             { OP_CALL }, { OP_ADDI, 2, 2, 3 }, { OP_CALL }, { OP_TRAP });
        t->r[0] = 1000;
        CHECK_EQ(run_from(t, 0), CPU_LEFT_SYSCALL);
        CHECK_EQ(t->r[1], 500500);
        CHECK_EQ(t->pc, at(16));
        CHECK_EQ(cpu_run(&t->c), CPU_LEFT_SYSCALL);
        CHECK_EQ(t->r[2], 3);
        CHECK_EQ(cpu_run(&t->c), CPU_LEFT_EXCEPTION);
        CHECK_EQ(t->exception, 2);
        CHECK_EQ(t->pc, at(24));
    }
}

TEST(faults_show_exact_state)
{
    static const uint8_t ops[4] = { OP_LD, OP_HLD, OP_ST, OP_HST };

    EACH_RIG(t)
    {
        mprotect(mem + 0x9000, 4096, PROT_NONE);
        for (unsigned k = 0; k < 4; k++) {
            memset(t->r, 0, sizeof(t->r));
            mprotect(mem, 4096, PROT_READ | PROT_WRITE);
            cpu_code_written(&t->c, at(0), 4096);
            CODE(0, { OP_ADDI, 2, 2, 5 }, { OP_ADDI, 1, 1, 7 }, { OP_ADDI, 3, 2, 1 },
                 { ops[k], 3, 5, 0 }, { OP_ADDI, 2, 2, 1 }, { OP_ADDI, 0, 3, 1 }, { OP_CALL });
            t->r[5] = at(0x9010);
            CHECK_EQ(run_from(t, 0), CPU_LEFT_FAULT);
            CHECK_EQ(fault_at, at(0x9010));
            CHECK_EQ(t->pc, at(12));
            CHECK_EQ(t->r[2], 5);
            CHECK_EQ(t->r[1], 7);
            CHECK_EQ(t->r[3], 6);
            CHECK_EQ(t->r[0], 0);
            mprotect(mem + 0x9000, 4096, PROT_READ | PROT_WRITE);
            CHECK_EQ(cpu_run(&t->c), CPU_LEFT_SYSCALL);
            CHECK_EQ(t->r[2], 6);
            CHECK_EQ(t->r[0], k < 2 ? t->r[3] + 1 : 7);
            mprotect(mem + 0x9000, 4096, PROT_NONE);
        }
    }
}

TEST(fetch_faults)
{
    EACH_RIG(t)
    {
        CHECK_EQ(run_from(t, (PAGES - 1) * 4096), CPU_LEFT_EXCEPTION); /* may_exec says no */
        CHECK_EQ(t->exception, 1);
        CHECK_EQ(t->fault_va, at((PAGES - 1) * 4096));
        mprotect(mem + 0x5000, 4096, PROT_NONE); /* the read faults */
        user.watch_code = NULL;
        t->exception = 0;
        user.watch_code = watch_code;
        munmap(mem + 0x5000, 4096);
        CHECK_EQ(run_from(t, 0x5000), CPU_LEFT_EXCEPTION);
        CHECK_EQ(t->exception, 1);
        CHECK_EQ(t->fault_va, at(0x5000));
    }
}

TEST(code_that_changes_the_next_instruction)
{
    const uint8_t insn[8] = { OP_ADDI, 2, 2, 9, OP_CALL };
    uint64_t bytes;

    memcpy(&bytes, insn, 8);
    EACH_RIG(t)
    {
        CODE(0x40, { OP_ADDI, 3, 3, 1 }, { OP_ST, 1, 5, 0 }, { OP_ADDI, 2, 2, 1 }, { OP_CALL });
        t->r[1] = bytes;
        t->r[5] = at(0x48);
        CHECK_EQ(run_from(t, 0x40), CPU_LEFT_SYSCALL);
        CHECK_EQ(t->r[2], 9);
        CHECK_EQ(t->r[3], 1);
        CHECK_EQ(write_faults, 1);
    }
}

/* A loop that writes its own page each time round, and a function there whose constant changes. */
TEST(pages_that_flip)
{
    EACH_RIG(t)
    {
        /* r0 count, r5 function, r6 its first word + 0x01000000 each time, r7 sum, r1 return */
        CODE(0, { OP_ST, 6, 5, 0 }, { OP_JR, 5 });
        CODE(8, { OP_ADD, 6, 6, 3 }, { OP_ADDI, 0, 0, 0xff }, { OP_BNZ, 0, 0, (uint8_t)-4 },
             { OP_CALL });
        CODE(0x1100, { OP_ADDI, 7, 7, 0 }, { OP_JR, 1 });
        memcpy(&t->r[6], mem + 0x1100, 8);
        t->r[3] = 1 << 24;
        t->r[0] = 100;
        t->r[5] = at(0x1100);
        t->r[1] = at(8);
        CHECK_EQ(run_from(t, 0), CPU_LEFT_SYSCALL);
        CHECK_EQ(t->r[7], 4950);
        CHECK(write_faults < 60);
    }
}

TEST(kick_before_and_while_running)
{
    EACH_RIG(t)
    {
        CODE(0, { OP_ADDI, 0, 0, 1 }, { OP_CALL });
        cpu_kick(&t->c);
        CHECK_EQ(run_from(t, 0), CPU_LEFT_EVENT);
        CHECK_EQ(t->r[0], 0);
        CHECK_EQ(cpu_run(&t->c), CPU_LEFT_SYSCALL);
        CHECK_EQ(t->r[0], 1);
    }
}

TEST(code_cache_overflows)
{
    EACH_RIG(t)
    {
        for (unsigned round = 0; round < 400; round++) {
            for (unsigned p = 0; p < 16; p++) {
                uint8_t insn[4] = { OP_BNZ, 3, 0, 1 };

                if (watched[p])
                    mprotect(mem + p * 4096, 4096, PROT_READ | PROT_WRITE);
                watched[p] = false;
                cpu_code_written(&t->c, at(p * 4096), 4096);
                for (unsigned n = 0; n < 16; n++)
                    memcpy(mem + p * 4096 + n * 4, insn, 4);
            }
            CODE(64, { OP_ADDI, 1, 1, 1 }, { OP_CALL });
            run_from(t, 0);
        }
        CHECK_EQ(t->r[1], 400);
    }
}

/* ---- threads ---- */

struct worker {
    pthread_t thread;
    struct toy *t;
    unsigned from;
    enum cpu_left left;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    current = &w->t->c;
    w->left = run_from(w->t, w->from);
    return NULL;
}

static void start(struct worker *w, struct toy *parent, unsigned from)
{
    struct error err;

    w->t = toy_of(cpu_clone(&parent->c, &err));
    w->from = from;
    pthread_create(&w->thread, NULL, work, w);
}

static void join(struct worker *w)
{
    pthread_join(w->thread, NULL);
    cpu_free(&w->t->c);
}

TEST(threads_add_atomically)
{
    EACH_RIG(t)
    {
        struct worker w[4];

        CODE(0, { OP_AADD, 1, 5, 3 }, { OP_ADDI, 0, 0, 0xff }, { OP_BNZ, 0, 0, (uint8_t)-2 },
             { OP_CALL });
        t->r[5] = at(0x4000);
        t->r[1] = 1;
        t->r[0] = 20000;
        cpu_set_parallel(&t->c);
        for (unsigned n = 0; n < 4; n++)
            start(&w[n], t, 0);
        run_from(t, 0);
        for (unsigned n = 0; n < 4; n++)
            join(&w[n]);
        CHECK_EQ(*(uint64_t *)(mem + 0x4000), 100000);
    }
}

/* One thread calls a function without end; the other makes it leave. */
TEST(one_thread_patches_what_another_runs)
{
    EACH_RIG(t)
    {
        struct worker w;

        CODE(0, { OP_ADDI, 2, 2, 1 }, { OP_JR, 5 });      /* caller */
        CODE(0x2000, { OP_ADDI, 3, 3, 1 }, { OP_JR, 1 }); /* function */
        CODE(0x3000, { OP_ST, 6, 5, 0 }, { OP_CALL });    /* patcher */
        t->r[5] = at(0x2000);
        t->r[1] = at(0);
        t->r[6] = OP_CALL;
        cpu_set_parallel(&t->c);
        start(&w, t, 0);
        usleep(2000);
        CHECK_EQ(run_from(t, 0x3000), CPU_LEFT_SYSCALL);
        join(&w);
        CHECK_EQ(w.left, CPU_LEFT_SYSCALL);
    }
}

TEST(exclusive_sections)
{
    EACH_RIG(t)
    {
        struct worker w[2];
        volatile uint64_t *count = (uint64_t *)(mem + 0x4000);

        CODE(0, { OP_AADD, 1, 5, 3 }, { OP_BNZ, 1, 0, (uint8_t)-1 }, { OP_CALL });
        t->r[5] = at(0x4000);
        t->r[1] = 1;
        cpu_set_parallel(&t->c);
        for (unsigned n = 0; n < 2; n++)
            start(&w[n], t, 0);
        for (unsigned n = 0; n < 20; n++) {
            uint64_t seen;

            usleep(100);
            cpu_exclusive_begin(&t->c);
            seen = *count;
            usleep(100);
            CHECK_EQ(*count, seen);
            if (n == 10)
                engine_flush_blocks(t->c.engine);
            cpu_exclusive_end(&t->c);
        }
        for (unsigned n = 0; n < 2; n++) {
            cpu_kick(&w[n].t->c);
            join(&w[n]);
            CHECK_EQ(w[n].left, CPU_LEFT_EVENT);
        }
    }
}

/* Threads run functions whose bytes another stores anew without end, in a cache that overflows, and
 * are kicked meanwhile. */
static void *churn_work(void *arg)
{
    struct worker *w = arg;

    current = &w->t->c;
    w->t->pc = at(w->from);
    while ((w->left = cpu_run(current)) == CPU_LEFT_EVENT)
        ;
    return NULL;
}

TEST(threads_while_code_is_rewritten)
{
    enum { FUNCTIONS = 16, ROUNDS = 3000 };

    EACH_RIG(t)
    {
        struct worker w[3];
        bool done[3] = { 0 };
        uint8_t insn[4] = { OP_ADDI, 5, 5, 127 };

        /* r0 rounds, r5 next function, r6 the first one's address, r1 return address, r3 sum */
        CODE(0, { OP_ADDI, 5, 6, 0 }, { OP_ADDI, 4, 7, 0 }, { OP_JR, 5 });
        CODE(12, { OP_ADDI, 4, 4, 0xff }, { OP_BNZ, 4, 0, 4 }, { OP_ADDI, 0, 0, 0xff },
             { OP_BNZ, 0, 0, (uint8_t)-6 }, { OP_CALL }, { OP_JR, 5 });
        for (unsigned f = 0; f < FUNCTIONS;
             f++) { /* 0x400 bytes each; the last leaves r5 at the next */
            for (unsigned n = 0; n < 8; n++)
                memcpy(mem + 0x8000 + f * 0x400 + n * 4, insn, 4);
            CODE(0x8000 + f * 0x400 + 32, { OP_ADDI, 5, 5, 8 }, { OP_ADDI, 3, 3, 1 }, { OP_JR, 1 });
        }
        t->r[0] = ROUNDS;
        t->r[6] = at(0x8000);
        t->r[7] = FUNCTIONS;
        t->r[1] = at(12);
        cpu_set_parallel(&t->c);
        for (unsigned n = 0; n < 3; n++) {
            struct error err;

            w[n] = (struct worker){ .t = toy_of(cpu_clone(&t->c, &err)) };
            pthread_create(&w[n].thread, NULL, churn_work, &w[n]);
        }
        for (unsigned k = 0, left = 3; left; k++) {
            unsigned f = k % FUNCTIONS;
            uint64_t bytes;

            memcpy(&bytes, mem + 0x8000 + f * 0x400, 8);
            t->r[2] = bytes;
            t->r[4] = at(0x8000 + f * 0x400);
            CODE(0x3000, { OP_ST, 2, 4, 0 }, { OP_CALL });
            run_from(t, 0x3000);
            mprotect(mem + 0x3000, 4096, PROT_READ | PROT_WRITE);
            watched[3] = false;
            cpu_code_written(&t->c, at(0x3000), 4096);
            cpu_kick(&w[k % 3].t->c);
            if (k % 64 == 0) {
                cpu_exclusive_begin(&t->c);
                engine_flush_blocks(t->c.engine);
                cpu_exclusive_end(&t->c);
            }
            for (unsigned n = 0; n < 3; n++)
                if (!done[n] && !pthread_tryjoin_np(w[n].thread, NULL)) {
                    done[n] = true;
                    left--;
                }
        }
        for (unsigned n = 0; n < 3; n++) {
            CHECK_EQ(w[n].left, CPU_LEFT_SYSCALL);
            CHECK_EQ(w[n].t->r[3], (uint64_t)ROUNDS * FUNCTIONS);
            cpu_free(&w[n].t->c);
        }
    }
}

/* Both go on at once, and what the parent translates and links meanwhile is not the child's. */
TEST(fork_has_code_of_its_own)
{
    EACH_RIG(t)
    {
        int status = 0;
        pid_t pid;

        CODE(0, { OP_ADDI, 2, 2, 1 }, { OP_BNZ, 0, 0, 3 }, { OP_ADDI, 3, 3, 1 }, { OP_CALL });
        CODE(16, { OP_ADDI, 4, 4, 1 }, { OP_CALL });
        CODE(0x1000, { OP_ST, 6, 5, 0 }, { OP_CALL });
        run_from(t, 0);
        t->r[5] = at(0);
        t->r[6] = OP_ADDI | 2 << 8 | 2 << 16 | 7 << 24 | (uint64_t)(OP_BNZ | 3 << 24) << 32;
        cpu_fork_prepare(&t->c);
        pid = fork();
        if (!pid) {
            usleep(20000);
            cpu_fork_child(&t->c);
            t->r[0] = 1; /* the exit that the parent links now */
            run_from(t, 0);
            run_from(t, 0x1000); /* patches */
            t->r[2] = 0;
            run_from(t, 0);
            _exit((int)(t->r[2] * 10 + t->r[4]));
        }
        cpu_fork_parent(&t->c);
        t->r[0] = 1;
        run_from(t, 0);
        run_from(t, 0);
        CHECK_EQ(t->r[4], 2);
        waitpid(pid, &status, 0);
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), 72);
        t->r[2] = 0;
        run_from(t, 0);
        CHECK_EQ(t->r[2], 1);
    }
}
