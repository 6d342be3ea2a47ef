/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop of one VM: file descriptors, timers, calls deferred from other threads, and
 * the machine lock under which all device code runs. loop_run() is called by the main thread;
 * it polls without the lock and runs every callback with it held.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "loop/clock.h"
#include "loop/timer.h"

struct loop;
struct loop_fd;

/* A new loop with its clocks; CLOCK_VIRTUAL is stopped at 0. NULL with err set on failure. */
struct loop *loop_new(struct error *err);

/* The loop must not be running; all timers and descriptors of it must be gone or are dropped. */
void loop_free(struct loop *l);

struct clock *loop_clock(struct loop *l, enum clock_kind kind);

/* Shorthand for reading CLOCK_VIRTUAL. Any thread. */
int64_t loop_virtual_ns(struct loop *l);

/* The machine lock. Not recursive: taking it twice in one thread is a bug and asserts. */
void loop_lock(struct loop *l);
void loop_unlock(struct loop *l);
bool loop_try_lock(struct loop *l) MUST_CHECK; /* false: somebody has it */
bool loop_locked_by_me(const struct loop *l);

/* Watch a descriptor (not owned). events and revents are poll(2) masks; events may be 0 for now.
 * The callback runs in the main thread under the lock. Machine lock held, or before loop_run(). */
typedef void loop_fd_fn(void *opaque, unsigned revents);
struct loop_fd *loop_fd_add(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *opaque);
void loop_fd_set_events(struct loop_fd *w, unsigned events);
void loop_fd_remove(struct loop_fd *w); /* NULL is fine; also from inside its own callback */

/* Someone whose descriptors change from round to round (a TCP/IP stack in this process): asked
 * before each wait, told after it. Main thread, machine lock held; add and remove under the lock.
 */
struct loop_poller {
    /* calls loop_poller_watch() for each descriptor; how long to wait at most, ms, -1: no limit */
    int (*fill)(struct loop_poller *p);
    void (*polled)(struct loop_poller *p); /* asks loop_poller_got() */
    struct loop *loop;                     /* loop/'s, as are the rest */
    struct loop_poller *next;
};
void loop_poller_add(struct loop *l, struct loop_poller *p);
void loop_poller_remove(struct loop_poller *p); /* no-op when it was not added */
unsigned loop_poller_watch(struct loop_poller *p, int fd, unsigned events); /* an index */
unsigned loop_poller_got(const struct loop_poller *p, unsigned index);      /* poll(2)'s revents */
/* What pollers would fill in changed: begin a new round. Any thread, lock held. */
void loop_poller_changed(struct loop_poller *p);

/* Run fn(opaque) in the main thread under the machine lock, in order of the calls. Any thread,
 * lock held or not. */
typedef void loop_call_fn(void *opaque);
void loop_defer(struct loop *l, loop_call_fn *fn, void *opaque);

/* Drop the deferred calls with these arguments that did not begin. Machine lock held. */
void loop_defer_cancel(struct loop *l, loop_call_fn *fn, void *opaque);

/* Run until loop_quit(); returns its status. Main thread, lock not held. */
int loop_run(struct loop *l);

/* Ask loop_run() to return. Any thread; the first status wins. Async-signal-safe. */
void loop_quit(struct loop *l, int status);

/* One round: wait at most timeout_ms (-1: no limit) for something and handle all that is due.
 * Main thread, lock not held. For tests and for draining. */
void loop_poll_once(struct loop *l, int timeout_ms);

/* A clock was started, set or stepped: look at its timers again. Machine lock held. */
void loop_clock_changed(struct loop *l);

/* Run the timers that are due now, in order of their deadlines per clock. Machine lock held.
 * For tests with a manual clock; loop_run() does it by itself. */
void loop_run_timers(struct loop *l);

/* Manual virtual time for tests: moves CLOCK_VIRTUAL by delta_ns and runs each timer at exactly
 * its deadline on the way. Machine lock held, clock in manual mode. */
void loop_step_virtual_ns(struct loop *l, int64_t delta_ns);

#endif
