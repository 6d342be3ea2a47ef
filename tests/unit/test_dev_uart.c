/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 16550A, with a UNIX socket pair's worth of backend: a pipe as "file", a pty, and none. */
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chardev/chardev.h"
#include "dev/char/uart.h"
#include "dev_fixture.h"

static void start(struct rig *r, struct chardev *chr)
{
    struct device *dev = device_new(&uart16550_type, "serial0", &r->ctx);

    uart_set_chardev(dev, chr);
    rig_start(r, dev);
}

TEST(uart_reset_values)
{
    struct rig r;

    rig_open(&r);
    start(&r, NULL);
    CHECK_EQ(in8(&r, 0, 2), 0x01);
    CHECK_EQ(in8(&r, 0, 5), 0x60);
    CHECK_EQ(in8(&r, 0, 6), 0x00);
    out8(&r, 0, 7, 0x5a);
    CHECK_EQ(in8(&r, 0, 7), 0x5a);
    out8(&r, 0, 3, 0x83);
    out8(&r, 0, 0, 0x01);
    out8(&r, 0, 1, 0x02);
    CHECK_EQ(in8(&r, 0, 0), 0x01);
    CHECK_EQ(in8(&r, 0, 1), 0x02);
    out8(&r, 0, 3, 0x03);
    CHECK_EQ(in8(&r, 0, 1), 0x00);
    rig_close(&r);
}

TEST(uart_loopback)
{
    struct rig r;

    rig_open(&r);
    start(&r, NULL);
    out8(&r, 0, 4, 0x1a); /* loop, OUT2, RTS */
    CHECK_EQ(in8(&r, 0, 6) & 0xf0, 0x90);
    out8(&r, 0, 4, 0x10);
    CHECK_EQ(in8(&r, 0, 6), 0x09); /* CTS and DCD changed */
    out8(&r, 0, 2, 0x01);
    CHECK_EQ(in8(&r, 0, 2), 0xc1);
    for (int i = 0; i < 17; i++)
        out8(&r, 0, 0, (uint8_t)(0x30 + i));
    CHECK_EQ(in8(&r, 0, 5), 0x63); /* overrun once */
    CHECK_EQ(in8(&r, 0, 5), 0x61);
    for (int i = 0; i < 16; i++)
        CHECK_EQ(in8(&r, 0, 0), 0x30 + i);
    CHECK_EQ(in8(&r, 0, 5), 0x60);
    rig_close(&r);
}

TEST(uart_interrupts)
{
    struct rig r;

    rig_open(&r);
    start(&r, NULL);
    out8(&r, 0, 1, 0x02); /* THRE */
    CHECK(r.level[0]);
    CHECK_EQ(in8(&r, 0, 2), 0x02);
    CHECK(!r.level[0]); /* reading IIR took it back */
    out8(&r, 0, 0, 'x');
    CHECK(r.level[0]);
    out8(&r, 0, 1, 0x00);
    CHECK(!r.level[0]);
    out8(&r, 0, 4, 0x10);
    out8(&r, 0, 2, 0x81); /* FIFO, trigger 8 */
    out8(&r, 0, 1, 0x01);
    out8(&r, 0, 3, 0x83);
    out8(&r, 0, 0, 1); /* 115200 */
    out8(&r, 0, 1, 0);
    out8(&r, 0, 3, 0x03);
    for (int i = 0; i < 7; i++)
        out8(&r, 0, 0, 'a');
    CHECK(!r.level[0]);
    step_ns(&r, 300000);
    CHECK(!r.level[0]);
    step_ns(&r, 100000); /* four characters: 347 us */
    CHECK(r.level[0]);
    CHECK_EQ(in8(&r, 0, 2), 0xcc);
    (void)in8(&r, 0, 0);
    CHECK(!r.level[0]);
    out8(&r, 0, 0, 'a');
    out8(&r, 0, 0, 'a');
    CHECK_EQ(in8(&r, 0, 2), 0xc4);
    out8(&r, 0, 2, 0x83); /* clear */
    CHECK(!r.level[0]);
    rig_close(&r);
}

/* Everything a guest writes while it obeys THRE comes out, through a pipe that is slower than it.
 */
TEST(uart_output_is_never_lost)
{
    struct rig r;
    struct error err;
    char path[] = "/tmp/rhea-uart-XXXXXX", spec[64];
    unsigned sent = 0, got = 0, stalls = 0;
    bool ok = true;

    CHECK(mkdtemp(path) != NULL);
    char full[96], in[96];
    snprintf(in, sizeof in, "%s/p.in", path);
    CHECK_EQ(mkfifo(in, 0600), 0);
    snprintf(full, sizeof full, "pipe:%s/p", path);
    snprintf(spec, sizeof spec, "%s/p.out", path);
    CHECK_EQ(mkfifo(spec, 0600), 0);
    int fd = open(spec, O_RDONLY | O_NONBLOCK);
    rig_open(&r);
    struct chardev *chr = chardev_new_from_spec(r.loop, "serial0", full, &err);
    CHECK(chr != NULL);
    start(&r, chr);
    while (got < 400000 && ok) {
        while (sent < 400000 && in8(&r, 0, 5) & 0x20)
            out8(&r, 0, 0, (uint8_t)(sent++ % 251));
        stalls += sent < 400000;
        uint8_t buf[5000];
        loop_unlock(r.loop);
        loop_poll_once(r.loop, 10);
        loop_lock(r.loop);
        ssize_t n = read(fd, buf, sizeof buf);
        for (ssize_t i = 0; i < n; i++)
            ok = ok && buf[i] == got++ % 251;
    }
    CHECK(ok);
    CHECK_EQ(got, 400000);
    CHECK(stalls > 0);
    device_free(r.dev);
    r.dev = NULL;
    chardev_free(chr);
    close(fd);
    unlink(spec);
    unlink(in);
    rmdir(path);
    rig_close(&r);
}

TEST(uart_pty_input)
{
    struct rig r;
    struct error err;
    char text[40] = "0123456789abcdefghijklmnopqrstuvwxyz", seen[64] = "";
    size_t n = 0;

    rig_open(&r);
    struct chardev *chr = chardev_new_from_spec(r.loop, "serial0", "pty", &err);
    CHECK(chr != NULL);
    start(&r, chr);
    CHECK(!chardev_connected(chr));
    CHECK_EQ(in8(&r, 0, 6) & 0xf0, 0);
    out8(&r, 0, 0, 'x'); /* nobody there: goes nowhere, at once */
    CHECK_EQ(in8(&r, 0, 5), 0x60);
    int fd = open(chardev_where(chr), O_RDWR | O_NOCTTY);
    CHECK(fd >= 0);
    out8(&r, 0, 2, 0x01);
    CHECK_EQ(write(fd, text, 36), 36);
    for (int i = 0; i < 200 && n < 36; i++) {
        loop_unlock(r.loop);
        loop_poll_once(r.loop, 20);
        loop_lock(r.loop);
        while (n < sizeof seen && in8(&r, 0, 5) & 1)
            seen[n++] = (char)in8(&r, 0, 0);
    }
    CHECK(!memcmp(seen, text, 37));
    CHECK_EQ(in8(&r, 0, 6) & 0xf0, 0xb0);
    out8(&r, 0, 0, 'y');
    loop_unlock(r.loop);
    for (int i = 0; i < 5; i++)
        loop_poll_once(r.loop, 5);
    loop_lock(r.loop);
    CHECK_EQ(read(fd, seen, 1), 1);
    CHECK_EQ(seen[0], 'y');
    close(fd);
    loop_unlock(r.loop);
    loop_poll_once(r.loop, 20);
    loop_lock(r.loop);
    CHECK(!chardev_connected(chr));
    device_free(r.dev);
    r.dev = NULL;
    chardev_free(chr);
    rig_close(&r);
}
