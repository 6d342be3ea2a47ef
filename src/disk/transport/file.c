/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regular files: positioned reads and writes, direct or through the page cache. io_uring gets the
 * descriptor by the fd slot (disk/queue.c).
 */
#include "disk/transport/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"

#define IOV_BATCH 256

const struct field file_options[] = {
    FIELD(struct file, filename, .doc = "path"),
    FIELD(struct file, aio, .doc = "threads, native or io_uring; all but threads are io_uring"),
    FIELD(struct file, locking, .doc = "auto, on or off"),
    FIELD(struct file, drop_cache, .wire = "drop-cache",
          .doc = "forget the page cache when the image changes hands"),
    FIELD(struct file, x_check_cache_dropped, .wire = "x-check-cache-dropped"),
    FIELD(struct file, pr_manager, .wire = "pr-manager"),
    FIELD(struct file, aio_max_batch, .wire = "aio-max-batch",
          .doc = "requests given to the kernel at once; 0 chooses"),
    { 0 },
};

const char *const file_required[] = { "filename", NULL };

static bool check_options(struct disk *d, struct error *err)
{
    struct file *f = d->priv;

    if (f->pr_manager)
        return fail(err, ENOTSUP, "pr-manager: persistent reservations are not supported");
    if (f->x_check_cache_dropped)
        return fail(err, ENOTSUP, "x-check-cache-dropped: there is no such check");
    if (f->aio && strcmp(f->aio, "threads") && strcmp(f->aio, "native") &&
        strcmp(f->aio, "io_uring"))
        return fail(err, EINVAL, "aio: '%s' is not threads, native or io_uring", f->aio);
    if (f->aio && !strcmp(f->aio, "native"))
        d->open_flags |= DISK_AIO_NATIVE;
    if (f->aio && !strcmp(f->aio, "io_uring"))
        d->open_flags |= DISK_AIO_URING;
    if ((d->open_flags & DISK_AIO_NATIVE) && !(d->open_flags & DISK_DIRECT)) {
        fail(err, EINVAL,
             "aio=native was specified, but it requires cache.direct=on, which was not specified.");
        return false;
    }
    if (f->locking && strcmp(f->locking, "auto") && strcmp(f->locking, "on") &&
        strcmp(f->locking, "off"))
        return fail(err, EINVAL, "locking: '%s' is not auto, on or off", f->locking);
    f->locks = !f->locking || strcmp(f->locking, "off");
    if (!*f->filename)
        return fail(err, EINVAL, "The 'file' block driver requires a file name");
    return true;
}

/* What O_DIRECT wants: told by the kernel, or found by trying. */
void file_find_alignment(struct disk *d, int fd)
{
    struct file *f = d->priv;
    void *buf;

    d->align = d->memory_align = 1;
    if (!(d->open_flags & DISK_DIRECT))
        return;
#ifdef STATX_DIOALIGN
    struct statx sx;

    if (!statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) && (sx.stx_mask & STATX_DIOALIGN) &&
        sx.stx_dio_offset_align && is_pow2(sx.stx_dio_offset_align) &&
        is_pow2(sx.stx_dio_mem_align)) {
        d->align = MAX(sx.stx_dio_offset_align, 512u);
        d->memory_align = MAX(sx.stx_dio_mem_align, 1u);
        return;
    }
#endif
    d->align = 4096;
    d->memory_align = 4096;
    if (posix_memalign(&buf, 4096, 4096))
        return;
    for (uint32_t a = MAX(f->block_size, 512u); a < 4096; a *= 2) {
        if (pread(fd, buf, a, a) >= 0) {
            d->align = a;
            break;
        }
    }
    free(buf);
}

static int host_flags(unsigned flags, bool rw)
{
    return O_CLOEXEC | (rw ? O_RDWR : O_RDONLY) | (flags & DISK_DIRECT ? O_DIRECT : 0);
}

/* With the descriptor that the name's file gets; /dev/fdset and the like are no names of files. */
bool file_open_fd(struct disk *d, struct error *err)
{
    struct file *f = d->priv;
    int fd;

    if (!check_options(d, err))
        return false;
    if (!d->filename)
        d->filename = xstrdup(f->filename);
    fd = open(f->filename, host_flags(d->open_flags, !d->read_only));
    if (fd < 0 && !d->read_only && (d->open_flags & DISK_AUTO_RDONLY) &&
        (errno == EACCES || errno == EROFS || errno == EPERM)) {
        d->read_only = true;
        d->core->perm &= ~(PERM_WRITE | PERM_RESIZE);
        fd = open(f->filename, host_flags(d->open_flags, false));
    }
    if (fd < 0) {
        int e = errno;

        if (e == EINVAL && (d->open_flags & DISK_DIRECT)) {
            fail(err, e, "Could not open '%s': file system does not support O_DIRECT", f->filename);
            return fail_hint(err, "use a cache mode with the page cache (-t writeback)");
        }
        return fail(err, e, "Could not open '%s': %s", f->filename, strerror(e));
    }
    f->fd = fd + 1;
    pthread_mutex_init(&f->map_lock, NULL);
    return true;
}

/* Sizes are those of whole 512-byte blocks; what the last one lacks reads as zeroes. */
static bool find_size(struct disk *d, struct error *err)
{
    struct file *f = d->priv;
    struct statfs fs;
    struct stat st;

    if (fstat(file_fd(d), &st))
        return fail(err, errno, "Could not stat '%s': %s", f->filename, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fail(err, EISDIR, "'file' driver requires '%s' to be a regular file", f->filename);
    if (!S_ISREG(st.st_mode)) {
        fail(err, EINVAL, "'file' driver requires '%s' to be a regular file", f->filename);
        return fail_hint(err, "for block devices use driver=host_device");
    }
    d->core->in_memory = !fstatfs(file_fd(d), &fs) && fs.f_type == TMPFS_MAGIC;
    if ((uint64_t)st.st_size > DISK_MAX_SIZE)
        return fail(err, EFBIG, "'%s' is larger than disks can be", f->filename);
    d->size = ALIGN_UP((uint64_t)st.st_size, UINT64_C(512));
    return true;
}

static bool file_open(struct disk *d, struct error *err)
{
    if (!file_open_fd(d, err) || !find_size(d, err) ||
        !file_lock(d, file_fd(d), d->core->perm, d->core->shared, err))
        return false;
    file_find_alignment(d, file_fd(d));
    d->zero_align = d->discard_align = 1;
    d->zero_flags = DISK_MAY_UNMAP | DISK_NO_FALLBACK;
    return true;
}

/* The same file, whatever its name means by now. Locks that need others' consent change later, by
 * set_perm. */
bool file_reopen(struct disk *d, const void *new_priv, unsigned flags, struct error *err)
{
    const struct file *new_f = new_priv;
    struct file *f = d->priv;
    AUTO_FREE char *path = xasprintf("/proc/self/fd/%d", file_fd(d));
    int fd;

    if (strcmp(new_f->filename, f->filename))
        return fail(err, EINVAL, "Cannot change the option 'filename'");
    fd = open(path, host_flags(flags, flags & DISK_RDWR));
    if (fd < 0 && errno == ENOENT) /* no /proc */
        fd = open(f->filename, host_flags(flags, flags & DISK_RDWR));
    if (fd < 0)
        return fail(err, errno, "Could not reopen '%s': %s", f->filename, strerror(errno));
    file_move_locks(d, file_fd(d), fd);
    (void)close(file_fd(d));
    f->fd = fd + 1;
    d->open_flags = flags;
    file_find_alignment(d, fd);
    return true;
}

void file_close(struct disk *d)
{
    struct file *f = d->priv;

    if (!f->fd)
        return;
    (void)close(f->fd - 1);
    f->fd = 0;
    pthread_mutex_destroy(&f->map_lock);
}

/* One call of preadv or pwritev over what is left of v from `at`; the bytes moved or -errno. */
static ssize_t move_some(struct disk *d, uint64_t offset, const struct disk_vec *v, size_t at,
                         bool is_write)
{
    struct disk_vec rest = vec_slice(*v, at, v->len - at);
    struct iovec iov[IOV_BATCH];
    size_t len;
    uint32_t n = vec_fill(&rest, iov, IOV_BATCH, &len);
    ssize_t r;

    do {
        r = is_write ? pwritev(file_fd(d), iov, (int)n, (off_t)(offset + at))
                     : preadv(file_fd(d), iov, (int)n, (off_t)(offset + at));
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

int file_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    for (size_t at = 0; at < v.len;) {
        ssize_t n = move_some(d, offset, &v, at, false);

        if (n < 0)
            return (int)n;
        if (!n) { /* the end of the file: zeroes follow */
            struct disk_vec rest = vec_slice(v, at, v.len - at);

            vec_clear(&rest);
            break;
        }
        at += n;
    }
    return 0;
}

int file_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    int r = 0;

    for (size_t at = 0; at < v.len;) {
        ssize_t n = move_some(d, offset, &v, at, true);

        if (n <= 0) {
            r = n ? (int)n : -ENOSPC;
            break;
        }
        at += n;
    }
    file_map_changed(d);
    return r;
}

/* After a failed fsync the kernel forgets what was lost, and a later one would succeed. */
int file_flush(struct disk *d)
{
    struct file *f = d->priv;
    int e = atomic_load(&f->flush_error);

    if (e)
        return e;
    if (!fdatasync(file_fd(d)))
        return 0;
    e = -errno;
    atomic_store(&f->flush_error, e);
    return e;
}

int file_uring_fd(struct disk *d, enum disk_op op)
{
    const struct file *f = d->priv;

    if (f->aio && !strcmp(f->aio, "threads"))
        return -1;
    return op == DISK_OP_READ || op == DISK_OP_WRITE ? file_fd(d) : -1;
}

int64_t file_allocated(struct disk *d)
{
    struct stat st;

    return fstat(file_fd(d), &st) ? -errno : (int64_t)st.st_blocks * 512;
}

const struct disk_driver file_driver = {
    .name = "file",
    .doc = "regular files of the host",
    .is_transport = true,
    .size = sizeof(struct file),
    .options = file_options,
    .required = file_required,
    .create_size = sizeof(struct file_create),
    .create_options =
        FIELDS(FIELD(struct file_create, nocow, .doc = "no copy on write (btrfs)"),
               FIELD(struct file_create, extent_size_hint, .is_size = true,
                     .doc = "the file system allocates in pieces of this size; 0: its own choice")),
    .open = file_open,
    .close = file_close,
    .set_perm = file_set_perm,
    .reopen = file_reopen,
    .create = file_create,
    .remove = file_remove,
    .read = file_read,
    .write = file_write,
    .zero = file_zero,
    .discard = file_discard,
    .flush = file_flush,
    .map = file_map,
    .resize = file_resize,
    .fd = file_uring_fd,
    .allocated = file_allocated,
};
