/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside net/: frames over stream sockets (each after its length, 32 bits big-endian) and datagram
 * sockets (one each); the types socket, stream and dgram are made of these. */
#ifndef NET_SOCK_H
#define NET_SOCK_H

#include <sys/socket.h>

#include "base/socket.h"
#include "net/net_priv.h"

enum { STREAM_BUFFER = 256 << 10, STREAM_LISTEN_MAX = 4, DGRAM_BATCH = 32 };

struct net_stream {
    struct netdev nd;
    /* constant after start */
    struct socket_addr addr;
    int listen_fds[STREAM_LISTEN_MAX];
    struct loop_fd *listen_watch[STREAM_LISTEN_MAX];
    unsigned listen_count;
    uint32_t reconnect_ms; /* 0: a lost connection stays lost */
    bool link_follows;     /* the link is down while nobody is connected */
    /* the connection */
    int fd; /* -1: none */
    bool connecting, rx_blocked;
    struct loop_fd *watch;
    struct timer retry;
    uint8_t *rx, *tx; /* STREAM_BUFFER each */
    size_t rx_start, rx_end, tx_start, tx_end;
    struct net_gro gro;
};

/* nd is of a type whose size is at least sizeof(struct net_stream). From open(). */
void net_stream_init(struct net_stream *s);
bool net_stream_listen(struct net_stream *s, struct error *err) MUST_CHECK; /* at s->addr */
bool net_stream_connect(struct net_stream *s, struct error *err) MUST_CHECK;
void net_stream_use(struct net_stream *s, int own_fd); /* connected */
void net_stream_finish(struct net_stream *s);

struct net_dgram {
    struct netdev nd;
    int fd, send_fd; /* send_fd: another one for multicast, so that our own packets are known */
    struct loop_fd *watch;
    struct sockaddr_storage dest, self; /* self: what send_fd sends from, to drop our own */
    unsigned dest_len;                  /* 0: not known */
    bool connect;                       /* a Unix peer: connect, so that poll tells of room */
    bool connected, learn;              /* learn: answer to whoever sent last */
    char *path;                         /* bound here: unlinked at the end */
    uint8_t *rx, *tx;
    size_t tx_end;
    unsigned tx_count, tx_done;
    uint32_t tx_size[2 * DGRAM_BATCH];
    unsigned rx_count, rx_next; /* frames received, not yet handed on */
    uint32_t rx_size[DGRAM_BATCH];
    bool rx_blocked;
    struct net_gro gro;
};

void net_dgram_init(struct net_dgram *d);
void net_dgram_start(struct net_dgram *d); /* fd and the rest are set */
void net_dgram_finish(struct net_dgram *d);
/* A socket bound to a group that sends through the interface of `local` (NULL: the default). */
bool net_dgram_multicast(struct net_dgram *d, const struct sockaddr_storage *group,
                         const char *local, int own_fd, struct error *err) MUST_CHECK;
bool net_dgram_bind(struct net_dgram *d, const struct sockaddr_storage *local, unsigned len,
                    struct error *err) MUST_CHECK;
bool net_is_multicast(const struct sockaddr_storage *a);

#endif
