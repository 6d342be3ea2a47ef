/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "scsi-hd": its properties, and the table of its commands. */
#include "dev/storage/scsi_hd.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"

static struct scsi_hd *hd(struct scsi_lun *u)
{
    return container_of(u, struct scsi_hd, lun);
}

uint64_t scsi_hd_blocks(const struct scsi_hd *s)
{
    return blk_sectors(s->lun.blk) / (scsi_hd_block(s) / BLK_SECTOR);
}

bool scsi_hd_discards(const struct scsi_hd *s)
{
    return s->lun.conf.discard_granularity != 0;
}

/* --- commands --- */

static void test_unit_ready(struct scsi_hd *s, struct scsi_request *q)
{
    scsi_good(q);
}

/* One initiator: it has the unit for itself anyway (RESERVE, RELEASE), and passes any self-test. */
static void nothing(struct scsi_hd *s, struct scsi_request *q)
{
    scsi_good(q);
}

static void send_diagnostic(struct scsi_hd *s, struct scsi_request *q)
{
    if (q->cdb[1] & 0x04) /* SELFTEST: the default one */
        scsi_good(q);
    else
        scsi_check(q, SCSI_INVALID_FIELD);
}

static void prevent_removal(struct scsi_hd *s, struct scsi_request *q)
{
    s->locked = q->cdb[4] & 1;
    scsi_good(q);
}

static void start_stop(struct scsi_hd *s, struct scsi_request *q)
{
    bool start = q->cdb[4] & 1, load = q->cdb[4] & 2;

    if (q->cdb[4] >> 4) { /* power condition: there is but one */
        scsi_good(q);
    } else if (load && !s->removable) {
        scsi_check(q, SCSI_INVALID_FIELD);
    } else if (load && !start && s->locked) {
        scsi_check(q, SCSI_REMOVAL_PREVENTED);
    } else {
        if (load && !start)
            drive_eject(s->lun.conf.drive);
        s->stopped = !start;
        scsi_good(q);
    }
}

#define FF8 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
#define FF4 0xff, 0xff, 0xff, 0xff

static const struct scsi_hd_op ops[] = {
    { 0x00, HD_NO_ACTION, HD_MEDIUM, 6, test_unit_ready, { 0 } },
    { 0x03, HD_NO_ACTION, 0, 6, NULL, { 1, 0, 0, 0xff } }, /* REQUEST SENSE: the bus does it */
    { 0x08, HD_NO_ACTION, HD_MEDIUM | HD_ACCESS, 6, scsi_hd_read, { 0x1f, 0xff, 0xff, 0xff } },
    { 0x0a,
      HD_NO_ACTION,
      HD_MEDIUM | HD_ACCESS | HD_WRITES,
      6,
      scsi_hd_write,
      { 0x1f, 0xff, 0xff, 0xff } },
    { 0x12, HD_NO_ACTION, 0, 6, scsi_hd_inquiry, { 1, 0xff, 0xff, 0xff } },
    { 0x15, HD_NO_ACTION, 0, 6, scsi_hd_mode_select, { 0x11, 0, 0, 0xff } },
    { 0x16, HD_NO_ACTION, 0, 6, nothing, { 0 } },
    { 0x17, HD_NO_ACTION, 0, 6, nothing, { 0 } },
    { 0x1a, HD_NO_ACTION, 0, 6, scsi_hd_mode_sense, { 0x08, 0xff, 0xff, 0xff } },
    { 0x1b, HD_NO_ACTION, 0, 6, start_stop, { 1, 0, 0, 0xf3 } },
    { 0x1d, HD_NO_ACTION, 0, 6, send_diagnostic, { 0x04 } },
    { 0x1e, HD_NO_ACTION, 0, 6, prevent_removal, { 0, 0, 0, 1 } },
    { 0x25, HD_NO_ACTION, HD_MEDIUM, 10, scsi_hd_read_capacity_10, { 0 } },
    { 0x28, HD_NO_ACTION, HD_MEDIUM | HD_ACCESS, 10, scsi_hd_read, { 0x18, FF4, 0, 0xff, 0xff } },
    { 0x2a,
      HD_NO_ACTION,
      HD_MEDIUM | HD_ACCESS | HD_WRITES,
      10,
      scsi_hd_write,
      { 0x18, FF4, 0, 0xff, 0xff } },
    { 0x2b, HD_NO_ACTION, HD_MEDIUM, 10, scsi_hd_seek, { 0, FF4 } },
    { 0x2e,
      HD_NO_ACTION,
      HD_MEDIUM | HD_ACCESS | HD_WRITES,
      10,
      scsi_hd_write,
      { 0x10, FF4, 0, 0xff, 0xff } },
    { 0x2f, HD_NO_ACTION, HD_MEDIUM | HD_ACCESS, 10, scsi_hd_verify, { 0x16, FF4, 0, 0xff, 0xff } },
    { 0x34, HD_NO_ACTION, HD_MEDIUM, 10, scsi_hd_seek, { 2, FF4, 0, 0xff, 0xff } },
    { 0x35, HD_NO_ACTION, HD_MEDIUM | HD_ACCESS, 10, scsi_hd_sync, { 2, FF4, 0, 0xff, 0xff } },
    { 0x41,
      HD_NO_ACTION,
      HD_MEDIUM | HD_ACCESS | HD_WRITES,
      10,
      scsi_hd_write_same,
      { 0x08, FF4, 0, 0xff, 0xff } },
    { 0x42,
      HD_NO_ACTION,
      HD_MEDIUM | HD_ACCESS | HD_WRITES,
      10,
      scsi_hd_unmap,
      { 0, 0, 0, 0, 0, 0, 0xff, 0xff } },
    { 0x4d, HD_NO_ACTION, 0, 10, scsi_hd_log_sense, { 0, 0xff, 0xff, 0, 0, 0, 0xff, 0xff } },
    { 0x55, HD_NO_ACTION, 0, 10, scsi_hd_mode_select, { 0x11, 0, 0, 0, 0, 0, 0xff, 0xff } },
    { 0x56, HD_NO_ACTION, 0, 10, nothing, { 0 } },
    { 0x57, HD_NO_ACTION, 0, 10, nothing, { 0 } },
    { 0x5a, HD_NO_ACTION, 0, 10, scsi_hd_mode_sense, { 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff } },
    { 0x88, HD_NO_ACTION, HD_MEDIUM | HD_ACCESS, 16, scsi_hd_read, { 0x18, FF8, FF4 } },
    { 0x89,
      HD_NO_ACTION,
      HD_MEDIUM | HD_ACCESS | HD_WRITES | HD_ALONE,
      16,
      scsi_hd_compare_write,
      { 0x18, FF8, 0, 0, 0, 0xff } },
    { 0x8a,
      HD_NO_ACTION,
      HD_MEDIUM | HD_ACCESS | HD_WRITES,
      16,
      scsi_hd_write,
      { 0x18, FF8, FF4 } },
    { 0x8e,
      HD_NO_ACTION,
      HD_MEDIUM | HD_ACCESS | HD_WRITES,
      16,
      scsi_hd_write,
      { 0x10, FF8, FF4 } },
    { 0x8f, HD_NO_ACTION, HD_MEDIUM | HD_ACCESS, 16, scsi_hd_verify, { 0x16, FF8, FF4 } },
    { 0x90, HD_NO_ACTION, HD_MEDIUM, 16, scsi_hd_seek, { 2, FF8, FF4 } },
    { 0x91, HD_NO_ACTION, HD_MEDIUM | HD_ACCESS, 16, scsi_hd_sync, { 2, FF8, FF4 } },
    { 0x93,
      HD_NO_ACTION,
      HD_MEDIUM | HD_ACCESS | HD_WRITES,
      16,
      scsi_hd_write_same,
      { 0x09, FF8, FF4 } },
    { 0x9e, 0x10, HD_MEDIUM, 16, scsi_hd_read_capacity_16, { 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, FF4 } },
    { 0xa0, HD_NO_ACTION, 0, 12, NULL, { 0, 0xff, 0, 0, 0, FF4 } }, /* REPORT LUNS: the bus */
    { 0xa3, 0x0c, 0, 12, scsi_hd_report_opcodes, { 0x1f, 0x87, 0xff, 0xff, 0xff, FF4 } },
    { 0xa3, 0x0d, 0, 12, scsi_hd_report_tmfs, { 0x1f, 0x80, 0, 0, 0, FF4 } },
    { 0xa8, HD_NO_ACTION, HD_MEDIUM | HD_ACCESS, 12, scsi_hd_read, { 0x18, FF8 } },
    { 0xaa, HD_NO_ACTION, HD_MEDIUM | HD_ACCESS | HD_WRITES, 12, scsi_hd_write, { 0x18, FF8 } },
    { 0xae, HD_NO_ACTION, HD_MEDIUM | HD_ACCESS | HD_WRITES, 12, scsi_hd_write, { 0x10, FF8 } },
    { 0xaf, HD_NO_ACTION, HD_MEDIUM | HD_ACCESS, 12, scsi_hd_verify, { 0x16, FF8 } },
    { .len = 0 },
};

const struct scsi_hd_op *scsi_hd_ops(void)
{
    return ops;
}

static const struct scsi_hd_op *find_op(const struct scsi_request *q, bool *ret_bad_action)
{
    *ret_bad_action = false;
    for (const struct scsi_hd_op *op = ops; op->len; op++) {
        if (op->opcode != q->cdb[0] || !op->run)
            continue;
        if (op->action == HD_NO_ACTION || op->action == (q->cdb[1] & 0x1f))
            return op;
        *ret_bad_action = true;
    }
    return NULL;
}

/* --- order at the medium --- */

static void enter(struct scsi_hd *s, const struct scsi_hd_op *op, struct scsi_request *q)
{
    s->active++;
    s->alone = op->flags & HD_ALONE;
    op->run(s, q);
}

static bool may_enter(const struct scsi_hd *s, const struct scsi_hd_op *op)
{
    return !s->alone && (!(op->flags & HD_ALONE) || !s->active);
}

static void let_in(struct scsi_hd *s)
{
    bool unused;

    while (s->held) {
        struct scsi_request *q = s->held;
        const struct scsi_hd_op *op = find_op(q, &unused);

        if (!may_enter(s, op))
            return;
        s->held = q->wait_next;
        if (!s->held)
            s->held_last = &s->held;
        if (q->aborted)
            scsi_good(q); /* the outcome says more */
        else
            enter(s, op, q);
    }
    if (s->lun.blk)
        blk_kick(s->lun.blk);
}

void scsi_hd_leave(struct scsi_request *q, const struct scsi_sense *sense, uint32_t info)
{
    struct scsi_hd *s = hd(q->unit);

    s->active--;
    s->alone = false;
    if (!sense)
        scsi_good(q);
    else if (info)
        scsi_check_info(q, *sense, info);
    else
        scsi_check(q, *sense);
    if (s->held)
        let_in(s);
}

static void execute(struct scsi_request *q)
{
    struct scsi_hd *s = hd(q->unit);
    bool bad_action;
    const struct scsi_hd_op *op = find_op(q, &bad_action);

    if (!op) {
        scsi_check(q, bad_action ? SCSI_INVALID_FIELD : SCSI_INVALID_OPCODE);
    } else if (op->flags & HD_MEDIUM && !blk_has_medium(s->lun.blk)) {
        scsi_check(q, SCSI_NO_MEDIUM);
    } else if (op->flags & HD_MEDIUM && s->stopped) {
        scsi_check(q, SCSI_NOT_READY_STOPPED);
    } else if (op->flags & HD_WRITES && blk_read_only(s->lun.blk)) {
        scsi_check(q, SCSI_WRITE_PROTECTED);
    } else if (!(op->flags & HD_ACCESS)) {
        op->run(s, q);
    } else if (!s->held && may_enter(s, op)) {
        enter(s, op, q);
    } else {
        q->wait_next = NULL;
        *s->held_last = q;
        s->held_last = &q->wait_next;
    }
}

static void unit_reset(struct scsi_lun *u)
{
    struct scsi_hd *s = hd(u);

    s->stopped = s->locked = false;
}

static const struct scsi_lun_type disk_type = { .execute = execute, .reset = unit_reset };
/* A medium that the guest can eject is the machine's. */
static const struct scsi_lun_type removable_disk_type = { .execute = execute,
                                                          .reset = unit_reset,
                                                          .needs_machine_lock = true };

/* --- the medium --- */

static void medium_changed(void *opaque, struct drive *d)
{
    scsi_lun_changed(opaque, SCSI_UA_MEDIUM);
}

static bool may_eject(void *opaque)
{
    return !hd(opaque)->locked;
}

/* --- life --- */

static void defaults(struct device *dev)
{
    struct scsi_hd *s = (struct scsi_hd *)dev;

    scsi_lun_defaults(&s->lun);
    s->max_unmap_size = UINT64_C(1) << 30;
}

static bool init(struct device *dev, struct error *err)
{
    struct scsi_hd *s = (struct scsi_hd *)dev;
    struct blk_conf *c = &s->lun.conf;

    s->held_last = &s->held;
    if (!c->drive) {
        fail(err, EINVAL, "%s '%s' needs a drive", dev->type->name, dev->id);
        return fail_hint(err, "add drive=ID of a -drive if=none or a -blockdev");
    }
    if (!scsi_lun_init(&s->lun, s->removable ? &removable_disk_type : &disk_type, err))
        return false;
    if (!c->drive->disk && !s->removable) {
        fail(err, EINVAL, "drive '%s' has no medium", c->drive->id);
        return fail_hint(err, "add file=IMAGE to it, or removable=on to %s", dev->type->name);
    }
    if (!s->lun.product)
        s->lun.product = xstrdup("QEMU HARDDISK");
    if (c->discard_granularity == UINT32_MAX)
        c->discard_granularity = MAX(c->logical_block_size, 4096);
    s->lun.blk = blk_new(dev->ctx.loop, scsi_lun_ctx(&s->lun), c, err);
    if (!s->lun.blk)
        return false;
    blk_set_burst_end(s->lun.blk, scsi_lun_burst_end, &s->lun);
    if (s->removable) {
        s->user = (struct drive_user){ medium_changed, may_eject, &s->lun };
        c->drive->user = &s->user;
    }
    scsi_lun_plugged(&s->lun);
    return true;
}

static void finish(struct device *dev)
{
    struct scsi_hd *s = (struct scsi_hd *)dev;
    struct drive *d = s->lun.conf.drive;

    scsi_lun_leave(&s->lun);
    blk_free(s->lun.blk);
    s->lun.blk = NULL;
    if (d && d->user == &s->user)
        d->user = NULL;
}

/* From outside of the context, which stands still meanwhile. */
static void use_write_cache(struct scsi_hd *s)
{
    struct ioctx *ctx = scsi_lun_ctx(&s->lun);
    bool is_thread = !ioctx_is_main(ctx);

    if (is_thread)
        ioctx_quiesce(ctx);
    blk_set_write_through(s->lun.blk, !s->write_cache);
    if (is_thread)
        ioctx_go_on(ctx);
}

static void reset(struct device *dev)
{
    struct scsi_hd *s = (struct scsi_hd *)dev;

    scsi_lun_reset(&s->lun);
    s->stopped = s->locked = false;
    s->write_cache = blk_conf_write_cache(&s->lun.conf);
    use_write_cache(s);
}

static void save(struct device *dev)
{
    scsi_lun_save(&((struct scsi_hd *)dev)->lun);
}

static bool loaded(struct device *dev, struct error *err)
{
    struct scsi_hd *s = (struct scsi_hd *)dev;

    scsi_lun_loaded(&s->lun);
    use_write_cache(s);
    return true;
}

const struct device_type scsi_hd_type = {
    .name = "scsi-hd",
    .doc = "SCSI disk",
    .size = sizeof(struct scsi_hd),
    .bus = "SCSI",
    .category = DEVICE_STORAGE,
    .props = FIELDS(
        SCSI_LUN_PROPS(struct scsi_hd, lun),
        FIELD(struct scsi_hd, lun.conf.cyls, .wire = "cyls", .doc = "cylinders shown [guessed]"),
        FIELD(struct scsi_hd, lun.conf.heads, .wire = "heads", .doc = "heads shown [guessed]"),
        FIELD(struct scsi_hd, lun.conf.secs, .wire = "secs",
              .doc = "sectors of a track shown [guessed]"),
        FIELD(struct scsi_hd, removable, .doc = "the medium can be ejected [off]"),
        FIELD(struct scsi_hd, dpofua, .doc = "say that DPO and FUA are served [off]"),
        FIELD(struct scsi_hd, rotation_rate, .wire = "rotation_rate",
              .doc = "revolutions a minute; 1: no disk turns [0: not said]"),
        FIELD(struct scsi_hd, max_unmap_size, .wire = "max_unmap_size", .is_size = true,
              .doc = "bytes that one UNMAP may cover [1G]")),
    .state = FIELDS(SCSI_LUN_STATE(struct scsi_hd, lun), FIELD(struct scsi_hd, write_cache),
                    FIELD(struct scsi_hd, stopped), FIELD(struct scsi_hd, locked)),
    .defaults = defaults,
    .init = init,
    .finish = finish,
    .reset = reset,
    .save = save,
    .loaded = loaded,
};
