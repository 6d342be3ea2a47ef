/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The drives of the bus "IDE" (dev/storage/ata.h): ide-hd, ide-cd. Their adapters are
 * dev/pci/piix3_ide.h (buses ide.0, ide.1) and dev/storage/ahci.h (buses ide.0 to ide.5).
 */
#ifndef DEV_STORAGE_IDE_DRIVE_H
#define DEV_STORAGE_IDE_DRIVE_H

#include "dev/storage/ata.h"

extern const struct device_type ide_hd_type;
extern const struct device_type ide_cd_type;

#endif
