/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * I/O APIC: Intel 82093AA data sheet (290566), with the EOI register of later ones (ICH9
 * data sheet 13.5.5), hence version 20h. Pin polarity is the board's business: an input is high
 * when its source is active.
 */
#include "dev/intc/ioapic.h"

#include <errno.h>

#include "base/bits.h"
#include "dev/device.h"
#include "dev/intc/apic_bus.h"

enum { REGSEL = 0x00, WIN = 0x10, EOI = 0x40 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARB = 2, REG_TABLE = 0x10 };

#define VERSION 0x20

#define RTE_STATUS     BIT(12)
#define RTE_REMOTE_IRR BIT(14)
#define RTE_LEVEL      BIT(15)
#define RTE_MASKED     BIT(16)
#define RTE_WRITABLE   (BITS(63, 56) | BITS(16, 15) | BIT(13) | BITS(11, 0))

struct ioapic {
    struct device dev;
    struct apic_bus *bus;
    /* state */
    uint8_t id, select;
    uint32_t lines; /* levels of the pins */
    uint64_t rte[IOAPIC_PINS];
};

void ioapic_attach(struct device *dev, struct apic_bus *bus)
{
    ((struct ioapic *)dev)->bus = bus;
    assert(bus->io_count < APIC_BUS_MAX_IO);
    bus->io[bus->io_count++] = dev;
}

static struct apic_msg message(uint64_t rte)
{
    return (struct apic_msg){
        .dest = (uint32_t)bits(rte, 56, 8),
        .logical = bits(rte, 11, 1),
        .mode = bits(rte, 8, 3),
        .vector = bits(rte, 0, 8),
        .level = rte & RTE_LEVEL,
        .assert_ = true,
    };
}

static void send(struct ioapic *io, uint64_t rte)
{
    struct apic_msg msg = message(rte);

    apic_bus_deliver(io->bus, &msg);
}

static void tell_route(struct ioapic *io, unsigned pin)
{
    struct apic_msg msg = message(io->rte[pin]);

    if (io->bus->routed)
        io->bus->routed(io->bus->opaque, pin, io->rte[pin] & RTE_MASKED, apic_msg_address(&msg),
                        apic_msg_data(&msg));
}

/* Send what a level-triggered pin asks for, once until its EOI. */
static void service_level(struct ioapic *io, unsigned pin)
{
    uint64_t *rte = &io->rte[pin];

    if (!(io->lines & BIT(pin)) || !(*rte & RTE_LEVEL) || (*rte & (RTE_MASKED | RTE_REMOTE_IRR)))
        return;
    /* Remote IRR is kept for fixed and lowest priority only: the others have no EOI. */
    if (bits(*rte, 8, 3) <= APIC_LOWEST)
        *rte |= RTE_REMOTE_IRR;
    send(io, *rte);
}

static void ioapic_input(struct device *dev, unsigned pin, bool level)
{
    struct ioapic *io = (struct ioapic *)dev;
    bool was = io->lines & BIT(pin);

    if (level)
        io->lines |= BIT(pin);
    else
        io->lines &= ~BIT(pin);
    if (io->rte[pin] & RTE_LEVEL)
        service_level(io, pin);
    else if (level && !was && !(io->rte[pin] & RTE_MASKED))
        send(io, io->rte[pin]); /* an edge on a masked pin is lost */
}

void ioapic_eoi(struct device *dev, uint8_t vector)
{
    struct ioapic *io = (struct ioapic *)dev;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *rte = &io->rte[pin];

        if (bits(*rte, 0, 8) != vector || !(*rte & RTE_REMOTE_IRR))
            continue;
        *rte &= ~RTE_REMOTE_IRR;
        service_level(io, pin);
    }
}

static uint32_t read_register(struct ioapic *io)
{
    unsigned reg = io->select;

    if (reg >= REG_TABLE && reg < REG_TABLE + 2 * IOAPIC_PINS)
        return io->rte[(reg - REG_TABLE) / 2] >> (reg & 1 ? 32 : 0);
    switch (reg) {
    case REG_ID:
    case REG_ARB: return (uint32_t)io->id << 24;
    case REG_VERSION: return (IOAPIC_PINS - 1) << 16 | VERSION;
    default: guest_error(&io->dev, "read of unknown register %#x", reg); return 0;
    }
}

static void write_register(struct ioapic *io, uint32_t val)
{
    unsigned reg = io->select;

    if (reg >= REG_TABLE && reg < REG_TABLE + 2 * IOAPIC_PINS) {
        unsigned pin = (reg - REG_TABLE) / 2;
        uint64_t rte = bits_set(io->rte[pin], reg & 1 ? 32 : 0, 32, val);

        io->rte[pin] = (io->rte[pin] & RTE_REMOTE_IRR) | (rte & RTE_WRITABLE);
        if (!(io->rte[pin] & RTE_LEVEL))
            io->rte[pin] &= ~RTE_REMOTE_IRR; /* how software without the EOI register drops it */
        tell_route(io, pin);
        service_level(io, pin);
        return;
    }
    switch (reg) {
    case REG_ID: io->id = bits(val, 24, 4); return;
    default: guest_error(&io->dev, "write of %#x to read-only register %#x", val, reg); return;
    }
}

static uint64_t ioapic_read(struct device *dev, uint64_t off, unsigned size)
{
    struct ioapic *io = (struct ioapic *)dev;

    switch (off) {
    case REGSEL: return io->select;
    case WIN: return read_register(io);
    default: guest_error(dev, "read at unknown offset %#x", (unsigned)off); return 0;
    }
}

static void ioapic_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ioapic *io = (struct ioapic *)dev;

    switch (off) {
    case REGSEL: io->select = val & 0xff; return;
    case WIN: write_register(io, (uint32_t)val); return;
    case EOI: ioapic_eoi(dev, val & 0xff); return;
    default: guest_error(dev, "write at unknown offset %#x", (unsigned)off); return;
    }
}

static bool ioapic_init(struct device *dev, struct error *err)
{
    struct ioapic *io = (struct ioapic *)dev;

    return io->bus || fail(err, EINVAL, "not attached to an APIC bus");
}

static void ioapic_reset(struct device *dev)
{
    struct ioapic *io = (struct ioapic *)dev;

    io->id = 0;
    io->select = 0;
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        io->rte[i] = RTE_MASKED;
        tell_route(io, i);
    }
}

static const struct device_window windows[] = {
    { "regs", WINDOW_MMIO, 0x1000, ioapic_read, ioapic_write, 4, 4 },
};

const struct device_type ioapic_type = {
    .name = "ioapic",
    .doc = "82093AA I/O APIC with 24 pins",
    .size = sizeof(struct ioapic),
    .state = FIELDS(FIELD(struct ioapic, id, .max = 15), FIELD(struct ioapic, select),
                    FIELD(struct ioapic, lines), FIELD_ARRAY(struct ioapic, rte)),
    .init = ioapic_init,
    .reset = ioapic_reset,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .inputs = IOAPIC_PINS,
    .input = ioapic_input,
};
