/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82441FX host bridge (datasheet 290549). A shadow segment has two bits: reads from RAM,
 * writes to RAM. Both: plain RAM. Read only: a ROM region over the same RAM (writes go to PCI and
 * are lost). Write only: a register region whose reads come from the PCI side. Neither: nothing is
 * mapped and the PCI side shows.
 */
#include "dev/pci/i440fx.h"

#include "base/bits.h"

#include <string.h>

enum {
    SEGMENTS = 13,
    SEG_READ = 1,
    SEG_WRITE = 2,
    SMRAM_OPEN = 0x40,
    SMRAM_CLOSED = 0x20,
    SMRAM_LOCK = 0x10,
    SMRAM_ENABLE = 0x08,
    SMRAM_BASE = 0xa0000,
    SMRAM_SIZE = 0x20000,
    CONFIG_ENABLE_BIT = 31,
};

struct segment {
    struct i440fx *chip;
    gpa_t base;
    struct mem_region ram, rom, write_only;
    uint8_t mode;
};

struct i440fx {
    struct pci_dev pci;
    struct i440fx_wiring w;
    struct segment seg[SEGMENTS];
    struct mem_region smram;
    uint32_t address; /* 0xcf8 */
};

static uint8_t *ram_at(struct i440fx *h, gpa_t a)
{
    return mem_ram_base(h->w.mem) + h->w.low_ram + a;
}

static uint64_t write_only_read(void *opaque, uint64_t off, unsigned size)
{
    const struct segment *s = opaque;
    const struct i440fx_wiring *w = &s->chip->w;
    gpa_t a = s->base + off;
    return w->rom && a >= w->rom_base ? w->rom[a - w->rom_base] : 0xff;
}

static void write_only_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    const struct segment *s = opaque;
    *ram_at(s->chip, s->base + off) = val;
    mem_written(s->chip->w.mem, s->chip->w.low_ram + s->base + off, 1);
}

static const struct mem_io_ops write_only_ops = {
    .read = write_only_read, .write = write_only_write, .min_size = 1, .max_size = 1
};

/* PAM0 bits 5:4 are 0xf0000 (64 KiB); PAM1..6 have two 16 KiB segments each from 0xc0000. */
static uint8_t segment_mode(const struct i440fx *h, unsigned i)
{
    const uint8_t *pam = h->pci.config + I440FX_PAM0;
    if (i == SEGMENTS - 1)
        return pam[0] >> 4 & 3;
    return pam[1 + i / 2] >> (i % 2 * 4) & 3;
}

static void show_segment(struct i440fx *h, struct segment *s, uint8_t mode)
{
    static const size_t region_of[] = { 0, offsetof(struct segment, rom),
                                        offsetof(struct segment, write_only),
                                        offsetof(struct segment, ram) };
    if (s->mode)
        mem_unmap((struct mem_region *)((char *)s + region_of[s->mode]));
    s->mode = mode;
    if (mode)
        mem_map(h->w.mem, s->base, (struct mem_region *)((char *)s + region_of[mode]),
                h->w.priority);
}

static void update_map(struct i440fx *h)
{
    if (!h->w.mem)
        return;
    mem_begin(h->w.mem);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        uint8_t mode = segment_mode(h, i);
        if (h->seg[i].mode != mode)
            show_segment(h, &h->seg[i], mode);
    }
    uint8_t smram = h->pci.config[I440FX_SMRAM];
    bool open = (smram & SMRAM_ENABLE) && (smram & SMRAM_OPEN) && !(smram & SMRAM_CLOSED);
    if (open && !h->smram.mem)
        mem_map(h->w.mem, SMRAM_BASE, &h->smram, h->w.priority);
    else if (!open)
        mem_unmap(&h->smram);
    mem_end(h->w.mem);
}

/* Once locked, SMRAM is closed and its register read-only until reset (§3.2.22). */
static void update_smram_lock(struct i440fx *h)
{
    bool locked = h->pci.config[I440FX_SMRAM] & SMRAM_LOCK;
    h->pci.writable[I440FX_SMRAM] = locked ? 0 : 0x78;
    if (locked)
        h->pci.config[I440FX_SMRAM] &= ~SMRAM_OPEN;
}

static void config_written(struct pci_dev *p, unsigned off, unsigned size)
{
    struct i440fx *h = (struct i440fx *)p;
    bool pam = off < I440FX_PAM0 + I440FX_PAMS && off + size > I440FX_PAM0;
    bool smram = off <= I440FX_SMRAM && off + size > I440FX_SMRAM;
    if (smram)
        update_smram_lock(h);
    if (pam || smram)
        update_map(h);
}

static void init_regions(struct i440fx *h)
{
    for (unsigned i = 0; i < SEGMENTS; i++) {
        struct segment *s = &h->seg[i];
        uint64_t size = i == SEGMENTS - 1 ? 0x10000 : 0x4000;
        s->chip = h;
        s->base = i == SEGMENTS - 1 ? 0xf0000 : 0xc0000 + i * UINT64_C(0x4000);
        mem_region_init_ram(&s->ram, "shadow-ram", h->w.low_ram + s->base, size);
        mem_region_init_rom(&s->rom, "shadow-rom", h->w.low_ram + s->base, size);
        mem_region_init_io(&s->write_only, "shadow-write", &write_only_ops, s, size);
    }
    mem_region_init_ram(&h->smram, "smram", h->w.low_ram + SMRAM_BASE, SMRAM_SIZE);
}

static bool i440fx_init(struct device *dev, struct error *err)
{
    struct i440fx *h = (struct i440fx *)dev;
    /* The subsystem is what firmware recognises a QEMU-compatible machine by. */
    pci_dev_init(&h->pci, &(const struct pci_id){ .vendor = 0x8086,
                                                  .device = 0x1237,
                                                  .class_code = 0x0600,
                                                  .revision = 2,
                                                  .subsystem_vendor = 0x1af4,
                                                  .subsystem = 0x1100 });
    pci_set_byte(&h->pci, PCI_STATUS + 1, 0x02); /* medium DEVSEL */
    pci_set_byte(&h->pci, I440FX_SMRAM, 0x02);
    memset(h->pci.writable + I440FX_PAM0, 0x33, I440FX_PAMS);
    h->pci.writable[I440FX_PAM0] = 0x30;
    h->pci.writable[PCI_LATENCY] = 0xf8;
    h->pci.config_written = config_written;
    if (h->w.mem)
        init_regions(h);
    return true;
}

static void i440fx_reset(struct device *dev)
{
    struct i440fx *h = (struct i440fx *)dev;
    h->address = 0;
    pci_dev_reset(&h->pci);
    update_smram_lock(h);
    update_map(h);
}

static bool i440fx_loaded(struct device *dev, struct error *err)
{
    struct i440fx *h = (struct i440fx *)dev;
    update_smram_lock(h);
    h->pci.writable[I440FX_SMRAM] |= 0x78; /* for the check: any value of it may have been saved */
    bool ok = pci_dev_loaded(&h->pci, err);
    update_smram_lock(h);
    update_map(h);
    return ok;
}

static void i440fx_finish(struct device *dev)
{
    struct i440fx *h = (struct i440fx *)dev;
    for (unsigned i = 0; i < SEGMENTS && h->w.mem; i++)
        show_segment(h, &h->seg[i], 0);
    mem_unmap(&h->smram);
    pci_dev_finish(&h->pci);
}

/* Port 0xcf8 answers 32-bit accesses only; byte 1 alone is the reset control register. */
static uint64_t address_read(struct device *dev, uint64_t off, unsigned size)
{
    struct i440fx *h = (struct i440fx *)dev;
    if (size == 4)
        return h->address;
    if (off == 1 && size == 1 && h->w.reset_control_read)
        return h->w.reset_control_read(h->w.reset_control_opaque);
    return BITS(size * 8 - 1, 0);
}

static void address_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct i440fx *h = (struct i440fx *)dev;
    if (size == 4)
        h->address = val & 0x80fffffc;
    else if (off == 1 && size == 1 && h->w.reset_control_write)
        h->w.reset_control_write(h->w.reset_control_opaque, val);
}

static uint64_t data_read(struct device *dev, uint64_t off, unsigned size)
{
    struct i440fx *h = (struct i440fx *)dev;
    if (!h->w.bus || !(h->address & BIT(CONFIG_ENABLE_BIT)))
        return BITS(size * 8 - 1, 0);
    return pci_config_read(h->w.bus, h->address >> 16, h->address >> 8, (h->address & 0xfc) + off,
                           size);
}

static void data_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct i440fx *h = (struct i440fx *)dev;
    if (h->w.bus && h->address & BIT(CONFIG_ENABLE_BIT))
        pci_config_write(h->w.bus, h->address >> 16, h->address >> 8, (h->address & 0xfc) + off,
                         val, size);
}

void i440fx_wire(struct device *dev, const struct i440fx_wiring *w)
{
    ((struct i440fx *)dev)->w = *w;
}

static const struct device_window windows[] = {
    { .name = "address",
      .space = WINDOW_PIO,
      .size = 4,
      .read = address_read,
      .write = address_write,
      .min_size = 1,
      .max_size = 4 },
    { .name = "data",
      .space = WINDOW_PIO,
      .size = 4,
      .read = data_read,
      .write = data_write,
      .min_size = 1,
      .max_size = 4 },
};

const struct device_type i440fx_type = {
    .name = "i440FX",
    .doc = "Intel 82441FX PCI host bridge with shadow RAM control",
    .size = sizeof(struct i440fx),
    .state = FIELDS(PCI_DEV_STATE(struct i440fx), FIELD(struct i440fx, address)),
    .init = i440fx_init,
    .finish = i440fx_finish,
    .reset = i440fx_reset,
    .loaded = i440fx_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
};
