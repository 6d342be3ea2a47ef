/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports: sending, backpressure, link state, offloads done in software. See net.h. */
#include "net/net.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "net/net_priv.h"

enum { REST_BYTES = 256 << 10 }; /* more than one large frame cut at 536 bytes */

void net_port_init(struct net_port *port, const struct net_ops *ops, void *opaque)
{
    *port = (struct net_port){ .ops = ops, .opaque = opaque };
}

void net_port_finish(struct net_port *port)
{
    net_disconnect(port);
    net_queue_free(port->rest);
    port->rest = NULL;
}

static void tell(struct net_port *port)
{
    if (port->ops->offloads)
        port->ops->offloads(port);
    if (port->ops->link)
        port->ops->link(port, net_link_up(port));
}

void net_connect(struct net_port *a, struct net_port *b)
{
    assert(!a->peer && !b->peer);
    a->peer = b;
    b->peer = a;
    tell(a);
    tell(b);
}

void net_disconnect(struct net_port *a)
{
    struct net_port *b = a->peer;

    if (!b)
        return;
    a->peer = b->peer = NULL;
    a->waiting = b->waiting = false;
    net_queue_clear(a->rest);
    net_queue_clear(b->rest);
    tell(b);
}

/* --- sending --- */

struct cutting {
    struct net_port *to;
    bool refused; /* the first piece */
};

/* The first piece may be refused; those behind it are kept for the receiver. */
static bool emit(void *opaque, const struct net_packet *piece, unsigned index)
{
    struct cutting *c = opaque;
    struct net_port *to = c->to;

    if (net_queue_empty(to->rest) && to->ops->receive(to, piece))
        return true;
    if (!index) {
        c->refused = true;
        return false;
    }
    if (!to->rest)
        to->rest = net_queue_new(REST_BYTES);
    if (net_queue_put(to->rest, piece))
        return true;
    to->dropped++;
    return false;
}

static bool send_now(struct net_port *to, const struct net_packet *p)
{
    struct cutting c = { .to = to };

    if (!net_queue_empty(to->rest))
        return false;
    if (!(p->hdr.flags | p->hdr.gso_type) || net_hdr_fits(&p->hdr, to->offloads))
        return to->ops->receive(to, p);
    if (!net_make_plain(p, emit, &c)) {
        TRACE(net, "dropped a frame of %zu bytes with senseless offloads", p->size);
        to->dropped++;
    }
    return !c.refused;
}

bool net_send(struct net_port *from, const struct net_packet *p)
{
    struct net_port *to = from->peer;

    if (!to || from->down || to->down || p->size < NET_ETH_SIZE || p->size > NET_FRAME_MAX) {
        from->dropped++;
        return true;
    }
    if (!send_now(to, p)) {
        from->waiting = true;
        return false;
    }
    if (unlikely(from->netdev && from->netdev->dumps))
        net_dump_packet(from->netdev, p);
    else if (unlikely(to->netdev && to->netdev->dumps))
        net_dump_packet(to->netdev, p);
    return true;
}

bool net_send_frame(struct net_port *from, const void *frame, size_t size)
{
    struct iovec iov = { (void *)frame, size };
    struct net_packet p = { .iov = &iov, .count = 1, .size = size };

    return net_send(from, &p);
}

void net_flush(struct net_port *from)
{
    struct net_port *to = from->peer;

    if (to && to->ops->flush)
        to->ops->flush(to);
}

void net_ready(struct net_port *port)
{
    struct net_port *peer = port->peer;

    if (!net_queue_empty(port->rest)) {
        bool all = net_queue_deliver(port->rest, port);
        if (port->ops->flush)
            port->ops->flush(port);
        if (!all)
            return;
    }
    if (peer && peer->waiting) {
        peer->waiting = false;
        if (peer->ops->resume)
            peer->ops->resume(peer);
    }
}

/* --- link and offloads --- */

bool net_link_up(const struct net_port *port)
{
    return port->peer && !port->peer->down && !port->down;
}

void net_set_link(struct net_port *port, bool up)
{
    if (port->down == !up)
        return;
    port->down = !up;
    TRACE(net, "port %u of %s: link %s", port->index, port->netdev ? port->netdev->id : "a NIC",
          up ? "up" : "down");
    if (port->peer && port->peer->ops->link)
        port->peer->ops->link(port->peer, net_link_up(port->peer));
    if (!up)
        net_queue_clear(port->rest);
    net_ready(port); /* who waited finds its packets dropped, and goes on */
}

void net_set_offloads(struct net_port *port, unsigned offloads)
{
    if (port->offloads == offloads)
        return;
    port->offloads = offloads;
    if (port->peer && port->peer->ops->offloads)
        port->peer->ops->offloads(port->peer);
}

unsigned net_peer_offloads(const struct net_port *port)
{
    return port->peer ? port->peer->offloads : 0;
}

/* --- addresses of NICs --- */

bool net_parse_mac(const char *text, uint8_t mac[NET_MAC_SIZE], struct error *err)
{
    const char *t = text;

    for (int i = 0; i < NET_MAC_SIZE; i++) {
        char *end;
        unsigned long v = strtoul(t, &end, 16);
        if (end == t || end - t > 2 || (i < 5 ? *end != ':' && *end != '-' : *end != '\0'))
            goto bad;
        mac[i] = (uint8_t)v;
        t = end + 1;
    }
    if (!(mac[0] & 1))
        return true;
    (void)fail(err, EINVAL, "mac '%s': this is a multicast address", text);
    return fail_hint(err, "the first byte of a NIC's address is even");
bad:
    (void)fail(err, EINVAL, "mac '%s': not an Ethernet address", text);
    return fail_hint(err, "write six bytes, as 52:54:00:12:34:56");
}

static const uint8_t mac_base[NET_MAC_SIZE] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

void net_set_mac_used(struct net_set *s, const uint8_t mac[NET_MAC_SIZE])
{
    if (s && !memcmp(mac, mac_base, 5))
        s->mac_used[mac[5] / 64] |= UINT64_C(1) << mac[5] % 64;
}

void net_set_mac(struct net_set *s, uint8_t mac[NET_MAC_SIZE])
{
    memcpy(mac, mac_base, NET_MAC_SIZE);
    for (unsigned i = 0; s && i < 256; i++) {
        mac[5] = (uint8_t)(mac_base[5] + i);
        if (!(s->mac_used[mac[5] / 64] >> mac[5] % 64 & 1))
            break;
    }
    net_set_mac_used(s, mac);
}
