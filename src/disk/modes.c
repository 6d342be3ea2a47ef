/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/modes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/node.h"

struct mode {
    const char *name;
    unsigned flags;
};

static bool set_mode(const struct mode *modes, unsigned count, unsigned mask, const char *name,
                     unsigned *flags)
{
    for (unsigned i = 0; i < count; i++) {
        if (!strcmp(modes[i].name, name)) {
            *flags = (*flags & ~mask) | modes[i].flags;
            return true;
        }
    }
    return false;
}

bool disk_mode_cache(const char *mode, unsigned *flags)
{
    static const struct mode modes[] = {
        { "writeback", 0 },
        { "none", DISK_DIRECT },
        { "off", DISK_DIRECT },
        { "writethrough", DISK_WRITETHROUGH },
        { "directsync", DISK_DIRECT | DISK_WRITETHROUGH },
        { "unsafe", DISK_NO_FLUSH },
    };
    return set_mode(modes, ARRAY_SIZE(modes), DISK_DIRECT | DISK_WRITETHROUGH | DISK_NO_FLUSH, mode,
                    flags);
}

bool disk_mode_aio(const char *mode, unsigned *flags)
{
    static const struct mode modes[] = {
        { "threads", 0 },
        { "native", DISK_AIO_NATIVE },
        { "io_uring", DISK_AIO_URING },
    };
    return set_mode(modes, ARRAY_SIZE(modes), DISK_AIO_NATIVE | DISK_AIO_URING, mode, flags);
}

bool disk_mode_discard(const char *mode, unsigned *flags)
{
    static const struct mode modes[] = {
        { "ignore", 0 },
        { "off", 0 },
        { "unmap", DISK_UNMAP },
        { "on", DISK_UNMAP },
    };
    return set_mode(modes, ARRAY_SIZE(modes), DISK_UNMAP, mode, flags);
}

static bool create_file(struct disk_graph *g, const char *path, uint64_t size, struct error *err)
{
    struct optlist opts = { 0 };
    AUTO_FREE char *text = xasprintf("%" PRIu64, size);
    optlist_add(&opts, "size", text);
    bool ok = disk_create(g, "qcow2", path, &opts, err);
    optlist_finish(&opts);
    return ok;
}

static struct disk *open_file(struct disk_graph *g, const char *path, struct disk *base,
                              unsigned flags, struct error *err)
{
    struct optlist opts = { 0 };
    optlist_add(&opts, "driver", "qcow2");
    optlist_add(&opts, "backing", disk_node_name(base));
    /* nobody will ever read it again: flushes are for nothing */
    struct disk *d = disk_open(g, path, &opts, flags | DISK_RDWR | DISK_NO_FLUSH | DISK_UNMAP, err);
    optlist_finish(&opts);
    return d;
}

struct disk *disk_open_temporary(struct disk_graph *g, struct disk *own_base, unsigned open_flags,
                                 struct error *err)
{
    AUTO_UNREF(disk) base = own_base;
    const char *dir = getenv("TMPDIR");
    AUTO_FREE char *path = xasprintf("%s/rhea.XXXXXX", dir && *dir ? dir : "/var/tmp");
    AUTO_CLOSE int fd = mkstemp(path);
    if (fd < 0) {
        fail(err, errno, "temporary file '%s': %s", path, strerror(errno));
        fail_hint(err, "set TMPDIR to a folder with room");
        return NULL;
    }
    struct disk *top = NULL;
    open_flags &= ~(unsigned)(DISK_FORCE_SHARE | DISK_AIO_NATIVE | DISK_DIRECT | DISK_RESIZE);
    /* size rounds up: formats hold whole sectors */
    if (create_file(g, path, ALIGN_UP(disk_size(base), 512), err))
        top = open_file(g, path, base, open_flags, err);
    (void)unlink(path);
    if (!top)
        err_prefix(err, "temporary overlay: ");
    return top;
}

struct disk *disk_open_copy_on_read(struct disk_graph *g, struct disk *own_base,
                                    unsigned open_flags, struct error *err)
{
    AUTO_UNREF(disk) base = own_base;
    struct optlist opts = { 0 };
    optlist_add(&opts, "driver", "copy-on-read");
    optlist_add(&opts, "file", disk_node_name(base));
    struct disk *d = disk_open(g, NULL, &opts, open_flags & ~(unsigned)DISK_COPY_ON_READ, err);
    optlist_finish(&opts);
    return d;
}

void disk_warn_probed(FILE *f, const struct disk *d)
{
    if (!d->probed || disk_read_only(d) || strcmp(disk_driver_name(d), "raw"))
        return;
    fprintf(f,
            "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
            "         Automatically detecting the format is dangerous for raw images, write "
            "operations on block 0 will be restricted.\n"
            "         Specify the 'raw' format explicitly to remove the restrictions.\n",
            disk_filename(d));
}
