/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration mechanism 1 (PCI 3.0 §3.2.2.3.2): an address register at 0xcf8, data at 0xcfc. The
 * reset control register shares port 0xcf9 with the address register's second byte. Embedded in a
 * host bridge, whose windows "address" and "data" (4 ports each) are config_ports_windows.
 */
#ifndef DEV_PCI_CONFIG_PORTS_H
#define DEV_PCI_CONFIG_PORTS_H

#include "dev/pci/pci.h"

struct reset_control {
    uint64_t (*read)(void *opaque);
    void (*write)(void *opaque, uint8_t value);
    void *opaque;
};

struct config_ports {
    struct pci_bus *bus; /* whose configuration space the windows reach */
    struct reset_control reset;
    uint32_t address; /* state */
};

uint64_t config_address_read(struct config_ports *c, uint64_t off, unsigned size);
void config_address_write(struct config_ports *c, uint64_t off, uint64_t val, unsigned size);
uint64_t config_data_read(struct config_ports *c, uint64_t off, unsigned size);
void config_data_write(struct config_ports *c, uint64_t off, uint64_t val, unsigned size);

#endif
