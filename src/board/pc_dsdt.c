/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DSDT of a PC: what all chipsets have in common; the rest is put by struct pc_chipset. */
#include "board/pc.h"

#include "base/endian.h"
#include "dev/firmware/aml.h"
#include "dev/pci/acpi_pm.h"

#include <string.h>

const uint32_t pc_link_irqs[] = { 5, 10, 11 };

void pc_named_int(struct aml *a, const char *name, uint64_t v)
{
    aml_name(a, name);
    aml_int(a, v);
}

void pc_named_eisaid(struct aml *a, const char *name, const char *id)
{
    aml_name(a, name);
    aml_eisaid(a, id);
}

uint16_t pc_apm_port(const struct pc *pc)
{
    return pc_info(pc, pc->part[PC_PM] ? PC_PM : PC_ISA)->win[0].base;
}

/* --- windows of the root bus --- */

struct window {
    uint64_t first, last;
};

static void widen(struct window *w, const struct pci_bus *bus)
{
    for (unsigned i = 0; i < PCI_FUNCTIONS; i++) {
        const struct pci_dev *p = bus->fn[i];
        for (unsigned n = 0; p && n < PCI_BARS; n++) {
            const struct pci_bar *bar = &p->bars[n];
            if (bar->kind != PCI_BAR_MEM64 && bar->kind != PCI_BAR_MEM64_PREFETCH)
                continue;
            uint64_t first = ld_le64(p->config + PCI_BAR0 + 4 * n) & ~UINT64_C(15);
            uint64_t last = first + bar->region->size - 1;
            if (first < 4 * GIB || last < first || last > BITS(51, 0))
                continue;
            w->first = MIN(w->first, first);
            w->last = MAX(w->last, last);
        }
    }
    for (const struct pci_bus *c = bus->children; c; c = c->next_child)
        widen(w, c);
}

/* Above RAM, wide enough for what firmware placed there. */
static struct window high_window(const struct pc *pc)
{
    uint64_t start = ALIGN_UP(4 * GIB + pc->ram_high, GIB);
    struct window w = { start, start + 32 * GIB - 1 };
    widen(&w, &pc->pci);
    w.first = MAX(ALIGN_DOWN(w.first, GIB), start);
    w.last = ALIGN_UP(w.last + 1, GIB) - 1;
    return w;
}

/* All buses, all ports but the configuration registers, the VGA hole, the windows between RAM and
 * the I/O APIC, and one above RAM. */
static void put_bus_resources(struct aml *a, const struct pc *pc)
{
    const gpa_t config = pc_info(pc, PC_HOST)->win[0].base;
    const struct window high = high_window(pc);
    uint64_t low = MAX(pc->ram_low, PC_PCI_HOLE_START_MIN);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_word_bus(a, 0, pc->chip->mcfg ? (pc->chip->mcfg_size >> 20) - 1 : 255);
    aml_io(a, config, 8);
    aml_word_io(a, 0, config - 1);
    aml_word_io(a, config + 8, 0xffff);
    aml_dword_memory(a, PC_BASE_RAM, 0xbffff, true);
    if (pc->chip->mcfg) {
        aml_dword_memory(a, low, pc->chip->mcfg - 1, false);
        low = pc->chip->mcfg + pc->chip->mcfg_size;
    }
    aml_dword_memory(a, low, PC_PCI_HOLE_END, false);
    aml_qword_memory(a, high.first, high.last);
    aml_end(a);
}

void pc_put_route(struct aml *a, unsigned slot, unsigned pin, const char *link, unsigned gsi)
{
    aml_package(a, 4);
    aml_int(a, slot << 16 | 0xffff);
    aml_int(a, pin);
    if (link)
        aml_path(a, link);
    else
        aml_int(a, 0);
    aml_int(a, link ? 0 : gsi);
    aml_end(a);
}

/* --- the ISA bus --- */

static void put_isa_device(struct aml *a, const struct pc_part_info *p, unsigned uid)
{
    aml_device(a, p->aml);
    pc_named_eisaid(a, "_HID", p->hid);
    if (uid)
        pc_named_int(a, "_UID", uid);
    pc_named_int(a, "_STA", 0x0f);
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
    pc_named_eisaid(a, "_HID", "PNP0F13");
    pc_named_int(a, "_STA", 0x0f);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_irq_no_flags(a, 12);
    aml_end(a);
    aml_end(a);
}

static void put_fwcfg(struct aml *a, const struct pc *pc)
{
    aml_device(a, "FWCF");
    aml_name(a, "_HID");
    aml_string(a, "QEMU0002");
    pc_named_int(a, "_STA", 0x0b);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_io(a, pc_info(pc, PC_FWCFG)->win[0].base, 12);
    aml_end(a);
    aml_end(a);
}

static void put_isa_bridge(struct aml *a, const struct pc *pc)
{
    aml_device(a, "ISA");
    pc->chip->put_isa(a);
    for (unsigned i = 0; i < PC_PARTS; i++)
        if (pc->part[i] && pc_info(pc, i)->hid)
            put_isa_device(a, pc_info(pc, i), i >= PC_COM1 && i <= PC_COM4 ? i - PC_COM1 + 1 : 0);
    put_mouse(a);
    put_fwcfg(a, pc);
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

void pc_put_link(struct aml *a, const char *name, unsigned uid, const char *reg)
{
    char route[32];
    snprintf(route, sizeof route, "\\_SB.PCI0.ISA.%s", reg);
    aml_device(a, name);
    pc_named_eisaid(a, "_HID", "PNP0C0F");
    pc_named_int(a, "_UID", uid);
    aml_name(a, "_PRS");
    aml_resources(a);
    aml_interrupt(a, pc_link_irqs, PC_LINK_IRQS);
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

static void put_hpet_device(struct aml *a, const struct pc *pc)
{
    aml_device(a, "HPET");
    pc_named_eisaid(a, "_HID", "PNP0103");
    pc_named_int(a, "_UID", 0);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_memory32_fixed(a, pc_info(pc, PC_HPET)->win[0].base, pc_info(pc, PC_HPET)->win[0].size,
                       false);
    aml_end(a);
    aml_end(a);
}

/* Ports of the chipset that are not in a BAR: nobody else may be given them. */
static void put_taken(struct aml *a, const struct pc *pc, uint16_t pm_base)
{
    aml_device(a, "MRES");
    pc_named_eisaid(a, "_HID", "PNP0C02");
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_io(a, pm_base, pc->chip->pm_ports);
    aml_io(a, pc_apm_port(pc), 2);
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

void pc_put_dsdt(struct aml *a, const struct pc *pc, uint16_t pm_base)
{
    aml_scope(a, "\\_SB");
    aml_device(a, "PCI0");
    pc->chip->put_host(a, pc, pm_base);
    pc_named_int(a, "_UID", 0);
    pc_named_int(a, "_BBN", 0);
    put_bus_resources(a, pc);
    put_isa_bridge(a, pc);
    put_taken(a, pc, pm_base);
    aml_end(a);
    pc->chip->put_links(a);
    if (pc->part[PC_HPET])
        put_hpet_device(a, pc);
    x86_cpus_put_aml(&pc->b, a);
    aml_end(a);
    put_sleep_states(a);
}
