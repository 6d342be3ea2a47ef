/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy-before-write: before something is overwritten for the first time it is copied to the target,
 * which so keeps (with what is never overwritten) how the disk was when the node was made.
 *
 * pending has a bit for each granule that the target does not have yet. A granule that is being
 * copied, or read from the source for the snapshot, is listed in busy; writes to it wait.
 */
#include "disk/filter/copy_before_write.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/bitmap.h"
#include "disk/bitmap_tree.h"
#include "disk/filter/filter.h"
#include "disk/node_priv.h"

#define MAX_COPY (UINT64_C(1) << 20)

struct busy {
    uint64_t first, end; /* granules */
    struct busy *next;
};

struct cbw {
    /* options */
    char *on_cbw_error;
    uint64_t cbw_timeout;
    char *bitmap_node, *bitmap_name;
    /* constant after open */
    struct disk *node, *source, *target;
    unsigned shift; /* log2 of the granularity */
    unsigned write_flags;
    bool break_snapshot, ready;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct bitmap_tree pending; /* guarded by lock, as the rest */
    struct busy *busy;
    int error;
};

static const struct field options[] = {
    FIELD(struct cbw, on_cbw_error,
          .doc = "break-guest-write (default): the write fails; break-snapshot: the copy does"),
    FIELD(struct cbw, cbw_timeout, .max = 0, .doc = "not supported but for 0, none"),
    FIELD(struct cbw, bitmap_node, .wire = "bitmap.node", .doc = "node of the bitmap"),
    FIELD(struct cbw, bitmap_name, .wire = "bitmap.name",
          .doc = "only what this bitmap marks is copied (default: all)"),
    { 0 },
};

/* The bits of the bitmap, or all. */
static bool set_pending(struct disk *d, struct error *err)
{
    struct cbw *c = d->priv;
    struct disk_bitmap *b = NULL;
    struct disk *node;

    bitmap_tree_resize(&c->pending, (disk_size(d) + BIT(c->shift) - 1) >> c->shift);
    if (!c->bitmap_name) {
        bitmap_tree_put(&c->pending, 0, c->pending.bits, true);
        return true;
    }
    node = c->bitmap_node ? disk_graph_find(d->graph, c->bitmap_node) : c->source;
    b = node ? disk_bitmap_find(node, c->bitmap_name) : NULL;
    if (!b) {
        fail(err, ENOENT, "Dirty bitmap '%s' not found", c->bitmap_name);
        return fail_hint(err, "name its node with bitmap.node");
    }
    for (uint64_t at = 0, len; disk_bitmap_next_dirty(b, &at, &len); at += len) {
        uint64_t first = at >> c->shift, last = (at + len - 1) >> c->shift;

        if (first < c->pending.bits)
            bitmap_tree_put(&c->pending, first, MIN(last + 1, c->pending.bits) - first, true);
    }
    return true;
}

static bool cbw_open(struct disk *d, struct error *err)
{
    struct cbw *c = d->priv;

    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->ready = true;
    c->node = d;
    c->source = d->file;
    c->target = disk_open_child(d, "target", NULL, ROLE_IMAGE, err);
    if (!c->target)
        return false;
    if (c->cbw_timeout) {
        fail(err, ENOTSUP, "copy-before-write: cbw-timeout is not supported");
        return fail_hint(err, "leave it out");
    }
    c->break_snapshot = c->on_cbw_error && !strcmp(c->on_cbw_error, "break-snapshot");
    if (c->on_cbw_error && !c->break_snapshot && strcmp(c->on_cbw_error, "break-guest-write")) {
        fail(err, EINVAL, "on-cbw-error: there is no '%s'", c->on_cbw_error);
        return fail_hint(err, "break-guest-write or break-snapshot");
    }
    filter_inherit(d);
    if (disk_size(c->target) < disk_size(d)) {
        fail(err, EINVAL, "copy-before-write: the target is smaller than the source");
        return fail_hint(err, "make it %" PRIu64 " bytes large", disk_size(d));
    }
    c->shift = (unsigned)__builtin_ctz(
        MIN(MAX(MAX(c->target->cluster_size, 65536u), d->align), UINT32_C(1) << 21));
    return set_pending(d, err);
}

static void cbw_close(struct disk *d)
{
    struct cbw *c = d->priv;

    if (!c->ready)
        return;
    bitmap_tree_finish(&c->pending);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
}

static bool is_busy(const struct cbw *c, uint64_t first, uint64_t end)
{
    for (const struct busy *b = c->busy; b; b = b->next)
        if (b->first < end && first < b->end)
            return true;
    return false;
}

static void wait_not_busy(struct cbw *c, uint64_t first, uint64_t end)
{
    while (is_busy(c, first, end))
        pthread_cond_wait(&c->changed, &c->lock);
}

static void unlist_locked(struct cbw *c, struct busy *b)
{
    struct busy **p = &c->busy;

    while (*p != b)
        p = &(*p)->next;
    *p = b->next;
    pthread_cond_broadcast(&c->changed);
}

/* The next run of pending granules in [*first, end) becomes busy. False: there is none, and nobody
 * else is at work in the range. */
static bool take(struct cbw *c, uint64_t *first, uint64_t end, struct busy *ret)
{
    bool found = false;

    WITH_LOCK (&c->lock) {
        wait_not_busy(c, *first, end);
        end = MIN(end, c->pending.bits); /* what was added since is not in the snapshot */
        ret->first = bitmap_tree_find(&c->pending, *first, true);
        found = ret->first < end;
        if (!found)
            break;
        ret->end = MIN(bitmap_tree_find(&c->pending, ret->first, false), end);
        ret->end = MIN(ret->end, ret->first + MAX(MAX_COPY >> c->shift, UINT64_C(1)));
        ret->next = c->busy;
        c->busy = ret;
        *first = ret->end;
    }
    return found;
}

static int copy_busy(struct cbw *c, const struct busy *b, void *buf, bool *ret_write)
{
    uint64_t offset = b->first << c->shift;
    uint64_t len = MIN(b->end << c->shift, disk_size(c->source)) - offset;
    struct disk_extent x;
    int r;

    *ret_write = false;
    if (!disk_map_above(c->source, NULL, offset, len, &x) && x.len >= len &&
        x.flags & DISK_MAP_ZERO) {
        *ret_write = true;
        return disk_zero(c->target, offset, len, DISK_MAY_UNMAP);
    }
    r = disk_read(c->source, offset, buf, len);
    if (r)
        return r;
    *ret_write = true;
    return disk_write(c->target, offset, buf, len, c->write_flags);
}

void cbw_set_write_flags(struct cbw *c, unsigned write_flags)
{
    c->write_flags = write_flags;
}

int cbw_copy(struct cbw *c, uint64_t offset, uint64_t len, bool *ret_write)
{
    uint64_t first = offset >> c->shift;
    uint64_t end = (offset + len + BIT(c->shift) - 1) >> c->shift;
    bool nested = request_is_nested();
    AUTO_FREE void *buf = NULL;
    struct busy b;
    int r = 0;

    *ret_write = false;
    /* what is busy must never wait for a drain, which waits for those who wait for it */
    if (!nested) {
        request_enter(c->node);
        request_nested_begin();
    }
    while (!r && take(c, &first, end, &b)) {
        if (!buf && posix_memalign(&buf, 4096, MAX(MAX_COPY, BIT(c->shift))))
            buf = NULL;
        r = buf ? copy_busy(c, &b, buf, ret_write) : -ENOMEM;
        WITH_LOCK (&c->lock) {
            if (!r)
                bitmap_tree_put(&c->pending, b.first, b.end - b.first, false);
            unlist_locked(c, &b);
        }
    }
    if (!nested) {
        request_nested_end();
        request_leave(c->node);
    }
    return r;
}

/* Before a guest changes [offset, offset + len). */
static int before_write(struct disk *d, uint64_t offset, uint64_t len)
{
    struct cbw *c = d->priv;
    bool write;
    int r;

    if (c->break_snapshot && cbw_error(c))
        return 0;
    r = cbw_copy(c, offset, len, &write);
    if (!r || !c->break_snapshot)
        return r;
    WITH_LOCK (&c->lock)
        c->error = r;
    return 0;
}

static int cbw_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    int r = before_write(d, offset, v.len);

    return r ? r : disk_writev(d->file, offset, v, flags);
}

static int cbw_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    int r = before_write(d, offset, len);

    return r ? r : disk_zero(d->file, offset, len, flags);
}

static int cbw_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    int r = before_write(d, offset, len);

    return r ? r : disk_discard(d->file, offset, len);
}

static int cbw_flush(struct disk *d)
{
    return disk_flush(d->file);
}

static int cbw_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    return disk_readv(d->file, offset, v);
}

const struct disk_driver copy_before_write_driver = {
    .name = "copy-before-write",
    .doc = "Copies to a target what is about to be overwritten.",
    .is_filter = true,
    .size = sizeof(struct cbw),
    .options = options,
    .open = cbw_open,
    .close = cbw_close,
    .read = cbw_read,
    .write = cbw_write,
    .zero = cbw_zero,
    .discard = cbw_discard,
    .flush = cbw_flush,
    .map = filter_map,
};

struct cbw *cbw_of(struct disk *d)
{
    return d->driver == &copy_before_write_driver ? d->priv : NULL;
}

uint64_t cbw_granularity(const struct cbw *c)
{
    return BIT(c->shift);
}

bool cbw_next(struct cbw *c, uint64_t *offset, uint64_t *ret_len)
{
    bool found = false;

    WITH_LOCK (&c->lock) {
        uint64_t first = bitmap_tree_find(&c->pending, *offset >> c->shift, true);

        found = first < c->pending.bits;
        if (!found)
            break;
        *offset = first << c->shift;
        *ret_len = (bitmap_tree_find(&c->pending, first, false) - first) << c->shift;
        *ret_len = MIN(*ret_len, disk_size(c->source) - *offset);
    }
    return found;
}

/* Granules that lie wholly inside. */
void cbw_forget(struct cbw *c, uint64_t offset, uint64_t len)
{
    uint64_t first = (offset + BIT(c->shift) - 1) >> c->shift;
    uint64_t end =
        offset + len >= disk_size(c->source) ? c->pending.bits : (offset + len) >> c->shift;

    WITH_LOCK (&c->lock) {
        if (first < end)
            bitmap_tree_put(&c->pending, first, end - first, false);
    }
}

int cbw_error(struct cbw *c)
{
    int r = 0;

    WITH_LOCK (&c->lock)
        r = c->error;
    return r;
}

int cbw_read_snapshot(struct cbw *c, uint64_t offset, struct disk_vec v)
{
    int r = 0;

    for (size_t done = 0, n; !r && done < v.len; done += n) {
        uint64_t at = offset + done, granule = at >> c->shift;
        struct busy b = { granule, granule + 1, NULL };
        bool pending = false;

        n = MIN(v.len - done, BIT(c->shift) - (at & (BIT(c->shift) - 1)));
        WITH_LOCK (&c->lock) {
            wait_not_busy(c, b.first, b.end);
            pending = bitmap_tree_get(&c->pending, granule);
            b.next = c->busy;
            c->busy = &b;
            r = c->error;
        }
        if (!r)
            r = disk_readv(pending ? c->source : c->target, at, vec_slice(v, done, n));
        WITH_LOCK (&c->lock)
            unlist_locked(c, &b);
    }
    return r;
}
