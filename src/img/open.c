/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening and closing images as the options -f, -t, -U and --image-opts say. */
#include <errno.h>
#include <string.h>

#include <stdlib.h>

#include "base/alloc.h"
#include "base/str.h"
#include "disk/node.h"
#include "img/img.h"

bool img_cache_flags(const char *cache, unsigned *flags)
{
    static const struct {
        const char *name;
        unsigned flags;
    } modes[] = {
        { "none", DISK_DIRECT },
        { "off", DISK_DIRECT },
        { "writeback", 0 },
        { "writethrough", DISK_WRITETHROUGH },
        { "directsync", DISK_DIRECT | DISK_WRITETHROUGH },
        { "unsafe", DISK_NO_FLUSH },
    };
    if (!cache)
        return true;
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        if (!strcmp(cache, modes[i].name)) {
            *flags |= modes[i].flags;
            return true;
        }
    }
    return false;
}

static bool source_options(const struct img_source *s, struct optlist *opts, struct error *err)
{
    if (s->image_opts) {
        if (s->format)
            return fail(err, EINVAL, "--image-opts and --format are mutually exclusive");
        return s->name[0] == '{' ? optlist_parse_json(opts, s->name, err)
                                 : optlist_parse(opts, s->name, NULL, err);
    }
    if (!s->format)
        return true;
    if (!disk_driver_find(s->format)) {
        const char *names[64];
        unsigned n = 0;
        for (; disk_drivers[n] && n < ARRAY_SIZE(names) - 1; n++)
            names[n] = disk_drivers[n]->name;
        names[n] = NULL;
        const char *near = nearest_name(s->format, names);
        fail(err, ENOENT, "Unknown driver '%s'", s->format);
        return near ? fail_hint(err, "did you mean '%s'?", near) : false;
    }
    optlist_add(opts, "driver", s->format);
    return true;
}

static void warn_of_probed_raw(struct img *img, const struct disk *d, const char *name)
{
    if (!d->probed || strcmp(disk_driver_name(d), "raw") || d->read_only)
        return;
    fflush(stdout);
    fprintf(stderr,
            "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
            "         Automatically detecting the format is dangerous for raw images, write "
            "operations on block 0 will be restricted.\n"
            "         Specify the 'raw' format explicitly to remove the restrictions.\n",
            name);
}

struct disk *img_open(struct img *img, const struct img_source *s, unsigned flags,
                      struct error *err)
{
    struct optlist opts = { 0 };
    struct disk *d = NULL;

    if (s->force_share)
        flags |= DISK_FORCE_SHARE;
    if ((flags & DISK_FORCE_SHARE) && (flags & DISK_RDWR)) {
        fail(err, EINVAL, "force-share=on can only be used with read-only images");
        fail_hint(err, "leave out -U");
    } else if (source_options(s, &opts, err)) {
        d = disk_open(img->graph, s->image_opts ? NULL : s->name, &opts, flags, err);
    }
    optlist_finish(&opts);
    if (d)
        warn_of_probed_raw(img, d, s->name);
    else if (!str_after(err->msg, "Could not open"))
        err_prefix(err, "Could not open '%s': ", s->name);
    return d;
}

struct disk *img_open_or_say(struct img *img, const struct img_source *s, unsigned flags)
{
    struct error err = { 0 };
    struct disk *d = img_open(img, s, flags, &err);
    if (!d)
        img_fail(img, &err);
    return d;
}

bool img_close(struct img *img, struct disk *own_d)
{
    if (!own_d)
        return true;
    char *name = xstrdup(disk_filename(own_d));
    int r = disk_close(own_d);
    if (r < 0)
        img_error(img, "could not close '%s': %s", name, strerror(-r));
    free(name);
    return r >= 0;
}

char *img_backing_path(const char *filename, const char *backing)
{
    const char *slash = strrchr(filename, '/');
    const char *colon = strchr(backing, ':');
    const char *first_slash = strchr(backing, '/');
    bool has_scheme = colon && (!first_slash || colon < first_slash);

    if (backing[0] == '/' || has_scheme || !slash || !strncmp(filename, "json:", 5))
        return xstrdup(backing);
    return xasprintf("%.*s%s", (int)(slash + 1 - filename), filename, backing);
}
