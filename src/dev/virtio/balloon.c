/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-balloon (virtio 1.2 §5.5). Pages that the guest puts into the balloon, or reports as free,
 * go back to the host; they read as zeroes when the guest touches them again.
 */
#include "dev/virtio/balloon.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/endian.h"
#include "base/trace.h"
#include "dev/virtio/virtio.h"
#include "dev/virtio/virtio_pci.h"

enum { /* §5.5.3 */
       F_STATS = 1,
       F_DEFLATE_ON_OOM = 2,
       F_PAGE_POISON = 4,
       F_REPORTING = 5,
};

enum { /* §5.5.4 */
       CONFIG_NUM_PAGES = 0,
       CONFIG_ACTUAL = 4,
       CONFIG_HINT_ID = 8,
       CONFIG_POISON = 12,
       CONFIG_SIZE = 16,
};

enum { PAGE_BITS = 12, STAT_SIZE = 10, QUEUE_SIZE = 128, REPORT_QUEUE_SIZE = 32, PFNS = 256 };
#define SECOND_NS INT64_C(1000000000)

const char *const balloon_stat_names[BALLOON_STAT_COUNT] = {
    "stat-swap-in",      "stat-swap-out",     "stat-major-faults",     "stat-minor-faults",
    "stat-free-memory",  "stat-total-memory", "stat-available-memory", "stat-disk-caches",
    "stat-htlb-pgalloc", "stat-htlb-pgfail",
};

struct vballoon {
    struct virtio_dev v;
    /* properties */
    bool deflate_on_oom, free_page_reporting, page_poison, free_page_hint;
    uint32_t interval; /* seconds */
    /* constant after init */
    struct virtqueue *stats_queue;
    uint64_t host_page;
    /* machine lock */
    struct virtio_chain *stats_chain; /* ours until new statistics are wanted */
    struct timer poll;
    struct balloon_stats stats;
    void (*changed)(void *opaque, uint64_t bytes);
    void *changed_opaque;
    /* state */
    uint32_t num_pages, actual, poison;
};

static struct vballoon *balloon_of(struct virtio_dev *v)
{
    return (struct vballoon *)v;
}

/* --- pages --- */

/* Gives whole host pages in the guest's range back. Only RAM is touched. */
static void discard(struct vballoon *b, gpa_t a, uint64_t len)
{
    gpa_t end = a + len;

    if (end < a)
        return;
    TRACE(virtio, "%s: discard %#llx, %#llx bytes", b->v.dev.id, (unsigned long long)a,
          (unsigned long long)len);
    while (a < end) {
        uint64_t n = end - a, head, whole;
        uint8_t *host = dma_map(b->v.dev.ctx.dma, a, &n, true);

        if (!host || !n) {
            guest_error(&b->v.dev, "page at %#llx is not RAM", (unsigned long long)a);
            return;
        }
        head = -(uintptr_t)host & (b->host_page - 1);
        whole = n > head ? (n - head) & ~(b->host_page - 1) : 0;
        if (whole)
            (void)madvise(host + head, whole, MADV_DONTNEED); /* not done: nothing is saved */
        dma_unmap(b->v.dev.ctx.dma, host, whole ? n : 0, true);
        a += n;
    }
}

/* Runs of page numbers become one call. */
static void inflate_chain(struct vballoon *b, const struct virtio_chain *c)
{
    uint8_t pfns[4 * PFNS];
    uint64_t start = 0, pages = 0;

    for (size_t off = 0;;) {
        size_t n = virtio_chain_read(c, off, pfns, sizeof pfns) / 4;

        for (size_t i = 0; i < n; i++) {
            uint64_t pfn = ld_le32(pfns + 4 * i);

            if (pages && pfn == start + pages) {
                pages++;
            } else if (pages && pfn + 1 == start) { /* Linux hands them over downwards */
                start--;
                pages++;
            } else {
                if (pages)
                    discard(b, start << PAGE_BITS, pages << PAGE_BITS);
                start = pfn;
                pages = 1;
            }
        }
        off += 4 * n;
        if (n < PFNS)
            break;
    }
    if (pages)
        discard(b, start << PAGE_BITS, pages << PAGE_BITS);
}

static void handle_inflate(struct virtio_dev *v, struct virtqueue *q)
{
    struct virtio_chain *c;

    while ((c = virtio_pop(q, 0))) {
        inflate_chain(balloon_of(v), c);
        virtio_push(q, c, 0);
    }
    virtio_notify(q);
}

/* The pages come back by being touched. */
static void handle_deflate(struct virtio_dev *v, struct virtqueue *q)
{
    struct virtio_chain *c;

    while ((c = virtio_pop(q, 0)))
        virtio_push(q, c, 0);
    virtio_notify(q);
}

/* §5.5.6.7: unless the guest wants them to hold what it poisons free pages with. */
static void handle_report(struct virtio_dev *v, struct virtqueue *q)
{
    struct vballoon *b = balloon_of(v);
    bool zeroes_will_do = !virtio_has(v, F_PAGE_POISON) || !b->poison;
    struct virtio_chain *c;

    while ((c = virtio_pop(q, 0))) {
        for (uint32_t i = 0; i < c->in_count && zeroes_will_do; i++)
            discard(b, c->addr[c->out_count + i], c->in[i].iov_len);
        virtio_push(q, c, 0);
    }
    virtio_notify(q);
}

/* --- statistics --- */

static void arm(struct vballoon *b)
{
    timer_cancel(&b->poll);
    if (b->interval)
        timer_set_ns(&b->poll, device_now_ns(&b->v.dev) + b->interval * SECOND_NS);
}

static void forget_stats(struct vballoon *b)
{
    memset(b->stats.value, 0xff, sizeof b->stats.value);
}

static void handle_stats(struct virtio_dev *v, struct virtqueue *q)
{
    struct vballoon *b = balloon_of(v);
    uint8_t p[STAT_SIZE];
    struct virtio_chain *c = virtio_pop(q, 0);

    if (!c)
        return;
    if (b->stats_chain) { /* a driver has but one */
        virtio_push(q, b->stats_chain, 0);
        virtio_notify(q);
    }
    b->stats_chain = c;
    forget_stats(b);
    /* each tag once or twice: more is no use */
    for (size_t i = 0; i < 2 * BALLOON_STAT_COUNT; i++) {
        if (virtio_chain_read(c, i * STAT_SIZE, p, sizeof p) != sizeof p)
            break;
        if (ld_le16(p) < BALLOON_STAT_COUNT)
            b->stats.value[ld_le16(p)] = ld_le64(p + 2);
    }
    b->stats.last_update =
        clock_now_ns(loop_clock(b->v.dev.ctx.loop, CLOCK_HOST)) / INT64_C(1000000000);
    arm(b);
}

static void ask_for_stats(void *opaque)
{
    struct vballoon *b = opaque;

    if (b->stats_chain && virtio_has(&b->v, F_STATS)) {
        virtio_push(b->stats_queue, b->stats_chain, 0);
        b->stats_chain = NULL;
        virtio_notify(b->stats_queue);
    }
    arm(b);
}

/* --- configuration --- */

static uint64_t balloon_offer(struct virtio_dev *v)
{
    const struct vballoon *b = balloon_of(v);

    return BIT(F_STATS) | (b->deflate_on_oom ? BIT(F_DEFLATE_ON_OOM) : 0) |
           (b->page_poison ? BIT(F_PAGE_POISON) : 0) |
           (b->free_page_reporting ? BIT(F_REPORTING) : 0);
}

static void balloon_config_read(struct virtio_dev *v)
{
    const struct vballoon *b = balloon_of(v);

    memset(v->config, 0, CONFIG_SIZE);
    st_le32(v->config + CONFIG_NUM_PAGES, b->num_pages);
    st_le32(v->config + CONFIG_ACTUAL, b->actual);
    st_le32(v->config + CONFIG_POISON, b->poison);
}

static void balloon_config_written(struct virtio_dev *v, uint32_t off, uint32_t len)
{
    struct vballoon *b = balloon_of(v);
    uint32_t actual = ld_le32(v->config + CONFIG_ACTUAL);

    if (virtio_has(v, F_PAGE_POISON))
        b->poison = ld_le32(v->config + CONFIG_POISON);
    if (actual == b->actual)
        return;
    b->actual = actual;
    if (b->changed)
        b->changed(b->changed_opaque, balloon_actual(&v->dev));
}

static void drop_stats(struct vballoon *b)
{
    if (b->stats_chain)
        virtio_drop(b->stats_queue, b->stats_chain);
    b->stats_chain = NULL;
}

static void balloon_stop(struct virtio_dev *v)
{
    struct vballoon *b = balloon_of(v);

    drop_stats(b);
    timer_cancel(&b->poll);
}

static void balloon_queue_reset(struct virtio_dev *v, unsigned n)
{
    if (v->queues[n] == balloon_of(v)->stats_queue)
        drop_stats(balloon_of(v));
}

static void balloon_status(struct virtio_dev *v, uint8_t old)
{
    struct vballoon *b = balloon_of(v);

    if (!v->status)
        b->poison = 0;
    else if (v->status & ~old & VIRTIO_STATUS_DRIVER_OK)
        arm(b);
}

static const struct virtio_type balloon_vtype = {
    .name = "virtio-balloon",
    .id = 5,
    .pci_class = 0x00ff,
    .legacy_pci_device = 0x1002,
    .config_size = CONFIG_SIZE,
    .offer = balloon_offer,
    .config_read = balloon_config_read,
    .config_written = balloon_config_written,
    .stop = balloon_stop,
    .status = balloon_status,
    .queue_reset = balloon_queue_reset,
};

/* --- for the monitor --- */

void balloon_set_target(struct device *dev, uint64_t bytes)
{
    struct vballoon *b = (struct vballoon *)dev;

    b->num_pages = (uint32_t)MIN(bytes >> PAGE_BITS, UINT32_MAX);
    virtio_config_changed(&b->v);
}

uint64_t balloon_target(const struct device *dev)
{
    return (uint64_t)((const struct vballoon *)dev)->num_pages << PAGE_BITS;
}

uint64_t balloon_actual(const struct device *dev)
{
    return (uint64_t)((const struct vballoon *)dev)->actual << PAGE_BITS;
}

void balloon_set_interval(struct device *dev, uint32_t seconds)
{
    struct vballoon *b = (struct vballoon *)dev;

    b->interval = seconds;
    ask_for_stats(b);
}

void balloon_stats(const struct device *dev, struct balloon_stats *ret)
{
    *ret = ((const struct vballoon *)dev)->stats;
}

void balloon_on_change(struct device *dev, void (*fn)(void *opaque, uint64_t bytes), void *opaque)
{
    struct vballoon *b = (struct vballoon *)dev;

    b->changed = fn;
    b->changed_opaque = opaque;
}

/* --- life --- */

static void balloon_defaults(struct device *dev)
{
    struct vballoon *b = (struct vballoon *)dev;

    virtio_defaults(&b->v);
    b->page_poison = true;
}

static bool balloon_init(struct device *dev, struct error *err)
{
    struct vballoon *b = (struct vballoon *)dev;

    if (b->free_page_hint) {
        fail(err, ENOTSUP, "free-page-hint=on: hints are of use for migration, which comes later");
        return fail_hint(err, "free-page-reporting=on gives free pages back to the host");
    }
    b->host_page = (uint64_t)sysconf(_SC_PAGESIZE);
    forget_stats(b);
    virtio_init(&b->v, &balloon_vtype, 0);
    (void)virtio_queue_add(&b->v, QUEUE_SIZE, handle_inflate);
    (void)virtio_queue_add(&b->v, QUEUE_SIZE, handle_deflate);
    b->stats_queue = virtio_queue_add(&b->v, QUEUE_SIZE, handle_stats);
    /* its number is that of the queues that are there (Linux counts so) */
    if (b->free_page_reporting)
        (void)virtio_queue_add(&b->v, REPORT_QUEUE_SIZE, handle_report);
    timer_init(&b->poll, dev->ctx.loop, CLOCK_VIRTUAL, ask_for_stats, b);
    return true;
}

static void balloon_finish(struct device *dev)
{
    struct vballoon *b = (struct vballoon *)dev;

    virtio_stop(&b->v);
    timer_cancel(&b->poll);
    drop_stats(b);
    virtio_finish(&b->v);
}

static void balloon_reset(struct device *dev)
{
    struct vballoon *b = (struct vballoon *)dev;

    virtio_reset(&b->v);
    b->actual = b->poison = 0;
}

const struct device_type virtio_balloon_type = {
    .name = "virtio-balloon-device",
    .doc = "virtio memory balloon, on any virtio transport",
    .size = sizeof(struct vballoon),
    .bus = "virtio-bus",
    .category = DEVICE_MISC,
    .props =
        FIELDS(VIRTIO_PROPS(struct vballoon, v),
               FIELD(struct vballoon, deflate_on_oom, .wire = "deflate-on-oom",
                     .doc = "the guest may take pages back when it runs out of memory [off]"),
               FIELD(struct vballoon, free_page_reporting, .wire = "free-page-reporting",
                     .doc = "the guest gives its free pages to the host [off]"),
               FIELD(struct vballoon, page_poison, .wire = "page-poison",
                     .doc = "learn what the guest fills free pages with [on]"),
               FIELD(struct vballoon, free_page_hint, .wire = "free-page-hint",
                     .doc = "learn of free pages while migrating [off]"),
               FIELD(struct vballoon, interval, .wire = "guest-stats-polling-interval", .min = 0,
                     .max = INT32_MAX, .doc = "seconds between statistics, 0: none [0]")),
    .state = FIELDS(FIELD(struct vballoon, num_pages), FIELD(struct vballoon, actual),
                    FIELD(struct vballoon, poison)),
    .defaults = balloon_defaults,
    .init = balloon_init,
    .finish = balloon_finish,
    .reset = balloon_reset,
};

VIRTIO_PCI_TYPE(virtio_balloon_pci, virtio_balloon_type, "virtio-balloon-pci", DEVICE_MISC,
                "virtio memory balloon");
