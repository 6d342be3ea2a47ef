/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client's side of a handshake, as far as listing and the kernel's device need it. */
#include "nbd/tool.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "base/tls.h"
#include "disk/nbd_proto.h"

enum { MAX_REPLY = 64 << 10 };

static bool lost(int r, struct error *err)
{
    return fail(err, r > 0 ? ECONNRESET : -r, "The server closed the connection%s%s",
                r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
}

static bool get(struct channel *c, void *buf, size_t len, struct error *err)
{
    int r = len ? channel_read(c, buf, len) : 0;
    return !r || lost(r, err);
}

static bool put(struct channel *c, const void *buf, size_t len, struct error *err)
{
    int r = channel_write(c, buf, len);
    return !r || lost(r, err);
}

bool nbd_client_hello(struct channel *c, struct nbd_hello *ret, struct error *err)
{
    uint8_t head[18], rest[136], answer[4];
    *ret = (struct nbd_hello){ 0 };
    if (!get(c, head, 16, err))
        return false;
    if (ld_be64(head) != NBD_MAGIC)
        return fail(err, EPROTO, "Bad initial magic received: 0x%016llx",
                    (unsigned long long)ld_be64(head));
    if (ld_be64(head + 8) == NBD_OLDSTYLE_MAGIC) {
        if (!get(c, rest, sizeof(rest), err)) /* size, flags, zeroes */
            return false;
        ret->oldstyle = true;
        ret->size = ld_be64(rest);
        ret->export_flags = ld_be16(rest + 10);
        return true;
    }
    if (ld_be64(head + 8) != NBD_OPT_MAGIC)
        return fail(err, EPROTO, "Bad server magic received: 0x%016llx",
                    (unsigned long long)ld_be64(head + 8));
    if (!get(c, head + 16, 2, err))
        return false;
    ret->flags = ld_be16(head + 16);
    if (!(ret->flags & NBD_FLAG_FIXED_NEWSTYLE))
        return fail(err, EPROTO, "The server does not know the fixed newstyle handshake");
    st_be32(answer, ret->flags & (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
    return put(c, answer, 4, err);
}

bool nbd_client_option(struct channel *c, uint32_t option, const void *data, uint32_t len,
                       struct error *err)
{
    AUTO_FREE uint8_t *buf = xcalloc(1, 16 + (size_t)len);
    st_be64(buf, NBD_OPT_MAGIC);
    st_be32(buf + 8, option);
    st_be32(buf + 12, len);
    if (len)
        memcpy(buf + 16, data, len);
    return put(c, buf, 16 + (size_t)len, err);
}

bool nbd_client_reply(struct channel *c, uint32_t option, uint32_t *ret_type, uint8_t **ret_data,
                      uint32_t *ret_len, struct error *err)
{
    uint8_t head[20];
    if (!get(c, head, sizeof(head), err))
        return false;
    uint32_t len = ld_be32(head + 16);
    if (ld_be64(head) != NBD_REP_MAGIC || ld_be32(head + 8) != option || len > MAX_REPLY)
        return fail(err, EPROTO, "The server sends a malformed reply to option %u", option);
    AUTO_FREE uint8_t *data = xcalloc(1, (size_t)len + 1);
    if (!get(c, data, len, err))
        return false;
    *ret_type = ld_be32(head + 12);
    *ret_len = len;
    *ret_data = TAKE(data);
    return true;
}

bool nbd_client_go(struct channel *c, const char *name, uint64_t *ret_size, uint16_t *ret_flags,
                   struct error *err)
{
    struct nbd_hello hello;
    size_t n = strlen(name);
    AUTO_FREE uint8_t *q = xcalloc(1, 6 + n);
    st_be32(q, (uint32_t)n);
    memcpy(q + 4, name, n);
    if (!nbd_client_hello(c, &hello, err) ||
        !nbd_client_option(c, NBD_OPT_GO, q, (uint32_t)(6 + n), err))
        return false;
    for (;;) {
        AUTO_FREE uint8_t *data = NULL;
        uint32_t type, len;
        if (!nbd_client_reply(c, NBD_OPT_GO, &type, &data, &len, err))
            return false;
        if (type == NBD_REP_ACK)
            return true;
        if (type != NBD_REP_INFO)
            return fail(err, EPROTO, "the server refuses the export: %s", (const char *)data);
        if (len == 12 && ld_be16(data) == NBD_INFO_EXPORT) {
            *ret_size = ld_be64(data + 2);
            *ret_flags = ld_be16(data + 10);
        }
    }
}
