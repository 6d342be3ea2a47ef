/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside scsi_hd*.c only: a direct access block device (SBC-3). */
#ifndef DEV_STORAGE_SCSI_HD_H
#define DEV_STORAGE_SCSI_HD_H

#include "base/bits.h"
#include "dev/storage/scsi.h"

struct scsi_hd {
    struct scsi_lun lun;
    /* properties */
    bool removable, dpofua;
    uint16_t rotation_rate;
    uint64_t max_unmap_size;
    struct drive_user user; /* of a removable one */
    /* state */
    bool write_cache;
    bool stopped; /* by START STOP UNIT */
    bool locked;  /* PREVENT ALLOW MEDIUM REMOVAL */
    /* the unit's context: COMPARE AND WRITE has the medium for itself */
    unsigned active; /* commands that are at the medium */
    bool alone;
    struct scsi_request *held, **held_last;
};

enum {
    HD_MEDIUM = BIT(0), /* not without a medium that turns */
    HD_WRITES = BIT(1), /* not on a write-protected one */
    HD_ACCESS = BIT(2), /* waits while another command has the medium for itself */
    HD_ALONE = BIT(3),  /* wants it for itself */
    HD_NO_ACTION = 0xff,
};

struct scsi_hd_op {
    uint8_t opcode, action; /* service action, or HD_NO_ACTION */
    uint8_t flags, len;     /* of the CDB */
    void (*run)(struct scsi_hd *s, struct scsi_request *q);
    uint8_t usage[15]; /* bits of the CDB behind its first byte that are looked at */
};

static inline uint64_t scsi_hd_block(const struct scsi_hd *s)
{
    return s->lun.conf.logical_block_size;
}
uint64_t scsi_hd_blocks(const struct scsi_hd *s); /* capacity */
bool scsi_hd_discards(const struct scsi_hd *s);
const struct scsi_hd_op *scsi_hd_ops(void); /* ends with a row without run */
/* HD_ACCESS commands end through this: lets others go on, too. */
void scsi_hd_leave(struct scsi_request *q, const struct scsi_sense *sense, uint32_t info);

/* scsi_hd_info.c */
void scsi_hd_inquiry(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_read_capacity_10(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_read_capacity_16(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_report_opcodes(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_report_tmfs(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_log_sense(struct scsi_hd *s, struct scsi_request *q);
/* scsi_hd_mode.c */
void scsi_hd_mode_sense(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_mode_select(struct scsi_hd *s, struct scsi_request *q);
/* scsi_hd_io.c */
void scsi_hd_read(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_write(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_verify(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_seek(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_sync(struct scsi_hd *s, struct scsi_request *q);
/* scsi_hd_bulk.c */
void scsi_hd_unmap(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_write_same(struct scsi_hd *s, struct scsi_request *q);
void scsi_hd_compare_write(struct scsi_hd *s, struct scsi_request *q);

/* For them: one step at the medium, then q->step(q, result). */
void scsi_hd_io(struct scsi_request *q, enum disk_op op, unsigned flags, uint64_t offset,
                uint64_t len, struct disk_vec v);
/* LBA and number of blocks of the CDB into q; false (ended): beyond the end. */
bool scsi_hd_range(struct scsi_hd *s, struct scsi_request *q, uint64_t lba, uint64_t blocks);
void scsi_hd_failed(struct scsi_request *q, int result, bool write); /* ends with its sense */
void scsi_hd_done(struct scsi_request *q, int result);               /* q->step: the last one */

enum {
    HD_CHUNK = 65536,     /* bytes of a step through a buffer of our own */
    HD_COMPARE_MAX = 128, /* blocks of COMPARE AND WRITE */
    HD_UNMAP_DESCRIPTORS = 255,
};

#endif
