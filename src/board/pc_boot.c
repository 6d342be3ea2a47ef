/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting a kernel without firmware: what of it is the PC's. */
#include "board/pc.h"
#include "board/x86_boot.h"

void pc_config_write(struct pc *pc, uint8_t devfn, unsigned off, uint32_t v, unsigned size)
{
    pci_config_write(&pc->pci, 0, devfn, off, v, size);
}

void pc_port_write(struct pc *pc, uint16_t port, uint8_t v)
{
    mem_io_write(pc->b.ports, mem_find(pc->b.ports, port), port, v, 1);
}

/* Interrupt line registers, routes and trigger modes agree. */
static void program_chipset(struct board *b)
{
    struct pc *pc = pc_of(b);
    pc->chip->program(pc);
    pc_port_write(pc, pc_info(pc, PC_PIC)->win[2].base + 1, 0x0c); /* 10 and 11 are level */
    for (unsigned i = 0; i < PCI_FUNCTIONS; i++) {
        const struct pci_dev *p = pc->pci.fn[i];
        uint8_t pin = p ? p->config[PCI_INTERRUPT_PIN] : 0;
        if (pin && !p->config[PCI_INTERRUPT_LINE])
            pc_config_write(pc, i, PCI_INTERRUPT_LINE,
                            pc->chip->irq_line[pc->pci.route(&pc->pci, i >> 3, (pin - 1) & 3)], 1);
    }
}

static void build_acpi(struct board *b, struct acpi_set *set)
{
    pc_acpi_build(pc_of(b), PC_PM_BASE, set);
}

static void build_smbios(struct board *b, struct smbios *s)
{
    pc_smbios_build(pc_of(b), s);
}

bool pc_boot_kernel(struct pc *pc, struct error *err)
{
    const struct x86_boot_machine m = {
        .b = &pc->b,
        .ram_low = pc->ram_low,
        .ram_high = pc->ram_high,
        .cmdline = pc->b.config->append,
        .reserved_base = pc->chip->mcfg,
        .reserved_size = pc->chip->mcfg_size,
        .program = program_chipset,
        .build_acpi = pc->b.config->acpi ? build_acpi : NULL,
        .build_smbios = build_smbios,
    };
    return x86_boot_kernel(&m, err);
}
