/* SPDX-License-Identifier: GPL-2.0-or-later */
/* open, close, reopen. */
#include "io/io.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "disk/node.h"

static int complain(struct io *io, struct error *err)
{
    io_complain(io, err);
    return -EINVAL;
}

static bool open_option(int opt, const char *arg, struct io_open *o, struct optlist *opts,
                        struct error *err)
{
    switch (opt) {
    case 's': o->snapshot = true; return true;
    case 'C': o->flags |= DISK_COPY_ON_READ; return true;
    case 'r': o->flags &= ~(unsigned)DISK_RDWR; return true;
    case 'U': o->flags |= DISK_FORCE_SHARE; return true;
    case 'n': return io_set_cache(&o->flags, "none", err);
    case 't': return io_set_cache(&o->flags, arg, err);
    case 'k': return io_set_aio(&o->flags, "native", err);
    case 'i': return io_set_aio(&o->flags, arg, err);
    case 'd': return io_set_discard(&o->flags, arg, err);
    default: return optlist_parse(opts, arg, NULL, err);
    }
}

static int run_open(struct io *io, int argc, char **argv)
{
    struct io_open o = { .flags = IO_OPEN_FLAGS };
    struct optlist opts = { 0 };
    struct error err = { 0 };
    int opt, r = 0;
    while (!r && (opt = getopt(argc, argv, "snCro:ki:t:d:U")) != -1) {
        if (opt == '?')
            r = io_usage(argv[0]);
        else if (opt == 'o' && opts.count)
            r = fail(&err, EINVAL, "open: -o was given twice") ? 0 : complain(io, &err);
        else if (!open_option(opt, optarg, &o, &opts, &err))
            r = complain(io, &err);
    }
    if (!r && argc - optind > 1)
        r = io_usage(argv[0]);
    if (!r && io->disk) {
        fail(&err, EBUSY, "file open already, try 'help close'");
        r = complain(io, &err);
    }
    if (!r)
        return io_open(io, argv[optind], &opts, &o);
    optlist_finish(&opts);
    return r;
}

static int run_close(struct io *io, int argc, char **argv)
{
    io_close(io);
    return 0;
}

struct reopen {
    const char *cache;
    bool read_only, writable;
    struct optlist opts;
};

static bool has_option(const struct optlist *l, const char *key)
{
    for (size_t i = 0; i < l->count; i++) {
        if (!strcmp(l->items[i].key, key))
            return true;
    }
    return false;
}

static bool check_reopen(const struct reopen *a, unsigned *flags, struct error *err)
{
    if (a->read_only && a->writable)
        return fail(err, EINVAL, "Only one -r/-w option may be given");
    if ((a->read_only || a->writable) && has_option(&a->opts, "read-only"))
        return fail(err, EINVAL, "Cannot set both -r/-w and 'read-only'");
    if (a->cache &&
        (has_option(&a->opts, "cache.direct") || has_option(&a->opts, "cache.no-flush")))
        return fail(err, EINVAL, "Cannot set both -c and the cache options");
    if (a->cache && !io_set_cache(flags, a->cache, err))
        return false;
    if (a->read_only)
        *flags &= ~(unsigned)DISK_RDWR;
    if (a->writable)
        *flags |= DISK_RDWR;
    return true;
}

static int run_reopen(struct io *io, int argc, char **argv)
{
    struct reopen a = { 0 };
    struct error err = { 0 };
    unsigned flags = io->disk->open_flags;
    int opt, r = 0;
    while (!r && (opt = getopt(argc, argv, "c:o:rw")) != -1) {
        switch (opt) {
        case 'c': a.cache = optarg; break;
        case 'r': a.read_only = true; break;
        case 'w': a.writable = true; break;
        case 'o':
            optlist_finish(&a.opts);
            a.opts = (struct optlist){ 0 };
            if (!optlist_parse(&a.opts, optarg, NULL, &err))
                r = complain(io, &err);
            break;
        default: r = io_usage(argv[0]);
        }
    }
    if (!r && optind != argc)
        r = io_usage(argv[0]);
    io_reap_all(io);
    if (!r && (!check_reopen(&a, &flags, &err) || !disk_reopen(io->disk, &a.opts, flags, &err)))
        r = complain(io, &err);
    optlist_finish(&a.opts);
    return r;
}

const struct io_command close_command = {
    .name = "close",
    .alias = "c",
    .doc = "close the current open file",
    .run = run_close,
};

const struct io_command open_command = {
    .name = "open",
    .alias = "o",
    .args = "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
    .doc = "open the file specified by path",
    .help = "\n"
            " opens a new file in the requested mode\n"
            "\n"
            " Example:\n"
            " 'open -n -o driver=raw /tmp/data' - opens raw data file read-write, uncached\n"
            "\n"
            " Opens a file for subsequent use by all of the other commands.\n"
            " -r, -- open file read-only\n"
            " -s, -- use snapshot file\n"
            " -C, -- use copy-on-read\n"
            " -n, -- disable host cache, short for -t none\n"
            " -U, -- force shared permissions\n"
            " -k, -- short for -i native, which needs -n\n"
            " -i, -- use AIO mode (threads, native or io_uring)\n"
            " -t, -- use the given cache mode for the image\n"
            " -d, -- use the given discard mode for the image\n"
            " -o, -- options to be given to the block driver\n",
    .run = run_open,
    .min_args = 1,
    .max_args = -1,
    .without_disk = true,
};

const struct io_command reopen_command = {
    .name = "reopen",
    .args = "[(-r|-w)] [-c cache] [-o options]",
    .doc = "reopens an image with new options",
    .help = "\n"
            " Changes the open options of an already opened image\n"
            "\n"
            " Example:\n"
            " 'reopen -o lazy-refcounts=on' - activates lazy refcount writeback on a qcow2 image\n"
            "\n"
            " -r, -- Reopen the image read-only\n"
            " -w, -- Reopen the image read-write\n"
            " -c, -- Change the cache mode to the given value\n"
            " -o, -- Changes block driver options (cf. 'open' command)\n"
            "\n",
    .run = run_reopen,
    .max_args = -1,
};
