/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every NIC has: a netdev by its property, an address, a place in the boot order. */
#ifndef DEV_NET_NIC_H
#define DEV_NET_NIC_H

#include "dev/device.h"
#include "net/net.h"

struct nic_conf {
    struct netdev *netdev; /* NULL: a cable that leads nowhere */
    char *mac_text;        /* property; NULL: the next free one */
    int32_t bootindex;
    /* after nic_settle() */
    uint8_t mac[NET_MAC_SIZE];
};

#define NIC_PROPS(T, m)                                                                            \
    FIELD_LINK(T, m.netdev, "netdev", .wire = "netdev", .optional = true,                          \
               .doc = "id of -netdev that it is connected to"),                                    \
        FIELD(T, m.mac_text, .wire = "mac",                                                        \
              .doc = "Ethernet address, as 52:54:00:12:34:56 [the next free one]"),                \
        FIELD(T, m.bootindex, .wire = "bootindex", .min = -1, .max = INT32_MAX,                    \
              .doc = "place in the boot order [none]")

void nic_defaults(struct nic_conf *c); /* from defaults() */
/* From init: checks, finds the address. */
bool nic_settle(struct nic_conf *c, struct device *dev, struct error *err) MUST_CHECK;

#endif
