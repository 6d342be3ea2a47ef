/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stopping requests at a point of their way (disk/event.h), for rhea-io's break, resume, wait_break
 * and remove_break. d is any node above a blkdebug node; -ENOTSUP when there is none below it.
 * A stopped request keeps its thread, so it has to run on a queue (disk/queue.h).
 */
#ifndef DISK_FILTER_BLKDEBUG_H
#define DISK_FILTER_BLKDEBUG_H

#include "disk/disk.h"

/* The next request that comes to the event ("write_aio") stops there, under the name tag. -EINVAL:
 * no event has that name. */
int disk_debug_break(struct disk *d, const char *event, const char *tag) MUST_CHECK;

/* One stopped request of that tag goes on. -ENOENT: none is stopped. */
int disk_debug_resume(struct disk *d, const char *tag) MUST_CHECK;

/* Forgets breakpoints of that tag (NULL: all) and lets its stopped requests go on. -ENOENT: there
 * was neither. To be called with NULL before the node is closed. */
int disk_debug_remove_break(struct disk *d, const char *tag) MUST_CHECK;

bool disk_debug_is_suspended(struct disk *d, const char *tag);

/* Blocks until a request is stopped under that tag. */
int disk_debug_wait_break(struct disk *d, const char *tag) MUST_CHECK;

#endif
