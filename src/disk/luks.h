/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUKS version 1: the header, its key slots, and encryption of sectors, for the luks format and for
 * qcow2 (LUKS on-disk format specification 1.2.3). */
#ifndef DISK_LUKS_H
#define DISK_LUKS_H

#include <jansson.h>

#include "base/object.h"

struct luks;

/* How the header is reached: the file's start, or qcow2's crypto clusters. 0 or -errno. The struct
 * is copied, what opaque points at must stay. */
struct luks_store {
    int (*read)(void *opaque, uint64_t offset, void *buf, size_t len);
    int (*write)(void *opaque, uint64_t offset, const void *buf, size_t len);
    void *opaque;
};

struct luks_create { /* NULL and 0: the defaults aes-256, xts, plain64, sha256, 2000 ms */
    const char *cipher_alg, *cipher_mode, *ivgen_alg, *ivgen_hash_alg, *hash_alg;
    uint64_t iter_time_ms;
};

/* Reads the header and unlocks it with the secret; secret NULL: only info is wanted. */
struct luks *luks_open(const struct luks_store *s, struct object_set *objects,
                       const char *key_secret, struct error *err);
/* Bytes the header and key material take (payload offset). */
bool luks_header_size(const struct luks_create *c, uint64_t *ret, struct error *err) MUST_CHECK;
struct luks *luks_create(const struct luks_store *s, const struct luks_create *c,
                         struct object_set *objects, const char *key_secret, struct error *err);
void luks_free(struct luks *l); /* wipes keys; NULL is fine */

uint64_t luks_payload_offset(const struct luks *l); /* bytes */
/* Whole 512-byte sectors in place; offset is the byte offset that gives the IV. Any thread. */
int luks_decrypt(struct luks *l, uint64_t offset, void *buf, size_t len) MUST_CHECK;
int luks_encrypt(struct luks *l, uint64_t offset, void *buf, size_t len) MUST_CHECK;
/* The same from one buffer to another, without copying first. */
int luks_encrypt_to(struct luks *l, uint64_t offset, void *dst, const void *src,
                    size_t len) MUST_CHECK;
json_t *luks_info(const struct luks *l); /* cipher-alg, ..., slots */

/* Key slots (amend). keyslot -1: any free one to add; those that old_secret opens to remove, or all
 * of them. force: also the last one, or one in use. */
bool luks_add_key(struct luks *l, struct object_set *objects, const char *new_secret, int keyslot,
                  uint64_t iter_time_ms, bool force, struct error *err) MUST_CHECK;
bool luks_remove_key(struct luks *l, struct object_set *objects, const char *old_secret,
                     int keyslot, bool force, struct error *err) MUST_CHECK;

#endif
