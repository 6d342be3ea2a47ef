/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <unistd.h>

#include "loop/loop.h"
#include "test.h"

static int order[8], fired;

struct shot {
    struct timer t;
    int id;
};

static void shot_fn(void *opaque)
{
    if (fired < 8)
        order[fired] = ((struct shot *)opaque)->id;
    fired++;
}

TEST(timers_in_order)
{
    struct error err;
    struct loop *l = loop_new(&err);
    struct shot s[5];
    static const int64_t when[5] = { 50, 10, 30, 20, 40 };

    loop_lock(l);
    clock_set_manual(loop_clock(l, CLOCK_VIRTUAL), 0);
    fired = 0;
    for (int i = 0; i < 5; i++) {
        s[i].id = i;
        timer_init(&s[i].t, l, CLOCK_VIRTUAL, shot_fn, &s[i]);
        timer_set_ns(&s[i].t, when[i]);
    }
    timer_cancel(&s[2].t);
    CHECK(!timer_armed(&s[2].t));
    timer_set_ns(&s[3].t, 45);
    loop_step_virtual_ns(l, 42);
    CHECK_EQ(fired, 2);
    CHECK_EQ(order[0], 1);
    CHECK_EQ(order[1], 4);
    loop_step_virtual_ns(l, 100);
    CHECK_EQ(fired, 4);
    CHECK_EQ(order[2], 3);
    CHECK_EQ(order[3], 0);
    CHECK_EQ(loop_virtual_ns(l), 142);
    loop_unlock(l);
    loop_free(l);
}

TEST(many_timers)
{
    struct error err;
    struct loop *l = loop_new(&err);
    static struct shot s[500];
    unsigned seed = 1;

    loop_lock(l);
    clock_set_manual(loop_clock(l, CLOCK_VIRTUAL), 0);
    fired = 0;
    for (int i = 0; i < 500; i++) {
        s[i].id = i;
        timer_init(&s[i].t, l, CLOCK_VIRTUAL, shot_fn, &s[i]);
    }
    for (int i = 0; i < 5000; i++) {
        seed = seed * 1103515245 + 12345;
        struct timer *t = &s[seed >> 16 & 0xff].t;

        if (seed >> 8 & 3)
            timer_set_ns(t, seed >> 4 & 0xffff);
        else
            timer_cancel(t);
    }
    int armed = 0;
    for (int i = 0; i < 500; i++)
        armed += timer_armed(&s[i].t);
    loop_step_virtual_ns(l, 0x10000);
    CHECK_EQ(fired, armed);
    loop_unlock(l);
    loop_free(l);
}

static struct loop *the_loop;

static void quit_fn(void *opaque)
{
    CHECK(loop_locked_by_me(the_loop));
    loop_quit(the_loop, *(int *)opaque);
}

static void *arm_from_thread(void *opaque)
{
    struct timer *t = opaque;

    usleep(5000);
    loop_lock(the_loop);
    timer_set_ns(t, clock_now_ns(loop_clock(the_loop, CLOCK_VIRTUAL)) + 2000000);
    loop_unlock(the_loop);
    return NULL;
}

TEST(armed_by_another_thread)
{
    struct error err;
    struct timer t;
    pthread_t th;
    int status = 7;

    the_loop = loop_new(&err);
    clock_start(loop_clock(the_loop, CLOCK_VIRTUAL));
    timer_init(&t, the_loop, CLOCK_VIRTUAL, quit_fn, &status);
    pthread_create(&th, NULL, arm_from_thread, &t);
    CHECK_EQ(loop_run(the_loop), 7);
    CHECK(loop_virtual_ns(the_loop) >= 7000000);
    pthread_join(th, NULL);
    loop_free(the_loop);
}

static void *defer_from_thread(void *opaque)
{
    loop_defer(the_loop, quit_fn, opaque);
    return NULL;
}

TEST(deferred_call)
{
    struct error err;
    pthread_t th;
    int status = 0;

    the_loop = loop_new(&err);
    pthread_create(&th, NULL, defer_from_thread, &status);
    CHECK_EQ(loop_run(the_loop), 0);
    pthread_join(th, NULL);
    loop_free(the_loop);
}

static struct loop_fd *watch;
static unsigned reads;

static void fd_fn(void *opaque, unsigned revents)
{
    char c;

    CHECK(revents & POLLIN);
    CHECK_EQ(read(*(int *)opaque, &c, 1), 1);
    if (++reads == 3) {
        loop_fd_remove(watch);
        loop_quit(the_loop, 0);
    }
}

TEST(descriptors)
{
    struct error err;
    int p[2];

    CHECK_EQ(pipe(p), 0);
    the_loop = loop_new(&err);
    reads = 0;
    watch = loop_fd_add(the_loop, p[0], POLLIN, fd_fn, &p[0]);
    CHECK_EQ(write(p[1], "abcd", 4), 4);
    loop_fd_set_events(watch, 0);
    loop_poll_once(the_loop, 0);
    loop_poll_once(the_loop, 0);
    CHECK_EQ(reads, 0);
    loop_fd_set_events(watch, POLLIN);
    CHECK_EQ(loop_run(the_loop), 0);
    loop_poll_once(the_loop, 0);
    CHECK_EQ(reads, 3);
    loop_free(the_loop);
    close(p[0]);
    close(p[1]);
}

TEST(virtual_clock_stops)
{
    struct error err;
    struct loop *l = loop_new(&err);
    struct clock *c = loop_clock(l, CLOCK_VIRTUAL);
    int64_t t;

    CHECK_EQ(clock_now_ns(c), 0);
    usleep(1000);
    CHECK_EQ(clock_now_ns(c), 0);
    clock_start(c);
    usleep(2000);
    clock_stop(c);
    t = clock_now_ns(c);
    CHECK(t >= 2000000);
    usleep(1000);
    CHECK_EQ(clock_now_ns(c), t);
    clock_set_ns(c, 5);
    CHECK_EQ(clock_now_ns(c), 5);
    clock_start(c);
    CHECK(clock_now_ns(c) < 1000000000);
    loop_free(l);
}

/* A timer on a stopped clock does not keep the loop busy, and fires once the clock runs. */
TEST(timer_waits_for_clock)
{
    struct error err;
    struct shot s;
    struct loop *l = loop_new(&err);

    fired = 0;
    timer_init(&s.t, l, CLOCK_VIRTUAL, shot_fn, &s);
    s.id = 1;
    timer_set_ns(&s.t, 1000000);
    loop_poll_once(l, 5);
    CHECK_EQ(fired, 0);
    loop_lock(l);
    clock_start(loop_clock(l, CLOCK_VIRTUAL));
    loop_clock_changed(l);
    loop_unlock(l);
    for (int i = 0; i < 5 && !fired; i++)
        loop_poll_once(l, 100);
    CHECK_EQ(fired, 1);
    loop_free(l);
}

static void cancel_call(void *opaque)
{
    unsigned *n = opaque;

    n[1]++;
}

static struct loop *cancel_loop;

static void cancelling_call(void *opaque)
{
    loop_defer_cancel(cancel_loop, cancel_call, opaque);
}

TEST(deferred_calls_are_cancelled)
{
    struct error err;
    struct loop *l = loop_new(&err);
    unsigned a[2] = { 0 }, b[2] = { 0 };

    cancel_loop = l;
    loop_defer(l, cancel_call, a);
    loop_defer(l, cancel_call, b);
    loop_lock(l);
    loop_defer_cancel(l, cancel_call, a);
    loop_unlock(l);
    loop_poll_once(l, 0);
    CHECK_EQ(a[1], 0);
    CHECK_EQ(b[1], 1);
    loop_defer(l, cancelling_call, a); /* of the round that is being run */
    loop_defer(l, cancel_call, a);
    loop_defer(l, cancel_call, b);
    loop_poll_once(l, 0);
    CHECK_EQ(a[1], 0);
    CHECK_EQ(b[1], 2);
    loop_free(l);
}
