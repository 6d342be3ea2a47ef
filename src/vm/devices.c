/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -device: finds the type, makes it, sets its properties, finds its bus, plugs it in and
 * initialises it; and what devices name by their properties (drives, objects).
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/str.h"
#include "chardev/chardevs.h"
#include "net/net.h"
#include "vm/vm_priv.h"

/* --- what devices name --- */

/* Objects of a kind: "iothread" is that type, "rng" each type whose name begins with "rng-". */
static bool take_object(struct vm *vm, const char *kind, const char *name, void **ret,
                        struct error *err)
{
    const struct object_type *types[16], *found;
    unsigned n = 0;
    for (unsigned i = 0; object_types[i] && n < ARRAY_SIZE(types); i++) {
        const char *rest = str_after(object_types[i]->name, kind);
        if (rest && (!*rest || *rest == '-'))
            types[n++] = object_types[i];
    }
    if (!n)
        return fail(err, ENOTSUP, "there are no objects of kind %s in this release", kind);
    void *object = object_find_any(vm->objects, name, types, n, &found, err);
    if (object)
        *ret = object;
    return object != NULL;
}

static bool take(void *opaque, struct device *user, const char *kind, const char *name, void **ret,
                 struct error *err)
{
    struct vm *vm = opaque;
    if (!strcmp(kind, "drive"))
        return vm_drive_take(vm, user, name, ret, err);
    if (!strcmp(kind, "chardev")) {
        struct chardev *c = chardevs_take(vm->chardevs, name, err);
        if (c)
            *ret = c;
        return c != NULL;
    }
    if (!strcmp(kind, "netdev")) {
        struct netdev *nd = net_set_take(vm->networks, name, err);
        if (nd)
            *ret = nd;
        return nd != NULL;
    }
    if (!strcmp(kind, "networks")) {
        *ret = vm->networks;
        return true;
    }
    return take_object(vm, kind, name, ret, err);
}

static void give_back(void *opaque, struct device *user, const char *kind, void *object)
{
    struct vm *vm = opaque;
    if (!strcmp(kind, "drive"))
        vm_drive_give_back(vm, object);
    else if (!strcmp(kind, "chardev"))
        chardevs_give_back(vm->chardevs, object);
    else if (!strcmp(kind, "netdev"))
        net_set_give_back(object);
}

static unsigned bus_number(void *opaque, const char *kind)
{
    struct vm *vm = opaque;
    unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(vm->bus_numbers, kind));
    g_hash_table_insert(vm->bus_numbers, (void *)kind, GUINT_TO_POINTER(n + 1));
    return n;
}

static void quit(void *opaque, int status)
{
    vm_request_exit(opaque, status);
}

static bool set_entry(void *opaque, unsigned cpu, uint64_t pc)
{
    struct vm *vm = opaque;
    if (cpu >= vm->board->cpu_count)
        return false;
    vm->has_entry[cpu] = true;
    vm->entry[cpu] = pc;
    return true;
}

static void prepare(void *opaque, struct device *dev)
{
    vm_apply_globals(opaque, dev);
}

void vm_links_init(struct vm *vm)
{
    vm->links = (struct device_links){
        .take = take,
        .give_back = give_back,
        .prepare = prepare,
        .bus_number = bus_number,
        .set_entry = set_entry,
        .quit = quit,
        .opaque = vm,
    };
}

/* --- one device --- */

struct device *vm_device_find(struct vm *vm, const char *id)
{
    for (unsigned i = 0; i < vm->devices->len; i++) {
        struct device *d = vm->devices->pdata[i];
        if (!d->anonymous && !strcmp(d->id, id))
            return d;
    }
    return NULL;
}

static bool check_id(struct vm *vm, const char *id, struct error *err)
{
    bool ok = isalpha((unsigned char)id[0]);
    for (const char *p = id; ok && *p; p++)
        ok = isalnum((unsigned char)*p) || strchr("-._", *p);
    if (!ok) {
        (void)fail(err, EINVAL, "id '%s' is no identifier", id);
        return fail_hint(err, "letters, digits, '-', '.', '_', starting with a letter");
    }
    if (!vm_device_find(vm, id))
        return true;
    (void)fail(err, EEXIST, "duplicate device ID '%s'", id);
    return fail_hint(err, "give each -device an id of its own");
}

struct bus_names {
    char text[80];
    const char *name[64];
    unsigned count;
};

static void add_bus_name(struct device_bus *b, void *opaque)
{
    struct bus_names *n = opaque;
    size_t used = strlen(n->text);
    snprintf(n->text + used, sizeof n->text - used, "%s%s", used ? ", " : "", b->name);
    if (n->count < ARRAY_SIZE(n->name) - 1)
        n->name[n->count++] = b->name;
}

static bool no_such_bus(struct vm *vm, const char *name, const char *kind, struct error *err)
{
    struct bus_names n = { .count = 0 };
    bus_list(vm->board->buses, kind, add_bus_name, &n);
    (void)fail(err, ENODEV, "bus '%s' not found", name);
    return n.count ? fail_hint(err, "buses of kind %s: %s", kind, n.text)
                   : fail_hint(err, "this machine has no bus of kind %s", kind);
}

static bool no_free_bus(struct vm *vm, const struct device_type *t, struct error *err)
{
    struct bus_names n = { .count = 0 };
    bus_list(vm->board->buses, t->bus, add_bus_name, &n);
    if (n.count)
        return fail(err, EBUSY, "no %s bus has room: %s %s full", t->bus, n.text,
                    n.count > 1 ? "are" : "is");
    (void)fail(err, ENODEV, "no '%s' bus found for device '%s'", t->bus, t->name);
    const struct device_type *adapter = NULL;
    for (const struct device_type *const *p = device_types; *p; p++) {
        const char *offers = (*p)->inner ? (*p)->inner->offers : (*p)->offers;
        if ((*p)->bus && offers && !strcmp(offers, t->bus) &&
            (!adapter || !bus_find_kind(vm->board->buses, adapter->bus, true)))
            adapter = *p;
    }
    if (adapter)
        return fail_hint(err, "add one before it: -device %s", adapter->name);
    return fail_hint(err, "this machine has none");
}

static struct device_bus *choose_bus(struct vm *vm, const struct device_type *t, const char *name,
                                     struct error *err)
{
    struct device_bus *list = vm->board->buses, *b;
    if (!name) {
        b = bus_find_kind(list, t->bus, true);
        if (!b)
            (void)no_free_bus(vm, t, err);
        return b;
    }
    b = bus_find(list, name);
    if (!b) {
        (void)no_such_bus(vm, name, t->bus, err);
    } else if (strcmp(b->type->name, t->bus)) {
        struct bus_names n = { .count = 0 };
        bus_list(list, t->bus, add_bus_name, &n);
        (void)fail(err, EINVAL, "device '%s' cannot go on %s bus '%s'", t->name, b->type->name,
                   b->name);
        if (n.count)
            (void)fail_hint(err, "it goes on a bus of kind %s: %s", t->bus, n.text);
        else
            (void)fail_hint(err, "it goes on a bus of kind %s, and there is none", t->bus);
        b = NULL;
    }
    return b;
}

static bool set_props(struct device *dev, struct optlist *l, struct error *err)
{
    for (size_t i = 0; i < l->count; i++) {
        struct optlist_item *it = &l->items[i];
        if (it->taken)
            continue;
        it->taken = true;
        if (!device_set(dev, it->key, it->value, err))
            return false;
    }
    return true;
}

static bool add_parsed(struct vm *vm, struct optlist *l, struct error *err)
{
    const char *name = optlist_take(l, "driver"), *id = optlist_take(l, "id");
    const char *bus_name = optlist_take(l, "bus");
    const struct device_ctx ctx = { .loop = vm->loop,
                                    .dma = vm->board->mem,
                                    .links = &vm->links,
                                    .displays = &vm->displays,
                                    .cpus = vm->board->cpu_count };
    if (!name)
        return fail(err, EINVAL, "which device?") ||
               fail_hint(err, "write -device NAME,...; -device help lists them");
    const struct device_type *t = device_type_need(name, err);
    if (!t || (id && !check_id(vm, id, err)))
        return false;
    struct device_bus *bus = choose_bus(vm, t, bus_name, err);
    if (!bus)
        return false;
    struct device *dev = device_new(t, id, &ctx);
    dev->anonymous = !id;
    if (!set_props(dev, l, err))
        goto fail;
    if (!vm_drive_share(dev, err) || !bus_plug(bus, dev, err)) {
        err_prefix(err, "device '%s' (%s): ", dev->id, t->name);
        goto fail;
    }
    if (!device_init(dev, err))
        goto fail;
    g_ptr_array_add(vm->devices, dev);
    return true;
fail:
    device_free(dev);
    return false;
}

static bool parse(struct optlist *l, const char *text, struct error *err)
{
    return *text == '{' ? optlist_parse_json(l, text, err) : optlist_parse(l, text, "driver", err);
}

bool vm_add_device(struct vm *vm, const char *text, struct error *err)
{
    struct optlist l = { 0 };
    bool ok = parse(&l, text, err) && add_parsed(vm, &l, err);
    optlist_finish(&l);
    return ok;
}

bool vm_add_devices(struct vm *vm, struct error *err)
{
    for (const char *const *p = vm->config.devices; p && *p; p++) {
        if (!vm_add_device(vm, *p, err)) {
            if (!str_after(err->msg, "device '"))
                err_prefix(err, "-device %.*s: ", (int)MIN(strlen(*p), 40), *p);
            return false;
        }
    }
    return true;
}

void vm_free_devices(struct vm *vm)
{
    for (unsigned i = vm->devices ? vm->devices->len : 0; i-- > 0;)
        device_free(vm->devices->pdata[i]);
    if (vm->devices)
        g_ptr_array_set_size(vm->devices, 0);
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (!strcmp(name, *names))
            return true;
    return false;
}

bool vm_asks_for(const struct vm *vm, const char *const *types)
{
    bool found = false;
    for (const char *const *p = vm->config.devices; p && *p && !found; p++) {
        struct optlist l = { 0 };
        struct error err;
        const char *name = parse(&l, *p, &err) ? optlist_take(&l, "driver") : NULL;
        const struct device_type *t = name ? device_type_find(name) : NULL;
        found = t && is_one_of(t->name, types);
        optlist_finish(&l);
    }
    return found;
}
