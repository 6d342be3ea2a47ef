/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buses: who is plugged in where. What a place on a bus is, the bus type knows. */
#include "dev/bus.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"

const struct bus_type *bus_type_find(const char *name)
{
    for (const struct bus_type *const *t = bus_types; name && *t; t++)
        if (!strcmp((*t)->name, name))
            return *t;
    return NULL;
}

/* Buses of owners that the user gave no id count by kind: "scsi.0". */
static char *bus_name(const struct bus_type *type, const struct device *owner, unsigned n)
{
    const struct device_links *l = owner->ctx.links;
    if (!owner->anonymous || !l || !l->bus_number)
        return xasprintf("%s.%u", owner->id, n);
    char *name = xasprintf("%s.%u", type->name, l->bus_number(l->opaque, type->name));
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return name;
}

void bus_init(struct device_bus *bus, const struct bus_type *type, struct device *owner,
              const char *name, void *opaque)
{
    unsigned n = 0;
    struct device_bus **p = owner ? &owner->buses : NULL;
    for (; p && *p; p = &(*p)->next)
        n++;
    *bus = (struct device_bus){ .type = type, .owner = owner, .opaque = opaque };
    bus->name = name ? xstrdup(name) : bus_name(type, owner, n);
    if (p)
        *p = bus;
}

void bus_finish(struct device_bus *bus)
{
    if (!bus->type)
        return;
    assert(!bus->first);
    for (struct device_bus **p = bus->owner ? &bus->owner->buses : NULL; p && *p; p = &(*p)->next) {
        if (*p == bus) {
            *p = bus->next;
            break;
        }
    }
    free(bus->name);
    *bus = (struct device_bus){ 0 };
}

bool bus_plug(struct device_bus *bus, struct device *dev, struct error *err)
{
    assert(!dev->parent && !dev->ready);
    if (bus->room && bus->count >= bus->room)
        return fail(err, EBUSY, "bus '%s' is full: it takes %u device%s", bus->name, bus->room,
                    bus->room == 1 ? "" : "s");
    dev->parent = bus;
    if (bus->type->plug && !bus->type->plug(bus, dev, err)) {
        dev->parent = NULL;
        return false;
    }
    struct device **p = &bus->first;
    while (*p)
        p = &(*p)->next_sibling;
    *p = dev;
    bus->count++;
    return true;
}

void bus_unplug(struct device *dev)
{
    struct device_bus *bus = dev->parent;
    if (!bus)
        return;
    if (bus->type->unplug)
        bus->type->unplug(bus, dev);
    for (struct device **p = &bus->first; *p; p = &(*p)->next_sibling) {
        if (*p == dev) {
            *p = dev->next_sibling;
            bus->count--;
            break;
        }
    }
    dev->parent = NULL;
    dev->next_sibling = NULL;
}

void bus_walk(struct device_bus *bus, void (*fn)(struct device *dev, void *opaque), void *opaque)
{
    for (struct device *d = bus->first, *next; d; d = next) {
        next = d->next_sibling;
        fn(d, opaque);
        for (struct device_bus *b = d->buses; b; b = b->next)
            bus_walk(b, fn, opaque);
    }
}

struct device_bus *bus_find(struct device_bus *list, const char *name)
{
    for (struct device_bus *b = list; b; b = b->next) {
        if (!strcmp(b->name, name) || (b->owner && b->owner->id && !strcmp(b->owner->id, name)))
            return b;
        for (struct device *d = b->first; d; d = d->next_sibling) {
            struct device_bus *found = bus_find(d->buses, name);
            if (found)
                return found;
        }
    }
    return NULL;
}

static bool has_room(const struct device_bus *b)
{
    return !b->room || b->count < b->room;
}

struct device_bus *bus_find_kind(struct device_bus *list, const char *kind, bool with_room)
{
    for (struct device_bus *b = list; b; b = b->next)
        if (!strcmp(b->type->name, kind) && (!with_room || has_room(b)))
            return b;
    for (struct device_bus *b = list; b; b = b->next) {
        for (struct device *d = b->first; d; d = d->next_sibling) {
            struct device_bus *found = bus_find_kind(d->buses, kind, with_room);
            if (found)
                return found;
        }
    }
    return NULL;
}

void bus_list(struct device_bus *list, const char *kind, void (*fn)(struct device_bus *, void *),
              void *opaque)
{
    for (struct device_bus *b = list; b; b = b->next) {
        if (!kind || !strcmp(b->type->name, kind))
            fn(b, opaque);
        for (struct device *d = b->first; d; d = d->next_sibling)
            bus_list(d->buses, kind, fn, opaque);
    }
}

char *device_fw_path(const struct device *dev)
{
    char part[64] = "";
    AUTO_FREE char *above = NULL;
    if (!dev || !dev->parent)
        return xstrdup("");
    if (dev->parent->type->fw_path)
        dev->parent->type->fw_path(dev, part, sizeof part);
    above = dev->parent->owner ? device_fw_path(dev->parent->owner)
                               : xstrdup(dev->parent->fw_root ? dev->parent->fw_root : "");
    return part[0] ? xasprintf("%s/%s", above, part) : TAKE(above);
}
