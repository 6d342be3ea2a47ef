/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cryptography of LUKS 1: sector ciphers (algorithm, chaining mode, initialisation vectors),
 * hashes, PBKDF2 and the anti-forensic splitter. Made over nettle's block ciphers.
 */
#ifndef DISK_LUKS_CIPHER_H
#define DISK_LUKS_CIPHER_H

#include <nettle/nettle-meta.h>
#include <stddef.h>

#include "base/error.h"

enum {
    LUKS_SECTOR = 512,
    LUKS_MAX_KEY = 64,
    LUKS_STRIPES = 4000,
    LUKS_MAX_DIGEST = 64,
    LUKS_HASH_CONTEXT = 256, /* bytes; luks_hash_find() gives none that needs more */
};

enum luks_chain { LUKS_ECB, LUKS_CBC, LUKS_CTR, LUKS_XTS, LUKS_CHAIN_COUNT };
enum luks_ivgen { LUKS_PLAIN, LUKS_PLAIN64, LUKS_ESSIV, LUKS_IVGEN_COUNT };

struct luks_alg {
    const char *name, *family; /* "aes-256", and "aes" as the header says */
    const struct nettle_cipher *cipher;
};

struct luks_spec {
    const struct luks_alg *alg;
    enum luks_chain chain;
    enum luks_ivgen ivgen;
    const struct nettle_hash *iv_hash; /* of essiv, else NULL */
};

extern const char *const luks_chain_names[], *const luks_ivgen_names[];

/* From the names that options use; NULL is the default. */
bool luks_spec_make(struct luks_spec *s, const char *alg, const char *chain, const char *ivgen,
                    const char *iv_hash, struct error *err) MUST_CHECK;
/* From a header: "aes", "xts-plain64", 64. */
bool luks_spec_parse(struct luks_spec *s, const char *family, const char *mode, size_t key_len,
                     struct error *err) MUST_CHECK;
/* The header's cipherMode; ret has 32 bytes. */
void luks_spec_mode(const struct luks_spec *s, char ret[32]);
size_t luks_spec_key_len(const struct luks_spec *s);

const struct nettle_hash *luks_hash_find(const char *name, struct error *err);

/* A key set up; constant, so that any number of threads use it. */
struct luks_cipher;
struct luks_cipher *luks_cipher_new(const struct luks_spec *s, const void *key, struct error *err);
void luks_cipher_free(struct luks_cipher *c); /* wipes; NULL is fine */
/* Whole sectors; dst may be src. sector is the number of the first. */
void luks_cipher_encrypt(const struct luks_cipher *c, uint64_t sector, void *dst, const void *src,
                         size_t len);
void luks_cipher_decrypt(const struct luks_cipher *c, uint64_t sector, void *dst, const void *src,
                         size_t len);

void luks_pbkdf2(const struct nettle_hash *h, const void *password, size_t password_len,
                 const void *salt, size_t salt_len, uint32_t iterations, void *ret, size_t ret_len);
/* Iterations that take ms of CPU time here and give ret_len bytes; at least 1000. */
uint32_t luks_pbkdf2_calibrate(const struct nettle_hash *h, size_t ret_len, uint64_t ms);

/* The anti-forensic splitter (LUKS 1 specification, 2.4): key of len bytes to and from
 * len * LUKS_STRIPES bytes. split takes random bytes: all but the last stripe are filled already.
 */
void luks_af_split(const struct nettle_hash *h, const void *key, size_t len, void *material);
void luks_af_merge(const struct nettle_hash *h, const void *material, size_t len, void *key);

#endif
