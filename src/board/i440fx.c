/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The i440FX PC: 82441FX host bridge, PIIX3 ISA bridge and IDE, PIIX4 power management. */
#include "board/pc.h"

#include "cpu/guest.h"
#include "dev/firmware/aml.h"
#include "dev/pci/i440fx.h"
#include "dev/pci/piix3.h"
#include "dev/pci/piix3_ide.h"
#include "dev/pci/piix4_pm.h"
#include "guest/x86/x86.h"

enum {
    HOST = PCI_DEVFN(0, 0),
    ISA = PCI_DEVFN(1, 0),
    IDE = PCI_DEVFN(1, 1),
    PM = PCI_DEVFN(1, 3),
};

static const char *const links[] = { "LNKA", "LNKB", "LNKC", "LNKD" };
static const char *const registers[] = { "PRQ0", "PRQ1", "PRQ2", "PRQ3" };

static uint64_t ram_low(uint64_t size)
{
    return MIN(size, 3 * GIB);
}

/* Slot s, pin p reaches route (s - 1 + p) mod 4; put_host()'s _PRT says the same. */
static unsigned route(const struct pci_bus *bus, unsigned slot, unsigned pin)
{
    return (slot + 3 + pin) & 3;
}

static void wire_host(struct pc *pc, struct device *host)
{
    struct i440fx_wiring w = {
        .bus = &pc->pci,
        .reset = { piix3_reset_control_read, piix3_reset_control_write, pc->part[PC_ISA] },
    };
    pc_pam_wiring(pc, &w.pam);
    i440fx_wire(host, &w);
}

static void connect(struct pc *pc)
{
    for (unsigned i = 0; i < PIIX3_IDE_OUTS; i++)
        irq_connect(&pc->part[PC_DISKS]->irqs[i], irq_or_input, &pc->isa[14 + i], PC_ISA_DEVICE);
    irq_connect(&pc->part[PC_ISA]->irqs[PIIX3_OUT_RESET], pc_reset_line, pc, 0);
    irq_connect(&pc->part[PC_PM]->irqs[PIIX4_PM_OUT_OFF], pc_power_off_line, pc, 0);
}

static void power_button(struct pc *pc)
{
    piix4_pm_power_button(pc->part[PC_PM]);
}

static uint16_t pm_base(const struct pc *pc)
{
    return piix4_pm_base(pc->part[PC_PM]);
}

/* The PM block is where the FADT says. */
static void program(struct pc *pc)
{
    for (unsigned i = 0; i < I440FX_PAMS; i++)
        pc_config_write(pc, HOST, I440FX_PAM0 + i, i ? 0x33 : 0x30, 1);
    for (unsigned i = 0; i < PCI_ROUTES; i++)
        pc_config_write(pc, ISA, PIIX3_PIRQ_ROUTE + i, pc->chip->irq_line[i], 1);
    pc_config_write(pc, IDE, PIIX3_IDE_TIMING0 + 1, 0x80, 1);
    pc_config_write(pc, IDE, PIIX3_IDE_TIMING1 + 1, 0x80, 1);
    pc_config_write(pc, PM, PCI_INTERRUPT_LINE, PC_IRQ_SCI, 1);
    pc_config_write(pc, PM, PIIX4_PM_BASE, PC_PM_BASE | 1, 4);
    pc_config_write(pc, PM, PIIX4_PM_REGMISC, 1, 1);
    pc_config_write(pc, PM, PIIX4_SMB_BASE, PC_SMB_BASE | 1, 4);
    pc_config_write(pc, PM, PIIX4_SMB_CONFIG, 9, 1);
}

/* --- ACPI --- */

/* The PM function's own line is the SCI. */
static void put_host(struct aml *a, const struct pc *pc, uint16_t pm)
{
    pc_named_eisaid(a, "_HID", "PNP0A03");
    aml_name(a, "_PRT");
    aml_package(a, 31 * PCI_PINS);
    for (unsigned slot = 1; slot < 32; slot++)
        for (unsigned pin = 0; pin < PCI_PINS; pin++)
            pc_put_route(a, slot, pin, slot == 1 && pin == 0 ? "LNKS" : links[(slot + 3 + pin) & 3],
                         0);
    aml_end(a);
    aml_device(a, "PM");
    pc_named_int(a, "_ADR", 0x10003);
    aml_end(a);
}

static void put_isa(struct aml *a)
{
    pc_named_int(a, "_ADR", 0x10000);
    aml_region(a, "P40C", AML_PCI_CONFIG, PIIX3_PIRQ_ROUTE, PCI_ROUTES);
    aml_field(a, "P40C");
    for (unsigned i = 0; i < PCI_ROUTES; i++)
        aml_field_unit(a, registers[i], 8);
    aml_end(a);
}

/* The SCI's link cannot be changed. */
static void put_links(struct aml *a)
{
    static const uint32_t sci[] = { PC_IRQ_SCI };
    for (unsigned i = 0; i < PCI_ROUTES; i++)
        pc_put_link(a, links[i], i, registers[i]);
    aml_device(a, "LNKS");
    pc_named_eisaid(a, "_HID", "PNP0C0F");
    pc_named_int(a, "_UID", 4);
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
    pc_named_int(a, "_STA", 0x0b);
    aml_end(a);
}

const struct pc_chipset i440fx_chipset = {
    .bus = "pci.0",
    .pirqs = PCI_ROUTES,
    .parts = {
        [PC_HOST] = { &i440fx_type, "pci-host", { { "address", 0xcf8, 4 }, { "data", 0xcfc, 4 } },
                      PC_NO_IRQ, HOST },
        [PC_ISA] = { &piix3_type, "isa-bridge", { { NULL } }, PC_NO_IRQ, ISA },
        [PC_DISKS] = { &piix3_ide_type,
                       "piix3-ide",
                       { { "cmd0", 0x1f0, 8 },
                         { "ctl0", 0x3f6, 1 },
                         { "cmd1", 0x170, 8 },
                         { "ctl1", 0x376, 1 } },
                       PC_NO_IRQ,
                       IDE },
        [PC_PM] = { &piix4_pm_type, "pm", { { "apm", 0xb2, 2 } }, PC_IRQ_SCI, PM },
    },
    .ram_low = ram_low,
    .route = route,
    .wire_host = wire_host,
    .connect = connect,
    .power_button = power_button,
    .pm_base = pm_base,
    .pm_ports = PIIX4_PM_PORTS,
    .gpe_off = PIIX4_GPE_STATUS,
    .gpe_len = 4,
    .program = program,
    .irq_line = { 10, 10, 11, 11 },
    .put_host = put_host,
    .put_isa = put_isa,
    .put_links = put_links,
};

static bool init(struct board *b, struct error *err)
{
    return pc_init(b, &i440fx_chipset, err);
}

static const char *const names[] = {
    "pc-i440fx-10.0", "pc-i440fx-9.2", "pc-i440fx-9.1", "pc-i440fx-9.0",
    "pc-i440fx-8.2",  "pc-i440fx-8.1", "pc-i440fx-8.0", "pc-i440fx-7.2",
    "pc-i440fx-7.1",  "pc-i440fx-7.0", "pc-i440fx-6.2", NULL,
};

const struct board_type pc_board = {
    .name = "pc",
    .doc = "Standard PC (i440FX + PIIX, 1996)",
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
};
