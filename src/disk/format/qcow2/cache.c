/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Write-back cache of metadata tables (refcount blocks; L2 tables or slices of them), all under
 * meta. Only the changed part of a table is written. A cache can depend on another, or on the data
 * written so far: its tables then reach the file after those are durable.
 */
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "disk/format/qcow2/qcow2.h"

enum { NONE = -1 };

struct entry {
    uint64_t offset; /* 0: empty */
    uint32_t users, dirty_lo, dirty_hi;
    int32_t hash_next, newer, older; /* indexes; NONE ends */
    bool recent;                     /* peeked at, which does not move it to the front */
    bool touched;                    /* used since the cleaner went by */
};

struct qcow2_cache {
    struct disk *d;
    uint8_t *tables; /* a mapping: memory comes as tables are used */
    size_t table_bytes, mapped;
    struct entry *entries;
    int32_t *buckets;
    uint32_t count, used, bucket_mask, dirty;
    int32_t newest, oldest;
    struct qcow2_cache *dep;
    bool dep_flush;
};

static uint8_t *table_of(struct qcow2_cache *c, const struct entry *e)
{
    return c->tables + (size_t)(e - c->entries) * c->table_bytes;
}

static struct entry *entry_of(struct qcow2_cache *c, const void *table)
{
    size_t i = (size_t)((const uint8_t *)table - c->tables) / c->table_bytes;

    assert(i < c->used);
    return &c->entries[i];
}

struct qcow2_cache *qcow2_cache_new(struct disk *d, size_t table_bytes, unsigned tables)
{
    struct qcow2_cache *c = xnew(struct qcow2_cache);
    uint32_t buckets = 16;

    while (buckets < tables * 2)
        buckets *= 2;
    c->d = d;
    c->table_bytes = table_bytes;
    c->count = tables;
    c->mapped = table_bytes * tables;
    c->tables = mmap(NULL, c->mapped, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->tables == MAP_FAILED) {
        free(c);
        return NULL;
    }
    c->entries = xnew_array(struct entry, tables);
    c->buckets = xnew_array(int32_t, buckets);
    memset(c->buckets, 0xff, buckets * sizeof(*c->buckets));
    c->bucket_mask = buckets - 1;
    c->newest = c->oldest = NONE;
    return c;
}

void qcow2_cache_free(struct qcow2_cache *c)
{
    if (!c)
        return;
    (void)munmap(c->tables, c->mapped);
    free(c->entries);
    free(c->buckets);
    free(c);
}

static int32_t *bucket(struct qcow2_cache *c, uint64_t offset)
{
    uint64_t h = (offset / c->table_bytes) * UINT64_C(0x9e3779b97f4a7c15);

    return &c->buckets[(h >> 32) & c->bucket_mask];
}

static void lru_remove(struct qcow2_cache *c, struct entry *e)
{
    *(e->newer == NONE ? &c->newest : &c->entries[e->newer].older) = e->older;
    *(e->older == NONE ? &c->oldest : &c->entries[e->older].newer) = e->newer;
}

static void lru_add(struct qcow2_cache *c, struct entry *e)
{
    int32_t i = (int32_t)(e - c->entries);

    e->newer = NONE;
    e->older = c->newest;
    *(c->newest == NONE ? &c->oldest : &c->entries[c->newest].newer) = i;
    c->newest = i;
}

static struct entry *find(struct qcow2_cache *c, uint64_t offset)
{
    for (int32_t i = *bucket(c, offset); i != NONE; i = c->entries[i].hash_next)
        if (c->entries[i].offset == offset)
            return &c->entries[i];
    return NULL;
}

static void unhash(struct qcow2_cache *c, struct entry *e)
{
    int32_t *p = bucket(c, e->offset);

    while (*p != e - c->entries)
        p = &c->entries[*p].hash_next;
    *p = e->hash_next;
    e->offset = 0;
    if (e->dirty_hi)
        c->dirty--;
    e->dirty_lo = e->dirty_hi = 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int resolve_dependencies(struct qcow2_cache *c)
{
    int ret = 0;

    if (c->dep) {
        ret = qcow2_cache_write(c->dep);
        if (ret == 0)
            c->dep_flush = true;
    }
    if (ret == 0 && c->dep_flush)
        ret = qcow2_barrier(c->d);
    if (ret < 0)
        return ret;
    c->dep = NULL;
    c->dep_flush = false;
    return 0;
}

static int write_entry(struct qcow2_cache *c, struct entry *e)
{
    /* Whole 512-byte sectors: none is ever half old. */
    uint32_t lo = ALIGN_DOWN(e->dirty_lo, 512u), hi = ALIGN_UP(e->dirty_hi, 512u);
    unsigned kinds = c == ((struct qcow2 *)c->d->priv)->l2_cache
                         ? BIT(Q2_ACTIVE_L2) | BIT(Q2_INACTIVE_L2)
                         : BIT(Q2_REFCOUNT_BLOCK);
    int ret = qcow2_check_overlap(c->d, kinds, e->offset + lo, hi - lo);

    if (ret == 0)
        ret = qcow2_file_write(c->d, e->offset + lo, table_of(c, e) + lo, hi - lo);

    if (ret < 0)
        return ret;
    e->dirty_lo = e->dirty_hi = 0;
    c->dirty--;
    return 0;
}

int qcow2_cache_write(struct qcow2_cache *c)
{
    struct qcow2 *q = c->d->priv;
    uint32_t n = 0;
    int ret = 0;

    if (c->dirty) {
        AUTO_FREE struct entry **list = xnew_array(struct entry *, c->dirty);

        ret = resolve_dependencies(c);
        if (ret < 0)
            return ret;
        for (uint32_t i = 0; i < c->used; i++)
            if (c->entries[i].dirty_hi)
                list[n++] = &c->entries[i];
        qsort(list, n, sizeof(*list), by_offset);
        for (uint32_t i = 0; i < n && ret == 0; i++)
            ret = write_entry(c, list[i]);
    }
    if (ret == 0 && c == q->refcount_cache)
        ret = qcow2_write_refcount_table(c->d);
    return ret;
}

int qcow2_cache_flush(struct qcow2_cache *c)
{
    int ret = qcow2_cache_write(c);

    return ret < 0 ? ret : disk_flush(c->d->file);
}

/* An entry for a new table: a fresh one, or the one longest unused. */
static int take_entry(struct qcow2_cache *c, struct entry **ret)
{
    if (c->used < c->count) {
        *ret = &c->entries[c->used++];
        return 0;
    }
    for (int32_t i = c->oldest, next; i != NONE; i = next) {
        struct entry *e = &c->entries[i];

        next = e->newer;
        if (e->users)
            continue;
        if (e->recent && next != NONE) { /* peeked at, which does not move it: a second chance */
            e->recent = false;
            lru_remove(c, e);
            lru_add(c, e);
            continue;
        }
        if (e->dirty_hi) {
            int r = qcow2_cache_write(c); /* all at once: dependencies are waited for once */

            if (r < 0)
                return r;
        }
        lru_remove(c, e);
        if (e->offset)
            unhash(c, e);
        *ret = e;
        return 0;
    }
    return -ENOMEM; /* more tables in use at once than a cache ever has: a bug */
}

static int get(struct qcow2_cache *c, uint64_t offset, bool load, void **ret_table)
{
    struct entry *e = find(c, offset);
    int ret;

    assert(offset && offset % 512 == 0);
    if (e) {
        if (c->newest != e - c->entries) {
            lru_remove(c, e);
            lru_add(c, e);
        }
    } else {
        ret = take_entry(c, &e);
        if (ret < 0)
            return ret;
        e->offset = 0;
        e->users = e->dirty_lo = e->dirty_hi = 0;
        lru_add(c, e);
        if (load) {
            ret = qcow2_file_read(c->d, offset, table_of(c, e), c->table_bytes);
            if (ret < 0) {
                return ret; /* stays in the list, empty */
            }
        }
        e->offset = offset;
        e->hash_next = *bucket(c, offset);
        *bucket(c, offset) = (int32_t)(e - c->entries);
    }
    e->users++;
    e->touched = true;
    *ret_table = table_of(c, e);
    return 0;
}

int qcow2_cache_get(struct qcow2_cache *c, uint64_t offset, void **ret_table)
{
    return get(c, offset, true, ret_table);
}

int qcow2_cache_get_empty(struct qcow2_cache *c, uint64_t offset, void **ret_table)
{
    int ret = get(c, offset, false, ret_table);

    if (ret == 0) {
        memset(*ret_table, 0, c->table_bytes);
        qcow2_cache_dirty(c, *ret_table);
    }
    return ret;
}

void qcow2_cache_dirty_range(struct qcow2_cache *c, void *table, uint32_t at, uint32_t len)
{
    struct entry *e = entry_of(c, table);

    if (!e->dirty_hi) {
        c->dirty++;
        e->dirty_lo = at;
    }
    e->dirty_lo = MIN(e->dirty_lo, at);
    e->dirty_hi = MAX(e->dirty_hi, at + len);
}

void qcow2_cache_dirty(struct qcow2_cache *c, void *table)
{
    qcow2_cache_dirty_range(c, table, 0, (uint32_t)c->table_bytes);
}

void qcow2_cache_put(struct qcow2_cache *c, void **table)
{
    if (*table) {
        struct entry *e = entry_of(c, *table);

        assert(e->users > 0);
        e->users--;
        *table = NULL;
    }
}

void *qcow2_cache_peek(struct qcow2_cache *c, uint64_t offset)
{
    struct entry *e = find(c, offset);

    if (!e)
        return NULL;
    e->recent = e->touched = true;
    return table_of(c, e);
}

int qcow2_cache_depend(struct qcow2_cache *c, struct qcow2_cache *dep)
{
    int ret = 0;

    if (!dep) {
        c->dep_flush = true;
        return 0;
    }
    if (dep->dep || dep->dep_flush) /* no chains, so no circles */
        ret = resolve_dependencies(dep);
    if (ret == 0)
        c->dep = dep;
    return ret;
}

void qcow2_cache_forget(struct qcow2_cache *c, uint64_t offset, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += c->table_bytes) {
        struct entry *e = find(c, offset + at);

        if (e) {
            assert(!e->users);
            unhash(c, e);
        }
    }
}

int qcow2_cache_empty(struct qcow2_cache *c)
{
    int ret = qcow2_cache_write(c);

    if (ret < 0)
        return ret;
    for (uint32_t i = 0; i < c->used; i++) {
        struct entry *e = &c->entries[i];

        assert(!e->users);
        if (e->offset)
            unhash(c, e);
    }
    (void)madvise(c->tables, c->mapped, MADV_DONTNEED);
    return 0;
}

void qcow2_cache_clean(struct qcow2_cache *c)
{
    for (uint32_t i = 0; i < c->used; i++) {
        struct entry *e = &c->entries[i];

        if (e->offset && !e->users && !e->dirty_hi && !e->touched) {
            unhash(c, e);
            if (c->table_bytes >= 4096)
                (void)madvise(table_of(c, e), c->table_bytes, MADV_DONTNEED);
        }
        e->touched = false;
    }
}
