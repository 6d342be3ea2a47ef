/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The insides of the NBD server. A client belongs to its thread; server and exports are shared:
 * server.lock guards the lists and the reference counts, the rest of an export is constant.
 */
#ifndef NBD_SERVER_PRIV_H
#define NBD_SERVER_PRIV_H

#include <pthread.h>

#include "disk/bitmap.h"
#include "disk/nbd_proto.h"
#include "disk/queue.h"
#include "nbd/server.h"

enum {
    NBD_MAX_BITMAPS = 64,       /* of one export */
    NBD_MAX_IN_FLIGHT = 128,    /* requests of a client */
    NBD_MAX_BYTES = 64 << 20,   /* of their buffers; one request always fits */
    NBD_MAX_OPTION = 64 << 10,  /* bytes of a handshake option that we look at */
    NBD_MAX_OPTIONS = 1000,     /* in one handshake */
    NBD_POOL_BYTES = 16 << 20,  /* of idle buffers that a client keeps */
    NBD_MAX_EXTENTS = 16 << 10, /* in one reply to BLOCK_STATUS, per context */
    NBD_MAX_CHUNKS = 64,        /* of data and holes in one reply to READ */
    NBD_INPUT = 32 << 10,       /* read ahead of a client's requests */
    NBD_PREFERRED_BLOCK = 4096,
};

/* Contexts of BLOCK_STATUS, by the ids we give them. */
enum {
    NBD_CONTEXT_BASE,
    NBD_CONTEXT_DEPTH,
    NBD_CONTEXT_BITMAP,
    NBD_CONTEXT_COUNT = NBD_CONTEXT_BITMAP + NBD_MAX_BITMAPS,
};

struct nbd_server {
    struct nbd_server_options o;
    pthread_mutex_t lock;
    pthread_cond_t gone; /* a client went */
    struct nbd_export *exports;
    struct nbd_client *clients;
    unsigned client_count;
    bool closing;
};

struct nbd_export {
    struct nbd_export *next;
    unsigned refs; /* GUARDED_BY(server.lock) */
    struct disk *disk;
    char *name, *description;
    bool writable, allocation_depth, multi_conn;
    bool quick_map; /* all below are local files: asking them where data lies does not wait */
    uint64_t offset, size_limit;
    struct disk_bitmap *bitmaps[NBD_MAX_BITMAPS];
    unsigned bitmap_count;
    struct nbd_known *known;
};

/* A buffer of the client's pool. Its size is a power of two. */
struct nbd_buffer {
    uint8_t *bytes;
    unsigned order;
};

/* A request from arrival to the last byte of its reply. */
struct nbd_request {
    struct disk_request io; /* to and from the queue */
    struct nbd_client *client;
    uint64_t handle, offset; /* offset within the export */
    uint32_t len;
    uint16_t command, flags;
    int error;                /* found while it arrived: the answer, once its payload is through */
    struct nbd_buffer buffer; /* payload; bytes NULL: none */
    struct nbd_extents **lists; /* BLOCK_STATUS: per context; READ: one, its data and holes */
    unsigned list_count;
    uint8_t *head; /* of the reply: heads or on the heap */
    uint8_t heads[64];
    struct iovec *iov; /* the reply; iov_own or on the heap */
    struct iovec iov_own[4];
    unsigned iov_count, iov_at; /* iov[0..iov_at) is sent */
    struct nbd_request *next;   /* free list, or replies to send */
};

struct nbd_client {
    struct nbd_server *server;
    struct nbd_client *next;    /* GUARDED_BY(server.lock) */
    struct channel *channel;    /* shutdown by any thread under server.lock */
    struct nbd_export *export_; /* GUARDED_BY(server.lock) for others; NULL before GO */
    /* its own thread's */
    int64_t deadline_ms; /* of the handshake */
    bool no_zeroes, structured;
    bool meta[NBD_CONTEXT_COUNT];
    char *meta_export; /* for which they were negotiated; NULL: none */
    struct disk_queue *queue;
    struct nbd_request *slots, *free_slots;
    unsigned in_flight; /* slots in use */
    uint64_t in_flight_bytes;
    struct nbd_request *out_first, **out_last;
    struct nbd_request *arriving; /* its payload is being read */
    uint64_t payload_left;
    bool ended;     /* no more requests: DISC, end of stream, or a fault */
    bool broken;    /* nothing can be sent any more */
    void *pool[32]; /* by order, chained through their first bytes */
    uint64_t pool_bytes;
    uint32_t in_head, in_tail;
    uint8_t in[NBD_INPUT];
};

/* export.c */
struct nbd_export *nbd_export_new(struct disk *d, const struct nbd_export_options *o,
                                  struct error *err);
void nbd_export_free(struct nbd_export *e);
uint64_t nbd_export_size(const struct nbd_export *e);
uint16_t nbd_export_flags(const struct nbd_export *e, bool structured);
/* Whether a range, of the export, is known to have no holes; remember that it has none. */
bool nbd_export_is_data(const struct nbd_export *e, uint64_t offset, uint64_t len);
void nbd_export_set_data(struct nbd_export *e, uint64_t offset, uint64_t len);
void nbd_export_clear_data(struct nbd_export *e, uint64_t offset, uint64_t len);
bool nbd_export_has_context(const struct nbd_export *e, unsigned context);
char *nbd_export_context_name(const struct nbd_export *e, unsigned context); /* free() it */

/* server.c: find by name with a reference, or NULL; drop it. */
struct nbd_export *nbd_export_find(struct nbd_server *s, const char *name);
void nbd_export_unref(struct nbd_server *s, struct nbd_export *e);

/* handshake.c: true: the client goes on to requests. */
bool nbd_server_handshake(struct nbd_client *c, struct error *err);
bool nbd_send_option(struct nbd_client *c, uint32_t option, uint32_t type, const void *data,
                     uint32_t len, struct error *err);
bool nbd_refuse_option(struct nbd_client *c, uint32_t option, uint32_t type, const char *why,
                       struct error *err);

/* meta.c: LIST_META_CONTEXT, SET_META_CONTEXT. */
bool nbd_meta_option(struct nbd_client *c, uint32_t option, const uint8_t *data, uint32_t len,
                     struct error *err);

/* transmission.c: until the client goes. */
void nbd_serve(struct nbd_client *c);

/* request.c: carry out a request that has arrived. */
int nbd_request_check(const struct nbd_request *r); /* 0 or a positive errno */
/* Bytes of memory that it takes while it is under way. */
uint32_t nbd_request_weight(uint16_t command, uint32_t len);
void nbd_request_start(struct nbd_request *r);
void nbd_request_finish(struct nbd_request *r); /* its reply is out: give all back */

/* status.c: what lies where, as extents for a reply. */
struct nbd_extent {
    uint32_t len, flags;
};
struct nbd_extents {
    unsigned count;
    struct nbd_extent e[];
};
/* context: an id. Extents on the heap that cover a prefix of the range, or NULL with an errno. one:
 * a single one. max: how many at most. May wait. */
struct nbd_extents *nbd_status(struct nbd_export *e, unsigned context, uint64_t offset,
                               uint32_t len, unsigned max, int *ret_errno);

/* reply.c: fill in the reply and hand it to the client's output. Each is called once per request.
 */
void nbd_reply(struct nbd_request *r, int error); /* error: 0 or a positive errno */
void nbd_reply_status(struct nbd_request *r);     /* lists, in the order of the client's contexts */
void nbd_reply_data(struct nbd_request *r);       /* READ: its buffer, cut by lists[0] if there */
bool nbd_send_replies(struct nbd_client *c);      /* true: something moved */

/* pool.c */
bool nbd_buffer_get(struct nbd_client *c, uint32_t len, struct nbd_buffer *ret);
void nbd_buffer_put(struct nbd_client *c, struct nbd_buffer *b);
void nbd_pool_finish(struct nbd_client *c);

#endif
