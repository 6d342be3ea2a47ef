/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A parallel ATA channel: the command block (8 ports) and the control block (1 port), two drives,
 * INTRQ; and the bus master that moves its data (Bus Master IDE 1.0). An adapter has one per
 * channel. Machine lock held.
 */
#ifndef DEV_STORAGE_IDE_CHANNEL_H
#define DEV_STORAGE_IDE_CHANNEL_H

#include "dev/irq.h"
#include "dev/storage/ata.h"

struct ide_channel {
    struct ide_bus bus;
    struct mem *(*dma)(void *opaque); /* memory that the bus master reaches; NULL: none now */
    void *dma_opaque;
    struct irq irq; /* INTRQ, to the board */
    /* state */
    uint8_t select;  /* the device register: which drive answers */
    uint8_t control; /* nIEN, HOB */
    bool intrq;      /* the selected drive asks for an interrupt */
    uint8_t bm_command, bm_status;
    uint32_t bm_table;
    /* a transfer that waits for the host to start the bus master; no state: none when saved */
    struct ata_task *waiting;
    bool table_ends; /* the PRD table ends with the transfer that runs, or before it */
};

#define IDE_CHANNEL_STATE(T, m)                                                                    \
    FIELD(T, m.select), FIELD(T, m.control), FIELD(T, m.intrq), FIELD(T, m.bm_command, .max = 9),  \
        FIELD(T, m.bm_status), FIELD(T, m.bm_table)

/* number: 0 primary, 1 secondary; its bus is called ide.<number>. From the adapter's init. */
void ide_channel_init(struct ide_channel *c, struct device *owner, const char *name,
                      unsigned number);
void ide_channel_finish(struct ide_channel *c);
void ide_channel_reset(struct ide_channel *c);
void ide_channel_loaded(struct ide_channel *c);

/* Command block: off 0 to 7, size 1, 2, 4 (data port only for more than 1). */
uint32_t ide_channel_read(struct ide_channel *c, unsigned off, unsigned size);
void ide_channel_write(struct ide_channel *c, unsigned off, uint32_t val, unsigned size);
uint8_t ide_channel_alt_status(struct ide_channel *c);
void ide_channel_control(struct ide_channel *c, uint8_t val);
/* Bus master registers, 8 bytes. */
uint8_t ide_bm_read(struct ide_channel *c, unsigned off);
void ide_bm_write(struct ide_channel *c, unsigned off, uint8_t val);

#endif
