/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI-PCI bridges. Windows are not regions of their own: a BAR behind a bridge is mapped while it
 * lies wholly inside an open window of each bridge above it (pci.c asks pci_bridge_passes()).
 */
#include "dev/pci/bridge.h"

#include "base/endian.h"
#include "dev/pci/msi.h"
#include "dev/pci/pcie.h"

#include <errno.h>
#include <string.h>

enum {
    WINDOW_64BIT = 1, /* low bits of the prefetchable registers */
    WINDOW_IO32 = 1,  /* and of the I/O ones */
    CONTROL_WRITABLE = 0x0fff & ~0x0400,
    CONTROL_DISCARD_STATUS = 0x0400,
};

static bool in_window(uint64_t base, uint64_t limit, uint64_t first, uint64_t last)
{
    return base <= limit && first >= base && last <= limit;
}

bool pci_bridge_passes(const struct pci_dev *bridge, enum pci_bar_kind kind, uint64_t first,
                       uint64_t last)
{
    const uint8_t *c = bridge->config;
    uint16_t command = ld_le16(c + PCI_COMMAND);
    if (kind == PCI_BAR_IO) {
        uint64_t base =
            (c[BRIDGE_IO_BASE] & 0xf0u) << 8 | (uint32_t)ld_le16(c + BRIDGE_IO_BASE_HIGH) << 16;
        uint64_t limit = (c[BRIDGE_IO_LIMIT] & 0xf0u) << 8 | 0xfff |
                         (uint32_t)ld_le16(c + BRIDGE_IO_LIMIT_HIGH) << 16;
        return command & PCI_COMMAND_IO && in_window(base, limit, first, last);
    }
    if (!(command & PCI_COMMAND_MEMORY))
        return false;
    uint64_t base = (ld_le16(c + BRIDGE_MEM_BASE) & 0xfff0u) << 16;
    uint64_t limit = (ld_le16(c + BRIDGE_MEM_LIMIT) & 0xfff0u) << 16 | 0xfffff;
    if (in_window(base, limit, first, last))
        return true;
    base = (uint32_t)(ld_le16(c + BRIDGE_PREFETCH_BASE) & 0xfff0u) << 16 |
           (uint64_t)ld_le32(c + BRIDGE_PREFETCH_BASE_HIGH) << 32;
    limit = (uint32_t)(ld_le16(c + BRIDGE_PREFETCH_LIMIT) & 0xfff0u) << 16 | 0xfffff |
            (uint64_t)ld_le32(c + BRIDGE_PREFETCH_LIMIT_HIGH) << 32;
    return in_window(base, limit, first, last);
}

static void reset_below(struct pci_bus *bus)
{
    for (unsigned i = 0; i < PCI_FUNCTIONS; i++)
        if (bus->fn[i] && bus->fn[i]->dev.ready)
            device_reset(&bus->fn[i]->dev);
    for (struct pci_bus *c = bus->children; c; c = c->next_child)
        reset_below(c);
}

/* Secondary bus reset, on the edge (§3.2.5.17). */
static void update_control(struct pci_bridge *b)
{
    uint8_t now = b->pci.config[BRIDGE_CONTROL];
    bool edge = now & ~b->control & BRIDGE_CONTROL_RESET;
    b->control = now;
    if (edge)
        reset_below(&b->bus);
}

static bool touches(unsigned off, unsigned size, unsigned first, unsigned end)
{
    return off < end && off + size > first;
}

static void written(struct pci_dev *p, unsigned off, unsigned size)
{
    struct pci_bridge *b = (struct pci_bridge *)p;
    if (touches(off, size, PCI_COMMAND, PCI_COMMAND + 2) ||
        touches(off, size, BRIDGE_IO_BASE, BRIDGE_IO_LIMIT_HIGH + 2))
        pci_bus_update(&b->bus);
    if (touches(off, size, BRIDGE_CONTROL, BRIDGE_CONTROL + 2))
        update_control(b);
    if (b->config_written)
        b->config_written(b, off, size);
}

void pci_bridge_init(struct pci_bridge *b, const struct pci_id *id, bool express)
{
    struct pci_dev *p = &b->pci;
    struct pci_id without_subsystem = *id;
    without_subsystem.subsystem_vendor = without_subsystem.subsystem = 0;
    without_subsystem.class_code = 0x0604;
    pci_dev_init(p, &without_subsystem);
    pci_set_byte(p, PCI_HEADER_TYPE, 1 | p->initial[PCI_HEADER_TYPE]);
    memset(p->writable + BRIDGE_PRIMARY, 0xff, 4); /* bus numbers, latency timer */
    p->writable[BRIDGE_IO_BASE] = p->writable[BRIDGE_IO_LIMIT] = 0xf0;
    pci_set_byte(p, BRIDGE_IO_BASE, WINDOW_IO32);
    pci_set_byte(p, BRIDGE_IO_LIMIT, WINDOW_IO32);
    memset(p->writable + BRIDGE_IO_BASE_HIGH, 0xff, 4);
    for (unsigned r = BRIDGE_MEM_BASE; r <= BRIDGE_PREFETCH_LIMIT; r += 2)
        st_le16(p->writable + r, 0xfff0);
    pci_set_byte(p, BRIDGE_PREFETCH_BASE, WINDOW_64BIT);
    pci_set_byte(p, BRIDGE_PREFETCH_LIMIT, WINDOW_64BIT);
    memset(p->writable + BRIDGE_PREFETCH_BASE_HIGH, 0xff, 8);
    st_le16(p->clears + BRIDGE_SECONDARY_STATUS, PCI_STATUS_W1C);
    st_le16(p->writable + BRIDGE_CONTROL, CONTROL_WRITABLE);
    st_le16(p->clears + BRIDGE_CONTROL, CONTROL_DISCARD_STATUS);
    st_le32(p->writable + PCI_ROM, 0xffffffff); /* I/O base and limit, upper halves */
    st_le32(p->writable + PCI_BRIDGE_ROM, 0);
    p->config_written = written;
    pci_bus_init_secondary(&b->bus, p, NULL, express);
}

void pci_bridge_reset(struct pci_bridge *b)
{
    pci_dev_reset(&b->pci);
    b->control = b->pci.config[BRIDGE_CONTROL];
    pci_bus_update(&b->bus);
}

bool pci_bridge_loaded(struct pci_bridge *b, struct error *err)
{
    if (!pci_dev_loaded(&b->pci, err))
        return false;
    pci_bus_update(&b->bus);
    return true;
}

void pci_bridge_finish(struct pci_bridge *b)
{
    if (b->bus.bridge)
        pci_bus_finish(&b->bus);
    pci_dev_finish(&b->pci);
}

/* --- pci-bridge, i82801b11-bridge, pcie-pci-bridge --- */

struct simple_bridge {
    struct pci_bridge b;
    uint8_t chassis_nr;
    char *msi, *shpc; /* on, off, auto: for those who write them down */
};

static void subsystem(struct pci_dev *p, uint16_t vendor, uint16_t id)
{
    unsigned c = pci_cap_add(p, PCI_CAP_SUBSYSTEM, 8);
    pci_set_word(p, c + 4, vendor);
    pci_set_word(p, c + 6, id);
}

static bool check_hotplug(const struct simple_bridge *s, struct error *err)
{
    if (!s->shpc || strcmp(s->shpc, "on"))
        return true;
    (void)fail(err, ENOTSUP, "shpc=on: there is no hot-plug controller here");
    return fail_hint(err, "use a pcie-root-port, or leave shpc= out");
}

static bool pci_bridge_dev_init(struct device *dev, struct error *err)
{
    enum { CAP_SLOT_ID = 0x04, FIRST_IN_CHASSIS = 0x20 };
    struct simple_bridge *s = (struct simple_bridge *)dev;
    struct pci_dev *p = &s->b.pci;
    if (!check_hotplug(s, err))
        return false;
    pci_bridge_init(&s->b, &(const struct pci_id){ .vendor = 0x1b36, .device = 1, .pin = 1 },
                    false);
    s->b.bus.first_slot = 1; /* as users know it */
    if (s->chassis_nr) {
        unsigned c = pci_cap_add(p, CAP_SLOT_ID, 4);
        pci_set_byte(p, c + 2, FIRST_IN_CHASSIS);
        pci_set_byte(p, c + 3, s->chassis_nr);
    }
    return !s->msi || !strcmp(s->msi, "off") || pci_msi_init(p, 1, err);
}

static bool i82801b11_init(struct device *dev, struct error *err)
{
    struct simple_bridge *s = (struct simple_bridge *)dev;
    pci_bridge_init(&s->b,
                    &(const struct pci_id){ .vendor = 0x8086, .device = 0x244e, .revision = 0x92 },
                    false);
    pci_set_byte(&s->b.pci, PCI_CLASS_PROG, 1); /* subtractive decode */
    subsystem(&s->b.pci, 0, 0);
    return true;
}

static bool pcie_pci_bridge_init(struct device *dev, struct error *err)
{
    struct simple_bridge *s = (struct simple_bridge *)dev;
    if (!check_hotplug(s, err))
        return false;
    s->b.pci.express = true;
    pci_bridge_init(&s->b, &(const struct pci_id){ .vendor = 0x1b36, .device = 0xe, .pin = 1 },
                    false);
    s->b.bus.first_slot = 1;
    pcie_cap_init(&s->b.pci, PCIE_TYPE_TO_PCI_BRIDGE, 0);
    return !s->msi || !strcmp(s->msi, "off") || pci_msi_init(&s->b.pci, 1, err);
}

static void simple_reset(struct device *dev)
{
    pci_bridge_reset((struct pci_bridge *)dev);
}

static bool simple_loaded(struct device *dev, struct error *err)
{
    return pci_bridge_loaded((struct pci_bridge *)dev, err);
}

static void simple_finish(struct device *dev)
{
    pci_bridge_finish((struct pci_bridge *)dev);
}

#define SIMPLE_BRIDGE                                                                              \
    .size = sizeof(struct simple_bridge), .bus = "PCI", .category = DEVICE_BRIDGE,                 \
    .reset = simple_reset, .loaded = simple_loaded, .finish = simple_finish,                       \
    .state = FIELDS(PCI_BRIDGE_STATE(struct simple_bridge))
#define FIELD_MSI                                                                                  \
    FIELD(struct simple_bridge, msi, .doc = "message-signalled interrupts: on, off, auto [auto]")
#define FIELD_SHPC FIELD(struct simple_bridge, shpc, .doc = "hot-plug controller: off, auto [off]")
#define FIELD_CHASSIS                                                                              \
    FIELD(struct simple_bridge, chassis_nr, .doc = "number of the chassis, of each bridge another")

const struct device_type pci_bridge_type = {
    .name = "pci-bridge",
    .doc = "PCI bridge with 31 slots",
    .init = pci_bridge_dev_init,
    .props = FIELDS(FIELD_CHASSIS, FIELD_MSI, FIELD_SHPC),
    SIMPLE_BRIDGE,
};

const struct device_type i82801b11_type = {
    .name = "i82801b11-bridge",
    .doc = "Intel ICH9 DMI to PCI bridge",
    .init = i82801b11_init,
    SIMPLE_BRIDGE,
};

const struct device_type pcie_pci_bridge_type = {
    .name = "pcie-pci-bridge",
    .doc = "PCI Express to PCI bridge with 31 slots",
    .init = pcie_pci_bridge_init,
    .props = FIELDS(FIELD_MSI, FIELD_SHPC),
    SIMPLE_BRIDGE,
};
