/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The thread of a vCPU that an accelerator runs: stop, reset and end are the same as under
 * translation, all between is the accelerator's run().
 */
#include "cpu/accel.h"
#include "cpu/engine.h"

bool cpu_accel_init(struct cpu *cpu, struct error *err)
{
    return !cpu->accel || cpu->accel->ops->cpu_init(cpu->accel, cpu, err);
}

void cpu_accel_lookup_begin(struct cpu *cpu)
{
    engine_reader_busy(cpu->engine);
}

void cpu_accel_lookup_end(struct cpu *cpu)
{
    engine_reader_idle(cpu->engine);
}

void cpu_accel_wait(struct cpu *cpu)
{
    struct engine *e = cpu->engine;

    pthread_mutex_lock(&e->lock);
    while (!atomic_load(&cpu->exit_request) && !e->quit)
        pthread_cond_wait(&e->cond, &e->lock);
    pthread_mutex_unlock(&e->lock);
}

static void take_events(struct engine *e)
{
    struct cpu *cpu = e->cpu;
    uint32_t ev;

    atomic_store(&cpu->exit_request, 0);
    ev = atomic_load(&cpu->events);
    if (ev & CPU_EVENT_STOP) {
        cpu->accel->ops->sync_out(cpu);
        engine_stand_still(e);
    }
    if (e->quit)
        return;
    if (ev & CPU_EVENT_RESET) {
        cpu_event_clear(cpu, CPU_EVENT_RESET);
        cpu->accel->ops->sync_out(cpu);
        cpu_reset(cpu);
    }
    cpu_event_clear(cpu, CPU_EVENT_FLUSH | CPU_EVENT_CODE);
}

void *engine_accel_thread(void *arg)
{
    struct cpu *cpu = arg;
    struct engine *e = cpu->engine;

    engine_set_current(cpu);
    while (!e->quit) {
        take_events(e);
        if (!e->quit)
            cpu->accel->ops->run(cpu);
    }
    return NULL;
}
