/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MC146818A (Motorola data sheet ADI856R2) with 128 bytes. Time is not stepped: it is a host
 * clock plus an offset, spread into the registers when they are read. While SET or the divider's
 * reset holds the clock the registers are plain memory. Flags are brought up to date when register
 * C is read or an enabled interrupt's timer fires.
 */
#include "dev/timer/rtc.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "dev/device.h"
#include "dev/timer/rtc_time.h"

#define NS     INT64_C(1000000000)
#define UIP_NS 244000 /* UIP is up this long before the registers change */
#define HALF_S (NS / 2)
#define MAX_S  INT64_C(1000000000000) /* 30,000 years: more than the registers can say */

enum {
    R_SECONDS = 0,
    R_SECONDS_ALARM,
    R_MINUTES,
    R_MINUTES_ALARM,
    R_HOURS,
    R_HOURS_ALARM,
    R_WEEKDAY,
    R_DAY,
    R_MONTH,
    R_YEAR,
    R_A,
    R_B,
    R_C,
    R_D,
    R_CENTURY = 0x32
};

enum { A_UIP = BIT(7), A_DIVIDER_RESET = 0x60, A_RATE = 0x0f };
enum {
    B_SET = BIT(7),
    B_PIE = BIT(6),
    B_AIE = BIT(5),
    B_UIE = BIT(4),
    B_SQWE = BIT(3),
    B_BINARY = BIT(2),
    B_24H = BIT(1),
    B_DST = BIT(0)
};
enum { C_IRQF = BIT(7), C_PF = BIT(6), C_AF = BIT(5), C_UF = BIT(4) };
enum { D_VRT = BIT(7) };

struct rtc {
    struct device dev;
    struct clock *clock; /* CLOCK_HOST or CLOCK_VIRTUAL */
    struct timer periodic_timer, second_timer;
    /* properties */
    char *base, *clock_name;
    /* state */
    uint8_t index;
    uint8_t cmos[128];
    /* time of the RTC: (clock + phase_ns) / 1 s + offset_s seconds since 1970 */
    int64_t offset_s;
    uint32_t phase_ns;
    int64_t seen_s;           /* RTC second up to which UF and AF were looked at */
    int64_t periodic_from_ns; /* virtual time of the last periodic tick that was looked at */
};

static int64_t floor_s(int64_t ns)
{
    return ns / NS - (ns % NS < 0);
}

/* The RTC's time: the second, and how far into it. Years reach to 9999, so not in one int64_t. */
struct moment {
    int64_t s, ns;
};

static struct moment rtc_now(const struct rtc *r)
{
    int64_t t = clock_now_ns(r->clock) + r->phase_ns;

    return (struct moment){ floor_s(t) + r->offset_s, t - floor_s(t) * NS };
}

/* Make it be `ns` into second s now. */
static void set_now(struct rtc *r, int64_t s, int64_t ns)
{
    int64_t clock = clock_now_ns(r->clock), phase = ns - (clock - floor_s(clock) * NS);

    r->phase_ns = (uint32_t)(phase < 0 ? phase + NS : phase);
    r->offset_s = s - floor_s(clock + r->phase_ns);
}

/* Is the time held still, by SET or by the divider chain in reset? */
static bool held(const struct rtc *r)
{
    return (r->cmos[R_B] & B_SET) || (r->cmos[R_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
}

/* --- registers <-> time --- */

static uint8_t encode(const struct rtc *r, unsigned v)
{
    return (uint8_t)(r->cmos[R_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static unsigned decode(const struct rtc *r, uint8_t v)
{
    return r->cmos[R_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static uint8_t encode_hour(const struct rtc *r, unsigned hour)
{
    unsigned h12 = hour % 12 ? hour % 12 : 12;

    if (r->cmos[R_B] & B_24H)
        return encode(r, hour);
    return (uint8_t)(encode(r, h12) | (hour >= 12 ? 0x80 : 0));
}

static unsigned decode_hour(const struct rtc *r, uint8_t v)
{
    if (r->cmos[R_B] & B_24H)
        return decode(r, v);
    return decode(r, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static void time_to_registers(struct rtc *r, int64_t s)
{
    struct rtc_time t;

    rtc_time_from_s(s, &t);
    r->cmos[R_SECONDS] = encode(r, t.s);
    r->cmos[R_MINUTES] = encode(r, t.min);
    r->cmos[R_HOURS] = encode_hour(r, t.hour);
    r->cmos[R_WEEKDAY] = encode(r, t.weekday);
    r->cmos[R_DAY] = encode(r, t.day);
    r->cmos[R_MONTH] = encode(r, t.month);
    r->cmos[R_YEAR] = encode(r, (unsigned)t.year % 100);
    r->cmos[R_CENTURY] = encode(r, (unsigned)t.year / 100 % 100);
}

static int64_t time_from_registers(const struct rtc *r)
{
    struct rtc_time t = {
        .year = (int)(decode(r, r->cmos[R_CENTURY]) * 100 + decode(r, r->cmos[R_YEAR])),
        .month = decode(r, r->cmos[R_MONTH]),
        .day = decode(r, r->cmos[R_DAY]),
        .hour = decode_hour(r, r->cmos[R_HOURS]),
        .min = decode(r, r->cmos[R_MINUTES]),
        .s = decode(r, r->cmos[R_SECONDS]),
    };

    return rtc_time_to_s(&t);
}

/* Make the registers' time the time, `phase_ns` into its second. */
static void set_time(struct rtc *r, int64_t phase_ns)
{
    r->seen_s = time_from_registers(r);
    set_now(r, r->seen_s, phase_ns);
}

/* --- flags and interrupts --- */

static bool alarm_field(const struct rtc *r, unsigned alarm, uint8_t now)
{
    return r->cmos[alarm] >= 0xc0 || r->cmos[alarm] == now; /* 11xxxxxx: any */
}

static bool alarm_at(const struct rtc *r, int64_t s)
{
    unsigned in_day = (unsigned)(((s % 86400) + 86400) % 86400);

    return alarm_field(r, R_SECONDS_ALARM, encode(r, in_day % 60)) &&
           alarm_field(r, R_MINUTES_ALARM, encode(r, in_day / 60 % 60)) &&
           alarm_field(r, R_HOURS_ALARM, encode_hour(r, in_day / 3600));
}

/* Period of the periodic interrupt; 0: none. With the 32768 Hz time base (divider 010). */
static int64_t period_ns(const struct rtc *r)
{
    unsigned rate = r->cmos[R_A] & A_RATE;

    if (!rate || (r->cmos[R_A] & 0x70) != 0x20)
        return 0;
    if (rate <= 2)
        rate += 7;
    return (NS << (rate - 1)) / 32768;
}

static void update_irq(struct rtc *r)
{
    uint8_t on = r->cmos[R_C] & r->cmos[R_B] & (C_PF | C_AF | C_UF);

    r->cmos[R_C] = (uint8_t)((r->cmos[R_C] & ~C_IRQF) | (on ? C_IRQF : 0));
    irq_set(&r->dev.irqs[0], on);
}

/* Set the flags of all that happened up to now. */
static void catch_up(struct rtc *r)
{
    int64_t period = period_ns(r), now = device_now_ns(&r->dev), s = rtc_now(r).s;

    if (period && now - r->periodic_from_ns >= period) {
        r->periodic_from_ns += (now - r->periodic_from_ns) / period * period;
        r->cmos[R_C] |= C_PF;
    }
    if (!held(r) && s > r->seen_s) {
        int64_t from = MAX(r->seen_s, s - 86400);

        r->cmos[R_C] |= C_UF;
        while (!(r->cmos[R_C] & C_AF) && from < s) {
            if (alarm_at(r, ++from))
                r->cmos[R_C] |= C_AF;
        }
    }
    if (!held(r))
        r->seen_s = s;
    update_irq(r);
}

static void arm(struct rtc *r)
{
    int64_t period = period_ns(r);

    if (period && (r->cmos[R_B] & B_PIE))
        timer_set_ns(&r->periodic_timer, r->periodic_from_ns + period);
    else
        timer_cancel(&r->periodic_timer);
    if (!held(r) && (r->cmos[R_B] & (B_UIE | B_AIE)))
        timer_set_ns(&r->second_timer, clock_now_ns(r->clock) + NS - rtc_now(r).ns);
    else
        timer_cancel(&r->second_timer);
}

static void expired(void *opaque)
{
    struct rtc *r = opaque;

    catch_up(r);
    arm(r);
}

/* --- ports --- */

static void write_time(struct rtc *r, unsigned reg, uint8_t val)
{
    struct moment now = rtc_now(r);

    if (held(r)) {
        r->cmos[reg] = val;
        return;
    }
    time_to_registers(r, now.s);
    r->cmos[reg] = val;
    if (reg != R_WEEKDAY)
        set_time(r, now.ns);
}

/* A or B changed in a way that may hold or release the clock. */
static void set_control(struct rtc *r, unsigned reg, uint8_t val)
{
    bool was_held = held(r), was_reset = (r->cmos[R_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
    struct moment now = rtc_now(r);
    int64_t old_period = period_ns(r);

    catch_up(r);
    if (!was_held)
        time_to_registers(r, now.s);
    r->cmos[reg] = val;
    if (was_held && !held(r)) /* the first update after the divider's reset is half a second away */
        set_time(r, was_reset ? HALF_S : now.ns);
    if (period_ns(r) != old_period)
        r->periodic_from_ns = device_now_ns(&r->dev);
    update_irq(r);
    arm(r);
}

static uint8_t read_cmos(struct rtc *r)
{
    struct moment now = rtc_now(r);
    uint8_t val;

    switch (r->index) {
    case R_SECONDS:
    case R_MINUTES:
    case R_HOURS:
    case R_WEEKDAY:
    case R_DAY:
    case R_MONTH:
    case R_YEAR:
    case R_CENTURY:
        if (!held(r))
            time_to_registers(r, now.s);
        return r->cmos[r->index];
    case R_A:
        val = r->cmos[R_A];
        if (!held(r) && now.ns >= NS - UIP_NS)
            val |= A_UIP;
        return val;
    case R_C:
        catch_up(r);
        val = r->cmos[R_C];
        r->cmos[R_C] = 0;
        update_irq(r);
        return val;
    default: return r->cmos[r->index];
    }
}

static void write_cmos(struct rtc *r, uint8_t val)
{
    switch (r->index) {
    case R_SECONDS:
    case R_MINUTES:
    case R_HOURS:
    case R_WEEKDAY:
    case R_DAY:
    case R_MONTH:
    case R_YEAR:
    case R_CENTURY:
        write_time(r, r->index, val);
        arm(r);
        break;
    case R_SECONDS_ALARM:
    case R_MINUTES_ALARM:
    case R_HOURS_ALARM:
        catch_up(r); /* what is past was compared with the old alarm */
        r->cmos[r->index] = val;
        break;
    case R_A: set_control(r, R_A, val & ~A_UIP); break;
    case R_B:
        if (val & B_SET)
            val &= ~B_UIE; /* data sheet: SET clears UIE */
        set_control(r, R_B, val);
        break;
    case R_C:
    case R_D: guest_error(&r->dev, "write of %#x to read-only register %#x", val, r->index); break;
    default: r->cmos[r->index] = val; break;
    }
}

static uint64_t rtc_read(struct device *dev, uint64_t off, unsigned size)
{
    /* the index port is write-only on a PC; bit 7 of it masks NMI, which is not the RTC's */
    return off ? read_cmos((struct rtc *)dev) : 0xff;
}

static void rtc_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct rtc *r = (struct rtc *)dev;

    if (off)
        write_cmos(r, (uint8_t)val);
    else
        r->index = val & 0x7f;
}

void rtc_set_cmos(struct device *dev, uint8_t index, uint8_t val)
{
    assert(index > R_D && index < 128 && index != R_CENTURY);
    ((struct rtc *)dev)->cmos[index] = val;
}

uint8_t rtc_get_cmos(struct device *dev, uint8_t index)
{
    assert(index < 128);
    return ((struct rtc *)dev)->cmos[index];
}

/* --- life --- */

/* Make the clock show what base= says. */
static bool set_start(struct rtc *r, struct error *err)
{
    int64_t now = clock_now_ns(loop_clock(r->dev.ctx.loop, CLOCK_HOST));
    time_t s = floor_s(now);
    struct rtc_time t;
    struct tm tm;

    if (!r->base || !strcmp(r->base, "utc")) {
        set_now(r, s, now - s * NS);
    } else if (!strcmp(r->base, "localtime")) {
        localtime_r(&s, &tm);
        set_now(r, s + tm.tm_gmtoff, now - s * NS);
    } else if (rtc_time_parse(r->base, &t)) {
        set_now(r, rtc_time_to_s(&t), 0);
    } else {
        fail(err, EINVAL, "base '%s' is no time", r->base);
        return fail_hint(err, "give utc, localtime or a date such as 2026-01-31T12:30:00");
    }
    return true;
}

static bool rtc_init(struct device *dev, struct error *err)
{
    struct rtc *r = (struct rtc *)dev;
    const char *name = r->clock_name ? r->clock_name : "host";
    enum clock_kind kind = CLOCK_HOST;

    if (!strcmp(name, "vm"))
        kind = CLOCK_VIRTUAL;
    else if (!strcmp(name, "rt"))
        kind = CLOCK_RT;
    else if (strcmp(name, "host")) {
        fail(err, EINVAL, "no clock is called '%s'", name);
        return fail_hint(err, "clocks are host, rt and vm");
    }
    r->clock = loop_clock(dev->ctx.loop, kind);
    timer_init(&r->periodic_timer, dev->ctx.loop, CLOCK_VIRTUAL, expired, r);
    timer_init(&r->second_timer, dev->ctx.loop, kind, expired, r);
    if (!set_start(r, err))
        return false;
    r->cmos[R_A] = 0x26; /* 32768 Hz, 1024 Hz periodic */
    r->cmos[R_B] = B_24H;
    r->cmos[R_D] = D_VRT;
    r->seen_s = rtc_now(r).s;
    time_to_registers(r, r->seen_s);
    return true;
}

static void rtc_finish(struct device *dev)
{
    struct rtc *r = (struct rtc *)dev;

    timer_cancel(&r->periodic_timer);
    timer_cancel(&r->second_timer);
}

/* The RESET pin; the battery keeps the time and the memory. */
static void rtc_reset(struct device *dev)
{
    struct rtc *r = (struct rtc *)dev;

    r->cmos[R_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    r->cmos[R_C] = 0;
    r->index = 0;
    update_irq(r);
    arm(r);
}

static bool rtc_loaded(struct device *dev, struct error *err)
{
    struct rtc *r = (struct rtc *)dev;

    r->cmos[R_D] = D_VRT;
    r->periodic_from_ns = MIN(r->periodic_from_ns, device_now_ns(dev));
    r->seen_s = MIN(r->seen_s, rtc_now(r).s);
    update_irq(r);
    arm(r);
    return true;
}

static const struct device_window windows[] = {
    { "ports", WINDOW_PIO, 2, rtc_read, rtc_write, 1, 1 },
};

const struct device_type mc146818_type = {
    .name = "mc146818",
    .doc = "Real-time clock and CMOS memory",
    .size = sizeof(struct rtc),
    .props = FIELDS(FIELD(struct rtc, base, .doc = "utc, localtime or a date"),
                    FIELD(struct rtc, clock_name, .wire = "clock", .doc = "host, rt or vm")),
    .state = FIELDS(FIELD(struct rtc, index, .max = 127), FIELD_ARRAY(struct rtc, cmos),
                    FIELD(struct rtc, offset_s, .min = -MAX_S, .max = MAX_S),
                    FIELD(struct rtc, phase_ns, .max = 999999999),
                    FIELD(struct rtc, seen_s, .min = -MAX_S, .max = MAX_S),
                    FIELD(struct rtc, periodic_from_ns)),
    .init = rtc_init,
    .finish = rtc_finish,
    .reset = rtc_reset,
    .loaded = rtc_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = 1,
};
