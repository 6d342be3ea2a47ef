/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371AB (PIIX4) function 3, power management: ACPI fixed registers (64 ports at PMBASE),
 * the SMI command ports (window "apm", 2 ports at 0xb2) and an SMBus host with nothing on the bus
 * (16 ports at SMBBASE). Output SCI is a level; OFF pulses when the guest enters S5.
 */
#ifndef DEV_PCI_PIIX4_PM_H
#define DEV_PCI_PIIX4_PM_H

#include "dev/pci/acpi_pm.h"
#include "dev/pci/pci.h"

enum { PIIX4_PM_OUT_SCI, PIIX4_PM_OUT_OFF, PIIX4_PM_OUT_COUNT };
enum {
    PIIX4_PM_BASE = 0x40,
    PIIX4_PM_REGMISC = 0x80,
    PIIX4_SMB_BASE = 0x90,
    PIIX4_SMB_CONFIG = 0xd2
};

/* Offsets in the PMBASE block behind what all ACPI hardware has. */
enum { PIIX4_GPE_STATUS = 0x0c, PIIX4_GPE_ENABLE = 0x0e, PIIX4_PM_PORTS = 64 };

extern const struct device_type piix4_pm_type;

/* The power button: sets PWRBTN_STS; the guest hears of it through the SCI. */
void piix4_pm_power_button(struct device *dev);

/* The base the firmware or guest gave, 0 while the block is not decoded. */
uint16_t piix4_pm_base(struct device *dev);

#endif
