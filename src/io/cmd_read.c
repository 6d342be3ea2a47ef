/* SPDX-License-Identifier: GPL-2.0-or-later */
/* read, readv. */
#include "io/io.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/node.h"

struct read_args {
    uint64_t offset, len;
    uint64_t check_at, check_len; /* of the pattern, within the buffer */
    int pattern;                  /* -1: do not look */
    bool machine, quiet, dump, vm_state, has_check_at, has_check_len;
};

static int read_vm_state(struct disk *d, uint64_t offset, void *buf, size_t len)
{
    const struct disk_snapshot_ops *ops = d->driver->snapshots;
    if (!ops || !ops->read_vm_state)
        return -ENOTSUP;
    return ops->read_vm_state(d, offset, vec_of(buf, len));
}

static int read_bytes(struct io *io, const struct read_args *a, uint8_t *buf)
{
    int r = 0;
    for (uint64_t done = 0; !r && (done < a->len || !done);) {
        size_t n = MIN(a->len - done, DISK_MAX_REQUEST);
        r = a->vm_state ? read_vm_state(io->disk, a->offset + done, buf + done, n)
                        : disk_read(io->disk, a->offset + done, buf + done, n);
        done += n;
        if (!n)
            break;
    }
    return r;
}

/* What follows a read that went well. */
static int conclude(const struct read_args *a, const uint8_t *buf, int64_t start)
{
    int r = 0;
    struct io_report report = { "read", a->offset, a->len, a->len, start, a->machine };
    if (a->pattern >= 0 &&
        !io_verify(buf + a->check_at, a->check_len, a->pattern, a->offset + a->check_at))
        r = -EINVAL;
    if (a->quiet)
        return r;
    if (a->dump)
        io_dump(buf, a->offset, a->len);
    io_report(&report);
    return r;
}

static bool parse_read(int argc, char **argv, struct read_args *a, int *ret)
{
    int opt;
    *ret = -EINVAL;
    while ((opt = getopt(argc, argv, "bCl:pP:qs:v")) != -1) {
        switch (opt) {
        case 'b': a->vm_state = true; break;
        case 'C': a->machine = true; break;
        case 'p': break;
        case 'q': a->quiet = true; break;
        case 'v': a->dump = true; break;
        case 'l':
            a->has_check_len = true;
            if (!io_size_arg(optarg, &a->check_len))
                return false;
            break;
        case 's':
            a->has_check_at = true;
            if (!io_size_arg(optarg, &a->check_at))
                return false;
            break;
        case 'P':
            if (!io_pattern_arg(optarg, &a->pattern))
                return false;
            break;
        default: *ret = io_usage(argv[0]); return false;
        }
    }
    if (optind != argc - 2 || (a->pattern < 0 && (a->has_check_at || a->has_check_len))) {
        *ret = io_usage(argv[0]);
        return false;
    }
    return io_size_arg(argv[optind], &a->offset) && io_size_arg(argv[optind + 1], &a->len);
}

static int run_read(struct io *io, int argc, char **argv)
{
    struct read_args a = { .pattern = -1 };
    int r;
    if (!parse_read(argc, argv, &a, &r))
        return r;
    if (a.len > IO_MAX_BYTES) {
        printf("length cannot exceed %d, given %s\n", IO_MAX_BYTES, argv[optind + 1]);
        return -EINVAL;
    }
    if (!a.has_check_len)
        a.check_len = a.len - MIN(a.check_at, a.len);
    if (a.check_at > a.len || a.check_len > a.len - a.check_at) {
        printf("pattern verification range exceeds end of read data\n");
        return -EINVAL;
    }
    if (a.vm_state && (!io_sectors("offset", a.offset) || !io_sectors("count", a.len)))
        return -EINVAL;
    uint8_t *buf = io_buffer(io, a.len, 0xab);
    if (!buf)
        return -ENOMEM;
    int64_t start = io_now_ns();
    r = read_bytes(io, &a, buf);
    if (r)
        printf("read failed: %s\n", strerror(-r));
    else
        r = conclude(&a, buf, start);
    io_buffer_free(io, buf);
    return r;
}

static int run_readv(struct io *io, int argc, char **argv)
{
    struct read_args a = { .pattern = -1 };
    struct io_buffers b;
    int opt;
    while ((opt = getopt(argc, argv, "CP:qv")) != -1) {
        switch (opt) {
        case 'C': a.machine = true; break;
        case 'q': a.quiet = true; break;
        case 'v': a.dump = true; break;
        case 'P':
            if (!io_pattern_arg(optarg, &a.pattern))
                return -EINVAL;
            break;
        default: return io_usage(argv[0]);
        }
    }
    if (optind > argc - 2)
        return io_usage(argv[0]);
    if (!io_size_arg(argv[optind], &a.offset) ||
        !io_buffers_make(io, &b, argv + optind + 1, argc - optind - 1, 0xab))
        return -EINVAL;
    a.len = a.check_len = b.len;
    int64_t start = io_now_ns();
    int r = disk_readv(io->disk, a.offset, vec_of_iov(b.iov, b.count));
    if (r)
        printf("readv failed: %s\n", strerror(-r));
    else
        r = conclude(&a, b.buf, start);
    io_buffers_free(io, &b);
    return r;
}

const struct io_command read_command = {
    .name = "read",
    .alias = "r",
    .args = "[-abCqv] [-P pattern [-s off] [-l len]] off len",
    .doc = "reads a number of bytes at a specified offset",
    .help = "\n"
            " reads a range of bytes from the given offset\n"
            "\n"
            " Example:\n"
            " 'read -v 512 1k' - dumps 1 kilobyte read from 512 bytes into the file\n"
            "\n"
            " Reads a segment of the currently open file, optionally dumping it to the\n"
            " standard output stream (with -v option) for subsequent inspection.\n"
            " -b, -- read from the VM state rather than the virtual disk\n"
            " -C, -- report statistics in a machine parsable format\n"
            " -l, -- length for pattern verification (only with -P)\n"
            " -p, -- ignored for backwards compatibility\n"
            " -P, -- use a pattern to verify read data\n"
            " -q, -- quiet mode, do not show I/O statistics\n"
            " -s, -- start offset for pattern verification (only with -P)\n"
            " -v, -- dump buffer to standard output\n"
            "\n",
    .run = run_read,
    .min_args = 2,
    .max_args = -1,
};

const struct io_command readv_command = {
    .name = "readv",
    .args = "[-Cqv] [-P pattern] off len [len..]",
    .doc = "reads a number of bytes at a specified offset",
    .help = "\n"
            " reads a range of bytes from the given offset into multiple buffers\n"
            "\n"
            " Example:\n"
            " 'readv -v 512 1k 1k ' - dumps 2 kilobytes read from 512 bytes into the file\n"
            "\n"
            " Reads a segment of the currently open file, optionally dumping it to the\n"
            " standard output stream (with -v option) for subsequent inspection.\n"
            " Uses multiple iovec buffers if more than one byte range is specified.\n"
            " -C, -- report statistics in a machine parsable format\n"
            " -P, -- use a pattern to verify read data\n"
            " -v, -- dump buffer to standard output\n"
            " -q, -- quiet mode, do not show I/O statistics\n"
            "\n",
    .run = run_readv,
    .min_args = 2,
    .max_args = -1,
};
