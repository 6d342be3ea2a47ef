/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * quorum: the same disk on several images. Everything is written to all; what is read must be what
 * at least vote-threshold of them say (read-pattern=quorum), or is the first answer without an
 * error (fifo).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/filter/filter.h"

#define MAX_CHILDREN 32

struct quorum {
    /* options */
    uint32_t vote_threshold;
    bool blkverify, rewrite_corrupted;
    char *read_pattern;
    /* */
    bool fifo;
    struct disk *child[MAX_CHILDREN];
    unsigned count;
};

static const struct field options[] = {
    FIELD(struct quorum, vote_threshold, .doc = "how many children must agree"),
    FIELD(struct quorum, blkverify, .doc = "two children that must always agree"),
    FIELD(struct quorum, rewrite_corrupted,
          .doc = "children that were outvoted get the right data"),
    FIELD(struct quorum, read_pattern, .doc = "quorum (default) or fifo"),
    { 0 },
};

static bool check_options(struct disk *d, struct error *err)
{
    struct quorum *q = d->priv;

    q->fifo = q->read_pattern && !strcmp(q->read_pattern, "fifo");
    if (q->read_pattern && !q->fifo && strcmp(q->read_pattern, "quorum")) {
        fail(err, EINVAL, "Please set read-pattern as fifo or quorum");
        return fail_hint(err, "it is '%s'", q->read_pattern);
    }
    if (!q->vote_threshold)
        return fail(err, ERANGE, "Parameter 'vote-threshold' expects a value >= 1");
    if (q->vote_threshold > q->count)
        return fail(err, ERANGE, "threshold may not exceed children count");
    if (q->blkverify && (q->count != 2 || q->vote_threshold != 2))
        return fail(err, EINVAL,
                    "blkverify=on can only be set if there are exactly two files and "
                    "vote-threshold is 2");
    if (q->blkverify && q->rewrite_corrupted)
        return fail(err, EINVAL, "rewrite-corrupted=on cannot be used with blkverify=on");
    return true;
}

/* "children.0", ... as long as the options have them. */
static bool open_children(struct disk *d, struct error *err)
{
    struct quorum *q = d->priv;
    const struct optlist *opts = disk_open_options(d);

    for (; q->count < MAX_CHILDREN; q->count++) {
        AUTO_FREE char *name = xasprintf("children.%u", q->count);
        size_t n = strlen(name);
        bool given = false;

        for (size_t i = 0; i < opts->count && !given; i++)
            given = !opts->items[i].taken && !strncmp(opts->items[i].key, name, n) &&
                    (opts->items[i].key[n] == '.' || !opts->items[i].key[n]);
        if (!given)
            break;
        q->child[q->count] = disk_open_child(d, name, NULL, ROLE_IMAGE, err);
        if (!q->child[q->count])
            return false;
    }
    if (q->count)
        return true;
    fail(err, EINVAL, "Number of provided children must be 1 or more");
    return fail_hint(err, "name them children.0.driver=..., children.1...");
}

static bool quorum_open(struct disk *d, struct error *err)
{
    struct quorum *q = d->priv;

    if (!open_children(d, err) || !check_options(d, err))
        return false;
    for (unsigned i = 0; i < q->count; i++) {
        const struct disk *c = q->child[i];

        if (disk_size(c) != disk_size(q->child[0]))
            return fail(err, EIO, "quorum: child %u has another size than child 0", i);
        d->align = MAX(d->align, c->align);
        d->memory_align = MAX(d->memory_align, c->memory_align);
    }
    atomic_store(&d->size, disk_size(q->child[0]));
    d->write_flags = DISK_FUA | DISK_UNCHANGED;
    d->zero_flags = DISK_FUA | DISK_MAY_UNMAP;
    return true;
}

/* Enough of them did it: 0; else what most of the others failed with. */
static int vote_results(const struct quorum *q, const int *r)
{
    unsigned good = 0, best = 0;
    int error = 0;

    for (unsigned i = 0; i < q->count; i++) {
        unsigned same = 0;

        good += !r[i];
        for (unsigned j = 0; j < q->count; j++)
            same += r[i] == r[j];
        if (r[i] && same > best) {
            best = same;
            error = r[i];
        }
    }
    return good >= q->vote_threshold ? 0 : error;
}

static int read_fifo(const struct quorum *q, uint64_t offset, struct disk_vec v)
{
    int r = -EIO;

    for (unsigned i = 0; r && i < q->count; i++)
        r = disk_readv(q->child[i], offset, v);
    return r;
}

/* What the children answered to one read. */
struct ballot {
    char *buf; /* count pieces of len bytes */
    size_t len;
    int result[MAX_CHILDREN];
};

/* The child whose answer has enough votes, or -1. */
static int winner(const struct quorum *q, const struct ballot *b)
{
    for (unsigned i = 0; i < q->count; i++) {
        unsigned votes = 0;

        for (unsigned j = 0; !b->result[i] && j < q->count; j++)
            votes += !b->result[j] && !memcmp(b->buf + i * b->len, b->buf + j * b->len, b->len);
        if (votes >= q->vote_threshold)
            return (int)i;
    }
    return -1;
}

static void rewrite(const struct quorum *q, const struct ballot *b, uint64_t offset, unsigned right)
{
    const char *good = b->buf + right * b->len;

    for (unsigned i = 0; i < q->count; i++) {
        if (b->result[i] || !memcmp(b->buf + i * b->len, good, b->len))
            continue;
        /* a child that cannot be mended is outvoted again next time */
        if (disk_write(q->child[i], offset, good, b->len, 0))
            break;
    }
}

static int read_vote(const struct quorum *q, uint64_t offset, struct disk_vec v)
{
    struct ballot b = { .len = v.len };
    AUTO_FREE char *buf = NULL;
    int i, r;

    if (posix_memalign((void **)&buf, 4096, ALIGN_UP(q->count * v.len, 4096)))
        return -ENOMEM;
    b.buf = buf;
    for (unsigned c = 0; c < q->count; c++)
        b.result[c] = disk_read(q->child[c], offset, buf + c * b.len, b.len);
    i = winner(q, &b);
    if (i < 0) {
        if (q->blkverify)
            fprintf(stderr, "quorum: offset=%" PRIu64 " bytes=%zu contents mismatch\n", offset,
                    v.len);
        r = vote_results(q, b.result);
        return r ? r : -EIO;
    }
    if (q->rewrite_corrupted)
        rewrite(q, &b, offset, (unsigned)i);
    vec_from_buf(&v, buf + (size_t)i * b.len);
    return 0;
}

static int quorum_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    const struct quorum *q = d->priv;
    const size_t piece = (size_t)4 << 20; /* of each child at once */
    int r = 0;

    if (q->fifo)
        return read_fifo(q, offset, v);
    for (size_t done = 0; !r && done < v.len; done += piece)
        r = read_vote(q, offset + done, vec_slice(v, done, MIN(piece, v.len - done)));
    return r;
}

static int quorum_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    const struct quorum *q = d->priv;
    int r[MAX_CHILDREN];

    for (unsigned i = 0; i < q->count; i++)
        r[i] = disk_writev(q->child[i], offset, v, flags);
    return vote_results(q, r);
}

static int quorum_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    const struct quorum *q = d->priv;
    int r[MAX_CHILDREN];

    for (unsigned i = 0; i < q->count; i++)
        r[i] = disk_zero(q->child[i], offset, len, flags & ~DISK_NO_FALLBACK);
    return vote_results(q, r);
}

/* What discarded bytes read as differs between images: they would vote against each other. */
static int quorum_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    (void)d, (void)offset, (void)len;
    return 0;
}

static int quorum_flush(struct disk *d)
{
    const struct quorum *q = d->priv;
    int r[MAX_CHILDREN];

    for (unsigned i = 0; i < q->count; i++)
        r[i] = disk_flush(q->child[i]);
    return vote_results(q, r);
}

/* Zero only where all say so. */
static int quorum_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    const struct quorum *q = d->priv;
    uint64_t data = 0;

    *ret = (struct disk_extent){ .len = len, .flags = DISK_MAP_ZERO | DISK_MAP_ALLOCATED };
    for (unsigned i = 0; i < q->count; i++) {
        struct disk_extent x;

        if (disk_map_above(q->child[i], NULL, offset, len, &x))
            x = (struct disk_extent){ .len = len };
        if (!(x.flags & DISK_MAP_ZERO))
            data = MAX(data, x.len);
        ret->len = MIN(ret->len, x.len);
    }
    if (data) {
        ret->len = data;
        ret->flags = DISK_MAP_DATA | DISK_MAP_ALLOCATED;
    }
    return 0;
}

static bool quorum_resize(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                          struct error *err)
{
    const struct quorum *q = d->priv;

    for (unsigned i = 0; i < q->count; i++)
        if (!disk_resize(q->child[i], size, p, exact, err))
            return false;
    return true;
}

const struct disk_driver quorum_driver = {
    .name = "quorum",
    .doc = "One disk on several images that vote.",
    .no_file = true,
    .size = sizeof(struct quorum),
    .options = options,
    .open = quorum_open,
    .read = quorum_read,
    .write = quorum_write,
    .zero = quorum_zero,
    .discard = quorum_discard,
    .flush = quorum_flush,
    .map = quorum_map,
    .resize = quorum_resize,
};
