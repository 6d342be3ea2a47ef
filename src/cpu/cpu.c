/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A vCPU's life: creation, thread, stop and resume, reset, and the events that other threads raise.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/log.h"
#include "cpu/accel.h"
#include "cpu/engine.h"
#include "loop/clock.h"
#include "loop/loop.h"

/* One listener for all vCPUs of the cache. The thread may hold the machine lock, which one that
 * holds the cache's lock may want (code in registers is fetched from a device): never wait. */
static void code_written_elsewhere(void *opaque, gra_t gra, uint64_t len)
{
    struct engine *e = opaque;
    struct cache *c = e->cache;
    struct cpu *me = cpu_current();

    if (me && me->engine->cache == c &&
        me->engine->lock_depth) { /* a page walk of the translator */
        engine_code_killed(c, gra, len);
        return;
    }
    if (pthread_mutex_trylock(&c->lock) == 0) {
        engine_code_killed(c, gra, len);
        pthread_mutex_unlock(&c->lock);
        return;
    }
    pthread_mutex_lock(&c->writes_lock);
    if (c->write_count < CODE_WRITES) {
        c->writes[c->write_count].gra = gra;
        c->writes[c->write_count].len = len;
    }
    if (c->write_count <= CODE_WRITES)
        c->write_count++;
    pthread_mutex_unlock(&c->writes_lock);
    for (struct engine *v = c->vcpus; v; v = v->next_vcpu)
        cpu_event_raise(v->cpu, CPU_EVENT_CODE);
}

static void dirty_armed(void *opaque)
{
    engine_tlb_arm(((struct engine *)opaque)->cache);
}

static void map_changed(void *opaque)
{
    struct engine *e = opaque;

    if (e->started && pthread_equal(pthread_self(), e->thread))
        engine_tlb_drop_all(e);
    else
        cpu_event_raise(e->cpu, CPU_EVENT_FLUSH);
}

static void each_reader(struct engine *e, void (*fn)(struct mem *m, struct mem_reader *r))
{
    fn(e->config.mem, &e->reader);
    if (e->config.ports)
        fn(e->config.ports, &e->port_reader);
    if (e->config.overlay)
        fn(e->config.overlay, &e->overlay_reader);
}

static void set_idle(struct mem *m, struct mem_reader *r)
{
    atomic_store(&r->seen, UINT64_MAX);
}

static void set_busy(struct mem *m, struct mem_reader *r)
{
    atomic_store(&r->seen, mem_generation(m));
}

void engine_reader_idle(struct engine *e)
{
    each_reader(e, set_idle);
}

void engine_reader_busy(struct engine *e)
{
    each_reader(e, set_busy);
}

void engine_reader_quiet(struct engine *e)
{
    mem_quiet(e->config.mem, &e->reader);
    if (e->config.ports)
        mem_quiet(e->config.ports, &e->port_reader);
    if (e->config.overlay)
        mem_quiet(e->config.overlay, &e->overlay_reader);
}

void cpu_use_overlay(struct cpu *cpu, bool on)
{
    struct engine *e = cpu->engine;

    cpu->mem = on ? e->config.overlay : e->config.mem;
    engine_tlb_drop_all(e);
}

bool cpu_has_overlay(const struct cpu *cpu)
{
    return cpu->engine->config.overlay != NULL;
}

/* NULL in *ret: the interpreter. */
static bool pick_accel(const struct host **ret, const char *accel, struct error *err)
{
    *ret = NULL;
    if (accel && !strcmp(accel, "interp"))
        return true;
    if (accel && strcmp(accel, "tcg") && strcmp(accel, "jit"))
        return fail(err, EINVAL, "accelerator '%s' is not one of the engine's", accel);
    if (!host_x86_64.usable())
        return fail(err, ENOTSUP, "this machine's processor cannot run translated code") ||
               fail_hint(err, "use -accel interp");
    *ret = &host_x86_64;
    return true;
}

static bool get_cache(struct engine *e, struct error *err)
{
    uint32_t tail = (uint32_t)((char *)e->tail - (char *)e->cpu);
    const struct host *host;
    struct cache *c;

    if (e->cpu->accel)
        return true;
    if (e->config.share) {
        engine_cache_attach(e->config.share->engine->cache, e);
        return true;
    }
    if (!pick_accel(&host, e->config.accel, err))
        return false;
    c = engine_cache_new(e->cpu->guest, &e->config, host, tail, err);
    if (c)
        engine_cache_attach(c, e);
    return c != NULL;
}

static bool init_guest(struct cpu *cpu, struct error *err)
{
    struct engine *e = cpu->engine;
    const struct guest *guest = cpu->guest;
    const char *model = e->config.model;

    if (e->config.user && (!guest->user_init || !guest->fetch_fault))
        return fail(err, ENOTSUP, "guest %s has no user mode", guest->name);
    if (!model)
        model = e->config.user && guest->user_model ? guest->user_model : guest->default_model;
    if (!guest->init(cpu, model, err))
        return false;
    guest->reset(cpu);
    if (e->config.user)
        guest->user_init(cpu);
    cpu_mode_changed(cpu);
    return true;
}

/* Memory of cpu_size bytes and the tail, zero. */
static struct cpu *alloc_cpu(const struct guest *guest, struct cpu_tail **ret_tail)
{
    size_t tail = ALIGN_UP(guest->cpu_size, 64),
           size = ALIGN_UP(tail + sizeof(struct cpu_tail), 64);
    char *cpu = aligned_alloc(64, size);

    if (!cpu)
        abort();
    memset(cpu, 0, size);
    *ret_tail = (struct cpu_tail *)(cpu + tail);
    return (struct cpu *)cpu;
}

struct cpu *cpu_new(const struct guest *guest, const struct cpu_config *config, struct error *err)
{
    struct engine *e = xnew(struct engine);
    struct cpu *cpu = alloc_cpu(guest, &e->tail);
    struct mem_listener listener = { .opaque = e,
                                     .code_write = config->share ? NULL : code_written_elsewhere,
                                     .dirty_armed = config->share ? NULL : dirty_armed,
                                     .map_changed = map_changed };

    *cpu = (struct cpu){ .engine = e,
                         .guest = guest,
                         .mem = config->mem,
                         .ports = config->ports,
                         .loop = config->loop,
                         .index = config->index,
                         .accel = config->cpu_accel };
    e->cpu = cpu;
    e->config = *config;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->cond, NULL);
    engine_tlb_init(e);
    if (!get_cache(e, err) || !init_guest(cpu, err))
        goto fail;
    if (!cpu->mem)
        return cpu;
    if (!cpu->accel) {
        e->listener = listener;
        mem_listener_add(cpu->mem, &e->listener);
    }
    each_reader(e, mem_reader_add);
    engine_reader_idle(e);
    return cpu;
fail:
    cpu_free(cpu);
    return NULL;
}

void cpu_free(struct cpu *cpu)
{
    struct engine *e;

    if (!cpu)
        return;
    e = cpu->engine;
    if (e->started) {
        pthread_mutex_lock(&e->lock);
        e->quit = true;
        pthread_cond_broadcast(&e->cond);
        pthread_mutex_unlock(&e->lock);
        cpu_event_raise(cpu, CPU_EVENT_STOP);
        pthread_join(e->thread, NULL);
    }
    if (e->listener.opaque)
        mem_listener_remove(e->config.mem, &e->listener);
    if (e->config.mem)
        each_reader(e, mem_reader_remove);
    if (cpu->accel)
        cpu->accel->ops->cpu_finish(cpu);
    if (cpu->guest->finish)
        cpu->guest->finish(cpu);
    if (e->cache)
        engine_cache_detach(e);
    engine_tlb_finish(e);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->cond);
    free(e);
    free(cpu);
}

static _Thread_local struct cpu *current;

struct cpu *cpu_current(void)
{
    return current;
}

void engine_set_current(struct cpu *cpu)
{
    current = cpu;
}

void cpu_attach_intc(struct cpu *cpu, const struct cpu_intc_ops *ops, void *ctrl)
{
    cpu->intc = ops;
    cpu->intc_ctrl = ctrl;
}

/* ---- events: any thread ---- */

void cpu_event_raise(struct cpu *cpu, uint32_t events)
{
    struct engine *e = cpu->engine;

    atomic_fetch_or(&cpu->events, events);
    atomic_store(&cpu->exit_request, 1);
    if (cpu->accel)
        cpu->accel->ops->kick(cpu);
    pthread_mutex_lock(&e->lock);
    pthread_cond_broadcast(&e->cond);
    pthread_mutex_unlock(&e->lock);
}

void cpu_event_clear(struct cpu *cpu, uint32_t events)
{
    atomic_fetch_and(&cpu->events, ~events);
}

static void set_line(void *vcpu, enum cpu_line line, bool level, uint32_t arg)
{
    static const uint32_t bit[] = {
        [CPU_LINE_INTR] = CPU_EVENT_INTR, [CPU_LINE_NMI] = CPU_EVENT_NMI,
        [CPU_LINE_SMI] = CPU_EVENT_SMI,   [CPU_LINE_INIT] = CPU_EVENT_INIT,
        [CPU_LINE_SIPI] = CPU_EVENT_SIPI,
    };
    struct cpu *cpu = vcpu;

    if (line == CPU_LINE_SIPI)
        cpu->engine->sipi_vector = arg;
    if (level)
        cpu_event_raise(cpu, bit[line]);
    else
        cpu_event_clear(cpu, bit[line]);
}

uint32_t cpu_sipi_vector(const struct cpu *cpu)
{
    return cpu->engine->sipi_vector;
}

struct cpu_port cpu_port(struct cpu *cpu)
{
    return (struct cpu_port){ .vcpu = cpu, .set_line = set_line };
}

/* ---- thread ---- */

bool cpu_start(struct cpu *cpu, struct error *err)
{
    struct engine *e = cpu->engine;
    sigset_t all, old;
    int r;

    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    e->started = true;
    r = pthread_create(&e->thread, NULL, cpu->accel ? engine_accel_thread : engine_thread, cpu);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r) {
        e->started = false;
        return fail(err, r, "creating the thread of CPU %u: %s", cpu->index, strerror(r));
    }
    pthread_setname_np(e->thread, "cpu");
    return true;
}

void cpu_hold(struct cpu *cpu)
{
    struct engine *e = cpu->engine;

    pthread_mutex_lock(&e->lock);
    e->stop_wanted = true;
    pthread_mutex_unlock(&e->lock);
    cpu_event_raise(cpu, CPU_EVENT_STOP);
}

void cpu_stop(struct cpu *cpu)
{
    struct engine *e = cpu->engine;

    if (!e->started)
        return;
    pthread_mutex_lock(&e->lock);
    e->stop_wanted = true;
    pthread_mutex_unlock(&e->lock);
    cpu_event_raise(cpu, CPU_EVENT_STOP);
    pthread_mutex_lock(&e->lock);
    while (!e->stopped)
        pthread_cond_wait(&e->cond, &e->lock);
    pthread_mutex_unlock(&e->lock);
}

void cpu_resume(struct cpu *cpu)
{
    struct engine *e = cpu->engine;

    pthread_mutex_lock(&e->lock);
    e->stop_wanted = false;
    pthread_cond_broadcast(&e->cond);
    pthread_mutex_unlock(&e->lock);
}

/* ---- spinning ---- */

bool cpu_is_parallel(const struct cpu *cpu)
{
    return cpu->engine->cache->parallel;
}

void cpu_spin_hint(struct cpu *cpu)
{
    enum { SPINS = 64 }; /* some 200 ns of a spin loop; a yield costs as much */

    if (++cpu->engine->spins % SPINS == 0)
        sched_yield();
}

/* ---- reset ---- */

void cpu_request_reset(struct cpu *cpu)
{
    cpu_event_raise(cpu, CPU_EVENT_RESET);
}

void cpu_flush_all(struct cpu *cpu)
{
    if (cpu->accel)
        return;
    engine_flush_blocks(cpu->engine);
    engine_tlb_drop_all(cpu->engine);
}

void cpu_reset(struct cpu *cpu)
{
    cpu->halted = 0;
    cpu->engine->deliver = false;
    cpu->engine->restart_slow = false;
    cpu_event_clear(cpu, CPU_EVENT_NMI | CPU_EVENT_SMI | CPU_EVENT_INIT | CPU_EVENT_SIPI);
    cpu->guest->reset(cpu);
    if (cpu->accel && cpu->accel_data)
        cpu->accel->ops->cpu_reset(cpu);
    engine_tlb_drop_all(cpu->engine);
    cpu_mode_changed(cpu);
    log_write(LOG_CPU_RESET, "CPU %u reset\n", cpu->index);
}

void cpu_mode_changed(struct cpu *cpu)
{
    unsigned mmu = 0;

    cpu->mode = cpu->guest->compute_mode(cpu, &cpu->aux, &mmu);
    cpu->mmu_index = (uint8_t)mmu;
    engine_tag_update(cpu->engine);
}

void cpu_machine_lock(struct cpu *cpu)
{
    if (cpu->loop)
        loop_lock(cpu->loop);
}

void cpu_machine_unlock(struct cpu *cpu)
{
    if (cpu->loop)
        loop_unlock(cpu->loop);
}

void cpu_machine_reset(struct cpu *cpu, const char *why)
{
    if (cpu->engine->config.on_reset)
        cpu->engine->config.on_reset(cpu->engine->config.opaque, why);
}

void cpu_machine_fail(struct cpu *cpu, const char *why)
{
    if (cpu->engine->config.on_error)
        cpu->engine->config.on_error(cpu->engine->config.opaque, why);
}

int64_t cpu_now_ns(const struct cpu *cpu)
{
    struct timespec ts;

    if (cpu->loop)
        return loop_virtual_ns(cpu->loop);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}
