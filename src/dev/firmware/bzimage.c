/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bzImage: a boot sector and setup code (setup_sects sectors), then the protected-mode kernel. The
 * header at 0x1f1 grew with the protocol; fields of versions before a kernel's get their old
 * meaning here, so that users of struct bzimage need not look at the version.
 */
#include "dev/firmware/bzimage.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Offsets in the file and in the zero page. */
enum {
    ZP_ACPI_RSDP = 0x070,
    ZP_E820_COUNT = 0x1e8,
    HDR = 0x1f1,
    HDR_SETUP_SECTS = 0x1f1,
    HDR_SYSSIZE = 0x1f4,
    HDR_BOOT_FLAG = 0x1fe,
    HDR_JUMP_LEN = 0x201,
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_CODE32_START = 0x214,
    HDR_INITRD = 0x218,
    HDR_INITRD_SIZE = 0x21c,
    HDR_HEAP_END = 0x224,
    HDR_CMDLINE = 0x228,
    HDR_INITRD_MAX = 0x22c,
    HDR_ALIGNMENT = 0x230,
    HDR_RELOCATABLE = 0x234,
    HDR_XLOADFLAGS = 0x236,
    HDR_CMDLINE_MAX = 0x238,
    HDR_SETUP_DATA = 0x250,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    ZP_E820 = 0x2d0,
    E820_ENTRY = 20,
    LOADED_HIGH = 0x01,
    CAN_USE_HEAP = 0x80,
    XLF_KERNEL_64 = 0x01,
    LOADER_UNDEFINED = 0xff,
    SECTOR = 512,
    PARAGRAPH = 16,
};
#define HDR_MAGIC_VALUE UINT32_C(0x53726448) /* "HdrS" */

bool bzimage_probe(const void *data, size_t len)
{
    struct reader r = reader(data, len);
    rd_seek(&r, HDR_BOOT_FLAG);
    uint16_t flag = rd_le16(&r);
    rd_seek(&r, HDR_MAGIC);
    return rd_le32(&r) == HDR_MAGIC_VALUE && rd_ok(&r) && flag == 0xaa55;
}

static uint16_t get16(const uint8_t *file, unsigned off)
{
    return ld_le16(file + off);
}

static uint32_t get32(const uint8_t *file, unsigned off)
{
    return ld_le32(file + off);
}

/* The header as the newest protocol would have it: bytes beyond an old one's end are 0. */
static bool read_header(struct reader *r, struct bzimage *k, uint8_t *page, struct error *err)
{
    rd_seek(r, HDR);
    rd_bytes(r, page + HDR, HDR_MAGIC + 4 - HDR);
    unsigned end = HDR_MAGIC + page[HDR_JUMP_LEN];
    if (!rd_ok(r) || end < HDR_INITRD_MAX || end > HDR + sizeof k->header)
        return fail(err, ENOEXEC, "its setup header has an impossible length");
    rd_bytes(r, page + HDR_MAGIC + 4, end - HDR_MAGIC - 4);
    if (!rd_ok(r))
        return fail(err, ENOEXEC, "the file ends inside its setup header");
    k->header_len = end - HDR;
    memcpy(k->header, page + HDR, k->header_len);
    return true;
}

static void read_fields(struct bzimage *k, const uint8_t *page)
{
    uint16_t v = k->version;
    k->load_at = 0x100000;
    k->initrd_max = v >= 0x203 ? get32(page, HDR_INITRD_MAX) : 0x37ffffff;
    k->cmdline_max = v >= 0x206 ? get32(page, HDR_CMDLINE_MAX) : 255;
    k->relocatable = v >= 0x205 && page[HDR_RELOCATABLE];
    k->alignment = v >= 0x205 ? get32(page, HDR_ALIGNMENT) : 0;
    k->entry64 = v >= 0x20c && get16(page, HDR_XLOADFLAGS) & XLF_KERNEL_64;
    if (v >= 0x20a) {
        k->load_at = ld_le64(page + HDR_PREF_ADDRESS);
        k->init_size = get32(page, HDR_INIT_SIZE);
    }
    /* Old kernels do not say what they need; three times their size has been enough for all. */
    if (k->init_size < k->payload_size)
        k->init_size = k->payload_size <= UINT32_MAX / 3 ? 3 * k->payload_size : UINT32_MAX;
}

bool bzimage_parse(const void *data, size_t len, struct bzimage *ret, struct error *err)
{
    struct reader r = reader(data, len);
    uint8_t page[ZERO_PAGE_SIZE] = { 0 };
    struct bzimage k = { 0 };
    if (!bzimage_probe(data, len))
        return fail(err, ENOEXEC, "not a bzImage");
    if (!read_header(&r, &k, page, err))
        return false;
    k.version = get16(page, HDR_VERSION);
    if (k.version < 0x200 || k.version > 0x2ff)
        return fail(err, ENOEXEC, "boot protocol %u.%02u is unknown", k.version >> 8,
                    k.version & 0xff);
    if (!(page[HDR_LOADFLAGS] & LOADED_HIGH))
        return fail(err, ENOEXEC, "an old zImage for loading below 1 MiB");
    uint32_t sects = page[HDR_SETUP_SECTS] ? page[HDR_SETUP_SECTS] : 4;
    k.payload_off = (sects + 1) * SECTOR;
    if (len <= k.payload_off)
        return fail(err, ENOEXEC, "the file ends before the kernel proper (at byte %u)",
                    k.payload_off);
    if (len - k.payload_off > INT32_MAX)
        return fail(err, EFBIG, "the kernel is larger than 2 GiB");
    k.payload_size = len - k.payload_off;
    /* What the header says is rounded up; signatures may follow. */
    uint64_t want = k.version >= 0x204 ? (uint64_t)get32(page, HDR_SYSSIZE) * PARAGRAPH : 0;
    if (want > (uint64_t)k.payload_size + 2 * PARAGRAPH) {
        (void)fail(err, ENOEXEC, "the file is cut off: %u of %" PRIu64 " bytes", k.payload_size,
                   want);
        return fail_hint(err, "fetch or copy it again");
    }
    read_fields(&k, page);
    if (k.relocatable && !is_pow2(k.alignment))
        return fail(err, ENOEXEC, "its alignment %#x is not a power of two", k.alignment);
    if (k.load_at < 0x100000 || k.load_at > UINT32_MAX)
        return fail(err, ENOEXEC, "its load address is outside 1 MiB to 4 GiB");
    *ret = k;
    return true;
}

void bzimage_zero_page(const struct bzimage *k, const struct zero_page_info *in,
                       uint8_t page[ZERO_PAGE_SIZE])
{
    memset(page, 0, ZERO_PAGE_SIZE);
    memcpy(page + HDR, k->header, k->header_len);
    page[HDR_LOADER] = LOADER_UNDEFINED;
    page[HDR_LOADFLAGS] = (page[HDR_LOADFLAGS] | CAN_USE_HEAP);
    st_le16(page + HDR_HEAP_END, 0xfe00);
    st_le32(page + HDR_CODE32_START, in->kernel);
    st_le32(page + HDR_INITRD, in->initrd);
    st_le32(page + HDR_INITRD_SIZE, in->initrd_size);
    st_le32(page + HDR_CMDLINE, in->cmdline);
    if (k->version >= 0x209)
        st_le64(page + HDR_SETUP_DATA, in->setup_data);
    st_le64(page + ZP_ACPI_RSDP, in->rsdp);
    unsigned n = MIN(in->e820_count, (unsigned)ZERO_PAGE_E820_MAX);
    page[ZP_E820_COUNT] = n;
    for (unsigned i = 0; i < n; i++) {
        uint8_t *e = page + ZP_E820 + i * E820_ENTRY;
        st_le64(e, in->e820[i].base);
        st_le64(e + 8, in->e820[i].size);
        st_le32(e + 16, in->e820[i].type);
    }
}
