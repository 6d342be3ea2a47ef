/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueues (virtio 1.2 §2.7). Indices run freely over 16 bits; the place in a ring is the
 * index modulo the size, which modern drivers choose as a power of two and legacy ones get so.
 */
#include "base/bits.h"
#include "dev/virtio/virtio_priv.h"

/* avail: flags, idx, ring[size], used_event; used: flags, idx, ring[size] of { id, len },
 * avail_event. All little-endian, as the host is. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are accessed natively");
enum { RING_FLAGS = 0, RING_IDX = 2, RING_FIRST = 4, AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };

static uint16_t load16(const uint8_t *p)
{
    return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
}

static void store16(struct virtqueue *q, uint8_t *p, uint16_t val)
{
    __atomic_store_n((uint16_t *)p, val, __ATOMIC_RELEASE);
    virtio_ring_written(q, p, 2);
}

static void split_lengths(const struct virtqueue *q, size_t *desc, size_t *driver, size_t *device)
{
    size_t event = q->event_idx ? 2 : 0;

    *desc = VIRTIO_DESC_SIZE * (size_t)q->size;
    *driver = RING_FIRST + 2 * (size_t)q->size + event;
    *device = RING_FIRST + 8 * (size_t)q->size + event;
}

/* Chains that wait. -1: broken. */
static int waiting(struct virtqueue *q)
{
    uint16_t n;

    if (q->seen == q->next)
        q->seen = __atomic_load_n((uint16_t *)(q->driver_map + RING_IDX), __ATOMIC_ACQUIRE);
    n = (uint16_t)(q->seen - q->next);
    if (likely(n <= q->size))
        return n;
    virtio_broken(q->v, "queue %u: available index %u is more than %u ahead of %u", q->index,
                  q->seen, q->size, q->next);
    return -1;
}

/* A table of descriptors: the ring's, or an indirect one. */
struct table {
    const uint8_t *base;
    uint32_t count;
    bool indirect;
};

static bool enter_indirect(struct virtqueue *q, struct table *t, const struct virtio_desc *d)
{
    if (t->indirect || !q->indirect || (d->a & VIRTIO_DESC_NEXT) || !d->len ||
        d->len % VIRTIO_DESC_SIZE || d->len / VIRTIO_DESC_SIZE > VIRTIO_CHAIN_MAX ||
        (d->addr & 7)) {
        virtio_broken(q->v, "queue %u: bad indirect descriptor of %u bytes", q->index, d->len);
        return false;
    }
    t->base = virtio_map_range(q, d->addr, d->len, false);
    t->count = d->len / VIRTIO_DESC_SIZE;
    t->indirect = true;
    if (!t->base)
        virtio_broken(q->v, "queue %u: indirect table is not in RAM", q->index);
    return t->base != NULL;
}

static bool walk(struct virtqueue *q, struct virtio_gather *g, uint32_t at)
{
    struct table t = { q->desc_map, q->size, false };

    for (uint32_t left = t.count;; left--) {
        struct virtio_desc d;

        if (at >= t.count || !left) {
            virtio_broken(q->v, "queue %u: %s", q->index,
                          left ? "descriptor beyond its table" : "endless chain");
            return false;
        }
        d = virtio_desc_load(t.base + VIRTIO_DESC_SIZE * at);
        if (d.a & VIRTIO_DESC_INDIRECT) {
            if (!enter_indirect(q, &t, &d))
                return false;
            at = 0;
            left = t.count + 1; /* this round took none of them */
            continue;
        }
        if (!virtio_gather_add(q, g, d.addr, d.len, d.a & VIRTIO_DESC_WRITE))
            return false;
        if (!(d.a & VIRTIO_DESC_NEXT))
            return true;
        at = d.b;
    }
}

static int split_gather(struct virtqueue *q, struct virtio_gather *g, uint16_t *ret_head,
                        uint16_t *ret_entries)
{
    int n = waiting(q);
    uint16_t head;

    if (n <= 0)
        return n;
    if (q->in_use >= q->size) {
        virtio_broken(q->v, "queue %u: more chains than it has places", q->index);
        return -1;
    }
    head = load16(q->driver_map + RING_FIRST + 2 * (size_t)(q->next % q->size));
    g->out = g->in = 0;
    g->out_size = g->in_size = 0;
    if (!walk(q, g, head))
        return -1;
    *ret_head = head;
    *ret_entries = 1;
    return 1;
}

static void split_advance(struct virtqueue *q, uint16_t entries)
{
    q->next++;
    q->in_use++;
}

static void split_retreat(struct virtqueue *q, uint16_t entries, uint16_t chains)
{
    q->next -= chains;
    q->in_use -= chains;
}

static void split_push(struct virtqueue *q, struct virtio_chain **c, const size_t *written,
                       unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t *p = q->device_map + RING_FIRST + 8 * (size_t)((uint16_t)(q->used + i) % q->size);
        uint64_t elem = c[i]->head | (uint64_t)(uint32_t)written[i] << 32;

        memcpy(p, &elem, sizeof elem);
        virtio_ring_written(q, p, 8);
    }
    q->used += (uint16_t)n;
    q->in_use -= (uint16_t)n;
    store16(q, q->device_map + RING_IDX, q->used);
    /* the index that the driver was told of is out of the window: it says nothing any more */
    if (q->signalled_valid && (uint16_t)(q->used - q->signalled) < n)
        q->signalled_valid = false;
}

static bool split_empty(struct virtqueue *q)
{
    return waiting(q) <= 0;
}

static bool split_wants_interrupt(struct virtqueue *q)
{
    uint16_t old = q->signalled, event;
    bool valid = q->signalled_valid;

    atomic_thread_fence(memory_order_seq_cst); /* used index out before the driver's wish is read */
    if (virtio_has(q->v, VIRTIO_F_NOTIFY_ON_EMPTY) && !q->in_use && split_empty(q))
        return true;
    if (!q->event_idx)
        return !(load16(q->driver_map + RING_FLAGS) & AVAIL_NO_INTERRUPT);
    event = load16(q->driver_map + RING_FIRST + 2 * (size_t)q->size);
    q->signalled = q->used;
    q->signalled_valid = true;
    /* §2.7.7.2: did used pass event since the last interrupt */
    return !valid || (uint16_t)(q->used - event - 1) < (uint16_t)(q->used - old);
}

static void split_kicks_off(struct virtqueue *q)
{
    if (!q->event_idx) /* else avail_event stays behind, which says the same */
        store16(q, q->device_map + RING_FLAGS, USED_NO_NOTIFY);
}

/* Until the index stands still while the driver knows our wish: it does not kick for what it adds
 * beyond an old one. */
static bool split_kicks_on(struct virtqueue *q)
{
    uint16_t before = q->seen;

    if (!q->event_idx)
        store16(q, q->device_map + RING_FLAGS, 0);
    for (unsigned n = 0; n < 16; n++) {
        uint16_t now;

        if (q->event_idx)
            store16(q, q->device_map + RING_FIRST + 8 * (size_t)q->size, q->seen);
        atomic_thread_fence(memory_order_seq_cst); /* the wish is out before the index is read */
        now = __atomic_load_n((uint16_t *)(q->driver_map + RING_IDX), __ATOMIC_ACQUIRE);
        if (now == q->seen)
            break;
        q->seen = now;
    }
    return q->seen == before;
}

const struct virtio_ring_ops virtio_split_ops = {
    .lengths = split_lengths,
    .gather = split_gather,
    .advance = split_advance,
    .retreat = split_retreat,
    .push = split_push,
    .empty = split_empty,
    .wants_interrupt = split_wants_interrupt,
    .kicks_off = split_kicks_off,
    .kicks_on = split_kicks_on,
};
