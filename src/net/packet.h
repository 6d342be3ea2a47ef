/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ethernet frames on their way through the emulator, with the offload metadata of virtio-net, and
 * what software does about them: checksums, cutting large TCP and UDP frames into small ones,
 * joining small TCP frames into large ones. Nothing here allocates. All of a frame's bytes may be
 * guest memory that changes meanwhile: headers are copied once, then looked at.
 */
#ifndef NET_PACKET_H
#define NET_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/bits.h"

enum {
    NET_FRAME_MAX = 65536 + 64, /* bytes of a frame, offloads included */
    NET_HEADER_MAX = 256,       /* Ethernet, tags, IP with options, TCP */
    NET_ETH_SIZE = 14,
    NET_MAC_SIZE = 6,
};

enum { NET_NEEDS_CSUM = 1, NET_DATA_VALID = 2 }; /* net_hdr.flags, virtio 1.2 §5.1.6 */
enum {
    NET_GSO_NONE = 0,
    NET_GSO_TCP4 = 1,
    NET_GSO_UDP = 3,
    NET_GSO_TCP6 = 4,
    NET_GSO_ECN = 0x80,
};

/* struct virtio_net_hdr in host byte order; all zero: a plain frame with complete checksums. */
struct net_hdr {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size;
    uint16_t csum_start, csum_offset;
};
_Static_assert(sizeof(struct net_hdr) == 10, "as on the wire and in tap");

struct net_packet {
    struct net_hdr hdr;
    const struct iovec *iov;
    unsigned count;
    size_t size; /* bytes in iov */
};

/* What a receiver takes beyond plain frames. */
enum net_offload {
    NET_CAN_CSUM = BIT(0),
    NET_CAN_TSO4 = BIT(1),
    NET_CAN_TSO6 = BIT(2),
    NET_CAN_ECN = BIT(3),
    NET_CAN_UFO = BIT(4),
    NET_CAN_ALL = 31,
};

/* Does a receiver with these offloads take the packet as it is? */
bool net_hdr_fits(const struct net_hdr *h, unsigned offloads);

/* Copies up to len bytes from off; returns how many were there. */
size_t net_packet_copy(const struct net_packet *p, size_t off, void *buf, size_t len);

/* --- Internet checksums (RFC 1071): sums in host order of 16-bit little-endian words --- */
uint64_t net_sum(const void *p, size_t len);
/* Of len bytes from off in the packet; correct at odd boundaries, too. */
uint64_t net_sum_packet(const struct net_packet *p, size_t off, size_t len);
uint16_t net_sum_fold(uint64_t sum); /* not complemented; store with memcpy */

/* Where things are in a frame; all offsets checked against its size. */
struct net_layout {
    uint8_t ip_version; /* 0: neither */
    uint8_t protocol;   /* 0: not known, a later fragment, ... */
    uint16_t l3, l4;    /* offsets of the IP header and of what it carries */
    uint16_t payload;   /* offset behind the TCP or UDP header; 0: not TCP or UDP */
    uint32_t end;       /* of the IP datagram */
    uint16_t vlan;      /* tag + 1 of the outer tag; 0: none */
};
/* head: the frame's first head_len bytes (all, or NET_HEADER_MAX); frame_size: of all. A large
 * frame for offload may say any IP length: trust_size takes frame_size for it. */
bool net_layout(struct net_layout *l, const uint8_t *head, size_t head_len, size_t frame_size,
                bool trust_size);
/* The sum of the pseudo header for a TCP or UDP length. */
uint64_t net_sum_pseudo(const uint8_t *head, const struct net_layout *l, uint32_t length);

/* Sends the packet as plain frames: completes its checksum or cuts it. emit gets the pieces, their
 * number in all, and returns false to stop. False when the metadata is nonsense (frame dropped). */
typedef bool net_emit_fn(void *opaque, const struct net_packet *piece, unsigned index);
bool net_make_plain(const struct net_packet *p, net_emit_fn *emit, void *opaque);

/* In place, contiguous: completes the checksum that hdr asks for and clears hdr; for a receiver
 * which takes TCP frames of any size (the user stack) but no metadata. False: nonsense. */
bool net_finish_csum(uint8_t *frame, size_t size, struct net_hdr *h);

/* --- joining --- */
struct net_port;
enum { NET_GRO_FLOWS = 4, NET_GRO_SIZE_MAX = 65535 };

struct net_gro_flow {
    uint8_t *buf; /* NET_GRO_SIZE_MAX + Ethernet header; NULL until used first */
    size_t size;  /* 0: empty */
    uint32_t next_seq;
    uint16_t gso_size, segments;
    struct net_layout layout;
};

/* Sits before a port that takes large TCP frames and hands it fewer, larger ones. */
struct net_gro {
    struct net_gro_flow flow[NET_GRO_FLOWS];
    unsigned victim; /* next to be thrown out */
};
/* Sends the contiguous plain frame from port, now or by net_gro_flush() at the end of the burst.
 * False: no room at the receiver, nothing was taken. */
bool net_gro_send(struct net_gro *g, struct net_port *from, const uint8_t *frame, size_t size);
/* False: some are still held as the receiver has no room; call again when it goes on. */
bool net_gro_flush(struct net_gro *g, struct net_port *from);
void net_gro_finish(struct net_gro *g);

#endif
