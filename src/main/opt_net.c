/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -netdev, -nic, -net. They are kept as written; the VM makes them in order. */
#include "main/options.h"

#include "base/str.h"
#include "dev/device.h"
#include "net/net.h"

#include <string.h>

static bool asks_for_list(const char *text)
{
    return !strcmp(text, "help") || !strcmp(text, "?");
}

static void print_netdevs(const struct options *o, FILE *f)
{
    netdev_help(f);
}

static void print_nic_models(const struct options *o, FILE *f)
{
    fprintf(f, "Supported NIC models:\n");
    for (const struct device_type *const *p = device_types; *p; p++)
        if ((*p)->category == DEVICE_NETWORK && (*p)->bus && !strcmp((*p)->bus, "PCI"))
            fprintf(f, "%s\n", (*p)->name);
}

static bool asks_for_models(const char *arg)
{
    const char *model = strstr(arg, "model=");
    return model && asks_for_list(model + 6);
}

bool opt_netdev(struct options *o, const char *arg, struct error *err)
{
    o->net_given = true;
    if (asks_for_list(arg) || (str_after(arg, "type=") && asks_for_list(arg + 5)))
        o->print = print_netdevs;
    else
        options_add(&o->netdevs, arg);
    return true;
}

static bool keep_nic(struct options *o, GPtrArray **list, const char *arg)
{
    o->net_given = true;
    if (asks_for_models(arg))
        o->print = print_nic_models;
    else if (asks_for_list(arg))
        o->print = print_netdevs;
    else if (strcmp(arg, "none"))
        options_add(list, arg);
    return true;
}

bool opt_nic(struct options *o, const char *arg, struct error *err)
{
    return keep_nic(o, &o->nics, arg);
}

bool opt_net(struct options *o, const char *arg, struct error *err)
{
    return keep_nic(o, &o->nets, arg);
}

bool net_settle(struct options *o, struct error *err)
{
    o->vm.netdevs = options_list(o->netdevs);
    o->vm.nics = options_list(o->nics);
    o->vm.nets = options_list(o->nets);
    o->vm.no_default_net = o->nodefaults || o->net_given;
    return true;
}

void net_options_finish(struct options *o)
{
    GPtrArray *lists[] = { o->netdevs, o->nics, o->nets };
    for (unsigned i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (lists[i])
            g_ptr_array_unref(lists[i]);
}
