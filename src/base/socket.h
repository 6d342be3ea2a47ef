/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stream sockets by name: Unix paths, abstract names, TCP hosts, vsock, inherited descriptors. */
#ifndef BASE_SOCKET_H
#define BASE_SOCKET_H

#include "base/optlist.h"

enum socket_kind { SOCKET_UNIX, SOCKET_TCP, SOCKET_FD, SOCKET_VSOCK };

struct socket_addr {
    enum socket_kind kind;
    char *path;        /* unix; owned */
    char *host, *port; /* tcp (NULL host listens on all), fd number or vsock cid in host; owned */
    bool abstract, ipv4_only, ipv6_only, keep_alive;
};

/* Takes type, path, host, port, ... below prefix ("server."): QMP's SocketAddress. */
bool socket_addr_take(struct socket_addr *a, struct optlist *opts, const char *prefix,
                      struct error *err) MUST_CHECK;
void socket_addr_finish(struct socket_addr *a);
char *socket_addr_text(const struct socket_addr *a); /* for messages; free() */

/* A blocking, close-on-exec descriptor or -1. timeout_ms 0: no limit. */
int socket_connect(const struct socket_addr *a, int timeout_ms, struct error *err) MUST_CHECK;
/* Begins to connect and does not wait: the descriptor does not block, is writable when connecting
 * is over, and then says by SO_ERROR how it went. Host names are looked up before (which may take a
 * while). -1 with err when it failed at once. */
int socket_connect_start(const struct socket_addr *a, struct error *err) MUST_CHECK;
/* Listens; the number of descriptors put into ret[] (a host name may have several addresses), 0:
 * err. A Unix path that a dead server left is taken over. */
unsigned socket_listen(const struct socket_addr *a, int backlog, int *ret, unsigned max,
                       struct error *err) MUST_CHECK;
/* Descriptors passed by systemd (LISTEN_FDS, LISTEN_PID), 0 if none. */
unsigned socket_activation_fds(int *ret, unsigned max, struct error *err);

#endif
