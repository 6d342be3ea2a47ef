/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/vec.h"

#include <string.h>

#include "base/bits.h"

struct disk_vec vec_of_iov(const struct iovec *iov, uint32_t count)
{
    struct disk_vec v = { .iov = iov, .count = count };

    for (uint32_t i = 0; i < count; i++)
        v.len += iov[i].iov_len;
    return v;
}

struct disk_vec vec_slice(struct disk_vec v, size_t skip, size_t len)
{
    assert(skip <= v.len && len <= v.len - skip);
    v.len = len;
    if (!v.iov) {
        v.flat.iov_base = (char *)v.flat.iov_base + skip;
        v.flat.iov_len = len;
        return v;
    }
    v.skip += skip;
    while (v.count && v.skip >= v.iov->iov_len && (v.skip || len)) {
        v.skip -= v.iov->iov_len;
        v.iov++;
        v.count--;
    }
    return v;
}

/* The walk of all others: the next contiguous run, *at bytes into v; false at the end. */
struct walk {
    const struct disk_vec *v;
    uint32_t i;
    size_t skip, left;
};

static struct walk walk_start(const struct disk_vec *v)
{
    return (struct walk){ v, 0, v->skip, v->len };
}

static bool walk_next(struct walk *w, struct iovec *ret)
{
    if (!w->left)
        return false;
    if (!w->v->iov) {
        *ret = (struct iovec){ w->v->flat.iov_base, w->left };
        w->left = 0;
        return true;
    }
    for (; w->i < w->v->count; w->i++) {
        const struct iovec *e = &w->v->iov[w->i];
        size_t n;

        if (w->skip >= e->iov_len) {
            w->skip -= e->iov_len;
            continue;
        }
        n = MIN(e->iov_len - w->skip, w->left);
        *ret = (struct iovec){ (char *)e->iov_base + w->skip, n };
        w->skip = 0;
        w->left -= n;
        w->i++;
        return true;
    }
    assert(!"a vector shorter than it says");
    return false;
}

uint32_t vec_fill(const struct disk_vec *v, struct iovec *iov, uint32_t max, size_t *ret_len)
{
    struct walk w = walk_start(v);
    uint32_t n = 0;
    size_t len = 0;

    while (n < max && walk_next(&w, &iov[n]))
        len += iov[n++].iov_len;
    *ret_len = len;
    return n;
}

void *vec_flat(const struct disk_vec *v)
{
    struct walk w = walk_start(v);
    struct iovec e;

    if (!walk_next(&w, &e))
        return v->iov ? NULL : v->flat.iov_base;
    return e.iov_len == v->len ? e.iov_base : NULL;
}

bool vec_aligned(const struct disk_vec *v, size_t align)
{
    struct walk w = walk_start(v);
    struct iovec e;

    while (walk_next(&w, &e)) {
        if (((uintptr_t)e.iov_base | e.iov_len) & (align - 1))
            return false;
    }
    return true;
}

void vec_to_buf(const struct disk_vec *v, void *buf)
{
    struct walk w = walk_start(v);
    struct iovec e;
    char *p = buf;

    for (; walk_next(&w, &e); p += e.iov_len)
        memcpy(p, e.iov_base, e.iov_len);
}

void vec_from_buf(const struct disk_vec *v, const void *buf)
{
    struct walk w = walk_start(v);
    struct iovec e;
    const char *p = buf;

    for (; walk_next(&w, &e); p += e.iov_len)
        memcpy(e.iov_base, p, e.iov_len);
}

void vec_clear(const struct disk_vec *v)
{
    struct walk w = walk_start(v);
    struct iovec e;

    while (walk_next(&w, &e))
        memset(e.iov_base, 0, e.iov_len);
}

bool vec_is_zero(const struct disk_vec *v)
{
    struct walk w = walk_start(v);
    struct iovec e;

    while (walk_next(&w, &e)) {
        if (!buf_is_zero(e.iov_base, e.iov_len))
            return false;
    }
    return true;
}

typedef uint64_t u64x4 __attribute__((vector_size(32), aligned(1), may_alias));

/* 128 bytes, as or of four vectors: the compiler makes of it what the host has. */
static inline bool block_is_zero(const char *p)
{
    const u64x4 *q = (const u64x4 *)p;
    u64x4 o = q[0] | q[1] | q[2] | q[3];

    return !(o[0] | o[1] | o[2] | o[3]);
}

/* Data mostly shows in the first bytes, so those are looked at before the loop gets going. */
bool buf_is_zero(const void *buf, size_t len)
{
    const char *p = buf;
    size_t n = len;

    if (len < 128) {
        while (n && !*p) {
            p++;
            n--;
        }
        return !n;
    }
    if (p[0] | p[len - 1] | p[len / 2])
        return false;
    for (; n >= 128; p += 128, n -= 128) {
        if (!block_is_zero(p))
            return false;
    }
    return block_is_zero((const char *)buf + len - 128);
}
