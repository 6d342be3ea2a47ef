/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/luks.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/secret.h"
#include "disk/luks_priv.h"

enum { DEFAULT_ITER_MS = 2000, MASTER_KEY_SHARE = 8 /* of the time for a slot */ };

static struct luks *luks_new(const struct luks_store *s)
{
    struct luks *l = xnew(struct luks);

    l->store = *s;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void luks_free(struct luks *l)
{
    if (!l)
        return;
    luks_cipher_free(l->cipher);
    pthread_mutex_destroy(&l->lock);
    explicit_bzero(l, sizeof(*l));
    free(l);
}

static bool unlock_with(struct luks *l, struct object_set *objects, const char *key_secret,
                        struct error *err)
{
    char *password;
    size_t len;
    int slot;

    if (!secret_get(objects, key_secret, &password, &len, err))
        return false;
    slot = luks_unlock(l, password, len, l->key, err);
    secret_free(password, len);
    return slot >= 0 && (l->cipher = luks_cipher_new(&l->h.spec, l->key, err)) != NULL;
}

struct luks *luks_open(const struct luks_store *s, struct object_set *objects,
                       const char *key_secret, struct error *err)
{
    struct luks *l = luks_new(s);
    uint8_t buf[LUKS_HEADER_SIZE];
    int r = s->read(s->opaque, 0, buf, sizeof(buf));

    if (r < 0)
        fail(err, -r, "Unable to read LUKS header: %s", strerror(-r));
    else if (luks_header_parse(&l->h, buf, err) &&
             (!key_secret || unlock_with(l, objects, key_secret, err)))
        return l;
    luks_free(l);
    return NULL;
}

static uint32_t payload_sector(uint32_t key_len)
{
    return LUKS_ALIGN_SECTORS + LUKS_SLOTS * luks_slot_sectors(key_len);
}

static bool make_spec(const struct luks_create *c, struct luks_spec *spec,
                      const struct nettle_hash **hash, struct error *err)
{
    return luks_spec_make(spec, c->cipher_alg, c->cipher_mode, c->ivgen_alg, c->ivgen_hash_alg,
                          err) &&
           (*hash = luks_hash_find(c->hash_alg ? c->hash_alg : "sha256", err));
}

bool luks_header_size(const struct luks_create *c, uint64_t *ret, struct error *err)
{
    const struct nettle_hash *hash;
    struct luks_spec spec;

    if (!make_spec(c, &spec, &hash, err))
        return false;
    *ret = (uint64_t)payload_sector((uint32_t)luks_spec_key_len(&spec)) * LUKS_SECTOR;
    return true;
}

/* Version 4 (random) of RFC 4122. */
static bool make_uuid(char *ret, struct error *err)
{
    uint8_t b[16];

    if (!luks_random(b, sizeof(b), err))
        return false;
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *ret++ = '-';
        ret += sprintf(ret, "%02x", b[i]);
    }
    return true;
}

static bool fill_header(struct luks *l, const struct luks_create *c, uint64_t ms, struct error *err)
{
    struct luks_header *h = &l->h;

    if (!make_spec(c, &h->spec, &h->hash, err))
        return false;
    h->key_len = (uint32_t)luks_spec_key_len(&h->spec);
    h->payload_sector = payload_sector(h->key_len);
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        h->slots[i].key_sector = LUKS_ALIGN_SECTORS + i * luks_slot_sectors(h->key_len);
        h->slots[i].stripes = LUKS_STRIPES;
    }
    if (!make_uuid(h->uuid, err) || !luks_random(l->key, h->key_len, err) ||
        !luks_random(h->mk_salt, LUKS_SALT, err))
        return false;
    h->mk_iterations = luks_pbkdf2_calibrate(h->hash, LUKS_DIGEST, ms / MASTER_KEY_SHARE);
    luks_pbkdf2(h->hash, l->key, h->key_len, h->mk_salt, LUKS_SALT, h->mk_iterations, h->mk_digest,
                LUKS_DIGEST);
    return (l->cipher = luks_cipher_new(&h->spec, l->key, err)) != NULL;
}

struct luks *luks_create(const struct luks_store *s, const struct luks_create *c,
                         struct object_set *objects, const char *key_secret, struct error *err)
{
    uint64_t ms = c->iter_time_ms ? c->iter_time_ms : DEFAULT_ITER_MS;
    struct luks *l;
    char *password;
    size_t len;
    bool ok;

    if (!key_secret) {
        fail(err, EINVAL, "Parameter 'key-secret' is required for cipher");
        fail_hint(err, "--object secret,id=sec0,file=PASSWORD and key-secret=sec0");
        return NULL;
    }
    if (!secret_get(objects, key_secret, &password, &len, err))
        return NULL;
    l = luks_new(s);
    ok = fill_header(l, c, ms, err) && luks_slot_set(l, 0, password, len, ms, err);
    secret_free(password, len);
    if (ok)
        return l;
    luks_free(l);
    return NULL;
}

uint64_t luks_payload_offset(const struct luks *l)
{
    return (uint64_t)l->h.payload_sector * LUKS_SECTOR;
}

int luks_decrypt(struct luks *l, uint64_t offset, void *buf, size_t len)
{
    if (!l->cipher)
        return -EACCES;
    if ((offset | len) % LUKS_SECTOR)
        return -EINVAL;
    luks_cipher_decrypt(l->cipher, offset / LUKS_SECTOR, buf, buf, len);
    return 0;
}

int luks_encrypt_to(struct luks *l, uint64_t offset, void *dst, const void *src, size_t len)
{
    if (!l->cipher)
        return -EACCES;
    if ((offset | len) % LUKS_SECTOR)
        return -EINVAL;
    luks_cipher_encrypt(l->cipher, offset / LUKS_SECTOR, dst, src, len);
    return 0;
}

int luks_encrypt(struct luks *l, uint64_t offset, void *buf, size_t len)
{
    return luks_encrypt_to(l, offset, buf, buf, len);
}

static json_t *slots_info(const struct luks_header *h)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        const struct luks_slot *s = &h->slots[i];
        json_t *o = json_object();

        json_object_set_new(o, "active", json_boolean(s->active));
        if (s->active)
            json_object_set_new(o, "iters", json_integer(s->iterations));
        json_object_set_new(o, "key-offset", json_integer((json_int_t)s->key_sector * LUKS_SECTOR));
        if (s->active)
            json_object_set_new(o, "stripes", json_integer(s->stripes));
        json_array_append_new(list, o);
    }
    return list;
}

json_t *luks_info(const struct luks *l)
{
    const struct luks_header *h = &l->h;
    json_t *o = json_object();

    json_object_set_new(o, "ivgen-alg", json_string(luks_ivgen_names[h->spec.ivgen]));
    json_object_set_new(o, "hash-alg", json_string(h->hash->name));
    json_object_set_new(o, "cipher-alg", json_string(h->spec.alg->name));
    json_object_set_new(o, "uuid", json_string(h->uuid));
    if (h->spec.iv_hash)
        json_object_set_new(o, "ivgen-hash-alg", json_string(h->spec.iv_hash->name));
    json_object_set_new(o, "cipher-mode", json_string(luks_chain_names[h->spec.chain]));
    json_object_set_new(o, "slots", slots_info(h));
    json_object_set_new(o, "payload-offset", json_integer((json_int_t)luks_payload_offset(l)));
    json_object_set_new(o, "master-key-iters", json_integer(h->mk_iterations));
    return o;
}
