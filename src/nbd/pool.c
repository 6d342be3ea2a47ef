/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buffers of a client, kept by size: memory that was touched once costs no page fault again. */
#include "nbd/server_priv.h"

#include <stdlib.h>

#include "base/bits.h"

enum { MIN_ORDER = 12, ALIGN = 4096 };

bool nbd_buffer_get(struct nbd_client *c, uint32_t len, struct nbd_buffer *ret)
{
    unsigned order = len > 1u << MIN_ORDER ? 32 - (unsigned)__builtin_clz(len - 1) : MIN_ORDER;
    void *p = c->pool[order];
    if (p) {
        c->pool[order] = *(void **)p;
        c->pool_bytes -= UINT64_C(1) << order;
    } else if (posix_memalign(&p, ALIGN, (size_t)1 << order)) {
        return false;
    }
    *ret = (struct nbd_buffer){ .bytes = p, .order = order };
    return true;
}

void nbd_buffer_put(struct nbd_client *c, struct nbd_buffer *b)
{
    uint64_t size = UINT64_C(1) << b->order;
    void *p = b->bytes;
    b->bytes = NULL;
    if (!p)
        return;
    if (c->pool_bytes + size > NBD_POOL_BYTES) {
        free(p);
        return;
    }
    *(void **)p = c->pool[b->order]; /* idle ones are chained through their first bytes */
    c->pool[b->order] = p;
    c->pool_bytes += size;
}

void nbd_pool_finish(struct nbd_client *c)
{
    for (unsigned i = 0; i < ARRAY_SIZE(c->pool); i++) {
        for (void *p = c->pool[i], *next; p; p = next) {
            next = *(void **)p;
            free(p);
        }
        c->pool[i] = NULL;
    }
    c->pool_bytes = 0;
}
