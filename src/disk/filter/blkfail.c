/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkfail: fails the N-th request of a kind. Ours, for sweeps over all N in tests.
 */
#include "disk/filter/blkfail.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/filter/filter.h"

struct blkfail {
    /* options */
    char *op;
    uint64_t nth, error;
    bool forever;
    /* */
    bool ready;
    pthread_mutex_t lock;
    unsigned kinds; /* bits of enum blkfail_op; guarded by lock, as the rest */
    uint64_t count;
};

static const char *const op_names[BLKFAIL_OP_COUNT + 1] = {
    "any", "read", "write", "zero", "discard", "flush", "resize", "change",
};

static const struct field options[] = {
    FIELD(struct blkfail, op,
          .doc = "any (default), read, write, zero, discard, flush, resize or change"),
    FIELD(struct blkfail, nth, .doc = "which request fails, from 1; 0 (default): none"),
    FIELD(struct blkfail, error, .wire = "errno", .max = 4095,
          .doc = "error number of the host (default: 5, EIO)"),
    FIELD(struct blkfail, forever, .doc = "the requests after it fail too"),
    { 0 },
};

static unsigned kinds_of(enum blkfail_op op)
{
    unsigned change =
        1u << BLKFAIL_WRITE | 1u << BLKFAIL_ZERO | 1u << BLKFAIL_DISCARD | 1u << BLKFAIL_RESIZE;

    return op == BLKFAIL_ANY ? ~0u : op == BLKFAIL_CHANGE ? change : 1u << op;
}

static bool blkfail_open(struct disk *d, struct error *err)
{
    struct blkfail *b = d->priv;
    unsigned op = 0;

    while (b->op && op_names[op] && strcmp(op_names[op], b->op))
        op++;
    if (op >= BLKFAIL_OP_COUNT) {
        fail(err, EINVAL, "blkfail: there is no op '%s'", b->op);
        return fail_hint(err, "any, read, write, zero, discard, flush, resize, change");
    }
    pthread_mutex_init(&b->lock, NULL);
    b->ready = true;
    b->kinds = kinds_of((enum blkfail_op)op);
    b->error = b->error ? b->error : EIO;
    filter_inherit(d);
    return true;
}

static void blkfail_close(struct disk *d)
{
    struct blkfail *b = d->priv;

    if (b->ready)
        pthread_mutex_destroy(&b->lock);
}

/* Counts a request; what it fails with, or 0. */
static int count(struct disk *d, enum blkfail_op op)
{
    struct blkfail *b = d->priv;
    int r = 0;

    WITH_LOCK (&b->lock) {
        if (!(b->kinds >> op & 1))
            break;
        b->count++;
        if (b->nth && (b->count == b->nth || (b->forever && b->count > b->nth)))
            r = -(int)b->error;
    }
    return r;
}

static int blkfail_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    int r = count(d, BLKFAIL_READ);

    return r ? r : disk_readv(d->file, offset, v);
}

static int blkfail_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    int r = count(d, BLKFAIL_WRITE);

    return r ? r : disk_writev(d->file, offset, v, flags);
}

static int blkfail_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    int r = count(d, BLKFAIL_ZERO);

    return r ? r : disk_zero(d->file, offset, len, flags);
}

static int blkfail_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    int r = count(d, BLKFAIL_DISCARD);

    return r ? r : disk_discard(d->file, offset, len);
}

static int blkfail_flush(struct disk *d)
{
    int r = count(d, BLKFAIL_FLUSH);

    return r ? r : disk_flush(d->file);
}

static bool blkfail_resize(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                           struct error *err)
{
    int r = count(d, BLKFAIL_RESIZE);

    if (r)
        return fail(err, -r, "blkfail: this resize was to fail: %s", strerror(-r));
    return disk_resize(d->file, size, p, exact, err);
}

const struct disk_driver blkfail_driver = {
    .name = "blkfail",
    .doc = "Fails the N-th request of a kind, for tests.",
    .is_filter = true,
    .size = sizeof(struct blkfail),
    .options = options,
    .open = blkfail_open,
    .close = blkfail_close,
    .read = blkfail_read,
    .write = blkfail_write,
    .zero = blkfail_zero,
    .discard = blkfail_discard,
    .flush = blkfail_flush,
    .map = filter_map,
    .resize = blkfail_resize,
};

int disk_fail_arm(struct disk *d, enum blkfail_op op, uint64_t nth, int error, bool forever)
{
    struct disk *node = filter_below(d, &blkfail_driver);
    struct blkfail *b = node ? node->priv : NULL;

    if (!b)
        return -ENOTSUP;
    WITH_LOCK (&b->lock) {
        b->kinds = kinds_of(op);
        b->nth = nth;
        b->error = (uint64_t)error;
        b->forever = forever;
        b->count = 0;
    }
    return 0;
}

uint64_t disk_fail_count(struct disk *d)
{
    struct disk *node = filter_below(d, &blkfail_driver);
    struct blkfail *b = node ? node->priv : NULL;
    uint64_t n = 0;

    if (b)
        WITH_LOCK (&b->lock)
            n = b->count;
    return n;
}
