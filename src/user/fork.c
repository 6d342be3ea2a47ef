/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * clone and clone3: threads, and processes with memory of their own. Those that share memory with
 * their parent are in fork_vm.c.
 */
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/fork.h"

#define THREAD_REFUSED                                                                             \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)
/* What fork(3) of the host's C library does, or we do for the child. All else goes to the kernel.
 */
#define FORK_OWN                                                                                   \
    (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID | CLONE_SETTLS |              \
     CLONE_DETACHED | CLONE_UNTRACED | CLONE_CLEAR_SIGHAND)

void user_clone_regs(struct user_thread *t, struct cpu *cpu, const struct user_clone_args *a)
{
    const struct user_abi *abi = t->proc->abi;

    abi->clone_regs(cpu, a->stack);
    if (a->flags & CLONE_SETTLS)
        abi->set_tls(cpu, a->tls);
}

/* ---- threads ---- */

static int64_t new_thread(struct user_thread *t, const struct user_clone_args *a)
{
    struct signal_state *st = t->signals;
    struct error err;
    struct cpu *cpu;
    struct user_thread *child;
    int64_t r;

    if (a->flags & THREAD_REFUSED)
        return -EINVAL;
    if (a->set_tid_size)
        return -EPERM; /* the host's thread is made by its C library, with a number of the kernel's
                        */
    cpu_set_parallel(t->cpu);
    t->proc->parallel = true;
    cpu = cpu_clone(t->cpu, &err);
    if (!cpu)
        return -EAGAIN;
    user_clone_regs(t, cpu, a);
    child = user_thread_make(t->proc, cpu, signal_state_new(st, a->flags));
    if (a->flags & CLONE_CHILD_CLEARTID)
        child->clear_child_tid = a->child_tid;
    signal_host_block(st);
    r = user_thread_start(child, a);
    if (r < 0)
        user_thread_free(child);
    if (!signal_host_set(st, atomic_load(&st->mask)))
        signal_check_pending(st);
    return r;
}

/* ---- processes ---- */

void user_clone3_args(struct user_thread *t, const struct user_clone_args *a, uint64_t extra,
                      struct clone_args *ret)
{
    *ret = (struct clone_args){ .flags =
                                    (a->flags | extra) & ~(uint64_t)(CLONE_SETTLS | CLONE_DETACHED),
                                .exit_signal = a->exit_signal,
                                .cgroup = a->cgroup };
    if (a->flags & CLONE_PARENT_SETTID)
        ret->parent_tid = (uintptr_t)user_host(t->proc, a->parent_tid);
    if (a->flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID))
        ret->child_tid = (uintptr_t)user_host(t->proc, a->child_tid);
}

/* The kernel's call with every flag. Without CLONE_VM, returns twice. */
static long raw_fork(struct user_thread *t, const struct user_clone_args *a, int *pidfd)
{
    int32_t tids[32];
    struct clone_args c;
    long r;

    user_clone3_args(t, a, 0, &c);
    c.pidfd = (uintptr_t)pidfd;
    if (a->set_tid_size) {
        if (a->set_tid_size > 32)
            return -EINVAL;
        if (user_read(t->proc, tids, a->set_tid, a->set_tid_size * 4))
            return -EFAULT;
        c.set_tid = (uintptr_t)tids;
        c.set_tid_size = a->set_tid_size;
    }
    r = syscall(SYS_clone3, &c, sizeof(c));
    if (r < 0 && errno == ENOSYS && !c.set_tid_size &&
        !(c.flags >> 32)) /* a sandbox that does not know it */
        r = syscall(SYS_clone, c.flags | c.exit_signal, 0ul,
                    c.flags & CLONE_PIDFD ? c.pidfd : c.parent_tid, c.child_tid, 0ul);
    return r < 0 ? -errno : r;
}

/* The only thread of the new process. */
static void in_child(struct user_thread *t, const struct user_clone_args *a)
{
    struct user_proc *p = t->proc;
    struct signal_table *table = t->signals->table;

    t->tid = (int)syscall(SYS_gettid);
    t->next = NULL; /* the other threads are the parent's: their memory is left as it is */
    t->clear_child_tid = a->flags & CLONE_CHILD_CLEARTID ? a->child_tid : 0;
    t->robust_list = 0;
    t->vfork_child = false;
    p->threads = t;
    p->thread_count = 1;
    p->parallel = false;
    signal_state_forked(t->signals);
    for (int sig = 1; a->flags & CLONE_CLEAR_SIGHAND && sig <= SIGNAL_COUNT; sig++) {
        if (table->action[sig].handler > 1) {
            table->action[sig] = (struct signal_action){ 0 };
            signal_host_install(sig, &table->action[sig]);
        }
    }
    user_clone_regs(t, t->cpu, a);
    if (a->flags & CLONE_CHILD_SETTID)
        user_put_tid(t, a->child_tid, (int)t->tid);
}

static int64_t fork_process(struct user_thread *t, const struct user_clone_args *a)
{
    struct user_proc *p = t->proc;
    struct signal_state *st = t->signals;
    bool plain = a->exit_signal == SIGCHLD && !(a->flags & ~(uint64_t)FORK_OWN) && !a->set_tid_size;
    int pidfd = -1;
    int64_t r;

    signal_host_block(st);
    mm_fork_prepare(p);
    cpu_fork_prepare(t->cpu);
    pthread_mutex_lock(&p->lock);
    pthread_mutex_lock(&st->table->lock);
    r = plain ? fork() : raw_fork(t, a, &pidfd);
    if (plain && r < 0)
        r = -errno;
    pthread_mutex_unlock(&st->table->lock);
    pthread_mutex_unlock(&p->lock);
    if (r == 0)
        cpu_fork_child(t->cpu);
    else
        cpu_fork_parent(t->cpu);
    mm_fork_done(p, r == 0);
    if (r == 0) {
        in_child(t, a);
        signal_host_set_now(st, atomic_load(&st->mask));
        return USER_NO_RESULT; /* clone_regs has set it */
    }
    if (r > 0 && a->flags & CLONE_PARENT_SETTID)
        user_put_tid(t, a->parent_tid, (int)r);
    if (r > 0 && a->flags & CLONE_PIDFD)
        user_put_tid(t, a->pidfd, (int)pidfd);
    if (!signal_host_set(st, atomic_load(&st->mask)))
        signal_check_pending(st);
    return r;
}

int64_t user_clone(struct user_thread *t, const struct user_clone_args *a)
{
    uint64_t f = a->flags;

    if ((f & CLONE_THREAD && !(f & CLONE_SIGHAND)) || (f & CLONE_SIGHAND && !(f & CLONE_VM)) ||
        (f & CLONE_SIGHAND && f & CLONE_CLEAR_SIGHAND) || (f & CLONE_THREAD && a->exit_signal))
        return -EINVAL;
    if (a->exit_signal > SIGNAL_COUNT)
        return -EINVAL;
    if (f & CLONE_THREAD)
        return new_thread(t, a);
    if (f & CLONE_VM)
        return user_clone_vm(t, a);
    return fork_process(t, a);
}
