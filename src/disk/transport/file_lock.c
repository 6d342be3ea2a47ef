/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Image locks as QEMU takes them, with which each program refuses what the other holds: byte 100+b
 * is read-locked by who does what permission bit b means, byte 200+b by who does not let others do
 * it; neither is ever write-locked, conflicts are found by asking whether one could be. The locks
 * belong to the open file, so two opens in one process conflict as two processes do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "disk/transport/file.h"

enum { BYTE_USED = 100, BYTE_UNSHARED = 200, PERM_BITS = 4 };

static const char *const perm_names[PERM_BITS] = { "consistent read", "write", "write unchanged",
                                                   "resize" };

static int set_lock(int fd, short type, unsigned byte)
{
    struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return fcntl(fd, F_OFD_SETLK, &fl) ? -errno : 0;
}

static int is_locked(int fd, unsigned byte)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    if (fcntl(fd, F_OFD_GETLK, &fl))
        return -errno;
    return fl.l_type == F_UNLCK ? 0 : -EAGAIN;
}

/* File systems without locks, and kernels: as QEMU's locking=auto, which goes without. */
static bool cannot_lock(int r)
{
    return r == -EINVAL || r == -ENOTSUP || r == -ENOLCK || r == -ENOSYS;
}

static int take(int fd, unsigned perm, unsigned unshared)
{
    for (unsigned b = 0; b < PERM_BITS; b++) {
        int r = perm & BIT(b) ? set_lock(fd, F_RDLCK, BYTE_USED + b) : 0;

        if (!r && (unshared & BIT(b)))
            r = set_lock(fd, F_RDLCK, BYTE_UNSHARED + b);
        if (r)
            return r;
    }
    return 0;
}

static void drop_all_but(int fd, unsigned perm, unsigned unshared)
{
    for (unsigned b = 0; b < PERM_BITS; b++) {
        if (!(perm & BIT(b)))
            (void)set_lock(fd, F_UNLCK, BYTE_USED + b);
        if (!(unshared & BIT(b)))
            (void)set_lock(fd, F_UNLCK, BYTE_UNSHARED + b);
    }
}

static bool refused(struct disk *d, bool is_shared, unsigned b, unsigned byte, struct error *err)
{
    fail(err, EAGAIN, "Failed to get %s\"%s\" lock", is_shared ? "shared " : "", perm_names[b]);
    return fail_hint(err, "Is another process using the image [%s]?", d->filename);
}

/* perm and unshared are locked by us: does anybody else stand in the way? */
static bool check(struct disk *d, int fd, unsigned perm, unsigned unshared, struct error *err)
{
    for (unsigned b = 0; b < PERM_BITS; b++) {
        if ((perm & BIT(b)) && is_locked(fd, BYTE_UNSHARED + b))
            return refused(d, false, b, BYTE_UNSHARED + b, err);
        if ((unshared & BIT(b)) && is_locked(fd, BYTE_USED + b))
            return refused(d, true, b, BYTE_USED + b, err);
    }
    return true;
}

bool file_lock(struct disk *d, int fd, unsigned perm, unsigned shared, struct error *err)
{
    struct file *f = d->priv;
    unsigned unshared = PERM_ALL & ~shared, old = d->core->perm,
             old_un = PERM_ALL & ~d->core->shared;
    int r;

    if (!f->locks)
        return true;
    r = take(fd, perm, unshared);
    if (cannot_lock(r)) {
        if (f->locking && !strcmp(f->locking, "on")) {
            fail(err, -r, "locking=on: the file system has no locks: %s", strerror(-r));
            return fail_hint(err, "use locking=auto if nobody else writes to the image");
        }
        f->locks = false;
        return true;
    }
    if (r)
        return fail(err, -r, "Failed to lock byte: %s", strerror(-r));
    if (!check(d, fd, perm, unshared, err)) {
        drop_all_but(fd, old, old_un);
        return false;
    }
    drop_all_but(fd, perm, unshared);
    return true;
}

bool file_set_perm(struct disk *d, unsigned perm, unsigned shared, struct error *err)
{
    return file_lock(d, file_fd(d), perm, shared, err);
}
