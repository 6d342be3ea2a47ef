/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The e1000's receive side: filters (§3.2.1), ring (§3.2.3 to §3.2.6), checksums (§3.2.9). */
#include <string.h>

#include "base/endian.h"
#include "dev/net/e1000_priv.h"

enum {
    RX_DD = BIT(0),
    RX_EOP = BIT(1),
    RX_IXSM = BIT(2),
    RX_VP = BIT(3),
    RX_TCPCS = BIT(5),
    RX_IPCS = BIT(6),
    RX_PIF = BIT(7),
    RXE_TCPE = BIT(5),
    RXE_IPE = BIT(6),
    FRAME_MIN = 60,
    FRAME_MAX = 1518, /* without the checksum at its end, with a tag */
    LONG_MAX = 16384,
    CRC_SIZE = 4,
};

/* --- filters --- */

static bool is_vlan(struct e1000 *e, const uint8_t *f)
{
    return ld_be16(f + 12) == (uint16_t)*e1000_reg(e, R_VET);
}

static bool exact_match(struct e1000 *e, const uint8_t *mac)
{
    for (unsigned i = 0; i < 16; i++) {
        uint32_t low = *e1000_reg(e, R_RA + 8 * i), high = *e1000_reg(e, R_RA + 8 * i + 4);
        if (high >> 31 && low == ld_le32(mac) && (high & 0xffff) == ld_le16(mac + 4))
            return true;
    }
    return false;
}

static bool hash_match(struct e1000 *e, const uint8_t *mac)
{
    static const uint8_t shifts[] = { 4, 3, 2, 0 };
    unsigned shift = shifts[*e1000_reg(e, R_RCTL) >> 12 & 3];
    unsigned bit = ((unsigned)ld_le16(mac + 4) >> shift) & 0xfff;

    return *e1000_reg(e, R_MTA + bit / 32 * 4) >> bit % 32 & 1;
}

static bool passes(struct e1000 *e, const uint8_t *f, bool *inexact)
{
    uint32_t rctl = *e1000_reg(e, R_RCTL);
    static const uint8_t broadcast[NET_MAC_SIZE] = { 255, 255, 255, 255, 255, 255 };

    if (is_vlan(e, f) && (rctl & RCTL_VFE)) {
        unsigned id = ld_be16(f + 14) & 0xfff;
        if (!(*e1000_reg(e, R_VFTA + id / 32 * 4) >> id % 32 & 1))
            return false;
    }
    if (!memcmp(f, broadcast, NET_MAC_SIZE) && (rctl & RCTL_BAM))
        return true;
    if (exact_match(e, f))
        return true;
    if (f[0] & 1) {
        *inexact = hash_match(e, f);
        return *inexact || (rctl & RCTL_MPE);
    }
    return rctl & RCTL_UPE;
}

/* --- the ring --- */

static unsigned ring_size(struct e1000 *e)
{
    return (*e1000_reg(e, R_RDLEN) & 0xfff80) / DESC_SIZE;
}

static unsigned buffer_size(struct e1000 *e)
{
    uint32_t rctl = *e1000_reg(e, R_RCTL);
    unsigned bsize = rctl >> 16 & 3;

    if (rctl & RCTL_BSEX)
        return bsize ? 32768u >> bsize : 2048;
    return 2048u >> bsize;
}

/* Descriptors that the driver gave us. */
static unsigned available(struct e1000 *e)
{
    unsigned size = ring_size(e), head = *e1000_reg(e, R_RDH), tail = *e1000_reg(e, R_RDT);

    if (head >= size || tail >= size)
        return 0;
    return tail >= head ? tail - head : size - head + tail;
}

bool e1000_can_receive(struct e1000 *e)
{
    return available(e) != 0;
}

static void count_received(struct e1000 *e, const uint8_t *f, size_t size)
{
    static const uint16_t limits[] = { 64, 127, 255, 511, 1023, 65535 };
    unsigned i = 0;

    size = MAX(size, FRAME_MIN) + CRC_SIZE;
    while (size > limits[i] && i < ARRAY_SIZE(limits) - 1)
        i++;
    e1000_count(e, R_PRC64 + 4 * i, 1);
    e1000_count(e, R_TPR, 1);
    e1000_count(e, R_GPRC, 1);
    e1000_count64(e, R_TORL, (uint32_t)size);
    e1000_count64(e, R_GORCL, (uint32_t)size);
    if (f[0] & 1)
        e1000_count(e, f[0] == 255 && f[5] == 255 ? R_BPRC : R_MPRC, 1);
}

/* Status and error bits about checksums. */
static void check_sums(struct e1000 *e, const struct net_packet *p, const uint8_t *head,
                       size_t head_len, uint8_t *status, uint8_t *errors)
{
    uint32_t rxcsum = *e1000_reg(e, R_RXCSUM);
    struct net_layout l;

    if (!(rxcsum & (RXCSUM_IPOFL | RXCSUM_TUOFL)) ||
        !net_layout(&l, head, head_len, p->size, false) || !l.ip_version) {
        *status |= RX_IXSM;
        return;
    }
    if ((rxcsum & RXCSUM_IPOFL) && l.ip_version == 4) {
        *status |= RX_IPCS;
        if (net_sum_fold(net_sum(head + l.l3, l.l4 - l.l3)) != 0xffff)
            *errors |= RXE_IPE;
    }
    bool udp_without = l.protocol == 17 && l.payload && !ld_be16(head + l.l4 + 6);
    if (!(rxcsum & RXCSUM_TUOFL) || !l.payload || udp_without) {
        *status |= *status & RX_IPCS ? 0 : RX_IXSM;
        return;
    }
    *status |= RX_TCPCS;
    if (p->hdr.flags & NET_DATA_VALID)
        return;
    uint32_t len = l.end - l.l4;
    if (net_sum_fold(net_sum_pseudo(head, &l, len) + net_sum_packet(p, l.l4, len)) != 0xffff)
        *errors |= RXE_TCPE;
}

/* Copies bytes off.. of the frame to the guest; padding and the checksum at its end are zero. */
static void write_bytes(struct e1000 *e, gpa_t a, const struct net_packet *p, size_t off,
                        size_t len)
{
    static const uint8_t zeroes[FRAME_MIN + CRC_SIZE];

    for (unsigned i = 0; i < p->count && len; i++) {
        if (off >= p->iov[i].iov_len) {
            off -= p->iov[i].iov_len;
            continue;
        }
        size_t n = MIN(p->iov[i].iov_len - off, len);
        e1000_dma_write(e, a, (uint8_t *)p->iov[i].iov_base + off, n);
        a += n;
        len -= n;
        off = 0;
    }
    if (len)
        e1000_dma_write(e, a, zeroes, MIN(len, sizeof zeroes));
}

struct rx_frame {
    const struct net_packet *p;
    size_t total; /* with padding and checksum */
    bool strip;   /* without its tag */
    uint8_t status, errors;
    uint16_t special;
};

static void write_frame(struct e1000 *e, gpa_t a, const struct rx_frame *f, size_t off, size_t len)
{
    if (f->strip && off < 12) {
        size_t n = MIN(12 - off, len);
        write_bytes(e, a, f->p, off, n);
        a += n;
        off += n;
        len -= n;
    }
    write_bytes(e, a, f->p, off + (f->strip ? E1000_VLAN_SIZE : 0), len);
}

/* Into the ring, in which there is room for it. */
static void store(struct e1000 *e, const struct rx_frame *f)
{
    gpa_t base = e1000_ring(e, R_RDBAL);
    unsigned size = ring_size(e), head = *e1000_reg(e, R_RDH);
    size_t room = buffer_size(e), off = 0;

    do {
        uint8_t raw[DESC_SIZE];
        gpa_t at = base + (gpa_t)head * DESC_SIZE;
        size_t n = MIN(f->total - off, room);
        bool last = off + n >= f->total;
        if (e1000_dma_read(e, at, raw, sizeof raw) != 0)
            memset(raw, 0, sizeof raw);
        uint64_t addr = ld_le64(raw);
        if (addr) /* a null descriptor is passed over */
            write_frame(e, addr, f, off, n);
        st_le16(raw + 8, (uint16_t)n);
        st_le16(raw + 10, 0);
        raw[12] = (uint8_t)(f->status | RX_DD | (last ? RX_EOP : 0));
        raw[13] = last ? f->errors : 0;
        st_le16(raw + 14, f->special);
        e1000_dma_write(e, at, raw, sizeof raw);
        off += n;
        head = head + 1 == size ? 0 : head + 1;
        *e1000_reg(e, R_RDH) = head;
    } while (off < f->total);
}

/* RDMTS: half, a quarter, an eighth of the ring is left. */
static uint32_t threshold_cause(struct e1000 *e)
{
    unsigned shift = (*e1000_reg(e, R_RCTL) >> 8 & 3) + 1;

    return available(e) <= ring_size(e) >> shift ? ICR_RXDMT0 : 0;
}

bool e1000_receive(struct net_port *port, const struct net_packet *packet)
{
    struct e1000 *e = port->opaque;
    uint32_t rctl = *e1000_reg(e, R_RCTL);
    struct rx_frame f = { .p = packet };
    uint8_t head[NET_HEADER_MAX];
    bool inexact = false;

    if (!(rctl & RCTL_EN) || !(*e1000_reg(e, R_STATUS) & STATUS_LU) || packet->size > LONG_MAX)
        return true;
    size_t head_len = net_packet_copy(packet, 0, head, sizeof head);
    if (packet->size > FRAME_MAX && !(rctl & RCTL_LPE)) {
        e1000_count(e, R_ROC, 1);
        return true;
    }
    memset(head + head_len, 0, sizeof head - head_len);
    if (!passes(e, head, &inexact))
        return true;
    size_t size = packet->size;
    if ((*e1000_reg(e, R_CTRL) & CTRL_VME) && is_vlan(e, head) && size > 16) {
        f.strip = true;
        f.status = RX_VP;
        f.special = ld_be16(head + 14);
        size -= E1000_VLAN_SIZE;
    }
    f.total = MAX(size, FRAME_MIN) + (rctl & RCTL_SECRC ? 0 : CRC_SIZE);
    if ((uint64_t)available(e) * buffer_size(e) < f.total)
        return false;
    check_sums(e, packet, head, head_len, &f.status, &f.errors);
    f.status |= inexact ? RX_PIF : 0;
    store(e, &f);
    count_received(e, head, packet->size);
    e1000_interrupt(e, ICR_RXT0 | threshold_cause(e));
    return true;
}
