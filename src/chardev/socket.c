/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TCP and UNIX sockets, as server (one peer at a time, others wait) or client; telnet (RFC 854). */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "chardev/chardev_priv.h"

/* --- telnet --- */

enum { IAC = 255, DONT = 254, DO = 253, WILL = 251, SB = 250, BRK = 243, SE = 240 };
enum { OPT_BINARY = 0, OPT_ECHO = 1, OPT_SGA = 3 };
enum { T_DATA, T_IAC, T_OPTION, T_SUB, T_SUB_IAC };

static size_t telnet_in(struct chardev *c, uint8_t *buf, size_t len)
{
    size_t n = 0;

    if (!c->telnet)
        return len;
    for (size_t i = 0; i < len; i++) {
        uint8_t b = buf[i];

        switch (c->telnet_state) {
        case T_DATA:
            if (b == IAC)
                c->telnet_state = T_IAC;
            else
                buf[n++] = b;
            break;
        case T_IAC:
            c->telnet_state = b >= WILL && b != IAC ? T_OPTION : b == SB ? T_SUB : T_DATA;
            if (b == IAC)
                buf[n++] = b;
            else if (b == BRK)
                chardev_tell(c, CHARDEV_BREAK);
            break;
        case T_SUB:
            if (b == IAC)
                c->telnet_state = T_SUB_IAC;
            break;
        case T_SUB_IAC: c->telnet_state = b == SE ? T_DATA : T_SUB; break;
        default: /* the option: what we offered is all we do, whatever the peer says */
            c->telnet_state = T_DATA;
            break;
        }
    }
    return n;
}

static unsigned telnet_out(struct chardev *c, uint8_t byte, uint8_t *ret)
{
    ret[0] = byte;
    ret[1] = IAC;
    return c->telnet && byte == IAC ? 2 : 1;
}

static void telnet_greet(int fd)
{
    static const uint8_t hello[] = { IAC, WILL, OPT_ECHO,   IAC, WILL, OPT_SGA,
                                     IAC, WILL, OPT_BINARY, IAC, DO,   OPT_BINARY };

    /* a fresh connection has room for 12 bytes; if not, the peer sees its own echo */
    ssize_t n = write(fd, hello, sizeof hello);
    (void)n;
}

/* --- connections --- */

static void socket_hangup(struct chardev *c);

static const struct chardev_backend socket_backend = {
    .name = "socket",
    .hangup = socket_hangup,
    .filter_in = telnet_in,
    .filter_out = telnet_out,
};

static void start_peer(struct chardev *c, int fd)
{
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    c->telnet_state = T_DATA;
    if (c->telnet)
        telnet_greet(fd);
    chardev_connect_fds(c, fd, fd);
    if (c->listen_watch)
        loop_fd_set_events(c->listen_watch, 0);
}

static void peer_arrives(void *opaque, unsigned revents)
{
    struct chardev *c = opaque;
    int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0)
        start_peer(c, fd);
}

static void socket_hangup(struct chardev *c)
{
    int fd = c->in_fd;

    chardev_disconnect_fds(c);
    if (fd >= 0)
        close(fd);
    if (c->listen_watch)
        loop_fd_set_events(c->listen_watch, POLLIN);
}

/* The listening socket is in c->listen_fd. */
static bool start_server(struct chardev *c, const char *address, bool wait, struct error *err)
{
    if (listen(c->listen_fd, 1))
        return fail(err, errno, "cannot listen on '%s': %s", address, strerror(errno));
    c->where = xstrdup(address);
    if (wait) {
        struct pollfd pfd = { .fd = c->listen_fd, .events = POLLIN };

        fprintf(stderr, "rhea: waiting for connection on: %s (wait=off goes on without)\n",
                address);
        while (poll(&pfd, 1, -1) < 0) {
            if (errno != EINTR)
                return fail(err, errno, "waiting on '%s': %s", address, strerror(errno));
        }
    }
    c->listen_watch = loop_fd_add(c->loop, c->listen_fd, POLLIN, peer_arrives, c);
    if (wait)
        peer_arrives(c, POLLIN);
    return true;
}

/* true: the UNIX socket is left over from a process that is gone */
static bool is_stale(const struct sockaddr_un *sa)
{
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof *sa) && errno == ECONNREFUSED;
}

bool chardev_open_unix(struct chardev *c, const char *path, const struct chardev_socket_options *o,
                       struct error *err)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int fd;

    c->backend = &socket_backend;
    c->telnet = o->telnet;
    if (!*path || strlen(path) >= sizeof sa.sun_path)
        return fail(err, EINVAL, "unix: path '%s' must have 1 to %zu bytes", path,
                    sizeof sa.sun_path - 1);
    strcpy(sa.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(err, errno, "unix: no socket: %s", strerror(errno));
    if (!o->server) {
        if (connect(fd, (struct sockaddr *)&sa, sizeof sa)) {
            fail(err, errno, "unix: cannot connect to '%s': %s", path, strerror(errno));
            close(fd);
            return fail_hint(err, "start the other side first, or add server=on,wait=off");
        }
        start_peer(c, fd);
        return true;
    }
    c->listen_fd = fd;
    if (is_stale(&sa))
        unlink(path);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa)) {
        fail(err, errno, "unix: cannot make '%s': %s", path, strerror(errno));
        return errno != EADDRINUSE ? false
                                   : fail_hint(err, "another process listens there; stop it");
    }
    c->unlink_path = xstrdup(path);
    return start_server(c, path, o->wait, err);
}

/* "HOST:PORT", "[V6]:PORT", ":PORT" into host and port, both owned by the caller. */
static bool split_address(const char *address, char **host, char **port, struct error *err)
{
    const char *colon = strrchr(address, ':');

    if (!colon || !colon[1]) {
        fail(err, EINVAL, "'%s' is no HOST:PORT", address);
        return fail_hint(err, "for example tcp:127.0.0.1:4444,server=on,wait=off");
    }
    if (address[0] == '[' && colon > address + 1 && colon[-1] == ']')
        *host = xstrndup(address + 1, (size_t)(colon - address - 2));
    else
        *host = xstrndup(address, (size_t)(colon - address));
    *port = xstrdup(colon + 1);
    return true;
}

/* Try the addresses that a name has; the socket or -1 with errno. */
static int open_any(const struct addrinfo *list, bool server)
{
    int error = EADDRNOTAVAIL;

    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol), one = 1;

        if (fd < 0) {
            error = errno;
            continue;
        }
        if (server)
            (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if ((server ? bind : connect)(fd, a->ai_addr, a->ai_addrlen) == 0)
            return fd;
        error = errno;
        close(fd);
    }
    errno = error;
    return -1;
}

bool chardev_open_tcp(struct chardev *c, const char *address,
                      const struct chardev_socket_options *o, struct error *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = o->server ? AI_PASSIVE : 0 };
    struct addrinfo *list = NULL;
    AUTO_FREE char *host = NULL;
    AUTO_FREE char *port = NULL;
    int fd, rc, one = 1;

    c->backend = &socket_backend;
    c->telnet = o->telnet;
    if (!split_address(address, &host, &port, err))
        return false;
    rc = getaddrinfo(*host ? host : NULL, port, &hints, &list);
    if (rc)
        return fail(err, EINVAL, "tcp: '%s': %s", address, gai_strerror(rc));
    fd = open_any(list, o->server);
    freeaddrinfo(list);
    if (fd < 0) {
        fail(err, errno, "tcp: cannot %s '%s': %s", o->server ? "listen on" : "connect to", address,
             strerror(errno));
        return o->server ? false
                         : fail_hint(err, "start the other side first, or add server=on,wait=off");
    }
    if (o->nodelay)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (o->server) {
        c->listen_fd = fd;
        return start_server(c, address, o->wait, err);
    }
    start_peer(c, fd);
    return true;
}
