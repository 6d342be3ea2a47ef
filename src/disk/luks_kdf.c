/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <nettle/hmac.h>
#include <nettle/pbkdf2.h>
#include <stdalign.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "disk/luks_cipher.h"

enum { MIN_ITERATIONS = 1000 };

struct hmac {
    const struct nettle_hash *hash;
    alignas(16) uint8_t outer[LUKS_HASH_CONTEXT], inner[LUKS_HASH_CONTEXT],
        state[LUKS_HASH_CONTEXT];
};

static void mac_update(void *ctx, size_t len, const uint8_t *data)
{
    struct hmac *m = ctx;

    nettle_hmac_update(m->state, m->hash, len, data);
}

static void mac_digest(void *ctx, size_t len, uint8_t *ret)
{
    struct hmac *m = ctx;

    nettle_hmac_digest(m->outer, m->inner, m->state, m->hash, len, ret);
}

void luks_pbkdf2(const struct nettle_hash *h, const void *password, size_t password_len,
                 const void *salt, size_t salt_len, uint32_t iterations, void *ret, size_t ret_len)
{
    struct hmac m = { .hash = h };

    nettle_hmac_set_key(m.outer, m.inner, m.state, h, password_len, password);
    nettle_pbkdf2(&m, mac_update, mac_digest, h->digest_size, iterations, salt_len, salt, ret_len,
                  ret);
    explicit_bzero(&m, sizeof(m));
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint32_t luks_pbkdf2_calibrate(const struct nettle_hash *h, size_t ret_len, uint64_t ms)
{
    uint64_t enough_ns = MIN(MAX(ms, UINT64_C(4)) * 250000, UINT64_C(100000000));
    uint64_t n = 1000, ns;
    uint8_t out[LUKS_MAX_KEY];
    double want;

    for (;; n *= 2) {
        uint64_t start = cpu_ns();

        luks_pbkdf2(h, "password", 8, "salt", 4, (uint32_t)n, out, ret_len);
        ns = cpu_ns() - start;
        if (ns >= enough_ns || n > UINT32_MAX / 4)
            break;
    }
    want = (double)n * (double)ms * 1e6 / (double)MAX(ns, UINT64_C(1));
    return want < MIN_ITERATIONS ? MIN_ITERATIONS : want > UINT32_MAX ? UINT32_MAX : (uint32_t)want;
}

/* Each digest-sized piece of the block becomes the hash of its number and itself. */
static void diffuse(const struct nettle_hash *h, uint8_t *block, size_t len)
{
    alignas(16) uint8_t ctx[LUKS_HASH_CONTEXT];
    uint8_t number[4];
    size_t done = 0;

    for (uint32_t i = 0; done < len; i++) {
        size_t n = MIN(len - done, (size_t)h->digest_size);

        st_be32(number, i);
        h->init(ctx);
        h->update(ctx, sizeof(number), number);
        h->update(ctx, n, block + done);
        h->digest(ctx, n, block + done);
        done += n;
    }
    explicit_bzero(ctx, sizeof(ctx));
}

static void xor_into(uint8_t *dst, const uint8_t *src, size_t len)
{
    for (size_t i = 0; i < len; i++)
        dst[i] ^= src[i];
}

/* All stripes but the last, folded. */
static void fold(const struct nettle_hash *h, const uint8_t *material, size_t len, uint8_t *ret)
{
    memset(ret, 0, len);
    for (unsigned i = 0; i < LUKS_STRIPES - 1; i++) {
        xor_into(ret, material + i * len, len);
        diffuse(h, ret, len);
    }
}

void luks_af_split(const struct nettle_hash *h, const void *key, size_t len, void *material)
{
    uint8_t *last = (uint8_t *)material + (LUKS_STRIPES - 1) * len;

    fold(h, material, len, last);
    xor_into(last, key, len);
}

void luks_af_merge(const struct nettle_hash *h, const void *material, size_t len, void *key)
{
    fold(h, material, len, key);
    xor_into(key, (const uint8_t *)material + (LUKS_STRIPES - 1) * len, len);
}
