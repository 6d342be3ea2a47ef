/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the disk fuzz targets share: an input laid out as an image in memory, and everything that
 * can be asked of an image done to it. An input is a list of pieces, so that images that are mostly
 * empty are small:
 *
 *   u16 what to do (enum disk_image_do) · u16 size of the file in units of 64 KiB, 0: as it falls
 *   { u32 offset in units of 16 bytes · u16 length · bytes }...
 *
 * tests/fuzz/pack makes one of an image.
 */
#ifndef FUZZ_DISK_IMAGE_H
#define FUZZ_DISK_IMAGE_H

#include <stddef.h>
#include <stdint.h>

enum disk_image_do {
    IMAGE_KEEP_SUMS = 1, /* do not put checksums right */
    IMAGE_READ_ONLY = 2,
    IMAGE_NO_REPAIR = 4,
    IMAGE_NO_RESIZE = 8,
};

/* Puts checksums right in the laid out file, so that what lies behind them is reached. */
typedef void disk_image_fix(uint8_t *image, size_t size);

/* Runs one input; format NULL: probed. fix may be NULL. */
void disk_image_run(const char *format, const uint8_t *data, size_t size, disk_image_fix *fix);

#endif
