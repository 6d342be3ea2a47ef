/* SPDX-License-Identifier: GPL-2.0-or-later */
/* I/O contexts: descriptors, calls and standing still, in the main loop and on a thread. */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop/iothread.h"
#include "test.h"

struct seen {
    struct ioctx *ctx;
    struct ioctx_fd *watch;
    int fd;
    atomic_uint runs, order, last;
    bool remove_self;
    atomic_bool here;
};

static void readable(void *opaque)
{
    struct seen *s = opaque;
    eventfd_t n;

    (void)eventfd_read(s->fd, &n);
    atomic_store(&s->here, ioctx_here(s->ctx));
    atomic_fetch_add(&s->runs, 1);
}

static void called(void *opaque)
{
    struct seen *s = opaque;

    atomic_fetch_add(&s->order, 1);
}

/* Lets the loop or the thread work until *what is at least n. */
static bool wait_for(struct loop *l, atomic_uint *what, unsigned n)
{
    for (unsigned i = 0; i < 2000 && atomic_load(what) < n; i++) {
        loop_unlock(l);
        loop_poll_once(l, 1);
        loop_lock(l);
    }
    return atomic_load(what) >= n;
}

static void exercise(struct loop *l, struct ioctx *c)
{
    struct seen s = { .ctx = c, .fd = eventfd(0, EFD_NONBLOCK) };

    s.watch = ioctx_fd_add(c, s.fd, readable, &s);
    (void)eventfd_write(s.fd, 1);
    CHECK(wait_for(l, &s.runs, 1));
    CHECK(s.here);
    for (unsigned i = 0; i < 100; i++)
        ioctx_call(c, called, &s);
    CHECK(wait_for(l, &s.order, 100));

    /* nothing runs while it stands still, and nothing is lost */
    ioctx_quiesce(c);
    ioctx_quiesce(c);
    unsigned runs = s.runs, order = s.order;
    (void)eventfd_write(s.fd, 1);
    ioctx_call(c, called, &s);
    for (unsigned i = 0; i < 20; i++) {
        loop_unlock(l);
        loop_poll_once(l, 1);
        loop_lock(l);
    }
    ioctx_go_on(c);
    CHECK_EQ(s.runs, runs);
    CHECK_EQ(s.order, order);
    ioctx_go_on(c);
    CHECK(wait_for(l, &s.runs, runs + 1));
    CHECK(wait_for(l, &s.order, order + 1));

    ioctx_fd_remove(s.watch);
    runs = s.runs;
    (void)eventfd_write(s.fd, 1);
    loop_unlock(l);
    loop_poll_once(l, 5);
    loop_lock(l);
    CHECK_EQ(s.runs, runs);
    close(s.fd);
}

TEST(main_loop)
{
    struct error err;
    struct loop *l = loop_new(&err);

    loop_lock(l);
    CHECK(ioctx_is_main(ioctx_main(l)));
    CHECK(ioctx_main(l) == ioctx_main(l));
    CHECK(ioctx_here(ioctx_main(l)));
    CHECK_EQ(ioctx_thread_id(ioctx_main(l)), 0);
    exercise(l, ioctx_main(l));
    loop_unlock(l);
    loop_free(l);
}

TEST(threads)
{
    struct error err;
    struct loop *l = loop_new(&err);
    static const int64_t polls[] = { 0, 32768, 1000000 };

    loop_lock(l);
    for (unsigned i = 0; i < 3; i++) {
        struct ioctx *c = ioctx_thread_new(l, "test", polls[i], &err);

        CHECK(!ioctx_is_main(c) && !ioctx_here(c));
        exercise(l, c);
        CHECK(ioctx_thread_id(c) > 0 && ioctx_thread_id(c) != getpid());
        ioctx_free(c);
    }
    ioctx_free(NULL);
    loop_unlock(l);
    loop_free(l);
}

/* A thread that always has work does not keep others from stopping it. */
static void busy(void *opaque)
{
    struct seen *s = opaque;

    atomic_fetch_add(&s->runs, 1);
    ioctx_call(s->ctx, busy, s);
}

TEST(busy_thread_stands_still)
{
    struct error err;
    struct loop *l = loop_new(&err);
    struct ioctx *c = ioctx_thread_new(l, "busy", 0, &err);
    struct seen s = { .ctx = c, .fd = -1 };

    loop_lock(l);
    ioctx_call(c, busy, &s);
    CHECK(wait_for(l, &s.runs, 10));
    for (unsigned i = 0; i < 200; i++) {
        ioctx_quiesce(c);
        unsigned runs = s.runs;
        sched_yield();
        CHECK_EQ(s.runs, runs);
        ioctx_go_on(c);
    }
    loop_unlock(l);
    ioctx_free(c);
    loop_free(l);
}

/* Descriptors come and go while their events are under way. */
TEST(removal_under_fire)
{
    struct error err;
    struct loop *l = loop_new(&err);
    struct ioctx *c = ioctx_thread_new(l, "fire", 0, &err);

    loop_lock(l);
    for (unsigned i = 0; i < 500; i++) {
        struct seen s = { .ctx = c, .fd = eventfd(0, EFD_NONBLOCK) };

        s.watch = ioctx_fd_add(c, s.fd, readable, &s);
        (void)eventfd_write(s.fd, 1);
        ioctx_fd_remove(s.watch);
        memset(&s, 0xee, sizeof s.runs); /* what the callback would use is gone */
        close(s.fd);
    }
    ioctx_free(c);
    loop_unlock(l);
    loop_free(l);
}

TEST(iothread_object)
{
    struct object_set *set = object_set_new();
    struct error err;
    struct loop *l = loop_new(&err);
    struct iothread *t;

    CHECK(object_add(set, "iothread,id=io0,poll-max-ns=0", &err));
    CHECK(!object_add(set, "iothread,id=io1,poll-max-ns=-1", &err));
    CHECK(!object_add(set, "iothread,id=io1,thread-pool-min=9,thread-pool-max=3", &err));
    t = object_find(set, "io0", &iothread_object, &err);
    CHECK(t && !t->ctx);
    CHECK(t && iothread_ctx(t, l, &err) == iothread_ctx(t, l, &err));
    loop_free(l); /* the object goes last, as at the end of a program */
    object_set_free(set);
}
