/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PCI function's configuration space (PCI Local Bus 3.0 chapter 6). Registers are bytes with a
 * mask of writable and a mask of write-one-to-clear bits; what a write means beyond that (BARs,
 * command bits) is derived from the bytes afterwards.
 */
#include "dev/pci/pci.h"

#include "base/endian.h"
#include "base/trace.h"
#include "dev/pci/msi.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned bar_offset(unsigned n)
{
    return PCI_BAR0 + 4 * n;
}

static bool bar_is_64(enum pci_bar_kind kind)
{
    return kind == PCI_BAR_MEM64 || kind == PCI_BAR_MEM64_PREFETCH;
}

static bool is_bridge(const struct pci_dev *p)
{
    return p->config[PCI_HEADER_TYPE] & 1;
}

/* Do all bridges between the function and the root pass this range? */
static bool passes_bridges(const struct pci_dev *p, enum pci_bar_kind kind, uint64_t addr,
                           uint64_t last)
{
    for (const struct pci_dev *b = p->bus->bridge; b; b = b->bus->bridge) {
        if (!pci_bridge_passes(b, kind, addr, last))
            return false;
        if (!b->bus)
            return false;
    }
    return true;
}

/* The address a BAR decodes now, or UINT64_MAX: disabled, unset, or being sized with all ones. */
static uint64_t bar_address(const struct pci_dev *p, unsigned n)
{
    const struct pci_bar *bar = &p->bars[n];
    uint16_t command = ld_le16(p->config + PCI_COMMAND);
    bool io = bar->kind == PCI_BAR_IO;
    if (!(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
        return UINT64_MAX;
    uint64_t addr = ld_le32(p->config + bar_offset(n)) & (io ? ~UINT32_C(3) : ~UINT32_C(15));
    if (bar_is_64(bar->kind))
        addr |= (uint64_t)ld_le32(p->config + bar_offset(n + 1)) << 32;
    uint64_t last = addr + bar->region->size - 1;
    uint64_t end = io ? UINT16_MAX : bar_is_64(bar->kind) ? BITS(51, 0) : UINT32_MAX;
    if (addr == 0 || last < addr || last >= end || !passes_bridges(p, bar->kind, addr, last))
        return UINT64_MAX;
    return addr;
}

static uint64_t rom_address(const struct pci_dev *p)
{
    uint32_t reg = ld_le32(p->config + (is_bridge(p) ? PCI_BRIDGE_ROM : PCI_ROM));
    uint64_t addr = reg & ~(p->rom.size - 1), last = addr + p->rom.size - 1;
    if (!(reg & PCI_ROM_ENABLE) || !(p->config[PCI_COMMAND] & PCI_COMMAND_MEMORY) || !addr ||
        last >= UINT32_MAX || !passes_bridges(p, PCI_BAR_MEM32, addr, last))
        return UINT64_MAX;
    return addr;
}

static void place(struct mem *space, struct mem_region *r, uint64_t addr, int priority)
{
    if (addr == UINT64_MAX)
        mem_unmap(r);
    else if (r->mem != space || r->base != addr)
        mem_map(space, addr, r, priority);
}

static void update_bars(struct pci_dev *p)
{
    if (!p->bus || !p->bus->mem || !p->bus->io)
        return;
    int priority = p->bus->bar_priority;
    mem_begin(p->bus->mem);
    mem_begin(p->bus->io);
    for (unsigned n = 0; n < PCI_BARS; n++) {
        const struct pci_bar *bar = &p->bars[n];
        if (bar->kind == PCI_BAR_NONE)
            continue;
        uint64_t addr = bar_address(p, n);
        struct mem *space = bar->kind == PCI_BAR_IO ? p->bus->io : p->bus->mem;
        place(space, bar->region, addr, priority);
        for (unsigned i = 0; i < PCI_OVERLAYS && bar->over[i].region; i++)
            place(space, bar->over[i].region, addr == UINT64_MAX ? addr : addr + bar->over[i].off,
                  priority + 1);
    }
    if (p->rom.size)
        place(p->bus->mem, &p->rom, rom_address(p), priority + 1);
    mem_end(p->bus->io);
    mem_end(p->bus->mem);
}

/* --- INTx --- */

/* A pin goes up through bridges, turned by the slot at each (PCI-PCI Bridge 1.2 §9.1), to a route
 * of the root bus. */
static struct pci_bus *find_route(const struct pci_dev *p, uint8_t *ret_route)
{
    unsigned pin = (p->config[PCI_INTERRUPT_PIN] - 1) & 3;
    struct pci_bus *bus = p->bus;
    while (bus && bus->bridge) {
        pin = (pin + (p->devfn >> 3)) & 3;
        p = bus->bridge;
        bus = p->bus;
    }
    if (!bus || !bus->route)
        return NULL;
    *ret_route = bus->route(bus, p->devfn >> 3, pin) & (PCI_ROUTES_MAX - 1);
    return bus;
}

static void drive(struct pci_dev *p, bool level)
{
    struct pci_bus *root = p->bus ? pci_bus_root(p->bus) : NULL;
    if (p->driving) {
        p->driving = false;
        if (root && --root->asserted[p->route] == 0 && !level)
            irq_lower(&root->out[p->route]);
    }
    if (!level || !(root = p->bus ? find_route(p, &p->route) : NULL))
        return;
    p->driving = true;
    root->asserted[p->route]++;
    irq_raise(&root->out[p->route]);
}

static void update_intx(struct pci_dev *p)
{
    uint16_t command = ld_le16(p->config + PCI_COMMAND);
    if (p->intx)
        p->config[PCI_STATUS] |= PCI_STATUS_INTX;
    else
        p->config[PCI_STATUS] &= ~PCI_STATUS_INTX;
    bool level = p->intx && p->config[PCI_INTERRUPT_PIN] && !(command & PCI_COMMAND_NO_INTX) &&
                 !p->msi.msi_on && !p->msi.msix_on;
    if (level != p->driving)
        drive(p, level);
}

void pci_intx(struct pci_dev *p, bool level)
{
    if (p->intx == level)
        return;
    p->intx = level;
    update_intx(p);
}

static void reroute(struct pci_dev *p)
{
    uint8_t route;
    if (!p->driving || (find_route(p, &route) && route == p->route))
        return;
    struct pci_bus *root = pci_bus_root(p->bus);
    p->driving = false;
    if (--root->asserted[p->route] == 0)
        irq_lower(&root->out[p->route]);
    update_intx(p);
}

void pci_bus_reroute(struct pci_bus *bus)
{
    for (unsigned i = 0; i < PCI_FUNCTIONS; i++)
        if (bus->fn[i])
            reroute(bus->fn[i]);
    for (struct pci_bus *c = bus->children; c; c = c->next_child)
        pci_bus_reroute(c);
}

/* --- life --- */

void pci_dev_update(struct pci_dev *p)
{
    update_intx(p);
    update_bars(p);
}

void pci_set_byte(struct pci_dev *p, unsigned off, uint8_t value)
{
    assert(off < PCIE_CONFIG_SIZE);
    p->initial[off] = p->config[off] = value;
}

void pci_set_word(struct pci_dev *p, unsigned off, uint16_t value)
{
    pci_set_byte(p, off, value);
    pci_set_byte(p, off + 1, value >> 8);
}

void pci_set_dword(struct pci_dev *p, unsigned off, uint32_t value)
{
    pci_set_word(p, off, value);
    pci_set_word(p, off + 2, value >> 16);
}

/* A shared ROM image gets the identity of the function that it is in front of, since firmware
 * compares them, and the sum of its bytes is put right by its checksum byte (PCI 3.0 §6.3.1). */
static void adapt_rom(struct pci_dev *p)
{
    enum { ROM_CHECKSUM = 6, ROM_POINTER = 0x18, DATA_VENDOR = 4, DATA_DEVICE = 6, DATA_SIZE = 24 };
    uint8_t *rom = mem_ram_base(p->bus->mem) + p->rom.gra;
    if (p->rom.size < 64 || ld_le16(rom) != 0xaa55)
        return;
    unsigned at = ld_le16(rom + ROM_POINTER);
    if (at + DATA_SIZE > p->rom.size || memcmp(rom + at, "PCIR", 4) != 0)
        return;
    uint8_t *ids = rom + at + DATA_VENDOR;
    uint8_t before = ids[0] + ids[1] + ids[2] + ids[3];
    memcpy(ids, p->config + PCI_VENDOR_ID, 4);
    rom[ROM_CHECKSUM] += before - (uint8_t)(ids[0] + ids[1] + ids[2] + ids[3]);
}

void pci_dev_init(struct pci_dev *p, const struct pci_id *id)
{
    pthread_mutex_init(&p->msi.lock, NULL);
    pci_set_word(p, PCI_VENDOR_ID, id->vendor);
    pci_set_word(p, PCI_DEVICE_ID, id->device);
    pci_set_word(p, PCI_CLASS, id->class_code);
    pci_set_byte(p, PCI_CLASS_PROG, id->prog_if);
    pci_set_byte(p, PCI_REVISION, id->revision);
    pci_set_word(p, PCI_SUBSYSTEM_VENDOR, id->subsystem_vendor);
    pci_set_word(p, PCI_SUBSYSTEM_ID, id->subsystem);
    pci_set_byte(p, PCI_INTERRUPT_PIN, id->pin);
    pci_set_byte(p, PCI_HEADER_TYPE, p->multifunction ? PCI_HEADER_MULTI : 0);
    st_le16(p->writable + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                                           PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
                                           PCI_COMMAND_NO_INTX);
    st_le16(p->clears + PCI_STATUS, PCI_STATUS_W1C);
    p->changes[PCI_STATUS] = PCI_STATUS_INTX;
    p->writable[PCI_INTERRUPT_LINE] = 0xff;
    p->writable[PCI_CACHE_LINE] = 0xff;
    if (p->rom.size) {
        st_le32(p->writable + PCI_ROM, (uint32_t) ~(p->rom.size - 1) | PCI_ROM_ENABLE);
        adapt_rom(p);
    }
}

void pci_bar_add(struct pci_dev *p, unsigned n, enum pci_bar_kind kind, struct mem_region *region)
{
    assert(n + bar_is_64(kind) < PCI_BARS && is_pow2(region->size));
    static const uint8_t low_bits[] = { [PCI_BAR_IO] = 1,
                                        [PCI_BAR_MEM64] = 4,
                                        [PCI_BAR_MEM64_PREFETCH] = 12,
                                        [PCI_BAR_MEM32_PREFETCH] = 8 };
    unsigned off = bar_offset(n);
    uint64_t mask = ~(region->size - 1);
    p->bars[n] = (struct pci_bar){ .kind = kind, .region = region };
    pci_set_byte(p, off, low_bits[kind]);
    st_le32(p->writable + off,
            (uint32_t)mask & (kind == PCI_BAR_IO ? ~UINT32_C(3) : ~UINT32_C(15)));
    if (bar_is_64(kind))
        st_le32(p->writable + off + 4, mask >> 32);
}

void pci_bar_overlay(struct pci_dev *p, unsigned n, struct mem_region *region, uint64_t off)
{
    struct pci_bar *bar = &p->bars[n];
    unsigned i = 0;
    assert(bar->kind != PCI_BAR_NONE && off + region->size <= bar->region->size);
    while (i < PCI_OVERLAYS && bar->over[i].region)
        i++;
    assert(i < PCI_OVERLAYS);
    bar->over[i].region = region;
    bar->over[i].off = off;
}

void pci_dev_reset(struct pci_dev *p)
{
    memcpy(p->config, p->initial, p->express ? PCIE_CONFIG_SIZE : PCI_CONFIG_SIZE);
    p->intx = false;
    pci_msi_reset(p);
    pci_dev_update(p);
}

bool pci_dev_loaded(struct pci_dev *p, struct error *err)
{
    for (unsigned i = 0; i < PCIE_CONFIG_SIZE; i++)
        if ((p->config[i] ^ p->initial[i]) & ~(p->writable[i] | p->clears[i] | p->changes[i]))
            return fail(err, EINVAL, "PCI device '%s': read-only configuration byte %#x differs",
                        p->dev.id, i);
    pci_msi_follow(p);
    pci_dev_update(p);
    return true;
}

void pci_dev_finish(struct pci_dev *p)
{
    free(p->addr); /* of a part of the board, whose type has no bus and no properties of one */
    p->addr = NULL;
    for (unsigned n = 0; n < PCI_BARS; n++) {
        struct pci_bar *bar = &p->bars[n];
        if (bar->region)
            mem_unmap(bar->region);
        for (unsigned i = 0; i < PCI_OVERLAYS && bar->over[i].region; i++)
            mem_unmap(bar->over[i].region);
    }
    if (p->rom.size)
        mem_unmap(&p->rom);
    if (p->driving)
        drive(p, false);
    pci_msi_finish(p);
    if (p->bus && p->bus->fn[p->devfn] == p)
        p->bus->fn[p->devfn] = NULL;
}

struct mem *pci_dma(struct pci_dev *p)
{
    return ld_le16(p->config + PCI_COMMAND) & PCI_COMMAND_MASTER ? p->dev.ctx.dma : NULL;
}

/* --- capabilities --- */

static uint64_t dwords(unsigned off, unsigned size)
{
    unsigned first = off / 4, last = (off + size - 1) / 4;
    return BITS(last, first);
}

void pci_config_reserve(struct pci_dev *p, unsigned off, unsigned size)
{
    assert(off >= 0x40 && size && off + size <= PCI_CONFIG_SIZE);
    p->caps_used |= dwords(off, size);
}

unsigned pci_cap_add_at(struct pci_dev *p, uint8_t id, unsigned off, unsigned size)
{
    assert(off % 4 == 0 && off >= 0x40 && off + size <= PCI_CONFIG_SIZE);
    assert(!(p->caps_used & dwords(off, size)));
    p->caps_used |= dwords(off, size);
    pci_set_byte(p, off, id);
    pci_set_byte(p, off + 1, p->initial[PCI_CAPABILITIES]);
    pci_set_byte(p, PCI_CAPABILITIES, off);
    pci_set_byte(p, PCI_STATUS, p->initial[PCI_STATUS] | PCI_STATUS_CAPS);
    return off;
}

unsigned pci_cap_add(struct pci_dev *p, uint8_t id, unsigned size)
{
    unsigned off = 0x40;
    while (off + size < PCI_CONFIG_SIZE && p->caps_used & dwords(off, size))
        off += 4;
    return pci_cap_add_at(p, id, off, size);
}

/* --- access --- */

static unsigned config_size(const struct pci_dev *p)
{
    return p->express ? PCIE_CONFIG_SIZE : PCI_CONFIG_SIZE;
}

uint32_t pci_dev_config_read(struct pci_dev *p, unsigned off, unsigned size)
{
    uint32_t v = 0;
    if (off + size > config_size(p))
        return BITS(8 * size - 1, 0);
    if (p->config_read)
        p->config_read(p, off, size);
    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)p->config[off + i] << (8 * i);
    return v;
}

void pci_dev_config_write(struct pci_dev *p, unsigned off, uint32_t value, unsigned size)
{
    unsigned rom = is_bridge(p) ? PCI_BRIDGE_ROM : PCI_ROM;
    if (off + size > config_size(p))
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t v = value >> (8 * i), w = p->writable[off + i];
        uint8_t *c = &p->config[off + i];
        *c = (*c & ~w) | (v & w);
        *c &= ~(v & p->clears[off + i]);
    }
    pci_msi_config_written(p, off, size);
    if (off < PCI_STATUS + 2 && off + size > PCI_COMMAND)
        pci_dev_update(p);
    else if ((off < PCI_BAR0 + 4 * PCI_BARS && off + size > PCI_BAR0) ||
             (off < rom + 4 && off + size > rom))
        update_bars(p);
    if (p->config_written)
        p->config_written(p, off, size);
}
