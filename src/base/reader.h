/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reader of untrusted bytes that cannot run past their end. Errors stick: read everything, then
 * ask rd_ok() once. A failed read gives 0 (or zeroed bytes).
 */
#ifndef BASE_READER_H
#define BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/endian.h"

struct reader {
    const uint8_t *start, *at, *end;
    bool bad;
};

static inline struct reader reader(const void *buf, size_t len)
{
    const uint8_t *p = buf;

    return (struct reader){ p, p, p + len, false };
}

static inline bool rd_ok(const struct reader *r)
{
    return !r->bad;
}

/* Bytes left; 0 once an error stuck. */
static inline size_t rd_left(const struct reader *r)
{
    return r->bad ? 0 : (size_t)(r->end - r->at);
}

static inline size_t rd_offset(const struct reader *r)
{
    return (size_t)(r->at - r->start);
}

/* The next n bytes in place, or NULL. */
static inline const void *rd_take(struct reader *r, size_t n)
{
    const uint8_t *p = r->at;

    if (r->bad || n > (size_t)(r->end - r->at)) {
        r->bad = true;
        return NULL;
    }
    r->at += n;
    return p;
}

static inline void rd_skip(struct reader *r, size_t n)
{
    (void)rd_take(r, n);
}

/* Goes to an offset from the start of the buffer. */
static inline void rd_seek(struct reader *r, uint64_t offset)
{
    if (offset > (size_t)(r->end - r->start))
        r->bad = true;
    else
        r->at = r->start + offset;
}

static inline void rd_bytes(struct reader *r, void *dst, size_t n)
{
    const void *p = rd_take(r, n);

    if (p)
        memcpy(dst, p, n);
    else
        memset(dst, 0, n);
}

static inline uint8_t rd_u8(struct reader *r)
{
    const uint8_t *p = rd_take(r, 1);

    return p ? *p : 0;
}

static inline uint16_t rd_le16(struct reader *r)
{
    const void *p = rd_take(r, 2);

    return p ? ld_le16(p) : 0;
}

static inline uint32_t rd_le32(struct reader *r)
{
    const void *p = rd_take(r, 4);

    return p ? ld_le32(p) : 0;
}

static inline uint64_t rd_le64(struct reader *r)
{
    const void *p = rd_take(r, 8);

    return p ? ld_le64(p) : 0;
}

static inline uint16_t rd_be16(struct reader *r)
{
    const void *p = rd_take(r, 2);

    return p ? ld_be16(p) : 0;
}

static inline uint32_t rd_be32(struct reader *r)
{
    const void *p = rd_take(r, 4);

    return p ? ld_be32(p) : 0;
}

static inline uint64_t rd_be64(struct reader *r)
{
    const void *p = rd_take(r, 8);

    return p ? ld_be64(p) : 0;
}

#endif
