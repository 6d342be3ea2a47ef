/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rhea-nbd -L: what a server exports. */
#include "nbd/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/reader.h"
#include "base/scope.h"
#include "base/socket.h"
#include "base/tls.h"
#include "disk/nbd_proto.h"

enum { MAX_EXPORTS = 65536, MAX_CONTEXTS = 4096, CONNECT_MS = 30000 };

struct listed {
    char *name, *description;
    uint64_t size;
    uint16_t flags;
    uint32_t min_block, opt_block, max_block;
    bool has_info;
    char **contexts;
    unsigned context_count;
};

struct list {
    struct channel *c;
    struct listed *exports;
    unsigned count;
    bool structured;
};

static void list_finish(struct list *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        struct listed *e = &l->exports[i];
        for (unsigned k = 0; k < e->context_count; k++)
            free(e->contexts[k]);
        free(e->contexts);
        free(e->name);
        free(e->description);
    }
    free(l->exports);
    channel_free(l->c);
}

/* Names come from the server: no control characters of its choosing reach the terminal. */
static void print_text(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p < 32 || *p == 127)
            printf("\\x%02x", *p);
        else
            putchar(*p);
    }
}

static void print_flags(uint16_t flags)
{
    static const char *const names[] = { NULL,         "readonly", "flush",  "fua",
                                         "rotational", "trim",     "zeroes", "df",
                                         "multi",      "resize",   "cache",  "fast-zero" };
    printf("  flags: 0x%x (", flags);
    for (unsigned i = 1; i < ARRAY_SIZE(names); i++) {
        if (flags & BIT(i))
            printf(" %s", names[i]);
    }
    printf(" )\n");
}

static void print_export(const struct listed *e)
{
    printf(" export: '");
    print_text(e->name);
    printf("'\n");
    if (e->description && *e->description) {
        printf("  description: ");
        print_text(e->description);
        putchar('\n');
    }
    if (!e->has_info)
        return;
    printf("  size:  %" PRIu64 "\n", e->size);
    print_flags(e->flags);
    if (e->min_block)
        printf("  min block: %u\n  opt block: %u\n  max block: %u\n", e->min_block, e->opt_block,
               e->max_block);
    if (e->context_count)
        printf("  available meta contexts: %u\n", e->context_count);
    for (unsigned i = 0; i < e->context_count; i++) {
        printf("   ");
        print_text(e->contexts[i]);
        putchar('\n');
    }
}

static bool is_error(uint32_t type)
{
    return type >> 31;
}

/* A simple option that is acknowledged or refused. */
static bool ask(struct list *l, uint32_t option, bool *ret_agreed, struct error *err)
{
    AUTO_FREE uint8_t *data = NULL;
    uint32_t type, len;
    if (!nbd_client_option(l->c, option, NULL, 0, err) ||
        !nbd_client_reply(l->c, option, &type, &data, &len, err))
        return false;
    *ret_agreed = type == NBD_REP_ACK;
    return true;
}

static bool refused(uint32_t type, const uint8_t *data, struct error *err)
{
    if (type == (uint32_t)NBD_REP_ERR_TLS_REQD) {
        fail(err, EACCES, "The server requires TLS");
        return fail_hint(err, "give --tls-creds=ID and --object tls-creds-...,endpoint=client");
    }
    return fail(err, EPROTO, "The server refuses to list its exports: %s",
                *data ? (const char *)data : "no reason given");
}

static bool add_export(struct list *l, const uint8_t *data, uint32_t len, struct error *err)
{
    struct reader r = reader(data, len);
    uint32_t name_len = rd_be32(&r);
    const char *name = rd_take(&r, name_len);
    if (!rd_ok(&r) || l->count == MAX_EXPORTS)
        return fail(err, EPROTO, "The server's list is malformed or too long");
    l->exports = xrealloc_array(l->exports, l->count + 1, sizeof(*l->exports));
    l->exports[l->count++] = (struct listed){
        .name = xstrndup(name, name_len),
        .description = xstrndup((const char *)r.at, rd_left(&r)),
    };
    return true;
}

static bool get_names(struct list *l, struct error *err)
{
    if (!nbd_client_option(l->c, NBD_OPT_LIST, NULL, 0, err))
        return false;
    for (;;) {
        AUTO_FREE uint8_t *data = NULL;
        uint32_t type, len;
        if (!nbd_client_reply(l->c, NBD_OPT_LIST, &type, &data, &len, err))
            return false;
        if (type == NBD_REP_ACK)
            return true;
        if (is_error(type))
            return refused(type, data, err);
        if (type == NBD_REP_SERVER && !add_export(l, data, len, err))
            return false;
    }
}

static void take_info(struct listed *e, const uint8_t *data, uint32_t len)
{
    struct reader r = reader(data, len);
    switch (rd_be16(&r)) {
    case NBD_INFO_EXPORT:
        e->size = rd_be64(&r);
        e->flags = rd_be16(&r);
        e->has_info = rd_ok(&r);
        break;
    case NBD_INFO_DESCRIPTION:
        free(e->description);
        e->description = xstrndup((const char *)r.at, rd_left(&r));
        break;
    case NBD_INFO_BLOCK_SIZE:
        e->min_block = rd_be32(&r);
        e->opt_block = rd_be32(&r);
        e->max_block = rd_be32(&r);
        break;
    default: break;
    }
}

static bool get_info(struct list *l, struct listed *e, struct error *err)
{
    size_t n = strlen(e->name);
    AUTO_FREE uint8_t *q = xcalloc(1, 4 + n + 2 + 3 * 2);
    st_be32(q, (uint32_t)n);
    memcpy(q + 4, e->name, n);
    st_be16(q + 4 + n, 3);
    st_be16(q + 6 + n, NBD_INFO_NAME);
    st_be16(q + 8 + n, NBD_INFO_DESCRIPTION);
    st_be16(q + 10 + n, NBD_INFO_BLOCK_SIZE);
    if (!nbd_client_option(l->c, NBD_OPT_INFO, q, (uint32_t)(12 + n), err))
        return false;
    for (;;) {
        AUTO_FREE uint8_t *data = NULL;
        uint32_t type, len;
        if (!nbd_client_reply(l->c, NBD_OPT_INFO, &type, &data, &len, err))
            return false;
        if (type == NBD_REP_INFO)
            take_info(e, data, len);
        else if (type == NBD_REP_ACK || is_error(type)) /* an old server: no more than its name */
            return true;
    }
}

static bool get_contexts(struct list *l, struct listed *e, struct error *err)
{
    const uint32_t option = NBD_OPT_LIST_META_CONTEXT;
    size_t n = strlen(e->name);
    AUTO_FREE uint8_t *q = xcalloc(1, 8 + n);
    st_be32(q, (uint32_t)n);
    memcpy(q + 4, e->name, n);
    if (!nbd_client_option(l->c, option, q, (uint32_t)(8 + n), err))
        return false;
    for (;;) {
        AUTO_FREE uint8_t *data = NULL;
        uint32_t type, len;
        if (!nbd_client_reply(l->c, option, &type, &data, &len, err))
            return false;
        if (type != NBD_REP_META_CONTEXT)
            return type == NBD_REP_ACK || is_error(type) || fail(err, EPROTO, "malformed reply");
        if (len < 4 || e->context_count == MAX_CONTEXTS)
            return fail(err, EPROTO, "The server's list of contexts is malformed or too long");
        e->contexts = xrealloc_array(e->contexts, e->context_count + 1, sizeof(*e->contexts));
        e->contexts[e->context_count++] = xstrndup((const char *)data + 4, len - 4);
    }
}

static bool begin_tls(struct nbd_tool *t, struct list *l, struct error *err)
{
    bool agreed;
    if (!t->tls_creds)
        return true;
    struct tls_creds *creds = tls_creds_find(t->objects, t->tls_creds, false, err);
    if (!creds) {
        err_prefix(err, "Failed to get TLS creds: ");
        return false;
    }
    if (!ask(l, NBD_OPT_STARTTLS, &agreed, err))
        return false;
    if (!agreed)
        return fail(err, EPROTO, "The server does not offer TLS");
    const char *host = t->tls_hostname ? t->tls_hostname : t->socket ? NULL : t->bind;
    return channel_start_tls(l->c, creds, false, host, err);
}

static bool talk(struct nbd_tool *t, struct list *l, struct error *err)
{
    struct nbd_hello hello;
    if (!nbd_client_hello(l->c, &hello, err))
        return false;
    if (hello.oldstyle) {
        if (t->tls_creds)
            return fail(err, EPROTO, "The server does not offer TLS");
        l->exports = xnew(struct listed);
        l->count = 1;
        l->exports[0] = (struct listed){
            .name = xstrdup(""), .has_info = true, .size = hello.size, .flags = hello.export_flags
        };
        return true;
    }
    if (!begin_tls(t, l, err) || !ask(l, NBD_OPT_STRUCTURED_REPLY, &l->structured, err) ||
        !get_names(l, err))
        return false;
    for (unsigned i = 0; i < l->count; i++) {
        if (!get_info(l, &l->exports[i], err) ||
            (l->structured && !get_contexts(l, &l->exports[i], err)))
            return false;
    }
    return nbd_client_option(l->c, NBD_OPT_ABORT, NULL, 0, err);
}

bool nbd_tool_list(struct nbd_tool *t, struct error *err)
{
    struct socket_addr a = { .kind = t->socket ? SOCKET_UNIX : SOCKET_TCP };
    struct list l = { 0 };
    a.path = xstrdup(t->socket);
    a.host = xstrdup(t->bind ? t->bind : "localhost");
    a.port = xstrdup(t->port ? t->port : NBD_DEFAULT_PORT);
    int fd = socket_connect(&a, CONNECT_MS, err);
    socket_addr_finish(&a);
    if (fd < 0)
        return false;
    l.c = channel_new(fd);
    channel_set_timeout(l.c, CONNECT_MS);
    bool ok = talk(t, &l, err);
    if (ok) {
        printf("exports available: %u\n", l.count);
        for (unsigned i = 0; i < l.count; i++)
            print_export(&l.exports[i]);
    }
    list_finish(&l);
    return ok;
}
