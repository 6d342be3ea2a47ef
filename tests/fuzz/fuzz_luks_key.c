/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A LUKS header and key material of any bytes, unlocked with a password. The input is laid over an
 * image that the password opens, so that most of them get far: 4 bytes of offset (modulo the size),
 * then what stands there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "disk/luks.h"
#include "disk/luks_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IMAGE = 600 << 10, FEW = 20 /* iterations: the fuzzer shall not wait */ };

static uint8_t good[IMAGE], image[IMAGE];

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

static void make_good(struct object_set *objects)
{
    struct luks_store store = { mem_read, mem_write, good };
    struct luks_create c = { .cipher_alg = "aes-128", .cipher_mode = "cbc", .iter_time_ms = 1 };
    struct error err;
    struct luks *l;

    if (ld_be32(good))
        return;
    l = luks_create(&store, &c, objects, "s", &err);
    if (!l)
        abort();
    luks_free(l);
}

static void fewer_iterations(void)
{
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        uint8_t *p = image + 212 + 48 * i;

        if (ld_be32(p) > 5000)
            st_be32(p, FEW);
    }
    if (ld_be32(image + 164) > 5000)
        st_be32(image + 164, FEW);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct object_set *objects = object_set_new();
    struct luks_store store = { mem_read, mem_write, image };
    uint8_t sectors[4096] = { 0 };
    struct error err = { 0 };
    struct luks *l;
    size_t at;

    if (!object_add(objects, "secret,id=s,data=password", &err))
        abort();
    make_good(objects);
    memcpy(image, good, IMAGE);
    if (size > 4) {
        at = ld_le32(data) % IMAGE;
        memcpy(image + at, data + 4, MIN(size - 4, IMAGE - at));
    }
    fewer_iterations();
    l = luks_open(&store, objects, "s", &err);
    if (l) {
        (void)!luks_decrypt(l, 512, sectors, sizeof(sectors));
        (void)!luks_encrypt(l, 0, sectors, sizeof(sectors));
        json_decref(luks_info(l));
        (void)!luks_remove_key(l, objects, "s", -1, false, &err);
    } else if (!err.msg[0]) {
        abort();
    }
    luks_free(l);
    object_set_free(objects);
    return 0;
}
