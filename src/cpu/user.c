/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * User mode: the run loop on the calling thread, kicks, clones and forks. Guest memory is this
 * process's own: no soft TLB, and blocks are known by their linear pc.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "cpu/engine.h"
#include "host/native.h"

/* ---- code ---- */

/* Watches the page first, then reads: a write that comes between kills what is made from it. */
unsigned engine_user_fetch(struct engine *e, gva_t linear, uint8_t *buf, unsigned want)
{
    const struct cpu_user *u = e->cache->user;
    gva_t page = linear & ~UINT64_C(0xfff);
    unsigned n = MIN(want, 0x1000u - (unsigned)(linear & 0xfff));
    struct code_page *p;

    if (page != e->fetch_ok) {
        if (!u->may_exec(u->opaque, linear)) {
            e->cpu->guest->fetch_fault(e->cpu, linear);
            return 0;
        }
        if (e->watch) {
            p = engine_page_get(e->cache, page);
            if (p->flips == FLIPS_MAX) {
                e->unwatched = true;
            } else if (!p->watched) {
                u->watch_code(u->opaque, page);
                p->watched = true;
            }
        }
        e->fetch_ok = page;
    }
    if (host_copy_guarded(buf, (const void *)(uintptr_t)(linear + u->base), n))
        return n;
    e->cpu->guest->fetch_fault(e->cpu, linear);
    return 0;
}

bool cpu_page_guarded(struct cpu *cpu, gva_t va)
{
    const struct cpu_user *u = cpu->engine->cache->user;

    return u && u->guarded && u->guarded(u->opaque, va);
}

bool cpu_code_written(struct cpu *cpu, gva_t start, uint64_t len)
{
    struct engine *e = cpu->engine;
    const struct block *now = NULL;

    if (e->host)
        now = e->signal_block;
    else
        now = e->running;
    return engine_code_written(e, start, len, now);
}

/* ---- running ---- */

/* Requests: false when cpu_run() is to return. */
static bool take_requests(struct engine *e)
{
    atomic_store(&e->cpu->exit_request, 0);
    if (atomic_exchange(&e->kicked, false))
        return false;
    if (unlikely(atomic_load(&e->cache->exclusive))) {
        engine_exit(e);
        engine_enter(e);
    }
    return true;
}

static void link_exit(struct engine *e, uint32_t exit, struct block *b)
{
    engine_lock(e);
    engine_link(e, exit, b);
    engine_unlock(e);
}

/* A block and those chained to it; true: a system call. */
static bool run_host(struct engine *e, struct block *b)
{
    struct cpu *cpu = e->cpu;

    for (;;) {
        struct cache *c = e->cache;
        uint64_t flushes = c->flushes;
        struct host_result r;

        e->fp_entered = true;
        r = c->host->enter(c->host_state, cpu, b->host.code);
        e->fp_entered = false;
        cpu->host_ra = 0;
        if (r.left == HOST_LEFT_LOOP)
            return r.value == IR_REASON_SYSCALL;
        if (r.left == HOST_LEFT_POLL || b->variant != BLOCK_NORMAL ||
            atomic_load(&cpu->exit_request) || log_enabled(LOG_NOCHAIN))
            return false;
        b = engine_block_for(e, *engine_pc(cpu), BLOCK_NORMAL);
        if (b->gra == MEM_GRA_NONE)
            ; /* for once */
        else if (r.left == HOST_LEFT_IND)
            engine_jump_insert(e, b);
        else if (c->flushes == flushes)
            link_exit(e, (uint32_t)r.value, b);
        if (log_enabled(LOG_EXEC) || log_enabled(LOG_CPU))
            engine_log_exec(e, b);
    }
}

/* False: why cpu_run() returns is in *left. */
static bool step(struct engine *e, enum cpu_left *left)
{
    struct cpu *cpu = e->cpu;
    enum block_variant v = BLOCK_NORMAL;
    bool shadow, call;
    struct block *b;

    if (unlikely(atomic_load(&cpu->exit_request)) && !e->restart_slow && !take_requests(e)) {
        *left = CPU_LEFT_EVENT;
        return false;
    }
    shadow = cpu->guest->one_insn && cpu->guest->one_insn(cpu);
    if (unlikely(shadow))
        v = BLOCK_ONE;
    if (unlikely(e->restart_slow))
        v = BLOCK_SLOW;
    b = engine_block_for(e, *engine_pc(cpu), v);
    e->restart_slow = false;
    if (log_enabled(LOG_EXEC) || log_enabled(LOG_CPU))
        engine_log_exec(e, b);
    e->shadow = shadow;
    call = e->host ? run_host(e, b) : engine_run_interp(e, b) == IR_LEFT_SYSCALL;
    if (unlikely(v != BLOCK_NORMAL))
        engine_block_discard(e, b);
    if (unlikely(shadow))
        cpu->guest->shadow_done(cpu);
    e->shadow = false;
    *left = CPU_LEFT_SYSCALL;
    return !call;
}

/* After a jump out of translated code, a helper or the translator. True: go on. */
static bool after_leave(struct engine *e, enum cpu_left *left)
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
    if (e->shadow && !e->restart_slow)
        cpu->guest->shadow_done(cpu);
    e->shadow = false;
    *left = e->fault ? CPU_LEFT_FAULT : CPU_LEFT_EXCEPTION;
    if (!e->fault && !e->deliver)
        return true;
    e->fault = e->deliver = false;
    return false;
}

static _Thread_local uint64_t base_set; /* the GS segment base of this thread */

static void set_base(uint64_t base)
{
    enum { SET_GS = 0x1001 };

    if (base == base_set)
        return;
    syscall(SYS_arch_prctl, SET_GS, base);
    base_set = base;
}

enum cpu_left cpu_run(struct cpu *cpu)
{
    struct engine *e = cpu->engine;
    enum cpu_left left;

    set_base(e->cache->user->base);
    e->host_csr = host_fpcsr_read();
    engine_enter(e);
    if (setjmp(e->leave) && !after_leave(e, &left)) {
        engine_exit(e);
        return left;
    }
    while (step(e, &left))
        ;
    engine_exit(e);
    return left;
}

void cpu_kick(struct cpu *cpu)
{
    atomic_store(&cpu->engine->kicked, true);
    atomic_store(&cpu->exit_request, 1);
}

/* ---- several threads ---- */

void cpu_exclusive_begin(struct cpu *cpu)
{
    engine_exclusive_begin(cpu->engine);
}

void cpu_exclusive_end(struct cpu *cpu)
{
    engine_exclusive_end(cpu->engine);
}

void cpu_set_parallel(struct cpu *cpu)
{
    struct engine *e = cpu->engine;
    struct cache *c = e->cache;

    if (c->parallel)
        return;
    engine_exclusive_begin(e);
    engine_lock(e);
    if (!c->parallel) {
        c->parallel = true;
        if (c->host && c->host->set_parallel)
            c->host->set_parallel(c->host_state, true);
        engine_flush_blocks(e);
    }
    engine_unlock(e);
    engine_exclusive_end(e);
}

struct cpu *cpu_clone(struct cpu *parent, struct error *err)
{
    struct cpu_config config = parent->engine->config;
    const struct guest *guest = parent->guest;
    struct cpu *cpu;

    config.share = parent;
    cpu = cpu_new(guest, &config, err);
    if (!cpu)
        return NULL;
    memcpy(cpu + 1, parent + 1, guest->cpu_size - sizeof(struct cpu));
    cpu->fpcsr = parent->fpcsr;
    cpu_mode_changed(cpu);
    return cpu;
}

/* ---- fork ---- */

void cpu_fork_prepare(struct cpu *cpu)
{
    struct cache *c = cpu->engine->cache;

    /* not waiting for an exclusive section: it may wait for a thread whose signal handler wants a
     * lock that our caller holds. What sections change, they change under the cache's lock. */
    pthread_mutex_lock(&c->exclusive_lock);
    engine_lock(cpu->engine);
    engine_cache_fork_prepare(cpu->engine);
}

void cpu_fork_parent(struct cpu *cpu)
{
    struct cache *c = cpu->engine->cache;

    if (c->fork_fd >= 0)
        close(c->fork_fd);
    engine_unlock(cpu->engine);
    pthread_mutex_unlock(&c->exclusive_lock);
}

void cpu_fork_child(struct cpu *cpu)
{
    if (engine_cache_fork_child(cpu->engine))
        return;
    fprintf(stderr, "rhea: no memory for translated code after fork\n");
    _exit(127);
}
