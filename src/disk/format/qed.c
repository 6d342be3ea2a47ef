/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QED images: one level 1 table, level 2 tables, clusters, all at multiples of the cluster size.
 * The need-check mark is in the header while tables are changed; an image found with it is checked,
 * and repaired, when it is opened for writing.
 */
#include "disk/format/qed.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "base/scope.h"

struct qed_create {
    uint64_t cluster_size, table_size;
};

static int qed_probe(const uint8_t *head, size_t len, const char *filename)
{
    (void)filename;
    return len >= QED_HEADER && ld_le32(head) == QED_MAGIC ? 100 : 0;
}

uint64_t qed_max_size(uint64_t cluster_size, uint64_t table_size)
{
    uint64_t entries = cluster_size * table_size / 8, size;

    if (!checked_mul(entries * entries, cluster_size, &size) || size > DISK_MAX_SIZE)
        return DISK_MAX_SIZE;
    return size;
}

bool qed_offset_ok(const struct qed *q, uint64_t offset)
{
    return offset >= (uint64_t)q->h.header_size * q->h.cluster_size &&
           offset % q->h.cluster_size == 0 && offset <= DISK_MAX_SIZE;
}

static int get_entry(struct qed *q, uint64_t table, uint64_t i, bool cached_only, uint64_t *ret)
{
    const uint8_t *p;
    int r = pages_get(&q->b.pages, table + i * 8, cached_only, &p);

    if (r == 0)
        *ret = ld_le64(p);
    return r;
}

static int qed_lookup(struct blocks *b, uint64_t index, bool cached_only, enum block_state *ret,
                      uint64_t *ret_offset)
{
    struct qed *q = b->opaque;
    uint64_t l2, entry = 0;
    int r;

    if (index / q->table_entries >= q->table_entries)
        return -EIO;
    r = get_entry(q, q->h.l1, index / q->table_entries, cached_only, &l2);
    if (r == 0 && l2 && !qed_offset_ok(q, l2))
        return -EIO;
    if (r == 0 && l2)
        r = get_entry(q, l2, index % q->table_entries, cached_only, &entry);
    if (r < 0)
        return r;
    *ret = !entry ? BLOCK_HOLE : entry == QED_ZERO ? BLOCK_ZERO : BLOCK_DATA;
    if (*ret == BLOCK_DATA && !qed_offset_ok(q, entry))
        return -EIO;
    *ret_offset = entry;
    return 0;
}

/* Puts an empty level 2 table into an empty level 1 entry. */
static int new_l2(struct qed *q, uint64_t l1_index, uint64_t *ret)
{
    uint8_t *p;
    int r = blocks_take_space(&q->b, q->table_bytes, q->h.cluster_size, ret);

    if (r == 0)
        r = pages_put(&q->b.pages, q->h.l1 + l1_index * 8, 1, &p);
    if (r == 0)
        st_le64(p, *ret);
    return r;
}

static int qed_publish(struct blocks *b, uint64_t index, enum block_state state, uint64_t offset)
{
    struct qed *q = b->opaque;
    uint64_t l1_index = index / q->table_entries, l2;
    uint8_t *p;
    int r = get_entry(q, q->h.l1, l1_index, false, &l2);

    if (r == 0 && !l2)
        r = new_l2(q, l1_index, &l2);
    if (r == 0)
        r = pages_put(&b->pages, l2 + index % q->table_entries * 8, 0, &p);
    if (r == 0)
        st_le64(p, state == BLOCK_ZERO ? QED_ZERO : offset);
    return r;
}

int qed_write_header(struct qed *q)
{
    uint8_t buf[QED_HEADER];

    st_le32(buf, QED_MAGIC);
    st_le32(buf + 4, q->h.cluster_size);
    st_le32(buf + 8, q->h.table_size);
    st_le32(buf + 12, q->h.header_size);
    st_le64(buf + 16, q->h.features);
    st_le64(buf + 24, q->h.compat);
    st_le64(buf + 32, q->h.autoclear);
    st_le64(buf + 40, q->h.l1);
    st_le64(buf + 48, q->h.image_size);
    st_le32(buf + 56, q->h.backing_offset);
    st_le32(buf + 60, q->h.backing_len);
    return disk_write(q->b.file, 0, buf, sizeof(buf), 0);
}

static int set_need_check(struct qed *q, bool need)
{
    q->h.features = need ? q->h.features | QED_F_NEED_CHECK : q->h.features & ~QED_F_NEED_CHECK;
    return qed_write_header(q);
}

static int qed_begin(struct blocks *b)
{
    int r = set_need_check(b->opaque, true);

    return r == 0 ? disk_flush(b->file) : r; /* before the file grows */
}

static const struct block_ops qed_ops = {
    .lookup = qed_lookup,
    .publish = qed_publish,
    .begin = qed_begin,
    .find_end = qed_find_end,
};

static bool read_header(struct disk *d, struct qed_header *h, struct error *err)
{
    uint8_t buf[QED_HEADER];
    int r = disk_size(d->file) < sizeof(buf) ? -EINVAL : disk_read(d->file, 0, buf, sizeof(buf));

    if (r < 0)
        return fail(err, -r, "QED header: %s", strerror(-r));
    struct reader rd = reader(buf, sizeof(buf));
    if (rd_le32(&rd) != QED_MAGIC)
        return fail(err, EINVAL, "Image not in QED format");
    h->cluster_size = rd_le32(&rd);
    h->table_size = rd_le32(&rd);
    h->header_size = rd_le32(&rd);
    h->features = rd_le64(&rd);
    h->compat = rd_le64(&rd);
    h->autoclear = rd_le64(&rd);
    h->l1 = rd_le64(&rd);
    h->image_size = rd_le64(&rd);
    h->backing_offset = rd_le32(&rd);
    h->backing_len = rd_le32(&rd);
    return true;
}

static bool check_header(const struct qed *q, uint64_t file_size, struct error *err)
{
    const struct qed_header *h = &q->h;

    if (h->features & ~(uint64_t)QED_F_KNOWN)
        return fail(err, ENOTSUP, "Unsupported QED features: %#" PRIx64,
                    h->features & ~(uint64_t)QED_F_KNOWN);
    if (!is_pow2(h->cluster_size) || h->cluster_size < QED_CLUSTER_MIN ||
        h->cluster_size > QED_CLUSTER_MAX)
        return fail(err, EINVAL, "QED cluster size %u is not allowed", h->cluster_size);
    if (!is_pow2(h->table_size) || h->table_size > QED_TABLE_MAX)
        return fail(err, EINVAL, "QED table size %u is not allowed", h->table_size);
    if (h->image_size % 512 || h->image_size > qed_max_size(h->cluster_size, h->table_size))
        return fail(err, EINVAL, "QED image size %" PRIu64 " is not allowed", h->image_size);
    if (!h->header_size || h->header_size > INT32_MAX / h->cluster_size)
        return fail(err, EINVAL, "QED header size %u is not allowed", h->header_size);
    if (!qed_offset_ok(q, h->l1) || h->l1 >= file_size)
        return fail(err, EINVAL, "QED level 1 table offset %#" PRIx64 " is not allowed", h->l1);
    return true;
}

static bool read_backing_name(struct disk *d, const struct qed_header *h, struct error *err)
{
    char name[QED_BACKING_NAME_MAX + 1] = "";
    int r;

    if (!(h->features & QED_F_BACKING))
        return true;
    if ((uint64_t)h->backing_offset + h->backing_len > (uint64_t)h->header_size * h->cluster_size ||
        h->backing_len > QED_BACKING_NAME_MAX)
        return fail(err, EINVAL, "QED backing file name does not lie in the header");
    r = disk_read(d->file, h->backing_offset, name, h->backing_len);
    if (r < 0)
        return fail(err, -r, "QED backing file name: %s", strerror(-r));
    d->backing_name = xstrdup(name);
    if (h->features & QED_F_BACKING_RAW)
        d->backing_format = xstrdup("raw");
    return true;
}

static bool heal(struct disk *d, struct qed *q, struct error *err)
{
    struct disk_check c = { 0 };
    int r = qed_check(d, &c, DISK_FIX_LEAKS | DISK_FIX_ERRORS);

    if (r == 0 && (c.check_errors || c.corruptions > c.corruptions_fixed))
        r = -EIO;
    if (r == 0 && q->h.features & QED_F_NEED_CHECK)
        r = set_need_check(q, false);
    return r == 0 ||
           fail(err, -r, "the image was not closed properly and checking it failed: %s",
                strerror(-r)) ||
           fail_hint(err, "repair it with rhea-img check -r all");
}

static bool qed_open(struct disk *d, struct error *err)
{
    struct qed *q = d->priv;
    bool writable = d->open_flags & DISK_RDWR && !d->read_only;

    if (!read_header(d, &q->h, err) || !check_header(q, disk_size(d->file), err) ||
        !read_backing_name(d, &q->h, err))
        return false;
    q->table_bytes = (uint64_t)q->h.table_size * q->h.cluster_size;
    q->table_entries = q->table_bytes / 8;
    blocks_init(&q->b, d, d->file, &qed_ops, q);
    d->size = q->b.size = q->h.image_size;
    d->cluster_size = q->b.block_size = q->h.cluster_size;
    q->b.can_zero = true;
    if (writable && q->h.autoclear) { /* none is known here */
        q->h.autoclear = 0;
        int r = qed_write_header(q);
        if (r < 0)
            return fail(err, -r, "QED header: %s", strerror(-r));
    }
    if (writable && q->h.features & QED_F_NEED_CHECK && !(d->open_flags & DISK_CHECK))
        return heal(d, q, err);
    return true;
}

static void qed_close(struct disk *d)
{
    blocks_finish(&((struct qed *)d->priv)->b);
}

static int qed_inactivate(struct disk *d)
{
    struct qed *q = d->priv;
    int r = blocks_settle(&q->b);

    if (r == 0 && q->b.begun) {
        r = set_need_check(q, false);
        q->b.begun = r < 0;
        if (r == 0)
            r = disk_flush(d->file);
    }
    return r;
}

static bool qed_resize(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                       struct error *err)
{
    struct qed *q = d->priv;
    int r;

    (void)exact;
    if (p != DISK_PREALLOC_OFF)
        return fail(err, ENOTSUP, "Unsupported preallocation mode '%s'",
                    disk_preallocation_names[p]);
    if (size < q->h.image_size)
        return fail(err, ENOTSUP, "Shrinking images is currently not supported");
    if (size % 512 || size > qed_max_size(q->h.cluster_size, q->h.table_size))
        return fail(err, EINVAL, "Invalid image size specified");
    q->h.image_size = size;
    r = qed_write_header(q);
    if (r == 0)
        r = disk_flush(d->file);
    if (r < 0) {
        q->h.image_size = d->size;
        return fail(err, -r, "Failed to update the image size: %s", strerror(-r));
    }
    WITH_LOCK (&q->b.lock) {
        q->b.size = size;
    }
    d->size = size;
    return true;
}

static bool qed_change_backing(struct disk *d, const char *filename, const char *format,
                               struct error *err)
{
    struct qed *q = d->priv;
    struct qed_header old = q->h;
    size_t len = filename ? strlen(filename) : 0;
    int r = 0;

    if (len > QED_BACKING_NAME_MAX ||
        QED_HEADER + len > (size_t)q->h.header_size * q->h.cluster_size)
        return fail(err, EINVAL, "the backing file's name is too long for a QED header");
    q->h.features &= ~(uint64_t)(QED_F_BACKING | QED_F_BACKING_RAW);
    if (filename)
        q->h.features |= QED_F_BACKING;
    if (filename && format && strcmp(format, "raw") == 0)
        q->h.features |= QED_F_BACKING_RAW;
    q->h.backing_offset = filename ? QED_HEADER : 0;
    q->h.backing_len = len;
    if (len)
        r = disk_write(d->file, QED_HEADER, filename, len, 0);
    if (r == 0)
        r = qed_write_header(q);
    if (r == 0)
        r = disk_flush(d->file);
    if (r < 0) {
        q->h = old;
        return fail(err, -r, "QED header: %s", strerror(-r));
    }
    return true;
}

static bool check_create(const struct disk_create *c, uint64_t cluster, uint64_t table,
                         struct error *err)
{
    if (cluster < QED_CLUSTER_MIN || cluster > QED_CLUSTER_MAX || !is_pow2(cluster))
        return fail(err, EINVAL, "QED cluster size must be within range [%u, %u] and power of 2",
                    QED_CLUSTER_MIN, QED_CLUSTER_MAX);
    if (table < 1 || table > QED_TABLE_MAX || !is_pow2(table))
        return fail(err, EINVAL, "QED table size must be within range [%u, %u] and power of 2", 1,
                    QED_TABLE_MAX);
    if (c->size > qed_max_size(cluster, table))
        return fail(err, EINVAL,
                    "QED image size must be a non-zero multiple of cluster size and less than "
                    "%" PRIu64 " bytes",
                    qed_max_size(cluster, table));
    if (c->backing_file && strlen(c->backing_file) > QED_BACKING_NAME_MAX)
        return fail(err, EINVAL, "the backing file's name is too long for a QED header");
    return true;
}

static bool qed_create(const struct disk_create *c, struct error *err)
{
    const struct qed_create *o = c->opts;
    uint64_t cluster = o->cluster_size ? o->cluster_size : 65536;
    uint64_t table = o->table_size ? o->table_size : 4;
    int r = 0;

    if (!check_create(c, cluster, table, err) ||
        !disk_resize(c->file, cluster + cluster * table, DISK_PREALLOC_OFF, true, err))
        return false;
    struct qed q = { .b.file = c->file,
                     .h = { .cluster_size = cluster,
                            .table_size = table,
                            .header_size = 1,
                            .l1 = cluster,
                            .image_size = c->size } };
    if (c->backing_file) {
        q.h.features = QED_F_BACKING;
        if (c->backing_fmt && strcmp(c->backing_fmt, "raw") == 0)
            q.h.features |= QED_F_BACKING_RAW;
        q.h.backing_offset = QED_HEADER;
        q.h.backing_len = strlen(c->backing_file);
        r = disk_write(c->file, QED_HEADER, c->backing_file, q.h.backing_len, 0);
    }
    if (r == 0)
        r = qed_write_header(&q);
    return r == 0 || fail(err, -r, "QED header: %s", strerror(-r));
}

const struct disk_driver qed_driver = {
    .name = "qed",
    .doc = "QEMU enhanced disk (old; qcow2 succeeds it)",
    .backing = true,
    .size = sizeof(struct qed),
    .create_size = sizeof(struct qed_create),
    .create_options = FIELDS(
        FIELD(struct qed_create, cluster_size, .is_size = true, .doc = "Cluster size (in bytes)"),
        FIELD(struct qed_create, table_size, .is_size = true,
              .doc = "L1/L2 table size (in clusters)")),
    .probe = qed_probe,
    .open = qed_open,
    .close = qed_close,
    .inactivate = qed_inactivate,
    .create = qed_create,
    .read = blocks_read_slot,
    .write = blocks_write_slot,
    .zero = blocks_zero_slot,
    .discard = blocks_discard_slot,
    .flush = blocks_flush_slot,
    .map = blocks_map_slot,
    .locate = blocks_locate_slot,
    .resize = qed_resize,
    .check = qed_check,
    .change_backing = qed_change_backing,
};
