/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ops, flights, and clusters freed but not yet reusable: flight.h has the rules. */
#include "disk/format/qcow2/flight.h"

#include <time.h>

#include "base/alloc.h"
#include "base/scope.h"

enum { MANY_FREED = 64 << 20 }; /* bytes that wait before an allocation makes them reusable */

void qcow2_data_init(struct disk *d)
{
    struct qcow2 *q = d->priv;

    q->data = xnew(struct qcow2_data);
    pthread_cond_init(&q->data->cond, NULL);
    q->data->next_seq = 1;
    qcow2_unpacked_init(q);
    q->data->file_end = ALIGN_UP(disk_size(d->file), (uint64_t)q->cluster_size);
}

void qcow2_data_finish(struct disk *d)
{
    struct qcow2 *q = d->priv;

    if (!q->data)
        return;
    qcow2_unpacked_free(q);
    pthread_cond_destroy(&q->data->cond);
    free(q->data->freed);
    free(TAKE(q->data));
}

/* cache-clean-interval: tables that no request wanted for so long leave memory. */
static void clean_caches(struct qcow2 *q)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if ((uint64_t)(now.tv_sec - q->data->cleaned_s) < q->cache_clean_interval)
        return;
    q->data->cleaned_s = now.tv_sec;
    qcow2_cache_clean(q->l2_cache);
    qcow2_cache_clean(q->refcount_cache);
}

unsigned qcow2_op_begin(struct qcow2 *q)
{
    unsigned side = q->data->side;

    if (unlikely(q->cache_clean_interval))
        clean_caches(q);
    atomic_fetch_add(&q->data->ops[side], 1);
    return side;
}

void qcow2_wake_waiters(struct qcow2 *q)
{
    if (atomic_load(&q->data->waiters))
        WITH_LOCK (&q->meta)
            pthread_cond_broadcast(&q->data->cond);
}

void qcow2_op_end(struct qcow2 *q, unsigned side)
{
    if (atomic_fetch_sub(&q->data->ops[side], 1) == 1)
        qcow2_wake_waiters(q);
}

/* Ops of the side that is waited for, or fast ones, are still there. */
static bool busy(struct qcow2_data *t)
{
    return t->grace && (atomic_load(&t->ops[!t->side]) || atomic_load(&t->fast));
}

/* The waiter says so before it looks, and ops look for waiters after they end: none is missed. */
static void wait_quiet(struct qcow2 *q)
{
    atomic_fetch_add(&q->data->waiters, 1);
    if (busy(q->data))
        pthread_cond_wait(&q->data->cond, &q->meta);
    atomic_fetch_sub(&q->data->waiters, 1);
}

bool qcow2_flight_wait(struct qcow2 *q, uint64_t start, uint64_t end)
{
    bool waited = false;

    for (struct qcow2_flight *f = q->data->flights; f;) {
        if (f->start < end && start < f->end) {
            pthread_cond_wait(&q->data->cond, &q->meta);
            waited = true;
            f = q->data->flights;
        } else {
            f = f->next;
        }
    }
    return waited;
}

void qcow2_flight_add(struct qcow2 *q, struct qcow2_flight *f)
{
    f->next = q->data->flights;
    q->data->flights = f;
}

void qcow2_flight_remove(struct qcow2 *q, struct qcow2_flight *f)
{
    struct qcow2_flight **p = &q->data->flights;

    while (*p != f)
        p = &(*p)->next;
    *p = f->next;
    pthread_cond_broadcast(&q->data->cond);
}

void qcow2_free(struct disk *d, uint64_t offset, uint64_t len, enum qcow2_discard why)
{
    struct qcow2 *q = d->priv;
    struct qcow2_data *t = q->data;
    struct qcow2_freed *last =
        t->freed_count ? &t->freed[t->freed_head + t->freed_count - 1] : NULL;

    t->freed_bytes += len;
    if (last && last->offset + last->len == offset && last->why == why &&
        last->seq > t->durable_seq && last->seq > t->grace_seq && last->seq > t->quiet_seq &&
        !((offset | last->offset) & q->cluster_mask)) {
        last->len += len;
        return;
    }
    if (t->freed_head + t->freed_count == t->freed_max) {
        if (t->freed_count && t->freed_head)
            memmove(t->freed, t->freed + t->freed_head, t->freed_count * sizeof(*t->freed));
        t->freed_head = 0;
        if (t->freed_count >= t->freed_max / 2) {
            t->freed_max = t->freed_max ? t->freed_max * 2 : 64;
            t->freed = xrealloc_array(t->freed, t->freed_max, sizeof(*t->freed));
        }
    }
    t->freed[t->freed_head + t->freed_count++] =
        (struct qcow2_freed){ offset, len, t->next_seq++, why };
}

/* What the host cannot discard stays allocated there: no harm. */
static void hint_discard(struct disk *node, uint64_t offset, uint64_t len)
{
    int ignored = disk_discard(node, offset, len);

    (void)ignored;
}

void qcow2_free_cluster_of(struct disk *d, uint64_t l2_entry, enum qcow2_discard why)
{
    struct qcow2 *q = d->priv;
    uint64_t offset;
    uint32_t len;

    if (l2_entry & L2_COMPRESSED) {
        qcow2_compressed_place(q, l2_entry, &offset, &len);
        qcow2_free(d, offset, len, why);
    } else if (qcow2_has_data_file(q)) {
        if (q->pass_discard[why] && l2_entry & ENTRY_COPIED)
            hint_discard(d->data, l2_entry & ENTRY_OFFSET_MASK, q->cluster_size);
    } else if (l2_entry & ENTRY_OFFSET_MASK) {
        qcow2_free(d, l2_entry & ENTRY_OFFSET_MASK, q->cluster_size, why);
    }
}

int qcow2_free_now(struct disk *d, uint64_t offset, uint64_t len, enum qcow2_discard why)
{
    struct qcow2 *q = d->priv;
    uint64_t size = q->cluster_size, end = ALIGN_UP(offset + len, size);
    int ret = qcow2_change_refcount(d, offset, len, -1);

    if (ret < 0)
        return ret;
    for (uint64_t at = offset & ~q->cluster_mask; at < end;) {
        int64_t n = qcow2_cluster_run(d, at / size, (end - at) / size, true);

        if (n < 0)
            return (int)n;
        if (n > 0) {
            qcow2_unpacked_forget(q);
            qcow2_cache_forget(q->l2_cache, at, (uint64_t)n * size);
            qcow2_cache_forget(q->refcount_cache, at, (uint64_t)n * size);
            if (q->packed_left && q->packed_offset >= at &&
                q->packed_offset < at + (uint64_t)n * size)
                q->packed_left = 0;
            if (q->pass_discard[why])
                hint_discard(d->file, at, (uint64_t)n * size);
            at += (uint64_t)n * size;
        } else {
            at += size;
        }
    }
    return 0;
}

/* Begins or ends the wait for ops that may still use what was freed. */
static void quiesce(struct qcow2_data *t)
{
    for (int i = 0; i < 2; i++) {
        if (t->grace && !busy(t)) {
            t->quiet_seq = t->grace_seq;
            t->grace = false;
            atomic_store(&t->pause_fast, false);
        }
        if (!t->grace && t->freed_count && t->quiet_seq + 1 < t->next_seq) {
            t->grace = true;
            t->grace_seq = t->next_seq - 1;
            t->side = !t->side;
            atomic_store(&t->pause_fast, true);
        }
    }
}

int qcow2_reclaim(struct disk *d)
{
    struct qcow2 *q = d->priv;
    struct qcow2_data *t = q->data;
    int ret = 0;

    quiesce(t);
    while (t->freed_count && ret == 0) {
        struct qcow2_freed f = t->freed[t->freed_head];

        if (f.seq > t->quiet_seq || f.seq > t->durable_seq)
            break;
        t->freed_head++;
        t->freed_count--;
        t->freed_bytes -= f.len;
        ret = qcow2_free_now(d, f.offset, f.len, f.why);
        q->leaked |= ret < 0;
    }
    return ret;
}

int qcow2_write_metadata(struct disk *d)
{
    struct qcow2 *q = d->priv;
    int ret = qcow2_cache_write(q->l2_cache); /* first its dependencies */

    if (ret == 0)
        ret = qcow2_cache_write(q->refcount_cache);
    return ret < 0 ? ret : qcow2_write_l1(d);
}

/* With meta held throughout; for slow paths. */
static int flush_locked(struct disk *d)
{
    struct qcow2_data *t = ((struct qcow2 *)d->priv)->data;
    uint64_t seq = t->next_seq - 1;
    int ret = qcow2_write_metadata(d);

    if (ret == 0)
        ret = qcow2_barrier(d);
    if (ret == 0)
        t->durable_seq = MAX(t->durable_seq, seq);
    return ret;
}

void qcow2_reclaim_if_many(struct disk *d)
{
    struct qcow2 *q = d->priv;
    struct qcow2_data *t = q->data;

    if (t->freed_bytes < MANY_FREED || q->refcount_growing)
        return;
    if (flush_locked(d) == 0 && qcow2_reclaim(d) < 0)
        return; /* it stays in use: a leak, which the next open heals */
}

int qcow2_settle(struct disk *d)
{
    struct qcow2 *q = d->priv;
    int ret = 0;

    while (ret == 0 && q->data->freed_count) {
        ret = flush_locked(d);
        if (ret == 0)
            ret = qcow2_reclaim(d);
        if (ret == 0 && q->data->freed_count)
            wait_quiet(q);
    }
    return ret < 0 ? ret : flush_locked(d);
}
