/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the filters share: a filter looks like its child unless it says otherwise.
 */
#ifndef DISK_FILTER_FILTER_H
#define DISK_FILTER_FILTER_H

#include "disk/node.h"

/* In open(): size, alignments and flags of d->file become d's. */
void filter_inherit(struct disk *d);

/* The map slot of a filter that has read and write slots: the child's answer. */
int filter_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret);

/* Takes "PREFIX.N.*" of the options for N = 0, 1, ...; each is applied to a copy of `fresh`
 * (size bytes) by its table and handed to add(), which takes over its strings and may refuse it. */
bool filter_option_list(struct disk *d, const char *prefix, const struct field *table,
                        const void *fresh, size_t size,
                        bool (*add)(struct disk *d, void *item, struct error *err),
                        struct error *err) MUST_CHECK;

/* The first node at or below d, through formats' files too, of this driver; or NULL. */
struct disk *filter_below(struct disk *d, const struct disk_driver *driver);

/* The node that holds the data: d without filters on top. */
struct disk *filter_below_format(struct disk *d);

#endif
