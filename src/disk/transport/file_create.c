/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making, removing, and changing the size of regular files. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/scope.h"
#include "disk/transport/file.h"

/* Bytes of the zeroes that preallocation=full writes at a time. */
#define FULL_STEP (UINT32_C(1) << 20)

/* Hints: a file system without them is no error, as with QEMU. */
static void give_hints(int fd, const struct file_create *o)
{
    struct fsxattr x;
    int attr;

    if (o->nocow && !ioctl(fd, FS_IOC_GETFLAGS, &attr)) {
        attr |= FS_NOCOW_FL;
        (void)ioctl(fd, FS_IOC_SETFLAGS, &attr);
    }
    if (o->extent_size_hint && !ioctl(fd, FS_IOC_FSGETXATTR, &x)) {
        x.fsx_xflags |= FS_XFLAG_EXTSIZE;
        x.fsx_extsize = (uint32_t)MIN(o->extent_size_hint, UINT32_MAX);
        (void)ioctl(fd, FS_IOC_FSSETXATTR, &x);
    }
}

/* An existing file that somebody uses is refused before it loses a byte. */
bool file_create(const struct disk_create *c, struct error *err)
{
    const struct file_create *o = c->opts;
    struct disk_private core = { 0 };
    struct file f = { .filename = (char *)c->filename, .locks = true };
    struct disk stand_in = { .priv = &f, .core = &core, .filename = (char *)c->filename };
    AUTO_CLOSE int fd = open(c->filename, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    bool fresh = fd >= 0;

    if (!fresh && errno == EEXIST)
        fd = open(c->filename, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail(err, errno, "Could not create '%s': %s", c->filename, strerror(errno));
    if (!file_lock(&stand_in, fd, PERM_WRITE | PERM_RESIZE, PERM_ALL & ~(PERM_WRITE | PERM_RESIZE),
                   err)) {
        err_prefix(err, "Could not create '%s': ", c->filename);
        return false;
    }
    if (!fresh && ftruncate(fd, 0))
        return fail(err, errno, "Could not empty '%s': %s", c->filename, strerror(errno));
    give_hints(fd, o);
    return true;
}

bool file_remove(const char *filename, struct error *err)
{
    struct stat st;

    if (stat(filename, &st) || !S_ISREG(st.st_mode))
        return true;
    if (unlink(filename))
        return fail(err, errno, "Could not remove '%s': %s", filename, strerror(errno));
    return true;
}

static int write_all_zero(int fd, uint64_t start, uint64_t end)
{
    AUTO_FREE char *zeroes = NULL;

    if (posix_memalign((void **)&zeroes, 4096, FULL_STEP))
        return -ENOMEM;
    memset(zeroes, 0, FULL_STEP);
    while (start < end) {
        ssize_t n = pwrite(fd, zeroes, MIN(end - start, FULL_STEP), (off_t)start);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -ENOSPC;
        start += n;
    }
    return fdatasync(fd) ? -errno : 0;
}

bool file_resize(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                 struct error *err)
{
    struct stat st;
    int fd = file_fd(d), r = 0;

    if (fstat(fd, &st))
        return fail(err, errno, "Could not stat file: %s", strerror(errno));
    if (((struct file *)d->priv)->is_device)
        return size == disk_size(d) || (!exact && size < disk_size(d)) ||
               fail(err, ENOTSUP, "Cannot %s device files",
                    size > disk_size(d) ? "grow" : "resize");
    if (p == DISK_PREALLOC_METADATA)
        return fail(err, ENOTSUP, "Unsupported preallocation mode 'metadata'");
    if (p != DISK_PREALLOC_OFF && size < (uint64_t)st.st_size)
        return fail(err, ENOTSUP, "Preallocation can't be used for shrinking files");
    file_map_changed(d);
    if (p == DISK_PREALLOC_OFF || size == (uint64_t)st.st_size) {
        if (ftruncate(fd, (off_t)size))
            return fail(err, errno, "Failed to resize the file: %s", strerror(errno));
        return true;
    }
    /* posix_fallocate would write where the file system cannot; it may take long but is what was
     * asked for */
    if (p == DISK_PREALLOC_FALLOC)
        r = -posix_fallocate(fd, st.st_size, (off_t)(size - (uint64_t)st.st_size));
    else if (!(r = ftruncate(fd, (off_t)size) ? -errno : 0))
        r = write_all_zero(fd, (uint64_t)st.st_size, size);
    file_map_changed(d);
    if (!r)
        return true;
    (void)!ftruncate(fd, st.st_size);
    return fail(err, -r, "Could not preallocate data for the new file: %s", strerror(-r));
}
