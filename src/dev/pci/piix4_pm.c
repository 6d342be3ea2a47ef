/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371AB (PIIX4) power management (datasheet 290562 §7). There is no SMM here: ACPI mode is
 * switched by the APM command port itself, and DEVACTB tells firmware that SMIs are set up already.
 * The PM timer is computed from the virtual clock; a timer is armed only while its carry would
 * raise an SCI.
 */
#include "dev/pci/piix4_pm.h"

#include "base/bits.h"
#include "base/endian.h"

enum {
    STS_TIMER = BIT(0),
    STS_BUS_MASTER = BIT(4),
    STS_GLOBAL = BIT(5),
    STS_POWER_BUTTON = BIT(8),
    STS_RTC = BIT(10),
    STS_WAKE = BIT(15),
    STS_ALL = STS_TIMER | STS_BUS_MASTER | STS_GLOBAL | STS_POWER_BUTTON | STS_RTC | STS_WAKE,
    EN_ALL = STS_TIMER | STS_GLOBAL | STS_POWER_BUTTON | STS_RTC,
    CTL_SCI_EN = BIT(0),
    CTL_SLEEP_EN = BIT(13),
    CTL_KEPT = 0x1c03, /* SLP_TYP, BM_RLD, SCI_EN; the others read as 0 */
    CTL_GLOBAL_RELEASE = BIT(2),
    TIMER_CARRY_BIT = 23,
    DEVACTB = 0x58,
    DEVACTB_APMC_EN = 0x02, /* bit 25: of byte 3 */
    REGMISC_PMIOSE = 0x01,
    SMB_ENABLE = 0x01,
    SMB_PORTS = 16,
    SMB_STATUS = 0,
    SMB_CONTROL = 2,
    SMB_START = 0x40,
    SMB_STATUS_INTR = 0x02,
    SMB_STATUS_ERROR = 0x04, /* no device answered */
};

struct piix4_pm {
    struct pci_dev pci;
    struct timer carry;
    uint16_t pm1_status, pm1_enable, pm1_control;
    uint16_t gpe_status, gpe_enable;
    uint64_t carries; /* half periods of the timer seen so far */
    uint8_t apm_command, apm_status;
    uint8_t smb[SMB_PORTS];
};

static uint64_t ticks(const struct piix4_pm *pm)
{
    return (unsigned __int128)device_now_ns(&pm->pci.dev) * PM_TIMER_HZ / 1000000000;
}

static void update_sci(struct piix4_pm *pm)
{
    bool fixed = pm->pm1_status & pm->pm1_enable & EN_ALL;
    bool gpe = pm->gpe_status & pm->gpe_enable;
    irq_set(&pm->pci.dev.irqs[PIIX4_PM_OUT_SCI], (pm->pm1_control & CTL_SCI_EN) && (fixed || gpe));
}

/* TMR_STS is set whenever the top bit of the 24-bit timer changes (ACPI §4.8.3.3). */
static void update_timer(struct piix4_pm *pm)
{
    uint64_t carries = ticks(pm) >> TIMER_CARRY_BIT;
    if (carries != pm->carries) {
        pm->carries = carries;
        pm->pm1_status |= STS_TIMER;
    }
    if (pm->pm1_enable & STS_TIMER && !(pm->pm1_status & STS_TIMER)) {
        unsigned __int128 next = (unsigned __int128)(carries + 1) << TIMER_CARRY_BIT;
        timer_set_ns(&pm->carry, (next * 1000000000 + PM_TIMER_HZ - 1) / PM_TIMER_HZ);
    } else {
        timer_cancel(&pm->carry);
    }
    update_sci(pm);
}

static void carry_fired(void *opaque)
{
    update_timer(opaque);
}

static void write_control(struct piix4_pm *pm, uint16_t val)
{
    pm->pm1_control = val & CTL_KEPT;
    if (val & CTL_GLOBAL_RELEASE)
        guest_error(&pm->pci.dev, "global lock release: no SMM firmware listens");
    if (val & CTL_SLEEP_EN) {
        if (bits(val, 10, 3) == PM_SLEEP_S5)
            irq_pulse(&pm->pci.dev.irqs[PIIX4_PM_OUT_OFF]);
        else
            guest_error(&pm->pci.dev, "sleep type %u is not offered", (unsigned)bits(val, 10, 3));
    }
    update_sci(pm);
}

static uint64_t pm_read(struct device *dev, uint64_t off, unsigned size)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    uint8_t regs[PM_PORTS + 8] = { 0 };
    update_timer(pm);
    st_le16(regs + PM1_STATUS, pm->pm1_status);
    st_le16(regs + PM1_ENABLE, pm->pm1_enable);
    st_le16(regs + PM1_CONTROL, pm->pm1_control);
    st_le32(regs + PM_TIMER, ticks(pm) & BITS(TIMER_CARRY_BIT, 0));
    st_le16(regs + PM_GPE_STATUS, pm->gpe_status);
    st_le16(regs + PM_GPE_ENABLE, pm->gpe_enable);
    return ld_le64(regs + off) & BITS(size * 8 - 1, 0);
}

/* A 16-bit register with bytes off.. of it (relative) replaced by val. */
static uint16_t merge(uint16_t old, unsigned byte, uint8_t val)
{
    return byte ? (old & 0x00ff) | val << 8 : (old & 0xff00) | val;
}

static void write_byte(struct piix4_pm *pm, unsigned off, uint8_t val)
{
    switch (off & ~1u) {
    case PM1_STATUS: pm->pm1_status &= ~(val << (off & 1 ? 8 : 0)); break;
    case PM1_ENABLE: pm->pm1_enable = merge(pm->pm1_enable, off & 1, val) & EN_ALL; break;
    case PM1_CONTROL: write_control(pm, merge(pm->pm1_control, off & 1, val)); break;
    case PM_GPE_STATUS: pm->gpe_status &= ~(val << (off & 1 ? 8 : 0)); break;
    case PM_GPE_ENABLE: pm->gpe_enable = merge(pm->gpe_enable, off & 1, val); break;
    default: break; /* device monitors, throttling: no function, no state */
    }
}

static void pm_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    update_timer(pm);
    for (unsigned i = 0; i < size; i++)
        write_byte(pm, off + i, val >> (8 * i));
    update_timer(pm);
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
    if (val == PM_ACPI_ENABLE)
        pm->pm1_control |= CTL_SCI_EN;
    else if (val == PM_ACPI_DISABLE)
        pm->pm1_control &= ~CTL_SCI_EN;
    update_sci(pm);
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
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    pm->pm1_status |= STS_POWER_BUTTON;
    update_sci(pm);
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
    timer_init(&pm->carry, dev->ctx.loop, CLOCK_VIRTUAL, carry_fired, pm);
    return true;
}

static void piix4_pm_reset(struct device *dev)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    pm->pm1_status = pm->pm1_enable = pm->pm1_control = 0;
    pm->gpe_status = pm->gpe_enable = 0;
    pm->apm_command = pm->apm_status = 0;
    memset(pm->smb, 0, sizeof pm->smb);
    pm->carries = ticks(pm) >> TIMER_CARRY_BIT;
    pci_dev_reset(&pm->pci);
    update_blocks(pm);
    update_timer(pm);
}

static bool piix4_pm_loaded(struct device *dev, struct error *err)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    if (!pci_dev_loaded(&pm->pci, err))
        return false;
    update_blocks(pm);
    update_timer(pm);
    return true;
}

static void piix4_pm_finish(struct device *dev)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    timer_cancel(&pm->carry);
    pci_dev_finish(&pm->pci);
}

static const struct device_window windows[] = {
    { .name = "pm",
      .space = WINDOW_PIO,
      .size = PM_PORTS,
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

const struct device_type piix4_pm_type = {
    .name = "PIIX4_PM",
    .doc = "Intel 82371AB power management",
    .size = sizeof(struct piix4_pm),
    .state = FIELDS(PCI_DEV_STATE(struct piix4_pm), FIELD(struct piix4_pm, pm1_status),
                    FIELD(struct piix4_pm, pm1_enable), FIELD(struct piix4_pm, pm1_control),
                    FIELD(struct piix4_pm, gpe_status), FIELD(struct piix4_pm, gpe_enable),
                    FIELD(struct piix4_pm, carries), FIELD(struct piix4_pm, apm_command),
                    FIELD(struct piix4_pm, apm_status), FIELD_ARRAY(struct piix4_pm, smb)),
    .init = piix4_pm_init,
    .finish = piix4_pm_finish,
    .reset = piix4_pm_reset,
    .loaded = piix4_pm_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = PIIX4_PM_OUT_COUNT,
};
