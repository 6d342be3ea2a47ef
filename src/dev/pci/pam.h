/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shadow RAM over 0xc0000-0xfffff, as the seven PAM registers of Intel's host bridges say, and the
 * window of SMRAM at 0xa0000-0xbffff. Embedded in a host bridge.
 *
 * A segment has two bits: reads from RAM, writes to RAM. Both: plain RAM. Read only: a ROM region
 * over the same RAM (writes go to PCI and are lost). Write only: a register region whose reads come
 * from the PCI side. Neither: nothing is mapped and the PCI side shows.
 */
#ifndef DEV_PCI_PAM_H
#define DEV_PCI_PAM_H

#include "mem/mem.h"

enum { PAM_REGISTERS = 7, PAM_SEGMENTS = 13, SMRAM_BASE = 0xa0000, SMRAM_SIZE = 0x20000 };

enum { /* the SMRAM register: D_OPEN, D_CLS, D_LCK, G_SMRAME */
       SMRAM_OPEN = 0x40,
       SMRAM_CLOSED = 0x20,
       SMRAM_LOCK = 0x10,
       SMRAM_ENABLE = 0x08,
       SMRAM_WRITABLE = 0x78,
       SMRAM_RESET = 0x02,
};

struct pam_wiring {
    struct mem *mem;    /* where shadow RAM appears; NULL: nothing is mapped */
    gra_t low_ram;      /* guest RAM of physical address 0 */
    int priority;       /* of shadow RAM: above what lies on the PCI side */
    const uint8_t *rom; /* bytes the PCI side shows at rom_base.. up to 1 MiB, for segments */
    gpa_t rom_base;     /* whose reads go there and whose writes go to RAM; NULL: all ones */
};

struct pam_segment {
    struct pam *pam;
    gpa_t base;
    struct mem_region ram, rom, write_only;
    uint8_t mode;
};

struct pam {
    struct pam_wiring w;
    struct pam_segment seg[PAM_SEGMENTS];
    struct mem_region smram;
};

void pam_init(struct pam *pam, const struct pam_wiring *w);
/* The map follows the registers (PAM0 to PAM6) and whether SMRAM is open to everybody. */
void pam_update(struct pam *pam, const uint8_t *regs, bool smram_open);
void pam_finish(struct pam *pam);

#endif
