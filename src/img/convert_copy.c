/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine of convert. Threads take pieces of the source in order; each reads its piece, finds
 * the zeroes in it, waits for its turn where the target wants writes in order, and writes. So reads
 * and writes overlap, memory is bounded (a buffer per thread), and what was made is the same in
 * every run.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "disk/node.h"
#include "img/img.h"

enum {
    PIECE = 1024 * 1024, /* 256 KiB to 2 MiB measured the same on tmpfs */
    THREADS = 8, /* on a busy machine more of them get more done: 4 took 0.8 of the time of 1 */
    MAX_THREADS = 16,
    GRAIN_LIMIT = 64 * 1024, /* zeroes are looked for in grains of at most that */
    SECTOR = 512,
};

enum what { DATA, ZERO, SKIP };

struct piece {
    uint64_t at, len, number;
    enum what what;
};

struct copier {
    struct img_copy *c;
    uint64_t total, piece_size, grain;
    bool ordered;
    struct img_rate rate;
    uint64_t begins[65]; /* where each source begins, and the end */

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t turn_changed;
    uint64_t at, number, turn, done;
    enum what extent;
    uint64_t extent_end;
    int status; /* of the whole */
};

static struct disk *source_at(const struct copier *k, uint64_t at, uint64_t *ret_offset,
                              uint64_t *ret_left)
{
    unsigned i = 0;
    while (i + 1 < k->c->source_count && at >= k->begins[i + 1])
        i++;
    *ret_offset = at - k->begins[i];
    *ret_left = k->begins[i + 1] - at;
    return k->c->sources[i];
}

static void fail_locked(struct copier *k)
{
    k->status = EXIT_FAILURE;
    pthread_cond_broadcast(&k->turn_changed);
}

static void stop(struct copier *k, const char *doing, uint64_t at, int r)
{
    bool first = false;
    WITH_LOCK (&k->lock) {
        first = k->status == EXIT_SUCCESS;
        fail_locked(k);
    }
    if (first)
        img_error(k->c->img, "error while %s at byte %" PRIu64 ": %s", doing, at, strerror(-r));
}

/* What lies at k->at, up to k->extent_end. */
static int look_locked(struct copier *k)
{
    uint64_t offset, left;
    struct disk *s = source_at(k, k->at, &offset, &left);
    struct disk *base = k->c->target_has_backing ? disk_backing(s) : NULL;
    struct disk_extent e;

    int r = disk_map_above(s, base, offset, left, &e);
    if (r < 0) {
        if (!k->c->salvage)
            return r;
        e = (struct disk_extent){ .len = MIN(left, k->piece_size), .flags = DISK_MAP_DATA };
    }
    k->extent_end = k->at + MIN(e.len, left);
    k->extent = DATA;
    if (base && !(e.flags & DISK_MAP_ALLOCATED) && offset < disk_size(base)) {
        k->extent_end = MIN(k->extent_end, k->at + disk_size(base) - offset);
        k->extent = SKIP;
    } else if (!k->c->copy_all && ((e.flags & DISK_MAP_ZERO) || !(e.flags & DISK_MAP_DATA))) {
        k->extent = ZERO;
    }
    return 0;
}

/* The next piece, with what it is. Ends of data are rounded up to a grain, and a hole that does
 * not fill a grain is data, so that clusters are written whole. */
static bool take_locked(struct copier *k, struct piece *p)
{
    while (k->at < k->total && k->status == EXIT_SUCCESS && !img_cancelled(k->c->img)) {
        int r = k->at < k->extent_end ? 0 : look_locked(k);
        if (r < 0) {
            img_error(k->c->img, "error while reading block status at offset %" PRIu64 ": %s",
                      k->at, strerror(-r));
            fail_locked(k);
            return false;
        }
        *p = (struct piece){ .at = k->at, .what = k->extent };
        uint64_t end = k->extent_end;
        if (p->what == DATA) {
            end = MIN(ALIGN_UP(end, k->grain), k->total);
            end = MIN(end, ALIGN_DOWN(p->at, k->piece_size) + k->piece_size);
        } else if (end < k->total && ALIGN_DOWN(end, k->grain) > p->at) {
            end = ALIGN_DOWN(end, k->grain);
        } else if (end < k->total && p->what == ZERO) {
            p->what = DATA;
            end = MIN(ALIGN_UP(end, k->grain), k->total);
        }
        k->at = end;
        p->len = end - p->at;
        if (p->what == ZERO && k->c->target_is_zero)
            p->what = SKIP;
        if (p->what != SKIP) {
            p->number = k->number++;
            return true;
        }
        k->done += p->len;
    }
    return false;
}

static int read_piece(struct copier *k, uint64_t at, uint8_t *buf, uint64_t len)
{
    while (len) {
        uint64_t offset, left;
        struct disk *s = source_at(k, at, &offset, &left);
        uint64_t n = MIN(len, left);
        int r = disk_read(s, offset, buf, n);
        if (r < 0)
            return r;
        at += n;
        buf += n;
        len -= n;
    }
    return 0;
}

/* --salvage: what cannot be read, sector by sector, is zero. */
static void salvage_piece(struct copier *k, uint64_t at, uint8_t *buf, uint64_t len)
{
    for (uint64_t done = 0; done < len; done += SECTOR) {
        uint64_t n = MIN(len - done, (uint64_t)SECTOR);
        int r = read_piece(k, at + done, buf + done, n);
        if (r >= 0)
            continue;
        memset(buf + done, 0, n);
        if (!k->c->img->quiet)
            img_error(k->c->img, "warning: error while reading offset %" PRIu64 ": %s", at + done,
                      strerror(-r));
    }
}

/* Bytes from buf that are all zero grains, or all not; runs of zeroes shorter than min_sparse count
 * as data. */
static uint64_t run_length(const struct copier *k, const uint8_t *buf, uint64_t len, bool *ret_zero)
{
    uint64_t at = 0, zero = 0;

    while (at < len) {
        uint64_t n = MIN(k->grain, len - at);
        if (buf_is_zero(buf + at, n)) {
            zero += n;
        } else {
            if (zero && (zero >= k->c->min_sparse || zero == at))
                break;
            zero = 0;
        }
        at += n;
    }
    *ret_zero = zero && zero == at && (zero >= k->c->min_sparse || at == len);
    return *ret_zero ? at : at - (zero >= k->c->min_sparse ? zero : 0);
}

static int write_run(struct copier *k, uint64_t at, const uint8_t *buf, uint64_t len, bool zero)
{
    struct img_copy *c = k->c;
    if (!zero)
        return disk_write(c->target, at, buf, len, c->compressed ? DISK_COMPRESSED : 0);
    if (c->target_is_zero)
        return 0;
    return disk_zero(c->target, at, len, c->target_has_backing ? 0 : DISK_MAY_UNMAP);
}

static int write_piece(struct copier *k, const struct piece *p, const uint8_t *buf)
{
    if (p->what == ZERO)
        return write_run(k, p->at, NULL, p->len, true);
    if (k->c->copy_all)
        return write_run(k, p->at, buf, p->len, false);
    for (uint64_t done = 0; done < p->len;) {
        bool zero;
        uint64_t n = run_length(k, buf + done, p->len - done, &zero);
        int r = write_run(k, p->at + done, buf + done, n, zero);
        if (r < 0)
            return r;
        done += n;
    }
    return 0;
}

/* Follows where bytes lie without waiting down to a file descriptor; false: not known. The
 * release()s it owes are done at once: nothing else uses these images. */
static bool locate(struct disk *d, enum disk_op op, uint64_t *offset, uint64_t *len, int *ret_fd)
{
    for (;;) {
        struct disk_span s;
        if (d->driver->fd && (*ret_fd = d->driver->fd(d, op)) >= 0)
            return true;
        if (!d->driver->locate || !d->driver->locate(d, op, *offset, *len, &s))
            return false;
        if (d->driver->release)
            d->driver->release(d, op, *offset, *len);
        if (s.zero || !s.node)
            return false;
        *offset = s.offset;
        *len = s.len;
        d = s.node;
    }
}

/* -C: the kernel copies from file to file. False: do it the other way. */
static bool copy_by_kernel(struct copier *k, const struct piece *p)
{
    for (uint64_t done = 0; done < p->len;) {
        uint64_t from, left, to = p->at + done, to_len = p->len - done;
        struct disk *s = source_at(k, p->at + done, &from, &left);
        uint64_t len = MIN(left, p->len - done);
        int in, out;

        if (!locate(s, DISK_OP_READ, &from, &len, &in) ||
            !locate(k->c->target, DISK_OP_WRITE, &to, &to_len, &out))
            return false;
        off_t in_at = from, out_at = to;
        ssize_t n = copy_file_range(in, &in_at, out, &out_at, MIN(len, to_len), 0);
        if (n <= 0)
            return false;
        done += n;
    }
    return true;
}

static bool wait_for_turn(struct copier *k, uint64_t number)
{
    bool ok = true;
    WITH_LOCK (&k->lock) {
        while (k->turn != number && k->status == EXIT_SUCCESS)
            pthread_cond_wait(&k->turn_changed, &k->lock);
        ok = k->status == EXIT_SUCCESS;
    }
    return ok;
}

static bool do_piece(struct copier *k, const struct piece *p, uint8_t *buf)
{
    int r;

    if (p->what == DATA && !(k->c->copy_range && copy_by_kernel(k, p))) {
        img_rate_wait(&k->rate, p->len);
        r = read_piece(k, p->at, buf, p->len);
        if (r < 0 && !k->c->salvage) {
            stop(k, "reading", p->at, r);
            return false;
        }
        if (r < 0)
            salvage_piece(k, p->at, buf, p->len);
    } else if (p->what == DATA) {
        buf = NULL; /* is there already */
    }
    if (k->ordered && !wait_for_turn(k, p->number))
        return false;
    r = buf || p->what == ZERO ? write_piece(k, p, buf) : 0;
    if (r < 0) {
        stop(k, "writing", p->at, r);
        return false;
    }
    return true;
}

static void *worker(void *opaque)
{
    struct copier *k = opaque;
    struct piece p;
    AUTO_FREE uint8_t *buf = aligned_alloc(4096, MAX(k->piece_size + k->grain, PIECE));

    for (bool more = buf != NULL; more;) {
        WITH_LOCK (&k->lock)
            more = take_locked(k, &p);
        if (!more || !do_piece(k, &p, buf))
            break;
        uint64_t done = 0;
        WITH_LOCK (&k->lock) {
            done = k->done += p.len;
            if (k->ordered) {
                k->turn++;
                pthread_cond_broadcast(&k->turn_changed);
            }
        }
        img_progress(k->c->img, done, k->total);
    }
    return NULL;
}

/* Whether several writes at a time gain anything and the order of them makes no difference to what
 * is there in the end. A file has one lock for all its writers, who only wait for each other. */
static bool order_is_free(struct disk *d)
{
    const char *driver = disk_driver_name(d);
    if (!strcmp(driver, "raw") || !strcmp(driver, "luks"))
        return d->file && order_is_free(d->file);
    return !strcmp(driver, "host_device") || !strcmp(driver, "null-co") ||
           !strcmp(driver, "null-aio") ||
           (!strcmp(driver, "file") && (d->open_flags & DISK_DIRECT));
}

static void plan(struct copier *k)
{
    struct img_copy *c = k->c;
    uint64_t cluster =
        c->target->subcluster_size ? c->target->subcluster_size : disk_cluster_size(c->target);

    for (unsigned i = 0; i < c->source_count; i++)
        k->begins[i + 1] = k->begins[i] + disk_size(c->sources[i]);
    k->total = k->begins[c->source_count];
    k->grain = MAX(c->min_sparse ? MIN(c->min_sparse, (uint64_t)4096) : 4096, (uint64_t)SECTOR);
    if (c->compressed)
        k->grain = MAX((uint64_t)disk_cluster_size(c->target), (uint64_t)SECTOR);
    else if (cluster > k->grain && is_pow2(cluster))
        k->grain = MIN(cluster, (uint64_t)GRAIN_LIMIT);
    k->piece_size = PIECE;
    if (c->compressed)
        k->piece_size = MAX(k->grain, PIECE / k->grain * k->grain);
    k->ordered = !c->out_of_order && !order_is_free(c->target);
    k->rate.per_second = c->rate;
}

int img_copy(struct img_copy *c)
{
    struct copier k = { .c = c,
                        .rate.lock = PTHREAD_MUTEX_INITIALIZER,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .turn_changed = PTHREAD_COND_INITIALIZER };
    pthread_t thread[MAX_THREADS];
    unsigned made = 0;
    unsigned n = c->workers ? c->workers : THREADS;

    plan(&k);
    img_progress_start(c->img);
    img_work_begin(c->img);
    while (made + 1 < MIN(n, (unsigned)MAX_THREADS) &&
           !pthread_create(&thread[made], NULL, worker, &k))
        made++;
    worker(&k);
    while (made)
        pthread_join(thread[--made], NULL);
    if (k.status == EXIT_SUCCESS && img_cancelled(c->img))
        k.status = EXIT_FAILURE;
    img_work_end(c->img);
    img_progress_end(c->img, k.status == EXIT_SUCCESS);
    return k.status;
}
