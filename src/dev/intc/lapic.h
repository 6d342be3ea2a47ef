/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC of one vCPU, xAPIC and x2APIC (SDM volume 3A, chapter 11). Window "regs" (4 KiB,
 * at 0xfee00000 until the guest moves it); inputs LAPIC_IN_LINT0/1; the CPU reaches it through
 * lapic_intc_ops with the device as ctrl. Properties: apic_id, bsp, timer_hz.
 */
#ifndef DEV_INTC_LAPIC_H
#define DEV_INTC_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/intc.h"

enum { LAPIC_IN_LINT0 = 0, LAPIC_IN_LINT1 = 1 };

#define LAPIC_DEFAULT_BASE UINT64_C(0xfee00000)

struct apic_bus;
struct apic_msg;
struct device;
struct device_type;

extern const struct device_type lapic_type;
extern const struct cpu_intc_ops lapic_intc_ops; /* ctrl is the struct device */

/* What the board wires before device_init(). Slots may be NULL unless noted. */
struct lapic_wiring {
    struct apic_bus *bus;        /* required */
    const struct cpu_port *port; /* required before the first interrupt; borrowed */
    /* INTA cycles to the 8259 (pic_acknowledge), for ExtINT on LINT0 */
    int (*extint)(void *opaque);
    void *extint_opaque;
    /* the guest's TSC, for the TSC-deadline timer; NULL: that mode is not offered */
    uint64_t (*tsc_now)(void *opaque);
    uint64_t (*tsc_hz)(void *opaque);
    void *tsc_opaque;
    /* IA32_APIC_BASE changed: map or unmap the window */
    void (*base_changed)(void *opaque, uint64_t base, bool mmio_enabled);
    void *base_opaque;
};
void lapic_wire(struct device *dev, const struct lapic_wiring *w);

/* The port may be given later than the rest (the vCPU is made from the APIC's record). */
void lapic_set_port(struct device *dev, const struct cpu_port *port);

/* The registers of window "regs", for a board that shows them to their own vCPU only: aligned
 * 32-bit accesses. Machine lock held. */
uint64_t lapic_mmio_read(struct device *dev, uint64_t off);
void lapic_mmio_write(struct device *dev, uint64_t off, uint64_t val);

/* For apic_bus: does the message's destination name this APIC; hand it a message. */
bool lapic_matches(struct device *dev, const struct apic_msg *msg);
void lapic_receive(struct device *dev, const struct apic_msg *msg);
/* Arbitration priority for lowest-priority delivery: 0..255, lower wins. */
uint8_t lapic_priority(struct device *dev);
/* The guest's TSC was written: an armed deadline moves. */
void lapic_tsc_changed(struct device *dev);

#endif
