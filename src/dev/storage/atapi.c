/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packet interface of CD drives (SFF-8020i, ATA/ATAPI-6 9.8): the 12-byte command block comes
 * by PIO, data go by PIO in blocks of the size that the host allows, or by DMA.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "dev/storage/ata.h"

#include <errno.h>
#include <string.h>

enum {
    FEATURE_DMA = 0x01,
    FEATURE_OVERLAP = 0x02,
    SECTORS_PER_BLOCK = MMC_BLOCK / ATA_SECTOR,
    RAW_BLOCKS_MAX = ATA_BUFFER / MMC_RAW_BLOCK,
    BLOCKS_MAX = DISK_MAX_REQUEST / MMC_BLOCK,
    BYTE_LIMIT_MAX = 65534,
};

static void end(struct ata_drive *d)
{
    d->regs.count = ATAPI_IO | ATAPI_CD;
    ata_end(d);
}

static void check_condition(struct ata_drive *d)
{
    d->regs.count = ATAPI_IO | ATAPI_CD;
    ata_end_with(d, ATA_DRDY | ATA_DSC | ATA_ERR, (uint8_t)(d->mmc.sense_key << 4), true);
}

static uint32_t byte_limit(const struct ata_drive *d)
{
    uint32_t limit = d->lba ? (uint32_t)d->lba : BYTE_LIMIT_MAX;
    return MIN(limit, BYTE_LIMIT_MAX) & ~1u ? MIN(limit, BYTE_LIMIT_MAX) & ~1u : 2;
}

/* Announces what is buffered from data_at on, as much as one block may have. */
static void offer(struct ata_drive *d)
{
    d->data_len = MIN(d->buffered, byte_limit(d));
    d->buffered -= d->data_len;
    d->phase = ATA_PIO_IN;
    d->regs.count = ATAPI_IO;
    d->regs.lba[1] = (uint8_t)d->data_len;
    d->regs.lba[2] = (uint8_t)(d->data_len >> 8);
    d->regs.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    d->bus->host->pio(d->bus->host_opaque, d, true);
}

/* Blocks of user data at data[0..) grow to raw ones, the last one first. */
static void expand(struct ata_drive *d, uint32_t lba, uint32_t blocks)
{
    uint8_t user[MMC_BLOCK];
    for (uint32_t i = blocks; i-- > 0;) {
        memcpy(user, d->data + (size_t)i * MMC_BLOCK, MMC_BLOCK);
        mmc_raw_block(lba + i, user, d->data + (size_t)i * MMC_RAW_BLOCK);
    }
}

static void blocks_read(struct blk_request *q, int result)
{
    struct ata_drive *d = container_of(q, struct ata_drive, pio_req);
    struct mmc_command *c = d->cmd;
    uint32_t n = (uint32_t)(q->r.len / MMC_BLOCK);
    if (d->cancelling)
        return;
    if (result < 0) {
        mmc_read_failed(&d->mmc, result);
        check_condition(d);
        return;
    }
    if (c->block_bytes == MMC_RAW_BLOCK)
        expand(d, c->lba, n);
    c->lba += n;
    d->packet_left -= n;
    if (d->regs.feature & FEATURE_DMA) {
        ata_dma_buffer(d, n * c->block_bytes, true);
        return;
    }
    d->data_at = 0;
    d->buffered = n * c->block_bytes;
    offer(d);
}

static void read_more(struct ata_drive *d)
{
    bool raw = d->cmd->block_bytes == MMC_RAW_BLOCK;
    uint32_t n = MIN(d->packet_left, raw ? RAW_BLOCKS_MAX : ATA_BUFFER / MMC_BLOCK);
    if (!mmc_ready(&d->mmc)) { /* taken away meanwhile */
        mmc_read_failed(&d->mmc, -ENOMEDIUM);
        check_condition(d);
        return;
    }
    ata_submit(d, DISK_OP_READ, mmc_offset(d->cmd->lba) / ATA_SECTOR, n * SECTORS_PER_BLOCK,
               blocks_read);
}

void atapi_pio_moved(struct ata_drive *d)
{
    d->data_at += d->data_len;
    if (d->buffered)
        offer(d);
    else if (d->packet_left)
        read_more(d);
    else
        end(d);
}

static void medium_read(struct ata_drive *d)
{
    struct mmc_command *c = d->cmd;
    bool dma = d->regs.feature & FEATURE_DMA, raw = c->block_bytes == MMC_RAW_BLOCK;
    if (c->blocks > (dma && raw ? RAW_BLOCKS_MAX : BLOCKS_MAX)) {
        mmc_fail(&d->mmc, 5, 0x24, 0); /* more than the buffer holds, more than one transfer */
        check_condition(d);
        return;
    }
    d->packet_left = c->blocks;
    if (!dma || raw) {
        read_more(d);
        return;
    }
    struct ata_task *t = &d->task[0];
    t->tag = 0;
    t->queued = t->fua = false;
    t->medium = true;
    t->lba = mmc_offset(c->lba) / ATA_SECTOR;
    d->packet_left = 0;
    d->regs.status = ATA_DRDY | ATA_BSY;
    ata_ask_dma(d, t, true, c->blocks * MMC_BLOCK);
}

static void parameters(struct ata_drive *d)
{
    memcpy(d->cmd->data, d->data, d->cmd->len);
    if (mmc_data_out(&d->mmc, d->cmd))
        end(d);
    else
        check_condition(d);
}

void atapi_dma_ended(struct ata_drive *d, int result)
{
    if (result < 0) {
        mmc_read_failed(&d->mmc, result);
        check_condition(d);
    } else if (d->cmd->phase == MMC_DATA_OUT) {
        parameters(d);
    } else {
        end(d);
    }
}

static void data_out(struct ata_drive *d)
{
    uint32_t len = d->cmd->len;
    if (d->regs.feature & FEATURE_DMA) {
        ata_dma_buffer(d, len, false);
        return;
    }
    d->regs.count = 0;
    d->regs.lba[1] = (uint8_t)len;
    d->regs.lba[2] = (uint8_t)(len >> 8);
    ata_want(d, len, true, parameters);
}

static void execute(struct ata_drive *d)
{
    struct mmc_command *c = d->cmd;
    d->data_out = NULL;
    d->packet = true;
    memset(c->cdb, 0, sizeof c->cdb);
    memcpy(c->cdb, d->data, ATA_PACKET_BYTES);
    if (!mmc_execute(&d->mmc, c)) {
        check_condition(d);
        return;
    }
    switch (c->phase) {
    case MMC_NO_DATA: end(d); break;
    case MMC_MEDIUM_READ: medium_read(d); break;
    case MMC_DATA_OUT: data_out(d); break;
    case MMC_DATA_IN:
        memcpy(d->data, c->data, c->len);
        if (d->regs.feature & FEATURE_DMA) {
            ata_dma_buffer(d, c->len, true);
        } else {
            d->data_at = 0;
            d->buffered = c->len;
            offer(d);
        }
        break;
    }
}

void atapi_packet(struct ata_drive *d)
{
    if (d->regs.feature & FEATURE_OVERLAP) {
        ata_fail(d, ATA_ABRT);
        return;
    }
    d->lba = d->regs.lba[1] | d->regs.lba[2] << 8; /* the byte count limit */
    d->regs.count = ATAPI_CD;
    ata_want(d, ATA_PACKET_BYTES, false, execute);
}
