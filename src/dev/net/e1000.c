/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82540EM gigabit Ethernet (e1000) and two relatives: registers, EEPROM, PHY, interrupts.
 * See e1000_priv.h.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/trace.h"
#include "dev/net/e1000_priv.h"

enum {
    PHY_LINK_BITS = BIT(2) | BIT(5), /* link is up, autonegotiation is complete */
    PHY_STATUS_BASE = 0x7949,
    PHY_PSSR_UP = 0xac00, /* 1000 Mbit/s, full duplex, resolved, link */
    PHY_PSSR_DOWN = 0xa000,
    MDIC_READY = BIT(28),
    MDIC_INTERRUPT = BIT(29),
    MDIC_ERROR = BIT(30),
    PHY_CTRL_RESET = BIT(15),
    PHY_CTRL_AUTO = BIT(12),
    PHY_CTRL_RESTART = BIT(9),
    ICR_ASSERTED = BIT(31),
    IO_SIZE = 64,
};
#define AUTONEG_NS      INT64_C(100000000)
#define ITR_UNIT_NS     256
#define ICR_CAUSES_BITS UINT32_C(0x0001ffff)

static struct e1000 *e1000_of(struct device *dev)
{
    return (struct e1000 *)dev;
}

/* --- interrupts --- */

/* The level of the line follows from cause, mask and the interval since the last interrupt. */
static void update_irq(struct e1000 *e)
{
    uint32_t itr = *e1000_reg(e, R_ITR) & 0xffff;
    bool want = *e1000_reg(e, R_ICR) & *e1000_reg(e, R_IMS) & ICR_CAUSES_BITS;

    if (want && e->irq_held)
        return; /* when the interval is over */
    if (want && !e->pci.intx && e->mitigation && itr) {
        e->irq_held = true;
        timer_set_ns(&e->itr_timer, device_now_ns(&e->pci.dev) + itr * INT64_C(256));
    }
    pci_intx(&e->pci, want);
}

static void itr_over(void *opaque)
{
    struct e1000 *e = opaque;

    e->irq_held = false;
    update_irq(e);
}

void e1000_interrupt(struct e1000 *e, uint32_t causes)
{
    if (!causes)
        return;
    *e1000_reg(e, R_ICR) |= causes;
    update_irq(e);
}

int e1000_dma_read(struct e1000 *e, gpa_t a, void *buf, size_t len)
{
    struct mem *dma = pci_dma(&e->pci);

    return dma ? dma_read(dma, a, buf, len) : -EFAULT;
}

void e1000_dma_write(struct e1000 *e, gpa_t a, const void *buf, size_t len)
{
    struct mem *dma = pci_dma(&e->pci);

    if (!dma || dma_write(dma, a, buf, len) != 0)
        TRACE(net, "%s: write of %zu bytes to %#llx goes nowhere", e->pci.dev.id, len,
              (unsigned long long)a);
}

void e1000_count(struct e1000 *e, unsigned reg, uint32_t by)
{
    uint32_t *r = e1000_reg(e, reg);

    *r = *r + by < *r ? UINT32_MAX : *r + by;
}

void e1000_count64(struct e1000 *e, unsigned reg, uint32_t by)
{
    uint32_t *low = e1000_reg(e, reg), *high = e1000_reg(e, reg + 4);
    uint64_t sum = (uint64_t)*high << 32 | *low;

    sum = sum + by < sum ? UINT64_MAX : sum + by;
    *low = (uint32_t)sum;
    *high = (uint32_t)(sum >> 32);
}

/* --- link and PHY (§8.4, §13.4.9) --- */

static void set_link(struct e1000 *e, bool up)
{
    uint32_t *status = e1000_reg(e, R_STATUS);
    bool was = *status & STATUS_LU;

    *status = up ? *status | STATUS_LU : *status & ~(uint32_t)STATUS_LU;
    e->phy[PHY_STATUS] = (uint16_t)(PHY_STATUS_BASE | (up ? PHY_LINK_BITS : 0));
    e->phy[PHY_LPA] = up ? 0xc1e1 : 0;
    e->phy[PHY_1000_STATUS] = up ? 0x3c00 : 0;
    e->phy[PHY_PSSR] = up ? PHY_PSSR_UP : PHY_PSSR_DOWN;
    if (was != up)
        e1000_interrupt(e, ICR_LSC);
    if (up)
        net_ready(&e->port);
}

static bool cable_in(struct e1000 *e)
{
    return !e->conf.netdev || net_link_up(&e->port);
}

static void negotiated(void *opaque)
{
    struct e1000 *e = opaque;

    set_link(e, cable_in(e));
}

static void port_link(struct net_port *port, bool up)
{
    struct e1000 *e = port->opaque;

    if (e->pci.dev.ready && !timer_armed(&e->link_timer))
        set_link(e, up);
}

static void phy_reset(struct e1000 *e)
{
    memset(e->phy, 0, sizeof e->phy);
    e->phy[PHY_CTRL] = 0x1140;
    e->phy[PHY_ID1] = 0x0141;
    e->phy[PHY_ID2] = e->pci.dev.type == &e1000_82544gc_type ? 0x0c30 : 0x0c20;
    e->phy[PHY_ANA] = 0x0de1;
    e->phy[PHY_ANE] = 0x0001;
    e->phy[PHY_1000_CTRL] = 0x0e00;
    e->phy[PHY_EXT_STATUS] = 0x3000;
    e->phy[PHY_PSCR] = 0x0360;
    e->phy[PHY_EPSCR] = 0x0d60;
}

static void phy_control(struct e1000 *e, uint16_t v)
{
    if (v & PHY_CTRL_RESET)
        phy_reset(e);
    else
        e->phy[PHY_CTRL] = v & ~(PHY_CTRL_RESTART);
    bool negotiate = (v & PHY_CTRL_RESET) || ((v & PHY_CTRL_AUTO) && (v & PHY_CTRL_RESTART));
    if (negotiate && e->autonegotiation && cable_in(e)) {
        set_link(e, false);
        timer_set_ns(&e->link_timer, device_now_ns(&e->pci.dev) + AUTONEG_NS);
    } else {
        set_link(e, cable_in(e));
    }
}

static void write_phy(struct e1000 *e, unsigned reg, uint16_t v)
{
    switch (reg) {
    case PHY_CTRL: phy_control(e, v); break;
    case PHY_STATUS:
    case PHY_ID1:
    case PHY_ID2:
    case PHY_LPA:
    case PHY_1000_STATUS:
    case PHY_EXT_STATUS:
    case PHY_PSSR: break; /* read-only */
    default: e->phy[reg] = v; break;
    }
}

static void write_mdic(struct e1000 *e, uint32_t v)
{
    unsigned reg = v >> 16 & 31, phy = v >> 21 & 31, op = v >> 26 & 3;

    v &= ~(uint32_t)(MDIC_READY | MDIC_ERROR);
    if (phy != 1 || (op != 1 && op != 2))
        v |= MDIC_ERROR;
    else if (op == 1)
        write_phy(e, reg, (uint16_t)v);
    else
        v = (v & 0xffff0000) | e->phy[reg];
    *e1000_reg(e, R_MDIC) = v | MDIC_READY;
    if (v & MDIC_INTERRUPT)
        e1000_interrupt(e, ICR_MDAC);
}

/* --- EEPROM: 93C46, 64 words of 16 bits (§5) --- */

enum { EE_SK = 1, EE_CS = 2, EE_DI = 4, EE_DO = 8, EE_REQ = 64, EE_GNT = 128, EE_PRES = 256 };

static void eeprom_checksum(struct e1000 *e)
{
    uint16_t sum = 0;

    for (unsigned i = 0; i < EEPROM_WORDS - 1; i++)
        sum = (uint16_t)(sum + e->eeprom[i]);
    e->eeprom[EEPROM_WORDS - 1] = (uint16_t)(0xbaba - sum);
}

static void eeprom_fill(struct e1000 *e, uint16_t device)
{
    memset(e->eeprom, 0xff, sizeof e->eeprom);
    for (unsigned i = 0; i < 3; i++)
        e->eeprom[i] = ld_le16(e->conf.mac + 2 * i);
    e->eeprom[0x03] = 0x0000;
    e->eeprom[0x0a] = 0x4408; /* initialization control 1: the IDs below are valid */
    e->eeprom[0x0b] = 0x1100; /* subsystem and its vendor */
    e->eeprom[0x0c] = 0x1af4;
    e->eeprom[0x0d] = device;
    e->eeprom[0x0e] = 0x8086;
    e->eeprom[0x0f] = 0x3040;
    eeprom_checksum(e);
}

/* A rising clock edge with chip select: a bit in, or a bit out of the word being read. */
static void eeprom_clock(struct e1000 *e, bool in)
{
    if (e->ee_reading) {
        unsigned n = e->ee_clock++;
        e->ee_out = n < 16 ? e->ee_bits >> (15 - n) & 1 : 0;
        if (n == 15) { /* the next word follows */
            unsigned next = (e->ee_in + 1) % EEPROM_WORDS;
            e->ee_in = next;
            e->ee_bits = e->eeprom[next];
            e->ee_clock = 0;
        }
        return;
    }
    if (!e->ee_clock && !in)
        return; /* waits for the start bit */
    e->ee_in = e->ee_in << 1 | in;
    e->ee_clock++;
    if (e->ee_clock == 9) { /* start, two bits of opcode, six of address */
        unsigned op = e->ee_in >> 6 & 3, addr = e->ee_in & 63;
        if (op == 2) {
            e->ee_reading = true;
            e->ee_out = 0;
            e->ee_clock = 0;
            e->ee_bits = e->eeprom[addr];
            e->ee_in = addr;
        } else if (op == 0) {
            e->ee_writable = addr >> 4 == 3 ? true : addr >> 4 == 0 ? false : e->ee_writable;
        }
    } else if (e->ee_clock == 25 && (e->ee_in >> 22 & 3) == 1) {
        if (e->ee_writable)
            e->eeprom[e->ee_in >> 16 & 63] = (uint16_t)e->ee_in;
        e->ee_out = 1; /* ready */
    }
}

static void write_eecd(struct e1000 *e, uint32_t v)
{
    uint32_t old = *e1000_reg(e, R_EECD);

    *e1000_reg(e, R_EECD) = v & (EE_SK | EE_CS | EE_DI | EE_REQ);
    if (!(v & EE_CS)) {
        e->ee_in = e->ee_bits = e->ee_clock = 0;
        e->ee_reading = false;
        e->ee_out = 1;
        return;
    }
    if (!(old & EE_CS))
        e->ee_in = e->ee_bits = e->ee_clock = 0, e->ee_reading = false;
    if ((v & EE_SK) && !(old & EE_SK))
        eeprom_clock(e, v & EE_DI);
}

static uint32_t read_eecd(struct e1000 *e)
{
    uint32_t v = *e1000_reg(e, R_EECD) | EE_PRES;

    return v | (e->ee_out ? EE_DO : 0) | (v & EE_REQ ? EE_GNT : 0);
}

static void write_eerd(struct e1000 *e, uint32_t v)
{
    unsigned addr = v >> 8 & 0xff;

    if (v & 1)
        v = (v & 0xff00) | BIT(4) |
            (uint32_t)(addr < EEPROM_WORDS ? e->eeprom[addr] : 0xffff) << 16;
    *e1000_reg(e, R_EERD) = v;
}

/* --- registers --- */

static void reset_registers(struct e1000 *e)
{
    uint32_t ra_low = ld_le32(e->conf.mac), ra_high = ld_le16(e->conf.mac + 4);

    timer_cancel(&e->itr_timer);
    timer_cancel(&e->tx_later);
    memset(e->mac, 0, sizeof e->mac);
    *e1000_reg(e, R_CTRL) = 0x00140240 | 1; /* SWDPIN, 1000 Mbit/s, link up, full duplex */
    *e1000_reg(e, R_STATUS) = STATUS_FD | STATUS_1000 | STATUS_ASDV;
    *e1000_reg(e, R_PBA) = 0x00100030;
    *e1000_reg(e, R_LEDCTL) = 0x07061302;
    *e1000_reg(e, R_TIPG) = 0x00602008;
    *e1000_reg(e, R_TXDMAC) = 1;
    *e1000_reg(e, R_VET) = e->init_vet ? 0x8100 : 0;
    *e1000_reg(e, R_RA) = ra_low;
    *e1000_reg(e, R_RA + 4) = ra_high | BIT(31);
    e->irq_held = false;
    e1000_tx_reset(e);
    set_link(e, cable_in(e) && !timer_armed(&e->link_timer));
    *e1000_reg(e, R_ICR) = 0;
    update_irq(e);
    net_ready(&e->port);
}

static void write_ctrl(struct e1000 *e, uint32_t v)
{
    if (v & CTRL_RST) {
        reset_registers(e);
        return;
    }
    *e1000_reg(e, R_CTRL) = v & ~(uint32_t)BIT(31); /* PHY_RST clears itself */
    if (v & BIT(31))
        phy_control(e, PHY_CTRL_RESET);
}

/* Bits of plain registers that keep what is written; 0: not a plain register. */
static uint32_t plain_mask(unsigned off)
{
    switch (off) {
    case R_CTRL_EXT: return 0xffffff;
    case R_FCAL:
    case R_LEDCTL:
    case R_TIPG:
    case R_TXCW:
    case R_WUC:
    case R_MANC:
    case R_AIT: return 0xffffffff;
    case R_FCAH:
    case R_FCT:
    case R_VET:
    case R_FCTTV:
    case R_PBA:
    case R_ITR:
    case R_RDTR:
    case R_RADV:
    case R_TIDV:
    case R_TADV: return 0xffff;
    case R_FCRTL: return 0x8000fff8;
    case R_FCRTH: return 0x0000fff8;
    case R_RXCSUM: return 0x7ff;
    case R_RDBAL:
    case R_TDBAL: return 0xfffffff0;
    case R_RDBAH:
    case R_TDBAH: return 0xffffffff;
    case R_RDLEN:
    case R_TDLEN: return 0x000fff80;
    case R_RDH:
    case R_TDH: return 0xffff;
    case R_RXDCTL:
    case R_TXDCTL: return 0xffffffff;
    case R_TXDMAC: return 1;
    case R_RSRPD: return 0xfff;
    case R_TSPMT: return 0xffffffff;
    }
    if ((off >= R_MTA && off < R_MTA + 128 * 4) || (off >= R_RA && off < R_RA + 32 * 4) ||
        (off >= R_VFTA && off < R_VFTA + 128 * 4) ||
        (off >= R_WUC + 0x40 && off < R_WUC + 0x400) || /* wake-up filters */
        (off >= R_RDFH && off <= R_RDFPC) || (off >= R_TDFH && off <= R_TDFPC))
        return 0xffffffff;
    return off == R_WUC + 8 ? 0xffffffff : 0;
}

static void write_register(struct e1000 *e, unsigned off, uint32_t v)
{
    uint32_t mask = plain_mask(off);

    switch (off) {
    case R_CTRL:
    case R_CTRL + 4: write_ctrl(e, v); break;
    case R_EECD: write_eecd(e, v); break;
    case R_EERD: write_eerd(e, v); break;
    case R_MDIC: write_mdic(e, v); break;
    case R_ICR: /* ones clear */
        *e1000_reg(e, R_ICR) &= ~v;
        update_irq(e);
        break;
    case R_ICS: e1000_interrupt(e, v & ICR_CAUSES_BITS); break;
    case R_IMS:
        *e1000_reg(e, R_IMS) |= v & ICR_CAUSES_BITS;
        update_irq(e);
        break;
    case R_IMC:
        *e1000_reg(e, R_IMS) &= ~v;
        update_irq(e);
        break;
    case R_RCTL:
        *e1000_reg(e, R_RCTL) = v & 0x06ffffff;
        net_ready(&e->port);
        break;
    case R_TCTL:
        *e1000_reg(e, R_TCTL) = v;
        e1000_send_later(e);
        break;
    case R_RDT:
        *e1000_reg(e, R_RDT) = v & 0xffff;
        if (e1000_can_receive(e))
            net_ready(&e->port);
        break;
    case R_TDT:
        *e1000_reg(e, R_TDT) = v & 0xffff;
        e1000_send_later(e);
        break;
    default:
        if (mask)
            *e1000_reg(e, off) = v & mask;
        else if (off < R_PBM)
            guest_error(&e->pci.dev, "write of %#x to register %#x", v, off);
        break;
    }
}

static uint32_t read_icr(struct e1000 *e)
{
    uint32_t v = *e1000_reg(e, R_ICR);

    if (v & *e1000_reg(e, R_IMS))
        v |= ICR_ASSERTED;
    *e1000_reg(e, R_ICR) = 0;
    update_irq(e);
    return v;
}

static uint32_t read_register(struct e1000 *e, unsigned off)
{
    switch (off) {
    case R_ICR: return read_icr(e);
    case R_EECD: return read_eecd(e);
    case R_IMC:
    case R_ICS: return 0; /* write-only */
    case R_CTRL + 4: return *e1000_reg(e, R_CTRL);
    }
    if (off >= R_END)
        return 0;
    uint32_t v = *e1000_reg(e, off);
    if (off >= R_STATS && off <= R_TSCTFC) {
        *e1000_reg(e, off) = 0; /* counters clear on read; of a pair, the upper half does */
        if (off == R_GORCL || off == R_GOTCL || off == R_TORL || off == R_TOTL)
            *e1000_reg(e, off) = v;
        if (off == R_GORCL + 4 || off == R_GOTCL + 4 || off == R_TORL + 4 || off == R_TOTL + 4)
            *e1000_reg(e, off - 4) = 0;
    }
    return v;
}

static uint64_t mmio_read(void *opaque, uint64_t off, unsigned size)
{
    return read_register(opaque, (unsigned)off);
}

static void mmio_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    write_register(opaque, (unsigned)off, (uint32_t)val);
}

static const struct mem_io_ops mmio_ops = { mmio_read, mmio_write, 4, 4, false };

/* IOADDR and IODATA (§13.2.2.1) */
static uint64_t io_read(void *opaque, uint64_t off, unsigned size)
{
    struct e1000 *e = opaque;

    if (off == 0)
        return e->io_addr;
    return off == 4 && e->io_addr < R_WINDOW ? read_register(e, e->io_addr & ~3u) : 0;
}

static void io_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct e1000 *e = opaque;

    if (off == 0)
        e->io_addr = (uint32_t)val;
    else if (off == 4 && e->io_addr < R_WINDOW)
        write_register(e, e->io_addr & ~3u, (uint32_t)val);
}

static const struct mem_io_ops io_ops = { io_read, io_write, 4, 4, false };

/* --- life --- */

static void port_resume(struct net_port *port)
{
    struct e1000 *e = port->opaque;

    e1000_send(e); /* a full frame is tried again from its last descriptor */
}

static const struct net_ops e1000_net_ops = {
    .receive = e1000_receive,
    .resume = port_resume,
    .link = port_link,
};

static void send_now(void *opaque)
{
    e1000_send(opaque);
}

static void e1000_defaults(struct device *dev)
{
    struct e1000 *e = e1000_of(dev);

    nic_defaults(&e->conf);
    e->autonegotiation = e->mitigation = e->extra_mac_registers = true;
    e->init_vet = e->migrate_tso_props = true;
    e->pci.default_rom = "efi-e1000.rom";
}

static uint16_t device_id(const struct device_type *t)
{
    return t == &e1000_82544gc_type ? 0x100c : t == &e1000_82545em_type ? 0x100f : 0x100e;
}

static bool e1000_init(struct device *dev, struct error *err)
{
    struct e1000 *e = e1000_of(dev);
    const struct pci_id id = {
        .vendor = 0x8086,
        .device = device_id(dev->type),
        .class_code = 0x0200,
        .subsystem_vendor = 0x1af4,
        .subsystem = 0x1100,
        .revision = 3,
        .pin = 1,
    };

    if (!nic_settle(&e->conf, dev, err))
        return false;
    e->tx = xnew_array(uint8_t, E1000_VLAN_SIZE + E1000_TX_ROOM) + E1000_VLAN_SIZE;
    timer_init(&e->link_timer, dev->ctx.loop, CLOCK_VIRTUAL, negotiated, e);
    timer_init(&e->itr_timer, dev->ctx.loop, CLOCK_VIRTUAL, itr_over, e);
    timer_init(&e->tx_later, dev->ctx.loop, CLOCK_RT, send_now, e);
    net_port_init(&e->port, &e1000_net_ops, e);
    pci_dev_init(&e->pci, &id);
    mem_region_init_io(&e->mmio, "e1000-mmio", &mmio_ops, e, R_WINDOW);
    mem_region_init_io(&e->io, "e1000-io", &io_ops, e, IO_SIZE);
    pci_bar_add(&e->pci, 0, PCI_BAR_MEM32, &e->mmio);
    pci_bar_add(&e->pci, 1, PCI_BAR_IO, &e->io);
    eeprom_fill(e, id.device);
    if (e->conf.netdev)
        net_connect(&e->port, &e->conf.netdev->ports[0]);
    return true;
}

static void e1000_finish(struct device *dev)
{
    struct e1000 *e = e1000_of(dev);

    timer_cancel(&e->link_timer);
    timer_cancel(&e->itr_timer);
    timer_cancel(&e->tx_later);
    net_port_finish(&e->port);
    pci_dev_finish(&e->pci);
    if (e->tx)
        free(e->tx - E1000_VLAN_SIZE);
    e->tx = NULL;
}

static void e1000_reset(struct device *dev)
{
    struct e1000 *e = e1000_of(dev);

    timer_cancel(&e->link_timer);
    pci_dev_reset(&e->pci);
    phy_reset(e);
    e->io_addr = 0;
    e->ee_in = e->ee_bits = e->ee_clock = 0;
    e->ee_reading = e->ee_writable = false;
    e->ee_out = 1;
    e->csum = e->tso = (struct e1000_context){ 0 };
    reset_registers(e);
    *e1000_reg(e, R_ICR) = 0;
}

static bool e1000_loaded(struct device *dev, struct error *err)
{
    struct e1000 *e = e1000_of(dev);

    if (!pci_dev_loaded(&e->pci, err))
        return false;
    /* a frame that was half gathered is gathered again from the guest's next descriptors */
    e1000_tx_reset(e);
    timer_cancel(&e->link_timer);
    e->irq_held = false;
    update_irq(e);
    return true;
}

static const struct field e1000_props[] = {
    NIC_PROPS(struct e1000, conf),
    FIELD(struct e1000, autonegotiation, .doc = "the link takes a moment to come up [on]"),
    FIELD(struct e1000, mitigation, .doc = "interrupts keep the interval of ITR [on]"),
    FIELD(struct e1000, extra_mac_registers, .doc = "no effect: they are always there"),
    FIELD(struct e1000, init_vet, .wire = "init-vet", .doc = "VET is 8100h after reset [on]"),
    FIELD(struct e1000, migrate_tso_props, .doc = "no effect"),
    { 0 },
};

static const struct field e1000_state[] = {
    PCI_DEV_STATE(struct e1000),
    FIELD_ARRAY(struct e1000, mac),
    FIELD_ARRAY(struct e1000, phy),
    FIELD_ARRAY(struct e1000, eeprom),
    FIELD(struct e1000, io_addr),
    FIELD(struct e1000, irq_held),
    FIELD(struct e1000, ee_in),
    FIELD(struct e1000, ee_bits),
    FIELD(struct e1000, ee_clock),
    FIELD(struct e1000, ee_out),
    FIELD(struct e1000, ee_reading),
    FIELD(struct e1000, ee_writable),
    FIELD(struct e1000, csum.ipcss, .wire = "csum-ipcss"),
    FIELD(struct e1000, csum.ipcso, .wire = "csum-ipcso"),
    FIELD(struct e1000, csum.ipcse, .wire = "csum-ipcse"),
    FIELD(struct e1000, csum.tucss, .wire = "csum-tucss"),
    FIELD(struct e1000, csum.tucso, .wire = "csum-tucso"),
    FIELD(struct e1000, csum.tucse, .wire = "csum-tucse"),
    FIELD(struct e1000, tso.mss, .wire = "tso-mss"),
    FIELD(struct e1000, tso.paylen, .wire = "tso-paylen"),
    FIELD(struct e1000, tso.hdrlen, .wire = "tso-hdrlen"),
    FIELD(struct e1000, tso.tucss, .wire = "tso-tucss"),
    FIELD(struct e1000, tso.tucso, .wire = "tso-tucso"),
    FIELD(struct e1000, tso.ip, .wire = "tso-ip"),
    FIELD(struct e1000, tso.tcp, .wire = "tso-tcp"),
    { 0 },
};

const struct device_type e1000_type = {
    .name = "e1000",
    .alias = "e1000-82540em",
    .doc = "Intel gigabit Ethernet 82540EM",
    .size = sizeof(struct e1000),
    .bus = "PCI",
    .category = DEVICE_NETWORK,
    .props = e1000_props,
    .state = e1000_state,
    .defaults = e1000_defaults,
    .init = e1000_init,
    .finish = e1000_finish,
    .reset = e1000_reset,
    .loaded = e1000_loaded,
};

const struct device_type e1000_82544gc_type = {
    .name = "e1000-82544gc",
    .doc = "Intel gigabit Ethernet 82544GC",
    .size = sizeof(struct e1000),
    .bus = "PCI",
    .category = DEVICE_NETWORK,
    .props = e1000_props,
    .state = e1000_state,
    .defaults = e1000_defaults,
    .init = e1000_init,
    .finish = e1000_finish,
    .reset = e1000_reset,
    .loaded = e1000_loaded,
};

const struct device_type e1000_82545em_type = {
    .name = "e1000-82545em",
    .doc = "Intel gigabit Ethernet 82545EM",
    .size = sizeof(struct e1000),
    .bus = "PCI",
    .category = DEVICE_NETWORK,
    .props = e1000_props,
    .state = e1000_state,
    .defaults = e1000_defaults,
    .init = e1000_init,
    .finish = e1000_finish,
    .reset = e1000_reset,
    .loaded = e1000_loaded,
};
