/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <gnutls/crypto.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/secret.h"
#include "disk/luks_priv.h"

bool luks_random(void *buf, size_t len, struct error *err)
{
    int r = gnutls_rnd(GNUTLS_RND_KEY, buf, len);

    return r >= 0 || fail(err, EIO, "no random bytes: %s", gnutls_strerror(r));
}

bool luks_write_header(struct luks *l, struct error *err)
{
    uint8_t buf[LUKS_HEADER_SIZE];
    int r;

    luks_header_pack(&l->h, buf);
    r = l->store.write(l->store.opaque, 0, buf, sizeof(buf));
    return r >= 0 || fail(err, -r, "Unable to write the LUKS header: %s", strerror(-r));
}

/* The key material in the file: whole sectors. */
static size_t material_len(const struct luks_header *h)
{
    return ALIGN_UP(h->key_len * LUKS_STRIPES, LUKS_SECTOR);
}

/* Sets up the cipher that the password and a slot's salt give. */
static struct luks_cipher *slot_cipher(const struct luks_header *h, const struct luks_slot *s,
                                       const char *password, size_t len, struct error *err)
{
    uint8_t key[LUKS_MAX_KEY];
    struct luks_cipher *c;

    luks_pbkdf2(h->hash, password, len, s->salt, LUKS_SALT, s->iterations, key, h->key_len);
    c = luks_cipher_new(&h->spec, key, err);
    explicit_bzero(key, sizeof(key));
    return c;
}

static bool key_matches(const struct luks_header *h, const uint8_t *key)
{
    uint8_t digest[LUKS_DIGEST], diff = 0;

    luks_pbkdf2(h->hash, key, h->key_len, h->mk_salt, LUKS_SALT, h->mk_iterations, digest,
                sizeof(digest));
    for (unsigned i = 0; i < LUKS_DIGEST; i++)
        diff |= digest[i] ^ h->mk_digest[i];
    return !diff;
}

int luks_slot_unlock(struct luks *l, unsigned i, const char *password, size_t len,
                     uint8_t ret[LUKS_MAX_KEY])
{
    const struct luks_slot *s = &l->h.slots[i];
    size_t size = material_len(&l->h);
    struct error ignored;
    struct luks_cipher *c;
    uint8_t *material;
    int r;

    if (!s->active)
        return 0;
    material = xcalloc(1, size);
    r = l->store.read(l->store.opaque, (uint64_t)s->key_sector * LUKS_SECTOR, material, size);
    if (r >= 0 && (c = slot_cipher(&l->h, s, password, len, &ignored))) {
        luks_cipher_decrypt(c, 0, material, material, size);
        luks_cipher_free(c);
        luks_af_merge(l->h.hash, material, l->h.key_len, ret);
        r = key_matches(&l->h, ret);
        if (!r)
            explicit_bzero(ret, LUKS_MAX_KEY);
    }
    secret_free((char *)material, size);
    return r;
}

int luks_unlock(struct luks *l, const char *password, size_t len, uint8_t ret[LUKS_MAX_KEY],
                struct error *err)
{
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        int r = luks_slot_unlock(l, i, password, len, ret);

        if (r < 0) {
            fail(err, -r, "Unable to read key slot %u: %s", i, strerror(-r));
            return -1;
        }
        if (r)
            return (int)i;
    }
    fail(err, EACCES, "Invalid password, cannot unlock any keyslot");
    return -1;
}

bool luks_slot_set(struct luks *l, unsigned i, const char *password, size_t len,
                   uint64_t iter_time_ms, struct error *err)
{
    struct luks_slot *s = &l->h.slots[i], old = *s;
    size_t size = material_len(&l->h);
    struct luks_cipher *c = NULL;
    uint8_t *material = xcalloc(1, size);
    bool ok;
    int r;

    s->iterations = luks_pbkdf2_calibrate(l->h.hash, l->h.key_len, iter_time_ms);
    ok = luks_random(s->salt, LUKS_SALT, err) &&
         luks_random(material, (LUKS_STRIPES - 1) * l->h.key_len, err) &&
         (c = slot_cipher(&l->h, s, password, len, err));
    if (ok) {
        luks_af_split(l->h.hash, l->key, l->h.key_len, material);
        luks_cipher_encrypt(c, 0, material, material, size);
        luks_cipher_free(c);
        r = l->store.write(l->store.opaque, (uint64_t)s->key_sector * LUKS_SECTOR, material, size);
        ok = r >= 0 || fail(err, -r, "Unable to write key slot %u: %s", i, strerror(-r));
    }
    secret_free((char *)material, size);
    if (ok) {
        s->active = true; /* the header says so once the material is there */
        s->stripes = LUKS_STRIPES;
        ok = luks_write_header(l, err);
    }
    if (!ok)
        *s = old;
    return ok;
}

bool luks_slot_clear(struct luks *l, unsigned i, struct error *err)
{
    struct luks_slot *s = &l->h.slots[i], old = *s;
    size_t size = material_len(&l->h);
    uint8_t *junk;
    bool ok = true;
    int r;

    s->active = false;
    s->iterations = 0;
    memset(s->salt, 0, sizeof(s->salt));
    if (!luks_write_header(l, err)) {
        *s = old;
        return false;
    }
    junk = xcalloc(1, size);
    for (unsigned pass = 0; ok && pass < 2; pass++) { /* random, then random again */
        ok = luks_random(junk, size, err);
        r = ok ? l->store.write(l->store.opaque, (uint64_t)s->key_sector * LUKS_SECTOR, junk, size)
               : 0;
        if (r < 0)
            ok = fail(err, -r, "Unable to wipe key slot %u: %s", i, strerror(-r));
    }
    free(junk);
    return ok;
}

static int free_slot(const struct luks *l)
{
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        if (!l->h.slots[i].active)
            return (int)i;
    }
    return -1;
}

static unsigned active_slots(const struct luks *l)
{
    unsigned n = 0;

    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        n += l->h.slots[i].active;
    return n;
}

static bool check_slot_number(int i, struct error *err)
{
    return (i >= -1 && i < LUKS_SLOTS) ||
           fail(err, EINVAL, "Invalid keyslot %d: there are 0 to %d", i, LUKS_SLOTS - 1);
}

bool luks_add_key(struct luks *l, struct object_set *objects, const char *new_secret, int keyslot,
                  uint64_t iter_time_ms, bool force, struct error *err)
{
    char *password;
    size_t len;
    bool ok = true;

    if (!check_slot_number(keyslot, err))
        return false;
    if (!l->cipher)
        return fail(err, EACCES, "the image is not unlocked") ||
               fail_hint(err, "give the secret of one of its keys with key-secret");
    if (!secret_get(objects, new_secret, &password, &len, err))
        return false;
    WITH_LOCK (&l->lock) {
        if (keyslot < 0 && (keyslot = free_slot(l)) < 0)
            ok = fail(err, EBUSY, "Can't add a keyslot - all keyslots are in use");
        else if (l->h.slots[keyslot].active && !force)
            ok = fail(err, EBUSY, "Refusing to overwrite active keyslot %d - please erase it first",
                      keyslot);
        ok = ok && luks_slot_set(l, (unsigned)keyslot, password, len,
                                 iter_time_ms ? iter_time_ms : 2000, err);
    }
    secret_free(password, len);
    return ok;
}

/* Bits of the slots that the password opens. */
static bool find_matching(struct luks *l, const char *password, size_t len, int keyslot,
                          unsigned *ret, struct error *err)
{
    uint8_t key[LUKS_MAX_KEY];

    *ret = 0;
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        int r =
            keyslot >= 0 && i != (unsigned)keyslot ? 0 : luks_slot_unlock(l, i, password, len, key);

        explicit_bzero(key, sizeof(key));
        if (r < 0)
            return fail(err, -r, "Unable to read key slot %u: %s", i, strerror(-r));
        *ret |= r ? 1u << i : 0;
    }
    return *ret || fail(err, ENOENT, "No keyslots match given (old) password for erase operation");
}

static bool remove_locked(struct luks *l, unsigned which, bool force, struct error *err)
{
    unsigned n = 0;

    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        n += which >> i & l->h.slots[i].active;
    if (n && n == active_slots(l) && !force)
        return fail(err, EBUSY,
                    "Refusing to erase the last active keyslot: all data would be lost "
                    "irreversibly") ||
               fail_hint(err, "add another key first, or use --force");
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        if (which >> i & 1 && !luks_slot_clear(l, i, err))
            return false;
    }
    return true;
}

bool luks_remove_key(struct luks *l, struct object_set *objects, const char *old_secret,
                     int keyslot, bool force, struct error *err)
{
    unsigned which = keyslot >= 0 ? 1u << keyslot : 0;
    char *password = NULL;
    size_t len = 0;
    bool ok = true;

    if (!check_slot_number(keyslot, err))
        return false;
    if (keyslot < 0 && !old_secret)
        return fail(err, EINVAL, "To erase a key its slot or its old secret must be given");
    if (old_secret && !secret_get(objects, old_secret, &password, &len, err))
        return false;
    WITH_LOCK (&l->lock) {
        if (keyslot >= 0 && !l->h.slots[keyslot].active && !force)
            ok = fail(err, ENOENT, "Given keyslot %d is already erased (inactive)", keyslot);
        ok = ok && (!password || find_matching(l, password, len, keyslot, &which, err)) &&
             remove_locked(l, which, force, err);
    }
    secret_free(password, len);
    return ok;
}
