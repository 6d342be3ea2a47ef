/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI: configuration cycles, BARs, interrupt routes, shadow RAM, reset control, power management.
 */
#include "tests/unit/test.h"

#include "dev/pci/i440fx.h"
#include "dev/pci/piix3.h"
#include "dev/pci/piix4_pm.h"

/* A function with a memory and an I/O BAR. */
struct card {
    struct pci_dev pci;
    struct mem_region mmio, ports;
};

static uint64_t card_read(void *opaque, uint64_t off, unsigned size)
{
    return 0x5a;
}

static void card_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
}

static const struct mem_io_ops card_ops = { card_read, card_write, 1, 4 };

static bool card_init(struct device *dev, struct error *err)
{
    struct card *c = (struct card *)dev;
    pci_dev_init(&c->pci, &(struct pci_id){ .vendor = 0x1234, .device = 1, .pin = 1 });
    mem_region_init_io(&c->mmio, "mmio", &card_ops, c, 0x1000);
    mem_region_init_io(&c->ports, "ports", &card_ops, c, 16);
    pci_bar_add(&c->pci, 0, PCI_BAR_MEM32, &c->mmio);
    pci_bar_add(&c->pci, 1, PCI_BAR_IO, &c->ports);
    return true;
}

static void card_reset(struct device *dev)
{
    pci_dev_reset((struct pci_dev *)dev);
}

static void card_finish(struct device *dev)
{
    pci_dev_finish((struct pci_dev *)dev);
}

static const struct device_type card_type = {
    .name = "card",
    .size = sizeof(struct card),
    .init = card_init,
    .reset = card_reset,
    .finish = card_finish,
};

struct rig {
    struct loop *loop;
    struct mem *mem, *io;
    struct mem_region ram, rom;
    struct pci_bus bus;
    struct device *host, *isa, *pm, *card;
    unsigned resets, offs;
    bool sci;
    uint16_t irqs;
};

static unsigned route(const struct pci_bus *bus, unsigned slot, unsigned pin)
{
    return (slot + 3 + pin) & 3;
}

static void on_reset(void *opaque, unsigned n, bool level)
{
    ((struct rig *)opaque)->resets += level;
}

static void on_off(void *opaque, unsigned n, bool level)
{
    ((struct rig *)opaque)->offs += level;
}

static void on_sci(void *opaque, unsigned n, bool level)
{
    ((struct rig *)opaque)->sci = level;
}

static void on_irq(void *opaque, unsigned n, bool level)
{
    struct rig *r = opaque;
    r->irqs = (r->irqs & ~(1u << n)) | level << n;
}

static struct device *plug(struct rig *r, const struct device_type *type, uint8_t devfn)
{
    struct error err;
    struct device *dev = device_new(type, NULL, &(struct device_ctx){ r->loop, r->mem });
    pci_plug(&r->bus, dev, devfn);
    if (type == &i440fx_type) {
        r->host = dev;
        return dev;
    }
    CHECK(device_init(dev, &err));
    return dev;
}

static void rig_init(struct rig *r)
{
    struct error err;
    gra_t ram, rom;
    memset(r, 0, sizeof *r);
    r->loop = loop_new(&err);
    loop_lock(r->loop);
    clock_set_manual(loop_clock(r->loop, CLOCK_VIRTUAL), 0);
    r->mem = mem_new(r->loop, "memory", 0, 0x300000, &err);
    r->io = mem_new(r->loop, "io", 0x10000, 0, &err);
    CHECK(mem_ram_alloc(r->mem, 0x200000, &ram, &err) &&
          mem_ram_alloc(r->mem, 0x20000, &rom, &err));
    memset(mem_ram_base(r->mem) + rom, 0xee, 0x20000);
    mem_region_init_ram(&r->ram, "ram", ram, 0xa0000);
    mem_region_init_rom(&r->rom, "rom", rom, 0x20000);
    mem_map(r->mem, 0, &r->ram, 0);
    mem_map(r->mem, 0xe0000, &r->rom, -1);
    pci_bus_init(&r->bus, NULL, "pci.0", false);
    r->bus.mem = r->mem;
    r->bus.io = r->io;
    r->bus.route = route;
    r->bus.bar_priority = -2;
    plug(r, &i440fx_type, 0);
    r->isa = plug(r, &piix3_type, PCI_DEVFN(1, 0));
    r->pm = plug(r, &piix4_pm_type, PCI_DEVFN(1, 3));
    r->card = plug(r, &card_type, PCI_DEVFN(3, 0));
    i440fx_wire(r->host, &(struct i440fx_wiring){ .bus = &r->bus,
                                                  .pam = { .mem = r->mem,
                                                           .low_ram = ram,
                                                           .priority = 1,
                                                           .rom = mem_ram_base(r->mem) + rom,
                                                           .rom_base = 0xe0000 },
                                                  .reset = { piix3_reset_control_read,
                                                             piix3_reset_control_write, r->isa } });
    CHECK(device_init(r->host, &err));
    mem_map(r->io, 0xcf8, device_window(r->host, "address"), 0);
    mem_map(r->io, 0xcfc, device_window(r->host, "data"), 0);
    mem_map(r->io, 0xb2, device_window(r->pm, "apm"), 0);
    irq_connect(&r->isa->irqs[PIIX3_OUT_RESET], on_reset, r, 0);
    for (unsigned i = 0; i < PIIX3_IRQS; i++)
        irq_connect(&r->isa->irqs[i], on_irq, r, i);
    for (unsigned i = 0; i < PCI_ROUTES; i++)
        irq_connect(&r->bus.out[i], device_input, r->isa, i);
    irq_connect(&r->pm->irqs[PIIX4_PM_OUT_SCI], on_sci, r, 0);
    irq_connect(&r->pm->irqs[PIIX4_PM_OUT_OFF], on_off, r, 0);
}

static void rig_finish(struct rig *r)
{
    device_free(r->card);
    device_free(r->pm);
    device_free(r->isa);
    device_free(r->host);
    pci_bus_finish(&r->bus);
    mem_free(r->io);
    mem_free(r->mem);
    loop_unlock(r->loop);
    loop_free(r->loop);
}

static uint64_t in(struct rig *r, uint16_t port, unsigned size)
{
    return mem_io_read(r->io, mem_find(r->io, port), port, size);
}

static void out(struct rig *r, uint16_t port, uint64_t v, unsigned size)
{
    mem_io_write(r->io, mem_find(r->io, port), port, v, size);
}

static uint32_t cfg(struct rig *r, uint8_t devfn, uint8_t off, unsigned size)
{
    out(r, 0xcf8, 0x80000000 | devfn << 8 | (off & 0xfc), 4);
    return in(r, 0xcfc + (off & 3), size);
}

static void cfg_set(struct rig *r, uint8_t devfn, uint8_t off, uint32_t v, unsigned size)
{
    out(r, 0xcf8, 0x80000000 | devfn << 8 | (off & 0xfc), 4);
    out(r, 0xcfc + (off & 3), v, size);
}

TEST(config_mechanism)
{
    struct rig r;
    rig_init(&r);
    CHECK_EQ(cfg(&r, 0, 0, 4), 0x12378086);
    CHECK_EQ(in(&r, 0xcf8, 4), 0x80000000);
    CHECK_EQ(cfg(&r, 0, 2, 2), 0x1237);
    CHECK_EQ(cfg(&r, 0, 1, 1), 0x80);
    CHECK_EQ(cfg(&r, PCI_DEVFN(1, 0), 0x0e, 1), 0x80);
    CHECK_EQ(cfg(&r, PCI_DEVFN(2, 0), 0, 4), 0xffffffff);
    out(&r, 0xcf8, 0x80010000, 4); /* bus 1 */
    CHECK_EQ(in(&r, 0xcfc, 4), 0xffffffff);
    out(&r, 0xcf8, 0, 4); /* not enabled */
    CHECK_EQ(in(&r, 0xcfc, 4), 0xffffffff);
    cfg_set(&r, 0, 0, 0, 4);
    CHECK_EQ(cfg(&r, 0, 0, 4), 0x12378086);
    rig_finish(&r);
}

TEST(bars)
{
    struct rig r;
    uint8_t c = PCI_DEVFN(3, 0);
    rig_init(&r);
    cfg_set(&r, c, PCI_BAR0, 0xffffffff, 4);
    CHECK_EQ(cfg(&r, c, PCI_BAR0, 4), 0xfffff000);
    cfg_set(&r, c, PCI_BAR0 + 4, 0xffffffff, 4);
    CHECK_EQ(cfg(&r, c, PCI_BAR0 + 4, 4), 0xfffffff1);
    CHECK_EQ(cfg(&r, c, PCI_BAR0 + 8, 4), 0);
    cfg_set(&r, c, PCI_BAR0, 0xe0000000, 4);
    cfg_set(&r, c, PCI_BAR0 + 4, 0xc001, 4);
    CHECK_EQ(mem_load8(r.mem, 0xe0000000), 0xff);
    cfg_set(&r, c, PCI_COMMAND, 3, 2);
    CHECK_EQ(mem_load8(r.mem, 0xe0000000), 0x5a);
    CHECK_EQ(in(&r, 0xc000, 1), 0x5a);
    cfg_set(&r, c, PCI_BAR0, 0xffffffff, 4); /* sizing while enabled: not there */
    CHECK_EQ(mem_load8(r.mem, 0xe0000000), 0xff);
    cfg_set(&r, c, PCI_BAR0, 0, 4);
    CHECK_EQ(mem_load8(r.mem, 0), 0);
    device_reset(r.card);
    CHECK_EQ(in(&r, 0xc000, 1), 0xff);
    rig_finish(&r);
}

TEST(interrupt_routes)
{
    struct rig r;
    struct pci_dev *p;
    rig_init(&r);
    p = (struct pci_dev *)r.card;
    pci_intx(p, true); /* slot 3 INTA: route C, disabled */
    CHECK_EQ(r.irqs, 0);
    cfg_set(&r, PCI_DEVFN(1, 0), 0x62, 11, 1);
    CHECK_EQ(r.irqs, 1u << 11);
    cfg_set(&r, PCI_DEVFN(3, 0), PCI_COMMAND, PCI_COMMAND_NO_INTX, 2);
    CHECK_EQ(r.irqs, 0);
    CHECK(cfg(&r, PCI_DEVFN(3, 0), PCI_STATUS, 2) & PCI_STATUS_INTX);
    cfg_set(&r, PCI_DEVFN(3, 0), PCI_COMMAND, 0, 2);
    CHECK_EQ(r.irqs, 1u << 11);
    cfg_set(&r, PCI_DEVFN(1, 0), 0x62, 10, 1);
    CHECK_EQ(r.irqs, 1u << 10);
    cfg_set(&r, PCI_DEVFN(1, 0), 0x62, 8, 1); /* reserved number */
    CHECK_EQ(r.irqs, 0);
    rig_finish(&r);
}

TEST(shadow_ram)
{
    struct rig r;
    rig_init(&r);
    CHECK_EQ(mem_load8(r.mem, 0xf0000), 0xee);
    mem_store8(r.mem, 0xf0000, 1);
    CHECK_EQ(mem_load8(r.mem, 0xf0000), 0xee);
    cfg_set(&r, 0, 0x59, 0x20, 1); /* write RAM, read PCI */
    CHECK_EQ(mem_load8(r.mem, 0xf0000), 0xee);
    mem_store8(r.mem, 0xf0000, 0x77);
    CHECK_EQ(mem_load8(r.mem, 0xf0000), 0xee);
    cfg_set(&r, 0, 0x59, 0x10, 1); /* read RAM */
    CHECK_EQ(mem_load8(r.mem, 0xf0000), 0x77);
    mem_store8(r.mem, 0xf0000, 0x12);
    CHECK_EQ(mem_load8(r.mem, 0xf0000), 0x77);
    cfg_set(&r, 0, 0x59, 0x30, 1);
    mem_store8(r.mem, 0xf0000, 0x34);
    CHECK_EQ(mem_load8(r.mem, 0xf0000), 0x34);
    CHECK_EQ(mem_load8(r.mem, 0xec000), 0xee);
    cfg_set(&r, 0, 0x5f, 0x30, 1); /* PAM6 high: 0xec000 */
    CHECK_EQ(mem_load8(r.mem, 0xec000), 0);
    CHECK_EQ(mem_load8(r.mem, 0xe8000), 0xee);
    cfg_set(&r, 0, 0x5a, 0x03, 1); /* PAM1 low: 0xc0000 */
    mem_store8(r.mem, 0xc0000, 9);
    CHECK_EQ(mem_load8(r.mem, 0xc0000), 9);
    CHECK_EQ(mem_load8(r.mem, 0xc4000), 0xff);
    device_reset(r.host);
    CHECK_EQ(mem_load8(r.mem, 0xf0000), 0xee);
    CHECK_EQ(mem_load8(r.mem, 0xc0000), 0xff);
    rig_finish(&r);
}

TEST(smram)
{
    struct rig r;
    rig_init(&r);
    CHECK_EQ(mem_load8(r.mem, 0xa0000), 0xff);
    cfg_set(&r, 0, 0x72, 0x4a, 1); /* open */
    mem_store8(r.mem, 0xa0000, 0x42);
    CHECK_EQ(mem_load8(r.mem, 0xa0000), 0x42);
    cfg_set(&r, 0, 0x72, 0x1a, 1); /* lock */
    CHECK_EQ(mem_load8(r.mem, 0xa0000), 0xff);
    cfg_set(&r, 0, 0x72, 0x4a, 1);
    CHECK_EQ(cfg(&r, 0, 0x72, 1), 0x1a);
    CHECK_EQ(mem_load8(r.mem, 0xa0000), 0xff);
    rig_finish(&r);
}

TEST(reset_control)
{
    struct rig r;
    rig_init(&r);
    out(&r, 0xcf9, 2, 1);
    CHECK_EQ(r.resets, 0);
    CHECK_EQ(in(&r, 0xcf9, 1), 2);
    out(&r, 0xcf9, 6, 1);
    CHECK_EQ(r.resets, 1);
    CHECK_EQ(in(&r, 0xcf8, 4), 0); /* the address register was not touched */
    rig_finish(&r);
}

TEST(power_management)
{
    struct rig r;
    uint8_t pm = PCI_DEVFN(1, 3);
    rig_init(&r);
    CHECK_EQ(cfg(&r, pm, 0, 4), 0x71138086);
    CHECK_EQ(in(&r, 0x604, 2), 0xffff);
    cfg_set(&r, pm, 0x40, 0x601, 4);
    cfg_set(&r, pm, 0x80, 1, 1);
    CHECK_EQ(piix4_pm_base(r.pm), 0x600);
    CHECK_EQ(in(&r, 0x604, 2), 0);
    out(&r, 0xb2, PM_ACPI_ENABLE, 1);
    CHECK_EQ(in(&r, 0x604, 2), 1);
    out(&r, 0x602, 0x100, 2);
    piix4_pm_power_button(r.pm);
    CHECK(r.sci);
    CHECK_EQ(in(&r, 0x600, 2) & 0x100, 0x100);
    out(&r, 0x600, 0x100, 2);
    CHECK(!r.sci);
    out(&r, 0x604, 0x2000 | 1, 2);
    CHECK_EQ(r.offs, 1);
    CHECK_EQ(in(&r, 0x604, 2), 1);
    cfg_set(&r, pm, 0x40, 0xb001, 4);
    CHECK_EQ(in(&r, 0x604, 2), 0xffff);
    CHECK_EQ(in(&r, 0xb004, 2), 1);
    rig_finish(&r);
}

TEST(pm_timer)
{
    struct rig r;
    rig_init(&r);
    cfg_set(&r, PCI_DEVFN(1, 3), 0x40, 0x601, 4);
    cfg_set(&r, PCI_DEVFN(1, 3), 0x80, 1, 1);
    out(&r, 0xb2, PM_ACPI_ENABLE, 1);
    loop_step_virtual_ns(r.loop, 1000000000);
    CHECK_EQ(in(&r, 0x608, 4), 3579545);
    CHECK_EQ(in(&r, 0x600, 2) & 1, 0);
    out(&r, 0x602, 1, 2);
    loop_step_virtual_ns(r.loop, 1400000000); /* bit 23 changes after 2.34 s */
    CHECK(r.sci);
    CHECK_EQ(in(&r, 0x600, 2) & 1, 1);
    out(&r, 0x600, 1, 2);
    CHECK(!r.sci);
    loop_step_virtual_ns(r.loop, 2400000000);
    CHECK(r.sci);
    CHECK_EQ(in(&r, 0x608, 4), (uint64_t)(4.8 * 3579545) & 0xffffff);
    rig_finish(&r);
}

TEST(smbus_answers_nobody)
{
    struct rig r;
    rig_init(&r);
    cfg_set(&r, PCI_DEVFN(1, 3), 0x90, 0x701, 4);
    cfg_set(&r, PCI_DEVFN(1, 3), 0xd2, 9, 1);
    out(&r, 0x702, 0x48, 1);
    CHECK_EQ(in(&r, 0x700, 1), 4);
    out(&r, 0x700, 0xff, 1);
    CHECK_EQ(in(&r, 0x700, 1), 0);
    rig_finish(&r);
}
