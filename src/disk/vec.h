/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A piece of scattered memory, passed by value: what one request reads into or writes from.
 * Slicing costs nothing, so straight-line code can walk clusters: vec_slice(v, done, n).
 */
#ifndef DISK_VEC_H
#define DISK_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct disk_vec {
    const struct iovec *iov; /* borrowed */
    uint32_t count;          /* of iov */
    size_t skip;             /* bytes of iov[0..] before this piece */
    size_t len;              /* bytes of this piece */
    struct iovec flat;       /* used when iov is NULL: one buffer */
};

/* A piece of one buffer. The buffer is not changed through a vector that is only written from. */
static inline struct disk_vec vec_of(const void *buf, size_t len)
{
    return (struct disk_vec){ .len = len, .flat = { (void *)buf, len } };
}

/* All of iov[0..count). */
struct disk_vec vec_of_iov(const struct iovec *iov, uint32_t count);

/* Bytes [skip, skip + len) of v; they must exist. */
struct disk_vec vec_slice(struct disk_vec v, size_t skip, size_t len);

/* Fills at most max iovecs that cover a prefix of v; returns how many, *ret_len the bytes covered.
 */
uint32_t vec_fill(const struct disk_vec *v, struct iovec *iov, uint32_t max, size_t *ret_len);

/* The piece as one contiguous buffer, or NULL when it is scattered. */
void *vec_flat(const struct disk_vec *v);

/* Whether every address and length is a multiple of align (a power of two). */
bool vec_aligned(const struct disk_vec *v, size_t align);

void vec_to_buf(const struct disk_vec *v, void *buf);         /* copies v->len bytes */
void vec_from_buf(const struct disk_vec *v, const void *buf); /* copies v->len bytes */
void vec_clear(const struct disk_vec *v);                     /* sets to zero bytes */
bool vec_is_zero(const struct disk_vec *v);

/* Whether len bytes are all zero (fast: vector compares). */
bool buf_is_zero(const void *buf, size_t len);

#endif
