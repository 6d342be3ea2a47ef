/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside loop/ only: the struct behind struct loop. */
#ifndef LOOP_LOOP_PRIV_H
#define LOOP_LOOP_PRIV_H

#include <pthread.h>

#include "loop/loop.h"

struct timer_heap {
    struct timer **v; /* v[0] has the earliest deadline */
    uint32_t count, room;
};

struct loop_fd {
    struct loop *loop;
    int fd;
    unsigned events;
    loop_fd_fn *fn;
    void *opaque;
    bool removed; /* waits for the end of the round to be freed */
};

struct deferred {
    loop_call_fn *fn;
    void *opaque;
};

struct loop {
    pthread_mutex_t lock;  /* the machine lock */
    _Atomic(void *) owner; /* loop_self() of the holder */
    struct clock clocks[CLOCK_COUNT];

    /* guarded by the machine lock */
    struct timer_heap heaps[CLOCK_COUNT];
    int64_t armed_ns; /* CLOCK_MONOTONIC time the timerfd is set to; TIMER_IDLE: not set */
    bool in_round;    /* the main thread handles events and will set the timerfd at its end */
    struct loop_fd **fds;
    uint32_t fd_count, fd_room;
    bool fds_changed;
    struct loop_poller *pollers;

    /* main thread only */
    struct pollfd *polls; /* [0] wake, [1] timer, then one per fds[] as of polled[] */
    struct loop_fd **polled;
    uint32_t poll_count;
    uint32_t extra_count, poll_room; /* pollers' entries behind the fixed ones; room of polls */

    /* guarded by defer_lock, a leaf */
    pthread_mutex_t defer_lock;
    struct deferred *defers;
    uint32_t defer_count, defer_room;

    struct deferred *batch; /* deferred calls being run; machine lock */
    uint32_t batch_count;
    struct ioctx *io; /* of the main loop; NULL: nobody asked; machine lock */

    int wake_fd, timer_fd; /* constant after init */
    atomic_int quit;       /* 0: run; else status + 1 */
};

/* In timer.c */
void loop_arm_timerfd(struct loop *l);
void loop_timerfd_fired(struct loop *l);

#endif
