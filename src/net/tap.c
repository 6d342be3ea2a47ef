/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tap interfaces: Ethernet on the host, one descriptor per queue. With vnet_hdr the kernel takes
 * and gives frames with offloads, so that neither side cuts large ones.
 */
#include "net/net_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <spawn.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/trace.h"

enum { TAP_BURST = 64, TAP_IOV_MAX = 256 };

struct tap_queue {
    int fd;
    struct loop_fd *watch;
    uint8_t *rx; /* the packet read last: net_hdr, if any, and frame */
    size_t rx_size;
    bool rx_blocked, tx_full;
    struct net_gro gro;
};

struct tap {
    struct netdev nd;
    struct tap_queue *q;
    bool vnet_hdr;
    char ifname[IFNAMSIZ];
    char *downscript;
};
static_assert(sizeof(struct tap) <= NET_TAP_SIZE, "other types have an instance of this");

static struct tap_queue *queue_of(struct net_port *port)
{
    return &((struct tap *)port->opaque)->q[port->index];
}

static void update_events(struct tap_queue *q)
{
    loop_fd_set_events(q->watch, (q->rx_blocked ? 0 : POLLIN) | (q->tx_full ? POLLOUT : 0));
}

static bool tap_receive(struct net_port *port, const struct net_packet *p)
{
    struct tap *t = port->opaque;
    struct tap_queue *q = queue_of(port);
    struct iovec iov[TAP_IOV_MAX];
    struct net_hdr hdr = p->hdr;
    unsigned n = 0;

    if (p->count > TAP_IOV_MAX - 1)
        return true; /* no driver cuts a frame into so many pieces: lost */
    hdr.flags &= NET_NEEDS_CSUM;
    if (t->vnet_hdr)
        iov[n++] = (struct iovec){ &hdr, sizeof hdr };
    memcpy(iov + n, p->iov, p->count * sizeof *iov);
    n += p->count;
    while (writev(q->fd, iov, (int)n) < 0) {
        if (errno == EAGAIN) {
            q->tx_full = true;
            update_events(q);
            return false;
        }
        if (errno != EINTR) {
            TRACE(net, "%s: a frame of %zu bytes is lost: %s", t->nd.id, p->size, strerror(errno));
            break;
        }
    }
    return true;
}

/* Hands the packet in q->rx on; false: it stays there. */
static bool hand_on(struct tap *t, struct net_port *port)
{
    struct tap_queue *q = queue_of(port);
    size_t head = t->vnet_hdr ? sizeof(struct net_hdr) : 0;

    if (q->rx_size <= head)
        return true;
    if (!head)
        return net_gro_send(&q->gro, port, q->rx, q->rx_size);
    struct iovec iov = { q->rx + head, q->rx_size - head };
    struct net_packet p = { .iov = &iov, .count = 1, .size = q->rx_size - head };
    memcpy(&p.hdr, q->rx, sizeof p.hdr);
    return net_send(port, &p);
}

static void read_burst(struct tap *t, struct net_port *port)
{
    struct tap_queue *q = queue_of(port);

    q->rx_blocked = false;
    for (int i = 0; i < TAP_BURST; i++) {
        if (!q->rx_size) {
            ssize_t n = read(q->fd, q->rx, NET_FRAME_MAX + sizeof(struct net_hdr));
            if (n <= 0)
                break;
            q->rx_size = (size_t)n;
        }
        if (!hand_on(t, port)) {
            q->rx_blocked = true;
            break;
        }
        q->rx_size = 0;
    }
    if (!q->rx_blocked && !net_gro_flush(&q->gro, port))
        q->rx_blocked = true;
    net_flush(port);
    update_events(q);
}

static void tap_resume(struct net_port *port)
{
    read_burst(port->opaque, port);
}

/* What the guest takes, the kernel may give. */
static void tap_offloads(struct net_port *port)
{
    struct tap *t = port->opaque;
    unsigned can = net_peer_offloads(port), flags = 0;

    if (!t->vnet_hdr)
        return;
    if (can & NET_CAN_CSUM) {
        flags |= TUN_F_CSUM;
        flags |= can & NET_CAN_TSO4 ? TUN_F_TSO4 : 0;
        flags |= can & NET_CAN_TSO6 ? TUN_F_TSO6 : 0;
        if ((can & NET_CAN_ECN) && (can & (NET_CAN_TSO4 | NET_CAN_TSO6)))
            flags |= TUN_F_TSO_ECN;
    }
    if (ioctl(queue_of(port)->fd, TUNSETOFFLOAD, flags) != 0)
        TRACE(net, "%s: TUNSETOFFLOAD %#x: %s", t->nd.id, flags, strerror(errno));
}

static const struct net_ops tap_ops = {
    .receive = tap_receive,
    .resume = tap_resume,
    .offloads = tap_offloads,
};

static void tap_event(void *opaque, unsigned revents)
{
    struct net_port *port = opaque;
    struct tap_queue *q = queue_of(port);

    if (revents & POLLOUT) {
        q->tx_full = false;
        update_events(q);
        net_ready(port);
    }
    if ((revents & (POLLIN | POLLERR)) && !q->rx_blocked)
        read_burst(port->opaque, port);
}

/* --- set-up --- */

/* Does the descriptor carry struct net_hdr? Makes it as long as ours. */
static bool probe_header(int fd, bool *ret_has, struct error *err)
{
    struct ifreq ifr = { 0 };
    int size = sizeof(struct net_hdr);

    if (ioctl(fd, TUNGETIFF, &ifr) != 0) {
        (void)fail(err, errno, "descriptor %d is not a tap interface: %s", fd, strerror(errno));
        return fail_hint(err, "pass an open /dev/net/tun (or /dev/tapN) that is set up");
    }
    *ret_has = ifr.ifr_flags & IFF_VNET_HDR;
    if (*ret_has && ioctl(fd, TUNSETVNETHDRSZ, &size) != 0)
        return fail(err, errno, "TUNSETVNETHDRSZ: %s", strerror(errno));
    return true;
}

static bool start_queues(struct tap *t, const int *fds, unsigned n, struct error *err)
{
    bool has = false, first = false;

    t->q = xnew_array(struct tap_queue, n);
    netdev_ports(&t->nd, n, &tap_ops);
    for (unsigned i = 0; i < n; i++)
        t->q[i].fd = fds[i];
    for (unsigned i = 0; i < n; i++) {
        if (fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK) != 0 ||
            fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0)
            return fail(err, errno, "descriptor %d: %s", fds[i], strerror(errno));
        if (!probe_header(fds[i], &has, err))
            return false;
        if (i && has != first)
            return fail(err, EINVAL, "fds: some have vnet_hdr and others have not");
        first = t->vnet_hdr = has;
        t->q[i].rx = xnew_array(uint8_t, NET_FRAME_MAX + sizeof(struct net_hdr));
        t->nd.ports[i].offloads =
            has ? NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_ECN : 0;
        t->q[i].watch =
            loop_fd_add(t->nd.set->env.loop, fds[i], POLLIN, tap_event, &t->nd.ports[i]);
    }
    return true;
}

bool net_tap_start(struct netdev *nd, int own_fd, struct error *err)
{
    return start_queues((struct tap *)nd, &own_fd, 1, err);
}

/* One queue of the interface t->ifname, which the first one may name. */
static int open_queue(struct tap *t, bool vnet_hdr, bool required, bool many, struct error *err)
{
    struct ifreq ifr = { 0 };
    unsigned features = 0;
    AUTO_CLOSE int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        (void)fail(err, errno, "cannot open /dev/net/tun: %s", strerror(errno));
        (void)fail_hint(err, err->code == ENOENT
                                 ? "load the module tun, or create the node (c 10 200)"
                                 : "run as root, or use user networking");
        return -1;
    }
    (void)ioctl(fd, TUNGETFEATURES, &features);
    if (required && !(features & IFF_VNET_HDR)) {
        (void)fail(err, ENOTSUP, "vnet_hdr=on: this kernel's tap has no such headers");
        return -1;
    }
    if (many && !(features & IFF_MULTI_QUEUE)) {
        (void)fail(err, ENOTSUP, "queues: this kernel's tap has one queue");
        return -1;
    }
    ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | (many ? IFF_MULTI_QUEUE : 0) |
                            (vnet_hdr ? (int)(features & IFF_VNET_HDR) : 0));
    memcpy(ifr.ifr_name, t->ifname, IFNAMSIZ);
    if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
        (void)fail(err, errno, "cannot set up the tap interface '%s': %s",
                   t->ifname[0] ? t->ifname : "tap%d", strerror(errno));
        (void)fail_hint(err, err->code == EPERM   ? "it needs root or CAP_NET_ADMIN, or an "
                                                    "interface that belongs to you"
                             : err->code == EBUSY ? "another program uses it"
                                                  : "see ip tuntap");
        return -1;
    }
    memcpy(t->ifname, ifr.ifr_name, IFNAMSIZ);
    int result = fd;
    fd = -1;
    return result;
}

static bool run_script(const char *script, char *ifname, struct error *err)
{
    char *argv[] = { (char *)script, ifname, NULL };
    extern char **environ;
    int status = 0;
    pid_t pid;
    int rc = posix_spawn(&pid, script, NULL, NULL, argv, environ);

    if (rc) {
        (void)fail(err, rc, "cannot run the network script %s: %s", script, strerror(rc));
        return fail_hint(err, "use script=no and downscript=no, or name another");
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0 || fail(err, EIO, "the network script %s failed for %s (status %d)", script,
                               ifname, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static unsigned take_fds(const char *option, const char *list, int *fds, struct error *err)
{
    AUTO_FREE char *copy = xstrdup(list);
    char *save = NULL;
    unsigned n = 0;

    for (char *one = strtok_r(copy, ":", &save); one; one = strtok_r(NULL, ":", &save)) {
        if (n == NET_QUEUES_MAX) {
            (void)fail(err, E2BIG, "%s: more than %d descriptors", option, NET_QUEUES_MAX);
            return 0;
        }
        if ((fds[n++] = net_take_fd(option, one, err)) < 0)
            return 0;
    }
    if (!n)
        (void)fail(err, EINVAL, "%s is empty", option);
    return n;
}

/* vhost: the kernel's own virtio-net back end. */
static bool check_vhost(struct optlist *o, struct error *err)
{
    bool vhost = false, force = false;
    uint64_t poll_us = 0;

    if (!optlist_take_bool(o, "vhostforce", &force, err) ||
        !optlist_take_bool(o, "vhost", &vhost, err) ||
        !optlist_take_u64(o, "poll-us", &poll_us, err))
        return false;
    const char *fd = optlist_take(o, "vhostfd"), *fds = optlist_take(o, "vhostfds");
    if (!vhost && !force && !fd && !fds)
        return true;
    if (!fd && !fds && access("/dev/vhost-net", R_OK | W_OK) != 0) {
        (void)fail(err, errno, "vhost=on: cannot use /dev/vhost-net: %s", strerror(errno));
        return fail_hint(err, err->code == ENOENT ? "load the module vhost_net, or use vhost=off"
                                                  : "see its group and rights, or use vhost=off");
    }
    (void)fail(err, ENOTSUP, "vhost=on: the kernel's own data path comes with a later release");
    return fail_hint(err, "use vhost=off");
}

static bool set_sndbuf(struct tap *t, const int *fds, unsigned n, uint64_t sndbuf, bool given,
                       struct error *err)
{
    int size = sndbuf && sndbuf < INT32_MAX ? (int)sndbuf : INT32_MAX;

    for (unsigned i = 0; i < n; i++)
        if (ioctl(fds[i], TUNSETSNDBUF, &size) != 0 && given)
            return fail(err, errno, "sndbuf=%llu: %s", (unsigned long long)sndbuf, strerror(errno));
    return true;
}

struct tap_options {
    const char *ifname, *script, *downscript, *fd, *fds, *br, *helper, *vnet;
    bool vnet_hdr;
    uint64_t queues;
};

/* Refuses combinations that leave something unsaid. */
static bool check_options(const struct tap_options *t, struct error *err)
{
    if ((t->fd || t->fds || t->helper) &&
        (t->ifname || t->script || t->downscript || t->vnet || (t->fds && t->queues > 1)))
        return fail(err, EINVAL,
                    "ifname=, script=, downscript=, vnet_hdr= and queues= are invalid with %s",
                    t->fd    ? "fd="
                    : t->fds ? "fds="
                             : "helper=");
    if (!!t->fd + !!t->fds + !!t->helper > 1)
        return fail(err, EINVAL, "only one of fd=, fds= and helper= can be");
    if (t->ifname && (!*t->ifname || strlen(t->ifname) >= IFNAMSIZ))
        return fail(err, EINVAL, "ifname=%s: 1 to %d characters", t->ifname, IFNAMSIZ - 1);
    if (t->queues < 1 || t->queues > NET_QUEUES_MAX)
        return fail(err, EINVAL, "queues=%llu: 1 to %d are possible", (unsigned long long)t->queues,
                    NET_QUEUES_MAX);
    return true;
}

static unsigned open_fds(struct tap *tap, const struct tap_options *t, int *fds, struct error *err)
{
    if (t->fd || t->fds)
        return take_fds(t->fd ? "fd" : "fds", t->fd ? t->fd : t->fds, fds, err);
    if (t->helper) {
        fds[0] = net_bridge_helper(t->helper, t->br ? t->br : "br0", true, err);
        return fds[0] >= 0;
    }
    for (unsigned i = 0; i < t->queues; i++) {
        fds[i] = open_queue(tap, t->vnet_hdr, t->vnet != NULL && t->vnet_hdr, t->queues > 1, err);
        if (fds[i] < 0) {
            while (i--)
                close(fds[i]);
            return 0;
        }
    }
    return (unsigned)t->queues;
}

static bool tap_open(struct netdev *nd, struct optlist *o, struct error *err)
{
    struct tap *tap = (struct tap *)nd;
    struct tap_options t = {
        .ifname = optlist_take(o, "ifname"),
        .script = optlist_take(o, "script"),
        .downscript = optlist_take(o, "downscript"),
        .fd = optlist_take(o, "fd"),
        .fds = optlist_take(o, "fds"),
        .br = optlist_take(o, "br"),
        .helper = optlist_take(o, "helper"),
        .vnet = optlist_take(o, "vnet_hdr"),
        .vnet_hdr = true,
        .queues = 1,
    };
    int fds[NET_QUEUES_MAX];
    uint64_t sndbuf = 0;
    bool has_sndbuf = optlist_has(o, "sndbuf");

    if ((t.vnet && !parse_bool(t.vnet, &t.vnet_hdr, err)) ||
        !optlist_take_u64(o, "queues", &t.queues, err) ||
        !optlist_take_size(o, "sndbuf", 1, &sndbuf, err) || !check_vhost(o, err) ||
        !check_options(&t, err))
        return false;
    if (t.ifname)
        memcpy(tap->ifname, t.ifname, strlen(t.ifname) + 1);
    unsigned n = open_fds(tap, &t, fds, err);
    if (!n || !start_queues(tap, fds, n, err) || !set_sndbuf(tap, fds, n, sndbuf, has_sndbuf, err))
        return false;
    if (t.fd || t.fds || t.helper) {
        netdev_info(nd, t.helper ? "helper %s" : "descriptor %s",
                    t.helper ? t.helper
                    : t.fd   ? t.fd
                             : t.fds);
        return true;
    }
    netdev_info(nd, "ifname=%s", tap->ifname);
    const char *script = t.script ? t.script : "/etc/qemu-ifup";
    const char *down = t.downscript ? t.downscript : "/etc/qemu-ifdown";
    if (*script && strcmp(script, "no") && !run_script(script, tap->ifname, err))
        return false;
    if (*down && strcmp(down, "no"))
        tap->downscript = xstrdup(down);
    return true;
}

void net_tap_close(struct netdev *nd)
{
    struct tap *t = (struct tap *)nd;
    struct error err;

    if (t->downscript && !run_script(t->downscript, t->ifname, &err))
        err_print(stderr, nd->id, &err);
    for (unsigned i = 0; i < nd->queues; i++) {
        loop_fd_remove(t->q[i].watch);
        close(t->q[i].fd);
        net_gro_finish(&t->q[i].gro);
        free(t->q[i].rx);
    }
    free(t->q);
    free(t->downscript);
}

const struct netdev_type netdev_tap_type = {
    .name = "tap",
    .size = NET_TAP_SIZE,
    .open = tap_open,
    .close = net_tap_close,
};
