/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PC: what its files share. A board is a struct pc_chipset (i440fx.c, q35.c) around the common
 * machine: pc.c wires it, pc_map.c is the table of its addresses and interrupts, pc_acpi.c and
 * pc_dsdt.c describe it to the guest, pc_fw.c is its firmware, pc_boot.c starts a kernel without.
 */
#ifndef BOARD_PC_H
#define BOARD_PC_H

#include "base/str.h"
#include "board/board.h"
#include "board/x86_irqchip.h"
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
    PC_PM, /* i440FX: power management; ICH9 has it in PC_ISA */
    PC_SMBUS,
    PC_DISKS, /* PIIX3 IDE or ICH9 AHCI */
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
extern const struct pc_part_info pc_common_parts[PC_PARTS];

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
    PC_FLASHES = 2,
    PC_LOW_ALIAS = 0x20000, /* the firmware's end shows below 1 MiB, too */
};
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

struct aml;
struct pc;

/* What differs between the chipsets. */
struct pc_chipset {
    const char *bus; /* name of the root bus */
    bool express;
    unsigned pirqs;
    bool smm;                               /* can have system management mode */
    struct pc_part_info parts[PC_PARTS];    /* rows with a type; the others are pc_common_parts' */
    uint64_t (*ram_low)(uint64_t ram_size); /* how much RAM is below 4 GiB */
    unsigned (*route)(const struct pci_bus *bus, unsigned slot, unsigned pin);
    void (*prepare_disks)(struct device *disks);           /* before its init; NULL: nothing */
    void (*wire_host)(struct pc *pc, struct device *host); /* before its init, others are made */
    void (*connect)(struct pc *pc);                        /* interrupts, reset, power */
    void (*power_button)(struct pc *pc);
    uint16_t (*pm_base)(const struct pc *pc); /* 0: not decoded now */
    uint8_t pm_ports, gpe_off, gpe_len;       /* of the PM block; gpe_len: status and enable */
    void (*program)(struct pc *pc);           /* registers as firmware would leave them */
    uint8_t irq_line[PCI_ROUTES_MAX];         /* ISA interrupts that program() routes PIRQs to */
    /* PCI Express configuration space; 0: none */
    gpa_t mcfg;
    uint64_t mcfg_size;
    /* AML in \_SB.PCI0: names, _OSC, _PRT; then in the ISA bridge; then in \_SB */
    void (*put_host)(struct aml *a, const struct pc *pc, uint16_t pm_base);
    void (*put_isa)(struct aml *a);
    void (*put_links)(struct aml *a);
};
extern const struct pc_chipset i440fx_chipset, q35_chipset;

struct pc {
    struct board b;
    const struct pc_chipset *chip;
    struct device *part[PC_PARTS];
    struct device *flash[PC_FLASHES]; /* NULL: firmware is a ROM, or there is none */
    struct pci_bus pci;
    struct isa_bus isa_bus;
    struct msi_sink msi;
    pthread_mutex_t late_lock;
    GArray *late; /* struct msi_message that wait for the main loop; guarded by late_lock */
    struct apic_bus apic_bus;
    struct cpu_port intr; /* IRQCHIP_SPLIT: the 8259's way to the boot processor */
    struct x86_cpus cpus;
    /* memory */
    gra_t ram, rom;
    uint64_t ram_low, ram_high; /* below and above 4 GiB */
    uint64_t rom_size;
    struct mem_region ram_base_region, ram_ext_region, ram_high_region;
    struct mem_region rom_region, rom_alias, post_region, ferr_region;
    uint8_t post_code;
    /* system management mode; what firmware agreed about its requests */
    struct mem_region smram_low, smram_tseg;
    uint64_t smi_features, smi_request;
    bool smi_agreed;
    /* interrupts: each ISA line is a wired OR, split to the 8259s and the I/O APIC */
    struct irq_or isa[PC_IRQS];
    struct irq_split isa_split[PC_IRQS];
    struct irq_or pin[24]; /* of the I/O APIC: ISA line or HPET */
    struct irq_gate gate0, gate8;
    struct irq_split hpet_legacy;
    /* tables handed to firmware, kept to be rebuilt when PMBASE moves */
    struct acpi_set acpi;
    bool booted; /* reset once: -boot once= counts no more */
};

/* Inputs of isa[] and pin[] */
enum { PC_ISA_DEVICE, PC_ISA_PCI, PC_ISA_HPET };
enum { PC_PIN_ISA, PC_PIN_HPET };

static inline struct pc *pc_of(struct board *b)
{
    return (struct pc *)b;
}

/* Where a part is. */
static inline const struct pc_part_info *pc_info(const struct pc *pc, enum pc_part i)
{
    return pc->chip->parts[i].type ? &pc->chip->parts[i] : &pc_common_parts[i];
}

/* pc.c: for the boards' records */
bool pc_init(struct board *b, const struct pc_chipset *chip, struct error *err) MUST_CHECK;
bool pc_complete(struct board *b, struct error *err) MUST_CHECK;
bool pc_reset(struct board *b, struct error *err) MUST_CHECK;
void pc_finish(struct board *b);
void pc_power_button(struct board *b);
/* Line functions for connect(). */
void pc_reset_line(void *opaque, unsigned n, bool level);
void pc_power_off_line(void *opaque, unsigned n, bool level);
/* What the host bridge shows of shadow RAM's other side. */
struct pam_wiring;
void pc_pam_wiring(const struct pc *pc, struct pam_wiring *ret);

/* pc_dsdt.c */
void pc_put_dsdt(struct aml *a, const struct pc *pc, uint16_t pm_base);
uint16_t pc_apm_port(const struct pc *pc);
void pc_named_int(struct aml *a, const char *name, uint64_t v);
void pc_named_eisaid(struct aml *a, const char *name, const char *id);
/* A link device whose route register is the field \_SB.PCI0.ISA.<reg>. */
void pc_put_link(struct aml *a, const char *name, unsigned uid, const char *reg);
/* One row of a _PRT: link NULL: the global system interrupt gsi. */
void pc_put_route(struct aml *a, unsigned slot, unsigned pin, const char *link, unsigned gsi);
extern const uint32_t pc_link_irqs[];
enum { PC_LINK_IRQS = 3 };

/* pc_boot.c: writes as firmware does */
void pc_config_write(struct pc *pc, uint8_t devfn, unsigned off, uint32_t v, unsigned size);
void pc_port_write(struct pc *pc, uint16_t port, uint8_t v);

/* pc_acpi.c: fills an initialised set from the map; pm_base is where the PM block is. */
void pc_acpi_build(const struct pc *pc, uint16_t pm_base, struct acpi_set *set);

/* pc_flash.c: config->pflash as the firmware */
bool pc_flash_make(struct pc *pc, struct error *err) MUST_CHECK;

/* pc_smm.c: after memory, before vCPUs */
struct mch_smram;
bool pc_smm_make(struct pc *pc, struct error *err) MUST_CHECK;
bool pc_smm_config(struct pc *pc, struct error *err) MUST_CHECK; /* fw_cfg */
void pc_smm_reset(struct pc *pc);
void pc_smm_finish(struct pc *pc);
void pc_smram_changed(void *opaque, const struct mch_smram *s); /* opaque: struct pc */
void pc_smi_line(void *opaque, unsigned n, bool level);

/* pc_fw.c */
bool pc_firmware_load(struct pc *pc, struct error *err) MUST_CHECK;
/* pc_fwcfg.c: fw_cfg and CMOS */
bool pc_firmware_config(struct pc *pc, struct error *err) MUST_CHECK;
void pc_set_boot_order(struct pc *pc, const char *order); /* letters, "cad" */
struct smbios;
void pc_smbios_build(const struct pc *pc, struct smbios *s);

/* pc_boot.c: after reset, loads the kernel and sets the vCPU to its entry. */
bool pc_boot_kernel(struct pc *pc, struct error *err) MUST_CHECK;

#endif
