/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing the size of the disk, and giving clusters to ranges before data comes (preallocation).
 * The header says the new size last when it grows, and first loses what lies beyond when it
 * shrinks.
 */
#include <inttypes.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/qcow2/flight.h"

static bool fail_io(struct error *err, int ret, const char *what)
{
    (void)fail(err, -ret, "%s: %s", what, strerror(-ret));
    if (ret == -ENOSPC)
        return fail_hint(err, "make room on the file system that holds the image");
    return false;
}

/* Entries for the clusters of one slice from at on; returns the guest offset it came to. */
static int preallocate_some(struct disk *d, uint64_t at, uint64_t end, uint64_t *ret_at)
{
    struct qcow2 *q = d->priv;
    uint64_t span = (uint64_t)q->slice_entries << q->h.cluster_bits, n;
    uint64_t before = q->data->file_end;
    bool zero = q->crypt != NULL; /* zeroes of the host are not zeroes when decrypted */
    uint32_t first;
    struct qcow2_run run;
    int64_t host;
    void *slice;
    int ret = qcow2_lookup(d, at, MIN(end - at, span - (at & (span - 1))), &run);

    if (ret < 0)
        return ret;
    *ret_at = at + ALIGN_UP(run.len, (uint64_t)q->cluster_size);
    if (run.type != Q2_UNALLOCATED && run.type != Q2_ZERO_PLAIN)
        return 0;
    n = ALIGN_UP(MIN(run.len, span - (at & (span - 1))), (uint64_t)q->cluster_size) >>
        q->h.cluster_bits;
    /* The L2 table first: then data lies in one piece behind it. */
    ret = qcow2_writable_l2(d, at, &slice, &first);
    if (ret < 0)
        return ret;
    host = qcow2_has_data_file(q) ? (int64_t)at : qcow2_alloc_some(d, n, &n);
    if (host < 0)
        ret = (int)host;
    else if ((uint64_t)host < before && !qcow2_has_data_file(q) && !zero) /* used before */
        ret = disk_zero(d->file, (uint64_t)host, n << q->h.cluster_bits, DISK_MAY_UNMAP);
    if (ret == 0 && !qcow2_has_data_file(q))
        ret = qcow2_cache_depend(q->l2_cache, q->refcount_cache);
    for (uint64_t i = 0; i < n && ret == 0; i++) {
        uint8_t *p = (uint8_t *)slice + (first + i) * q->l2_entry_size;

        st_be64(p, ((uint64_t)host + (i << q->h.cluster_bits)) | ENTRY_COPIED |
                       (zero && !q->extended_l2 ? L2_ZERO : 0));
        if (q->extended_l2)
            st_be64(p + 8, zero ? (uint64_t)UINT32_MAX << 32 : UINT32_MAX);
    }
    if (ret == 0)
        qcow2_cache_dirty_range(q->l2_cache, slice, first * q->l2_entry_size,
                                (uint32_t)n * q->l2_entry_size);
    qcow2_cache_put(q->l2_cache, &slice);
    *ret_at = at + (n << q->h.cluster_bits);
    return ret;
}

int qcow2_preallocate(struct disk *d, uint64_t offset, uint64_t end)
{
    struct qcow2 *q = d->priv;
    uint64_t at = ALIGN_UP(offset, (uint64_t)q->cluster_size), last;
    int ret = 0;

    end = ALIGN_UP(end, (uint64_t)q->cluster_size);
    while (at < end && ret == 0)
        WITH_LOCK (&q->meta)
            ret = preallocate_some(d, at, end, &at);
    if (ret < 0 || qcow2_has_data_file(q))
        return ret;
    last = q->data->file_end; /* the file reaches to its last cluster */
    if (disk_size(d->file) < last) {
        struct error err;

        if (!disk_resize(d->file, last, DISK_PREALLOC_OFF, false, &err))
            return -err.code;
    }
    return 0;
}

/* Space in the file before the clusters are given out, so that they lie in it. */
static bool reserve_file(struct disk *d, uint64_t bytes, enum disk_preallocation p,
                         struct error *err)
{
    struct qcow2 *q = d->priv;
    struct qcow2_create opts = { .cluster_size = q->cluster_size,
                                 .refcount_bits = (uint16_t)q->refcount_bits,
                                 .extended_l2 = q->extended_l2 };
    uint64_t now = q->data->file_end, needed = qcow2_full_size(&opts, bytes), end;

    /* Its tables are counted as for a new image, whose header and first tables exist here. */
    end = ALIGN_UP(now + needed, (uint64_t)q->cluster_size);
    end -= MIN(end, qcow2_full_size(&opts, 0));
    end = MAX(end, now);
    if (disk_size(d->file) >= end)
        return true;
    return disk_resize(d->file, end, p, false, err);
}

/* What the disk shows between its old end and the new one is zeroes, whatever lies below or was
 * left in the last cluster. */
static int clear_new_part(struct disk *d, uint64_t from, uint64_t to)
{
    struct qcow2 *q = d->priv;
    uint64_t edge = MIN(ALIGN_UP(from, (uint64_t)q->cluster_size), to), at;
    uint64_t below = d->backing ? MIN(disk_size(d->backing), to) : 0;
    int ret = 0;

    if (edge > from) {
        AUTO_FREE uint8_t *buf = xnew_array(uint8_t, edge - from);

        ret = qcow2_read(d, from, vec_of(buf, edge - from));
        if (ret == 0 && (below > from || !buf_is_zero(buf, edge - from))) {
            memset(buf, 0, edge - from);
            ret = qcow2_write(d, from, vec_of(buf, edge - from), 0);
        }
    }
    below =
        MIN(ALIGN_UP(below, (uint64_t)q->cluster_size), ALIGN_UP(to, (uint64_t)q->cluster_size));
    if (ret < 0 || below <= edge)
        return ret;
    if (q->h.version >= 3)
        return qcow2_zero(d, edge, below - edge, DISK_MAY_UNMAP);

    AUTO_FREE uint8_t *zeroes = xnew_array(uint8_t, q->cluster_size);

    for (at = edge; at < below && ret == 0; at += q->cluster_size)
        ret = qcow2_write(d, at, vec_of(zeroes, q->cluster_size), 0);
    return ret;
}

static int write_size(struct disk *d, uint64_t size)
{
    struct qcow2 *q = d->priv;
    uint64_t old = q->h.size;
    int ret = 0;

    WITH_LOCK (&q->meta) {
        ret = qcow2_write_metadata(d);
        if (ret == 0)
            ret = qcow2_barrier(d);
        if (ret == 0) {
            q->h.size = size;
            ret = qcow2_write_header(d);
            if (ret < 0)
                q->h.size = old;
        }
        if (ret == 0)
            ret = qcow2_barrier(d);
    }
    return ret;
}

static bool resize_data_file(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                             struct error *err)
{
    struct qcow2 *q = d->priv;

    uint64_t had = qcow2_has_data_file(q) ? disk_size(d->data) : 0;
    int ret = 0;

    if (!qcow2_has_data_file(q))
        return true;
    if (had > q->h.size && size > q->h.size) /* a device, or another's data: the new part is zero */
        ret = disk_zero(d->data, q->h.size, MIN(had, size) - q->h.size, DISK_MAY_UNMAP);
    if (ret < 0)
        return fail_io(err, ret, "Could not zero the data file");
    if (p >= DISK_PREALLOC_FALLOC || q->data_file_raw || disk_size(d->data) < size)
        if (!disk_resize(d->data, size, p == DISK_PREALLOC_METADATA ? DISK_PREALLOC_OFF : p,
                         exact && q->data_file_raw, err)) {
            err_prefix(err, "data file: ");
            return false;
        }
    return true;
}

static bool grow(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                 struct error *err)
{
    struct qcow2 *q = d->priv;
    uint64_t span = (uint64_t)q->l2_entries << q->h.cluster_bits, old = q->h.size;
    uint64_t entries = size / span + (size % span != 0);
    int ret = 0;

    if (entries > (32u << 20) / 8) {
        (void)fail(err, EFBIG, "%" PRIu64 " bytes are too many for clusters of %u bytes", size,
                   q->cluster_size);
        return fail_hint(err, "create the image with a larger cluster_size");
    }
    /* A raw data file is a disk by itself: what others write there must show in this image, so
     * that no cluster of it may be left unmapped. */
    if (q->data_file_raw && p == DISK_PREALLOC_OFF)
        p = DISK_PREALLOC_METADATA;
    if (!resize_data_file(d, size, p, exact, err))
        return false;
    if (p >= DISK_PREALLOC_FALLOC && !qcow2_has_data_file(q) &&
        !reserve_file(d, size - old, p, err))
        return false;
    WITH_LOCK (&q->meta)
        ret = qcow2_grow_l1(d, (uint32_t)entries, true);
    if (ret == 0)
        ret = clear_new_part(d, old, size);
    if (ret == 0 && p != DISK_PREALLOC_OFF)
        ret = qcow2_preallocate(d, old, size);
    if (ret == 0)
        ret = write_size(d, size);
    return ret == 0 || fail_io(err, ret, "Failed to grow the image");
}

int qcow2_cut_file(struct disk *d)
{
    struct qcow2 *q = d->priv;
    uint64_t last = ALIGN_UP(disk_size(d->file), (uint64_t)q->cluster_size) >> q->h.cluster_bits;
    unsigned block_bits = q->h.cluster_bits + 3 - q->h.refcount_order;
    uint64_t refcount = 0;
    struct error err;
    int ret = 0;

    last = MIN(last, (uint64_t)q->refcount_table_entries << block_bits);
    while (last > 0 && ret == 0) {
        if (!q->refcount_table[(last - 1) >> block_bits]) { /* none of that block's is in use */
            last = ALIGN_DOWN(last - 1, UINT64_C(1) << block_bits);
            continue;
        }
        ret = qcow2_get_refcount(d, last - 1, &refcount);
        if (refcount)
            break;
        last--;
    }
    if (ret < 0 || last << q->h.cluster_bits >= disk_size(d->file))
        return ret;
    q->packed_left = 0;
    if (disk_resize(d->file, last << q->h.cluster_bits, DISK_PREALLOC_OFF, false, &err))
        q->data->file_end = last << q->h.cluster_bits;
    return 0; /* a device cannot be cut: no harm */
}

static bool shrink(struct disk *d, uint64_t size, bool exact, struct error *err)
{
    struct qcow2 *q = d->priv;
    uint64_t span = (uint64_t)q->l2_entries << q->h.cluster_bits;
    uint64_t edge = ALIGN_UP(size, (uint64_t)q->cluster_size);
    int ret = qcow2_discard_all(d, edge, MAX(ALIGN_UP(q->h.size, (uint64_t)q->cluster_size), edge));

    if (ret == 0)
        WITH_LOCK (&q->meta) {
            ret = qcow2_shrink_l1(d, (uint32_t)(size / span + (size % span != 0)));
            if (ret == 0)
                ret = qcow2_settle(d);
        }
    if (ret == 0)
        ret = write_size(d, size);
    if (ret == 0)
        WITH_LOCK (&q->meta)
            ret = qcow2_cut_file(d);
    if (ret < 0)
        return fail_io(err, ret, "Failed to shrink the image");
    if (qcow2_has_data_file(q) && !disk_resize(d->data, size, DISK_PREALLOC_OFF, exact, err)) {
        err_prefix(err, "data file: ");
        return false;
    }
    return true;
}

bool qcow2_resize(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                  struct error *err)
{
    struct qcow2 *q = d->priv;
    bool ok;

    if (size & 511)
        return fail(err, EINVAL, "The new size must be a multiple of 512");
    if (q->corrupt)
        return fail(err, EIO, "the image is corrupt");
    if (q->h.snapshot_count && q->h.version < 3) {
        (void)fail(err, ENOTSUP, "Can't resize a version 2 image which has snapshots");
        return fail_hint(err, "amend it to compat=1.1, or delete the snapshots");
    }
    if (p != DISK_PREALLOC_OFF && size < q->h.size)
        return fail(err, ENOTSUP, "Preallocation can't be used for shrinking an image");
    if (size == q->h.size)
        return true;
    ok = size > q->h.size ? grow(d, size, p, exact, err) : shrink(d, size, exact, err);
    if (ok)
        disk_set_size(d, size);
    else
        q->leaked = true;
    return ok;
}
