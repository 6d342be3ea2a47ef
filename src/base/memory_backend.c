/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/memory_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"

static void backend_init(void *obj)
{
    struct memory_backend *b = obj;

    b->fd = -1;
    b->dump = b->reserve = true;
}

static void memfd_init(void *obj)
{
    struct memory_backend *b = obj;

    backend_init(obj);
    b->share = b->seal = true;
}

static bool check(struct memory_backend *b, struct error *err)
{
    if (!b->size) {
        fail(err, EINVAL, "property 'size' is missing");
        return fail_hint(err, "give size=BYTES, as -m");
    }
    if (b->size % 4096)
        return fail(err, EINVAL, "size %" PRIu64 " is not a multiple of the page size", b->size);
    if (b->policy && strcmp(b->policy, "default") != 0) {
        fail(err, ENOTSUP, "policy=%s: memory of chosen host nodes comes with a later release",
             b->policy);
        return fail_hint(err, "use numactl(8)");
    }
    return true;
}

static bool ram_complete(void *obj, struct object_set *set, struct error *err)
{
    return check(obj, err);
}

static bool grow(struct memory_backend *b, const char *what, struct error *err)
{
    struct stat st;

    if (fstat(b->fd, &st) < 0)
        return fail(err, errno, "%s: %s", what, strerror(errno));
    if (b->readonly || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size >= b->offset + b->size) /* a device has its size */
        return true;
    if (st.st_size > 0 && b->offset == 0 && b->share)
        return fail(err, EINVAL, "%s: the file has %lld bytes, less than size %" PRIu64, what,
                    (long long)st.st_size, b->size);
    return ftruncate(b->fd, (off_t)(b->offset + b->size)) == 0 ||
           fail(err, errno, "%s: %s", what, strerror(errno));
}

static bool file_complete(void *obj, struct object_set *set, struct error *err)
{
    struct memory_backend *b = obj;
    struct stat st;
    int mode = b->readonly ? O_RDONLY : O_RDWR;

    if (!check(b, err))
        return false;
    if (!b->mem_path) {
        fail(err, EINVAL, "mem-path property not set");
        return fail_hint(err, "give mem-path=FILE or a folder");
    }
    if (stat(b->mem_path, &st) == 0 && S_ISDIR(st.st_mode)) {
        AUTO_FREE char *path = xasprintf("%s/rhea_memory_XXXXXX", b->mem_path);

        b->fd = mkostemp(path, O_CLOEXEC);
        if (b->fd >= 0)
            unlink(path);
    } else {
        b->fd = open(b->mem_path, mode | O_CLOEXEC | (b->readonly ? 0 : O_CREAT), 0644);
    }
    if (b->fd < 0)
        return fail(err, errno, "can't open backing store '%s': %s", b->mem_path, strerror(errno));
    return grow(b, b->mem_path, err);
}

static bool memfd_complete(void *obj, struct object_set *set, struct error *err)
{
    struct memory_backend *b = obj;
    unsigned flags = MFD_CLOEXEC | (b->hugetlb ? MFD_HUGETLB : 0) |
                     (b->seal && !b->hugetlb ? MFD_ALLOW_SEALING : 0);

    if (!check(b, err))
        return false;
    if (b->hugetlbsize && !is_pow2(b->hugetlbsize))
        return fail(err, EINVAL, "hugetlbsize is no power of two");
    if (b->hugetlb && b->hugetlbsize)
        flags |= (unsigned)__builtin_ctzll(b->hugetlbsize) << 26; /* MFD_HUGE_SHIFT */
    b->fd = memfd_create("memory-backend-memfd", flags);
    if (b->fd < 0)
        return fail(err, errno, "memfd: %s", strerror(errno));
    if (ftruncate(b->fd, (off_t)b->size) < 0)
        return fail(err, errno, "memfd: %s", strerror(errno));
    if (b->seal && !b->hugetlb)
        (void)fcntl(b->fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    return true;
}

static void backend_finish(void *obj)
{
    struct memory_backend *b = obj;

    if (b->fd >= 0)
        close(b->fd);
}

#define COMMON                                                                                     \
    FIELD(struct memory_backend, size, .is_size = true, .doc = "bytes of memory"),                 \
        FIELD(struct memory_backend, share, .doc = "others who have the file see the writes"),     \
        FIELD(struct memory_backend, prealloc, .doc = "take the memory from the host at once"),    \
        FIELD(struct memory_backend, prealloc_threads, .wire = "prealloc-threads",                 \
              .doc = "accepted; the host's kernel does it in one call"),                           \
        FIELD(struct memory_backend, merge, .doc = "let the host merge equal pages"),              \
        FIELD(struct memory_backend, dump, .doc = "put it into core dumps"),                       \
        FIELD(struct memory_backend, reserve, .doc = "reserve swap space for it"),                 \
        FIELD(struct memory_backend, policy, .doc = "of host nodes: default")

const struct object_type memory_backend_ram_object = {
    .name = "memory-backend-ram",
    .doc = "Guest memory from the host's",
    .size = sizeof(struct memory_backend),
    .props = FIELDS(COMMON),
    .init = backend_init,
    .complete = ram_complete,
    .finish = backend_finish,
};

const struct object_type memory_backend_file_object = {
    .name = "memory-backend-file",
    .doc = "Guest memory in a file",
    .size = sizeof(struct memory_backend),
    .props = FIELDS(
        COMMON,
        FIELD(struct memory_backend, mem_path, .wire = "mem-path", .doc = "the file, or a folder"),
        FIELD(struct memory_backend, offset, .is_size = true, .doc = "of the memory in the file"),
        FIELD(struct memory_backend, align, .is_size = true, .doc = "accepted; pages are aligned"),
        FIELD(struct memory_backend, readonly, .doc = "the file is not written (share=off)"),
        FIELD(struct memory_backend, discard_data, .wire = "discard-data",
              .doc = "accepted; contents are kept")),
    .init = backend_init,
    .complete = file_complete,
    .finish = backend_finish,
};

const struct object_type memory_backend_memfd_object = {
    .name = "memory-backend-memfd",
    .doc = "Guest memory that can be passed to other processes",
    .size = sizeof(struct memory_backend),
    .props = FIELDS(
        COMMON, FIELD(struct memory_backend, hugetlb, .doc = "of huge pages"),
        FIELD(struct memory_backend, hugetlbsize, .is_size = true, .doc = "bytes of a huge page"),
        FIELD(struct memory_backend, seal, .doc = "its size is fixed")),
    .init = memfd_init,
    .complete = memfd_complete,
    .finish = backend_finish,
};

struct memory_backend *memory_backend_find(struct object_set *s, const char *id, struct error *err)
{
    static const struct object_type *const types[] = { &memory_backend_ram_object,
                                                       &memory_backend_file_object,
                                                       &memory_backend_memfd_object };
    const struct object_type *found;

    return object_find_any(s, id, types, ARRAY_SIZE(types), &found, err);
}
