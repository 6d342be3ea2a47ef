/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parser of guest ELF files: bounded reader, checked sums, one clear line when something is wrong.
 */
#include "user/elf_user.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/reader.h"

enum { PAGE = 4096 };
#define VA_MAX BIT(56) /* beyond what any guest has; keeps sums from wrapping */

const char *elf_user_machine_name(uint16_t machine)
{
    static const struct {
        uint16_t machine;
        const char *name;
    } names[] = {
        { EM_386, "i386" },      { EM_X86_64, "x86_64" }, { EM_AARCH64, "AArch64" },
        { EM_ARM, "ARM" },       { EM_RISCV, "RISC-V" },  { EM_PPC, "PowerPC" },
        { EM_S390, "S/390" },    { EM_MIPS, "MIPS" },     { EM_PPC64, "64-bit PowerPC" },
        { EM_SPARC, "SPARC" },   { EM_SPARCV9, "SPARC" }, { EM_68K, "68000" },
        { EM_IA_64, "Itanium" }, { EM_SH, "SuperH" },     { 258, "LoongArch" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].machine == machine)
            return names[i].name;
    return NULL;
}

bool elf_user_probe(const void *head, size_t len)
{
    return len >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG);
}

static uint64_t word(struct reader *r, const struct elf_user *e)
{
    return e->elf_class == ELFCLASS64 ? rd_le64(r) : rd_le32(r);
}

static bool check_ident(struct reader *r, struct elf_user *e, struct error *err)
{
    const uint8_t *ident = rd_take(r, EI_NIDENT);
    if (!ident || !elf_user_probe(ident, EI_NIDENT))
        return fail(err, ENOEXEC, "not an ELF program");
    if (ident[EI_CLASS] != ELFCLASS32 && ident[EI_CLASS] != ELFCLASS64)
        return fail(err, EINVAL, "broken ELF header: class %u", ident[EI_CLASS]);
    if (ident[EI_DATA] == ELFDATA2MSB)
        return fail(err, ENOEXEC, "a big-endian program; guests are little-endian");
    if (ident[EI_DATA] != ELFDATA2LSB)
        return fail(err, EINVAL, "broken ELF header: byte order %u", ident[EI_DATA]);
    e->elf_class = ident[EI_CLASS];
    return true;
}

bool elf_user_header(const void *head, size_t len, uint64_t file_size, struct elf_user *ret,
                     struct error *err)
{
    struct reader r = reader(head, MIN((uint64_t)len, file_size));
    struct elf_user e = { 0 };
    if (!check_ident(&r, &e, err))
        return false;
    e.type = rd_le16(&r);
    e.machine = rd_le16(&r);
    rd_skip(&r, 4); /* e_version */
    e.entry = word(&r, &e);
    e.phoff = word(&r, &e);
    (void)word(&r, &e); /* e_shoff */
    e.flags = rd_le32(&r);
    rd_skip(&r, 2); /* e_ehsize */
    e.phentsize = rd_le16(&r);
    e.phnum = rd_le16(&r);
    if (!rd_ok(&r))
        return fail(err, EINVAL, "file is truncated in its ELF header (%" PRIu64 " bytes)",
                    file_size);
    if (e.type != ET_EXEC && e.type != ET_DYN)
        return fail(err, ENOEXEC, "an ELF file, but %s",
                    e.type == ET_REL    ? "an object file that is not linked"
                    : e.type == ET_CORE ? "a core dump"
                                        : "no program");
    if (e.phentsize != (e.elf_class == ELFCLASS64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
        return fail(err, EINVAL, "broken ELF header: program headers of %u bytes", e.phentsize);
    if (e.phnum == 0 || e.phnum * e.phentsize > ELF_USER_PHDRS_MAX)
        return fail(err, EINVAL, "broken ELF header: %u program headers", e.phnum);
    if (e.phoff > file_size || e.phnum * e.phentsize > file_size - e.phoff)
        return fail(err, EINVAL,
                    "file is truncated: program headers end at %#" PRIx64 ", the file at %#" PRIx64,
                    e.phoff + e.phnum * e.phentsize, file_size);
    *ret = e;
    return true;
}

struct phdr {
    uint32_t type, flags;
    uint64_t off, vaddr, file_size, mem_size, align;
};

static struct phdr read_phdr(struct reader *r, const struct elf_user *e)
{
    struct phdr p = { .type = rd_le32(r) };
    if (e->elf_class == ELFCLASS64)
        p.flags = rd_le32(r);
    p.off = word(r, e);
    p.vaddr = word(r, e);
    (void)word(r, e); /* p_paddr */
    p.file_size = word(r, e);
    p.mem_size = word(r, e);
    if (e->elf_class == ELFCLASS32)
        p.flags = rd_le32(r);
    p.align = word(r, e);
    return p;
}

static bool in_file(const struct phdr *p, uint64_t file_size)
{
    return !p->file_size || (p->off <= file_size && p->file_size <= file_size - p->off);
}

static bool take_load(struct elf_user *e, const struct phdr *p, unsigned n, uint64_t file_size,
                      struct error *err)
{
    if (p->mem_size == 0)
        return true;
    if (e->load_count == ELF_USER_LOADS_MAX)
        return fail(err, EINVAL, "more than %d loadable segments", ELF_USER_LOADS_MAX);
    if (!in_file(p, file_size))
        return fail(err, EINVAL,
                    "file is truncated: segment %u has %#" PRIx64 " bytes at %#" PRIx64
                    ", the file ends at %#" PRIx64,
                    n, p->file_size, p->off, file_size);
    if (p->file_size > p->mem_size)
        return fail(err, EINVAL, "segment %u is smaller in memory than in the file", n);
    if (p->vaddr >= VA_MAX || p->mem_size > VA_MAX - p->vaddr)
        return fail(err, EINVAL, "segment %u lies beyond the address space (%#" PRIx64 ")", n,
                    p->vaddr);
    if ((p->vaddr - p->off) % PAGE && p->file_size)
        return fail(err, EINVAL,
                    "segment %u: address %#" PRIx64 " and offset %#" PRIx64 " differ "
                    "within the page",
                    n, p->vaddr, p->off);
    if (is_pow2(p->align) && p->align > e->align)
        e->align = p->align;
    e->load[e->load_count++] = (struct elf_user_load){
        .at = p->vaddr,
        .mem_size = p->mem_size,
        .file_off = p->off,
        .file_size = p->file_size,
        .prot = (p->flags & PF_R ? 1 : 0) | (p->flags & PF_W ? 2 : 0) | (p->flags & PF_X ? 4 : 0),
    };
    e->first = MIN(e->first, ALIGN_DOWN(p->vaddr, PAGE));
    e->end = MAX(e->end, ALIGN_UP(p->vaddr + p->mem_size, PAGE));
    /* the program headers are in memory where a segment holds their part of the file */
    if (!e->phdr && p->off <= e->phoff && e->phoff - p->off < p->file_size)
        e->phdr = p->vaddr + (e->phoff - p->off);
    return true;
}

static bool take_other(struct elf_user *e, const struct phdr *p, uint64_t file_size,
                       struct error *err)
{
    switch (p->type) {
    case PT_INTERP:
        if (e->interp_size)
            return true; /* the first one counts */
        if (p->file_size < 2 || p->file_size > ELF_USER_INTERP_MAX || !in_file(p, file_size))
            return fail(err, EINVAL,
                        "the name of the ELF interpreter is broken (%#" PRIx64 " bytes at %#" PRIx64
                        ")",
                        p->file_size, p->off);
        e->interp_off = p->off;
        e->interp_size = p->file_size;
        return true;
    case PT_GNU_STACK:
        e->has_stack = true;
        e->exec_stack = p->flags & PF_X;
        return true;
    case PT_GNU_PROPERTY:
        if (in_file(p, file_size) && p->file_size <= PAGE) {
            e->note_off = p->off;
            e->note_size = p->file_size;
        }
        return true;
    default: return true;
    }
}

bool elf_user_segments(const void *phdrs, size_t len, uint64_t file_size, struct elf_user *e,
                       struct error *err)
{
    struct reader r = reader(phdrs, len);
    e->first = ~UINT64_C(0);
    e->end = 0;
    e->align = PAGE;
    e->load_count = 0;
    for (unsigned i = 0; i < e->phnum; i++) {
        struct phdr p = read_phdr(&r, e);
        if (!rd_ok(&r))
            return fail(err, EINVAL, "file is truncated in its program headers");
        bool ok = p.type == PT_LOAD ? take_load(e, &p, i, file_size, err)
                                    : take_other(e, &p, file_size, err);
        if (!ok)
            return false;
    }
    if (!e->load_count)
        return fail(err, EINVAL, "no loadable segment in the ELF file");
    if (e->align > BIT(30))
        return fail(err, EINVAL, "segments aligned to %#" PRIx64 " bytes", e->align);
    return true;
}

bool elf_user_wants_bti(const void *note, size_t len)
{
    struct reader r = reader(note, len);
    uint32_t name_size = rd_le32(&r), size = rd_le32(&r), type = rd_le32(&r);
    const char *name = rd_take(&r, 4);
    if (!rd_ok(&r) || name_size != 4 || type != NT_GNU_PROPERTY_TYPE_0 || memcmp(name, "GNU", 4))
        return false;
    const void *desc = rd_take(&r, MIN((size_t)size, rd_left(&r)));
    struct reader d = reader(desc, desc ? rd_offset(&r) - 16 : 0);
    while (rd_left(&d) >= 8) {
        uint32_t kind = rd_le32(&d), bytes = rd_le32(&d);
        if (kind == GNU_PROPERTY_AARCH64_FEATURE_1_AND && bytes == 4)
            return rd_le32(&d) & GNU_PROPERTY_AARCH64_FEATURE_1_BTI;
        rd_skip(&d, MIN(ALIGN_UP((uint64_t)bytes, 8), (uint64_t)rd_left(&d)));
    }
    return false;
}
