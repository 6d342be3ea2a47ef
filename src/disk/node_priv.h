/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the block layer's core: what a node has that no driver sees, the graph, worker threads and
 * the tracking of requests.
 */
#ifndef DISK_NODE_PRIV_H
#define DISK_NODE_PRIV_H

#include "disk/node.h"

/* A write (or serialising request) that is under way in a node. Lives on its maker's stack or in
 * its request. */
struct track {
    uint64_t offset, end;
    bool serialising, listed;
    struct track *next, **link;
};

struct disk_private {
    _Atomic(unsigned) refs;
    struct disk *next_node, **node_link; /* guarded by graph->lock */

    /* while it is being opened, by the opener's thread alone */
    struct optlist opts;   /* not all taken yet */
    struct disk *opener;   /* the node whose child it becomes */
    unsigned depth;        /* of openers */
    struct optlist strong; /* options that change what is read: for json: names */
    bool backing_given;    /* by the user, unlike the header's */

    /* constant after open except under a drain */
    unsigned user_perm, user_shared; /* enum disk_perm: what users do, and let others do */
    unsigned perm, shared;           /* the same with what parents do */
    bool soft_end;  /* under a format: reads beyond the end are zeroes, writes there grow it */
    bool in_memory; /* a file on tmpfs: nothing to wait for */
    _Atomic(bool) no_nowait; /* its file system does not know RWF_NOWAIT */
    bool is_implicit;        /* node_name was made up */
    char *shown_name;        /* disk_filename() */

    /* requests that came from outside, and those who wait for them */
    _Atomic(unsigned) in_flight;
    _Atomic(unsigned) gates; /* drains of nodes below, and its own: newcomers wait */
    struct drain *drains;    /* those begun here, innermost first; guarded by graph->lock */
    struct disk *forward;    /* disk_replace(): where users' requests go; owned, or NULL */
    /* writes: see track.c */
    _Atomic(bool) tracking;
    _Atomic(unsigned) untracked;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct track *tracks; /* guarded by lock */

    _Atomic(uint64_t) write_gen; /* completed writes of a transport */
    _Atomic(uint64_t) flush_gen; /* write_gen at the start of the last good flush */
    pthread_mutex_t flush_lock;
};

/* Work for a thread of the pool. Owned by who submits; run() may free it. */
struct pool_work {
    void (*run)(struct pool_work *w);
    struct pool_work *next;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work, gone;
    struct pool_work *first, **last; /* guarded by lock */
    unsigned threads, idle, queued;  /* guarded by lock */
    bool stop;                       /* guarded by lock */
};

struct disk_graph {
    pthread_mutex_t lock; /* the list of nodes, all edges */
    struct disk *nodes;
    unsigned next_name;
    struct object_set *objects;
    struct pool pool;
    _Atomic(unsigned) draining; /* drains that wait for requests to leave */
    pthread_mutex_t drain_lock;
    pthread_cond_t left;
};

void pool_init(struct pool *p);
void pool_finish(struct pool *p); /* waits until all work is done */
void pool_submit(struct pool *p, struct pool_work *w);

/* node.c */
struct disk *node_new(struct disk_graph *g, const struct disk_driver *drv);
int node_close(struct disk *d); /* flushes, closes, frees; no reference is left */
bool node_publish(struct disk *d, const char *node_name, struct error *err) MUST_CHECK;

/* edge.c: takes over a reference of node. */
struct disk_edge *edge_add(struct disk *parent, struct disk *own_node, const char *name,
                           enum disk_role role);
void edge_remove(struct disk_edge *e); /* and drops the reference */
/* What a child must let its parent do, and what others may do meanwhile. */
void edge_perms(const struct disk *parent, enum disk_role role, unsigned *ret_perm,
                unsigned *ret_shared);
/* Sums up the perms of all edges to d and tells its driver. */
bool edge_update_perms(struct disk *d, struct error *err) MUST_CHECK;

/* Whether a way down leads from d to other, or they are the same. graph->lock not held. */
bool node_reaches(struct disk *d, const struct disk *other);

/* options.c */
bool name_has_protocol(const char *name);
/* The transport for a name; its options are added to opts. */
const struct disk_driver *name_protocol(const char *name, struct optlist *opts, struct error *err);
char *name_relative(const char *base, const char *name); /* on the heap */
/* Takes driver-independent options: changes *flags, sets *ret_node_name (borrowed from opts). */
struct common_options {
    const char *node_name;
    bool detect_zeroes, detect_zeroes_unmap;
};
bool options_take_common(struct optlist *opts, unsigned *flags, struct common_options *ret,
                         struct error *err) MUST_CHECK;
void node_make_shown_name(struct disk *d);

/* probe.c */
const struct disk_driver *probe_format(struct disk *file, const char *name, struct error *err);
/* Whether the bytes would be taken for a format other than raw. */
bool probe_would_match(const uint8_t *head, size_t len);

/* track.c: a request from outside enters, and leaves. Nested calls are free. */
void request_enter(struct disk *d);
bool request_try_enter(struct disk *d); /* false: a drain is on */
void request_leave(struct disk *d);
void request_nested_begin(void); /* this thread works inside a request of another thread */
void request_nested_end(void);
bool request_is_nested(void);

void track_begin(struct disk *d, struct track *t, uint64_t offset, uint64_t len, bool serialise);
bool track_try(struct disk *d, struct track *t, uint64_t offset, uint64_t len); /* never waits */
void track_end(struct disk *d, struct track *t);
/* Waits for serialising requests that overlap (plain reads, which are not tracked, need not). */
void track_enable(struct disk *d);

/* request.c */
void request_wrote(struct disk *d, uint64_t offset, uint64_t len); /* bitmaps, size, flush */
int request_check_write(struct disk *d, uint64_t offset, uint64_t len);

#endif
