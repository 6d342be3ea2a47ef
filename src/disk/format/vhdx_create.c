/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making VHDX images: file type, two headers, two region tables, log, block table, metadata. */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/vhdx.h"

struct layout {
    uint64_t block_size, log_size, bat, bat_len, metadata, data, end;
    uint64_t blocks, entries;
    bool fixed, zero_state;
};

static uint64_t default_block_size(uint64_t size)
{
    if (size > UINT64_C(32) << 40)
        return 64 * VHDX_MIB;
    if (size > UINT64_C(100) << 30)
        return 32 * VHDX_MIB;
    return size > UINT64_C(1) << 30 ? 16 * VHDX_MIB : 8 * VHDX_MIB;
}

/* On unless the user says off. */
static bool wants_zero_state(const struct disk_create *c, const struct vhdx_create *o)
{
    for (size_t i = 0; c->secrets && i < c->secrets->count; i++) {
        const char *key = c->secrets->items[i].key;

        if (!strcmp(key, "block_state_zero") || !strcmp(key, "block-state-zero"))
            return o->block_state_zero;
    }
    return true;
}

static bool plan(const struct disk_create *c, const struct vhdx_create *o, struct layout *l,
                 struct error *err)
{
    l->fixed = o->subformat && strcmp(o->subformat, "fixed") == 0;
    l->zero_state = wants_zero_state(c, o);
    if (o->subformat && !l->fixed && strcmp(o->subformat, "dynamic") != 0)
        return fail(err, EINVAL, "Parameter 'subformat' does not accept value '%s'",
                    o->subformat) ||
               fail_hint(err, "it is dynamic or fixed");
    if (c->size > VHDX_MAX)
        return fail(err, EINVAL, "Image size too large; max of 64TB");
    if (o->log_size > UINT32_MAX - VHDX_MIB)
        return fail(err, EINVAL, "Log size must be smaller than 4 GB");
    l->block_size = o->block_size ? o->block_size : default_block_size(c->size);
    l->block_size = MAX(l->block_size, VHDX_MIB);
    if (!is_pow2(l->block_size))
        return fail(err, EINVAL, "Block size must be a power of two");
    if (l->block_size > VHDX_BLOCK_MAX)
        return fail(err, EINVAL, "Block size must not exceed %u", VHDX_BLOCK_MAX);
    l->log_size = MAX(ALIGN_UP(o->log_size, VHDX_MIB), VHDX_MIB);
    uint64_t chunk = (UINT64_C(1) << 23) * 512 / l->block_size;
    l->blocks = (c->size + l->block_size - 1) / l->block_size;
    l->entries = l->blocks ? l->blocks + (l->blocks - 1) / chunk : 0;
    l->bat = VHDX_MIB + l->log_size;
    l->bat_len = MAX(ALIGN_UP(l->entries * 8, VHDX_MIB), VHDX_MIB);
    l->metadata = l->bat + l->bat_len;
    l->data = l->metadata + VHDX_MIB;
    l->end = l->data + (l->fixed ? l->blocks * l->block_size : 0);
    return true;
}

static int write_regions(struct disk *file, const struct layout *l)
{
    AUTO_FREE uint8_t *buf = xnew_array(uint8_t, VHDX_REGIONS_BYTES);
    int r;

    memcpy(buf, "regi", 4);
    st_le32(buf + 8, 2);
    memcpy(buf + 16, &vhdx_bat_region, 16);
    st_le64(buf + 32, l->bat);
    st_le32(buf + 40, l->bat_len);
    st_le32(buf + 44, 1);
    memcpy(buf + 48, &vhdx_metadata_region, 16);
    st_le64(buf + 64, l->metadata);
    st_le32(buf + 72, VHDX_MIB);
    st_le32(buf + 76, 1);
    st_le32(buf + 4, vhdx_crc32c(0, buf, VHDX_REGIONS_BYTES));
    r = disk_write(file, VHDX_REGIONS_AT, buf, VHDX_REGIONS_BYTES, 0);
    return r == 0
               ? disk_write(file, VHDX_REGIONS_AT + VHDX_REGIONS_BYTES, buf, VHDX_REGIONS_BYTES, 0)
               : r;
}

static int write_bat(struct disk *file, const struct layout *l)
{
    AUTO_FREE uint8_t *buf = xnew_array(uint8_t, 65536);
    uint64_t chunk = (UINT64_C(1) << 23) * 512 / l->block_size, i = 0, block = 0;
    int r = 0;

    if (!l->fixed && !l->zero_state)
        return 0; /* not present, which is 0 */
    for (uint64_t at = 0; at < l->entries * 8 && r == 0; at += 65536) {
        size_t len = MIN(UINT64_C(65536), l->entries * 8 - at);

        for (size_t k = 0; k < len; k += 8, i++) {
            bool bitmap = i % (chunk + 1) == chunk;
            uint64_t place = l->data + block * l->block_size;

            st_le64(buf + k, bitmap ? 0 : l->fixed ? place | VHDX_PRESENT : VHDX_ZERO);
            block += !bitmap;
        }
        r = disk_write(file, l->bat + at, buf, len, 0);
    }
    return r;
}

static int write_metadata(const struct disk_create *c, const struct layout *l,
                          const struct guid *page83)
{
    static const struct {
        const struct guid *guid;
        uint32_t offset, len, flags; /* flags: 2 about the disk, 4 required */
    } items[] = {
        { &vhdx_file_parameters, 0, 8, 4 },  { &vhdx_disk_size, 8, 8, 6 },
        { &vhdx_page83, 16, 16, 6 },         { &vhdx_logical_sector, 32, 4, 6 },
        { &vhdx_physical_sector, 36, 4, 6 },
    };
    AUTO_FREE uint8_t *buf = xnew_array(uint8_t, VHDX_REGIONS_BYTES + 64);
    uint8_t *values = buf + VHDX_REGIONS_BYTES;

    memcpy(buf, "metadata", 8);
    st_le16(buf + 10, ARRAY_SIZE(items));
    for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
        uint8_t *e = buf + 32 + i * 32;

        memcpy(e, items[i].guid, 16);
        st_le32(e + 16, VHDX_REGIONS_BYTES + items[i].offset);
        st_le32(e + 20, items[i].len);
        st_le32(e + 24, items[i].flags);
    }
    st_le32(values, l->block_size);
    st_le32(values + 4, l->fixed); /* blocks stay allocated */
    st_le64(values + 8, c->size);
    memcpy(values + 16, page83, 16);
    st_le32(values + 32, 512);
    st_le32(values + 36, 512);
    return disk_write(c->file, l->metadata, buf, VHDX_REGIONS_BYTES + 64, 0);
}

static int write_headers(struct disk *file, struct vhdx_header *h)
{
    uint8_t buf[VHDX_HEADER_BYTES];
    int r = 0;

    for (unsigned i = 0; i < 2 && r == 0; i++, h->sequence++) {
        vhdx_fill_header(h, buf);
        r = disk_write(file, (uint64_t)VHDX_HEADER_AT << i, buf, sizeof(buf), 0);
    }
    return r;
}

static int write_file_type(struct disk *file)
{
    static const char creator[] = "Rhea";
    uint8_t id[8 + 512] = "vhdxfile";

    for (size_t i = 0; i < sizeof(creator) - 1; i++)
        id[8 + 2 * i] = creator[i]; /* UTF-16 */
    return disk_write(file, 0, id, sizeof(id), 0);
}

bool vhdx_create(const struct disk_create *c, struct error *err)
{
    struct layout l = { 0 };
    struct vhdx_header h = { .sequence = 1, .log_offset = VHDX_MIB };
    struct guid page83;
    int r;

    if (!plan(c, c->opts, &l, err) || !vhdx_new_guid(&h.file_write, err) ||
        !vhdx_new_guid(&h.data_write, err) || !vhdx_new_guid(&page83, err) ||
        !disk_resize(c->file, l.end, c->prealloc, true, err))
        return false;
    h.log_bytes = l.log_size;
    r = write_regions(c->file, &l);
    if (r == 0)
        r = write_bat(c->file, &l);
    if (r == 0)
        r = write_metadata(c, &l, &page83);
    if (r == 0)
        r = write_headers(c->file, &h);
    if (r == 0)
        r = write_file_type(c->file); /* last: until now it is no image */
    return r == 0 || fail(err, -r, "VHDX headers: %s", strerror(-r));
}
