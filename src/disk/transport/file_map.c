/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a file has holes, by SEEK_DATA and SEEK_HOLE. The last answer is kept: whoever walks a file
 * in small steps asks the kernel once per extent.
 */
#include <errno.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/scope.h"
#include "disk/transport/file.h"

void file_map_changed(struct disk *d)
{
    struct file *f = d->priv;

    atomic_fetch_add_explicit(&f->map_gen, 1, memory_order_release);
}

/* The extent around offset. -errno: the file system cannot say. */
static int ask_kernel(struct disk *d, uint64_t offset, uint64_t *ret_end, bool *ret_data)
{
    int fd = file_fd(d);
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA), hole;

    if (data < 0 && errno == ENXIO) { /* a hole up to the end */
        *ret_data = false;
        *ret_end = MAX(disk_size(d), offset + 1);
        return 0;
    }
    if (data < 0)
        return -errno;
    if ((uint64_t)data > offset) {
        *ret_data = false;
        *ret_end = (uint64_t)data;
        return 0;
    }
    hole = lseek(fd, (off_t)offset, SEEK_HOLE);
    if (hole < 0 || (uint64_t)hole <= offset)
        return hole < 0 ? -errno : -EIO;
    *ret_data = true;
    *ret_end = (uint64_t)hole;
    return 0;
}

int file_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    struct file *f = d->priv;
    bool data = true;
    uint64_t end = 0;
    int r = 0;

    WITH_LOCK (&f->map_lock) {
        /* write_gen: what queues write by themselves does not come through the driver */
        uint64_t gen = atomic_load_explicit(&f->map_gen, memory_order_acquire) +
                       atomic_load_explicit(&d->core->write_gen, memory_order_acquire);

        if (gen != f->map_seen_gen || offset < f->map_start || offset >= f->map_end) {
            r = ask_kernel(d, offset, &f->map_end, &f->map_is_data);
            f->map_start = r ? f->map_end : offset;
            f->map_seen_gen = gen;
        }
        end = f->map_end;
        data = f->map_is_data;
    }
    if (r) { /* all of it may be data */
        data = true;
        end = offset + len;
    }
    *ret = (struct disk_extent){
        .len = MIN(end - offset, len),
        .flags = (data ? DISK_MAP_DATA : DISK_MAP_ZERO) | DISK_MAP_ALLOCATED | DISK_MAP_OFFSET,
        .host_offset = offset,
        .file = d,
    };
    return 0;
}
