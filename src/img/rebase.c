/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rebase: another backing file. The safe way first copies into the image what the old chain shows
 * and the new one does not; the header is changed last, so that an interrupted rebase leaves the
 * image as it was to its readers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "disk/node.h"
#include "img/img.h"

enum { PIECE = 1024 * 1024 };

struct rebase_args {
    struct img_args base;
    struct img_source source;
    const char *backing, *backing_format, *backing_cache;
    bool unsafe, compress;
};

struct rebase {
    struct img *img;
    struct disk *disk, *old, *new; /* new: NULL when there will be no backing file */
    uint64_t old_size, new_size, grain;
    unsigned write_flags;
    uint8_t *a, *b; /* PIECE bytes each */
};

/* What a backing file shows: zeroes behind its end, and where there is none. */
static int read_backing(struct disk *d, uint64_t size, uint64_t at, uint8_t *buf, uint64_t len)
{
    uint64_t there = at < size ? MIN(len, size - at) : 0;
    memset(buf + there, 0, len - there);
    return there ? disk_read(d, at, buf, there) : 0;
}

/* Whether d (or what lies behind its end) is known to be zero over [at, at + *len), which it cuts
 * to where the answer holds. */
static int known_zero(struct disk *d, uint64_t size, uint64_t at, uint64_t *len, bool *ret)
{
    struct disk_extent e;
    *ret = true;
    if (at >= size)
        return 0;
    int r = disk_map_above(d, NULL, at, MIN(*len, size - at), &e);
    if (r < 0)
        return r;
    *len = MIN(*len, e.len);
    *ret = (e.flags & DISK_MAP_ZERO) != 0;
    return 0;
}

/* Copies into the image, over [at, at + len), the grains whose old and new content differ. */
static int keep_differences(struct rebase *b, uint64_t at, uint64_t len)
{
    for (uint64_t done = 0; done < len;) {
        uint64_t n = MIN(b->grain, len - done), run = 0;
        while (done + run < len && memcmp(b->a + done + run, b->b + done + run, n)) {
            run += n;
            n = MIN(b->grain, len - done - run);
            if (!n)
                break;
        }
        if (!run) {
            done += n;
            continue;
        }
        bool zero = buf_is_zero(b->a + done, run);
        int r = zero ? disk_zero(b->disk, at + done, run, 0)
                     : disk_write(b->disk, at + done, b->a + done, run, b->write_flags);
        if (r < 0) {
            img_error(b->img, "Error while writing to COW image: %s", strerror(-r));
            return r;
        }
        done += run;
    }
    return 0;
}

static int copy_piece(struct rebase *b, uint64_t at, uint64_t len)
{
    int r = read_backing(b->old, b->old_size, at, b->a, len);
    if (r < 0) {
        img_error(b->img, "error while reading from old backing file");
        return r;
    }
    r = read_backing(b->new, b->new_size, at, b->b, len);
    if (r < 0) {
        img_error(b->img, "error while reading from new backing file");
        return r;
    }
    return keep_differences(b, at, len);
}

/* How far from at nothing needs to be done, or 0: something may. */
static int skippable(struct rebase *b, uint64_t at, uint64_t left, uint64_t *ret)
{
    struct disk_extent e;
    bool old_zero, new_zero = false;

    int r = disk_map(b->disk, at, left, &e);
    if (r < 0)
        return r;
    *ret = e.len;
    if (e.flags & DISK_MAP_ALLOCATED)
        return 0;
    uint64_t len = e.len;
    r = known_zero(b->old, b->old_size, at, &len, &old_zero);
    if (r >= 0)
        r = known_zero(b->new, b->new_size, at, &len, &new_zero);
    *ret = r >= 0 && old_zero && new_zero ? len : 0;
    return r;
}

static int copy_differences(struct rebase *b)
{
    uint64_t size = disk_size(b->disk);

    for (uint64_t at = 0; at < size && !img_cancelled(b->img);) {
        uint64_t len = 0;
        struct disk_extent e;
        int r = skippable(b, at, size - at, &len);
        if (r >= 0 && !len) {
            r = disk_map(b->disk, at, size - at, &e);
            len = r >= 0 ? MIN(e.len, PIECE - at % PIECE) : 0;
            r = r >= 0 ? copy_piece(b, at, len) : r;
        }
        if (r < 0) {
            if (!len)
                img_error(b->img, "error while reading image metadata: %s", strerror(-r));
            return r;
        }
        at += len;
        img_progress(b->img, at, size);
    }
    return img_cancelled(b->img) ? -ECANCELED : 0;
}

static bool safe_copy(struct rebase *b)
{
    b->a = aligned_alloc(4096, PIECE);
    b->b = aligned_alloc(4096, PIECE);
    if (!b->a || !b->b) {
        img_error(b->img, "out of memory");
        return false;
    }
    b->old_size = b->old ? disk_size(b->old) : 0;
    b->new_size = b->new ? disk_size(b->new) : 0;
    b->grain = MIN(MAX((uint64_t)disk_cluster_size(b->disk), (uint64_t)4096), (uint64_t)PIECE);
    img_progress_start(b->img);
    img_work_begin(b->img);
    int r = copy_differences(b);
    if (r >= 0 && (r = disk_flush(b->disk)) < 0)
        img_error(b->img, "could not flush '%s': %s", disk_filename(b->disk), strerror(-r));
    img_work_end(b->img);
    img_progress_end(b->img, r >= 0);
    return r >= 0;
}

static bool check_args(struct img *img, const struct rebase_args *a, unsigned *flags,
                       unsigned *backing_flags)
{
    if (a->base.count != 1)
        return !img_usage_error(img, "Expecting one image file name");
    if (!a->unsafe && !a->backing)
        return !img_usage_error(img, "Must specify backing file (-b) or use unsafe mode (-u)");
    if (!img_cache_flags(a->source.cache, flags))
        img_error(img, "Invalid cache option: %s", a->source.cache);
    else if (!img_cache_flags(a->backing_cache, backing_flags))
        img_error(img, "Invalid source cache option: %s", a->backing_cache);
    else
        return true;
    return false;
}

static bool change_header(struct img *img, struct disk *d, const char *backing, const char *format)
{
    struct error err = { 0 };

    if (backing && backing[0] && !format)
        fail(&err, EINVAL, "backing format must be specified");
    else if (disk_change_backing_file(d, backing && backing[0] ? backing : NULL,
                                      backing && backing[0] ? format : NULL, &err))
        return true;
    if (err.code == ENOSPC)
        img_error(img,
                  "Could not change the backing file to '%s': No space left in the file header",
                  backing ? backing : "");
    else
        img_error(img, "Could not change the backing file to '%s': %s", backing ? backing : "",
                  err.msg);
    return false;
}

static bool rebase(struct img *img, struct disk *d, const struct rebase_args *a,
                   unsigned backing_flags)
{
    struct rebase b = { .img = img, .disk = d, .old = disk_backing(d) };
    struct error err = { 0 };
    bool ok = true;

    if (a->compress && !d->driver->write_compressed) {
        img_error(img, "Compression not supported for this file format");
        return false;
    }
    b.write_flags = a->compress ? DISK_COMPRESSED : 0;
    if (!a->unsafe && d->driver->change_backing && (a->backing_format || !a->backing[0])) {
        if (a->backing[0]) {
            AUTO_FREE char *path = img_backing_path(a->source.name, a->backing);
            struct img_source s = { .name = path,
                                    .format = a->backing_format,
                                    .force_share = a->source.force_share };
            b.new = img_open(img, &s, backing_flags, &err);
            if (!b.new) {
                img_error(img, "Could not open new backing file '%s': %s", a->backing, err.msg);
                return false;
            }
        }
        ok = safe_copy(&b);
    } else if (!a->unsafe && a->backing[0]) {
        AUTO_FREE char *path = img_backing_path(a->source.name, a->backing);
        struct img_source s = { .name = path };
        struct disk *there = img_open(img, &s, backing_flags, &err);
        if (!there)
            img_error(img, "Could not open new backing file '%s': %s", a->backing, err.msg);
        ok = there != NULL;
        disk_unref(there);
    }
    ok = ok && change_header(img, d, a->backing, a->backing_format);
    disk_unref(b.new);
    free(b.a);
    free(b.b);
    return ok;
}

static int run(struct img *img, void *opaque)
{
    struct rebase_args *a = opaque;
    unsigned flags = DISK_RDWR, backing_flags = 0;

    if (!check_args(img, a, &flags, &backing_flags))
        return EXIT_FAILURE;
    if (a->backing_format && !disk_driver_find(a->backing_format)) {
        img_error(img, "Invalid format name: '%s'", a->backing_format);
        return EXIT_FAILURE;
    }
    a->source.name = a->base.operands[0];
    struct img_source s = a->source;
    s.force_share = false; /* -U is for the backing files */
    struct disk *d = img_open_or_say(img, &s, flags | (a->unsafe ? DISK_NO_BACKING : 0));
    if (!d)
        return EXIT_FAILURE;
    bool ok = rebase(img, d, a, backing_flags);
    ok &= img_close(img, d);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct img_command img_rebase_command = {
    .name = "rebase",
    .doc = "Gives an image another backing file",
    .operands = "FILENAME",
    .size = sizeof(struct rebase_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL,
              "FILENAME is a string of options, driver=...,file.filename=...",
              IMG_TO(struct rebase_args, source.image_opts) },
            { 'U', "force-share", NULL, "read backing files even while another process writes",
              IMG_TO(struct rebase_args, source.force_share) },
            { 'q', "quiet", NULL, "print nothing but errors",
              IMG_TO(struct rebase_args, base.quiet) },
            { 'f', "format", "FMT", "format of the image; probed when not given",
              IMG_TO(struct rebase_args, source.format) },
            { 't', "cache", "CACHE", "cache mode of the image",
              IMG_TO(struct rebase_args, source.cache) },
            { 'T', "source-cache", "SRC_CACHE", "cache mode of backing files",
              IMG_TO(struct rebase_args, backing_cache) },
            { 'p', "progress", NULL, "show progress", IMG_TO(struct rebase_args, base.progress) },
            { 'c', "compress", NULL, "compress what is copied into the image",
              IMG_TO(struct rebase_args, compress) },
            { 'u', "backing-unsafe", NULL, "change the name alone; the content is not looked at",
              IMG_TO(struct rebase_args, unsafe) },
            { 'b', "backing", "BACKING_FILE", "the new backing file; \"\": none",
              IMG_TO(struct rebase_args, backing) },
            { 'F', "backing-format", "BACKING_FMT", "its format",
              IMG_TO(struct rebase_args, backing_format) },
            { 0 },
        },
};
