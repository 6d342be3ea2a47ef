/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking at frames: layout, checksums, completing and cutting. See packet.h. */
#include "net/packet.h"

#include <string.h>

#include "base/endian.h"

enum {
    ETHERTYPE_IP4 = 0x0800,
    ETHERTYPE_IP6 = 0x86dd,
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_QINQ = 0x88a8,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    TCP_FIN = 1,
    TCP_PSH = 8,
    TCP_CWR = 0x80,
};

bool net_hdr_fits(const struct net_hdr *h, unsigned offloads)
{
    if ((h->flags & NET_NEEDS_CSUM) && !(offloads & NET_CAN_CSUM))
        return false;
    if ((h->gso_type & NET_GSO_ECN) && !(offloads & NET_CAN_ECN))
        return false;
    switch (h->gso_type & ~NET_GSO_ECN) {
    case NET_GSO_NONE: return true;
    case NET_GSO_TCP4: return offloads & NET_CAN_TSO4;
    case NET_GSO_TCP6: return offloads & NET_CAN_TSO6;
    case NET_GSO_UDP: return offloads & NET_CAN_UFO;
    default: return false;
    }
}

size_t net_packet_copy(const struct net_packet *p, size_t off, void *buf, size_t len)
{
    size_t done = 0;

    for (unsigned i = 0; i < p->count && done < len; i++) {
        if (off >= p->iov[i].iov_len) {
            off -= p->iov[i].iov_len;
            continue;
        }
        size_t n = MIN(p->iov[i].iov_len - off, len - done);
        memcpy((uint8_t *)buf + done, (const uint8_t *)p->iov[i].iov_base + off, n);
        done += n;
        off = 0;
    }
    return done;
}

/* --- checksums --- */

uint64_t net_sum(const void *p, size_t len)
{
    const uint8_t *b = p;
    unsigned __int128 sum = 0;
    uint64_t lo = 0, hi = 0;

    /* 32-bit halves in 64-bit sums: no carry to care for below 16 GiB, and it vectorises */
    for (; len >= 32; b += 32, len -= 32) {
        uint64_t w[4];
        memcpy(w, b, sizeof w);
        for (int i = 0; i < 4; i++) {
            lo += (uint32_t)w[i];
            hi += w[i] >> 32;
        }
    }
    sum = (unsigned __int128)lo + hi;
    for (; len >= 2; b += 2, len -= 2)
        sum += ld_le16(b);
    if (len)
        sum += *b;
    return (uint64_t)sum;
}

uint16_t net_sum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

uint64_t net_sum_packet(const struct net_packet *p, size_t off, size_t len)
{
    uint64_t sum = 0;
    bool odd = false;

    for (unsigned i = 0; i < p->count && len; i++) {
        if (off >= p->iov[i].iov_len) {
            off -= p->iov[i].iov_len;
            continue;
        }
        size_t n = MIN(p->iov[i].iov_len - off, len);
        uint16_t part = net_sum_fold(net_sum((const uint8_t *)p->iov[i].iov_base + off, n));
        sum += odd ? __builtin_bswap16(part) : part;
        odd ^= n & 1;
        len -= n;
        off = 0;
    }
    return sum;
}

static void put_sum(uint8_t *at, uint64_t sum, bool udp)
{
    uint16_t v = (uint16_t)~net_sum_fold(sum);

    if (udp && !v)
        v = 0xffff; /* 0 would say that there is none */
    memcpy(at, &v, sizeof v);
}

/* --- layout --- */

static bool layout_ip4(struct net_layout *l, const uint8_t *head, size_t head_len,
                       size_t frame_size, bool trust_size)
{
    const uint8_t *ip = head + l->l3;

    if (head_len < l->l3 + 20u || ip[0] >> 4 != 4)
        return false;
    unsigned ihl = (ip[0] & 15) * 4;
    unsigned total = trust_size ? frame_size - l->l3 : ld_be16(ip + 2);
    if (ihl < 20 || head_len < l->l3 + ihl || total < ihl || l->l3 + total > frame_size)
        return false;
    l->ip_version = 4;
    l->l4 = (uint16_t)(l->l3 + ihl);
    l->end = l->l3 + total;
    l->protocol = ld_be16(ip + 6) & 0x3fff ? 0 : ip[9];
    return true;
}

/* Extension headers that may stand before TCP: hop-by-hop, routing, destination options. */
static bool layout_ip6(struct net_layout *l, const uint8_t *head, size_t head_len,
                       size_t frame_size, bool trust_size)
{
    const uint8_t *ip = head + l->l3;

    if (head_len < l->l3 + 40u || ip[0] >> 4 != 6)
        return false;
    size_t total = trust_size ? frame_size - l->l3 : 40u + ld_be16(ip + 4);
    size_t at = l->l3 + 40u;
    uint8_t next = ip[6];
    if (l->l3 + total > frame_size)
        return false;
    while (next == 0 || next == 43 || next == 60) {
        if (at + 8 > head_len)
            return false;
        next = head[at];
        at += (head[at + 1] + 1u) * 8;
    }
    if (at > head_len || at > l->l3 + total)
        return false;
    l->ip_version = 6;
    l->l4 = (uint16_t)at;
    l->end = (uint32_t)(l->l3 + total);
    l->protocol = next;
    return true;
}

bool net_layout(struct net_layout *l, const uint8_t *head, size_t head_len, size_t frame_size,
                bool trust_size)
{
    size_t at = 12;

    memset(l, 0, sizeof *l);
    if (head_len < NET_ETH_SIZE || frame_size > NET_FRAME_MAX)
        return false;
    uint16_t type = ld_be16(head + at);
    for (int tags = 0; (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ) && tags < 2; tags++) {
        if (head_len < at + 6)
            return false;
        if (!tags)
            l->vlan = (uint16_t)((ld_be16(head + at + 2) & 0xfff) + 1);
        at += 4;
        type = ld_be16(head + at);
    }
    l->l3 = (uint16_t)(at + 2);
    l->l4 = l->l3;
    l->end = (uint32_t)frame_size;
    if (type == ETHERTYPE_IP4   ? !layout_ip4(l, head, head_len, frame_size, trust_size)
        : type == ETHERTYPE_IP6 ? !layout_ip6(l, head, head_len, frame_size, trust_size)
                                : true)
        return false;
    if (l->protocol == PROTO_TCP) {
        if (l->l4 + 20u > head_len)
            return false;
        unsigned doff = (head[l->l4 + 12] >> 4) * 4;
        if (doff < 20 || l->l4 + doff > head_len || l->l4 + doff > l->end)
            return false;
        l->payload = (uint16_t)(l->l4 + doff);
    } else if (l->protocol == PROTO_UDP) {
        if (l->l4 + 8u > head_len || l->l4 + 8u > l->end)
            return false;
        l->payload = (uint16_t)(l->l4 + 8);
    }
    return true;
}

uint64_t net_sum_pseudo(const uint8_t *head, const struct net_layout *l, uint32_t length)
{
    unsigned addresses = l->ip_version == 4 ? l->l3 + 12 : l->l3 + 8;
    uint64_t sum = net_sum(head + addresses, l->ip_version == 4 ? 8 : 32);

    sum += __builtin_bswap16((uint16_t)length) + __builtin_bswap16((uint16_t)(length >> 16));
    return sum + (uint64_t)l->protocol * 256;
}

/* --- plain frames --- */

enum { PIECE_IOV = 64 }; /* slices of one piece: 1500 bytes in guest pages are 3 */

/* Slices of the packet's bytes off..off+len-1 behind iov[0]; number of entries in all, 0: too many
 * slices. */
static unsigned slice(const struct net_packet *p, size_t off, size_t len, struct iovec *iov)
{
    unsigned n = 1;

    for (unsigned i = 0; i < p->count && len; i++) {
        if (off >= p->iov[i].iov_len) {
            off -= p->iov[i].iov_len;
            continue;
        }
        if (n == PIECE_IOV)
            return 0;
        size_t part = MIN(p->iov[i].iov_len - off, len);
        iov[n++] = (struct iovec){ (uint8_t *)p->iov[i].iov_base + off, part };
        len -= part;
        off = 0;
    }
    return len ? 0 : n;
}

static bool complete_csum(const struct net_packet *p, net_emit_fn *emit, void *opaque)
{
    uint8_t head[NET_HEADER_MAX];
    struct iovec iov[PIECE_IOV];
    size_t head_len = net_packet_copy(p, 0, head, sizeof head);
    size_t start = p->hdr.csum_start, field = start + p->hdr.csum_offset;

    if (field + 2 > head_len)
        return false;
    uint64_t sum = net_sum(head + start, head_len - start);
    uint64_t rest = net_sum_fold(net_sum_packet(p, head_len, p->size - head_len));
    sum += (head_len - start) & 1 ? __builtin_bswap16((uint16_t)rest) : rest;
    put_sum(head + field, sum, p->hdr.csum_offset == 6);
    iov[0] = (struct iovec){ head, head_len };
    unsigned n = slice(p, head_len, p->size - head_len, iov);
    struct net_packet out = { .iov = iov, .count = n, .size = p->size };
    if (!n)
        return false;
    (void)emit(opaque, &out, 0);
    return true;
}

bool net_finish_csum(uint8_t *frame, size_t size, struct net_hdr *h)
{
    struct net_layout l;

    if (h->gso_type != NET_GSO_NONE) {
        /* a large frame: its lengths may be anything, and its sum is over all of it */
        if (!net_layout(&l, frame, MIN(size, NET_HEADER_MAX), size, true) ||
            l.protocol != PROTO_TCP || size - l.l3 > 65535)
            return false;
        if (l.ip_version == 4) {
            st_be16(frame + l.l3 + 2, (uint16_t)(size - l.l3));
            st_le16(frame + l.l3 + 10, 0);
            put_sum(frame + l.l3 + 10, net_sum(frame + l.l3, l.l4 - l.l3), false);
        } else {
            st_be16(frame + l.l3 + 4, (uint16_t)(size - l.l3 - 40));
        }
        st_le16(frame + l.l4 + 16, 0);
        put_sum(frame + l.l4 + 16,
                net_sum_pseudo(frame, &l, (uint32_t)(size - l.l4)) +
                    net_sum(frame + l.l4, size - l.l4),
                false);
    } else if (h->flags & NET_NEEDS_CSUM) {
        size_t start = h->csum_start, field = start + h->csum_offset;
        if (field + 2 > size)
            return false;
        put_sum(frame + field, net_sum(frame + start, size - start), h->csum_offset == 6);
    }
    memset(h, 0, sizeof *h);
    return true;
}

/* Lengths, numbers and flags of piece i of a TCP frame cut at mss. */
static void fix_header(uint8_t *head, const struct net_layout *l, unsigned i, size_t off,
                       size_t len, bool last)
{
    uint8_t *ip = head + l->l3, *tcp = head + l->l4;
    size_t l4_size = l->payload - l->l4 + len;

    if (l->ip_version == 4) {
        st_be16(ip + 2, (uint16_t)(l->l4 - l->l3 + l4_size));
        st_be16(ip + 4, (uint16_t)(ld_be16(ip + 4) + i));
        st_le16(ip + 10, 0);
        put_sum(ip + 10, net_sum(ip, l->l4 - l->l3), false);
    } else {
        st_be16(ip + 4, (uint16_t)(l->l4 - l->l3 - 40 + l4_size));
    }
    st_be32(tcp + 4, ld_be32(tcp + 4) + (uint32_t)off);
    if (!last)
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (i)
        tcp[13] &= (uint8_t)~TCP_CWR;
    st_le16(tcp + 16, 0);
}

static bool cut_tcp(const struct net_packet *p, net_emit_fn *emit, void *opaque)
{
    uint8_t first[NET_HEADER_MAX], head[NET_HEADER_MAX];
    struct iovec iov[PIECE_IOV];
    struct net_layout l;
    size_t head_len = net_packet_copy(p, 0, first, sizeof first);
    unsigned mss = p->hdr.gso_size;

    if (!net_layout(&l, first, head_len, p->size, true) || l.protocol != PROTO_TCP || !mss ||
        (p->hdr.gso_type & ~NET_GSO_ECN) != (l.ip_version == 4 ? NET_GSO_TCP4 : NET_GSO_TCP6))
        return false;
    size_t total = p->size - l.payload;
    /* a mean guest may ask for 65,000 pieces of one byte: it pays for them by itself, but not for
     * more than a second's worth of frames at a time */
    if (mss < 64 && total > 64u * mss)
        return false;
    iov[0] = (struct iovec){ head, l.payload };
    for (size_t off = 0, i = 0; off < total || !i; off += mss, i++) {
        size_t len = MIN(mss, total - off);
        memcpy(head, first, l.payload);
        fix_header(head, &l, (unsigned)i, off, len, off + len >= total);
        uint64_t sum = net_sum_pseudo(head, &l, (uint32_t)(l.payload - l.l4 + len)) +
                       net_sum(head + l.l4, l.payload - l.l4) +
                       net_sum_packet(p, l.payload + off, len);
        put_sum(head + l.l4 + 16, sum, false);
        unsigned n = slice(p, l.payload + off, len, iov);
        struct net_packet out = { .iov = iov, .count = n, .size = l.payload + len };
        if (!n || !emit(opaque, &out, (unsigned)i))
            return n != 0;
    }
    return true;
}

bool net_make_plain(const struct net_packet *p, net_emit_fn *emit, void *opaque)
{
    switch (p->hdr.gso_type & ~NET_GSO_ECN) {
    case NET_GSO_NONE:
        if (p->hdr.flags & NET_NEEDS_CSUM)
            return complete_csum(p, emit, opaque);
        struct net_packet out = *p;
        memset(&out.hdr, 0, sizeof out.hdr);
        (void)emit(opaque, &out, 0);
        return true;
    case NET_GSO_TCP4:
    case NET_GSO_TCP6: return cut_tcp(p, emit, opaque);
    default: return false; /* UDP fragmentation is offered only where the peer does it */
    }
}
