/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our side: a bare CPU in long mode at CPL 3 whose page walk is the test's own (code read-only,
 * scratch read-write) and whose first exception ends the run.
 */
#include "hostdiff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "cpu/engine.h"
#include "guest/x86/sys.h"
#include "loop/loop.h"

struct rig {
    struct loop *loop;
    struct mem *mem, *ports;
    struct mem_region ram;
    struct cpu *cpu;
    uint8_t *host;
    struct guest guest;
    uint64_t steps;
    bool endless;
};

static struct rig *current;

static bool walk(struct cpu *cpu, gva_t va, enum cpu_access access, unsigned mmu, bool probe,
                 struct cpu_walk *ret)
{
    struct x86_cpu *x = x86_of(cpu);
    bool code = va - AREA < CODE_SIZE, scratch = va - SCRATCH < SCRATCH_SIZE;

    if ((code && access != CPU_WRITE) || (scratch && access != CPU_EXEC)) {
        *ret = (struct cpu_walk){
            .gpa = va - AREA, .page_size = 4096, .read = true, .write = scratch, .exec = code
        };
        return true;
    }
    if (probe)
        return false;
    x->exc_cr2 = va;
    x86_record(x, x86_canonical(va) ? X86_PF_VEC : X86_GP, 0, true);
    x->exc_noncanonical = !x86_canonical(va);
    return false;
}

static void deliver(struct cpu *cpu)
{
    x86_fix_non_canonical(x86_of(cpu));
    cpu->engine->quit = true;
}

static bool one_insn(const struct cpu *cpu)
{
    if (++current->steps > 3000000) {
        current->endless = true;
        current->cpu->engine->quit = true;
        cpu_leave(current->cpu);
    }
    return false;
}

struct rig *rig_new(const char *accel)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct error err;
    gra_t gra;

    r->loop = loop_new(&err);
    r->mem = r->loop ? mem_new(r->loop, "memory", 0, AREA_SIZE, &err) : NULL;
    r->ports = r->mem ? mem_new(r->loop, "ports", 0x10000, 0, &err) : NULL;
    if (!r->ports || !mem_ram_alloc(r->mem, AREA_SIZE, &gra, &err))
        goto fail;
    mem_region_init_ram(&r->ram, "ram", gra, AREA_SIZE);
    loop_lock(r->loop);
    mem_map(r->mem, 0, &r->ram, 0);
    loop_unlock(r->loop);
    r->host = mem_ram_base(r->mem) + gra;
    r->guest = x86_guest;
    r->guest.walk = walk;
    r->guest.deliver = deliver;
    r->guest.one_insn = one_insn;
    r->cpu = cpu_new(
        &r->guest,
        &(struct cpu_config){
            .model = "max", .accel = accel, .mem = r->mem, .ports = r->ports, .loop = r->loop },
        &err);
    if (r->cpu)
        return r;
fail:
    err_print(stderr, "hostdiff", &err);
    exit(1);
}

static void put_fx(struct x86_cpu *x, const uint8_t *fx)
{
    x->fcw = ld_le16(fx);
    x->fsw = ld_le16(fx + 2);
    x->ftw = fx[4];
    x->c.fpcsr = ld_le32(fx + 24);
    for (unsigned i = 0; i < 8; i++) {
        struct x87_reg *r = &x->st[(i + (x->fsw >> 11)) & 7];

        r->mant = ld_le64(fx + 32 + i * 16);
        r->se = ld_le16(fx + 40 + i * 16);
    }
    memcpy(x->xmm, fx + 160, sizeof(x->xmm));
}

static void get_fx(struct x86_cpu *x, uint8_t *fx)
{
    memset(fx, 0, 512);
    st_le16(fx, x->fcw);
    st_le16(fx + 2, x->fsw);
    fx[4] = x->ftw;
    st_le32(fx + 24, x->c.fpcsr);
    for (unsigned i = 0; i < 8; i++) {
        const struct x87_reg *r = &x->st[(i + (x->fsw >> 11)) & 7];

        st_le64(fx + 32 + i * 16, r->mant);
        st_le16(fx + 40 + i * 16, r->se);
    }
    memcpy(fx + 160, x->xmm, sizeof(x->xmm));
}

static void put_state(struct x86_cpu *x, const struct sequence *s)
{
    struct x86_seg seg;

    cpu_reset(&x->c);
    memcpy(x->gpr, s->start.gpr, sizeof(x->gpr));
    x->rip = s->entry;
    x86_set_eflags(x, (uint32_t)s->start.rflags | 0x202, ~(uint32_t)0);
    put_fx(x, s->start.fx);
    x->cr0 = 0x80050033;
    x->cr4 = 0x6a0;
    x->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE | X86_EFER_NXE;
    x86_seg_flat(&seg, s->bits == 64 ? 0x33 : 0x23,
                 X86_SEG_CODE | X86_SEG_W | X86_SEG_DPL | (s->bits == 64 ? X86_SEG_L : X86_SEG_DB));
    x86_set_seg(x, X86_CS, &seg);
    x86_seg_flat(&seg, 0x2b, X86_SEG_W | X86_SEG_DPL | X86_SEG_DB);
    for (unsigned i = 0; i < X86_SEG_COUNT; i++)
        if (i != X86_CS)
            x86_set_seg(x, i, &seg);
    x->cpl = 3;
    x->exc_vector = -1;
    x86_set_space(x, false);
    cpu_flush_all(&x->c);
    cpu_mode_changed(&x->c);
}

bool rig_run(struct rig *r, const struct sequence *s, struct machine *ret, uint8_t *scratch)
{
    struct x86_cpu *x = x86_of(r->cpu);

    current = r;
    memcpy(r->host, s->code, CODE_SIZE);
    memcpy(r->host + (SCRATCH - AREA), s->scratch, SCRATCH_SIZE);
    put_state(x, s);
    r->steps = 0;
    r->endless = false;
    r->cpu->engine->quit = false;
    engine_thread(r->cpu);
    memcpy(ret->gpr, x->gpr, sizeof(ret->gpr));
    ret->rip = x->rip;
    ret->rflags = x86_eflags(x);
    ret->vector = (unsigned)x->exc_vector;
    ret->cr2 = x->exc_cr2;
    get_fx(x, ret->fx);
    memcpy(scratch, r->host + (SCRATCH - AREA), SCRATCH_SIZE);
    return !r->endless;
}
