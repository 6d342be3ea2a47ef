/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carrying out requests. What can go straight to the queue does; what may wait in between (finding
 * holes, a flush after a discard) runs as one call on a worker.
 */
#include "nbd/server_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/bits.h"

enum { MAP_WINDOW = 4 << 20, CACHE_STEP = 1 << 20 };

static uint64_t disk_offset(const struct nbd_request *r)
{
    return r->client->export_->offset + r->offset;
}

static unsigned fua(const struct nbd_request *r)
{
    return r->flags & NBD_CMD_FLAG_FUA ? DISK_FUA : 0;
}

static void plain_done(struct disk_request *io, int result)
{
    nbd_reply(io->opaque, -result);
}

static void submit(struct nbd_request *r, enum disk_op op, unsigned flags,
                   void (*done)(struct disk_request *io, int result))
{
    r->io.disk = r->client->export_->disk;
    r->io.op = op;
    r->io.flags = flags;
    r->io.offset = disk_offset(r);
    r->io.len = r->len;
    r->io.opaque = r;
    r->io.done = done;
    disk_submit(r->client->queue, &r->io);
}

static void submit_call(struct nbd_request *r, int (*call)(struct disk_request *io),
                        void (*done)(struct disk_request *io, int result))
{
    r->io.call = call;
    submit(r, DISK_OP_CALL, 0, done);
}

/* --- READ --- */

static void read_done(struct disk_request *io, int result)
{
    struct nbd_request *r = io->opaque;
    if (result)
        nbd_reply(r, -result);
    else
        nbd_reply_data(r);
}

static void set_holes(struct nbd_request *r, struct nbd_extents *own_x)
{
    r->lists = xnew(struct nbd_extents *);
    r->lists[0] = own_x;
    r->list_count = 1;
}

/* Worker: finds the holes and reads what lies between. */
static int read_pieces(struct disk_request *io)
{
    struct nbd_request *r = io->opaque;
    struct nbd_export *e = r->client->export_;
    int error = 0;
    uint32_t at = 0;
    struct nbd_extents *x =
        nbd_status(e, NBD_CONTEXT_BASE, r->offset, r->len, NBD_MAX_CHUNKS, &error);
    if (!x)
        return -error;
    for (unsigned i = 0; i < x->count; i++) {
        struct nbd_extent *p = &x->e[i];
        if (i + 1 == x->count && at + p->len < r->len) /* too many pieces: the rest is data */
            *p = (struct nbd_extent){ r->len - at, 0 };
        if (!error && !(p->flags & NBD_STATE_ZERO))
            error = disk_read(e->disk, io->offset + at, r->buffer.bytes + at, p->len);
        at += p->len;
    }
    set_holes(r, x);
    return error;
}

/* Looks around the request. False: it must be read in pieces. *ret_hole: all of it is zeroes. */
static bool map_now(struct nbd_request *r, bool *ret_hole)
{
    struct nbd_export *e = r->client->export_;
    uint64_t from = r->offset & ~UINT64_C(0xffff), size = nbd_export_size(e);
    uint64_t len = MIN(MAX(r->offset - from + r->len, (uint64_t)MAP_WINDOW), size - from);
    struct disk_extent x;
    if (disk_map_above(e->disk, NULL, e->offset + from, len, &x) || !x.len)
        return false;
    if (from + x.len < r->offset + r->len) {
        from = r->offset; /* the first extent ends before: look at the request alone */
        if (disk_map_above(e->disk, NULL, e->offset + from, r->len, &x) || x.len < r->len)
            return false;
    }
    *ret_hole = x.flags & DISK_MAP_ZERO;
    if (!*ret_hole)
        nbd_export_set_data(e, from, MIN(x.len, size - from));
    return true;
}

static void reply_hole(struct nbd_request *r)
{
    struct nbd_extents *x = xcalloc(1, sizeof(*x) + sizeof(x->e[0]));
    x->count = 1;
    x->e[0] = (struct nbd_extent){ r->len, NBD_STATE_ZERO };
    set_holes(r, x);
    nbd_reply_data(r);
}

static void start_read(struct nbd_request *r)
{
    struct nbd_export *e = r->client->export_;
    bool hole = false, whole = true;
    if (r->client->structured && !(r->flags & NBD_CMD_FLAG_DF) &&
        !nbd_export_is_data(e, r->offset, r->len))
        whole = e->quick_map && map_now(r, &hole);
    if (hole) {
        reply_hole(r);
    } else if (!nbd_buffer_get(r->client, r->len, &r->buffer)) {
        nbd_reply(r, ENOMEM);
    } else if (whole) {
        r->io.vec = vec_of(r->buffer.bytes, r->len);
        submit(r, DISK_OP_READ, 0, read_done);
    } else {
        submit_call(r, read_pieces, read_done);
    }
}

/* --- writing --- */

static void start_write(struct nbd_request *r)
{
    r->io.vec = vec_of(r->buffer.bytes, r->len);
    submit(r, DISK_OP_WRITE, fua(r), plain_done);
}

static void start_flush(struct nbd_request *r)
{
    submit(r, DISK_OP_FLUSH, 0, plain_done);
}

static void start_zeroes(struct nbd_request *r)
{
    unsigned flags = fua(r) | (r->flags & NBD_CMD_FLAG_NO_HOLE ? 0 : DISK_MAY_UNMAP) |
                     (r->flags & NBD_CMD_FLAG_FAST_ZERO ? DISK_NO_FALLBACK : 0);
    nbd_export_clear_data(r->client->export_, r->offset, r->len);
    submit(r, DISK_OP_ZERO, flags, plain_done);
}

static int discard_and_flush(struct disk_request *io)
{
    int r = disk_discard(io->disk, io->offset, io->len);
    return r ? r : disk_flush(io->disk);
}

static void start_trim(struct nbd_request *r)
{
    nbd_export_clear_data(r->client->export_, r->offset, r->len);
    if (fua(r))
        submit_call(r, discard_and_flush, plain_done);
    else
        submit(r, DISK_OP_DISCARD, 0, plain_done);
}

/* --- CACHE, BLOCK_STATUS --- */

/* Reading brings data into the host's cache, and up into a copy-on-read node. */
static int read_to_cache(struct disk_request *io)
{
    void *buf = malloc(MIN(io->len, CACHE_STEP));
    int r = buf ? 0 : -ENOMEM;
    for (uint64_t done = 0; !r && done < io->len;) {
        size_t n = MIN(io->len - done, CACHE_STEP);
        r = disk_read(io->disk, io->offset + done, buf, n);
        done += n;
    }
    free(buf);
    return r;
}

static void start_cache(struct nbd_request *r)
{
    submit_call(r, read_to_cache, plain_done);
}

static int look_up_status(struct disk_request *io)
{
    struct nbd_request *r = io->opaque;
    struct nbd_client *c = r->client;
    unsigned max = r->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : NBD_MAX_EXTENTS;
    r->lists = xnew_array(struct nbd_extents *, NBD_CONTEXT_COUNT);
    for (unsigned id = 0; id < NBD_CONTEXT_COUNT; id++) {
        int error = 0;
        if (!c->meta[id])
            continue;
        struct nbd_extents *x = nbd_status(c->export_, id, r->offset, r->len, max, &error);
        if (!x)
            return -error;
        r->lists[r->list_count++] = x;
    }
    return 0;
}

static void status_done(struct disk_request *io, int result)
{
    struct nbd_request *r = io->opaque;
    if (result)
        nbd_reply(r, -result);
    else
        nbd_reply_status(r);
}

static void start_status(struct nbd_request *r)
{
    submit_call(r, look_up_status, status_done);
}

/* --- all --- */

enum { ANY = NBD_CMD_FLAG_FUA };

static const struct command {
    void (*start)(struct nbd_request *r); /* NULL: there is no such command */
    unsigned flags;
    bool writes, no_range;
} commands[] = {
    [NBD_CMD_READ] = { start_read, ANY | NBD_CMD_FLAG_DF },
    [NBD_CMD_WRITE] = { start_write, ANY, .writes = true },
    [NBD_CMD_FLUSH] = { start_flush, ANY, .no_range = true },
    [NBD_CMD_TRIM] = { start_trim, ANY, .writes = true },
    [NBD_CMD_CACHE] = { start_cache, ANY },
    [NBD_CMD_WRITE_ZEROES] = { start_zeroes, ANY | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO,
                               .writes = true },
    [NBD_CMD_BLOCK_STATUS] = { start_status, ANY | NBD_CMD_FLAG_REQ_ONE },
};

static bool has_meta(const struct nbd_client *c)
{
    for (unsigned id = 0; id < NBD_CONTEXT_COUNT; id++) {
        if (c->meta[id])
            return true;
    }
    return false;
}

uint32_t nbd_request_weight(uint16_t command, uint32_t len)
{
    return (command == NBD_CMD_READ || command == NBD_CMD_WRITE) && len <= NBD_MAX_PAYLOAD ? len
                                                                                           : 0;
}

int nbd_request_check(const struct nbd_request *r)
{
    const struct nbd_export *e = r->client->export_;
    const struct command *k = r->command < ARRAY_SIZE(commands) ? &commands[r->command] : NULL;
    uint64_t size = nbd_export_size(e);
    if (!k || !k->start || (r->flags & ~k->flags))
        return EINVAL;
    if ((r->flags & NBD_CMD_FLAG_DF) && !r->client->structured)
        return EINVAL;
    if (k->writes && !e->writable)
        return EPERM;
    if (r->len > NBD_MAX_PAYLOAD && (r->command == NBD_CMD_READ || r->command == NBD_CMD_WRITE))
        return EINVAL;
    if (r->command == NBD_CMD_BLOCK_STATUS && (!r->len || !has_meta(r->client)))
        return EINVAL;
    if (k->no_range || (r->offset <= size && r->len <= size - r->offset))
        return 0;
    return r->command == NBD_CMD_WRITE || r->command == NBD_CMD_WRITE_ZEROES ? ENOSPC : EINVAL;
}

void nbd_request_start(struct nbd_request *r)
{
    if (r->error)
        nbd_reply(r, r->error);
    else if (!r->len && !commands[r->command].no_range)
        nbd_reply(r, 0);
    else
        commands[r->command].start(r);
}

void nbd_request_finish(struct nbd_request *r)
{
    struct nbd_client *c = r->client;
    nbd_buffer_put(c, &r->buffer);
    for (unsigned i = 0; i < r->list_count; i++)
        free(r->lists[i]);
    free(r->lists);
    if (r->head != r->heads)
        free(r->head);
    if (r->iov != r->iov_own)
        free(r->iov);
    c->in_flight_bytes -= nbd_request_weight(r->command, r->len);
    c->in_flight--;
    r->lists = NULL;
    r->list_count = 0;
    r->next = c->free_slots;
    c->free_slots = r;
}
