/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Signals: what signal.c, signal_host.c, the ABIs' frames, threads and forks share.
 *
 * The host's mask of a thread is the guest's (but for the synchronous signals), and the host's
 * actions are the guest's: what is ignored or has its default action is left to the kernel. So the
 * kernel queues, orders and chooses threads. A signal that the guest handles is caught, kept in the
 * thread's one slot, and all others stay blocked in the kernel until it has been delivered.
 */
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include "user/user.h"

enum { SIGNAL_COUNT = 64 };
#define SIGNAL_BIT(sig) (UINT64_C(1) << ((sig)-1))
/* never blocked in the host: the guest's own faults, and ours (write-protected code pages) */
#define SIGNAL_SYNC                                                                                \
    (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGILL) |          \
     SIGNAL_BIT(SIGTRAP))
#define SIGNAL_UNBLOCKABLE (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))

enum { /* Linux, the same for all our ABIs */
       GUEST_SA_NOCLDSTOP = 1,
       GUEST_SA_NOCLDWAIT = 2,
       GUEST_SA_SIGINFO = 4,
       GUEST_SA_EXPOSE_TAGBITS = 0x800,
       GUEST_SA_RESTORER = 0x04000000,
       GUEST_SA_ONSTACK = 0x08000000,
       GUEST_SA_RESTART = 0x10000000,
       GUEST_SA_NODEFER = 0x40000000,
};
#define GUEST_SA_RESETHAND  UINT64_C(0x80000000)
#define GUEST_SS_AUTODISARM UINT32_C(0x80000000)
#define GUEST_CLEAR_SIGHAND (UINT64_C(1) << 32) /* CLONE_CLEAR_SIGHAND */
#define GUEST_INTO_CGROUP   (UINT64_C(1) << 33) /* CLONE_INTO_CGROUP */

struct signal_action {
    uint64_t handler, flags, restorer, mask; /* handler: guest address, 0: SIG_DFL, 1: SIG_IGN */
};
struct signal_table { /* shared by threads, as CLONE_SIGHAND says */
    pthread_mutex_t lock;
    _Atomic unsigned refs;
    struct signal_action action[SIGNAL_COUNT + 1]; /* guarded by lock */
};
struct signal_fault { /* of the latest synchronous signal, for the frame */
    bool exception;   /* recorded in the CPU's structure; else by the host: */
    bool write;
    uint32_t trap, error; /* x86 */
    uint64_t address;
};
struct signal_state {
    /* This thread and its signal handlers. stop: a signal waits that is not blocked; the stub of
     * user_syscall_safe() looks at it. */
    _Atomic uint32_t stop;
    _Atomic bool slot_full;
    siginfo_t slot;
    _Atomic uint64_t
        sync_pending; /* synchronous signals that were sent by somebody: bit per signal */
    siginfo_t sync_info[SIGNAL_COUNT + 1];
    siginfo_t fault_info; /* after CPU_LEFT_FAULT */
    struct signal_fault fault;
    /* this thread */
    _Atomic uint64_t mask; /* read by handlers */
    uint64_t saved_mask;   /* to come back after sigsuspend, ppoll … */
    bool has_saved;
    uint64_t host_mask; /* as last set by us */
    gva_t alt_sp;
    uint64_t alt_size;
    uint32_t alt_flags;
    gva_t trampoline;
    struct signal_table *table;
};

/* signal_host.c */
void signal_host_init(void);
/* The host's action for sig follows from a. */
int signal_host_install(int sig, const struct signal_action *a);
/* Blocks everything but synchronous signals. */
void signal_host_block(struct signal_state *st);
/* The host's mask becomes the guest's. False: a signal waits in the slot, all stays blocked. */
bool signal_host_set(struct signal_state *st, uint64_t guest_mask);
/* Also when a signal waits: for a thread that goes on without delivering (after clone). */
void signal_host_set_now(struct signal_state *st, uint64_t guest_mask);
/* After pthread_create(): the host's C library has taken and unblocked its signal 33 when it made
 * its first thread. All is blocked again. */
void signal_host_thread_made(struct signal_state *st);
uint64_t signal_host_get(void);
bool signal_host_ignored(int sig);

/* signal.c */
struct signal_state *signal_state_new(const struct signal_state *parent, uint64_t clone_flags);
void signal_state_free(struct signal_state *st);
/* In the child of a fork: what waited was for the parent. */
void signal_state_forked(struct signal_state *st);
/* A thread ends: what it has caught goes back to the process. All is blocked. */
void signal_state_leave(struct user_thread *t);
/* stop follows from what is pending and the mask. */
void signal_check_pending(struct signal_state *st);
void signal_fault_left(struct user_thread *t); /* CPU_LEFT_FAULT */
void signal_exception(struct user_thread *t);  /* CPU_LEFT_EXCEPTION */

/* For build_frame and sigreturn: the alternate stack as stack_t (24 or 12 bytes), saved and
 * restored. */
void signal_stack_save(const struct user_thread *t, void *to);
void signal_stack_restore(struct user_thread *t, const void *from);
/* May a frame begin at sp, when it came from a stack pointer top? Not beyond the alternate stack.
 */
bool signal_stack_fits(const struct user_thread *t, gva_t top, gva_t sp);
bool signal_on_stack(const struct user_thread *t, gva_t sp);

/* thread.c */
struct user_thread *user_thread_make(struct user_proc *p, struct cpu *cpu, struct signal_state *s);
void user_thread_add(struct user_thread *t);
void user_thread_free(struct user_thread *t);
int64_t user_thread_start(struct user_thread *t, const struct user_clone_args *a);
/* Stores a number where the guest asked for it; a bad address is no error. */
void user_put_tid(struct user_thread *t, gva_t at, int tid);
void user_thread_clear_tid(struct user_thread *t);

/* futex.c: what the kernel does with the robust list of a thread that ends */
void user_robust_exit(struct user_thread *t);
