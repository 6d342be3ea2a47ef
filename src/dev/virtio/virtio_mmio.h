/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MMIO transport (virtio 1.2 §4.2): window "regs" of 0x200 bytes, one interrupt line, a bus
 * that takes one virtio device. A board makes as many as it has places for.
 */
#ifndef DEV_VIRTIO_VIRTIO_MMIO_H
#define DEV_VIRTIO_VIRTIO_MMIO_H

#include "dev/bus.h"
#include "dev/virtio/virtio.h"
#include "mem/doorbell.h"

enum { VIRTIO_MMIO_SIZE = 0x200 };

struct virtio_mmio {
    struct device dev;
    struct device_bus bus; /* "virtio-mmio-bus.N", where the board says N with the device's id */
    struct virtio_transport transport;
    struct virtio_dev *v; /* NULL: none is plugged in */
    /* properties */
    bool force_legacy, ioeventfd;
    /* state; machine lock, but isr */
    uint32_t device_select, driver_select, queue_select, page_size;
    uint32_t legacy_align;
    uint64_t driver_features;
    _Atomic(uint8_t) isr;
    struct mem_doorbell *bells; /* of queues on I/O threads */
    unsigned bell_count;
};

extern const struct device_type virtio_mmio_type;

#endif
