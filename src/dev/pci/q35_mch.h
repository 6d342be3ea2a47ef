/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82Q35 memory controller hub, function 0.0 of q35: configuration mechanism 1 (windows
 * "address" and "data"), configuration space in memory (PCIEXBAR), shadow RAM, SMRAM at 0xa0000 and
 * TSEG at the top of low RAM.
 */
#ifndef DEV_PCI_Q35_MCH_H
#define DEV_PCI_Q35_MCH_H

#include "dev/pci/config_ports.h"
#include "dev/pci/pam.h"

enum {
    MCH_EXT_TSEG_MIB = 0x50,
    MCH_PCIEXBAR = 0x60,
    MCH_PAM0 = 0x90,
    MCH_SMRAM = 0x9d,
    MCH_ESMRAMC = 0x9e,
    MCH_TOM = 0xa0,
    MCH_GBSM = 0xa4,
    MCH_BGSM = 0xa8,
    MCH_TSEGMB = 0xac,
    MCH_TOLUD = 0xb0,
    MCH_PCIEXBAR_ENABLE = 1,
    MCH_EXT_TSEG_DEFAULT_MIB = 16,
};

struct mch_smram {
    bool low;           /* 0xa0000-0xbffff is SMRAM: G_SMRAME */
    bool low_open;      /* and everybody sees it */
    gpa_t tseg;         /* where TSEG begins; its end is that of low RAM */
    uint64_t tseg_size; /* 0: there is none */
};

struct mch_wiring {
    struct pci_bus *bus;
    struct pam_wiring pam;
    struct reset_control reset;
    uint64_t ram_low;  /* bytes of RAM below 4 GiB */
    int chip_priority; /* of the configuration window and of what hides TSEG */
    /* What SMM sees changed; NULL: there is no SMM. */
    void (*smram_changed)(void *opaque, const struct mch_smram *s);
    void *smram_opaque;
};
void mch_wire(struct device *dev, const struct mch_wiring *w);

/* Where configuration space shows in memory now, 0: nowhere. */
gpa_t mch_pciexbar(const struct device *dev, uint64_t *ret_size);

extern const struct device_type q35_mch_type;

#endif
