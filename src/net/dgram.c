/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames over datagram sockets, many per system call; the netdev type dgram. */
#include "net/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/trace.h"

enum { TX_BYTES = 256 << 10, TX_FRAMES = 2 * DGRAM_BATCH };

/* --- to the peer --- */

static void update_events(struct net_dgram *d)
{
    loop_fd_set_events(d->watch,
                       (d->rx_blocked ? 0 : POLLIN) |
                           (d->tx_done < d->tx_count && d->send_fd == d->fd ? POLLOUT : 0));
}

static void connect_peer(struct net_dgram *d)
{
    if (d->connect && !d->connected)
        d->connected = connect(d->fd, (struct sockaddr *)&d->dest, d->dest_len) == 0;
}

/* After an error: true when the frames that are left should wait, false to drop the next one. */
static bool should_wait(struct net_dgram *d, int code)
{
    if (code == EAGAIN && (d->connected || !d->connect))
        return true;
    if (d->connected && (code == ECONNREFUSED || code == ENOTCONN || code == ECONNRESET))
        d->connected = false; /* the peer went; another may take its place */
    return false;
}

static void write_out(struct net_dgram *d)
{
    struct mmsghdr m[TX_FRAMES];
    struct iovec iov[TX_FRAMES];
    size_t off = 0;
    unsigned n = 0;

    connect_peer(d);
    for (unsigned i = 0; i < d->tx_count; off += d->tx_size[i], i++) {
        if (i < d->tx_done)
            continue;
        iov[n] = (struct iovec){ d->tx + off, d->tx_size[i] };
        m[n] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[n], .msg_iovlen = 1 } };
        if (!d->connect && d->dest_len) {
            m[n].msg_hdr.msg_name = &d->dest;
            m[n].msg_hdr.msg_namelen = d->dest_len;
        }
        n++;
    }
    for (unsigned i = 0; i < n;) {
        int sent = sendmmsg(d->send_fd, m + i, n - i, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && should_wait(d, errno))
            break;
        i += sent > 0 ? (unsigned)sent : 1; /* a frame that cannot be sent is lost, as on a wire */
        d->tx_done += sent > 0 ? (unsigned)sent : 1;
    }
    if (d->tx_done == d->tx_count || d->send_fd != d->fd)
        d->tx_count = d->tx_done = 0, d->tx_end = 0;
    update_events(d);
}

static bool dgram_receive(struct net_port *port, const struct net_packet *p)
{
    struct net_dgram *d = port->opaque;

    if (!d->dest_len && !d->connected)
        return true;
    if (d->tx_count == TX_FRAMES || TX_BYTES - d->tx_end < p->size) {
        write_out(d);
        if (d->tx_count == TX_FRAMES || TX_BYTES - d->tx_end < p->size)
            return false;
    }
    (void)net_packet_copy(p, 0, d->tx + d->tx_end, p->size);
    d->tx_size[d->tx_count++] = (uint32_t)p->size;
    d->tx_end += p->size;
    return true;
}

static void dgram_flush(struct net_port *port)
{
    struct net_dgram *d = port->opaque;

    if (d->tx_count)
        write_out(d);
}

/* --- from the peer --- */

static void hand_on(struct net_dgram *d)
{
    struct net_port *port = &d->nd.ports[0];

    d->rx_blocked = false;
    for (; d->rx_next < d->rx_count && !d->rx_blocked; d->rx_next++)
        if (d->rx_size[d->rx_next] &&
            !net_gro_send(&d->gro, port, d->rx + (size_t)d->rx_next * NET_FRAME_MAX,
                          d->rx_size[d->rx_next])) {
            d->rx_blocked = true;
            break;
        }
    if (!d->rx_blocked && !net_gro_flush(&d->gro, port))
        d->rx_blocked = true;
    net_flush(port);
    update_events(d);
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    const struct sockaddr_in *x = (const struct sockaddr_in *)a;
    const struct sockaddr_in *y = (const struct sockaddr_in *)b;

    return a->ss_family == AF_INET && b->ss_family == AF_INET && x->sin_port == y->sin_port &&
           x->sin_addr.s_addr == y->sin_addr.s_addr;
}

static void read_in(struct net_dgram *d)
{
    struct mmsghdr m[DGRAM_BATCH];
    struct iovec iov[DGRAM_BATCH];
    struct sockaddr_storage from[DGRAM_BATCH];
    bool want_name = d->learn || d->self.ss_family;

    for (unsigned i = 0; i < DGRAM_BATCH; i++) {
        iov[i] = (struct iovec){ d->rx + (size_t)i * NET_FRAME_MAX, NET_FRAME_MAX };
        m[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
        if (want_name) {
            m[i].msg_hdr.msg_name = &from[i];
            m[i].msg_hdr.msg_namelen = sizeof from[i];
        }
    }
    int n = recvmmsg(d->fd, m, DGRAM_BATCH, MSG_DONTWAIT, NULL);
    d->rx_next = 0;
    d->rx_count = n > 0 ? (unsigned)n : 0;
    for (unsigned i = 0; i < d->rx_count; i++) {
        bool bad = m[i].msg_hdr.msg_flags & MSG_TRUNC;
        if (d->self.ss_family && same_address(&d->self, &from[i]))
            bad = true;
        d->rx_size[i] = bad ? 0 : m[i].msg_len;
        if (d->learn && m[i].msg_hdr.msg_namelen > sizeof(sa_family_t)) {
            d->dest = from[i];
            d->dest_len = m[i].msg_hdr.msg_namelen;
        }
    }
    hand_on(d);
}

static void dgram_resume(struct net_port *port)
{
    hand_on(port->opaque);
}

static const struct net_ops dgram_ops = {
    .receive = dgram_receive,
    .flush = dgram_flush,
    .resume = dgram_resume,
};

static void socket_event(void *opaque, unsigned revents)
{
    struct net_dgram *d = opaque;
    int code;
    socklen_t len = sizeof code;

    if (revents & POLLERR)
        (void)getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &code, &len); /* taken off: else it stays */
    if (revents & (POLLOUT | POLLERR)) {
        write_out(d);
        if (!d->tx_count)
            net_ready(&d->nd.ports[0]);
    }
    if ((revents & POLLIN) && !d->rx_blocked)
        read_in(d);
}

/* --- set-up --- */

void net_dgram_init(struct net_dgram *d)
{
    d->fd = d->send_fd = -1;
    d->rx = xnew_array(uint8_t, (size_t)DGRAM_BATCH * NET_FRAME_MAX);
    d->tx = xnew_array(uint8_t, TX_BYTES);
    netdev_ports(&d->nd, 1, &dgram_ops);
}

void net_dgram_start(struct net_dgram *d)
{
    int size = 1 << 20;

    if (d->send_fd < 0)
        d->send_fd = d->fd;
    /* room for a burst; the system's limit applies */
    (void)setsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    (void)setsockopt(d->send_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    d->watch = loop_fd_add(d->nd.set->env.loop, d->fd, POLLIN, socket_event, d);
    connect_peer(d);
}

void net_dgram_finish(struct net_dgram *d)
{
    if (!d->rx)
        return;
    loop_fd_remove(d->watch);
    if (d->send_fd >= 0 && d->send_fd != d->fd)
        close(d->send_fd);
    if (d->fd >= 0)
        close(d->fd);
    if (d->path)
        (void)unlink(d->path);
    net_gro_finish(&d->gro);
    free(d->path);
    free(d->rx);
    free(d->tx);
}

bool net_is_multicast(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET &&
           IN_MULTICAST(ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr));
}

bool net_dgram_bind(struct net_dgram *d, const struct sockaddr_storage *local, unsigned len,
                    struct error *err)
{
    char text[128];
    int one = 1;

    net_addr_text(local, text, sizeof text);
    d->fd = socket(local->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->fd < 0)
        return fail(err, errno, "socket: %s", strerror(errno));
    if (local->ss_family != AF_UNIX)
        (void)setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(d->fd, (const struct sockaddr *)local, len) != 0) {
        (void)fail(err, errno, "cannot use the address %s: %s", text, strerror(errno));
        return local->ss_family == AF_UNIX && err->code == EADDRINUSE
                   ? fail_hint(err, "remove the socket, if no program uses it any more")
                   : false;
    }
    if (local->ss_family == AF_UNIX && ((const struct sockaddr_un *)local)->sun_path[0])
        d->path = xstrdup(((const struct sockaddr_un *)local)->sun_path);
    return true;
}

/* The address that our own packets to the group carry. */
static bool find_self(struct net_dgram *d, const struct sockaddr_storage *group,
                      const struct in_addr *local, struct error *err)
{
    socklen_t len = sizeof d->self;

    d->send_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->send_fd < 0 ||
        (local->s_addr &&
         setsockopt(d->send_fd, IPPROTO_IP, IP_MULTICAST_IF, local, sizeof *local) != 0) ||
        connect(d->send_fd, (const struct sockaddr *)group, sizeof(struct sockaddr_in)) != 0 ||
        getsockname(d->send_fd, (struct sockaddr *)&d->self, &len) != 0)
        return fail(err, errno, "cannot send to the multicast group: %s", strerror(errno));
    return true;
}

bool net_dgram_multicast(struct net_dgram *d, const struct sockaddr_storage *group,
                         const char *local, int own_fd, struct error *err)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)group;
    struct ip_mreq request = { .imr_multiaddr = in->sin_addr };
    char text[128];

    net_addr_text(group, text, sizeof text);
    d->fd = own_fd;
    if (!net_is_multicast(group))
        return fail(err, EINVAL, "%s is no multicast address (224.0.0.0 to 239.255.255.255)", text);
    if (local && inet_pton(AF_INET, local, &request.imr_interface) != 1)
        return fail(err, EINVAL, "'%s' is no IPv4 address of this host", local);
    if (own_fd < 0 && !net_dgram_bind(d, group, sizeof *in, err))
        return false;
    if (own_fd < 0 && setsockopt(d->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request)) {
        (void)fail(err, errno, "cannot join the group %s: %s", text, strerror(errno));
        return fail_hint(err, "is there a route for it? localaddr= chooses the interface");
    }
    netdev_info(&d->nd, "multicast group %s", text);
    return find_self(d, group, &request.imr_interface, err);
}

/* --- -netdev dgram --- */

static bool to_sockaddr(const struct socket_addr *a, bool passive, struct sockaddr_storage *ret,
                        unsigned *len, const char *what, struct error *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)ret;

    if (a->kind == SOCKET_TCP)
        return net_resolve(what, a->host, a->port, a->ipv6_only ? AF_INET6 : AF_INET, passive, ret,
                           len, err);
    size_t n = strlen(a->path);
    if (n >= sizeof un->sun_path - 1)
        return fail(err, ENAMETOOLONG, "%s.path '%s' is too long", what, a->path);
    memset(ret, 0, sizeof *ret);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path + a->abstract, a->path, n);
    *len = (unsigned)(offsetof(struct sockaddr_un, sun_path) + n + a->abstract);
    return true;
}

static bool has_prefix(const struct optlist *o, const char *prefix)
{
    for (size_t i = 0; i < o->count; i++)
        if (!strncmp(o->items[i].key, prefix, strlen(prefix)))
            return true;
    return false;
}

static bool open_unicast(struct net_dgram *d, const struct socket_addr *local,
                         const struct sockaddr_storage *remote, struct error *err)
{
    struct sockaddr_storage a;
    unsigned len;
    char text[128] = "whoever sends";

    if (local->kind == SOCKET_FD) {
        d->fd = net_take_fd("local.str", local->host, err);
        if (d->fd < 0)
            return false;
        /* a socket pair is connected already */
        len = sizeof a;
        d->connected = getpeername(d->fd, (struct sockaddr *)&a, &len) == 0;
        d->learn = !d->connected && !d->dest_len;
        netdev_info(&d->nd, "descriptor %d", d->fd);
        return true;
    }
    if (!to_sockaddr(local, true, &a, &len, "local", err))
        return false;
    if (d->dest_len && remote->ss_family != a.ss_family)
        return fail(err, EINVAL, "local.type and remote.type must be the same");
    d->learn = !d->dest_len;
    d->connect = a.ss_family == AF_UNIX && d->dest_len;
    if (!net_dgram_bind(d, &a, len, err))
        return false;
    if (d->dest_len)
        net_addr_text(remote, text, sizeof text);
    netdev_info(&d->nd, "datagrams to %s", text);
    return true;
}

static bool open_with(struct net_dgram *d, bool has_local, const struct socket_addr *local,
                      bool has_remote, const struct socket_addr *remote, struct error *err)
{
    if (has_remote && remote->kind != SOCKET_TCP && remote->kind != SOCKET_UNIX)
        return fail(err, EINVAL, "remote.type: inet or unix is wanted here");
    if (has_local && local->kind == SOCKET_VSOCK)
        return fail(err, EINVAL, "local.type: inet, unix or fd is wanted here");
    if (has_remote && !to_sockaddr(remote, false, &d->dest, &d->dest_len, "remote", err))
        return false;
    if (has_remote && net_is_multicast(&d->dest)) {
        int fd = -1;
        if (has_local && local->kind == SOCKET_FD &&
            (fd = net_take_fd("local.str", local->host, err)) < 0)
            return false;
        return net_dgram_multicast(
            d, &d->dest, has_local && local->kind == SOCKET_TCP ? local->host : NULL, fd, err);
    }
    if (!has_local) {
        (void)fail(err, EINVAL, "local is missing");
        return fail_hint(err, "write local.type=inet,local.host=ADDRESS,local.port=PORT, or unix");
    }
    return open_unicast(d, local, &d->dest, err);
}

static bool dgram_open(struct netdev *nd, struct optlist *o, struct error *err)
{
    struct net_dgram *d = (struct net_dgram *)nd;
    struct socket_addr local = { 0 }, remote = { 0 };
    bool has_local = has_prefix(o, "local."), has_remote = has_prefix(o, "remote.");

    /* the port of a local address is of no use beside a multicast group */
    if (has_local && has_remote && optlist_has(o, "local.host") && !optlist_has(o, "local.port"))
        optlist_add(o, "local.port", "0");
    net_dgram_init(d);
    bool ok = (!has_local || socket_addr_take(&local, o, "local.", err)) &&
              (!has_remote || socket_addr_take(&remote, o, "remote.", err)) &&
              open_with(d, has_local, &local, has_remote, &remote, err);
    socket_addr_finish(&local);
    socket_addr_finish(&remote);
    if (ok)
        net_dgram_start(d);
    return ok;
}

static void dgram_close(struct netdev *nd)
{
    net_dgram_finish((struct net_dgram *)nd);
}

const struct netdev_type netdev_dgram_type = {
    .name = "dgram",
    .size = sizeof(struct net_dgram),
    .open = dgram_open,
    .close = dgram_close,
};
