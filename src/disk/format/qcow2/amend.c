/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing the options of an image that exists: version, lazy refcounts, refcount width, size, raw
 * data file, LUKS key slots. Each step leaves a valid image; the version is raised first and
 * lowered last, by one write of the header.
 */
#include "base/alloc.h"
#include "base/scope.h"
#include "disk/format/qcow2/meta.h"
#include "disk/luks.h"

enum { HEADER_V2 = 72, HEADER_V3 = 112, DEFAULT_ITER_MS = 2000 };

const struct field qcow2_amend_options[] = {
    FIELD(struct qcow2_create, backing_file, .doc = "File name of a base image"),
    FIELD(struct qcow2_create, backing_fmt, .doc = "Image format of the base image"),
    FIELD(struct qcow2_create, compat, .doc = "Compatibility level (v2 [0.10] or v3 [1.1])"),
    FIELD(struct qcow2_create, data_file, .doc = "File name of an external data file"),
    FIELD(struct qcow2_create, data_file_raw,
          .doc = "The external data file must stay valid as a raw image"),
    FIELD(struct qcow2_create, encrypt_iter_time, .wire = "encrypt.iter-time",
          .doc = "Time to spend in PBKDF in milliseconds"),
    FIELD(struct qcow2_create, encrypt_keyslot, .wire = "encrypt.keyslot", .max = 7,
          .doc = "Select a single keyslot to modify explicitly"),
    FIELD(struct qcow2_create, encrypt_new_secret, .wire = "encrypt.new-secret",
          .doc = "New secret to set in the matching keyslots. Empty string to erase"),
    FIELD(struct qcow2_create, encrypt_old_secret, .wire = "encrypt.old-secret",
          .doc = "Select all keyslots that match this password"),
    FIELD(struct qcow2_create, encrypt_state, .wire = "encrypt.state",
          .doc = "Select new state of affected keyslots (active/inactive)"),
    FIELD(struct qcow2_create, lazy_refcounts, .doc = "Postpone refcount updates"),
    FIELD(struct qcow2_create, refcount_bits, .doc = "Width of a reference count entry in bits"),
    FIELD(struct qcow2_create, size, .is_size = true, .doc = "Virtual disk size"),
    { 0 },
};

struct amending {
    struct disk *d;
    const struct qcow2_create *o;
    const struct optlist *given;
    bool force;
    struct disk_progress *progress;
    uint64_t done, total;
    struct error *err;
};

/* Whether the user gave the option, '-' or '_'. */
static bool has(const struct amending *a, const char *name)
{
    for (size_t i = 0; i < a->given->count; i++) {
        const char *p = a->given->items[i].key, *n = name;

        while (*p && *n && (*p == *n || (*p == '-' && *n == '_') || (*p == '_' && *n == '-')))
            p++, n++;
        if (!*p && !*n)
            return true;
    }
    return false;
}

static bool failed(struct amending *a, int r, const char *what)
{
    struct qcow2 *q = a->d->priv;

    q->leaked = true;
    return fail(a->err, -r, "%s: %s", what, strerror(-r));
}

static bool step(struct amending *a)
{
    struct disk_progress *p = a->progress;

    return !p || !p->step || p->step(p, MIN(a->done, a->total), a->total);
}

static bool parse_compat(struct amending *a, uint32_t *ret)
{
    const char *c = a->o->compat;

    if (c && (!strcmp(c, "0.10") || !strcmp(c, "v2")))
        *ret = 2;
    else if (c && (!strcmp(c, "1.1") || !strcmp(c, "v3")))
        *ret = 3;
    else {
        fail(a->err, EINVAL, "Unknown compatibility level %s", c ? c : "");
        return fail_hint(a->err, "compat is v2 (0.10) or v3 (1.1)");
    }
    return true;
}

static int empty_caches(struct disk *d)
{
    struct qcow2 *q = d->priv;
    int r = qcow2_settle(d);

    if (r == 0)
        r = qcow2_cache_empty(q->refcount_cache);
    return r < 0 ? r : qcow2_cache_empty(q->l2_cache);
}

static int write_header_now(struct disk *d)
{
    int r = qcow2_write_header(d);

    return r < 0 ? r : disk_flush(d->file);
}

/* Version 3 wants extra data in each entry of the snapshot table: written anew if there is one. */
static int rewrite_snapshots(struct disk *d)
{
    struct qcow2 *q = d->priv;
    struct qcow2_snapshot *list;
    int r;

    if (!q->snapshot_count)
        return 0;
    list = xnew_array(struct qcow2_snapshot, q->snapshot_count);
    memcpy(list, q->snapshots, q->snapshot_count * sizeof(list[0]));
    r = qcow2_write_snapshots(d, list, q->snapshot_count);
    if (r < 0)
        free(list);
    return r;
}

static bool upgrade(struct amending *a)
{
    struct qcow2 *q = a->d->priv;
    struct qcow2_header old = q->h;
    int r = rewrite_snapshots(a->d);

    if (r == 0)
        r = qcow2_settle(a->d);
    if (r < 0)
        return failed(a, r, "Failed to upgrade the image's snapshot table");
    old = q->h;
    q->h.version = 3;
    q->h.header_length = HEADER_V3;
    q->h.incompatible &= INCOMPAT_DIRTY;
    q->h.compatible = q->h.autoclear = 0;
    r = write_header_now(a->d);
    if (r == 0)
        return true;
    q->h = old;
    return failed(a, r, "Failed to upgrade the image");
}

/* A zero cluster becomes nothing, or a cluster of zeroes. Returns the new entry in *e. */
static int expand_entry(struct amending *a, uint64_t refcount, bool active, uint64_t *e)
{
    struct qcow2 *q = a->d->priv;
    uint64_t old = *e & ENTRY_OFFSET_MASK, now = old, n = 0;
    AUTO_FREE uint8_t *zeroes = NULL;
    int64_t got;
    int r;

    if (!old && !a->d->backing_name) {
        *e = 0;
        return 0;
    }
    if (old && (r = qcow2_get_refcount(a->d, old >> q->h.cluster_bits, &n)) < 0)
        return r;
    if (!old || n != 1) {
        got = qcow2_alloc(a->d, q->cluster_size);
        if (got < 0)
            return (int)got;
        now = (uint64_t)got;
        if (refcount > 1 &&
            (r = qcow2_change_refcount(a->d, now, q->cluster_size, (int64_t)(refcount - 1))) < 0)
            return r;
        for (uint64_t i = 0; old && i < refcount; i++)
            qcow2_free(a->d, old, q->cluster_size, Q2_DISCARD_OTHER);
    }
    zeroes = xnew_array(uint8_t, q->cluster_size);
    r = qcow2_write_host(a->d, now, vec_of(zeroes, q->cluster_size));
    *e = now | (active && refcount == 1 ? ENTRY_COPIED : 0);
    return r;
}

/* All zero clusters of one L2 table, which may be shared by snapshots. */
static int expand_table(struct amending *a, uint64_t table, bool active, uint8_t *l2)
{
    struct qcow2 *q = a->d->priv;
    uint64_t refcount;
    bool changed = false;
    int r = qcow2_get_refcount(a->d, table >> q->h.cluster_bits, &refcount);

    if (r == 0)
        r = qcow2_file_read(a->d, table, l2, q->cluster_size);
    for (uint32_t i = 0; r == 0 && i < q->l2_entries; i++) {
        uint64_t e = ld_be64(l2 + 8 * (size_t)i);

        if ((e & L2_COMPRESSED) || !(e & L2_ZERO))
            continue;
        r = expand_entry(a, refcount, active, &e);
        st_be64(l2 + 8 * (size_t)i, e);
        changed = true;
    }
    if (r < 0 || !changed)
        return r;
    /* zeroes and refcounts first; what was replaced is freed by the next settle */
    if ((r = qcow2_cache_flush(q->refcount_cache)) < 0 ||
        (r = qcow2_check_overlap(a->d, BIT(Q2_ACTIVE_L2) | BIT(Q2_INACTIVE_L2), table,
                                 q->cluster_size)) < 0)
        return r;
    return qcow2_file_write(a->d, table, l2, q->cluster_size);
}

static int expand_l1(struct amending *a, const uint64_t *l1, uint32_t entries, bool active,
                     uint8_t *l2)
{
    struct qcow2 *q = a->d->priv;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < entries; i++) {
        uint64_t table = l1[i] & ENTRY_OFFSET_MASK;

        a->done++;
        if (!table)
            continue;
        if (table & q->cluster_mask)
            return qcow2_mark_corrupt(a->d, "an L2 table's offset is not at a cluster boundary");
        r = expand_table(a, table, active, l2);
        if (r == 0 && !step(a))
            r = -EINTR;
    }
    return r;
}

/* Version 2 knows no zero clusters: in the active table and in all snapshots. */
static int expand_zeroes(struct amending *a)
{
    struct disk *d = a->d;
    struct qcow2 *q = d->priv;
    AUTO_FREE uint8_t *l2 = xnew_array(uint8_t, q->cluster_size);
    int r = qcow2_mark_dirty(d);

    if (r == 0)
        r = empty_caches(d);
    a->total = q->h.l1_entries;
    for (uint32_t i = 0; i < q->snapshot_count; i++)
        a->total += q->snapshots[i].l1_entries;
    if (r == 0)
        r = expand_l1(a, q->l1, q->h.l1_entries, true, l2);
    for (uint32_t i = 0; r == 0 && i < q->snapshot_count; i++) {
        const struct qcow2_snapshot *sn = &q->snapshots[i];
        AUTO_FREE uint64_t *l1 = xnew_array(uint64_t, sn->l1_entries + 1);

        r = qcow2_file_read(d, sn->l1_offset, l1, (size_t)sn->l1_entries * 8);
        for (uint32_t k = 0; k < sn->l1_entries; k++)
            l1[k] = ld_be64(&l1[k]);
        if (r == 0)
            r = expand_l1(a, l1, sn->l1_entries, false, l2);
    }
    return r < 0 ? r : empty_caches(d);
}

static bool may_downgrade(struct amending *a)
{
    const struct qcow2 *q = a->d->priv;
    const uint64_t harmless = INCOMPAT_DIRTY;

    if (q->h.refcount_order != 4)
        return fail(a->err, ENOTSUP, "compat=0.10 requires refcount_bits=16");
    if (qcow2_has_data_file(q))
        return fail(a->err, ENOTSUP, "Cannot downgrade an image with a data file");
    if (q->h.incompatible & ~harmless) {
        fail(a->err, ENOTSUP, "Cannot downgrade an image with incompatible features set");
        return fail_hint(a->err, "convert it to a new image with -o compat=0.10");
    }
    if (q->bitmap_count || disk_bitmap_next(a->d, NULL)) {
        fail(a->err, ENOTSUP, "Cannot downgrade an image with dirty bitmaps");
        return fail_hint(a->err, "rhea-img bitmap --remove takes them out");
    }
    for (uint32_t i = 0; i < q->snapshot_count; i++)
        if (q->snapshots[i].s.vm_state_size > UINT32_MAX ||
            q->snapshots[i].s.disk_size != atomic_load(&a->d->size))
            return fail(a->err, ENOTSUP, "Internal snapshots prevent downgrade of image");
    return true;
}

static bool downgrade(struct amending *a)
{
    struct qcow2 *q = a->d->priv;
    struct qcow2_header old;
    int r;

    if (!may_downgrade(a))
        return false;
    r = expand_zeroes(a);
    if (r < 0)
        return failed(a, r, "Failed to turn zero clusters into data clusters");
    old = q->h;
    q->h.version = 2;
    q->h.header_length = HEADER_V2;
    q->h.incompatible = q->h.compatible = q->h.autoclear = 0;
    r = write_header_now(a->d);
    if (r < 0) {
        q->h = old;
        return failed(a, r, "Failed to downgrade the image");
    }
    q->marked_dirty = q->lazy = false;
    return true;
}

static bool change_width(struct amending *a)
{
    struct qcow2 *q = a->d->priv;
    unsigned bits = a->o->refcount_bits, order;
    uint64_t max;
    int64_t corruptions;
    struct qcow2_refs *refs;
    int r;

    if (!is_pow2(bits) || bits > 64)
        return fail(a->err, EINVAL,
                    "Refcount width must be a power of two and may not exceed 64 bits");
    order = (unsigned)__builtin_ctz(bits);
    if (order == q->h.refcount_order)
        return true;
    if (q->h.version < 3)
        return fail(a->err, EINVAL,
                    "Refcount widths other than 16 bits require compatibility level 1.1 or above "
                    "(use compat=1.1 or greater)");
    if ((r = qcow2_mark_dirty(a->d)) < 0 || (r = empty_caches(a->d)) < 0)
        return failed(a, r, "Failed to write the image's metadata");
    refs = qcow2_count_references(a->d, &corruptions, &r);
    if (!refs)
        return failed(a, r, "Failed to count references");
    if (corruptions) {
        qcow2_refs_free(refs);
        fail(a->err, EIO, "the image is damaged: its references cannot be counted");
        return fail_hint(a->err, "rhea-img check tells what is wrong");
    }
    max = order == 6 ? UINT64_MAX : BIT(bits) - 1;
    for (uint64_t c = qcow2_refs_next(refs, 0); c < qcow2_refs_count(refs);
         c = qcow2_refs_next(refs, c + 1))
        if (qcow2_refs_get(refs, c) > max) {
            fail(a->err, EINVAL,
                 "Cannot decrease refcount entry width to %u bits: Cluster at offset %#" PRIx64
                 " has a refcount of %" PRIu64,
                 bits, c << q->h.cluster_bits, qcow2_refs_get(refs, c));
            qcow2_refs_free(refs);
            return false;
        }
    r = qcow2_rebuild_refcounts(a->d, refs, order);
    qcow2_refs_free(refs);
    return r == 0 || failed(a, r, "Failed to write refcounts of another width");
}

static bool change_lazy(struct amending *a)
{
    struct qcow2 *q = a->d->priv;
    uint64_t old = q->h.compatible;
    int r = qcow2_settle(a->d);

    if (a->o->lazy_refcounts)
        q->h.compatible |= COMPAT_LAZY_REFCOUNTS;
    else
        q->h.compatible &= ~(uint64_t)COMPAT_LAZY_REFCOUNTS;
    if (r == 0)
        r = write_header_now(a->d);
    if (r < 0) {
        q->h.compatible = old;
        return failed(a, r, "Failed to update the image header");
    }
    q->lazy = a->o->lazy_refcounts;
    return true;
}

static bool change_data_file(struct amending *a)
{
    struct qcow2 *q = a->d->priv;
    int r;

    if (has(a, "data_file") && !qcow2_has_data_file(q))
        return fail(a->err, EINVAL,
                    "data-file can only be set for images that use an external data file");
    if (has(a, "data_file_raw") && a->o->data_file_raw && !q->data_file_raw)
        return fail(a->err, EINVAL, "data-file-raw cannot be set on existing images");
    if (has(a, "data_file")) {
        free(q->data_file_name);
        q->data_file_name = a->o->data_file && a->o->data_file[0] ? xstrdup(a->o->data_file) : NULL;
    }
    if (has(a, "data_file_raw") && !a->o->data_file_raw) {
        q->h.autoclear &= ~(uint64_t)AUTOCLEAR_RAW_EXTERNAL;
        q->data_file_raw = false;
    }
    if (!has(a, "data_file") && !has(a, "data_file_raw"))
        return true;
    r = write_header_now(a->d);
    return r == 0 || failed(a, r, "Failed to update the image header");
}

/* Key slots. Not under meta: the header of LUKS has nothing to do with clusters. */
static bool change_keys(struct amending *a)
{
    struct qcow2 *q = a->d->priv;
    const struct qcow2_create *o = a->o;
    struct object_set *objects = disk_graph_objects(a->d->graph);
    int slot = has(a, "encrypt.keyslot") ? (int)o->encrypt_keyslot : -1;
    uint64_t iter = has(a, "encrypt.iter-time") ? o->encrypt_iter_time : DEFAULT_ITER_MS;

    if (!q->crypt)
        return fail(a->err, EINVAL, "Can't amend encryption options - encryption not present");
    if (!o->encrypt_state)
        return fail(a->err, EINVAL, "Parameter 'encrypt.state' is missing");
    if (!strcmp(o->encrypt_state, "active")) {
        if (!o->encrypt_new_secret || !o->encrypt_new_secret[0])
            return fail(a->err, EINVAL, "'new-secret' is required to activate a keyslot");
        if (o->encrypt_old_secret)
            return fail(a->err, EINVAL, "'old-secret' must not be given when activating keyslots");
        return luks_add_key(q->crypt, objects, o->encrypt_new_secret, slot, iter, a->force, a->err);
    }
    if (strcmp(o->encrypt_state, "inactive"))
        return fail(a->err, EINVAL, "Invalid parameter '%s': encrypt.state is active or inactive",
                    o->encrypt_state);
    if (o->encrypt_new_secret && o->encrypt_new_secret[0])
        return fail(a->err, EINVAL, "'new-secret' must not be given when erasing keyslots");
    if (!o->encrypt_old_secret && slot < 0)
        return fail(a->err, EINVAL,
                    "Either 'keyslot' or 'old-secret' must be given to erase keyslots");
    return luks_remove_key(q->crypt, objects, o->encrypt_old_secret, slot, a->force, a->err);
}

static bool any_encrypt(const struct amending *a)
{
    for (size_t i = 0; i < a->given->count; i++)
        if (!strncmp(a->given->items[i].key, "encrypt.", 8))
            return true;
    return false;
}

/* What cannot be, before anything is changed. */
static bool check_request(struct amending *a, uint32_t version)
{
    const struct qcow2 *q = a->d->priv;
    const char *backing = a->d->backing_name ? a->d->backing_name : "";
    const char *format = a->d->backing_format ? a->d->backing_format : "";

    if ((has(a, "backing_file") &&
         strcmp(a->o->backing_file ? a->o->backing_file : "", backing) != 0) ||
        (has(a, "backing_fmt") && a->o->backing_fmt && strcmp(a->o->backing_fmt, format) != 0)) {
        fail(a->err, EINVAL, "Cannot amend the backing file");
        return fail_hint(a->err, "You can use 'rhea-img rebase' instead.");
    }
    if (has(a, "lazy_refcounts") && a->o->lazy_refcounts && version < 3)
        return fail(a->err, EINVAL,
                    "Lazy refcounts only supported with compatibility level 1.1 and above (use "
                    "compat=1.1 or greater)");
    if (has(a, "compat") && version < 3 && has(a, "refcount_bits") && a->o->refcount_bits != 16)
        return fail(a->err, EINVAL, "compat=0.10 requires refcount_bits=16");
    return version >= q->h.version || has(a, "refcount_bits") || may_downgrade(a);
}

static bool amend_locked(struct amending *a, uint32_t version)
{
    struct qcow2 *q = a->d->priv;

    if (!check_request(a, version))
        return false;
    if (version > q->h.version && !upgrade(a))
        return false;
    if (has(a, "refcount_bits") && !change_width(a))
        return false;
    if (!change_data_file(a))
        return false;
    return !has(a, "lazy_refcounts") || change_lazy(a);
}

bool qcow2_amend(struct disk *d, const void *opts, const struct optlist *given, bool force,
                 struct disk_progress *p, struct error *err)
{
    struct qcow2 *q = d->priv;
    struct amending a = { d, opts, given, force, p, 0, 1, err };
    uint32_t version = q->h.version;
    bool ok = false;

    if (has(&a, "compat") && !parse_compat(&a, &version))
        return false;
    if (any_encrypt(&a) && !change_keys(&a))
        return false;
    disk_drain_begin(d);
    WITH_LOCK (&q->meta)
        ok = amend_locked(&a, version);
    disk_drain_end(d);
    if (ok && has(&a, "size"))
        ok = disk_resize(d, a.o->size, DISK_PREALLOC_OFF, true, err);
    if (ok && version < q->h.version) {
        disk_drain_begin(d);
        WITH_LOCK (&q->meta)
            ok = downgrade(&a);
        disk_drain_end(d);
    }
    a.done = a.total;
    (void)step(&a);
    return ok;
}
