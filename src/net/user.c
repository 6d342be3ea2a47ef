/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User networking: libslirp is a TCP/IP stack in this process that turns the guest's connections
 * into sockets of ours. It needs no rights. Large TCP frames go to it as they are, and what it
 * sends in bursts is joined for a guest that takes large ones.
 */
#include "net/user.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"

enum { QUEUE_BYTES = 2 << 20, SEARCH_MAX = 32 };

/* --- packets --- */

/* To the guest. */
static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
    struct user *u = opaque;
    struct net_port *port = &u->nd.ports[0];
    struct iovec iov = { (void *)buf, len };
    struct net_packet p = { .iov = &iov, .count = 1, .size = len };

    if (net_queue_empty(u->queue) && net_gro_send(&u->gro, port, buf, len))
        return (ssize_t)len;
    if (!u->queue)
        u->queue = net_queue_new(QUEUE_BYTES);
    (void)net_queue_put(u->queue, &p); /* full: lost; TCP sends it again */
    return (ssize_t)len;
}

static void flush_out(struct user *u)
{
    struct net_port *port = &u->nd.ports[0];

    if (net_gro_flush(&u->gro, port) && net_queue_send(u->queue, port, &u->gro))
        (void)net_gro_flush(&u->gro, port);
    net_flush(port);
}

static bool user_receive(struct net_port *port, const struct net_packet *p)
{
    struct user *u = port->opaque;
    struct net_hdr hdr = p->hdr;

    (void)net_packet_copy(p, 0, u->flat, p->size);
    if (net_finish_csum(u->flat, p->size, &hdr))
        slirp_input(u->slirp, u->flat, (int)p->size);
    return true;
}

static void user_flush(struct net_port *port)
{
    struct user *u = port->opaque;

    flush_out(u);
    if (!u->in_poller)
        loop_poller_changed(&u->poller);
}

static void user_resume(struct net_port *port)
{
    flush_out(port->opaque);
}

static const struct net_ops user_ops = {
    .receive = user_receive,
    .flush = user_flush,
    .resume = user_resume,
};

/* --- libslirp's surroundings --- */

static void slirp_guest_error(const char *msg, void *opaque)
{
    struct user *u = opaque;

    log_write(LOG_GUEST_ERRORS, "netdev %s: %s\n", u->nd.id, msg);
}

static int64_t slirp_clock(void *opaque)
{
    struct user *u = opaque;

    return loop_virtual_ns(u->nd.set->env.loop);
}

struct slirp_timer {
    struct timer timer;
    SlirpTimerCb fn;
    void *fn_opaque;
    struct user *user;
};

static void timer_fires(void *opaque)
{
    struct slirp_timer *t = opaque;

    t->fn(t->fn_opaque);
    flush_out(t->user);
}

static void *slirp_timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    struct user *u = opaque;
    struct slirp_timer *t = xnew(struct slirp_timer);

    *t = (struct slirp_timer){ .fn = cb, .fn_opaque = cb_opaque, .user = u };
    timer_init(&t->timer, u->nd.set->env.loop, CLOCK_VIRTUAL, timer_fires, t);
    return t;
}

static void slirp_timer_free(void *timer, void *opaque)
{
    struct slirp_timer *t = timer;

    timer_cancel(&t->timer);
    free(t);
}

static void slirp_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    struct slirp_timer *t = timer;

    timer_set_ns(&t->timer, expire_ms * INT64_C(1000000));
}

static void slirp_fd(int fd, void *opaque)
{
}

static void slirp_notify(void *opaque)
{
    struct user *u = opaque;

    user_fwds_kick(u);
    loop_poller_changed(&u->poller);
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = slirp_guest_error,
    .clock_get_ns = slirp_clock,
    .timer_new = slirp_timer_new,
    .timer_free = slirp_timer_free,
    .timer_mod = slirp_timer_mod,
    .register_poll_fd = slirp_fd,
    .unregister_poll_fd = slirp_fd,
    .notify = slirp_notify,
};

static int add_poll(int fd, int events, void *opaque)
{
    struct user *u = opaque;
    unsigned want = 0;

    want |= events & SLIRP_POLL_IN ? POLLIN : 0;
    want |= events & SLIRP_POLL_OUT ? POLLOUT : 0;
    want |= events & SLIRP_POLL_PRI ? POLLPRI : 0;
    return (int)loop_poller_watch(&u->poller, fd, want);
}

static int get_revents(int index, void *opaque)
{
    struct user *u = opaque;
    unsigned got = loop_poller_got(&u->poller, (unsigned)index);
    int events = 0;

    events |= got & POLLIN ? SLIRP_POLL_IN : 0;
    events |= got & POLLOUT ? SLIRP_POLL_OUT : 0;
    events |= got & POLLPRI ? SLIRP_POLL_PRI : 0;
    events |= got & POLLERR ? SLIRP_POLL_ERR : 0;
    events |= got & POLLHUP ? SLIRP_POLL_HUP : 0;
    return events;
}

static int user_fill(struct loop_poller *p)
{
    struct user *u = container_of(p, struct user, poller);
    uint32_t timeout = UINT32_MAX;

    slirp_pollfds_fill(u->slirp, &timeout, add_poll, u);
    return timeout > INT32_MAX ? -1 : (int)timeout;
}

static void user_polled(struct loop_poller *p)
{
    struct user *u = container_of(p, struct user, poller);

    u->in_poller = true;
    slirp_pollfds_poll(u->slirp, 0, get_revents, u);
    flush_out(u);
    u->in_poller = false;
}

/* --- options --- */

/* The mask of an address without one: the private blocks, else the old classes. */
static uint32_t default_mask(uint32_t a)
{
    if ((a & 0xfff00000) == 0xac100000) /* 172.16/12 */
        return 0xfff00000;
    if (!(a >> 31))
        return 0xff000000;
    if ((a & 0xffff0000) == 0xc0a80000 || a >> 30 == 2) /* 192.168/16 */
        return 0xffff0000;
    return 0xffffff00;
}

static bool parse_net(const char *text, uint32_t *net, uint32_t *mask, struct error *err)
{
    const char *slash = strchr(text, '/');
    AUTO_FREE char *addr = xstrndup(text, slash ? (size_t)(slash - text) : strlen(text));
    struct in_addr in, m;
    uint64_t bits;
    struct error e;

    if (!user_parse_ip4("net", addr, &in, err))
        return false;
    *mask = default_mask(ntohl(in.s_addr));
    if (slash && parse_u64(slash + 1, &bits, &e)) {
        if (bits < 4 || bits > 32)
            return fail(err, EINVAL, "net=%s: the mask has 4 to 32 bits", text);
        *mask = (uint32_t)(UINT64_C(0xffffffff) << (32 - bits));
    } else if (slash) {
        if (!user_parse_ip4("net", slash + 1, &m, err))
            return false;
        *mask = ntohl(m.s_addr);
        if (~*mask & (~*mask + 1))
            return fail(err, EINVAL, "net=%s: the mask has holes", text);
    }
    *net = ntohl(in.s_addr) & *mask;
    return true;
}

/* One address of the network; without the option, the one at `offset`. */
static bool take_address(struct optlist *o, const char *key, uint32_t net, uint32_t mask,
                         uint32_t offset, struct in_addr *ret, struct error *err)
{
    const char *text = optlist_take(o, key);

    ret->s_addr = htonl(net | (offset & ~mask));
    if (!text)
        return true;
    if (!user_parse_ip4(key, text, ret, err))
        return false;
    if ((ntohl(ret->s_addr) & mask) == net)
        return true;
    (void)fail(err, EINVAL, "%s=%s does not belong to the network", key, text);
    return fail_hint(err, "choose one in it, or set net=ADDRESS/BITS");
}

static bool take_ip4(struct user *u, struct optlist *o, struct error *err)
{
    SlirpConfig *c = &u->config;
    uint32_t net = 0x0a000200, mask = 0xffffff00;
    const char *text = optlist_take(o, "net");

    if (text && !parse_net(text, &net, &mask, err))
        return false;
    c->vnetwork.s_addr = htonl(net);
    c->vnetmask.s_addr = htonl(mask);
    /* (the guest's range may be outside of a very small network: as QEMU, wrap into it) */
    if (!take_address(o, "host", net, mask, 2, &c->vhost, err) ||
        !take_address(o, "dhcpstart", net, mask, 15, &c->vdhcp_start, err) ||
        !take_address(o, "dns", net, mask, 3, &c->vnameserver, err))
        return false;
    u->guest = c->vdhcp_start;
    if (c->vhost.s_addr == c->vnameserver.s_addr)
        return fail(err, EINVAL, "dns and host must be different addresses");
    if (c->vhost.s_addr == c->vdhcp_start.s_addr || c->vnameserver.s_addr == c->vdhcp_start.s_addr)
        return fail(err, EINVAL, "dhcpstart must be different from host and dns");
    return true;
}

static bool parse_ip6(const char *option, const char *text, struct in6_addr *ret, struct error *err)
{
    if (inet_pton(AF_INET6, text, ret) == 1)
        return true;
    return fail(err, EINVAL, "%s=%s: not an IPv6 address", option, text);
}

static bool same_prefix(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
    if (memcmp(a, b, bits / 8))
        return false;
    unsigned shift = 8 - bits % 8;
    return shift == 8 || a->s6_addr[bits / 8] >> shift == b->s6_addr[bits / 8] >> shift;
}

static bool take_ip6_address(struct user *u, struct optlist *o, const char *key, uint8_t last,
                             struct in6_addr *ret, struct error *err)
{
    const char *text = optlist_take(o, key);

    *ret = u->config.vprefix_addr6;
    ret->s6_addr[15] |= last;
    if (!text)
        return true;
    if (!parse_ip6(key, text, ret, err))
        return false;
    return same_prefix(ret, &u->config.vprefix_addr6, u->config.vprefix_len) ||
           fail(err, EINVAL, "%s=%s does not belong to the network", key, text);
}

static bool take_ip6(struct user *u, struct optlist *o, struct error *err)
{
    SlirpConfig *c = &u->config;
    const char *net = optlist_take(o, "ipv6-net"), *prefix = optlist_take(o, "ipv6-prefix");
    uint64_t bits = 64;

    if (net) {
        AUTO_FREE char *copy = xstrdup(net);
        char *slash = strchr(copy, '/');
        struct error e;
        if (slash)
            *slash = '\0';
        if (slash && (!parse_u64(slash + 1, &bits, &e) || bits > 126))
            return fail(err, EINVAL, "ipv6-net=%s: the prefix has 0 to 126 bits", net);
        if (!parse_ip6("ipv6-net", copy, &c->vprefix_addr6, err))
            return false;
    } else if (!parse_ip6("ipv6-prefix", prefix ? prefix : "fec0::", &c->vprefix_addr6, err)) {
        return false;
    }
    if (!optlist_take_u64(o, "ipv6-prefixlen", &bits, err))
        return false;
    if (bits > 126)
        return fail(err, EINVAL, "ipv6-prefixlen: 0 to 126 bits");
    c->vprefix_len = (uint8_t)bits;
    if (!take_ip6_address(u, o, "ipv6-host", 2, &c->vhost6, err) ||
        !take_ip6_address(u, o, "ipv6-dns", 3, &c->vnameserver6, err))
        return false;
    return memcmp(&c->vhost6, &c->vnameserver6, sizeof c->vhost6) ||
           fail(err, EINVAL, "ipv6-dns and ipv6-host must be different addresses");
}

static bool take_families(struct user *u, struct optlist *o, struct error *err)
{
    bool has4 = optlist_has(o, "ipv4"), has6 = optlist_has(o, "ipv6"), v4 = true, v6 = true;

    if (!optlist_take_bool(o, "ipv4", &v4, err) || !optlist_take_bool(o, "ipv6", &v6, err))
        return false;
    /* one said to be on, and nothing of the other: only that one */
    if (has4 && v4 && !has6)
        v6 = false;
    if (has6 && v6 && !has4)
        v4 = false;
    u->config.in_enabled = v4;
    u->config.in6_enabled = v6;
    return v4 || v6 || fail(err, EINVAL, "ipv4=off and ipv6=off leave no protocol");
}

/* A string that may stand as KEY (several times) and as KEY.N or KEY.N.str of JSON. */
static const char *take_listed(struct optlist *o, const char *key, unsigned *n)
{
    const char *v = optlist_take_next(o, key);
    char name[64];

    if (v)
        return v;
    snprintf(name, sizeof name, "%s.%u.str", key, *n);
    v = optlist_take(o, name);
    if (!v) {
        snprintf(name, sizeof name, "%s.%u", key, *n);
        v = optlist_take(o, name);
    }
    *n += v != NULL;
    return v;
}

static bool take_names(struct user *u, struct optlist *o, struct error *err)
{
    SlirpConfig *c = &u->config;
    unsigned n = 0, index = 0;
    struct stat st;
    const char *s;

    c->vhostname = optlist_take(o, "hostname");
    c->vdomainname = optlist_take(o, "domainname");
    c->tftp_path = optlist_take(o, "tftp");
    c->tftp_server_name = optlist_take(o, "tftp-server-name");
    c->bootfile = optlist_take(o, "bootfile");
    u->search = xnew_array(char *, SEARCH_MAX + 1);
    while ((s = take_listed(o, "dnssearch", &index))) {
        if (n == SEARCH_MAX)
            return fail(err, E2BIG, "dnssearch: more than %d domains", SEARCH_MAX);
        u->search[n++] = xstrdup(s);
    }
    c->vdnssearch = n ? (const char **)u->search : NULL;
    if (c->vhostname && strlen(c->vhostname) > 255)
        return fail(err, EINVAL, "hostname is longer than 255 characters");
    if (c->vdomainname && (!*c->vdomainname || strlen(c->vdomainname) > 255))
        return fail(err, EINVAL, "domainname: 1 to 255 characters");
    if (c->bootfile && strlen(c->bootfile) > 127)
        return fail(err, EINVAL, "bootfile is longer than 127 characters");
    if (c->tftp_server_name && strlen(c->tftp_server_name) > 255)
        return fail(err, EINVAL, "tftp-server-name is longer than 255 characters");
    if (c->tftp_path && (stat(c->tftp_path, &st) != 0 || !S_ISDIR(st.st_mode)))
        return fail(err, ENOTDIR, "tftp=%s: there is no such directory", c->tftp_path);
    return true;
}

static bool refuse_smb(struct optlist *o, struct error *err)
{
    if (!optlist_take(o, "smb") && !optlist_take(o, "smbserver"))
        return true;
    (void)fail(err, ENOTSUP, "smb: sharing a folder through samba comes with a later release");
    return fail_hint(err, "use hostfwd and a server in the guest, or tftp=DIR");
}

static bool start(struct user *u, struct optlist *o, struct error *err)
{
    unsigned index = 0;
    const char *rule;

    u->slirp = slirp_new(&u->config, &callbacks, u);
    if (!u->slirp)
        return fail(err, EINVAL, "libslirp refuses these addresses");
    loop_poller_add(u->nd.set->env.loop, &u->poller);
    while ((rule = take_listed(o, "hostfwd", &index)))
        if (!user_hostfwd(u, rule, err))
            return false;
    index = 0;
    while ((rule = take_listed(o, "guestfwd", &index)))
        if (!user_guestfwd(u, rule, err))
            return false;
    return true;
}

static bool user_open(struct netdev *nd, struct optlist *o, struct error *err)
{
    struct user *u = (struct user *)nd;
    bool restricted = false;
    char text[INET_ADDRSTRLEN];

    u->config.version = 1;
    u->poller.fill = user_fill;
    u->poller.polled = user_polled;
    u->flat = xnew_array(uint8_t, NET_FRAME_MAX);
    netdev_ports(nd, 1, &user_ops);
    nd->ports[0].offloads = NET_CAN_ALL & ~(unsigned)NET_CAN_UFO;
    const char *restrict_text = optlist_take(o, "restrict");
    if (restrict_text && !parse_bool(restrict_text, &restricted, err))
        return false;
    u->config.restricted = restricted;
    if (!take_families(u, o, err) || !take_ip4(u, o, err) || !take_ip6(u, o, err) ||
        !take_names(u, o, err) || !refuse_smb(o, err) || !start(u, o, err))
        return false;
    inet_ntop(AF_INET, &u->config.vnetwork, text, sizeof text);
    netdev_info(nd, "net=%s,restrict=%s", text, restricted ? "on" : "off");
    return true;
}

static void user_close(struct netdev *nd)
{
    struct user *u = (struct user *)nd;

    loop_poller_remove(&u->poller);
    user_fwds_free(u);
    if (u->slirp)
        slirp_cleanup(u->slirp);
    for (char **s = u->search; s && *s; s++)
        free(*s);
    free(u->search);
    net_gro_finish(&u->gro);
    net_queue_free(u->queue);
    free(u->flat);
}

const struct netdev_type netdev_user_type = {
    .name = "user",
    .size = sizeof(struct user),
    .open = user_open,
    .close = user_close,
};
