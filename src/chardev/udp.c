/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UDP: what is written within a moment makes a datagram. Nobody there is not an error. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "chardev/chardev_priv.h"

static const struct chardev_backend udp_backend = { .name = "udp", .datagrams = true };

static struct addrinfo *resolve(const char *host, const char *port, int family, bool passive,
                                struct error *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_family = family }, *list = NULL;
    int rc;

    hints.ai_flags = passive ? AI_PASSIVE : 0;
    rc = getaddrinfo(host && *host ? host : NULL, port, &hints, &list);
    if (!rc)
        return list;
    fail(err, EINVAL, "udp: '%s:%s': %s", host ? host : "", port, gai_strerror(rc));
    return NULL;
}

static bool bind_local(int fd, const char *host, const char *port, int family, struct error *err)
{
    struct addrinfo *list = resolve(host, port ? port : "0", family, true, err);
    bool ok;

    if (!list)
        return false;
    ok = bind(fd, list->ai_addr, list->ai_addrlen) == 0;
    freeaddrinfo(list);
    return ok || fail(err, errno, "udp: cannot bind to '%s:%s': %s", host ? host : "",
                      port ? port : "0", strerror(errno));
}

bool chardev_open_udp(struct chardev *c, struct optlist *opts, struct error *err)
{
    const char *host = optlist_take(opts, "host"), *port = optlist_take(opts, "port");
    const char *local_host = optlist_take(opts, "localaddr");
    const char *local_port = optlist_take(opts, "localport");
    bool ipv4 = false, ipv6 = false;
    struct addrinfo *to;
    int fd;

    c->backend = &udp_backend;
    if (!optlist_take_bool(opts, "ipv4", &ipv4, err) ||
        !optlist_take_bool(opts, "ipv6", &ipv6, err))
        return false;
    if (!port || !*port) {
        fail(err, EINVAL, "udp needs port=PORT of the other side");
        return fail_hint(err, "for example host=127.0.0.1,port=4555");
    }
    to = resolve(host && *host ? host : "localhost", port,
                 ipv4 == ipv6 ? AF_UNSPEC
                 : ipv4       ? AF_INET
                              : AF_INET6,
                 false, err);
    if (!to)
        return false;
    fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        fail(err, errno, "udp: no socket: %s", strerror(errno));
    else if ((local_host || local_port) &&
             !bind_local(fd, local_host, local_port, to->ai_family, err))
        goto fail;
    else if (connect(fd, to->ai_addr, to->ai_addrlen))
        fail(err, errno, "udp: '%s:%s': %s", host ? host : "", port, strerror(errno));
    else {
        freeaddrinfo(to);
        chardev_connect_fds(c, fd, fd);
        return true;
    }
fail:
    if (fd >= 0)
        close(fd);
    freeaddrinfo(to);
    return false;
}
