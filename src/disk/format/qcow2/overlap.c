/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Before metadata is written, a look whether the place belongs to other metadata: a damaged image
 * must not be damaged further. Options overlap-check and overlap-check.KIND choose which kinds are
 * looked at; those that cost no reads of the file are the default.
 */
#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/format/qcow2/meta.h"

enum {
    CONSTANT = BIT(Q2_HEADER) | BIT(Q2_ACTIVE_L1) | BIT(Q2_REFCOUNT_TABLE) |
               BIT(Q2_SNAPSHOT_TABLE) | BIT(Q2_BITMAP_DIRECTORY),
    CACHED = CONSTANT | BIT(Q2_ACTIVE_L2) | BIT(Q2_REFCOUNT_BLOCK) | BIT(Q2_INACTIVE_L1),
    ALL = CACHED | BIT(Q2_INACTIVE_L2),
};

static const struct {
    const char *option, *words;
} kinds[Q2_KIND_COUNT] = {
    [Q2_HEADER] = { "main-header", "qcow2_header" },
    [Q2_ACTIVE_L1] = { "active-l1", "active L1 table" },
    [Q2_ACTIVE_L2] = { "active-l2", "active L2 table" },
    [Q2_REFCOUNT_TABLE] = { "refcount-table", "refcount table" },
    [Q2_REFCOUNT_BLOCK] = { "refcount-block", "refcount block" },
    [Q2_SNAPSHOT_TABLE] = { "snapshot-table", "snapshot table" },
    [Q2_INACTIVE_L1] = { "inactive-l1", "inactive L1 table" },
    [Q2_INACTIVE_L2] = { "inactive-l2", "inactive L2 table" },
    [Q2_BITMAP_DIRECTORY] = { "bitmap-directory", "bitmap directory" },
};

static bool template_mask(const char *name, unsigned *ret, struct error *err)
{
    static const struct {
        const char *name;
        unsigned mask;
    } templates[] = {
        { "none", 0 }, { "constant", CONSTANT }, { "cached", CACHED }, { "all", ALL }
    };

    for (unsigned i = 0; i < ARRAY_SIZE(templates); i++)
        if (!strcmp(name, templates[i].name)) {
            *ret = templates[i].mask;
            return true;
        }
    fail(err, EINVAL, "Unsupported value '%s' for qcow2 option 'overlap-check'", name);
    return fail_hint(err, "Allowed are any of the following: none, constant, cached, all");
}

bool qcow2_overlap_init(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    const char *name = q->overlap_check ? q->overlap_check : q->overlap_check_template;
    unsigned mask = CACHED;

    if (q->overlap_check && q->overlap_check_template &&
        strcmp(q->overlap_check, q->overlap_check_template)) {
        fail(err, EINVAL, "Conflicting values for qcow2 options 'overlap-check' ('%s')",
             q->overlap_check);
        return fail_hint(err, "and 'overlap-check.template' ('%s'): give one",
                         q->overlap_check_template);
    }
    if (name && !template_mask(name, &mask, err))
        return false;
    for (unsigned k = 0; k < Q2_KIND_COUNT; k++) {
        bool on;

        if (!q->overlap_check_kinds[k])
            continue;
        if (!parse_bool(q->overlap_check_kinds[k], &on, err)) {
            err_prefix(err, "overlap-check.%s: ", kinds[k].option);
            return false;
        }
        mask = on ? mask | BIT(k) : mask & ~(unsigned)BIT(k);
    }
    q->overlap_kinds = mask;
    return true;
}

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a_len && b_len && a < b + b_len && b < a + a_len;
}

/* Whether one of the tables that a list of entries points to is hit. */
static bool hits_pointed(const struct qcow2 *q, const uint64_t *entries, uint32_t count,
                         uint64_t mask, uint64_t offset, uint64_t len)
{
    uint64_t first = ALIGN_DOWN(offset, q->cluster_size);
    uint64_t span = offset + len - first; /* a table that starts in here is hit */

    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = entries[i] & mask;

        if (unlikely(at - first < span) && at)
            return true;
    }
    return false;
}

static bool hits_inactive_l1(const struct qcow2 *q, uint64_t offset, uint64_t len)
{
    for (uint32_t i = 0; i < q->snapshot_count; i++)
        if (overlaps(q->snapshots[i].l1_offset, (uint64_t)q->snapshots[i].l1_entries * 8, offset,
                     len))
            return true;
    return false;
}

/* Reads the L1 tables of all snapshots: only when asked for by overlap-check=all. */
static int hits_inactive_l2(struct disk *d, uint64_t offset, uint64_t len)
{
    const struct qcow2 *q = d->priv;
    uint64_t buf[512];

    for (uint32_t n = 0; n < q->snapshot_count; n++) {
        uint64_t at = q->snapshots[n].l1_offset;
        uint32_t left = q->snapshots[n].l1_entries;

        while (left) {
            uint32_t now = MIN(left, 512u);
            int r = qcow2_file_read(d, at, buf, now * 8);

            if (r < 0)
                return r;
            for (uint32_t i = 0; i < now; i++)
                buf[i] = ld_be64(&buf[i]);
            if (hits_pointed(q, buf, now, ENTRY_OFFSET_MASK, offset, len))
                return 1;
            at += now * 8;
            left -= now;
        }
    }
    return 0;
}

static int hits(struct disk *d, unsigned kind, uint64_t offset, uint64_t len)
{
    const struct qcow2 *q = d->priv;

    switch (kind) {
    case Q2_HEADER: return offset < q->cluster_size;
    case Q2_ACTIVE_L1: return overlaps(q->h.l1_offset, q->h.l1_entries * 8ull, offset, len);
    case Q2_ACTIVE_L2:
        return hits_pointed(q, q->l1, q->l1 ? q->h.l1_entries : 0, ENTRY_OFFSET_MASK, offset, len);
    case Q2_REFCOUNT_TABLE:
        return overlaps(q->h.refcount_table_offset,
                        (uint64_t)q->h.refcount_table_clusters << q->h.cluster_bits, offset, len);
    case Q2_REFCOUNT_BLOCK:
        return hits_pointed(q, q->refcount_table, q->refcount_table ? q->refcount_table_entries : 0,
                            ~UINT64_C(0x1ff), offset, len);
    case Q2_SNAPSHOT_TABLE:
        return overlaps(q->h.snapshots_offset, q->snapshot_table_bytes, offset, len);
    case Q2_INACTIVE_L1: return hits_inactive_l1(q, offset, len);
    case Q2_INACTIVE_L2: return hits_inactive_l2(d, offset, len);
    case Q2_BITMAP_DIRECTORY:
        return overlaps(q->bitmap_dir_offset, q->bitmap_dir_size, offset, len);
    default: return 0;
    }
}

int qcow2_check_overlap(struct disk *d, unsigned ignore_kinds, uint64_t offset, uint64_t len)
{
    const struct qcow2 *q = d->priv;
    unsigned mask = q->overlap_kinds & ~ignore_kinds;

    for (unsigned k = 0; len && k < Q2_KIND_COUNT; k++) {
        char why[120];
        int r;

        if (!(mask & BIT(k)))
            continue;
        r = hits(d, k, offset, len);
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        snprintf(why, sizeof(why), "Preventing invalid write on metadata (overlaps with %s)",
                 kinds[k].words);
        return qcow2_mark_corrupt(d, why);
    }
    return 0;
}
