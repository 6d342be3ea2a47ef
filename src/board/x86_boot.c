/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a kernel without firmware: loads a bzImage or a PVH ELF kernel and its initrd, places
 * the tables firmware would have placed, programs what firmware would have programmed, and sets the
 * vCPU to the kernel's entry. Runs after every reset: the files are read again.
 */
#include "board/x86_boot.h"

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/scope.h"
#include "base/str.h"
#include "board/x86_irqchip.h"
#include "cpu/cpu.h"
#include "dev/firmware/acpi.h"
#include "dev/firmware/bzimage.h"
#include "dev/firmware/elf.h"
#include "dev/firmware/smbios.h"
#include "dev/intc/lapic.h"
#include "guest/x86/x86.h"
#include "mem/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where things lie below 1 MiB. The kernel copies or reserves what it needs of them. */
enum {
    AT_BDA_EBDA_SEGMENT = 0x40e,
    AT_BDA_BASE_KIB = 0x413,
    AT_BOOT_PARAMS = 0x10000, /* zero page, or PVH start info */
    AT_SETUP_DATA = 0x11000,
    AT_CPU_TABLES = 0x12000, /* 7 pages */
    AT_STACK = 0x1f000,
    AT_CMDLINE = 0x20000,
    CMDLINE_ROOM = 0x10000,
    BASE_RAM_END = 0x9fc00,
    BASE_RAM_MAX = 0xa0000,
    AT_RSDP = 0xf0000,
    AT_SMBIOS_ANCHOR = 0xf0040,
    AT_SMBIOS_TABLES = 0xf0080,
    SMBIOS_ROOM = 0xff80,
    E820_MAX = 8,
    SETUP_RNG_SEED = 9,
    SEED_SIZE = 32,
};

struct boot {
    const struct x86_boot_machine *m;
    struct board *board;
    struct e820_entry e820[E820_MAX];
    unsigned e820_count;
    gpa_t tables, rsdp; /* ACPI; 0: none */
    gpa_t top;          /* end of low RAM that is free for the kernel and initrd */
    gpa_t initrd;
    uint64_t initrd_size;
    size_t cmdline_len;
};

/* --- files --- */

struct file {
    const char *path;
    const uint8_t *data;
    size_t len;
};

static bool file_open(struct file *f, const char *what, const char *path, struct error *err)
{
    struct stat st;
    f->path = path;
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return fail(err, errno, "%s '%s': %s", what, path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(err, EINVAL, "%s '%s': not a regular file", what, path);
    if (st.st_size == 0)
        return fail(err, EINVAL, "%s '%s': the file is empty", what, path);
    f->len = st.st_size;
    void *p = mmap(NULL, f->len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return fail(err, errno, "%s '%s': %s", what, path, strerror(errno));
    f->data = p;
    return true;
}

static void file_close(struct file *f)
{
    if (f->data)
        munmap((void *)f->data, f->len);
    f->data = NULL;
}

bool x86_read_file(const char *what, const char *path, char **ret, size_t *ret_len,
                   struct error *err)
{
    struct file f = { 0 };
    if (!file_open(&f, what, path, err))
        return false;
    *ret = xmemdup(f.data, f.len);
    *ret_len = f.len;
    file_close(&f);
    return true;
}

/* --- memory --- */

static bool put(struct boot *b, gpa_t at, const void *data, size_t len, struct error *err)
{
    if (len && dma_write(b->board->mem, at, data, len))
        return fail(err, ENOMEM, "no RAM for %zu bytes of boot data at %#" PRIx64, len, at);
    return true;
}

static void add_range(struct boot *b, uint64_t base, uint64_t end, enum e820_type type)
{
    assert(b->e820_count < E820_MAX);
    if (end > base)
        b->e820[b->e820_count++] = (struct e820_entry){ base, end - base, type };
}

static void make_e820(struct boot *b)
{
    const struct x86_boot_machine *m = b->m;
    add_range(b, 0, BASE_RAM_END, E820_RAM);
    add_range(b, BASE_RAM_END, BASE_RAM_MAX, E820_RESERVED);
    add_range(b, AT_RSDP, MIB, E820_RESERVED);
    add_range(b, MIB, b->top, E820_RAM);
    add_range(b, b->top, m->ram_low, E820_ACPI);
    add_range(b, m->reserved_base, m->reserved_base + m->reserved_size, E820_RESERVED);
    add_range(b, 4 * GIB, 4 * GIB + m->ram_high, E820_RAM);
}

/* --- what firmware would have done --- */

/* Virtual wire mode: the 8259's interrupts pass through LINT0, NMIs through LINT1. */
static void program_lapic(struct board *b)
{
    enum { SPURIOUS = 0xf0, LVT_LINT0 = 0x350, LVT_LINT1 = 0x360 };
    static const struct {
        uint32_t reg, value;
    } regs[] = {
        { SPURIOUS, 0x1ff },
        { LVT_LINT0, 0x700 },
        { LVT_LINT1, 0x400 },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
        if (x86_irqchip(b) != IRQCHIP_USER) {
            x86_irqchip_lapic_set(b, regs[i].reg >> 4, regs[i].value);
            continue;
        }
        gpa_t a = LAPIC_DEFAULT_BASE + regs[i].reg;
        mem_io_write(b->mem, mem_find(b->mem, a), a, regs[i].value, 4);
    }
}

static bool place_bios_data(struct boot *b, struct error *err)
{
    uint8_t w[2];
    st_le16(w, BASE_RAM_END >> 4);
    if (!put(b, AT_BDA_EBDA_SEGMENT, w, 2, err))
        return false;
    st_le16(w, BASE_RAM_END / KIB);
    return put(b, AT_BDA_BASE_KIB, w, 2, err);
}

static bool place_smbios(struct boot *b, struct error *err)
{
    struct smbios s;
    b->m->build_smbios(b->board, &s);
    smbios_link(&s, AT_SMBIOS_TABLES);
    bool ok =
        s.tables->len <= SMBIOS_ROOM ||
        fail(err, E2BIG, "-smbios: %u bytes of structures do not fit below 1 MiB", s.tables->len);
    ok = ok && put(b, AT_SMBIOS_ANCHOR, s.anchor->data, s.anchor->len, err) &&
         put(b, AT_SMBIOS_TABLES, s.tables->data, s.tables->len, err);
    smbios_finish(&s);
    return ok;
}

/* The tables lie at the end of RAM below 4 GiB, in a range of their own; the RSDP where it is
 * searched for. */
static bool place_acpi(struct boot *b, struct error *err)
{
    struct acpi_set set;
    acpi_set_init(&set);
    b->m->build_acpi(b->board, &set);
    b->top -= ALIGN_UP((uint64_t)set.blob[ACPI_TABLES]->len, 4096);
    b->tables = b->top;
    b->rsdp = AT_RSDP;
    acpi_link(&set, b->tables, b->rsdp);
    bool ok = put(b, b->tables, set.blob[ACPI_TABLES]->data, set.blob[ACPI_TABLES]->len, err) &&
              put(b, b->rsdp, set.blob[ACPI_RSDP]->data, set.blob[ACPI_RSDP]->len, err);
    acpi_set_finish(&set);
    return ok;
}

static bool act_as_firmware(struct boot *b, struct error *err)
{
    if (b->m->program)
        b->m->program(b->board);
    program_lapic(b->board);
    b->top = ALIGN_DOWN(b->m->ram_low, 4096);
    if (!place_bios_data(b, err) || (b->m->build_smbios && !place_smbios(b, err)) ||
        (b->m->build_acpi && !place_acpi(b, err)))
        return false;
    make_e820(b);
    return true;
}

static bool kernel_failed(const struct boot *b, struct error *err)
{
    err_prefix(err, "kernel '%s': ", b->board->config->kernel);
    return false;
}

/* --- command line and initrd --- */

static bool place_cmdline(struct boot *b, size_t max, struct error *err)
{
    const char *text = b->m->cmdline ? b->m->cmdline : "";
    b->cmdline_len = strlen(text);
    if (b->cmdline_len > MIN(max, (size_t)CMDLINE_ROOM - 1)) {
        (void)fail(err, E2BIG, "-append: %zu characters, this kernel takes %zu", b->cmdline_len,
                   MIN(max, (size_t)CMDLINE_ROOM - 1));
        return fail_hint(err, "shorten the kernel's command line");
    }
    return put(b, AT_CMDLINE, text, b->cmdline_len + 1, err);
}

/* As high as the kernel and RAM allow, but clear of the kernel. */
static bool place_initrd(struct boot *b, gpa_t kernel_end, uint64_t max, struct error *err)
{
    const char *path = b->board->config->initrd;
    struct file f = { 0 };
    if (!path)
        return true;
    if (!file_open(&f, "initrd", path, err))
        return false;
    uint64_t end = MIN(b->top, max == UINT64_MAX ? max : max + 1);
    bool ok = end > kernel_end && end - kernel_end > f.len + 4096;
    if (ok) {
        b->initrd = ALIGN_DOWN(end - f.len, 4096);
        b->initrd_size = f.len;
        ok = put(b, b->initrd, f.data, f.len, err);
    } else {
        (void)fail(err, ENOMEM,
                   "initrd '%s': %zu MiB do not fit beside the kernel in %" PRIu64 " MiB of memory",
                   path, (size_t)(f.len / MIB), b->board->config->ram_size / MIB);
        (void)fail_hint(err, "give the guest more: -m %" PRIu64,
                        (kernel_end + 3 * f.len) / MIB + 64);
    }
    file_close(&f);
    return ok;
}

/* --- bzImage --- */

/* Where the kernel asks to be, or at 1 MiB when that needs more memory than there is. */
static bool choose_address(const struct boot *b, const struct bzimage *k, gpa_t *ret,
                           struct error *err)
{
    if (k->load_at + k->init_size <= b->top) {
        *ret = k->load_at;
        return true;
    }
    gpa_t low = k->relocatable ? ALIGN_UP((uint64_t)MIB, (uint64_t)k->alignment) : k->load_at;
    if (low + k->init_size <= b->top) {
        *ret = low;
        return true;
    }
    (void)fail(err, ENOMEM, "it needs %" PRIu64 " MiB of memory",
               (low + k->init_size + 2 * MIB) / MIB);
    return fail_hint(err, "give the guest more with -m");
}

/* A seed for the kernel's random numbers, as struct setup_data. */
static bool place_seed(struct boot *b, struct error *err)
{
    uint8_t d[16 + SEED_SIZE] = { 0 };
    st_le32(d + 8, SETUP_RNG_SEED);
    st_le32(d + 12, SEED_SIZE);
    if (getrandom(d + 16, SEED_SIZE, 0) != SEED_SIZE)
        return fail(err, errno, "no random numbers from the host: %s", strerror(errno));
    return put(b, AT_SETUP_DATA, d, sizeof d, err);
}

static bool boot_bzimage(struct boot *b, const struct file *f, struct error *err)
{
    uint8_t page[ZERO_PAGE_SIZE];
    struct bzimage k;
    gpa_t at = 0;
    if (!bzimage_parse(f->data, f->len, &k, err) || !choose_address(b, &k, &at, err) ||
        !put(b, at, f->data + k.payload_off, k.payload_size, err))
        return kernel_failed(b, err);
    if (!place_cmdline(b, k.cmdline_max, err) ||
        !place_initrd(b, at + k.init_size, k.initrd_max, err) || !place_seed(b, err))
        return false;
    struct zero_page_info info = {
        .kernel = at,
        .cmdline = AT_CMDLINE,
        .initrd = b->initrd,
        .initrd_size = b->initrd_size,
        .setup_data = AT_SETUP_DATA,
        .rsdp = b->rsdp,
        .e820 = b->e820,
        .e820_count = b->e820_count,
    };
    bzimage_zero_page(&k, &info, page);
    if (!put(b, AT_BOOT_PARAMS, page, sizeof page, err))
        return false;
    struct x86_boot_state s = {
        .kind = k.entry64 ? X86_BOOT_LONG64 : X86_BOOT_PROT32,
        .rip = at + (k.entry64 ? BZIMAGE_ENTRY64 : 0),
        .rsi = AT_BOOT_PARAMS,
        .rsp = AT_STACK,
        .tables = AT_CPU_TABLES,
    };
    return x86_set_boot_state(b->board->cpus[0], &s, err);
}

/* --- ELF --- */

static bool place_segments(struct boot *b, const struct file *f, const struct elf_kernel *k,
                           struct error *err)
{
    for (unsigned i = 0; i < k->seg_count; i++) {
        const struct elf_segment *s = &k->seg[i];
        if (s->at + s->mem_size > b->top) {
            (void)fail(err, ENOMEM, "it reaches to %" PRIu64 " MiB, beyond the guest's memory",
                       (s->at + s->mem_size) / MIB);
            return fail_hint(err, "give the guest more with -m");
        }
        uint64_t rest = s->mem_size - s->file_size, room = rest;
        if (!put(b, s->at, f->data + s->file_off, s->file_size, err))
            return false;
        for (uint64_t done = 0; done < rest; done += room) {
            room = rest - done;
            void *p = dma_map(b->board->mem, s->at + s->file_size + done, &room, true);
            if (!p)
                return fail(err, ENOMEM, "a segment lies where there is no RAM");
            memset(p, 0, room);
            dma_unmap(b->board->mem, p, room, true);
        }
    }
    return true;
}

static bool boot_elf(struct boot *b, const struct file *f, struct error *err)
{
    uint8_t block[PVH_BLOCK_MAX];
    struct elf_kernel k;
    if (!elf_parse(f->data, f->len, &k, err) || !place_segments(b, f, &k, err))
        return kernel_failed(b, err);
    if (!place_cmdline(b, CMDLINE_ROOM - 1, err) ||
        !place_initrd(b, ALIGN_UP(k.last + 1, 2 * MIB), UINT64_MAX, err))
        return false;
    struct pvh_info info = {
        .at = AT_BOOT_PARAMS,
        .cmdline = AT_CMDLINE,
        .initrd = b->initrd,
        .initrd_size = b->initrd_size,
        .rsdp = b->rsdp,
        .e820 = b->e820,
        .e820_count = b->e820_count,
    };
    size_t len = pvh_start_info(&info, block);
    if (!put(b, AT_BOOT_PARAMS, block, len, err))
        return false;
    struct x86_boot_state s = {
        .kind = X86_BOOT_PROT32,
        .rip = k.pvh_entry,
        .rbx = AT_BOOT_PARAMS,
        .rsp = AT_STACK,
        .tables = AT_CPU_TABLES,
    };
    return x86_set_boot_state(b->board->cpus[0], &s, err);
}

bool x86_boot_kernel(const struct x86_boot_machine *m, struct error *err)
{
    struct boot b = { .m = m, .board = m->b };
    struct file f = { 0 };
    if (!file_open(&f, "kernel", m->b->config->kernel, err))
        return false;
    bool ok = act_as_firmware(&b, err);
    if (ok && bzimage_probe(f.data, f.len)) {
        ok = boot_bzimage(&b, &f, err);
    } else if (ok && elf_probe(f.data, f.len)) {
        ok = boot_elf(&b, &f, err);
    } else if (ok) {
        (void)fail(err, ENOEXEC, "not a bzImage or PVH ELF kernel");
        (void)fail_hint(err, "give a Linux kernel such as /boot/vmlinuz-*");
        ok = kernel_failed(&b, err);
    }
    file_close(&f);
    return ok;
}
