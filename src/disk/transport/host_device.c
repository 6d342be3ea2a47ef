/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block and character devices of the host, CD-ROM drives too. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "disk/transport/file.h"

static bool find_size(struct disk *d, struct error *err)
{
    struct file *f = d->priv;
    uint64_t size = 0;
    struct stat st;
    int n;

    if (fstat(file_fd(d), &st))
        return fail(err, errno, "Could not stat '%s': %s", f->filename, strerror(errno));
    if (S_ISBLK(st.st_mode)) {
        if (ioctl(file_fd(d), BLKGETSIZE64, &size))
            return fail(err, errno, "Could not get the size of '%s': %s", f->filename,
                        strerror(errno));
        f->block_size = ioctl(file_fd(d), BLKSSZGET, &n) ? 512 : (uint32_t)n;
    } else if (S_ISCHR(st.st_mode)) {
        off_t end = lseek(file_fd(d), 0, SEEK_END);

        size = end < 0 ? 0 : (uint64_t)end;
    } else {
        return fail(err, EINVAL, "'%s' is neither a block nor a character device", f->filename);
    }
    d->size = MIN(size, DISK_MAX_SIZE);
    return true;
}

/* A device that is read-only opens for writing all the same, and then fails each write. */
static bool check_read_only(struct disk *d, struct error *err)
{
    struct file *f = d->priv;
    int ro = 0;

    if (d->read_only || ioctl(file_fd(d), BLKROGET, &ro) || !ro)
        return true;
    if (d->open_flags & DISK_AUTO_RDONLY) {
        d->read_only = true;
        d->core->perm &= ~(PERM_WRITE | PERM_RESIZE);
        return true;
    }
    fail(err, EACCES, "Could not open '%s': the device is read-only", f->filename);
    return fail_hint(err, "open it read-only");
}

static bool host_device_open(struct disk *d, struct error *err)
{
    struct file *f = d->priv;

    f->is_device = true;
    if (!file_open_fd(d, err) || !find_size(d, err) || !check_read_only(d, err) ||
        !file_lock(d, file_fd(d), d->core->perm, d->core->shared, err))
        return false;
    file_find_alignment(d, file_fd(d));
    d->zero_align = d->discard_align = MAX(f->block_size, 512u);
    d->zero_flags = DISK_MAY_UNMAP | DISK_NO_FALLBACK;
    return true;
}

static int host_device_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    *ret = (struct disk_extent){ .len = len,
                                 .flags = DISK_MAP_DATA | DISK_MAP_ALLOCATED | DISK_MAP_OFFSET,
                                 .host_offset = offset,
                                 .file = d };
    return 0;
}

static const char *const schemes[] = { "host_device", NULL };

const struct disk_driver host_device_driver = {
    .name = "host_device",
    .doc = "block devices of the host",
    .is_transport = true,
    .schemes = schemes,
    .size = sizeof(struct file),
    .options = file_options,
    .required = file_required,
    .open = host_device_open,
    .close = file_close,
    .set_perm = file_set_perm,
    .reopen = file_reopen,
    .read = file_read,
    .write = file_write,
    .zero = file_zero,
    .discard = file_discard,
    .flush = file_flush,
    .map = host_device_map,
    .resize = file_resize,
    .fd = file_uring_fd,
    .allocated = file_allocated,
};

static const char *const cdrom_schemes[] = { "host_cdrom", NULL };

static bool host_cdrom_open(struct disk *d, struct error *err)
{
    d->read_only = true;
    return host_device_open(d, err);
}

const struct disk_driver host_cdrom_driver = {
    .name = "host_cdrom",
    .doc = "CD-ROM drives of the host",
    .is_transport = true,
    .schemes = cdrom_schemes,
    .size = sizeof(struct file),
    .options = file_options,
    .required = file_required,
    .open = host_cdrom_open,
    .close = file_close,
    .set_perm = file_set_perm,
    .read = file_read,
    .map = host_device_map,
    .fd = file_uring_fd,
    .allocated = file_allocated,
};
