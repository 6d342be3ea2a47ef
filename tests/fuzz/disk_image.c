/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An image in a folder of its own under /dev/shm, opened without its backing file. */
#include "disk_image.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/endian.h"
#include "base/log.h"
#include "disk/node.h"

enum { FILE_MAX = 16 << 20, EXTENTS = 200 };

/* The folder is made once and removed when the process ends well. */
static char folder[64], image_path[80];

static void remove_folder(void)
{
    (void)unlink(image_path);
    (void)rmdir(folder);
}

static void make_folder(void)
{
    struct error err;

    if (folder[0])
        return;
    if (!log_set_file("/dev/null", &err)) /* images say much about themselves */
        abort();
    snprintf(folder, sizeof(folder), "/dev/shm/rhea-fuzz.%d", (int)getpid());
    snprintf(image_path, sizeof(image_path), "%s/image", folder);
    if (mkdir(folder, 0700) != 0)
        abort();
    atexit(remove_folder);
}

/* Lays the pieces out; returns what is to be done. */
static unsigned lay_out(const uint8_t *data, size_t size, disk_image_fix *fix)
{
    unsigned what = size >= 2 ? ld_le16(data) : 0;
    size_t length = size >= 4 ? (size_t)ld_le16(data + 2) << 16 : 0, used = MIN(length, FILE_MAX);
    int fd = open(image_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, FILE_MAX) != 0)
        abort();
    uint8_t *image = mmap(NULL, FILE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (image == MAP_FAILED)
        abort();
    for (size_t at = 4; size > 6 && at < size - 6;) {
        uint64_t offset = (uint64_t)ld_le32(data + at) * 16;
        size_t n = ld_le16(data + at + 4);

        at += 6;
        n = MIN(n, size - at);
        if (offset <= FILE_MAX - n) {
            memcpy(image + offset, data + at, n);
            used = MAX(used, offset + n);
        }
        at += n;
    }
    if (fix && !(what & IMAGE_KEEP_SUMS))
        fix(image, used);
    munmap(image, FILE_MAX);
    if (ftruncate(fd, used) != 0)
        abort();
    close(fd);
    return what;
}

static struct disk *open_image(struct disk_graph *g, const char *format, unsigned flags)
{
    struct error err = { 0 };
    struct optlist o = { 0 };
    struct disk *d;

    if (format)
        optlist_add(&o, "driver", format);
    d = disk_open(g, image_path, &o, flags | DISK_NO_BACKING, &err);
    optlist_finish(&o);
    assert(d || err.msg[0]);
    return d;
}

static void look(struct disk *d)
{
    uint8_t buf[5000];
    uint64_t size = disk_size(d);
    struct disk_extent x;
    json_t *info = disk_format_info(d);

    json_decref(info);
    (void)disk_allocated_bytes(d);
    for (uint64_t at = 0, n = 0; at < size && n < EXTENTS; at += x.len, n++) {
        if (disk_map_above(d, NULL, at, size - at, &x) != 0)
            break;
        assert(x.len > 0 && x.len <= size - at);
        (void)!disk_read(d, at, buf, MIN(x.len, sizeof(buf)));
    }
    for (unsigned i = 0; i < 8 && size > sizeof(buf); i++)
        (void)!disk_read(d, size / 8 * i, buf, MIN(sizeof(buf), size - size / 8 * i));
    if (size)
        (void)!disk_read(d, size - 1, buf, 1);
    for (unsigned i = 0; i < 4; i++) { /* fast paths see no more than the slow ones */
        struct disk_span span = { 0 };
        size_t len = MIN(size, 65536u);
        uint64_t at = size / 4 * i;
        enum disk_op op = DISK_OP_READ;

        len = MIN(len, size - at);
        if (len && d->driver->locate && d->driver->locate(d, op, at, len, &span)) {
            assert(span.zero || span.node);
            assert(span.len > 0 && span.len <= len);
            if (d->driver->release)
                d->driver->release(d, op, at, span.len);
        }
    }
}

static void change(struct disk *d, bool resize)
{
    uint64_t size = disk_size(d), step = size / 4;
    struct error err = { 0 };
    uint8_t buf[70000];

    memset(buf, 0x5a, sizeof(buf));
    for (unsigned i = 0; i < 4; i++) {
        uint64_t at = step * i, len = MIN(sizeof(buf), size - at);

        if (!len)
            continue;
        (void)!disk_write(d, at, buf, len, 0);
        (void)!disk_zero(d, at + len / 2, len - len / 2, i & 1 ? DISK_MAY_UNMAP : 0);
        (void)!disk_discard(d, at + len / 4, len / 4);
        (void)!disk_read(d, at, buf, len);
        (void)!disk_write(d, at, buf, MIN(len, 65536u), DISK_COMPRESSED);
    }
    (void)!disk_flush(d);
    if (resize && size < UINT64_C(1) << 40) {
        (void)!disk_resize(d, size + (1 << 20), DISK_PREALLOC_OFF, true, &err);
        (void)!disk_resize(d, size / 2, DISK_PREALLOC_OFF, true, &err);
    }
}

static void snapshots(struct disk *d)
{
    const struct disk_snapshot_ops *ops = d->driver->snapshots;
    struct disk_snapshot *list = NULL, s = { .icount = -1 };
    struct error err = { 0 };
    unsigned count = 0;

    if (!ops)
        return;
    if (ops->list(d, &list, &count) == 0) {
        for (unsigned i = 0; i < count; i++) {
            if (i < 3 && i % 2)
                (void)!ops->apply(d, list[i].id, &err);
            else if (i < 3)
                (void)!ops->remove(d, list[i].id, &err);
            free(list[i].id);
            free(list[i].name);
        }
        free(list);
    }
    s.name = strdup("new");
    if (ops->create(d, &s, &err))
        (void)!ops->apply(d, "new", &err);
    free(s.name);
    free(s.id);
}

static void check(struct disk *d, unsigned fix)
{
    struct disk_check c = { 0 };

    if (d->driver->check)
        (void)!d->driver->check(d, &c, fix);
}

void disk_image_run(const char *format, const uint8_t *data, size_t size, disk_image_fix *fix)
{
    struct disk_graph *g = disk_graph_new(NULL);
    struct disk *d;
    unsigned what;

    make_folder();
    what = lay_out(data, size, fix);
    d = open_image(g, format, 0);
    if (d)
        look(d);
    disk_unref(d);
    d = open_image(g, format, DISK_CHECK);
    if (d)
        check(d, 0);
    disk_unref(d);
    d = what & IMAGE_READ_ONLY ? NULL : open_image(g, format, DISK_RDWR | DISK_UNMAP);
    if (d) {
        change(d, !(what & IMAGE_NO_RESIZE));
        snapshots(d);
    }
    disk_unref(d);
    d = what & (IMAGE_READ_ONLY | IMAGE_NO_REPAIR) ? NULL
                                                   : open_image(g, format, DISK_RDWR | DISK_CHECK);
    if (d)
        check(d, DISK_FIX_LEAKS | DISK_FIX_ERRORS);
    disk_unref(d);
    d = open_image(g, format, 0);
    if (d)
        look(d);
    disk_unref(d);
    disk_graph_free(g);
}
