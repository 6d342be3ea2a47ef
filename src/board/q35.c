/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Q35 PC: 82Q35 memory controller hub with PCI Express configuration space, ICH9 with LPC
 * bridge, AHCI and SMBus. PIRQ A-H go to ISA interrupts as the LPC bridge's registers say, and to
 * I/O APIC pins 16 to 23.
 */
#include "board/pc.h"

#include "cpu/guest.h"
#include "dev/firmware/aml.h"
#include "dev/pci/ich9_lpc.h"
#include "dev/pci/q35_mch.h"
#include "dev/storage/ahci.h"
#include "guest/x86/x86.h"

enum {
    HOST = PCI_DEVFN(0, 0),
    LPC = PCI_DEVFN(31, 0),
    AHCI = PCI_DEVFN(31, 2),
    SMBUS = PCI_DEVFN(31, 3),
    LOW_SLOTS = 25, /* below: PIRQ E-H in turn; from there: as the chipset registers say */
    GSI_PIRQ_A = 16,
    RCBA = 0xfed1c000,
    RCBA_SIZE = 0x4000,
};
#define MCFG      UINT64_C(0xb0000000)
#define MCFG_SIZE (256 * MIB)

static const char *const links[] = {
    "LNKA", "LNKB", "LNKC", "LNKD", "LNKE", "LNKF", "LNKG", "LNKH"
};
static const char *const registers[] = { "PRQA", "PRQB", "PRQC", "PRQD",
                                         "PRQE", "PRQF", "PRQG", "PRQH" };

/* Memory beyond the configuration space's start leaves 2 GiB to PCI. */
static uint64_t ram_low(uint64_t size)
{
    return size >= MCFG ? 2 * GIB : size;
}

static unsigned route(const struct pci_bus *bus, unsigned slot, unsigned pin)
{
    const struct pc *pc = bus->route_opaque;
    return ich9_lpc_route(pc->part[PC_ISA], slot, pin);
}

static void wire_host(struct pc *pc, struct device *host)
{
    struct mch_wiring w = {
        .bus = &pc->pci,
        .reset = ich9_lpc_reset_control(pc->part[PC_ISA]),
        .ram_low = pc->ram_low,
        .chip_priority = PC_PRIO_CHIP,
    };
    if (pc->b.smm_mem) {
        w.smram_changed = pc_smram_changed;
        w.smram_opaque = pc;
        ich9_lpc_set_smm(pc->part[PC_ISA], true);
    }
    pc_pam_wiring(pc, &w.pam);
    mch_wire(host, &w);
    ich9_lpc_set_bus(pc->part[PC_ISA], &pc->pci);
}

static void connect(struct pc *pc)
{
    struct device *lpc = pc->part[PC_ISA];
    for (unsigned i = 0; i < ICH9_PIRQS; i++)
        irq_connect(&lpc->irqs[ICH9_OUT_GSI + i], irq_or_input, &pc->pin[GSI_PIRQ_A + i],
                    PC_PIN_ISA);
    irq_connect(&lpc->irqs[ICH9_OUT_SCI], irq_or_input, &pc->isa[PC_IRQ_SCI], PC_ISA_DEVICE);
    irq_connect(&lpc->irqs[ICH9_OUT_SMI], pc_smi_line, pc, 0);
    irq_connect(&lpc->irqs[ICH9_OUT_RESET], pc_reset_line, pc, 0);
    irq_connect(&lpc->irqs[ICH9_OUT_OFF], pc_power_off_line, pc, 0);
}

static void power_button(struct pc *pc)
{
    ich9_lpc_power_button(pc->part[PC_ISA]);
}

static uint16_t pm_base(const struct pc *pc)
{
    return ich9_lpc_pm_base(pc->part[PC_ISA]);
}

/* The PM block, the configuration space and the chipset registers are where ACPI says. */
static void program(struct pc *pc)
{
    for (unsigned i = 0; i < PAM_REGISTERS; i++)
        pc_config_write(pc, HOST, MCH_PAM0 + i, i ? 0x33 : 0x30, 1);
    pc_config_write(pc, HOST, MCH_PCIEXBAR + 4, 0, 4);
    pc_config_write(pc, HOST, MCH_PCIEXBAR, MCFG | MCH_PCIEXBAR_ENABLE, 4);
    for (unsigned i = 0; i < 4; i++) {
        pc_config_write(pc, LPC, ICH9_PIRQ_A + i, pc->chip->irq_line[i], 1);
        pc_config_write(pc, LPC, ICH9_PIRQ_E + i, pc->chip->irq_line[4 + i], 1);
    }
    pc_config_write(pc, LPC, ICH9_PM_BASE, PC_PM_BASE | 1, 4);
    pc_config_write(pc, LPC, ICH9_ACPI_CONTROL, ICH9_ACPI_ENABLE, 1);
    pc_config_write(pc, LPC, ICH9_RCBA, RCBA | 1, 4);
    pc_config_write(pc, SMBUS, PCI_BAR0 + 16, PC_SMB_BASE, 4);
    pc_config_write(pc, SMBUS, 0x40, 1, 1);
    pc_config_write(pc, SMBUS, PCI_COMMAND, PCI_COMMAND_IO, 2);
}

/* --- ACPI --- */

/* One _PRT for 8259s (links) or the I/O APIC (interrupts 16 to 23). */
static void put_routes(struct aml *a, const char *name, bool apic)
{
    aml_name(a, name);
    aml_package(a, 31 * PCI_PINS);
    for (unsigned slot = 1; slot < 32; slot++) {
        for (unsigned pin = 0; pin < PCI_PINS; pin++) {
            unsigned pirq = slot < LOW_SLOTS ? 4 + ((slot + pin) & 3) : pin;
            pc_put_route(a, slot, pin, apic ? NULL : links[pirq], GSI_PIRQ_A + pirq);
        }
    }
    aml_end(a);
}

static void put_prt(struct aml *a)
{
    put_routes(a, "PRTP", false);
    put_routes(a, "PRTA", true);
    aml_method(a, "_PRT", 0, false);
    aml_if(a);
    aml_path(a, "\\PICF");
    aml_return(a);
    aml_path(a, "PRTA");
    aml_end(a);
    aml_return(a);
    aml_path(a, "PRTP");
    aml_end(a);
}

/* The guest may have PME, AER and the Express capability (PCI Firmware 3.0 §4.5.1). */
static void put_osc(struct aml *a)
{
    static const uint8_t uuid[] = { 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
                                    0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66 };
    static const char *const status = "CDW1", *const control = "CDW3";
    aml_method(a, "_OSC", 4, true);
    aml_create_dword_field(a);
    aml_arg(a, 3);
    aml_int(a, 0);
    aml_path(a, status);
    aml_if(a);
    aml_equal(a);
    aml_arg(a, 0);
    aml_buffer(a, uuid, sizeof uuid);
    aml_create_dword_field(a);
    aml_arg(a, 3);
    aml_int(a, 8);
    aml_path(a, control);
    aml_and(a); /* Local0 = what is asked for and granted */
    aml_path(a, control);
    aml_int(a, 0x1c);
    aml_local(a, 0);
    aml_if(a);
    aml_lnot(a);
    aml_equal(a);
    aml_arg(a, 1);
    aml_int(a, 1);
    aml_or(a); /* unknown revision */
    aml_path(a, status);
    aml_int(a, 0x08);
    aml_path(a, status);
    aml_end(a);
    aml_if(a);
    aml_lnot(a);
    aml_equal(a);
    aml_path(a, control);
    aml_local(a, 0);
    aml_or(a); /* capabilities masked */
    aml_path(a, status);
    aml_int(a, 0x10);
    aml_path(a, status);
    aml_end(a);
    aml_store(a);
    aml_local(a, 0);
    aml_path(a, control);
    aml_end(a);
    aml_else(a);
    aml_or(a); /* unknown UUID */
    aml_path(a, status);
    aml_int(a, 0x04);
    aml_path(a, status);
    aml_end(a);
    aml_return(a);
    aml_arg(a, 3);
    aml_end(a);
}

static void put_host(struct aml *a, const struct pc *pc, uint16_t pm)
{
    pc_named_eisaid(a, "_HID", "PNP0A08");
    pc_named_eisaid(a, "_CID", "PNP0A03");
    put_osc(a);
    put_prt(a);
    aml_device(a, "DRAC"); /* what is no PCI window, but taken */
    pc_named_eisaid(a, "_HID", "PNP0C01");
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_memory32_fixed(a, MCFG, MCFG_SIZE, true);
    aml_memory32_fixed(a, RCBA, RCBA_SIZE, true);
    aml_end(a);
    aml_end(a);
}

static void put_isa(struct aml *a)
{
    pc_named_int(a, "_ADR", 0x1f0000);
    for (unsigned half = 0; half < 2; half++) {
        const char *region = half ? "PIRF" : "PIRQ";
        aml_region(a, region, AML_PCI_CONFIG, half ? ICH9_PIRQ_E : ICH9_PIRQ_A, 4);
        aml_field(a, region);
        for (unsigned i = 0; i < 4; i++)
            aml_field_unit(a, registers[4 * half + i], 8);
        aml_end(a);
    }
}

static void put_links(struct aml *a)
{
    aml_name(a, "\\PICF"); /* _PIC: the guest uses the I/O APIC */
    aml_int(a, 0);
    aml_method(a, "\\_PIC", 1, false);
    aml_store(a);
    aml_arg(a, 0);
    aml_path(a, "\\PICF");
    aml_end(a);
    for (unsigned i = 0; i < ICH9_PIRQS; i++)
        pc_put_link(a, links[i], i, registers[i]);
}

const struct pc_chipset q35_chipset = {
    .bus = "pcie.0",
    .express = true,
    .pirqs = ICH9_PIRQS,
    .smm = true,
    .parts = {
        [PC_HOST] = { &q35_mch_type, "mch", { { "address", 0xcf8, 4 }, { "data", 0xcfc, 4 } },
                      PC_NO_IRQ, HOST },
        [PC_ISA] = { &ich9_lpc_type, "ICH9 LPC", { { "apm", 0xb2, 2 } }, PC_NO_IRQ, LPC },
        [PC_DISKS] = { &ich9_ahci_type, "ide", { { NULL } }, PC_NO_IRQ, AHCI },
        [PC_SMBUS] = { &ich9_smbus_type, "smbus", { { NULL } }, PC_NO_IRQ, SMBUS },
    },
    .ram_low = ram_low,
    .prepare_disks = ahci_name_buses,
    .route = route,
    .wire_host = wire_host,
    .connect = connect,
    .power_button = power_button,
    .pm_base = pm_base,
    .pm_ports = ICH9_PM_PORTS,
    .gpe_off = ICH9_GPE_STATUS,
    .gpe_len = 16,
    .program = program,
    .irq_line = { 10, 10, 11, 11, 10, 10, 11, 11 },
    .mcfg = MCFG,
    .mcfg_size = MCFG_SIZE,
    .put_host = put_host,
    .put_isa = put_isa,
    .put_links = put_links,
};

static bool init(struct board *b, struct error *err)
{
    return pc_init(b, &q35_chipset, err);
}

static const char *const names[] = {
    "pc-q35-10.0", "pc-q35-9.2", "pc-q35-9.1", "pc-q35-9.0", "pc-q35-8.2", "pc-q35-8.1",
    "pc-q35-8.0",  "pc-q35-7.2", "pc-q35-7.1", "pc-q35-7.0", "pc-q35-6.2", NULL,
};

const struct board_type q35_board = {
    .name = "q35",
    .doc = "Standard PC (Q35 + ICH9, 2009)",
    .names = names,
    .guest = &x86_guest,
    .ram_default = 128 * MIB,
    .cpus_max = BOARD_CPUS_MAX,
    .size = sizeof(struct pc),
    .init = init,
    .complete = pc_complete,
    .finish = pc_finish,
    .reset = pc_reset,
    .power_button = pc_power_button,
    .ide_units = 1,
};
