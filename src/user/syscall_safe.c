/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Host system calls that a guest's signal interrupts even when it comes before the call: the stub
 * looks at signal_state.stop right before the instruction, and the signal handler moves a thread
 * found between the two behind the call. A call that the kernel would restart (our handlers have
 * SA_RESTART) is seen in the handler, too: there the interrupted pc is the instruction again, and
 * rcx says that it was executed. A call that was not begun is made again whatever the handler's
 * flags are: to the guest the signal came before it. (A close() that fails with EINTR would leak
 * the descriptor.)
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "user/signal_priv.h"
#include "user/syscall_safe.h"

int64_t user_safe_stub(const _Atomic uint32_t *stop, long nr, uint64_t a, uint64_t b, uint64_t c,
                       uint64_t d, uint64_t e, uint64_t f);
extern const char user_safe_begin[], user_safe_call[], user_safe_end[], user_safe_stop[],
    user_safe_again[];

asm(".text\n"
    ".globl user_safe_stub, user_safe_begin, user_safe_call, user_safe_end, user_safe_stop\n"
    ".globl user_safe_again\n"
    ".hidden user_safe_stub, user_safe_begin, user_safe_call, user_safe_end, user_safe_stop\n"
    ".hidden user_safe_again\n"
    ".type user_safe_stub, @function\n"
    "user_safe_stub:\n"
    "    .cfi_startproc\n"
    "    movq %rdi, %r11\n"
    "    movq %rsi, %rax\n"
    "    movq %rdx, %rdi\n"
    "    movq %rcx, %rsi\n"
    "    movq %r8, %rdx\n"
    "    movq %r9, %r10\n"
    "    movq 8(%rsp), %r8\n"
    "    movq 16(%rsp), %r9\n"
    "user_safe_begin:\n"
    "    cmpl $0, (%r11)\n"
    "    jne user_safe_stop\n"
    "user_safe_call:\n"
    "    syscall\n"
    "user_safe_end:\n"
    "    ret\n"
    "user_safe_stop:\n"
    "    movq $-513, %rax\n" /* USER_RESTART_NOINTR: it was not begun */
    "    ret\n"
    "user_safe_again:\n"
    "    movq $-512, %rax\n" /* USER_RESTART */
    "    ret\n"
    "    .cfi_endproc\n"
    ".size user_safe_stub, . - user_safe_stub\n");

/* The same for the host's 32-bit entry. regs: eax ebx ecx edx esi edi ebp. */
uint32_t user_safe_stub32(const _Atomic uint32_t *stop, const uint32_t regs[7]);
extern const char user_safe_begin32[], user_safe_call32[], user_safe_end32[], user_safe_stop32[];

asm(".text\n"
    ".globl user_safe_stub32, user_safe_begin32, user_safe_call32, user_safe_end32\n"
    ".globl user_safe_stop32\n"
    ".hidden user_safe_stub32, user_safe_begin32, user_safe_call32, user_safe_end32\n"
    ".hidden user_safe_stop32\n"
    ".type user_safe_stub32, @function\n"
    "user_safe_stub32:\n"
    "    push %rbx\n"
    "    push %rbp\n"
    "    movq %rdi, %r11\n"
    "    movq %rsi, %rdi\n"
    "    movl 0(%rdi), %eax\n"
    "    movl 4(%rdi), %ebx\n"
    "    movl 8(%rdi), %ecx\n"
    "    movl 12(%rdi), %edx\n"
    "    movl 16(%rdi), %esi\n"
    "    movl 24(%rdi), %ebp\n"
    "    movl 20(%rdi), %edi\n"
    "user_safe_begin32:\n"
    "    cmpl $0, (%r11)\n"
    "    jne user_safe_stop32\n"
    "user_safe_call32:\n"
    "    int $0x80\n"
    "user_safe_end32:\n"
    "    pop %rbp\n"
    "    pop %rbx\n"
    "    ret\n"
    "user_safe_stop32:\n"
    "    movl $-512, %eax\n" /* USER_RESTART */
    "    jmp user_safe_end32\n"
    ".size user_safe_stub32, . - user_safe_stub32\n");
_Static_assert(USER_RESTART == -512 && USER_RESTART_NOINTR == -513, "in the stubs");

int64_t user_syscall_begun(long nr, const uint64_t a[6])
{
    static const _Atomic uint32_t never;
    struct user_thread *t = user_self;

    return user_safe_stub(t && t->signals ? &t->signals->stop : &never, nr, a[0], a[1], a[2], a[3],
                          a[4], a[5]);
}

int64_t user_syscall_safe(long nr, ...)
{
    uint64_t a[6];
    va_list ap;
    int64_t r;

    va_start(ap, nr);
    for (unsigned i = 0; i < 6; i++)
        a[i] = va_arg(ap, uint64_t);
    va_end(ap);
    r = user_syscall_begun(nr, a);
    return r == USER_RESTART_NOINTR ? USER_RESTART : r;
}

int64_t user_syscall32(const uint32_t regs[7], bool wait)
{
    static const _Atomic uint32_t never;
    struct user_thread *t = user_self;
    uint32_t r = user_safe_stub32(wait && t && t->signals ? &t->signals->stop : &never, regs);

    return r >= (uint32_t)-4095 ? (int64_t)(int32_t)r : (int64_t)r;
}

static void interrupt_32(greg_t *g)
{
    enum { RESTART_SYSCALL = 0 };
    uint64_t pc = (uint64_t)g[REG_RIP];

    if (pc < (uintptr_t)user_safe_begin32 || pc > (uintptr_t)user_safe_call32)
        return;
    if (pc == (uintptr_t)user_safe_call32 && g[REG_RAX] == RESTART_SYSCALL) {
        g[REG_RAX] = -EINTR;
        g[REG_RIP] = (greg_t)(uintptr_t)user_safe_end32;
    } else {
        g[REG_RIP] = (greg_t)(uintptr_t)user_safe_stop32;
    }
}

void user_syscall_interrupt(void *ucontext)
{
    greg_t *g = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    uint64_t pc = (uint64_t)g[REG_RIP];

    interrupt_32(g);
    if (pc < (uintptr_t)user_safe_begin || pc > (uintptr_t)user_safe_call)
        return;
    if (pc == (uintptr_t)user_safe_call && g[REG_RAX] == SYS_restart_syscall) {
        g[REG_RAX] = -EINTR;
        g[REG_RIP] = (greg_t)(uintptr_t)user_safe_end;
    } else if (pc == (uintptr_t)user_safe_call && g[REG_RCX] == (greg_t)(uintptr_t)user_safe_end) {
        g[REG_RIP] = (greg_t)(uintptr_t)user_safe_again; /* the instruction left its mark in rcx */
    } else {
        g[REG_RIP] = (greg_t)(uintptr_t)user_safe_stop;
    }
}
