/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82801I (ICH9) function 31.3, SMBus host controller (datasheet 316972 §17). Nothing is on
 * the bus: every transaction ends at once with "no device answered".
 */
#include "dev/pci/ich9_lpc.h"

#include "base/bits.h"

#include <string.h>

enum {
    HOST_CONFIG = 0x40,
    HOST_CONFIG_ENABLE = 0x01,
    PORTS = 32,
    STATUS = 0x00,
    STATUS_DEVICE_ERROR = 0x04,
    STATUS_IN_USE = 0x40,
    STATUS_CLEARS = 0x9e,
    CONTROL = 0x02,
    CONTROL_INTERRUPT = 0x01,
    CONTROL_START = 0x40,
};

struct ich9_smbus {
    struct pci_dev pci;
    uint8_t reg[PORTS];
};

static void update(struct ich9_smbus *s)
{
    pci_intx(&s->pci, s->reg[STATUS] & STATUS_DEVICE_ERROR && s->reg[CONTROL] & CONTROL_INTERRUPT);
}

/* Reading the status takes the semaphore that software shares (§17.2.1). */
static uint64_t smbus_read(struct device *dev, uint64_t off, unsigned size)
{
    struct ich9_smbus *s = (struct ich9_smbus *)dev;
    uint8_t v = s->reg[off];
    if (off == STATUS)
        s->reg[STATUS] |= STATUS_IN_USE;
    return v;
}

static void smbus_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ich9_smbus *s = (struct ich9_smbus *)dev;
    if (off == STATUS) {
        s->reg[STATUS] &= ~(val & (STATUS_CLEARS | STATUS_IN_USE));
    } else {
        bool enabled = s->pci.config[HOST_CONFIG] & HOST_CONFIG_ENABLE;
        s->reg[off] = off == CONTROL ? val & ~CONTROL_START : val;
        if (off == CONTROL && val & CONTROL_START && enabled)
            s->reg[STATUS] |= STATUS_DEVICE_ERROR;
    }
    update(s);
}

static bool smbus_init(struct device *dev, struct error *err)
{
    struct ich9_smbus *s = (struct ich9_smbus *)dev;
    pci_dev_init(&s->pci, &(const struct pci_id){ .vendor = 0x8086,
                                                  .device = 0x2930,
                                                  .class_code = 0x0c05,
                                                  .revision = 2,
                                                  .pin = 1,
                                                  .subsystem_vendor = 0x1af4,
                                                  .subsystem = 0x1100 });
    pci_bar_add(&s->pci, 4, PCI_BAR_IO, device_window(dev, "ports"));
    s->pci.writable[HOST_CONFIG] = 0x1f & ~0x08;
    return true;
}

static void smbus_reset(struct device *dev)
{
    struct ich9_smbus *s = (struct ich9_smbus *)dev;
    memset(s->reg, 0, sizeof s->reg);
    pci_dev_reset(&s->pci);
}

static bool smbus_loaded(struct device *dev, struct error *err)
{
    return pci_dev_loaded((struct pci_dev *)dev, err);
}

static void smbus_finish(struct device *dev)
{
    pci_dev_finish((struct pci_dev *)dev);
}

static const struct device_window windows[] = {
    { "ports", WINDOW_PIO, PORTS, smbus_read, smbus_write, 1, 1 },
};

const struct device_type ich9_smbus_type = {
    .name = "ICH9-SMB",
    .doc = "Intel 82801I (ICH9) SMBus host controller",
    .size = sizeof(struct ich9_smbus),
    .state = FIELDS(PCI_DEV_STATE(struct ich9_smbus), FIELD_ARRAY(struct ich9_smbus, reg)),
    .init = smbus_init,
    .finish = smbus_finish,
    .reset = smbus_reset,
    .loaded = smbus_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
};
