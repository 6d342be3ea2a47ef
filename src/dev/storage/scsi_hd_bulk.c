/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UNMAP, WRITE SAME, COMPARE AND WRITE: commands that take several steps (SBC-3 §5.2, 5.28, 5.48).
 */
#include "dev/storage/scsi_hd.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"

static const struct scsi_sense bad_field = { 5, 0x24, 0x00 };

static struct scsi_hd *hd_of(const struct scsi_request *q)
{
    return container_of(q->unit, struct scsi_hd, lun);
}

/* The parameters or data into q->buffer; false: the request has ended. */
static bool take_buffer(struct scsi_request *q, size_t len)
{
    struct disk_vec v;

    if (len > q->out.len) {
        q->outcome = SCSI_OVERRUN;
        scsi_hd_leave(q, NULL, 0);
        return false;
    }
    q->buffer = xcalloc(1, len);
    v = vec_slice(q->out, 0, len);
    vec_to_buf(&v, q->buffer);
    q->moved = len;
    return true;
}

/* --- UNMAP: one range after the other; q->pos, q->blocks: next and end in the list --- */

static void unmap_next(struct scsi_request *q, int result)
{
    struct scsi_hd *s = hd_of(q);
    static const struct scsi_sense range = { 5, 0x21, 0x00 };
    uint64_t block = scsi_hd_block(s), all = scsi_hd_blocks(s);
    const uint8_t *list = q->buffer;

    if (result < 0) {
        scsi_hd_failed(q, result, true);
        return;
    }
    while (q->pos < q->blocks) {
        uint64_t lba = ld_be64(list + q->pos), n = ld_be32(list + q->pos + 8);

        q->pos += 16;
        if (lba > all || n > all - lba) {
            scsi_hd_leave(q, &range, 0);
            return;
        }
        if (n) {
            scsi_hd_io(q, DISK_OP_DISCARD, 0, lba * block, n * block, (struct disk_vec){ 0 });
            blk_kick(q->unit->blk);
            return;
        }
    }
    scsi_hd_leave(q, NULL, 0);
}

void scsi_hd_unmap(struct scsi_hd *s, struct scsi_request *q)
{
    static const struct scsi_sense short_list = { 5, 0x1a, 0 }, param_field = { 5, 0x26, 0 };
    size_t len = ld_be16(q->cdb + 7), n;
    uint64_t total = 0;
    const uint8_t *list;

    if (!scsi_hd_discards(s)) {
        scsi_hd_leave(q, &(struct scsi_sense){ 5, 0x20, 0 }, 0);
        return;
    }
    if (q->cdb[1] & 1) { /* ANCHOR */
        scsi_hd_leave(q, &bad_field, 0);
        return;
    }
    if (!len) {
        scsi_hd_leave(q, NULL, 0);
        return;
    }
    if (len < 8) {
        scsi_hd_leave(q, &short_list, 0);
        return;
    }
    if (!take_buffer(q, len))
        return;
    list = q->buffer;
    n = MIN(ld_be16(list + 2), len - 8) & ~(size_t)15;
    for (size_t i = 0; i < n; i += 16)
        total += ld_be32(list + 8 + i + 8);
    if (n / 16 > HD_UNMAP_DESCRIPTORS || total > s->max_unmap_size / scsi_hd_block(s)) {
        scsi_hd_leave(q, &param_field, 0);
        return;
    }
    q->pos = 8;
    q->blocks = 8 + n;
    q->step = unmap_next;
    unmap_next(q, 0);
}

/* --- WRITE SAME: q->buffer is a chunk full of the block --- */

static void same_next(struct scsi_request *q, int result)
{
    uint64_t block = scsi_hd_block(hd_of(q)), left;
    size_t n;

    if (result < 0) {
        scsi_hd_failed(q, result, true);
        return;
    }
    q->pos += q->io.r.len;
    left = q->blocks * block - q->pos;
    if (!left) {
        scsi_hd_leave(q, NULL, 0);
        return;
    }
    n = MIN(left, MAX(HD_CHUNK, block));
    scsi_hd_io(q, DISK_OP_WRITE, 0, q->lba * block + q->pos, n, vec_of(q->buffer, n));
    blk_kick(q->unit->blk);
}

static void write_zeroes(struct scsi_request *q, uint64_t block, bool unmap)
{
    q->step = scsi_hd_done;
    scsi_hd_io(q, DISK_OP_ZERO, unmap ? DISK_MAY_UNMAP : 0, q->lba * block, q->blocks * block,
               (struct disk_vec){ 0 });
}

void scsi_hd_write_same(struct scsi_hd *s, struct scsi_request *q)
{
    bool is_16 = q->cdb[0] == 0x93, unmap = q->cdb[1] & 8, no_data = is_16 && q->cdb[1] & 1;
    uint64_t block = scsi_hd_block(s), blocks;
    uint64_t lba = is_16 ? ld_be64(q->cdb + 2) : ld_be32(q->cdb + 2);
    uint8_t *fill;

    blocks = is_16 ? ld_be32(q->cdb + 10) : ld_be16(q->cdb + 7);
    /* protection, ANCHOR, the obsolete PBDATA and LBDATA; no blocks at all (WSNZ) */
    if (q->cdb[1] & 0xf6 || (unmap && !scsi_hd_discards(s)) || !blocks ||
        blocks > s->max_unmap_size / block) {
        scsi_hd_leave(q, &bad_field, 0);
        return;
    }
    if (!scsi_hd_range(s, q, lba, blocks))
        return;
    if (no_data) {
        write_zeroes(q, block, unmap);
        return;
    }
    if (!take_buffer(q, block))
        return;
    if (buf_is_zero(q->buffer, block)) {
        write_zeroes(q, block, unmap);
        return;
    }
    fill = xcalloc(1, MAX(HD_CHUNK, block));
    for (size_t i = 0; i < MAX(HD_CHUNK, block); i += block)
        memcpy(fill + i, q->buffer, block);
    free(q->buffer);
    q->buffer = fill;
    q->io.r.len = 0;
    q->step = same_next;
    same_next(q, 0);
}

/* --- COMPARE AND WRITE: alone at the medium; q->buffer has what was read --- */

static void compared(struct scsi_request *q, int result)
{
    static const struct scsi_sense miscompare = { 0x0e, 0x1d, 0x00 };
    uint64_t block = scsi_hd_block(hd_of(q)), n = q->blocks * block;
    uint8_t want[512], *got = q->buffer;

    if (result < 0) {
        scsi_hd_failed(q, result, false);
        return;
    }
    for (size_t i = 0; i < n; i += sizeof want) {
        struct disk_vec v = vec_slice(q->out, i, sizeof want);

        vec_to_buf(&v, want);
        for (size_t j = 0; j < sizeof want; j++) {
            if (want[j] != got[i + j]) {
                scsi_hd_leave(q, &miscompare, (uint32_t)(i + j));
                return;
            }
        }
    }
    q->step = scsi_hd_done;
    scsi_hd_io(q, DISK_OP_WRITE, q->cdb[1] & 8 ? DISK_FUA : 0, q->lba * block, n,
               vec_slice(q->out, n, n));
    blk_kick(q->unit->blk);
}

void scsi_hd_compare_write(struct scsi_hd *s, struct scsi_request *q)
{
    uint64_t block = scsi_hd_block(s), blocks = q->cdb[13], n = blocks * block;

    if (q->cdb[1] >> 5 || blocks > HD_COMPARE_MAX) {
        scsi_hd_leave(q, &bad_field, 0);
        return;
    }
    if (!scsi_hd_range(s, q, ld_be64(q->cdb + 2), blocks))
        return;
    if (2 * n > q->out.len) {
        q->outcome = SCSI_OVERRUN;
        scsi_hd_leave(q, NULL, 0);
        return;
    }
    q->moved = 2 * n;
    if (!n) {
        scsi_hd_leave(q, NULL, 0);
        return;
    }
    q->buffer = xcalloc(1, n);
    q->step = compared;
    scsi_hd_io(q, DISK_OP_READ, 0, q->lba * block, n, vec_of(q->buffer, n));
}
