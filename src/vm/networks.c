/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Networks of the command line: -netdev, -nic, -net and the NICs that the last two ask for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/filter_dump.h"
#include "base/scope.h"
#include "base/str.h"
#include "net/net.h"
#include "vm/vm_priv.h"

/* --- before the board: what needs no device --- */

static bool add_each(const char *const *list, struct net_set *s, struct error *err)
{
    for (const char *const *p = list; p && *p; p++)
        if (!net_set_add(s, *p, err))
            return false;
    return true;
}

bool vm_make_networks(struct vm *vm, struct error *err)
{
    const struct net_env env = { vm->loop, vm->chardevs };
    vm->networks = net_set_new(&env);
    return add_each(vm->config.netdevs, vm->networks, err);
}

/* --- NICs --- */

static const char *default_model(const struct vm *vm)
{
    return bus_find_kind(vm->board->buses, "PCI", false) ? "e1000" : "virtio-net-device";
}

static const struct device_type *find_model(const struct vm *vm, const char *model,
                                            struct error *err)
{
    const char *names[64];
    unsigned n = 0;
    if (!model)
        model = default_model(vm);
    if (!strcmp(model, "virtio"))
        model = "virtio-net-pci";
    const struct device_type *t = device_type_find(model);
    if (t && t->category == DEVICE_NETWORK)
        return t;
    for (const struct device_type *const *p = device_types; *p && n < 63; p++)
        if ((*p)->category == DEVICE_NETWORK)
            names[n++] = (*p)->name;
    names[n] = NULL;
    const char *near = nearest_name(model, names);
    (void)fail(err, EINVAL, "unsupported NIC model '%s'", model);
    if (near)
        (void)fail_hint(err, "did you mean '%s'?", near);
    else
        (void)fail_hint(err, "-nic model=help lists them");
    return NULL;
}

/* The device for a NIC on this netdev (NULL: on none). Options that are its own are taken. */
static bool add_nic(struct vm *vm, struct optlist *o, const char *mac_key, const char *netdev,
                    struct error *err)
{
    const struct device_type *t = find_model(vm, optlist_take(o, "model"), err);
    const char *mac = optlist_take(o, mac_key), *addr = optlist_take(o, "addr");
    const char *vectors = optlist_take(o, "vectors");
    if (!t)
        return false;
    AUTO_FREE char *nd = netdev ? xasprintf(",netdev=%s", netdev) : xstrdup("");
    AUTO_FREE char *m = mac ? xasprintf(",mac=%s", mac) : xstrdup("");
    AUTO_FREE char *a = addr ? xasprintf(",addr=%s", addr) : xstrdup("");
    /* as QEMU: for virtio alone, others have none */
    AUTO_FREE char *v =
        vectors && str_after(t->name, "virtio") ? xasprintf(",vectors=%s", vectors) : xstrdup("");
    AUTO_FREE char *text = xasprintf("%s%s%s%s%s", t->name, nd, m, a, v);
    return vm_add_device(vm, text, err);
}

/* -nic: a netdev and a NIC in one. */
static bool add_pair(struct vm *vm, const char *text, unsigned n, struct error *err)
{
    struct optlist o = { 0 }, nic = { 0 };
    static const char *const keys[] = { "model", "mac", "addr", "vectors" };
    AUTO_FREE char *made = xasprintf("nic%u", n);
    bool ok = optlist_parse(&o, text, "type", err);
    for (unsigned i = 0; ok && i < ARRAY_SIZE(keys); i++) {
        const char *value = optlist_take(&o, keys[i]);
        if (value)
            optlist_add(&nic, keys[i], value);
    }
    const char *id = ok ? optlist_take(&o, "id") : NULL;
    ok = ok && (!id || *id || fail(err, EINVAL, "id is empty"));
    id = id ? id : made;
    ok = ok && net_set_open(vm->networks, &o, id, err) && add_nic(vm, &nic, "mac", id, err);
    optlist_finish(&o);
    optlist_finish(&nic);
    if (!ok)
        err_prefix(err, "-nic %.40s: ", text);
    return ok;
}

/* -net nic: on the netdev it names, or on hub 0. */
static bool add_hub_nic(struct vm *vm, struct optlist *o, struct error *err)
{
    const char *netdev = optlist_take(o, "netdev");
    (void)optlist_take(o, "name"); /* for a monitor */
    if (!netdev) {
        struct netdev *port = net_set_hub_port(vm->networks, 0, NULL, err);
        if (!port)
            return false;
        netdev = port->id;
    }
    return add_nic(vm, o, "macaddr", netdev, err) && optlist_done(o, "nic", err);
}

/* -net TYPE: a netdev on hub 0. */
static bool add_hub_netdev(struct vm *vm, struct optlist *o, const char *type, unsigned n,
                           struct error *err)
{
    const char *name = optlist_take(o, "name"), *id = optlist_take(o, "id");
    AUTO_FREE char *made = xasprintf("%s.%u", type, n);
    struct netdev *nd = net_set_open(vm->networks, o, id ? id : name ? name : made, err);
    struct netdev *port = nd ? net_set_hub_port(vm->networks, 0, NULL, err) : NULL;
    return port && net_hub_attach(port, nd, err);
}

static bool add_net(struct vm *vm, const char *text, unsigned n, struct error *err)
{
    struct optlist o = { 0 };
    bool ok = optlist_parse(&o, text, "type", err);
    const char *type = ok ? optlist_take(&o, "type") : NULL;
    if (ok && !type)
        ok = fail(err, EINVAL, "the type is missing");
    else if (ok && !strcmp(type, "nic"))
        ok = add_hub_nic(vm, &o, err);
    else if (ok)
        ok = add_hub_netdev(vm, &o, type, n, err);
    optlist_finish(&o);
    if (!ok)
        err_prefix(err, "-net %.40s: ", text);
    return ok;
}

bool vm_add_nics(struct vm *vm, struct error *err)
{
    const struct vm_config *c = &vm->config;
    unsigned n = 0;
    for (const char *const *p = c->nics; p && *p; p++)
        if (!add_pair(vm, *p, n++, err))
            return false;
    n = 0;
    for (const char *const *p = c->nets; p && *p; p++)
        if (!add_net(vm, *p, n++, err))
            return false;
    /* as QEMU: a machine has a network unless something about networks was said */
    if (c->no_default_net || !bus_find_kind(vm->board->buses, "PCI", true))
        return true;
    return add_pair(vm, "user", 0, err);
}

/* --- when all devices are there --- */

static bool start_dump(void *opaque, const char *id, void *obj, struct error *err)
{
    const struct filter_dump *d = obj;
    return net_set_dump(opaque, id, d->netdev, d->file, d->maxlen, err);
}

static void warn_unused(const char *id)
{
    fprintf(stderr, "warning: netdev %s has no peer\n", id);
}

bool vm_settle_networks(struct vm *vm, struct error *err)
{
    if (!net_set_settle(vm->networks, err) ||
        !object_each(vm->objects, &filter_dump_object, start_dump, vm->networks, err))
        return false;
    net_set_each_unused(vm->networks, warn_unused);
    return true;
}
