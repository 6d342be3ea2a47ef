/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8254 (Intel data sheet 231164) and port 61h. A counter is not stepped: its value and its output
 * follow from the count, the mode and the time since it was loaded. Only counter 0 has a timer,
 * set to the next change of its output; the gates of counters 0 and 1 are tied high.
 */
#include "dev/timer/pit.h"

#include "base/bits.h"
#include "dev/device.h"

#define NS              UINT64_C(1000000000)
#define MIN_INTERVAL_NS 20000     /* output changes of counter 0 are not shown faster than this */
#define MAX_LAG_NS      100000000 /* ticks missed for longer than this are dropped */
#define REFRESH_NS      15085     /* DRAM refresh, toggles bit 4 of port 61h */

enum { RW_LATCH = 0, RW_LOW = 1, RW_HIGH = 2, RW_BOTH = 3 };

struct counter {
    uint8_t mode, rw; /* 0..5, RW_* */
    bool bcd, gate;
    bool write_high, read_high;  /* second byte is next */
    bool null_count;             /* the count written is not in the counting element yet */
    bool loaded;                 /* counting since start_ns */
    bool triggered;              /* modes 1 and 5: the gate has risen since the count was loaded */
    uint8_t low_byte;            /* first byte of a count being written */
    uint32_t count;              /* 1..65536 (10000 in BCD) */
    uint32_t next_count;         /* modes 2 and 3: takes over at switch_ns; 0: none */
    int64_t start_ns, switch_ns; /* virtual time */
    int64_t paused_ns;           /* gate low in modes 0, 2, 3, 4: time counted so far; else -1 */
    bool count_latched, status_latched;
    uint16_t latched_count;
    uint8_t latched_status;
};

struct pit {
    struct device dev;
    struct timer timer;
    struct counter c[3];
    uint8_t port61;  /* bits 3..0 as written */
    int64_t next_ns; /* when counter 0's output changes next, on the exact grid */
};

static int64_t ticks_to_ns(uint64_t ticks)
{
    return (int64_t)((ticks * NS + PIT_HZ - 1) / PIT_HZ);
}

static uint64_t ns_to_ticks(int64_t ns)
{
    return ns <= 0 ? 0 : (uint64_t)((unsigned __int128)ns * PIT_HZ / NS);
}

/* Let a count written in mode 2 or 3 take over at the end of the period. */
static void take_over(struct counter *c, int64_t now)
{
    if (!c->next_count || c->paused_ns >= 0 || now < c->switch_ns)
        return;
    c->count = c->next_count;
    c->next_count = 0;
    c->start_ns = c->switch_ns;
    c->null_count = false;
}

/* Clock ticks since the count was loaded. */
static uint64_t elapsed(const struct counter *c, int64_t now)
{
    return ns_to_ticks(c->paused_ns >= 0 ? c->paused_ns : now - c->start_ns);
}

static bool output(const struct counter *c, int64_t now)
{
    uint64_t d = elapsed(c, now);

    switch (c->mode) {
    case 0: return c->loaded && d >= c->count;
    case 1: return !c->triggered || d >= c->count;
    case 2: return !c->loaded || !c->gate || d % c->count != c->count - 1;
    case 3: return !c->loaded || !c->gate || d % c->count < (c->count + 1) / 2;
    case 4: return !c->loaded || d != c->count;
    default: return !c->triggered || d != c->count;
    }
}

/* What the counting element shows, binary or BCD as programmed. */
static uint16_t value(const struct counter *c, int64_t now)
{
    uint32_t full = c->bcd ? 10000 : 65536;
    uint64_t d = elapsed(c, now);
    uint32_t v;

    if (!c->loaded && c->mode != 1 && c->mode != 5)
        d = 0;
    if (c->mode == 2)
        v = c->count - (uint32_t)(d % c->count);
    else if (c->mode == 3)
        v = (c->count - (uint32_t)(2 * d % c->count)) & ~1u;
    else
        v = (uint32_t)((c->count + full - d % full) % full);
    v %= full;
    if (!c->bcd)
        return (uint16_t)v;
    return (uint16_t)(v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

/* Ticks from the load until the output of counter 0 changes next after tick d; 0: never. In mode 2
 * that is the end of the period: the one-tick low pulse is made there. */
static uint64_t next_change(const struct counter *c, uint64_t d)
{
    uint64_t period = d / c->count * c->count;
    uint32_t high = (c->count + 1) / 2;

    if (!c->loaded)
        return 0;
    switch (c->mode) {
    case 0: return d < c->count ? c->count : 0;
    case 2: return period + c->count;
    case 3: return d - period < high && high < c->count ? period + high : period + c->count;
    case 4: return d < c->count ? c->count : d == c->count ? c->count + UINT64_C(1) : 0;
    default: /* 1 and 5 need the gate to rise, which counter 0's never does */ return 0;
    }
}

static void arm(struct pit *p, int64_t now)
{
    struct counter *c = &p->c[0];
    uint64_t at = next_change(c, elapsed(c, now));

    if (!at) {
        timer_cancel(&p->timer);
        return;
    }
    p->next_ns = c->start_ns + ticks_to_ns(at);
    timer_set_ns(&p->timer, MAX(p->next_ns, now));
}

static void expired(void *opaque)
{
    struct pit *p = opaque;
    struct counter *c = &p->c[0];
    int64_t now = device_now_ns(&p->dev), at = p->next_ns;
    uint64_t change;

    if (now - at > MAX_LAG_NS)
        at = now;
    take_over(c, at);
    if (c->mode == 2)
        irq_lower(&p->dev.irqs[0]);
    irq_set(&p->dev.irqs[0], output(c, at));
    change = next_change(c, elapsed(c, at));
    if (!change)
        return;
    p->next_ns = c->start_ns + ticks_to_ns(change);
    timer_set_ns(&p->timer,
                 MAX(p->next_ns, now + (p->next_ns - at < MIN_INTERVAL_NS ? MIN_INTERVAL_NS : 0)));
}

/* Something about counter 0 changed. */
static void refresh(struct pit *p, unsigned n)
{
    int64_t now = device_now_ns(&p->dev);

    if (n)
        return;
    irq_set(&p->dev.irqs[0], output(&p->c[0], now));
    arm(p, now);
}

/* --- programming --- */

static uint32_t decode_count(const struct counter *c, uint16_t raw)
{
    uint32_t v = raw;

    if (c->bcd)
        v = (raw >> 12) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u + (raw & 15);
    return v ? v : c->bcd ? 10000 : 65536;
}

static void load(struct pit *p, unsigned n, uint16_t raw)
{
    struct counter *c = &p->c[n];
    int64_t now = device_now_ns(&p->dev);
    uint32_t count = decode_count(c, raw);

    if ((c->mode == 2 || c->mode == 3) && count == 1)
        count = 2; /* 1 is illegal there: it would never have a low half */
    if (c->loaded && (c->mode == 2 || c->mode == 3) && c->gate) {
        take_over(c, now);
        c->next_count = count;
        c->switch_ns = c->start_ns + ticks_to_ns((elapsed(c, now) / c->count + 1) * c->count);
        return;
    }
    c->count = count;
    c->next_count = 0;
    if (c->mode == 1 || c->mode == 5) {
        c->null_count = true; /* until the gate rises */
        return;
    }
    c->loaded = true;
    c->null_count = false;
    c->start_ns = now;
    c->paused_ns = c->gate ? -1 : 0;
    refresh(p, n);
}

static void write_count(struct pit *p, unsigned n, uint8_t val)
{
    struct counter *c = &p->c[n];

    c->null_count = true;
    switch (c->rw) {
    case RW_LOW: load(p, n, val); break;
    case RW_HIGH: load(p, n, (uint16_t)(val << 8)); break;
    default:
        if (c->write_high) {
            c->write_high = false;
            load(p, n, (uint16_t)(val << 8 | c->low_byte));
            break;
        }
        c->low_byte = val;
        c->write_high = true;
        if (c->mode == 0) { /* the first byte stops the count and lowers the output */
            c->loaded = false;
            refresh(p, n);
        }
        break;
    }
}

static void latch_count(struct counter *c, int64_t now)
{
    if (c->count_latched)
        return;
    c->latched_count = value(c, now);
    c->count_latched = true;
    c->read_high = false;
}

static void latch_status(struct counter *c, int64_t now)
{
    if (c->status_latched)
        return;
    c->latched_status =
        (uint8_t)(output(c, now) << 7 | c->null_count << 6 | c->rw << 4 | c->mode << 1 | c->bcd);
    c->status_latched = true;
}

static void write_control(struct pit *p, uint8_t val)
{
    unsigned n = val >> 6;
    int64_t now = device_now_ns(&p->dev);
    struct counter *c;

    if (n == 3) { /* read-back */
        for (unsigned i = 0; i < 3; i++) {
            if (!(val & BIT(i + 1)))
                continue;
            take_over(&p->c[i], now);
            if (!(val & BIT(5)))
                latch_count(&p->c[i], now);
            if (!(val & BIT(4)))
                latch_status(&p->c[i], now);
        }
        return;
    }
    c = &p->c[n];
    take_over(c, now);
    if ((val >> 4 & 3) == RW_LATCH) {
        latch_count(c, now);
        return;
    }
    *c = (struct counter){ .gate = c->gate, .count = c->count, .paused_ns = -1 };
    c->rw = val >> 4 & 3;
    c->mode = val >> 1 & 7;
    if (c->mode > 5)
        c->mode -= 4; /* 6 and 7 are 2 and 3 */
    c->bcd = val & 1;
    c->null_count = true;
    if (c->bcd && c->count > 10000)
        c->count = 10000;
    refresh(p, n);
}

static uint8_t read_counter(struct pit *p, unsigned n)
{
    struct counter *c = &p->c[n];
    uint16_t v;

    if (c->status_latched) {
        c->status_latched = false;
        return c->latched_status;
    }
    take_over(c, device_now_ns(&p->dev));
    v = c->count_latched ? c->latched_count : value(c, device_now_ns(&p->dev));
    if (c->rw == RW_BOTH && !c->read_high) {
        c->read_high = true;
        return (uint8_t)v;
    }
    c->count_latched = false;
    c->read_high = false;
    return c->rw == RW_LOW ? (uint8_t)v : v >> 8;
}

static void set_gate(struct pit *p, unsigned n, bool gate)
{
    struct counter *c = &p->c[n];
    int64_t now = device_now_ns(&p->dev);

    if (c->gate == gate)
        return;
    take_over(c, now);
    c->gate = gate;
    switch (c->mode) {
    case 1:
    case 5:
        if (gate) {
            c->start_ns = now;
            c->triggered = true;
            c->null_count = false;
        }
        break;
    case 0:
    case 4:
        if (!gate) {
            c->paused_ns = now - c->start_ns;
        } else if (c->paused_ns >= 0) {
            c->start_ns = now - c->paused_ns;
            c->paused_ns = -1;
        }
        break;
    default: /* 2 and 3: the rising gate loads the count anew */
        if (!gate) {
            c->paused_ns = now - c->start_ns;
            break;
        }
        if (c->next_count)
            c->count = c->next_count;
        c->next_count = 0;
        c->null_count = false;
        c->start_ns = now;
        c->paused_ns = -1;
        break;
    }
}

static uint64_t pit_read(struct device *dev, uint64_t off, unsigned size)
{
    if (off == 3) {
        guest_error(dev, "read of the control word register, which is write-only");
        return 0xff;
    }
    return read_counter((struct pit *)dev, (unsigned)off);
}

static void pit_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct pit *p = (struct pit *)dev;

    if (off == 3)
        write_control(p, (uint8_t)val);
    else
        write_count(p, (unsigned)off, (uint8_t)val);
}

/* Port 61h: PIIX3 data sheet 2.5.3.1 (NMISC) */
static uint64_t speaker_read(struct device *dev, uint64_t off, unsigned size)
{
    struct pit *p = (struct pit *)dev;
    int64_t now = device_now_ns(dev);

    take_over(&p->c[2], now);
    return p->port61 | (now / REFRESH_NS & 1) << 4 | (unsigned)output(&p->c[2], now) << 5;
}

static void speaker_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct pit *p = (struct pit *)dev;

    p->port61 = val & 0xf;
    set_gate(p, 2, val & 1);
}

/* --- life --- */

static bool pit_init(struct device *dev, struct error *err)
{
    struct pit *p = (struct pit *)dev;

    timer_init(&p->timer, dev->ctx.loop, CLOCK_VIRTUAL, expired, p);
    return true;
}

static void pit_finish(struct device *dev)
{
    timer_cancel(&((struct pit *)dev)->timer);
}

static void pit_reset(struct device *dev)
{
    struct pit *p = (struct pit *)dev;

    p->port61 = 0;
    p->next_ns = 0;
    for (unsigned i = 0; i < 3; i++) {
        p->c[i] = (struct counter){ .mode = 3,
                                    .rw = RW_BOTH,
                                    .gate = i != 2,
                                    .count = 65536,
                                    .paused_ns = -1,
                                    .null_count = true };
    }
    /* A counter's state is undefined until programmed; this one starts silent. */
    timer_cancel(&p->timer);
    irq_lower(&dev->irqs[0]);
}

static bool pit_loaded(struct device *dev, struct error *err)
{
    struct pit *p = (struct pit *)dev;
    int64_t now = device_now_ns(dev);

    for (unsigned i = 0; i < 3; i++) {
        p->c[i].start_ns = MIN(p->c[i].start_ns, now);
        p->c[i].switch_ns = MIN(p->c[i].switch_ns, now + (int64_t)NS);
    }
    arm(p, now);
    return true;
}

static const struct device_window windows[] = {
    { "pit", WINDOW_PIO, 4, pit_read, pit_write, 1, 1 },
    { "speaker", WINDOW_PIO, 1, speaker_read, speaker_write, 1, 1 },
};

/* clang-format off */
#define COUNTER_STATE(i) \
    FIELD(struct pit, c[i].mode, .max = 5), FIELD(struct pit, c[i].rw, .max = 3), \
    FIELD(struct pit, c[i].bcd), FIELD(struct pit, c[i].gate), FIELD(struct pit, c[i].write_high), \
    FIELD(struct pit, c[i].read_high), FIELD(struct pit, c[i].null_count), \
    FIELD(struct pit, c[i].loaded), FIELD(struct pit, c[i].triggered), \
    FIELD(struct pit, c[i].low_byte), FIELD(struct pit, c[i].count, .min = 1, .max = 65536), \
    FIELD(struct pit, c[i].next_count, .max = 65536), FIELD(struct pit, c[i].start_ns), \
    FIELD(struct pit, c[i].switch_ns), FIELD(struct pit, c[i].paused_ns), \
    FIELD(struct pit, c[i].count_latched), FIELD(struct pit, c[i].status_latched), \
    FIELD(struct pit, c[i].latched_count), FIELD(struct pit, c[i].latched_status)
/* clang-format on */

const struct device_type i8254_type = {
    .name = "i8254",
    .doc = "8254 interval timer with the speaker port",
    .size = sizeof(struct pit),
    .state = FIELDS(COUNTER_STATE(0), COUNTER_STATE(1), COUNTER_STATE(2),
                    FIELD(struct pit, port61, .max = 15)),
    .init = pit_init,
    .finish = pit_finish,
    .reset = pit_reset,
    .loaded = pit_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = 1,
};
