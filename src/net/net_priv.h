/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside net/: what a backend is, and what they share. */
#ifndef NET_NET_PRIV_H
#define NET_NET_PRIV_H

#include "base/optlist.h"
#include "loop/loop.h"
#include "net/net.h"

/* A backend as one record. Its instance begins with struct netdev. */
struct netdev_type {
    const char *name;
    size_t size;
    /* Takes its options; what it leaves is refused by the caller. Sets nd->queues and ports by
     * netdev_ports(). */
    bool (*open)(struct netdev *nd, struct optlist *o, struct error *err);
    void (*close)(struct netdev *nd); /* copes with a half-open one */
    /* once all netdevs exist; NULL: nothing (hubports find their netdev) */
    bool (*settle)(struct netdev *nd, struct error *err);
    const char *later; /* open is NULL: what it waits for, "vhost-user networks come" */
};
extern const struct netdev_type netdev_bridge_type, netdev_dgram_type, netdev_hubport_type,
    netdev_socket_type, netdev_stream_type, netdev_tap_type, netdev_user_type;

struct net_set {
    struct net_env env;
    struct netdev *first, **last;
    uint64_t mac_used[4]; /* last bytes of 52:54:00:12:34:xx */
};

/* Gives nd its ports. */
void netdev_ports(struct netdev *nd, unsigned queues, const struct net_ops *ops);
struct netdev *netdev_new(struct net_set *s, const struct netdev_type *type, const char *id);
/* False: its name is taken, and it is freed. */
bool netdev_insert(struct net_set *s, struct netdev *own_nd, struct error *err) MUST_CHECK;
void netdev_info(struct netdev *nd, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Writes the packet to all dumps of the netdev. */
void net_dump_packet(struct netdev *nd, const struct net_packet *p);
void net_dumps_free(struct netdev *nd);

/* A bounded queue of packets, for who cannot refuse: at most that many bytes, headers included. */
struct net_queue *net_queue_new(size_t bytes);
void net_queue_free(struct net_queue *q); /* NULL is fine */
/* Copies it; false when full: dropped. */
bool net_queue_put(struct net_queue *q, const struct net_packet *p);
bool net_queue_empty(const struct net_queue *q);
/* Sends packets from port, oldest first, until one is refused (false) or none is left; through g
 * unless that is NULL. */
bool net_queue_send(struct net_queue *q, struct net_port *from, struct net_gro *g);
/* The same, straight into a port's receive. */
bool net_queue_deliver(struct net_queue *q, struct net_port *to);
void net_queue_clear(struct net_queue *q);

/* --- descriptors and addresses --- */
/* "fd=NUMBER": -1 with err. It is made non-blocking and close-on-exec. */
int net_take_fd(const char *option, const char *text, struct error *err) MUST_CHECK;
struct sockaddr_storage;
/* "HOST:PORT", "[::1]:PORT"; an empty host is any address. family AF_UNSPEC: either. */
bool net_parse_inet(const char *option, const char *text, int family, bool passive,
                    struct sockaddr_storage *ret, unsigned *ret_len, struct error *err) MUST_CHECK;
bool net_resolve(const char *option, const char *host, const char *port, int family, bool passive,
                 struct sockaddr_storage *ret, unsigned *ret_len, struct error *err) MUST_CHECK;
/* "1.2.3.4:567" or "unix:PATH" for info. */
void net_addr_text(const void *addr, char *buf, size_t size);

/* bridge.c: runs the helper; the descriptor it sends, or -1 with err. */
int net_bridge_helper(const char *helper, const char *bridge, bool vnet_hdr,
                      struct error *err) MUST_CHECK;
/* tap.c: nd, of a type whose size is NET_TAP_SIZE, works on this descriptor. */
enum { NET_TAP_SIZE = sizeof(struct netdev) + 128 };
bool net_tap_start(struct netdev *nd, int own_fd, struct error *err) MUST_CHECK;
void net_tap_close(struct netdev *nd);

#endif
