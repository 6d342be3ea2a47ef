/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371AB (PIIX4) power management (datasheet 290562 §7). There is no SMM here: ACPI mode is
 * switched by the APM command port itself, and DEVACTB tells firmware that SMIs are set up already.
 */
#include "dev/pci/piix4_pm.h"

#include "base/bits.h"
#include "base/endian.h"

enum {
    DEVACTB = 0x58,
    DEVACTB_APMC_EN = 0x02, /* bit 25: of byte 3 */
    REGMISC_PMIOSE = 0x01,
    SMB_ENABLE = 0x01,
    SMB_PORTS = 16,
    SMB_STATUS = 0,
    SMB_CONTROL = 2,
    SMB_START = 0x40,
    SMB_STATUS_ERROR = 0x04, /* no device answered */
};

struct piix4_pm {
    struct pci_dev pci;
    uint8_t disable_s3, disable_s4; /* properties; the sleep states are not there in any case */
    struct acpi_pm pm;
    uint8_t apm_command, apm_status;
    uint8_t smb[SMB_PORTS];
};

static uint64_t pm_read(struct device *dev, uint64_t off, unsigned size)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    uint8_t regs[PIIX4_PM_PORTS + 8] = { 0 };
    acpi_pm_read(&pm->pm, regs);
    memcpy(regs + PIIX4_GPE_STATUS, pm->pm.gpe_status, 2);
    memcpy(regs + PIIX4_GPE_ENABLE, pm->pm.gpe_enable, 2);
    return ld_le64(regs + off) & BITS(size * 8 - 1, 0);
}

static void write_byte(struct piix4_pm *pm, unsigned off, uint8_t val)
{
    switch (off) {
    case 0 ... PM_FIXED_SIZE - 1: acpi_pm_write(&pm->pm, off, val); break;
    case PIIX4_GPE_STATUS ... PIIX4_GPE_STATUS + 1:
    case PIIX4_GPE_ENABLE ... PIIX4_GPE_ENABLE + 1:
        acpi_pm_gpe_write(&pm->pm, off >= PIIX4_GPE_ENABLE, off & 1, val);
        break;
    default: break; /* device monitors, throttling: no function, no state */
    }
}

static void pm_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        write_byte((struct piix4_pm *)dev, off + i, val >> (8 * i));
}

static uint64_t apm_read(struct device *dev, uint64_t off, unsigned size)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    return off ? pm->apm_status : pm->apm_command;
}

static void apm_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    if (off) {
        pm->apm_status = val;
        return;
    }
    pm->apm_command = val;
    acpi_pm_command(&pm->pm, val);
}

static uint64_t smb_read(struct device *dev, uint64_t off, unsigned size)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    return off == SMB_CONTROL ? pm->smb[off] & ~SMB_START : pm->smb[off];
}

/* Nothing is on the bus: every transaction ends at once with "no device answered". */
static void smb_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    if (off == SMB_STATUS) {
        pm->smb[off] &= ~(val & 0x1e);
        return;
    }
    pm->smb[off] = val;
    if (off == SMB_CONTROL && val & SMB_START)
        pm->smb[SMB_STATUS] |= SMB_STATUS_ERROR;
}

static void map_block(struct piix4_pm *pm, const char *window, unsigned reg, bool on)
{
    struct mem_region *r = device_window(&pm->pci.dev, window);
    uint16_t base = ld_le16(pm->pci.config + reg) & ~(r->size - 1);
    if (!pm->pci.bus)
        return;
    if (!on || !base)
        mem_unmap(r);
    else if (!r->mem || r->base != base)
        mem_map(pm->pci.bus->io, base, r, 0);
}

static void update_blocks(struct piix4_pm *pm)
{
    map_block(pm, "pm", PIIX4_PM_BASE, pm->pci.config[PIIX4_PM_REGMISC] & REGMISC_PMIOSE);
    map_block(pm, "smbus", PIIX4_SMB_BASE, pm->pci.config[PIIX4_SMB_CONFIG] & SMB_ENABLE);
}

static void config_written(struct pci_dev *p, unsigned off, unsigned size)
{
    update_blocks((struct piix4_pm *)p);
}

uint16_t piix4_pm_base(struct device *dev)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    return pm->pci.config[PIIX4_PM_REGMISC] & REGMISC_PMIOSE
               ? ld_le16(pm->pci.config + PIIX4_PM_BASE) & 0xffc0
               : 0;
}

void piix4_pm_power_button(struct device *dev)
{
    acpi_pm_button(&((struct piix4_pm *)dev)->pm);
}

static bool piix4_pm_init(struct device *dev, struct error *err)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    struct pci_dev *p = &pm->pci;
    pci_dev_init(p, &(const struct pci_id){ .vendor = 0x8086,
                                            .device = 0x7113,
                                            .class_code = 0x0680,
                                            .revision = 3,
                                            .pin = 1,
                                            .subsystem_vendor = 0x1af4,
                                            .subsystem = 0x1100 });
    pci_set_word(p, PCI_STATUS, 0x0280); /* medium DEVSEL, fast back-to-back */
    p->writable[PCI_COMMAND] = PCI_COMMAND_IO;
    p->writable[PCI_COMMAND + 1] = 0;
    pci_set_byte(p, PIIX4_PM_BASE, 1); /* I/O space indicator */
    p->writable[PIIX4_PM_BASE] = 0xc0;
    p->writable[PIIX4_PM_BASE + 1] = 0xff;
    pci_set_byte(p, DEVACTB + 3, DEVACTB_APMC_EN);
    for (unsigned i = 0x44; i < 0x80; i++)
        p->writable[i] = 0xff; /* device monitors: kept, without function */
    p->writable[PIIX4_PM_REGMISC] = REGMISC_PMIOSE;
    pci_set_byte(p, PIIX4_SMB_BASE, 1);
    p->writable[PIIX4_SMB_BASE] = 0xf0;
    p->writable[PIIX4_SMB_BASE + 1] = 0xff;
    p->writable[PIIX4_SMB_CONFIG] = 0x0f;
    p->config_written = config_written;
    acpi_pm_init(&pm->pm, dev, &dev->irqs[PIIX4_PM_OUT_SCI], &dev->irqs[PIIX4_PM_OUT_OFF]);
    return true;
}

static void piix4_pm_reset(struct device *dev)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    pm->apm_command = pm->apm_status = 0;
    memset(pm->smb, 0, sizeof pm->smb);
    pci_dev_reset(&pm->pci);
    acpi_pm_reset(&pm->pm);
    update_blocks(pm);
}

static bool piix4_pm_loaded(struct device *dev, struct error *err)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    if (!pci_dev_loaded(&pm->pci, err))
        return false;
    update_blocks(pm);
    acpi_pm_loaded(&pm->pm);
    return true;
}

static void piix4_pm_finish(struct device *dev)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    acpi_pm_finish(&pm->pm);
    pci_dev_finish(&pm->pci);
}

static const struct device_window windows[] = {
    { .name = "pm",
      .space = WINDOW_PIO,
      .size = PIIX4_PM_PORTS,
      .read = pm_read,
      .write = pm_write,
      .min_size = 1,
      .max_size = 4 },
    { .name = "apm",
      .space = WINDOW_PIO,
      .size = 2,
      .read = apm_read,
      .write = apm_write,
      .min_size = 1,
      .max_size = 1 },
    { .name = "smbus",
      .space = WINDOW_PIO,
      .size = SMB_PORTS,
      .read = smb_read,
      .write = smb_write,
      .min_size = 1,
      .max_size = 1 },
};

static void piix4_pm_defaults(struct device *dev)
{
    struct piix4_pm *d = (struct piix4_pm *)dev;
    d->disable_s3 = d->disable_s4 = 1;
}

const struct device_type piix4_pm_type = {
    .name = "PIIX4_PM",
    .doc = "Intel 82371AB power management",
    .size = sizeof(struct piix4_pm),
    .defaults = piix4_pm_defaults,
    .props =
        FIELDS(FIELD(struct piix4_pm, disable_s3, .min = 1, .max = 1, .doc = "1: there is no S3"),
               FIELD(struct piix4_pm, disable_s4, .min = 1, .max = 1, .doc = "1: there is no S4")),
    .state = FIELDS(PCI_DEV_STATE(struct piix4_pm), ACPI_PM_STATE(struct piix4_pm, pm),
                    FIELD(struct piix4_pm, apm_command), FIELD(struct piix4_pm, apm_status),
                    FIELD_ARRAY(struct piix4_pm, smb)),
    .init = piix4_pm_init,
    .finish = piix4_pm_finish,
    .reset = piix4_pm_reset,
    .loaded = piix4_pm_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = PIIX4_PM_OUT_COUNT,
};
