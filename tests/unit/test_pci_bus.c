/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI buses: places, bridges and their windows, INTx through them, MSI and MSI-X, ports. */
#include "tests/unit/test.h"

#include "base/endian.h"
#include "dev/pci/bridge.h"
#include "dev/pci/msi.h"
#include "dev/pci/pcie.h"

#include <stdlib.h>
#include <unistd.h>

/* A function with a memory and an I/O BAR, MSI-X in BAR 2, or MSI. */
struct card {
    struct pci_dev pci;
    struct mem_region mmio, ports;
    uint32_t vectors;
    bool msi;
};

static uint64_t card_read(void *opaque, uint64_t off, unsigned size)
{
    return 0x5a;
}

static void card_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
}

static const struct mem_io_ops card_ops = { card_read, card_write, 1, 4, false };

static bool card_init(struct device *dev, struct error *err)
{
    struct card *c = (struct card *)dev;
    pci_dev_init(&c->pci,
                 &(struct pci_id){ .vendor = 0x1234, .device = 1, .class_code = 0x0100, .pin = 1 });
    mem_region_init_io(&c->mmio, "mmio", &card_ops, c, 0x1000);
    mem_region_init_io(&c->ports, "ports", &card_ops, c, 16);
    pci_bar_add(&c->pci, 0, PCI_BAR_MEM32, &c->mmio);
    pci_bar_add(&c->pci, 1, PCI_BAR_IO, &c->ports);
    pcie_endpoint_init(&c->pci);
    if (c->vectors && !pci_msix_init(&c->pci, c->vectors, 2, err))
        return false;
    return !c->msi || pci_msi_init(&c->pci, 4, err);
}

static void card_reset(struct device *dev)
{
    pci_dev_reset((struct pci_dev *)dev);
}

static bool card_loaded(struct device *dev, struct error *err)
{
    return pci_dev_loaded((struct pci_dev *)dev, err);
}

static void card_finish(struct device *dev)
{
    pci_dev_finish((struct pci_dev *)dev);
}

static const struct device_type card_type = {
    .name = "card",
    .bus = "PCI",
    .size = sizeof(struct card),
    .props = FIELDS(FIELD(struct card, vectors), FIELD(struct card, msi)),
    .state = FIELDS(PCI_DEV_STATE(struct card), PCI_MSIX_STATE(struct card)),
    .init = card_init,
    .reset = card_reset,
    .loaded = card_loaded,
    .finish = card_finish,
};

enum { MESSAGES = 16 };

struct rig {
    struct loop *loop;
    struct mem *mem, *io;
    struct pci_bus bus;
    struct msi_sink sink;
    struct device *dev[16];
    unsigned count, messages;
    struct msi_message message[MESSAGES];
    uint8_t levels;
};

static unsigned route(const struct pci_bus *bus, unsigned slot, unsigned pin)
{
    return (slot + pin) & 3;
}

static void on_message(void *opaque, uint64_t addr, uint32_t data)
{
    struct rig *r = opaque;
    r->message[r->messages++ % MESSAGES] = (struct msi_message){ addr, data };
}

static void on_irq(void *opaque, unsigned n, bool level)
{
    struct rig *r = opaque;
    r->levels = (r->levels & ~(1u << n)) | level << n;
}

static void rig_init(struct rig *r, bool express)
{
    struct error err;
    memset(r, 0, sizeof *r);
    r->loop = loop_new(&err);
    loop_lock(r->loop);
    r->mem = mem_new(r->loop, "memory", 0, 0x300000, &err);
    r->io = mem_new(r->loop, "io", 0x10000, 0, &err);
    pci_bus_init(&r->bus, NULL, express ? "pcie.0" : "pci.0", express);
    r->bus.mem = r->mem;
    r->bus.io = r->io;
    r->bus.route = route;
    r->sink = (struct msi_sink){ .send = on_message, .opaque = r };
    r->bus.msi = &r->sink;
    for (unsigned i = 0; i < PCI_ROUTES; i++)
        irq_connect(&r->bus.out[i], on_irq, r, i);
}

static void rig_finish(struct rig *r)
{
    while (r->count)
        device_free(r->dev[--r->count]);
    pci_bus_finish(&r->bus);
    mem_free(r->io);
    mem_free(r->mem);
    loop_unlock(r->loop);
    loop_free(r->loop);
}

/* props: "name=value" strings, NULL-terminated. NULL when it failed. */
static struct pci_dev *add(struct rig *r, struct pci_bus *bus, const struct device_type *type,
                           const char *const *props, struct error *err)
{
    struct device *dev = device_new(type, NULL, &(struct device_ctx){ .loop = r->loop });
    for (; props && *props; props++) {
        char name[32] = "";
        const char *value = strchr(*props, '=');
        memcpy(name, *props, value - *props);
        CHECK(device_set(dev, name, value + 1, err));
    }
    if (bus_plug(&bus->bus, dev, err) && device_init(dev, err)) {
        r->dev[r->count++] = dev;
        return (struct pci_dev *)dev;
    }
    device_free(dev);
    return NULL;
}
#define ADD(r, bus, type, ...)                                                                     \
    add(r, bus, type, (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL },                    \
        &(struct error){ 0 })

static struct pci_bus *behind(struct pci_dev *bridge)
{
    return &((struct pci_bridge *)bridge)->bus;
}

static void set(struct rig *r, uint8_t busno, uint8_t slot, unsigned off, uint32_t v, unsigned size)
{
    pci_config_write(&r->bus, busno, PCI_DEVFN(slot, 0), off, v, size);
}

static uint32_t get(struct rig *r, uint8_t busno, uint8_t slot, unsigned off, unsigned size)
{
    return pci_config_read(&r->bus, busno, PCI_DEVFN(slot, 0), off, size);
}

TEST(places)
{
    struct rig r;
    struct error err;
    rig_init(&r, false);
    CHECK_EQ(ADD(&r, &r.bus, &card_type, "addr=0")->devfn, 0);
    CHECK_EQ(ADD(&r, &r.bus, &card_type)->devfn, PCI_DEVFN(1, 0));
    CHECK_EQ(ADD(&r, &r.bus, &card_type, "addr=1f.0", "multifunction=on")->devfn, PCI_DEVFN(31, 0));
    CHECK_EQ(ADD(&r, &r.bus, &card_type, "addr=0x1f.0x2")->devfn, PCI_DEVFN(31, 2));
    CHECK_EQ(ADD(&r, &r.bus, &card_type)->devfn, PCI_DEVFN(2, 0));
    CHECK_EQ(get(&r, 0, 31, PCI_HEADER_TYPE, 1), PCI_HEADER_MULTI);
    static const char *const wrong[][2] = {
        { "addr=2", "taken by 'card'" },    { "addr=2.1", "without multifunction=on" },
        { "addr=20", "not a PCI address" }, { "addr=1.8", "not a PCI address" },
        { "addr=x", "not a PCI address" },  { "addr=3.", "not a PCI address" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        CHECK(!add(&r, &r.bus, &card_type, (const char *const[]){ wrong[i][0], NULL }, &err));
        if (!strstr(err.msg, wrong[i][1]))
            TEST_FAIL("%s: %s", wrong[i][0], err.msg);
    }
    rig_finish(&r);
}

TEST(bus_full)
{
    struct rig r;
    struct error err;
    rig_init(&r, true);
    struct pci_dev *port = ADD(&r, &r.bus, &pcie_root_port_type);
    CHECK(ADD(&r, behind(port), &card_type));
    CHECK(!add(&r, behind(port), &card_type, NULL, &err));
    CHECK(strstr(err.msg, "no slot is free"));
    CHECK(!add(&r, behind(port), &card_type, (const char *const[]){ "addr=1", NULL }, &err));
    CHECK(strstr(err.msg, "no such slot"));
    rig_finish(&r);
}

/* Bus 1 behind slot 3, bus 2 behind slot 4 of bus 1. */
static void number_bridges(struct rig *r)
{
    set(r, 0, 3, BRIDGE_PRIMARY, 0x020100, 4);
    set(r, 1, 4, BRIDGE_PRIMARY, 0x020201, 4);
}

TEST(bridges)
{
    struct rig r;
    rig_init(&r, false);
    struct pci_dev *b1 = ADD(&r, &r.bus, &pci_bridge_type, "addr=3", "chassis_nr=1");
    struct pci_dev *b2 = ADD(&r, behind(b1), &pci_bridge_type, "addr=4", "chassis_nr=2");
    struct pci_dev *c = ADD(&r, behind(b2), &card_type, "addr=5");
    CHECK_EQ(get(&r, 2, 5, 0, 4), 0xffffffff);
    number_bridges(&r);
    CHECK_EQ(get(&r, 1, 4, 0, 4), 0x00011b36);
    CHECK_EQ(get(&r, 2, 5, 0, 4), 0x00011234);
    CHECK_EQ(get(&r, 3, 5, 0, 4), 0xffffffff);
    CHECK_EQ(get(&r, 0, 3, PCI_HEADER_TYPE, 1), 1);
    /* memory: seen while all windows on the way are open */
    set(&r, 2, 5, PCI_BAR0, 0xe0000000, 4);
    set(&r, 2, 5, PCI_BAR0 + 4, 0xc000, 4);
    set(&r, 2, 5, PCI_COMMAND, 7, 2);
    CHECK_EQ(mem_load8(r.mem, 0xe0000000), 0xff);
    set(&r, 0, 3, BRIDGE_MEM_BASE, 0xe010e000, 4);
    set(&r, 0, 3, PCI_COMMAND, 7, 2);
    set(&r, 1, 4, BRIDGE_MEM_BASE, 0xe000e000, 4);
    CHECK_EQ(mem_load8(r.mem, 0xe0000000), 0xff);
    set(&r, 1, 4, PCI_COMMAND, 7, 2);
    CHECK_EQ(mem_load8(r.mem, 0xe0000000), 0x5a);
    set(&r, 0, 3, BRIDGE_MEM_BASE, 0xe020e010, 4);
    CHECK_EQ(mem_load8(r.mem, 0xe0000000), 0xff);
    set(&r, 0, 3, BRIDGE_PREFETCH_BASE, 0xe000e000, 4);
    CHECK_EQ(mem_load8(r.mem, 0xe0000000), 0x5a);
    /* ports */
    CHECK_EQ(mem_load8(r.io, 0xc000), 0xff);
    set(&r, 0, 3, BRIDGE_IO_BASE, 0xc0c0, 2);
    set(&r, 1, 4, BRIDGE_IO_BASE, 0xc0c0, 2);
    CHECK_EQ(mem_load8(r.io, 0xc000), 0x5a);
    /* pin A of slot 5, behind slot 4, behind slot 3: (5 + 4 + 3) mod 4 */
    pci_intx(c, true);
    CHECK_EQ(r.levels, 1 << 0);
    pci_intx(c, false);
    CHECK_EQ(r.levels, 0);
    /* secondary bus reset, of all that is below */
    set(&r, 0, 3, BRIDGE_CONTROL, BRIDGE_CONTROL_RESET, 2);
    CHECK_EQ(get(&r, 1, 4, BRIDGE_SECONDARY, 1), 0);
    CHECK_EQ(c->config[PCI_COMMAND], 0);
    CHECK_EQ(mem_load8(r.mem, 0xe0000000), 0xff);
    rig_finish(&r);
}

TEST(intx_counts)
{
    struct rig r;
    rig_init(&r, false);
    struct pci_dev *a = ADD(&r, &r.bus, &card_type, "addr=4");
    struct pci_dev *b = ADD(&r, &r.bus, &card_type, "addr=8");
    pci_intx(a, true);
    pci_intx(b, true);
    CHECK_EQ(r.levels, 1);
    pci_intx(a, false);
    CHECK_EQ(r.levels, 1);
    set(&r, 0, 8, PCI_COMMAND, PCI_COMMAND_NO_INTX, 2);
    CHECK_EQ(r.levels, 0);
    set(&r, 0, 8, PCI_COMMAND, 0, 2);
    CHECK_EQ(r.levels, 1);
    device_free(r.dev[--r.count]);
    CHECK_EQ(r.levels, 0);
    rig_finish(&r);
}

TEST(fw_paths)
{
    struct rig r;
    rig_init(&r, false);
    struct pci_dev *b1 = ADD(&r, &r.bus, &pci_bridge_type, "addr=3", "chassis_nr=1");
    struct pci_dev *c = ADD(&r, behind(b1), &card_type, "addr=1e", "multifunction=on");
    struct pci_dev *d = ADD(&r, behind(b1), &card_type, "addr=1e.2");
    char *path = device_fw_path(&c->dev);
    CHECK_STR(path, "/pci@i0cf8/pci-bridge@3/scsi@1e");
    free(path);
    path = device_fw_path(&d->dev);
    CHECK_STR(path, "/pci@i0cf8/pci-bridge@3/scsi@1e,2");
    free(path);
    rig_finish(&r);
}

/* The offset of a capability, 0: none. */
static unsigned cap(struct rig *r, uint8_t busno, uint8_t slot, uint8_t id)
{
    unsigned off = get(r, busno, slot, PCI_CAPABILITIES, 1);
    for (unsigned i = 0; off && i < 48; i++) {
        if (get(r, busno, slot, off, 1) == id)
            return off;
        off = get(r, busno, slot, off + 1, 1);
    }
    return 0;
}

TEST(msi)
{
    struct rig r;
    rig_init(&r, false);
    struct pci_dev *p = ADD(&r, &r.bus, &card_type, "addr=4", "msi=on");
    unsigned c = cap(&r, 0, 4, PCI_CAP_MSI);
    CHECK(c != 0);
    pci_msi_notify(p, 0);
    CHECK_EQ(r.messages, 0);
    pci_intx(p, true);
    CHECK_EQ(r.levels, 1);
    set(&r, 0, 4, c + 4, 0xfee01000, 4);
    set(&r, 0, 4, c + 12, 0x4042, 2);
    set(&r, 0, 4, c + 2, 1 | 2 << 4, 2); /* enable, four vectors */
    CHECK_EQ(r.levels, 0);
    CHECK(pci_msi_enabled(p));
    pci_msi_notify(p, 3);
    CHECK_EQ(r.messages, 0); /* not a bus master */
    set(&r, 0, 4, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
    pci_msi_notify(p, 3);
    CHECK_EQ(r.messages, 1);
    CHECK_EQ(r.message[0].addr, 0xfee01000);
    CHECK_EQ(r.message[0].data, 0x4043);
    set(&r, 0, 4, c + 16, 2, 4); /* mask 1 */
    pci_msi_notify(p, 1);
    pci_msi_notify(p, 1);
    CHECK_EQ(r.messages, 1);
    CHECK_EQ(get(&r, 0, 4, c + 20, 4), 2);
    set(&r, 0, 4, c + 16, 0, 4);
    CHECK_EQ(r.messages, 2);
    CHECK_EQ(r.message[1].data, 0x4041);
    CHECK_EQ(get(&r, 0, 4, c + 20, 4), 0);
    set(&r, 0, 4, c + 2, 1, 2); /* one vector: all share it */
    pci_msi_notify(p, 3);
    CHECK_EQ(r.message[2].data, 0x4042);
    rig_finish(&r);
}

static void write32(struct rig *r, gpa_t a, uint32_t v)
{
    mem_io_write(r->mem, mem_find(r->mem, a), a, v, 4);
}

static uint32_t read32(struct rig *r, gpa_t a)
{
    return mem_io_read(r->mem, mem_find(r->mem, a), a, 4);
}

static unsigned watched, watched_masked;

static void on_change(void *opaque, unsigned n, const struct msi_message *m)
{
    watched++;
    watched_masked += !m;
}

TEST(msix)
{
    struct rig r;
    const gpa_t at = 0xd0000000;
    rig_init(&r, false);
    struct pci_dev *p = ADD(&r, &r.bus, &card_type, "addr=4", "vectors=40");
    unsigned c = cap(&r, 0, 4, PCI_CAP_MSIX);
    CHECK_EQ(get(&r, 0, 4, c + 2, 2), 39);
    CHECK_EQ(get(&r, 0, 4, c + 4, 4), 2);
    CHECK_EQ(get(&r, 0, 4, c + 8, 4), 0x800 | 2);
    set(&r, 0, 4, PCI_BAR0 + 8, at, 4);
    set(&r, 0, 4, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    CHECK_EQ(read32(&r, at + 12), 1); /* masked after reset */
    write32(&r, at + 39 * 16, 0xfee00000);
    write32(&r, at + 39 * 16 + 8, 0x31);
    set(&r, 0, 4, c + 2, 0x8000, 2);
    CHECK(pci_msix_enabled(p));
    pci_msix_notify(p, 39);
    pci_msix_notify(p, 40); /* none such */
    CHECK_EQ(r.messages, 0);
    CHECK_EQ(read32(&r, at + 0x804), 1 << 7);
    write32(&r, at + 39 * 16 + 12, 0);
    CHECK_EQ(r.messages, 1);
    CHECK_EQ(r.message[0].data, 0x31);
    CHECK_EQ(read32(&r, at + 0x804), 0);
    watched = 0;
    pci_msix_watch(p, on_change, &r);
    CHECK_EQ(watched, 40);
    watched = watched_masked = 0;
    set(&r, 0, 4, c + 2, 0xc000, 2); /* function mask */
    CHECK_EQ(watched_masked, 40);
    pci_msix_notify(p, 39);
    CHECK_EQ(r.messages, 1);
    struct device_state s;
    struct error err;
    device_state_save(&p->dev, &s);
    device_reset(&p->dev);
    CHECK_EQ(p->msix_pending[1], 0);
    CHECK(device_state_load(&p->dev, &s, &err));
    device_state_finish(&s);
    set(&r, 0, 4, c + 2, 0x8000, 2);
    CHECK_EQ(r.messages, 2);
    rig_finish(&r);
}

TEST(ports)
{
    struct rig r;
    struct error err;
    rig_init(&r, true);
    struct pci_dev *port = ADD(&r, &r.bus, &pcie_root_port_type, "addr=3", "port=9", "slot=7");
    unsigned c = cap(&r, 0, 3, PCI_CAP_EXPRESS);
    CHECK_EQ(get(&r, 0, 3, c + 2, 2), 0x142); /* slot, root port, version 2 */
    CHECK_EQ(get(&r, 0, 3, c + PCIE_LINK_CAP + 3, 1), 9);
    CHECK_EQ(get(&r, 0, 3, c + PCIE_SLOT_CAP, 4) >> 19, 7);
    CHECK_EQ(get(&r, 0, 3, c + PCIE_SLOT_STATUS, 2), 0);
    struct pci_dev *up = ADD(&r, behind(port), &x3130_upstream_type);
    CHECK_EQ(get(&r, 0, 3, c + PCIE_SLOT_STATUS, 2), 0x40);
    struct pci_dev *down = ADD(&r, behind(up), &xio3130_downstream_type, "addr=2");
    CHECK(ADD(&r, behind(down), &card_type));
    set(&r, 0, 3, BRIDGE_PRIMARY, 0x030100, 4);
    set(&r, 1, 0, BRIDGE_PRIMARY, 0x030201, 4);
    set(&r, 2, 2, BRIDGE_PRIMARY, 0x030302, 4);
    CHECK_EQ(get(&r, 3, 0, 0, 4), 0x00011234);
    unsigned e = cap(&r, 3, 0, PCI_CAP_EXPRESS);
    CHECK_EQ(get(&r, 3, 0, e + 2, 2), 2); /* endpoint */
    CHECK_EQ(get(&r, 3, 0, 0x100, 4), 0);
    struct pci_dev *integrated = ADD(&r, &r.bus, &card_type, "addr=5");
    e = cap(&r, 0, 5, PCI_CAP_EXPRESS);
    CHECK_EQ(get(&r, 0, 5, e + 2, 2), 0x92);
    CHECK(!pci_on_link(integrated));
    CHECK(!add(&r, &r.bus, &xio3130_downstream_type, NULL, &err));
    CHECK(!add(&r, behind(port), &pcie_root_port_type, NULL, &err));
    rig_finish(&r);
}

TEST(conventional_config_ends_at_256)
{
    struct rig r;
    rig_init(&r, false);
    ADD(&r, &r.bus, &card_type, "addr=4");
    CHECK_EQ(get(&r, 0, 4, 0x100, 4), 0xffffffff);
    CHECK_EQ(cap(&r, 0, 4, PCI_CAP_EXPRESS), 0);
    rig_finish(&r);
}

TEST(rom)
{
    struct rig r;
    struct error err;
    char path[] = "/tmp/rhea-test-rom-XXXXXX", arg[64];
    uint8_t image[3000] = { 0x55, 0xaa };
    st_le16(image + 0x18, 0x40);
    memcpy(image + 0x40, "PCIR\x86\x80\x00\x10", 8);
    int fd = mkstemp(path);
    CHECK(write(fd, image, sizeof image) == sizeof image);
    close(fd);
    snprintf(arg, sizeof arg, "romfile=%s", path);
    rig_init(&r, false);
    CHECK(ADD(&r, &r.bus, &card_type, "addr=4", arg) != NULL);
    CHECK(ADD(&r, &r.bus, &card_type, "addr=5", arg, "rombar=0") != NULL);
    set(&r, 0, 4, PCI_ROM, 0xffffffff, 4);
    CHECK_EQ(get(&r, 0, 4, PCI_ROM, 4), 0xfffff001);
    set(&r, 0, 5, PCI_ROM, 0xffffffff, 4);
    CHECK_EQ(get(&r, 0, 5, PCI_ROM, 4), 0);
    set(&r, 0, 4, PCI_ROM, 0xd0000001, 4);
    CHECK_EQ(mem_load8(r.mem, 0xd0000000), 0xff);
    set(&r, 0, 4, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    CHECK_EQ(mem_load16(r.mem, 0xd0000000), 0xaa55);
    CHECK_EQ(mem_load32(r.mem, 0xd0000044), 0x00011234); /* this function's identity */
    CHECK(!add(&r, &r.bus, &card_type, (const char *const[]){ "romfile=/nowhere", NULL }, &err));
    rig_finish(&r);
    unlink(path);
}
