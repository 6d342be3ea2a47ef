/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The e1000's transmit ring (§3.3, §3.4). A frame is gathered from its descriptors; checksums and
 * segmentation become offload metadata, done by whoever takes the frame.
 */
#include <string.h>

#include "base/endian.h"
#include "dev/net/e1000_priv.h"

enum { /* upper bytes of a descriptor's second dword pair */
       CMD_EOP = BIT(24),
       CMD_IFCS = BIT(25),
       CMD_IC = BIT(26), /* legacy: insert checksum; context and data: TSE */
       CMD_TSE = BIT(26),
       CMD_RS = BIT(27),
       CMD_RPS = BIT(28),
       CMD_DEXT = BIT(29),
       CMD_VLE = BIT(30),
       CMD_IDE = BIT(31),
       TUCMD_TCP = BIT(24),
       TUCMD_IP = BIT(25),
       DTYP_SHIFT = 20,
       STATUS_DD = BIT(0),
       POPTS_IXSM = BIT(0),
       POPTS_TXSM = BIT(1),
       DESC_BURST = 32, /* fetched at a time */
};

struct tx_desc {
    uint64_t addr;
    uint32_t lower, upper;
};

static void read_context(struct e1000 *e, const struct tx_desc *d)
{
    struct e1000_context *c = d->lower & CMD_TSE ? &e->tso : &e->csum;
    uint32_t ip = (uint32_t)d->addr, tu = (uint32_t)(d->addr >> 32);

    *c = (struct e1000_context){
        .ipcss = (uint8_t)ip,
        .ipcso = (uint8_t)(ip >> 8),
        .ipcse = (uint16_t)(ip >> 16),
        .tucss = (uint8_t)tu,
        .tucso = (uint8_t)(tu >> 8),
        .tucse = (uint16_t)(tu >> 16),
        .paylen = d->lower & 0xfffff,
        .hdrlen = (uint8_t)(d->upper >> 8),
        .mss = (uint16_t)(d->upper >> 16),
        .ip = d->lower & TUCMD_IP,
        .tcp = d->lower & TUCMD_TCP,
    };
}

/* Bytes start..end (inclusive; 0: to the end of the frame) summed into field. */
static void put_csum(uint8_t *f, size_t size, size_t field, size_t start, size_t end)
{
    size_t stop = end && end < size ? end + 1 : size;

    if (start >= stop || field + 2 > size)
        return;
    uint16_t sum = (uint16_t)~net_sum_fold(net_sum(f + start, stop - start));
    memcpy(f + field, &sum, 2);
}

/* A frame to be cut by TCP segmentation: lengths and the sum of the pseudo header as they would be
 * in one large frame. False: not TCP as it should be. */
static bool prepare_tso(struct e1000 *e, uint8_t *f, size_t size, struct net_hdr *h)
{
    struct net_layout l;

    if (!e->tso.tcp || !e->tso.mss || size > 65535 ||
        !net_layout(&l, f, MIN(size, NET_HEADER_MAX), size, true) || l.protocol != 6)
        return false;
    if (size - l.payload <= e->tso.mss)
        h->gso_type = NET_GSO_NONE;
    else
        h->gso_type = l.ip_version == 4 ? NET_GSO_TCP4 : NET_GSO_TCP6;
    if (l.ip_version == 4) {
        st_be16(f + l.l3 + 2, (uint16_t)(size - l.l3));
        st_le16(f + l.l3 + 10, 0);
        put_csum(f, size, l.l3 + 10u, l.l3, l.l4 - 1u);
    } else {
        st_be16(f + l.l3 + 4, (uint16_t)(size - l.l3 - 40));
    }
    uint16_t pseudo = net_sum_fold(net_sum_pseudo(f, &l, (uint32_t)(size - l.l4)));
    memcpy(f + l.l4 + 16, &pseudo, 2);
    h->flags = NET_NEEDS_CSUM;
    h->hdr_len = l.payload;
    h->gso_size = h->gso_type ? e->tso.mss : 0;
    h->csum_start = l.l4;
    h->csum_offset = 16;
    return true;
}

static void prepare_csum(struct e1000 *e, uint8_t *f, size_t size, struct net_hdr *h)
{
    const struct e1000_context *c = e->tx_cmd & CMD_TSE ? &e->tso : &e->csum;

    if (e->tx_popts & POPTS_IXSM)
        put_csum(f, size, c->ipcso, c->ipcss, c->ipcse);
    if (!(e->tx_popts & POPTS_TXSM))
        return;
    if ((c->tucse && c->tucse + 1u != size) || c->tucso < c->tucss || c->tucso + 2u > size) {
        put_csum(f, size, c->tucso, c->tucss, c->tucse);
        return;
    }
    h->flags = NET_NEEDS_CSUM;
    h->csum_start = c->tucss;
    h->csum_offset = (uint16_t)(c->tucso - c->tucss);
}

static void count_sent(struct e1000 *e, const uint8_t *f, size_t size)
{
    static const uint16_t limits[] = { 64, 127, 255, 511, 1023, 65535 };
    unsigned i = 0;

    size += 4; /* the checksum at the end of the frame counts */
    while (size > limits[i] && i < ARRAY_SIZE(limits) - 1)
        i++;
    e1000_count(e, R_PTC64 + 4 * i, 1);
    e1000_count(e, R_TPT, 1);
    e1000_count(e, R_GPTC, 1);
    e1000_count64(e, R_TOTL, (uint32_t)size);
    e1000_count64(e, R_GOTCL, (uint32_t)size);
    if (f[0] & 1)
        e1000_count(e, f[0] == 255 && f[5] == 255 ? R_BPTC : R_MPTC, 1);
}

/* The tag between addresses and type; returns where the frame begins now. */
static uint8_t *insert_vlan(struct e1000 *e, uint8_t *f)
{
    f -= E1000_VLAN_SIZE;
    memmove(f, f + E1000_VLAN_SIZE, 12);
    st_be16(f + 12, (uint16_t)*e1000_reg(e, R_VET));
    st_be16(f + 14, e->tx_special);
    return f;
}

/* The frame is complete. False: no room, try again later; it is not changed. */
static bool send_frame(struct e1000 *e)
{
    uint8_t saved[E1000_VLAN_SIZE + NET_HEADER_MAX], *f = e->tx;
    size_t size = e->tx_size, keep = MIN(size, NET_HEADER_MAX);
    struct net_hdr h = { 0 };
    bool tagged = (e->tx_cmd & CMD_VLE) && (*e1000_reg(e, R_CTRL) & CTRL_VME);

    if (e->tx_overlong || size < NET_ETH_SIZE)
        return true;
    memcpy(saved, f, keep);
    bool tso = (e->tx_cmd & CMD_DEXT) && (e->tx_cmd & CMD_TSE);
    if (!tso || !prepare_tso(e, f, size, &h))
        prepare_csum(e, f, size, &h);
    else if (h.gso_type)
        e1000_count(e, R_TSCTC, 1);
    if (tagged) {
        f = insert_vlan(e, f);
        size += E1000_VLAN_SIZE;
        h.csum_start += h.flags ? E1000_VLAN_SIZE : 0;
        h.hdr_len += h.gso_type ? E1000_VLAN_SIZE : 0;
    }
    struct iovec iov = { f, size };
    struct net_packet p = { .hdr = h, .iov = &iov, .count = 1, .size = size };
    bool loop = (e->phy[PHY_CTRL] & PHY_CTRL_LOOPBACK) || (*e1000_reg(e, R_RCTL) & RCTL_LBM);
    if (loop) {
        if (!h.gso_type && net_finish_csum(f, size, &p.hdr))
            (void)e1000_receive(&e->port, &p);
    } else if (!net_send(&e->port, &p)) {
        memcpy(e->tx, saved, keep);
        return false;
    }
    count_sent(e, f, size);
    return true;
}

/* Adds the descriptor's bytes to the frame; what cannot be read is zero. */
static void gather(struct e1000 *e, const struct tx_desc *d)
{
    uint32_t len = d->lower & CMD_DEXT ? d->lower & 0xfffff : d->lower & 0xffff;

    if (len > E1000_TX_ROOM - e->tx_size) {
        e->tx_overlong = true;
        return;
    }
    if (e1000_dma_read(e, d->addr, e->tx + e->tx_size, len) != 0)
        memset(e->tx + e->tx_size, 0, len);
    e->tx_size += len;
}

static void begin_frame(struct e1000 *e, const struct tx_desc *d)
{
    if (e->tx_begun)
        return;
    e->tx_begun = true;
    e->tx_cmd = d->lower;
    e->tx_popts = d->lower & CMD_DEXT ? (uint8_t)(d->upper >> 8) : 0;
    e->tx_special = (uint16_t)(d->upper >> 16);
}

void e1000_tx_reset(struct e1000 *e)
{
    e->tx_size = 0;
    e->tx_full = e->tx_overlong = e->tx_begun = false;
}

/* One descriptor; false: its frame found no room. */
static bool process(struct e1000 *e, const struct tx_desc *d)
{
    if ((d->lower & CMD_DEXT) && !(d->lower >> DTYP_SHIFT & 15)) {
        read_context(e, d);
        return true;
    }
    begin_frame(e, d);
    if (!e->tx_full)
        gather(e, d);
    if (!(d->lower & CMD_EOP))
        return true;
    if (!(d->lower & CMD_DEXT) && (d->lower & CMD_IC) && !e->tx_full) /* legacy: CSS, CSO */
        put_csum(e->tx, e->tx_size, d->lower >> 16 & 0xff, d->upper >> 8 & 0xff, 0);
    if (!(d->lower & CMD_DEXT))
        e->tx_special = (uint16_t)(d->upper >> 16);
    /* the bit of the last descriptor decides about the tag */
    e->tx_cmd = (e->tx_cmd & ~(uint32_t)CMD_VLE) | (d->lower & CMD_VLE);
    e->tx_full = !send_frame(e);
    if (e->tx_full)
        return false;
    e1000_tx_reset(e);
    return true;
}

/* Reports the descriptor as done. */
static uint32_t write_back(struct e1000 *e, gpa_t at, const struct tx_desc *d)
{
    uint8_t status[4];

    if (!(d->lower & (CMD_RS | CMD_RPS)))
        return 0;
    st_le32(status, d->upper | STATUS_DD);
    e1000_dma_write(e, at + 12, status, sizeof status);
    return ICR_TXDW;
}

static unsigned ring_size(struct e1000 *e)
{
    return (*e1000_reg(e, R_TDLEN) & 0xfff80) / DESC_SIZE;
}

static void decode(struct tx_desc *d, const uint8_t *raw)
{
    *d = (struct tx_desc){ ld_le64(raw), ld_le32(raw + 8), ld_le32(raw + 12) };
}

/* Up to a ring's worth of descriptors; true when TDH reached TDT. */
static bool send_ring(struct e1000 *e, uint32_t *causes)
{
    gpa_t base = e1000_ring(e, R_TDBAL);
    unsigned size = ring_size(e), head = *e1000_reg(e, R_TDH), tail = *e1000_reg(e, R_TDT);
    uint8_t raw[DESC_BURST * DESC_SIZE];
    struct tx_desc d;

    for (unsigned done = 0; head != tail && done < size;) {
        unsigned n = MIN((tail > head ? tail : size) - head, DESC_BURST);
        if (head >= size || tail >= size) {
            guest_error(&e->pci.dev, "TDH %u or TDT %u is outside of the ring of %u", head, tail,
                        size);
            return true;
        }
        if (e1000_dma_read(e, base + (gpa_t)head * DESC_SIZE, raw, n * DESC_SIZE) != 0)
            memset(raw, 0, sizeof raw);
        for (unsigned i = 0; i < n; i++, done++) {
            decode(&d, raw + i * DESC_SIZE);
            if (!process(e, &d))
                return false;
            *causes |= write_back(e, base + (gpa_t)head * DESC_SIZE, &d);
            head = head + 1 == size ? 0 : head + 1;
            *e1000_reg(e, R_TDH) = head;
        }
    }
    return head == tail;
}

void e1000_send(struct e1000 *e)
{
    uint32_t causes = 0;

    if (e->sending || !(*e1000_reg(e, R_TCTL) & TCTL_EN))
        return;
    e->sending = true;
    bool empty = send_ring(e, &causes);
    e->sending = false;
    net_flush(&e->port);
    if (empty)
        causes |= ICR_TXQE;
    else if (!e->tx_full)
        e1000_send_later(e);
    e1000_interrupt(e, causes);
}

void e1000_send_later(struct e1000 *e)
{
    if (!e->tx_full && !timer_armed(&e->tx_later))
        timer_set_ns(&e->tx_later, 0);
}
