/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of NBD exports: URIs (doc/uri.md of the NBD project) and QEMU's older nbd:HOST:PORT. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/transport/nbd.h"

static const char usage[] = "write nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH";

static int hex_value(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                        : -1;
}

/* n characters of text without their %xx; NULL when one is wrong or is the zero byte. */
static char *decode(const char *text, size_t n)
{
    char *out = xcalloc(n + 1, 1), *d = out;

    for (size_t i = 0; i < n; i++) {
        if (text[i] != '%') {
            *d++ = text[i];
            continue;
        }
        if (i + 2 >= n || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0 ||
            !(*d++ = (char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2])))) {
            free(out);
            return NULL;
        }
        i += 2;
    }
    return out;
}

static bool bad_name(const char *name, const char *why, struct error *err)
{
    fail(err, EINVAL, "'%.80s': %s", name, why);
    return fail_hint(err, "%s", usage);
}

/* Adds text[0..n), decoded. */
static bool add_decoded(struct optlist *opts, const char *key, const char *text, size_t n,
                        const char *name, struct error *err)
{
    AUTO_FREE char *value = decode(text, n);

    if (!value)
        return bad_name(name, "a '%' is not followed by two hexadecimal digits", err);
    optlist_add(opts, key, value);
    return true;
}

/* "HOST:PORT", "[::1]:PORT", "HOST" */
static bool split_host(const char *text, size_t n, const char **host_end, const char **port,
                       bool *bracket)
{
    const char *end = text + n;

    *bracket = n && *text == '[';
    if (*bracket) {
        *host_end = memchr(text, ']', n);
        if (!*host_end)
            return false;
        *port = *host_end + 1 == end ? NULL : *host_end + 2;
        return !*port || (*host_end)[1] == ':';
    }
    *host_end = memchr(text, ':', n);
    *port = *host_end ? *host_end + 1 : NULL;
    if (!*host_end)
        *host_end = end;
    return true;
}

static bool add_host(struct optlist *opts, const char *text, size_t n, const char *name,
                     struct error *err)
{
    const char *host_end, *port, *end = text + n;
    bool bracket;

    if (!split_host(text, n, &host_end, &port, &bracket))
        return bad_name(name, "the host is not understood", err);
    if (bracket)
        text++;
    if (host_end == text)
        optlist_add(opts, "host", "localhost");
    else if (!add_decoded(opts, "host", text, host_end - text, name, err))
        return false;
    return !port || port == end || add_decoded(opts, "port", port, end - port, name, err);
}

/* "socket=PATH&tls-hostname=NAME" */
static bool add_query(struct optlist *opts, const char *query, bool is_unix, const char *name,
                      struct error *err)
{
    bool has_socket = false;

    while (query && *query) {
        size_t n = strcspn(query, "&");
        const char *value = memchr(query, '=', n);
        size_t key_len = value ? (size_t)(value - query) : n;

        value = value ? value + 1 : query + n;
        if (key_len == 6 && !strncmp(query, "socket", 6) && is_unix) {
            has_socket = true;
            if (!add_decoded(opts, "path", value, query + n - value, name, err))
                return false;
        } else if (key_len == 12 && !strncmp(query, "tls-hostname", 12)) {
            if (!add_decoded(opts, "tls-hostname", value, query + n - value, name, err))
                return false;
        } else {
            AUTO_FREE char *key = xstrndup(query, key_len);
            AUTO_FREE char *why = xasprintf("'%s' is not known in an NBD URI", key);

            return bad_name(name, why, err);
        }
        query += n + (query[n] == '&');
    }
    return has_socket || !is_unix || bad_name(name, "socket=PATH is missing", err);
}

static bool parse_uri(const char *name, const char *rest, bool is_unix, bool tls,
                      struct optlist *opts, struct error *err)
{
    size_t authority = strcspn(rest, "/?");
    const char *path = rest + authority, *query = strchr(path, '?');
    size_t path_len = query ? (size_t)(query - path) : strlen(path);

    if (memchr(rest, '@', authority))
        return bad_name(name, "NBD has no user names", err);
    if (is_unix && authority)
        return bad_name(name, "a Unix socket has no host", err);
    if (!is_unix && !add_host(opts, rest, authority, name, err))
        return false;
    if (tls)
        optlist_add(opts, "tls", "on");
    if (path_len > 1 && !add_decoded(opts, "export", path + 1, path_len - 1, name, err))
        return false;
    return add_query(opts, query ? query + 1 : NULL, is_unix, name, err);
}

/* "HOST:PORT:exportname=NAME" and "unix:PATH:exportname=NAME": the export is all that follows. */
static bool parse_legacy(const char *name, struct optlist *opts, struct error *err)
{
    static const char export_key[] = ":exportname=";
    const char *rest = name + strlen("nbd:"), *path = str_after(rest, "unix:");
    const char *export_name = strstr(rest, export_key);
    const char *end = export_name ? export_name : rest + strlen(rest);
    const char *host_end, *port;
    bool bracket;

    if (export_name)
        optlist_add(opts, "export", export_name + strlen(export_key));
    if (path) {
        AUTO_FREE char *text = xstrndup(path, end - path);

        optlist_add(opts, "path", text);
        return *text || bad_name(name, "the socket's path is missing", err);
    }
    if (!split_host(rest, end - rest, &host_end, &port, &bracket) || !port || port == end)
        return bad_name(name, "host and port are missing", err);
    AUTO_FREE char *host = xstrndup(rest + bracket, host_end - rest - bracket);
    AUTO_FREE char *port_text = xstrndup(port, end - port);

    optlist_add(opts, "host", *host ? host : "localhost");
    optlist_add(opts, "port", port_text);
    return true;
}

bool nbd_parse_name(const char *name, struct optlist *opts, struct error *err)
{
    static const struct {
        const char *start;
        bool is_unix, tls;
    } schemes[] = {
        { "nbd://", false, false },     { "nbd+tcp://", false, false },
        { "nbds://", false, true },     { "nbds+tcp://", false, true },
        { "nbd+unix://", true, false }, { "nbds+unix://", true, true },
    };

    for (unsigned i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const char *rest = str_after(name, schemes[i].start);

        if (rest)
            return parse_uri(name, rest, schemes[i].is_unix, schemes[i].tls, opts, err);
    }
    if (str_after(name, "nbd:"))
        return parse_legacy(name, opts, err);
    return bad_name(name, "not an NBD name", err);
}
