/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guarded copies between us and the guest: one instruction that may fault, and the place where the
 * signal handler lets it go on. What was left to copy is in rcx then.
 */
#include "user/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/alloc.h"
#include "base/bits.h"

/* size_t user_copy_bytes(void *to, const void *from, size_t len): bytes not copied. */
size_t user_copy_bytes(void *to, const void *from, size_t len);
extern const char user_copy_insn[], user_copy_end[];
__asm__(".pushsection .text\n"
        ".p2align 4\n"
        ".globl user_copy_bytes\n"
        ".hidden user_copy_bytes\n"
        ".type user_copy_bytes, @function\n"
        "user_copy_bytes:\n"
        "    movq %rdx, %rcx\n"
        ".globl user_copy_insn\n"
        ".hidden user_copy_insn\n"
        "user_copy_insn:\n"
        "    rep movsb\n"
        ".globl user_copy_end\n"
        ".hidden user_copy_end\n"
        "user_copy_end:\n"
        "    movq %rcx, %rax\n"
        "    ret\n"
        ".size user_copy_bytes, . - user_copy_bytes\n"
        ".popsection\n");

enum {
    FAULT_WRITE = 2, /* of the page fault's error code */
    FAULT_VECTOR = 14,
};

bool user_copy_fault(void *ucontext)
{
    greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    uintptr_t pc = (uintptr_t)regs[REG_RIP];
    bool current;
    if (pc < (uintptr_t)user_copy_insn || pc >= (uintptr_t)user_copy_end)
        return false;
    /* a page that only we made read-only: goes on where it stopped */
    if (user_self && regs[REG_TRAPNO] == FAULT_VECTOR && regs[REG_ERR] & FAULT_WRITE &&
        mm_write_fault(user_self, user_guest(user_self->proc, (void *)regs[REG_CR2]), &current))
        return true;
    regs[REG_RIP] = (greg_t)(uintptr_t)user_copy_end;
    return true;
}

/* Is it user space of the guest? */
static bool in_space(const struct user_proc *p, gva_t a, size_t len)
{
    return len <= p->abi->va_limit && a <= p->abi->va_limit - len;
}

int user_read(struct user_proc *p, void *to, gva_t from, size_t len)
{
    if (!in_space(p, from, len) || user_copy_bytes(to, user_host(p, from), len))
        return -EFAULT;
    return 0;
}

int user_write(struct user_proc *p, gva_t to, const void *from, size_t len)
{
    if (!in_space(p, to, len) || user_copy_bytes(user_host(p, to), from, len))
        return -EFAULT;
    return 0;
}

char *user_string(struct user_proc *p, gva_t from, size_t max, int *ret_err)
{
    char *s = NULL;
    size_t len = 0;
    while (len < max) {
        size_t n = MIN(max - len, (size_t)(USER_PAGE - from % USER_PAGE));
        if (len == 0)
            n = MIN(n, (size_t)256); /* mostly short */
        s = xrealloc_array(s, len + n, 1);
        if (user_read(p, s + len, from, n)) {
            free(s);
            *ret_err = -EFAULT;
            return NULL;
        }
        if (memchr(s + len, 0, n))
            return s;
        len += n;
        from += n;
    }
    free(s);
    *ret_err = -ENAMETOOLONG;
    return NULL;
}
