/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MMIO transport, version 2 and the legacy version 1 (virtio 1.2 §4.2.2, §4.2.4). */
#include "dev/virtio/virtio_mmio.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "dev/virtio/virtio_priv.h"

enum {
    MAGIC = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    PAGE_SIZE = 0x028, /* legacy */
    QUEUE_SEL = 0x030,
    QUEUE_NUM_MAX = 0x034,
    QUEUE_NUM = 0x038,
    QUEUE_ALIGN = 0x03c, /* legacy */
    QUEUE_PFN = 0x040,   /* legacy */
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC = 0x080,
    QUEUE_DRIVER = 0x090,
    QUEUE_DEVICE = 0x0a0,
    SHM_LEN = 0x0b0, /* no shared memory: all ones up to the base's high word */
    SHM_END = 0x0c0,
    QUEUE_RESET = 0x0c0,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,
    MAGIC_VALUE = 0x74726976, /* "virt" */
    VENDOR_VALUE = 0x554d4551,
    ISR_QUEUE = 1,
    ISR_CONFIG = 2,
};

static struct virtio_mmio *mmio_of(struct device *dev)
{
    return (struct virtio_mmio *)dev;
}

/* --- interrupts --- */

static void line(struct virtio_transport *t)
{
    struct virtio_mmio *m = t->opaque;

    irq_set(&m->dev.irqs[0], atomic_load(&m->isr) != 0);
}

static void raise_line(struct virtio_mmio *m, uint8_t bit)
{
    atomic_fetch_or(&m->isr, bit);
    if (loop_locked_by_me(m->dev.ctx.loop))
        line(&m->transport);
    else
        virtio_later(m->v, VIRTIO_LATE_LINE);
}

static void notify_queue(struct virtio_transport *t, struct virtqueue *q)
{
    raise_line(t->opaque, ISR_QUEUE);
}

static void notify_config(struct virtio_transport *t)
{
    raise_line(t->opaque, ISR_CONFIG);
}

/* --- doorbells --- */

static void bells_off(struct virtio_mmio *m)
{
    for (unsigned i = 0; i < m->bell_count; i++)
        mem_doorbell_remove(&m->bells[i]);
    free(m->bells);
    m->bells = NULL;
    m->bell_count = 0;
}

static void bells_on(struct virtio_mmio *m)
{
    if (!m->ioeventfd || m->bells)
        return;
    m->bell_count = m->v->queue_count;
    m->bells = xnew_array(struct mem_doorbell, m->bell_count + 1);
    for (unsigned i = 0; i < m->bell_count; i++) {
        struct virtqueue *q = m->v->queues[i];

        m->bells[i] = (struct mem_doorbell){
            .off = QUEUE_NOTIFY, .size = 4, .match = true, .value = i, .fd = q->kick_fd
        };
        if (!ioctx_is_main(q->ctx) && q->kick_fd >= 0)
            mem_doorbell_add(&m->dev.windows[0], &m->bells[i]);
    }
}

/* --- registers --- */

static gpa_t *address_of(struct virtqueue *q, uint64_t off)
{
    return off < QUEUE_DRIVER ? &q->desc : off < QUEUE_DEVICE ? &q->driver : &q->device;
}

static uint32_t queue_read(struct virtio_mmio *m, uint64_t off)
{
    struct virtqueue *q = virtio_queue_at(m->v, m->queue_select);

    if (!q)
        return 0;
    switch (off) {
    case QUEUE_NUM_MAX: return q->size_max;
    case QUEUE_PFN:
        return m->force_legacy && q->enabled && m->page_size ? (uint32_t)(q->desc / m->page_size)
                                                             : 0;
    case QUEUE_READY: return !m->force_legacy && q->enabled;
    default: return 0;
    }
}

static uint64_t mmio_read(struct device *dev, uint64_t off, unsigned size)
{
    struct virtio_mmio *m = mmio_of(dev);
    struct virtio_dev *v = m->v;

    switch (off) {
    case MAGIC: return MAGIC_VALUE;
    case VERSION: return m->force_legacy ? 1 : 2;
    case VENDOR_ID: return VENDOR_VALUE;
    case DEVICE_ID: return v ? v->vtype->id : 0;
    default: break;
    }
    if (!v)
        return 0;
    if (off >= CONFIG)
        return virtio_config_load(v, off - CONFIG, size);
    if (size != 4) {
        guest_error(dev, "read of %u bytes at %#x", size, (unsigned)off);
        return 0;
    }
    switch (off) {
    case DEVICE_FEATURES:
        return m->device_select > 1 || (m->force_legacy && m->device_select)
                   ? 0
                   : (uint32_t)(virtio_offered(v, m->force_legacy) >> 32 * m->device_select);
    case INTERRUPT_STATUS: return m->isr;
    case STATUS: return v->status;
    case CONFIG_GENERATION: return v->config_generation;
    case QUEUE_RESET: return 0; /* it is over at once */
    default: return off >= SHM_LEN && off < SHM_END ? UINT32_MAX : queue_read(m, off);
    }
}

static void write_status(struct virtio_mmio *m, uint8_t status)
{
    if (!status) {
        bells_off(m);
        /* not the page size: Linux sets it before it resets the device */
        m->device_select = m->driver_select = m->queue_select = 0;
        m->legacy_align = VIRTIO_LEGACY_ALIGN;
        m->driver_features = 0;
        atomic_store(&m->isr, 0);
        line(&m->transport);
    }
    virtio_set_status(m->v, status, m->force_legacy);
    if (m->v->status & VIRTIO_STATUS_DRIVER_OK)
        bells_on(m);
}

static void set_features(struct virtio_mmio *m, uint32_t val)
{
    unsigned shift = 32 * m->driver_select;

    if (m->driver_select > 1 || (m->force_legacy && m->driver_select)) {
        if (val)
            guest_error(&m->dev, "features %#x set in word %u", val, m->driver_select);
        return;
    }
    m->driver_features = (m->driver_features & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)val
                                                                                       << shift;
    virtio_set_driver_features(m->v, m->driver_features, m->force_legacy);
}

static void set_size(struct virtio_mmio *m, struct virtqueue *q, uint32_t val)
{
    bool packed = !m->force_legacy && (m->driver_features >> VIRTIO_F_RING_PACKED & 1);

    if (!val || val > q->size_max || (!packed && !is_pow2(val)))
        guest_error(&m->dev, "queue %u: size %u", q->index, val);
    else
        q->size = (uint16_t)val;
}

static void set_legacy_address(struct virtio_mmio *m, struct virtqueue *q, uint32_t pfn)
{
    if (!pfn)
        virtio_queue_disable(q);
    else if (!m->page_size)
        guest_error(&m->dev, "queue %u: address before the page size", q->index);
    else
        virtio_queue_set_legacy(q, (gpa_t)pfn * m->page_size, m->legacy_align);
}

static void queue_write(struct virtio_mmio *m, uint64_t off, uint32_t val)
{
    struct virtqueue *q = virtio_queue_at(m->v, m->queue_select);
    bool legacy = m->force_legacy;

    if (!q) {
        guest_error(&m->dev, "write to queue %u, which is not there", m->queue_select);
    } else if (off == QUEUE_PFN && legacy) {
        set_legacy_address(m, q, val);
    } else if (off == QUEUE_READY && !legacy) {
        if (val == 1 && !q->enabled)
            virtio_queue_enable(q);
        else if (!val && q->enabled)
            virtio_queue_disable(q);
    } else if (off == QUEUE_RESET && !legacy) {
        if (val == 1 && virtio_has(m->v, VIRTIO_F_RING_RESET))
            virtio_queue_disable(q);
    } else if (q->enabled) {
        guest_error(&m->dev, "write to register %#x of queue %u, which is enabled", (unsigned)off,
                    q->index);
    } else if (off == QUEUE_NUM) {
        set_size(m, q, val);
    } else if (off >= QUEUE_DESC && off < QUEUE_DEVICE + 8 && (off & 15) <= 4 && !legacy) {
        gpa_t *a = address_of(q, off);

        *a = off & 4 ? (*a & UINT32_MAX) | (gpa_t)val << 32 : (*a & ~(gpa_t)UINT32_MAX) | val;
    } else {
        guest_error(&m->dev, "write to register %#x", (unsigned)off);
    }
}

static void mmio_write(struct device *dev, uint64_t off, uint64_t val64, unsigned size)
{
    struct virtio_mmio *m = mmio_of(dev);
    uint32_t val = (uint32_t)val64;
    struct virtqueue *q;

    if (!m->v)
        return;
    if (off >= CONFIG) {
        virtio_config_store(m->v, off - CONFIG, val, size);
        return;
    }
    if (size != 4) {
        guest_error(dev, "write of %u bytes at %#x", size, (unsigned)off);
        return;
    }
    switch (off) {
    case DEVICE_FEATURES_SEL: m->device_select = val; break;
    case DRIVER_FEATURES: set_features(m, val); break;
    case DRIVER_FEATURES_SEL: m->driver_select = val; break;
    case QUEUE_SEL: m->queue_select = val; break;
    case QUEUE_NOTIFY:
        q = virtio_queue_at(m->v, val);
        if (q)
            virtio_queue_kick(q);
        break;
    case INTERRUPT_ACK:
        atomic_fetch_and(&m->isr, (uint8_t)~val);
        line(&m->transport);
        break;
    case STATUS: write_status(m, (uint8_t)val); break;
    case PAGE_SIZE:
        if (m->force_legacy && is_pow2(val) && val >= 1)
            m->page_size = val;
        else
            guest_error(dev, "page size %#x", val);
        break;
    case QUEUE_ALIGN:
        if (m->force_legacy && is_pow2(val) && val >= 4)
            m->legacy_align = val;
        else
            guest_error(dev, "queue alignment %#x", val);
        break;
    default: queue_write(m, off, val); break;
    }
}

/* --- life --- */

static void attached(struct virtio_transport *t, struct virtio_dev *v)
{
    struct virtio_mmio *m = t->opaque;

    bells_off(m);
    m->v = v;
}

static void mmio_defaults(struct device *dev)
{
    mmio_of(dev)->force_legacy = mmio_of(dev)->ioeventfd = true;
}

static bool mmio_init(struct device *dev, struct error *err)
{
    struct virtio_mmio *m = mmio_of(dev);
    const char *number = strrchr(dev->id, '.'); /* "virtio-mmio.3" */
    AUTO_FREE char *name = xasprintf("virtio-mmio-bus%s", number ? number : ".0");

    m->transport = (struct virtio_transport){ .notify_queue = notify_queue,
                                              .notify_config = notify_config,
                                              .update_line = line,
                                              .attached = attached,
                                              .opaque = m };
    bus_init(&m->bus, &virtio_bus_type, dev, name, &m->transport);
    m->bus.room = 1;
    return true;
}

static void mmio_reset(struct device *dev)
{
    struct virtio_mmio *m = mmio_of(dev);

    m->page_size = 0;
    if (m->v)
        write_status(m, 0);
}

static void mmio_finish(struct device *dev)
{
    struct virtio_mmio *m = mmio_of(dev);

    bells_off(m);
    if (m->v)
        virtio_attach(m->v, NULL);
    bus_finish(&m->bus);
}

static const struct device_window windows[] = {
    { "regs", WINDOW_MMIO, VIRTIO_MMIO_SIZE, mmio_read, mmio_write, 1, 4 },
};

const struct device_type virtio_mmio_type = {
    .name = "virtio-mmio",
    .doc = "virtio transport in memory",
    .size = sizeof(struct virtio_mmio),
    .offers = "virtio-bus",
    .props = FIELDS(FIELD(struct virtio_mmio, force_legacy, .wire = "force-legacy",
                          .doc = "version 1, for drivers older than virtio 1.0 [on]"),
                    FIELD(struct virtio_mmio, ioeventfd,
                          .doc = "kicks of queues on I/O threads take no lock [on]")),
    .defaults = mmio_defaults,
    .init = mmio_init,
    .finish = mmio_finish,
    .reset = mmio_reset,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = 1,
};
