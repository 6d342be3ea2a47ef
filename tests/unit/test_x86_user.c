/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x86 guest in user mode: what SYSCALL and INT leave behind, which exceptions are recorded and
 * how, segments of 32-bit programs; on the interpreter and on the host backend.
 */
#include <signal.h>
#include <sys/mman.h>

#include "guest/x86/x86.h"
#include "tests/unit/test.h"

enum { CODE_AT = 0x40000000, DATA_AT = 0x40010000, SIZE = 0x20000 };

static struct cpu *current;
static uint64_t fault_at;

static bool may_exec(void *opaque, gva_t va)
{
    return va - CODE_AT < SIZE;
}
static void watch_code(void *opaque, gva_t page)
{
}
static const struct cpu_user user = { .may_exec = may_exec, .watch_code = watch_code };

static void on_segv(int sig, siginfo_t *info, void *uc)
{
    if (!current || !cpu_signal_is_guest(current, uc)) {
        signal(sig, SIG_DFL);
        return;
    }
    fault_at = (uint64_t)info->si_addr;
    cpu_signal_leave(current, uc);
}

static struct x86_cpu *rig_init(const struct guest *guest, const char *accel)
{
    struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_NODEFER };
    struct cpu_config config = { .accel = accel, .tb_size = 1 << 20, .user = &user };
    struct error err = { 0 };

    if (mmap((void *)CODE_AT, SIZE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED) {
        TEST_FAIL("the address of the guest's memory is taken");
        return NULL;
    }
    sigaction(SIGSEGV, &sa, NULL);
    current = cpu_new(guest, &config, &err);
    if (!current)
        TEST_FAIL("%s", err.msg);
    return current ? x86_of(current) : NULL;
}

static void rig_finish(struct x86_cpu *x)
{
    cpu_free(&x->c);
    munmap((void *)CODE_AT, SIZE);
    current = NULL;
}

#define EACH_ACCEL(x, guest)                                                                       \
    for (unsigned a_ = 0; a_ < 2; a_++)                                                            \
        for (struct x86_cpu *x = rig_init(guest, a_ ? "tcg" : "interp"); x; rig_finish(x), x = NULL)

/* Each piece of code has 64 bytes of its own. */
static enum cpu_left run(struct x86_cpu *x, unsigned piece, const void *code, size_t size)
{
    x->rip = CODE_AT + piece * 64;
    memcpy((void *)(uintptr_t)x->rip, code, size);
    x->exc_vector = -1;
    return cpu_run(&x->c);
}
#define RUN(x, piece, ...)                                                                         \
    run(x, piece, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

TEST(syscall_leaves)
{
    EACH_ACCEL(x, &x86_guest)
    {
        x->gpr[X86_RAX] = 5;
        /* cmp eax, 5; std; syscall */
        CHECK_EQ(RUN(x, 0, 0x83, 0xf8, 5, 0xfd, 0x0f, 0x05), CPU_LEFT_SYSCALL);
        CHECK_EQ(x->rip, CODE_AT + 6);
        CHECK_EQ(x->gpr[X86_RCX], x->rip);
        CHECK_EQ(x->gpr[11], X86_ZF | X86_PF | X86_DF | X86_IF | 2);
        CHECK_EQ(x86_eflags(x), x->gpr[11]);
        CHECK_EQ(x86_cpl(x), 3);
        x86_user_set_base(&x->c, X86_FS, DATA_AT);
        *(uint64_t *)(DATA_AT + 8) = 77;
        /* mov rdx, fs:[8]; syscall */
        CHECK_EQ(RUN(x, 1, 0x64, 0x48, 0x8b, 0x14, 0x25, 8, 0, 0, 0, 0x0f, 0x05), CPU_LEFT_SYSCALL);
        CHECK_EQ(x->gpr[X86_RDX], 77);
        CHECK(!x86_user_set_base(&x->c, X86_FS, UINT64_C(1) << 47));
    }
}

TEST(exceptions_are_recorded)
{
    EACH_ACCEL(x, &x86_guest)
    {
        CHECK_EQ(RUN(x, 0, 0x90, 0xcc), CPU_LEFT_EXCEPTION); /* int3 */
        CHECK_EQ(x->exc_vector, X86_BP);
        CHECK_EQ(x->exc_next_rip, CODE_AT + 2);
        CHECK_EQ(RUN(x, 1, 0xf4), CPU_LEFT_EXCEPTION); /* hlt */
        CHECK_EQ(x->exc_vector, X86_GP);
        CHECK_EQ(x->rip, CODE_AT + 64);
        CHECK_EQ(RUN(x, 2, 0xcd, 0x21), CPU_LEFT_EXCEPTION); /* int 21h */
        CHECK_EQ(x->exc_vector, X86_GP);
        CHECK_EQ(x->exc_error, 0x21 << 3 | 2);
        CHECK_EQ(RUN(x, 3, 0x0f, 0x0b), CPU_LEFT_EXCEPTION); /* ud2 */
        CHECK_EQ(x->exc_vector, X86_UD);
        CHECK_EQ(RUN(x, 4, 0x31, 0xc9, 0xf7, 0xf1), CPU_LEFT_EXCEPTION); /* div by 0 */
        CHECK_EQ(x->exc_vector, X86_DE);
        CHECK_EQ(RUN(x, 5, 0xe6, 0x80), CPU_LEFT_EXCEPTION); /* out 80h, al */
        CHECK_EQ(x->exc_vector, X86_GP);
        CHECK_EQ(RUN(x, 6, 0xfa), CPU_LEFT_EXCEPTION); /* cli */
        CHECK_EQ(x->exc_vector, X86_GP);
        CHECK_EQ(RUN(x, 7, 0xe9, 0, 0, 0, 0x10), CPU_LEFT_EXCEPTION); /* to nowhere */
        CHECK_EQ(x->exc_vector, X86_PF_VEC);
        CHECK_EQ(x->exc_cr2, CODE_AT + 7 * 64 + 5 + 0x10000000);
        CHECK_EQ(x->rip, x->exc_cr2);
        x->gpr[X86_RSP] = DATA_AT + 0x100;
        *(uint64_t *)(DATA_AT + 0x100) = X86_TF | 2;
        CHECK_EQ(RUN(x, 8, 0x9d, 0x90, 0x90), CPU_LEFT_EXCEPTION); /* popf with TF; nop */
        CHECK_EQ(x->exc_vector, X86_DB);
        CHECK_EQ(x->exc_next_rip, CODE_AT + 8 * 64 + 2);
    }
}

/* Read-modify-write of memory that may not be written: nothing has happened. */
TEST(faults_leave_no_trace)
{
    EACH_ACCEL(x, &x86_guest)
    {
        static const uint8_t code[][8] = {
            { 0x48, 0x01, 0x03 },       /* add [rbx], rax */
            { 0x48, 0x0f, 0xc1, 0x03 }, /* xadd [rbx], rax */
            { 0x48, 0x0f, 0xb1, 0x03 }, /* cmpxchg [rbx], rax */
            { 0x48, 0x87, 0x03 },       /* xchg [rbx], rax */
            { 0x48, 0xd3, 0x23 },       /* shl [rbx], cl */
            { 0x48, 0xd3, 0x13 },       /* rcl [rbx], cl */
            { 0x48, 0xf7, 0x1b },       /* neg [rbx] */
            { 0x48, 0x0f, 0xab, 0x03 }, /* bts [rbx], rax */
            { 0xff, 0x33 },             /* push [rbx], on an unwritable stack */
            { 0xf3, 0x48, 0xab },       /* rep stosq, rdi = rbx */
            { 0x0f, 0xae, 0x03 },       /* fxsave [rbx] */
            { 0xdd, 0x1b },             /* fstp qword [rbx] */
        };
        mprotect((void *)DATA_AT, 4096, PROT_READ);
        for (unsigned n = 0; n < ARRAY_SIZE(code); n++) {
            uint64_t before[16];

            for (unsigned r = 0; r < 16; r++)
                x->gpr[r] = r + 3;
            x->gpr[X86_RBX] = x->gpr[X86_RDI] = DATA_AT;
            x->gpr[X86_RSP] = DATA_AT + 0x80;
            memcpy(before, x->gpr, sizeof(before));
            x86_set_eflags(x, X86_CF | X86_OF, X86_ARITH);
            CHECK_EQ(run(x, n, code[n], sizeof(code[n])), CPU_LEFT_FAULT);
            CHECK_EQ(fault_at & ~UINT64_C(4095), DATA_AT);
            CHECK_EQ(x->rip, CODE_AT + n * 64);
            CHECK(!memcmp(before, x->gpr, sizeof(before)));
            CHECK_EQ(x86_eflags(x) & X86_ARITH, X86_CF | X86_OF);
            CHECK_EQ(x->ftw, 0);
        }
    }
}

TEST(programs_of_32_bits)
{
    EACH_ACCEL(x, &x86_guest_i386)
    {
        /* data segment at DATA_AT, 4 GiB */
        CHECK(x86_user_set_tls(&x->c, 12, UINT64_C(0x40cff2010000ffff)));
        CHECK(!x86_user_set_tls(&x->c, 11, 0));
        *(uint32_t *)(DATA_AT + 8) = 99;
        /* mov eax, 63h; mov gs, eax; mov ebx, gs:[8]; int 80h */
        CHECK_EQ(
            RUN(x, 0, 0xb8, 0x63, 0, 0, 0, 0x8e, 0xe8, 0x65, 0x8b, 0x1d, 8, 0, 0, 0, 0xcd, 0x80),
            CPU_LEFT_SYSCALL);
        CHECK_EQ(x->gpr[X86_RBX], 99);
        CHECK_EQ(x->rip, CODE_AT + 16);
        /* mov eax, fs:[8] with a null selector */
        CHECK_EQ(RUN(x, 1, 0x64, 0xa1, 8, 0, 0, 0), CPU_LEFT_EXCEPTION);
        CHECK_EQ(x->exc_vector, X86_GP);
        CHECK_EQ(RUN(x, 2, 0xb8, 0x08, 0, 0, 0, 0x8e, 0xe8),
                 CPU_LEFT_EXCEPTION); /* a bad selector */
        CHECK_EQ(x->exc_vector, X86_GP);
        CHECK_EQ(RUN(x, 3, 0x0f, 0x05), CPU_LEFT_EXCEPTION); /* syscall */
        CHECK_EQ(x->exc_vector, X86_UD);
        memcpy((void *)(CODE_AT + 5 * 64), (uint8_t[]){ 0xcd, 0x80 }, 2);
        /* jmp 23h:40000140h, a far one */
        CHECK_EQ(RUN(x, 4, 0xea, 0x40, 1, 0, 0x40, 0x23, 0), CPU_LEFT_SYSCALL);
        CHECK_EQ(x->rip, CODE_AT + 5 * 64 + 2);
    }
}
