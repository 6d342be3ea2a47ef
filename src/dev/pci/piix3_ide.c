/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/pci/piix3_ide.h"

#include "base/bits.h"
#include "dev/storage/ide_channel.h"

enum { CHANNELS = 2, BM_PORTS = 16, BM_CHANNEL_PORTS = 8, BM_BAR = 4 };
enum { WINDOW_COMMAND0, WINDOW_CONTROL0, WINDOW_COMMAND1, WINDOW_CONTROL1, WINDOW_BUS_MASTER };

struct piix3_ide {
    struct pci_dev pci;
    struct ide_channel channel[CHANNELS];
};

static struct ide_channel *channel(struct device *dev, unsigned n)
{
    return &((struct piix3_ide *)dev)->channel[n];
}

static uint64_t command0_read(struct device *dev, uint64_t off, unsigned size)
{
    return ide_channel_read(channel(dev, 0), off, size);
}
static void command0_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    ide_channel_write(channel(dev, 0), off, val, size);
}
static uint64_t command1_read(struct device *dev, uint64_t off, unsigned size)
{
    return ide_channel_read(channel(dev, 1), off, size);
}
static void command1_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    ide_channel_write(channel(dev, 1), off, val, size);
}
static uint64_t control0_read(struct device *dev, uint64_t off, unsigned size)
{
    return ide_channel_alt_status(channel(dev, 0));
}
static void control0_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    ide_channel_control(channel(dev, 0), val);
}
static uint64_t control1_read(struct device *dev, uint64_t off, unsigned size)
{
    return ide_channel_alt_status(channel(dev, 1));
}
static void control1_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    ide_channel_control(channel(dev, 1), val);
}

static uint64_t bm_read(struct device *dev, uint64_t off, unsigned size)
{
    return ide_bm_read(channel(dev, off / BM_CHANNEL_PORTS), off % BM_CHANNEL_PORTS);
}

static void bm_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    ide_bm_write(channel(dev, off / BM_CHANNEL_PORTS), off % BM_CHANNEL_PORTS, val);
}

/* Only the data port, at 0, is wider than a byte. */
static const struct device_window windows[] = {
    [WINDOW_COMMAND0] = { "cmd0", WINDOW_PIO, 8, command0_read, command0_write, 1, 4 },
    [WINDOW_CONTROL0] = { "ctl0", WINDOW_PIO, 1, control0_read, control0_write, 1, 1 },
    [WINDOW_COMMAND1] = { "cmd1", WINDOW_PIO, 8, command1_read, command1_write, 1, 4 },
    [WINDOW_CONTROL1] = { "ctl1", WINDOW_PIO, 1, control1_read, control1_write, 1, 1 },
    [WINDOW_BUS_MASTER] = { "bmdma", WINDOW_PIO, BM_PORTS, bm_read, bm_write, 1, 1 },
};

static struct mem *reach(void *opaque)
{
    return pci_dma(opaque);
}

static bool piix3_ide_init(struct device *dev, struct error *err)
{
    struct piix3_ide *ide = (struct piix3_ide *)dev;
    pci_dev_init(&ide->pci, &(const struct pci_id){ .vendor = 0x8086,
                                                    .device = 0x7010,
                                                    .class_code = 0x0101,
                                                    .prog_if = 0x80,
                                                    .subsystem_vendor = 0x1af4,
                                                    .subsystem = 0x1100 });
    pci_set_word(&ide->pci, PCI_STATUS, 0x0280); /* fast back-to-back, medium DEVSEL */
    for (unsigned i = PIIX3_IDE_TIMING0; i <= 0x44; i++)
        ide->pci.writable[i] = 0xff;
    ide->pci.writable[PIIX3_IDE_TIMING0 + 1] = ide->pci.writable[PIIX3_IDE_TIMING1 + 1] = 0xf3;
    pci_bar_add(&ide->pci, BM_BAR, PCI_BAR_IO, &dev->windows[WINDOW_BUS_MASTER]);
    for (unsigned i = 0; i < CHANNELS; i++) {
        struct ide_channel *c = &ide->channel[i];
        ide_channel_init(c, dev, i ? "ide.1" : "ide.0", i);
        c->dma = reach;
        c->dma_opaque = &ide->pci;
        irq_connect(&c->irq, irq_forward, &dev->irqs[i], 0);
    }
    return true;
}

static void piix3_ide_finish(struct device *dev)
{
    struct piix3_ide *ide = (struct piix3_ide *)dev;
    for (unsigned i = 0; i < CHANNELS; i++)
        ide_channel_finish(&ide->channel[i]);
    pci_dev_finish(&ide->pci);
}

static void piix3_ide_reset(struct device *dev)
{
    struct piix3_ide *ide = (struct piix3_ide *)dev;
    for (unsigned i = 0; i < CHANNELS; i++)
        ide_channel_reset(&ide->channel[i]);
    pci_dev_reset(&ide->pci);
}

static bool piix3_ide_loaded(struct device *dev, struct error *err)
{
    struct piix3_ide *ide = (struct piix3_ide *)dev;
    for (unsigned i = 0; i < CHANNELS; i++)
        ide_channel_loaded(&ide->channel[i]);
    return pci_dev_loaded(&ide->pci, err);
}

const struct device_type piix3_ide_type = {
    .name = "piix3-ide",
    .doc = "Intel PIIX3 IDE controller",
    .offers = "IDE",
    .category = DEVICE_STORAGE,
    .size = sizeof(struct piix3_ide),
    .state =
        FIELDS(PCI_DEV_STATE(struct piix3_ide), IDE_CHANNEL_STATE(struct piix3_ide, channel[0]),
               IDE_CHANNEL_STATE(struct piix3_ide, channel[1])),
    .init = piix3_ide_init,
    .finish = piix3_ide_finish,
    .reset = piix3_ide_reset,
    .loaded = piix3_ide_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = PIIX3_IDE_OUTS,
};
