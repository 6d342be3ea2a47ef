/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parser of guest programs: good ones, cut ones, lying ones. */
#include "tests/unit/test.h"

#include "base/endian.h"
#include "user/elf_user.h"

#include <elf.h>
#include <errno.h>

enum { SIZE = 0x3000, PHDR = 64, PHDR_SIZE = 56 };

static void phdr(uint8_t *f, unsigned n, uint32_t type, uint32_t flags, uint64_t off, uint64_t at,
                 uint64_t file_size, uint64_t mem_size, uint64_t align)
{
    uint8_t *p = f + PHDR + n * PHDR_SIZE;
    st_le32(p, type);
    st_le32(p + 4, flags);
    st_le64(p + 8, off);
    st_le64(p + 16, at);
    st_le64(p + 24, at);
    st_le64(p + 32, file_size);
    st_le64(p + 40, mem_size);
    st_le64(p + 48, align);
}

/* Text, data with bss, an interpreter and a stack header. */
static void make(uint8_t *f)
{
    memset(f, 0, SIZE);
    memcpy(f, "\177ELF\2\1\1", 7);
    st_le16(f + 16, ET_DYN);
    st_le16(f + 18, EM_AARCH64);
    st_le32(f + 20, 1);
    st_le64(f + 24, 0x100);
    st_le64(f + 32, PHDR);
    st_le16(f + 52, 64);
    st_le16(f + 54, PHDR_SIZE);
    st_le16(f + 56, 4);
    phdr(f, 0, PT_LOAD, PF_R | PF_X, 0, 0, 0x1800, 0x1800, 0x10000);
    phdr(f, 1, PT_LOAD, PF_R | PF_W, 0x2000, 0x12000, 0x800, 0x3000, 0x10000);
    phdr(f, 2, PT_INTERP, PF_R, 0x1700, 0x1700, 28, 28, 1);
    phdr(f, 3, PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 16);
}

static bool parse(const uint8_t *f, uint64_t size, struct elf_user *e, struct error *err)
{
    *err = (struct error){ 0 };
    return elf_user_header(f, size, size, e, err) &&
           elf_user_segments(f + e->phoff, (size_t)e->phnum * e->phentsize, size, e, err);
}

TEST(good)
{
    static uint8_t f[SIZE];
    struct elf_user e;
    struct error err;
    make(f);
    CHECK(parse(f, SIZE, &e, &err));
    CHECK_EQ(e.machine, EM_AARCH64);
    CHECK_EQ(e.elf_class, ELFCLASS64);
    CHECK_EQ(e.load_count, 2);
    CHECK_EQ(e.entry, 0x100);
    CHECK_EQ(e.first, 0);
    CHECK_EQ(e.end, 0x15000);
    CHECK_EQ(e.align, 0x10000);
    CHECK_EQ(e.phdr, PHDR);
    CHECK_EQ(e.load[0].prot, 5);
    CHECK_EQ(e.load[1].prot, 3);
    CHECK_EQ(e.interp_off, 0x1700);
    CHECK_EQ(e.interp_size, 28);
    CHECK(e.has_stack && !e.exec_stack);
}

TEST(every_cut_is_told)
{
    static uint8_t f[SIZE];
    struct elf_user e;
    struct error err;
    make(f);
    for (unsigned n = 0; n < 0x2800; n += n < 0x200 ? 1 : 0x80) {
        CHECK(!parse(f, n, &e, &err));
        CHECK(err.msg[0] && (err.code == EINVAL || err.code == ENOEXEC));
    }
    CHECK(parse(f, 0x2800, &e, &err));
}

static void expect(uint8_t *f, const char *part, int code)
{
    struct elf_user e;
    struct error err;
    CHECK(!parse(f, SIZE, &e, &err));
    if (!strstr(err.msg, part))
        TEST_FAIL("'%s' is not in '%s'", part, err.msg);
    CHECK_EQ(err.code, code);
    make(f);
}

TEST(what_is_wrong_is_said)
{
    static uint8_t f[SIZE];
    make(f);
    f[0] = 0;
    expect(f, "not an ELF", ENOEXEC);
    f[4] = 7;
    expect(f, "class 7", EINVAL);
    f[5] = 2;
    expect(f, "big-endian", ENOEXEC);
    st_le16(f + 16, ET_REL);
    expect(f, "object file", ENOEXEC);
    st_le16(f + 16, ET_CORE);
    expect(f, "core dump", ENOEXEC);
    st_le16(f + 54, 57);
    expect(f, "program headers of 57 bytes", EINVAL);
    st_le16(f + 56, 0);
    expect(f, "0 program headers", EINVAL);
    st_le16(f + 56, 0xffff);
    expect(f, "65535 program headers", EINVAL);
    st_le64(f + 32, ~UINT64_C(0) - 8);
    expect(f, "truncated", EINVAL);
    phdr(f, 0, PT_LOAD, 5, 0, 0, 0x1800, 0x17ff, 0x1000);
    expect(f, "smaller in memory", EINVAL);
    phdr(f, 0, PT_LOAD, 5, 0, 0x123, 0x1800, 0x1800, 0x1000);
    expect(f, "differ within the page", EINVAL);
    phdr(f, 0, PT_LOAD, 5, 0, ~UINT64_C(0xfff), 0x1800, 0x1800, 0x1000);
    expect(f, "beyond the address space", EINVAL);
    phdr(f, 0, PT_LOAD, 5, 0, 0, 0x1800, ~UINT64_C(0), 0x1000);
    expect(f, "beyond the address space", EINVAL);
    phdr(f, 0, PT_LOAD, 5, ~UINT64_C(0xfff), 0, 0x1800, 0x1800, 0x1000);
    expect(f, "truncated: segment 0", EINVAL);
    phdr(f, 0, PT_LOAD, 5, 0, 0, 0x1800, 0x1800, UINT64_C(1) << 40);
    expect(f, "aligned", EINVAL);
    phdr(f, 2, PT_INTERP, 4, 0x2fff, 0, 28, 28, 1);
    expect(f, "interpreter", EINVAL);
    phdr(f, 2, PT_INTERP, 4, 0x1700, 0, 1, 1, 1);
    expect(f, "interpreter", EINVAL);
    phdr(f, 0, PT_NULL, 0, 0, 0, 0, 0, 0);
    phdr(f, 1, PT_NULL, 0, 0, 0, 0, 0, 0);
    expect(f, "no loadable segment", EINVAL);
}

TEST(class_32)
{
    static uint8_t f[0x1000];
    struct elf_user e;
    struct error err;
    memcpy(f, "\177ELF\1\1\1", 7);
    st_le16(f + 16, ET_EXEC);
    st_le16(f + 18, EM_386);
    st_le32(f + 24, 0x8048080);
    st_le32(f + 28, 52);
    st_le16(f + 42, 32);
    st_le16(f + 44, 1);
    st_le32(f + 52, PT_LOAD);
    st_le32(f + 52 + 8, 0x8048000);
    st_le32(f + 52 + 16, 0x100);
    st_le32(f + 52 + 20, 0x2000);
    st_le32(f + 52 + 24, PF_R | PF_X);
    st_le32(f + 52 + 28, 0x1000);
    CHECK(parse(f, sizeof f, &e, &err));
    CHECK_EQ(e.elf_class, ELFCLASS32);
    CHECK_EQ(e.entry, 0x8048080);
    CHECK_EQ(e.first, 0x8048000);
    CHECK_EQ(e.end, 0x804a000);
    CHECK_EQ(e.phdr, 0x8048034);
}

TEST(branch_target_identification)
{
    uint8_t n[32] = { 0 };
    st_le32(n, 4);
    st_le32(n + 4, 16);
    st_le32(n + 8, 5);
    memcpy(n + 12, "GNU", 4);
    st_le32(n + 16, 0xc0000000);
    st_le32(n + 20, 4);
    st_le32(n + 24, 1);
    CHECK(elf_user_wants_bti(n, sizeof n));
    st_le32(n + 24, 2);
    CHECK(!elf_user_wants_bti(n, sizeof n));
    for (unsigned i = 0; i < sizeof n; i++)
        CHECK(!elf_user_wants_bti(n, i) || i >= 28);
}
