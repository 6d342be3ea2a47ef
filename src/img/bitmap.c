/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bitmap: persistent dirty bitmaps of an image; actions are done in the order given. */
#include "disk/bitmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "disk/image.h"
#include "img/img.h"

struct bitmap_args {
    struct img_args base;
    struct img_source source;
    struct img_list actions;
    const char *merge_file, *merge_format, *granularity;
};

struct bitmap {
    struct img *img;
    struct disk *disk, *from; /* from: where --merge looks; disk when -b is not given */
    const char *name;
    uint64_t granularity;
};

static struct disk_bitmap *find(struct disk *d, const char *name, struct error *err)
{
    struct disk_bitmap *b = disk_bitmap_find(d, name);
    if (!b)
        fail(err, ENOENT, "Dirty bitmap '%s' not found", name);
    else if (disk_bitmap_flags(b) & BITMAP_BUSY)
        fail(err, EBUSY, "Bitmap '%s' is currently in use by another operation and cannot be used",
             name);
    else
        return b;
    return NULL;
}

static struct disk_bitmap *find_consistent(struct disk *d, const char *name, struct error *err)
{
    struct disk_bitmap *b = find(d, name, err);
    if (!b || !(disk_bitmap_flags(b) & BITMAP_INCONSISTENT))
        return b;
    fail(err, EINVAL, "Bitmap '%s' is inconsistent and cannot be used", name);
    fail_hint(err, "Try block-dirty-bitmap-remove to delete this bitmap from disk");
    return NULL;
}

static bool add(struct bitmap *m, struct error *err)
{
    const struct disk_bitmap_ops *ops = m->disk->driver->bitmaps;
    uint64_t g = m->granularity;

    if (g && (!is_pow2(g) || g < 512 || g > UINT32_C(1) << 31))
        return fail(err, EINVAL, "Granularity must be power of 2 and at least 512");
    if (!ops)
        return fail(err, ENOTSUP, "Can't store persistent bitmaps to %s: Operation not supported",
                    disk_node_name(m->disk));
    if (disk_bitmap_find(m->disk, m->name))
        return fail(err, EEXIST, "Bitmap already exists: %s", m->name);
    struct disk_bitmap *b = disk_bitmap_add(m->disk, m->name, g, err);
    if (!b)
        return false;
    if (!ops->can_store || ops->can_store(m->disk, m->name, disk_bitmap_granularity(b), err)) {
        disk_bitmap_set_flags(b, BITMAP_PERSISTENT | BITMAP_ENABLED, 0);
        return true;
    }
    struct error ignored = { 0 };
    (void)!disk_bitmap_remove(b, &ignored);
    return false;
}

static bool merge(struct bitmap *m, const char *source, struct error *err)
{
    struct disk_bitmap *to = find_consistent(m->disk, m->name, err);
    struct disk_bitmap *from = to ? find_consistent(m->from, source, err) : NULL;
    return from && disk_bitmap_merge(to, from, err);
}

static bool act(struct bitmap *m, const char *what, const char *argument, struct error *err)
{
    if (!strcmp(what, "add"))
        return add(m, err);
    if (!strcmp(what, "merge"))
        return merge(m, argument, err);
    if (!strcmp(what, "remove")) {
        struct disk_bitmap *b = find(m->disk, m->name, err);
        return b && disk_bitmap_remove(b, err);
    }
    struct disk_bitmap *b = find_consistent(m->disk, m->name, err);
    if (!b)
        return false;
    if (!strcmp(what, "clear"))
        return disk_bitmap_clear(b, err);
    bool enable = !strcmp(what, "enable");
    disk_bitmap_set_flags(b, enable ? BITMAP_ENABLED : 0, enable ? 0 : BITMAP_ENABLED);
    return true;
}

static bool act_all(struct bitmap *m, const struct img_list *l)
{
    struct error err = { 0 };
    for (unsigned i = 0; i < l->count; i++) {
        const char *what = l->which[i]->name;
        if (act(m, what, l->values[i], &err))
            continue;
        img_error(m->img, "Operation %s on bitmap %s failed: %s%s%s", what, m->name, err.msg,
                  err.hint[0] ? "; " : "", err.hint);
        return false;
    }
    return true;
}

static bool has_action(const struct img_list *l, const char *name)
{
    for (unsigned i = 0; i < l->count; i++)
        if (!strcmp(l->which[i]->name, name))
            return true;
    return false;
}

static bool check_args(struct bitmap *m, const struct bitmap_args *a)
{
    const char *wrong = NULL;

    if (a->granularity && !img_size(a->granularity, &m->granularity)) {
        img_error(m->img,
                  "Invalid granularity specified. You may use k, M, G, T, P or E suffixes for");
        wrong = "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.";
    } else if (a->base.count != 2) {
        wrong = "Expecting filename and bitmap name";
    } else if (!a->actions.count) {
        wrong = "Need at least one of --add, --remove, --clear, --enable, --disable, or --merge";
    } else if (a->granularity && !has_action(&a->actions, "add")) {
        wrong = "granularity only supported with --add";
    } else if (a->merge_format && !a->merge_file) {
        wrong = "-F only supported with -b";
    } else if (a->merge_file && !has_action(&a->actions, "merge")) {
        wrong = "Merge bitmap source file only supported with --merge";
    }
    if (wrong)
        img_error(m->img, "%s", wrong);
    return !wrong;
}

static int run(struct img *img, void *opaque)
{
    struct bitmap_args *a = opaque;
    struct bitmap m = { .img = img };
    struct disk *other = NULL;

    /* a missing action is told before missing names */
    if (!a->actions.count && a->base.count < 2)
        a->base.count = 2;
    if (!check_args(&m, a))
        return EXIT_FAILURE;
    a->source.name = a->base.operands[0];
    m.name = a->base.operands[1];
    struct disk *d = img_open_or_say(img, &a->source, DISK_RDWR);
    if (!d)
        return EXIT_FAILURE;
    bool ok = true;
    m.disk = m.from = disk_format_node(d);
    if (a->merge_file) {
        struct img_source s = { .name = a->merge_file, .format = a->merge_format };
        other = img_open_or_say(img, &s, 0);
        ok = other != NULL;
        m.from = other ? disk_format_node(other) : NULL;
    }
    ok = ok && act_all(&m, &a->actions);
    disk_unref(other);
    ok &= img_close(img, d);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct img_command img_bitmap_command = {
    .name = "bitmap",
    .doc = "Changes persistent dirty bitmaps of an image",
    .operands = "FILENAME BITMAP",
    .size = sizeof(struct bitmap_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { 0, "merge", "SOURCE", "add what the bitmap SOURCE marks",
              IMG_TO(struct bitmap_args, actions) },
            { 0, "add", NULL, "make BITMAP; it records writes from now on",
              IMG_TO(struct bitmap_args, actions) },
            { 0, "remove", NULL, "remove it", IMG_TO(struct bitmap_args, actions) },
            { 0, "clear", NULL, "forget what it marks", IMG_TO(struct bitmap_args, actions) },
            { 0, "enable", NULL, "record writes from now on", IMG_TO(struct bitmap_args, actions) },
            { 0, "disable", NULL, "no longer record writes", IMG_TO(struct bitmap_args, actions) },
            { 'b', "source-file", "SOURCE_FILE", "--merge takes bitmaps from this image",
              IMG_TO(struct bitmap_args, merge_file) },
            { 'F', "source-format", "SOURCE_FMT", "its format",
              IMG_TO(struct bitmap_args, merge_format) },
            { 'g', "granularity", "GRANULARITY", "bytes per bit, for --add",
              IMG_TO(struct bitmap_args, granularity) },
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL,
              "FILENAME is a string of options, driver=...,file.filename=...",
              IMG_TO(struct bitmap_args, source.image_opts) },
            { 'f', "format", "FMT", "format of the image; probed when not given",
              IMG_TO(struct bitmap_args, source.format) },
            { 0 },
        },
};
