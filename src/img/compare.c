/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compare: whether two images have the same content. Threads take pieces in order, read both sides
 * and compare; what both sides know to be zero is not read. The lowest difference wins. Exit
 * status: 0 equal, 1 different, 2 cannot open, 3 cannot map, 4 cannot read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "disk/node.h"
#include "img/img.h"

enum {
    PIECE = 512 * 1024, /* both sides' buffers of a thread stay in its cache */
    SECTOR = 512,       /* differences are told by sector, as qemu-img does */
    EQUAL = 0,
    DIFFERENT = 1,
    CANNOT_OPEN = 2,
    CANNOT_MAP = 3,
    CANNOT_READ = 4,
};

struct compare_args {
    struct img_args base;
    struct img_source source;
    const char *format2;
    bool strict;
};

struct side {
    struct disk *disk;
    const char *name;
    uint64_t size;
    struct disk_extent extent; /* of what lies at mapped_at, guarded by lock */
    uint64_t mapped_at;
};

struct compare {
    struct img *img;
    struct side side[2];
    uint64_t total; /* the larger size */
    bool strict;

    pthread_mutex_t lock; /* guards the rest */
    uint64_t at, done;    /* where the next piece begins; bytes that were looked at */
    uint64_t found_at;    /* lowest difference or failure */
    int found;            /* exit status of it; EQUAL while there is none */
    int error;            /* negative errno */
    unsigned found_side;
    bool found_status; /* strict: allocated on one side only */
};

struct piece {
    uint64_t at, len;
    bool zero[2];
};

/* WITH_LOCK held or no other thread. Lower offsets replace higher ones. */
static void found_locked(struct compare *c, uint64_t at, int status, int error, unsigned side)
{
    if (c->found != EQUAL && c->found_at <= at)
        return;
    c->found = status;
    c->found_at = at;
    c->error = error;
    c->found_side = side;
}

/* What side s has at c->at; beyond its end it is zero. */
static bool map_side(struct compare *c, unsigned i)
{
    struct side *s = &c->side[i];
    if (c->at >= s->size) {
        s->extent = (struct disk_extent){ .len = c->total - c->at, .flags = DISK_MAP_ZERO };
        s->mapped_at = c->at;
        return true;
    }
    if (s->extent.len && c->at < s->mapped_at + s->extent.len)
        return true;
    int r = disk_map_above(s->disk, NULL, c->at, s->size - c->at, &s->extent);
    if (r < 0)
        found_locked(c, c->at, CANNOT_MAP, r, i);
    s->mapped_at = c->at;
    return r >= 0;
}

static bool has_data(const struct disk_extent *e)
{
    return (e->flags & DISK_MAP_DATA) && !(e->flags & DISK_MAP_ZERO);
}

/* Takes the next piece where something must be read. */
static bool take_piece_locked(struct compare *c, struct piece *p)
{
    while (c->at < c->total && c->found == EQUAL && !img_cancelled(c->img)) {
        if (!map_side(c, 0) || !map_side(c, 1))
            return false;
        uint64_t len = c->total - c->at;
        bool both_zero = true;
        for (unsigned i = 0; i < 2; i++) {
            const struct side *s = &c->side[i];
            len = MIN(len, s->mapped_at + s->extent.len - c->at);
            p->zero[i] = (s->extent.flags & DISK_MAP_ZERO) != 0;
            both_zero &= p->zero[i];
        }
        if (c->strict && has_data(&c->side[0].extent) != has_data(&c->side[1].extent)) {
            found_locked(c, c->at, DIFFERENT, 0, 0);
            c->found_status = true;
            return false;
        }
        p->at = c->at;
        /* pieces end at multiples of PIECE, so that requests are aligned */
        p->len = both_zero ? len : MIN(len, PIECE - c->at % PIECE);
        c->at += p->len;
        if (!both_zero)
            return true;
        c->done += p->len;
    }
    return false;
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t len)
{
    for (uint64_t i = 0; i < len; i += SECTOR) {
        size_t n = MIN(len - i, (uint64_t)SECTOR);
        if (b ? memcmp(a + i, b + i, n) : !buf_is_zero(a + i, n))
            return i;
    }
    return len;
}

static void compare_piece(struct compare *c, const struct piece *p, uint8_t *buf[2])
{
    for (unsigned i = 0; i < 2; i++) {
        if (p->zero[i])
            continue;
        int r = disk_read(c->side[i].disk, p->at, buf[i], p->len);
        if (r < 0) {
            WITH_LOCK (&c->lock)
                found_locked(c, p->at, CANNOT_READ, r, i);
            return;
        }
    }
    const uint8_t *a = p->zero[0] ? buf[1] : buf[0];
    const uint8_t *b = p->zero[0] || p->zero[1] ? NULL : buf[1];
    if (b ? !memcmp(a, b, p->len) : buf_is_zero(a, p->len))
        return;
    WITH_LOCK (&c->lock)
        found_locked(c, p->at + first_difference(a, b, p->len), DIFFERENT, 0, 0);
}

static void *worker(void *opaque)
{
    struct compare *c = opaque;
    uint8_t *buf[2] = { aligned_alloc(4096, PIECE), aligned_alloc(4096, PIECE) };
    struct piece p;
    bool more = buf[0] && buf[1];

    while (more) {
        uint64_t done = 0;
        WITH_LOCK (&c->lock) {
            more = take_piece_locked(c, &p);
            done = c->done += more ? p.len : 0;
        }
        if (more) {
            compare_piece(c, &p, buf);
            img_progress(c->img, done, c->total);
        }
    }
    free(buf[0]);
    free(buf[1]);
    return NULL;
}

static int report(struct compare *c)
{
    uint64_t common = MIN(c->side[0].size, c->side[1].size);

    if (img_cancelled(c->img))
        return CANNOT_READ;
    if (c->side[0].size != c->side[1].size && (c->found == EQUAL || c->found_at >= common))
        img_say(c->img, "Warning: Image size mismatch!\n");
    switch (c->found) {
    case EQUAL: img_say(c->img, "Images are identical.\n"); break;
    case DIFFERENT:
        img_say(c->img,
                c->found_status ? "Strict mode: Offset %" PRIu64 " block status mismatch!\n"
                                : "Content mismatch at offset %" PRIu64 "!\n",
                c->found_at);
        break;
    case CANNOT_MAP:
        img_error(c->img, "Sector allocation test failed for %s: %s", c->side[c->found_side].name,
                  strerror(-c->error));
        break;
    default:
        img_error(c->img, "Error while reading offset %" PRIu64 " of %s: %s", c->found_at,
                  c->side[c->found_side].name, strerror(-c->error));
    }
    return c->found;
}

static int compare(struct compare *c)
{
    pthread_t thread[8];
    unsigned n = MIN(disk_worker_count(c->img->graph) + 1, (unsigned)ARRAY_SIZE(thread)), made = 0;

    if (c->strict && c->side[0].size != c->side[1].size) {
        img_say(c->img, "Strict mode: Image size mismatch!\n");
        return DIFFERENT;
    }
    img_progress_start(c->img);
    img_work_begin(c->img);
    while (made + 1 < n && !pthread_create(&thread[made], NULL, worker, c))
        made++;
    worker(c);
    while (made)
        pthread_join(thread[--made], NULL);
    img_work_end(c->img);
    img_progress_end(c->img, c->found == EQUAL);
    return report(c);
}

static int run(struct img *img, void *opaque)
{
    struct compare_args *a = opaque;
    struct compare c = { .img = img, .strict = a->strict, .lock = PTHREAD_MUTEX_INITIALIZER };
    unsigned flags = 0;
    int status = CANNOT_OPEN;

    if (!img_cache_flags(a->source.cache, &flags)) {
        img_error(img, "Invalid source cache option: %s", a->source.cache);
        return EXIT_FAILURE;
    }
    if (a->base.count != 2)
        return img_usage_error(img, "Expecting two image file names");
    for (unsigned i = 0; i < 2; i++) {
        struct img_source s = a->source;
        s.name = a->base.operands[i];
        s.format = i ? a->format2 : a->source.format;
        struct disk *d = img_open_or_say(img, &s, flags);
        if (!d)
            goto out;
        c.side[i] = (struct side){ .disk = d, .name = s.name, .size = disk_size(d) };
        c.total = MAX(c.total, disk_size(d));
    }
    status = compare(&c);
out:
    disk_unref(c.side[0].disk);
    disk_unref(c.side[1].disk);
    return status;
}

const struct img_command img_compare_command = {
    .name = "compare",
    .doc = "Tells whether two images have the same content",
    .operands = "FILENAME1 FILENAME2",
    .size = sizeof(struct compare_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL, "both names are strings of options, driver=...",
              IMG_TO(struct compare_args, source.image_opts) },
            { 'f', "a-format", "FMT", "format of the first image",
              IMG_TO(struct compare_args, source.format) },
            { 'F', "b-format", "FMT", "format of the second image",
              IMG_TO(struct compare_args, format2) },
            { 'T', "source-cache", "SRC_CACHE", "cache mode of both",
              IMG_TO(struct compare_args, source.cache) },
            { 'p', "progress", NULL, "show progress", IMG_TO(struct compare_args, base.progress) },
            { 'q', "quiet", NULL, "print nothing but errors",
              IMG_TO(struct compare_args, base.quiet) },
            { 's', "strict", NULL, "size and allocation must be equal too",
              IMG_TO(struct compare_args, strict) },
            { 'U', "force-share", NULL, "even while another process writes to them",
              IMG_TO(struct compare_args, source.force_share) },
            { 0 },
        },
};
