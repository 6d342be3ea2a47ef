/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/throttle.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"

#define SECOND_NS UINT64_C(1000000000)
#define MAX_VALUE (UINT64_C(1000000000000000)) /* so that products stay exact in a double */

/* What a bucket holds, in bytes or requests. */
struct level {
    double level, burst; /* burst leaks at max: keeps -max-length bursts from coming at once */
};

struct waiter {
    pthread_cond_t go;
    struct waiter *next;
};

struct throttle_member {
    struct throttle_group *group;
    struct throttle_member *next; /* guarded by the group's lock, as the rest */
    struct waiter *first[2];      /* reads, writes */
    unsigned hurry;
};

struct throttle_group {
    struct throttle_limits limits; /* set by the object's properties, then guarded by lock */
    bool ready;
    pthread_mutex_t lock;
    struct throttle_member *members;
    struct throttle_member *turn[2]; /* whose first waiter is next; NULL: nobody waits */
    struct level levels[THROTTLE_BUCKET_COUNT];
    uint64_t leaked_ns; /* when levels were last brought up to date */
};

/* Known as "x-bps-total" and, in JSON, as a member of "limits". */
#define LIMIT(text, m, ...)                                                                        \
    {                                                                                              \
        .name = "limits." text, .wire = "x-" text, .count = 1, .max = MAX_VALUE,                   \
        .offset = offsetof(struct throttle_group, limits.m), .kind = FIELD_U64, __VA_ARGS__        \
    }

static const struct field props[] = {
    LIMIT("bps-total", bucket[THROTTLE_BPS_TOTAL].avg, .doc = "bytes per second", .is_size = true),
    LIMIT("bps-total-max", bucket[THROTTLE_BPS_TOTAL].max, .doc = "bytes per second in bursts",
          .is_size = true),
    LIMIT("bps-total-max-length", bucket[THROTTLE_BPS_TOTAL].max_length,
          .doc = "seconds a burst may last"),
    LIMIT("bps-read", bucket[THROTTLE_BPS_READ].avg, .doc = "bytes per second read",
          .is_size = true),
    LIMIT("bps-read-max", bucket[THROTTLE_BPS_READ].max, .doc = "bytes per second read in bursts",
          .is_size = true),
    LIMIT("bps-read-max-length", bucket[THROTTLE_BPS_READ].max_length,
          .doc = "seconds a burst may last"),
    LIMIT("bps-write", bucket[THROTTLE_BPS_WRITE].avg, .doc = "bytes per second written",
          .is_size = true),
    LIMIT("bps-write-max", bucket[THROTTLE_BPS_WRITE].max,
          .doc = "bytes per second written in bursts", .is_size = true),
    LIMIT("bps-write-max-length", bucket[THROTTLE_BPS_WRITE].max_length,
          .doc = "seconds a burst may last"),
    LIMIT("iops-total", bucket[THROTTLE_IOPS_TOTAL].avg, .doc = "requests per second"),
    LIMIT("iops-total-max", bucket[THROTTLE_IOPS_TOTAL].max,
          .doc = "requests per second in bursts"),
    LIMIT("iops-total-max-length", bucket[THROTTLE_IOPS_TOTAL].max_length,
          .doc = "seconds a burst may last"),
    LIMIT("iops-read", bucket[THROTTLE_IOPS_READ].avg, .doc = "requests per second read"),
    LIMIT("iops-read-max", bucket[THROTTLE_IOPS_READ].max,
          .doc = "requests per second read in bursts"),
    LIMIT("iops-read-max-length", bucket[THROTTLE_IOPS_READ].max_length,
          .doc = "seconds a burst may last"),
    LIMIT("iops-write", bucket[THROTTLE_IOPS_WRITE].avg, .doc = "requests per second written"),
    LIMIT("iops-write-max", bucket[THROTTLE_IOPS_WRITE].max,
          .doc = "requests per second written in bursts"),
    LIMIT("iops-write-max-length", bucket[THROTTLE_IOPS_WRITE].max_length,
          .doc = "seconds a burst may last"),
    LIMIT("iops-size", iops_size, .doc = "a request of more bytes counts as several",
          .is_size = true),
    { 0 },
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static bool check_bucket(const struct throttle_limit *b, struct error *err)
{
    if (b->max && !b->avg)
        return fail(err, EINVAL, "bps_max/iops_max require corresponding bps/iops values");
    if (b->max && b->max < b->avg)
        return fail(err, EINVAL, "bps_max/iops_max cannot be lower than bps/iops");
    if (b->max_length > 1 && !b->max)
        return fail(err, EINVAL, "burst length set without burst rate");
    if (b->max_length && b->max > MAX_VALUE / b->max_length)
        return fail(err, EINVAL, "burst length too high for this burst rate");
    return true;
}

bool throttle_check(const struct throttle_limits *l, struct error *err)
{
    const struct throttle_limit *b = l->bucket;

    for (unsigned i = 0; i < THROTTLE_BUCKET_COUNT; i += 3) {
        if ((b[i].avg && (b[i + 1].avg || b[i + 2].avg)) ||
            (b[i].max && (b[i + 1].max || b[i + 2].max)))
            return fail(err, EINVAL,
                        "bps/iops/max total values and read/write values cannot be "
                        "used at the same time");
    }
    if (l->iops_size && !b[THROTTLE_IOPS_TOTAL].avg && !b[THROTTLE_IOPS_READ].avg &&
        !b[THROTTLE_IOPS_WRITE].avg)
        return fail(err, EINVAL, "iops size requires an iops value to be set");
    for (unsigned i = 0; i < THROTTLE_BUCKET_COUNT; i++)
        if (!check_bucket(&b[i], err))
            return false;
    return true;
}

static bool group_complete(void *obj, struct object_set *set, struct error *err)
{
    struct throttle_group *g = obj;

    (void)set;
    pthread_mutex_init(&g->lock, NULL);
    g->ready = true;
    g->leaked_ns = now_ns();
    return throttle_check(&g->limits, err);
}

static void group_finish(void *obj)
{
    struct throttle_group *g = obj;

    assert(!g->members);
    if (g->ready)
        pthread_mutex_destroy(&g->lock);
}

const struct object_type throttle_group_type = {
    .name = "throttle-group",
    .doc = "Limits of bytes and requests per second, shared by disks.",
    .size = sizeof(struct throttle_group),
    .props = props,
    .complete = group_complete,
    .finish = group_finish,
};

static struct throttle_member *next_member(struct throttle_member *m)
{
    return m->next ? m->next : m->group->members;
}

/* Gives the turn to the first member after m, m itself last, in which somebody waits. */
static void pass_turn_locked(struct throttle_member *m, unsigned dir)
{
    struct throttle_group *g = m->group;

    g->turn[dir] = NULL;
    for (struct throttle_member *n = next_member(m);; n = next_member(n)) {
        if (n->first[dir]) {
            g->turn[dir] = n;
            pthread_cond_signal(&n->first[dir]->go);
            return;
        }
        if (n == m)
            return;
    }
}

static void wake_all_locked(struct throttle_group *g)
{
    for (struct throttle_member *m = g->members; m; m = m->next)
        for (unsigned dir = 0; dir < 2; dir++)
            for (struct waiter *w = m->first[dir]; w; w = w->next)
                pthread_cond_signal(&w->go);
}

void throttle_set(struct throttle_group *g, const struct throttle_limits *l)
{
    WITH_LOCK (&g->lock) {
        g->limits = *l;
        for (unsigned i = 0; i < THROTTLE_BUCKET_COUNT; i++)
            g->levels[i] = (struct level){ 0, 0 };
        wake_all_locked(g);
    }
}

struct throttle_limits throttle_get(struct throttle_group *g)
{
    struct throttle_limits l = { 0 };

    WITH_LOCK (&g->lock)
        l = g->limits;
    return l;
}

struct throttle_member *throttle_join(struct throttle_group *g)
{
    struct throttle_member *m = xnew(struct throttle_member);

    m->group = g;
    WITH_LOCK (&g->lock) {
        m->next = g->members;
        g->members = m;
    }
    return m;
}

void throttle_leave(struct throttle_member *m)
{
    if (!m)
        return;
    WITH_LOCK (&m->group->lock) {
        struct throttle_member **p = &m->group->members;

        assert(!m->first[0] && !m->first[1]);
        while (*p != m)
            p = &(*p)->next;
        *p = m->next;
    }
    free(m);
}

static void leak_locked(struct throttle_group *g)
{
    uint64_t now = now_ns();
    double seconds = (double)(now - g->leaked_ns) / (double)SECOND_NS;

    g->leaked_ns = now;
    for (unsigned i = 0; i < THROTTLE_BUCKET_COUNT; i++) {
        const struct throttle_limit *b = &g->limits.bucket[i];
        struct level *l = &g->levels[i];

        l->level = MAX(l->level - (double)b->avg * seconds, 0.0);
        l->burst = MAX(l->burst - (double)b->max * seconds, 0.0);
    }
}

/* Seconds until a bucket is down at its brim. */
static double bucket_wait(const struct throttle_limit *b, const struct level *l)
{
    uint64_t length = MAX(b->max_length, UINT64_C(1));
    double brim = b->max ? (double)b->max * (double)length : (double)b->avg / 10;
    double wait = 0;

    if (!b->avg)
        return 0;
    if (l->level > brim)
        wait = (l->level - brim) / (double)b->avg;
    if (length > 1 && l->burst > (double)b->max / 10)
        wait = MAX(wait, (l->burst - (double)b->max / 10) / (double)b->max);
    return wait;
}

/* Of the six buckets a request pours into four. */
static bool concerns(unsigned bucket, bool write)
{
    return bucket % 3 == 0 || bucket % 3 == (write ? 2 : 1);
}

static uint64_t wait_ns_locked(struct throttle_group *g, bool write)
{
    double wait = 0;

    leak_locked(g);
    for (unsigned i = 0; i < THROTTLE_BUCKET_COUNT; i++)
        if (concerns(i, write))
            wait = MAX(wait, bucket_wait(&g->limits.bucket[i], &g->levels[i]));
    return (uint64_t)(MIN(wait, 3600.0) * (double)SECOND_NS);
}

static void account_locked(struct throttle_group *g, bool write, uint64_t bytes)
{
    uint64_t size = g->limits.iops_size;
    double requests = size && bytes > size ? (double)bytes / (double)size : 1;

    for (unsigned i = 0; i < THROTTLE_BUCKET_COUNT; i++) {
        double amount = i < THROTTLE_IOPS_TOTAL ? (double)bytes : requests;

        if (!concerns(i, write))
            continue;
        g->levels[i].level += amount;
        g->levels[i].burst += amount;
    }
}

static void sleep_locked(struct throttle_group *g, struct waiter *w, uint64_t ns)
{
    uint64_t until = now_ns() + ns;
    struct timespec t = { (time_t)(until / SECOND_NS), (long)(until % SECOND_NS) };

    (void)pthread_cond_timedwait(&w->go, &g->lock, &t);
}

void throttle_wait(struct throttle_member *m, bool write, uint64_t bytes)
{
    struct throttle_group *g = m->group;
    struct waiter me = { 0 }, **end;
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&me.go, &attr);
    pthread_condattr_destroy(&attr);
    WITH_LOCK (&g->lock) {
        for (end = &m->first[write]; *end; end = &(*end)->next)
            ;
        *end = &me;
        if (!g->turn[write])
            g->turn[write] = m;
        while (!m->hurry) {
            uint64_t ns;

            if (g->turn[write] != m || m->first[write] != &me) {
                pthread_cond_wait(&me.go, &g->lock);
                continue;
            }
            ns = wait_ns_locked(g, write);
            if (!ns)
                break;
            sleep_locked(g, &me, ns);
        }
        account_locked(g, write, bytes);
        for (end = &m->first[write]; *end != &me; end = &(*end)->next)
            ;
        *end = me.next;
        if (g->turn[write] == m)
            pass_turn_locked(m, write);
    }
    pthread_cond_destroy(&me.go);
}

void throttle_hurry_begin(struct throttle_member *m)
{
    WITH_LOCK (&m->group->lock) {
        m->hurry++;
        wake_all_locked(m->group);
    }
}

void throttle_hurry_end(struct throttle_member *m)
{
    WITH_LOCK (&m->group->lock)
        m->hurry--;
}
