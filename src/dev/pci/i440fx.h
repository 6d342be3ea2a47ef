/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82441FX (i440FX) host bridge: configuration mechanism 1 (window "address", 4 ports at
 * 0xcf8; window "data", 4 ports at 0xcfc), the PAM registers that put shadow RAM over
 * 0xc0000-0xfffff, and SMRAM's open bit over 0xa0000-0xbffff.
 */
#ifndef DEV_PCI_I440FX_H
#define DEV_PCI_I440FX_H

#include "dev/pci/pci.h"

extern const struct device_type i440fx_type;

enum { I440FX_SMRAM = 0x72, I440FX_PAM0 = 0x59, I440FX_PAMS = 7 };

struct i440fx_wiring {
    struct pci_bus *bus; /* whose configuration space the windows reach */
    struct mem *mem;     /* where shadow RAM appears */
    gra_t low_ram;       /* guest RAM of physical address 0 */
    int priority;        /* of shadow RAM: above what lies on the PCI side */
    const uint8_t *rom;  /* bytes the PCI side shows at rom_base.. up to 1 MiB, for segments */
    gpa_t rom_base;      /* whose reads go there and whose writes go to RAM; NULL: all ones */
    /* the reset control register shares port 0xcf9 with the address register's second byte */
    uint64_t (*reset_control_read)(void *opaque);
    void (*reset_control_write)(void *opaque, uint8_t value);
    void *reset_control_opaque;
};
void i440fx_wire(struct device *dev, const struct i440fx_wiring *w);

#endif
