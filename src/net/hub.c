/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hubs: what one port sends all others get. -netdev hubport and -net make their ports. A port whose
 * far end has no room keeps a bounded queue, so that one slow NIC does not stop the rest.
 */
#include "net/net_priv.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"

enum { QUEUE_BYTES = 512 << 10 };

struct hubport {
    struct netdev nd;
    unsigned hub;
    struct net_queue *queue;
    char *behind;         /* "netdev=": not yet looked for */
    struct netdev *other; /* that sits behind this port instead of a NIC */
};

static struct hubport *next_port(struct net_set *s, unsigned hub, struct netdev *after)
{
    for (struct netdev *nd = after ? after->next : s->first; nd; nd = nd->next)
        if (nd->type == &netdev_hubport_type && ((struct hubport *)nd)->hub == hub)
            return (struct hubport *)nd;
    return NULL;
}

static bool hub_receive(struct net_port *port, const struct net_packet *p)
{
    struct hubport *from = port->opaque, *h = NULL;

    while ((h = next_port(from->nd.set, from->hub, h ? &h->nd : NULL)))
        if (h != from && (!net_queue_empty(h->queue) || !net_send(&h->nd.ports[0], p))) {
            if (!h->queue)
                h->queue = net_queue_new(QUEUE_BYTES);
            (void)net_queue_put(h->queue, p);
        }
    return true;
}

static void hub_flush(struct net_port *port)
{
    struct hubport *from = port->opaque, *h = NULL;

    while ((h = next_port(from->nd.set, from->hub, h ? &h->nd : NULL)))
        if (h != from)
            net_flush(&h->nd.ports[0]);
}

static void hub_resume(struct net_port *port)
{
    struct hubport *h = port->opaque;

    (void)net_queue_send(h->queue, port, NULL);
    net_flush(port);
}

static const struct net_ops hub_ops = {
    .receive = hub_receive,
    .flush = hub_flush,
    .resume = hub_resume,
};

static void start(struct hubport *h, unsigned hub)
{
    h->hub = hub;
    h->nd.is_hub_port = true;
    netdev_ports(&h->nd, 1, &hub_ops);
    h->nd.ports[0].offloads = NET_CAN_ALL & ~(unsigned)NET_CAN_UFO;
    netdev_info(&h->nd, "hub %u", hub);
}

static bool hubport_open(struct netdev *nd, struct optlist *o, struct error *err)
{
    struct hubport *h = (struct hubport *)nd;
    uint64_t hub = 0;

    if (!optlist_has(o, "hubid")) {
        (void)fail(err, EINVAL, "hubid is missing");
        return fail_hint(err, "say which hub, as hubid=0");
    }
    if (!optlist_take_u64(o, "hubid", &hub, err))
        return false;
    if (hub > INT32_MAX)
        return fail(err, EINVAL, "hubid=%llu is too large", (unsigned long long)hub);
    h->behind = xstrdup(optlist_take(o, "netdev"));
    start(h, (unsigned)hub);
    return true;
}

static bool hubport_settle(struct netdev *nd, struct error *err)
{
    struct hubport *h = (struct hubport *)nd;

    if (!h->behind || h->other)
        return true;
    struct netdev *other = net_set_take(nd->set, h->behind, err);
    if (!other)
        return false;
    h->other = other;
    nd->taken = true;
    net_connect(&nd->ports[0], &other->ports[0]);
    return true;
}

static void hubport_close(struct netdev *nd)
{
    struct hubport *h = (struct hubport *)nd;

    if (h->other)
        net_set_give_back(h->other);
    net_queue_free(h->queue);
    free(h->behind);
}

const struct netdev_type netdev_hubport_type = {
    .name = "hubport",
    .size = sizeof(struct hubport),
    .open = hubport_open,
    .settle = hubport_settle,
    .close = hubport_close,
};

struct netdev *net_set_hub_port(struct net_set *s, unsigned hub, const char *id, struct error *err)
{
    AUTO_FREE char *made = NULL;
    unsigned n = 0;

    if (!id) {
        for (struct hubport *h = NULL; (h = next_port(s, hub, h ? &h->nd : NULL));)
            n++;
        id = made = xasprintf("hub%uport%u", hub, n);
    }
    struct netdev *nd = netdev_new(s, &netdev_hubport_type, id);
    start((struct hubport *)nd, hub);
    return netdev_insert(s, nd, err) ? nd : NULL;
}

bool net_hub_attach(struct netdev *hub_port, struct netdev *other, struct error *err)
{
    struct hubport *h = (struct hubport *)hub_port;

    h->behind = xstrdup(other->id);
    return hubport_settle(hub_port, err);
}
