/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of a disk controller. Each blk has a queue of its own on the drive's disk; its
 * descriptor is watched in the blk's context. What completes while requests are submitted (reads of
 * what the host has cached) is completed by blk_kick() at once, without a turn of the event loop.
 */
#include "dev/storage/blk.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/trace.h"

/* Requests that go to the kernel's ring at once; more wait in the queue. */
enum { RING_DEPTH = 128 };

struct blk {
    /* constant after init */
    struct loop *loop;
    struct ioctx *ctx;
    struct drive *drive;
    enum drive_on_error on_read, on_write;
    struct disk_queue *queue;
    struct ioctx_fd *watch;
    void (*burst_end)(void *opaque);
    void *burst_opaque;

    /* in the context */
    bool write_through;
    bool kicking;                        /* blk_kick() is on the stack */
    unsigned in_flight;                  /* given to the queue */
    struct blk_request *now, **now_last; /* complete without having been given to the queue */
    struct blk_request *stopped, **stopped_last; /* wait for the machine to go on */

    struct {
        _Atomic(uint64_t) count, bytes, ns, failed;
    } stats[DISK_OP_COUNT];
};

/* --- properties --- */

void blk_conf_defaults(struct blk_conf *c)
{
    c->bootindex = -1;
    c->discard_granularity = UINT32_MAX; /* the drive's, or what the controller is used to */
}

static bool check_block_size(const char *name, uint32_t *size, struct error *err)
{
    if (!*size)
        *size = BLK_SECTOR;
    if (*size >= BLK_SECTOR && *size <= 2 << 20 && is_pow2(*size))
        return true;
    return fail(err, EINVAL, "%s=%u: a block size is a power of two from 512 to 2097152", name,
                *size);
}

static bool parse_on_error(const char *name, const char *text, bool is_write,
                           enum drive_on_error *ret, struct error *err)
{
    static const char *const names[] = { [DRIVE_REPORT] = "report",
                                         [DRIVE_IGNORE] = "ignore",
                                         [DRIVE_STOP] = "stop",
                                         [DRIVE_ENOSPC] = "enospc" };

    if (!text || !strcmp(text, "auto"))
        return true; /* the drive's */
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (!strcmp(text, names[i]) && (is_write || i != DRIVE_ENOSPC)) {
            *ret = (enum drive_on_error)i;
            return true;
        }
    }
    fail(err, EINVAL, "%s=%s is not a policy for errors", name, text);
    return fail_hint(err, is_write ? "report, ignore, stop, enospc or auto"
                                   : "report, ignore, stop or auto");
}

static bool check_geometry(const struct blk_conf *c, struct error *err)
{
    if (!c->cyls && !c->heads && !c->secs)
        return true;
    if (c->cyls < 1 || c->cyls > 65535 || c->heads < 1 || c->heads > 255 || c->secs < 1 ||
        c->secs > 255)
        return fail(
            err, EINVAL,
            "cyls=%u,heads=%u,secs=%u: cylinders are 1 to 65535, heads and sectors 1 to 255",
            c->cyls, c->heads, c->secs);
    return true;
}

bool blk_conf_settle(struct blk_conf *c, struct device *dev, struct error *err)
{
    enum drive_on_error unused = DRIVE_REPORT;
    const char *wc = c->write_cache;

    if (!check_block_size("logical_block_size", &c->logical_block_size, err) ||
        !check_block_size("physical_block_size", &c->physical_block_size, err) ||
        !check_geometry(c, err) || !parse_on_error("rerror", c->rerror, false, &unused, err) ||
        !parse_on_error("werror", c->werror, true, &unused, err))
        return false;
    if (c->logical_block_size > c->physical_block_size) {
        fail(err, EINVAL, "logical_block_size=%u is larger than physical_block_size=%u",
             c->logical_block_size, c->physical_block_size);
        return fail_hint(err, "give physical_block_size=%u", c->logical_block_size);
    }
    if (c->min_io_size % c->logical_block_size)
        return fail(err, EINVAL, "min_io_size=%u is not a multiple of logical_block_size=%u",
                    c->min_io_size, c->logical_block_size);
    if (c->min_io_size / c->logical_block_size > UINT16_MAX)
        return fail(err, EINVAL, "min_io_size=%u is more than 65535 logical blocks",
                    c->min_io_size);
    if (c->opt_io_size % c->logical_block_size)
        return fail(err, EINVAL, "opt_io_size=%u is not a multiple of logical_block_size=%u",
                    c->opt_io_size, c->logical_block_size);
    if (c->discard_granularity != UINT32_MAX && c->discard_granularity % c->logical_block_size)
        return fail(err, EINVAL,
                    "discard_granularity=%u is not a multiple of logical_block_size=%u",
                    c->discard_granularity, c->logical_block_size);
    if (wc && strcmp(wc, "on") != 0 && strcmp(wc, "off") != 0 && strcmp(wc, "auto") != 0)
        return fail(err, EINVAL, "write-cache=%s: it is on, off or auto", wc);
    if (c->drive) {
        if (c->bootindex < 0)
            c->bootindex = c->drive->bootindex;
        if (!c->serial && c->drive->serial)
            c->serial = xstrdup(c->drive->serial);
    }
    return true;
}

bool blk_conf_write_cache(const struct blk_conf *c)
{
    if (c->write_cache && strcmp(c->write_cache, "auto") != 0)
        return !strcmp(c->write_cache, "on");
    return !c->drive || !c->drive->write_through;
}

/* --- completion --- */

static void count(struct blk *b, const struct blk_request *q, int result)
{
    uint64_t len = q->r.op == DISK_OP_READ || q->r.op == DISK_OP_WRITE ? q->r.vec.len : q->r.len;
    int64_t ns = clock_now_ns(loop_clock(b->loop, CLOCK_RT)) - q->start_ns;

    /* relaxed: nothing else hangs on these numbers */
    atomic_fetch_add_explicit(&b->stats[q->r.op].ns, (uint64_t)MAX(ns, 0), memory_order_relaxed);
    if (result < 0) {
        atomic_fetch_add_explicit(&b->stats[q->r.op].failed, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_add_explicit(&b->stats[q->r.op].count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&b->stats[q->r.op].bytes, len, memory_order_relaxed);
}

static void finish(struct blk_request *q, int result)
{
    struct blk *b = q->blk;

    count(b, q, result);
    TRACE(blk, "%s: op %d at %#llx: %d", b->drive->id, q->r.op, (unsigned long long)q->r.offset,
          result);
    q->done(q, result);
}

static void keep_stopped(struct blk *b, struct blk_request *q, int error)
{
    q->next = NULL;
    *b->stopped_last = q;
    b->stopped_last = &q->next;
    b->drive->on_stop(b->drive, error);
}

/* What becomes of an error: true when the request waits for the machine to go on. */
static bool take_error(struct blk *b, struct blk_request *q, int *result)
{
    enum drive_on_error policy = q->r.op == DISK_OP_READ ? b->on_read : b->on_write;
    int error = -*result;

    /* not the medium's: a request that cannot succeed is the guest's affair */
    if (error == ENOMEDIUM || error == EINVAL || (error == ENOTSUP && q->r.op != DISK_OP_FLUSH))
        return false;
    if (policy == DRIVE_ENOSPC)
        policy = error == ENOSPC ? DRIVE_STOP : DRIVE_REPORT;
    if (policy == DRIVE_IGNORE)
        *result = 0;
    if (policy != DRIVE_STOP || !b->drive->on_stop)
        return false;
    keep_stopped(b, q, error);
    return true;
}

static void request_done(struct disk_request *r, int result)
{
    struct blk_request *q = container_of(r, struct blk_request, r);
    struct blk *b = q->blk;

    b->in_flight--;
    if (likely(result >= 0) || !take_error(b, q, &result))
        finish(q, MIN(result, 0));
}

/* --- submission --- */

static void finish_now(struct blk *b)
{
    while (b->now) {
        struct blk_request *q = b->now;

        b->now = q->next;
        if (!b->now)
            b->now_last = &b->now;
        finish(q, q->result);
    }
}

static void give_now(struct blk *b, struct blk_request *q, int result)
{
    q->result = result;
    q->next = NULL;
    *b->now_last = q;
    b->now_last = &q->next;
}

static bool in_range(const struct blk_request *q, uint64_t size)
{
    bool moves = q->r.op == DISK_OP_READ || q->r.op == DISK_OP_WRITE;
    uint64_t end;

    if (q->r.op == DISK_OP_FLUSH || q->r.op == DISK_OP_CALL)
        return true;
    return checked_add(q->r.offset, moves ? q->r.vec.len : q->r.len, &end) && end <= size;
}

void blk_submit(struct blk_request *q)
{
    struct blk *b = q->blk;
    struct disk *d = b->drive->disk;

    q->start_ns = clock_now_ns(loop_clock(b->loop, CLOCK_RT));
    if (!d) {
        give_now(b, q, -ENOMEDIUM);
    } else if (!in_range(q, disk_size(d))) {
        give_now(b, q, -EIO);
    } else if (q->r.op != DISK_OP_READ && q->r.op != DISK_OP_FLUSH && q->r.op != DISK_OP_CALL &&
               b->drive->read_only) {
        give_now(b, q, -EROFS);
    } else {
        q->r.disk = d;
        q->r.done = request_done;
        if (b->write_through && (q->r.op == DISK_OP_WRITE || q->r.op == DISK_OP_ZERO))
            q->r.flags |= DISK_FUA;
        b->in_flight++;
        disk_submit(b->queue, &q->r);
    }
}

void blk_kick(struct blk *b)
{
    bool any = false;

    if (b->kicking) /* from a done(): the outer one goes on */
        return;
    b->kicking = true;
    for (bool more = true; more; any |= more) {
        more = b->now != NULL;
        finish_now(b);
        disk_queue_kick(b->queue);
        more |= disk_queue_reap(b->queue, false) > 0;
    }
    b->kicking = false;
    if (any && b->burst_end)
        b->burst_end(b->burst_opaque);
}

void blk_set_burst_end(struct blk *b, void (*fn)(void *opaque), void *opaque)
{
    b->burst_end = fn;
    b->burst_opaque = opaque;
}

static void queue_readable(void *opaque)
{
    blk_kick(opaque);
}

void blk_set_write_through(struct blk *b, bool on)
{
    b->write_through = on;
}

/* --- life --- */

struct blk *blk_new(struct loop *loop, struct ioctx *ctx, const struct blk_conf *conf,
                    struct error *err)
{
    struct blk *b = xnew(struct blk);
    struct drive *d = conf->drive;

    assert(d);
    b->loop = loop;
    b->ctx = ctx ? ctx : ioctx_main(loop);
    b->drive = d;
    b->on_read = d->on_read_error;
    b->on_write = d->on_write_error;
    b->now_last = &b->now;
    b->stopped_last = &b->stopped;
    b->write_through = !blk_conf_write_cache(conf);
    if (!parse_on_error("rerror", conf->rerror, false, &b->on_read, err) ||
        !parse_on_error("werror", conf->werror, true, &b->on_write, err))
        goto fail;
    b->queue = disk_queue_new(d->graph, RING_DEPTH, err);
    if (!b->queue)
        goto fail;
    disk_queue_shared(b->queue); /* vCPUs submit for themselves, blk_drain() stands in for all */
    if (!ioctx_is_main(b->ctx))
        disk_queue_may_block(b->queue);
    b->watch = ioctx_fd_add(b->ctx, disk_queue_fd(b->queue), queue_readable, b);
    d->blk = b;
    return b;
fail:
    blk_free(b);
    return NULL;
}

void blk_free(struct blk *b)
{
    if (!b)
        return;
    if (b->queue)
        blk_drain(b);
    if (b->drive->blk == b)
        b->drive->blk = NULL;
    ioctx_fd_remove(b->watch);
    disk_queue_free(b->queue);
    free(b);
}

void blk_drain(struct blk *b)
{
    struct blk_request *list;

    ioctx_quiesce(b->ctx);
    assert(!b->kicking); /* no device is reset from inside a done() of its own */
    do {
        finish_now(b);
        (void)disk_queue_reap(b->queue, true);
        list = b->stopped;
        b->stopped = NULL;
        b->stopped_last = &b->stopped;
        while (list) {
            struct blk_request *q = list;

            list = q->next;
            finish(q, -ECANCELED);
        }
    } while (b->in_flight || b->now);
    ioctx_go_on(b->ctx);
}

static void go_on(void *opaque)
{
    struct blk *b = opaque;
    struct blk_request *list = b->stopped;

    b->stopped = NULL;
    b->stopped_last = &b->stopped;
    while (list) {
        struct blk_request *q = list;

        list = q->next;
        blk_submit(q);
    }
    blk_kick(b);
}

void drive_go_on(struct drive *d)
{
    struct blk *b = d->blk;

    if (!b)
        return;
    ioctx_quiesce(b->ctx); /* then this thread stands in for the context */
    go_on(b);
    ioctx_go_on(b->ctx);
}

/* --- what it is --- */

bool blk_has_medium(const struct blk *b)
{
    return b->drive->disk != NULL;
}

bool blk_read_only(const struct blk *b)
{
    return b->drive->read_only;
}

uint64_t blk_sectors(const struct blk *b)
{
    return b->drive->disk ? disk_size(b->drive->disk) / BLK_SECTOR : 0;
}

/* The geometry in which the partition table of the medium counts, as a BIOS takes it: the end of a
 * partition is the last sector of a head of a cylinder. */
static bool geometry_of_table(const struct blk *b, uint64_t sectors, uint32_t *ret_cyls,
                              uint32_t *ret_heads, uint32_t *ret_secs)
{
    uint8_t mbr[BLK_SECTOR];

    if (!b->drive->disk || sectors < 1 || disk_read(b->drive->disk, 0, mbr, sizeof mbr) < 0 ||
        ld_le16(mbr + 510) != 0xaa55)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *p = mbr + 446 + 16 * i;
        uint32_t heads = p[5] + UINT32_C(1), secs = p[6] & 63;
        uint64_t cyls;

        if (!ld_le32(p + 12) || !p[5] || !secs) /* an empty entry, or one that does not say */
            continue;
        cyls = sectors / (heads * secs);
        if (cyls < 1 || cyls > 16383)
            continue;
        *ret_cyls = (uint32_t)cyls;
        *ret_heads = heads;
        *ret_secs = secs;
        return true;
    }
    return false;
}

void blk_geometry(const struct blk *b, uint32_t *ret_cyls, uint32_t *ret_heads, uint32_t *ret_secs)
{
    uint64_t sectors = blk_sectors(b);

    if (geometry_of_table(b, sectors, ret_cyls, ret_heads, ret_secs) && *ret_heads <= 16)
        return;
    *ret_heads = 16;
    *ret_secs = 63;
    *ret_cyls = (uint32_t)MAX(MIN(sectors / (16 * 63), 16383), 2);
}

void blk_stats_get(const struct blk *b, struct blk_stats *ret)
{
    struct blk *w = (struct blk *)b; /* atomics know no const */

    for (unsigned i = 0; i < DISK_OP_COUNT; i++) {
        ret->count[i] = atomic_load_explicit(&w->stats[i].count, memory_order_relaxed);
        ret->bytes[i] = atomic_load_explicit(&w->stats[i].bytes, memory_order_relaxed);
        ret->ns[i] = atomic_load_explicit(&w->stats[i].ns, memory_order_relaxed);
        ret->failed[i] = atomic_load_explicit(&w->stats[i].failed, memory_order_relaxed);
    }
}
