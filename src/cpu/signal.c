/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Synchronous host signals that guest code caused in user mode: from the ucontext to the guest's
 * exact state, and out of the handler to the run loop. All of it runs in signal handlers: no lock
 * but the cache's, which code that may fault for the guest does not hold.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu/engine.h"
#include "host/native.h"

/* Offset in the code buffer, or UINT32_MAX. */
static uint32_t code_offset(const struct cache *c, uint64_t pc)
{
    uint64_t off = pc - (uint64_t)c->code.rx;

    return c->host && off < c->code.size ? (uint32_t)off : UINT32_MAX;
}

static struct block *block_at(struct engine *e, uint64_t pc)
{
    uint32_t off = code_offset(e->cache, pc);

    return off == UINT32_MAX ? NULL : engine_block_by_code(e->cache, off);
}

bool cpu_signal_is_guest(const struct cpu *cpu, const void *ucontext)
{
    struct engine *e = cpu->engine;
    uint64_t pc = host_context_pc(ucontext);
    struct block *b;

    if (host_copy_guarded_at(pc))
        return true;
    if (!e->host) {
        e->signal_block = e->running;
        return e->running != NULL;
    }
    b = block_at(e, pc);
    if (!b && cpu->host_ra && code_offset(e->cache, pc) == UINT32_MAX)
        b = engine_current_block(e); /* in a helper */
    e->signal_block = b;
    return b != NULL;
}

static _Noreturn void cannot_restore(uint64_t pc)
{
    static const char text[] = "rhea: a signal in translated code at an instruction without a "
                               "fault table entry\n";

    (void)pc;
    if (write(2, text, sizeof(text) - 1) < 0)
        abort();
    abort();
}

static void leave(void *cpu)
{
    longjmp(((struct cpu *)cpu)->engine->leave, 1);
}

/* Exact state in memory, and the handler returns to leave(). */
static void restore_and_leave(struct cpu *cpu, void *ucontext)
{
    struct engine *e = cpu->engine;
    uint64_t pc = host_context_pc(ucontext);
    struct block *b = e->host ? block_at(e, pc) : NULL;
    struct host_regs regs;
    gva_t guest_pc;

    if (b) {
        host_context_regs(ucontext, &regs);
        if (!e->host->restore_insn(e->cache->host_state, &b->host, code_offset(e->cache, pc), cpu,
                                   &regs, &guest_pc))
            cannot_restore(pc);
        *engine_pc(cpu) = guest_pc;
        cpu->vec_live = 0;
    } else {
        engine_restore(e);
    }
    host_context_jump(ucontext, leave, cpu);
}

void cpu_signal_leave(struct cpu *cpu, void *ucontext)
{
    if (host_copy_guarded_fail(ucontext))
        return; /* the fetch faults: the guest's exception is recorded */
    cpu->engine->fault = true;
    restore_and_leave(cpu, ucontext);
}

void cpu_signal_restart(struct cpu *cpu, void *ucontext)
{
    cpu->engine->restart_slow = true;
    restore_and_leave(cpu, ucontext);
}
