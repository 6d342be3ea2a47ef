/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 82093AA I/O APIC, 24 pins (inputs 0..23), window "regs" (4 KiB, at 0xfec00000 on a PC).
 * Version 0x20, with the EOI register at 0x40.
 */
#ifndef DEV_INTC_IOAPIC_H
#define DEV_INTC_IOAPIC_H

#include <stdint.h>

#define IOAPIC_PINS 24

struct apic_bus;
struct device;
struct device_type;

extern const struct device_type ioapic_type;

/* Before device_init(): where its messages go; it also receives EOIs from there. */
void ioapic_attach(struct device *dev, struct apic_bus *bus);

/* From apic_bus_eoi(). */
void ioapic_eoi(struct device *dev, uint8_t vector);

#endif
