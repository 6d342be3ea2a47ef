/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Host system calls that a guest's signal interrupts even when it comes before the call: the stub
 * looks at signal_state.stop right before the instruction, and the signal handler moves a thread
 * found between the two behind the call. A call that the kernel would restart (our handlers have
 * SA_RESTART) is seen in the handler, too: there the interrupted pc is the instruction again.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "user/signal_priv.h"
#include "user/syscall_safe.h"

int64_t user_safe_stub(const _Atomic uint32_t *stop, long nr, uint64_t a, uint64_t b, uint64_t c,
                       uint64_t d, uint64_t e, uint64_t f);
extern const char user_safe_begin[], user_safe_call[], user_safe_end[], user_safe_stop[];

asm(".text\n"
    ".globl user_safe_stub, user_safe_begin, user_safe_call, user_safe_end, user_safe_stop\n"
    ".hidden user_safe_stub, user_safe_begin, user_safe_call, user_safe_end, user_safe_stop\n"
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
    "    movq $-512, %rax\n" /* USER_RESTART */
    "    ret\n"
    "    .cfi_endproc\n"
    ".size user_safe_stub, . - user_safe_stub\n");
_Static_assert(USER_RESTART == -512, "in the stub");

int64_t user_syscall_safe(long nr, ...)
{
    static const _Atomic uint32_t never;
    struct user_thread *t = user_self;
    uint64_t a[6];
    va_list ap;

    va_start(ap, nr);
    for (unsigned i = 0; i < 6; i++)
        a[i] = va_arg(ap, uint64_t);
    va_end(ap);
    return user_safe_stub(t && t->signals ? &t->signals->stop : &never, nr, a[0], a[1], a[2], a[3],
                          a[4], a[5]);
}

void user_syscall_interrupt(void *ucontext)
{
    greg_t *g = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    uint64_t pc = (uint64_t)g[REG_RIP];

    if (pc < (uintptr_t)user_safe_begin || pc > (uintptr_t)user_safe_call)
        return;
    if (pc == (uintptr_t)user_safe_call && g[REG_RAX] == SYS_restart_syscall) {
        g[REG_RAX] = -EINTR;
        g[REG_RIP] = (greg_t)(uintptr_t)user_safe_end;
    } else {
        g[REG_RIP] = (greg_t)(uintptr_t)user_safe_stop;
    }
}
