/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The system calls about signals: rt_sigaction and its family.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "user/signal_priv.h"

/* ---- struct sigaction: handler, flags, restorer where the ABI has it, mask ---- */

static size_t action_size(const struct user_abi *abi)
{
    return (abi->sa_restorer ? 3 : 2) * abi->long_size + 8;
}

static void action_from(const struct user_abi *abi, const uint8_t *in, struct signal_action *ret)
{
    unsigned n = abi->sa_restorer ? 3 : 2;
    uint64_t v[3] = { 0 };

    for (unsigned i = 0; i < n; i++)
        memcpy(&v[i], in + i * abi->long_size, abi->long_size);
    *ret = (struct signal_action){ .handler = v[0], .flags = v[1], .restorer = v[2] };
    memcpy(&ret->mask, in + n * abi->long_size, 8);
}

static void action_to(const struct user_abi *abi, const struct signal_action *a, uint8_t *out)
{
    unsigned n = abi->sa_restorer ? 3 : 2;
    uint64_t v[3] = { a->handler, a->flags, a->restorer };

    for (unsigned i = 0; i < n; i++)
        memcpy(out + i * abi->long_size, &v[i], abi->long_size);
    memcpy(out + n * abi->long_size, &a->mask, 8);
}

static uint64_t known_flags(const struct user_abi *abi)
{
    return GUEST_SA_NOCLDSTOP | GUEST_SA_NOCLDWAIT | GUEST_SA_SIGINFO | GUEST_SA_EXPOSE_TAGBITS |
           (abi->sa_restorer ? GUEST_SA_RESTORER : 0) | GUEST_SA_ONSTACK | GUEST_SA_RESTART |
           GUEST_SA_NODEFER | GUEST_SA_RESETHAND;
}

/* Changes an action. What is caught already is delivered by the old one first. */
static int64_t change_action(struct user_thread *t, int sig, const struct signal_action *a)
{
    struct signal_state *st = t->signals;
    struct signal_table *table = st->table;
    int64_t r;

    if (atomic_load(&st->slot_full) && st->slot.si_signo == sig)
        return USER_RESTART_NOINTR;
    pthread_mutex_lock(&table->lock);
    r = signal_host_install(sig, a);
    if (r == 0)
        table->action[sig] = *a;
    pthread_mutex_unlock(&table->lock);
    if (r == 0 && a->handler == 1)
        atomic_fetch_and(&st->sync_pending, ~SIGNAL_BIT(sig));
    return r;
}

int64_t user_rt_sigaction(struct user_thread *t, int sig, gva_t act, gva_t old, uint64_t size)
{
    const struct user_abi *abi = t->proc->abi;
    struct signal_action was, a;
    uint8_t buf[32];
    int64_t r;

    if (size != 8)
        return -EINVAL;
    if (act && user_read(t->proc, buf, act, action_size(abi)))
        return -EFAULT;
    if (sig < 1 || sig > SIGNAL_COUNT || (act && SIGNAL_UNBLOCKABLE & SIGNAL_BIT(sig)))
        return -EINVAL;
    was = t->signals->table->action[sig];
    if (act) {
        action_from(abi, buf, &a);
        a.flags &= known_flags(abi);
        a.mask &= ~SIGNAL_UNBLOCKABLE;
        r = change_action(t, sig, &a);
        if (r)
            return r;
    }
    action_to(abi, &was, buf);
    return old && user_write(t->proc, old, buf, action_size(abi)) ? -EFAULT : 0;
}

/* ---- masks ---- */

int64_t user_rt_sigprocmask(struct user_thread *t, int how, gva_t set, gva_t old, uint64_t size)
{
    struct signal_state *st = t->signals;
    uint64_t was = atomic_load(&st->mask), now = was, arg;

    if (size != 8)
        return -EINVAL;
    if (set) {
        if (user_read(t->proc, &arg, set, 8))
            return -EFAULT;
        arg &= ~SIGNAL_UNBLOCKABLE;
        switch (how) {
        case SIG_BLOCK: now |= arg; break;
        case SIG_UNBLOCK: now &= ~arg; break;
        case SIG_SETMASK: now = arg; break;
        default: return -EINVAL;
        }
        if (!signal_host_set(st, now)) /* it came before this call */
            return USER_RESTART_NOINTR;
        atomic_store(&st->mask, now);
        signal_check_pending(st);
    }
    return old && user_write(t->proc, old, &was, 8) ? -EFAULT : 0;
}

int64_t user_rt_sigpending(struct user_thread *t, gva_t set, uint64_t size)
{
    uint64_t pending = 0;

    if (size > 8)
        return -EINVAL;
    if (syscall(SYS_rt_sigpending, &pending, 8))
        return -errno;
    pending &= atomic_load(&t->signals->mask);
    pending |= atomic_load(&t->signals->sync_pending);
    return user_write(t->proc, set, &pending, size);
}

int64_t user_rt_sigsuspend(struct user_thread *t, gva_t set, uint64_t size)
{
    uint64_t mask, host;
    int64_t r;

    if (size != 8)
        return -EINVAL;
    if (user_read(t->proc, &mask, set, 8))
        return -EFAULT;
    signals_temp_mask(t, mask);
    host = signals_host_mask(mask);
    r = user_syscall_safe(SYS_rt_sigsuspend, &host, 8ul);
    return r == USER_RESTART ? USER_RESTART_NOHAND : r;
}

/* ---- waiting and sending ---- */

/* A synchronous signal somebody sent, which we keep. */
static int take_sync(struct signal_state *st, uint64_t set, siginfo_t *ret)
{
    uint64_t have = atomic_load(&st->sync_pending) & set;
    int sig;

    if (!have)
        return 0;
    sig = __builtin_ctzll(have) + 1;
    *ret = st->sync_info[sig];
    atomic_fetch_and(&st->sync_pending, ~SIGNAL_BIT(sig));
    return sig;
}

static int64_t wait_signal(struct user_thread *t, gva_t set, gva_t info, const struct timespec *ts)
{
    uint64_t mask;
    siginfo_t i;
    int64_t r;
    uint8_t out[128];

    if (user_read(t->proc, &mask, set, 8))
        return -EFAULT;
    mask &= ~SIGNAL_UNBLOCKABLE;
    r = take_sync(t->signals, mask, &i);
    if (!r)
        r = user_syscall_safe(SYS_rt_sigtimedwait, &mask, &i, ts, 8ul);
    if (r == USER_RESTART || r == -EINTR) { /* by one that is waited for and that we keep? */
        r = take_sync(t->signals, mask, &i);
        if (!r)
            r = -EINTR;
    }
    if (r > 0 && info) {
        siginfo_to_guest(t->proc->abi, &i, out);
        if (user_write(t->proc, info, out, sizeof(out)))
            return -EFAULT;
    }
    return r;
}

int64_t user_rt_sigtimedwait(struct user_thread *t, gva_t set, gva_t info, gva_t timeout,
                             uint64_t size)
{
    struct timespec ts;

    if (size != 8)
        return -EINVAL;
    if (timeout && user_read(t->proc, &ts, timeout, sizeof(ts)))
        return -EFAULT;
    return wait_signal(t, set, info, timeout ? &ts : NULL);
}

int64_t user_rt_sigtimedwait32(struct user_thread *t, gva_t set, gva_t info, gva_t timeout,
                               uint64_t size)
{
    int32_t in[2];
    struct timespec ts;

    if (size != 8)
        return -EINVAL;
    if (timeout && user_read(t->proc, in, timeout, sizeof(in)))
        return -EFAULT;
    ts = (struct timespec){ timeout ? in[0] : 0, timeout ? in[1] : 0 };
    return wait_signal(t, set, info, timeout ? &ts : NULL);
}

int64_t user_rt_sigqueueinfo(struct user_thread *t, int tgid, int tid, int sig, gva_t info,
                             bool thread)
{
    uint8_t in[128];
    siginfo_t i;
    long r;

    if (user_read(t->proc, in, info, sizeof(in)))
        return -EFAULT;
    siginfo_from_guest(t->proc->abi, in, &i);
    i.si_signo = sig;
    if (thread)
        r = syscall(SYS_rt_tgsigqueueinfo, tgid, tid, sig, &i);
    else
        r = syscall(SYS_rt_sigqueueinfo, tgid, sig, &i);
    return r < 0 ? -errno : r;
}

static int64_t return_from(struct user_thread *t, bool rt)
{
    struct signal_state *st = t->signals;
    uint64_t mask;
    siginfo_t info = { .si_signo = SIGSEGV, .si_code = SI_KERNEL };

    if (atomic_load(&st->slot_full)) /* under the handler's mask: before it returns */
        return USER_RESTART_NOINTR;
    signal_host_block(st);
    if (atomic_load(&st->slot_full))
        return USER_RESTART_NOINTR;
    if (!t->proc->abi->sigreturn(t, rt, &mask)) {
        signals_force(t, &info);
        return USER_NO_RESULT;
    }
    atomic_store(&st->mask, mask & ~SIGNAL_UNBLOCKABLE);
    signal_host_set(st, atomic_load(&st->mask));
    signal_check_pending(st);
    return USER_NO_RESULT;
}

int64_t user_rt_sigreturn(struct user_thread *t)
{
    return return_from(t, true);
}

int64_t user_sigreturn(struct user_thread *t)
{
    return return_from(t, false);
}
