/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sparse extents of VMDK images: hosted (KDMV; with the footer and the compressed grains of
 * streamOptimized), and to be read only, those of ESX (COWD) and seSparse.
 */
#include <errno.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <string.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "base/scope.h"
#include "disk/format/vmdk.h"

enum { SCAN_MAX = 1 << 24 }; /* grains: 64 MiB of tables */

static int sesparse_lookup(struct vmdk_extent *e, uint64_t index, bool cached_only,
                           enum block_state *ret, uint64_t *ret_offset)
{
    const uint8_t *p;
    int r = pages_get(&e->b.pages, e->directory + index / e->table_entries * 8, cached_only, &p);

    if (r < 0)
        return r;
    uint64_t entry = ld_le64(p);
    *ret = BLOCK_HOLE;
    if (!entry)
        return 0;
    if (entry >> 32 != 0x10000000)
        return -EIO;
    uint64_t table = e->tables + (uint64_t)(uint32_t)entry * e->table_entries * 8;
    r = pages_get(&e->b.pages, table + index % e->table_entries * 8, cached_only, &p);
    if (r < 0)
        return r;
    entry = ld_le64(p);
    uint64_t grain = (entry >> 48 & 0xfff) | (entry & UINT64_C(0xffffffffffff)) << 12;
    switch (entry >> 60) {
    case 0: return entry ? -EIO : 0;
    case 1: /* given back by the guest: zeroes */
    case 2: *ret = BLOCK_ZERO; return 0;
    case 3:
        *ret = BLOCK_DATA;
        if (!checked_mul(grain, (uint64_t)e->b.block_size, ret_offset) ||
            !checked_add(*ret_offset, e->grains, ret_offset) || *ret_offset > DISK_MAX_SIZE)
            return -EIO;
        return 0;
    default: return -EIO;
    }
}

/* The file offset of the grain table of a directory entry; 0: there is none. */
static int get_table(struct vmdk_extent *e, uint64_t directory, uint64_t i, bool cached_only,
                     uint64_t *ret)
{
    const uint8_t *p;
    int r = pages_get(&e->b.pages, directory + i * 4, cached_only, &p);

    if (r == 0)
        *ret = (uint64_t)ld_le32(p) * VMDK_SECTOR;
    return r;
}

static int vmdk_lookup(struct blocks *b, uint64_t index, bool cached_only, enum block_state *ret,
                       uint64_t *ret_offset)
{
    struct vmdk_extent *e = b->opaque;
    uint64_t table = 0;
    const uint8_t *p;
    int r;

    if (index / e->table_entries >= e->directory_entries)
        return -EIO;
    if (e->kind == VMDK_SESPARSE)
        return sesparse_lookup(e, index, cached_only, ret, ret_offset);
    r = get_table(e, e->directory, index / e->table_entries, cached_only, &table);
    *ret = BLOCK_HOLE;
    if (r < 0 || !table)
        return r;
    r = pages_get(&b->pages, table + index % e->table_entries * 4, cached_only, &p);
    if (r < 0)
        return r;
    uint32_t sector = ld_le32(p);
    if (!sector)
        return 0;
    if (sector == VMDK_GRAIN_ZERO && e->zeroed) {
        *ret = BLOCK_ZERO;
        return 0;
    }
    *ret = e->compressed ? BLOCK_COMPRESSED : BLOCK_DATA;
    *ret_offset = (uint64_t)sector * VMDK_SECTOR;
    return 0;
}

/* Sets a directory's entry for a grain; a table that is missing is made. */
static int set_entry(struct vmdk_extent *e, uint64_t directory, uint64_t index, uint32_t sector)
{
    uint64_t i = index / e->table_entries, table;
    uint8_t *p;
    int r = get_table(e, directory, i, false, &table);

    if (r == 0 && !table) {
        r = blocks_take_space(&e->b, ALIGN_UP(e->table_entries * 4, (uint64_t)VMDK_SECTOR),
                              VMDK_SECTOR, &table);
        if (r == 0)
            r = pages_put(&e->b.pages, directory + i * 4, 1, &p);
        if (r == 0)
            st_le32(p, table / VMDK_SECTOR);
    }
    if (r == 0)
        r = pages_put(&e->b.pages, table + index % e->table_entries * 4, 0, &p);
    if (r == 0)
        st_le32(p, sector);
    return r;
}

static int vmdk_publish(struct blocks *b, uint64_t index, enum block_state state, uint64_t offset)
{
    struct vmdk_extent *e = b->opaque;
    uint64_t sector = state == BLOCK_ZERO ? VMDK_GRAIN_ZERO : offset / VMDK_SECTOR;
    int r = 0;

    if (sector > UINT32_MAX)
        return -EFBIG;
    if (e->redundant)
        r = set_entry(e, e->redundant, index, sector);
    return r == 0 ? set_entry(e, e->directory, index, sector) : r;
}

static int vmdk_reserve(struct blocks *b, uint64_t index, uint64_t *ret)
{
    (void)index;
    return blocks_take_space(b, b->block_size, b->block_size, ret);
}

static bool sector_is_empty(uint64_t at, const uint8_t *p)
{
    return at % VMDK_SECTOR == 0 && buf_is_zero(p, VMDK_SECTOR);
}

/* The first grain from *index on that a table has an entry for; missing tables and empty sectors of
 * directory and tables are passed over. *index is `grains` when there is none. Lock held. */
static int next_entry(struct vmdk_extent *e, uint64_t *index, uint64_t grains)
{
    uint64_t width = e->kind == VMDK_SESPARSE ? 8 : 4, in_sector = VMDK_SECTOR / width;

    while (*index < grains) {
        uint64_t i = *index / e->table_entries, n = *index % e->table_entries, table;
        uint64_t at = e->directory + i * width;
        const uint8_t *p;
        int r = pages_get(&e->b.pages, at, false, &p);

        if (r < 0)
            return r;
        if (sector_is_empty(at, p)) {
            *index = (i + in_sector) * e->table_entries;
            continue;
        }
        table = width == 8 ? ld_le64(p) : ld_le32(p);
        if (!table) {
            *index = (i + 1) * e->table_entries;
            continue;
        }
        at = width == 8 ? e->tables + (uint64_t)(uint32_t)table * e->table_entries * 8
                        : table * VMDK_SECTOR;
        at += n * width;
        r = pages_get(&e->b.pages, at, false, &p);
        if (r < 0)
            return r;
        if (sector_is_empty(at, p)) {
            *index += MIN(in_sector, e->table_entries - n);
            continue;
        }
        if (width == 8 ? ld_le64(p) : ld_le32(p))
            return 0;
        ++*index;
    }
    *index = grains;
    return 0;
}

/* Each entry takes four bytes of the file; where there are more, tables are used twice. */
static uint64_t most_entries(const struct vmdk_extent *e)
{
    return disk_size(e->file) / 4 + 1;
}

/* Tables and grains; compressed grains have no length in the table, so all of the file counts. */
static int vmdk_find_end(struct blocks *b, uint64_t *ret)
{
    struct vmdk_extent *e = b->opaque;
    uint64_t grains = (e->size + b->block_size - 1) / b->block_size, end = e->metadata_end;

    *ret = ALIGN_UP(MAX(end, disk_size(b->file)), (uint64_t)VMDK_SECTOR);
    if (e->compressed || grains > SCAN_MAX)
        return 0;
    for (uint64_t i = 0; i < e->directory_entries; i++) {
        uint64_t directories[] = { e->directory, e->redundant };

        for (size_t k = 0; k < ARRAY_SIZE(directories); k++) {
            uint64_t table;
            int r = directories[k] ? get_table(e, directories[k], i, false, &table) : 1;

            if (r < 0)
                return r;
            if (r == 0 && table)
                end = MAX(end, table + e->table_entries * 4);
        }
    }
    for (uint64_t i = 0, seen = 0; i < grains; i++) {
        enum block_state state;
        uint64_t offset;
        int r = next_entry(e, &i, grains);

        if (r == 0 && i < grains && ++seen > most_entries(e))
            return 0;
        if (r == 0 && i < grains)
            r = vmdk_lookup(b, i, false, &state, &offset);
        if (r < 0)
            return r;
        if (i < grains && state == BLOCK_DATA)
            end = MAX(end, offset + b->block_size);
    }
    *ret = ALIGN_UP(end, (uint64_t)VMDK_SECTOR);
    return 0;
}

/* The deflate stream behind the marker, or without one right at offset. */
static int vmdk_decompress(struct blocks *b, uint64_t index, uint64_t offset, uint8_t *buf)
{
    uint64_t file_size = disk_size(b->file);
    uint8_t marker[VMDK_MARKER];
    size_t got = 0;
    int r;

    (void)index;
    if (offset > file_size || file_size - offset < sizeof(marker))
        return -EIO;
    r = disk_read(b->file, offset, marker, sizeof(marker));
    uint64_t len = ld_le32(marker + 8);
    if (r < 0)
        return r;
    if (len == 0 || len > 2 * (uint64_t)b->block_size || len > file_size - offset - VMDK_MARKER)
        return -EINVAL;
    AUTO_FREE uint8_t *in = malloc(len);
    struct libdeflate_decompressor *z = libdeflate_alloc_decompressor();
    r = in && z ? disk_read(b->file, offset + VMDK_MARKER, in, len) : -ENOMEM;
    if (r == 0 && libdeflate_zlib_decompress(z, in, len, buf, b->block_size, &got))
        r = -EINVAL;
    if (r == 0)
        memset(buf + got, 0, b->block_size - got); /* the grain at the end of the disk */
    libdeflate_free_decompressor(z);
    return r;
}

static uint64_t vmdk_holes(struct blocks *b, uint64_t index, uint64_t max)
{
    struct vmdk_extent *e = b->opaque;
    uint64_t i = index, grains = (e->size + b->block_size - 1) / b->block_size;

    return next_entry(e, &i, MIN(grains, index + max)) < 0 || i == index ? 1 : i - index;
}

static const struct block_ops vmdk_ops = {
    .lookup = vmdk_lookup,
    .holes = vmdk_holes,
    .publish = vmdk_publish,
    .reserve = vmdk_reserve,
    .find_end = vmdk_find_end,
    .decompress = vmdk_decompress,
};

struct hosted {
    uint32_t version, flags, entries;
    uint16_t algorithm;
    uint64_t capacity, grain, desc_offset, desc_size, redundant, directory, overhead;
};

static bool read_hosted(struct disk *file, uint64_t at, struct hosted *h, struct error *err)
{
    uint8_t buf[VMDK_HEADER];
    uint64_t size = disk_size(file);
    int r = at > size || size - at < sizeof(buf) ? -EINVAL : disk_read(file, at, buf, sizeof(buf));

    if (r < 0 || memcmp(buf, "KDMV", 4) != 0)
        return fail(err, r < 0 ? -r : EINVAL, "Image not in VMDK format");
    struct reader rd = reader(buf, sizeof(buf));
    rd_skip(&rd, 4);
    h->version = rd_le32(&rd);
    h->flags = rd_le32(&rd);
    h->capacity = rd_le64(&rd);
    h->grain = rd_le64(&rd);
    h->desc_offset = rd_le64(&rd);
    h->desc_size = rd_le64(&rd);
    h->entries = rd_le32(&rd);
    h->redundant = rd_le64(&rd);
    h->directory = rd_le64(&rd);
    h->overhead = rd_le64(&rd);
    rd_skip(&rd, 1); /* unclean shutdown: our order of writes needs no repair */
    static const char line_ends[] = "\n \r\n";
    const void *ends = rd_take(&rd, 4);
    if (h->flags & VMDK_F_NEWLINES && memcmp(ends, line_ends, 4) != 0)
        return fail(err, EINVAL,
                    "the VMDK header's line ends were translated: the file is damaged");
    h->algorithm = rd_le16(&rd);
    if (h->version < 1 || h->version > 3)
        return fail(err, ENOTSUP, "Unsupported VMDK version %u", h->version);
    return true;
}

bool vmdk_embedded_descriptor(struct disk *file, uint64_t *ret_offset, uint64_t *ret_len,
                              struct error *err)
{
    struct hosted h;
    uint64_t size = disk_size(file);

    if (!read_hosted(file, 0, &h, err))
        return false;
    *ret_offset = *ret_len = 0;
    if (!h.desc_offset)
        return true;
    if (h.desc_offset > size / VMDK_SECTOR || h.desc_size > VMDK_DESCRIPTOR_MAX / VMDK_SECTOR)
        return fail(err, EINVAL, "the VMDK descriptor does not lie in the file");
    *ret_offset = h.desc_offset * VMDK_SECTOR;
    *ret_len = h.desc_size * VMDK_SECTOR;
    return true;
}

/* Directory and tables for size bytes of disk must fit what 32-bit sector numbers and the file can
 * hold. */
static bool set_geometry(struct disk *d, struct vmdk_extent *e, uint64_t grain, uint64_t entries,
                         struct error *err)
{
    uint64_t file_size = disk_size(e->file);

    if (!is_pow2(grain) || grain < VMDK_SECTOR || grain > 64 << 20)
        return fail(err, EFBIG,
                    "Invalid granularity, image may be corrupt (grain of %" PRIu64 " bytes)",
                    grain);
    if (!entries || entries > 512 * 1024)
        return fail(err, EINVAL, "L2 table size too big (%" PRIu64 " entries)", entries);
    e->table_entries = entries;
    e->grain = grain;
    uint64_t grains = e->size / grain + (e->size % grain != 0);
    e->directory_entries = grains / entries + (grains % entries != 0);
    if (e->directory_entries > 512 * 1024 * 1024 / 4)
        return fail(err, EFBIG, "L1 size too big");
    if (e->directory > file_size || file_size - e->directory < e->directory_entries * 4 ||
        (e->redundant &&
         (e->redundant > file_size || file_size - e->redundant < e->directory_entries * 4)))
        return fail(err, EINVAL, "File truncated: the grain directory lies behind its end") ||
               fail_hint(err, "copy the image again");
    blocks_init(&e->b, d, e->file, &vmdk_ops, e);
    e->b.start = e->start;
    e->b.size = e->size;
    e->b.block_size = grain;
    e->b.can_zero = e->zeroed;
    e->b.joined = false;
    return true;
}

static bool to_bytes(uint64_t sectors, uint64_t *ret)
{
    *ret = sectors * VMDK_SECTOR;
    return sectors <= DISK_MAX_SIZE / VMDK_SECTOR;
}

static bool open_hosted(struct disk *d, struct vmdk_extent *e, struct error *err)
{
    uint64_t file_size = disk_size(e->file), size;
    struct hosted h;

    if (!read_hosted(e->file, 0, &h, err))
        return false;
    if (h.directory == VMDK_GD_AT_END) {
        if (file_size < 3 * VMDK_SECTOR ||
            !read_hosted(e->file, file_size - 2 * VMDK_SECTOR, &h, err) ||
            h.directory == VMDK_GD_AT_END)
            return fail(err, EINVAL, "the VMDK footer is missing: the file was truncated") ||
                   fail_hint(err, "copy the image again");
    }
    if (h.version >= 3 && h.flags & VMDK_F_COMPRESSED && h.algorithm != 1)
        return fail(err, ENOTSUP, "VMDK compression %u is not known", h.algorithm);
    if (!(h.flags & VMDK_F_REDUNDANT))
        h.redundant = 0;
    if (!to_bytes(h.capacity, &size) || !to_bytes(h.directory, &e->directory) ||
        !to_bytes(h.redundant, &e->redundant) || !to_bytes(h.overhead, &e->metadata_end) ||
        h.grain > (64 << 20) / VMDK_SECTOR)
        return fail(err, EINVAL, "the VMDK header is not valid");
    if (!e->size)
        e->size = size;
    if (e->size > size)
        return fail(err, EINVAL, "the VMDK extent is smaller than the descriptor says");
    e->compressed = h.flags & VMDK_F_COMPRESSED;
    e->zeroed = h.flags & VMDK_F_ZEROED;
    e->metadata_end = MIN(e->metadata_end, file_size);
    return set_geometry(d, e, h.grain * VMDK_SECTOR, h.entries, err);
}

static bool open_cowd(struct disk *d, struct vmdk_extent *e, struct error *err)
{
    uint8_t buf[VMDK_HEADER];
    int r = disk_read(e->file, 0, buf, sizeof(buf));

    if (r < 0)
        return fail(err, -r, "VMDK header: %s", strerror(-r));
    uint64_t size = (uint64_t)ld_le32(buf + 12) * VMDK_SECTOR;
    e->directory = (uint64_t)ld_le32(buf + 20) * VMDK_SECTOR;
    if (!e->size)
        e->size = size;
    if (e->size > size)
        return fail(err, EINVAL, "the VMDK extent is smaller than the descriptor says");
    e->kind = VMDK_COWD;
    e->writable = false;
    return set_geometry(d, e, (uint64_t)ld_le32(buf + 16) * VMDK_SECTOR, 4096, err);
}

static bool open_sesparse(struct disk *d, struct vmdk_extent *e, struct error *err)
{
    uint8_t buf[VMDK_HEADER];
    int r = disk_read(e->file, 0, buf, sizeof(buf));

    if (r < 0)
        return fail(err, -r, "VMDK header: %s", strerror(-r));
    struct reader rd = reader(buf, sizeof(buf));
    rd_skip(&rd, 8);
    uint64_t version = rd_le64(&rd), capacity = rd_le64(&rd), grain = rd_le64(&rd);
    uint64_t table = rd_le64(&rd), size;
    rd_seek(&rd, 128);
    uint64_t directory = rd_le64(&rd);
    rd_skip(&rd, 8);
    uint64_t tables = rd_le64(&rd);
    rd_seek(&rd, 192);
    uint64_t grains = rd_le64(&rd);
    if (version != UINT64_C(0x0000000200000001))
        return fail(err, ENOTSUP, "Unsupported seSparse version: %#" PRIx64, version);
    if (grain != 8 || table != 64)
        return fail(err, ENOTSUP, "Unsupported seSparse grain or table size");
    if (!to_bytes(capacity, &size) || !to_bytes(directory, &e->directory) ||
        !to_bytes(tables, &e->tables) || !to_bytes(grains, &e->grains))
        return fail(err, EINVAL, "the seSparse header is not valid");
    if (!e->size)
        e->size = size;
    if (e->size > size)
        return fail(err, EINVAL, "the VMDK extent is smaller than the descriptor says");
    e->kind = VMDK_SESPARSE;
    e->writable = false;
    return set_geometry(d, e, grain * VMDK_SECTOR, table * VMDK_SECTOR / 8, err);
}

bool vmdk_open_sparse(struct disk *d, struct vmdk_extent *e, struct error *err)
{
    uint8_t magic[8] = { 0 };

    if (disk_size(e->file) < VMDK_HEADER || disk_read(e->file, 0, magic, sizeof(magic)) < 0)
        return fail(err, EINVAL, "Image not in VMDK format");
    e->kind = VMDK_HOSTED;
    if (memcmp(magic, "COWD", 4) == 0)
        return open_cowd(d, e, err);
    if (ld_le64(magic) == UINT64_C(0xcafebabe))
        return open_sesparse(d, e, err);
    return open_hosted(d, e, err);
}

/* A grain as it is stored: marker, deflate stream, zeroes up to a sector. NULL: no memory. */
static uint8_t *compress_grain(struct vmdk_extent *e, uint64_t index, const uint8_t *grain,
                               size_t *ret_len)
{
    struct libdeflate_compressor *z = libdeflate_alloc_compressor(6);
    size_t room = z ? libdeflate_zlib_compress_bound(z, e->b.block_size) : 0;
    size_t total = ALIGN_UP(VMDK_MARKER + room, (size_t)VMDK_SECTOR);
    uint8_t *buf = z ? calloc(1, total) : NULL;
    size_t n =
        buf ? libdeflate_zlib_compress(z, grain, e->b.block_size, buf + VMDK_MARKER, room) : 0;

    libdeflate_free_compressor(z);
    if (!n) {
        free(buf);
        return NULL;
    }
    st_le64(buf, index * (e->b.block_size / VMDK_SECTOR));
    st_le32(buf + 8, n);
    *ret_len = ALIGN_UP(VMDK_MARKER + n, (size_t)VMDK_SECTOR);
    return buf;
}

/* Stores a compressed grain at the end; what the grain was before is lost space. */
static int store_grain(struct vmdk_extent *e, uint64_t index, const uint8_t *data, size_t len)
{
    uint64_t at = 0;
    int r;

    WITH_LOCK (&e->b.lock) {
        r = blocks_take_space(&e->b, len, VMDK_SECTOR, &at);
    }
    if (r == 0)
        r = disk_write(e->file, at, data, len, 0);
    if (r < 0)
        return r;
    WITH_LOCK (&e->b.lock) {
        r = vmdk_publish(&e->b, index, BLOCK_DATA, at);
    }
    return r;
}

/* Part of a grain, or one that exists: the whole is put together first. */
static int merge_grain(struct vmdk_extent *e, uint64_t index, size_t within, struct disk_vec v,
                       uint8_t *grain)
{
    uint64_t pos = index * e->b.block_size;
    size_t have = MIN((uint64_t)e->b.block_size, e->size - pos);
    int r = 0;

    memset(grain, 0, e->b.block_size);
    if (within || v.len < have)
        r = blocks_read(&e->b, e->start + pos, vec_of(grain, have));
    if (r == 0)
        vec_to_buf(&v, grain + within);
    return r;
}

int vmdk_write_compressed(struct vmdk_extent *e, uint64_t offset, struct disk_vec v)
{
    AUTO_FREE uint8_t *grain = malloc(e->b.block_size);
    int r = grain ? 0 : -ENOMEM;
    size_t n;

    for (size_t done = 0; done < v.len && r == 0; done += n) {
        uint64_t pos = offset + done - e->start, index = pos / e->b.block_size;
        size_t within = pos % e->b.block_size, len;
        bool whole;

        n = MIN(v.len - done, e->b.block_size - within);
        whole = !within && n == MIN((uint64_t)e->b.block_size, e->size - pos);
        if (!whole)
            pthread_mutex_lock(&e->compress_lock);
        r = merge_grain(e, index, within, vec_slice(v, done, n), grain);
        AUTO_FREE uint8_t *stored = r == 0 ? compress_grain(e, index, grain, &len) : NULL;
        if (r == 0)
            r = stored ? store_grain(e, index, stored, len) : -ENOMEM;
        if (!whole)
            pthread_mutex_unlock(&e->compress_lock);
    }
    if (r == 0 && e->b.pages.dirty > PAGES_MAX_DIRTY)
        r = blocks_flush(&e->b);
    return r;
}

static void say(struct disk_check *c, const char *fmt, uint64_t sector)
{
    char line[100];

    snprintf(line, sizeof(line), fmt, sector);
    c->corruptions++;
    if (c->say)
        c->say(c, line);
}

int vmdk_check_extent(struct vmdk_extent *e, struct disk_check *c)
{
    uint64_t grains = (e->size + e->b.block_size - 1) / e->b.block_size;
    uint64_t file_size = disk_size(e->file), seen = 0;

    for (uint64_t i = 0; i < grains && c->corruptions < 1000; i++) {
        enum block_state state = BLOCK_HOLE;
        uint64_t offset = 0;
        int r;

        WITH_LOCK (&e->b.lock) {
            r = next_entry(e, &i, grains);
            if (r == 0 && i < grains)
                r = vmdk_lookup(&e->b, i, false, &state, &offset);
        }
        uint64_t sector = (e->start + i * e->b.block_size) / VMDK_SECTOR;
        if (r < 0 && r != -EIO)
            return r;
        if (r < 0)
            say(c, "ERROR: could not find extent for sector %" PRIu64, sector);
        else if (state != BLOCK_HOLE && state != BLOCK_ZERO && offset >= file_size)
            say(c, "ERROR: cluster offset for sector %" PRIu64 " points after EOF", sector);
        if (++seen > most_entries(e)) {
            say(c, "ERROR: grain tables up to sector %" PRIu64 " are used more than once", sector);
            break;
        }
    }
    return 0;
}
