/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Waiting for events: calls with a signal mask, and epoll, whose event structure is packed on x86
 * alone.
 */
#include "user/syscall.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"

enum { SIGSET_SIZE = 8 };

/* The guest's mask at set, in force from now to the end of the call: *ret_host for the kernel,
 * whose address is *ret_arg (0 without a mask). */
static int temp_mask(struct user_thread *t, gva_t set, uint64_t size, uint64_t *ret_host,
                     uint64_t *ret_arg)
{
    uint64_t mask;

    *ret_arg = 0;
    if (!set)
        return 0;
    if (size != SIGSET_SIZE)
        return -EINVAL;
    if (user_read(t->proc, &mask, set, sizeof(mask)) < 0)
        return -EFAULT;
    signals_temp_mask(t, mask);
    *ret_host = signals_host_mask(mask);
    *ret_arg = (uintptr_t)ret_host;
    return 0;
}

int64_t sys_epoll_wait(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    const struct layout *l = layout_get(LAYOUT_EPOLL_EVENT, t->proc->abi->call_column);
    bool nano = row->nr[USER_CALLS_X86_64] == SYS_epoll_pwait2;
    long nr = nano ? SYS_epoll_pwait2 : SYS_epoll_pwait;
    uint64_t mask, mask_arg = 0, timeout = nano ? call_ptr(t, a[3]) : (uint64_t)(int64_t)(int)a[3];
    int max = MIN((int)a[2], 4096);
    AUTO_FREE struct epoll_event *own = NULL;
    uint8_t guest[LAYOUT_MAX];
    struct timespec ts;
    int64_t r;

    if (nano && a[3] && user_read(t->proc, &ts, a[3], sizeof(ts)) < 0)
        return -EFAULT;
    if (row->nargs == 6 && (r = temp_mask(t, a[4], a[5], &mask, &mask_arg)) < 0)
        return r;
    if (!l || max <= 0) { /* the kernel refuses max <= 0 */
        if (max > 0)
            mm_prepare_write(t->proc, a[1], (uint64_t)max * sizeof(*own));
        return call_restart(row,
                            user_syscall_safe(nr, a[0], call_ptr(t, a[1]), (uint64_t)(int64_t)max,
                                              timeout, mask_arg, (uint64_t)SIGSET_SIZE));
    }
    if (a[1] >= t->proc->abi->va_limit) /* the kernel would look at this first */
        return -EFAULT;
    own = xnew_array(struct epoll_event, max);
    r = user_syscall_safe(nr, a[0], (uint64_t)(uintptr_t)own, (uint64_t)(int64_t)max, timeout,
                          mask_arg, (uint64_t)SIGSET_SIZE);
    for (int64_t i = 0; i < r; i++) {
        layout_to_guest(l, guest, &own[i]);
        if (user_write(t->proc, a[1] + i * l->guest_size, guest, l->guest_size) < 0)
            return -EFAULT;
    }
    return call_restart(row, r);
}

/* The time that was left. As on Linux, a bad address is no error here. */
static void write_rest(struct user_thread *t, gva_t a, bool time64, const struct timespec *ts)
{
    int r = call_write_timespec(t, a, time64, ts);

    (void)r;
}

int64_t sys_ppoll(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    bool time64 = row->nr[USER_CALLS_X86_64] < 0;
    struct timespec ts;
    uint64_t mask, mask_arg;
    int64_t r;

    if (a[2] && call_read_timespec(t, a[2], time64, &ts) < 0)
        return -EFAULT;
    r = temp_mask(t, a[3], a[4], &mask, &mask_arg);
    if (r < 0)
        return r;
    if (a[1])
        mm_prepare_write(t->proc, a[0], MIN(a[1], (uint64_t)1 << 20) * 8);
    r = user_syscall_safe(SYS_ppoll, call_ptr(t, a[0]), a[1], a[2] ? (uint64_t)(uintptr_t)&ts : 0,
                          mask_arg, (uint64_t)SIGSET_SIZE, (uint64_t)0);
    if (a[2] && r != USER_RESTART)
        write_rest(t, a[2], time64, &ts);
    return call_restart(row, r);
}

/* select's sets, three of size bytes in units of the guest's long. */
static int copy_sets(struct user_thread *t, const uint64_t a[6], uint8_t *host, size_t host_size,
                     size_t size)
{
    for (unsigned i = 0; i < 3; i++)
        if (a[1 + i] && user_read(t->proc, host + i * host_size, a[1 + i], size) < 0)
            return -EFAULT;
    return 0;
}

int64_t sys_pselect6(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    bool time64 = row->nr[USER_CALLS_X86_64] < 0;
    unsigned word = t->proc->abi->long_size;
    int n = MIN((int)a[0], 1 << 20);
    size_t size = (n + word * 8 - 1) / (word * 8) * word, host_size = (n + 63) / 64 * 8;
    AUTO_FREE uint8_t *sets = NULL;
    struct timespec ts;
    uint64_t mask, mask_arg = 0, v[5] = { 0 }, pair[2];
    uint32_t pair32[2];
    int64_t r;

    if (a[4] && call_read_timespec(t, a[4], time64, &ts) < 0)
        return -EFAULT;
    if (a[5] && word == 4) {
        if (user_read(t->proc, pair32, a[5], sizeof(pair32)) < 0)
            return -EFAULT;
        pair[0] = pair32[0], pair[1] = pair32[1];
    } else if (a[5] && user_read(t->proc, pair, a[5], sizeof(pair)) < 0) {
        return -EFAULT;
    }
    if (n < 0)
        return -EINVAL;
    sets = xnew_array(uint8_t, 3 * host_size + 1);
    if (copy_sets(t, a, sets, host_size, size) < 0)
        return -EFAULT;
    if (a[5] && (r = temp_mask(t, pair[0], pair[1], &mask, &mask_arg)) < 0)
        return r;
    for (unsigned i = 0; i < 3; i++)
        v[i] = a[1 + i] ? (uint64_t)(uintptr_t)(sets + i * host_size) : 0;
    r = user_syscall_safe(SYS_pselect6, (uint64_t)n, v[0], v[1], v[2],
                          a[4] ? (uint64_t)(uintptr_t)&ts : 0,
                          (uint64_t)(uintptr_t)(uint64_t[2]){ mask_arg, SIGSET_SIZE });
    for (unsigned i = 0; i < 3 && r >= 0; i++)
        if (v[i] && user_write(t->proc, a[1 + i], sets + i * host_size, size) < 0)
            return -EFAULT;
    if (a[4] && r != USER_RESTART)
        write_rest(t, a[4], time64, &ts);
    return call_restart(row, r);
}

/* The signals in the set must be blocked on the host, too: signals_host_mask() sees to that. */
int64_t sys_signalfd(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    uint64_t mask;

    if (a[2] != SIGSET_SIZE)
        return -EINVAL;
    if (user_read(t->proc, &mask, a[1], sizeof(mask)) < 0)
        return -EFAULT;
    mask = signals_host_mask(mask);
    return call_raw(SYS_signalfd4, (int64_t)(int)a[0], (uintptr_t)&mask, SIGSET_SIZE,
                    row->nargs == 4 ? call_open_flags_to_host(t->proc->abi, a[3]) : 0, 0, 0);
}
