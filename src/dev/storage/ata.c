/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of an ATA command: registers, data phases, end. What each command does is in
 * ata_command.c, ata_identify.c and atapi.c.
 */
#include "dev/storage/ata.h"

#include "base/bits.h"
#include "base/endian.h"

#include <errno.h>
#include <string.h>

static const struct ata_host *host(const struct ata_drive *d)
{
    return d->bus->host;
}

void ata_signature(struct ata_drive *d)
{
    d->regs.count = d->regs.lba[0] = 1;
    d->regs.lba[1] = d->atapi ? 0x14 : 0;
    d->regs.lba[2] = d->atapi ? 0xeb : 0;
    d->regs.hob_count = d->regs.hob_feature = 0;
    memset(d->regs.hob_lba, 0, sizeof d->regs.hob_lba);
}

static void end_command(struct ata_drive *d)
{
    d->busy = false;
    d->info = NULL;
    d->phase = ATA_NO_DATA;
    d->data_out = NULL;
    d->left = d->buffered = d->packet_left = 0;
    d->packet = false;
}

void ata_end_with(struct ata_drive *d, uint8_t status, uint8_t error, bool interrupt)
{
    end_command(d);
    d->regs.status = status;
    d->regs.error = error;
    host(d)->ended(d->bus->host_opaque, d, interrupt);
}

void ata_end(struct ata_drive *d)
{
    ata_end_with(d, ATA_DRDY | ATA_DSC, 0, true);
}

void ata_end_quiet(struct ata_drive *d)
{
    ata_end_with(d, ATA_DRDY | ATA_DSC, 0, false);
}

void ata_fail(struct ata_drive *d, uint8_t error)
{
    ata_end_with(d, ATA_DRDY | ATA_DSC | ATA_ERR, error, true);
}

void ata_fail_io(struct ata_drive *d, bool write)
{
    if (write) {
        ata_end_with(d, ATA_DRDY | ATA_DF | ATA_ERR, ATA_ABRT, true);
    } else {
        ata_set_lba(d, d->lba);
        ata_fail(d, ATA_UNC);
    }
}

/* --- addresses --- */

static bool chs_to_lba(const struct ata_drive *d, uint64_t *ret)
{
    uint32_t cyl = d->regs.lba[1] | d->regs.lba[2] << 8, head = d->regs.device & 15;
    uint32_t sec = d->regs.lba[0];
    *ret = ((uint64_t)cyl * d->cur_heads + head) * d->cur_secs + sec - 1;
    return sec >= 1 && sec <= d->cur_secs && head < d->cur_heads;
}

uint64_t ata_get_lba(const struct ata_drive *d, bool lba48, bool *ret_ok)
{
    const struct ata_regs *r = &d->regs;
    uint64_t low = r->lba[0] | r->lba[1] << 8 | (uint32_t)r->lba[2] << 16, lba;
    *ret_ok = true;
    if (lba48) {
        uint64_t high = r->hob_lba[0] | r->hob_lba[1] << 8 | (uint32_t)r->hob_lba[2] << 16;
        return high << 24 | low;
    }
    if (r->device & ATA_DEV_LBA)
        return (uint64_t)(r->device & 15) << 24 | low;
    *ret_ok = chs_to_lba(d, &lba);
    return *ret_ok ? lba : 0;
}

void ata_set_lba(struct ata_drive *d, uint64_t lba)
{
    struct ata_regs *r = &d->regs;
    bool lba48 = d->info && d->info->flags & ATA_LBA48;
    if (!lba48 && !(r->device & ATA_DEV_LBA)) {
        uint64_t track = lba / d->cur_secs;
        r->lba[0] = (uint8_t)(lba % d->cur_secs + 1);
        r->device = (r->device & 0xf0) | track % d->cur_heads;
        r->lba[1] = (uint8_t)(track / d->cur_heads);
        r->lba[2] = (uint8_t)(track / d->cur_heads >> 8);
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        r->lba[i] = (uint8_t)(lba >> 8 * i);
        r->hob_lba[i] = lba48 ? (uint8_t)(lba >> (24 + 8 * i)) : 0;
    }
    if (!lba48)
        r->device = (r->device & 0xf0) | (lba >> 24 & 15);
}

/* --- PIO --- */

static uint32_t block_bytes(const struct ata_drive *d)
{
    bool multiple = d->info && d->info->flags & ATA_MULTIPLE;
    return ATA_SECTOR * (multiple ? d->multiple : 1);
}

static void offer_block(struct ata_drive *d)
{
    d->data_len = MIN(d->buffered, block_bytes(d));
    d->buffered -= d->data_len;
    d->phase = ATA_PIO_IN;
    d->regs.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    host(d)->pio(d->bus->host_opaque, d, true);
}

void ata_give(struct ata_drive *d, uint32_t len)
{
    d->medium_in = false;
    d->data_at = 0;
    d->buffered = len;
    offer_block(d);
}

void ata_want(struct ata_drive *d, uint32_t len, bool interrupt, void (*fn)(struct ata_drive *d))
{
    d->data_at = 0;
    d->data_len = len;
    d->data_out = fn;
    d->phase = ATA_PIO_OUT;
    d->regs.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    host(d)->pio(d->bus->host_opaque, d, interrupt);
}

void ata_submit(struct ata_drive *d, enum disk_op op, uint64_t sector, uint32_t sectors,
                void (*done)(struct blk_request *q, int result))
{
    uint64_t len = (uint64_t)sectors * ATA_SECTOR;
    bool data = op == DISK_OP_READ || op == DISK_OP_WRITE;
    d->regs.status = ATA_DRDY | ATA_BSY;
    d->iov = (struct iovec){ d->data, len };
    d->pio_req = (struct blk_request){
        .r = { .op = op,
               .offset = sector * ATA_SECTOR,
               .len = len,
               .vec = data ? vec_of_iov(&d->iov, 1) : (struct disk_vec){ 0 },
               .flags = op == DISK_OP_WRITE && d->fua ? DISK_FUA : 0 },
        .blk = d->blk,
        .done = done,
    };
    blk_submit(&d->pio_req);
    blk_kick(d->blk);
}

static struct ata_drive *of_request(struct blk_request *q)
{
    return container_of(q, struct ata_drive, pio_req);
}

static void read_chunk(struct ata_drive *d, uint32_t limit);

static void chunk_read(struct blk_request *q, int result)
{
    struct ata_drive *d = of_request(q);
    uint32_t n = (uint32_t)(q->r.len / ATA_SECTOR), block = block_bytes(d) / ATA_SECTOR;
    if (d->cancelling)
        return;
    if (result < 0) {
        /* The sectors before the bad one come over: go on in single blocks. */
        if (n > block)
            read_chunk(d, block);
        else
            ata_fail_io(d, false);
        return;
    }
    d->left -= n;
    d->lba += n;
    d->data_at = 0;
    d->buffered = n * ATA_SECTOR;
    offer_block(d);
}

static void read_chunk(struct ata_drive *d, uint32_t limit)
{
    ata_submit(d, DISK_OP_READ, d->lba, MIN(d->left, limit), chunk_read);
}

static void want_block(struct ata_drive *d, bool interrupt);

static void block_written(struct blk_request *q, int result)
{
    struct ata_drive *d = of_request(q);
    uint32_t n = (uint32_t)(q->r.len / ATA_SECTOR);
    if (d->cancelling)
        return;
    if (result < 0) {
        ata_fail_io(d, true);
        return;
    }
    d->left -= n;
    d->lba += n;
    if (d->left)
        want_block(d, true);
    else
        ata_end(d);
}

static void write_block(struct ata_drive *d)
{
    ata_submit(d, DISK_OP_WRITE, d->lba, d->data_len / ATA_SECTOR, block_written);
}

static void want_block(struct ata_drive *d, bool interrupt)
{
    uint32_t n = MIN(d->left, block_bytes(d) / ATA_SECTOR);
    ata_want(d, n * ATA_SECTOR, interrupt, write_block);
}

void ata_pio_moved(struct ata_drive *d)
{
    if (d->phase == ATA_PIO_OUT) {
        void (*fn)(struct ata_drive * d) = d->data_out;
        d->phase = ATA_NO_DATA;
        d->regs.status = ATA_DRDY | ATA_BSY;
        fn(d);
    } else if (d->phase == ATA_PIO_IN && d->packet) {
        atapi_pio_moved(d);
    } else if (d->phase == ATA_PIO_IN) {
        d->data_at += d->data_len;
        if (d->buffered)
            offer_block(d);
        else if (d->left && d->medium_in)
            read_chunk(d, ATA_BUFFER_SECTORS);
        else
            ata_end_quiet(d);
    }
}

/* --- the medium --- */

/* Sets lba and left from the registers. False: the command has ended with an error. */
static bool take_range(struct ata_drive *d)
{
    bool lba48 = d->info->flags & ATA_LBA48, ok;
    uint32_t n;
    d->lba = ata_get_lba(d, lba48, &ok);
    if (d->info->flags & ATA_QUEUED)
        n = d->regs.feature | d->regs.hob_feature << 8;
    else
        n = d->regs.count | (lba48 ? d->regs.hob_count << 8 : 0);
    d->left = n ? n : lba48 ? 65536 : 256;
    d->fua = d->info->flags & ATA_WITH_FUA;
    if (!ok || d->lba > d->max_sectors || d->left > d->max_sectors - d->lba) {
        ata_fail(d, ATA_IDNF);
        return false;
    }
    return true;
}

void ata_read_pio(struct ata_drive *d)
{
    if (!take_range(d))
        return;
    d->medium_in = true;
    read_chunk(d, ATA_BUFFER_SECTORS);
}

void ata_write_pio(struct ata_drive *d)
{
    if (take_range(d))
        want_block(d, false);
}

static void verified(struct blk_request *q, int result)
{
    struct ata_drive *d = of_request(q);
    uint32_t n = (uint32_t)(q->r.len / ATA_SECTOR);
    if (d->cancelling)
        return;
    if (result < 0 && n > 1) {
        ata_submit(d, DISK_OP_READ, d->lba, 1, verified);
        return;
    }
    if (result < 0) {
        ata_fail_io(d, false);
        return;
    }
    d->left -= n;
    d->lba += n;
    if (d->left)
        ata_submit(d, DISK_OP_READ, d->lba, MIN(d->left, ATA_BUFFER_SECTORS), verified);
    else
        ata_end(d);
}

void ata_verify(struct ata_drive *d)
{
    if (take_range(d))
        ata_submit(d, DISK_OP_READ, d->lba, MIN(d->left, ATA_BUFFER_SECTORS), verified);
}

/* --- DMA --- */

void ata_ask_dma(struct ata_drive *d, struct ata_task *t, bool to_host, uint32_t len)
{
    t->drive = d;
    t->to_host = to_host;
    t->len = len;
    t->active = true;
    t->running = false;
    host(d)->dma(d->bus->host_opaque, t);
}

void ata_dma(struct ata_drive *d)
{
    struct ata_task *t = &d->task[0];
    if (!take_range(d))
        return;
    t->tag = 0;
    t->queued = false;
    t->medium = true;
    t->fua = d->fua;
    t->lba = d->lba;
    d->regs.status = ATA_DRDY | ATA_BSY;
    ata_ask_dma(d, t, !(d->info->flags & ATA_WRITES), d->left * ATA_SECTOR);
}

void ata_dma_buffer(struct ata_drive *d, uint32_t len, bool to_host)
{
    struct ata_task *t = &d->task[0];
    t->tag = 0;
    t->queued = t->medium = t->fua = false;
    d->regs.status = ATA_DRDY | ATA_BSY;
    ata_ask_dma(d, t, to_host, len);
}

void ata_queued(struct ata_drive *d)
{
    unsigned tag = d->regs.count >> 3;
    struct ata_task *t = &d->task[tag];
    if (!d->bus->ncq || d->tags & BIT(tag) || t->active) {
        ata_fail(d, ATA_ABRT);
        return;
    }
    if (!take_range(d))
        return;
    t->tag = (uint8_t)tag;
    t->queued = t->medium = true;
    t->fua = d->regs.device & 0x80;
    t->lba = d->lba;
    d->tags |= BIT(tag);
    uint32_t len = d->left * ATA_SECTOR;
    bool to_host = !(d->info->flags & ATA_WRITES);
    end_command(d);
    d->regs.status = ATA_DRDY | ATA_DSC;
    d->regs.error = 0;
    host(d)->queued(d->bus->host_opaque, d);
    ata_ask_dma(d, t, to_host, len);
}

static void queued_failed(struct ata_drive *d, struct ata_task *t, uint8_t status, uint8_t error)
{
    uint8_t *log = d->ncq_log;
    memset(log, 0, ATA_SECTOR);
    log[0] = t->tag;
    log[2] = status;
    log[3] = error;
    for (unsigned i = 0; i < 3; i++) {
        log[4 + i] = (uint8_t)(t->lba >> 8 * i);
        log[8 + i] = (uint8_t)(t->lba >> (24 + 8 * i));
    }
    log[7] = ATA_DEV_LBA;
    d->ncq_error = true;
    d->regs.status = status;
    d->regs.error = error;
    host(d)->queued_ended(d->bus->host_opaque, d, t->tag, false);
}

/* The task is over: memory is given up, the command ends. */
static void task_ended(struct ata_task *t, int result, size_t moved)
{
    struct ata_drive *d = t->drive;
    t->active = t->running = false;
    host(d)->dma_moved(d->bus->host_opaque, t, result < 0 ? 0 : moved);
    sg_end(&t->sg, t->to_host && result >= 0 ? moved : 0);
    if (d->cancelling)
        return;
    if (t->queued) {
        d->tags &= ~BIT(t->tag);
        if (d->ncq_error)
            return; /* all others are void after an error (ACS-3 4.15.5) */
        if (result < 0 && !t->to_host)
            queued_failed(d, t, ATA_DRDY | ATA_DF | ATA_ERR, ATA_ABRT);
        else if (result < 0)
            queued_failed(d, t, ATA_DRDY | ATA_DSC | ATA_ERR, ATA_UNC);
        else
            host(d)->queued_ended(d->bus->host_opaque, d, t->tag, true);
    } else if (d->packet) {
        atapi_dma_ended(d, result);
    } else if (!t->medium && d->data_out && result >= 0) {
        d->data_out(d);
    } else if (result < 0) {
        ata_fail_io(d, !t->to_host);
    } else {
        ata_end(d);
    }
}

static void task_done(struct blk_request *q, int result)
{
    struct ata_task *t = container_of(q, struct ata_task, req);
    task_ended(t, result, t->req.r.len);
}

void ata_dma_go(struct ata_task *t)
{
    struct ata_drive *d = t->drive;
    size_t n = MIN((size_t)t->len, t->sg.len);
    bool more = n < t->len;
    if (!t->medium) {
        if (t->to_host)
            n = sg_put(&t->sg, 0, d->data, n);
        else
            n = sg_get(&t->sg, 0, d->data, n);
    }
    if (more) {
        /* the host's memory ended first: the drive waits for it with data on its hands */
        d->regs.status = ATA_DRDY | ATA_DSC | ATA_DRQ;
        host(d)->dma_moved(d->bus->host_opaque, t, t->medium ? 0 : n);
        sg_end(&t->sg, t->medium ? 0 : n);
        t->active = false;
        return;
    }
    if (!t->medium) {
        task_ended(t, 0, n);
        return;
    }
    t->running = true;
    t->req = (struct blk_request){
        .r = { .op = t->to_host ? DISK_OP_READ : DISK_OP_WRITE,
               .offset = t->lba * ATA_SECTOR,
               .len = n,
               .vec = sg_vec(&t->sg, 0, n),
               .flags = t->fua && !t->to_host ? DISK_FUA : 0 },
        .blk = d->blk,
        .done = task_done,
    };
    blk_submit(&t->req);
    blk_kick(d->blk);
}

void ata_dma_fail(struct ata_task *t)
{
    struct ata_drive *d = t->drive;
    sg_end(&t->sg, 0);
    t->active = false;
    if (t->queued) {
        d->tags &= ~BIT(t->tag);
        if (!d->ncq_error)
            queued_failed(d, t, ATA_DRDY | ATA_DSC | ATA_ERR, ATA_ABRT);
    } else {
        ata_fail(d, ATA_ABRT);
    }
}

/* --- commands and resets --- */

void ata_cancel(struct ata_drive *d)
{
    d->cancelling = true;
    if (d->blk)
        blk_drain(d->blk);
    for (unsigned i = 0; i < ATA_TAGS; i++) {
        struct ata_task *t = &d->task[i];
        if (t->active)
            sg_end(&t->sg, 0);
        t->active = t->running = false;
    }
    end_command(d);
    d->tags = 0;
    d->cancelling = false;
}

void ata_reset(struct ata_drive *d, bool hard)
{
    ata_cancel(d);
    if (hard) {
        memset(&d->regs, 0, sizeof d->regs);
        d->max_sectors = d->sectors;
        d->cur_heads = (uint8_t)d->heads;
        d->cur_secs = (uint8_t)d->secs;
        d->multiple = d->atapi ? 0 : ATA_MULTIPLE_MAX;
        d->udma = BIT(5);
        d->mdma = 0;
        d->look_ahead = true;
        d->smart = true;
        d->smart_selftest = 0;
        d->native_max_read = false;
    }
    d->standby = false;
    d->ncq_error = false;
    ata_signature(d);
    d->regs.device &= d->atapi ? ATA_DEV_UNIT : 0;
    d->regs.error = 1; /* diagnostics passed */
    d->regs.status = d->atapi ? 0 : ATA_DRDY | ATA_DSC;
}

void ata_command(struct ata_drive *d)
{
    const struct ata_command_info *info = ata_command_find(d->regs.command, d->atapi);
    bool native_max = d->native_max_read;
    d->info = info;
    d->busy = true;
    d->fua = d->medium_in = false;
    d->left = d->buffered = 0;
    d->native_max_read = false;
    d->regs.error = 0;
    d->regs.status = ATA_DRDY | ATA_BSY;
    if (d->regs.command != 0xe5 && d->regs.command != 0x98)
        d->standby = false;
    if (!info || (d->ncq_error && d->regs.command != 0x2f && d->regs.command != 0x47) ||
        (d->tags && !(info->flags & ATA_QUEUED))) {
        if (d->tags)
            d->ncq_error = true; /* a command without a tag among queued ones ends them all */
        ata_fail(d, ATA_ABRT);
        return;
    }
    if (info->flags & ATA_WRITES && d->blk && blk_read_only(d->blk)) {
        ata_fail(d, ATA_ABRT);
        return;
    }
    if (info->flags & ATA_MULTIPLE && !d->multiple) {
        ata_fail(d, ATA_ABRT);
        return;
    }
    if (d->regs.command == 0xf9 || d->regs.command == 0x37)
        d->native_max_read = native_max; /* these want it straight before them */
    info->run(d);
}
