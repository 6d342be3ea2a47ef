/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside virtio/: a queue and its two forms of ring, and what a transport may do to a device. The
 * driver's addresses and sizes are set by the transport under the machine lock while the queue is
 * not enabled; the ring's running state belongs to the queue's context.
 */
#ifndef DEV_VIRTIO_VIRTIO_PRIV_H
#define DEV_VIRTIO_VIRTIO_PRIV_H

#include <stdatomic.h>
#include <string.h>

#include "dev/virtio/virtio.h"

enum { VIRTIO_LEGACY_ALIGN = 4096 };

/* A chain and what the core keeps of it. extra, iov and addr lie behind it. */
struct virtio_block {
    struct virtio_chain c; /* first */
    struct virtqueue *q;
    struct virtio_block *next, *prev; /* outstanding: oldest first; spare: next only */
    uint32_t epoch;                   /* of the queue when it was popped */
    uint32_t pieces_room;
    size_t extra_room;
    void *extra;
    size_t written;
    bool done; /* in-order rings: waits for an older one */
};

struct virtqueue {
    /* constant after virtio_queue_add() */
    struct virtio_dev *v;
    uint16_t index, size_max;
    virtio_handler *handler;
    bool own_kicks; /* the device switches them */

    /* guarded by the machine lock; constant while started */
    struct ioctx *ctx;
    int kick_fd; /* written: the handler runs in the context; -1: none yet */
    struct ioctx_fd *kick_watch;
    uint16_t size;
    gpa_t desc, driver, device; /* avail and used ring; event suppression structures */
    uint16_t vector;            /* the transport's */
    bool enabled;
    bool live; /* what follows was set up since it was enabled */
    const struct virtio_ring_ops *ops;
    bool event_idx, in_order, indirect;

    atomic_bool started; /* enabled, DRIVER_OK, not broken: the context may use the ring */

    /* in the context */
    uint64_t map_generation; /* of the memory map that the next three were made from */
    uint8_t *desc_map;       /* NULL: not mapped */
    uint8_t *driver_map, *device_map;
    bool handling;      /* the handler is on the stack */
    uint16_t in_use;    /* split: chains, packed: ring entries, popped and not given back */
    uint16_t next;      /* to be popped; split: runs freely, packed: a place in the ring */
    uint16_t used;      /* next to be given back, likewise */
    uint16_t seen;      /* split: the driver's index as last read */
    uint16_t signalled; /* used when the driver was last interrupted */
    bool signalled_valid;
    bool unsignalled;          /* something was pushed since the last virtio_notify() */
    bool next_wrap, used_wrap; /* packed */
    bool kicks_are_off;
    uint32_t epoch;                    /* rises with each reset */
    struct virtio_block *first, *last; /* popped and not given back */
    struct virtio_block *spare;
    unsigned spare_count;
    struct virtio_gather *gather; /* scratch of pop() */
};

enum { VIRTIO_PIECES_MAX = VIRTIO_CHAIN_MAX + 64 }; /* pieces may lie in more than one region */

struct virtio_gather {
    unsigned descriptors; /* that were looked at */
    unsigned out, in;
    uint64_t out_size, in_size;
    struct iovec iov[VIRTIO_PIECES_MAX];
    gpa_t addr[VIRTIO_PIECES_MAX];
};

struct virtio_ring_ops {
    /* Lengths of the parts, for mapping. */
    void (*lengths)(const struct virtqueue *q, size_t *desc, size_t *driver, size_t *device);
    /* Gathers the next chain; 1, 0: nothing there, -1: broken (said). Does not move on. */
    int (*gather)(struct virtqueue *q, struct virtio_gather *g, uint16_t *ret_head,
                  uint16_t *ret_entries);
    void (*advance)(struct virtqueue *q, uint16_t entries);
    void (*retreat)(struct virtqueue *q, uint16_t entries, uint16_t chains);
    void (*push)(struct virtqueue *q, struct virtio_chain **c, const size_t *written, unsigned n);
    bool (*empty)(struct virtqueue *q);
    bool (*wants_interrupt)(struct virtqueue *q);
    void (*kicks_off)(struct virtqueue *q);
    bool (*kicks_on)(struct virtqueue *q); /* false: something came since the last look */
};
extern const struct virtio_ring_ops virtio_split_ops, virtio_packed_ops;

/* queue.c, for virtio.c; machine lock held */
void virtio_queue_update(struct virtqueue *q); /* starts or stops as status and address say */
void virtio_queue_stop(struct virtqueue *q);   /* its handler does not run any more on return */
void virtio_queue_clear(struct virtqueue *q);  /* stopped: to the state after reset */

/* queue.c, for the rings. One descriptor's piece of memory into g; false: broken. */
bool virtio_gather_add(struct virtqueue *q, struct virtio_gather *g, gpa_t addr, uint32_t len,
                       bool is_in);
/* Host address of a range that must be RAM as a whole and lie in one piece; NULL: it is not. */
void *virtio_map_range(struct virtqueue *q, gpa_t a, uint64_t len, bool write);
/* Bytes of the ring were written: for the dirty log, and translated code might lie there. */
void virtio_ring_written(struct virtqueue *q, void *p, size_t len);
bool virtio_queue_map(struct virtqueue *q); /* up to date; false: broken, said */

/* A descriptor as the driver wrote it, read once (split §2.7.5, packed §2.8.13: the same size). */
struct virtio_desc {
    gpa_t addr;
    uint32_t len;
    uint16_t a, b; /* split: flags, next; packed: id, flags */
};
static inline struct virtio_desc virtio_desc_load(const uint8_t *p)
{
    struct virtio_desc d;

    memcpy(&d, p, sizeof d);
    atomic_signal_fence(
        memory_order_seq_cst); /* the copy is what counts, whatever is there later */
    return d;
}
_Static_assert(sizeof(struct virtio_desc) == 16, "as in the ring");
enum {
    VIRTIO_DESC_SIZE = 16,
    VIRTIO_DESC_NEXT = 1,
    VIRTIO_DESC_WRITE = 2,
    VIRTIO_DESC_INDIRECT = 4
};

/* --- for transports; machine lock held --- */
void virtio_attach(struct virtio_dev *v, struct virtio_transport *t);
uint64_t virtio_offered(struct virtio_dev *v, bool legacy);
void virtio_set_driver_features(struct virtio_dev *v, uint64_t features, bool legacy);
void virtio_set_status(struct virtio_dev *v, uint8_t status, bool legacy);
uint64_t virtio_config_load(struct virtio_dev *v, uint64_t off, unsigned size);
void virtio_config_store(struct virtio_dev *v, uint64_t off, uint64_t val, unsigned size);
/* From any thread: to be done under the machine lock soon, if the device is still there then. */
enum virtio_late_work {
    VIRTIO_LATE_BROKEN = 1, /* the driver is told */
    VIRTIO_LATE_LINE = 2,   /* transport->update_line() */
};
void virtio_later(struct virtio_dev *v, enum virtio_late_work what);
/* Selected queue or NULL. */
struct virtqueue *virtio_queue_at(struct virtio_dev *v, unsigned n);
void virtio_queue_enable(struct virtqueue *q);
void virtio_queue_disable(struct virtqueue *q); /* resets the one queue */
/* The legacy layout: one block of pages. 0: disabled. */
void virtio_queue_set_legacy(struct virtqueue *q, gpa_t base, uint32_t align);
/* The driver notified it: runs the handler here (main loop's context) or hands it over. */
void virtio_queue_kick(struct virtqueue *q);
/* The transport may (not) reach memory (PCI bus master). */
void virtio_dma_allow(struct virtio_dev *v, bool allowed);

#endif
