/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the NBD client. A connection carries the calls of many threads: each sends its request and
 * waits. One of those that wait reads the replies, for all of them, until its own has come; then
 * another goes on. So a lone caller costs no switch of threads, and no caller holds up the others.
 * Calls of queues wait for nobody: where there are such, a thread of the connection reads.
 */
#ifndef DISK_TRANSPORT_NBD_H
#define DISK_TRANSPORT_NBD_H

#include <pthread.h>

#include "base/optlist.h"
#include "base/socket.h"
#include "base/tls.h"
#include "disk/nbd_proto.h"
#include "disk/vec.h"

/* Where to connect and what to ask for. Constant. */
struct nbd_target {
    struct socket_addr addr;
    const char *export_name, *context; /* context: of block status */
    struct tls_creds *tls;             /* NULL: none */
    const char *tls_hostname;
    unsigned request_timeout_ms; /* nothing comes while requests wait: 0 waits for ever */
};

/* What the handshake agreed upon. */
struct nbd_params {
    uint64_t size;
    uint32_t flags;                /* enum nbd_transmission_flags */
    uint32_t min_block, max_block; /* 0: not said */
    uint32_t context_id;
    bool structured, has_context;
};

/* Connects and shakes hands within timeout_ms. NULL: err. */
struct channel *nbd_connect(const struct nbd_target *t, int timeout_ms, struct nbd_params *ret,
                            struct error *err);
/* The handshake alone; deadline_ns of CLOCK_MONOTONIC. */
bool nbd_handshake(const struct nbd_target *t, struct channel *c, uint64_t deadline_ns,
                   struct nbd_params *ret, struct error *err) MUST_CHECK;
uint64_t nbd_now_ns(void);

/* "nbd://...", "nbd:host:port" and the like into options. */
bool nbd_parse_name(const char *name, struct optlist *opts, struct error *err);

enum { NBD_IN_FLIGHT = 128 /* calls of one connection; more wait */ };

struct nbd_extent {
    uint32_t len, flags; /* bytes, at least 1; enum of nbd_proto.h */
};

/* A request and its reply; on its caller's stack. */
struct nbd_call {
    enum nbd_command command;
    unsigned flags; /* enum nbd_command_flags */
    uint64_t offset;
    uint32_t len;
    struct disk_vec vec;                /* READ and WRITE: len bytes */
    struct nbd_extent *extents;         /* BLOCK_STATUS: room for extents_max, at least 1 */
    uint32_t extents_max, extent_count; /* those that came; more are dropped */
    /* the connection's */
    pthread_cond_t woken;
    struct nbd_call *next_waiting;
    uint64_t cookie;
    uint32_t received; /* bytes of a READ */
    int error;         /* 0 or -errno; the reader's until done */
    bool done;
    /* Of a call that nobody waits for: told by the reading thread when it has ended; error is
     * -ENOTCONN when the connection was lost. The call is the callee's to free. */
    void (*ended)(struct nbd_call *call);
    struct nbd_call *next_to_send;
};

struct nbd_conn;
struct nbd_conn *nbd_conn_new(const struct nbd_target *t, struct channel *own_channel,
                              const struct nbd_params *p);
void nbd_conn_free(struct nbd_conn *c); /* says goodbye; no call may be inside; NULL is fine */
/* Calls inside, roughly; a lost connection counts as full, for others are better. */
unsigned nbd_conn_load(const struct nbd_conn *c);

/* Carries out the call; 0 or -errno of the server. -ENOTCONN: the connection was lost, or could not
 * be made again in time; what the server has done of the call is not known. */
int nbd_conn_run(struct nbd_conn *c, struct nbd_call *call) MUST_CHECK;

/* Begins a call that has ended() set, without waiting; it is sent by nbd_conn_kick(). The first one
 * gives the connection a thread that does the reading from then on. False: no room, no connection.
 */
bool nbd_conn_start(struct nbd_conn *c, struct nbd_call *call) MUST_CHECK;
void nbd_conn_kick(struct nbd_conn *c);

#endif
