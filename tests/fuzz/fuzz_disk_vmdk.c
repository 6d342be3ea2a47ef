/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmdk images: any bytes. */
#include "disk_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    disk_image_run("vmdk", data, size, NULL);
    return 0;
}
