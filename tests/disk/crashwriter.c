/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A writer to be killed, and the judge afterwards.
 *   crashwriter write IMAGE FORMAT PLAN STATE [OPS]   operations for ever (or OPS per thread);
 * STATE is a file that says how far they came crashwriter verify IMAGE FORMAT PLAN STATE opens for
 * writing (which heals), checks the metadata and the contents verify prints "corruptions N leaks N
 * lost N" and exits with 0 when all are 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "crashlog.h"
#include "disk/node.h"

/* In the preloaded iotrap; NULL without it. */
void iotrap_mark(uint64_t kind, uint64_t thread, uint64_t op) __attribute__((weak));

struct writer {
    const struct crash_plan *plan;
    struct crash_state *state; /* shared memory of a file: what is stored survives kill -9 */
    struct disk *disk;
    unsigned thread;
    uint64_t ops;
    int result;
};

static struct disk *open_image(struct disk_graph *g, const char *name, const char *format,
                               unsigned flags)
{
    struct optlist o = { 0 };
    struct error err = { 0 };
    struct disk *d;

    optlist_add(&o, "driver", format);
    d = disk_open(g, name, &o, flags, &err);
    optlist_finish(&o);
    if (!d)
        printf("%s: %s; %s\n", name, err.msg, err.hint);
    return d;
}

static struct crash_state *map_state(const char *path)
{
    size_t len = sizeof(struct crash_state) * CRASH_THREADS_MAX;
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    void *p;

    if (fd < 0 || ftruncate(fd, (off_t)len) < 0)
        return NULL;
    p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return p == MAP_FAILED ? NULL : p;
}

static void mark(enum crash_kind kind, unsigned thread, uint64_t op)
{
    if (iotrap_mark)
        iotrap_mark(kind, thread, op);
}

/* Snapshots come and go; at most a few at a time. */
static int change_snapshots(struct disk *d, bool add)
{
    const struct disk_snapshot_ops *ops = d->driver->snapshots;
    struct disk_snapshot *list = NULL, s = { .icount = -1 };
    struct error err = { 0 };
    unsigned count = 0;
    bool ok = true;

    if (ops->list(d, &list, &count) < 0)
        return -EIO;
    if (add && count < 5) {
        s.name = xstrdup("snap");
        ok = ops->create(d, &s, &err);
        free(s.name);
        free(s.id);
    } else if (count) {
        ok = ops->remove(d, list[0].id, &err);
    }
    for (unsigned i = 0; i < count; i++) {
        free(list[i].id);
        free(list[i].name);
    }
    free(list);
    if (!ok)
        printf("snapshot: %s\n", err.msg);
    return ok ? 0 : -(err.code ? err.code : EIO);
}

static int do_op(struct writer *w, const struct crash_op *o, uint64_t op)
{
    uint8_t *buf;
    int r;

    switch (o->kind) {
    case CRASH_OP_FLUSH: return disk_flush(w->disk);
    case CRASH_OP_ZERO: return disk_zero(w->disk, o->offset, o->len, DISK_MAY_UNMAP);
    case CRASH_OP_DISCARD: return disk_discard(w->disk, o->offset, o->len);
    case CRASH_OP_SNAPSHOT: return change_snapshots(w->disk, true);
    case CRASH_OP_DROP_SNAPSHOT: return change_snapshots(w->disk, false);
    default:
        buf = xnew_array(uint8_t, o->len);
        crash_fill(w->plan, w->thread, op, o->offset, buf, o->len);
        r = disk_write(w->disk, o->offset, buf, o->len,
                       o->kind == CRASH_OP_COMPRESSED ? DISK_COMPRESSED : 0);
        free(buf);
        return r;
    }
}

static void *write_thread(void *arg)
{
    struct writer *w = arg;

    for (uint64_t op = 1; w->result == 0 && op <= w->ops; op++) {
        struct crash_op o = crash_op_of(w->plan, w->thread, op);

        __atomic_store_n(&w->state[w->thread].begun, op, __ATOMIC_SEQ_CST);
        mark(CRASH_BEGUN, w->thread, op);
        w->result = do_op(w, &o, op);
        if (w->result == 0 && o.kind == CRASH_OP_FLUSH) {
            mark(CRASH_FLUSHED, w->thread, op);
            __atomic_store_n(&w->state[w->thread].flushed, op, __ATOMIC_SEQ_CST);
        }
    }
    return NULL;
}

static int run_writers(struct disk *d, const struct crash_plan *p, struct crash_state *state,
                       uint64_t ops)
{
    struct writer w[CRASH_THREADS_MAX] = { 0 };
    pthread_t threads[CRASH_THREADS_MAX];
    int bad = 0;

    for (unsigned t = 0; t < p->threads; t++) {
        w[t] = (struct writer){ p, state, d, t, ops, 0 };
        state[t] = (struct crash_state){ 0 };
    }
    printf("writing\n");
    fflush(stdout);
    for (unsigned t = 0; t < p->threads; t++)
        if (pthread_create(&threads[t], NULL, write_thread, &w[t]) != 0) {
            printf("out of memory for threads\n");
            _exit(1);
        }
    for (unsigned t = 0; t < p->threads; t++) {
        pthread_join(threads[t], NULL);
        if (w[t].result < 0) {
            printf("thread %u: op %" PRIu64 ": %s\n", t, state[t].begun, strerror(-w[t].result));
            bad = 1;
        }
    }
    return bad;
}

static void say(struct disk_check *c, const char *line)
{
    printf("%s\n", line);
}

static int judge(struct disk *d, const struct crash_plan *p, const struct crash_state *state)
{
    struct disk_check c = { .say = say };
    uint64_t lost;
    int r = d->driver->check ? d->driver->check(d, &c, 0) : 0;

    lost = crash_verify(p, state, d);
    printf("corruptions %" PRId64 " leaks %" PRId64 " lost %" PRIu64 "\n",
           c.corruptions + c.check_errors + (r < 0), c.leaks, lost);
    return r < 0 || c.corruptions || c.check_errors || c.leaks || lost;
}

int main(int argc, char **argv)
{
    struct crash_plan plan;
    struct crash_state *state;
    struct disk_graph *g;
    struct disk *d;
    int status, r;

    if (argc < 6 || !crash_parse_plan(argv[4], &plan)) {
        fprintf(stderr, "usage: crashwriter write|verify IMAGE FORMAT PLAN STATE [OPS]\n");
        return 2;
    }
    state = map_state(argv[5]);
    if (!state) {
        perror(argv[5]);
        return 2;
    }
    g = disk_graph_new(NULL);
    d = open_image(g, argv[2], argv[3], DISK_RDWR | DISK_UNMAP);
    if (!d)
        return 3;
    if (!strcmp(argv[1], "write"))
        status = run_writers(d, &plan, state, argc > 6 ? strtoull(argv[6], NULL, 10) : UINT64_MAX);
    else
        status = judge(d, &plan, state);
    r = disk_close(d);
    if (r < 0) {
        printf("close: %s\n", strerror(-r));
        status |= 1;
    }
    disk_graph_free(g);
    return status;
}
