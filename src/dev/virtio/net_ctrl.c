/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-net: the control queue (virtio 1.2 §5.1.6.5) and the receive filter that it sets. */
#include <string.h>

#include "base/endian.h"
#include "base/trace.h"
#include "dev/virtio/net_priv.h"

enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_ANNOUNCE, CLASS_MQ, CLASS_OFFLOADS };
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST };
enum { STATUS_ANNOUNCE = 2 };

void vnet_ctrl_reset(struct vnet *n)
{
    n->promisc = true; /* a driver without a control queue gets everything */
    n->allmulti = n->alluni = n->nomulti = n->nouni = n->nobcast = false;
    n->uni.count = n->multi.count = 0;
    n->uni.overflow = n->multi.overflow = false;
    memset(n->vlans, 0, sizeof n->vlans);
    memcpy(n->mac, n->conf.mac, NET_MAC_SIZE);
}

/* --- commands: true is OK. The command's data begin at byte 2 of the chain. --- */

static bool set_rx(struct vnet *n, uint8_t cmd, const struct virtio_chain *c)
{
    uint8_t on;

    if (c->out_size != 3 || virtio_chain_read(c, 2, &on, 1) != 1)
        return false;
    switch (cmd) {
    case RX_PROMISC: n->promisc = on; return true;
    case RX_ALLMULTI: n->allmulti = on; return true;
    case RX_ALLUNI: n->alluni = on; return true;
    case RX_NOMULTI: n->nomulti = on; return true;
    case RX_NOUNI: n->nouni = on; return true;
    case RX_NOBCAST: n->nobcast = on; return true;
    default: return false;
    }
}

/* One table at *off: count, then addresses. */
static bool read_macs(struct vnet_macs *m, const struct virtio_chain *c, size_t *off)
{
    uint8_t count_le[4];
    uint64_t bytes;

    if (virtio_chain_read(c, *off, count_le, 4) != 4)
        return false;
    uint32_t count = ld_le32(count_le);
    bytes = (uint64_t)count * NET_MAC_SIZE;
    *off += 4;
    if (bytes > c->out_size - *off)
        return false;
    m->overflow = count > VNET_MACS_MAX;
    m->count = m->overflow ? 0 : count;
    if (!m->overflow)
        (void)virtio_chain_read(c, *off, m->mac, bytes);
    *off += bytes;
    return true;
}

static bool set_mac(struct vnet *n, uint8_t cmd, const struct virtio_chain *c)
{
    struct vnet_macs uni = { 0 }, multi = { 0 };
    size_t off = 2;

    if (cmd == 1) { /* VIRTIO_NET_CTRL_MAC_ADDR_SET */
        uint8_t mac[NET_MAC_SIZE];
        if (c->out_size != 2 + sizeof mac)
            return false;
        (void)virtio_chain_read(c, 2, mac, sizeof mac);
        memcpy(n->mac, mac, sizeof mac);
        return true;
    }
    if (cmd || !read_macs(&uni, c, &off) || !read_macs(&multi, c, &off) || off != c->out_size)
        return false;
    n->uni = uni;
    n->multi = multi;
    return true;
}

static bool set_vlan(struct vnet *n, uint8_t cmd, const struct virtio_chain *c)
{
    uint8_t id_le[2];

    if (c->out_size != 4 || virtio_chain_read(c, 2, id_le, 2) != 2)
        return false;
    unsigned id = ld_le16(id_le);
    if (id >= 4096 || cmd > 1)
        return false;
    if (cmd == 0)
        n->vlans[id / 64] |= UINT64_C(1) << id % 64;
    else
        n->vlans[id / 64] &= ~(UINT64_C(1) << id % 64);
    return true;
}

static bool announce(struct vnet *n, uint8_t cmd)
{
    if (cmd || !(n->status & STATUS_ANNOUNCE))
        return false;
    n->status &= (uint16_t)~STATUS_ANNOUNCE;
    return true;
}

static bool set_pairs(struct vnet *n, uint8_t cmd, const struct virtio_chain *c)
{
    uint8_t pairs_le[2];

    if (cmd || !virtio_has(&n->v, F_MQ) || c->out_size != 4 ||
        virtio_chain_read(c, 2, pairs_le, 2) != 2)
        return false;
    unsigned pairs = ld_le16(pairs_le);
    if (!pairs || pairs > n->pair_count)
        return false;
    vnet_set_active(n, pairs);
    return true;
}

static bool set_offloads(struct vnet *n, uint8_t cmd, const struct virtio_chain *c)
{
    const uint64_t known = BIT(F_GUEST_CSUM) | BIT(F_GUEST_TSO4) | BIT(F_GUEST_TSO6) |
                           BIT(F_GUEST_ECN) | BIT(F_GUEST_UFO);
    uint8_t mask_le[8];

    if (cmd || !virtio_has(&n->v, F_CTRL_GUEST_OFFLOADS) || c->out_size != 10 ||
        virtio_chain_read(c, 2, mask_le, 8) != 8)
        return false;
    uint64_t mask = ld_le64(mask_le);
    if (mask & ~(n->v.features & known))
        return false;
    n->guest_offloads = mask;
    vnet_update_offloads(n);
    return true;
}

static bool run(struct vnet *n, const struct virtio_chain *c)
{
    uint8_t head[2];

    if (virtio_chain_read(c, 0, head, 2) != 2)
        return false;
    TRACE(virtio, "%s: control command %u.%u, %zu bytes", n->v.dev.id, head[0], head[1],
          c->out_size);
    switch (head[0]) {
    case CLASS_RX: return set_rx(n, head[1], c);
    case CLASS_MAC: return set_mac(n, head[1], c);
    case CLASS_VLAN: return set_vlan(n, head[1], c);
    case CLASS_ANNOUNCE: return announce(n, head[1]);
    case CLASS_MQ: return set_pairs(n, head[1], c);
    case CLASS_OFFLOADS: return set_offloads(n, head[1], c);
    default: return false;
    }
}

void vnet_ctrl(struct vnet *n, struct virtqueue *q)
{
    struct virtio_chain *c;

    while ((c = virtio_pop(q, 0))) {
        if (c->out_size < 2 || c->in_size < 1) {
            virtio_drop(q, c);
            virtio_broken(&n->v, "a control command without class, command or room for its answer");
            return;
        }
        uint8_t ack = !run(n, c);
        (void)virtio_chain_write(c, 0, &ack, 1);
        virtio_push(q, c, 1);
    }
    virtio_notify(q);
}

/* --- the filter --- */

static bool in_table(const struct vnet_macs *m, const uint8_t *mac)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (!memcmp(m->mac[i], mac, NET_MAC_SIZE))
            return true;
    return m->overflow;
}

bool vnet_filter(const struct vnet *n, const uint8_t *head, size_t len)
{
    static const uint8_t broadcast[NET_MAC_SIZE] = { 255, 255, 255, 255, 255, 255 };

    if (n->promisc)
        return true;
    if (len >= 16 && virtio_has(&n->v, F_CTRL_VLAN) && head[12] == 0x81 && head[13] == 0) {
        unsigned id = ld_be16(head + 14) & 0xfff;
        if (!(n->vlans[id / 64] >> id % 64 & 1))
            return false;
    }
    if (!memcmp(head, broadcast, NET_MAC_SIZE))
        return !n->nobcast;
    if (head[0] & 1)
        return !n->nomulti && (n->allmulti || in_table(&n->multi, head));
    return !n->nouni &&
           (n->alluni || !memcmp(head, n->mac, NET_MAC_SIZE) || in_table(&n->uni, head));
}
