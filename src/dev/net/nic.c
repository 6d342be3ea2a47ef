/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/net/nic.h"

#include <string.h>

void nic_defaults(struct nic_conf *c)
{
    c->bootindex = -1;
}

/* The networks of this VM, which know the addresses in use; NULL in a test without any. */
static struct net_set *networks(struct nic_conf *c, struct device *dev)
{
    const struct device_links *links = dev->ctx.links;
    void *set = NULL;
    struct error err;

    if (c->netdev)
        return c->netdev->set;
    return links && links->take && links->take(links->opaque, dev, "networks", "", &set, &err)
               ? set
               : NULL;
}

bool nic_settle(struct nic_conf *c, struct device *dev, struct error *err)
{
    struct net_set *s = networks(c, dev);

    if (c->mac_text) {
        if (!net_parse_mac(c->mac_text, c->mac, err))
            return false;
        net_set_mac_used(s, c->mac);
    } else {
        net_set_mac(s, c->mac);
    }
    return true;
}
