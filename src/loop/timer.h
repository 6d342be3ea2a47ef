/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One-shot timers, embedded in their owner. The callback runs in the main loop's thread under
 * the machine lock. Arming and cancelling need the machine lock (or happen before the loop
 * runs) and are allowed from any thread. A timer fires at or after its deadline, once.
 */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

#include "loop/clock.h"

#define TIMER_IDLE INT64_MAX

struct loop;

typedef void timer_fn(void *opaque);

struct timer {
    /* constant after timer_init() */
    struct loop *loop;
    enum clock_kind clock;
    timer_fn *fn;
    void *opaque;
    /* guarded by the machine lock */
    int64_t deadline_ns; /* TIMER_IDLE when not armed */
    uint32_t heap_index; /* place in the loop's heap */
};

/* Prepare a zeroed or idle timer on one of the loop's clocks. */
void timer_init(struct timer *t, struct loop *loop, enum clock_kind clock, timer_fn *fn,
                void *opaque);

/* (Re)arm for an absolute time on the timer's clock; a time in the past fires soon, never from
 * inside this call. Deadlines below 0 count as 0. */
void timer_set_ns(struct timer *t, int64_t deadline_ns);

/* Disarm. No-op on an idle or zeroed timer. After it returns the callback is not run. */
void timer_cancel(struct timer *t);

static inline bool timer_armed(const struct timer *t)
{
    return t->loop && t->deadline_ns != TIMER_IDLE;
}

#endif
