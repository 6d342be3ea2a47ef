/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which contexts of BLOCK_STATUS a client wants: base:allocation, qemu:allocation-depth,
 * qemu:dirty-bitmap:NAME. A query that ends in ':' lists what begins with it.
 */
#include "nbd/server_priv.h"

#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/reader.h"
#include "base/scope.h"

enum { MAX_QUERIES = 4096 };

static bool matches(const char *name, const uint8_t *query, size_t len, bool listing)
{
    if (len && query[len - 1] == ':')
        return listing && !strncmp(name, (const char *)query, len);
    return strlen(name) == len && !memcmp(name, query, len);
}

static void add_matches(const struct nbd_export *e, const uint8_t *query, size_t len, bool listing,
                        bool *wanted)
{
    for (unsigned id = 0; id < NBD_CONTEXT_COUNT; id++) {
        if (!nbd_export_has_context(e, id))
            continue;
        AUTO_FREE char *name = nbd_export_context_name(e, id);
        if (matches(name, query, len, listing))
            wanted[id] = true;
    }
}

static bool send_contexts(struct nbd_client *c, uint32_t option, const struct nbd_export *e,
                          const bool *wanted, struct error *err)
{
    bool listing = option == NBD_OPT_LIST_META_CONTEXT;
    for (unsigned id = 0; id < NBD_CONTEXT_COUNT; id++) {
        if (!wanted[id])
            continue;
        AUTO_FREE char *name = nbd_export_context_name(e, id);
        size_t len = strlen(name);
        AUTO_FREE uint8_t *buf = xcalloc(1, 4 + len);
        st_be32(buf, listing ? 0 : id);
        memcpy(buf + 4, name, len);
        if (!nbd_send_option(c, option, NBD_REP_META_CONTEXT, buf, (uint32_t)(4 + len), err))
            return false;
    }
    return nbd_send_option(c, option, NBD_REP_ACK, NULL, 0, err);
}

/* Fills wanted; false: the queries are malformed. */
static bool read_queries(struct reader *r, const struct nbd_export *e, bool listing, bool *wanted)
{
    uint32_t count = rd_be32(r);
    if (count > MAX_QUERIES)
        return false;
    if (!count && listing) {
        for (unsigned id = 0; id < NBD_CONTEXT_COUNT; id++)
            wanted[id] = nbd_export_has_context(e, id);
    }
    for (uint32_t i = 0; i < count && rd_ok(r); i++) {
        uint32_t len = rd_be32(r);
        const uint8_t *query = rd_take(r, len);
        if (rd_ok(r) && len <= NBD_MAX_NAME)
            add_matches(e, query, len, listing, wanted);
    }
    return rd_ok(r) && !rd_left(r);
}

bool nbd_meta_option(struct nbd_client *c, uint32_t option, const uint8_t *data, uint32_t len,
                     struct error *err)
{
    bool wanted[NBD_CONTEXT_COUNT] = { 0 }, listing = option == NBD_OPT_LIST_META_CONTEXT;
    struct reader r = reader(data, len);
    uint32_t name_len = rd_be32(&r);
    const uint8_t *bytes = rd_take(&r, name_len);
    if (!listing) { /* what was agreed before is void, whatever comes of this */
        memset(c->meta, 0, sizeof(c->meta));
        free(TAKE(c->meta_export));
    }
    if (!c->structured)
        return nbd_refuse_option(c, option, NBD_REP_ERR_INVALID,
                                 "structured replies were not negotiated", err);
    if (!rd_ok(&r) || name_len > NBD_MAX_NAME || (name_len && memchr(bytes, 0, name_len)))
        return nbd_refuse_option(c, option, NBD_REP_ERR_INVALID, "malformed export name", err);
    AUTO_FREE char *name = xstrndup((const char *)bytes, name_len);
    struct nbd_export *e = nbd_export_find(c->server, name);
    if (!e)
        return nbd_refuse_option(c, option, NBD_REP_ERR_UNKNOWN, "export not present", err);
    bool ok = read_queries(&r, e, listing, wanted);
    if (!ok)
        ok = nbd_refuse_option(c, option, NBD_REP_ERR_INVALID, "malformed queries", err);
    else if ((ok = send_contexts(c, option, e, wanted, err)) && !listing) {
        memcpy(c->meta, wanted, sizeof(wanted));
        c->meta_export = TAKE(name);
    }
    nbd_export_unref(c->server, e);
    return ok;
}
