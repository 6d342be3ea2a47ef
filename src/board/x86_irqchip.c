/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "board/x86_irqchip.h"

#include "cpu/cpu.h"
#include "dev/device.h"
#include "dev/intc/apic_bus.h"
#include "dev/intc/pic.h"
#include "dev/pci/msi.h"

bool x86_irqchip_attach(struct board *b, struct error *err)
{
    struct cpu_accel *a = b->config->cpu_accel;

    return !a || a->ops->attach(a, b->mem, b->ports, err);
}

void x86_irqchip_detach(struct board *b)
{
    struct cpu_accel *a = b->config->cpu_accel;

    if (a)
        a->ops->detach(a);
}

void x86_irqchip_reset(struct board *b)
{
    struct cpu_accel *a = b->config->cpu_accel;

    if (a)
        a->ops->reset(a);
}

void x86_irqchip_gsi(void *board, unsigned n, bool level)
{
    struct cpu_accel *a = ((struct board *)board)->config->cpu_accel;

    a->ops->gsi(a, n, level);
}

void x86_irqchip_hpet_legacy(void *board, unsigned n, bool level)
{
    struct cpu_accel *a = ((struct board *)board)->config->cpu_accel;

    a->ops->hpet_legacy(a, level);
}

void x86_irqchip_lapic_set(struct board *b, unsigned reg, uint32_t value)
{
    b->config->cpu_accel->ops->lapic_set(b->cpus[0], reg, value);
}

/* --- messages --- */

static void send(void *opaque, uint64_t addr, uint32_t data)
{
    struct cpu_accel *a = opaque;

    a->ops->msi(a, addr, data);
}

static int irqfd_add(void *opaque, int fd, uint64_t addr, uint32_t data)
{
    struct cpu_accel *a = opaque;

    return a->ops->irqfd_add(a, fd, addr, data);
}

static void irqfd_remove(void *opaque, int fd)
{
    struct cpu_accel *a = opaque;

    a->ops->irqfd_remove(a, fd);
}

void x86_irqchip_msi(const struct board *b, struct msi_sink *sink)
{
    if (x86_irqchip(b) != IRQCHIP_USER)
        *sink = (struct msi_sink){ send, irqfd_add, irqfd_remove, b->config->cpu_accel };
}

/* --- split --- */

static void routed(void *opaque, unsigned pin, bool masked, uint64_t addr, uint32_t data)
{
    struct cpu_accel *a = opaque;

    a->ops->route(a, pin, masked, addr, data);
}

static void eoi(void *opaque, uint8_t vector)
{
    apic_bus_eoi(opaque, vector);
}

/* The 8259's INT: the accelerator asks acknowledge() when the guest takes it. */
static void pic_line(void *opaque, unsigned n, bool level)
{
    struct cpu_port *port = opaque;

    port->set_line(port->vcpu, CPU_LINE_INTR, level, 0);
}

static const struct cpu_intc_ops pic_ops = { .acknowledge = pic_acknowledge };

void x86_irqchip_split(struct board *b, struct apic_bus *bus, struct device *pic,
                       struct cpu_port *port)
{
    struct cpu_accel *a = b->config->cpu_accel;

    bus->send = send;
    bus->routed = routed;
    bus->opaque = a;
    a->eoi = eoi;
    a->eoi_opaque = bus;
    *port = cpu_port(b->cpus[0]);
    cpu_attach_intc(b->cpus[0], &pic_ops, pic);
    irq_connect(&pic->irqs[0], pic_line, port, 0);
}
