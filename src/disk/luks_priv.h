/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside LUKS: the header as a struct, and its key slots. */
#ifndef DISK_LUKS_PRIV_H
#define DISK_LUKS_PRIV_H

#include <pthread.h>

#include "disk/luks.h"
#include "disk/luks_cipher.h"

enum {
    LUKS_HEADER_SIZE = 592,
    LUKS_SLOTS = 8,
    LUKS_SALT = 32,
    LUKS_DIGEST = 20,
    LUKS_ALIGN_SECTORS = 8, /* key material starts at multiples of 4 KiB */
    LUKS_UUID = 40,
};

struct luks_slot {
    bool active;
    uint32_t iterations, key_sector, stripes;
    uint8_t salt[LUKS_SALT];
};

struct luks_header {
    struct luks_spec spec;
    const struct nettle_hash *hash;
    uint32_t payload_sector, key_len, mk_iterations;
    uint8_t mk_digest[LUKS_DIGEST], mk_salt[LUKS_SALT];
    char uuid[LUKS_UUID + 1];
    struct luks_slot slots[LUKS_SLOTS];
};

struct luks {
    struct luks_store store;
    pthread_mutex_t lock;       /* one change of slots at a time */
    struct luks_header h;       /* slots: GUARDED_BY(lock), the rest is constant */
    struct luks_cipher *cipher; /* NULL: not unlocked */
    uint8_t key[LUKS_MAX_KEY];  /* master key */
};

/* Checked: offsets, sizes and names are sound afterwards. */
bool luks_header_parse(struct luks_header *h, const uint8_t buf[LUKS_HEADER_SIZE],
                       struct error *err) MUST_CHECK;
void luks_header_pack(const struct luks_header *h, uint8_t buf[LUKS_HEADER_SIZE]);

/* Sectors of one slot's key material, rounded up to LUKS_ALIGN_SECTORS. */
uint32_t luks_slot_sectors(uint32_t key_len);

/* Whether the password opens slot i; the master key goes to ret. 1, 0 or -errno. */
int luks_slot_unlock(struct luks *l, unsigned i, const char *password, size_t len,
                     uint8_t ret[LUKS_MAX_KEY]);
/* Stores the master key under the password, and the header. */
bool luks_slot_set(struct luks *l, unsigned i, const char *password, size_t len,
                   uint64_t iter_time_ms, struct error *err) MUST_CHECK;
bool luks_slot_clear(struct luks *l, unsigned i, struct error *err) MUST_CHECK;

/* The first active slot the password opens, or -1: none (err). */
int luks_unlock(struct luks *l, const char *password, size_t len, uint8_t ret[LUKS_MAX_KEY],
                struct error *err);

bool luks_random(void *buf, size_t len, struct error *err) MUST_CHECK;
bool luks_write_header(struct luks *l, struct error *err) MUST_CHECK;

#endif
