/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The e1000 by its manual: EEPROM, PHY, rings, checksums, segmentation, filters, interrupts. */
#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "dev/net/e1000_priv.h"
#include "dev_fixture.h"
#include "net/net_priv.h"

enum { RAM = 1 << 20, TX_RING = 0x1000, RX_RING = 0x2000, BUFFERS = 0x10000, KEPT = 64 };

struct card {
    struct rig rig;
    struct net_set *set;
    struct mem_region ram, io_space;
    struct e1000 *e;
    struct net_port far; /* the other end of the cable */
    unsigned count, room, resumed;
    size_t size[KEPT];
    uint8_t *data[KEPT];
};

static bool far_receive(struct net_port *port, const struct net_packet *p)
{
    struct card *c = port->opaque;

    if (!c->room || c->count == KEPT)
        return false;
    c->room--;
    c->size[c->count] = p->size;
    c->data[c->count] = xnew_array(uint8_t, p->size);
    (void)net_packet_copy(p, 0, c->data[c->count++], p->size);
    return true;
}

static void far_resume(struct net_port *port)
{
    ((struct card *)port->opaque)->resumed++;
}

static const struct net_ops far_ops = { .receive = far_receive, .resume = far_resume };

static uint32_t get(struct card *c, unsigned reg)
{
    return (uint32_t)mem_io_read(c->rig.ports, mem_find(c->rig.ports, reg % 0x8000), reg, 4);
}

static void set(struct card *c, unsigned reg, uint32_t v)
{
    mem_io_write(c->rig.ports, mem_find(c->rig.ports, reg % 0x8000), reg, v, 4);
}

static void settle(struct card *c)
{
    loop_run_timers(c->rig.loop);
}

static void card_open(struct card *c)
{
    struct error err;
    gra_t gra;

    memset(c, 0, sizeof *c);
    rig_open(&c->rig);
    CHECK(mem_ram_alloc(c->rig.mem, RAM, &gra, &err));
    mem_region_init_ram(&c->ram, "ram", gra, RAM);
    mem_map(c->rig.mem, 0, &c->ram, 0);
    const struct net_env env = { c->rig.loop, NULL };
    c->set = net_set_new(&env);
    CHECK(net_set_add(c->set, "hubport,id=n,hubid=0", &err));
    CHECK(net_set_add(c->set, "hubport,id=m,hubid=0", &err));
    struct device *dev = device_new(&e1000_type, "nic", &c->rig.ctx);
    c->e = (struct e1000 *)dev;
    c->e->conf.netdev = net_set_take(c->set, "n", &err);
    if (!device_init(dev, &err)) {
        printf("%s\n", err.msg);
        exit(1);
    }
    c->rig.dev = dev;
    mem_map(c->rig.ports, 0, &c->e->mmio, 0);
    net_port_init(&c->far, &far_ops, c);
    c->room = 1000;
    net_connect(&c->far, &net_set_take(c->set, "m", &err)->ports[0]);
    pci_dev_config_write(&c->e->pci, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
    step_ns(&c->rig, 200 * MS);
    (void)get(c, R_ICR);
}

static void clear(struct card *c)
{
    for (unsigned i = 0; i < c->count; i++)
        free(c->data[i]);
    c->count = 0;
}

static void card_close(struct card *c)
{
    clear(c);
    net_port_finish(&c->far);
    mem_unmap(&c->e->mmio);
    device_free(c->rig.dev);
    c->rig.dev = NULL;
    net_set_free(c->set);
    mem_unmap(&c->ram);
    rig_close(&c->rig);
}

static void put(struct card *c, gpa_t a, const void *p, size_t n)
{
    CHECK_EQ(dma_write(c->rig.mem, a, p, n), 0);
}

static void fetch(struct card *c, gpa_t a, void *p, size_t n)
{
    CHECK_EQ(dma_read(c->rig.mem, a, p, n), 0);
}

/* Descriptor i of the ring at base. */
static void desc(struct card *c, gpa_t base, unsigned i, uint64_t addr, uint32_t lower,
                 uint32_t upper)
{
    uint8_t raw[16];

    st_le64(raw, addr);
    st_le32(raw + 8, lower);
    st_le32(raw + 12, upper);
    put(c, base + i * 16, raw, 16);
}

static void start_tx(struct card *c, unsigned ring)
{
    set(c, R_TDBAL, TX_RING);
    set(c, R_TDLEN, ring * 16);
    set(c, R_TDH, 0);
    set(c, R_TDT, 0);
    set(c, R_TCTL, TCTL_EN | TCTL_PSP);
    settle(c);
}

static void start_rx(struct card *c, unsigned ring, unsigned tail, uint32_t rctl)
{
    for (unsigned i = 0; i < ring; i++)
        desc(c, RX_RING, i, BUFFERS + i * 0x1000, 0, 0);
    set(c, R_RDBAL, RX_RING);
    set(c, R_RDLEN, ring * 16);
    set(c, R_RDH, 0);
    set(c, R_RDT, tail);
    set(c, R_RCTL, rctl | RCTL_EN);
}

TEST(identity)
{
    struct card c;

    card_open(&c);
    CHECK_EQ(pci_dev_config_read(&c.e->pci, 0, 4), 0x100e8086);
    CHECK_EQ(pci_dev_config_read(&c.e->pci, 8, 4) >> 16, 0x0200);
    CHECK_EQ(get(&c, R_STATUS) & 0xc3, STATUS_FD | STATUS_LU | STATUS_1000);
    CHECK_EQ(get(&c, R_RA), 0x12005452);
    CHECK_EQ(get(&c, R_RA + 4), 0x80005634);
    card_close(&c);
}

/* Bit by bit as a driver does (93C46): the words add up to BABAh. */
static uint16_t microwire_read(struct card *c, unsigned word)
{
    uint32_t cs = 2, command = 6u << 6 | word;
    uint16_t v = 0;

    set(c, R_EECD, 0);
    set(c, R_EECD, cs);
    for (int i = 8; i >= 0; i--) {
        uint32_t di = command >> i & 1 ? 4 : 0;
        set(c, R_EECD, cs | di);
        set(c, R_EECD, cs | di | 1);
        set(c, R_EECD, cs | di);
    }
    for (int i = 0; i < 16; i++) {
        set(c, R_EECD, cs | 1);
        v = (uint16_t)(v << 1 | (get(c, R_EECD) >> 3 & 1));
        set(c, R_EECD, cs);
    }
    set(c, R_EECD, 0);
    return v;
}

TEST(eeprom)
{
    struct card c;
    uint16_t sum = 0;

    card_open(&c);
    for (unsigned i = 0; i < 64; i++) {
        uint16_t v = microwire_read(&c, i);
        set(&c, R_EERD, i << 8 | 1);
        CHECK_EQ(get(&c, R_EERD) >> 16, v);
        CHECK(get(&c, R_EERD) & BIT(4));
        sum = (uint16_t)(sum + v);
    }
    CHECK_EQ(sum, 0xbaba);
    CHECK_EQ(microwire_read(&c, 0), 0x5452);
    CHECK_EQ(microwire_read(&c, 0x0d), 0x100e);
    card_close(&c);
}

static uint16_t phy_read(struct card *c, unsigned reg)
{
    set(c, R_MDIC, 1u << 21 | reg << 16 | 2u << 26);
    CHECK(get(c, R_MDIC) & BIT(28));
    return (uint16_t)get(c, R_MDIC);
}

TEST(phy)
{
    struct card c;

    card_open(&c);
    CHECK_EQ(phy_read(&c, PHY_ID1), 0x141);
    CHECK_EQ(phy_read(&c, PHY_ID2), 0xc20);
    CHECK(phy_read(&c, PHY_STATUS) & BIT(2));
    /* negotiating anew takes the link down for a moment */
    set(&c, R_IMS, ICR_LSC);
    set(&c, R_MDIC, 1u << 21 | 1u << 26 | PHY_CTRL << 16 | 0x1340);
    CHECK(!(phy_read(&c, PHY_STATUS) & BIT(2)));
    CHECK(!(get(&c, R_STATUS) & STATUS_LU));
    CHECK_EQ(get(&c, R_ICR), BIT(31) | ICR_LSC);
    step_ns(&c.rig, 200 * MS);
    CHECK(phy_read(&c, PHY_STATUS) & BIT(2));
    CHECK_EQ(get(&c, R_ICR), BIT(31) | ICR_LSC);
    /* another PHY is not there */
    set(&c, R_MDIC, 2u << 21 | PHY_ID1 << 16 | 2u << 26);
    CHECK(get(&c, R_MDIC) & BIT(30));
    /* the cable is pulled at the other end */
    net_set_link(&c.e->conf.netdev->ports[0], false);
    CHECK(!(get(&c, R_STATUS) & STATUS_LU));
    net_set_link(&c.e->conf.netdev->ports[0], true);
    CHECK(get(&c, R_STATUS) & STATUS_LU);
    card_close(&c);
}

TEST(sends_legacy_frames)
{
    struct card c;
    uint8_t f[300], raw[16];

    card_open(&c);
    start_tx(&c, 8);
    for (unsigned i = 0; i < sizeof f; i++)
        f[i] = (uint8_t)(i + 1);
    f[0] = 0x52;
    put(&c, BUFFERS, f, sizeof f);
    set(&c, R_IMS, ICR_TXDW);
    desc(&c, TX_RING, 0, BUFFERS, 100, 0);
    desc(&c, TX_RING, 1, BUFFERS + 100, 200 | BIT(24) | BIT(27), 0); /* EOP, RS */
    desc(&c, TX_RING, 2, BUFFERS, 64 | BIT(24), 0);
    set(&c, R_TDT, 3);
    settle(&c);
    CHECK_EQ(c.count, 2);
    CHECK_EQ(c.size[0], 300);
    CHECK_MEM(c.data[0], f, 300);
    CHECK_EQ(c.size[1], 64);
    CHECK_EQ(get(&c, R_TDH), 3);
    fetch(&c, TX_RING + 16, raw, 16);
    CHECK_EQ(raw[12] & 1, 1);
    fetch(&c, TX_RING + 32, raw, 16);
    CHECK_EQ(raw[12] & 1, 0); /* was not asked to report */
    CHECK(get(&c, R_ICR) & ICR_TXDW);
    CHECK_EQ(get(&c, R_GPTC), 2);
    CHECK_EQ(get(&c, R_GPTC), 0); /* cleared by reading */
    /* the checksum that a legacy descriptor asks for, over all from byte 20 into byte 30 */
    st_le16(f + 30, 0);
    put(&c, BUFFERS, f, sizeof f);
    clear(&c);
    desc(&c, TX_RING, 3, BUFFERS, 100 | BIT(24) | BIT(26) | 30 << 16, 20 << 8);
    set(&c, R_TDT, 4);
    settle(&c);
    CHECK_EQ(c.count, 1);
    CHECK_EQ(net_sum_fold(net_sum(c.data[0] + 20, 80)), 0xffff);
    card_close(&c);
}

/* IPv4 TCP headers, 54 bytes, as a driver leaves them for segmentation. */
static void tcp_headers(uint8_t *f)
{
    memset(f, 0, 54);
    memcpy(f, "\x52\x54\0\0\0\1\x52\x54\0\0\0\2\x08\0\x45", 15);
    memcpy(f + 20, "\x40\0\x40\6", 4);
    memcpy(f + 26, "\x0a\0\0\1\x0a\0\0\2\1\2\3\4\0\0\1\0", 16);
    f[46] = 0x50;
    f[47] = 0x18;
}

static void tso_context(struct card *c, unsigned i, unsigned payload, unsigned mss)
{
    uint64_t tu = 34 | 50 << 8, ip = 14 | 24 << 8 | 33 << 16;

    desc(c, TX_RING, i, ip | tu << 32,
         payload | BIT(29) | BIT(26) | BIT(25) | BIT(24) /* DEXT TSE IP TCP */,
         54 << 8 | mss << 16);
}

TEST(segments)
{
    struct card c;
    uint8_t *f = xnew_array(uint8_t, 60000);
    struct net_layout l;

    card_open(&c);
    start_tx(&c, 16);
    for (unsigned i = 0; i < 60000; i++)
        f[i] = (uint8_t)(i * 3);
    tcp_headers(f);
    put(&c, BUFFERS, f, 60000);
    tso_context(&c, 0, 30000, 1460);
    desc(&c, TX_RING, 1, BUFFERS, 54 | 1 << 20 | BIT(29) | BIT(26), 3 << 8);
    desc(&c, TX_RING, 2, BUFFERS + 54, 30000 | 1 << 20 | BIT(29) | BIT(26) | BIT(24), 0);
    set(&c, R_TDT, 3);
    settle(&c);
    CHECK_EQ(c.count, (30000 + 1459) / 1460);
    size_t at = 54;
    for (unsigned i = 0; i < c.count; i++) {
        CHECK(net_layout(&l, c.data[i], c.size[i], c.size[i], false));
        CHECK_EQ(l.end, c.size[i]);
        CHECK_EQ(ld_be32(c.data[i] + 38), 0x100 + at - 54);
        CHECK_EQ(net_sum_fold(net_sum(c.data[i] + 14, 20)), 0xffff);
        CHECK_EQ(net_sum_fold(net_sum_pseudo(c.data[i], &l, l.end - 34) +
                              net_sum(c.data[i] + 34, l.end - 34)),
                 0xffff);
        CHECK_MEM(c.data[i] + 54, f + at, c.size[i] - 54);
        at += c.size[i] - 54;
    }
    CHECK_EQ(at, 30054);
    free(f);
    card_close(&c);
}

TEST(waits_for_room)
{
    struct card c;
    uint8_t f[64] = { 0x52 };

    card_open(&c);
    start_tx(&c, 16);
    put(&c, BUFFERS, f, sizeof f);
    for (unsigned i = 0; i < 10; i++)
        desc(&c, TX_RING, i, BUFFERS, (60 + i) | BIT(24), 0);
    /* straight to the far end, which is full */
    net_disconnect(&c.far);
    net_disconnect(&c.e->port);
    net_connect(&c.far, &c.e->port);
    c.room = 3;
    set(&c, R_TDT, 10);
    settle(&c);
    CHECK_EQ(c.count, 3);
    CHECK_EQ(get(&c, R_TDH), 3);
    c.room = 100;
    net_ready(&c.far);
    settle(&c);
    CHECK_EQ(c.count, 10);
    CHECK_EQ(get(&c, R_TDH), 10);
    for (unsigned i = 0; i < 10; i++)
        CHECK_EQ(c.size[i], 60 + i);
    card_close(&c);
}

TEST(receives)
{
    struct card c;
    uint8_t f[2000] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 }, raw[16], got[2000];

    card_open(&c);
    for (unsigned i = 6; i < sizeof f; i++)
        f[i] = (uint8_t)(i * 5);
    f[12] = 8;
    start_rx(&c, 8, 3, RCTL_BAM);
    set(&c, R_IMS, ICR_RXT0);
    CHECK(net_send_frame(&c.far, f, 1000));
    fetch(&c, RX_RING, raw, 16);
    CHECK_EQ(ld_le16(raw + 8), 1004); /* with the checksum at its end */
    CHECK_EQ(raw[12] & 7, 7);         /* done, end, checksums were not looked at */
    fetch(&c, BUFFERS, got, 1000);
    CHECK_MEM(got, f, 1000);
    CHECK(get(&c, R_ICR) & ICR_RXT0);
    CHECK(net_send_frame(&c.far, f, 20)); /* padded */
    fetch(&c, RX_RING + 16, raw, 16);
    CHECK_EQ(ld_le16(raw + 8), 64);
    f[5] = 0x57; /* for somebody else */
    CHECK(net_send_frame(&c.far, f, 100));
    CHECK_EQ(get(&c, R_RDH), 2);
    memset(f, 255, 6);
    CHECK(net_send_frame(&c.far, f, 100));
    CHECK_EQ(get(&c, R_RDH), 3);
    /* the ring is empty: the frame waits for a descriptor (in the hub) */
    CHECK(net_send_frame(&c.far, f, 200));
    CHECK_EQ(get(&c, R_RDH), 3);
    set(&c, R_RDT, 5);
    CHECK_EQ(get(&c, R_RDH), 4);
    fetch(&c, RX_RING + 48, raw, 16);
    CHECK_EQ(ld_le16(raw + 8), 204);
    /* too long, unless long ones are wanted; two descriptors of 1024 then */
    set(&c, R_RDT, 7);
    CHECK(net_send_frame(&c.far, f, 1600));
    CHECK_EQ(get(&c, R_ROC), 1);
    set(&c, R_RCTL, RCTL_EN | RCTL_BAM | RCTL_LPE | RCTL_SECRC | 1 << 16);
    CHECK(net_send_frame(&c.far, f, 1600));
    CHECK_EQ(get(&c, R_RDH), 6);
    fetch(&c, RX_RING + 64, raw, 16);
    CHECK_EQ(ld_le16(raw + 8), 1024);
    CHECK_EQ(raw[12] & 3, 1);
    fetch(&c, RX_RING + 80, raw, 16);
    CHECK_EQ(ld_le16(raw + 8), 576);
    CHECK_EQ(raw[12] & 3, 3);
    card_close(&c);
}

TEST(filters)
{
    struct card c;
    uint8_t f[60] = { 1, 0, 0x5e, 0, 0, 0xfb };

    card_open(&c);
    start_rx(&c, 64, 63, 0);
    CHECK(net_send_frame(&c.far, f, sizeof f));
    CHECK_EQ(get(&c, R_RDH), 0);
    unsigned bit = ((unsigned)f[5] << 8 | f[4]) >> 4; /* MO 0: bits 47:36 */
    set(&c, R_MTA + bit / 32 * 4, 1u << bit % 32);
    CHECK(net_send_frame(&c.far, f, sizeof f));
    CHECK_EQ(get(&c, R_RDH), 1);
    set(&c, R_MTA + bit / 32 * 4, 0);
    set(&c, R_RCTL, RCTL_EN | RCTL_MPE);
    CHECK(net_send_frame(&c.far, f, sizeof f));
    CHECK_EQ(get(&c, R_RDH), 2);
    f[0] = 2;
    CHECK(net_send_frame(&c.far, f, sizeof f));
    CHECK_EQ(get(&c, R_RDH), 2);
    set(&c, R_RCTL, RCTL_EN | RCTL_UPE);
    CHECK(net_send_frame(&c.far, f, sizeof f));
    CHECK_EQ(get(&c, R_RDH), 3);
    /* tag 5: filtered, then let through, its tag taken off */
    st_be16(f + 12, 0x8100);
    st_be16(f + 14, 0x2005);
    set(&c, R_CTRL, get(&c, R_CTRL) | CTRL_VME);
    set(&c, R_RCTL, RCTL_EN | RCTL_UPE | RCTL_VFE);
    CHECK(net_send_frame(&c.far, f, sizeof f));
    CHECK_EQ(get(&c, R_RDH), 3);
    set(&c, R_VFTA, BIT(5));
    CHECK(net_send_frame(&c.far, f, sizeof f));
    CHECK_EQ(get(&c, R_RDH), 4);
    uint8_t raw[16], got[20];
    fetch(&c, RX_RING + 48, raw, 16);
    CHECK(raw[12] & BIT(3));
    CHECK_EQ(ld_le16(raw + 14), 0x2005);
    fetch(&c, BUFFERS + 3 * 0x1000, got, 20);
    CHECK_MEM(got + 12, f + 16, 8);
    card_close(&c);
}

TEST(interrupts_keep_their_interval)
{
    struct card c;

    card_open(&c);
    set(&c, R_ITR, 1000); /* 256 µs */
    set(&c, R_IMS, ICR_RXT0 | ICR_TXDW);
    set(&c, R_ICS, ICR_RXT0);
    CHECK(c.e->pci.intx);
    CHECK_EQ(get(&c, R_ICR), BIT(31) | ICR_RXT0);
    CHECK(!c.e->pci.intx);
    set(&c, R_ICS, ICR_TXDW);
    CHECK(!c.e->pci.intx);
    step_ns(&c.rig, 200000);
    CHECK(!c.e->pci.intx);
    step_ns(&c.rig, 60000);
    CHECK(c.e->pci.intx);
    set(&c, R_IMC, ICR_TXDW);
    CHECK(!c.e->pci.intx);
    CHECK_EQ(get(&c, R_ICR), ICR_TXDW);
    CHECK_EQ(get(&c, R_ICR), 0);
    card_close(&c);
}

/* Rings of any base and size, descriptors of any bytes: no harm, and an end. */
TEST(hostile_rings)
{
    struct card c;
    uint32_t seed = 7;
    uint8_t noise[4096], f[1500] = { 255, 255, 255, 255, 255, 255 };
    static const unsigned regs[] = { R_TDBAL, R_TDBAH, R_TDLEN, R_TDH,  R_TDT,  R_RDBAL, R_RDBAH,
                                     R_RDLEN, R_RDH,   R_RDT,   R_RCTL, R_CTRL, R_TCTL,  R_VET };

    card_open(&c);
    for (unsigned round = 0; round < 3000; round++) {
        for (unsigned i = 0; i < sizeof noise; i++) {
            seed = seed * 1103515245 + 12345;
            noise[i] = (uint8_t)(seed >> 17) & (i % 16 < 8 && i % 16 > 2 ? 0 : 255);
        }
        put(&c, (seed >> 8) % 64 * 4096, noise, sizeof noise);
        if (round % 8 == 0) {
            start_tx(&c, 64);
            start_rx(&c, 64, 60, RCTL_UPE | RCTL_MPE);
            set(&c, R_TDBAH, 0);
            set(&c, R_RDBAH, 0);
        }
        if (round % 50 == 0) /* now and then it may not be a bus master */
            pci_dev_config_write(&c.e->pci, PCI_COMMAND, round % 100 ? PCI_COMMAND_MASTER : 0, 2);
        set(&c, regs[(seed >> 9) % ARRAY_SIZE(regs)], seed >> (seed >> 27));
        set(&c, R_TDT, (seed >> 12) % 64);
        settle(&c);
        (void)net_send_frame(&c.far, f, 14 + (seed >> 7) % 1400);
        clear(&c);
        c.room = 64;
        net_ready(&c.far);
        clear(&c);
    }
    card_close(&c);
}
