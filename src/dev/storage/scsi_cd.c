/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "scsi-cd": the CD/DVD drive of mmc.c as a SCSI unit. Its context is the main loop's, because
 * trays and media are the machine's. */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/trace.h"
#include "dev/storage/mmc.h"
#include "dev/storage/scsi.h"

enum { RAW_BLOCKS = 16 }; /* of a step of a raw read */

struct scsi_cd {
    struct scsi_lun lun;
    struct drive_user user;
    struct mmc mmc;
};

/* In q->buffer while a command is carried out. */
struct work {
    struct mmc_command c;
    uint8_t user[RAW_BLOCKS * MMC_BLOCK];
};

static struct scsi_cd *cd_of(const struct scsi_lun *u)
{
    return container_of(u, struct scsi_cd, lun);
}

static struct scsi_sense take_mmc_sense(struct mmc *m)
{
    struct scsi_sense s = { m->sense_key, m->asc, m->ascq };

    mmc_fail(m, 0, 0, 0);
    return s;
}

static void check(struct scsi_request *q)
{
    q->moved = 0;
    scsi_check(q, take_mmc_sense(&cd_of(q->unit)->mmc));
}

/* --- INQUIRY is SCSI's, with pages that MMC does not ask for --- */

static void inquiry(struct scsi_cd *s, struct scsi_request *q)
{
    uint8_t buf[256] = { 0 };
    bool serial = s->lun.conf.serial != NULL;
    size_t n = 0;

    if (!(q->cdb[1] & 1)) {
        n = q->cdb[2] ? 0 : scsi_inquiry_standard(&s->lun, 0x05, true, buf);
    } else if (!q->cdb[2]) {
        memcpy(buf, serial ? "\x05\0\0\x03\0\x80\x83" : "\x05\0\0\x02\0\x83", serial ? 7 : 6);
        n = serial ? 7 : 6;
    } else {
        n = scsi_inquiry_id(&s->lun, q->cdb[2], buf);
        buf[0] = 0x05;
    }
    if (n)
        scsi_reply(q, buf, n, ld_be16(q->cdb + 3));
    else
        scsi_check(q, SCSI_INVALID_FIELD);
}

/* --- reading the medium --- */

static void read_more(struct scsi_request *q);

static void read_done(struct blk_request *io, int result)
{
    struct scsi_request *q = container_of(io, struct scsi_request, io);
    struct work *w = q->buffer;
    uint8_t raw[MMC_RAW_BLOCK];

    if (result < 0) {
        mmc_read_failed(&cd_of(q->unit)->mmc, result);
        check(q);
        return;
    }
    for (uint32_t i = 0; w->c.block_bytes == MMC_RAW_BLOCK && i < io->r.len / MMC_BLOCK; i++) {
        struct disk_vec v = vec_slice(q->in, (q->pos + i) * MMC_RAW_BLOCK, MMC_RAW_BLOCK);

        mmc_raw_block(w->c.lba + (uint32_t)(q->pos + i), w->user + i * (size_t)MMC_BLOCK, raw);
        vec_from_buf(&v, raw);
    }
    q->pos += io->r.len / MMC_BLOCK;
    if (q->aborted)
        scsi_good(q); /* the outcome says more */
    else
        read_more(q);
}

static void read_more(struct scsi_request *q)
{
    struct work *w = q->buffer;
    uint64_t left = w->c.blocks - q->pos;
    bool raw = w->c.block_bytes == MMC_RAW_BLOCK;

    if (!left) {
        q->moved = (uint64_t)w->c.blocks * w->c.block_bytes;
        scsi_good(q);
        return;
    }
    if (!q->unit->blk || !mmc_ready(&cd_of(q->unit)->mmc)) { /* taken away meanwhile */
        mmc_read_failed(&cd_of(q->unit)->mmc, -ENOMEDIUM);
        check(q);
        return;
    }
    left = MIN(left, raw ? RAW_BLOCKS : DISK_MAX_REQUEST / MMC_BLOCK);
    q->io = (struct blk_request){ .blk = q->unit->blk, .done = read_done };
    q->io.r.op = DISK_OP_READ;
    q->io.r.offset = mmc_offset(w->c.lba) + q->pos * MMC_BLOCK;
    q->io.r.len = left * MMC_BLOCK;
    q->io.r.vec =
        raw ? vec_of(w->user, q->io.r.len) : vec_slice(q->in, q->pos * MMC_BLOCK, q->io.r.len);
    blk_submit(&q->io);
    blk_kick(q->unit->blk);
}

static void execute(struct scsi_request *q)
{
    struct scsi_cd *s = cd_of(q->unit);
    struct work *w;

    if (q->cdb[0] == 0x12) {
        inquiry(s, q);
        return;
    }
    w = q->buffer = xnew(struct work);
    memcpy(w->c.cdb, q->cdb, sizeof w->c.cdb);
    if (!mmc_execute(&s->mmc, &w->c)) {
        check(q);
        return;
    }
    switch (w->c.phase) {
    case MMC_NO_DATA: scsi_good(q); break;
    case MMC_DATA_IN: scsi_reply(q, w->c.data, w->c.len, w->c.len); break;
    case MMC_DATA_OUT:
        if (!scsi_take_params(q, w->c.data, w->c.len))
            break;
        if (mmc_data_out(&s->mmc, &w->c))
            scsi_good(q);
        else
            check(q);
        break;
    case MMC_MEDIUM_READ:
        if ((uint64_t)w->c.blocks * w->c.block_bytes > q->in.len)
            scsi_overrun(q);
        else
            read_more(q);
        break;
    }
}

static struct scsi_sense take_sense(struct scsi_lun *u)
{
    struct mmc *m = &cd_of(u)->mmc;
    struct mmc_command c = { .cdb = { 0x03 } };

    if (!mmc_execute(m, &c)) /* what waits to be told becomes the sense, either way */
        TRACE(scsi, "%s: REQUEST SENSE refused", u->dev.id);
    return take_mmc_sense(m);
}

static void unit_reset(struct scsi_lun *u)
{
    mmc_reset(&cd_of(u)->mmc, false);
}

static const struct scsi_lun_type cd_type = {
    .execute = execute,
    .take_sense = take_sense,
    .reset = unit_reset,
    .needs_machine_lock = true,
};

/* --- the medium --- */

static void medium_changed(void *opaque, struct drive *d)
{
    struct scsi_cd *s = opaque;

    mmc_medium_changed(&s->mmc);
    if (s->lun.bus->adapter->changed)
        s->lun.bus->adapter->changed(s->lun.bus, &s->lun, 0x0028);
}

static bool may_eject(void *opaque)
{
    return mmc_may_eject(&((struct scsi_cd *)opaque)->mmc);
}

/* --- life --- */

static void defaults(struct device *dev)
{
    scsi_lun_defaults(&((struct scsi_cd *)dev)->lun);
}

static bool init(struct device *dev, struct error *err)
{
    struct scsi_cd *s = (struct scsi_cd *)dev;
    struct blk_conf *c = &s->lun.conf;

    if (!c->logical_block_size)
        c->logical_block_size = MMC_BLOCK;
    if (!c->physical_block_size)
        c->physical_block_size = MAX(MMC_BLOCK, c->logical_block_size);
    if (c->logical_block_size != MMC_BLOCK)
        return fail(err, EINVAL, "logical_block_size=%u: blocks of a CD have %d bytes",
                    c->logical_block_size, MMC_BLOCK);
    if (!scsi_lun_init(&s->lun, &cd_type, err))
        return false;
    if (!s->lun.product)
        s->lun.product = xstrdup("QEMU CD-ROM");
    if (c->drive) {
        s->lun.blk = blk_new(dev->ctx.loop, scsi_lun_ctx(&s->lun), c, err);
        if (!s->lun.blk)
            return false;
        blk_set_burst_end(s->lun.blk, scsi_lun_burst_end, &s->lun);
        s->user = (struct drive_user){ medium_changed, may_eject, s };
        c->drive->user = &s->user;
    }
    mmc_init(&s->mmc, s->lun.blk, c->drive, s->lun.vendor, s->lun.product, s->lun.ver);
    scsi_lun_plugged(&s->lun);
    return true;
}

static void finish(struct device *dev)
{
    struct scsi_cd *s = (struct scsi_cd *)dev;
    struct drive *d = s->lun.conf.drive;

    scsi_lun_leave(&s->lun);
    blk_free(s->lun.blk);
    s->lun.blk = NULL;
    if (d && d->user == &s->user)
        d->user = NULL;
}

static void reset(struct device *dev)
{
    struct scsi_cd *s = (struct scsi_cd *)dev;

    scsi_lun_reset(&s->lun);
    mmc_reset(&s->mmc, false);
}

static void save(struct device *dev)
{
    scsi_lun_save(&((struct scsi_cd *)dev)->lun);
}

static bool loaded(struct device *dev, struct error *err)
{
    scsi_lun_loaded(&((struct scsi_cd *)dev)->lun);
    return true;
}

const struct device_type scsi_cd_type = {
    .name = "scsi-cd",
    .doc = "SCSI CD/DVD drive",
    .size = sizeof(struct scsi_cd),
    .bus = "SCSI",
    .category = DEVICE_STORAGE,
    .props = FIELDS(SCSI_LUN_PROPS(struct scsi_cd, lun)),
    .state = FIELDS(SCSI_LUN_STATE(struct scsi_cd, lun), MMC_STATE(struct scsi_cd, mmc)),
    .defaults = defaults,
    .init = init,
    .finish = finish,
    .reset = reset,
    .save = save,
    .loaded = loaded,
};
