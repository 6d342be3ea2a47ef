/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that read, write or verify blocks of a disk (SBC-3 §5). */
#include "dev/storage/scsi_hd.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"

static struct scsi_hd *hd_of(const struct scsi_request *q)
{
    return container_of(q->unit, struct scsi_hd, lun);
}

static void io_done(struct blk_request *io, int result)
{
    struct scsi_request *q = container_of(io, struct scsi_request, io);

    q->step(q, q->aborted && !result ? -ECANCELED : result);
}

void scsi_hd_io(struct scsi_request *q, enum disk_op op, unsigned flags, uint64_t offset,
                uint64_t len, struct disk_vec v)
{
    q->io = (struct blk_request){ .blk = q->unit->blk, .done = io_done };
    q->io.r.op = op;
    q->io.r.flags = flags;
    q->io.r.offset = offset;
    q->io.r.len = len;
    q->io.r.vec = v;
    blk_submit(&q->io);
}

bool scsi_hd_range(struct scsi_hd *s, struct scsi_request *q, uint64_t lba, uint64_t blocks)
{
    static const struct scsi_sense range = { 5, 0x21, 0x00 };
    uint64_t all = scsi_hd_blocks(s);

    q->lba = lba;
    q->blocks = blocks;
    if (lba <= all && blocks <= all - lba)
        return true;
    scsi_hd_leave(q, &range, 0);
    return false;
}

void scsi_hd_failed(struct scsi_request *q, int result, bool write)
{
    struct scsi_sense s =
        write ? (struct scsi_sense){ 3, 0x0c, 0x00 } : (struct scsi_sense){ 3, 0x11, 0x00 };

    switch (-result) {
    case ENOMEDIUM: s = SCSI_NO_MEDIUM; break;
    case ENOSPC: s = (struct scsi_sense){ 7, 0x27, 0x07 }; break; /* space allocation failed */
    case EACCES:
    case EPERM:
    case EROFS: s = SCSI_WRITE_PROTECTED; break;
    case ENOMEM: s = (struct scsi_sense){ 0x0b, 0x55, 0x03 }; break;    /* insufficient resources */
    case ECANCELED: s = (struct scsi_sense){ 0x0b, 0x00, 0x06 }; break; /* I/O terminated */
    }
    q->moved = 0;
    scsi_hd_leave(q, &s, 0);
}

void scsi_hd_done(struct scsi_request *q, int result)
{
    if (result < 0)
        scsi_hd_failed(q, result, q->io.r.op != DISK_OP_READ);
    else
        scsi_hd_leave(q, NULL, 0);
}

/* --- what the CDB says --- */

/* Group code, SPC-4 §4.2.5.1: where address and length are follows from the CDB's length. */
static void take_range(const struct scsi_request *q, uint64_t *ret_lba, uint64_t *ret_blocks)
{
    const uint8_t *c = q->cdb;

    switch (c[0] >> 5) {
    case 0:
        *ret_lba = ld_be32(c) & 0x1fffff;
        *ret_blocks = c[4] ? c[4] : 256;
        break;
    case 4:
        *ret_lba = ld_be64(c + 2);
        *ret_blocks = ld_be32(c + 10);
        break;
    case 5:
        *ret_lba = ld_be32(c + 2);
        *ret_blocks = ld_be32(c + 6);
        break;
    default:
        *ret_lba = ld_be32(c + 2);
        *ret_blocks = ld_be16(c + 7);
        break;
    }
}

static bool take_checked_range(struct scsi_hd *s, struct scsi_request *q)
{
    uint64_t lba, blocks;

    take_range(q, &lba, &blocks);
    return scsi_hd_range(s, q, lba, blocks);
}

/* An overrun of a command that is at the medium. */
static void leave_overrun(struct scsi_request *q)
{
    q->outcome = SCSI_OVERRUN;
    scsi_hd_leave(q, NULL, 0);
}

static bool check_protect(struct scsi_request *q)
{
    static const struct scsi_sense bad_field = { 5, 0x24, 0x00 };

    if (q->cdb[0] >> 5 == 0 || !(q->cdb[1] >> 5))
        return true;
    scsi_hd_leave(q, &bad_field, 0); /* there is no protection information */
    return false;
}

/* Checks the command and how much data it has; false: answered already. */
static bool begin_move(struct scsi_hd *s, struct scsi_request *q, uint64_t room)
{
    if (!check_protect(q) || !take_checked_range(s, q))
        return false;
    if (q->blocks * scsi_hd_block(s) > room) {
        leave_overrun(q);
        return false;
    }
    q->moved = q->blocks * scsi_hd_block(s);
    if (!q->blocks)
        scsi_hd_leave(q, NULL, 0);
    else
        q->step = scsi_hd_done;
    return q->blocks != 0;
}

void scsi_hd_read(struct scsi_hd *s, struct scsi_request *q)
{
    if (begin_move(s, q, q->in.len))
        scsi_hd_io(q, DISK_OP_READ, 0, q->lba * scsi_hd_block(s), q->moved,
                   vec_slice(q->in, 0, q->moved));
}

/* Verified means on the medium. */
static bool wants_fua(const struct scsi_request *q)
{
    switch (q->cdb[0]) {
    case 0x0a: return false;
    case 0x2e:
    case 0x8e:
    case 0xae: return true;
    default: return q->cdb[1] & 8;
    }
}

void scsi_hd_write(struct scsi_hd *s, struct scsi_request *q)
{
    if (begin_move(s, q, q->out.len))
        scsi_hd_io(q, DISK_OP_WRITE, wants_fua(q) ? DISK_FUA : 0, q->lba * scsi_hd_block(s),
                   q->moved, vec_slice(q->out, 0, q->moved));
}

/* Whether the blocks are there, and no more. */
void scsi_hd_seek(struct scsi_hd *s, struct scsi_request *q)
{
    uint64_t lba, blocks, all = scsi_hd_blocks(s);

    take_range(q, &lba, &blocks);
    if (q->cdb[0] == 0x2b)
        blocks = 1;
    if (lba > all || blocks > all - lba)
        scsi_check(q, SCSI_LBA_RANGE);
    else
        scsi_good(q);
}

void scsi_hd_sync(struct scsi_hd *s, struct scsi_request *q)
{
    if (!take_checked_range(s, q))
        return;
    q->step = scsi_hd_done;
    scsi_hd_io(q, DISK_OP_FLUSH, 0, 0, 0, (struct disk_vec){ 0 });
}

/* --- VERIFY --- */

enum { COMPARE_NOTHING = 0, COMPARE_ALL = 1, COMPARE_ONE = 3 };

static unsigned compare_kind(const struct scsi_request *q)
{
    return q->cdb[1] >> 1 & 3;
}

/* Offset in the range of the first byte that differs, or UINT64_MAX. */
static uint64_t compare_chunk(struct scsi_request *q, uint64_t block, size_t n)
{
    uint8_t want[512], *got = q->buffer;

    for (size_t i = 0; i < n;) {
        uint64_t at = q->pos + i, from = compare_kind(q) == COMPARE_ONE ? at % block : at;
        size_t step = MIN(sizeof want, n - i);
        struct disk_vec v = vec_slice(q->out, from, step);

        vec_to_buf(&v, want); /* blocks are multiples of 512, and so are chunks */
        for (size_t j = 0; j < step; j++)
            if (want[j] != got[i + j])
                return at + j;
        i += step;
    }
    return UINT64_MAX;
}

static void verify_next(struct scsi_request *q);

static void verify_step(struct scsi_request *q, int result)
{
    static const struct scsi_sense miscompare = { 0x0e, 0x1d, 0x00 };
    uint64_t differs;
    size_t n = q->io.r.len;

    if (result < 0) {
        scsi_hd_failed(q, result, false);
        return;
    }
    if (compare_kind(q) != COMPARE_NOTHING) {
        differs = compare_chunk(q, scsi_hd_block(hd_of(q)), n);
        if (differs != UINT64_MAX) {
            scsi_hd_leave(q, &miscompare, (uint32_t)differs);
            return;
        }
    }
    q->pos += n;
    verify_next(q);
}

static void verify_next(struct scsi_request *q)
{
    uint64_t block = scsi_hd_block(hd_of(q)), left = q->blocks * block - q->pos;
    size_t n = MIN(left, HD_CHUNK);

    if (!left) {
        scsi_hd_leave(q, NULL, 0);
        return;
    }
    scsi_hd_io(q, DISK_OP_READ, 0, q->lba * block + q->pos, n, vec_of(q->buffer, n));
    blk_kick(q->unit->blk);
}

void scsi_hd_verify(struct scsi_hd *s, struct scsi_request *q)
{
    static const struct scsi_sense bad_field = { 5, 0x24, 0x00 };
    uint64_t block = scsi_hd_block(s), need = 0;

    if (!check_protect(q))
        return;
    if (compare_kind(q) == 2) {
        scsi_hd_leave(q, &bad_field, 0);
        return;
    }
    if (!take_checked_range(s, q))
        return;
    if (compare_kind(q) == COMPARE_ALL)
        need = q->blocks * block;
    else if (compare_kind(q) == COMPARE_ONE && q->blocks)
        need = block;
    if (need > q->out.len) {
        leave_overrun(q);
        return;
    }
    q->moved = need;
    q->buffer = xcalloc(1, HD_CHUNK);
    q->step = verify_step;
    verify_next(q);
}
