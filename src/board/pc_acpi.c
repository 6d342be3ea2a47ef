/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI description of the i440FX PC, made from pc_map.c's table: DSDT, FADT, FACS, MADT, HPET.
 */
#include "board/pc.h"

#include "dev/firmware/aml.h"
#include "dev/intc/ioapic.h"
#include "dev/intc/lapic.h"
#include "dev/pci/piix3.h"
#include "dev/pci/piix4_pm.h"

#include <string.h>

static const uint32_t link_irqs[] = { 5, 10, 11 };
static const char *const links[] = { "LNKA", "LNKB", "LNKC", "LNKD" };
static const char *const routes[] = { "PRQ0", "PRQ1", "PRQ2", "PRQ3" };

static void named_int(struct aml *a, const char *name, uint64_t v)
{
    aml_name(a, name);
    aml_int(a, v);
}

static void named_eisaid(struct aml *a, const char *name, const char *id)
{
    aml_name(a, name);
    aml_eisaid(a, id);
}

/* _CRS of the bus: all buses, all ports but the configuration registers, the VGA hole, the window
 * between RAM and the I/O APIC. */
static void put_bus_resources(struct aml *a, const struct pc *pc)
{
    const gpa_t config = pc_parts[PC_HOST].win[0].base;
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_word_bus(a, 0, 255);
    aml_io(a, config, 8);
    aml_word_io(a, 0, config - 1);
    aml_word_io(a, config + 8, 0xffff);
    aml_dword_memory(a, PC_BASE_RAM, 0xbffff, true);
    aml_dword_memory(a, MAX(pc->ram_low, PC_PCI_HOLE_START_MIN), PC_PCI_HOLE_END, false);
    aml_end(a);
}

/* Slot s, pin p reaches link (s - 1 + p) mod 4; the PM function's own line is the SCI. */
static void put_routing(struct aml *a)
{
    aml_name(a, "_PRT");
    aml_package(a, 31 * PCI_PINS);
    for (unsigned slot = 1; slot < 32; slot++) {
        for (unsigned pin = 0; pin < PCI_PINS; pin++) {
            aml_package(a, 4);
            aml_int(a, slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_path(a, slot == 1 && pin == 0 ? "LNKS" : links[(slot - 1 + pin) & 3]);
            aml_int(a, 0);
            aml_end(a);
        }
    }
    aml_end(a);
}

static void put_isa_device(struct aml *a, const struct pc_part_info *p, unsigned uid)
{
    aml_device(a, p->aml);
    named_eisaid(a, "_HID", p->hid);
    if (uid)
        named_int(a, "_UID", uid);
    named_int(a, "_STA", 0x0f);
    aml_name(a, "_CRS");
    aml_resources(a);
    for (unsigned i = 0; i < PC_WINDOWS_MAX && p->win[i].name; i++)
        if (strcmp(p->win[i].name, "port92"))
            aml_io(a, p->win[i].base, p->win[i].size);
    aml_irq_no_flags(a, p->irq);
    aml_end(a);
    aml_end(a);
}

static void put_mouse(struct aml *a)
{
    aml_device(a, "MOU");
    named_eisaid(a, "_HID", "PNP0F13");
    named_int(a, "_STA", 0x0f);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_irq_no_flags(a, 12);
    aml_end(a);
    aml_end(a);
}

static void put_fwcfg(struct aml *a)
{
    aml_device(a, "FWCF");
    aml_name(a, "_HID");
    aml_string(a, "QEMU0002");
    named_int(a, "_STA", 0x0b);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_io(a, pc_parts[PC_FWCFG].win[0].base, 12);
    aml_end(a);
    aml_end(a);
}

static void put_isa_bridge(struct aml *a, const struct pc *pc)
{
    aml_device(a, "ISA");
    named_int(a, "_ADR", 0x10000);
    aml_region(a, "P40C", AML_PCI_CONFIG, PIIX3_PIRQ_ROUTE, PCI_ROUTES);
    aml_field(a, "P40C");
    for (unsigned i = 0; i < PCI_ROUTES; i++)
        aml_field_unit(a, routes[i], 8);
    aml_end(a);
    for (unsigned i = 0; i < PC_PARTS; i++)
        if (pc_parts[i].hid && pc->part[i])
            put_isa_device(a, &pc_parts[i], i >= PC_COM1 && i <= PC_COM4 ? i - PC_COM1 + 1 : 0);
    put_mouse(a);
    put_fwcfg(a);
    aml_end(a);
}

/* _STA: enabled unless the route register's disable bit is set. */
static void put_link_status(struct aml *a, const char *route)
{
    aml_method(a, "_STA", 0, false);
    aml_if(a);
    aml_and(a);
    aml_path(a, route);
    aml_int(a, 0x80);
    aml_none(a);
    aml_return(a);
    aml_int(a, 0x09);
    aml_end(a);
    aml_return(a);
    aml_int(a, 0x0b);
    aml_end(a);
}

/* _CRS: a template whose number is the route register's, 0 while disabled. */
static void put_link_current(struct aml *a, const char *route)
{
    aml_method(a, "_CRS", 0, true);
    aml_name(a, "BUF");
    aml_resources(a);
    aml_interrupt(a, (const uint32_t[]){ 0 }, 1);
    aml_end(a);
    aml_create_dword_field(a);
    aml_path(a, "BUF");
    aml_int(a, 5);
    aml_path(a, "IRQN");
    aml_if(a);
    aml_lnot(a);
    aml_and(a);
    aml_path(a, route);
    aml_int(a, 0x80);
    aml_none(a);
    aml_and(a);
    aml_path(a, route);
    aml_int(a, 0x0f);
    aml_path(a, "IRQN");
    aml_end(a);
    aml_return(a);
    aml_path(a, "BUF");
    aml_end(a);
}

static void put_link(struct aml *a, unsigned n)
{
    char route[32];
    snprintf(route, sizeof route, "\\_SB.PCI0.ISA.%s", routes[n]);
    aml_device(a, links[n]);
    named_eisaid(a, "_HID", "PNP0C0F");
    named_int(a, "_UID", n);
    aml_name(a, "_PRS");
    aml_resources(a);
    aml_interrupt(a, link_irqs, ARRAY_SIZE(link_irqs));
    aml_end(a);
    put_link_status(a, route);
    aml_method(a, "_DIS", 0, false);
    aml_or(a);
    aml_path(a, route);
    aml_int(a, 0x80);
    aml_path(a, route);
    aml_end(a);
    put_link_current(a, route);
    aml_method(a, "_SRS", 1, false);
    aml_create_dword_field(a);
    aml_arg(a, 0);
    aml_int(a, 5);
    aml_path(a, "IRQN");
    aml_store(a);
    aml_path(a, "IRQN");
    aml_path(a, route);
    aml_end(a);
    aml_end(a);
}

/* The SCI's link cannot be changed. */
static void put_sci_link(struct aml *a)
{
    static const uint32_t sci[] = { PC_IRQ_SCI };
    aml_device(a, "LNKS");
    named_eisaid(a, "_HID", "PNP0C0F");
    named_int(a, "_UID", 4);
    for (unsigned i = 0; i < 2; i++) {
        aml_name(a, i ? "_CRS" : "_PRS");
        aml_resources(a);
        aml_interrupt(a, sci, 1);
        aml_end(a);
    }
    aml_method(a, "_SRS", 1, false);
    aml_end(a);
    aml_method(a, "_DIS", 0, false);
    aml_end(a);
    named_int(a, "_STA", 0x0b);
    aml_end(a);
}

static void put_hpet_device(struct aml *a)
{
    aml_device(a, "HPET");
    named_eisaid(a, "_HID", "PNP0103");
    named_int(a, "_UID", 0);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_memory32_fixed(a, pc_parts[PC_HPET].win[0].base, pc_parts[PC_HPET].win[0].size, false);
    aml_end(a);
    aml_end(a);
}

/* Ports of the PM function that are not in a BAR: nobody else may be given them. */
static void put_pm(struct aml *a, uint16_t pm_base)
{
    aml_device(a, "PM");
    named_int(a, "_ADR", 0x10003);
    aml_end(a);
    aml_device(a, "MRES");
    named_eisaid(a, "_HID", "PNP0C02");
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_io(a, pm_base, PIIX4_PM_PORTS);
    aml_io(a, pc_parts[PC_PM].win[0].base, pc_parts[PC_PM].win[0].size);
    aml_end(a);
    aml_end(a);
}

static void put_sleep_states(struct aml *a)
{
    aml_name(a, "\\_S5");
    aml_package(a, 4);
    aml_int(a, PM_SLEEP_S5);
    aml_int(a, PM_SLEEP_S5);
    aml_int(a, 0);
    aml_int(a, 0);
    aml_end(a);
}

static uint32_t put_dsdt(struct acpi_set *set, const struct pc *pc, uint16_t pm_base)
{
    uint32_t start = acpi_table_begin(set, "DSDT", 2);
    struct aml aml, *a = &aml;
    aml_begin(a, set->blob[ACPI_TABLES]);
    aml_scope(a, "\\_SB");
    aml_device(a, "PCI0");
    named_eisaid(a, "_HID", "PNP0A03");
    named_int(a, "_UID", 0);
    named_int(a, "_BBN", 0);
    put_bus_resources(a, pc);
    put_routing(a);
    put_isa_bridge(a, pc);
    put_pm(a, pm_base);
    aml_end(a);
    for (unsigned i = 0; i < ARRAY_SIZE(links); i++)
        put_link(a, i);
    put_sci_link(a);
    if (pc->part[PC_HPET])
        put_hpet_device(a);
    x86_cpus_put_aml(&pc->b, a);
    aml_end(a);
    put_sleep_states(a);
    aml_finish(a);
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
static uint32_t put_fadt(struct acpi_set *set, uint16_t pm, uint32_t facs, uint32_t dsdt)
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
    acpi_put(set, pc_parts[PC_PM].win[0].base, 4); /* SMI command */
    acpi_put(set, PM_ACPI_ENABLE, 1);
    acpi_put(set, PM_ACPI_DISABLE, 1);
    acpi_put(set, 0, 2);
    acpi_put(set, pm + PM1_STATUS, 4); /* 56 PM1a event */
    acpi_put(set, 0, 4);
    acpi_put(set, pm + PM1_CONTROL, 4);
    acpi_put(set, 0, 4);
    acpi_put(set, 0, 4);
    acpi_put(set, pm + PM_TIMER, 4);
    acpi_put(set, pm + PIIX4_GPE_STATUS, 4);
    acpi_put(set, 0, 4);
    acpi_put(set, 4, 1); /* 88 lengths: event, control, -, timer, GPE0, GPE1 */
    acpi_put(set, 2, 1);
    acpi_put(set, 0, 1);
    acpi_put(set, 4, 1);
    acpi_put(set, 4, 1);
    acpi_put(set, 0, 3);
    acpi_put(set, 0xfff, 2); /* 96 no C2, C3 */
    acpi_put(set, 0xfff, 2);
    acpi_put(set, 0, 8);    /* flush size, stride, duty, alarms */
    acpi_put(set, 0x32, 1); /* 108 century byte in CMOS */
    acpi_put(set, LEGACY_DEVICES | HAS_8042 | NO_VGA, 2);
    acpi_put(set, 0, 1);
    acpi_put(set, WBINVD | C1 | NO_SLEEP_BUTTON | NO_FIXED_RTC | RESET_REGISTER, 4);
    acpi_put_gas(set, ACPI_GAS_IO, 8, pc_parts[PC_HOST].win[0].base + 1); /* 116 reset */
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
    acpi_put_gas(set, ACPI_GAS_IO, 32, pm + PIIX4_GPE_STATUS);
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
    acpi_put(set, pc_parts[PC_IOAPIC].win[0].base, 4);
    acpi_put(set, 0, 4);
    put_override(set, 0, PC_GSI_TIMER, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(link_irqs); i++) {
        if (i == 1)
            put_override(set, PC_IRQ_SCI, PC_IRQ_SCI, LEVEL_HIGH);
        put_override(set, link_irqs[i], link_irqs[i], LEVEL_HIGH);
    }
    acpi_put(set, 4, 1); /* NMI on LINT1 of all processors */
    acpi_put(set, 6, 1);
    acpi_put(set, 0xff, 1);
    acpi_put(set, 0, 2);
    acpi_put(set, 1, 1);
    acpi_table_end(set, start);
    return start;
}

static uint32_t put_hpet(struct acpi_set *set)
{
    uint32_t start = acpi_table_begin(set, "HPET", 1);
    acpi_put(set, 0x8086a201, 4);
    acpi_put_gas(set, ACPI_GAS_MEMORY, 0, pc_parts[PC_HPET].win[0].base);
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

void pc_acpi_build(const struct pc *pc, uint16_t pm_base, struct acpi_set *set)
{
    uint32_t tables[4];
    unsigned n = 0;
    uint32_t facs = put_facs(set);
    uint32_t dsdt = put_dsdt(set, pc, pm_base);
    tables[n++] = put_fadt(set, pm_base, facs, dsdt);
    tables[n++] = put_madt(set, pc);
    if (pc->part[PC_HPET])
        tables[n++] = put_hpet(set);
    tables[n++] = put_waet(set);
    acpi_finish_roots(set, tables, n);
}
