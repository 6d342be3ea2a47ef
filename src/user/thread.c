/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guest threads: each is a thread of the host with a vCPU of its own and the host's number. What
 * Linux does at a thread's end to the guest's memory (robust futexes, the cleared tid) is done here
 * while the thread still lives, as the host's C library owns the kernel's hooks.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "user/signal_priv.h"

_Thread_local struct user_thread *user_self;
static _Thread_local jmp_buf *thread_end; /* in thread_main(); NULL in the main thread */

enum { HOST_STACK = 512 << 10 };

/* ---- life ---- */

struct user_thread *user_thread_make(struct user_proc *p, struct cpu *cpu, struct signal_state *s)
{
    struct user_thread *t = xnew(struct user_thread);

    t->proc = p;
    t->cpu = cpu;
    t->signals = s;
    return t;
}

void user_thread_add(struct user_thread *t)
{
    struct user_proc *p = t->proc;

    pthread_mutex_lock(&p->lock);
    t->next = p->threads;
    p->threads = t;
    p->thread_count++;
    pthread_mutex_unlock(&p->lock);
}

static void thread_remove(struct user_thread *t)
{
    struct user_proc *p = t->proc;

    pthread_mutex_lock(&p->lock);
    for (struct user_thread **at = &p->threads; *at; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            p->thread_count--;
            break;
        }
    }
    pthread_mutex_unlock(&p->lock);
}

void user_thread_free(struct user_thread *t)
{
    if (!t)
        return;
    if (t->cpu)
        cpu_free(t->cpu);
    signal_state_free(t->signals);
    user_exec_release(t);
    free(t);
}

struct user_thread *user_thread_new(struct user_proc *p, struct cpu *cpu)
{
    struct user_thread *t = user_thread_make(p, cpu, NULL);

    t->tid = (int)syscall(SYS_gettid);
    user_thread_add(t);
    user_self = t;
    return t;
}

/* ---- ends ---- */

void user_thread_clear_tid(struct user_thread *t)
{
    static const uint32_t zero;

    if (!t->clear_child_tid)
        return;
    if (user_write(t->proc, t->clear_child_tid, &zero, sizeof(zero)) == 0)
        syscall(SYS_futex, user_host(t->proc, t->clear_child_tid), FUTEX_WAKE, 1, NULL, NULL, 0);
    t->clear_child_tid = 0;
}

_Noreturn void user_exit_thread(struct user_thread *t, int status)
{
    jmp_buf *end = thread_end;

    signal_host_block(t->signals);
    signal_state_leave(t);
    t->exiting = true;
    user_robust_exit(t);
    user_thread_clear_tid(t);
    if (!end || t->tid == getpid()) {
        /* the main thread stays as a zombie until the last thread ends; a child that shares memory
         * is cleaned up by its parent */
        if (!t->vfork_child)
            thread_remove(t);
        syscall(SYS_exit, status);
        __builtin_unreachable();
    }
    thread_remove(t);
    user_self = NULL;
    user_thread_free(t);
    longjmp(*end, 1);
}

_Noreturn void user_exit_group(struct user_thread *t, int status)
{
    if (t->vfork_child)
        user_thread_clear_tid(t);
    syscall(SYS_exit_group, status);
    __builtin_unreachable();
}

int64_t user_set_tid_address(struct user_thread *t, gva_t tid)
{
    t->clear_child_tid = tid;
    return t->tid;
}

/* ---- beginnings ---- */

void user_put_tid(struct user_thread *t, gva_t at, int tid)
{
    if (user_write(t->proc, at, &tid, sizeof(tid)) != 0)
        return; /* as Linux: no error */
}

struct start {
    struct user_thread *t;
    const struct user_clone_args *a;
    _Atomic int state; /* 0: not yet; tid when it runs; -errno */
};

static int64_t prepare(struct user_thread *t, const struct user_clone_args *a)
{
    uint64_t apart = 0;

    if (!(a->flags & CLONE_FS))
        apart |= CLONE_FS;
    if (!(a->flags & CLONE_FILES))
        apart |= CLONE_FILES;
    if (apart && unshare((int)apart))
        return -errno;
    if (a->flags & CLONE_PARENT_SETTID)
        user_put_tid(t, a->parent_tid, (int)t->tid);
    if (a->flags & CLONE_CHILD_SETTID)
        user_put_tid(t, a->child_tid, (int)t->tid);
    if (a->flags & CLONE_PIDFD) {
        long fd = syscall(SYS_pidfd_open, t->tid, O_EXCL /* PIDFD_THREAD */);

        if (fd < 0)
            return -errno;
        user_put_tid(t, a->pidfd, (int)fd);
    }
    return t->tid;
}

/* All signals are blocked when it begins, as they were in the parent. */
static void *thread_main(void *arg)
{
    struct start *s = arg;
    struct user_thread *t = s->t;
    jmp_buf end;
    int64_t r;

    t->tid = (int)syscall(SYS_gettid);
    user_self = t;
    thread_end = &end;
    r = prepare(t, s->a);
    if (r > 0)
        user_thread_add(t);
    atomic_store(&s->state, (int)r);
    syscall(SYS_futex, &s->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    if (r < 0) {
        user_self = NULL;
        return NULL; /* the parent frees t */
    }
    if (setjmp(end))
        return NULL;
    signal_host_set_now(t->signals, atomic_load(&t->signals->mask));
    user_loop(t);
}

/* Owns t, but for an error. The caller has blocked all signals. The new thread's number or -errno.
 */
int64_t user_thread_start(struct user_thread *t, const struct user_clone_args *a)
{
    struct start s = { .t = t, .a = a };
    pthread_attr_t attr;
    pthread_t id;
    int r;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, HOST_STACK);
    r = pthread_create(&id, &attr, thread_main, &s);
    pthread_attr_destroy(&attr);
    signal_host_thread_made(user_self->signals);
    if (r)
        return -EAGAIN;
    while (!(r = atomic_load(&s.state)))
        syscall(SYS_futex, &s.state, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    return r;
}
