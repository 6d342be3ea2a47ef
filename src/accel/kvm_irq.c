/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt controllers in the kernel: all of a PC's (4.24 KVM_CREATE_IRQCHIP), or the local APICs
 * only (7.5 KVM_CAP_SPLIT_IRQCHIP). GSIs 0..23 are the lines of the board (kernel) or the pins of
 * our I/O APIC (split); those behind them are messages that eventfds send. (4.52, 4.75, 4.70)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "accel/kvm_priv.h"
#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/scope.h"

enum { PIC_LINES = 16, PIN_TIMER = 2, ROUTES_MAX = 4096 };

/* ---- routes ---- */

static void add_chip(struct kvm_irq_routing *r, uint32_t gsi, uint32_t chip, uint32_t pin)
{
    r->entries[r->nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = { .irqchip = chip, .pin = pin },
    };
}

static void add_msi(struct kvm_irq_routing *r, uint32_t gsi, uint64_t addr, uint32_t data)
{
    r->entries[r->nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_MSI,
        .u.msi = { .address_lo = (uint32_t)addr,
                   .address_hi = (uint32_t)(addr >> 32),
                   .data = data },
    };
}

static void add_chips(struct kvm_irq_routing *r)
{
    for (uint32_t i = 0; i < PIC_LINES; i++)
        add_chip(r, i, i < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, i & 7);
    for (uint32_t i = 0; i < KVM_PINS; i++)
        if (i != PIN_TIMER) /* the timer's line is pin 2; IRQ 2 is the 8259s' cascade */
            add_chip(r, i, KVM_IRQCHIP_IOAPIC, i ? i : PIN_TIMER);
}

/* route_lock held. */
static int set_routes(struct kvm *k)
{
    uint32_t room = PIC_LINES + KVM_PINS + k->irqfd_count;
    AUTO_FREE struct kvm_irq_routing *r = xcalloc(1, sizeof *r + room * sizeof r->entries[0]);

    if (k->accel.irqchip == IRQCHIP_KERNEL)
        add_chips(r);
    for (uint32_t i = 0; k->accel.irqchip == IRQCHIP_SPLIT && i < KVM_PINS; i++)
        if (!k->pin[i].masked)
            add_msi(r, i, k->pin[i].addr, k->pin[i].data);
    for (uint32_t i = 0; i < k->irqfd_count; i++)
        if (k->irqfds[i].fd >= 0)
            add_msi(r, KVM_PINS + i, k->irqfds[i].addr, k->irqfds[i].data);
    return kvm_vm_ioctl(k, KVM_SET_GSI_ROUTING, r);
}

void kvm_route(struct cpu_accel *a, unsigned pin, bool masked, uint64_t addr, uint32_t data)
{
    struct kvm *k = kvm_of(a);

    if (pin >= KVM_PINS ||
        (k->pin[pin].masked == masked && k->pin[pin].addr == addr && k->pin[pin].data == data))
        return;
    pthread_mutex_lock(&k->route_lock);
    k->pin[pin].masked = masked;
    k->pin[pin].addr = addr;
    k->pin[pin].data = data;
    (void)set_routes(k);
    pthread_mutex_unlock(&k->route_lock);
}

/* ---- lines and messages ---- */

void kvm_gsi(struct cpu_accel *a, unsigned gsi, bool level)
{
    struct kvm_irq_level l = { .irq = gsi, .level = level };

    (void)kvm_vm_ioctl(kvm_of(a), KVM_IRQ_LINE, &l);
}

void kvm_msi(struct cpu_accel *a, uint64_t addr, uint32_t data)
{
    struct kvm_msi m = { .address_lo = (uint32_t)addr,
                         .address_hi = (uint32_t)(addr >> 32),
                         .data = data };

    (void)kvm_vm_ioctl(kvm_of(a), KVM_SIGNAL_MSI, &m);
}

static int set_irqfd(struct kvm *k, int fd, uint32_t gsi, bool on)
{
    struct kvm_irqfd f = { .fd = (uint32_t)fd,
                           .gsi = gsi,
                           .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN };

    return kvm_vm_ioctl(k, KVM_IRQFD, &f);
}

/* Index of a free entry, or -ENOSPC. route_lock held. */
static int new_irqfd(struct kvm *k)
{
    uint32_t i = 0, room;

    while (i < k->irqfd_count && k->irqfds[i].fd >= 0)
        i++;
    if (i < k->irqfd_count)
        return (int)i;
    room = MIN(MIN(k->gsi_max, (uint32_t)ROUTES_MAX) - KVM_PINS, MAX(16, k->irqfd_count * 2));
    if (i >= room)
        return -ENOSPC;
    k->irqfds = xrealloc_array(k->irqfds, room, sizeof *k->irqfds);
    for (uint32_t n = k->irqfd_count; n < room; n++)
        k->irqfds[n] = (struct irqfd_route){ .fd = -1 };
    k->irqfd_count = room;
    return (int)i;
}

int kvm_irqfd_add(struct cpu_accel *a, int fd, uint64_t addr, uint32_t data)
{
    struct kvm *k = kvm_of(a);
    int i, r;

    if (a->irqchip == IRQCHIP_USER || k->gsi_max <= KVM_PINS)
        return -ENOTSUP;
    pthread_mutex_lock(&k->route_lock);
    r = i = new_irqfd(k);
    if (i >= 0) {
        k->irqfds[i] = (struct irqfd_route){ .fd = fd, .addr = addr, .data = data };
        r = set_routes(k);
        if (r >= 0)
            r = set_irqfd(k, fd, KVM_PINS + (uint32_t)i, true);
        if (r < 0)
            k->irqfds[i].fd = -1;
    }
    pthread_mutex_unlock(&k->route_lock);
    return MIN(r, 0);
}

void kvm_irqfd_remove(struct cpu_accel *a, int fd)
{
    struct kvm *k = kvm_of(a);

    pthread_mutex_lock(&k->route_lock);
    for (uint32_t i = 0; i < k->irqfd_count; i++) {
        if (fd < 0 || k->irqfds[i].fd != fd)
            continue;
        (void)set_irqfd(k, fd, KVM_PINS + i, false);
        k->irqfds[i].fd = -1;
    }
    pthread_mutex_unlock(&k->route_lock);
}

/* ---- the timer's mode ---- */

void kvm_hpet_legacy(struct cpu_accel *a, bool on)
{
    struct kvm_pit_state2 s;

    if (kvm_vm_ioctl(kvm_of(a), KVM_GET_PIT2, &s) < 0)
        return;
    s.flags = on ? s.flags | KVM_PIT_FLAGS_HPET_LEGACY : s.flags & ~KVM_PIT_FLAGS_HPET_LEGACY;
    (void)kvm_vm_ioctl(kvm_of(a), KVM_SET_PIT2, &s);
}

/* ---- life and reset ---- */

static bool missing(const char *what, struct error *err)
{
    (void)fail(err, ENOTSUP, "KVM: this kernel has no %s", what);
    return fail_hint(err, "use -accel kvm,kernel-irqchip=off, or -accel tcg");
}

bool kvm_irqchip_new(struct kvm *k, struct error *err)
{
    struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
    struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { KVM_PINS } };

    for (unsigned i = 0; i < KVM_PINS; i++)
        k->pin[i].masked = true;
    if (k->accel.irqchip == IRQCHIP_USER)
        return true;
    if (!kvm_cap(k, KVM_CAP_IRQCHIP) || !kvm_cap(k, KVM_CAP_IRQ_ROUTING) ||
        !kvm_cap(k, KVM_CAP_SIGNAL_MSI))
        return missing("interrupt controllers", err);
    if (k->accel.irqchip == IRQCHIP_SPLIT) {
        if (!kvm_cap(k, KVM_CAP_SPLIT_IRQCHIP))
            return missing("split interrupt controllers", err);
        if (ioctl(k->vm, KVM_ENABLE_CAP, &split) < 0)
            return fail(err, errno, "KVM_CAP_SPLIT_IRQCHIP: %s", strerror(errno));
        return true;
    }
    if (!kvm_cap(k, KVM_CAP_PIT2))
        return missing("timer (KVM_CAP_PIT2)", err);
    if (ioctl(k->vm, KVM_CREATE_IRQCHIP, 0) < 0)
        return fail(err, errno, "KVM_CREATE_IRQCHIP: %s", strerror(errno));
    if (ioctl(k->vm, KVM_CREATE_PIT2, &pit) < 0)
        return fail(err, errno, "KVM_CREATE_PIT2: %s", strerror(errno));
    if (set_routes(k) < 0)
        return fail(err, errno, "KVM_SET_GSI_ROUTING: %s", strerror(errno));
    return true;
}

void kvm_irq_finish(struct kvm *k)
{
    free(k->irqfds);
    k->irqfds = NULL;
    k->irqfd_count = 0;
}

static void reset_pics(struct kvm *k)
{
    static const uint8_t elcr_mask[2] = { 0xf8, 0xde };

    for (uint32_t n = 0; n < 2; n++) {
        struct kvm_irqchip c = { .chip_id = n };

        c.chip.pic.elcr_mask = elcr_mask[n];
        (void)kvm_vm_ioctl(k, KVM_SET_IRQCHIP, &c);
    }
}

static void reset_ioapic(struct kvm *k)
{
    struct kvm_irqchip c = { .chip_id = KVM_IRQCHIP_IOAPIC };

    c.chip.ioapic.base_address = 0xfec00000;
    for (unsigned i = 0; i < KVM_PINS; i++)
        c.chip.ioapic.redirtbl[i].fields.mask = 1;
    (void)kvm_vm_ioctl(k, KVM_SET_IRQCHIP, &c);
}

static void reset_pit(struct kvm *k)
{
    struct kvm_pit_state2 s = { 0 };

    for (unsigned i = 0; i < 3; i++)
        s.channels[i] = (struct kvm_pit_channel_state){ .count = 0x10000,
                                                        .mode = 0xff, /* not programmed */
                                                        .gate = i != 2 };
    (void)kvm_vm_ioctl(k, KVM_SET_PIT2, &s);
}

void kvm_irq_reset(struct cpu_accel *a)
{
    struct kvm *k = kvm_of(a);

    if (a->irqchip == IRQCHIP_KERNEL) {
        reset_pics(k);
        reset_ioapic(k);
        reset_pit(k);
    }
}

/* ---- local APICs ---- */

enum {
    REG_ID = 2,
    REG_VERSION = 3,
    REG_DFR = 0xe,
    REG_SVR = 0xf,
    REG_LVT = 0x32,
    REG_LVT_LAST = 0x37,
    REG_LVT_LINT0 = 0x35
};

void kvm_lapic_set(struct cpu *cpu, unsigned reg, uint32_t value)
{
    struct kvm_vcpu *v = vcpu_of(cpu);

    if (reg < sizeof(v->lapic.regs) / 16)
        st_le32(v->lapic.regs + reg * 16, value);
}

/* SDM 3A 11.4.7.1. The boot processor's LINT0 is in virtual wire mode, so that a BIOS gets the
 * 8259's interrupts without programming the APIC. */
void kvm_lapic_reset(struct kvm_vcpu *v)
{
    struct cpu *cpu = v->cpu;

    memset(v->lapic.regs, 0, sizeof(v->lapic.regs));
    kvm_lapic_set(cpu, REG_ID, x86_of(cpu)->topology.apic_id << 24);
    kvm_lapic_set(cpu, REG_VERSION, 0x50014);
    kvm_lapic_set(cpu, REG_DFR, UINT32_MAX);
    kvm_lapic_set(cpu, REG_SVR, 0xff);
    for (unsigned reg = REG_LVT; reg <= REG_LVT_LAST; reg++)
        kvm_lapic_set(cpu, reg, 0x10000);
    if (!cpu->index)
        kvm_lapic_set(cpu, REG_LVT_LINT0, 0x700);
}
