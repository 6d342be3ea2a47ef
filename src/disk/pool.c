/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Worker threads of a graph: made when work waits and nobody is idle, up to POOL_MAX; they leave
 * after a while without work. disk_parallel() spreads one loop over them.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/node_priv.h"

#define POOL_MAX    64
#define POOL_IDLE_S 5

void pool_init(struct pool *p)
{
    pthread_condattr_t attr;

    memset(p, 0, sizeof(*p));
    p->last = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, &attr);
    pthread_cond_init(&p->gone, &attr);
    pthread_condattr_destroy(&attr);
}

/* Waits for work with lock held; false: leave. */
static bool wait_for_work(struct pool *p)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += POOL_IDLE_S;
    while (!p->first) {
        int r;

        if (p->stop)
            return false;
        p->idle++;
        r = pthread_cond_timedwait(&p->work, &p->lock, &until);
        p->idle--;
        if (r == ETIMEDOUT && !p->first)
            return false;
    }
    return true;
}

static void *worker(void *arg)
{
    struct pool *p = arg;

    pthread_mutex_lock(&p->lock);
    while (wait_for_work(p)) {
        struct pool_work *w = p->first;

        p->first = w->next;
        if (!p->first)
            p->last = &p->first;
        p->queued--;
        pthread_mutex_unlock(&p->lock);
        w->run(w);
        pthread_mutex_lock(&p->lock);
    }
    p->threads--;
    if (!p->threads)
        pthread_cond_broadcast(&p->gone);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Lock held. A thread that cannot be made is no error while another one runs. */
static void add_thread(struct pool *p)
{
    pthread_attr_t attr;
    pthread_t t;
    int r;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 512 * 1024);
    r = pthread_create(&t, &attr, worker, p);
    pthread_attr_destroy(&attr);
    if (!r)
        p->threads++;
}

void pool_submit(struct pool *p, struct pool_work *w)
{
    bool here;

    w->next = NULL;
    pthread_mutex_lock(&p->lock);
    *p->last = w;
    p->last = &w->next;
    p->queued++;
    if (p->idle < p->queued && p->threads < POOL_MAX)
        add_thread(p);
    here = !p->threads;
    if (here) { /* no thread can be had at all: the submitter works */
        p->first = NULL;
        p->last = &p->first;
        p->queued = 0;
    } else {
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    if (here)
        w->run(w);
}

void pool_finish(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    while (p->threads)
        pthread_cond_wait(&p->gone, &p->lock);
    pthread_mutex_unlock(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->gone);
    pthread_mutex_destroy(&p->lock);
}

/* One loop that several threads share. Helpers that come when it is over find nothing to do, and
 * free the loop when they are the last. */
struct loop {
    int (*fn)(void *arg, unsigned i);
    void *arg;
    unsigned n;
    bool nested;
    _Atomic(unsigned) next, done, users;
    _Atomic(int) result;
    pthread_mutex_t lock;
    pthread_cond_t all_done;
};

struct loop_work {
    struct pool_work w;
    struct loop *l;
};

static void loop_unref(struct loop *l)
{
    if (atomic_fetch_sub(&l->users, 1) > 1)
        return;
    pthread_cond_destroy(&l->all_done);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void loop_run(struct loop *l)
{
    unsigned i;

    while ((i = atomic_fetch_add(&l->next, 1)) < l->n) {
        int r = atomic_load(&l->result) ? 0 : l->fn(l->arg, i), none = 0;

        if (r)
            atomic_compare_exchange_strong(&l->result, &none, r);
        if (atomic_fetch_add(&l->done, 1) + 1 == l->n) {
            WITH_LOCK (&l->lock)
                pthread_cond_broadcast(&l->all_done);
        }
    }
}

static void loop_help(struct pool_work *w)
{
    struct loop_work *lw = container_of(w, struct loop_work, w);
    struct loop *l = lw->l;

    if (l->nested)
        request_nested_begin();
    loop_run(l);
    if (l->nested)
        request_nested_end();
    loop_unref(l);
    free(lw);
}

int disk_parallel(struct disk_graph *g, unsigned n, int (*fn)(void *arg, unsigned i), void *arg)
{
    unsigned helpers = MIN(n, disk_worker_count(g));
    struct loop *l;
    int r;

    helpers = helpers ? helpers - 1 : 0;
    if (!helpers) {
        for (unsigned i = 0; i < n; i++) {
            if ((r = fn(arg, i)))
                return r;
        }
        return 0;
    }
    l = xnew(struct loop);
    l->fn = fn;
    l->arg = arg;
    l->n = n;
    l->nested = request_is_nested();
    atomic_init(&l->users, helpers + 1);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->all_done, NULL);
    for (unsigned i = 0; i < helpers; i++) {
        struct loop_work *lw = xnew(struct loop_work);

        lw->w.run = loop_help;
        lw->l = l;
        pool_submit(&g->pool, &lw->w);
    }
    loop_run(l);
    WITH_LOCK (&l->lock) {
        while (atomic_load(&l->done) < n)
            pthread_cond_wait(&l->all_done, &l->lock);
    }
    r = atomic_load(&l->result);
    loop_unref(l);
    return r;
}

unsigned disk_worker_count(struct disk_graph *g)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : (unsigned)MIN(n, POOL_MAX);
}
