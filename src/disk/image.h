/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What only some formats can do to an image as a whole: check, measure, amend, internal snapshots.
 * Filters on top are looked through. A format that cannot gives -ENOTSUP or an error that says so.
 * Not while requests are in flight, except listing.
 */
#ifndef DISK_IMAGE_H
#define DISK_IMAGE_H

#include "disk/node.h"

/* The node whose format counts: d without the filters above it. Borrowed. */
struct disk *disk_format_node(struct disk *d);

/* Fills c; fix is DISK_FIX_LEAKS and DISK_FIX_ERRORS. Counts are kept at -1 where nothing counted.
 * 0, or -errno: the check did not get to its end. */
int disk_check(struct disk *d, struct disk_check *c, unsigned fix) MUST_CHECK;

/* Bytes a new image of that format would take: of size bytes, or with what source (may be NULL)
 * holds. create_opts as for disk_create(), taken. */
bool disk_measure(const char *format, struct optlist *create_opts, struct disk *source,
                  uint64_t size, struct disk_measure *ret, struct error *err) MUST_CHECK;

/* Changes options of the format. force allows what may lose the last key. p may be NULL. */
bool disk_amend(struct disk *d, struct optlist *options, bool force, struct disk_progress *p,
                struct error *err) MUST_CHECK;

/* Forgets all that the image holds itself: its backing file shows again. 0 or -errno. */
int disk_make_empty(struct disk *d) MUST_CHECK;

/* Snapshots inside the image. The list is freed with disk_snapshots_free(). */
int disk_snapshot_list(struct disk *d, struct disk_snapshot **ret_list,
                       unsigned *ret_count) MUST_CHECK;
void disk_snapshots_free(struct disk_snapshot *own_list, unsigned count);
bool disk_snapshot_create(struct disk *d, struct disk_snapshot *s, struct error *err) MUST_CHECK;
bool disk_snapshot_apply(struct disk *d, const char *id_or_name, struct error *err) MUST_CHECK;
bool disk_snapshot_remove(struct disk *d, const char *id_or_name, struct error *err) MUST_CHECK;
/* From here on d, which is read-only, shows what the snapshot holds. */
bool disk_snapshot_load(struct disk *d, const char *id_or_name, struct error *err) MUST_CHECK;

#endif
