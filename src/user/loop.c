/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest thread's loop: run, and serve what the guest left for.
 */
#include "user/signal_priv.h"

static bool is_restart(int64_t r)
{
    return r <= USER_RESTART && r >= USER_RESTART_NOHAND;
}

static void system_call(struct user_thread *t)
{
    const struct user_abi *abi = t->proc->abi;
    struct user_call call;
    int64_t r;

    abi->get_call(t->cpu, &call);
    r = user_syscall(t, &call);
    if (r != USER_NO_RESULT && !is_restart(r))
        abi->set_result(t->cpu, r);
    if (is_restart(r) || t->signals->has_saved || atomic_load(&t->signals->stop))
        signals_deliver(t, r == USER_NO_RESULT ? NULL : &call, r);
}

_Noreturn void user_loop(struct user_thread *t)
{
    for (;;) {
        if (unlikely(atomic_load(&t->signals->stop)))
            signals_deliver(t, NULL, 0);
        switch (cpu_run(t->cpu)) {
        case CPU_LEFT_SYSCALL: system_call(t); break;
        case CPU_LEFT_EXCEPTION: signal_exception(t); break;
        case CPU_LEFT_FAULT: signal_fault_left(t); break;
        case CPU_LEFT_EVENT: break;
        }
    }
}
