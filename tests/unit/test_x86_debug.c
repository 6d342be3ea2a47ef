/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debug exceptions of the x86 guest (data breakpoints, instruction breakpoints, single step) and
 * the FERR# way of x87 exceptions, in small real-mode programs on a bare CPU, on the interpreter
 * and on the host backend.
 */
#include "cpu/engine.h"
#include "guest/x86/sys.h"
#include "loop/loop.h"
#include "tests/unit/test.h"

enum { RAM_SIZE = 1 << 20, PROGRAM = 0x1000, HANDLER = 0x2000, STACK = 0x8000, WATCHED = 0x500 };

struct rig {
    struct loop *loop;
    struct mem *mem, *ports;
    struct mem_region ram;
    struct cpu *cpu;
    struct x86_cpu *x;
    struct guest guest;
    uint8_t *host;
};

/* Ends the run at HLT: an interrupt is pending all the time and never taken. */
static bool wakes(const struct cpu *cpu, uint32_t events)
{
    if (cpu->halted) {
        cpu->engine->quit = true;
        cpu_leave((struct cpu *)cpu->engine->cpu);
    }
    return false;
}

static bool rig_init(struct rig *r, const char *accel)
{
    struct error err = { 0 };
    struct cpu_config config = { .accel = accel, .tb_size = 1 << 20 };
    struct x86_seg flat = { .limit = 0xffff, .flags = X86_SEG_P | X86_SEG_S | 3 };
    gra_t gra;

    memset(r, 0, sizeof(*r));
    r->loop = loop_new(&err);
    r->mem = mem_new(r->loop, "memory", 0, RAM_SIZE, &err);
    r->ports = mem_new(r->loop, "ports", 0x10000, 0, &err);
    if (!mem_ram_alloc(r->mem, RAM_SIZE, &gra, &err)) {
        TEST_FAIL("%s", err.msg);
        return false;
    }
    mem_region_init_ram(&r->ram, "ram", gra, RAM_SIZE);
    mem_map(r->mem, 0, &r->ram, 0);
    r->host = mem_ram_base(r->mem) + gra;
    r->guest = x86_guest;
    r->guest.wakes = wakes;
    config.mem = r->mem;
    config.ports = r->ports;
    config.loop = r->loop;
    r->cpu = cpu_new(&r->guest, &config, &err);
    if (!r->cpu) {
        TEST_FAIL("%s", err.msg);
        return false;
    }
    r->x = x86_of(r->cpu);
    for (unsigned n = 0; n < X86_SEG_COUNT; n++)
        x86_set_seg(r->x, n, &flat);
    r->x->gpr[X86_RSP] = STACK;
    r->host[1 * 4 + 1] = HANDLER >> 8;
    memcpy(r->host + HANDLER, "\x5a\xf4", 2); /* pop dx; hlt */
    return true;
}

static void rig_finish(struct rig *r)
{
    cpu_free(r->cpu);
    mem_free(r->ports);
    mem_free(r->mem);
    loop_free(r->loop);
}

static void run(struct rig *r, const char *code, unsigned size)
{
    memcpy(r->host + PROGRAM, code, size);
    r->x->rip = PROGRAM;
    r->cpu->halted = 0;
    cpu_flush_all(r->cpu);
    cpu_mode_changed(r->cpu);
    r->cpu->engine->quit = false;
    cpu_event_raise(r->cpu, CPU_EVENT_INTR);
    engine_thread(r->cpu);
}
#define RUN(r, code) run(r, code, sizeof(code) - 1)

static const char *const accels[] = { "interp", "tcg" };
#define EACH_ACCEL(r)                                                                              \
    for (unsigned a_ = 0; a_ < 2; a_++)                                                            \
        for (bool go_ = rig_init(r, accels[a_]); go_; go_ = false, rig_finish(r))

enum { RW_WRITE = 1, RW_ACCESS = 3, LEN_2 = 1 };

static void watch(struct rig *r, unsigned rw)
{
    r->x->dr[0] = WATCHED;
    r->x->dr[7] = 0x400 | 1 | rw << 16 | LEN_2 << 18;
}

TEST(a_write_breakpoint_traps_behind_the_store)
{
    struct rig r;

    EACH_ACCEL(&r)
    {
        watch(&r, RW_WRITE);
        /* mov ax,[500h]; mov word [504h],1; mov word [500h],1234h; inc bx; hlt */
        RUN(&r, "\xa1\x00\x05\xc7\x06\x04\x05\x01\x00\xc7\x06\x00\x05\x34\x12\x43\xf4");
        CHECK_EQ((uint16_t)r.x->gpr[X86_RDX], PROGRAM + 15);
        CHECK_EQ((uint16_t)r.x->gpr[X86_RBX], 0);
        CHECK_EQ(r.x->dr[6] & 15, 1);
        CHECK_EQ(r.host[WATCHED] | r.host[WATCHED + 1] << 8, 0x1234);
    }
}

TEST(an_access_breakpoint_traps_behind_the_load)
{
    struct rig r;

    EACH_ACCEL(&r)
    {
        watch(&r, RW_ACCESS);
        /* inc cx; mov ax,[500h]; inc bx; hlt */
        RUN(&r, "\x41\xa1\x00\x05\x43\xf4");
        CHECK_EQ((uint16_t)r.x->gpr[X86_RDX], PROGRAM + 4);
        CHECK_EQ((uint16_t)r.x->gpr[X86_RCX], 1);
        CHECK_EQ((uint16_t)r.x->gpr[X86_RBX], 0);
        CHECK_EQ(r.x->dr[6] & 15, 1);
    }
}

TEST(no_breakpoint_no_trap)
{
    struct rig r;

    EACH_ACCEL(&r)
    {
        watch(&r, RW_WRITE);
        r.x->dr[7] = 0x400; /* off */
        RUN(&r, "\xc7\x06\x00\x05\x34\x12\x43\xf4");
        CHECK_EQ((uint16_t)r.x->gpr[X86_RBX], 1);
        CHECK_EQ(r.x->dr[6] & 15, 0);
    }
}

TEST(an_instruction_breakpoint_faults_before_it)
{
    struct rig r;

    EACH_ACCEL(&r)
    {
        r.x->dr[1] = PROGRAM + 2;
        r.x->dr[7] = 0x400 | 1 << 2;
        RUN(&r, "\x41\x41\x43\x43\xf4"); /* inc cx; inc cx; inc bx; inc bx; hlt */
        CHECK_EQ((uint16_t)r.x->gpr[X86_RDX], PROGRAM + 2);
        CHECK_EQ((uint16_t)r.x->gpr[X86_RCX], 2);
        CHECK_EQ((uint16_t)r.x->gpr[X86_RBX], 0);
        CHECK_EQ(r.x->dr[6] & 15, 2);
    }
}

TEST(single_step_traps_after_one_instruction)
{
    struct rig r;

    EACH_ACCEL(&r)
    {
        x86_set_eflags(r.x, X86_TF, X86_TF);
        RUN(&r, "\x41\x43\xf4"); /* inc cx; inc bx; hlt */
        CHECK_EQ((uint16_t)r.x->gpr[X86_RDX], PROGRAM + 1);
        CHECK_EQ((uint16_t)r.x->gpr[X86_RCX], 1);
        CHECK_EQ((uint16_t)r.x->gpr[X86_RBX], 0);
        CHECK_EQ(r.x->dr[6] & (1 << 14), 1 << 14);
    }
}

static void note_ferr(void *opaque, bool asserted)
{
    *(int *)opaque = asserted;
}

TEST(an_x87_exception_asserts_ferr_and_waits)
{
    struct rig r;

    EACH_ACCEL(&r)
    {
        int ferr = -1;

        r.x->ferr = note_ferr;
        r.x->ferr_opaque = &ferr;
        memcpy(r.host + WATCHED, "\x7b\x03", 2); /* zero divide unmasked */
        /* fldcw [500h]; fld1; fldz; fdivp; inc bx; fwait; inc bx; hlt */
        RUN(&r, "\xd9\x2e\x00\x05\xd9\xe8\xd9\xee\xde\xf9\x43\x9b\x43\xf4");
        CHECK_EQ(ferr, 1);
        CHECK_EQ((uint16_t)r.x->gpr[X86_RBX], 1);
        CHECK_EQ(r.x->rip, PROGRAM + 11);
        r.x->ignne = true;                  /* as a write to port F0h does */
        run(&r, "\x9b\x43\xdb\xe2\xf4", 5); /* fwait; inc bx; fnclex; hlt */
        CHECK_EQ((uint16_t)r.x->gpr[X86_RBX], 2);
        CHECK_EQ(ferr, 0);
    }
}
