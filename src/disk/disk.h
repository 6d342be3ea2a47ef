/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk images: a graph of nodes (a format over a transport, filters between, backing chains), as
 * its users see it: open, read, write, zero, discard, flush, map, resize. Drivers see disk/node.h.
 *
 *   struct disk_graph *g = disk_graph_new(objects);
 *   struct disk *d = disk_open(g, "vm.qcow2", NULL, DISK_RDWR, err);
 *   r = disk_read(d, 0, buf, 512);  ...  disk_unref(d);
 *
 * The calls here block and may be made from any thread, several at once on one node. Who must not
 * block, or wants depth, uses disk/queue.h. Results are 0 or a negative errno; requests beyond the
 * end give -EIO (reads of a backing file beyond its end are zeroes, which its user sees to).
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include <jansson.h>

#include "base/error.h"
#include "base/optlist.h"
#include "disk/vec.h"

struct disk;       /* a node; disk/node.h */
struct disk_graph; /* all nodes that know each other by name */
struct object_set; /* base/object.h: secrets, TLS credentials, throttle groups */

/* Largest image: offsets stay below 2^63 and are multiples of 512 with room for a cluster. */
#define DISK_MAX_SIZE (INT64_MAX & ~UINT64_C(0x1fffff))
#define DISK_MAX_REQUEST                                                                           \
    (UINT32_C(1) << 30) /* bytes of one request; zero, discard, map: no limit */

/* How to open. */
enum disk_open_flags {
    DISK_RDWR = 1 << 0,
    DISK_NO_BACKING = 1 << 1,  /* leave the backing file closed */
    DISK_FORCE_SHARE = 1 << 2, /* -U: take no lock, others may write; read only */
    DISK_NO_IO = 1 << 3,       /* only metadata is wanted (info) */
    DISK_CHECK = 1 << 4,    /* a damaged or dirty image is wanted as it is, for check and repair */
    DISK_UNMAP = 1 << 5,    /* discards reach the host (discard=unmap) */
    DISK_DIRECT = 1 << 6,   /* O_DIRECT: cache=none, directsync */
    DISK_NO_FLUSH = 1 << 7, /* cache=unsafe: flushes are ignored */
    DISK_WRITETHROUGH =
        1 << 8, /* each write is followed by a flush: cache=writethrough, directsync */
    DISK_AUTO_RDONLY = 1 << 9, /* with RDWR: read only when writing is not allowed */
    DISK_COPY_ON_READ = 1 << 10,
    DISK_AIO_NATIVE = 1 << 11, /* aio=native (served by io_uring here), needs DIRECT */
    DISK_AIO_URING = 1 << 12,  /* aio=io_uring */
    DISK_NEW = 1 << 14,        /* just created by us: nobody else can know it */
    DISK_KEEP_SIZE = 1 << 16,  /* others must not resize it (exports) */
    DISK_EXCLUSIVE = 1 << 17,  /* others must not write to it (a guest's disk without share-rw) */
    DISK_RESIZE = 1 << 15,     /* with RDWR: its size will be changed (lock against others' use) */
};

/* How to write, zero and discard. */
enum disk_request_flags {
    DISK_FUA = 1 << 0,         /* on stable storage when it returns */
    DISK_MAY_UNMAP = 1 << 1,   /* zero: the space may be given back */
    DISK_NO_FALLBACK = 1 << 2, /* zero: -ENOTSUP rather than writing zero bytes slowly */
    DISK_UNCHANGED = 1 << 3,   /* the data read back stays what it was (copy on read, stream) */
    DISK_COMPRESSED = 1 << 4,  /* write: store compressed; whole clusters or the end of the image */
    DISK_SERIALISE = 1 << 5,   /* waits for, and keeps away, requests that overlap */
};

enum disk_preallocation {
    DISK_PREALLOC_OFF,
    DISK_PREALLOC_METADATA,
    DISK_PREALLOC_FALLOC,
    DISK_PREALLOC_FULL,
    DISK_PREALLOC_COUNT,
};
extern const char *const disk_preallocation_names[]; /* NULL-terminated */

/* Graph. objects is borrowed and may be NULL. All nodes must be gone before disk_graph_free(). */
struct disk_graph *disk_graph_new(struct object_set *objects);
void disk_graph_free(struct disk_graph *g);
struct disk *disk_graph_find(struct disk_graph *g, const char *node_name); /* borrowed or NULL */
struct object_set *disk_graph_objects(struct disk_graph *g);

/*
 * Opens what name says: a file name, "nbd://...", "json:{...}", "driver:rest", a node name when
 * opts has nothing else than that; or NULL when opts has everything ("driver", "file.filename",
 * ...). opts is borrowed, what was understood in it is marked as taken, the rest is an error that
 * names the nearest option. An image without a stated format is probed; a probed raw image refuses
 * writes that would make block 0 look like another format (RELIABILITY promise 4). Returns a node
 * with one reference, or NULL with err (prefixed with the name).
 */
struct disk *disk_open(struct disk_graph *g, const char *name, struct optlist *opts,
                       unsigned open_flags, struct error *err);
struct disk *disk_ref(struct disk *d);
void disk_unref(struct disk *d); /* NULL is fine; the last one flushes, closes and frees */
static inline void disk_unref_auto(struct disk **d)
{
    disk_unref(*d);
}

/* Changes read-only, cache mode and the driver's options of an open node; on failure all is as
 * before. */
bool disk_reopen(struct disk *d, struct optlist *opts, unsigned open_flags,
                 struct error *err) MUST_CHECK;

/* Whether others may write to it (share-rw of a guest's disk), as without or with DISK_EXCLUSIVE.
 */
bool disk_set_exclusive(struct disk *d, bool on, struct error *err) MUST_CHECK;

/* Closes for good, so that an error of the last flush is seen. Drops one reference. */
int disk_close(struct disk *own_d);

/* What a node is. Strings are the node's. */
const char *disk_driver_name(const struct disk *d);
const char *disk_node_name(const struct disk *d);
const char *disk_filename(const struct disk *d); /* as qemu-img info prints it, json: if it must */
struct disk *disk_backing(const struct disk *d); /* borrowed or NULL; filters are looked through */
struct disk *disk_child(const struct disk *d,
                        const char *role); /* "file", "backing", ...; or NULL */
uint64_t disk_size(const struct disk *d);  /* bytes */
bool disk_read_only(const struct disk *d);
uint32_t disk_alignment(const struct disk *d);    /* requests of other alignment cost a bounce */
uint32_t disk_cluster_size(const struct disk *d); /* 0: the format has none */
int64_t disk_allocated_bytes(struct disk *d);     /* on the host ("disk size"), or -errno */

/* Data. Any offset and length; what is not aligned for the node is bounced. */
int disk_read(struct disk *d, uint64_t offset, void *buf, size_t len) MUST_CHECK;
int disk_write(struct disk *d, uint64_t offset, const void *buf, size_t len,
               unsigned flags) MUST_CHECK;
int disk_readv(struct disk *d, uint64_t offset, struct disk_vec v) MUST_CHECK;
int disk_writev(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags) MUST_CHECK;
int disk_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags) MUST_CHECK;
int disk_discard(struct disk *d, uint64_t offset,
                 uint64_t len) MUST_CHECK; /* a hint: rounds inwards */
int disk_flush(struct disk *d) MUST_CHECK; /* all completed writes are on stable storage */
bool disk_resize(struct disk *d, uint64_t size, enum disk_preallocation prealloc, bool exact,
                 struct error *err) MUST_CHECK;

/* What lies at an offset. */
enum disk_map_flags {
    DISK_MAP_DATA = 1 << 0,      /* this layer or a file below has bytes there */
    DISK_MAP_ZERO = 1 << 1,      /* reads as zeroes */
    DISK_MAP_ALLOCATED = 1 << 2, /* decided by this layer, not by its backing file */
    DISK_MAP_OFFSET = 1 << 3,    /* host_offset is valid in file */
    DISK_MAP_COMPRESSED = 1 << 4,
    DISK_MAP_EOF = 1 << 5,   /* the extent ends where the node does */
    DISK_MAP_SOLID = 1 << 6, /* from a driver: no holes to be looked for in the file below */
};
struct disk_extent {
    uint64_t len; /* bytes from the asked offset with these flags; at least 1 */
    unsigned flags;
    uint64_t host_offset;
    struct disk *file; /* borrowed; where host_offset counts */
    unsigned depth;    /* disk_map_above(): 0 is the top */
};
/* One extent at offset of this node alone: a hole of a backed image has no flags. */
int disk_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret) MUST_CHECK;
/* The same looking through the chain down to, not including, base (NULL: all of it). Holes of the
 * whole chain are DISK_MAP_ZERO. exact asks the files below too for holes (SEEK_HOLE). */
int disk_map_above(struct disk *d, struct disk *base, uint64_t offset, uint64_t len,
                   struct disk_extent *ret) MUST_CHECK;

/* Wait until no request is inside d or above it, and keep new ones out until the end. They nest.
 * Not from inside a request. */
void disk_drain_begin(struct disk *d);
void disk_drain_end(struct disk *d);

/* Graph surgery, for jobs and the monitor: parents of from, except for to and what lies below it,
 * have to as their child afterwards. Users keep their pointer, and their requests go to to, unless
 * from lies below it. Drains. */
bool disk_replace(struct disk *from, struct disk *to, struct error *err) MUST_CHECK;
/* Puts a filter over d, which it has as its child already: everything that points at d, users who
 * have d in hand too, comes by way of the filter until that is taken out again. */
bool disk_insert_filter(struct disk *d, struct disk *filter, struct error *err) MUST_CHECK;
void disk_remove_filter(struct disk *d, struct disk *filter);
/* Sets the backing file in the open graph (NULL: none). The header keeps what it says. */
bool disk_set_backing(struct disk *d, struct disk *backing, struct error *err) MUST_CHECK;
/* Changes what the header says. The open graph stays. NULL or "": none. */
bool disk_change_backing_file(struct disk *d, const char *filename, const char *format,
                              struct error *err) MUST_CHECK;

/* Creating. opts: the format's creation options (-o) and "size", "backing_file", "backing_fmt",
 * "preallocation"; taken as by disk_open(). The file is made by its transport; when anything fails,
 * a file that was made is removed again. */
bool disk_create(struct disk_graph *g, const char *format, const char *filename,
                 struct optlist *opts, struct error *err) MUST_CHECK;

/* The options of a format or transport, for -o help and for docs. */
struct disk_driver;
const struct disk_driver *disk_driver_find(const char *name); /* NULL: none */
extern const struct disk_driver *const disk_drivers[];        /* NULL-terminated, sorted by meson */

/* Reports. */
json_t *disk_format_info(
    struct disk *d); /* "format-specific"'s data, or NULL; caller's reference */
/* Progress of long work: called now and then, from any thread but never two at once; false: stop
 * (Ctrl-C). */
struct disk_progress {
    bool (*step)(struct disk_progress *p, uint64_t done, uint64_t total); /* NULL: nobody looks */
};

#endif
