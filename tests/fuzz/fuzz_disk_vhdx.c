/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vhdx images: any bytes, with the checksums of headers, region tables and log put right. */
#include <string.h>

#include "base/endian.h"
#include "disk/format/vhdx.h"
#include "disk_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fix_sum(uint8_t *image, size_t size, size_t at, size_t len, const char *magic)
{
    if (at > size || size - at < len || memcmp(image + at, magic, 4) != 0)
        return;
    st_le32(image + at + 4, 0);
    st_le32(image + at + 4, vhdx_crc32c(0, image + at, len));
}

static void fix(uint8_t *image, size_t size)
{
    for (unsigned i = 0; i < 2; i++) {
        fix_sum(image, size, (size_t)VHDX_HEADER_AT << i, VHDX_HEADER_BYTES, "head");
        fix_sum(image, size, VHDX_REGIONS_AT + i * (size_t)VHDX_REGIONS_BYTES, VHDX_REGIONS_BYTES,
                "regi");
    }
    for (size_t at = VHDX_MIB; at + VHDX_SECTOR <= size && at < VHDX_MIB + 65536; at += VHDX_SECTOR)
        fix_sum(image, size, at, MIN(ld_le32(image + at + 8), 65536u), "loge");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    disk_image_run("vhdx", data, size, fix);
    return 0;
}
