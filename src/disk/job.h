/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long work on disks: mirror, commit, stream, backup (each a record in its file under job/). A job
 * has a thread of its own; it reports progress, may be paused, slowed, cancelled, completed.
 * rhea-img runs one and waits; the monitor will run many and sends their events.
 *
 *   j = job_commit(&(struct job_options){ .progress = p }, top, top, base, NULL, err);
 *   if (!j) ...;  job_start(j);  ok = job_wait(j, err);  job_free(j);
 */
#ifndef DISK_JOB_H
#define DISK_JOB_H

#include "base/field.h"
#include "disk/disk.h"

/* QMP's JobStatus. */
enum job_status {
    JOB_CREATED,
    JOB_RUNNING,
    JOB_PAUSED,
    JOB_READY,
    JOB_STANDBY,
    JOB_WAITING,
    JOB_PENDING,
    JOB_ABORTING,
    JOB_CONCLUDED,
    JOB_NULL,
    JOB_STATUS_COUNT,
};
extern const char *const job_status_names[];

struct job;

/* What an error of a disk does to the job: ends it; is retried later (stream: goes on and fails at
 * the end); pauses it when the disk is full, else ends it; pauses it. A job that was resumed tries
 * again. */
enum job_on_error {
    JOB_ON_ERROR_REPORT,
    JOB_ON_ERROR_IGNORE,
    JOB_ON_ERROR_ENOSPC,
    JOB_ON_ERROR_STOP
};

/* What any job can be told. Zeroes are fine. */
struct job_options {
    const char *id; /* NULL: the type's name */
    uint64_t speed; /* bytes per second, 0: no limit */
    bool manual_finalize, manual_dismiss;
    enum job_on_error on_source_error, on_target_error;
    struct disk_progress *progress; /* may be NULL; step() returning false cancels the job */
    /* Called from the job's thread at an error of a disk, before it acts on it. */
    void (*io_error)(struct job *j, bool write, int error, void *opaque);
    /* Called from the job's thread after each change of status. */
    void (*changed)(struct job *j, enum job_status s, void *opaque);
    void *opaque;
};

struct job_type {
    const char *name, *doc;
    size_t size; /* the job's own struct */
    bool (*run)(struct job *j,
                struct error *err); /* its thread; returns when done, cancelled or failed */
    bool (*prepare)(struct job *j, struct error *err); /* the last step that may fail */
    void (*commit)(struct job *j);                     /* cannot fail */
    void (*abort)(struct job *j);
    void (*clean)(struct job *j);
    bool (*complete)(struct job *j, struct error *err); /* the user's job-complete, in JOB_READY */
};

/* For users. Any thread. job_free() is the owner's, after job_wait() or JOB_NULL. */
void job_start(struct job *j);
/* Until it is concluded; its result. Completes it when it is ready, finalizes it when pending. A
 * cancelled one fails with ECANCELED. */
bool job_wait(struct job *j, struct error *err) MUST_CHECK;
/* Ends it without its effect on the graph. Without force a ready mirror first makes the target a
 * copy as of now and succeeds. */
void job_cancel(struct job *j, bool force);
bool job_finalize(struct job *j, struct error *err) MUST_CHECK; /* of manual_finalize, pending */
bool job_dismiss(struct job *j, struct error *err) MUST_CHECK;  /* of manual_dismiss, concluded */
bool job_pause(struct job *j, struct error *err) MUST_CHECK;
bool job_resume(struct job *j, struct error *err) MUST_CHECK;
bool job_complete(struct job *j, struct error *err) MUST_CHECK;
void job_set_speed(struct job *j, uint64_t bytes_per_second);
enum job_status job_status(const struct job *j);
const char *job_id(const struct job *j);
const struct job_type *job_type(const struct job *j);
void job_progress(const struct job *j, uint64_t *ret_done, uint64_t *ret_total);
bool job_error(const struct job *j, struct error *ret); /* concluded and failed: why */
void job_free(struct job *j);                           /* concluded or never started */

/* The jobs. Nodes are referenced until the end. NULL with err. */
enum disk_sync {
    DISK_SYNC_TOP,
    DISK_SYNC_FULL,
    DISK_SYNC_NONE,
    DISK_SYNC_INCREMENTAL,
    DISK_SYNC_BITMAP
};
/* Copies what the layers above base down to and with top hold into base, which grows when it is
 * smaller. top == active: becomes ready, goes on copying what is written, and when completed makes
 * those who use active use base. Else: the overlay of top gets base as its backing file, which its
 * header calls backing_file (NULL: base's own name). The layers are closed, not changed. */
struct job *job_commit(const struct job_options *o, struct disk *active, struct disk *top,
                       struct disk *base, const char *backing_file, struct error *err);
/* Copies into d what it gets from the layers between it and base (NULL: from all), then makes base
 * its backing file, called backing_file in its header. */
struct job *job_stream(const struct job_options *o, struct disk *d, struct disk *base,
                       const char *backing_file, struct error *err);
/* Makes target a copy of source (SYNC_FULL; TOP: of what source's own layer holds; NONE: of what
 * is written from now on), is then ready and follows; when completed, those who use source use
 * target. granularity 0: chosen. */
struct job *job_mirror(const struct job_options *o, struct disk *source, struct disk *target,
                       enum disk_sync sync, uint32_t granularity, struct error *err);
/* Makes target what source is at this moment, while source goes on being written. INCREMENTAL
 * copies what bitmap marks and clears the marks when it succeeds, BITMAP keeps the marks. */
struct job *job_backup(const struct job_options *o, struct disk *source, struct disk *target,
                       enum disk_sync sync, const char *bitmap, bool compress, struct error *err);

#endif
