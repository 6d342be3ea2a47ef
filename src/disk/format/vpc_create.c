/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making VHD images. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/endian.h"
#include "disk/format/vpc.h"

enum { VHD_EPOCH = 946684800 }; /* 2000-01-01 */

struct chs {
    uint32_t cylinders, heads, sectors;
};

static uint64_t chs_sectors(const struct chs *g)
{
    return (uint64_t)g->cylinders * g->heads * g->sectors;
}

/* The appendix "CHS Calculation" of the specification. */
static struct chs chs_of(uint64_t total)
{
    struct chs g = { .heads = 16, .sectors = 255 };
    uint64_t tracks;

    total = MIN(total, VHD_CHS_MAX);
    if (total >= UINT64_C(65535) * 16 * 63) {
        tracks = total / g.sectors;
    } else {
        g.sectors = 17;
        tracks = total / 17;
        g.heads = MAX((tracks + 1023) / 1024, 4u);
        if (tracks >= g.heads * UINT64_C(1024) || g.heads > 16) {
            g.sectors = 31;
            g.heads = 16;
            tracks = total / 31;
        }
        if (tracks >= g.heads * UINT64_C(1024)) {
            g.sectors = 63;
            g.heads = 16;
            tracks = total / 63;
        }
    }
    g.cylinders = tracks / g.heads;
    return g;
}

/* The smallest geometry that holds total sectors. */
static struct chs chs_above(uint64_t total)
{
    struct chs g = chs_of(total);

    for (uint64_t more = 1; chs_sectors(&g) < total && total <= VHD_CHS_MAX; more++)
        g = chs_of(total + more);
    return g;
}

static bool write_footer(const struct disk_create *c, const struct vpc_create *o, bool fixed,
                         const struct chs *g, uint8_t *f, struct error *err)
{
    memcpy(f, "conectix", 8);
    st_be32(f + 8, 2);
    st_be32(f + 12, 0x00010000);
    st_be64(f + 16, fixed ? UINT64_MAX : VHD_FOOTER);
    st_be32(f + 24, time(NULL) - VHD_EPOCH);
    memcpy(f + 28, o->force_size ? "qem2" : "qemu", 4);
    st_be16(f + 32, 5);
    st_be16(f + 34, 3);
    memcpy(f + 36, "Wi2k", 4);
    st_be64(f + 40, c->size);
    st_be64(f + 48, c->size);
    st_be16(f + 56, g->cylinders);
    f[58] = g->heads;
    f[59] = g->sectors;
    st_be32(f + 60, fixed ? VHD_FIXED : VHD_DYNAMIC);
    if (getrandom(f + 68, 16, 0) != 16)
        return fail(err, errno, "random numbers: %s", strerror(errno));
    f[74] = (f[74] & 0x0f) | 0x40;
    f[76] = (f[76] & 0x3f) | 0x80;
    st_be32(f + VHD_AT_CHECKSUM, vpc_checksum(f, VHD_FOOTER, VHD_AT_CHECKSUM));
    return true;
}

static int write_dynamic(const struct disk_create *c, const uint8_t *footer, uint64_t entries)
{
    uint64_t table = VHD_FOOTER + VHD_DYNAMIC_HEADER;
    uint64_t end = ALIGN_UP(table + entries * 4, (uint64_t)512);
    uint8_t h[VHD_DYNAMIC_HEADER] = "cxsparse", ones[65536];
    int r;

    memset(ones, 0xff, sizeof(ones));
    st_be64(h + 8, UINT64_MAX);
    st_be64(h + 16, table);
    st_be32(h + 24, 0x00010000);
    st_be32(h + 28, entries);
    st_be32(h + 32, VHD_BLOCK);
    st_be32(h + 36, vpc_checksum(h, sizeof(h), 36));
    r = disk_write(c->file, VHD_FOOTER, h, sizeof(h), 0);
    for (uint64_t at = table; at < end && r == 0; at += sizeof(ones))
        r = disk_write(c->file, at, ones, MIN(sizeof(ones), end - at), 0);
    if (r == 0)
        r = disk_write(c->file, end, footer, VHD_FOOTER, 0);
    return r == 0 ? disk_write(c->file, 0, footer, VHD_FOOTER, 0) : r;
}

bool vpc_create(const struct disk_create *c, struct error *err)
{
    const struct vpc_create *o = c->opts;
    struct disk_create rounded = *c;
    uint8_t footer[VHD_FOOTER] = { 0 };
    bool fixed = o->subformat && strcmp(o->subformat, "fixed") == 0;
    struct chs g = { 65535, 16, 255 };
    int r;

    if (o->subformat && !fixed && strcmp(o->subformat, "dynamic") != 0)
        return fail(err, EINVAL, "Parameter 'subformat' does not accept value '%s'",
                    o->subformat) ||
               fail_hint(err, "it is dynamic or fixed");
    if (c->size / 512 > VHD_SECTORS_MAX)
        return fail(err, EFBIG, "The image size is too large for file format 'vpc'") ||
               fail_hint(err, "2040 GiB is the largest VHD; vhdx holds more");
    if (!o->force_size)
        g = chs_above(c->size / 512);
    if (!o->force_size && chs_sectors(&g) < VHD_CHS_MAX)
        rounded.size = chs_sectors(&g) * 512;
    uint64_t entries = (rounded.size + VHD_BLOCK - 1) / VHD_BLOCK;
    uint64_t end = fixed ? rounded.size
                         : VHD_FOOTER + VHD_DYNAMIC_HEADER + ALIGN_UP(entries * 4, (uint64_t)512);
    if (!write_footer(&rounded, o, fixed, &g, footer, err) ||
        !disk_resize(c->file, end + VHD_FOOTER, c->prealloc, true, err))
        return false;
    r = fixed ? disk_write(c->file, end, footer, VHD_FOOTER, 0)
              : write_dynamic(&rounded, footer, entries);
    return r == 0 || fail(err, -r, "VHD headers: %s", strerror(-r));
}
