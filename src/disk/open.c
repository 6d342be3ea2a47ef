/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a name and options to a node with all its children. A node that carries a name of its own
 * (a transport) is opened as such; any other gets the name for its child "file", and when nobody
 * says which format it is, the first bytes of that child do.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/node_priv.h"

#define DEPTH_MAX 500 /* of openers: a longer chain is taken for a mistake */

struct opening {
    struct disk_graph *g;
    struct optlist *opts; /* this node's; all that is known is taken from it */
    const char *name;     /* or NULL */
    const char *format;   /* what a header says the format is, or NULL */
    unsigned flags;
    struct disk *parent; /* NULL: a user */
    enum disk_role role;
    bool own_name; /* the name went into the options of this node, it is not its child's */
    bool protocol; /* without a driver stated, the name says which: no probing */
};

static struct disk *open_node(struct opening *o, struct error *err);

static void copy_untaken(struct optlist *from, struct optlist *to)
{
    for (size_t i = 0; i < from->count; i++) {
        if (from->items[i].taken)
            continue;
        optlist_add(to, from->items[i].key, from->items[i].value);
        to->items[to->count - 1].is_literal = from->items[i].is_literal;
    }
}

static void take_all(struct optlist *l)
{
    for (size_t i = 0; i < l->count; i++)
        l->items[i].taken = true;
}

/* json:{...} is a name that is options; those given beside it win, for they come later. */
static bool merge_json(struct optlist *opts, const char *name, struct error *err)
{
    struct optlist all;

    if (!optlist_parse_json(&all, name, err)) {
        optlist_finish(&all);
        return false;
    }
    copy_untaken(opts, &all);
    optlist_finish(opts);
    *opts = all;
    return true;
}

static bool has_prefix(const struct optlist *l, const char *prefix)
{
    size_t n = strlen(prefix);

    for (size_t i = 0; i < l->count; i++) {
        if (!l->items[i].taken && !strncmp(l->items[i].key, prefix, n) && l->items[i].key[n] == '.')
            return true;
    }
    return false;
}

/* What a parent's flags mean for its child. */
static unsigned child_flags(const struct disk *parent, enum disk_role role)
{
    unsigned flags = parent->open_flags & ~(DISK_WRITETHROUGH | DISK_COPY_ON_READ | DISK_RESIZE);

    if (role == ROLE_BACKING)
        flags &= ~(DISK_RDWR | DISK_AUTO_RDONLY | DISK_CHECK | DISK_NEW | DISK_UNMAP);
    else if (role != ROLE_FILTERED && role != ROLE_IMAGE)
        /* What a format frees goes back to the host; users' discards end at the format's own flag.
         */
        flags = (flags & ~DISK_CHECK) | DISK_UNMAP;
    return flags;
}

static struct disk *open_child(struct disk *parent, const char *name, const char *default_name,
                               const char *format, enum disk_role role, struct error *err)
{
    struct disk_private *c = parent->core;
    const char *reference = optlist_take(&c->opts, name);
    struct optlist sub = { 0 };
    struct disk *child;
    struct opening o = { parent->graph, &sub, default_name, format, child_flags(parent, role),
                         parent,        role, false,        false };

    o.protocol = role != ROLE_BACKING && (role != ROLE_IMAGE || c->soft_end);
    if (reference) {
        child = disk_graph_find(parent->graph, reference);
        if (!child) {
            fail(err, ENOENT, "Cannot find device='%s' nor node-name='%s'", reference, reference);
            return NULL;
        }
        disk_ref(child);
    } else {
        optlist_move_prefix(&c->opts, name, &sub);
        child = open_node(&o, err);
        optlist_finish(&sub);
        if (!child)
            return NULL;
    }
    (void)edge_add(parent, child, name, role);
    return child;
}

struct disk *disk_open_child(struct disk *d, const char *name, const char *default_name,
                             enum disk_role role, struct error *err)
{
    return open_child(d, name, default_name, NULL, role, err);
}

struct optlist *disk_open_options(struct disk *d)
{
    return &d->core->opts;
}

/* Remembers options that change what is read. */
static void note_strong(struct disk *d)
{
    for (size_t i = 0; i < d->core->opts.count; i++) {
        const struct optlist_item *it = &d->core->opts.items[i];

        for (const char *const *s = d->driver->strong_options; s && *s; s++) {
            if (strcmp(*s, it->key) || it->taken)
                continue;
            optlist_add(&d->core->strong, it->key, it->value);
            d->core->strong.items[d->core->strong.count - 1].is_literal = it->is_literal;
        }
    }
}

static bool check_required(struct disk *d, struct error *err)
{
    for (const char *const *r = d->driver->required; r && *r; r++) {
        const struct field *f = field_find(d->driver->options, *r);

        if (f && f->kind == FIELD_STRING && !*(char **)((char *)d->priv + f->offset))
            return fail(err, EINVAL, "The '%s' block driver requires a %s", d->driver->name,
                        !strcmp(*r, "filename") ? "file name" : *r);
    }
    return true;
}

/* Whether the backing file is the file of an opener: a loop would never end. */
static bool is_opened_above(struct disk *d, const char *name)
{
    struct stat mine, other;

    if (name_has_protocol(name) || stat(name, &mine))
        return false;
    for (; d; d = d->core->opener) {
        if (d->filename && !name_has_protocol(d->filename) && !stat(d->filename, &other) &&
            mine.st_dev == other.st_dev && mine.st_ino == other.st_ino && S_ISREG(mine.st_mode))
            return true;
    }
    return false;
}

static bool open_backing(struct disk *d, struct error *err)
{
    AUTO_FREE char *name = NULL;
    const char *ref = NULL;
    struct optlist *opts = &d->core->opts;
    bool own_file;

    for (size_t i = 0; i < opts->count; i++) {
        if (!strcmp(opts->items[i].key, "backing") && !opts->items[i].taken)
            ref = opts->items[i].value;
    }
    if (ref && !*ref) { /* null: none, whatever the header says */
        (void)optlist_take(opts, "backing");
        d->core->backing_given = d->backing_name != NULL;
        return true;
    }
    own_file = has_prefix(opts, "backing.file") || optlist_has(opts, "backing.filename") ||
               optlist_has(opts, "backing.file");
    if (!ref && !own_file && !has_prefix(opts, "backing") && !d->backing_name)
        return true;
    if (!d->driver->backing)
        return fail(err, EINVAL, "Driver '%s' does not support backing files", d->driver->name);
    d->core->backing_given = ref || own_file;
    if (!d->core->backing_given && d->backing_name) {
        name = name_relative(d->filename ? d->filename : "", d->backing_name);
        if (is_opened_above(d, name)) {
            fail(err, ELOOP, "Backing file '%s' creates an infinite loop", name);
            return fail_hint(err, "rebase one of the images (rebase -u -b FILE)");
        }
    }
    if (!open_child(d, "backing", name, name ? d->backing_format : NULL, ROLE_BACKING, err)) {
        err_prefix(err, "Could not open backing file: ");
        return false;
    }
    return true;
}

/* own_file: the file is open already, for it was probed. */
static bool open_file_child(struct disk *d, struct disk *own_file, const char *name,
                            struct error *err)
{
    bool through = d->driver->is_filter || !strcmp(d->driver->name, "raw");
    enum disk_role role = through ? ROLE_FILTERED : ROLE_STORAGE;
    const char *edge = d->driver->file_name ? d->driver->file_name : "file";

    if (d->file || d->driver->is_transport || d->driver->no_file)
        return true;
    if (!own_file && !name && !optlist_has(&d->core->opts, edge) &&
        !has_prefix(&d->core->opts, edge))
        return fail(err, EINVAL, "A block device must be specified for \"%s\"", edge);
    if (own_file) {
        own_file->core->soft_end = !through || d->core->soft_end;
        (void)edge_add(d, own_file, edge, role);
        if (!edge_update_perms(own_file, err))
            return false;
    } else if (!open_child(d, edge, name, NULL, role, err)) {
        return false;
    }
    if (!d->filename && d->file->filename)
        d->filename = xstrdup(d->file->filename);
    return true;
}

static void inherit(struct disk *d, const struct opening *o)
{
    struct disk_private *c = d->core;

    d->open_flags = o->flags;
    d->read_only = !(o->flags & DISK_RDWR);
    c->opener = o->parent;
    if (o->parent) {
        c->depth = o->parent->core->depth + 1;
        c->soft_end =
            o->role == ROLE_STORAGE || o->role == ROLE_DATA ||
            ((o->role == ROLE_FILTERED || o->role == ROLE_IMAGE) && o->parent->core->soft_end);
        edge_perms(o->parent, o->role, &c->perm, &c->shared);
    } else {
        c->soft_end = o->flags & DISK_NEW;
        c->perm = PERM_READ | (d->read_only ? 0 : PERM_WRITE) |
                  (o->flags & DISK_RESIZE && !d->read_only ? PERM_RESIZE : 0);
        c->shared = PERM_ALL;
        if (o->flags & DISK_KEEP_SIZE)
            c->shared &= ~PERM_RESIZE;
        if (o->flags & DISK_EXCLUSIVE)
            c->shared &= ~(PERM_WRITE | PERM_RESIZE);
        if (o->flags & DISK_FORCE_SHARE)
            c->shared = PERM_ALL;
        c->user_perm = c->perm;
        c->user_shared = c->shared;
    }
}

static bool check_nothing_left(struct disk *d, struct error *err)
{
    const struct optlist *l = &d->core->opts;
    const char *near;

    for (size_t i = 0; i < l->count; i++) {
        const char *key = l->items[i].key;

        if (l->items[i].taken)
            continue;
        near = l->asked ? nearest_name(key, l->asked) : NULL;
        fail(err, EINVAL,
             d->driver->is_transport ? "Block protocol '%s' doesn't support the option '%s'"
                                     : "Block format '%s' does not support the option '%s'",
             d->driver->name, key);
        return near ? fail_hint(err, "did you mean '%s'?", near) : false;
    }
    return true;
}

/* The driver is known and d exists: options, children, open(), backing chain, nothing left over. */
static bool finish_node(struct disk *d, struct disk *own_file, const char *name,
                        const struct common_options *common, struct error *err)
{
    const struct disk_driver *drv = d->driver;

    d->detect_zeroes = common->detect_zeroes;
    d->detect_zeroes_unmap = common->detect_zeroes_unmap;
    note_strong(d);
    if (!optlist_apply(&d->core->opts, drv->options, d->priv, err) || !check_required(d, err) ||
        !open_file_child(d, own_file, name, err) || (drv->open && !drv->open(d, err)))
        return false;
    if (d->open_flags & DISK_NO_BACKING) {
        struct optlist unused = { 0 };

        optlist_move_prefix(&d->core->opts, "backing", &unused);
        optlist_finish(&unused);
        (void)optlist_take(&d->core->opts, "backing");
    } else if (!open_backing(d, err)) {
        return false;
    }
    if (!check_nothing_left(d, err))
        return false;
    d->core->opener = NULL;
    node_make_shown_name(d);
    return node_publish(d, common->node_name, err);
}

static const struct disk_driver *find_driver(const char *name, struct error *err)
{
    const struct disk_driver *drv = disk_driver_find(name);

    if (!drv) {
        const char *names[64];
        size_t n = 0;

        for (; disk_drivers[n] && n < ARRAY_SIZE(names) - 1; n++)
            names[n] = disk_drivers[n]->name;
        names[n] = NULL;
        fail(err, EINVAL, "Unknown driver '%s'", name);
        if (nearest_name(name, names))
            fail_hint(err, "did you mean '%s'?", nearest_name(name, names));
    }
    return drv;
}

static struct disk *open_with_driver(struct opening *o, const struct disk_driver *drv,
                                     struct disk *own_file, const char *name,
                                     const struct common_options *common, struct error *err)
{
    struct disk *d = node_new(o->g, drv);

    inherit(d, o);
    d->probed = own_file != NULL;
    copy_untaken(o->opts, &d->core->opts);
    if (o->own_name) {
        d->filename = xstrdup(str_after(name, "file:") ? name + 5 : name);
        name = NULL;
    }
    if (finish_node(d, own_file, name, common, err))
        return d;
    (void)node_close(d);
    return NULL;
}

/* No driver is stated and the name does not decide. The file is opened under a node that stands for
 * the format to come, asks for nothing but reading and lets others do what they like. */
static struct disk *open_probed(struct opening *o, const struct common_options *common,
                                struct error *err)
{
    static const struct disk_driver unknown = { .name = "raw", .is_filter = true };
    struct disk *stand_in = node_new(o->g, &unknown), *file, *d = NULL;
    const struct disk_driver *drv = NULL;

    inherit(stand_in, o);
    stand_in->open_flags |= DISK_UNMAP; /* the format found will have its own */
    stand_in->core->perm = PERM_READ;
    stand_in->core->shared = PERM_ALL;
    copy_untaken(o->opts, &stand_in->core->opts);
    file = open_child(stand_in, "file", o->name, NULL, ROLE_FILTERED, err);
    if (file) {
        drv = probe_format(file, o->name ? o->name : disk_filename(file), err);
        disk_ref(file);
    }
    optlist_finish(o->opts);
    *o->opts = stand_in->core->opts;
    stand_in->core->opts = (struct optlist){ 0 };
    (void)node_close(stand_in);
    if (drv)
        d = open_with_driver(o, drv, file, o->name, common, err);
    else
        disk_unref(file);
    return d;
}

static bool has_scheme_of(const struct disk_driver *drv, const char *name)
{
    for (const char *const *s = drv->schemes; s && *s; s++) {
        if (str_after(name, *s) && name[strlen(*s)] == ':')
            return true;
    }
    return false;
}

/* The driver is stated: does it take the name as its own, or is it the name of its file? */
static bool name_to_options(struct opening *o, const struct disk_driver *drv, struct error *err)
{
    const char *name = o->name;

    if (!name || (!drv->is_transport && !has_scheme_of(drv, name)))
        return true;
    o->own_name = true;
    if (name_has_protocol(name))
        return name_protocol(name, o->opts, err) != NULL;
    optlist_add(o->opts, "filename", name);
    return true;
}

/* o->opts is this call's own. */
static struct disk *open_own_options(struct opening *o, struct error *err)
{
    struct common_options common;
    const struct disk_driver *drv;
    const char *driver;

    if (!options_take_common(o->opts, &o->flags, &common, err))
        return NULL;
    driver = optlist_take(o->opts, "driver");
    if (!driver)
        driver = o->format;
    if (driver) {
        drv = find_driver(driver, err);
        if (!drv || !name_to_options(o, drv, err))
            return NULL;
        return open_with_driver(o, drv, NULL, o->name, &common, err);
    }
    if (!o->name)
        o->name = optlist_take(o->opts, "filename");
    if (o->protocol && o->name) {
        drv = name_protocol(o->name, o->opts, err);
        o->own_name = true;
        return drv ? open_with_driver(o, drv, NULL, o->name, &common, err) : NULL;
    }
    if (!o->name && !optlist_has(o->opts, "file") && !has_prefix(o->opts, "file")) {
        fail(err, EINVAL, "Must specify either driver or file");
        return NULL;
    }
    return open_probed(o, &common, err);
}

static struct disk *open_node(struct opening *given, struct error *err)
{
    struct optlist own = { 0 };
    struct opening o = *given;
    const char *json = o.name ? str_after(o.name, "json:") : NULL;
    struct disk *d = NULL;

    o.opts = &own;
    copy_untaken(given->opts, &own);
    if (json)
        o.name = NULL;
    if (o.parent && o.parent->core->depth > DEPTH_MAX)
        fail(err, ELOOP, "backing chain of more than %d images", DEPTH_MAX);
    else if (!json || merge_json(&own, json, err))
        d = open_own_options(&o, err);
    if (d)
        take_all(given->opts);
    optlist_finish(&own);
    return d;
}

struct disk *disk_open(struct disk_graph *g, const char *name, struct optlist *opts,
                       unsigned open_flags, struct error *err)
{
    struct optlist none = { 0 };
    struct opening o = { .g = g, .opts = opts ? opts : &none, .name = name, .flags = open_flags };
    struct disk *d = NULL;

    if (name && !o.opts->count) {
        WITH_LOCK (&g->lock) {
            for (d = g->nodes; d; d = d->core->next_node) {
                if (!d->core->is_implicit && !strcmp(d->node_name, name)) {
                    disk_ref(d);
                    break;
                }
            }
        }
        if (d)
            return d;
    }
    d = open_node(&o, err);
    if (!d && name && !str_after(err->msg, "Could not open '"))
        err_prefix(err, "Could not open '%s': ", name);
    optlist_finish(&none);
    return d;
}
