/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82801I (ICH9) LPC bridge (datasheet 316972: §13.1 configuration, §13.8 power management,
 * §10.1 chipset configuration registers). TCO is not there: GCS says that its reset is strapped
 * off, so that a driver leaves it alone.
 */
#include "dev/pci/ich9_lpc.h"

#include "base/bits.h"
#include "base/endian.h"

#include <string.h>

enum {
    ROUTE_OFF = 0x80,
    VALID_IRQS = 0xdef8, /* 3-7, 9-12, 14, 15 (§13.1.18) */
    ISA_IRQS = 16,
    RCR_CPU = 0x04,
    RCR_HARD = 0x02,
    RCBA_SIZE = 0x4000,
    RCBA_ENABLE = 0x01,
    D31IR = 0x3140,
    D25IR = 0x3150,
    DIR_DEFAULT = 0x3210,
    GCS = 0x3410,
    GCS_NO_REBOOT = 0x20,
    LOW_SLOTS = 25, /* slots below this one take PIRQ E-H in turn */
    SMI_GLOBAL = BIT(0),
    SMI_EOS = BIT(1),
    SMI_APMC = BIT(5),
    SMI_WRITABLE = 0x0002ffff & ~SMI_EOS,
    SMI_STATUS_APM = BIT(5),
    SMI_LOCK = 0x10, /* in GEN_PMCON_1 */
};

struct ich9_lpc {
    struct pci_dev pci;
    /* wiring */
    struct pci_bus *bus;
    bool smm;
    uint8_t disable_s3, disable_s4; /* properties; the sleep states are not there in any case */
    /* state */
    struct acpi_pm pm;
    uint8_t pirq; /* levels of PIRQ A..H */
    uint8_t reset_control;
    uint8_t apm_command, apm_status;
    uint32_t smi_enable, smi_status;
    uint8_t rcba[RCBA_SIZE];
};

static struct ich9_lpc *lpc_of(const struct device *dev)
{
    return (struct ich9_lpc *)dev;
}

/* --- interrupts --- */

static uint8_t route_register(const struct ich9_lpc *b, unsigned pirq)
{
    return b->pci.config[pirq < 4 ? ICH9_PIRQ_A + pirq : ICH9_PIRQ_E + pirq - 4];
}

static void update_irqs(struct ich9_lpc *b)
{
    uint16_t levels = 0;
    for (unsigned i = 0; i < ICH9_PIRQS; i++) {
        uint8_t route = route_register(b, i);
        if (!(route & ROUTE_OFF) && b->pirq & BIT(i))
            levels |= BIT(route & 15) & VALID_IRQS;
        irq_set(&b->pci.dev.irqs[ICH9_OUT_GSI + i], b->pirq >> i & 1);
    }
    for (unsigned i = 0; i < ISA_IRQS; i++)
        irq_set(&b->pci.dev.irqs[i], levels >> i & 1);
}

static void lpc_input(struct device *dev, unsigned n, bool level)
{
    struct ich9_lpc *b = lpc_of(dev);
    b->pirq = (b->pirq & ~BIT(n)) | (uint8_t)level << n;
    update_irqs(b);
}

/* Slots 25 to 31 have a register each, D31IR at the lowest address; D26IR and D25IR leave a gap
 * (§10.1.29 to .35). */
unsigned ich9_lpc_route(const struct device *dev, unsigned slot, unsigned pin)
{
    static const uint16_t offset[] = { 0x3150, 0x314c, 0x3148, 0x3146, 0x3144, 0x3142, 0x3140 };
    if (slot < LOW_SLOTS)
        return 4 + ((slot + pin) & 3);
    return ld_le16(lpc_of(dev)->rcba + offset[slot - LOW_SLOTS]) >> (4 * (pin & 3)) & 7;
}

/* --- power management --- */

static uint64_t pm_read(struct device *dev, uint64_t off, unsigned size)
{
    struct ich9_lpc *b = lpc_of(dev);
    uint8_t regs[ICH9_PM_PORTS + 8] = { 0 };
    acpi_pm_read(&b->pm, regs);
    memcpy(regs + ICH9_GPE_STATUS, b->pm.gpe_status, PM_GPE_BYTES);
    memcpy(regs + ICH9_GPE_ENABLE, b->pm.gpe_enable, PM_GPE_BYTES);
    st_le32(regs + ICH9_SMI_ENABLE, b->smi_enable | SMI_EOS);
    st_le32(regs + ICH9_SMI_STATUS, b->smi_status);
    return ld_le64(regs + off) & BITS(size * 8 - 1, 0);
}

static uint32_t put_byte(uint32_t old, unsigned n, uint8_t val)
{
    return (old & ~(UINT32_C(0xff) << 8 * n)) | (uint32_t)val << 8 * n;
}

/* GBL_SMI_EN cannot be cleared once SMI_LOCK was set (§13.8.1.1). */
static void write_smi_enable(struct ich9_lpc *b, unsigned n, uint8_t val)
{
    uint32_t v = put_byte(b->smi_enable, n, val) & SMI_WRITABLE;
    if (b->pci.config[ICH9_GEN_PMCON_1] & SMI_LOCK)
        v = (v & ~(uint32_t)SMI_GLOBAL) | (b->smi_enable & SMI_GLOBAL);
    b->smi_enable = v;
}

static void write_byte(struct ich9_lpc *b, unsigned off, uint8_t val)
{
    switch (off) {
    case 0 ... PM_FIXED_SIZE - 1: acpi_pm_write(&b->pm, off, val); break;
    case ICH9_GPE_STATUS ... ICH9_GPE_STATUS + PM_GPE_BYTES - 1:
        acpi_pm_gpe_write(&b->pm, false, off - ICH9_GPE_STATUS, val);
        break;
    case ICH9_GPE_ENABLE ... ICH9_GPE_ENABLE + PM_GPE_BYTES - 1:
        acpi_pm_gpe_write(&b->pm, true, off - ICH9_GPE_ENABLE, val);
        break;
    case ICH9_SMI_ENABLE ... ICH9_SMI_ENABLE + 3:
        write_smi_enable(b, off - ICH9_SMI_ENABLE, val);
        break;
    case ICH9_SMI_STATUS ... ICH9_SMI_STATUS + 3:
        b->smi_status &= ~((uint32_t)val << 8 * (off - ICH9_SMI_STATUS));
        break;
    default: break; /* throttling, TCO: no function, no state */
    }
}

static void pm_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        write_byte(lpc_of(dev), off + i, val >> (8 * i));
}

static uint64_t apm_read(struct device *dev, uint64_t off, unsigned size)
{
    return off ? lpc_of(dev)->apm_status : lpc_of(dev)->apm_command;
}

static void apm_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ich9_lpc *b = lpc_of(dev);
    if (off) {
        b->apm_status = val;
        return;
    }
    b->apm_command = val;
    /* the chip knows the commands of the FADT itself: firmware need not have a handler for them */
    acpi_pm_command(&b->pm, val);
    if (b->smm && b->smi_enable & SMI_APMC && b->smi_enable & SMI_GLOBAL) {
        b->smi_status |= SMI_STATUS_APM;
        irq_pulse(&dev->irqs[ICH9_OUT_SMI]);
    }
}

/* --- chipset configuration registers --- */

static uint64_t rcba_read(struct device *dev, uint64_t off, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)lpc_of(dev)->rcba[off + i] << (8 * i);
    return v;
}

static void rcba_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ich9_lpc *b = lpc_of(dev);
    for (unsigned i = 0; i < size; i++)
        b->rcba[off + i] = val >> (8 * i);
    b->rcba[GCS] |= GCS_NO_REBOOT;
    if (off < D25IR + 2 && off + size > D31IR && b->bus)
        pci_bus_reroute(b->bus);
}

/* --- configuration space --- */

static void map_block(struct ich9_lpc *b, const char *window, bool mmio, uint64_t base)
{
    struct mem_region *r = device_window(&b->pci.dev, window);
    if (!b->pci.bus)
        return;
    if (!base)
        mem_unmap(r);
    else if (!r->mem || r->base != base)
        mem_map(mmio ? b->pci.bus->mem : b->pci.bus->io, base, r, 0);
}

uint16_t ich9_lpc_pm_base(const struct device *dev)
{
    const uint8_t *c = lpc_of(dev)->pci.config;
    return c[ICH9_ACPI_CONTROL] & ICH9_ACPI_ENABLE ? ld_le16(c + ICH9_PM_BASE) & 0xff80 : 0;
}

static void update_blocks(struct ich9_lpc *b)
{
    uint32_t rcba = ld_le32(b->pci.config + ICH9_RCBA);
    map_block(b, "pm", false, ich9_lpc_pm_base(&b->pci.dev));
    map_block(b, "rcba", true, rcba & RCBA_ENABLE ? rcba & ~(RCBA_SIZE - 1u) : 0);
}

/* SMI_LOCK stays set until reset. */
static void update_lock(struct ich9_lpc *b)
{
    bool locked = b->pci.config[ICH9_GEN_PMCON_1] & SMI_LOCK;
    b->pci.writable[ICH9_GEN_PMCON_1] = locked ? 0xff & ~SMI_LOCK : 0xff;
}

static void config_written(struct pci_dev *p, unsigned off, unsigned size)
{
    struct ich9_lpc *b = (struct ich9_lpc *)p;
    update_irqs(b);
    update_lock(b);
    update_blocks(b);
}

static void init_registers(struct pci_dev *p)
{
    static const struct {
        uint8_t off, initial, writable;
    } regs[] = {
        { 0x40, 0x01, 0x80 }, { 0x41, 0x00, 0xff }, { 0x44, 0x00, 0x87 }, { 0x48, 0x01, 0xc0 },
        { 0x49, 0x00, 0xff }, { 0x4c, 0x00, 0x11 }, { 0x60, 0x80, 0x8f }, { 0x61, 0x80, 0x8f },
        { 0x62, 0x80, 0x8f }, { 0x63, 0x80, 0x8f }, { 0x64, 0x10, 0xf3 }, { 0x68, 0x80, 0x8f },
        { 0x69, 0x80, 0x8f }, { 0x6a, 0x80, 0x8f }, { 0x6b, 0x80, 0x8f }, { 0x80, 0x00, 0x77 },
        { 0x81, 0x00, 0x13 }, { 0x82, 0x00, 0x0f }, { 0x83, 0x00, 0x3f }, { 0xa0, 0x00, 0xff },
        { 0xa1, 0x00, 0x0e }, { 0xa2, 0x00, 0xff }, { 0xa4, 0x00, 0xff }, { 0xd0, 0x33, 0xff },
        { 0xd1, 0x22, 0xff }, { 0xd2, 0x11, 0xff }, { 0xd3, 0x00, 0xff }, { 0xd4, 0x67, 0xff },
        { 0xd5, 0x45, 0xff }, { 0xd8, 0xcf, 0xff }, { 0xd9, 0xff, 0xff }, { 0xdc, 0x00, 0x13 },
        { 0xf0, 0x00, 0x01 }, { 0xf1, 0x00, 0xc0 }, { 0xf2, 0x00, 0xff }, { 0xf3, 0x00, 0xff },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
        pci_set_byte(p, regs[i].off, regs[i].initial);
        p->writable[regs[i].off] = regs[i].writable;
    }
    memset(p->writable + 0x84, 0xff, 16); /* generic decode ranges */
    memset(p->writable + 0xb8, 0xff, 4);  /* GPI routes */
}

static bool lpc_init(struct device *dev, struct error *err)
{
    struct ich9_lpc *b = lpc_of(dev);
    struct pci_dev *p = &b->pci;
    pci_dev_init(p, &(const struct pci_id){ .vendor = 0x8086,
                                            .device = 0x2918,
                                            .class_code = 0x0601,
                                            .revision = 2,
                                            .subsystem_vendor = 0x1af4,
                                            .subsystem = 0x1100 });
    pci_set_byte(p, PCI_HEADER_TYPE, PCI_HEADER_MULTI);
    pci_set_word(p, PCI_COMMAND, 0x0007); /* always a bus master */
    st_le16(p->writable + PCI_COMMAND, PCI_COMMAND_PARITY | PCI_COMMAND_SERR);
    pci_set_word(p, PCI_STATUS, 0x0200);
    init_registers(p);
    p->changes[ICH9_GEN_PMCON_1] = SMI_LOCK;
    p->config_written = config_written;
    acpi_pm_init(&b->pm, dev, &dev->irqs[ICH9_OUT_SCI], &dev->irqs[ICH9_OUT_OFF]);
    return true;
}

static void reset_rcba(struct ich9_lpc *b)
{
    memset(b->rcba, 0, sizeof b->rcba);
    for (unsigned off = D31IR; off <= 0x3148; off += 2)
        st_le16(b->rcba + off, DIR_DEFAULT);
    st_le16(b->rcba + 0x314c, DIR_DEFAULT);
    st_le16(b->rcba + D25IR, DIR_DEFAULT);
    b->rcba[GCS] = GCS_NO_REBOOT;
    if (b->bus)
        pci_bus_reroute(b->bus);
}

static void lpc_reset(struct device *dev)
{
    struct ich9_lpc *b = lpc_of(dev);
    b->reset_control = b->apm_command = b->apm_status = 0;
    /* Without SMM firmware finds its SMIs set up and leaves them alone. */
    b->smi_enable = b->smm ? 0 : SMI_APMC;
    b->smi_status = 0;
    reset_rcba(b);
    pci_dev_reset(&b->pci);
    acpi_pm_reset(&b->pm);
    update_lock(b);
    update_irqs(b);
    update_blocks(b);
}

static bool lpc_loaded(struct device *dev, struct error *err)
{
    struct ich9_lpc *b = lpc_of(dev);
    if (!pci_dev_loaded(&b->pci, err))
        return false;
    b->rcba[GCS] |= GCS_NO_REBOOT;
    acpi_pm_loaded(&b->pm);
    update_lock(b);
    update_irqs(b);
    update_blocks(b);
    if (b->bus)
        pci_bus_reroute(b->bus);
    return true;
}

static void lpc_finish(struct device *dev)
{
    acpi_pm_finish(&lpc_of(dev)->pm);
    pci_dev_finish((struct pci_dev *)dev);
}

/* --- for the board --- */

static uint64_t reset_control_read(void *opaque)
{
    return ((struct ich9_lpc *)opaque)->reset_control;
}

/* Reset happens when RCPU goes from 0 to 1 (§13.7.5). */
static void reset_control_write(void *opaque, uint8_t value)
{
    struct ich9_lpc *b = opaque;
    bool go = value & RCR_CPU && !(b->reset_control & RCR_CPU);
    b->reset_control = value & RCR_HARD;
    if (go)
        irq_pulse(&b->pci.dev.irqs[ICH9_OUT_RESET]);
}

struct reset_control ich9_lpc_reset_control(struct device *dev)
{
    return (struct reset_control){ reset_control_read, reset_control_write, dev };
}

void ich9_lpc_set_smm(struct device *dev, bool on)
{
    lpc_of(dev)->smm = on;
}

void ich9_lpc_set_bus(struct device *dev, struct pci_bus *bus)
{
    lpc_of(dev)->bus = bus;
}

void ich9_lpc_power_button(struct device *dev)
{
    acpi_pm_button(&lpc_of(dev)->pm);
}

static const struct device_window windows[] = {
    { "pm", WINDOW_PIO, ICH9_PM_PORTS, pm_read, pm_write, 1, 4 },
    { "apm", WINDOW_PIO, 2, apm_read, apm_write, 1, 1 },
    { "rcba", WINDOW_MMIO, RCBA_SIZE, rcba_read, rcba_write, 1, 4 },
};

static void ich9_lpc_defaults(struct device *dev)
{
    struct ich9_lpc *d = (struct ich9_lpc *)dev;
    d->disable_s3 = d->disable_s4 = 1;
}

const struct device_type ich9_lpc_type = {
    .name = "ICH9-LPC",
    .doc = "Intel 82801I (ICH9) LPC bridge",
    .size = sizeof(struct ich9_lpc),
    .defaults = ich9_lpc_defaults,
    .props =
        FIELDS(FIELD(struct ich9_lpc, disable_s3, .min = 1, .max = 1, .doc = "1: there is no S3"),
               FIELD(struct ich9_lpc, disable_s4, .min = 1, .max = 1, .doc = "1: there is no S4")),
    .state = FIELDS(PCI_DEV_STATE(struct ich9_lpc), ACPI_PM_STATE(struct ich9_lpc, pm),
                    FIELD(struct ich9_lpc, pirq), FIELD(struct ich9_lpc, reset_control),
                    FIELD(struct ich9_lpc, apm_command), FIELD(struct ich9_lpc, apm_status),
                    FIELD(struct ich9_lpc, smi_enable), FIELD(struct ich9_lpc, smi_status),
                    FIELD_ARRAY(struct ich9_lpc, rcba)),
    .init = lpc_init,
    .finish = lpc_finish,
    .reset = lpc_reset,
    .loaded = lpc_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = ICH9_OUT_COUNT,
    .inputs = ICH9_PIRQS,
    .input = lpc_input,
};
