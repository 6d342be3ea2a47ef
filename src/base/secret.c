/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/scope.h"

enum {
    SECRET_MAX = 1 << 20, /* bytes of data or file */
    KEY_SIZE = 32,        /* AES-256 */
    BLOCK_SIZE = 16,
};

struct secret {
    char *data, *file, *format, *keyid, *iv;
    char *plain; /* len bytes and a zero byte; from complete() on */
    size_t len;
};

void secret_free(char *p, size_t len)
{
    if (p)
        explicit_bzero(p, len);
    free(p);
}

static bool read_file(const char *path, char **ret, size_t *ret_len, struct error *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *buf;
    size_t len = 0;
    ssize_t n;

    if (fd < 0)
        return fail(err, errno, "Unable to read %s: %s", path, strerror(errno));
    buf = xcalloc(1, SECRET_MAX + 1);
    while (len <= SECRET_MAX && (n = read(fd, buf + len, SECRET_MAX + 1 - len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail(err, errno, "Unable to read %s: %s", path, strerror(errno));
            secret_free(buf, len);
            return false;
        }
        len += n;
    }
    if (len > SECRET_MAX) {
        secret_free(buf, len);
        return fail(err, EFBIG, "%s: more than %d bytes, no secret is that long", path, SECRET_MAX);
    }
    *ret = xcalloc(1, len + 1);
    memcpy(*ret, buf, len);
    *ret_len = len;
    secret_free(buf, len);
    return true;
}

static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *p = c ? strchr(digits, c) : NULL;

    return p ? (int)(p - digits) : -1;
}

/* White space is skipped, '=' at the end is padding. *ret is on the heap, zero-terminated. */
static bool base64_decode(const char *text, size_t text_len, char **ret, size_t *ret_len,
                          struct error *err)
{
    char *out = xcalloc(1, text_len / 4 * 3 + 4);
    size_t n = 0;
    uint32_t acc = 0;
    unsigned bits = 0, digits = 0, pads = 0;
    bool ok = true;

    for (size_t i = 0; ok && i < text_len; i++) {
        int v = base64_value(text[i]);

        if (strchr(" \t\r\n", text[i]) && text[i])
            continue;
        if (text[i] == '=') {
            pads++;
            continue;
        }
        ok = v >= 0 && !pads;
        acc = acc << 6 | (v & 63);
        bits += 6;
        digits++;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (char)(acc >> bits);
        }
    }
    if (!ok || pads > 2 || (digits + pads) % 4) {
        secret_free(out, n);
        return fail(err, EINVAL, "Base64 data contains invalid characters or is cut short");
    }
    *ret = out;
    *ret_len = n;
    return true;
}

/* AES-256-CBC with PKCS#7 padding, in place. */
static bool decrypt(struct secret *s, const char *key, size_t key_len, struct error *err)
{
    gnutls_datum_t k = { (unsigned char *)(uintptr_t)key, (unsigned)key_len }, iv;
    gnutls_cipher_hd_t h;
    char *iv_bytes = NULL;
    size_t iv_len = 0;
    uint8_t pad;
    int r;

    if (!s->iv)
        return fail(err, EINVAL, "IV is required to decrypt secret") ||
               fail_hint(err, "iv= takes 16 bytes in base64");
    if (key_len != KEY_SIZE)
        return fail(err, EINVAL, "Key should be %d bytes in length, '%s' has %zu", KEY_SIZE,
                    s->keyid, key_len);
    if (!base64_decode(s->iv, strlen(s->iv), &iv_bytes, &iv_len, err)) {
        err_prefix(err, "iv: ");
        return false;
    }
    iv = (gnutls_datum_t){ (unsigned char *)iv_bytes, (unsigned)iv_len };
    if (iv_len != BLOCK_SIZE || !s->len || s->len % BLOCK_SIZE) {
        free(iv_bytes);
        return iv_len != BLOCK_SIZE
                   ? fail(err, EINVAL, "IV should be %d bytes in length not %zu", BLOCK_SIZE,
                          iv_len)
                   : fail(err, EINVAL, "encrypted data of %zu bytes is not whole blocks", s->len);
    }
    r = gnutls_cipher_init(&h, GNUTLS_CIPHER_AES_256_CBC, &k, &iv);
    if (r >= 0) {
        r = gnutls_cipher_decrypt(h, s->plain, s->len);
        gnutls_cipher_deinit(h);
    }
    free(iv_bytes);
    if (r < 0)
        return fail(err, EIO, "cannot decrypt: %s", gnutls_strerror(r));
    pad = (uint8_t)s->plain[s->len - 1];
    if (!pad || pad > BLOCK_SIZE)
        return fail(err, EINVAL, "Incorrect number of padding bytes (%u) found on decrypted data",
                    pad) ||
               fail_hint(err, "keyid or iv is not what it was encrypted with");
    s->len -= pad;
    s->plain[s->len] = 0;
    return true;
}

static bool decode(struct secret *s, struct object_set *set, bool base64, struct error *err)
{
    char *key, *raw = NULL;
    size_t key_len, len;
    bool ok;

    if (base64) {
        if (!base64_decode(s->plain, s->len, &raw, &len, err))
            return false;
        secret_free(s->plain, s->len);
        s->plain = raw;
        s->len = len;
    }
    if (!s->keyid)
        return !s->iv || fail(err, EINVAL, "iv is given, but no keyid to decrypt with");
    if (!secret_get(set, s->keyid, &key, &key_len, err))
        return false;
    ok = decrypt(s, key, key_len, err);
    secret_free(key, key_len);
    return ok;
}

static bool secret_complete(void *obj, struct object_set *set, struct error *err)
{
    struct secret *s = obj;
    bool base64 = s->format && !strcmp(s->format, "base64");

    if (s->data && s->file)
        return fail(err, EINVAL, "'file' and 'data' are mutually exclusive");
    if (!s->data && !s->file)
        return fail(err, EINVAL, "Either 'file' or 'data' must be provided");
    if (s->format && !base64 && strcmp(s->format, "raw"))
        return fail(err, EINVAL, "format '%s' is neither raw nor base64", s->format);
    if (s->file) {
        if (!read_file(s->file, &s->plain, &s->len, err))
            return false;
    } else {
        s->len = strlen(s->data);
        s->plain = xcalloc(1, s->len + 1);
        memcpy(s->plain, s->data, s->len);
        explicit_bzero(s->data, s->len);
    }
    return decode(s, set, base64, err);
}

static void secret_finish(void *obj)
{
    struct secret *s = obj;

    secret_free(s->plain, s->len);
    if (s->data)
        explicit_bzero(s->data, strlen(s->data));
}

bool secret_get(struct object_set *set, const char *id, char **ret, size_t *ret_len,
                struct error *err)
{
    struct secret *s = object_find(set, id, &secret_object, err);

    if (!s)
        return false;
    *ret = xcalloc(1, s->len + 1);
    memcpy(*ret, s->plain, s->len);
    *ret_len = s->len;
    return true;
}

const struct object_type secret_object = {
    .name = "secret",
    .doc = "a password or key",
    .size = sizeof(struct secret),
    .props = FIELDS(
        FIELD(struct secret, data, .doc = "the secret itself (others see it in the process list)"),
        FIELD(struct secret, file, .doc = "file that holds it, all bytes of it"),
        FIELD(struct secret, format, .doc = "raw (default) or base64"),
        FIELD(struct secret, iv, .doc = "with keyid: initialisation vector, 16 bytes in base64"),
        FIELD(struct secret, keyid, .doc = "secret of 32 bytes that decrypts this (AES-256-CBC)")),
    .complete = secret_complete,
    .finish = secret_finish,
};
