/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bus, the life of a request, task management, and the commands that a target itself answers.
 */
#include "dev/storage/scsi.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/scope.h"
#include "base/trace.h"

/*
 * Requests on their way between the home context and the main loop's: calls run the boxes, and
 * outlive the bus if they must. scsi_bus_stop() empties the boxes itself.
 */
struct scsi_post {
    pthread_mutex_t lock;
    unsigned refs;        /* the bus's and one for each call under way. GUARDED_BY(lock) */
    struct scsi_bus *bus; /* NULL: gone */
    struct scsi_request *to_main, **to_main_last; /* GUARDED_BY(lock) */
    struct scsi_request *to_home, **to_home_last;
};

static void end(struct scsi_request *q);

/* --- between contexts --- */

static void post_unref(struct scsi_post *p)
{
    bool last;

    pthread_mutex_lock(&p->lock);
    last = --p->refs == 0;
    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static struct scsi_request *take_to_main(struct scsi_post *p)
{
    struct scsi_request *q;

    WITH_LOCK (&p->lock) {
        q = p->to_main;
        p->to_main = NULL;
        p->to_main_last = &p->to_main;
    }
    return q;
}

static struct scsi_request *take_to_home(struct scsi_post *p)
{
    struct scsi_request *q;

    WITH_LOCK (&p->lock) {
        q = p->to_home;
        p->to_home = NULL;
        p->to_home_last = &p->to_home;
    }
    return q;
}

static void start(struct scsi_request *q);

static void run_to_main(struct scsi_post *p)
{
    for (struct scsi_request *q = take_to_main(p), *next; q; q = next) {
        next = q->wait_next;
        start(q);
        if (q->unit->blk)
            blk_kick(q->unit->blk);
    }
}

static void burst_end(struct scsi_bus *b)
{
    if (b->adapter->burst_end)
        b->adapter->burst_end(b);
}

static void run_to_home(struct scsi_post *p)
{
    for (struct scsi_request *q = take_to_home(p), *next; q; q = next) {
        next = q->wait_next;
        end(q);
    }
    burst_end(p->bus);
}

static void call_in_main(void *opaque)
{
    struct scsi_post *p = opaque;

    if (p->bus)
        run_to_main(p);
    post_unref(p);
}

static void call_at_home(void *opaque)
{
    struct scsi_post *p = opaque;

    if (p->bus)
        run_to_home(p);
    post_unref(p);
}

static void send_to_main(struct scsi_post *p, struct scsi_request *q)
{
    q->wait_next = NULL;
    WITH_LOCK (&p->lock) {
        *p->to_main_last = q;
        p->to_main_last = &q->wait_next;
        p->refs++;
    }
    ioctx_call(scsi_lun_ctx(q->unit), call_in_main, p);
}

static void send_home(struct scsi_post *p, struct scsi_request *q)
{
    q->wait_next = NULL;
    WITH_LOCK (&p->lock) {
        *p->to_home_last = q;
        p->to_home_last = &q->wait_next;
        p->refs++;
    }
    ioctx_call(p->bus->ctx, call_at_home, p);
}

struct ioctx *scsi_lun_ctx(const struct scsi_lun *u)
{
    return u->type->needs_machine_lock ? ioctx_main(u->dev.ctx.loop) : u->bus->ctx;
}

/* --- the bus --- */

static struct scsi_lun *unit_of(struct device *dev)
{
    return container_of(dev, struct scsi_lun, dev);
}

struct scsi_lun *scsi_find(struct scsi_bus *b, uint32_t channel, uint32_t id, uint32_t lun)
{
    for (struct scsi_lun *u = b->units; u; u = u->next_unit) {
        if (u->dev.ready && u->channel == channel && u->id == id && u->lun == lun)
            return u;
    }
    return NULL;
}

bool scsi_has_target(struct scsi_bus *b, uint32_t channel, uint32_t id)
{
    for (const struct scsi_lun *u = b->units; u; u = u->next_unit) {
        if (u->dev.ready && u->channel == channel && u->id == id)
            return true;
    }
    return false;
}

static bool place_taken(const struct scsi_bus *b, const struct scsi_lun *me, uint32_t id,
                        uint32_t lun)
{
    for (const struct scsi_lun *u = b->units; u; u = u->next_unit) {
        if (u != me && u->channel == me->channel && u->id == id && u->lun == lun)
            return true;
    }
    return false;
}

static bool check_place(const struct scsi_bus *b, const struct scsi_lun *u, struct error *err)
{
    if (u->channel > b->max_channel)
        return fail(err, ERANGE, "channel=%u: bus '%s' has channels 0 to %u", u->channel,
                    b->bus.name, b->max_channel);
    if (u->id != UINT32_MAX && u->id > b->max_id)
        return fail(err, ERANGE, "scsi-id=%u: bus '%s' has targets 0 to %u", u->id, b->bus.name,
                    b->max_id);
    if (u->lun != UINT32_MAX && u->lun > b->max_lun)
        return fail(err, ERANGE, "lun=%u: bus '%s' has logical units 0 to %u", u->lun, b->bus.name,
                    b->max_lun);
    return true;
}

/* The list is the home context's, which stands still while it changes. */
static bool hold(struct scsi_bus *b)
{
    bool is_thread = !ioctx_is_main(b->ctx);

    if (is_thread)
        ioctx_quiesce(b->ctx);
    return is_thread;
}

static void let_go(struct scsi_bus *b, bool held)
{
    if (held)
        ioctx_go_on(b->ctx);
}

static void list_unit(struct scsi_bus *b, struct scsi_lun *u)
{
    struct scsi_lun **p = &b->units;
    bool held = hold(b);

    while (*p)
        p = &(*p)->next_unit;
    *p = u;
    let_go(b, held);
}

static bool plug(struct device_bus *bus, struct device *dev, struct error *err)
{
    struct scsi_bus *b = bus->opaque;
    struct scsi_lun *u = unit_of(dev);

    if (!check_place(b, u, err))
        return false;
    if (u->id == UINT32_MAX) {
        if (u->lun == UINT32_MAX)
            u->lun = 0;
        for (u->id = 0; u->id <= b->max_id && place_taken(b, u, u->id, u->lun);)
            u->id++;
        if (u->id > b->max_id)
            return fail(err, ENOSPC, "bus '%s' has no free target for lun=%u", bus->name, u->lun);
    } else if (u->lun == UINT32_MAX) {
        for (u->lun = 0; u->lun <= b->max_lun && place_taken(b, u, u->id, u->lun);)
            u->lun++;
        if (u->lun > b->max_lun)
            return fail(err, ENOSPC, "scsi-id=%u of bus '%s' has no free lun", u->id, bus->name);
    } else if (place_taken(b, u, u->id, u->lun)) {
        fail(err, EBUSY, "bus '%s': channel=%u,scsi-id=%u,lun=%u is taken", bus->name, u->channel,
             u->id, u->lun);
        return fail_hint(err, "leave scsi-id and lun out for the first free place");
    }
    u->bus = b;
    list_unit(b, u);
    return true;
}

static void place(const struct device *dev, char *buf, size_t size)
{
    const struct scsi_lun *u = container_of(dev, const struct scsi_lun, dev);

    snprintf(buf, size, "%u:%u:%u", u->channel, u->id, u->lun);
}

static void fw_path(const struct device *dev, char *buf, size_t size)
{
    const struct scsi_lun *u = container_of(dev, const struct scsi_lun, dev);

    snprintf(buf, size, "channel@%x/disk@%x,%x", u->channel, u->id, u->lun);
}

static void unplug(struct device_bus *bus, struct device *dev);

const struct bus_type scsi_bus_type = {
    .name = "SCSI",
    .plug = plug,
    .unplug = unplug,
    .place = place,
    .fw_path = fw_path,
};

void scsi_bus_init(struct scsi_bus *b, struct device *owner, const struct scsi_adapter *adapter,
                   struct ioctx *ctx, uint32_t max_channel, uint32_t max_id, uint32_t max_lun)
{
    struct scsi_post *p = xnew(struct scsi_post);

    pthread_mutex_init(&p->lock, NULL);
    p->refs = 1;
    p->bus = b;
    p->to_main_last = &p->to_main;
    p->to_home_last = &p->to_home;
    b->post = p;
    b->adapter = adapter;
    b->main_ctx = ioctx_main(owner->ctx.loop);
    b->ctx = ctx ? ctx : b->main_ctx;
    b->max_channel = max_channel;
    b->max_id = max_id;
    b->max_lun = max_lun;
    bus_init(&b->bus, &scsi_bus_type, owner, NULL, b);
}

void scsi_bus_finish(struct scsi_bus *b)
{
    if (!b->post)
        return;
    struct scsi_post *p = b->post;
    struct ioctx *main_ctx = b->main_ctx;
    bool is_thread = b->ctx != main_ctx;

    bus_finish(&b->bus);
    if (is_thread)
        ioctx_quiesce(b->ctx);
    unsigned calls =
        ioctx_call_cancel(b->ctx, call_at_home, p) + ioctx_call_cancel(main_ctx, call_in_main, p);
    if (is_thread)
        ioctx_go_on(b->ctx);
    p->bus = NULL;
    WITH_LOCK (&p->lock)
        p->refs -= calls;
    post_unref(p);
    b->post = NULL;
}

/* --- logical units --- */

void scsi_lun_defaults(struct scsi_lun *u)
{
    blk_conf_defaults(&u->conf);
    u->id = u->lun = UINT32_MAX;
    u->scsi_version = 5;
    u->max_io_size = INT32_MAX;
}

static bool check_text(const char *name, const char *text, size_t max, struct error *err)
{
    if (!text || strlen(text) <= max)
        return true;
    return fail(err, EINVAL, "%s='%.40s' has more than %zu characters", name, text, max);
}

bool scsi_lun_init(struct scsi_lun *u, const struct scsi_lun_type *type, struct error *err)
{
    u->type = type;
    if (!check_text("vendor", u->vendor, 8, err) || !check_text("product", u->product, 16, err) ||
        !check_text("ver", u->ver, 4, err) || !check_text("device_id", u->device_id, 200, err))
        return false;
    if (!u->vendor)
        u->vendor = xstrdup("QEMU");
    if (!u->ver)
        u->ver = xstrdup("2.5+");
    if (!blk_conf_settle(&u->conf, &u->dev, err))
        return false;
    if (!u->device_id && u->conf.serial)
        u->device_id = xstrndup(u->conf.serial, 200);
    else if (!u->device_id && u->conf.drive && u->conf.drive->id)
        u->device_id = xstrndup(u->conf.drive->id, 200);
    return true;
}

void scsi_lun_plugged(struct scsi_lun *u)
{
    if (u->bus && u->bus->adapter->plugged)
        u->bus->adapter->plugged(u->bus, u, true);
}

void scsi_lun_save(struct scsi_lun *u)
{
    u->attention_saved = atomic_load(&u->attention);
}

void scsi_lun_loaded(struct scsi_lun *u)
{
    atomic_store(&u->attention, u->attention_saved);
}

void scsi_lun_reset(struct scsi_lun *u)
{
    atomic_store(&u->attention, SCSI_UA_RESET);
}

void scsi_lun_changed(struct scsi_lun *u, enum scsi_attention ua)
{
    static const struct {
        enum scsi_attention ua;
        uint16_t reason;
    } reasons[] = { { SCSI_UA_MEDIUM, 0x0028 }, { SCSI_UA_CAPACITY, 0x092a } };

    atomic_fetch_or(&u->attention, ua);
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (reasons[i].ua == ua && u->bus && u->bus->adapter->changed)
            u->bus->adapter->changed(u->bus, u, reasons[i].reason);
}

void scsi_lun_burst_end(void *unit)
{
    struct scsi_lun *u = unit;

    if (u->bus && scsi_lun_ctx(u) == u->bus->ctx)
        burst_end(u->bus);
}

static bool take_attention(struct scsi_lun *u, uint32_t mask, struct scsi_sense *ret)
{
    static const struct scsi_sense senses[] = {
        { 6, 0x29, 0x00 }, { 6, 0x28, 0x00 }, { 6, 0x2a, 0x09 }, { 6, 0x3f, 0x0e }
    };
    uint32_t waiting = atomic_load(&u->attention) & mask;

    if (!waiting)
        return false;
    unsigned n = (unsigned)__builtin_ctz(waiting);
    atomic_fetch_and(&u->attention, ~(UINT32_C(1) << n));
    *ret = senses[n];
    return true;
}

/* --- how requests end --- */

/* Out of the unit's hands. */
static void finish(struct scsi_request *q)
{
    free(q->buffer);
    q->buffer = NULL;
    if (q->unit && q->bus->ctx != scsi_lun_ctx(q->unit))
        send_home(q->bus->post, q);
    else
        end(q);
}

void scsi_good(struct scsi_request *q)
{
    q->status = SCSI_GOOD;
    finish(q);
}

static void set_sense(struct scsi_request *q, struct scsi_sense s)
{
    memset(q->sense, 0, sizeof q->sense);
    q->sense[0] = 0x70;
    q->sense[2] = s.key;
    q->sense[7] = SCSI_SENSE_SIZE - 8;
    q->sense[12] = s.asc;
    q->sense[13] = s.ascq;
    q->sense_len = SCSI_SENSE_SIZE;
}

void scsi_check(struct scsi_request *q, struct scsi_sense s)
{
    TRACE(scsi, "opcode %#04x: sense %x/%02x/%02x", q->cdb[0], s.key, s.asc, s.ascq);
    set_sense(q, s);
    q->status = SCSI_CHECK_CONDITION;
    finish(q);
}

void scsi_check_info(struct scsi_request *q, struct scsi_sense s, uint32_t info)
{
    set_sense(q, s);
    q->sense[0] |= 0x80; /* VALID */
    st_be32(q->sense + 3, info);
    q->status = SCSI_CHECK_CONDITION;
    finish(q);
}

void scsi_overrun(struct scsi_request *q)
{
    q->outcome = SCSI_OVERRUN;
    finish(q);
}

void scsi_reply(struct scsi_request *q, const void *data, size_t len, uint64_t alloc)
{
    struct disk_vec v;

    if (alloc > q->in.len) {
        scsi_overrun(q);
        return;
    }
    v = vec_slice(q->in, 0, MIN(len, alloc));
    if (v.len)
        vec_from_buf(&v, data);
    q->moved = v.len;
    scsi_good(q);
}

bool scsi_take_params(struct scsi_request *q, void *buf, size_t len)
{
    struct disk_vec v;

    if (len > q->out.len) {
        scsi_overrun(q);
        return false;
    }
    v = vec_slice(q->out, 0, len);
    if (len)
        vec_to_buf(&v, buf);
    q->moved = len;
    return true;
}

/* --- commands of a target --- */

static void report_luns(struct scsi_bus *b, struct scsi_request *q)
{
    uint32_t alloc = ld_be32(q->cdb + 6);
    size_t n = 0, room = 8 + 8;
    AUTO_FREE uint8_t *buf = NULL;
    bool zero = false;

    for (const struct scsi_lun *u = b->units; u; u = u->next_unit)
        room += 8;
    buf = xcalloc(1, room);

    if (q->cdb[2] > 2 || alloc < 16) {
        scsi_check(q, SCSI_INVALID_FIELD);
        return;
    }
    for (const struct scsi_lun *u = b->units; u && q->cdb[2] != 1; u = u->next_unit) {
        uint8_t *p = buf + 8 + 8 * n;

        if (!u->dev.ready || u->channel != q->channel || u->id != q->id)
            continue;
        zero |= u->lun == 0;
        p[0] = u->lun < 256 ? 0 : (uint8_t)(0x40 | u->lun >> 8);
        p[1] = (uint8_t)u->lun;
        n++;
    }
    if (!zero && q->cdb[2] != 1)
        n++; /* LUN 0 always answers; its eight zero bytes are there */
    st_be32(buf, (uint32_t)(8 * n));
    scsi_reply(q, buf, 8 + 8 * n, alloc);
}

static void request_sense(struct scsi_request *q, struct scsi_sense s)
{
    uint8_t buf[SCSI_SENSE_SIZE];

    if (q->cdb[1] & 1) { /* descriptor format */
        uint8_t d[8] = { 0x72, s.key, s.asc, s.ascq };

        scsi_reply(q, d, sizeof d, q->cdb[4]);
        return;
    }
    set_sense(q, s);
    memcpy(buf, q->sense, sizeof buf);
    q->sense_len = 0;
    scsi_reply(q, buf, sizeof buf, q->cdb[4]);
}

enum { TEST_UNIT_READY = 0x00, REQUEST_SENSE = 0x03, INQUIRY = 0x12, REPORT_LUNS = 0xa0 };

/* There are units at this target, but not of this number (SPC-4 §6.4.2, SAM-5 §4.7.1). */
static void no_such_lun(struct scsi_bus *b, struct scsi_request *q)
{
    uint8_t buf[36] = { 0x7f, 0, 5, 0x02, 31 };

    switch (q->cdb[0]) {
    case REPORT_LUNS: report_luns(b, q); break;
    case INQUIRY:
        if (q->cdb[1] & 1) {
            scsi_check(q, SCSI_INVALID_FIELD);
            break;
        }
        memset(buf + 8, ' ', 28);
        scsi_reply(q, buf, sizeof buf, ld_be16(q->cdb + 3));
        break;
    case REQUEST_SENSE: request_sense(q, SCSI_NO_SUCH_LUN); break;
    default: scsi_check(q, SCSI_NO_SUCH_LUN); break;
    }
}

/* In the unit's context. */
static void start(struct scsi_request *q)
{
    struct scsi_lun *u = q->unit;
    uint8_t opcode = q->cdb[0];
    struct scsi_sense s = SCSI_NO_SENSE;

    TRACE(scsi, "%s: opcode %#04x, %zu bytes out, %zu in", u->dev.id, opcode, q->out.len,
          q->in.len);
    if (atomic_exchange(&u->reset_wanted, false) && u->type->reset)
        u->type->reset(u);
    if (q->aborted) {
        finish(q);
    } else if (opcode == REPORT_LUNS) {
        atomic_fetch_and(&u->attention, ~(uint32_t)SCSI_UA_LUNS);
        report_luns(u->bus, q);
    } else if (opcode == REQUEST_SENSE) {
        if (!take_attention(u, SCSI_UA_ALL, &s) && u->type->take_sense)
            s = u->type->take_sense(u);
        request_sense(q, s);
    } else if (opcode != INQUIRY &&
               (take_attention(u, SCSI_UA_ALL, &s) ||
                (u->type->take_attention && u->type->take_attention(u, opcode, &s)))) {
        scsi_check(q, s);
    } else {
        u->type->execute(q);
    }
}

/* --- at home: submit, end, manage --- */

static bool matches(const struct scsi_tmf *t, const struct scsi_request *q)
{
    if (q->number >= t->number || q->channel != t->channel)
        return false;
    switch (t->kind) {
    case SCSI_BUS_RESET: return true;
    case SCSI_TARGET_RESET: return q->id == t->id;
    case SCSI_ABORT_TASK:
    case SCSI_QUERY_TASK: return q->id == t->id && q->lun == t->lun && q->tag == t->tag;
    default: return q->id == t->id && q->lun == t->lun;
    }
}

static struct scsi_request *find_task(struct scsi_bus *b, const struct scsi_tmf *t)
{
    for (struct scsi_request *q = b->first; q; q = q->next)
        if (matches(t, q))
            return q;
    return NULL;
}

static void check_tmfs(struct scsi_bus *b)
{
    for (struct scsi_tmf **p = &b->tmfs; *p;) {
        struct scsi_tmf *t = *p;

        if (find_task(b, t)) {
            p = &t->next;
            continue;
        }
        *p = t->next;
        t->done(t);
        p = &b->tmfs; /* done() may have changed the list */
    }
}

static void end(struct scsi_request *q)
{
    struct scsi_bus *b = q->bus;

    if (q->prev)
        q->prev->next = q->next;
    else
        b->first = q->next;
    if (q->next)
        q->next->prev = q->prev;
    else
        b->last = q->prev;
    if (q->aborted)
        q->outcome = q->aborted;
    q->done(q);
    if (b->tmfs)
        check_tmfs(b);
}

void scsi_submit(struct scsi_bus *b, struct scsi_request *q)
{
    q->unit = scsi_find(b, q->channel, q->id, q->lun);
    q->outcome = SCSI_DONE;
    q->aborted = SCSI_DONE;
    q->status = q->sense_len = 0;
    q->moved = q->pos = 0;
    q->buffer = NULL;
    q->bus = b;
    q->number = b->numbers++;
    q->prev = b->last;
    q->next = NULL;
    if (b->last)
        b->last->next = q;
    else
        b->first = q;
    b->last = q;
    if (!q->unit)
        no_such_lun(b, q);
    else if (b->ctx != scsi_lun_ctx(q->unit))
        send_to_main(b->post, q);
    else
        start(q);
}

void scsi_kick(struct scsi_bus *b)
{
    for (struct scsi_lun *u = b->units; u; u = u->next_unit) {
        if (u->dev.ready && u->blk && b->ctx == scsi_lun_ctx(u))
            blk_kick(u->blk);
    }
}

/* The requests still have to come back: the host's disk cannot be made to forget them. */
static void abort_tasks(struct scsi_bus *b, const struct scsi_tmf *t)
{
    bool is_reset =
        t->kind == SCSI_LUN_RESET || t->kind == SCSI_TARGET_RESET || t->kind == SCSI_BUS_RESET;

    for (struct scsi_request *q = b->first; q; q = q->next)
        if (matches(t, q))
            q->aborted = is_reset ? SCSI_RESET : SCSI_ABORTED;
    for (struct scsi_lun *u = b->units; u && is_reset; u = u->next_unit) {
        if (u->dev.ready && u->channel == t->channel &&
            (t->kind == SCSI_BUS_RESET || u->id == t->id) &&
            (t->kind != SCSI_LUN_RESET || u->lun == t->lun)) {
            atomic_store(&u->reset_wanted, true);
            atomic_fetch_or(&u->attention, SCSI_UA_RESET);
        }
    }
}

void scsi_manage(struct scsi_bus *b, struct scsi_tmf *t)
{
    bool is_query = t->kind == SCSI_QUERY_TASK || t->kind == SCSI_QUERY_TASK_SET;

    t->no_target = t->kind != SCSI_BUS_RESET && !scsi_has_target(b, t->channel, t->id);
    t->no_lun = t->kind != SCSI_BUS_RESET && t->kind != SCSI_TARGET_RESET &&
                !scsi_find(b, t->channel, t->id, t->lun);
    t->number = b->numbers++;
    t->found = find_task(b, t) != NULL;
    if (t->no_target || t->no_lun || is_query) {
        t->done(t);
        return;
    }
    abort_tasks(b, t);
    t->next = b->tmfs;
    b->tmfs = t;
    check_tmfs(b);
}

/* Requests of the unit, NULL: of all, come to their end. The home context stands still. */
static bool end_some(struct scsi_bus *b, const struct scsi_lun *only)
{
    bool any = false;

    for (struct scsi_request *q = b->first; q; q = q->next) {
        if (only && q->unit != only)
            continue;
        q->aborted = SCSI_RESET;
        any = true;
    }
    run_to_main(b->post);
    for (struct scsi_lun *u = b->units; u && any; u = u->next_unit) {
        if (u->dev.ready && u->blk && (!only || u == only))
            blk_drain(u->blk);
    }
    run_to_home(b->post);
    return any;
}

void scsi_bus_stop(struct scsi_bus *b)
{
    bool held = hold(b);

    while (end_some(b, NULL))
        ;
    let_go(b, held);
}

void scsi_lun_leave(struct scsi_lun *u)
{
    struct scsi_bus *b = u->bus;
    bool held;

    if (!b)
        return;
    held = hold(b);
    while (end_some(b, u))
        ;
    for (struct scsi_lun **p = &b->units; *p; p = &(*p)->next_unit) {
        if (*p == u) {
            *p = u->next_unit;
            break;
        }
    }
    let_go(b, held);
    u->bus = NULL;
    if (u->dev.ready && b->adapter->plugged)
        b->adapter->plugged(b, u, false);
}

/* Also of one whose init failed. */
static void unplug(struct device_bus *bus, struct device *dev)
{
    scsi_lun_leave(unit_of(dev));
}

/* --- INQUIRY --- */

static void pad(uint8_t *p, const char *text, size_t n)
{
    size_t len = text ? strnlen(text, n) : 0;

    memset(p, ' ', n);
    if (len)
        memcpy(p, text, len);
}

size_t scsi_inquiry_standard(const struct scsi_lun *u, uint8_t type, bool removable, uint8_t *buf)
{
    memset(buf, 0, 36);
    buf[0] = type;
    buf[1] = removable ? 0x80 : 0;
    buf[2] = (uint8_t)u->scsi_version;
    buf[3] = 0x12; /* HISUP, format 2 */
    buf[4] = 36 - 5;
    buf[7] = 0x02; /* CMDQUE */
    pad(buf + 8, u->vendor, 8);
    pad(buf + 16, u->product, 16);
    pad(buf + 32, u->ver, 4);
    return 36;
}

static size_t add_designator(uint8_t *p, uint8_t code_set, uint8_t kind, const void *data,
                             size_t len)
{
    p[0] = code_set;
    p[1] = kind;
    p[2] = 0;
    p[3] = (uint8_t)len;
    memcpy(p + 4, data, len);
    return 4 + len;
}

static size_t identification(const struct scsi_lun *u, uint8_t *p)
{
    enum { BINARY = 1, ASCII = 2, OF_SAS_PORT = 0x60, PIV = 0x80, PORT = 0x10, NAA = 3 };
    uint8_t raw[8];
    size_t n = 0;

    if (u->device_id && *u->device_id)
        n += add_designator(p, ASCII, 0, u->device_id, MIN(strlen(u->device_id), 200));
    if (u->wwn) {
        st_be64(raw, u->wwn);
        n += add_designator(p + n, BINARY, NAA, raw, 8);
    }
    if (u->port_wwn) {
        st_be64(raw, u->port_wwn);
        n += add_designator(p + n, OF_SAS_PORT | BINARY, PIV | PORT | NAA, raw, 8);
    }
    if (u->port_index) {
        st_be32(raw, u->port_index);
        n += add_designator(p + n, OF_SAS_PORT | BINARY, PIV | PORT | 4, raw, 4);
    }
    return n;
}

size_t scsi_inquiry_id(const struct scsi_lun *u, uint8_t page, uint8_t *buf)
{
    size_t n = 0;

    switch (page) {
    case 0x80: /* unit serial number */
        if (!u->conf.serial)
            return 0;
        n = strnlen(u->conf.serial, 247);
        memcpy(buf + 4, u->conf.serial, n);
        break;
    case 0x83: n = identification(u, buf + 4); break;
    default: return 0;
    }
    buf[1] = page;
    buf[2] = 0;
    buf[3] = (uint8_t)n;
    return n + 4;
}
