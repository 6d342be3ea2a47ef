/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vpc images: any bytes, with the checksums of the footer and of the dynamic header put right. */
#include <string.h>

#include "base/endian.h"
#include "disk/format/vpc.h"
#include "disk_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fix_footer(uint8_t *p)
{
    if (memcmp(p, "conectix", 8) == 0)
        st_be32(p + VHD_AT_CHECKSUM, vpc_checksum(p, VHD_FOOTER, VHD_AT_CHECKSUM));
}

static void fix(uint8_t *image, size_t size)
{
    if (size < VHD_FOOTER)
        return;
    fix_footer(image);
    fix_footer(image + size - VHD_FOOTER);
    uint64_t at = ld_be64(image + 16);
    if (at < size && size - at >= VHD_DYNAMIC_HEADER)
        st_be32(image + at + 36, vpc_checksum(image + at, VHD_DYNAMIC_HEADER, 36));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    disk_image_run("vpc", data, size, fix);
    return 0;
}
