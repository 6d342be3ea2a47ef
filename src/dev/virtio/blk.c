/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk (virtio 1.2 §5.2). A request is popped, checked, and given to the drive's blk with the
 * guest's own memory as its buffer; what is complete at the end of a burst is interrupted for once
 * per queue. All queues run in one context.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/trace.h"
#include "dev/storage/blk.h"
#include "dev/virtio/virtio.h"
#include "dev/virtio/virtio_pci.h"
#include "loop/iothread.h"

enum { /* feature bits, §5.2.3 */
       F_SEG_MAX = 2,
       F_GEOMETRY = 4,
       F_RO = 5,
       F_BLK_SIZE = 6,
       F_FLUSH = 9,
       F_TOPOLOGY = 10,
       F_CONFIG_WCE = 11,
       F_MQ = 12,
       F_DISCARD = 13,
       F_WRITE_ZEROES = 14,
};

enum { /* configuration, §5.2.4 */
       CONFIG_CAPACITY = 0,
       CONFIG_SEG_MAX = 12,
       CONFIG_CYLINDERS = 16,
       CONFIG_HEADS = 18,
       CONFIG_SECTORS = 19,
       CONFIG_BLK_SIZE = 20,
       CONFIG_PHYSICAL_EXP = 24,
       CONFIG_MIN_IO = 26,
       CONFIG_OPT_IO = 28,
       CONFIG_WRITEBACK = 32,
       CONFIG_QUEUES = 34,
       CONFIG_MAX_DISCARD_SECTORS = 36,
       CONFIG_MAX_DISCARD_SEG = 40,
       CONFIG_DISCARD_ALIGN = 44,
       CONFIG_MAX_ZEROES_SECTORS = 48,
       CONFIG_MAX_ZEROES_SEG = 52,
       CONFIG_ZEROES_UNMAP = 56,
       CONFIG_SIZE = 60,
};

enum { /* requests, §5.2.6 */
       T_IN = 0,
       T_OUT = 1,
       T_FLUSH = 4,
       T_GET_ID = 8,
       T_DISCARD = 11,
       T_WRITE_ZEROES = 13,
       HEADER_SIZE = 16,
       SEGMENT_SIZE = 16, /* of a discard: sector, sectors, flags */
       SEGMENT_UNMAP = 1,
       ID_SIZE = 20,
       S_OK = 0,
       S_IOERR = 1,
       S_UNSUPP = 2,
};

enum { QUEUES_AUTO = UINT16_MAX, QUEUES_AUTO_MAX = 64, QUEUE_SIZE_MIN = 4 };
/* Longest discard: 2^31 bytes less a sector fits every layer of the guest. */
enum { SECTORS_MAX = INT32_MAX / BLK_SECTOR };

struct vblk {
    struct virtio_dev v;
    /* properties */
    struct blk_conf conf;
    struct iothread *iothread;
    uint16_t num_queues, queue_size;
    bool config_wce, discard, write_zeroes, seg_max_adjust, report_discard_granularity;
    uint32_t max_discard_sectors, max_write_zeroes_sectors;
    /* constant after init */
    struct blk *blk;
    uint32_t cyls, heads, secs;
    struct drive_user user;
    bool *to_notify; /* per queue, in the context: chains were pushed in this burst */
    /* state */
    uint8_t writeback;
};

struct vreq {
    struct blk_request q;
    struct virtqueue *vq;
    struct virtio_chain *chain;
};

static struct vblk *vblk_of(struct virtio_dev *v)
{
    return (struct vblk *)v;
}

/* --- completion --- */

static void complete(struct vreq *r, uint8_t status)
{
    struct virtio_chain *c = r->chain;
    struct virtqueue *vq = r->vq;
    struct vblk *b = vblk_of((struct virtio_dev *)r->q.r.opaque);

    (void)virtio_chain_write(c, c->in_size - 1, &status, 1);
    b->to_notify[virtio_queue_index(vq)] = true;
    virtio_push(vq, c, c->in_size);
}

static void request_done(struct blk_request *q, int result)
{
    complete(container_of(q, struct vreq, q), !result              ? S_OK
                                              : result == -ENOTSUP ? S_UNSUPP
                                                                   : S_IOERR);
}

static void notify_all(void *opaque)
{
    struct vblk *b = opaque;

    for (unsigned i = 0; i < b->v.queue_count; i++) {
        if (!b->to_notify[i])
            continue;
        b->to_notify[i] = false;
        virtio_notify(b->v.queues[i]);
    }
}

/* --- requests --- */

static void move_data(struct vblk *b, struct vreq *r, uint64_t sector, bool is_write)
{
    struct virtio_chain *c = r->chain;
    size_t len = is_write ? c->out_size - HEADER_SIZE : c->in_size - 1;
    struct disk_request *d = &r->q.r;

    if ((len | sector * BLK_SECTOR) & (b->conf.logical_block_size - 1) || !len ||
        len > DISK_MAX_REQUEST || sector > DISK_MAX_SIZE / BLK_SECTOR) {
        complete(r, S_IOERR);
        return;
    }
    d->op = is_write ? DISK_OP_WRITE : DISK_OP_READ;
    d->offset = sector * BLK_SECTOR;
    d->vec = is_write ? vec_slice(vec_of_iov(c->out, c->out_count), HEADER_SIZE, len)
                      : vec_slice(vec_of_iov(c->in, c->in_count), 0, len);
    blk_submit(&r->q);
}

/* §5.2.6: one segment, as max_discard_seg and max_write_zeroes_seg say. */
static void discard_or_zero(struct vblk *b, struct vreq *r, bool is_zero)
{
    uint8_t seg[SEGMENT_SIZE];
    uint64_t sector;
    uint32_t sectors, flags;
    uint32_t max = is_zero ? b->max_write_zeroes_sectors : b->max_discard_sectors;

    if (!(is_zero ? b->write_zeroes : b->discard) ||
        virtio_chain_read(r->chain, HEADER_SIZE, seg, sizeof seg) != sizeof seg ||
        r->chain->out_size != HEADER_SIZE + SEGMENT_SIZE) {
        complete(r, S_UNSUPP);
        return;
    }
    sector = ld_le64(seg);
    sectors = ld_le32(seg + 8);
    flags = ld_le32(seg + 12);
    if (flags & ~(uint32_t)(is_zero ? SEGMENT_UNMAP : 0)) {
        complete(r, S_UNSUPP);
        return;
    }
    if (sectors > max || sector > DISK_MAX_SIZE / BLK_SECTOR ||
        ((sector | sectors) & (b->conf.logical_block_size / BLK_SECTOR - 1))) {
        complete(r, S_IOERR);
        return;
    }
    r->q.r.op = is_zero ? DISK_OP_ZERO : DISK_OP_DISCARD;
    r->q.r.flags = flags & SEGMENT_UNMAP ? DISK_MAY_UNMAP : 0;
    r->q.r.offset = sector * BLK_SECTOR;
    r->q.r.len = (uint64_t)sectors * BLK_SECTOR;
    blk_submit(&r->q);
}

static void get_id(struct vblk *b, struct vreq *r)
{
    char id[ID_SIZE] = { 0 };
    const char *serial = b->conf.serial ? b->conf.serial : "";

    memcpy(id, serial, MIN(strlen(serial), sizeof id));
    if (r->chain->in_size < 2) {
        complete(r, S_IOERR);
        return;
    }
    (void)virtio_chain_write(r->chain, 0, id, MIN(sizeof id, r->chain->in_size - 1));
    complete(r, S_OK);
}

static bool start(struct vblk *b, struct vreq *r)
{
    uint8_t header[HEADER_SIZE];
    uint32_t type;
    uint64_t sector;

    if (virtio_chain_read(r->chain, 0, header, sizeof header) != sizeof header ||
        r->chain->in_size < 1) {
        virtio_broken(&b->v, "request without header or status");
        virtio_drop(r->vq, r->chain);
        return false;
    }
    type = ld_le32(header);
    sector = ld_le64(header + 8);
    TRACE(virtio, "%s: request %u at sector %#llx, %zu out, %zu in", b->v.dev.id, type,
          (unsigned long long)sector, r->chain->out_size, r->chain->in_size);
    switch (type) {
    case T_IN:
    case T_OUT: move_data(b, r, sector, type == T_OUT); break;
    case T_FLUSH:
        r->q.r.op = DISK_OP_FLUSH;
        blk_submit(&r->q);
        break;
    case T_GET_ID: get_id(b, r); break;
    case T_DISCARD:
    case T_WRITE_ZEROES: discard_or_zero(b, r, type == T_WRITE_ZEROES); break;
    default: complete(r, S_UNSUPP); break;
    }
    return true;
}

static void handle(struct virtio_dev *v, struct virtqueue *vq)
{
    struct vblk *b = vblk_of(v);
    struct virtio_chain *c;

    while ((c = virtio_pop(vq, sizeof(struct vreq)))) {
        struct vreq *r = virtio_chain_extra(c);

        r->q.blk = b->blk;
        r->q.done = request_done;
        r->q.r.opaque = v;
        r->vq = vq;
        r->chain = c;
        if (!start(b, r))
            break;
    }
    blk_kick(b->blk);
    notify_all(b); /* what was answered without the disk */
}

/* --- configuration --- */

static uint64_t vblk_offer(struct virtio_dev *v)
{
    const struct vblk *b = vblk_of(v);
    uint64_t f =
        BIT(F_SEG_MAX) | BIT(F_GEOMETRY) | BIT(F_BLK_SIZE) | BIT(F_FLUSH) | BIT(F_TOPOLOGY);

    if (b->config_wce)
        f |= BIT(F_CONFIG_WCE);
    if (v->queue_count > 1)
        f |= BIT(F_MQ);
    if (b->discard)
        f |= BIT(F_DISCARD);
    if (b->write_zeroes)
        f |= BIT(F_WRITE_ZEROES);
    if (blk_read_only(b->blk))
        f |= BIT(F_RO);
    return f;
}

static void vblk_config_read(struct virtio_dev *v)
{
    const struct vblk *b = vblk_of(v);
    const struct blk_conf *c = &b->conf;
    uint32_t block = c->logical_block_size;
    uint32_t granularity = c->discard_granularity;

    if (granularity == UINT32_MAX || !b->report_discard_granularity)
        granularity = block;
    memset(v->config, 0, CONFIG_SIZE);
    st_le64(v->config + CONFIG_CAPACITY, blk_sectors(b->blk));
    /* a chain has two pieces beside the data */
    st_le32(v->config + CONFIG_SEG_MAX, (b->seg_max_adjust ? b->queue_size : 128u) - 2);
    st_le16(v->config + CONFIG_CYLINDERS, (uint16_t)MIN(b->cyls, UINT16_MAX));
    v->config[CONFIG_HEADS] = (uint8_t)b->heads;
    v->config[CONFIG_SECTORS] = (uint8_t)(b->secs & ~(block / BLK_SECTOR - 1));
    st_le32(v->config + CONFIG_BLK_SIZE, block);
    v->config[CONFIG_PHYSICAL_EXP] =
        (uint8_t)(__builtin_ctz(c->physical_block_size) - __builtin_ctz(block));
    st_le16(v->config + CONFIG_MIN_IO, (uint16_t)(c->min_io_size / block));
    st_le32(v->config + CONFIG_OPT_IO, c->opt_io_size / block);
    v->config[CONFIG_WRITEBACK] = b->writeback;
    st_le16(v->config + CONFIG_QUEUES, (uint16_t)v->queue_count);
    if (b->discard) {
        st_le32(v->config + CONFIG_MAX_DISCARD_SECTORS, b->max_discard_sectors);
        st_le32(v->config + CONFIG_MAX_DISCARD_SEG, 1);
        st_le32(v->config + CONFIG_DISCARD_ALIGN, MAX(granularity, block) / BLK_SECTOR);
    }
    if (b->write_zeroes) {
        st_le32(v->config + CONFIG_MAX_ZEROES_SECTORS, b->max_write_zeroes_sectors);
        st_le32(v->config + CONFIG_MAX_ZEROES_SEG, 1);
        v->config[CONFIG_ZEROES_UNMAP] = 1;
    }
}

static void use_writeback(struct vblk *b, bool on)
{
    struct ioctx *ctx = b->iothread ? b->iothread->ctx : NULL;

    b->writeback = on;
    if (ctx)
        ioctx_quiesce(ctx);
    blk_set_write_through(b->blk, !on);
    if (ctx)
        ioctx_go_on(ctx);
}

static void vblk_config_written(struct virtio_dev *v, uint32_t off, uint32_t len)
{
    struct vblk *b = vblk_of(v);

    if (off <= CONFIG_WRITEBACK && off + len > CONFIG_WRITEBACK && b->config_wce)
        use_writeback(b, v->config[CONFIG_WRITEBACK] & 1);
}

/* §5.2.5: a driver that knows neither flushes nor the cache's switch expects that writes stay. */
static void vblk_status(struct virtio_dev *v, uint8_t old)
{
    struct vblk *b = vblk_of(v);

    if (!v->status)
        use_writeback(b, blk_conf_write_cache(&b->conf));
    else if ((v->status & ~old & VIRTIO_STATUS_DRIVER_OK) && !virtio_has(v, F_FLUSH) &&
             !virtio_has(v, F_CONFIG_WCE))
        use_writeback(b, false);
}

static void vblk_stop(struct virtio_dev *v)
{
    blk_drain(vblk_of(v)->blk);
}

static void vblk_queue_reset(struct virtio_dev *v, unsigned n)
{
    blk_drain(vblk_of(v)->blk);
}

static void medium_changed(void *opaque, struct drive *d)
{
    virtio_config_changed(opaque);
}

static const struct virtio_type vblk_vtype = {
    .name = "virtio-blk",
    .id = 2,
    .pci_class = 0x0100,
    .legacy_pci_device = 0x1001,
    .config_size = CONFIG_SIZE,
    .offer = vblk_offer,
    .config_read = vblk_config_read,
    .config_written = vblk_config_written,
    .status = vblk_status,
    .stop = vblk_stop,
    .queue_reset = vblk_queue_reset,
};

/* --- life --- */

static void vblk_defaults(struct device *dev)
{
    struct vblk *b = (struct vblk *)dev;

    virtio_defaults(&b->v);
    blk_conf_defaults(&b->conf);
    b->num_queues = QUEUES_AUTO;
    b->queue_size = 256;
    b->config_wce = b->discard = b->write_zeroes = b->seg_max_adjust = true;
    b->report_discard_granularity = true;
    b->max_discard_sectors = b->max_write_zeroes_sectors = SECTORS_MAX;
}

static bool check_limit(const char *name, uint32_t sectors, struct error *err)
{
    if (sectors && sectors <= SECTORS_MAX)
        return true;
    return fail(err, EINVAL, "%s=%u: it is 1 to %u", name, sectors, SECTORS_MAX);
}

static bool check_props(struct vblk *b, struct error *err)
{
    if (!b->conf.drive) {
        fail(err, EINVAL, "drive property not set");
        return fail_hint(err, "give drive=ID with the id of a -drive if=none,id=ID, or the "
                              "node-name of a -blockdev");
    }
    if (b->num_queues == QUEUES_AUTO)
        b->num_queues = (uint16_t)MIN(MAX(b->v.dev.ctx.cpus, 1u), QUEUES_AUTO_MAX);
    if (!b->num_queues || b->num_queues > VIRTIO_QUEUES_MAX)
        return fail(err, EINVAL, "num-queues=%u: it is 1 to %u", b->num_queues, VIRTIO_QUEUES_MAX);
    if (b->queue_size < QUEUE_SIZE_MIN || b->queue_size > VIRTIO_QUEUE_SIZE_MAX ||
        !is_pow2(b->queue_size))
        return fail(err, EINVAL, "queue-size=%u: it is a power of two from %u to %u", b->queue_size,
                    QUEUE_SIZE_MIN, VIRTIO_QUEUE_SIZE_MAX);
    return check_limit("max-discard-sectors", b->max_discard_sectors, err) &&
           check_limit("max-write-zeroes-sectors", b->max_write_zeroes_sectors, err) &&
           blk_conf_settle(&b->conf, &b->v.dev, err);
}

static bool vblk_init(struct device *dev, struct error *err)
{
    struct vblk *b = (struct vblk *)dev;
    struct ioctx *ctx = NULL;

    if (!check_props(b, err))
        return false;
    virtio_init(&b->v, &vblk_vtype, 0);
    if (b->iothread && !(ctx = iothread_ctx(b->iothread, dev->ctx.loop, err)))
        return false;
    b->blk = blk_new(dev->ctx.loop, ctx, &b->conf, err);
    if (!b->blk)
        return false;
    b->cyls = b->conf.cyls;
    b->heads = b->conf.heads;
    b->secs = b->conf.secs;
    if (!b->cyls)
        blk_geometry(b->blk, &b->cyls, &b->heads, &b->secs);
    b->to_notify = xnew_array(bool, b->num_queues);
    for (unsigned i = 0; i < b->num_queues; i++) {
        struct virtqueue *q = virtio_queue_add(&b->v, b->queue_size, handle);

        if (ctx && !virtio_queue_set_ctx(q, ctx, err))
            return false;
    }
    blk_set_burst_end(b->blk, notify_all, b);
    b->user = (struct drive_user){ .medium_changed = medium_changed, .opaque = &b->v };
    b->conf.drive->user = &b->user;
    b->writeback = blk_conf_write_cache(&b->conf);
    return true;
}

static void vblk_finish(struct device *dev)
{
    struct vblk *b = (struct vblk *)dev;

    if (b->blk) {
        virtio_stop(&b->v);
        blk_free(b->blk);
        b->blk = NULL;
    }
    if (b->conf.drive && b->conf.drive->user == &b->user)
        b->conf.drive->user = NULL;
    virtio_finish(&b->v);
    free(b->to_notify);
    b->to_notify = NULL;
}

static void vblk_reset(struct device *dev)
{
    virtio_reset(&((struct vblk *)dev)->v);
}

const struct device_type virtio_blk_type = {
    .name = "virtio-blk-device",
    .doc = "virtio disk, on any virtio transport",
    .size = sizeof(struct vblk),
    .bus = "virtio-bus",
    .category = DEVICE_STORAGE,
    .props = FIELDS(
        BLK_PROPS(struct vblk, conf), VIRTIO_PROPS(struct vblk, v),
        FIELD(struct vblk, conf.cyls, .wire = "cyls", .doc = "cylinders shown [guessed]"),
        FIELD(struct vblk, conf.heads, .wire = "heads", .doc = "heads shown [guessed]"),
        FIELD(struct vblk, conf.secs, .wire = "secs", .doc = "sectors of a track shown [guessed]"),
        FIELD_LINK(struct vblk, iothread, "iothread", .doc = "id of -object iothread"),
        FIELD(struct vblk, num_queues, .wire = "num-queues",
              .doc = "request queues; 65535: one per vCPU [65535]"),
        FIELD(struct vblk, queue_size, .wire = "queue-size", .doc = "entries of a queue [256]"),
        FIELD(struct vblk, config_wce, .wire = "config-wce",
              .doc = "the guest may switch the write cache [on]"),
        FIELD(struct vblk, discard, .doc = "offer discards [on]"),
        FIELD(struct vblk, write_zeroes, .wire = "write-zeroes", .doc = "offer zeroing [on]"),
        FIELD(struct vblk, max_discard_sectors, .wire = "max-discard-sectors",
              .doc = "sectors of one discard [4194303]"),
        FIELD(struct vblk, max_write_zeroes_sectors, .wire = "max-write-zeroes-sectors",
              .doc = "sectors zeroed by one request [4194303]"),
        FIELD(struct vblk, seg_max_adjust, .wire = "seg-max-adjust",
              .doc = "pieces of a request follow queue-size [on]"),
        FIELD(struct vblk, report_discard_granularity, .wire = "report-discard-granularity",
              .doc = "show discard_granularity to the guest [on]")),
    .defaults = vblk_defaults,
    .init = vblk_init,
    .finish = vblk_finish,
    .reset = vblk_reset,
};

VIRTIO_PCI_TYPE(virtio_blk_pci, virtio_blk_type, "virtio-blk-pci", DEVICE_STORAGE, "virtio disk");
