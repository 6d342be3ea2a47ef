/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * System calls of files and descriptors that need more than their argument kinds: special files of
 * /proc, flags inside structures, and descriptors of our own, which the guest must not close.
 */
#include "user/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/scope.h"

/* ---- descriptors of our own ---- */
enum { OURS = 2 };

/* Our executable and the log, in ascending order; -1: not there. */
static void own_fds(const struct user_proc *p, int ret[OURS])
{
    int log = log_fd(), self = p->self_fd;

    ret[0] = MIN(log, self);
    ret[1] = MAX(log, self);
}

bool call_fd_is_ours(const struct user_proc *p, uint64_t fd)
{
    return (int)fd >= 0 && ((int)fd == p->self_fd || (int)fd == log_fd());
}

int64_t sys_close(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    return call_fd_is_ours(t->proc, a[0]) ? -EBADF : call_host(t, row, a);
}

/* What lies between ours. */
int64_t sys_close_range(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    uint32_t first = a[0], last = a[1];
    int ours[OURS];
    int64_t r = 0;

    if (first > last || (a[2] & CLOSE_RANGE_CLOEXEC))
        return call_host(t, row, a);
    own_fds(t->proc, ours);
    for (unsigned i = 0; i < OURS && r == 0; i++) {
        uint32_t own = ours[i];

        if (ours[i] < 0 || own < first || own > last)
            continue;
        if (own > first)
            r = call_host(t, row, (uint64_t[6]){ first, own - 1, a[2] });
        if (own == last)
            return r;
        first = own + 1;
    }
    return r < 0 ? r : call_host(t, row, (uint64_t[6]){ first, last, a[2] });
}

/* The guest wants the number of a descriptor of ours: ours moves. */
static int64_t make_room(struct user_proc *p, int fd)
{
    int64_t moved = call_raw(SYS_fcntl, p->self_fd, F_DUPFD_CLOEXEC, fd + 1, 0, 0, 0);

    if (moved < 0 || fd != p->self_fd)
        return -EBUSY;
    p->self_fd = moved;
    return 0;
}

int64_t sys_dup2(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    if (call_fd_is_ours(t->proc, a[0]))
        return -EBADF;
    if (call_fd_is_ours(t->proc, a[1]) && make_room(t->proc, a[1]) < 0)
        return -EBUSY;
    return call_host(t, row, a);
}

int64_t sys_dup3(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    if (call_fd_is_ours(t->proc, a[0]))
        return -EBADF;
    if (call_fd_is_ours(t->proc, a[1]) && make_room(t->proc, a[1]) < 0)
        return -EBUSY;
    return call_pass(t, row, a);
}

/* ---- directories ---- */
/* Is fd /proc/self/fd (or another name of it)? */
static bool lists_our_fds(int fd)
{
    char name[40], to[64], want[40];
    ssize_t n;

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    snprintf(want, sizeof(want), "/proc/%d/", (int)getpid());
    n = readlink(name, to, sizeof(to) - 1);
    if (n < 3)
        return false;
    to[n] = 0;
    return strncmp(to, want, strlen(want)) == 0 && strcmp(to + n - 3, "/fd") == 0;
}

/* The listing of our descriptors without our own. */
int64_t sys_getdents64(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    enum { RECLEN = 16, NAME = 19 }; /* struct linux_dirent64 */
    int64_t n = call_pass(t, row, a), at = 0;
    AUTO_FREE uint8_t *buf = NULL;

    if (n <= 0 || n > 65536 || !lists_our_fds(a[0]))
        return n;
    buf = xnew_array(uint8_t, n);
    if (user_read(t->proc, buf, a[1], n) < 0)
        return -EFAULT;
    while (at + NAME < n) {
        unsigned len = ld_le16(buf + at + RECLEN);
        char *end, *name = (char *)buf + at + NAME;
        long fd = strtol(name, &end, 10);

        if (len < NAME || at + len > n)
            break;
        if (end != name && call_fd_is_ours(t->proc, fd)) {
            memmove(buf + at, buf + at + len, n - at - len);
            n -= len;
        } else {
            at += len;
        }
    }
    if (!n)
        return sys_getdents64(t, row, a); /* 0 would be the end */
    return user_write(t->proc, a[1], buf, n) < 0 ? -EFAULT : n;
}

/* ---- opening ---- */
/* Does a path at a begin with "/proc/"? Bad addresses do not. */
static bool in_proc(struct user_thread *t, gva_t a)
{
    char head[6];

    return a && user_read(t->proc, head, a, 1) == 0 && head[0] == '/' &&
           user_read(t->proc, head, a, sizeof(head)) == 0 && memcmp(head, "/proc/", 6) == 0;
}

/* A special file of /proc: *ret_fd is a descriptor or -errno. flags are the host's. */
static bool open_special(struct user_thread *t, gva_t path, int flags, int64_t *ret_fd)
{
    AUTO_FREE char *s = NULL;
    int err;

    if (!in_proc(t, path) || !(s = user_string(t->proc, path, PATH_MAX, &err)))
        return false;
    *ret_fd = procfs_open(t, s, flags);
    return *ret_fd != -1;
}

int64_t sys_open(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    int64_t fd;

    if (open_special(t, a[0], call_open_flags_to_host(t->proc->abi, a[1]), &fd))
        return fd;
    return call_pass(t, row, a);
}

int64_t sys_openat(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    int64_t fd;

    if (open_special(t, a[1], call_open_flags_to_host(t->proc->abi, a[2]), &fd))
        return fd;
    return call_pass(t, row, a);
}

int64_t sys_openat2(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    uint64_t how[512], v[6] = { a[0], call_ptr(t, a[1]), (uintptr_t)how, a[3] };
    int64_t fd;

    if (a[3] < 24)
        return -EINVAL;
    if (a[3] > sizeof(how))
        return -E2BIG;
    if (user_read(t->proc, how, a[2], a[3]) < 0)
        return -EFAULT;
    if (how[0] <= UINT32_MAX)
        how[0] = call_open_flags_to_host(t->proc->abi, how[0]);
    if (!how[2] && open_special(t, a[1], how[0], &fd))
        return fd;
    if (call_is_32(t))
        return call_host(t, row, a); /* i386's flags are the host's */
    return call_host(t, row, v);
}

int64_t sys_readlink(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    unsigned at = row->nargs - 3;
    AUTO_FREE char *s = NULL;
    char to[PATH_MAX];
    size_t len;
    int err;

    if (!in_proc(t, a[at]) || !(s = user_string(t->proc, a[at], PATH_MAX, &err)) ||
        !procfs_readlink(t, s, to, sizeof(to)))
        return call_pass(t, row, a);
    if ((int)a[at + 2] <= 0)
        return -EINVAL;
    len = MIN(strlen(to), a[at + 2]);
    return user_write(t->proc, a[at + 1], to, len) < 0 ? -EFAULT : (int64_t)len;
}

/* ---- fcntl ---- */
/* Bytes of what the third argument points to, for commands where it is a pointer. */
static unsigned fcntl_size(int cmd)
{
    enum { GETOWNER_UIDS = 17 };
    switch (cmd) {
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW: return sizeof(struct flock);
    case F_GETOWN_EX:
    case F_SETOWN_EX:
    case GETOWNER_UIDS:
    case F_GET_RW_HINT:
    case F_SET_RW_HINT:
    case F_GET_FILE_RW_HINT:
    case F_SET_FILE_RW_HINT: return 8;
    default: return 0;
    }
}

int64_t sys_fcntl(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    const struct user_abi *abi = t->proc->abi;
    uint64_t v[6] = { a[0], a[1], a[2] };
    unsigned size = fcntl_size(a[1]);
    int64_t r;

    if (call_fd_is_ours(t->proc, a[0]))
        return -EBADF;
    if (call_is_32(t))
        return call_host(t, row, a);
    if (a[1] == F_SETFL)
        v[2] = call_open_flags_to_host(abi, a[2]);
    if (size && a[2]) {
        mm_prepare_write(t->proc, a[2], size);
        v[2] = call_ptr(t, a[2]);
    }
    if (a[1] == F_SETLKW || a[1] == F_OFD_SETLKW) /* the others do not wait */
        return call_host(t, row, v);
    r = call_raw(SYS_fcntl, v[0], v[1], v[2], 0, 0, 0);
    return a[1] == F_GETFL && r >= 0 ? call_open_flags_to_guest(abi, r) : r;
}
