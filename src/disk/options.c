/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of images, the options that every node has, and names made of options (json:). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/node_priv.h"

/* "nbd:...", "fat:...", but not "./a:b" or "/dev/disk/by-path/pci-0:1". */
bool name_has_protocol(const char *name)
{
    size_t n = strcspn(name, ":/");

    return name[n] == ':';
}

static bool scheme_is(const char *scheme, const char *name)
{
    size_t n = strlen(scheme);

    return !strncmp(name, scheme, n) && name[n] == ':';
}

static const struct disk_driver *find_scheme(const char *name)
{
    for (const struct disk_driver *const *p = disk_drivers; *p; p++) {
        for (const char *const *s = (*p)->schemes; s && *s; s++) {
            if (scheme_is(*s, name))
                return *p;
        }
    }
    return NULL;
}

static const struct disk_driver *file_driver_of(const char *name)
{
    struct stat st;
    const struct disk_driver *dev = disk_driver_find("host_device");

    if (dev && !stat(name, &st) && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)))
        return dev;
    return disk_driver_find("file");
}

const struct disk_driver *name_protocol(const char *name, struct optlist *opts, struct error *err)
{
    const struct disk_driver *drv;
    const char *rest = str_after(name, "file:");

    if (rest || !name_has_protocol(name)) {
        rest = rest ? rest : name;
        optlist_add(opts, "filename", rest);
        return file_driver_of(rest);
    }
    drv = find_scheme(name);
    if (!drv) {
        fail(err, EINVAL, "Unknown protocol '%.*s'", (int)strcspn(name, ":"), name);
        fail_hint(err, "for a file with a colon in its name write ./%.60s", name);
        return NULL;
    }
    if (drv->parse_name)
        return drv->parse_name(name, opts, err) ? drv : NULL;
    optlist_add(opts, "filename", strchr(name, ':') + 1);
    return drv;
}

/* The name as seen from the folder that base lies in. */
char *name_relative(const char *base, const char *name)
{
    const char *slash, *scheme_end = name_has_protocol(base) ? strchr(base, ':') + 1 : base;

    if (name[0] == '/' || name_has_protocol(name))
        return xstrdup(name);
    if (!strncmp(scheme_end, "//", 2)) /* URL: the host is no folder */
        scheme_end += 2 + strcspn(scheme_end + 2, "/");
    slash = strrchr(scheme_end, '/');
    return xasprintf("%.*s%s", (int)((slash ? slash + 1 : scheme_end) - base), base, name);
}

static bool take_flag(struct optlist *opts, const char *key, unsigned bit, bool invert,
                      unsigned *flags, struct error *err)
{
    bool on = !(*flags & bit) == invert;

    if (!optlist_take_bool(opts, key, &on, err))
        return false;
    *flags = on != invert ? *flags | bit : *flags & ~bit;
    return true;
}

static bool bad_choice(const char *key, const char *value, const char *choices, struct error *err)
{
    fail(err, EINVAL, "%s: '%s' is not a choice", key, value);
    return fail_hint(err, "it takes %s", choices);
}

static bool take_discard(struct optlist *opts, unsigned *flags, struct error *err)
{
    const char *v = optlist_take(opts, "discard");

    if (!v)
        return true;
    if (!strcmp(v, "unmap") || !strcmp(v, "on"))
        *flags |= DISK_UNMAP;
    else if (!strcmp(v, "ignore") || !strcmp(v, "off"))
        *flags &= ~DISK_UNMAP;
    else
        return bad_choice("discard", v, "ignore or unmap", err);
    return true;
}

static bool take_detect_zeroes(struct optlist *opts, unsigned flags, struct common_options *ret,
                               struct error *err)
{
    const char *v = optlist_take(opts, "detect-zeroes");

    if (!v || !strcmp(v, "off"))
        return true;
    ret->detect_zeroes = true;
    ret->detect_zeroes_unmap = !strcmp(v, "unmap");
    if (ret->detect_zeroes_unmap && !(flags & DISK_UNMAP))
        return fail(err, EINVAL,
                    "setting detect-zeroes to unmap is not allowed without setting discard "
                    "operation to unmap");
    if (!ret->detect_zeroes_unmap && strcmp(v, "on") != 0)
        return bad_choice("detect-zeroes", v, "off, on or unmap", err);
    return true;
}

bool options_take_common(struct optlist *opts, unsigned *flags, struct common_options *ret,
                         struct error *err)
{
    *ret = (struct common_options){ .node_name = optlist_take(opts, "node-name") };
    if (!take_flag(opts, "read-only", DISK_RDWR, true, flags, err) ||
        !take_flag(opts, "auto-read-only", DISK_AUTO_RDONLY, false, flags, err) ||
        !take_flag(opts, "force-share", DISK_FORCE_SHARE, false, flags, err) ||
        !take_flag(opts, "cache.direct", DISK_DIRECT, false, flags, err) ||
        !take_flag(opts, "cache.no-flush", DISK_NO_FLUSH, false, flags, err) ||
        !take_discard(opts, flags, err))
        return false;
    if ((*flags & DISK_FORCE_SHARE) && (*flags & DISK_RDWR))
        return fail(err, EINVAL, "force-share=on can only be used with read-only images");
    return take_detect_zeroes(opts, *flags, ret, err);
}

/* Options as nested JSON again: "server.path" is {"server": {"path": ...}}. */
static void put_path(json_t *o, const char *key, json_t *own_value)
{
    const char *dot;

    while ((dot = strchr(key, '.'))) {
        AUTO_FREE char *part = xstrndup(key, dot - key);
        json_t *sub = json_object_get(o, part);

        if (!sub) {
            sub = json_object();
            json_object_set_new(o, part, sub);
        }
        o = sub;
        key = dot + 1;
    }
    json_object_set_new(o, key, own_value);
}

static json_t *option_value(const struct optlist_item *it)
{
    if (!it->is_literal)
        return json_string(it->value);
    if (!it->value[0])
        return json_null();
    if (!strcmp(it->value, "on") || !strcmp(it->value, "off"))
        return json_boolean(!strcmp(it->value, "on"));
    return json_integer(strtoll(it->value, NULL, 10));
}

static void describe_options(const struct disk *d, json_t *o)
{
    const struct optlist *l = &d->core->strong;

    for (size_t i = 0; i < l->count; i++)
        put_path(o, l->items[i].key, option_value(&l->items[i]));
}

static json_t *describe(const struct disk *d)
{
    bool leaf = d->driver->is_transport;
    json_t *o = json_object();

    if (!leaf)
        describe_options(d, o);
    json_object_set_new(o, "driver", json_string(d->driver->name));
    if (leaf)
        describe_options(d, o);
    if (leaf && d->filename && !d->core->strong.count)
        json_object_set_new(o, "filename", json_string(d->filename));
    for (const struct disk_edge *e = d->children; e; e = e->next_child) {
        if (e->role != ROLE_BACKING || d->core->backing_given)
            put_path(o, e->name, describe(e->node));
    }
    if (d->core->backing_given && !d->backing)
        json_object_set_new(o, "backing", json_null());
    return o;
}

/* A plain name opens the same thing again unless options changed what is read, or there is none. */
static bool plain_name_will_do(const struct disk *d)
{
    if (d->core->strong.count || d->core->backing_given)
        return false;
    if (d->driver->is_transport || (d->driver->schemes && d->filename))
        return d->filename != NULL;
    return d->file && !d->driver->is_filter &&
           (d->file->driver->is_transport || d->file->driver->schemes) &&
           !str_after(disk_filename(d->file), "json:");
}

void node_make_shown_name(struct disk *d)
{
    AUTO_FREE char *text = NULL;
    json_t *o;

    free(d->core->shown_name);
    d->core->shown_name = NULL;
    if (plain_name_will_do(d)) {
        d->core->shown_name = xstrdup(d->filename ? d->filename : disk_filename(d->file));
        return;
    }
    o = describe(d);
    text = json_dumps(o, 0);
    json_decref(o);
    d->core->shown_name = xasprintf("json:%s", text ? text : "{}");
}
