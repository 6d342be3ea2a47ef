/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several x86 vCPUs at once, bare: no firmware, no devices but their local APICs. The guest's code
 * is in this file as assembly, copied into guest RAM; each piece ends with HLT, interrupts off.
 * rdi is where a piece works, rcx how often, rbx the vCPU's number.
 */
#include <time.h>
#include <unistd.h>

#include "base/endian.h"
#include "board/x86_cpus.h"
#include "cpu/cpu.h"
#include "dev/device.h"
#include "dev/intc/lapic.h"
#include "guest/x86/x86.h"
#include "loop/loop.h"
#include "mem/dirty.h"
#include "mem/mem.h"
#include "tests/unit/test.h"

extern const struct board_type pc_board;

enum {
    TABLES = 0x10000, /* 8 pages for each vCPU */
    IDT = 0x60000,
    REAL_CODE = 0x70000,
    SMRAM = 0xa0000,
    CODE = 0x100000,
    DATA = 0x200000,
    STACK = 0x300000,
    RAM = 4 << 20,
    VECTOR = 0x40,
};

struct machine {
    struct loop *loop;
    struct board board;
    struct board_config config;
    struct x86_cpus cpus;
    struct apic_bus bus;
    struct mem_region ram, low, smram;
    gra_t gra;
};

static void ignore_reset(void *opaque, const char *why)
{
    TEST_FAIL("machine reset: %s", why);
}

static uint64_t hole_read(void *opaque, uint64_t off, unsigned size)
{
    return UINT64_MAX;
}

static void hole_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
}

static const struct mem_io_ops hole_ops = { .read = hole_read, .write = hole_write };

static void make(struct machine *m, unsigned cpus, const char *accel)
{
    struct error err;

    *m = (struct machine){ .config = { .cpus = cpus, .accel = accel } };
    m->loop = loop_new(&err);
    loop_lock(m->loop);
    m->board = (struct board){ .type = &pc_board,
                               .config = &m->config,
                               .loop = m->loop,
                               .events = { .reset = ignore_reset } };
    m->board.mem = mem_new(m->loop, "memory", 0, RAM, &err);
    m->board.ports = mem_new(m->loop, "io", 0x10000, 0, &err);
    CHECK(mem_ram_alloc(m->board.mem, RAM, &m->gra, &err));
    mem_region_init_ram(&m->ram, "ram", m->gra, RAM);
    mem_map(m->board.mem, 0, &m->ram, 0);
    /* A0000h is nothing but to system management mode */
    mem_region_init_io(&m->low, "hole", &hole_ops, NULL, 0x20000);
    mem_map(m->board.mem, SMRAM, &m->low, 5);
    m->board.smm_mem = mem_new_overlay(m->board.mem, "smm");
    mem_region_init_alias(&m->smram, "smram", &m->ram, SMRAM, 0x20000);
    mem_map(m->board.smm_mem, SMRAM, &m->smram, 0);
    CHECK(x86_cpus_make(&m->board, &err));
    CHECK(x86_cpus_make_lapics(&m->cpus, &m->board, &m->bus, 1, NULL, NULL, &err));
    x86_cpus_reset(&m->cpus, &m->board);
    loop_unlock(m->loop);
}

static void unmake(struct machine *m)
{
    for (unsigned i = 0; i < m->board.cpu_count; i++)
        cpu_stop(m->board.cpus[i]);
    loop_lock(m->loop);
    x86_cpus_free(&m->cpus, &m->board);
    mem_free(m->board.ports);
    mem_free(m->board.smm_mem);
    mem_free(m->board.mem);
    loop_unlock(m->loop);
    loop_free(m->loop);
}

static uint8_t *at(struct machine *m, gpa_t a)
{
    return mem_ram_base(m->board.mem) + m->gra + a;
}

static uint64_t word(struct machine *m, gpa_t a)
{
    return __atomic_load_n((uint64_t *)(void *)at(m, a), __ATOMIC_SEQ_CST);
}

/* Puts a vCPU, standing still, before the piece of code. */
static void place(struct machine *m, unsigned n, gpa_t rip, gpa_t rdi, uint64_t rcx)
{
    struct cpu *cpu = m->board.cpus[n];
    struct x86_cpu *x = x86_of(cpu);
    struct x86_boot_state s = { .kind = X86_BOOT_LONG64,
                                .rip = rip,
                                .rsp = STACK + (n + 1) * 0x4000,
                                .tables = TABLES + n * 0x8000 };
    struct error err;

    loop_lock(m->loop);
    CHECK(x86_set_boot_state(cpu, &s, &err));
    loop_unlock(m->loop);
    x->gpr[X86_RDI] = rdi;
    x->gpr[X86_RCX] = rcx;
    x->gpr[X86_RBX] = n;
    x->wait_sipi = false;
    cpu->halted = 0;
}

static void copy_code(struct machine *m, gpa_t to, const char *from, const char *end)
{
    memcpy(at(m, to), from, (size_t)(end - from));
}

static void start(struct machine *m)
{
    struct error err;

    for (unsigned i = 0; i < m->board.cpu_count; i++)
        CHECK(cpu_start(m->board.cpus[i], &err));
}

static bool all_halted(struct machine *m)
{
    for (unsigned i = 0; i < m->board.cpu_count; i++)
        if (!__atomic_load_n(&m->board.cpus[i]->halted, __ATOMIC_SEQ_CST))
            return false;
    return true;
}

static void wait_all(struct machine *m)
{
    for (unsigned ms = 0; ms < 60000; ms++) {
        if (all_halted(m))
            return;
        usleep(1000);
    }
    TEST_FAIL("vCPUs still run after a minute");
}

static void run(struct machine *m)
{
    start(m);
    wait_all(m);
}

#define PIECE(name, text)                                                                          \
    extern const char name[], name##_end[];                                                        \
    __asm__(".pushsection .rodata\n" #name ":\n" text "\n hlt\n" #name "_end:\n .popsection\n")

/* ---- atomic instructions ---- */

PIECE(p_inc, "1: lock incq (%rdi)\n dec %rcx\n jnz 1b");
PIECE(p_add, "mov $1, %eax\n 1: lock addl %eax, (%rdi)\n dec %rcx\n jnz 1b");
PIECE(p_sub, "1: lock subl $-1, (%rdi)\n dec %rcx\n jnz 1b");
PIECE(p_adc, "1: stc\n lock adcq $0, (%rdi)\n dec %rcx\n jnz 1b");
PIECE(p_xadd, "1: mov $1, %edx\n lock xaddq %rdx, (%rdi)\n dec %rcx\n jnz 1b");
PIECE(p_cas, "1: mov (%rdi), %rax\n 2: lea 1(%rax), %rdx\n lock cmpxchg %rdx, (%rdi)\n jnz 2b\n"
             "dec %rcx\n jnz 1b");
PIECE(p_cas8b, "mov %rcx, %rbp\n 1: mov (%rdi), %eax\n mov 4(%rdi), %edx\n"
               "2: mov %eax, %ebx\n mov %edx, %ecx\n add $1, %ebx\n adc $0, %ecx\n"
               "lock cmpxchg8b (%rdi)\n jnz 2b\n dec %rbp\n jnz 1b");
PIECE(p_cas16b, "mov %rcx, %rbp\n 1: mov (%rdi), %rax\n mov 8(%rdi), %rdx\n"
                "2: mov %rax, %rbx\n mov %rdx, %rcx\n add $1, %rbx\n adc $0, %rcx\n"
                "lock cmpxchg16b (%rdi)\n jnz 2b\n dec %rbp\n jnz 1b");
/* locks around a plain increment at 64(rdi), each by another instruction */
PIECE(p_xchg, "1: mov $1, %eax\n 2: xchg %eax, (%rdi)\n test %eax, %eax\n jz 3f\n pause\n jmp 2b\n"
              "3: incq 64(%rdi)\n movl $0, (%rdi)\n dec %rcx\n jnz 1b");
PIECE(p_bts, "1: lock btsq $63, (%rdi)\n jnc 2f\n pause\n jmp 1b\n"
             "2: incq 64(%rdi)\n lock btrq $63, (%rdi)\n dec %rcx\n jnz 1b");
PIECE(p_bitoff, "mov $77, %esi\n 1: lock btsl %esi, (%rdi)\n jnc 2f\n pause\n jmp 1b\n"
                "2: incq 64(%rdi)\n lock btcl %esi, (%rdi)\n dec %rcx\n jnz 1b");
/* and, or, not, neg leave no trace but their own bits: each vCPU owns one bit */
PIECE(p_bits, "mov %rcx, %rbp\n mov %ebx, %ecx\n mov $1, %eax\n shl %cl, %eax\n mov %eax, %edx\n"
              "not %edx\n 1: lock orl %eax, (%rdi)\n test %eax, (%rdi)\n jz 9f\n"
              "lock andl %edx, (%rdi)\n test %eax, (%rdi)\n jnz 9f\n lock xorl %eax, (%rdi)\n"
              "test %eax, (%rdi)\n jz 9f\n lock xorl %eax, (%rdi)\n dec %rbp\n jnz 1b\n hlt\n"
              "9: lock incq 64(%rdi)");

static const struct piece {
    const char *name, *from, *end;
    unsigned result;    /* where the count is, from rdi on */
    bool aligned, zero; /* must not be misaligned; the result is zero, not the count */
} pieces[] = {
    { "inc", p_inc, p_inc_end },
    { "add", p_add, p_add_end },
    { "sub", p_sub, p_sub_end },
    { "adc", p_adc, p_adc_end },
    { "xadd", p_xadd, p_xadd_end },
    { "cmpxchg", p_cas, p_cas_end },
    { "cmpxchg8b", p_cas8b, p_cas8b_end },
    { "cmpxchg16b", p_cas16b, p_cas16b_end, .aligned = true },
    { "xchg", p_xchg, p_xchg_end, .result = 64 },
    { "bts", p_bts, p_bts_end, .result = 64 },
    { "bts register", p_bitoff, p_bitoff_end, .result = 64 },
    { "or and xor", p_bits, p_bits_end, .result = 64, .zero = true },
};

static void count_with(const struct piece *p, const char *accel, unsigned cpus, gpa_t where,
                       uint64_t times)
{
    struct machine m;

    make(&m, cpus, accel);
    copy_code(&m, CODE, p->from, p->end);
    if (where >> 12 == CODE >> 12)
        CHECK(where >= CODE + (gpa_t)(p->end - p->from));
    for (unsigned i = 0; i < cpus; i++)
        place(&m, i, CODE, where, times);
    run(&m);
    if (word(&m, where + p->result) != (p->zero ? 0 : cpus * times))
        TEST_FAIL("%s at %#llx: %llu of %llu", p->name, (unsigned long long)where,
                  (unsigned long long)word(&m, where + p->result),
                  (unsigned long long)(cpus * times));
    unmake(&m);
}

TEST(atomic_in_plain_memory)
{
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        count_with(&pieces[i], "tcg", 2, DATA, 100000);
        count_with(&pieces[i], "interp", 2, DATA, 3000);
    }
}

/* No host pointer: the slow path, in an exclusive section. */
TEST(atomic_across_pages)
{
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
        if (!pieces[i].aligned)
            count_with(&pieces[i], "tcg", 3, DATA + 0xffe, 1000);
}

TEST(atomic_on_a_code_page)
{
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
        count_with(&pieces[i], "tcg", 2, CODE + 0x800, 1000);
}

/* ---- code that another vCPU changes ---- */

/* The writer changes an immediate, says so, and waits for the answer; the reader serialises, runs
 * it and answers what it got. */
PIECE(p_writer, "mov $1, %eax\n 1: movl %eax, 0x100401\n mov %eax, (%rdi)\n"
                "2: pause\n cmp %eax, 8(%rdi)\n jne 2b\n inc %eax\n dec %rcx\n jnz 1b");
PIECE(p_reader, "mov %rcx, %rbp\n mov $1, %esi\n 1: pause\n cmp %esi, (%rdi)\n jne 1b\n"
                "xor %eax, %eax\n cpuid\n mov $0x100400, %eax\n call *%rax\n mov %eax, 8(%rdi)\n"
                "inc %esi\n dec %rbp\n jnz 1b");
PIECE(p_changed, "mov $0x11111111, %eax\n ret");

static void cross_modify(const char *accel, unsigned rounds)
{
    struct machine m;

    make(&m, 2, accel);
    copy_code(&m, CODE, p_writer, p_writer_end);
    copy_code(&m, CODE + 0x1000, p_reader, p_reader_end);
    copy_code(&m, CODE + 0x400, p_changed, p_changed_end);
    place(&m, 0, CODE, DATA, rounds);
    place(&m, 1, CODE + 0x1000, DATA, rounds);
    run(&m);
    CHECK_EQ((uint32_t)word(&m, DATA + 8), rounds);
    unmake(&m);
}

TEST(cross_modified_code)
{
    cross_modify("tcg", 3000);
    cross_modify("interp", 300);
}

/* A loop that nothing ends but the other's change of its jump. */
PIECE(p_endless, "movl $1, 8(%rdi)\n 1: inc %rax\n jmp 1b");
PIECE(p_breaker, "1: pause\n cmpl $1, 8(%rdi)\n jne 1b\n movw $0xf490, 0x10000a");

TEST(loop_ended_by_another)
{
    for (unsigned n = 0; n < 20; n++) {
        struct machine m;

        make(&m, 2, "tcg");
        copy_code(&m, CODE, p_endless, p_endless_end);
        copy_code(&m, CODE + 0x1000, p_breaker, p_breaker_end);
        place(&m, 0, CODE, DATA, 0);
        place(&m, 1, CODE + 0x1000, DATA, 0);
        run(&m);
        unmake(&m);
    }
}

/* Both write the code that both run. */
PIECE(p_both,
      "mov %rcx, %rbp\n 1: mov %ebp, 0x100401\n xor %eax, %eax\n cpuid\n mov $0x100400, %eax\n"
      "call *%rax\n lock incq (%rdi)\n dec %rbp\n jnz 1b");

TEST(code_written_by_all)
{
    struct machine m;

    make(&m, 4, "tcg");
    copy_code(&m, CODE, p_both, p_both_end);
    copy_code(&m, CODE + 0x400, p_changed, p_changed_end);
    for (unsigned i = 0; i < 4; i++)
        place(&m, i, CODE, DATA, 1000);
    run(&m);
    CHECK_EQ(word(&m, DATA), 4000);
    unmake(&m);
}

/* ---- INIT, SIPI, IPIs ---- */

/* Real mode at vector 70h: counts at 7800h of its segment, then waits. */
PIECE(p_real, ".code16\n movw %cs, %ax\n movw %ax, %ds\n lock incl 0x800\n cli\n hlt\n .code64");
#define ICR(low) "movl $0x01000000, 0x310(%r15)\n movl $" #low ", 0x300(%r15)\n"
#define UNTIL    "3: pause\n cmpl %esi, 0x70800\n jne 3b\n"
/* INIT, SIPI, SIPI to APIC 1, again and again */
#define APIC "mov $0xfee00000, %r15d\n "
PIECE(p_boot, APIC "mov $1, %esi\n 1:\n" ICR(0x4500) ICR(0x4670) ICR(0x4670) UNTIL
      "inc %esi\n dec %rcx\n jnz 1b");

TEST(init_and_sipi)
{
    struct machine m;

    make(&m, 2, "tcg");
    copy_code(&m, CODE, p_boot, p_boot_end);
    copy_code(&m, REAL_CODE, p_real, p_real_end);
    place(&m, 0, CODE, DATA, 500);
    run(&m);
    CHECK_EQ((uint32_t)word(&m, REAL_CODE + 0x800), 500);
    unmake(&m);
}

/* Interrupts to and fro: each waits, halted, for the other's. */
PIECE(p_handler, "lock incq 0x200100(,%rbx,8)\n movl $0, 0xb0(%r15)\n iretq");
PIECE(p_ping,
      APIC "movl $0x1ff, 0xf0(%r15)\n movl $1, 0x200200(,%rbx,8)\n mov %ebx, %r8d\n xor $1, %r8d\n"
           "2: pause\n cmpl $0, 0x200200(,%r8,8)\n je 2b\n" /* both are ready */
           "shl $24, %r8d\n xor %esi, %esi\n test %ebx, %ebx\n jnz 4f\n"
           "1: movl %r8d, 0x310(%r15)\n movl $0x4040, 0x300(%r15)\n" /* send */
           "4: inc %esi\n 5: cli\n cmp %rsi, 0x200100(,%rbx,8)\n jae 6f\n sti\n hlt\n jmp 5b\n"
           "6: test %ebx, %ebx\n jz 7f\n movl %r8d, 0x310(%r15)\n movl $0x4040, 0x300(%r15)\n"
           "dec %rcx\n jnz 4b\n cli\n hlt\n 7: dec %rcx\n jnz 1b\n cli");

static void set_idt(struct machine *m, gpa_t handler)
{
    uint8_t gate[16] = { 0 };

    st_le16(gate, handler & 0xffff);
    st_le16(gate + 2, 0x10);
    gate[5] = 0x8e;
    st_le16(gate + 6, handler >> 16);
    memcpy(at(m, IDT + VECTOR * 16), gate, sizeof(gate));
    for (unsigned i = 0; i < m->board.cpu_count; i++) {
        x86_of(m->board.cpus[i])->idt.base = IDT;
        x86_of(m->board.cpus[i])->idt.limit = 0xfff;
    }
}

static void wait_idle_for_good(struct machine *m, uint64_t rounds)
{
    for (unsigned ms = 0; ms < 60000; ms++) {
        if (word(m, DATA + 0x100) == rounds && word(m, DATA + 0x108) == rounds && all_halted(m))
            return;
        usleep(1000);
    }
    TEST_FAIL("ping-pong stopped at %llu and %llu", (unsigned long long)word(m, DATA + 0x100),
              (unsigned long long)word(m, DATA + 0x108));
}

TEST(ipi_ping_pong)
{
    enum { ROUNDS = 3000 };
    struct machine m;

    make(&m, 2, "tcg");
    copy_code(&m, CODE, p_ping, p_ping_end);
    copy_code(&m, CODE + 0x1000, p_handler, p_handler_end);
    place(&m, 0, CODE, DATA, ROUNDS);
    place(&m, 1, CODE, DATA, ROUNDS);
    set_idt(&m, CODE + 0x1000);
    start(&m);
    wait_idle_for_good(&m, ROUNDS);
    unmake(&m);
}

/* ---- system management mode ---- */

/* The first handler, at the SMBASE of a reset, moves SMBASE to SMRAM. */
PIECE(p_smi_move, ".code16\n movl $0xa0000, %cs:0xff00\n lock incl %cs:0x7000\n rsm\n .code64");
/* The second one counts in SMRAM, changes saved RAX, and what it did to registers is undone. */
PIECE(p_smi, ".code16\n xorl %ebx, %ebx\n movl $0xdead, %edx\n incl %cs:0x7000\n"
             "movl %cs:0x7000, %eax\n movl %eax, %cs:0xfff8\n rsm\n .code64");
/* Sends itself SMIs: rax comes back counted, rbx and rdx as they were, SMRAM is not there. */
PIECE(p_smi_self,
      APIC "mov $0x1234567890abcdef, %rdx\n mov %rdx, %r9\n mov %rbx, %r10\n xor %esi, %esi\n"
           "movl $0x44200, 0x300(%r15)\n 3: pause\n cmpl $1, 0x37000\n jne 3b\n"
           "1: inc %esi\n xor %eax, %eax\n movl $0x44200, 0x300(%r15)\n"
           "2: test %eax, %eax\n jz 2b\n cmp %esi, %eax\n jne 9f\n cmp %rdx, %r9\n jne 9f\n"
           "cmp %rbx, %r10\n jne 9f\n cmpl $-1, 0xa7000\n jne 9f\n loop 1b\n hlt\n"
           "9: movl $1, (%rdi)");

/* The second handler may lie anywhere: 16-bit code jumps with 32 bits, as limits are 4 GiB. */
PIECE(p_smi_far, ".code16\n movl $0x58000, %ebx\n jmp *%ebx\n .code64");

static void smi_rounds(bool far_handler)
{
    enum { ROUNDS = 500 };
    struct machine m;

    make(&m, 2, "tcg");
    copy_code(&m, CODE, p_smi_self, p_smi_self_end);
    copy_code(&m, 0x38000, p_smi_move, p_smi_move_end);
    if (far_handler) {
        copy_code(&m, SMRAM + 0x8000, p_smi_far, p_smi_far_end);
        copy_code(&m, SMRAM + 0x58000, p_smi, p_smi_end);
    } else {
        copy_code(&m, SMRAM + 0x8000, p_smi, p_smi_end);
    }
    place(&m, 0, CODE, DATA, ROUNDS);
    run(&m);
    CHECK_EQ(word(&m, DATA), 0);
    CHECK_EQ((uint32_t)word(&m, 0x37000), 1);
    CHECK_EQ((uint32_t)word(&m, SMRAM + 0x7000), ROUNDS);
    CHECK(!x86_of(m.board.cpus[0])->smm);
    unmake(&m);
}

TEST(smi_and_rsm)
{
    smi_rounds(false);
}

TEST(smi_handler_beyond_64k)
{
    smi_rounds(true);
}

/* A halted vCPU goes back to its halt; the one that waits for SIPI keeps the SMI until then. */
PIECE(p_smi_other, APIC "movl $0x01000000, 0x310(%r15)\n movl $0x4200, 0x300(%r15)\n"
                        "1: pause\n cmpl $1, 0x37000\n jne 1b\n mov $100000, %ecx\n"
                        "2: pause\n loop 2b\n");
PIECE(p_halt, "cli\n hlt\n movl $1, 0x200000");

TEST(smi_to_a_halted_cpu)
{
    struct machine m;

    make(&m, 2, "tcg");
    copy_code(&m, CODE, p_smi_other, p_smi_other_end);
    copy_code(&m, CODE + 0x1000, p_halt, p_halt_end);
    copy_code(&m, 0x38000, p_smi_move, p_smi_move_end);
    place(&m, 0, CODE, DATA, 0);
    place(&m, 1, CODE + 0x1000, DATA, 0);
    run(&m);
    CHECK_EQ((uint32_t)word(&m, 0x37000), 1);
    CHECK_EQ((uint32_t)word(&m, DATA), 0);
    CHECK_EQ(x86_of(m.board.cpus[1])->smbase, 0xa0000);
    unmake(&m);
}

/* ---- dirty bitmaps ---- */

static uint64_t fetch_dirty(struct machine *m, unsigned pages)
{
    uint64_t bits = 0;

    loop_lock(m->loop);
    mem_dirty_fetch(m->board.mem, MEM_DIRTY_DISPLAY, m->gra + DATA, pages, &bits);
    loop_unlock(m->loop);
    return bits;
}

/* Every way to write: inline, locked, by string instructions, across the page's end. */
PIECE(p_dirty, "mov %rdi, %rbp\n 1: incq (%rdi)\n lock incq 8(%rdi)\n lea 0x1000(%rbp), %rdi\n"
               "mov $64, %ecx\n rep stosb\n mov %rbp, %rdi\n incq 0x2ffe(%rdi)\n jmp 1b");

TEST(dirty_pages)
{
    for (unsigned cpus = 1; cpus <= 2; cpus++) {
        struct machine m;

        make(&m, cpus, "tcg");
        copy_code(&m, CODE, p_dirty, p_dirty_end);
        for (unsigned i = 0; i < cpus; i++)
            place(&m, i, CODE, DATA, 0);
        loop_lock(m.loop);
        mem_dirty_start(m.board.mem, MEM_DIRTY_DISPLAY, m.gra + DATA, 0x5000);
        loop_unlock(m.loop);
        CHECK_EQ(fetch_dirty(&m, 5), 0x1f);
        CHECK_EQ(fetch_dirty(&m, 5), 0);
        start(&m);
        for (unsigned n = 0; n < 100; n++) {
            uint64_t seen = 0;

            for (unsigned ms = 0; ms < 10000 && seen != 15; ms++) {
                seen |= fetch_dirty(&m, 5);
                if (seen != 15)
                    usleep(100);
            }
            CHECK_EQ(seen, 15);
        }
        for (unsigned i = 0; i < cpus; i++)
            cpu_stop(m.board.cpus[i]);
        (void)fetch_dirty(&m, 5);
        CHECK_EQ(fetch_dirty(&m, 5), 0);
        unmake(&m);
    }
}

/* ---- stop, resume, reset ---- */

TEST(stopped_and_resumed)
{
    struct machine m;
    uint64_t seen = 0;

    make(&m, 3, "tcg");
    copy_code(&m, CODE, p_inc, p_inc_end);
    for (unsigned i = 0; i < 3; i++)
        place(&m, i, CODE, i == 2 ? DATA + 0xffe : DATA, UINT64_MAX);
    start(&m);
    for (unsigned n = 0; n < 1000; n++) {
        for (unsigned i = 0; i < 3; i++)
            cpu_stop(m.board.cpus[i]);
        CHECK(word(&m, DATA) >= seen);
        seen = word(&m, DATA);
        CHECK_EQ(word(&m, DATA), seen);
        for (unsigned i = 0; i < 3; i++)
            cpu_resume(m.board.cpus[i]);
    }
    unmake(&m);
}

TEST(reset_while_running)
{
    struct machine m;

    make(&m, 3, "tcg");
    copy_code(&m, CODE, p_inc, p_inc_end);
    for (unsigned i = 0; i < 3; i++)
        place(&m, i, CODE, DATA, UINT64_MAX);
    start(&m);
    for (unsigned n = 0; n < 1000; n++) {
        for (unsigned i = 0; i < 3; i++)
            cpu_stop(m.board.cpus[i]);
        loop_lock(m.loop);
        x86_cpus_reset(&m.cpus, &m.board);
        for (unsigned i = 0; i < 3; i++)
            cpu_flush_all(m.board.cpus[i]);
        loop_unlock(m.loop);
        CHECK(m.board.cpus[1]->halted && !m.board.cpus[0]->halted);
        for (unsigned i = 0; i < 3; i++)
            place(&m, i, CODE, n & 1 ? DATA : DATA + 0xffe, UINT64_MAX);
        for (unsigned i = 0; i < 3; i++)
            cpu_resume(m.board.cpus[i]);
    }
    unmake(&m);
}
