/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-scsi (virtio 1.2 §5.6): a SCSI adapter. Queue 0 takes task management, queue 1 gives
 * events, the others take commands, whose data the units move to and from the guest's own memory.
 * Control and request queues run in one context; the event queue in the main loop's.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/trace.h"
#include "dev/storage/scsi.h"
#include "dev/virtio/virtio.h"
#include "dev/virtio/virtio_pci.h"
#include "loop/iothread.h"

enum { F_HOTPLUG = 1, F_CHANGE = 2 }; /* §5.6.3 */

enum { /* configuration, §5.6.4 */
       CONFIG_NUM_QUEUES = 0,
       CONFIG_SEG_MAX = 4,
       CONFIG_MAX_SECTORS = 8,
       CONFIG_CMD_PER_LUN = 12,
       CONFIG_EVENT_SIZE = 16,
       CONFIG_SENSE_SIZE = 20,
       CONFIG_CDB_SIZE = 24,
       CONFIG_MAX_CHANNEL = 28,
       CONFIG_MAX_TARGET = 30,
       CONFIG_MAX_LUN = 32,
       CONFIG_SIZE = 36,
       SENSE_DEFAULT = 96,
       CDB_DEFAULT = 32,
       SENSE_SIZE_MAX = 1024, /* that a driver may ask for */
       CDB_SIZE_MAX = 260,
       MAX_TARGET = 255,
};

enum { /* response, §5.6.6.1 */
       S_OK = 0,
       S_OVERRUN = 1,
       S_ABORTED = 2,
       S_BAD_TARGET = 3,
       S_RESET = 4,
       S_FAILURE = 9,
       S_FUNCTION_COMPLETE = 0,
       S_FUNCTION_SUCCEEDED = 10,
       S_FUNCTION_REJECTED = 11,
       S_INCORRECT_LUN = 12,
};

enum { /* control queue, §5.6.6.2 */
       T_TMF = 0,
       T_AN_QUERY = 1,
       T_AN_SUBSCRIBE = 2,
       TMF_SIZE = 24, /* type, subtype, lun, tag */
       AN_SIZE = 16,
       TMF_ABORT_TASK = 0,
       TMF_ABORT_TASK_SET = 1,
       TMF_CLEAR_ACA = 2,
       TMF_CLEAR_TASK_SET = 3,
       TMF_I_T_NEXUS_RESET = 4,
       TMF_LUN_RESET = 5,
       TMF_QUERY_TASK = 6,
       TMF_QUERY_TASK_SET = 7,
};

enum { /* event queue, §5.6.6.3 */
       T_EVENTS_MISSED = INT32_MIN,
       T_NO_EVENT = 0,
       T_TRANSPORT_RESET = 1,
       T_PARAM_CHANGE = 3,
       EVENT_SIZE = 16,
       RESET_RESCAN = 1,
       RESET_REMOVED = 2,
};

enum { REQ_HEAD = 19, RESP_HEAD = 12, QUEUE_CONTROL = 0, QUEUE_EVENT = 1, QUEUE_FIRST = 2 };
enum { QUEUES_AUTO_MAX = 64 };

struct vscsi {
    struct virtio_dev v;
    /* properties */
    struct iothread *iothread;
    uint32_t num_queues, virtqueue_size, max_sectors, cmd_per_lun;
    bool hotplug, param_change, seg_max_adjust;
    /* constant after init */
    struct scsi_bus bus;
    bool *to_notify; /* per queue, in the context */
    /* state */
    uint32_t sense_size, cdb_size;
    bool events_missed;
};

struct vreq {
    struct scsi_request q;
    struct vscsi *s;
    struct virtqueue *vq;
    struct virtio_chain *chain;
};

struct vtmf {
    struct scsi_tmf t;
    struct vscsi *s;
    struct virtqueue *vq;
    struct virtio_chain *chain;
    uint8_t ok; /* what success is called */
};

static struct vscsi *vscsi_of(struct virtio_dev *v)
{
    return (struct vscsi *)v;
}

/* Target and number of an 8-byte address (§5.6.6.1): 1, target, single level LUN structure. */
static bool take_lun(const uint8_t *p, uint32_t *ret_id, uint32_t *ret_lun)
{
    *ret_id = p[1];
    *ret_lun = ((uint32_t)p[2] << 8 | p[3]) & 0x3fff;
    return p[0] == 1 && (p[2] == 0 || p[2] >> 6 == 1) && !ld_be32(p + 4);
}

static void give_lun(uint8_t *p, const struct scsi_lun *u)
{
    memset(p, 0, 8);
    p[0] = 1;
    p[1] = (uint8_t)u->id;
    p[2] = u->lun < 256 ? 0 : (uint8_t)(0x40 | u->lun >> 8);
    p[3] = (uint8_t)u->lun;
}

static void push(struct vscsi *s, struct virtqueue *vq, struct virtio_chain *c, size_t len)
{
    s->to_notify[virtio_queue_index(vq)] = true;
    virtio_push(vq, c, len);
}

static void notify_all(struct vscsi *s)
{
    for (unsigned i = 0; i < s->v.queue_count; i++) {
        if (!s->to_notify[i])
            continue;
        s->to_notify[i] = false;
        virtio_notify(s->v.queues[i]);
    }
}

static void burst_end(struct scsi_bus *b)
{
    notify_all(container_of(b, struct vscsi, bus));
}

/* --- commands --- */

static void respond(struct vreq *r, uint8_t response)
{
    struct vscsi *s = r->s;
    const struct scsi_request *q = &r->q;
    uint8_t head[RESP_HEAD] = { 0 };
    size_t head_all = RESP_HEAD + s->sense_size, data = r->chain->in_size - head_all;
    uint64_t want = q->out.len ? q->out.len : data;
    uint64_t moved = response == S_OK ? q->moved : 0;

    st_le32(head, q->sense_len);
    st_le32(head + 4, (uint32_t)(want - MIN(moved, want)));
    head[10] = q->status;
    head[11] = response;
    (void)virtio_chain_write(r->chain, 0, head, sizeof head);
    if (q->sense_len)
        (void)virtio_chain_write(r->chain, RESP_HEAD, q->sense, MIN(q->sense_len, s->sense_size));
    /* data of an earlier part counts from the start of what the device may write */
    push(s, r->vq, r->chain, head_all + (q->out.len ? 0 : MIN(moved, data)));
}

static void command_done(struct scsi_request *q)
{
    static const uint8_t responses[] = { [SCSI_DONE] = S_OK,
                                         [SCSI_OVERRUN] = S_OVERRUN,
                                         [SCSI_ABORTED] = S_ABORTED,
                                         [SCSI_RESET] = S_RESET };

    respond(container_of(q, struct vreq, q), responses[q->outcome]);
}

/* Everything in front of the data, or the device is broken. */
static bool check_sizes(struct vscsi *s, const struct virtio_chain *c)
{
    if (c->out_size >= REQ_HEAD + s->cdb_size && c->in_size >= RESP_HEAD + s->sense_size)
        return true;
    virtio_broken(&s->v, "request of %zu and %zu bytes has no room for its headers", c->out_size,
                  c->in_size);
    return false;
}

static void start_command(struct vscsi *s, struct vreq *r)
{
    struct virtio_chain *c = r->chain;
    uint8_t head[REQ_HEAD];
    size_t out_head = REQ_HEAD + s->cdb_size, in_head = RESP_HEAD + s->sense_size;
    bool ok;

    (void)virtio_chain_read(c, 0, head, sizeof head);
    (void)virtio_chain_read(c, REQ_HEAD, r->q.cdb, MIN(s->cdb_size, SCSI_CDB_MAX));
    ok = take_lun(head, &r->q.id, &r->q.lun);
    r->q.tag = ld_le64(head + 8);
    r->q.out = vec_slice(vec_of_iov(c->out, c->out_count), out_head, c->out_size - out_head);
    r->q.in = vec_slice(vec_of_iov(c->in, c->in_count), in_head, c->in_size - in_head);
    r->q.done = command_done;
    if (r->q.out.len && r->q.in.len)
        respond(r, S_FAILURE); /* data both ways is not offered */
    else if (!ok || !scsi_has_target(&s->bus, 0, r->q.id))
        respond(r, S_BAD_TARGET);
    else
        scsi_submit(&s->bus, &r->q);
}

static void handle_commands(struct virtio_dev *v, struct virtqueue *vq)
{
    struct vscsi *s = vscsi_of(v);
    struct virtio_chain *c;

    while ((c = virtio_pop(vq, sizeof(struct vreq)))) {
        struct vreq *r = virtio_chain_extra(c);

        if (!check_sizes(s, c)) {
            virtio_drop(vq, c);
            break;
        }
        r->s = s;
        r->vq = vq;
        r->chain = c;
        start_command(s, r);
    }
    scsi_kick(&s->bus);
    notify_all(s);
}

/* --- task management --- */

static void tmf_done(struct scsi_tmf *t)
{
    struct vtmf *r = container_of(t, struct vtmf, t);
    uint8_t response = t->no_target ? S_BAD_TARGET
                       : t->no_lun  ? S_INCORRECT_LUN
                       : t->found   ? r->ok
                                    : S_FUNCTION_COMPLETE;

    (void)virtio_chain_write(r->chain, 0, &response, 1);
    push(r->s, r->vq, r->chain, 1);
}

static bool start_tmf(struct vtmf *r, const uint8_t *p)
{
    static const struct {
        int8_t kind; /* -1: nothing to do */
        uint8_t found;
    } kinds[] = {
        [TMF_ABORT_TASK] = { SCSI_ABORT_TASK, S_FUNCTION_COMPLETE },
        [TMF_ABORT_TASK_SET] = { SCSI_ABORT_TASK_SET, S_FUNCTION_COMPLETE },
        [TMF_CLEAR_ACA] = { -1, 0 },
        [TMF_CLEAR_TASK_SET] = { SCSI_ABORT_TASK_SET, S_FUNCTION_COMPLETE },
        [TMF_I_T_NEXUS_RESET] = { SCSI_TARGET_RESET, S_FUNCTION_COMPLETE },
        [TMF_LUN_RESET] = { SCSI_LUN_RESET, S_FUNCTION_COMPLETE },
        [TMF_QUERY_TASK] = { SCSI_QUERY_TASK, S_FUNCTION_SUCCEEDED },
        [TMF_QUERY_TASK_SET] = { SCSI_QUERY_TASK_SET, S_FUNCTION_SUCCEEDED },
    };
    uint32_t subtype = ld_le32(p + 4);

    if (subtype >= ARRAY_SIZE(kinds) || kinds[subtype].kind < 0)
        return false;
    r->t.kind = (enum scsi_tmf_kind)kinds[subtype].kind;
    r->ok = kinds[subtype].found;
    if (!take_lun(p + 8, &r->t.id, &r->t.lun))
        return false;
    r->t.tag = ld_le64(p + 16);
    r->t.done = tmf_done;
    TRACE(virtio, "%s: task management %u of %u:%u", r->s->v.dev.id, subtype, r->t.id, r->t.lun);
    scsi_manage(&r->s->bus, &r->t);
    return true;
}

/* False: malformed. The chain is pushed, now or later, otherwise. */
static bool start_control(struct vscsi *s, struct virtqueue *vq, struct virtio_chain *c)
{
    struct vtmf *r = virtio_chain_extra(c);
    uint8_t p[TMF_SIZE] = { 0 }, answer[5] = { 0 };
    size_t n = virtio_chain_read(c, 0, p, sizeof p);

    if (n < 4)
        return false;
    r->s = s;
    r->vq = vq;
    r->chain = c;
    switch (ld_le32(p)) {
    case T_TMF:
        if (n < TMF_SIZE || c->in_size < 1)
            return false;
        if (!start_tmf(r, p)) {
            answer[0] = S_FUNCTION_REJECTED;
            (void)virtio_chain_write(c, 0, answer, 1);
            push(s, vq, c, 1);
        }
        return true;
    case T_AN_QUERY:
    case T_AN_SUBSCRIBE: /* no asynchronous notifications: none of them is granted */
        if (n < AN_SIZE || c->in_size < sizeof answer)
            return false;
        (void)virtio_chain_write(c, 0, answer, sizeof answer);
        push(s, vq, c, sizeof answer);
        return true;
    default: return false;
    }
}

static void handle_control(struct virtio_dev *v, struct virtqueue *vq)
{
    struct vscsi *s = vscsi_of(v);
    struct virtio_chain *c;

    while ((c = virtio_pop(vq, sizeof(struct vtmf)))) {
        if (start_control(s, vq, c))
            continue;
        virtio_broken(v, "control request of %zu and %zu bytes is malformed", c->out_size,
                      c->in_size);
        virtio_drop(vq, c);
        break;
    }
    scsi_kick(&s->bus);
    notify_all(s);
}

/* --- events: machine lock held --- */

static void send_event(struct vscsi *s, uint32_t event, const struct scsi_lun *u, uint32_t reason)
{
    struct virtqueue *vq = s->v.queues[QUEUE_EVENT];
    uint8_t p[EVENT_SIZE] = { 0 };
    struct virtio_chain *c;

    if (!virtio_queue_ready(vq))
        return;
    c = virtio_pop(vq, 0);
    if (!c) {
        s->events_missed = true;
        return;
    }
    if (c->in_size < sizeof p) {
        virtio_broken(&s->v, "event buffer of %zu bytes", c->in_size);
        virtio_drop(vq, c);
        return;
    }
    if (s->events_missed)
        event |= (uint32_t)T_EVENTS_MISSED;
    s->events_missed = false;
    st_le32(p, event);
    if (u)
        give_lun(p + 4, u);
    st_le32(p + 12, reason);
    (void)virtio_chain_write(c, 0, p, sizeof p);
    virtio_push(vq, c, sizeof p);
    virtio_notify(vq);
}

static void handle_event(struct virtio_dev *v, struct virtqueue *vq)
{
    struct vscsi *s = vscsi_of(v);

    if (s->events_missed)
        send_event(s, T_NO_EVENT, NULL, 0);
}

static void unit_changed(struct scsi_bus *b, struct scsi_lun *u, uint16_t reason)
{
    struct vscsi *s = container_of(b, struct vscsi, bus);

    if (virtio_has(&s->v, F_CHANGE))
        send_event(s, T_PARAM_CHANGE, u, reason);
}

static void unit_plugged(struct scsi_bus *b, struct scsi_lun *u, bool here)
{
    struct vscsi *s = container_of(b, struct vscsi, bus);

    if (virtio_has(&s->v, F_HOTPLUG))
        send_event(s, T_TRANSPORT_RESET, u, here ? RESET_RESCAN : RESET_REMOVED);
}

static const struct scsi_adapter adapter = {
    .burst_end = burst_end,
    .changed = unit_changed,
    .plugged = unit_plugged,
};

/* --- configuration --- */

static uint64_t vscsi_offer(struct virtio_dev *v)
{
    const struct vscsi *s = vscsi_of(v);

    return (s->hotplug ? BIT(F_HOTPLUG) : 0) | (s->param_change ? BIT(F_CHANGE) : 0);
}

static void vscsi_config_read(struct virtio_dev *v)
{
    const struct vscsi *s = vscsi_of(v);

    memset(v->config, 0, CONFIG_SIZE);
    st_le32(v->config + CONFIG_NUM_QUEUES, s->num_queues);
    st_le32(v->config + CONFIG_SEG_MAX, (s->seg_max_adjust ? s->virtqueue_size : 128) - 2);
    st_le32(v->config + CONFIG_MAX_SECTORS, s->max_sectors);
    st_le32(v->config + CONFIG_CMD_PER_LUN, s->cmd_per_lun);
    st_le32(v->config + CONFIG_EVENT_SIZE, EVENT_SIZE);
    st_le32(v->config + CONFIG_SENSE_SIZE, s->sense_size);
    st_le32(v->config + CONFIG_CDB_SIZE, s->cdb_size);
    st_le16(v->config + CONFIG_MAX_CHANNEL, 0);
    st_le16(v->config + CONFIG_MAX_TARGET, MAX_TARGET);
    st_le32(v->config + CONFIG_MAX_LUN, SCSI_LUN_MAX);
}

/* Sizes are agreed upon before the queues run (§5.6.4.1). */
static void vscsi_config_written(struct virtio_dev *v, uint32_t off, uint32_t len)
{
    struct vscsi *s = vscsi_of(v);
    uint32_t sense = ld_le32(v->config + CONFIG_SENSE_SIZE);
    uint32_t cdb = ld_le32(v->config + CONFIG_CDB_SIZE);

    if (sense == s->sense_size && cdb == s->cdb_size)
        return;
    if (v->status & VIRTIO_STATUS_DRIVER_OK) {
        guest_error(&v->dev, "sizes written while the device runs");
    } else if (sense > SENSE_SIZE_MAX || cdb > CDB_SIZE_MAX) {
        virtio_broken(v, "sense_size %u or cdb_size %u is too large", sense, cdb);
    } else {
        s->sense_size = sense;
        s->cdb_size = cdb;
    }
}

static void vscsi_status(struct virtio_dev *v, uint8_t old)
{
    struct vscsi *s = vscsi_of(v);

    if (v->status)
        return;
    s->sense_size = SENSE_DEFAULT;
    s->cdb_size = CDB_DEFAULT;
    s->events_missed = false;
}

static void vscsi_stop(struct virtio_dev *v)
{
    scsi_bus_stop(&vscsi_of(v)->bus);
}

static void vscsi_queue_reset(struct virtio_dev *v, unsigned n)
{
    if (n != QUEUE_EVENT)
        scsi_bus_stop(&vscsi_of(v)->bus);
}

static const struct virtio_type vscsi_vtype = {
    .name = "virtio-scsi",
    .id = 8,
    .pci_class = 0x0100,
    .legacy_pci_device = 0x1004,
    .config_size = CONFIG_SIZE,
    .offer = vscsi_offer,
    .config_read = vscsi_config_read,
    .config_written = vscsi_config_written,
    .status = vscsi_status,
    .stop = vscsi_stop,
    .queue_reset = vscsi_queue_reset,
};

/* --- life --- */

static void vscsi_defaults(struct device *dev)
{
    struct vscsi *s = (struct vscsi *)dev;

    virtio_defaults(&s->v);
    s->num_queues = UINT32_MAX;
    s->virtqueue_size = 256;
    s->max_sectors = 0xffff;
    s->cmd_per_lun = 128;
    s->hotplug = s->param_change = s->seg_max_adjust = true;
    s->sense_size = SENSE_DEFAULT;
    s->cdb_size = CDB_DEFAULT;
}

static bool check_props(struct vscsi *s, struct error *err)
{
    uint32_t max = VIRTIO_QUEUES_MAX - QUEUE_FIRST;

    if (s->num_queues == UINT32_MAX)
        s->num_queues = MIN(MAX(s->v.dev.ctx.cpus, 1u), QUEUES_AUTO_MAX);
    if (!s->num_queues || s->num_queues > max)
        return fail(err, EINVAL, "num_queues=%u: it is 1 to %u", s->num_queues, max);
    if (s->virtqueue_size <= 2 || s->virtqueue_size > VIRTIO_QUEUE_SIZE_MAX ||
        !is_pow2(s->virtqueue_size))
        return fail(err, EINVAL, "virtqueue_size=%u: it is a power of two from 4 to %u",
                    s->virtqueue_size, VIRTIO_QUEUE_SIZE_MAX);
    return true;
}

static bool vscsi_init(struct device *dev, struct error *err)
{
    struct vscsi *s = (struct vscsi *)dev;
    struct ioctx *ctx = NULL;

    if (!check_props(s, err))
        return false;
    virtio_init(&s->v, &vscsi_vtype, 0);
    if (s->iothread && !(ctx = iothread_ctx(s->iothread, dev->ctx.loop, err)))
        return false;
    s->to_notify = xnew_array(bool, QUEUE_FIRST + s->num_queues);
    for (unsigned i = 0; i < QUEUE_FIRST + s->num_queues; i++) {
        struct virtqueue *q = virtio_queue_add(&s->v, s->virtqueue_size,
                                               i == QUEUE_CONTROL ? handle_control
                                               : i == QUEUE_EVENT ? handle_event
                                                                  : handle_commands);

        if (ctx && i != QUEUE_EVENT && !virtio_queue_set_ctx(q, ctx, err))
            return false;
    }
    scsi_bus_init(&s->bus, dev, &adapter, ctx, 0, MAX_TARGET, SCSI_LUN_MAX);
    return true;
}

static void vscsi_finish(struct device *dev)
{
    struct vscsi *s = (struct vscsi *)dev;

    virtio_stop(&s->v);
    if (s->bus.post)
        scsi_bus_stop(&s->bus);
    scsi_bus_finish(&s->bus);
    virtio_finish(&s->v);
    free(s->to_notify);
    s->to_notify = NULL;
}

static void vscsi_reset(struct device *dev)
{
    virtio_reset(&((struct vscsi *)dev)->v);
}

const struct device_type virtio_scsi_type = {
    .name = "virtio-scsi-device",
    .doc = "virtio SCSI adapter, on any virtio transport",
    .size = sizeof(struct vscsi),
    .bus = "virtio-bus",
    .offers = "SCSI",
    .category = DEVICE_STORAGE,
    .props =
        FIELDS(VIRTIO_PROPS(struct vscsi, v),
               FIELD_LINK(struct vscsi, iothread, "iothread", .doc = "id of -object iothread"),
               FIELD(struct vscsi, num_queues, .wire = "num_queues",
                     .doc = "request queues; 4294967295: one per vCPU [4294967295]"),
               FIELD(struct vscsi, virtqueue_size, .wire = "virtqueue_size",
                     .doc = "entries of a queue [256]"),
               FIELD(struct vscsi, max_sectors, .wire = "max_sectors",
                     .doc = "largest request that the guest makes, of 512 bytes [65535]"),
               FIELD(struct vscsi, cmd_per_lun, .wire = "cmd_per_lun",
                     .doc = "requests under way at one unit [128]"),
               FIELD(struct vscsi, hotplug, .doc = "tell the guest of units that come and go [on]"),
               FIELD(struct vscsi, param_change, .wire = "param_change",
                     .doc = "tell the guest of new media and sizes [on]"),
               FIELD(struct vscsi, seg_max_adjust, .wire = "seg_max_adjust",
                     .doc = "pieces of a request follow virtqueue_size [on]")),
    .state = FIELDS(FIELD(struct vscsi, sense_size, .max = SENSE_SIZE_MAX),
                    FIELD(struct vscsi, cdb_size, .max = CDB_SIZE_MAX),
                    FIELD(struct vscsi, events_missed)),
    .defaults = vscsi_defaults,
    .init = vscsi_init,
    .finish = vscsi_finish,
    .reset = vscsi_reset,
};

VIRTIO_PCI_TYPE(virtio_scsi_pci, virtio_scsi_type, "virtio-scsi-pci", DEVICE_STORAGE,
                "virtio SCSI adapter");
