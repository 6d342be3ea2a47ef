/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-blk on a disk in memory, driven by split and packed rings, in the main loop's context and
 * on an I/O thread. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "dev/storage/blk.h"
#include "loop/iothread.h"
#include "virtio_driver.h"

extern const struct device_type virtio_blk_type;

enum {
    DISK_SIZE = 4 << 20,
    HEADER = 0x100000,
    STATUS = 0x100100,
    DATA = 0x200000,
    REQUEST = 0x100
};
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };

struct blkrig {
    struct vd d;
    struct disk_graph *graph;
    struct drive drive;
    struct object_set *objects;
    int fd;
    unsigned stops;
    int stop_error;
};

static void on_stop(struct drive *d, int error)
{
    struct blkrig *r = d->vm;

    r->stops++;
    r->stop_error = error;
}

static void open_disk(struct blkrig *r, const char *options)
{
    struct error err;
    char name[200];
    struct optlist *opts = NULL;

    r->fd = memfd_create("disk", 0);
    CHECK(!ftruncate(r->fd, DISK_SIZE));
    (void)snprintf(name, sizeof name,
                   options ? options
                           : "json:{\"driver\":\"raw\",\"file\":"
                             "{\"driver\":\"file\",\"filename\":\"/proc/self/fd/%d\"}}",
                   r->fd);
    r->graph = disk_graph_new(NULL);
    r->drive.disk = disk_open(r->graph, name, opts, DISK_RDWR, &err);
    if (!r->drive.disk) {
        printf("disk_open: %s\n", err.msg);
        exit(1);
    }
    r->drive.graph = r->graph;
    r->drive.id = xstrdup("d0");
    r->drive.serial = xstrdup("serial-0123456789-beyond");
    r->drive.vm = r;
    r->drive.on_stop = on_stop;
    r->drive.bootindex = -1;
}

static struct device *blk_dev(struct blkrig *r, bool iothread)
{
    struct device *dev = device_new(&virtio_blk_type, "blk", &r->d.ctx);
    const struct field *f = field_find(virtio_blk_type.props, "drive");
    struct error err;

    *(struct drive **)((char *)dev + f->offset) = &r->drive;
    if (iothread) {
        CHECK(object_add(r->objects, "iothread,id=io0", &err));
        f = field_find(virtio_blk_type.props, "iothread");
        *(void **)((char *)dev + f->offset) =
            object_find(r->objects, "io0", &iothread_object, &err);
    }
    return dev;
}

static void open_rig(struct blkrig *r, bool packed, bool iothread)
{
    struct device *dev;
    struct error err;

    memset(r, 0, sizeof *r);
    vd_open(&r->d);
    open_disk(r, NULL);
    r->objects = object_set_new();
    dev = blk_dev(r, iothread);
    CHECK(device_set(dev, "packed", packed ? "on" : "off", &err));
    CHECK(device_set(dev, "num-queues", "2", &err));
    vd_init(&r->d, (struct virtio_dev *)dev);
}

static void close_rig(struct blkrig *r)
{
    device_free(&r->d.v->dev);
    r->d.v = NULL;
    disk_unref(r->drive.disk);
    disk_graph_free(r->graph);
    object_set_free(r->objects);
    free(r->drive.id);
    free(r->drive.serial);
    vd_close(&r->d);
    close(r->fd);
}

/* Makes request n available; its header, status and data have places of their own. */
static void submit(struct blkrig *r, unsigned q, unsigned n, uint32_t type, uint64_t sector,
                   uint32_t len, bool in)
{
    gpa_t header = HEADER + n * REQUEST * 4, status = header + REQUEST, data = DATA + n * 0x10000;
    struct vd_piece pieces[3] = { { header, 16, false }, { data, len, in }, { status, 1, true } };

    st_le32(vd_at(&r->d, header), type);
    st_le32(vd_at(&r->d, header + 4), 0);
    st_le64(vd_at(&r->d, header + 8), sector);
    *vd_at(&r->d, status) = 0xee;
    if (!len)
        pieces[1] = pieces[2];
    (void)vd_add(&r->d, q, pieces, len ? 3 : 2);
}

static int status_of(struct blkrig *r, unsigned n)
{
    return *vd_at(&r->d, HEADER + n * REQUEST * 4 + REQUEST);
}

static int request(struct blkrig *r, uint32_t type, uint64_t sector, uint32_t len, bool in)
{
    uint16_t id;
    uint32_t used;

    submit(r, 0, 0, type, sector, len, in);
    vd_kick(&r->d, 0);
    CHECK(vd_wait(&r->d, 0, len ? 3 : 2, &id, &used));
    return status_of(r, 0);
}

static void exercise(bool packed, bool iothread)
{
    struct blkrig r;
    uint8_t buf[4096];

    open_rig(&r, packed, iothread);
    vd_start(&r.d, 2, UINT64_MAX);
    CHECK_EQ(r.d.packed, packed);
    memset(vd_at(&r.d, DATA), 0x5a, 4096);
    CHECK_EQ(request(&r, OUT, 8, 4096, false), 0);
    CHECK_EQ(pread(r.fd, buf, 4096, 4096), 4096);
    CHECK(buf[0] == 0x5a && buf[4095] == 0x5a);
    memset(vd_at(&r.d, DATA), 0, 4096);
    CHECK_EQ(request(&r, IN, 8, 4096, true), 0);
    CHECK(*vd_at(&r.d, DATA) == 0x5a && *vd_at(&r.d, DATA + 4095) == 0x5a);
    CHECK(r.d.interrupts[0] >= 2);
    CHECK_EQ(request(&r, FLUSH, 0, 0, false), 0);
    CHECK_EQ(request(&r, GET_ID, 0, 20, true), 0);
    CHECK(!memcmp(vd_at(&r.d, DATA), "serial-0123456789-be", 20));
    CHECK_EQ(request(&r, IN, DISK_SIZE / 512 - 1, 1024, true), 1);    /* beyond the end */
    CHECK_EQ(request(&r, OUT, UINT64_MAX / 512 - 1, 1024, false), 1); /* far beyond */
    CHECK_EQ(request(&r, IN, UINT64_MAX, 512, true), 1);
    CHECK_EQ(request(&r, IN, 0, 100, true), 1); /* no multiple of a sector */
    CHECK_EQ(request(&r, 77, 0, 512, true), 2);
    /* one segment of sectors 8..15 */
    memset(vd_at(&r.d, DATA), 0, 16);
    st_le64(vd_at(&r.d, DATA), 8);
    st_le32(vd_at(&r.d, DATA + 8), 8);
    CHECK_EQ(request(&r, ZEROES, 0, 16, false), 0);
    CHECK_EQ(pread(r.fd, buf, 4096, 4096), 4096);
    CHECK(buf[0] == 0 && buf[4095] == 0);
    CHECK_EQ(request(&r, DISCARD, 0, 16, false), 0);
    st_le32(vd_at(&r.d, DATA + 12), 2);
    CHECK_EQ(request(&r, DISCARD, 0, 16, false), 2); /* a flag that nobody knows */
    close_rig(&r);
}

TEST(split_ring)
{
    exercise(false, false);
}

TEST(packed_ring)
{
    exercise(true, false);
}

TEST(split_ring_iothread)
{
    exercise(false, true);
}

TEST(packed_ring_iothread)
{
    exercise(true, true);
}

/* Many requests at once, many times around the ring, on two queues. */
static void burst(bool packed, bool iothread, uint64_t features)
{
    enum { DEPTH = 16 };
    struct blkrig r;
    uint16_t id;
    uint32_t used;

    open_rig(&r, packed, iothread);
    vd_start(&r.d, 2, features);
    for (unsigned round = 0; round < 60; round++) {
        unsigned q = round & 1;

        for (unsigned i = 0; i < DEPTH; i++) {
            memset(vd_at(&r.d, DATA + i * 0x10000), (int)(round + i), 4096);
            submit(&r, q, i, OUT, 8 * i, 4096, false);
            if (i % 4 == 3)
                vd_kick(&r.d, q);
        }
        for (unsigned i = 0; i < DEPTH; i++)
            CHECK(vd_wait(&r.d, q, 3, &id, &used));
        for (unsigned i = 0; i < DEPTH; i++) {
            uint8_t byte;

            CHECK_EQ(status_of(&r, i), 0);
            CHECK_EQ(pread(r.fd, &byte, 1, 4096 * i + 7), 1);
            CHECK_EQ(byte, (uint8_t)(round + i));
        }
    }
    CHECK(!r.d.v->broken);
    close_rig(&r);
}

TEST(bursts)
{
    burst(false, false, UINT64_MAX);
    burst(true, false, UINT64_MAX);
    burst(false, false, ~BIT(VIRTIO_F_EVENT_IDX));
    burst(true, false, ~BIT(VIRTIO_F_EVENT_IDX));
    burst(false, true, UINT64_MAX);
    burst(true, true, UINT64_MAX);
}

/* More pieces than one system call takes, read from a file that is not cached in one go. */
TEST(many_pieces)
{
    enum { PIECES = 200 };
    struct vd_piece pieces[PIECES + 2] = { { HEADER, 16, false } };
    struct blkrig r;
    uint16_t id;
    uint32_t used;

    open_rig(&r, false, false);
    vd_start(&r.d, 1, UINT64_MAX);
    for (unsigned i = 0; i < PIECES; i++) {
        uint8_t block[4096];

        memset(block, (int)i, sizeof block);
        CHECK_EQ(pwrite(r.fd, block, 4096, 4096 * (off_t)i), 4096);
        pieces[i + 1] = (struct vd_piece){ DATA + 8192 * (gpa_t)i, 4096, true };
    }
    pieces[PIECES + 1] = (struct vd_piece){ STATUS, 1, true };
    memset(vd_at(&r.d, HEADER), 0, 16);
    (void)vd_add(&r.d, 0, pieces, PIECES + 2);
    vd_kick(&r.d, 0);
    CHECK(vd_wait(&r.d, 0, PIECES + 2, &id, &used));
    CHECK_EQ(used, PIECES * 4096 + 1);
    for (unsigned i = 0; i < PIECES; i++)
        CHECK_EQ(*vd_at(&r.d, DATA + 8192 * (gpa_t)i + 4095), (uint8_t)i);
    close_rig(&r);
}

TEST(reset_with_requests_under_way)
{
    struct blkrig r;

    open_rig(&r, false, true);
    for (unsigned round = 0; round < 50; round++) {
        vd_start(&r.d, 2, UINT64_MAX);
        for (unsigned i = 0; i < 16; i++)
            submit(&r, i & 1, i, round & 1 ? IN : OUT, 8 * i, 4096, round & 1);
        vd_kick(&r.d, 0);
        vd_kick(&r.d, 1);
        virtio_set_status(r.d.v, 0, false);
        CHECK(!virtio_queue_ready(r.d.v->queues[0]));
    }
    CHECK(!r.d.v->broken);
    close_rig(&r);
}
