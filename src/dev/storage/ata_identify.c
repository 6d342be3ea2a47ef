/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a drive tells about itself: IDENTIFY (ACS-3 7.12), SMART and logs (7.48, chapter 9). */
#include "base/bits.h"
#include "base/endian.h"
#include "dev/storage/ata.h"

#include <string.h>

static void word(struct ata_drive *d, unsigned n, unsigned value)
{
    st_le16(d->data + 2 * n, (uint16_t)value);
}

/* Text of ATA: the first character in the high byte of each word, padded with blanks. */
static void text(struct ata_drive *d, unsigned n, unsigned words, const char *s)
{
    for (unsigned i = 0; i < words * 2; i++)
        d->data[2 * n + (i ^ 1)] = *s ? (uint8_t)*s++ : ' ';
}

static void names(struct ata_drive *d)
{
    text(d, 10, 10, d->serial);
    text(d, 23, 4, d->ver);
    text(d, 27, 20, d->model);
}

static void modes(struct ata_drive *d)
{
    word(d, 53, 7); /* words 54-58, 64-70, 88 are valid */
    word(d, 63, 7 | d->mdma << 8);
    word(d, 64, 3);
    for (unsigned i = 65; i <= 68; i++)
        word(d, i, 120); /* ns of a cycle */
    word(d, 88, 0x3f | d->udma << 8);
}

static void world_wide_name(struct ata_drive *d)
{
    for (unsigned i = 0; d->wwn && i < 4; i++)
        word(d, 108 + i, (uint16_t)(d->wwn >> (48 - 16 * i)));
}

static void checksum(struct ata_drive *d)
{
    uint8_t sum = 0xa5;
    d->data[510] = 0xa5;
    for (unsigned i = 0; i < 510; i++)
        sum += d->data[i];
    d->data[511] = (uint8_t)-sum;
}

static void put_sizes(struct ata_drive *d)
{
    uint32_t ratio = d->conf.physical_block_size / ATA_SECTOR, exponent = 0;
    uint32_t lba28 = (uint32_t)MIN(d->max_sectors, BITS(27, 0));
    uint32_t cyls = (uint32_t)MIN(d->max_sectors / (d->cur_heads * d->cur_secs), UINT16_MAX);
    uint32_t chs = cyls * d->cur_heads * d->cur_secs;
    word(d, 1, d->cyls);
    word(d, 3, d->heads);
    word(d, 4, 512 * d->secs);
    word(d, 5, 512);
    word(d, 6, d->secs);
    word(d, 54, cyls);
    word(d, 55, d->cur_heads);
    word(d, 56, d->cur_secs);
    st_le32(d->data + 2 * 57, chs);
    st_le32(d->data + 2 * 60, lba28);
    st_le64(d->data + 2 * 100, d->max_sectors);
    while (ratio > 1 && exponent < 15) {
        ratio >>= 1;
        exponent++;
    }
    word(d, 106, 0x6000 | exponent);
}

void ata_identify(struct ata_drive *d)
{
    unsigned sets = 0x0461 | BIT(14);                /* SMART, HPA, write cache, look-ahead, NOP */
    unsigned sets2 = 0x7400;                         /* 48 bit, FLUSH CACHE, FLUSH CACHE EXT */
    unsigned sets3 = 0x4063 | (d->wwn ? BIT(8) : 0); /* SMART logs, self-test, log pages, FUA */
    bool ssd = d->rotation_rate == 1, trim = d->conf.discard_granularity;
    word(d, 0, 0x0040);
    put_sizes(d);
    names(d);
    word(d, 20, 3);
    word(d, 21, 512);
    word(d, 22, 4);
    word(d, 47, 0x8000 | ATA_MULTIPLE_MAX);
    word(d, 48, 1);
    word(d, 49, 0x0b00); /* IORDY, LBA, DMA */
    word(d, 50, 0x4000);
    word(d, 51, 0x0200);
    word(d, 52, 0x0200);
    word(d, 59, d->multiple ? 0x100 | d->multiple : 0);
    modes(d);
    if (trim)
        word(d, 69, BIT(14)); /* what a trimmed sector reads as does not change by itself */
    if (d->bus->ncq) {
        word(d, 75, ATA_TAGS - 1);
        word(d, 76, 0x0106); /* NCQ, 1.5 and 3 Gbit/s */
        word(d, 222, 0x1010);
    }
    word(d, 80, 0x03f0); /* ATA-4 to ACS-2 */
    word(d, 81, 0x0016);
    word(d, 82, sets);
    word(d, 83, sets2);
    word(d, 84, sets3);
    word(d, 85,
         (sets & ~0x61u) | (d->smart ? 1 : 0) | (d->write_cache ? 0x20 : 0) |
             (d->look_ahead ? 0x40 : 0));
    word(d, 86, sets2 & ~0x4000u);
    word(d, 87, sets3);
    word(d, 93, d->bus->ncq ? 0 : d->unit & 1 ? 0x6200 : 0x6001);
    word(d, 105, trim ? 8 : 0);
    world_wide_name(d);
    word(d, 119, 0x4000);
    word(d, 120, 0x4000);
    word(d, 169, trim ? 1 : 0);
    word(d, 217, ssd ? 1 : d->rotation_rate);
    checksum(d);
}

void ata_identify_packet(struct ata_drive *d)
{
    word(d, 0, 0x85c0); /* ATAPI, CD, removable, DRQ within 50 us, 12-byte packets */
    names(d);
    word(d, 20, 3);
    word(d, 21, 512);
    word(d, 22, 4);
    word(d, 48, 1);
    word(d, 49, 0x0b00);
    modes(d);
    word(d, 71, 30);
    word(d, 72, 30);
    if (d->bus->ncq) {
        word(d, 76, 0x0006);
        word(d, 222, 0x1010);
    }
    word(d, 80, 0x001e); /* ATA-1 to ATA-4 */
    word(d, 82, 0x4210); /* NOP, DEVICE RESET, PACKET */
    word(d, 83, 0x4000);
    word(d, 84, d->wwn ? 0x4100 : 0x4000);
    word(d, 85, 0x4210);
    word(d, 87, d->wwn ? 0x4100 : 0x4000);
    word(d, 93, d->bus->ncq ? 0 : d->unit & 1 ? 0x6200 : 0x6001);
    world_wide_name(d);
    checksum(d);
}

/* --- SMART --- */

static void sum_sector(uint8_t *p)
{
    uint8_t sum = 0;
    for (unsigned i = 0; i < 511; i++)
        sum += p[i];
    p[511] = (uint8_t)-sum;
}

/* Attributes of a healthy drive: id, flags, value (also the worst), threshold, raw. */
static const struct {
    uint8_t id, flags, value, threshold, raw;
} attributes[] = {
    { 1, 0x03, 100, 6, 0 },    /* raw read error rate */
    { 3, 0x03, 100, 0, 16 },   /* spin-up time, ms */
    { 4, 0x02, 100, 20, 100 }, /* start/stop count */
    { 5, 0x03, 100, 36, 0 },   /* reallocated sectors */
    { 9, 0x03, 100, 0, 1 },    /* power-on hours */
    { 12, 0x03, 100, 0, 0 },   /* power cycles */
    { 190, 0x03, 69, 50, 31 }, /* airflow temperature, Celsius */
    { 194, 0x02, 31, 0, 31 },  /* temperature */
};

static void smart_data(struct ata_drive *d)
{
    uint8_t *p = d->data + 2;
    d->data[0] = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(attributes); i++, p += 12) {
        p[0] = attributes[i].id;
        p[1] = attributes[i].flags;
        p[3] = p[4] = attributes[i].value;
        p[5] = attributes[i].raw;
    }
    d->data[362] = 0x02;             /* off-line collection completed */
    st_le16(d->data + 364, 2);       /* seconds of off-line collection */
    d->data[367] = 0x11;             /* execute off-line immediate, self-tests */
    st_le16(d->data + 368, 3);       /* saves attributes, auto-save */
    d->data[370] = 1;                /* error log */
    d->data[372] = d->data[373] = 2; /* minutes of a short and an extended test */
    sum_sector(d->data);
}

static void smart_thresholds(struct ata_drive *d)
{
    uint8_t *p = d->data + 2;
    d->data[0] = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(attributes); i++, p += 12) {
        p[0] = attributes[i].id;
        p[1] = attributes[i].threshold;
    }
    sum_sector(d->data);
}

/* One entry per test that was asked for: completed, as all of them do. */
static void selftest_log(struct ata_drive *d)
{
    d->data[0] = 1;
    if (d->smart_selftest) {
        d->data[2] = d->smart_selftest;
        d->data[508] = 1;
    }
    sum_sector(d->data);
}

static bool smart_log(struct ata_drive *d)
{
    enum { DIRECTORY = 0, SUMMARY = 1, SELF_TEST = 6 };
    memset(d->data, 0, ATA_SECTOR);
    if (d->regs.count != 1)
        return false;
    switch (d->regs.lba[0]) {
    case DIRECTORY:
        d->data[0] = 1;
        d->data[2 * SUMMARY] = d->data[2 * SELF_TEST] = 1;
        break;
    case SUMMARY:
        d->data[0] = 1;
        sum_sector(d->data);
        break;
    case SELF_TEST: selftest_log(d); break;
    default: return false;
    }
    ata_give(d, ATA_SECTOR);
    return true;
}

bool ata_smart(struct ata_drive *d)
{
    enum {
        READ_DATA = 0xd0,
        READ_THRESHOLDS = 0xd1,
        AUTO_SAVE = 0xd2,
        SAVE = 0xd3,
        EXECUTE = 0xd4,
        READ_LOG = 0xd5,
        ENABLE = 0xd8,
        DISABLE = 0xd9,
        STATUS = 0xda,
        AUTO_OFFLINE = 0xdb,
    };
    unsigned test = d->regs.lba[0];
    if (!d->smart && d->regs.feature != ENABLE)
        return false;
    switch (d->regs.feature) {
    case READ_DATA:
    case READ_THRESHOLDS:
        memset(d->data, 0, ATA_SECTOR);
        (d->regs.feature == READ_DATA ? smart_data : smart_thresholds)(d);
        ata_give(d, ATA_SECTOR);
        return true;
    case READ_LOG: return smart_log(d);
    case EXECUTE:
        if (test > 2 && test != 0x7f && test != 0x81 && test != 0x82)
            return false;
        if (test && test != 0x7f)
            d->smart_selftest = (uint8_t)test;
        break;
    case AUTO_SAVE:
    case SAVE:
    case AUTO_OFFLINE: break;
    case ENABLE: d->smart = true; break;
    case DISABLE: d->smart = false; break;
    case STATUS: break; /* 4F and C2 stay in place: no threshold is exceeded */
    default: return false;
    }
    ata_end(d);
    return true;
}

/* General purpose logs: the directory, and the error of a queued command. */
bool ata_read_log(struct ata_drive *d, uint8_t page, uint16_t first, uint32_t count)
{
    enum { DIRECTORY = 0x00, NCQ_ERROR = 0x10 };
    bool ncq = d->bus->ncq;
    if (first || count != 1 || (page != DIRECTORY && !(page == NCQ_ERROR && ncq)))
        return false;
    memset(d->data, 0, ATA_SECTOR);
    if (page == DIRECTORY) {
        d->data[0] = 1;
        d->data[2 * NCQ_ERROR] = ncq;
    } else {
        memcpy(d->data, d->ncq_log, ATA_SECTOR);
        if (!d->ncq_error)
            d->data[0] = 0x80; /* no queued command failed */
        sum_sector(d->data);
        d->ncq_error = false;
    }
    return true;
}
