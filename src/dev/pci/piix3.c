/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371SB (PIIX3) PCI to ISA bridge (datasheet 290550 §2.1). The levels of the ISA interrupts
 * follow from the PIRQ levels and the four route registers.
 */
#include "dev/pci/piix3.h"

#include "base/bits.h"

enum {
    ROUTE_OFF = 0x80,
    VALID_IRQS = 0xdef8, /* 3-7, 9-12, 14, 15 (§2.1.10) */
    RCR_CPU = 0x04,
    RCR_HARD = 0x02,
};

struct piix3 {
    struct pci_dev pci;
    uint8_t pirq; /* levels of PIRQ A..D */
    uint8_t reset_control;
};

static void update_irqs(struct piix3 *b)
{
    uint16_t levels = 0;
    for (unsigned i = 0; i < PCI_ROUTES; i++) {
        uint8_t route = b->pci.config[PIIX3_PIRQ_ROUTE + i];
        if (!(route & ROUTE_OFF) && b->pirq & BIT(i))
            levels |= BIT(route & 15) & VALID_IRQS;
    }
    for (unsigned i = 0; i < PIIX3_IRQS; i++)
        irq_set(&b->pci.dev.irqs[i], levels >> i & 1);
}

static void piix3_input(struct device *dev, unsigned n, bool level)
{
    struct piix3 *b = (struct piix3 *)dev;
    b->pirq = (b->pirq & ~BIT(n)) | (uint8_t)level << n;
    update_irqs(b);
}

static void config_written(struct pci_dev *p, unsigned off, unsigned size)
{
    if (off < PIIX3_PIRQ_ROUTE + PCI_ROUTES && off + size > PIIX3_PIRQ_ROUTE)
        update_irqs((struct piix3 *)p);
}

static bool piix3_init(struct device *dev, struct error *err)
{
    struct piix3 *b = (struct piix3 *)dev;
    pci_dev_init(&b->pci, &(const struct pci_id){ .vendor = 0x8086,
                                                  .device = 0x7000,
                                                  .class_code = 0x0601,
                                                  .subsystem_vendor = 0x1af4,
                                                  .subsystem = 0x1100 });
    pci_set_byte(&b->pci, PCI_HEADER_TYPE, PCI_HEADER_MULTI);
    pci_set_word(&b->pci, PCI_COMMAND, 0x0007); /* always a bus master */
    b->pci.writable[PCI_COMMAND] = PCI_COMMAND_PARITY & 0xff;
    pci_set_byte(&b->pci, PCI_STATUS + 1, 0x02);
    /* Registers without a function here keep their documented power-on values and bits. */
    static const struct {
        uint8_t off, initial, writable;
    } regs[] = {
        { 0x4c, 0x4d, 0x7f }, { 0x4e, 0x03, 0xff }, { 0x4f, 0x00, 0x01 }, { 0x60, 0x80, 0x8f },
        { 0x61, 0x80, 0x8f }, { 0x62, 0x80, 0x8f }, { 0x63, 0x80, 0x8f }, { 0x69, 0x02, 0xfe },
        { 0x6a, 0x00, 0x80 }, { 0x70, 0x80, 0xef }, { 0x76, 0x0c, 0x8f }, { 0x77, 0x0c, 0x8f },
        { 0x78, 0x02, 0xff }, { 0x79, 0x00, 0xff }, { 0x80, 0x00, 0x7f }, { 0x82, 0x00, 0x0f },
        { 0xa0, 0x08, 0x1f }, { 0xa2, 0x00, 0xff }, { 0xa3, 0x00, 0xff }, { 0xa4, 0x00, 0xff },
        { 0xa5, 0x00, 0xff }, { 0xa6, 0x00, 0xff }, { 0xa7, 0x00, 0xff }, { 0xa8, 0x0f, 0xff },
        { 0xaa, 0x00, 0xff }, { 0xab, 0x00, 0xff }, { 0xac, 0x00, 0xff }, { 0xae, 0x00, 0xff },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
        pci_set_byte(&b->pci, regs[i].off, regs[i].initial);
        b->pci.writable[regs[i].off] = regs[i].writable;
    }
    b->pci.config_written = config_written;
    return true;
}

static void piix3_reset(struct device *dev)
{
    struct piix3 *b = (struct piix3 *)dev;
    b->reset_control = 0;
    pci_dev_reset(&b->pci);
    update_irqs(b);
}

static bool piix3_loaded(struct device *dev, struct error *err)
{
    struct piix3 *b = (struct piix3 *)dev;
    if (!pci_dev_loaded(&b->pci, err))
        return false;
    update_irqs(b);
    return true;
}

static void piix3_finish(struct device *dev)
{
    pci_dev_finish((struct pci_dev *)dev);
}

uint64_t piix3_reset_control_read(void *opaque)
{
    return ((struct piix3 *)opaque)->reset_control;
}

/* Reset happens when RCPU goes from 0 to 1; SRST only chooses soft or hard (§2.5.11). */
void piix3_reset_control_write(void *opaque, uint8_t value)
{
    struct piix3 *b = opaque;
    bool go = value & RCR_CPU && !(b->reset_control & RCR_CPU);
    b->reset_control = value & RCR_HARD;
    if (go)
        irq_pulse(&b->pci.dev.irqs[PIIX3_OUT_RESET]);
}

const struct device_type piix3_type = {
    .name = "PIIX3",
    .doc = "Intel 82371SB PCI to ISA bridge",
    .size = sizeof(struct piix3),
    .state = FIELDS(PCI_DEV_STATE(struct piix3), FIELD(struct piix3, pirq, .max = 15),
                    FIELD(struct piix3, reset_control)),
    .init = piix3_init,
    .finish = piix3_finish,
    .reset = piix3_reset,
    .loaded = piix3_loaded,
    .irqs = PIIX3_OUT_COUNT,
    .inputs = PCI_ROUTES,
    .input = piix3_input,
};
