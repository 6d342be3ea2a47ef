/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames over a connected socket, one peer at a time; the netdev type stream. */
#include "net/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/trace.h"

enum { LENGTH_SIZE = 4, CONNECT_WAIT_MS = 2000 };

static void drop_peer(struct net_stream *s, const char *why);

/* --- to the peer --- */

static void update_events(struct net_stream *s)
{
    unsigned events = 0;

    if (!s->watch)
        return;
    if (!s->rx_blocked && !s->connecting)
        events |= POLLIN;
    if (s->connecting || s->tx_end > s->tx_start)
        events |= POLLOUT;
    loop_fd_set_events(s->watch, events);
}

static void write_out(struct net_stream *s)
{
    while (s->fd >= 0 && s->tx_start < s->tx_end) {
        ssize_t n = send(s->fd, s->tx + s->tx_start, s->tx_end - s->tx_start, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno != EAGAIN)
                drop_peer(s, strerror(errno));
            break;
        }
        s->tx_start += (size_t)n;
    }
    if (s->tx_start == s->tx_end)
        s->tx_start = s->tx_end = 0;
    update_events(s);
}

static bool stream_receive(struct net_port *port, const struct net_packet *p)
{
    struct net_stream *s = port->opaque;
    size_t need = LENGTH_SIZE + p->size;

    if (s->fd < 0 || s->connecting)
        return true;
    if (STREAM_BUFFER - s->tx_end < need) {
        write_out(s);
        if (s->tx_start && STREAM_BUFFER - s->tx_end < need) {
            memmove(s->tx, s->tx + s->tx_start, s->tx_end - s->tx_start);
            s->tx_end -= s->tx_start;
            s->tx_start = 0;
        }
        if (STREAM_BUFFER - s->tx_end < need)
            return false;
    }
    st_be32(s->tx + s->tx_end, (uint32_t)p->size);
    (void)net_packet_copy(p, 0, s->tx + s->tx_end + LENGTH_SIZE, p->size);
    s->tx_end += need;
    return true;
}

static void stream_flush(struct net_port *port)
{
    write_out(port->opaque);
}

/* --- from the peer --- */

static void hand_on(struct net_stream *s)
{
    struct net_port *port = &s->nd.ports[0];

    s->rx_blocked = false;
    while (s->rx_end - s->rx_start >= LENGTH_SIZE) {
        uint32_t size = ld_be32(s->rx + s->rx_start);
        if (size > NET_FRAME_MAX) {
            drop_peer(s, "it sent a frame that is too long");
            return;
        }
        if (s->rx_end - s->rx_start < LENGTH_SIZE + size)
            break;
        if (!net_gro_send(&s->gro, port, s->rx + s->rx_start + LENGTH_SIZE, size)) {
            s->rx_blocked = true;
            break;
        }
        s->rx_start += LENGTH_SIZE + size;
    }
    if (!s->rx_blocked && !net_gro_flush(&s->gro, port))
        s->rx_blocked = true;
    net_flush(port);
    update_events(s);
}

static void read_in(struct net_stream *s)
{
    if (s->rx_start) {
        memmove(s->rx, s->rx + s->rx_start, s->rx_end - s->rx_start);
        s->rx_end -= s->rx_start;
        s->rx_start = 0;
    }
    ssize_t n = recv(s->fd, s->rx + s->rx_end, STREAM_BUFFER - s->rx_end, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop_peer(s, n ? strerror(errno) : "it closed the connection");
        return;
    }
    s->rx_end += (size_t)n;
    hand_on(s);
}

static void stream_resume(struct net_port *port)
{
    hand_on(port->opaque);
}

static const struct net_ops stream_ops = {
    .receive = stream_receive,
    .flush = stream_flush,
    .resume = stream_resume,
};

/* --- connections --- */

static void connected(struct net_stream *s)
{
    struct sockaddr_storage a = { 0 };
    socklen_t len = sizeof a;
    char text[128] = "a peer";
    int one = 1;

    s->connecting = false;
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* Unix has none */
    if (getpeername(s->fd, (struct sockaddr *)&a, &len) == 0)
        net_addr_text(&a, text, sizeof text);
    netdev_info(&s->nd, "connected to %s", text);
    TRACE(net, "%s: connected to %s", s->nd.id, text);
    for (unsigned i = 0; i < s->listen_count; i++)
        loop_fd_set_events(s->listen_watch[i], 0);
    net_set_link(&s->nd.ports[0], true);
    update_events(s);
}

static void socket_event(void *opaque, unsigned revents)
{
    struct net_stream *s = opaque;
    int code = 0;
    socklen_t len = sizeof code;

    if (s->connecting) {
        if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &code, &len) || code)
            drop_peer(s, strerror(code));
        else
            connected(s);
        return;
    }
    if (revents & POLLOUT) {
        write_out(s);
        if (s->fd >= 0 && s->tx_end - s->tx_start < STREAM_BUFFER / 2)
            net_ready(&s->nd.ports[0]);
    }
    if (s->fd >= 0 && (revents & (POLLIN | POLLHUP | POLLERR)) && !s->rx_blocked)
        read_in(s);
}

static void start_peer(struct net_stream *s, int own_fd, bool connecting)
{
    s->fd = own_fd;
    s->connecting = connecting;
    s->rx_start = s->rx_end = s->tx_start = s->tx_end = 0;
    s->watch = loop_fd_add(s->nd.set->env.loop, own_fd, POLLOUT, socket_event, s);
    if (!connecting)
        connected(s);
}

static void drop_peer(struct net_stream *s, const char *why)
{
    if (s->fd < 0)
        return;
    TRACE(net, "%s: lost the peer: %s", s->nd.id, why);
    loop_fd_remove(s->watch);
    close(s->fd);
    s->watch = NULL;
    s->fd = -1;
    s->connecting = s->rx_blocked = false;
    s->rx_start = s->rx_end = s->tx_start = s->tx_end = 0;
    netdev_info(&s->nd, "no connection (%s)", why);
    for (unsigned i = 0; i < s->listen_count; i++)
        loop_fd_set_events(s->listen_watch[i], POLLIN);
    if (s->link_follows)
        net_set_link(&s->nd.ports[0], false);
    if (s->reconnect_ms)
        timer_set_ns(&s->retry, clock_now_ns(loop_clock(s->nd.set->env.loop, CLOCK_RT)) +
                                    s->reconnect_ms * INT64_C(1000000));
    net_ready(&s->nd.ports[0]); /* who waited for room need not: it goes nowhere */
}

static void peer_arrives(void *opaque, unsigned revents)
{
    struct net_stream *s = opaque;

    for (unsigned i = 0; i < s->listen_count && s->fd < 0; i++) {
        int fd = accept4(s->listen_fds[i], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            start_peer(s, fd, false);
    }
}

void net_stream_init(struct net_stream *s)
{
    s->fd = -1;
    s->rx = xnew_array(uint8_t, STREAM_BUFFER);
    s->tx = xnew_array(uint8_t, STREAM_BUFFER);
    netdev_ports(&s->nd, 1, &stream_ops);
}

bool net_stream_listen(struct net_stream *s, struct error *err)
{
    AUTO_FREE char *text = socket_addr_text(&s->addr);

    s->listen_count = socket_listen(&s->addr, 1, s->listen_fds, STREAM_LISTEN_MAX, err);
    if (!s->listen_count)
        return false;
    for (unsigned i = 0; i < s->listen_count; i++) {
        int fd = s->listen_fds[i];
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        s->listen_watch[i] = loop_fd_add(s->nd.set->env.loop, fd, POLLIN, peer_arrives, s);
    }
    netdev_info(&s->nd, "listening at %s", text);
    return true;
}

static bool make_sockaddr(struct net_stream *s, struct sockaddr_storage *a, unsigned *len,
                          struct error *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)a;

    if (s->addr.kind == SOCKET_TCP)
        return net_resolve("addr", s->addr.host, s->addr.port,
                           s->addr.ipv4_only   ? AF_INET
                           : s->addr.ipv6_only ? AF_INET6
                                               : AF_UNSPEC,
                           false, a, len, err);
    if (s->addr.kind != SOCKET_UNIX)
        return fail(err, ENOTSUP, "addr.type: inet, unix or fd is wanted here");
    size_t n = strlen(s->addr.path);
    if (n >= sizeof un->sun_path - 1)
        return fail(err, ENAMETOOLONG, "addr.path '%s' is too long", s->addr.path);
    memset(a, 0, sizeof *a);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path + s->addr.abstract, s->addr.path, n);
    *len = (unsigned)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    return true;
}

/* A connection that is being made, or -1 with err. wait: see whether it works. */
static int begin_connect(struct net_stream *s, bool wait, bool *ret_pending, struct error *err)
{
    AUTO_FREE char *text = socket_addr_text(&s->addr);
    struct sockaddr_storage a;
    unsigned len;
    int code = 0;
    socklen_t code_len = sizeof code;

    if (!make_sockaddr(s, &a, &len, err))
        return -1;
    AUTO_CLOSE int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        (void)fail(err, errno, "socket: %s", strerror(errno));
        return -1;
    }
    *ret_pending = false;
    if (connect(fd, (struct sockaddr *)&a, len) != 0) {
        code = errno;
        if (code == EINPROGRESS || code == EAGAIN) {
            struct pollfd pfd = { fd, POLLOUT, 0 };
            *ret_pending = poll(&pfd, 1, wait ? CONNECT_WAIT_MS : 0) <= 0;
            code = 0;
            if (!*ret_pending)
                (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &code_len);
        }
    }
    if (code) {
        (void)fail(err, code, "cannot connect to %s: %s", text, strerror(code));
        (void)fail_hint(err, "start the listening side first%s",
                        s->nd.type == &netdev_stream_type ? ", or use reconnect=SECONDS" : "");
        return -1;
    }
    int result = fd;
    fd = -1;
    return result;
}

static void try_again(void *opaque)
{
    struct net_stream *s = opaque;
    struct error err;
    bool pending;
    int fd = begin_connect(s, false, &pending, &err);

    if (fd >= 0)
        start_peer(s, fd, pending);
    else
        timer_set_ns(&s->retry, clock_now_ns(loop_clock(s->nd.set->env.loop, CLOCK_RT)) +
                                    s->reconnect_ms * INT64_C(1000000));
}

bool net_stream_connect(struct net_stream *s, struct error *err)
{
    bool pending;

    timer_init(&s->retry, s->nd.set->env.loop, CLOCK_RT, try_again, s);
    netdev_info(&s->nd, "connecting");
    int fd = begin_connect(s, !s->reconnect_ms, &pending, err);
    if (fd >= 0)
        start_peer(s, fd, pending);
    else if (s->reconnect_ms)
        try_again(s);
    return fd >= 0 || s->reconnect_ms;
}

void net_stream_use(struct net_stream *s, int own_fd)
{
    start_peer(s, own_fd, false);
}

void net_stream_finish(struct net_stream *s)
{
    if (!s->rx)
        return;
    timer_cancel(&s->retry);
    s->reconnect_ms = 0;
    drop_peer(s, "closed");
    for (unsigned i = 0; i < s->listen_count; i++) {
        loop_fd_remove(s->listen_watch[i]);
        close(s->listen_fds[i]);
    }
    if (s->listen_count && s->addr.kind == SOCKET_UNIX && !s->addr.abstract)
        (void)unlink(s->addr.path);
    socket_addr_finish(&s->addr);
    net_gro_finish(&s->gro);
    free(s->rx);
    free(s->tx);
}

/* --- -netdev stream --- */

static bool stream_open(struct netdev *nd, struct optlist *o, struct error *err)
{
    struct net_stream *s = (struct net_stream *)nd;
    bool server = false;
    uint64_t reconnect = 0, reconnect_ms = 0;

    net_stream_init(s);
    if (!optlist_take_bool(o, "server", &server, err) ||
        !optlist_take_u64(o, "reconnect", &reconnect, err) ||
        !optlist_take_u64(o, "reconnect-ms", &reconnect_ms, err) ||
        !socket_addr_take(&s->addr, o, "addr.", err))
        return false;
    reconnect_ms = reconnect_ms ? reconnect_ms : reconnect * 1000;
    if (reconnect > UINT32_MAX / 1000 || reconnect_ms > UINT32_MAX)
        return fail(err, EINVAL, "reconnect is too long a time");
    if (reconnect_ms && (server || s->addr.kind == SOCKET_FD))
        return fail(err, EINVAL, "reconnect is for clients (server=off) with an address");
    s->reconnect_ms = (uint32_t)reconnect_ms;
    s->link_follows = true;
    net_set_link(&nd->ports[0], false);
    if (server)
        return net_stream_listen(s, err);
    if (s->addr.kind != SOCKET_FD)
        return net_stream_connect(s, err);
    int fd = net_take_fd("addr.str", s->addr.host, err);
    if (fd >= 0)
        net_stream_use(s, fd);
    return fd >= 0;
}

static void stream_close(struct netdev *nd)
{
    net_stream_finish((struct net_stream *)nd);
}

const struct netdev_type netdev_stream_type = {
    .name = "stream",
    .size = sizeof(struct net_stream),
    .open = stream_open,
    .close = stream_close,
};
