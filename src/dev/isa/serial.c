/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isa-serial: a 16550A on the ISA bus, COM1 to COM4 or wherever it is told. */
#include <errno.h>

#include "base/bits.h"
#include "dev/char/uart.h"
#include "dev/isa/isa.h"

enum { PORTS = 4, UNSET = UINT32_MAX };

struct isa_serial {
    struct device dev;
    struct device *uart;
    struct chardev *chr;
    uint32_t index, iobase, irq;
};

static struct isa_serial *serial_of(struct device *dev)
{
    return (struct isa_serial *)dev;
}

static void serial_defaults(struct device *dev)
{
    struct isa_serial *s = serial_of(dev);
    s->index = s->iobase = s->irq = UNSET;
    s->uart = device_new(&uart16550_type, dev->id, &dev->ctx);
}

static uint64_t port_read(struct device *dev, uint64_t off, unsigned size)
{
    const struct device *u = serial_of(dev)->uart;
    return u->type->windows[0].read(serial_of(dev)->uart, off, size);
}

static void port_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct device *u = serial_of(dev)->uart;
    u->type->windows[0].write(u, off, val, size);
}

static void take_index(struct isa_serial *s)
{
    struct isa_bus *isa = isa_bus_of(&s->dev);
    if (s->index == UNSET) {
        for (s->index = 0; isa && s->index < PORTS && isa->serials >> s->index & 1;)
            s->index++;
    }
    if (isa && s->index < PORTS)
        isa->serials |= BIT(s->index);
}

static bool serial_init(struct device *dev, struct error *err)
{
    static const uint16_t bases[PORTS] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
    static const uint8_t irqs[PORTS] = { 4, 3, 4, 3 };
    struct isa_serial *s = serial_of(dev);
    take_index(s);
    if (s->index >= PORTS && (s->iobase == UNSET || s->irq == UNSET)) {
        (void)fail(err, ERANGE, "index %u: there are %d serial ports, 0 to %d", s->index, PORTS,
                   PORTS - 1);
        return fail_hint(err, "give iobase= and irq= for more");
    }
    if (s->iobase == UNSET)
        s->iobase = bases[s->index];
    if (s->irq == UNSET)
        s->irq = irqs[s->index];
    if (!s->chr) {
        (void)fail(err, EINVAL, "it leads nowhere");
        return fail_hint(err, "give chardev=ID of a -chardev");
    }
    uart_set_chardev(s->uart, s->chr);
    if (!device_init(s->uart, err) || !isa_map(dev, 0, s->iobase, err) ||
        !isa_connect(dev, 0, s->irq, err))
        return false;
    irq_connect(&s->uart->irqs[0], irq_forward, &dev->irqs[0], 0);
    return true;
}

static void serial_finish(struct device *dev)
{
    struct isa_serial *s = serial_of(dev);
    struct isa_bus *isa = isa_bus_of(dev);
    if (isa && s->index < PORTS)
        isa->serials &= ~BIT(s->index);
    device_free(s->uart);
}

static void serial_reset(struct device *dev)
{
    if (serial_of(dev)->uart->ready)
        device_reset(serial_of(dev)->uart);
}

static struct device *inner(struct device *dev)
{
    return serial_of(dev)->uart;
}

static const struct device_window windows[] = {
    { "regs", WINDOW_PIO, 8, port_read, port_write, 1, 1 },
};

const struct device_type isa_serial_type = {
    .name = "isa-serial",
    .doc = "16550A serial port",
    .size = sizeof(struct isa_serial),
    .bus = "ISA",
    .category = DEVICE_INPUT,
    .props = FIELDS(FIELD(struct isa_serial, index, .doc = "COM port from 0; none: the first free"),
                    FIELD(struct isa_serial, iobase, .doc = "port; none: that of index"),
                    FIELD(struct isa_serial, irq, .doc = "interrupt; none: that of index"),
                    FIELD_LINK(struct isa_serial, chr, "chardev", .wire = "chardev",
                               .doc = "id of a -chardev")),
    .defaults = serial_defaults,
    .init = serial_init,
    .finish = serial_finish,
    .reset = serial_reset,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = 1,
    .inner = &uart16550_type,
    .inner_of = inner,
};
