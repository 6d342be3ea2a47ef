/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdatomic.h>
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
    BATCH = 32,            /* requests sent at once */
    RETRY_NS = 1000000000, /* between attempts to connect again */
};

struct nbd_conn {
    const struct nbd_target *t;
    struct nbd_params params; /* constant: a server that came back must agree with them */

    pthread_mutex_t write_lock; /* one request at a time goes out; taken before lock */

    pthread_mutex_t lock;
    pthread_cond_t changed;  /* slots became free, or the state changed */
    struct channel *channel; /* replaced only while nobody is inside */
    _Atomic(bool) broken;    /* written under lock */
    bool connecting, reading;
    bool has_thread, stop; /* thread was made; it shall end */
    pthread_t thread;
    struct nbd_call *to_send, **to_send_last;
    bool kicking;    /* somebody sends calls that were taken from to_send */
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
    c->to_send_last = &c->to_send;
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
    if (c->has_thread) {
        WITH_LOCK (&c->lock)
            c->stop = true;
        if (c->channel)
            channel_shutdown(c->channel);
        pthread_join(c->thread, NULL);
    }
    channel_free(c->channel);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->write_lock);
    free(c);
}

unsigned nbd_conn_load(const struct nbd_conn *c)
{
    return __atomic_load_n(&c->inside, __ATOMIC_RELAXED) + (c->broken ? NBD_IN_FLIGHT : 0);
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
    if (c->has_thread) /* it has seen that the connection is lost */
        pthread_join(c->thread, NULL);
    c->has_thread = false;
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

static bool take_slot_locked(struct nbd_conn *c, struct nbd_call *call)
{
    for (unsigned i = 0; i < NBD_IN_FLIGHT && c->inside < NBD_IN_FLIGHT; i++) {
        unsigned slot = (c->generation + i) % NBD_IN_FLIGHT;

        if (c->calls[slot])
            continue;
        c->calls[slot] = call;
        call->cookie = (uint64_t)++c->generation << 32 | slot;
        __atomic_store_n(&c->inside, c->inside + 1, __ATOMIC_RELAXED);
        return true;
    }
    return false;
}

/* Waits for a connection and a free slot, and takes it. */
static int enter_locked(struct nbd_conn *c, struct nbd_call *call)
{
    for (;;) {
        if (c->broken && !c->inside && !c->connecting && !c->reading) {
            if (nbd_now_ns() < c->next_try_ns || !reconnect_locked(c))
                return -ENOTCONN;
            continue;
        }
        if (!c->broken && !c->connecting && take_slot_locked(c, call))
            return 0;
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

/* With the write lock. */
static int send_call_locked(struct nbd_conn *c, struct nbd_call *call)
{
    uint8_t head[28];
    struct iovec iov[64] = { { head, sizeof(head) } };
    size_t done = 0, covered;
    int r = 0;

    fill_header(head, call);
    if (call->command != NBD_CMD_WRITE)
        return channel_write(c->channel, head, sizeof(head));
    for (unsigned first = 1; done < call->vec.len && !r; first = 0) {
        struct disk_vec rest = vec_slice(call->vec, done, call->vec.len - done);
        uint32_t n = vec_fill(&rest, iov + first, 63, &covered);

        r = channel_writev(c->channel, iov, n + first);
        done += covered;
    }
    return r;
}

static int send_call(struct nbd_conn *c, struct nbd_call *call)
{
    int r = 0;

    WITH_LOCK (&c->write_lock)
        r = send_call_locked(c, call);
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
    uint8_t buf[8];
    uint32_t n = (len - 4) / 8;
    int r;

    if (call->command != NBD_CMD_BLOCK_STATUS || len < 12 || (len - 4) % 8 || n > EXTENTS_MAX ||
        call->extent_count)
        return -EPROTO;
    r = channel_read(c->channel, buf, 4);
    if (r)
        return r;
    if (ld_be32(buf) != c->params.context_id)
        return -EPROTO;
    for (; call->extent_count < MIN(n, call->extents_max); call->extent_count++) {
        struct nbd_extent *e = &call->extents[call->extent_count];

        r = channel_read(c->channel, buf, 8);
        if (r)
            return r;
        *e = (struct nbd_extent){ ld_be32(buf), ld_be32(buf + 4) };
        if (!e->len)
            return -EPROTO;
    }
    return skip(c, (n - call->extent_count) * 8);
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
    return call->command == NBD_CMD_BLOCK_STATUS && !call->extent_count ? -EPROTO : 0;
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

/* Whoever waits for the call hears of it, soon or at once. */
static void end_locked(struct nbd_conn *c, struct nbd_call *call)
{
    call->done = true;
    if (!call->ended) {
        pthread_cond_signal(&call->woken);
        return;
    }
    leave_locked(c, call);
    call->ended(call);
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
        if (ended)
            end_locked(c, ended);
        if (r)
            break_locked(c);
    }
    c->reading = false;
    if (c->broken)
        break_locked(c);
    else if (c->has_thread) /* it wants to read from now on */
        pthread_cond_broadcast(&c->changed);
    else if (c->waiting)
        pthread_cond_signal(&c->waiting->woken);
}

static void wait_locked(struct nbd_conn *c, struct nbd_call *call)
{
    while (!call->done && !(c->broken && !c->reading)) {
        if (!c->reading && !c->has_thread) {
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

    call->received = call->extent_count = 0;
    call->error = 0;
    call->done = false;
    call->ended = NULL;
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
        if (!c->reading && !c->has_thread && c->waiting)
            pthread_cond_signal(&c->waiting->woken);
        pthread_mutex_unlock(&c->lock);
    }
    pthread_cond_destroy(&call->woken);
    return r;
}

/* Calls that nobody waits for have lost their connection. Their requests are not being sent. */
static void fail_started_locked(struct nbd_conn *c)
{
    while (c->kicking)
        pthread_cond_wait(&c->changed, &c->lock);
    c->to_send = NULL;
    c->to_send_last = &c->to_send;
    for (unsigned i = 0; i < NBD_IN_FLIGHT; i++) {
        struct nbd_call *call = c->calls[i];

        if (!call || !call->ended)
            continue;
        call->error = -ENOTCONN;
        end_locked(c, call);
    }
}

/* Nothing came for a while, and nothing was asked for. */
static bool just_idle(struct nbd_conn *c, int r)
{
    bool idle = false;

    if (r == -ETIMEDOUT) {
        WITH_LOCK (&c->lock)
            idle = !c->inside && !c->stop;
    }
    return idle;
}

static void *read_replies(void *arg)
{
    struct nbd_conn *c = arg;

    pthread_mutex_lock(&c->lock);
    while (c->reading) /* a caller that waits for its own */
        pthread_cond_wait(&c->changed, &c->lock);
    c->reading = true;
    while (!c->broken && !c->stop) {
        struct nbd_call *ended;
        int r;

        pthread_mutex_unlock(&c->lock);
        do
            r = read_reply(c, &ended);
        while (just_idle(c, r));
        pthread_mutex_lock(&c->lock);
        if (ended)
            end_locked(c, ended);
        if (r)
            break_locked(c);
    }
    fail_started_locked(c);
    c->reading = false;
    break_locked(c);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

bool nbd_conn_start(struct nbd_conn *c, struct nbd_call *call)
{
    bool ok = false;

    call->received = call->extent_count = 0;
    call->error = 0;
    call->done = false;
    call->next_to_send = NULL;
    WITH_LOCK (&c->lock) {
        if (c->broken || c->connecting || c->stop)
            break;
        if (!c->has_thread)
            c->has_thread = pthread_create(&c->thread, NULL, read_replies, c) == 0;
        ok = c->has_thread && take_slot_locked(c, call);
        if (ok) {
            *c->to_send_last = call;
            c->to_send_last = &call->next_to_send;
        }
    }
    return ok;
}

/* The requests of as many calls as go into one system call; 0 or -errno. */
static int send_list(struct nbd_conn *c, struct nbd_call **list)
{
    uint8_t heads[BATCH][28];
    struct iovec iov[2 * BATCH];
    unsigned n = 0, calls = 0;

    while (*list && calls < BATCH) {
        struct nbd_call *call = *list;

        if (call->command == NBD_CMD_WRITE && !vec_flat(&call->vec)) {
            if (n)
                break;
            *list = call->next_to_send;
            return send_call_locked(c, call);
        }
        fill_header(heads[calls], call);
        iov[n++] = (struct iovec){ heads[calls++], sizeof(heads[0]) };
        if (call->command == NBD_CMD_WRITE)
            iov[n++] = (struct iovec){ vec_flat(&call->vec), call->vec.len };
        *list = call->next_to_send;
    }
    return channel_writev(c->channel, iov, n);
}

void nbd_conn_kick(struct nbd_conn *c)
{
    struct nbd_call *list;
    int r = 0;

    pthread_mutex_lock(&c->lock);
    while (c->kicking)
        pthread_cond_wait(&c->changed, &c->lock);
    list = c->to_send;
    c->to_send = NULL;
    c->to_send_last = &c->to_send;
    c->kicking = list && !c->broken;
    pthread_mutex_unlock(&c->lock);
    if (!c->kicking)
        return;
    WITH_LOCK (&c->write_lock) {
        while (list && !r)
            r = send_list(c, &list);
    }
    pthread_mutex_lock(&c->lock);
    c->kicking = false;
    if (r)
        break_locked(c);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}
