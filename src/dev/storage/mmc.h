/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A CD/DVD drive as MMC-6 and SPC-3 describe it, without the way its commands come: ide-cd puts an
 * ATAPI packet interface in front of it, scsi-cd a SCSI target. A command block goes in, and what
 * comes out is data, a wish to read the medium, or sense. Machine lock held for all functions.
 *
 *   struct mmc_command c = { 0 };  memcpy(c.cdb, cdb, 12);
 *   if (!mmc_execute(&m, &c)) -> CHECK CONDITION, mmc_sense() has the sense data
 *   else by c.phase: c.data[0..len) to the host; or blocks of the medium (by blk requests of the
 *   caller, at mmc_offset()); or len bytes from the host into c.data, then mmc_data_out()
 */
#ifndef DEV_STORAGE_MMC_H
#define DEV_STORAGE_MMC_H

#include "dev/storage/blk.h"

enum { MMC_BLOCK = 2048, MMC_RAW_BLOCK = 2352, MMC_DATA_MAX = 4096, MMC_SENSE_BYTES = 18 };

enum mmc_phase {
    MMC_NO_DATA,
    MMC_DATA_IN,     /* data[0..len), cut to the allocation length already */
    MMC_DATA_OUT,    /* len bytes of the host's, then mmc_data_out() */
    MMC_MEDIUM_READ, /* blocks from block lba on, block_bytes each (2048, or 2352: mmc_raw_block) */
};

struct mmc_command {
    uint8_t cdb[16];
    /* answers of mmc_execute() */
    enum mmc_phase phase;
    uint32_t len;
    uint32_t lba, blocks, block_bytes;
    uint8_t data[MMC_DATA_MAX];
};

/* Unit attentions that wait to be reported, lowest bit first. */
enum mmc_attention {
    MMC_UA_ABSENT = 1 << 0,  /* not ready, medium not present: the first half of a change */
    MMC_UA_RESET = 1 << 1,   /* 6/29/00 */
    MMC_UA_CHANGED = 1 << 2, /* 6/28/00 */
    MMC_UA_ALL = 7,
};

struct mmc {
    /* constant after mmc_init() */
    struct blk *blk;     /* NULL: a drive that never has a medium */
    struct drive *drive; /* NULL likewise */
    char vendor[9], product[17], revision[5];
    bool atapi; /* INQUIRY says what ATAPI wants; REQUEST SENSE is not done by the target */
    /* state */
    bool tray_open, locked;
    uint8_t attention; /* enum mmc_attention */
    uint8_t event;     /* media event for GET EVENT STATUS NOTIFICATION; 0: none */
    uint8_t sense_key, asc, ascq;
};

/* Rows of .state of a device that has a struct mmc as member m. */
#define MMC_STATE(T, m)                                                                            \
    FIELD(T, m.tray_open), FIELD(T, m.locked), FIELD(T, m.attention, .max = MMC_UA_ALL),           \
        FIELD(T, m.event, .max = 15), FIELD(T, m.sense_key, .max = 15), FIELD(T, m.asc),           \
        FIELD(T, m.ascq)

/* From the owner's init. Names are cut and padded with blanks. */
void mmc_init(struct mmc *m, struct blk *blk, struct drive *drive, const char *vendor,
              const char *product, const char *revision);
/* Power on or bus reset: unlocked, a reset to report (not by ATAPI's device reset). The tray stays
 * as it is. */
void mmc_reset(struct mmc *m, bool report);

/* What drive_user wants: the medium came, went or is another; may the host take it out (when not,
 * the guest is asked by an eject event). */
void mmc_medium_changed(struct mmc *m);
bool mmc_may_eject(struct mmc *m);

/* Is there a medium that can be read now; its blocks of 2048 bytes (0: none). */
bool mmc_ready(const struct mmc *m);
uint32_t mmc_blocks(const struct mmc *m);
static inline uint64_t mmc_offset(uint32_t lba)
{
    return (uint64_t)lba * MMC_BLOCK;
}

/* Carries out c->cdb. False: CHECK CONDITION. */
bool mmc_execute(struct mmc *m, struct mmc_command *c) MUST_CHECK;
/* The host's bytes are in c->data. */
bool mmc_data_out(struct mmc *m, struct mmc_command *c) MUST_CHECK;
/* A read of the medium failed with this negative errno: sets the sense. */
void mmc_read_failed(struct mmc *m, int error);
/* Sets sense for a fault that the caller found. */
void mmc_fail(struct mmc *m, uint8_t key, uint8_t asc, uint8_t ascq);
/* The last command's sense data in fixed format. */
void mmc_sense(const struct mmc *m, uint8_t ret_sense[MMC_SENSE_BYTES]);

/* 2352 bytes around one block of user data: sync, header, and zeroes for the codes (MMC-6 4.2.3.8).
 */
void mmc_raw_block(uint32_t lba, const uint8_t user[MMC_BLOCK], uint8_t ret_raw[MMC_RAW_BLOCK]);

#endif
