/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Processes that share the memory of their parent: vfork, posix_spawn, and clone(CLONE_VM). The
 * child runs on a stack of its own with the thread-local storage of the host thread that made it,
 * which sleeps in the kernel (CLONE_VFORK) until the child executes a program or ends. When the
 * guest's parent is not to wait, a host thread made for that waits in its place.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "user/fork.h"

enum { CHILD_STACK = 512 << 10, GUARD = 4096 };

/* clone3, or clone with the old arguments (nr, a..e): the child calls fn(arg) on its new stack. */
long user_clone_stub(long nr, uint64_t a, uint64_t b, uint64_t c, void (*fn)(void *), void *arg);
asm(".text\n"
    ".globl user_clone_stub\n"
    ".hidden user_clone_stub\n"
    ".type user_clone_stub, @function\n"
    "user_clone_stub:\n"
    "    .cfi_startproc\n"
    "    pushq %r12\n"
    "    .cfi_adjust_cfa_offset 8\n"
    "    pushq %r13\n"
    "    .cfi_adjust_cfa_offset 8\n"
    "    movq %r8, %r12\n"
    "    movq %r9, %r13\n"
    "    movq %rdi, %rax\n"
    "    movq %rsi, %rdi\n"
    "    movq %rdx, %rsi\n"
    "    movq %rcx, %rdx\n"
    "    xorl %r10d, %r10d\n"
    "    xorl %r8d, %r8d\n"
    "    syscall\n"
    "    testq %rax, %rax\n"
    "    jnz 1f\n"
    "    xorl %ebp, %ebp\n"
    "    movq %r13, %rdi\n"
    "    call *%r12\n"
    "    ud2\n"
    "1:  popq %r13\n"
    "    .cfi_adjust_cfa_offset -8\n"
    "    popq %r12\n"
    "    .cfi_adjust_cfa_offset -8\n"
    "    ret\n"
    "    .cfi_endproc\n"
    ".size user_clone_stub, . - user_clone_stub\n");

struct vm_child {
    struct user_thread *t;    /* the child's */
    struct user_thread *from; /* the parent's */
    struct user_clone_args a;
    _Atomic int refs; /* of the host threads that look at it */
    void *stack;
    int pidfd;
    int32_t tids[32];
    _Atomic int started; /* detached: pid when the child runs, or -errno */
    int pid;             /* written by the kernel before the child runs (detached) */
};

static void child_main(void *arg)
{
    struct vm_child *v = arg;
    struct user_thread *t = v->t;

    t->tid = (int)syscall(SYS_gettid);
    user_self = t;
    if (v->a.flags & CLONE_CLEAR_SIGHAND)
        for (int sig = 1; sig <= SIGNAL_COUNT; sig++)
            signal_host_install(sig, &t->signals->table->action[sig]);
    if (v->a.flags & CLONE_CHILD_SETTID)
        user_put_tid(t, v->a.child_tid, t->tid);
    if (!(v->a.flags & CLONE_VFORK)) {
        if (v->a.flags & CLONE_PARENT_SETTID)
            user_put_tid(t, v->a.parent_tid, v->pid);
        atomic_store(&v->started, v->pid);
        syscall(SYS_futex, &v->started, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    signal_host_set_now(t->signals, atomic_load(&t->signals->mask));
    user_loop(t);
}

/* Makes the process and sleeps until it has left our memory. Its number or -errno. All signals are
 * blocked. */
static long run_child(struct vm_child *v)
{
    struct user_thread *self = user_self;
    struct clone_args c;
    long r;

    user_clone3_args(v->from, &v->a, CLONE_VFORK, &c);
    c.flags &= ~(uint64_t)(CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_CLEAR_SIGHAND);
    c.child_tid = 0;
    c.stack = (uintptr_t)v->stack + GUARD;
    c.stack_size = CHILD_STACK;
    c.pidfd = (uintptr_t)&v->pidfd;
    c.set_tid = v->a.set_tid_size ? (uintptr_t)v->tids : 0;
    c.set_tid_size = v->a.set_tid_size;
    if (!(v->a.flags & CLONE_VFORK)) {
        c.flags |= CLONE_PARENT_SETTID;
        c.parent_tid = (uintptr_t)&v->pid;
    }
    r = user_clone_stub(SYS_clone3, (uintptr_t)&c, sizeof(c), 0, child_main, v);
    if (r == -ENOSYS && !c.set_tid_size && !(c.flags >> 32)) /* a sandbox that does not know it */
        r = user_clone_stub(SYS_clone, c.flags | c.exit_signal, c.stack + c.stack_size,
                            c.flags & CLONE_PIDFD ? c.pidfd : c.parent_tid, child_main, v);
    user_self = self; /* the child has set it: the storage is the same */
    return r;
}

static void vm_child_put(struct vm_child *v)
{
    if (atomic_fetch_sub(&v->refs, 1) != 1)
        return;
    user_thread_free(v->t);
    if (v->stack)
        munmap(v->stack, GUARD + CHILD_STACK);
    free(v);
}

static struct vm_child *vm_child_new(struct user_thread *t, const struct user_clone_args *a)
{
    struct vm_child *v = xnew(struct vm_child);
    struct error err;
    struct cpu *cpu;

    v->from = t;
    v->a = *a;
    v->pidfd = -1;
    atomic_init(&v->refs, 1);
    v->stack = mmap(NULL, GUARD + CHILD_STACK, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (v->stack == MAP_FAILED)
        v->stack = NULL;
    cpu = v->stack && !mprotect(v->stack, GUARD, PROT_NONE) ? cpu_clone(t->cpu, &err) : NULL;
    if (!cpu) {
        vm_child_put(v);
        return NULL;
    }
    user_clone_regs(t, cpu, a);
    v->t = user_thread_make(t->proc, cpu, signal_state_new(t->signals, a->flags));
    v->t->vfork_child = true;
    if (a->flags & CLONE_CHILD_CLEARTID)
        v->t->clear_child_tid = a->child_tid;
    return v;
}

/* ---- a parent that does not wait ---- */

static void *wait_main(void *arg)
{
    struct vm_child *v = arg;
    long r = run_child(v);

    if (r < 0) {
        atomic_store(&v->started, (int)r);
        syscall(SYS_futex, &v->started, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    vm_child_put(v);
    return NULL;
}

static long run_detached(struct vm_child *v)
{
    pthread_attr_t attr;
    pthread_t id;
    int r;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 128 << 10);
    atomic_store(&v->refs, 2);
    r = pthread_create(&id, &attr, wait_main, v);
    pthread_attr_destroy(&attr);
    signal_host_thread_made(v->from->signals);
    if (r) {
        atomic_store(&v->refs, 1);
        return -EAGAIN;
    }
    while (!(r = atomic_load(&v->started)))
        syscall(SYS_futex, &v->started, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    return r;
}

int64_t user_clone_vm(struct user_thread *t, const struct user_clone_args *a)
{
    struct signal_state *st = t->signals;
    bool waits = a->flags & CLONE_VFORK;
    struct vm_child *v;
    int pidfd;
    long r;

    if (a->set_tid_size > 32)
        return -EINVAL;
    if (!waits) { /* both run at once */
        cpu_set_parallel(t->cpu);
        t->proc->parallel = true;
    }
    v = vm_child_new(t, a);
    if (!v)
        return -EAGAIN;
    if (a->set_tid_size && user_read(t->proc, v->tids, a->set_tid, a->set_tid_size * 4)) {
        vm_child_put(v);
        return -EFAULT;
    }
    signal_host_block(st);
    r = waits ? run_child(v) : run_detached(v);
    pidfd = v->pidfd; /* written before the child ran */
    vm_child_put(v);
    if (r > 0 && a->flags & CLONE_PIDFD && user_write(t->proc, a->pidfd, &pidfd, 4) != 0)
        r = -EFAULT;
    if (!signal_host_set(st, atomic_load(&st->mask)))
        signal_check_pending(st);
    return r;
}
