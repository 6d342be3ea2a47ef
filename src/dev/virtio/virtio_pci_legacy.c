/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interface for drivers older than virtio 1.0: an I/O BAR (virtio 1.2 §4.1.4.8). */
#include "base/bits.h"
#include "dev/virtio/virtio_pci.h"
#include "dev/virtio/virtio_priv.h"

enum {
    DEVICE_FEATURES = 0x00,
    DRIVER_FEATURES = 0x04,
    QUEUE_PFN = 0x08,
    QUEUE_SIZE = 0x0c,
    QUEUE_SELECT = 0x0e,
    QUEUE_NOTIFY = VIRTIO_PCI_LEGACY_NOTIFY,
    STATUS = 0x12,
    ISR = 0x13,
    CONFIG_VECTOR = 0x14, /* with MSI-X on; else the device's configuration begins here */
    QUEUE_VECTOR = 0x16,
    HEADER_SIZE = 0x14,
    HEADER_SIZE_MSIX = 0x18,
};

static unsigned header_size(const struct virtio_pci *p)
{
    return pci_msix_enabled(&p->pci) ? HEADER_SIZE_MSIX : HEADER_SIZE;
}

static uint64_t legacy_read(void *opaque, uint64_t off, unsigned size)
{
    struct virtio_pci *p = opaque;
    struct virtqueue *q = virtio_queue_at(p->v, p->queue_select);
    unsigned header = header_size(p);

    if (off >= header)
        return virtio_config_load(p->v, off - header, size);
    switch (off) {
    case DEVICE_FEATURES: return virtio_offered(p->v, true);
    case DRIVER_FEATURES: return (uint32_t)p->v->features;
    case QUEUE_PFN: return q && q->enabled ? (uint32_t)(q->desc / VIRTIO_LEGACY_ALIGN) : 0;
    case QUEUE_SIZE: return q ? q->size_max : 0;
    case QUEUE_SELECT: return p->queue_select;
    case STATUS: return p->v->status;
    case ISR: return virtio_pci_isr_take(p);
    case CONFIG_VECTOR: return p->config_vector;
    case QUEUE_VECTOR: return q ? q->vector : UINT16_MAX;
    default: return 0;
    }
}

static void legacy_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct virtio_pci *p = opaque;
    struct virtqueue *q = virtio_queue_at(p->v, p->queue_select);
    unsigned header = header_size(p);

    if (off >= header) {
        virtio_config_store(p->v, off - header, val, size);
        return;
    }
    switch (off) {
    case DRIVER_FEATURES: virtio_set_driver_features(p->v, (uint32_t)val, true); break;
    case QUEUE_PFN:
        if (!val) /* old drivers reset the device this way */
            virtio_pci_write_status(p, 0, true);
        else if (q)
            virtio_queue_set_legacy(q, (gpa_t)(uint32_t)val * VIRTIO_LEGACY_ALIGN,
                                    VIRTIO_LEGACY_ALIGN);
        break;
    case QUEUE_SELECT: p->queue_select = (uint16_t)val; break;
    case QUEUE_NOTIFY:
        q = virtio_queue_at(p->v, (uint16_t)val);
        if (q)
            virtio_queue_kick(q);
        break;
    case STATUS: virtio_pci_write_status(p, (uint8_t)val, true); break;
    case CONFIG_VECTOR: p->config_vector = virtio_pci_vector(p, val); break;
    case QUEUE_VECTOR:
        if (q)
            q->vector = virtio_pci_vector(p, val);
        break;
    default: guest_error(&p->pci.dev, "write to legacy register %#x", (unsigned)off);
    }
}

static const struct mem_io_ops legacy_ops = { legacy_read, legacy_write, 1, 4, false };

void virtio_pci_legacy_init(struct virtio_pci *p)
{
    uint64_t size = 32;

    while (size < HEADER_SIZE_MSIX + (uint64_t)p->v->config_size)
        size *= 2;
    mem_region_init_io(&p->legacy_region, "virtio-pci-legacy", &legacy_ops, p, size);
}
