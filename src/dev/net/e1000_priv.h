/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the e1000 (Intel 82540EM and relatives; "PCI/PCI-X Family of Gigabit Ethernet Controllers
 * Software Developer's Manual", 317453; sections are its): e1000.c registers and interrupts,
 * e1000_tx.c and e1000_rx.c the rings.
 */
#ifndef DEV_NET_E1000_PRIV_H
#define DEV_NET_E1000_PRIV_H

#include "dev/net/nic.h"
#include "dev/pci/pci.h"

enum { /* register offsets, table 13-3 */
       R_CTRL = 0x0000,
       R_STATUS = 0x0008,
       R_EECD = 0x0010,
       R_EERD = 0x0014,
       R_CTRL_EXT = 0x0018,
       R_MDIC = 0x0020,
       R_FCAL = 0x0028,
       R_FCAH = 0x002c,
       R_FCT = 0x0030,
       R_VET = 0x0038,
       R_ICR = 0x00c0,
       R_ITR = 0x00c4,
       R_ICS = 0x00c8,
       R_IMS = 0x00d0,
       R_IMC = 0x00d8,
       R_RCTL = 0x0100,
       R_FCTTV = 0x0170,
       R_TXCW = 0x0178,
       R_RXCW = 0x0180,
       R_TCTL = 0x0400,
       R_TIPG = 0x0410,
       R_AIT = 0x0458,
       R_LEDCTL = 0x0e00,
       R_PBA = 0x1000,
       R_FCRTL = 0x2160,
       R_FCRTH = 0x2168,
       R_RDFH = 0x2410,
       R_RDFPC = 0x2430,
       R_RDBAL = 0x2800,
       R_RDBAH = 0x2804,
       R_RDLEN = 0x2808,
       R_RDH = 0x2810,
       R_RDT = 0x2818,
       R_RDTR = 0x2820,
       R_RXDCTL = 0x2828,
       R_RADV = 0x282c,
       R_RSRPD = 0x2c00,
       R_TXDMAC = 0x3000,
       R_TDFH = 0x3410,
       R_TDFPC = 0x3430,
       R_TDBAL = 0x3800,
       R_TDBAH = 0x3804,
       R_TDLEN = 0x3808,
       R_TDH = 0x3810,
       R_TDT = 0x3818,
       R_TIDV = 0x3820,
       R_TXDCTL = 0x3828,
       R_TADV = 0x382c,
       R_TSPMT = 0x3830,
       R_STATS = 0x4000, /* to 0x40fc, clear on read */
       R_MPC = 0x4010,
       R_PRC64 = 0x405c,
       R_GPRC = 0x4074,
       R_BPRC = 0x4078,
       R_MPRC = 0x407c,
       R_GPTC = 0x4080,
       R_GORCL = 0x4088,
       R_GOTCL = 0x4090,
       R_ROC = 0x40ac,
       R_TORL = 0x40c0,
       R_TOTL = 0x40c8,
       R_TPR = 0x40d0,
       R_TPT = 0x40d4,
       R_PTC64 = 0x40d8,
       R_MPTC = 0x40f0,
       R_BPTC = 0x40f4,
       R_TSCTC = 0x40f8,
       R_TSCTFC = 0x40fc,
       R_RXCSUM = 0x5000,
       R_MTA = 0x5200,
       R_RA = 0x5400,
       R_VFTA = 0x5600,
       R_WUC = 0x5800,
       R_MANC = 0x5820,
       R_END = 0x8000,
       R_PBM = 0x10000, /* the packet buffer, for diagnosis */
       R_WINDOW = 0x20000,
};

enum {
    CTRL_SLU = BIT(6),
    CTRL_RST = BIT(26),
    CTRL_VME = BIT(30),
    STATUS_FD = BIT(0),
    STATUS_LU = BIT(1),
    STATUS_TBI = BIT(5),
    STATUS_1000 = BIT(7),
    STATUS_ASDV = BIT(9),
    ICR_TXDW = BIT(0),
    ICR_TXQE = BIT(1),
    ICR_LSC = BIT(2),
    ICR_RXDMT0 = BIT(4),
    ICR_RXO = BIT(6),
    ICR_RXT0 = BIT(7),
    ICR_MDAC = BIT(9),
    ICR_TXD_LOW = BIT(15),
    RCTL_EN = BIT(1),
    RCTL_UPE = BIT(3),
    RCTL_MPE = BIT(4),
    RCTL_LPE = BIT(5),
    RCTL_LBM = 3 << 6,
    RCTL_BAM = BIT(15),
    RCTL_VFE = BIT(18),
    RCTL_BSEX = BIT(25),
    RCTL_SECRC = BIT(26),
    TCTL_EN = BIT(1),
    TCTL_PSP = BIT(3),
    RXCSUM_IPOFL = BIT(8),
    RXCSUM_TUOFL = BIT(9),
};

enum { PHY_CTRL, PHY_STATUS, PHY_ID1, PHY_ID2, PHY_ANA, PHY_LPA, PHY_ANE };
enum {
    PHY_1000_CTRL = 9,
    PHY_1000_STATUS = 10,
    PHY_EXT_STATUS = 15,
    PHY_PSCR = 16,
    PHY_PSSR = 17,
    PHY_EPSCR = 20,
    PHY_REGS = 32,
    PHY_CTRL_LOOPBACK = BIT(14),
};

enum {
    DESC_SIZE = 16,
    EEPROM_WORDS = 64,
    E1000_TX_ROOM = NET_FRAME_MAX, /* a frame that is being gathered */
    E1000_VLAN_SIZE = 4,
};

/* What a context descriptor set (§3.3.6). */
struct e1000_context {
    uint8_t ipcss, ipcso, tucss, tucso, hdrlen;
    uint16_t ipcse, tucse, mss;
    uint32_t paylen;
    bool ip, tcp;
};

extern const struct device_type e1000_type, e1000_82544gc_type, e1000_82545em_type;

struct e1000 {
    struct pci_dev pci; /* first */
    struct nic_conf conf;
    /* properties */
    bool autonegotiation, mitigation, extra_mac_registers, init_vet, migrate_tso_props;
    /* constant after init */
    struct net_port port;
    struct mem_region mmio, io;
    struct timer link_timer, itr_timer, tx_later;
    uint8_t *tx; /* the frame that is being gathered, E1000_VLAN_SIZE bytes free before it */
    bool sending;
    /* state */
    uint32_t mac[R_END / 4];
    uint16_t phy[PHY_REGS], eeprom[EEPROM_WORDS];
    uint32_t io_addr;
    bool irq_held; /* within the interval of ITR since the last interrupt */
    /* microwire: bits shifted in and out, clock edges since CS rose */
    uint32_t ee_in, ee_bits, ee_clock;
    uint16_t ee_out;
    bool ee_reading, ee_writable;
    /* the frame in tx */
    uint32_t tx_size;
    bool tx_full;     /* complete: the peer has no room for it */
    bool tx_overlong; /* cut: dropped at its end */
    uint8_t tx_popts; /* of its first data descriptor */
    uint32_t tx_cmd;  /* of its first descriptor that says */
    uint16_t tx_special;
    bool tx_begun;
    struct e1000_context csum, tso;
};

static inline uint32_t *e1000_reg(struct e1000 *e, unsigned off)
{
    return &e->mac[off / 4];
}

/* e1000.c; machine lock held */
void e1000_interrupt(struct e1000 *e, uint32_t causes);
void e1000_count(struct e1000 *e, unsigned reg, uint32_t by); /* sticks at its maximum */
void e1000_count64(struct e1000 *e, unsigned reg_low, uint32_t by);
/* Ring base and size in descriptors. */
static inline gpa_t e1000_ring(struct e1000 *e, unsigned reg_low)
{
    return (gpa_t)*e1000_reg(e, reg_low + 4) << 32 | (*e1000_reg(e, reg_low) & ~15u);
}

/* DMA; -EFAULT, too, while the function may not be a bus master. */
int e1000_dma_read(struct e1000 *e, gpa_t a, void *buf, size_t len) MUST_CHECK;
void e1000_dma_write(struct e1000 *e, gpa_t a, const void *buf, size_t len);

/* e1000_tx.c */
void e1000_send(struct e1000 *e);       /* what lies between TDH and TDT */
void e1000_send_later(struct e1000 *e); /* the same, in the main thread */
void e1000_tx_reset(struct e1000 *e);
/* e1000_rx.c */
bool e1000_receive(struct net_port *port, const struct net_packet *p);
bool e1000_can_receive(struct e1000 *e);

#endif
