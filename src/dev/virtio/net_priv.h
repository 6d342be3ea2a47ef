/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the virtio-net device (virtio 1.2 §5.1): net.c moves packets, net_ctrl.c has the control
 * queue and the receive filter. */
#ifndef DEV_VIRTIO_NET_PRIV_H
#define DEV_VIRTIO_NET_PRIV_H

#include "dev/net/nic.h"
#include "dev/virtio/virtio.h"

enum { /* feature bits, §5.1.3 */
       F_CSUM = 0,
       F_GUEST_CSUM = 1,
       F_CTRL_GUEST_OFFLOADS = 2,
       F_MTU = 3,
       F_MAC = 5,
       F_GSO = 6, /* legacy: both of TSO4 and TSO6 */
       F_GUEST_TSO4 = 7,
       F_GUEST_TSO6 = 8,
       F_GUEST_ECN = 9,
       F_GUEST_UFO = 10,
       F_HOST_TSO4 = 11,
       F_HOST_TSO6 = 12,
       F_HOST_ECN = 13,
       F_HOST_UFO = 14,
       F_MRG_RXBUF = 15,
       F_STATUS = 16,
       F_CTRL_VQ = 17,
       F_CTRL_RX = 18,
       F_CTRL_VLAN = 19,
       F_CTRL_RX_EXTRA = 20,
       F_GUEST_ANNOUNCE = 21,
       F_MQ = 22,
       F_CTRL_MAC_ADDR = 23,
       F_SPEED_DUPLEX = 63,
};

enum { VNET_MACS_MAX = 64, VNET_VLAN_WORDS = 4096 / 64, VNET_PAIRS_MAX = NET_QUEUES_MAX };

struct vnet;

struct vnet_pair {
    struct vnet *n;
    struct virtqueue *rx, *tx;
    struct net_port port;
    struct timer tx_later; /* sends what is in the ring, in the main thread */
    /* the packet that the peer had no room for, its header stripped */
    struct virtio_chain *held;
    struct net_packet packet;
    bool waiting, sending;
};

/* Addresses of one kind (unicast, multicast) that pass. */
struct vnet_macs {
    uint32_t count;
    bool overflow; /* there were more than the table holds: all pass */
    uint8_t mac[VNET_MACS_MAX][NET_MAC_SIZE];
};

struct vnet {
    struct virtio_dev v;
    /* properties */
    struct nic_conf conf;
    bool csum, gso, guest_csum, guest_tso4, guest_tso6, guest_ecn, guest_ufo, guest_announce;
    bool host_tso4, host_tso6, host_ecn, host_ufo, mrg_rxbuf, status_prop, ctrl_vq, ctrl_rx;
    bool ctrl_vlan, ctrl_rx_extra, ctrl_mac_addr, ctrl_guest_offloads, mq, rss, hash;
    bool guest_rsc_ext, failover;
    uint16_t host_mtu, rx_queue_size, tx_queue_size;
    uint32_t x_txtimer, rsc_interval;
    int32_t speed, x_txburst;
    char *duplex, *tx;
    /* constant after init */
    struct vnet_pair *pairs;
    unsigned pair_count;
    /* machine lock */
    unsigned active; /* pairs in use */
    uint16_t status;
    uint8_t mac[NET_MAC_SIZE];
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
    struct vnet_macs uni, multi;
    uint64_t vlans[VNET_VLAN_WORDS];
    uint64_t guest_offloads; /* features 1, 7 to 10 that are switched on */
};

/* net_ctrl.c; machine lock held */
void vnet_ctrl(struct vnet *n, struct virtqueue *q); /* handler of the control queue */
void vnet_ctrl_reset(struct vnet *n);
/* Does the frame of which head is the beginning pass the filter? */
bool vnet_filter(const struct vnet *n, const uint8_t *head, size_t len);
/* net.c */
void vnet_update_offloads(struct vnet *n);
void vnet_set_active(struct vnet *n, unsigned pairs);

#endif
