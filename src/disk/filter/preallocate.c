/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * preallocate: stands between a format and its file and makes the file grow in large steps, so that
 * a file system lays it out in few pieces. The surplus is cut off when the node is closed.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/filter/filter.h"

struct preallocate {
    uint64_t prealloc_align, prealloc_size; /* options */
    bool ready;
    pthread_mutex_t lock;
    uint64_t file_end; /* of d->file, with the surplus; guarded by lock */
};

static const struct field options[] = {
    FIELD(struct preallocate, prealloc_align, .is_size = true,
          .doc = "the file's length is a multiple of it (default: 1M)"),
    FIELD(struct preallocate, prealloc_size, .is_size = true,
          .doc = "how far it grows beyond what is needed (default: 128M)"),
    { 0 },
};

static bool preallocate_open(struct disk *d, struct error *err)
{
    struct preallocate *p = d->priv;

    pthread_mutex_init(&p->lock, NULL);
    p->ready = true;
    p->prealloc_align = p->prealloc_align ? p->prealloc_align : MIB;
    p->prealloc_size = p->prealloc_size ? p->prealloc_size : 128 * MIB;
    if (p->prealloc_align % 512 || p->prealloc_size > DISK_MAX_SIZE / 2 ||
        p->prealloc_align > DISK_MAX_SIZE / 2) {
        fail(err, EINVAL, "prealloc-align parameter of preallocate filter is not aligned to 512");
        return fail_hint(err, "give a multiple of 512, such as 1M");
    }
    filter_inherit(d);
    p->file_end = disk_size(d->file);
    return true;
}

/* Makes the file reach end and the step beyond. That it cannot is no error of the write. */
static void grow(struct disk *d, uint64_t end)
{
    struct preallocate *p = d->priv;

    WITH_LOCK (&p->lock) {
        struct error err = { 0 };
        uint64_t to;

        if (end <= p->file_end || end > DISK_MAX_SIZE / 2)
            break;
        to = (end + p->prealloc_size + p->prealloc_align - 1) / p->prealloc_align *
             p->prealloc_align;
        if (disk_resize(d->file, to, DISK_PREALLOC_FALLOC, false, &err))
            p->file_end = to;
        else
            p->file_end = MAX(p->file_end, disk_size(d->file));
    }
}

/* What lies between the data's end and the file's is zero already. */
static int preallocate_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    grow(d, offset + v.len);
    return disk_writev(d->file, offset, v, flags);
}

static int preallocate_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    grow(d, offset + len);
    return disk_zero(d->file, offset, len, flags);
}

static int preallocate_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    return disk_readv(d->file, offset, v);
}

static bool preallocate_resize(struct disk *d, uint64_t size, enum disk_preallocation prealloc,
                               bool exact, struct error *err)
{
    struct preallocate *p = d->priv;
    bool ok = true;

    WITH_LOCK (&p->lock) {
        /* what grows must be zero and of the asked kind: the surplus gives way first */
        if (p->file_end > disk_size(d))
            ok = disk_resize(d->file, disk_size(d), DISK_PREALLOC_OFF, true, err);
        ok = ok && disk_resize(d->file, size, prealloc, exact, err);
        p->file_end = disk_size(d->file);
    }
    return ok;
}

static int cut_surplus(struct disk *d)
{
    struct preallocate *p = d->priv;
    bool ok = true;

    WITH_LOCK (&p->lock) {
        struct error err = { 0 };

        if (d->read_only || p->file_end <= disk_size(d))
            break;
        ok = disk_resize(d->file, disk_size(d), DISK_PREALLOC_OFF, true, &err);
        p->file_end = disk_size(d->file);
    }
    return ok ? 0 : -EIO;
}

static void preallocate_close(struct disk *d)
{
    struct preallocate *p = d->priv;

    if (d->file && p->ready && cut_surplus(d))
        p->file_end = 0; /* a file that is too long does no harm */
    if (p->ready)
        pthread_mutex_destroy(&p->lock);
}

const struct disk_driver preallocate_driver = {
    .name = "preallocate",
    .doc = "Makes the file below grow in large steps.",
    .is_filter = true,
    .own_size = true,
    .size = sizeof(struct preallocate),
    .options = options,
    .open = preallocate_open,
    .close = preallocate_close,
    .inactivate = cut_surplus,
    .read = preallocate_read,
    .write = preallocate_write,
    .zero = preallocate_zero,
    .resize = preallocate_resize,
    .map = filter_map,
};
