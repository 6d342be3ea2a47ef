/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our side: a bare CPU on RAM_SIZE bytes, run on the test's own thread. A copy of the guest record
 * stops the engine at HLT: an interrupt that is always pending and never taken makes it ask wakes()
 * after each halt.
 */
#include "kvm_diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    unsigned steps;
    bool endless;
};

static struct rig *current;

static bool wakes(const struct cpu *cpu, uint32_t events)
{
    struct cpu *c = current->cpu;

    if (cpu->halted) {
        c->engine->quit = true;
        cpu_leave(c);
    }
    return false;
}

static bool one_insn(const struct cpu *cpu)
{
    if (++current->steps > 20000) {
        current->endless = true;
        current->cpu->engine->quit = true;
        cpu_leave(current->cpu);
    }
    return x86_guest.one_insn(cpu);
}

struct rig *rig_new(const char *model, const char *accel)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct error err;
    gra_t gra;

    r->loop = loop_new(&err);
    r->mem = r->loop ? mem_new(r->loop, "memory", 0, RAM_SIZE, &err) : NULL;
    r->ports = r->mem ? mem_new(r->loop, "ports", 0x10000, 0, &err) : NULL;
    if (!r->ports || !mem_ram_alloc(r->mem, RAM_SIZE, &gra, &err))
        goto fail;
    mem_region_init_ram(&r->ram, "ram", gra, RAM_SIZE);
    loop_lock(r->loop);
    mem_map(r->mem, 0, &r->ram, 0);
    loop_unlock(r->loop);
    r->host = mem_ram_base(r->mem) + gra;
    r->guest = x86_guest;
    r->guest.wakes = wakes;
    r->guest.one_insn = one_insn;
    r->cpu = cpu_new(
        &r->guest,
        &(struct cpu_config){
            .model = model, .accel = accel, .mem = r->mem, .ports = r->ports, .loop = r->loop },
        &err);
    if (r->cpu)
        return r;
fail:
    err_print(stderr, "kvm_diff", &err);
    exit(1);
}

void rig_free(struct rig *r)
{
    cpu_free(r->cpu);
    mem_free(r->mem);
    mem_free(r->ports);
    loop_free(r->loop);
    free(r);
}

static void put_state(struct x86_cpu *x, const struct state *s)
{
    cpu_reset(&x->c);
    memcpy(x->gpr, s->gpr, sizeof(x->gpr));
    x->rip = s->rip;
    x86_set_eflags(x, (uint32_t)s->rflags, ~(uint32_t)0);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        const struct seg_state *f = &s->seg[i];
        struct x86_seg seg = { .base = f->base,
                               .limit = f->limit,
                               .flags = f->flags,
                               .selector = f->sel,
                               .null = f->null };

        if (i < SEG_LDT)
            x86_set_seg(x, i, &seg);
        else
            *(i == SEG_LDT ? &x->ldt : &x->tr) = seg;
    }
    x->cpl = s->seg[X86_SS].flags >> 5 & 3;
    x->gdt.base = s->gdt_base;
    x->gdt.limit = s->gdt_limit;
    x->idt.base = s->idt_base;
    x->idt.limit = s->idt_limit;
    x->cr0 = s->cr0;
    x->cr2 = s->cr2;
    x->cr3 = s->cr3;
    x->cr4 = s->cr4;
    x->efer = s->efer;
    x->dr[6] = s->dr6;
    x->dr[7] = s->dr7;
    for (unsigned i = 0; i < MSRS; i++)
        if (!x86_write_msr(x, case_msrs[i], s->msr[i]))
            fprintf(stderr, "kvm_diff: cannot set MSR %#x to %#llx\n", case_msrs[i],
                    (unsigned long long)s->msr[i]);
    if (x->cr0 & X86_CR0_PG && x->cr4 & X86_CR4_PAE && !x86_lma(x))
        x86_load_pdptes(x, x->cr3);
    x86_set_space(x, false);
    cpu_flush_all(&x->c);
    cpu_mode_changed(&x->c);
}

static void get_state(struct x86_cpu *x, struct state *s)
{
    memcpy(s->gpr, x->gpr, sizeof(x->gpr));
    s->rip = x->rip;
    s->rflags = x86_eflags(x);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        const struct x86_seg *f = i < SEG_LDT ? &x->seg[i] : i == SEG_LDT ? &x->ldt : &x->tr;

        s->seg[i] = (struct seg_state){ f->base, f->limit, f->flags, f->selector, f->null };
    }
    s->gdt_base = x->gdt.base;
    s->gdt_limit = x->gdt.limit;
    s->idt_base = x->idt.base;
    s->idt_limit = x->idt.limit;
    s->cr0 = x->cr0;
    s->cr2 = x->cr2;
    s->cr3 = x->cr3;
    s->cr4 = x->cr4;
    s->efer = x->efer;
    s->dr6 = x->dr[6];
    s->dr7 = x->dr[7];
    for (unsigned i = 0; i < MSRS; i++)
        x86_read_msr(x, case_msrs[i], &s->msr[i]);
}

void rig_run_case(struct rig *r, const struct state *start, uint8_t *ram, struct state *ret)
{
    struct x86_cpu *x = x86_of(r->cpu);

    current = r;
    memcpy(r->host, ram, RAM_SIZE);
    put_state(x, start);
    r->steps = 0;
    r->endless = false;
    r->cpu->engine->quit = false;
    cpu_event_raise(r->cpu, CPU_EVENT_INTR);
    engine_thread(r->cpu);
    ret->outcome = r->endless ? UNUSABLE : x->shutdown ? SHUT_DOWN : HALTED;
    get_state(x, ret);
    memcpy(ram, r->host, RAM_SIZE);
}
