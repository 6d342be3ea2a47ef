/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copying from the layers below into an image, so that nobody can tell but by its allocation: for
 * copy-on-read and the stream job.
 */
#ifndef DISK_FILTER_COPY_UP_H
#define DISK_FILTER_COPY_UP_H

#include "disk/disk.h"

/* The clusters of d (filters on top are looked through) that [offset, offset + len) touches, which
 * d does not have but a layer above base (NULL: any) decides, are stored in d. Writes to them wait
 * meanwhile. Bitmaps do not notice. Inside or outside of a request. */
int disk_copy_up(struct disk *d, struct disk *base, uint64_t offset, uint64_t len) MUST_CHECK;

#endif
