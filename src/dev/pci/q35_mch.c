/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82Q35 MCH (datasheet 316966 §5.1). The size of TSEG beyond the chip's 8 MiB is our guests'
 * firmware's way (register 0x50: write 0xffff, read how many MiB TSEG_SZ 3 means).
 */
#include "dev/pci/q35_mch.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/str.h"

#include <string.h>

enum {
    PCIEXBAR_LENGTH = 0x06, /* 256, 128, 64 MiB */
    ESMRAMC_TSEG = 0x01,
    ESMRAMC_CACHE = 0x38, /* read as ones */
    ESMRAMC_WRITABLE = 0x87,
    EXT_TSEG_QUERY = 0xffff,
    EXT_TSEG_MAX_MIB = 0xfff,
};

struct mch {
    struct pci_dev pci;
    struct mch_wiring w;
    struct pam pam;
    struct config_ports ports;
    struct mem_region ecam, tseg;
};

static struct mch *mch_of(const struct device *dev)
{
    return (struct mch *)dev;
}

void mch_wire(struct device *dev, const struct mch_wiring *w)
{
    mch_of(dev)->w = *w;
}

/* --- configuration space in memory (PCI Express 3.0 §7.2.2) --- */

static uint64_t ecam_read(void *opaque, uint64_t off, unsigned size)
{
    struct mch *h = opaque;
    return pci_config_read(h->w.bus, off >> 20, off >> 12, off & 0xfff, size);
}

static void ecam_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct mch *h = opaque;
    pci_config_write(h->w.bus, off >> 20, off >> 12, off & 0xfff, val, size);
}

static const struct mem_io_ops ecam_ops = {
    .read = ecam_read, .write = ecam_write, .min_size = 1, .max_size = 4
};

gpa_t mch_pciexbar(const struct device *dev, uint64_t *ret_size)
{
    uint64_t reg = ld_le64(mch_of(dev)->pci.config + MCH_PCIEXBAR);
    unsigned length = (reg & PCIEXBAR_LENGTH) >> 1;
    if (!(reg & MCH_PCIEXBAR_ENABLE) || length == 3)
        return 0;
    *ret_size = 256 * MIB >> length;
    return reg & BITS(35, 0) & ~(*ret_size - 1);
}

static void update_ecam(struct mch *h)
{
    uint64_t size = 0;
    gpa_t base = mch_pciexbar(&h->pci.dev, &size);
    if (!h->w.bus || (h->ecam.mem && h->ecam.base == base && h->ecam.size == size))
        return;
    mem_unmap(&h->ecam);
    if (!base)
        return;
    mem_region_init_io(&h->ecam, "pcie-config", &ecam_ops, h, size);
    mem_map(h->w.bus->mem, base, &h->ecam, h->w.chip_priority);
}

/* --- SMRAM --- */

static uint64_t tseg_size(const struct mch *h)
{
    uint8_t reg = h->pci.config[MCH_ESMRAMC];
    static const uint8_t mib[] = { 1, 2, 8 };
    unsigned n = reg >> 1 & 3;
    uint64_t size = n < ARRAY_SIZE(mib) ? mib[n] : ld_le16(h->pci.config + MCH_EXT_TSEG_MIB);
    if (!(reg & ESMRAMC_TSEG) || !(h->pci.config[MCH_SMRAM] & SMRAM_ENABLE) || !h->w.smram_changed)
        return 0;
    return MIN(size * MIB, h->w.ram_low / 2);
}

static uint64_t hidden_read(void *opaque, uint64_t off, unsigned size)
{
    return BITS(size * 8 - 1, 0);
}

static void hidden_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
}

static const struct mem_io_ops hidden_ops = {
    .read = hidden_read, .write = hidden_write, .min_size = 1, .max_size = 8
};

static void update_map(struct mch *h)
{
    uint8_t smram = h->pci.config[MCH_SMRAM];
    if (!h->w.pam.mem)
        return;
    struct mch_smram s = { .low = smram & SMRAM_ENABLE, .tseg_size = tseg_size(h) };
    s.low_open = s.low && smram & SMRAM_OPEN && !(smram & SMRAM_CLOSED);
    s.tseg = h->w.ram_low - s.tseg_size;
    mem_begin(h->w.pam.mem);
    pam_update(&h->pam, h->pci.config + MCH_PAM0, s.low_open);
    if (h->tseg.mem && h->tseg.size != s.tseg_size)
        mem_unmap(&h->tseg);
    if (s.tseg_size && !h->tseg.mem) {
        mem_region_init_io(&h->tseg, "tseg", &hidden_ops, h, s.tseg_size);
        mem_map(h->w.pam.mem, s.tseg, &h->tseg, h->w.chip_priority);
    }
    if (h->w.smram_changed)
        h->w.smram_changed(h->w.smram_opaque, &s);
    mem_end(h->w.pam.mem);
}

/* Once locked, SMRAM is closed and its registers read-only until reset (§5.1.32). */
static void update_lock(struct mch *h)
{
    /* tops of memory, which firmware sets for itself to find again (§5.1.33 to 5.1.38) */
    static const struct {
        uint8_t off;
        uint32_t bits;
    } tops[] = { { MCH_TOM, BITS(9, 0) | BITS(31, 16) /* and TOUUD */ },
                 { MCH_GBSM, BITS(31, 20) },
                 { MCH_BGSM, BITS(31, 20) },
                 { MCH_TSEGMB, BITS(31, 20) },
                 { MCH_TOLUD, BITS(15, 4) } };
    uint8_t *smram = &h->pci.config[MCH_SMRAM];
    bool locked = *smram & SMRAM_LOCK;
    if (locked)
        *smram &= ~SMRAM_OPEN;
    h->pci.writable[MCH_SMRAM] = locked ? 0 : SMRAM_WRITABLE;
    h->pci.writable[MCH_ESMRAMC] = locked ? 0 : ESMRAMC_WRITABLE;
    st_le16(h->pci.writable + MCH_EXT_TSEG_MIB, locked || !h->w.smram_changed ? 0 : 0xffff);
    for (unsigned i = 0; i < ARRAY_SIZE(tops); i++) {
        st_le32(h->pci.changes + tops[i].off, tops[i].bits);
        st_le32(h->pci.writable + tops[i].off, locked ? 0 : tops[i].bits);
    }
}

static bool touches(unsigned off, unsigned size, unsigned first, unsigned count)
{
    return off < first + count && off + size > first;
}

static void config_written(struct pci_dev *p, unsigned off, unsigned size)
{
    struct mch *h = (struct mch *)p;
    uint8_t *tseg = p->config + MCH_EXT_TSEG_MIB;
    if (touches(off, size, MCH_EXT_TSEG_MIB, 2) &&
        (ld_le16(tseg) == EXT_TSEG_QUERY || ld_le16(tseg) > EXT_TSEG_MAX_MIB))
        st_le16(tseg, MCH_EXT_TSEG_DEFAULT_MIB);
    if (touches(off, size, MCH_SMRAM, 2))
        update_lock(h);
    if (touches(off, size, MCH_PAM0, MCH_ESMRAMC + 1 - MCH_PAM0) ||
        touches(off, size, MCH_EXT_TSEG_MIB, 2))
        update_map(h);
    if (touches(off, size, MCH_PCIEXBAR, 8))
        update_ecam(h);
}

/* --- life --- */

static bool mch_init(struct device *dev, struct error *err)
{
    struct mch *h = mch_of(dev);
    struct pci_dev *p = &h->pci;
    pci_dev_init(p, &(const struct pci_id){ .vendor = 0x8086,
                                            .device = 0x29c0,
                                            .class_code = 0x0600,
                                            .subsystem_vendor = 0x1af4,
                                            .subsystem = 0x1100 });
    pci_set_byte(p, MCH_SMRAM, SMRAM_RESET);
    pci_set_byte(p, MCH_ESMRAMC, ESMRAMC_CACHE);
    p->changes[MCH_SMRAM] = SMRAM_WRITABLE;
    p->changes[MCH_ESMRAMC] = ESMRAMC_WRITABLE;
    memset(p->changes + MCH_EXT_TSEG_MIB, 0xff, 2);
    if (h->w.smram_changed)
        pci_set_word(p, MCH_EXT_TSEG_MIB, MCH_EXT_TSEG_DEFAULT_MIB);
    memset(p->writable + MCH_PAM0, 0x33, PAM_REGISTERS);
    p->writable[MCH_PAM0] = 0x30;
    st_le64(p->writable + MCH_PCIEXBAR, BITS(35, 26) | PCIEXBAR_LENGTH | MCH_PCIEXBAR_ENABLE);
    p->config_written = config_written;
    pam_init(&h->pam, &h->w.pam);
    h->ports.bus = h->w.bus;
    h->ports.reset = h->w.reset;
    return true;
}

static void mch_reset(struct device *dev)
{
    struct mch *h = mch_of(dev);
    h->ports.address = 0;
    pci_dev_reset(&h->pci);
    update_lock(h);
    update_map(h);
    update_ecam(h);
}

static bool mch_loaded(struct device *dev, struct error *err)
{
    struct mch *h = mch_of(dev);
    bool ok = pci_dev_loaded(&h->pci, err);
    update_lock(h);
    update_map(h);
    update_ecam(h);
    return ok;
}

static void mch_finish(struct device *dev)
{
    struct mch *h = mch_of(dev);
    mem_unmap(&h->ecam);
    mem_unmap(&h->tseg);
    pam_finish(&h->pam);
    pci_dev_finish(&h->pci);
}

static uint64_t address_read(struct device *dev, uint64_t off, unsigned size)
{
    return config_address_read(&mch_of(dev)->ports, off, size);
}

static void address_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    config_address_write(&mch_of(dev)->ports, off, val, size);
}

static uint64_t data_read(struct device *dev, uint64_t off, unsigned size)
{
    return config_data_read(&mch_of(dev)->ports, off, size);
}

static void data_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    config_data_write(&mch_of(dev)->ports, off, val, size);
}

static const struct device_window windows[] = {
    { "address", WINDOW_PIO, 4, address_read, address_write, 1, 4 },
    { "data", WINDOW_PIO, 4, data_read, data_write, 1, 4 },
};

const struct device_type q35_mch_type = {
    .name = "mch",
    .doc = "Intel 82Q35 memory controller hub with PCI Express configuration space",
    .size = sizeof(struct mch),
    .state = FIELDS(PCI_DEV_STATE(struct mch), FIELD(struct mch, ports.address)),
    .init = mch_init,
    .finish = mch_finish,
    .reset = mch_reset,
    .loaded = mch_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
};
