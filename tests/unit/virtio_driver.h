/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small virtio driver for tests: one or more queues in guest RAM, split or packed, on a device
 * that is attached to a transport which only counts interrupts.
 */
#ifndef TESTS_UNIT_VIRTIO_DRIVER_H
#define TESTS_UNIT_VIRTIO_DRIVER_H

#include "base/bits.h"
#include "base/endian.h"
#include "dev/virtio/virtio_priv.h"
#include "dev_fixture.h"

enum { VD_RAM = 8 << 20, VD_QUEUES = 4, VD_RINGS = 0x10000, VD_RING_ROOM = 0x8000 };

struct vd_queue {
    struct virtqueue *q;
    uint16_t size, free_head, avail, used; /* split: indices run freely */
    bool avail_wrap, used_wrap;
    gpa_t desc, driver, device;
};

struct vd {
    struct loop *loop;
    struct mem *mem;
    struct mem_region ram;
    struct device_ctx ctx;
    struct virtio_transport transport;
    struct virtio_dev *v;
    bool packed;
    struct vd_queue vq[VD_QUEUES];
    unsigned interrupts[VD_QUEUES], config_interrupts;
};

struct vd_piece {
    gpa_t addr;
    uint32_t len;
    bool in;
};

static inline void vd_notify_queue(struct virtio_transport *t, struct virtqueue *q)
{
    struct vd *d = t->opaque;

    if (virtio_queue_index(q) < VD_QUEUES)
        __atomic_fetch_add(&d->interrupts[virtio_queue_index(q)], 1, __ATOMIC_SEQ_CST);
}

static inline void vd_notify_config(struct virtio_transport *t)
{
    ((struct vd *)t->opaque)->config_interrupts++;
}

static inline void vd_open(struct vd *d)
{
    struct error err;
    gra_t gra = 0;

    memset(d, 0, sizeof *d);
    d->loop = loop_new(&err);
    loop_lock(d->loop);
    d->mem = mem_new(d->loop, "memory", 0, VD_RAM, &err);
    CHECK(mem_ram_alloc(d->mem, VD_RAM, &gra, &err));
    mem_region_init_ram(&d->ram, "ram", gra, VD_RAM);
    mem_map(d->mem, 0, &d->ram, 0);
    d->ctx = (struct device_ctx){ d->loop, d->mem };
    d->transport = (struct virtio_transport){ .notify_queue = vd_notify_queue,
                                              .notify_config = vd_notify_config,
                                              .opaque = d };
}

/* v was made with device_new() on d->ctx and has its properties. */
static inline void vd_init(struct vd *d, struct virtio_dev *v)
{
    struct error err;

    d->v = v;
    if (!device_init(&v->dev, &err)) {
        printf("device_init: %s\n", err.msg);
        exit(1);
    }
    virtio_attach(v, &d->transport);
}

static inline uint8_t *vd_at(struct vd *d, gpa_t a)
{
    return mem_ram_base(d->mem) + a;
}

/* Negotiates all that is offered, or what is in want, and starts the first n queues. */
static inline void vd_start(struct vd *d, unsigned n, uint64_t want)
{
    struct virtio_dev *v = d->v;

    virtio_set_status(v, 0, false);
    virtio_set_status(v, 1, false);
    virtio_set_status(v, 3, false);
    virtio_set_driver_features(v, virtio_offered(v, false) & want, false);
    virtio_set_status(v, 11, false);
    CHECK(v->status & VIRTIO_STATUS_FEATURES_OK);
    d->packed = virtio_has(v, VIRTIO_F_RING_PACKED);
    for (unsigned i = 0; i < n; i++) {
        struct vd_queue *q = &d->vq[i];
        gpa_t base = VD_RINGS + i * VD_RING_ROOM;

        q->q = v->queues[i];
        q->size = q->q->size_max;
        q->avail = q->used = q->free_head = 0;
        q->avail_wrap = q->used_wrap = true;
        q->q->desc = q->desc = base;
        q->q->driver = q->driver = base + 0x4000;
        q->q->device = q->device = base + 0x5000;
        memset(vd_at(d, base), 0, VD_RING_ROOM);
        virtio_queue_enable(q->q);
    }
    virtio_set_status(v, 15, false);
}

static inline void vd_desc(struct vd *d, gpa_t table, unsigned n, gpa_t addr, uint32_t len,
                           uint16_t a, uint16_t b)
{
    uint8_t *p = vd_at(d, table + 16 * (gpa_t)n);

    st_le64(p, addr);
    st_le32(p + 8, len);
    st_le16(p + 12, a);
    __atomic_store_n((uint16_t *)(p + 14), b, __ATOMIC_RELEASE);
}

/* One chain; returns its id. The driver never has more descriptors under way than the ring holds,
 * and uses them in turn. */
static inline uint16_t vd_add(struct vd *d, unsigned qn, const struct vd_piece *pieces, unsigned n)
{
    struct vd_queue *q = &d->vq[qn];
    uint16_t head;

    if (d->packed) {
        uint16_t at = q->avail, first_flags = 0;
        bool wrap = q->avail_wrap;

        head = at;
        for (unsigned i = 0; i < n; i++) {
            uint16_t flags =
                (uint16_t)((i + 1 < n ? VIRTIO_DESC_NEXT : 0) |
                           (pieces[i].in ? VIRTIO_DESC_WRITE : 0) | (wrap ? 1 << 7 : 1 << 15));

            if (!i)
                first_flags = flags;
            vd_desc(d, q->desc, at, pieces[i].addr, pieces[i].len, head,
                    i ? flags : flags ^ (1 << 7 | 1 << 15));
            if (++at == q->size) {
                at = 0;
                wrap = !wrap;
            }
        }
        __atomic_store_n((uint16_t *)vd_at(d, q->desc + 16 * (gpa_t)head + 14), first_flags,
                         __ATOMIC_RELEASE);
        q->avail = at;
        q->avail_wrap = wrap;
        return head;
    }
    head = q->free_head;
    for (unsigned i = 0; i < n; i++) {
        uint16_t next = (uint16_t)((q->free_head + 1) % q->size);

        vd_desc(
            d, q->desc, q->free_head, pieces[i].addr, pieces[i].len,
            (uint16_t)((i + 1 < n ? VIRTIO_DESC_NEXT : 0) | (pieces[i].in ? VIRTIO_DESC_WRITE : 0)),
            next);
        q->free_head = next;
    }
    st_le16(vd_at(d, q->driver + 4 + 2 * (gpa_t)(q->avail % q->size)), head);
    __atomic_store_n((uint16_t *)vd_at(d, q->driver + 2), ++q->avail, __ATOMIC_RELEASE);
    return head;
}

static inline void vd_kick(struct vd *d, unsigned qn)
{
    virtio_queue_kick(d->vq[qn].q);
}

/* A used chain: its id and length. descriptors: how many ring entries it had. */
static inline bool vd_used(struct vd *d, unsigned qn, unsigned descriptors, uint16_t *ret_id,
                           uint32_t *ret_len)
{
    struct vd_queue *q = &d->vq[qn];

    if (d->packed) {
        uint8_t *p = vd_at(d, q->desc + 16 * (gpa_t)q->used);
        uint16_t flags = __atomic_load_n((uint16_t *)(p + 14), __ATOMIC_ACQUIRE);

        if (!!(flags & 1 << 7) != q->used_wrap || !!(flags & 1 << 15) != q->used_wrap)
            return false;
        *ret_id = ld_le16(p + 12);
        *ret_len = ld_le32(p + 8);
        q->used += (uint16_t)descriptors;
        if (q->used >= q->size) {
            q->used -= q->size;
            q->used_wrap = !q->used_wrap;
        }
        return true;
    }
    if (__atomic_load_n((uint16_t *)vd_at(d, q->device + 2), __ATOMIC_ACQUIRE) == q->used)
        return false;
    *ret_id = ld_le16(vd_at(d, q->device + 4 + 8 * (gpa_t)(q->used % q->size)));
    *ret_len = ld_le32(vd_at(d, q->device + 8 + 8 * (gpa_t)(q->used % q->size)));
    q->used++;
    st_le16(vd_at(d, q->driver + 4 + 2 * (gpa_t)q->size), q->used); /* used_event: the next one */
    return true;
}

/* Waits for a used chain while the loop runs; for at most five seconds. */
static inline bool vd_wait(struct vd *d, unsigned qn, unsigned descriptors, uint16_t *ret_id,
                           uint32_t *ret_len)
{
    for (unsigned i = 0; i < 5000; i++) {
        if (vd_used(d, qn, descriptors, ret_id, ret_len))
            return true;
        loop_unlock(d->loop);
        loop_poll_once(d->loop, 1);
        loop_lock(d->loop);
    }
    return false;
}

static inline void vd_close(struct vd *d)
{
    if (d->v)
        device_free(&d->v->dev);
    mem_free(d->mem);
    loop_unlock(d->loop);
    loop_free(d->loop);
}

#endif
