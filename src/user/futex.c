/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Futexes: the host's, at the host's address of the guest's word. The kernel knows each thread's
 * robust list when guest addresses are host addresses, for the case that the process is killed; a
 * thread that ends by itself has its list walked here, before its tid is cleared and its stack may
 * go. (The host's C library keeps no robust mutex of its own.)
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "user/signal_priv.h"

/* struct futex_waitv and the calls of Linux 6.7 */
enum { SYS_FUTEX_WAITV = 449, SYS_FUTEX_WAKE = 454, SYS_FUTEX_WAIT = 455, SYS_FUTEX_REQUEUE = 456 };
struct waitv {
    uint64_t val, uaddr;
    uint32_t flags, reserved;
};
enum { WAITV_MAX = 128 };

static uint64_t host_address(struct user_thread *t, gva_t a)
{
    return a ? (uintptr_t)user_host(t->proc, a) : 0;
}

static bool has_timeout(int op)
{
    switch (op & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
    case FUTEX_WAIT_REQUEUE_PI: return true;
    default: return false;
    }
}

/* Does the kernel write to the words? They may be in a page that we write-protect. */
static void prepare_write(struct user_thread *t, int op, const uint64_t arg[6])
{
    switch (op & FUTEX_CMD_MASK) {
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
    case FUTEX_TRYLOCK_PI:
    case FUTEX_UNLOCK_PI: mm_prepare_write(t->proc, arg[0], 4); break;
    case FUTEX_WAKE_OP:
    case FUTEX_WAIT_REQUEUE_PI:
    case FUTEX_CMP_REQUEUE_PI: mm_prepare_write(t->proc, arg[4], 4); break;
    default: break;
    }
}

static int64_t futex(struct user_thread *t, const uint64_t arg[6], const struct timespec *timeout)
{
    int op = (int)arg[1];
    uint64_t a = host_address(t, arg[0]), b = host_address(t, arg[4]);

    prepare_write(t, op, arg);
    if (has_timeout(op))
        return user_syscall_safe(SYS_futex, a, op, arg[2], timeout, b, arg[5]);
    return user_syscall_safe(SYS_futex, a, op, arg[2], arg[3], b, arg[5]);
}

int64_t user_futex(struct user_thread *t, const uint64_t arg[6])
{
    struct timespec ts;

    if (!has_timeout((int)arg[1]) || !arg[3])
        return futex(t, arg, NULL);
    if (user_read(t->proc, &ts, arg[3], sizeof(ts)))
        return -EFAULT;
    return futex(t, arg, &ts);
}

int64_t user_futex32(struct user_thread *t, const uint64_t arg[6])
{
    struct timespec ts;
    int32_t in[2];

    if (!has_timeout((int)arg[1]) || !arg[3])
        return futex(t, arg, NULL);
    if (user_read(t->proc, in, arg[3], sizeof(in)))
        return -EFAULT;
    ts = (struct timespec){ in[0], in[1] };
    return futex(t, arg, &ts);
}

/* futex_waitv's array with host addresses */
static int read_waitv(struct user_thread *t, gva_t at, uint64_t count, struct waitv *ret)
{
    if (count == 0 || count > WAITV_MAX)
        return -EINVAL;
    if (user_read(t->proc, ret, at, count * sizeof(*ret)))
        return -EFAULT;
    for (uint64_t i = 0; i < count; i++)
        ret[i].uaddr = host_address(t, ret[i].uaddr);
    return 0;
}

int64_t user_futex_waitv(struct user_thread *t, const uint64_t arg[6])
{
    struct waitv w[WAITV_MAX];
    struct timespec ts;
    int r = read_waitv(t, arg[0], (uint32_t)arg[1], w);

    if (r)
        return r;
    if (arg[3] && user_read(t->proc, &ts, arg[3], sizeof(ts)))
        return -EFAULT;
    return user_syscall_safe(SYS_FUTEX_WAITV, w, arg[1], arg[2], arg[3] ? &ts : NULL, arg[4]);
}

int64_t user_futex2(struct user_thread *t, long nr, const uint64_t arg[6])
{
    struct waitv w[2];
    struct timespec ts;
    int r;

    switch (nr) {
    case SYS_FUTEX_REQUEUE:
        r = read_waitv(t, arg[0], 2, w);
        return r ? r : user_syscall_safe(nr, w, arg[1], arg[2], arg[3]);
    case SYS_FUTEX_WAIT:
        if (arg[4] && user_read(t->proc, &ts, arg[4], sizeof(ts)))
            return -EFAULT;
        return user_syscall_safe(nr, host_address(t, arg[0]), arg[1], arg[2], arg[3],
                                 arg[4] ? &ts : NULL, arg[5]);
    default: return user_syscall_safe(nr, host_address(t, arg[0]), arg[1], arg[2], arg[3]);
    }
}

/* ---- robust lists ---- */

int64_t user_set_robust_list(struct user_thread *t, gva_t head, uint64_t size)
{
    if (size != 3 * t->proc->abi->long_size)
        return -EINVAL;
    t->robust_list = head;
    t->robust_list_size = size;
    if (t->proc->abi->long_size == 8 && t->proc->cpu_user.base == 0)
        syscall(SYS_set_robust_list, head, size);
    return 0;
}

int64_t user_get_robust_list(struct user_thread *t, int tid, gva_t head, gva_t size)
{
    unsigned n = t->proc->abi->long_size;
    struct user_thread *of = NULL;
    uint64_t value[2];

    if (tid == 0 || tid == t->tid)
        of = t;
    pthread_mutex_lock(&t->proc->lock);
    for (struct user_thread *i = t->proc->threads; i && !of; i = i->next)
        if (i->tid == tid)
            of = i;
    if (of) {
        value[0] = of->robust_list;
        value[1] = of->robust_list_size;
    }
    pthread_mutex_unlock(&t->proc->lock);
    if (!of)
        return syscall(SYS_tgkill, -1, tid, 0) || kill(tid, 0) ? -ESRCH : -EPERM;
    return user_write(t->proc, size, &value[1], n) || user_write(t->proc, head, &value[0], n)
               ? -EFAULT
               : 0;
}

/* The word of a mutex whose owner died. */
static void owner_died(struct user_thread *t, gva_t at, bool pi, bool pending)
{
    _Atomic uint32_t *word = user_host(t->proc, at);
    uint32_t v;
    int prot;

    if (at & 3 || !mm_mapped(t->proc, at, &prot) || !(prot & PROT_WRITE) ||
        user_read(t->proc, &v, at, 4))
        return;
    mm_prepare_write(t->proc, at, 4);
    if (pending && !pi && v == 0) { /* just unlocked by us: the waiter's wake may be missing */
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
        return;
    }
    for (;;) {
        uint32_t died = (v & FUTEX_WAITERS) | FUTEX_OWNER_DIED;

        if ((v & FUTEX_TID_MASK) != (uint32_t)t->tid)
            return;
        if (atomic_compare_exchange_strong(word, &v, died))
            break;
    }
    if (!pi && v & FUTEX_WAITERS)
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool read_long(struct user_thread *t, gva_t at, uint64_t *ret)
{
    *ret = 0;
    return user_read(t->proc, ret, at, t->proc->abi->long_size) == 0;
}

/* The futex word of a list entry: the offset is signed, addresses wrap. */
static gva_t word_of(const struct user_thread *t, uint64_t entry, uint64_t offset)
{
    gva_t at = (entry & ~UINT64_C(1)) + offset;

    return t->proc->abi->long_size == 4 ? (uint32_t)at : at;
}

void user_robust_exit(struct user_thread *t)
{
    enum { LIMIT = 2048 };
    unsigned n = t->proc->abi->long_size;
    gva_t head = t->robust_list;
    uint64_t entry, next, offset, pending;

    if (!head)
        return;
    t->robust_list = 0;
    syscall(SYS_set_robust_list, NULL, 24ul);
    if (!read_long(t, head, &entry) || !read_long(t, head + n, &offset) ||
        !read_long(t, head + 2 * n, &pending))
        return;
    for (unsigned i = 0; i < LIMIT && (entry & ~UINT64_C(1)) != head; i++, entry = next) {
        bool more = read_long(t, entry & ~UINT64_C(1), &next);

        if ((entry & ~UINT64_C(1)) != (pending & ~UINT64_C(1)))
            owner_died(t, word_of(t, entry, offset), entry & 1, false);
        if (!more)
            break;
    }
    if (pending & ~UINT64_C(1))
        owner_died(t, word_of(t, pending, offset), pending & 1, true);
}
