/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI's fixed hardware alone (ACPI 6.4 §4.8), for boards without a chipset: windows "pm" (12
 * ports), "reset" (1 port). The SCI is a level; the other outputs pulse.
 */
#ifndef DEV_MISC_PM_BLOCK_H
#define DEV_MISC_PM_BLOCK_H

#include "dev/pci/acpi_pm.h"

enum { PM_BLOCK_OUT_SCI, PM_BLOCK_OUT_OFF, PM_BLOCK_OUT_RESET, PM_BLOCK_OUTS };
enum { PM_BLOCK_RESET_VALUE = 0x06 };

extern const struct device_type pm_block_type;

void pm_block_power_button(struct device *dev);

#endif
