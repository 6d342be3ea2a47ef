/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * I/O contexts. That of the main loop watches its descriptors with the loop itself; a thread has an
 * epoll set. A thread's callbacks run while `running` is set; whoever wants it to stand still says
 * so in `hold` and waits for `running` to fall, so that a busy thread cannot keep others waiting.
 */
#include "loop/ioctx.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "loop/loop_priv.h"

enum { EVENTS_MAX = 64 };
#define POLL_FIRST_NS INT64_C(4000)

struct ioctx_fd {
    struct ioctx *ctx;
    int fd;
    ioctx_fn *fn;
    void *opaque;
    struct loop_fd *watch; /* main loop's */
    bool removed;
    struct ioctx_fd *next;
};

struct call {
    ioctx_fn *fn;
    void *opaque;
};

struct ioctx {
    /* constant after init */
    struct loop *loop;
    bool is_main;
    int epoll_fd, event_fd; /* thread */
    int64_t poll_max_ns;
    char *name;
    pthread_t thread;
    bool started;
    _Atomic(int) tid;

    /* guarded by the machine lock */
    struct ioctx_fd *fds;
    unsigned holds;

    /* guarded by lock, a leaf */
    pthread_mutex_t lock;
    pthread_cond_t stands, goes; /* running fell; hold fell or stop rose */
    struct call *calls;
    uint32_t call_count, call_room;
    bool hold, running, stop;
    struct ioctx_fd *dead; /* removed, freed when no round is under way */

    /* the thread's alone */
    int64_t poll_ns;
};

static struct ioctx *ctx_new(struct loop *l, const char *name)
{
    struct ioctx *c = xnew(struct ioctx);

    c->loop = l;
    c->name = xstrdup(name);
    c->epoll_fd = c->event_fd = -1;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->stands, NULL);
    pthread_cond_init(&c->goes, NULL);
    return c;
}

struct ioctx *ioctx_main(struct loop *l)
{
    if (!l->io) {
        l->io = ctx_new(l, "main");
        l->io->is_main = true;
    }
    return l->io;
}

bool ioctx_is_main(const struct ioctx *c)
{
    return c->is_main;
}

bool ioctx_here(const struct ioctx *c)
{
    return c->is_main ? loop_locked_by_me(c->loop) : pthread_equal(c->thread, pthread_self());
}

int ioctx_thread_id(const struct ioctx *c)
{
    return c->is_main ? 0 : atomic_load(&((struct ioctx *)c)->tid);
}

static void wake(struct ioctx *c)
{
    (void)eventfd_write(c->event_fd, 1);
}

/* --- calls --- */

static void run_calls(struct ioctx *c)
{
    struct call *v;
    uint32_t n;

    WITH_LOCK (&c->lock) {
        v = c->calls;
        n = c->call_count;
        c->calls = NULL;
        c->call_count = c->call_room = 0;
    }
    for (uint32_t i = 0; i < n; i++)
        v[i].fn(v[i].opaque);
    free(v);
}

static void run_main_calls(void *opaque)
{
    struct ioctx *c = opaque;

    if (!c->holds)
        run_calls(c);
}

void ioctx_call(struct ioctx *c, ioctx_fn *fn, void *opaque)
{
    bool first = false;

    WITH_LOCK (&c->lock) {
        first = !c->call_count;
        if (c->call_count == c->call_room) {
            c->call_room = MAX(16, c->call_room * 2);
            c->calls = xrealloc_array(c->calls, c->call_room, sizeof *c->calls);
        }
        c->calls[c->call_count++] = (struct call){ fn, opaque };
    }
    if (!first)
        return;
    if (c->is_main)
        loop_defer(c->loop, run_main_calls, c);
    else
        wake(c);
}

unsigned ioctx_call_cancel(struct ioctx *c, ioctx_fn *fn, void *opaque)
{
    unsigned n = 0;

    WITH_LOCK (&c->lock) {
        uint32_t kept = 0;

        for (uint32_t i = 0; i < c->call_count; i++) {
            if (c->calls[i].fn == fn && c->calls[i].opaque == opaque)
                n++;
            else
                c->calls[kept++] = c->calls[i];
        }
        c->call_count = kept;
    }
    return n;
}

/* --- the thread --- */

/* Waits until the thread may run callbacks; false: it shall end. */
static bool begin_round(struct ioctx *c)
{
    bool go = true;

    WITH_LOCK (&c->lock) {
        while (c->hold && !c->stop)
            pthread_cond_wait(&c->goes, &c->lock);
        go = !c->stop;
        c->running = go;
    }
    return go;
}

static void free_dead(struct ioctx *c)
{
    while (c->dead) {
        struct ioctx_fd *w = c->dead;

        c->dead = w->next;
        free(w);
    }
}

static void end_round(struct ioctx *c)
{
    WITH_LOCK (&c->lock) {
        free_dead(c);
        c->running = false;
        if (c->hold)
            pthread_cond_broadcast(&c->stands);
    }
}

/* Nobody removes a descriptor between epoll_wait() and begin_round() without w->removed being seen:
 * ioctx_fd_remove() leaves it to the end of a round to free. */
static void handle(struct ioctx *c, struct epoll_event *ev, int n)
{
    eventfd_t count;

    for (int i = 0; i < n; i++) {
        struct ioctx_fd *w = ev[i].data.ptr;

        if (!w)
            (void)eventfd_read(c->event_fd, &count);
        else if (!w->removed)
            w->fn(w->opaque);
    }
    run_calls(c);
}

/* Not the loop's clock: a thread may outlive the loop. */
static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Busy for poll_ns at first, as long as that finds something: sleeping and being woken costs more
 * than the wait when the next request comes at once. */
static int wait_for_events(struct ioctx *c, struct epoll_event *ev)
{
    int64_t start, asleep;
    int n;

    if (!c->poll_max_ns)
        return epoll_wait(c->epoll_fd, ev, EVENTS_MAX, -1);
    start = now_ns();
    do {
        n = epoll_wait(c->epoll_fd, ev, EVENTS_MAX, 0);
        if (n)
            return n;
    } while (now_ns() - start < c->poll_ns);
    n = epoll_wait(c->epoll_fd, ev, EVENTS_MAX, -1);
    asleep = now_ns() - start;
    if (asleep > c->poll_max_ns)
        c->poll_ns = 0; /* polling for that long would not have helped */
    else if (asleep > c->poll_ns)
        c->poll_ns = MIN(MAX(c->poll_ns * 2, POLL_FIRST_NS), c->poll_max_ns);
    return n;
}

static void *thread_main(void *opaque)
{
    struct ioctx *c = opaque;
    struct epoll_event ev[EVENTS_MAX];

    atomic_store(&c->tid, (int)syscall(SYS_gettid));
    for (;;) {
        int n = wait_for_events(c, ev);

        if (!begin_round(c))
            break;
        handle(c, ev, n);
        end_round(c);
    }
    return NULL;
}

static bool thread_start(struct ioctx *c, struct error *err)
{
    char shown[16]; /* the kernel's limit */
    sigset_t all, before;
    int r;

    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    c->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (c->epoll_fd < 0 || c->event_fd < 0 ||
        epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->event_fd,
                  &(struct epoll_event){ .events = EPOLLIN })) {
        fail(err, errno, "I/O thread '%s': no descriptor: %s", c->name, strerror(errno));
        return fail_hint(err, "raise the limit of open files (ulimit -n)");
    }
    sigfillset(&all); /* the process's signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&c->thread, NULL, thread_main, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r)
        return fail(err, r, "cannot start I/O thread '%s': %s", c->name, strerror(r));
    c->started = true;
    (void)snprintf(shown, sizeof shown, "IO %s", c->name);
    (void)pthread_setname_np(c->thread, shown);
    return true;
}

struct ioctx *ioctx_thread_new(struct loop *l, const char *name, int64_t poll_max_ns,
                               struct error *err)
{
    struct ioctx *c = ctx_new(l, name);

    c->poll_max_ns = poll_max_ns;
    if (thread_start(c, err))
        return c;
    ioctx_free(c);
    return NULL;
}

void ioctx_free(struct ioctx *c)
{
    if (!c)
        return;
    if (c->started) {
        WITH_LOCK (&c->lock) {
            c->stop = true;
            pthread_cond_broadcast(&c->goes);
        }
        wake(c);
        pthread_join(c->thread, NULL);
    }
    free_dead(c);
    while (c->fds) {
        struct ioctx_fd *w = c->fds;

        c->fds = w->next;
        free(w);
    }
    if (c->epoll_fd >= 0)
        (void)close(c->epoll_fd);
    if (c->event_fd >= 0)
        (void)close(c->event_fd);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->stands);
    pthread_cond_destroy(&c->goes);
    free(c->calls);
    free(c->name);
    free(c);
}

/* --- descriptors --- */

static void main_readable(void *opaque, unsigned revents)
{
    struct ioctx_fd *w = opaque;

    w->fn(w->opaque);
}

struct ioctx_fd *ioctx_fd_add(struct ioctx *c, int fd, ioctx_fn *fn, void *opaque)
{
    struct ioctx_fd *w = xnew(struct ioctx_fd);

    w->ctx = c;
    w->fd = fd;
    w->fn = fn;
    w->opaque = opaque;
    w->next = c->fds;
    c->fds = w;
    if (c->is_main) {
        w->watch = loop_fd_add(c->loop, fd, c->holds ? 0 : POLLIN, main_readable, w);
    } else {
        int r = epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd,
                          &(struct epoll_event){ .events = EPOLLIN, .data.ptr = w });

        assert(!r); /* a descriptor of ours, once per context */
    }
    return w;
}

void ioctx_fd_remove(struct ioctx_fd *w)
{
    struct ioctx *c;

    if (!w)
        return;
    c = w->ctx;
    for (struct ioctx_fd **p = &c->fds; *p; p = &(*p)->next) {
        if (*p == w) {
            *p = w->next;
            break;
        }
    }
    if (c->is_main) {
        loop_fd_remove(w->watch);
        free(w);
        return;
    }
    (void)epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    if (ioctx_here(c)) { /* from one of its callbacks */
        WITH_LOCK (&c->lock) {
            w->removed = true;
            w->next = c->dead;
            c->dead = w;
        }
        return;
    }
    ioctx_quiesce(c);
    w->removed = true; /* the thread may have its event in hand: freed after its next round */
    WITH_LOCK (&c->lock) {
        w->next = c->dead;
        c->dead = w;
    }
    ioctx_go_on(c);
    wake(c);
}

/* --- standing still --- */

void ioctx_quiesce(struct ioctx *c)
{
    if (c->holds++)
        return;
    if (c->is_main) {
        for (struct ioctx_fd *w = c->fds; w; w = w->next)
            loop_fd_set_events(w->watch, 0);
        return;
    }
    assert(!ioctx_here(c));
    WITH_LOCK (&c->lock) {
        c->hold = true;
        while (c->running)
            pthread_cond_wait(&c->stands, &c->lock);
    }
}

void ioctx_go_on(struct ioctx *c)
{
    assert(c->holds);
    if (--c->holds)
        return;
    if (c->is_main) {
        bool any = false;

        for (struct ioctx_fd *w = c->fds; w; w = w->next)
            loop_fd_set_events(w->watch, POLLIN);
        WITH_LOCK (&c->lock)
            any = c->call_count;
        if (any)
            loop_defer(c->loop, run_main_calls, c);
        return;
    }
    WITH_LOCK (&c->lock) {
        c->hold = false;
        pthread_cond_broadcast(&c->goes);
    }
}
