/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Image locks as QEMU takes them, with which each program refuses what the other holds: byte 100+b
 * is read-locked by who does what permission bit b means, byte 200+b by who does not let others do
 * it; neither is ever write-locked, conflicts are found by asking whether one could be. The locks
 * belong to the open file, so two opens in one process conflict as two processes do.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/str.h"
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

/* The process with a lock on that byte of the file through another descriptor than ours: the kernel
 * shows a descriptor's locks in its fdinfo, to those who may look. 0: not found. */
static pid_t holder_in(int proc_fd, const char *pid, const char *inode, unsigned byte, int own_fd)
{
    char path[64], line[256];
    struct dirent *e;
    pid_t found = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "%.16s/fdinfo", pid);
    dir = fdopendir(openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    while (dir && !found && (e = readdir(dir))) {
        int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC);
        FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

        if (atoi(e->d_name) == own_fd && atoi(pid) == getpid()) {
            if (f)
                (void)fclose(f);
            continue;
        }
        while (f && !found && fgets(line, sizeof(line), f)) {
            unsigned long start, end;
            const char *at = str_after(line, "lock:") ? strstr(line, inode) : NULL;

            if (at && sscanf(at + strlen(inode), "%lu %lu", &start, &end) == 2 && start <= byte &&
                byte <= end)
                found = atoi(pid);
        }
        if (f)
            (void)fclose(f);
    }
    if (dir)
        (void)closedir(dir);
    return found;
}

static pid_t find_holder(int fd, unsigned byte, char *comm, size_t size)
{
    char inode[64], path[64];
    DIR *proc = opendir("/proc");
    struct dirent *e;
    struct stat st;
    pid_t pid = 0;
    FILE *f;

    if (proc && !fstat(fd, &st)) {
        snprintf(inode, sizeof(inode), "%02x:%02x:%lu ", major(st.st_dev), minor(st.st_dev),
                 (unsigned long)st.st_ino);
        while (!pid && (e = readdir(proc))) {
            if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
                pid = holder_in(dirfd(proc), e->d_name, inode, byte, fd);
        }
    }
    if (proc)
        (void)closedir(proc);
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    f = pid ? fopen(path, "r") : NULL;
    if (!f || !fgets(comm, (int)size, f))
        snprintf(comm, size, "?");
    comm[strcspn(comm, "\n")] = '\0';
    if (f)
        (void)fclose(f);
    return pid;
}

static bool refused(struct disk *d, int fd, bool is_shared, unsigned b, unsigned byte,
                    struct error *err)
{
    size_t n = strlen(d->filename);
    const char *cut = n > 44 ? "..." : "", *tail = n > 44 ? d->filename + n - 44 : d->filename;
    char comm[32];
    pid_t pid = find_holder(fd, byte, comm, sizeof(comm));

    fail(err, EAGAIN, "Failed to get %s\"%s\" lock", is_shared ? "shared " : "", perm_names[b]);
    if (pid == getpid()) {
        fail(err, EAGAIN, "%s: it is open already in this process", strdupa(err->msg));
    } else if (pid) {
        fail(err, EAGAIN, "%s: in use by process %d (%s)", strdupa(err->msg), (int)pid, comm);
    }
    return fail_hint(err, "Is another process using the image [%s%s]? Stop it, or read with -U",
                     cut, tail);
}

/* perm and unshared are locked by us: does anybody else stand in the way? */
static bool check(struct disk *d, int fd, unsigned perm, unsigned unshared, struct error *err)
{
    for (unsigned b = 0; b < PERM_BITS; b++) {
        if ((perm & BIT(b)) && is_locked(fd, BYTE_UNSHARED + b))
            return refused(d, fd, false, b, BYTE_UNSHARED + b, err);
        if ((unshared & BIT(b)) && is_locked(fd, BYTE_USED + b))
            return refused(d, fd, true, b, BYTE_USED + b, err);
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

void file_move_locks(struct disk *d, int from_fd, int to_fd)
{
    struct file *f = d->priv;

    if (!f->locks)
        return;
    (void)take(to_fd, d->core->perm, PERM_ALL & ~d->core->shared);
    drop_all_but(from_fd, 0, 0);
}
