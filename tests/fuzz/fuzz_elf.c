/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ELF kernel parser: any bytes. What it accepts must keep its promises. */
#include "base/bits.h"
#include "dev/firmware/elf.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_kernel k;
    struct error err;
    if (!elf_parse(data, size, &k, &err)) {
        assert(err.msg[0]);
        return 0;
    }
    assert(k.seg_count > 0 && k.seg_count <= ELF_SEGMENTS_MAX);
    for (unsigned i = 0; i < k.seg_count; i++) {
        const struct elf_segment *s = &k.seg[i];
        assert(s->file_off <= size && s->file_size <= size - s->file_off);
        assert(s->file_size <= s->mem_size && s->at >= 0x100000);
        assert(s->at + s->mem_size - 1 <= k.last && k.last < UINT32_MAX);
    }
    return 0;
}
