/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the local APIC only: lapic.c has interrupts and registers, lapic_timer.c the timer. */
#ifndef DEV_INTC_LAPIC_PRIV_H
#define DEV_INTC_LAPIC_PRIV_H

#include "base/bits.h"
#include "dev/device.h"
#include "dev/intc/apic_bus.h"
#include "dev/intc/lapic.h"

/* Register numbers: MMIO offset / 16, x2APIC MSR - 0x800 (SDM 3A table 11-1 and 11-6). */
enum {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_RRD = 0x0c,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT_TIMER = 0x32,
    REG_LVT_THERMAL = 0x33,
    REG_LVT_PERF = 0x34,
    REG_LVT_LINT0 = 0x35,
    REG_LVT_LINT1 = 0x36,
    REG_LVT_ERROR = 0x37,
    REG_TIMER_INIT = 0x38,
    REG_TIMER_NOW = 0x39,
    REG_TIMER_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f,
};

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LVT_STATUS     BIT(12)
#define LVT_REMOTE_IRR BIT(14)
#define LVT_LEVEL      BIT(15)
#define LVT_MASKED     BIT(16)

enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE, TIMER_RESERVED };

#define MSR_APIC_BASE    0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC       0x800

struct lapic {
    struct device dev;
    struct lapic_wiring wire;
    struct timer timer;
    bool intr; /* level given to the CPU */

    /* properties */
    uint32_t apic_id;
    bool bsp, x2apic;
    uint8_t phys_bits;
    uint64_t timer_hz;

    /* state */
    uint64_t base; /* IA32_APIC_BASE */
    uint32_t id;   /* xAPIC ID register's number; software can write it */
    uint8_t tpr;
    uint32_t ldr, dfr, svr;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t esr, esr_new; /* as read; gathered since the last write */
    uint64_t icr;
    uint32_t lvt[LVT_COUNT];
    bool lint[2]; /* input levels */
    uint32_t timer_init, timer_divide;
    int64_t timer_start_ns; /* when timer_init was written, or the current period began */
    uint64_t tsc_deadline;
};

static inline unsigned timer_mode(const struct lapic *a)
{
    return bits(a->lvt[LVT_TIMER], 17, 2);
}

/* lapic.c: a local interrupt source fires (edge). */
void lapic_fire_lvt(struct lapic *a, unsigned which);

/* lapic_timer.c */
void lapic_timer_expired(void *opaque);
void lapic_timer_arm(struct lapic *a); /* from the state, after any change of it */
void lapic_timer_write_init(struct lapic *a, uint32_t val);
void lapic_timer_write_divide(struct lapic *a, uint32_t val);
void lapic_timer_write_deadline(struct lapic *a, uint64_t val);
void lapic_timer_mode_changed(struct lapic *a, unsigned old_mode);
uint32_t lapic_timer_count(const struct lapic *a);

#endif
