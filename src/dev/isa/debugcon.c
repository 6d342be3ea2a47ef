/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isa-debugcon: a port whose bytes go to a character device. */
#include <errno.h>

#include "base/bits.h"
#include "chardev/chardev.h"
#include "dev/isa/isa.h"

struct isa_debugcon {
    struct device dev;
    struct chardev *chr;
    uint32_t iobase, readback;
};

static uint64_t port_read(struct device *dev, uint64_t off, unsigned size)
{
    return ((struct isa_debugcon *)dev)->readback;
}

/* No flow control on this port: what a stuck backend cannot take is lost. */
static void port_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct isa_debugcon *d = (struct isa_debugcon *)dev;
    uint8_t byte = (uint8_t)val;
    if (d->chr)
        (void)chardev_write(d->chr, &byte, 1);
}

static void debugcon_defaults(struct device *dev)
{
    struct isa_debugcon *d = (struct isa_debugcon *)dev;
    d->iobase = d->readback = 0xe9;
}

static bool debugcon_init(struct device *dev, struct error *err)
{
    struct isa_debugcon *d = (struct isa_debugcon *)dev;
    if (!d->chr) {
        (void)fail(err, EINVAL, "it leads nowhere");
        return fail_hint(err, "give chardev=ID of a -chardev");
    }
    return isa_map(dev, 0, d->iobase, err);
}

static const struct device_window windows[] = {
    { "port", WINDOW_PIO, 1, port_read, port_write, 1, 1 },
};

const struct device_type isa_debugcon_type = {
    .name = "isa-debugcon",
    .doc = "Debug port to a character device",
    .size = sizeof(struct isa_debugcon),
    .bus = "ISA",
    .category = DEVICE_MISC,
    .props = FIELDS(FIELD(struct isa_debugcon, iobase, .doc = "port"),
                    FIELD(struct isa_debugcon, readback, .doc = "value that reads give"),
                    FIELD_LINK(struct isa_debugcon, chr, "chardev", .wire = "chardev",
                               .doc = "id of a -chardev")),
    .defaults = debugcon_defaults,
    .init = debugcon_init,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
};
