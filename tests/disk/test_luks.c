/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUKS over a piece of memory: each cipher there and back, keys added and removed, damage refused.
 */
#include "test.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/endian.h"
#include "disk/luks.h"
#include "disk/luks_priv.h"

enum { IMAGE = 3 << 20 };

static int mem_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
    if (offset > IMAGE || len > IMAGE - offset)
        return -EIO;
    memcpy(buf, (uint8_t *)opaque + offset, len);
    return 0;
}

static int mem_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
    if (offset > IMAGE || len > IMAGE - offset)
        return -EIO;
    memcpy((uint8_t *)opaque + offset, buf, len);
    return 0;
}

struct rig {
    uint8_t *image;
    struct luks_store store;
    struct object_set *objects;
    struct error err;
};

static void add_object(struct rig *r, const char *text)
{
    if (!object_add(r->objects, text, &r->err))
        TEST_FAIL("%s: %s", text, r->err.msg);
}

static void rig_init(struct rig *r)
{
    *r = (struct rig){ .image = calloc(1, IMAGE), .objects = object_set_new() };
    r->store = (struct luks_store){ mem_read, mem_write, r->image };
    add_object(r, "secret,id=a,data=first");
    add_object(r, "secret,id=b,data=second");
    add_object(r, "secret,id=c,data=third");
}

static void rig_finish(struct rig *r)
{
    free(r->image);
    object_set_free(r->objects);
}

static struct luks *make(struct rig *r, struct luks_create c)
{
    struct luks *l;

    c.iter_time_ms = 1;
    l = luks_create(&r->store, &c, r->objects, "a", &r->err);
    if (!l)
        TEST_FAIL("create: %s", r->err.msg);
    return l;
}

static bool opens(struct rig *r, const char *secret)
{
    struct luks *l = luks_open(&r->store, r->objects, secret, &r->err);

    luks_free(l);
    return l != NULL;
}

/* Plain data there and back through two openings; each sector differs from the next. */
static void round_trip(struct rig *r, struct luks *l, const char *what, bool has_iv)
{
    static uint8_t plain[37 * LUKS_SECTOR], data[37 * LUKS_SECTOR];
    struct luks *again = luks_open(&r->store, r->objects, "a", &r->err);

    if (!again) {
        TEST_FAIL("%s: open: %s", what, r->err.msg);
        return;
    }
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)(i % LUKS_SECTOR * 7);
    CHECK_EQ(luks_encrypt_to(l, 5 * LUKS_SECTOR, data, plain, sizeof(data)), 0);
    if (!memcmp(data, plain, 64))
        TEST_FAIL("%s: data is stored as it is", what);
    if (has_iv && !memcmp(data, data + LUKS_SECTOR, LUKS_SECTOR))
        TEST_FAIL("%s: equal sectors look alike", what);
    /* the last sectors alone, then the first */
    CHECK_EQ(luks_decrypt(again, 35 * LUKS_SECTOR, data + 30 * LUKS_SECTOR, 7 * LUKS_SECTOR), 0);
    CHECK_EQ(luks_decrypt(again, 5 * LUKS_SECTOR, data, 30 * LUKS_SECTOR), 0);
    if (memcmp(data, plain, sizeof(plain)))
        TEST_FAIL("%s: what comes back differs", what);
    CHECK_EQ(luks_decrypt(again, 100, data, LUKS_SECTOR), -EINVAL);
    luks_free(again);
}

TEST(all_ciphers)
{
    static const struct luks_create all[] = {
        { 0 },
        { "aes-192" },
        { "aes-128" },
        { "serpent-256" },
        { "twofish-256", "xts", "plain" },
        { "twofish-128", "cbc", "essiv", "sha256" },
        { "serpent-192", "cbc", "plain" },
        { "cast5-128", "cbc", "plain64" },
        { "cast5-128", "ctr", "plain64" },
        { "aes-256", "ctr", "plain64" },
        { "aes-256", "ecb", "plain64" },
        { "aes-128", "cbc", "essiv", "sha256" },
        { "aes-256", "xts", "plain64", NULL, "sha1" },
        { "aes-256", "xts", "plain64", NULL, "sha512" },
        { "aes-256", "xts", "plain64", NULL, "ripemd160" },
        { "aes-256", "xts", "essiv", "sha256", "sha384" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        struct rig r;
        struct luks *l;
        uint64_t size;
        char what[80];

        rig_init(&r);
        snprintf(what, sizeof(what), "%u %s %s", i, all[i].cipher_alg ? all[i].cipher_alg : "",
                 all[i].cipher_mode ? all[i].cipher_mode : "");
        CHECK(luks_header_size(&all[i], &size, &r.err));
        if ((l = make(&r, all[i]))) {
            CHECK_EQ(luks_payload_offset(l), size);
            round_trip(&r, l, what, !all[i].cipher_mode || strcmp(all[i].cipher_mode, "ecb"));
        }
        luks_free(l);
        rig_finish(&r);
    }
}

TEST(xts_as_gnutls)
{
    uint8_t key[64], plain[8 * LUKS_SECTOR], ours[8 * LUKS_SECTOR], theirs[8 * LUKS_SECTOR];
    gnutls_datum_t k = { key, 64 }, iv = { NULL, 16 };
    struct luks_spec spec;
    struct luks_cipher *c;
    gnutls_cipher_hd_t h;
    struct error err;

    for (unsigned i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)(i * 29 + 3);
    for (unsigned i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)(i * i >> 3);
    CHECK(luks_spec_make(&spec, "aes-256", "xts", "plain64", NULL, &err));
    c = luks_cipher_new(&spec, key, &err);
    luks_cipher_encrypt(c, UINT64_C(0x123456789a), ours, plain, sizeof(plain));
    memcpy(theirs, plain, sizeof(plain));
    for (unsigned i = 0; i < 8; i++) {
        uint8_t v[16] = { 0 };

        st_le64(v, UINT64_C(0x123456789a) + i);
        iv.data = v;
        CHECK_EQ(gnutls_cipher_init(&h, GNUTLS_CIPHER_AES_256_XTS, &k, &iv), 0);
        CHECK_EQ(gnutls_cipher_encrypt(h, theirs + i * LUKS_SECTOR, LUKS_SECTOR), 0);
        gnutls_cipher_deinit(h);
    }
    CHECK_MEM(ours, theirs, sizeof(ours));
    luks_cipher_free(c);
}

TEST(keys)
{
    struct rig r;
    struct luks *l;

    rig_init(&r);
    l = make(&r, (struct luks_create){ 0 });
    CHECK(opens(&r, "a"));
    CHECK(!opens(&r, "b"));
    CHECK_STR(r.err.msg, "Invalid password, cannot unlock any keyslot");
    CHECK(luks_add_key(l, r.objects, "b", -1, 1, false, &r.err));
    CHECK(luks_add_key(l, r.objects, "c", 7, 1, false, &r.err));
    CHECK(opens(&r, "a") && opens(&r, "b") && opens(&r, "c"));
    CHECK(!luks_add_key(l, r.objects, "c", 1, 1, false, &r.err));
    CHECK(strstr(r.err.msg, "Refusing to overwrite active keyslot 1"));
    CHECK(!luks_add_key(l, r.objects, "c", 8, 1, false, &r.err));
    CHECK(luks_add_key(l, r.objects, "c", 1, 1, true, &r.err));
    CHECK(!opens(&r, "b"));
    CHECK(luks_remove_key(l, r.objects, "c", -1, false, &r.err));
    CHECK(!opens(&r, "c") && opens(&r, "a"));
    CHECK(!luks_remove_key(l, r.objects, "b", -1, false, &r.err));
    CHECK(!luks_remove_key(l, r.objects, NULL, 0, false, &r.err));
    CHECK(strstr(r.err.msg, "last active keyslot"));
    CHECK(luks_remove_key(l, r.objects, NULL, 0, true, &r.err));
    CHECK(!opens(&r, "a"));
    /* the key is still in memory: it can be put back */
    CHECK(luks_add_key(l, r.objects, "b", -1, 1, false, &r.err));
    CHECK(opens(&r, "b"));
    luks_free(l);
    rig_finish(&r);
}

TEST(slots_run_out)
{
    struct rig r;
    struct luks *l;

    rig_init(&r);
    l = make(&r, (struct luks_create){ "aes-128", "cbc", "plain64" });
    for (unsigned i = 1; i < LUKS_SLOTS; i++)
        CHECK(luks_add_key(l, r.objects, "b", -1, 1, false, &r.err));
    CHECK(!luks_add_key(l, r.objects, "b", -1, 1, false, &r.err));
    CHECK(luks_remove_key(l, r.objects, "b", -1, false, &r.err));
    CHECK(opens(&r, "a") && !opens(&r, "b"));
    luks_free(l);
    rig_finish(&r);
}

TEST(locked_image)
{
    struct rig r;
    struct luks *l;
    uint8_t sector[LUKS_SECTOR] = { 0 };
    json_t *info;

    rig_init(&r);
    luks_free(make(&r, (struct luks_create){ "aes-256", "cbc", "essiv", "sha256" }));
    l = luks_open(&r.store, NULL, NULL, &r.err);
    CHECK(l != NULL);
    CHECK_EQ(luks_decrypt(l, 0, sector, LUKS_SECTOR), -EACCES);
    CHECK(!luks_add_key(l, r.objects, "b", -1, 1, false, &r.err));
    info = luks_info(l);
    CHECK_STR(json_string_value(json_object_get(info, "cipher-alg")), "aes-256");
    CHECK_STR(json_string_value(json_object_get(info, "cipher-mode")), "cbc");
    CHECK_STR(json_string_value(json_object_get(info, "ivgen-alg")), "essiv");
    CHECK_STR(json_string_value(json_object_get(info, "ivgen-hash-alg")), "sha256");
    CHECK_EQ(json_array_size(json_object_get(info, "slots")), LUKS_SLOTS);
    json_decref(info);
    luks_free(l);
    CHECK(!luks_open(&r.store, r.objects, "nobody", &r.err));
    CHECK_STR(r.err.msg, "No secret with id 'nobody'");
    rig_finish(&r);
}

/* Each field of the header spoilt: refused, and nothing is read outside the image. */
TEST(damaged_headers)
{
    static const struct {
        unsigned offset;
        uint32_t value;
        const char *says;
    } cases[] = {
        { 0, 0, "not in LUKS format" },
        { 4, 0xbabe0002, "version 2" },
        { 8, 0x61627800, "is not supported" },
        { 40, 0x61627800, "cipher mode" },
        { 72, 0x61627800, "hash" },
        { 108, 0, "key of 0 bytes" },
        { 108, 0xffffffff, "is not supported" },
        { 164, 0, "iteration count" },
        { 164, 0xffffffff, "iteration count" },
        { 208, 1, "state is corrupted" },
        { 212, 0, "iterations" },
        { 212, 0xffffffff, "iterations" },
        { 248, 0, "overlaps with the LUKS header" },
        { 248, 0xffffffff, "overlaps with the encrypted payload" },
        { 252, 0xffffffff, "stripes" },
        { 296, 8, "overlapping" },
    };
    struct rig r;
    uint8_t good[LUKS_HEADER_SIZE];

    rig_init(&r);
    luks_free(make(&r, (struct luks_create){ 0 }));
    memcpy(good, r.image, sizeof(good));
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        st_be32(r.image + cases[i].offset, cases[i].value);
        CHECK(!opens(&r, "a"));
        if (!strstr(r.err.msg, cases[i].says))
            TEST_FAIL("case %u says '%s', not '%s'", i, r.err.msg, cases[i].says);
        memcpy(r.image, good, sizeof(good));
    }
    memset(r.image + 8, 'x', 96); /* names without an end */
    CHECK(!opens(&r, "a"));
    memcpy(r.image, good, sizeof(good));
    CHECK(opens(&r, "a"));
    rig_finish(&r);
}

TEST(wrong_options)
{
    static const struct luks_create bad[] = {
        { "aes-257" },
        { "aes-256", "xtc" },
        { "aes-256", "xts", "plain63" },
        { "cast5-128", "xts" },
        { "cast5-128", "cbc", "essiv", "sha256" },
        { "aes-256", "cbc", "essiv", "sha1" },
        { "aes-256", "cbc", "plain64", "sha256" },
        { "aes-256", "xts", "plain64", NULL, "sha257" },
    };
    struct error err;
    uint64_t size;

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        if (luks_header_size(&bad[i], &size, &err))
            TEST_FAIL("case %u is accepted", i);
    }
}
