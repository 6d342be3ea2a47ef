/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asynchronous requests on worker threads. */
#include "disk/queue.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/node_priv.h"

struct disk_queue {
    struct disk_graph *graph;
    int event_fd;
    unsigned in_flight; /* the owner's thread only */
    pthread_mutex_t lock;
    struct disk_request *done, **done_last; /* guarded by lock */
};

/* What the queue keeps in disk_request.internal. */
struct ticket {
    struct pool_work work;
    struct disk_queue *q;
    struct disk_request *r;
    int result;
};
static_assert(sizeof(struct ticket) <= sizeof(((struct disk_request *)0)->internal),
              "kept inside the request");

static struct ticket *ticket_of(struct disk_request *r)
{
    return (struct ticket *)r->internal;
}

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
    bool was_empty = false;

    t->result = run_request(t->r);
    WITH_LOCK (&q->lock) {
        was_empty = !q->done;
        t->r->next = NULL;
        *q->done_last = t->r;
        q->done_last = &t->r->next;
        if (was_empty)
            (void)eventfd_write(q->event_fd, 1);
    }
}

struct disk_queue *disk_queue_new(struct disk_graph *g, unsigned depth, struct error *err)
{
    struct disk_queue *q = xnew(struct disk_queue);

    q->graph = g;
    q->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    q->done_last = &q->done;
    pthread_mutex_init(&q->lock, NULL);
    if (q->event_fd < 0) {
        fail(err, errno, "eventfd: %s", strerror(errno));
        disk_queue_free(q);
        return NULL;
    }
    return q;
}

void disk_queue_free(struct disk_queue *q)
{
    if (!q)
        return;
    while (q->in_flight)
        (void)disk_queue_reap(q, true);
    if (q->event_fd >= 0)
        (void)close(q->event_fd);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

void disk_submit(struct disk_queue *q, struct disk_request *r)
{
    struct ticket *t = ticket_of(r);

    q->in_flight++;
    t->work.run = run_on_worker;
    t->q = q;
    t->r = r;
    pool_submit(&q->graph->pool, &t->work);
}

void disk_queue_kick(struct disk_queue *q)
{
}

int disk_queue_fd(const struct disk_queue *q)
{
    return q->event_fd;
}

unsigned disk_queue_reap(struct disk_queue *q, bool wait)
{
    struct disk_request *list = NULL;
    unsigned n = 0;

    for (;;) {
        eventfd_t count;

        WITH_LOCK (&q->lock) {
            (void)eventfd_read(q->event_fd, &count);
            list = q->done;
            q->done = NULL;
            q->done_last = &q->done;
        }
        if (list || !wait || !q->in_flight)
            break;
        (void)poll(&(struct pollfd){ q->event_fd, POLLIN, 0 }, 1, -1);
    }
    while (list) {
        struct disk_request *r = list;

        list = r->next;
        q->in_flight--;
        n++;
        r->done(r, ticket_of(r)->result);
    }
    return n;
}

unsigned disk_queue_in_flight(const struct disk_queue *q)
{
    return q->in_flight;
}
