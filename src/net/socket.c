/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -netdev socket: the older spelling of stream and dgram: listen, connect, mcast, udp, fd. */
#include "net/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

struct net_socket {
    union {
        struct netdev nd;
        struct net_stream stream;
        struct net_dgram dgram;
    };
};

/* What the instance is, known by the ports' descriptor loops; kept beside both. */
struct socket_netdev {
    struct net_socket is;
    bool is_stream, is_dgram;
};

static bool set_addr(struct socket_addr *a, const char *option, const char *text, struct error *err)
{
    const char *colon = strrchr(text, ':');

    if (!colon || !colon[1]) {
        (void)fail(err, EINVAL, "%s=%s: the port is missing", option, text);
        return fail_hint(err, "write %s=HOST:PORT", option);
    }
    a->kind = SOCKET_TCP;
    a->host = colon == text ? NULL : xstrndup(text, (size_t)(colon - text));
    a->port = xstrdup(colon + 1);
    return true;
}

static struct net_stream *as_stream(struct socket_netdev *n)
{
    n->is_stream = true;
    net_stream_init(&n->is.stream);
    return &n->is.stream;
}

static struct net_dgram *as_dgram(struct socket_netdev *n)
{
    n->is_dgram = true;
    net_dgram_init(&n->is.dgram);
    return &n->is.dgram;
}

static bool open_fd(struct socket_netdev *n, const char *fd_text, const char *mcast,
                    struct error *err)
{
    int fd = net_take_fd("fd", fd_text, err), type = 0;
    socklen_t len = sizeof type;

    if (fd < 0)
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0)
        return fail(err, errno, "fd=%d: %s", fd, strerror(errno));
    if (type == SOCK_STREAM) {
        net_stream_use(as_stream(n), fd);
        return true;
    }
    if (type != SOCK_DGRAM)
        return fail(err, EINVAL, "fd=%d: neither a stream nor a datagram socket", fd);
    struct net_dgram *d = as_dgram(n);
    d->fd = fd;
    struct sockaddr_storage peer;
    len = sizeof peer;
    d->connected = getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
    if (mcast && !net_parse_inet("mcast", mcast, AF_INET, false, &d->dest, &d->dest_len, err))
        return false;
    if (!d->connected && !mcast) {
        (void)fail(err, EINVAL, "fd=%d: this datagram socket is not connected", fd);
        return fail_hint(err, "say where to, by mcast=GROUP:PORT");
    }
    net_dgram_start(d);
    return true;
}

static bool open_mcast(struct socket_netdev *n, const char *mcast, const char *local,
                       struct error *err)
{
    struct net_dgram *d = as_dgram(n);

    if (!net_parse_inet("mcast", mcast, AF_INET, false, &d->dest, &d->dest_len, err) ||
        !net_dgram_multicast(d, &d->dest, local, -1, err))
        return false;
    net_dgram_start(d);
    return true;
}

static bool open_udp(struct socket_netdev *n, const char *udp, const char *local, struct error *err)
{
    struct net_dgram *d = as_dgram(n);
    struct sockaddr_storage from;
    unsigned len;

    if (!local) {
        (void)fail(err, EINVAL, "udp=%s: localaddr is missing", udp);
        return fail_hint(err, "write udp=HOST:PORT,localaddr=HOST:PORT");
    }
    if (!net_parse_inet("udp", udp, AF_INET, false, &d->dest, &d->dest_len, err) ||
        !net_parse_inet("localaddr", local, AF_INET, true, &from, &len, err) ||
        !net_dgram_bind(d, &from, len, err))
        return false;
    netdev_info(&d->nd, "datagrams to %s", udp);
    net_dgram_start(d);
    return true;
}

static bool socket_open(struct netdev *nd, struct optlist *o, struct error *err)
{
    struct socket_netdev *n = (struct socket_netdev *)nd;
    const char *fd = optlist_take(o, "fd"), *listen = optlist_take(o, "listen");
    const char *conn = optlist_take(o, "connect"), *mcast = optlist_take(o, "mcast");
    const char *udp = optlist_take(o, "udp"), *local = optlist_take(o, "localaddr");
    int ways = !!listen + !!conn + !!udp + (fd || mcast);

    if (ways != 1) {
        (void)fail(err, EINVAL, "exactly one of fd, listen, connect, mcast and udp is needed");
        return fail_hint(err, "as socket,id=n1,listen=:1234 and socket,id=n1,connect=HOST:1234");
    }
    if (local && !mcast && !udp)
        return fail(err, EINVAL, "localaddr goes with mcast and udp only");
    if (fd)
        return open_fd(n, fd, mcast, err);
    if (mcast)
        return open_mcast(n, mcast, local, err);
    if (udp)
        return open_udp(n, udp, local, err);
    struct net_stream *s = as_stream(n);
    if (!set_addr(&s->addr, listen ? "listen" : "connect", listen ? listen : conn, err))
        return false;
    if (conn && !s->addr.host)
        s->addr.host = xstrdup("127.0.0.1");
    return listen ? net_stream_listen(s, err) : net_stream_connect(s, err);
}

static void socket_close(struct netdev *nd)
{
    struct socket_netdev *n = (struct socket_netdev *)nd;

    if (n->is_stream)
        net_stream_finish(&n->is.stream);
    if (n->is_dgram)
        net_dgram_finish(&n->is.dgram);
}

const struct netdev_type netdev_socket_type = {
    .name = "socket",
    .size = sizeof(struct socket_netdev),
    .open = socket_open,
    .close = socket_close,
};
