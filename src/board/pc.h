/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The i440FX PC: what its files share. pc.c wires it, pc_map.c is the one table of addresses and
 * interrupts, pc_acpi.c describes it to the guest, pc_boot.c starts a kernel without firmware.
 */
#ifndef BOARD_PC_H
#define BOARD_PC_H

#include "base/str.h"
#include "board/board.h"
#include "board/x86_cpus.h"
#include "cpu/intc.h"
#include "dev/device.h"
#include "dev/firmware/acpi.h"
#include "dev/firmware/bzimage.h"
#include "dev/intc/apic_bus.h"
#include "dev/isa/isa.h"
#include "dev/pci/msi.h"
#include "dev/pci/pci.h"

enum pc_part {
    PC_HOST,
    PC_ISA,
    PC_IDE,
    PC_PM,
    PC_PIC,
    PC_IOAPIC,
    PC_PIT,
    PC_RTC,
    PC_HPET,
    PC_KBD,
    PC_COM1,
    PC_COM2,
    PC_COM3,
    PC_COM4,
    PC_FWCFG,
    PC_DEBUGCON,
    PC_PARTS,
};

enum { PC_WINDOWS_MAX = 4, PC_NO_IRQ = -1, PC_NO_DEVFN = -1 };

struct pc_part_info {
    const struct device_type *type;
    const char *id;
    struct {
        const char *name; /* of the device's window */
        gpa_t base;
        uint32_t size; /* as documented to the guest */
    } win[PC_WINDOWS_MAX];
    int irq; /* ISA interrupt of output 0, PC_NO_IRQ where the board wires it by name */
    int devfn;
    const char *hid, *aml; /* ACPI id and name of a device under \_SB.PCI0.ISA; NULL: none */
};
extern const struct pc_part_info pc_parts[PC_PARTS];

/* Fixed numbers of the machine. */
enum {
    PC_IRQS = 16,
    PC_IRQ_SCI = 9,
    PC_IRQ_FPU = 13,
    PC_GSI_TIMER = 2, /* I/O APIC pin of IRQ 0 */
    PC_PM_BASE = 0x600,
    PC_SMB_BASE = 0x700,
    PC_PORT_POST = 0x80,
    PC_PORT_FERR_CLEAR = 0xf0,
    PC_FIRMWARE_MAX = 8 << 20,
    PC_LOW_ALIAS = 0x20000, /* the firmware's end shows below 1 MiB, too */
};
#define PC_RAM_LOW_MAX        (3 * GIB)
#define PC_DEVICE_RAM         GIB /* reserved for video memory, option ROMs, flash */
#define PC_BASE_RAM           UINT64_C(0xa0000)
#define PC_PCI_HOLE_END       UINT64_C(0xfebfffff)
#define PC_PCI_HOLE_START_MIN UINT64_C(0x80000000)

/* Priorities of regions: PCI's BARs give way to RAM, chipset registers and shadow RAM win. */
enum {
    PC_PRIO_BAR = -2,
    PC_PRIO_ROM = -1,
    PC_PRIO_RAM = 0,
    PC_PRIO_SHADOW = 1,
    PC_PRIO_CHIP = 2,
    PC_PRIO_LAPIC = 3
};

struct pc {
    struct board b;
    struct device *part[PC_PARTS];
    struct pci_bus pci;
    struct isa_bus isa_bus;
    struct msi_sink msi;
    struct apic_bus apic_bus;
    struct x86_cpus cpus;
    /* memory */
    gra_t ram, rom;
    uint64_t ram_low, ram_high; /* below and above 4 GiB */
    uint64_t rom_size;
    struct mem_region ram_base_region, ram_ext_region, ram_high_region;
    struct mem_region rom_region, rom_alias, post_region, ferr_region;
    uint8_t post_code;
    /* interrupts: each ISA line is a wired OR, split to the 8259s and the I/O APIC */
    struct irq_or isa[PC_IRQS];
    struct irq_split isa_split[PC_IRQS];
    struct irq_or pin[24]; /* of the I/O APIC: ISA line or HPET */
    struct irq_gate gate0, gate8;
    struct irq_split hpet_legacy;
    /* tables handed to firmware, kept to be rebuilt when PMBASE moves */
    struct acpi_set acpi;
};

/* Inputs of isa[] and pin[] */
enum { PC_ISA_DEVICE, PC_ISA_PCI, PC_ISA_HPET };
enum { PC_PIN_ISA, PC_PIN_HPET };

static inline struct pc *pc_of(struct board *b)
{
    return (struct pc *)b;
}

/* pc_acpi.c: fills an initialised set from the map; pm_base is where the PM block is. */
void pc_acpi_build(const struct pc *pc, uint16_t pm_base, struct acpi_set *set);

/* pc_fw.c */
bool pc_firmware_load(struct pc *pc, struct error *err) MUST_CHECK;
bool pc_firmware_config(struct pc *pc, struct error *err) MUST_CHECK; /* fw_cfg and CMOS */
struct smbios;
void pc_smbios_build(const struct pc *pc, struct smbios *s);

/* pc_boot.c: after reset, loads the kernel and sets the vCPU to its entry. */
bool pc_boot_kernel(struct pc *pc, struct error *err) MUST_CHECK;

#endif
