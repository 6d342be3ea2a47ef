/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/misc/pm_block.h"

#include "base/bits.h"

struct pm_block {
    struct device dev;
    struct acpi_pm pm;
};

static struct pm_block *block_of(struct device *dev)
{
    return (struct pm_block *)dev;
}

static uint64_t pm_read(struct device *dev, uint64_t off, unsigned size)
{
    uint8_t regs[PM_FIXED_SIZE];
    uint64_t v = 0;
    acpi_pm_read(&block_of(dev)->pm, regs);
    for (unsigned i = 0; i < size && off + i < PM_FIXED_SIZE; i++)
        v |= (uint64_t)regs[off + i] << (8 * i);
    return v;
}

static void pm_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    for (unsigned i = 0; i < size && off + i < PM_FIXED_SIZE; i++)
        acpi_pm_write(&block_of(dev)->pm, (unsigned)off + i, (uint8_t)(val >> (8 * i)));
}

static uint64_t reset_read(struct device *dev, uint64_t off, unsigned size)
{
    return 0;
}

static void reset_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    if (val == PM_BLOCK_RESET_VALUE)
        irq_pulse(&dev->irqs[PM_BLOCK_OUT_RESET]);
}

void pm_block_power_button(struct device *dev)
{
    acpi_pm_button(&block_of(dev)->pm);
}

static bool block_init(struct device *dev, struct error *err)
{
    acpi_pm_init(&block_of(dev)->pm, dev, &dev->irqs[PM_BLOCK_OUT_SCI],
                 &dev->irqs[PM_BLOCK_OUT_OFF]);
    return true;
}

/* There is no command port: it is always in ACPI mode. */
static void block_reset(struct device *dev)
{
    acpi_pm_reset(&block_of(dev)->pm);
    acpi_pm_command(&block_of(dev)->pm, PM_ACPI_ENABLE);
}

static bool block_loaded(struct device *dev, struct error *err)
{
    acpi_pm_loaded(&block_of(dev)->pm);
    return true;
}

static void block_finish(struct device *dev)
{
    if (dev->ready)
        acpi_pm_finish(&block_of(dev)->pm);
}

static const struct device_window windows[] = {
    { "pm", WINDOW_PIO, PM_FIXED_SIZE, pm_read, pm_write, 1, 4 },
    { "reset", WINDOW_PIO, 1, reset_read, reset_write, 1, 1 },
};

const struct device_type pm_block_type = {
    .name = "acpi-pm",
    .doc = "ACPI fixed hardware: power management timer, sleep, power button, reset",
    .size = sizeof(struct pm_block),
    .state = FIELDS(ACPI_PM_STATE(struct pm_block, pm)),
    .init = block_init,
    .finish = block_finish,
    .reset = block_reset,
    .loaded = block_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = PM_BLOCK_OUTS,
};
