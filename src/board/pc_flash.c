/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flash memory of a PC: unit 0 (the firmware) ends at 4 GiB, unit 1 (its variables) lies below it.
 * The end of unit 0 shows below 1 MiB, too.
 */
#include "board/pc.h"

#include "cpu/cpu.h"
#include "dev/storage/pflash.h"
#include "guest/x86/x86.h"

#include <errno.h>
#include <inttypes.h>

/* The vCPU that writes is in SMM: for flash that is secure=on. */
static bool in_smm(void *opaque)
{
    struct cpu *cpu = cpu_current();
    return cpu && x86_of(cpu)->smm;
}

static bool make_unit(struct pc *pc, unsigned n, gpa_t *end, struct error *err)
{
    static const char *const ids[] = { "system.flash0", "system.flash1" };
    const struct device_ctx ctx = { pc->b.loop, pc->b.mem, pc->b.config->links };
    struct device *dev = pc->flash[n] = device_new(&cfi_pflash01_type, ids[n], &ctx);
    if (pc->b.smm_mem)
        pflash_set_gate(dev, in_smm, pc);
    if (!device_set(dev, "drive", pc->b.config->pflash[n], err) || !device_init(dev, err))
        return false;
    uint64_t size = pflash_size(dev);
    if (size % MEM_PAGE_SIZE || 4 * GIB - *end + size > PC_FIRMWARE_MAX) {
        (void)fail(err, EINVAL, "pflash unit %u: %" PRIu64 " bytes", n, size);
        return fail_hint(err, "both units are whole pages and together at most %d MiB",
                         PC_FIRMWARE_MAX >> 20);
    }
    *end -= size;
    pflash_map(dev, *end, PC_PRIO_CHIP);
    return true;
}

bool pc_flash_make(struct pc *pc, struct error *err)
{
    gpa_t end = 4 * GIB;
    if (!pc->b.config->pflash[0]) {
        (void)fail(err, EINVAL, "pflash unit 1 without unit 0");
        return fail_hint(err, "-drive if=pflash,unit=0,... has the firmware, unit 1 its variables");
    }
    for (unsigned i = 0; i < PC_FLASHES; i++)
        if (pc->b.config->pflash[i] && !make_unit(pc, i, &end, err))
            return false;
    pc->rom = pflash_gra(pc->flash[0]);
    pc->rom_size = pflash_size(pc->flash[0]);
    uint64_t shown = MIN(pc->rom_size, (uint64_t)PC_LOW_ALIAS);
    mem_region_init_rom(&pc->rom_alias, "firmware-low", pc->rom + pc->rom_size - shown, shown);
    mem_map(pc->b.mem, MIB - shown, &pc->rom_alias, PC_PRIO_ROM);
    return true;
}
