/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/storage/sg.h"

#include "base/alloc.h"
#include "base/bits.h"

#include <stdlib.h>
#include <string.h>

void sg_begin(struct sg *s, struct mem *mem, bool to_guest)
{
    s->mem = mem;
    s->to_guest = to_guest;
    s->count = 0;
    s->len = 0;
}

static bool grow(struct sg *s)
{
    if (s->count < s->room)
        return true;
    if (s->room >= SG_PIECES_MAX)
        return false;
    s->room = s->room ? s->room * 2 : 64;
    s->iov = xrealloc_array(s->iov, s->room, sizeof *s->iov);
    return true;
}

/* Takes back pieces until count is left: nothing was written there. */
static void take_back(struct sg *s, uint32_t count)
{
    while (s->count > count) {
        s->count--;
        dma_unmap(s->mem, s->iov[s->count].iov_base, 0, s->to_guest);
    }
}

bool sg_add(struct sg *s, gpa_t a, uint64_t len)
{
    uint32_t count = s->count;
    uint64_t done = 0;
    while (done < len) {
        uint64_t n = len - done;
        void *host = s->mem && a + done >= a ? dma_map(s->mem, a + done, &n, s->to_guest) : NULL;
        if (!host || !n)
            goto fail;
        struct iovec *last = s->count ? &s->iov[s->count - 1] : NULL;
        if (last && (char *)last->iov_base + last->iov_len == host) {
            last->iov_len += n;
        } else {
            if (!grow(s)) {
                dma_unmap(s->mem, host, 0, s->to_guest);
                goto fail;
            }
            s->iov[s->count++] = (struct iovec){ host, n };
        }
        done += n;
    }
    s->len += len;
    return true;
fail:
    /* a piece that was joined to the one before stays there, beyond s->len */
    take_back(s, count);
    return false;
}

struct disk_vec sg_vec(const struct sg *s, size_t at, size_t len)
{
    return vec_slice(vec_of_iov(s->iov, s->count), at, len);
}

size_t sg_put(struct sg *s, size_t at, const void *buf, size_t len)
{
    size_t n = at < s->len ? MIN(len, s->len - at) : 0;
    struct disk_vec v = n ? sg_vec(s, at, n) : (struct disk_vec){ 0 };
    if (n)
        vec_from_buf(&v, buf);
    return n;
}

size_t sg_get(const struct sg *s, size_t at, void *buf, size_t len)
{
    size_t n = at < s->len ? MIN(len, s->len - at) : 0;
    struct disk_vec v = n ? sg_vec(s, at, n) : (struct disk_vec){ 0 };
    if (n)
        vec_to_buf(&v, buf);
    return n;
}

void sg_end(struct sg *s, size_t written)
{
    for (uint32_t i = 0; i < s->count; i++) {
        size_t n = MIN(written, s->iov[i].iov_len);
        dma_unmap(s->mem, s->iov[i].iov_base, s->to_guest ? n : 0, s->to_guest);
        written -= n;
    }
    s->count = 0;
    s->len = 0;
}

void sg_finish(struct sg *s)
{
    free(s->iov);
    memset(s, 0, sizeof *s);
}
