/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a disk says about itself: INQUIRY, capacity, commands, logs (SPC-4, SBC-3). */
#include "dev/storage/scsi_hd.h"

#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"

/* --- INQUIRY --- */

static size_t page_list(const struct scsi_hd *s, uint8_t *p)
{
    size_t n = 4;

    p[n++] = 0x00;
    if (s->lun.conf.serial)
        p[n++] = 0x80;
    p[n++] = 0x83;
    p[n++] = 0xb0;
    p[n++] = 0xb1;
    p[n++] = 0xb2;
    p[3] = (uint8_t)(n - 4);
    return n;
}

static uint32_t in_blocks(const struct scsi_hd *s, uint64_t bytes)
{
    return (uint32_t)MIN(bytes / scsi_hd_block(s), UINT32_MAX);
}

/* Block limits, SBC-3 §6.6.4 */
static size_t block_limits(const struct scsi_hd *s, uint8_t *p)
{
    const struct blk_conf *c = &s->lun.conf;

    p[3] = 0x3c;
    p[4] = 1; /* WSNZ: WRITE SAME of 0 blocks is refused */
    p[5] = HD_COMPARE_MAX;
    st_be16(p + 6, (uint16_t)in_blocks(s, c->min_io_size));
    st_be32(p + 8, in_blocks(s, s->lun.max_io_size));
    st_be32(p + 12, in_blocks(s, c->opt_io_size));
    if (scsi_hd_discards(s)) {
        st_be32(p + 20, in_blocks(s, s->max_unmap_size));
        st_be32(p + 24, HD_UNMAP_DESCRIPTORS);
        st_be32(p + 28, in_blocks(s, c->discard_granularity));
    }
    st_be64(p + 36, in_blocks(s, s->max_unmap_size)); /* WRITE SAME */
    return 64;
}

static size_t vital_page(const struct scsi_hd *s, uint8_t page, uint8_t *p)
{
    p[1] = page;
    switch (page) {
    case 0x00: return page_list(s, p);
    case 0xb0: return block_limits(s, p);
    case 0xb1: /* block device characteristics */
        p[3] = 0x3c;
        st_be16(p + 4, s->rotation_rate);
        return 64;
    case 0xb2: /* logical block provisioning */
        p[3] = 4;
        if (scsi_hd_discards(s)) {
            p[5] = 0xe0; /* by UNMAP and both WRITE SAME */
            p[6] = 2;    /* thin */
        }
        return 8;
    default: return scsi_inquiry_id(&s->lun, page, p);
    }
}

void scsi_hd_inquiry(struct scsi_hd *s, struct scsi_request *q)
{
    uint8_t buf[256] = { 0 };
    uint16_t alloc = ld_be16(q->cdb + 3);
    size_t n;

    if (q->cdb[1] & 1)
        n = vital_page(s, q->cdb[2], buf);
    else
        n = q->cdb[2] ? 0 : scsi_inquiry_standard(&s->lun, 0x00, s->removable, buf);
    if (n)
        scsi_reply(q, buf, n, alloc);
    else
        scsi_check(q, SCSI_INVALID_FIELD);
}

/* --- capacity --- */

void scsi_hd_read_capacity_10(struct scsi_hd *s, struct scsi_request *q)
{
    uint8_t buf[8];
    uint64_t blocks = scsi_hd_blocks(s);

    if (!blocks) {
        scsi_check(q, SCSI_NO_MEDIUM);
        return;
    }
    st_be32(buf, (uint32_t)MIN(blocks - 1, UINT32_MAX));
    st_be32(buf + 4, (uint32_t)scsi_hd_block(s));
    scsi_reply(q, buf, sizeof buf, sizeof buf);
}

void scsi_hd_read_capacity_16(struct scsi_hd *s, struct scsi_request *q)
{
    uint32_t block = s->lun.conf.logical_block_size, phys = s->lun.conf.physical_block_size;
    uint8_t buf[32] = { 0 };
    uint64_t blocks = scsi_hd_blocks(s);

    if (!blocks) {
        scsi_check(q, SCSI_NO_MEDIUM);
        return;
    }
    st_be64(buf, blocks - 1);
    st_be32(buf + 8, block);
    buf[13] = (uint8_t)__builtin_ctz(MAX(phys / block, 1));
    buf[14] = scsi_hd_discards(s) ? 0x80 : 0; /* LBPME */
    scsi_reply(q, buf, sizeof buf, ld_be32(q->cdb + 10));
}

/* --- MAINTENANCE IN --- */

static size_t one_opcode(struct scsi_request *q, uint8_t *buf, bool *ret_ok)
{
    uint8_t option = q->cdb[2] & 7;
    const struct scsi_hd_op *found = NULL;

    *ret_ok = true;
    for (const struct scsi_hd_op *op = scsi_hd_ops(); op->len; op++) {
        bool has_action = op->action != HD_NO_ACTION;

        if (op->opcode != q->cdb[3])
            continue;
        if ((option == 1 && has_action) || (option == 2 && !has_action)) {
            *ret_ok = false;
            return 0;
        }
        if (!has_action || op->action == ld_be16(q->cdb + 4))
            found = op;
    }
    buf[1] = 1; /* not supported */
    if (!found)
        return 4;
    buf[1] = 3;
    buf[3] = found->len;
    buf[4] = found->opcode;
    memcpy(buf + 5, found->usage, found->len - 1);
    return 4 + (size_t)found->len;
}

void scsi_hd_report_opcodes(struct scsi_hd *s, struct scsi_request *q)
{
    uint32_t alloc = ld_be32(q->cdb + 6);
    uint8_t buf[4 + 64 * 8] = { 0 };
    size_t n = 4;
    bool ok = (q->cdb[2] & 0x87) <= 3; /* no timeouts descriptors (RCTD) */

    if (ok && (q->cdb[2] & 7)) {
        n = one_opcode(q, buf, &ok);
    } else if (ok) {
        for (const struct scsi_hd_op *op = scsi_hd_ops(); op->len && n < sizeof buf; op++) {
            buf[n] = op->opcode;
            if (op->action != HD_NO_ACTION) {
                buf[n + 3] = op->action;
                buf[n + 5] = 1;
            }
            buf[n + 7] = op->len;
            n += 8;
        }
        st_be32(buf, (uint32_t)n - 4);
    }
    if (ok)
        scsi_reply(q, buf, n, alloc);
    else
        scsi_check(q, SCSI_INVALID_FIELD);
}

void scsi_hd_report_tmfs(struct scsi_hd *s, struct scsi_request *q)
{
    /* abort task, abort task set, logical unit reset, query task; query task set */
    static const uint8_t tmfs[4] = { 0x80 | 0x40 | 0x08 | 0x04, 0x01 };

    if (q->cdb[2] & 0x80)
        scsi_check(q, SCSI_INVALID_FIELD);
    else
        scsi_reply(q, tmfs, sizeof tmfs, ld_be32(q->cdb + 6));
}

/* The list of pages, which has itself alone. */
void scsi_hd_log_sense(struct scsi_hd *s, struct scsi_request *q)
{
    static const uint8_t pages[] = { 0x00, 0x00, 0x00, 0x01, 0x00 };

    if (q->cdb[2] & 0x3f || q->cdb[3])
        scsi_check(q, SCSI_INVALID_FIELD);
    else
        scsi_reply(q, pages, sizeof pages, ld_be16(q->cdb + 7));
}
