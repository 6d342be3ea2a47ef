/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ISA bus: devices at I/O ports and interrupts that they choose themselves by properties
 * (iobase, irq). The board makes one and gives its port space and its 16 wired-OR lines. A device's
 * init maps its windows and connects its lines; without a bus these do nothing. Machine lock held.
 */
#ifndef DEV_ISA_ISA_H
#define DEV_ISA_ISA_H

#include "dev/bus.h"

enum { ISA_IRQS = 16, ISA_FIRST_INPUT = 8 };

struct isa_bus {
    struct device_bus bus;
    struct mem *ports, *mem;
    struct irq_or *lines;     /* ISA_IRQS; inputs from ISA_FIRST_INPUT are for devices on the bus */
    uint8_t inputs[ISA_IRQS]; /* that are used */
    uint8_t serials;          /* bit n: COM(n+1) is taken */
    int priority;             /* of windows among the chipset's */
};

extern const struct bus_type isa_bus_type;

/* name as in bus=: "isa.0". */
void isa_bus_init(struct isa_bus *isa, struct device *owner, const char *name, struct mem *mem,
                  struct mem *ports, struct irq_or *lines);

/* The bus that dev is plugged into, or NULL. */
struct isa_bus *isa_bus_of(const struct device *dev);

/* From init: window n of dev at this port; fails when it is out of range. */
bool isa_map(struct device *dev, unsigned n, uint64_t port, struct error *err) MUST_CHECK;
/* From init: output out of dev is ISA interrupt irq. */
bool isa_connect(struct device *dev, unsigned out, unsigned irq, struct error *err) MUST_CHECK;

#endif
