/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * microvm: what its files share. microvm.c wires it, microvm_acpi.c describes it to the guest.
 */
#ifndef BOARD_MICROVM_H
#define BOARD_MICROVM_H

#include "board/board.h"
#include "board/x86_cpus.h"
#include "cpu/intc.h"
#include "dev/device.h"
#include "dev/firmware/acpi.h"
#include "dev/intc/apic_bus.h"
#include "dev/intc/ioapic.h"
#include "dev/isa/isa.h"

enum {
    MICROVM_MMIO_MAX = 24,
    MICROVM_MMIO_FEW = 8, /* without the second I/O APIC */
    MICROVM_MMIO_SIZE = 0x200,
    MICROVM_GSI_SECOND = 24,      /* of the second I/O APIC's input 0 */
    MICROVM_GSI_FEW = 16,         /* of the transports, without it */
    MICROVM_IRQ_WITHOUT_ACPI = 5, /* of the transports, where the kernel only knows ISA's lines */
    MICROVM_IRQ_SCI = 9,
    MICROVM_PM = 0x600, /* ports */
    MICROVM_RESET = 0xcf9,
};
#define MICROVM_MMIO_BASE UINT32_C(0xfeb00000)
#define MICROVM_IOAPIC    UINT32_C(0xfec00000)
#define MICROVM_IOAPIC2   UINT32_C(0xfec10000)

enum microvm_part {
    MV_PIC,
    MV_IOAPIC,
    MV_IOAPIC2,
    MV_PIT,
    MV_RTC,
    MV_COM1,
    MV_FWCFG,
    MV_DEBUGCON,
    MV_PM,
    MV_PARTS
};

struct microvm {
    struct board b;
    struct device *part[MV_PARTS];
    struct device *mmio[MICROVM_MMIO_MAX];
    unsigned mmio_count, mmio_gsi; /* interrupt of transport 0 */
    struct isa_bus isa_bus;
    struct apic_bus apic_bus;
    struct x86_cpus cpus;
    struct cpu_port intr;
    gra_t ram, rom;
    uint64_t ram_low, ram_high, rom_size;
    struct mem_region ram_region, ram_high_region, rom_region;
    struct irq_or isa[ISA_IRQS];
    struct irq_split isa_split[ISA_IRQS];
    struct acpi_set acpi;
};

static inline struct microvm *microvm_of(struct board *b)
{
    return (struct microvm *)b;
}

/* microvm_acpi.c: fills an initialised set. */
void microvm_acpi_build(struct board *b, struct acpi_set *set);

#endif
