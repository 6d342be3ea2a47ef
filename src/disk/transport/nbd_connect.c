/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handshake of an NBD client: old style, new style, fixed new style with TLS, structured
 * replies, a metadata context and NBD_OPT_GO. Nothing a server sends is trusted: lengths are
 * bounded, and all of it has to end before a deadline.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/reader.h"
#include "base/str.h"
#include "disk/transport/nbd.h"

enum {
    OPTION_MAX = 16 * 1024, /* bytes of an option's reply that we care for */
    REPLIES_MAX = 4096,     /* to one option */
    NAMES_MAX = 64,         /* exports looked at for a hint */
    DEAD_PEER_MS = 60000,   /* a host that does not even acknowledge is gone */
};

struct shake {
    const struct nbd_target *t;
    struct channel *c;
    uint64_t deadline_ns;
    struct error *err;
};

struct reply {
    uint32_t type, len;
    uint8_t data[OPTION_MAX + 1]; /* a zero byte follows */
};

uint64_t nbd_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool arm(struct shake *s)
{
    uint64_t now = nbd_now_ns();

    if (now >= s->deadline_ns)
        return fail(s->err, ETIMEDOUT, "the NBD server takes too long to shake hands");
    channel_set_timeout(s->c, (unsigned)((s->deadline_ns - now) / 1000000) + 1);
    return true;
}

/* TLS 1.3: a client's certificate is refused after the handshake, when we read or write next. */
static bool tls_broken(struct shake *s)
{
    fail(s->err, EPROTO, "the server broke off TLS");
    return fail_hint(s->err, "it may want a client certificate that it trusts");
}

static bool io_failed(struct shake *s, int r, const char *what)
{
    if (r == -ETIMEDOUT)
        return fail(s->err, ETIMEDOUT, "the NBD server takes too long to shake hands");
    if (channel_is_tls(s->c))
        return tls_broken(s);
    if (r == -ECONNRESET)
        return fail(s->err, ECONNRESET, "Failed to read %s: the server closed the connection",
                    what);
    return fail(s->err, -r, "Failed to read %s: %s", what, strerror(-r));
}

/* By pieces, each within what is left of the time: a server that dribbles is no better than one
 * that is silent. */
static bool get(struct shake *s, void *buf, size_t len, const char *what)
{
    for (size_t done = 0; done < len;) {
        ssize_t n;

        if (!arm(s))
            return false;
        n = channel_read_some(s->c, (char *)buf + done, len - done);
        if (n <= 0)
            return io_failed(s, n ? (int)n : -ECONNRESET, what);
        done += (size_t)n;
    }
    return true;
}

static bool put(struct shake *s, const void *buf, size_t len)
{
    int r;

    if (!arm(s))
        return false;
    r = channel_write(s->c, buf, len);
    if (r && channel_is_tls(s->c))
        return tls_broken(s);
    return r == 0 || fail(s->err, -r, "Failed to send to the NBD server: %s", strerror(-r));
}

static bool send_option(struct shake *s, uint32_t option, const void *data, uint32_t len)
{
    uint8_t head[16];
    struct iovec iov[2] = { { head, sizeof(head) }, { (void *)(uintptr_t)data, len } };
    int r;

    st_be64(head, NBD_OPT_MAGIC);
    st_be32(head + 8, option);
    st_be32(head + 12, len);
    if (!arm(s))
        return false;
    r = channel_writev(s->c, iov, len ? 2 : 1);
    if (r && channel_is_tls(s->c))
        return tls_broken(s);
    return r == 0 || fail(s->err, -r, "Failed to send option %u: %s", option, strerror(-r));
}

static bool read_reply(struct shake *s, uint32_t option, struct reply *ret)
{
    uint8_t head[20];

    if (!get(s, head, sizeof(head), "option reply"))
        return false;
    if (ld_be64(head) != NBD_REP_MAGIC)
        return fail(s->err, EPROTO, "Unexpected option reply magic");
    if (ld_be32(head + 8) != option)
        return fail(s->err, EPROTO, "Unexpected option type %u (expected %u)", ld_be32(head + 8),
                    option);
    ret->type = ld_be32(head + 12);
    ret->len = ld_be32(head + 16);
    if (ret->len > OPTION_MAX)
        return fail(s->err, EPROTO, "option reply of %u bytes is too long", ret->len);
    ret->data[ret->len] = 0;
    return !ret->len || get(s, ret->data, ret->len, "option reply");
}

static bool is_error(const struct reply *r)
{
    return r->type & UINT32_C(1) << 31;
}

/* Says what a server's refusal means, with its own words where it has some. */
static bool refused(struct shake *s, const struct reply *r, const char *what)
{
    static const struct {
        uint32_t type;
        const char *why;
    } whys[] = {
        { (uint32_t)NBD_REP_ERR_UNSUP, "Unsupported option" },
        { (uint32_t)NBD_REP_ERR_POLICY, "Denied by server" },
        { (uint32_t)NBD_REP_ERR_INVALID, "Invalid parameters" },
        { (uint32_t)NBD_REP_ERR_PLATFORM, "Server lacks support" },
        { (uint32_t)NBD_REP_ERR_TLS_REQD, "Server requires TLS" },
        { (uint32_t)NBD_REP_ERR_UNKNOWN, "Requested export not available" },
        { (uint32_t)NBD_REP_ERR_SHUTDOWN, "Server shutting down" },
        { (uint32_t)NBD_REP_ERR_BLOCK_SIZE_REQD, "Server requires INFO_BLOCK_SIZE" },
        { (uint32_t)NBD_REP_ERR_TOO_BIG, "Request too big" },
    };
    const char *why = "Unknown error";

    for (unsigned i = 0; i < ARRAY_SIZE(whys); i++)
        why = whys[i].type == r->type ? whys[i].why : why;
    fail(s->err, r->type == (uint32_t)NBD_REP_ERR_UNKNOWN ? ENOENT : EPROTO, "%s%s%s%s%.60s%s",
         what, *what ? ": " : "", why, r->len ? " (server says: " : "",
         r->len ? (const char *)r->data : "", r->len ? ")" : "");
    if (r->type == (uint32_t)NBD_REP_ERR_TLS_REQD)
        fail_hint(s->err, "--object tls-creds-x509,id=tls0,dir=... and tls-creds=tls0");
    return false;
}

/* An option without data: 1 acknowledged, 0 refused (*ret says how), -1 error. */
static int simple_option(struct shake *s, uint32_t option, struct reply *ret)
{
    if (!send_option(s, option, NULL, 0) || !read_reply(s, option, ret))
        return -1;
    if (is_error(ret))
        return 0;
    if (ret->type == NBD_REP_ACK && !ret->len)
        return 1;
    fail(s->err, EPROTO, "Unexpected reply %#x to option %u", ret->type, option);
    return -1;
}

static bool start_tls(struct shake *s, struct reply *scratch)
{
    const char *host = s->t->tls_hostname ? s->t->tls_hostname : s->t->addr.host;
    int r = simple_option(s, NBD_OPT_STARTTLS, scratch);

    if (r < 0)
        return false;
    if (!r)
        return refused(s, scratch, "Server refuses TLS");
    return channel_start_tls(s->c, s->t->tls, false, host, s->err);
}

/* A string of 32 bits of length and then its bytes. */
static uint8_t *put_string(uint8_t *p, const char *text)
{
    size_t n = strlen(text);

    st_be32(p, (uint32_t)n);
    memcpy(p + 4, text, n);
    return p + 4 + n;
}

static bool set_context(struct shake *s, struct nbd_params *p, struct reply *scratch)
{
    uint8_t data[2 * NBD_MAX_NAME + 16], *end;

    if (strlen(s->t->context) > NBD_MAX_NAME)
        return fail(s->err, ENAMETOOLONG, "x-dirty-bitmap is too long");
    end = put_string(data, s->t->export_name);
    st_be32(end, 1);
    end = put_string(end + 4, s->t->context);
    if (!send_option(s, NBD_OPT_SET_META_CONTEXT, data, (uint32_t)(end - data)))
        return false;
    for (unsigned i = 0; i < REPLIES_MAX; i++) {
        if (!read_reply(s, NBD_OPT_SET_META_CONTEXT, scratch))
            return false;
        if (is_error(scratch)) /* an old server, or an export that GO will complain about */
            return true;
        if (scratch->type == NBD_REP_ACK)
            return true;
        if (scratch->type != NBD_REP_META_CONTEXT || scratch->len < 4)
            return fail(s->err, EPROTO, "Unexpected reply %#x to a metadata context",
                        scratch->type);
        if (!strcmp((const char *)scratch->data + 4, s->t->context)) {
            p->has_context = true;
            p->context_id = ld_be32(scratch->data);
        }
    }
    return fail(s->err, EPROTO, "the server never ends its list of metadata contexts");
}

static bool take_block_size(struct shake *s, struct nbd_params *p, struct reader *r)
{
    uint32_t preferred;

    p->min_block = rd_be32(r);
    preferred = rd_be32(r);
    p->max_block = rd_be32(r);
    if (!rd_ok(r))
        return fail(s->err, EPROTO, "the server's block sizes are cut short");
    if (!is_pow2(p->min_block) || p->min_block > 65536)
        return fail(s->err, EPROTO,
                    "server advertised minimum block size %u not a power of two up to 64 KiB",
                    p->min_block);
    if (!is_pow2(preferred) || preferred < p->min_block)
        return fail(s->err, EPROTO, "server advertised preferred block size %u is no good",
                    preferred);
    if (p->max_block < p->min_block)
        return fail(s->err, EPROTO, "server advertised maximum block size %u is less than %u",
                    p->max_block, p->min_block);
    return true;
}

static bool take_info(struct shake *s, struct nbd_params *p, const struct reply *reply,
                      bool *has_export)
{
    struct reader r = reader(reply->data, reply->len);

    switch (rd_be16(&r)) {
    case NBD_INFO_EXPORT:
        p->size = rd_be64(&r);
        p->flags = rd_be16(&r);
        *has_export = true;
        return rd_ok(&r) || fail(s->err, EPROTO, "the server's export info is cut short");
    case NBD_INFO_BLOCK_SIZE: return take_block_size(s, p, &r);
    default: return true;
    }
}

static void hint_names(struct shake *s, struct reply *scratch)
{
    char *names[NAMES_MAX + 1];
    const char *near;
    struct error ignored = { 0 }, *err = s->err;
    unsigned n = 0;

    s->err = &ignored;
    if (send_option(s, NBD_OPT_LIST, NULL, 0)) {
        while (n < NAMES_MAX && read_reply(s, NBD_OPT_LIST, scratch) &&
               scratch->type == NBD_REP_SERVER && scratch->len >= 4) {
            uint32_t len = ld_be32(scratch->data);

            names[n++] = xstrndup((char *)scratch->data + 4, MIN(len, scratch->len - 4));
        }
    }
    names[n] = NULL;
    near = nearest_name(s->t->export_name, (const char *const *)names);
    s->err = err;
    if (near)
        fail_hint(err, "did you mean '%s'?", near);
    else if (n == 1)
        fail_hint(err, "the server has '%s'", names[0]);
    else if (n)
        fail_hint(err, "the server has '%s' and %u more", names[0], n - 1);
    for (unsigned i = 0; i < n; i++)
        free(names[i]);
}

/* 1: transmission begins; 0: the server does not know NBD_OPT_GO; -1 error. */
static int go(struct shake *s, struct nbd_params *p, struct reply *scratch)
{
    uint8_t data[NBD_MAX_NAME + 16], *end = put_string(data, s->t->export_name);
    bool has_export = false;

    st_be16(end, 1);
    st_be16(end + 2, NBD_INFO_BLOCK_SIZE);
    if (!send_option(s, NBD_OPT_GO, data, (uint32_t)(end + 4 - data)))
        return -1;
    for (unsigned i = 0; i < REPLIES_MAX; i++) {
        if (!read_reply(s, NBD_OPT_GO, scratch))
            return -1;
        if (scratch->type == NBD_REP_ACK) {
            if (has_export)
                return 1;
            fail(s->err, EPROTO, "the server did not tell the export's size");
            return -1;
        }
        if (scratch->type == (uint32_t)NBD_REP_ERR_UNSUP)
            return 0;
        if (is_error(scratch)) {
            bool unknown = scratch->type == (uint32_t)NBD_REP_ERR_UNKNOWN;

            refused(s, scratch, "");
            if (unknown)
                hint_names(s, scratch);
            return -1;
        }
        if (scratch->type == NBD_REP_INFO && !take_info(s, p, scratch, &has_export))
            return -1;
    }
    fail(s->err, EPROTO, "the server never begins");
    return -1;
}

/* The end of an older handshake: size, flags, and 124 bytes for nothing. */
static bool read_export(struct shake *s, struct nbd_params *p, bool no_zeroes)
{
    uint8_t buf[10 + 124];

    if (!get(s, buf, no_zeroes ? 10 : sizeof(buf), "export length"))
        return fail_hint(s->err, "a server that ends here may not have export '%s'",
                         s->t->export_name);
    p->size = ld_be64(buf);
    p->flags = ld_be16(buf + 8);
    return true;
}

static bool negotiate(struct shake *s, struct nbd_params *p, bool no_zeroes)
{
    struct reply *scratch = xnew(struct reply);
    bool ok = !s->t->tls || start_tls(s, scratch);
    int r = 1;

    if (ok && (r = simple_option(s, NBD_OPT_STRUCTURED_REPLY, scratch)) > 0) {
        p->structured = true;
        ok = set_context(s, p, scratch);
    } else if (ok && !r && scratch->type == (uint32_t)NBD_REP_ERR_TLS_REQD) {
        ok = refused(s, scratch, "");
    }
    if (!ok || r < 0 || (r = go(s, p, scratch)) < 0) {
        free(scratch);
        return false;
    }
    free(scratch);
    if (r)
        return true;
    return send_option(s, NBD_OPT_EXPORT_NAME, s->t->export_name,
                       (uint32_t)strlen(s->t->export_name)) &&
           read_export(s, p, no_zeroes);
}

static bool new_style(struct shake *s, struct nbd_params *p)
{
    uint8_t buf[4];
    uint16_t flags;
    bool no_zeroes;

    if (!get(s, buf, 2, "server flags"))
        return false;
    flags = ld_be16(buf);
    no_zeroes = flags & NBD_FLAG_NO_ZEROES;
    st_be32(buf, flags & (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
    if (!put(s, buf, 4))
        return false;
    if (flags & NBD_FLAG_FIXED_NEWSTYLE)
        return negotiate(s, p, no_zeroes);
    if (s->t->tls)
        return fail(s->err, ENOTSUP, "Server does not support STARTTLS");
    return send_option(s, NBD_OPT_EXPORT_NAME, s->t->export_name,
                       (uint32_t)strlen(s->t->export_name)) &&
           read_export(s, p, no_zeroes);
}

static bool old_style(struct shake *s, struct nbd_params *p)
{
    uint8_t buf[8 + 4 + 124];

    if (s->t->tls)
        return fail(s->err, ENOTSUP, "Server does not support STARTTLS");
    if (s->t->export_name[0])
        return fail(s->err, ENOENT, "Server does not support non-empty export names");
    if (!get(s, buf, sizeof(buf), "export length"))
        return false;
    p->size = ld_be64(buf);
    p->flags = ld_be32(buf + 8) & 0xffff;
    return true;
}

bool nbd_handshake(const struct nbd_target *t, struct channel *c, uint64_t deadline_ns,
                   struct nbd_params *ret, struct error *err)
{
    struct shake s = { t, c, deadline_ns, err };
    struct nbd_params p = { 0 };
    uint8_t buf[16];
    uint64_t kind;
    bool ok;

    err->code = 0;
    if (strlen(t->export_name) > NBD_MAX_NAME)
        return fail(err, ENAMETOOLONG, "export name is too long");
    if (!get(&s, buf, sizeof(buf), "initial magic"))
        return false;
    if (ld_be64(buf) != NBD_MAGIC)
        return fail(err, EPROTO, "Bad initial magic received: this is no NBD server");
    kind = ld_be64(buf + 8);
    ok = kind == NBD_OPT_MAGIC        ? new_style(&s, &p)
         : kind == NBD_OLDSTYLE_MAGIC ? old_style(&s, &p)
                                      : fail(err, EPROTO, "Bad server magic received");
    if (!ok)
        return false;
    if (!(p.flags & NBD_FLAG_HAS_FLAGS))
        p.flags = 0;
    *ret = p;
    return true;
}

struct channel *nbd_connect(const struct nbd_target *t, int timeout_ms, struct nbd_params *ret,
                            struct error *err)
{
    uint64_t deadline = nbd_now_ns() + (uint64_t)timeout_ms * 1000000;
    unsigned dead_ms = DEAD_PEER_MS;
    struct channel *c;
    int on = 1, fd;

    fd = socket_connect(&t->addr, timeout_ms, err);
    if (fd < 0)
        return NULL;
    if (t->addr.kind == SOCKET_TCP) {
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
    }
    c = channel_new(fd);
    if (nbd_handshake(t, c, deadline, ret, err)) {
        channel_set_timeout(c, t->request_timeout_ms);
        return c;
    }
    channel_shutdown(c);
    channel_free(c);
    return NULL;
}
