/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside net/: user networking's two files. */
#ifndef NET_USER_H
#define NET_USER_H

#include <libslirp.h>

#include "net/net_priv.h"

/* A TCP port of the guest's network that leads to a chardev. */
struct user_fwd {
    struct user *user;
    struct chardev *chr;
    struct in_addr addr;
    int port;
    struct user_fwd *next;
};

struct user {
    struct netdev nd;
    Slirp *slirp;
    struct loop_poller poller;
    bool in_poller;
    SlirpConfig config;
    struct in_addr guest; /* what hostfwd means without an address */
    char **search;        /* dnssearch, NULL-terminated */
    struct user_fwd *fwds;
    /* to the guest: what it has no room for waits */
    struct net_gro gro;
    struct net_queue *queue;
    uint8_t *flat; /* a frame from the guest in one piece */
};

/* user_fwd.c */
bool user_hostfwd(struct user *u, const char *rule, struct error *err) MUST_CHECK;
bool user_guestfwd(struct user *u, const char *rule, struct error *err) MUST_CHECK;
void user_fwds_kick(struct user *u); /* a connection may have room again */
void user_fwds_free(struct user *u);
bool user_parse_ip4(const char *option, const char *text, struct in_addr *ret,
                    struct error *err) MUST_CHECK;

#endif
