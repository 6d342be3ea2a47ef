/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What firmware asks the PC for, by fw_cfg and CMOS: memory map, boot order, ACPI and SMBIOS
 * tables, a kernel to start, where its screen is, and files of the user.
 */
#include "board/pc.h"
#include "board/x86_boot.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "dev/firmware/fwcfg.h"
#include "dev/firmware/smbios.h"
#include "dev/timer/rtc.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* --- tables --- */

static bool add_file(struct pc *pc, const char *name, const void *data, size_t len,
                     struct error *err)
{
    return fwcfg_add_file(pc->part[PC_FWCFG], name, data, len, err);
}

static bool add_number(struct pc *pc, const char *name, uint64_t value, unsigned bytes,
                       struct error *err)
{
    uint8_t le[8];
    st_le64(le, value);
    return add_file(pc, name, le, bytes, err);
}

static bool add_e820(struct pc *pc, struct error *err)
{
    uint8_t map[2 * 20];
    st_le64(map, 0);
    st_le64(map + 8, pc->ram_low);
    st_le32(map + 16, E820_RAM);
    st_le64(map + 20, 4 * GIB);
    st_le64(map + 28, pc->ram_high);
    st_le32(map + 36, E820_RAM);
    return add_file(pc, "etc/e820", map, pc->ram_high ? 40 : 20, err);
}

/* The firmware chose where the PM block is after the tables were first made: make them again. The
 * lengths are the same, pointers are offsets still. */
static void refresh_tables(void *opaque, uint8_t *data, size_t len)
{
    struct pc *pc = opaque;
    uint16_t pm = pc->chip->pm_base(pc);
    struct acpi_set set;
    acpi_set_init(&set);
    pc_acpi_build(pc, pm ? pm : PC_PM_BASE, &set);
    if (set.blob[ACPI_TABLES]->len == len)
        memcpy(data, set.blob[ACPI_TABLES]->data, len);
    acpi_set_finish(&set);
}

static bool add_acpi(struct pc *pc, struct error *err)
{
    acpi_set_init(&pc->acpi);
    pc_acpi_build(pc, 0xffc0, &pc->acpi); /* a base of full width: it may become any */
    GByteArray *script = acpi_loader_script(&pc->acpi);
    bool ok = add_file(pc, ACPI_TABLES_FILE, pc->acpi.blob[ACPI_TABLES]->data,
                       pc->acpi.blob[ACPI_TABLES]->len, err) &&
              add_file(pc, ACPI_RSDP_FILE, pc->acpi.blob[ACPI_RSDP]->data,
                       pc->acpi.blob[ACPI_RSDP]->len, err) &&
              add_file(pc, "etc/table-loader", script->data, script->len, err);
    g_byte_array_unref(script);
    if (ok)
        fwcfg_set_refresh(pc->part[PC_FWCFG], ACPI_TABLES_FILE, refresh_tables, pc);
    return ok;
}

void pc_smbios_build(const struct pc *pc, struct smbios *s)
{
    const struct board_config *c = pc->b.config;
    const char *version =
        strcmp(c->board_name, pc->b.type->name) ? c->board_name : pc->b.type->names[0];
    const struct board_smp smp = board_smp(c);
    struct smbios_info info = {
        .manufacturer = "QEMU",
        .product = pc->b.type->doc,
        .version = version,
        .cpu_name = version,
        .bios_version = RHEA_VERSION,
        .sockets = smp.sockets,
        .cores = smp.dies * smp.cores,
        .threads = smp.dies * smp.cores * smp.threads,
        .ram_low = pc->ram_low,
        .ram_high = pc->ram_high,
        .user = c->smbios,
    };
    memcpy(info.uuid, c->uuid, sizeof info.uuid);
    smbios_build(s, &info);
}

static bool add_smbios(struct pc *pc, struct error *err)
{
    struct smbios s;
    pc_smbios_build(pc, &s);
    bool ok = add_file(pc, SMBIOS_TABLES_FILE, s.tables->data, s.tables->len, err) &&
              add_file(pc, SMBIOS_ANCHOR_FILE, s.anchor->data, s.anchor->len, err);
    smbios_finish(&s);
    return ok;
}

/* --- boot order --- */

struct boot_entry {
    int64_t index;
    char *path;
};

/* Controllers that are their own disk or network interface: what firmware calls that. */
static const char *own_suffix(const struct device *dev)
{
    if (!dev->parent || dev->parent->type != &pci_bus_type)
        return "";
    switch (ld_le16(((const struct pci_dev *)dev)->initial + PCI_CLASS)) {
    case 0x0200: return "/ethernet-phy@0";
    case 0x0108: return "/namespace@1,0";
    default: return "";
    }
}

static void note_bootindex(struct device *dev, void *opaque)
{
    struct device *owner = NULL;
    const struct field *f = device_prop(dev, "bootindex", &owner);
    if (!f || owner != dev)
        return;
    int64_t index = (int64_t)field_get(owner, f, 0);
    if (index < 0)
        return;
    AUTO_FREE char *path = device_fw_path(owner);
    struct boot_entry e = { index, xasprintf("%s%s", path, own_suffix(owner)) };
    g_array_append_val((GArray *)opaque, e);
}

static int by_index(const void *a, const void *b)
{
    int64_t x = ((const struct boot_entry *)a)->index, y = ((const struct boot_entry *)b)->index;
    return (x > y) - (x < y);
}

/* Paths of what has a bootindex, in that order, one a line; HALT: nothing else is tried. */
static bool add_bootorder(struct pc *pc, struct error *err)
{
    GArray *found = g_array_new(FALSE, FALSE, sizeof(struct boot_entry));
    GString *text = g_string_new(NULL);
    bool ok = true;
    for (struct device_bus *b = pc->b.buses; b; b = b->next)
        bus_walk(b, note_bootindex, found);
    g_array_sort(found, by_index);
    for (unsigned i = 0; i < found->len; i++) {
        struct boot_entry *e = &g_array_index(found, struct boot_entry, i);
        if (i && e[-1].index == e->index)
            ok = fail(err, EINVAL, "two devices have bootindex=%" PRId64, e->index);
        g_string_append_printf(text, "%s%s", i ? "\n" : "", e->path);
    }
    if (pc->b.config->boot_strict)
        g_string_append(text, text->len ? "\nHALT" : "HALT");
    ok = ok && add_file(pc, "bootorder", text->str, text->len + 1, err);
    for (unsigned i = 0; i < found->len; i++)
        free(g_array_index(found, struct boot_entry, i).path);
    g_array_free(found, TRUE);
    g_string_free(text, TRUE);
    return ok;
}

static bool add_boot_options(struct pc *pc, struct error *err)
{
    const struct board_config *c = pc->b.config;
    if (c->boot_menu && !add_number(pc, "etc/show-boot-menu", 1, 2, err))
        return false;
    if (c->boot_menu_wait_ms && !add_number(pc, "etc/boot-menu-wait", c->boot_menu_wait_ms, 2, err))
        return false;
    return add_number(pc, "etc/boot-fail-wait", (uint32_t)c->boot_fail_wait_ms, 4, err) &&
           add_bootorder(pc, err);
}

/* --- items --- */

/* UEFI firmware starts a kernel that it finds here: its set-up part, the rest, initrd, command
 * line. */
static bool add_kernel(struct pc *pc, struct error *err)
{
    const struct board_config *c = pc->b.config;
    struct device *fw = pc->part[PC_FWCFG];
    AUTO_FREE char *kernel = NULL, *initrd = NULL;
    size_t len = 0, initrd_len = 0;
    if (!x86_read_file("kernel", c->kernel, &kernel, &len, err) ||
        (c->initrd && !x86_read_file("initrd", c->initrd, &initrd, &initrd_len, err)))
        return false;
    enum { SETUP_SECTORS = 0x1f1, SECTOR = 512, MIN_SIZE = 0x1000 };
    if (len < MIN_SIZE || len > UINT32_MAX || initrd_len > UINT32_MAX)
        return fail(err, ENOEXEC, "kernel '%s': not a kernel that firmware can start", c->kernel);
    unsigned sectors = (uint8_t)kernel[SETUP_SECTORS] ? (uint8_t)kernel[SETUP_SECTORS] : 4;
    size_t setup = MIN((sectors + 1) * (size_t)SECTOR, len);
    const char *line = c->append ? c->append : "";
    fwcfg_add_le(fw, FWCFG_SETUP_SIZE, setup, 4);
    fwcfg_add(fw, FWCFG_SETUP_DATA, kernel, setup);
    fwcfg_add_le(fw, FWCFG_KERNEL_SIZE, len - setup, 4);
    fwcfg_add(fw, FWCFG_KERNEL_DATA, kernel + setup, len - setup);
    fwcfg_add_le(fw, FWCFG_CMDLINE_SIZE, strlen(line) + 1, 4);
    fwcfg_add(fw, FWCFG_CMDLINE_DATA, line, strlen(line) + 1);
    fwcfg_add_le(fw, FWCFG_INITRD_SIZE, initrd_len, 4);
    if (initrd)
        fwcfg_add(fw, FWCFG_INITRD_DATA, initrd, initrd_len);
    return true;
}

static bool add_user_files(struct pc *pc, struct error *err)
{
    const struct board_config *c = pc->b.config;
    for (unsigned i = 0; i < c->fw_file_count; i++)
        if (!add_file(pc, c->fw_files[i].name, c->fw_files[i].data, c->fw_files[i].size, err))
            return false;
    return true;
}

static void add_keys(struct pc *pc)
{
    const struct board_config *c = pc->b.config;
    struct device *fw = pc->part[PC_FWCFG];
    fwcfg_add(fw, FWCFG_UUID, c->uuid, sizeof c->uuid);
    fwcfg_add_le(fw, FWCFG_RAM_SIZE, c->ram_size, 8);
    fwcfg_add_le(fw, FWCFG_NOGRAPHIC, c->serial_console, 2);
    fwcfg_add_le(fw, FWCFG_NB_CPUS, c->cpus, 2);
    fwcfg_add_le(fw, FWCFG_MAX_CPUS, x86_cpus_apic_id_limit(&pc->b), 2);
    fwcfg_add_le(fw, FWCFG_BOOT_MENU, c->boot_menu, 2);
    fwcfg_add_le(fw, FWCFG_BOOT_DEVICE, c->boot_order ? (uint8_t)c->boot_order[0] : 'c', 2);
    fwcfg_add_le(fw, FWCFG_NUMA, 0, 8);
    fwcfg_add_le(fw, FWCFG_IRQ0_OVERRIDE, 1, 4);
}

/* --- CMOS --- */

static void cmos16(struct pc *pc, uint8_t index, uint16_t v)
{
    rtc_set_cmos(pc->part[PC_RTC], index, v);
    rtc_set_cmos(pc->part[PC_RTC], index + 1, v >> 8);
}

/* Boot devices as SeaBIOS numbers them: 1 floppy, 2 disk, 3 CD, 4 network. */
static uint8_t boot_device(char letter)
{
    static const char letters[] = "acdn";
    const char *p = letter ? strchr(letters, letter) : NULL;
    return p ? p - letters + 1 : 0;
}

void pc_set_boot_order(struct pc *pc, const char *order)
{
    uint8_t dev[3] = { 0 };
    for (unsigned i = 0; i < 3 && order[i]; i++)
        dev[i] = boot_device(order[i]);
    rtc_set_cmos(pc->part[PC_RTC], 0x3d, dev[1] << 4 | dev[0]);
    rtc_set_cmos(pc->part[PC_RTC], 0x38, dev[2] << 4 | 1); /* bit 0: no floppy signature check */
}

static void fill_cmos(struct pc *pc)
{
    const struct board_config *c = pc->b.config;
    uint64_t low = pc->ram_low;
    cmos16(pc, 0x15, 640);
    uint64_t ext = MIN((low - MIB) / KIB, UINT64_C(65535));
    cmos16(pc, 0x17, ext);
    cmos16(pc, 0x30, ext);
    cmos16(pc, 0x34, low > 16 * MIB ? MIN((low - 16 * MIB) / (64 * KIB), UINT64_C(65535)) : 0);
    uint64_t high = pc->ram_high / (64 * KIB);
    cmos16(pc, 0x5b, high);
    rtc_set_cmos(pc->part[PC_RTC], 0x5d, high >> 16);
    rtc_set_cmos(pc->part[PC_RTC], 0x5f, c->cpus - 1);
    rtc_set_cmos(pc->part[PC_RTC], 0x14, 0x06); /* equipment: FPU, mouse */
}

bool pc_firmware_config(struct pc *pc, struct error *err)
{
    static const uint8_t states[] = { 0x80, 0, 0, 0x01, 0x02, 0x80 }; /* S0 and S5, no S3, S4 */
    const struct board_config *c = pc->b.config;
    add_keys(pc);
    fill_cmos(pc);
    return add_e820(pc, err) && pc_smm_config(pc, err) && (!c->acpi || add_acpi(pc, err)) &&
           add_smbios(pc, err) && add_boot_options(pc, err) && add_user_files(pc, err) &&
           (!c->kernel_by_firmware || add_kernel(pc, err)) &&
           add_file(pc, "etc/system-states", states, sizeof states, err) &&
           (!c->serial_console ||
            add_number(pc, "etc/sercon-port", pc_info(pc, PC_COM1)->win[0].base, 2, err));
}
