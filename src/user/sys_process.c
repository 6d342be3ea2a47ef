/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * System calls of memory, processes and threads: mostly the way to mm.c, thread.c, exec.c; and
 * limits, which must not hit the translator itself.
 */
#include "user/syscall.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/bits.h"

/* ---- memory ---- */
int64_t sys_brk(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return mm_brk(t->proc, a[0]);
}

int64_t sys_mmap(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return mm_mmap(t->proc, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* i386: the offset is in pages. */
int64_t sys_mmap2(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return mm_mmap(t->proc, a[0], a[1], a[2], a[3], a[4], (a[5] & UINT32_MAX) << 12);
}

/* i386: six words in memory. */
int64_t sys_old_mmap(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    uint32_t m[6];

    if (user_read(t->proc, m, a[0], sizeof(m)) < 0)
        return -EFAULT;
    if (m[5] & 4095)
        return -EINVAL;
    return mm_mmap(t->proc, m[0], m[1], m[2], m[3], m[4], m[5]);
}

int64_t sys_munmap(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return mm_munmap(t->proc, a[0], a[1]);
}

int64_t sys_mprotect(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return a[2] > INT32_MAX ? -EINVAL : mm_mprotect(t->proc, a[0], a[1], a[2]);
}

int64_t sys_mremap(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return a[3] > INT32_MAX ? -EINVAL : mm_mremap(t->proc, a[0], a[1], a[2], a[3], a[4]);
}

int64_t sys_madvise(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return mm_madvise(t->proc, a[0], a[1], a[2]);
}

int64_t sys_shmat(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return mm_shmat(t->proc, a[0], a[1], a[2]);
}

int64_t sys_shmdt(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return mm_shmdt(t->proc, a[0]);
}

/* Under a limit, locking what comes would make the translator's own memory fail: then only the
 * guest's present pages are locked. */
int64_t sys_mlockall(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct rlimit l;
    uint64_t v[6] = { a[0] };

    if ((a[0] & MCL_FUTURE) && getrlimit(RLIMIT_MEMLOCK, &l) == 0 && l.rlim_cur != RLIM_INFINITY)
        v[0] = (a[0] & ~(uint64_t)MCL_FUTURE) | MCL_CURRENT;
    return call_host(t, row, v);
}

/* ---- processes and threads ---- */
int64_t sys_exit(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    user_exit_thread(t, a[0]);
}

int64_t sys_exit_group(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    user_exit_group(t, a[0]);
}

/* x86_64 alone has the thread pointer last. */
int64_t sys_clone(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    bool x86_64 = t->proc->abi->call_column == USER_CALLS_X86_64;
    struct user_clone_args c = {
        .flags = a[0] & 0xffffff00,
        .exit_signal = a[0] & 0xff,
        .stack = a[1],
        .pidfd = a[2],
        .parent_tid = a[2],
        .tls = x86_64 ? a[4] : a[3],
        .child_tid = x86_64 ? a[3] : a[4],
    };

    if ((a[0] & CLONE_PIDFD) && (a[0] & (CLONE_PARENT_SETTID | CLONE_DETACHED)))
        return -EINVAL;
    return user_clone(t, &c);
}

int64_t sys_clone3(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    enum { CLONE_ARGS_V0 = 64, CLONE_ARGS_NOW = 88 };
    struct user_clone_args c = { 0 };
    uint8_t more[4096];

    _Static_assert(sizeof(c) == CLONE_ARGS_NOW, "the kernel's struct clone_args");
    if (a[1] > sizeof(more))
        return -E2BIG;
    if (a[1] < CLONE_ARGS_V0)
        return -EINVAL;
    if (user_read(t->proc, more, a[0], a[1]) < 0)
        return -EFAULT;
    for (uint64_t i = sizeof(c); i < a[1]; i++)
        if (more[i])
            return -E2BIG;
    memcpy(&c, more, MIN(a[1], sizeof(c)));
    if ((c.flags & CLONE_DETACHED) || (c.flags & 0xff) || c.exit_signal > 64 ||
        !c.stack != !c.stack_size)
        return -EINVAL;
    if (c.stack)
        c.stack += c.stack_size;
    return user_clone(t, &c);
}

int64_t sys_fork(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct user_clone_args c = { .exit_signal = SIGCHLD };

    if (row->name[0] == 'v')
        c.flags = CLONE_VFORK | CLONE_VM;
    return user_clone(t, &c);
}

int64_t sys_execve(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    if (row->nargs == 5)
        return user_execve(t, a[0], a[1], a[2], a[3], a[4]);
    return user_execve(t, -100 /* AT_FDCWD */, a[0], a[1], a[2], 0);
}

/* Threads of ours can leave with the guest's thread only: sharing memory ends with exec. */
int64_t sys_unshare(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return call_pass(t, row, a);
}

int64_t sys_set_tid_address(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return user_set_tid_address(t, a[0]);
}

int64_t sys_set_robust_list(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return user_set_robust_list(t, a[0], a[1]);
}

int64_t sys_get_robust_list(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return user_get_robust_list(t, a[0], a[1], a[2]);
}

/* ---- limits ---- */
/* The host's limits of address space and data would hit the translator: the guest sees its own,
 * which nothing enforces. A small stack limit would hit our main thread's stack. */
static bool limit_is_ours(unsigned what, const struct rlimit64 *l)
{
    return what == RLIMIT_AS || what == RLIMIT_DATA ||
           (what == RLIMIT_STACK && l->rlim_cur < (8u << 20));
}

static int64_t set_limit(struct user_thread *t, int pid, unsigned what, const struct rlimit64 *l,
                         struct rlimit64 *old)
{
    struct user_limit *own = &t->proc->limits[what == RLIMIT_AS ? 0 : what == RLIMIT_DATA ? 1 : 2];
    bool self = pid == 0 || pid == call_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
    bool may_own = self && (what == RLIMIT_AS || what == RLIMIT_DATA || what == RLIMIT_STACK);
    int64_t r = 0;

    if (old) {
        r = call_raw(SYS_prlimit64, pid, what, 0, (uintptr_t)old, 0, 0);
        if (r == 0 && may_own && own->set)
            *old = (struct rlimit64){ own->cur, own->max };
    }
    if (r < 0 || !l)
        return r;
    if (!may_own || !limit_is_ours(what, l)) {
        r = call_raw(SYS_prlimit64, pid, what, (uintptr_t)l, 0, 0, 0);
        if (r == 0 && may_own)
            own->set = false;
        return r;
    }
    if (l->rlim_cur > l->rlim_max)
        return -EINVAL;
    own->cur = l->rlim_cur;
    own->max = l->rlim_max;
    own->set = true;
    return 0;
}

int64_t sys_prlimit64(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct rlimit64 l, old;
    int64_t r;

    if (a[2] && user_read(t->proc, &l, a[2], sizeof(l)) < 0)
        return -EFAULT;
    r = set_limit(t, a[0], a[1], a[2] ? &l : NULL, a[3] ? &old : NULL);
    if (r == 0 && a[3] && user_write(t->proc, a[3], &old, sizeof(old)) < 0)
        return -EFAULT;
    return r;
}

int64_t sys_setrlimit(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct rlimit64 l;
    uint32_t l32[2];

    if (call_is_32(t)) {
        if (user_read(t->proc, l32, a[1], sizeof(l32)) < 0)
            return -EFAULT;
        l.rlim_cur = l32[0] == UINT32_MAX ? UINT64_MAX : l32[0];
        l.rlim_max = l32[1] == UINT32_MAX ? UINT64_MAX : l32[1];
    } else if (user_read(t->proc, &l, a[1], sizeof(l)) < 0) {
        return -EFAULT;
    }
    return set_limit(t, 0, a[0], &l, NULL);
}

int64_t sys_getrlimit(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct rlimit64 l;
    /* i386's first getrlimit knows 31 bits */
    uint64_t top = row->nr[USER_CALLS_I386] == 76 ? INT32_MAX : UINT32_MAX;
    uint32_t l32[2];
    int64_t r = set_limit(t, 0, a[0], NULL, &l);

    if (r < 0)
        return r;
    if (!call_is_32(t))
        return user_write(t->proc, a[1], &l, sizeof(l));
    l32[0] = MIN(l.rlim_cur, top);
    l32[1] = MIN(l.rlim_max, top);
    return user_write(t->proc, a[1], l32, sizeof(l32));
}
