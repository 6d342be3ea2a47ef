/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkdelay: each request takes a given time longer, and any number may wait at once: a far disk for
 * tests of queue depth. (throttle lets one pass after the other.)
 */
#include <errno.h>
#include <time.h>

#include "disk/filter/filter.h"

struct blkdelay {
    uint64_t read_us, write_us, flush_us; /* options */
};

static const struct field options[] = {
    FIELD(struct blkdelay, read_us, .max = 10000000, .doc = "microseconds a read takes longer"),
    FIELD(struct blkdelay, write_us, .max = 10000000,
          .doc = "microseconds a write, zeroing or discard takes longer"),
    FIELD(struct blkdelay, flush_us, .max = 10000000, .doc = "microseconds a flush takes longer"),
    { 0 },
};

static bool blkdelay_open(struct disk *d, struct error *err)
{
    (void)err;
    filter_inherit(d);
    return true;
}

static void wait_us(uint64_t us)
{
    struct timespec t = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

    while (us && clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
}

static int blkdelay_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    wait_us(((struct blkdelay *)d->priv)->read_us);
    return disk_readv(d->file, offset, v);
}

static int blkdelay_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    wait_us(((struct blkdelay *)d->priv)->write_us);
    return disk_writev(d->file, offset, v, flags);
}

static int blkdelay_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    wait_us(((struct blkdelay *)d->priv)->write_us);
    return disk_zero(d->file, offset, len, flags);
}

static int blkdelay_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    wait_us(((struct blkdelay *)d->priv)->write_us);
    return disk_discard(d->file, offset, len);
}

static int blkdelay_flush(struct disk *d)
{
    wait_us(((struct blkdelay *)d->priv)->flush_us);
    return disk_flush(d->file);
}

const struct disk_driver blkdelay_driver = {
    .name = "blkdelay",
    .doc = "Makes each request take longer, for tests of queue depth.",
    .is_filter = true,
    .size = sizeof(struct blkdelay),
    .options = options,
    .open = blkdelay_open,
    .read = blkdelay_read,
    .write = blkdelay_write,
    .zero = blkdelay_zero,
    .discard = blkdelay_discard,
    .flush = blkdelay_flush,
};
