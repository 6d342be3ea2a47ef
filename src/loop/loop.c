/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop: poll without the machine lock, handle with it. See loop.h. */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "loop/ioctx.h"
#include "loop/loop_priv.h"

enum { POLL_WAKE, POLL_TIMER, POLL_FIXED };

/* An address that differs between threads, cheaper than a system call. */
static void *self(void)
{
    static _Thread_local char me;

    return &me;
}

struct loop *loop_new(struct error *err)
{
    struct loop *l = xnew(struct loop);

    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->defer_lock, NULL);
    for (int k = 0; k < CLOCK_COUNT; k++)
        clock_init(&l->clocks[k], k);
    l->armed_ns = TIMER_IDLE;
    l->fds_changed = true;
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->wake_fd < 0 || l->timer_fd < 0) {
        fail(err, errno, "event loop: no descriptor for wake-ups: %s", strerror(errno));
        fail_hint(err, "raise the limit of open files (ulimit -n)");
        loop_free(l);
        return NULL;
    }
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    ioctx_free(l->io);
    for (uint32_t i = 0; i < l->fd_count; i++)
        free(l->fds[i]);
    for (int k = 0; k < CLOCK_COUNT; k++)
        free(l->heaps[k].v);
    free(l->fds);
    free(l->polls);
    free(l->polled);
    free(l->defers);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    if (l->timer_fd >= 0)
        close(l->timer_fd);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->defer_lock);
    free(l);
}

struct clock *loop_clock(struct loop *l, enum clock_kind kind)
{
    return &l->clocks[kind];
}

int64_t loop_virtual_ns(struct loop *l)
{
    return clock_now_ns(&l->clocks[CLOCK_VIRTUAL]);
}

bool loop_locked_by_me(const struct loop *l)
{
    return atomic_load_explicit(&((struct loop *)l)->owner, memory_order_relaxed) == self();
}

void loop_lock(struct loop *l)
{
    assert(!loop_locked_by_me(l));
    pthread_mutex_lock(&l->lock);
    atomic_store_explicit(&l->owner, self(), memory_order_relaxed);
}

bool loop_try_lock(struct loop *l)
{
    assert(!loop_locked_by_me(l));
    if (pthread_mutex_trylock(&l->lock) != 0)
        return false;
    atomic_store_explicit(&l->owner, self(), memory_order_relaxed);
    return true;
}

void loop_unlock(struct loop *l)
{
    assert(loop_locked_by_me(l));
    atomic_store_explicit(&l->owner, NULL, memory_order_relaxed);
    pthread_mutex_unlock(&l->lock);
}

static void wake(struct loop *l)
{
    uint64_t one = 1;

    /* EAGAIN means that the counter is full: it is awake already. */
    ssize_t n = write(l->wake_fd, &one, sizeof one);
    (void)n;
}

static void fds_touched(struct loop *l)
{
    l->fds_changed = true;
    if (!l->in_round)
        wake(l);
}

struct loop_fd *loop_fd_add(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *opaque)
{
    struct loop_fd *w = xnew(struct loop_fd);

    *w = (struct loop_fd){ l, fd, events, fn, opaque, false };
    if (l->fd_count == l->fd_room) {
        l->fd_room = MAX(8, l->fd_room * 2);
        l->fds = xrealloc_array(l->fds, l->fd_room, sizeof(struct loop_fd *));
    }
    l->fds[l->fd_count++] = w;
    fds_touched(l);
    return w;
}

void loop_fd_set_events(struct loop_fd *w, unsigned events)
{
    if (w->events == events)
        return;
    w->events = events;
    fds_touched(w->loop);
}

void loop_fd_remove(struct loop_fd *w)
{
    if (!w || w->removed)
        return;
    w->removed = true;
    fds_touched(w->loop);
}

void loop_defer(struct loop *l, loop_call_fn *fn, void *opaque)
{
    bool first;

    pthread_mutex_lock(&l->defer_lock);
    first = l->defer_count == 0;
    if (l->defer_count == l->defer_room) {
        l->defer_room = MAX(16, l->defer_room * 2);
        l->defers = xrealloc_array(l->defers, l->defer_room, sizeof(struct deferred));
    }
    l->defers[l->defer_count++] = (struct deferred){ fn, opaque };
    pthread_mutex_unlock(&l->defer_lock);
    if (first)
        wake(l);
}

static void forget(struct deferred *v, uint32_t n, loop_call_fn *fn, void *opaque)
{
    for (uint32_t i = 0; i < n; i++)
        if (v[i].fn == fn && v[i].opaque == opaque)
            v[i].fn = NULL;
}

void loop_defer_cancel(struct loop *l, loop_call_fn *fn, void *opaque)
{
    pthread_mutex_lock(&l->defer_lock);
    forget(l->defers, l->defer_count, fn, opaque);
    pthread_mutex_unlock(&l->defer_lock);
    forget(l->batch, l->batch_count, fn, opaque);
}

/* Calls made by the calls themselves wait for the next round. */
static void run_deferred(struct loop *l)
{
    pthread_mutex_lock(&l->defer_lock);
    l->batch = l->defers;
    l->batch_count = l->defer_count;
    l->defers = NULL;
    l->defer_count = l->defer_room = 0;
    pthread_mutex_unlock(&l->defer_lock);
    for (uint32_t i = 0; i < l->batch_count; i++)
        if (l->batch[i].fn)
            l->batch[i].fn(l->batch[i].opaque);
    free(l->batch);
    l->batch = NULL;
    l->batch_count = 0;
}

/* Make the poll array anew from fds[], freeing the removed. Main thread, machine lock held, no
 * callback running. */
static void rebuild_polls(struct loop *l)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->fd_count; i++) {
        if (l->fds[i]->removed)
            free(l->fds[i]);
        else
            l->fds[n++] = l->fds[i];
    }
    l->fd_count = n;
    l->poll_room = MAX(l->poll_room, n + POLL_FIXED);
    l->polls = xrealloc_array(l->polls, l->poll_room, sizeof *l->polls);
    l->polled = xrealloc_array(l->polled, MAX(n, 1), sizeof(struct loop_fd *));
    l->polls[POLL_WAKE] = (struct pollfd){ .fd = l->wake_fd, .events = POLLIN };
    l->polls[POLL_TIMER] = (struct pollfd){ .fd = l->timer_fd, .events = POLLIN };
    for (uint32_t i = 0; i < n; i++) {
        struct loop_fd *w = l->fds[i];

        /* events 0 would still report POLLHUP for ever: leave such a one out */
        l->polls[POLL_FIXED + i] =
            (struct pollfd){ .fd = w->events ? w->fd : -1, .events = (short)w->events };
        l->polled[i] = w;
    }
    l->poll_count = n;
    l->fds_changed = false;
}

/* --- pollers --- */

void loop_poller_add(struct loop *l, struct loop_poller *p)
{
    p->loop = l;
    p->next = l->pollers;
    l->pollers = p;
    loop_poller_changed(p);
}

void loop_poller_remove(struct loop_poller *p)
{
    if (!p->loop)
        return;
    for (struct loop_poller **at = &p->loop->pollers; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    p->loop = NULL;
}

void loop_poller_changed(struct loop_poller *p)
{
    if (p->loop && !p->loop->in_round)
        wake(p->loop);
}

unsigned loop_poller_watch(struct loop_poller *p, int fd, unsigned events)
{
    struct loop *l = p->loop;
    uint32_t at = POLL_FIXED + l->poll_count + l->extra_count;

    if (at == l->poll_room) {
        l->poll_room = at * 2;
        l->polls = xrealloc_array(l->polls, l->poll_room, sizeof *l->polls);
    }
    l->polls[at] = (struct pollfd){ .fd = fd, .events = (short)events };
    l->extra_count++;
    return at;
}

unsigned loop_poller_got(const struct loop_poller *p, unsigned index)
{
    return (unsigned short)p->loop->polls[index].revents;
}

static int fill_pollers(struct loop *l, int timeout_ms)
{
    l->extra_count = 0;
    for (struct loop_poller *p = l->pollers; p; p = p->next) {
        int ms = p->fill(p);
        if (ms >= 0 && (timeout_ms < 0 || ms < timeout_ms))
            timeout_ms = ms;
    }
    return timeout_ms;
}

static void tell_pollers(struct loop *l)
{
    for (struct loop_poller *p = l->pollers, *next; p; p = next) {
        next = p->next;
        p->polled(p);
    }
}

static void handle_fds(struct loop *l)
{
    uint64_t count;

    if (l->polls[POLL_WAKE].revents) {
        ssize_t n = read(l->wake_fd, &count, sizeof count);
        (void)n;
    }
    if (l->polls[POLL_TIMER].revents)
        loop_timerfd_fired(l);
    for (uint32_t i = 0; i < l->poll_count; i++) {
        struct loop_fd *w = l->polled[i];
        unsigned got = (unsigned short)l->polls[POLL_FIXED + i].revents;

        /* what the owner stopped waiting for since then is not reported */
        got &= w->events | POLLERR | POLLHUP | POLLNVAL;
        if (got && !w->removed && w->events)
            w->fn(w->opaque, got);
    }
}

void loop_poll_once(struct loop *l, int timeout_ms)
{
    int n;

    loop_lock(l);
    if (l->fds_changed)
        rebuild_polls(l);
    timeout_ms = fill_pollers(l, timeout_ms);
    loop_unlock(l);

    n = poll(l->polls, POLL_FIXED + l->poll_count + l->extra_count, timeout_ms);

    loop_lock(l);
    l->in_round = true;
    if (n > 0)
        handle_fds(l);
    tell_pollers(l);
    run_deferred(l);
    loop_run_timers(l);
    l->in_round = false;
    loop_arm_timerfd(l);
    loop_unlock(l);
}

int loop_run(struct loop *l)
{
    while (!atomic_load(&l->quit))
        loop_poll_once(l, -1);
    return atomic_exchange(&l->quit, 0) - 1;
}

void loop_quit(struct loop *l, int status)
{
    int none = 0;

    atomic_compare_exchange_strong(&l->quit, &none, status + 1);
    wake(l);
}
