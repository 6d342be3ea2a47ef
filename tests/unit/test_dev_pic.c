/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/intc/pic.h"
#include "dev_fixture.h"

enum { MASTER, SLAVE, ELCR };

static void start(struct rig *r)
{
    rig_open(r);
    rig_start(r, device_new(&i8259_type, "pic", &r->ctx));
    out8(r, MASTER, 0, 0x11);
    out8(r, MASTER, 1, 0x20);
    out8(r, MASTER, 1, 0x04);
    out8(r, MASTER, 1, 0x01);
    out8(r, SLAVE, 0, 0x11);
    out8(r, SLAVE, 1, 0x28);
    out8(r, SLAVE, 1, 0x02);
    out8(r, SLAVE, 1, 0x01);
}

static void line(struct rig *r, unsigned n, bool level)
{
    device_input(r->dev, n, level);
}

TEST(edge_and_eoi)
{
    struct rig r;

    start(&r);
    line(&r, 0, true);
    CHECK(r.level[0]);
    CHECK_EQ(pic_acknowledge(r.dev), 0x20);
    CHECK(!r.level[0]);
    line(&r, 0, false);
    line(&r, 0, true); /* again while in service: waits for the EOI */
    CHECK(!r.level[0]);
    out8(&r, MASTER, 0, 0x0b);
    CHECK_EQ(in8(&r, MASTER, 0), 0x01); /* ISR */
    out8(&r, MASTER, 0, 0x0a);
    CHECK_EQ(in8(&r, MASTER, 0), 0x01); /* IRR */
    out8(&r, MASTER, 0, 0x20);
    CHECK(r.level[0]);
    CHECK_EQ(pic_acknowledge(r.dev), 0x20);
    out8(&r, MASTER, 0, 0x60); /* specific EOI */
    CHECK(!r.level[0]);
    rig_close(&r);
}

TEST(priorities_and_cascade)
{
    struct rig r;

    start(&r);
    line(&r, 4, true);
    CHECK_EQ(pic_acknowledge(r.dev), 0x24);
    line(&r, 5, true);
    CHECK(!r.level[0]); /* lower than what is in service */
    line(&r, 12, true);
    CHECK(r.level[0]);
    CHECK_EQ(pic_acknowledge(r.dev), 0x2c);
    line(&r, 14, true);
    CHECK(!r.level[0]);
    line(&r, 8, true); /* higher in the slave, but IR2 is in service in the master */
    CHECK(!r.level[0]);
    out8(&r, SLAVE, 0, 0x20);
    out8(&r, MASTER, 0, 0x20);
    CHECK(r.level[0]);
    CHECK_EQ(pic_acknowledge(r.dev), 0x28);
    out8(&r, SLAVE, 0, 0x20);
    out8(&r, MASTER, 0, 0x20);
    CHECK_EQ(pic_acknowledge(r.dev), 0x2e);
    out8(&r, SLAVE, 0, 0x20);
    out8(&r, MASTER, 0, 0x20);
    CHECK(!r.level[0]); /* IR4 still in service holds IR5 */
    out8(&r, MASTER, 0, 0x20);
    CHECK_EQ(pic_acknowledge(r.dev), 0x25);
    rig_close(&r);
}

TEST(mask_and_spurious)
{
    struct rig r;

    start(&r);
    out8(&r, MASTER, 1, 0xfe);
    CHECK_EQ(in8(&r, MASTER, 1), 0xfe);
    line(&r, 3, true);
    CHECK(!r.level[0]);
    out8(&r, MASTER, 1, 0x00);
    CHECK(r.level[0]);
    line(&r, 3, false); /* gone before INTA */
    CHECK(!r.level[0]);
    CHECK_EQ(pic_acknowledge(r.dev), 0x27);
    out8(&r, MASTER, 0, 0x0b);
    CHECK_EQ(in8(&r, MASTER, 0), 0x00);
    rig_close(&r);
}

TEST(level_triggered)
{
    struct rig r;

    start(&r);
    out8(&r, ELCR, 0, 0xff);
    out8(&r, ELCR, 1, 0xff);
    CHECK_EQ(in8(&r, ELCR, 0), 0xf8);
    CHECK_EQ(in8(&r, ELCR, 1), 0xde);
    line(&r, 11, true);
    CHECK_EQ(pic_acknowledge(r.dev), 0x2b);
    CHECK(!r.level[0]);
    out8(&r, SLAVE, 0, 0x20);
    out8(&r, MASTER, 0, 0x20);
    CHECK(r.level[0]); /* still asserted */
    line(&r, 11, false);
    CHECK(!r.level[0]);
    rig_close(&r);
}

TEST(auto_eoi_and_rotation)
{
    struct rig r;

    start(&r);
    out8(&r, MASTER, 0, 0x11);
    out8(&r, MASTER, 1, 0x20);
    out8(&r, MASTER, 1, 0x04);
    out8(&r, MASTER, 1, 0x03); /* AEOI */
    out8(&r, MASTER, 0, 0x80); /* rotate in AEOI mode */
    line(&r, 1, true);
    line(&r, 3, true);
    CHECK_EQ(pic_acknowledge(r.dev), 0x21);
    line(&r, 1, false);
    line(&r, 1, true); /* now the lowest */
    CHECK_EQ(pic_acknowledge(r.dev), 0x23);
    CHECK_EQ(pic_acknowledge(r.dev), 0x21);
    out8(&r, MASTER, 0, 0xc5); /* IR5 lowest: IR6 highest */
    line(&r, 0, true);
    line(&r, 6, true);
    CHECK_EQ(pic_acknowledge(r.dev), 0x26);
    CHECK_EQ(pic_acknowledge(r.dev), 0x20);
    rig_close(&r);
}

TEST(special_mask_and_poll)
{
    struct rig r;

    start(&r);
    line(&r, 1, true);
    CHECK_EQ(pic_acknowledge(r.dev), 0x21);
    line(&r, 5, true);
    CHECK(!r.level[0]);
    out8(&r, MASTER, 0, 0x68); /* special mask mode */
    out8(&r, MASTER, 1, 0x02); /* mask the one in service: lower ones may come */
    CHECK(r.level[0]);
    out8(&r, MASTER, 0, 0x0c); /* poll */
    CHECK_EQ(in8(&r, MASTER, 0), 0x85);
    CHECK(!r.level[0]);
    out8(&r, MASTER, 0, 0x0c);
    CHECK_EQ(in8(&r, MASTER, 0), 0x00);
    rig_close(&r);
}

TEST(reset_keeps_lines)
{
    struct rig r;

    start(&r);
    out8(&r, ELCR, 1, 0x08);
    line(&r, 11, true);
    device_reset(r.dev);
    CHECK(!r.level[0]);
    CHECK_EQ(in8(&r, ELCR, 1), 0);
    rig_close(&r);
}
