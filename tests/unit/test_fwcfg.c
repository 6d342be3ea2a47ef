/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fw_cfg: keys, directory, DMA, and requests that must not be believed. */
#include "tests/unit/test.h"

#include "base/endian.h"
#include "dev/device.h"
#include "dev/firmware/fwcfg.h"

struct rig {
    struct loop *loop;
    struct mem *mem, *io;
    struct device *dev;
    struct mem_region ram;
};

static void rig_init(struct rig *r)
{
    struct error err;
    gra_t gra;
    memset(r, 0, sizeof *r);
    r->loop = loop_new(&err);
    loop_lock(r->loop);
    r->mem = mem_new(r->loop, "memory", 0, 0x10000, &err);
    r->io = mem_new(r->loop, "io", 0x10000, 0, &err);
    CHECK(mem_ram_alloc(r->mem, 0x10000, &gra, &err));
    mem_region_init_ram(&r->ram, "ram", gra, 0x10000);
    mem_map(r->mem, 0, &r->ram, 0);
    r->dev = device_create(&fwcfg_type, "fw", &(struct device_ctx){ r->loop, r->mem }, &err);
    CHECK(r->dev != NULL);
    mem_map(r->io, 0x510, device_window(r->dev, "ports"), 0);
    mem_map(r->io, 0x514, device_window(r->dev, "dma"), 0);
}

static void rig_finish(struct rig *r)
{
    device_free(r->dev);
    mem_free(r->io);
    mem_free(r->mem);
    loop_unlock(r->loop);
    loop_free(r->loop);
}

static uint64_t in(struct rig *r, uint16_t port, unsigned size)
{
    return mem_io_read(r->io, mem_find(r->io, port), port, size);
}

static void out(struct rig *r, uint16_t port, uint64_t v, unsigned size)
{
    mem_io_write(r->io, mem_find(r->io, port), port, v, size);
}

static uint32_t dma(struct rig *r, uint32_t control, uint32_t len, uint64_t addr)
{
    uint8_t d[16];
    st_be32(d, control);
    st_be32(d + 4, len);
    st_be64(d + 8, addr);
    CHECK_EQ(dma_write(r->mem, 0x100, d, sizeof d), 0);
    out(r, 0x514, 0, 4);
    out(r, 0x518, __builtin_bswap32(0x100), 4);
    CHECK_EQ(dma_read(r->mem, 0x100, d, 4), 0);
    return ld_be32(d);
}

TEST(signature_and_id)
{
    struct rig r;
    rig_init(&r);
    out(&r, 0x510, FWCFG_SIGNATURE, 2);
    char s[5] = { 0 };
    for (unsigned i = 0; i < 4; i++)
        s[i] = in(&r, 0x511, 1);
    CHECK_STR(s, "QEMU");
    CHECK_EQ(in(&r, 0x511, 1), 0);
    out(&r, 0x510, FWCFG_ID, 2);
    CHECK_EQ(in(&r, 0x511, 1), 3);
    CHECK_EQ(in(&r, 0x514, 4), 0x554d4551); /* "QEMU CFG", big-endian */
    CHECK_EQ(in(&r, 0x518, 4), 0x47464320);
    rig_finish(&r);
}

TEST(files_by_directory)
{
    struct rig r;
    struct error err;
    uint8_t buf[256];
    rig_init(&r);
    CHECK(fwcfg_add_file(r.dev, "etc/a", "alpha", 5, &err));
    CHECK(fwcfg_add_file(r.dev, "etc/b", "bb", 2, &err));
    CHECK(fwcfg_add_file(r.dev, "etc/a", "again!", 6, &err));
    CHECK_EQ(dma(&r, FWCFG_FILE_DIR << 16 | 8 | 2, 4 + 128, 0x1000), 0);
    CHECK_EQ(dma_read(r.mem, 0x1000, buf, 132), 0);
    CHECK_EQ(ld_be32(buf), 2);
    CHECK_EQ(ld_be32(buf + 4), 6);
    CHECK_STR((const char *)buf + 12, "etc/a");
    CHECK_STR((const char *)buf + 76, "etc/b");
    CHECK_EQ(dma(&r, (uint32_t)ld_be16(buf + 8) << 16 | 8 | 2, 6, 0x2000), 0);
    CHECK_EQ(dma_read(r.mem, 0x2000, buf, 6), 0);
    CHECK_MEM(buf, "again!", 6);
    rig_finish(&r);
}

TEST(skip_and_read_beyond)
{
    struct rig r;
    uint8_t buf[8];
    rig_init(&r);
    fwcfg_add(r.dev, FWCFG_UUID, "0123456789", 10);
    CHECK_EQ(dma(&r, FWCFG_UUID << 16 | 8 | 4, 6, 0), 0);
    CHECK_EQ(dma(&r, 2, 8, 0x1000), 0);
    CHECK_EQ(dma_read(r.mem, 0x1000, buf, 8), 0);
    CHECK_MEM(buf, "6789\0\0\0\0", 8);
    rig_finish(&r);
}

TEST(refused)
{
    struct rig r;
    rig_init(&r);
    CHECK_EQ(dma(&r, 0x10, 4, 0x1000), 1);   /* write */
    CHECK_EQ(dma(&r, 2, 4, 0xfffffff0), 1);  /* no RAM */
    CHECK_EQ(dma(&r, 2, 0x2000, 0xf000), 1); /* runs out of RAM */
    CHECK_EQ(dma(&r, 2, 0xffffffff, 0), 1);  /* too long */
    CHECK_EQ(dma(&r, 4, 16, 0), 0);
    CHECK_EQ(dma(&r, 0xffffu << 16 | 8 | 2, 4, 0x1000), 0); /* unknown key: zeroes */
    out(&r, 0x514, 0xffffffff, 4);
    out(&r, 0x518, 0xffffffff, 4); /* descriptor where nothing is */
    out(&r, 0x510, 0xffff, 2);
    CHECK_EQ(in(&r, 0x511, 1), 0);
    rig_finish(&r);
}

TEST(too_many_files)
{
    struct rig r;
    struct error err;
    char name[80];
    bool ok = true;
    unsigned n = 0;
    rig_init(&r);
    for (; ok && n < 1000; n++) {
        snprintf(name, sizeof name, "f%u", n);
        ok = fwcfg_add_file(r.dev, name, "x", 1, &err);
    }
    CHECK_EQ(n, FWCFG_FILE_SLOTS + 1);
    memset(name, 'n', 60);
    name[60] = 0;
    CHECK(!fwcfg_add_file(r.dev, name, "x", 1, &err));
    rig_finish(&r);
}
