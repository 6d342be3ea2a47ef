/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine of all jobs: ranges of a disk are handed to threads that copy them as straight-line
 * code, a bounded number at once and never two that overlap. The job's thread feeds it, and takes
 * back what failed to decide about it.
 */
#ifndef DISK_JOB_COPY_H
#define DISK_JOB_COPY_H

#include "disk/job/job_priv.h"

#define COPY_CHUNK   (UINT64_C(1) << 20)
#define COPY_THREADS 8

struct copy_range {
    uint64_t offset, len;
    int error;  /* of a range that failed */
    bool write; /* it was the target's */
    struct copy_range *next;
};

struct copy {
    /* set by the job before copy_start() */
    struct job *job;
    struct disk *source, *target;
    struct disk *base;    /* source's layers from here down are not looked at; may be NULL */
    bool skip_holes;      /* what the layers above base do not hold is left alone */
    bool skip_top;        /* what source's own layer holds is left alone */
    bool fail_late;       /* an error that the policy ignores lets the rest be copied, then fails */
    bool detect_zeroes;   /* zero bytes become holes of the target */
    bool new_target;      /* zeroes that it has already are not written */
    unsigned write_flags; /* enum disk_request_flags for the target's writes */
    unsigned zero_flags;
    uint64_t chunk; /* bytes read at once; 0: COPY_CHUNK */
    /* Copies r with a buffer of chunk bytes; on an error says in r->write whose. NULL: copy_bytes()
     * over the range. Any thread. */
    int (*run)(struct copy *c, struct copy_range *r, void *buf);

    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct copy_range *todo, *running, *failed; /* guarded by lock, as the rest */
    unsigned busy, idle, threads;               /* busy: in todo or running */
    bool stop;
    int late_error; /* of fail_late; the job's thread alone */
    pthread_t thread[COPY_THREADS];
};

void copy_start(struct copy *c);
void copy_finish(struct copy *c); /* waits for what is in flight; a zeroed struct is fine */

/* Waits for room and until nothing that overlaps is under way. */
void copy_push(struct copy *c, uint64_t offset, uint64_t len);
void copy_wait_idle(struct copy *c);
bool copy_is_idle(struct copy *c);
bool copy_take_failed(struct copy *c, struct copy_range *ret);

/* What the threads do: maps, reads, writes or zeroes [r->offset, + r->len) from source to target.
 */
int copy_bytes(struct copy *c, struct copy_range *r, void *buf);

/* Gives back to the threads what failed, when the policy says so. False: the job fails. */
bool copy_retry_failed(struct copy *c, struct error *err) MUST_CHECK;

/* Parks a paused job when nothing is in flight. False: cancelled. */
bool copy_pause_point(struct copy *c) MUST_CHECK;

/* Feeds everything of [0, size) that is to be copied, at the job's speed, with its error policy,
 * and waits for it. */
bool copy_all(struct copy *c, uint64_t size, struct error *err) MUST_CHECK;

#endif
