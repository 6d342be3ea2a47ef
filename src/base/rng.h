/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a guest's random numbers come from: "-object rng-random,filename=/dev/hwrng" and
 * "-object rng-builtin". A device's link "rng" is a struct rng_backend, with which both begin.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <sys/types.h>

#include "base/object.h"

struct rng_backend {
    /* Up to len bytes, without waiting. 0: there are none now, poll fd; -errno. Any thread. */
    ssize_t (*read)(struct rng_backend *b, void *buf, size_t len);
    int fd; /* to poll for more; -1: there always are */
};
extern const struct object_type rng_random_object, rng_builtin_object;

#endif
