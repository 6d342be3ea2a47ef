/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random x86 instructions on random states, on the host processor and in a guest; registers, flags,
 * memory, FPU and SSE state must agree, and so must the exception. 64-bit and 32-bit
 * (compatibility) code; both engines.
 *
 *   x86_random [-n STATES] [-s SEED] [-b 64|32] [-a tcg|interp] [-k]      default: 4000 of each of
 * the four kinds, seed 1
 *
 * The same bytes run in both worlds: batches of cases, each a stub that loads a state, executes one
 * instruction and saves the state, at the same addresses natively and in the guest, whose page
 * tables map memory one to one. x86_random_case.c chooses cases.
 */
#include "x86_random.h"

#include <getopt.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/endian.h"
#include "cpu/engine.h"
#include "guest/x86/x86.h"
#include "loop/loop.h"

enum {
    BATCH = 256,
    STOP_PORT = 0x501,
    GUEST_RAM = 0x10800000,
    SEL_CODE64 = 0x10,
    SEL_CODE32 = 0x20
};

/* Places in the guest, and the same natively (mapped there at start). */
enum {
    CODE = AREA,
    CODE_SIZE = 0x100000,
    SYS = AREA + 0x100000, /* page tables 0..0x6fff (GDT last), IDT, TSS, handlers */
    IDT = SYS + 0x8000,
    TSS = SYS + 0x9000,
    HANDLERS = SYS + 0xa000,
    IST_TOP = SYS + 0x10000,
    VARS = SYS + 0x10000, /* struct vars */
    DATA = AREA + 0x200000,
    AREA_SIZE = 0x200000 + BATCH * sizeof(struct case_data),
};

struct vars {
    uint64_t resume, host_rsp, vector, done;
    uint8_t far_ptr[16];
};

static struct case_data *const data = (struct case_data *)(uintptr_t)DATA;
static struct vars *const vars = (struct vars *)(uintptr_t)VARS;

/* ---- assembling the stubs ---- */

struct code {
    uint8_t *start, *p;
};

static void bytes(struct code *c, const char *hex)
{
    for (; *hex; hex += 2 + (hex[2] == ' ')) {
        unsigned v;
        sscanf(hex, "%2x", &v);
        *c->p++ = (uint8_t)v;
    }
}

static void imm32(struct code *c, uintptr_t v)
{
    st_le32(c->p, (uint32_t)v);
    c->p += 4;
}

/* opcode with ModRM /reg and an absolute 32-bit address: by SIB in 64-bit code, plain in 32-bit
 * code */
static void op_abs(struct code *c, unsigned bits, const char *opcode, unsigned reg, const void *at)
{
    bytes(c, opcode);
    *c->p++ = (uint8_t)((reg & 7) << 3 | (bits == 64 ? 4 : 5));
    if (bits == 64)
        *c->p++ = 0x25;
    imm32(c, (uintptr_t)at);
}

/* MOV between general register and memory; opcode 8b or 89. */
static void mov_reg(struct code *c, unsigned bits, bool load, unsigned reg, const void *at)
{
    if (bits == 64)
        *c->p++ = 0x48 | (reg >= 8 ? 4 : 0);
    op_abs(c, bits, load ? "8b" : "89", reg, at);
}

/* Change of code size: far jump to what follows. */
static void to_bits(struct code *c, unsigned from, unsigned selector, unsigned n)
{
    if (from == 64) {
        uint8_t *ptr = vars->far_ptr + n * 8;
        op_abs(c, 64, "ff", 5, ptr);
        st_le32(ptr, (uint32_t)(uintptr_t)c->p);
        st_le16(ptr + 4, (uint16_t)selector);
    } else {
        *c->p++ = 0xea;
        imm32(c, (uintptr_t)c->p + 6);
        st_le16(c->p, (uint16_t)selector);
        c->p += 2;
    }
}

/* The stub of one case; falls through to the next. The far pointer lies in the case's data, for
 * each has its own. */
static void emit_case(struct code *c, struct case_data *d, bool native)
{
    unsigned regs = d->bits == 64 ? 16 : 8;

    op_abs(c, 64, "0f ae", 1, d->fx_in); /* fxrstor */
    mov_reg(c, 64, true, 0, &d->resume_value);
    mov_reg(c, 64, false, 0, &vars->resume);
    bytes(c, "48 c7"), c->p[0] = 0x04, c->p[1] = 0x25, c->p += 2,
                       imm32(c, (uintptr_t)&vars->vector), imm32(c, NO_VECTOR);
    op_abs(c, 64, "ff", 6, &d->flags_in); /* push, popf */
    bytes(c, "9d");
    if (d->bits == 32) {
        op_abs(c, 64, "ff", 5, d->far_ptr); /* ljmp */
        st_le32(d->far_ptr, (uint32_t)(uintptr_t)c->p);
        st_le16(d->far_ptr + 4, native ? 0x23 : SEL_CODE32);
    }
    for (unsigned r = 0; r < regs; r++)
        mov_reg(c, d->bits, true, r, &d->in[r]);
    d->insn_at = (uintptr_t)c->p;
    memcpy(c->p, d->insn, d->len);
    c->p += d->len;
    d->resume_value = (uintptr_t)c->p;
    for (unsigned r = 0; r < regs; r++)
        mov_reg(c, d->bits, false, r, &d->out[r]);
    if (d->bits == 32)
        to_bits(c, 32, native ? 0x33 : SEL_CODE64, 0);
    mov_reg(c, 64, true, 4, &vars->host_rsp);
    bytes(c, "9c"); /* pushf, pop */
    op_abs(c, 64, "8f", 0, &d->flags_out);
    bytes(c, "fc");
    op_abs(c, 64, "0f ae", 0, d->fx_out); /* fxsave */
    mov_reg(c, 64, true, 0, &vars->vector);
    mov_reg(c, 64, false, 0, &d->vector);
}

/* ---- native side ---- */

static sigjmp_buf native_out;
static volatile uintptr_t native_insn;

/* A fault at the instruction itself goes on at the saving code, with the vector noted; anything
 * else is our bug. */
static void on_signal(int sig, siginfo_t *si, void *context)
{
    ucontext_t *u = context;

    if ((uintptr_t)u->uc_mcontext.gregs[REG_RIP] != native_insn)
        siglongjmp(native_out, sig);
    vars->vector = (uint64_t)u->uc_mcontext.gregs[REG_TRAPNO];
    u->uc_mcontext.gregs[REG_RIP] = (greg_t)vars->resume;
}

static void native_init(void)
{
    static uint8_t stack[1 << 16];
    const stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction sa = { .sa_sigaction = on_signal,
                            .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    const int signals[] = { SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP };

    if (mmap((void *)(uintptr_t)AREA, AREA_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED) {
        perror("x86_random: memory for the native side");
        exit(1);
    }
    sigaltstack(&alt, NULL);
    for (size_t n = 0; n < ARRAY_SIZE(signals); n++)
        sigaction(signals[n], &sa, NULL);
}

/* Runs the case natively, alone. False: it cannot be used (it faulted elsewhere, or with what we do
 * not compare). */
static bool run_native(struct case_data *d)
{
    struct code c = { (uint8_t *)(uintptr_t)CODE, (uint8_t *)(uintptr_t)CODE };

    bytes(&c, "53 55 41 54 41 55 41 56 41 57"); /* push rbx rbp r12-r15 */
    if (d->bits == 32)
        bytes(&c, "b8 2b 00 00 00 8e d8 8e c0"); /* data segments for compatibility mode */
    mov_reg(&c, 64, false, 4, &vars->host_rsp);
    emit_case(&c, d, true);
    bytes(&c, "41 5f 41 5e 41 5d 41 5c 5d 5b c3");
    native_insn = d->insn_at;
    int sig = sigsetjmp(native_out, 1);
    if (!sig)
        ((void (*)(void))(uintptr_t)CODE)();
    __asm__ volatile("cld\n\tfninit\n\tldmxcsr %0" : : "m"((uint32_t){ 0x1f80 }));
    return !sig && (d->vector == NO_VECTOR || d->vector == X86_DE);
}

/* ---- guest side ---- */

struct rig {
    struct loop *loop;
    struct mem *mem, *ports;
    struct mem_region ram, stop;
    struct cpu *cpu;
    uint8_t *host; /* guest address 0 */
};

static uint64_t stop_read(void *opaque, uint64_t off, unsigned size)
{
    return 0;
}

/* The guest has finished its batch. */
static void stop_write(void *opaque, uint64_t off, uint64_t v, unsigned size)
{
    struct rig *r = opaque;

    r->cpu->engine->quit = true;
    atomic_store(&r->cpu->exit_request, 1);
}

static const struct mem_io_ops stop_ops = { stop_read, stop_write, .max_size = 4 };

static void die(const struct error *err)
{
    fprintf(stderr, "x86_random: %s\n", err->msg);
    exit(1);
}

static void rig_init(struct rig *r, const char *accel)
{
    struct error err = { 0 };
    struct cpu_config config = { .accel = accel, .model = "max", .tb_size = 32 << 20 };
    gra_t gra;

    memset(r, 0, sizeof(*r));
    if (!(r->loop = loop_new(&err)) || !(r->mem = mem_new(r->loop, "memory", 0, GUEST_RAM, &err)) ||
        !(r->ports = mem_new(r->loop, "io", 0x10000, 0, &err)) ||
        !mem_ram_alloc(r->mem, GUEST_RAM, &gra, &err))
        die(&err);
    mem_region_init_ram(&r->ram, "ram", gra, GUEST_RAM);
    mem_map(r->mem, 0, &r->ram, 0);
    mem_region_init_io(&r->stop, "stop", &stop_ops, r, 1);
    mem_map(r->ports, STOP_PORT, &r->stop, 0);
    config.mem = r->mem;
    config.ports = r->ports;
    config.loop = r->loop;
    if (!(r->cpu = cpu_new(&x86_guest, &config, &err)))
        die(&err);
    r->cpu->engine->cache->verify = true;
    r->host = mem_ram_base(r->mem) + gra;
}

static uint64_t features_of(const struct x86_cpu *x)
{
    uint64_t mask = 0;

    for (unsigned n = 1; n < X86_IFEAT_COUNT; n++)
        if (x86_has(x, x86_insn_feature_cpuid[n]))
            mask |= BIT(n);
    return mask;
}

static void rig_finish(struct rig *r)
{
    cpu_free(r->cpu);
    mem_free(r->ports);
    mem_free(r->mem);
    loop_free(r->loop);
}

/* Exception handlers: note the vector, return to the saving code with the faulting state's
 * registers and flags. */
static void write_handlers(struct rig *r)
{
    struct code c = { r->host + HANDLERS, r->host + HANDLERS };

    for (unsigned v = 0; v < 32; v++) {
        uint64_t at = HANDLERS + (uint64_t)(c.p - c.start);
        uint8_t *gate = r->host + IDT + v * 16;
        st_le32(gate, (uint32_t)((at & 0xffff) | SEL_CODE64 << 16));
        st_le32(gate + 4, (uint32_t)((at & 0xffff0000) | 0x8e01)); /* interrupt gate, IST 1 */
        st_le64(gate + 8, 0);
        if (v == 8 || (v >= 10 && v <= 14) || v == 17)
            bytes(&c, "48 8d 64 24 08"); /* drop the error code */
        bytes(&c, "50 48 c7"), *c.p++ = 0x04, *c.p++ = 0x25, imm32(&c, (uintptr_t)&vars->vector),
                               imm32(&c, v);
        mov_reg(&c, 64, true, 0, &vars->resume);
        bytes(&c, "48 89 44 24 08 58 48 cf"); /* mov [rsp+8], rax; pop rax; iretq */
    }
}

static void start_state(struct rig *r, unsigned bits)
{
    struct error err = { 0 };
    struct x86_boot_state boot = {
        .kind = X86_BOOT_LONG64, .rip = CODE, .rsp = SYS + 0x18000, .tables = SYS
    };
    struct x86_cpu *x = x86_of(r->cpu);

    cpu_reset(r->cpu);
    if (!x86_set_boot_state(r->cpu, &boot, &err))
        die(&err);
    st_le64(r->host + SYS + 0x6000 + SEL_CODE32, UINT64_C(0x00cf9b000000ffff));
    x->gdt.limit = 0x7f;
    write_handlers(r);
    st_le64(r->host + TSS + 36, IST_TOP);
    x->tr.base = TSS;
    x->idt.base = IDT;
    x->idt.limit = 32 * 16 - 1;
    x->cr4 |= X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    cpu_flush_all(r->cpu);
    cpu_mode_changed(r->cpu);
}

/* Runs n cases whose inputs are in `from`; the results are in the guest's memory afterwards. */
static void run_guest(struct rig *r, const struct case_data *from, unsigned n, unsigned bits)
{
    struct code c = { (uint8_t *)(uintptr_t)CODE, (uint8_t *)(uintptr_t)CODE };

    memcpy(data, from, n * sizeof(*data));
    mov_reg(&c, 64, false, 4, &vars->host_rsp);
    for (unsigned k = 0; k < n; k++)
        emit_case(&c, &data[k], false);
    bytes(&c, "ba 01 05 00 00 ee eb fe"); /* mov edx, STOP_PORT; out; jmp . */
    assert(c.p - c.start < CODE_SIZE);
    start_state(r, bits);
    memcpy(r->host + CODE, c.start, (size_t)(c.p - c.start));
    memcpy(r->host + DATA, data, n * sizeof(*data));
    r->cpu->engine->quit = false;
    engine_thread(r->cpu);
}

/* ---- comparing ---- */

static void print_case(const struct case_data *d, const char *what)
{
    printf("%u-bit %s:", d->bits, d->name);
    for (unsigned n = 0; n < d->len; n++)
        printf(" %02x", d->insn[n]);
    printf("  %s\n", what);
}

/* Native `a` against the guest's `b`. False and a report when they differ. */
static bool same_result(const struct case_data *a, const struct case_data *b)
{
    char why[160] = "";
    unsigned regs = a->bits == 64 ? 16 : 8;

    if (a->vector != b->vector)
        snprintf(why, sizeof(why), "vector %lld, guest %lld", (long long)a->vector,
                 (long long)b->vector);
    for (unsigned r = 0; r < regs && !*why; r++)
        if (a->bits == 64 ? a->out[r] != b->out[r] : (uint32_t)a->out[r] != (uint32_t)b->out[r])
            snprintf(why, sizeof(why), "register %u is %#llx, guest %#llx (was %#llx)", r,
                     (unsigned long long)a->out[r], (unsigned long long)b->out[r],
                     (unsigned long long)a->in[r]);
    uint64_t flags = a->flags_out ^ b->flags_out;
    if (!*why && flags & (X86_ARITH | X86_DF) & ~a->undefined)
        snprintf(why, sizeof(why), "flags %#x, guest %#x (were %#x)",
                 (unsigned)a->flags_out & 0xcd5, (unsigned)b->flags_out & 0xcd5,
                 (unsigned)a->flags_in & 0xcd5);
    for (unsigned n = 0; n < FX_COMPARED && !*why; n++)
        if (a->fx_out[n] != b->fx_out[n] && !case_fx_ignored(a, n))
            snprintf(why, sizeof(why), "FXSAVE byte %u is %02x, guest %02x", n, a->fx_out[n],
                     b->fx_out[n]);
    for (unsigned n = 0; n < sizeof(a->scratch) && !*why; n++)
        if (a->scratch[n] != b->scratch[n])
            snprintf(why, sizeof(why), "memory byte %u is %02x, guest %02x", n, a->scratch[n],
                     b->scratch[n]);
    if (*why)
        print_case(a, why);
    return !*why;
}

/* ---- main ---- */

static struct case_data fresh[BATCH], native[BATCH];

/* One batch of at most `want` cases; returns how many differ. */
static unsigned run_batch(struct rig *r, unsigned bits, unsigned want)
{
    unsigned bad = 0;

    for (unsigned k = 0; k < want;) {
        case_make(&data[k], bits);
        fresh[k] = data[k];
        if (!run_native(&data[k]))
            continue;
        if (getenv("X86_RANDOM_SHOW"))
            print_case(&data[k], "");
        native[k] = data[k];
        k++;
    }
    run_guest(r, fresh, want, bits);
    const struct case_data *guest = (const struct case_data *)(r->host + DATA);
    for (unsigned k = 0; k < want; k++)
        bad += !same_result(&native[k], &guest[k]);
    return bad;
}

static unsigned run_kind(const char *accel, unsigned bits, unsigned long states, bool keep_going)
{
    struct rig r;
    unsigned bad = 0;
    unsigned long done = 0;

    rig_init(&r, accel);
    case_features(features_of(x86_of(r.cpu)));
    while (done < states && (keep_going || bad < 20)) {
        unsigned n = (unsigned)MIN(states - done, (unsigned long)BATCH);
        bad += run_batch(&r, bits, n);
        done += n;
    }
    rig_finish(&r);
    printf("%s, %u-bit code: %lu states, %u differ\n", accel, bits, done, bad);
    return bad;
}

int main(int argc, char **argv)
{
    const char *accel = NULL;
    unsigned long states = 4000;
    unsigned only_bits = 0, bad_kinds = 0, kinds = 0;
    bool keep_going = false;
    int opt;

    setvbuf(stdout, NULL, _IOLBF, 0);
    while ((opt = getopt(argc, argv, "n:s:b:a:k")) != -1) {
        switch (opt) {
        case 'n': states = strtoul(optarg, NULL, 0); break;
        case 's': case_seed(strtoull(optarg, NULL, 0)); break;
        case 'b': only_bits = (unsigned)atoi(optarg); break;
        case 'a': accel = optarg; break;
        case 'k': keep_going = true; break;
        default:
            fprintf(stderr,
                    "usage: x86_random [-n STATES] [-s SEED] [-b 64|32] [-a tcg|interp] [-k]\n");
            return 2;
        }
    }
    native_init();
    static const char *const accels[] = { "interp", "tcg" };
    for (unsigned a = 0; a < 2; a++)
        for (unsigned bits = 64; bits >= 32; bits /= 2)
            if ((!accel || !strcmp(accel, accels[a])) && (!only_bits || bits == only_bits)) {
                bad_kinds += run_kind(accels[a], bits, states, keep_going) != 0;
                kinds++;
            }
    printf("%u passed, %u failed\n", kinds - bad_kinds, bad_kinds);
    return bad_kinds != 0;
}
