/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy-before-write as the backup job and snapshot-access use it: a node above the source keeps for
 * each granule whether it is still to be copied to the target as it was in the beginning.
 */
#ifndef DISK_FILTER_COPY_BEFORE_WRITE_H
#define DISK_FILTER_COPY_BEFORE_WRITE_H

#include "disk/disk.h"

struct cbw;

/* NULL when d is no such node. */
struct cbw *cbw_of(struct disk *d);

uint64_t cbw_granularity(const struct cbw *c);
/* The next granules to be copied, from *offset on; false: none. */
bool cbw_next(struct cbw *c, uint64_t *offset, uint64_t *ret_len);
/* These need not be copied. */
void cbw_forget(struct cbw *c, uint64_t offset, uint64_t len);
/* Copies what of the range is still to be copied. *ret_write tells whose error it was. */
int cbw_copy(struct cbw *c, uint64_t offset, uint64_t len, bool *ret_write) MUST_CHECK;
/* Before the node is used: enum disk_request_flags of the target's writes. */
void cbw_set_write_flags(struct cbw *c, unsigned write_flags);
/* Non-zero when a guest's write went on without its copy (on-cbw-error=break-snapshot). */
int cbw_error(struct cbw *c);
/* Reads as it was in the beginning. */
int cbw_read_snapshot(struct cbw *c, uint64_t offset, struct disk_vec v) MUST_CHECK;

#endif
