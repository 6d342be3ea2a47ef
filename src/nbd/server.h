/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The NBD server: exports of disk nodes over stream sockets. rhea-nbd runs one; the monitor will
 * too. Each connection has a thread that reads requests and a disk queue that carries them out;
 * replies are sent as they complete.
 */
#ifndef NBD_SERVER_H
#define NBD_SERVER_H

#include "base/authz.h"
#include "base/tls.h"
#include "disk/disk.h"

struct nbd_server;

struct nbd_server_options {
    struct tls_creds *tls;        /* NULL: none; else each client must STARTTLS */
    struct authz *authz;          /* asked for the name of the client's certificate, or NULL */
    unsigned max_clients;         /* 0: no limit */
    unsigned handshake_timeout_s; /* 0: 10 */
    /* Called (any thread, under the server's lock) when the number of clients changes; served: one
     * left that had come as far as requests. */
    void (*clients_changed)(struct nbd_server *s, unsigned count, bool served, void *opaque);
    /* Called (a client's thread) with why a client was sent away; may be NULL. */
    void (*complain)(struct nbd_server *s, const struct error *err, void *opaque);
    void *opaque;
};

struct nbd_export_options {
    const char *name, *description; /* name "" is the default export */
    bool writable, allocation_depth;
    bool multi_conn; /* several clients may connect; what one flushes all have flushed */
    const char *const
        *bitmaps; /* names, found in the node or its backing chain; NULL-terminated or NULL */
    uint64_t offset, size; /* size 0: to the end */
};

struct nbd_server *nbd_server_new(const struct nbd_server_options *o);
void nbd_server_free(
    struct nbd_server *s); /* ends all clients, waits for their requests, flushes */

/* Takes a reference of d. */
bool nbd_server_export(struct nbd_server *s, struct disk *d, const struct nbd_export_options *o,
                       struct error *err) MUST_CHECK;
/* Nobody finds it by that name any more. Clients that use it go on, unless hard ends them. */
bool nbd_server_remove(struct nbd_server *s, const char *name, bool hard,
                       struct error *err) MUST_CHECK;

/* Serves a connected socket on a thread of its own. */
bool nbd_server_add_client(struct nbd_server *s, int own_fd, struct error *err) MUST_CHECK;
unsigned nbd_server_clients(struct nbd_server *s);

#endif
