/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Firmware of the PC: a ROM image at the top of 4 GiB, unless it is flash memory (pc_flash.c). */
#include "board/pc.h"

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
