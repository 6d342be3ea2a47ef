/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Points on the way of a request that a blkdebug node below may turn into errors or stops. Formats
 * announce them on their file child: disk_event(d->file, EVENT_L2_UPDATE), before what the name
 * says is done. Names are QEMU's (BlkdebugEvent); without a blkdebug node it costs two loads.
 * Never called with a lock held that another request needs: a rule may stop the thread here.
 */
#ifndef DISK_EVENT_H
#define DISK_EVENT_H

#include "disk/node.h"

enum disk_event {
    EVENT_NONE, /* rules that are always active */
    EVENT_L1_UPDATE,
    EVENT_L1_GROW_ALLOC_TABLE,
    EVENT_L1_GROW_WRITE_TABLE,
    EVENT_L1_GROW_ACTIVATE_TABLE,
    EVENT_L2_LOAD,
    EVENT_L2_UPDATE,
    EVENT_L2_UPDATE_COMPRESSED,
    EVENT_L2_ALLOC_COW_READ,
    EVENT_L2_ALLOC_WRITE,
    EVENT_READ_AIO, /* guest data is read from the file */
    EVENT_READ_BACKING_AIO,
    EVENT_READ_COMPRESSED,
    EVENT_WRITE_AIO, /* guest data is written to the file */
    EVENT_WRITE_COMPRESSED,
    EVENT_VMSTATE_LOAD,
    EVENT_VMSTATE_SAVE,
    EVENT_COW_READ, /* the rest of a newly allocated cluster */
    EVENT_COW_WRITE,
    EVENT_REFTABLE_LOAD,
    EVENT_REFTABLE_GROW,
    EVENT_REFTABLE_UPDATE,
    EVENT_REFBLOCK_LOAD,
    EVENT_REFBLOCK_UPDATE,
    EVENT_REFBLOCK_UPDATE_PART,
    EVENT_REFBLOCK_ALLOC,
    EVENT_REFBLOCK_ALLOC_HOOKUP,
    EVENT_REFBLOCK_ALLOC_WRITE,
    EVENT_REFBLOCK_ALLOC_WRITE_BLOCKS,
    EVENT_REFBLOCK_ALLOC_WRITE_TABLE,
    EVENT_REFBLOCK_ALLOC_SWITCH_TABLE,
    EVENT_CLUSTER_ALLOC,
    EVENT_CLUSTER_ALLOC_BYTES,
    EVENT_CLUSTER_FREE,
    EVENT_FLUSH_TO_OS,   /* the format writes its metadata back; it announces this */
    EVENT_FLUSH_TO_DISK, /* the blkdebug node itself announces this and the five of pwritev */
    EVENT_PWRITEV_RMW_HEAD,
    EVENT_PWRITEV_RMW_AFTER_HEAD,
    EVENT_PWRITEV_RMW_TAIL,
    EVENT_PWRITEV_RMW_AFTER_TAIL,
    EVENT_PWRITEV,
    EVENT_PWRITEV_ZERO,
    EVENT_PWRITEV_DONE,
    EVENT_EMPTY_IMAGE_PREPARE,
    EVENT_L1_SHRINK_WRITE_TABLE,
    EVENT_L1_SHRINK_FREE_L2_CLUSTERS,
    EVENT_COR_WRITE,
    EVENT_CLUSTER_ALLOC_SPACE,
    EVENT_COUNT,
};

/* d may be NULL. Filters between pass it on. */
static inline void disk_event(struct disk *d, enum disk_event event)
{
    while (d && !d->driver->event)
        d = d->driver->is_filter ? d->file : NULL;
    if (d)
        d->driver->event(d, event);
}

#endif
