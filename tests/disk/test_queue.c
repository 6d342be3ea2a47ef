/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asynchronous requests: many at once, in pieces, beyond the ring's depth, under a drain. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "disk/node.h"
#include "test.h"

#define DIR  "/tmp/rhea-test-queue"
#define FILE DIR "/a.raw"
#define SIZE (UINT64_C(4) << 20)

static struct disk *open_raw(struct disk_graph *g, const char *opts, unsigned flags)
{
    struct error err = { 0 };
    struct optlist o;
    struct disk *d;

    (void)!system("mkdir -p " DIR);
    (void)!close(open(FILE, O_CREAT | O_WRONLY, 0644));
    (void)!truncate(FILE, SIZE);
    CHECK(optlist_parse(&o, opts, NULL, &err));
    optlist_add(&o, "driver", "raw");
    d = disk_open(g, FILE, &o, flags, &err);
    if (!d)
        printf("%s\n", err.msg);
    optlist_finish(&o);
    return d;
}

struct job {
    struct disk_request r;
    struct disk_queue *q;
    uint8_t *buf;
    unsigned round, *left;
};

static void fill(struct job *j)
{
    for (size_t i = 0; i < j->r.vec.len; i++)
        j->buf[i] = (uint8_t)((j->r.offset + i) * 13 >> 3);
}

/* Writes, then reads back what was written. */
static void step(struct disk_request *r, int result)
{
    struct job *j = r->opaque;

    CHECK_EQ(result, 0);
    if (r->op == DISK_OP_WRITE) {
        r->op = DISK_OP_READ;
        memset(j->buf, 0, r->vec.len);
        disk_submit(j->q, r);
        return;
    }
    for (size_t i = 0; i < r->vec.len; i++) {
        if (j->buf[i] != (uint8_t)((r->offset + i) * 13 >> 3)) {
            CHECK(!"what was written");
            break;
        }
    }
    --*j->left;
}

static void run_jobs(const char *opts, unsigned flags, unsigned depth, size_t len, bool by_fd)
{
    struct error err = { 0 };
    struct disk_graph *g = disk_graph_new(NULL);
    struct disk *d = open_raw(g, opts, DISK_RDWR | flags);
    struct disk_queue *q = disk_queue_new(g, depth, &err);
    enum { N = 40 };
    static struct job jobs[N];
    unsigned left = N;

    if (!d || !q)
        return;
    for (unsigned i = 0; i < N; i++) {
        struct job *j = &jobs[i];

        *j = (struct job){ .q = q, .buf = aligned_alloc(4096, ALIGN_UP(len, 4096)), .left = &left };
        j->r = (struct disk_request){ .disk = d,
                                      .op = DISK_OP_WRITE,
                                      .offset = i * (SIZE / N) / 4096 * 4096,
                                      .vec = vec_of(j->buf, len),
                                      .done = step,
                                      .opaque = j };
        fill(j);
        disk_submit(q, &j->r);
    }
    disk_queue_kick(q);
    while (left) {
        if (by_fd) {
            CHECK_EQ(poll(&(struct pollfd){ disk_queue_fd(q), POLLIN, 0 }, 1, 5000), 1);
            (void)disk_queue_reap(q, false);
            disk_queue_kick(q);
        } else {
            CHECK(disk_queue_reap(q, true) > 0);
        }
    }
    CHECK_EQ(disk_queue_in_flight(q), 0);
    for (unsigned i = 0; i < N; i++)
        free(jobs[i].buf);
    disk_queue_free(q);
    disk_unref(d);
    disk_graph_free(g);
    (void)!system("rm -rf " DIR);
}

TEST(page_cache)
{
    run_jobs("", 0, 64, 4096, false);
    run_jobs("", 0, 4, 65000, false);
}

TEST(event_loop)
{
    run_jobs("", 0, 64, 4096, true);
    run_jobs("file.aio=threads", 0, 8, 5000, true);
}

TEST(workers)
{
    run_jobs("file.aio=threads", 0, 16, 4096, false);
    run_jobs("", DISK_WRITETHROUGH, 16, 4096, false); /* writes on workers, reads in the ring */
}

TEST(direct)
{
    run_jobs("cache.direct=on", 0, 64, 4096, false);
    run_jobs("cache.direct=on", 0, 16, 5003, false); /* bounced by workers */
    run_jobs("cache.direct=on,file.aio=native", 0, 16, 65536, true);
}

static int failing(struct disk_request *r)
{
    return -EDOM;
}

static void note_result(struct disk_request *r, int result)
{
    *(int *)r->opaque = result;
}

TEST(errors_and_calls)
{
    struct error err = { 0 };
    struct disk_graph *g = disk_graph_new(NULL);
    struct disk *d = open_raw(g, "", 0);
    struct disk_queue *q = disk_queue_new(g, 4, &err);
    char buf[512];
    int result = 1;
    struct disk_request r = { .disk = d,
                              .op = DISK_OP_READ,
                              .offset = SIZE - 100,
                              .vec = vec_of(buf, 512),
                              .done = note_result,
                              .opaque = &result };

    disk_submit(q, &r);
    CHECK_EQ(disk_queue_reap(q, true), 1);
    CHECK_EQ(result, -EIO);
    r.op = DISK_OP_WRITE;
    r.offset = 0;
    disk_submit(q, &r);
    CHECK_EQ(disk_queue_reap(q, true), 1);
    CHECK_EQ(result, -EPERM);
    r.op = DISK_OP_CALL;
    r.call = failing;
    disk_submit(q, &r);
    CHECK_EQ(disk_queue_reap(q, true), 1);
    CHECK_EQ(result, -EDOM);
    r.op = DISK_OP_FLUSH;
    disk_submit(q, &r);
    CHECK_EQ(disk_queue_reap(q, true), 1);
    CHECK_EQ(result, 0);
    CHECK_EQ(disk_queue_reap(q, true), 0); /* nothing to wait for */
    disk_queue_free(q);
    disk_unref(d);
    disk_graph_free(g);
}

/* A drain waits for requests in the ring, and newcomers wait for its end. */
struct drainer {
    struct disk *d;
    _Atomic(int) state;
};

static void *drain(void *arg)
{
    struct drainer *x = arg;

    disk_drain_begin(x->d);
    x->state = 1;
    usleep(100000);
    x->state = 2;
    disk_drain_end(x->d);
    return NULL;
}

TEST(drained)
{
    struct error err = { 0 };
    struct disk_graph *g = disk_graph_new(NULL);
    struct disk *d = open_raw(g, "cache.direct=on", 0);
    struct disk_queue *q = disk_queue_new(g, 4, &err);
    struct drainer x = { .d = d };
    static char buf[4096] __attribute__((aligned(4096)));
    int result = 1;
    struct disk_request r = { .disk = d,
                              .op = DISK_OP_READ,
                              .vec = vec_of(buf, 4096),
                              .done = note_result,
                              .opaque = &result };
    pthread_t t;

    disk_submit(q, &r);
    disk_queue_kick(q);
    pthread_create(&t, NULL, drain, &x);
    usleep(20000);
    CHECK_EQ(x.state, 0); /* in the ring until it is reaped */
    CHECK_EQ(disk_queue_reap(q, true), 1);
    while (x.state == 0)
        usleep(1000);
    disk_submit(q, &r);
    CHECK_EQ(disk_queue_reap(q, true), 1);
    CHECK_EQ(x.state, 2);
    pthread_join(t, NULL);
    disk_queue_free(q);
    disk_unref(d);
    disk_graph_free(g);
}
