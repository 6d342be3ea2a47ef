/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long work on disks: mirror, commit, stream, backup (each a record in its file under job/). A job
 * has a thread of its own; it reports progress, may be paused, slowed, cancelled, completed.
 * rhea-img runs one and waits; the monitor will run many and sends their events.
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

/* What any job can be told. on_*_error: report, ignore, enospc, stop. */
struct job_options {
    const char *id;
    uint64_t speed; /* bytes per second, 0: no limit */
    bool manual_finalize, manual_dismiss;
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

/* For users. */
void job_start(struct job *own_j);
bool job_wait(struct job *j, struct error *err) MUST_CHECK; /* until concluded; its result */
void job_cancel(struct job *j, bool force);
bool job_pause(struct job *j, struct error *err) MUST_CHECK;
bool job_resume(struct job *j, struct error *err) MUST_CHECK;
bool job_complete(struct job *j, struct error *err) MUST_CHECK;
void job_set_speed(struct job *j, uint64_t bytes_per_second);
enum job_status job_status(const struct job *j);
void job_progress(const struct job *j, uint64_t *ret_done, uint64_t *ret_total);
void job_free(struct job *j); /* concluded or never started */

/* The jobs. Nodes are referenced until the end. NULL with err. */
enum disk_sync {
    DISK_SYNC_TOP,
    DISK_SYNC_FULL,
    DISK_SYNC_NONE,
    DISK_SYNC_INCREMENTAL,
    DISK_SYNC_BITMAP
};
struct job *job_commit(const struct job_options *o, struct disk *active, struct disk *top,
                       struct disk *base, const char *backing_file, struct error *err);
struct job *job_stream(const struct job_options *o, struct disk *d, struct disk *base,
                       const char *backing_file, struct error *err);
struct job *job_mirror(const struct job_options *o, struct disk *source, struct disk *target,
                       enum disk_sync sync, uint32_t granularity, struct error *err);
struct job *job_backup(const struct job_options *o, struct disk *source, struct disk *target,
                       enum disk_sync sync, const char *bitmap, bool compress, struct error *err);

#endif
