/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One exported node: its size and flags, its bitmaps, and where it is known to have no holes. */
#include "nbd/server_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "disk/node.h"

/*
 * A bit per granule that was seen to be data throughout. Reads of such granules need not ask for
 * holes first. A bit that is out of date does no harm: zeroes are then sent as data.
 */
struct nbd_known {
    unsigned shift;
    uint64_t granules;
    _Atomic(uint64_t) words[];
};

enum { KNOWN_MIN_SHIFT = 16, KNOWN_MAX_GRANULES = 8 << 20 };

static struct nbd_known *known_new(uint64_t size)
{
    unsigned shift = KNOWN_MIN_SHIFT;
    while (size >> shift > KNOWN_MAX_GRANULES)
        shift++;
    uint64_t granules = size >> shift;
    struct nbd_known *k = xcalloc(1, sizeof(*k) + (granules / 64 + 1) * sizeof(k->words[0]));
    k->shift = shift;
    k->granules = granules;
    return k;
}

static bool known_get(const struct nbd_known *k, uint64_t i)
{
    return i < k->granules &&
           atomic_load_explicit(&k->words[i / 64], memory_order_relaxed) >> i % 64 & 1;
}

bool nbd_export_is_data(const struct nbd_export *e, uint64_t offset, uint64_t len)
{
    const struct nbd_known *k = e->known;
    for (uint64_t i = offset >> k->shift; i <= (offset + len - 1) >> k->shift; i++) {
        if (!known_get(k, i))
            return false;
    }
    return true;
}

void nbd_export_set_data(struct nbd_export *e, uint64_t offset, uint64_t len)
{
    struct nbd_known *k = e->known;
    uint64_t last = MIN((offset + len) >> k->shift, k->granules);
    for (uint64_t i = (offset + BIT(k->shift) - 1) >> k->shift; i < last; i++)
        atomic_fetch_or_explicit(&k->words[i / 64], BIT(i % 64), memory_order_relaxed);
}

void nbd_export_clear_data(struct nbd_export *e, uint64_t offset, uint64_t len)
{
    struct nbd_known *k = e->known;
    uint64_t end = MIN((offset + len + BIT(k->shift) - 1) >> k->shift, k->granules);
    for (uint64_t i = offset >> k->shift; i < end; i++)
        atomic_fetch_and_explicit(&k->words[i / 64], ~BIT(i % 64), memory_order_relaxed);
}

/* Whether where data lies is answered by local files alone, through at most depth layers. */
static bool maps_quickly(const struct disk *d, unsigned depth)
{
    if (!d->driver->is_transport && !d->file)
        return false;
    if (d->driver->is_transport)
        return !strcmp(d->driver->name, "file") || !strcmp(d->driver->name, "host_device");
    return depth && maps_quickly(d->file, depth - 1) &&
           (!d->backing || maps_quickly(d->backing, depth - 1));
}

static struct disk_bitmap *find_bitmap(struct disk *d, const char *name)
{
    for (; d; d = disk_backing(d)) {
        struct disk_bitmap *b = disk_bitmap_find(d, name);
        if (b)
            return b;
    }
    return NULL;
}

static bool add_bitmap(struct nbd_export *e, const char *name, struct error *err)
{
    struct disk_bitmap *b = find_bitmap(e->disk, name);
    if (!b) {
        fail(err, ENOENT, "Bitmap '%s' is not found", name);
        return fail_hint(err, "'rhea-img info' lists the bitmaps of an image");
    }
    unsigned flags = disk_bitmap_flags(b);
    if (flags & BITMAP_INCONSISTENT) {
        fail(err, EINVAL, "Bitmap '%s' is inconsistent and cannot be used", name);
        return fail_hint(err, "the image was not closed properly; remove the bitmap");
    }
    if (flags & BITMAP_BUSY)
        return fail(err, EBUSY, "Bitmap '%s' is in use by another operation", name);
    if ((flags & BITMAP_ENABLED) && !e->writable && !disk_read_only(e->disk)) {
        fail(err, EINVAL, "Enabled bitmap '%s' incompatible with readonly export", name);
        return fail_hint(err, "disable it with 'rhea-img bitmap --disable'");
    }
    if (e->bitmap_count == NBD_MAX_BITMAPS)
        return fail(err, E2BIG, "an export has at most %d bitmaps", NBD_MAX_BITMAPS);
    e->bitmaps[e->bitmap_count++] = b;
    return true;
}

static bool set_range(struct nbd_export *e, const struct nbd_export_options *o, struct error *err)
{
    uint64_t size = disk_size(e->disk);
    if (o->offset > size || o->size > size - o->offset)
        return fail(err, EINVAL,
                    "export '%s': offset %" PRIu64 " and size %" PRIu64
                    " reach beyond the disk's %" PRIu64 " bytes",
                    e->name, o->offset, o->size, size);
    e->offset = o->offset;
    e->size_limit = o->size;
    e->known = known_new(size - o->offset);
    return true;
}

struct nbd_export *nbd_export_new(struct disk *d, const struct nbd_export_options *o,
                                  struct error *err)
{
    struct nbd_export *e = xnew(struct nbd_export);
    e->refs = 1;
    e->disk = disk_ref(d);
    e->name = xstrdup(o->name ? o->name : "");
    e->description = xstrdup(o->description);
    e->writable = o->writable;
    e->allocation_depth = o->allocation_depth;
    e->multi_conn = o->multi_conn;
    e->quick_map = maps_quickly(d, 8);
    if (strlen(e->name) > NBD_MAX_NAME ||
        (e->description && strlen(e->description) > NBD_MAX_NAME)) {
        fail(err, EINVAL, "name and description of an export have at most %d bytes", NBD_MAX_NAME);
        goto fail;
    }
    if (e->writable && disk_read_only(d)) {
        fail(err, EACCES, "export '%s': the disk is read-only", e->name);
        fail_hint(err, "export it read-only");
        goto fail;
    }
    if (!set_range(e, o, err))
        goto fail;
    for (const char *const *b = o->bitmaps; b && *b; b++) {
        if (!add_bitmap(e, *b, err))
            goto fail;
    }
    for (unsigned i = 0; i < e->bitmap_count; i++)
        disk_bitmap_set_flags(e->bitmaps[i], BITMAP_BUSY, 0);
    return e;
fail:
    e->bitmap_count = 0; /* none is marked busy yet */
    nbd_export_free(e);
    return NULL;
}

void nbd_export_free(struct nbd_export *e)
{
    for (unsigned i = 0; i < e->bitmap_count; i++)
        disk_bitmap_set_flags(e->bitmaps[i], 0, BITMAP_BUSY);
    disk_unref(e->disk);
    free(e->known);
    free(e->name);
    free(e->description);
    free(e);
}

uint64_t nbd_export_size(const struct nbd_export *e)
{
    uint64_t size = disk_size(e->disk);
    size -= MIN(size, e->offset);
    return e->size_limit ? MIN(e->size_limit, size) : size;
}

uint16_t nbd_export_flags(const struct nbd_export *e, bool structured)
{
    unsigned flags =
        NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_CACHE;
    flags |= e->writable ? NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO
                         : NBD_FLAG_READ_ONLY;
    flags |= e->multi_conn ? NBD_FLAG_CAN_MULTI_CONN : 0;
    flags |= structured ? NBD_FLAG_SEND_DF : 0;
    return (uint16_t)flags;
}

bool nbd_export_has_context(const struct nbd_export *e, unsigned context)
{
    if (context >= NBD_CONTEXT_BITMAP)
        return context - NBD_CONTEXT_BITMAP < e->bitmap_count;
    return context == NBD_CONTEXT_BASE || e->allocation_depth;
}

char *nbd_export_context_name(const struct nbd_export *e, unsigned context)
{
    if (context == NBD_CONTEXT_BASE)
        return xstrdup("base:allocation");
    if (context == NBD_CONTEXT_DEPTH)
        return xstrdup("qemu:allocation-depth");
    return xasprintf("qemu:dirty-bitmap:%s",
                     disk_bitmap_name(e->bitmaps[context - NBD_CONTEXT_BITMAP]));
}
