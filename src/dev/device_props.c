/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Properties of a device by name: its own, those of every device on its kind of bus, and those of
 * the device inside a proxy. Links take their object from the machine's lists and give it back.
 */
#include "dev/device_props.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/str.h"
#include "dev/bus.h"

static struct device *inner_device(struct device *dev)
{
    return dev->type->inner_of ? dev->type->inner_of(dev) : NULL;
}

static const struct field *bus_props(const struct device *dev)
{
    const struct bus_type *t = bus_type_find(dev->type->bus);
    return t ? t->props : NULL;
}

const struct field *device_prop(struct device *dev, const char *prop, struct device **ret_owner)
{
    for (struct device *d = dev; d; d = inner_device(d)) {
        const struct field *f = field_find(d->type->props, prop);
        if (!f)
            f = field_find(bus_props(d), prop);
        if (f) {
            *ret_owner = d;
            return f;
        }
    }
    return NULL;
}

void device_props_each(struct device *dev,
                       void (*fn)(struct device *owner, const struct field *f, void *opaque),
                       void *opaque)
{
    for (struct device *d = dev; d; d = inner_device(d)) {
        const struct field *tables[] = { d->type->props, bus_props(d) };
        for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
            for (const struct field *f = tables[i]; f && f->name; f++) {
                struct device *owner = NULL;
                if (device_prop(dev, f->wire ? f->wire : f->name, &owner) == f)
                    fn(owner, f, opaque);
            }
        }
    }
}

struct names {
    const char *name[200];
    size_t count;
};

static void add_name(struct device *owner, const struct field *f, void *opaque)
{
    struct names *n = opaque;
    if (n->count < ARRAY_SIZE(n->name) - 1)
        n->name[n->count++] = f->wire ? f->wire : f->name;
}

static bool unknown(struct device *dev, const char *prop, struct error *err)
{
    struct names n = { .count = 0 };
    device_props_each(dev, add_name, &n);
    n.name[n.count] = NULL;
    const char *near = nearest_name(prop, n.name);
    (void)fail(err, ENOENT, "no property is called '%s'", prop);
    if (near)
        return fail_hint(err, "did you mean '%s'? -device %s,help lists them", near,
                         dev->type->name);
    return n.count ? fail_hint(err, "-device %s,help lists them", dev->type->name)
                   : fail_hint(err, "it has no properties");
}

static void **link_of(struct device *dev, const struct field *f)
{
    return (void **)((char *)dev + f->offset);
}

static void unlink_prop(struct device *dev, const struct field *f)
{
    void **p = link_of(dev, f);
    if (*p && dev->ctx.links)
        dev->ctx.links->give_back(dev->ctx.links->opaque, dev, f->link, *p);
    *p = NULL;
}

static bool link_prop(struct device *dev, const struct field *f, const char *name,
                      struct error *err)
{
    const struct device_links *l = dev->ctx.links;
    void *object = NULL;
    if (!l)
        return fail(err, ENOTSUP, "%s: nothing can be named here", f->wire ? f->wire : f->name);
    unlink_prop(dev, f);
    if (!l->take(l->opaque, dev, f->link, name, &object, err)) {
        err_prefix(err, "%s: ", f->wire ? f->wire : f->name);
        return false;
    }
    *link_of(dev, f) = object;
    return true;
}

bool device_set(struct device *dev, const char *prop, const char *value, struct error *err)
{
    struct device *owner = dev;
    assert(!dev->ready);
    const struct field *f = device_prop(dev, prop, &owner);
    bool ok = !f ? unknown(dev, prop, err)
              : f->kind == FIELD_POINTER
                  ? link_prop(owner, f, value, err)
                  : field_set_str(owner, (const struct field[]){ *f, { 0 } }, f->name, value, err);
    if (!ok)
        err_prefix(err, "device '%s' (%s): ", dev->id, dev->type->name);
    return ok;
}

void device_props_finish(struct device *dev)
{
    const struct field *tables[] = { dev->type->props, bus_props(dev) };
    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const struct field *f = tables[i]; f && f->name; f++)
            if (f->kind == FIELD_POINTER)
                unlink_prop(dev, f);
        field_free_strings(dev, tables[i]);
    }
}
