/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers of a parallel ATA channel (ATA/ATAPI-6 chapter 7) and its bus master. Both drives hear
 * what is written to the command block; the selected one answers.
 */
#include "dev/storage/ide_channel.h"

#include "base/bits.h"
#include "base/endian.h"

#include <string.h>

enum { DATA, ERROR_FEATURE, COUNT, LBA_LOW, LBA_MID, LBA_HIGH, DEVICE, STATUS_COMMAND };
enum { COMMAND_DIAGNOSTIC = 0x90, COMMAND_DEVICE_RESET = 0x08 };
enum {
    BM_COMMAND = 0,
    BM_STATUS = 2,
    BM_TABLE = 4,
    BM_START = 0x01,
    BM_TO_MEMORY = 0x08,
    BM_ACTIVE = 0x01,
    BM_ERROR = 0x02,
    BM_INTERRUPT = 0x04,
    BM_DRIVE_BITS = 0x60,
    PRD_BYTES = 8,
    PRD_TABLE_MAX = 65536,
    PRD_END = 0x80,
};
/* Nothing answers on an empty channel; DD7 is pulled down so that it does not look busy
 * (ATA/ATAPI-6 4.2.1). */
enum { FLOATING = 0x7f };

static struct ata_drive *selected(const struct ide_channel *c)
{
    return c->bus.drive[c->select & ATA_DEV_UNIT ? 1 : 0];
}

static bool empty(const struct ide_channel *c)
{
    return !c->bus.drive[0] && !c->bus.drive[1];
}

static void update_irq(struct ide_channel *c)
{
    irq_set(&c->irq, c->intrq && !(c->control & ATA_CONTROL_NIEN));
}

static void interrupt(struct ide_channel *c)
{
    if (!c->intrq)
        c->bm_status |= BM_INTERRUPT;
    c->intrq = true;
    update_irq(c);
}

static void acknowledge(struct ide_channel *c)
{
    c->intrq = false;
    update_irq(c);
}

/* --- what the drives say --- */

static void drive_pio(void *opaque, struct ata_drive *d, bool irq)
{
    struct ide_channel *c = opaque;
    if (irq && d == selected(c))
        interrupt(c);
}

static void drive_ended(void *opaque, struct ata_drive *d, bool irq)
{
    struct ide_channel *c = opaque;
    if (c->waiting && c->waiting->drive == d)
        c->waiting = NULL;
    if (d == selected(c) || d->regs.command == COMMAND_DIAGNOSTIC) {
        if (c->bm_status & BM_ACTIVE && d->regs.status & ATA_ERR)
            c->bm_status &= ~BM_ACTIVE;
        if (irq)
            interrupt(c);
    }
}

/* Reads the PRD table into the task's memory. False: an address is not RAM. */
static bool read_table(struct ide_channel *c, struct ata_task *t)
{
    struct mem *mem = c->dma(c->dma_opaque);
    uint32_t at = c->bm_table;
    c->table_ends = false;
    sg_begin(&t->sg, mem, t->to_host);
    for (unsigned n = 0; n < PRD_TABLE_MAX / PRD_BYTES && t->sg.len < t->len; n++) {
        uint8_t prd[PRD_BYTES];
        if (!mem || dma_read(mem, at, prd, sizeof prd))
            return false;
        uint32_t len = ld_le16(prd + 4) & ~1u, left = t->len - (uint32_t)t->sg.len;
        len = len ? len : 65536;
        c->table_ends = prd[7] & PRD_END && len <= left;
        if (!sg_add(&t->sg, ld_le32(prd) & ~1u, MIN(len, left)))
            return false;
        if (prd[7] & PRD_END)
            break;
        at = (at & ~(uint32_t)(PRD_TABLE_MAX - 1)) | ((at + PRD_BYTES) & (PRD_TABLE_MAX - 1));
    }
    return true;
}

static void start_dma(struct ide_channel *c)
{
    struct ata_task *t = c->waiting;
    if (!t || !(c->bm_command & BM_START))
        return;
    c->waiting = NULL;
    if (!!(c->bm_command & BM_TO_MEMORY) != t->to_host || !read_table(c, t)) {
        c->bm_status = (c->bm_status & ~BM_ACTIVE) | BM_ERROR;
        c->table_ends = false;
        sg_end(&t->sg, 0); /* no memory: the drive keeps waiting, as the host will find out */
    }
    ata_dma_go(t);
}

static void drive_dma(void *opaque, struct ata_task *t)
{
    struct ide_channel *c = opaque;
    c->waiting = t;
    start_dma(c);
}

/* Table and transfer ended together, or the table did so first (the drive waits); else the bus
 * master stays active (Bus Master IDE 1.0, 3.1). */
static void drive_dma_moved(void *opaque, struct ata_task *t, size_t moved)
{
    struct ide_channel *c = opaque;
    if (c->table_ends)
        c->bm_status &= ~BM_ACTIVE;
}

static void drive_queued(void *opaque, struct ata_drive *d)
{
}

static void drive_queued_ended(void *opaque, struct ata_drive *d, uint8_t tag, bool ok)
{
}

static const struct ata_host channel_host = { drive_pio,   drive_dma,    drive_dma_moved,
                                              drive_ended, drive_queued, drive_queued_ended,
                                              NULL };

/* --- registers --- */

/* Does the drive have a block to move that way? data_at and data_len say how far the host is. */
static bool data_ready(const struct ata_drive *d, enum ata_data phase)
{
    return d && d->phase == phase && d->regs.status & ATA_DRQ && d->data_len;
}

static uint32_t read_data(struct ide_channel *c, unsigned size)
{
    struct ata_drive *d = selected(c);
    uint32_t val = 0;
    for (unsigned i = 0; i < size; i++) {
        if (!data_ready(d, ATA_PIO_IN))
            break;
        val |= (uint32_t)d->data[d->data_at++] << 8 * i;
        if (--d->data_len)
            continue;
        ata_pio_moved(d);
        if (i + 1 < size)
            break; /* an access does not reach into the next block */
    }
    return val;
}

static void write_data(struct ide_channel *c, uint32_t val, unsigned size)
{
    struct ata_drive *d = selected(c);
    for (unsigned i = 0; i < size && data_ready(d, ATA_PIO_OUT); i++) {
        d->data[d->data_at++] = (uint8_t)(val >> 8 * i);
        if (d->data_at < d->data_len)
            continue;
        ata_pio_moved(d);
        break;
    }
}

static uint8_t hob_or(const struct ide_channel *c, uint8_t now, uint8_t hob)
{
    return c->control & ATA_CONTROL_HOB ? hob : now;
}

/* The status of a missing device 1 is answered by device 0 with zero (ATA/ATAPI-6 9.16.1). */
static uint8_t status(const struct ide_channel *c)
{
    const struct ata_drive *d = selected(c);
    if (empty(c))
        return FLOATING;
    if (c->control & ATA_CONTROL_SRST)
        return ATA_BSY;
    return d ? d->regs.status : 0;
}

static uint8_t read_register(struct ide_channel *c, unsigned off)
{
    const struct ata_drive *d = selected(c);
    if (empty(c))
        return FLOATING;
    if (off == DEVICE)
        return (d ? d->regs.device & 0x4f : 0) | (c->select & 0x10) | 0xa0;
    if (off == STATUS_COMMAND) {
        if (d)
            acknowledge(c);
        return status(c);
    }
    if (!d) /* device 0 answers from its registers */
        d = c->bus.drive[0];
    if (!d)
        return 0;
    switch (off) {
    case ERROR_FEATURE: return d->regs.error;
    case COUNT: return hob_or(c, d->regs.count, d->regs.hob_count);
    default: return hob_or(c, d->regs.lba[off - LBA_LOW], d->regs.hob_lba[off - LBA_LOW]);
    }
}

uint32_t ide_channel_read(struct ide_channel *c, unsigned off, unsigned size)
{
    uint32_t val = 0;
    if (off == DATA)
        return selected(c) ? read_data(c, size) : empty(c) ? FLOATING : 0;
    for (unsigned i = 0; i < size; i++) /* ports of one byte */
        val |= (uint32_t)read_register(c, off + i) << 8 * i;
    return val;
}

static void push(uint8_t *now, uint8_t *hob, uint8_t val)
{
    *hob = *now;
    *now = val;
}

static void write_register(struct ide_channel *c, struct ata_drive *d, unsigned off, uint8_t val)
{
    if (!d || d->regs.status & (ATA_BSY | ATA_DRQ))
        return;
    switch (off) {
    case ERROR_FEATURE: push(&d->regs.feature, &d->regs.hob_feature, val); break;
    case COUNT: push(&d->regs.count, &d->regs.hob_count, val); break;
    case DEVICE: d->regs.device = val; break;
    default: push(&d->regs.lba[off - LBA_LOW], &d->regs.hob_lba[off - LBA_LOW], val);
    }
}

static void command(struct ide_channel *c, uint8_t val)
{
    struct ata_drive *d = selected(c);
    if (val == COMMAND_DIAGNOSTIC) {
        /* both carry it out, device 0 reports and is selected afterwards */
        for (unsigned i = 2; i-- > 0;) {
            struct ata_drive *each = c->bus.drive[i];
            if (!each || each->regs.status & (ATA_BSY | ATA_DRQ))
                continue;
            each->regs.command = val;
            ata_command(each);
        }
        c->select &= ~ATA_DEV_UNIT;
        return;
    }
    if (!d)
        return;
    if (d->regs.status & (ATA_BSY | ATA_DRQ) && !(d->atapi && val == COMMAND_DEVICE_RESET)) {
        guest_error(&d->dev, "command %#x while one is carried out", val);
        return;
    }
    acknowledge(c);
    if (c->waiting && c->waiting->drive == d)
        c->waiting = NULL;
    d->regs.command = val;
    ata_command(d);
}

static void write_byte(struct ide_channel *c, unsigned off, uint8_t val)
{
    c->control &= ~ATA_CONTROL_HOB;
    if (off == STATUS_COMMAND) {
        command(c, val);
        return;
    }
    if (off == DEVICE) {
        if ((c->select ^ val) & ATA_DEV_UNIT)
            acknowledge(c);
        c->select = val;
    }
    for (unsigned i = 0; i < 2; i++)
        write_register(c, c->bus.drive[i], off, val);
}

void ide_channel_write(struct ide_channel *c, unsigned off, uint32_t val, unsigned size)
{
    if (off == DATA) {
        write_data(c, val, size);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        write_byte(c, off + i, (uint8_t)(val >> 8 * i));
}

uint8_t ide_channel_alt_status(struct ide_channel *c)
{
    return status(c);
}

static void reset_drives(struct ide_channel *c, bool hard)
{
    c->waiting = NULL;
    c->intrq = false;
    c->select = 0;
    for (unsigned i = 0; i < 2; i++)
        if (c->bus.drive[i] && c->bus.drive[i]->dev.ready)
            ata_reset(c->bus.drive[i], hard);
}

void ide_channel_control(struct ide_channel *c, uint8_t val)
{
    bool was = c->control & ATA_CONTROL_SRST, now = val & ATA_CONTROL_SRST;
    c->control = val & (ATA_CONTROL_NIEN | ATA_CONTROL_SRST | ATA_CONTROL_HOB);
    if (was != now)
        reset_drives(c, false);
    if (was != now && now)
        c->bm_status &= ~BM_ACTIVE;
    update_irq(c);
}

/* --- bus master registers --- */

uint8_t ide_bm_read(struct ide_channel *c, unsigned off)
{
    switch (off) {
    case BM_COMMAND: return c->bm_command;
    case BM_STATUS: return c->bm_status;
    case BM_TABLE:
    case BM_TABLE + 1:
    case BM_TABLE + 2:
    case BM_TABLE + 3: return (uint8_t)(c->bm_table >> 8 * (off - BM_TABLE));
    default: return 0;
    }
}

static void bm_command(struct ide_channel *c, uint8_t val)
{
    bool was = c->bm_command & BM_START, now = val & BM_START;
    c->bm_command = val & (BM_START | BM_TO_MEMORY);
    if (!was && now) {
        c->bm_status |= BM_ACTIVE;
        start_dma(c);
    } else if (was && !now) {
        /* Stopped in the middle: what has begun comes to its end, then it is over. */
        for (unsigned i = 0; i < 2; i++) {
            struct ata_drive *d = c->bus.drive[i];
            if (d && d->blk && d->task[0].running)
                blk_drain(d->blk);
        }
        c->bm_status &= ~BM_ACTIVE;
    }
}

void ide_bm_write(struct ide_channel *c, unsigned off, uint8_t val)
{
    unsigned shift = 8 * (off & 3);
    switch (off) {
    case BM_COMMAND: bm_command(c, val); break;
    case BM_STATUS:
        c->bm_status = (c->bm_status & ~BM_DRIVE_BITS & ~(val & (BM_ERROR | BM_INTERRUPT))) |
                       (val & BM_DRIVE_BITS);
        break;
    case BM_TABLE:
    case BM_TABLE + 1:
    case BM_TABLE + 2:
    case BM_TABLE + 3:
        c->bm_table = (c->bm_table & ~(UINT32_C(0xff) << shift)) | (uint32_t)val << shift;
        c->bm_table &= ~UINT32_C(3);
        break;
    default: break;
    }
}

/* --- life --- */

void ide_channel_init(struct ide_channel *c, struct device *owner, const char *name,
                      unsigned number)
{
    c->bus.channel = number;
    ide_bus_init(&c->bus, owner, name, 2, &channel_host, c);
}

void ide_channel_finish(struct ide_channel *c)
{
    if (c->bus.host)
        ide_bus_finish(&c->bus);
}

void ide_channel_reset(struct ide_channel *c)
{
    reset_drives(c, true);
    c->control = 0;
    c->bm_command = 0;
    c->bm_status = 0;
    c->bm_table = 0;
    update_irq(c);
}

void ide_channel_loaded(struct ide_channel *c)
{
    c->waiting = NULL;
    update_irq(c);
}
