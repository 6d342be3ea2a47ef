/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "-object iothread,id=NAME": a thread that the queues of devices run on. The thread starts when
 * the first device takes it; a device's link "iothread" is a struct iothread.
 */
#ifndef LOOP_IOTHREAD_H
#define LOOP_IOTHREAD_H

#include "base/object.h"
#include "loop/ioctx.h"

struct iothread {
    int64_t poll_max_ns, poll_grow, poll_shrink, aio_max_batch;
    int64_t thread_pool_min, thread_pool_max;
    struct ioctx *ctx; /* NULL: not started; machine lock */
};
extern const struct object_type iothread_object;

/* Its context, which lives as long as the object; NULL with err set. Machine lock held. */
struct ioctx *iothread_ctx(struct iothread *t, struct loop *l, struct error *err);

#endif
