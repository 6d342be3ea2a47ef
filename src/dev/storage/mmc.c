/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MMC-6 and SPC-3 commands of a CD/DVD drive that reads. One row per command; the order of a
 * medium change is what drives show: not ready with no medium once, then the unit attention, then
 * the new medium.
 */
#include "dev/storage/mmc.h"

#include "base/bits.h"
#include "base/endian.h"

#include <errno.h>
#include <string.h>

enum {
    SENSE_NOT_READY = 2,
    SENSE_MEDIUM_ERROR = 3,
    SENSE_HARDWARE = 4,
    SENSE_ILLEGAL_REQUEST = 5,
    SENSE_UNIT_ATTENTION = 6,
};
enum {
    ASC_UNRECOVERED_READ = 0x11,
    ASC_INVALID_OPCODE = 0x20,
    ASC_LBA_RANGE = 0x21,
    ASC_INVALID_FIELD = 0x24,
    ASC_PARAMETER_LENGTH = 0x1a,
    ASC_PARAMETER_VALUE = 0x26,
    ASC_MEDIUM_CHANGED = 0x28,
    ASC_RESET = 0x29,
    ASC_INCOMPATIBLE_MEDIUM = 0x30,
    ASC_SAVING_UNSUPPORTED = 0x39,
    ASC_NO_MEDIUM = 0x3a,
    ASC_REMOVAL_PREVENTED = 0x53,
    ASCQ_TRAY_CLOSED = 1,
    ASCQ_TRAY_OPEN = 2,
};
enum { EVENT_NONE, EVENT_EJECT_REQUEST, EVENT_NEW_MEDIUM, EVENT_REMOVAL };
enum {
    PROFILE_CD_ROM = 0x08,
    PROFILE_DVD_ROM = 0x10,
    CD_BLOCKS_MAX = 80 * 60 * 75, /* a larger medium is taken for a DVD */
    LEAD_IN_FRAMES = 150,
    FRAMES_PER_S = 75,
    TRACK_LEAD_OUT = 0xaa,
    CONTROL_DATA_TRACK = 0x14, /* ADR 1, data track */
};
enum { MODE_PAGE_ALL = 0x3f, MODE_HEADER6 = 4, MODE_HEADER10 = 8, MODE_SELECT_MAX = 512 };

static void set_padded(char *to, size_t size, const char *text)
{
    size_t n = strnlen(text, size - 1);
    memset(to, ' ', size - 1);
    memcpy(to, text, n);
    to[size - 1] = 0;
}

void mmc_init(struct mmc *m, struct blk *blk, struct drive *drive, const char *vendor,
              const char *product, const char *revision)
{
    m->blk = blk;
    m->drive = drive;
    set_padded(m->vendor, sizeof m->vendor, vendor);
    set_padded(m->product, sizeof m->product, product);
    set_padded(m->revision, sizeof m->revision, revision);
}

void mmc_reset(struct mmc *m, bool report)
{
    m->locked = false;
    m->sense_key = m->asc = m->ascq = 0;
    m->attention = report ? MMC_UA_RESET : 0;
    m->event = EVENT_NONE;
}

static bool has_medium(const struct mmc *m)
{
    return m->blk && blk_has_medium(m->blk);
}

bool mmc_ready(const struct mmc *m)
{
    return !m->tray_open && has_medium(m);
}

uint32_t mmc_blocks(const struct mmc *m)
{
    return mmc_ready(m) ? MIN(blk_sectors(m->blk) / (MMC_BLOCK / BLK_SECTOR), UINT32_MAX) : 0;
}

void mmc_medium_changed(struct mmc *m)
{
    bool there = has_medium(m);
    m->tray_open = !there;
    m->event = there ? EVENT_NEW_MEDIUM : EVENT_REMOVAL;
    m->attention &= ~(MMC_UA_ABSENT | MMC_UA_CHANGED);
    if (there)
        m->attention |= MMC_UA_ABSENT | MMC_UA_CHANGED;
}

bool mmc_may_eject(struct mmc *m)
{
    if (!m->locked || m->tray_open)
        return true;
    m->event = EVENT_EJECT_REQUEST;
    return false;
}

void mmc_fail(struct mmc *m, uint8_t key, uint8_t asc, uint8_t ascq)
{
    m->sense_key = key;
    m->asc = asc;
    m->ascq = ascq;
}

static bool check(struct mmc *m, uint8_t key, uint8_t asc, uint8_t ascq)
{
    mmc_fail(m, key, asc, ascq);
    return false;
}

static bool invalid_field(struct mmc *m)
{
    return check(m, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD, 0);
}

void mmc_read_failed(struct mmc *m, int error)
{
    if (error == -ENOMEDIUM)
        mmc_fail(m, SENSE_NOT_READY, ASC_NO_MEDIUM, 0);
    else
        mmc_fail(m, SENSE_MEDIUM_ERROR, ASC_UNRECOVERED_READ, 0);
}

void mmc_sense(const struct mmc *m, uint8_t ret_sense[MMC_SENSE_BYTES])
{
    memset(ret_sense, 0, MMC_SENSE_BYTES);
    ret_sense[0] = 0x70; /* current error, fixed format */
    ret_sense[2] = m->sense_key;
    ret_sense[7] = MMC_SENSE_BYTES - 8;
    ret_sense[12] = m->asc;
    ret_sense[13] = m->ascq;
}

static uint8_t bcd(unsigned v)
{
    return (uint8_t)(v / 10 << 4 | v % 10);
}

static void put_msf(uint8_t *to, uint32_t lba)
{
    uint32_t f = lba + LEAD_IN_FRAMES;
    to[0] = (uint8_t)(f / (60 * FRAMES_PER_S));
    to[1] = f / FRAMES_PER_S % 60;
    to[2] = f % FRAMES_PER_S;
}

void mmc_raw_block(uint32_t lba, const uint8_t user[MMC_BLOCK], uint8_t ret_raw[MMC_RAW_BLOCK])
{
    uint8_t msf[3];
    memset(ret_raw, 0, MMC_RAW_BLOCK);
    memset(ret_raw + 1, 0xff, 10); /* sync: 00 FF*10 00 */
    put_msf(msf, lba);
    for (unsigned i = 0; i < 3; i++)
        ret_raw[12 + i] = bcd(msf[i] % 100);
    ret_raw[15] = 1; /* mode 1 */
    memcpy(ret_raw + 16, user, MMC_BLOCK);
}

/* Data of n bytes in c->data, of which the host takes at most alloc. */
static bool give(struct mmc_command *c, uint32_t n, uint32_t alloc)
{
    c->len = MIN(n, alloc);
    c->phase = c->len ? MMC_DATA_IN : MMC_NO_DATA;
    return true;
}

static bool test_unit_ready(struct mmc *m, struct mmc_command *c)
{
    return true;
}

static bool request_sense(struct mmc *m, struct mmc_command *c)
{
    mmc_sense(m, c->data);
    mmc_fail(m, 0, 0, 0);
    return give(c, MMC_SENSE_BYTES, c->cdb[4]);
}

static uint32_t vital_page(struct mmc *m, struct mmc_command *c)
{
    uint8_t *p = c->data;
    p[0] = 5;
    p[1] = c->cdb[2];
    switch (c->cdb[2]) {
    case 0x00: /* supported pages */
        p[3] = 2;
        p[5] = 0x83;
        return 6;
    case 0x83: /* a T10 identifier: vendor and product */
        p[3] = 4 + 24;
        p[4] = 2; /* ASCII */
        p[5] = 1; /* T10 vendor ID based */
        p[7] = 24;
        memcpy(p + 8, m->vendor, 8);
        memcpy(p + 16, m->product, 16);
        return 32;
    default: return 0;
    }
}

static bool inquiry(struct mmc *m, struct mmc_command *c)
{
    uint8_t *p = c->data;
    uint32_t alloc = ld_be16(c->cdb + 3);
    if (c->cdb[1] & 1) {
        uint32_t n = vital_page(m, c);
        return n ? give(c, n, alloc) : invalid_field(m);
    }
    if (c->cdb[2])
        return invalid_field(m);
    p[0] = 5;    /* CD/DVD */
    p[1] = 0x80; /* removable */
    p[2] = m->atapi ? 0 : 5;
    p[3] = m->atapi ? 0x21 : 2; /* ATAPI 2; response format */
    p[4] = 36 - 5;
    memcpy(p + 8, m->vendor, 8);
    memcpy(p + 16, m->product, 16);
    memcpy(p + 32, m->revision, 4);
    return give(c, 36, alloc);
}

static bool start_stop(struct mmc *m, struct mmc_command *c)
{
    bool start = c->cdb[4] & 1, load_eject = c->cdb[4] & 2;
    if (c->cdb[4] >> 4 || !load_eject) /* power conditions: nothing spins here */
        return true;
    if (!start && !m->tray_open && m->locked)
        return check(m, mmc_ready(m) ? SENSE_ILLEGAL_REQUEST : SENSE_NOT_READY,
                     ASC_REMOVAL_PREVENTED, 2);
    if (start && m->tray_open && has_medium(m)) {
        m->attention |= MMC_UA_CHANGED;
        m->event = EVENT_NEW_MEDIUM;
    } else if (!start && !m->tray_open) {
        m->event = EVENT_REMOVAL;
    }
    m->tray_open = !start;
    return true;
}

static bool prevent_allow(struct mmc *m, struct mmc_command *c)
{
    m->locked = c->cdb[4] & 1;
    return true;
}

static bool read_capacity(struct mmc *m, struct mmc_command *c)
{
    uint32_t blocks = mmc_blocks(m);
    st_be32(c->data, blocks ? blocks - 1 : 0);
    st_be32(c->data + 4, MMC_BLOCK);
    return give(c, 8, 8);
}

static bool read_blocks(struct mmc *m, struct mmc_command *c, uint32_t lba, uint32_t blocks,
                        uint32_t block_bytes)
{
    uint32_t all = mmc_blocks(m);
    if (lba > all || blocks > all - lba || (lba == all && blocks == 0 && all))
        return check(m, SENSE_ILLEGAL_REQUEST, ASC_LBA_RANGE, 0);
    c->lba = lba;
    c->blocks = blocks;
    c->block_bytes = block_bytes;
    c->phase = blocks ? MMC_MEDIUM_READ : MMC_NO_DATA;
    return true;
}

static bool read_10(struct mmc *m, struct mmc_command *c)
{
    return read_blocks(m, c, ld_be32(c->cdb + 2), ld_be16(c->cdb + 7), MMC_BLOCK);
}

static bool read_12(struct mmc *m, struct mmc_command *c)
{
    return read_blocks(m, c, ld_be32(c->cdb + 2), ld_be32(c->cdb + 6), MMC_BLOCK);
}

static bool seek(struct mmc *m, struct mmc_command *c)
{
    if (ld_be32(c->cdb + 2) >= mmc_blocks(m))
        return check(m, SENSE_ILLEGAL_REQUEST, ASC_LBA_RANGE, 0);
    return true;
}

/* Byte 9 of READ CD: which parts of a block (MMC-6 table 350). */
static bool read_cd_parts(struct mmc *m, struct mmc_command *c, uint32_t lba, uint32_t blocks)
{
    unsigned type = c->cdb[1] >> 2 & 7;
    if ((type != 0 && type != 2) || c->cdb[10] & 7 || c->cdb[9] & 6)
        return invalid_field(m);
    switch (c->cdb[9] & 0xf8) {
    case 0x00: return read_blocks(m, c, lba, 0, MMC_BLOCK);
    case 0x10: return read_blocks(m, c, lba, blocks, MMC_BLOCK);
    case 0xf8: return read_blocks(m, c, lba, blocks, MMC_RAW_BLOCK);
    default: return invalid_field(m);
    }
}

static bool read_cd(struct mmc *m, struct mmc_command *c)
{
    uint32_t blocks = (uint32_t)c->cdb[6] << 16 | ld_be16(c->cdb + 7);
    return read_cd_parts(m, c, ld_be32(c->cdb + 2), blocks);
}

static bool read_cd_msf(struct mmc *m, struct mmc_command *c)
{
    uint32_t at[2];
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *p = c->cdb + 3 + 3 * i;
        at[i] = (p[0] * 60u + p[1]) * FRAMES_PER_S + p[2];
    }
    if (at[0] < LEAD_IN_FRAMES || at[1] < at[0])
        return invalid_field(m);
    return read_cd_parts(m, c, at[0] - LEAD_IN_FRAMES, at[1] - at[0]);
}

static void put_address(uint8_t *to, uint32_t lba, bool msf)
{
    if (msf) {
        to[0] = 0;
        put_msf(to + 1, lba);
    } else {
        st_be32(to, lba);
    }
}

static uint8_t *toc_track(uint8_t *p, uint8_t track, uint32_t lba, bool msf)
{
    p[1] = CONTROL_DATA_TRACK;
    p[2] = track;
    put_address(p + 4, lba, msf);
    return p + 8;
}

/* One row of the raw table of contents: point, and what stands in its PMIN, PSEC, PFRAME. */
static uint8_t *toc_raw(uint8_t *p, uint8_t point, const uint8_t at[3])
{
    p[0] = 1; /* session */
    p[1] = CONTROL_DATA_TRACK;
    p[3] = point;
    memcpy(p + 8, at, 3);
    return p + 11;
}

static bool read_toc(struct mmc *m, struct mmc_command *c)
{
    bool msf = c->cdb[1] & 2;
    unsigned format = c->cdb[2] & 15 ? c->cdb[2] & 15 : c->cdb[9] >> 6; /* SFF-8020i had it there */
    uint8_t *p = c->data + 4, at[3], first = c->cdb[6];
    c->data[2] = c->data[3] = 1; /* first and last track or session */
    switch (format) {
    case 0:
        if (first > 1 && first != TRACK_LEAD_OUT)
            return invalid_field(m);
        if (first <= 1)
            p = toc_track(p, 1, 0, msf);
        p = toc_track(p, TRACK_LEAD_OUT, mmc_blocks(m), msf);
        break;
    case 1: p = toc_track(p, 1, 0, msf); break;
    case 2:
        p = toc_raw(p, 0xa0, (const uint8_t[]){ 1, 0, 0 });
        p = toc_raw(p, 0xa1, (const uint8_t[]){ 1, 0, 0 });
        put_msf(at, mmc_blocks(m));
        p = toc_raw(p, 0xa2, at);
        put_msf(at, 0);
        p = toc_raw(p, 1, at);
        break;
    default: return invalid_field(m);
    }
    st_be16(c->data, (uint16_t)(p - c->data - 2));
    return give(c, (uint32_t)(p - c->data), ld_be16(c->cdb + 7));
}

static unsigned profile(const struct mmc *m)
{
    return !mmc_ready(m) ? 0 : mmc_blocks(m) > CD_BLOCKS_MAX ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

/* Features (MMC-6 chapter 5): version in bits 5:2 of flags, persistent bit 1, current bit 0. */
static const struct {
    uint16_t code;
    uint8_t flags, len, data[8];
    uint16_t only; /* current with this profile alone; 0: see flags; 1: with any medium */
} features[] = {
    { 0x0000, 0x03, 8, { 0, PROFILE_DVD_ROM, 0, 0, 0, PROFILE_CD_ROM, 0, 0 }, 0 },
    { 0x0001, 0x0b, 8, { 0, 0, 0, 2, 1 }, 0 },    /* core: ATAPI, device busy events */
    { 0x0002, 0x07, 4, { 2 }, 0 },                /* morphing: operational change by polling */
    { 0x0003, 0x03, 4, { 0x29 }, 0 },             /* removable: tray, eject, lock */
    { 0x0010, 0x00, 8, { 0, 0, 8, 0, 0, 1 }, 1 }, /* random readable: 2048-byte blocks */
    { 0x001e, 0x08, 4, { 0 }, PROFILE_CD_ROM },
    { 0x001f, 0x00, 4, { 0 }, PROFILE_DVD_ROM },
    { 0x0100, 0x03, 0, { 0 }, 0 }, /* power management */
    { 0x0105, 0x03, 0, { 0 }, 0 }, /* time-outs */
};

static bool get_configuration(struct mmc *m, struct mmc_command *c)
{
    unsigned rt = c->cdb[1] & 3, start = ld_be16(c->cdb + 2), now = profile(m);
    uint8_t *p = c->data + 8;
    if (rt == 3)
        return invalid_field(m);
    st_be16(c->data + 6, (uint16_t)now);
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        uint16_t only = features[i].only;
        bool current = only ? now && (only == 1 || only == now) : features[i].flags & 1;
        if (rt == 2 ? features[i].code != start : features[i].code < start)
            continue;
        if (rt == 1 && !current)
            continue;
        st_be16(p, features[i].code);
        p[2] = (features[i].flags & ~1) | current;
        p[3] = features[i].len;
        memcpy(p + 4, features[i].data, features[i].len);
        if (features[i].code == 0) {
            p[6] = now == PROFILE_DVD_ROM;
            p[10] = now == PROFILE_CD_ROM;
        } else if (features[i].code == 1 && !m->atapi) {
            p[7] = 1; /* SCSI */
        }
        p += 4 + features[i].len;
    }
    st_be32(c->data, (uint32_t)(p - c->data - 4));
    return give(c, (uint32_t)(p - c->data), ld_be16(c->cdb + 7));
}

static bool get_event_status(struct mmc *m, struct mmc_command *c)
{
    enum { CLASS_MEDIA = 4, NO_EVENT = 0x80, IMMEDIATE = 1, DOOR_OPEN = 1, MEDIUM_PRESENT = 2 };
    if (!(c->cdb[1] & IMMEDIATE))
        return invalid_field(m); /* asynchronous notification is not offered */
    uint32_t n = 4;
    if (c->cdb[4] & BIT(CLASS_MEDIA)) {
        c->data[2] = CLASS_MEDIA;
        c->data[4] = m->event;
        c->data[5] = (m->tray_open ? DOOR_OPEN : 0) | (mmc_ready(m) ? MEDIUM_PRESENT : 0);
        m->event = EVENT_NONE;
        n = 8;
    } else {
        c->data[2] = NO_EVENT;
    }
    c->data[3] = BIT(CLASS_MEDIA);
    st_be16(c->data, (uint16_t)(n - 2));
    return give(c, n, ld_be16(c->cdb + 7));
}

static bool mechanism_status(struct mmc *m, struct mmc_command *c)
{
    c->data[1] = m->tray_open ? 0x10 : 0;
    return give(c, 8, ld_be16(c->cdb + 8));
}

static bool read_disc_information(struct mmc *m, struct mmc_command *c)
{
    uint8_t *p = c->data;
    if (c->cdb[1] & 7)
        return invalid_field(m);
    p[1] = 32;
    p[2] = 0x0e;                   /* last session complete, disc complete */
    p[3] = p[4] = p[5] = p[6] = 1; /* tracks, sessions */
    p[7] = 0x20;                   /* use is not restricted */
    memset(p + 16, 0xff, 8);       /* no lead-in or lead-out can be written */
    return give(c, 34, ld_be16(c->cdb + 7));
}

static bool read_track_information(struct mmc *m, struct mmc_command *c)
{
    uint8_t *p = c->data;
    uint32_t at = ld_be32(c->cdb + 2), blocks = mmc_blocks(m);
    switch (c->cdb[1] & 3) {
    case 0: /* the track of this block */
        if (at >= blocks)
            return check(m, SENSE_ILLEGAL_REQUEST, ASC_LBA_RANGE, 0);
        break;
    case 1: /* track number */
    case 2: /* session number */
        if (at != 1)
            return invalid_field(m);
        break;
    default: return invalid_field(m);
    }
    p[1] = 34;
    p[2] = p[3] = 1; /* track, session */
    p[5] = 4;        /* data track */
    p[6] = 1;        /* mode 1 */
    st_be32(p + 24, blocks);
    return give(c, 36, ld_be16(c->cdb + 7));
}

static bool read_dvd_structure(struct mmc *m, struct mmc_command *c)
{
    uint8_t *p = c->data + 4;
    uint32_t n, blocks = mmc_blocks(m);
    if (c->cdb[1] & 15 || c->cdb[6])
        return invalid_field(m);
    if (c->cdb[7] != 0xff && profile(m) != PROFILE_DVD_ROM)
        return check(m, SENSE_ILLEGAL_REQUEST, ASC_INCOMPATIBLE_MEDIUM, 2);
    switch (c->cdb[7]) {
    case 0x00:                   /* physical format: DVD-ROM, 120 mm, one layer */
        p[0] = 1;                /* version 1 */
        p[1] = 0x0f;             /* no rate stated */
        p[2] = 1;                /* embossed layer */
        st_be32(p + 4, 0x30000); /* physical number of block 0 */
        st_be32(p + 8, 0x30000 + blocks - 1);
        n = 2048;
        break;
    case 0x01: n = 4; break; /* no copyright system, all regions */
    case 0x04: n = 2048; break;
    case 0xff: { /* the list of these: no keys, readable */
        static const uint8_t list[] = { 0x00, 0x40, 8, 4, 0x01, 0x40, 0, 8, 0x04, 0x40, 8, 4 };
        memcpy(p, list, sizeof list);
        n = sizeof list;
        break;
    }
    default: return invalid_field(m);
    }
    st_be16(c->data, (uint16_t)(n + 2));
    return give(c, n + 4, ld_be16(c->cdb + 8));
}

static bool set_speed(struct mmc *m, struct mmc_command *c)
{
    return true;
}

/* --- mode pages (MMC-6 chapter 7, SFF-8020i for 0Dh) --- */

static const uint8_t page_error[] = { 0x01, 6, 0, 5 }; /* retries */
static const uint8_t page_cdrom[] = { 0x0d, 6, 0, 0, 0, 60, 0, 75 };
static const uint8_t page_audio[] = { 0x0e, 14, 4, 0, 0, 0, 0, 75, 1, 0xff, 2, 0xff };
/* reads CD-R, CD-RW, DVD-ROM; plays none; locks, ejects, tray; 4 MiB/s (24x), 512 KiB buffer */
static const uint8_t page_capabilities[] = { 0x2a, 20,   0x3b, 0, 0x70, 0, 0x29, 0,
                                             0x10, 0x8a, 0,    2, 2,    0, 0x10, 0x8a };
static const struct {
    const uint8_t *bytes;
    uint8_t given, size;
} mode_pages[] = {
    { page_error, sizeof page_error, 8 },
    { page_cdrom, sizeof page_cdrom, 8 },
    { page_audio, sizeof page_audio, 16 },
    { page_capabilities, sizeof page_capabilities, 22 },
};

/* The page as it is (or all zero: what may be changed), after p; 0 bytes for an unknown one. */
static uint32_t put_page(const struct mmc *m, uint8_t *p, unsigned i, bool changeable)
{
    memset(p, 0, mode_pages[i].size);
    memcpy(p, mode_pages[i].bytes, changeable ? 2 : mode_pages[i].given);
    if (mode_pages[i].bytes == page_capabilities && !changeable && m->locked)
        p[6] |= 2;
    return mode_pages[i].size;
}

static bool mode_sense_pages(struct mmc *m, struct mmc_command *c, uint32_t header, uint32_t alloc)
{
    enum { CURRENT, CHANGEABLE, DEFAULT, SAVED };
    unsigned page = c->cdb[2] & 0x3f, control = c->cdb[2] >> 6;
    uint32_t n = header;
    if (control == SAVED)
        return check(m, SENSE_ILLEGAL_REQUEST, ASC_SAVING_UNSUPPORTED, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(mode_pages); i++)
        if (page == MODE_PAGE_ALL || page == mode_pages[i].bytes[0])
            n += put_page(m, c->data + n, i, control == CHANGEABLE);
    if (n == header)
        return invalid_field(m);
    if (header == MODE_HEADER6)
        c->data[0] = (uint8_t)(n - 1);
    else
        st_be16(c->data, (uint16_t)(n - 2));
    return give(c, n, alloc);
}

static bool mode_sense_6(struct mmc *m, struct mmc_command *c)
{
    return mode_sense_pages(m, c, MODE_HEADER6, c->cdb[4]);
}

static bool mode_sense_10(struct mmc *m, struct mmc_command *c)
{
    return mode_sense_pages(m, c, MODE_HEADER10, ld_be16(c->cdb + 7));
}

static bool mode_select(struct mmc *m, struct mmc_command *c)
{
    uint32_t len = c->cdb[0] == 0x15 ? c->cdb[4] : ld_be16(c->cdb + 7);
    if (c->cdb[1] & 1) /* saving */
        return invalid_field(m);
    if (len > MODE_SELECT_MAX)
        return check(m, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LENGTH, 0);
    c->len = len;
    c->phase = len ? MMC_DATA_OUT : MMC_NO_DATA;
    return true;
}

/* Nothing may be changed: each page must say what is so already. */
bool mmc_data_out(struct mmc *m, struct mmc_command *c)
{
    uint32_t at = c->cdb[0] == 0x15 ? MODE_HEADER6 : MODE_HEADER10;
    uint8_t now[256];
    c->phase = MMC_NO_DATA;
    if (c->len < at)
        return check(m, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LENGTH, 0);
    at += at == MODE_HEADER6 ? c->data[3] : ld_be16(c->data + 6);
    while (at + 2 <= c->len) {
        unsigned i = 0;
        while (i < ARRAY_SIZE(mode_pages) && mode_pages[i].bytes[0] != (c->data[at] & 0x3f))
            i++;
        if (i == ARRAY_SIZE(mode_pages))
            return check(m, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_VALUE, 0);
        uint32_t n = put_page(m, now, i, false);
        if (c->data[at + 1] != n - 2 || n > c->len - at)
            return check(m, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LENGTH, 0);
        if (memcmp(c->data + at + 2, now + 2, n - 2))
            return check(m, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_VALUE, 0);
        at += n;
    }
    return true;
}

enum { NEEDS_MEDIUM = 1, QUIET = 2 /* carried out, and kept waiting, beside a unit attention */ };

static const struct {
    uint8_t opcode, flags;
    bool (*run)(struct mmc *m, struct mmc_command *c);
} commands[] = {
    { 0x00, NEEDS_MEDIUM, test_unit_ready },
    { 0x03, QUIET, request_sense },
    { 0x12, QUIET, inquiry },
    { 0x15, 0, mode_select },
    { 0x1a, 0, mode_sense_6 },
    { 0x1b, 0, start_stop },
    { 0x1e, 0, prevent_allow },
    { 0x25, NEEDS_MEDIUM, read_capacity },
    { 0x28, NEEDS_MEDIUM, read_10 },
    { 0x2b, NEEDS_MEDIUM, seek },
    { 0x43, NEEDS_MEDIUM, read_toc },
    { 0x46, QUIET, get_configuration },
    { 0x4a, QUIET, get_event_status },
    { 0x51, NEEDS_MEDIUM, read_disc_information },
    { 0x52, NEEDS_MEDIUM, read_track_information },
    { 0x55, 0, mode_select },
    { 0x5a, 0, mode_sense_10 },
    { 0xa8, NEEDS_MEDIUM, read_12 },
    { 0xad, NEEDS_MEDIUM, read_dvd_structure },
    { 0xb9, NEEDS_MEDIUM, read_cd_msf },
    { 0xbb, 0, set_speed },
    { 0xbd, 0, mechanism_status },
    { 0xbe, NEEDS_MEDIUM, read_cd },
};

/* Reports what waits to be told, the first of it. */
static bool attention(struct mmc *m)
{
    if (m->attention & MMC_UA_ABSENT) {
        m->attention &= ~MMC_UA_ABSENT;
        return check(m, SENSE_NOT_READY, ASC_NO_MEDIUM, 0);
    }
    if (m->attention & MMC_UA_RESET) {
        m->attention &= ~MMC_UA_RESET;
        return check(m, SENSE_UNIT_ATTENTION, ASC_RESET, 0);
    }
    m->attention &= ~MMC_UA_CHANGED;
    return check(m, SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED, 0);
}

bool mmc_execute(struct mmc *m, struct mmc_command *c)
{
    unsigned i = 0;
    c->phase = MMC_NO_DATA;
    c->len = c->lba = c->blocks = c->block_bytes = 0;
    memset(c->data, 0, sizeof c->data);
    while (i < ARRAY_SIZE(commands) && commands[i].opcode != c->cdb[0])
        i++;
    bool quiet = i < ARRAY_SIZE(commands) && commands[i].flags & QUIET;
    if (m->attention && !quiet)
        return attention(m);
    if (i == ARRAY_SIZE(commands))
        return check(m, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE, 0);
    if (commands[i].flags & NEEDS_MEDIUM && !mmc_ready(m))
        return check(m, SENSE_NOT_READY, ASC_NO_MEDIUM,
                     m->tray_open ? ASCQ_TRAY_OPEN : ASCQ_TRAY_CLOSED);
    if (c->cdb[0] == 0x03 && m->attention && !m->sense_key)
        (void)attention(m); /* as the sense data of this command */
    if (commands[i].run != request_sense)
        mmc_fail(m, 0, 0, 0);
    return commands[i].run(m, c);
}
