/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Timers: one binary heap per clock. The earliest deadline of all is programmed into a timerfd that
 * the loop polls, straight from the thread that arms the timer, so that a vCPU arming its next tick
 * never wakes the main thread. A timerfd set too early is harmless: it is set anew then.
 */
#include "loop/timer.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "loop/loop_priv.h"

#define NS INT64_C(1000000000)
/* The wall clock may be set while we sleep: look again after this long. */
#define HOST_CLOCK_NAP_NS (10 * NS)

static void place(struct timer_heap *h, uint32_t i, struct timer *t)
{
    h->v[i] = t;
    t->heap_index = i;
}

static void sift_up(struct timer_heap *h, uint32_t i)
{
    struct timer *t = h->v[i];

    for (; i && h->v[(i - 1) / 2]->deadline_ns > t->deadline_ns; i = (i - 1) / 2)
        place(h, i, h->v[(i - 1) / 2]);
    place(h, i, t);
}

static void sift_down(struct timer_heap *h, uint32_t i)
{
    struct timer *t = h->v[i];

    for (uint32_t kid = 2 * i + 1; kid < h->count; kid = 2 * i + 1) {
        if (kid + 1 < h->count && h->v[kid + 1]->deadline_ns < h->v[kid]->deadline_ns)
            kid++;
        if (h->v[kid]->deadline_ns >= t->deadline_ns)
            break;
        place(h, i, h->v[kid]);
        i = kid;
    }
    place(h, i, t);
}

static void heap_remove(struct timer_heap *h, struct timer *t)
{
    uint32_t i = t->heap_index;
    struct timer *last = h->v[--h->count];

    if (last == t)
        return;
    place(h, i, last);
    sift_down(h, i);
    sift_up(h, last->heap_index);
}

void timer_init(struct timer *t, struct loop *loop, enum clock_kind clock, timer_fn *fn,
                void *opaque)
{
    *t = (struct timer){ loop, clock, fn, opaque, TIMER_IDLE, 0 };
}

/* When the deadline is on CLOCK_MONOTONIC; TIMER_IDLE while its clock stands still. */
static int64_t monotonic_deadline(struct loop *l, enum clock_kind kind, int64_t deadline_ns)
{
    struct clock *c = &l->clocks[kind];
    int64_t offset, when;

    if (kind == CLOCK_HOST) {
        int64_t wait = deadline_ns - clock_now_ns(c);

        return clock_now_ns(&l->clocks[CLOCK_RT]) + MAX(0, MIN(wait, HOST_CLOCK_NAP_NS));
    }
    if (!atomic_load(&c->running))
        return deadline_ns <= clock_now_ns(c) ? 1 : TIMER_IDLE;
    offset = atomic_load(&c->offset_ns);
    return checked_sub(deadline_ns, offset, &when) ? MAX(when, 1) : TIMER_IDLE;
}

static void set_timerfd(struct loop *l, int64_t when_ns)
{
    struct itimerspec its = { 0 };

    l->armed_ns = when_ns;
    if (when_ns != TIMER_IDLE) {
        its.it_value.tv_sec = when_ns / NS;
        its.it_value.tv_nsec = when_ns % NS;
    }
    if (timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &its, NULL))
        abort(); /* only bad arguments make it fail */
}

void loop_arm_timerfd(struct loop *l)
{
    int64_t first = TIMER_IDLE;

    for (int k = 0; k < CLOCK_COUNT; k++) {
        if (l->heaps[k].count) {
            int64_t when = monotonic_deadline(l, k, l->heaps[k].v[0]->deadline_ns);

            first = MIN(first, when);
        }
    }
    if (first < l->armed_ns)
        set_timerfd(l, first);
}

void loop_timerfd_fired(struct loop *l)
{
    uint64_t count;

    if (read(l->timer_fd, &count, sizeof count) == sizeof count)
        l->armed_ns = TIMER_IDLE;
}

void timer_set_ns(struct timer *t, int64_t deadline_ns)
{
    struct loop *l = t->loop;
    struct timer_heap *h = &l->heaps[t->clock];

    if (timer_armed(t))
        heap_remove(h, t);
    if (deadline_ns == TIMER_IDLE)
        deadline_ns--;
    t->deadline_ns = MAX(deadline_ns, 0);
    if (h->count == h->room) {
        h->room = MAX(16, h->room * 2);
        h->v = xrealloc_array(h->v, h->room, sizeof *h->v);
    }
    place(h, h->count++, t);
    sift_up(h, t->heap_index);
    if (t->heap_index == 0 && !l->in_round)
        loop_arm_timerfd(l);
}

void timer_cancel(struct timer *t)
{
    if (!timer_armed(t))
        return;
    heap_remove(&t->loop->heaps[t->clock], t);
    t->deadline_ns = TIMER_IDLE;
}

/* Run what is due on one clock. Callbacks may arm and cancel any timer; one that arms itself for
 * now or the past waits for the next round, so that the loop cannot be held up. */
static void run_heap(struct loop *l, enum clock_kind kind)
{
    struct timer_heap *h = &l->heaps[kind];
    int64_t now = clock_now_ns(&l->clocks[kind]);
    uint32_t budget = h->count + 16;

    while (h->count && h->v[0]->deadline_ns <= now && budget--) {
        struct timer *t = h->v[0];

        timer_cancel(t);
        t->fn(t->opaque);
    }
}

void loop_run_timers(struct loop *l)
{
    for (int k = 0; k < CLOCK_COUNT; k++)
        run_heap(l, k);
}

void loop_step_virtual_ns(struct loop *l, int64_t delta_ns)
{
    struct clock *c = &l->clocks[CLOCK_VIRTUAL];
    struct timer_heap *h = &l->heaps[CLOCK_VIRTUAL];
    int64_t end = clock_now_ns(c) + delta_ns;

    while (h->count && h->v[0]->deadline_ns <= end) {
        clock_step_ns(c, MAX(0, h->v[0]->deadline_ns - clock_now_ns(c)));
        run_heap(l, CLOCK_VIRTUAL);
    }
    clock_step_ns(c, end - clock_now_ns(c));
}

void loop_clock_changed(struct loop *l)
{
    if (!l->in_round) {
        l->armed_ns = TIMER_IDLE; /* what is set may now be too late */
        loop_arm_timerfd(l);
    } else {
        l->armed_ns = TIMER_IDLE;
    }
}
