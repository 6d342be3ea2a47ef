/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/isa/isa.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

void isa_bus_init(struct isa_bus *isa, struct device *owner, const char *name, struct mem *mem,
                  struct mem *ports, struct irq_or *lines)
{
    isa->mem = mem;
    isa->ports = ports;
    isa->lines = lines;
    bus_init(&isa->bus, &isa_bus_type, owner, name, isa);
}

struct isa_bus *isa_bus_of(const struct device *dev)
{
    return dev->parent && dev->parent->type == &isa_bus_type ? dev->parent->opaque : NULL;
}

bool isa_map(struct device *dev, unsigned n, uint64_t port, struct error *err)
{
    struct isa_bus *isa = isa_bus_of(dev);
    struct mem_region *r = &dev->windows[n];
    if (port > 0x10000 - r->size)
        return fail(err, ERANGE, "port %#" PRIx64 " is out of range: there are 65536", port);
    if (isa)
        mem_map(isa->ports, port, r, isa->priority);
    return true;
}

bool isa_connect(struct device *dev, unsigned out, unsigned irq, struct error *err)
{
    struct isa_bus *isa = isa_bus_of(dev);
    if (irq >= ISA_IRQS)
        return fail(err, ERANGE, "interrupt %u: the ISA bus has 0 to %d", irq, ISA_IRQS - 1);
    if (!isa || !isa->lines)
        return true;
    if (ISA_FIRST_INPUT + isa->inputs[irq] >= 64)
        return fail(err, EBUSY, "interrupt %u: too many devices share it", irq);
    irq_connect(&dev->irqs[out], irq_or_input, &isa->lines[irq],
                ISA_FIRST_INPUT + isa->inputs[irq]++);
    return true;
}

static void place(const struct device *dev, char *buf, size_t size)
{
    snprintf(buf, size, "%s", dev->id);
}

const struct bus_type isa_bus_type = {
    .name = "ISA",
    .place = place,
};
