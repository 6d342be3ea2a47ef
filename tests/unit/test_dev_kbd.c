/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/input/i8042.h"
#include "dev_fixture.h"

enum { DATA, COMMAND, PORT92 };

static void start(struct rig *r)
{
    rig_open(r);
    rig_start(r, device_new(&i8042_type, "kbd", &r->ctx));
}

static void cmd(struct rig *r, uint8_t c)
{
    out8(r, COMMAND, 0, c);
}

static uint8_t status(struct rig *r)
{
    return in8(r, COMMAND, 0);
}

static uint8_t data(struct rig *r)
{
    return in8(r, DATA, 0);
}

TEST(kbc_commands)
{
    struct rig r;

    start(&r);
    CHECK_EQ(status(&r), 0x14);
    cmd(&r, 0xaa);
    CHECK_EQ(status(&r), 0x1d);
    CHECK_EQ(data(&r), 0x55);
    CHECK_EQ(status(&r) & 1, 0);
    cmd(&r, 0xab);
    CHECK_EQ(data(&r), 0);
    cmd(&r, 0x60);
    out8(&r, DATA, 0, 0x47);
    cmd(&r, 0x20);
    CHECK_EQ(data(&r), 0x47);
    cmd(&r, 0xa7);
    cmd(&r, 0x20);
    CHECK_EQ(data(&r), 0x67);
    cmd(&r, 0xa8);
    cmd(&r, 0xd3); /* AUX loop, as drivers probe for a mouse port */
    out8(&r, DATA, 0, 0x5a);
    CHECK_EQ(status(&r) & 0x21, 0x21);
    CHECK(r.level[I8042_OUT_MOUSE]);
    CHECK_EQ(data(&r), 0x5a);
    CHECK(!r.level[I8042_OUT_MOUSE]);
    rig_close(&r);
}

TEST(a20_and_reset)
{
    struct rig r;

    start(&r);
    CHECK(r.level[I8042_OUT_A20]);
    cmd(&r, 0xd1);
    out8(&r, DATA, 0, 0xdd);
    CHECK(!r.level[I8042_OUT_A20]);
    CHECK_EQ(in8(&r, PORT92, 0), 0);
    out8(&r, PORT92, 0, 2);
    CHECK(r.level[I8042_OUT_A20]);
    cmd(&r, 0xd0);
    CHECK_EQ(data(&r) & 3, 3);
    CHECK_EQ(r.rises[I8042_OUT_RESET], 0);
    cmd(&r, 0xfe);
    CHECK_EQ(r.rises[I8042_OUT_RESET], 1);
    out8(&r, PORT92, 0, 3);
    CHECK_EQ(r.rises[I8042_OUT_RESET], 2);
    rig_close(&r);
}

TEST(keyboard)
{
    struct rig r;

    start(&r);
    out8(&r, DATA, 0, 0xff);
    CHECK(r.level[I8042_OUT_KBD]);
    CHECK_EQ(data(&r), 0xfa);
    CHECK_EQ(data(&r), 0xaa);
    out8(&r, DATA, 0, 0xf2);
    CHECK_EQ(data(&r), 0xfa);
    CHECK_EQ(data(&r), 0xab);
    CHECK_EQ(data(&r), 0x41); /* translated */
    out8(&r, DATA, 0, 0xed);
    CHECK_EQ(data(&r), 0xfa);
    out8(&r, DATA, 0, 0x07);
    CHECK_EQ(data(&r), 0xfa);
    out8(&r, DATA, 0, 0xee);
    CHECK_EQ(data(&r), 0xee);
    out8(&r, DATA, 0, 0x12);
    CHECK_EQ(data(&r), 0xfe);
    i8042_key(r.dev, 0x1e, true); /* a */
    i8042_key(r.dev, 0x1e, false);
    i8042_key(r.dev, 0xc8, true); /* up, E0 plane */
    i8042_key(r.dev, 0xc8, false);
    CHECK_EQ(data(&r), 0x1e);
    CHECK_EQ(data(&r), 0x9e);
    CHECK_EQ(data(&r), 0xe0);
    CHECK_EQ(data(&r), 0x48);
    CHECK_EQ(data(&r), 0xe0);
    CHECK_EQ(data(&r), 0xc8);
    CHECK(!r.level[I8042_OUT_KBD]);
    cmd(&r, 0x60);
    out8(&r, DATA, 0, 0x05); /* no translation */
    i8042_key(r.dev, 0x1e, true);
    i8042_key(r.dev, 0x1e, false);
    CHECK_EQ(data(&r), 0x1c);
    CHECK_EQ(data(&r), 0xf0);
    CHECK_EQ(data(&r), 0x1c);
    cmd(&r, 0xad); /* disabled: held back */
    i8042_key(r.dev, 0x30, true);
    CHECK_EQ(status(&r) & 1, 0);
    cmd(&r, 0xae);
    CHECK_EQ(data(&r), 0x32);
    rig_close(&r);
}

/* Each of the 83 plain keys gives its set 1 code after the trip through set 2. */
TEST(every_key_translates_back)
{
    struct rig r;

    start(&r);
    for (unsigned k = 1; k <= 0x58; k++) {
        if (k >= 0x55 && k <= 0x56)
            continue;
        i8042_key(r.dev, (uint8_t)k, true);
        CHECK_EQ(data(&r), k);
        i8042_key(r.dev, (uint8_t)k, false);
        CHECK_EQ(data(&r), k | 0x80);
    }
    for (unsigned i = 0; i < 300; i++) /* a flood is bounded */
        i8042_key(r.dev, 0x1e, i & 1);
    unsigned n = 0;
    while (status(&r) & 1) {
        (void)data(&r);
        n++;
    }
    CHECK(n > 10 && n <= 70);
    rig_close(&r);
}

static uint8_t mouse(struct rig *r, uint8_t byte)
{
    cmd(r, 0xd4);
    out8(r, DATA, 0, byte);
    CHECK_EQ(status(r) & 0x21, 0x21);
    return data(r);
}

TEST(mouse)
{
    struct rig r;

    start(&r);
    cmd(&r, 0x60);
    out8(&r, DATA, 0, 0x47);
    CHECK_EQ(mouse(&r, 0xff), 0xfa);
    CHECK_EQ(data(&r), 0xaa);
    CHECK_EQ(data(&r), 0x00);
    i8042_mouse(r.dev, 5, 5, 0, 0); /* not reporting yet */
    CHECK_EQ(status(&r) & 1, 0);
    static const uint8_t knock[] = { 200, 100, 80 };
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(mouse(&r, 0xf3), 0xfa);
        CHECK_EQ(mouse(&r, knock[i]), 0xfa);
    }
    CHECK_EQ(mouse(&r, 0xf2), 0xfa);
    CHECK_EQ(data(&r), 3);
    CHECK_EQ(mouse(&r, 0xf4), 0xfa);
    i8042_mouse(r.dev, 5, 3, -1, 1);
    CHECK(r.level[I8042_OUT_MOUSE]);
    CHECK_EQ(data(&r), 0x29);
    CHECK_EQ(data(&r), 5);
    CHECK_EQ(data(&r), 0xfd);
    CHECK_EQ(data(&r), 0xff);
    CHECK_EQ(status(&r) & 1, 0);
    i8042_mouse(r.dev, 300, 0, 0, 0);
    CHECK_EQ(data(&r), 0x08);
    CHECK_EQ(data(&r), 0xff);
    CHECK_EQ(data(&r), 0);
    CHECK_EQ(data(&r), 0);
    CHECK_EQ(data(&r), 0x08); /* the rest */
    CHECK_EQ(data(&r), 45);
    CHECK_EQ(data(&r), 0);
    CHECK_EQ(data(&r), 0);
    CHECK_EQ(mouse(&r, 0xe9), 0xfa);
    CHECK_EQ(data(&r), 0x20);
    CHECK_EQ(data(&r), 2);
    CHECK_EQ(data(&r), 80);
    rig_close(&r);
}
