/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Message-signalled interrupts of PCI functions: MSI (PCI 3.0 §6.8.1) and MSI-X (§6.8.2). A device
 * asks for them in its init and then raises vectors; where the messages go is the root bus's sink.
 */
#ifndef DEV_PCI_MSI_H
#define DEV_PCI_MSI_H

#include "dev/pci/pci.h"

/* How messages leave the PCI hierarchy; the board gives one to the root bus. */
struct msi_sink {
    void (*send)(void *opaque, uint64_t addr, uint32_t data); /* any thread, lock or not */
    /* an eventfd which sends the message when it is written; -errno. NULL: not offered */
    int (*irqfd_add)(void *opaque, int fd, uint64_t addr, uint32_t data);
    void (*irqfd_remove)(void *opaque, int fd);
    void *opaque;
};

/* From init. vectors: 1 to 32, a power of two. Adds the capability. Machine lock held. */
bool pci_msi_init(struct pci_dev *p, unsigned vectors, struct error *err) MUST_CHECK;
/* vectors: 1 to 2048. Table and pending bits live in BAR bar (a region of their own made here, when
 * the device has no region there yet) at the given offsets, or at 0 and behind it. */
bool pci_msix_init(struct pci_dev *p, unsigned vectors, unsigned bar, struct error *err) MUST_CHECK;
bool pci_msix_init_in(struct pci_dev *p, unsigned vectors, unsigned bar,
                      struct mem_region *container, uint32_t table_off, uint32_t pba_off,
                      struct error *err) MUST_CHECK;

bool pci_msi_enabled(const struct pci_dev *p);
bool pci_msix_enabled(const struct pci_dev *p);

/* Raise vector n: sent, or left pending while masked. Any thread. */
void pci_msi_notify(struct pci_dev *p, unsigned n);
void pci_msix_notify(struct pci_dev *p, unsigned n);

/* For irqfd: hears when a vector's message changed or was masked (msg NULL). Machine lock held. */
struct msi_message {
    uint64_t addr;
    uint32_t data;
};
void pci_msix_watch(struct pci_dev *p,
                    void (*changed)(void *opaque, unsigned n, const struct msi_message *msg),
                    void *opaque);
const struct msi_sink *pci_msi_sink(const struct pci_dev *p); /* NULL: no bus, or none */

#endif
