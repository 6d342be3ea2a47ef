/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Local APIC: requests, service, priorities, IPIs, registers (SDM volume 3A chapter 11). The same
 * registers are reached through MMIO (xAPIC) and MSRs (x2APIC).
 */
#include <errno.h>
#include <string.h>

#include "dev/intc/lapic_priv.h"

#define BASE_BSP    BIT(8)
#define BASE_EXTD   BIT(10)
#define BASE_ENABLE BIT(11)
#define BASE_ADDR   BITS(51, 12)

#define SVR_ENABLE BIT(8)

/* Six LVT entries; version 14h is an integrated APIC. */
#define VERSION ((LVT_COUNT - 1) << 16 | 0x14)

enum { ESR_SEND_VECTOR = BIT(5), ESR_RECEIVE_VECTOR = BIT(6), ESR_REGISTER = BIT(7) };

#define ICR_STATUS BIT(12)

static bool enabled(const struct lapic *a)
{
    return a->base & BASE_ENABLE;
}

static bool x2apic(const struct lapic *a)
{
    return a->base & BASE_EXTD;
}

static bool software_enabled(const struct lapic *a)
{
    return enabled(a) && (a->svr & SVR_ENABLE);
}

/* --- 256-bit sets --- */

static bool set_has(const uint32_t *set, uint8_t v)
{
    return set[v / 32] & BIT(v % 32);
}

static void set_add(uint32_t *set, uint8_t v)
{
    set[v / 32] |= BIT(v % 32);
}

static void set_remove(uint32_t *set, uint8_t v)
{
    set[v / 32] &= ~BIT(v % 32);
}

static int set_highest(const uint32_t *set)
{
    for (int i = 7; i >= 0; i--) {
        if (set[i])
            return i * 32 + 31 - __builtin_clz(set[i]);
    }
    return -1;
}

/* --- priorities and the line to the CPU --- */

/* SDM 11.8.3.1 */
static uint8_t ppr(const struct lapic *a)
{
    int in_service = set_highest(a->isr);
    unsigned service_class = in_service < 0 ? 0 : in_service & 0xf0;

    return (a->tpr & 0xf0) >= service_class ? a->tpr : service_class;
}

/* The vector that may interrupt the CPU now, or -1. */
static int deliverable(const struct lapic *a)
{
    int v;

    if (!software_enabled(a))
        return -1;
    v = set_highest(a->irr);
    return v >= 0 && (v & 0xf0) > (ppr(a) & 0xf0) ? v : -1;
}

static unsigned lvt_mode(const struct lapic *a, unsigned which)
{
    return bits(a->lvt[which], 8, 3);
}

/* Does an 8259 on LINT0 ask for an INTA cycle? With the APIC off, LINT0 is the INTR pin. */
static bool extint_pending(const struct lapic *a)
{
    if (!a->lint[LAPIC_IN_LINT0])
        return false;
    return !enabled(a) ||
           (!(a->lvt[LVT_LINT0] & LVT_MASKED) && lvt_mode(a, LVT_LINT0) == APIC_EXTINT);
}

static void cpu_line(struct lapic *a, enum cpu_line line, bool level, uint32_t arg)
{
    if (a->wire.port)
        a->wire.port->set_line(a->wire.port->vcpu, line, level, arg);
}

static void update(struct lapic *a)
{
    bool level = deliverable(a) >= 0 || extint_pending(a);

    if (level == a->intr)
        return;
    a->intr = level;
    cpu_line(a, CPU_LINE_INTR, level, 0);
}

static void add_error(struct lapic *a, uint32_t bit)
{
    a->esr_new |= bit;
    lapic_fire_lvt(a, LVT_ERROR);
}

static void request(struct lapic *a, uint8_t vector, bool level)
{
    if (!software_enabled(a))
        return;
    if (vector < 16) {
        /* the error's own vector being illegal must not recurse */
        a->esr_new |= ESR_RECEIVE_VECTOR;
        if (bits(a->lvt[LVT_ERROR], 0, 8) >= 16)
            lapic_fire_lvt(a, LVT_ERROR);
        return;
    }
    if (level)
        set_add(a->tmr, vector);
    else
        set_remove(a->tmr, vector);
    set_add(a->irr, vector);
    update(a);
}

void lapic_fire_lvt(struct lapic *a, unsigned which)
{
    uint32_t lvt = a->lvt[which];

    if (!enabled(a) || (lvt & LVT_MASKED))
        return;
    switch (which == LVT_TIMER || which == LVT_ERROR ? APIC_FIXED : lvt_mode(a, which)) {
    case APIC_FIXED:
        if (which == LVT_LINT0 || which == LVT_LINT1) {
            if (lvt & LVT_LEVEL) {
                if (lvt & LVT_REMOTE_IRR)
                    return;
                a->lvt[which] |= LVT_REMOTE_IRR;
            }
            request(a, bits(lvt, 0, 8), lvt & LVT_LEVEL);
        } else {
            request(a, bits(lvt, 0, 8), false);
        }
        break;
    case APIC_SMI: cpu_line(a, CPU_LINE_SMI, true, 0); break;
    case APIC_NMI: cpu_line(a, CPU_LINE_NMI, true, 0); break;
    case APIC_INIT: cpu_line(a, CPU_LINE_INIT, true, 0); break;
    case APIC_EXTINT: /* a level: update() looks at the pin */ update(a); break;
    default:
        guest_error(&a->dev, "LVT entry %u has reserved delivery mode %u", which,
                    lvt_mode(a, which));
        break;
    }
}

static void lapic_input(struct device *dev, unsigned n, bool level)
{
    struct lapic *a = (struct lapic *)dev;

    a->lint[n] = level;
    if (level && enabled(a))
        lapic_fire_lvt(a, n == LAPIC_IN_LINT0 ? LVT_LINT0 : LVT_LINT1);
    else if (level && n == LAPIC_IN_LINT1)
        cpu_line(a, CPU_LINE_NMI, true, 0); /* APIC off: the NMI pin */
    update(a);
}

static int lapic_acknowledge(void *ctrl)
{
    struct lapic *a = ctrl;
    int v = deliverable(a);

    if (v >= 0) {
        set_remove(a->irr, v);
        set_add(a->isr, v);
    } else if (extint_pending(a) && a->wire.extint) {
        v = a->wire.extint(a->wire.extint_opaque);
    }
    update(a);
    return v;
}

static void end_of_interrupt(struct lapic *a)
{
    int v = set_highest(a->isr);

    if (v < 0)
        return;
    set_remove(a->isr, v);
    if (set_has(a->tmr, v)) {
        for (unsigned n = LVT_LINT0; n <= LVT_LINT1; n++) {
            if (!(a->lvt[n] & LVT_REMOTE_IRR) || (a->lvt[n] & 0xff) != (unsigned)v)
                continue;
            a->lvt[n] &= ~LVT_REMOTE_IRR;
            if (a->lint[n - LVT_LINT0])
                lapic_fire_lvt(a, n);
        }
        apic_bus_eoi(a->wire.bus, v);
    }
    update(a);
}

/* --- messages --- */

/* SDM 11.6.2 */
bool lapic_matches(struct device *dev, const struct apic_msg *msg)
{
    struct lapic *a = (struct lapic *)dev;
    uint32_t dest = msg->dest;

    if (!enabled(a))
        return false;
    if (dest == (msg->x2apic_dest ? UINT32_MAX : 0xff))
        return true;
    if (!msg->logical)
        return dest == (x2apic(a) ? a->apic_id : a->id);
    if (x2apic(a))
        return dest >> 16 == a->ldr >> 16 && (dest & a->ldr & 0xffff);
    if (a->dfr >> 28 == 0xf)
        return dest & (a->ldr >> 24);
    return a->dfr >> 28 == 0 && (dest >> 4) == a->ldr >> 28 && (dest & (a->ldr >> 24) & 0xf);
}

uint8_t lapic_priority(struct device *dev)
{
    struct lapic *a = (struct lapic *)dev;

    /* one that would drop the message is the last choice */
    return software_enabled(a) ? ppr(a) : 255;
}

void lapic_receive(struct device *dev, const struct apic_msg *msg)
{
    struct lapic *a = (struct lapic *)dev;

    switch (msg->mode) {
    case APIC_FIXED:
    case APIC_LOWEST: request(a, msg->vector, msg->level); break;
    case APIC_SMI: cpu_line(a, CPU_LINE_SMI, true, 0); break;
    case APIC_NMI: cpu_line(a, CPU_LINE_NMI, true, 0); break;
    case APIC_INIT:
        if (msg->assert_)
            cpu_line(a, CPU_LINE_INIT, true, 0);
        break;
    case APIC_SIPI: cpu_line(a, CPU_LINE_SIPI, true, msg->vector); break;
    default:
        /* ExtINT from an I/O APIC pin: the vector comes from the 8259, whose INT is on LINT0 here
         */
        guest_error(dev, "message with delivery mode %u is not taken", msg->mode);
        break;
    }
}

/* SDM 11.6.1 */
static void send_ipi(struct lapic *a, uint64_t icr)
{
    struct apic_msg msg = {
        .dest = (uint32_t)(x2apic(a) ? bits(icr, 32, 32) : bits(icr, 56, 8)),
        .logical = bits(icr, 11, 1),
        .x2apic_dest = x2apic(a),
        .mode = bits(icr, 8, 3),
        .vector = bits(icr, 0, 8),
        .level = false, /* IPIs are edges; the bit matters to INIT de-assert only */
        .assert_ = bits(icr, 14, 1),
    };

    if ((msg.mode == APIC_FIXED || msg.mode == APIC_LOWEST) && msg.vector < 16) {
        add_error(a, ESR_SEND_VECTOR);
        return;
    }
    if (msg.mode == APIC_INIT && !msg.assert_ && bits(icr, 15, 1))
        return; /* INIT level de-assert: only arbitration IDs, which nothing uses any more */
    msg.assert_ = true;
    switch (bits(icr, 18, 2)) {
    case 0: apic_bus_deliver(a->wire.bus, &msg); break;
    case 1: lapic_receive(&a->dev, &msg); break;
    default:
        for (unsigned i = 0; i < a->wire.bus->local_count; i++) {
            struct device *other = a->wire.bus->local[i];

            if (other != &a->dev || bits(icr, 18, 2) == 2)
                lapic_receive(other, &msg);
        }
        break;
    }
}

/* --- registers --- */

static void write_lvt(struct lapic *a, unsigned which, uint32_t val)
{
    static const uint32_t writable[LVT_COUNT] = {
        [LVT_TIMER] = BITS(18, 16) | 0xff,
        [LVT_THERMAL] = BIT(16) | BITS(10, 8) | 0xff,
        [LVT_PERF] = BIT(16) | BITS(10, 8) | 0xff,
        [LVT_LINT0] = BITS(16, 15) | BIT(13) | BITS(10, 8) | 0xff,
        [LVT_LINT1] = BITS(16, 15) | BIT(13) | BITS(10, 8) | 0xff,
        [LVT_ERROR] = BIT(16) | 0xff,
    };
    unsigned old_mode = timer_mode(a);
    uint32_t keep = val & LVT_LEVEL ? a->lvt[which] & LVT_REMOTE_IRR : 0;

    val &= writable[which];
    if (which == LVT_TIMER && !a->wire.tsc_now && bits(val, 17, 2) == TIMER_TSC_DEADLINE)
        val &= ~BITS(18, 17); /* not offered by CPUID: a reserved value */
    if (!(a->svr & SVR_ENABLE))
        val |= LVT_MASKED;
    a->lvt[which] = val | keep;
    if (which == LVT_TIMER)
        lapic_timer_mode_changed(a, old_mode);
    /* a level-triggered pin that is up asks as soon as it is unmasked */
    if ((which == LVT_LINT0 || which == LVT_LINT1) && a->lint[which - LVT_LINT0] &&
        (val & LVT_LEVEL) && lvt_mode(a, which) == APIC_FIXED)
        lapic_fire_lvt(a, which);
    update(a);
}

static void write_svr(struct lapic *a, uint32_t val)
{
    a->svr = val & 0x3ff;
    if (!(val & SVR_ENABLE)) {
        for (unsigned i = 0; i < LVT_COUNT; i++)
            a->lvt[i] |= LVT_MASKED;
    }
    update(a);
}

static uint32_t x2apic_ldr(const struct lapic *a)
{
    return (a->apic_id >> 4) << 16 | BIT(a->apic_id & 15);
}

/* false: there is no such register */
static bool read_register(struct lapic *a, unsigned reg, uint32_t *ret)
{
    if (reg >= REG_ISR && reg < REG_ESR) {
        const uint32_t *set = reg < REG_TMR ? a->isr : reg < REG_IRR ? a->tmr : a->irr;

        *ret = set[reg & 7];
        return true;
    }
    if (reg >= REG_LVT_TIMER && reg <= REG_LVT_ERROR) {
        *ret = a->lvt[reg - REG_LVT_TIMER];
        return true;
    }
    switch (reg) {
    case REG_ID: *ret = x2apic(a) ? a->apic_id : a->id << 24; return true;
    case REG_VERSION: *ret = VERSION; return true;
    case REG_TPR: *ret = a->tpr; return true;
    case REG_PPR:
    case REG_APR: /* arbitration priority: no bus to arbitrate, so what decides is the PPR */
        *ret = ppr(a);
        return true;
    case REG_EOI:
    case REG_RRD: *ret = 0; return true;
    case REG_LDR: *ret = a->ldr; return true;
    case REG_DFR: *ret = a->dfr; return true;
    case REG_SVR: *ret = a->svr; return true;
    case REG_ESR: *ret = a->esr; return true;
    case REG_ICR: *ret = (uint32_t)a->icr; return true;
    case REG_ICR_HIGH: *ret = a->icr >> 32; return true;
    case REG_TIMER_INIT: *ret = a->timer_init; return true;
    case REG_TIMER_NOW: *ret = lapic_timer_count(a); return true;
    case REG_TIMER_DIVIDE: *ret = a->timer_divide; return true;
    default: return false;
    }
}

/* The registers that both modes write alike. false: not writable. */
static bool write_register(struct lapic *a, unsigned reg, uint32_t val)
{
    if (reg >= REG_LVT_TIMER && reg <= REG_LVT_ERROR) {
        write_lvt(a, reg - REG_LVT_TIMER, val);
        return true;
    }
    switch (reg) {
    case REG_TPR:
        a->tpr = val & 0xff;
        update(a);
        return true;
    case REG_EOI: end_of_interrupt(a); return true;
    case REG_SVR: write_svr(a, val); return true;
    case REG_ESR:
        a->esr = a->esr_new;
        a->esr_new = 0;
        return true;
    case REG_TIMER_INIT: lapic_timer_write_init(a, val); return true;
    case REG_TIMER_DIVIDE: lapic_timer_write_divide(a, val); return true;
    default: return false;
    }
}

static uint64_t lapic_read(struct device *dev, uint64_t off, unsigned size)
{
    struct lapic *a = (struct lapic *)dev;
    uint32_t val = 0;

    if (!enabled(a) || x2apic(a))
        return UINT32_MAX; /* the board leaves it mapped for a moment only */
    if ((off & 0xf) || off >= 0x400 || !read_register(a, off >> 4, &val)) {
        guest_error(dev, "read at unknown offset %#x", (unsigned)off);
        add_error(a, ESR_REGISTER);
    }
    return val;
}

static void lapic_write(struct device *dev, uint64_t off, uint64_t val64, unsigned size)
{
    struct lapic *a = (struct lapic *)dev;
    uint32_t val = (uint32_t)val64, unused;

    if (!enabled(a) || x2apic(a))
        return;
    if (!(off & 0xf) && off < 0x400) {
        switch (off >> 4) {
        case REG_ID: a->id = val >> 24; return;
        case REG_LDR: a->ldr = val & 0xff000000; return;
        case REG_DFR: a->dfr = val | 0x0fffffff; return;
        case REG_ICR:
            a->icr = (a->icr & BITS(63, 32)) | (val & ~ICR_STATUS & 0xcffff);
            send_ipi(a, a->icr);
            return;
        case REG_ICR_HIGH: a->icr = bits_set(a->icr, 32, 32, val & 0xff000000); return;
        default:
            if (write_register(a, off >> 4, val))
                return;
            break;
        }
    }
    guest_error(dev, "write of %#x at read-only or unknown offset %#x", val, (unsigned)off);
    if ((off & 0xf) || off >= 0x400 || !read_register(a, off >> 4, &unused))
        add_error(a, ESR_REGISTER);
}

uint64_t lapic_mmio_read(struct device *dev, uint64_t off)
{
    return lapic_read(dev, off, 4);
}

void lapic_mmio_write(struct device *dev, uint64_t off, uint64_t val)
{
    lapic_write(dev, off, val, 4);
}

/* --- MSRs --- */

/* The state after INIT or power-on; IDs and the base stay (SDM 11.4.7.3). */
static void init_registers(struct lapic *a)
{
    a->tpr = 0;
    a->ldr = x2apic(a) ? x2apic_ldr(a) : 0;
    a->dfr = UINT32_MAX;
    a->svr = 0xff;
    memset(a->isr, 0, sizeof a->isr);
    memset(a->tmr, 0, sizeof a->tmr);
    memset(a->irr, 0, sizeof a->irr);
    a->esr = a->esr_new = 0;
    a->icr = 0;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        a->lvt[i] = LVT_MASKED;
    /* Virtual wire mode, which BIOSes set up for the boot processor, from the start: a guest
     * without any APIC code gets the 8259's interrupts. */
    if (a->bsp)
        a->lvt[LVT_LINT0] = APIC_EXTINT << 8;
    a->timer_init = a->timer_divide = 0;
    a->timer_start_ns = 0;
    a->tsc_deadline = 0;
    timer_cancel(&a->timer);
}

static void tell_base(struct lapic *a)
{
    if (a->wire.base_changed)
        a->wire.base_changed(a->wire.base_opaque, a->base & BASE_ADDR, enabled(a) && !x2apic(a));
}

static bool write_base(struct lapic *a, uint64_t val)
{
    uint64_t allowed = BITS(a->phys_bits - 1, 12) | BASE_BSP | BASE_ENABLE;
    uint64_t was = a->base;

    if (a->x2apic)
        allowed |= BASE_EXTD;
    if (val & ~allowed)
        return false;
    /* SDM figure 11-27: off -> xAPIC -> x2APIC -> off, and xAPIC -> off */
    if ((val & (BASE_EXTD | BASE_ENABLE)) == BASE_EXTD)
        return false;
    if ((was & BASE_EXTD) && (val & BASE_ENABLE) && !(val & BASE_EXTD))
        return false;
    if (!(was & BASE_ENABLE) && (val & BASE_EXTD))
        return false;
    a->base = (val & ~BASE_BSP) | (was & BASE_BSP);
    if ((was & BASE_ENABLE) && !(val & BASE_ENABLE)) {
        init_registers(a);
        a->id = a->apic_id & 0xff;
    }
    if (!(was & BASE_EXTD) && (val & BASE_EXTD)) {
        a->ldr = x2apic_ldr(a);
        a->icr &= BITS(31, 0);
    }
    tell_base(a);
    update(a);
    return true;
}

static bool lapic_msr_read(void *ctrl, uint32_t msr, uint64_t *ret)
{
    struct lapic *a = ctrl;
    unsigned reg = msr - MSR_X2APIC;
    uint32_t val;

    if (msr == MSR_APIC_BASE) {
        *ret = a->base;
        return true;
    }
    if (msr == MSR_TSC_DEADLINE && a->wire.tsc_now) {
        *ret = a->tsc_deadline;
        return true;
    }
    if (msr < MSR_X2APIC || reg > REG_SELF_IPI || !x2apic(a))
        return false;
    switch (reg) {
    case REG_APR:
    case REG_EOI:
    case REG_RRD:
    case REG_DFR:
    case REG_ICR_HIGH: return false;
    case REG_ICR: *ret = a->icr; return true;
    default:
        if (!read_register(a, reg, &val))
            return false;
        *ret = val;
        return true;
    }
}

static bool lapic_msr_write(void *ctrl, uint32_t msr, uint64_t val)
{
    struct lapic *a = ctrl;
    unsigned reg = msr - MSR_X2APIC;

    if (msr == MSR_APIC_BASE)
        return write_base(a, val);
    if (msr == MSR_TSC_DEADLINE && a->wire.tsc_now) {
        lapic_timer_write_deadline(a, val);
        return true;
    }
    if (msr < MSR_X2APIC || reg > REG_SELF_IPI || !x2apic(a))
        return false;
    switch (reg) {
    case REG_ICR:
        if (val & ~(BITS(63, 32) | UINT64_C(0xccfff)))
            return false;
        a->icr = val;
        send_ipi(a, val);
        return true;
    case REG_SELF_IPI:
        if (val & ~UINT64_C(0xff))
            return false;
        send_ipi(a, val | 1 << 18 | 1 << 14);
        return true;
    case REG_EOI:
    case REG_ESR: return !val && write_register(a, reg, 0);
    case REG_TPR: return !(val & ~UINT64_C(0xff)) && write_register(a, reg, (uint32_t)val);
    default: return !(val >> 32) && write_register(a, reg, (uint32_t)val);
    }
}

static uint64_t lapic_get_tpr(void *ctrl)
{
    return ((struct lapic *)ctrl)->tpr >> 4;
}

static void lapic_set_tpr(void *ctrl, uint64_t tpr)
{
    struct lapic *a = ctrl;

    a->tpr = (tpr & 0xf) << 4;
    update(a);
}

/* The CPU got INIT. */
static void lapic_cpu_reset(void *ctrl)
{
    struct lapic *a = ctrl;

    init_registers(a);
    update(a);
}

static bool lapic_apic_enabled(void *ctrl)
{
    return enabled(ctrl);
}

static void lapic_cpu_tsc_changed(void *ctrl)
{
    lapic_tsc_changed(ctrl);
}

const struct cpu_intc_ops lapic_intc_ops = {
    .acknowledge = lapic_acknowledge,
    .msr_read = lapic_msr_read,
    .msr_write = lapic_msr_write,
    .get_tpr = lapic_get_tpr,
    .set_tpr = lapic_set_tpr,
    .reset = lapic_cpu_reset,
    .apic_enabled = lapic_apic_enabled,
    .tsc_changed = lapic_cpu_tsc_changed,
};

/* --- life --- */

void lapic_wire(struct device *dev, const struct lapic_wiring *w)
{
    struct lapic *a = (struct lapic *)dev;

    assert(w->bus->local_count < APIC_BUS_MAX_LOCAL);
    a->wire = *w;
    w->bus->local[w->bus->local_count++] = dev;
}

void lapic_set_port(struct device *dev, const struct cpu_port *port)
{
    struct lapic *a = (struct lapic *)dev;

    a->wire.port = port;
    if (a->intr)
        cpu_line(a, CPU_LINE_INTR, true, 0);
}

static void lapic_defaults(struct device *dev)
{
    struct lapic *a = (struct lapic *)dev;

    a->bsp = a->x2apic = true;
    a->phys_bits = 40;
    a->timer_hz = 1000000000;
}

static bool lapic_init(struct device *dev, struct error *err)
{
    struct lapic *a = (struct lapic *)dev;

    timer_init(&a->timer, dev->ctx.loop, CLOCK_VIRTUAL, lapic_timer_expired, a);
    return a->wire.bus || fail(err, EINVAL, "not attached to an APIC bus");
}

static void lapic_finish(struct device *dev)
{
    timer_cancel(&((struct lapic *)dev)->timer);
}

static void lapic_reset(struct device *dev)
{
    struct lapic *a = (struct lapic *)dev;

    a->base = LAPIC_DEFAULT_BASE | BASE_ENABLE | (a->bsp ? BASE_BSP : 0);
    a->id = a->apic_id & 0xff;
    init_registers(a);
    tell_base(a);
    update(a);
}

static bool lapic_loaded(struct device *dev, struct error *err)
{
    struct lapic *a = (struct lapic *)dev;

    if ((a->base & (BASE_EXTD | BASE_ENABLE)) == BASE_EXTD)
        return fail(err, EINVAL, "IA32_APIC_BASE %#llx is not possible",
                    (unsigned long long)a->base);
    if (a->timer_start_ns > device_now_ns(dev))
        a->timer_start_ns = device_now_ns(dev);
    lapic_timer_arm(a);
    tell_base(a);
    update(a);
    return true;
}

static const struct device_window windows[] = {
    { "regs", WINDOW_MMIO, 0x1000, lapic_read, lapic_write, 4, 4 },
};

const struct device_type lapic_type = {
    .name = "lapic",
    .doc = "Local APIC of one processor",
    .size = sizeof(struct lapic),
    .props = FIELDS(
        FIELD(struct lapic, apic_id, .doc = "initial APIC ID"),
        FIELD(struct lapic, bsp, .doc = "is the boot processor's"),
        FIELD(struct lapic, x2apic, .doc = "offers x2APIC mode"),
        FIELD(struct lapic, phys_bits, .min = 32, .max = 52, .doc = "width of physical addresses"),
        FIELD(struct lapic, timer_hz, .min = 1000000, .max = 10000000000,
              .doc = "clock of the timer before its divider")),
    .state = FIELDS(
        FIELD(struct lapic, base), FIELD(struct lapic, id, .max = 255), FIELD(struct lapic, tpr),
        FIELD(struct lapic, ldr), FIELD(struct lapic, dfr), FIELD(struct lapic, svr),
        FIELD_ARRAY(struct lapic, isr), FIELD_ARRAY(struct lapic, tmr),
        FIELD_ARRAY(struct lapic, irr), FIELD(struct lapic, esr), FIELD(struct lapic, esr_new),
        FIELD(struct lapic, icr), FIELD_ARRAY(struct lapic, lvt), FIELD_ARRAY(struct lapic, lint),
        FIELD(struct lapic, timer_init), FIELD(struct lapic, timer_divide, .max = 0xb),
        FIELD(struct lapic, timer_start_ns), FIELD(struct lapic, tsc_deadline)),
    .defaults = lapic_defaults,
    .init = lapic_init,
    .finish = lapic_finish,
    .reset = lapic_reset,
    .loaded = lapic_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .inputs = 2,
    .input = lapic_input,
};
