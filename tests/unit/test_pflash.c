/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flash memory: the Intel command set, and that what was written is in the image. */
#include "tests/unit/test.h"

#include "dev/storage/drive.h"
#include "dev/storage/pflash.h"

#include <stdlib.h>
#include <unistd.h>

enum { SIZE = 0x8000, BASE = 0x100000, SECTOR = 0x1000 };

struct rig {
    struct loop *loop;
    struct mem *mem;
    struct disk_graph *graph;
    struct drive drive;
    struct device *dev;
    char path[40];
};

static void rig_open(struct rig *r, unsigned flags)
{
    struct error err = { 0 };
    struct optlist opts = { 0 };
    memset(r, 0, sizeof *r);
    strcpy(r->path, "/tmp/rhea-test-flash-XXXXXX");
    int fd = mkstemp(r->path);
    uint8_t byte = 0xff;
    for (unsigned i = 0; i < SIZE; i++)
        CHECK(pwrite(fd, &byte, 1, i) == 1);
    close(fd);
    r->loop = loop_new(&err);
    loop_lock(r->loop);
    r->mem = mem_new(r->loop, "memory", 0, 1 << 20, &err);
    r->graph = disk_graph_new(NULL);
    optlist_add(&opts, "driver", "raw");
    r->drive.disk = disk_open(r->graph, r->path, &opts, flags, &err);
    optlist_finish(&opts);
    CHECK(r->drive.disk != NULL);
    r->drive.id = (char *)"pflash0";
    r->dev = device_new(&cfi_pflash01_type, "flash", &(struct device_ctx){ r->loop, r->mem, NULL });
    const struct field *f = field_find(cfi_pflash01_type.props, "drive");
    *(struct drive **)((char *)r->dev + f->offset) = &r->drive;
    if (!device_init(r->dev, &err))
        TEST_FAIL("%s", err.msg);
    pflash_map(r->dev, BASE, 0);
}

static void rig_close(struct rig *r)
{
    device_free(r->dev);
    disk_unref(r->drive.disk);
    disk_graph_free(r->graph);
    mem_free(r->mem);
    loop_unlock(r->loop);
    loop_free(r->loop);
    unlink(r->path);
}

static void wr(struct rig *r, unsigned off, uint8_t v)
{
    mem_store8(r->mem, BASE + off, v);
}

static uint8_t rd(struct rig *r, unsigned off)
{
    return mem_load8(r->mem, BASE + off);
}

static uint8_t in_image(struct rig *r, unsigned off)
{
    uint8_t v = 0;
    FILE *f = fopen(r->path, "rb");
    CHECK(f && fseek(f, off, SEEK_SET) == 0 && fread(&v, 1, 1, f) == 1);
    if (f)
        fclose(f);
    return v;
}

/* As firmware does it: the answer tells flash from RAM and ROM. */
TEST(detection)
{
    struct rig r;
    rig_open(&r, DISK_RDWR);
    CHECK_EQ(mem_find(r.mem, BASE)->kind, MEM_ROM);
    wr(&r, 0x10, 0x50);
    CHECK_EQ(rd(&r, 0x10), 0xff);
    wr(&r, 0x10, 0x70);
    CHECK_EQ(mem_find(r.mem, BASE)->kind, MEM_IO);
    CHECK_EQ(rd(&r, 0x10), 0x00);
    wr(&r, 0x10, 0xff);
    CHECK_EQ(rd(&r, 0x10), 0xff);
    rig_close(&r);
}

TEST(program_and_erase)
{
    struct rig r;
    rig_open(&r, DISK_RDWR);
    wr(&r, 0x123, 0x40);
    wr(&r, 0x123, 0xa5);
    CHECK_EQ(rd(&r, 0x123), 0x80);
    wr(&r, 0x123, 0x10);
    wr(&r, 0x123, 0x0f); /* bits are only cleared */
    wr(&r, 0, 0xff);
    CHECK_EQ(rd(&r, 0x123), 0x05);
    CHECK_EQ(rd(&r, 0x124), 0xff);
    CHECK_EQ(in_image(&r, 0x123), 0x05);
    wr(&r, 0x100, 0x20);
    wr(&r, 0x100, 0xd0);
    CHECK_EQ(rd(&r, 0x100), 0x80);
    wr(&r, 0, 0xff);
    CHECK_EQ(rd(&r, 0x123), 0xff);
    CHECK_EQ(in_image(&r, 0x123), 0xff);
    wr(&r, 0, 0x20); /* not confirmed */
    wr(&r, 0, 0x11);
    CHECK_EQ(rd(&r, 0), 0xb0);
    rig_close(&r);
}

TEST(buffer)
{
    struct rig r;
    rig_open(&r, DISK_RDWR);
    wr(&r, 0x2000, 0xe8);
    CHECK_EQ(rd(&r, 0x2000), 0x80);
    wr(&r, 0x2000, 3);
    for (unsigned i = 0; i < 4; i++)
        wr(&r, 0x2010 + i, 0x10 + i);
    CHECK_EQ(in_image(&r, 0x2010), 0xff);
    wr(&r, 0x2000, 0xd0);
    CHECK_EQ(in_image(&r, 0x2013), 0x13);
    wr(&r, 0x2000, 0xff);
    CHECK_EQ(rd(&r, 0x2011), 0x11);
    wr(&r, 0x2000, 0xe8); /* over the end of the buffer's place */
    wr(&r, 0x2000, 1);
    wr(&r, 0x27ff, 0);
    wr(&r, 0x2800, 0);
    CHECK_EQ(rd(&r, 0) & 0x30, 0x30);
    wr(&r, 0, 0xff);
    CHECK_EQ(rd(&r, 0x27ff), 0xff);
    rig_close(&r);
}

TEST(query_and_id)
{
    struct rig r;
    rig_open(&r, DISK_RDWR);
    wr(&r, 0x55, 0x98);
    CHECK_EQ(rd(&r, 0x10), 'Q');
    CHECK_EQ(rd(&r, 0x12), 'Y');
    CHECK_EQ(rd(&r, 0x27), 15);
    CHECK_EQ(rd(&r, 0x2d), SIZE / SECTOR - 1);
    CHECK_EQ(rd(&r, 0x2f), SECTOR / 256);
    CHECK_EQ(rd(&r, 0x7fff), 0);
    wr(&r, 0, 0x90);
    CHECK_EQ(rd(&r, 0), 0x89);
    rig_close(&r);
}

TEST(locks)
{
    struct rig r;
    rig_open(&r, DISK_RDWR);
    wr(&r, 0x1000, 0x60);
    wr(&r, 0x1000, 0x01);
    wr(&r, 0x1fff, 0x40);
    wr(&r, 0x1fff, 0);
    CHECK_EQ(rd(&r, 0), 0x92);
    wr(&r, 0, 0x50);
    wr(&r, 0x1000, 0x60);
    wr(&r, 0x1000, 0xd0);
    wr(&r, 0x1fff, 0x40);
    wr(&r, 0x1fff, 0);
    CHECK_EQ(rd(&r, 0), 0x80);
    wr(&r, 0, 0xff);
    CHECK_EQ(rd(&r, 0x1fff), 0);
    rig_close(&r);
}

TEST(read_only_image)
{
    struct rig r;
    rig_open(&r, 0);
    wr(&r, 0, 0x40);
    wr(&r, 0, 0);
    CHECK_EQ(rd(&r, 0), 0x92);
    wr(&r, 0, 0xff);
    CHECK_EQ(rd(&r, 0), 0xff);
    rig_close(&r);
}

TEST(reset_reads_the_array)
{
    struct rig r;
    rig_open(&r, DISK_RDWR);
    wr(&r, 0x40, 0x40);
    wr(&r, 0x40, 0x12);
    device_reset(r.dev);
    CHECK_EQ(rd(&r, 0x40), 0x12);
    CHECK_EQ(in_image(&r, 0x40), 0x12);
    rig_close(&r);
}
