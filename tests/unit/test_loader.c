/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bzImage and ELF kernels: good ones, cut ones, lying ones. */
#include "tests/unit/test.h"

#include "base/endian.h"
#include "dev/firmware/bzimage.h"
#include "dev/firmware/elf.h"

#include <stdlib.h>

enum { IMAGE = 0x4000 };

/* A small image of protocol 2.15 with one setup sector. */
static void make_bzimage(uint8_t *f)
{
    memset(f, 0, IMAGE);
    f[0x1f1] = 1;
    st_le16(f + 0x1fe, 0xaa55);
    f[0x200] = 0xeb;
    f[0x201] = 0x6a;
    memcpy(f + 0x202, "HdrS", 4);
    st_le16(f + 0x206, 0x20f);
    f[0x211] = 1;
    st_le32(f + 0x22c, 0x7fffffff);
    st_le32(f + 0x230, 0x200000);
    f[0x234] = 1;
    st_le16(f + 0x236, 1);
    st_le32(f + 0x238, 2047);
    st_le64(f + 0x258, 0x1000000);
    st_le32(f + 0x260, 0x800000);
}

TEST(bzimage_good)
{
    static uint8_t f[IMAGE];
    struct bzimage k;
    struct error err = { 0 };
    make_bzimage(f);
    CHECK(bzimage_parse(f, IMAGE, &k, &err));
    CHECK_EQ(k.payload_off, 1024);
    CHECK_EQ(k.payload_size, IMAGE - 1024);
    CHECK_EQ(k.load_at, 0x1000000);
    CHECK_EQ(k.init_size, 0x800000);
    CHECK_EQ(k.initrd_max, 0x7fffffff);
    CHECK_EQ(k.cmdline_max, 2047);
    CHECK(k.relocatable && k.entry64);
}

TEST(bzimage_old_protocol)
{
    static uint8_t f[IMAGE];
    struct bzimage k;
    struct error err = { 0 };
    make_bzimage(f);
    st_le16(f + 0x206, 0x202);
    f[0x201] = 0x2a;
    CHECK(bzimage_parse(f, IMAGE, &k, &err));
    CHECK_EQ(k.load_at, 0x100000);
    CHECK_EQ(k.cmdline_max, 255);
    CHECK_EQ(k.initrd_max, 0x37ffffff);
    CHECK(!k.relocatable && !k.entry64);
}

TEST(bzimage_cut_anywhere)
{
    static uint8_t f[IMAGE];
    struct bzimage k;
    struct error err = { 0 };
    make_bzimage(f);
    for (size_t n = 0; n <= 1024; n++) {
        uint8_t *copy = malloc(n + 1);
        memcpy(copy, f, n);
        CHECK(!bzimage_parse(copy, n, &k, &err));
        free(copy);
    }
}

TEST(bzimage_lies)
{
    static uint8_t f[IMAGE];
    struct bzimage k;
    struct error err = { 0 };
    make_bzimage(f);
    f[0x201] = 0xff;
    CHECK(!bzimage_parse(f, IMAGE, &k, &err));
    make_bzimage(f);
    st_le16(f + 0x206, 0x300);
    CHECK(!bzimage_parse(f, IMAGE, &k, &err));
    make_bzimage(f);
    f[0x211] = 0;
    CHECK(!bzimage_parse(f, IMAGE, &k, &err));
    make_bzimage(f);
    st_le32(f + 0x230, 3);
    CHECK(!bzimage_parse(f, IMAGE, &k, &err));
    make_bzimage(f);
    st_le32(f + 0x1f4, 0x10000); /* says it is 1 MiB */
    CHECK(!bzimage_parse(f, IMAGE, &k, &err));
    make_bzimage(f);
    st_le64(f + 0x258, UINT64_MAX - 100);
    CHECK(!bzimage_parse(f, IMAGE, &k, &err));
}

TEST(zero_page)
{
    static uint8_t f[IMAGE];
    uint8_t page[ZERO_PAGE_SIZE];
    struct bzimage k;
    struct error err = { 0 };
    struct e820_entry map[] = { { 0, 0x9fc00, E820_RAM }, { 0x100000, 0x1000, E820_ACPI } };
    make_bzimage(f);
    CHECK(bzimage_parse(f, IMAGE, &k, &err));
    bzimage_zero_page(&k,
                      &(struct zero_page_info){ .kernel = 0x1000000,
                                                .cmdline = 0x20000,
                                                .initrd = 0x7000000,
                                                .initrd_size = 5,
                                                .setup_data = 0x11000,
                                                .rsdp = 0xf0000,
                                                .e820 = map,
                                                .e820_count = 2 },
                      page);
    CHECK_EQ(page[0x1e8], 2);
    CHECK_EQ(page[0x210], 0xff);
    CHECK_EQ(page[0x1ef], 0); /* sentinel */
    CHECK_EQ(ld_le32(page + 0x214), 0x1000000);
    CHECK_EQ(ld_le32(page + 0x218), 0x7000000);
    CHECK_EQ(ld_le32(page + 0x228), 0x20000);
    CHECK_EQ(ld_le64(page + 0x70), 0xf0000);
    CHECK_EQ(ld_le64(page + 0x2d0 + 20), 0x100000);
    CHECK_EQ(ld_le32(page + 0x2d0 + 36), E820_ACPI);
}

/* ELF64: header, a PT_LOAD at 1 MiB, a PT_NOTE with the Xen entry. */
static size_t make_elf(uint8_t *f)
{
    memset(f, 0, IMAGE);
    memcpy(f, "\177ELF\2\1\1", 7);
    st_le16(f + 16, 2);
    st_le16(f + 18, 62);
    st_le64(f + 0x20, 64);
    st_le16(f + 0x36, 56);
    st_le16(f + 0x38, 2);
    uint8_t *p = f + 64;
    st_le32(p, 1);
    st_le64(p + 8, 0x1000);
    st_le64(p + 24, 0x1000000);
    st_le64(p + 32, 0x800);
    st_le64(p + 40, 0x2000);
    p += 56;
    st_le32(p, 4);
    st_le64(p + 8, 0x400);
    st_le64(p + 32, 24);
    uint8_t *n = f + 0x400;
    st_le32(n, 4);
    st_le32(n + 4, 8);
    st_le32(n + 8, 18);
    memcpy(n + 12, "Xen", 4);
    st_le64(n + 16, 0x1000040);
    return 0x1800;
}

TEST(elf_good)
{
    static uint8_t f[IMAGE];
    struct elf_kernel k;
    struct error err = { 0 };
    size_t len = make_elf(f);
    CHECK(elf_parse(f, len, &k, &err));
    CHECK_EQ(k.pvh_entry, 0x1000040);
    CHECK_EQ(k.seg_count, 1);
    CHECK_EQ(k.seg[0].at, 0x1000000);
    CHECK_EQ(k.seg[0].mem_size, 0x2000);
    CHECK_EQ(k.last, 0x1001fff);
}

TEST(elf_cut_anywhere)
{
    static uint8_t f[IMAGE];
    struct elf_kernel k;
    struct error err = { 0 };
    size_t len = make_elf(f);
    for (size_t n = 0; n < len; n++) {
        uint8_t *copy = malloc(n + 1);
        memcpy(copy, f, n);
        CHECK(!elf_parse(copy, n, &k, &err));
        free(copy);
    }
}

TEST(elf_lies)
{
    static uint8_t f[IMAGE];
    struct elf_kernel k;
    struct error err = { 0 };
    size_t len = make_elf(f);
    st_le16(f + 18, 183); /* arm64 */
    CHECK(!elf_parse(f, len, &k, &err));
    len = make_elf(f);
    st_le64(f + 64 + 40, UINT64_MAX); /* memory size wraps */
    CHECK(!elf_parse(f, len, &k, &err));
    len = make_elf(f);
    st_le64(f + 64 + 24, 0x1000); /* over our boot data */
    CHECK(!elf_parse(f, len, &k, &err));
    len = make_elf(f);
    st_le64(f + 0x20, UINT64_MAX - 60);
    CHECK(!elf_parse(f, len, &k, &err));
    len = make_elf(f);
    st_le64(f + 0x410, 0x5000000); /* entry outside */
    CHECK(!elf_parse(f, len, &k, &err));
    len = make_elf(f);
    st_le32(f + 0x400, 0xfffffff0); /* name runs away */
    CHECK(!elf_parse(f, len, &k, &err));
    CHECK(strstr(err.msg, "PVH") != NULL && err.hint[0]);
}

TEST(start_info)
{
    uint8_t block[PVH_BLOCK_MAX];
    struct e820_entry map[] = { { 0, 0x9fc00, E820_RAM }, { 0x100000, 0x1000, E820_ACPI } };
    size_t n = pvh_start_info(&(struct pvh_info){ .at = 0x10000,
                                                  .cmdline = 0x20000,
                                                  .initrd = 0x7000000,
                                                  .initrd_size = 9,
                                                  .rsdp = 0xf0000,
                                                  .e820 = map,
                                                  .e820_count = 2 },
                              block);
    CHECK_EQ(n, 56 + 32 + 48);
    CHECK_EQ(ld_le32(block), 0x336ec578);
    CHECK_EQ(ld_le32(block + 12), 1);
    CHECK_EQ(ld_le64(block + 16), 0x10000 + 56);
    CHECK_EQ(ld_le64(block + 40), 0x10000 + 88);
    CHECK_EQ(ld_le32(block + 48), 2);
    CHECK_EQ(ld_le64(block + 56), 0x7000000);
    CHECK_EQ(ld_le64(block + 88 + 24), 0x100000);
}
