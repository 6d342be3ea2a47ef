/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VHD images of Virtual PC and Hyper-V, fixed (raw data and a footer) and dynamic (a table of
 * blocks of 2 MiB, each after a bitmap of its sectors). A dynamic image has a copy of the footer at
 * its start; the one at the end is written again when the image is closed.
 */
#include "disk/format/vpc.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "base/scope.h"

#define VPC_UNUSED UINT32_C(0xffffffff)

static int vpc_probe(const uint8_t *head, size_t len, const char *filename)
{
    (void)filename;
    return len >= 8 && memcmp(head, "conectix", 8) == 0 ? 100 : 0;
}

uint32_t vpc_checksum(const uint8_t *p, size_t len, size_t field)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        if (i < field || i >= field + 4)
            sum += p[i];
    }
    return ~sum;
}

static int vpc_lookup(struct blocks *b, uint64_t index, bool cached_only, enum block_state *ret,
                      uint64_t *ret_offset)
{
    struct vpc *v = b->opaque;
    const uint8_t *p;
    int r;

    if (v->type == VHD_FIXED) {
        *ret = BLOCK_DATA;
        *ret_offset = index * b->block_size;
        return 0;
    }
    if (index >= v->entries)
        return -EIO;
    r = pages_get(&b->pages, v->table + index * 4, cached_only, &p);
    if (r < 0)
        return r;
    uint32_t sector = ld_be32(p);
    *ret = sector == VPC_UNUSED ? BLOCK_HOLE : BLOCK_DATA;
    *ret_offset = sector == VPC_UNUSED ? 0 : (uint64_t)sector * 512 + v->bitmap_bytes;
    if (*ret == BLOCK_DATA && (uint64_t)sector * 512 < VHD_FOOTER + VHD_DYNAMIC_HEADER)
        return -EIO; /* in the headers */
    return 0;
}

static int vpc_publish(struct blocks *b, uint64_t index, enum block_state state, uint64_t offset)
{
    struct vpc *v = b->opaque;
    uint8_t *p;
    int r;

    (void)state;
    r = pages_put(&b->pages, v->table + index * 4, 0, &p);
    if (r == 0)
        st_be32(p, (offset - v->bitmap_bytes) / 512);
    return r;
}

static int vpc_reserve(struct blocks *b, uint64_t index, uint64_t *ret)
{
    struct vpc *v = b->opaque;
    uint64_t len = (uint64_t)v->bitmap_bytes + b->block_size;
    int r = blocks_take_space(b, len, 512, ret);

    (void)index;
    if (r < 0)
        return r;
    if (*ret / 512 >= VPC_UNUSED)
        return -EFBIG;
    *ret += v->bitmap_bytes;
    return 0;
}

/* Every sector of a new block counts as written, for those who look at the bitmap. */
static int vpc_prepare(struct blocks *b, uint64_t offset)
{
    struct vpc *v = b->opaque;
    AUTO_FREE uint8_t *ones = malloc(v->bitmap_bytes);

    if (!ones)
        return -ENOMEM;
    memset(ones, 0xff, v->bitmap_bytes);
    return disk_write(b->file, offset - v->bitmap_bytes, ones, v->bitmap_bytes, 0);
}

/* The last block's end: where the footer is, or was when a writer was killed. */
static int vpc_find_end(struct blocks *b, uint64_t *ret)
{
    struct vpc *v = b->opaque;
    uint64_t end = ALIGN_UP(v->table + (uint64_t)v->entries * 4, (uint64_t)512);

    for (uint32_t i = 0; i < v->entries; i++) {
        enum block_state state;
        uint64_t offset;
        int r = vpc_lookup(b, i, false, &state, &offset);

        if (r < 0)
            return r;
        if (state == BLOCK_DATA)
            end = MAX(end, offset + b->block_size);
    }
    *ret = end;
    return 0;
}

static const struct block_ops vpc_ops = {
    .lookup = vpc_lookup,
    .publish = vpc_publish,
    .reserve = vpc_reserve,
    .prepare = vpc_prepare,
    .find_end = vpc_find_end,
};

static bool load_footer(struct disk *d, struct vpc *v, uint64_t offset)
{
    return disk_read(d->file, offset, v->footer, VHD_FOOTER) == 0 &&
           memcmp(v->footer, "conectix", 8) == 0;
}

/* Whose images mean current_size; all others count in cylinders, heads and sectors. */
static bool creator_counts_bytes(const uint8_t *app)
{
    static const char creators[][5] = { "qem2", "win ", "d2v ", "tap", "CTXS", "wa" };

    for (size_t i = 0; i < ARRAY_SIZE(creators); i++) {
        if (memcmp(app, creators[i], 4) == 0)
            return true;
    }
    return false;
}

static bool choose_size(struct vpc *v, uint64_t *ret, struct error *err)
{
    const char *calc = v->force_size_calc;
    bool bytes = creator_counts_bytes(v->footer + 28) || v->chs_size == VHD_CHS_MAX * 512;

    if (calc && strcmp(calc, "chs") == 0)
        bytes = false;
    else if (calc && strcmp(calc, "current_size") == 0)
        bytes = true;
    else if (calc)
        return fail(err, EINVAL, "force-size-calc '%s' is not known", calc) ||
               fail_hint(err, "it is chs or current_size");
    *ret = bytes ? v->current_size : v->chs_size;
    if (*ret > VHD_SECTORS_MAX * 512)
        return fail(err, EFBIG, "the image's size %lu is beyond 2040 GiB", (unsigned long)*ret);
    *ret = ALIGN_DOWN(*ret, (uint64_t)512);
    return true;
}

static bool read_footer(struct disk *d, struct vpc *v, struct error *err)
{
    uint64_t file_size = disk_size(d->file);

    if (file_size < VHD_FOOTER ||
        (!load_footer(d, v, 0) && !load_footer(d, v, file_size - VHD_FOOTER)))
        return fail(err, EINVAL, "invalid VPC image");
    struct reader rd = reader(v->footer, VHD_FOOTER);
    rd_seek(&rd, 48);
    v->current_size = rd_be64(&rd);
    uint64_t cylinders = rd_be16(&rd), heads = rd_u8(&rd), sectors = rd_u8(&rd);
    v->chs_size = cylinders * heads * sectors * 512;
    v->type = rd_be32(&rd);
    if (rd_be32(&rd) != vpc_checksum(v->footer, VHD_FOOTER, VHD_AT_CHECKSUM))
        return fail(err, EINVAL, "Incorrect header checksum");
    if (v->type == VHD_DIFFERENCING)
        return fail(err, ENOTSUP, "differencing VHD images are not supported") ||
               fail_hint(err, "merge it with its parent first");
    if (v->type != VHD_FIXED && v->type != VHD_DYNAMIC)
        return fail(err, EINVAL, "VHD images of type %u are not known", v->type);
    return true;
}

static bool read_dynamic_header(struct disk *d, struct vpc *v, struct error *err)
{
    uint8_t buf[VHD_DYNAMIC_HEADER];
    uint64_t file_size = disk_size(d->file), at = ld_be64(v->footer + 16);
    int r = at % 512 || at > file_size || file_size - at < sizeof(buf)
                ? -EINVAL
                : disk_read(d->file, at, buf, sizeof(buf));

    if (r < 0)
        return fail(err, -r, "VHD dynamic header: %s", strerror(-r));
    struct reader rd = reader(buf, sizeof(buf));
    if (memcmp(rd_take(&rd, 8), "cxsparse", 8) != 0)
        return fail(err, EINVAL, "invalid VPC image");
    rd_skip(&rd, 8);
    v->table = rd_be64(&rd);
    rd_skip(&rd, 4);
    v->entries = rd_be32(&rd);
    uint32_t block_size = rd_be32(&rd);
    if (rd_be32(&rd) != vpc_checksum(buf, sizeof(buf), 36))
        return fail(err, EINVAL, "Incorrect checksum of the dynamic header");
    if (!is_pow2(block_size) || block_size < 512 || block_size > 64 << 20)
        return fail(err, EINVAL, "Invalid block size %u", block_size);
    v->b.block_size = d->cluster_size = block_size;
    v->bitmap_bytes = ALIGN_UP((block_size / 512 + 7) / 8, 512u);
    return true;
}

static bool check_dynamic(struct disk *d, struct vpc *v, struct error *err)
{
    uint64_t file_size = disk_size(d->file);

    if (v->table % 512 || v->table > file_size || file_size - v->table < (uint64_t)v->entries * 4)
        return fail(err, EINVAL, "Page table offset is not in the file");
    if (v->entries > 1 << 26)
        return fail(err, EFBIG, "Page table too large");
    if (v->b.size > (uint64_t)v->entries * v->b.block_size)
        return fail(err, EINVAL, "Page table too small");
    return true;
}

static bool vpc_open(struct disk *d, struct error *err)
{
    struct vpc *v = d->priv;
    uint64_t size = 0;

    if (!read_footer(d, v, err) || !choose_size(v, &size, err))
        return false;
    blocks_init(&v->b, d, d->file, &vpc_ops, v);
    v->b.hole_flags = DISK_MAP_ZERO | DISK_MAP_ALLOCATED;
    v->b.joined = false;
    d->size = v->b.size = size;
    if (v->type == VHD_DYNAMIC)
        return read_dynamic_header(d, v, err) && check_dynamic(d, v, err);
    v->b.block_size = VHD_BLOCK;
    v->b.joined = true;
    v->b.data_flags &= ~(unsigned)DISK_MAP_SOLID; /* the file may have holes anywhere */
    if (size > disk_size(d->file) - VHD_FOOTER)
        return fail(err, EINVAL, "invalid VPC image: the file is shorter than the disk");
    return true;
}

static void vpc_close(struct disk *d)
{
    blocks_finish(&((struct vpc *)d->priv)->b);
}

static int vpc_inactivate(struct disk *d)
{
    struct vpc *v = d->priv;
    struct error err;
    int r = blocks_settle(&v->b);

    if (r < 0 || !v->b.cut)
        return r;
    if (!disk_resize(d->file, v->b.end + VHD_FOOTER, DISK_PREALLOC_OFF, true, &err))
        return -(err.code ? err.code : EIO);
    r = disk_write(d->file, v->b.end, v->footer, VHD_FOOTER, 0);
    v->b.cut = false;
    return r == 0 ? disk_flush(d->file) : r;
}

const struct disk_driver vpc_driver = {
    .name = "vpc",
    .doc = "VHD image of Virtual PC and Hyper-V",
    .size = sizeof(struct vpc),
    .options = FIELDS(FIELD(struct vpc, force_size_calc, .wire = "force-size-calc",
                            .doc = "where the size comes from: chs or current_size")),
    .create_size = sizeof(struct vpc_create),
    .create_options =
        FIELDS(FIELD(struct vpc_create, subformat,
                     .doc = "Type of virtual hard disk format. Supported formats are {dynamic "
                            "(default) | fixed} "),
               FIELD(struct vpc_create, force_size,
                     .doc = "Force disk size calculation to use the actual size specified, rather "
                            "than using the nearest CHS-based calculation")),
    .probe = vpc_probe,
    .open = vpc_open,
    .close = vpc_close,
    .inactivate = vpc_inactivate,
    .create = vpc_create,
    .read = blocks_read_slot,
    .write = blocks_write_slot,
    .zero = blocks_zero_slot,
    .discard = blocks_discard_slot,
    .flush = blocks_flush_slot,
    .map = blocks_map_slot,
    .locate = blocks_locate_slot,
};
