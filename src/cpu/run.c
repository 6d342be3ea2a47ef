/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The run loop of a vCPU's thread: events, halts, exceptions, and blocks one after another until
 * something leaves the chain.
 */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "cpu/engine.h"
#include "host/native.h"
#include "loop/loop.h"

/* ---- FP environment around the interpreter, and after a jump out of emitted code ---- */

void engine_fp_enter(struct engine *e)
{
    e->host_csr = host_fpcsr_read();
    host_fpcsr_write(host_fpcsr_for_guest(e->cpu->fpcsr));
    e->fp_entered = true;
}

void engine_fp_leave(struct engine *e)
{
    if (!e->fp_entered)
        return;
    e->cpu->fpcsr = host_fpcsr_merge(e->cpu->fpcsr, host_fpcsr_read());
    host_fpcsr_write(e->host_csr);
    e->fp_entered = false;
}

uint32_t cpu_fpcsr_read(struct cpu *cpu)
{
    if (cpu->engine->fp_entered)
        cpu->fpcsr = host_fpcsr_merge(cpu->fpcsr, host_fpcsr_read());
    return cpu->fpcsr;
}

void cpu_fpcsr_write(struct cpu *cpu, uint32_t mxcsr)
{
    cpu->fpcsr = mxcsr;
    if (cpu->engine->fp_entered)
        host_fpcsr_write(host_fpcsr_for_guest(mxcsr));
}

/* ---- leaving ---- */

struct block *engine_current_block(struct engine *e)
{
    struct cpu *cpu = e->cpu;

    if (!e->host)
        return e->running;
    if (!cpu->host_ra)
        return NULL;
    return engine_block_by_code(e->cache,
                                (uint32_t)(cpu->host_ra - (uint64_t)e->cache->code.rx) - 1);
}

void engine_restore(struct engine *e)
{
    struct cpu *cpu = e->cpu;
    struct block *b;
    gva_t pc;

    if (!e->host || !cpu->host_ra)
        return; /* the interpreter, or no translated code below us: memory is exact */
    b = engine_current_block(e);
    assert(b);
    if (!e->host->restore(e->cache->host_state, &b->host,
                          (uint32_t)(cpu->host_ra - (uint64_t)e->cache->code.rx), cpu, &pc))
        assert(!"each call out of a block is in its fault table");
    *engine_pc(cpu) = pc;
}

_Noreturn void cpu_raise(struct cpu *cpu)
{
    engine_restore(cpu->engine);
    cpu->engine->deliver = true;
    longjmp(cpu->engine->leave, 1);
}

_Noreturn void cpu_restart_slow(struct cpu *cpu)
{
    engine_restore(cpu->engine);
    cpu->engine->restart_slow = true;
    longjmp(cpu->engine->leave, 1);
}

_Noreturn void cpu_leave(struct cpu *cpu)
{
    longjmp(cpu->engine->leave, 1);
}

void cpu_sync_pc(struct cpu *cpu)
{
    struct engine *e = cpu->engine;
    struct block *b = e->host && cpu->host_ra ? engine_current_block(e) : NULL;
    gva_t pc;

    if (b && e->host->restore(e->cache->host_state, &b->host,
                              (uint32_t)(cpu->host_ra - (uint64_t)e->cache->code.rx), cpu, &pc))
        *engine_pc(cpu) = pc;
}

void cpu_halt(struct cpu *cpu)
{
    cpu->halted = 1;
    atomic_store(&cpu->exit_request, 1);
}

/* ---- events ---- */

enum {
    CPU_EVENTS_GUEST =
        CPU_EVENT_INTR | CPU_EVENT_NMI | CPU_EVENT_SMI | CPU_EVENT_INIT | CPU_EVENT_SIPI
};

/* While it waits it is in nobody's way: not in guest code, and holding no memory view. */
static void wait_begin(struct engine *e)
{
    engine_reader_idle(e);
    engine_exit(e);
}

static void wait_end(struct engine *e)
{
    engine_enter(e);
    engine_reader_busy(e);
}

void engine_stand_still(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->stopped = true;
    pthread_cond_broadcast(&e->cond);
    while (e->stop_wanted && !e->quit)
        pthread_cond_wait(&e->cond, &e->lock);
    e->stopped = false;
    cpu_event_clear(e->cpu, CPU_EVENT_STOP); /* under the lock: the next stop's event stays */
    pthread_mutex_unlock(&e->lock);
}

static void stand_still(struct engine *e)
{
    wait_begin(e);
    engine_stand_still(e);
    wait_end(e);
}

static void take_events(struct engine *e)
{
    struct cpu *cpu = e->cpu;
    uint32_t ev;

    atomic_store(&cpu->exit_request, 0);
    ev = atomic_load(&cpu->events);
    if (unlikely(atomic_load(&e->cache->exclusive))) { /* another one wants us out of its way */
        engine_exit(e);
        engine_enter(e);
    }
    if (ev & CPU_EVENT_STOP)
        stand_still(e);
    if (e->quit) /* the machine is being taken apart, by one who holds its lock and waits for us */
        return;
    if (ev & CPU_EVENT_RESET) {
        cpu_event_clear(cpu, CPU_EVENT_RESET);
        cpu_reset(cpu);
    }
    if (ev & CPU_EVENT_FLUSH) {
        cpu_event_clear(cpu, CPU_EVENT_FLUSH);
        engine_tlb_drop_all(e);
    }
    if (ev & CPU_EVENT_CODE)
        engine_take_writes(e);
    ev = atomic_load(&cpu->events) & CPU_EVENTS_GUEST;
    if (ev && cpu->guest->wakes(cpu, ev)) {
        cpu->was_halted = cpu->halted;
        cpu->halted = 0;
        loop_lock(cpu->loop);
        cpu->guest->take_events(cpu, ev);
        loop_unlock(cpu->loop);
    }
}

static void wait_for_event(struct engine *e)
{
    wait_begin(e);
    pthread_mutex_lock(&e->lock);
    while (!atomic_load(&e->cpu->exit_request) && !e->quit)
        pthread_cond_wait(&e->cond, &e->lock);
    pthread_mutex_unlock(&e->lock);
    wait_end(e);
}

/* ---- running ---- */

void engine_log_exec(struct engine *e, const struct block *b)
{
    FILE *f;

    if (log_enabled(LOG_EXEC))
        log_write(LOG_EXEC, "exec pc %#llx mode %#x%s\n", (unsigned long long)b->pc, b->mode,
                  b->variant == BLOCK_NORMAL ? ""
                  : b->variant == BLOCK_SLOW ? " slow"
                                             : " one");
    if (log_enabled(LOG_CPU)) {
        f = log_lock();
        e->cpu->guest->print_state(f, e->cpu);
        log_unlock(f);
    }
}

enum ir_exit_kind engine_run_interp(struct engine *e, struct block *b)
{
    enum ir_exit_kind kind;

    e->running = b;
    engine_fp_enter(e);
    kind = ir_interp(b->ir, e->cpu, &engine_interp_ops);
    engine_fp_leave(e);
    e->running = NULL;
    return kind;
}

static void link_exit(struct engine *e, uint32_t exit, struct block *b)
{
    engine_lock(e);
    engine_link(e, exit, b);
    engine_unlock(e);
}

/* Follows unlinked exits to their targets, linking them, as long as nothing else is to be done. */
static void run_host(struct engine *e, struct block *b)
{
    struct cpu *cpu = e->cpu;

    for (;;) {
        struct host_result r;
        uint64_t flushes = e->cache->flushes;
        bool chain = b->variant == BLOCK_NORMAL && !log_enabled(LOG_NOCHAIN);
        uint32_t exit;

        e->fp_entered = true;
        r = e->host->enter(e->cache->host_state, cpu, b->host.code);
        e->fp_entered = false;
        cpu->host_ra = 0;
        if ((r.left != HOST_LEFT_EXIT && r.left != HOST_LEFT_IND) || !chain ||
            atomic_load(&cpu->exit_request))
            return;
        exit = (uint32_t)r.value;
        b = engine_block_for(e, *engine_pc(cpu), BLOCK_NORMAL);
        if (b->gra != MEM_GRA_NONE) {
            if (r.left == HOST_LEFT_IND)
                engine_jump_insert(e, b);
            else if (e->cache->flushes == flushes)
                link_exit(e, exit, b);
        }
        if (log_enabled(LOG_EXEC) || log_enabled(LOG_CPU))
            engine_log_exec(e, b);
    }
}

static struct block *find_block(struct engine *e, enum block_variant v)
{
    struct block *b = engine_block_for(e, *engine_pc(e->cpu), v);

    if (likely(!b->exclusive) || !e->cache->parallel)
        return b;
    engine_exit(e);
    engine_exclusive_begin(e);
    e->alone = true;
    return engine_block_for(e, *engine_pc(e->cpu), v); /* the first one may be gone */
}

static void end_exclusive(struct engine *e)
{
    e->alone = false;
    engine_exclusive_end(e);
    engine_enter(e);
}

static void step(struct engine *e)
{
    struct cpu *cpu = e->cpu;
    enum block_variant v = BLOCK_NORMAL;
    bool shadow;
    struct block *b;

    engine_reader_quiet(e);
    if (e->deliver) {
        e->deliver = false;
        cpu->guest->deliver(cpu);
        return;
    }
    if (!e->restart_slow && (atomic_load(&cpu->exit_request) || atomic_load(&cpu->events))) {
        take_events(e);
        if (e->quit)
            return;
        if (cpu->halted) {
            wait_for_event(e);
            return;
        }
    }
    shadow = cpu->guest->one_insn(cpu);
    if (shadow)
        v = BLOCK_ONE;
    if (e->restart_slow)
        v = BLOCK_SLOW;
    e->restart_slow = false;
    b = find_block(e, v);
    if (log_enabled(LOG_EXEC) || log_enabled(LOG_CPU))
        engine_log_exec(e, b);
    e->shadow = shadow;
    if (e->host)
        run_host(e, b);
    else
        engine_run_interp(e, b);
    if (unlikely(e->alone))
        end_exclusive(e);
    if (shadow)
        cpu->guest->shadow_done(cpu);
    e->shadow = false;
    if (v != BLOCK_NORMAL && cpu->guest->insn_done)
        cpu->guest->insn_done(cpu);
}

/* After a jump out of translated code or a helper. */
static void after_leave(struct engine *e)
{
    struct cpu *cpu = e->cpu;

    engine_fp_leave(e);
    cpu->host_ra = 0;
    cpu->vec_live = 0;
    e->running = NULL;
    if (e->lock_depth) {
        e->lock_depth = 1;
        engine_unlock(e);
    }
    if (loop_locked_by_me(cpu->loop))
        loop_unlock(cpu->loop);
    if (e->alone)
        end_exclusive(e);
    if (e->shadow && !e->restart_slow)
        cpu->guest->shadow_done(cpu);
    e->shadow = false;
}

void *engine_thread(void *arg)
{
    struct cpu *cpu = arg;
    struct engine *e = cpu->engine;

    e->host_csr = host_fpcsr_read();
    engine_set_current(cpu);
    engine_enter(e);
    engine_reader_busy(e);
    if (setjmp(e->leave))
        after_leave(e);
    while (!e->quit)
        step(e);
    engine_exit(e);
    engine_reader_idle(e);
    return NULL;
}
