/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a job: its thread, its status and what users do to it. A job runs through
 * created, running (paused in between), ready (standby) for those that follow their source, then
 * waiting, pending, concluded; after an error or a cancel aborting, concluded.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/job/job_priv.h"

#define SECOND_NS UINT64_C(1000000000)

const char *const job_status_names[] = {
    "created", "running",  "paused",    "ready", "standby", "waiting",
    "pending", "aborting", "concluded", "null",  NULL,
};

/* Which status may follow which. */
static const uint16_t may_follow[JOB_STATUS_COUNT] = {
    [JOB_CREATED] = 1 << JOB_RUNNING | 1 << JOB_ABORTING | 1 << JOB_NULL,
    [JOB_RUNNING] = 1 << JOB_PAUSED | 1 << JOB_READY | 1 << JOB_WAITING | 1 << JOB_ABORTING,
    [JOB_PAUSED] = 1 << JOB_RUNNING,
    [JOB_READY] = 1 << JOB_STANDBY | 1 << JOB_WAITING | 1 << JOB_ABORTING,
    [JOB_STANDBY] = 1 << JOB_READY,
    [JOB_WAITING] = 1 << JOB_PENDING | 1 << JOB_ABORTING,
    [JOB_PENDING] = 1 << JOB_CONCLUDED | 1 << JOB_ABORTING,
    [JOB_ABORTING] = 1 << JOB_CONCLUDED,
    [JOB_CONCLUDED] = 1 << JOB_NULL,
};

uint64_t job_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

struct job *job_new(const struct job_type *type, const struct job_options *o)
{
    struct job *j = xnew(struct job);
    pthread_condattr_t attr;

    j->type = type;
    j->options = *o;
    j->id = xstrdup(o->id ? o->id : type->name);
    j->priv = type->size ? xcalloc(1, type->size) : NULL;
    j->speed = o->speed;
    pthread_mutex_init(&j->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&j->changed, &attr);
    pthread_condattr_destroy(&attr);
    return j;
}

void job_free(struct job *j)
{
    enum job_status s;

    if (!j)
        return;
    s = job_status(j);
    assert(s == JOB_CREATED || s == JOB_CONCLUDED || s == JOB_NULL);
    if (j->has_thread)
        pthread_join(j->thread, NULL);
    else if (!j->started && j->type->clean)
        j->type->clean(j);
    pthread_cond_destroy(&j->changed);
    pthread_mutex_destroy(&j->lock);
    free(j->priv);
    free(j->id);
    free(j);
}

const char *job_id(const struct job *j)
{
    return j->id;
}

const struct job_type *job_type(const struct job *j)
{
    return j->type;
}

enum job_status job_status(const struct job *j)
{
    return atomic_load(&j->status);
}

static void set_status_locked(struct job *j, enum job_status s)
{
    assert(may_follow[atomic_load(&j->status)] >> s & 1);
    atomic_store(&j->status, s);
    pthread_cond_broadcast(&j->changed);
}

static void tell_status(struct job *j, enum job_status s)
{
    if (j->options.changed)
        j->options.changed(j, s, j->options.opaque);
}

static void set_status(struct job *j, enum job_status s)
{
    WITH_LOCK (&j->lock)
        set_status_locked(j, s);
    tell_status(j, s);
}

bool job_should_pause(struct job *j)
{
    bool paused = false;

    WITH_LOCK (&j->lock)
        paused = j->user_paused && !(j->cancelled && j->forced);
    return paused;
}

bool job_is_cancelled(struct job *j)
{
    bool cancelled = false;

    WITH_LOCK (&j->lock)
        cancelled = j->cancelled && j->forced;
    return cancelled;
}

bool job_soft_cancelled(struct job *j)
{
    bool cancelled = false;

    WITH_LOCK (&j->lock)
        cancelled = j->cancelled && !j->forced;
    return cancelled;
}

bool job_is_completing(struct job *j)
{
    bool completing = false;

    WITH_LOCK (&j->lock)
        completing = j->completing;
    return completing;
}

bool job_pause_point(struct job *j)
{
    enum job_status was = job_status(j);

    if (job_should_pause(j)) {
        set_status(j, was == JOB_READY ? JOB_STANDBY : JOB_PAUSED);
        WITH_LOCK (&j->lock) {
            while (j->user_paused && !j->cancelled)
                pthread_cond_wait(&j->changed, &j->lock);
        }
        set_status(j, was);
    }
    return !job_is_cancelled(j);
}

void job_set_ready(struct job *j)
{
    if (job_status(j) == JOB_RUNNING)
        set_status(j, JOB_READY);
}

/* With the lock held; wakes early when somebody kicked the job. */
static void sleep_locked(struct job *j, uint64_t until_ns)
{
    struct timespec t = { (time_t)(until_ns / SECOND_NS), (long)(until_ns % SECOND_NS) };

    while (!j->kicked && !j->cancelled &&
           pthread_cond_timedwait(&j->changed, &j->lock, &t) != ETIMEDOUT)
        ;
    j->kicked = false;
}

void job_sleep(struct job *j, uint64_t ns)
{
    WITH_LOCK (&j->lock)
        sleep_locked(j, job_now_ns() + ns);
}

void job_kick(struct job *j)
{
    WITH_LOCK (&j->lock) {
        j->kicked = true;
        pthread_cond_broadcast(&j->changed);
    }
}

bool job_wait_speed(struct job *j, uint64_t len)
{
    bool go = false, ended = false;

    while (!go && !ended) {
        WITH_LOCK (&j->lock) {
            uint64_t now = job_now_ns();

            ended = j->cancelled && j->forced;
            go = !j->speed || now >= j->next_ns;
            if (go && j->speed)
                j->next_ns = MAX(now, j->next_ns) +
                             (uint64_t)((double)len * (double)SECOND_NS / (double)j->speed);
            if (!go && !ended)
                sleep_locked(j, MIN(j->next_ns, now + SECOND_NS / 10));
        }
        if (!go && !job_pause_point(j))
            ended = true;
    }
    return !ended;
}

void job_set_speed(struct job *j, uint64_t bytes_per_second)
{
    WITH_LOCK (&j->lock) {
        j->speed = bytes_per_second;
        j->next_ns = 0;
        j->kicked = true;
        pthread_cond_broadcast(&j->changed);
    }
}

void job_set_total(struct job *j, uint64_t total)
{
    atomic_store(&j->total, total);
}

void job_add_progress(struct job *j, uint64_t done)
{
    atomic_fetch_add(&j->done, done);
}

void job_progress(const struct job *j, uint64_t *ret_done, uint64_t *ret_total)
{
    *ret_done = atomic_load(&j->done);
    *ret_total = MAX(atomic_load(&j->total), *ret_done);
}

void job_show_progress(struct job *j)
{
    struct disk_progress *p = j->options.progress;
    uint64_t done, total;

    if (!p || !p->step)
        return;
    job_progress(j, &done, &total);
    if (!p->step(p, done, total))
        job_cancel(j, true);
}

bool job_handle_error(struct job *j, bool write, int error, struct error *err)
{
    enum job_on_error on = write ? j->options.on_target_error : j->options.on_source_error;

    if (j->options.io_error)
        j->options.io_error(j, write, error, j->options.opaque);
    if (on == JOB_ON_ERROR_ENOSPC)
        on = error == -ENOSPC ? JOB_ON_ERROR_STOP : JOB_ON_ERROR_REPORT;
    if (on == JOB_ON_ERROR_REPORT) {
        fail(err, -error, "%s the %s: %s", write ? "writing to" : "reading from",
             write ? "target" : "source", strerror(-error));
        return fail_hint(err, error == -ENOSPC ? "make room on its file system, then start again"
                                               : "see the host's kernel log for its device");
    }
    if (on == JOB_ON_ERROR_STOP) {
        WITH_LOCK (&j->lock)
            j->user_paused = true;
    } else {
        job_sleep(j, SECOND_NS / 100);
    }
    return true;
}

/* The part that runs; true when the job's effect is to take place. */
static bool run_to_pending(struct job *j, struct error *err)
{
    bool wait = j->options.manual_finalize;

    if (!job_pause_point(j) || !j->type->run(j, err) || job_is_cancelled(j))
        return false;
    set_status(j, JOB_WAITING);
    set_status(j, JOB_PENDING);
    WITH_LOCK (&j->lock) {
        while (wait && !j->finalizing && !j->cancelled)
            pthread_cond_wait(&j->changed, &j->lock);
    }
    return !job_is_cancelled(j) && (!j->type->prepare || j->type->prepare(j, err));
}

static void conclude(struct job *j, bool ok, struct error *err)
{
    if (ok && j->type->commit) {
        j->type->commit(j);
    } else if (!ok) {
        set_status(j, JOB_ABORTING);
        if (j->type->abort)
            j->type->abort(j);
    }
    if (j->type->clean)
        j->type->clean(j);
    job_show_progress(j);
    WITH_LOCK (&j->lock)
        j->result = *err;
    set_status(j, JOB_CONCLUDED);
    if (!j->options.manual_dismiss)
        set_status(j, JOB_NULL);
}

static void *job_main(void *arg)
{
    struct job *j = arg;
    struct error err = { 0 };
    bool ok;

    set_status(j, JOB_RUNNING);
    ok = run_to_pending(j, &err);
    if (!ok && !err.code)
        fail(&err, ECANCELED, "the %s job was cancelled", j->type->name);
    conclude(j, ok, &err);
    return NULL;
}

void job_start(struct job *j)
{
    struct error err = { 0 };
    int r;

    assert(!j->started);
    j->started = true;
    r = pthread_create(&j->thread, NULL, job_main, j);
    j->has_thread = r == 0;
    if (j->has_thread)
        return;
    fail(&err, r, "the host has no thread for the %s job: %s", j->type->name, strerror(r));
    set_status(j, JOB_RUNNING);
    conclude(j, false, &err);
}

bool job_error(const struct job *j, struct error *ret)
{
    bool failed = false;

    WITH_LOCK ((pthread_mutex_t *)&j->lock) {
        failed = j->result.code;
        if (failed)
            *ret = j->result;
    }
    return failed;
}

bool job_wait(struct job *j, struct error *err)
{
    bool ok = false;
    enum job_status last = j->options.manual_dismiss ? JOB_CONCLUDED : JOB_NULL;

    assert(j->started);
    WITH_LOCK (&j->lock) {
        while (atomic_load(&j->status) < last) {
            if (atomic_load(&j->status) == JOB_READY && !j->completing) {
                j->completing = true;
                j->kicked = true;
                pthread_cond_broadcast(&j->changed);
            } else if (atomic_load(&j->status) == JOB_PENDING && !j->finalizing) {
                j->finalizing = true;
                pthread_cond_broadcast(&j->changed);
            }
            pthread_cond_wait(&j->changed, &j->lock);
        }
        ok = !j->result.code;
        if (!ok)
            *err = j->result;
    }
    return ok;
}

void job_cancel(struct job *j, bool force)
{
    WITH_LOCK (&j->lock) {
        enum job_status s = atomic_load(&j->status);

        /* only a job that is ready can end in good order; what was pending may still be undone */
        if (s >= JOB_ABORTING)
            break;
        j->forced |= force || (s != JOB_READY && s != JOB_STANDBY);
        j->cancelled = true;
        j->kicked = true;
        pthread_cond_broadcast(&j->changed);
    }
}

/* "verb" is what QMP calls it. */
static bool refuse(struct job *j, const char *verb, struct error *err)
{
    return fail(err, EINVAL, "Job '%s' in state '%s' cannot accept command verb '%s'", j->id,
                job_status_names[atomic_load(&j->status)], verb);
}

bool job_pause(struct job *j, struct error *err)
{
    bool ok = true;

    WITH_LOCK (&j->lock) {
        if (atomic_load(&j->status) >= JOB_WAITING) {
            ok = refuse(j, "pause", err);
        } else if (j->user_paused) {
            ok = fail(err, EINVAL, "Job is already paused");
        } else {
            j->user_paused = true;
            j->kicked = true;
            pthread_cond_broadcast(&j->changed);
        }
    }
    return ok;
}

bool job_resume(struct job *j, struct error *err)
{
    bool ok = true;

    WITH_LOCK (&j->lock) {
        if (!j->user_paused) {
            ok = fail(err, EINVAL, "Can't resume a job that was not paused");
        } else {
            j->user_paused = false;
            pthread_cond_broadcast(&j->changed);
        }
    }
    return ok;
}

bool job_complete(struct job *j, struct error *err)
{
    bool ready = false;

    WITH_LOCK (&j->lock)
        ready = atomic_load(&j->status) == JOB_READY && !j->cancelled;
    if (!ready)
        return refuse(j, "complete", err);
    if (j->type->complete && !j->type->complete(j, err))
        return false;
    WITH_LOCK (&j->lock) {
        j->completing = true;
        j->kicked = true;
        pthread_cond_broadcast(&j->changed);
    }
    return true;
}

bool job_finalize(struct job *j, struct error *err)
{
    bool ok = true;

    WITH_LOCK (&j->lock) {
        if (atomic_load(&j->status) != JOB_PENDING || !j->options.manual_finalize) {
            ok = refuse(j, "finalize", err);
        } else {
            j->finalizing = true;
            pthread_cond_broadcast(&j->changed);
        }
    }
    return ok;
}

bool job_dismiss(struct job *j, struct error *err)
{
    bool ok = true;

    WITH_LOCK (&j->lock) {
        if (atomic_load(&j->status) != JOB_CONCLUDED)
            ok = refuse(j, "dismiss", err);
        else
            set_status_locked(j, JOB_NULL);
    }
    if (ok)
        tell_status(j, JOB_NULL);
    return ok;
}
