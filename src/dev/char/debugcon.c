/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/char/debugcon.h"

#include "base/bits.h"
#include "chardev/chardev.h"
#include "dev/device.h"

struct debugcon {
    struct device dev;
    struct chardev *chr;
    uint8_t readback;
};

void debugcon_set_chardev(struct device *dev, struct chardev *chr)
{
    ((struct debugcon *)dev)->chr = chr;
}

static uint64_t debugcon_read(struct device *dev, uint64_t off, unsigned size)
{
    return ((struct debugcon *)dev)->readback;
}

static void debugcon_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct debugcon *d = (struct debugcon *)dev;
    uint8_t byte = (uint8_t)val;

    /* no flow control on this port: what a stuck backend cannot take is lost */
    if (d->chr)
        (void)chardev_write(d->chr, &byte, 1);
}

static void debugcon_defaults(struct device *dev)
{
    ((struct debugcon *)dev)->readback = 0xe9;
}

static const struct device_window windows[] = {
    { "port", WINDOW_PIO, 1, debugcon_read, debugcon_write, 1, 1 },
};

const struct device_type debugcon_type = {
    .name = "debugcon",
    .doc = "Firmware debug port",
    .size = sizeof(struct debugcon),
    .props = FIELDS(FIELD(struct debugcon, readback, .doc = "value that reads give")),
    .defaults = debugcon_defaults,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
};
