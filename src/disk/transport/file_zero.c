/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zeroing and discarding without moving data, by fallocate() or a device's ioctl. What a file
 * system refuses once is not asked again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "disk/transport/file.h"

static bool is_refusal(int e)
{
    return e == EOPNOTSUPP || e == ENOSYS || e == EINVAL || e == ENOTTY || e == EPERM ||
           e == ENODEV;
}

/* -ENOTSUP when it is refused, now or before. */
static int try_fallocate(struct disk *d, _Atomic(bool) *refused, int mode, uint64_t offset,
                         uint64_t len)
{
    int r;

    if (atomic_load_explicit(refused, memory_order_relaxed))
        return -ENOTSUP;
    do {
        r = fallocate(file_fd(d), mode, (off_t)offset, (off_t)len);
    } while (r && errno == EINTR);
    if (!r)
        return 0;
    if (!is_refusal(errno))
        return -errno;
    atomic_store(refused, true);
    return -ENOTSUP;
}

static int zero_device(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    struct file *f = d->priv;
    uint64_t range[2] = { offset, len };
    int r = -ENOTSUP;

    if (flags & DISK_MAY_UNMAP) {
        r = try_fallocate(d, &f->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
        if (r != -ENOTSUP)
            return r;
    }
    /* with NO_FALLBACK only what is fast: the ioctl may write zeroes in the kernel */
    if ((flags & DISK_NO_FALLBACK) || atomic_load(&f->no_zero_range))
        return -ENOTSUP;
    if (!ioctl(file_fd(d), BLKZEROOUT, range))
        return 0;
    if (!is_refusal(errno))
        return -errno;
    atomic_store(&f->no_zero_range, true);
    return -ENOTSUP;
}

/* Beyond the end of the file nothing was written yet: making it longer is enough. */
static int zero_by_growing(struct disk *d, uint64_t offset, uint64_t len)
{
    struct stat st;

    if (fstat(file_fd(d), &st) || offset < (uint64_t)st.st_size)
        return -ENOTSUP;
    return ftruncate(file_fd(d), (off_t)(offset + len)) ? -errno : 0;
}

/* A hole where that is wanted, else allocated zeroes. ZERO_RANGE makes the file longer, a hole does
 * not: then the rest is left to growing it. */
static int zero_file(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    struct file *f = d->priv;
    int r = -ENOTSUP;

    if (flags & DISK_MAY_UNMAP) {
        if (offset + len > disk_size(d) && !zero_by_growing(d, offset, len))
            return 0;
        if (offset + len <= disk_size(d))
            r = try_fallocate(d, &f->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                              len);
    }
    if (r == -ENOTSUP)
        r = try_fallocate(d, &f->no_zero_range, FALLOC_FL_ZERO_RANGE, offset, len);
    /* no ZERO_RANGE: a hole that is then given its blocks */
    if (r == -ENOTSUP && offset + len <= disk_size(d)) {
        r = try_fallocate(d, &f->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
        if (!r && !(flags & DISK_MAY_UNMAP))
            r = try_fallocate(d, &f->no_extend_zero, 0, offset, len);
    }
    return r == -ENOTSUP ? zero_by_growing(d, offset, len) : r;
}

int file_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    struct file *f = d->priv;
    int r = f->is_device ? zero_device(d, offset, len, flags) : zero_file(d, offset, len, flags);

    file_map_changed(d);
    return r;
}

int file_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    struct file *f = d->priv;
    uint64_t range[2] = { offset, len };
    int r;

    if (!f->is_device) {
        r = try_fallocate(d, &f->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
    } else if (atomic_load(&f->no_discard)) {
        r = -ENOTSUP;
    } else {
        r = ioctl(file_fd(d), BLKDISCARD, range) ? -errno : 0;
        if (r && is_refusal(-r)) {
            atomic_store(&f->no_discard, true);
            r = -ENOTSUP;
        }
    }
    file_map_changed(d);
    return r;
}
