/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where an interrupt controller that sits in a CPU (local APIC, GIC CPU interface, IMSIC) meets its
 * CPU. The one header of cpu/ that dev/intc/ may see. The board connects both sides.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum cpu_line {
    CPU_LINE_INTR, /* a maskable interrupt is pending: level */
    CPU_LINE_NMI,  /* edge */
    CPU_LINE_SMI,  /* edge */
    CPU_LINE_INIT, /* edge */
    CPU_LINE_SIPI, /* edge; arg is the vector */
};

/* What the controller offers the CPU. All are called on the vCPU's thread with the machine lock
 * held. */
struct cpu_intc_ops {
    int (*acknowledge)(void *ctrl);                              /* the vector to take now, or -1 */
    bool (*msr_read)(void *ctrl, uint32_t msr, uint64_t *ret);   /* false: no such register here */
    bool (*msr_write)(void *ctrl, uint32_t msr, uint64_t value); /* false: #GP */
    uint64_t (*get_tpr)(void *ctrl);                             /* CR8: 0..15 */
    void (*set_tpr)(void *ctrl, uint64_t tpr);
    void (*reset)(void *ctrl);
    bool (*apic_enabled)(void *ctrl); /* CPUID.1:EDX.9 */
    void (*tsc_changed)(void *ctrl);  /* the guest wrote it: deadlines move. May be NULL */
};

/* What the CPU offers the controller. Any thread, machine lock held. */
struct cpu_port {
    void *vcpu;
    void (*set_line)(void *vcpu, enum cpu_line line, bool level, uint32_t arg);
};
