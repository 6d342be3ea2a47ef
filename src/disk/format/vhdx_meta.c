/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VHDX's headers, region tables and metadata table, read once and checked: each structure exists
 * twice or has a checksum, and the newest whole one counts.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "base/scope.h"
#include "disk/format/vhdx.h"

#define GUID(...)                                                                                  \
    {                                                                                              \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
const struct guid vhdx_bat_region = GUID(0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64,
                                         0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08);
const struct guid vhdx_metadata_region = GUID(0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8,
                                              0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e);
const struct guid vhdx_file_parameters = GUID(0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3,
                                              0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b);
const struct guid vhdx_disk_size = GUID(0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11,
                                        0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8);
const struct guid vhdx_page83 = GUID(0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef,
                                     0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46);
const struct guid vhdx_logical_sector = GUID(0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba,
                                             0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f);
const struct guid vhdx_physical_sector = GUID(0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c,
                                              0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56);
const struct guid vhdx_parent_locator = GUID(0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab,
                                             0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c);

uint32_t vhdx_crc32c(uint32_t crc, const void *buf, size_t len)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *p = buf;

    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = nibble[crc & 15] ^ crc >> 4;
        crc = nibble[crc & 15] ^ crc >> 4;
    }
    return ~crc;
}

/* Of len bytes whose checksum field lies at 4 and counts as zeroes. */
static bool checksum_ok(const uint8_t *buf, size_t len)
{
    static const uint8_t none[4];
    uint32_t crc = vhdx_crc32c(0, buf, 4);

    crc = vhdx_crc32c(crc, none, 4);
    return vhdx_crc32c(crc, buf + 8, len - 8) == ld_le32(buf + 4);
}

bool vhdx_new_guid(struct guid *g, struct error *err)
{
    if (getrandom(g->b, 16, 0) != 16)
        return fail(err, errno, "random numbers: %s", strerror(errno));
    g->b[7] = (g->b[7] & 0x0f) | 0x40;
    g->b[8] = (g->b[8] & 0x3f) | 0x80;
    return true;
}

static void rd_guid(struct reader *r, struct guid *g)
{
    rd_bytes(r, g->b, sizeof(g->b));
}

static bool parse_header(const uint8_t *buf, struct vhdx_header *h)
{
    struct reader r = reader(buf, VHDX_HEADER_BYTES);

    if (memcmp(buf, "head", 4) != 0 || !checksum_ok(buf, VHDX_HEADER_BYTES))
        return false;
    rd_skip(&r, 8);
    h->sequence = rd_le64(&r);
    rd_guid(&r, &h->file_write);
    rd_guid(&r, &h->data_write);
    rd_guid(&r, &h->log);
    uint16_t log_version = rd_le16(&r), version = rd_le16(&r);
    h->log_bytes = rd_le32(&r);
    h->log_offset = rd_le64(&r);
    return version == 1 && (log_version == 0 || vhdx_guid_is_zero(&h->log));
}

void vhdx_fill_header(const struct vhdx_header *h, uint8_t *buf)
{
    memset(buf, 0, VHDX_HEADER_BYTES);
    memcpy(buf, "head", 4);
    st_le64(buf + 8, h->sequence);
    memcpy(buf + 16, &h->file_write, 16);
    memcpy(buf + 32, &h->data_write, 16);
    memcpy(buf + 48, &h->log, 16);
    st_le16(buf + 66, 1);
    st_le32(buf + 68, h->log_bytes);
    st_le64(buf + 72, h->log_offset);
    st_le32(buf + 4, vhdx_crc32c(0, buf, VHDX_HEADER_BYTES));
}

int vhdx_write_header(struct vhdx *v)
{
    uint8_t buf[VHDX_HEADER_BYTES];
    unsigned place = !v->current;
    int r;

    v->h.sequence++;
    vhdx_fill_header(&v->h, buf);
    r = disk_write(v->b.file, (uint64_t)VHDX_HEADER_AT << place, buf, sizeof(buf), 0);
    if (r == 0)
        r = disk_flush(v->b.file);
    if (r == 0)
        v->current = place;
    return r;
}

bool vhdx_read_header(struct vhdx *v, struct error *err)
{
    uint64_t file_size = disk_size(v->b.file);
    bool found = false;
    uint8_t id[8];

    if (file_size < VHDX_MIB || disk_read(v->b.file, 0, id, sizeof(id)) < 0 ||
        memcmp(id, "vhdxfile", 8) != 0)
        return fail(err, EINVAL, "Image not in VHDX format");
    for (unsigned i = 0; i < 2; i++) {
        uint8_t buf[VHDX_HEADER_BYTES];
        struct vhdx_header h;

        if (disk_read(v->b.file, (uint64_t)VHDX_HEADER_AT << i, buf, sizeof(buf)) < 0 ||
            !parse_header(buf, &h) || (found && h.sequence <= v->h.sequence))
            continue;
        found = true;
        v->h = h;
        v->current = i;
    }
    if (!found)
        return fail(err, EINVAL, "No valid VHDX header found");
    if (v->h.log_offset < VHDX_MIB || v->h.log_offset % VHDX_MIB || v->h.log_bytes % VHDX_MIB ||
        v->h.log_offset > file_size || v->h.log_bytes > file_size - v->h.log_offset)
        return fail(err, EINVAL, "the VHDX log does not lie in the file");
    return true;
}

/* Regions are apart from each other and behind the headers. */
static bool region_ok(const struct vhdx *v, const struct vhdx_region *r)
{
    uint64_t file_size = disk_size(v->b.file), log_end = v->h.log_offset + v->h.log_bytes;

    return r->len && r->offset >= VHDX_MIB && r->offset % VHDX_MIB == 0 && r->len % VHDX_MIB == 0 &&
           r->offset <= file_size && r->len <= file_size - r->offset &&
           (r->offset + r->len <= v->h.log_offset || r->offset >= log_end);
}

static bool parse_regions(struct vhdx *v, const uint8_t *buf, struct error *err)
{
    struct reader r = reader(buf, VHDX_REGIONS_BYTES);

    rd_skip(&r, 8);
    uint32_t count = rd_le32(&r);
    rd_skip(&r, 4);
    if (count > VHDX_REGIONS_MAX)
        return fail(err, EINVAL, "the VHDX region table has %u entries", count);
    v->bat.len = v->metadata.len = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct vhdx_region region, *into = NULL;
        struct guid guid;

        rd_guid(&r, &guid);
        region.offset = rd_le64(&r);
        region.len = rd_le32(&r);
        bool required = rd_le32(&r) & 1;
        if (vhdx_guid_equal(&guid, &vhdx_bat_region))
            into = &v->bat;
        else if (vhdx_guid_equal(&guid, &vhdx_metadata_region))
            into = &v->metadata;
        else if (required)
            return fail(err, ENOTSUP, "a VHDX region of an unknown kind is required");
        if (into && (into->len || !region_ok(v, &region)))
            return fail(err, EINVAL, "the VHDX region at %#" PRIx64 " is not valid", region.offset);
        if (into)
            *into = region;
    }
    if (!v->bat.len || !v->metadata.len ||
        (v->bat.offset < v->metadata.offset + v->metadata.len &&
         v->metadata.offset < v->bat.offset + v->bat.len))
        return fail(err, EINVAL, "the VHDX region table is not complete");
    return true;
}

bool vhdx_read_regions(struct vhdx *v, struct error *err)
{
    AUTO_FREE uint8_t *buf = malloc(VHDX_REGIONS_BYTES);

    if (!buf)
        return fail(err, ENOMEM, "out of memory");
    for (unsigned i = 0; i < 2; i++) {
        uint64_t at = VHDX_REGIONS_AT + i * VHDX_REGIONS_BYTES;

        if (disk_read(v->b.file, at, buf, VHDX_REGIONS_BYTES) == 0 && memcmp(buf, "regi", 4) == 0 &&
            checksum_ok(buf, VHDX_REGIONS_BYTES))
            return parse_regions(v, buf, err);
    }
    return fail(err, EINVAL, "No valid VHDX region table found");
}

struct item {
    const struct guid *guid;
    uint32_t len;
    uint64_t value; /* its first 4 or 8 bytes */
    bool found;
};

/* Reads the value of the item that the table entry names, or passes an unknown one by. */
static bool read_item(struct vhdx *v, struct reader *r, struct item *items, size_t count,
                      struct error *err)
{
    uint8_t value[8] = { 0 };
    struct guid guid;

    rd_guid(r, &guid);
    uint32_t offset = rd_le32(r), len = rd_le32(r), flags = rd_le32(r);
    rd_skip(r, 4);
    if (vhdx_guid_equal(&guid, &vhdx_parent_locator))
        return true;
    for (size_t i = 0; i < count; i++) {
        if (!vhdx_guid_equal(&guid, items[i].guid))
            continue;
        if (offset < VHDX_REGIONS_BYTES || len < items[i].len || items[i].found ||
            (uint64_t)offset + len > v->metadata.len)
            return fail(err, EINVAL, "a VHDX metadata item is not valid");
        int ret = disk_read(v->b.file, v->metadata.offset + offset, value, MIN(items[i].len, 8u));
        items[i].value = ld_le64(value);
        items[i].found = true;
        return ret == 0 || fail(err, -ret, "VHDX metadata: %s", strerror(-ret));
    }
    return !(flags & 4) ||
           fail(err, ENOTSUP, "a VHDX metadata item of an unknown kind is required");
}

static bool check_metadata(struct vhdx *v, const struct item *items, struct error *err)
{
    uint64_t parameters = items[0].value;

    v->block_size = parameters;
    v->has_parent = parameters >> 32 & 2;
    v->disk_size = items[1].value;
    v->logical_sector = items[2].value;
    if (!is_pow2(v->block_size) || v->block_size < VHDX_MIB || v->block_size > VHDX_BLOCK_MAX)
        return fail(err, EINVAL, "VHDX block size %u is not allowed", v->block_size);
    if (v->logical_sector != 512 && v->logical_sector != 4096)
        return fail(err, ENOTSUP, "VHDX sectors of %u bytes are not allowed", v->logical_sector);
    if (v->disk_size % v->logical_sector || v->disk_size > VHDX_MAX)
        return fail(err, EINVAL, "VHDX disk size %" PRIu64 " is not allowed", v->disk_size);
    if (v->has_parent)
        return fail(err, ENOTSUP, "differencing VHDX images are not supported") ||
               fail_hint(err, "merge it with its parent first");
    v->chunk_blocks = (UINT64_C(1) << 23) * v->logical_sector / v->block_size;
    v->blocks = (v->disk_size + v->block_size - 1) / v->block_size;
    v->entries = v->blocks ? vhdx_entry(v, v->blocks - 1) + 1 : 0;
    if (v->entries > v->bat.len / 8)
        return fail(err, EINVAL, "the VHDX block table is too small for the disk");
    return true;
}

bool vhdx_read_metadata(struct vhdx *v, struct error *err)
{
    AUTO_FREE uint8_t *buf = malloc(VHDX_REGIONS_BYTES);
    struct item items[] = {
        { &vhdx_file_parameters, 8, 0, false }, { &vhdx_disk_size, 8, 0, false },
        { &vhdx_logical_sector, 4, 0, false },  { &vhdx_physical_sector, 4, 0, false },
        { &vhdx_page83, 16, 0, false },
    };
    int ret = buf ? disk_read(v->b.file, v->metadata.offset, buf, VHDX_REGIONS_BYTES) : -ENOMEM;

    if (ret < 0)
        return fail(err, -ret, "VHDX metadata: %s", strerror(-ret));
    struct reader r = reader(buf, VHDX_REGIONS_BYTES);
    if (memcmp(rd_take(&r, 8), "metadata", 8) != 0)
        return fail(err, EINVAL, "No VHDX metadata table found");
    rd_skip(&r, 2);
    uint16_t count = rd_le16(&r);
    rd_skip(&r, 20);
    if (count > VHDX_METADATA_MAX)
        return fail(err, EINVAL, "the VHDX metadata table has %u entries", count);
    for (uint16_t i = 0; i < count; i++) {
        if (!read_item(v, &r, items, ARRAY_SIZE(items), err))
            return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
        if (!items[i].found)
            return fail(err, EINVAL, "a VHDX metadata item is missing");
    }
    return check_metadata(v, items, err);
}
