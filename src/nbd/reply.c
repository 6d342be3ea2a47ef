/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replies: simple ones, and chunks of structured ones (proto.md, "Transmission phase"). A reply is
 * a list of pieces of memory; those of many requests leave in one system call.
 */
#include "nbd/server_priv.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"

enum { SIMPLE_HEAD = 16, CHUNK_HEAD = 20, BATCH = 256 };

static uint32_t wire_errno(int error)
{
    switch (error) {
    case 0: return 0;
    case EPERM:
    case EROFS:
    case EACCES: return NBD_EPERM;
    case EIO: return NBD_EIO;
    case ENOMEM: return NBD_ENOMEM;
    case EDQUOT:
    case EFBIG:
    case ENOSPC: return NBD_ENOSPC;
    case EOVERFLOW: return NBD_EOVERFLOW;
    case ENOTSUP: return NBD_ENOTSUP;
    case ESHUTDOWN: return NBD_ESHUTDOWN;
    default: return NBD_EINVAL;
    }
}

static void push(struct nbd_request *r)
{
    struct nbd_client *c = r->client;
    r->next = NULL;
    r->iov_at = 0;
    *c->out_last = r;
    c->out_last = &r->next;
}

static void add_piece(struct nbd_request *r, const void *p, size_t len)
{
    if (len)
        r->iov[r->iov_count++] = (struct iovec){ (void *)(uintptr_t)p, len };
}

/* Room for the heads and the pieces of a reply. */
static void prepare(struct nbd_request *r, size_t head_bytes, unsigned pieces)
{
    r->head = head_bytes <= sizeof(r->heads) ? r->heads : xcalloc(1, head_bytes);
    r->iov = pieces <= ARRAY_SIZE(r->iov_own) ? r->iov_own : xnew_array(struct iovec, pieces);
    r->iov_count = 0;
}

static size_t put_chunk(const struct nbd_request *r, uint8_t *p, unsigned type, bool done,
                        uint32_t len)
{
    st_be32(p, NBD_STRUCTURED_MAGIC);
    st_be16(p + 4, done ? NBD_REPLY_FLAG_DONE : 0);
    st_be16(p + 6, (uint16_t)type);
    st_be64(p + 8, r->handle);
    st_be32(p + 16, len);
    return CHUNK_HEAD;
}

static bool needs_chunks(const struct nbd_request *r)
{
    return r->client->structured &&
           (r->command == NBD_CMD_READ || r->command == NBD_CMD_BLOCK_STATUS);
}

static void reply_simple(struct nbd_request *r, int error)
{
    prepare(r, SIMPLE_HEAD, 2);
    st_be32(r->head, NBD_SIMPLE_MAGIC);
    st_be32(r->head + 4, wire_errno(error));
    st_be64(r->head + 8, r->handle);
    add_piece(r, r->head, SIMPLE_HEAD);
    if (!error && r->command == NBD_CMD_READ)
        add_piece(r, r->buffer.bytes, r->len);
    push(r);
}

static void reply_error_chunk(struct nbd_request *r, int error)
{
    const char *text = strerror(error);
    size_t len = strlen(text);
    prepare(r, CHUNK_HEAD + 6 + len, 1);
    put_chunk(r, r->head, NBD_REPLY_ERROR, true, (uint32_t)(6 + len));
    st_be32(r->head + CHUNK_HEAD, wire_errno(error));
    st_be16(r->head + CHUNK_HEAD + 4, (uint16_t)len);
    memcpy(r->head + CHUNK_HEAD + 6, text, len);
    add_piece(r, r->head, CHUNK_HEAD + 6 + len);
    push(r);
}

static void reply_empty_chunk(struct nbd_request *r)
{
    prepare(r, CHUNK_HEAD, 1);
    put_chunk(r, r->head, NBD_REPLY_NONE, true, 0);
    add_piece(r, r->head, CHUNK_HEAD);
    push(r);
}

void nbd_reply(struct nbd_request *r, int error)
{
    if (!needs_chunks(r))
        reply_simple(r, error);
    else if (error)
        reply_error_chunk(r, error);
    else
        reply_empty_chunk(r);
}

/* A piece of data, or a hole when flags have NBD_STATE_ZERO. */
static void add_data_chunk(struct nbd_request *r, uint8_t **head, uint32_t at, uint32_t len,
                           bool hole, bool done)
{
    uint8_t *p = *head;
    put_chunk(r, p, hole ? NBD_REPLY_OFFSET_HOLE : NBD_REPLY_OFFSET_DATA, done,
              hole ? 12 : 8 + len);
    st_be64(p + CHUNK_HEAD, r->offset + at);
    if (hole)
        st_be32(p + CHUNK_HEAD + 8, len);
    *head += CHUNK_HEAD + (hole ? 12 : 8);
    add_piece(r, p, CHUNK_HEAD + (hole ? 12 : 8));
    if (!hole)
        add_piece(r, r->buffer.bytes + at, len);
}

void nbd_reply_data(struct nbd_request *r)
{
    const struct nbd_extents *x = r->list_count ? r->lists[0] : NULL;
    if (!r->client->structured || !r->len) {
        nbd_reply(r, 0);
        return;
    }
    unsigned count = x ? x->count : 1;
    prepare(r, (size_t)count * (CHUNK_HEAD + 12), 2 * count);
    uint8_t *head = r->head;
    if (!x) {
        add_data_chunk(r, &head, 0, r->len, false, true);
    } else {
        uint32_t at = 0;
        for (unsigned i = 0; i < count; at += x->e[i++].len)
            add_data_chunk(r, &head, at, x->e[i].len, x->e[i].flags & NBD_STATE_ZERO,
                           i + 1 == count);
    }
    push(r);
}

void nbd_reply_status(struct nbd_request *r)
{
    const struct nbd_client *c = r->client;
    size_t bytes = 0;
    for (unsigned i = 0; i < r->list_count; i++)
        bytes += CHUNK_HEAD + 4 + r->lists[i]->count * 8;
    prepare(r, bytes, 1);
    uint8_t *p = r->head;
    for (unsigned i = 0, id = 0; i < r->list_count; i++, id++) {
        const struct nbd_extents *x = r->lists[i];
        while (!c->meta[id])
            id++;
        put_chunk(r, p, NBD_REPLY_BLOCK_STATUS, i + 1 == r->list_count, 4 + x->count * 8);
        st_be32(p + CHUNK_HEAD, id);
        p += CHUNK_HEAD + 4;
        for (unsigned k = 0; k < x->count; k++, p += 8) {
            st_be32(p, x->e[k].len);
            st_be32(p + 4, x->e[k].flags);
        }
    }
    add_piece(r, r->head, bytes);
    push(r);
}

/* --- sending --- */

static unsigned gather(const struct nbd_client *c, struct iovec *iov, unsigned max)
{
    unsigned n = 0;
    for (const struct nbd_request *r = c->out_first; r && n < max; r = r->next) {
        for (unsigned i = r->iov_at; i < r->iov_count && n < max; i++)
            iov[n++] = r->iov[i];
    }
    return n;
}

static void drop_first(struct nbd_client *c)
{
    struct nbd_request *r = c->out_first;
    c->out_first = r->next;
    if (!c->out_first)
        c->out_last = &c->out_first;
    nbd_request_finish(r);
}

static void advance(struct nbd_client *c, size_t sent)
{
    while (sent) {
        struct nbd_request *r = c->out_first;
        struct iovec *v = &r->iov[r->iov_at];
        size_t n = MIN(sent, v->iov_len);
        v->iov_base = (uint8_t *)v->iov_base + n;
        v->iov_len -= n;
        sent -= n;
        if (!v->iov_len && ++r->iov_at == r->iov_count)
            drop_first(c);
    }
}

bool nbd_send_replies(struct nbd_client *c)
{
    struct iovec iov[BATCH];
    bool moved = false;
    while (c->out_first || channel_has_output(c->channel)) {
        if (c->broken) {
            while (c->out_first)
                drop_first(c);
            return moved;
        }
        unsigned count = gather(c, iov, BATCH);
        ssize_t n = channel_try_writev(c->channel, iov, count);
        if (n < 0) {
            if (n != -EAGAIN)
                c->broken = true;
            if (n == -EAGAIN)
                break;
            continue;
        }
        advance(c, (size_t)n);
        moved = true;
    }
    return moved;
}
