/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the monitor asks of a memory balloon. Machine lock held for all functions. */
#ifndef DEV_VIRTIO_BALLOON_H
#define DEV_VIRTIO_BALLOON_H

#include "dev/device.h"

enum balloon_stat { /* tags of virtio 1.2 §5.5.6.4 */
                    BALLOON_SWAP_IN,
                    BALLOON_SWAP_OUT,
                    BALLOON_MAJOR_FAULTS,
                    BALLOON_MINOR_FAULTS,
                    BALLOON_FREE_MEMORY,
                    BALLOON_TOTAL_MEMORY,
                    BALLOON_AVAILABLE_MEMORY,
                    BALLOON_DISK_CACHES,
                    BALLOON_HUGETLB_ALLOCATIONS,
                    BALLOON_HUGETLB_FAILURES,
                    BALLOON_STAT_COUNT,
};
extern const char *const balloon_stat_names[BALLOON_STAT_COUNT]; /* "stat-swap-in", ... */

struct balloon_stats {
    uint64_t value[BALLOON_STAT_COUNT]; /* UINT64_MAX: the guest did not say */
    int64_t last_update;                /* seconds since 1970, 0: never */
};

extern const struct device_type virtio_balloon_type;

/* dev is a virtio-balloon-device. Bytes that the guest shall give up; rounded to pages of 4 KiB. */
void balloon_set_target(struct device *dev, uint64_t bytes);
uint64_t balloon_target(const struct device *dev);
/* Bytes that it has given up, as it says. */
uint64_t balloon_actual(const struct device *dev);
/* Statistics: how often the guest is asked, in seconds (0: not at all), and its last answer. */
void balloon_set_interval(struct device *dev, uint32_t seconds);
void balloon_stats(const struct device *dev, struct balloon_stats *ret);
/* fn hears when the guest said that balloon_actual() is another. */
void balloon_on_change(struct device *dev, void (*fn)(void *opaque, uint64_t bytes), void *opaque);

#endif
