/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82801I (ICH9) function 31.0, the LPC bridge: routes PIRQ A-H (inputs 0..7) to ISA
 * interrupts (outputs 0..15) and to I/O APIC pins 16 to 23 (outputs 16..23), has the ACPI block
 * (128 ports at PMBASE), the chipset configuration registers (16 KiB at RCBA), the SMI command
 * ports (window "apm", 2 ports at 0xb2) and the reset control register at port 0xcf9.
 */
#ifndef DEV_PCI_ICH9_LPC_H
#define DEV_PCI_ICH9_LPC_H

#include "dev/pci/acpi_pm.h"
#include "dev/pci/config_ports.h"

enum {
    ICH9_PIRQS = 8,
    ICH9_OUT_GSI = 16,
    ICH9_OUT_RESET = 24, /* pulses */
    ICH9_OUT_SCI,
    ICH9_OUT_OFF, /* pulses */
    ICH9_OUT_SMI, /* pulses */
    ICH9_OUT_COUNT,
};

enum { /* configuration registers */
       ICH9_PM_BASE = 0x40,
       ICH9_ACPI_CONTROL = 0x44,
       ICH9_GPIO_BASE = 0x48,
       ICH9_PIRQ_A = 0x60,
       ICH9_PIRQ_E = 0x68,
       ICH9_GEN_PMCON_1 = 0xa0,
       ICH9_RCBA = 0xf0,
       ICH9_ACPI_ENABLE = 0x80,
};

/* Offsets in the PMBASE block behind what all ACPI hardware has. */
enum {
    ICH9_GPE_STATUS = 0x20,
    ICH9_GPE_ENABLE = 0x28,
    ICH9_SMI_ENABLE = 0x30,
    ICH9_SMI_STATUS = 0x34,
    ICH9_PM_PORTS = 128,
};

extern const struct device_type ich9_lpc_type;

/* Before init: firmware may have its SMIs. Else the command port switches ACPI mode by itself. */
void ich9_lpc_set_smm(struct device *dev, bool on);
/* For the host bridge's wiring. */
struct reset_control ich9_lpc_reset_control(struct device *dev);
/* The PIRQ (0..7) that a pin of a slot on bus 0 takes. */
unsigned ich9_lpc_route(const struct device *dev, unsigned slot, unsigned pin);
/* PIRQs change their slots' routes on this bus. */
void ich9_lpc_set_bus(struct device *dev, struct pci_bus *bus);
void ich9_lpc_power_button(struct device *dev);
/* The base the firmware or guest gave, 0 while the block is not decoded. */
uint16_t ich9_lpc_pm_base(const struct device *dev);

extern const struct device_type ich9_smbus_type;

#endif
