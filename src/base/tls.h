/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Byte channels over a socket, plain or TLS (gnutls), and the objects tls-creds-x509,
 * tls-creds-psk, tls-creds-anon that hold credentials.
 */
#ifndef BASE_TLS_H
#define BASE_TLS_H

#include <sys/uio.h>

#include "base/object.h"

struct tls_creds;
struct channel;

extern const struct object_type tls_creds_x509_object, tls_creds_psk_object, tls_creds_anon_object;

/* Credentials by id, of any of the three types; server: they must have endpoint=server, else
 * endpoint=client. Borrowed: the object must stay until the channels that use it are gone. */
struct tls_creds *tls_creds_find(struct object_set *s, const char *id, bool server,
                                 struct error *err);

/* Owns fd (blocking). One thread may read while another writes. */
struct channel *channel_new(int own_fd);
void channel_free(struct channel *c); /* NULL is fine; closes */
int channel_fd(const struct channel *c);

/* Handshake. hostname: what the server's certificate must say (client), or NULL. Blocks up to 30 s.
 */
bool channel_start_tls(struct channel *c, struct tls_creds *creds, bool server,
                       const char *hostname, struct error *err) MUST_CHECK;
bool channel_is_tls(const struct channel *c);
/* Distinguished name of the peer's certificate, or NULL; free(). For tls-authz. */
char *channel_peer_name(const struct channel *c);

/* All of it or a negative errno; -ECONNRESET at end of stream within, 0 bytes read at its very
 * start: 1. */
int channel_read(struct channel *c, void *buf, size_t len) MUST_CHECK;
int channel_write(struct channel *c, const void *buf, size_t len) MUST_CHECK;
int channel_writev(struct channel *c, const struct iovec *iov, unsigned n) MUST_CHECK;
/* As many bytes as are there now, at least 1 (blocks for them); 0: end of stream. */
ssize_t channel_read_some(struct channel *c, void *buf, size_t len) MUST_CHECK;
/* Reads and writes fail with -ETIMEDOUT when nothing moves for so long; 0: never (the start). */
void channel_set_timeout(struct channel *c, unsigned ms);
/*
 * For a thread that polls: after channel_set_nonblocking() only these two (and channel_start_tls(),
 * after switching back) may be used. They move what can be moved now and return its bytes, 0 at the
 * end of the stream (reading), -EAGAIN when there is nothing to move, or another negative errno.
 */
void channel_set_nonblocking(struct channel *c, bool on);
ssize_t channel_try_readv(struct channel *c, const struct iovec *iov, unsigned n) MUST_CHECK;
ssize_t channel_try_writev(struct channel *c, const struct iovec *iov, unsigned n) MUST_CHECK;
/* What poll(2) on channel_fd() does not know: bytes to read are already in memory; a TLS record is
 * half sent, so channel_try_writev() wants to be called (n may be 0) when the socket is writable.
 */
bool channel_has_input(const struct channel *c);
bool channel_has_output(const struct channel *c);
/* The writing thread has no more to say: TLS close_notify and end of stream for the peer. */
void channel_end(struct channel *c);
/* Ends both directions: a reader in another thread returns. Any thread. */
void channel_shutdown(struct channel *c);

#endif
