/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packed virtqueues (virtio 1.2 §2.8): one ring of descriptors that both sides write; each keeps a
 * wrap counter that says which value of the AVAIL and USED bits is the fresh one.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "dev/virtio/virtio_priv.h"

enum {
    FLAGS_OFF = 14, /* in a descriptor */
    FLAG_AVAIL = 1 << 7,
    FLAG_USED = 1 << 15,
    EVENT_SIZE = 4, /* event suppression: off_wrap, flags */
    EVENT_ENABLE = 0,
    EVENT_DISABLE = 1,
    EVENT_DESC = 2,
};

static void packed_lengths(const struct virtqueue *q, size_t *desc, size_t *driver, size_t *device)
{
    *desc = VIRTIO_DESC_SIZE * (size_t)q->size;
    *driver = *device = EVENT_SIZE;
}

static uint8_t *desc_at(const struct virtqueue *q, uint16_t n)
{
    return q->desc_map + VIRTIO_DESC_SIZE * (size_t)n;
}

static void move(const struct virtqueue *q, uint16_t *at, bool *wrap, uint16_t by)
{
    *at += by;
    if (*at >= q->size) {
        *at -= q->size;
        *wrap = !*wrap;
    }
}

static bool available(const struct virtqueue *q)
{
    uint16_t flags =
        __atomic_load_n((uint16_t *)(desc_at(q, q->next) + FLAGS_OFF), __ATOMIC_ACQUIRE);

    return !!(flags & FLAG_AVAIL) == q->next_wrap && !!(flags & FLAG_USED) != q->next_wrap;
}

/* §2.8.7: all descriptors of the table, in their order. */
static bool walk_indirect(struct virtqueue *q, struct virtio_gather *g,
                          const struct virtio_desc *ring)
{
    uint32_t count = ring->len / VIRTIO_DESC_SIZE;
    const uint8_t *base;

    if (!q->indirect || !count || ring->len % VIRTIO_DESC_SIZE || count > VIRTIO_CHAIN_MAX) {
        virtio_broken(q->v, "queue %u: bad indirect descriptor of %u bytes", q->index, ring->len);
        return false;
    }
    base = virtio_map_range(q, ring->addr, ring->len, false);
    if (!base) {
        virtio_broken(q->v, "queue %u: indirect table is not in RAM", q->index);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct virtio_desc d = virtio_desc_load(base + VIRTIO_DESC_SIZE * i);

        if (d.b & VIRTIO_DESC_INDIRECT) {
            virtio_broken(q->v, "queue %u: indirect descriptor in an indirect table", q->index);
            return false;
        }
        if (!virtio_gather_add(q, g, d.addr, d.len, d.b & VIRTIO_DESC_WRITE))
            return false;
    }
    return true;
}

static int packed_gather(struct virtqueue *q, struct virtio_gather *g, uint16_t *ret_head,
                         uint16_t *ret_entries)
{
    uint16_t at = q->next, entries = 0;
    bool unused = false;

    if (!available(q))
        return 0;
    g->out = g->in = 0;
    g->out_size = g->in_size = 0;
    for (;;) {
        struct virtio_desc d = virtio_desc_load(desc_at(q, at));

        entries++;
        if (q->in_use + entries > q->size) {
            virtio_broken(q->v, "queue %u: more descriptors than it has places", q->index);
            return -1;
        }
        *ret_head = d.a; /* that of the last one counts */
        if (d.b & VIRTIO_DESC_INDIRECT) {
            if (entries > 1 || (d.b & VIRTIO_DESC_NEXT)) {
                virtio_broken(q->v, "queue %u: indirect descriptor in a chain", q->index);
                return -1;
            }
            if (!walk_indirect(q, g, &d))
                return -1;
            break;
        }
        if (!virtio_gather_add(q, g, d.addr, d.len, d.b & VIRTIO_DESC_WRITE))
            return -1;
        if (!(d.b & VIRTIO_DESC_NEXT))
            break;
        move(q, &at, &unused, 1);
    }
    *ret_entries = entries;
    return 1;
}

static void packed_advance(struct virtqueue *q, uint16_t entries)
{
    move(q, &q->next, &q->next_wrap, entries);
    q->in_use += entries;
}

static void packed_retreat(struct virtqueue *q, uint16_t entries, uint16_t chains)
{
    if (q->next < entries) {
        q->next += q->size;
        q->next_wrap = !q->next_wrap;
    }
    q->next -= entries;
    q->in_use -= entries;
}

static void put_used(struct virtqueue *q, uint16_t at, bool wrap, const struct virtio_chain *c,
                     size_t written)
{
    uint16_t flags = (wrap ? FLAG_AVAIL | FLAG_USED : 0) | (written ? VIRTIO_DESC_WRITE : 0);
    uint8_t *p = desc_at(q, at);

    st_le32(p + 8, (uint32_t)written);
    st_le16(p + 12, c->head);
    __atomic_store_n((uint16_t *)(p + FLAGS_OFF), flags, __ATOMIC_RELEASE);
    virtio_ring_written(q, p + 8, 8);
}

/* The first one last: the driver stops at it until all are there. */
static void packed_push(struct virtqueue *q, struct virtio_chain **c, const size_t *written,
                        unsigned n)
{
    uint16_t at = q->used, total = 0;
    bool wrap = q->used_wrap;

    for (unsigned i = 0; i < n; i++) {
        if (i)
            put_used(q, at, wrap, c[i], written[i]);
        move(q, &at, &wrap, c[i]->descriptors);
        total += c[i]->descriptors;
    }
    put_used(q, q->used, q->used_wrap, c[0], written[0]);
    q->used = at;
    q->used_wrap = wrap;
    q->in_use -= total;
    q->signalled += total; /* here: entries since the last interrupt */
}

static bool packed_empty(struct virtqueue *q)
{
    return !available(q);
}

static bool packed_wants_interrupt(struct virtqueue *q)
{
    uint16_t flags, off_wrap, event, added = q->signalled;

    atomic_thread_fence(memory_order_seq_cst); /* used flags out before the wish is read */
    flags = __atomic_load_n((uint16_t *)(q->driver_map + 2), __ATOMIC_ACQUIRE) & 3;
    if (flags == EVENT_DISABLE)
        return false;
    if (flags == EVENT_ENABLE || !q->event_idx)
        return true;
    off_wrap = __atomic_load_n((uint16_t *)q->driver_map, __ATOMIC_RELAXED);
    event = off_wrap & 0x7fff;
    if (off_wrap >> 15 != q->used_wrap)
        event -= q->size;
    q->signalled = 0;
    return (uint16_t)(q->used - event - 1) < added;
}

static void set_event(struct virtqueue *q, uint16_t flags)
{
    __atomic_store_n((uint16_t *)(q->device_map + 2), flags, __ATOMIC_RELEASE);
    virtio_ring_written(q, q->device_map, EVENT_SIZE);
}

static void packed_kicks_off(struct virtqueue *q)
{
    set_event(q, EVENT_DISABLE);
}

/* While something waits at next, its index would be passed already: any addition is of interest. */
static bool packed_kicks_on(struct virtqueue *q)
{
    if (q->event_idx && !available(q)) {
        __atomic_store_n((uint16_t *)q->device_map, (uint16_t)(q->next | q->next_wrap << 15),
                         __ATOMIC_RELAXED);
        set_event(q, EVENT_DESC);
    } else {
        set_event(q, EVENT_ENABLE);
    }
    atomic_thread_fence(memory_order_seq_cst); /* the wish is out before the ring is looked at */
    if (!available(q))
        return true;
    if (q->event_idx)
        set_event(q, EVENT_ENABLE);
    return false;
}

const struct virtio_ring_ops virtio_packed_ops = {
    .lengths = packed_lengths,
    .gather = packed_gather,
    .advance = packed_advance,
    .retreat = packed_retreat,
    .push = packed_push,
    .empty = packed_empty,
    .wants_interrupt = packed_wants_interrupt,
    .kicks_off = packed_kicks_off,
    .kicks_on = packed_kicks_on,
};
