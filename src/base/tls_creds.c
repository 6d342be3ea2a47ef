/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/tls_creds.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/secret.h"

enum { MAX_CERTS = 16, DH_BITS = 2048 };

static bool tls_failed(struct error *err, int r, const char *what)
{
    return fail(err, EINVAL, "%s: %s", what, gnutls_strerror(r));
}

static bool take_endpoint(struct tls_creds *c, struct error *err)
{
    if (!c->endpoint || !strcmp(c->endpoint, "client"))
        return true;
    c->is_server = !strcmp(c->endpoint, "server");
    return c->is_server ||
           fail(err, EINVAL, "endpoint '%s' is neither client nor server", c->endpoint);
}

/* DIR/NAME when it can be read; NULL with err when it must be there. err NULL: it need not. */
static char *file_in(const struct tls_creds *c, const char *name, struct error *err)
{
    char *path;

    if (!c->dir) {
        if (err && !fail(err, EINVAL, "Missing 'dir' property value"))
            fail_hint(err, "the folder that holds %s", name);
        return NULL;
    }
    path = xasprintf("%s/%s", c->dir, name);
    if (access(path, R_OK) == 0)
        return path;
    if (err)
        fail(err, errno, "Unable to access credentials %s: %s", path, strerror(errno));
    free(path);
    return NULL;
}

static bool check_cert(gnutls_x509_crt_t cert, const char *path, bool is_ca, bool is_server,
                       struct error *err)
{
    time_t now = time(NULL);
    unsigned critical, usage = 0;
    int ca = gnutls_x509_crt_get_basic_constraints(cert, &critical, NULL, NULL);

    if (gnutls_x509_crt_get_expiration_time(cert) < now)
        return fail(err, EINVAL, "The certificate %s has expired", path);
    if (gnutls_x509_crt_get_activation_time(cert) > now)
        return fail(err, EINVAL, "The certificate %s is not yet active", path);
    if (is_ca && ca == 0)
        return fail(err, EINVAL, "The certificate %s basic constraints do not show a CA", path);
    if (!is_ca && ca > 0)
        return fail(err, EINVAL,
                    "The certificate %s basic constraints show a CA, but we need one "
                    "for a %s",
                    path, is_server ? "server" : "client");
    if (gnutls_x509_crt_get_key_usage(cert, &usage, &critical) == 0 && critical) {
        if (is_ca && !(usage & GNUTLS_KEY_KEY_CERT_SIGN))
            return fail(err, EINVAL, "Certificate %s usage does not permit certificate signing",
                        path);
        if (!is_ca && !(usage & GNUTLS_KEY_DIGITAL_SIGNATURE))
            return fail(err, EINVAL, "Certificate %s usage does not permit digital signature",
                        path);
    }
    return true;
}

/* A mistake here would show at the peer's end only, as a failed handshake. */
static bool sanity_check(const char *path, bool is_ca, bool is_server, struct error *err)
{
    gnutls_x509_crt_t certs[MAX_CERTS];
    unsigned n = MAX_CERTS;
    gnutls_datum_t data;
    bool ok = true;
    int r = gnutls_load_file(path, &data);

    if (r < 0)
        return tls_failed(err, r, path);
    r = gnutls_x509_crt_list_import(certs, &n, &data, GNUTLS_X509_FMT_PEM, 0);
    gnutls_free(data.data);
    if (r < 0)
        return r == GNUTLS_E_SHORT_MEMORY_BUFFER || tls_failed(err, r, path);
    for (unsigned i = 0; i < n; i++) {
        if (ok && (is_ca || i == 0)) /* behind the first come those of its issuers */
            ok = check_cert(certs[i], path, is_ca, is_server, err);
        gnutls_x509_crt_deinit(certs[i]);
    }
    return ok;
}

static bool load_key_pair(struct tls_creds *c, struct object_set *set, const char *cert,
                          const char *key, struct error *err)
{
    char *password = NULL;
    size_t len = 0;
    int r;

    if (c->passwordid && !secret_get(set, c->passwordid, &password, &len, err))
        return false;
    r = gnutls_certificate_set_x509_key_file2(c->x509, cert, key, GNUTLS_X509_FMT_PEM, password, 0);
    secret_free(password, len);
    if (r < 0)
        return fail(err, EINVAL, "Cannot load certificate '%s' & key '%s': %s", cert, key,
                    gnutls_strerror(r));
    return true;
}

static bool load_x509(struct tls_creds *c, struct object_set *set, struct error *err)
{
    bool srv = c->is_server;
    AUTO_FREE char *ca = file_in(c, "ca-cert.pem", err);
    AUTO_FREE char *crl = file_in(c, "ca-crl.pem", NULL);
    AUTO_FREE char *cert = NULL, *key = NULL;
    int r;

    if (!ca)
        return false;
    if (!(cert = file_in(c, srv ? "server-cert.pem" : "client-cert.pem", srv ? err : NULL)) && srv)
        return false;
    if (!(key = file_in(c, srv ? "server-key.pem" : "client-key.pem", cert ? err : NULL)) && cert)
        return false;
    if (c->sanity_check &&
        (!sanity_check(ca, true, srv, err) || (cert && !sanity_check(cert, false, srv, err))))
        return false;
    if ((r = gnutls_certificate_allocate_credentials(&c->x509)) < 0)
        return tls_failed(err, r, "Cannot allocate credentials");
    if ((r = gnutls_certificate_set_x509_trust_file(c->x509, ca, GNUTLS_X509_FMT_PEM)) < 0)
        return tls_failed(err, r, ca);
    if (cert && !load_key_pair(c, set, cert, key, err))
        return false;
    if (crl && (r = gnutls_certificate_set_x509_crl_file(c->x509, crl, GNUTLS_X509_FMT_PEM)) < 0)
        return tls_failed(err, r, crl);
    if (srv)
        (void)gnutls_certificate_set_known_dh_params(c->x509, GNUTLS_SEC_PARAM_MEDIUM);
    return true;
}

static bool x509_complete(void *obj, struct object_set *set, struct error *err)
{
    struct tls_creds *c = obj;

    c->kind = TLS_X509;
    return take_endpoint(c, err) && load_x509(c, set, err);
}

static void x509_finish(void *obj)
{
    struct tls_creds *c = obj;

    if (c->any)
        gnutls_certificate_free_credentials(c->x509);
}

/* The hexadecimal key of "user:key" in keys.psk. */
static bool psk_lookup(const char *path, const char *user, char **ret, struct error *err)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0, n = strlen(user);
    ssize_t len;
    bool found = false;

    if (!f)
        return fail(err, errno, "Unable to access credentials %s: %s", path, strerror(errno));
    while (!found && (len = getline(&line, &cap, f)) > 0) {
        while (len && strchr("\r\n", line[len - 1]))
            line[--len] = 0;
        found = !strncmp(line, user, n) && line[n] == ':';
        if (found)
            *ret = xstrdup(line + n + 1);
    }
    if (line)
        explicit_bzero(line, cap);
    free(line);
    fclose(f);
    if (found)
        return true;
    fail(err, ENOENT, "Username %s not found in %s", user, path);
    return fail_hint(err, "psktool -u %s -p %s makes a key", user, path);
}

static bool load_psk_client(struct tls_creds *c, const char *path, struct error *err)
{
    const char *user = c->username ? c->username : "qemu";
    AUTO_FREE char *key = NULL;
    gnutls_datum_t datum;
    int r;

    if (!psk_lookup(path, user, &key, err))
        return false;
    datum = (gnutls_datum_t){ (unsigned char *)key, (unsigned)strlen(key) };
    r = gnutls_psk_allocate_client_credentials(&c->psk_client);
    if (r >= 0)
        r = gnutls_psk_set_client_credentials(c->psk_client, user, &datum, GNUTLS_PSK_KEY_HEX);
    explicit_bzero(key, datum.size);
    return r >= 0 || tls_failed(err, r, "Cannot set client credentials");
}

static bool psk_complete(void *obj, struct object_set *set, struct error *err)
{
    struct tls_creds *c = obj;
    AUTO_FREE char *path = NULL;
    int r;

    (void)set;
    c->kind = TLS_PSK;
    if (!take_endpoint(c, err) || !(path = file_in(c, "keys.psk", err)))
        return false;
    if (!c->is_server)
        return load_psk_client(c, path, err);
    if (c->username)
        return fail(err, EINVAL, "username should not be set when endpoint=server");
    r = gnutls_psk_allocate_server_credentials(&c->psk_server);
    if (r >= 0)
        r = gnutls_psk_set_server_credentials_file(c->psk_server, path);
    if (r >= 0)
        r = gnutls_psk_set_server_known_dh_params(c->psk_server, GNUTLS_SEC_PARAM_MEDIUM);
    return r >= 0 || tls_failed(err, r, path);
}

static void psk_finish(void *obj)
{
    struct tls_creds *c = obj;

    if (c->any && c->is_server)
        gnutls_psk_free_server_credentials(c->psk_server);
    else if (c->any)
        gnutls_psk_free_client_credentials(c->psk_client);
}

static bool anon_complete(void *obj, struct object_set *set, struct error *err)
{
    struct tls_creds *c = obj;
    int r;

    (void)set;
    c->kind = TLS_ANON;
    if (!take_endpoint(c, err))
        return false;
    if (!c->is_server)
        r = gnutls_anon_allocate_client_credentials(&c->anon_client);
    else if ((r = gnutls_anon_allocate_server_credentials(&c->anon_server)) >= 0)
        r = gnutls_anon_set_server_known_dh_params(c->anon_server, GNUTLS_SEC_PARAM_MEDIUM);
    return r >= 0 || tls_failed(err, r, "Cannot allocate credentials");
}

static void anon_finish(void *obj)
{
    struct tls_creds *c = obj;

    if (c->any && c->is_server)
        gnutls_anon_free_server_credentials(c->anon_server);
    else if (c->any)
        gnutls_anon_free_client_credentials(c->anon_client);
}

bool tls_creds_apply(struct tls_creds *c, gnutls_session_t session, struct error *err)
{
    static const struct {
        const char *extra; /* key exchanges that the system's priorities leave out */
        gnutls_credentials_type_t type;
    } kinds[] = {
        [TLS_X509] = { "", GNUTLS_CRD_CERTIFICATE },
        [TLS_PSK] = { "+ECDHE-PSK:+DHE-PSK:+PSK", GNUTLS_CRD_PSK },
        [TLS_ANON] = { "+ANON-ECDH:+ANON-DH", GNUTLS_CRD_ANON },
    };
    const char *base = c->priority ? c->priority : "NORMAL";
    AUTO_FREE char *text =
        xasprintf("%s%s%s", base, kinds[c->kind].extra[0] ? ":" : "", kinds[c->kind].extra);
    int r = gnutls_priority_set_direct(session, text, NULL);

    if (r < 0)
        return fail(err, EINVAL, "Unable to set TLS session priority %s: %s", text,
                    gnutls_strerror(r));
    if ((r = gnutls_credentials_set(session, kinds[c->kind].type, c->any)) < 0)
        return tls_failed(err, r, "Cannot set session credentials");
    if (c->kind == TLS_X509 && c->is_server)
        gnutls_certificate_server_set_request(session, c->verify_peer ? GNUTLS_CERT_REQUIRE
                                                                      : GNUTLS_CERT_IGNORE);
    gnutls_dh_set_prime_bits(session, DH_BITS);
    return true;
}

struct tls_creds *tls_creds_find(struct object_set *s, const char *id, bool server,
                                 struct error *err)
{
    static const struct object_type *const types[] = { &tls_creds_x509_object,
                                                       &tls_creds_psk_object,
                                                       &tls_creds_anon_object };
    const struct object_type *type;
    struct tls_creds *c = object_find_any(s, id, types, ARRAY_SIZE(types), &type, err);

    if (!c || c->is_server == server)
        return c;
    fail(err, EINVAL, "Expecting TLS credentials with a %s endpoint, '%s' is for a %s",
         server ? "server" : "client", id, c->is_server ? "server" : "client");
    fail_hint(err, "--object %s,id=%s,endpoint=%s,...", type->name, id,
              server ? "server" : "client");
    return NULL;
}

static void creds_init(void *obj)
{
    struct tls_creds *c = obj;

    c->verify_peer = c->sanity_check = true;
}

#define ENDPOINT FIELD(struct tls_creds, endpoint, .doc = "client (default) or server")
#define PRIORITY FIELD(struct tls_creds, priority, .doc = "gnutls priority string, default NORMAL")
#define VERIFY_PEER                                                                                \
    FIELD(struct tls_creds, verify_peer, .doc = "check the peer's certificate, default on")

const struct object_type tls_creds_x509_object = {
    .name = "tls-creds-x509",
    .doc = "TLS with certificates",
    .size = sizeof(struct tls_creds),
    .props = FIELDS(
        FIELD(struct tls_creds, dir, .doc = "folder of ca-cert.pem, server-cert.pem and the like"),
        ENDPOINT, FIELD(struct tls_creds, passwordid, .doc = "secret that unlocks the private key"),
        PRIORITY,
        FIELD(struct tls_creds, sanity_check, .doc = "look at our own certificates first"),
        VERIFY_PEER),
    .init = creds_init,
    .complete = x509_complete,
    .finish = x509_finish,
};

const struct object_type tls_creds_psk_object = {
    .name = "tls-creds-psk",
    .doc = "TLS with a shared key",
    .size = sizeof(struct tls_creds),
    .props = FIELDS(FIELD(struct tls_creds, dir, .doc = "folder of keys.psk"), ENDPOINT, PRIORITY,
                    FIELD(struct tls_creds, username, .doc = "client's name, default qemu"),
                    VERIFY_PEER),
    .init = creds_init,
    .complete = psk_complete,
    .finish = psk_finish,
};

const struct object_type tls_creds_anon_object = {
    .name = "tls-creds-anon",
    .doc = "TLS without authentication: no protection against a man in the middle",
    .size = sizeof(struct tls_creds),
    .props =
        FIELDS(FIELD(struct tls_creds, dir, .doc = "not used"), ENDPOINT, PRIORITY, VERIFY_PEER),
    .init = creds_init,
    .complete = anon_complete,
    .finish = anon_finish,
};
