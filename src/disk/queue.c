/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asynchronous requests: to the ring (uring.c) where that is possible, else to worker threads. */
#include "disk/queue.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/queue_priv.h"

#define DEPTH_MAX 4096

static_assert(sizeof(struct ticket) <= sizeof(((struct disk_request *)0)->internal),
              "kept inside the request");

static int run_request(struct disk_request *r)
{
    switch (r->op) {
    case DISK_OP_READ: return disk_readv(r->disk, r->offset, r->vec);
    case DISK_OP_WRITE: return disk_writev(r->disk, r->offset, r->vec, r->flags);
    case DISK_OP_ZERO: return disk_zero(r->disk, r->offset, r->len, r->flags);
    case DISK_OP_DISCARD: return disk_discard(r->disk, r->offset, r->len);
    case DISK_OP_FLUSH: return disk_flush(r->disk);
    case DISK_OP_CALL: return r->call(r);
    default: return -EINVAL;
    }
}

static void run_on_worker(struct pool_work *w)
{
    struct ticket *t = container_of(w, struct ticket, work);
    struct disk_queue *q = t->q;

    t->result = run_request(t->r);
    WITH_LOCK (&q->lock) {
        bool was_empty = !q->done && !q->ended;

        t->r->next = NULL;
        *q->done_last = t->r;
        q->done_last = &t->r->next;
        if (was_empty) /* under the lock: the queue may be freed once this one is taken */
            (void)eventfd_write(q->event_fd, 1);
    }
}

struct disk_queue *disk_queue_new(struct disk_graph *g, unsigned depth, struct error *err)
{
    struct disk_queue *q = xnew(struct disk_queue);

    q->graph = g;
    q->depth = MIN(MAX(depth, 1u), DEPTH_MAX);
    q->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    q->done_last = &q->done;
    q->ready_last = &q->ready;
    q->waiting_last = &q->waiting;
    pthread_mutex_init(&q->lock, NULL);
    if (q->event_fd < 0) {
        fail(err, errno, "eventfd: %s", strerror(errno));
        disk_queue_free(q);
        return NULL;
    }
    return q;
}

void disk_queue_may_block(struct disk_queue *q)
{
    q->may_block = true;
}

void disk_queue_shared(struct disk_queue *q)
{
    q->shared = true;
}

void disk_queue_free(struct disk_queue *q)
{
    if (!q)
        return;
    while (q->in_flight)
        (void)disk_queue_reap(q, true);
    uring_finish(q);
    if (q->event_fd >= 0)
        (void)close(q->event_fd);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

void queue_ready(struct disk_queue *q, struct disk_request *r)
{
    r->next = NULL;
    *q->ready_last = r;
    q->ready_last = &r->next;
}

static void give_to_pool(struct disk_queue *q, struct disk_request *r)
{
    struct ticket *t = ticket_of(r);

    q->pool_requests++;
    t->work.run = run_on_worker;
    pool_submit(&q->graph->pool, &t->work);
}

static void give_held(struct disk_queue *q)
{
    if (q->held)
        give_to_pool(q, TAKE(q->held));
}

/* An owner who has nothing but this request and waits for it does the work itself: two switches of
 * threads less. */
static void run_held(struct disk_queue *q)
{
    struct disk_request *r = TAKE(q->held);

    ticket_of(r)->result = run_request(r);
    queue_ready(q, r);
}

void queue_to_worker(struct disk_queue *q, struct disk_request *r)
{
    give_held(q);
    if (q->may_block && !q->ring_signals && q->in_flight == 1)
        q->held = r;
    else
        give_to_pool(q, r);
}

void disk_submit(struct disk_queue *q, struct disk_request *r)
{
    struct ticket *t = ticket_of(r);
    bool was_idle = !q->ready;

    give_held(q); /* it is not alone any more */
    q->in_flight++;
    t->q = q;
    t->r = r;
    if (uring_try(q, r)) {
        if (q->ready && was_idle && q->ring_signals) /* an event loop must hear of it */
            (void)eventfd_write(q->event_fd, 1);
        return;
    }
    queue_to_worker(q, r);
}

void disk_queue_kick(struct disk_queue *q)
{
    uring_kick(q);
}

int disk_queue_fd(const struct disk_queue *q)
{
    give_held((struct disk_queue *)q);
    uring_want_signals((struct disk_queue *)q);
    return q->event_fd;
}

static void take_from_workers(struct disk_queue *q)
{
    struct disk_request *list = NULL;
    struct piece *ended = NULL;
    eventfd_t count;

    if (!q->pool_requests && !q->ring_signals && !q->begun_pieces)
        return;
    WITH_LOCK (&q->lock) {
        if (q->done || q->ended || q->ring_signals)
            (void)eventfd_read(q->event_fd, &count);
        ended = q->ended;
        q->ended = NULL;
        list = q->done;
        q->done = NULL;
        q->done_last = &q->done;
    }
    while (list) {
        struct disk_request *r = list;

        list = r->next;
        q->pool_requests--;
        queue_ready(q, r);
    }
    uring_take_ended(q, ended);
}

static unsigned call_done(struct disk_queue *q)
{
    struct disk_request *list = q->ready;
    unsigned n = 0;

    q->ready = NULL; /* what done() submits and is ready at once has its turn at the next reap */
    q->ready_last = &q->ready;
    while (list) {
        struct disk_request *r = list;

        list = r->next;
        q->in_flight--;
        n++;
        r->done(r, ticket_of(r)->result);
    }
    return n;
}

unsigned disk_queue_reap(struct disk_queue *q, bool wait)
{
    take_from_workers(q);
    while (wait && !q->ready && q->in_flight) {
        if (q->held) {
            run_held(q);
            break;
        }
        if (q->ring_pieces || q->unsubmitted) {
            uring_reap(q, true);
        } else {
            uring_kick(q);
            (void)poll(&(struct pollfd){ q->event_fd, POLLIN, 0 }, 1, -1);
        }
        take_from_workers(q);
    }
    give_held(q);
    if (!wait)
        uring_reap(q, false);
    return call_done(q);
}

unsigned disk_queue_in_flight(const struct disk_queue *q)
{
    return q->in_flight;
}
