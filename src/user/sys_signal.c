/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * System calls of signals, futexes and waiting with a signal mask: the way to signal.c and futex.c,
 * and i386's first signal calls in terms of the real-time ones.
 */
#include "user/syscall.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum { SIGSET_SIZE = 8 };

int64_t sys_rt_sigaction(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return user_rt_sigaction(t, a[0], a[1], a[2], a[3]);
}

int64_t sys_rt_sigprocmask(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return user_rt_sigprocmask(t, a[0], a[1], a[2], a[3]);
}

int64_t sys_rt_sigpending(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return user_rt_sigpending(t, a[0], a[1]);
}

int64_t sys_rt_sigsuspend(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return user_rt_sigsuspend(t, a[0], a[1]);
}

int64_t sys_rt_sigqueueinfo(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return user_rt_sigqueueinfo(t, a[0], 0, a[1], a[2], false);
}

int64_t sys_rt_tgsigqueueinfo(struct user_thread *t, const struct call_row *row,
                              const uint64_t a[6])
{
    return user_rt_sigqueueinfo(t, a[0], a[1], a[2], a[3], true);
}

int64_t sys_sigaltstack(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return user_sigaltstack(t, a[0], a[1]);
}

int64_t sys_restart(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return -EINTR; /* as Linux when there is nothing to restart */
}

int64_t sys_rt_sigreturn(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return row->name[0] == 'r' ? user_rt_sigreturn(t) : user_sigreturn(t);
}

/* ---- i386's first signal calls: masks of 32 bits ---- */
/* Memory below the stack pointer, for structures of the real-time calls: nothing lives there. */
static gva_t below_stack(struct user_thread *t)
{
    return (t->proc->abi->sp(t->cpu) - 512) & ~15u;
}

int64_t sys_sigaction(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    uint32_t old[4]; /* handler mask flags restorer */
    uint32_t rt[5];  /* handler flags restorer mask[2] */
    gva_t s = below_stack(t);
    int64_t r;

    if (a[1]) {
        if (user_read(t->proc, old, a[1], sizeof(old)) < 0)
            return -EFAULT;
        memcpy(rt, (uint32_t[]){ old[0], old[2], old[3], old[1], 0 }, sizeof(rt));
        if (user_write(t->proc, s, rt, sizeof(rt)) < 0)
            return -EFAULT;
    }
    r = user_rt_sigaction(t, a[0], a[1] ? s : 0, a[2] ? s + 32 : 0, SIGSET_SIZE);
    if (r < 0 || !a[2])
        return r;
    if (user_read(t->proc, rt, s + 32, sizeof(rt)) < 0)
        return -EFAULT;
    memcpy(old, (uint32_t[]){ rt[0], rt[3], rt[1], rt[2] }, sizeof(old));
    return user_write(t->proc, a[2], old, sizeof(old));
}

int64_t sys_signal(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    uint32_t rt[5] = { a[1], 0xc0000000 /* SA_RESETHAND | SA_NODEFER */, 0, 0, 0 };
    gva_t s = below_stack(t);
    int64_t r;

    if (user_write(t->proc, s, rt, sizeof(rt)) < 0)
        return -EFAULT;
    r = user_rt_sigaction(t, a[0], s, s + 32, SIGSET_SIZE);
    if (r < 0)
        return r;
    return user_read(t->proc, rt, s + 32, sizeof(rt)) < 0 ? -EFAULT : (int64_t)rt[0];
}

/* set: a value, or no new one; *ret_old: the low word of the mask before. */
static int64_t change_mask(struct user_thread *t, int how, const uint32_t *set, uint32_t *ret_old)
{
    uint32_t low[2] = { set ? *set : 0, 0 };
    gva_t s = below_stack(t);
    int64_t r;

    if (how == 2 && set)
        low[1] = signals_mask(t) >> 32;
    if (user_write(t->proc, s, low, sizeof(low)) < 0)
        return -EFAULT;
    *ret_old = signals_mask(t);
    r = user_rt_sigprocmask(t, how, set ? s : 0, 0, SIGSET_SIZE);
    return r;
}

int64_t sys_sigprocmask(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    uint32_t set = 0, old;
    int64_t r;

    if (a[1] && user_read(t->proc, &set, a[1], sizeof(set)) < 0)
        return -EFAULT;
    r = change_mask(t, a[0], a[1] ? &set : NULL, &old);
    return r == 0 && a[2] ? user_write(t->proc, a[2], &old, sizeof(old)) : r;
}

int64_t sys_sigpending(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    gva_t s = below_stack(t);
    uint32_t low;
    int64_t r = user_rt_sigpending(t, s, SIGSET_SIZE);

    if (r < 0)
        return r;
    if (user_read(t->proc, &low, s, sizeof(low)) < 0)
        return -EFAULT;
    return user_write(t->proc, a[0], &low, sizeof(low));
}

int64_t sys_sigsuspend(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    uint32_t set[2] = { a[2], 0 };
    gva_t s = below_stack(t);

    if (user_write(t->proc, s, set, sizeof(set)) < 0)
        return -EFAULT;
    return user_rt_sigsuspend(t, s, SIGSET_SIZE);
}

int64_t sys_sgetmask(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return (uint32_t)signals_mask(t);
}

int64_t sys_ssetmask(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    uint32_t set = a[0], old;
    int64_t r = change_mask(t, 2, &set, &old);

    return r < 0 ? r : old;
}

/* ---- waiting with a timeout ---- */
int64_t sys_rt_sigtimedwait(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct timespec ts;
    gva_t s = a[2];

    if (call_is_32(t) && a[2] && row->nr[USER_CALLS_I386] == 177) {
        if (call_read_timespec(t, a[2], false, &ts) < 0)
            return -EFAULT;
        s = below_stack(t) - 256; /* user_rt_sigtimedwait() takes 64-bit times */
        if (user_write(t->proc, s, &ts, sizeof(ts)) < 0)
            return -EFAULT;
    }
    return user_rt_sigtimedwait(t, a[0], a[1], s, a[3]);
}

int64_t sys_futex(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return row->nr[USER_CALLS_I386] == 240 && call_is_32(t) ? user_futex32(t, a) : user_futex(t, a);
}

int64_t sys_futex_waitv(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return user_futex_waitv(t, a);
}

int64_t sys_futex2(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return user_futex2(t, row->nr[USER_CALLS_X86_64], a);
}
