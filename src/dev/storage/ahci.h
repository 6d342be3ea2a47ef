/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AHCI 1.3.1 host adapter of the ICH9 (8086:2922), as a function of its own: on q35 at 1f.2, or by
 * -device ich9-ahci (ahci). Six ports, each a bus for one drive: "ide.0" to "ide.5" for the first
 * adapter on a board (ahci_name_buses()), "<id>.0" to "<id>.5" else. BAR 5 has the registers, BAR 4
 * the index and data ports; MSI, or INTA.
 */
#ifndef DEV_STORAGE_AHCI_H
#define DEV_STORAGE_AHCI_H

#include "dev/pci/pci.h"

extern const struct device_type ich9_ahci_type;

/* The board's adapter: its buses are called ide.N. Before device_init(). */
void ahci_name_buses(struct device *dev);

#endif
