/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "board/x86_cpus.h"

#include "base/alloc.h"
#include "base/bits.h"
#include "cpu/accel.h"
#include "cpu/cpu.h"
#include "cpu/guest.h"
#include "dev/device.h"
#include "dev/firmware/acpi.h"
#include "dev/firmware/aml.h"
#include "dev/intc/lapic.h"
#include "guest/x86/x86.h"
#include "loop/loop.h"
#include "mem/mem.h"

#include <errno.h>
#include <stdio.h>

enum { XAPIC_IDS = 255 }; /* 255 is the broadcast */

struct x86_lapic {
    struct x86_cpus *all;
    struct device *dev;
    struct cpu_port port;
    /* Registers at one base are one region, whoever made it: an access goes to the accessing
     * vCPU's APIC. */
    struct mem_region region;
    uint64_t base;
    bool wanted, mapped;
    char id[16];
};

/* --- vCPUs --- */

static struct x86_topology topology_of(const struct board *b, unsigned index)
{
    const struct board_smp s = board_smp(b->config);
    struct x86_topology t = { .dies = s.dies, .cores = s.cores, .threads = s.threads };

    t.apic_id = x86_apic_id(&t, index);
    return t;
}

uint32_t x86_cpus_apic_id(const struct board *b, unsigned index)
{
    return topology_of(b, index).apic_id;
}

unsigned x86_cpus_apic_id_limit(const struct board *b)
{
    return x86_cpus_apic_id(b, board_smp(b->config).max_cpus - 1) + 1;
}

bool x86_cpus_check(const struct board *b, struct error *err)
{
    unsigned cpus = MAX(b->config->cpus, b->config->smp.max_cpus);

    if (b->config->cpus < 1 || cpus > b->type->cpus_max)
        return fail(err, EINVAL,
                    "invalid SMP CPUs %u: the max CPUs supported by machine '%s' is %u", cpus,
                    b->type->name, b->type->cpus_max);
    if (x86_cpus_apic_id_limit(b) > XAPIC_IDS) {
        (void)fail(err, EINVAL, "-smp: this topology needs APIC IDs up to %u, there are 0 to %u",
                   x86_cpus_apic_id_limit(b) - 1, XAPIC_IDS - 1);
        return fail_hint(err, "cores= and threads= that are powers of two waste no IDs");
    }
    return true;
}

static void cpu_wants_reset(void *opaque, const char *why)
{
    struct board *b = opaque;

    loop_lock(b->loop);
    b->events.reset(b->events.opaque, why);
    loop_unlock(b->loop);
}

static void cpu_failed(void *opaque, const char *why)
{
    struct board *b = opaque;

    loop_lock(b->loop);
    if (b->events.error)
        b->events.error(b->events.opaque, why);
    loop_unlock(b->loop);
}

bool x86_cpus_make(struct board *b, struct error *err)
{
    const struct board_config *c = b->config;

    for (unsigned i = 0; i < c->cpus; i++) {
        struct x86_topology t = topology_of(b, i);
        struct cpu_config config = {
            .model = c->cpu_model,
            .accel = c->accel,
            .cpu_accel = c->cpu_accel,
            .mem = b->mem,
            .ports = b->ports,
            .overlay = b->smm_mem,
            .loop = b->loop,
            .index = i,
            .share = i ? b->cpus[0] : NULL,
            .tb_size = c->tb_size,
            .on_reset = cpu_wants_reset,
            .on_error = cpu_failed,
            .opaque = b,
        };
        struct cpu *cpu = cpu_new(b->type->guest, &config, err);

        if (!cpu)
            return false;
        b->cpus[b->cpu_count++] = cpu;
        x86_set_topology(cpu, &t);
        if (!cpu_accel_init(cpu, err))
            return false;
    }
    if (c->cpus > 1 && !c->cpu_accel)
        cpu_set_parallel(b->cpus[0]);
    return true;
}

/* --- registers of the local APICs --- */

static struct x86_lapic *current_lapic(const struct x86_lapic *at)
{
    const struct cpu *cpu = cpu_current();
    unsigned n = cpu ? cpu->index : 0;

    return n < at->all->board->cpu_count ? &at->all->lapic[n] : NULL;
}

static uint64_t lapic_read(void *opaque, uint64_t off, unsigned size)
{
    const struct x86_lapic *at = opaque, *l = current_lapic(at);

    if (!l || !l->wanted || l->base != at->base)
        return UINT32_MAX; /* nothing of this vCPU is here */
    return lapic_mmio_read(l->dev, off);
}

static void lapic_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    const struct x86_lapic *at = opaque, *l = current_lapic(at);

    if (l && l->wanted && l->base == at->base)
        lapic_mmio_write(l->dev, off, val);
}

static const struct mem_io_ops lapic_ops = {
    .read = lapic_read, .write = lapic_write, .min_size = 4, .max_size = 4
};

static bool base_is_shown(const struct x86_cpus *c, uint64_t base)
{
    for (unsigned i = 0; i < c->board->cpu_count; i++)
        if (c->lapic[i].mapped && c->lapic[i].base == base)
            return true;
    return false;
}

static void show(struct x86_lapic *l)
{
    if (base_is_shown(l->all, l->base))
        return;
    l->mapped = true;
    mem_map(l->all->board->mem, l->base, &l->region, l->all->priority);
}

static void hide(struct x86_lapic *l)
{
    struct x86_cpus *c = l->all;

    if (!l->mapped)
        return;
    l->mapped = false;
    mem_unmap(&l->region);
    for (unsigned i = 0; i < c->board->cpu_count; i++)
        if (c->lapic[i].wanted && c->lapic[i].base == l->base) {
            show(&c->lapic[i]);
            return;
        }
}

static void lapic_moved(void *opaque, uint64_t base, bool enabled)
{
    struct x86_lapic *l = opaque;

    if (l->base == base && l->wanted == enabled)
        return;
    mem_begin(l->all->board->mem);
    l->wanted = false;
    hide(l);
    l->base = base;
    l->wanted = enabled;
    if (enabled)
        show(l);
    mem_end(l->all->board->mem);
}

/* --- local APICs --- */

static uint64_t tsc_now(void *cpu)
{
    return x86_tsc(x86_of(cpu));
}

static uint64_t tsc_hz(void *cpu)
{
    return x86_tsc_hz(cpu);
}

static bool make_lapic(struct x86_lapic *l, struct cpu *cpu, const struct lapic_wiring *common,
                       struct error *err)
{
    struct board *b = l->all->board;
    const struct device_ctx ctx = { .loop = b->loop, .dma = b->mem };
    struct lapic_wiring w = *common;
    char id[16];

    snprintf(l->id, sizeof l->id, "lapic%u", cpu->index);
    snprintf(id, sizeof id, "%u", x86_cpus_apic_id(b, cpu->index));
    l->port = cpu_port(cpu);
    l->dev = device_new(&lapic_type, l->id, &ctx);
    w.port = &l->port;
    w.tsc_opaque = cpu;
    w.base_opaque = l;
    lapic_wire(l->dev, &w);
    cpu_attach_intc(cpu, &lapic_intc_ops, l->dev);
    mem_region_init_io(&l->region, "lapic", &lapic_ops, l, 0x1000);
    return device_set(l->dev, "apic_id", id, err) &&
           device_set(l->dev, "bsp", cpu->index ? "off" : "on", err) && device_init(l->dev, err);
}

bool x86_cpus_make_lapics(struct x86_cpus *c, struct board *b, struct apic_bus *bus, int priority,
                          int (*extint)(void *opaque), void *extint_opaque, struct error *err)
{
    struct lapic_wiring w = {
        .bus = bus,
        .tsc_now = tsc_now,
        .tsc_hz = tsc_hz,
        .base_changed = lapic_moved,
    };

    c->board = b;
    c->priority = priority;
    c->lapic = xnew_array(struct x86_lapic, b->cpu_count);
    for (unsigned i = 0; i < b->cpu_count; i++) {
        c->lapic[i].all = c;
        /* only the boot processor's LINT0 has the 8259 */
        w.extint = i ? NULL : extint;
        w.extint_opaque = i ? NULL : extint_opaque;
        if (!make_lapic(&c->lapic[i], b->cpus[i], &w, err))
            return false;
    }
    return true;
}

struct device *x86_cpus_lapic(const struct x86_cpus *c, unsigned index)
{
    return c->lapic[index].dev;
}

void x86_cpus_reset(struct x86_cpus *c, struct board *b)
{
    for (unsigned i = 0; c->lapic && i < b->cpu_count; i++)
        device_reset(c->lapic[i].dev);
    for (unsigned i = 0; i < b->cpu_count; i++)
        cpu_reset(b->cpus[i]);
}

void x86_cpus_free(struct x86_cpus *c, struct board *b)
{
    for (unsigned i = 0; i < b->cpu_count; i++)
        cpu_free(b->cpus[i]);
    for (unsigned i = 0; c->lapic && i < b->cpu_count; i++) {
        mem_unmap(&c->lapic[i].region);
        device_free(c->lapic[i].dev);
    }
    free(c->lapic);
    c->lapic = NULL;
}

/* --- ACPI --- */

/* §5.2.12.2. A processor that is not there may be plugged in. */
void x86_cpus_put_madt(const struct board *b, struct acpi_set *set)
{
    for (unsigned i = 0; i < board_smp(b->config).max_cpus; i++) {
        acpi_put(set, 0, 1);
        acpi_put(set, 8, 1);
        acpi_put(set, i, 1);
        acpi_put(set, x86_cpus_apic_id(b, i), 1);
        acpi_put(set, i < b->cpu_count, 4); /* enabled */
    }
}

void x86_cpus_put_aml(const struct board *b, struct aml *a)
{
    aml_device(a, "CPUS");
    aml_name(a, "_HID");
    aml_string(a, "ACPI0010");
    aml_name(a, "_CID");
    aml_eisaid(a, "PNP0A05");
    for (unsigned i = 0; i < b->cpu_count; i++) {
        char name[12];

        snprintf(name, sizeof name, "C%03X", i);
        aml_device(a, name);
        aml_name(a, "_HID");
        aml_string(a, "ACPI0007");
        aml_name(a, "_UID");
        aml_int(a, i);
        aml_name(a, "_STA");
        aml_int(a, 0x0f);
        aml_end(a);
    }
    aml_end(a);
}
