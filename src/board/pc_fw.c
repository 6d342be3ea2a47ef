/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Firmware of the PC: the image at the top of 4 GiB, and what it asks fw_cfg and CMOS: memory map,
 * boot order, ACPI and SMBIOS tables, where its screen is.
 */
#include "board/pc.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "dev/firmware/fwcfg.h"
#include "dev/firmware/smbios.h"
#include "dev/timer/rtc.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* --- the image --- */

static bool check_size(const char *path, uint64_t size, struct error *err)
{
    if (size >= 0x10000 && size <= PC_FIRMWARE_MAX && size % 0x10000 == 0)
        return true;
    (void)fail(err, ENOEXEC, "firmware '%s': %" PRIu64 " bytes are no PC firmware", path, size);
    return fail_hint(err, "it is a multiple of 64 KiB, at most 8 MiB");
}

static bool read_image(struct pc *pc, FILE *f, struct error *err)
{
    const char *path = pc->b.config->firmware;
    struct stat st;
    if (fstat(fileno(f), &st) != 0)
        return fail(err, errno, "firmware '%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(err, EINVAL, "firmware '%s': not a regular file", path);
    if (!check_size(path, st.st_size, err) || !mem_ram_alloc(pc->b.mem, st.st_size, &pc->rom, err))
        return false;
    pc->rom_size = st.st_size;
    if (fread(mem_ram_base(pc->b.mem) + pc->rom, 1, pc->rom_size, f) != pc->rom_size)
        return fail(err, EIO, "firmware '%s': cannot be read to its end", path);
    return true;
}

static void show_image(struct pc *pc)
{
    uint64_t shown = MIN(pc->rom_size, (uint64_t)PC_LOW_ALIAS);
    mem_region_init_rom(&pc->rom_region, "firmware", pc->rom, pc->rom_size);
    mem_region_init_alias(&pc->rom_alias, "firmware-low", &pc->rom_region, pc->rom_size - shown,
                          shown);
    mem_map(pc->b.mem, 4 * GIB - pc->rom_size, &pc->rom_region, PC_PRIO_CHIP);
    mem_map(pc->b.mem, MIB - shown, &pc->rom_alias, PC_PRIO_ROM);
}

bool pc_firmware_load(struct pc *pc, struct error *err)
{
    const char *path = pc->b.config->firmware;
    if (pc->b.config->pflash[0] || pc->b.config->pflash[1])
        return pc_flash_make(pc, err);
    if (!path)
        return true; /* a kernel is started directly */
    FILE *f = fopen(path, "rbe");
    if (!f)
        return fail(err, errno, "firmware '%s': %s", path, strerror(errno));
    bool ok = read_image(pc, f, err);
    fclose(f);
    if (ok)
        show_image(pc);
    return ok;
}

/* --- fw_cfg --- */

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

static bool add_boot_options(struct pc *pc, struct error *err)
{
    const struct board_config *c = pc->b.config;
    if (c->boot_menu && !add_number(pc, "etc/show-boot-menu", 1, 2, err))
        return false;
    if (c->boot_menu_wait_ms && !add_number(pc, "etc/boot-menu-wait", c->boot_menu_wait_ms, 2, err))
        return false;
    return add_number(pc, "etc/boot-fail-wait", (uint32_t)c->boot_fail_wait_ms, 4, err) &&
           add_file(pc, "bootorder", c->boot_strict ? "HALT" : "", c->boot_strict ? 5 : 1, err);
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

static void fill_cmos(struct pc *pc)
{
    const struct board_config *c = pc->b.config;
    const char *order = c->boot_order ? c->boot_order : "cad";
    uint8_t dev[3] = { 0 };
    uint64_t low = pc->ram_low;
    for (unsigned i = 0; i < 3 && order[i]; i++)
        dev[i] = boot_device(order[i]);
    cmos16(pc, 0x15, 640);
    uint64_t ext = MIN((low - MIB) / KIB, UINT64_C(65535));
    cmos16(pc, 0x17, ext);
    cmos16(pc, 0x30, ext);
    cmos16(pc, 0x34, low > 16 * MIB ? MIN((low - 16 * MIB) / (64 * KIB), UINT64_C(65535)) : 0);
    uint64_t high = pc->ram_high / (64 * KIB);
    cmos16(pc, 0x5b, high);
    rtc_set_cmos(pc->part[PC_RTC], 0x5d, high >> 16);
    rtc_set_cmos(pc->part[PC_RTC], 0x5f, c->cpus - 1);
    rtc_set_cmos(pc->part[PC_RTC], 0x3d, dev[1] << 4 | dev[0]);
    rtc_set_cmos(pc->part[PC_RTC], 0x38, dev[2] << 4 | 1); /* bit 0: no floppy signature check */
    rtc_set_cmos(pc->part[PC_RTC], 0x14, 0x06);            /* equipment: FPU, mouse */
}

bool pc_firmware_config(struct pc *pc, struct error *err)
{
    static const uint8_t states[] = { 0x80, 0, 0, 0x01, 0x02, 0x80 }; /* S0 and S5, no S3, S4 */
    const struct board_config *c = pc->b.config;
    add_keys(pc);
    fill_cmos(pc);
    return add_e820(pc, err) && (!c->acpi || add_acpi(pc, err)) && add_smbios(pc, err) &&
           add_boot_options(pc, err) &&
           add_file(pc, "etc/system-states", states, sizeof states, err) &&
           (!c->serial_console ||
            add_number(pc, "etc/sercon-port", pc_info(pc, PC_COM1)->win[0].base, 2, err));
}
