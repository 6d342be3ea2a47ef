/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System management mode of a PC: SMRAM, which only that mode sees, the line that requests it, and
 * what firmware agrees with us about it through fw_cfg (etc/smi/...).
 */
#include "board/pc.h"

#include "base/endian.h"
#include "cpu/cpu.h"
#include "dev/firmware/fwcfg.h"
#include "dev/pci/q35_mch.h"

#include <errno.h>
#include <string.h>

#define LOW_SMRAM      UINT64_C(0xa0000)
#define LOW_SMRAM_SIZE UINT64_C(0x20000)

enum { SMI_BROADCAST = 1 }; /* a request by the command port goes to all processors */

/* Why there is none, or NULL. */
static const char *obstacle(const struct pc *pc, const char **ret_hint)
{
    const struct board_config *c = pc->b.config;

    if (!pc->chip->smm) {
        *ret_hint = "use -machine q35";
        return "this machine has no system management mode";
    }
    if (c->cpu_accel) {
        *ret_hint = "use -accel tcg";
        return "this accelerator has no system management mode";
    }
    *ret_hint = "start the kernel from a disk, or by UEFI firmware";
    return c->firmware || c->pflash[0] ? NULL : "no firmware runs that would have a handler";
}

bool pc_smm_make(struct pc *pc, struct error *err)
{
    enum board_switch want = pc->b.config->smm;
    const char *hint, *why = obstacle(pc, &hint);

    if (want == BOARD_ON && why) {
        (void)fail(err, ENOTSUP, "smm=on: %s", why);
        return fail_hint(err, "%s", hint);
    }
    if (want != BOARD_OFF && !why)
        pc->b.smm_mem = mem_new_overlay(pc->b.mem, "smm");
    return true;
}

static void show(struct pc *pc, struct mem_region *r, const char *name, gpa_t at, uint64_t size)
{
    if (r->mem && r->base == at && r->size == size)
        return;
    mem_unmap(r);
    if (!size)
        return;
    mem_region_init_ram(r, name, pc->ram + at, size);
    mem_map(pc->b.smm_mem, at, r, PC_PRIO_CHIP);
}

void pc_smram_changed(void *opaque, const struct mch_smram *s)
{
    struct pc *pc = opaque;

    mem_begin(pc->b.smm_mem);
    show(pc, &pc->smram_low, "smram-low", LOW_SMRAM, s->low ? LOW_SMRAM_SIZE : 0);
    show(pc, &pc->smram_tseg, "smram-tseg", s->tseg, s->tseg_size);
    mem_end(pc->b.smm_mem);
}

/* A pulse. Without the agreement it is for the processor that wrote to the command port. */
void pc_smi_line(void *opaque, unsigned n, bool level)
{
    struct pc *pc = opaque;
    struct cpu *cpu = cpu_current() ? cpu_current() : pc->b.cpus[0];

    if (!level)
        return;
    for (unsigned i = 0; i < pc->b.cpu_count; i++)
        if (pc->smi_features & SMI_BROADCAST || pc->b.cpus[i] == cpu)
            cpu_event_raise(pc->b.cpus[i], CPU_EVENT_SMI);
}

void pc_smm_finish(struct pc *pc)
{
    mem_free(pc->b.smm_mem);
    pc->b.smm_mem = NULL;
}

/* --- the agreement: firmware writes what it wants, then reads whether that is fine --- */

static void take_request(void *opaque, uint8_t *data, size_t len)
{
    ((struct pc *)opaque)->smi_request = ld_le64(data);
}

/* Once agreed it stays until reset. */
static void answer(void *opaque, uint8_t *data, size_t len)
{
    struct pc *pc = opaque;

    if (!pc->smi_agreed && !(pc->smi_request & ~(uint64_t)SMI_BROADCAST)) {
        pc->smi_features = pc->smi_request;
        pc->smi_agreed = true;
    }
    *data = pc->smi_agreed;
}

void pc_smm_reset(struct pc *pc)
{
    pc->smi_features = pc->smi_request = 0;
    pc->smi_agreed = false;
}

bool pc_smm_config(struct pc *pc, struct error *err)
{
    struct device *fw = pc->part[PC_FWCFG];
    uint8_t offered[8], none[8] = { 0 };

    if (!pc->b.smm_mem)
        return true;
    st_le64(offered, SMI_BROADCAST);
    if (!fwcfg_add_file(fw, "etc/smi/supported-features", offered, sizeof offered, err) ||
        !fwcfg_add_file(fw, "etc/smi/requested-features", none, sizeof none, err) ||
        !fwcfg_add_file(fw, "etc/smi/features-ok", none, 1, err))
        return false;
    fwcfg_set_writable(fw, "etc/smi/requested-features", take_request, pc);
    fwcfg_set_refresh(fw, "etc/smi/features-ok", answer, pc);
    return true;
}
