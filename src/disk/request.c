/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a synchronous request: enter the node, check range and permission, wait for what
 * overlaps, bounce what is not aligned for the driver, split what is too long for it, call its
 * slot, note what was written. A driver without the slot that is a filter passes it to its child.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/bitmap.h"
#include "disk/node_priv.h"

#define BOUNCE_MAX (UINT32_C(1) << 20)

/* True when this call came from outside, to be ended by leave(). Users of a node that was replaced
 * still have it in hand: *d becomes the other one. What forward says holds while one is inside. */
static bool enter(struct disk **d)
{
    struct disk *first = *d, *to;

    if (request_is_nested())
        return false;
    request_enter(*d);
    while (unlikely((to = (*d)->core->forward) != NULL)) {
        if (request_try_enter(to)) {
            request_leave(*d);
            *d = to;
            continue;
        }
        disk_ref(to); /* it may be taken out of the graph meanwhile */
        request_leave(*d);
        request_enter(to); /* when its drain has ended */
        request_leave(to);
        disk_unref(to);
        *d = first;
        request_enter(first);
    }
    request_nested_begin();
    return true;
}

static int leave(struct disk *d, bool entered, int result)
{
    if (entered) {
        request_nested_end();
        request_leave(d);
    }
    return result;
}

static struct disk *only_child(struct disk *d)
{
    return d->driver->is_filter ? (d->file       ? d->file
                                   : d->children ? d->children->node
                                                 : NULL)
                                : NULL;
}

static uint32_t align_of(const struct disk *d)
{
    return d->align ? d->align : 1;
}

static void *bounce_alloc(const struct disk *d, size_t len)
{
    void *p;
    size_t align = MAX(MAX(d->memory_align, d->align), 64);

    return posix_memalign(&p, align, len) ? NULL : p;
}

static bool fits_driver(const struct disk *d, uint64_t offset, const struct disk_vec *v)
{
    uint32_t align = align_of(d);

    return !((offset | v->len) & (align - 1)) &&
           (d->memory_align <= 1 || vec_aligned(v, d->memory_align));
}

/* Calls slot for pieces of at most max_transfer bytes. */
static int read_slot(struct disk *d, uint64_t offset, struct disk_vec v)
{
    uint64_t max = d->max_transfer ? d->max_transfer : DISK_MAX_REQUEST;
    struct disk *child;
    int r = 0;

    if (!d->driver->read)
        return (child = only_child(d)) ? disk_readv(child, offset, v) : -ENOTSUP;
    if (likely(v.len <= max))
        return d->driver->read(d, offset, v);
    max = ALIGN_DOWN(max, (uint64_t)align_of(d));
    for (size_t at = 0; at < v.len && !r; at += max)
        r = d->driver->read(d, offset + at, vec_slice(v, at, MIN(max, v.len - at)));
    return r;
}

static int write_slot(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    uint64_t max = d->max_transfer ? d->max_transfer : DISK_MAX_REQUEST;
    int r = 0;

    flags &= d->write_flags;
    if (likely(v.len <= max))
        return d->driver->write(d, offset, v, flags);
    max = ALIGN_DOWN(max, (uint64_t)align_of(d));
    for (size_t at = 0; at < v.len && !r; at += max)
        r = d->driver->write(d, offset + at, vec_slice(v, at, MIN(max, v.len - at)), flags);
    return r;
}

static int read_bounced(struct disk *d, uint64_t offset, struct disk_vec v)
{
    uint32_t align = align_of(d);
    uint64_t room = MIN(ALIGN_UP(v.len + 2 * (uint64_t)align, align), MAX(BOUNCE_MAX, align));
    AUTO_FREE char *buf = bounce_alloc(d, room);
    size_t at = 0;

    if (!buf)
        return -ENOMEM;
    while (at < v.len) {
        uint64_t start = ALIGN_DOWN(offset + at, (uint64_t)align);
        uint64_t end = MIN(ALIGN_UP(offset + v.len, (uint64_t)align), start + room);
        size_t n = MIN(end - (offset + at), v.len - at);
        struct disk_vec piece = vec_slice(v, at, n);
        int r = read_slot(d, start, vec_of(buf, end - start));

        if (r)
            return r;
        vec_from_buf(&piece, buf + (offset + at - start));
        at += n;
    }
    return 0;
}

static int read_inside(struct disk *d, uint64_t offset, struct disk_vec v)
{
    if (likely(fits_driver(d, offset, &v)))
        return read_slot(d, offset, v);
    return read_bounced(d, offset, v);
}

static int do_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    uint64_t size = disk_size(d), end;
    struct disk_vec rest;

    if (!v.len)
        return 0;
    if (!checked_add(offset, v.len, &end))
        return -EIO;
    if (likely(end <= size))
        return read_inside(d, offset, v);
    if (!d->core->soft_end)
        return -EIO;
    size = MAX(MIN(size, end), offset) - offset; /* bytes that exist */
    rest = vec_slice(v, size, v.len - size);
    vec_clear(&rest);
    return size ? read_inside(d, offset, vec_slice(v, 0, size)) : 0;
}

int disk_readv(struct disk *d, uint64_t offset, struct disk_vec v)
{
    bool entered = enter(&d);

    return leave(d, entered, do_read(d, offset, v));
}

int disk_read(struct disk *d, uint64_t offset, void *buf, size_t len)
{
    return disk_readv(d, offset, vec_of(buf, len));
}

int request_check_write(struct disk *d, uint64_t offset, uint64_t len)
{
    uint64_t end;

    if (d->read_only)
        return -EPERM;
    if (!checked_add(offset, len, &end) || (end > disk_size(d) && !d->core->soft_end))
        return -EIO;
    return end > DISK_MAX_SIZE ? -EFBIG : 0;
}

void request_wrote(struct disk *d, uint64_t offset, uint64_t len)
{
    uint64_t end = offset + len, size = atomic_load_explicit(&d->size, memory_order_relaxed);

    if (unlikely(end > size) && d->core->soft_end) {
        while (end > size && !atomic_compare_exchange_weak(&d->size, &size, end))
            ;
    }
    if (d->driver->is_transport)
        atomic_fetch_add(&d->core->write_gen, 1);
    if (unlikely(atomic_load_explicit(&d->bitmaps, memory_order_relaxed) != NULL))
        disk_bitmaps_written(d, offset, len);
}

/* Reads what a partly written block keeps: the block at offset. */
static int read_block(struct disk *d, uint64_t offset, char *buf)
{
    if (offset >= disk_size(d)) {
        memset(buf, 0, d->align);
        return 0;
    }
    return read_slot(d, offset, vec_of(buf, d->align));
}

/* Through a buffer; blocks written in part are read first. The caller sees to it that nobody else
 * writes in them. */
static int write_bounced(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    uint32_t align = align_of(d);
    uint64_t room = MIN(ALIGN_UP(v.len + 2 * (uint64_t)align, align), MAX(BOUNCE_MAX, 2 * align));
    AUTO_FREE char *buf = bounce_alloc(d, room);
    size_t at = 0;

    if (!buf)
        return -ENOMEM;
    while (at < v.len) {
        uint64_t first = offset + at, start = ALIGN_DOWN(first, (uint64_t)align);
        uint64_t end = MIN(ALIGN_UP(offset + v.len, (uint64_t)align), start + room);
        size_t n = MIN(end - first, v.len - at);
        struct disk_vec piece = vec_slice(v, at, n);
        int r = 0;

        if (first > start || (first + n < end && end - start == align))
            r = read_block(d, start, buf);
        if (!r && first + n < end && end - start > align)
            r = read_block(d, end - align, buf + (end - align - start));
        if (r)
            return r;
        vec_to_buf(&piece, buf + (first - start));
        r = write_slot(d, start, vec_of(buf, end - start), flags);
        if (r)
            return r;
        at += n;
    }
    return 0;
}

static int write_inside(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    if (likely(fits_driver(d, offset, &v)))
        return write_slot(d, offset, v, flags);
    return write_bounced(d, offset, v, flags);
}

/* Takes the range for a write; blocks that are written in part are taken whole and alone. */
static void take_range(struct disk *d, struct track *t, uint64_t offset, uint64_t len,
                       unsigned flags)
{
    uint64_t align = align_of(d), start = ALIGN_DOWN(offset, align);
    uint64_t end = ALIGN_UP(offset + len, align);

    track_begin(d, t, start, end - start,
                (flags & DISK_SERIALISE) || start != offset || end != offset + len);
}

static int write_through_compressor(struct disk *d, uint64_t offset, struct disk_vec v)
{
    struct disk *child = only_child(d);

    if (d->driver->write_compressed)
        return d->driver->write_compressed(d, offset, v);
    return child ? disk_writev(child, offset, v, DISK_COMPRESSED) : -ENOTSUP;
}

static int do_flush(struct disk *d);
static int do_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags);

static int do_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    struct disk *child;
    struct track t;
    int r;

    if (d->open_flags & DISK_WRITETHROUGH)
        flags |= DISK_FUA;
    r = request_check_write(d, offset, v.len);
    if (r || !v.len)
        return r;
    if (unlikely(d->detect_zeroes) && !(flags & DISK_COMPRESSED) && vec_is_zero(&v)) {
        unsigned unmap = d->detect_zeroes_unmap ? DISK_MAY_UNMAP : 0;

        return do_zero(d, offset, v.len, (flags & (DISK_FUA | DISK_SERIALISE)) | unmap);
    }
    take_range(d, &t, offset, v.len, flags);
    if (flags & DISK_COMPRESSED)
        r = write_through_compressor(d, offset, v);
    else if (d->driver->write)
        r = write_inside(d, offset, v, flags);
    else if ((child = only_child(d)))
        r = disk_writev(child, offset, v, flags & ~DISK_SERIALISE);
    else
        r = -ENOTSUP;
    if (!r)
        request_wrote(d, offset, v.len);
    track_end(d, &t);
    if (!r && (flags & DISK_FUA) && d->driver->write && !(d->write_flags & DISK_FUA))
        r = do_flush(d);
    return r;
}

int disk_writev(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    bool entered = enter(&d);

    return leave(d, entered, do_write(d, offset, v, flags));
}

int disk_write(struct disk *d, uint64_t offset, const void *buf, size_t len, unsigned flags)
{
    return disk_writev(d, offset, vec_of(buf, len), flags);
}

/* Zero bytes written the slow way: one small buffer, many times. */
static int write_zeroes(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    size_t size = MIN(ALIGN_UP(len, align_of(d)), UINT64_C(65536));
    AUTO_FREE char *zeroes = bounce_alloc(d, size);
    struct iovec iov[16];
    int r = 0;

    if (!zeroes)
        return -ENOMEM;
    memset(zeroes, 0, size);
    while (len && !r) {
        uint64_t n = 0;
        uint32_t count = 0;

        for (; count < ARRAY_SIZE(iov) && n < len; count++) {
            iov[count] = (struct iovec){ zeroes, MIN(size, len - n) };
            n += iov[count].iov_len;
        }
        r = write_inside(d, offset, vec_of_iov(iov, count), flags);
        offset += n;
        len -= n;
    }
    return r;
}

/* The aligned middle by the driver's slot, head and tail by writing. */
static int zero_inside(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    uint64_t align = d->zero_align ? d->zero_align : align_of(d);
    uint64_t end = offset + len, first = ALIGN_UP(offset, align), last = ALIGN_DOWN(end, align);
    bool slow = !(flags & DISK_NO_FALLBACK);
    int r = -ENOTSUP;

    if (first < last && d->driver->zero)
        r = d->driver->zero(d, first, last - first,
                            flags & (d->zero_flags | (flags & DISK_NO_FALLBACK)));
    if (r == -ENOTSUP && slow)
        return write_zeroes(d, offset, len, flags & ~DISK_MAY_UNMAP);
    if (r || (first == offset && last == end))
        return r;
    if (!slow)
        return -ENOTSUP;
    if (offset < first)
        r = write_zeroes(d, offset, first - offset, flags & ~DISK_MAY_UNMAP);
    if (!r && last < end)
        r = write_zeroes(d, last, end - last, flags & ~DISK_MAY_UNMAP);
    return r;
}

static int do_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    struct disk *child = d->driver->zero ? NULL : only_child(d);
    struct track t;
    int r = request_check_write(d, offset, len);

    if (r || !len)
        return r;
    if (d->open_flags & DISK_WRITETHROUGH)
        flags |= DISK_FUA;
    if (!(d->open_flags & DISK_UNMAP))
        flags &= ~DISK_MAY_UNMAP;
    take_range(d, &t, offset, len, flags);
    r = child ? disk_zero(child, offset, len, flags & ~DISK_SERIALISE)
              : zero_inside(d, offset, len, flags);
    if (!r)
        request_wrote(d, offset, len);
    track_end(d, &t);
    if (!r && (flags & DISK_FUA) && !child && !(d->zero_flags & DISK_FUA))
        r = do_flush(d);
    return r;
}

int disk_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    bool entered = enter(&d);

    return leave(d, entered, do_zero(d, offset, len, flags));
}

static int do_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    uint64_t align = d->discard_align ? d->discard_align : align_of(d);
    uint64_t end = offset + len, size = disk_size(d);
    struct disk *child;
    struct track t;
    int r = request_check_write(d, offset, len);

    if (r || !len || !(d->open_flags & DISK_UNMAP))
        return r;
    offset = ALIGN_UP(offset, align);
    if (end != size)
        end = ALIGN_DOWN(end, align);
    if (offset >= end)
        return 0;
    track_begin(d, &t, offset, end - offset, false);
    if (d->driver->discard)
        r = d->driver->discard(d, offset, end - offset);
    else if ((child = only_child(d)))
        r = disk_discard(child, offset, end - offset);
    r = r == -ENOTSUP ? 0 : r;
    if (!r)
        request_wrote(d, offset, end - offset);
    track_end(d, &t);
    return r;
}

int disk_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    bool entered = enter(&d);

    return leave(d, entered, do_discard(d, offset, len));
}

/* A flush is needed only for writes that completed since the last good one began. */
static int flush_transport(struct disk *d)
{
    struct disk_private *c = d->core;
    uint64_t gen = atomic_load(&c->write_gen);
    int r = 0;

    if (!d->driver->flush || (d->open_flags & DISK_NO_FLUSH) || atomic_load(&c->flush_gen) >= gen)
        return 0;
    WITH_LOCK (&c->flush_lock) {
        if (atomic_load(&c->flush_gen) < gen) { /* else another thread's did it */
            gen = atomic_load(&c->write_gen);
            r = d->driver->flush(d);
            if (!r)
                atomic_store(&c->flush_gen, gen);
        }
    }
    return r;
}

static int do_flush(struct disk *d)
{
    int r = 0, r2;

    if (d->driver->is_transport)
        return flush_transport(d);
    if (d->driver->flush && !d->read_only)
        r = d->driver->flush(d);
    for (struct disk_edge *e = d->children; e; e = e->next_child) {
        if (e->role != ROLE_BACKING && (r2 = do_flush(e->node)) && !r)
            r = r2;
    }
    return r;
}

int disk_flush(struct disk *d)
{
    bool entered = enter(&d);

    return leave(d, entered, do_flush(d));
}
