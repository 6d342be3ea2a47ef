/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A signal handler's view of the interrupted code, and copies that may fault.
 */
#include <string.h>
#include <ucontext.h>

#include "host/host.h"
#include "host/native.h"

#if defined(__x86_64__)

uint64_t host_context_pc(const void *ucontext)
{
    const ucontext_t *uc = ucontext;

    return (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
}

void host_context_regs(const void *ucontext, struct host_regs *ret)
{
    static const uint8_t order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                       REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                       REG_R12, REG_R13, REG_R14, REG_R15 };
    const ucontext_t *uc = ucontext;

    for (unsigned i = 0; i < 16; i++)
        ret->gpr[i] = (uint64_t)uc->uc_mcontext.gregs[order[i]];
    memcpy(ret->vec, uc->uc_mcontext.fpregs->_xmm, sizeof(ret->vec));
    ret->fpcsr = uc->uc_mcontext.fpregs->mxcsr;
}

void host_context_jump(void *ucontext, void (*fn)(void *), void *arg)
{
    enum { RED_ZONE = 128, DIRECTION_AND_ALIGN = 0x40400 };
    ucontext_t *uc = ucontext;
    greg_t *g = uc->uc_mcontext.gregs;
    uint64_t at;

    memcpy(&at, &fn, sizeof(at));
    g[REG_RIP] = (greg_t)at;
    g[REG_RDI] = (greg_t)(uintptr_t)arg;
    g[REG_RSP] = ((g[REG_RSP] - RED_ZONE) & ~(greg_t)15) - 8; /* as behind a call */
    g[REG_EFL] &= ~(greg_t)DIRECTION_AND_ALIGN;
}

/* bool host_copy_guarded(void *to, const void *from, unsigned len) */
__asm__(".text\n"
        ".globl host_copy_guarded\n"
        ".type host_copy_guarded, @function\n"
        "host_copy_guarded:\n"
        "host_copy_begin:\n"
        "    cmpl $4, %edx\n"
        "    jne 1f\n"
        "    movl (%rsi), %eax\n"
        "    movl %eax, (%rdi)\n"
        "    jmp host_copy_end\n"
        "1:  cmpl $2, %edx\n"
        "    jne 2f\n"
        "    movzwl (%rsi), %eax\n"
        "    movw %ax, (%rdi)\n"
        "    jmp host_copy_end\n"
        "2:  movl %edx, %ecx\n"
        "    rep movsb\n"
        "host_copy_end:\n"
        "    movl $1, %eax\n"
        "    ret\n"
        "host_copy_failed:\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        ".size host_copy_guarded, .-host_copy_guarded\n");
extern const char host_copy_begin[], host_copy_end[], host_copy_failed[];

bool host_copy_guarded_at(uint64_t pc)
{
    return pc >= (uint64_t)host_copy_begin && pc < (uint64_t)host_copy_end;
}

bool host_copy_guarded_fail(void *ucontext)
{
    ucontext_t *uc = ucontext;

    if (!host_copy_guarded_at(host_context_pc(uc)))
        return false;
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)host_copy_failed;
    return true;
}

#else
#error "user mode on this machine needs its signal context here"
#endif
