/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF files (System V gABI chapters 4 and 5) as far as a PVH kernel needs them.
 */
#include "dev/firmware/elf.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/reader.h"
#include "dev/firmware/bzimage.h"

#include <errno.h>
#include <string.h>

enum {
    CLASS_32 = 1,
    CLASS_64 = 2,
    DATA_LE = 1,
    EM_386 = 3,
    EM_X86_64 = 62,
    PT_LOAD = 1,
    PT_NOTE = 4,
    XEN_PHYS32_ENTRY = 18,
    PHDRS_MAX = 256,
    NOTES_MAX = 1024,
    PVH_INFO_SIZE = 56,
    PVH_MODULE_SIZE = 32,
    PVH_MAP_ENTRY = 24,
};
#define PVH_MAGIC UINT32_C(0x336ec578)

struct phdr {
    uint32_t type;
    uint64_t offset, paddr, filesz, memsz;
};

bool elf_probe(const void *data, size_t len)
{
    return len >= 4 && !memcmp(data, "\177ELF", 4);
}

static struct phdr read_phdr(struct reader *r, bool is64)
{
    struct phdr p = { .type = rd_le32(r) };
    if (is64) {
        rd_skip(r, 4);
        p.offset = rd_le64(r);
        rd_skip(r, 8);
        p.paddr = rd_le64(r);
        p.filesz = rd_le64(r);
        p.memsz = rd_le64(r);
    } else {
        p.offset = rd_le32(r);
        rd_skip(r, 4);
        p.paddr = rd_le32(r);
        p.filesz = rd_le32(r);
        p.memsz = rd_le32(r);
    }
    return p;
}

/* Looks through one note segment for Xen's PHYS32_ENTRY. Damaged notes are no notes. */
static void find_entry(const uint8_t *notes, uint64_t len, struct elf_kernel *k)
{
    struct reader r = reader(notes, len);
    for (unsigned i = 0; i < NOTES_MAX && rd_ok(&r) && rd_left(&r) >= 12; i++) {
        uint32_t namesz = rd_le32(&r), descsz = rd_le32(&r), type = rd_le32(&r);
        const void *name = rd_take(&r, ALIGN_UP((uint64_t)namesz, 4));
        const void *desc = rd_take(&r, MIN(ALIGN_UP((uint64_t)descsz, 4), rd_left(&r)));
        if (!rd_ok(&r))
            return;
        if (type == XEN_PHYS32_ENTRY && namesz == 4 && !memcmp(name, "Xen", 4) &&
            (descsz == 4 || descsz == 8) && rd_offset(&r) <= len) {
            struct reader d = reader(desc, (const uint8_t *)r.at - (const uint8_t *)desc);
            uint64_t entry = descsz == 8 ? rd_le64(&d) : rd_le32(&d);
            if (rd_ok(&d) && entry <= UINT32_MAX)
                k->pvh_entry = entry;
        }
    }
}

static bool add_segment(struct elf_kernel *k, const struct phdr *p, size_t len, struct error *err)
{
    uint64_t end;
    if (p->memsz == 0)
        return true;
    if (p->offset > len || p->filesz > len - p->offset)
        return fail(err, ENOEXEC, "the file ends inside a segment");
    if (p->filesz > p->memsz || !checked_add(p->paddr, p->memsz, &end) || end > UINT32_MAX)
        return fail(err, ENOEXEC, "a segment has an impossible size or lies above 4 GiB");
    if (p->paddr < 0x100000)
        return fail(err, ENOEXEC, "a segment lies below 1 MiB, where the boot data is");
    if (k->seg_count == ELF_SEGMENTS_MAX)
        return fail(err, ENOEXEC, "more than %d segments", ELF_SEGMENTS_MAX);
    k->first = k->seg_count ? MIN(k->first, p->paddr) : p->paddr;
    k->last = MAX(k->last, end - 1);
    k->seg[k->seg_count++] = (struct elf_segment){ p->paddr, p->offset, p->filesz, p->memsz };
    return true;
}

static bool entry_is_loaded(const struct elf_kernel *k)
{
    for (unsigned i = 0; i < k->seg_count; i++)
        if (k->pvh_entry >= k->seg[i].at && k->pvh_entry - k->seg[i].at < k->seg[i].mem_size)
            return true;
    return false;
}

/* Where the program headers are. */
struct table {
    uint64_t offset;
    unsigned entry_size, count;
    bool is64;
};

static bool read_header(const uint8_t *data, size_t len, bool is64, struct table *t,
                        struct error *err)
{
    struct reader r = reader(data, len);
    uint64_t end;
    rd_seek(&r, is64 ? 0x20 : 0x1c);
    *t = (struct table){ .offset = is64 ? rd_le64(&r) : rd_le32(&r), .is64 = is64 };
    rd_seek(&r, is64 ? 0x36 : 0x2a);
    t->entry_size = rd_le16(&r);
    t->count = rd_le16(&r);
    if (!rd_ok(&r) || t->count == 0 || t->count > PHDRS_MAX || t->entry_size < (is64 ? 56 : 32) ||
        !checked_add(t->offset, (uint64_t)t->count * t->entry_size, &end) || end > len)
        return fail(err, ENOEXEC, "an ELF file without usable program headers");
    return true;
}

static struct phdr phdr_at(const uint8_t *data, const struct table *t, unsigned i)
{
    struct reader r = reader(data + t->offset + (uint64_t)i * t->entry_size, t->entry_size);
    return read_phdr(&r, t->is64);
}

static bool find_pvh(const uint8_t *data, size_t len, const struct table *t, struct elf_kernel *k,
                     struct error *err)
{
    for (unsigned i = 0; i < t->count; i++) {
        struct phdr p = phdr_at(data, t, i);
        if (p.type == PT_NOTE && p.offset <= len && p.filesz <= len - p.offset)
            find_entry(data + p.offset, p.filesz, k);
    }
    if (k->pvh_entry)
        return true;
    (void)fail(err, ENOEXEC, "not a bzImage or PVH ELF kernel: an ELF file without a PVH entry");
    return fail_hint(err, "use the bzImage, or build the kernel with CONFIG_PVH=y");
}

static bool read_segments(const uint8_t *data, size_t len, const struct table *t,
                          struct elf_kernel *k, struct error *err)
{
    for (unsigned i = 0; i < t->count; i++) {
        struct phdr p = phdr_at(data, t, i);
        if (p.type == PT_LOAD && !add_segment(k, &p, len, err))
            return false;
    }
    return true;
}

bool elf_parse(const void *data, size_t len, struct elf_kernel *ret, struct error *err)
{
    struct reader r = reader(data, len);
    struct elf_kernel k = { 0 };
    struct table t;
    rd_skip(&r, 4);
    uint8_t class = rd_u8(&r), endian = rd_u8(&r);
    rd_seek(&r, 18);
    uint16_t machine = rd_le16(&r);
    if (!elf_probe(data, len) || !rd_ok(&r))
        return fail(err, ENOEXEC, "not an ELF file");
    if (endian != DATA_LE || (class != CLASS_32 && class != CLASS_64) ||
        (machine != EM_386 && machine != EM_X86_64))
        return fail(err, ENOEXEC, "an ELF file for another processor (machine %u)", machine);
    if (!read_header(data, len, class == CLASS_64, &t, err) || !find_pvh(data, len, &t, &k, err) ||
        !read_segments(data, len, &t, &k, err))
        return false;
    if (!entry_is_loaded(&k))
        return fail(err, ENOEXEC, "its PVH entry %#x is outside all segments", k.pvh_entry);
    *ret = k;
    return true;
}

size_t pvh_start_info(const struct pvh_info *in, uint8_t block[PVH_BLOCK_MAX])
{
    size_t modules = PVH_INFO_SIZE, map = modules + PVH_MODULE_SIZE;
    unsigned n = MIN(in->e820_count, (unsigned)((PVH_BLOCK_MAX - map) / PVH_MAP_ENTRY));
    memset(block, 0, PVH_BLOCK_MAX);
    st_le32(block, PVH_MAGIC);
    st_le32(block + 4, 1); /* version: has the memory map */
    st_le32(block + 12, in->initrd_size ? 1 : 0);
    st_le64(block + 16, in->initrd_size ? in->at + modules : 0);
    st_le64(block + 24, in->cmdline);
    st_le64(block + 32, in->rsdp);
    st_le64(block + 40, in->at + map);
    st_le32(block + 48, n);
    st_le64(block + modules, in->initrd);
    st_le64(block + modules + 8, in->initrd_size);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *e = block + map + i * PVH_MAP_ENTRY;
        st_le64(e, in->e820[i].base);
        st_le64(e + 8, in->e820[i].size);
        st_le32(e + 16, in->e820[i].type);
    }
    return map + n * PVH_MAP_ENTRY;
}
