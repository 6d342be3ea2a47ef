/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The three kinds of TLS credentials, as channel.c uses them. Constant after complete(). */
#ifndef BASE_TLS_CREDS_H
#define BASE_TLS_CREDS_H

#include <gnutls/gnutls.h>

#include "base/tls.h"

enum tls_kind { TLS_X509, TLS_PSK, TLS_ANON };

struct tls_creds {
    /* properties */
    char *dir, *endpoint, *priority, *username, *passwordid;
    bool verify_peer, sanity_check;

    enum tls_kind kind;
    bool is_server;
    union {
        gnutls_certificate_credentials_t x509;
        gnutls_psk_client_credentials_t psk_client;
        gnutls_psk_server_credentials_t psk_server;
        gnutls_anon_client_credentials_t anon_client;
        gnutls_anon_server_credentials_t anon_server;
        void *any; /* NULL while not made */
    };
};

/* Puts credentials and priorities into a session. */
bool tls_creds_apply(struct tls_creds *c, gnutls_session_t session, struct error *err) MUST_CHECK;

#endif
