/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the adapter virtio-serial and the ports on its bus. Machine lock held. */
#ifndef DEV_VIRTIO_SERIAL_H
#define DEV_VIRTIO_SERIAL_H

#include "chardev/chardev.h"
#include "dev/bus.h"
#include "dev/virtio/virtio.h"

enum { SERIAL_PORTS_MAX = 511, SERIAL_NAME_MAX = 255 };

struct vserial;

/* virtconsole, virtserialport */
struct vport {
    struct device dev;
    /* properties */
    struct chardev *chr; /* NULL: output vanishes, no input comes */
    char *name;          /* NULL: none */
    uint32_t nr;
    /* constant after plugging */
    bool is_console;
    struct vserial *serial;
    struct virtqueue *rx, *tx;
    /* state */
    bool host_open, guest_open;
    uint8_t news;               /* bits of enum port_news: control messages to be sent */
    struct virtio_chain *chain; /* popped from tx, written up to done */
    size_t done;
};

struct vserial {
    struct virtio_dev v;
    /* properties */
    uint32_t max_ports;
    bool emergency_write;
    /* constant after init */
    struct device_bus bus;
    struct virtqueue *control_rx, *control_tx;
    struct vport *ports[SERIAL_PORTS_MAX];
    /* state */
    bool driver_ready; /* it said so: control messages may be sent */
};

extern const struct bus_type virtio_serial_bus_type;
extern const struct device_type virtconsole_type;

/* What the guest is to hear of a port, in this order. */
enum port_news {
    NEWS_ADD = 1 << 0,
    NEWS_CONSOLE = 1 << 1,
    NEWS_NAME = 1 << 2,
    NEWS_OPEN = 1 << 3, /* or closed: how it is when the message is sent */
};

void vserial_tell(struct vserial *s); /* sends what there is news of */
void vport_flush(struct vport *p);    /* serial_port.c: output of the guest to the chardev */
void vport_accept(struct vport *p);   /* the guest has room for input */
void vport_guest_open(struct vport *p, bool open);
void vport_reset(struct vport *p);

#endif
