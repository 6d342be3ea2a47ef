/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371SB (PIIX3) function 0, PCI to ISA bridge: routes PIRQ A-D (inputs 0..3) to ISA
 * interrupts (outputs 0..15) and owns the reset control register at port 0xcf9 (output
 * PIIX3_OUT_RESET pulses).
 */
#ifndef DEV_PCI_PIIX3_H
#define DEV_PCI_PIIX3_H

#include "dev/pci/pci.h"

enum { PIIX3_PIRQ_ROUTE = 0x60, PIIX3_IRQS = 16, PIIX3_OUT_RESET = PIIX3_IRQS, PIIX3_OUT_COUNT };

extern const struct device_type piix3_type;

/* For the host bridge's wiring; opaque is the device. */
uint64_t piix3_reset_control_read(void *opaque);
void piix3_reset_control_write(void *opaque, uint8_t value);

#endif
