/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "loop/clock.h"

#include <assert.h>
#include <time.h>

static int64_t host_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

void clock_init(struct clock *c, enum clock_kind kind)
{
    *c = (struct clock){ .kind = kind };
    atomic_init(&c->running, kind != CLOCK_VIRTUAL);
}

int64_t clock_now_ns(const struct clock *c)
{
    struct clock *w = (struct clock *)c; /* atomic_load takes no const in C11 */
    unsigned seq;
    int64_t now;

    do {
        seq = atomic_load_explicit(&w->seq, memory_order_acquire);
        if (!atomic_load_explicit(&w->running, memory_order_relaxed))
            now = atomic_load_explicit(&w->frozen_ns, memory_order_relaxed);
        else
            now = host_ns(c->kind == CLOCK_HOST ? CLOCK_REALTIME : CLOCK_MONOTONIC) +
                  atomic_load_explicit(&w->offset_ns, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
    } while ((seq & 1) || seq != atomic_load_explicit(&w->seq, memory_order_relaxed));
    return now;
}

/* Change how the clock reads; writers are serialised by the machine lock. */
static void update(struct clock *c, bool running, int64_t now_ns)
{
    clockid_t id = c->kind == CLOCK_HOST ? CLOCK_REALTIME : CLOCK_MONOTONIC;

    atomic_fetch_add_explicit(&c->seq, 1, memory_order_acq_rel);
    atomic_store_explicit(&c->frozen_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&c->offset_ns, now_ns - host_ns(id), memory_order_relaxed);
    atomic_store_explicit(&c->running, running, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->seq, 1, memory_order_release);
}

void clock_start(struct clock *c)
{
    if (!c->manual && !atomic_load(&c->running))
        update(c, true, clock_now_ns(c));
}

void clock_stop(struct clock *c)
{
    assert(c->kind == CLOCK_VIRTUAL);
    if (atomic_load(&c->running))
        update(c, false, clock_now_ns(c));
}

void clock_set_ns(struct clock *c, int64_t now_ns)
{
    update(c, atomic_load(&c->running), now_ns);
}

void clock_set_manual(struct clock *c, int64_t now_ns)
{
    c->manual = true;
    update(c, false, now_ns);
}

void clock_step_ns(struct clock *c, int64_t delta_ns)
{
    assert(c->manual);
    update(c, false, clock_now_ns(c) + delta_ns);
}
