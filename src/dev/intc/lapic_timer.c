/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC's timer: one-shot, periodic and TSC-deadline (SDM 3A 11.5.4). */
#include "dev/intc/lapic_priv.h"

#define NS UINT64_C(1000000000)
/* A periodic timer is never run faster than this: a guest's typing error must not eat the host. */
#define MIN_PERIOD_NS 20000

/* a * b / c without overflow, rounded up; saturates. */
static int64_t scale_up(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 r = ((unsigned __int128)a * b + c - 1) / c;

    return r > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)r;
}

/* Divide configuration: bits 3, 1, 0 give 2^(n+1); 7 gives 1. */
static unsigned divisor(const struct lapic *a)
{
    unsigned n = (a->timer_divide & 3) | (a->timer_divide & 8) >> 1;

    return 1u << ((n + 1) & 7);
}

static int64_t period_ns(const struct lapic *a)
{
    return scale_up((uint64_t)a->timer_init * divisor(a), NS, a->timer_hz);
}

uint32_t lapic_timer_count(const struct lapic *a)
{
    uint64_t ns, ticks;

    if (!a->timer_init || timer_mode(a) == TIMER_TSC_DEADLINE)
        return 0;
    ns = (uint64_t)MAX(0, device_now_ns(&a->dev) - a->timer_start_ns);
    ticks = (uint64_t)((unsigned __int128)ns * a->timer_hz / NS / divisor(a));
    if (timer_mode(a) == TIMER_PERIODIC)
        return a->timer_init - (uint32_t)(ticks % a->timer_init);
    return ticks >= a->timer_init ? 0 : a->timer_init - (uint32_t)ticks;
}

static void arm_deadline(struct lapic *a)
{
    uint64_t now, hz;

    if (!a->tsc_deadline || !a->wire.tsc_now) {
        timer_cancel(&a->timer);
        return;
    }
    now = a->wire.tsc_now(a->wire.tsc_opaque);
    hz = a->wire.tsc_hz(a->wire.tsc_opaque);
    if (a->tsc_deadline <= now)
        timer_set_ns(&a->timer, 0);
    else
        timer_set_ns(&a->timer, device_now_ns(&a->dev) + scale_up(a->tsc_deadline - now, NS, hz));
}

void lapic_timer_arm(struct lapic *a)
{
    int64_t end;

    if (timer_mode(a) == TIMER_TSC_DEADLINE) {
        arm_deadline(a);
        return;
    }
    if (!a->timer_init) {
        timer_cancel(&a->timer);
        return;
    }
    end = a->timer_start_ns + period_ns(a);
    if (timer_mode(a) == TIMER_ONE_SHOT && end <= device_now_ns(&a->dev))
        timer_cancel(&a->timer); /* it ran out before */
    else
        timer_set_ns(&a->timer, end);
}

void lapic_timer_expired(void *opaque)
{
    struct lapic *a = opaque;

    if (timer_mode(a) == TIMER_TSC_DEADLINE) {
        /* rounding may wake us a tick early; never fire before the guest's clock is there */
        if (a->tsc_deadline > a->wire.tsc_now(a->wire.tsc_opaque)) {
            timer_set_ns(&a->timer, device_now_ns(&a->dev) + 1);
            return;
        }
        a->tsc_deadline = 0;
    } else if (timer_mode(a) == TIMER_PERIODIC) {
        int64_t period = period_ns(a), now = device_now_ns(&a->dev);

        /* Whole periods that were missed are dropped: the IRR could hold only one. */
        a->timer_start_ns += (now - a->timer_start_ns) / period * period;
        timer_set_ns(&a->timer, MAX(a->timer_start_ns + period, now + MIN_PERIOD_NS));
    }
    lapic_fire_lvt(a, LVT_TIMER);
}

void lapic_timer_write_init(struct lapic *a, uint32_t val)
{
    if (timer_mode(a) == TIMER_TSC_DEADLINE)
        return; /* SDM: writes are ignored */
    a->timer_init = val;
    a->timer_start_ns = device_now_ns(&a->dev);
    if (val)
        timer_set_ns(&a->timer, a->timer_start_ns + period_ns(a));
    else
        timer_cancel(&a->timer);
}

void lapic_timer_write_divide(struct lapic *a, uint32_t val)
{
    uint32_t count = lapic_timer_count(a);
    uint64_t done;

    a->timer_divide = val & 0xb;
    if (timer_mode(a) == TIMER_TSC_DEADLINE || !timer_armed(&a->timer))
        return;
    /* the count goes on from where it is, at the new rate */
    done = (uint64_t)(a->timer_init - count) * divisor(a);
    a->timer_start_ns = device_now_ns(&a->dev) - scale_up(done, NS, a->timer_hz);
    timer_set_ns(&a->timer, a->timer_start_ns + period_ns(a));
}

void lapic_timer_write_deadline(struct lapic *a, uint64_t val)
{
    if (timer_mode(a) != TIMER_TSC_DEADLINE)
        return;
    a->tsc_deadline = val;
    arm_deadline(a);
}

void lapic_timer_mode_changed(struct lapic *a, unsigned old_mode)
{
    unsigned mode = timer_mode(a);

    if (mode == old_mode)
        return;
    if (mode == TIMER_TSC_DEADLINE || old_mode == TIMER_TSC_DEADLINE) {
        a->timer_init = 0;
        a->tsc_deadline = 0;
    }
    lapic_timer_arm(a);
}

void lapic_tsc_changed(struct device *dev)
{
    struct lapic *a = (struct lapic *)dev;

    if (timer_mode(a) == TIMER_TSC_DEADLINE)
        arm_deadline(a);
}
