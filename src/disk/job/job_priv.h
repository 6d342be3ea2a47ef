/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the code of a job sees of it. Everything here is called from the job's own thread, but for
 * job_add_progress().
 */
#ifndef DISK_JOB_JOB_PRIV_H
#define DISK_JOB_JOB_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "disk/job.h"

struct job {
    /* constant after job_new() */
    const struct job_type *type;
    struct job_options options;
    char *id;
    void *priv; /* type->size bytes, zeroed */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic(enum job_status) status; /* written with lock held */
    /* guarded by lock */
    bool started, has_thread, user_paused, cancelled, forced, completing, finalizing, kicked;
    uint64_t speed, next_ns; /* when the next bytes may be copied */
    struct error result;     /* code 0: it went well */
    pthread_t thread;

    _Atomic(uint64_t) done, total;
};

struct job *job_new(const struct job_type *type, const struct job_options *o);

/* False: the job shall end (cancelled). Parks here while it is paused; nothing may be in flight. */
bool job_pause_point(struct job *j) MUST_CHECK;
bool job_should_pause(struct job *j);
bool job_is_cancelled(struct job *j);   /* by force, or before it was ready */
bool job_soft_cancelled(struct job *j); /* to be ended in good order without its effect */
bool job_is_completing(struct job *j);
void job_set_ready(struct job *j);

/* Sleeps until ns have passed or somebody did something to the job. */
void job_sleep(struct job *j, uint64_t ns);
void job_kick(struct job *j);

/* Waits until len more bytes may be copied at the set speed. False: cancelled. */
bool job_wait_speed(struct job *j, uint64_t len) MUST_CHECK;

void job_set_total(struct job *j, uint64_t total);
void job_add_progress(struct job *j, uint64_t done);
/* Tells options.progress; cancels the job when it says so. */
void job_show_progress(struct job *j);

/* What the policy says about an error: true, try again (it may have paused the job); false: fail.
 */
bool job_handle_error(struct job *j, bool write, int error, struct error *err) MUST_CHECK;

uint64_t job_now_ns(void);

#endif
