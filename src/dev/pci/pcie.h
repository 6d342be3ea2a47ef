/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI Express capability (PCI Express Base 3.0 §7.8) of endpoints and ports, and the types of
 * ports: root ports, upstream and downstream ports of a switch.
 */
#ifndef DEV_PCI_PCIE_H
#define DEV_PCI_PCIE_H

#include "dev/pci/bridge.h"

enum pcie_type { /* §7.8.2 */
                 PCIE_TYPE_ENDPOINT = 0,
                 PCIE_TYPE_ROOT_PORT = 4,
                 PCIE_TYPE_UPSTREAM = 5,
                 PCIE_TYPE_DOWNSTREAM = 6,
                 PCIE_TYPE_TO_PCI_BRIDGE = 7,
                 PCIE_TYPE_INTEGRATED = 9,
};

enum {
    PCIE_FLAGS = 0x02,
    PCIE_DEVICE_CAP = 0x04,
    PCIE_DEVICE_CONTROL = 0x08,
    PCIE_DEVICE_STATUS = 0x0a,
    PCIE_LINK_CAP = 0x0c,
    PCIE_LINK_CONTROL = 0x10,
    PCIE_LINK_STATUS = 0x12,
    PCIE_SLOT_CAP = 0x14,
    PCIE_SLOT_CONTROL = 0x18,
    PCIE_SLOT_STATUS = 0x1a,
    PCIE_ROOT_CONTROL = 0x1c,
    PCIE_ROOT_STATUS = 0x20,
    PCIE_DEVICE_CAP2 = 0x24,
    PCIE_DEVICE_CONTROL2 = 0x28,
    PCIE_LINK_CAP2 = 0x2c,
    PCIE_LINK_CONTROL2 = 0x30,
    PCIE_CAP_SIZE = 0x3c,
};

/* From init: makes p an Express function with its capability; returns the capability's offset.
 * port: its number in the link capability. */
unsigned pcie_cap_init(struct pci_dev *p, enum pcie_type type, uint8_t port);
/* An endpoint: behind a port, or integrated into the root complex. Nothing on a conventional bus.
 */
void pcie_endpoint_init(struct pci_dev *p);

extern const struct device_type pcie_root_port_type, ioh3420_type;
extern const struct device_type x3130_upstream_type, xio3130_downstream_type;

#endif
