/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a client after the handshake: one thread reads requests as they come, hands them to
 * its queue, and sends replies as they complete, in whatever order. It waits only when neither the
 * socket nor the queue has anything for it.
 */
#include "nbd/server_priv.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/scope.h"
#include "base/trace.h"
#include "disk/node.h"

enum { REQUEST_HEAD = 28, BATCH_BYTES = 256 << 10 };

static void end(struct nbd_client *c, const char *why)
{
    TRACE(nbd, "no more requests: %s", why);
    c->ended = true;
}

static bool has_room(const struct nbd_client *c, uint32_t len)
{
    return c->free_slots && (!c->in_flight_bytes || c->in_flight_bytes + len <= NBD_MAX_BYTES);
}

/* Takes bytes of the payload that came along with the head. */
static void take_payload(struct nbd_client *c)
{
    struct nbd_request *r = c->arriving;
    uint32_t n = (uint32_t)MIN(c->payload_left, c->in_tail - c->in_head);
    if (r->buffer.bytes)
        memcpy(r->buffer.bytes + (r->len - c->payload_left), c->in + c->in_head, n);
    c->in_head += n;
    c->payload_left -= n;
}

static void finish_arrival(struct nbd_client *c)
{
    struct nbd_request *r = c->arriving;
    if (r && !c->payload_left) {
        c->arriving = NULL;
        nbd_request_start(r);
    }
}

static struct nbd_request *take_slot(struct nbd_client *c, const uint8_t *head)
{
    struct nbd_request *r = c->free_slots;
    c->free_slots = r->next;
    c->in_flight++;
    r->client = c;
    r->flags = ld_be16(head + 4);
    r->command = ld_be16(head + 6);
    r->handle = ld_be64(head + 8);
    r->offset = ld_be64(head + 16);
    r->len = ld_be32(head + 24);
    r->head = r->heads;
    r->iov = r->iov_own;
    c->in_flight_bytes += nbd_request_weight(r->command, r->len);
    return r;
}

/* One request out of the input. False: it is not there yet, or there is no room for it. */
static bool take_request(struct nbd_client *c)
{
    const uint8_t *head = c->in + c->in_head;
    if (c->in_tail - c->in_head < REQUEST_HEAD)
        return false;
    if (ld_be32(head) != NBD_REQUEST_MAGIC) {
        end(c, "a request does not begin as one");
        return false;
    }
    if (ld_be16(head + 6) == NBD_CMD_DISC) {
        end(c, "the client says goodbye");
        return false;
    }
    if (!has_room(c, nbd_request_weight(ld_be16(head + 6), ld_be32(head + 24))))
        return false;
    struct nbd_request *r = take_slot(c, head);
    c->in_head += REQUEST_HEAD;
    r->error = nbd_request_check(r);
    if (r->command != NBD_CMD_WRITE) {
        nbd_request_start(r);
        return true;
    }
    if (!r->error && r->len && !nbd_buffer_get(c, r->len, &r->buffer))
        r->error = ENOMEM;
    c->arriving = r;
    c->payload_left = r->len;
    take_payload(c);
    finish_arrival(c);
    return true;
}

/* Replies leave before more than a batch of data is begun: the client works meanwhile, and what was
 * read is still in the processor's cache when it is sent. */
static bool take_requests(struct nbd_client *c)
{
    uint64_t before = c->in_flight_bytes;
    bool moved = false;
    while (!c->ended && !c->arriving && c->in_flight_bytes - before < BATCH_BYTES &&
           take_request(c))
        moved = true;
    return moved;
}

/* Where the next bytes go: the payload that is arriving, then the input buffer. */
static unsigned input_room(struct nbd_client *c, struct iovec iov[2])
{
    unsigned n = 0;
    if (c->in_head) {
        memmove(c->in, c->in + c->in_head, c->in_tail - c->in_head);
        c->in_tail -= c->in_head;
        c->in_head = 0;
    }
    if (c->arriving) {
        struct nbd_request *r = c->arriving;
        bool keep = r->buffer.bytes;
        iov[n++] =
            keep ? (struct iovec){ r->buffer.bytes + (r->len - c->payload_left), c->payload_left }
                 : (struct iovec){ c->in, MIN(c->payload_left, NBD_INPUT) };
        if (!keep)
            return n; /* thrown away through the input buffer, which is empty meanwhile */
    }
    if (c->in_tail < NBD_INPUT)
        iov[n++] = (struct iovec){ c->in + c->in_tail, NBD_INPUT - c->in_tail };
    return n;
}

static void account_input(struct nbd_client *c, size_t n)
{
    if (c->arriving) {
        size_t payload = MIN(n, c->payload_left);
        c->payload_left -= payload;
        n -= payload;
    }
    c->in_tail += (uint32_t)n;
    finish_arrival(c);
}

static bool wants_input(const struct nbd_client *c)
{
    return !c->ended && (c->arriving || (c->free_slots && c->in_tail - c->in_head < REQUEST_HEAD));
}

static bool receive(struct nbd_client *c)
{
    struct iovec iov[2];
    unsigned n = wants_input(c) ? input_room(c, iov) : 0;
    if (!n)
        return false;
    ssize_t got = channel_try_readv(c->channel, iov, n);
    if (got == -EAGAIN)
        return false;
    if (got <= 0) {
        end(c, got ? strerror((int)-got) : "end of stream");
        c->broken = got < 0;
        if (c->arriving) /* the rest of its payload will never come */
            nbd_request_finish(TAKE(c->arriving));
        return true;
    }
    account_input(c, (size_t)got);
    return true;
}

static void wait_for_something(struct nbd_client *c)
{
    bool output = c->out_first || channel_has_output(c->channel);
    struct pollfd p[2] = {
        { .fd = channel_fd(c->channel),
          .events = (short)((wants_input(c) ? POLLIN : 0) | (output ? POLLOUT : 0)) },
        { .fd = -1, .events = POLLIN },
    };
    if (disk_queue_in_flight(c->queue)) /* a queue that never had to wake us need not learn how */
        p[1].fd = disk_queue_fd(c->queue);
    if (!p[0].events)
        p[0].fd = -1;
    if (wants_input(c) && channel_has_input(c->channel))
        return;
    (void)poll(p, 2, -1);
}

static void serve(struct nbd_client *c)
{
    while (!c->broken && (!c->ended || c->in_flight || channel_has_output(c->channel))) {
        bool moved = receive(c);
        moved |= take_requests(c);
        disk_queue_kick(c->queue);
        moved |= disk_queue_reap(c->queue, false) > 0;
        moved |= nbd_send_replies(c);
        if (!moved && !c->broken)
            wait_for_something(c);
    }
}

void nbd_serve(struct nbd_client *c)
{
    struct error err = { 0 };
    c->queue = disk_queue_new(c->export_->disk->graph, NBD_MAX_IN_FLIGHT, &err);
    if (!c->queue) {
        if (c->server->o.complain)
            c->server->o.complain(c->server, &err, c->server->o.opaque);
        return;
    }
    disk_queue_may_block(c->queue); /* this thread serves one client */
    c->slots = xnew_array(struct nbd_request, NBD_MAX_IN_FLIGHT);
    for (unsigned i = 0; i < NBD_MAX_IN_FLIGHT; i++) {
        c->slots[i].next = c->free_slots;
        c->free_slots = &c->slots[i];
    }
    serve(c);
    c->broken = true;
    while (disk_queue_in_flight(c->queue))
        (void)disk_queue_reap(c->queue, true);
    (void)nbd_send_replies(c); /* drops them */
    if (c->arriving)
        nbd_request_finish(TAKE(c->arriving));
}
