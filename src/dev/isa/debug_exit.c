/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isa-debug-exit: a write of v ends the emulator with exit status v << 1 | 1. For test kernels. */
#include "base/bits.h"
#include "dev/isa/isa.h"

struct debug_exit {
    struct device dev;
    uint32_t iobase, iosize;
};

static uint64_t exit_read(struct device *dev, uint64_t off, unsigned size)
{
    return 0;
}

static void exit_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    const struct device_links *l = dev->ctx.links;
    if (l && l->quit)
        l->quit(l->opaque, (int)(val << 1 | 1) & 0xff);
}

static void exit_defaults(struct device *dev)
{
    struct debug_exit *d = (struct debug_exit *)dev;
    d->iobase = 0x501;
    d->iosize = 2;
}

static bool exit_init(struct device *dev, struct error *err)
{
    struct debug_exit *d = (struct debug_exit *)dev;
    dev->windows[0].size = d->iosize;
    return isa_map(dev, 0, d->iobase, err);
}

static const struct device_window windows[] = {
    { "port", WINDOW_PIO, 4, exit_read, exit_write, 1, 4 },
};

const struct device_type isa_debug_exit_type = {
    .name = "isa-debug-exit",
    .doc = "A write ends the emulator with a status",
    .size = sizeof(struct debug_exit),
    .bus = "ISA",
    .category = DEVICE_MISC,
    .props = FIELDS(FIELD(struct debug_exit, iobase, .max = 0xffff, .doc = "port"),
                    FIELD(struct debug_exit, iosize, .min = 1, .max = 4, .doc = "ports, 1 to 4")),
    .defaults = exit_defaults,
    .init = exit_init,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
};
