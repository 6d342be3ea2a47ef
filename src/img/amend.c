/* SPDX-License-Identifier: GPL-2.0-or-later */
/* amend: changes options of the format of an existing image. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "disk/image.h"
#include "img/img.h"

struct amend_args {
    struct img_args base;
    struct img_source source;
    struct img_list options;
    bool force;
};

static bool check_options(const struct disk *d, const struct optlist *l, struct error *err)
{
    const struct disk_driver *drv = d->driver;
    const char *names[64];
    unsigned n = 0;

    if (!drv->amend)
        return fail(err, 0, "Format driver '%s' does not support option amendment", drv->name);
    for (const struct field *f = drv->amend_options; f && f->name && n < 63; f++)
        names[n++] = f->wire ? f->wire : f->name;
    names[n] = NULL;
    for (size_t i = 0; i < l->count; i++) {
        const char *key = l->items[i].key;
        if (field_find(drv->amend_options, key))
            continue;
        fail(err, EINVAL, "Invalid parameter '%s'", key);
        if (field_find(drv->create_options, key))
            return fail_hint(err, "This option is only supported for image creation");
        const char *near = nearest_name(key, names);
        return near ? fail_hint(err, "did you mean '%s'?", near) : false;
    }
    return true;
}

static bool amend(struct img *img, struct disk *d, struct optlist *options, bool force, bool help,
                  struct error *err)
{
    struct img_disk_progress p = img_disk_progress(img);

    if (help)
        return img_print_amend_options(disk_driver_name(disk_format_node(d)), err);
    if (!check_options(disk_format_node(d), options, err))
        return false;
    img_progress_start(img);
    img_work_begin(img);
    bool ok = disk_amend(d, options, force, &p.p, err);
    img_work_end(img);
    img_progress_end(img, ok);
    return ok;
}

static int run(struct img *img, void *opaque)
{
    struct amend_args *a = opaque;
    struct optlist options = { 0 };
    struct error err = { 0 };
    unsigned flags = DISK_RDWR | DISK_RESIZE;
    bool help = false, ok = false;

    if (!a->options.count)
        return img_usage_error(img, "Must specify options (-o)");
    if (!img_cache_flags(a->source.cache, &flags)) {
        img_error(img, "Invalid cache option: %s", a->source.cache);
        return EXIT_FAILURE;
    }
    if (!img_options_merge(&a->options, &options, &help, &err)) {
        img_fail(img, &err);
    } else if (help && a->source.format) {
        ok = img_print_amend_options(a->source.format, &err) || !img_fail(img, &err);
    } else if (a->base.count != 1) {
        img_usage_error(img, "Expecting one image file name");
    } else {
        a->source.name = a->base.operands[0];
        struct disk *d = img_open_or_say(img, &a->source, flags);
        ok = d && (amend(img, d, &options, a->force, help, &err) || !img_fail(img, &err));
        ok &= img_close(img, d);
    }
    optlist_finish(&options);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct img_command img_amend_command = {
    .name = "amend",
    .doc = "Changes options of an image's format",
    .operands = "FILENAME",
    .size = sizeof(struct amend_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL,
              "FILENAME is a string of options, driver=...,file.filename=...",
              IMG_TO(struct amend_args, source.image_opts) },
            { 'p', "progress", NULL, "show progress", IMG_TO(struct amend_args, base.progress) },
            { 'q', "quiet", NULL, "print nothing but errors",
              IMG_TO(struct amend_args, base.quiet) },
            { 'f', "format", "FMT", "format of the image; probed when not given",
              IMG_TO(struct amend_args, source.format) },
            { 't', "cache", "CACHE", "cache mode", IMG_TO(struct amend_args, source.cache) },
            { 0, "force", NULL, "even if the last key may go", IMG_TO(struct amend_args, force) },
            { 'o', "options", "OPTIONS", "what to change, see -f FMT -o help",
              IMG_TO(struct amend_args, options) },
            { 0 },
        },
};
