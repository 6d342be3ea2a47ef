/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI Express ports: root ports, and the two kinds of ports of a switch. Behind a root port or a
 * downstream port is a link with one slot; behind an upstream port the switch's own bus.
 */
#include "base/endian.h"
#include "dev/pci/msi.h"
#include "dev/pci/pcie.h"

#include <errno.h>

enum {
    FLAGS_SLOT = BIT(8),
    LINK_STATUS_ACTIVE = BIT(13),
    SLOT_NUMBER_SHIFT = 19,
    SLOT_NUMBERS = 0x2000,
    SLOT_STATUS_PRESENT = BIT(6),
    SLOT_STATUS_CHANGED = BIT(3),
    SLOT_STATUS_LINK_CHANGED = BIT(8),
    ROOT_CONTROL_BITS = 0x000f,
    ROOT_STATUS_PME = BIT(16),
    CAP_PM_SIZE = 8,
};

struct pcie_port {
    struct pci_bridge b;
    /* constant after init */
    uint8_t cap;
    /* properties */
    uint8_t port, chassis;
    uint16_t slot;
};

static struct pcie_port *port_of(struct pci_dev *p)
{
    return container_of(container_of(p, struct pci_bridge, pci), struct pcie_port, b);
}

/* Whether the slot has something in it shows in slot and link status. */
static void show_presence(struct pcie_port *s)
{
    struct pci_dev *p = &s->b.pci;
    bool here = false;
    for (unsigned fn = 0; fn < 8; fn++)
        here |= s->b.bus.fn[fn] != NULL;
    uint8_t *slot = p->config + s->cap + PCIE_SLOT_STATUS;
    uint8_t *link = p->config + s->cap + PCIE_LINK_STATUS;
    st_le16(slot,
            here ? ld_le16(slot) | SLOT_STATUS_PRESENT : ld_le16(slot) & ~SLOT_STATUS_PRESENT);
    st_le16(link, here ? ld_le16(link) | LINK_STATUS_ACTIVE : ld_le16(link) & ~LINK_STATUS_ACTIVE);
}

static void plugged(struct pci_bus *bus)
{
    show_presence(port_of(bus->bridge));
}

static void slot_init(struct pcie_port *s)
{
    struct pci_dev *p = &s->b.pci;
    unsigned c = s->cap;
    s->b.bus.slots = 1;
    s->b.bus.plugged = plugged;
    pci_set_word(p, c + PCIE_FLAGS, ld_le16(p->initial + c + PCIE_FLAGS) | FLAGS_SLOT);
    pci_set_dword(p, c + PCIE_SLOT_CAP, (uint32_t)s->slot << SLOT_NUMBER_SHIFT);
    st_le16(p->changes + c + PCIE_SLOT_STATUS, SLOT_STATUS_PRESENT);
    st_le16(p->changes + c + PCIE_LINK_STATUS, LINK_STATUS_ACTIVE);
    st_le16(p->clears + c + PCIE_SLOT_STATUS, SLOT_STATUS_CHANGED | SLOT_STATUS_LINK_CHANGED);
}

static void power_init(struct pci_dev *p)
{
    unsigned c = pci_cap_add(p, PCI_CAP_PM, CAP_PM_SIZE);
    pci_set_word(p, c + 2, 0xc803); /* version 3; PME# from D0, D3hot, D3cold */
    p->writable[c + 4] = 0x03;      /* power state */
    pci_set_word(p, c + 4, 0x0008); /* no soft reset */
}

static bool port_init(struct pcie_port *s, const struct pci_id *id, enum pcie_type type,
                      struct error *err)
{
    struct pci_dev *p = &s->b.pci;
    if (p->bus && !p->bus->express) {
        (void)fail(err, EINVAL, "bus '%s' is not PCI Express", p->bus->bus.name);
        return fail_hint(err, "on -machine pc there is none: use -machine q35");
    }
    p->express = true;
    pci_bridge_init(&s->b, id, true);
    power_init(p);
    s->cap = pcie_cap_init(p, type, s->port);
    if (type != PCIE_TYPE_UPSTREAM)
        slot_init(s);
    if (type == PCIE_TYPE_ROOT_PORT) {
        p->writable[s->cap + PCIE_ROOT_CONTROL] = ROOT_CONTROL_BITS;
        st_le32(p->clears + s->cap + PCIE_ROOT_STATUS, ROOT_STATUS_PME);
    }
    return pci_msi_init(p, 1, err);
}

static bool root_port_init(struct device *dev, struct error *err)
{
    struct pcie_port *s = (struct pcie_port *)dev;
    const struct pci_bus *bus = s->b.pci.bus;
    if (bus && bus->bridge) {
        (void)fail(err, EINVAL, "a root port goes on the root bus, not on '%s'", bus->bus.name);
        return fail_hint(err, "use bus=pcie.0");
    }
    return port_init(s, &(const struct pci_id){ .vendor = 0x1b36, .device = 0x000c, .pin = 1 },
                     PCIE_TYPE_ROOT_PORT, err);
}

static bool ioh3420_init(struct device *dev, struct error *err)
{
    return port_init(
        (struct pcie_port *)dev,
        &(const struct pci_id){ .vendor = 0x8086, .device = 0x3420, .revision = 2, .pin = 1 },
        PCIE_TYPE_ROOT_PORT, err);
}

static bool upstream_init(struct device *dev, struct error *err)
{
    return port_init((struct pcie_port *)dev,
                     &(const struct pci_id){ .vendor = 0x104c, .device = 0x8232, .revision = 2 },
                     PCIE_TYPE_UPSTREAM, err);
}

static bool downstream_init(struct device *dev, struct error *err)
{
    struct pcie_port *s = (struct pcie_port *)dev;
    const struct pci_bus *bus = s->b.pci.bus;
    if (bus && !(bus->bridge && bus->bridge->dev.type == &x3130_upstream_type)) {
        (void)fail(err, EINVAL, "a downstream port goes behind an upstream port, not on '%s'",
                   bus->bus.name);
        return fail_hint(err, "-device x3130-upstream,id=ID,bus=PORT first, then bus=ID");
    }
    return port_init(s, &(const struct pci_id){ .vendor = 0x104c, .device = 0x8233, .revision = 1 },
                     PCIE_TYPE_DOWNSTREAM, err);
}

static void port_reset(struct device *dev)
{
    struct pcie_port *s = (struct pcie_port *)dev;
    pci_bridge_reset(&s->b);
    if (s->b.bus.plugged)
        show_presence(s);
}

static bool port_loaded(struct device *dev, struct error *err)
{
    struct pcie_port *s = (struct pcie_port *)dev;
    if (!pci_bridge_loaded(&s->b, err))
        return false;
    if (s->b.bus.plugged)
        show_presence(s);
    return true;
}

static void port_finish(struct device *dev)
{
    pci_bridge_finish((struct pci_bridge *)dev);
}

#define PCIE_PORT                                                                                  \
    .size = sizeof(struct pcie_port), .bus = "PCI", .category = DEVICE_BRIDGE,                     \
    .reset = port_reset, .loaded = port_loaded, .finish = port_finish,                             \
    .state = FIELDS(PCI_BRIDGE_STATE(struct pcie_port))
#define SLOT_PROPS                                                                                 \
    FIELD(struct pcie_port, port, .doc = "number of the port in its link capability [0]"),         \
        FIELD(struct pcie_port, chassis, .doc = "number of the chassis [0]"),                      \
        FIELD(struct pcie_port, slot, .max = SLOT_NUMBERS - 1, .doc = "number of the slot [0]")

const struct device_type pcie_root_port_type = {
    .name = "pcie-root-port",
    .doc = "PCI Express root port: a slot for one device",
    .init = root_port_init,
    .props = FIELDS(SLOT_PROPS),
    PCIE_PORT,
};

const struct device_type ioh3420_type = {
    .name = "ioh3420",
    .doc = "Intel 3420 PCI Express root port",
    .init = ioh3420_init,
    .props = FIELDS(SLOT_PROPS),
    PCIE_PORT,
};

const struct device_type x3130_upstream_type = {
    .name = "x3130-upstream",
    .doc = "TI X3130 upstream port of a PCI Express switch",
    .init = upstream_init,
    PCIE_PORT,
};

const struct device_type xio3130_downstream_type = {
    .name = "xio3130-downstream",
    .doc = "TI X3130 downstream port of a PCI Express switch",
    .init = downstream_init,
    .props = FIELDS(SLOT_PROPS),
    PCIE_PORT,
};
