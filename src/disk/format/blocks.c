/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request loops of images made of equal blocks. A block's bytes are written before its entry
 * is set, and the entry reaches the disk (pages_write()) after a flush of those bytes.
 */
#include "disk/format/blocks.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"

enum { MAP_BLOCKS_MAX = 1 << 16, JOIN_MAX = 1 << 26 };

void blocks_init(struct blocks *b, struct disk *d, struct disk *file, const struct block_ops *ops,
                 void *opaque)
{
    b->d = d;
    b->file = file;
    b->ops = ops;
    b->opaque = opaque;
    b->joined = true;
    d->zero_flags = DISK_MAY_UNMAP;
    b->data_flags = DISK_MAP_DATA | DISK_MAP_ALLOCATED | DISK_MAP_OFFSET | DISK_MAP_SOLID;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->landed, NULL);
    pages_init(&b->pages, file, &b->lock);
    b->alive = true;
}

void blocks_finish(struct blocks *b)
{
    if (!b->alive)
        return;
    pages_finish(&b->pages);
    pthread_cond_destroy(&b->landed);
    pthread_mutex_destroy(&b->lock);
    b->alive = false;
}

int blocks_begin(struct blocks *b)
{
    int r = 0;

    if (!b->begun && b->ops->begin)
        r = b->ops->begin(b);
    if (r == 0)
        b->begun = true;
    return r;
}

/* Cuts off what lies behind the last block. A file that cannot be cut (a device) has old bytes
 * there, and new blocks are cleared. */
static int cut_tail(struct blocks *b)
{
    struct error err;
    int r = b->ops->find_end ? b->ops->find_end(b, &b->end) : 0;

    if (r < 0)
        return r;
    b->cut = true;
    b->file_size = disk_size(b->file);
    if (b->file_size > b->end && disk_resize(b->file, b->end, DISK_PREALLOC_OFF, true, &err))
        b->file_size = b->end;
    b->zero_from = MAX(b->file_size, b->end);
    return 0;
}

static int grow_file(struct blocks *b, uint64_t end)
{
    struct error err;
    uint64_t ahead = MIN(MAX(end / 8, UINT64_C(1) << 20), UINT64_C(64) << 20);
    uint64_t size = ALIGN_UP(end + ahead, UINT64_C(1) << 20); /* VHDX wants whole MiB */

    if (end <= b->file_size)
        return 0;
    if (!disk_resize(b->file, size, DISK_PREALLOC_OFF, true, &err)) {
        size = end;
        if (!disk_resize(b->file, size, DISK_PREALLOC_OFF, true, &err))
            return -(err.code ? err.code : ENOSPC);
    }
    b->file_size = size;
    return 0;
}

int blocks_take_space(struct blocks *b, uint64_t len, uint64_t align, uint64_t *ret)
{
    int r = b->cut ? 0 : cut_tail(b);
    uint64_t offset = (b->end + align - 1) / align * align;

    if (r < 0)
        return r;
    if (offset > DISK_MAX_SIZE - len)
        return -EFBIG;
    r = grow_file(b, offset + len);
    if (r == 0 && offset < b->zero_from)
        r = disk_zero(b->file, offset, len, DISK_MAY_UNMAP);
    if (r < 0)
        return r;
    b->end = offset + len;
    b->zero_from = MAX(b->zero_from, b->end);
    *ret = offset;
    return 0;
}

int blocks_read_backing(struct disk *d, uint64_t offset, struct disk_vec v)
{
    uint64_t size = d->backing ? disk_size(d->backing) : 0;
    size_t have = offset < size ? MIN(size - offset, v.len) : 0;
    int r = 0;

    if (have)
        r = disk_readv(d->backing, offset, vec_slice(v, 0, have));
    if (r == 0 && have < v.len) {
        struct disk_vec rest = vec_slice(v, have, v.len - have);
        vec_clear(&rest);
    }
    return r;
}

/* A piece of a request: blocks in one state, at adjoining places of the file. */
struct run {
    enum block_state state;
    uint64_t offset; /* of its first byte, in the file */
    uint64_t len;
};

static int lookup(struct blocks *b, uint64_t index, bool cached_only, enum block_state *state,
                  uint64_t *offset)
{
    *offset = 0;
    return b->ops->lookup(b, index, cached_only, state, offset);
}

/* The longest run at pos (from b->start) of at most len bytes. Lock held. */
static int find_run(struct blocks *b, uint64_t pos, uint64_t len, bool cached_only, struct run *ret)
{
    uint64_t index = pos / b->block_size, within = pos % b->block_size;
    int r = lookup(b, index, cached_only, &ret->state, &ret->offset);

    if (r < 0)
        return r;
    ret->len = b->block_size - within;
    ret->offset += within;
    if (ret->state == BLOCK_HOLE && ret->len < len && !cached_only && b->ops->holes) {
        uint64_t n = b->ops->holes(b, index, (within + len - 1) / b->block_size + 1);

        ret->len = MIN(n * b->block_size - within, len);
        return 0;
    }
    for (unsigned n = 1; ret->len < len && n < MAP_BLOCKS_MAX; n++) {
        enum block_state state;
        uint64_t offset;

        if (ret->state == BLOCK_COMPRESSED || lookup(b, index + n, true, &state, &offset) < 0)
            break;
        if (state != ret->state || (state == BLOCK_DATA && offset != ret->offset + ret->len))
            break;
        ret->len += b->block_size;
    }
    ret->len = MIN(ret->len, len);
    return 0;
}

static int read_compressed(struct blocks *b, uint64_t pos, uint64_t stored, struct disk_vec v)
{
    AUTO_FREE uint8_t *buf = malloc(b->block_size);
    int r;

    if (!buf)
        return -ENOMEM;
    r = b->ops->decompress(b, pos / b->block_size, stored, buf);
    if (r == 0)
        vec_from_buf(&v, buf + pos % b->block_size);
    return r;
}

/* A file that ends inside its last block has zeroes there. */
static int read_file(struct blocks *b, uint64_t offset, struct disk_vec v)
{
    uint64_t size = disk_size(b->file);
    size_t have = offset < size ? MIN(size - offset, v.len) : 0;
    int r = have ? disk_readv(b->file, offset, vec_slice(v, 0, have)) : 0;

    if (r == 0 && have < v.len) {
        struct disk_vec rest = vec_slice(v, have, v.len - have);
        vec_clear(&rest);
    }
    return r;
}

static int read_run(struct blocks *b, uint64_t pos, const struct run *run, struct disk_vec v)
{
    switch (run->state) {
    case BLOCK_DATA: return read_file(b, run->offset, v);
    case BLOCK_HOLE: return blocks_read_backing(b->d, b->start + pos, v);
    case BLOCK_COMPRESSED: return read_compressed(b, pos, run->offset - pos % b->block_size, v);
    case BLOCK_ZERO: break;
    }
    vec_clear(&v);
    return 0;
}

int blocks_read(struct blocks *b, uint64_t offset, struct disk_vec v)
{
    int r = 0;

    for (size_t done = 0; done < v.len && r == 0;) {
        uint64_t pos = offset - b->start + done;
        struct run run;

        WITH_LOCK (&b->lock) {
            r = find_run(b, pos, v.len - done, false, &run);
        }
        if (r == 0)
            r = read_run(b, pos, &run, vec_slice(v, done, run.len));
        done += run.len;
    }
    return r;
}

static bool in_flight(const struct blocks *b, uint64_t first, uint64_t count)
{
    for (const struct block_flight *f = b->flights; f; f = f->next) {
        if (first < f->first + f->count && f->first < first + count)
            return true;
    }
    return false;
}

static void land(struct blocks *b, struct block_flight *flight)
{
    struct block_flight **at = &b->flights;

    while (*at != flight)
        at = &(*at)->next;
    *at = flight->next;
    pthread_cond_broadcast(&b->landed);
}

/* Space for flight->count blocks. Lock held. */
static int reserve(struct blocks *b, const struct block_flight *flight, uint64_t *ret)
{
    int r = blocks_begin(b);

    if (r < 0)
        return r;
    if (b->ops->reserve)
        return b->ops->reserve(b, flight->first, ret);
    return blocks_take_space(b, flight->count * b->block_size, 1, ret);
}

/* Fills [from, to) of the new blocks at file offset with what a reader saw there until now. */
static int copy_up(struct blocks *b, const struct block_flight *f, uint64_t offset, uint64_t from,
                   uint64_t to)
{
    uint64_t base = f->first * b->block_size;
    int r = 0;

    to = MIN(to, b->size - base);
    if (from >= to || !b->d->backing)
        return 0;
    size_t n = MIN(to - from, UINT64_C(1) << 20);
    AUTO_FREE uint8_t *buf = malloc(n);
    if (!buf)
        return -ENOMEM;
    for (uint64_t at = from; at < to && r == 0; at += n) {
        n = MIN(n, to - at);
        r = blocks_read_backing(b->d, b->start + base + at, vec_of(buf, n));
        if (r == 0 && !buf_is_zero(buf, n))
            r = disk_write(b->file, offset + at, buf, n, 0);
    }
    return r;
}

/* Writes v at pos into new blocks, which are reserved and in flight. */
static int fill_new(struct blocks *b, const struct block_flight *f, enum block_state was,
                    uint64_t offset, uint64_t pos, struct disk_vec v)
{
    uint64_t within = pos % b->block_size, last = within + v.len;
    int r = b->ops->prepare ? b->ops->prepare(b, offset) : 0;

    if (r == 0 && was == BLOCK_HOLE)
        r = copy_up(b, f, offset, 0, within);
    if (r == 0 && was == BLOCK_HOLE)
        r = copy_up(b, f, offset, last, f->count * b->block_size);
    if (r == 0)
        r = disk_writev(b->file, offset + within, v, 0);
    return r;
}

static int publish_all(struct blocks *b, const struct block_flight *f, uint64_t offset)
{
    int r = 0;

    for (uint64_t i = 0; i < f->count && r == 0; i++)
        r = b->ops->publish(b, f->first + i, BLOCK_DATA, offset + i * b->block_size);
    return r;
}

/* What one write of a piece found. */
struct piece {
    struct run run;
    struct block_flight flight; /* count 0: the blocks exist */
    uint64_t offset;            /* of the new blocks */
};

/* Finds existing blocks, or takes new ones into flight. Lock held. */
static int start_write(struct blocks *b, uint64_t pos, uint64_t len, struct piece *p)
{
    uint64_t first = pos / b->block_size;
    int r;

    while (in_flight(b, first, 1))
        pthread_cond_wait(&b->landed, &b->lock);
    r = find_run(b, pos, b->joined ? MIN(len, JOIN_MAX) : MIN(len, b->block_size), false, &p->run);
    if (r < 0 || p->run.state == BLOCK_DATA)
        return r;
    if (p->run.state == BLOCK_COMPRESSED)
        return -EIO;
    p->flight.first = first;
    p->flight.count = 1;
    if (b->joined)
        p->flight.count = (pos + p->run.len - 1) / b->block_size - first + 1;
    while (in_flight(b, first, p->flight.count))
        p->flight.count--;
    p->run.len = MIN(p->run.len, (first + p->flight.count) * b->block_size - pos);
    r = reserve(b, &p->flight, &p->offset);
    if (r < 0) {
        p->flight.count = 0;
        return r;
    }
    p->flight.next = b->flights;
    b->flights = &p->flight;
    return 0;
}

static int write_piece(struct blocks *b, uint64_t pos, struct disk_vec v, size_t done, size_t *ret)
{
    struct piece p = { 0 };
    int r;

    WITH_LOCK (&b->lock) {
        r = start_write(b, pos, v.len - done, &p);
    }
    if (r < 0)
        return r;
    struct disk_vec part = vec_slice(v, done, p.run.len);
    *ret = p.run.len;
    if (!p.flight.count)
        return disk_writev(b->file, p.run.offset, part, 0);
    r = fill_new(b, &p.flight, p.run.state, p.offset, pos, part);
    WITH_LOCK (&b->lock) {
        if (r == 0)
            r = publish_all(b, &p.flight, p.offset);
        else if (!b->ops->reserve && b->end == p.offset + p.flight.count * b->block_size)
            b->end = p.offset; /* nobody took space behind it; its bytes are old now */
        land(b, &p.flight);
    }
    return r;
}

int blocks_write(struct blocks *b, uint64_t offset, struct disk_vec v)
{
    size_t n = 0;
    int r = 0;

    for (size_t done = 0; done < v.len && r == 0; done += n)
        r = write_piece(b, offset - b->start + done, v, done, &n);
    if (r == 0 && b->pages.dirty > PAGES_MAX_DIRTY)
        r = blocks_flush(b);
    return r;
}

/* Sets whole blocks that have no bytes of their own to zero in the table. */
static int publish_zero(struct blocks *b, uint64_t pos, uint64_t len, uint64_t *ret)
{
    uint64_t n = 0;
    int r = 0;

    WITH_LOCK (&b->lock) {
        r = blocks_begin(b);
        for (; n < len && r == 0; n += b->block_size) {
            uint64_t index = (pos + n) / b->block_size, offset;
            enum block_state state;

            while (in_flight(b, index, 1))
                pthread_cond_wait(&b->landed, &b->lock);
            r = lookup(b, index, false, &state, &offset);
            if (r < 0 || state == BLOCK_DATA || state == BLOCK_COMPRESSED)
                break;
            r = b->ops->publish(b, index, BLOCK_ZERO, 0);
        }
    }
    *ret = MIN(n, len);
    return r;
}

static int write_zeroes(struct blocks *b, uint64_t pos, uint64_t len)
{
    size_t n = MIN(len, UINT64_C(1) << 20);
    AUTO_FREE uint8_t *buf = calloc(1, n);
    int r = 0;

    if (!buf)
        return -ENOMEM;
    for (uint64_t done = 0; done < len && r == 0; done += n) {
        n = MIN(n, len - done);
        r = blocks_write(b, b->start + pos + done, vec_of(buf, n));
    }
    return r;
}

/* One run of a zero request. */
static int zero_run(struct blocks *b, uint64_t pos, struct run *run, unsigned flags)
{
    uint64_t within = pos % b->block_size, whole = run->len - run->len % b->block_size;

    switch (run->state) {
    case BLOCK_ZERO: return 0;
    case BLOCK_DATA:
        return disk_zero(b->file, run->offset, run->len,
                         flags & (DISK_MAY_UNMAP | DISK_NO_FALLBACK));
    case BLOCK_HOLE:
        if (!b->d->backing || b->start + pos >= disk_size(b->d->backing))
            return 0;
        if (pos + run->len == b->size)
            whole = run->len;
        if (b->can_zero && !within && whole)
            return publish_zero(b, pos, whole, &run->len);
        break;
    case BLOCK_COMPRESSED: break;
    }
    if (flags & DISK_NO_FALLBACK)
        return -ENOTSUP;
    if (run->len > b->block_size - within)
        run->len = b->block_size - within; /* so that whole blocks follow */
    return write_zeroes(b, pos, run->len);
}

int blocks_zero(struct blocks *b, uint64_t offset, uint64_t len, unsigned flags)
{
    int r = 0;

    for (uint64_t done = 0; done < len && r == 0;) {
        uint64_t pos = offset - b->start + done;
        struct run run;

        WITH_LOCK (&b->lock) {
            while (in_flight(b, pos / b->block_size, 1))
                pthread_cond_wait(&b->landed, &b->lock);
            r = find_run(b, pos, len - done, false, &run);
        }
        if (r == 0)
            r = zero_run(b, pos, &run, flags);
        done += run.len;
    }
    return r;
}

int blocks_discard(struct blocks *b, uint64_t offset, uint64_t len)
{
    int r = 0;

    for (uint64_t done = 0; done < len && r == 0;) {
        struct run run;

        WITH_LOCK (&b->lock) {
            r = find_run(b, offset - b->start + done, len - done, false, &run);
        }
        if (r == 0 && run.state == BLOCK_DATA)
            r = disk_discard(b->file, run.offset, run.len);
        done += run.len;
    }
    return r;
}

int blocks_map(struct blocks *b, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    uint64_t pos = offset - b->start;
    struct run run;
    int r;

    WITH_LOCK (&b->lock) {
        r = find_run(b, pos, MIN(len, b->size - pos), false, &run);
    }
    if (r < 0)
        return r;
    *ret = (struct disk_extent){ .len = run.len };
    switch (run.state) {
    case BLOCK_HOLE: ret->flags = b->hole_flags; break;
    case BLOCK_ZERO: ret->flags = DISK_MAP_ZERO | DISK_MAP_ALLOCATED; break;
    case BLOCK_COMPRESSED:
        ret->flags = DISK_MAP_DATA | DISK_MAP_ALLOCATED | DISK_MAP_COMPRESSED;
        break;
    case BLOCK_DATA:
        ret->flags = b->data_flags;
        ret->file = b->file;
        ret->host_offset = run.offset;
        break;
    }
    return 0;
}

bool blocks_locate(struct blocks *b, enum disk_op op, uint64_t offset, size_t len,
                   struct disk_span *ret)
{
    struct run run;
    int r;

    if ((op != DISK_OP_READ && op != DISK_OP_WRITE) || pthread_mutex_trylock(&b->lock) != 0)
        return false;
    r = find_run(b, offset - b->start, len, true, &run);
    pthread_mutex_unlock(&b->lock);
    if (r < 0)
        return false;
    *ret = (struct disk_span){ .node = b->file, .offset = run.offset, .len = run.len };
    if (run.state == BLOCK_DATA)
        return run.offset + run.len <= disk_size(b->file);
    ret->zero = true;
    return op == DISK_OP_READ &&
           (run.state == BLOCK_ZERO || (run.state == BLOCK_HOLE && !b->d->backing));
}

int blocks_flush(struct blocks *b)
{
    return pages_write(&b->pages, NULL, NULL);
}

int blocks_settle(struct blocks *b)
{
    struct error err;
    int r = b->alive && !b->d->read_only ? blocks_flush(b) : 0;

    if (r < 0 || !b->alive || !b->cut || b->file_size <= b->end)
        return r;
    if (disk_resize(b->file, b->end, DISK_PREALLOC_OFF, true, &err))
        b->file_size = b->end;
    return 0;
}

int blocks_read_slot(struct disk *d, uint64_t offset, struct disk_vec v)
{
    return blocks_read(d->priv, offset, v);
}

int blocks_write_slot(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    (void)flags;
    return blocks_write(d->priv, offset, v);
}

int blocks_zero_slot(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    return blocks_zero(d->priv, offset, len, flags);
}

int blocks_discard_slot(struct disk *d, uint64_t offset, uint64_t len)
{
    return blocks_discard(d->priv, offset, len);
}

int blocks_flush_slot(struct disk *d)
{
    return blocks_flush(d->priv);
}

int blocks_map_slot(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    return blocks_map(d->priv, offset, len, ret);
}

bool blocks_locate_slot(struct disk *d, enum disk_op op, uint64_t offset, size_t len,
                        struct disk_span *ret)
{
    return blocks_locate(d->priv, op, offset, len, ret);
}
