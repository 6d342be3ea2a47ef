/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a disk driver is and sees: one const record per driver, in one file under format/,
 * transport/ or filter/, found through the source list of meson. Slots run on any thread, several
 * at once, as straight-line blocking code; a driver locks its own metadata. A slot that is missing
 * passes to the child "file" when the driver is a filter, else it is -ENOTSUP (zero: written as
 * zeroes; discard, flush: done). The core has checked ranges, alignment and permissions before a
 * slot runs.
 */
#ifndef DISK_NODE_H
#define DISK_NODE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/field.h"
#include "disk/disk.h"
#include "disk/queue.h"

/* What an edge needs of its child and lets others do: QEMU's bits, also those of the file locks. */
enum disk_perm {
    PERM_READ = 1 << 0, /* consistent read */
    PERM_WRITE = 1 << 1,
    PERM_WRITE_UNCHANGED = 1 << 2,
    PERM_RESIZE = 1 << 3,
    PERM_ALL = 15,
};

enum disk_role {
    ROLE_FILTERED, /* "file" of a filter: same data, same size */
    ROLE_STORAGE,  /* "file" of a format: metadata and data */
    ROLE_DATA,     /* "data-file": data alone */
    ROLE_BACKING,  /* "backing" */
    ROLE_IMAGE,    /* one of several images of the same data (quorum): probed as one by name is */
};

/* One arrow of the graph. parent is NULL for a user outside of it. */
struct disk_edge {
    struct disk *parent, *node;
    char name[24]; /* "file", "backing", "data-file", "children.0" */
    enum disk_role role;
    unsigned perm, shared;
    unsigned take, unshare; /* asked for by name, beyond what the role needs (blkdebug) */
    struct disk_edge *next_child, *next_parent;
};

/* Where a request's bytes lie, answered without waiting. */
struct disk_span {
    struct disk *node; /* a child */
    uint64_t offset;
    size_t len; /* at most what was asked; the rest is asked again */
    bool zero;  /* read: the bytes are zero, node is not used */
};

struct disk_create {
    struct disk_graph *graph;
    const char *filename;
    struct disk *file; /* formats: the empty file, open for writing; NULL for transports */
    void *opts;        /* struct of create_size, filled from create_options */
    uint64_t size;     /* bytes, a multiple of 512 */
    const char *backing_file, *backing_fmt;
    enum disk_preallocation prealloc;
    struct optlist *secrets; /* "encrypt.key-secret" and the like, where a driver nests options */
};

/* What check found and did. A count of -1 is not printed. */
struct disk_check {
    int64_t corruptions, leaks, check_errors, corruptions_fixed, leaks_fixed;
    int64_t image_end_offset, total_clusters, allocated_clusters, fragmented_clusters,
        compressed_clusters;
    void (*say)(struct disk_check *c, const char *line); /* a line for people; may be NULL */
    void *opaque;
    struct disk_progress *progress; /* may be NULL */
};
enum { DISK_FIX_LEAKS = 1, DISK_FIX_ERRORS = 2 };

struct disk_snapshot {
    char *id, *name; /* owned */
    uint64_t vm_state_size, disk_size;
    int64_t date_s, date_ns, vm_clock_ns;
    int64_t icount; /* -1: not known */
};

struct disk_snapshot_ops {
    /* ret_list: array on the heap, each entry's strings too. */
    int (*list)(struct disk *d, struct disk_snapshot **ret_list, unsigned *ret_count);
    bool (*create)(struct disk *d, struct disk_snapshot *s, struct error *err); /* fills id */
    bool (*apply)(struct disk *d, const char *id_or_name, struct error *err);
    bool (*remove)(struct disk *d, const char *id_or_name, struct error *err);
    bool (*load)(struct disk *d, const char *id_or_name,
                 struct error *err); /* read it (convert -l) */
    int (*read_vm_state)(struct disk *d, uint64_t offset, struct disk_vec v);
    int (*write_vm_state)(struct disk *d, uint64_t offset, struct disk_vec v);
};

struct disk_bitmap;      /* disk/bitmap.h */
struct disk_bitmap_ops { /* persistence; the bits live in disk/bitmap.h */
    bool (*can_store)(struct disk *d, const char *name, uint32_t granularity, struct error *err);
    bool (*store)(struct disk *d, struct error *err); /* all persistent ones, before close */
    bool (*remove)(struct disk *d, const char *name, struct error *err);
    uint64_t (*measure)(struct disk *d); /* bytes that copying all bitmaps takes */
};

struct disk_measure {
    uint64_t required, fully_allocated, bitmaps;
    bool has_bitmaps;
};

/* Who waits for a request that start() began. */
struct disk_async {
    /* result: 0 or -errno; -EAGAIN: it is to be done again by the blocking slot. */
    void (*done)(struct disk_async *a, int result);
};

struct disk_driver {
    const char *name, *doc;
    bool is_transport; /* file, host_device, nbd, ...: leaf; else a format or filter over "file" */
    bool is_filter;    /* same data and size as its child */
    bool own_size;     /* a filter whose d->size counts, not its child's */
    bool no_file;      /* neither: opens its own children (quorum) or none */
    bool backing;      /* images of this format may have a backing file */
    const char *file_name;      /* of the option and edge behind d->file; NULL is "file" */
    const char *const *schemes; /* transports, some filters: "nbd": name:rest; NULL-terminated */
    const char *const
        *required; /* options without which it does not open; NULL-terminated or NULL */
    /* options that change what is read: they are part of a json: name; NULL-terminated */
    const char *const *strong_options;
    size_t size;                 /* of the driver's own struct, zeroed: d->priv */
    const struct field *options; /* members of that struct, set before open */
    size_t create_size;
    const struct field *create_options;
    const struct field *amend_options; /* of create_size */

    /* Formats: 0..100, how sure the first bytes make it. name may be NULL. */
    int (*probe)(const uint8_t *head, size_t len, const char *filename);
    /* Of schemes: "nbd://..." and the like into options; missing: {"filename": rest}. */
    bool (*parse_name)(const char *name, struct optlist *opts, struct error *err);

    /* d->file is open (formats, filters). Sets d->size, d->align, d->cluster_size,
     * d->backing_name... */
    bool (*open)(struct disk *d, struct error *err);
    void (*close)(struct disk *d);     /* copes with half an open; flushed before */
    int (*inactivate)(struct disk *d); /* write everything back before close or hand-over */
    /* The edges to d have changed: what will be done (enum disk_perm) and what others may do. */
    bool (*set_perm)(struct disk *d, unsigned perm, unsigned shared, struct error *err);
    bool (*reopen)(struct disk *d, const void *new_priv, unsigned flags, struct error *err);
    bool (*create)(const struct disk_create *c, struct error *err);
    bool (*remove)(const char *filename, struct error *err); /* transports: undo a failed create */

    int (*read)(struct disk *d, uint64_t offset, struct disk_vec v);
    int (*write)(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags);
    int (*write_compressed)(struct disk *d, uint64_t offset, struct disk_vec v);
    int (*zero)(struct disk *d, uint64_t offset, uint64_t len, unsigned flags);
    int (*discard)(struct disk *d, uint64_t offset, uint64_t len);
    int (*flush)(struct disk *d); /* its own caches; the core then flushes the children */
    int (*map)(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret);
    bool (*resize)(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                   struct error *err);

    /* Fast path. locate never waits and may always say false. After true with !zero, release (if
     * there) follows when the bytes were moved or nothing came of it, with the offset and the
     * length that locate returned: until then what it named is not given to anything else. */
    bool (*locate)(struct disk *d, enum disk_op op, uint64_t offset, size_t len,
                   struct disk_span *ret);
    void (*release)(struct disk *d, enum disk_op op, uint64_t offset, size_t len);
    int (*fd)(struct disk *d,
              enum disk_op op); /* transports: a file descriptor for io_uring, or -1 */
    /* Transports without descriptor: begins a read or write that fits the node's limits and does
     * not wait; a->done() follows, from any thread. False: not now, the blocking slot shall do it.
     * What was begun is under way after kick(). */
    bool (*start)(struct disk *d, enum disk_op op, uint64_t offset, struct disk_vec v,
                  struct disk_async *a);
    void (*kick)(struct disk *d);

    void (*drain)(struct disk *d, bool on);        /* requests inside shall not take their time */
    void (*event)(struct disk *d, unsigned event); /* enum disk_event (disk/event.h): blkdebug */
    json_t *(*info)(struct disk *d);               /* format-specific data */
    int64_t (*allocated)(struct disk *d);          /* bytes on the host */
    uint64_t (*query_size)(struct disk *d); /* transports whose size changes (host devices) */
    int (*check)(struct disk *d, struct disk_check *c, unsigned fix);
    bool (*measure)(const void *create_opts, struct disk *source, uint64_t size,
                    struct disk_measure *ret, struct error *err);
    bool (*amend)(struct disk *d, const void *opts, const struct optlist *given, bool force,
                  struct disk_progress *p, struct error *err);
    bool (*change_backing)(struct disk *d, const char *filename, const char *format,
                           struct error *err);
    int (*make_empty)(struct disk *d); /* after commit: everything from the backing file again */
    const struct disk_snapshot_ops *snapshots;
    const struct disk_bitmap_ops *bitmaps;
};

/* A node. Drivers fill the first part in open() and resize(). */
struct disk {
    void *priv; /* driver->size bytes */
    _Atomic(uint64_t)
        size;       /* bytes, what a guest sees; a multiple of 512 unless a raw file is not */
    uint32_t align; /* offsets and lengths of read and write slots; power of two, 0 is 1 */
    uint32_t memory_align;                  /* of buffers; 0 is 1 */
    uint32_t zero_align, discard_align;     /* these slots get multiples only; 0 is align */
    uint64_t max_transfer;                  /* bytes per read or write slot; 0: DISK_MAX_REQUEST */
    uint32_t cluster_size, subcluster_size; /* 0: none */
    unsigned write_flags, zero_flags; /* enum disk_request_flags the slots themselves understand */
    bool encrypted;                   /* "encrypted": true in info */
    bool not_clean; /* "dirty-flag": true in info: not closed in order, to be repaired */
    char *backing_name, *backing_format; /* as the image's header says; core opens it */

    /* core's; constant after open except under a drain */
    const struct disk_driver *driver;
    struct disk_graph *graph;
    struct disk *file, *backing, *data; /* ends of the edges of that name, borrowed; may be NULL */
    struct disk_edge *children, *parents;
    char *node_name, *filename;
    unsigned open_flags;
    bool read_only, probed, detect_zeroes, detect_zeroes_unmap;
    struct disk_private *core;                /* reference count, request tracking: node_priv.h */
    struct disk_bitmap_list *_Atomic bitmaps; /* bitmap.c's; NULL while it has none */
};

/* For drivers with more children than file and backing: opens what d's options under "NAME." say,
 * or default_name. Borrowed: it lives as long as d. */
struct disk *disk_open_child(struct disk *d, const char *name, const char *default_name,
                             enum disk_role role, struct error *err);

/* Opens the options not taken yet of the node being opened (while open() runs), for drivers with
 * lists. */
struct optlist *disk_open_options(struct disk *d);

/* Tells the core that open() of a probed or unrepaired image changed size or read_only. */
void disk_set_size(struct disk *d, uint64_t size);

/* Runs fn(arg) for i = 0..n-1 on the graph's workers and this thread, returns the first error. For
 * compression, checks. */
int disk_parallel(struct disk_graph *g, unsigned n, int (*fn)(void *arg, unsigned i), void *arg);
unsigned disk_worker_count(struct disk_graph *g);

#endif
