/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/reader.h"
#include "disk/luks_priv.h"

static const uint8_t magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };
enum { SLOT_ENABLED = 0x00ac71f3, SLOT_DISABLED = 0x0000dead };

/* A guess takes as many rounds as the header says: more would hang whoever opens the image. At
 * 3 million a second (one core of 2023) this is a minute and a half. */
#define MAX_ITERATIONS (UINT32_C(1) << 28)

uint32_t luks_slot_sectors(uint32_t key_len)
{
    return ALIGN_UP((key_len * LUKS_STRIPES + LUKS_SECTOR - 1) / LUKS_SECTOR, LUKS_ALIGN_SECTORS);
}

/* Text of n bytes that must have its zero byte among them; ret has n bytes. */
static void text_field(struct reader *r, char *ret, size_t n)
{
    rd_bytes(r, ret, n);
    if (ret[n - 1])
        r->bad = true;
    ret[n - 1] = 0;
}

static bool check_slot(const struct luks_header *h, unsigned i, struct error *err)
{
    const struct luks_slot *s = &h->slots[i];
    uint32_t sectors = (h->key_len * LUKS_STRIPES + LUKS_SECTOR - 1) / LUKS_SECTOR;
    uint64_t end = (uint64_t)s->key_sector + sectors;

    if (s->stripes != LUKS_STRIPES)
        return fail(err, EINVAL, "Keyslot %u is corrupted (stripes count %u is not %u)", i,
                    s->stripes, LUKS_STRIPES);
    if ((uint64_t)s->key_sector * LUKS_SECTOR < LUKS_HEADER_SIZE)
        return fail(err, EINVAL, "Keyslot %u is corrupted (it overlaps with the LUKS header)", i);
    if (h->payload_sector && end > h->payload_sector)
        return fail(err, EINVAL, "Keyslot %u is corrupted (it overlaps with the encrypted payload)",
                    i);
    if (s->active && (!s->iterations || s->iterations > MAX_ITERATIONS))
        return fail(err, EINVAL, "Keyslot %u is corrupted (%u iterations)", i, s->iterations);
    for (unsigned k = 0; k < i; k++) {
        if (s->key_sector < (uint64_t)h->slots[k].key_sector + sectors &&
            h->slots[k].key_sector < end)
            return fail(err, EINVAL, "Keyslots %u and %u are overlapping in the header", k, i);
    }
    return true;
}

static bool read_slots(struct luks_header *h, struct reader *r, struct error *err)
{
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        struct luks_slot *s = &h->slots[i];
        uint32_t active = rd_be32(r);

        if (active != SLOT_ENABLED && active != SLOT_DISABLED)
            return fail(err, EINVAL, "Keyslot %u state is corrupted", i);
        s->active = active == SLOT_ENABLED;
        s->iterations = rd_be32(r);
        rd_bytes(r, s->salt, sizeof(s->salt));
        s->key_sector = rd_be32(r);
        s->stripes = rd_be32(r);
        if (!check_slot(h, i, err))
            return false;
    }
    return true;
}

bool luks_header_parse(struct luks_header *h, const uint8_t buf[LUKS_HEADER_SIZE],
                       struct error *err)
{
    struct reader r = reader(buf, LUKS_HEADER_SIZE);
    const void *m = rd_take(&r, sizeof(magic));
    char family[32], mode[32], hash[32];
    uint16_t version = rd_be16(&r);

    *h = (struct luks_header){ 0 };
    if (memcmp(m, magic, sizeof(magic)) != 0)
        return fail(err, EINVAL, "Volume is not in LUKS format");
    if (version != 1) {
        fail(err, ENOTSUP, "LUKS version %u is not supported", version);
        return version == 2 ? fail_hint(err, "cryptsetup convert --type luks1 may help") : false;
    }
    text_field(&r, family, sizeof(family));
    text_field(&r, mode, sizeof(mode));
    text_field(&r, hash, sizeof(hash));
    h->payload_sector = rd_be32(&r);
    h->key_len = rd_be32(&r);
    rd_bytes(&r, h->mk_digest, LUKS_DIGEST);
    rd_bytes(&r, h->mk_salt, LUKS_SALT);
    h->mk_iterations = rd_be32(&r);
    text_field(&r, h->uuid, LUKS_UUID);
    if (!rd_ok(&r))
        return fail(err, EINVAL, "LUKS header is corrupted: a name in it has no end");
    if (!luks_spec_parse(&h->spec, family, mode, h->key_len, err) ||
        !(h->hash = luks_hash_find(hash, err)))
        return false;
    if (!h->mk_iterations || h->mk_iterations > MAX_ITERATIONS)
        return fail(err, EINVAL, "LUKS key iteration count %u is out of range", h->mk_iterations);
    return read_slots(h, &r, err);
}

/* Copies text, padded with zero bytes. */
static void put_text(uint8_t *dst, const char *text, size_t n)
{
    size_t len = strlen(text);

    memset(dst, 0, n);
    memcpy(dst, text, MIN(len, n - 1));
}

void luks_header_pack(const struct luks_header *h, uint8_t buf[LUKS_HEADER_SIZE])
{
    char mode[32];

    memset(buf, 0, LUKS_HEADER_SIZE);
    memcpy(buf, magic, sizeof(magic));
    st_be16(buf + 6, 1);
    luks_spec_mode(&h->spec, mode);
    put_text(buf + 8, h->spec.alg->family, 32);
    put_text(buf + 40, mode, 32);
    put_text(buf + 72, h->hash->name, 32);
    st_be32(buf + 104, h->payload_sector);
    st_be32(buf + 108, h->key_len);
    memcpy(buf + 112, h->mk_digest, LUKS_DIGEST);
    memcpy(buf + 132, h->mk_salt, LUKS_SALT);
    st_be32(buf + 164, h->mk_iterations);
    put_text(buf + 168, h->uuid, LUKS_UUID);
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        const struct luks_slot *s = &h->slots[i];
        uint8_t *p = buf + 208 + i * 48;

        st_be32(p, s->active ? SLOT_ENABLED : SLOT_DISABLED);
        st_be32(p + 4, s->iterations);
        memcpy(p + 8, s->salt, LUKS_SALT);
        st_be32(p + 40, s->key_sector);
        st_be32(p + 44, s->stripes);
    }
}
