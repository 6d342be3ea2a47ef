/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to ahci.c (registers, interrupts) and ahci_port.c (commands, FISes). */
#ifndef DEV_STORAGE_AHCI_PRIV_H
#define DEV_STORAGE_AHCI_PRIV_H

#include "base/bits.h"
#include "dev/pci/msi.h"
#include "dev/storage/ahci.h"
#include "dev/storage/ata.h"

enum { AHCI_PORTS = 6, AHCI_SLOTS = 32, AHCI_PORT_REGS = 32 };

/* Port registers (AHCI 3.3), as indexes of dwords */
enum ahci_port_reg {
    PORT_CLB = 0x00 / 4,
    PORT_CLBU = 0x04 / 4,
    PORT_FB = 0x08 / 4,
    PORT_FBU = 0x0c / 4,
    PORT_IS = 0x10 / 4,
    PORT_IE = 0x14 / 4,
    PORT_CMD = 0x18 / 4,
    PORT_TFD = 0x20 / 4,
    PORT_SIG = 0x24 / 4,
    PORT_SSTS = 0x28 / 4,
    PORT_SCTL = 0x2c / 4,
    PORT_SERR = 0x30 / 4,
    PORT_SACT = 0x34 / 4,
    PORT_CI = 0x38 / 4,
    PORT_SNTF = 0x3c / 4,
};
enum {
    CMD_ST = BIT(0),
    CMD_SUD = BIT(1),
    CMD_POD = BIT(2),
    CMD_CLO = BIT(3),
    CMD_FRE = BIT(4),
    CMD_CCS = 0x1f00,
    CMD_FR = BIT(14),
    CMD_CR = BIT(15),
    CMD_ATAPI = BIT(24),
    CMD_WRITABLE = CMD_ST | CMD_FRE | CMD_ATAPI | 0x0e000000, /* ATAPI, DLAE, ALPE, ASP */
};
enum {
    IS_DHRS = BIT(0),
    IS_PSS = BIT(1),
    IS_DSS = BIT(2),
    IS_SDBS = BIT(3),
    IS_PCS = BIT(6),
    IS_OFS = BIT(24),
    IS_IFS = BIT(27),
    IS_HBFS = BIT(29),
    IS_TFES = BIT(30),
    IS_ALL = 0x7dc000ffu | BIT(31),
};
enum { SERR_EXCHANGED = BIT(26), SSTS_UP = 0x113, SCTL_DET = 15, DET_RESET = 1, DET_OFF = 4 };

struct ahci;

struct ahci_port {
    struct ahci *ahci;
    unsigned n;
    struct ide_bus bus;
    /* the command without a tag that is carried out, or the one being handed over; -1: none */
    int slot;
    bool halted;         /* after an error, until the host stops the engine */
    bool software_reset; /* a control FIS with SRST was the last one */
    bool processing, again;
    bool moving, move_again;
    bool packet_sent; /* the command block of ATAPI went over */
    struct sg pio;    /* memory of a PIO command */
    size_t pio_at;
    uint32_t done_tags; /* ended well since the last FIS that told so */
    bool burst;         /* the drive's blk tells when a burst ends */
};

struct ahci {
    struct pci_dev pci;
    struct ahci_port port[AHCI_PORTS];
    bool board_names;
    struct mem_region registers, index_data;
    /* state */
    uint32_t ghc, is, index;
    uint32_t regs[AHCI_PORTS * AHCI_PORT_REGS];
};

static inline uint32_t *port_reg(struct ahci_port *p, enum ahci_port_reg r)
{
    return &p->ahci->regs[p->n * AHCI_PORT_REGS + r];
}

static inline struct ata_drive *port_drive(struct ahci_port *p)
{
    return p->bus.drive[0];
}

/* Sets bits of the port's interrupt status; the adapter interrupts if they are enabled. */
void ahci_interrupt(struct ahci_port *p, uint32_t bits);

/* ahci_port.c */
extern const struct ata_host ahci_host;
void ahci_port_reset(struct ahci_port *p);   /* COMRESET: link up, signature */
void ahci_port_stop(struct ahci_port *p);    /* ST went to 0: everything is dropped */
void ahci_port_process(struct ahci_port *p); /* hands over what PxCI says */
void ahci_port_send_signature(struct ahci_port *p);
void ahci_port_burst_end(void *port);

#endif
