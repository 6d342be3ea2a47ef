/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making an image: the transport makes an empty file, the format fills it. What was made is removed
 * again when the rest fails.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/node_priv.h"

static const char *peek(const struct optlist *l, const char *key, const char *other)
{
    const char *v = NULL;

    for (size_t i = 0; i < l->count; i++) {
        if (!strcmp(l->items[i].key, key) || (other && !strcmp(l->items[i].key, other)))
            v = l->items[i].value;
    }
    return v;
}

static bool parse_prealloc(const char *text, enum disk_preallocation *ret, struct error *err)
{
    for (int i = 0; i < DISK_PREALLOC_COUNT; i++) {
        if (!strcmp(text, disk_preallocation_names[i])) {
            *ret = i;
            return true;
        }
    }
    fail(err, EINVAL, "Invalid parameter '%s' for preallocation", text);
    return fail_hint(err, "it takes off, metadata, falloc or full");
}

/* An overlay whose size is not given is as large as its backing file. */
static bool size_of_backing(const char *filename, struct disk_create *c, struct error *err)
{
    AUTO_FREE char *name = name_relative(filename, c->backing_file);
    struct optlist opts = { 0 };
    struct disk *b;

    if (c->backing_fmt)
        optlist_add(&opts, "driver", c->backing_fmt);
    b = disk_open(c->graph, name, &opts, DISK_NO_IO | DISK_NO_BACKING, err);
    optlist_finish(&opts);
    if (!b)
        return false;
    c->size = disk_size(b);
    disk_unref(b);
    return true;
}

/* The options that every format may have; those a driver's table has too stay in the list for it.
 */
static bool take_general(struct disk_create *c, const struct disk_driver *drv, struct optlist *opts,
                         struct error *err)
{
    const char *size = peek(opts, "size", NULL);
    const char *prealloc = peek(opts, "preallocation", NULL);
    static const char *const keys[] = { "size",         "preallocation", "backing_file",
                                        "backing-file", "backing_fmt",   "backing-fmt" };

    c->backing_file = peek(opts, "backing_file", "backing-file");
    c->backing_fmt = peek(opts, "backing_fmt", "backing-fmt");
    if (c->backing_file && !*c->backing_file)
        c->backing_file = NULL;
    if (prealloc && !parse_prealloc(prealloc, &c->prealloc, err))
        return false;
    if (c->backing_file && !drv->backing)
        return fail(err, ENOTSUP, "Backing file not supported for file format '%s'", drv->name);
    if (size) {
        if (!parse_size(size, 1, &c->size, err)) {
            err_prefix(err, "size: ");
            return false;
        }
    } else if (c->backing_file && !size_of_backing(c->filename, c, err)) {
        return false;
    }
    if (c->size > DISK_MAX_SIZE - 511)
        return fail(err, EFBIG, "Image size must be less than 8 EiB");
    c->size = ALIGN_UP(c->size, UINT64_C(512));
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!field_find(drv->create_options, keys[i]))
            (void)optlist_take(opts, keys[i]);
    }
    return true;
}

/* Makes the file that a format goes into, and opens it. */
static struct disk *make_file(struct disk_create *c, struct optlist *opts, bool *ret_made,
                              struct error *err)
{
    struct optlist where = { 0 };
    const struct disk_driver *drv = name_protocol(c->filename, &where, err);
    const char *path = peek(&where, "filename", NULL);
    struct disk_create fc = { .graph = c->graph, .filename = path ? path : c->filename };
    struct disk *d = NULL;
    bool ok;

    if (drv && drv->create) {
        fc.opts = xcalloc(1, MAX(drv->create_size, 1));
        ok = optlist_apply(opts, drv->create_options, fc.opts, err) && drv->create(&fc, err);
        field_free_strings(fc.opts, drv->create_options);
        free(fc.opts);
        *ret_made = ok && drv->remove;
    } else {
        ok = drv != NULL; /* a device or server is there already */
    }
    optlist_finish(&where);
    if (ok) {
        struct optlist o = { 0 };

        optlist_add(&o, "driver", drv->name);
        d = disk_open(c->graph, c->filename, &o, DISK_RDWR | DISK_NEW | DISK_RESIZE | DISK_UNMAP,
                      err);
        optlist_finish(&o);
    }
    return d;
}

static void remove_file(const char *filename)
{
    struct error ignored = { 0 };
    struct optlist where = { 0 };
    const struct disk_driver *drv = name_protocol(filename, &where, &ignored);
    const char *path = peek(&where, "filename", NULL);

    if (drv && drv->remove)
        (void)drv->remove(path ? path : filename, &ignored);
    optlist_finish(&where);
}

static bool create_format(const struct disk_driver *drv, struct disk_create *c,
                          struct optlist *opts, struct error *err)
{
    bool made = false, ok;
    int r;

    c->opts = xcalloc(1, MAX(drv->create_size, 1));
    ok = optlist_apply(opts, drv->create_options, c->opts, err);
    if (ok && !drv->is_transport) {
        c->file = make_file(c, opts, &made, err);
        ok = c->file != NULL;
    }
    ok = ok && optlist_done(opts, drv->name, err) && drv->create(c, err);
    if (c->file) {
        r = disk_close(c->file);
        if (ok && r)
            ok = fail(err, -r, "Could not write '%s': %s", c->filename, strerror(-r));
    }
    if (!ok && made)
        remove_file(c->filename);
    field_free_strings(c->opts, drv->create_options);
    free(c->opts);
    return ok;
}

bool disk_create(struct disk_graph *g, const char *format, const char *filename,
                 struct optlist *opts, struct error *err)
{
    const struct disk_driver *drv = disk_driver_find(format);
    struct disk_create c = { .graph = g, .filename = filename, .secrets = opts };

    if (!drv)
        return fail(err, EINVAL, "Unknown file format '%s'", format);
    if (!drv->create) {
        fail(err, ENOTSUP, "Format driver '%s' does not support image creation", format);
        return false;
    }
    return take_general(&c, drv, opts, err) && create_format(drv, &c, opts, err);
}
