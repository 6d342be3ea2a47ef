/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The registers that a handler finds at a fault in the middle of straight code, where a translator
 * has not yet stored what instructions before it computed; and that those behind it have not run.
 */
#include "guest_test.h"
#if defined(__aarch64__)
#include <asm/sigcontext.h>
#endif

static uint64_t reg[32], vec[32];
static uintptr_t fault_pc;
static int faults;

static void handler(int sig, siginfo_t *info, void *ucv)
{
    ucontext_t *uc = ucv;

    faults++;
    fault_pc = (uintptr_t)page_pc(uc);
#if defined(__aarch64__)
    const struct fpsimd_context *fp = (void *)uc->uc_mcontext.__reserved;

    memcpy(reg, uc->uc_mcontext.regs, 31 * 8);
    for (int i = 0; i < 32; i++)
        vec[i] = (uint64_t)fp->vregs[i];
    CHECK_EQ(fp->head.magic, FPSIMD_MAGIC);
    set_pc(uc, (char *)fault_pc + 4);
#elif defined(__riscv)
    memcpy(reg, uc->uc_mcontext.__gregs, 32 * 8);
    memcpy(vec, &uc->uc_mcontext.__fpregs, 32 * 8);
    set_pc(uc, (char *)fault_pc + 4);
#else
    for (int i = 0; i < 8; i++)
        reg[8 + i] = (uint64_t)uc->uc_mcontext.gregs[REG_R8 + i];
    for (int i = 0; i < 16; i++)
        memcpy(&vec[i], &uc->uc_mcontext.fpregs->_xmm[i], 8);
    set_pc(uc, (char *)fault_pc + 4);
#endif
}

static void *bad;

static void straight(void)
{
    uint64_t after = 0;
    uintptr_t label = 0;

    faults = 0;
#if defined(__aarch64__)
    asm volatile("mov x9, #1\n add x10, x9, #1\n add x11, x10, x9\n mul x12, x11, x10\n"
                 "scvtf d20, x12\n fadd d21, d20, d20\n dup v22.2d, x11\n adds x13, x12, #7\n"
                 "mov x14, %2\n adr x15, 1f\n"
                 "1: str x13, [x14]\n"
                 "mov x9, #100\n fmov d20, #1.0\n add %0, x13, x9\n mov %1, x15\n"
                 : "=&r"(after), "=&r"(label)
                 : "r"(bad)
                 : "x9", "x10", "x11", "x12", "x13", "x14", "x15", "v20", "v21", "v22", "cc");
    CHECK_EQ(reg[9], 1);
    CHECK_EQ(reg[10], 2);
    CHECK_EQ(reg[11], 3);
    CHECK_EQ(reg[12], 6);
    CHECK_EQ(reg[13], 13);
    CHECK_EQ(vec[20], 0x4018000000000000);
    CHECK_EQ(vec[21], 0x4028000000000000);
    CHECK_EQ(vec[22], 3);
#elif defined(__riscv)
    asm volatile("li t0, 1\n addi t1, t0, 1\n add t2, t1, t0\n mul t3, t2, t1\n fcvt.d.l ft0, t3\n"
                 "fadd.d ft1, ft0, ft0\n addi t4, t3, 7\n mv t5, %2\n la t6, 1f\n"
                 ".option push\n.option norvc\n1: sd t4, 0(t5)\n.option pop\n"
                 "li t0, 100\n fmv.d.x ft0, zero\n add %0, t4, t0\n mv %1, t6\n"
                 : "=&r"(after), "=&r"(label)
                 : "r"(bad)
                 : "t0", "t1", "t2", "t3", "t4", "t5", "t6", "ft0", "ft1");
    CHECK_EQ(reg[5], 1);
    CHECK_EQ(reg[6], 2);
    CHECK_EQ(reg[7], 3);
    CHECK_EQ(reg[28], 6);
    CHECK_EQ(reg[29], 13);
    CHECK_EQ(vec[0], 0x4018000000000000);
    CHECK_EQ(vec[1], 0x4028000000000000);
#else
    asm volatile(
        "mov $1, %%r8d\n lea 1(%%r8), %%r9\n lea (%%r8,%%r9), %%r10\n mov %%r10, %%r11\n"
        "imul %%r9, %%r11\n cvtsi2sd %%r11, %%xmm8\n movapd %%xmm8, %%xmm9\n"
        "addsd %%xmm9, %%xmm9\n lea 7(%%r11), %%r13\n mov %2, %%r14\n lea 1f(%%rip), %%r15\n"
        "1: mov %%r13, 0(%%r14)\n nop\n"
        "mov $100, %%r8d\n xorpd %%xmm8, %%xmm8\n lea (%%r13,%%r8), %0\n mov %%r15, %1\n"
        : "=&r"(after), "=&r"(label)
        : "r"(bad)
        : "r8", "r9", "r10", "r11", "r13", "r14", "r15", "xmm8", "xmm9", "cc");
    CHECK_EQ(reg[8], 1);
    CHECK_EQ(reg[9], 2);
    CHECK_EQ(reg[10], 3);
    CHECK_EQ(reg[11], 6);
    CHECK_EQ(reg[13], 13);
    CHECK_EQ(vec[8], 0x4018000000000000);
    CHECK_EQ(vec[9], 0x4028000000000000);
#endif
    CHECK_EQ(faults, 1);
    CHECK_EQ(fault_pc, label);
    CHECK_EQ(after, 113);
}

static void repeated(void)
{
    for (int i = 0; i < 200; i++)
        straight();
}

/* A copy that reaches into a forbidden page stops exactly there. */
static void copies(void)
{
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static char from[4096];
    static sigjmp_buf here;
    int i;

    memset(from, 'x', sizeof(from));
    mprotect(p + 4096, 4096, PROT_NONE);
    for (i = 0; i < 4096 && p[i] == 0; i++)
        p[i] = from[i];
    CHECK_EQ(i, 4096);
    CHECK_EQ(p[4095], 'x');
    CHECK_EQ(write(-1, p + 4096, 1), -1);
    CHECK_EQ(errno, EBADF);
    int fd[2];
    CHECK_EQ(pipe(fd), 0);
    CHECK_EQ(write(fd[1], p, 10), 10);
    CHECK_EQ(write(fd[1], p + 4096, 10), -1);
    CHECK_EQ(errno, EFAULT);
    CHECK_EQ(read(fd[0], p + 4096, 10), -1);
    CHECK_EQ(errno, EFAULT);
    close(fd[0]);
    close(fd[1]);
    munmap(p, 8192);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        { "straight", straight }, { "repeated", repeated }, { "copies", copies }, { 0 }
    };
    struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

    bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGSEGV, &sa, NULL);
    return tests_run(tests, argc, argv);
}
