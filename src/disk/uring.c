/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way past the workers: a read or write whose every format says at once where its bytes lie
 * becomes one or more pieces in the ring. All pieces are found before the first is given away;
 * when one is not, the request goes to a worker as a whole.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/queue_priv.h"

/* Longer writes are worth another thread. */
#define INLINE_MAX (UINT32_C(128) << 10)

static bool ring_ready(struct disk_queue *q)
{
    struct io_uring_params p = { 0 };

    if (likely(q->ring_state != RING_UNTRIED))
        return q->ring_state == RING_READY;
    /* made here and not in disk_queue_new(): with SINGLE_ISSUER it belongs to its maker */
    if (!q->shared)
        p.flags =
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    q->ring_state = RING_READY;
    if (io_uring_queue_init_params(q->depth + 1, &q->ring, &p)) {
        p = (struct io_uring_params){ 0 };
        if (io_uring_queue_init_params(q->depth + 1, &q->ring, &p))
            q->ring_state = RING_NONE;
    }
    if (q->ring_state == RING_READY && q->ring_signals)
        (void)io_uring_register_eventfd(&q->ring, q->event_fd);
    return q->ring_state == RING_READY;
}

void uring_want_signals(struct disk_queue *q)
{
    if (q->ring_signals)
        return;
    q->ring_signals = true;
    if (q->ring_state == RING_READY)
        (void)io_uring_register_eventfd(&q->ring, q->event_fd);
    if (q->ready || q->ring_pieces) /* some may have completed unheard */
        (void)eventfd_write(q->event_fd, 1);
}

static struct piece *piece_new(struct disk_queue *q)
{
    struct piece *p = q->free_pieces;

    if (p)
        q->free_pieces = p->next;
    else
        p = xnew(struct piece);
    p->levels = 0;
    p->done = 0;
    p->cached = false;
    p->begun_by = NULL;
    p->q = q;
    return p;
}

static void piece_free(struct disk_queue *q, struct piece *p)
{
    p->next = q->free_pieces;
    q->free_pieces = p;
}

/* Gives back what locate() named and the ranges of a write, lowest level first. */
static void let_go(struct piece *p)
{
    bool is_write = p->r->op == DISK_OP_WRITE;

    while (p->levels) {
        struct level *l = &p->level[--p->levels];

        if (l->located && l->d->driver->release)
            l->d->driver->release(l->d, p->r->op, l->offset, l->len);
        if (is_write)
            track_end(l->d, &l->t);
    }
}

static bool may_pass(struct disk *d, enum disk_op op, uint64_t offset, size_t len)
{
    uint64_t end;

    if (op == DISK_OP_WRITE && (d->read_only || d->detect_zeroes))
        return false;
    return checked_add(offset, len, &end) && end <= disk_size(d);
}

/* Reads cost a transport little to begin; data may have to wait until its peer takes it. */
static bool may_begin(const struct piece *p)
{
    if (p->q->may_block && p->q->in_flight == 1)
        return false; /* alone: the owner does it himself while he waits */
    return p->r->op == DISK_OP_READ || (p->q->may_block && p->len <= INLINE_MAX);
}

/* The driver of the file and the kernel can take it as it is. */
static bool fits_file(struct disk *d, struct piece *p, const struct disk_vec *v)
{
    uint32_t align = MAX(d->align, 1u);
    struct disk_vec part;

    p->fd = d->driver->fd ? d->driver->fd(d, p->r->op) : -1;
    p->begun_by = p->fd < 0 && d->driver->start ? d : NULL;
    if (p->fd < 0 && (!p->begun_by || !may_begin(p)))
        return false;
    if (d->max_transfer && p->len > d->max_transfer)
        p->len = ALIGN_DOWN(d->max_transfer, (uint64_t)align);
    p->cached = p->fd >= 0 && !(d->open_flags & DISK_DIRECT);
    if ((p->offset | p->len) & (align - 1))
        return false;
    part = vec_slice(*v, p->skip, p->len);
    return d->memory_align <= 1 || vec_aligned(&part, d->memory_align);
}

/* From the request's node down to a file. False: nothing is held. A piece of zeroes has no fd. */
static bool find_piece(struct piece *p, struct disk *d, uint64_t offset, size_t len,
                       const struct disk_vec *v)
{
    enum disk_op op = p->r->op;

    p->len = len;
    for (;;) {
        struct level *l = &p->level[p->levels];
        struct disk_span span;

        if (p->levels == LEVELS_MAX || !may_pass(d, op, offset, p->len) ||
            (op == DISK_OP_WRITE && !track_try(d, &l->t, offset, p->len)))
            break;
        l->d = d;
        l->offset = offset;
        l->len = p->len;
        l->located = false;
        p->levels++;
        if (d->driver->is_transport) {
            p->offset = offset;
            if (fits_file(d, p, v))
                return true;
            break;
        }
        if (!d->driver->locate || !d->driver->locate(d, op, offset, p->len, &span))
            break;
        p->len = l->len = MIN(span.len, p->len);
        if (span.zero) {
            p->fd = -1;
            return true;
        }
        l->located = true;
        d = span.node;
        offset = span.offset;
    }
    let_go(p);
    return false;
}

static void give_back(struct disk_queue *q, struct piece *list)
{
    while (list) {
        struct piece *p = list;

        list = p->next;
        let_go(p);
        piece_free(q, p);
    }
}

static struct piece *find_all(struct disk_queue *q, struct disk_request *r)
{
    struct piece *list = NULL, **last = &list;
    size_t at = 0;

    for (unsigned n = 0; at < r->vec.len; n++) {
        struct piece *p = piece_new(q);

        p->r = r;
        p->skip = at;
        p->next = NULL;
        if (n == PIECES_MAX || !find_piece(p, r->disk, r->offset + at, r->vec.len - at, &r->vec)) {
            piece_free(q, p);
            give_back(q, list);
            return NULL;
        }
        *last = p;
        last = &p->next;
        at += p->len;
    }
    return list;
}

/* What the kernel shall do next of a piece; short transfers come here again. */
static void prepare(struct io_uring_sqe *sqe, struct piece *p)
{
    bool is_write = p->r->op == DISK_OP_WRITE;
    uint64_t offset = p->offset + p->done;
    struct disk_vec rest = vec_slice(p->r->vec, p->skip + p->done, p->len - p->done);
    size_t covered;
    uint32_t n = vec_fill(&rest, p->iov, PIECE_IOVS, &covered);

    if (n == 1 && is_write)
        io_uring_prep_write(sqe, p->fd, p->iov[0].iov_base, (unsigned)p->iov[0].iov_len, offset);
    else if (n == 1)
        io_uring_prep_read(sqe, p->fd, p->iov[0].iov_base, (unsigned)p->iov[0].iov_len, offset);
    else if (is_write)
        io_uring_prep_writev(sqe, p->fd, p->iov, n, offset);
    else
        io_uring_prep_readv(sqe, p->fd, p->iov, n, offset);
    io_uring_sqe_set_data(sqe, p);
}

/* False: there is no room. */
static bool try_start(struct disk_queue *q, struct piece *p)
{
    struct io_uring_sqe *sqe = q->ring_pieces < q->depth ? io_uring_get_sqe(&q->ring) : NULL;

    if (!sqe)
        return false;
    prepare(sqe, p);
    q->ring_pieces++;
    q->unsubmitted = true;
    return true;
}

static void start(struct disk_queue *q, struct piece *p)
{
    if (likely(!q->waiting) && try_start(q, p))
        return;
    p->next = NULL;
    *q->waiting_last = p;
    q->waiting_last = &p->next;
}

static void start_waiting(struct disk_queue *q)
{
    while (q->waiting && try_start(q, q->waiting)) {
        q->waiting = q->waiting->next;
        if (!q->waiting)
            q->waiting_last = &q->waiting;
    }
}

static void finish_piece(struct disk_queue *q, struct piece *p, int result)
{
    struct disk_request *r = p->r;
    struct ticket *t = ticket_of(r);

    if (!result && r->op == DISK_OP_WRITE) {
        for (unsigned i = 0; i < p->levels; i++)
            request_wrote(p->level[i].d, p->level[i].offset, p->len);
    }
    let_go(p);
    piece_free(q, p);
    if (result && !t->result)
        t->result = result;
    if (--t->pieces)
        return;
    request_leave(r->disk);
    if (t->result == -EAGAIN) /* a transport lost its server: the blocking way tries again */
        queue_to_worker(q, r);
    else
        queue_ready(q, r);
}

/* From any thread. */
static void transport_done(struct disk_async *a, int result)
{
    struct piece *p = container_of(a, struct piece, async);
    struct disk_queue *q = p->q;

    p->result = result;
    WITH_LOCK (&q->lock) {
        bool was_empty = !q->done && !q->ended;

        p->next = q->ended;
        q->ended = p;
        if (was_empty)
            (void)eventfd_write(q->event_fd, 1);
    }
}

void uring_take_ended(struct disk_queue *q, struct piece *list)
{
    while (list) {
        struct piece *p = list;

        list = p->next;
        q->begun_pieces--;
        finish_piece(q, p, p->result);
    }
}

static void kick_transport(struct disk_queue *q)
{
    struct disk *d = q->to_kick;

    q->to_kick = NULL;
    if (d)
        d->driver->kick(d);
}

static void begin_piece(struct disk_queue *q, struct piece *p)
{
    struct disk_vec part = vec_slice(p->r->vec, p->skip, p->len);
    struct disk *d = p->begun_by;

    p->async.done = transport_done;
    q->begun_pieces++;
    if (q->to_kick != d)
        kick_transport(q);
    q->to_kick = d;
    if (d->driver->start(d, p->r->op, p->offset, part, &p->async))
        return;
    q->begun_pieces--;
    finish_piece(q, p, -EAGAIN);
}

/* Through the page cache most transfers need no waiting, and a call of our own is cheaper than a
 * way through the ring: reads of what is cached; writes, where the owner may be made to wait. How
 * many bytes were moved, 0 if none or it cannot be said. */
static size_t move_now(struct disk_queue *q, struct piece *p)
{
    bool is_write = p->r->op == DISK_OP_WRITE;
    struct disk_private *file = p->level[p->levels - 1].d->core;
    bool in_memory = file->in_memory;
    struct disk_vec part;
    size_t covered;
    uint32_t n;
    ssize_t r;

    if (is_write ? !(in_memory || (p->cached && q->may_block)) || p->len > INLINE_MAX
                 : !in_memory && (!p->cached || file->no_nowait))
        return 0;
    part = vec_slice(p->r->vec, p->skip, p->len);
    n = vec_fill(&part, p->iov, PIECE_IOVS, &covered);
    r = is_write ? pwritev(p->fd, p->iov, (int)n, (off_t)p->offset)
                 : preadv2(p->fd, p->iov, (int)n, (off_t)p->offset, in_memory ? 0 : RWF_NOWAIT);
    if (r < 0 && errno == EOPNOTSUPP)
        file->no_nowait = true;
    return r > 0 ? (size_t)r : 0;
}

static void start_all(struct disk_queue *q, struct disk_request *r, struct piece *list)
{
    while (list) {
        struct piece *p = list;

        list = p->next;
        if (p->begun_by) {
            begin_piece(q, p);
            continue;
        }
        if (p->fd < 0) {
            struct disk_vec part = vec_slice(r->vec, p->skip, p->len);

            vec_clear(&part);
            p->done = p->len;
        } else {
            p->done = move_now(q, p);
        }
        if (p->done == p->len)
            finish_piece(q, p, 0);
        else
            start(q, p);
    }
}

bool uring_try(struct disk_queue *q, struct disk_request *r)
{
    struct ticket *t = ticket_of(r);
    struct piece *list;

    if ((r->op != DISK_OP_READ && r->op != DISK_OP_WRITE) || !r->vec.len ||
        r->vec.len > DISK_MAX_REQUEST || !ring_ready(q))
        return false;
    if (r->op == DISK_OP_WRITE && (r->flags || (r->disk->open_flags & DISK_WRITETHROUGH)))
        return false;
    if (!request_try_enter(r->disk))
        return false;
    if (r->disk->core->forward) {
        request_leave(r->disk);
        return false;
    }
    list = find_all(q, r);
    if (!list) {
        request_leave(r->disk);
        return false;
    }
    t->pieces = 0;
    t->result = 0;
    for (struct piece *p = list; p; p = p->next)
        t->pieces++;
    start_all(q, r, list);
    return true;
}

void uring_kick(struct disk_queue *q)
{
    kick_transport(q);
    while (q->unsubmitted) {
        int r = io_uring_submit(&q->ring);

        if (r == -EINTR || r == -EAGAIN || r == -EBUSY) {
            if (io_uring_cq_ready(&q->ring))
                return; /* the caller reaps, then kicks again */
            continue;
        }
        q->unsubmitted = io_uring_sq_ready(&q->ring) > 0;
        if (r < 0)
            return;
    }
}

static void complete(struct disk_queue *q, struct piece *p, int res)
{
    q->ring_pieces--;
    /* cancelled: of a shared queue, when the thread that had submitted it ended */
    if (res == -EINTR || res == -EAGAIN || res == -ECANCELED) {
        start(q, p);
        return;
    }
    if (res < 0) {
        finish_piece(q, p, res);
        return;
    }
    p->done += (size_t)res;
    if (!res && p->r->op == DISK_OP_READ) { /* the end of the file: zeroes follow */
        struct disk_vec rest = vec_slice(p->r->vec, p->skip + p->done, p->len - p->done);

        vec_clear(&rest);
        p->done = p->len;
    }
    if (p->done == p->len)
        finish_piece(q, p, 0);
    else if (!res)
        finish_piece(q, p, -ENOSPC);
    else
        start(q, p);
}

static unsigned take_completions(struct disk_queue *q)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;

    io_uring_for_each_cqe(&q->ring, head, cqe)
    {
        struct piece *p = io_uring_cqe_get_data(cqe);
        int res = cqe->res;

        n++;
        if (p)
            complete(q, p, res);
        else
            q->poll_armed = false;
    }
    io_uring_cq_advance(&q->ring, n);
    start_waiting(q);
    return n;
}

static void arm_poll(struct disk_queue *q)
{
    struct io_uring_sqe *sqe = q->poll_armed ? NULL : io_uring_get_sqe(&q->ring);

    if (!sqe)
        return;
    io_uring_prep_poll_add(sqe, q->event_fd, POLLIN);
    io_uring_sqe_set_data(sqe, NULL);
    q->poll_armed = true;
}

void uring_reap(struct disk_queue *q, bool wait)
{
    kick_transport(q);
    if (q->ring_state != RING_READY || (!q->ring_pieces && !q->unsubmitted))
        return;
    /* what has come already costs no call; under DEFER_TASKRUN it must be fetched */
    if (!wait) {
        do { /* the rest of a short transfer is given to the kernel here, too */
            uring_kick(q);
            if (!io_uring_cq_ready(&q->ring))
                (void)io_uring_get_events(&q->ring);
        } while (take_completions(q) && q->unsubmitted);
        return;
    }
    if (q->pool_requests || q->begun_pieces)
        arm_poll(q);
    (void)io_uring_submit_and_wait(&q->ring, 1);
    q->unsubmitted = io_uring_sq_ready(&q->ring) > 0;
    (void)take_completions(q);
}

void uring_finish(struct disk_queue *q)
{
    while (q->free_pieces) {
        struct piece *p = q->free_pieces;

        q->free_pieces = p->next;
        free(p);
    }
    if (q->ring_state == RING_READY)
        io_uring_queue_exit(&q->ring);
}
