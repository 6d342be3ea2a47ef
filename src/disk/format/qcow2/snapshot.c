/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Internal snapshots: each is an L1 table of its own that shares L2 tables and clusters with the
 * active one by refcounts. Every change marks the image dirty (version 3) and works in the order
 * "more references, switch, fewer references", so a cut leaves leaks at worst.
 */
#include "base/alloc.h"
#include "base/scope.h"
#include "disk/format/qcow2/meta.h"
#include "disk/format/qcow2/qcow2.h"

enum { MAX_SNAPSHOTS = 65536, MAX_STRING = 65535 };

static char *copy(const char *s)
{
    return s ? xstrdup(s) : xstrdup("");
}

static int snapshot_list(struct disk *d, struct disk_snapshot **ret_list, unsigned *ret_count)
{
    struct qcow2 *q = d->priv;

    WITH_LOCK (&q->meta) {
        struct disk_snapshot *list = xnew_array(struct disk_snapshot, q->snapshot_count + 1);

        for (uint32_t i = 0; i < q->snapshot_count; i++) {
            list[i] = q->snapshots[i].s;
            list[i].id = copy(list[i].id);
            list[i].name = copy(list[i].name);
        }
        *ret_list = list;
        *ret_count = q->snapshot_count;
    }
    return 0;
}

/* By id, else by name; -1: none. */
static int find(const struct qcow2 *q, const char *id_or_name)
{
    for (uint32_t i = 0; i < q->snapshot_count; i++)
        if (!strcmp(q->snapshots[i].s.id, id_or_name))
            return (int)i;
    for (uint32_t i = 0; i < q->snapshot_count; i++)
        if (!strcmp(q->snapshots[i].s.name, id_or_name))
            return (int)i;
    return -1;
}

static bool no_such(const char *id_or_name, struct error *err)
{
    fail(err, ENOENT, "Can't find the snapshot: no snapshot has the ID or name '%s'", id_or_name);
    return fail_hint(err, "rhea-img snapshot -l lists them");
}

static bool failed(struct disk *d, struct error *err, int r, const char *what)
{
    struct qcow2 *q = d->priv;

    q->leaked = true;
    fail(err, -r, "%s: %s", what, strerror(-r));
    if (r == -ENOSPC)
        fail_hint(err, "make room on the host; the image is as before");
    return false;
}

static char *new_id(const struct qcow2 *q)
{
    uint64_t highest = 0;

    for (uint32_t i = 0; i < q->snapshot_count; i++)
        highest = MAX(highest, strtoull(q->snapshots[i].s.id, NULL, 10));
    return xasprintf("%" PRIu64, highest + 1);
}

/* Undoes a change that turned out not to be; what that leaves is healed by the next open. */
static void undo(struct disk *d, uint64_t l1_offset, uint32_t entries, uint64_t l1_copy,
                 uint32_t copy_entries)
{
    int r = qcow2_update_l1_refcounts(d, l1_offset, entries, -1);

    if (r == 0 && copy_entries)
        qcow2_free(d, l1_copy, (uint64_t)copy_entries * 8, Q2_DISCARD_SNAPSHOT);
}

/* Writes entries of an L1 table to new clusters, without COPIED flags. Offset or -errno. */
static int64_t put_l1(struct disk *d, const uint64_t *l1, uint32_t entries)
{
    uint64_t bytes = (uint64_t)entries * 8;
    AUTO_FREE uint8_t *buf = xnew_array(uint8_t, bytes);
    int64_t offset = qcow2_alloc(d, bytes);
    int r;

    if (offset < 0)
        return offset;
    for (uint32_t i = 0; i < entries; i++)
        st_be64(buf + 8 * (size_t)i, l1[i] & ~ENTRY_COPIED);
    if ((r = qcow2_check_overlap(d, 0, (uint64_t)offset, bytes)) < 0 ||
        (r = qcow2_file_write(d, (uint64_t)offset, buf, bytes)) < 0) {
        qcow2_free(d, (uint64_t)offset, bytes, Q2_DISCARD_OTHER);
        return r;
    }
    return offset;
}

/* L1 table of a snapshot, host order; NULL when it cannot be read. */
static uint64_t *get_l1(struct disk *d, uint64_t offset, uint32_t entries, uint32_t room, int *ret)
{
    uint64_t *l1 = xnew_array(uint64_t, MAX(room, entries) + 1);

    *ret = entries ? qcow2_file_read(d, offset, l1, (size_t)entries * 8) : 0;
    if (*ret < 0) {
        free(l1);
        return NULL;
    }
    for (uint32_t i = 0; i < entries; i++)
        l1[i] = ld_be64(&l1[i]) & ~ENTRY_COPIED;
    return l1;
}

/* The list with one more at the end; the strings are shared with the present one. */
static struct qcow2_snapshot *list_plus(const struct qcow2 *q, const struct qcow2_snapshot *sn)
{
    struct qcow2_snapshot *list = xnew_array(struct qcow2_snapshot, q->snapshot_count + 1);

    if (q->snapshot_count)
        memcpy(list, q->snapshots, q->snapshot_count * sizeof(list[0]));
    list[q->snapshot_count] = *sn;
    return list;
}

static int create_locked(struct disk *d, struct qcow2_snapshot *sn)
{
    struct qcow2 *q = d->priv;
    struct qcow2_snapshot *list;
    int64_t l1 = 0;
    int r;

    if ((r = qcow2_mark_dirty(d)) < 0 || (r = qcow2_settle(d)) < 0)
        return r;
    sn->l1_entries = q->h.l1_entries;
    if (sn->l1_entries && (l1 = put_l1(d, q->l1, sn->l1_entries)) < 0)
        return (int)l1;
    sn->l1_offset = (uint64_t)l1;
    r = qcow2_update_l1_refcounts(d, q->h.l1_offset, q->h.l1_entries, 1);
    if (r < 0) { /* as it was */
        if (l1)
            qcow2_free(d, (uint64_t)l1, (uint64_t)sn->l1_entries * 8, Q2_DISCARD_SNAPSHOT);
        return r;
    }
    r = qcow2_settle(d);
    if (r < 0)
        goto undone;
    list = list_plus(q, sn);
    r = qcow2_write_snapshots(d, list, q->snapshot_count + 1);
    if (r < 0) {
        free(list);
        goto undone;
    }
    return 0;
undone:
    undo(d, q->h.l1_offset, q->h.l1_entries, sn->l1_offset, sn->l1_entries);
    return r;
}

static bool may_create(struct disk *d, const struct disk_snapshot *s, struct error *err)
{
    const struct qcow2 *q = d->priv;

    if (d->read_only)
        return fail(err, EACCES, "a snapshot cannot be made: the image is open read-only");
    if (qcow2_has_data_file(q)) {
        fail(err, ENOTSUP, "Cannot create a snapshot: the data lies in an external data file");
        return fail_hint(err, "convert the image to one without data_file first");
    }
    if (q->snapshot_count >= MAX_SNAPSHOTS)
        return fail(err, EFBIG, "the image has %u snapshots, more are not possible", MAX_SNAPSHOTS);
    if ((s->name && strlen(s->name) > MAX_STRING) || (s->id && strlen(s->id) > MAX_STRING))
        return fail(err, EINVAL, "the snapshot's name is longer than %u bytes", MAX_STRING);
    if (s->id && s->id[0])
        for (uint32_t i = 0; i < q->snapshot_count; i++)
            if (!strcmp(q->snapshots[i].s.id, s->id))
                return fail(err, EEXIST, "a snapshot with the ID '%s' exists", s->id);
    return true;
}

static bool snapshot_create(struct disk *d, struct disk_snapshot *s, struct error *err)
{
    struct qcow2 *q = d->priv;
    struct qcow2_snapshot sn = { .s = *s };
    bool ok = false;
    int r = 0;

    disk_drain_begin(d);
    WITH_LOCK (&q->meta) {
        if (!may_create(d, s, err))
            break;
        sn.s.id = s->id && s->id[0] ? xstrdup(s->id) : new_id(q);
        sn.s.name = copy(s->name);
        sn.s.disk_size = atomic_load(&d->size);
        r = create_locked(d, &sn);
        if (r < 0) {
            free(sn.s.id);
            free(sn.s.name);
            failed(d, err, r, "Could not create snapshot");
            break;
        }
        free(s->id);
        s->id = xstrdup(sn.s.id);
        s->disk_size = sn.s.disk_size;
        ok = true;
    }
    /* the VM state belongs to the snapshot now; in the active table it would only cost copies */
    if (ok && sn.s.vm_state_size)
        (void)qcow2_discard(d, qcow2_vm_state_offset(d),
                            ALIGN_UP(sn.s.vm_state_size, q->cluster_size));
    disk_drain_end(d);
    return ok;
}

static uint32_t l1_entries_for(const struct qcow2 *q, uint64_t size)
{
    uint64_t span = (uint64_t)q->cluster_size * q->l2_entries;

    return (uint32_t)((size + span - 1) / span);
}

/* The snapshot's L1 becomes the active one, in new clusters; then what the old one had is let go.
 */
static int apply_locked(struct disk *d, const struct qcow2_snapshot *sn)
{
    struct qcow2 *q = d->priv;
    uint32_t entries = MAX(sn->l1_entries, l1_entries_for(q, sn->s.disk_size));
    uint64_t old_offset = q->h.l1_offset, old_size = q->h.size;
    uint32_t old_entries = q->h.l1_entries;
    AUTO_FREE uint64_t *l1 = NULL;
    int64_t offset = 0;
    int r;

    if ((r = qcow2_mark_dirty(d)) < 0 || (r = qcow2_settle(d)) < 0)
        return r;
    l1 = get_l1(d, sn->l1_offset, sn->l1_entries, entries, &r);
    if (!l1)
        return r;
    if (entries && (offset = put_l1(d, l1, entries)) < 0)
        return (int)offset;
    r = qcow2_update_l1_refcounts(d, sn->l1_offset, sn->l1_entries, 1);
    if (r < 0) { /* as it was */
        if (entries)
            qcow2_free(d, (uint64_t)offset, (uint64_t)entries * 8, Q2_DISCARD_SNAPSHOT);
        return r;
    }
    if ((r = qcow2_settle(d)) < 0)
        goto undone;
    q->h.l1_offset = (uint64_t)offset;
    q->h.l1_entries = entries;
    q->h.size = sn->s.disk_size;
    if ((r = qcow2_write_header(d)) < 0 || (r = disk_flush(d->file)) < 0) {
        q->h.l1_offset = old_offset;
        q->h.l1_entries = old_entries;
        q->h.size = old_size;
        return r; /* which one counts is not known: nothing is freed */
    }
    free(q->l1);
    q->l1 = TAKE(l1);
    q->l1_dirty_lo = q->l1_dirty_hi = 0;
    disk_set_size(d, sn->s.disk_size);
    r = qcow2_update_l1_refcounts(d, old_offset, old_entries, -1);
    if (r == 0 && old_entries)
        qcow2_free(d, old_offset, (uint64_t)old_entries * 8, Q2_DISCARD_SNAPSHOT);
    if (r == 0)
        r = qcow2_update_l1_refcounts(d, q->h.l1_offset, q->h.l1_entries, 0);
    return r < 0 ? r : qcow2_settle(d);
undone:
    undo(d, sn->l1_offset, sn->l1_entries, (uint64_t)offset, entries);
    return r;
}

static bool may_apply(struct disk *d, const struct qcow2_snapshot *sn, struct error *err)
{
    const struct qcow2 *q = d->priv;

    if (d->read_only)
        return fail(err, EACCES, "a snapshot cannot be applied: the image is open read-only");
    if (qcow2_has_data_file(q))
        return fail(err, ENOTSUP, "a snapshot cannot be applied: external data file");
    if (sn->s.disk_size != atomic_load(&d->size) && q->h.version < 3) {
        fail(err, ENOTSUP, "snapshot '%s' has another disk size (%" PRIu64 " bytes)", sn->s.name,
             sn->s.disk_size);
        return fail_hint(err, "rhea-img amend -o compat=1.1 makes it possible");
    }
    if (sn->s.disk_size > DISK_MAX_SIZE || l1_entries_for(q, sn->s.disk_size) > (32u << 20) / 8)
        return fail(err, EFBIG, "snapshot '%s': its disk size of %" PRIu64 " bytes is too large",
                    sn->s.name, sn->s.disk_size);
    return true;
}

static bool snapshot_apply(struct disk *d, const char *id_or_name, struct error *err)
{
    struct qcow2 *q = d->priv;
    bool ok = false;

    disk_drain_begin(d);
    WITH_LOCK (&q->meta) {
        int i = find(q, id_or_name), r;

        if (i < 0)
            ok = no_such(id_or_name, err);
        else if (may_apply(d, &q->snapshots[i], err)) {
            r = apply_locked(d, &q->snapshots[i]);
            ok = r == 0 || failed(d, err, r, "Could not apply the snapshot");
        }
    }
    if (ok)
        disk_bitmaps_written(d, 0, atomic_load(&d->size));
    disk_drain_end(d);
    return ok;
}

static int remove_locked(struct disk *d, unsigned i)
{
    struct qcow2 *q = d->priv;
    struct qcow2_snapshot gone = q->snapshots[i], *list;
    uint32_t count = q->snapshot_count - 1;
    int r;

    if ((r = qcow2_mark_dirty(d)) < 0 || (r = qcow2_settle(d)) < 0)
        return r;
    list = xnew_array(struct qcow2_snapshot, count + 1);
    memcpy(list, q->snapshots, i * sizeof(list[0]));
    memcpy(list + i, q->snapshots + i + 1, (count - i) * sizeof(list[0]));
    r = qcow2_write_snapshots(d, list, count);
    if (r < 0) {
        free(list);
        return r;
    }
    free(gone.s.id);
    free(gone.s.name);
    free(gone.unknown_extra);
    r = qcow2_update_l1_refcounts(d, gone.l1_offset, gone.l1_entries, -1);
    if (r == 0 && gone.l1_entries)
        qcow2_free(d, gone.l1_offset, (uint64_t)gone.l1_entries * 8, Q2_DISCARD_SNAPSHOT);
    if (r == 0)
        r = qcow2_update_l1_refcounts(d, q->h.l1_offset, q->h.l1_entries, 0);
    return r < 0 ? r : qcow2_settle(d);
}

static bool snapshot_remove(struct disk *d, const char *id_or_name, struct error *err)
{
    struct qcow2 *q = d->priv;
    bool ok = false;

    if (d->read_only)
        return fail(err, EACCES, "a snapshot cannot be deleted: the image is open read-only");
    if (qcow2_has_data_file(q))
        return fail(err, ENOTSUP, "a snapshot cannot be deleted: external data file");
    disk_drain_begin(d);
    WITH_LOCK (&q->meta) {
        int i = find(q, id_or_name), r;

        if (i < 0)
            ok = no_such(id_or_name, err);
        else {
            r = remove_locked(d, (unsigned)i);
            ok = r == 0 || failed(d, err, r, "Could not delete the snapshot");
        }
    }
    disk_drain_end(d);
    return ok;
}

/* Reads go to the snapshot from now on; for images open read-only (convert -l). */
static bool snapshot_load(struct disk *d, const char *id_or_name, struct error *err)
{
    struct qcow2 *q = d->priv;
    bool ok = false;

    if (!d->read_only)
        return fail(err, EINVAL, "a snapshot is only read from an image that is open read-only");
    disk_drain_begin(d);
    WITH_LOCK (&q->meta) {
        int i = find(q, id_or_name), r;
        const struct qcow2_snapshot *sn;
        uint64_t *l1;

        if (i < 0) {
            ok = no_such(id_or_name, err);
            break;
        }
        sn = &q->snapshots[i];
        if (sn->s.disk_size > DISK_MAX_SIZE) {
            ok = fail(err, EFBIG, "snapshot '%s': its disk size is too large", sn->s.name);
            break;
        }
        l1 = get_l1(d, sn->l1_offset, sn->l1_entries, 0, &r);
        if (!l1) {
            ok = failed(d, err, r, "Could not read the snapshot's L1 table");
            break;
        }
        free(q->l1);
        q->l1 = l1;
        q->h.l1_offset = sn->l1_offset;
        q->h.l1_entries = sn->l1_entries;
        q->h.size = sn->s.disk_size;
        disk_set_size(d, sn->s.disk_size);
        ok = true;
    }
    disk_drain_end(d);
    return ok;
}

/* The VM state lies behind the disk, from the first L1 entry that the disk does not use. */
uint64_t qcow2_vm_state_offset(struct disk *d)
{
    const struct qcow2 *q = d->priv;

    return (uint64_t)l1_entries_for(q, q->h.size) * q->cluster_size * q->l2_entries;
}

/* The whole sectors around a piece of VM state. */
struct state_piece {
    uint64_t start;
    size_t head, len;
    uint8_t *buf;
};

static int state_get(struct disk *d, uint64_t offset, size_t len, struct state_piece *p)
{
    uint32_t align = MAX(d->align, 512u);
    uint64_t at = qcow2_vm_state_offset(d), end;

    if (!checked_add(at, offset, &at) || !checked_add(at, len + align, &end) || end > DISK_MAX_SIZE)
        return -EFBIG;
    p->start = ALIGN_DOWN(at, align);
    p->head = (size_t)(at - p->start);
    p->len = ALIGN_UP(p->head + len, align);
    p->buf = aligned_alloc(4096, ALIGN_UP(p->len, 4096));
    if (!p->buf)
        return -ENOMEM;
    return qcow2_read(d, p->start, vec_of(p->buf, p->len));
}

static int read_vm_state(struct disk *d, uint64_t offset, struct disk_vec v)
{
    struct state_piece p = { 0 };
    int r = state_get(d, offset, v.len, &p);

    if (r == 0)
        vec_from_buf(&v, p.buf + p.head);
    free(p.buf);
    return r;
}

static int write_vm_state(struct disk *d, uint64_t offset, struct disk_vec v)
{
    struct qcow2 *q = d->priv;
    struct state_piece p = { 0 };
    int r = state_get(d, offset, v.len, &p);

    if (r == 0) {
        uint32_t need = l1_entries_for(q, p.start + p.len);

        vec_to_buf(&v, p.buf + p.head);
        WITH_LOCK (&q->meta)
            r = need > q->h.l1_entries ? qcow2_grow_l1(d, need, false) : 0;
        if (r == 0)
            r = qcow2_write(d, p.start, vec_of(p.buf, p.len), 0);
    }
    free(p.buf);
    return r;
}

const struct disk_snapshot_ops qcow2_snapshot_ops = {
    .list = snapshot_list,
    .create = snapshot_create,
    .apply = snapshot_apply,
    .remove = snapshot_remove,
    .load = snapshot_load,
    .read_vm_state = read_vm_state,
    .write_vm_state = write_vm_state,
};
