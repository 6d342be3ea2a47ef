/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SCSI: command blocks against a disk image of 64 KiB, without any adapter. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "dev/storage/scsi.h"
#include "dev_fixture.h"

extern const struct device_type scsi_hd_type;

enum { SECTORS = 128, DATA = 1 << 20 };

/* An adapter that keeps what it is told. */
struct host {
    struct device dev;
    struct scsi_bus bus;
    unsigned bursts, changes;
    uint16_t reason;
};

static const struct device_type host_type = { .name = "test-adapter", .size = sizeof(struct host) };

struct sc {
    struct loop *loop;
    struct device_ctx ctx;
    struct disk_graph *graph;
    struct drive drive;
    struct host *host;
    struct device *hd;
    char path[32];
    uint8_t out[DATA], in[DATA];
    unsigned done;
};

static void changed(struct scsi_bus *b, struct scsi_lun *u, uint16_t reason)
{
    struct host *h = container_of(b, struct host, bus);

    h->changes++;
    h->reason = reason;
}

static const struct scsi_adapter adapter = { .changed = changed };

static struct scsi_lun *lun(struct sc *s)
{
    return container_of(s->hd, struct scsi_lun, dev);
}

/* props: "serial=S1,wwn=5" */
static void open_props(struct sc *s, const char *props, unsigned flags)
{
    struct error err = { 0 };
    struct optlist opts = { 0 };

    memset(s, 0, sizeof *s);
    s->loop = loop_new(&err);
    loop_lock(s->loop);
    s->ctx = (struct device_ctx){ .loop = s->loop };
    strcpy(s->path, "/tmp/rhea-scsi-XXXXXX");
    int fd = mkstemp(s->path);
    CHECK_EQ(ftruncate(fd, SECTORS * 512), 0);
    close(fd);
    s->graph = disk_graph_new(NULL);
    s->drive.id = (char *)"drv";
    s->drive.graph = s->graph;
    s->drive.bootindex = -1;
    s->drive.read_only = !(flags & DISK_RDWR);
    optlist_add(&opts, "driver", "raw");
    s->drive.disk = disk_open(s->graph, s->path, &opts, flags | DISK_UNMAP, &err);
    optlist_finish(&opts);
    CHECK(s->drive.disk != NULL);
    s->host = (struct host *)device_new(&host_type, "scsi0", &s->ctx);
    scsi_bus_init(&s->host->bus, &s->host->dev, &adapter, NULL, 0, 255, SCSI_LUN_MAX);
    s->hd = device_new(&scsi_hd_type, "d0", &s->ctx);
    lun(s)->conf.drive = &s->drive;
    CHECK(optlist_parse(&opts, props, NULL, &err));
    for (size_t i = 0; i < opts.count; i++)
        CHECK(device_set(s->hd, opts.items[i].key, opts.items[i].value, &err));
    optlist_finish(&opts);
    CHECK(bus_plug(&s->host->bus.bus, s->hd, &err));
    if (!device_init(s->hd, &err)) {
        printf("init: %s\n", err.msg);
        exit(1);
    }
}

static void open_disk(struct sc *s)
{
    open_props(s, "", DISK_RDWR);
    atomic_store(&lun(s)->attention, 0);
}

static void close_disk(struct sc *s)
{
    device_free(s->hd);
    scsi_bus_finish(&s->host->bus);
    device_free(&s->host->dev);
    disk_unref(s->drive.disk);
    disk_graph_free(s->graph);
    loop_unlock(s->loop);
    loop_free(s->loop);
    unlink(s->path);
}

struct tracked {
    struct scsi_request q;
    struct sc *s;
};

static void request_done(struct scsi_request *q)
{
    container_of(q, struct tracked, q)->s->done++;
}

static void submit(struct sc *s, struct tracked *t, const char *cdb, size_t len, size_t out,
                   size_t in)
{
    memset(t, 0, sizeof *t);
    t->s = s;
    memcpy(t->q.cdb, cdb, len);
    t->q.out = vec_of(s->out, out);
    t->q.in = vec_of(s->in, in);
    t->q.done = request_done;
    scsi_submit(&s->host->bus, &t->q);
}

static void wait_done(struct sc *s, unsigned n)
{
    scsi_kick(&s->host->bus);
    for (unsigned i = 0; i < 2000 && s->done < n; i++) {
        loop_unlock(s->loop);
        loop_poll_once(s->loop, 5);
        loop_lock(s->loop);
    }
    CHECK_EQ(s->done, n);
}

/* Carries one out; sense as key << 16 | asc << 8 | ascq, 0: GOOD, -1: overrun. */
static int run(struct sc *s, const char *cdb, size_t len, size_t out, size_t in,
               uint64_t *ret_moved)
{
    struct tracked t;

    s->done = 0;
    submit(s, &t, cdb, len, out, in);
    wait_done(s, 1);
    if (ret_moved)
        *ret_moved = t.q.moved;
    if (t.q.outcome == SCSI_OVERRUN)
        return -1;
    CHECK_EQ(t.q.outcome, SCSI_DONE);
    if (t.q.status == SCSI_GOOD)
        return 0;
    CHECK_EQ(t.q.status, SCSI_CHECK_CONDITION);
    CHECK_EQ(t.q.sense[0] & 0x7f, 0x70);
    return (t.q.sense[2] << 16) | (t.q.sense[12] << 8) | t.q.sense[13];
}

#define RUN(s, cdb, out, in) run(s, cdb, sizeof(cdb) - 1, out, in, NULL)
#define MOVED(s, cdb, out, in)                                                                     \
    ({                                                                                             \
        uint64_t moved_;                                                                           \
        CHECK_EQ(run(s, cdb, sizeof(cdb) - 1, out, in, &moved_), 0);                               \
        moved_;                                                                                    \
    })

TEST(inquiry)
{
    static struct sc s;

    open_props(&s, "serial=S123,wwn=0x5000c50015ea71ac,rotation_rate=7200,port_index=1", DISK_RDWR);
    /* INQUIRY does not report the unit attention of power on, the next command does */
    CHECK_EQ(MOVED(&s, "\x12\0\0\0\x60\0", 0, 96), 36);
    CHECK_MEM(s.in, "\x00\x00\x05\x12\x1f\x00\x00\x02QEMU    QEMU HARDDISK   2.5+", 36);
    CHECK_EQ(MOVED(&s, "\x12\0\0\0\x05\0", 0, 96), 5); /* allocation length */
    CHECK_EQ(RUN(&s, "\x12\0\0\0\x60\0", 0, 95), -1);  /* no room for it */
    CHECK_EQ(RUN(&s, "\0\0\0\0\0\0", 0, 0), 0x062900);
    CHECK_EQ(RUN(&s, "\0\0\0\0\0\0", 0, 0), 0);
    CHECK_EQ(RUN(&s, "\x12\0\x80\0\x60\0", 0, 96), 0x052400); /* a page without EVPD */
    CHECK_EQ(RUN(&s, "\x12\x01\xc0\0\x60\0", 0, 96), 0x052400);
    CHECK_EQ(MOVED(&s, "\x12\x01\0\0\xff\0", 0, 255), 10);
    CHECK_MEM(s.in, "\0\0\0\x06\x00\x80\x83\xb0\xb1\xb2", 10);
    CHECK_EQ(MOVED(&s, "\x12\x01\x80\0\xff\0", 0, 255), 8);
    CHECK_MEM(s.in, "\0\x80\0\x04S123", 8);
    CHECK_EQ(MOVED(&s, "\x12\x01\x83\0\xff\0", 0, 255), 4 + 8 + 12 + 8);
    CHECK_MEM(s.in,
              "\0\x83\0\x1c\x02\0\0\x04S123\x01\x03\0\x08\x50\x00\xc5\x00\x15\xea\x71\xac"
              "\x61\x94\0\x04\0\0\0\x01",
              32);
    CHECK_EQ(MOVED(&s, "\x12\x01\xb0\0\xff\0", 0, 255), 64);
    CHECK_EQ(ld_be32(s.in + 20), (1u << 30) / 512); /* UNMAP */
    CHECK_EQ(ld_be32(s.in + 28), 8);
    CHECK_EQ(MOVED(&s, "\x12\x01\xb1\0\xff\0", 0, 255), 64);
    CHECK_EQ(ld_be16(s.in + 4), 7200);
    CHECK_EQ(MOVED(&s, "\x12\x01\xb2\0\xff\0", 0, 255), 8);
    CHECK_EQ(s.in[5], 0xe0);
    close_disk(&s);
}

TEST(capacity_and_luns)
{
    static struct sc s;

    open_disk(&s);
    CHECK_EQ(MOVED(&s, "\x25\0\0\0\0\0\0\0\0\0", 0, 8), 8);
    CHECK_MEM(s.in, "\0\0\0\x7f\0\0\x02\0", 8);
    CHECK_EQ(MOVED(&s, "\x9e\x10\0\0\0\0\0\0\0\0\0\0\0\x20\0\0", 0, 32), 32);
    CHECK_MEM(s.in, "\0\0\0\0\0\0\0\x7f\0\0\x02\0\0\0\x80\0", 16);
    CHECK_EQ(RUN(&s, "\x9e\x1f\0\0\0\0\0\0\0\0\0\0\0\x20\0\0", 0, 32), 0x052400);
    CHECK_EQ(MOVED(&s, "\xa0\0\0\0\0\0\0\0\x01\0\0\0", 0, 256), 16);
    CHECK_MEM(s.in, "\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    CHECK_EQ(RUN(&s, "\xa0\0\0\0\0\0\0\0\0\x0f\0\0", 0, 256), 0x052400); /* less than 16 bytes */
    CHECK_EQ(RUN(&s, "\xa0\0\x03\0\0\0\0\0\x01\0\0\0", 0, 256), 0x052400);
    CHECK_EQ(RUN(&s, "\x5e\0\0\0\0\0\0\0\0\0", 0, 0), 0x052000); /* PERSISTENT RESERVE IN */
    CHECK_EQ(RUN(&s, "\xff", 0, 0), 0x052000);
    /* of a number that is not there */
    struct tracked t = { .s = &s };
    memcpy(t.q.cdb, "\x12\0\0\0\x24\0", 6);
    t.q.lun = 3;
    t.q.in = vec_of(s.in, 36);
    t.q.done = request_done;
    scsi_submit(&s.host->bus, &t.q);
    CHECK_EQ(t.q.status, SCSI_GOOD);
    CHECK_EQ(s.in[0], 0x7f);
    t.q.cdb[0] = 0;
    scsi_submit(&s.host->bus, &t.q);
    CHECK_EQ(t.q.sense[12], 0x25);
    close_disk(&s);
}

TEST(read_write)
{
    static struct sc s;
    uint8_t buf[1024];

    open_disk(&s);
    for (size_t i = 0; i < 4096; i++)
        s.out[i] = (uint8_t)(i * 7 + i / 512);
    CHECK_EQ(MOVED(&s, "\x2a\x08\0\0\0\x02\0\0\x02\0", 1024, 0), 1024); /* WRITE(10), FUA */
    CHECK_EQ(disk_read(s.drive.disk, 1024, buf, 1024), 0);
    CHECK_MEM(buf, s.out, 1024);
    CHECK_EQ(MOVED(&s, "\x28\0\0\0\0\x02\0\0\x02\0", 0, 2048), 1024); /* more room than data */
    CHECK_MEM(s.in, s.out, 1024);
    CHECK_EQ(MOVED(&s, "\x0a\0\0\x04\x01\0", 512, 0), 512); /* WRITE(6) */
    CHECK_EQ(MOVED(&s, "\x08\0\0\x04\x01\0", 0, 512), 512);
    CHECK_MEM(s.in, s.out, 512);
    CHECK_EQ(RUN(&s, "\x08\0\0\0\0\0", 0, 256 * 512), 0x052100); /* 256 blocks: too many here */
    CHECK_EQ(MOVED(&s, "\xaa\0\0\0\0\x7f\0\0\0\x01\0\0", 512, 0), 512); /* WRITE(12), the last */
    CHECK_EQ(MOVED(&s, "\x88\0\0\0\0\0\0\0\0\x7f\0\0\0\x01\0\0", 0, 512), 512);
    CHECK_EQ(RUN(&s, "\x88\0\0\0\0\0\0\0\0\x7f\0\0\0\x02\0\0", 0, 1024), 0x052100);
    CHECK_EQ(RUN(&s, "\x8a\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x02\0\0", 1024, 0), 0x052100);
    CHECK_EQ(RUN(&s, "\x8a\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0", 1024, 0), 0x052100);
    CHECK_EQ(RUN(&s, "\x28\0\0\0\0\0\0\0\x02\0", 0, 1023), -1); /* no room */
    CHECK_EQ(RUN(&s, "\x2a\0\0\0\0\0\0\0\x02\0", 1023, 0), -1);
    CHECK_EQ(RUN(&s, "\x28\x20\0\0\0\0\0\0\x02\0", 0, 1024), 0x052400); /* protection */
    CHECK_EQ(MOVED(&s, "\x28\0\0\0\0\0\0\0\0\0", 0, 0), 0);             /* no blocks */
    CHECK_EQ(RUN(&s, "\x35\0\0\0\0\0\0\0\0\0", 0, 0), 0);
    CHECK_EQ(RUN(&s, "\x91\0\0\0\0\0\0\0\0\x80\0\0\0\x01\0\0", 0, 0), 0x052100);
    CHECK_EQ(RUN(&s, "\x2b\0\0\0\0\x80\0\0\0\0", 0, 0), 0x052100); /* SEEK */
    close_disk(&s);
}

TEST(verify)
{
    static struct sc s;

    open_disk(&s);
    memset(s.out, 0xaa, 1024);
    CHECK_EQ(RUN(&s, "\x2e\0\0\0\0\x02\0\0\x02\0", 1024, 0), 0); /* WRITE AND VERIFY */
    CHECK_EQ(RUN(&s, "\x2f\0\0\0\0\0\0\0\x80\0", 0, 0), 0);
    CHECK_EQ(RUN(&s, "\x2f\0\0\0\0\x01\0\0\x80\0", 0, 0), 0x052100);
    CHECK_EQ(RUN(&s, "\x2f\x02\0\0\0\x02\0\0\x02\0", 1024, 0), 0);
    CHECK_EQ(RUN(&s, "\x2f\x02\0\0\0\x01\0\0\x02\0", 1024, 0), 0x0e1d00);
    CHECK_EQ(RUN(&s, "\x2f\x06\0\0\0\x02\0\0\x02\0", 512, 0), 0); /* each against one block */
    CHECK_EQ(RUN(&s, "\x2f\x04\0\0\0\x02\0\0\x02\0", 512, 0), 0x052400);
    CHECK_EQ(RUN(&s, "\x2f\x02\0\0\0\x02\0\0\x02\0", 1023, 0), -1);
    struct tracked t;
    s.out[700] = 1;
    s.done = 0;
    submit(&s, &t, "\x2f\x02\0\0\0\x02\0\0\x02\0", 10, 1024, 0);
    wait_done(&s, 1);
    CHECK_EQ(ld_be32(t.q.sense + 3), 700); /* where it differs */
    close_disk(&s);
}

TEST(unmap_and_write_same)
{
    static struct sc s;
    uint8_t buf[2048], zero[2048] = { 0 };

    open_disk(&s);
    memset(s.out, 0x5a, 65536);
    CHECK_EQ(RUN(&s, "\x2a\0\0\0\0\0\0\0\x80\0", 65536, 0), 0);
    memset(s.out, 0, 64);
    st_be16(s.out, 38);
    st_be16(s.out + 2, 32);
    st_be64(s.out + 8, 8);
    st_be32(s.out + 16, 8);
    st_be64(s.out + 24, 120);
    st_be32(s.out + 32, 8);
    CHECK_EQ(RUN(&s, "\x42\0\0\0\0\0\0\0\x28\0", 40, 0), 0);
    CHECK_EQ(disk_read(s.drive.disk, 4096, buf, 2048), 0);
    CHECK_MEM(buf, zero, 2048);
    CHECK_EQ(disk_read(s.drive.disk, 2048, buf, 512), 0);
    CHECK_EQ(buf[0], 0x5a);
    CHECK_EQ(RUN(&s, "\x42\0\0\0\0\0\0\0\x07\0", 40, 0), 0x051a00);
    CHECK_EQ(RUN(&s, "\x42\0\0\0\0\0\0\0\x28\0", 39, 0), -1);
    CHECK_EQ(RUN(&s, "\x42\x01\0\0\0\0\0\0\x28\0", 40, 0), 0x052400); /* ANCHOR */
    CHECK_EQ(RUN(&s, "\x42\0\0\0\0\0\0\0\0\0", 0, 0), 0);
    st_be32(s.out + 32, 9); /* beyond the end */
    CHECK_EQ(RUN(&s, "\x42\0\0\0\0\0\0\0\x28\0", 40, 0), 0x052100);
    st_be32(s.out + 32, UINT32_MAX); /* more than it takes at once */
    CHECK_EQ(RUN(&s, "\x42\0\0\0\0\0\0\0\x28\0", 40, 0), 0x052600);
    memset(s.out, 0x33, 512);
    CHECK_EQ(MOVED(&s, "\x41\0\0\0\0\x10\0\0\x03\0", 512, 0), 512);
    CHECK_EQ(disk_read(s.drive.disk, 0x10 * 512, buf, 2048), 0);
    CHECK_EQ(buf[1535], 0x33);
    CHECK_EQ(buf[1536], 0x5a);
    CHECK_EQ(RUN(&s, "\x93\x09\0\0\0\0\0\0\0\x10\0\0\0\x02\0\0", 0, 0), 0); /* NDOB, UNMAP */
    CHECK_EQ(disk_read(s.drive.disk, 0x10 * 512, buf, 2048), 0);
    CHECK_EQ(buf[1023], 0);
    CHECK_EQ(buf[1024], 0x33);
    CHECK_EQ(RUN(&s, "\x93\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 512, 0), 0x052400); /* WSNZ */
    CHECK_EQ(RUN(&s, "\x93\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0", 512, 0), 0x052400);
    CHECK_EQ(RUN(&s, "\x93\0\0\0\0\0\0\0\0\0\0\0\0\x81\0\0", 512, 0), 0x052100);
    CHECK_EQ(RUN(&s, "\x93\0\0\0\0\0\0\0\0\0\0\0\0\x80\0\0", 511, 0), -1);
    close_disk(&s);
}

TEST(compare_and_write)
{
    static struct sc s;
    struct tracked t[3];
    uint8_t buf[512];

    open_disk(&s);
    memset(s.out, 0, 512);
    memset(s.out + 512, 0x77, 512);
    /* the first finds zeroes and puts 0x77 there, so that the second must fail; the write between
     * them waits for both sides */
    submit(&s, &t[0], "\x89\0\0\0\0\0\0\0\0\x05\0\0\0\x01\0\0", 16, 1024, 0);
    submit(&s, &t[1], "\x89\0\0\0\0\0\0\0\0\x05\0\0\0\x01\0\0", 16, 1024, 0);
    submit(&s, &t[2], "\x28\0\0\0\0\x05\0\0\x01\0", 10, 0, 512);
    wait_done(&s, 3);
    CHECK_EQ(t[0].q.status, SCSI_GOOD);
    CHECK_EQ(t[1].q.status, SCSI_CHECK_CONDITION);
    CHECK_EQ(t[1].q.sense[2], 0x0e);
    CHECK_EQ(s.in[0], 0x77);
    CHECK_EQ(disk_read(s.drive.disk, 5 * 512, buf, 512), 0);
    CHECK_EQ(buf[511], 0x77);
    CHECK_EQ(RUN(&s, "\x89\0\0\0\0\0\0\0\0\x05\0\0\0\x01\0\0", 1023, 0), -1);
    CHECK_EQ(RUN(&s, "\x89\0\0\0\0\0\0\0\0\x05\0\0\0\x81\0\0", 1024, 0), 0x052400);
    close_disk(&s);
}

TEST(mode_pages)
{
    static struct sc s;

    open_disk(&s);
    CHECK_EQ(MOVED(&s, "\x1a\0\x08\0\xff\0", 0, 255), 4 + 8 + 20);
    CHECK_MEM(s.in, "\x1f\0\0\x08\0\0\0\x80\0\0\x02\0\x08\x12\x04", 15);
    CHECK_EQ(MOVED(&s, "\x1a\x08\x48\0\xff\0", 0, 255), 24); /* no descriptor; changeable */
    CHECK_EQ(s.in[6], 4);
    CHECK_EQ(MOVED(&s, "\x5a\0\x3f\0\0\0\0\x01\0\0", 0, 256), 8 + 8 + 12 + 24 + 32 + 20 + 12);
    CHECK_EQ(RUN(&s, "\x1a\0\xc8\0\xff\0", 0, 255), 0x053900); /* saved */
    CHECK_EQ(RUN(&s, "\x1a\0\x02\0\xff\0", 0, 255), 0x052400);
    /* write cache off, and what may not change */
    memcpy(s.out, "\0\0\0\0\x08\x12\0\0", 8);
    memset(s.out + 8, 0, 16);
    CHECK_EQ(RUN(&s, "\x15\x10\0\0\x18\0", 24, 0), 0);
    CHECK_EQ(MOVED(&s, "\x1a\x08\x08\0\xff\0", 0, 255), 24);
    CHECK_EQ(s.in[6], 0);
    s.out[6] = 5;
    CHECK_EQ(RUN(&s, "\x15\x10\0\0\x18\0", 24, 0), 0x052600);
    s.out[6] = 4;
    CHECK_EQ(RUN(&s, "\x15\x10\0\0\x17\0", 24, 0), 0x051a00); /* a page cut off */
    CHECK_EQ(RUN(&s, "\x15\x11\0\0\x18\0", 24, 0), 0x052400); /* to be saved */
    CHECK_EQ(RUN(&s, "\x15\x10\0\0\x18\0", 23, 0), -1);
    s.out[3] = 200; /* a block descriptor beyond the list */
    CHECK_EQ(RUN(&s, "\x15\x10\0\0\x18\0", 24, 0), 0x051a00);
    close_disk(&s);
}

TEST(opcodes_and_logs)
{
    static struct sc s;

    open_disk(&s);
    CHECK_EQ(MOVED(&s, "\xa3\x0c\x01\x28\0\0\0\0\x01\0\0\0", 0, 256), 14);
    CHECK_MEM(s.in, "\0\x03\0\x0a\x28\x18\xff\xff\xff\xff\0\xff\xff\0", 14);
    CHECK_EQ(MOVED(&s, "\xa3\x0c\x02\x9e\0\x10\0\0\x01\0\0\0", 0, 256), 20);
    CHECK_EQ(MOVED(&s, "\xa3\x0c\x03\x5e\0\0\0\0\x01\0\0\0", 0, 256), 4);
    CHECK_EQ(s.in[1], 1);
    CHECK_EQ(RUN(&s, "\xa3\x0c\x01\x9e\0\0\0\0\x01\0\0\0", 0, 256), 0x052400);
    CHECK_EQ(RUN(&s, "\xa3\x0c\x80\0\0\0\0\0\x01\0\0\0", 0, 256), 0x052400);
    uint64_t n = MOVED(&s, "\xa3\x0c\0\0\0\0\0\0\x04\0\0\0", 0, 1024);
    CHECK_EQ(n, ld_be32(s.in) + 4);
    CHECK(n > 30 * 8);
    CHECK_EQ(MOVED(&s, "\x4d\0\0\0\0\0\0\x01\0\0", 0, 256), 5);
    CHECK_EQ(RUN(&s, "\x4d\0\x2f\0\0\0\0\x01\0\0", 0, 256), 0x052400);
    CHECK_EQ(MOVED(&s, "\x03\0\0\0\x12\0", 0, 18), 18); /* REQUEST SENSE: nothing */
    CHECK_EQ(s.in[2], 0);
    scsi_lun_changed(lun(&s), SCSI_UA_CAPACITY);
    CHECK_EQ(s.host->reason, 0x092a);
    CHECK_EQ(MOVED(&s, "\x03\0\0\0\x12\0", 0, 18), 18);
    CHECK_EQ(s.in[12], 0x2a);
    CHECK_EQ(RUN(&s, "\0\0\0\0\0\0", 0, 0), 0);
    close_disk(&s);
}

TEST(stop_and_protect)
{
    static struct sc s;

    open_disk(&s);
    CHECK_EQ(RUN(&s, "\x1b\0\0\0\0\0", 0, 0), 0);
    CHECK_EQ(RUN(&s, "\0\0\0\0\0\0", 0, 0), 0x020402);
    CHECK_EQ(RUN(&s, "\x28\0\0\0\0\0\0\0\x01\0", 0, 512), 0x020402);
    CHECK_EQ(RUN(&s, "\x1b\0\0\0\x01\0", 0, 0), 0);
    CHECK_EQ(RUN(&s, "\0\0\0\0\0\0", 0, 0), 0);
    CHECK_EQ(RUN(&s, "\x1b\0\0\0\x02\0", 0, 0), 0x052400); /* there is nothing to eject */
    close_disk(&s);
    open_props(&s, "", 0);
    atomic_store(&lun(&s)->attention, 0);
    CHECK_EQ(RUN(&s, "\x2a\0\0\0\0\0\0\0\x01\0", 512, 0), 0x072700);
    CHECK_EQ(MOVED(&s, "\x1a\x08\x08\0\xff\0", 0, 255), 24);
    CHECK_EQ(s.in[2], 0x80);
    close_disk(&s);
}

static void tmf_done(struct scsi_tmf *t)
{
    t->done = NULL;
}

TEST(task_management)
{
    static struct sc s;
    struct tracked t[3];

    open_disk(&s);
    memset(s.out, 1, 1024);
    for (unsigned i = 0; i < 3; i++) {
        submit(&s, &t[i], "\x2a\0\0\0\0\0\0\0\x01\0", 10, 512, 0);
        t[i].q.tag = i;
    }
    struct scsi_tmf q = { .kind = SCSI_QUERY_TASK, .tag = 1, .done = tmf_done };
    scsi_manage(&s.host->bus, &q);
    CHECK(q.found && !q.done);
    q = (struct scsi_tmf){ .kind = SCSI_ABORT_TASK, .tag = 1, .done = tmf_done };
    scsi_manage(&s.host->bus, &q);
    CHECK(q.done != NULL); /* the task is not back yet */
    struct scsi_tmf none = { .kind = SCSI_ABORT_TASK, .id = 9, .done = tmf_done };
    scsi_manage(&s.host->bus, &none);
    CHECK(none.no_target);
    none = (struct scsi_tmf){ .kind = SCSI_LUN_RESET, .lun = 5, .done = tmf_done };
    scsi_manage(&s.host->bus, &none);
    CHECK(none.no_lun && !none.done);
    wait_done(&s, 3);
    CHECK(q.done == NULL);
    CHECK_EQ(t[0].q.outcome, SCSI_DONE);
    CHECK_EQ(t[1].q.outcome, SCSI_ABORTED);
    q = (struct scsi_tmf){ .kind = SCSI_LUN_RESET, .done = tmf_done };
    scsi_manage(&s.host->bus, &q);
    CHECK(q.done == NULL);
    CHECK_EQ(RUN(&s, "\0\0\0\0\0\0", 0, 0), 0x062900);
    /* a reset of the adapter waits for all */
    s.done = 0;
    submit(&s, &t[0], "\x2a\0\0\0\0\0\0\0\x01\0", 10, 512, 0);
    submit(&s, &t[1], "\x28\0\0\0\0\0\0\0\x80\0", 10, 0, 65536);
    scsi_bus_stop(&s.host->bus);
    CHECK_EQ(s.done, 2);
    CHECK_EQ(t[0].q.outcome, SCSI_RESET);
    close_disk(&s);
}

static void check_plug(struct sc *s, const char *props, const char *want)
{
    struct error err = { 0 };
    struct optlist opts = { 0 };
    struct device *d = device_new(&scsi_hd_type, "d1", &s->ctx);
    char got[40];

    CHECK(optlist_parse(&opts, props, NULL, &err));
    for (size_t i = 0; i < opts.count; i++)
        CHECK(device_set(d, opts.items[i].key, opts.items[i].value, &err));
    optlist_finish(&opts);
    bool ok = bus_plug(&s->host->bus.bus, d, &err);
    struct scsi_lun *u = container_of(d, struct scsi_lun, dev);
    snprintf(got, sizeof got, "%u:%u:%u", u->channel, u->id, u->lun);
    if (!strstr(ok ? got : err.msg, want))
        TEST_FAIL("%s: '%s', not '%s'", props, ok ? got : err.msg, want);
    device_free(d);
}

TEST(places)
{
    static struct sc s;

    open_disk(&s); /* 0:0:0 */
    check_plug(&s, "serial=x", "0:1:0");
    check_plug(&s, "scsi-id=0", "0:0:1");
    check_plug(&s, "lun=3", "0:0:3");
    check_plug(&s, "scsi-id=0,lun=0", "is taken");
    check_plug(&s, "scsi-id=255,lun=16383", "0:255:16383");
    check_plug(&s, "scsi-id=256", "targets 0 to 255");
    check_plug(&s, "lun=16384", "units 0 to 16383");
    check_plug(&s, "channel=1", "channels 0 to 0");
    close_disk(&s);
}

/* Any command block with any room is answered, and harms nothing. */
TEST(random_commands)
{
    static struct sc s;
    unsigned seed = 4711;

    open_disk(&s);
    for (unsigned i = 0; i < 3000; i++) {
        struct tracked t;
        char cdb[16];

        for (unsigned j = 0; j < sizeof cdb; j++)
            cdb[j] = rand_r(&seed) & 3 ? 0 : (char)rand_r(&seed);
        if (i & 1)
            cdb[0] = "\x12\x15\x1a\x25\x28\x2a\x2f\x41\x42\x4d\x55\x5a\x88\x89\x93\xa3"[i / 2 % 16];
        else
            cdb[0] = (char)(i / 2);
        for (unsigned j = 0; j < 64; j++)
            s.out[j] = rand_r(&seed) & 1 ? 0 : (uint8_t)rand_r(&seed);
        s.done = 0;
        submit(&s, &t, cdb, sizeof cdb, rand_r(&seed) % 3 * 700, rand_r(&seed) % 3 * 700);
        wait_done(&s, 1);
        CHECK(t.q.moved <= 4096);
    }
    close_disk(&s);
}
