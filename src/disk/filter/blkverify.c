/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkverify: does everything on an image and on a raw file, and fails a read whose two answers
 * differ, naming the place on stderr: it is a tool for testing formats. "blkverify:RAW:IMAGE".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/optlist.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/filter/filter.h"

struct blkverify {
    struct disk *test; /* d->file is the raw file */
};

static const char *const schemes[] = { "blkverify", NULL };

static bool parse_name(const char *name, struct optlist *opts, struct error *err)
{
    const char *rest = str_after(name, "blkverify:");
    const char *colon = rest ? strchr(rest, ':') : NULL;
    AUTO_FREE char *raw = NULL;

    if (!colon || colon == rest) {
        fail(err, EINVAL, "blkverify requires raw copy and original image path");
        return fail_hint(err, "write blkverify:RAW:IMAGE");
    }
    raw = xstrndup(rest, (size_t)(colon - rest));
    optlist_add(opts, "raw.driver", "raw");
    optlist_add(opts, "raw.file.filename", raw);
    optlist_add(opts, "test.filename", colon + 1);
    return true;
}

static bool blkverify_open(struct disk *d, struct error *err)
{
    struct blkverify *b = d->priv;

    b->test = disk_open_child(d, "test", NULL, ROLE_IMAGE, err);
    if (!b->test)
        return false;
    if (disk_size(d->file) < disk_size(b->test)) {
        fail(err, EINVAL, "blkverify: the raw file is shorter than the image");
        return fail_hint(err, "give both the same size");
    }
    filter_inherit(d);
    atomic_store(&d->size, disk_size(b->test));
    d->align = MAX(d->align, b->test->align);
    d->memory_align = MAX(d->memory_align, b->test->memory_align);
    return true;
}

/* Both did it: their results must agree. */
static int agree(const char *what, uint64_t offset, uint64_t len, int raw, int test)
{
    if (raw == test)
        return raw;
    fprintf(stderr,
            "blkverify: %s offset=%" PRIu64 " bytes=%" PRIu64 " return value mismatch %d != %d\n",
            what, offset, len, raw, test);
    return raw ? raw : test;
}

static int blkverify_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    const struct blkverify *b = d->priv;
    AUTO_FREE char *raw = xcalloc(1, v.len), *test = xcalloc(1, v.len);
    int r = disk_read(d->file, offset, raw, v.len);

    r = agree("read", offset, v.len, r, disk_read(b->test, offset, test, v.len));
    if (r)
        return r;
    for (size_t i = 0; i < v.len; i++) {
        if (raw[i] == test[i])
            continue;
        fprintf(stderr,
                "blkverify: read offset=%" PRIu64 " bytes=%zu contents mismatch at offset %" PRIu64
                "\n",
                offset, v.len, offset + i);
        return -EIO;
    }
    vec_from_buf(&v, test);
    return 0;
}

static int blkverify_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    const struct blkverify *b = d->priv;
    int r = disk_writev(d->file, offset, v, flags);

    return agree("write", offset, v.len, r, disk_writev(b->test, offset, v, flags));
}

static int blkverify_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    const struct blkverify *b = d->priv;
    int r = disk_zero(d->file, offset, len, flags & ~DISK_NO_FALLBACK);

    return agree("zero", offset, len, r,
                 disk_zero(b->test, offset, len, flags & ~DISK_NO_FALLBACK));
}

/* What discarded bytes read as is up to each of the two, so none reaches them. */
static int blkverify_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    (void)d, (void)offset, (void)len;
    return 0;
}

static int blkverify_flush(struct disk *d)
{
    const struct blkverify *b = d->priv;
    int r = disk_flush(d->file);

    return agree("flush", 0, 0, r, disk_flush(b->test));
}

static int blkverify_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    const struct blkverify *b = d->priv;

    return disk_map_above(b->test, NULL, offset, len, ret);
}

const struct disk_driver blkverify_driver = {
    .name = "blkverify",
    .doc = "Compares an image with a raw file at each read, for tests.",
    .is_filter = true,
    .own_size = true,
    .file_name = "raw",
    .schemes = schemes,
    .size = sizeof(struct blkverify),
    .parse_name = parse_name,
    .open = blkverify_open,
    .read = blkverify_read,
    .write = blkverify_write,
    .zero = blkverify_zero,
    .discard = blkverify_discard,
    .flush = blkverify_flush,
    .map = blkverify_map,
};
