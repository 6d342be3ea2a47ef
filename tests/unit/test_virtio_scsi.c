/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-scsi: commands, task management and events through its queues, in the main loop and on an
 * I/O thread, from where the CD-ROM's commands go to the main loop and back. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "dev/storage/scsi.h"
#include "loop/iothread.h"
#include "virtio_driver.h"

extern const struct device_type virtio_scsi_type, scsi_hd_type, scsi_cd_type;

enum { DISK_SIZE = 1 << 20, HEAD = 0x100000, RESP = 0x100100, DATA = 0x200000, SLOT = 0x400 };
enum { HEAD_SIZE = 19 + 32, RESP_SIZE = 12 + 96, COMMANDS = 2 };
enum { S_OVERRUN = 1, S_ABORTED = 2, S_BAD_TARGET = 3, S_FAILURE = 9 };

struct medium {
    struct drive drive;
    int fd;
};

struct scsirig {
    struct vd d;
    struct object_set *objects;
    struct disk_graph *graph;
    struct medium hd_medium, cd_medium;
    struct device *hd, *cd;
};

static void make_medium(struct scsirig *r, struct medium *m, const char *id, unsigned flags)
{
    char name[160];
    struct error err;

    m->fd = memfd_create("disk", 0);
    CHECK(!ftruncate(m->fd, DISK_SIZE));
    snprintf(name, sizeof name,
             "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":"
             "\"/proc/self/fd/%d\"}}",
             m->fd);
    m->drive.disk = disk_open(r->graph, name, NULL, flags, &err);
    CHECK(m->drive.disk != NULL);
    m->drive.graph = r->graph;
    m->drive.id = xstrdup(id);
    m->drive.bootindex = -1;
    m->drive.read_only = !(flags & DISK_RDWR);
}

static void set_link(struct device *dev, const char *prop, void *object)
{
    *(void **)((char *)dev + field_find(dev->type->props, prop)->offset) = object;
}

static struct device *plug(struct scsirig *r, const struct device_type *t, const char *id,
                           struct medium *m)
{
    struct device *dev = device_new(t, id, &r->d.ctx);
    struct error err;

    set_link(dev, "drive", &m->drive);
    if (!bus_plug(r->d.v->dev.buses, dev, &err) || !device_init(dev, &err)) {
        printf("%s: %s\n", id, err.msg);
        exit(1);
    }
    return dev;
}

static void open_rig(struct scsirig *r, bool packed, bool iothread)
{
    struct device *dev;
    struct error err;

    memset(r, 0, sizeof *r);
    vd_open(&r->d);
    r->objects = object_set_new();
    r->graph = disk_graph_new(NULL);
    make_medium(r, &r->hd_medium, "d0", DISK_RDWR);
    make_medium(r, &r->cd_medium, "c0", 0);
    dev = device_new(&virtio_scsi_type, "s0", &r->d.ctx);
    if (iothread) {
        CHECK(object_add(r->objects, "iothread,id=io0", &err));
        set_link(dev, "iothread", object_find(r->objects, "io0", &iothread_object, &err));
    }
    CHECK(device_set(dev, "packed", packed ? "on" : "off", &err));
    CHECK(device_set(dev, "num_queues", "2", &err));
    vd_init(&r->d, (struct virtio_dev *)dev);
    r->hd = plug(r, &scsi_hd_type, "hd", &r->hd_medium);
    r->cd = plug(r, &scsi_cd_type, "cd", &r->cd_medium);
}

static void close_rig(struct scsirig *r)
{
    device_free(r->hd);
    device_free(r->cd);
    device_free(&r->d.v->dev);
    r->d.v = NULL;
    disk_unref(r->hd_medium.drive.disk);
    disk_unref(r->cd_medium.drive.disk);
    disk_graph_free(r->graph);
    object_set_free(r->objects);
    free(r->hd_medium.drive.id);
    free(r->cd_medium.drive.id);
    vd_close(&r->d);
    close(r->hd_medium.fd);
    close(r->cd_medium.fd);
}

/* Puts a command into slot n; data goes to or from DATA + n * 64 KiB. */
static void add_command(struct scsirig *r, unsigned slot, unsigned id, const char *cdb,
                        size_t cdb_len, size_t out, size_t in)
{
    gpa_t head = HEAD + slot * SLOT, data = DATA + slot * 0x10000;
    uint8_t *p = vd_at(&r->d, head);
    struct vd_piece pieces[4];
    unsigned n = 0;

    memset(p, 0, SLOT);
    p[0] = 1;
    p[1] = (uint8_t)id;
    st_le64(p + 8, slot);
    memcpy(p + 19, cdb, cdb_len);
    pieces[n++] = (struct vd_piece){ head, HEAD_SIZE, false };
    if (out)
        pieces[n++] = (struct vd_piece){ data, (uint32_t)out, false };
    pieces[n++] = (struct vd_piece){ head + 0x100, RESP_SIZE, true };
    if (in)
        pieces[n++] = (struct vd_piece){ data, (uint32_t)in, true };
    (void)vd_add(&r->d, COMMANDS, pieces, n);
}

static uint8_t *response(struct scsirig *r, unsigned slot)
{
    return vd_at(&r->d, HEAD + slot * SLOT + 0x100);
}

/* Carries out one; its response, the status in bits 8 to 15. */
static unsigned run(struct scsirig *r, unsigned id, const char *cdb, size_t cdb_len, size_t out,
                    size_t in, uint32_t *ret_len)
{
    uint16_t used;
    uint32_t len = 0;

    add_command(r, 0, id, cdb, cdb_len, out, in);
    vd_kick(&r->d, COMMANDS);
    CHECK(vd_wait(&r->d, COMMANDS, 2 + !!out + !!in, &used, &len));
    if (ret_len)
        *ret_len = len;
    return response(r, 0)[11] | (unsigned)response(r, 0)[10] << 8;
}

#define RUN(r, id, cdb, out, in) run(r, id, cdb, sizeof(cdb) - 1, out, in, NULL)

static void exercise(bool packed, bool iothread)
{
    static struct scsirig r;
    uint8_t buf[1024];
    uint32_t len;

    open_rig(&r, packed, iothread);
    vd_start(&r.d, 4, UINT64_MAX);
    CHECK_EQ(RUN(&r, 0, "\0\0\0\0\0\0", 0, 0), 0x0200);
    CHECK_EQ(ld_le32(response(&r, 0)), 18); /* sense */
    CHECK_EQ(response(&r, 0)[12 + 12], 0x29);
    CHECK_EQ(RUN(&r, 0, "\0\0\0\0\0\0", 0, 0), 0);
    memset(vd_at(&r.d, DATA), 0x3c, 1024);
    CHECK_EQ(RUN(&r, 0, "\x2a\0\0\0\0\x07\0\0\x02\0", 1024, 0), 0);
    CHECK_EQ(pread(r.hd_medium.fd, buf, 1024, 7 * 512), 1024);
    CHECK_EQ(buf[1023], 0x3c);
    CHECK_EQ(run(&r, 0, "\x28\0\0\0\0\x07\0\0\x01\0", 10, 0, 4096, &len), 0);
    CHECK_EQ(len, RESP_SIZE + 512);
    CHECK_EQ(ld_le32(response(&r, 0) + 4), 4096 - 512); /* residual */
    CHECK_EQ(*vd_at(&r.d, DATA + 511), 0x3c);
    CHECK_EQ(RUN(&r, 0, "\x28\0\0\0\0\x07\0\0\x02\0", 0, 1023), S_OVERRUN);
    CHECK_EQ(RUN(&r, 0, "\x28\0\0\0\0\x07\0\0\x01\0", 512, 512), S_FAILURE);
    CHECK_EQ(RUN(&r, 9, "\0\0\0\0\0\0", 0, 0), S_BAD_TARGET);
    /* the CD */
    CHECK_EQ(pwrite(r.cd_medium.fd, "CD001", 5, 2048), 5);
    CHECK_EQ(RUN(&r, 1, "\0\0\0\0\0\0", 0, 0), 0x0200);
    CHECK_EQ(RUN(&r, 1, "\0\0\0\0\0\0", 0, 0), 0);
    CHECK_EQ(RUN(&r, 1, "\x28\0\0\0\0\x01\0\0\x01\0", 0, 2048), 0);
    CHECK_MEM(vd_at(&r.d, DATA), "CD001", 5);
    CHECK_EQ(RUN(&r, 1, "\xbe\0\0\0\0\x01\0\0\x01\xf8\0\0", 0, 2352), 0); /* raw */
    CHECK_MEM(vd_at(&r.d, DATA + 16), "CD001", 5);
    CHECK_EQ(RUN(&r, 1, "\x28\0\0\0\x20\0\0\0\x01\0", 0, 2048), 0x0200);
    CHECK_EQ(RUN(&r, 1, "\x2a\0\0\0\0\0\0\0\x01\0", 2048, 0), 0x0200); /* WRITE */
    CHECK_EQ(RUN(&r, 1, "\x12\0\0\0\x24\0", 0, 36), 0);
    CHECK_MEM(vd_at(&r.d, DATA), "\x05\x80", 2);
    CHECK_MEM(vd_at(&r.d, DATA + 16), "QEMU CD-ROM", 11);
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

/* The guest ejects the medium, unless it locked the tray. */
TEST(eject)
{
    static struct scsirig r;

    open_rig(&r, false, true);
    vd_start(&r.d, 4, UINT64_MAX);
    CHECK_EQ(RUN(&r, 1, "\0\0\0\0\0\0", 0, 0), 0x0200);
    CHECK_EQ(RUN(&r, 1, "\x1e\0\0\0\x01\0", 0, 0), 0);
    CHECK_EQ(RUN(&r, 1, "\x1b\0\0\0\x02\0", 0, 0), 0x0200);
    CHECK_EQ(response(&r, 0)[12 + 12], 0x53);
    CHECK_EQ(RUN(&r, 1, "\x1e\0\0\0\0\0", 0, 0), 0);
    CHECK_EQ(RUN(&r, 1, "\x1b\0\0\0\x02\0", 0, 0), 0);
    CHECK_EQ(RUN(&r, 1, "\x28\0\0\0\0\x01\0\0\x01\0", 0, 2048), 0x0200);
    CHECK_EQ(response(&r, 0)[12 + 12], 0x3a);
    close_rig(&r);
}

/* Many at once, of both units; then resets with requests under way. */
static void burst(bool iothread)
{
    static struct scsirig r;
    uint16_t used;
    uint32_t len;

    open_rig(&r, false, iothread);
    vd_start(&r.d, 4, UINT64_MAX);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 16; i++)
            add_command(&r, i, i & 1, i & 2 ? "\x28\0\0\0\0\x07\0\0\x01\0" : "\0\0\0\0\0\0\0\0\0\0",
                        10, 0, 4096);
        vd_kick(&r.d, COMMANDS);
        for (unsigned i = 0; i < 16; i++)
            CHECK(vd_wait(&r.d, COMMANDS, 3, &used, &len));
        for (unsigned i = 0; i < 16 && round; i++)
            CHECK_EQ(response(&r, i)[10], 0);
    }
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned i = 0; i < 16; i++)
            add_command(&r, i, i & 1, "\x28\0\0\0\0\x07\0\0\x02\0", 10, 0, 4096);
        vd_kick(&r.d, COMMANDS);
        vd_start(&r.d, 4, UINT64_MAX);
        CHECK_EQ(RUN(&r, round & 1, "\0\0\0\0\0\0", 0, 0) & 0xff, 0);
    }
    for (unsigned i = 0; i < 16; i++)
        add_command(&r, i, i & 1, "\x28\0\0\0\0\x07\0\0\x02\0", 10, 0, 4096);
    vd_kick(&r.d, COMMANDS);
    close_rig(&r); /* and unplugged with them under way */
}

TEST(bursts)
{
    burst(false);
}

TEST(bursts_iothread)
{
    burst(true);
}

static unsigned control(struct scsirig *r, size_t out, size_t in)
{
    const struct vd_piece pieces[] = { { HEAD, (uint32_t)out, false },
                                       { RESP, (uint32_t)in, true } };
    uint16_t used;
    uint32_t len;

    *vd_at(&r->d, RESP) = 0xee;
    (void)vd_add(&r->d, 0, pieces, in ? 2 : 1);
    vd_kick(&r->d, 0);
    if (!vd_wait(&r->d, 0, in ? 2 : 1, &used, &len))
        return UINT32_MAX;
    return *vd_at(&r->d, RESP);
}

static unsigned tmf(struct scsirig *r, unsigned subtype, unsigned id, unsigned lun)
{
    uint8_t *p = vd_at(&r->d, HEAD);

    memset(p, 0, 24);
    st_le32(p + 4, subtype);
    p[8] = 1;
    p[9] = (uint8_t)id;
    p[11] = (uint8_t)lun;
    return control(r, 24, 1);
}

TEST(task_management)
{
    static struct scsirig r;

    open_rig(&r, false, false);
    vd_start(&r.d, 4, UINT64_MAX);
    CHECK_EQ(RUN(&r, 0, "\0\0\0\0\0\0", 0, 0), 0x0200);
    CHECK_EQ(tmf(&r, 5, 0, 0), 0); /* logical unit reset */
    CHECK_EQ(RUN(&r, 0, "\0\0\0\0\0\0", 0, 0), 0x0200);
    CHECK_EQ(tmf(&r, 5, 0, 1), 12);  /* incorrect LUN */
    CHECK_EQ(tmf(&r, 0, 7, 0), 3);   /* bad target */
    CHECK_EQ(tmf(&r, 0, 0, 0), 0);   /* abort task: none */
    CHECK_EQ(tmf(&r, 6, 0, 0), 0);   /* query task: none */
    CHECK_EQ(tmf(&r, 2, 0, 0), 11);  /* clear ACA: rejected */
    CHECK_EQ(tmf(&r, 99, 0, 0), 11); /* what? */
    CHECK_EQ(tmf(&r, 4, 1, 0), 0);   /* I_T nexus reset */
    st_le32(vd_at(&r.d, HEAD), 1);   /* asynchronous notification query */
    CHECK_EQ(control(&r, 16, 5), 0);
    close_rig(&r);
}

TEST(events)
{
    static struct scsirig r;
    const struct vd_piece buffer = { DATA, 16, true };
    struct scsi_lun *u;
    uint16_t used;
    uint32_t len;

    open_rig(&r, false, false);
    u = container_of(r.hd, struct scsi_lun, dev);
    vd_start(&r.d, 4, UINT64_MAX);
    scsi_lun_changed(u, SCSI_UA_CAPACITY); /* no buffer: missed */
    (void)vd_add(&r.d, 1, &buffer, 1);
    vd_kick(&r.d, 1);
    CHECK(vd_wait(&r.d, 1, 1, &used, &len));
    CHECK_EQ(ld_le32(vd_at(&r.d, DATA)), 0x80000000);
    (void)vd_add(&r.d, 1, &buffer, 1);
    vd_kick(&r.d, 1);
    scsi_lun_changed(u, SCSI_UA_CAPACITY);
    CHECK(vd_wait(&r.d, 1, 1, &used, &len));
    CHECK_EQ(len, 16);
    CHECK_MEM(vd_at(&r.d, DATA), "\x03\0\0\0\x01\0\0\0\0\0\0\0\x2a\x09\0\0", 16);
    close_rig(&r);
}

/* What a driver must not do breaks the device, until it is reset. */
TEST(malformed)
{
    static const struct {
        unsigned queue;
        uint32_t out, in;
    } bad[] = { { COMMANDS, HEAD_SIZE - 1, RESP_SIZE },
                { COMMANDS, HEAD_SIZE, RESP_SIZE - 1 },
                { COMMANDS, 1, 1 },
                { 0, 3, 1 },
                { 0, 23, 1 },
                { 0, 15, 5 } };
    static struct scsirig r;

    open_rig(&r, false, false);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const struct vd_piece pieces[] = { { HEAD, bad[i].out, false }, { RESP, bad[i].in, true } };

        vd_start(&r.d, 4, UINT64_MAX);
        CHECK(!(r.d.v->status & VIRTIO_STATUS_NEEDS_RESET));
        memset(vd_at(&r.d, HEAD), 0, 64);
        if (i == 5)
            *vd_at(&r.d, HEAD) = 1;
        (void)vd_add(&r.d, bad[i].queue, pieces, 2);
        vd_kick(&r.d, bad[i].queue);
        CHECK(r.d.v->status & VIRTIO_STATUS_NEEDS_RESET);
    }
    /* sizes of headers: only before the queues run, and sane ones */
    vd_start(&r.d, 4, UINT64_MAX);
    virtio_config_store(r.d.v, 20, 20, 4);
    CHECK_EQ(virtio_config_load(r.d.v, 20, 4), 96);
    virtio_set_status(r.d.v, 0, false);
    virtio_config_store(r.d.v, 24, 16, 4);
    CHECK_EQ(virtio_config_load(r.d.v, 24, 4), 16);
    virtio_config_store(r.d.v, 24, 1 << 30, 4);
    CHECK_EQ(virtio_config_load(r.d.v, 24, 4), 16);
    CHECK(r.d.v->broken);
    vd_start(&r.d, 4, UINT64_MAX);
    CHECK_EQ(virtio_config_load(r.d.v, 24, 4), 32);
    close_rig(&r);
}
