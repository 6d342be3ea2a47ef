/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bzImage parser: any bytes. What it accepts must keep its promises. */
#include "base/bits.h"
#include "dev/firmware/bzimage.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bzimage k;
    struct error err;
    uint8_t page[ZERO_PAGE_SIZE];
    if (!bzimage_parse(data, size, &k, &err)) {
        assert(err.msg[0]);
        return 0;
    }
    assert(k.payload_off < size && k.payload_size <= size - k.payload_off);
    assert(k.init_size >= k.payload_size && k.load_at >= 0x100000);
    assert(!k.relocatable || is_pow2(k.alignment));
    bzimage_zero_page(&k, &(struct zero_page_info){ .kernel = k.load_at }, page);
    return 0;
}
