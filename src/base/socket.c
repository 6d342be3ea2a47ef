/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"

static const char *const kind_names[] = { "unix", "inet", "fd", "vsock", NULL };

/* Which kind "type" says, or what the other members imply. */
static bool take_kind(struct socket_addr *a, struct optlist *l, struct error *err)
{
    const char *type = optlist_take(l, "type");
    const char *near;

    if (!type) {
        a->kind = optlist_take(l, "path") ? SOCKET_UNIX : SOCKET_TCP;
        return true;
    }
    for (unsigned i = 0; kind_names[i]; i++) {
        if (!strcmp(kind_names[i], type)) {
            const enum socket_kind kinds[] = { SOCKET_UNIX, SOCKET_TCP, SOCKET_FD, SOCKET_VSOCK };

            a->kind = kinds[i];
            return true;
        }
    }
    near = nearest_name(type, kind_names);
    fail(err, EINVAL, "type '%s' of a socket address is not known", type);
    return fail_hint(err, near ? "did you mean '%s'?" : "there are unix, inet, fd and vsock%s",
                     near ? near : "");
}

static bool take_text(char **ret, struct optlist *l, const char *key, const char *kind,
                      struct error *err)
{
    const char *v = optlist_take(l, key);

    *ret = xstrdup(v);
    return v || fail(err, EINVAL, "Parameter '%s' is missing in the %s address", key, kind);
}

static bool take_inet(struct socket_addr *a, struct optlist *l, struct error *err)
{
    bool ipv4 = true, ipv6 = true, has_v4 = false, has_v6 = false, numeric;

    for (size_t i = 0; i < l->count; i++) {
        has_v4 |= !strcmp(l->items[i].key, "ipv4");
        has_v6 |= !strcmp(l->items[i].key, "ipv6");
    }
    if (!optlist_take_bool(l, "ipv4", &ipv4, err) || !optlist_take_bool(l, "ipv6", &ipv6, err) ||
        !optlist_take_bool(l, "keep-alive", &a->keep_alive, err) ||
        !optlist_take_bool(l, "numeric", &numeric, err))
        return false;
    if (!ipv4 && !ipv6)
        return fail(err, EINVAL, "ipv4=off and ipv6=off leave no protocol");
    a->ipv4_only = !ipv6 || (has_v4 && !has_v6 && ipv4);
    a->ipv6_only = !ipv4 || (has_v6 && !has_v4 && ipv6);
    return take_text(&a->host, l, "host", "inet", err) &&
           take_text(&a->port, l, "port", "inet", err);
}

static bool take_members(struct socket_addr *a, struct optlist *l, struct error *err)
{
    bool tight;

    if (!take_kind(a, l, err))
        return false;
    switch (a->kind) {
    case SOCKET_UNIX:
        return optlist_take_bool(l, "abstract", &a->abstract, err) &&
               optlist_take_bool(l, "tight", &tight, err) &&
               take_text(&a->path, l, "path", "unix", err);
    case SOCKET_TCP: return take_inet(a, l, err);
    case SOCKET_FD: return take_text(&a->host, l, "str", "fd", err);
    case SOCKET_VSOCK:
        return take_text(&a->host, l, "cid", "vsock", err) &&
               take_text(&a->port, l, "port", "vsock", err);
    }
    return false;
}

bool socket_addr_take(struct socket_addr *a, struct optlist *opts, const char *prefix,
                      struct error *err)
{
    AUTO_FREE char *name = xstrdup(prefix);
    struct optlist sub = { 0 };
    bool ok;

    *a = (struct socket_addr){ 0 };
    if (name[0] && name[strlen(name) - 1] == '.')
        name[strlen(name) - 1] = 0;
    optlist_move_prefix(opts, name, &sub);
    /* the older form has the members one level down: {"type": "inet", "data": {"host": ...}} */
    for (size_t i = 0; i < sub.count; i++) {
        char *key = sub.items[i].key;

        if (str_after(key, "data."))
            memmove(key, key + 5, strlen(key + 5) + 1);
    }
    ok = take_members(a, &sub, err) && optlist_done(&sub, name, err);
    optlist_finish(&sub);
    if (!ok)
        socket_addr_finish(a);
    return ok;
}

void socket_addr_finish(struct socket_addr *a)
{
    free(a->path);
    free(a->host);
    free(a->port);
    *a = (struct socket_addr){ 0 };
}

char *socket_addr_text(const struct socket_addr *a)
{
    switch (a->kind) {
    case SOCKET_UNIX: return xasprintf("%s%s", a->abstract ? "@" : "", a->path);
    case SOCKET_TCP:
        return xasprintf(a->host && strchr(a->host, ':') ? "[%s]:%s" : "%s:%s",
                         a->host ? a->host : "", a->port);
    case SOCKET_FD: return xasprintf("fd:%s", a->host);
    case SOCKET_VSOCK: return xasprintf("vsock:%s:%s", a->host, a->port);
    }
    return xstrdup("");
}

static bool unix_sockaddr(const struct socket_addr *a, struct sockaddr_un *ret, socklen_t *ret_len,
                          struct error *err)
{
    size_t n = strlen(a->path);

    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (n + (a->abstract ? 1 : 0) >= sizeof(ret->sun_path)) {
        fail(err, ENAMETOOLONG, "UNIX socket path '%.60s...' is too long", a->path);
        return fail_hint(err, "Path must be less than %zu bytes", sizeof(ret->sun_path));
    }
    memcpy(ret->sun_path + (a->abstract ? 1 : 0), a->path, n);
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    return true;
}

static bool vsock_sockaddr(const struct socket_addr *a, struct sockaddr_vm *ret, struct error *err)
{
    uint64_t cid, port;

    if (!parse_u64(a->host, &cid, err) || !parse_u64(a->port, &port, err))
        return false;
    if (cid > UINT32_MAX || port > UINT32_MAX)
        return fail(err, ERANGE, "vsock:%s:%s: numbers of 32 bits are wanted", a->host, a->port);
    *ret = (struct sockaddr_vm){ .svm_family = AF_VSOCK,
                                 .svm_cid = (uint32_t)cid,
                                 .svm_port = (uint32_t)port };
    return true;
}

/* 0 or an errno. The socket is made non-blocking for as long as connecting takes. */
static int connect_within(int fd, const struct sockaddr *sa, socklen_t len, int timeout_ms)
{
    struct pollfd p = { fd, POLLOUT, 0 };
    int flags = fcntl(fd, F_GETFL), e = 0, r;
    socklen_t e_len = sizeof(e);

    if (timeout_ms > 0)
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    do
        r = connect(fd, sa, len);
    while (r < 0 && errno == EINTR);
    if (r < 0 && errno == EINPROGRESS) {
        do
            r = poll(&p, 1, timeout_ms);
        while (r < 0 && errno == EINTR);
        if (r == 0)
            e = ETIMEDOUT;
        else if (r < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &e_len) < 0)
            e = errno;
    } else if (r < 0) {
        e = errno;
    }
    if (timeout_ms > 0)
        (void)fcntl(fd, F_SETFL, flags);
    return e;
}

static int connect_one(int family, const struct sockaddr *sa, socklen_t len, int timeout_ms,
                       int *ret_errno)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret_errno = fd < 0 ? errno : connect_within(fd, sa, len, timeout_ms);
    if (!*ret_errno)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static struct addrinfo *resolve(const struct socket_addr *a, int flags, struct error *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *list = NULL;
    int r;

    hints.ai_family = a->ipv4_only ? AF_INET : a->ipv6_only ? AF_INET6 : AF_UNSPEC;
    r = getaddrinfo(a->host && a->host[0] ? a->host : NULL, a->port, &hints, &list);
    if (r) {
        AUTO_FREE char *text = socket_addr_text(a);

        fail(err, ENOENT, "address resolution failed for %s: %s", text, gai_strerror(r));
        return NULL;
    }
    return list;
}

static int connect_tcp(const struct socket_addr *a, int timeout_ms, int *ret_errno,
                       struct error *err)
{
    struct addrinfo *list = resolve(a, 0, err);
    int fd = -1, on = 1;

    for (struct addrinfo *i = list; i && fd < 0; i = i->ai_next)
        fd = connect_one(i->ai_family, i->ai_addr, i->ai_addrlen, timeout_ms, ret_errno);
    if (list)
        freeaddrinfo(list);
    if (fd >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (a->keep_alive)
            (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    return fd;
}

static int inherited_fd(const struct socket_addr *a, struct error *err)
{
    uint64_t n;

    if (!parse_u64(a->host, &n, err))
        return -1;
    if (n > INT32_MAX || fcntl((int)n, F_SETFD, FD_CLOEXEC) < 0) {
        fail(err, EBADF, "file descriptor %s is not open", a->host);
        return -1;
    }
    return (int)n;
}

int socket_connect(const struct socket_addr *a, int timeout_ms, struct error *err)
{
    struct sockaddr_un un;
    struct sockaddr_vm vm;
    socklen_t len;
    int e = 0, fd = -1;

    err->code = 0;
    switch (a->kind) {
    case SOCKET_UNIX:
        if (unix_sockaddr(a, &un, &len, err))
            fd = connect_one(AF_UNIX, (struct sockaddr *)&un, len, timeout_ms, &e);
        break;
    case SOCKET_TCP: fd = connect_tcp(a, timeout_ms, &e, err); break;
    case SOCKET_FD: fd = inherited_fd(a, err); break;
    case SOCKET_VSOCK:
        if (vsock_sockaddr(a, &vm, err))
            fd = connect_one(AF_VSOCK, (struct sockaddr *)&vm, sizeof(vm), timeout_ms, &e);
        break;
    }
    if (fd < 0 && e) {
        AUTO_FREE char *text = socket_addr_text(a);

        fail(err, e, "Failed to connect to '%s': %s", text, strerror(e));
        if (e == ECONNREFUSED || e == ENOENT)
            fail_hint(err, "nothing listens there; start the server first");
    }
    return fd;
}

/* The first address that does not fail at once. */
static int start_tcp(const struct socket_addr *a, struct error *err)
{
    struct addrinfo *list = resolve(a, 0, err);
    int fd = -1, on = 1, e = 0;

    if (!list)
        return -1;
    for (struct addrinfo *i = list; i && fd < 0; i = i->ai_next) {
        fd = socket(i->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, i->ai_addr, i->ai_addrlen) == 0 || errno == EINPROGRESS)
            continue;
        e = errno;
        close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    if (fd < 0)
        fail(err, e, "Failed to connect: %s", strerror(e));
    else
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

int socket_connect_start(const struct socket_addr *a, struct error *err)
{
    int fd;

    if (a->kind == SOCKET_TCP)
        return start_tcp(a, err);
    /* the others are of this host: they do not keep one waiting */
    fd = socket_connect(a, 1000, err);
    if (fd >= 0)
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

/* A path whose server is gone refuses connections: it may be removed. */
static bool remove_stale(const struct sockaddr_un *un, socklen_t len)
{
    int e, fd = connect_one(AF_UNIX, (const struct sockaddr *)un, len, 1000, &e);

    if (fd >= 0)
        close(fd);
    return fd < 0 && e == ECONNREFUSED && unlink(un->sun_path) == 0;
}

static int listen_one(int family, const struct sockaddr *sa, socklen_t len, int backlog,
                      int *ret_errno)
{
    int on = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        *ret_errno = errno;
        return -1;
    }
    if (family != AF_UNIX)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, sa, len) == 0 && listen(fd, backlog) == 0)
        return fd;
    *ret_errno = errno;
    close(fd);
    return -1;
}

static int listen_unix(const struct socket_addr *a, int backlog, int *ret_errno, struct error *err)
{
    struct sockaddr_un un;
    socklen_t len;
    int fd;

    if (!unix_sockaddr(a, &un, &len, err))
        return -1;
    fd = listen_one(AF_UNIX, (struct sockaddr *)&un, len, backlog, ret_errno);
    if (fd < 0 && *ret_errno == EADDRINUSE && !a->abstract && remove_stale(&un, len))
        fd = listen_one(AF_UNIX, (struct sockaddr *)&un, len, backlog, ret_errno);
    return fd;
}

static unsigned listen_tcp(const struct socket_addr *a, int backlog, int *ret, unsigned max,
                           int *ret_errno, struct error *err)
{
    struct addrinfo *list = resolve(a, AI_PASSIVE, err);
    unsigned n = 0;

    for (struct addrinfo *i = list; i && n < max; i = i->ai_next) {
        int fd = listen_one(i->ai_family, i->ai_addr, i->ai_addrlen, backlog, ret_errno);

        if (fd >= 0)
            ret[n++] = fd;
    }
    if (list)
        freeaddrinfo(list);
    return n;
}

unsigned socket_listen(const struct socket_addr *a, int backlog, int *ret, unsigned max,
                       struct error *err)
{
    struct sockaddr_vm vm;
    unsigned n = 0;
    int e = 0;

    err->code = 0;
    if (!max)
        return 0;
    ret[0] = -1;
    switch (a->kind) {
    case SOCKET_UNIX: ret[0] = listen_unix(a, backlog, &e, err); break;
    case SOCKET_TCP: n = listen_tcp(a, backlog, ret, max, &e, err); break;
    case SOCKET_FD: ret[0] = inherited_fd(a, err); break;
    case SOCKET_VSOCK:
        if (vsock_sockaddr(a, &vm, err))
            ret[0] = listen_one(AF_VSOCK, (struct sockaddr *)&vm, sizeof(vm), backlog, &e);
        break;
    }
    if (a->kind != SOCKET_TCP)
        n = ret[0] >= 0;
    if (!n && e) {
        AUTO_FREE char *text = socket_addr_text(a);

        fail(err, e, "Failed to listen on '%s': %s", text, strerror(e));
        if (e == EADDRINUSE)
            fail_hint(err, "another server listens there; stop it or take another address");
    }
    return n;
}

unsigned socket_activation_fds(int *ret, unsigned max, struct error *err)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    uint64_t want_pid, n;

    err->code = 0;
    if (!pid || !fds || !parse_u64(pid, &want_pid, err) || want_pid != (uint64_t)getpid() ||
        !parse_u64(fds, &n, err) || !n) {
        err->code = 0;
        return 0;
    }
    if (n > max) {
        fail(err, EINVAL, "socket activation passes %s sockets, only %u are taken", fds, max);
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        ret[i] = 3 + (int)i; /* SD_LISTEN_FDS_START */
        if (fcntl(ret[i], F_SETFD, FD_CLOEXEC) < 0) {
            fail(err, errno, "socket activation: descriptor %d: %s", ret[i], strerror(errno));
            return 0;
        }
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return (unsigned)n;
}
