/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI transport (virtio 1.2 §4.1): a PCI function around a virtio device. One line makes the
 * types "NAME-pci", "NAME-pci-transitional" and "NAME-pci-non-transitional" of a virtio device:
 *
 *   VIRTIO_PCI_TYPE(virtio_blk_pci, virtio_blk_type, "virtio-blk-pci", DEVICE_STORAGE, "a disk");
 */
#ifndef DEV_VIRTIO_VIRTIO_PCI_H
#define DEV_VIRTIO_VIRTIO_PCI_H

#include "dev/bus.h"
#include "dev/pci/msi.h"
#include "dev/virtio/virtio.h"
#include "mem/doorbell.h"

struct virtio_pci_vector;

struct virtio_pci_queue {
    struct mem_doorbell bell, legacy_bell; /* I/O threads only */
};

struct virtio_pci {
    struct pci_dev pci;
    struct virtio_dev *v; /* inside; since defaults() */
    struct device_bus bus;
    struct virtio_transport transport;
    /* properties */
    char *disable_legacy; /* on, off, auto; NULL: auto */
    bool disable_modern, ioeventfd, page_per_vq, ats, aer;
    uint32_t vectors, class_code;
    /* constant after init */
    bool legacy, modern; /* interfaces there are */
    uint32_t notify_multiplier;
    unsigned vector_count; /* of MSI-X; 0: none */
    uint8_t cfg_cap;       /* of the configuration access capability */
    struct mem_region legacy_region, modern_region;
    struct virtio_pci_queue *queues;
    struct virtio_pci_vector *irqfds; /* NULL: messages are sent */
    unsigned bells;                   /* queues that have their doorbells in place */
    /* state; machine lock, but isr */
    uint32_t device_select, driver_select;
    uint64_t driver_features;
    uint16_t queue_select, config_vector;
    _Atomic(uint8_t) isr;
};

/* --- for the macro --- */
void virtio_pci_defaults(struct device *dev);
bool virtio_pci_init(struct device *dev, struct error *err);
void virtio_pci_finish(struct device *dev);
void virtio_pci_reset(struct device *dev);
struct device *virtio_pci_inner(struct device *dev);
extern const struct field *const virtio_pci_props;

#define VIRTIO_PCI_RECORD(inner_, name_, category_, doc_, ...)                                     \
    {                                                                                              \
        .name = name_, .doc = doc_, .size = sizeof(struct virtio_pci), .bus = "PCI",               \
        .category = category_, .props = VIRTIO_PCI_PROPS, .defaults = virtio_pci_defaults,         \
        .init = virtio_pci_init, .finish = virtio_pci_finish, .reset = virtio_pci_reset,           \
        .inner = &inner_, .inner_of = virtio_pci_inner, ##__VA_ARGS__                              \
    }
/* sym_type, sym_transitional_type and sym_non_transitional_type; more members of the first, as
 * .alias. */
#define VIRTIO_PCI_TYPE(sym, inner_, name_, category_, doc_, ...)                                  \
    const struct device_type sym##_type =                                                          \
        VIRTIO_PCI_RECORD(inner_, name_, category_, doc_, ##__VA_ARGS__);                          \
    const struct device_type sym##_transitional_type = VIRTIO_PCI_RECORD(                          \
        inner_, name_ "-transitional", category_, doc_ ", for drivers old and new");               \
    const struct device_type sym##_non_transitional_type = VIRTIO_PCI_RECORD(                      \
        inner_, name_ "-non-transitional", category_, doc_ ", for virtio 1.0 drivers alone")
/* Of a device that was never there before virtio 1.0: it has no variants. */
#define VIRTIO_PCI_MODERN_TYPE(sym, inner_, name_, category_, doc_)                                \
    const struct device_type sym##_type = VIRTIO_PCI_RECORD(inner_, name_, category_, doc_)

#define VIRTIO_PCI_PROPS                                                                           \
    FIELDS(FIELD(struct virtio_pci, disable_legacy, .wire = "disable-legacy",                      \
                 .doc = "no interface for old drivers: on, off, auto [auto]"),                     \
           FIELD(struct virtio_pci, disable_modern, .wire = "disable-modern",                      \
                 .doc = "no virtio 1.0 interface [off]"),                                          \
           FIELD(struct virtio_pci, vectors, .doc = "MSI-X vectors; 0: none [queues + 1]"),        \
           FIELD(struct virtio_pci, ioeventfd,                                                     \
                 .doc = "kicks of queues on I/O threads take no lock [on]"),                       \
           FIELD(struct virtio_pci, page_per_vq, .wire = "page-per-vq",                            \
                 .doc = "a page for the doorbell of each queue [off]"),                            \
           FIELD(struct virtio_pci, class_code, .wire = "class",                                   \
                 .doc = "PCI class << 8 | subclass shown [the device's]"))

/* --- virtio_pci_modern.c, virtio_pci_legacy.c --- */
enum {
    VIRTIO_PCI_COMMON = 0x0000,
    VIRTIO_PCI_ISR = 0x1000,
    VIRTIO_PCI_CONFIG = 0x2000,
    VIRTIO_PCI_NOTIFY = 0x3000,
    VIRTIO_PCI_PART = 0x1000
};
enum { VIRTIO_PCI_LEGACY_NOTIFY = 0x10 };
void virtio_pci_modern_init(struct virtio_pci *p);
void virtio_pci_legacy_init(struct virtio_pci *p);
/* virtio_pci_irqfd.c */
void virtio_pci_irqfd_init(struct virtio_pci *p);
void virtio_pci_irqfd_finish(struct virtio_pci *p);
bool virtio_pci_irqfd_raise(struct virtio_pci *p, unsigned vector); /* false: send it */

uint8_t virtio_pci_isr_take(struct virtio_pci *p);
void virtio_pci_write_status(struct virtio_pci *p, uint8_t status, bool legacy);
/* A vector a driver chose: one that is there, or UINT16_MAX. */
uint16_t virtio_pci_vector(const struct virtio_pci *p, uint64_t val);

#endif
