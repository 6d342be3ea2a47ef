/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device side of virtio 1.2 chapters 2 and 3 that is the same for all devices and transports:
 * status, features, configuration space, reset, and devices that a driver has broken.
 */
#include "dev/virtio/virtio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/trace.h"
#include "dev/bus.h"
#include "dev/virtio/virtio_priv.h"

#define RING_FEATURES                                                                              \
    (BIT(VIRTIO_F_NOTIFY_ON_EMPTY) | BIT(VIRTIO_F_ANY_LAYOUT) | BIT(VIRTIO_F_INDIRECT_DESC) |      \
     BIT(VIRTIO_F_EVENT_IDX) | BITS(40, 32))

static void do_late(void *opaque);

/* What other threads want done under the machine lock. */
struct virtio_late {
    struct virtio_dev *v;
    atomic_uint work; /* enum virtio_late_work */
    atomic_bool queued;
};

void virtio_defaults(struct virtio_dev *v)
{
    v->indirect_desc = v->event_idx = v->any_layout = v->queue_reset = true;
    v->notify_on_empty = true;
}

void virtio_init(struct virtio_dev *v, const struct virtio_type *t, uint32_t config_size)
{
    v->vtype = t;
    v->config_size = config_size ? config_size : t->config_size;
    v->config = xcalloc(1, v->config_size + 8);
    v->late = xnew(struct virtio_late);
    v->late->v = v;
    if (v->dev.parent && v->dev.parent->type == &virtio_bus_type && v->dev.parent->opaque) {
        v->transport = v->dev.parent->opaque;
        v->transport->attached(v->transport, v);
    }
}

void virtio_finish(struct virtio_dev *v)
{
    if (v->transport && v->transport->attached)
        v->transport->attached(v->transport, NULL);
    v->transport = NULL;
    virtio_queue_remove_all(v);
    free(v->config);
    v->config = NULL;
    if (v->late)
        loop_defer_cancel(v->dev.ctx.loop, do_late, v->late);
    free(v->late);
    v->late = NULL;
}

void virtio_attach(struct virtio_dev *v, struct virtio_transport *t)
{
    v->transport = t;
}

/* --- features --- */

uint64_t virtio_offered(struct virtio_dev *v, bool legacy)
{
    uint64_t f = v->vtype->offer ? v->vtype->offer(v) : v->vtype->features;

    if (v->indirect_desc)
        f |= BIT(VIRTIO_F_INDIRECT_DESC);
    if (v->event_idx)
        f |= BIT(VIRTIO_F_EVENT_IDX);
    if (legacy) {
        if (v->notify_on_empty)
            f |= BIT(VIRTIO_F_NOTIFY_ON_EMPTY);
        if (v->any_layout)
            f |= BIT(VIRTIO_F_ANY_LAYOUT);
        return f & UINT32_MAX;
    }
    f |= BIT(VIRTIO_F_VERSION_1);
    if (v->packed)
        f |= BIT(VIRTIO_F_RING_PACKED);
    if (v->in_order)
        f |= BIT(VIRTIO_F_IN_ORDER);
    if (v->iommu_platform)
        f |= BIT(VIRTIO_F_ACCESS_PLATFORM);
    if (v->queue_reset)
        f |= BIT(VIRTIO_F_RING_RESET);
    return f;
}

void virtio_set_driver_features(struct virtio_dev *v, uint64_t features, bool legacy)
{
    uint64_t offered = virtio_offered(v, legacy);

    if (v->status & (VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK)) {
        guest_error(&v->dev, "features set after they were agreed upon");
        return;
    }
    v->features = features;
    if (legacy) { /* there is no FEATURES_OK: what is not offered is not used */
        v->features &= offered;
        if (v->vtype->negotiated)
            (void)v->vtype->negotiated(v, v->features);
    }
}

/* §3.1.1 steps 5 and 6 */
static bool accept_features(struct virtio_dev *v)
{
    uint64_t offered = virtio_offered(v, false);

    if (v->features & ~offered) {
        guest_error(&v->dev, "features %#llx were not offered",
                    (unsigned long long)(v->features & ~offered));
        return false;
    }
    if (!virtio_has(v, VIRTIO_F_VERSION_1)) {
        guest_error(&v->dev, "VERSION_1 was not accepted");
        return false;
    }
    if (v->iommu_platform && !virtio_has(v, VIRTIO_F_ACCESS_PLATFORM)) {
        guest_error(&v->dev, "ACCESS_PLATFORM was not accepted");
        return false;
    }
    return !v->vtype->negotiated || v->vtype->negotiated(v, v->features);
}

/* --- status --- */

static void update_started(struct virtio_dev *v)
{
    for (unsigned i = 0; i < v->queue_count; i++)
        virtio_queue_update(v->queues[i]);
}

void virtio_set_status(struct virtio_dev *v, uint8_t status, bool legacy)
{
    uint8_t old = v->status;

    TRACE(virtio, "%s: status %#x -> %#x", v->dev.id, old, status);
    if (!status) {
        virtio_reset(v);
        return;
    }
    status |= old & VIRTIO_STATUS_NEEDS_RESET;
    if (!legacy && (status & VIRTIO_STATUS_FEATURES_OK) && !(old & VIRTIO_STATUS_FEATURES_OK) &&
        !accept_features(v))
        status &= ~VIRTIO_STATUS_FEATURES_OK;
    if (!legacy && (status & VIRTIO_STATUS_DRIVER_OK) && !(status & VIRTIO_STATUS_FEATURES_OK)) {
        guest_error(&v->dev, "DRIVER_OK without FEATURES_OK");
        status &= ~VIRTIO_STATUS_DRIVER_OK;
    }
    v->status = status;
    v->legacy = legacy;
    if (v->vtype->status)
        v->vtype->status(v, old);
    update_started(v);
    /* what the driver made available before needs no kick */
    if ((status & ~old) & VIRTIO_STATUS_DRIVER_OK) {
        for (unsigned i = 0; i < v->queue_count; i++)
            virtio_queue_kick(v->queues[i]);
    }
}

void virtio_stop(struct virtio_dev *v)
{
    for (unsigned i = 0; i < v->queue_count; i++)
        virtio_queue_stop(v->queues[i]);
}

void virtio_reset(struct virtio_dev *v)
{
    uint8_t old = v->status;

    virtio_stop(v);
    if (v->vtype->stop)
        v->vtype->stop(v);
    v->status = 0;
    v->features = 0;
    v->broken = false;
    v->legacy = false;
    if (v->late)
        atomic_store(&v->late->work, 0);
    for (unsigned i = 0; i < v->queue_count; i++)
        virtio_queue_clear(v->queues[i]);
    if (old && v->vtype->status)
        v->vtype->status(v, old);
    if (v->vtype->config_read)
        v->vtype->config_read(v);
}

bool virtio_loaded(struct virtio_dev *v, struct error *err)
{
    if (v->features & ~(virtio_offered(v, false) | virtio_offered(v, true)))
        return fail(err, EINVAL, "virtio device '%s': features %#llx are not offered here",
                    v->dev.id, (unsigned long long)v->features);
    update_started(v);
    return true;
}

void virtio_dma_allow(struct virtio_dev *v, bool allowed)
{
    if (v->no_dma == !allowed)
        return;
    v->no_dma = !allowed;
    update_started(v);
    for (unsigned i = 0; allowed && i < v->queue_count; i++)
        virtio_queue_kick(v->queues[i]);
}

/* --- breaking --- */

static void do_late(void *opaque)
{
    struct virtio_late *late = opaque;
    struct virtio_dev *v = late->v;
    unsigned work;

    atomic_store(&late->queued, false);
    work = atomic_exchange(&late->work, 0);
    if (work & VIRTIO_LATE_BROKEN) {
        update_started(v);
        virtio_config_changed(v);
    }
    if ((work & VIRTIO_LATE_LINE) && v->transport && v->transport->update_line)
        v->transport->update_line(v->transport);
}

void virtio_later(struct virtio_dev *v, enum virtio_late_work what)
{
    atomic_fetch_or(&v->late->work, what);
    if (!atomic_exchange(&v->late->queued, true))
        loop_defer(v->dev.ctx.loop, do_late, v->late);
}

void virtio_broken(struct virtio_dev *v, const char *fmt, ...)
{
    char text[120];
    va_list ap;

    if (atomic_exchange(&v->broken, true))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    guest_error(&v->dev, "broken by its driver: %s; it needs a reset", text);
    for (unsigned i = 0; i < v->queue_count; i++)
        atomic_store(&v->queues[i]->started, false);
    atomic_fetch_or(&v->status, VIRTIO_STATUS_NEEDS_RESET);
    virtio_later(v, VIRTIO_LATE_BROKEN); /* the caller may be an I/O thread, or inside a handler */
}

/* --- configuration space --- */

uint64_t virtio_config_load(struct virtio_dev *v, uint64_t off, unsigned size)
{
    uint64_t val = 0;

    if (off >= v->config_size)
        return BITS(8 * size - 1, 0); /* drivers that look beyond see what an absent device gives */
    if (v->vtype->config_read)
        v->vtype->config_read(v);
    for (unsigned i = 0; i < size && off + i < v->config_size; i++)
        val |= (uint64_t)v->config[off + i] << (8 * i);
    return val;
}

void virtio_config_store(struct virtio_dev *v, uint64_t off, uint64_t val, unsigned size)
{
    if (off >= v->config_size || size > v->config_size - off) {
        guest_error(&v->dev, "write beyond its configuration space, at %#llx",
                    (unsigned long long)off);
        return;
    }
    if (!v->vtype->config_written) {
        guest_error(&v->dev, "write to its read-only configuration space, at %#llx",
                    (unsigned long long)off);
        return;
    }
    if (v->vtype->config_read)
        v->vtype->config_read(v);
    for (unsigned i = 0; i < size; i++)
        v->config[off + i] = (uint8_t)(val >> (8 * i));
    v->vtype->config_written(v, (uint32_t)off, size);
    if (v->vtype->config_read)
        v->vtype->config_read(v);
}

void virtio_config_changed(struct virtio_dev *v)
{
    v->config_generation++;
    if (v->transport && (v->status & VIRTIO_STATUS_DRIVER_OK))
        v->transport->notify_config(v->transport);
}

/* --- the bus between a transport and its device --- */

/* "disk@0,0": what firmware knows the device inside as. */
static void virtio_fw_path(const struct device *dev, char *buf, size_t size)
{
    const struct virtio_dev *v = (const struct virtio_dev *)dev;

    if (v->vtype && v->vtype->id == 1)
        (void)snprintf(buf, size, "ethernet-phy@0");
    else if (v->vtype && v->vtype->id == 2)
        (void)snprintf(buf, size, "disk@0,0");
}

const struct bus_type virtio_bus_type = {
    .name = "virtio-bus",
    .fw_path = virtio_fw_path,
};
