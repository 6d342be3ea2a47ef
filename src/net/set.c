/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The networks of one VM: netdevs by name, the table of types, -netdev's syntax. */
#include "net/net_priv.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"

static const struct netdev_type l2tpv3 = { .name = "l2tpv3", .later = "L2TPv3 tunnels come" };
static const struct netdev_type vde = { .name = "vde", .later = "VDE switches come" };
static const struct netdev_type netmap = { .name = "netmap", .later = "netmap ports come" };
static const struct netdev_type af_xdp = { .name = "af-xdp", .later = "AF_XDP sockets come" };
static const struct netdev_type vhost_user = { .name = "vhost-user",
                                               .later = "networks in other processes come" };
static const struct netdev_type vhost_vdpa = { .name = "vhost-vdpa", .later = "vDPA devices come" };

/* In the order of -netdev help. */
static const struct netdev_type *const types[] = {
    &netdev_socket_type,
    &netdev_stream_type,
    &netdev_dgram_type,
    &netdev_hubport_type,
    &netdev_tap_type,
    &netdev_user_type,
    &netdev_bridge_type,
    &l2tpv3,
    &vde,
    &netmap,
    &af_xdp,
    &vhost_user,
    &vhost_vdpa,
};

static const struct netdev_type *type_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
        if (!strcmp(types[i]->name, name))
            return types[i];
    return NULL;
}

bool netdev_type_known(const char *name)
{
    return type_find(name) != NULL;
}

void netdev_help(FILE *f)
{
    fprintf(f, "Available netdev backend types:\n");
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
        if (types[i]->open)
            fprintf(f, "%s\n", types[i]->name);
}

/* --- one netdev --- */

struct netdev *netdev_new(struct net_set *s, const struct netdev_type *type, const char *id)
{
    struct netdev *nd = xcalloc(1, type->size);

    nd->type = type;
    nd->set = s;
    nd->id = xstrdup(id);
    return nd;
}

void netdev_ports(struct netdev *nd, unsigned queues, const struct net_ops *ops)
{
    nd->queues = queues;
    nd->ports = xnew_array(struct net_port, queues);
    for (unsigned i = 0; i < queues; i++) {
        net_port_init(&nd->ports[i], ops, nd);
        nd->ports[i].index = i;
        nd->ports[i].netdev = nd;
    }
}

void netdev_info(struct netdev *nd, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(nd->info, sizeof nd->info, fmt, ap);
    va_end(ap);
}

static void netdev_free(struct netdev *nd)
{
    for (unsigned i = 0; i < nd->queues; i++)
        net_disconnect(&nd->ports[i]);
    if (nd->type->close)
        nd->type->close(nd);
    for (unsigned i = 0; i < nd->queues; i++)
        net_port_finish(&nd->ports[i]);
    net_dumps_free(nd);
    free(nd->ports);
    free(nd->id);
    free(nd);
}

/* --- the set --- */

struct net_set *net_set_new(const struct net_env *env)
{
    struct net_set *s = xnew(struct net_set);

    s->env = *env;
    s->last = &s->first;
    return s;
}

static void drop(struct net_set *s, struct netdev *nd)
{
    struct netdev **at = &s->first;

    while (*at != nd)
        at = &(*at)->next;
    *at = nd->next;
    if (s->last == &nd->next)
        s->last = at;
    netdev_free(nd);
}

void net_set_free(struct net_set *s)
{
    if (!s)
        return;
    /* hub ports first: they hold others */
    for (struct netdev *nd = s->first, *next; nd; nd = next) {
        next = nd->next;
        if (nd->is_hub_port)
            drop(s, nd);
    }
    while (s->first)
        drop(s, s->first);
    free(s);
}

static struct netdev *lookup(struct net_set *s, const char *id)
{
    for (struct netdev *nd = s->first; nd; nd = nd->next)
        if (!strcmp(nd->id, id))
            return nd;
    return NULL;
}

struct netdev *net_set_find(struct net_set *s, const char *id, struct error *err)
{
    struct netdev *nd = lookup(s, id);
    const char *names[64];
    unsigned n = 0;

    if (nd)
        return nd;
    for (nd = s->first; nd && n < ARRAY_SIZE(names) - 1; nd = nd->next)
        names[n++] = nd->id;
    names[n] = NULL;
    (void)fail(err, ENOENT, "there is no netdev '%s'", id);
    const char *near = nearest_name(id, names);
    if (near)
        (void)fail_hint(err, "did you mean '%s'?", near);
    else if (!n)
        (void)fail_hint(err, "add one, as -netdev user,id=%s", id);
    return NULL;
}

struct netdev *net_set_take(struct net_set *s, const char *id, struct error *err)
{
    struct netdev *nd = net_set_find(s, id, err);

    if (!nd)
        return NULL;
    if (nd->taken) {
        (void)fail(err, EBUSY, "netdev '%s' is in use by another device", id);
        (void)fail_hint(err, "give each NIC a netdev of its own, or connect them by hubports");
        return NULL;
    }
    nd->taken = true;
    return nd;
}

void net_set_give_back(struct netdev *nd)
{
    for (unsigned i = 0; i < nd->queues; i++)
        net_disconnect(&nd->ports[i]);
    nd->taken = false;
}

bool net_set_remove(struct net_set *s, const char *id, struct error *err)
{
    struct netdev *nd = net_set_find(s, id, err);

    if (nd)
        drop(s, nd);
    return nd != NULL;
}

bool netdev_insert(struct net_set *s, struct netdev *own_nd, struct error *err)
{
    if (lookup(s, own_nd->id)) {
        (void)fail(err, EEXIST, "there is a netdev '%s' already", own_nd->id);
        netdev_free(own_nd);
        return fail_hint(err, "give each netdev an id of its own");
    }
    *s->last = own_nd;
    s->last = &own_nd->next;
    return true;
}

static bool check_id(const char *id, struct error *err)
{
    bool ok = isalpha((unsigned char)id[0]) && strlen(id) < NET_ID_MAX;

    for (const char *c = id; *c && ok; c++)
        ok = isalnum((unsigned char)*c) || strchr("-._", *c);
    if (ok)
        return true;
    (void)fail(err, EINVAL, "id '%s': not a name", id);
    return fail_hint(err, "use letters, digits, '-', '.', '_', beginning with a letter");
}

static const struct netdev_type *choose_type(const char *name, struct error *err)
{
    const struct netdev_type *t = name ? type_find(name) : NULL;
    const char *names[ARRAY_SIZE(types) + 1] = { 0 };

    if (t && t->open)
        return t;
    if (t) {
        (void)fail(err, ENOTSUP, "netdev type '%s': %s with a later release", name, t->later);
        (void)fail_hint(err, "-netdev help lists what there is");
        return NULL;
    }
    if (!name) {
        (void)fail(err, EINVAL, "the type is missing");
        (void)fail_hint(err, "begin with it, as user,id=net0");
        return NULL;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
        names[i] = types[i]->name;
    (void)fail(err, EINVAL, "there is no netdev type '%s'", name);
    const char *near = nearest_name(name, names);
    (void)fail_hint(err, near ? "did you mean '%s'?" : "-netdev help lists what there is", near);
    return NULL;
}

struct netdev *net_set_open(struct net_set *s, struct optlist *o, const char *id, struct error *err)
{
    const struct netdev_type *t = choose_type(optlist_take(o, "type"), err);

    if (!t || !check_id(id, err))
        return NULL;
    if (lookup(s, id)) {
        (void)fail(err, EEXIST, "there is a netdev '%s' already", id);
        (void)fail_hint(err, "give each netdev an id of its own");
        return NULL;
    }
    struct netdev *nd = netdev_new(s, t, id);
    if (!t->open(nd, o, err) || !optlist_done(o, t->name, err)) {
        err_prefix(err, "netdev '%s': ", id);
        netdev_free(nd);
        return NULL;
    }
    return netdev_insert(s, nd, err) ? nd : NULL;
}

bool net_set_add(struct net_set *s, const char *text, struct error *err)
{
    struct optlist o = { 0 };
    bool ok =
        text[0] == '{' ? optlist_parse_json(&o, text, err) : optlist_parse(&o, text, "type", err);
    const char *id = ok ? optlist_take(&o, "id") : NULL;

    if (ok && !id) {
        ok = fail(err, EINVAL, "id is missing");
        (void)fail_hint(err, "name it, as %s%.20s,id=net0", "", text);
    }
    ok = ok && net_set_open(s, &o, id, err) != NULL;
    optlist_finish(&o);
    if (!ok)
        err_prefix(err, "-netdev: ");
    return ok;
}

bool net_set_settle(struct net_set *s, struct error *err)
{
    for (struct netdev *nd = s->first; nd; nd = nd->next)
        if (nd->type->settle && !nd->type->settle(nd, err)) {
            err_prefix(err, "netdev '%s': ", nd->id);
            return false;
        }
    return true;
}

void net_set_each_unused(struct net_set *s, void (*fn)(const char *id))
{
    for (struct netdev *nd = s->first; nd; nd = nd->next)
        if (!nd->taken && !nd->is_hub_port)
            fn(nd->id);
}

/* --- descriptors and addresses --- */

int net_take_fd(const char *option, const char *text, struct error *err)
{
    uint64_t n = 0;

    if (!parse_u64(text, &n, err) || n > INT32_MAX) {
        (void)fail(err, EINVAL, "%s=%s: not a descriptor's number", option, text);
        (void)fail_hint(err, "names of descriptors come with the monitor; pass a number");
        return -1;
    }
    int fd = (int)n, flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        (void)fail(err, errno, "%s=%d: %s", option, fd, strerror(errno));
        (void)fail_hint(err, "the descriptor must be open when the program starts");
        return -1;
    }
    return fd;
}

bool net_resolve(const char *option, const char *host, const char *port, int family, bool passive,
                 struct sockaddr_storage *ret, unsigned *ret_len, struct error *err)
{
    struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = 0 };
    struct addrinfo *list = NULL;

    if (passive)
        hints.ai_flags |= AI_PASSIVE;
    int rc = getaddrinfo(host && *host ? host : NULL, port, &hints, &list);
    if (rc)
        return fail(err, EINVAL, "%s: '%s:%s': %s", option, host ? host : "", port,
                    rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    memcpy(ret, list->ai_addr, list->ai_addrlen);
    *ret_len = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

bool net_parse_inet(const char *option, const char *text, int family, bool passive,
                    struct sockaddr_storage *ret, unsigned *ret_len, struct error *err)
{
    const char *colon = strrchr(text, ':');

    if (!colon || !colon[1]) {
        (void)fail(err, EINVAL, "%s=%s: the port is missing", option, text);
        return fail_hint(err, "write %s=HOST:PORT", option);
    }
    AUTO_FREE char *host = xstrndup(text, (size_t)(colon - text));
    size_t len = strlen(host);
    char *name = host;
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        name++;
    }
    return net_resolve(option, name, colon + 1, family, passive, ret, ret_len, err);
}

void net_addr_text(const void *addr, char *buf, size_t size)
{
    const struct sockaddr *sa = addr;
    char host[INET6_ADDRSTRLEN] = "?";

    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = addr;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(buf, size, "%s:%u", host, ntohs(in->sin_port));
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = addr;
        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
        snprintf(buf, size, "[%s]:%u", host, ntohs(in->sin6_port));
    } else {
        snprintf(buf, size, "unix:%s", ((const struct sockaddr_un *)addr)->sun_path);
    }
}
