/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net (virtio 1.2 §5.1). Packets go from guest memory to the netdev and back as they are:
 * offloads are done by whoever is last able to, see net/net.h. The guest's sending is carried out
 * in the main thread, in bursts, while its vCPU goes on; kicks are off meanwhile.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/scope.h"
#include "base/trace.h"
#include "dev/virtio/net_priv.h"
#include "dev/virtio/virtio_pci.h"

enum { /* configuration, §5.1.4 */
       CONFIG_MAC = 0,
       CONFIG_STATUS = 6,
       CONFIG_PAIRS = 8,
       CONFIG_MTU = 10,
       CONFIG_SPEED = 12,
       CONFIG_DUPLEX = 16,
       CONFIG_SIZE = 17,
};

enum {
    STATUS_LINK_UP = 1,
    HDR_LEGACY = 10, /* struct virtio_net_hdr without num_buffers */
    HDR_MODERN = 12,
    TX_BURST = 256,     /* packets at a time, under the machine lock */
    RX_CHAINS_MAX = 64, /* buffers that one packet may take */
    QUEUE_SIZE_MIN = 256,
    CTRL_QUEUE_SIZE = 64,
    ROUNDS_MAX = 16,
    HEAD_SIZE = 18, /* what the filter looks at */
};

static struct vnet *vnet_of(struct virtio_dev *v)
{
    return (struct vnet *)v;
}

static size_t header_size(const struct vnet *n)
{
    return virtio_has(&n->v, VIRTIO_F_VERSION_1) || virtio_has(&n->v, F_MRG_RXBUF) ? HDR_MODERN
                                                                                   : HDR_LEGACY;
}

/* --- to the guest --- */

/* Chains for `need` bytes; their number, 0: there are not enough now, all are back in the ring. */
static unsigned take_chains(struct vnet_pair *p, size_t need, bool many, struct virtio_chain **c)
{
    unsigned count = 0;
    size_t room = 0;

    while (room < need) {
        struct virtio_chain *one = count < (many ? RX_CHAINS_MAX : 1) ? virtio_pop(p->rx, 0) : NULL;
        if (!one)
            break;
        c[count++] = one;
        room += one->in_size;
    }
    if (room >= need)
        return count;
    bool hopeless = count == (many ? RX_CHAINS_MAX : 1);
    if (hopeless)
        return count; /* the packet is longer than any room the driver gives: cut, see below */
    while (count)
        virtio_unpop(p->rx, c[--count]);
    return 0;
}

/* Copies header and packet into the chains; false: the packet did not fit. */
static bool fill_chains(struct virtio_chain **c, unsigned count, const uint8_t *hdr, size_t hdr_len,
                        const struct net_packet *p, size_t *written)
{
    size_t at = 0; /* in the packet */
    unsigned piece = 0;
    size_t piece_off = 0;

    for (unsigned i = 0; i < count; i++) {
        size_t off = i ? 0 : virtio_chain_write(c[0], 0, hdr, hdr_len);
        while (piece < p->count && off < c[i]->in_size) {
            size_t want = p->iov[piece].iov_len - piece_off;
            size_t done = virtio_chain_write(
                c[i], off, (const uint8_t *)p->iov[piece].iov_base + piece_off, want);
            off += done;
            at += done;
            piece_off += done;
            if (piece_off == p->iov[piece].iov_len) {
                piece++;
                piece_off = 0;
            }
        }
        written[i] = off;
    }
    return at == p->size;
}

/* Are there buffers now, or is the guest told to kick when it adds some? */
static unsigned take_or_wait(struct vnet_pair *p, size_t need, bool many, struct virtio_chain **c)
{
    unsigned count = take_chains(p, need, many, c);

    if (count)
        return count;
    if (virtio_kicks_on(p->rx))
        return 0;
    count = take_chains(p, need, many, c); /* some came just now */
    if (count)
        virtio_kicks_off(p->rx);
    return count;
}

static bool vnet_receive(struct net_port *port, const struct net_packet *packet)
{
    struct vnet_pair *p = port->opaque;
    struct vnet *n = p->n;
    struct virtio_chain *c[RX_CHAINS_MAX];
    size_t written[RX_CHAINS_MAX], hdr_len = header_size(n);
    bool many = virtio_has(&n->v, F_MRG_RXBUF);
    uint8_t head[HEAD_SIZE], hdr[HDR_MODERN];

    if (!virtio_queue_ready(p->rx) || !n->active)
        return true; /* a NIC that is not running hears nothing */
    if (port->index >= n->active)
        p = &n->pairs[0];
    size_t got = net_packet_copy(packet, 0, head, sizeof head);
    if (!vnet_filter(n, head, got))
        return true;
    unsigned count = take_or_wait(p, hdr_len + packet->size, many, c);
    if (!count)
        return false;
    struct net_hdr h = packet->hdr;
    if (!(port->offloads & NET_CAN_CSUM))
        h = (struct net_hdr){ 0 };
    memcpy(hdr, &h, sizeof h);
    st_le16(hdr + HDR_LEGACY, many || hdr_len == HDR_MODERN ? (uint16_t)count : 0);
    if (!fill_chains(c, count, hdr, hdr_len, packet, written)) {
        TRACE(virtio, "%s: a packet of %zu bytes finds no buffer that is large enough", n->v.dev.id,
              packet->size);
        while (count)
            virtio_unpop(p->rx, c[--count]);
        return true;
    }
    virtio_push_many(p->rx, c, written, count);
    virtio_kicks_off(p->rx);
    return true;
}

static void vnet_flush(struct net_port *port)
{
    struct vnet_pair *p = port->opaque;

    if (port->index >= p->n->active)
        p = &p->n->pairs[0];
    if (virtio_queue_ready(p->rx))
        virtio_notify(p->rx);
}

/* The guest added receive buffers. */
static void handle_rx(struct vnet_pair *p)
{
    virtio_kicks_off(p->rx);
    net_ready(&p->port);
    /* packets of pairs that are not in use come here, too */
    for (unsigned i = p->n->active; p == &p->n->pairs[0] && i < p->n->pair_count; i++)
        net_ready(&p->n->pairs[i].port);
}

/* --- from the guest --- */

/* Strips the header off the chain and makes a packet of the rest; false: the device is broken. */
static bool make_packet(struct vnet *n, struct virtio_chain *c, struct net_packet *packet)
{
    size_t skip = header_size(n);
    struct iovec *iov = c->out;
    unsigned count = c->out_count;
    struct net_hdr h;

    if (c->out_size < skip || c->in_count) {
        virtio_broken(&n->v, "a packet to be sent of %zu bytes, %u pieces to be written",
                      c->out_size, c->in_count);
        return false;
    }
    (void)virtio_chain_read(c, 0, &h, sizeof h);
    *packet = (struct net_packet){ .hdr = h, .size = c->out_size - skip };
    packet->hdr.flags &= NET_NEEDS_CSUM;
    for (; skip; iov++, count--) {
        size_t part = MIN(skip, iov->iov_len);
        skip -= part;
        if (part < iov->iov_len) {
            iov->iov_base = (uint8_t *)iov->iov_base + part;
            iov->iov_len -= part;
            break;
        }
    }
    packet->iov = iov;
    packet->count = count;
    return true;
}

/* Sends until the ring is empty (true), the peer is full or the burst is long (false). */
static bool send_burst(struct vnet_pair *p)
{
    struct vnet *n = p->n;
    unsigned sent = 0;

    while (sent < TX_BURST) {
        if (!p->held) {
            p->held = virtio_pop(p->tx, 0);
            if (!p->held)
                break;
            if (!make_packet(n, p->held, &p->packet)) {
                virtio_drop(p->tx, TAKE(p->held));
                break;
            }
        }
        p->waiting = !net_send(&p->port, &p->packet);
        if (p->waiting)
            break;
        virtio_push(p->tx, TAKE(p->held), 0);
        sent++;
    }
    if (sent) {
        net_flush(&p->port);
        virtio_notify(p->tx);
    }
    return !p->waiting && sent < TX_BURST;
}

static void send_all(struct vnet_pair *p)
{
    if (p->sending || p->waiting || !virtio_queue_ready(p->tx))
        return;
    p->sending = true;
    virtio_kicks_off(p->tx);
    bool empty = send_burst(p);
    /* more came between the last look and the kicks being on: they were not announced */
    for (unsigned rounds = 0; empty && !virtio_kicks_on(p->tx); rounds++) {
        virtio_kicks_off(p->tx);
        empty = send_burst(p) && rounds < ROUNDS_MAX;
    }
    p->sending = false;
    if (!empty && !p->waiting)
        timer_set_ns(&p->tx_later, 0);
}

static void send_later(void *opaque)
{
    send_all(opaque);
}

static void handle_tx(struct vnet_pair *p)
{
    if (p->waiting || timer_armed(&p->tx_later))
        return;
    virtio_kicks_off(p->tx);
    if (ioctx_here(ioctx_main(p->n->v.dev.ctx.loop)))
        send_all(p);
    else
        timer_set_ns(&p->tx_later, 0);
}

/* The peer has room. */
static void vnet_resume(struct net_port *port)
{
    struct vnet_pair *p = port->opaque;

    p->waiting = false;
    send_all(p);
}

static void drop_held(struct vnet_pair *p)
{
    timer_cancel(&p->tx_later);
    if (p->held)
        virtio_drop(p->tx, TAKE(p->held));
    p->waiting = false;
}

static void handle(struct virtio_dev *v, struct virtqueue *q)
{
    struct vnet *n = vnet_of(v);
    unsigned i = virtio_queue_index(q);

    /* without multi-queue the control queue stands behind the first pair */
    if (i == (virtio_has(v, F_MQ) ? 2 * n->pair_count : 2)) {
        for (unsigned rounds = 0; rounds < ROUNDS_MAX; rounds++) {
            vnet_ctrl(n, q);
            if (virtio_kicks_on(q))
                break;
        }
    } else if (i < 2 * n->pair_count) {
        (i & 1 ? handle_tx : handle_rx)(&n->pairs[i / 2]);
    }
}

/* --- link and offloads --- */

static void vnet_link(struct net_port *port, bool up)
{
    struct vnet *n = ((struct vnet_pair *)port->opaque)->n;
    uint16_t status = (uint16_t)((n->status & ~STATUS_LINK_UP) | (up ? STATUS_LINK_UP : 0));

    if (port->index || status == n->status)
        return;
    n->status = status;
    if (n->v.dev.ready)
        virtio_config_changed(&n->v);
}

static const struct net_ops vnet_ops = {
    .receive = vnet_receive,
    .flush = vnet_flush,
    .resume = vnet_resume,
    .link = vnet_link,
};

void vnet_update_offloads(struct vnet *n)
{
    uint64_t on = n->guest_offloads;
    unsigned can = 0;

    if (on & BIT(F_GUEST_CSUM)) {
        can |= NET_CAN_CSUM;
        can |= on & BIT(F_GUEST_TSO4) ? NET_CAN_TSO4 : 0;
        can |= on & BIT(F_GUEST_TSO6) ? NET_CAN_TSO6 : 0;
        can |= on & BIT(F_GUEST_ECN) ? NET_CAN_ECN : 0;
    }
    for (unsigned i = 0; i < n->pair_count; i++)
        net_set_offloads(&n->pairs[i].port, can);
}

void vnet_set_active(struct vnet *n, unsigned pairs)
{
    n->active = pairs;
    for (unsigned i = 0; i < n->pair_count; i++)
        net_ready(&n->pairs[i].port);
}

/* --- virtio --- */

static uint64_t vnet_offer(struct virtio_dev *v)
{
    const struct vnet *n = vnet_of(v);
    const struct {
        bool on;
        uint8_t bit;
    } rows[] = {
        { n->csum, F_CSUM },
        { n->guest_csum, F_GUEST_CSUM },
        { n->ctrl_vq && n->ctrl_guest_offloads, F_CTRL_GUEST_OFFLOADS },
        { n->host_mtu != 0, F_MTU },
        { true, F_MAC },
        { n->csum && n->gso && v->legacy, F_GSO },
        { n->guest_csum && n->guest_tso4, F_GUEST_TSO4 },
        { n->guest_csum && n->guest_tso6, F_GUEST_TSO6 },
        { n->guest_csum && n->guest_ecn && (n->guest_tso4 || n->guest_tso6), F_GUEST_ECN },
        { n->csum && n->host_tso4, F_HOST_TSO4 },
        { n->csum && n->host_tso6, F_HOST_TSO6 },
        { n->csum && n->host_ecn && (n->host_tso4 || n->host_tso6), F_HOST_ECN },
        { n->mrg_rxbuf, F_MRG_RXBUF },
        { n->status_prop, F_STATUS },
        { n->ctrl_vq, F_CTRL_VQ },
        { n->ctrl_vq && n->ctrl_rx, F_CTRL_RX },
        { n->ctrl_vq && n->ctrl_vlan, F_CTRL_VLAN },
        { n->ctrl_vq && n->ctrl_rx_extra, F_CTRL_RX_EXTRA },
        { n->ctrl_vq && n->guest_announce && n->status_prop, F_GUEST_ANNOUNCE },
        { n->ctrl_vq && n->mq, F_MQ },
        { n->ctrl_vq && n->ctrl_mac_addr, F_CTRL_MAC_ADDR },
        { n->speed != -1 || n->duplex, F_SPEED_DUPLEX },
    };
    uint64_t f = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        f |= rows[i].on ? UINT64_C(1) << rows[i].bit : 0;
    return f;
}

static bool vnet_negotiated(struct virtio_dev *v, uint64_t features)
{
    struct vnet *n = vnet_of(v);

    if (!(features & BIT(F_CTRL_VLAN)))
        memset(n->vlans, 0xff, sizeof n->vlans);
    n->guest_offloads = features & (BIT(F_GUEST_CSUM) | BIT(F_GUEST_TSO4) | BIT(F_GUEST_TSO6) |
                                    BIT(F_GUEST_ECN) | BIT(F_GUEST_UFO));
    vnet_update_offloads(n);
    return true;
}

static void vnet_config_read(struct virtio_dev *v)
{
    struct vnet *n = vnet_of(v);

    memcpy(v->config + CONFIG_MAC, n->mac, NET_MAC_SIZE);
    st_le16(v->config + CONFIG_STATUS, n->status);
    st_le16(v->config + CONFIG_PAIRS, (uint16_t)n->pair_count);
    st_le16(v->config + CONFIG_MTU, n->host_mtu);
    st_le32(v->config + CONFIG_SPEED, (uint32_t)n->speed);
    v->config[CONFIG_DUPLEX] = !n->duplex ? 0xff : !strcmp(n->duplex, "full");
}

/* A legacy driver sets its address here. */
static void vnet_config_written(struct virtio_dev *v, uint32_t off, uint32_t len)
{
    struct vnet *n = vnet_of(v);

    if (!virtio_has(v, VIRTIO_F_VERSION_1) && !virtio_has(v, F_CTRL_MAC_ADDR))
        memcpy(n->mac, v->config + CONFIG_MAC, NET_MAC_SIZE);
}

static void vnet_status(struct virtio_dev *v, uint8_t old)
{
    struct vnet *n = vnet_of(v);

    /* what waited for the driver goes on: to it, or, as nobody is there, to nowhere */
    if ((v->status ^ old) & VIRTIO_STATUS_DRIVER_OK)
        for (unsigned i = 0; i < n->pair_count; i++)
            net_ready(&n->pairs[i].port);
}

static void vnet_stop(struct virtio_dev *v)
{
    struct vnet *n = vnet_of(v);

    for (unsigned i = 0; i < n->pair_count; i++)
        drop_held(&n->pairs[i]);
    vnet_ctrl_reset(n);
    n->active = 1;
    n->guest_offloads = 0;
    vnet_update_offloads(n);
}

static void vnet_queue_reset(struct virtio_dev *v, unsigned index)
{
    struct vnet *n = vnet_of(v);

    if ((index & 1) && index / 2 < n->pair_count)
        drop_held(&n->pairs[index / 2]);
}

static const struct virtio_type vnet_vtype = {
    .name = "virtio-net",
    .id = 1,
    .pci_class = 0x0200,
    .legacy_pci_device = 0x1000,
    .config_size = CONFIG_SIZE,
    .offer = vnet_offer,
    .negotiated = vnet_negotiated,
    .config_read = vnet_config_read,
    .config_written = vnet_config_written,
    .status = vnet_status,
    .stop = vnet_stop,
    .queue_reset = vnet_queue_reset,
};

/* --- life --- */

static void vnet_defaults(struct device *dev)
{
    struct vnet *n = (struct vnet *)dev;

    virtio_defaults(&n->v);
    nic_defaults(&n->conf);
    n->csum = n->gso = n->guest_csum = n->guest_tso4 = n->guest_tso6 = n->guest_ecn = true;
    n->guest_ufo = n->guest_announce = n->host_tso4 = n->host_tso6 = n->host_ecn = true;
    n->host_ufo = n->mrg_rxbuf = n->status_prop = n->ctrl_vq = n->ctrl_rx = n->ctrl_vlan = true;
    n->ctrl_rx_extra = n->ctrl_mac_addr = n->ctrl_guest_offloads = true;
    n->rx_queue_size = n->tx_queue_size = QUEUE_SIZE_MIN;
    n->speed = -1;
    n->x_txtimer = 150000;
    n->x_txburst = TX_BURST;
    n->rsc_interval = 300000;
}

static bool check_size(const char *name, uint16_t size, struct error *err)
{
    return (size >= QUEUE_SIZE_MIN && size <= VIRTIO_QUEUE_SIZE_MAX && is_pow2(size)) ||
           fail(err, EINVAL, "%s=%u: it is a power of two from %u to %u", name, size,
                QUEUE_SIZE_MIN, VIRTIO_QUEUE_SIZE_MAX);
}

static bool refuse(bool wanted, const char *prop, const char *later, struct error *err)
{
    if (!wanted)
        return true;
    (void)fail(err, ENOTSUP, "%s=on: %s with a later release", prop, later);
    return fail_hint(err, "leave it off");
}

static bool check_props(struct vnet *n, struct error *err)
{
    if (n->duplex && strcmp(n->duplex, "full") && strcmp(n->duplex, "half"))
        return fail(err, EINVAL, "duplex=%s: it is full or half", n->duplex);
    if (n->speed < -1)
        return fail(err, EINVAL, "speed=%d: it is in Mbit/s, or -1", n->speed);
    if (n->host_mtu && n->host_mtu < 68)
        return fail(err, EINVAL, "host_mtu=%u: it is 68 or more", n->host_mtu);
    if (n->tx && strcmp(n->tx, "bh") && strcmp(n->tx, "timer"))
        return fail(err, EINVAL, "tx=%s: it is bh or timer", n->tx);
    if (n->tx && !strcmp(n->tx, "timer"))
        return refuse(true, "tx=timer", "sending by a timer comes", err);
    return check_size("rx_queue_size", n->rx_queue_size, err) &&
           check_size("tx_queue_size", n->tx_queue_size, err) &&
           refuse(n->rss, "rss", "receive-side scaling by hash comes", err) &&
           refuse(n->hash, "hash", "hash reports come", err) &&
           refuse(n->guest_rsc_ext, "guest_rsc_ext", "segment coalescing in Windows' form comes",
                  err) &&
           refuse(n->failover, "failover", "failover to another NIC comes", err);
}

static bool vnet_init(struct device *dev, struct error *err)
{
    struct vnet *n = (struct vnet *)dev;
    struct netdev *nd = n->conf.netdev;

    if (!check_props(n, err) || !nic_settle(&n->conf, dev, err))
        return false;
    n->pair_count = n->mq && nd ? MIN(nd->queues, VNET_PAIRS_MAX) : 1;
    if (nd && nd->queues > n->pair_count)
        TRACE(virtio, "%s: netdev %s has %u queues, one is used without mq=on", dev->id, nd->id,
              nd->queues);
    virtio_init(&n->v, &vnet_vtype, 0);
    n->pairs = xnew_array(struct vnet_pair, n->pair_count);
    for (unsigned i = 0; i < n->pair_count; i++) {
        struct vnet_pair *p = &n->pairs[i];
        p->n = n;
        p->rx = virtio_queue_add(&n->v, n->rx_queue_size, handle);
        p->tx = virtio_queue_add(&n->v, n->tx_queue_size, handle);
        virtio_queue_own_kicks(p->rx);
        virtio_queue_own_kicks(p->tx);
        timer_init(&p->tx_later, dev->ctx.loop, CLOCK_RT, send_later, p);
        net_port_init(&p->port, &vnet_ops, p);
        p->port.index = i;
    }
    if (n->ctrl_vq)
        virtio_queue_own_kicks(virtio_queue_add(&n->v, CTRL_QUEUE_SIZE, handle));
    for (unsigned i = 0; nd && i < n->pair_count; i++)
        net_connect(&n->pairs[i].port, &nd->ports[i]);
    if (!nd)
        n->status |= STATUS_LINK_UP; /* as QEMU's: the cable is in, nobody is there */
    return true;
}

static void vnet_finish(struct device *dev)
{
    struct vnet *n = (struct vnet *)dev;

    if (n->pairs) {
        virtio_stop(&n->v);
        for (unsigned i = 0; i < n->pair_count; i++) {
            drop_held(&n->pairs[i]);
            net_port_finish(&n->pairs[i].port);
        }
    }
    virtio_finish(&n->v);
    free(n->pairs);
    n->pairs = NULL;
    n->pair_count = 0;
}

static void vnet_reset(struct device *dev)
{
    virtio_reset(&((struct vnet *)dev)->v);
}

#define VNET_BOOL(m, text) FIELD(struct vnet, m, .doc = text " [on]")

const struct device_type virtio_net_type = {
    .name = "virtio-net-device",
    .doc = "virtio network card, on any virtio transport",
    .size = sizeof(struct vnet),
    .bus = "virtio-bus",
    .category = DEVICE_NETWORK,
    .props = FIELDS(
        NIC_PROPS(struct vnet, conf), VIRTIO_PROPS(struct vnet, v),
        VNET_BOOL(csum, "the guest may leave checksums to us"),
        VNET_BOOL(gso, "legacy: the guest may send large frames"),
        VNET_BOOL(guest_csum, "the guest takes frames without checksum"),
        VNET_BOOL(guest_tso4, "the guest takes large TCP/IPv4 frames"),
        VNET_BOOL(guest_tso6, "the guest takes large TCP/IPv6 frames"),
        VNET_BOOL(guest_ecn, "the guest takes large TCP frames with ECN"),
        VNET_BOOL(guest_ufo, "the guest takes large UDP frames, where the netdev has them"),
        VNET_BOOL(guest_announce, "we may ask the guest to announce itself"),
        VNET_BOOL(host_tso4, "the guest may send large TCP/IPv4 frames"),
        VNET_BOOL(host_tso6, "the guest may send large TCP/IPv6 frames"),
        VNET_BOOL(host_ecn, "the guest may send large TCP frames with ECN"),
        VNET_BOOL(host_ufo, "the guest may send large UDP frames, where the netdev takes them"),
        VNET_BOOL(mrg_rxbuf, "a received packet may take several buffers"),
        FIELD(struct vnet, status_prop, .wire = "status", .doc = "show the link's state [on]"),
        VNET_BOOL(ctrl_vq, "control queue"), VNET_BOOL(ctrl_rx, "receive modes"),
        VNET_BOOL(ctrl_vlan, "VLAN filter"), VNET_BOOL(ctrl_rx_extra, "more receive modes"),
        VNET_BOOL(ctrl_mac_addr, "the guest may change its address"),
        VNET_BOOL(ctrl_guest_offloads, "the guest may switch its offloads"),
        FIELD(struct vnet, mq, .doc = "as many queue pairs as the netdev has [off]"),
        FIELD(struct vnet, rss, .doc = "not in this release [off]"),
        FIELD(struct vnet, hash, .doc = "not in this release [off]"),
        FIELD(struct vnet, guest_rsc_ext, .doc = "not in this release [off]"),
        FIELD(struct vnet, failover, .doc = "not in this release [off]"),
        FIELD(struct vnet, host_mtu, .doc = "MTU told to the guest; 0: not told [0]"),
        FIELD(struct vnet, rx_queue_size, .doc = "receive buffers of a queue [256]"),
        FIELD(struct vnet, tx_queue_size, .doc = "entries of a transmit queue [256]"),
        FIELD(struct vnet, speed, .doc = "Mbit/s told to the guest; -1: not told [-1]"),
        FIELD(struct vnet, duplex, .doc = "full or half, told to the guest [not told]"),
        FIELD(struct vnet, tx, .doc = "bh: send in the main thread [bh]"),
        FIELD(struct vnet, x_txtimer, .wire = "x-txtimer", .doc = "no effect"),
        FIELD(struct vnet, x_txburst, .wire = "x-txburst", .doc = "no effect"),
        FIELD(struct vnet, rsc_interval, .doc = "no effect")),
    .defaults = vnet_defaults,
    .init = vnet_init,
    .finish = vnet_finish,
    .reset = vnet_reset,
};

VIRTIO_PCI_TYPE(virtio_net_pci, virtio_net_type, "virtio-net-pci", DEVICE_NETWORK,
                "virtio network card", .alias = "virtio-net");
