/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conventional PCI: a bus of functions with 256 bytes of type-0 configuration space, BARs that map
 * memory regions, and four interrupt lines. A PCI device's struct begins with struct pci_dev; its
 * init calls pci_dev_init() with its identity, then pci_bar_add(). It works (does nothing) without
 * a bus, so that any device can be made alone. Machine lock held for all functions.
 */
#ifndef DEV_PCI_PCI_H
#define DEV_PCI_PCI_H

#include "base/bits.h"
#include "dev/device.h"

enum {
    PCI_CONFIG_SIZE = 256,
    PCI_FUNCTIONS = 256, /* devfn: slot << 3 | function */
    PCI_BARS = 6,
    PCI_PINS = 4,
    PCI_ROUTES = 4, /* PIRQ A to D */
};
#define PCI_DEVFN(slot, fn) ((slot) << 3 | (fn))

/* Configuration registers (PCI 3.0 §6.1) */
enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CLASS_PROG = 0x09,
    PCI_CLASS = 0x0a,
    PCI_LATENCY = 0x0d,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_ROM = 0x30,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
};

enum {
    PCI_COMMAND_IO = BIT(0),
    PCI_COMMAND_MEMORY = BIT(1),
    PCI_COMMAND_MASTER = BIT(2),
    PCI_COMMAND_PARITY = BIT(6),
    PCI_COMMAND_SERR = BIT(8),
    PCI_COMMAND_NO_INTX = BIT(10),
    PCI_STATUS_INTX = BIT(3),
    PCI_STATUS_CAPS = BIT(4),
    PCI_STATUS_W1C = 0xf900,
    PCI_HEADER_MULTI = 0x80,
};

enum pci_bar_kind {
    PCI_BAR_NONE,
    PCI_BAR_IO,
    PCI_BAR_MEM32,
    PCI_BAR_MEM64,
    PCI_BAR_MEM64_PREFETCH
};

struct pci_bar {
    enum pci_bar_kind kind;
    struct mem_region *region; /* borrowed from the device; its size is a power of two */
};

struct pci_id {
    uint16_t vendor, device, class_code; /* class << 8 | subclass */
    uint16_t subsystem_vendor, subsystem;
    uint8_t prog_if, revision;
    uint8_t pin; /* 0: none, 1: INTA */
};

struct pci_bus;

struct pci_dev {
    struct device dev;
    /* constant after init */
    struct pci_bus *bus; /* NULL: not plugged in */
    uint8_t devfn;
    struct pci_bar bars[PCI_BARS];
    uint8_t writable[PCI_CONFIG_SIZE]; /* bits the guest may change */
    uint8_t clears[PCI_CONFIG_SIZE];   /* bits that writing 1 clears */
    uint8_t initial[PCI_CONFIG_SIZE];  /* after reset */
    /* after each write that reached bytes off..off+size-1, old values given; may be NULL */
    void (*config_written)(struct pci_dev *p, uint8_t off, unsigned size);
    /* state */
    uint8_t config[PCI_CONFIG_SIZE];
    bool intx; /* level the device wants */
};

/* The state every PCI device's table begins with. */
#define PCI_DEV_STATE(T) FIELD_ARRAY(T, pci.config), FIELD(T, pci.intx)

struct pci_bus {
    struct mem *mem, *io; /* where BARs appear; constant */
    struct pci_dev *fn[PCI_FUNCTIONS];
    /* INTx: which of the four routes a slot's pin takes, and who hears about its level */
    unsigned (*route)(unsigned slot, unsigned pin);
    struct irq out[PCI_ROUTES];
    uint16_t asserted[PCI_ROUTES]; /* functions that drive the route */
    int bar_priority;              /* of BARs in mem: below RAM */
};

/* Called from the device's init: identity, the standard writable bits. */
void pci_dev_init(struct pci_dev *p, const struct pci_id *id);
void pci_bar_add(struct pci_dev *p, unsigned n, enum pci_bar_kind kind, struct mem_region *region);
/* From the device's reset: registers to their initial values, BARs unmapped, line low. */
void pci_dev_reset(struct pci_dev *p);
/* From the device's loaded: checks and maps what the state says. */
bool pci_dev_loaded(struct pci_dev *p, struct error *err) MUST_CHECK;
/* From the device's finish. */
void pci_dev_finish(struct pci_dev *p);

void pci_set_byte(struct pci_dev *p, unsigned off, uint8_t value); /* initial and current */
void pci_set_word(struct pci_dev *p, unsigned off, uint16_t value);

/* Put a device on the bus before device_init(). */
void pci_plug(struct pci_bus *bus, struct device *dev, uint8_t devfn);

/* Level of the device's interrupt pin. */
void pci_intx(struct pci_dev *p, bool level);

/* Configuration cycles; no function there: all ones, writes dropped. size 1, 2, 4 within a dword.
 */
uint32_t pci_config_read(struct pci_bus *bus, uint8_t busno, uint8_t devfn, uint8_t off,
                         unsigned size);
void pci_config_write(struct pci_bus *bus, uint8_t busno, uint8_t devfn, uint8_t off,
                      uint32_t value, unsigned size);

/* DMA of a device, allowed by its bus master bit. */
struct mem *pci_dma(struct pci_dev *p);

#endif
