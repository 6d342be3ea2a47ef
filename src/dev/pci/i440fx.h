/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82441FX (i440FX) host bridge: configuration mechanism 1 (window "address", 4 ports at
 * 0xcf8; window "data", 4 ports at 0xcfc), the PAM registers that put shadow RAM over
 * 0xc0000-0xfffff, and SMRAM's open bit over 0xa0000-0xbffff.
 */
#ifndef DEV_PCI_I440FX_H
#define DEV_PCI_I440FX_H

#include "dev/pci/config_ports.h"
#include "dev/pci/pam.h"

extern const struct device_type i440fx_type;

enum { I440FX_SMRAM = 0x72, I440FX_PAM0 = 0x59, I440FX_PAMS = PAM_REGISTERS };

struct i440fx_wiring {
    struct pci_bus *bus; /* whose configuration space the windows reach */
    struct pam_wiring pam;
    struct reset_control reset;
};
void i440fx_wire(struct device *dev, const struct i440fx_wiring *w);

#endif
