/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vCPUs of a PC and their local APICs: made alike by every x86 board. Each local APIC answers
 * at its own IA32_APIC_BASE, to its own vCPU.
 */
#ifndef BOARD_X86_CPUS_H
#define BOARD_X86_CPUS_H

#include "board/board.h"
#include "cpu/intc.h"
#include "dev/intc/apic_bus.h"

struct acpi_set;
struct aml;
struct device;
struct x86_cpus;
struct x86_lapic;

struct x86_cpus {
    struct board *board;
    struct x86_lapic *lapic; /* one per vCPU; NULL: the accelerator has them */
    int priority;            /* of the APICs' registers in the memory map */
};

/* Checks config->cpus and ->smp against what the board and APIC IDs allow. */
bool x86_cpus_check(const struct board *b, struct error *err) MUST_CHECK;
/* Fills b->cpus: the vCPUs, with their place in the topology. Memory and ports exist. */
bool x86_cpus_make(struct board *b, struct error *err) MUST_CHECK;
/* Their local APICs on the bus; extint(opaque) is the 8259's INTA cycle (may be NULL). */
bool x86_cpus_make_lapics(struct x86_cpus *c, struct board *b, struct apic_bus *bus, int priority,
                          int (*extint)(void *opaque), void *extint_opaque,
                          struct error *err) MUST_CHECK;
struct device *x86_cpus_lapic(const struct x86_cpus *c, unsigned index);
void x86_cpus_reset(struct x86_cpus *c, struct board *b); /* vCPUs and APICs; all stand still */
void x86_cpus_free(struct x86_cpus *c, struct board *b);  /* copes with what was not made */

uint32_t x86_cpus_apic_id(const struct board *b, unsigned index);
/* One more than the highest APIC ID that a vCPU, there or not, can have (FW_CFG_MAX_CPUS). */
unsigned x86_cpus_apic_id_limit(const struct board *b);
/* MADT entries of all processors, and the DSDT's \_SB.CPUS with an object for each. */
void x86_cpus_put_madt(const struct board *b, struct acpi_set *set);
void x86_cpus_put_aml(const struct board *b, struct aml *a);

#endif
