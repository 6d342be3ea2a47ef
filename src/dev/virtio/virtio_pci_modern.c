/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers of the virtio 1.0 interface (virtio 1.2 §4.1.4), all in one BAR. */
#include "base/bits.h"
#include "dev/virtio/virtio_pci.h"
#include "dev/virtio/virtio_priv.h"

enum { /* struct virtio_pci_common_cfg, §4.1.4.3 */
       DEVICE_FEATURE_SELECT = 0x00,
       DEVICE_FEATURE = 0x04,
       DRIVER_FEATURE_SELECT = 0x08,
       DRIVER_FEATURE = 0x0c,
       CONFIG_VECTOR = 0x10,
       NUM_QUEUES = 0x12,
       DEVICE_STATUS = 0x14,
       CONFIG_GENERATION = 0x15,
       QUEUE_SELECT = 0x16,
       QUEUE_SIZE = 0x18,
       QUEUE_VECTOR = 0x1a,
       QUEUE_ENABLE = 0x1c,
       QUEUE_NOTIFY_OFF = 0x1e,
       QUEUE_DESC = 0x20,
       QUEUE_DRIVER = 0x28,
       QUEUE_DEVICE = 0x30,
       QUEUE_NOTIFY_DATA = 0x38,
       QUEUE_RESET = 0x3a,
};

static gpa_t *address_of(struct virtqueue *q, uint64_t off)
{
    return off < QUEUE_DRIVER ? &q->desc : off < QUEUE_DEVICE ? &q->driver : &q->device;
}

static uint64_t queue_read(struct virtio_pci *p, uint64_t off)
{
    struct virtqueue *q = virtio_queue_at(p->v, p->queue_select);

    if (!q)
        return off == QUEUE_VECTOR ? UINT16_MAX : 0;
    switch (off) {
    case QUEUE_SIZE: return q->size;
    case QUEUE_VECTOR: return q->vector;
    case QUEUE_ENABLE: return q->enabled;
    case QUEUE_NOTIFY_OFF:
    case QUEUE_NOTIFY_DATA: return q->index;
    case QUEUE_DESC:
    case QUEUE_DRIVER:
    case QUEUE_DEVICE: return (uint32_t)*address_of(q, off);
    case QUEUE_DESC + 4:
    case QUEUE_DRIVER + 4:
    case QUEUE_DEVICE + 4: return *address_of(q, off) >> 32;
    default: return 0; /* QUEUE_RESET: it is over at once */
    }
}

static uint64_t common_read(struct virtio_pci *p, uint64_t off)
{
    struct virtio_dev *v = p->v;

    switch (off) {
    case DEVICE_FEATURE_SELECT: return p->device_select;
    case DEVICE_FEATURE:
        return p->device_select < 2 ? (uint32_t)(virtio_offered(v, false) >> 32 * p->device_select)
                                    : 0;
    case DRIVER_FEATURE_SELECT: return p->driver_select;
    case DRIVER_FEATURE:
        return p->driver_select < 2 ? (uint32_t)(p->driver_features >> 32 * p->driver_select) : 0;
    case CONFIG_VECTOR: return p->config_vector;
    case NUM_QUEUES: return v->queue_count;
    case DEVICE_STATUS: return v->status;
    case CONFIG_GENERATION: return (uint8_t)v->config_generation;
    case QUEUE_SELECT: return p->queue_select;
    default: return queue_read(p, off);
    }
}

static void set_size(struct virtio_pci *p, struct virtqueue *q, uint64_t size)
{
    bool packed = p->driver_features >> VIRTIO_F_RING_PACKED & 1;

    if (!size || size > q->size_max || (!packed && !is_pow2(size)))
        guest_error(&p->pci.dev, "queue %u: size %llu", q->index, (unsigned long long)size);
    else
        q->size = (uint16_t)size;
}

static void set_address(struct virtqueue *q, uint64_t off, uint32_t val)
{
    gpa_t *a = address_of(q, off);

    if (off & 4)
        *a = (*a & UINT32_MAX) | (gpa_t)val << 32;
    else
        *a = (*a & ~(gpa_t)UINT32_MAX) | val;
}

static void queue_write(struct virtio_pci *p, uint64_t off, uint64_t val)
{
    struct virtqueue *q = virtio_queue_at(p->v, p->queue_select);

    if (!q) {
        guest_error(&p->pci.dev, "write to queue %u, which is not there", p->queue_select);
        return;
    }
    if (off == QUEUE_VECTOR) {
        q->vector = virtio_pci_vector(p, val);
    } else if (off == QUEUE_RESET) {
        if (val == 1 && virtio_has(p->v, VIRTIO_F_RING_RESET))
            virtio_queue_disable(q);
    } else if (q->enabled) {
        guest_error(&p->pci.dev, "write to register %#x of queue %u, which is enabled",
                    (unsigned)off, q->index);
    } else if (off == QUEUE_SIZE) {
        set_size(p, q, val);
    } else if (off == QUEUE_ENABLE) {
        if (val == 1)
            virtio_queue_enable(q);
        else
            guest_error(&p->pci.dev, "queue %u: %#x written to its enable register", q->index,
                        (unsigned)val);
    } else if (off >= QUEUE_DESC && off < QUEUE_NOTIFY_DATA) {
        set_address(q, off, (uint32_t)val);
    }
}

static void set_features(struct virtio_pci *p, uint32_t val)
{
    unsigned shift = 32 * p->driver_select;

    if (p->driver_select > 1) {
        if (val)
            guest_error(&p->pci.dev, "features %#x set in word %u", val, p->driver_select);
        return;
    }
    p->driver_features = (p->driver_features & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)val
                                                                                       << shift;
    virtio_set_driver_features(p->v, p->driver_features, false);
}

static void common_write(struct virtio_pci *p, uint64_t off, uint64_t val)
{
    switch (off) {
    case DEVICE_FEATURE_SELECT: p->device_select = (uint32_t)val; break;
    case DRIVER_FEATURE_SELECT: p->driver_select = (uint32_t)val; break;
    case DRIVER_FEATURE: set_features(p, (uint32_t)val); break;
    case CONFIG_VECTOR: p->config_vector = virtio_pci_vector(p, val); break;
    case DEVICE_STATUS: virtio_pci_write_status(p, (uint8_t)val, false); break;
    case QUEUE_SELECT: p->queue_select = (uint16_t)val; break;
    default:
        if (off >= QUEUE_SIZE && off < QUEUE_RESET + 2)
            queue_write(p, off, val);
        else
            guest_error(&p->pci.dev, "write to register %#x", (unsigned)off);
    }
}

static uint64_t modern_read(void *opaque, uint64_t off, unsigned size)
{
    struct virtio_pci *p = opaque;

    if (off < VIRTIO_PCI_ISR)
        return common_read(p, off) & BITS(8 * size - 1, 0);
    if (off < VIRTIO_PCI_CONFIG)
        return off == VIRTIO_PCI_ISR ? virtio_pci_isr_take(p) : 0;
    if (off < VIRTIO_PCI_NOTIFY)
        return virtio_config_load(p->v, off - VIRTIO_PCI_CONFIG, size);
    return 0;
}

static void modern_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct virtio_pci *p = opaque;

    if (off >= VIRTIO_PCI_NOTIFY) {
        struct virtqueue *q =
            virtio_queue_at(p->v, (unsigned)((off - VIRTIO_PCI_NOTIFY) / p->notify_multiplier));

        if (q)
            virtio_queue_kick(q);
    } else if (off >= VIRTIO_PCI_CONFIG) {
        virtio_config_store(p->v, off - VIRTIO_PCI_CONFIG, val, size);
    } else if (off < VIRTIO_PCI_ISR) {
        common_write(p, off, val);
    }
}

static const struct mem_io_ops modern_ops = { modern_read, modern_write, 1, 4, false };

void virtio_pci_modern_init(struct virtio_pci *p)
{
    uint64_t size = VIRTIO_PCI_NOTIFY + p->notify_multiplier * (uint64_t)VIRTIO_QUEUES_MAX;

    while (!is_pow2(size))
        size += size & -size; /* up to a power of two */
    mem_region_init_io(&p->modern_region, "virtio-pci", &modern_ops, p, size);
}
