/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Delivery of signals to the guest: which one, its action, the stack of its frame, the restart of
 * the interrupted system call, and the mask. How host and guest share the work: signal_priv.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "user/signal_priv.h"

/* ---- life ---- */

static struct signal_table *table_new(const struct signal_table *from, bool clear)
{
    struct signal_table *n = xnew(struct signal_table);

    pthread_mutex_init(&n->lock, NULL);
    atomic_init(&n->refs, 1);
    if (from)
        memcpy(n->action, from->action, sizeof(n->action));
    for (int sig = 1; clear && sig <= SIGNAL_COUNT; sig++)
        if (n->action[sig].handler != 1)
            n->action[sig] = (struct signal_action){ 0 };
    return n;
}

struct signal_state *signal_state_new(const struct signal_state *parent, uint64_t clone_flags)
{
    struct signal_state *st = xnew(struct signal_state);

    if (!parent) {
        st->table = table_new(NULL, false);
        return st;
    }
    atomic_store(&st->mask, atomic_load(&parent->mask));
    st->trampoline = parent->trampoline;
    if (clone_flags & CLONE_SIGHAND) {
        st->table = parent->table;
        atomic_fetch_add(&st->table->refs, 1);
    } else {
        st->table = table_new(parent->table, clone_flags & GUEST_CLEAR_SIGHAND);
    }
    if (!(clone_flags & CLONE_VM) || clone_flags & CLONE_VFORK) {
        st->alt_sp = parent->alt_sp;
        st->alt_size = parent->alt_size;
        st->alt_flags = parent->alt_flags;
    }
    return st;
}

void signal_state_free(struct signal_state *st)
{
    if (!st)
        return;
    if (atomic_fetch_sub(&st->table->refs, 1) == 1) {
        pthread_mutex_destroy(&st->table->lock);
        free(st->table);
    }
    free(st);
}

void signal_state_forked(struct signal_state *st)
{
    atomic_store(&st->slot_full, false);
    atomic_store(&st->sync_pending, 0);
    atomic_store(&st->stop, 0);
    atomic_store(&st->table->refs, 1);
}

/* Code that unwinders and gdb know by its bytes, in a page of the guest. */
static bool map_trampoline(struct user_thread *t, struct error *err)
{
    struct user_proc *p = t->proc;
    const uint32_t *code = p->abi->trampoline;
    size_t n = 0;
    int64_t a;

    if (!code)
        return true;
    while (code[n])
        n++;
    /* PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS */
    a = mm_mmap(p, 0, p->page_size, 3, 0x22, -1, 0);
    if (a < 0)
        return fail(err, (int)-a, "no memory for the page of signal return code");
    if (user_write(p, (gva_t)a, code, 4 * n) || mm_mprotect(p, (gva_t)a, p->page_size, 5) < 0)
        return fail(err, EFAULT, "cannot write the page of signal return code");
    t->signals->trampoline = (gva_t)a + 4; /* behind the first word, which unwinders look at */
    return true;
}

bool signals_init(struct user_thread *t, struct error *err)
{
    struct signal_state *st = signal_state_new(NULL, 0);

    for (int sig = 1; sig <= SIGNAL_COUNT; sig++)
        if (signal_host_ignored(sig))
            st->table->action[sig].handler = 1;
    st->host_mask = signal_host_get();
    atomic_store(&st->mask, st->host_mask);
    t->signals = st;
    user_self = t;
    signal_host_init();
    signal_host_set_now(st, atomic_load(&st->mask));
    return map_trampoline(t, err);
}

/* ---- pending ---- */

void signal_check_pending(struct signal_state *st)
{
    if (atomic_load(&st->slot_full) || atomic_load(&st->sync_pending) & ~atomic_load(&st->mask))
        atomic_store(&st->stop, 1);
}

/* The next signal to deliver, synchronous ones first. */
static bool take(struct signal_state *st, siginfo_t *ret)
{
    uint64_t sync;

    atomic_store(&st->stop, 0);
    sync = atomic_load(&st->sync_pending) & ~atomic_load(&st->mask);
    if (sync) {
        int sig = __builtin_ctzll(sync) + 1;

        *ret = st->sync_info[sig];
        atomic_fetch_and(&st->sync_pending, ~SIGNAL_BIT(sig));
        signal_check_pending(st);
        return true;
    }
    if (!atomic_load(&st->slot_full))
        return false;
    *ret = st->slot;
    st->host_mask = ~SIGNAL_SYNC; /* the handler has blocked all */
    atomic_store(&st->slot_full, false);
    return true;
}

void signal_state_leave(struct user_thread *t)
{
    struct signal_state *st = t->signals;

    if (!atomic_load(&st->slot_full) || st->slot.si_code == SI_TKILL)
        return;
    if (syscall(SYS_rt_sigqueueinfo, getpid(), st->slot.si_signo, &st->slot) != 0)
        kill(getpid(), st->slot.si_signo);
}

/* ---- the alternate stack ---- */

static bool within_stack(const struct signal_state *st, gva_t sp)
{
    return sp > st->alt_sp && sp - st->alt_sp <= st->alt_size;
}

bool signal_on_stack(const struct user_thread *t, gva_t sp)
{
    const struct signal_state *st = t->signals;

    return !(st->alt_flags & GUEST_SS_AUTODISARM) && within_stack(st, sp);
}

bool signal_stack_fits(const struct user_thread *t, gva_t top, gva_t sp)
{
    const struct signal_state *st = t->signals;

    if (sp > top)
        return false;
    return !st->alt_size || !within_stack(st, top) || sp > st->alt_sp;
}

static void put_stack(const struct user_thread *t, const struct signal_state *st, uint32_t flags,
                      void *to)
{
    if (t->proc->abi->long_size == 8) {
        memcpy(to, (uint64_t[]){ st->alt_sp, flags, st->alt_size }, 24);
    } else {
        memcpy(to, (uint32_t[]){ (uint32_t)st->alt_sp, flags, (uint32_t)st->alt_size }, 12);
    }
}

static int64_t set_stack(struct user_thread *t, const void *from, gva_t sp)
{
    struct signal_state *st = t->signals;
    uint64_t v[3];
    uint32_t flags, mode;

    memcpy(v, from, t->proc->abi->long_size == 8 ? 24 : 12);
    if (t->proc->abi->long_size != 8) {
        uint32_t w[3];

        memcpy(w, from, sizeof(w));
        for (unsigned i = 0; i < 3; i++)
            v[i] = w[i];
    }
    flags = (uint32_t)v[1];
    mode = flags & ~GUEST_SS_AUTODISARM;
    if (signal_on_stack(t, sp))
        return -EPERM;
    if (mode != 0 && mode != SS_DISABLE && mode != SS_ONSTACK)
        return -EINVAL;
    if (mode == SS_DISABLE)
        v[0] = v[2] = 0;
    else if (v[2] < t->proc->abi->sigaltstack_min)
        return -ENOMEM;
    st->alt_sp = v[0];
    st->alt_size = v[2];
    st->alt_flags = flags;
    return 0;
}

void signal_stack_save(const struct user_thread *t, void *to)
{
    put_stack(t, t->signals, t->signals->alt_flags, to);
}

void signal_stack_restore(struct user_thread *t, const void *from)
{
    (void)set_stack(t, from,
                    t->proc->abi->sp(t->cpu)); /* as Linux: what is wrong there is ignored */
}

int64_t user_sigaltstack(struct user_thread *t, gva_t ss, gva_t old)
{
    struct signal_state *st = t->signals;
    unsigned size = t->proc->abi->long_size == 8 ? 24 : 12;
    gva_t sp = t->proc->abi->sp(t->cpu);
    uint8_t in[24], out[24];
    uint32_t flags = !st->alt_size ? SS_DISABLE : signal_on_stack(t, sp) ? SS_ONSTACK : 0;
    int64_t r;

    if (ss && user_read(t->proc, in, ss, size))
        return -EFAULT;
    put_stack(t, st, flags | (st->alt_flags & GUEST_SS_AUTODISARM), out);
    r = ss ? set_stack(t, in, sp) : 0;
    if (r == 0 && old && user_write(t->proc, old, out, size))
        return -EFAULT;
    return r;
}

/* ---- delivery ---- */

enum default_action { DEFAULT_DIE, DEFAULT_IGNORE, DEFAULT_STOP };
static enum default_action default_action(int sig)
{
    switch (sig) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
    case SIGCONT: return DEFAULT_IGNORE;
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU: return DEFAULT_STOP;
    default: return DEFAULT_DIE;
    }
}

static void strace_signal(const struct user_thread *t, const siginfo_t *i)
{
    const char *name = sigabbrev_np(i->si_signo);
    char text[24];

    if (!t->proc->opt || !t->proc->opt->strace)
        return;
    if (name)
        snprintf(text, sizeof(text), "SIG%s", name);
    else
        snprintf(text, sizeof(text), "SIGRT_%d", i->si_signo - 32);
    if (SIGNAL_SYNC & SIGNAL_BIT(i->si_signo) && i->si_code > 0)
        fprintf(stderr, "--- %s {si_signo=%s, si_code=%d, si_addr=%p} ---\n", text, text,
                i->si_code, i->si_addr);
    else
        fprintf(stderr, "--- %s {si_signo=%s, si_code=%d, si_pid=%d, si_uid=%u} ---\n", text, text,
                i->si_code, i->si_pid, i->si_uid);
}

/* Builds the frame. False: the stack is no good. */
static bool enter_handler(struct user_thread *t, const siginfo_t *info,
                          const struct signal_action *act)
{
    struct signal_state *st = t->signals;
    const struct user_abi *abi = t->proc->abi;
    int sig = info->si_signo;
    uint64_t now = atomic_load(&st->mask);
    gva_t sp = abi->sp(t->cpu);
    struct user_sigframe_info f = { .sig = sig,
                                    .info = *info,
                                    .handler = act->handler,
                                    .flags = act->flags,
                                    .restorer = act->restorer,
                                    .mask = act->mask,
                                    .old_mask = st->has_saved ? st->saved_mask : now };

    if (act->flags & GUEST_SA_ONSTACK && st->alt_size && !signal_on_stack(t, sp))
        sp = st->alt_sp + st->alt_size;
    if (!abi->build_frame(t, &f, sp))
        return false;
    st->has_saved = false;
    if (st->alt_flags & GUEST_SS_AUTODISARM) {
        st->alt_sp = st->alt_size = 0;
        st->alt_flags = SS_DISABLE;
    }
    now |= act->mask;
    if (!(act->flags & GUEST_SA_NODEFER))
        now |= SIGNAL_BIT(sig);
    atomic_store(&st->mask, now & ~SIGNAL_UNBLOCKABLE);
    return true;
}

static struct signal_action action_for(struct signal_table *table, int sig)
{
    struct signal_action act;

    pthread_mutex_lock(&table->lock);
    act = table->action[sig];
    if (act.handler > 1 && act.flags & GUEST_SA_RESETHAND) {
        table->action[sig].handler = 0;
        signal_host_install(sig, &table->action[sig]);
    }
    pthread_mutex_unlock(&table->lock);
    return act;
}

/* What a system call that a handler interrupted returns, or that it is made again. */
static void settle_call(struct user_thread *t, const struct user_call *call, int64_t result,
                        bool again)
{
    const struct user_abi *abi = t->proc->abi;

    if (!call || result > USER_RESTART || result < USER_RESTART_NOHAND)
        return;
    if (again)
        abi->restart_call(t->cpu, call);
    else
        abi->set_result(t->cpu, -EINTR);
}

static void force_segv(struct user_thread *t, int sig)
{
    siginfo_t info = { .si_signo = SIGSEGV, .si_code = SI_KERNEL };

    if (sig == SIGSEGV) /* no stack for its handler */
        signals_die(SIGSEGV);
    signals_force(t, &info);
}

static void deliver_one(struct user_thread *t, const siginfo_t *info, const struct user_call **call,
                        int64_t result)
{
    int sig = info->si_signo;
    struct signal_action act = action_for(t->signals->table, sig);

    if (act.handler == 1)
        return;
    if (act.handler == 0) {
        switch (default_action(sig)) {
        case DEFAULT_IGNORE: return;
        case DEFAULT_STOP: kill(getpid(), SIGSTOP); return;
        case DEFAULT_DIE: strace_signal(t, info); signals_die(sig);
        }
    }
    strace_signal(t, info);
    settle_call(t, *call, result,
                result == USER_RESTART_NOINTR ||
                    (result == USER_RESTART && act.flags & GUEST_SA_RESTART));
    *call = NULL;
    if (!enter_handler(t, info, &act))
        force_segv(t, sig);
}

void signals_deliver(struct user_thread *t, const struct user_call *call, int64_t result)
{
    struct signal_state *st = t->signals;
    bool interrupted =
        result == -EINTR || (result <= USER_RESTART && result >= USER_RESTART_NOHAND);
    siginfo_t info;

    if (st->has_saved && !interrupted) { /* the call ended by itself: its mask is over */
        atomic_store(&st->mask, st->saved_mask);
        st->has_saved = false;
    }
    do {
        while (take(st, &info))
            deliver_one(t, &info, &call, result);
        if (st->has_saved) {
            atomic_store(&st->mask, st->saved_mask);
            st->has_saved = false;
        }
        signal_check_pending(st);
    } while (!signal_host_set(st, atomic_load(&st->mask)) || atomic_load(&st->stop));
    settle_call(t, call, result, true);
}

void signals_force(struct user_thread *t, const siginfo_t *info)
{
    struct signal_state *st = t->signals;
    int sig = info->si_signo;
    struct signal_action act = action_for(st->table, sig);

    strace_signal(t, info);
    if (atomic_load(&st->mask) & SIGNAL_BIT(sig) || act.handler <= 1)
        signals_die(sig);
    if (!enter_handler(t, info, &act)) {
        force_segv(t, sig);
        return;
    }
    if (!signal_host_set(st, atomic_load(&st->mask)))
        atomic_store(&st->stop, 1);
}

/* ---- faults ---- */

/* SEGV_MAPERR or SEGV_ACCERR: by the guest's map, as the host's knows protections of ours. */
static void fault_code(struct user_thread *t, siginfo_t *i)
{
    int prot;

    if (i->si_signo != SIGSEGV || i->si_code == SI_KERNEL)
        return;
    i->si_code =
        mm_mapped(t->proc, (gva_t)(uintptr_t)i->si_addr, &prot) ? SEGV_ACCERR : SEGV_MAPERR;
}

void signal_fault_left(struct user_thread *t)
{
    struct signal_state *st = t->signals;
    siginfo_t i = st->fault_info;

    if (i.si_signo == SIGSEGV && i.si_code == SI_KERNEL && t->proc->abi->guest->tagged_fault &&
        t->proc->abi->guest->tagged_fault(t->cpu))
        return;
    if (i.si_signo == SIGSEGV && i.si_code == SI_KERNEL && !t->proc->abi->kernel_code)
        i.si_code =
            SEGV_MAPERR; /* #GP is the host's; the guest has no address that cannot be formed */
    if (i.si_signo == SIGSEGV || i.si_signo == SIGBUS) {
        if (i.si_code == SI_KERNEL)
            st->fault.address = 0;
        i.si_addr = (void *)(uintptr_t)st->fault.address;
    } else {
        i.si_addr = (void *)(uintptr_t)t->proc->abi->pc(t->cpu);
    }
    fault_code(t, &i);
    signals_force(t, &i);
}

void signal_exception(struct user_thread *t)
{
    struct signal_state *st = t->signals;
    siginfo_t i = { 0 };

    t->proc->abi->exception(t->cpu, &i);
    st->fault = (struct signal_fault){ .exception = true, .address = (uintptr_t)i.si_addr };
    fault_code(t, &i);
    signals_force(t, &i);
}

/* ---- masks for system calls ---- */

uint64_t signals_mask(const struct user_thread *t)
{
    return atomic_load(&t->signals->mask);
}

void signals_temp_mask(struct user_thread *t, uint64_t mask)
{
    struct signal_state *st = t->signals;

    st->saved_mask = atomic_load(&st->mask);
    st->has_saved = true;
    atomic_store(&st->mask, mask & ~SIGNAL_UNBLOCKABLE);
    signal_check_pending(st);
}
