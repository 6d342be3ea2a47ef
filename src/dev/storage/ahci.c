/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers and interrupts of the AHCI adapter (AHCI 1.3.1 chapters 2 and 3, ICH9 datasheet 14). */
#include "dev/storage/ahci.h"

#include "base/endian.h"
#include "dev/storage/ahci_priv.h"

#include <stdio.h>
#include <string.h>

enum {
    HBA_CAP = 0x00,
    HBA_GHC = 0x04,
    HBA_IS = 0x08,
    HBA_PI = 0x0c,
    HBA_VS = 0x10,
    HBA_PORTS = 0x100,
    PORT_BYTES = 0x80,
    HBA_BYTES = 4096,
    BAR_INDEX_DATA = 4,
    BAR_HBA = 5,
    INDEX_BYTES = 32,
    INDEX_AT = 0x10,
    DATA_AT = 0x14,
};
enum {
    /* 64-bit addresses, NCQ, command list override, AHCI only, 1.5 Gbit/s, 32 slots */
    CAP = (int)(BIT(31) | BIT(30) | BIT(24) | BIT(20) | BIT(18) | 31 << 8 | (AHCI_PORTS - 1)),
    GHC_RESET = BIT(0),
    GHC_IE = BIT(1),
    GHC_AE = (int)BIT(31),
    VERSION = 0x00010301,
};

static void update_irq(struct ahci *a)
{
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (*port_reg(&a->port[i], PORT_IS) & *port_reg(&a->port[i], PORT_IE))
            a->is |= BIT(i);
    bool level = a->is && a->ghc & GHC_IE;
    if (pci_msi_enabled(&a->pci)) {
        pci_intx(&a->pci, false);
        return;
    }
    pci_intx(&a->pci, level);
}

/* A message for each event, as long as something is pending. */
static void send_message(struct ahci *a)
{
    if (a->is && a->ghc & GHC_IE && pci_msi_enabled(&a->pci))
        pci_msi_notify(&a->pci, 0);
}

void ahci_interrupt(struct ahci_port *p, uint32_t bits)
{
    *port_reg(p, PORT_IS) |= bits;
    update_irq(p->ahci);
    if (bits & *port_reg(p, PORT_IE))
        send_message(p->ahci);
}

/* --- adapter --- */

static void hba_reset(struct ahci *a)
{
    a->ghc = (uint32_t)GHC_AE;
    a->is = 0;
    a->index = 0;
    memset(a->regs, 0, sizeof a->regs);
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        *port_reg(&a->port[i], PORT_CMD) = CMD_SUD | CMD_POD;
        ahci_port_reset(&a->port[i]);
        *port_reg(&a->port[i], PORT_IS) &= ~(uint32_t)IS_PCS;
        *port_reg(&a->port[i], PORT_SERR) = 0;
    }
    update_irq(a);
}

/* --- port registers --- */

static void write_command(struct ahci_port *p, uint32_t val)
{
    uint32_t *cmd = port_reg(p, PORT_CMD), was = *cmd;
    *cmd = (was & ~(uint32_t)CMD_WRITABLE) | (val & CMD_WRITABLE);
    if (val & CMD_CLO && !(val & was & CMD_ST)) /* only while the engine stands */
        *port_reg(p, PORT_TFD) &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
    if (*cmd & CMD_FRE)
        *cmd |= CMD_FR;
    else
        *cmd &= ~(uint32_t)CMD_FR;
    if (*cmd & CMD_FRE && !(was & CMD_FRE) && port_drive(p) && !(was & CMD_ST) &&
        !(*port_reg(p, PORT_TFD) & ATA_BSY))
        ahci_port_send_signature(p); /* the first FIS of the drive waited for its place */
    if (*cmd & CMD_ST) {
        *cmd |= CMD_CR;
        ahci_port_process(p);
    } else if (was & CMD_ST) {
        *cmd &= ~(uint32_t)CMD_CR;
        ahci_port_stop(p);
    }
}

static void write_control(struct ahci_port *p, uint32_t val)
{
    uint32_t *ctl = port_reg(p, PORT_SCTL), was = *ctl;
    *ctl = val & 0xfff;
    switch (val & SCTL_DET) {
    case 0:
        if ((was & SCTL_DET) == DET_RESET || (was & SCTL_DET) == DET_OFF)
            ahci_port_reset(p);
        break;
    case DET_RESET:
        *port_reg(p, PORT_SSTS) = 0;
        *port_reg(p, PORT_TFD) = 0x7f;
        break;
    case DET_OFF: *port_reg(p, PORT_SSTS) = DET_OFF; break;
    default: guest_error(&p->ahci->pci.dev, "port %u: SCTL %#x", p->n, val);
    }
}

static void port_write(struct ahci_port *p, unsigned r, uint32_t val)
{
    uint32_t *reg = port_reg(p, (enum ahci_port_reg)r);
    switch (r) {
    case PORT_CLB: *reg = val & ~UINT32_C(0x3ff); break;
    case PORT_FB: *reg = val & ~UINT32_C(0xff); break;
    case PORT_CLBU:
    case PORT_FBU: *reg = val; break;
    case PORT_IS: *reg &= ~(val & ~(uint32_t)IS_PCS); break;
    case PORT_IE: *reg = val & IS_ALL; break;
    case PORT_CMD: write_command(p, val); break;
    case PORT_SCTL: write_control(p, val); break;
    case PORT_SERR:
        *reg &= ~val;
        if (!(*reg & SERR_EXCHANGED))
            *port_reg(p, PORT_IS) &= ~(uint32_t)IS_PCS;
        break;
    case PORT_SNTF: *reg &= ~val; break;
    case PORT_SACT:
        if (*port_reg(p, PORT_CMD) & CMD_ST)
            *reg |= val;
        break;
    case PORT_CI:
        if (*port_reg(p, PORT_CMD) & CMD_ST) {
            *reg |= val;
            ahci_port_process(p);
        }
        break;
    default: guest_error(&p->ahci->pci.dev, "port %u: write to register %#x", p->n, r * 4);
    }
    update_irq(p->ahci);
}

/* --- windows --- */

static uint64_t hba_read(void *opaque, uint64_t off, unsigned size)
{
    struct ahci *a = opaque;
    if (off >= HBA_PORTS + AHCI_PORTS * PORT_BYTES)
        return 0;
    if (off >= HBA_PORTS)
        return a->regs[(off - HBA_PORTS) / 4];
    switch (off) {
    case HBA_CAP: return (uint32_t)CAP;
    case HBA_GHC: return a->ghc;
    case HBA_IS: return a->is;
    case HBA_PI: return BIT(AHCI_PORTS) - 1;
    case HBA_VS: return VERSION;
    default: return 0;
    }
}

static void hba_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct ahci *a = opaque;
    if (off >= HBA_PORTS + AHCI_PORTS * PORT_BYTES) {
        guest_error(&a->pci.dev, "write to register %#x", (unsigned)off);
        return;
    }
    if (off >= HBA_PORTS) {
        unsigned at = (unsigned)(off - HBA_PORTS) / 4;
        port_write(&a->port[at / AHCI_PORT_REGS], at % AHCI_PORT_REGS, (uint32_t)val);
        return;
    }
    switch (off) {
    case HBA_GHC:
        if (val & GHC_RESET) {
            hba_reset(a);
            break;
        }
        a->ghc = (uint32_t)GHC_AE | (val & GHC_IE);
        update_irq(a);
        send_message(a);
        break;
    case HBA_IS:
        a->is &= ~(uint32_t)val;
        update_irq(a);
        send_message(a); /* for what came meanwhile */
        break;
    default: guest_error(&a->pci.dev, "write to register %#x", (unsigned)off);
    }
}

static const struct mem_io_ops hba_ops = { hba_read, hba_write, 4, 4, false };

/* Index and data ports, a way to the registers for code that cannot reach memory. */
static uint64_t index_read(void *opaque, uint64_t off, unsigned size)
{
    struct ahci *a = opaque;
    return off == INDEX_AT ? a->index : off == DATA_AT ? hba_read(a, a->index, 4) : 0;
}

static void index_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct ahci *a = opaque;
    if (off == INDEX_AT)
        a->index = (uint32_t)val & (HBA_BYTES - 1) & ~3u;
    else if (off == DATA_AT)
        hba_write(a, a->index, val, 4);
}

static const struct mem_io_ops index_ops = { index_read, index_write, 4, 4, false };

/* --- life --- */

void ahci_name_buses(struct device *dev)
{
    ((struct ahci *)dev)->board_names = true;
}

static bool ahci_init(struct device *dev, struct error *err)
{
    enum { MAP = 0x90, MAP_AHCI = 0x40, CAP_MSI = 0x80, CAP_SATA = 0xa8, SATA_BYTES = 8 };
    struct ahci *a = (struct ahci *)dev;
    pci_dev_init(&a->pci, &(const struct pci_id){ .vendor = 0x8086,
                                                  .device = 0x2922,
                                                  .class_code = 0x0106,
                                                  .prog_if = 1,
                                                  .revision = 2,
                                                  .subsystem_vendor = 0x1af4,
                                                  .subsystem = 0x1100,
                                                  .pin = 1 });
    pci_config_reserve(&a->pci, MAP, 2);
    pci_set_byte(&a->pci, MAP, MAP_AHCI);
    mem_region_init_io(&a->index_data, "ahci-index", &index_ops, a, INDEX_BYTES);
    mem_region_init_io(&a->registers, "ahci", &hba_ops, a, HBA_BYTES);
    pci_bar_add(&a->pci, BAR_INDEX_DATA, PCI_BAR_IO, &a->index_data);
    pci_bar_add(&a->pci, BAR_HBA, PCI_BAR_MEM32, &a->registers);
    unsigned cap = pci_cap_add_at(&a->pci, PCI_CAP_SATA, CAP_SATA, SATA_BYTES);
    pci_set_byte(&a->pci, cap + 2, 0x10); /* revision 1.0 */
    /* the index port: 4 dwords into BAR 4, which is called 8 */
    pci_set_byte(&a->pci, cap + 4, 4 << 4 | 8);
    if (!pci_msi_init(&a->pci, 1, err))
        return false;
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        struct ahci_port *p = &a->port[i];
        char name[16];
        (void)snprintf(name, sizeof name, "ide.%u", i);
        p->ahci = a;
        p->n = i;
        p->slot = -1;
        p->bus.channel = i;
        p->bus.ncq = true;
        ide_bus_init(&p->bus, dev, a->board_names ? name : NULL, 1, &ahci_host, p);
    }
    return true;
}

static void ahci_finish(struct device *dev)
{
    struct ahci *a = (struct ahci *)dev;
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        struct ahci_port *p = &a->port[i];
        struct ata_drive *d = port_drive(p);
        if (d && p->burst)
            blk_set_burst_end(d->blk, NULL, NULL);
        if (p->ahci)
            ide_bus_finish(&p->bus);
        sg_finish(&p->pio);
    }
    pci_dev_finish(&a->pci);
}

static void ahci_reset(struct device *dev)
{
    struct ahci *a = (struct ahci *)dev;
    hba_reset(a);
    pci_dev_reset(&a->pci);
}

static void ahci_save(struct device *dev)
{
    struct ahci *a = (struct ahci *)dev;
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        struct ata_drive *d = port_drive(&a->port[i]);
        if (d && d->blk)
            blk_drain(d->blk);
        ahci_port_burst_end(&a->port[i]);
    }
}

static bool ahci_loaded(struct device *dev, struct error *err)
{
    struct ahci *a = (struct ahci *)dev;
    if (!pci_dev_loaded(&a->pci, err))
        return false;
    a->index &= (HBA_BYTES - 1) & ~3u;
    a->ghc |= (uint32_t)GHC_AE;
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        struct ahci_port *p = &a->port[i];
        p->slot = -1;
        p->halted = false;
        ahci_port_process(p);
    }
    update_irq(a);
    return true;
}

const struct device_type ich9_ahci_type = {
    .name = "ich9-ahci",
    .doc = "Intel ICH9 SATA controller (AHCI)",
    .alias = "ahci",
    .bus = "PCI",
    .category = DEVICE_STORAGE,
    .size = sizeof(struct ahci),
    .state = FIELDS(PCI_DEV_STATE(struct ahci), FIELD(struct ahci, ghc), FIELD(struct ahci, is),
                    FIELD(struct ahci, index), FIELD_ARRAY(struct ahci, regs)),
    .init = ahci_init,
    .finish = ahci_finish,
    .reset = ahci_reset,
    .loaded = ahci_loaded,
    .save = ahci_save,
    .offers = "IDE",
};
