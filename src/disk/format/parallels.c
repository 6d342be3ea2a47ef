/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parallels expandable images, "WithoutFreeSpace" (table entries in sectors) and
 * "WithouFreSpacExt" (in clusters): QEMU's docs/interop/parallels.txt. The format extension
 * (dirty bitmaps) is left as it is. The in-use mark is set while the table is being changed.
 */
#include "disk/format/parallels.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "base/scope.h"

static const char magic_old[] = "WithoutFreeSpace", magic_ext[] = "WithouFreSpacExt";

struct parallels_create {
    uint64_t cluster_size;
};

static int parallels_probe(const uint8_t *head, size_t len, const char *filename)
{
    (void)filename;
    if (len < PARALLELS_HEADER || ld_le32(head + 16) != 2)
        return 0;
    return memcmp(head, magic_old, 16) == 0 || memcmp(head, magic_ext, 16) == 0 ? 100 : 0;
}

static int parallels_lookup(struct blocks *b, uint64_t index, bool cached_only,
                            enum block_state *ret, uint64_t *ret_offset)
{
    struct parallels *p = b->opaque;
    const uint8_t *entry;
    int r;

    if (index >= p->entries)
        return -EIO;
    r = pages_get(&b->pages, PARALLELS_HEADER + index * 4, cached_only, &entry);
    if (r < 0)
        return r;
    *ret = ld_le32(entry) ? BLOCK_DATA : BLOCK_HOLE;
    *ret_offset = parallels_offset(p, ld_le32(entry));
    if (*ret == BLOCK_DATA && *ret_offset < p->data)
        return -EIO; /* in the header or the table */
    return 0;
}

static int parallels_publish(struct blocks *b, uint64_t index, enum block_state state,
                             uint64_t offset)
{
    struct parallels *p = b->opaque;
    uint64_t n = offset / (p->ext ? b->block_size : 512);
    uint8_t *entry;
    int r;

    (void)state;
    if (n > UINT32_MAX)
        return -EFBIG;
    r = pages_put(&b->pages, PARALLELS_HEADER + index * 4, 0, &entry);
    if (r == 0)
        st_le32(entry, n);
    return r;
}

int parallels_set_in_use(struct parallels *p, bool in_use)
{
    uint8_t mark[4];

    st_le32(mark, in_use ? PARALLELS_IN_USE : 0);
    return disk_write(p->b.file, PARALLELS_AT_IN_USE, mark, sizeof(mark), 0);
}

/* The mark goes through the page cache too, which writes that sector with the table. */
static int parallels_begin(struct blocks *b)
{
    struct parallels *p = b->opaque;
    uint8_t *mark;
    int r = pages_put(&b->pages, PARALLELS_AT_IN_USE, 0, &mark);

    if (r < 0)
        return r;
    st_le32(mark, PARALLELS_IN_USE);
    r = parallels_set_in_use(p, true);
    return r == 0 ? disk_flush(b->file) : r; /* before the file grows */
}

static const struct block_ops parallels_ops = {
    .lookup = parallels_lookup,
    .publish = parallels_publish,
    .begin = parallels_begin,
    .find_end = parallels_find_end,
};

struct header {
    uint32_t tracks, entries, in_use, data_sectors;
    uint64_t sectors, ext_sectors;
};

static bool read_header(struct disk *d, struct parallels *p, struct header *h, struct error *err)
{
    uint8_t buf[PARALLELS_HEADER], magic[16];
    int r = disk_size(d->file) < sizeof(buf) ? -EINVAL : disk_read(d->file, 0, buf, sizeof(buf));

    if (r < 0)
        return fail(err, -r, "Parallels header: %s", strerror(-r));
    struct reader rd = reader(buf, sizeof(buf));
    rd_bytes(&rd, magic, 16);
    uint32_t version = rd_le32(&rd);
    rd_skip(&rd, 8); /* heads, cylinders */
    h->tracks = rd_le32(&rd);
    h->entries = rd_le32(&rd);
    h->sectors = rd_le64(&rd);
    h->in_use = rd_le32(&rd);
    h->data_sectors = rd_le32(&rd);
    rd_skip(&rd, 4); /* flags */
    h->ext_sectors = rd_le64(&rd);
    p->ext = memcmp(magic, magic_ext, 16) == 0;
    if (version != 2 || (!p->ext && memcmp(magic, magic_old, 16) != 0))
        return fail(err, EINVAL, "Image not in Parallels format");
    if (!p->ext)
        h->sectors &= UINT32_MAX;
    return true;
}

static bool check_header(const struct header *h, uint64_t file_size, struct error *err)
{
    uint64_t table_end = PARALLELS_HEADER + (uint64_t)h->entries * 4;

    if (h->tracks == 0)
        return fail(err, EINVAL, "Invalid image: Zero sectors per track");
    if (h->tracks > INT32_MAX / 513)
        return fail(err, EFBIG, "Invalid image: Too big cluster");
    if (h->entries > INT32_MAX / 4)
        return fail(err, EFBIG, "Catalog too large");
    if (table_end > file_size)
        return fail(err, EINVAL, "Invalid image: the block table ends behind the file");
    if (h->data_sectors && (uint64_t)h->data_sectors * 512 < table_end)
        return fail(err, EINVAL, "data_off is too small");
    if (h->sectors > DISK_MAX_SIZE / 512 || h->sectors > (uint64_t)h->entries * h->tracks)
        return fail(err, EINVAL, "Invalid image: %lu sectors do not fit the block table",
                    (unsigned long)h->sectors);
    return true;
}

/* What was not closed properly is checked before it is written to; what killed writers of ours
 * leave behind is space at the end alone. */
static bool heal(struct disk *d, struct error *err)
{
    struct disk_check c = { 0 };
    int r = parallels_check(d, &c, 0);

    if (r < 0)
        return fail(err, -r, "Image was not closed correctly, and checking it failed: %s",
                    strerror(-r));
    if (c.corruptions > 1 || c.check_errors)
        return fail(err, EACCES,
                    "parallels: Image was not closed correctly; cannot be opened read/write") ||
               fail_hint(err, "repair it with rhea-img check -r all");
    r = parallels_check(d, &c, DISK_FIX_LEAKS | DISK_FIX_ERRORS);
    if (r < 0)
        return fail(err, -r, "Image was not closed correctly, and repairing it failed: %s",
                    strerror(-r));
    return true;
}

static bool parallels_open(struct disk *d, struct error *err)
{
    struct parallels *p = d->priv;
    struct header h = { 0 };

    if (!read_header(d, p, &h, err) || !check_header(&h, disk_size(d->file), err))
        return false;
    p->entries = h.entries;
    p->data = h.data_sectors ? (uint64_t)h.data_sectors * 512
                             : ALIGN_UP(PARALLELS_HEADER + (uint64_t)h.entries * 4, (uint64_t)512);
    p->ext_area = p->ext ? h.ext_sectors * 512 : 0;
    p->was_in_use = h.in_use == PARALLELS_IN_USE;
    blocks_init(&p->b, d, d->file, &parallels_ops, p);
    d->size = p->b.size = h.sectors * 512;
    p->b.block_size = h.tracks * 512;
    if (p->was_in_use && d->open_flags & DISK_RDWR && !d->read_only &&
        !(d->open_flags & DISK_CHECK))
        return heal(d, err);
    return true;
}

static void parallels_close(struct disk *d)
{
    blocks_finish(&((struct parallels *)d->priv)->b);
}

static int parallels_inactivate(struct disk *d)
{
    struct parallels *p = d->priv;
    int r = blocks_settle(&p->b);

    if (r == 0 && p->b.begun) {
        WITH_LOCK (&p->b.lock) {
            pages_drop(&p->b.pages); /* it has the sector with the mark */
            p->b.begun = false;
        }
        r = parallels_set_in_use(p, false);
        if (r == 0)
            r = disk_flush(d->file);
    }
    return r;
}

static bool write_header(const struct disk_create *c, uint64_t cluster, uint64_t data,
                         struct error *err)
{
    uint8_t h[PARALLELS_HEADER] = { 0 };
    uint64_t cylinders = (c->size / 512 + 16 * 32 - 1) / (16 * 32);
    int r;

    memcpy(h, magic_ext, 16);
    st_le32(h + 16, 2);
    st_le32(h + 20, 16);
    st_le32(h + 24, MIN(cylinders, UINT32_MAX));
    st_le32(h + 28, cluster / 512);
    st_le32(h + 32, (c->size + cluster - 1) / cluster);
    st_le64(h + 36, c->size / 512);
    st_le32(h + 48, data / 512);
    r = disk_write(c->file, 0, h, sizeof(h), 0);
    return r == 0 || fail(err, -r, "Failed to create Parallels image: %s", strerror(-r));
}

static bool parallels_create(const struct disk_create *c, struct error *err)
{
    const struct parallels_create *o = c->opts;
    uint64_t cluster = o->cluster_size ? o->cluster_size : 1 << 20;

    if (cluster % 512 || cluster >= INT32_MAX / 513 * UINT64_C(512))
        return fail(err, EINVAL, "Invalid cluster size %lu", (unsigned long)cluster) ||
               fail_hint(err, "use a multiple of 512 bytes below 2 GiB");
    if (c->size > DISK_MAX_SIZE || (c->size + cluster - 1) / cluster > INT32_MAX / 4)
        return fail(err, E2BIG, "Image size is too large for this cluster size");
    uint64_t table = PARALLELS_HEADER + (c->size + cluster - 1) / cluster * 4;
    uint64_t data = (table + cluster - 1) / cluster * cluster;
    return disk_resize(c->file, data, DISK_PREALLOC_OFF, true, err) &&
           write_header(c, cluster, data, err);
}

const struct disk_driver parallels_driver = {
    .name = "parallels",
    .doc = "Parallels expandable image",
    .size = sizeof(struct parallels),
    .create_size = sizeof(struct parallels_create),
    .create_options = FIELDS(FIELD(struct parallels_create, cluster_size, .is_size = true,
                                   .doc = "Parallels image cluster size")),
    .probe = parallels_probe,
    .open = parallels_open,
    .close = parallels_close,
    .inactivate = parallels_inactivate,
    .create = parallels_create,
    .read = blocks_read_slot,
    .write = blocks_write_slot,
    .zero = blocks_zero_slot,
    .discard = blocks_discard_slot,
    .flush = blocks_flush_slot,
    .map = blocks_map_slot,
    .locate = blocks_locate_slot,
    .check = parallels_check,
};
