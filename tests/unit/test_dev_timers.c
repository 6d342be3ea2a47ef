/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PIT, HPET and RTC. */
#include "dev/timer/hpet.h"
#include "dev/timer/pit.h"
#include "dev/timer/rtc.h"
#include "dev/timer/rtc_time.h"
#include "dev_fixture.h"

#define TICKS(n) (((n)*INT64_C(1000000000) + PIT_HZ - 1) / PIT_HZ)

static void start_pit(struct rig *r)
{
    rig_open(r);
    rig_start(r, device_new(&i8254_type, "pit", &r->ctx));
}

static unsigned read_count(struct rig *r, unsigned n)
{
    unsigned low = in8(r, 0, n);

    return low | in8(r, 0, n) << 8;
}

TEST(pit_rate_generator)
{
    struct rig r;

    start_pit(&r);
    out8(&r, 0, 3, 0x34); /* counter 0, low then high, mode 2 */
    out8(&r, 0, 0, 0x9c);
    out8(&r, 0, 0, 0x2e); /* 11932: 100 Hz */
    CHECK(r.level[0]);
    step_ns(&r, 1000 * MS);
    CHECK(r.rises[0] >= 100 && r.rises[0] <= 101);
    unsigned before = r.rises[0];
    step_ns(&r, TICKS(11932) * 3);
    CHECK_EQ(r.rises[0], before + 3);
    out8(&r, 0, 3, 0x00); /* latch */
    unsigned v = read_count(&r, 0);
    CHECK(v >= 1 && v <= 11932);
    rig_close(&r);
}

TEST(pit_one_shot)
{
    struct rig r;

    start_pit(&r);
    out8(&r, 0, 3, 0x30); /* mode 0 */
    CHECK(!r.level[0]);
    out8(&r, 0, 0, 0xe8);
    out8(&r, 0, 0, 0x03); /* 1000 */
    step_ns(&r, TICKS(400));
    out8(&r, 0, 3, 0xc2 | 0x00); /* read back status and count of counter 0 */
    uint8_t status = in8(&r, 0, 0);
    CHECK_EQ(status, 0x30); /* OUT low, loaded, both bytes, mode 0 */
    CHECK_EQ(read_count(&r, 0), 600);
    step_ns(&r, TICKS(599));
    CHECK(!r.level[0]);
    step_ns(&r, TICKS(2));
    CHECK(r.level[0]);
    out8(&r, 0, 0, 0x10); /* first byte of a new count: OUT falls, nothing counts */
    CHECK(!r.level[0]);
    step_ns(&r, 10 * MS);
    CHECK(!r.level[0]);
    out8(&r, 0, 0, 0x00);
    step_ns(&r, TICKS(17));
    CHECK(r.level[0]);
    rig_close(&r);
}

TEST(pit_square_wave_and_bcd)
{
    struct rig r;

    start_pit(&r);
    out8(&r, 0, 3, 0x36); /* mode 3 */
    out8(&r, 0, 0, 0);
    out8(&r, 0, 0, 0); /* 65536 */
    step_ns(&r, TICKS(32768) - 2000);
    CHECK(r.level[0]);
    step_ns(&r, 4000);
    CHECK(!r.level[0]);
    step_ns(&r, TICKS(32768));
    CHECK(r.level[0]);
    /* a new count takes over at the end of the period only */
    out8(&r, 0, 0, 0x00);
    out8(&r, 0, 0, 0x10);
    step_ns(&r, TICKS(20000));
    CHECK(r.level[0]);
    out8(&r, 0, 3, 0x31); /* mode 0, BCD */
    out8(&r, 0, 0, 0x00);
    out8(&r, 0, 0, 0x10); /* 1000 decimal */
    step_ns(&r, TICKS(1) + 1);
    out8(&r, 0, 3, 0x00);
    CHECK_EQ(read_count(&r, 0), 0x999);
    rig_close(&r);
}

TEST(pit_speaker_port)
{
    struct rig r;

    start_pit(&r);
    out8(&r, 0, 3, 0xb0); /* counter 2, mode 0 */
    out8(&r, 0, 2, 0xff);
    out8(&r, 0, 2, 0xff);
    CHECK_EQ(in8(&r, 1, 0) & 0x21, 0);
    step_ns(&r, 100 * MS);
    CHECK_EQ(in8(&r, 1, 0) & 0x20, 0); /* gate is low: it does not count */
    out8(&r, 1, 0, 0x01);
    step_ns(&r, TICKS(65535) - 10000);
    CHECK_EQ(in8(&r, 1, 0) & 0x21, 0x01);
    step_ns(&r, 20000);
    CHECK_EQ(in8(&r, 1, 0) & 0x21, 0x21);
    unsigned toggles = 0, last = in8(&r, 1, 0) & 0x10;
    for (int i = 0; i < 100; i++) {
        step_ns(&r, 5000);
        toggles += (in8(&r, 1, 0) & 0x10) != last;
        last = in8(&r, 1, 0) & 0x10;
    }
    CHECK(toggles >= 32 && toggles <= 34); /* 500 us / 15.085 us */
    rig_close(&r);
}

static void start_hpet(struct rig *r)
{
    rig_open(r);
    rig_start(r, device_new(&hpet_type, "hpet", &r->ctx));
}

TEST(hpet_counter)
{
    struct rig r;

    start_hpet(&r);
    CHECK_EQ(rd(&r, 0, 0, 8), UINT64_C(0x009896808086a201));
    CHECK_EQ(rd(&r, 0, 4, 4), 10000000);
    CHECK_EQ(rd(&r, 0, 0xf0, 8), 0);
    step_ns(&r, 1000);
    CHECK_EQ(rd(&r, 0, 0xf0, 8), 0);
    wr(&r, 0, 0x10, 1, 4);
    step_ns(&r, 1000);
    CHECK_EQ(rd(&r, 0, 0xf0, 4), 100);
    wr(&r, 0, 0x10, 0, 4);
    step_ns(&r, 1000);
    CHECK_EQ(rd(&r, 0, 0xf0, 8), 100);
    wr(&r, 0, 0xf4, 1, 4);
    CHECK_EQ(rd(&r, 0, 0xf0, 8), UINT64_C(0x100000064));
    rig_close(&r);
}

TEST(hpet_one_shot_level)
{
    struct rig r;

    start_hpet(&r);
    wr(&r, 0, 0x120, 20 << 9 | 1 << 2 | 1 << 1, 4); /* timer 1, pin 20, level */
    wr(&r, 0, 0x128, 1000, 8);
    wr(&r, 0, 0x10, 1, 4);
    step_ns(&r, 9990);
    CHECK(!r.level[20]);
    step_ns(&r, 10);
    CHECK(r.level[20]);
    CHECK_EQ(rd(&r, 0, 0x20, 4), 2);
    wr(&r, 0, 0x20, 2, 4);
    CHECK(!r.level[20]);
    step_ns(&r, 1000 * MS);
    CHECK_EQ(r.rises[20], 1);
    wr(&r, 0, 0x120, 3 << 9 | 1 << 2, 4); /* pin 3 is not offered */
    CHECK_EQ(rd(&r, 0, 0x120, 4) >> 9 & 31, 0);
    rig_close(&r);
}

TEST(hpet_legacy_periodic)
{
    struct rig r;

    start_hpet(&r);
    wr(&r, 0, 0x100, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 8, 4); /* periodic, set value, 32 bits */
    wr(&r, 0, 0x108, 500000, 4);                            /* first match, 5 ms */
    wr(&r, 0, 0x108, 100000, 4);                            /* period, 1 ms */
    wr(&r, 0, 0x10, 3, 4);
    CHECK(r.level[HPET_OUT_LEGACY]);
    step_ns(&r, 5 * MS - 10);
    CHECK_EQ(r.rises[HPET_OUT_IRQ0], 0);
    step_ns(&r, 10);
    CHECK_EQ(r.rises[HPET_OUT_IRQ0], 1);
    step_ns(&r, 100 * MS);
    CHECK_EQ(r.rises[HPET_OUT_IRQ0], 101);
    CHECK(r.level[HPET_OUT_IRQ0]);
    wr(&r, 0, 0x10, 1, 4);
    CHECK(!r.level[HPET_OUT_LEGACY]);
    CHECK(!r.level[HPET_OUT_IRQ0]);
    rig_close(&r);
}

static void start_rtc(struct rig *r, const char *base)
{
    struct error err;
    struct device *dev;

    rig_open(r);
    dev = device_new(&mc146818_type, "rtc", &r->ctx);
    CHECK(device_set(dev, "base", base, &err));
    CHECK(device_set(dev, "clock", "vm", &err));
    rig_start(r, dev);
}

static uint8_t cmos(struct rig *r, uint8_t reg)
{
    out8(r, 0, 0, reg | 0x80);
    return in8(r, 0, 1);
}

static void set_cmos(struct rig *r, uint8_t reg, uint8_t val)
{
    out8(r, 0, 0, reg);
    out8(r, 0, 1, val);
}

TEST(rtc_calendar)
{
    struct rtc_time t, u;

    CHECK(rtc_time_parse("2000-02-29T23:59:59", &t));
    CHECK_EQ(t.weekday, 3); /* a Tuesday */
    CHECK_EQ(rtc_time_to_s(&t), 951868799);
    CHECK(!rtc_time_parse("2001-02-29", &t));
    CHECK(!rtc_time_parse("2001-02-28x", &t));
    CHECK(!rtc_time_parse("2001-02-28T25:00:00", &t));
    for (int64_t s = -INT64_C(5000000000); s < INT64_C(9000000000); s += 86400 * 13 + 7919) {
        rtc_time_from_s(s, &u);
        CHECK_EQ(rtc_time_to_s(&u), s);
    }
}

TEST(rtc_time_and_formats)
{
    struct rig r;

    start_rtc(&r, "2026-12-31T23:59:58");
    CHECK_EQ(cmos(&r, 0), 0x58);
    CHECK_EQ(cmos(&r, 2), 0x59);
    CHECK_EQ(cmos(&r, 4), 0x23);
    CHECK_EQ(cmos(&r, 9), 0x26);
    CHECK_EQ(cmos(&r, 0x32), 0x20);
    CHECK_EQ(cmos(&r, 6), 5); /* a Thursday */
    step_ns(&r, 2000 * MS);
    CHECK_EQ(cmos(&r, 0), 0);
    CHECK_EQ(cmos(&r, 7), 1);
    CHECK_EQ(cmos(&r, 8), 1);
    CHECK_EQ(cmos(&r, 9), 0x27);
    set_cmos(&r, 0xb, 0x84);    /* SET, binary, 12 hours */
    set_cmos(&r, 4, 0x80 | 11); /* 11 pm */
    set_cmos(&r, 2, 30);
    set_cmos(&r, 9, 99);
    step_ns(&r, 5000 * MS);
    CHECK_EQ(cmos(&r, 0), 0); /* held */
    set_cmos(&r, 0xb, 0x04);
    CHECK_EQ(cmos(&r, 4), 0x80 | 11);
    CHECK_EQ(cmos(&r, 2), 30);
    CHECK_EQ(cmos(&r, 9), 99);
    set_cmos(&r, 0xb, 0x06);
    CHECK_EQ(cmos(&r, 4), 23);
    rig_close(&r);
}

TEST(rtc_set_and_12_hours)
{
    struct rig r;

    start_rtc(&r, "2026-01-01T15:00:00");
    set_cmos(&r, 0xb, 0x00); /* BCD, 12 hours */
    CHECK_EQ(cmos(&r, 4), 0x83);
    set_cmos(&r, 4, 0x12); /* midnight */
    set_cmos(&r, 0xb, 0x02);
    CHECK_EQ(cmos(&r, 4), 0x00);
    set_cmos(&r, 0xa, 0x76); /* divider in reset */
    set_cmos(&r, 0, 0x30);
    step_ns(&r, 3000 * MS);
    CHECK_EQ(cmos(&r, 0), 0x30);
    set_cmos(&r, 0xa, 0x26);
    step_ns(&r, 499 * MS);
    CHECK_EQ(cmos(&r, 0), 0x30);
    step_ns(&r, 2 * MS);
    CHECK_EQ(cmos(&r, 0), 0x31);
    rig_close(&r);
}

TEST(rtc_interrupts)
{
    struct rig r;

    start_rtc(&r, "2026-01-01T00:00:00");
    set_cmos(&r, 0xb, 0x42); /* periodic, 1024 Hz */
    step_ns(&r, 976563);
    CHECK(r.level[0]);
    CHECK_EQ(cmos(&r, 0xc), 0xc0);
    CHECK(!r.level[0]);
    for (int i = 0; i < 1024; i++) {
        step_ns(&r, 976563);
        (void)cmos(&r, 0xc);
    }
    CHECK(r.rises[0] >= 1024);
    set_cmos(&r, 0xb, 0x12); /* update ended */
    (void)cmos(&r, 0xc);
    unsigned n = r.rises[0];
    step_ns(&r, 1000 * MS);
    CHECK_EQ(r.rises[0], n + 1);
    CHECK_EQ(cmos(&r, 0xc) & 0x90, 0x90);
    set_cmos(&r, 0xb, 0x22); /* alarm at xx:01:xx, once a second there */
    set_cmos(&r, 1, 0xff);
    set_cmos(&r, 3, 0x01);
    set_cmos(&r, 5, 0xff);
    (void)cmos(&r, 0xc);
    CHECK(!r.level[0]);
    step_ns(&r, 55000 * MS);
    CHECK(!r.level[0]);
    step_ns(&r, 5000 * MS);
    CHECK(r.level[0]);
    CHECK_EQ(cmos(&r, 0xc) & 0xa0, 0xa0);
    CHECK_EQ(cmos(&r, 0xd), 0x80);
    set_cmos(&r, 0x40, 0xa5);
    CHECK_EQ(cmos(&r, 0x40), 0xa5);
    rig_close(&r);
}

TEST(rtc_update_in_progress)
{
    struct rig r;

    start_rtc(&r, "2026-01-01T00:00:00");
    CHECK_EQ(cmos(&r, 0xa), 0x26);
    step_ns(&r, 999 * MS + 900000);
    CHECK_EQ(cmos(&r, 0xa), 0xa6);
    step_ns(&r, 100000);
    CHECK_EQ(cmos(&r, 0xa), 0x26);
    rig_close(&r);
}

TEST(rtc_bad_properties)
{
    struct rig r;
    struct error err;

    rig_open(&r);
    r.dev = device_new(&mc146818_type, "rtc", &r.ctx);
    CHECK(device_set(r.dev, "base", "yesterday", &err));
    CHECK(!device_init(r.dev, &err));
    CHECK(strstr(err.msg, "yesterday") != NULL);
    CHECK(*err.hint);
    rig_close(&r);
}
