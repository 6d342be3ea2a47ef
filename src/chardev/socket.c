/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stream sockets (base/socket.h knows the addresses): a server with one peer at a time, the others
 * wait in its backlog, or a client, which with reconnect= tries again whenever it has no peer.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "chardev/chardev_priv.h"

struct chardev_socket {
    struct chardev *chr;
    struct socket_addr addr;
    struct chardev_telnet telnet;
    bool server, wait;
    int nodelay; /* -1: as it is */
    /* server */
    unsigned listeners;
    int listen_fd[CHARDEV_LISTENERS];
    struct loop_fd *listen_watch[CHARDEV_LISTENERS];
    /* client */
    int64_t retry_ns; /* 0: does not come back */
    struct timer retry_timer;
    int connecting_fd; /* -1: none */
    struct loop_fd *connect_watch;
};

/* --- connections --- */

static void start_peer(struct chardev_socket *s, int fd)
{
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (s->nodelay >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &s->nodelay, sizeof s->nodelay);
    chardev_telnet_greet(&s->telnet, fd);
    for (unsigned i = 0; i < s->listeners; i++)
        loop_fd_set_events(s->listen_watch[i], 0);
    chardev_connect_fds(s->chr, fd, fd);
}

static void peer_arrives(void *opaque, unsigned revents)
{
    struct chardev_socket *s = opaque;

    for (unsigned i = 0; i < s->listeners && !s->chr->connected; i++) {
        int fd = accept4(s->listen_fd[i], NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0)
            start_peer(s, fd);
    }
}

static void retry_later(struct chardev_socket *s)
{
    if (s->retry_ns)
        timer_set_ns(&s->retry_timer,
                     clock_now_ns(loop_clock(s->chr->loop, CLOCK_RT)) + s->retry_ns);
}

static void connecting_done(void *opaque, unsigned revents)
{
    struct chardev_socket *s = opaque;
    int fd = s->connecting_fd, e = 0;
    socklen_t len = sizeof e;

    loop_fd_remove(s->connect_watch);
    s->connect_watch = NULL;
    s->connecting_fd = -1;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == 0 && !e) {
        start_peer(s, fd);
        return;
    }
    close(fd);
    retry_later(s);
}

static void try_again(void *opaque)
{
    struct chardev_socket *s = opaque;
    struct error err;
    int fd = socket_connect_start(&s->addr, &err);

    if (fd < 0) {
        retry_later(s);
        return;
    }
    s->connecting_fd = fd;
    s->connect_watch = loop_fd_add(s->chr->loop, fd, POLLOUT, connecting_done, s);
}

static void socket_hangup(struct chardev *c)
{
    struct chardev_socket *s = c->socket;
    int fd = c->in_fd;

    chardev_disconnect_fds(c);
    if (fd >= 0)
        close(fd);
    for (unsigned i = 0; i < s->listeners; i++)
        loop_fd_set_events(s->listen_watch[i], POLLIN);
    retry_later(s);
}

static size_t socket_in(struct chardev *c, uint8_t *buf, size_t len)
{
    return chardev_telnet_in(c, &c->socket->telnet, buf, len);
}

static unsigned socket_out(struct chardev *c, uint8_t byte, uint8_t *ret)
{
    return chardev_telnet_out(&c->socket->telnet, byte, ret);
}

static const struct chardev_backend socket_backend = {
    .name = "socket",
    .hangup = socket_hangup,
    .filter_in = socket_in,
    .filter_out = socket_out,
};

/* --- opening --- */

static bool wait_for_peer(struct chardev_socket *s, struct error *err)
{
    struct pollfd pfd[CHARDEV_LISTENERS];

    for (unsigned i = 0; i < s->listeners; i++)
        pfd[i] = (struct pollfd){ .fd = s->listen_fd[i], .events = POLLIN };
    fprintf(stderr, "rhea: waiting for connection on: %s (wait=off goes on without)\n",
            s->chr->where);
    while (!s->chr->connected) {
        if (poll(pfd, s->listeners, -1) < 0 && errno != EINTR)
            return fail(err, errno, "waiting on '%s': %s", s->chr->where, strerror(errno));
        for (unsigned i = 0; i < s->listeners; i++)
            if (pfd[i].revents)
                peer_arrives(s, POLLIN);
    }
    return true;
}

static bool check_listening(int fd, struct error *err)
{
    int on = 0;
    socklen_t len = sizeof on;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on)
        return true;
    fail(err, EINVAL, "descriptor %d is not a listening socket", fd);
    return fail_hint(err, "listen(2) on it first, or leave out server=on for a connected one");
}

static bool start_server(struct chardev_socket *s, struct error *err)
{
    struct chardev *c = s->chr;

    s->listeners = socket_listen(&s->addr, 1, s->listen_fd, CHARDEV_LISTENERS, err);
    if (!s->listeners)
        return false;
    if (s->addr.kind == SOCKET_FD && !check_listening(s->listen_fd[0], err))
        return false;
    c->where = socket_addr_text(&s->addr);
    if (s->addr.kind == SOCKET_UNIX && !s->addr.abstract)
        c->unlink_path = xstrdup(s->addr.path);
    for (unsigned i = 0; i < s->listeners; i++) {
        (void)fcntl(s->listen_fd[i], F_SETFL, fcntl(s->listen_fd[i], F_GETFL) | O_NONBLOCK);
        s->listen_watch[i] = loop_fd_add(c->loop, s->listen_fd[i], POLLIN, peer_arrives, s);
    }
    return !s->wait || wait_for_peer(s, err);
}

static bool start_client(struct chardev_socket *s, struct error *err)
{
    int fd;

    if (s->retry_ns) {
        try_again(s);
        return true;
    }
    fd = socket_connect(&s->addr, 0, err);
    if (fd < 0) {
        if (err->code == ECONNREFUSED || err->code == ENOENT)
            fail_hint(err, "start the other side first, or add server=on,wait=off or reconnect=1");
        return false;
    }
    start_peer(s, fd);
    return true;
}

/* The address is spelled flat (path=, host=, port=, fd=) or, as the monitor does, below "addr.". */
static bool take_address(struct chardev_socket *s, struct optlist *opts, struct error *err)
{
    static const char *const keys[] = { "path",  "host", "port", "abstract",
                                        "tight", "ipv4", "ipv6", "fd" };
    static const char *const types[] = { "unix", "inet", "inet", "unix",
                                         "unix", "inet", "inet", "fd" };
    struct optlist addr = { 0 };
    bool ok, nested = false;
    const char *type = NULL;

    for (size_t i = 0; i < opts->count; i++)
        nested |= !strncmp(opts->items[i].key, "addr.", 5);
    if (nested)
        return socket_addr_take(&s->addr, opts, "addr.", err);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *value = optlist_take(opts, keys[i]);
        AUTO_FREE char *key = xasprintf("addr.%s", strcmp(keys[i], "fd") ? keys[i] : "str");

        if (!value)
            continue;
        optlist_add(&addr, key, value);
        if (!type || !strcmp(keys[i], "fd"))
            type = types[i];
    }
    if (type)
        optlist_add(&addr, "addr.type", type);
    ok = type || fail(err, EINVAL, "socket needs path=PATH, or host=HOST and port=PORT, or fd=FD");
    if (ok && !strcmp(type, "inet") && !optlist_has(&addr, "addr.host"))
        optlist_add(&addr, "addr.host", "");
    ok = ok && socket_addr_take(&s->addr, &addr, "addr.", err);
    optlist_finish(&addr);
    return ok;
}

static bool refuse_missing(struct optlist *opts, struct error *err)
{
    static const char *const keys[] = { "websocket", "tn3270", "tls-creds", "tls-authz", "to" };

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *value = optlist_take(opts, keys[i]);

        if (!value || !strcmp(value, "off"))
            continue;
        fail(err, ENOTSUP, "%s=%s: sockets of character devices do not have that yet", keys[i],
             value);
        return fail_hint(err, "leave %s out; a tunnel (socat, stunnel) can do its work", keys[i]);
    }
    return true;
}

static bool take_retry(struct chardev_socket *s, struct optlist *opts, struct error *err)
{
    uint64_t seconds = 0, ms = 0;

    if (!optlist_take_u64(opts, "reconnect", &seconds, err) ||
        !optlist_take_u64(opts, "reconnect-ms", &ms, err))
        return false;
    if (seconds > INT32_MAX || ms > INT32_MAX)
        return fail(err, ERANGE, "reconnect: at most %d", INT32_MAX);
    s->retry_ns = (int64_t)(seconds * 1000 + ms) * 1000000;
    if (s->retry_ns && s->server)
        return fail(err, EINVAL, "reconnect= is for clients; a server waits for peers anyway");
    if (s->retry_ns && s->addr.kind == SOCKET_FD)
        return fail(err, EINVAL,
                    "reconnect= and fd= exclude each other: a descriptor is gone when "
                    "its peer is");
    return true;
}

static bool take_options(struct chardev_socket *s, struct optlist *opts, struct error *err)
{
    bool nowait = false, nodelay = false, delay = true, has_wait;

    has_wait = optlist_has(opts, "wait") || optlist_has(opts, "nowait");
    s->wait = true;
    if (!refuse_missing(opts, err) || !take_address(s, opts, err))
        return false;
    if (optlist_has(opts, "nodelay") || optlist_has(opts, "delay"))
        s->nodelay = 1;
    if (!optlist_take_bool(opts, "server", &s->server, err) ||
        !optlist_take_bool(opts, "wait", &s->wait, err) ||
        !optlist_take_bool(opts, "nowait", &nowait, err) ||
        !optlist_take_bool(opts, "telnet", &s->telnet.on, err) ||
        !optlist_take_bool(opts, "delay", &delay, err) ||
        !optlist_take_bool(opts, "nodelay", &nodelay, err))
        return false;
    if (s->nodelay >= 0)
        s->nodelay = nodelay || !delay;
    s->wait = s->server && s->wait && !nowait;
    if (has_wait && !s->server) {
        fail(err, EINVAL, "wait= is for servers, and server=on is not given");
        return fail_hint(err, "add server=on, or leave wait out");
    }
    return take_retry(s, opts, err);
}

bool chardev_open_socket(struct chardev *c, struct optlist *opts, struct error *err)
{
    struct chardev_socket *s = xnew(struct chardev_socket);

    c->backend = &socket_backend;
    c->socket = s;
    s->chr = c;
    s->nodelay = -1;
    s->connecting_fd = -1;
    timer_init(&s->retry_timer, c->loop, CLOCK_RT, try_again, s);
    return take_options(s, opts, err) && (s->server ? start_server(s, err) : start_client(s, err));
}

void chardev_socket_free(struct chardev *c)
{
    struct chardev_socket *s = c->socket;

    if (!s)
        return;
    for (unsigned i = 0; i < s->listeners; i++) {
        loop_fd_remove(s->listen_watch[i]);
        close(s->listen_fd[i]);
    }
    timer_cancel(&s->retry_timer);
    loop_fd_remove(s->connect_watch);
    if (s->connecting_fd >= 0)
        close(s->connecting_fd);
    socket_addr_finish(&s->addr);
    free(s);
    c->socket = NULL;
}
