/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the queue: what a request carries while it is under way, and the ring (uring.c). */
#ifndef DISK_QUEUE_PRIV_H
#define DISK_QUEUE_PRIV_H

#include <liburing.h>

#include "disk/node_priv.h"

/* Kept in disk_request.internal. */
struct ticket {
    struct pool_work work;
    struct disk_queue *q;
    struct disk_request *r;
    int result;
    unsigned pieces; /* still under way in the ring or by a transport */
};

static inline struct ticket *ticket_of(struct disk_request *r)
{
    return (struct ticket *)r->internal;
}

enum { LEVELS_MAX = 5, PIECES_MAX = 16, PIECE_IOVS = 128 };

/* A part of a request whose bytes lie together in one file. */
struct piece {
    struct disk_async async; /* of a transport that has no fd */
    struct piece *next;
    struct disk_request *r;
    struct disk *begun_by; /* transport that has no fd, or NULL */
    struct disk_queue *q;
    int fd;
    int result;      /* of the transport */
    uint64_t offset; /* in the file */
    size_t skip;     /* where in the request's memory */
    size_t len, done;
    bool cached;     /* by the page cache */
    unsigned levels; /* nodes from the request's down to the file */
    struct level {
        struct disk *d;
        uint64_t offset;
        size_t len; /* what locate() named */
        bool located;
        struct track t; /* writes */
    } level[LEVELS_MAX];
    struct iovec iov[PIECE_IOVS];
};

/* The owner's thread only, but for what is guarded. */
struct disk_queue {
    struct disk_graph *graph;
    unsigned depth;
    unsigned in_flight;        /* requests */
    unsigned ring_pieces;      /* given to the ring, no completion seen */
    unsigned pool_requests;    /* given to workers, not taken back */
    unsigned begun_pieces;     /* given to transports, not taken back */
    struct disk *to_kick;      /* transport that holds pieces back */
    struct disk_request *held; /* for a worker, unless it is alone when the owner waits for it */
    struct io_uring ring;
    enum { RING_UNTRIED, RING_READY, RING_NONE } ring_state;
    bool may_block;
    bool shared;                              /* no thread of its own */
    bool unsubmitted;                         /* entries the kernel has not been told of */
    bool poll_armed;                          /* the ring watches event_fd */
    bool ring_signals;                        /* completions make event_fd readable */
    struct piece *free_pieces;                /* up to depth are kept */
    struct piece *waiting, **waiting_last;    /* no room in the ring */
    struct disk_request *ready, **ready_last; /* complete, done() not called */

    int event_fd;
    pthread_mutex_t lock;
    struct disk_request *done, **done_last; /* by workers; guarded by lock */
    struct piece *ended;                    /* by transports; guarded by lock */
};

void queue_ready(struct disk_queue *q, struct disk_request *r); /* done() at the next reap */

/* uring.c. True: the request is under way or ready; false: a worker must do it. */
bool uring_try(struct disk_queue *q, struct disk_request *r);
void uring_kick(struct disk_queue *q);
/* Takes completions; with wait until there is one, or event_fd is readable. */
void uring_reap(struct disk_queue *q, bool wait);
void uring_finish(struct disk_queue *q);
void uring_take_ended(struct disk_queue *q, struct piece *list); /* of transports */
void queue_to_worker(struct disk_queue *q, struct disk_request *r);
void uring_want_signals(struct disk_queue *q);

#endif
