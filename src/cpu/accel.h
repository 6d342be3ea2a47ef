/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What runs the vCPUs of a machine when it is not the translator. One struct cpu_accel per machine,
 * made by accel/ and handed down through struct board_config; NULL means translation (or the
 * interpreter) by cpu/ itself. Boards see this header, devices see neither.
 *
 * The guest's state lives in the guest's CPU structure (struct x86_cpu) as under translation; an
 * accelerator that keeps it elsewhere while the vCPU runs brings it back with sync_out() when
 * somebody wants to look and takes it over with sync_in() before the next run.
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
};

struct cpu_accel_ops {
    const char *name; /* "kvm" */
    /* Memory and ports exist, no vCPU yet: follow their maps from now on. */
    bool (*attach)(struct cpu_accel *a, struct mem *mem, struct mem *ports, struct error *err);
    void (*detach)(struct cpu_accel *a); /* vCPUs are gone */
    /* A vCPU: cpu->accel_data is the accelerator's. */
    bool (*cpu_init)(struct cpu_accel *a, struct cpu *cpu, struct error *err);
    void (*cpu_finish)(struct cpu *cpu);
    /* On the vCPU's thread: run the guest until cpu->exit_request or cpu->events want something;
     * take events as the translator's loop does. Machine lock not held. */
    void (*run)(struct cpu *cpu);
    /* Make run() return soon. Any thread, async-signal-safe. */
    void (*kick)(struct cpu *cpu);
    /* Whole state between the accelerator and the guest's structure. The vCPU stands still, or it
     * is the vCPU's thread. */
    void (*sync_out)(struct cpu *cpu);
    void (*sync_in)(struct cpu *cpu);
    /* IRQCHIP_KERNEL: level of a global system interrupt (0..23). Machine lock held. */
    void (*gsi)(struct cpu_accel *a, unsigned gsi, bool level);
    /* IRQCHIP_SPLIT and _KERNEL: a message-signalled interrupt. Any thread, no lock. */
    void (*msi)(struct cpu_accel *a, uint64_t addr, uint32_t data);
    /* An eventfd that sends this message when written. -errno when there are no more. */
    int (*irqfd_add)(struct cpu_accel *a, int fd, uint64_t addr, uint32_t data);
    void (*irqfd_remove)(struct cpu_accel *a, int fd);
    /* State of the kernel's controllers for snapshots comes with them. */
};
