/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asynchronous requests. A queue belongs to one thread, which submits, and reaps completions: their
 * done() is called in that thread, from disk_queue_reap() alone. A request whose mapping every
 * format on its way knows at once (struct disk_driver.locate) goes straight to io_uring; any other
 * runs to completion as blocking code on the graph's worker threads.
 */
#ifndef DISK_QUEUE_H
#define DISK_QUEUE_H

#include "disk/disk.h"

enum disk_op {
    DISK_OP_READ,
    DISK_OP_WRITE,
    DISK_OP_ZERO,
    DISK_OP_DISCARD,
    DISK_OP_FLUSH,
    DISK_OP_CALL, /* run call() on a worker */
    DISK_OP_COUNT,
};

/* Filled by the submitter, who owns it and keeps it and all it points at until done(). */
struct disk_request {
    struct disk *disk;
    enum disk_op op;
    unsigned flags;       /* enum disk_request_flags */
    uint64_t offset, len; /* len of READ and WRITE is vec.len */
    struct disk_vec vec;
    int (*call)(struct disk_request *r);
    void (*done)(struct disk_request *r, int result); /* may submit again */
    void *opaque;
    /* the queue's */
    struct disk_request *next;
    uint64_t internal[6];
};

struct disk_queue;

/* depth: requests in flight that go to io_uring; more wait inside. Where the kernel has no io_uring
 * everything runs on workers. */
struct disk_queue *disk_queue_new(struct disk_graph *g, unsigned depth, struct error *err);
/* The owner does not mind to be kept waiting: in disk_submit() by writes to the page cache, which
 * is the fastest way, and in disk_queue_reap() by a request that is the only one, which is then
 * carried out there. For tools, threads that do nothing else. */
void disk_queue_may_block(struct disk_queue *q);
/* The calls come from several threads, one at a time by a lock of theirs. Before the first request.
 */
void disk_queue_shared(struct disk_queue *q);
void disk_queue_free(struct disk_queue *q); /* waits for what is in flight */

void disk_submit(struct disk_queue *q, struct disk_request *r); /* batched until kick or reap */
void disk_queue_kick(struct disk_queue *q);

/* Readable (POLLIN) when completions wait: for an event loop. */
int disk_queue_fd(const struct disk_queue *q);

/* Calls done() of what completed; with wait, blocks until at least one did, if any is in flight.
 * Returns how many. */
unsigned disk_queue_reap(struct disk_queue *q, bool wait);
unsigned disk_queue_in_flight(const struct disk_queue *q);

#endif
