/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI buses: slots and who sits in them, expansion ROM images, paths for firmware, and the way of a
 * configuration cycle through the bridges.
 */
#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "base/trace.h"
#include "dev/pci/pci.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SLOTS = 32, SLOT_FUNCTIONS = 8, ROM_MIN = 2048, ROM_MAX = 64 << 20 };

/* --- where a device goes --- */

static bool parse_addr(const char *text, unsigned *ret_devfn, struct error *err)
{
    char *end = NULL;
    unsigned long slot = SLOTS, fn = 0;
    if (g_ascii_isxdigit(*text))
        slot = strtoul(text, &end, 16);
    if (end && *end == '.' && g_ascii_isxdigit(end[1]))
        fn = strtoul(end + 1, &end, 16);
    if (!end || *end || slot >= SLOTS || fn >= SLOT_FUNCTIONS) {
        (void)fail(err, EINVAL, "addr=%s: not a PCI address", text);
        return fail_hint(err, "it is SLOT or SLOT.FUNCTION in hexadecimal: addr=3, addr=1f.2");
    }
    *ret_devfn = PCI_DEVFN(slot, fn);
    return true;
}

static bool slot_is_free(const struct pci_bus *bus, unsigned slot)
{
    for (unsigned fn = 0; fn < SLOT_FUNCTIONS; fn++)
        if (bus->fn[PCI_DEVFN(slot, fn)])
            return false;
    return true;
}

static bool find_slot(const struct pci_bus *bus, unsigned *ret_devfn, struct error *err)
{
    for (unsigned slot = bus->first_slot; slot < bus->slots; slot++) {
        if (slot_is_free(bus, slot)) {
            *ret_devfn = PCI_DEVFN(slot, 0);
            return true;
        }
    }
    (void)fail(err, ENOSPC, "no slot is free on PCI bus '%s'", bus->bus.name);
    return fail_hint(err, bus->express
                              ? "one device goes behind each -device pcie-root-port,id=ID: bus=ID"
                              : "a -device pci-bridge,id=ID,chassis_nr=1 has 31 more: bus=ID");
}

static bool is_multifunction(const struct pci_dev *p)
{
    return p->multifunction || p->initial[PCI_HEADER_TYPE] & PCI_HEADER_MULTI;
}

/* Functions 1 to 7 are looked for only when function 0 says that it has company. */
static bool check_functions(const struct pci_bus *bus, const struct pci_dev *p, unsigned devfn,
                            struct error *err)
{
    const struct pci_dev *first = bus->fn[devfn & ~7u];
    if (devfn & 7) {
        if (!first || is_multifunction(first))
            return true;
        (void)fail(err, EINVAL, "function 0 of slot %02x, '%s', is without multifunction=on",
                   devfn >> 3, first->dev.id);
        return fail_hint(err, "give '%s' multifunction=on too", first->dev.id);
    }
    if (is_multifunction(p) || slot_is_free(bus, devfn >> 3))
        return true;
    (void)fail(err, EINVAL, "slot %02x has other functions already", devfn >> 3);
    return fail_hint(err, "function 0 needs multifunction=on");
}

static bool choose_place(const struct pci_bus *bus, const struct pci_dev *p, unsigned *ret_devfn,
                         struct error *err)
{
    if (!p->addr || !strcmp(p->addr, "-1"))
        return find_slot(bus, ret_devfn, err);
    if (!parse_addr(p->addr, ret_devfn, err))
        return false;
    unsigned slot = *ret_devfn >> 3;
    if (slot >= bus->slots || slot < bus->first_slot) {
        (void)fail(err, EINVAL, "addr=%s: bus '%s' has no such slot", p->addr, bus->bus.name);
        return bus->slots == bus->first_slot + 1
                   ? fail_hint(err, "one device goes there, in slot %x", bus->first_slot)
                   : fail_hint(err, "its slots are %x to %x", bus->first_slot, bus->slots - 1);
    }
    const struct pci_dev *there = bus->fn[*ret_devfn];
    if (there) {
        (void)fail(err, EBUSY, "addr=%s: slot %02x.%x of bus '%s' is taken by '%s' (%s)", p->addr,
                   slot, *ret_devfn & 7, bus->bus.name, there->dev.id, there->dev.type->name);
        return fail_hint(err, "without addr= the next free slot is taken");
    }
    return check_functions(bus, p, *ret_devfn, err);
}

/* --- expansion ROM --- */

static bool read_rom(struct pci_dev *p, FILE *f, const char *path, struct error *err)
{
    struct stat st;
    struct mem *mem = p->bus->mem;
    gra_t gra;
    if (fstat(fileno(f), &st) != 0)
        return fail(err, errno, "romfile '%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > ROM_MAX)
        return fail(err, EINVAL, "romfile '%s': not an expansion ROM image (1 byte to 64 MiB)",
                    path);
    uint64_t size = ROM_MIN;
    while (size < (uint64_t)st.st_size)
        size *= 2;
    if (!mem_ram_alloc(mem, ALIGN_UP(size, MEM_PAGE_SIZE), &gra, err))
        return false;
    uint8_t *rom = mem_ram_base(mem) + gra;
    memset(rom, 0xff, size);
    if (fread(rom, 1, st.st_size, f) != (size_t)st.st_size)
        return fail(err, EIO, "romfile '%s': cannot be read to its end", path);
    mem_region_init_rom(&p->rom, "pci-rom", gra, size);
    return true;
}

static bool rom_hidden(const struct pci_dev *p)
{
    return p->rombar && (!strcmp(p->rombar, "0") || !strcmp(p->rombar, "off"));
}

static bool load_rom(struct pci_dev *p, struct error *err)
{
    const struct pci_bus *root = pci_bus_root(p->bus);
    const char *name = p->romfile ? p->romfile : p->default_rom;
    if (!name || !*name || !p->bus->mem || rom_hidden(p))
        return true;
    AUTO_FREE char *found = strchr(name, '/') || !root->find_rom ? NULL : root->find_rom(name);
    const char *path = found ? found : name;
    FILE *f = fopen(path, "rbe");
    if (!f) {
        if (!p->romfile) /* a boot ROM that the host has not installed */
            return true;
        (void)fail(err, errno, "romfile '%s': %s", name, strerror(errno));
        return fail_hint(err, "romfile= (nothing) starts the device without one");
    }
    bool ok = read_rom(p, f, path, err);
    fclose(f);
    return ok;
}

/* --- struct bus_type --- */

static bool plug(struct device_bus *b, struct device *dev, struct error *err)
{
    struct pci_bus *bus = b->opaque;
    struct pci_dev *p = (struct pci_dev *)dev;
    unsigned devfn = 0;
    assert(!dev->ready);
    if (!choose_place(bus, p, &devfn, err))
        return false;
    p->bus = bus;
    if (!load_rom(p, err)) {
        p->bus = NULL;
        return false;
    }
    p->devfn = devfn;
    bus->fn[devfn] = p;
    if (bus->plugged)
        bus->plugged(bus);
    return true;
}

static void unplug(struct device_bus *b, struct device *dev)
{
    struct pci_bus *bus = b->opaque;
    struct pci_dev *p = (struct pci_dev *)dev;
    if (bus->fn[p->devfn] == p)
        bus->fn[p->devfn] = NULL;
    if (bus->plugged)
        bus->plugged(bus);
}

static void place(const struct device *dev, char *buf, size_t size)
{
    const struct pci_dev *p = (const struct pci_dev *)dev;
    snprintf(buf, size, "%02x.%x", p->devfn >> 3, p->devfn & 7u);
}

/* Names of PCI classes as Open Firmware has them, PCI bus binding 2.1 §2.5. */
static const char *class_name(uint16_t class_code)
{
    static const struct {
        uint16_t class_code;
        const char *name;
    } names[] = {
        { 0x0001, "display" },
        { 0x0100, "scsi" },
        { 0x0101, "ide" },
        { 0x0102, "fdc" },
        { 0x0103, "ipi" },
        { 0x0104, "raid" },
        { 0x0200, "ethernet" },
        { 0x0201, "token-ring" },
        { 0x0202, "fddi" },
        { 0x0203, "atm" },
        { 0x0300, "display" },
        { 0x0400, "video" },
        { 0x0401, "sound" },
        { 0x0403, "sound" },
        { 0x0500, "memory" },
        { 0x0501, "flash" },
        { 0x0600, "host" },
        { 0x0601, "isa" },
        { 0x0602, "eisa" },
        { 0x0603, "mca" },
        { 0x0604, "pci-bridge" },
        { 0x0605, "pcmcia" },
        { 0x0607, "cardbus" },
        { 0x0700, "serial" },
        { 0x0701, "parallel" },
        { 0x0800, "interrupt-controller" },
        { 0x0801, "dma-controller" },
        { 0x0802, "timer" },
        { 0x0803, "rtc" },
        { 0x0c00, "firewire" },
        { 0x0c01, "access-bus" },
        { 0x0c02, "ssa" },
        { 0x0c03, "usb" },
        { 0x0c04, "fibre-channel" },
        { 0x0c05, "smbus" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].class_code == class_code)
            return names[i].name;
    return NULL;
}

static void fw_path(const struct device *dev, char *buf, size_t size)
{
    const struct pci_dev *p = (const struct pci_dev *)dev;
    const char *name = class_name(ld_le16(p->initial + PCI_CLASS));
    char id[16], fn[4] = "";
    if (!name) {
        snprintf(id, sizeof id, "pci%04x,%04x", ld_le16(p->initial + PCI_VENDOR_ID),
                 ld_le16(p->initial + PCI_DEVICE_ID));
        name = id;
    }
    if (p->devfn & 7)
        snprintf(fn, sizeof fn, ",%x", p->devfn & 7u);
    snprintf(buf, size, "%s@%x%s", name, p->devfn >> 3, fn);
}

const struct bus_type pci_bus_type = {
    .name = "PCI",
    .plug = plug,
    .unplug = unplug,
    .props = FIELDS(
        FIELD(struct pci_dev, addr, .doc = "SLOT or SLOT.FUNCTION, hexadecimal [next free slot]"),
        FIELD(struct pci_dev, multifunction, .doc = "the slot has other functions [off]"),
        FIELD(struct pci_dev, romfile, .doc = "expansion ROM image; nothing: none"),
        FIELD(struct pci_dev, rombar, .doc = "0: do not show the ROM [1]")),
    .place = place,
    .fw_path = fw_path,
};

/* --- buses --- */

void pci_bus_init(struct pci_bus *bus, struct device *owner, const char *name, bool express)
{
    bus->express = express;
    bus->slots = SLOTS;
    bus_init(&bus->bus, &pci_bus_type, owner, name, bus);
    bus->bus.fw_root = owner ? NULL : "/pci@i0cf8";
}

void pci_bus_init_secondary(struct pci_bus *bus, struct pci_dev *bridge, const char *name,
                            bool express)
{
    struct pci_bus *parent = bridge->bus;
    bus->bridge = bridge;
    bridge->secondary = bus;
    if (parent) {
        bus->mem = parent->mem;
        bus->io = parent->io;
        bus->bar_priority = parent->bar_priority;
        bus->next_child = parent->children;
        parent->children = bus;
    }
    pci_bus_init(bus, &bridge->dev, name ? name : bridge->dev.id, express);
}

void pci_bus_finish(struct pci_bus *bus)
{
    struct pci_bus *parent = bus->bridge ? bus->bridge->bus : NULL;
    for (struct pci_bus **l = parent ? &parent->children : NULL; l && *l; l = &(*l)->next_child) {
        if (*l == bus) {
            *l = bus->next_child;
            break;
        }
    }
    if (bus->bridge)
        bus->bridge->secondary = NULL;
    bus_finish(&bus->bus);
}

struct pci_bus *pci_bus_root(struct pci_bus *bus)
{
    while (bus->bridge && bus->bridge->bus)
        bus = bus->bridge->bus;
    return bus;
}

void pci_bus_update(struct pci_bus *bus)
{
    if (!bus->mem)
        return;
    mem_begin(bus->mem);
    mem_begin(bus->io);
    for (unsigned i = 0; i < PCI_FUNCTIONS; i++)
        if (bus->fn[i])
            pci_dev_update(bus->fn[i]);
    for (struct pci_bus *c = bus->children; c; c = c->next_child)
        pci_bus_update(c);
    mem_end(bus->io);
    mem_end(bus->mem);
}

void pci_plug(struct pci_bus *bus, struct device *dev, uint8_t devfn)
{
    struct pci_dev *p = (struct pci_dev *)dev;
    struct error err;
    assert(!bus->fn[devfn]);
    free(p->addr);
    p->addr = xasprintf("%x.%x", devfn >> 3, devfn & 7u);
    if (devfn & 7) {
        p->multifunction = true;
        if (bus->fn[devfn & ~7u])
            bus->fn[devfn & ~7u]->multifunction = true;
    }
    bool ok = bus_plug(&bus->bus, dev, &err);
    assert(ok);
}

bool pci_on_link(const struct pci_dev *p)
{
    return p->bus && p->bus->express && p->bus->bridge;
}

/* --- configuration cycles --- */

/* A cycle that is not for this bus goes through the bridge whose range of buses it is in. The tree
 * bounds the depth, whatever numbers a guest wrote. */
static struct pci_dev *find(struct pci_bus *bus, unsigned own_number, uint8_t busno, uint8_t devfn)
{
    enum { SECONDARY = 0x19, SUBORDINATE = 0x1a };
    while (own_number != busno) {
        struct pci_bus *c = bus->children;
        for (; c; c = c->next_child)
            if (c->bridge->config[SECONDARY] && c->bridge->config[SECONDARY] <= busno &&
                busno <= c->bridge->config[SUBORDINATE])
                break;
        if (!c)
            return NULL;
        own_number = c->bridge->config[SECONDARY];
        bus = c;
    }
    return bus->fn[devfn];
}

uint32_t pci_config_read(struct pci_bus *bus, uint8_t busno, uint8_t devfn, unsigned off,
                         unsigned size)
{
    struct pci_dev *p = find(bus, 0, busno, devfn);
    assert(off + size <= PCIE_CONFIG_SIZE);
    uint32_t v = p ? pci_dev_config_read(p, off, size) : BITS(8 * size - 1, 0);
    TRACE(pci, "%02x:%02x.%x +%02x/%u -> %#x", busno, devfn >> 3, devfn & 7u, off, size, v);
    return v;
}

void pci_config_write(struct pci_bus *bus, uint8_t busno, uint8_t devfn, unsigned off,
                      uint32_t value, unsigned size)
{
    struct pci_dev *p = find(bus, 0, busno, devfn);
    assert(off + size <= PCIE_CONFIG_SIZE);
    TRACE(pci, "%02x:%02x.%x +%02x/%u <- %#x", busno, devfn >> 3, devfn & 7u, off, size, value);
    if (p)
        pci_dev_config_write(p, off, value, size);
}
