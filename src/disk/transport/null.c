/* SPDX-License-Identifier: GPL-2.0-or-later */
/* null-co and null-aio: a disk that forgets, for benchmarks and tests. */
#include <errno.h>
#include <time.h>

#include "base/bits.h"
#include "disk/node.h"

struct null {
    uint64_t size, latency_ns;
    bool read_zeroes;
};

static bool null_open(struct disk *d, struct error *err)
{
    const struct null *n = d->priv;

    if (n->size > DISK_MAX_SIZE)
        return fail(err, EFBIG, "size: larger than disks can be");
    d->size = n->size ? n->size : UINT64_C(1) << 30;
    d->write_flags = DISK_FUA;
    d->zero_flags = DISK_FUA | DISK_MAY_UNMAP | DISK_NO_FALLBACK;
    return true;
}

static int wait_latency(struct disk *d)
{
    const struct null *n = d->priv;
    struct timespec t = { (time_t)(n->latency_ns / 1000000000),
                          (long)(n->latency_ns % 1000000000) };

    while (n->latency_ns && clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
    return 0;
}

static int null_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    const struct null *n = d->priv;

    if (n->read_zeroes)
        vec_clear(&v);
    return wait_latency(d);
}

static int null_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    return wait_latency(d);
}

static int null_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    return wait_latency(d);
}

static int null_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    return wait_latency(d);
}

static int null_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    const struct null *n = d->priv;

    *ret = (struct disk_extent){ .len = len,
                                 .flags = DISK_MAP_OFFSET | DISK_MAP_ALLOCATED |
                                          (n->read_zeroes ? DISK_MAP_ZERO : DISK_MAP_DATA),
                                 .host_offset = offset,
                                 .file = d };
    return 0;
}

static bool null_resize(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                        struct error *err)
{
    return true;
}

static int64_t null_allocated(struct disk *d)
{
    return 0;
}

static bool null_parse(const char *name, struct optlist *opts, struct error *err)
{
    return true; /* "null-co://": nothing to say */
}

static const struct field null_options[] = {
    FIELD(struct null, size, .is_size = true, .doc = "of the disk; 0 is 1 GiB"),
    FIELD(struct null, latency_ns, .wire = "latency-ns", .doc = "that each request takes"),
    FIELD(struct null, read_zeroes, .wire = "read-zeroes",
          .doc = "reads fill the buffer with zeroes"),
    { 0 },
};
static const char *const null_strong[] = { "size", "read-zeroes", NULL };

#define NULL_DRIVER(name_, schemes_)                                                               \
    .name = name_, .doc = "a disk that forgets", .is_transport = true, .schemes = schemes_,        \
    .size = sizeof(struct null), .options = null_options, .strong_options = null_strong,           \
    .parse_name = null_parse, .open = null_open, .read = null_read, .write = null_write,           \
    .zero = null_zero, .discard = null_discard, .map = null_map, .resize = null_resize,            \
    .allocated = null_allocated

static const char *const co_schemes[] = { "null-co", NULL };
static const char *const aio_schemes[] = { "null-aio", NULL };

const struct disk_driver null_co_driver = {
    NULL_DRIVER("null-co", co_schemes),
};

const struct disk_driver null_aio_driver = {
    NULL_DRIVER("null-aio", aio_schemes),
};
