/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-rng with its rate limit, virtio-balloon with statistics and reported pages. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/rng.h"
#include "dev/virtio/balloon.h"
#include "virtio_driver.h"

extern const struct device_type virtio_rng_type;

enum { BUF = 0x100000, MIB_ = 0x100000 };

static void open_dev(struct vd *d, const struct device_type *t, const char *props)
{
    struct optlist opts = { 0 };
    struct device *dev;
    struct error err;

    vd_open(d);
    clock_set_manual(loop_clock(d->loop, CLOCK_VIRTUAL), 0);
    dev = device_new(t, "dev", &d->ctx);
    CHECK(optlist_parse(&opts, props, NULL, &err));
    for (size_t i = 0; i < opts.count; i++)
        CHECK(device_set(dev, opts.items[i].key, opts.items[i].value, &err));
    optlist_finish(&opts);
    vd_init(d, (struct virtio_dev *)dev);
}

static unsigned give(struct vd *d, unsigned queue, gpa_t a, uint32_t len, bool in)
{
    uint16_t used;
    uint32_t got;

    (void)vd_add(d, queue, &(struct vd_piece){ a, len, in }, 1);
    vd_kick(d, queue);
    return vd_used(d, queue, 1, &used, &got) ? got : UINT32_MAX;
}

TEST(rng)
{
    static struct vd d;
    uint16_t used;
    uint32_t len;
    unsigned zeroes = 0;

    open_dev(&d, &virtio_rng_type, "max-bytes=1000,period=100");
    vd_start(&d, 1, UINT64_MAX);
    CHECK_EQ(give(&d, 0, BUF, 600, true), 600);
    for (unsigned i = 0; i < 600; i++)
        zeroes += !*vd_at(&d, BUF + i);
    CHECK(zeroes < 60);
    CHECK_EQ(*vd_at(&d, BUF + 600), 0);
    CHECK_EQ(give(&d, 0, BUF, 600, true), 400); /* the rest of this period */
    CHECK_EQ(give(&d, 0, BUF, 600, true), UINT32_MAX);
    loop_step_virtual_ns(d.loop, 99 * MS);
    CHECK(!vd_used(&d, 0, 1, &used, &len));
    loop_step_virtual_ns(d.loop, 2 * MS);
    CHECK(vd_used(&d, 0, 1, &used, &len));
    CHECK_EQ(len, 600);
    CHECK_EQ(give(&d, 0, BUF, 0x1000, false), 0); /* nothing to write into: given back */
    vd_start(&d, 1, UINT64_MAX);                  /* a reset begins a new period */
    CHECK_EQ(give(&d, 0, BUF, 1000, true), 1000);
    vd_close(&d);
}

TEST(rng_large)
{
    static struct vd d;
    uint16_t used;
    uint32_t len = 0;

    open_dev(&d, &virtio_rng_type, "");
    vd_start(&d, 1, UINT64_MAX);
    CHECK_EQ(give(&d, 0, BUF, 4 * MIB_, true), 65536); /* as much as it fills at once */
    (void)vd_add(&d, 0, &(struct vd_piece){ BUF, 100, true }, 1);
    vd_kick(&d, 0);
    loop_step_virtual_ns(d.loop, 1);
    CHECK(vd_used(&d, 0, 1, &used, &len));
    CHECK_EQ(len, 100);
    vd_close(&d);
}

static void check_rng_object(const char *text, const char *part)
{
    struct object_set *set = object_set_new();
    struct error err = { 0 };
    const struct object_type *types[] = { &rng_random_object, &rng_builtin_object }, *type;
    bool ok = object_add(set, text, &err);

    if (part) {
        CHECK(!ok && strstr(err.msg, part));
    } else {
        struct rng_backend *b = object_find_any(set, "r", types, 2, &type, &err);
        uint8_t buf[16];

        CHECK(ok && b);
        CHECK_EQ(b->read(b, buf, sizeof buf), 16);
    }
    object_set_free(set);
}

TEST(rng_objects)
{
    check_rng_object("rng-builtin,id=r", NULL);
    check_rng_object("rng-random,id=r", NULL);
    check_rng_object("rng-random,id=r,filename=/dev/zero", NULL);
    check_rng_object("rng-random,id=r,filename=/nonexistent", "No such file");
}

static bool resident(struct vd *d, gpa_t a)
{
    unsigned char v = 0;

    CHECK_EQ(mincore(vd_at(d, a), 4096, &v), 0);
    return v & 1;
}

static unsigned changes;

static void changed(void *opaque, uint64_t bytes)
{
    changes++;
    CHECK_EQ(bytes, 3 * 4096);
}

TEST(balloon)
{
    static struct vd d;

    open_dev(&d, &virtio_balloon_type, "");
    vd_start(&d, 3, UINT64_MAX);
    memset(vd_at(&d, 0x300000), 0x55, 0x8000);
    /* pages 0x301, 0x302 upwards, 0x306, 0x305 downwards, one that is no RAM, one number cut off */
    static const uint32_t pfns[] = { 0x301, 0x302, 0x306, 0x305, 0xfffffff0, 0x304 };
    for (unsigned i = 0; i < ARRAY_SIZE(pfns); i++)
        st_le32(vd_at(&d, BUF + 4 * i), pfns[i]);
    CHECK_EQ(give(&d, 0, BUF, 4 * ARRAY_SIZE(pfns) - 1, false), 0);
    static const bool kept[] = { true, false, false, true, true, false, false, true };
    for (unsigned i = 0; i < 8; i++)
        CHECK_EQ(resident(&d, 0x300000 + i * 0x1000), kept[i]);
    CHECK_EQ(*vd_at(&d, 0x301000), 0);
    CHECK_EQ(give(&d, 1, BUF, 8, false), 0);
    balloon_set_target(&d.v->dev, 3 * 4096 + 5);
    CHECK_EQ(d.config_interrupts, 1);
    CHECK_EQ(virtio_config_load(d.v, 0, 4), 3);
    balloon_on_change(&d.v->dev, changed, NULL);
    virtio_config_store(d.v, 0, 77, 4); /* the target is not the guest's */
    virtio_config_store(d.v, 4, 3, 4);
    CHECK_EQ(changes, 1);
    CHECK_EQ(balloon_target(&d.v->dev), 3 * 4096);
    CHECK_EQ(balloon_actual(&d.v->dev), 3 * 4096);
    vd_close(&d);
}

TEST(balloon_statistics)
{
    static struct vd d;
    struct balloon_stats s;
    uint16_t used;
    uint32_t len;

    open_dev(&d, &virtio_balloon_type, "guest-stats-polling-interval=2");
    vd_start(&d, 3, UINT64_MAX);
    balloon_stats(&d.v->dev, &s);
    CHECK_EQ(s.last_update, 0);
    CHECK_EQ(s.value[BALLOON_FREE_MEMORY], UINT64_MAX);
    memset(vd_at(&d, BUF), 0, 100);
    st_le16(vd_at(&d, BUF), BALLOON_FREE_MEMORY);
    st_le64(vd_at(&d, BUF + 2), 12345);
    st_le16(vd_at(&d, BUF + 10), 0xffff);              /* a tag of the future */
    CHECK_EQ(give(&d, 2, BUF, 25, false), UINT32_MAX); /* kept until they are wanted again */
    balloon_stats(&d.v->dev, &s);
    CHECK_EQ(s.value[BALLOON_FREE_MEMORY], 12345);
    CHECK_EQ(s.value[BALLOON_SWAP_IN], UINT64_MAX);
    CHECK(s.last_update > 0);
    loop_step_virtual_ns(d.loop, 1999 * MS);
    CHECK(!vd_used(&d, 2, 1, &used, &len));
    loop_step_virtual_ns(d.loop, 2 * MS);
    CHECK(vd_used(&d, 2, 1, &used, &len));
    CHECK_EQ(give(&d, 2, BUF, 10, false), UINT32_MAX);
    CHECK_EQ(give(&d, 2, BUF, 10, false), 0); /* a second one: the first comes back */
    balloon_set_interval(&d.v->dev, 0);
    vd_start(&d, 3, UINT64_MAX); /* reset with one kept */
    vd_close(&d);
}

TEST(balloon_reporting)
{
    static struct vd d;

    open_dev(&d, &virtio_balloon_type, "free-page-reporting=on");
    CHECK_EQ(d.v->queue_count, 4);
    vd_start(&d, 4, UINT64_MAX & ~BIT(4)); /* no poison */
    memset(vd_at(&d, 0x300000), 0x55, 0x8000);
    CHECK_EQ(give(&d, 3, 0x301000, 0x4000, true), 0);
    for (unsigned i = 0; i < 8; i++)
        CHECK_EQ(resident(&d, 0x300000 + i * 0x1000), i < 1 || i > 4);
    CHECK_EQ(give(&d, 3, 0x306800, 0x1000, true), 0); /* not a whole page: stays */
    CHECK_EQ(*vd_at(&d, 0x306900), 0x55);
    vd_start(&d, 4, UINT64_MAX); /* free pages shall hold this */
    virtio_config_store(d.v, 12, 0xaa, 4);
    CHECK_EQ(give(&d, 3, 0x306000, 0x1000, true), 0);
    CHECK_EQ(*vd_at(&d, 0x306900), 0x55);
    vd_close(&d);
}
