/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loader: bytes in guest memory after each reset, from a file (ELF by its segments, anything else
 * as it is) or a number; and the address that a vCPU starts at.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/scope.h"
#include "dev/device.h"

enum { NO_CPU = UINT32_MAX, ELF_PHDRS_MAX = 64 };
#define FILE_MAX (UINT64_C(1) << 30)

struct loader_piece {
    gpa_t at;
    const uint8_t *data;
    uint64_t len, zeroes; /* zeroes follow the data */
};

struct loader {
    struct device dev;
    /* properties */
    uint64_t addr, data;
    uint32_t cpu_num;
    uint8_t data_len;
    bool data_be, force_raw;
    char *file;
    /* constant after init */
    uint8_t number[8];
    uint8_t *image;
    uint64_t image_len;
    struct loader_piece piece[ELF_PHDRS_MAX];
    unsigned pieces;
    bool has_entry;
    uint64_t entry;
};

static bool read_file(struct loader *l, struct error *err)
{
    struct stat st;
    AUTO_CLOSE int fd = open(l->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail(err, errno, "'%s': %s", l->file, strerror(errno));
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_MAX)
        return fail(err, EINVAL, "'%s': not a file of at most 1 GiB", l->file);
    l->image = xcalloc(1, (size_t)st.st_size + 1);
    while (l->image_len < (uint64_t)st.st_size) {
        ssize_t n = read(fd, l->image + l->image_len, (size_t)st.st_size - l->image_len);
        if (n <= 0)
            return fail(err, n ? errno : EIO, "'%s': cannot be read", l->file);
        l->image_len += (uint64_t)n;
    }
    return true;
}

/* One number of the image, in the file's byte order. */
static uint64_t number_at(const struct loader *l, uint64_t off, unsigned size, bool be)
{
    const uint8_t *p = l->image + off;
    switch (size) {
    case 2: return be ? ld_be16(p) : ld_le16(p);
    case 4: return be ? ld_be32(p) : ld_le32(p);
    default: return be ? ld_be64(p) : ld_le64(p);
    }
}

static bool bad_elf(const struct loader *l, struct error *err)
{
    (void)fail(err, EINVAL, "'%s': a damaged ELF file", l->file);
    return fail_hint(err, "force-raw=on loads it as it is");
}

/* System V ABI, chapters 4 and 5: ELFCLASS32 or 64, either byte order. */
static bool parse_elf(struct loader *l, struct error *err)
{
    bool is64 = l->image[4] == 2, be = l->image[5] == 2;
    unsigned word = is64 ? 8 : 4, header = is64 ? 64 : 52, entry_size = is64 ? 56 : 32;
    if (l->image_len < header)
        return bad_elf(l, err);
    l->entry = number_at(l, 24, word, be);
    uint64_t table = number_at(l, is64 ? 32 : 28, word, be);
    unsigned count = (unsigned)number_at(l, is64 ? 56 : 44, 2, be);
    if (number_at(l, is64 ? 54 : 42, 2, be) != entry_size || count > ELF_PHDRS_MAX ||
        table > l->image_len || (uint64_t)count * entry_size > l->image_len - table)
        return bad_elf(l, err);
    for (unsigned i = 0; i < count; i++, table += entry_size) {
        uint64_t off = number_at(l, table + (is64 ? 8 : 4), word, be);
        uint64_t at = number_at(l, table + (is64 ? 24 : 12), word, be);
        uint64_t len = number_at(l, table + (is64 ? 32 : 16), word, be);
        uint64_t size = number_at(l, table + (is64 ? 40 : 20), word, be);
        if (number_at(l, table, 4, be) != 1 || !size) /* PT_LOAD */
            continue;
        if (off > l->image_len || len > l->image_len - off || len > size || size > FILE_MAX)
            return bad_elf(l, err);
        l->piece[l->pieces++] = (struct loader_piece){ at, l->image + off, len, size - len };
    }
    l->has_entry = true;
    return true;
}

static bool use_file(struct loader *l, struct error *err)
{
    if (l->data || l->data_len || l->data_be)
        return fail(err, EINVAL, "Specifying a file is not supported when data is set");
    if (!read_file(l, err))
        return false;
    if (!l->force_raw && l->image_len > 6 && !memcmp(l->image, "\177ELF", 4))
        return parse_elf(l, err);
    l->piece[l->pieces++] = (struct loader_piece){ l->addr, l->image, l->image_len, 0 };
    return true;
}

static bool use_number(struct loader *l, struct error *err)
{
    if (l->data_len > 8 || (l->data_len < 8 && l->data >> (8 * l->data_len)))
        return fail(err, EINVAL, "data=%#" PRIx64 " does not fit data-len=%u", l->data,
                    l->data_len);
    for (unsigned i = 0; i < l->data_len; i++)
        l->number[l->data_be ? l->data_len - 1 - i : i] = (uint8_t)(l->data >> (8 * i));
    l->piece[l->pieces++] = (struct loader_piece){ l->addr, l->number, l->data_len, 0 };
    return true;
}

static bool loader_init(struct device *dev, struct error *err)
{
    struct loader *l = (struct loader *)dev;
    if (l->file) {
        if (!use_file(l, err))
            return false;
    } else if (l->data_len) {
        if (!use_number(l, err))
            return false;
    } else if (l->data) {
        return fail(err, EINVAL, "data= without data-len=");
    } else if (l->cpu_num != NO_CPU) {
        l->has_entry = true;
        l->entry = l->addr;
    } else {
        (void)fail(err, EINVAL, "nothing to do");
        return fail_hint(err, "give file=, data= and data-len=, or addr= and cpu-num=");
    }
    if (l->file && l->cpu_num != NO_CPU && !l->has_entry) {
        l->has_entry = true;
        l->entry = l->addr;
    }
    const struct device_links *links = dev->ctx.links;
    if (l->has_entry && l->cpu_num != NO_CPU &&
        !(links && links->set_entry && links->set_entry(links->opaque, l->cpu_num, l->entry)))
        return fail(err, EINVAL, "cpu-num=%u: there is no such CPU", l->cpu_num);
    return true;
}

static bool put(struct device *dev, gpa_t at, const void *data, uint64_t len)
{
    return !len || !dev->ctx.dma || dma_write(dev->ctx.dma, at, data, len) == 0;
}

static void loader_reset(struct device *dev)
{
    struct loader *l = (struct loader *)dev;
    static const uint8_t zeroes[4096];
    for (unsigned i = 0; i < l->pieces; i++) {
        const struct loader_piece *p = &l->piece[i];
        bool ok = put(dev, p->at, p->data, p->len);
        for (uint64_t n = 0; ok && n < p->zeroes; n += sizeof zeroes)
            ok = put(dev, p->at + p->len + n, zeroes, MIN(p->zeroes - n, sizeof zeroes));
        if (!ok)
            guest_error(dev, "there is no memory at %#" PRIx64 " for %" PRIu64 " bytes", p->at,
                        p->len + p->zeroes);
    }
    const struct device_links *links = dev->ctx.links;
    if (l->has_entry && l->cpu_num != NO_CPU && links && links->set_entry)
        (void)links->set_entry(links->opaque, l->cpu_num, l->entry);
}

static void loader_finish(struct device *dev)
{
    free(((struct loader *)dev)->image);
}

static void loader_defaults(struct device *dev)
{
    ((struct loader *)dev)->cpu_num = NO_CPU;
}

const struct device_type loader_type = {
    .name = "loader",
    .doc = "Generic loader: puts bytes into memory at each reset",
    .size = sizeof(struct loader),
    .bus = "System",
    .category = DEVICE_MISC,
    .props = FIELDS(
        FIELD(struct loader, addr, .doc = "guest address of the data, or where the CPU starts"),
        FIELD(struct loader, data, .doc = "a number to write"),
        FIELD(struct loader, data_len, .wire = "data-len", .max = 8, .doc = "its bytes, 1 to 8"),
        FIELD(struct loader, data_be, .wire = "data-be", .doc = "it is stored big-endian"),
        FIELD(struct loader, cpu_num, .wire = "cpu-num",
              .doc = "CPU that starts at the file's entry, or at addr"),
        FIELD(struct loader, force_raw, .wire = "force-raw", .doc = "an ELF file, too, as it is"),
        FIELD(struct loader, file, .doc = "a file: ELF, else raw bytes for addr")),
    .defaults = loader_defaults,
    .init = loader_init,
    .finish = loader_finish,
    .reset = loader_reset,
};
