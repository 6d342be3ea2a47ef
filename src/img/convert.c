/* SPDX-License-Identifier: GPL-2.0-or-later */
/* convert: opens the sources, makes or opens the target, and lets convert_copy.c copy. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/image.h"
#include "disk/bitmap.h"
#include "img/img.h"

enum { MAX_SOURCES = 64, MAX_SPARSE = 16 * 1024 * 1024 };

struct convert_args {
    struct img_args base;
    struct img_source source;
    struct img_list options;
    const char *target_format, *target_cache, *backing, *backing_format, *snapshot, *sparse, *rate,
        *workers;
    bool no_create, target_is_zero, bitmaps, skip_broken_bitmaps, compress, out_of_order,
        copy_range, salvage, target_image_opts;
};

struct convert {
    struct img *img;
    struct convert_args *a;
    struct img_copy copy;
    struct disk *source[MAX_SOURCES];
    struct optlist options;
    const char *target_name;
    unsigned source_flags, target_flags;
};

static bool say(struct convert *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool say(struct convert *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *text = NULL;
    if (vasprintf(&text, fmt, ap) >= 0)
        img_error(c->img, "%s", text);
    va_end(ap);
    return false;
}

static bool bad_number(struct convert *c, const char *what)
{
    say(c, "Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what);
    return say(c, "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
}

static bool take_numbers(struct convert *c)
{
    const struct convert_args *a = c->a;
    struct error err = { 0 };
    uint64_t n;

    c->copy.min_sparse = 4096;
    if (a->sparse) {
        if (!img_size(a->sparse, &n))
            return bad_number(c, "buffer size for sparse output");
        if (n % 512 || n > MAX_SPARSE)
            return say(c,
                       "Invalid buffer size for sparse output specified. Valid sizes are "
                       "multiples of 512 up to %d. Select 0 to disable sparse detection (fully "
                       "allocates output).",
                       MAX_SPARSE);
        c->copy.min_sparse = n;
        c->copy.copy_all = !n;
    }
    if (a->rate && (!img_size(a->rate, &c->copy.rate)))
        return bad_number(c, "rate limit");
    if (a->workers) {
        if (!parse_u64(a->workers, &n, &err) || n < 1 || n > 16)
            return say(c, "Invalid number of coroutines. Allowed number of coroutines is between "
                          "1 and 16");
        c->copy.workers = n;
    }
    return true;
}

static bool check_args(struct convert *c)
{
    const struct convert_args *a = c->a;

    if (a->copy_range && a->compress)
        return say(c, "Cannot enable copy offloading when -c is used");
    if (a->copy_range && a->sparse)
        return say(c, "Cannot enable copy offloading when -S is used");
    if (a->target_image_opts && !a->no_create)
        return say(c, "--target-image-opts requires use of -n flag");
    if (a->target_image_opts && a->target_format)
        return say(c, "--target-image-opts and -O are mutually exclusive");
    if (a->target_is_zero && !a->no_create)
        return say(c, "--target-is-zero requires use of -n flag");
    if (a->skip_broken_bitmaps && !a->bitmaps)
        return say(c, "Use of --skip-broken-bitmaps requires --bitmaps");
    if (a->source.image_opts && a->source.format)
        return say(c, "--image-opts and --format are mutually exclusive");
    if (a->no_create && a->options.count)
        return say(c, "-o has no effect when skipping image creation");
    if (a->no_create && a->backing)
        return say(c, "-B cannot be used when skipping image creation");
    if (!img_cache_flags(a->source.cache, &c->source_flags))
        return say(c, "Invalid source cache option: %s", a->source.cache);
    if (!a->source.force_share)
        c->source_flags |= DISK_EXCLUSIVE | DISK_KEEP_SIZE; /* nor may it be the target */
    c->target_flags = DISK_RDWR | DISK_UNMAP;
    if (!img_cache_flags(a->target_cache ? a->target_cache : "unsafe", &c->target_flags))
        return say(c, "Invalid cache option: %s", a->target_cache);
    if (a->base.count < 2)
        return say(c, "Must specify image file name");
    if (a->base.count - 1 > MAX_SOURCES)
        return say(c, "more than %d source images", MAX_SOURCES);
    return take_numbers(c);
}

/* "snapshot.id=ID,snapshot.name=NAME" or "ID_OR_NAME". */
static bool load_snapshot(struct convert *c)
{
    const char *text = c->a->snapshot;
    struct error err = { 0 };
    struct optlist l = { 0 };
    bool ok;

    if (!text)
        return true;
    if (c->copy.source_count > 1)
        return say(c, "No support for concatenating multiple snapshot");
    if (str_after(text, "snapshot.")) {
        ok = optlist_parse(&l, text, NULL, &err);
        const char *id = ok ? optlist_take(&l, "snapshot.id") : NULL;
        const char *name = ok ? optlist_take(&l, "snapshot.name") : NULL;
        ok = ok && optlist_done(&l, "-l", &err) &&
             disk_snapshot_load(c->source[0], id ? id : name, &err);
    } else {
        ok = disk_snapshot_load(c->source[0], text, &err);
    }
    optlist_finish(&l);
    return ok || say(c, "Failed to load snapshot: %s", err.msg);
}

static bool open_sources(struct convert *c)
{
    for (unsigned i = 0; i + 1 < c->a->base.count; i++) {
        struct img_source s = c->a->source;
        s.name = c->a->base.operands[i];
        c->source[i] = img_open_or_say(c->img, &s, c->source_flags);
        if (!c->source[i])
            return false;
        c->copy.source_count++;
    }
    return load_snapshot(c);
}

/* A new target of this format reads as zeroes until it is written. */
static bool new_is_zero(struct disk *d)
{
    if (!strcmp(disk_driver_name(d), "luks"))
        return false;
    if (disk_cluster_size(d) && !d->encrypted)
        return true;
    if (d->encrypted)
        return disk_cluster_size(d) != 0;
    if (d->file)
        return new_is_zero(d->file);
    struct stat st;
    return !strcmp(disk_driver_name(d), "file") && !stat(disk_filename(d), &st) &&
           S_ISREG(st.st_mode);
}

static uint64_t total_size(const struct convert *c)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < c->copy.source_count; i++)
        total += disk_size(c->source[i]);
    return total;
}

static const char *option(const struct optlist *l, const char *key)
{
    for (size_t i = l->count; i-- > 0;)
        if (!strcmp(l->items[i].key, key))
            return l->items[i].value;
    return NULL;
}

static bool check_backing(struct convert *c, const char *format, const char *backing,
                          const char *backing_format)
{
    const struct disk_driver *drv = disk_driver_find(format);
    if (!drv)
        return say(c, "Unknown file format '%s'", format);
    if (!drv->create)
        return say(c, "Format driver '%s' does not support image creation", format);
    if (c->a->compress && !drv->write_compressed)
        return say(c, "Compression not supported for this file format");
    const char *prealloc = option(&c->options, "preallocation");
    if (c->a->compress && prealloc && strcmp(prealloc, "off"))
        return say(c, "Compression and preallocation not supported at the same time");
    if (c->a->compress && option(&c->options, "encrypt.format"))
        return say(c, "Compression and encryption not supported at the same time");
    if (c->a->bitmaps && !drv->bitmaps)
        return say(c, "Format driver '%s' does not support bitmaps", format);
    if (!backing)
        return true;
    if (!drv->backing)
        return say(c, "Backing file not supported for file format '%s'", format);
    if (c->copy.source_count > 1)
        return say(c, "Having a backing file for the target makes no sense when concatenating "
                      "multiple input images");
    return backing_format || say(c, "Use of backing file requires explicit backing format");
}

static bool make_target(struct convert *c)
{
    const struct convert_args *a = c->a;
    const char *backing = a->backing ? a->backing : option(&c->options, "backing_file");
    const char *backing_format =
        a->backing_format ? a->backing_format : option(&c->options, "backing_fmt");
    const char *format = a->target_format ? a->target_format : "raw";
    const char *data_file = option(&c->options, "data_file");
    struct img_create create = { .format = format,
                                 .filename = c->target_name,
                                 .backing_file = a->backing,
                                 .backing_format = a->backing_format,
                                 .unsafe = true,
                                 .quiet = true,
                                 .size = total_size(c),
                                 .has_size = true,
                                 .options = &c->options };
    struct error err = { 0 };
    struct stat st;

    if (!check_backing(c, format, backing, backing_format))
        return false;
    if (a->backing_format && !backing)
        return say(c,
                   "%s: error while converting %s: Backing format cannot be used without "
                   "backing file",
                   c->target_name, format);
    if (option(&c->options, "size") && img_size(option(&c->options, "size"), &create.size))
        create.has_size = true;
    AUTO_FREE char *data_path = data_file ? img_backing_path(c->target_name, data_file) : NULL;
    if (!img_create(c->img, &create, &err))
        return say(c, "%s: error while converting %s: %s%s%s", c->target_name, format, err.msg,
                   err.hint[0] ? "; " : "", err.hint);
    if (!stat(c->target_name, &st) && S_ISREG(st.st_mode))
        img_unfinished(c->img, c->target_name, data_path);
    return true;
}

static bool open_target(struct convert *c)
{
    const struct convert_args *a = c->a;
    struct img_source s = { .name = c->target_name, .image_opts = a->target_image_opts };

    if (!s.image_opts)
        s.format = a->target_format ? a->target_format : a->no_create ? NULL : "raw";
    if (s.image_opts || a->target_format || !a->no_create)
        ;
    else
        s.format = "raw";
    struct img_source with_secret = s;
    AUTO_FREE char *opts = NULL;
    const char *secret = option(&c->options, "encrypt.key-secret");
    const char *luks = option(&c->options, "key-secret");
    if (!a->no_create && (secret || luks)) {
        /* the key that it was made with opens it */
        AUTO_FREE char *quoted = xcalloc(2 * strlen(s.name) + 1, 1);
        char *q = quoted;
        for (const char *t = s.name; *t; t++) {
            if (*t == ',')
                *q++ = ',';
            *q++ = *t;
        }
        opts =
            xasprintf("driver=%s,%s=%s,file.filename=%s", s.format,
                      secret ? "encrypt.key-secret" : "key-secret", secret ? secret : luks, quoted);
        with_secret = (struct img_source){ .name = opts, .image_opts = true };
    }
    c->copy.target = img_open_or_say(c->img, &with_secret, c->target_flags);
    return c->copy.target != NULL;
}

/* Decides what the target holds before the copy. */
static bool prepare_target(struct convert *c)
{
    struct img_copy *y = &c->copy;
    const struct convert_args *a = c->a;
    uint64_t size = total_size(c);

    if (a->compress && !disk_format_node(y->target)->driver->write_compressed)
        return say(c, "Compression not supported for this file format");
    if (a->bitmaps && !disk_format_node(y->target)->driver->bitmaps)
        return say(c, "Format driver '%s' does not support bitmaps", disk_driver_name(y->target));
    if (disk_size(y->target) < size && ALIGN_UP(size, 512) != disk_size(y->target))
        return say(c, "output file is smaller than input file");
    y->target_has_backing = !!disk_backing(y->target);
    if (y->target_has_backing && a->target_is_zero)
        return say(c, "--target-is-zero cannot be used when the destination has a backing file");
    y->target_is_zero =
        a->target_is_zero || (!a->no_create && !y->target_has_backing && new_is_zero(y->target));
    if (!y->target_is_zero && !y->target_has_backing && !y->copy_all)
        y->target_is_zero =
            disk_zero(y->target, 0, disk_size(y->target), DISK_MAY_UNMAP | DISK_NO_FALLBACK) >= 0;
    return true;
}

static bool copy_bitmap(struct convert *c, const struct disk_bitmap *from)
{
    struct error err = { 0 };
    const char *name = disk_bitmap_name(from);
    struct disk_bitmap *to =
        disk_bitmap_add(c->copy.target, name, disk_bitmap_granularity(from), &err);

    if (!to)
        return say(c, "Failed to create bitmap %s: %s", name, err.msg);
    const struct disk_bitmap_ops *ops = disk_format_node(c->copy.target)->driver->bitmaps;
    if (ops->can_store && !ops->can_store(disk_format_node(c->copy.target), name,
                                          disk_bitmap_granularity(from), &err))
        return say(c, "Failed to create bitmap %s: %s", name, err.msg);
    disk_bitmap_set_flags(to, BITMAP_PERSISTENT, 0);
    if (!(disk_bitmap_flags(from) & BITMAP_ENABLED))
        disk_bitmap_set_flags(to, 0, BITMAP_ENABLED);
    if (!disk_bitmap_clear(to, &err) || !disk_bitmap_merge(to, from, &err))
        return say(c, "Failed to populate bitmap %s: %s", name, err.msg);
    return true;
}

/* dry: only looks for bitmaps that cannot be copied, before anything is written. */
static bool copy_bitmaps(struct convert *c, bool dry)
{
    struct disk *s = disk_format_node(c->source[0]);

    if (!c->a->bitmaps)
        return true;
    if (c->copy.source_count > 1)
        return say(c, "Copying bitmaps only possible with single source");
    if (!s->driver->bitmaps)
        return say(c, "Source lacks bitmap support");
    for (struct disk_bitmap *b = NULL; (b = disk_bitmap_next(s, b));) {
        if (!(disk_bitmap_flags(b) & BITMAP_PERSISTENT))
            continue;
        if (disk_bitmap_flags(b) & BITMAP_INCONSISTENT) {
            const char *name = disk_bitmap_name(b);
            if (!c->a->skip_broken_bitmaps) {
                say(c, "Cannot copy inconsistent bitmap '%s'", name);
                fprintf(stderr, "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove'\n");
                return false;
            }
            if (!dry)
                say(c, "warning: Skipping inconsistent bitmap '%s'", name);
            continue;
        }
        if (!dry && !copy_bitmap(c, b))
            return false;
    }
    return true;
}

static bool convert(struct convert *c)
{
    if (!open_sources(c) || !copy_bitmaps(c, true))
        return false;
    if (!c->a->no_create && !make_target(c))
        return false;
    if (!open_target(c) || !prepare_target(c))
        return false;
    c->copy.sources = c->source;
    return img_copy(&c->copy) == EXIT_SUCCESS && copy_bitmaps(c, false);
}

static int run(struct img *img, void *opaque)
{
    struct convert_args *a = opaque;
    struct convert c = { .img = img,
                         .a = a,
                         .target_name = a->base.count ? a->base.operands[a->base.count - 1] : NULL,
                         .copy = { .img = img,
                                   .compressed = a->compress,
                                   .out_of_order = a->out_of_order,
                                   .copy_range = a->copy_range,
                                   .salvage = a->salvage } };
    struct error err = { 0 };
    bool help, ok = img_options_merge(&a->options, &c.options, &help, &err);

    if (!ok) {
        img_fail(img, &err);
    } else if (help) {
        ok = img_print_format_options(img, a->target_format ? a->target_format : "raw",
                                      a->base.count > 1 ? c.target_name : NULL, &err) ||
             img_fail(img, &err) == EXIT_SUCCESS;
    } else {
        ok = check_args(&c) && convert(&c);
        ok &= img_close(img, c.copy.target);
        for (unsigned i = 0; i < c.copy.source_count; i++)
            disk_unref(c.source[i]);
        if (ok && !img_cancelled(img))
            img_finished(img);
    }
    optlist_finish(&c.options);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct img_command img_convert_command = {
    .name = "convert",
    .doc = "Copies images to a new one of any format",
    .operands = "FILENAME [FILENAME2 [...]] OUTPUT_FILENAME",
    .size = sizeof(struct convert_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL, "sources are strings of options, driver=...,file.filename=...",
              IMG_TO(struct convert_args, source.image_opts) },
            { 0, "target-image-opts", NULL, "so is the target; wants -n",
              IMG_TO(struct convert_args, target_image_opts) },
            { 0, "target-is-zero", NULL, "the target reads as zeroes already; wants -n",
              IMG_TO(struct convert_args, target_is_zero) },
            { 0, "bitmaps", NULL, "copy persistent bitmaps too",
              IMG_TO(struct convert_args, bitmaps) },
            { 0, "skip-broken-bitmaps", NULL, "but not inconsistent ones",
              IMG_TO(struct convert_args, skip_broken_bitmaps) },
            { 'U', "force-share", NULL, "read even while another process writes to it",
              IMG_TO(struct convert_args, source.force_share) },
            { 'C', "copy-range-offloading", NULL, "let the kernel copy between files",
              IMG_TO(struct convert_args, copy_range) },
            { 'c', "compress", NULL, "compress the target", IMG_TO(struct convert_args, compress) },
            { 'p', "progress", NULL, "show progress", IMG_TO(struct convert_args, base.progress) },
            { 'q', "quiet", NULL, "print nothing but errors",
              IMG_TO(struct convert_args, base.quiet) },
            { 'n', "no-create", NULL, "the target is there already",
              IMG_TO(struct convert_args, no_create) },
            { 'f', "source-format", "FMT", "format of the sources; probed when not given",
              IMG_TO(struct convert_args, source.format) },
            { 't', "target-cache", "CACHE", "cache mode of the target; unsafe when not given",
              IMG_TO(struct convert_args, target_cache) },
            { 'T', "source-cache", "SRC_CACHE", "cache mode of the sources",
              IMG_TO(struct convert_args, source.cache) },
            { 'O', "target-format", "OUTPUT_FMT", "format of the target; raw when not given",
              IMG_TO(struct convert_args, target_format) },
            { 'B', "backing", "BACKING_FILE", "the target records what differs from this one",
              IMG_TO(struct convert_args, backing) },
            { 'F', "backing-format", "BACKING_FMT", "its format",
              IMG_TO(struct convert_args, backing_format) },
            { 'o', "target-option", "OPTIONS", "options of the target's format, see -o help",
              IMG_TO(struct convert_args, options) },
            { 'l', "snapshot", "SNAPSHOT_PARAM", "what this internal snapshot of the source holds",
              IMG_TO(struct convert_args, snapshot) },
            { 'S', "sparse-size", "SPARSE_SIZE", "zeroes of that length are left out (4k); 0: none",
              IMG_TO(struct convert_args, sparse) },
            { 'r', "rate-limit", "RATE_LIMIT", "bytes per second",
              IMG_TO(struct convert_args, rate) },
            { 'm', "parallel", "NUM_COROUTINES", "pieces in flight, 1 to 16",
              IMG_TO(struct convert_args, workers) },
            { 'W', "out-of-order", NULL, "write in any order",
              IMG_TO(struct convert_args, out_of_order) },
            { 0, "salvage", NULL, "what cannot be read is taken as zeroes",
              IMG_TO(struct convert_args, salvage) },
            { 0 },
        },
};
