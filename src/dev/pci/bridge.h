/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PCI-PCI bridge (PCI-to-PCI Bridge Architecture 1.2): type-1 configuration space, a secondary
 * bus, windows. A bridge device's struct begins with struct pci_bridge; its callbacks call these.
 */
#ifndef DEV_PCI_BRIDGE_H
#define DEV_PCI_BRIDGE_H

#include "dev/pci/pci.h"

enum {
    BRIDGE_PRIMARY = 0x18,
    BRIDGE_SECONDARY = 0x19,
    BRIDGE_SUBORDINATE = 0x1a,
    BRIDGE_IO_BASE = 0x1c,
    BRIDGE_IO_LIMIT = 0x1d,
    BRIDGE_SECONDARY_STATUS = 0x1e,
    BRIDGE_MEM_BASE = 0x20,
    BRIDGE_MEM_LIMIT = 0x22,
    BRIDGE_PREFETCH_BASE = 0x24,
    BRIDGE_PREFETCH_LIMIT = 0x26,
    BRIDGE_PREFETCH_BASE_HIGH = 0x28,
    BRIDGE_PREFETCH_LIMIT_HIGH = 0x2c,
    BRIDGE_IO_BASE_HIGH = 0x30,
    BRIDGE_IO_LIMIT_HIGH = 0x32,
    BRIDGE_CONTROL = 0x3e,
    BRIDGE_CONTROL_RESET = 0x40,
};

struct pci_bridge {
    struct pci_dev pci;
    struct pci_bus bus;
    void (*config_written)(struct pci_bridge *b, unsigned off, unsigned size); /* or NULL */
    uint8_t control; /* state: BRIDGE_CONTROL as it was, for edges */
};

#define PCI_BRIDGE_STATE(T) FIELD_ARRAY(T, b.pci.config), FIELD(T, b.pci.intx), FIELD(T, b.control)

/* From init: registers and the bus (express: of a PCI Express link). */
void pci_bridge_init(struct pci_bridge *b, const struct pci_id *id, bool express);
void pci_bridge_reset(struct pci_bridge *b);
bool pci_bridge_loaded(struct pci_bridge *b, struct error *err) MUST_CHECK;
void pci_bridge_finish(struct pci_bridge *b);

extern const struct device_type pci_bridge_type, i82801b11_type, pcie_pci_bridge_type;

#endif
