/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of the namespace (NVMe 1.4 chapter 6), and FORMAT NVM, which works on it too. */
#include "base/alloc.h"
#include "base/endian.h"
#include "dev/storage/nvme_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    OP_FLUSH = 0x00,
    OP_WRITE = 0x01,
    OP_READ = 0x02,
    OP_COMPARE = 0x05,
    OP_WRITE_ZEROES = 0x08,
    OP_DATASET = 0x09,
    OP_VERIFY = 0x0c,
    CDW_NSID = 4,
    CDW10 = 40,
    CDW12 = 48,
    CDW11 = 44,
    CDW12_FUA = (int)BIT(30),
    CDW12_DEALLOCATE = (int)BIT(25),
    CDW11_DEALLOCATE = (int)BIT(2),
    RANGE_BYTES = 16,
    RANGES_MAX = 256,
};

static uint16_t read_failed(int error)
{
    return error == -ENOMEDIUM ? NVME_INTERNAL_ERROR : NVME_UNRECOVERED_READ;
}

static uint16_t write_failed(int error)
{
    return error == -ENOSPC  ? NVME_CAPACITY
           : error == -EROFS ? NVME_READ_ONLY | NVME_DNR
                             : NVME_WRITE_FAULT;
}

static struct nvme_req *of_request(struct blk_request *q)
{
    return container_of(q, struct nvme_req, req);
}

static uint16_t submit(struct nvme_req *r, enum disk_op op, uint64_t lba, uint64_t blocks,
                       unsigned flags, void (*done)(struct blk_request *q, int result))
{
    unsigned shift = nvme_block_shift(r->n);
    r->req = (struct blk_request){
        .r = { .op = op, .offset = lba << shift, .len = blocks << shift, .flags = flags },
        .blk = r->n->blk,
        .done = done,
    };
    if (op == DISK_OP_READ || op == DISK_OP_WRITE)
        r->req.r.vec = r->buf ? vec_of(r->buf, r->len) : sg_vec(&r->sg, 0, r->len);
    blk_submit(&r->req);
    return NVME_NO_COMPLETION;
}

/* Sets lba and len from the command. */
static uint16_t take_range(struct nvme_req *r, bool transfers)
{
    uint64_t lba = ld_le64(r->cmd + CDW10), all = nvme_blocks(r->n);
    uint32_t n = ld_le16(r->cmd + CDW12) + 1u;
    uint64_t bytes = (uint64_t)n << nvme_block_shift(r->n);
    if (transfers && bytes > nvme_max_transfer(r->n))
        return NVME_INVALID_FIELD | NVME_DNR;
    if (lba > all || n > all - lba)
        return NVME_LBA_RANGE | NVME_DNR;
    r->lba = lba;
    r->count = n;
    r->len = (uint32_t)bytes; /* 65536 blocks of 4096 bytes at most */
    return NVME_OK;
}

static void flushed(struct blk_request *q, int result)
{
    nvme_complete(of_request(q), result < 0 ? NVME_WRITE_FAULT : NVME_OK);
}

static uint16_t flush(struct nvme_req *r)
{
    return submit(r, DISK_OP_FLUSH, 0, 0, 0, flushed);
}

static void was_read(struct blk_request *q, int result)
{
    struct nvme_req *r = of_request(q);
    sg_end(&r->sg, result < 0 ? 0 : r->len);
    nvme_complete(r, result < 0 ? read_failed(result) : NVME_OK);
}

static void was_written(struct blk_request *q, int result)
{
    struct nvme_req *r = of_request(q);
    sg_end(&r->sg, 0);
    nvme_complete(r, result < 0 ? write_failed(result) : NVME_OK);
}

static unsigned write_flags(const struct nvme_req *r)
{
    return ld_le32(r->cmd + CDW12) & (uint32_t)CDW12_FUA ? DISK_FUA : 0;
}

static uint16_t read_write(struct nvme_req *r)
{
    bool in = r->cmd[0] == OP_READ;
    uint16_t status = take_range(r, true);
    if (!status && !in && blk_read_only(r->n->blk))
        status = NVME_READ_ONLY | NVME_DNR;
    if (!status)
        status = nvme_map(r, r->len, in, false);
    if (status) {
        sg_end(&r->sg, 0);
        return status;
    }
    return submit(r, in ? DISK_OP_READ : DISK_OP_WRITE, r->lba, r->count, in ? 0 : write_flags(r),
                  in ? was_read : was_written);
}

static uint16_t write_zeroes(struct nvme_req *r)
{
    unsigned flags = write_flags(r);
    uint16_t status = take_range(r, false);
    if (status)
        return status;
    if (blk_read_only(r->n->blk))
        return NVME_READ_ONLY | NVME_DNR;
    if (ld_le32(r->cmd + CDW12) & CDW12_DEALLOCATE)
        flags |= DISK_MAY_UNMAP;
    return submit(r, DISK_OP_ZERO, r->lba, r->count, flags, was_written);
}

/* --- COMPARE and VERIFY: through a buffer of our own --- */

static void compare_read(struct blk_request *q, int result)
{
    struct nvme_req *r = of_request(q);
    uint16_t status = result < 0 ? read_failed(result) : NVME_OK;
    uint8_t theirs[NVME_PAGE];
    for (uint32_t at = 0; !status && r->cmd[0] == OP_COMPARE && at < r->len; at += sizeof theirs) {
        uint32_t n = MIN(r->len - at, (uint32_t)sizeof theirs);
        if (sg_get(&r->sg, at, theirs, n) != n || memcmp(theirs, r->buf + at, n) != 0)
            status = NVME_COMPARE_FAILURE | NVME_DNR;
    }
    sg_end(&r->sg, 0);
    nvme_complete(r, status);
}

static uint16_t compare_verify(struct nvme_req *r)
{
    uint16_t status = take_range(r, r->cmd[0] == OP_COMPARE);
    if (!status && r->len > NVME_BUFFER_MAX)
        status = NVME_INVALID_FIELD | NVME_DNR;
    if (!status && r->cmd[0] == OP_COMPARE)
        status = nvme_map(r, r->len, false, false);
    if (status) {
        sg_end(&r->sg, 0);
        return status;
    }
    r->buf = xcalloc(1, r->len);
    return submit(r, DISK_OP_READ, r->lba, r->count, 0, compare_read);
}

/* --- DATASET MANAGEMENT --- */

static void range_discarded(struct blk_request *q, int result);

static uint16_t discard_next(struct nvme_req *r)
{
    while (r->at < r->count) {
        const uint8_t *range = r->buf + (size_t)r->at++ * RANGE_BYTES;
        if (ld_le32(range + 4))
            return submit(r, DISK_OP_DISCARD, ld_le64(range + 8), ld_le32(range + 4), 0,
                          range_discarded);
    }
    return NVME_OK;
}

/* A discard is a hint: that one failed changes nothing for the others. */
static void range_discarded(struct blk_request *q, int result)
{
    struct nvme_req *r = of_request(q);
    uint16_t status = r->n->resetting ? NVME_OK : discard_next(r);
    if (status != NVME_NO_COMPLETION)
        nvme_complete(r, status);
}

static uint16_t dataset_management(struct nvme_req *r)
{
    uint64_t all = nvme_blocks(r->n);
    r->count = (ld_le32(r->cmd + CDW10) & 0xff) + 1;
    r->at = 0;
    r->buf = xcalloc(RANGES_MAX, RANGE_BYTES);
    uint16_t status = nvme_take(r, r->buf, r->count * RANGE_BYTES, false);
    if (status || !(ld_le32(r->cmd + CDW11) & CDW11_DEALLOCATE))
        return status; /* the other attributes are hints about access */
    for (uint32_t i = 0; i < r->count; i++) {
        const uint8_t *range = r->buf + (size_t)i * RANGE_BYTES;
        if (ld_le64(range + 8) > all || ld_le32(range + 4) > all - ld_le64(range + 8))
            return NVME_LBA_RANGE | NVME_DNR;
    }
    if (blk_read_only(r->n->blk))
        return NVME_READ_ONLY | NVME_DNR;
    return discard_next(r);
}

uint16_t nvme_io(struct nvme_req *r)
{
    uint32_t nsid = ld_le32(r->cmd + CDW_NSID);
    bool all_of_them = r->cmd[0] == OP_FLUSH && nsid == UINT32_MAX;
    if (nsid != NVME_NSID && !all_of_them)
        return NVME_INVALID_NAMESPACE | NVME_DNR;
    if (r->cmd[1] & 3) /* fused operations are not offered */
        return NVME_INVALID_FIELD | NVME_DNR;
    switch (r->cmd[0]) {
    case OP_FLUSH: return flush(r);
    case OP_WRITE:
    case OP_READ: return read_write(r);
    case OP_COMPARE:
    case OP_VERIFY: return compare_verify(r);
    case OP_WRITE_ZEROES: return write_zeroes(r);
    case OP_DATASET: return dataset_management(r);
    default: return NVME_INVALID_OPCODE | NVME_DNR;
    }
}

/* --- what admin commands do to the namespace --- */

static void formatted(struct blk_request *q, int result)
{
    struct nvme_req *r = of_request(q);
    if (result >= 0)
        r->n->lba_format = ld_le32(r->cmd + CDW10) & 15;
    nvme_complete(r, result < 0 ? write_failed(result) : NVME_OK);
}

/* Every block reads as zeroes afterwards; there is no metadata, no protection. */
uint16_t nvme_format(struct nvme_req *r)
{
    uint32_t cdw10 = ld_le32(r->cmd + CDW10), nsid = ld_le32(r->cmd + CDW_NSID);
    unsigned erase = cdw10 >> 9 & 7;
    if (nsid != NVME_NSID && nsid != UINT32_MAX)
        return NVME_INVALID_NAMESPACE | NVME_DNR;
    if ((cdw10 & 15) >= NVME_LBA_FORMATS || cdw10 & 0x1f0)
        return NVME_INVALID_FORMAT | NVME_DNR;
    if (erase > 1)
        return NVME_INVALID_FIELD | NVME_DNR;
    if (blk_read_only(r->n->blk))
        return NVME_READ_ONLY | NVME_DNR;
    return submit(r, DISK_OP_ZERO, 0, nvme_blocks(r->n), DISK_MAY_UNMAP, formatted);
}

uint16_t nvme_set_write_cache(struct nvme_req *r, bool on)
{
    r->n->write_cache = on;
    blk_set_write_through(r->n->blk, !on);
    return on ? NVME_OK : flush(r); /* what was written so far is safe when the command ends */
}
