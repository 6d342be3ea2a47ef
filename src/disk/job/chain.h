/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What jobs do to backing chains.
 */
#ifndef DISK_JOB_CHAIN_H
#define DISK_JOB_CHAIN_H

#include "disk/disk.h"

/* d without the filters on top of it. */
struct disk *chain_skip_filters(struct disk *d);
/* Whether base is a backing file of top, however far down. */
bool chain_has(struct disk *top, struct disk *base);
/* The layer above d in the chain of active, or NULL. */
struct disk *chain_overlay_of(struct disk *active, struct disk *d);

/* A node that was opened read only is made writable, and so again by chain_restore(). */
struct chain_access {
    struct disk *node; /* NULL: nothing to restore */
    unsigned flags;
};
bool chain_make_writable(struct disk *d, struct chain_access *ret, struct error *err) MUST_CHECK;
void chain_restore(struct chain_access *a);

/* overlay's backing file becomes base (NULL: none), in the graph and, as name (NULL: base's own) in
 * its header. */
bool chain_set_backing(struct disk *overlay, struct disk *base, const char *name,
                       struct error *err) MUST_CHECK;

#endif
