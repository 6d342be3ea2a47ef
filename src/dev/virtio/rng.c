/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-rng (virtio 1.2 §5.4): fills the guest's buffers with random bytes, at most max-bytes in
 * each period. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/bits.h"
#include "base/rng.h"
#include "dev/virtio/virtio.h"
#include "dev/virtio/virtio_pci.h"

enum { QUEUE_SIZE = 8, CHUNK = 4096, BURST = 65536 }; /* bytes filled without a pause */
#define MS INT64_C(1000000)

struct vrng {
    struct virtio_dev v;
    /* properties */
    struct rng_backend *rng; /* NULL: builtin */
    uint64_t max_bytes;
    uint32_t period; /* ms */
    /* constant after init */
    struct rng_backend builtin;
    struct loop_fd *watch; /* of a backend that may run dry */
    /* machine lock */
    struct timer more;   /* goes on filling */
    struct timer refill; /* end of the period */
    uint64_t quota;      /* left in this period */
    bool stopped;        /* the backend failed: said once */
};

static struct vrng *vrng_of(struct virtio_dev *v)
{
    return (struct vrng *)v;
}

static struct rng_backend *backend(struct vrng *r)
{
    return r->rng ? r->rng : &r->builtin;
}

/* Fills one chain; how much of it, 0 when there is nothing now. */
static size_t fill_chain(struct vrng *r, struct virtio_chain *c)
{
    uint8_t buf[CHUNK];
    size_t done = 0, want = (size_t)MIN(MIN(c->in_size, r->quota), BURST);

    while (done < want) {
        ssize_t n = backend(r)->read(backend(r), buf, MIN(sizeof buf, want - done));

        if (n < 0 && !r->stopped) {
            r->stopped = true;
            guest_error(&r->v.dev, "no more random numbers: %s", strerror((int)-n));
        }
        if (n <= 0)
            break;
        (void)virtio_chain_write(c, done, buf, (size_t)n);
        done += (size_t)n;
    }
    explicit_bzero(buf, sizeof buf);
    return done;
}

static void watch(struct vrng *r, bool on)
{
    if (r->watch)
        loop_fd_set_events(r->watch, on ? POLLIN : 0);
}

static void fill(struct vrng *r)
{
    struct virtqueue *q = r->v.queues[0];
    size_t total = 0;
    bool any = false, dry = false;
    struct virtio_chain *c;

    while (r->quota && total < BURST && !dry && (c = virtio_pop(q, 0))) {
        size_t n = fill_chain(r, c);

        if (!n && c->in_size) {
            virtio_unpop(q, c);
            dry = true;
            break;
        }
        r->quota -= n;
        total += n;
        any = true;
        virtio_push(q, c, n);
    }
    if (any)
        virtio_notify(q);
    watch(r, dry && !r->stopped);
    if (total >= BURST && !timer_armed(&r->more)) /* others have their turn between */
        timer_set_ns(&r->more, 0);
    if (r->quota < r->max_bytes && !timer_armed(&r->refill))
        timer_set_ns(&r->refill, device_now_ns(&r->v.dev) + r->period * MS);
}

static void handle(struct virtio_dev *v, struct virtqueue *q)
{
    fill(vrng_of(v));
}

static void go_on(void *opaque)
{
    struct vrng *r = opaque;

    if (virtio_queue_ready(r->v.queues[0]))
        fill(r);
}

static void readable(void *opaque, unsigned revents)
{
    watch(opaque, false);
    go_on(opaque);
}

static void new_period(void *opaque)
{
    struct vrng *r = opaque;

    r->quota = r->max_bytes;
    go_on(r);
}

static void vrng_stop(struct virtio_dev *v)
{
    struct vrng *r = vrng_of(v);

    timer_cancel(&r->more);
    timer_cancel(&r->refill);
    watch(r, false);
    r->quota = r->max_bytes;
    r->stopped = false;
}

static const struct virtio_type vrng_vtype = {
    .name = "virtio-rng",
    .id = 4,
    .pci_class = 0x00ff,
    .legacy_pci_device = 0x1005,
    .stop = vrng_stop,
};

static void vrng_defaults(struct device *dev)
{
    struct vrng *r = (struct vrng *)dev;

    virtio_defaults(&r->v);
    r->max_bytes = INT64_MAX;
    r->period = 65536;
}

static bool vrng_init(struct device *dev, struct error *err)
{
    struct vrng *r = (struct vrng *)dev;

    if (!r->period)
        return fail(err, EINVAL, "period=0: it is at least 1 ms");
    if (!r->max_bytes || r->max_bytes > INT64_MAX)
        return fail(err, EINVAL, "max-bytes=%llu: it is 1 to %lld",
                    (unsigned long long)r->max_bytes, (long long)INT64_MAX);
    rng_builtin_object.init(&r->builtin);
    r->quota = r->max_bytes;
    virtio_init(&r->v, &vrng_vtype, 0);
    (void)virtio_queue_add(&r->v, QUEUE_SIZE, handle);
    timer_init(&r->more, dev->ctx.loop, CLOCK_VIRTUAL, go_on, r);
    timer_init(&r->refill, dev->ctx.loop, CLOCK_VIRTUAL, new_period, r);
    if (backend(r)->fd >= 0)
        r->watch = loop_fd_add(dev->ctx.loop, backend(r)->fd, 0, readable, r);
    return true;
}

static void vrng_finish(struct device *dev)
{
    struct vrng *r = (struct vrng *)dev;

    virtio_stop(&r->v);
    timer_cancel(&r->more);
    timer_cancel(&r->refill);
    loop_fd_remove(r->watch);
    r->watch = NULL;
    virtio_finish(&r->v);
}

static void vrng_reset(struct device *dev)
{
    virtio_reset(&((struct vrng *)dev)->v);
}

const struct device_type virtio_rng_type = {
    .name = "virtio-rng-device",
    .doc = "virtio random number generator, on any virtio transport",
    .size = sizeof(struct vrng),
    .bus = "virtio-bus",
    .category = DEVICE_MISC,
    .props =
        FIELDS(VIRTIO_PROPS(struct vrng, v),
               FIELD_LINK(struct vrng, rng, "rng", .doc = "id of -object rng-... [rng-builtin]"),
               FIELD(struct vrng, max_bytes, .wire = "max-bytes", .doc = "bytes in each period"),
               FIELD(struct vrng, period, .doc = "milliseconds [65536]")),
    .defaults = vrng_defaults,
    .init = vrng_init,
    .finish = vrng_finish,
    .reset = vrng_reset,
};

VIRTIO_PCI_TYPE(virtio_rng_pci, virtio_rng_type, "virtio-rng-pci", DEVICE_MISC,
                "virtio random number generator");
