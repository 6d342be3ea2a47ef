/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-serial (virtio 1.2 §5.3): an adapter with ports, each a pair of queues, and a pair of
 * control queues that tell of them. The ports themselves are in serial_port.c.
 */
#include "dev/virtio/serial.h"
#include "dev/virtio/virtio_pci.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "base/trace.h"

enum { F_MULTIPORT = 1, F_EMERG_WRITE = 2 }; /* §5.3.3 */
enum { CONFIG_MAX_PORTS = 4, CONFIG_EMERG = 8, CONFIG_SIZE = 12 };

enum { /* control messages, §5.3.6.2 */
       DEVICE_READY = 0,
       PORT_ADD = 1,
       PORT_READY = 3,
       CONSOLE_PORT = 4,
       PORT_OPEN = 6,
       PORT_NAME = 7,
       MESSAGE_SIZE = 8,
};

enum { QUEUE_SIZE = 128, CONTROL_QUEUE_SIZE = 32 };

static struct vserial *serial_of(struct virtio_dev *v)
{
    return (struct vserial *)v;
}

/* --- control: to the guest --- */

/* False: it has no room now. */
static bool send(struct vserial *s, uint32_t id, uint16_t event, uint16_t value, const char *text)
{
    struct virtio_chain *c = virtio_pop(s->control_rx, 0);
    uint8_t p[MESSAGE_SIZE];
    size_t len = text ? strnlen(text, SERIAL_NAME_MAX) + 1 : 0;

    if (!c)
        return false;
    if (c->in_size < MESSAGE_SIZE) {
        virtio_broken(&s->v, "control buffer of %zu bytes", c->in_size);
        virtio_drop(s->control_rx, c);
        return false;
    }
    TRACE(virtio, "%s: port %u: event %u, value %u", s->v.dev.id, id, event, value);
    st_le32(p, id);
    st_le16(p + 4, event);
    st_le16(p + 6, value);
    (void)virtio_chain_write(c, 0, p, sizeof p);
    len = MIN(len, c->in_size - MESSAGE_SIZE);
    if (len)
        (void)virtio_chain_write(c, MESSAGE_SIZE, text, len);
    virtio_push(s->control_rx, c, MESSAGE_SIZE + len);
    return true;
}

static bool send_news(struct vserial *s, struct vport *p, enum port_news news)
{
    switch (news) {
    case NEWS_ADD: return send(s, p->nr, PORT_ADD, 1, NULL);
    case NEWS_CONSOLE: return send(s, p->nr, CONSOLE_PORT, 1, NULL);
    case NEWS_NAME: return send(s, p->nr, PORT_NAME, 1, p->name);
    case NEWS_OPEN: return send(s, p->nr, PORT_OPEN, p->host_open, NULL);
    }
    return true;
}

void vserial_tell(struct vserial *s)
{
    bool any = false, room = true;

    if (!s->driver_ready || !virtio_queue_ready(s->control_rx))
        return;
    for (uint32_t i = 0; i < s->max_ports && room; i++) {
        struct vport *p = s->ports[i];

        while (p && p->news && room) {
            enum port_news first = (enum port_news)(p->news & -p->news);

            room = send_news(s, p, first);
            if (room)
                p->news &= (uint8_t)~first;
            any |= room;
        }
    }
    if (any)
        virtio_notify(s->control_rx);
}

static void handle_control_room(struct virtio_dev *v, struct virtqueue *q)
{
    vserial_tell(serial_of(v));
}

/* --- control: from the guest --- */

static void driver_ready(struct vserial *s, bool ok)
{
    if (!ok) {
        guest_error(&s->v.dev, "the driver could not add the device");
        return;
    }
    s->driver_ready = true;
    for (uint32_t i = 0; i < s->max_ports; i++)
        if (s->ports[i])
            s->ports[i]->news = NEWS_ADD;
    vserial_tell(s);
}

static void port_ready(struct vserial *s, struct vport *p, bool ok)
{
    if (!ok) {
        guest_error(&s->v.dev, "the driver could not add port %u", p->nr);
        return;
    }
    p->news |= (uint8_t)((p->is_console ? NEWS_CONSOLE : 0) | (p->name ? NEWS_NAME : 0) |
                         (p->host_open ? NEWS_OPEN : 0));
    vserial_tell(s);
}

static void control_message(struct vserial *s, const uint8_t *m)
{
    uint32_t id = ld_le32(m);
    uint16_t event = ld_le16(m + 4), value = ld_le16(m + 6);
    struct vport *p = id < s->max_ports ? s->ports[id] : NULL;

    if (event == DEVICE_READY) {
        driver_ready(s, value == 1);
        return;
    }
    if (!p) {
        guest_error(&s->v.dev, "control event %u of port %u, which is not there", event, id);
        return;
    }
    switch (event) {
    case PORT_READY: port_ready(s, p, value == 1); break;
    case PORT_OPEN: vport_guest_open(p, value == 1); break;
    default: guest_error(&s->v.dev, "unknown control event %u", event); break;
    }
}

static void handle_control(struct virtio_dev *v, struct virtqueue *q)
{
    uint8_t m[MESSAGE_SIZE];
    struct virtio_chain *c;

    while ((c = virtio_pop(q, 0))) {
        if (virtio_chain_read(c, 0, m, sizeof m) == sizeof m)
            control_message(serial_of(v), m);
        else
            guest_error(&v->dev, "control message of %zu bytes", c->out_size);
        virtio_push(q, c, 0);
    }
    virtio_notify(q);
}

/* --- data --- */

/* Ports' queues come in pairs, with those of control behind the first (§5.3.2). */
static struct vport *port_of(struct vserial *s, const struct virtqueue *q)
{
    unsigned pair = virtio_queue_index(q) / 2;

    return s->ports[pair ? pair - 1 : 0];
}

static void handle_input_room(struct virtio_dev *v, struct virtqueue *q)
{
    struct vport *p = port_of(serial_of(v), q);

    if (p)
        vport_accept(p);
}

static void handle_output(struct virtio_dev *v, struct virtqueue *q)
{
    struct vport *p = port_of(serial_of(v), q);
    struct virtio_chain *c;

    if (p) {
        vport_flush(p);
        return;
    }
    while ((c = virtio_pop(q, 0)))
        virtio_push(q, c, 0);
    virtio_notify(q);
}

/* --- configuration --- */

static uint64_t serial_offer(struct virtio_dev *v)
{
    const struct vserial *s = serial_of(v);

    return (s->max_ports > 1 ? BIT(F_MULTIPORT) : 0) |
           (s->emergency_write ? BIT(F_EMERG_WRITE) : 0);
}

static void serial_config_read(struct virtio_dev *v)
{
    memset(v->config, 0, CONFIG_SIZE);
    st_le32(v->config + CONFIG_MAX_PORTS, serial_of(v)->max_ports);
}

/* A byte without queues and interrupts, for a kernel that just started or is about to die; also
 * before the features were agreed upon (§5.3.4). */
static void serial_config_written(struct virtio_dev *v, uint32_t off, uint32_t len)
{
    struct vserial *s = serial_of(v);

    if (!s->emergency_write || off > CONFIG_EMERG || off + len <= CONFIG_EMERG)
        return;
    for (uint32_t i = 0; i < s->max_ports; i++) {
        struct vport *p = s->ports[i];

        if (p && p->is_console) {
            if (p->chr)
                (void)chardev_write(p->chr, v->config + CONFIG_EMERG, 1);
            return;
        }
    }
}

static void serial_stop(struct virtio_dev *v)
{
    struct vserial *s = serial_of(v);

    s->driver_ready = false;
    for (uint32_t i = 0; i < s->max_ports; i++)
        if (s->ports[i])
            vport_reset(s->ports[i]);
}

static void serial_queue_reset(struct virtio_dev *v, unsigned n)
{
    struct vserial *s = serial_of(v);
    struct vport *p = port_of(s, v->queues[n]);

    if (p && p->chain && v->queues[n] == p->tx) {
        virtio_drop(p->tx, p->chain);
        p->chain = NULL;
    }
}

static void serial_status(struct virtio_dev *v, uint8_t old)
{
    struct vserial *s = serial_of(v);

    /* without control queues the one port is open from here on */
    if ((v->status & ~old & VIRTIO_STATUS_DRIVER_OK) && !virtio_has(v, F_MULTIPORT) && s->ports[0])
        vport_guest_open(s->ports[0], true);
}

static const struct virtio_type serial_vtype = {
    .name = "virtio-serial",
    .id = 3,
    .pci_class = 0x0780,
    .legacy_pci_device = 0x1003,
    .config_size = CONFIG_SIZE,
    .offer = serial_offer,
    .config_read = serial_config_read,
    .config_written = serial_config_written,
    .status = serial_status,
    .stop = serial_stop,
    .queue_reset = serial_queue_reset,
};

/* --- the bus --- */

static bool take_number(struct vserial *s, struct vport *p, struct error *err)
{
    const char *bus = s->bus.name;

    if (p->nr == UINT32_MAX) {
        for (p->nr = p->is_console ? 0 : 1; p->nr < s->max_ports && s->ports[p->nr];)
            p->nr++;
        if (p->nr < s->max_ports)
            return true;
        fail(err, ENOSPC, "bus '%s' has no free port", bus);
        return fail_hint(err, "give its adapter a larger max_ports, or add a second one");
    }
    if (p->nr >= s->max_ports) {
        fail(err, ERANGE, "nr=%u: bus '%s' has ports 0 to %u", p->nr, bus, s->max_ports - 1);
        return fail_hint(err, "give its adapter a larger max_ports");
    }
    if (!p->nr && !p->is_console) {
        fail(err, EINVAL, "nr=0: port 0 is reserved for a virtconsole, for old drivers");
        return fail_hint(err, "take another number, or leave nr out");
    }
    if (s->ports[p->nr])
        return fail(err, EBUSY, "nr=%u: bus '%s' has that port already", p->nr, bus);
    return true;
}

static bool plug(struct device_bus *bus, struct device *dev, struct error *err)
{
    struct vserial *s = bus->opaque;
    struct vport *p = container_of(dev, struct vport, dev);

    p->is_console = dev->type == &virtconsole_type;
    if (!take_number(s, p, err))
        return false;
    for (uint32_t i = 0; i < s->max_ports && p->name; i++) {
        const struct vport *other = s->ports[i];

        if (other && other->name && !strcmp(other->name, p->name))
            return fail(err, EEXIST, "name='%s': a port of bus '%s' has that already", p->name,
                        bus->name);
    }
    unsigned pair = p->nr ? p->nr + 1 : 0;
    p->serial = s;
    p->rx = s->v.queues[2 * pair];
    p->tx = s->v.queues[2 * pair + 1];
    s->ports[p->nr] = p;
    if (s->driver_ready)
        p->news = NEWS_ADD;
    return true;
}

static void unplug(struct device_bus *bus, struct device *dev)
{
    struct vserial *s = bus->opaque;
    struct vport *p = container_of(dev, struct vport, dev);

    if (p->serial && s->ports[p->nr] == p) {
        vport_reset(p);
        s->ports[p->nr] = NULL;
    }
    p->serial = NULL;
}

static void place(const struct device *dev, char *buf, size_t size)
{
    snprintf(buf, size, "port %u", container_of(dev, const struct vport, dev)->nr);
}

const struct bus_type virtio_serial_bus_type = {
    .name = "virtio-serial-bus",
    .plug = plug,
    .unplug = unplug,
    .place = place,
};

/* --- life --- */

static void serial_defaults(struct device *dev)
{
    struct vserial *s = (struct vserial *)dev;

    virtio_defaults(&s->v);
    s->max_ports = 31;
    s->emergency_write = true;
}

static bool serial_init(struct device *dev, struct error *err)
{
    struct vserial *s = (struct vserial *)dev;

    if (!s->max_ports || s->max_ports > SERIAL_PORTS_MAX)
        return fail(err, EINVAL, "max_ports=%u: it is 1 to %u", s->max_ports, SERIAL_PORTS_MAX);
    virtio_init(&s->v, &serial_vtype, 0);
    for (uint32_t i = 0; i < s->max_ports; i++) {
        (void)virtio_queue_add(&s->v, QUEUE_SIZE, handle_input_room);
        (void)virtio_queue_add(&s->v, QUEUE_SIZE, handle_output);
        if (i)
            continue;
        s->control_rx = virtio_queue_add(&s->v, CONTROL_QUEUE_SIZE, handle_control_room);
        s->control_tx = virtio_queue_add(&s->v, CONTROL_QUEUE_SIZE, handle_control);
    }
    bus_init(&s->bus, &virtio_serial_bus_type, dev, NULL, s);
    return true;
}

static void serial_finish(struct device *dev)
{
    struct vserial *s = (struct vserial *)dev;

    virtio_stop(&s->v);
    if (s->v.vtype) /* else max_ports was refused */
        serial_stop(&s->v);
    bus_finish(&s->bus);
    virtio_finish(&s->v);
}

static void serial_reset(struct device *dev)
{
    virtio_reset(&((struct vserial *)dev)->v);
}

const struct device_type virtio_serial_type = {
    .name = "virtio-serial-device",
    .doc = "virtio serial adapter for consoles and ports, on any virtio transport",
    .size = sizeof(struct vserial),
    .bus = "virtio-bus",
    .offers = "virtio-serial-bus",
    .category = DEVICE_INPUT,
    .props = FIELDS(
        VIRTIO_PROPS(struct vserial, v),
        FIELD(struct vserial, max_ports, .wire = "max_ports", .doc = "ports that it can have [31]"),
        FIELD(struct vserial, emergency_write, .wire = "emergency-write",
              .doc = "offer output without queues [on]")),
    .state = FIELDS(FIELD(struct vserial, driver_ready)),
    .defaults = serial_defaults,
    .init = serial_init,
    .finish = serial_finish,
    .reset = serial_reset,
};

VIRTIO_PCI_TYPE(virtio_serial_pci, virtio_serial_type, "virtio-serial-pci", DEVICE_INPUT,
                "virtio serial adapter for consoles and ports");
