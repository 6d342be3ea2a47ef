/* SPDX-License-Identifier: GPL-2.0-or-later */
/* aio_read, aio_write, aio_flush: requests that go on while further commands run. */
#include "io/io.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

struct aio {
    struct disk_request request;
    struct io *io;
    struct io_buffers b;
    struct io_report report;
    int pattern; /* read: -1 is not to look */
    bool quiet, dump, invalid, zero;
};

static void aio_free(struct aio *a)
{
    if (a->b.iov)
        io_buffers_free(a->io, &a->b);
    free(a);
}

static void read_done(struct disk_request *request, int result)
{
    struct aio *a = request->opaque;
    if (result)
        printf("readv failed: %s\n", strerror(-result));
    else if (a->pattern >= 0)
        (void)io_verify(a->b.buf, a->b.len, a->pattern, a->report.offset);
    if (!result && !a->quiet) {
        if (a->dump)
            io_dump(a->b.buf, a->report.offset, a->b.len);
        io_report(&a->report);
    }
    aio_free(a);
}

static void write_done(struct disk_request *request, int result)
{
    struct aio *a = request->opaque;
    if (result)
        printf("aio_write failed: %s\n", strerror(-result));
    else if (!a->quiet)
        io_report(&a->report);
    aio_free(a);
}

static int start(struct aio *a, enum disk_op op, uint64_t offset, uint64_t len)
{
    bool zero = op == DISK_OP_ZERO;
    if (!io_need_queue(a->io)) {
        aio_free(a);
        return -EIO;
    }
    a->report.offset = offset;
    a->report.asked = a->report.done = len;
    a->report.start_ns = io_now_ns();
    a->request.disk = a->io->disk;
    a->request.op = op;
    a->request.offset = offset;
    a->request.len = len;
    a->request.opaque = a;
    a->request.done = op == DISK_OP_READ ? read_done : write_done;
    if (!zero)
        a->request.vec = vec_of_iov(a->b.iov, a->b.count);
    disk_submit(a->io->queue, &a->request);
    disk_queue_kick(a->io->queue);
    return 0;
}

/* 0, or what to return. */
static int parse_aio(struct aio *a, int argc, char **argv, const char *options)
{
    int opt;
    while ((opt = getopt(argc, argv, options)) != -1) {
        switch (opt) {
        case 'C': a->report.machine = true; break;
        case 'f': a->request.flags |= DISK_FUA; break;
        case 'i': a->invalid = true; break;
        case 'q': a->quiet = true; break;
        case 'u': a->request.flags |= DISK_MAY_UNMAP; break;
        case 'v': a->dump = true; break;
        case 'z': a->zero = true; break;
        case 'P':
            if (!io_pattern_arg(optarg, &a->pattern))
                return -EINVAL;
            break;
        default: return io_usage(argv[0]);
        }
    }
    if (optind > argc - 2)
        return io_usage(argv[0]);
    const char *wrong = NULL;
    if (a->zero && optind != argc - 2)
        wrong = "-z supports only a single length parameter";
    else if (!a->zero && (a->request.flags & DISK_MAY_UNMAP))
        wrong = "-u requires -z to be specified";
    if (wrong)
        printf("%s\n", wrong);
    return wrong ? -EINVAL : 0;
}

static int submit(struct aio *a, int argc, char **argv, const char *options, enum disk_op op,
                  int fill)
{
    uint64_t offset, len;
    int r = parse_aio(a, argc, argv, options);
    if (!r && !io_size_arg(argv[optind], &offset))
        r = -EINVAL;
    if (!r && a->invalid) {
        printf("injecting invalid %s request\n", op == DISK_OP_READ ? "read" : "write");
        aio_free(a);
        return 0;
    }
    if (r) {
        aio_free(a);
        return r;
    }
    if (a->zero ? !io_size_arg(argv[optind + 1], &len)
                : !io_buffers_make(a->io, &a->b, argv + optind + 1, argc - optind - 1,
                                   fill < 0 ? a->pattern : fill)) {
        a->b.iov = NULL;
        aio_free(a);
        return -EINVAL;
    }
    return start(a, a->zero ? DISK_OP_ZERO : op, offset, a->zero ? len : a->b.len);
}

static int run_aio_read(struct io *io, int argc, char **argv)
{
    struct aio *a = xnew(struct aio);
    a->io = io;
    a->pattern = -1;
    a->report.verb = "read";
    return submit(a, argc, argv, "CP:iqv", DISK_OP_READ, 0xab);
}

static int run_aio_write(struct io *io, int argc, char **argv)
{
    struct aio *a = xnew(struct aio);
    a->io = io;
    a->pattern = 0xcd;
    a->report.verb = "wrote";
    return submit(a, argc, argv, "CfiP:quz", DISK_OP_WRITE, -1);
}

static int run_aio_flush(struct io *io, int argc, char **argv)
{
    io_reap_all(io);
    return 0;
}

const struct io_command aio_flush_command = {
    .name = "aio_flush",
    .doc = "completes all outstanding aio requests",
    .run = run_aio_flush,
};

const struct io_command aio_read_command = {
    .name = "aio_read",
    .args = "[-Ciqv] [-P pattern] off len [len..]",
    .doc = "asynchronously reads a number of bytes",
    .help = "\n"
            " asynchronously reads a range of bytes from the given offset\n"
            "\n"
            " Example:\n"
            " 'aio_read -v 512 1k 1k ' - dumps 2 kilobytes read from 512 bytes into the file\n"
            "\n"
            " Reads a segment of the currently open file, optionally dumping it to the\n"
            " standard output stream (with -v option) for subsequent inspection.\n"
            " The read is performed asynchronously and the aio_flush command must be\n"
            " used to ensure all outstanding aio requests have been completed.\n"
            " Note that due to its asynchronous nature, this command will be\n"
            " considered successful once the request is submitted, independently\n"
            " of potential I/O errors or pattern mismatches.\n"
            " -C, -- report statistics in a machine parsable format\n"
            " -P, -- use a pattern to verify read data\n"
            " -i, -- treat request as invalid, for exercising stats\n"
            " -v, -- dump buffer to standard output\n"
            " -q, -- quiet mode, do not show I/O statistics\n"
            "\n",
    .run = run_aio_read,
    .min_args = 2,
    .max_args = -1,
};

const struct io_command aio_write_command = {
    .name = "aio_write",
    .args = "[-Cfiquz] [-P pattern] off len [len..]",
    .doc = "asynchronously writes a number of bytes",
    .help = "\n"
            " asynchronously writes a range of bytes from the given offset source\n"
            " from multiple buffers\n"
            "\n"
            " Example:\n"
            " 'aio_write 512 1k 1k' - writes 2 kilobytes at 512 bytes into the open file\n"
            "\n"
            " Writes into a segment of the currently open file, using a buffer\n"
            " filled with a set pattern (0xcdcdcdcd).\n"
            " The write is performed asynchronously and the aio_flush command must be\n"
            " used to ensure all outstanding aio requests have been completed.\n"
            " Note that due to its asynchronous nature, this command will be\n"
            " considered successful once the request is submitted, independently\n"
            " of potential I/O errors or pattern mismatches.\n"
            " -P, -- use different pattern to fill file\n"
            " -C, -- report statistics in a machine parsable format\n"
            " -f, -- use Force Unit Access semantics\n"
            " -i, -- treat request as invalid, for exercising stats\n"
            " -q, -- quiet mode, do not show I/O statistics\n"
            " -u, -- with -z, allow unmapping\n"
            " -z, -- write zeroes by the zero request rather than from a buffer\n"
            "\n",
    .run = run_aio_write,
    .min_args = 2,
    .max_args = -1,
    .writes = true,
};
