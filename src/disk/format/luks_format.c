/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LUKS 1 images, as cryptsetup makes them: header and key slots, then the encrypted disk. Reads
 * decrypt in the caller's memory; writes encrypt into a buffer, for the caller's data must stay.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/str.h"
#include "disk/luks.h"
#include "disk/node.h"

enum { SECTOR = 512, PIECE = 1 << 20 /* bytes encrypted or bounced at a time */ };

struct luks_disk {
    char *key_secret;
    struct luks *luks;
    uint64_t payload; /* bytes before the disk; constant */
};

struct luks_options { /* of create and amend */
    char *cipher_alg, *cipher_mode, *ivgen_alg, *ivgen_hash_alg, *hash_alg, *key_secret;
    uint64_t iter_time;
    char *state, *new_secret, *old_secret, *keyslot;
};

static int luks_probe(const uint8_t *head, size_t len, const char *filename)
{
    static const uint8_t start[8] = { 'L', 'U', 'K', 'S', 0xba, 0xbe, 0, 1 };

    (void)filename;
    return len >= sizeof(start) && !memcmp(head, start, sizeof(start)) ? 100 : 0;
}

static int store_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
    return disk_read(opaque, offset, buf, len);
}

static int store_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
    return disk_write(opaque, offset, buf, len, 0);
}

static struct luks_store store_of(struct disk *file)
{
    return (struct luks_store){ store_read, store_write, file };
}

static bool luks_disk_open(struct disk *d, struct error *err)
{
    struct luks_disk *p = d->priv;
    struct luks_store store = store_of(d->file);
    uint64_t size = disk_size(d->file);

    if (!p->key_secret && !(d->open_flags & DISK_NO_IO)) {
        fail(err, EINVAL, "Parameter 'key-secret' is required for cipher");
        return fail_hint(err, "--object secret,id=sec0,file=PASSWORD and key-secret=sec0");
    }
    p->luks = luks_open(&store, disk_graph_objects(d->graph),
                        d->open_flags & DISK_NO_IO ? NULL : p->key_secret, err);
    if (!p->luks)
        return false;
    p->payload = luks_payload_offset(p->luks);
    if (!p->payload)
        return fail(err, ENOTSUP, "the LUKS header has no payload: it is a detached header");
    if (p->payload > size)
        return fail(err, EINVAL, "LUKS payload begins at %llu, beyond the end of the file (%llu)",
                    (unsigned long long)p->payload, (unsigned long long)size);
    disk_set_size(d, ALIGN_DOWN(size - p->payload, (uint64_t)SECTOR));
    d->align = SECTOR;
    d->write_flags = DISK_FUA;
    d->encrypted = true;
    return true;
}

static void luks_disk_close(struct disk *d)
{
    struct luks_disk *p = d->priv;

    luks_free(p->luks);
    p->luks = NULL;
}

/* Decrypts v in place, where each of its pieces is whole sectors: true; else nothing is done. */
static bool decrypt_in_place(struct luks *l, uint64_t offset, const struct disk_vec *v, int *ret)
{
    struct iovec iov[64];
    struct disk_vec rest = *v;
    size_t covered;

    *ret = 0;
    for (int pass = 0; pass < 2; pass++) { /* look, then do */
        rest = *v;
        for (size_t at = 0; at < v->len && !*ret; at += covered) {
            uint32_t n = vec_fill(&rest, iov, ARRAY_SIZE(iov), &covered);
            uint64_t where = offset + at;

            for (uint32_t i = 0; i < n; i++) {
                if (iov[i].iov_len % SECTOR)
                    return false;
                if (pass && !*ret)
                    *ret = luks_decrypt(l, where, iov[i].iov_base, iov[i].iov_len);
                where += iov[i].iov_len;
            }
            rest = vec_slice(*v, at + covered, v->len - at - covered);
        }
    }
    return true;
}

static void *piece_alloc(size_t len)
{
    void *p;

    return posix_memalign(&p, 4096, len) ? NULL : p;
}

static int luks_disk_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    struct luks_disk *p = d->priv;
    int r = disk_readv(d->file, p->payload + offset, v), done;
    size_t n;
    void *buf;

    if (r < 0 || decrypt_in_place(p->luks, offset, &v, &done))
        return r < 0 ? r : done;
    /* scattered in pieces that are no sectors: gathered, decrypted, spread again */
    if (!(buf = piece_alloc(MIN(v.len, (size_t)PIECE))))
        return -ENOMEM;
    for (size_t at = 0; at < v.len && r >= 0; at += n) {
        struct disk_vec part;

        n = MIN(v.len - at, (size_t)PIECE);
        part = vec_slice(v, at, n);
        vec_to_buf(&part, buf);
        r = luks_decrypt(p->luks, offset + at, buf, n);
        if (r >= 0)
            vec_from_buf(&part, buf);
    }
    free(buf);
    return r;
}

static int luks_disk_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    struct luks_disk *p = d->priv;
    uint8_t *buf = piece_alloc(MIN(v.len, (size_t)PIECE));
    int r = buf ? 0 : -ENOMEM;
    size_t n;

    for (size_t at = 0; at < v.len && r >= 0; at += n) {
        struct disk_vec part;
        const void *flat;

        n = MIN(v.len - at, (size_t)PIECE);
        part = vec_slice(v, at, n);
        flat = vec_flat(&part);
        if (!flat) {
            vec_to_buf(&part, buf);
            flat = buf;
        }
        r = luks_encrypt_to(p->luks, offset + at, buf, flat, n);
        if (r >= 0)
            r = disk_write(d->file, p->payload + offset + at, buf, n, flags & DISK_FUA);
    }
    free(buf);
    return r;
}

static int luks_disk_flush(struct disk *d)
{
    return disk_flush(d->file);
}

static bool luks_disk_resize(struct disk *d, uint64_t size, enum disk_preallocation prealloc,
                             bool exact, struct error *err)
{
    struct luks_disk *p = d->priv;
    uint64_t total;

    if (!checked_add(p->payload, size, &total) || total > DISK_MAX_SIZE)
        return fail(err, EFBIG, "The requested file size is too large");
    if (!disk_resize(d->file, total, prealloc, exact, err))
        return false;
    disk_set_size(d, size);
    return true;
}

static struct luks_create params_of(const struct luks_options *o)
{
    return (struct luks_create){ o->cipher_alg,     o->cipher_mode, o->ivgen_alg,
                                 o->ivgen_hash_alg, o->hash_alg,    o->iter_time };
}

static bool luks_disk_create(const struct disk_create *c, struct error *err)
{
    const struct luks_options *o = c->opts;
    struct luks_create params = params_of(o);
    struct luks_store store = store_of(c->file);
    struct luks *l;
    uint64_t header, total;

    if (c->prealloc == DISK_PREALLOC_METADATA)
        return fail(err, ENOTSUP, "Unsupported preallocation mode 'metadata'") ||
               fail_hint(err, "luks takes off, falloc and full");
    if (!luks_header_size(&params, &header, err))
        return false;
    if (!checked_add(header, c->size, &total) || total > DISK_MAX_SIZE)
        return fail(err, EFBIG, "The requested file size is too large");
    if (!disk_resize(c->file, total, c->prealloc, true, err))
        return false;
    l = luks_create(&store, &params, disk_graph_objects(c->graph), o->key_secret, err);
    luks_free(l);
    return l != NULL;
}

static bool luks_disk_measure(const void *create_opts, struct disk *source, uint64_t size,
                              struct disk_measure *ret, struct error *err)
{
    struct luks_create params = params_of(create_opts);
    uint64_t header, total;

    if (source)
        size = disk_size(source);
    if (!luks_header_size(&params, &header, err))
        return false;
    if (!checked_add(header, ALIGN_UP(size, (uint64_t)SECTOR), &total))
        return fail(err, EFBIG, "The requested file size is too large");
    *ret = (struct disk_measure){ .required = total, .fully_allocated = total };
    return true;
}

static bool luks_disk_amend(struct disk *d, const void *opts, const struct optlist *given,
                            bool force, struct disk_progress *progress, struct error *err)
{
    const struct luks_options *o = opts;
    struct luks_disk *p = d->priv;
    struct object_set *objects = disk_graph_objects(d->graph);
    int64_t slot = -1;

    (void)given;
    (void)progress;
    if (o->keyslot && !parse_i64(o->keyslot, &slot, err)) {
        err_prefix(err, "keyslot: ");
        return false;
    }
    if (o->keyslot && (slot < 0 || slot > 7))
        return fail(err, EINVAL, "Invalid keyslot %s: there are 0 to 7", o->keyslot);
    if (!o->state)
        return fail(err, EINVAL, "Parameter 'state' is missing") ||
               fail_hint(err, "active adds a key, inactive removes one");
    if (!strcmp(o->state, "active")) {
        if (!o->new_secret)
            return fail(err, EINVAL, "'new-secret' is required to activate a keyslot");
        if (o->old_secret)
            return fail(err, EINVAL, "'old-secret' must not be given when activating keyslots");
        return luks_add_key(p->luks, objects, o->new_secret, (int)slot, o->iter_time, force, err);
    }
    if (strcmp(o->state, "inactive") != 0)
        return fail(err, EINVAL, "state '%s' is neither active nor inactive", o->state);
    if (o->new_secret)
        return fail(err, EINVAL, "'new-secret' must not be given when erasing keyslots");
    if (o->iter_time)
        return fail(err, EINVAL, "'iter-time' must not be given when erasing keyslots");
    return luks_remove_key(p->luks, objects, o->old_secret, (int)slot, force, err);
}

static json_t *luks_disk_info(struct disk *d)
{
    struct luks_disk *p = d->priv;

    return luks_info(p->luks);
}

#define ITER_TIME                                                                                  \
    FIELD(struct luks_options, iter_time, .wire = "iter-time", .max = 600000,                      \
          .doc = "Time to spend in PBKDF in milliseconds")

static const char *const luks_strong_options[] = { "key-secret", NULL };

const struct disk_driver luks_driver = {
    .name = "luks",
    .doc = "LUKS 1 encrypted images, as cryptsetup's",
    .strong_options = luks_strong_options,
    .size = sizeof(struct luks_disk),
    .options = FIELDS(FIELD(struct luks_disk, key_secret, .optional = true,
                            .doc = "ID of the secret that provides the keyslot passphrase")),
    .create_size = sizeof(struct luks_options),
    .create_options = FIELDS(FIELD(struct luks_options, cipher_alg, .wire = "cipher-alg",
                                   .doc = "Name of encryption cipher algorithm"),
                             FIELD(struct luks_options, cipher_mode, .wire = "cipher-mode",
                                   .doc = "Name of encryption cipher mode"),
                             FIELD(struct luks_options, hash_alg, .wire = "hash-alg",
                                   .doc = "Name of encryption hash algorithm"),
                             ITER_TIME,
                             FIELD(struct luks_options, ivgen_alg, .wire = "ivgen-alg",
                                   .doc = "Name of IV generator algorithm"),
                             FIELD(struct luks_options, ivgen_hash_alg, .wire = "ivgen-hash-alg",
                                   .doc = "Name of IV generator hash algorithm"),
                             FIELD(struct luks_options, key_secret, .wire = "key-secret",
                                   .doc = "ID of the secret that provides the keyslot passphrase")),
    .amend_options = FIELDS(
        ITER_TIME,
        FIELD(struct luks_options, keyslot, .doc = "Select a single keyslot to modify explicitly"),
        FIELD(struct luks_options, new_secret, .wire = "new-secret",
              .doc = "New secret to set in the matching keyslots. Empty string to erase"),
        FIELD(struct luks_options, old_secret, .wire = "old-secret",
              .doc = "Select all keyslots that match this password"),
        FIELD(struct luks_options, state,
              .doc = "Select new state of affected keyslots (active/inactive)")),
    .probe = luks_probe,
    .open = luks_disk_open,
    .close = luks_disk_close,
    .create = luks_disk_create,
    .read = luks_disk_read,
    .write = luks_disk_write,
    .flush = luks_disk_flush,
    .resize = luks_disk_resize,
    .measure = luks_disk_measure,
    .amend = luks_disk_amend,
    .info = luks_disk_info,
};
