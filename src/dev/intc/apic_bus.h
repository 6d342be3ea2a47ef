/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What connects local APICs, I/O APICs and message-signalled interrupts: messages go to the local
 * APICs that their destination names, EOIs of level interrupts go back to the I/O APICs.
 * The board owns one and gives it to each of them. Machine lock held for all functions.
 */
#ifndef DEV_INTC_APIC_BUS_H
#define DEV_INTC_APIC_BUS_H

#include <stdbool.h>
#include <stdint.h>

#define APIC_BUS_MAX_LOCAL 255
#define APIC_BUS_MAX_IO    8

struct device;

/* Delivery modes, in the encoding of RTE, ICR, LVT and MSI data (SDM 3A, 11.5.1, 11.6.1). */
enum apic_delivery {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_SIPI = 6,
    APIC_EXTINT = 7,
};

struct apic_msg {
    uint32_t dest; /* APIC ID or logical destination; xAPIC broadcast is 0xff */
    bool logical;
    bool x2apic_dest; /* dest is a 32-bit x2APIC destination: broadcast is 0xffffffff */
    uint8_t mode;     /* enum apic_delivery */
    uint8_t vector;
    bool level;   /* level triggered */
    bool assert_; /* for INIT: false is the de-assert message */
};

struct apic_bus {
    struct device *local[APIC_BUS_MAX_LOCAL];
    unsigned local_count;
    struct device *io[APIC_BUS_MAX_IO];
    unsigned io_count;
    unsigned lowest_next; /* round robin of lowest-priority delivery */
    /* Local APICs that are not ours (an accelerator's): messages go to send; routed hears what a
     * pin of an I/O APIC sends from now on (masked: nothing). Both NULL: those in local[]. */
    void (*send)(void *opaque, uint64_t addr, uint32_t data);
    void (*routed)(void *opaque, unsigned pin, bool masked, uint64_t addr, uint32_t data);
    void *opaque;
};

/* The message as the write that a PCI device would do (SDM 3A 11.11). */
uint64_t apic_msg_address(const struct apic_msg *msg);
uint32_t apic_msg_data(const struct apic_msg *msg);

void apic_bus_deliver(struct apic_bus *bus, const struct apic_msg *msg);

/* A local APIC ended a level-triggered interrupt. */
void apic_bus_eoi(struct apic_bus *bus, uint8_t vector);

/* A device's message-signalled interrupt: a write of data to addr in 0xfee00000..0xfeefffff. */
void apic_bus_msi(struct apic_bus *bus, uint64_t addr, uint32_t data);

#endif
