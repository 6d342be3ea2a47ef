/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports of virtio-serial. What the guest writes waits in its queue while the chardev is slow;
 * what the chardev has waits there until the guest gives buffers and has the port open.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "dev/virtio/serial.h"

enum { INPUT_WISH = 4096 };

/* --- output of the guest --- */

/* Continues the chain in p->chain; false: the chardev takes no more now. */
static bool write_chain(struct vport *p)
{
    struct virtio_chain *c = p->chain;
    size_t at = 0;

    for (uint32_t i = 0; i < c->out_count; i++) {
        const struct iovec *v = &c->out[i];
        size_t skip = p->done > at ? MIN(p->done - at, v->iov_len) : 0, want = v->iov_len - skip;
        size_t n = want;

        if (want && p->chr && p->host_open)
            n = chardev_write(p->chr, (const uint8_t *)v->iov_base + skip, want);
        /* A Linux console waits for us with interrupts off: rather lose some than stop it. */
        if (n < want && !p->is_console) {
            p->done += n;
            return false;
        }
        p->done += want;
        at += v->iov_len;
    }
    return true;
}

void vport_flush(struct vport *p)
{
    bool any = false;

    while (p->chain || (p->chain = virtio_pop(p->tx, 0))) {
        if (!write_chain(p))
            break;
        virtio_push(p->tx, p->chain, 0);
        p->chain = NULL;
        p->done = 0;
        any = true;
    }
    if (any)
        virtio_notify(p->tx);
}

/* --- input --- */

static size_t port_can_read(void *opaque)
{
    struct vport *p = opaque;
    size_t out, in;

    if (!p->guest_open || !virtio_queue_ready(p->rx))
        return 0;
    virtio_queue_avail(p->rx, &out, &in, INPUT_WISH);
    return in;
}

static void port_read(void *opaque, const uint8_t *buf, size_t len)
{
    struct vport *p = opaque;

    while (len) {
        struct virtio_chain *c = virtio_pop(p->rx, 0);
        size_t n;

        if (!c)
            break;
        n = virtio_chain_write(c, 0, buf, len);
        buf += n;
        len -= n;
        virtio_push(p->rx, c, n);
    }
    virtio_notify(p->rx);
}

void vport_accept(struct vport *p)
{
    if (p->chr)
        chardev_accept_input(p->chr);
}

/* --- open and closed --- */

static void host_open(struct vport *p, bool open)
{
    if (p->host_open == open)
        return;
    p->host_open = open;
    if (p->serial && p->serial->driver_ready) {
        p->news |= NEWS_OPEN;
        vserial_tell(p->serial);
    }
    if (!open && p->chain) /* nobody takes the rest */
        vport_flush(p);
}

void vport_guest_open(struct vport *p, bool open)
{
    p->guest_open = open;
    if (open)
        vport_accept(p);
}

/* A console is there whether somebody looks at it or not. */
static void port_event(void *opaque, enum chardev_event ev)
{
    struct vport *p = opaque;

    if (p->is_console)
        return;
    if (ev == CHARDEV_OPENED)
        host_open(p, true);
    else if (ev == CHARDEV_CLOSED)
        host_open(p, false);
}

static void port_writable(void *opaque)
{
    vport_flush(opaque);
}

static const struct chardev_client client = {
    .can_read = port_can_read,
    .read = port_read,
    .event = port_event,
    .writable = port_writable,
};

void vport_reset(struct vport *p)
{
    if (p->chain)
        virtio_drop(p->tx, p->chain);
    p->chain = NULL;
    p->done = 0;
    p->guest_open = false;
    p->news = 0;
}

/* --- life --- */

static void port_defaults(struct device *dev)
{
    ((struct vport *)dev)->nr = UINT32_MAX;
}

static bool port_init(struct device *dev, struct error *err)
{
    struct vport *p = (struct vport *)dev;

    if (!p->serial)
        return fail(err, EINVAL, "%s needs the bus of a virtio-serial adapter", dev->type->name);
    if (p->name && strlen(p->name) > SERIAL_NAME_MAX)
        return fail(err, EINVAL, "name of a port has at most %d bytes", SERIAL_NAME_MAX);
    if (p->chr)
        chardev_attach(p->chr, &client, p);
    p->host_open = p->is_console || (p->chr && chardev_connected(p->chr));
    vserial_tell(p->serial);
    return true;
}

static void port_finish(struct device *dev)
{
    struct vport *p = (struct vport *)dev;

    if (p->chr)
        chardev_attach(p->chr, NULL, NULL);
}

#define PORT_PROPS                                                                                 \
    FIELDS(FIELD_LINK(struct vport, chr, "chardev", .wire = "chardev",                             \
                      .doc = "id of the character device behind it"),                              \
           FIELD(struct vport, name, .doc = "name shown to the guest"),                            \
           FIELD(struct vport, nr, .doc = "number of the port [first free]"))
#define PORT_STATE FIELDS(FIELD(struct vport, guest_open), FIELD(struct vport, news, .max = 15))

const struct device_type virtconsole_type = {
    .name = "virtconsole",
    .doc = "console on virtio-serial (hvc0)",
    .size = sizeof(struct vport),
    .bus = "virtio-serial-bus",
    .category = DEVICE_INPUT,
    .props = PORT_PROPS,
    .state = PORT_STATE,
    .defaults = port_defaults,
    .init = port_init,
    .finish = port_finish,
};

const struct device_type virtserialport_type = {
    .name = "virtserialport",
    .doc = "named port on virtio-serial (/dev/virtio-ports/NAME)",
    .size = sizeof(struct vport),
    .bus = "virtio-serial-bus",
    .category = DEVICE_INPUT,
    .props = PORT_PROPS,
    .state = PORT_STATE,
    .defaults = port_defaults,
    .init = port_init,
    .finish = port_finish,
};
