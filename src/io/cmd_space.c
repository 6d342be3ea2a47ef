/* SPDX-License-Identifier: GPL-2.0-or-later */
/* alloc, discard, length, map, truncate. */
#include "io/io.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "disk/node.h"

static int run_discard(struct io *io, int argc, char **argv)
{
    struct io_report report = { .verb = "discard" };
    bool quiet = false;
    uint64_t len;
    int opt;
    while ((opt = getopt(argc, argv, "Cq")) != -1) {
        switch (opt) {
        case 'C': report.machine = true; break;
        case 'q': quiet = true; break;
        default: return io_usage(argv[0]);
        }
    }
    if (optind != argc - 2)
        return io_usage(argv[0]);
    if (!io_size_arg(argv[optind], &report.offset) || !io_size_arg(argv[optind + 1], &len))
        return -EINVAL;
    if (len > IO_MAX_BYTES) {
        printf("length cannot exceed %d, given %s\n", IO_MAX_BYTES, argv[optind + 1]);
        return -EINVAL;
    }
    report.asked = report.done = len;
    report.start_ns = io_now_ns();
    int r = disk_discard(io->disk, report.offset, len);
    if (r)
        printf("discard failed: %s\n", strerror(-r));
    else if (!quiet)
        io_report(&report);
    return r;
}

/* Whether offset is decided by this layer, and how far that goes, at most len. */
static int allocated_run(struct disk *d, uint64_t offset, uint64_t len, bool *ret,
                         uint64_t *ret_len)
{
    uint64_t done = 0;
    while (done < len) {
        struct disk_extent e;
        int r = disk_map(d, offset + done, len - done, &e);
        if (r)
            return r;
        bool allocated = e.flags & DISK_MAP_ALLOCATED;
        if (done && allocated != *ret)
            break;
        *ret = allocated;
        done += MIN(e.len, len - done);
    }
    *ret_len = done;
    return 0;
}

static int run_alloc(struct io *io, int argc, char **argv)
{
    uint64_t offset, count = 512, allocated = 0, size = disk_size(io->disk);
    char text[64];
    if (!io_size_arg(argv[1], &offset) || (argc == 3 && !io_size_arg(argv[2], &count)))
        return -EINVAL;
    count = offset < size ? MIN(count, size - offset) : 0;
    for (uint64_t at = 0, n; at < count; at += n) {
        bool is;
        int r = allocated_run(io->disk, offset + at, count - at, &is, &n);
        if (r) {
            printf("is_allocated failed: %s\n", strerror(-r));
            return r;
        }
        allocated += is ? n : 0;
    }
    io_size_text((double)offset, text);
    printf("%" PRIu64 "/%" PRIu64 " bytes allocated at offset %s\n", allocated, count, text);
    return 0;
}

static int run_map(struct io *io, int argc, char **argv)
{
    uint64_t size = disk_size(io->disk), n;
    for (uint64_t at = 0; at < size; at += n) {
        bool is;
        char length[64], offset[64];
        int r = allocated_run(io->disk, at, size - at, &is, &n);
        if (r) {
            printf("Failed to get allocation status: %s\n", strerror(-r));
            return r;
        }
        io_size_text((double)n, length);
        io_size_text((double)at, offset);
        printf("%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64 ")\n", length, n,
               is ? "   " : "not", offset, at);
    }
    return 0;
}

static int run_length(struct io *io, int argc, char **argv)
{
    char text[64];
    io_size_text((double)disk_size(io->disk), text);
    printf("%s\n", text);
    return 0;
}

static bool prealloc_arg(struct io *io, const char *name, enum disk_preallocation *ret)
{
    struct error err = { 0 };
    for (unsigned i = 0; i < DISK_PREALLOC_COUNT; i++) {
        if (!strcmp(disk_preallocation_names[i], name)) {
            *ret = i;
            return true;
        }
    }
    fail(&err, EINVAL, "Invalid preallocation mode '%s'", name);
    io_complain(io, &err);
    return false;
}

/* Takes the lock that says: the size changes; others that count on it are in the way. */
static bool set_resizing(struct disk *d, bool on, struct error *err)
{
    struct optlist none = { 0 };
    unsigned flags = on ? d->open_flags | DISK_RESIZE : d->open_flags & ~(unsigned)DISK_RESIZE;
    return disk_reopen(d, &none, flags, err);
}

static int run_truncate(struct io *io, int argc, char **argv)
{
    enum disk_preallocation prealloc = DISK_PREALLOC_OFF;
    struct error err = { 0 };
    uint64_t size;
    int opt;
    while ((opt = getopt(argc, argv, "m:")) != -1) {
        if (opt != 'm')
            return io_usage(argv[0]);
        if (!prealloc_arg(io, optarg, &prealloc))
            return -EINVAL;
    }
    if (optind >= argc)
        return io_usage(argv[0]);
    if (!io_size_arg(argv[optind], &size))
        return -EINVAL;
    /* inexact: a host device keeps its size, which is all that can be had of it */
    bool locked = set_resizing(io->disk, true, &err);
    bool ok = locked && disk_resize(io->disk, size, prealloc, false, &err);
    if (ok)
        ok = set_resizing(io->disk, false, &err);
    else if (locked) {
        struct error second = { 0 };
        if (!set_resizing(io->disk, false, &second))
            io_complain(io, &second);
    }
    if (!ok)
        io_complain(io, &err);
    return ok ? 0 : -err.code;
}

const struct io_command alloc_command = {
    .name = "alloc",
    .alias = "a",
    .args = "offset [count]",
    .doc = "checks if offset is allocated in the file",
    .run = run_alloc,
    .min_args = 1,
    .max_args = 2,
};

const struct io_command discard_command = {
    .name = "discard",
    .alias = "d",
    .args = "[-Cq] off len",
    .doc = "discards a number of bytes at a specified offset",
    .help = "\n"
            " discards a range of bytes from the given offset\n"
            "\n"
            " Example:\n"
            " 'discard 512 1k' - discards 1 kilobyte from 512 bytes into the file\n"
            "\n"
            " Discards a segment of the currently open file.\n"
            " -C, -- report statistics in a machine parsable format\n"
            " -q, -- quiet mode, do not show I/O statistics\n"
            "\n",
    .run = run_discard,
    .min_args = 2,
    .max_args = -1,
    .writes = true,
};

const struct io_command length_command = {
    .name = "length",
    .alias = "l",
    .doc = "gets the length of the current file",
    .run = run_length,
};

const struct io_command map_command = {
    .name = "map",
    .args = "",
    .doc = "prints the allocated areas of a file",
    .run = run_map,
};

const struct io_command truncate_command = {
    .name = "truncate",
    .alias = "t",
    .args = "[-m prealloc_mode] off",
    .doc = "truncates the current file at the given offset",
    .run = run_truncate,
    .min_args = 1,
    .max_args = 3,
    .writes = true,
};
