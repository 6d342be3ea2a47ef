/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fixed newstyle negotiation (proto.md, "Newstyle negotiation"). The client is anybody: everything
 * it sends is bounded, and all of it must be over before the deadline.
 */
#include "nbd/server_priv.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/reader.h"
#include "base/scope.h"
#include "base/trace.h"

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static bool wait_socket(struct nbd_client *c, short events, struct error *err)
{
    struct pollfd p = { .fd = channel_fd(c->channel), .events = events };
    int64_t left = c->deadline_ms - now_ms();
    if (left <= 0 || poll(&p, 1, (int)left) == 0)
        return fail(err, ETIMEDOUT, "the client did not finish the handshake in %u s",
                    c->server->o.handshake_timeout_s);
    return true;
}

static bool get(struct nbd_client *c, void *buf, size_t len, struct error *err)
{
    for (size_t done = 0; done < len;) {
        struct iovec iov = { (uint8_t *)buf + done, len - done };
        ssize_t n = channel_try_readv(c->channel, &iov, 1);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0)
            return fail(err, ECONNRESET, "the client left during the handshake");
        else if (n != -EAGAIN)
            return fail(err, (int)-n, "reading from the client: %s", strerror((int)-n));
        else if (!wait_socket(c, POLLIN, err))
            return false;
    }
    return true;
}

static bool put(struct nbd_client *c, const void *buf, size_t len, struct error *err)
{
    for (size_t done = 0; done < len || channel_has_output(c->channel);) {
        struct iovec iov = { (uint8_t *)(uintptr_t)buf + done, len - done };
        ssize_t n = channel_try_writev(c->channel, &iov, done < len);
        if (n >= 0)
            done += (size_t)n;
        else if (n != -EAGAIN)
            return fail(err, (int)-n, "writing to the client: %s", strerror((int)-n));
        else if (!wait_socket(c, POLLOUT, err))
            return false;
    }
    return true;
}

static bool skip(struct nbd_client *c, uint64_t len, struct error *err)
{
    uint8_t scratch[4096];
    while (len) {
        size_t n = MIN(len, sizeof(scratch));
        if (!get(c, scratch, n, err))
            return false;
        len -= n;
    }
    return true;
}

bool nbd_send_option(struct nbd_client *c, uint32_t option, uint32_t type, const void *data,
                     uint32_t len, struct error *err)
{
    AUTO_FREE uint8_t *buf = xcalloc(1, 20 + (size_t)len);
    st_be64(buf, NBD_REP_MAGIC);
    st_be32(buf + 8, option);
    st_be32(buf + 12, type);
    st_be32(buf + 16, len);
    if (len)
        memcpy(buf + 20, data, len);
    return put(c, buf, 20 + (size_t)len, err);
}

bool nbd_refuse_option(struct nbd_client *c, uint32_t option, uint32_t type, const char *why,
                       struct error *err)
{
    TRACE(nbd, "option %u refused: %s", option, why);
    return nbd_send_option(c, option, type, why, (uint32_t)strlen(why), err);
}

/* --- options --- */

/* What an option asks for and its data. */
struct option {
    uint32_t id, len;
    const uint8_t *data; /* with a zero byte behind it */
};

static void set_export(struct nbd_client *c, struct nbd_export *own_e)
{
    WITH_LOCK (&c->server->lock)
        c->export_ = own_e;
    if (!c->meta_export || strcmp(c->meta_export, own_e->name))
        memset(c->meta, 0, sizeof(c->meta)); /* they were for another export */
}

/* The old way in: no reply but the export's head; who asks for what is not there is sent away. */
static bool opt_export_name(struct nbd_client *c, const struct option *o, struct error *err)
{
    uint8_t head[8 + 2 + 124] = { 0 };
    struct nbd_export *e = o->len <= NBD_MAX_NAME && !memchr(o->data, 0, o->len)
                               ? nbd_export_find(c->server, (const char *)o->data)
                               : NULL;
    if (!e)
        return fail(err, ENOENT, "the client asks for an export that is not there");
    set_export(c, e);
    st_be64(head, nbd_export_size(e));
    st_be16(head + 8, nbd_export_flags(e, c->structured));
    return put(c, head, c->no_zeroes ? 10 : sizeof(head), err);
}

static bool opt_abort(struct nbd_client *c, const struct option *o, struct error *err)
{
    struct error ignored = { 0 };
    (void)nbd_send_option(c, o->id, NBD_REP_ACK, NULL, 0, &ignored);
    c->ended = true;
    return true;
}

/* The exports' names and descriptions; taken under the lock, sent without it. */
static struct nbd_export **list_exports(struct nbd_server *s, unsigned *ret_count)
{
    struct nbd_export **list = NULL;
    WITH_LOCK (&s->lock) {
        unsigned n = 0;
        for (struct nbd_export *e = s->exports; e; e = e->next)
            n++;
        list = xnew_array(struct nbd_export *, n + 1);
        *ret_count = n;
        n = 0;
        for (struct nbd_export *e = s->exports; e; e = e->next) {
            e->refs++;
            list[n++] = e;
        }
    }
    return list;
}

static bool opt_list(struct nbd_client *c, const struct option *o, struct error *err)
{
    unsigned count;
    bool ok = true;
    if (o->len)
        return nbd_refuse_option(c, o->id, NBD_REP_ERR_INVALID, "LIST has no data", err);
    struct nbd_export **list = list_exports(c->server, &count);
    for (unsigned i = 0; i < count; i++) {
        const struct nbd_export *e = list[i];
        size_t name = strlen(e->name), text = e->description ? strlen(e->description) : 0;
        uint8_t *buf = xcalloc(1, 4 + name + text);
        st_be32(buf, (uint32_t)name);
        memcpy(buf + 4, e->name, name);
        if (text)
            memcpy(buf + 4 + name, e->description, text);
        ok = ok && nbd_send_option(c, o->id, NBD_REP_SERVER, buf, (uint32_t)(4 + name + text), err);
        free(buf);
        nbd_export_unref(c->server, list[i]);
    }
    free(list);
    return ok && nbd_send_option(c, o->id, NBD_REP_ACK, NULL, 0, err);
}

static bool authorised(struct nbd_client *c, struct error *err)
{
    const struct authz *a = c->server->o.authz;
    AUTO_FREE char *name = a ? channel_peer_name(c->channel) : NULL;
    if (!a || (name && authz_allows(a, name)))
        return true;
    return fail(err, EACCES, "TLS client '%s' is not authorised", name ? name : "without a name");
}

static bool opt_starttls(struct nbd_client *c, const struct option *o, struct error *err)
{
    if (o->len)
        return nbd_refuse_option(c, o->id, NBD_REP_ERR_INVALID, "STARTTLS has no data", err);
    if (!c->server->o.tls)
        return nbd_refuse_option(c, o->id, NBD_REP_ERR_POLICY, "TLS not configured", err);
    if (channel_is_tls(c->channel))
        return nbd_refuse_option(c, o->id, NBD_REP_ERR_INVALID, "TLS has begun already", err);
    if (!nbd_send_option(c, o->id, NBD_REP_ACK, NULL, 0, err))
        return false;
    channel_set_nonblocking(c->channel, false);
    channel_set_timeout(c->channel, c->server->o.handshake_timeout_s * 1000);
    if (!channel_start_tls(c->channel, c->server->o.tls, true, NULL, err))
        return false;
    channel_set_timeout(c->channel, 0);
    channel_set_nonblocking(c->channel, true);
    c->structured = false; /* what was agreed in the clear is void */
    memset(c->meta, 0, sizeof(c->meta));
    return authorised(c, err);
}

static bool send_info(struct nbd_client *c, uint32_t option, uint16_t info, const void *data,
                      size_t len, struct error *err)
{
    AUTO_FREE uint8_t *buf = xcalloc(1, 2 + len);
    st_be16(buf, info);
    if (len)
        memcpy(buf + 2, data, len);
    return nbd_send_option(c, option, NBD_REP_INFO, buf, (uint32_t)(2 + len), err);
}

static bool send_infos(struct nbd_client *c, const struct option *o, const struct nbd_export *e,
                       bool name, bool description, struct error *err)
{
    uint8_t export_info[10], sizes[12];
    st_be64(export_info, nbd_export_size(e));
    st_be16(export_info + 8, nbd_export_flags(e, c->structured));
    st_be32(sizes, 1);
    st_be32(sizes + 4, NBD_PREFERRED_BLOCK);
    st_be32(sizes + 8, NBD_MAX_PAYLOAD);
    if (name && !send_info(c, o->id, NBD_INFO_NAME, e->name, strlen(e->name), err))
        return false;
    if (description && e->description &&
        !send_info(c, o->id, NBD_INFO_DESCRIPTION, e->description, strlen(e->description), err))
        return false;
    return send_info(c, o->id, NBD_INFO_BLOCK_SIZE, sizes, sizeof(sizes), err) &&
           send_info(c, o->id, NBD_INFO_EXPORT, export_info, sizeof(export_info), err) &&
           nbd_send_option(c, o->id, NBD_REP_ACK, NULL, 0, err);
}

/* INFO and GO. */
static bool opt_go(struct nbd_client *c, const struct option *o, struct error *err)
{
    struct reader r = reader(o->data, o->len);
    uint32_t len = rd_be32(&r);
    const uint8_t *bytes = rd_take(&r, len);
    uint16_t count = rd_be16(&r);
    bool name = false, description = false;
    for (unsigned i = 0; i < count && rd_ok(&r); i++) {
        uint16_t info = rd_be16(&r);
        name |= info == NBD_INFO_NAME;
        description |= info == NBD_INFO_DESCRIPTION;
    }
    if (!rd_ok(&r) || rd_left(&r) || len > NBD_MAX_NAME || (len && memchr(bytes, 0, len)))
        return nbd_refuse_option(c, o->id, NBD_REP_ERR_INVALID, "malformed request", err);
    AUTO_FREE char *text = xstrndup((const char *)bytes, len);
    struct nbd_export *e = nbd_export_find(c->server, text);
    if (!e)
        return nbd_refuse_option(c, o->id, NBD_REP_ERR_UNKNOWN, "export not present", err);
    bool ok = send_infos(c, o, e, name, description, err);
    if (ok && o->id == NBD_OPT_GO)
        set_export(c, e);
    else
        nbd_export_unref(c->server, e);
    return ok;
}

static bool opt_structured(struct nbd_client *c, const struct option *o, struct error *err)
{
    if (o->len)
        return nbd_refuse_option(c, o->id, NBD_REP_ERR_INVALID, "STRUCTURED_REPLY has no data",
                                 err);
    if (c->structured)
        return nbd_refuse_option(c, o->id, NBD_REP_ERR_INVALID, "structured replies already", err);
    c->structured = true;
    return nbd_send_option(c, o->id, NBD_REP_ACK, NULL, 0, err);
}

static bool opt_meta(struct nbd_client *c, const struct option *o, struct error *err)
{
    return nbd_meta_option(c, o->id, o->data, o->len, err);
}

static bool (*const options[])(struct nbd_client *c, const struct option *o, struct error *err) = {
    [NBD_OPT_EXPORT_NAME] = opt_export_name,
    [NBD_OPT_ABORT] = opt_abort,
    [NBD_OPT_LIST] = opt_list,
    [NBD_OPT_STARTTLS] = opt_starttls,
    [NBD_OPT_INFO] = opt_go,
    [NBD_OPT_GO] = opt_go,
    [NBD_OPT_STRUCTURED_REPLY] = opt_structured,
    [NBD_OPT_LIST_META_CONTEXT] = opt_meta,
    [NBD_OPT_SET_META_CONTEXT] = opt_meta,
};

/* Whether a client that has not begun TLS may say this. */
static bool allowed_in_the_clear(const struct nbd_client *c, uint32_t option)
{
    return !c->server->o.tls || channel_is_tls(c->channel) || option == NBD_OPT_STARTTLS ||
           option == NBD_OPT_ABORT;
}

static bool run_option(struct nbd_client *c, const struct option *o, struct error *err)
{
    if (!allowed_in_the_clear(c, o->id)) {
        if (o->id == NBD_OPT_EXPORT_NAME)
            return fail(err, EACCES, "the client does not begin TLS");
        return nbd_refuse_option(c, o->id, NBD_REP_ERR_TLS_REQD, "TLS is required", err);
    }
    if (o->id >= ARRAY_SIZE(options) || !options[o->id])
        return nbd_refuse_option(c, o->id, NBD_REP_ERR_UNSUP, "unknown option", err);
    return options[o->id](c, o, err);
}

static bool next_option(struct nbd_client *c, struct error *err)
{
    uint8_t head[16];
    if (!get(c, head, sizeof(head), err))
        return false;
    struct option o = { .id = ld_be32(head + 8), .len = ld_be32(head + 12) };
    if (ld_be64(head) != NBD_OPT_MAGIC)
        return fail(err, EPROTO, "the client's option does not begin as one");
    if (o.len > NBD_MAX_PAYLOAD)
        return fail(err, EPROTO, "the client sends an option of %u bytes", o.len);
    if (o.len > NBD_MAX_OPTION)
        return skip(c, o.len, err) && o.id != NBD_OPT_EXPORT_NAME &&
               nbd_refuse_option(c, o.id, NBD_REP_ERR_TOO_BIG, "option too long", err);
    AUTO_FREE uint8_t *data = xcalloc(1, (size_t)o.len + 1);
    if (!get(c, data, o.len, err))
        return false;
    o.data = data;
    TRACE(nbd, "option %u, %u bytes", o.id, o.len);
    return run_option(c, &o, err);
}

bool nbd_server_handshake(struct nbd_client *c, struct error *err)
{
    uint8_t hello[18], flags[4];
    c->deadline_ms = now_ms() + c->server->o.handshake_timeout_s * INT64_C(1000);
    st_be64(hello, NBD_MAGIC);
    st_be64(hello + 8, NBD_OPT_MAGIC);
    st_be16(hello + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    if (!put(c, hello, sizeof(hello), err) || !get(c, flags, sizeof(flags), err))
        return false;
    if (ld_be32(flags) & ~(uint32_t)(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES))
        return fail(err, EPROTO, "the client has unknown flags %#x", ld_be32(flags));
    c->no_zeroes = ld_be32(flags) & NBD_FLAG_NO_ZEROES;
    for (unsigned i = 0; i < NBD_MAX_OPTIONS && !c->export_; i++) {
        if (!next_option(c, err) || c->ended)
            return false;
    }
    return c->export_ || fail(err, EPROTO, "the client haggles without end");
}
