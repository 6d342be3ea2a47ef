/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot table (spec "Snapshots"): read at open with every length bounded, and written anew:
 * the whole table goes to fresh clusters, then the header is switched to it in one write, then the
 * old clusters are freed. A cut leaves the old table or the new one, and a leak at worst.
 */
#include "base/alloc.h"
#include "base/reader.h"
#include "base/scope.h"
#include "disk/format/qcow2/meta.h"
#include "disk/format/qcow2/qcow2.h"

enum {
    MAX_SNAPSHOTS = 65536,
    MAX_TABLE = 64 << 20,
    MAX_EXTRA = 1024,
    MAX_L1 = 32 << 20, /* bytes, as for the active one */
    ENTRY_FIXED = 40,
    EXTRA_KNOWN = 24,
    WINDOW = 256 << 10, /* holds any entry: 40 + 1024 + 2 * 65535 */
};

/* A window of the table in memory that follows the reader. */
struct window {
    struct disk *file;
    uint64_t start, file_size;
    size_t len;
    uint8_t *buf;
};

/* len bytes at offset, or NULL: beyond the end of the file, or unreadable. */
static const uint8_t *window_at(struct window *w, uint64_t offset, size_t len)
{
    if (len > WINDOW || offset > w->file_size || len > w->file_size - offset)
        return NULL;
    if (offset < w->start || offset + len > w->start + w->len) {
        size_t want = MIN((uint64_t)WINDOW, w->file_size - offset);

        w->len = 0;
        if (disk_read(w->file, offset, w->buf, want) < 0)
            return NULL;
        w->start = offset;
        w->len = want;
    }
    return w->buf + (offset - w->start);
}

void qcow2_free_snapshots(struct qcow2_snapshot *list, uint32_t count)
{
    for (uint32_t i = 0; list && i < count; i++) {
        free(list[i].s.id);
        free(list[i].s.name);
        free(list[i].unknown_extra);
    }
    free(list);
}

static char *take_string(struct reader *r, size_t len)
{
    char *s = xnew_array(char, len + 1);

    rd_bytes(r, s, len);
    return s;
}

static void parse_extra(struct disk *d, struct reader *r, uint32_t len, struct qcow2_snapshot *sn)
{
    uint32_t known = MIN(len, (uint32_t)EXTRA_KNOWN);
    struct reader e = reader(rd_take(r, known), known);

    sn->s.disk_size = atomic_load(&d->size);
    sn->s.icount = -1;
    if (known >= 8)
        sn->s.vm_state_size = rd_be64(&e);
    if (known >= 16)
        sn->s.disk_size = rd_be64(&e);
    if (known >= 24)
        sn->s.icount = (int64_t)rd_be64(&e);
    sn->unknown_extra_len = len - known;
    if (sn->unknown_extra_len) {
        sn->unknown_extra = xnew_array(uint8_t, sn->unknown_extra_len);
        rd_bytes(r, sn->unknown_extra, sn->unknown_extra_len);
    }
}

static bool check_l1(struct disk *d, const struct qcow2_snapshot *sn, unsigned i, struct error *err)
{
    const struct qcow2 *q = d->priv;

    if (sn->l1_entries > MAX_L1 / 8)
        return fail(err, EFBIG, "snapshot %u: its L1 table of %u entries is too large", i,
                    sn->l1_entries);
    if (sn->l1_offset & q->cluster_mask)
        return fail(err, EINVAL, "snapshot %u: L1 table at %#" PRIx64 " is not cluster aligned", i,
                    sn->l1_offset);
    if (sn->l1_offset > (uint64_t)INT64_MAX - MAX_L1)
        return fail(err, EINVAL, "snapshot %u: L1 table at %#" PRIx64 " is beyond any file", i,
                    sn->l1_offset);
    return true;
}

/* One entry at *offset, which moves on. Bytes of too long extra data are skipped when the image is
 * opened for repair; the repair then writes the table without them. */
static bool read_entry(struct disk *d, struct window *w, uint64_t *offset, unsigned i,
                       struct qcow2_snapshot *sn, struct error *err)
{
    struct qcow2 *q = d->priv;
    const uint8_t *p = window_at(w, *offset, ENTRY_FIXED);
    struct reader r = reader(p, p ? ENTRY_FIXED : 0);
    uint64_t at = *offset + ENTRY_FIXED;
    uint32_t id_len, name_len, extra, kept;

    sn->l1_offset = rd_be64(&r);
    sn->l1_entries = rd_be32(&r);
    id_len = rd_be16(&r);
    name_len = rd_be16(&r);
    sn->s.date_s = rd_be32(&r);
    sn->s.date_ns = rd_be32(&r);
    sn->s.vm_clock_ns = (int64_t)rd_be64(&r);
    sn->s.vm_state_size = rd_be32(&r);
    extra = rd_be32(&r);
    if (!rd_ok(&r))
        return fail(err, EIO, "snapshot %u: its table entry lies beyond the end of the file", i);
    kept = MIN(extra, (uint32_t)MAX_EXTRA);
    if (extra > MAX_EXTRA) {
        if (!(d->open_flags & DISK_CHECK))
            return fail(err, EFBIG, "snapshot %u: %u bytes of extra data, at most %u are possible",
                        i, extra, MAX_EXTRA);
        q->snapshot_table_errors++;
    }
    if (q->h.version >= 3 && extra < 16)
        q->snapshot_table_errors++;
    p = window_at(w, at, kept);
    r = reader(p, p ? kept : 0);
    parse_extra(d, &r, kept, sn);
    at += extra;
    if (rd_ok(&r)) {
        p = window_at(w, at, id_len + name_len);
        r = reader(p, p ? id_len + name_len : 0);
        sn->s.id = take_string(&r, id_len);
        sn->s.name = take_string(&r, name_len);
    }
    if (!rd_ok(&r))
        return fail(err, EIO, "snapshot %u: its table entry lies beyond the end of the file", i);
    *offset = ALIGN_UP(at + id_len + name_len, 8);
    return check_l1(d, sn, i, err);
}

bool qcow2_read_snapshots(struct disk *d, struct error *err)
{
    struct qcow2 *q = d->priv;
    struct window w = { .file = d->file, .file_size = disk_size(d->file) };
    uint64_t at = q->h.snapshots_offset, count = q->h.snapshot_count, want = count;
    bool ok = true;

    q->snapshot_table_errors = 0;
    q->snapshots = NULL;
    q->snapshot_count = 0;
    if (!count)
        return true;
    if (at & q->cluster_mask)
        return fail(err, EINVAL, "the snapshot table at %#" PRIx64 " is not cluster aligned", at);
    if (count > MAX_SNAPSHOTS) {
        if (!(d->open_flags & DISK_CHECK)) {
            fail(err, EFBIG, "%" PRIu64 " snapshots in the header, at most %u are possible", count,
                 MAX_SNAPSHOTS);
            return fail_hint(err, "repair it with 'rhea-img check -r all', which drops the rest");
        }
        q->snapshot_table_errors++;
        want = MAX_SNAPSHOTS;
    }
    /* no more than the file can hold: the count may lie */
    if (at > w.file_size || want > (w.file_size - at) / ENTRY_FIXED + 1)
        return fail(err, EIO, "the snapshot table lies beyond the end of the file");
    q->snapshots = xnew_array(struct qcow2_snapshot, want);
    w.buf = xnew_array(uint8_t, WINDOW);
    for (; ok && q->snapshot_count < want; q->snapshot_count++) {
        ok = read_entry(d, &w, &at, q->snapshot_count, &q->snapshots[q->snapshot_count], err);
        if (ok && at - q->h.snapshots_offset > MAX_TABLE)
            ok = fail(err, EFBIG, "the snapshot table is larger than %u MiB", MAX_TABLE >> 20);
    }
    q->snapshot_table_bytes = at - q->h.snapshots_offset;
    free(w.buf);
    if (!ok) {
        /* the entry that failed is counted: it may own strings */
        qcow2_free_snapshots(q->snapshots, q->snapshot_count);
        q->snapshots = NULL;
        q->snapshot_count = 0;
        fail_hint(err, "rhea-img check tells more");
    }
    return ok;
}

static size_t entry_bytes(const struct qcow2_snapshot *sn)
{
    return ALIGN_UP(ENTRY_FIXED + EXTRA_KNOWN + (size_t)sn->unknown_extra_len + strlen(sn->s.id) +
                        strlen(sn->s.name),
                    8);
}

static void put_entry(uint8_t *p, const struct qcow2_snapshot *sn)
{
    size_t id_len = strlen(sn->s.id), name_len = strlen(sn->s.name);

    st_be64(p, sn->l1_offset);
    st_be32(p + 8, sn->l1_entries);
    st_be16(p + 12, (uint16_t)id_len);
    st_be16(p + 14, (uint16_t)name_len);
    st_be32(p + 16, (uint32_t)sn->s.date_s);
    st_be32(p + 20, (uint32_t)sn->s.date_ns);
    st_be64(p + 24, (uint64_t)sn->s.vm_clock_ns);
    st_be32(p + 32, sn->s.vm_state_size > UINT32_MAX ? 0 : (uint32_t)sn->s.vm_state_size);
    st_be32(p + 36, EXTRA_KNOWN + sn->unknown_extra_len);
    st_be64(p + 40, sn->s.vm_state_size);
    st_be64(p + 48, sn->s.disk_size);
    st_be64(p + 56, (uint64_t)sn->s.icount);
    p += ENTRY_FIXED + EXTRA_KNOWN;
    if (sn->unknown_extra_len)
        memcpy(p, sn->unknown_extra, sn->unknown_extra_len);
    memcpy(p + sn->unknown_extra_len, sn->s.id, id_len);
    memcpy(p + sn->unknown_extra_len + id_len, sn->s.name, name_len);
}

/* The table in new clusters, durable with the refcounts of it. */
static int put_table(struct disk *d, const struct qcow2_snapshot *list, uint32_t count,
                     uint64_t *ret_offset, uint64_t *ret_bytes)
{
    struct qcow2 *q = d->priv;
    AUTO_FREE uint8_t *buf = NULL;
    uint64_t bytes = 0, at = 0;
    int64_t offset;
    int r;

    for (uint32_t i = 0; i < count; i++)
        bytes += entry_bytes(&list[i]);
    *ret_offset = *ret_bytes = 0;
    if (!count)
        return 0;
    if (bytes > MAX_TABLE)
        return -EFBIG;
    buf = xnew_array(uint8_t, bytes);
    for (uint32_t i = 0; i < count; i++) {
        put_entry(buf + at, &list[i]);
        at += entry_bytes(&list[i]);
    }
    offset = qcow2_alloc(d, bytes);
    if (offset < 0)
        return (int)offset;
    if ((r = qcow2_check_overlap(d, 0, (uint64_t)offset, bytes)) < 0 ||
        (r = qcow2_file_write(d, (uint64_t)offset, buf, bytes)) < 0 ||
        (r = qcow2_cache_flush(q->refcount_cache)) < 0 || (r = disk_flush(d->file)) < 0) {
        qcow2_free(d, (uint64_t)offset, bytes, Q2_DISCARD_OTHER);
        return r;
    }
    *ret_offset = (uint64_t)offset;
    *ret_bytes = bytes;
    return 0;
}

int qcow2_write_snapshots(struct disk *d, struct qcow2_snapshot *own_list, uint32_t count)
{
    struct qcow2 *q = d->priv;
    uint64_t old_offset = q->h.snapshots_offset, old_bytes = q->snapshot_table_bytes;
    uint32_t old_count = q->h.snapshot_count;
    uint64_t offset, bytes;
    int r = put_table(d, own_list, count, &offset, &bytes);

    if (r < 0)
        return r;
    q->h.snapshots_offset = offset;
    q->h.snapshot_count = count;
    if ((r = qcow2_write_header(d)) < 0 || (r = disk_flush(d->file)) < 0) {
        /* which of the two tables counts now is not known: neither is freed */
        q->h.snapshots_offset = old_offset;
        q->h.snapshot_count = old_count;
        return r;
    }
    if (old_count)
        qcow2_free(d, old_offset, old_bytes, Q2_DISCARD_SNAPSHOT);
    if (own_list != q->snapshots)
        free(q->snapshots); /* the strings moved to own_list, or the caller freed them */
    q->snapshots = own_list;
    q->snapshot_count = count;
    q->snapshot_table_bytes = bytes;
    q->snapshot_table_errors = 0;
    return 0;
}
