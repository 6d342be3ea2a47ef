/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the interrupt controllers of an x86 board are: all ours, all the accelerator's, or its
 * local APICs with our 8259s and I/O APIC. What a board asks and connects; without an accelerator
 * all is ours.
 */
#ifndef BOARD_X86_IRQCHIP_H
#define BOARD_X86_IRQCHIP_H

#include "board/board.h"
#include "cpu/accel.h"
#include "cpu/intc.h"

struct apic_bus;
struct device;
struct msi_sink;

static inline enum irqchip_mode x86_irqchip(const struct board *b)
{
    return b->config->cpu_accel ? b->config->cpu_accel->irqchip : IRQCHIP_USER;
}

/* Memory and ports exist. */
bool x86_irqchip_attach(struct board *b, struct error *err) MUST_CHECK;
/* vCPUs are gone, memory is not. */
void x86_irqchip_detach(struct board *b);
/* With the devices' reset. */
void x86_irqchip_reset(struct board *b);
/* IRQCHIP_KERNEL: irq_fn for GSI n with the board as opaque; the HPET's legacy line. */
void x86_irqchip_gsi(void *board, unsigned n, bool level);
void x86_irqchip_hpet_legacy(void *board, unsigned n, bool level);
/* IRQCHIP_SPLIT: our I/O APIC's bus leads to the accelerator, the 8259's INT to the boot
 * processor. */
void x86_irqchip_split(struct board *b, struct apic_bus *bus, struct device *pic,
                       struct cpu_port *port);
/* Not IRQCHIP_USER: messages of PCI devices go to the accelerator, which has irqfds; else no-op. */
void x86_irqchip_msi(const struct board *b, struct msi_sink *sink);
/* Not IRQCHIP_USER: writes what firmware would have to the boot processor's local APIC (registers
 * as in x2APIC: MSR - 0x800). After reset. */
void x86_irqchip_lapic_set(struct board *b, unsigned reg, uint32_t value);

#endif
