/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI of microvm: fixed hardware, not the hardware-reduced profile: with that one Linux leaves the
 * timers alone by which it would learn the TSC's frequency, and without KVM's clock it then stands
 * still. Virtio transports are LNRO0005.
 */
#include "board/microvm.h"

#include "base/bits.h"
#include "dev/firmware/aml.h"
#include "dev/intc/lapic.h"
#include "dev/misc/pm_block.h"

#include <stdio.h>

static void named_int(struct aml *a, const char *name, uint64_t v)
{
    aml_name(a, name);
    aml_int(a, v);
}

static void put_transport(struct aml *a, const struct microvm *m, unsigned n)
{
    const uint32_t gsi = m->mmio_gsi + n;
    char name[8];
    snprintf(name, sizeof name, "VR%02u", n);
    aml_device(a, name);
    aml_name(a, "_HID");
    aml_string(a, "LNRO0005");
    named_int(a, "_UID", n);
    named_int(a, "_CCA", 1);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_memory32_fixed(a, MICROVM_MMIO_BASE + n * MICROVM_MMIO_SIZE, MICROVM_MMIO_SIZE, true);
    aml_interrupt(a, &gsi, 1);
    aml_end(a);
    aml_end(a);
}

static void put_serial(struct aml *a)
{
    aml_device(a, "COM1");
    aml_name(a, "_HID");
    aml_eisaid(a, "PNP0501");
    named_int(a, "_UID", 1);
    named_int(a, "_STA", 0x0f);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_io(a, 0x3f8, 8);
    aml_irq_no_flags(a, 4);
    aml_end(a);
    aml_end(a);
}

static void put_rtc(struct aml *a)
{
    aml_device(a, "RTC");
    aml_name(a, "_HID");
    aml_eisaid(a, "PNP0B00");
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_io(a, 0x70, 2);
    aml_irq_no_flags(a, 8);
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
    aml_io(a, 0x510, 12);
    aml_end(a);
    aml_end(a);
}

static uint32_t put_dsdt(struct acpi_set *set, const struct microvm *m)
{
    uint32_t start = acpi_table_begin(set, "DSDT", 2);
    struct aml aml, *a = &aml;
    aml_begin(a, set->blob[ACPI_TABLES]);
    aml_scope(a, "\\_SB");
    put_fwcfg(a);
    if (m->part[MV_COM1])
        put_serial(a);
    if (m->part[MV_RTC])
        put_rtc(a);
    for (unsigned i = 0; i < m->mmio_count; i++)
        if (m->mmio[i]->buses && m->mmio[i]->buses->count)
            put_transport(a, m, i);
    aml_end(a);
    aml_name(a, "\\_S5");
    aml_package(a, 4);
    for (unsigned i = 0; i < 4; i++)
        aml_int(a, PM_SLEEP_S5);
    aml_end(a);
    aml_finish(a);
    acpi_table_end(set, start);
    return start;
}

/* §5.2.10: no header checksum, 64-byte aligned. */
static uint32_t put_facs(struct acpi_set *set)
{
    acpi_align(set, 64);
    uint32_t start = set->blob[ACPI_TABLES]->len;
    g_byte_array_append(set->blob[ACPI_TABLES], (const uint8_t *)"FACS", 4);
    acpi_put(set, 64, 4);
    while (set->blob[ACPI_TABLES]->len - start < 64)
        acpi_put(set, set->blob[ACPI_TABLES]->len - start == 32, 1); /* version 1 */
    return start;
}

/* FADT revision 3 (§5.2.9), 244 bytes. */
static uint32_t put_fadt(struct acpi_set *set, uint32_t facs, uint32_t dsdt)
{
    enum { LEGACY_DEVICES = 1, NO_VGA = 4 };
    enum { WBINVD = BIT(0), C1 = BIT(2), NO_SLEEP_BUTTON = BIT(5), NO_FIXED_RTC = BIT(6) };
    enum { RESET_REGISTER = BIT(10) };
    uint32_t start = acpi_table_begin(set, "FACP", 3);
    acpi_put(set, 0, 4); /* 36 FACS */
    acpi_set_pointer(set, ACPI_TABLES, start + 36, 4, facs);
    acpi_put(set, 0, 4); /* 40 DSDT */
    acpi_set_pointer(set, ACPI_TABLES, start + 40, 4, dsdt);
    acpi_put(set, 0, 2);
    acpi_put(set, MICROVM_IRQ_SCI, 2);
    acpi_put(set, 0, 8);                       /* no command port: always in ACPI mode */
    acpi_put(set, MICROVM_PM + PM1_STATUS, 4); /* 56 PM1a event */
    acpi_put(set, 0, 4);
    acpi_put(set, MICROVM_PM + PM1_CONTROL, 4);
    acpi_put(set, 0, 8);
    acpi_put(set, MICROVM_PM + PM_TIMER, 4);
    acpi_put(set, 0, 8);
    acpi_put(set, 4, 1); /* 88 lengths: event, control, -, timer, no GPEs */
    acpi_put(set, 2, 1);
    acpi_put(set, 0, 1);
    acpi_put(set, 4, 1);
    acpi_put(set, 0, 4);
    acpi_put(set, 0xfff, 2); /* 96 no C2, C3 */
    acpi_put(set, 0xfff, 2);
    acpi_put(set, 0, 8);
    acpi_put(set, 0x32, 1); /* 108 century byte in CMOS */
    acpi_put(set, LEGACY_DEVICES | NO_VGA, 2);
    acpi_put(set, 0, 1);
    acpi_put(set, WBINVD | C1 | NO_SLEEP_BUTTON | NO_FIXED_RTC | RESET_REGISTER, 4);
    acpi_put_gas(set, ACPI_GAS_IO, 8, MICROVM_RESET); /* 116 */
    acpi_put(set, PM_BLOCK_RESET_VALUE, 1);
    acpi_put(set, 0, 3);
    acpi_put(set, 0, 8); /* 132 X_FACS: the 32-bit one counts */
    acpi_put(set, 0, 8); /* 140 X_DSDT */
    acpi_set_pointer(set, ACPI_TABLES, start + 140, 8, dsdt);
    acpi_put_gas(set, ACPI_GAS_IO, 32, MICROVM_PM + PM1_STATUS);
    acpi_put_gas(set, ACPI_GAS_MEMORY, 0, 0);
    acpi_put_gas(set, ACPI_GAS_IO, 16, MICROVM_PM + PM1_CONTROL);
    acpi_put_gas(set, ACPI_GAS_MEMORY, 0, 0);
    acpi_put_gas(set, ACPI_GAS_MEMORY, 0, 0);
    acpi_put_gas(set, ACPI_GAS_IO, 32, MICROVM_PM + PM_TIMER);
    acpi_put_gas(set, ACPI_GAS_MEMORY, 0, 0);
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

static void put_ioapic(struct acpi_set *set, unsigned id, uint32_t base, uint32_t first_gsi)
{
    acpi_put(set, 1, 1);
    acpi_put(set, 12, 1);
    acpi_put(set, id, 2);
    acpi_put(set, base, 4);
    acpi_put(set, first_gsi, 4);
}

static uint32_t put_madt(struct acpi_set *set, const struct microvm *m)
{
    enum { LEVEL_HIGH = 0x0d };
    uint32_t start = acpi_table_begin(set, "APIC", 3);
    acpi_put(set, LAPIC_DEFAULT_BASE, 4);
    acpi_put(set, m->part[MV_PIC] ? 1 : 0, 4);
    x86_cpus_put_madt(&m->b, set);
    put_ioapic(set, 0, MICROVM_IOAPIC, 0);
    if (m->part[MV_IOAPIC2])
        put_ioapic(set, 1, MICROVM_IOAPIC2, MICROVM_GSI_SECOND);
    put_override(set, 0, 2, 0);
    put_override(set, MICROVM_IRQ_SCI, MICROVM_IRQ_SCI, LEVEL_HIGH);
    acpi_put(set, 4, 1); /* NMI on LINT1 of all processors */
    acpi_put(set, 6, 1);
    acpi_put(set, 0xff, 1);
    acpi_put(set, 0, 2);
    acpi_put(set, 1, 1);
    acpi_table_end(set, start);
    return start;
}

void microvm_acpi_build(struct board *b, struct acpi_set *set)
{
    const struct microvm *m = microvm_of(b);
    uint32_t tables[2];
    uint32_t facs = put_facs(set);
    uint32_t dsdt = put_dsdt(set, m);
    tables[0] = put_fadt(set, facs, dsdt);
    tables[1] = put_madt(set, m);
    acpi_finish_roots(set, tables, ARRAY_SIZE(tables));
}
