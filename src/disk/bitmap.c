/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dirty bitmaps in memory: the list a node has, and what people and jobs do with one. The bits are
 * a sparse tree (bitmap_tree.h), so a clean or an all-dirty bitmap of any disk takes no memory and
 * the next dirty run of a huge disk is found at once.
 *
 * Locks: the list's lock guards which bitmaps there are; a bitmap's lock guards its bits, size and
 * flags and is taken inside the list's. Two bitmaps are never locked together.
 */
#include "disk/bitmap.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/bitmap_tree.h"
#include "disk/node.h"

#define MIN_GRANULARITY UINT32_C(512)
#define MAX_GRANULARITY (UINT32_C(1) << 31)

struct disk_bitmap {
    struct disk *disk;        /* constant, as the next two */
    char *name;               /* NULL: a job's */
    unsigned shift;           /* log2 of granularity */
    struct disk_bitmap *next; /* guarded by the list's lock */
    pthread_mutex_t lock;
    struct bitmap_tree tree; /* guarded by lock, as the next two */
    uint64_t size;           /* bytes of disk */
    unsigned flags;
};

struct disk_bitmap_list {
    pthread_mutex_t lock;
    struct disk_bitmap *first; /* guarded by lock; in the order they were added */
};

/* Reading calls take the lock too. */
static pthread_mutex_t *lock_of(const struct disk_bitmap *b)
{
    return (pthread_mutex_t *)&b->lock;
}

static struct disk_bitmap_list *list_of(struct disk *d)
{
    struct disk_bitmap_list *list = atomic_load(&d->bitmaps), *none = NULL;

    if (list)
        return list;
    list = xnew(struct disk_bitmap_list);
    pthread_mutex_init(&list->lock, NULL);
    if (atomic_compare_exchange_strong(&d->bitmaps, &none, list))
        return list;
    pthread_mutex_destroy(&list->lock);
    free(list);
    return none;
}

static void set_size(struct disk_bitmap *b, uint64_t size)
{
    b->size = size;
    bitmap_tree_resize(&b->tree, (size >> b->shift) + !!(size & (BIT(b->shift) - 1)));
}

static void free_bitmap(struct disk_bitmap *b)
{
    bitmap_tree_finish(&b->tree);
    pthread_mutex_destroy(&b->lock);
    free(b->name);
    free(b);
}

static struct disk_bitmap *find_locked(struct disk_bitmap_list *list, const char *name)
{
    for (struct disk_bitmap *b = list->first; b; b = b->next)
        if (b->name && !strcmp(b->name, name))
            return b;
    return NULL;
}

struct disk_bitmap *disk_bitmap_add(struct disk *d, const char *name, uint32_t granularity,
                                    struct error *err)
{
    struct disk_bitmap_list *list = list_of(d);
    struct disk_bitmap *b, **end;
    bool taken = false;

    if (!granularity)
        granularity = MIN(MAX(disk_cluster_size(d), UINT32_C(4096)), UINT32_C(65536));
    if (!disk_cluster_size(d) && granularity == 4096)
        granularity = 65536;
    if (!is_pow2(granularity) || granularity < MIN_GRANULARITY || granularity > MAX_GRANULARITY) {
        fail(err, EINVAL, "bitmap granularity %" PRIu32 " is not possible", granularity);
        fail_hint(err, "give a power of two from 512 to 2G");
        return NULL;
    }
    b = xnew(struct disk_bitmap);
    pthread_mutex_init(&b->lock, NULL);
    b->disk = d;
    b->name = xstrdup(name);
    b->shift = (unsigned)__builtin_ctz(granularity);
    b->flags = BITMAP_ENABLED;
    set_size(b, disk_size(d));
    WITH_LOCK (&list->lock) {
        taken = name && find_locked(list, name);
        for (end = &list->first; *end; end = &(*end)->next)
            ;
        if (!taken)
            *end = b;
    }
    if (!taken)
        return b;
    free_bitmap(b);
    fail(err, EEXIST, "Bitmap already exists: %s", name);
    fail_hint(err, "choose another name, or remove that bitmap first");
    return NULL;
}

bool disk_bitmap_remove(struct disk_bitmap *own_b, struct error *err)
{
    struct disk_bitmap_list *list = list_of(own_b->disk);
    struct disk *d = own_b->disk;
    const struct disk_bitmap_ops *ops = d->driver->bitmaps;
    unsigned flags = disk_bitmap_flags(own_b);

    if (flags & BITMAP_BUSY) {
        fail(err, EBUSY, "Bitmap '%s' is currently in use by another operation and cannot be used",
             own_b->name ? own_b->name : "");
        return fail_hint(err, "wait until that operation ends");
    }
    if (own_b->name && (flags & BITMAP_PERSISTENT) && ops && ops->remove &&
        !ops->remove(d, own_b->name, err))
        return false;
    WITH_LOCK (&list->lock) {
        struct disk_bitmap **p = &list->first;

        while (*p != own_b)
            p = &(*p)->next;
        *p = own_b->next;
    }
    free_bitmap(own_b);
    return true;
}

struct disk_bitmap *disk_bitmap_find(struct disk *d, const char *name)
{
    struct disk_bitmap_list *list = atomic_load(&d->bitmaps);
    struct disk_bitmap *b = NULL;

    if (list)
        WITH_LOCK (&list->lock)
            b = find_locked(list, name);
    return b;
}

struct disk_bitmap *disk_bitmap_next(struct disk *d, struct disk_bitmap *b)
{
    struct disk_bitmap_list *list = atomic_load(&d->bitmaps);
    struct disk_bitmap *next = NULL;

    if (list)
        WITH_LOCK (&list->lock)
            next = b ? b->next : list->first;
    return next;
}

const char *disk_bitmap_name(const struct disk_bitmap *b)
{
    return b->name;
}

uint32_t disk_bitmap_granularity(const struct disk_bitmap *b)
{
    return UINT32_C(1) << b->shift;
}

uint64_t disk_bitmap_size(const struct disk_bitmap *b)
{
    uint64_t size = 0;

    WITH_LOCK (lock_of(b))
        size = b->size;
    return size;
}

unsigned disk_bitmap_flags(const struct disk_bitmap *b)
{
    unsigned flags = 0;

    WITH_LOCK (lock_of(b))
        flags = b->flags;
    return flags;
}

void disk_bitmap_set_flags(struct disk_bitmap *b, unsigned set, unsigned clear)
{
    WITH_LOCK (&b->lock)
        b->flags = (b->flags & ~clear) | set;
}

/* The granules that [offset, offset + len) touches, cut at the end: first and count. */
static uint64_t granules(const struct disk_bitmap *b, uint64_t offset, uint64_t len,
                         uint64_t *ret_first)
{
    uint64_t end;

    if (!len || offset >= b->size)
        return 0;
    end = len > b->size - offset ? b->size : offset + len;
    *ret_first = offset >> b->shift;
    return ((end - 1) >> b->shift) - *ret_first + 1;
}

void disk_bitmap_mark(struct disk_bitmap *b, uint64_t offset, uint64_t len)
{
    uint64_t first = 0, count;

    WITH_LOCK (&b->lock) {
        count = granules(b, offset, len, &first);
        bitmap_tree_put(&b->tree, first, count, true);
    }
}

void disk_bitmap_unmark(struct disk_bitmap *b, uint64_t offset, uint64_t len)
{
    uint64_t first = 0, count;

    WITH_LOCK (&b->lock) {
        count = granules(b, offset, len, &first);
        bitmap_tree_put(&b->tree, first, count, false);
    }
}

/* Whether people may change the bits. */
static bool check_usable(const struct disk_bitmap *b, bool change, struct error *err)
{
    unsigned flags = disk_bitmap_flags(b);
    const char *name = b->name ? b->name : "";

    if (flags & BITMAP_BUSY) {
        fail(err, EBUSY, "Bitmap '%s' is currently in use by another operation and cannot be used",
             name);
        return fail_hint(err, "wait until that operation ends");
    }
    if (change && (flags & BITMAP_READ_ONLY)) {
        fail(err, EPERM, "Bitmap '%s' is readonly and cannot be modified", name);
        return fail_hint(err, "open the image for writing");
    }
    if (flags & BITMAP_INCONSISTENT) {
        fail(err, EINVAL, "Bitmap '%s' is inconsistent and cannot be used", name);
        return fail_hint(err, "remove it; it was not stored when the image was last closed");
    }
    return true;
}

bool disk_bitmap_clear(struct disk_bitmap *b, struct error *err)
{
    if (!check_usable(b, true, err))
        return false;
    WITH_LOCK (&b->lock)
        bitmap_tree_put(&b->tree, 0, b->tree.bits, false);
    return true;
}

bool disk_bitmap_merge(struct disk_bitmap *dst, const struct disk_bitmap *src, struct error *err)
{
    uint64_t dst_size = disk_bitmap_size(dst), src_size = disk_bitmap_size(src);

    if (!check_usable(dst, true, err) || !check_usable(src, false, err))
        return false;
    if (dst_size != src_size) {
        fail(err, EINVAL,
             "Bitmaps are of different sizes (destination size is %" PRIu64
             " and source size is %" PRIu64 ") and can't be merged",
             dst_size, src_size);
        return fail_hint(err, "resize one of the images first");
    }
    if (dst == src)
        return true;
    for (uint64_t at = 0, len; disk_bitmap_next_dirty(src, &at, &len); at += len)
        disk_bitmap_mark(dst, at, len);
    return true;
}

uint64_t disk_bitmap_dirty_bytes(const struct disk_bitmap *b)
{
    uint64_t bytes = 0;

    WITH_LOCK (lock_of(b))
        bytes = b->tree.set << b->shift;
    return bytes;
}

/* The run of granules with this value that granule `first` begins, in bytes from offset. */
static uint64_t run_bytes(const struct disk_bitmap *b, uint64_t offset, uint64_t first, bool value)
{
    uint64_t end = bitmap_tree_find(&b->tree, first, !value);

    return (end >= b->tree.bits ? b->size : end << b->shift) - offset;
}

static bool next_dirty_locked(const struct disk_bitmap *b, uint64_t *offset, uint64_t *ret_len)
{
    uint64_t at;

    if (*offset >= b->size)
        return false;
    at = bitmap_tree_find(&b->tree, *offset >> b->shift, true);
    if (at >= b->tree.bits)
        return false;
    *offset = MAX(*offset, at << b->shift);
    *ret_len = run_bytes(b, *offset, at, true);
    return true;
}

bool disk_bitmap_next_dirty(const struct disk_bitmap *b, uint64_t *offset, uint64_t *ret_len)
{
    bool found = false;

    WITH_LOCK (lock_of(b))
        found = next_dirty_locked(b, offset, ret_len);
    return found;
}

bool disk_bitmap_run(const struct disk_bitmap *b, uint64_t offset, uint64_t *ret_len)
{
    bool dirty = false;

    WITH_LOCK (lock_of(b)) {
        *ret_len = 0;
        if (offset < b->size) {
            dirty = bitmap_tree_get(&b->tree, offset >> b->shift);
            *ret_len = run_bytes(b, offset, offset >> b->shift, dirty);
        }
    }
    return dirty;
}

bool disk_bitmap_take_dirty(struct disk_bitmap *b, uint64_t *offset, uint64_t max,
                            uint64_t *ret_len)
{
    bool found = false;

    WITH_LOCK (&b->lock) {
        uint64_t at = *offset, len = 0, first = 0, count;

        found = next_dirty_locked(b, &at, &len);
        if (!found)
            break;
        at = ALIGN_DOWN(at, BIT(b->shift));
        len = run_bytes(b, at, at >> b->shift, true);
        if (len > max)
            len = MAX(ALIGN_DOWN(max, BIT(b->shift)), BIT(b->shift));
        len = MIN(len, b->size - at);
        count = granules(b, at, len, &first);
        bitmap_tree_put(&b->tree, first, count, false);
        *offset = at;
        *ret_len = len;
    }
    return found;
}

void disk_bitmap_serialise(const struct disk_bitmap *b, uint64_t first_byte, uint8_t *buf,
                           size_t len)
{
    WITH_LOCK (lock_of(b))
        bitmap_tree_read(&b->tree, first_byte, buf, len);
}

void disk_bitmap_deserialise(struct disk_bitmap *b, uint64_t first_byte, const uint8_t *buf,
                             size_t len)
{
    WITH_LOCK (&b->lock)
        bitmap_tree_write(&b->tree, first_byte, buf, len);
}

void disk_bitmaps_written(struct disk *d, uint64_t offset, uint64_t len)
{
    struct disk_bitmap_list *list = atomic_load_explicit(&d->bitmaps, memory_order_acquire);
    uint64_t first = 0, count;

    if (likely(!list))
        return;
    WITH_LOCK (&list->lock) {
        for (struct disk_bitmap *b = list->first; b; b = b->next) {
            WITH_LOCK (&b->lock) {
                count = b->flags & BITMAP_ENABLED ? granules(b, offset, len, &first) : 0;
                bitmap_tree_put(&b->tree, first, count, true);
            }
        }
    }
}

void disk_bitmaps_resized(struct disk *d)
{
    struct disk_bitmap_list *list = atomic_load(&d->bitmaps);

    if (!list)
        return;
    WITH_LOCK (&list->lock) {
        for (struct disk_bitmap *b = list->first; b; b = b->next)
            WITH_LOCK (&b->lock)
                set_size(b, disk_size(d));
    }
}

void disk_bitmaps_free(struct disk *d)
{
    struct disk_bitmap_list *list = atomic_exchange(&d->bitmaps, NULL);

    if (!list)
        return;
    for (struct disk_bitmap *b; (b = list->first);) {
        list->first = b->next;
        free_bitmap(b);
    }
    pthread_mutex_destroy(&list->lock);
    free(list);
}
