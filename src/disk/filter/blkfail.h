/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The N-th failure: a test opens an image over a blkfail node, counts what an operation asks of its
 * file, and repeats it with the first, second, ... of these failing.
 */
#ifndef DISK_FILTER_BLKFAIL_H
#define DISK_FILTER_BLKFAIL_H

#include "disk/disk.h"

enum blkfail_op {
    BLKFAIL_ANY,
    BLKFAIL_READ,
    BLKFAIL_WRITE,
    BLKFAIL_ZERO,
    BLKFAIL_DISCARD,
    BLKFAIL_FLUSH,
    BLKFAIL_RESIZE,
    BLKFAIL_CHANGE, /* write, zero, discard, resize: what changes the file */
    BLKFAIL_OP_COUNT,
};

/* From now on the nth (1 is the next; 0: none) such request at the first blkfail node at or below d
 * gives -error; with forever, all after it too, as if the disk were gone. Starts counting anew.
 * -ENOTSUP when there is no such node. */
int disk_fail_arm(struct disk *d, enum blkfail_op op, uint64_t nth, int error,
                  bool forever) MUST_CHECK;

/* How many such requests came since, whether they failed or not. */
uint64_t disk_fail_count(struct disk *d);

#endif
