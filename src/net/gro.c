/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Joining consecutive TCP segments of a burst into one frame for a receiver that takes large ones:
 * it then handles one where there were 40. Only segments that differ in nothing but position are
 * joined, and their checksums are verified first, so that cutting it again gives them back.
 */
#include "net/net.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"

enum { TCP_ACK = 0x10, TCP_PSH = 8, PROTO_TCP = 6, PROTO_UDP = 17 };

/* Are the checksums of a TCP or UDP frame right? */
static bool sums_right(const uint8_t *f, const struct net_layout *l)
{
    uint32_t len = l->end - l->l4;

    if (l->ip_version == 4 && net_sum_fold(net_sum(f + l->l3, l->l4 - l->l3)) != 0xffff)
        return false;
    return net_sum_fold(net_sum_pseudo(f, l, len) + net_sum(f + l->l4, len)) == 0xffff;
}

static bool can_join(const uint8_t *f, const struct net_layout *l)
{
    return l->protocol == PROTO_TCP && (f[l->l4 + 13] & ~TCP_PSH) == TCP_ACK &&
           l->end > l->payload && l->l4 == l->l3 + (l->ip_version == 4 ? 20 : 40);
}

/* The same connection: addresses and ports. */
static bool same_flow(const struct net_gro_flow *w, const uint8_t *f, const struct net_layout *l)
{
    unsigned at = l->ip_version == 4 ? 12 : 8, len = l->ip_version == 4 ? 8 : 32;

    return w->size && w->layout.l3 == l->l3 && w->layout.ip_version == l->ip_version &&
           l->protocol == PROTO_TCP && w->layout.l4 == l->l4 &&
           !memcmp(w->buf + l->l4, f + l->l4, 4) &&
           !memcmp(w->buf + l->l3 + at, f + l->l3 + at, len) && !memcmp(w->buf, f, l->l3);
}

/* Does the segment carry on where the flow stands, with nothing else changed? */
static bool continues(const struct net_gro_flow *w, const uint8_t *f, const struct net_layout *l)
{
    const uint8_t *b = w->buf;
    size_t data = l->end - l->payload;

    if (!can_join(f, l) || w->layout.payload != l->payload || data > w->gso_size ||
        w->size + data > NET_GRO_SIZE_MAX || (b[l->l4 + 13] & TCP_PSH) ||
        ld_be32(f + l->l4 + 4) != w->next_seq ||
        w->size != w->layout.payload + (size_t)w->gso_size * w->segments)
        return false;
    if (l->ip_version == 4 ? b[l->l3 + 1] != f[l->l3 + 1] || b[l->l3 + 6] != f[l->l3 + 6] ||
                                 b[l->l3 + 8] != f[l->l3 + 8]
                           : memcmp(b + l->l3, f + l->l3, 4) || b[l->l3 + 7] != f[l->l3 + 7])
        return false;
    /* acknowledgement, window, options */
    return !memcmp(b + l->l4 + 8, f + l->l4 + 8, 4) && !memcmp(b + l->l4 + 14, f + l->l4 + 14, 2) &&
           !memcmp(b + l->l4 + 20, f + l->l4 + 20, l->payload - l->l4 - 20);
}

static bool send_flow(struct net_gro_flow *w, struct net_port *from)
{
    struct iovec iov = { w->buf, w->size };
    struct net_packet p = { .iov = &iov, .count = 1, .size = w->size };
    const struct net_layout *l = &w->layout;

    if (!w->size)
        return true;
    if (w->segments > 1) {
        uint8_t *ip = w->buf + l->l3;
        uint32_t l4_size = (uint32_t)w->size - l->l4;
        if (l->ip_version == 4) {
            uint16_t sum;
            st_be16(ip + 2, (uint16_t)(w->size - l->l3));
            st_le16(ip + 10, 0);
            sum = (uint16_t)~net_sum_fold(net_sum(ip, 20));
            memcpy(ip + 10, &sum, 2);
        } else {
            st_be16(ip + 4, (uint16_t)l4_size);
        }
        uint16_t pseudo = net_sum_fold(net_sum_pseudo(w->buf, l, l4_size));
        memcpy(w->buf + l->l4 + 16, &pseudo, 2);
        p.hdr = (struct net_hdr){
            .flags = NET_NEEDS_CSUM,
            .gso_type = l->ip_version == 4 ? NET_GSO_TCP4 : NET_GSO_TCP6,
            .hdr_len = l->payload,
            .gso_size = w->gso_size,
            .csum_start = l->l4,
            .csum_offset = 16,
        };
    } else {
        p.hdr.flags = NET_DATA_VALID;
    }
    if (!net_send(from, &p))
        return false;
    w->size = 0;
    return true;
}

static void append(struct net_gro_flow *w, const uint8_t *f, const struct net_layout *l)
{
    size_t data = l->end - l->payload;

    memcpy(w->buf + w->size, f + l->payload, data);
    w->size += data;
    w->segments++;
    w->next_seq += (uint32_t)data;
    w->buf[l->l4 + 13] |= f[l->l4 + 13] & TCP_PSH;
}

static bool begin(struct net_gro *g, struct net_port *from, const uint8_t *f,
                  const struct net_layout *l)
{
    struct net_gro_flow *w = NULL;

    for (unsigned i = 0; i < NET_GRO_FLOWS && !w; i++)
        if (!g->flow[i].size)
            w = &g->flow[i];
    if (!w) {
        w = &g->flow[g->victim];
        if (!send_flow(w, from))
            return false;
        g->victim = (g->victim + 1) % NET_GRO_FLOWS;
    }
    if (!w->buf)
        w->buf = xnew_array(uint8_t, NET_GRO_SIZE_MAX + NET_ETH_SIZE);
    memcpy(w->buf, f, l->end);
    w->size = l->end;
    w->segments = 1;
    w->layout = *l;
    w->gso_size = (uint16_t)(l->end - l->payload);
    w->next_seq = ld_be32(f + l->l4 + 4) + w->gso_size;
    return true;
}

bool net_gro_send(struct net_gro *g, struct net_port *from, const uint8_t *frame, size_t size)
{
    struct iovec iov = { (void *)frame, size };
    struct net_packet p = { .iov = &iov, .count = 1, .size = size };
    unsigned offloads = net_peer_offloads(from);
    struct net_layout l;

    if (!(offloads & NET_CAN_CSUM) || size > 9216 || !net_layout(&l, frame, size, size, false) ||
        !l.payload)
        return net_send(from, &p);
    /* UDP without a checksum has nothing to be found right */
    if (!(l.protocol == PROTO_UDP && !ld_be16(frame + l.l4 + 6)) && sums_right(frame, &l))
        p.hdr.flags = NET_DATA_VALID;
    struct net_gro_flow *w = NULL;
    for (unsigned i = 0; i < NET_GRO_FLOWS && !w; i++)
        if (same_flow(&g->flow[i], frame, &l))
            w = &g->flow[i];
    if (w && p.hdr.flags && continues(w, frame, &l)) {
        append(w, frame, &l);
        return true;
    }
    if (w && !send_flow(w, from))
        return false;
    bool wanted = offloads & (l.ip_version == 4 ? NET_CAN_TSO4 : NET_CAN_TSO6);
    if (wanted && p.hdr.flags && can_join(frame, &l))
        return begin(g, from, frame, &l);
    return net_send(from, &p);
}

bool net_gro_flush(struct net_gro *g, struct net_port *from)
{
    for (unsigned i = 0; i < NET_GRO_FLOWS; i++)
        if (!send_flow(&g->flow[i], from))
            return false;
    return true;
}

void net_gro_finish(struct net_gro *g)
{
    for (unsigned i = 0; i < NET_GRO_FLOWS; i++) {
        free(g->flow[i].buf);
        g->flow[i] = (struct net_gro_flow){ 0 };
    }
}
