/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The NBD client as a driver: options, the connections it keeps, and the slots. A server that says
 * that several connections see one disk (CAN_MULTI_CONN) gets more of them when calls pile up.
 */
#include "disk/transport/nbd.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/node.h"

enum {
    CONNECT_S = 30, /* to connect and shake hands */
    MAX_CONNECTIONS = 8,
    DEFAULT_CONNECTIONS = 4,
    PILE = 8, /* calls on each connection before another is made */
    RETRY_MS = 1000,
    SEEN_MAX = 1024,
    SEEN_NS = 1000000000,  /* block status is good for so long */
    REQUEST_MAX = 32 << 20 /* bytes of a read or write, what servers must take */
};

/* Block status of a run of the disk, as the server told it. */
struct seen_extents {
    uint64_t start, at; /* of the first extent, of e[next] */
    uint64_t when_ns;
    uint32_t next, count;
    struct nbd_extent e[SEEN_MAX];
};

struct nbd_disk {
    /* options */
    char *host, *port, *path, *export, *tls_creds, *tls_hostname, *dirty_bitmap;
    uint32_t reconnect_delay, open_timeout, request_timeout, connections;
    bool tls;

    struct nbd_target target;
    struct nbd_params params;
    struct nbd_conn *conns[MAX_CONNECTIONS]; /* filled in order, never emptied while open */
    _Atomic(unsigned) count;                 /* of conns */
    pthread_mutex_t grow_lock;
    _Atomic(unsigned) limit; /* connections that may be; 1 when one more was refused */
    pthread_mutex_t map_lock;
    struct seen_extents seen;   /* read-only disks; GUARDED_BY(map_lock) */
    _Atomic(uint32_t) zero_max; /* bytes of a zero or discard; less once a server complained */
};

static const char *export_of(const struct nbd_disk *p)
{
    return p->export ? p->export : "";
}

static bool take_address(struct disk *d, struct error *err)
{
    struct nbd_disk *p = d->priv;
    struct optlist *opts = disk_open_options(d);

    for (size_t i = 0; i < opts->count; i++) {
        if (!strncmp(opts->items[i].key, "server.", 7) && !opts->items[i].taken) {
            if (p->host || p->port || p->path)
                return fail(err, EINVAL,
                            "'server' and path/host/port may not be used at the same "
                            "time");
            return socket_addr_take(&p->target.addr, opts, "server", err);
        }
    }
    if (p->path && p->host)
        return fail(err, EINVAL, "path and host may not be used at the same time");
    if (p->path && p->port)
        return fail(err, EINVAL, "port may not be used without host");
    if (!p->path && !p->host)
        return fail(err, EINVAL, "NBD server address missing") ||
               fail_hint(err,
                         "server.type=unix,server.path=PATH or server.type=inet,server.host=...");
    p->target.addr.kind = p->path ? SOCKET_UNIX : SOCKET_TCP;
    p->target.addr.path = xstrdup(p->path);
    p->target.addr.host = xstrdup(p->host);
    p->target.addr.port = p->host ? xstrdup(p->port ? p->port : NBD_DEFAULT_PORT) : NULL;
    return true;
}

static bool fill_target(struct disk *d, struct error *err)
{
    struct nbd_disk *p = d->priv;
    struct nbd_target *t = &p->target;

    if (!take_address(d, err))
        return false;
    t->export_name = export_of(p);
    t->context = p->dirty_bitmap ? p->dirty_bitmap : "base:allocation";
    t->request_timeout_ms = p->request_timeout * 1000;
    t->tls_hostname = p->tls_hostname;
    if (p->tls_creds &&
        !(t->tls = tls_creds_find(disk_graph_objects(d->graph), p->tls_creds, false, err)))
        return false;
    if (p->tls && !t->tls)
        return fail(err, EINVAL, "nbds: needs TLS credentials") ||
               fail_hint(err, "--object tls-creds-x509,id=tls0,dir=... and tls-creds=tls0");
    if (p->tls_hostname && !t->tls)
        return fail(err, EINVAL, "tls-hostname is given without tls-creds");
    return true;
}

/* The name that opens the same export again, as qemu-img prints it. */
static char *name_of(const struct nbd_disk *p)
{
    const struct socket_addr *a = &p->target.addr;
    const char *slash = p->export ? "/" : "", *export = export_of(p);

    if (a->kind == SOCKET_UNIX && !a->abstract)
        return xasprintf("nbd+unix://%s%s?socket=%s", slash, export, a->path);
    if (a->kind == SOCKET_TCP && strchr(a->host, ':'))
        return xasprintf("nbd://[%s]:%s%s%s", a->host, a->port, slash, export);
    return a->kind == SOCKET_TCP ? xasprintf("nbd://%s:%s%s%s", a->host, a->port, slash, export)
                                 : NULL;
}

/* Tries again until open-timeout, where that is set: a server that is being started. */
static struct channel *first_connection(struct nbd_disk *p, struct error *err)
{
    uint64_t deadline = nbd_now_ns() + (uint64_t)p->open_timeout * 1000000000;
    struct channel *c;

    while (!(c = nbd_connect(&p->target, CONNECT_S * 1000, &p->params, err)) &&
           nbd_now_ns() < deadline) {
        struct timespec pause = { 0, 100 * 1000000 };

        nanosleep(&pause, NULL);
    }
    return c;
}

static bool check_params(struct disk *d, struct error *err)
{
    struct nbd_disk *p = d->priv;
    const struct nbd_params *q = &p->params;

    if (q->size > DISK_MAX_SIZE)
        return fail(err, EFBIG, "the export's size of %llu bytes is larger than disks can be",
                    (unsigned long long)q->size);
    if (p->dirty_bitmap && !q->has_context)
        return fail(err, ENOENT, "requested x-dirty-bitmap %s not found", p->dirty_bitmap);
    if (d->read_only || !(q->flags & NBD_FLAG_READ_ONLY))
        return true;
    if (!(d->open_flags & DISK_AUTO_RDONLY))
        return fail(err, EACCES,
                    "request on write denied without write permission: the export is "
                    "read-only") ||
               fail_hint(err, "open it with read-only=on (-r)");
    d->read_only = true;
    return true;
}

static void set_limits(struct disk *d)
{
    struct nbd_disk *p = d->priv;
    const struct nbd_params *q = &p->params;
    uint32_t min = q->min_block ? q->min_block : q->size % 512 ? 1 : 512;
    uint32_t max = q->max_block ? MIN(q->max_block, (uint32_t)REQUEST_MAX) : REQUEST_MAX;

    disk_set_size(d, ALIGN_DOWN(q->size, (uint64_t)min));
    d->align = min;
    d->max_transfer = MAX(ALIGN_DOWN(max, min), min);
    p->zero_max = ALIGN_DOWN(UINT32_MAX, MAX(min, 65536u));
    if (q->flags & NBD_FLAG_SEND_FUA)
        d->write_flags = DISK_FUA;
    if (q->flags & NBD_FLAG_SEND_WRITE_ZEROES) {
        d->zero_flags = DISK_MAY_UNMAP | (d->write_flags & DISK_FUA);
        if (q->flags & NBD_FLAG_SEND_FAST_ZERO)
            d->zero_flags |= DISK_NO_FALLBACK;
    }
}

static bool nbd_open(struct disk *d, struct error *err)
{
    struct nbd_disk *p = d->priv;
    struct channel *c;
    char *name;

    pthread_mutex_init(&p->grow_lock, NULL);
    pthread_mutex_init(&p->map_lock, NULL);
    if (!fill_target(d, err))
        return false;
    if ((name = name_of(p))) {
        free(d->filename);
        d->filename = name;
    }
    if (!(c = first_connection(p, err)))
        return false;
    p->conns[0] = nbd_conn_new(&p->target, c, &p->params);
    p->count = 1;
    p->limit = !(p->params.flags & NBD_FLAG_CAN_MULTI_CONN) || p->target.addr.kind == SOCKET_FD
                   ? 1
                   : MIN(p->connections ? p->connections : DEFAULT_CONNECTIONS, MAX_CONNECTIONS);
    if (!check_params(d, err))
        return false;
    set_limits(d);
    return true;
}

static void nbd_close(struct disk *d)
{
    struct nbd_disk *p = d->priv;

    for (unsigned i = 0; i < p->count; i++)
        nbd_conn_free(p->conns[i]);
    p->count = 0;
    socket_addr_finish(&p->target.addr);
    pthread_mutex_destroy(&p->map_lock);
    pthread_mutex_destroy(&p->grow_lock);
}

/* One more connection, unless another thread is at it. */
static void grow(struct nbd_disk *p)
{
    struct nbd_params q;
    struct channel *c;
    struct error err;

    if (pthread_mutex_trylock(&p->grow_lock))
        return;
    if (p->count < p->limit) {
        c = nbd_connect(&p->target, CONNECT_S * 1000, &q, &err);
        if (c && q.size == p->params.size && q.flags == p->params.flags &&
            q.structured == p->params.structured && q.has_context == p->params.has_context) {
            p->conns[p->count] = nbd_conn_new(&p->target, c, &q);
            p->count++;
        } else {
            channel_free(c);
            p->limit = p->count; /* the server wants no more, or another disk is there now */
        }
    }
    pthread_mutex_unlock(&p->grow_lock);
}

/* NULL, unless it may grow: another connection is called for, which takes time to make. */
static struct nbd_conn *least_loaded(struct nbd_disk *p, bool may_grow)
{
    unsigned n = p->count, best = 0, load = nbd_conn_load(p->conns[0]);

    for (unsigned i = 1; i < n && load; i++) {
        unsigned l = nbd_conn_load(p->conns[i]);

        if (l < load) {
            load = l;
            best = i;
        }
    }
    if (load >= PILE && load < NBD_IN_FLIGHT && n < p->limit) {
        if (!may_grow)
            return NULL;
        grow(p);
        if (p->count > n)
            best = n;
    }
    return p->conns[best];
}

/* Sends the call again on a connection that was made again, for reconnect-delay seconds. */
static int run(struct disk *d, struct nbd_call *call)
{
    struct nbd_disk *p = d->priv;
    uint64_t deadline = 0;

    for (;;) {
        int r = nbd_conn_run(least_loaded(p, true), call);
        struct timespec pause = { 0, RETRY_MS / 10 * 1000000 };

        if (r != -ENOTCONN)
            return r;
        if (!deadline)
            deadline = nbd_now_ns() + (uint64_t)p->reconnect_delay * 1000000000;
        if (nbd_now_ns() >= deadline)
            return -EIO;
        nanosleep(&pause, NULL);
    }
}

static int nbd_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    struct nbd_call call = {
        .command = NBD_CMD_READ, .offset = offset, .len = (uint32_t)v.len, .vec = v
    };

    return run(d, &call);
}

static int nbd_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    struct nbd_call call = {
        .command = NBD_CMD_WRITE, .offset = offset, .len = (uint32_t)v.len, .vec = v
    };

    call.flags = flags & DISK_FUA ? NBD_CMD_FLAG_FUA : 0;
    return run(d, &call);
}

/* A call of a queue. */
struct started {
    struct nbd_call call;
    struct disk_async *a;
};

static void started_ended(struct nbd_call *call)
{
    struct started *s = container_of(call, struct started, call);
    struct disk_async *a = s->a;
    int r = call->error;

    free(s);
    a->done(a, r == -ENOTCONN ? -EAGAIN : r);
}

static bool nbd_start(struct disk *d, enum disk_op op, uint64_t offset, struct disk_vec v,
                      struct disk_async *a)
{
    struct nbd_disk *p = d->priv;
    struct nbd_conn *c = least_loaded(p, false);
    struct started *s;

    if (!c)
        return false;
    s = xnew(struct started);
    s->a = a;
    s->call = (struct nbd_call){ .command = op == DISK_OP_READ ? NBD_CMD_READ : NBD_CMD_WRITE,
                                 .offset = offset,
                                 .len = (uint32_t)v.len,
                                 .vec = v,
                                 .ended = started_ended };
    if (nbd_conn_start(c, &s->call))
        return true;
    free(s);
    return false;
}

static void nbd_kick(struct disk *d)
{
    struct nbd_disk *p = d->priv;

    for (unsigned i = 0; i < p->count; i++)
        nbd_conn_kick(p->conns[i]);
}

/* A command without data over any length, in pieces that the server takes. */
static int run_pieces(struct disk *d, enum nbd_command command, unsigned flags, uint64_t offset,
                      uint64_t len)
{
    struct nbd_disk *p = d->priv;

    while (len) {
        uint32_t n = (uint32_t)MIN(len, (uint64_t)p->zero_max);
        struct nbd_call call = { .command = command, .flags = flags, .offset = offset, .len = n };
        int r = run(d, &call);

        /* some servers hold these to the size that data may have */
        if ((r == -EINVAL || r == -EOVERFLOW) && n > d->max_transfer) {
            p->zero_max = (uint32_t)d->max_transfer;
            continue;
        }
        if (r)
            return r;
        offset += n;
        len -= n;
    }
    return 0;
}

static int nbd_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    struct nbd_disk *p = d->priv;
    unsigned f = (flags & DISK_MAY_UNMAP ? 0 : NBD_CMD_FLAG_NO_HOLE) |
                 (flags & DISK_FUA ? NBD_CMD_FLAG_FUA : 0) |
                 (flags & DISK_NO_FALLBACK ? NBD_CMD_FLAG_FAST_ZERO : 0);

    if (!(p->params.flags & NBD_FLAG_SEND_WRITE_ZEROES) ||
        (flags & DISK_NO_FALLBACK && !(p->params.flags & NBD_FLAG_SEND_FAST_ZERO)))
        return -ENOTSUP;
    return run_pieces(d, NBD_CMD_WRITE_ZEROES, f, offset, len);
}

static int nbd_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    struct nbd_disk *p = d->priv;

    if (!(p->params.flags & NBD_FLAG_SEND_TRIM))
        return 0;
    return run_pieces(d, NBD_CMD_TRIM, 0, offset, len);
}

static int nbd_flush(struct disk *d)
{
    struct nbd_disk *p = d->priv;
    struct nbd_call call = { .command = NBD_CMD_FLUSH };

    return p->params.flags & NBD_FLAG_SEND_FLUSH ? run(d, &call) : 0;
}

/* What a status of the server means for [offset, offset + len). */
static void translate(const struct nbd_disk *p, struct nbd_extent e, struct disk_extent *ret)
{
    if (e.flags & NBD_STATE_ZERO)
        ret->flags |= DISK_MAP_ZERO;
    if (e.flags & NBD_STATE_HOLE && ret->flags & DISK_MAP_ZERO)
        ret->flags &= ~DISK_MAP_DATA;
    else if (e.flags & NBD_STATE_HOLE && p->dirty_bitmap)
        ret->flags = DISK_MAP_ALLOCATED; /* dirty; a true hole may read as anything: data */
}

/* The extent at offset among those asked for lately, cut to begin there. */
static bool remembered(struct nbd_disk *p, uint64_t offset, struct nbd_extent *ret)
{
    bool found = false;

    WITH_LOCK (&p->map_lock) {
        struct seen_extents *s = &p->seen;

        if (!s->count || nbd_now_ns() - s->when_ns > SEEN_NS)
            break;
        if (offset < s->at) { /* begin anew */
            s->at = s->start;
            s->next = 0;
        }
        while (s->next < s->count && offset >= s->at + s->e[s->next].len)
            s->at += s->e[s->next++].len;
        found = offset >= s->at && s->next < s->count;
        if (found)
            *ret = (struct nbd_extent){ (uint32_t)(s->at + s->e[s->next].len - offset),
                                        s->e[s->next].flags };
    }
    return found;
}

static void remember(struct nbd_disk *p, uint64_t start, const struct nbd_extent *e, uint32_t count)
{
    WITH_LOCK (&p->map_lock) {
        p->seen.start = p->seen.at = start;
        p->seen.next = 0;
        p->seen.count = count;
        p->seen.when_ns = nbd_now_ns();
        memcpy(p->seen.e, e, count * sizeof(*e));
    }
}

/* Who does not write is told many extents at once, and may remember them for a moment. */
static int ask_status(struct disk *d, uint64_t offset, uint64_t len, struct nbd_extent *ret)
{
    struct nbd_disk *p = d->priv;
    struct nbd_extent list[SEEN_MAX];
    struct nbd_call call = { .command = NBD_CMD_BLOCK_STATUS,
                             .flags = d->read_only ? 0 : NBD_CMD_FLAG_REQ_ONE,
                             .extents = list,
                             .extents_max = d->read_only ? SEEN_MAX : 1 };
    uint32_t align = d->align, unit = MAX(align, 65536u);
    uint64_t start = ALIGN_DOWN(offset, (uint64_t)align);
    uint64_t end = MIN(ALIGN_UP(offset + len, (uint64_t)align), disk_size(d));
    int r;

    if (d->read_only)
        end = disk_size(d);
    call.offset = start;
    call.len = (uint32_t)MIN(end - start, (uint64_t)ALIGN_DOWN(UINT32_MAX, unit));
    if ((r = run(d, &call)))
        return r;
    if (d->read_only)
        remember(p, start, list, call.extent_count);
    *ret = list[0];
    if (ret->len <= offset - start) /* an extent within a block of the server */
        return -EIO;
    ret->len -= (uint32_t)(offset - start);
    return 0;
}

static int nbd_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    struct nbd_disk *p = d->priv;
    struct nbd_extent e;
    int r;

    *ret = (struct disk_extent){ .len = len,
                                 .flags = DISK_MAP_DATA | DISK_MAP_ALLOCATED | DISK_MAP_OFFSET,
                                 .host_offset = offset,
                                 .file = d };
    if (!p->params.has_context)
        return 0;
    if (!(d->read_only && remembered(p, offset, &e)) && (r = ask_status(d, offset, len, &e)))
        return r;
    ret->len = MIN(e.len, len);
    translate(p, e, ret);
    return 0;
}

static int64_t nbd_allocated(struct disk *d)
{
    (void)d;
    return -ENOTSUP;
}

static const char *const nbd_schemes[] = { "nbd",       "nbd+unix", "nbd+tcp", "nbds",
                                           "nbds+unix", "nbds+tcp", NULL };
static const char *const nbd_strong[] = { "tls-creds", "tls-hostname", "x-dirty-bitmap", NULL };

const struct disk_driver nbd_driver = {
    .name = "nbd",
    .doc = "client of a Network Block Device server",
    .is_transport = true,
    .schemes = nbd_schemes,
    .strong_options = nbd_strong,
    .size = sizeof(struct nbd_disk),
    .options =
        FIELDS(FIELD(struct nbd_disk, host, .doc = "TCP host (or server.type=inet,server.host=)"),
               FIELD(struct nbd_disk, port, .doc = "TCP port, default 10809"),
               FIELD(struct nbd_disk, path, .doc = "path of a Unix socket"),
               FIELD(struct nbd_disk, export, .doc = "name of the export, default \"\""),
               FIELD(struct nbd_disk, tls_creds, .wire = "tls-creds", .doc = "TLS credentials' id"),
               FIELD(struct nbd_disk, tls_hostname, .wire = "tls-hostname",
                     .doc = "name that the server's certificate must have"),
               FIELD(struct nbd_disk, tls, .doc = "the name says that TLS is wanted (nbds:)"),
               FIELD(struct nbd_disk, dirty_bitmap, .wire = "x-dirty-bitmap",
                     .doc = "metadata context shown by map instead of base:allocation"),
               FIELD(struct nbd_disk, reconnect_delay, .wire = "reconnect-delay", .max = 86400,
                     .doc = "seconds that requests wait for a lost server to come back, default 0"),
               FIELD(struct nbd_disk, open_timeout, .wire = "open-timeout", .max = 86400,
                     .doc = "seconds that opening waits for the server to be there, default 0"),
               FIELD(struct nbd_disk, request_timeout, .wire = "request-timeout", .max = 86400,
                     .doc = "seconds without a word after which a server is given up; 0: never"),
               FIELD(struct nbd_disk, connections, .max = MAX_CONNECTIONS,
                     .doc = "at most so many, where the server allows several; default 4")),
    .parse_name = nbd_parse_name,
    .open = nbd_open,
    .close = nbd_close,
    .read = nbd_read,
    .write = nbd_write,
    .start = nbd_start,
    .kick = nbd_kick,
    .zero = nbd_zero,
    .discard = nbd_discard,
    .flush = nbd_flush,
    .map = nbd_map,
    .allocated = nbd_allocated,
};
