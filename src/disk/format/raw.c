/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * raw: the file is the disk, or a piece of it (offset, size). A raw image that nobody said is raw
 * must not turn into something else by what a guest writes to its first block.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/field.h"
#include "disk/node_priv.h"

#define PROBED_BYTES 512

struct raw {
    uint64_t offset, size; /* options; size UINT64_MAX or 0: to the end */
    bool has_size;
};

static int raw_probe(const uint8_t *head, size_t len, const char *filename)
{
    return 1;
}

static bool raw_open(struct disk *d, struct error *err)
{
    struct raw *raw = d->priv;
    uint64_t file_size = disk_size(d->file), end;

    raw->has_size = raw->size != 0;
    if (raw->offset > file_size)
        return fail(err, EINVAL, "offset %" PRIu64 " is beyond the end of the file (%" PRIu64 ")",
                    raw->offset, file_size);
    if (raw->has_size && (!checked_add(raw->offset, raw->size, &end) || end > file_size))
        return fail(
            err, EINVAL,
            "The sum of offset (%" PRIu64 ") and size (%" PRIu64
            ") has to be smaller or equal to the  actual size of the containing file (%" PRIu64 ")",
            raw->offset, raw->size, file_size);
    if (raw->has_size && raw->size % 512)
        return fail(err, EINVAL, "Specified size is not multiple of 512");
    d->size = raw->has_size ? raw->size : file_size - raw->offset;
    d->write_flags = DISK_FUA | DISK_UNCHANGED;
    d->zero_flags = DISK_FUA | DISK_MAY_UNMAP | DISK_NO_FALLBACK | DISK_UNCHANGED;
    d->zero_align = d->discard_align = 1;
    return true;
}

static int raw_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    const struct raw *raw = d->priv;

    return disk_readv(d->file, raw->offset + offset, v);
}

/* RELIABILITY promise 4. */
static int check_magic(struct disk *d, uint64_t offset, struct disk_vec v)
{
    uint8_t head[PROBED_BYTES];
    struct disk_vec piece;
    size_t n = MIN(v.len, PROBED_BYTES - offset);
    int r = 0;

    if (n < PROBED_BYTES)
        r = disk_read(d, 0, head, sizeof(head));
    if (r)
        return r;
    piece = vec_slice(v, 0, n);
    vec_to_buf(&piece, head + offset);
    return probe_would_match(head, sizeof(head)) ? -EPERM : 0;
}

static int raw_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    const struct raw *raw = d->priv;
    int r = 0;

    if (unlikely(d->probed) && offset < PROBED_BYTES)
        r = check_magic(d, offset, v);
    return r ? r : disk_writev(d->file, raw->offset + offset, v, flags);
}

static int raw_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    const struct raw *raw = d->priv;

    return disk_zero(d->file, raw->offset + offset, len, flags);
}

static int raw_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    const struct raw *raw = d->priv;

    return disk_discard(d->file, raw->offset + offset, len);
}

static int raw_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    const struct raw *raw = d->priv;

    return disk_map(d->file, raw->offset + offset, len, ret);
}

static bool raw_resize(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                       struct error *err)
{
    const struct raw *raw = d->priv;

    if (raw->has_size)
        return fail(err, ENOTSUP, "Cannot resize fixed-size raw disks");
    if (size > DISK_MAX_SIZE - raw->offset)
        return fail(err, EINVAL, "Disk size too large for the chosen offset");
    return disk_resize(d->file, raw->offset + size, p, exact, err);
}

static bool raw_locate(struct disk *d, enum disk_op op, uint64_t offset, size_t len,
                       struct disk_span *ret)
{
    const struct raw *raw = d->priv;

    if (op == DISK_OP_WRITE && unlikely(d->probed) && offset < PROBED_BYTES)
        return false;
    *ret = (struct disk_span){ d->file, raw->offset + offset, len, false };
    return true;
}

static bool raw_create(const struct disk_create *c, struct error *err)
{
    bool exact = c->file->driver->create; /* a device keeps its size, which may be larger */

    return disk_resize(c->file, c->size, c->prealloc, exact, err);
}

static bool raw_measure(const void *opts, struct disk *source, uint64_t size,
                        struct disk_measure *ret, struct error *err)
{
    *ret = (struct disk_measure){ .required = size, .fully_allocated = size };
    return true;
}

static const char *const raw_strong[] = { "offset", "size", NULL };

const struct disk_driver raw_driver = {
    .name = "raw",
    .doc = "a disk's bytes as they are",
    .size = sizeof(struct raw),
    .options = FIELDS(
        FIELD(struct raw, offset, .is_size = true, .doc = "where in the file the disk begins"),
        FIELD(struct raw, size, .is_size = true, .doc = "its size; 0: to the end of the file")),
    .strong_options = raw_strong,
    .probe = raw_probe,
    .open = raw_open,
    .create = raw_create,
    .read = raw_read,
    .write = raw_write,
    .zero = raw_zero,
    .discard = raw_discard,
    .map = raw_map,
    .resize = raw_resize,
    .locate = raw_locate,
    .measure = raw_measure,
};
