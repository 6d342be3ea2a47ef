/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Calls of one processor's kernel: the lines are the same everywhere, the truths differ.
 */
#include <sys/prctl.h>

#include "calls.h"

#if defined(__riscv)
static int works(void)
{
    struct {
        int64_t key;
        uint64_t value;
    } p[] = { { 3, 0 }, { 4, 0 }, { 99, 5 } };
    uint64_t set = 0;

    if (syscall(258, p, 3, 0, NULL, 0) || p[0].value != 1 || (p[1].value & 3) != 3 ||
        p[2].key != -1 || p[2].value)
        return 0;
    if (syscall(258, p, 2, 8, &set, 1) || !set || syscall(258, p, 1, 0, NULL, 2) != -1)
        return 0;
    return syscall(259, 0, -1, 0) == 0 && syscall(259, 0, -1, 8) == -1;
}
#elif defined(__aarch64__)
static int works(void)
{
    return prctl(PR_GET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) == 0 &&
           syscall(258, NULL, 0, 0, NULL, 0) == -1 && errno == ENOSYS;
}
#elif defined(__x86_64__)
static int works(void)
{
    uint64_t fs = 0, gs = 0, r;

    if (syscall(SYS_arch_prctl, 0x1003, &fs) || !fs || syscall(SYS_arch_prctl, 0x1001, &r))
        return 0;
    r = 77;
    __asm__ volatile("movq %%gs:0, %0" : "=r"(gs));
    return gs == 77 && syscall(SYS_arch_prctl, 0x1002, 1L << 63) == -1 && errno == EPERM;
}
#else
static int works(void)
{
    struct {
        uint32_t entry, base, limit, flags;
    } d = { 12, 1, 1, 1 };

    return syscall(SYS_get_thread_area, &d) == 0 && d.base && d.limit == 0xfffff &&
           (d.flags & 0x51) == 0x51;
}
#endif

void arch(void)
{
    TRUTH(works());
}
