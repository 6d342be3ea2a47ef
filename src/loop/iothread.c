/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "loop/iothread.h"

#include <errno.h>

static void iothread_init(void *obj)
{
    struct iothread *t = obj;

    t->poll_max_ns = 32768;
    t->thread_pool_max = 64;
}

static bool iothread_complete(void *obj, struct object_set *set, struct error *err)
{
    const struct iothread *t = obj;

    if (t->poll_max_ns < 0 || t->poll_grow < 0 || t->poll_shrink < 0 || t->aio_max_batch < 0)
        return fail(err, EINVAL,
                    "iothread: poll-max-ns, poll-grow, poll-shrink and aio-max-batch "
                    "must not be negative");
    if (t->thread_pool_min < 0 || t->thread_pool_max < 1 || t->thread_pool_min > t->thread_pool_max)
        return fail(err, EINVAL,
                    "iothread: thread-pool-min must not be above thread-pool-max, and that not 0");
    return true;
}

static void iothread_finish(void *obj)
{
    ioctx_free(((struct iothread *)obj)->ctx);
}

struct ioctx *iothread_ctx(struct iothread *t, struct loop *l, struct error *err)
{
    if (!t->ctx)
        t->ctx = ioctx_thread_new(l, "iothread", t->poll_max_ns, err);
    return t->ctx;
}

const struct object_type iothread_object = {
    .name = "iothread",
    .doc = "a thread that queues of devices run on",
    .size = sizeof(struct iothread),
    .props = FIELDS(
        FIELD(struct iothread, poll_max_ns, .wire = "poll-max-ns",
              .doc = "nanoseconds to look for more work before it sleeps, 0: none [32768]"),
        FIELD(struct iothread, poll_grow, .wire = "poll-grow", .doc = "accepted: it doubles [0]"),
        FIELD(struct iothread, poll_shrink, .wire = "poll-shrink",
              .doc = "accepted: it begins anew [0]"),
        FIELD(struct iothread, aio_max_batch, .wire = "aio-max-batch",
              .doc = "accepted: a batch is what the guest made of it [0]"),
        FIELD(struct iothread, thread_pool_min, .wire = "thread-pool-min",
              .doc = "accepted: workers belong to the disk graph [0]"),
        FIELD(struct iothread, thread_pool_max, .wire = "thread-pool-max",
              .doc = "accepted: workers belong to the disk graph [64]")),
    .init = iothread_init,
    .complete = iothread_complete,
    .finish = iothread_finish,
};
