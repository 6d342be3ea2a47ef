/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream with a small read-ahead buffer: one system call brings a message's head together with
 * what follows it; long bodies go straight to their place.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/tls_creds.h"

enum { AHEAD = 16384, RECORD = 16384, HANDSHAKE_MS = 30000, END_MS = 500 };

struct channel {
    int fd;
    gnutls_session_t tls; /* NULL: plain */
    bool ended;           /* writing thread */
    bool half_sent;       /* writing thread: gnutls holds a record that did not fit the socket */
    _Atomic(bool) broken; /* no goodbye: it would not arrive, or not be understood */
    uint32_t head, tail;  /* reading thread: ahead[head..tail) was read, not yet taken */
    uint8_t ahead[AHEAD];
};

struct channel *channel_new(int own_fd)
{
    struct channel *c = xnew(struct channel);

    c->fd = own_fd;
    return c;
}

void channel_end(struct channel *c)
{
    if (c->ended)
        return;
    c->ended = true;
    if (c->tls && !c->broken) {
        channel_set_timeout(c, END_MS); /* a peer that does not read must not keep us */
        (void)gnutls_bye(c->tls, GNUTLS_SHUT_WR);
    }
    (void)shutdown(c->fd, SHUT_WR);
}

void channel_free(struct channel *c)
{
    if (!c)
        return;
    channel_end(c);
    if (c->tls)
        gnutls_deinit(c->tls);
    if (c->fd >= 0)
        close(c->fd);
    explicit_bzero(c->ahead, sizeof(c->ahead));
    free(c);
}

int channel_fd(const struct channel *c)
{
    return c->fd;
}

bool channel_is_tls(const struct channel *c)
{
    return c->tls != NULL;
}

void channel_set_timeout(struct channel *c, unsigned ms)
{
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

void channel_shutdown(struct channel *c)
{
    c->broken = true;
    (void)shutdown(c->fd, SHUT_RDWR);
}

static bool verify_peer(gnutls_session_t tls, const char *hostname, struct error *err)
{
    unsigned status = 0;
    gnutls_datum_t why = { 0 };
    int r = gnutls_certificate_verify_peers3(tls, hostname, &status);

    if (r == GNUTLS_E_NO_CERTIFICATE_FOUND)
        return fail(err, EACCES, "TLS handshake failed: the peer sent no certificate");
    if (r < 0)
        return fail(err, EACCES, "Verify failed: %s", gnutls_strerror(r));
    if (!status)
        return true;
    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0) < 0)
        why.data = NULL;
    fail(err, EACCES, "Certificate does not pass: %s",
         why.data ? (const char *)why.data : "not trusted");
    gnutls_free(why.data);
    if (status & GNUTLS_CERT_UNEXPECTED_OWNER)
        fail_hint(err, "it is not for '%s'; tls-hostname says what to expect", hostname);
    return false;
}

static bool is_dns_name(const char *host)
{
    return host && host[0] && !strchr(host, ':') && strspn(host, "0123456789.") != strlen(host);
}

static bool shake_hands(struct channel *c, struct tls_creds *creds, const char *hostname,
                        struct error *err)
{
    int r;

    gnutls_transport_set_int(c->tls, c->fd);
    gnutls_handshake_set_timeout(c->tls, HANDSHAKE_MS);
    if (!tls_creds_apply(creds, c->tls, err))
        return false;
    if (!creds->is_server && is_dns_name(hostname))
        (void)gnutls_server_name_set(c->tls, GNUTLS_NAME_DNS, hostname, strlen(hostname));
    do
        r = gnutls_handshake(c->tls);
    while (r < 0 && !gnutls_error_is_fatal(r) && r != GNUTLS_E_AGAIN);
    if (r == GNUTLS_E_FATAL_ALERT_RECEIVED)
        return fail(err, EPROTO, "TLS handshake failed: the peer says: %s",
                    gnutls_alert_get_name(gnutls_alert_get(c->tls)));
    if (r == GNUTLS_E_TIMEDOUT || r == GNUTLS_E_AGAIN)
        return fail(err, ETIMEDOUT, "TLS handshake failed: the peer does not answer");
    if (r < 0)
        return fail(err, EPROTO, "TLS handshake failed: %s", gnutls_strerror(r));
    if (creds->kind != TLS_X509 || !creds->verify_peer)
        return true;
    return verify_peer(c->tls, creds->is_server ? NULL : hostname, err);
}

bool channel_start_tls(struct channel *c, struct tls_creds *creds, bool server,
                       const char *hostname, struct error *err)
{
    unsigned flags = (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NO_SIGNAL;
    int r;

    if (c->head != c->tail)
        return fail(err, EPROTO, "the peer sent data before the TLS handshake");
    if (creds->is_server != server)
        return fail(err, EINVAL, "TLS credentials are for the other endpoint");
    if ((r = gnutls_init(&c->tls, flags)) < 0) {
        c->tls = NULL;
        return fail(err, ENOMEM, "cannot start TLS: %s", gnutls_strerror(r));
    }
    if (shake_hands(c, creds, hostname, err))
        return true;
    c->broken = true;
    return false;
}

char *channel_peer_name(const struct channel *c)
{
    unsigned n = 0;
    const gnutls_datum_t *list = c->tls ? gnutls_certificate_get_peers(c->tls, &n) : NULL;
    gnutls_x509_crt_t cert;
    gnutls_datum_t dn = { 0 };
    char *name = NULL;

    if (!list || !n || gnutls_x509_crt_init(&cert) < 0)
        return NULL;
    if (gnutls_x509_crt_import(cert, &list[0], GNUTLS_X509_FMT_DER) >= 0 &&
        gnutls_x509_crt_get_dn3(cert, &dn, 0) >= 0) {
        name = xstrndup((const char *)dn.data, dn.size);
        gnutls_free(dn.data);
    }
    gnutls_x509_crt_deinit(cert);
    return name;
}

static int tls_errno(struct channel *c, ssize_t r)
{
    if (r == GNUTLS_E_AGAIN)
        return -ETIMEDOUT;
    c->broken = true;
    return r == GNUTLS_E_PREMATURE_TERMINATION  ? -ECONNRESET
           : r == GNUTLS_E_FATAL_ALERT_RECEIVED ? -EPROTO
                                                : -EIO;
}

/* Bytes into buf and, behind it, into the read-ahead buffer (plain sockets only, when ahead):
 * their number, 0 at the end of the stream, or -errno. */
static ssize_t receive(struct channel *c, void *buf, size_t len, bool ahead)
{
    struct iovec iov[2] = { { buf, len }, { c->ahead, sizeof(c->ahead) } };
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = ahead ? 2 : 1 };
    ssize_t r;

    if (c->tls) {
        do
            r = gnutls_record_recv(c->tls, buf, len);
        while (r == GNUTLS_E_INTERRUPTED || r == GNUTLS_E_WARNING_ALERT_RECEIVED);
        if (r == GNUTLS_E_PREMATURE_TERMINATION) /* the stream ends without close_notify */
            c->broken = true;
        return r < 0 ? tls_errno(c, r) : r;
    }
    do
        r = recvmsg(c->fd, &m, 0);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    return r;
}

static size_t take_ahead(struct channel *c, void *buf, size_t len)
{
    size_t n = MIN(len, (size_t)(c->tail - c->head));

    memcpy(buf, c->ahead + c->head, n);
    c->head += (uint32_t)n;
    return n;
}

int channel_read(struct channel *c, void *buf, size_t len)
{
    size_t done = take_ahead(c, buf, len);
    ssize_t r;

    while (done < len) {
        /* TLS: gnutls holds the rest of a record, nothing is gained by reading ahead */
        r = receive(c, (char *)buf + done, len - done, true);
        if (r < 0)
            return (int)r;
        if (r == 0)
            return done ? -ECONNRESET : 1;
        c->head = 0;
        c->tail = (size_t)r > len - done ? (uint32_t)((size_t)r - (len - done)) : 0;
        done += (size_t)r - c->tail;
    }
    return 0;
}

ssize_t channel_read_some(struct channel *c, void *buf, size_t len)
{
    if (c->head != c->tail)
        return (ssize_t)take_ahead(c, buf, len);
    return receive(c, buf, len, false);
}

static int tls_send(struct channel *c, const void *buf, size_t len)
{
    ssize_t r;

    for (size_t done = 0; done < len; done += (size_t)r) {
        do
            r = gnutls_record_send(c->tls, (const char *)buf + done, len - done);
        while (r == GNUTLS_E_INTERRUPTED);
        if (r < 0) {
            c->broken = true; /* a record may be half sent */
            return r == GNUTLS_E_AGAIN ? -ETIMEDOUT : -EIO;
        }
    }
    return 0;
}

/* A record costs a system call at each end, so small pieces are gathered into one. */
static int tls_writev(struct channel *c, const struct iovec *iov, unsigned n)
{
    uint8_t stage[RECORD];
    size_t staged = 0;
    int r = 0;

    for (unsigned i = 0; !r && i < n; i++) {
        const uint8_t *p = iov[i].iov_base;
        size_t len = iov[i].iov_len, k = MIN(len, sizeof(stage) - staged);

        if (staged || len < sizeof(stage)) {
            memcpy(stage + staged, p, k);
            staged += k;
            p += k;
            len -= k;
        }
        if (staged == sizeof(stage) || len) {
            r = tls_send(c, stage, staged);
            staged = 0;
        }
        if (!r && len)
            r = tls_send(c, p, len);
    }
    return r ? r : tls_send(c, stage, staged);
}

int channel_writev(struct channel *c, const struct iovec *iov, unsigned n)
{
    struct iovec part[64];
    size_t skip = 0; /* bytes of iov[0] that are out */

    if (c->tls)
        return tls_writev(c, iov, n);
    while (n) {
        unsigned k = MIN(n, (unsigned)ARRAY_SIZE(part));
        struct msghdr m = { .msg_iov = part, .msg_iovlen = k };
        ssize_t r;

        memcpy(part, iov, k * sizeof(*iov));
        part[0].iov_base = (char *)part[0].iov_base + skip;
        part[0].iov_len -= skip;
        do
            r = sendmsg(c->fd, &m, MSG_NOSIGNAL);
        while (r < 0 && errno == EINTR);
        if (r < 0) {
            c->broken = true;
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        }
        r += (ssize_t)skip;
        while (n && (size_t)r >= iov[0].iov_len) {
            r -= (ssize_t)iov[0].iov_len;
            iov++;
            n--;
        }
        skip = (size_t)r;
    }
    return 0;
}

int channel_write(struct channel *c, const void *buf, size_t len)
{
    struct iovec iov = { (void *)(uintptr_t)buf, len };

    return channel_writev(c, &iov, 1);
}

/* --- for threads that poll --- */

void channel_set_nonblocking(struct channel *c, bool on)
{
    int flags = fcntl(c->fd, F_GETFL);

    if (flags >= 0)
        (void)fcntl(c->fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

bool channel_has_input(const struct channel *c)
{
    return c->head != c->tail || (c->tls && gnutls_record_check_pending(c->tls));
}

bool channel_has_output(const struct channel *c)
{
    return c->half_sent;
}

static ssize_t tls_try_read(struct channel *c, const struct iovec *iov)
{
    ssize_t r;

    do
        r = gnutls_record_recv(c->tls, iov->iov_base, iov->iov_len);
    while (r == GNUTLS_E_INTERRUPTED || r == GNUTLS_E_WARNING_ALERT_RECEIVED);
    if (r == GNUTLS_E_AGAIN)
        return -EAGAIN;
    return r < 0 ? tls_errno(c, r) : r;
}

ssize_t channel_try_readv(struct channel *c, const struct iovec *iov, unsigned n)
{
    struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
    ssize_t r;

    while (n && !iov->iov_len) {
        iov++;
        n--;
    }
    if (!n)
        return -EAGAIN;
    if (c->head != c->tail)
        return (ssize_t)take_ahead(c, iov->iov_base, iov->iov_len);
    if (c->tls)
        return tls_try_read(c, iov);
    do
        r = recvmsg(c->fd, &m, MSG_DONTWAIT);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

/* One record of at most RECORD bytes. What gnutls took counts as sent, though the socket may have
 * no room for it yet. */
static ssize_t tls_try_write(struct channel *c, const struct iovec *iov, unsigned n)
{
    uint8_t stage[RECORD];
    const uint8_t *p = n ? iov[0].iov_base : NULL;
    size_t len = n ? MIN(iov[0].iov_len, (size_t)RECORD) : 0;
    ssize_t r;

    if (c->half_sent) {
        do
            r = gnutls_record_send(c->tls, NULL, 0);
        while (r == GNUTLS_E_INTERRUPTED);
        if (r < 0)
            return r == GNUTLS_E_AGAIN ? -EAGAIN : tls_errno(c, r);
        c->half_sent = false;
    }
    if (n > 1 && len < RECORD) {
        p = stage;
        len = 0;
        for (unsigned i = 0; i < n && len < RECORD; i++) {
            size_t k = MIN(iov[i].iov_len, RECORD - len);

            memcpy(stage + len, iov[i].iov_base, k);
            len += k;
        }
    }
    if (!len)
        return 0;
    do
        r = gnutls_record_send(c->tls, p, len);
    while (r == GNUTLS_E_INTERRUPTED);
    c->half_sent = r == GNUTLS_E_AGAIN;
    if (r < 0 && !c->half_sent)
        return tls_errno(c, r);
    return c->half_sent ? (ssize_t)len : r;
}

ssize_t channel_try_writev(struct channel *c, const struct iovec *iov, unsigned n)
{
    struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
    ssize_t r;

    if (c->tls)
        return tls_try_write(c, iov, n);
    do
        r = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}
