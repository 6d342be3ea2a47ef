/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Persistent dirty bitmaps (spec "Bitmaps extension"). The bits live in disk/bitmap.h while the
 * image is open; in the image they are then marked in use, so that after a crash nobody trusts
 * them. At close all are stored: bits and tables, then a directory, in clusters of their own, then
 * one write of the header switches to that directory, then the old clusters are freed.
 */
#include <assert.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "base/scope.h"
#include "disk/format/qcow2/meta.h"

enum {
    ENTRY_FIXED = 24,
    MAX_NAME = 1023,
    MAX_BITMAPS = 65535,
    MAX_DIRECTORY = 64 << 20,
    MAX_BITS_BYTES = 0x20000000, /* of one bitmap, whole clusters */
    MIN_GRANULARITY_BITS = 9,
    MAX_GRANULARITY_BITS = 31,
    TYPE_DIRTY_TRACKING = 1,
    FLAG_IN_USE = 1,
    FLAG_AUTO = 2,
    FLAGS_KNOWN = 3,
    TABLE_CHUNK = 4096, /* entries read at once */
};
#define TABLE_OFFSET_MASK   UINT64_C(0x00fffffffffffe00)
#define TABLE_RESERVED_MASK UINT64_C(0xff000000000001fe)
#define TABLE_ALL_ONES      UINT64_C(1)

/* An entry of the directory. */
struct entry {
    uint64_t table_offset;
    uint32_t table_entries, flags;
    uint8_t granularity_bits;
    char name[MAX_NAME + 1];
};

struct directory {
    struct entry *entries;
    uint32_t count, room;
};

static void directory_finish(struct directory *dir)
{
    free(dir->entries);
    *dir = (struct directory){ 0 };
}

static struct entry *directory_add(struct directory *dir)
{
    if (dir->count == dir->room) {
        dir->room = MAX(8u, dir->room * 2);
        dir->entries = xrealloc_array(dir->entries, dir->room, sizeof(dir->entries[0]));
    }
    dir->entries[dir->count] = (struct entry){ 0 };
    return &dir->entries[dir->count++];
}

static bool check_entry(const struct disk *d, const struct entry *e, uint32_t type, uint32_t extra,
                        struct error *err)
{
    const struct qcow2 *q = d->priv;
    uint64_t bytes = (uint64_t)e->table_entries << q->h.cluster_bits;
    uint64_t size = atomic_load(&d->size);

    if (!e->name[0] || type != TYPE_DIRTY_TRACKING || (e->flags & ~FLAGS_KNOWN) || extra)
        return fail(err, EINVAL, "bitmap '%.60s' is of a kind that is not known here", e->name);
    if (e->granularity_bits < MIN_GRANULARITY_BITS || e->granularity_bits > MAX_GRANULARITY_BITS)
        return fail(err, EINVAL, "bitmap '%.60s': granularity of 2^%u bytes is not possible",
                    e->name, e->granularity_bits);
    if (!e->table_offset || (e->table_offset & q->cluster_mask) ||
        e->table_offset > DISK_MAX_SIZE || !e->table_entries || bytes > MAX_BITS_BYTES)
        return fail(err, EINVAL, "bitmap '%.60s': its table is not valid", e->name);
    if (!(e->flags & FLAG_IN_USE) &&
        (size + BIT(e->granularity_bits) - 1) >> e->granularity_bits > bytes * 8)
        return fail(err, EINVAL, "bitmap '%.60s' is too small for the disk", e->name);
    return true;
}

static bool parse_entry(const struct disk *d, struct reader *r, struct entry *e, struct error *err)
{
    uint32_t name_len, extra, type;
    const char *name;

    e->table_offset = rd_be64(r);
    e->table_entries = rd_be32(r);
    e->flags = rd_be32(r);
    type = rd_u8(r);
    e->granularity_bits = rd_u8(r);
    name_len = rd_be16(r);
    extra = rd_be32(r);
    rd_skip(r, extra);
    name = rd_take(r, name_len);
    rd_skip(r, -(ENTRY_FIXED + extra + name_len) & 7);
    if (!rd_ok(r) || name_len > MAX_NAME)
        return fail(err, EINVAL, "the bitmap directory is damaged");
    memcpy(e->name, name, name_len);
    if (strlen(e->name) != name_len)
        return fail(err, EINVAL, "the name of a bitmap has a zero byte");
    return check_entry(d, e, type, extra, err);
}

/* The directory as the image has it, with meta held or while nobody else can know d. */
static bool read_directory(struct disk *d, struct directory *dir, struct error *err)
{
    struct qcow2 *q = d->priv;
    AUTO_FREE uint8_t *buf = NULL;
    struct reader r;
    int e;

    *dir = (struct directory){ 0 };
    if (!q->bitmap_count)
        return true;
    if (q->bitmap_count > MAX_BITMAPS || q->bitmap_dir_size > MAX_DIRECTORY ||
        q->bitmap_dir_size < (uint64_t)q->bitmap_count * ENTRY_FIXED)
        return fail(err, EINVAL, "the bitmap directory of %" PRIu64 " bytes is not valid",
                    q->bitmap_dir_size);
    if ((q->bitmap_dir_offset & q->cluster_mask) || q->bitmap_dir_offset > disk_size(d->file) ||
        q->bitmap_dir_size > disk_size(d->file) - q->bitmap_dir_offset)
        return fail(err, EINVAL, "the bitmap directory lies beyond the end of the file");
    buf = xnew_array(uint8_t, q->bitmap_dir_size);
    e = qcow2_file_read(d, q->bitmap_dir_offset, buf, q->bitmap_dir_size);
    if (e < 0)
        return fail(err, -e, "the bitmap directory cannot be read: %s", strerror(-e));
    r = reader(buf, q->bitmap_dir_size);
    for (uint32_t i = 0; i < q->bitmap_count; i++)
        if (!parse_entry(d, &r, directory_add(dir), err)) {
            directory_finish(dir);
            return false;
        }
    if (rd_left(&r)) {
        directory_finish(dir);
        return fail(err, EINVAL, "the bitmap directory has more than its %u bitmaps",
                    q->bitmap_count);
    }
    return true;
}

static size_t entry_bytes(const struct entry *e)
{
    return ALIGN_UP(ENTRY_FIXED + strlen(e->name), 8);
}

static uint8_t *build_directory(const struct directory *dir, size_t *ret_len)
{
    size_t len = 0;
    uint8_t *buf, *p;

    for (uint32_t i = 0; i < dir->count; i++)
        len += entry_bytes(&dir->entries[i]);
    p = buf = xnew_array(uint8_t, len + 1);
    for (uint32_t i = 0; i < dir->count; i++) {
        const struct entry *e = &dir->entries[i];

        st_be64(p, e->table_offset);
        st_be32(p + 8, e->table_entries);
        st_be32(p + 12, e->flags);
        p[16] = TYPE_DIRTY_TRACKING;
        p[17] = e->granularity_bits;
        st_be16(p + 18, (uint16_t)strlen(e->name));
        memcpy(p + ENTRY_FIXED, e->name, strlen(e->name));
        p += entry_bytes(e);
    }
    *ret_len = len;
    return buf;
}

/* Calls fn for each table entry that is not zero, or only checks them (fn NULL). */
typedef int entry_fn(void *opaque, uint64_t index, uint64_t entry);

static int each_table_entry(struct disk *d, const struct entry *e, entry_fn *fn, void *opaque)
{
    const struct qcow2 *q = d->priv;
    AUTO_FREE uint64_t *chunk = xnew_array(uint64_t, TABLE_CHUNK);
    int r = 0;

    for (uint64_t i = 0; i < e->table_entries; i += TABLE_CHUNK) {
        uint64_t now = MIN((uint64_t)TABLE_CHUNK, e->table_entries - i);

        r = qcow2_file_read(d, e->table_offset + i * 8, chunk, now * 8);
        for (uint64_t k = 0; r == 0 && k < now; k++) {
            uint64_t entry = ld_be64(&chunk[k]), offset = entry & TABLE_OFFSET_MASK;

            if (!entry)
                continue;
            if ((entry & TABLE_RESERVED_MASK) || (offset & q->cluster_mask) ||
                (offset && (entry & TABLE_ALL_ONES)))
                return -EINVAL;
            r = fn(opaque, i + k, entry);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* Loading */
struct loading {
    struct disk *d;
    struct disk_bitmap *b;
    uint8_t *buf;
    uint64_t left; /* bytes that may yet be read: tables may point to one cluster again and again */
};

static int load_piece(void *opaque, uint64_t index, uint64_t entry)
{
    struct loading *l = opaque;
    struct qcow2 *q = l->d->priv;
    uint64_t offset = entry & TABLE_OFFSET_MASK;
    uint64_t granules = (disk_bitmap_size(l->b) + disk_bitmap_granularity(l->b) - 1) /
                        disk_bitmap_granularity(l->b);
    uint64_t bytes = (granules + 7) / 8, at = index << q->h.cluster_bits;
    size_t len;
    int r;

    if (at >= bytes)
        return 0; /* tables may be longer than needed */
    len = (size_t)MIN((uint64_t)q->cluster_size, bytes - at);
    if (!offset) {
        uint64_t span = (uint64_t)disk_bitmap_granularity(l->b) * 8;

        disk_bitmap_mark(l->b, at * span, MIN(len * span, disk_bitmap_size(l->b) - at * span));
        return 0;
    }
    if (l->left < len)
        return -EFBIG;
    l->left -= len;
    r = qcow2_file_read(l->d, offset, l->buf, len);
    if (r == 0)
        disk_bitmap_deserialise(l->b, at, l->buf, len);
    return r;
}

static bool load_one(struct loading *l, const struct entry *e, struct error *err)
{
    int r;

    l->b = disk_bitmap_add(l->d, e->name, UINT32_C(1) << e->granularity_bits, err);
    if (!l->b)
        return false;
    /* no bit of what is loaded may be taken for a write meanwhile */
    disk_bitmap_set_flags(l->b, BITMAP_PERSISTENT, BITMAP_ENABLED);
    if (e->flags & FLAG_IN_USE) {
        disk_bitmap_set_flags(l->b, BITMAP_INCONSISTENT, 0);
        return true;
    }
    r = each_table_entry(l->d, e, load_piece, l);
    if (r < 0)
        return fail(err, -r, "bitmap '%.60s' cannot be read: %s", e->name,
                    r == -EINVAL ? "its table is damaged" : strerror(-r));
    disk_bitmap_set_flags(
        l->b,
        (e->flags & FLAG_AUTO ? BITMAP_ENABLED : 0) | (l->d->read_only ? BITMAP_READ_ONLY : 0), 0);
    return true;
}

/* Sets "in use" in the directory where it lies: each flag is in one sector, and a directory of
 * which only a part arrived is as good, since nothing else was written yet. */
static int mark_in_use(struct disk *d, struct directory *dir)
{
    struct qcow2 *q = d->priv;
    AUTO_FREE uint8_t *buf = NULL;
    bool changed = false;
    size_t len;
    int r;

    for (uint32_t i = 0; i < dir->count; i++) {
        changed |= !(dir->entries[i].flags & FLAG_IN_USE);
        dir->entries[i].flags |= FLAG_IN_USE;
    }
    if (!changed)
        return 0;
    buf = build_directory(dir, &len);
    assert(len == q->bitmap_dir_size);
    r = qcow2_check_overlap(d, BIT(Q2_BITMAP_DIRECTORY), q->bitmap_dir_offset, len);
    if (r == 0)
        r = qcow2_file_write(d, q->bitmap_dir_offset, buf, len);
    return r < 0 ? r : disk_flush(d->file);
}

bool qcow2_load_bitmaps(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    struct loading l = { .d = d };
    struct directory dir;
    int64_t allocated = disk_allocated_bytes(d->file);
    bool ok = true;
    int r;

    if (!(q->h.autoclear & AUTOCLEAR_BITMAPS)) {
        /* another program changed the image and knew nothing of bitmaps: they count for nothing */
        q->bitmap_count = 0;
        q->bitmap_dir_offset = q->bitmap_dir_size = 0;
    }
    if (!q->bitmap_count || (d->open_flags & (DISK_CHECK | DISK_NO_IO)))
        return true;
    if (!read_directory(d, &dir, err))
        return false;
    l.buf = xnew_array(uint8_t, q->cluster_size);
    l.left = (64u << 20) + (allocated > 0 ? (uint64_t)allocated : 0);
    for (uint32_t i = 0; ok && i < dir.count; i++)
        ok = load_one(&l, &dir.entries[i], err);
    free(l.buf);
    if (ok && !d->read_only && (r = mark_in_use(d, &dir)) < 0)
        ok = fail(err, -r, "bitmaps cannot be marked as in use: %s", strerror(-r));
    directory_finish(&dir);
    q->bitmaps_loaded = ok;
    return ok;
}

int qcow2_bitmaps_writable(struct disk *d)
{
    struct qcow2 *q = d->priv;
    struct directory dir;
    struct error err;
    int r;

    if (!q->bitmaps_loaded || !q->bitmap_count)
        return 0;
    if (!read_directory(d, &dir, &err))
        return -err.code;
    r = mark_in_use(d, &dir);
    directory_finish(&dir);
    for (struct disk_bitmap *b = disk_bitmap_next(d, NULL); b; b = disk_bitmap_next(d, b))
        disk_bitmap_set_flags(b, 0, BITMAP_READ_ONLY);
    return r;
}

/* Storing */
static int put_table(struct disk *d, uint64_t *table, uint32_t entries, uint64_t *ret_offset)
{
    uint64_t bytes = (uint64_t)entries * 8;
    int64_t offset = qcow2_alloc(d, bytes);
    int r;

    if (offset < 0)
        return (int)offset;
    *ret_offset = (uint64_t)offset;
    for (uint32_t i = 0; i < entries; i++)
        st_be64(&table[i], table[i]);
    r = qcow2_check_overlap(d, 0, (uint64_t)offset, bytes);
    return r < 0 ? r : qcow2_file_write(d, (uint64_t)offset, table, bytes);
}

static bool all_ones(const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (buf[i] != 0xff)
            return false;
    return true;
}

/* One cluster of bits: 0, TABLE_ALL_ONES or where it was written. */
static int put_bits(struct disk *d, const struct disk_bitmap *b, uint64_t index, size_t len,
                    uint8_t *buf, uint64_t *ret)
{
    struct qcow2 *q = d->priv;
    int64_t offset;
    int r;

    memset(buf, 0, q->cluster_size);
    disk_bitmap_serialise(b, index << q->h.cluster_bits, buf, len);
    if (buf_is_zero(buf, len)) {
        *ret = 0;
        return 0;
    }
    if (len == q->cluster_size && all_ones(buf, len)) {
        *ret = TABLE_ALL_ONES;
        return 0;
    }
    offset = qcow2_alloc(d, q->cluster_size);
    if (offset < 0)
        return (int)offset;
    *ret = (uint64_t)offset;
    r = qcow2_check_overlap(d, 0, (uint64_t)offset, q->cluster_size);
    return r < 0 ? r : qcow2_file_write(d, (uint64_t)offset, buf, q->cluster_size);
}

static int put_bitmap(struct disk *d, const struct disk_bitmap *b, struct entry *e)
{
    struct qcow2 *q = d->priv;
    uint64_t granularity = disk_bitmap_granularity(b), size = disk_bitmap_size(b);
    uint64_t bytes = ((size + granularity - 1) / granularity + 7) / 8;
    uint64_t span = (uint64_t)q->cluster_size * 8 * granularity, i = 0;
    AUTO_FREE uint8_t *buf = xnew_array(uint8_t, q->cluster_size);
    AUTO_FREE uint64_t *table = NULL;
    uint64_t at = 0, len;

    e->table_entries = (uint32_t)MAX((bytes + q->cluster_mask) >> q->h.cluster_bits, 1u);
    table = xnew_array(uint64_t, e->table_entries);
    while (disk_bitmap_next_dirty(b, &at, &len) && (i = at / span) < e->table_entries) {
        int r = put_bits(d, b, i,
                         (size_t)MIN((uint64_t)q->cluster_size, bytes - (i << q->h.cluster_bits)),
                         buf, &table[i]);

        if (r < 0)
            return r;
        at = (i + 1) * span;
        if (at >= size)
            break;
    }
    return put_table(d, table, e->table_entries, &e->table_offset);
}

struct freeing {
    struct disk *d;
};

static int free_piece(void *opaque, uint64_t index, uint64_t entry)
{
    struct freeing *f = opaque;
    struct qcow2 *q = f->d->priv;

    if (entry & TABLE_OFFSET_MASK)
        qcow2_free(f->d, entry & TABLE_OFFSET_MASK, q->cluster_size, Q2_DISCARD_OTHER);
    return 0;
}

static void free_bits(struct disk *d, const struct entry *e)
{
    struct freeing f = { d };

    /* what cannot be read cannot be freed: the next open does */
    if (each_table_entry(d, e, free_piece, &f) < 0)
        ((struct qcow2 *)d->priv)->leaked = true;
    else
        qcow2_free(d, e->table_offset, (uint64_t)e->table_entries * 8, Q2_DISCARD_OTHER);
}

/* Puts the directory into new clusters and switches the header to it; frees the old directory. */
static int switch_directory(struct disk *d, const struct directory *dir)
{
    struct qcow2 *q = d->priv;
    uint64_t old_offset = q->bitmap_dir_offset, old_size = q->bitmap_dir_size;
    uint64_t old_autoclear = q->h.autoclear;
    uint32_t old_count = q->bitmap_count;
    AUTO_FREE uint8_t *buf = NULL;
    int64_t offset = 0;
    size_t len = 0;
    int r;

    if (dir->count) {
        buf = build_directory(dir, &len);
        if (len > MAX_DIRECTORY)
            return -EFBIG;
        offset = qcow2_alloc(d, len);
        if (offset < 0)
            return (int)offset;
        if ((r = qcow2_check_overlap(d, 0, (uint64_t)offset, len)) < 0 ||
            (r = qcow2_file_write(d, (uint64_t)offset, buf, len)) < 0) {
            qcow2_free(d, (uint64_t)offset, len, Q2_DISCARD_OTHER);
            return r;
        }
    }
    if ((r = qcow2_settle(d)) < 0) {
        if (len)
            qcow2_free(d, (uint64_t)offset, len, Q2_DISCARD_OTHER);
        return r;
    }
    q->bitmap_dir_offset = (uint64_t)offset;
    q->bitmap_dir_size = len;
    q->bitmap_count = dir->count;
    if (dir->count)
        q->h.autoclear |= AUTOCLEAR_BITMAPS;
    else
        q->h.autoclear &= ~(uint64_t)AUTOCLEAR_BITMAPS;
    if ((r = qcow2_write_header(d)) < 0 || (r = disk_flush(d->file)) < 0) {
        q->bitmap_dir_offset = old_offset;
        q->bitmap_dir_size = old_size;
        q->bitmap_count = old_count;
        q->h.autoclear = old_autoclear;
        return r;
    }
    if (old_count)
        qcow2_free(d, old_offset, old_size, Q2_DISCARD_OTHER);
    return 0;
}

static const struct entry *find_entry(const struct directory *dir, const char *name)
{
    for (uint32_t i = 0; i < dir->count; i++)
        if (!strcmp(dir->entries[i].name, name))
            return &dir->entries[i];
    return NULL;
}

static bool keep_as_is(struct disk *d, const struct entry *e)
{
    const struct disk_bitmap *b = disk_bitmap_find(d, e->name);

    return b && (disk_bitmap_flags(b) & BITMAP_INCONSISTENT);
}

/* New clusters for all consistent bitmaps; inconsistent ones keep what they have. */
static int store_bits(struct disk *d, const struct directory *old, struct directory *dir)
{
    for (struct disk_bitmap *b = disk_bitmap_next(d, NULL); b; b = disk_bitmap_next(d, b)) {
        unsigned flags = disk_bitmap_flags(b);
        const char *name = disk_bitmap_name(b);
        const struct entry *before;
        struct entry *e;
        int r;

        if (!name || !(flags & BITMAP_PERSISTENT))
            continue;
        before = find_entry(old, name);
        if (flags & BITMAP_INCONSISTENT) {
            if (before)
                *directory_add(dir) = *before;
            continue;
        }
        e = directory_add(dir);
        snprintf(e->name, sizeof(e->name), "%s", name);
        e->flags = flags & BITMAP_ENABLED ? FLAG_AUTO : 0;
        e->granularity_bits = (uint8_t)__builtin_ctz(disk_bitmap_granularity(b));
        r = put_bitmap(d, b, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool any_persistent(struct disk *d)
{
    for (struct disk_bitmap *b = disk_bitmap_next(d, NULL); b; b = disk_bitmap_next(d, b))
        if (disk_bitmap_name(b) && (disk_bitmap_flags(b) & BITMAP_PERSISTENT))
            return true;
    return false;
}

static bool store_locked(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    struct directory old, dir = { 0 };
    int r;

    if (!read_directory(d, &old, err))
        return false;
    r = qcow2_mark_dirty(d);
    if (r == 0)
        r = store_bits(d, &old, &dir);
    if (r == 0)
        r = switch_directory(d, &dir);
    for (uint32_t i = 0; i < (r == 0 ? old.count : dir.count); i++) {
        const struct entry *e = r == 0 ? &old.entries[i] : &dir.entries[i];

        if (e->table_offset && !keep_as_is(d, e))
            free_bits(d, e);
    }
    directory_finish(&old);
    directory_finish(&dir);
    q->bitmaps_loaded = true;
    q->leaked |= r < 0;
    if (r < 0)
        return fail(err, -r, "dirty bitmaps cannot be stored: %s", strerror(-r));
    return true;
}

static bool bitmaps_store(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    bool ok = true;

    /* not loaded: what is in the image stays as it is */
    if (d->read_only || (q->bitmap_count && !q->bitmaps_loaded) ||
        (!q->bitmap_count && !any_persistent(d)))
        return true;
    WITH_LOCK (&q->meta)
        ok = store_locked(d, err);
    return ok;
}

static bool remove_locked(struct disk *d, const char *name, struct error *err)
{
    struct directory old, dir = { 0 };
    const struct entry *gone;
    int r = 0;

    if (!read_directory(d, &old, err))
        return false;
    gone = find_entry(&old, name);
    if (gone) {
        for (uint32_t i = 0; i < old.count; i++)
            if (&old.entries[i] != gone)
                *directory_add(&dir) = old.entries[i];
        r = qcow2_mark_dirty(d);
        if (r == 0)
            r = switch_directory(d, &dir);
        if (r == 0)
            free_bits(d, gone);
    }
    directory_finish(&old);
    directory_finish(&dir);
    ((struct qcow2 *)d->priv)->leaked |= r < 0;
    if (r < 0)
        return fail(err, -r, "bitmap '%.60s' cannot be removed: %s", name, strerror(-r));
    return true;
}

static bool bitmaps_remove(struct disk *d, const char *name, struct error *err)
{
    struct qcow2 *q = d->priv;
    bool ok = true;

    if (d->read_only)
        return fail(err, EACCES, "bitmap '%.60s' cannot be removed: the image is open read-only",
                    name);
    WITH_LOCK (&q->meta)
        ok = remove_locked(d, name, err);
    return ok;
}

static uint64_t table_entries_for(const struct qcow2 *q, uint64_t size, uint32_t granularity)
{
    uint64_t bytes = ((size + granularity - 1) / granularity + 7) / 8;

    return (bytes + q->cluster_mask) >> q->h.cluster_bits;
}

static bool bitmaps_can_store(struct disk *d, const char *name, uint32_t granularity,
                              struct error *err)
{
    const struct qcow2 *q = d->priv;
    uint64_t count = 0, bytes = ALIGN_UP(ENTRY_FIXED + strlen(name), 8);

    if (q->h.version < 3) {
        fail(err, ENOTSUP, "Cannot store dirty bitmaps in qcow2 v2 files");
        return fail_hint(err, "rhea-img amend -o compat=1.1 FILE makes it version 3");
    }
    if (!name[0] || strlen(name) > MAX_NAME)
        return fail(err, EINVAL, "Bitmap name is too long, or empty: at most %u bytes", MAX_NAME);
    if (granularity < BIT(MIN_GRANULARITY_BITS) || granularity > BIT(MAX_GRANULARITY_BITS))
        return fail(err, EINVAL, "Granularity must be from %u bytes to 2 GiB", 512);
    if (table_entries_for(q, atomic_load(&d->size), granularity) << q->h.cluster_bits >
        MAX_BITS_BYTES) {
        fail(err, EINVAL, "Too much space will be occupied by the bitmap");
        return fail_hint(err, "use a larger granularity");
    }
    for (struct disk_bitmap *b = disk_bitmap_next(d, NULL); b; b = disk_bitmap_next(d, b))
        if (disk_bitmap_name(b) && (disk_bitmap_flags(b) & BITMAP_PERSISTENT)) {
            count++;
            bytes += ALIGN_UP(ENTRY_FIXED + strlen(disk_bitmap_name(b)), 8);
        }
    if (count >= MAX_BITMAPS)
        return fail(err, EINVAL, "Maximum number of persistent bitmaps is already reached");
    if (bytes > MAX_DIRECTORY)
        return fail(err, EINVAL, "Not enough space in the bitmap directory");
    return true;
}

/* Tables, all bits and the directory, in whole clusters. */
static uint64_t bitmaps_measure(struct disk *d)
{
    const struct qcow2 *q = d->priv;
    uint64_t total = 0, directory = 0;

    for (struct disk_bitmap *b = disk_bitmap_next(d, NULL); b; b = disk_bitmap_next(d, b)) {
        uint64_t entries;

        if (!disk_bitmap_name(b) ||
            (disk_bitmap_flags(b) & (BITMAP_PERSISTENT | BITMAP_INCONSISTENT)) != BITMAP_PERSISTENT)
            continue;
        entries = table_entries_for(q, disk_bitmap_size(b), disk_bitmap_granularity(b));
        total += (entries << q->h.cluster_bits) + ALIGN_UP(entries * 8, q->cluster_size);
        directory += ALIGN_UP(ENTRY_FIXED + strlen(disk_bitmap_name(b)), 8);
    }
    return total + ALIGN_UP(directory, q->cluster_size);
}

json_t *qcow2_bitmaps_info(struct disk *d)
{
    struct qcow2 *q = d->priv;
    json_t *list = NULL;

    WITH_LOCK (&q->meta) {
        struct directory dir;
        struct error err;

        if (!q->bitmap_count || !read_directory(d, &dir, &err))
            break;
        list = json_array();
        for (uint32_t i = 0; i < dir.count; i++) {
            const struct entry *e = &dir.entries[i];
            json_t *flags = json_array();

            /* what we have open ourselves is not "in use" by somebody who died */
            if ((e->flags & FLAG_IN_USE) &&
                (!q->bitmaps_loaded || d->read_only || keep_as_is(d, e)))
                json_array_append_new(flags, json_string("in-use"));
            if (e->flags & FLAG_AUTO)
                json_array_append_new(flags, json_string("auto"));
            json_array_append_new(list,
                                  json_pack("{s:o, s:s, s:I}", "flags", flags, "name", e->name,
                                            "granularity", (json_int_t)1 << e->granularity_bits));
        }
        directory_finish(&dir);
    }
    return list;
}

/* For check. */
static int count_piece(void *opaque, uint64_t index, uint64_t entry)
{
    struct qcow2_scan *s = opaque;
    struct qcow2 *q = s->d->priv;

    if (entry & TABLE_OFFSET_MASK)
        qcow2_scan_count(s, entry & TABLE_OFFSET_MASK, q->cluster_size, 1);
    return 0;
}

int qcow2_count_bitmaps(struct qcow2_scan *s)
{
    struct qcow2 *q = s->d->priv;
    struct directory dir;
    struct error err;
    int r = 0;

    if (!q->bitmap_count)
        return 0;
    qcow2_scan_count(s, q->bitmap_dir_offset, q->bitmap_dir_size, 1);
    if (!read_directory(s->d, &dir, &err)) {
        if (err.code != EINVAL)
            return -err.code;
        qcow2_say(s, "ERROR bitmaps: %s", err.msg);
        s->c->corruptions++;
        return 0;
    }
    for (uint32_t i = 0; i < dir.count; i++) {
        const struct entry *e = &dir.entries[i];

        qcow2_scan_count(s, e->table_offset, (uint64_t)e->table_entries * 8, 1);
        r = each_table_entry(s->d, e, count_piece, s);
        if (r == -EINVAL) {
            qcow2_say(s, "ERROR bitmap '%.60s': its table is damaged", e->name);
            s->c->corruptions++;
            r = 0;
        }
        if (r < 0)
            break;
    }
    directory_finish(&dir);
    return r;
}

const struct disk_bitmap_ops qcow2_bitmap_ops = {
    .can_store = bitmaps_can_store,
    .store = bitmaps_store,
    .remove = bitmaps_remove,
    .measure = bitmaps_measure,
};
