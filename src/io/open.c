/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening and closing the one image that commands work on. */
#include "io/io.h"

#include <errno.h>
#include <string.h>

#include "disk/modes.h"
#include "disk/node.h"

static bool need(bool known, const char *what, const char *mode, struct error *err)
{
    return known || fail(err, EINVAL, "Invalid %s option: %s", what, mode);
}

bool io_set_cache(unsigned *flags, const char *mode, struct error *err)
{
    return need(disk_mode_cache(mode, flags), "cache", mode, err);
}

bool io_set_aio(unsigned *flags, const char *mode, struct error *err)
{
    return need(disk_mode_aio(mode, flags), "aio", mode, err);
}

bool io_set_discard(unsigned *flags, const char *mode, struct error *err)
{
    return need(disk_mode_discard(mode, flags), "discard", mode, err);
}

static struct disk *open_disk(struct io *io, const char *name, struct optlist *opts,
                              const struct io_open *o, struct error *err)
{
    unsigned flags = o->flags;
    if ((flags & DISK_AIO_NATIVE) && !(flags & DISK_DIRECT)) {
        fail(err, EINVAL,
             "aio=native was specified, but it requires cache.direct=on, which was "
             "not specified");
        fail_hint(err, "add -n, or use aio=io_uring");
        return NULL;
    }
    if (o->format)
        optlist_add(opts, "driver", o->format);
    if (!o->snapshot) {
        struct disk *d =
            disk_open(io->graph, name, opts, flags & ~(unsigned)DISK_COPY_ON_READ, err);
        bool copies = d && (flags & DISK_COPY_ON_READ) && !disk_read_only(d);
        return copies ? disk_open_copy_on_read(io->graph, d, flags, err) : d;
    }
    struct disk *base = disk_open(io->graph, name, opts, flags & ~DISK_RDWR, err);
    return base ? disk_open_temporary(io->graph, base, flags, err) : NULL;
}

int io_open(struct io *io, const char *name, struct optlist *opts, const struct io_open *o)
{
    struct error err = { 0 };
    struct disk *d = open_disk(io, name, opts, o, &err);
    optlist_finish(opts);
    if (!d) {
        /* the rest of a long message is worth more than what was asked for */
        if (name && strlen(err.msg) + strlen(name) + 22 >= sizeof(err.msg))
            err_prefix(&err, "can't open: ");
        else if (name)
            err_prefix(&err, "can't open device %s: ", name);
        else
            err_prefix(&err, "can't open: ");
        io_complain(io, &err);
        return err.code ? -err.code : -EINVAL;
    }
    disk_warn_probed(stderr, d);
    io->disk = d;
    return 0;
}

void io_close(struct io *io)
{
    io_let_all_go(io);
    io_reap_all(io);
    int r = io->disk ? disk_close(io->disk) : 0;
    io->disk = NULL;
    if (r)
        fprintf(stderr, "%s: closing failed: %s\n", io->program, strerror(-r));
}
