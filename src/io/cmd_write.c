/* SPDX-License-Identifier: GPL-2.0-or-later */
/* write, writev. */
#include "io/io.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "disk/node.h"

struct write_args {
    uint64_t offset, len;
    const char *source;
    int pattern;
    unsigned flags;
    bool machine, quiet, vm_state, has_pattern, zero;
};

static int write_vm_state(struct disk *d, uint64_t offset, const void *buf, size_t len)
{
    const struct disk_snapshot_ops *ops = d->driver->snapshots;
    if (!ops || !ops->write_vm_state)
        return -ENOTSUP;
    return ops->write_vm_state(d, offset, vec_of(buf, len));
}

static int write_bytes(struct io *io, const struct write_args *a, const uint8_t *buf)
{
    int r = 0;
    if (a->zero)
        return disk_zero(io->disk, a->offset, a->len, a->flags);
    for (uint64_t done = 0; !r && (done < a->len || !done);) {
        size_t n = MIN(a->len - done, DISK_MAX_REQUEST);
        r = a->vm_state ? write_vm_state(io->disk, a->offset + done, buf + done, n)
                        : disk_write(io->disk, a->offset + done, buf + done, n, a->flags);
        done += n;
        if (!n)
            break;
    }
    return r;
}

static int refuse(const char *why)
{
    printf("%s\n", why);
    return -EINVAL;
}

static int check_combination(const struct write_args *a)
{
    bool fua = a->flags & DISK_FUA, packed = a->flags & DISK_COMPRESSED;
    if (a->vm_state && a->zero)
        return refuse("-b and -z cannot be specified at the same time");
    if (fua && (a->vm_state || packed))
        return refuse("-f and -b or -c cannot be specified at the same time");
    if ((a->flags & DISK_NO_FALLBACK) && !a->zero)
        return refuse("-n requires -z to be specified");
    if ((a->flags & DISK_MAY_UNMAP) && !a->zero)
        return refuse("-u requires -z to be specified");
    if (a->zero + a->has_pattern + !!a->source > 1)
        return refuse("Only one of -z, -P, and -s can be specified at the same time");
    return 0;
}

/* 0, or what to return. */
static int parse_write(int argc, char **argv, struct write_args *a)
{
    int opt;
    while ((opt = getopt(argc, argv, "bcCfnpP:qs:uz")) != -1) {
        switch (opt) {
        case 'b': a->vm_state = true; break;
        case 'c': a->flags |= DISK_COMPRESSED; break;
        case 'C': a->machine = true; break;
        case 'f': a->flags |= DISK_FUA; break;
        case 'n': a->flags |= DISK_NO_FALLBACK; break;
        case 'p': break;
        case 'q': a->quiet = true; break;
        case 's': a->source = optarg; break;
        case 'u': a->flags |= DISK_MAY_UNMAP; break;
        case 'z': a->zero = true; break;
        case 'P':
            a->has_pattern = true;
            if (!io_pattern_arg(optarg, &a->pattern))
                return -EINVAL;
            break;
        default: return io_usage(argv[0]);
        }
    }
    if (optind != argc - 2)
        return io_usage(argv[0]);
    int r = check_combination(a);
    if (!r && (!io_size_arg(argv[optind], &a->offset) || !io_size_arg(argv[optind + 1], &a->len)))
        r = -EINVAL;
    if (!r && a->len > IO_MAX_BYTES && !(a->flags & DISK_NO_FALLBACK)) {
        printf("length cannot exceed %d without -n, given %s\n", IO_MAX_BYTES, argv[optind + 1]);
        r = -EINVAL;
    }
    return r;
}

static int run_write(struct io *io, int argc, char **argv)
{
    struct write_args a = { .pattern = 0xcd };
    uint8_t *buf = NULL;
    int r = parse_write(argc, argv, &a);
    if (r)
        return r;
    if ((a.vm_state || (a.flags & DISK_COMPRESSED)) &&
        (!io_sectors("offset", a.offset) || !io_sectors("count", a.len)))
        return -EINVAL;
    if (!a.zero && !(buf = io_buffer(io, a.len, a.pattern)))
        return -ENOMEM;
    if (a.source && !io_buffer_from_file(a.source, buf, a.len)) {
        io_buffer_free(io, buf);
        return -EINVAL;
    }
    struct io_report report = { "wrote", a.offset, a.len, a.len, io_now_ns(), a.machine };
    if (a.zero) /* a compressed piece of zeroes is a zero cluster in any case */
        a.flags &= ~(unsigned)DISK_COMPRESSED;
    r = write_bytes(io, &a, buf);
    if (r)
        printf("write failed: %s\n", strerror(-r));
    else if (!a.quiet)
        io_report(&report);
    io_buffer_free(io, buf);
    return r;
}

static int run_writev(struct io *io, int argc, char **argv)
{
    struct write_args a = { .pattern = 0xcd };
    struct io_buffers b;
    int opt;
    while ((opt = getopt(argc, argv, "CfP:q")) != -1) {
        switch (opt) {
        case 'C': a.machine = true; break;
        case 'f': a.flags |= DISK_FUA; break;
        case 'q': a.quiet = true; break;
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
        !io_buffers_make(io, &b, argv + optind + 1, argc - optind - 1, a.pattern))
        return -EINVAL;
    struct io_report report = { "wrote", a.offset, b.len, b.len, io_now_ns(), a.machine };
    int r = disk_writev(io->disk, a.offset, vec_of_iov(b.iov, b.count), a.flags);
    if (r)
        printf("writev failed: %s\n", strerror(-r));
    else if (!a.quiet)
        io_report(&report);
    io_buffers_free(io, &b);
    return r;
}

const struct io_command write_command = {
    .name = "write",
    .alias = "w",
    .args = "[-bcCfnquz] [-P pattern | -s source_file] off len",
    .doc = "writes a number of bytes at a specified offset",
    .help = "\n"
            " writes a range of bytes from the given offset\n"
            "\n"
            " Example:\n"
            " 'write 512 1k' - writes 1 kilobyte at 512 bytes into the open file\n"
            "\n"
            " Writes into a segment of the currently open file, using a buffer\n"
            " filled with a set pattern (0xcdcdcdcd).\n"
            " -b, -- write to the VM state rather than the virtual disk\n"
            " -c, -- write compressed data\n"
            " -f, -- use Force Unit Access semantics\n"
            " -n, -- with -z, don't allow slow fallback\n"
            " -p, -- ignored for backwards compatibility\n"
            " -P, -- use different pattern to fill file\n"
            " -s, -- use a pattern file to fill the write buffer\n"
            " -C, -- report statistics in a machine parsable format\n"
            " -q, -- quiet mode, do not show I/O statistics\n"
            " -u, -- with -z, allow unmapping\n"
            " -z, -- write zeroes by the zero request rather than from a buffer\n"
            "\n",
    .run = run_write,
    .min_args = 2,
    .max_args = -1,
    .writes = true,
};

const struct io_command writev_command = {
    .name = "writev",
    .args = "[-Cfq] [-P pattern] off len [len..]",
    .doc = "writes a number of bytes at a specified offset",
    .help = "\n"
            " writes a range of bytes from the given offset source from multiple buffers\n"
            "\n"
            " Example:\n"
            " 'writev 512 1k 1k' - writes 2 kilobytes at 512 bytes into the open file\n"
            "\n"
            " Writes into a segment of the currently open file, using a buffer\n"
            " filled with a set pattern (0xcdcdcdcd).\n"
            " -P, -- use different pattern to fill file\n"
            " -C, -- report statistics in a machine parsable format\n"
            " -f, -- use Force Unit Access semantics\n"
            " -q, -- quiet mode, do not show I/O statistics\n"
            "\n",
    .run = run_writev,
    .min_args = 2,
    .max_args = -1,
    .writes = true,
};
