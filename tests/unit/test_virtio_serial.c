/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-serial: control messages, both directions of data with their flow control, a peer that
 * comes and goes, emergency output. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/optlist.h"
#include "chardev/chardevs.h"
#include "dev/virtio/serial.h"
#include "virtio_driver.h"

extern const struct device_type virtio_serial_type, virtserialport_type;

enum { RX = 0, TX = 1, CONTROL_RX = 2, CONTROL_TX = 3, BUFFERS = 0x100000, BUFFER = 256 };
enum { READY = 0, ADD = 1, PORT_READY = 3, CONSOLE = 4, OPEN = 6, NAME = 7 };

struct serrig {
    struct vd d;
    struct chardevs *chardevs;
    struct device *port[2];
    int peer[2]; /* our ends */
    unsigned buffers;
};

static struct device *plug(struct serrig *r, const struct device_type *t, const char *id,
                           const char *chardev, const char *props)
{
    struct device *dev = device_new(t, id, &r->d.ctx);
    struct optlist opts = { 0 };
    struct error err;

    container_of(dev, struct vport, dev)->chr = chardevs_take(r->chardevs, chardev, &err);
    CHECK(optlist_parse(&opts, props, NULL, &err));
    for (size_t i = 0; i < opts.count; i++)
        CHECK(device_set(dev, opts.items[i].key, opts.items[i].value, &err));
    optlist_finish(&opts);
    if (!bus_plug(r->d.v->dev.buses, dev, &err) || !device_init(dev, &err)) {
        printf("%s: %s\n", id, err.msg);
        exit(1);
    }
    return dev;
}

/* A console on port 0 and a named port 1, whose queues are pair 2: the driver's helper knows four
 * queues, so tests of data use the console's, or a port without control queues. */
static void open_rig(struct serrig *r)
{
    char spec[64];
    struct error err;

    memset(r, 0, sizeof *r);
    vd_open(&r->d);
    r->chardevs = chardevs_new(r->d.loop, NULL);
    for (unsigned i = 0; i < 2; i++) {
        int pair[2];

        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        r->peer[i] = pair[0];
        CHECK_EQ(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
        snprintf(spec, sizeof spec, "socket,id=c%u,fd=%d", i, pair[1]);
        CHECK(chardevs_add(r->chardevs, spec, &err));
    }
    vd_init(&r->d, (struct virtio_dev *)device_new(&virtio_serial_type, "ser0", &r->d.ctx));
    r->port[0] = plug(r, &virtconsole_type, "con", "c0", "");
    r->port[1] = plug(r, &virtserialport_type, "port", "c1", "name=org.test,nr=1");
}

static void close_rig(struct serrig *r)
{
    for (unsigned i = 0; i < 2; i++) {
        device_free(r->port[i]);
        close(r->peer[i]);
    }
    chardevs_free(r->chardevs);
    vd_close(&r->d);
}

static gpa_t next_buffer(struct serrig *r)
{
    return BUFFERS + (gpa_t)(r->buffers++ % 1024) * BUFFER;
}

static void give_buffers(struct serrig *r, unsigned queue, unsigned n)
{
    while (n--)
        (void)vd_add(&r->d, queue, &(struct vd_piece){ next_buffer(r), BUFFER, true }, 1);
    vd_kick(&r->d, queue);
}

static void push_out(struct serrig *r, unsigned queue, const void *data, size_t len)
{
    gpa_t at = next_buffer(r);

    memcpy(vd_at(&r->d, at), data, len);
    (void)vd_add(&r->d, queue, &(struct vd_piece){ at, (uint32_t)len, false }, 1);
    vd_kick(&r->d, queue);
}

static void tell(struct serrig *r, unsigned id, unsigned event, unsigned value)
{
    uint8_t m[8];

    st_le32(m, id);
    st_le16(m + 4, (uint16_t)event);
    st_le16(m + 6, (uint16_t)value);
    push_out(r, CONTROL_TX, m, sizeof m);
}

/* The next control message of the device; buffers were given in order. */
static unsigned heard;

static bool hear(struct serrig *r, unsigned id, unsigned event, unsigned value, const char *text)
{
    uint16_t used;
    uint32_t len;
    const uint8_t *m = vd_at(&r->d, BUFFERS + (gpa_t)heard * BUFFER);

    if (!vd_used(&r->d, CONTROL_RX, 1, &used, &len))
        return false;
    heard++;
    CHECK_EQ(ld_le32(m), id);
    CHECK_EQ(ld_le16(m + 4), event);
    CHECK_EQ(ld_le16(m + 6), value);
    if (text)
        CHECK_STR((const char *)m + 8, text);
    return true;
}

static void settle(struct serrig *r)
{
    loop_unlock(r->d.loop);
    for (unsigned i = 0; i < 4; i++)
        loop_poll_once(r->d.loop, 2);
    loop_lock(r->d.loop);
}

static void start(struct serrig *r)
{
    heard = r->buffers = 0;
    vd_start(&r->d, 4, UINT64_MAX);
    give_buffers(r, CONTROL_RX, 16);
}

TEST(control)
{
    static struct serrig r;

    open_rig(&r);
    CHECK_EQ(virtio_config_load(r.d.v, 4, 4), 31);
    start(&r);
    CHECK(!hear(&r, 0, 0, 0, NULL)); /* not before the driver is ready */
    tell(&r, 0, READY, 1);
    CHECK(hear(&r, 0, ADD, 1, NULL));
    CHECK(hear(&r, 1, ADD, 1, NULL));
    tell(&r, 0, PORT_READY, 1);
    CHECK(hear(&r, 0, CONSOLE, 1, NULL));
    CHECK(hear(&r, 0, OPEN, 1, NULL));
    tell(&r, 1, PORT_READY, 1);
    CHECK(hear(&r, 1, NAME, 1, "org.test"));
    CHECK(hear(&r, 1, OPEN, 1, NULL));
    close(r.peer[1]); /* the host closes */
    settle(&r);
    CHECK(hear(&r, 1, OPEN, 0, NULL));
    CHECK(!hear(&r, 0, 0, 0, NULL));
    tell(&r, 7, OPEN, 1); /* no such port, no such event, too short: nothing happens */
    tell(&r, 1, 99, 1);
    tell(&r, 1u << 31, PORT_READY, 1);
    push_out(&r, CONTROL_TX, "x", 1);
    CHECK(!(r.d.v->status & VIRTIO_STATUS_NEEDS_RESET));
    r.peer[1] = -1;
    close_rig(&r);
}

TEST(messages_wait_for_buffers)
{
    static struct serrig r;

    open_rig(&r);
    heard = r.buffers = 0;
    vd_start(&r.d, 4, UINT64_MAX);
    give_buffers(&r, CONTROL_RX, 1);
    tell(&r, 0, READY, 1);
    CHECK(hear(&r, 0, ADD, 1, NULL));
    CHECK(!hear(&r, 0, 0, 0, NULL));
    r.buffers = 1;
    give_buffers(&r, CONTROL_RX, 2);
    CHECK(hear(&r, 1, ADD, 1, NULL));
    close_rig(&r);
}

TEST(data)
{
    static struct serrig r;
    char buf[600] = "";
    uint16_t used;
    uint32_t len;

    open_rig(&r);
    start(&r);
    tell(&r, 0, READY, 1);
    push_out(&r, TX, "hello", 5);
    CHECK(vd_used(&r.d, TX, 1, &used, &len));
    settle(&r);
    CHECK_EQ(read(r.peer[0], buf, sizeof buf), 5);
    CHECK_STR(buf, "hello");
    /* input waits until the guest has the port open and gives buffers */
    memset(buf, 'z', sizeof buf);
    CHECK_EQ(write(r.peer[0], buf, 600), 600);
    settle(&r);
    unsigned first = r.buffers;
    give_buffers(&r, RX, 2);
    settle(&r);
    CHECK(!vd_used(&r.d, RX, 1, &used, &len));
    tell(&r, 0, OPEN, 1);
    settle(&r);
    CHECK(vd_used(&r.d, RX, 1, &used, &len));
    CHECK_EQ(len, BUFFER);
    CHECK(vd_used(&r.d, RX, 1, &used, &len));
    CHECK(!vd_used(&r.d, RX, 1, &used, &len));
    CHECK_EQ(*vd_at(&r.d, BUFFERS + first * BUFFER), 'z');
    give_buffers(&r, RX, 1);
    settle(&r);
    CHECK(vd_used(&r.d, RX, 1, &used, &len));
    CHECK_EQ(len, 600 - 2 * BUFFER);
    tell(&r, 0, OPEN, 0); /* closed again */
    give_buffers(&r, RX, 1);
    CHECK_EQ(write(r.peer[0], buf, 10), 10);
    settle(&r);
    CHECK(!vd_used(&r.d, RX, 1, &used, &len));
    close_rig(&r);
}

/* A port's writer waits for a slow peer, and nothing is lost. Port 1 of an adapter with max_ports=2
 * has queues 4 and 5; the test reaches them as if they were 2 and 3. */
TEST(slow_peer)
{
    static struct serrig r;
    static uint8_t chunk[65536], got[65536];
    size_t written = 0, seen = 0;
    uint16_t used;
    uint32_t len;

    open_rig(&r);
    start(&r);
    tell(&r, 0, READY, 1);
    struct virtqueue *swap[2] = { r.d.v->queues[4], r.d.v->queues[5] };
    vd_start(&r.d, 4, UINT64_MAX);
    r.d.vq[2].q = swap[0];
    r.d.vq[3].q = swap[1];
    for (unsigned i = 2; i < 4; i++) {
        r.d.vq[i].q->desc = r.d.vq[i].desc;
        r.d.vq[i].q->driver = r.d.vq[i].driver;
        r.d.vq[i].q->device = r.d.vq[i].device;
        r.d.vq[i].size = r.d.vq[i].q->size_max;
        virtio_queue_enable(r.d.vq[i].q);
    }
    for (unsigned i = 0; i < sizeof chunk; i++)
        chunk[i] = (uint8_t)(i * 31);
    memcpy(vd_at(&r.d, 0x300000), chunk, sizeof chunk);
    bool waits = false;
    for (unsigned i = 0; i < 64 && !waits; i++) {
        (void)vd_add(&r.d, 3, &(struct vd_piece){ 0x300000, sizeof chunk, false }, 1);
        vd_kick(&r.d, 3);
        written += sizeof chunk;
        waits = !vd_used(&r.d, 3, 1, &used, &len);
    }
    CHECK(waits); /* the peer takes nothing: at some point the guest has to wait */
    for (unsigned i = 0; i < 5000 && seen < written; i++) {
        ssize_t n = read(r.peer[1], got, sizeof got);

        for (ssize_t j = 0; j < n; j++)
            CHECK_EQ(got[j], chunk[(seen + (size_t)j) % sizeof chunk]);
        seen += n > 0 ? (size_t)n : 0;
        settle(&r);
    }
    CHECK_EQ(seen, written);
    CHECK(vd_used(&r.d, 3, 1, &used, &len));
    /* the peer goes away with more than it took waiting: the guest goes on */
    for (unsigned i = 0; i < 64; i++) {
        (void)vd_add(&r.d, 3, &(struct vd_piece){ 0x300000, sizeof chunk, false }, 1);
        vd_kick(&r.d, 3);
        if (!vd_used(&r.d, 3, 1, &used, &len))
            break;
    }
    close(r.peer[1]);
    r.peer[1] = -1;
    settle(&r);
    CHECK(vd_used(&r.d, 3, 1, &used, &len));
    close_rig(&r);
}

TEST(emergency_write)
{
    static struct serrig r;
    char buf[8] = "";

    open_rig(&r); /* no driver at all */
    virtio_config_store(r.d.v, 8, '!', 4);
    virtio_config_store(r.d.v, 8, '?', 1);
    virtio_config_store(r.d.v, 0, 0x11, 4);
    settle(&r);
    CHECK_EQ(read(r.peer[0], buf, sizeof buf), 2);
    CHECK_STR(buf, "!?");
    close_rig(&r);
}

static void check_plug(struct serrig *r, const struct device_type *t, const char *props,
                       const char *want)
{
    struct error err = { 0 };
    struct optlist opts = { 0 };
    struct device *d = device_new(t, "d1", &r->d.ctx);
    char got[40];

    CHECK(optlist_parse(&opts, props, NULL, &err));
    for (size_t i = 0; i < opts.count; i++)
        CHECK(device_set(d, opts.items[i].key, opts.items[i].value, &err));
    optlist_finish(&opts);
    bool ok = bus_plug(r->d.v->dev.buses, d, &err);
    snprintf(got, sizeof got, "%u", container_of(d, struct vport, dev)->nr);
    if (ok ? strcmp(got, want) != 0 : !strstr(err.msg, want))
        TEST_FAIL("%s: '%s', not '%s'", props, ok ? got : err.msg, want);
    device_free(d);
}

TEST(numbers)
{
    static struct serrig r;

    open_rig(&r);
    check_plug(&r, &virtserialport_type, "name=a", "2");
    check_plug(&r, &virtconsole_type, "name=a", "2");
    check_plug(&r, &virtserialport_type, "nr=30", "30");
    check_plug(&r, &virtserialport_type, "nr=31", "ports 0 to 30");
    check_plug(&r, &virtserialport_type, "nr=0", "reserved");
    check_plug(&r, &virtserialport_type, "nr=1", "already");
    check_plug(&r, &virtserialport_type, "name=org.test", "has that already");
    close_rig(&r);
}
