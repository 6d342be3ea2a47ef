/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/job/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"

#define MAX_ZERO (UINT64_C(1) << 28) /* zeroed by one call, so that a cancel is soon heard */

static uint64_t chunk_of(const struct copy *c)
{
    return c->chunk ? c->chunk : COPY_CHUNK;
}

/* What is to be done with the first *len bytes at offset. */
enum piece { PIECE_SKIP, PIECE_ZERO, PIECE_DATA };

static int classify(struct copy *c, uint64_t offset, uint64_t *len, enum piece *ret)
{
    struct disk_extent x;
    int r = disk_map_above(c->source, c->base, offset, *len, &x);

    if (r)
        return r;
    *len = MIN(*len, x.len);
    if ((c->skip_holes && !(x.flags & DISK_MAP_ALLOCATED)) ||
        (c->skip_top && !x.depth && (x.flags & DISK_MAP_ALLOCATED)))
        *ret = PIECE_SKIP;
    else
        *ret = x.flags & DISK_MAP_ZERO ? PIECE_ZERO : PIECE_DATA;
    return 0;
}

/* Whether a target already has zeroes there, as a new image does everywhere. */
static bool reads_zero(struct disk *d, uint64_t offset, uint64_t len)
{
    struct disk_extent x;
    int r = disk_map_above(d, NULL, offset, len, &x);

    return !r && (x.flags & DISK_MAP_ZERO) && x.len >= len;
}

int copy_bytes(struct copy *c, struct copy_range *r, void *buf)
{
    int error = 0;

    for (uint64_t done = 0, n; !error && done < r->len; done += n) {
        enum piece what;

        n = r->len - done;
        r->write = false;
        error = classify(c, r->offset + done, &n, &what);
        if (error || what == PIECE_SKIP)
            continue;
        if (what == PIECE_DATA) {
            n = MIN(n, chunk_of(c));
            error = disk_read(c->source, r->offset + done, buf, n);
            if (error)
                continue;
            if (c->detect_zeroes && buf_is_zero(buf, n))
                what = PIECE_ZERO;
        }
        if (what == PIECE_ZERO && c->new_target && reads_zero(c->target, r->offset + done, n))
            continue;
        r->write = true;
        error = what == PIECE_ZERO
                    ? disk_zero(c->target, r->offset + done, n, c->zero_flags)
                    : disk_write(c->target, r->offset + done, buf, n, c->write_flags);
    }
    return error;
}

static void *copy_main(void *arg)
{
    struct copy *c = arg;
    AUTO_FREE void *buf = NULL;

    if (posix_memalign(&buf, 4096, chunk_of(c)))
        buf = NULL;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        struct copy_range *r = c->todo, **p;

        if (!r) {
            if (c->stop)
                break;
            c->idle++;
            pthread_cond_wait(&c->work, &c->lock);
            c->idle--;
            continue;
        }
        c->todo = r->next;
        r->next = c->running;
        c->running = r;
        pthread_mutex_unlock(&c->lock);
        r->error = !buf ? -ENOMEM : c->run ? c->run(c, r, buf) : copy_bytes(c, r, buf);
        if (!r->error)
            job_add_progress(c->job, r->len);
        pthread_mutex_lock(&c->lock);
        for (p = &c->running; *p != r; p = &(*p)->next)
            ;
        *p = r->next;
        c->busy--;
        if (r->error) {
            r->next = c->failed;
            c->failed = r;
        } else {
            free(r);
        }
        pthread_cond_signal(&c->done);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

void copy_start(struct copy *c)
{
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->work, NULL);
    pthread_cond_init(&c->done, NULL);
}

void copy_finish(struct copy *c)
{
    if (!c->job)
        return;
    WITH_LOCK (&c->lock) {
        c->stop = true;
        pthread_cond_broadcast(&c->work);
    }
    for (unsigned i = 0; i < c->threads; i++)
        pthread_join(c->thread[i], NULL);
    for (struct copy_range *r; (r = c->failed);) {
        c->failed = r->next;
        free(r);
    }
    pthread_cond_destroy(&c->work);
    pthread_cond_destroy(&c->done);
    pthread_mutex_destroy(&c->lock);
    c->job = NULL;
}

static bool overlaps(const struct copy_range *list, uint64_t offset, uint64_t len)
{
    for (; list; list = list->next)
        if (list->offset < offset + len && offset < list->offset + list->len)
            return true;
    return false;
}

void copy_push(struct copy *c, uint64_t offset, uint64_t len)
{
    struct copy_range *r = xnew(struct copy_range), **end;

    r->offset = offset;
    r->len = len;
    WITH_LOCK (&c->lock) {
        while (c->busy >= 2 * COPY_THREADS || overlaps(c->todo, offset, len) ||
               overlaps(c->running, offset, len))
            pthread_cond_wait(&c->done, &c->lock);
        for (end = &c->todo; *end; end = &(*end)->next)
            ;
        *end = r;
        c->busy++;
        if (!c->idle && c->threads < COPY_THREADS &&
            !pthread_create(&c->thread[c->threads], NULL, copy_main, c))
            c->threads++;
        if (!c->threads) { /* no thread to be had at all */
            *end = NULL;
            c->busy--;
            r->error = -EAGAIN;
            r->next = c->failed;
            c->failed = r;
        }
        pthread_cond_signal(&c->work);
    }
}

void copy_wait_idle(struct copy *c)
{
    WITH_LOCK (&c->lock) {
        while (c->busy)
            pthread_cond_wait(&c->done, &c->lock);
    }
}

bool copy_is_idle(struct copy *c)
{
    bool idle = false;

    WITH_LOCK (&c->lock)
        idle = !c->busy && !c->failed;
    return idle;
}

bool copy_take_failed(struct copy *c, struct copy_range *ret)
{
    struct copy_range *r = NULL;

    WITH_LOCK (&c->lock) {
        r = c->failed;
        if (r)
            c->failed = r->next;
    }
    if (!r)
        return false;
    *ret = *r;
    free(r);
    return true;
}

bool copy_pause_point(struct copy *c)
{
    if (job_should_pause(c->job))
        copy_wait_idle(c);
    return job_pause_point(c->job);
}

static bool copy_retry(struct copy *c, const struct copy_range *r, struct error *err)
{
    bool ignore = (r->write ? c->job->options.on_target_error : c->job->options.on_source_error) ==
                  JOB_ON_ERROR_IGNORE;

    if (!job_handle_error(c->job, r->write, r->error, err) || !copy_pause_point(c))
        return false;
    if (c->fail_late && ignore)
        c->late_error = r->error;
    else
        copy_push(c, r->offset, r->len);
    return true;
}

bool copy_retry_failed(struct copy *c, struct error *err)
{
    struct copy_range r;

    while (copy_take_failed(c, &r)) {
        if (!copy_retry(c, &r, err))
            return false;
    }
    return true;
}

bool copy_all(struct copy *c, uint64_t size, struct error *err)
{
    for (uint64_t offset = 0, len; offset < size; offset += len) {
        enum piece what;
        int r;

        len = size - offset;
        r = classify(c, offset, &len, &what);
        if (r) {
            len = 0;
            if (!job_handle_error(c->job, false, r, err))
                return false;
        } else if (what == PIECE_SKIP) {
            job_add_progress(c->job, len);
        } else {
            len = MIN(len, what == PIECE_DATA ? chunk_of(c) : MAX_ZERO);
            if (!job_wait_speed(c->job, what == PIECE_DATA ? len : 0))
                return false;
            copy_push(c, offset, len);
        }
        job_show_progress(c->job);
        if (!copy_pause_point(c) || !copy_retry_failed(c, err))
            return false;
    }
    while (copy_wait_idle(c), !copy_is_idle(c))
        if (!copy_retry_failed(c, err))
            return false;
    if (c->late_error)
        return fail(err, -c->late_error, "not all could be copied: %s", strerror(-c->late_error));
    return !job_is_cancelled(c->job);
}
