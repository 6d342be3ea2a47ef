/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Signals of the host: actions, masks, and the one handler of all signals. The handler never calls
 * into the rest of Rhea but for the faults of guest code: it keeps the signal and has the run loop
 * or the system call stop. By raw system calls: the guest's C library uses 32 and 33, which the
 * host's keeps for itself.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/fault_address.h"
#include "user/signal_priv.h"
#include "user/syscall_safe.h"

struct host_sigaction { /* the kernel's */
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

void user_sigreturn_stub(void);
asm(".text\n"
    ".globl user_sigreturn_stub\n"
    ".hidden user_sigreturn_stub\n"
    ".type user_sigreturn_stub, @function\n"
    "    nop\n"
    "user_sigreturn_stub:\n" /* these two instructions: how unwinders know the frame */
    "    movq $15, %rax\n"
    "    syscall\n"
    ".size user_sigreturn_stub, . - user_sigreturn_stub\n");

static long set_action(int sig, const struct host_sigaction *a, struct host_sigaction *old)
{
    return syscall(SYS_rt_sigaction, sig, a, old, 8);
}

static long set_mask(int how, const uint64_t *mask, uint64_t *old)
{
    return syscall(SYS_rt_sigprocmask, how, mask, old, 8);
}

/* ---- in the handler ---- */

static void say(const char *s)
{
    ssize_t n = write(2, s, strlen(s));

    (void)n;
}

static void say_hex(uint64_t v)
{
    char buf[19] = "0x";

    for (unsigned i = 0; i < 16; i++)
        buf[2 + i] = "0123456789abcdef"[v >> (60 - 4 * i) & 15];
    say(buf);
}

/* A fault in our own code: says so and lets the default action end us when the instruction runs
 * again. */
static void bug(int sig, const siginfo_t *info, const ucontext_t *uc)
{
    static const struct host_sigaction def;

    say("rhea: bug: signal ");
    say((char[]){ (char)('0' + sig / 10), (char)('0' + sig % 10), 0 });
    say(" in Rhea's own code at ");
    say_hex((uint64_t)uc->uc_mcontext.gregs[REG_RIP]);
    say(" (this function: ");
    say_hex((uint64_t)(uintptr_t)bug);
    say("), address ");
    say_hex((uint64_t)(uintptr_t)info->si_addr);
    say("; please report it\n");
    set_action(sig, &def, NULL);
    if (info->si_code <= 0)
        _exit(128 + sig);
}

static void fault(struct user_thread *t, int sig, const siginfo_t *info, ucontext_t *uc)
{
    struct signal_state *st = t->signals;
    greg_t *g = uc->uc_mcontext.gregs;
    gva_t addr = user_guest(t->proc, info->si_addr);
    bool current = false;
    bool guest = sig != SIGILL && sig != SIGTRAP && t->cpu && cpu_signal_is_guest(t->cpu, uc);

    if (sig == SIGSEGV && info->si_code == SEGV_ACCERR && g[REG_ERR] & 2 && t->proc->mm &&
        mm_write_fault(t, addr, &current)) {
        if (guest && current)
            cpu_signal_restart(t->cpu, uc);
        return;
    }
    if (guest) {
        if (sig == SIGSEGV && info->si_code == SI_KERNEL) {
            bool with_base;

            addr = user_fault_address(uc, &with_base);
            if (!with_base)
                addr -= t->proc->cpu_user.base;
        }
        st->fault_info = *info;
        st->fault = (struct signal_fault){ .write = g[REG_ERR] & 2,
                                           .trap = (uint32_t)g[REG_TRAPNO],
                                           .error = (uint32_t)g[REG_ERR],
                                           .address = addr };
        cpu_signal_leave(t->cpu, uc);
        return;
    }
    if (user_copy_fault(uc))
        return;
    bug(sig, info, uc);
}

static void on_signal(int sig, siginfo_t *info, void *ucontext)
{
    struct user_thread *t = user_self;
    ucontext_t *uc = ucontext;
    struct signal_state *st;
    bool sync = SIGNAL_SYNC & SIGNAL_BIT(sig);
    int saved_errno = errno;

    if (!t || !t->signals) {
        if (sync)
            bug(sig, info, uc);
        return;
    }
    st = t->signals;
    if (sync && info->si_code > 0) {
        fault(t, sig, info, uc);
        errno = saved_errno;
        return;
    }
    if (sync) {
        if (!(atomic_load(&st->sync_pending) & SIGNAL_BIT(sig)))
            st->sync_info[sig] = *info;
        atomic_fetch_or(&st->sync_pending, SIGNAL_BIT(sig));
        if (atomic_load(&st->mask) & SIGNAL_BIT(sig))
            return;
    } else {
        uint64_t all = ~SIGNAL_SYNC;

        st->slot = *info;
        atomic_store(&st->slot_full, true);
        memcpy(&uc->uc_sigmask, &all, sizeof(all)); /* the kernel's set has 8 bytes */
    }
    atomic_store(&st->stop, 1);
    user_syscall_interrupt(uc);
    if (t->cpu)
        cpu_kick(t->cpu);
    errno = saved_errno;
}

/* ---- actions ---- */

int signal_host_install(int sig, const struct signal_action *a)
{
    enum { RESTORER = 0x04000000 };
    struct host_sigaction h = { .flags = SA_SIGINFO | SA_RESTART | RESTORER,
                                .restorer = user_sigreturn_stub,
                                .mask = ~SIGNAL_SYNC };

    h.flags |= a->flags & (GUEST_SA_NOCLDSTOP | GUEST_SA_NOCLDWAIT);
    if (SIGNAL_SYNC & SIGNAL_BIT(sig)) {
        h.flags |= SA_NODEFER;
        h.handler = on_signal;
    } else if (a->handler > 1) {
        h.handler = on_signal;
    } else {
        h.handler = (void (*)(int, siginfo_t *, void *))(uintptr_t)a->handler;
    }
    return set_action(sig, &h, NULL) ? -errno : 0;
}

void signal_host_init(void)
{
    for (int sig = 1; sig <= SIGNAL_COUNT; sig++)
        if (SIGNAL_SYNC & SIGNAL_BIT(sig))
            signal_host_install(sig, &(struct signal_action){ 0 });
}

bool signal_host_ignored(int sig)
{
    struct host_sigaction h = { 0 };

    return set_action(sig, NULL, &h) == 0 && (uintptr_t)h.handler == 1;
}

/* ---- masks ---- */

uint64_t signals_host_mask(uint64_t mask)
{
    return mask & ~SIGNAL_SYNC;
}

uint64_t signal_host_get(void)
{
    uint64_t mask = 0;

    set_mask(SIG_SETMASK, NULL, &mask);
    return mask;
}

void signal_host_block(struct signal_state *st)
{
    uint64_t all = ~SIGNAL_SYNC;

    set_mask(SIG_SETMASK, &all, NULL);
    st->host_mask = all;
}

bool signal_host_set(struct signal_state *st, uint64_t guest_mask)
{
    uint64_t mask = signals_host_mask(guest_mask);

    if (atomic_load(&st->slot_full))
        return false;
    if (mask == st->host_mask)
        return true;
    /* not when the slot is filled meanwhile: the handler has blocked all then */
    if (user_syscall_safe(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8ul) != 0) {
        signal_host_block(st);
        if (atomic_load(&st->slot_full))
            return false;
        set_mask(SIG_SETMASK, &mask, NULL); /* only a synchronous one waits */
    }
    st->host_mask = mask;
    return true;
}

void signal_host_set_now(struct signal_state *st, uint64_t guest_mask)
{
    uint64_t mask = signals_host_mask(guest_mask);

    st->host_mask = mask;
    set_mask(SIG_SETMASK, &mask, NULL);
}

void signal_host_thread_made(struct signal_state *st)
{
    enum { SIGSETXID = 33 };

    pthread_mutex_lock(&st->table->lock);
    signal_host_install(SIGSETXID, &st->table->action[SIGSETXID]);
    pthread_mutex_unlock(&st->table->lock);
    signal_host_block(st);
}

/* ---- around execve, and the end ---- */

void signals_exec_begin(struct user_thread *t)
{
    struct signal_state *st = t->signals;
    uint64_t full = atomic_load(&st->mask);
    static const struct host_sigaction ignore = { .handler = (void (*)(int, siginfo_t *, void *))(
                                                      uintptr_t)1 };

    /* handlers become SIG_DFL by themselves; what is ignored stays so */
    for (int sig = 1; sig <= SIGNAL_COUNT; sig++)
        if (SIGNAL_SYNC & SIGNAL_BIT(sig) && st->table->action[sig].handler == 1)
            set_action(sig, &ignore, NULL);
    if (full & SIGNAL_SYNC && !atomic_load(&st->slot_full)) {
        uint64_t add = full & SIGNAL_SYNC;

        set_mask(SIG_BLOCK, &add, NULL);
        for (int sig = 1; sig <= SIGNAL_COUNT; sig++)
            if (atomic_load(&st->sync_pending) & add & SIGNAL_BIT(sig))
                syscall(SYS_rt_tgsigqueueinfo, getpid(), t->tid, sig, &st->sync_info[sig]);
    }
}

void signals_exec_abort(struct user_thread *t)
{
    uint64_t sync = SIGNAL_SYNC;

    signal_host_init();
    set_mask(SIG_UNBLOCK, &sync, NULL);
}

_Noreturn void signals_die(int sig)
{
    static const struct host_sigaction def;
    uint64_t bit = SIGNAL_BIT(sig);

    set_action(sig, &def, NULL);
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), sig);
    set_mask(SIG_UNBLOCK, &bit, NULL);
    /* process 1 of a namespace is not killed by its own signals */
    syscall(SYS_exit_group, 128 + sig);
    __builtin_unreachable();
}
