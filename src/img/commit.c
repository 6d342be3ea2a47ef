/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commit: writes what an overlay holds into an image below it, by the job of that name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/scope.h"
#include "disk/image.h"
#include "disk/job.h"
#include "img/img.h"

struct commit_args {
    struct img_args base;
    struct img_source source;
    const char *base_name, *rate;
    bool drop;
};

struct waiter {
    struct img *img;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum job_status status; /* guarded by lock */
};

static void job_changed(struct job *j, enum job_status s, void *opaque)
{
    struct waiter *w = opaque;
    WITH_LOCK (&w->lock) {
        w->status = s;
        pthread_cond_signal(&w->changed);
    }
}

/* The status after at most a tenth of a second. */
static enum job_status wait_a_moment(struct waiter *w)
{
    struct timespec until;
    enum job_status s = JOB_CREATED;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100 * 1000 * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    WITH_LOCK (&w->lock) {
        if (w->status != JOB_READY && w->status < JOB_CONCLUDED)
            pthread_cond_timedwait(&w->changed, &w->lock, &until);
        s = w->status;
    }
    return s;
}

static bool run_job(struct img *img, struct job *j, struct waiter *w, struct error *err)
{
    bool completed = false, cancelled = false;
    enum job_status s;

    img_progress_start(img);
    img_work_begin(img);
    job_start(j);
    while ((s = wait_a_moment(w)) < JOB_CONCLUDED) {
        uint64_t done, total;
        job_progress(j, &done, &total);
        img_progress(img, done, total);
        if (img_cancelled(img) && !cancelled) {
            cancelled = true;
            job_cancel(j, true);
        } else if (s == JOB_READY && !completed && !cancelled) {
            struct error ignored = { 0 };
            completed = job_complete(j, &ignored);
            WITH_LOCK (&w->lock)
                if (w->status == JOB_READY)
                    w->status = JOB_RUNNING; /* it will change again */
        }
    }
    bool ok = job_wait(j, err) && !img_cancelled(img);
    img_work_end(img);
    img_progress_end(img, ok);
    return ok;
}

static struct disk *find_base(struct img *img, struct disk *d, const char *name,
                              const char *filename)
{
    if (!name) {
        struct disk *b = disk_backing(d);
        if (!b)
            img_error(img, "Image does not have a backing file");
        return b;
    }
    AUTO_FREE char *path = img_backing_path(filename, name);
    for (struct disk *b = disk_backing(d); b; b = disk_backing(b)) {
        if (!strcmp(disk_filename(b), name) || !strcmp(disk_filename(b), path))
            return b;
    }
    img_error(img, "Did not find '%s' in the backing chain of '%s'", name, filename);
    return NULL;
}

static bool commit(struct img *img, struct disk *d, struct commit_args *a, uint64_t rate)
{
    struct waiter w = { .img = img,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .changed = PTHREAD_COND_INITIALIZER };
    struct job_options o = { .id = "commit", .speed = rate, .changed = job_changed, .opaque = &w };
    struct error err = { 0 };
    struct disk *base = find_base(img, d, a->base_name, a->source.name);

    if (!base)
        return false;
    struct job *j = job_commit(&o, d, d, base, NULL, &err);
    bool ok = j && run_job(img, j, &w, &err);
    if (j)
        job_free(j);
    if (!ok && !img_cancelled(img))
        img_fail(img, &err);
    if (!ok)
        return false;
    /* what lies between would be wrong below the emptied image: -b implies -d */
    if (a->drop || a->base_name)
        return true;
    int r = disk_make_empty(d);
    if (r == -ENOTSUP)
        return true; /* what it holds is below too: it may stay */
    if (r < 0)
        img_error(img, "Could not empty %s: %s", a->source.name, strerror(-r));
    return r >= 0;
}

static int run(struct img *img, void *opaque)
{
    struct commit_args *a = opaque;
    unsigned flags = DISK_RDWR | DISK_UNMAP;
    uint64_t rate = 0;

    if (!img_cache_flags(a->source.cache, &flags)) {
        img_error(img, "Invalid cache option: %s", a->source.cache);
        return EXIT_FAILURE;
    }
    if (a->rate && !img_size(a->rate, &rate)) {
        img_error(img, "Invalid rate limit specified. You may use k, M, G, T, P or E suffixes for");
        img_error(img, "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
        return EXIT_FAILURE;
    }
    if (a->base.count != 1)
        return img_usage_error(img, "Expecting one image file name");
    a->source.name = a->base.operands[0];
    struct disk *d = img_open_or_say(img, &a->source, flags);
    if (!d)
        return EXIT_FAILURE;
    bool ok = commit(img, d, a, rate);
    ok &= img_close(img, d);
    if (ok)
        img_say(img, "Image committed.\n");
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct img_command img_commit_command = {
    .name = "commit",
    .doc = "Writes what an overlay holds into the image below it",
    .operands = "FILENAME",
    .size = sizeof(struct commit_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL,
              "FILENAME is a string of options, driver=...,file.filename=...",
              IMG_TO(struct commit_args, source.image_opts) },
            { 'q', "quiet", NULL, "print nothing but errors",
              IMG_TO(struct commit_args, base.quiet) },
            { 'f', "format", "FMT", "format of the image; probed when not given",
              IMG_TO(struct commit_args, source.format) },
            { 't', "cache", "CACHE", "cache mode", IMG_TO(struct commit_args, source.cache) },
            { 'b', "base", "BASE", "into this image of its chain; implies -d",
              IMG_TO(struct commit_args, base_name) },
            { 'r', "rate-limit", "RATE_LIMIT", "bytes per second",
              IMG_TO(struct commit_args, rate) },
            { 'd', "drop", NULL, "do not empty FILENAME afterwards: it will be dropped",
              IMG_TO(struct commit_args, drop) },
            { 'p', "progress", NULL, "show progress", IMG_TO(struct commit_args, base.progress) },
            { 0 },
        },
};
