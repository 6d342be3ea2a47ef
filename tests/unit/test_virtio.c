/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio core: status, features, rings of both kinds with what a hostile driver may put there.
 * The device under test echoes: it writes the out bytes of a chain into its in pieces.
 */
#include "base/alloc.h"
#include "virtio_driver.h"

enum { ECHO_QUEUES = 2, ECHO_SIZE = 8, BUF = 0x100000 };

struct echo {
    struct virtio_dev v;
    bool hold; /* takes nothing from the ring */
    struct virtio_chain *held[64];
    unsigned held_count, keep; /* chains that are kept instead of being answered */
    unsigned stops;
};

static void echo_chain(struct virtqueue *q, struct virtio_chain *c)
{
    uint8_t buf[256];
    size_t n = virtio_chain_read(c, 0, buf, sizeof buf);

    virtio_push(q, c, virtio_chain_write(c, 0, buf, n));
}

static void echo_handle(struct virtio_dev *v, struct virtqueue *q)
{
    struct echo *e = (struct echo *)v;
    struct virtio_chain *c;

    while (!e->hold && (c = virtio_pop(q, 8))) {
        if (e->keep) {
            e->keep--;
            e->held[e->held_count++] = c;
        } else {
            echo_chain(q, c);
        }
    }
    virtio_notify(q);
}

static void echo_stop(struct virtio_dev *v)
{
    ((struct echo *)v)->stops++;
}

static void echo_config_written(struct virtio_dev *v, uint32_t off, uint32_t len)
{
}

static const struct virtio_type echo_vtype = {
    .name = "echo",
    .id = 63,
    .config_size = 8,
    .features = 1,
    .stop = echo_stop,
    .config_written = echo_config_written,
};

static void echo_defaults(struct device *dev)
{
    virtio_defaults((struct virtio_dev *)dev);
}

static bool echo_init(struct device *dev, struct error *err)
{
    struct virtio_dev *v = (struct virtio_dev *)dev;

    virtio_init(v, &echo_vtype, 0);
    for (unsigned i = 0; i < ECHO_QUEUES; i++)
        virtio_queue_add(v, ECHO_SIZE, echo_handle);
    return true;
}

static void echo_reset(struct device *dev)
{
    virtio_reset((struct virtio_dev *)dev);
}

static void echo_finish(struct device *dev)
{
    virtio_finish((struct virtio_dev *)dev);
}

static const struct device_type echo_type = {
    .name = "echo",
    .doc = "test",
    .size = sizeof(struct echo),
    .bus = "virtio-bus",
    .props = FIELDS(VIRTIO_PROPS(struct echo, v)),
    .defaults = echo_defaults,
    .init = echo_init,
    .reset = echo_reset,
    .finish = echo_finish,
};

static struct echo *open_echo(struct vd *d, bool packed, bool in_order, uint64_t want)
{
    struct virtio_dev *v;

    vd_open(d);
    v = (struct virtio_dev *)device_new(&echo_type, "echo", &d->ctx);
    v->packed = packed;
    v->in_order = in_order;
    vd_init(d, v);
    vd_start(d, ECHO_QUEUES, want);
    CHECK_EQ(d->packed, packed);
    return (struct echo *)v;
}

static void spin(struct vd *d)
{
    for (unsigned i = 0; i < 4; i++) {
        loop_unlock(d->loop);
        loop_poll_once(d->loop, 0);
        loop_lock(d->loop);
    }
}

static void fill(struct vd *d, const char *text)
{
    memcpy(vd_at(d, BUF), text, strlen(text));
    memset(vd_at(d, BUF + 0x1000), 0, 64);
}

static void echo_round(bool packed, uint64_t want)
{
    struct vd_piece p[4] = { { BUF, 3, false },
                             { BUF + 3, 5, false },
                             { BUF + 0x1000, 2, true },
                             { BUF + 0x1002, 30, true } };
    struct vd d;
    uint16_t id, head;
    uint32_t len;

    open_echo(&d, packed, false, want);
    for (unsigned i = 0; i < 40; i++) { /* many times around */
        fill(&d, "echoecho");
        head = vd_add(&d, i & 1, p, 4);
        vd_kick(&d, i & 1);
        CHECK(vd_used(&d, i & 1, 4, &id, &len));
        CHECK_EQ(id, head);
        CHECK_EQ(len, 8);
        CHECK_MEM(vd_at(&d, BUF + 0x1000), "echoecho", 8);
        CHECK(!vd_used(&d, i & 1, 4, &id, &len));
    }
    CHECK_EQ(d.interrupts[0], 20);
    CHECK_EQ(d.interrupts[1], 20);
    vd_close(&d);
}

TEST(echo)
{
    echo_round(false, UINT64_MAX);
    echo_round(true, UINT64_MAX);
    echo_round(false, ~BIT(VIRTIO_F_EVENT_IDX));
    echo_round(true, ~BIT(VIRTIO_F_EVENT_IDX));
}

static void indirect(bool packed)
{
    gpa_t table = 0x180000;
    struct vd d;
    uint16_t id;
    uint32_t len;

    open_echo(&d, packed, false, UINT64_MAX);
    for (unsigned i = 0; i < 20; i++) {
        struct vd_queue *q = &d.vq[0];

        fill(&d, "indirect");
        if (packed) {
            vd_desc(&d, table, 0, BUF, 8, 0, 0);
            vd_desc(&d, table, 1, BUF + 0x1000, 64, 0, VIRTIO_DESC_WRITE);
            vd_desc(&d, q->desc, q->avail, table, 32, 77,
                    VIRTIO_DESC_INDIRECT | (q->avail_wrap ? 1 << 7 : 1 << 15));
            if (++q->avail == q->size) {
                q->avail = 0;
                q->avail_wrap = !q->avail_wrap;
            }
        } else {
            vd_desc(&d, table, 0, BUF, 8, VIRTIO_DESC_NEXT, 1);
            vd_desc(&d, table, 1, BUF + 0x1000, 64, VIRTIO_DESC_WRITE, 0);
            vd_desc(&d, q->desc, 5, table, 32, VIRTIO_DESC_INDIRECT, 0);
            st_le16(vd_at(&d, q->driver + 4 + 2 * (q->avail % q->size)), 5);
            st_le16(vd_at(&d, q->driver + 2), ++q->avail);
        }
        vd_kick(&d, 0);
        CHECK(vd_used(&d, 0, 1, &id, &len));
        CHECK_EQ(id, packed ? 77 : 5);
        CHECK_EQ(len, 8);
        CHECK_MEM(vd_at(&d, BUF + 0x1000), "indirect", 8);
    }
    vd_close(&d);
}

TEST(indirect_tables)
{
    indirect(false);
    indirect(true);
}

/* The device is broken, says so once, takes nothing more, and works after a reset. */
static void check_broken(struct vd *d, const char *what)
{
    vd_kick(d, 0);
    spin(d);
    if (!d->v->broken || !(d->v->status & VIRTIO_STATUS_NEEDS_RESET))
        TEST_FAIL("%s did not break it", what);
    CHECK_EQ(d->config_interrupts, 1);
    vd_kick(d, 0);
    vd_kick(d, 1);
    spin(d);
    CHECK_EQ(d->config_interrupts, 1);
    vd_start(d, ECHO_QUEUES, UINT64_MAX);
    CHECK(!d->v->broken && !(d->v->status & VIRTIO_STATUS_NEEDS_RESET));
    struct vd_piece p[2] = { { BUF, 4, false }, { BUF + 0x1000, 4, true } };
    uint16_t id;
    uint32_t len;
    (void)vd_add(d, 0, p, 2);
    vd_kick(d, 0);
    CHECK(vd_used(d, 0, 2, &id, &len));
    d->config_interrupts = 0;
}

static void bad_piece(struct vd *d, const char *what, struct vd_piece a, struct vd_piece b)
{
    struct vd_piece p[2] = { a, b };

    (void)vd_add(d, 0, p, b.len || b.addr ? 2 : 1);
    check_broken(d, what);
}

static void bad_pieces(bool packed)
{
    struct vd_piece none = { 0, 0, false }, ok = { BUF, 4, false };
    struct vd d;

    open_echo(&d, packed, false, UINT64_MAX);
    bad_piece(&d, "no bytes", (struct vd_piece){ BUF, 0, false }, none);
    bad_piece(&d, "a hole", (struct vd_piece){ VD_RAM + 0x1000, 4, false }, none);
    bad_piece(&d, "over the end of RAM", (struct vd_piece){ VD_RAM - 4, 8, true }, none);
    bad_piece(&d, "the end of the world", (struct vd_piece){ UINT64_MAX - 3, 16, true }, none);
    bad_piece(&d, "4 GiB", (struct vd_piece){ 0, UINT32_MAX, true }, none);
    bad_piece(&d, "in before out", (struct vd_piece){ BUF, 4, true }, ok);
    vd_close(&d);
}

TEST(bad_descriptors)
{
    bad_pieces(false);
    bad_pieces(true);
}

static void bad_split(struct vd *d, const char *what, uint16_t flags, uint16_t next, uint32_t len,
                      uint16_t head)
{
    struct vd_queue *q = &d->vq[0];

    vd_desc(d, q->desc, 0, BUF, len, flags, next);
    st_le16(vd_at(d, q->driver + 4 + 2 * (q->avail % q->size)), head);
    st_le16(vd_at(d, q->driver + 2), ++q->avail);
    check_broken(d, what);
}

TEST(bad_split_rings)
{
    struct vd d;
    struct vd_queue *q = &d.vq[0];

    open_echo(&d, false, false, UINT64_MAX);
    bad_split(&d, "head beyond the table", 0, 0, 4, ECHO_SIZE);
    bad_split(&d, "next beyond the table", VIRTIO_DESC_NEXT, ECHO_SIZE, 4, 0);
    bad_split(&d, "a loop", VIRTIO_DESC_NEXT, 0, 4, 0);
    bad_split(&d, "an indirect table of no whole entries", VIRTIO_DESC_INDIRECT, 0, 17, 0);
    bad_split(&d, "an empty indirect table", VIRTIO_DESC_INDIRECT, 0, 0, 0);
    bad_split(&d, "a huge indirect table", VIRTIO_DESC_INDIRECT, 0, 1 << 20, 0);
    bad_split(&d, "indirect and next", VIRTIO_DESC_INDIRECT | VIRTIO_DESC_NEXT, 1, 16, 0);
    vd_desc(&d, BUF, 0, BUF, 16, VIRTIO_DESC_INDIRECT, 0);
    bad_split(&d, "indirect in indirect", VIRTIO_DESC_INDIRECT, 0, 16, 0);
    vd_desc(&d, BUF, 0, BUF, 16, VIRTIO_DESC_NEXT, 1);
    bad_split(&d, "next behind the indirect table", VIRTIO_DESC_INDIRECT, 0, 16, 0);
    vd_desc(&d, BUF, 0, BUF, 16, VIRTIO_DESC_NEXT, 0);
    bad_split(&d, "a loop in the indirect table", VIRTIO_DESC_INDIRECT, 0, 16, 0);
    st_le16(vd_at(&d, q->driver + 2), (uint16_t)(q->avail + ECHO_SIZE + 1));
    check_broken(&d, "an index far ahead");
    vd_close(&d);
}

TEST(bad_packed_rings)
{
    struct vd d;
    struct vd_queue *q = &d.vq[0];

    open_echo(&d, true, false, UINT64_MAX);
    for (unsigned i = 0; i < ECHO_SIZE; i++) /* all of the ring, and on to its start */
        vd_desc(&d, q->desc, i, BUF, 4, 0, VIRTIO_DESC_NEXT | 1 << 7);
    check_broken(&d, "an endless chain");
    vd_desc(&d, q->desc, q->avail, BUF, 17, 0, VIRTIO_DESC_INDIRECT | 1 << 7);
    check_broken(&d, "an indirect table of no whole entries");
    vd_desc(&d, q->desc, q->avail, BUF, 0, 0, VIRTIO_DESC_INDIRECT | 1 << 7);
    check_broken(&d, "an empty indirect table");
    vd_desc(&d, q->desc, q->avail, BUF, 16, 0, VIRTIO_DESC_INDIRECT | VIRTIO_DESC_NEXT | 1 << 7);
    check_broken(&d, "indirect and next");
    vd_desc(&d, BUF, 0, BUF, 16, 0, VIRTIO_DESC_INDIRECT);
    vd_desc(&d, q->desc, q->avail, BUF, 16, 0, VIRTIO_DESC_INDIRECT | 1 << 7);
    check_broken(&d, "indirect in indirect");
    vd_close(&d);
}

static void bad_ring(bool packed, gpa_t desc, gpa_t driver, gpa_t device)
{
    struct vd d;
    struct echo *e = open_echo(&d, packed, false, UINT64_MAX);

    virtio_queue_disable(e->v.queues[0]);
    e->v.queues[0]->desc = desc;
    e->v.queues[0]->driver = driver;
    e->v.queues[0]->device = device;
    virtio_queue_enable(e->v.queues[0]);
    check_broken(&d, "a ring that is not in RAM");
    vd_close(&d);
}

TEST(bad_ring_addresses)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        bad_ring(packed, VD_RAM, 0x1000, 0x2000);
        bad_ring(packed, UINT64_MAX - 15, 0x1000, 0x2000);
        bad_ring(packed, 0, VD_RAM - 2, 0x2000);
        bad_ring(packed, 0, 0x1000, UINT64_MAX & ~UINT64_C(3));
        bad_ring(packed, 8, 0x1000, 0x2000); /* misaligned */
        bad_ring(packed, 0, 0x1001, 0x2000);
        bad_ring(packed, 0, 0x1000, 0x2002);
    }
}

/* More chains in flight than the ring has places. */
TEST(reused_heads)
{
    struct vd d;
    struct vd_piece p = { BUF, 4, false };
    struct echo *e = open_echo(&d, false, false, UINT64_MAX);

    e->keep = 100;
    for (unsigned i = 0; i < 2 * ECHO_SIZE; i++) {
        (void)vd_add(&d, 0, &p, 1);
        vd_kick(&d, 0);
    }
    CHECK(e->v.broken);
    CHECK_EQ(e->held_count, ECHO_SIZE);
    while (e->held_count) /* of a broken device: freed, not used */
        virtio_push(e->v.queues[0], e->held[--e->held_count], 0);
    CHECK_EQ(ld_le16(vd_at(&d, d.vq[0].device + 2)), 0);
    vd_close(&d);
}

/* What was popped before a reset does not show in the new ring. */
TEST(chains_over_a_reset)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        struct vd d;
        struct vd_piece p = { BUF, 4, true };
        struct echo *e = open_echo(&d, packed, false, UINT64_MAX);
        uint16_t id;
        uint32_t len;

        e->keep = 2;
        (void)vd_add(&d, 0, &p, 1);
        (void)vd_add(&d, 0, &p, 1);
        vd_kick(&d, 0);
        CHECK_EQ(e->held_count, 2);
        vd_start(&d, ECHO_QUEUES, UINT64_MAX);
        CHECK(e->stops >= 1);
        virtio_push(e->v.queues[0], e->held[0], 4);
        virtio_drop(e->v.queues[0], e->held[1]);
        CHECK(!vd_used(&d, 0, 1, &id, &len));
        (void)vd_add(&d, 0, &p, 1);
        vd_kick(&d, 0);
        CHECK(vd_used(&d, 0, 1, &id, &len));
        CHECK(!vd_used(&d, 0, 1, &id, &len));
        vd_close(&d);
    }
}

TEST(in_order)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        struct vd d;
        struct vd_piece p = { BUF, 4, true };
        struct echo *e = open_echo(&d, packed, true, UINT64_MAX);
        uint16_t id, head[3];
        uint32_t len;

        e->keep = 3;
        for (unsigned i = 0; i < 3; i++)
            head[i] = vd_add(&d, 0, &p, 1);
        vd_kick(&d, 0);
        virtio_push(e->v.queues[0], e->held[2], 2);
        CHECK(!vd_used(&d, 0, 1, &id, &len));
        virtio_push(e->v.queues[0], e->held[0], 0);
        CHECK(vd_used(&d, 0, 1, &id, &len));
        CHECK_EQ(id, head[0]);
        CHECK(!vd_used(&d, 0, 1, &id, &len));
        virtio_push(e->v.queues[0], e->held[1], 1);
        CHECK(vd_used(&d, 0, 1, &id, &len) && id == head[1] && len == 1);
        CHECK(vd_used(&d, 0, 1, &id, &len) && id == head[2] && len == 2);
        vd_close(&d);
    }
}

TEST(unpop_and_avail)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        struct vd d;
        struct vd_piece p[2] = { { BUF, 5, false }, { BUF + 0x1000, 7, true } };
        struct echo *e = open_echo(&d, packed, false, UINT64_MAX);
        struct virtqueue *q = e->v.queues[0];
        size_t out, in;

        e->hold = true;
        for (unsigned i = 0; i < 10; i++) {
            uint16_t id, head = vd_add(&d, 0, p, 2);
            uint32_t len;
            struct virtio_chain *c;

            (void)vd_add(&d, 0, p, 2);
            vd_kick(&d, 0);
            virtio_queue_avail(q, &out, &in, 1000);
            CHECK(out == 10 && in == 14);
            virtio_queue_avail(q, &out, &in, 6);
            CHECK(out == 5 && in == 7);
            c = virtio_pop(q, 0);
            virtio_unpop(q, c);
            CHECK(!virtio_queue_empty(q));
            c = virtio_pop(q, 0);
            CHECK_EQ(c->out_size, 5);
            CHECK_EQ(c->addr[1], BUF + 0x1000);
            struct virtio_chain *both[2] = { c, virtio_pop(q, 0) };
            CHECK(both[1] != NULL && virtio_queue_empty(q));
            virtio_push_many(q, both, (const size_t[]){ 3, 4 }, 2);
            CHECK(vd_used(&d, 0, 2, &id, &len) && id == head && len == 3);
            CHECK(vd_used(&d, 0, 2, &id, &len) && len == 4);
        }
        vd_close(&d);
    }
}

/* The handler that takes nothing is called when there is news, and a kick gets through. */
TEST(kicks_for_a_device_that_waits)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        struct vd d;
        struct vd_piece p = { BUF, 4, false };
        struct echo *e = open_echo(&d, packed, false, UINT64_MAX);
        struct virtqueue *q = e->v.queues[0];

        e->hold = true;
        (void)vd_add(&d, 0, &p, 1);
        vd_kick(&d, 0);
        CHECK(!q->handling && !q->kicks_are_off);
        if (packed)
            CHECK_EQ(ld_le16(vd_at(&d, d.vq[0].device + 2)), 0); /* any addition is told */
        else
            CHECK_EQ(ld_le16(vd_at(&d, d.vq[0].device + 4 + 8 * ECHO_SIZE)), 1); /* avail_event */
        vd_close(&d);
    }
}

TEST(features_and_status)
{
    struct vd d;
    struct echo *e = open_echo(&d, false, false, UINT64_MAX);
    struct virtio_dev *v = &e->v;

    virtio_set_status(v, 0, false);
    virtio_set_status(v, 3, false);
    virtio_set_driver_features(v, BIT(VIRTIO_F_VERSION_1) | 2, false); /* not offered */
    virtio_set_status(v, 11, false);
    CHECK(!(v->status & VIRTIO_STATUS_FEATURES_OK));
    virtio_set_status(v, 15, false);
    CHECK(!(v->status & VIRTIO_STATUS_DRIVER_OK));
    virtio_set_driver_features(v, 1, false); /* without VERSION_1 */
    virtio_set_status(v, 11, false);
    CHECK(!(v->status & VIRTIO_STATUS_FEATURES_OK));
    virtio_set_driver_features(v, BIT(VIRTIO_F_VERSION_1), false);
    virtio_set_status(v, 11, false);
    CHECK(v->status & VIRTIO_STATUS_FEATURES_OK);
    virtio_set_driver_features(v, BIT(VIRTIO_F_VERSION_1) | 1, false); /* too late */
    CHECK_EQ(v->features, BIT(VIRTIO_F_VERSION_1));
    CHECK(!(virtio_offered(v, true) >> 32));
    /* configuration: beyond its end there is nothing */
    virtio_config_store(v, 4, 0x12345678, 4);
    CHECK_EQ(virtio_config_load(v, 4, 4), 0x12345678);
    virtio_config_store(v, 6, 0xffffffff, 4);
    CHECK_EQ(virtio_config_load(v, 6, 4), 0x1234);
    CHECK_EQ(virtio_config_load(v, 8, 4), 0xffffffff);
    vd_close(&d);
}

/* §2.6.1: one queue begins anew while the other goes on. */
TEST(reset_of_one_queue)
{
    struct vd d;
    struct vd_piece p[2] = { { BUF, 4, false }, { BUF + 0x1000, 4, true } };
    struct echo *e = open_echo(&d, false, false, UINT64_MAX);
    uint16_t id;
    uint32_t len;

    (void)vd_add(&d, 1, p, 2);
    virtio_queue_disable(e->v.queues[0]);
    CHECK(!virtio_queue_ready(e->v.queues[0]) && virtio_queue_ready(e->v.queues[1]));
    vd_kick(&d, 0);
    vd_kick(&d, 1);
    CHECK(vd_used(&d, 1, 2, &id, &len));
    vd_close(&d);
}
