/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench: times sequential requests at a given depth, through disk/queue.h as devices will. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/queue.h"
#include "img/img.h"

enum { MAX_DEPTH = 65536 };

struct bench_args {
    struct img_args base;
    struct img_source source;
    const char *count, *depth, *flush_interval, *aio, *offset, *pattern, *size, *step;
    bool native, no_drain, write;
};

struct bench {
    struct img *img;
    struct disk *disk;
    struct disk_queue *queue;
    struct disk_request *requests; /* depth of them, then one per flush in flight */
    struct disk_request *idle;     /* those not in flight, linked by next */
    uint8_t *buf;
    uint64_t count, depth, size, step, offset, flush_interval;
    uint64_t image_size, left, in_flight;
    bool write, drain, flushing;
    int error;
};

static void request_done(struct disk_request *r, int result)
{
    struct bench *b = r->opaque;

    b->in_flight--;
    if (result < 0 && !b->error)
        b->error = result;
    if (r->op == DISK_OP_FLUSH)
        b->flushing = false;
    r->next = b->idle;
    b->idle = r;
}

static void submit(struct bench *b, bool flush)
{
    struct disk_request *r = b->idle;
    unsigned slot = r - b->requests;

    b->idle = r->next;
    *r = (struct disk_request){ .disk = b->disk,
                                .op = flush      ? DISK_OP_FLUSH
                                      : b->write ? DISK_OP_WRITE
                                                 : DISK_OP_READ,
                                .offset = b->offset,
                                .len = b->size,
                                .vec = vec_of(b->buf + (flush ? 0 : slot % b->depth * b->size),
                                              b->size),
                                .done = request_done,
                                .opaque = b };
    b->in_flight++;
    b->flushing = flush || b->flushing;
    disk_submit(b->queue, r);
    if (flush)
        return;
    b->left--;
    b->offset += b->step;
    if (b->image_size && b->offset + b->size > b->image_size)
        b->offset = b->image_size > b->size ? b->offset % b->image_size : 0;
    if (b->image_size >= b->size && b->offset + b->size > b->image_size)
        b->offset = 0;
}

/* Whether a flush is due before the next request. */
static bool flush_due(const struct bench *b)
{
    return b->flush_interval && b->left < b->count && b->left % b->flush_interval == 0;
}

static void fill(struct bench *b, bool *flushed)
{
    while (b->left && b->idle && !b->error) {
        if (flush_due(b) && !*flushed) {
            if (b->drain && b->in_flight)
                return;
            submit(b, true);
            *flushed = true;
            continue;
        }
        if (b->drain && b->flushing)
            return;
        if (b->in_flight >= b->depth + (b->flushing ? 1 : 0))
            return;
        submit(b, false);
        *flushed = false;
    }
}

static bool run_requests(struct bench *b)
{
    struct timespec t1, t2;
    bool flushed = false;

    clock_gettime(CLOCK_MONOTONIC, &t1);
    b->left = b->count;
    for (;;) {
        fill(b, &flushed);
        disk_queue_kick(b->queue);
        if (!b->in_flight)
            break;
        disk_queue_reap(b->queue, true);
        if (img_cancelled(b->img))
            b->left = 0;
    }
    clock_gettime(CLOCK_MONOTONIC, &t2);
    if (b->error) {
        img_error(b->img, "Failed request: %s", strerror(-b->error));
        return false;
    }
    printf("Run completed in %3.3f seconds.\n",
           (t2.tv_sec - t1.tv_sec) + (t2.tv_nsec - t1.tv_nsec) / 1e9);
    return true;
}

static bool bench(struct bench *b, uint8_t pattern)
{
    struct error err = { 0 };
    size_t bytes = MAX(b->size * b->depth, (uint64_t)1);

    printf("Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %" PRIu64
           " in parallel (starting at offset %" PRIu64 ", step size %" PRIu64 ")\n",
           b->count, b->write ? "write" : "read", b->size, b->depth, b->offset, b->step);
    if (b->flush_interval)
        printf("Sending flush every %" PRIu64 " requests\n", b->flush_interval);
    fflush(stdout);
    AUTO_FREE uint8_t *buf = aligned_alloc(4096, ALIGN_UP(bytes, (size_t)4096));
    b->buf = buf;
    b->queue = disk_queue_new(b->img->graph, b->depth, &err);
    if (b->queue)
        disk_queue_may_block(b->queue);
    if (!buf || !b->queue) {
        if (b->queue)
            disk_queue_free(b->queue);
        else
            img_fail(b->img, &err);
        if (!buf)
            img_error(b->img, "no memory for %zu bytes of buffers", bytes);
        return false;
    }
    memset(buf, pattern, bytes);
    AUTO_FREE struct disk_request *requests = xnew_array(struct disk_request, b->depth + 1);
    b->requests = requests;
    for (uint64_t i = b->depth + 1; i-- > 0;) {
        requests[i].next = b->idle;
        b->idle = &requests[i];
    }
    img_work_begin(b->img);
    bool ok = run_requests(b);
    img_work_end(b->img);
    disk_queue_free(b->queue);
    return ok;
}

static bool small_number(struct img *img, const char *text, uint64_t max, const char *what,
                         uint64_t *ret)
{
    struct error err = { 0 };
    uint64_t n;
    if (!text)
        return true;
    if (parse_u64(text, &n, &err) && n <= max) {
        *ret = n;
        return true;
    }
    img_error(img, "Invalid %s specified", what);
    return false;
}

static bool size_number(struct img *img, const char *text, uint64_t max, const char *what,
                        uint64_t *ret)
{
    uint64_t n;
    if (!text)
        return true;
    if (!img_size(text, &n)) {
        img_error(img, "Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what);
        img_error(img, "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
        return false;
    }
    if (n > max) {
        img_error(img, "Invalid %s specified. Must be between 0 and %" PRIu64 ".", what, max);
        return false;
    }
    *ret = n;
    return true;
}

static bool take_args(struct bench *b, const struct bench_args *a, unsigned *flags,
                      uint64_t *pattern)
{
    struct img *img = b->img;
    const char *aio = a->native ? "native" : a->aio;

    if (aio && !strcmp(aio, "native"))
        *flags |= DISK_AIO_NATIVE;
    else if (aio && !strcmp(aio, "io_uring"))
        *flags |= DISK_AIO_URING;
    else if (aio && strcmp(aio, "threads"))
        return !!(img_error(img, "Invalid aio option: %s", aio), 0);
    if (!img_cache_flags(a->source.cache, flags))
        return !!(img_error(img, "Invalid cache mode"), 0);
    if (!small_number(img, a->count, INT32_MAX, "request count", &b->count) ||
        !small_number(img, a->depth, MAX_DEPTH, "queue depth", &b->depth) ||
        !small_number(img, a->flush_interval, INT32_MAX, "flush interval", &b->flush_interval) ||
        !small_number(img, a->pattern, 255, "pattern byte", pattern) ||
        !size_number(img, a->size, INT32_MAX, "buffer size", &b->size) ||
        !size_number(img, a->offset, INT64_MAX, "offset", &b->offset))
        return false;
    b->step = b->size;
    if (!size_number(img, a->step, INT32_MAX, "step_size", &b->step))
        return false;
    if (!b->depth)
        return !!(img_error(img, "Invalid queue depth specified"), 0);
    if (b->flush_interval && !a->write)
        return !!(img_error(img, "--flush-interval is only available in write tests"), 0);
    if (b->flush_interval && b->flush_interval < b->depth)
        return !!(img_error(img, "Flush interval can't be smaller than depth"), 0);
    return true;
}

static int run(struct img *img, void *opaque)
{
    struct bench_args *a = opaque;
    struct bench b = { .img = img,
                       .count = 75000,
                       .depth = 64,
                       .size = 4096,
                       .write = a->write,
                       .drain = !a->no_drain };
    uint64_t pattern = 0;
    unsigned flags = a->write ? DISK_RDWR : 0;

    if (!take_args(&b, a, &flags, &pattern))
        return EXIT_FAILURE;
    if (a->base.count != 1)
        return img_usage_error(img, "Expecting one image file name");
    a->source.name = a->base.operands[0];
    struct disk *d = img_open_or_say(img, &a->source, flags);
    if (!d)
        return EXIT_FAILURE;
    b.disk = d;
    b.image_size = disk_size(d);
    bool ok = bench(&b, pattern);
    ok &= img_close(img, d);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct img_command img_bench_command = {
    .name = "bench",
    .doc = "Times sequential reads or writes of an image",
    .operands = "FILENAME",
    .size = sizeof(struct bench_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { 'c', "count", "COUNT", "requests, 75000 when not given",
              IMG_TO(struct bench_args, count) },
            { 'd', "depth", "DEPTH", "in flight at a time, 64 when not given",
              IMG_TO(struct bench_args, depth) },
            { 'f', "format", "FMT", "format of the image; probed when not given",
              IMG_TO(struct bench_args, source.format) },
            { 0, "flush-interval", "N", "flush after every N writes",
              IMG_TO(struct bench_args, flush_interval) },
            { 'i', "aio", "AIO", "threads, native or io_uring", IMG_TO(struct bench_args, aio) },
            { 'n', "native", NULL, "the same as -i native", IMG_TO(struct bench_args, native) },
            { 0, "no-drain", NULL, "flush while writes are in flight",
              IMG_TO(struct bench_args, no_drain) },
            { 'o', "offset", "OFFSET", "of the first request", IMG_TO(struct bench_args, offset) },
            { 0, "pattern", "BYTE", "to write", IMG_TO(struct bench_args, pattern) },
            { 'q', "quiet", NULL, "print nothing but errors and the result",
              IMG_TO(struct bench_args, base.quiet) },
            { 's', "buffer-size", "SIZE", "bytes of a request, 4k when not given",
              IMG_TO(struct bench_args, size) },
            { 'S', "step-size", "SIZE", "from one request to the next",
              IMG_TO(struct bench_args, step) },
            { 't', "cache", "CACHE", "cache mode", IMG_TO(struct bench_args, source.cache) },
            { 'w', "write", NULL, "write; else read", IMG_TO(struct bench_args, write) },
            { 'U', "force-share", NULL, "even while another process writes to it",
              IMG_TO(struct bench_args, source.force_share) },
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL,
              "FILENAME is a string of options, driver=...,file.filename=...",
              IMG_TO(struct bench_args, source.image_opts) },
            { 0 },
        },
};
