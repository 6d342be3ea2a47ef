/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI bus and type-0 configuration space (PCI Local Bus 3.0 chapter 6). Registers are bytes with a
 * mask of writable and a mask of write-one-to-clear bits; what a write means beyond that (BARs,
 * command bits) is derived from the bytes afterwards.
 */
#include "dev/pci/pci.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/trace.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static unsigned bar_offset(unsigned n)
{
    return PCI_BAR0 + 4 * n;
}

static bool bar_is_64(enum pci_bar_kind kind)
{
    return kind == PCI_BAR_MEM64 || kind == PCI_BAR_MEM64_PREFETCH;
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
    return addr == 0 || last < addr || last >= end ? UINT64_MAX : addr;
}

static void update_bars(struct pci_dev *p)
{
    if (!p->bus)
        return;
    for (unsigned n = 0; n < PCI_BARS; n++) {
        const struct pci_bar *bar = &p->bars[n];
        if (bar->kind == PCI_BAR_NONE)
            continue;
        uint64_t addr = bar_address(p, n);
        struct mem *space = bar->kind == PCI_BAR_IO ? p->bus->io : p->bus->mem;
        if (addr == UINT64_MAX)
            mem_unmap(bar->region);
        else if (bar->region->mem != space || bar->region->base != addr)
            mem_map(space, addr, bar->region, p->bus->bar_priority);
    }
}

static void update_intx(struct pci_dev *p)
{
    uint16_t command = ld_le16(p->config + PCI_COMMAND);
    uint8_t pin = p->config[PCI_INTERRUPT_PIN];
    struct pci_bus *bus = p->bus;
    bool level = p->intx && pin && !(command & PCI_COMMAND_NO_INTX);
    if (p->intx)
        p->config[PCI_STATUS] |= PCI_STATUS_INTX;
    else
        p->config[PCI_STATUS] &= ~PCI_STATUS_INTX;
    if (!bus || !pin)
        return;
    unsigned r = bus->route(p->devfn >> 3, (pin - 1) & 3);
    unsigned drivers = 0;
    for (unsigned i = 0; i < PCI_FUNCTIONS; i++) {
        const struct pci_dev *q = bus->fn[i];
        if (!q || q == p || !q->intx || !q->config[PCI_INTERRUPT_PIN])
            continue;
        if (ld_le16(q->config + PCI_COMMAND) & PCI_COMMAND_NO_INTX)
            continue;
        drivers += bus->route(i >> 3, (q->config[PCI_INTERRUPT_PIN] - 1) & 3) == r;
    }
    bus->asserted[r] = drivers + level;
    irq_set(&bus->out[r], bus->asserted[r] != 0);
}

void pci_intx(struct pci_dev *p, bool level)
{
    if (p->intx == level)
        return;
    p->intx = level;
    update_intx(p);
}

void pci_set_byte(struct pci_dev *p, unsigned off, uint8_t value)
{
    p->initial[off] = p->config[off] = value;
}

void pci_set_word(struct pci_dev *p, unsigned off, uint16_t value)
{
    pci_set_byte(p, off, value);
    pci_set_byte(p, off + 1, value >> 8);
}

void pci_dev_init(struct pci_dev *p, const struct pci_id *id)
{
    pci_set_word(p, PCI_VENDOR_ID, id->vendor);
    pci_set_word(p, PCI_DEVICE_ID, id->device);
    pci_set_word(p, PCI_CLASS, id->class_code);
    pci_set_byte(p, PCI_CLASS_PROG, id->prog_if);
    pci_set_byte(p, PCI_REVISION, id->revision);
    pci_set_word(p, PCI_SUBSYSTEM_VENDOR, id->subsystem_vendor);
    pci_set_word(p, PCI_SUBSYSTEM_ID, id->subsystem);
    pci_set_byte(p, PCI_INTERRUPT_PIN, id->pin);
    st_le16(p->writable + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                                           PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
                                           PCI_COMMAND_NO_INTX);
    st_le16(p->clears + PCI_STATUS, PCI_STATUS_W1C);
    p->writable[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_bar_add(struct pci_dev *p, unsigned n, enum pci_bar_kind kind, struct mem_region *region)
{
    assert(n + bar_is_64(kind) < PCI_BARS && is_pow2(region->size));
    static const uint8_t low_bits[] = {
        [PCI_BAR_IO] = 1, [PCI_BAR_MEM64] = 4, [PCI_BAR_MEM64_PREFETCH] = 12
    };
    unsigned off = bar_offset(n);
    uint64_t mask = ~(region->size - 1);
    p->bars[n] = (struct pci_bar){ kind, region };
    pci_set_byte(p, off, kind == PCI_BAR_MEM32 ? 0 : low_bits[kind]);
    st_le32(p->writable + off,
            (uint32_t)mask & (kind == PCI_BAR_IO ? ~UINT32_C(3) : ~UINT32_C(15)));
    if (bar_is_64(kind))
        st_le32(p->writable + off + 4, mask >> 32);
}

void pci_dev_reset(struct pci_dev *p)
{
    memcpy(p->config, p->initial, sizeof p->config);
    p->intx = false;
    update_intx(p);
    update_bars(p);
}

bool pci_dev_loaded(struct pci_dev *p, struct error *err)
{
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
        if ((p->config[i] ^ p->initial[i]) & ~(p->writable[i] | p->clears[i]) && i != PCI_STATUS)
            return fail(err, EINVAL, "PCI device '%s': read-only configuration byte %#x differs",
                        p->dev.id, i);
    update_intx(p);
    update_bars(p);
    return true;
}

void pci_dev_finish(struct pci_dev *p)
{
    for (unsigned n = 0; n < PCI_BARS; n++)
        if (p->bars[n].region)
            mem_unmap(p->bars[n].region);
    if (p->bus && p->bus->fn[p->devfn] == p)
        p->bus->fn[p->devfn] = NULL;
}

void pci_plug(struct pci_bus *bus, struct device *dev, uint8_t devfn)
{
    struct pci_dev *p = (struct pci_dev *)dev;
    assert(!bus->fn[devfn] && !dev->ready);
    p->bus = bus;
    p->devfn = devfn;
    bus->fn[devfn] = p;
}

struct mem *pci_dma(struct pci_dev *p)
{
    return ld_le16(p->config + PCI_COMMAND) & PCI_COMMAND_MASTER ? p->dev.ctx.dma : NULL;
}

static struct pci_dev *find(struct pci_bus *bus, uint8_t busno, uint8_t devfn)
{
    return busno == 0 ? bus->fn[devfn] : NULL;
}

uint32_t pci_config_read(struct pci_bus *bus, uint8_t busno, uint8_t devfn, uint8_t off,
                         unsigned size)
{
    struct pci_dev *p = find(bus, busno, devfn);
    uint32_t v = 0;
    assert(off + size <= PCI_CONFIG_SIZE);
    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)(p ? p->config[off + i] : 0xff) << (8 * i);
    TRACE(pci, "%02x:%02x.%x +%02x/%u -> %#x", busno, devfn >> 3, devfn & 7, off, size, v);
    return v;
}

void pci_config_write(struct pci_bus *bus, uint8_t busno, uint8_t devfn, uint8_t off,
                      uint32_t value, unsigned size)
{
    struct pci_dev *p = find(bus, busno, devfn);
    assert(off + size <= PCI_CONFIG_SIZE);
    TRACE(pci, "%02x:%02x.%x +%02x/%u <- %#x", busno, devfn >> 3, devfn & 7, off, size, value);
    if (!p)
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t v = value >> (8 * i), w = p->writable[off + i];
        uint8_t *c = &p->config[off + i];
        *c = (*c & ~w) | (v & w);
        *c &= ~(v & p->clears[off + i]);
    }
    if (off < PCI_STATUS + 2 && off + size > PCI_COMMAND) {
        update_intx(p);
        update_bars(p);
    } else if (off < PCI_ROM + 4 && off + size > PCI_BAR0) {
        update_bars(p);
    }
    if (p->config_written)
        p->config_written(p, off, size);
}
