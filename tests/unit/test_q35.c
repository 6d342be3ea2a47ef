/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Q35: configuration space in memory, interrupt routes of ICH9, power management, SMRAM's lock. */
#include "tests/unit/test.h"

#include "dev/pci/ich9_lpc.h"
#include "dev/pci/q35_mch.h"

enum { MCH = PCI_DEVFN(0, 0), LPC = PCI_DEVFN(31, 0), SMBUS = PCI_DEVFN(31, 3) };
#define ECAM UINT64_C(0xb0000000)

struct rig {
    struct loop *loop;
    struct mem *mem, *io;
    struct mem_region ram;
    struct pci_bus bus;
    struct device *mch, *lpc, *smbus;
    unsigned smis, tsegs;
    struct mch_smram smram;
};

static unsigned route(const struct pci_bus *bus, unsigned slot, unsigned pin)
{
    return ich9_lpc_route(bus->route_opaque, slot, pin);
}

static void smram_changed(void *opaque, const struct mch_smram *s)
{
    ((struct rig *)opaque)->smram = *s;
}

static void on_smi(void *opaque, unsigned n, bool level)
{
    ((struct rig *)opaque)->smis += level;
}

static struct device *plug(struct rig *r, const struct device_type *type, uint8_t devfn)
{
    struct device *dev = device_new(type, NULL, &(struct device_ctx){ r->loop, r->mem, NULL });
    pci_plug(&r->bus, dev, devfn);
    return dev;
}

static void rig_init(struct rig *r, bool smm)
{
    struct error err;
    gra_t ram;
    memset(r, 0, sizeof *r);
    r->loop = loop_new(&err);
    loop_lock(r->loop);
    clock_set_manual(loop_clock(r->loop, CLOCK_VIRTUAL), 0);
    r->mem = mem_new(r->loop, "memory", 0, 0x4000000, &err);
    r->io = mem_new(r->loop, "io", 0x10000, 0, &err);
    CHECK(mem_ram_alloc(r->mem, 0x4000000, &ram, &err));
    mem_region_init_ram(&r->ram, "ram", ram, 0x4000000);
    mem_map(r->mem, 0, &r->ram, 0);
    pci_bus_init(&r->bus, NULL, "pcie.0", true);
    r->bus.mem = r->mem;
    r->bus.io = r->io;
    r->bus.route = route;
    r->mch = plug(r, &q35_mch_type, MCH);
    r->lpc = r->bus.route_opaque = plug(r, &ich9_lpc_type, LPC);
    r->smbus = plug(r, &ich9_smbus_type, SMBUS);
    ich9_lpc_set_bus(r->lpc, &r->bus);
    ich9_lpc_set_smm(r->lpc, smm);
    mch_wire(r->mch, &(struct mch_wiring){ .bus = &r->bus,
                                           .pam = { .mem = r->mem, .low_ram = ram, .priority = 1 },
                                           .reset = ich9_lpc_reset_control(r->lpc),
                                           .ram_low = 0x4000000,
                                           .chip_priority = 2,
                                           .smram_changed = smm ? smram_changed : NULL,
                                           .smram_opaque = r });
    CHECK(device_init(r->lpc, &err) && device_init(r->mch, &err) && device_init(r->smbus, &err));
    mem_map(r->io, 0xb2, device_window(r->lpc, "apm"), 0);
    irq_connect(&r->lpc->irqs[ICH9_OUT_SMI], on_smi, r, 0);
    for (unsigned i = 0; i < ICH9_PIRQS; i++)
        irq_connect(&r->bus.out[i], device_input, r->lpc, i);
}

static void rig_finish(struct rig *r)
{
    device_free(r->smbus);
    device_free(r->lpc);
    device_free(r->mch);
    pci_bus_finish(&r->bus);
    mem_free(r->io);
    mem_free(r->mem);
    loop_unlock(r->loop);
    loop_free(r->loop);
}

static void set(struct rig *r, uint8_t devfn, unsigned off, uint32_t v, unsigned size)
{
    pci_config_write(&r->bus, 0, devfn, off, v, size);
}

static uint32_t get(struct rig *r, uint8_t devfn, unsigned off, unsigned size)
{
    return pci_config_read(&r->bus, 0, devfn, off, size);
}

TEST(configuration_in_memory)
{
    struct rig r;
    rig_init(&r, false);
    CHECK_EQ(mem_load32(r.mem, ECAM), 0xffffffff);
    set(&r, MCH, MCH_PCIEXBAR + 4, 0, 4);
    set(&r, MCH, MCH_PCIEXBAR, ECAM | 1, 4);
    CHECK_EQ(mem_load32(r.mem, ECAM), 0x29c08086);
    CHECK_EQ(mem_load32(r.mem, ECAM + (LPC << 12)), 0x29188086);
    CHECK_EQ(mem_load16(r.mem, ECAM + (SMBUS << 12) + 2), 0x2930);
    CHECK_EQ(mem_load32(r.mem, ECAM + (LPC << 12) + 0x100), 0xffffffff); /* conventional */
    CHECK_EQ(mem_load32(r.mem, ECAM + (1 << 20)), 0xffffffff);           /* no bus 1 */
    mem_store8(r.mem, ECAM + (LPC << 12) + 0x60, 11);
    CHECK_EQ(get(&r, LPC, 0x60, 1), 11);
    set(&r, MCH, MCH_PCIEXBAR, ECAM | 4 | 1, 4); /* 64 MiB */
    CHECK_EQ(mem_load32(r.mem, ECAM + (64 << 20)), 0xffffffff);
    CHECK_EQ(mem_load32(r.mem, ECAM), 0x29c08086);
    rig_finish(&r);
}

TEST(routes)
{
    struct rig r;
    rig_init(&r, false);
    CHECK_EQ(ich9_lpc_route(r.lpc, 1, 0), 5);
    CHECK_EQ(ich9_lpc_route(r.lpc, 24, 3), 7);
    CHECK_EQ(ich9_lpc_route(r.lpc, 31, 2), 2);
    set(&r, LPC, ICH9_RCBA, 0xfed1c001, 4);
    mem_store16(r.mem, 0xfed1c000 + 0x3140, 0x7654);
    CHECK_EQ(ich9_lpc_route(r.lpc, 31, 0), 4);
    CHECK_EQ(ich9_lpc_route(r.lpc, 30, 0), 0);
    /* SMBus: slot 31, INTA, now PIRQ E: pin 20, and where its register says */
    set(&r, LPC, ICH9_PIRQ_E, 10, 1);
    pci_intx((struct pci_dev *)r.smbus, true);
    CHECK(r.lpc->irqs[ICH9_OUT_GSI + 4].level);
    CHECK(r.lpc->irqs[10].level);
    mem_store16(r.mem, 0xfed1c000 + 0x3140, 0x3210); /* while it is high */
    CHECK(!r.lpc->irqs[ICH9_OUT_GSI + 4].level);
    CHECK(r.lpc->irqs[ICH9_OUT_GSI].level);
    CHECK(!r.lpc->irqs[10].level);
    rig_finish(&r);
}

TEST(power_management)
{
    struct rig r;
    rig_init(&r, false);
    CHECK_EQ(mem_load16(r.io, 0x604), 0xffff);
    set(&r, LPC, ICH9_PM_BASE, 0x601, 4);
    set(&r, LPC, ICH9_ACPI_CONTROL, ICH9_ACPI_ENABLE, 1);
    CHECK_EQ(ich9_lpc_pm_base(r.lpc), 0x600);
    mem_store8(r.io, 0xb2, PM_ACPI_ENABLE);
    CHECK_EQ(mem_load16(r.io, 0x604), 1);
    CHECK_EQ(r.smis, 0);
    mem_store16(r.io, 0x602, 0x100);
    ich9_lpc_power_button(r.lpc);
    CHECK(r.lpc->irqs[ICH9_OUT_SCI].level);
    mem_store16(r.io, 0x600, 0x100);
    CHECK(!r.lpc->irqs[ICH9_OUT_SCI].level);
    rig_finish(&r);
}

TEST(smi_command)
{
    struct rig r;
    rig_init(&r, true);
    set(&r, LPC, ICH9_PM_BASE, 0x601, 4);
    set(&r, LPC, ICH9_ACPI_CONTROL, ICH9_ACPI_ENABLE, 1);
    mem_store8(r.io, 0xb2, 1);
    CHECK_EQ(r.smis, 0);
    mem_store32(r.io, 0x600 + ICH9_SMI_ENABLE, 0x21);
    mem_store8(r.io, 0xb2, 1);
    CHECK_EQ(r.smis, 1);
    CHECK_EQ(mem_load32(r.io, 0x600 + ICH9_SMI_STATUS), 0x20);
    set(&r, LPC, ICH9_GEN_PMCON_1, 0x10, 2); /* lock */
    mem_store32(r.io, 0x600 + ICH9_SMI_ENABLE, 0);
    CHECK_EQ(mem_load32(r.io, 0x600 + ICH9_SMI_ENABLE) & 1, 1);
    set(&r, LPC, ICH9_GEN_PMCON_1, 0, 2);
    CHECK_EQ(get(&r, LPC, ICH9_GEN_PMCON_1, 1), 0x10);
    rig_finish(&r);
}

TEST(smram_and_tseg)
{
    struct rig r;
    rig_init(&r, true);
    set(&r, MCH, MCH_EXT_TSEG_MIB, 0xffff, 2);
    CHECK_EQ(get(&r, MCH, MCH_EXT_TSEG_MIB, 2), MCH_EXT_TSEG_DEFAULT_MIB);
    mem_store32(r.mem, 0x3f00000, 0x12345678);
    set(&r, MCH, MCH_ESMRAMC, 1, 1); /* 1 MiB */
    set(&r, MCH, MCH_SMRAM, 0x0a, 1);
    CHECK_EQ(r.smram.tseg_size, 0x100000);
    CHECK_EQ(r.smram.tseg, 0x3f00000);
    CHECK_EQ(mem_load32(r.mem, 0x3f00000), 0xffffffff);
    set(&r, MCH, MCH_TSEGMB, 0x03ffffff, 4); /* firmware notes where it put TSEG */
    CHECK_EQ(get(&r, MCH, MCH_TSEGMB, 4), 0x03f00000);
    set(&r, MCH, MCH_SMRAM, 0x1a, 1); /* lock */
    set(&r, MCH, MCH_TSEGMB, 0, 4);
    CHECK_EQ(get(&r, MCH, MCH_TSEGMB, 4), 0x03f00000);
    set(&r, MCH, MCH_SMRAM, 0x42, 1);
    set(&r, MCH, MCH_ESMRAMC, 0, 1);
    CHECK_EQ(get(&r, MCH, MCH_SMRAM, 1), 0x1a);
    CHECK_EQ(mem_load32(r.mem, 0x3f00000), 0xffffffff);
    device_reset(r.mch);
    CHECK_EQ(mem_load32(r.mem, 0x3f00000), 0x12345678);
    rig_finish(&r);
}
