/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio device (virtio 1.2) seen from its own code: type record, configuration space, queues.
 * The transports (virtio_pci.c, virtio_mmio.c) are written once; a device never sees them.
 *
 * Queues run in their context (loop/ioctx.h): handler, pop and push of one queue are called in one
 * thread at a time. Everything a guest wrote is checked here: a malformed ring or chain breaks the
 * device (DEVICE_NEEDS_RESET) and nothing else.
 */
#ifndef DEV_VIRTIO_VIRTIO_H
#define DEV_VIRTIO_VIRTIO_H

#include <stdatomic.h>
#include <sys/uio.h>

#include "dev/device.h"
#include "loop/ioctx.h"

enum {
    VIRTIO_QUEUES_MAX = 1024,
    VIRTIO_QUEUE_SIZE_MAX = 1024, /* entries, as QEMU's */
    VIRTIO_CHAIN_MAX = 1024,      /* pieces of one chain */
};

enum { /* device status, virtio 1.2 §2.1 */
       VIRTIO_STATUS_ACKNOWLEDGE = 1,
       VIRTIO_STATUS_DRIVER = 2,
       VIRTIO_STATUS_DRIVER_OK = 4,
       VIRTIO_STATUS_FEATURES_OK = 8,
       VIRTIO_STATUS_NEEDS_RESET = 64,
       VIRTIO_STATUS_FAILED = 128,
};

enum virtio_feature { /* bits, virtio 1.2 §6 */
                      VIRTIO_F_NOTIFY_ON_EMPTY = 24,
                      VIRTIO_F_ANY_LAYOUT = 27,
                      VIRTIO_F_INDIRECT_DESC = 28,
                      VIRTIO_F_EVENT_IDX = 29,
                      VIRTIO_F_VERSION_1 = 32,
                      VIRTIO_F_ACCESS_PLATFORM = 33,
                      VIRTIO_F_RING_PACKED = 34,
                      VIRTIO_F_IN_ORDER = 35,
                      VIRTIO_F_ORDER_PLATFORM = 36,
                      VIRTIO_F_NOTIFICATION_DATA = 38,
                      VIRTIO_F_RING_RESET = 40,
};

struct virtio_dev;
struct virtqueue;

/* One chain taken from the ring: pieces of guest memory, mapped. Pieces to be read come first. */
struct virtio_chain {
    uint16_t head;        /* of the chain; private to virtio/ */
    uint16_t descriptors; /* private: ring entries it took */
    uint32_t out_count, in_count;
    size_t out_size, in_size; /* bytes the device reads / may write */
    struct iovec *out, *in;   /* host pointers into guest RAM */
    gpa_t *addr;              /* guest addresses of out, then in */
};

struct virtio_type {
    const char *name;           /* "virtio-blk" */
    uint16_t id;                /* virtio device ID, §5 */
    uint16_t pci_class;         /* of the PCI transport: class << 8 | subclass */
    uint16_t legacy_pci_device; /* transitional device ID, 0x1000...; 0: modern only */
    uint32_t config_size;       /* bytes of device configuration */
    uint64_t features; /* that the device offers, apart from the ring's (may depend on props:
                        * see .offer) */
    uint64_t (*offer)(struct virtio_dev *v); /* NULL: .features */
    /* after FEATURES_OK was accepted, and before; NULL: nothing */
    bool (*negotiated)(struct virtio_dev *v, uint64_t features);
    /* device configuration; the device keeps it little-endian up to date in v->config */
    void (*config_read)(struct virtio_dev *v); /* brings v->config up to date; may be NULL */
    /* the driver wrote into v->config: take over what it may change; config_read() then puts the
     * rest right again. NULL: it is read-only */
    void (*config_written)(struct virtio_dev *v, uint32_t off, uint32_t len);
    void (*status)(struct virtio_dev *v,
                   uint8_t old);        /* v->status changed: DRIVER_OK, ... or NULL */
    void (*stop)(struct virtio_dev *v); /* before a reset: no request is under way on return */
    void (*queue_reset)(struct virtio_dev *v, unsigned n); /* or NULL */
};

/* A virtio device's struct begins with this; its device_type.bus is "virtio-bus". */
struct virtio_dev {
    struct device dev;
    const struct virtio_type *vtype;
    uint8_t *config; /* config_size bytes */
    uint32_t config_size;
    uint32_t config_generation; /* machine lock */
    struct virtqueue **queues;
    unsigned queue_count;
    uint64_t features; /* negotiated */
    _Atomic(uint8_t) status;
    atomic_bool broken; /* DEVICE_NEEDS_RESET was set */
    bool legacy;        /* the driver uses the legacy interface */
    bool no_dma;        /* the transport may not reach memory */
    struct virtio_late *late;
    /* rows VIRTIO_PROPS: what rings the device offers */
    bool indirect_desc, event_idx, packed, in_order, iommu_platform, any_layout, queue_reset;
    bool notify_on_empty;
    struct virtio_transport *transport; /* NULL: not plugged in */
};
/* Properties of every virtio device, as QEMU's. */
#define VIRTIO_PROPS(T, m)                                                                         \
    FIELD(T, m.indirect_desc, .wire = "indirect_desc", .doc = "offer indirect descriptors [on]"),  \
        FIELD(T, m.event_idx, .wire = "event_idx", .doc = "offer event indices [on]"),             \
        FIELD(T, m.packed, .wire = "packed", .doc = "offer packed rings [off]"),                   \
        FIELD(T, m.in_order, .wire = "in_order", .doc = "use buffers in order [off]"),             \
        FIELD(T, m.iommu_platform, .wire = "iommu_platform", .doc = "DMA through the platform"),   \
        FIELD(T, m.queue_reset, .wire = "queue_reset", .doc = "offer reset of one queue [on]"),    \
        FIELD(T, m.any_layout, .wire = "any_layout", .doc = "legacy: offer any layout [on]"),      \
        FIELD(T, m.notify_on_empty, .wire = "notify_on_empty",                                     \
              .doc = "legacy: offer interrupts when a ring runs empty [on]")
void virtio_defaults(struct virtio_dev *v); /* from defaults() */

/* From init: then virtio_queue_add() for each queue. config_size 0: the type's. */
void virtio_init(struct virtio_dev *v, const struct virtio_type *t, uint32_t config_size);
void virtio_finish(struct virtio_dev *v); /* from finish; copes with a half-built one */
void virtio_reset(struct virtio_dev *v);  /* from reset */
/* No handler runs any more on return, nothing is used: from finish, before the device's own parts
 * go that handlers and completions use. */
void virtio_stop(struct virtio_dev *v);
bool virtio_loaded(struct virtio_dev *v, struct error *err) MUST_CHECK;

/* handler: the guest kicked; runs in the queue's context until nothing is left. */
typedef void virtio_handler(struct virtio_dev *v, struct virtqueue *q);
struct virtqueue *virtio_queue_add(struct virtio_dev *v, unsigned size, virtio_handler *handler);
void virtio_queue_remove_all(struct virtio_dev *v);
/* Where its handler runs from now on; NULL: the main loop. Machine lock held, device idle. In the
 * main loop's context the handler runs on the vCPU that kicks, there and then. */
bool virtio_queue_set_ctx(struct virtqueue *q, struct ioctx *ctx, struct error *err) MUST_CHECK;
unsigned virtio_queue_index(const struct virtqueue *q);
bool virtio_queue_ready(const struct virtqueue *q); /* enabled by the driver, device DRIVER_OK */

/* --- in the queue's context --- */
/* The next chain, or NULL when there is none (or the device is broken). The chain is valid until
 * virtio_push() or virtio_drop(), over resets too: what was popped before one is freed and not used
 * by virtio_push(). extra bytes, zeroed, come with it for the device's own request. */
struct virtio_chain *virtio_pop(struct virtqueue *q, size_t extra);
void *virtio_chain_extra(struct virtio_chain *c);
/* Gives it back with the number of bytes written into it, and frees it. */
void virtio_push(struct virtqueue *q, struct virtio_chain *c, size_t written);
/* For mergeable buffers: n chains used at once; the guest sees all or none. */
void virtio_push_many(struct virtqueue *q, struct virtio_chain **c, const size_t *written,
                      unsigned n);
void virtio_unpop(struct virtqueue *q, struct virtio_chain *c); /* the last one popped goes back */
void virtio_drop(struct virtqueue *q, struct virtio_chain *c);  /* reset: frees without using */
/* Interrupts the guest if it wants to hear; call once after a burst of pushes. */
void virtio_notify(struct virtqueue *q);
bool virtio_queue_empty(struct virtqueue *q);
/* Bytes that the waiting chains offer to read / to write, up to the given wish. */
void virtio_queue_avail(struct virtqueue *q, size_t *ret_out, size_t *ret_in, size_t enough);
/* Ask the guest (not) to kick; enable returns false when something came meanwhile. The core does
 * this around the handler by itself; for those who poll. */
void virtio_kicks_off(struct virtqueue *q);
/* From init: the device switches kicks of this queue by itself, the core never does. */
void virtio_queue_own_kicks(struct virtqueue *q);
bool virtio_kicks_on(struct virtqueue *q);

/* Copy between a chain and a buffer; offsets count from the start of the out / in bytes. Returns
 * how many bytes were there. */
size_t virtio_chain_read(const struct virtio_chain *c, size_t off, void *buf, size_t len);
size_t virtio_chain_write(struct virtio_chain *c, size_t off, const void *buf, size_t len);

/* The guest did something that the standard forbids: DEVICE_NEEDS_RESET, said once under
 * guest_errors. In the queue's context or under the machine lock. */
__attribute__((format(printf, 2, 3))) void virtio_broken(struct virtio_dev *v, const char *fmt,
                                                         ...);

/* v->config changed: configuration interrupt. Machine lock held. */
void virtio_config_changed(struct virtio_dev *v);

static inline bool virtio_has(const struct virtio_dev *v, unsigned feature)
{
    return v->features >> feature & 1;
}

/* --- transports --- */
extern const struct bus_type virtio_bus_type;
struct virtio_transport {
    void (*notify_queue)(struct virtio_transport *t, struct virtqueue *q); /* any thread */
    void (*notify_config)(struct virtio_transport *t);                     /* machine lock */
    void (*update_line)(struct virtio_transport *t); /* asked for by virtio_later(); or NULL */
    /* v was plugged into the bus whose opaque this is, and may go again (NULL); or NULL */
    void (*attached)(struct virtio_transport *t, struct virtio_dev *v);
    void *opaque;
};

/* A device "NAME-pci" around a virtio device type; likewise -transitional and -non-transitional:
 *   VIRTIO_PCI_TYPE(virtio_blk_pci, virtio_blk_type, "virtio-blk-pci", DEVICE_STORAGE, "doc")
 * makes `const struct device_type virtio_blk_pci_type`. In virtio_pci.h. */

#endif
