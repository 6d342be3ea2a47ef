/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queues: life, mapping of the ring, chains, and when the handler runs. What differs between split
 * and packed rings is behind struct virtio_ring_ops.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/trace.h"
#include "dev/virtio/virtio_priv.h"

enum {
    HANDLER_ROUNDS = 8, /* a driver that adds without end must not hold the machine lock for ever */
    PIECES_AT_LEAST = 20,
};

/* --- life --- */

struct virtqueue *virtio_queue_add(struct virtio_dev *v, unsigned size, virtio_handler *handler)
{
    struct virtqueue *q = xnew(struct virtqueue);

    assert(v->queue_count < VIRTIO_QUEUES_MAX && size <= VIRTIO_QUEUE_SIZE_MAX);
    q->v = v;
    q->index = (uint16_t)v->queue_count;
    q->size = q->size_max = (uint16_t)size;
    q->handler = handler;
    q->ctx = ioctx_main(v->dev.ctx.loop);
    q->kick_fd = -1;
    v->queues = xrealloc_array(v->queues, v->queue_count + 1, sizeof *v->queues);
    v->queues[v->queue_count++] = q;
    return q;
}

static void free_blocks(struct virtio_block *b)
{
    while (b) {
        struct virtio_block *next = b->next;

        free(b);
        b = next;
    }
}

static void drop_kick_fd(struct virtqueue *q)
{
    ioctx_fd_remove(q->kick_watch);
    q->kick_watch = NULL;
    if (q->kick_fd >= 0)
        (void)close(q->kick_fd);
    q->kick_fd = -1;
}

void virtio_queue_remove_all(struct virtio_dev *v)
{
    for (unsigned i = 0; i < v->queue_count; i++) {
        struct virtqueue *q = v->queues[i];

        virtio_queue_stop(q);
        drop_kick_fd(q);
        free_blocks(q->first);
        free_blocks(q->spare);
        free(q->gather);
        free(q);
    }
    free(v->queues);
    v->queues = NULL;
    v->queue_count = 0;
}

unsigned virtio_queue_index(const struct virtqueue *q)
{
    return q->index;
}

bool virtio_queue_ready(const struct virtqueue *q)
{
    return atomic_load_explicit(&((struct virtqueue *)q)->started, memory_order_acquire);
}

struct virtqueue *virtio_queue_at(struct virtio_dev *v, unsigned n)
{
    return n < v->queue_count ? v->queues[n] : NULL;
}

static void set_up(struct virtqueue *q)
{
    struct virtio_dev *v = q->v;

    q->live = true;
    q->ops = virtio_has(v, VIRTIO_F_RING_PACKED) ? &virtio_packed_ops : &virtio_split_ops;
    q->event_idx = virtio_has(v, VIRTIO_F_EVENT_IDX);
    q->in_order = virtio_has(v, VIRTIO_F_IN_ORDER);
    q->indirect = virtio_has(v, VIRTIO_F_INDIRECT_DESC);
    q->desc_map = NULL;
    q->next = q->used = q->seen = q->in_use = 0;
    q->signalled_valid = q->unsignalled = false;
    q->next_wrap = q->used_wrap = true;
    q->kicks_are_off = false;
    if (!q->gather)
        q->gather = xnew(struct virtio_gather);
}

void virtio_queue_update(struct virtqueue *q)
{
    struct virtio_dev *v = q->v;
    bool on = q->enabled && (v->status & VIRTIO_STATUS_DRIVER_OK) && !v->broken && !v->no_dma;

    if (on == atomic_load(&q->started))
        return;
    TRACE(virtio, "%s: queue %u %s", v->dev.id, q->index, on ? "starts" : "stops");
    if (!on) {
        virtio_queue_stop(q);
        return;
    }
    if (!q->live)
        set_up(q);
    atomic_store_explicit(&q->started, true, memory_order_release);
}

void virtio_queue_stop(struct virtqueue *q)
{
    atomic_store(&q->started, false);
    if (!ioctx_is_main(q->ctx)) { /* wait for the handler's end */
        ioctx_quiesce(q->ctx);
        ioctx_go_on(q->ctx);
    }
}

void virtio_queue_clear(struct virtqueue *q)
{
    q->enabled = q->live = false;
    q->size = q->size_max;
    q->desc = q->driver = q->device = 0;
    q->vector = UINT16_MAX;
    q->desc_map = NULL;
    q->epoch++;
}

void virtio_queue_enable(struct virtqueue *q)
{
    q->enabled = true;
    virtio_queue_update(q);
    virtio_queue_kick(q);
}

void virtio_queue_disable(struct virtqueue *q)
{
    struct virtio_dev *v = q->v;
    uint16_t vector = q->vector;

    virtio_queue_stop(q);
    if (v->vtype->queue_reset)
        v->vtype->queue_reset(v, q->index);
    virtio_queue_clear(q);
    q->vector = vector;
}

void virtio_queue_set_legacy(struct virtqueue *q, gpa_t base, uint32_t align)
{
    virtio_queue_stop(q);
    q->live = false;
    q->enabled = base != 0;
    q->desc = base;
    q->driver = base + VIRTIO_DESC_SIZE * (gpa_t)q->size;
    q->device = ALIGN_UP(q->driver + 2 * (gpa_t)(3 + q->size), (gpa_t)align);
    virtio_queue_update(q);
}

/* --- mapping --- */

void *virtio_map_range(struct virtqueue *q, gpa_t a, uint64_t len, bool write)
{
    uint8_t *first = NULL;
    uint64_t done = 0;
    gpa_t end;

    if (!len || !checked_add(a, len, &end))
        return NULL;
    while (done < len) {
        uint64_t n = len - done;
        uint8_t *p = dma_map(q->v->dev.ctx.dma, a + done, &n, write);

        if (!p || (first && p != first + done))
            return NULL;
        if (!first)
            first = p;
        done += n;
    }
    return first;
}

void virtio_ring_written(struct virtqueue *q, void *p, size_t len)
{
    dma_unmap(q->v->dev.ctx.dma, p, len, true);
}

static bool map_now(struct virtqueue *q)
{
    size_t desc, driver, device;
    bool packed = q->ops == &virtio_packed_ops;
    gpa_t low = packed ? 3 : 1;

    q->desc_map = NULL;
    q->map_generation = mem_generation(q->v->dev.ctx.dma);
    q->ops->lengths(q, &desc, &driver, &device);
    if ((q->desc & 15) || (q->driver & low) || (q->device & 3)) {
        virtio_broken(q->v, "queue %u: misaligned ring", q->index);
        return false;
    }
    q->driver_map = virtio_map_range(q, q->driver, driver, false);
    q->device_map = virtio_map_range(q, q->device, device, true);
    if (q->driver_map && q->device_map)
        q->desc_map = virtio_map_range(q, q->desc, desc, packed);
    if (!q->desc_map)
        virtio_broken(q->v, "queue %u: its ring is not in RAM", q->index);
    return q->desc_map != NULL;
}

bool virtio_queue_map(struct virtqueue *q)
{
    if (unlikely(!virtio_queue_ready(q)))
        return false;
    if (likely(q->desc_map && q->map_generation == mem_generation(q->v->dev.ctx.dma)))
        return true;
    return map_now(q);
}

bool virtio_gather_add(struct virtqueue *q, struct virtio_gather *g, gpa_t addr, uint32_t len,
                       bool is_in)
{
    uint64_t left = len;

    if (!len) {
        virtio_broken(q->v, "queue %u: descriptor of no bytes", q->index);
        return false;
    }
    if (!is_in && g->in) {
        virtio_broken(q->v, "queue %u: a piece to be read behind one to be written", q->index);
        return false;
    }
    while (left) {
        uint64_t n = left;
        void *p =
            g->out + g->in < VIRTIO_PIECES_MAX ? dma_map(q->v->dev.ctx.dma, addr, &n, is_in) : NULL;

        if (!p || addr + n < addr) {
            virtio_broken(q->v, "queue %u: descriptor of %#llx+%#x is not RAM", q->index,
                          (unsigned long long)addr, len);
            return false;
        }
        g->iov[g->out + g->in] = (struct iovec){ p, n };
        g->addr[g->out + g->in] = addr;
        if (is_in)
            g->in++;
        else
            g->out++;
        addr += n;
        left -= n;
    }
    if (is_in)
        g->in_size += len;
    else
        g->out_size += len;
    return true;
}

/* --- chains --- */

static struct virtio_block *block_get(struct virtqueue *q, unsigned pieces, size_t extra)
{
    struct virtio_block *b = q->spare;
    size_t room;

    if (b) {
        q->spare = b->next;
        q->spare_count--;
        if (b->pieces_room >= pieces && b->extra_room >= extra) {
            memset(b->extra, 0, extra);
            return b;
        }
        free(b);
    }
    room = MAX(pieces, PIECES_AT_LEAST);
    extra = ALIGN_UP(extra, 16);
    b = xcalloc(1, ALIGN_UP(sizeof *b, 16) + extra + room * (sizeof(struct iovec) + sizeof(gpa_t)));
    b->q = q;
    b->pieces_room = (uint32_t)room;
    b->extra_room = extra;
    b->extra = (uint8_t *)b + ALIGN_UP(sizeof *b, 16);
    b->c.out = (struct iovec *)((uint8_t *)b->extra + extra);
    b->c.addr = (gpa_t *)(b->c.out + room);
    return b;
}

static void unlink_block(struct virtqueue *q, struct virtio_block *b)
{
    *(b->prev ? &b->prev->next : &q->first) = b->next;
    *(b->next ? &b->next->prev : &q->last) = b->prev;
}

static void block_put(struct virtqueue *q, struct virtio_block *b)
{
    unlink_block(q, b);
    if (q->spare_count >= q->size_max || b->pieces_room > 4 * PIECES_AT_LEAST) {
        free(b);
        return;
    }
    b->next = q->spare;
    q->spare = b;
    q->spare_count++;
}

static struct virtio_block *block_of(struct virtio_chain *c)
{
    return (struct virtio_block *)c;
}

void *virtio_chain_extra(struct virtio_chain *c)
{
    return block_of(c)->extra;
}

struct virtio_chain *virtio_pop(struct virtqueue *q, size_t extra)
{
    struct virtio_gather *g = q->gather;
    uint16_t head, entries;
    struct virtio_block *b;
    struct virtio_chain *c;

    if (!virtio_queue_map(q) || q->ops->gather(q, g, &head, &entries) <= 0)
        return NULL;
    b = block_get(q, g->out + g->in, extra);
    c = &b->c;
    b->epoch = q->epoch;
    b->done = false;
    b->next = NULL;
    b->prev = q->last;
    *(q->last ? &q->last->next : &q->first) = b;
    q->last = b;
    c->head = head;
    c->descriptors = entries;
    c->out_count = g->out;
    c->in_count = g->in;
    c->out_size = g->out_size;
    c->in_size = g->in_size;
    c->in = c->out + g->out;
    memcpy(c->out, g->iov, (g->out + g->in) * sizeof *c->out);
    memcpy(c->addr, g->addr, (g->out + g->in) * sizeof *c->addr);
    q->ops->advance(q, entries);
    return c;
}

/* What the device wrote is the guest's again. */
static void unmap_in(struct virtqueue *q, const struct virtio_chain *c, size_t written)
{
    for (uint32_t i = 0; i < c->in_count && written; i++) {
        size_t n = MIN(written, c->in[i].iov_len);

        dma_unmap(q->v->dev.ctx.dma, c->in[i].iov_base, n, true);
        written -= n;
    }
}

/* In-order rings: everything from the oldest on that is done. */
static void push_in_order(struct virtqueue *q)
{
    struct virtio_chain *c[64];
    size_t written[64];
    unsigned n;

    do {
        n = 0;
        for (struct virtio_block *b = q->first; b && b->done && n < ARRAY_SIZE(c); b = b->next) {
            c[n] = &b->c;
            written[n++] = b->written;
        }
        if (n)
            q->ops->push(q, c, written, n);
        for (unsigned i = 0; i < n; i++)
            block_put(q, block_of(c[i]));
    } while (n == ARRAY_SIZE(c));
}

void virtio_push_many(struct virtqueue *q, struct virtio_chain **c, const size_t *written,
                      unsigned n)
{
    bool ready = virtio_queue_map(q);

    q->unsignalled = true;
    for (unsigned i = 0; i < n; i++) {
        assert(block_of(c[i])->q == q);
        unmap_in(q, c[i], written[i]);
        ready = ready && block_of(c[i])->epoch == q->epoch;
    }
    if (ready && q->in_order) {
        for (unsigned i = 0; i < n; i++) {
            block_of(c[i])->done = true;
            block_of(c[i])->written = written[i];
        }
        push_in_order(q);
        return;
    }
    if (ready)
        q->ops->push(q, c, written, n);
    for (unsigned i = 0; i < n; i++)
        block_put(q, block_of(c[i]));
}

void virtio_push(struct virtqueue *q, struct virtio_chain *c, size_t written)
{
    virtio_push_many(q, &c, &written, 1);
}

void virtio_unpop(struct virtqueue *q, struct virtio_chain *c)
{
    if (q->live && block_of(c)->epoch == q->epoch)
        q->ops->retreat(q, c->descriptors, 1);
    block_put(q, block_of(c));
}

void virtio_drop(struct virtqueue *q, struct virtio_chain *c)
{
    block_put(q, block_of(c));
}

bool virtio_queue_empty(struct virtqueue *q)
{
    return !virtio_queue_map(q) || q->ops->empty(q);
}

void virtio_queue_avail(struct virtqueue *q, size_t *ret_out, size_t *ret_in, size_t enough)
{
    uint16_t moved = 0, chains = 0, head, entries;

    *ret_out = *ret_in = 0;
    if (!virtio_queue_map(q))
        return;
    while (MAX(*ret_out, *ret_in) < enough && q->ops->gather(q, q->gather, &head, &entries) > 0) {
        *ret_out += q->gather->out_size;
        *ret_in += q->gather->in_size;
        q->ops->advance(q, entries);
        moved += entries;
        chains++;
    }
    if (moved)
        q->ops->retreat(q, moved, chains);
}

static size_t copy(const struct iovec *iov, uint32_t count, size_t off, uint8_t *buf, size_t len,
                   bool to_guest)
{
    size_t done = 0;

    for (uint32_t i = 0; i < count && done < len; i++) {
        size_t n;

        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        n = MIN(iov[i].iov_len - off, len - done);
        if (to_guest)
            memcpy((uint8_t *)iov[i].iov_base + off, buf + done, n);
        else
            memcpy(buf + done, (uint8_t *)iov[i].iov_base + off, n);
        done += n;
        off = 0;
    }
    return done;
}

size_t virtio_chain_read(const struct virtio_chain *c, size_t off, void *buf, size_t len)
{
    return copy(c->out, c->out_count, off, buf, len, false);
}

size_t virtio_chain_write(struct virtio_chain *c, size_t off, const void *buf, size_t len)
{
    return copy(c->in, c->in_count, off, (uint8_t *)buf, len, true);
}

/* --- notifications --- */

void virtio_notify(struct virtqueue *q)
{
    struct virtio_transport *t = q->v->transport;

    if (!q->unsignalled || !t || !virtio_queue_map(q))
        return;
    q->unsignalled = false;
    if (q->ops->wants_interrupt(q))
        t->notify_queue(t, q);
}

void virtio_kicks_off(struct virtqueue *q)
{
    if (!virtio_queue_map(q) || q->kicks_are_off)
        return;
    q->kicks_are_off = true;
    q->ops->kicks_off(q);
}

bool virtio_kicks_on(struct virtqueue *q)
{
    if (!virtio_queue_map(q))
        return true;
    q->kicks_are_off = false;
    return q->ops->kicks_on(q);
}

void virtio_queue_own_kicks(struct virtqueue *q)
{
    q->own_kicks = true;
}

/* The handler may leave chains where they are (no data for them yet), so what is waiting after it
 * is not new by itself: it is called once more with kicks on, and must then find its way by them.
 */
static bool handle(struct virtqueue *q)
{
    if (q->own_kicks) {
        q->handler(q->v, q);
        return true;
    }
    for (unsigned n = 0; n < HANDLER_ROUNDS; n++) {
        uint16_t before;

        virtio_kicks_off(q);
        q->handler(q->v, q);
        if (virtio_kicks_on(q))
            return true;
        before = q->next;
        q->handler(q->v, q);
        if (q->next == before || !virtio_queue_ready(q))
            return true;
    }
    return false;
}

static bool make_kick_fd(struct virtqueue *q);

static void run_handler(struct virtqueue *q)
{
    bool done = true;

    if (q->handling || !virtio_queue_ready(q))
        return;
    q->handling = true;
    do
        done = handle(q);
    while (!done && q->kick_fd < 0 && !(ioctx_is_main(q->ctx) && make_kick_fd(q)));
    q->handling = false;
    if (!done)
        (void)eventfd_write(q->kick_fd, 1); /* the rest when others had their turn */
}

static void kick_fd_readable(void *opaque)
{
    struct virtqueue *q = opaque;
    eventfd_t count;

    (void)eventfd_read(q->kick_fd, &count);
    run_handler(q);
}

static bool make_kick_fd(struct virtqueue *q)
{
    if (q->kick_fd >= 0)
        return true;
    q->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (q->kick_fd < 0)
        return false;
    q->kick_watch = ioctx_fd_add(q->ctx, q->kick_fd, kick_fd_readable, q);
    return true;
}

bool virtio_queue_set_ctx(struct virtqueue *q, struct ioctx *ctx, struct error *err)
{
    virtio_queue_stop(q);
    drop_kick_fd(q);
    q->ctx = ctx ? ctx : ioctx_main(q->v->dev.ctx.loop);
    if (!ioctx_is_main(q->ctx) && !make_kick_fd(q)) {
        fail(err, errno, "queue %u: no descriptor for its kicks: %s", q->index, strerror(errno));
        return fail_hint(err, "raise the limit of open files (ulimit -n)");
    }
    virtio_queue_update(q);
    return true;
}

void virtio_queue_kick(struct virtqueue *q)
{
    if (!virtio_queue_ready(q))
        return;
    if (ioctx_is_main(q->ctx))
        run_handler(q);
    else
        (void)eventfd_write(q->kick_fd, 1);
}
