/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bits.h"
#include "dev/intc/apic_bus.h"
#include "dev/intc/ioapic.h"
#include "dev/intc/lapic.h"
#include "dev_fixture.h"

/* Two local APICs and an I/O APIC. */
struct apics {
    struct rig r;
    struct apic_bus bus;
    struct device *cpu[2], *io;
    struct cpu_port port[2];
    bool intr[2];
    unsigned nmi[2], init[2], sipi[2];
    uint32_t sipi_vector;
    uint64_t tsc;
    uint64_t base;
    bool mmio;
    bool pic;
};

static struct apics *now_testing;

static void set_line(void *vcpu, enum cpu_line line, bool level, uint32_t arg)
{
    struct apics *t = now_testing;
    unsigned n = (unsigned)(uintptr_t)vcpu;

    switch (line) {
    case CPU_LINE_INTR: t->intr[n] = level; break;
    case CPU_LINE_NMI: t->nmi[n]++; break;
    case CPU_LINE_INIT: t->init[n]++; break;
    case CPU_LINE_SIPI:
        t->sipi[n]++;
        t->sipi_vector = arg;
        break;
    default: break;
    }
}

static int extint(void *opaque)
{
    return 0x33;
}

static uint64_t tsc_now(void *opaque)
{
    struct apics *t = opaque;

    return t->tsc + (uint64_t)loop_virtual_ns(t->r.loop) * 2;
}

static uint64_t tsc_hz(void *opaque)
{
    return 2000000000;
}

static void base_changed(void *opaque, uint64_t base, bool mmio)
{
    struct apics *t = opaque;

    t->base = base;
    t->mmio = mmio;
}

static void start(struct apics *t)
{
    struct error err;

    memset(t, 0, sizeof *t);
    now_testing = t;
    rig_open(&t->r);
    for (unsigned i = 0; i < 2; i++) {
        struct lapic_wiring w = { .bus = &t->bus,
                                  .extint = extint,
                                  .tsc_now = tsc_now,
                                  .tsc_hz = tsc_hz,
                                  .tsc_opaque = t,
                                  .base_changed = i ? NULL : base_changed,
                                  .base_opaque = t };

        t->cpu[i] = device_new(&lapic_type, NULL, &t->r.ctx);
        CHECK(device_set(t->cpu[i], "apic_id", i ? "1" : "0", &err));
        CHECK(device_set(t->cpu[i], "bsp", i ? "off" : "on", &err));
        t->port[i] = (struct cpu_port){ (void *)(uintptr_t)i, set_line };
        lapic_wire(t->cpu[i], &w);
        lapic_set_port(t->cpu[i], &t->port[i]);
        CHECK(device_init(t->cpu[i], &err));
        mem_map(t->r.mem, 0x10000 * (i + 1), &t->cpu[i]->windows[0], 0);
    }
    t->io = device_new(&ioapic_type, NULL, &t->r.ctx);
    ioapic_attach(t->io, &t->bus);
    CHECK(device_init(t->io, &err));
    mem_map(t->r.mem, 0x30000, &t->io->windows[0], 0);
}

static void finish(struct apics *t)
{
    device_free(t->cpu[0]);
    device_free(t->cpu[1]);
    device_free(t->io);
    t->r.dev = NULL;
    rig_close(&t->r);
}

static uint32_t get(struct apics *t, unsigned n, unsigned off)
{
    return mem_load32(t->r.mem, 0x10000 * (n + 1) + off);
}

static void put(struct apics *t, unsigned n, unsigned off, uint32_t val)
{
    mem_store32(t->r.mem, 0x10000 * (n + 1) + off, val);
}

static void io_put(struct apics *t, unsigned reg, uint32_t val)
{
    mem_store32(t->r.mem, 0x30000, reg);
    mem_store32(t->r.mem, 0x30010, val);
}

static uint32_t io_get(struct apics *t, unsigned reg)
{
    mem_store32(t->r.mem, 0x30000, reg);
    return mem_load32(t->r.mem, 0x30010);
}

static void enable(struct apics *t, unsigned n)
{
    put(t, n, 0xf0, 0x1ff);
}

static int ack(struct apics *t, unsigned n)
{
    return lapic_intc_ops.acknowledge(t->cpu[n]);
}

TEST(reset_state)
{
    struct apics t;

    start(&t);
    CHECK_EQ(get(&t, 0, 0x20), 0);
    CHECK_EQ(get(&t, 1, 0x20), 0x01000000);
    CHECK_EQ(get(&t, 0, 0x30), 0x50014);
    CHECK_EQ(get(&t, 0, 0xf0), 0xff);
    CHECK_EQ(get(&t, 0, 0xe0), 0xffffffff);
    CHECK_EQ(get(&t, 0, 0x320), 0x10000);
    CHECK_EQ(get(&t, 0, 0x350), 0x700);
    CHECK_EQ(get(&t, 1, 0x350), 0x10000);
    CHECK_EQ(t.base, 0xfee00000);
    CHECK(t.mmio);
    /* virtual wire */
    device_input(t.cpu[0], LAPIC_IN_LINT0, true);
    CHECK(t.intr[0]);
    CHECK_EQ(ack(&t, 0), 0x33);
    device_input(t.cpu[0], LAPIC_IN_LINT0, false);
    CHECK(!t.intr[0]);
    device_input(t.cpu[1], LAPIC_IN_LINT0, true);
    CHECK(!t.intr[1]);
    CHECK_EQ(ack(&t, 1), (uint64_t)-1);
    finish(&t);
}

TEST(ipi_priority_eoi)
{
    struct apics t;

    start(&t);
    enable(&t, 0);
    put(&t, 0, 0x300, 0x40000 | 0x41); /* self */
    CHECK(t.intr[0]);
    put(&t, 0, 0x300, 0x40000 | 0x52);
    CHECK_EQ(get(&t, 0, 0x220), 1 << 1 | 1 << 18);
    CHECK_EQ(ack(&t, 0), 0x52);
    CHECK(!t.intr[0]);
    CHECK_EQ(get(&t, 0, 0xa0), 0x50);
    put(&t, 0, 0x300, 0x40000 | 0x5f); /* same class: waits */
    CHECK(!t.intr[0]);
    put(&t, 0, 0x300, 0x40000 | 0x60);
    CHECK(t.intr[0]);
    CHECK_EQ(ack(&t, 0), 0x60);
    put(&t, 0, 0xb0, 0);
    put(&t, 0, 0xb0, 0);
    CHECK_EQ(ack(&t, 0), 0x5f);
    put(&t, 0, 0xb0, 0);
    put(&t, 0, 0x80, 0x40); /* TPR */
    CHECK(!t.intr[0]);
    CHECK_EQ(lapic_intc_ops.get_tpr(t.cpu[0]), 4);
    lapic_intc_ops.set_tpr(t.cpu[0], 3);
    CHECK(t.intr[0]);
    CHECK_EQ(get(&t, 0, 0x80), 0x30);
    CHECK_EQ(ack(&t, 0), 0x41);
    CHECK_EQ(ack(&t, 0), (uint64_t)-1);
    finish(&t);
}

TEST(destinations)
{
    struct apics t;

    start(&t);
    enable(&t, 0);
    enable(&t, 1);
    put(&t, 0, 0x310, 0x01000000);
    put(&t, 0, 0x300, 0x40); /* physical */
    CHECK(!t.intr[0] && t.intr[1]);
    CHECK_EQ(ack(&t, 1), 0x40);
    put(&t, 1, 0xb0, 0);
    put(&t, 0, 0x300, 0xc0041); /* all but self */
    CHECK(!t.intr[0] && t.intr[1]);
    CHECK_EQ(ack(&t, 1), 0x41);
    put(&t, 1, 0xb0, 0);
    put(&t, 0, 0xd0, 0x01000000);
    put(&t, 1, 0xd0, 0x02000000);
    put(&t, 0, 0x310, 0x03000000);
    put(&t, 0, 0x300, 0x842); /* logical, flat, both */
    CHECK_EQ(ack(&t, 0), 0x42);
    CHECK_EQ(ack(&t, 1), 0x42);
    put(&t, 0, 0xb0, 0);
    put(&t, 1, 0xb0, 0);
    put(&t, 0, 0x300, 0x943); /* lowest priority: one of them */
    CHECK_EQ(t.intr[0] + t.intr[1], 1);
    put(&t, 0, 0x310, 0x01000000);
    put(&t, 0, 0x300, 0x4500); /* INIT, then SIPI */
    put(&t, 0, 0x300, 0x8500); /* de-assert */
    put(&t, 0, 0x300, 0x4699);
    CHECK_EQ(t.init[1], 1);
    CHECK_EQ(t.sipi[1], 1);
    CHECK_EQ(t.sipi_vector, 0x99);
    put(&t, 0, 0x300, 0x4400);
    CHECK_EQ(t.nmi[1], 1);
    finish(&t);
}

TEST(errors)
{
    struct apics t;

    start(&t);
    enable(&t, 0);
    put(&t, 0, 0x370, 0xfe);
    put(&t, 0, 0x300, 0x40005); /* vector below 16 */
    CHECK_EQ(ack(&t, 0), 0xfe);
    CHECK_EQ(get(&t, 0, 0x280), 0);
    put(&t, 0, 0x280, 0);
    CHECK_EQ(get(&t, 0, 0x280), 0x20);
    put(&t, 0, 0x280, 0);
    CHECK_EQ(get(&t, 0, 0x280), 0);
    (void)get(&t, 0, 0x100 - 0x20 + 0x10 + 0x390); /* unknown register */
    put(&t, 0, 0x280, 0);
    CHECK_EQ(get(&t, 0, 0x280), 0x80);
    finish(&t);
}

TEST(timer_one_shot_and_periodic)
{
    struct apics t;

    start(&t);
    enable(&t, 0);
    put(&t, 0, 0x3e0, 0xb); /* by 1 */
    put(&t, 0, 0x320, 0xe0);
    put(&t, 0, 0x380, 1000000);
    step_ns(&t.r, 400000);
    CHECK_EQ(get(&t, 0, 0x390), 600000);
    step_ns(&t.r, 599999);
    CHECK(!t.intr[0]);
    step_ns(&t.r, 1);
    CHECK(t.intr[0]);
    CHECK_EQ(get(&t, 0, 0x390), 0);
    CHECK_EQ(ack(&t, 0), 0xe0);
    put(&t, 0, 0xb0, 0);
    step_ns(&t.r, 10 * MS);
    CHECK(!t.intr[0]);
    put(&t, 0, 0x3e0, 0x3); /* by 16 */
    put(&t, 0, 0x320, 0x200e1);
    put(&t, 0, 0x380, 62500); /* 1 ms */
    for (int i = 0; i < 3; i++) {
        step_ns(&t.r, 1 * MS);
        CHECK_EQ(ack(&t, 0), 0xe1);
        put(&t, 0, 0xb0, 0);
    }
    step_ns(&t.r, MS / 2);
    CHECK_EQ(get(&t, 0, 0x390), 31250);
    put(&t, 0, 0x320, 0x300e1); /* masked: runs on, no interrupt */
    step_ns(&t.r, 3 * MS);
    CHECK(!t.intr[0]);
    put(&t, 0, 0x380, 0);
    CHECK_EQ(get(&t, 0, 0x390), 0);
    finish(&t);
}

TEST(timer_tsc_deadline)
{
    struct apics t;
    uint64_t v;

    start(&t);
    enable(&t, 0);
    put(&t, 0, 0x320, 0x400e2);
    put(&t, 0, 0x380, 1000);
    CHECK_EQ(get(&t, 0, 0x380), 0); /* ignored in this mode */
    CHECK(lapic_intc_ops.msr_write(t.cpu[0], 0x6e0, 3000001));
    step_ns(&t.r, 1500000);
    CHECK(!t.intr[0]);
    step_ns(&t.r, 2);
    CHECK_EQ(ack(&t, 0), 0xe2);
    put(&t, 0, 0xb0, 0);
    CHECK(lapic_intc_ops.msr_read(t.cpu[0], 0x6e0, &v));
    CHECK_EQ(v, 0);
    CHECK(lapic_intc_ops.msr_write(t.cpu[0], 0x6e0, 5)); /* in the past: at once */
    loop_run_timers(t.r.loop);
    CHECK(t.intr[0]);
    CHECK_EQ(ack(&t, 0), 0xe2);
    put(&t, 0, 0xb0, 0);
    CHECK(lapic_intc_ops.msr_write(t.cpu[0], 0x6e0, 100000000));
    CHECK(lapic_intc_ops.msr_write(t.cpu[0], 0x6e0, 0));
    step_ns(&t.r, 100 * MS);
    CHECK(!t.intr[0]);
    CHECK(lapic_intc_ops.msr_write(t.cpu[0], 0x6e0, UINT64_MAX)); /* far away is no overflow */
    step_ns(&t.r, 100 * MS);
    CHECK(!t.intr[0]);
    finish(&t);
}

TEST(x2apic)
{
    struct apics t;
    const struct cpu_intc_ops *o = &lapic_intc_ops;
    uint64_t v;

    start(&t);
    CHECK(!o->msr_read(t.cpu[0], 0x802, &v));
    CHECK(!o->msr_write(t.cpu[0], 0x1b, 0xfee00000 | 1 << 8 | 1 << 10)); /* EXTD without EN */
    CHECK(o->msr_write(t.cpu[0], 0x1b, 0xfee00000 | 1 << 8 | 3 << 10));
    CHECK(!t.mmio);
    CHECK(!o->msr_write(t.cpu[0], 0x1b, 0xfee00000 | 1 << 8 | 1 << 11)); /* back to xAPIC */
    CHECK(o->msr_write(t.cpu[1], 0x1b, 0xfee00000 | 3 << 10));
    CHECK(o->msr_read(t.cpu[1], 0x802, &v));
    CHECK_EQ(v, 1);
    CHECK(o->msr_read(t.cpu[1], 0x80d, &v));
    CHECK_EQ(v, 2);
    CHECK(!o->msr_write(t.cpu[1], 0x80d, 2));
    CHECK(o->msr_write(t.cpu[0], 0x80f, 0x1ff));
    CHECK(o->msr_write(t.cpu[1], 0x80f, 0x1ff));
    CHECK(o->msr_write(t.cpu[0], 0x830, UINT64_C(1) << 32 | 0x44));
    CHECK_EQ(ack(&t, 1), 0x44);
    CHECK(!o->msr_write(t.cpu[1], 0x80b, 1));
    CHECK(o->msr_write(t.cpu[1], 0x80b, 0));
    CHECK(o->msr_write(t.cpu[0], 0x830, UINT64_C(0xffffffff) << 32 | 0x45));
    CHECK_EQ(ack(&t, 0), 0x45);
    CHECK_EQ(ack(&t, 1), 0x45);
    CHECK(o->msr_write(t.cpu[0], 0x80b, 0));
    CHECK(o->msr_write(t.cpu[0], 0x83f, 0x46)); /* self IPI */
    CHECK_EQ(ack(&t, 0), 0x46);
    CHECK(!o->msr_read(t.cpu[0], 0x83f, &v));
    CHECK(!o->msr_read(t.cpu[0], 0x80e, &v));
    CHECK(!o->msr_read(t.cpu[0], 0x10, &v));
    CHECK(o->msr_write(t.cpu[0], 0x1b, 0xfee00000 | 1 << 8)); /* off */
    CHECK(!o->apic_enabled(t.cpu[0]));
    device_input(t.cpu[0], LAPIC_IN_LINT0, true);
    CHECK_EQ(ack(&t, 0), 0x33); /* LINT0 is INTR then */
    finish(&t);
}

TEST(ioapic_edge_and_level)
{
    struct apics t;

    start(&t);
    enable(&t, 0);
    CHECK_EQ(io_get(&t, 1), 0x170020);
    CHECK_EQ(io_get(&t, 0x10), 0x10000);
    io_put(&t, 0x10 + 2 * 4, 0x54); /* pin 4, edge */
    device_input(t.io, 4, true);
    CHECK_EQ(ack(&t, 0), 0x54);
    put(&t, 0, 0xb0, 0);
    CHECK(!t.intr[0]);
    device_input(t.io, 4, false);
    io_put(&t, 0x10 + 2 * 4, 0x10054);
    device_input(t.io, 4, true); /* masked edge: lost */
    io_put(&t, 0x10 + 2 * 4, 0x54);
    CHECK(!t.intr[0]);

    io_put(&t, 0x10 + 2 * 10, 0x8061); /* pin 10, level */
    device_input(t.io, 10, true);
    CHECK_EQ(io_get(&t, 0x10 + 2 * 10), 0xc061); /* remote IRR */
    CHECK_EQ(ack(&t, 0), 0x61);
    CHECK_EQ(get(&t, 0, 0x180 + 0x30), 1 << 1); /* TMR */
    put(&t, 0, 0xb0, 0);
    CHECK(t.intr[0]); /* still high: again */
    CHECK_EQ(ack(&t, 0), 0x61);
    device_input(t.io, 10, false);
    put(&t, 0, 0xb0, 0);
    CHECK(!t.intr[0]);
    CHECK_EQ(io_get(&t, 0x10 + 2 * 10), 0x8061);
    /* EOI register */
    device_input(t.io, 10, true);
    CHECK_EQ(ack(&t, 0), 0x61);
    device_input(t.io, 10, false);
    mem_store32(t.r.mem, 0x30040, 0x61);
    CHECK_EQ(io_get(&t, 0x10 + 2 * 10), 0x8061);
    /* to the other CPU by its ID */
    enable(&t, 1);
    io_put(&t, 0x11 + 2 * 5, 0x01000000);
    io_put(&t, 0x10 + 2 * 5, 0x71);
    device_input(t.io, 5, true);
    CHECK(!t.intr[0]);
    CHECK_EQ(ack(&t, 1), 0x71);
    finish(&t);
}

TEST(msi)
{
    struct apics t;

    start(&t);
    enable(&t, 0);
    enable(&t, 1);
    apic_bus_msi(&t.bus, 0xfee01000, 0x4081);
    CHECK_EQ(ack(&t, 1), 0x81);
    CHECK_EQ(ack(&t, 0), (uint64_t)-1);
    finish(&t);
}

TEST(state_survives)
{
    struct apics t;
    struct device_state s;
    struct error err;

    start(&t);
    enable(&t, 0);
    put(&t, 0, 0x320, 0x200e1);
    put(&t, 0, 0x3e0, 0xb);
    put(&t, 0, 0x380, 1000000);
    put(&t, 0, 0x300, 0x40041);
    device_state_save(t.cpu[0], &s);
    device_reset(t.cpu[0]);
    CHECK(!t.intr[0]);
    CHECK(device_state_load(t.cpu[0], &s, &err));
    CHECK(t.intr[0]);
    CHECK_EQ(ack(&t, 0), 0x41);
    put(&t, 0, 0xb0, 0);
    step_ns(&t.r, 1 * MS);
    CHECK_EQ(ack(&t, 0), 0xe1);
    device_state_finish(&s);
    finish(&t);
}
