/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ATA commands (ACS-3 chapter 7, and what older hosts still send from ATA-6). */
#include "base/bits.h"
#include "base/endian.h"
#include "dev/storage/ata.h"

#include <string.h>

static void abort_command(struct ata_drive *d)
{
    ata_fail(d, ATA_ABRT);
}

static void no_operation(struct ata_drive *d)
{
    ata_end(d);
}

/* Not a disk: the signature tells what it is (ACS-3 4.3). */
static void not_a_disk(struct ata_drive *d)
{
    ata_signature(d);
    ata_fail(d, ATA_ABRT);
}

static void identify(struct ata_drive *d)
{
    memset(d->data, 0, ATA_SECTOR);
    if (d->atapi)
        ata_identify_packet(d);
    else
        ata_identify(d);
    ata_give(d, ATA_SECTOR);
}

static void atapi_reset(struct ata_drive *d)
{
    ata_reset(d, false);
    mmc_reset(&d->mmc, false);
    d->bus->host->ended(d->bus->host_opaque, d, false);
}

static void diagnostic(struct ata_drive *d)
{
    ata_signature(d);
    d->regs.device &= ATA_DEV_UNIT;
    ata_end_with(d, d->atapi ? 0 : ATA_DRDY | ATA_DSC, 1, true);
}

static void initialize_parameters(struct ata_drive *d)
{
    uint8_t heads = (d->regs.device & 15) + 1, secs = d->regs.count;
    if (!secs || heads == 0) {
        abort_command(d);
        return;
    }
    d->cur_heads = heads;
    d->cur_secs = secs;
    ata_end(d);
}

static void set_multiple(struct ata_drive *d)
{
    uint8_t n = d->regs.count;
    if (n > ATA_MULTIPLE_MAX || (n & (n - 1))) {
        abort_command(d);
        return;
    }
    d->multiple = n;
    ata_end(d);
}

static void seek(struct ata_drive *d)
{
    bool ok;
    uint64_t lba = ata_get_lba(d, false, &ok);
    if (ok && lba < d->max_sectors)
        ata_end(d);
    else
        ata_fail(d, ATA_IDNF);
}

/* --- caches --- */

static void flushed(struct blk_request *q, int result)
{
    struct ata_drive *d = container_of(q, struct ata_drive, pio_req);
    if (d->cancelling)
        return;
    if (result < 0)
        ata_fail_io(d, true);
    else
        ata_end(d);
}

static void flush(struct ata_drive *d)
{
    ata_submit(d, DISK_OP_FLUSH, 0, 0, flushed);
}

static bool transfer_mode(struct ata_drive *d)
{
    unsigned kind = d->regs.count >> 3, mode = d->regs.count & 7;
    switch (kind) {
    case 0: return mode <= 1; /* PIO default */
    case 1: return mode <= 4; /* PIO with flow control */
    case 4:
        if (mode > 2)
            return false;
        d->mdma = BIT(mode);
        d->udma = 0;
        return true;
    case 8:
        if (mode > 5)
            return false;
        d->udma = BIT(mode);
        d->mdma = 0;
        return true;
    default: return false;
    }
}

static void set_features(struct ata_drive *d)
{
    enum {
        ENABLE_WRITE_CACHE = 0x02,
        TRANSFER_MODE = 0x03,
        KEEP_DEFAULTS = 0x66,
        DISABLE_LOOK_AHEAD = 0x55,
        DISABLE_WRITE_CACHE = 0x82,
        ENABLE_LOOK_AHEAD = 0xaa,
        RESTORE_DEFAULTS = 0xcc,
    };
    bool ok = true;
    switch (d->regs.feature) {
    case TRANSFER_MODE: ok = transfer_mode(d); break;
    case KEEP_DEFAULTS:
    case RESTORE_DEFAULTS: break;
    case ENABLE_WRITE_CACHE:
    case DISABLE_WRITE_CACHE:
        ok = !d->atapi;
        if (!ok)
            break;
        d->write_cache = d->regs.feature == ENABLE_WRITE_CACHE;
        blk_set_write_through(d->blk, !d->write_cache);
        if (!d->write_cache) {
            flush(d); /* what was written so far is safe when the command ends */
            return;
        }
        break;
    case ENABLE_LOOK_AHEAD:
    case DISABLE_LOOK_AHEAD:
        ok = !d->atapi;
        d->look_ahead = d->regs.feature == ENABLE_LOOK_AHEAD;
        break;
    default: ok = false;
    }
    if (ok)
        ata_end(d);
    else
        abort_command(d);
}

/* --- power --- */

static void standby(struct ata_drive *d)
{
    d->standby = true;
    ata_end(d);
}

static void check_power(struct ata_drive *d)
{
    d->regs.count = d->standby ? 0x00 : 0xff;
    ata_end(d);
}

/* --- the end of the disk --- */

static void native_max(struct ata_drive *d)
{
    bool ext = d->info->flags & ATA_LBA48;
    uint64_t last = d->sectors ? d->sectors - 1 : 0;
    if (!ext && !(d->regs.device & ATA_DEV_LBA)) {
        abort_command(d);
        return;
    }
    ata_set_lba(d, ext ? last : MIN(last, BITS(27, 0)));
    ata_end(d);
    d->native_max_read = true;
}

static void set_max(struct ata_drive *d)
{
    bool ext = d->info->flags & ATA_LBA48, ok;
    uint64_t last = ata_get_lba(d, ext, &ok);
    bool right_mode = ext || (d->regs.device & ATA_DEV_LBA && !d->regs.feature);
    if (!d->native_max_read || !right_mode || !ok) {
        d->native_max_read = false;
        abort_command(d);
        return;
    }
    d->native_max_read = false;
    if (last >= d->sectors) {
        ata_fail(d, ATA_IDNF);
        return;
    }
    d->max_sectors = last + 1;
    ata_end(d);
}

/* --- DATA SET MANAGEMENT --- */

static void trim_next(struct ata_drive *d);

static void trimmed(struct blk_request *q, int result)
{
    struct ata_drive *d = container_of(q, struct ata_drive, pio_req);
    if (!d->cancelling)
        trim_next(d); /* a discard is a hint: that it failed changes nothing */
}

/* Ranges are 48 bits of address and 16 of length; a length of 0 is an empty row. */
static void trim_next(struct ata_drive *d)
{
    while (d->trim_at + 8 <= d->data_len) {
        uint64_t row = ld_le64(d->data + d->trim_at);
        uint64_t lba = row & BITS(47, 0), n = row >> 48;
        d->trim_at += 8;
        if (!n)
            continue;
        if (lba > d->max_sectors || n > d->max_sectors - lba) {
            ata_fail(d, ATA_IDNF);
            return;
        }
        ata_submit(d, DISK_OP_DISCARD, lba, (uint32_t)n, trimmed);
        return;
    }
    ata_end(d);
}

static void trim_start(struct ata_drive *d)
{
    d->data_out = NULL;
    d->trim_at = 0;
    trim_next(d);
}

static void data_set_management(struct ata_drive *d)
{
    enum { TRIM = 1, BLOCKS_MAX = 8 };
    uint32_t blocks = d->regs.count | d->regs.hob_count << 8;
    if (!(d->regs.feature & TRIM) || !blocks || blocks > BLOCKS_MAX) {
        abort_command(d);
        return;
    }
    d->data_len = blocks * ATA_SECTOR;
    d->data_out = trim_start;
    ata_dma_buffer(d, d->data_len, false);
}

/* --- logs --- */

static void smart(struct ata_drive *d)
{
    if (d->regs.lba[1] != 0x4f || d->regs.lba[2] != 0xc2 || !ata_smart(d))
        abort_command(d);
}

static void read_log(struct ata_drive *d)
{
    bool dma = d->regs.command == 0x47;
    uint32_t n = d->regs.count | d->regs.hob_count << 8;
    uint16_t first = d->regs.lba[1] | d->regs.hob_lba[1] << 8;
    if (!n || n > ATA_BUFFER_SECTORS || !ata_read_log(d, d->regs.lba[0], first, n)) {
        abort_command(d);
        return;
    }
    if (dma)
        ata_dma_buffer(d, n * ATA_SECTOR, true);
    else
        ata_give(d, n * ATA_SECTOR);
}

#define DISK ATA_FOR_DISK
#define CD   ATA_FOR_CD
#define BOTH (ATA_FOR_DISK | ATA_FOR_CD)
#define EXT  ATA_LBA48

static const struct ata_command_info commands[] = {
    { 0x00, BOTH, abort_command }, /* NOP always ends so */
    { 0x06, DISK | EXT | ATA_WRITES, data_set_management },
    { 0x08, CD, atapi_reset },
    { 0x20, DISK, ata_read_pio },
    { 0x21, DISK, ata_read_pio },
    { 0x20, CD, not_a_disk },
    { 0x24, DISK | EXT, ata_read_pio },
    { 0x25, DISK | EXT, ata_dma },
    { 0x27, DISK | EXT, native_max },
    { 0x29, DISK | EXT | ATA_MULTIPLE, ata_read_pio },
    { 0x2f, DISK | EXT, read_log },
    { 0x30, DISK | ATA_WRITES, ata_write_pio },
    { 0x31, DISK | ATA_WRITES, ata_write_pio },
    { 0x34, DISK | EXT | ATA_WRITES, ata_write_pio },
    { 0x35, DISK | EXT | ATA_WRITES, ata_dma },
    { 0x37, DISK | EXT, set_max },
    { 0x39, DISK | EXT | ATA_WRITES | ATA_MULTIPLE, ata_write_pio },
    { 0x3d, DISK | EXT | ATA_WRITES | ATA_WITH_FUA, ata_dma },
    { 0x40, DISK, ata_verify },
    { 0x41, DISK, ata_verify },
    { 0x42, DISK | EXT, ata_verify },
    { 0x47, DISK | EXT, read_log },
    { 0x60, DISK | EXT | ATA_QUEUED, ata_queued },
    { 0x61, DISK | EXT | ATA_QUEUED | ATA_WRITES, ata_queued },
    { 0x90, BOTH, diagnostic },
    { 0x91, DISK, initialize_parameters },
    { 0x94, BOTH, standby },
    { 0x95, BOTH, no_operation },
    { 0x96, BOTH, standby },
    { 0x97, BOTH, no_operation },
    { 0x98, BOTH, check_power },
    { 0x99, BOTH, standby },
    { 0xa0, CD, atapi_packet },
    { 0xa1, CD, identify },
    { 0xb0, DISK, smart },
    { 0xc4, DISK | ATA_MULTIPLE, ata_read_pio },
    { 0xc5, DISK | ATA_WRITES | ATA_MULTIPLE, ata_write_pio },
    { 0xc6, DISK, set_multiple },
    { 0xc8, DISK, ata_dma },
    { 0xc9, DISK, ata_dma },
    { 0xca, DISK | ATA_WRITES, ata_dma },
    { 0xcb, DISK | ATA_WRITES, ata_dma },
    { 0xce, DISK | EXT | ATA_WRITES | ATA_MULTIPLE | ATA_WITH_FUA, ata_write_pio },
    { 0xe0, BOTH, standby },
    { 0xe1, BOTH, no_operation },
    { 0xe2, BOTH, standby },
    { 0xe3, BOTH, no_operation },
    { 0xe5, BOTH, check_power },
    { 0xe6, BOTH, standby },
    { 0xe7, DISK, flush },
    { 0xea, DISK | EXT, flush },
    { 0xec, DISK, identify },
    { 0xec, CD, not_a_disk },
    { 0xef, BOTH, set_features },
    { 0xf8, DISK, native_max },
    { 0xf9, DISK, set_max },
};
static const struct ata_command_info recalibrate = { 0x10, DISK, no_operation };
static const struct ata_command_info seek_command = { 0x70, DISK, seek };

const struct ata_command_info *ata_command_find(uint8_t opcode, bool atapi)
{
    unsigned kind = atapi ? ATA_FOR_CD : ATA_FOR_DISK;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        if (commands[i].opcode == opcode && commands[i].flags & kind)
            return &commands[i];
    if (!atapi && opcode >> 4 == 1)
        return &recalibrate;
    if (!atapi && opcode >> 4 == 7)
        return &seek_command;
    return NULL;
}
