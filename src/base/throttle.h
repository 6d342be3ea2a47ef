/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits of bytes and requests per second, shared by the members of a group: --object
 * throttle-group,id=g0,x-bps-total=10485760. A bucket leaks at the allowed rate and each request
 * pours into it; a request that finds it above its brim waits. Where a burst (-max) is allowed the
 * brim is so high that -max may flow for -max-length seconds; otherwise for a tenth of a second.
 * Members that wait take turns, each in the order of its requests.
 */
#ifndef BASE_THROTTLE_H
#define BASE_THROTTLE_H

#include "base/object.h"

enum throttle_bucket {
    THROTTLE_BPS_TOTAL,
    THROTTLE_BPS_READ,
    THROTTLE_BPS_WRITE,
    THROTTLE_IOPS_TOTAL,
    THROTTLE_IOPS_READ,
    THROTTLE_IOPS_WRITE,
    THROTTLE_BUCKET_COUNT,
};

struct throttle_limit {
    uint64_t avg, max;   /* per second; 0: none */
    uint64_t max_length; /* seconds at max; 0 counts as 1 */
};

struct throttle_limits {
    struct throttle_limit bucket[THROTTLE_BUCKET_COUNT];
    uint64_t iops_size; /* a longer request counts as several; 0: each counts once */
};

struct throttle_group;  /* the struct of an object of throttle_group_type */
struct throttle_member; /* one disk, or whatever else is slowed */
extern const struct object_type throttle_group_type;

bool throttle_check(const struct throttle_limits *l, struct error *err) MUST_CHECK;
void throttle_set(struct throttle_group *g, const struct throttle_limits *l); /* checked ones */
struct throttle_limits throttle_get(struct throttle_group *g);

/* The group must outlive its members. */
struct throttle_member *throttle_join(struct throttle_group *g);
void throttle_leave(struct throttle_member *m); /* nobody waits in it; NULL is fine */

/* Blocks until the request may start. Any thread. */
void throttle_wait(struct throttle_member *m, bool write, uint64_t bytes);

/* While held (they nest) requests of the member start at once: it is being drained. */
void throttle_hurry_begin(struct throttle_member *m);
void throttle_hurry_end(struct throttle_member *m);

#endif
