/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Networks: host backends (-netdev) and what NICs see of them. Two struct net_port face each
 * other, each a direction to send in; a NIC has one per queue, and so has a netdev. Machine lock
 * held for all functions and callbacks here; nothing on the data path allocates.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdio.h>

#include "base/error.h"
#include "net/packet.h"

struct loop;
struct net_port;
struct net_set;
struct netdev;

enum { NET_QUEUES_MAX = 256, NET_ID_MAX = 128 };

struct net_ops {
    /* A packet for this port. False: no room now, nothing was taken; net_ready() will follow. */
    bool (*receive)(struct net_port *port, const struct net_packet *p);
    /* End of a burst: write out what receive gathered. May be NULL. */
    void (*flush)(struct net_port *port);
    /* The peer, which had refused a packet, has room. May be NULL. */
    void (*resume)(struct net_port *port);
    /* The line of the peer went up or down. May be NULL. */
    void (*link)(struct net_port *port, bool up);
    /* The peer's offloads changed. May be NULL. */
    void (*offloads)(struct net_port *port);
};

struct net_queue;

struct net_port {
    /* constant after net_port_init() */
    const struct net_ops *ops;
    void *opaque;
    unsigned index;        /* queue number */
    struct netdev *netdev; /* of a backend's port; else NULL */
    /* state */
    struct net_port *peer;
    unsigned offloads;      /* that receive() takes, enum net_offload */
    bool down;              /* this end's link */
    bool waiting;           /* the peer refused, or gathers, a packet of ours: resume is due */
    struct net_queue *rest; /* pieces of a cut packet that receive() refused half-way; or NULL */
    uint64_t dropped;       /* packets sent to nowhere */
};

void net_port_init(struct net_port *port, const struct net_ops *ops, void *opaque);
void net_port_finish(struct net_port *port); /* disconnects; copes with a zeroed one */
void net_connect(struct net_port *a, struct net_port *b);
void net_disconnect(struct net_port *a);

/* Sends to the peer. Cuts and completes what it cannot take. True: taken, or dropped as no line is
 * up. False: no room; keep it until ops->resume. Follow a burst with net_flush(). */
bool net_send(struct net_port *from, const struct net_packet *p);
bool net_send_frame(struct net_port *from, const void *frame, size_t size); /* plain, contiguous */
void net_flush(struct net_port *from);
/* From a receiver that had refused: there is room. Runs the peer's resume. */
void net_ready(struct net_port *port);

void net_set_link(struct net_port *port, bool up);
bool net_link_up(const struct net_port *port); /* the peer is there and its line is up */
void net_set_offloads(struct net_port *port, unsigned offloads);
unsigned net_peer_offloads(const struct net_port *port);

/* --- netdevs --- */
struct netdev {
    const struct netdev_type *type;
    struct net_set *set;
    char *id;
    unsigned queues;
    struct net_port *ports; /* one per queue */
    bool is_hub_port;       /* another netdev may sit behind it */
    bool taken;             /* a NIC or a hub port has it */
    char info[160];         /* as info network shows it */
    struct net_dump *dumps; /* filter-dump objects */
    struct netdev *next;
};

/* --- what a VM has --- */

/* Things the backends need from elsewhere; they outlive the set. */
struct chardevs;
struct net_env {
    struct loop *loop;
    struct chardevs *chardevs; /* for guestfwd; NULL: there are none */
};

struct net_set *net_set_new(const struct net_env *env);
void net_set_free(struct net_set *s); /* NICs are gone already; NULL is fine */

/* "-netdev TEXT": TYPE,id=ID,... or JSON. */
bool net_set_add(struct net_set *s, const char *text, struct error *err) MUST_CHECK;
/* The same from options already split, all but id in *o ("type" among them); NULL with err. */
struct optlist;
struct netdev *net_set_open(struct net_set *s, struct optlist *o, const char *id,
                            struct error *err);
/* Once all are there: those that name others find them. */
bool net_set_settle(struct net_set *s, struct error *err) MUST_CHECK;
/* A fresh port of the hub, for a NIC or net_hub_attach(). id NULL: "hub0port0" and so on. */
struct netdev *net_set_hub_port(struct net_set *s, unsigned hub, const char *id, struct error *err);
bool net_hub_attach(struct netdev *hub_port, struct netdev *other, struct error *err) MUST_CHECK;
bool net_set_remove(struct net_set *s, const char *id, struct error *err) MUST_CHECK;
struct netdev *net_set_find(struct net_set *s, const char *id, struct error *err);
/* For a NIC: refuses one that is taken. */
struct netdev *net_set_take(struct net_set *s, const char *id, struct error *err);
void net_set_give_back(struct netdev *nd);

/* Calls fn for each netdev that nobody took, hub ports aside. */
void net_set_each_unused(struct net_set *s, void (*fn)(const char *id));

/* "-object filter-dump,...": the netdev exists. maxlen 0: 65536. */
bool net_set_dump(struct net_set *s, const char *id, const char *netdev, const char *file,
                  uint32_t maxlen, struct error *err) MUST_CHECK;

/* The address of the next NIC that has none of its own: 52:54:00:12:34:56 and up, passing by those
 * that are taken. mac_used notes one that a user gave. s NULL: the first one. */
void net_set_mac(struct net_set *s, uint8_t mac[NET_MAC_SIZE]);
void net_set_mac_used(struct net_set *s, const uint8_t mac[NET_MAC_SIZE]);
bool net_parse_mac(const char *text, uint8_t mac[NET_MAC_SIZE], struct error *err) MUST_CHECK;

void netdev_help(FILE *f); /* "-netdev help" */
/* Is there a backend type of this name, even one that comes later? */
bool netdev_type_known(const char *name);

#endif
