/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI: buses of functions with type-0 or type-1 configuration space, BARs that map memory regions,
 * and interrupt lines. A PCI device's struct begins with struct pci_dev; its init calls
 * pci_dev_init() with its identity, then pci_bar_add(). It works (does nothing) without a bus, so
 * that any device can be made alone. Machine lock held for all functions.
 */
#ifndef DEV_PCI_PCI_H
#define DEV_PCI_PCI_H

#include <pthread.h>

#include "base/bits.h"
#include "dev/bus.h"
#include "dev/device.h"

enum {
    PCI_CONFIG_SIZE = 256, /* conventional functions */
    PCIE_CONFIG_SIZE = 4096,
    PCI_FUNCTIONS = 256, /* devfn: slot << 3 | function */
    PCI_BARS = 6,
    PCI_OVERLAYS = 6, /* of one BAR */
    PCI_PINS = 4,
    PCI_ROUTES = 4,     /* PIRQ A to D */
    PCI_ROUTES_MAX = 8, /* PIRQ A to H */
    PCI_MSIX_VECTORS = 2048,
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
    PCI_CACHE_LINE = 0x0c,
    PCI_LATENCY = 0x0d,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_ROM = 0x30,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
    PCI_BRIDGE_ROM = 0x38,
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
    PCI_ROM_ENABLE = 1,
};

enum { /* capabilities */
       PCI_CAP_PM = 0x01,
       PCI_CAP_MSI = 0x05,
       PCI_CAP_VENDOR = 0x09,
       PCI_CAP_SUBSYSTEM = 0x0d, /* of a bridge */
       PCI_CAP_EXPRESS = 0x10,
       PCI_CAP_MSIX = 0x11,
       PCI_CAP_SATA = 0x12,
};

enum pci_bar_kind {
    PCI_BAR_NONE,
    PCI_BAR_IO,
    PCI_BAR_MEM32,
    PCI_BAR_MEM64,
    PCI_BAR_MEM64_PREFETCH,
    PCI_BAR_MEM32_PREFETCH,
};

struct pci_bar {
    enum pci_bar_kind kind;
    struct mem_region *region; /* borrowed from the device; its size is a power of two */
    struct {
        struct mem_region *region; /* shows in front of it at off */
        uint64_t off;
    } over[PCI_OVERLAYS];
};

struct pci_id {
    uint16_t vendor, device, class_code; /* class << 8 | subclass */
    uint16_t subsystem_vendor, subsystem;
    uint8_t prog_if, revision, pin; /* pin 0: none, 1: INTA */
};

struct pci_bus;
struct msi_sink;
struct msi_message;

/* msi.c's part of a function. */
struct pci_msi_state {
    pthread_mutex_t lock; /* guards the vector table and pending bits: raised in any thread */
    /* constant after init */
    uint16_t msi_vectors, msix_vectors;
    uint8_t msi_cap, msix_cap; /* 0: none */
    struct mem_region own, table, pba;
    /* follow from the control registers; guarded by lock */
    bool msi_on, msix_on, msix_masked;
    void (*changed)(void *opaque, unsigned n, const struct msi_message *msg);
    void *changed_opaque;
};

struct pci_dev {
    struct device dev;
    /* properties of the bus (pci_bus_type) */
    char *addr;
    bool multifunction;
    char *romfile;           /* NULL: default_rom; "": none */
    const char *default_rom; /* set by the type's defaults(); need not exist */
    char *rombar;            /* "0": the ROM is not shown */
    /* constant after init */
    struct pci_bus *bus; /* NULL: not plugged in */
    uint8_t devfn;
    bool express; /* has 4096 bytes of configuration space */
    struct pci_bar bars[PCI_BARS];
    struct mem_region rom; /* size 0: none */
    uint64_t caps_used;    /* dwords of configuration space that capabilities and others take */
    uint8_t writable[PCIE_CONFIG_SIZE]; /* bits the guest may change */
    uint8_t clears[PCIE_CONFIG_SIZE];   /* bits that writing 1 clears */
    uint8_t changes[PCIE_CONFIG_SIZE];  /* bits that the device itself changes */
    uint8_t initial[PCIE_CONFIG_SIZE];  /* after reset */
    /* after each write to, before each read of bytes off..off+size-1; may be NULL */
    void (*config_written)(struct pci_dev *p, unsigned off, unsigned size);
    void (*config_read)(struct pci_dev *p, unsigned off, unsigned size);
    struct pci_bus *secondary; /* of a bridge */
    struct pci_msi_state msi;
    /* the route that is driven now */
    bool driving;
    uint8_t route;
    /* state */
    uint8_t config[PCIE_CONFIG_SIZE];
    bool intx; /* level the device wants */
    uint32_t msix_table[PCI_MSIX_VECTORS * 4];
    uint32_t msix_pending[PCI_MSIX_VECTORS / 32];
};

/* The state every PCI device's table begins with; and that of one with MSI-X. */
#define PCI_DEV_STATE(T)  FIELD_ARRAY(T, pci.config), FIELD(T, pci.intx)
#define PCI_MSIX_STATE(T) FIELD_ARRAY(T, pci.msix_table), FIELD_ARRAY(T, pci.msix_pending)

struct pci_bus {
    struct device_bus bus;
    struct mem *mem, *io; /* where BARs appear; constant; a secondary bus has the root's */
    struct pci_dev *fn[PCI_FUNCTIONS];
    bool express;           /* its devices may be PCI Express functions */
    uint8_t first_slot;     /* that -device may be given */
    uint8_t slots;          /* how many there are: 32, or 1 behind a PCI Express port */
    struct pci_dev *bridge; /* NULL: a root bus */
    struct pci_bus *children, *next_child;
    void (*plugged)(struct pci_bus *bus); /* a function came or went; or NULL */
    int bar_priority; /* of BARs in mem: below RAM; one more is used for what lies in them */
    /* --- the rest counts on root buses only --- */
    /* INTx: which of the routes a slot's pin takes, and who hears about its level */
    unsigned (*route)(const struct pci_bus *bus, unsigned slot, unsigned pin);
    void *route_opaque;
    struct irq out[PCI_ROUTES_MAX];
    uint16_t asserted[PCI_ROUTES_MAX]; /* functions that drive the route */
    const struct msi_sink *msi;        /* NULL: messages go nowhere */
    /* Path of an expansion ROM image called name, freed by the caller; NULL: nowhere. */
    char *(*find_rom)(const char *name);
};

/* --- buses (pci_bus.c) --- */

extern const struct bus_type pci_bus_type;

/* A root bus: then set mem, io, route, ... */
void pci_bus_init(struct pci_bus *bus, struct device *owner, const char *name, bool express);
/* A bus behind a bridge; from the bridge's init. name NULL: the bridge's id. */
void pci_bus_init_secondary(struct pci_bus *bus, struct pci_dev *bridge, const char *name,
                            bool express);
void pci_bus_finish(struct pci_bus *bus);
struct pci_bus *pci_bus_root(struct pci_bus *bus);
/* route() gives other answers now: levels move. */
void pci_bus_reroute(struct pci_bus *bus);
/* Windows of a bridge above changed: BARs appear and disappear. */
void pci_bus_update(struct pci_bus *bus);

/* The board puts a device on the bus before device_init(). */
void pci_plug(struct pci_bus *bus, struct device *dev, uint8_t devfn);
/* Is it behind a PCI Express port (a real link, not the root complex itself)? */
bool pci_on_link(const struct pci_dev *p);

/* Configuration cycles by bus number; no function there: all ones, writes dropped. size 1, 2, 4
 * within a dword; off below PCIE_CONFIG_SIZE. bus is the root. */
uint32_t pci_config_read(struct pci_bus *bus, uint8_t busno, uint8_t devfn, unsigned off,
                         unsigned size);
void pci_config_write(struct pci_bus *bus, uint8_t busno, uint8_t devfn, unsigned off,
                      uint32_t value, unsigned size);

/* --- functions (pci.c) --- */

/* Called from the device's init: identity, the standard writable bits. */
void pci_dev_init(struct pci_dev *p, const struct pci_id *id);
void pci_bar_add(struct pci_dev *p, unsigned n, enum pci_bar_kind kind, struct mem_region *region);
/* A region that shows in front of BAR n's at this offset: doorbells, tables. After pci_bar_add(),
 * from init. */
void pci_bar_overlay(struct pci_dev *p, unsigned n, struct mem_region *region, uint64_t off);
/* From the device's reset: registers to their initial values, BARs unmapped, line low. */
void pci_dev_reset(struct pci_dev *p);
/* From the device's loaded: checks and maps what the state says. */
bool pci_dev_loaded(struct pci_dev *p, struct error *err) MUST_CHECK;
/* From the device's finish. */
void pci_dev_finish(struct pci_dev *p);

void pci_set_byte(struct pci_dev *p, unsigned off, uint8_t value); /* initial and current */
void pci_set_word(struct pci_dev *p, unsigned off, uint16_t value);
void pci_set_dword(struct pci_dev *p, unsigned off, uint32_t value);

/* From init: a capability of size bytes, first in the list, zero but for its header; returns its
 * offset. _at: at this offset, where nothing else is. */
unsigned pci_cap_add(struct pci_dev *p, uint8_t id, unsigned size);
unsigned pci_cap_add_at(struct pci_dev *p, uint8_t id, unsigned off, unsigned size);
/* Registers of the device itself in 0x40..0xff: no capability is put there. */
void pci_config_reserve(struct pci_dev *p, unsigned off, unsigned size);

/* Level of the device's interrupt pin. */
void pci_intx(struct pci_dev *p, bool level);

/* DMA of a device, allowed by its bus master bit. */
struct mem *pci_dma(struct pci_dev *p);

/* bridge.c: does the bridge pass this range of its secondary bus? */
bool pci_bridge_passes(const struct pci_dev *bridge, enum pci_bar_kind kind, uint64_t first,
                       uint64_t last);

/* --- between pci.c, pci_bus.c and msi.c --- */
uint32_t pci_dev_config_read(struct pci_dev *p, unsigned off, unsigned size);
void pci_dev_config_write(struct pci_dev *p, unsigned off, uint32_t value, unsigned size);
void pci_dev_update(struct pci_dev *p); /* BARs and line follow from the registers */
void pci_msi_config_written(struct pci_dev *p, unsigned off, unsigned size);
void pci_msi_reset(struct pci_dev *p);
void pci_msi_follow(struct pci_dev *p); /* after load */
void pci_msi_finish(struct pci_dev *p);

#endif
