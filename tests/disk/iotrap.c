/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A library to preload under the disk programs. It sees what they ask of one file:
 *   IOTRAP_FILE    the file's path; needed (also what is created under that name)
 *   IOTRAP_LOG     writes, sizes, flushes go here, with their data, for tests/disk/crashreplay
 *   IOTRAP_KIND    read, write, flush, size, alloc (any file's memory), change, any: which calls
 * fail IOTRAP_NTH     the N-th such call fails with IOTRAP_ERRNO (5); 0: none, only counted
 *   IOTRAP_FOREVER all later ones fail too
 *   IOTRAP_COUNT   how many calls came is written here at exit
 * io_uring is refused, so that all I/O comes as calls.
 */
#undef _FILE_OFFSET_BITS /* both names of each call are ours */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "crashlog.h"

#define REAL(ret, name, ...)                                                                       \
    static ret (*real)(__VA_ARGS__);                                                               \
    if (!real)                                                                                     \
    real = (ret(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

enum { READ = 1, WRITE = 2, FLUSH = 4, SIZE = 8, ALLOC = 16 };

static struct {
    pthread_mutex_t lock;
    bool ready, forever;
    unsigned kinds;
    uint64_t nth, count, next_id;
    int error, log;
    char path[512];
    char count_path[512];
} trap = { .lock = PTHREAD_MUTEX_INITIALIZER, .log = -1 };

static ssize_t raw_write(int fd, const void *buf, size_t len)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    return real(fd, buf, len);
}

static unsigned kinds_of(const char *s)
{
    static const struct {
        const char *name;
        unsigned kinds;
    } names[] = { { "read", READ },
                  { "write", WRITE },
                  { "flush", FLUSH },
                  { "size", SIZE },
                  { "alloc", ALLOC },
                  { "change", WRITE | FLUSH | SIZE },
                  { "any", READ | WRITE | FLUSH | SIZE } };

    for (size_t i = 0; s && i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(s, names[i].name))
            return names[i].kinds;
    return 0;
}

static void at_end(void)
{
    char text[32];
    int fd, n;

    if (!trap.count_path[0])
        return;
    fd = open(trap.count_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)trap.count);
    if (fd >= 0) {
        (void)!raw_write(fd, text, (size_t)n);
        close(fd);
    }
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("IOTRAP_FILE"), *log = getenv("IOTRAP_LOG"), *s;

    if (!path || strlen(path) >= sizeof(trap.path))
        return;
    snprintf(trap.path, sizeof(trap.path), "%s", path);
    if ((s = getenv("IOTRAP_COUNT")))
        snprintf(trap.count_path, sizeof(trap.count_path), "%s", s);
    trap.kinds = kinds_of(getenv("IOTRAP_KIND"));
    trap.nth = (s = getenv("IOTRAP_NTH")) ? strtoull(s, NULL, 10) : 0;
    trap.error = (s = getenv("IOTRAP_ERRNO")) ? atoi(s) : EIO;
    trap.forever = getenv("IOTRAP_FOREVER") != NULL;
    if (log)
        trap.log = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    atexit(at_end);
    trap.ready = true;
}

/* Whether fd is the file. Descriptors come and go: /proc tells. */
static bool ours(int fd)
{
    char link[64], target[512];
    ssize_t n;

    if (!trap.ready)
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, target, sizeof(target) - 1);
    if (n < 0)
        return false;
    target[n] = 0;
    return !strcmp(target, trap.path);
}

/* Counts a call; true: it fails, errno is set. */
static bool fails(unsigned kind)
{
    bool f;

    if (!(trap.kinds & kind))
        return false;
    f = __atomic_add_fetch(&trap.count, 1, __ATOMIC_SEQ_CST) == trap.nth ||
        (trap.forever && trap.nth && trap.count > trap.nth);
    if (f)
        errno = kind == ALLOC ? ENOMEM : trap.error;
    return f;
}

static uint64_t note(enum crash_kind kind, uint64_t id, uint64_t offset, const struct iovec *iov,
                     int count, uint64_t len)
{
    struct crash_event e = { .kind = kind, .id = id, .offset = offset, .len = len };
    int saved = errno;

    if (trap.log < 0)
        return 0;
    pthread_mutex_lock(&trap.lock);
    if (!e.id)
        e.id = ++trap.next_id;
    (void)!raw_write(trap.log, &e, sizeof(e));
    for (int i = 0; iov && i < count && len; i++) {
        size_t n = iov[i].iov_len < len ? iov[i].iov_len : (size_t)len;

        (void)!raw_write(trap.log, iov[i].iov_base, n);
        len -= n;
    }
    pthread_mutex_unlock(&trap.lock);
    errno = saved;
    return e.id;
}

/* For programs that know of us (a weak symbol there): a line in the log. */
void iotrap_mark(uint64_t kind, uint64_t thread, uint64_t op)
{
    note((enum crash_kind)kind, 0, thread, NULL, 0, op);
}

static uint64_t total(const struct iovec *iov, int n)
{
    uint64_t len = 0;

    for (int i = 0; i < n; i++)
        len += iov[i].iov_len;
    return len;
}

static ssize_t trapped_write(ssize_t (*real)(int, const struct iovec *, int, off_t), int fd,
                             const struct iovec *iov, int n, off_t at)
{
    uint64_t id;
    ssize_t r;

    if (!ours(fd))
        return real(fd, iov, n, at);
    if (fails(WRITE))
        return -1;
    id = note(CRASH_WRITE, 0, (uint64_t)at, iov, n, total(iov, n));
    r = real(fd, iov, n, at);
    note(CRASH_DONE, id, 0, NULL, 0, r < 0 ? 0 : (uint64_t)r);
    return r;
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
    REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
    return trapped_write(real, fd, iov, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t at)
{
    return pwritev(fd, iov, n, at);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
    struct iovec iov = { (void *)buf, len };

    return pwritev(fd, &iov, 1, at);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t at)
{
    return pwrite(fd, buf, len, at);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
    return pwritev(fd, iov, n, at);
}

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t at)
{
    REAL(ssize_t, "preadv", int, const struct iovec *, int, off_t);
    return ours(fd) && fails(READ) ? -1 : real(fd, iov, n, at);
}

ssize_t preadv64(int fd, const struct iovec *iov, int n, off_t at)
{
    return preadv(fd, iov, n, at);
}

ssize_t pread(int fd, void *buf, size_t len, off_t at)
{
    REAL(ssize_t, "pread", int, void *, size_t, off_t);
    return ours(fd) && fails(READ) ? -1 : real(fd, buf, len, at);
}

ssize_t pread64(int fd, void *buf, size_t len, off_t at)
{
    return pread(fd, buf, len, at);
}

static int trapped_flush(int (*real)(int), int fd)
{
    uint64_t id;
    int r;

    if (!ours(fd))
        return real(fd);
    if (fails(FLUSH))
        return -1;
    id = note(CRASH_FLUSH, 0, 0, NULL, 0, 0);
    r = real(fd);
    if (r == 0)
        note(CRASH_DONE, id, 0, NULL, 0, 0);
    return r;
}

int fsync(int fd)
{
    REAL(int, "fsync", int);
    return trapped_flush(real, fd);
}

int fdatasync(int fd)
{
    REAL(int, "fdatasync", int);
    return trapped_flush(real, fd);
}

int ftruncate(int fd, off_t size)
{
    REAL(int, "ftruncate", int, off_t);
    uint64_t id;
    int r;

    if (!ours(fd))
        return real(fd, size);
    if (fails(SIZE))
        return -1;
    id = note(CRASH_SIZE, 0, (uint64_t)size, NULL, 0, 0);
    r = real(fd, size);
    note(CRASH_DONE, id, 0, NULL, 0, 0);
    return r;
}

int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
    REAL(int, "fallocate", int, int, off_t, off_t);
    bool zero = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
    uint64_t id;
    int r;

    if (!ours(fd))
        return real(fd, mode, at, len);
    if (fails(SIZE))
        return -1;
    id = note(zero ? CRASH_ZERO : CRASH_GROW, 0, (uint64_t)at, NULL, 0, (uint64_t)len);
    r = real(fd, mode, at, len);
    note(CRASH_DONE, id, 0, NULL, 0, r < 0 ? UINT64_MAX : 0);
    return r;
}

int fallocate64(int fd, int mode, off_t at, off_t len)
{
    return fallocate(fd, mode, at, len);
}

/* liburing's way in. */
int io_uring_queue_init(unsigned entries, void *ring, unsigned flags)
{
    return -ENOSYS;
}

int io_uring_queue_init_params(unsigned entries, void *ring, void *params)
{
    return -ENOSYS;
}

int io_uring_queue_init_mem(unsigned entries, void *ring, void *params, void *buf, size_t size)
{
    return -ENOSYS;
}

/* Memory: what the programs ask for through these, not what the C library needs for itself. */
void *aligned_alloc(size_t align, size_t size)
{
    REAL(void *, "aligned_alloc", size_t, size_t);
    return fails(ALLOC) ? NULL : real(align, size);
}

void *__libc_calloc(size_t n, size_t size);

void *calloc(size_t n, size_t size)
{
    return trap.ready && fails(ALLOC) ? NULL : __libc_calloc(n, size);
}
