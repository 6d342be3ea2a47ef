/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed hardware of ACPI (ACPI 6.4 §4.8) as PIIX4 and ICH have it: PM1 event and control block
 * at 0, PM timer at 8, and general-purpose events wherever the chip puts them. Embedded in the
 * chip. The PM timer is computed from the virtual clock; a timer is armed only while its carry
 * would raise an SCI.
 */
#ifndef DEV_PCI_ACPI_PM_H
#define DEV_PCI_ACPI_PM_H

#include "dev/device.h"

enum {
    PM1_STATUS = 0x00,
    PM1_ENABLE = 0x02,
    PM1_CONTROL = 0x04,
    PM_TIMER = 0x08,
    PM_FIXED_SIZE = 0x0c,
    PM_GPE_BYTES = 8, /* at most, of status and of enable */
    PM_SLEEP_S5 = 0,  /* SLP_TYP of soft-off */
    PM_ACPI_ENABLE = 0xf1,
    PM_ACPI_DISABLE = 0xf0,
    PM_TIMER_HZ = 3579545,
};

struct acpi_pm {
    struct device *dev;
    struct irq *sci, *off; /* SCI is a level, off pulses when the guest enters S5 */
    struct timer carry;
    /* state */
    uint16_t status, enable, control;
    uint64_t carries; /* half periods of the timer seen so far */
    uint8_t gpe_status[PM_GPE_BYTES], gpe_enable[PM_GPE_BYTES];
};
#define ACPI_PM_STATE(T, m)                                                                        \
    FIELD(T, m.status), FIELD(T, m.enable), FIELD(T, m.control), FIELD(T, m.carries),              \
        FIELD_ARRAY(T, m.gpe_status), FIELD_ARRAY(T, m.gpe_enable)

void acpi_pm_init(struct acpi_pm *pm, struct device *dev, struct irq *sci, struct irq *off);
void acpi_pm_reset(struct acpi_pm *pm);
void acpi_pm_loaded(struct acpi_pm *pm);
void acpi_pm_finish(struct acpi_pm *pm);

/* The first PM_FIXED_SIZE bytes of the block as they read now. */
void acpi_pm_read(struct acpi_pm *pm, uint8_t *ret_regs);
void acpi_pm_write(struct acpi_pm *pm, unsigned off, uint8_t val); /* one byte of them */
void acpi_pm_gpe_write(struct acpi_pm *pm, bool enable, unsigned n, uint8_t val);
/* Sets a general-purpose event's status. */
void acpi_pm_gpe(struct acpi_pm *pm, unsigned event);
/* PM_ACPI_ENABLE and _DISABLE at the command port, without firmware's SMI handler. */
void acpi_pm_command(struct acpi_pm *pm, uint8_t val);
/* The power button: sets PWRBTN_STS; the guest hears of it through the SCI. */
void acpi_pm_button(struct acpi_pm *pm);

#endif
