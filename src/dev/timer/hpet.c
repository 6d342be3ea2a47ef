/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HPET (IA-PC HPET specification 1.0a). The main counter follows from the time since it was
 * enabled; each comparator has a timer set to its next match. FSB (MSI) delivery is not offered.
 */
#include "dev/timer/hpet.h"

#include "base/bits.h"
#include "dev/device.h"

#define TIMERS 3

enum {
    REG_CAP = 0x000,
    REG_CONFIG = 0x010,
    REG_STATUS = 0x020,
    REG_COUNTER = 0x0f0,
    REG_TIMERS = 0x100,
    TIMER_STRIDE = 0x20,
    TIMER_CONFIG = 0x00,
    TIMER_COMPARE = 0x08,
    TIMER_FSB = 0x10
};

#define CONFIG_ENABLE BIT(0)
#define CONFIG_LEGACY BIT(1)

#define T_LEVEL    BIT(1)
#define T_ENABLE   BIT(2)
#define T_PERIODIC BIT(3)
#define T_VAL_SET  BIT(6)
#define T_32BIT    BIT(8)
#define T_WRITABLE (T_LEVEL | T_ENABLE | T_PERIODIC | T_VAL_SET | T_32BIT | BITS(13, 9))
#define T_CAPS     (BIT(4) | BIT(5)) /* periodic, 64-bit */

#define VENDOR_ID 0x8086
/* femtoseconds per tick, then: revision 1, 3 timers, 64 bits, legacy replacement */
#define CAP                                                                                        \
    ((uint64_t)HPET_TICK_NS * 1000000 << 32 | (uint64_t)VENDOR_ID << 16 | BIT(15) | BIT(13) |      \
     (TIMERS - 1) << 8 | 1)

/* Matches are not shown faster than this in periodic mode. */
#define MIN_PERIOD_TICKS 2000
/* A match further away than this (about a month) is looked at again then. */
#define MAX_WAIT_TICKS (UINT64_C(1) << 48)

struct comparator {
    struct timer timer;
    struct hpet *hpet;
    /* state */
    uint64_t config, compare, period;
    bool val_set_low; /* the low half was written with VAL_SET: the high half goes the same way */
};

struct hpet {
    struct device dev;
    struct comparator t[TIMERS];
    /* state */
    uint64_t config, status;
    uint64_t counter; /* at start_ns, or now while disabled */
    int64_t start_ns;
};

/* Pins that comparator n can be routed to (those of an ICH9). */
static uint64_t route_caps(unsigned n)
{
    return n == 2 ? 0x00f00800 : 0x00f00000;
}

static bool enabled(const struct hpet *h)
{
    return h->config & CONFIG_ENABLE;
}

static uint64_t counter(const struct hpet *h)
{
    if (!enabled(h))
        return h->counter;
    return h->counter + (uint64_t)(device_now_ns(&h->dev) - h->start_ns) / HPET_TICK_NS;
}

static uint64_t width_mask(const struct comparator *t)
{
    return t->config & T_32BIT ? UINT32_MAX : UINT64_MAX;
}

/* The output line that comparator n drives. */
static unsigned line_of(const struct hpet *h, unsigned n)
{
    if ((h->config & CONFIG_LEGACY) && n < 2)
        return n ? HPET_OUT_IRQ8 : HPET_OUT_IRQ0;
    return bits(h->t[n].config, 9, 5) % HPET_PINS;
}

/* Level-triggered lines follow the status bits. Edge lines of the legacy pair rest high after
 * their first edge (an 8259 forgets a request whose line has fallen). */
static void update_lines(struct hpet *h)
{
    uint64_t high = 0;

    for (unsigned n = 0; n < TIMERS; n++) {
        const struct comparator *t = &h->t[n];

        if (enabled(h) && (t->config & T_ENABLE) && (t->config & T_LEVEL) && (h->status & BIT(n)))
            high |= BIT(line_of(h, n));
    }
    for (unsigned i = 0; i < HPET_PINS; i++)
        irq_set(&h->dev.irqs[i], high & BIT(i));
    for (unsigned n = 0; n < 2; n++) {
        struct irq *q = &h->dev.irqs[n ? HPET_OUT_IRQ8 : HPET_OUT_IRQ0];
        bool ours = (h->config & CONFIG_LEGACY) && enabled(h) && (h->t[n].config & T_ENABLE);

        if (!ours)
            irq_lower(q);
        else if (h->t[n].config & T_LEVEL)
            irq_set(q, h->status & BIT(n));
    }
    irq_set(&h->dev.irqs[HPET_OUT_LEGACY], h->config & CONFIG_LEGACY);
}

static void fire(struct hpet *h, unsigned n)
{
    struct comparator *t = &h->t[n];
    unsigned line = line_of(h, n);

    if (t->config & T_LEVEL) {
        h->status |= BIT(n);
        update_lines(h);
    } else if (!(t->config & T_ENABLE)) {
        return;
    } else if (line < HPET_PINS) {
        irq_pulse(&h->dev.irqs[line]);
    } else {
        irq_lower(&h->dev.irqs[line]);
        irq_raise(&h->dev.irqs[line]);
    }
}

static void arm(struct hpet *h, unsigned n)
{
    struct comparator *t = &h->t[n];
    uint64_t now = counter(h), wait;

    /* A masked edge timer has no effect that anyone could see. */
    if (!enabled(h) || !(t->config & (T_ENABLE | T_LEVEL))) {
        timer_cancel(&t->timer);
        return;
    }
    if ((t->config & T_PERIODIC) && t->period) {
        uint64_t behind = (now - t->compare) & width_mask(t);

        /* Periods that are over: the comparator moves on as the hardware's would have. */
        if (behind < width_mask(t) / 2)
            t->compare = (t->compare + (behind / t->period + 1) * t->period) & width_mask(t);
    }
    wait = (t->compare - now) & width_mask(t);
    if (!wait) /* equal now: matched by this very tick; the next match is a full turn away */
        wait = width_mask(t);
    wait = MIN(wait, MAX_WAIT_TICKS);
    if (t->config & T_PERIODIC)
        wait = MAX(wait, t->period < MIN_PERIOD_TICKS ? MIN_PERIOD_TICKS : 0);
    timer_set_ns(&t->timer, h->start_ns + (int64_t)(now - h->counter + wait) * HPET_TICK_NS);
}

static void expired(void *opaque)
{
    struct comparator *t = opaque;
    struct hpet *h = t->hpet;
    unsigned n = (unsigned)(t - h->t);
    uint64_t past = (counter(h) - t->compare) & width_mask(t);

    if (past < width_mask(t) / 2)
        fire(h, n);
    /* a one-shot comparator matches again after a full turn only */
    if ((t->config & T_PERIODIC) || (t->config & T_32BIT) || past >= width_mask(t) / 2)
        arm(h, n);
}

static void arm_all(struct hpet *h)
{
    for (unsigned n = 0; n < TIMERS; n++)
        arm(h, n);
}

/* --- registers --- */

static uint64_t read64(struct hpet *h, unsigned reg)
{
    if (reg >= REG_TIMERS && reg < REG_TIMERS + TIMERS * TIMER_STRIDE) {
        unsigned n = (reg - REG_TIMERS) / TIMER_STRIDE;
        struct comparator *t = &h->t[n];

        switch (reg % TIMER_STRIDE) {
        case TIMER_CONFIG: return t->config | T_CAPS | route_caps(n) << 32;
        case TIMER_COMPARE: return t->compare & width_mask(t);
        case TIMER_FSB: return 0;
        }
    }
    switch (reg) {
    case REG_CAP: return CAP;
    case REG_CONFIG: return h->config;
    case REG_STATUS: return h->status;
    case REG_COUNTER: return counter(h);
    default: guest_error(&h->dev, "read of unknown register %#x", reg); return 0;
    }
}

static void write_compare(struct hpet *h, unsigned n, unsigned shift, unsigned width, uint64_t val)
{
    struct comparator *t = &h->t[n];
    bool set = (t->config & T_VAL_SET) || (t->val_set_low && shift);

    if (!(t->config & T_PERIODIC)) {
        t->compare = bits_set(t->compare, shift, width, val);
    } else {
        /* 2.3.9.2.2: with VAL_SET the accumulator as well, else the period alone */
        if (set)
            t->compare = bits_set(t->compare, shift, width, val);
        t->period = bits_set(t->period, shift, width, val) & width_mask(t);
    }
    t->compare &= width_mask(t);
    t->val_set_low = set && !shift && width == 32;
    t->config &= ~T_VAL_SET;
    arm(h, n);
}

static void write_timer_config(struct hpet *h, unsigned n, unsigned shift, unsigned width,
                               uint64_t val)
{
    struct comparator *t = &h->t[n];

    t->config = bits_set(t->config, shift, width, val) & T_WRITABLE;
    if (!(BIT(bits(t->config, 9, 5)) & route_caps(n)))
        t->config &= ~BITS(13, 9); /* 2.3.8: an unsupported route does not stick */
    if (t->config & T_32BIT) {
        t->compare &= UINT32_MAX;
        t->period &= UINT32_MAX;
    }
    if (!(t->config & T_LEVEL))
        h->status &= ~BIT(n);
    t->val_set_low = false;
    update_lines(h);
    arm(h, n);
}

static void write_config(struct hpet *h, uint64_t val)
{
    bool was = enabled(h);

    if (was && !(val & CONFIG_ENABLE))
        h->counter = counter(h);
    h->config = val & (CONFIG_ENABLE | CONFIG_LEGACY);
    if (!was && enabled(h))
        h->start_ns = device_now_ns(&h->dev);
    update_lines(h);
    arm_all(h);
}

static void write_counter(struct hpet *h, unsigned shift, unsigned width, uint64_t val)
{
    if (enabled(h))
        guest_error(&h->dev, "main counter written while it runs");
    h->counter = bits_set(counter(h), shift, width, val);
    h->start_ns = device_now_ns(&h->dev);
    arm_all(h);
}

static uint64_t hpet_read(struct device *dev, uint64_t off, unsigned size)
{
    uint64_t v = read64((struct hpet *)dev, off & ~7u);

    return size == 8 ? v : bits(v, 8 * (off & 4), 32);
}

static void hpet_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct hpet *h = (struct hpet *)dev;
    unsigned reg = off & ~7u, shift = 8 * (off & 4), width = 8 * size;

    if (reg >= REG_TIMERS && reg < REG_TIMERS + TIMERS * TIMER_STRIDE) {
        unsigned n = (reg - REG_TIMERS) / TIMER_STRIDE;

        switch (reg % TIMER_STRIDE) {
        case TIMER_CONFIG: write_timer_config(h, n, shift, width, val); return;
        case TIMER_COMPARE: write_compare(h, n, shift, width, val); return;
        case TIMER_FSB: return;
        }
    }
    switch (reg) {
    case REG_CONFIG:
        if (!shift)
            write_config(h, val);
        return;
    case REG_STATUS:
        h->status &= ~(val << shift);
        update_lines(h);
        return;
    case REG_COUNTER: write_counter(h, shift, width, val); return;
    default: guest_error(dev, "write to read-only or unknown register %#x", reg); return;
    }
}

/* --- life --- */

static bool hpet_init(struct device *dev, struct error *err)
{
    struct hpet *h = (struct hpet *)dev;

    for (unsigned n = 0; n < TIMERS; n++) {
        h->t[n].hpet = h;
        timer_init(&h->t[n].timer, dev->ctx.loop, CLOCK_VIRTUAL, expired, &h->t[n]);
    }
    return true;
}

static void hpet_finish(struct device *dev)
{
    struct hpet *h = (struct hpet *)dev;

    for (unsigned n = 0; n < TIMERS; n++)
        timer_cancel(&h->t[n].timer);
}

static void hpet_reset(struct device *dev)
{
    struct hpet *h = (struct hpet *)dev;

    h->config = h->status = h->counter = 0;
    h->start_ns = 0;
    for (unsigned n = 0; n < TIMERS; n++) {
        h->t[n].config = h->t[n].period = 0;
        h->t[n].compare = UINT64_MAX;
        h->t[n].val_set_low = false;
        timer_cancel(&h->t[n].timer);
    }
    update_lines(h);
}

static bool hpet_loaded(struct device *dev, struct error *err)
{
    struct hpet *h = (struct hpet *)dev;

    h->config &= CONFIG_ENABLE | CONFIG_LEGACY;
    h->start_ns = MIN(h->start_ns, device_now_ns(dev));
    for (unsigned n = 0; n < TIMERS; n++) {
        h->t[n].config &= T_WRITABLE;
        h->t[n].compare &= width_mask(&h->t[n]);
        h->t[n].period &= width_mask(&h->t[n]);
    }
    arm_all(h);
    return true;
}

/* Periodic comparators move on to their next match. */
static void hpet_save(struct device *dev)
{
    arm_all((struct hpet *)dev);
}

static const struct device_window windows[] = {
    { "regs", WINDOW_MMIO, 0x400, hpet_read, hpet_write, 4, 8 },
};

/* clang-format off */
#define TIMER_STATE(i) \
    FIELD(struct hpet, t[i].config), FIELD(struct hpet, t[i].compare), \
    FIELD(struct hpet, t[i].period), FIELD(struct hpet, t[i].val_set_low)
/* clang-format on */

const struct device_type hpet_type = {
    .name = "hpet",
    .doc = "High precision event timer",
    .size = sizeof(struct hpet),
    .state = FIELDS(FIELD(struct hpet, config), FIELD(struct hpet, status, .max = 7),
                    FIELD(struct hpet, counter), FIELD(struct hpet, start_ns), TIMER_STATE(0),
                    TIMER_STATE(1), TIMER_STATE(2)),
    .init = hpet_init,
    .finish = hpet_finish,
    .reset = hpet_reset,
    .loaded = hpet_loaded,
    .save = hpet_save,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = HPET_OUT_COUNT,
};
