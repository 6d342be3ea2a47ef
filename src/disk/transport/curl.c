/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images on web and FTP servers, read only, by ranges. Small reads go through a few blocks of
 * `readahead` bytes kept in memory; long ones are fetched straight to their place. Each transfer
 * has a handle of libcurl, and so a connection, from a small pool. The library is loaded when the
 * first such image is opened: with all it needs it would double the time any program takes to
 * start.
 */
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/secret.h"
#include "base/str.h"
#include "disk/node.h"

enum {
    HANDLES = 8, /* transfers at a time; more wait */
    BLOCKS = 16,
    DEFAULT_READAHEAD = 256 << 10,
    MAX_READAHEAD = 16 << 20,
    DEFAULT_TIMEOUT_S = 5,
};

struct block {
    uint64_t index; /* of readahead bytes */
    uint64_t used;  /* clock of the last use */
    unsigned users; /* readers of data, and its loader */
    bool valid, loading;
    uint8_t *data;
};

/* What is used of libcurl. */
struct curl_api {
    void *lib;
    CURLcode (*global_init)(long flags);
    void (*global_cleanup)(void);
    CURL *(*easy_init)(void);
    void (*easy_cleanup)(CURL *h);
    CURLcode (*easy_setopt)(CURL *h, CURLoption option, ...);
    CURLcode (*easy_getinfo)(CURL *h, CURLINFO info, ...);
    CURLcode (*easy_perform)(CURL *h);
    const char *(*easy_strerror)(CURLcode e);
};

struct web {
    /* options */
    char *url, *cookie, *cookie_secret, *username, *password_secret, *proxy_username,
        *proxy_password_secret;
    uint64_t readahead;
    uint32_t timeout;
    char *sslverify;

    char *password, *proxy_password, *secret_cookie;
    bool verify, is_http, inited;
    struct curl_api curl;
    uint64_t size; /* bytes of the file; the disk is that in whole sectors */
    pthread_mutex_t lock;
    pthread_cond_t changed;       /* a handle is free, or a block's state changed */
    CURL *idle[HANDLES];          /* GUARDED_BY(lock) */
    unsigned idle_count, handles; /* GUARDED_BY(lock) */
    struct block blocks[BLOCKS]; /* GUARDED_BY(lock); data: its loader's or, when valid, constant */
    uint64_t clock;
};

/* Where the bytes of one transfer go. */
struct transfer {
    const struct web *w;
    CURL *h;
    struct disk_vec v;
    size_t done;
    bool is_http, wrong;
};

/* What the headers told. */
struct headers {
    bool ranges;
    uint64_t total; /* of Content-Range, 0: not there */
};

static bool get_secret(struct disk *d, const char *id, char **ret, struct error *err)
{
    size_t len;

    if (!id)
        return true;
    if (!secret_get(disk_graph_objects(d->graph), id, ret, &len, err))
        return false;
    if (strlen(*ret) == len)
        return true;
    return fail(err, EINVAL, "secret '%s' has a zero byte in it", id);
}

static bool check_options(struct disk *d, struct error *err)
{
    struct web *w = d->priv;
    AUTO_FREE char *scheme = xasprintf("%s://", d->driver->name);

    if (strncasecmp(w->url, scheme, strlen(scheme)) != 0)
        return fail(err, EINVAL,
                    "%s curl driver cannot handle the URL '%s' (does not start with "
                    "'%s')",
                    d->driver->name, w->url, scheme);
    w->is_http = d->driver->name[0] == 'h';
    w->verify = true;
    if (w->sslverify && !parse_bool(w->sslverify, &w->verify, err)) {
        err_prefix(err, "sslverify: ");
        return false;
    }
    if (!w->readahead)
        w->readahead = DEFAULT_READAHEAD;
    if (w->readahead % 512)
        return fail(err, EINVAL, "HTTP_READAHEAD_SIZE %llu is not a multiple of 512",
                    (unsigned long long)w->readahead);
    if (!w->timeout)
        w->timeout = DEFAULT_TIMEOUT_S;
    if (w->cookie && w->cookie_secret)
        return fail(err, EINVAL, "curl driver cannot handle both cookie and cookie secret");
    return get_secret(d, w->cookie_secret, &w->secret_cookie, err) &&
           get_secret(d, w->password_secret, &w->password, err) &&
           get_secret(d, w->proxy_password_secret, &w->proxy_password, err);
}

/* A handle with everything set that stays the same; NULL when libcurl refuses. */
static CURL *new_handle(const struct web *w)
{
    const char *cookie = w->secret_cookie ? w->secret_cookie : w->cookie;
    CURL *h = w->curl.easy_init();
    bool ok = h != NULL;

#define SET(option, value) ok = ok && w->curl.easy_setopt(h, option, value) == CURLE_OK
    SET(CURLOPT_URL, w->url);
    SET(CURLOPT_PROTOCOLS_STR, w->is_http ? "http,https" : "ftp,ftps");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, w->is_http ? "http,https" : "ftp,ftps");
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, 10L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_NOPROGRESS, 1L);
    SET(CURLOPT_FAILONERROR, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSL_VERIFYPEER, (long)w->verify);
    SET(CURLOPT_SSL_VERIFYHOST, w->verify ? 2L : 0L);
    /* no word for so long: given up. A slow transfer may take its time. */
    SET(CURLOPT_CONNECTTIMEOUT, (long)w->timeout);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)w->timeout);
    if (cookie)
        SET(CURLOPT_COOKIE, cookie);
    if (w->username)
        SET(CURLOPT_USERNAME, w->username);
    if (w->password)
        SET(CURLOPT_PASSWORD, w->password);
    if (w->proxy_username)
        SET(CURLOPT_PROXYUSERNAME, w->proxy_username);
    if (w->proxy_password)
        SET(CURLOPT_PROXYPASSWORD, w->proxy_password);
#undef SET
    if (ok)
        return h;
    w->curl.easy_cleanup(h);
    return NULL;
}

static CURL *take_handle(struct web *w)
{
    CURL *h = NULL;

    pthread_mutex_lock(&w->lock);
    while (!w->idle_count && w->handles == HANDLES)
        pthread_cond_wait(&w->changed, &w->lock);
    if (w->idle_count) {
        h = w->idle[--w->idle_count];
        pthread_mutex_unlock(&w->lock);
        return h;
    }
    w->handles++;
    pthread_mutex_unlock(&w->lock);
    h = new_handle(w);
    if (h)
        return h;
    WITH_LOCK (&w->lock)
        w->handles--;
    return NULL;
}

static void put_handle(struct web *w, CURL *h)
{
    WITH_LOCK (&w->lock) {
        w->idle[w->idle_count++] = h;
        pthread_cond_broadcast(&w->changed);
    }
}

static size_t take_bytes(char *data, size_t size, size_t n, void *opaque)
{
    struct transfer *t = opaque;
    const struct web *w = t->w;
    struct disk_vec part;
    long code = 0;

    n *= size;
    if (t->is_http && !t->done && w->curl.easy_getinfo(t->h, CURLINFO_RESPONSE_CODE, &code) == 0 &&
        code != 206)
        t->wrong = true; /* all of the file, not the range */
    if (t->wrong || n > t->v.len - t->done) {
        t->wrong = true;
        return 0;
    }
    part = vec_slice(t->v, t->done, n);
    vec_from_buf(&part, data);
    t->done += n;
    return n;
}

static size_t take_header(char *data, size_t size, size_t n, void *opaque)
{
    struct headers *x = opaque;
    AUTO_FREE char *line = xstrndup(data, MIN(n * size, (size_t)1024));
    const char *slash;

    if (!strncasecmp(line, "accept-ranges:", 14) && strstr(line + 14, "bytes")) {
        x->ranges = true;
    } else if (!strncasecmp(line, "content-range:", 14)) {
        slash = strchr(line, '/');
        x->total = slash ? strtoull(slash + 1, NULL, 10) : 0;
    } else if (!strncasecmp(line, "http/", 5)) { /* of another answer: it was a redirection */
        *x = (struct headers){ 0 };
    }
    return n * size;
}

static size_t drop_bytes(char *data, size_t size, size_t n, void *opaque)
{
    (void)data;
    (void)opaque;
    return n * size;
}

static bool curl_failed(const struct web *w, struct error *err, CURLcode e, const char *detail)
{
    int code = e == CURLE_OPERATION_TIMEDOUT    ? ETIMEDOUT
               : e == CURLE_HTTP_RETURNED_ERROR ? ENOENT
               : e == CURLE_LOGIN_DENIED        ? EACCES
                                                : EIO;

    return fail(err, code, "CURL: Error opening file: %s",
                detail[0] ? detail : w->curl.easy_strerror(e));
}

/* Asks for one byte: a server may do ranges and not say so, or not answer HEAD. */
static bool ask_range(const struct web *w, CURL *h, uint64_t *ret_size, struct error *err)
{
    struct headers x = { 0 };
    char detail[CURL_ERROR_SIZE] = "";
    CURLcode e;
    long code = 0;

    w->curl.easy_setopt(h, CURLOPT_HTTPGET, 1L);
    w->curl.easy_setopt(h, CURLOPT_RANGE, "0-0");
    w->curl.easy_setopt(h, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)1); /* not the whole of it */
    w->curl.easy_setopt(h, CURLOPT_HEADERDATA, &x);
    w->curl.easy_setopt(h, CURLOPT_ERRORBUFFER, detail);
    e = w->curl.easy_perform(h);
    w->curl.easy_setopt(h, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)0);
    w->curl.easy_setopt(h, CURLOPT_ERRORBUFFER, NULL);
    (void)w->curl.easy_getinfo(h, CURLINFO_RESPONSE_CODE, &code);
    if (e != CURLE_OK && e != CURLE_FILESIZE_EXCEEDED)
        return curl_failed(w, err, e, detail);
    if (code != 206 || !x.total) {
        fail(err, ENOTSUP, "Server does not support 'range' (byte ranges).");
        return fail_hint(err, "download the image first");
    }
    *ret_size = x.total;
    return true;
}

static bool ask_size(struct web *w, CURL *h, uint64_t *ret_size, struct error *err)
{
    struct headers x = { 0 };
    char detail[CURL_ERROR_SIZE] = "";
    curl_off_t size = -1;
    CURLcode e;

    w->curl.easy_setopt(h, CURLOPT_NOBODY, 1L);
    w->curl.easy_setopt(h, CURLOPT_HEADERFUNCTION, take_header);
    w->curl.easy_setopt(h, CURLOPT_HEADERDATA, &x);
    w->curl.easy_setopt(h, CURLOPT_WRITEFUNCTION, drop_bytes);
    w->curl.easy_setopt(h, CURLOPT_ERRORBUFFER, detail);
    e = w->curl.easy_perform(h);
    w->curl.easy_setopt(h, CURLOPT_ERRORBUFFER, NULL);
    w->curl.easy_setopt(h, CURLOPT_NOBODY, 0L);
    if (e != CURLE_OK && !(w->is_http && e == CURLE_HTTP_RETURNED_ERROR))
        return curl_failed(w, err, e, detail);
    if (e == CURLE_OK)
        (void)w->curl.easy_getinfo(h, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
    if (w->is_http && (size < 0 || !x.ranges))
        return ask_range(w, h, ret_size, err);
    if (size < 0)
        return fail(err, EIO, "CURL: Error opening file: Server didn't report file size.");
    *ret_size = (uint64_t)size;
    return true;
}

static bool load_function(struct web *w, const char *name, void *ret)
{
    void *f = dlsym(w->curl.lib, name);

    memcpy(ret, &f, sizeof(f));
    return f != NULL;
}

static bool load_library(struct web *w, struct error *err)
{
    static const char *const names[] = { "libcurl-gnutls.so.4", "libcurl.so.4" };
    struct curl_api *c = &w->curl;

    for (unsigned i = 0; i < ARRAY_SIZE(names) && !c->lib; i++)
        c->lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!c->lib) {
        fail(err, ENOENT, "could not load %s: %s", names[1], dlerror());
        return fail_hint(err, "install libcurl (Debian: libcurl3-gnutls or libcurl4)");
    }
    if (load_function(w, "curl_global_init", &c->global_init) &&
        load_function(w, "curl_global_cleanup", &c->global_cleanup) &&
        load_function(w, "curl_easy_init", &c->easy_init) &&
        load_function(w, "curl_easy_cleanup", &c->easy_cleanup) &&
        load_function(w, "curl_easy_setopt", &c->easy_setopt) &&
        load_function(w, "curl_easy_getinfo", &c->easy_getinfo) &&
        load_function(w, "curl_easy_perform", &c->easy_perform) &&
        load_function(w, "curl_easy_strerror", &c->easy_strerror))
        return true;
    return fail(err, ENOENT, "this libcurl lacks a function: %s", dlerror());
}

static bool web_open(struct disk *d, struct error *err)
{
    struct web *w = d->priv;
    uint64_t size = 0;
    CURL *h;
    bool ok;

    if (!check_options(d, err))
        return false;
    if (!d->read_only) {
        if (!(d->open_flags & DISK_AUTO_RDONLY))
            return fail(err, EROFS, "curl block device does not support writes") ||
                   fail_hint(err, "open it with read-only=on (-r)");
        d->read_only = true;
    }
    if (!load_library(w, err))
        return false;
    if (w->curl.global_init(CURL_GLOBAL_DEFAULT))
        return fail(err, EIO, "libcurl does not start");
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->inited = true;
    if (!(h = take_handle(w)))
        return fail(err, ENOMEM, "curl library initialization failed.");
    ok = ask_size(w, h, &size, err);
    w->curl.easy_setopt(h, CURLOPT_HEADERFUNCTION, NULL);
    w->curl.easy_setopt(h, CURLOPT_HEADERDATA, NULL);
    put_handle(w, h);
    if (!ok)
        return false;
    if (size > DISK_MAX_SIZE)
        return fail(err, EFBIG, "the file is larger than disks can be");
    if (!d->filename)
        d->filename = xstrdup(w->url);
    w->size = size;
    disk_set_size(d, ALIGN_UP(size, UINT64_C(512)));
    d->align = 1;
    return true;
}

static void web_close(struct disk *d)
{
    struct web *w = d->priv;
    char *secrets[] = { w->password, w->proxy_password, w->secret_cookie };

    for (unsigned i = 0; i < ARRAY_SIZE(secrets); i++)
        secret_free(secrets[i], secrets[i] ? strlen(secrets[i]) : 0);
    if (!w->inited)
        return;
    for (unsigned i = 0; i < w->idle_count; i++)
        w->curl.easy_cleanup(w->idle[i]);
    for (unsigned i = 0; i < BLOCKS; i++)
        free(w->blocks[i].data);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    w->curl.global_cleanup();
}

/* All of v, from the server. */
static int fetch(struct web *w, uint64_t offset, struct disk_vec v)
{
    struct transfer t = { .w = w, .v = v, .is_http = w->is_http, .h = take_handle(w) };
    char range[48];
    CURLcode e;

    if (!t.h)
        return -ENOMEM;
    snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)offset,
             (unsigned long long)(offset + v.len - 1));
    w->curl.easy_setopt(t.h, CURLOPT_RANGE, range);
    w->curl.easy_setopt(t.h, CURLOPT_WRITEFUNCTION, take_bytes);
    w->curl.easy_setopt(t.h, CURLOPT_WRITEDATA, &t);
    e = w->curl.easy_perform(t.h);
    put_handle(w, t.h);
    if (t.wrong || (e == CURLE_OK && t.done != v.len))
        return -EIO;
    return e == CURLE_OK ? 0 : e == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EIO;
}

/* The block of that index, or one that may become it (valid and loading are false then); with a
 * user more. NULL: all are in use. */
static struct block *find_block_locked(struct web *w, uint64_t index)
{
    struct block *b = NULL;

    for (unsigned i = 0; i < BLOCKS; i++) {
        struct block *c = &w->blocks[i];

        if ((c->valid || c->loading) && c->index == index) {
            b = c;
            break;
        }
        if (!c->users && (!b || c->used < b->used))
            b = c;
    }
    if (!b)
        return NULL;
    if (b->index != index) /* an old one is forgotten */
        b->valid = false;
    b->index = index;
    b->used = ++w->clock;
    b->users++;
    return b;
}

/* Loads the block unless it is there; with the lock, which is let go meanwhile. */
static int load_locked(struct web *w, struct block *b)
{
    uint64_t start = b->index * w->readahead;
    int r;

    while (b->loading)
        pthread_cond_wait(&w->changed, &w->lock);
    if (b->valid)
        return 0;
    b->loading = true;
    pthread_mutex_unlock(&w->lock);
    if (!b->data)
        b->data = xcalloc(1, w->readahead);
    r = fetch(w, start, vec_of(b->data, MIN(w->readahead, w->size - start)));
    pthread_mutex_lock(&w->lock);
    b->loading = false;
    b->valid = !r;
    pthread_cond_broadcast(&w->changed);
    return r;
}

/* v lies in one block. */
static int read_block(struct web *w, uint64_t offset, struct disk_vec v)
{
    struct block *b;
    int r = 0;

    pthread_mutex_lock(&w->lock);
    b = find_block_locked(w, offset / w->readahead);
    if (b)
        r = load_locked(w, b);
    pthread_mutex_unlock(&w->lock);
    if (!b)
        return fetch(w, offset, v);
    if (!r)
        vec_from_buf(&v, b->data + offset % w->readahead);
    WITH_LOCK (&w->lock)
        b->users--;
    return r;
}

static int web_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    struct web *w = d->priv;
    int r = 0;
    size_t n;

    if (offset + v.len > w->size) { /* the end of the last sector */
        struct disk_vec rest;

        n = (size_t)(MAX(offset, w->size) - offset);
        rest = vec_slice(v, n, v.len - n);
        vec_clear(&rest);
        v = vec_slice(v, 0, n);
    }
    if (v.len >= w->readahead)
        return fetch(w, offset, v);
    for (size_t at = 0; at < v.len && !r; at += n) {
        n = MIN(v.len - at, (size_t)(w->readahead - (offset + at) % w->readahead));
        r = read_block(w, offset + at, vec_slice(v, at, n));
    }
    return r;
}

static int64_t web_allocated(struct disk *d)
{
    (void)d;
    return -ENOTSUP;
}

static bool web_parse_name(const char *name, struct optlist *opts, struct error *err)
{
    (void)err;
    optlist_add(opts, "url", name);
    return true;
}

static const struct field web_options[] = {
    FIELD(struct web, url, .doc = "address of the image"),
    FIELD(struct web, readahead, .is_size = true, .max = MAX_READAHEAD,
          .doc = "bytes fetched for a small read, default 256k"),
    FIELD(struct web, timeout, .max = 86400,
          .doc = "seconds without a byte until giving up, default 5"),
    FIELD(struct web, sslverify, .doc = "check the server's certificate, default on"),
    FIELD(struct web, cookie, .doc = "cookies to send"),
    FIELD(struct web, cookie_secret, .wire = "cookie-secret", .doc = "secret that has them"),
    FIELD(struct web, username, .doc = "name to log in with"),
    FIELD(struct web, password_secret, .wire = "password-secret", .doc = "secret of its password"),
    FIELD(struct web, proxy_username, .wire = "proxy-username", .doc = "name for the proxy"),
    FIELD(struct web, proxy_password_secret, .wire = "proxy-password-secret",
          .doc = "secret of its password"),
    { 0 },
};

static const char *const web_required[] = { "url", NULL };
static const char *const http_schemes[] = { "http", NULL };
static const char *const https_schemes[] = { "https", NULL };
static const char *const ftp_schemes[] = { "ftp", NULL };
static const char *const ftps_schemes[] = { "ftps", NULL };
static const char *const web_strong[] = {
    "sslverify",       "cookie",         "cookie-secret",         "username",
    "password-secret", "proxy-username", "proxy-password-secret", NULL,
};

#define WEB_DRIVER(name_, doc_, schemes_)                                                          \
    .name = name_, .doc = doc_, .is_transport = true, .schemes = schemes_,                         \
    .strong_options = web_strong, .required = web_required, .size = sizeof(struct web),            \
    .options = web_options, .parse_name = web_parse_name, .open = web_open, .close = web_close,    \
    .read = web_read, .allocated = web_allocated

const struct disk_driver ftp_driver = {
    WEB_DRIVER("ftp", "files of FTP servers, read only", ftp_schemes),
};
const struct disk_driver ftps_driver = {
    WEB_DRIVER("ftps", "files of FTP servers over TLS, read only", ftps_schemes),
};
const struct disk_driver http_driver = {
    WEB_DRIVER("http", "files of web servers, read only", http_schemes),
};
const struct disk_driver https_driver = {
    WEB_DRIVER("https", "files of web servers over TLS, read only", https_schemes),
};
