/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PCI Express capability: what every Express function shows. */
#include "dev/pci/pcie.h"

#include "base/endian.h"

enum {
    FLAGS_VERSION = 2,
    DEVICE_ROLE_BASED_ERRORS = BIT(15),
    DEVICE_CONTROL_BITS = 0x7fff & ~0x0700, /* no phantom functions, no AUX power */
    DEVICE_STATUS_ERRORS = 0x000f,
    LINK_SPEED_2_5 = 1,
    LINK_WIDTH_1 = 1 << 4,
    LINK_ASPM_L0S = 1 << 10,
    LINK_ACTIVE_REPORTING = BIT(20),
    LINK_CONTROL_BITS = 0x00eb & ~0x0020, /* all but "retrain", which is over at once */
    LINK_SPEEDS = 1 << 1,
};

unsigned pcie_cap_init(struct pci_dev *p, enum pcie_type type, uint8_t port)
{
    unsigned c = pci_cap_add(p, PCI_CAP_EXPRESS, PCIE_CAP_SIZE);
    bool downward = type == PCIE_TYPE_ROOT_PORT || type == PCIE_TYPE_DOWNSTREAM;
    p->express = true;
    pci_set_word(p, c + PCIE_FLAGS, FLAGS_VERSION | type << 4);
    pci_set_dword(p, c + PCIE_DEVICE_CAP, DEVICE_ROLE_BASED_ERRORS);
    st_le16(p->writable + c + PCIE_DEVICE_CONTROL, DEVICE_CONTROL_BITS);
    st_le16(p->clears + c + PCIE_DEVICE_STATUS, DEVICE_STATUS_ERRORS);
    st_le16(p->writable + c + PCIE_DEVICE_CONTROL2, 0x001f);
    if (type == PCIE_TYPE_INTEGRATED) /* no link, §7.8.6 */
        return c;
    pci_set_dword(p, c + PCIE_LINK_CAP,
                  LINK_SPEED_2_5 | LINK_WIDTH_1 | LINK_ASPM_L0S |
                      (downward ? LINK_ACTIVE_REPORTING : 0) | (uint32_t)port << 24);
    st_le16(p->writable + c + PCIE_LINK_CONTROL, LINK_CONTROL_BITS);
    pci_set_word(p, c + PCIE_LINK_STATUS, LINK_SPEED_2_5 | LINK_WIDTH_1);
    pci_set_dword(p, c + PCIE_LINK_CAP2, LINK_SPEEDS);
    pci_set_word(p, c + PCIE_LINK_CONTROL2, LINK_SPEED_2_5);
    return c;
}

void pcie_endpoint_init(struct pci_dev *p)
{
    if (p->bus && p->bus->express)
        (void)pcie_cap_init(p, p->bus->bridge ? PCIE_TYPE_ENDPOINT : PCIE_TYPE_INTEGRATED, 0);
}
