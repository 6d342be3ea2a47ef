/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI tables of a PC, from the tables of its parts: FADT, FACS, MADT, HPET, MCFG, WAET. */
#include "board/pc.h"

#include "base/endian.h"
#include "dev/firmware/aml.h"
#include "dev/intc/ioapic.h"
#include "dev/intc/lapic.h"
#include "dev/pci/acpi_pm.h"

#include <string.h>

static uint32_t put_dsdt(struct acpi_set *set, const struct pc *pc, uint16_t pm_base)
{
    uint32_t start = acpi_table_begin(set, "DSDT", 2);
    struct aml aml;
    aml_begin(&aml, set->blob[ACPI_TABLES]);
    pc_put_dsdt(&aml, pc, pm_base);
    aml_finish(&aml);
    acpi_table_end(set, start);
    return start;
}

/* Firmware ACPI control structure: no header checksum, 64-byte aligned (§5.2.10). */
static uint32_t put_facs(struct acpi_set *set)
{
    acpi_align(set, 64);
    uint32_t start = set->blob[ACPI_TABLES]->len;
    g_byte_array_append(set->blob[ACPI_TABLES], (const uint8_t *)"FACS", 4);
    acpi_put(set, 64, 4);
    for (unsigned i = 0; i < 7; i++)
        acpi_put(set, i == 6 ? 1 : 0, i == 6 ? 1 : 4); /* ..., version 1 at 32 */
    while (set->blob[ACPI_TABLES]->len - start < 64)
        acpi_put(set, 0, 1);
    return start;
}

/* FADT revision 3 (§5.2.9), 244 bytes. */
static uint32_t put_fadt(struct acpi_set *set, const struct pc *pc, uint16_t pm, uint32_t facs,
                         uint32_t dsdt)
{
    enum { LEGACY_DEVICES = 1, HAS_8042 = 2, NO_VGA = 4 };
    enum {
        WBINVD = BIT(0),
        C1 = BIT(2),
        NO_SLEEP_BUTTON = BIT(5),
        NO_FIXED_RTC = BIT(6),
        RESET_REGISTER = BIT(10)
    };
    uint32_t start = acpi_table_begin(set, "FACP", 3);
    acpi_put(set, 0, 4); /* 36 FACS */
    acpi_set_pointer(set, ACPI_TABLES, start + 36, 4, facs);
    acpi_put(set, 0, 4); /* 40 DSDT */
    acpi_set_pointer(set, ACPI_TABLES, start + 40, 4, dsdt);
    acpi_put(set, 0, 1);
    acpi_put(set, 0, 1); /* profile: unspecified */
    acpi_put(set, PC_IRQ_SCI, 2);
    acpi_put(set, pc_apm_port(pc), 4); /* SMI command */
    acpi_put(set, PM_ACPI_ENABLE, 1);
    acpi_put(set, PM_ACPI_DISABLE, 1);
    acpi_put(set, 0, 2);
    acpi_put(set, pm + PM1_STATUS, 4); /* 56 PM1a event */
    acpi_put(set, 0, 4);
    acpi_put(set, pm + PM1_CONTROL, 4);
    acpi_put(set, 0, 4);
    acpi_put(set, 0, 4);
    acpi_put(set, pm + PM_TIMER, 4);
    acpi_put(set, pm + pc->chip->gpe_off, 4);
    acpi_put(set, 0, 4);
    acpi_put(set, 4, 1); /* 88 lengths: event, control, -, timer, GPE0, GPE1 */
    acpi_put(set, 2, 1);
    acpi_put(set, 0, 1);
    acpi_put(set, 4, 1);
    acpi_put(set, pc->chip->gpe_len, 1);
    acpi_put(set, 0, 3);
    acpi_put(set, 0xfff, 2); /* 96 no C2, C3 */
    acpi_put(set, 0xfff, 2);
    acpi_put(set, 0, 8);    /* flush size, stride, duty, alarms */
    acpi_put(set, 0x32, 1); /* 108 century byte in CMOS */
    acpi_put(set, LEGACY_DEVICES | HAS_8042 | NO_VGA, 2);
    acpi_put(set, 0, 1);
    acpi_put(set, WBINVD | C1 | NO_SLEEP_BUTTON | NO_FIXED_RTC | RESET_REGISTER, 4);
    acpi_put_gas(set, ACPI_GAS_IO, 8, pc_info(pc, PC_HOST)->win[0].base + 1); /* 116 reset */
    acpi_put(set, 0x0f, 1);
    acpi_put(set, 0, 3);
    acpi_put(set, 0, 8); /* 132 X_FACS: the 32-bit one counts */
    acpi_put(set, 0, 8); /* 140 X_DSDT */
    acpi_set_pointer(set, ACPI_TABLES, start + 140, 8, dsdt);
    acpi_put_gas(set, ACPI_GAS_IO, 32, pm + PM1_STATUS);
    acpi_put_gas(set, ACPI_GAS_MEMORY, 0, 0);
    acpi_put_gas(set, ACPI_GAS_IO, 16, pm + PM1_CONTROL);
    acpi_put_gas(set, ACPI_GAS_MEMORY, 0, 0);
    acpi_put_gas(set, ACPI_GAS_MEMORY, 0, 0);
    acpi_put_gas(set, ACPI_GAS_IO, 32, pm + PM_TIMER);
    acpi_put_gas(set, ACPI_GAS_IO, pc->chip->gpe_len * 8, pm + pc->chip->gpe_off);
    acpi_put_gas(set, ACPI_GAS_MEMORY, 0, 0);
    assert(set->blob[ACPI_TABLES]->len - start == 244);
    acpi_table_end(set, start);
    return start;
}

static void put_override(struct acpi_set *set, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    acpi_put(set, 2, 1);
    acpi_put(set, 10, 1);
    acpi_put(set, 0, 1); /* ISA */
    acpi_put(set, irq, 1);
    acpi_put(set, gsi, 4);
    acpi_put(set, flags, 2);
}

/* Interrupt controllers (§5.2.12). PCI interrupts and the SCI are level and active high here. */
static uint32_t put_madt(struct acpi_set *set, const struct pc *pc)
{
    enum { LEVEL_HIGH = 0x0d };
    uint32_t start = acpi_table_begin(set, "APIC", 3);
    acpi_put(set, LAPIC_DEFAULT_BASE, 4);
    acpi_put(set, 1, 4); /* there are 8259s */
    x86_cpus_put_madt(&pc->b, set);
    acpi_put(set, 1, 1);
    acpi_put(set, 12, 1);
    acpi_put(set, 0, 2); /* I/O APIC 0 */
    acpi_put(set, pc_info(pc, PC_IOAPIC)->win[0].base, 4);
    acpi_put(set, 0, 4);
    put_override(set, 0, PC_GSI_TIMER, 0);
    for (unsigned i = 0; i < PC_LINK_IRQS; i++) {
        if (i == 1)
            put_override(set, PC_IRQ_SCI, PC_IRQ_SCI, LEVEL_HIGH);
        put_override(set, pc_link_irqs[i], pc_link_irqs[i], LEVEL_HIGH);
    }
    acpi_put(set, 4, 1); /* NMI on LINT1 of all processors */
    acpi_put(set, 6, 1);
    acpi_put(set, 0xff, 1);
    acpi_put(set, 0, 2);
    acpi_put(set, 1, 1);
    acpi_table_end(set, start);
    return start;
}

static uint32_t put_hpet(struct acpi_set *set, const struct pc *pc)
{
    uint32_t start = acpi_table_begin(set, "HPET", 1);
    acpi_put(set, 0x8086a201, 4);
    acpi_put_gas(set, ACPI_GAS_MEMORY, 0, pc_info(pc, PC_HPET)->win[0].base);
    acpi_put(set, 0, 1);
    acpi_put(set, 0, 2);
    acpi_put(set, 0, 1);
    acpi_table_end(set, start);
    return start;
}

/* The guest may trust one read of the PM timer and the RTC's update flag (WAET). */
static uint32_t put_waet(struct acpi_set *set)
{
    uint32_t start = acpi_table_begin(set, "WAET", 1);
    acpi_put(set, BIT(1), 4);
    acpi_table_end(set, start);
    return start;
}

/* Where PCI Express configuration space is (PCI Firmware 3.0 §4.1.2). */
static uint32_t put_mcfg(struct acpi_set *set, const struct pc *pc)
{
    uint32_t start = acpi_table_begin(set, "MCFG", 1);
    acpi_put(set, 0, 8);
    acpi_put(set, pc->chip->mcfg, 8);
    acpi_put(set, 0, 2); /* segment */
    acpi_put(set, 0, 1);
    acpi_put(set, (pc->chip->mcfg_size >> 20) - 1, 1); /* last bus */
    acpi_put(set, 0, 4);
    acpi_table_end(set, start);
    return start;
}

void pc_acpi_build(const struct pc *pc, uint16_t pm_base, struct acpi_set *set)
{
    const struct board_config *c = pc->b.config;
    uint32_t tables[5 + BOARD_ACPI_TABLES];
    unsigned n = 0;
    uint32_t facs = put_facs(set);
    uint32_t dsdt = put_dsdt(set, pc, pm_base);
    tables[n++] = put_fadt(set, pc, pm_base, facs, dsdt);
    tables[n++] = put_madt(set, pc);
    if (pc->part[PC_HPET])
        tables[n++] = put_hpet(set, pc);
    if (pc->chip->mcfg)
        tables[n++] = put_mcfg(set, pc);
    tables[n++] = put_waet(set);
    for (unsigned i = 0; i < c->acpi_table_count && i < BOARD_ACPI_TABLES; i++)
        tables[n++] = acpi_table_add(set, c->acpi_tables[i].data, c->acpi_tables[i].size);
    acpi_finish_roots(set, tables, n);
}
