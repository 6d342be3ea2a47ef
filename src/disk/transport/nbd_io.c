/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/transport/nbd.h"

enum {
    CHUNK_MAX = 64 * 1024, /* bytes of an error's text */
    EXTENTS_MAX = 1 << 20, /* of one block status reply; all but the first are skipped */
    CONNECT_MS = 10000,    /* to connect again */
    RETRY_NS = 1000000000, /* between attempts to connect again */
};

struct nbd_conn {
    const struct nbd_target *t;
    struct nbd_params params; /* constant: a server that came back must agree with them */

    pthread_mutex_t write_lock; /* one request at a time goes out; taken before lock */

    pthread_mutex_t lock;
    pthread_cond_t changed;  /* slots became free, or the state changed */
    struct channel *channel; /* replaced only while nobody is inside */
    bool broken, connecting, reading;
    unsigned inside; /* calls */
    uint64_t next_try_ns;
    uint32_t generation; /* makes cookies new */
    struct nbd_call *calls[NBD_IN_FLIGHT];
    struct nbd_call *waiting; /* those that may be told to read, newest first */
};

struct nbd_conn *nbd_conn_new(const struct nbd_target *t, struct channel *own_channel,
                              const struct nbd_params *p)
{
    struct nbd_conn *c = xnew(struct nbd_conn);

    c->t = t;
    c->params = *p;
    c->channel = own_channel;
    pthread_mutex_init(&c->write_lock, NULL);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    return c;
}

static void fill_header(uint8_t head[28], const struct nbd_call *call)
{
    st_be32(head, NBD_REQUEST_MAGIC);
    st_be16(head + 4, (uint16_t)call->flags);
    st_be16(head + 6, (uint16_t)call->command);
    st_be64(head + 8, call->cookie);
    st_be64(head + 16, call->offset);
    st_be32(head + 24, call->len);
}

void nbd_conn_free(struct nbd_conn *c)
{
    if (!c)
        return;
    if (c->channel && !c->broken) {
        struct nbd_call bye = { .command = NBD_CMD_DISC };
        uint8_t head[28];

        fill_header(head, &bye);
        channel_set_timeout(c->channel, 1000); /* a server that does not read is left behind */
        if (channel_write(c->channel, head, sizeof(head)))
            channel_shutdown(c->channel);
    }
    channel_free(c->channel);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->write_lock);
    free(c);
}

unsigned nbd_conn_load(const struct nbd_conn *c)
{
    return __atomic_load_n(&c->inside, __ATOMIC_RELAXED);
}

/* Everybody inside sees broken and leaves, once nobody reads into their memory. */
static void break_locked(struct nbd_conn *c)
{
    if (!c->broken) {
        c->broken = true;
        channel_shutdown(c->channel);
    }
    for (struct nbd_call *w = c->waiting; w; w = w->next_waiting)
        pthread_cond_signal(&w->woken);
    pthread_cond_broadcast(&c->changed);
}

/* Whether what came back is what we had. */
static bool same_export(const struct nbd_params *a, const struct nbd_params *b)
{
    return a->size == b->size && a->flags == b->flags && a->min_block == b->min_block &&
           a->max_block == b->max_block && a->structured == b->structured &&
           a->has_context == b->has_context;
}

/* Connects again; the lock is let go meanwhile. Nobody is inside. */
static bool reconnect_locked(struct nbd_conn *c)
{
    struct nbd_params p;
    struct error err;
    struct channel *old = c->channel, *fresh;

    c->connecting = true;
    c->channel = NULL;
    pthread_mutex_unlock(&c->lock);
    channel_free(old);
    fresh = c->t->addr.kind == SOCKET_FD ? NULL : nbd_connect(c->t, CONNECT_MS, &p, &err);
    if (fresh && !same_export(&p, &c->params)) {
        channel_free(fresh);
        fresh = NULL;
    }
    pthread_mutex_lock(&c->lock);
    c->connecting = false;
    c->channel = fresh;
    c->broken = !fresh;
    c->next_try_ns = nbd_now_ns() + RETRY_NS;
    if (fresh)
        c->params.context_id = p.context_id;
    pthread_cond_broadcast(&c->changed);
    return fresh != NULL;
}

/* Waits for a connection and a free slot, and takes it. */
static int enter_locked(struct nbd_conn *c, struct nbd_call *call)
{
    for (;;) {
        if (c->broken && !c->inside && !c->connecting) {
            if (nbd_now_ns() < c->next_try_ns || !reconnect_locked(c))
                return -ENOTCONN;
            continue;
        }
        for (unsigned i = 0; !c->broken && !c->connecting && i < NBD_IN_FLIGHT; i++) {
            if (c->calls[i])
                continue;
            c->calls[i] = call;
            call->cookie = (uint64_t)++c->generation << 32 | i;
            __atomic_store_n(&c->inside, c->inside + 1, __ATOMIC_RELAXED);
            return 0;
        }
        pthread_cond_wait(&c->changed, &c->lock);
    }
}

static void leave_locked(struct nbd_conn *c, struct nbd_call *call)
{
    c->calls[call->cookie & UINT32_MAX] = NULL;
    if (c->inside == NBD_IN_FLIGHT || c->broken)
        pthread_cond_broadcast(&c->changed);
    __atomic_store_n(&c->inside, c->inside - 1, __ATOMIC_RELAXED);
}

static int send_call(struct nbd_conn *c, struct nbd_call *call)
{
    uint8_t head[28];
    struct iovec iov[64] = { { head, sizeof(head) } };
    size_t done = 0, covered;
    int r = 0;

    fill_header(head, call);
    WITH_LOCK (&c->write_lock) {
        if (call->command != NBD_CMD_WRITE) {
            r = channel_write(c->channel, head, sizeof(head));
            break;
        }
        for (unsigned first = 1; done < call->vec.len && !r; first = 0) {
            struct disk_vec rest = vec_slice(call->vec, done, call->vec.len - done);
            uint32_t n = vec_fill(&rest, iov + first, 63, &covered);

            r = channel_writev(c->channel, iov, n + first);
            done += covered;
        }
    }
    return r;
}

static int skip(struct nbd_conn *c, uint32_t len)
{
    uint8_t junk[4096];
    int r = 0;

    for (; len && !r; len -= MIN(len, (uint32_t)sizeof(junk)))
        r = channel_read(c->channel, junk, MIN(len, (uint32_t)sizeof(junk)));
    return r;
}

/* Bytes [at, at + len) of a READ; they are inside it. */
static int read_into(struct nbd_conn *c, struct nbd_call *call, uint32_t at, uint32_t len)
{
    struct iovec iov[64];
    size_t done = 0, covered;
    int r = 0;

    while (done < len && !r) {
        struct disk_vec rest = vec_slice(call->vec, at + done, len - done);
        uint32_t n = vec_fill(&rest, iov, ARRAY_SIZE(iov), &covered);

        for (uint32_t i = 0; i < n && !r; i++)
            r = channel_read(c->channel, iov[i].iov_base, iov[i].iov_len);
        done += covered;
    }
    return r;
}

/* An errno of the wire, which is Linux's for those the protocol has. */
static int errno_of(uint32_t e)
{
    switch (e) {
    case NBD_EPERM:
    case NBD_EIO:
    case NBD_ENOMEM:
    case NBD_ENOSPC:
    case NBD_EOVERFLOW:
    case NBD_ENOTSUP:
    case NBD_ESHUTDOWN: return -(int)e;
    default: return -EINVAL;
    }
}

/* Whether [offset, offset + len) of a chunk lies in the request; *ret is where. */
static bool chunk_place(const struct nbd_call *call, uint64_t offset, uint64_t len, uint32_t *ret)
{
    if (call->command != NBD_CMD_READ || !len || offset < call->offset ||
        offset - call->offset > call->len || len > call->len - (offset - call->offset))
        return false;
    *ret = (uint32_t)(offset - call->offset);
    return true;
}

static int data_chunk(struct nbd_conn *c, struct nbd_call *call, uint32_t len)
{
    uint8_t buf[8];
    uint32_t at;
    int r = len > 8 ? channel_read(c->channel, buf, 8) : -EPROTO;

    if (r)
        return r;
    if (!chunk_place(call, ld_be64(buf), len - 8, &at))
        return -EPROTO;
    call->received += len - 8;
    return read_into(c, call, at, len - 8);
}

static int hole_chunk(struct nbd_conn *c, struct nbd_call *call, uint32_t len)
{
    uint8_t buf[12];
    struct disk_vec v;
    uint32_t at, n;
    int r = len == sizeof(buf) ? channel_read(c->channel, buf, sizeof(buf)) : -EPROTO;

    if (r)
        return r;
    n = ld_be32(buf + 8);
    if (!chunk_place(call, ld_be64(buf), n, &at))
        return -EPROTO;
    v = vec_slice(call->vec, at, n);
    vec_clear(&v);
    call->received += n;
    return 0;
}

static int status_chunk(struct nbd_conn *c, struct nbd_call *call, uint32_t len)
{
    uint8_t buf[12];
    int r;

    if (call->command != NBD_CMD_BLOCK_STATUS || len < 12 || (len - 4) % 8 ||
        len > 4 + 8 * EXTENTS_MAX || call->extent_len)
        return -EPROTO;
    r = channel_read(c->channel, buf, sizeof(buf));
    if (r)
        return r;
    if (ld_be32(buf) != c->params.context_id || !ld_be32(buf + 4))
        return -EPROTO;
    call->extent_len = ld_be32(buf + 4);
    call->extent_flags = ld_be32(buf + 8);
    return skip(c, len - (uint32_t)sizeof(buf));
}

static int error_chunk(struct nbd_conn *c, struct nbd_call *call, uint32_t len)
{
    uint8_t buf[6];
    int r = len >= sizeof(buf) && len <= CHUNK_MAX ? channel_read(c->channel, buf, sizeof(buf))
                                                   : -EPROTO;

    if (r)
        return r;
    if (!ld_be32(buf) || ld_be16(buf + 4) > len - sizeof(buf))
        return -EPROTO;
    if (!call->error)
        call->error = errno_of(ld_be32(buf));
    return skip(c, len - (uint32_t)sizeof(buf));
}

static int structured_chunk(struct nbd_conn *c, struct nbd_call *call, unsigned type, uint32_t len)
{
    switch (type) {
    case NBD_REPLY_NONE: return len ? -EPROTO : 0;
    case NBD_REPLY_OFFSET_DATA: return data_chunk(c, call, len);
    case NBD_REPLY_OFFSET_HOLE: return hole_chunk(c, call, len);
    case NBD_REPLY_BLOCK_STATUS: return status_chunk(c, call, len);
    default: return type & 1u << 15 ? error_chunk(c, call, len) : -EPROTO;
    }
}

/* The last chunk has come: was all of it there? */
static int check_complete(const struct nbd_call *call)
{
    if (call->error)
        return 0;
    if (call->command == NBD_CMD_READ && call->received != call->len)
        return -EPROTO;
    return call->command == NBD_CMD_BLOCK_STATUS && !call->extent_len ? -EPROTO : 0;
}

static struct nbd_call *call_of(struct nbd_conn *c, uint64_t cookie)
{
    uint32_t i = cookie & UINT32_MAX;
    struct nbd_call *call = NULL;

    WITH_LOCK (&c->lock) {
        if (i < NBD_IN_FLIGHT && c->calls[i] && c->calls[i]->cookie == cookie && !c->calls[i]->done)
            call = c->calls[i];
    }
    return call;
}

static int simple_reply(struct nbd_conn *c, struct nbd_call *call, uint32_t error)
{
    if (error) {
        call->error = errno_of(error);
        return 0;
    }
    if (call->command == NBD_CMD_BLOCK_STATUS ||
        (call->command == NBD_CMD_READ && c->params.structured))
        return -EPROTO;
    return call->command == NBD_CMD_READ ? read_into(c, call, 0, call->len) : 0;
}

/* One reply, or one chunk of one. *ret is the call that it ends, or NULL. */
static int read_reply(struct nbd_conn *c, struct nbd_call **ret)
{
    uint8_t head[20];
    struct nbd_call *call;
    uint32_t magic;
    int r = channel_read(c->channel, head, 16);

    *ret = NULL;
    if (r)
        return r;
    magic = ld_be32(head);
    if (magic != NBD_SIMPLE_MAGIC && (magic != NBD_STRUCTURED_MAGIC || !c->params.structured))
        return -EPROTO;
    if (!(call = call_of(c, ld_be64(head + 8))))
        return -EPROTO;
    if (magic == NBD_SIMPLE_MAGIC) {
        r = simple_reply(c, call, ld_be32(head + 4));
        *ret = r ? NULL : call;
        return r;
    }
    if ((r = channel_read(c->channel, head + 16, 4)) != 0)
        return r;
    r = structured_chunk(c, call, ld_be16(head + 6), ld_be32(head + 16));
    if (!r && ld_be16(head + 4) & NBD_REPLY_FLAG_DONE) {
        r = check_complete(call);
        *ret = r ? NULL : call;
    }
    return r;
}

static void unlink_waiting(struct nbd_conn *c, struct nbd_call *call)
{
    struct nbd_call **p = &c->waiting;

    while (*p && *p != call)
        p = &(*p)->next_waiting;
    if (*p)
        *p = call->next_waiting;
}

/* Reads replies for everybody until ours is there or the connection is lost. */
static void read_locked(struct nbd_conn *c, struct nbd_call *mine)
{
    c->reading = true;
    while (!mine->done && !c->broken) {
        struct nbd_call *ended;
        int r;

        pthread_mutex_unlock(&c->lock);
        r = read_reply(c, &ended);
        pthread_mutex_lock(&c->lock);
        if (ended) {
            ended->done = true;
            if (ended != mine)
                pthread_cond_signal(&ended->woken);
        }
        if (r)
            break_locked(c);
    }
    c->reading = false;
    if (c->broken)
        break_locked(c);
    else if (c->waiting)
        pthread_cond_signal(&c->waiting->woken);
}

static void wait_locked(struct nbd_conn *c, struct nbd_call *call)
{
    while (!call->done && !(c->broken && !c->reading)) {
        if (!c->reading) {
            read_locked(c, call);
            continue;
        }
        call->next_waiting = c->waiting;
        c->waiting = call;
        pthread_cond_wait(&call->woken, &c->lock);
        unlink_waiting(c, call);
    }
}

int nbd_conn_run(struct nbd_conn *c, struct nbd_call *call)
{
    int r;

    call->received = call->extent_len = 0;
    call->error = 0;
    call->done = false;
    call->next_waiting = NULL;
    pthread_cond_init(&call->woken, NULL);
    pthread_mutex_lock(&c->lock);
    r = enter_locked(c, call);
    pthread_mutex_unlock(&c->lock);
    if (!r) {
        bool failed = send_call(c, call) != 0;

        pthread_mutex_lock(&c->lock);
        if (failed)
            break_locked(c);
        wait_locked(c, call);
        r = call->done ? call->error : -ENOTCONN;
        leave_locked(c, call);
        /* whoever was told to read may have been told in vain: it had ended, too */
        if (!c->reading && c->waiting)
            pthread_cond_signal(&c->waiting->woken);
        pthread_mutex_unlock(&c->lock);
    }
    pthread_cond_destroy(&call->woken);
    return r;
}
