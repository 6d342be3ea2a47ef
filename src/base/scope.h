/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The five macros that tie a clean-up to a scope. Nothing else in the tree hides control flow.
 *
 *   AUTO_FREE char *path = ...;          free() at the end of the scope
 *   AUTO_CLOSE int fd = open(...);       close() unless negative
 *   AUTO_UNREF(disk) d = ...;            disk_unref_auto(&d), which the owner of struct disk
 * defines WITH_LOCK(&q->lock) { ... }          break and return unlock too return TAKE(path); hands
 * the value on and forgets it
 */
#ifndef BASE_SCOPE_H
#define BASE_SCOPE_H

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* Documentation, and a check in the clang -Wthread-safety job. */
#define GUARDED_BY(lock)

#define AUTO_FREE        __attribute__((cleanup(scope_free)))
#define AUTO_CLOSE       __attribute__((cleanup(scope_close)))
#define AUTO_UNREF(type) __attribute__((cleanup(type##_unref_auto))) struct type *

#define WITH_LOCK(l)                                                                               \
    for (pthread_mutex_t * scope_held __attribute__((cleanup(scope_unlock))) = scope_lock(l),      \
                                      *scope_once = scope_held;                                    \
         scope_once; scope_once = NULL)

#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

static inline void scope_free(void *pp)
{
    free(*(void **)pp);
}

static inline void scope_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline pthread_mutex_t *scope_lock(pthread_mutex_t *l)
{
    pthread_mutex_lock(l);
    return l;
}

static inline void scope_unlock(pthread_mutex_t **l)
{
    pthread_mutex_unlock(*l);
}

#endif
