/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fw_cfg as a hostile guest drives it: port writes and DMA descriptors from the input. */
#include "base/reader.h"
#include "dev/device.h"
#include "dev/firmware/fwcfg.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM = 0x10000, STEPS_MAX = 200 };

static struct loop *loop;
static struct mem *mem, *io;
static struct device *dev;
static struct mem_region ram;

static void make(void)
{
    struct error err;
    gra_t gra;
    loop = loop_new(&err);
    loop_lock(loop);
    mem = mem_new(loop, "memory", 0, RAM, &err);
    io = mem_new(loop, "io", 0x10000, 0, &err);
    bool ok = mem_ram_alloc(mem, RAM, &gra, &err);
    assert(ok);
    mem_region_init_ram(&ram, "ram", gra, RAM);
    mem_map(mem, 0, &ram, 0);
    dev = device_create(&fwcfg_type, "fw", &(struct device_ctx){ loop, mem }, &err);
    mem_map(io, 0x510, device_window(dev, "ports"), 0);
    mem_map(io, 0x514, device_window(dev, "dma"), 0);
    ok = fwcfg_add_file(dev, "etc/file", "some bytes of it", 16, &err);
    assert(ok);
}

/* A descriptor in RAM and the two writes that start it. */
static void dma(struct reader *r)
{
    uint8_t d[16];
    uint16_t at = rd_le16(r);
    rd_bytes(r, d, sizeof d);
    if (d[4] || d[5] > 1) /* lengths that only take time */
        d[4] = d[5] = 0;
    (void)!dma_write(mem, at, d, sizeof d);
    mem_io_write(io, mem_find(io, 0x514), 0x514, 0, 4);
    mem_io_write(io, mem_find(io, 0x518), 0x518, __builtin_bswap32(at), 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader(data, size);
    if (!dev)
        make();
    device_reset(dev);
    for (unsigned i = 0; i < STEPS_MAX && rd_left(&r); i++) {
        uint8_t op = rd_u8(&r);
        uint16_t port = 0x510 + (op >> 4) % 12;
        unsigned width = 1u << (op >> 2 & 3);
        switch (op & 3) {
        case 0: dma(&r); break;
        case 1: (void)mem_io_read(io, mem_find(io, port), port, width); break;
        case 2: mem_io_write(io, mem_find(io, port), port, rd_le64(&r), width); break;
        default: mem_io_write(io, mem_find(io, 0x510), 0x510, rd_le16(&r), 2); break;
        }
    }
    return 0;
}
