/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/luks_cipher.h"

#include <assert.h>
#include <errno.h>
#include <nettle/cbc.h>
#include <nettle/ctr.h>
#include <stdalign.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/str.h"

enum { MAX_BLOCK = 16, BATCH = 16 /* sectors whose XTS tweaks are encrypted at once */ };

const char *const luks_chain_names[] = { "ecb", "cbc", "ctr", "xts", NULL };
const char *const luks_ivgen_names[] = { "plain", "plain64", "essiv", NULL };

static const struct luks_alg algs[] = {
    { "aes-128", "aes", &nettle_aes128 },
    { "aes-192", "aes", &nettle_aes192 },
    { "aes-256", "aes", &nettle_aes256 },
    { "cast5-128", "cast5", &nettle_cast128 },
    { "serpent-128", "serpent", &nettle_serpent128 },
    { "serpent-192", "serpent", &nettle_serpent192 },
    { "serpent-256", "serpent", &nettle_serpent256 },
    { "twofish-128", "twofish", &nettle_twofish128 },
    { "twofish-192", "twofish", &nettle_twofish192 },
    { "twofish-256", "twofish", &nettle_twofish256 },
};
static const char *const alg_names[] = { "aes-128",     "aes-192",     "aes-256",     "cast5-128",
                                         "serpent-128", "serpent-192", "serpent-256", "twofish-128",
                                         "twofish-192", "twofish-256", NULL };

static const struct nettle_hash *const hashes[] = { &nettle_md5,      &nettle_sha1,
                                                    &nettle_sha224,   &nettle_sha256,
                                                    &nettle_sha384,   &nettle_sha512,
                                                    &nettle_ripemd160 };
static const char *const hash_names[] = { "md5",    "sha1",   "sha224",    "sha256",
                                          "sha384", "sha512", "ripemd160", NULL };

static bool unknown(struct error *err, const char *what, const char *name, const char *const *names)
{
    const char *near = nearest_name(name, names);

    fail(err, ENOTSUP, "%s '%s' is not supported", what, name);
    return near ? fail_hint(err, "did you mean '%s'?", near) : false;
}

static int index_of(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++) {
        if (!strcmp(names[i], name))
            return i;
    }
    return -1;
}

const struct nettle_hash *luks_hash_find(const char *name, struct error *err)
{
    int i = index_of(hash_names, name);

    if (i < 0) {
        unknown(err, "LUKS hash", name, hash_names);
        return NULL;
    }
    assert(hashes[i]->context_size <= LUKS_HASH_CONTEXT &&
           hashes[i]->digest_size <= LUKS_MAX_DIGEST);
    return hashes[i];
}

size_t luks_spec_key_len(const struct luks_spec *s)
{
    return s->alg->cipher->key_size * (s->chain == LUKS_XTS ? 2 : 1);
}

/* The cipher that makes essiv's vectors: the same family with a key of the hash's length. */
static const struct luks_alg *essiv_alg(const struct luks_spec *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(algs); i++) {
        if (!strcmp(algs[i].family, s->alg->family) &&
            algs[i].cipher->key_size == s->iv_hash->digest_size)
            return &algs[i];
    }
    return NULL;
}

static bool spec_check(const struct luks_spec *s, struct error *err)
{
    if (s->chain == LUKS_XTS && s->alg->cipher->block_size != MAX_BLOCK)
        return fail(err, EINVAL, "cipher mode xts wants blocks of 16 bytes, %s has %u",
                    s->alg->name, s->alg->cipher->block_size);
    if (s->ivgen == LUKS_ESSIV && !s->iv_hash)
        return fail(err, EINVAL, "IV generator essiv needs a hash") ||
               fail_hint(err, "add ivgen-hash-alg=sha256");
    if (s->ivgen != LUKS_ESSIV && s->iv_hash)
        return fail(err, EINVAL, "a hash for the IV generator goes with essiv alone");
    if (s->ivgen == LUKS_ESSIV && !essiv_alg(s))
        return fail(err, EINVAL, "essiv: no %s cipher takes a key as long as a %s digest",
                    s->alg->family, s->iv_hash->name);
    return true;
}

bool luks_spec_make(struct luks_spec *s, const char *alg, const char *chain, const char *ivgen,
                    const char *iv_hash, struct error *err)
{
    int a = index_of(alg_names, alg ? alg : "aes-256");
    int c = index_of(luks_chain_names, chain ? chain : "xts");
    int g = index_of(luks_ivgen_names, ivgen ? ivgen : "plain64");

    if (a < 0)
        return unknown(err, "cipher-alg", alg, alg_names);
    if (c < 0)
        return unknown(err, "cipher-mode", chain, luks_chain_names);
    if (g < 0)
        return unknown(err, "ivgen-alg", ivgen, luks_ivgen_names);
    *s = (struct luks_spec){ &algs[a], (enum luks_chain)c, (enum luks_ivgen)g, NULL };
    if (!iv_hash && g == LUKS_ESSIV)
        iv_hash = "sha256";
    if (iv_hash && !(s->iv_hash = luks_hash_find(iv_hash, err)))
        return false;
    return spec_check(s, err);
}

bool luks_spec_parse(struct luks_spec *s, const char *family, const char *mode, size_t key_len,
                     struct error *err)
{
    char chain[32] = { 0 }, ivgen[32] = "plain64", *dash, *colon;
    const char *iv_hash = NULL;
    int c, g;

    strncpy(chain, mode, sizeof(chain) - 1);
    if ((dash = strchr(chain, '-'))) { /* "ecb" may stand alone */
        *dash = 0;
        strcpy(ivgen, dash + 1);
    }
    if ((colon = strchr(ivgen, ':'))) {
        *colon = 0;
        iv_hash = colon + 1;
    }
    if ((c = index_of(luks_chain_names, chain)) < 0)
        return unknown(err, "LUKS cipher mode", chain, luks_chain_names);
    if ((g = index_of(luks_ivgen_names, ivgen)) < 0)
        return unknown(err, "LUKS IV generator", ivgen, luks_ivgen_names);
    *s = (struct luks_spec){ NULL, (enum luks_chain)c, (enum luks_ivgen)g, NULL };
    if (iv_hash && !(s->iv_hash = luks_hash_find(iv_hash, err)))
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(algs) && !s->alg; i++) {
        s->alg = &algs[i];
        if (strcmp(algs[i].family, family) || luks_spec_key_len(s) != key_len)
            s->alg = NULL;
    }
    if (!s->alg)
        return fail(err, ENOTSUP, "LUKS cipher '%s' with a key of %zu bytes is not supported",
                    family, key_len);
    return spec_check(s, err);
}

void luks_spec_mode(const struct luks_spec *s, char ret[32])
{
    (void)snprintf(ret, 32, "%s-%s%s%s", luks_chain_names[s->chain], luks_ivgen_names[s->ivgen],
                   s->iv_hash ? ":" : "", s->iv_hash ? s->iv_hash->name : "");
}

struct luks_cipher {
    struct luks_spec spec;
    const struct nettle_cipher *alg, *iv_alg;
    void *enc, *dec, *tweak; /* alg->context_size; tweak: XTS's second key */
    void *iv;                /* essiv */
};

static void wipe_ctx(void *ctx, const struct nettle_cipher *alg)
{
    if (ctx)
        explicit_bzero(ctx, alg->context_size);
    free(ctx);
}

void luks_cipher_free(struct luks_cipher *c)
{
    if (!c)
        return;
    wipe_ctx(c->enc, c->alg);
    wipe_ctx(c->dec, c->alg);
    wipe_ctx(c->tweak, c->alg);
    wipe_ctx(c->iv, c->iv_alg);
    free(c);
}

static void *new_ctx(const struct nettle_cipher *alg, nettle_set_key_func *set, const void *key)
{
    void *ctx = xcalloc(1, alg->context_size);

    set(ctx, key);
    return ctx;
}

struct luks_cipher *luks_cipher_new(const struct luks_spec *s, const void *key, struct error *err)
{
    struct luks_cipher *c;
    size_t n = s->alg->cipher->key_size;

    if (s->chain == LUKS_XTS && !memcmp(key, (const char *)key + n, n)) {
        fail(err, EINVAL, "the two halves of an XTS key are the same");
        return NULL;
    }
    c = xnew(struct luks_cipher);
    c->spec = *s;
    c->alg = s->alg->cipher;
    c->enc = new_ctx(c->alg, c->alg->set_encrypt_key, key);
    c->dec = new_ctx(c->alg, c->alg->set_decrypt_key, key);
    if (s->chain == LUKS_XTS)
        c->tweak = new_ctx(c->alg, c->alg->set_encrypt_key, (const char *)key + n);
    if (s->ivgen == LUKS_ESSIV) {
        uint8_t digest[LUKS_MAX_DIGEST];
        alignas(16) uint8_t ctx[LUKS_HASH_CONTEXT];

        s->iv_hash->init(ctx);
        s->iv_hash->update(ctx, luks_spec_key_len(s), key);
        s->iv_hash->digest(ctx, s->iv_hash->digest_size, digest);
        c->iv_alg = essiv_alg(s)->cipher;
        c->iv = new_ctx(c->iv_alg, c->iv_alg->set_encrypt_key, digest);
        explicit_bzero(digest, sizeof(digest));
        explicit_bzero(ctx, sizeof(ctx));
    }
    return c;
}

static void make_iv(const struct luks_cipher *c, uint64_t sector, uint8_t iv[MAX_BLOCK])
{
    memset(iv, 0, MAX_BLOCK);
    if (c->spec.ivgen == LUKS_PLAIN)
        st_le32(iv, (uint32_t)sector);
    else
        st_le64(iv, sector);
    if (c->iv)
        c->iv_alg->encrypt(c->iv, c->iv_alg->block_size, iv, iv);
}

/* One sector of XTS: the tweaks of its 32 blocks, and one call of the cipher for all of them. */
static void xts_sector(nettle_cipher_func *f, const void *ctx, const uint8_t tweak[MAX_BLOCK],
                       uint8_t *dst, const uint8_t *src)
{
    uint64_t t[LUKS_SECTOR / 8], x[LUKS_SECTOR / 8];
    uint64_t lo = ld_le64(tweak), hi = ld_le64(tweak + 8);

    for (unsigned i = 0; i < ARRAY_SIZE(t); i += 2) {
        uint64_t carry = (uint64_t)((int64_t)hi >> 63) & 0x87;

        t[i] = lo;
        t[i + 1] = hi;
        hi = hi << 1 | lo >> 63;
        lo = lo << 1 ^ carry;
    }
    memcpy(x, src, sizeof(x));
    for (unsigned i = 0; i < ARRAY_SIZE(x); i++)
        x[i] ^= t[i];
    f(ctx, sizeof(x), (uint8_t *)x, (uint8_t *)x);
    for (unsigned i = 0; i < ARRAY_SIZE(x); i++)
        x[i] ^= t[i];
    memcpy(dst, x, sizeof(x));
}

static void xts(const struct luks_cipher *c, bool encrypt, uint64_t sector, uint8_t *dst,
                const uint8_t *src, size_t len)
{
    nettle_cipher_func *f = encrypt ? c->alg->encrypt : c->alg->decrypt;
    const void *ctx = encrypt ? c->enc : c->dec;
    uint8_t tweaks[BATCH * MAX_BLOCK];

    while (len) {
        size_t n = MIN(len / LUKS_SECTOR, (size_t)BATCH);

        for (size_t i = 0; i < n; i++)
            make_iv(c, sector + i, tweaks + i * MAX_BLOCK);
        c->alg->encrypt(c->tweak, n * MAX_BLOCK, tweaks, tweaks);
        for (size_t i = 0; i < n; i++)
            xts_sector(f, ctx, tweaks + i * MAX_BLOCK, dst + i * LUKS_SECTOR,
                       src + i * LUKS_SECTOR);
        dst += n * LUKS_SECTOR;
        src += n * LUKS_SECTOR;
        len -= n * LUKS_SECTOR;
        sector += n;
    }
}

static void other(const struct luks_cipher *c, bool encrypt, uint64_t sector, uint8_t *dst,
                  const uint8_t *src, size_t len)
{
    const struct nettle_cipher *a = c->alg;
    uint8_t iv[MAX_BLOCK];

    if (c->spec.chain == LUKS_ECB) {
        if (encrypt)
            a->encrypt(c->enc, len, dst, src);
        else
            a->decrypt(c->dec, len, dst, src);
        return;
    }
    for (size_t i = 0; i < len; i += LUKS_SECTOR) {
        make_iv(c, sector++, iv);
        if (c->spec.chain == LUKS_CTR)
            ctr_crypt(c->enc, a->encrypt, a->block_size, iv, LUKS_SECTOR, dst + i, src + i);
        else if (encrypt)
            cbc_encrypt(c->enc, a->encrypt, a->block_size, iv, LUKS_SECTOR, dst + i, src + i);
        else
            cbc_decrypt(c->dec, a->decrypt, a->block_size, iv, LUKS_SECTOR, dst + i, src + i);
    }
}

static void crypt_sectors(const struct luks_cipher *c, bool encrypt, uint64_t sector, void *dst,
                          const void *src, size_t len)
{
    assert(len % LUKS_SECTOR == 0);
    if (c->spec.chain == LUKS_XTS)
        xts(c, encrypt, sector, dst, src, len);
    else
        other(c, encrypt, sector, dst, src, len);
}

void luks_cipher_encrypt(const struct luks_cipher *c, uint64_t sector, void *dst, const void *src,
                         size_t len)
{
    crypt_sectors(c, true, sector, dst, src, len);
}

void luks_cipher_decrypt(const struct luks_cipher *c, uint64_t sector, void *dst, const void *src,
                         size_t len)
{
    crypt_sectors(c, false, sector, dst, src, len);
}
