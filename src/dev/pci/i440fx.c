/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intel 82441FX host bridge (datasheet 290549). */
#include "dev/pci/i440fx.h"

#include "base/bits.h"

#include <string.h>

struct i440fx {
    struct pci_dev pci;
    struct i440fx_wiring w;
    struct pam pam;
    struct config_ports ports;
};

static void update_map(struct i440fx *h)
{
    uint8_t smram = h->pci.config[I440FX_SMRAM];
    pam_update(&h->pam, h->pci.config + I440FX_PAM0,
               smram & SMRAM_ENABLE && smram & SMRAM_OPEN && !(smram & SMRAM_CLOSED));
}

/* Once locked, SMRAM is closed and its register read-only until reset (§3.2.22). */
static void update_smram_lock(struct i440fx *h)
{
    bool locked = h->pci.config[I440FX_SMRAM] & SMRAM_LOCK;
    h->pci.writable[I440FX_SMRAM] = locked ? 0 : SMRAM_WRITABLE;
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
    pci_set_byte(&h->pci, I440FX_SMRAM, SMRAM_RESET);
    h->pci.changes[I440FX_SMRAM] = SMRAM_WRITABLE;
    memset(h->pci.writable + I440FX_PAM0, 0x33, I440FX_PAMS);
    h->pci.writable[I440FX_PAM0] = 0x30;
    h->pci.writable[PCI_LATENCY] = 0xf8;
    h->pci.config_written = config_written;
    pam_init(&h->pam, &h->w.pam);
    h->ports.bus = h->w.bus;
    h->ports.reset = h->w.reset;
    return true;
}

static void i440fx_reset(struct device *dev)
{
    struct i440fx *h = (struct i440fx *)dev;
    h->ports.address = 0;
    pci_dev_reset(&h->pci);
    update_smram_lock(h);
    update_map(h);
}

static bool i440fx_loaded(struct device *dev, struct error *err)
{
    struct i440fx *h = (struct i440fx *)dev;
    bool ok = pci_dev_loaded(&h->pci, err);
    update_smram_lock(h);
    update_map(h);
    return ok;
}

static void i440fx_finish(struct device *dev)
{
    struct i440fx *h = (struct i440fx *)dev;
    pam_finish(&h->pam);
    pci_dev_finish(&h->pci);
}

static uint64_t address_read(struct device *dev, uint64_t off, unsigned size)
{
    return config_address_read(&((struct i440fx *)dev)->ports, off, size);
}

static void address_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    config_address_write(&((struct i440fx *)dev)->ports, off, val, size);
}

static uint64_t data_read(struct device *dev, uint64_t off, unsigned size)
{
    return config_data_read(&((struct i440fx *)dev)->ports, off, size);
}

static void data_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    config_data_write(&((struct i440fx *)dev)->ports, off, val, size);
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
    .state = FIELDS(PCI_DEV_STATE(struct i440fx), FIELD(struct i440fx, ports.address)),
    .init = i440fx_init,
    .finish = i440fx_finish,
    .reset = i440fx_reset,
    .loaded = i440fx_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
};
