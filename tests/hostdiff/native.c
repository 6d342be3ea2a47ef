/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The native side: a signal handler puts the whole state into the context it returns to, and the
 * signal at the sequence's end (or of a fault in it) takes it out again. 32-bit code runs in the
 * kernel's compatibility segment.
 */
#include "hostdiff.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

static const struct sequence *current;
static struct machine *result;
static sigjmp_buf out;
static uint8_t *code_alias; /* the code area, writable */

static const int greg_of[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                 REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                 REG_R12, REG_R13, REG_R14, REG_R15 };
enum { CS64 = 0x33, CS32 = 0x23, KEPT_FLAGS = 0x202 };

static void enter(int sig, siginfo_t *si, void *context)
{
    ucontext_t *u = context;
    uint8_t *fx = (uint8_t *)u->uc_mcontext.fpregs;
    uint64_t xstate_bv;

    for (unsigned i = 0; i < 16; i++)
        u->uc_mcontext.gregs[greg_of[i]] = (greg_t)current->start.gpr[i];
    u->uc_mcontext.gregs[REG_RIP] = (greg_t)current->entry;
    u->uc_mcontext.gregs[REG_EFL] = (greg_t)(current->start.rflags | KEPT_FLAGS);
    u->uc_mcontext.gregs[REG_CSGSFS] =
        (u->uc_mcontext.gregs[REG_CSGSFS] & ~(greg_t)0xffff) | (current->bits == 64 ? CS64 : CS32);
    memcpy(fx, current->start.fx, 416);
    memcpy(&xstate_bv, fx + 512, 8);
    xstate_bv |= 3;
    memcpy(fx + 512, &xstate_bv, 8);
}

static void leave(int sig, siginfo_t *si, void *context)
{
    ucontext_t *u = context;

    for (unsigned i = 0; i < 16; i++)
        result->gpr[i] = (uint64_t)u->uc_mcontext.gregs[greg_of[i]];
    result->rip = (uint64_t)u->uc_mcontext.gregs[REG_RIP];
    result->rflags = (uint64_t)u->uc_mcontext.gregs[REG_EFL];
    result->vector = sig == SIGALRM ? 255 : (unsigned)u->uc_mcontext.gregs[REG_TRAPNO];
    result->cr2 = (uint64_t)u->uc_mcontext.gregs[REG_CR2];
    memcpy(result->fx, u->uc_mcontext.fpregs, 512);
    siglongjmp(out, 1);
}

static void handle(int sig, void (*fn)(int, siginfo_t *, void *))
{
    struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

    sigaction(sig, &sa, NULL);
}

void native_init(void)
{
    static uint8_t stack[1 << 16];
    const stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
    const int ends[] = { SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP, SIGALRM };
    int fd = memfd_create("hostdiff", 0);

    if (fd < 0 || ftruncate(fd, CODE_SIZE) < 0)
        goto fail;
    code_alias = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (code_alias == MAP_FAILED ||
        mmap((void *)(uintptr_t)AREA, CODE_SIZE, PROT_READ | PROT_EXEC,
             MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED ||
        mmap((void *)(uintptr_t)SCRATCH, SCRATCH_SIZE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
        goto fail;
    sigaltstack(&alt, NULL);
    handle(SIGUSR1, enter);
    for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        handle(ends[i], leave);
    return;
fail:
    perror("hostdiff: memory for the native side");
    exit(1);
}

bool native_run(const struct sequence *s, struct machine *ret, uint8_t *scratch)
{
    const struct itimerval limit = { .it_value = { 0, 200000 } }, none = { { 0, 0 }, { 0, 0 } };

    current = s;
    result = ret;
    memcpy(code_alias, s->code, CODE_SIZE);
    memcpy((void *)(uintptr_t)SCRATCH, s->scratch, SCRATCH_SIZE);
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es"
                     :
                     : "r"(s->bits == 32 ? 0x2b : 0)); /* compatibility mode looks at them */
    if (s->loops)
        setitimer(ITIMER_REAL, &limit, NULL);
    if (!sigsetjmp(out, 0))
        raise(SIGUSR1);
    if (s->loops)
        setitimer(ITIMER_REAL, &none, NULL);
    __asm__ volatile("cld\n\tfninit\n\tldmxcsr %0" : : "m"((uint32_t){ 0x1f80 }));
    memcpy(scratch, (void *)(uintptr_t)SCRATCH, SCRATCH_SIZE);
    return ret->vector != 255;
}
