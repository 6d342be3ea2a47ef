/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What device tests start from: a loop with manual virtual time, its lock held, and an event log.
 */
#ifndef TESTS_UNIT_DEV_FIXTURE_H
#define TESTS_UNIT_DEV_FIXTURE_H

#include <stdlib.h>

#include "dev/device.h"
#include "test.h"

struct rig {
    struct loop *loop;
    struct mem *mem, *ports;
    struct device_ctx ctx;
    struct device *dev;
    unsigned rises[64]; /* rising edges per line made with rig_watch() */
    bool level[64];
};

static inline void rig_line(void *opaque, unsigned n, bool level)
{
    struct rig *r = opaque;

    r->level[n] = level;
    r->rises[n] += level;
}

static inline void rig_open(struct rig *r)
{
    struct error err;

    memset(r, 0, sizeof *r);
    r->loop = loop_new(&err);
    loop_lock(r->loop);
    clock_set_manual(loop_clock(r->loop, CLOCK_VIRTUAL), 0);
    r->mem = mem_new(r->loop, "memory", 0, 1 << 20, &err);
    r->ports = mem_new(r->loop, "ports", 0x10000, 0, &err);
    r->ctx = (struct device_ctx){ r->loop, r->mem };
}

/* Init a device made with device_new() and map its windows: window i at (i + 1) * 0x1000. */
static inline void rig_start(struct rig *r, struct device *dev)
{
    struct error err;

    r->dev = dev;
    if (!device_init(dev, &err)) {
        printf("device_init: %s\n", err.msg);
        exit(1);
    }
    for (unsigned i = 0; i < dev->type->window_count; i++)
        mem_map(r->ports, (i + 1) * 0x1000, &dev->windows[i], 0);
    for (unsigned i = 0; i < dev->type->irqs && i < 64; i++)
        irq_connect(&dev->irqs[i], rig_line, r, i);
}

static inline void rig_close(struct rig *r)
{
    device_free(r->dev);
    mem_free(r->mem);
    mem_free(r->ports);
    loop_unlock(r->loop);
    loop_free(r->loop);
}

static inline uint64_t rd(struct rig *r, unsigned window, unsigned off, unsigned size)
{
    gpa_t a = (window + 1) * 0x1000 + off;

    return mem_io_read(r->ports, mem_find(r->ports, a), a, size);
}

static inline void wr(struct rig *r, unsigned window, unsigned off, uint64_t val, unsigned size)
{
    gpa_t a = (window + 1) * 0x1000 + off;

    mem_io_write(r->ports, mem_find(r->ports, a), a, val, size);
}

static inline uint8_t in8(struct rig *r, unsigned window, unsigned off)
{
    return (uint8_t)rd(r, window, off, 1);
}

static inline void out8(struct rig *r, unsigned window, unsigned off, uint8_t val)
{
    wr(r, window, off, val, 1);
}

static inline void step_ns(struct rig *r, int64_t ns)
{
    loop_step_virtual_ns(r->loop, ns);
}

#define MS INT64_C(1000000)

#endif
