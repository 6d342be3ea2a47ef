/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What runs the vCPUs of a machine when it is not the translator. One struct cpu_accel per machine,
 * made by accel/ and handed down through struct board_config; NULL means translation (or the
 * interpreter) by cpu/ itself. Boards see this header, devices see neither.
 *
 * The guest's state lives in the guest's CPU structure (struct x86_cpu) as under translation; an
 * accelerator that keeps it elsewhere while the vCPU runs brings it back with sync_out() when
 * somebody wants to look and takes it over before the next run.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct cpu;
struct mem;

enum irqchip_mode {
    IRQCHIP_USER,   /* all interrupt controllers are our devices */
    IRQCHIP_SPLIT,  /* local APICs are the accelerator's; 8259, I/O APIC and PIT our devices */
    IRQCHIP_KERNEL, /* local APICs, I/O APIC, 8259s and PIT are the accelerator's */
};

struct cpu_accel {
    const struct cpu_accel_ops *ops;
    enum irqchip_mode irqchip;
    /* what a vCPU can have here, for guest->init(): struct x86_host (guest/x86/models.h) */
    const void *host_cpu;
    /* IRQCHIP_SPLIT: a local APIC ended a level interrupt that a route named (see .route). Set by
     * the board; called on a vCPU's thread, machine lock held. */
    void (*eoi)(void *opaque, uint8_t vector);
    void *eoi_opaque;
};

struct cpu_accel_ops {
    const char *name; /* "kvm" */
    void (*free)(struct cpu_accel *a);
    /* Memory and ports exist, no vCPU yet: follow their maps from now on. */
    bool (*attach)(struct cpu_accel *a, struct mem *mem, struct mem *ports, struct error *err);
    void (*detach)(struct cpu_accel *a); /* vCPUs are gone, memory is about to go; no-op twice */
    /* The machine runs or stands still from now on. vCPUs stand still, machine lock held. */
    void (*set_running)(struct cpu_accel *a, bool running);
    /* The accelerator's own controllers to their state after power-on. vCPUs stand still. */
    void (*reset)(struct cpu_accel *a);

    /* A vCPU: cpu->accel_data is the accelerator's. The guest's structure is ready. */
    bool (*cpu_init)(struct cpu_accel *a, struct cpu *cpu, struct error *err);
    void (*cpu_finish)(struct cpu *cpu);
    /* The guest's structure was reset: what is not in it, too. It stands still. */
    void (*cpu_reset)(struct cpu *cpu);
    /* On the vCPU's thread: run the guest until cpu->exit_request. Takes interrupts, NMI, INIT and
     * SIPI of cpu->events; leaves STOP and RESET to the caller. Machine lock not held. */
    void (*run)(struct cpu *cpu);
    /* Make run() return soon. Any thread, async-signal-safe; exit_request is set before. */
    void (*kick)(struct cpu *cpu);
    /* The guest's structure gets the state / is the state that runs next (it may be changed after
     * sync_out and is taken over by itself). The vCPU's thread. */
    void (*sync_out)(struct cpu *cpu);

    /* IRQCHIP_KERNEL: level of a global system interrupt (0..23). Machine lock held. */
    void (*gsi)(struct cpu_accel *a, unsigned gsi, bool level);
    /* IRQCHIP_KERNEL: the HPET took over the PIT's interrupt. Machine lock held. */
    void (*hpet_legacy)(struct cpu_accel *a, bool on);
    /* IRQCHIP_SPLIT: what pin 0..23 of the I/O APIC sends now (masked: nothing), so that EOIs of
     * level interrupts come back. Machine lock held. */
    void (*route)(struct cpu_accel *a, unsigned pin, bool masked, uint64_t addr, uint32_t data);
    /* IRQCHIP_SPLIT and _KERNEL: a message-signalled interrupt. Any thread, no lock. */
    void (*msi)(struct cpu_accel *a, uint64_t addr, uint32_t data);
    /* An eventfd that sends this message when written. -errno when there are no more. Machine lock
     * held. */
    int (*irqfd_add)(struct cpu_accel *a, int fd, uint64_t addr, uint32_t data);
    void (*irqfd_remove)(struct cpu_accel *a, int fd);
    /* IRQCHIP_SPLIT and _KERNEL: a register of the local APIC (number as in x2APIC: MSR - 0x800),
     * while the vCPU stands still after cpu_reset(): what firmware would have programmed. */
    void (*lapic_set)(struct cpu *cpu, unsigned reg, uint32_t value);
};

/* The board has given the vCPU its place in the topology: the accelerator makes it. No-op without
 * one. Main thread, before cpu_start(). */
bool cpu_accel_init(struct cpu *cpu, struct error *err) MUST_CHECK;

/* For run(): the vCPU cannot go on, and it is not the guest's doing: ends the machine. */
void cpu_machine_fail(struct cpu *cpu, const char *why);

/* For run(): between these entries of the vCPU's memory maps stay valid. */
void cpu_accel_lookup_begin(struct cpu *cpu);
void cpu_accel_lookup_end(struct cpu *cpu);

/* For run(): wait until exit_request is set or the vCPU is to end. The vCPU's thread. */
void cpu_accel_wait(struct cpu *cpu);
