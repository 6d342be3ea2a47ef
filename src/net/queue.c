/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A ring of bytes that holds packets whose receiver has no room. See net_priv.h. */
#include "net/net_priv.h"

#include <string.h>

#include "base/alloc.h"

struct entry {
    uint32_t size; /* of the frame behind it; WRAP: the rest of the ring is unused */
    struct net_hdr hdr;
};

enum { ENTRY_ALIGN = 8 };
#define WRAP UINT32_MAX

struct net_queue {
    size_t room, head, tail, used; /* head: next to read; used counts lost ends, too */
    uint8_t data[];
};

struct net_queue *net_queue_new(size_t bytes)
{
    struct net_queue *q = xcalloc(1, sizeof *q + bytes);

    q->room = bytes;
    return q;
}

void net_queue_free(struct net_queue *q)
{
    free(q);
}

static size_t entry_size(size_t frame)
{
    return ALIGN_UP(sizeof(struct entry) + frame, ENTRY_ALIGN);
}

bool net_queue_put(struct net_queue *q, const struct net_packet *p)
{
    size_t need = entry_size(p->size), lost = 0;

    if (q->room - q->tail < need)
        lost = q->room - q->tail;
    if (p->size > NET_FRAME_MAX || q->room - q->used < need + lost || lost + need > q->room)
        return false;
    if (lost) {
        if (lost >= sizeof(uint32_t))
            memcpy(q->data + q->tail, &(uint32_t){ WRAP }, sizeof(uint32_t));
        q->tail = 0;
    }
    struct entry e = { (uint32_t)p->size, p->hdr };
    memcpy(q->data + q->tail, &e, sizeof e);
    (void)net_packet_copy(p, 0, q->data + q->tail + sizeof e, p->size);
    q->tail += need;
    q->used += need + lost;
    return true;
}

bool net_queue_empty(const struct net_queue *q)
{
    return !q || !q->used;
}

static bool drain(struct net_queue *q, struct net_port *port, struct net_gro *g,
                  bool (*fn)(struct net_port *port, struct net_gro *g, const struct net_packet *p))
{
    while (q && q->used) {
        struct entry e = { .size = WRAP };
        size_t left = q->room - q->head;
        if (left >= sizeof e)
            memcpy(&e, q->data + q->head, sizeof e);
        if (e.size == WRAP) {
            q->used -= left;
            q->head = 0;
            continue;
        }
        struct iovec iov = { q->data + q->head + sizeof e, e.size };
        struct net_packet p = { e.hdr, &iov, 1, e.size };
        if (!fn(port, g, &p))
            return false;
        q->head += entry_size(e.size);
        q->used -= entry_size(e.size);
    }
    if (q)
        q->head = q->tail = 0;
    return true;
}

static bool send(struct net_port *from, struct net_gro *g, const struct net_packet *p)
{
    return g && !p->hdr.flags ? net_gro_send(g, from, p->iov[0].iov_base, p->size)
                              : net_send(from, p);
}

static bool give(struct net_port *to, struct net_gro *g, const struct net_packet *p)
{
    return to->ops->receive(to, p);
}

bool net_queue_send(struct net_queue *q, struct net_port *from, struct net_gro *g)
{
    return drain(q, from, g, send);
}

bool net_queue_deliver(struct net_queue *q, struct net_port *to)
{
    return drain(q, to, NULL, give);
}

void net_queue_clear(struct net_queue *q)
{
    if (q)
        q->head = q->tail = q->used = 0;
}
