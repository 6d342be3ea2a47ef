/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A backend that keeps the last bytes of the output in memory, for the monitor to read. */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/str.h"
#include "chardev/chardev_priv.h"

#define RING_DEFAULT (64 * KIB)
#define RING_MAX     (64 * MIB)

struct chardev_ring {
    size_t size; /* a power of two */
    size_t head, count;
    uint8_t *bytes;
};

static size_t ring_write(struct chardev *c, const void *buf, size_t len)
{
    struct chardev_ring *r = c->ring;
    const uint8_t *p = buf;

    for (size_t i = 0; i < len; i++) {
        r->bytes[(r->head + r->count) & (r->size - 1)] = p[i];
        if (r->count < r->size)
            r->count++;
        else
            r->head = (r->head + 1) & (r->size - 1);
    }
    return len;
}

static const struct chardev_backend ring_backend = { .name = "ringbuf", .write = ring_write };

bool chardev_open_ringbuf(struct chardev *c, struct optlist *opts, struct error *err)
{
    uint64_t size = RING_DEFAULT;

    c->backend = &ring_backend;
    if (!optlist_take_size(opts, "size", 1, &size, err))
        return false;
    if (!size || !is_pow2(size) || size > RING_MAX) {
        fail(err, EINVAL, "size of a ring buffer must be a power of two, at most 64M");
        return fail_hint(err, "for example size=64K");
    }
    c->ring = xnew(struct chardev_ring);
    c->ring->size = size;
    c->ring->bytes = xcalloc(1, size);
    c->connected = true;
    return true;
}

void chardev_ringbuf_free(struct chardev *c)
{
    if (!c->ring)
        return;
    free(c->ring->bytes);
    free(c->ring);
    c->ring = NULL;
}

size_t chardev_ringbuf_read(struct chardev *c, void *buf, size_t len)
{
    struct chardev_ring *r = c->base ? c->base->ring : c->ring;
    uint8_t *p = buf;
    size_t n = 0;

    while (r && n < len && r->count) {
        p[n++] = r->bytes[r->head];
        r->head = (r->head + 1) & (r->size - 1);
        r->count--;
    }
    return n;
}
