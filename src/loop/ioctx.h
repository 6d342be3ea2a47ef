/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the data queues of a device run: on an I/O thread (-object iothread), or, without one, in
 * the main loop. Descriptors are watched and calls are run one at a time per context. In an I/O
 * thread the machine lock is NOT held; in the main loop's context it is.
 *
 * Lock order: whoever holds the machine lock may wait for an I/O thread (ioctx_quiesce), so an I/O
 * thread never waits for the machine lock; what it needs done under it goes by loop_defer().
 */
#ifndef LOOP_IOCTX_H
#define LOOP_IOCTX_H

#include "loop/loop.h"

struct ioctx;
struct ioctx_fd;

/* The context of the main loop; one per loop, made on first use, freed with the loop. */
struct ioctx *ioctx_main(struct loop *l);
/* A new thread of this name with a context of its own. poll_max_ns: how long it polls busily for
 * more work before it sleeps; 0: not at all. NULL with err set. */
struct ioctx *ioctx_thread_new(struct loop *l, const char *name, int64_t poll_max_ns,
                               struct error *err);
void ioctx_free(struct ioctx *c); /* of a thread: ends it; NULL is fine */

bool ioctx_is_main(const struct ioctx *c);
bool ioctx_here(const struct ioctx *c);     /* is this thread the one that runs it */
int ioctx_thread_id(const struct ioctx *c); /* for query-iothreads; 0 of the main loop's */

/* Watch a descriptor for input (not owned). Machine lock held. */
typedef void ioctx_fn(void *opaque);
struct ioctx_fd *ioctx_fd_add(struct ioctx *c, int fd, ioctx_fn *fn, void *opaque);
void ioctx_fd_remove(struct ioctx_fd *w); /* its callback does not run any more on return */

/* Run fn in the context, in order of the calls. Any thread. */
void ioctx_call(struct ioctx *c, ioctx_fn *fn, void *opaque);
/* Takes back calls of fn(opaque) that have not begun; how many. While the context stands still. */
unsigned ioctx_call_cancel(struct ioctx *c, ioctx_fn *fn, void *opaque);

/* Nothing of the context runs between these: its thread stands still. They nest. Machine lock held.
 */
void ioctx_quiesce(struct ioctx *c);
void ioctx_go_on(struct ioctx *c);

#endif
