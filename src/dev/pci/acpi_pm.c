/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/pci/acpi_pm.h"

#include "base/bits.h"
#include "base/endian.h"

#include <string.h>

enum {
    STS_TIMER = BIT(0),
    STS_GLOBAL = BIT(5),
    STS_POWER_BUTTON = BIT(8),
    STS_RTC = BIT(10),
    EN_ALL = STS_TIMER | STS_GLOBAL | STS_POWER_BUTTON | STS_RTC,
    CTL_SCI_EN = BIT(0),
    CTL_GLOBAL_RELEASE = BIT(2),
    CTL_SLEEP_EN = BIT(13),
    CTL_KEPT = 0x1c03, /* SLP_TYP, BM_RLD, SCI_EN; the others read as 0 */
    TIMER_CARRY_BIT = 23,
};

static uint64_t ticks(const struct acpi_pm *pm)
{
    return (unsigned __int128)device_now_ns(pm->dev) * PM_TIMER_HZ / 1000000000;
}

static void update_sci(struct acpi_pm *pm)
{
    bool event = pm->status & pm->enable & EN_ALL;
    for (unsigned i = 0; i < PM_GPE_BYTES; i++)
        event |= pm->gpe_status[i] & pm->gpe_enable[i];
    irq_set(pm->sci, pm->control & CTL_SCI_EN && event);
}

/* TMR_STS is set whenever the top bit of the 24-bit timer changes (§4.8.3.3). */
static void update_timer(struct acpi_pm *pm)
{
    uint64_t carries = ticks(pm) >> TIMER_CARRY_BIT;
    if (carries != pm->carries) {
        pm->carries = carries;
        pm->status |= STS_TIMER;
    }
    if (pm->enable & STS_TIMER && !(pm->status & STS_TIMER)) {
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

static void write_control(struct acpi_pm *pm, uint16_t val)
{
    pm->control = val & CTL_KEPT;
    if (val & CTL_GLOBAL_RELEASE)
        guest_error(pm->dev, "global lock release: no SMM firmware listens");
    if (val & CTL_SLEEP_EN) {
        if (bits(val, 10, 3) == PM_SLEEP_S5)
            irq_pulse(pm->off);
        else
            guest_error(pm->dev, "sleep type %u is not offered", (unsigned)bits(val, 10, 3));
    }
    update_sci(pm);
}

/* A 16-bit register with byte 0 or 1 of it replaced by val. */
static uint16_t merge(uint16_t old, unsigned byte, uint8_t val)
{
    return byte ? (old & 0x00ff) | val << 8 : (old & 0xff00) | val;
}

void acpi_pm_read(struct acpi_pm *pm, uint8_t *ret_regs)
{
    update_timer(pm);
    memset(ret_regs, 0, PM_FIXED_SIZE);
    st_le16(ret_regs + PM1_STATUS, pm->status);
    st_le16(ret_regs + PM1_ENABLE, pm->enable);
    st_le16(ret_regs + PM1_CONTROL, pm->control);
    st_le32(ret_regs + PM_TIMER, ticks(pm) & BITS(TIMER_CARRY_BIT, 0));
}

void acpi_pm_write(struct acpi_pm *pm, unsigned off, uint8_t val)
{
    update_timer(pm);
    switch (off & ~1u) {
    case PM1_STATUS: pm->status &= ~(val << (off & 1 ? 8 : 0)); break;
    case PM1_ENABLE: pm->enable = merge(pm->enable, off & 1, val) & EN_ALL; break;
    case PM1_CONTROL: write_control(pm, merge(pm->control, off & 1, val)); break;
    default: break; /* the timer is read-only */
    }
    update_timer(pm);
}

void acpi_pm_gpe_write(struct acpi_pm *pm, bool enable, unsigned n, uint8_t val)
{
    if (enable)
        pm->gpe_enable[n % PM_GPE_BYTES] = val;
    else
        pm->gpe_status[n % PM_GPE_BYTES] &= ~val;
    update_sci(pm);
}

void acpi_pm_gpe(struct acpi_pm *pm, unsigned event)
{
    pm->gpe_status[event / 8 % PM_GPE_BYTES] |= 1 << event % 8;
    update_sci(pm);
}

void acpi_pm_command(struct acpi_pm *pm, uint8_t val)
{
    if (val == PM_ACPI_ENABLE)
        pm->control |= CTL_SCI_EN;
    else if (val == PM_ACPI_DISABLE)
        pm->control &= ~CTL_SCI_EN;
    update_sci(pm);
}

void acpi_pm_button(struct acpi_pm *pm)
{
    pm->status |= STS_POWER_BUTTON;
    update_sci(pm);
}

void acpi_pm_init(struct acpi_pm *pm, struct device *dev, struct irq *sci, struct irq *off)
{
    pm->dev = dev;
    pm->sci = sci;
    pm->off = off;
    timer_init(&pm->carry, dev->ctx.loop, CLOCK_VIRTUAL, carry_fired, pm);
}

void acpi_pm_reset(struct acpi_pm *pm)
{
    pm->status = pm->enable = pm->control = 0;
    memset(pm->gpe_status, 0, sizeof pm->gpe_status);
    memset(pm->gpe_enable, 0, sizeof pm->gpe_enable);
    pm->carries = ticks(pm) >> TIMER_CARRY_BIT;
    update_timer(pm);
}

void acpi_pm_loaded(struct acpi_pm *pm)
{
    update_timer(pm);
}

void acpi_pm_finish(struct acpi_pm *pm)
{
    if (pm->dev)
        timer_cancel(&pm->carry);
}
